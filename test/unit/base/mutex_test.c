#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "common/base/mutex.h"

struct shared {
    struct mutex lock;
    struct cond changed;
    int value;
};

static int set_up(void **state)
{
    static struct shared shared;
    mutex_init(&shared.lock);
    cond_init(&shared.changed);
    shared.value = 0;
    *state = &shared;
    return 0;
}

static int tear_down(void **state)
{
    struct shared *shared = *state;
    cond_fini(&shared->changed);
    mutex_fini(&shared->lock);
    return 0;
}

static void *add(void *argument)
{
    struct shared *shared = argument;
    for (int i = 0; i < 10000; i++) {
        mutex_lock(&shared->lock);
        shared->value++;
        mutex_unlock(&shared->lock);
    }
    return NULL;
}

static void test_mutex_excludes(void **state)
{
    struct shared *shared = *state;
    pthread_t threads[3];
    for (size_t i = 0; i < 3; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, add, shared), 0);
    for (size_t i = 0; i < 3; i++)
        pthread_join(threads[i], NULL);
    assert_int_equal(shared->value, 30000);
}

static void test_cond_wait_for_times_out(void **state)
{
    struct shared *shared = *state;
    mutex_lock(&shared->lock);
    while (cond_wait_for(&shared->changed, &shared->lock, 1)) {
        /* a spurious wake-up: it may happen, and not for ever */
    }
    while (cond_wait_for(&shared->changed, &shared->lock, 0)) {
    }
    mutex_unlock(&shared->lock);
}

static void *wait_for_value(void *argument)
{
    struct shared *shared = argument;
    mutex_lock(&shared->lock);
    while (shared->value == 0)
        cond_wait_for(&shared->changed, &shared->lock, -1);
    shared->value++;
    mutex_unlock(&shared->lock);
    return NULL;
}

static void test_cond_broadcast_wakes_all(void **state)
{
    struct shared *shared = *state;
    pthread_t threads[3];
    for (size_t i = 0; i < 3; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, wait_for_value, shared), 0);
    mutex_lock(&shared->lock);
    shared->value = 1;
    cond_broadcast(&shared->changed);
    mutex_unlock(&shared->lock);
    for (size_t i = 0; i < 3; i++)
        pthread_join(threads[i], NULL);
    assert_int_equal(shared->value, 4);
}

static void test_cond_signal_wakes_one(void **state)
{
    struct shared *shared = *state;
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, wait_for_value, shared), 0);
    mutex_lock(&shared->lock);
    shared->value = 1;
    cond_signal(&shared->changed);
    mutex_unlock(&shared->lock);
    pthread_join(thread, NULL);
    assert_int_equal(shared->value, 2);
}

#define WITH_FIXTURE(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_FIXTURE(test_mutex_excludes),
        WITH_FIXTURE(test_cond_wait_for_times_out),
        WITH_FIXTURE(test_cond_broadcast_wakes_all),
        WITH_FIXTURE(test_cond_signal_wakes_one),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
