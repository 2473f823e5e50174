#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "common/base/memory.h"
#include "common/json/build.h"
#include "common/json/json.h"
#include "common/json/patch.h"

static void test_patch_operations_in_order(void **state)
{
    (void)state;
    AUTO(json) cJSON *patch = json_new_array();
    json_patch_add(patch, "/metadata/labels", JOBJ(JS("a", "b")));
    json_patch_replace(patch, "/resource/count", json_new_integer(1));
    json_patch_remove(patch, "/tuning/config");
    AUTO_FREE char *text = json_print(patch);
    assert_string_equal(text,
                        "[{\"op\":\"add\",\"path\":\"/metadata/labels\",\"value\":{\"a\":\"b\"}},"
                        "{\"op\":\"replace\",\"path\":\"/resource/count\",\"value\":1},"
                        "{\"op\":\"remove\",\"path\":\"/tuning/config\"}]");
}

static void test_patch_null_is_a_value(void **state)
{
    (void)state;
    AUTO(json) cJSON *patch = json_new_array();
    json_patch_add(patch, "/a", json_new_null());
    AUTO_FREE char *text = json_print(patch);
    assert_string_equal(text, "[{\"op\":\"add\",\"path\":\"/a\",\"value\":null}]");
}

static void test_patch_pointer_escape(void **state)
{
    (void)state;
    static const char *const table[][2] = {
        { "", "" },        { "plain", "plain" }, { "kaito.sh/runtime", "kaito.sh~1runtime" },
        { "a~b", "a~0b" }, { "~1", "~01" },      { "/~/", "~1~0~1" },
    };
    for (size_t i = 0; i < ARRAY_LEN(table); i++) {
        AUTO_FREE char *token = json_pointer_escape(table[i][0]);
        assert_string_equal(token, table[i][1]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_patch_operations_in_order),
        cmocka_unit_test(test_patch_null_is_a_value),
        cmocka_unit_test(test_patch_pointer_escape),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
