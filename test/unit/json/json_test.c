#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "common/base/memory.h"
#include "common/json/json.h"
#include "test/lib/literals.h"

/* Parses a copy that ends where the text does, so that a read beyond it is seen by the sanitizer.
 */
static int parse_exactly(const char *bytes, size_t count, cJSON **out, struct error *err)
{
    AUTO_FREE char *copy = mem_alloc(count);
    memcpy(copy, bytes, count);
    return json_parse(copy, count, JSON_BYTES_MAX, out, err);
}

static void test_json_parse_and_print(void **state)
{
    (void)state;
    static const char *const table[][2] = {
        { "null", "null" },
        { " true ", "true" },
        { "\t\r\n[]\n", "[]" },
        { "{}", "{}" },
        { "\"\"", "\"\"" },
        { "\"\\u00e9\\n\\\"\"", "\"\xC3\xA9\\n\\\"\"" },
        { "\"\\ud83d\\ude00\"", "\"\xF0\x9F\x98\x80\"" },
        { "\"\\\\u0000\"", "\"\\\\u0000\"" },
        { "0", "0" },
        { "-1.5e3", "-1500" },
        { "999999999999999", "999999999999999" },
        { "-999999999999999", "-999999999999999" },
        { "{\"b\":1,\"a\":[1,{\"c\":null}]}", "{\"b\":1,\"a\":[1,{\"c\":null}]}" },
        { "{\"a\":1,\"A\":2}", "{\"a\":1,\"A\":2}" },
        { "\xEF\xBB\xBF{}", "{}" },
    };
    for (size_t i = 0; i < ARRAY_LEN(table); i++) {
        AUTO(json) cJSON *json = NULL;
        struct error err = ERROR_INIT;
        if (parse_exactly(table[i][0], strlen(table[i][0]), &json, &err) < 0)
            fail_msg("%s: %s", table[i][0], err.message);
        AUTO_FREE char *text = json_print(json);
        assert_string_equal(text, table[i][1]);
    }
}

static void check_refused(const char *bytes, size_t count, const char *message)
{
    cJSON *json = NULL;
    struct error err = ERROR_INIT;
    if (parse_exactly(bytes, count, &json, &err) == 0)
        fail_msg("accepted: %s", bytes);
    assert_null(json);
    assert_int_equal(err.code, ERR_INVALID);
    if (strstr(err.message, message) == NULL)
        fail_msg("%s: \"%s\" does not say \"%s\"", bytes, err.message, message);
}

static void test_json_parse_refuses(void **state)
{
    (void)state;
    static const char *const table[][2] = {
        { "", "invalid JSON" },
        { "  ", "invalid JSON" },
        { "{", "invalid JSON" },
        { "{\"a\":}", "at byte 5" },
        { "{'a':1}", "at byte" },
        { "[1,]", "at byte 3" },
        { "{} {}", "at byte 3: content after the document" },
        { "{}x", "at byte 2: content after the document" },
        { "\"abc", "invalid JSON" },
        { "\"\\ud800\"", "invalid JSON" },
        { "\"\\x\"", "invalid JSON" },
        { "nul", "invalid JSON" },
        { "tru", "invalid JSON" },
        { "\"a\\u0000b\"", "at byte 2: \\u0000" },
        { "{\"a\\u0000\":1}", "at byte 3: \\u0000" },
    };
    for (size_t i = 0; i < ARRAY_LEN(table); i++)
        check_refused(table[i][0], strlen(table[i][0]), table[i][1]);
    check_refused("{}\0", 3, "at byte 2: NUL byte");
    check_refused("\"a\0b\"", 5, "at byte 2: NUL byte");
}

static void test_json_parse_bounds_the_nesting(void **state)
{
    (void)state;
    char text[2 * (JSON_DEPTH_MAX + 1)];
    memset(text, '[', JSON_DEPTH_MAX);
    memset(text + JSON_DEPTH_MAX, ']', JSON_DEPTH_MAX);
    AUTO(json) cJSON *json = NULL;
    struct error err = ERROR_INIT;
    assert_int_equal(parse_exactly(text, 2 * JSON_DEPTH_MAX, &json, &err), 0);

    memset(text, '[', JSON_DEPTH_MAX + 1);
    memset(text + JSON_DEPTH_MAX + 1, ']', JSON_DEPTH_MAX + 1);
    check_refused(text, sizeof(text), "at byte 64: nested deeper than 64");
}

static void test_json_parse_counts_no_brackets_in_strings(void **state)
{
    (void)state;
    char text[JSON_DEPTH_MAX + 6];
    memset(text, '[', sizeof(text));
    memcpy(text, "\"\\\"", 3);
    text[sizeof(text) - 1] = '"';
    AUTO(json) cJSON *json = NULL;
    struct error err = ERROR_INIT;
    assert_int_equal(parse_exactly(text, sizeof(text), &json, &err), 0);
}

static void test_json_parse_bounds_the_size(void **state)
{
    (void)state;
    cJSON *json = NULL;
    struct error err = ERROR_INIT;
    assert_int_equal(json_parse("[1, 2]", 6, 5, &json, &err), -1);
    assert_int_equal(err.code, ERR_TOO_LARGE);
    assert_null(json);
    assert_int_equal(json_parse("[1, 2]", 6, 6, &json, &err), 0);
    json_free(json);
}

static void test_json_parse_within_bounds(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        const char *message; /* NULL: parses */
    } table[] = {
        { "[1,2,3]", NULL },
        { "[1,2,3,4]", "more than 3 items" },
        { "{\"a\":1,\"b\":2,\"c\":3,\"d\":4}", "more than 3 items" },
        { "[[1,2],[3,4]]", NULL },
        { "[[1,2,3],[4,5,6]]", "more than 6 values" },
        { "[\"12345678\"]", NULL },
        { "[\"123456789\"]", "at byte 2: a string of more than 8 bytes" },
        { "{\"123456789\":1}", "a string of more than 8 bytes" },
        { "[\",,,,,[[[\"]", NULL },
    };
    const struct json_limits limits = {
        .bytes_max = 64, .values_max = 6, .items_max = 3, .string_bytes_max = 8
    };
    for (size_t i = 0; i < ARRAY_LEN(table); i++) {
        AUTO(json) cJSON *json = NULL;
        struct error err = ERROR_INIT;
        int result = json_parse_within(table[i].text, strlen(table[i].text), &limits, &json, &err);
        if (table[i].message == NULL) {
            assert_int_equal(result, 0);
            continue;
        }
        assert_int_equal(result, -1);
        assert_int_equal(err.code, ERR_TOO_LARGE);
        assert_non_null(strstr(err.message, table[i].message));
    }
}

static void test_json_get_is_exact(void **state)
{
    (void)state;
    AUTO(json) cJSON *json = json_literal("{\"name\":1,\"list\":[]}");
    assert_non_null(json_get(json, "name"));
    assert_null(json_get(json, "Name"));
    assert_null(json_get(json, "nam"));
    assert_null(json_get(json_get(json, "list"), "name"));
    assert_null(json_get(NULL, "name"));
}

static void test_json_to_integer(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        bool is_integer;
        int64_t value;
    } table[] = {
        { "0", true, 0 },
        { "-7", true, -7 },
        { "1e3", true, 1000 },
        { "2.0", true, 2 },
        { "999999999999999", true, JSON_INTEGER_MAX },
        { "-999999999999999", true, -JSON_INTEGER_MAX },
        { "1000000000000000", false, 0 },
        { "1e300", false, 0 },
        { "1e999", false, 0 },
        { "1.5", false, 0 },
        { "\"1\"", false, 0 },
        { "true", false, 0 },
        { "null", false, 0 },
    };
    for (size_t i = 0; i < ARRAY_LEN(table); i++) {
        AUTO(json) cJSON *json = json_literal(table[i].text);
        int64_t value = 0;
        if (json_to_integer(json, &value) != table[i].is_integer || value != table[i].value)
            fail_msg("%s", table[i].text);
    }
    int64_t value;
    assert_false(json_to_integer(NULL, &value));
}

static void test_json_equal_and_contains(void **state)
{
    (void)state;
    static const struct {
        const char *whole, *part;
        bool equal, contains;
    } table[] = {
        { "{\"a\":1,\"b\":2}", "{\"b\":2,\"a\":1}", true, true },
        { "{\"a\":1,\"b\":2}", "{\"b\":2}", false, true },
        { "{\"b\":2}", "{\"a\":1,\"b\":2}", false, false },
        { "{\"a\":{\"x\":1,\"y\":2}}", "{\"a\":{\"x\":1}}", false, true },
        { "{\"a\":{\"x\":1}}", "{\"a\":{\"x\":2}}", false, false },
        { "[{\"x\":1,\"y\":2}]", "[{\"x\":1}]", false, true },
        { "[1,2]", "[1,2]", true, true },
        { "[1,2]", "[2,1]", false, false },
        { "[1,2]", "[1]", false, false },
        { "[1]", "[1,2]", false, false },
        { "[]", "{}", false, false },
        { "{}", "{}", true, true },
        { "{\"a\":null}", "{\"a\":null}", true, true },
        { "{}", "{\"a\":null}", false, false },
        { "{\"a\":1}", "{\"A\":1}", false, false },
        { "true", "false", false, false },
        { "\"a\"", "\"A\"", false, false },
        { "1", "\"1\"", false, false },
        { "999999999999999", "999999999999998", false, false },
    };
    for (size_t i = 0; i < ARRAY_LEN(table); i++) {
        AUTO(json) cJSON *whole = json_literal(table[i].whole);
        AUTO(json) cJSON *part = json_literal(table[i].part);
        if (json_equal(whole, part) != table[i].equal ||
            json_equal(part, whole) != table[i].equal ||
            json_contains(whole, part) != table[i].contains)
            fail_msg("%s and %s", table[i].whole, table[i].part);
    }
    AUTO(json) cJSON *json = json_literal("null");
    assert_true(json_equal(NULL, NULL));
    assert_false(json_equal(NULL, json));
    assert_false(json_equal(json, NULL));
}

static void test_json_print_canonical(void **state)
{
    (void)state;
    AUTO(json)
    cJSON *json = json_literal("{ \"b\": [ {\"y\":1,\"x\":\"\\n\"}, [], {} ], \"a\\\"\": null, "
                               "\"B\": true, \"a\": -1.5 }");
    AUTO_FREE char *text = json_print_canonical(json);
    assert_string_equal(text, "{\"B\":true,\"a\":-1.5,\"a\\\"\":null,"
                              "\"b\":[{\"x\":\"\\n\",\"y\":1},[],{}]}");
}

static void test_json_copy_is_deep(void **state)
{
    (void)state;
    AUTO(json) cJSON *json = json_literal("{\"a\":[1,{\"b\":\"c\"}]}");
    AUTO(json) cJSON *copy = json_copy(json);
    assert_true(json_equal(json, copy));
    assert_ptr_not_equal(json_at(json, "a[1].b"), json_at(copy, "a[1].b"));
    assert_ptr_not_equal(json_string_at(json, "a[1].b"), json_string_at(copy, "a[1].b"));
    assert_null(json_copy(NULL));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_json_parse_and_print),
        cmocka_unit_test(test_json_parse_refuses),
        cmocka_unit_test(test_json_parse_bounds_the_nesting),
        cmocka_unit_test(test_json_parse_counts_no_brackets_in_strings),
        cmocka_unit_test(test_json_parse_bounds_the_size),
        cmocka_unit_test(test_json_parse_within_bounds),
        cmocka_unit_test(test_json_get_is_exact),
        cmocka_unit_test(test_json_to_integer),
        cmocka_unit_test(test_json_equal_and_contains),
        cmocka_unit_test(test_json_print_canonical),
        cmocka_unit_test(test_json_copy_is_deep),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
