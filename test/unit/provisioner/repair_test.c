#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "common/base/clock.h"
#include "common/base/compiler.h"
#include "common/base/memory.h"
#include "provisioner/repair.h"
#include "test/lib/literals.h"

#define NODE(status)                                                                   \
    "{\"metadata\":{\"name\":\"n\",\"labels\":{\"karpenter.sh/nodepool\":\"kaito\"}}," \
    "\"status\":{\"conditions\":[{\"type\":\"Ready\",\"status\":\"" status "\","       \
    "\"lastTransitionTime\":\"2026-01-01T00:00:00Z\"}]}}"
#define FOREIGN "{\"metadata\":{\"name\":\"f\"}}"

static int64_t wait_after(const char *node, int64_t minutes)
{
    AUTO(object) const struct object *object = object_literal(node);
    int64_t since_ms;
    assert_int_equal(rfc3339_parse("2026-01-01T00:00:00Z", &since_ms), 0);
    return repair_wait_ms(object, since_ms + minutes * 60 * 1000);
}

static void test_repair_wait_ms(void **state)
{
    (void)state;
    assert_int_equal(wait_after(NODE("True"), 60), REPAIR_HEALTHY);
    assert_int_equal(wait_after(NODE("False"), 4), 6 * 60 * 1000);
    assert_int_equal(wait_after(NODE("False"), 10), REPAIR_DUE);
    assert_int_equal(wait_after(NODE("Unknown"), 11), REPAIR_DUE);
    assert_int_equal(wait_after(FOREIGN, 60), REPAIR_HEALTHY);
    assert_int_equal(wait_after("{\"metadata\":{\"name\":\"n\",\"deletionTimestamp\":"
                                "\"2026-01-01T00:00:00Z\"},\"status\":{\"conditions\":[{\"type\":"
                                "\"Ready\",\"status\":\"False\",\"lastTransitionTime\":"
                                "\"2026-01-01T00:00:00Z\"}]}}",
                                60),
                     REPAIR_HEALTHY);
}

static bool allowed(size_t ready, size_t broken)
{
    struct object_list nodes = { .items = mem_calloc(ready + broken + 1, sizeof(*nodes.items)) };
    for (size_t i = 0; i < ready + broken; i++)
        nodes.items[nodes.count++] = object_literal(NODE("True"));
    for (size_t i = 0; i < broken; i++) {
        object_unref(nodes.items[i]);
        nodes.items[i] = object_literal(NODE("False"));
    }
    nodes.items[nodes.count++] = object_literal(FOREIGN);
    bool result = repair_is_allowed(&nodes);
    object_list_fini(&nodes);
    return result;
}

static void test_repair_is_allowed(void **state)
{
    (void)state;
    assert_true(allowed(0, 1));
    assert_true(allowed(4, 1));
    assert_false(allowed(3, 2));
    assert_true(allowed(4, 2));
    assert_false(allowed(0, 2));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_repair_wait_ms),
        cmocka_unit_test(test_repair_is_allowed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
