#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "common/base/memory.h"
#include "common/json/build.h"
#include "common/json/json.h"

static void check(cJSON *json, const char *text)
{
    AUTO_FREE char *printed = json_print(json);
    json_free(json);
    assert_string_equal(printed, text);
}

static void test_build_nested(void **state)
{
    (void)state;
    check(JOBJ(JS("kind", "Service"), JV("metadata", JOBJ(JF("name", "%s-%d", "ws", 1))),
               JV("ports", JARR(JOBJ(JI("port", 80)), JOBJ(JI("port", 443)))), JB("on", true),
               JB("off", false), JV("nothing", json_new_null())),
          "{\"kind\":\"Service\",\"metadata\":{\"name\":\"ws-1\"},"
          "\"ports\":[{\"port\":80},{\"port\":443}],\"on\":true,\"off\":false,\"nothing\":null}");
}

static void test_build_leaves_null_out(void **state)
{
    (void)state;
    check(JOBJ(JS("a", NULL), JV("b", NULL), JS("c", "")), "{\"c\":\"\"}");
    check(JARR(JSTR("a"), JSTR(NULL), JSTR("b")), "[\"a\",\"b\"]");
    check(json_new_object(), "{}");
    assert_null(json_new_string(NULL));
}

static void test_build_integers_are_exact(void **state)
{
    (void)state;
    check(json_new_integer(0), "0");
    check(json_new_integer(-1), "-1");
    check(json_new_integer(INT32_MAX), "2147483647");
    check(json_new_integer(INT32_MIN), "-2147483648");
    check(json_new_integer(123456789012345), "123456789012345");
    check(json_new_integer(JSON_INTEGER_MAX), "999999999999999");
    check(json_new_integer(-JSON_INTEGER_MAX), "-999999999999999");
}

static void test_build_set_replaces(void **state)
{
    (void)state;
    cJSON *json = JOBJ(JI("a", 1), JI("A", 2));
    json_set(json, "a", JSTR("x"));
    json_set(json, "b", json_new_bool(true));
    json_set(json, "A", NULL);
    check(json, "{\"A\":2,\"a\":\"x\",\"b\":true}");
}

static void test_build_append(void **state)
{
    (void)state;
    cJSON *json = json_new_array();
    json_append(json, JSTR("x"));
    json_append(json, NULL);
    json_append(json, json_new_object());
    check(json, "[\"x\",{}]");
}

static void test_build_escapes_text(void **state)
{
    (void)state;
    check(JOBJ(JS("a\"b", "c\"\n\x01")), "{\"a\\\"b\":\"c\\\"\\n\\u0001\"}");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_build_nested),
        cmocka_unit_test(test_build_leaves_null_out),
        cmocka_unit_test(test_build_integers_are_exact),
        cmocka_unit_test(test_build_set_replaces),
        cmocka_unit_test(test_build_append),
        cmocka_unit_test(test_build_escapes_text),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
