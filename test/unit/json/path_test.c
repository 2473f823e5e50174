#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "common/base/memory.h"
#include "common/json/json.h"
#include "test/lib/literals.h"

static const char pod[] =
    "{\"kind\":\"Pod\",\"metadata\":{\"name\":\"p\",\"generation\":3,\"annotations\":"
    "{\"kaito.sh/runtime\":\"vllm\",\"a[0]\":\"odd\"}},"
    "\"spec\":{\"containers\":[{\"name\":\"one\",\"ports\":[80,443]},{\"name\":\"two\"}],"
    "\"hostNetwork\":true,\"priority\":null},"
    "\"status\":{\"conditions\":[{\"type\":\"Ready\",\"status\":\"False\"},"
    "{\"type\":\"Initialized\",\"status\":\"True\"},{\"type\":\"Ready\",\"status\":\"Late\"},7]}}";

static void test_path_finds(void **state)
{
    (void)state;
    static const char *const table[][2] = {
        { "kind", "\"Pod\"" },
        { "metadata.name", "\"p\"" },
        { "metadata.annotations[\"kaito.sh/runtime\"]", "\"vllm\"" },
        { "metadata.annotations[\"a[0]\"]", "\"odd\"" },
        { "spec.containers[1].name", "\"two\"" },
        { "spec.containers[0].ports[1]", "443" },
        { "spec.containers[name=two]", "{\"name\":\"two\"}" },
        { "spec.containers[name=one].ports", "[80,443]" },
        { "spec.priority", "null" },
        { "status.conditions[type=Ready].status", "\"False\"" },
        { "status.conditions[type=Initialized].status", "\"True\"" },
    };
    AUTO(json) cJSON *json = json_literal(pod);
    for (size_t i = 0; i < ARRAY_LEN(table); i++) {
        const cJSON *found = json_at(json, table[i][0]);
        if (found == NULL)
            fail_msg("%s: not found", table[i][0]);
        AUTO_FREE char *text = json_print(found);
        assert_string_equal(text, table[i][1]);
    }
    assert_ptr_equal(json_at(json, ""), json);
}

static void test_path_of_what_is_absent_is_null(void **state)
{
    (void)state;
    static const char *const table[] = {
        "nothing",
        "Kind",
        "kind.name",
        "kind[0]",
        "metadata.labels.app",
        "metadata[0]",
        "metadata[name=p]",
        "spec.containers[2]",
        "spec.containers[name=three]",
        "spec.containers.name",
        "spec.priority.value",
        "status.conditions[type=ready]",
        "metadata.annotations[\"kaito.sh\"]",
    };
    AUTO(json) cJSON *json = json_literal(pod);
    for (size_t i = 0; i < ARRAY_LEN(table); i++) {
        if (json_at(json, table[i]) != NULL)
            fail_msg("%s: found", table[i]);
    }
    assert_null(json_at(NULL, "kind"));
}

static void test_path_typed_reading(void **state)
{
    (void)state;
    AUTO(json) cJSON *json = json_literal(pod);
    assert_string_equal(json_string_at(json, "kind"), "Pod");
    assert_null(json_string_at(json, "metadata.generation"));
    assert_null(json_string_at(json, "metadata.nothing"));
    assert_int_equal(json_integer_at(json, "metadata.generation", -1), 3);
    assert_int_equal(json_integer_at(json, "metadata.name", -1), -1);
    assert_int_equal(json_integer_at(json, "metadata.nothing", -1), -1);
    assert_true(json_bool_at(json, "spec.hostNetwork", false));
    assert_true(json_bool_at(json, "spec.nothing", true));
    assert_false(json_bool_at(json, "kind", false));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_path_finds),
        cmocka_unit_test(test_path_of_what_is_absent_is_null),
        cmocka_unit_test(test_path_typed_reading),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
