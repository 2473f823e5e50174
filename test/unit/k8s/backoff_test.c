#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "common/base/compiler.h"
#include "common/k8s/backoff.h"

static void test_backoff_grows_with_jitter_up_to_30_s(void **state)
{
    (void)state;
    static const int64_t least_ms[] = { 50,    200,   800,   1600,  3200, 6400,
                                        12800, 25600, 30000, 30000, 30000 };
    struct backoff backoff = { .rng = { .state = 1 } };
    int64_t now_ms = 1000;
    for (size_t i = 0; i < ARRAY_LEN(least_ms); i++) {
        int64_t wait_ms = backoff_next(&backoff, now_ms, 0);
        assert_in_range(wait_ms, least_ms[i], least_ms[i] + least_ms[i] / 2);
        now_ms += wait_ms;
    }
}

static void test_backoff_replicas_do_not_agree(void **state)
{
    (void)state;
    struct backoff a = { .rng = { .state = 1 }, .failures = 8 },
                   b = { .rng = { .state = 2 }, .failures = 8 };
    assert_int_not_equal(backoff_next(&a, 0, 0), backoff_next(&b, 0, 0));
}

static void test_backoff_is_small_again_after_health(void **state)
{
    (void)state;
    static const struct {
        int64_t healthy_ms;
        unsigned failures_after;
    } cases[] = { { BACKOFF_HEALTHY_MS, 6 }, { BACKOFF_HEALTHY_MS + 1, 1 } };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct backoff backoff = { .failures = 5, .last_failure_ms = 1000 };
        backoff_next(&backoff, 1000 + cases[i].healthy_ms, 0);
        assert_int_equal(backoff.failures, cases[i].failures_after);
    }
}

static void test_backoff_honours_retry_after(void **state)
{
    (void)state;
    struct backoff backoff = { .failures = 0 };
    assert_int_equal(backoff_next(&backoff, 0, 7000), 7000);
    assert_int_equal(backoff_next(&backoff, 0, INT64_MAX), BACKOFF_RETRY_AFTER_MS_MAX);
    backoff.failures = 8;
    assert_true(backoff_next(&backoff, 0, 1) >= 30000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_backoff_grows_with_jitter_up_to_30_s),
        cmocka_unit_test(test_backoff_replicas_do_not_agree),
        cmocka_unit_test(test_backoff_is_small_again_after_health),
        cmocka_unit_test(test_backoff_honours_retry_after),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
