#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "common/base/buf.h"
#include "common/base/memory.h"
#include "common/json/json.h"
#include "common/json/yaml.h"

enum { GENERATED_BYTES_MAX = 2 * YAML_BYTES_MAX };

static void check_json(const char *yaml, const char *json)
{
    AUTO(json) cJSON *got = NULL;
    AUTO(json) cJSON *want = NULL;
    struct error err = ERROR_INIT;
    if (yaml_to_json(yaml, strlen(yaml), &got, &err) < 0)
        fail_msg("%s: %s", yaml, err.message);
    assert_int_equal(json_parse_text(json, &want, &err), 0);
    AUTO_FREE char *text = json_print(got);
    if (!json_equal(got, want))
        fail_msg("%s: got %s, want %s", yaml, text, json);
}

static void check_refused_bytes(const char *yaml, size_t count, const char *message)
{
    cJSON *got = NULL;
    struct error err = ERROR_INIT;
    if (yaml_to_json(yaml, count, &got, &err) == 0)
        fail_msg("accepted: %.200s", yaml);
    assert_null(got);
    assert_int_equal(err.code, ERR_INVALID);
    if (strstr(err.message, message) == NULL)
        fail_msg("%.200s: \"%s\" does not say \"%s\"", yaml, err.message, message);
}

static void check_refused(const char *yaml, const char *message)
{
    check_refused_bytes(yaml, strlen(yaml), message);
}

static void test_yaml_scalars(void **state)
{
    (void)state;
    static const char *const table[][2] = {
        { "true", "true" },
        { "True", "true" },
        { "TRUE", "true" },
        { "yes", "true" },
        { "On", "true" },
        { "tRue", "\"tRue\"" },
        { "false", "false" },
        { "No", "false" },
        { "OFF", "false" },
        { "y", "\"y\"" },
        { "n", "\"n\"" },
        { "~", "null" },
        { "null", "null" },
        { "NULL", "null" },
        { "nil", "\"nil\"" },
        { "", "null" },
        { "# only a comment", "null" },
        { "---\n...\n", "null" },
        { "0", "0" },
        { "-0", "0" },
        { "12", "12" },
        { "+12", "12" },
        { "-7", "-7" },
        { "1_000_000", "1000000" },
        { "017", "15" },
        { "0o17", "15" },
        { "08", "8" },
        { "0x1F", "31" },
        { "-0x10", "-16" },
        { "0b101", "5" },
        { "0b102", "\"0b102\"" },
        { "0x", "\"0x\"" },
        { "0x0x1", "\"0x0x1\"" },
        { "0xG", "\"0xG\"" },
        { "--1", "\"--1\"" },
        { "+-1", "\"+-1\"" },
        { "999999999999999", "999999999999999" },
        { "18446744073709551616", "18446744073709551616" },
        { "0xFFFFFFFFFFFFFFFFF", "\"0xFFFFFFFFFFFFFFFFF\"" },
        { "1.5", "1.5" },
        { "-.5", "-0.5" },
        { "1.", "1" },
        { "1e3", "1000" },
        { "1E-2", "0.01" },
        { "1e", "\"1e\"" },
        { "1e+", "\"1e+\"" },
        { ".", "\".\"" },
        { "..5", "\"..5\"" },
        { "._5", "\"._5\"" },
        { "1.2.3", "\"1.2.3\"" },
        { "0.0.1", "\"0.0.1\"" },
        { "1e999", "\"1e999\"" },
        { "1,000", "\"1,000\"" },
        { "80Gi", "\"80Gi\"" },
        { "12:30:45", "\"12:30:45\"" },
        { "2026-11-24", "\"2026-11-24\"" },
        { "2026-11-24T05:36:46Z", "\"2026-11-24T05:36:46Z\"" },
        { "\"true\"", "\"true\"" },
        { "'12'", "\"12\"" },
        { "''", "\"\"" },
        { "!!str 12", "\"12\"" },
        { "!!str", "\"\"" },
        { "|\n  12\n", "\"12\\n\"" },
        { ">-\n  true\n  false\n", "\"true false\"" },
        { "\"tab\\there, \\u00e9\"", "\"tab\\there, \\u00e9\"" },
        { "\xef\xbb\xbfname", "\"name\"" },
    };
    for (size_t i = 0; i < ARRAY_LEN(table); i++)
        check_json(table[i][0], table[i][1]);
}

static void test_yaml_collections(void **state)
{
    (void)state;
    static const char *const table[][2] = {
        { "a: 1\nb:\n  - x\n  - {c: d}\n  - []\n", "{\"a\":1,\"b\":[\"x\",{\"c\":\"d\"},[]]}" },
        { "{}", "{}" },
        { "- - 1\n  - 2\n-\n", "[[1,2],null]" },
        { "a:\nb: ~\n", "{\"a\":null,\"b\":null}" },
        { "{\"a\": [1, 2], \"b\": \"\\/\"}", "{\"a\":[1,2],\"b\":\"/\"}" },
        { "text: |\n  line 1\n  line 2\n", "{\"text\":\"line 1\\nline 2\\n\"}" },
        { "app.kubernetes.io/name: x", "{\"app.kubernetes.io/name\":\"x\"}" },
        { "%YAML 1.1\n---\na: b\n", "{\"a\":\"b\"}" },
    };
    for (size_t i = 0; i < ARRAY_LEN(table); i++)
        check_json(table[i][0], table[i][1]);
}

static void test_yaml_keys_are_text(void **state)
{
    (void)state;
    check_json("123: a\n0x10: b\n", "{\"123\":\"a\",\"0x10\":\"b\"}");
    check_json("true: a\nyes: b\n", "{\"true\":\"a\",\"yes\":\"b\"}");
    check_json("null: a\n~: b\n", "{\"null\":\"a\",\"~\":\"b\"}");
    check_json("\"\": a\n\"<<\": b\n", "{\"\":\"a\",\"<<\":\"b\"}");
    check_json("a: 1\nA: 2\n", "{\"a\":1,\"A\":2}");
}

static void test_yaml_refuses(void **state)
{
    (void)state;
    static const char *const table[][2] = {
        { "a: &x 1", "line 1, column 4: anchors are not accepted" },
        { "a: &x {b: c}", "anchors are not accepted" },
        { "a: &x [b]", "anchors are not accepted" },
        { "&x a: b", "anchors are not accepted" },
        { "a: *x", "line 1, column 4: aliases are not accepted" },
        { "*x : a", "a key must be text" },
        { "a: b\n<<: {c: d}", "line 2, column 1: merge keys are not accepted" },
        { "a: 1\nb: 2\na: 3\n", "line 3, column 1: key \"a\" is there twice" },
        { "a: {\"x y\": 1, 'x y': 2}", "key \"x y\" is there twice" },
        { "? [a]\n: b", "a key must be text" },
        { "? {a: b}\n: c", "a key must be text" },
        { "? \n: b", "a key is missing" },
        { "!!int \"3\"", "tag tag:yaml.org,2002:int is not accepted" },
        { "!!binary aGk=", "is not accepted" },
        { "!own x", "tag !own is not accepted" },
        { "!!map {a: b}", "is not accepted" },
        { "!!seq [a]", "is not accepted" },
        { "!!int 3: a", "is not accepted" },
        { "a: .inf", "line 1, column 4: .inf has no meaning in JSON" },
        { "- -.Inf", "no meaning in JSON" },
        { "- .NaN", "no meaning in JSON" },
        { "a: \"x\\0y\"", "line 1, column 4: NUL byte in text" },
        { "\"x\\u0000y\": 1", "NUL byte in text" },
        { "a: 1\n---\nb: 2\n", "line 2, column 1: more than one document" },
        { "a: [1, 2", "line 2, column 1" },
        { "a: b: c", "line 1, column 5" },
        { "a: 1\n\tb: 2\n", "line 2" },
        { "a: 'x", "line 1" },
        { "}", "line 1, column 1" },
        { "%YAML 3.0\n---\na\n", "incompatible YAML document" },
        { "a: \xff\xfe", "invalid" },
        { "a: \x01", "control characters are not allowed" },
    };
    for (size_t i = 0; i < ARRAY_LEN(table); i++)
        check_refused(table[i][0], table[i][1]);
    check_refused_bytes("a: b\0c", 6, "control characters");
}

static void test_yaml_bounds_the_nesting(void **state)
{
    (void)state;
    AUTO(buf) struct buf flow = BUF_INIT(GENERATED_BYTES_MAX);
    for (int i = 0; i < JSON_DEPTH_MAX; i++)
        buf_putc(&flow, '[');
    for (int i = 0; i < JSON_DEPTH_MAX; i++)
        buf_putc(&flow, ']');
    check_json(buf_text(&flow), buf_text(&flow));

    AUTO(buf) struct buf deeper = BUF_INIT(GENERATED_BYTES_MAX);
    buf_printf(&deeper, "[%s]", buf_text(&flow));
    check_refused(buf_text(&deeper), "nested deeper than 64");

    AUTO(buf) struct buf block = BUF_INIT(GENERATED_BYTES_MAX);
    for (int i = 0; i < 10 * 1000; i++)
        buf_puts(&block, "- ");
    check_refused(buf_text(&block), "nested deeper than 64");
}

static void test_yaml_bounds_the_size(void **state)
{
    (void)state;
    AUTO(buf) struct buf text = BUF_INIT(GENERATED_BYTES_MAX);
    for (int i = 0; i < YAML_NODES_MAX + 1; i++)
        buf_puts(&text, "- a\n");
    check_refused(buf_text(&text), "more than 200000 values");

    buf_reset(&text);
    while (text.length <= YAML_BYTES_MAX)
        buf_puts(&text, "# a comment to the end of the line ...........................\n");
    check_refused(buf_text(&text), "at most 4194304 are read");
}

/* Quadratic work on the keys of one mapping would take minutes here. */
static void test_yaml_reads_a_large_mapping(void **state)
{
    (void)state;
    enum { MEMBERS = 100 * 1000 };
    AUTO(buf) struct buf text = BUF_INIT(GENERATED_BYTES_MAX);
    for (int i = 0; i < MEMBERS; i++)
        buf_printf(&text, "key-%d: %d\n", i, i);
    AUTO(json) cJSON *got = NULL;
    struct error err = ERROR_INIT;
    assert_int_equal(yaml_to_json(buf_text(&text), text.length, &got, &err), 0);
    assert_int_equal(cJSON_GetArraySize(got), MEMBERS);
}

static void check_all(const char *yaml, const char *json)
{
    AUTO(json) cJSON *got = NULL;
    struct error err = ERROR_INIT;
    if (yaml_to_json_all(yaml, strlen(yaml), &got, &err) < 0)
        fail_msg("%s: %s", yaml, err.message);
    AUTO_FREE char *text = json_print(got);
    assert_string_equal(text, json);
}

static void test_yaml_all_documents(void **state)
{
    (void)state;
    check_all("", "[]");
    check_all("---\n---\n# nothing\n---\n", "[]");
    check_all("a: 1\n", "[{\"a\":1}]");
    check_all("---\na: 1\n---\n---\n- b\n...\n---\nc\n", "[{\"a\":1},[\"b\"],\"c\"]");
    check_all("null\n---\nfalse\n", "[false]");
}

static void test_yaml_all_leaves_nothing_behind_on_error(void **state)
{
    (void)state;
    cJSON *got = NULL;
    struct error err = ERROR_INIT;
    const char *text = "a: 1\n---\nb: *x\n";
    assert_int_equal(yaml_to_json_all(text, strlen(text), &got, &err), -1);
    assert_null(got);
    assert_non_null(strstr(err.message, "line 3, column 4"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_yaml_scalars),
        cmocka_unit_test(test_yaml_collections),
        cmocka_unit_test(test_yaml_keys_are_text),
        cmocka_unit_test(test_yaml_refuses),
        cmocka_unit_test(test_yaml_bounds_the_nesting),
        cmocka_unit_test(test_yaml_bounds_the_size),
        cmocka_unit_test(test_yaml_reads_a_large_mapping),
        cmocka_unit_test(test_yaml_all_documents),
        cmocka_unit_test(test_yaml_all_leaves_nothing_behind_on_error),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
