/* pthread mutex and condition with clang's thread-safety annotations. Both functions abort on
 * misuse (a programmer's error). Lock order between modules is written in docs/architecture.md; no
 * lock is ever held over I/O, a callback or a log call. */
#pragma once

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#if defined(__clang__)
#    define THREAD_ANNOTATION(x) __attribute__((x))
#else
#    define THREAD_ANNOTATION(x)
#endif

struct THREAD_ANNOTATION(capability("mutex")) mutex {
    pthread_mutex_t raw;
};

struct cond {
    pthread_cond_t raw; /* waits on CLOCK_MONOTONIC */
};

void mutex_init(struct mutex *mutex);
void mutex_fini(struct mutex *mutex);
void mutex_lock(struct mutex *mutex) THREAD_ANNOTATION(acquire_capability(mutex));
void mutex_unlock(struct mutex *mutex) THREAD_ANNOTATION(release_capability(mutex));

void cond_init(struct cond *cond);
void cond_fini(struct cond *cond);
void cond_wait(struct cond *cond, struct mutex *mutex);
/* Waits until signalled or `timeout_ms` (< 0: for ever) has passed; returns false on time-out.
 * Spurious wake-ups happen: test the predicate again. */
bool cond_wait_for(struct cond *cond, struct mutex *mutex, int64_t timeout_ms);
void cond_signal(struct cond *cond);
void cond_broadcast(struct cond *cond);
