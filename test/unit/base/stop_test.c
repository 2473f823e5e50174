#include <poll.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "common/base/stop.h"

static void test_stop_wait_ends_without_being_raised(void **state)
{
    (void)state;
    struct stop stop;
    stop_init(&stop);
    assert_false(stop_wait(&stop, 0));
    assert_false(stop_wait(&stop, 1));
    assert_false(stop_raised(&stop));
    stop_fini(&stop);
}

static void test_stop_raised_stays_raised(void **state)
{
    (void)state;
    struct stop stop;
    stop_init(&stop);
    for (int i = 0; i < 2; i++)
        stop_raise(&stop);
    for (int i = 0; i < 2; i++) {
        assert_true(stop_raised(&stop));
        assert_true(stop_wait(&stop, -1));
    }
    stop_fini(&stop);
}

static void test_stop_descriptor_becomes_readable(void **state)
{
    (void)state;
    struct stop stop;
    stop_init(&stop);
    struct pollfd wait = { .fd = stop.fd, .events = POLLIN };
    assert_int_equal(poll(&wait, 1, 0), 0);
    stop_raise(&stop);
    assert_int_equal(poll(&wait, 1, 0), 1);
    stop_fini(&stop);
}

static void *wait_for_ever(void *argument)
{
    return stop_wait(argument, -1) ? argument : NULL;
}

static void test_stop_wakes_every_waiter(void **state)
{
    (void)state;
    struct stop stop;
    pthread_t waiters[3];
    stop_init(&stop);
    for (size_t i = 0; i < 3; i++)
        assert_int_equal(pthread_create(&waiters[i], NULL, wait_for_ever, &stop), 0);
    stop_raise(&stop);
    for (size_t i = 0; i < 3; i++) {
        void *result = NULL;
        pthread_join(waiters[i], &result);
        assert_ptr_equal(result, &stop);
    }
    stop_fini(&stop);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_stop_wait_ends_without_being_raised),
        cmocka_unit_test(test_stop_raised_stays_raised),
        cmocka_unit_test(test_stop_descriptor_becomes_readable),
        cmocka_unit_test(test_stop_wakes_every_waiter),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
