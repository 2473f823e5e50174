#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "common/base/keylock.h"

static void test_keylock_one_holder_a_key(void **state)
{
    (void)state;
    struct keylock *lock = keylock_new();
    assert_true(keylock_acquire(lock, "a", 0));
    assert_false(keylock_acquire(lock, "a", 0));
    assert_true(keylock_acquire(lock, "b", 0));
    keylock_release(lock, "a");
    assert_true(keylock_acquire(lock, "a", 0));
    keylock_release(lock, "a");
    keylock_release(lock, "b");
    keylock_free(lock);
}

enum { THREADS = 4, ROUNDS = 500 };

struct race {
    struct keylock *lock;
    atomic_int inside, overlaps;
};

static void *contend(void *context)
{
    struct race *race = context;
    for (int i = 0; i < ROUNDS; i++) {
        if (!keylock_acquire(race->lock, "key", 60 * 1000))
            continue;
        if (atomic_fetch_add(&race->inside, 1) != 0)
            atomic_fetch_add(&race->overlaps, 1);
        atomic_fetch_sub(&race->inside, 1);
        keylock_release(race->lock, "key");
    }
    return NULL;
}

static void test_keylock_excludes_threads(void **state)
{
    (void)state;
    struct race race = { .lock = keylock_new() };
    pthread_t threads[THREADS];
    for (int i = 0; i < THREADS; i++)
        pthread_create(&threads[i], NULL, contend, &race);
    for (int i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    assert_int_equal(atomic_load(&race.overlaps), 0);
    keylock_free(race.lock);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_keylock_one_holder_a_key),
        cmocka_unit_test(test_keylock_excludes_threads),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
