#include "common/base/mutex.h"

#include <assert.h>
#include <errno.h>
#include <time.h>

#if defined(__clang__)
#    pragma clang diagnostic ignored "-Wthread-safety-analysis"
#endif

#define MUST_SUCCEED(call)    \
    do {                      \
        int result_ = (call); \
        assert(result_ == 0); \
        (void)result_;        \
    } while (0)

void mutex_init(struct mutex *mutex)
{
    MUST_SUCCEED(pthread_mutex_init(&mutex->raw, NULL));
}

void mutex_fini(struct mutex *mutex)
{
    MUST_SUCCEED(pthread_mutex_destroy(&mutex->raw));
}

void mutex_lock(struct mutex *mutex)
{
    MUST_SUCCEED(pthread_mutex_lock(&mutex->raw));
}

void mutex_unlock(struct mutex *mutex)
{
    MUST_SUCCEED(pthread_mutex_unlock(&mutex->raw));
}

void cond_init(struct cond *cond)
{
    pthread_condattr_t attributes;
    MUST_SUCCEED(pthread_condattr_init(&attributes));
    MUST_SUCCEED(pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC));
    MUST_SUCCEED(pthread_cond_init(&cond->raw, &attributes));
    MUST_SUCCEED(pthread_condattr_destroy(&attributes));
}

void cond_fini(struct cond *cond)
{
    MUST_SUCCEED(pthread_cond_destroy(&cond->raw));
}

void cond_wait(struct cond *cond, struct mutex *mutex)
{
    MUST_SUCCEED(pthread_cond_wait(&cond->raw, &mutex->raw));
}

bool cond_wait_for(struct cond *cond, struct mutex *mutex, int64_t timeout_ms)
{
    if (timeout_ms < 0) {
        cond_wait(cond, mutex);
        return true;
    }
    struct timespec deadline;
    clock_gettime(CLOCK_MONOTONIC, &deadline);
    deadline.tv_sec += timeout_ms / 1000;
    deadline.tv_nsec += (long)(timeout_ms % 1000) * 1000000L;
    if (deadline.tv_nsec >= 1000000000L) {
        deadline.tv_sec++;
        deadline.tv_nsec -= 1000000000L;
    }
    int result = pthread_cond_timedwait(&cond->raw, &mutex->raw, &deadline);
    assert(result == 0 || result == ETIMEDOUT);
    return result == 0;
}

void cond_signal(struct cond *cond)
{
    MUST_SUCCEED(pthread_cond_signal(&cond->raw));
}

void cond_broadcast(struct cond *cond)
{
    MUST_SUCCEED(pthread_cond_broadcast(&cond->raw));
}
