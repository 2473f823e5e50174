/* Keys to look at, as client-go's workqueue: a key is in the queue at most once, is handed to one
 * worker at a time, and a key added while it is being worked on comes back after workqueue_done.
 * Adding with a delay and with a per-key rate limit are built in. Thread-safe. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/clock.h"

struct workqueue;

enum {
    WORKQUEUE_BACKOFF_BASE_MS = 5,
    WORKQUEUE_BACKOFF_MAX_MS = 60 * 1000,
};

struct workqueue *workqueue_new(const char *name, const struct clock *clock);
void workqueue_free(struct workqueue *queue); /* after every worker has returned */

void workqueue_add(struct workqueue *queue, const char *key);
/* Not before `delay_ms` from now; an earlier time already set for the key stands. */
void workqueue_add_after(struct workqueue *queue, const char *key, int64_t delay_ms);
/* 5 ms doubling to 60 s for each failure since workqueue_forget. */
void workqueue_add_rate_limited(struct workqueue *queue, const char *key);
void workqueue_forget(struct workqueue *queue, const char *key);
unsigned workqueue_failures(struct workqueue *queue, const char *key);

/* Blocks until a key is due or the queue shuts down (NULL). The key is the caller's until
 * workqueue_done, which frees it. */
char *workqueue_get(struct workqueue *queue);
/* The same without waiting: NULL when nothing is due. For tests under a fake clock. */
char *workqueue_try_get(struct workqueue *queue);
void workqueue_done(struct workqueue *queue, char *key);

/* No more keys are handed out; workers in workqueue_get return. */
void workqueue_shutdown(struct workqueue *queue);
size_t workqueue_depth(struct workqueue *queue);
