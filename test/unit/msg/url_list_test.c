#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "common/msg/url_list.h"

static void test_url_list_parse(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        size_t count;
        const char *items[3];
    } rows[] = {
        { "", 0, { NULL } },
        { "inproc://a", 1, { "inproc://a" } },
        { "inproc://a,tls+tcp://b:1,ipc:///c", 3, { "inproc://a", "tls+tcp://b:1", "ipc:///c" } },
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        AUTO(url_list) struct url_list list = { .count = 0 };
        struct error err = ERROR_INIT;
        assert_int_equal(url_list_parse(rows[i].text, &list, &err), 0);
        assert_int_equal(list.count, rows[i].count);
        for (size_t k = 0; k < list.count; k++)
            assert_string_equal(list.items[k], rows[i].items[k]);
    }
}

static void test_url_list_refuses(void **state)
{
    (void)state;
    static const char *const rows[] = { ",", "a,", ",a", "a,,b",
                                        "1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17" };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct url_list list = { .count = 0 };
        struct error err = ERROR_INIT;
        assert_int_equal(url_list_parse(rows[i], &list, &err), -1);
        assert_int_equal(err.code, ERR_INVALID);
        assert_int_equal(list.count, 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_url_list_parse),
        cmocka_unit_test(test_url_list_refuses),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
