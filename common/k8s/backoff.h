/* How long a reflector waits after a failure: 50 ms, 200 ms, then 0.8 s doubling to 30 s, each with
 * up to half as much again at random so that replicas do not return together; small again after 2
 * minutes without a failure. Not thread-safe. */
#pragma once

#include <stdint.h>

#include "common/base/rng.h"

enum {
    BACKOFF_HEALTHY_MS = 2 * 60 * 1000,
    BACKOFF_RETRY_AFTER_MS_MAX = 60 * 1000, /* a server may not ask for more */
};

struct backoff {
    struct rng rng; /* seed it; all else starts at zero */
    unsigned failures;
    int64_t last_failure_ms;
};

/* Counts a failure at `now_ms` (monotonic); never less than `retry_after_ms`. */
int64_t backoff_next(struct backoff *backoff, int64_t now_ms, int64_t retry_after_ms);
