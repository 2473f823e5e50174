/* The table of signals.def. Internal to common/causes. */
#pragma once

#include "common/causes/causes.h"

enum signal_place {
    PLACE_WAITING,
    PLACE_TERMINATED,
    PLACE_SCHEDULING,
    PLACE_POD,
    PLACE_CLAIM,
    PLACE_JOB,
    PLACE_REFUSAL,
    PLACE_EVENT,
};

/* The cause that the first fitting row names; CAUSE_COUNT: none fits. Either text may be NULL. */
enum cause_id signal_match(enum signal_place place, const char *reason, const char *message);

bool causes_in_pod(const cJSON *pod, const struct cause_context *ctx, struct arena *arena,
                   struct cause_hit *out);

/* Real time of an RFC 3339 member, -1 where there is none. */
int64_t cause_time_at(const cJSON *object, const char *path);
