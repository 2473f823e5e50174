/* Events that tell a user the story of an object. Deduplicated by construction: the Event's name is
 * made from the object's UID, reason and message, so repeating it (also after a crash) raises its
 * count instead of making a second one. Recording never blocks and never fails the caller: a
 * bounded queue and one thread; what does not fit is counted as dropped. The same event again
 * within a minute is only counted here, not written. */
#pragma once

#include <cjson/cJSON.h>

#include "common/base/clock.h"
#include "common/k8s/client.h"

struct event_recorder;

enum { EVENT_QUEUE_MAX = 1024 };

#define EVENT_NORMAL  "Normal"
#define EVENT_WARNING "Warning"

struct event_target {
    const char *api_version;
    const char *kind;
    const char *namespace_; /* "" for cluster scope: the event goes to "default" */
    const char *name;
    const char *uid;
};

struct event_recorder *event_recorder_new(struct k8s_client *client, const char *component,
                                          const struct clock *clock);
void event_record(struct event_recorder *recorder, const struct event_target *target,
                  const char *type, const char *reason, const char *message);
/* Writes what is queued (for at most 2 s), joins, frees. */
void event_recorder_free(struct event_recorder *recorder);
