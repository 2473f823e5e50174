#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "common/base/memory.h"
#include "common/json/json.h"
#include "test/lib/literals.h"
#include "webhook/workspace_default.h"

#define ADD_COUNT "{\"op\":\"add\",\"path\":\"/resource/count\",\"value\":1}"
#define ADD_SERVING \
    "{\"op\":\"add\",\"path\":\"/inference/preset/accessMode\",\"value\":\"public\"}"
#define ADD_TUNING "{\"op\":\"add\",\"path\":\"/tuning/preset/accessMode\",\"value\":\"public\"}"

struct default_case {
    const char *object;
    const char *patch;
};

static void test_workspace_default_patches(void **state)
{
    (void)state;
    static const struct default_case cases[] = {
        { "{}", "[]" },
        { "{\"resource\":{}}", "[" ADD_COUNT "]" },
        { "{\"resource\":{\"count\":null}}", "[" ADD_COUNT "]" },
        { "{\"resource\":{\"count\":3}}", "[]" },
        { "{\"resource\":{\"count\":0}}", "[]" },
        { "{\"resource\":\"x\"}", "[]" },
        { "{\"inference\":{}}", "[]" },
        { "{\"inference\":{\"preset\":{\"name\":\"phi-4\"}}}", "[" ADD_SERVING "]" },
        { "{\"inference\":{\"preset\":{\"accessMode\":\"private\"}}}", "[]" },
        { "{\"tuning\":{\"preset\":{\"name\":\"phi-4\"}}}", "[" ADD_TUNING "]" },
        { "{\"resource\":{},\"inference\":{\"preset\":{}},\"tuning\":{\"preset\":{}}}",
          "[" ADD_COUNT "," ADD_SERVING "," ADD_TUNING "]" },
        { "{\"metadata\":{\"deletionTimestamp\":\"2026-01-01T00:00:00Z\"},\"resource\":{}}", "[]" },
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        AUTO(json) cJSON *object = json_literal(cases[i].object);
        AUTO(json) cJSON *patch = workspace_default(object);
        AUTO_FREE char *text = json_print(patch);
        assert_string_equal(text, cases[i].patch);
    }
}

static void test_workspace_default_is_idempotent(void **state)
{
    (void)state;
    AUTO(json)
    cJSON *object = json_literal("{\"resource\":{\"count\":1},\"inference\":{\"preset\":"
                                 "{\"name\":\"phi-4\",\"accessMode\":\"public\"}}}");
    AUTO(json) cJSON *patch = workspace_default(object);
    assert_null(patch->child);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_workspace_default_patches),
        cmocka_unit_test(test_workspace_default_is_idempotent),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
