#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "common/base/clock.h"

static void test_clock_fake_stands_still(void **state)
{
    (void)state;
    struct clock_fake fake;
    clock_fake_init(&fake, 42);
    assert_int_equal(clock_monotonic(&fake.clock), 42);
    fake.now_ms += 8;
    assert_int_equal(clock_monotonic(&fake.clock), 50);
    assert_int_equal(clock_realtime(&fake.clock), 50);
}

static void test_clock_system_does_not_go_back(void **state)
{
    (void)state;
    int64_t before = clock_monotonic(clock_system());
    assert_true(clock_monotonic(clock_system()) >= before);
    assert_true(clock_realtime(clock_system()) > INT64_C(1700000000000));
}

static void test_rfc3339_format(void **state)
{
    (void)state;
    char text[RFC3339_BYTES];
    rfc3339_format(INT64_C(1795498606123), text);
    assert_string_equal(text, "2026-11-24T05:36:46Z");
    rfc3339_format_micros(INT64_C(1795498606123), text);
    assert_string_equal(text, "2026-11-24T05:36:46.123000Z");
}

static void test_rfc3339_parse(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        int64_t ms;
    } cases[] = { { "1970-01-01T00:00:00Z", 0 },
                  { "2026-11-24T05:36:46Z", INT64_C(1795498606000) },
                  { "2026-11-24t05:36:46z", INT64_C(1795498606000) },
                  { "2026-11-24T05:36:46.1Z", INT64_C(1795498606100) },
                  { "2026-11-24T05:36:46.123456789Z", INT64_C(1795498606123) },
                  { "2026-11-24T07:06:46+01:30", INT64_C(1795498606000) },
                  { "2026-11-23T21:36:46-08:00", INT64_C(1795498606000) },
                  { "2024-02-29T00:00:00Z", INT64_C(1709164800000) },
                  { "2016-12-31T23:59:60Z", INT64_C(1483228800000) },
                  { "1969-12-31T23:59:59Z", -1000 } };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        int64_t ms = 7;
        assert_int_equal(rfc3339_parse(cases[i].text, &ms), 0);
        assert_int_equal(ms, cases[i].ms);
    }
}

static void test_rfc3339_parse_refuses(void **state)
{
    (void)state;
    static const char *const cases[] = { "",
                                         "now",
                                         "2026-11-24",
                                         "2026-11-24T05:36:46",
                                         "2026-11-24 05:36:46Z",
                                         "2026-13-24T05:36:46Z",
                                         "2026-00-24T05:36:46Z",
                                         "2026-02-29T05:36:46Z",
                                         "1900-02-29T05:36:46Z",
                                         "2026-04-31T05:36:46Z",
                                         "2026-11-24T24:00:00Z",
                                         "2026-11-24T05:60:46Z",
                                         "2026-11-24T05:36:61Z",
                                         "2026-11-24T05:36:46.Z",
                                         "2026-11-24T05:36:46ZZ",
                                         "2026-11-24T05:36:46+1:30",
                                         "2026-11-24T05:36:46+24:00",
                                         "2026-11-24T05:36:46+01:60",
                                         "2026-11-24T05:36:46+-1:00",
                                         "+026-11-24T05:36:46Z",
                                         " 026-11-24T05:36:46Z",
                                         "2026-+1-24T05:36:46Z",
                                         "2026-1-024T05:36:46Z" };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        int64_t ms = 7;
        assert_int_equal(rfc3339_parse(cases[i], &ms), -1);
        assert_int_equal(ms, 7);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_clock_fake_stands_still),
        cmocka_unit_test(test_clock_system_does_not_go_back),
        cmocka_unit_test(test_rfc3339_format),
        cmocka_unit_test(test_rfc3339_parse),
        cmocka_unit_test(test_rfc3339_parse_refuses),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
