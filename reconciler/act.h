/* Carries out what was decided, in order, stopping at the first failure. All actions can be
 * repeated. */
#pragma once

#include "common/k8s/client.h"
#include "common/k8s/events.h"
#include "reconciler/decide.h"

struct actor {
    struct k8s_client *client;
    struct event_recorder *events;
};

enum { ACT_GONE = 1 }; /* the Workspace is not there any more: nothing else is to be done */

/* The actions; the snapshot learns the resourceVersion of a patched Workspace. */
MUST_CHECK int act(const struct actor *actor, const struct decision *decision,
                   struct snapshot *snapshot, struct error *err);

/* The status, when it differs from what the snapshot holds, and then the events. */
MUST_CHECK int act_status(const struct actor *actor, const struct decision *decision,
                          const struct snapshot *snapshot, struct error *err);
