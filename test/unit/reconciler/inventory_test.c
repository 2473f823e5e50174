#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "common/base/metrics.h"
#include "reconciler/inventory.h"
#include "test/lib/literals.h"

#define CONDITION(type, status, reason) \
    "{\"type\":\"" type "\",\"status\":\"" status "\",\"reason\":\"" reason "\"}"
#define WORKSPACE(metadata, conditions) \
    "{\"metadata\":{\"name\":\"w\"" metadata "},\"status\":{\"conditions\":[" conditions "]}}"

static double phase(const char *name)
{
    return metric_value(METRIC_WORKSPACES, METRIC_LABELS(name));
}

static double cause(const char *code)
{
    return metric_value(METRIC_WORKSPACES_BY_CAUSE, METRIC_LABELS(code));
}

static void count(const char *const *texts, size_t n)
{
    struct inventory inventory = INVENTORY_INIT;
    for (size_t i = 0; i < n; i++) {
        AUTO(object) const struct object *workspace = object_literal(texts[i]);
        inventory_add(&inventory, workspace);
    }
    inventory_publish(&inventory);
}

static void test_inventory(void **state)
{
    (void)state;
    static const char *const texts[] = {
        WORKSPACE("", CONDITION("WorkspaceSucceeded", "True",
                                "x") "," CONDITION("Ready", "True", "workspaceSucceeded")),
        WORKSPACE("", CONDITION("Stalled", "True", "PlanRejected") "," CONDITION("Ready", "False",
                                                                                 "PlanRejected")),
        WORKSPACE("", CONDITION("Ready", "False", "ImageNotFound")),
        WORKSPACE("", CONDITION("Ready", "False", "ImageNotFound")),
        WORKSPACE("", ""),
        WORKSPACE(",\"deletionTimestamp\":\"2026-11-24T12:00:00Z\"",
                  CONDITION("Ready", "False", "SomebodysReason")),
    };
    metrics_reset();
    count(texts, ARRAY_LEN(texts));
    assert_int_equal((int)phase("succeeded"), 1);
    assert_int_equal((int)phase("error"), 1);
    assert_int_equal((int)phase("pending"), 3);
    assert_int_equal((int)phase("deleting"), 1);
    assert_int_equal((int)cause("PlanRejected"), 1);
    assert_int_equal((int)cause("ImageNotFound"), 2);
    assert_int_equal((int)cause("Other"), 2);

    /* what is over is not counted on */
    count(texts, 1);
    assert_int_equal((int)cause("ImageNotFound"), 0);
    assert_int_equal((int)phase("deleting"), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(test_inventory) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
