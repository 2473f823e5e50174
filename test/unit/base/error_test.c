#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "common/base/error.h"

static void test_error_set(void **state)
{
    (void)state;
    struct error err = { .http_status = 404, .retry_after_ms = 5 };
    assert_int_equal(error_set(&err, ERR_NOT_FOUND, "no %s", "node"), -1);
    assert_int_equal(err.code, ERR_NOT_FOUND);
    assert_int_equal(err.http_status, 0);
    assert_int_equal(err.retry_after_ms, 0);
    assert_string_equal(err.message, "no node");
}

static void test_error_wrap_keeps_the_code(void **state)
{
    (void)state;
    struct error err = ERROR_INIT;
    error_set(&err, ERR_THROTTLED, "slow down");
    err.retry_after_ms = 1000;
    assert_int_equal(error_wrap(&err, "apply %s", "x/a"), -1);
    assert_string_equal(err.message, "apply x/a: slow down");
    assert_int_equal(err.code, ERR_THROTTLED);
    assert_int_equal(err.retry_after_ms, 1000);
}

static void test_error_messages_are_cut(void **state)
{
    (void)state;
    struct error err = ERROR_INIT;
    error_set(&err, ERR_INTERNAL, "%0600d", 1);
    assert_int_equal(strlen(err.message), sizeof(err.message) - 1);
    error_wrap(&err, "outer");
    assert_memory_equal(err.message, "outer: 000", 10);
    error_wrap(&err, "%0600d", 2);
    assert_int_equal(strlen(err.message), sizeof(err.message) - 1);
}

static void test_error_codes(void **state)
{
    (void)state;
    static const struct {
        enum error_code code;
        const char *name;
        enum error_retry retry;
    } cases[] = { { ERR_NONE, "NONE", ERR_RETRY_BACKOFF },
                  { ERR_INVALID, "INVALID", ERR_RETRY_NEVER },
                  { ERR_THROTTLED, "THROTTLED", ERR_RETRY_AFTER },
                  { ERR_UNAVAILABLE, "UNAVAILABLE", ERR_RETRY_BACKOFF },
                  { ERR_TERMINAL, "TERMINAL", ERR_RETRY_NEVER },
                  { ERR_COUNT, "UNKNOWN", ERR_RETRY_BACKOFF } };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        assert_string_equal(error_code_name(cases[i].code), cases[i].name);
        assert_int_equal(error_retry_class(cases[i].code), cases[i].retry);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_error_set),
        cmocka_unit_test(test_error_wrap_keeps_the_code),
        cmocka_unit_test(test_error_messages_are_cut),
        cmocka_unit_test(test_error_codes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
