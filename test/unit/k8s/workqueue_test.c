#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "common/base/compiler.h"
#include "common/base/metrics.h"
#include "common/k8s/workqueue.h"

struct fixture {
    struct clock_fake clock;
    struct workqueue *queue;
};

static int set_up(void **state)
{
    static struct fixture fixture;
    metrics_reset();
    clock_fake_init(&fixture.clock, 1000);
    fixture.queue = workqueue_new("test", &fixture.clock.clock);
    *state = &fixture;
    return 0;
}

static int tear_down(void **state)
{
    workqueue_free(((struct fixture *)*state)->queue);
    return 0;
}

/* Takes the next key, which must be `expected` (NULL: none), and gives it back. */
static void expect_next(struct workqueue *queue, const char *expected)
{
    char *key = workqueue_try_get(queue);
    if (expected == NULL) {
        assert_null(key);
        return;
    }
    assert_non_null(key);
    assert_string_equal(key, expected);
    workqueue_done(queue, key);
}

static void test_workqueue_is_first_in_first_out(void **state)
{
    struct workqueue *queue = ((struct fixture *)*state)->queue;
    workqueue_add(queue, "b");
    workqueue_add(queue, "a");
    assert_int_equal(workqueue_depth(queue), 2);
    expect_next(queue, "b");
    expect_next(queue, "a");
    expect_next(queue, NULL);
}

static void test_workqueue_holds_a_key_once(void **state)
{
    struct workqueue *queue = ((struct fixture *)*state)->queue;
    workqueue_add(queue, "a");
    workqueue_add(queue, "a");
    assert_int_equal(workqueue_depth(queue), 1);
    expect_next(queue, "a");
    expect_next(queue, NULL);
}

static void test_workqueue_key_added_while_processed_comes_back_after_done(void **state)
{
    struct workqueue *queue = ((struct fixture *)*state)->queue;
    workqueue_add(queue, "a");
    char *key = workqueue_try_get(queue);
    workqueue_add(queue, "a");
    workqueue_add(queue, "a");
    assert_null(workqueue_try_get(queue));
    workqueue_done(queue, key);
    expect_next(queue, "a");
    expect_next(queue, NULL);
}

static void test_workqueue_add_after_waits(void **state)
{
    struct fixture *fixture = *state;
    workqueue_add_after(fixture->queue, "a", 100);
    fixture->clock.now_ms += 99;
    expect_next(fixture->queue, NULL);
    fixture->clock.now_ms += 1;
    expect_next(fixture->queue, "a");
    expect_next(fixture->queue, NULL);
}

static void test_workqueue_earliest_time_wins(void **state)
{
    struct fixture *fixture = *state;
    static const struct {
        int64_t first_ms, second_ms;
    } cases[] = { { 100, 50 }, { 50, 100 } };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        workqueue_add_after(fixture->queue, "a", cases[i].first_ms);
        workqueue_add_after(fixture->queue, "a", cases[i].second_ms);
        fixture->clock.now_ms += 50;
        expect_next(fixture->queue, "a");
        fixture->clock.now_ms += 50;
        expect_next(fixture->queue, NULL);
    }
}

static void test_workqueue_delayed_keys_come_in_order_of_time(void **state)
{
    struct fixture *fixture = *state;
    /* 37 is a generator of the integers modulo 101: delays come in no order at all. */
    for (int i = 1; i <= 100; i++) {
        char key[16];
        snprintf(key, sizeof(key), "%03d", i * 37 % 101);
        workqueue_add_after(fixture->queue, key, i * 37 % 101);
    }
    for (int i = 1; i <= 100; i++) {
        char key[16];
        snprintf(key, sizeof(key), "%03d", i);
        fixture->clock.now_ms++;
        expect_next(fixture->queue, key);
        expect_next(fixture->queue, NULL);
    }
}

static void test_workqueue_equal_times_keep_the_order_of_adding(void **state)
{
    struct fixture *fixture = *state;
    static const char *const keys[] = { "d", "a", "c", "b" };
    for (size_t i = 0; i < ARRAY_LEN(keys); i++)
        workqueue_add_after(fixture->queue, keys[i], 10);
    fixture->clock.now_ms += 10;
    for (size_t i = 0; i < ARRAY_LEN(keys); i++)
        expect_next(fixture->queue, keys[i]);
}

static void test_workqueue_delay_does_not_hold_up_an_add(void **state)
{
    struct fixture *fixture = *state;
    workqueue_add_after(fixture->queue, "a", 100);
    workqueue_add(fixture->queue, "a");
    expect_next(fixture->queue, "a");
    fixture->clock.now_ms += 100;
    expect_next(fixture->queue, "a");
}

static void test_workqueue_rate_limit_doubles_up_to_a_minute(void **state)
{
    struct fixture *fixture = *state;
    int64_t expected_ms = WORKQUEUE_BACKOFF_BASE_MS;
    for (unsigned i = 0; i < 20; i++) {
        workqueue_add_rate_limited(fixture->queue, "a");
        assert_int_equal(workqueue_failures(fixture->queue, "a"), i + 1);
        fixture->clock.now_ms += expected_ms - 1;
        expect_next(fixture->queue, NULL);
        fixture->clock.now_ms += 1;
        expect_next(fixture->queue, "a");
        expected_ms =
            expected_ms * 2 < WORKQUEUE_BACKOFF_MAX_MS ? expected_ms * 2 : WORKQUEUE_BACKOFF_MAX_MS;
    }
}

static void test_workqueue_forget(void **state)
{
    struct fixture *fixture = *state;
    workqueue_add_rate_limited(fixture->queue, "a");
    workqueue_add_rate_limited(fixture->queue, "a");
    workqueue_forget(fixture->queue, "a");
    assert_int_equal(workqueue_failures(fixture->queue, "a"), 0);
    workqueue_forget(fixture->queue, "never seen");
    fixture->clock.now_ms += WORKQUEUE_BACKOFF_BASE_MS;
    expect_next(fixture->queue, "a"); /* forgetting failures does not cancel the retry */
}

static void test_workqueue_after_shutdown_nothing_is_handed_out(void **state)
{
    struct workqueue *queue = ((struct fixture *)*state)->queue;
    workqueue_add(queue, "a");
    workqueue_shutdown(queue);
    workqueue_add(queue, "b");
    assert_null(workqueue_try_get(queue));
    assert_null(workqueue_get(queue));
}

static void test_workqueue_metrics(void **state)
{
    struct workqueue *queue = ((struct fixture *)*state)->queue;
    const char *const labels[] = { "test", NULL };
    workqueue_add(queue, "a");
    workqueue_add(queue, "a");
    workqueue_add(queue, "b");
    workqueue_add_rate_limited(queue, "c");
    assert_int_equal((int)metric_value(METRIC_WORKQUEUE_DEPTH, labels), 2);
    assert_int_equal((int)metric_value(METRIC_WORKQUEUE_ADDS_TOTAL, labels), 2);
    assert_int_equal((int)metric_value(METRIC_WORKQUEUE_RETRIES_TOTAL, labels), 1);
    expect_next(queue, "a");
    assert_int_equal((int)metric_value(METRIC_WORKQUEUE_DEPTH, labels), 1);
}

/* ------------------------------------------------------------------ threads */

enum { KEYS = 8, ADDS = 2000, WORKERS = 3 };

struct race {
    struct workqueue *queue;
    atomic_int busy[KEYS]; /* workers in each key: never above 1 */
    atomic_int handled[KEYS];
    atomic_int overlaps;
};

static void *race_work(void *argument)
{
    struct race *race = argument;
    char *key;
    while ((key = workqueue_get(race->queue)) != NULL) {
        int number = key[0] - '0';
        if (atomic_fetch_add(&race->busy[number], 1) != 0)
            atomic_fetch_add(&race->overlaps, 1);
        atomic_fetch_add(&race->handled[number], 1);
        atomic_fetch_sub(&race->busy[number], 1);
        workqueue_done(race->queue, key);
    }
    return NULL;
}

static void *race_add(void *argument)
{
    struct race *race = argument;
    for (int i = 0; i < ADDS; i++) {
        char key[3] = { (char)('0' + i % KEYS), '\0' };
        workqueue_add_after(race->queue, key, i % 3);
    }
    return NULL;
}

static void test_workqueue_one_worker_a_key(void **state)
{
    (void)state;
    static struct race race;
    pthread_t workers[WORKERS], adders[2];
    race.queue = workqueue_new("race", clock_system());
    for (size_t i = 0; i < WORKERS; i++)
        assert_int_equal(pthread_create(&workers[i], NULL, race_work, &race), 0);
    for (size_t i = 0; i < 2; i++)
        assert_int_equal(pthread_create(&adders[i], NULL, race_add, &race), 0);
    for (size_t i = 0; i < 2; i++)
        pthread_join(adders[i], NULL);
    for (size_t i = 0; i < KEYS; i++) { /* a key that got lost is a test that never ends */
        while (atomic_load(&race.handled[i]) == 0)
            sched_yield();
    }
    workqueue_shutdown(race.queue);
    for (size_t i = 0; i < WORKERS; i++)
        pthread_join(workers[i], NULL);
    assert_int_equal(atomic_load(&race.overlaps), 0);
    workqueue_free(race.queue);
}

static void *get_one(void *argument)
{
    return workqueue_get(argument);
}

static void test_workqueue_get_wakes_for_delayed_keys(void **state)
{
    (void)state;
    struct workqueue *queue = workqueue_new("delayed", clock_system());
    pthread_t waiters[2];
    for (size_t i = 0; i < 2; i++)
        assert_int_equal(pthread_create(&waiters[i], NULL, get_one, queue), 0);
    workqueue_add_after(queue, "far", 60 * 60 * 1000); /* nobody may sleep as long as this */
    workqueue_add_after(queue, "a", 20);
    workqueue_add_after(queue, "b", 10);
    char sum = 0;
    for (size_t i = 0; i < 2; i++) {
        void *key = NULL;
        pthread_join(waiters[i], &key);
        assert_non_null(key);
        sum = (char)(sum + *(char *)key);
        workqueue_done(queue, key);
    }
    assert_int_equal(sum, (char)('a' + 'b'));
    workqueue_free(queue);
}

static void test_workqueue_shutdown_wakes_waiters(void **state)
{
    (void)state;
    struct workqueue *queue = workqueue_new("shutdown", clock_system());
    pthread_t waiter;
    void *key = queue;
    assert_int_equal(pthread_create(&waiter, NULL, get_one, queue), 0);
    workqueue_shutdown(queue);
    pthread_join(waiter, &key);
    assert_null(key);
    workqueue_free(queue);
}

#define WITH_FIXTURE(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_FIXTURE(test_workqueue_is_first_in_first_out),
        WITH_FIXTURE(test_workqueue_holds_a_key_once),
        WITH_FIXTURE(test_workqueue_key_added_while_processed_comes_back_after_done),
        WITH_FIXTURE(test_workqueue_add_after_waits),
        WITH_FIXTURE(test_workqueue_earliest_time_wins),
        WITH_FIXTURE(test_workqueue_delayed_keys_come_in_order_of_time),
        WITH_FIXTURE(test_workqueue_equal_times_keep_the_order_of_adding),
        WITH_FIXTURE(test_workqueue_delay_does_not_hold_up_an_add),
        WITH_FIXTURE(test_workqueue_rate_limit_doubles_up_to_a_minute),
        WITH_FIXTURE(test_workqueue_forget),
        WITH_FIXTURE(test_workqueue_after_shutdown_nothing_is_handed_out),
        WITH_FIXTURE(test_workqueue_metrics),
        cmocka_unit_test(test_workqueue_one_worker_a_key),
        cmocka_unit_test(test_workqueue_get_wakes_for_delayed_keys),
        cmocka_unit_test(test_workqueue_shutdown_wakes_waiters),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
