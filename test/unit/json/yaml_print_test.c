#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "common/base/memory.h"
#include "common/json/build.h"
#include "common/json/json.h"
#include "common/json/yaml.h"
#include "common/json/yaml_print.h"
#include "test/lib/literals.h"

static void assert_prints(const char *json_text, const char *yaml)
{
    AUTO(json) cJSON *json = json_literal(json_text);
    AUTO(buf) struct buf out = BUF_INIT(1024 * 1024);
    yaml_print(json, &out);
    assert_false(buf_failed(&out));
    assert_string_equal(buf_text(&out), yaml);
}

/* What is printed reads back as it was. */
static void assert_round_trip(const cJSON *json)
{
    AUTO(buf) struct buf out = BUF_INIT(1024 * 1024);
    AUTO(json) cJSON *back = NULL;
    struct error err = ERROR_INIT;
    yaml_print(json, &out);
    if (yaml_to_json(buf_text(&out), out.length, &back, &err) < 0)
        fail_msg("%s: %s", err.message, buf_text(&out));
    if (!json_equal(json, back))
        fail_msg("became something else: %s", buf_text(&out));
}

static void test_yaml_print_scalars(void **state)
{
    (void)state;
    static const struct {
        const char *json, *yaml;
    } cases[] = {
        { "null", "null\n" },
        { "true", "true\n" },
        { "-3", "-3\n" },
        { "0.84", "0.84\n" },
        { "999999999999999", "999999999999999\n" },
        { "\"plain words, of a sentence\"", "plain words, of a sentence\n" },
        { "\"/work/space\"", "/work/space\n" },
        { "\"\"", "\"\"\n" },
        { "\"true\"", "\"true\"\n" },
        { "\"No\"", "\"No\"\n" },
        { "\"12\"", "\"12\"\n" },
        { "\"2026-11-24\"", "\"2026-11-24\"\n" },
        { "\"a: b\"", "\"a: b\"\n" },
        { "\"http://a:80/\"", "http://a:80/\n" },
        { "\"ends:\"", "\"ends:\"\n" },
        { "\"a #b\"", "\"a #b\"\n" },
        { "\"trailing \"", "\"trailing \"\n" },
        { "\"- item\"", "\"- item\"\n" },
        { "\"two\\nlines\\t\\\"\\\\\"", "\"two\\nlines\\t\\\"\\\\\"\n" },
        { "\"\\u0007\\u007f\"", "\"\\u0007\\u007F\"\n" },
        { "\"Gr\\u00fc\\u00dfe\"", "\"Gr\xc3\xbc\xc3\x9f"
                                   "e\"\n" },
        { "\"\\u2028\\ufeff\"", "\"\\u2028\\uFEFF\"\n" },
        { "\"\\ud83d\\ude00\"", "\"\xf0\x9f\x98\x80\"\n" },
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++)
        assert_prints(cases[i].json, cases[i].yaml);
}

static void test_yaml_print_structure(void **state)
{
    (void)state;
    assert_prints("{}", "{}\n");
    assert_prints("[]", "[]\n");
    assert_prints("{\"b\":1,\"a\":{\"c\":{},\"d\":[]}}", "b: 1\na:\n  c: {}\n  d: []\n");
    assert_prints("{\"l\":[1,\"x\",{\"k\":1,\"m\":[2]},[3,4]]}",
                  "l:\n- 1\n- x\n- k: 1\n  m:\n  - 2\n- - 3\n  - 4\n");
    assert_prints("{\"yes\":1,\"a b\":2,\"c: d\":3}", "\"yes\": 1\na b: 2\n\"c: d\": 3\n");
}

static void test_yaml_print_reads_back(void **state)
{
    (void)state;
    AUTO(json)
    cJSON *json = json_from_file("deploy/crds/kaito.sh_workspaces.yaml");
    assert_round_trip(json);

    AUTO_FREE char *long_key = mem_printf("%0*d", 2000, 7);
    AUTO(json) cJSON *deep = JOBJ(JV("a", JARR(JOBJ(JV(long_key, JARR(JSTR("x"))), JI("b", 1)))));
    assert_round_trip(deep);

    /* every pair of ASCII characters, alone and inside a word */
    AUTO(json) cJSON *texts = json_new_array();
    for (char a = 1; a > 0 && a < 127; a++) {
        for (char b = ' '; b < 127; b++) {
            json_append(texts, json_new_printf("%c%c", a, b));
            json_append(texts, json_new_printf("w%c%cw", a, b));
        }
    }
    for (const cJSON *text = texts->child; text != NULL; text = text->next)
        assert_round_trip(text);
}

static void test_yaml_print_replaces_what_is_no_utf8(void **state)
{
    (void)state;
    static const char *const texts[] = { "\x80", "\xc0\xaf", "\xed\xa0\x80", "\xf8", "\xe2\x82" };
    for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
        AUTO(json) cJSON *json = JSTR(texts[i]), *back = NULL;
        AUTO(buf) struct buf out = BUF_INIT(1024);
        struct error err = ERROR_INIT;
        yaml_print(json, &out);
        assert_memory_equal(buf_text(&out), "\"\\uFFFD", 7);
        assert_int_equal(yaml_to_json(buf_text(&out), out.length, &back, &err), 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_yaml_print_scalars),
        cmocka_unit_test(test_yaml_print_structure),
        cmocka_unit_test(test_yaml_print_reads_back),
        cmocka_unit_test(test_yaml_print_replaces_what_is_no_utf8),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
