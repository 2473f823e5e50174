#include "common/k8s/backoff.h"

#include "common/base/compiler.h"

static const int64_t steps_ms[] = { 50, 200, 800, 1600, 3200, 6400, 12800, 25600, 30000 };

int64_t backoff_next(struct backoff *backoff, int64_t now_ms, int64_t retry_after_ms)
{
    if (now_ms - backoff->last_failure_ms > BACKOFF_HEALTHY_MS)
        backoff->failures = 0;
    backoff->last_failure_ms = now_ms;

    size_t last = ARRAY_LEN(steps_ms) - 1;
    int64_t step_ms = steps_ms[backoff->failures < last ? backoff->failures : last];
    backoff->failures++;
    int64_t wait_ms = step_ms + rng_between(&backoff->rng, 0, step_ms / 2);
    if (retry_after_ms > BACKOFF_RETRY_AFTER_MS_MAX)
        retry_after_ms = BACKOFF_RETRY_AFTER_MS_MAX;
    return wait_ms > retry_after_ms ? wait_ms : retry_after_ms;
}
