#include "common/base/keylock.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include <uthash.h>

#include "common/base/clock.h"
#include "common/base/memory.h"
#include "common/base/mutex.h"

struct held {
    UT_hash_handle hh;
    char key[];
};

struct keylock {
    struct mutex mutex;
    struct cond released;
    struct held *held; /* guarded by mutex */
};

struct keylock *keylock_new(void)
{
    struct keylock *lock = mem_new(struct keylock);
    mutex_init(&lock->mutex);
    cond_init(&lock->released);
    return lock;
}

void keylock_free(struct keylock *lock)
{
    if (lock == NULL)
        return;
    assert(lock->held == NULL);
    cond_fini(&lock->released);
    mutex_fini(&lock->mutex);
    free(lock);
}

static struct held *find(struct keylock *lock, const char *key)
{
    struct held *found;
    HASH_FIND_STR(lock->held, key, found);
    return found;
}

bool keylock_acquire(struct keylock *lock, const char *key, int64_t timeout_ms)
{
    const struct clock *clock = clock_system();
    int64_t deadline = clock_monotonic(clock) + timeout_ms;
    struct held *mine = mem_calloc(1, sizeof(*mine) + strlen(key) + 1);
    memcpy(mine->key, key, strlen(key) + 1);

    mutex_lock(&lock->mutex);
    while (find(lock, key) != NULL) {
        int64_t left = deadline - clock_monotonic(clock);
        if (left <= 0) {
            mutex_unlock(&lock->mutex);
            free(mine);
            return false;
        }
        cond_wait_for(&lock->released, &lock->mutex, left);
    }
    HASH_ADD_STR(lock->held, key, mine);
    mutex_unlock(&lock->mutex);
    return true;
}

void keylock_release(struct keylock *lock, const char *key)
{
    mutex_lock(&lock->mutex);
    struct held *mine = find(lock, key);
    assert(mine != NULL);
    HASH_DEL(lock->held, mine);
    cond_broadcast(&lock->released);
    mutex_unlock(&lock->mutex);
    free(mine);
}
