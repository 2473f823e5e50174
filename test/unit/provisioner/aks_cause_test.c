#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "common/base/compiler.h"
#include "common/json/json.h"
#include "provisioner/drivers/aks_cause.h"
#include "test/lib/literals.h"

static void test_aks_cause_of(void **state)
{
    (void)state;
    static const struct {
        int status;
        const char *body;
        enum aks_cause expected;
    } cases[] = {
        { 400,
          "{\"code\":\"ErrCode_InsufficientVCPUQuota\",\"message\":\"Insufficient vcpu quota\"}",
          AKS_QUOTA },
        { 409,
          "{\"error\":{\"code\":\"OperationNotAllowed\",\"message\":\"Operation could not be "
          "completed as it results in exceeding approved Total Regional Cores quota\"}}",
          AKS_QUOTA },
        { 400,
          "{\"error\":{\"code\":\"PreconditionFailed\",\"message\":\"x\",\"details\":[{\"code\":"
          "\"InvalidTemplateDeployment\",\"message\":\"y\",\"details\":[{\"code\":"
          "\"QuotaExceeded\",\"message\":\"z\"}]}]}}",
          AKS_QUOTA },
        { 0, "{\"code\":\"AllocationFailed\",\"message\":\"no room\"}", AKS_CAPACITY },
        { 0, "{\"code\":\"ZonalAllocationFailed\",\"message\":\"no room\"}", AKS_CAPACITY },
        { 0, "{\"code\":\"OverconstrainedAllocationRequest\",\"message\":\"x\"}", AKS_CAPACITY },
        { 409,
          "{\"code\":\"SkuNotAvailable\",\"message\":\"not available due to capacity "
          "restrictions\"}",
          AKS_CAPACITY },
        { 400, "{\"code\":\"SkuNotAvailable\",\"message\":\"not in this region\"}", AKS_SIZE },
        { 400,
          "{\"code\":\"BadRequest\",\"message\":\"The VM size of Standard_X is not allowed in "
          "your subscription in location 'eastus'\"}",
          AKS_SIZE },
        { 403, "{\"error\":{\"code\":\"RequestDisallowedByPolicy\",\"message\":\"no\"}}",
          AKS_POLICY },
        { 409, "{\"error\":{\"code\":\"ScopeLocked\",\"message\":\"no\"}}", AKS_POLICY },
        { 429, "{}", AKS_THROTTLED },
        { 409,
          "{\"code\":\"OperationNotAllowed\",\"message\":\"Operation is not allowed because "
          "there's an in progress create node pool operation\"}",
          AKS_CONFLICT },
        { 409, "{}", AKS_CONFLICT },
        { 401, "{}", AKS_FORBIDDEN },
        { 403, "{\"error\":{\"code\":\"AuthorizationFailed\",\"message\":\"no\"}}", AKS_FORBIDDEN },
        { 404, "{\"error\":{\"code\":\"ResourceGroupNotFound\",\"message\":\"no\"}}",
          AKS_NO_CLUSTER },
        { 400, "{\"code\":\"InvalidParameter\",\"message\":\"no\"}", AKS_INVALID },
        { 503, "{}", AKS_UNAVAILABLE },
        { 0, "{\"code\":\"InternalOperationError\",\"message\":\"x\"}", AKS_OTHER },
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        AUTO(json) cJSON *body = json_literal(cases[i].body);
        struct azure_error said = azure_error_read(body);
        enum aks_cause cause = aks_cause_of(cases[i].status, &said);
        if (cause != cases[i].expected)
            fail_msg("%d %s: %s", cases[i].status, cases[i].body, aks_cause_reason(cause));
    }
}

static void test_azure_error_read_keeps_the_innermost_words(void **state)
{
    (void)state;
    AUTO(json)
    cJSON *body = json_literal("{\"error\":{\"code\":\"PreconditionFailed\",\"message\":\"outer\","
                               "\"details\":[{\"code\":\"SkuNotAvailable\",\"message\":\"inner\","
                               "\"details\":[{\"code\":\"More\",\"message\":\"no\"}]}]}}");
    struct azure_error said = azure_error_read(body);
    assert_string_equal(said.code, "SkuNotAvailable");
    assert_string_equal(said.message, "inner");
}

static void test_azure_error_read_of_nothing_is_empty(void **state)
{
    (void)state;
    struct azure_error said = azure_error_read(NULL);
    assert_string_equal(said.code, "");
    assert_string_equal(said.message, "");
}

static void test_aks_cause_find_is_the_way_back_from_a_reason(void **state)
{
    (void)state;
    for (int i = 0; i < AKS_CAUSE_COUNT; i++) {
        char text[128];
        snprintf(text, sizeof(text), "%s: words", aks_cause_reason((enum aks_cause)i));
        assert_int_equal(aks_cause_find(text), i);
    }
    assert_int_equal(aks_cause_find("QuotaExceededMore: words"), AKS_OTHER);
}

/* An attempt that costs a request must never follow the last one at once. */
static void test_aks_cause_always_waits(void **state)
{
    (void)state;
    for (int i = 0; i < AKS_CAUSE_COUNT; i++)
        assert_true(aks_cause_retry_ms((enum aks_cause)i) >= 10 * 1000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_aks_cause_of),
        cmocka_unit_test(test_azure_error_read_keeps_the_innermost_words),
        cmocka_unit_test(test_azure_error_read_of_nothing_is_empty),
        cmocka_unit_test(test_aks_cause_find_is_the_way_back_from_a_reason),
        cmocka_unit_test(test_aks_cause_always_waits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
