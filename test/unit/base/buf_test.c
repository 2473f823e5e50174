#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "common/base/buf.h"
#include "common/base/memory.h"

static void test_buf_empty_is_a_text(void **state)
{
    (void)state;
    AUTO(buf) struct buf buf = BUF_INIT(10);
    assert_string_equal(buf_text(&buf), "");
    assert_int_equal(buf_append(&buf, NULL, 0), 0);
    assert_string_equal(buf_text(&buf), "");
}

static void test_buf_appends(void **state)
{
    (void)state;
    AUTO(buf) struct buf buf = BUF_INIT(100);
    assert_int_equal(buf_puts(&buf, "ab"), 0);
    assert_int_equal(buf_putc(&buf, 'c'), 0);
    assert_int_equal(buf_append(&buf, "\0d", 2), 0);
    assert_int_equal(buf_printf(&buf, "%d", 42), 0);
    assert_int_equal(buf.length, 7);
    assert_memory_equal(buf.data, "abc\0d42", 8);
}

static void test_buf_maximum(void **state)
{
    (void)state;
    AUTO(buf) struct buf buf = BUF_INIT(4);
    assert_int_equal(buf_puts(&buf, "abcd"), 0); /* exactly full */
    assert_false(buf_failed(&buf));
    assert_int_equal(buf_putc(&buf, 'e'), -1);
    assert_string_equal(buf_text(&buf), "abcd");
    assert_true(buf_failed(&buf));
}

static void test_buf_failure_is_sticky(void **state)
{
    (void)state;
    AUTO(buf) struct buf buf = BUF_INIT(4);
    assert_int_equal(buf_printf(&buf, "%s", "abcde"), -1);
    assert_int_equal(buf_puts(&buf, "a"), -1);
    assert_string_equal(buf_text(&buf), "");
    buf_reset(&buf);
    assert_int_equal(buf_puts(&buf, "a"), 0);
    assert_false(buf_failed(&buf));
}

static void test_buf_consume(void **state)
{
    (void)state;
    static const struct {
        size_t count;
        const char *left;
    } cases[] = { { 0, "abcd" }, { 1, "bcd" }, { 4, "" }, { 9, "" } };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        AUTO(buf) struct buf buf = BUF_INIT(10);
        buf_puts(&buf, "abcd");
        buf_consume(&buf, cases[i].count);
        assert_string_equal(buf_text(&buf), cases[i].left);
        assert_int_equal(buf.length, strlen(cases[i].left));
    }
}

static void test_buf_consume_of_nothing(void **state)
{
    (void)state;
    AUTO(buf) struct buf buf = BUF_INIT(10);
    buf_consume(&buf, 3);
    assert_string_equal(buf_text(&buf), "");
}

static void test_buf_take(void **state)
{
    (void)state;
    struct buf buf = BUF_INIT(10);
    AUTO_FREE char *nothing = buf_take(&buf);
    assert_string_equal(nothing, "");
    buf_puts(&buf, "abc");
    AUTO_FREE char *text = buf_take(&buf);
    assert_string_equal(text, "abc");
    assert_null(buf.data);
    assert_int_equal(buf.bytes_max, 10);
}

static void test_buf_grows(void **state)
{
    (void)state;
    AUTO(buf) struct buf buf = BUF_INIT(100000);
    for (int i = 0; i < 10000; i++)
        buf_printf(&buf, "%04d", i);
    assert_int_equal(buf.length, 40000);
    assert_memory_equal(buf.data + 4 * 9876, "9876", 4);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_buf_empty_is_a_text),
        cmocka_unit_test(test_buf_appends),
        cmocka_unit_test(test_buf_maximum),
        cmocka_unit_test(test_buf_failure_is_sticky),
        cmocka_unit_test(test_buf_consume),
        cmocka_unit_test(test_buf_consume_of_nothing),
        cmocka_unit_test(test_buf_take),
        cmocka_unit_test(test_buf_grows),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
