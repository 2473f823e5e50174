#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "common/json/condition.h"
#include "common/json/json.h"
#include "test/lib/literals.h"

static void test_condition_by_type(void **state)
{
    (void)state;
    AUTO(json)
    cJSON *object =
        json_literal("{\"status\":{\"conditions\":[{\"type\":\"A\",\"status\":\"True\"},"
                     "{\"status\":\"True\"},{\"type\":\"B\",\"status\":\"False\"},"
                     "{\"type\":\"C\"}]}}");
    assert_true(json_condition_is(object, "A", "True"));
    assert_false(json_condition_is(object, "A", "False"));
    assert_true(json_condition_is(object, "B", "False"));
    assert_false(json_condition_is(object, "C", "True"));
    assert_non_null(json_condition(object, "C"));
    assert_null(json_condition(object, "D"));
}

static void test_condition_of_what_has_none(void **state)
{
    (void)state;
    AUTO(json) cJSON *object = json_literal("{\"status\":{}}");
    assert_null(json_condition(object, "A"));
    assert_null(json_condition(NULL, "A"));
    assert_false(json_condition_is(NULL, "A", "True"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_condition_by_type),
        cmocka_unit_test(test_condition_of_what_has_none),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
