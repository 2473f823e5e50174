#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "common/base/compiler.h"
#include "common/json/json.h"
#include "provisioner/drivers/aks_pool.h"
#include "test/lib/literals.h"

#define CLAIM(name, annotations, storage)                                                       \
    "{\"metadata\":{\"name\":\"" name "\",\"creationTimestamp\":\"2026-11-24T03:29:01Z\","      \
    "\"labels\":{\"apps\":\"phi\",\"kaito.sh/workspace\":\"w1\"},\"annotations\":{" annotations \
    "}},\"spec\":{\"taints\":[{\"key\":\"sku\",\"value\":\"gpu\",\"effect\":\"NoSchedule\"},"   \
    "{\"key\":\"bare\",\"effect\":\"NoExecute\"}],\"requirements\":[{\"key\":"                  \
    "\"node.kubernetes.io/instance-type\",\"operator\":\"In\",\"values\":["                     \
    "\"Standard_NC24ads_A100_v4\"]}],\"resources\":{\"requests\":{\"storage\":" storage "}}}}"

static void test_aks_pool_manifest_is_what_gpu_provisioner_sends(void **state)
{
    (void)state;
    AUTO(object) const struct object *claim = object_literal(CLAIM("ws1", "", "\"120Gi\""));
    AUTO(json) cJSON *manifest = NULL;
    struct error err = ERROR_INIT;
    assert_int_equal(aks_pool_manifest(claim, &manifest, &err), 0);
    AUTO(json)
    cJSON *expected = json_literal(
        "{\"properties\":{\"count\":1,\"nodeLabels\":{\"apps\":\"phi\","
        "\"kaito.sh/creation-timestamp\":\"2026-11-24T03-29-01Z\",\"kaito.sh/machine-type\":"
        "\"gpu\",\"kaito.sh/workspace\":\"w1\",\"karpenter.sh/nodepool\":\"kaito\"},"
        "\"nodeTaints\":[\"sku=gpu:NoSchedule\",\"bare=:NoExecute\"],\"osDiskSizeGB\":120,"
        "\"osSKU\":\"Ubuntu\",\"osType\":\"Linux\",\"type\":\"VirtualMachineScaleSets\","
        "\"vmSize\":\"Standard_NC24ads_A100_v4\"}}");
    assert_true(json_equal(manifest, expected));
}

static void test_aks_pool_manifest_reads_disks(void **state)
{
    (void)state;
    static const struct {
        const char *storage;
        int gib; /* 0: refused */
    } cases[] = {
        { "\"1Gi\"", 1 },    { "\"120G\"", 112 }, { "\"1500Mi\"", 2 }, { "\"1Ti\"", 1024 },
        { "\"1\"", 1 },      { "\"1.5Gi\"", 2 },  { "\"0\"", 0 },      { "\"-1Gi\"", 0 },
        { "\"9000Gi\"", 0 }, { "\"1 Gi\"", 0 },   { "\"\"", 0 },       { "\"nan\"", 0 },
        { "1", 0 },
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        char text[1024];
        snprintf(text, sizeof(text), CLAIM("ws1", "", "%s"), cases[i].storage);
        AUTO(object) const struct object *claim = object_literal(text);
        AUTO(json) cJSON *manifest = NULL;
        struct error err = ERROR_INIT;
        int result = aks_pool_manifest(claim, &manifest, &err);
        int64_t gib = json_integer_at(manifest, "properties.osDiskSizeGB", 0);
        if (result != (cases[i].gib > 0 ? 0 : -1) || gib != cases[i].gib)
            fail_msg("%s: %d, %d GiB", cases[i].storage, result, (int)gib);
    }
}

static void test_aks_pool_manifest_takes_the_image_family(void **state)
{
    (void)state;
    AUTO(object)
    const struct object *claim =
        object_literal(CLAIM("ws1", "\"kaito.sh/node-image-family\":\"AzureLinux\"", "\"1Gi\""));
    AUTO(json) cJSON *manifest = NULL;
    struct error err = ERROR_INIT;
    assert_int_equal(aks_pool_manifest(claim, &manifest, &err), 0);
    assert_string_equal(json_string_at(manifest, "properties.osSKU"), "AzureLinux");
}

static void test_aks_pool_manifest_refuses_a_name(void **state)
{
    (void)state;
    AUTO(object) const struct object *claim = object_literal(CLAIM("a-b", "", "\"1Gi\""));
    AUTO(json) cJSON *manifest = NULL;
    struct error err = ERROR_INIT;
    assert_int_equal(aks_pool_manifest(claim, &manifest, &err), -1);
    assert_non_null(strstr(err.message, "a-b"));
}

static void test_aks_pool_name_is_valid(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        bool valid;
    } cases[] = { { "a", true },
                  { "ws1a2b3c4d5", true },
                  { "abcdefghijkl", true },
                  { "", false },
                  { "abcdefghijklm", false },
                  { "1a", false },
                  { "a-b", false },
                  { "aB", false },
                  { "a/../b", false },
                  { "a?x", false } };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        if (aks_pool_name_is_valid(cases[i].name) != cases[i].valid)
            fail_msg("%s", cases[i].name);
    }
}

static void test_aks_pool_state(void **state)
{
    (void)state;
    static const struct {
        const char *pool;
        enum aks_pool_state expected;
    } cases[] = {
        { "{\"properties\":{\"provisioningState\":\"Succeeded\"}}", AKS_POOL_READY },
        { "{\"properties\":{\"provisioningState\":\"Failed\"}}", AKS_POOL_FAILED },
        { "{\"properties\":{\"provisioningState\":\"Canceled\"}}", AKS_POOL_FAILED },
        { "{\"properties\":{\"provisioningState\":\"Deleting\"}}", AKS_POOL_GOING },
        { "{\"properties\":{\"provisioningState\":\"Creating\"}}", AKS_POOL_COMING },
        { "{\"properties\":{\"provisioningState\":\"UpgradingNodeImageVersion\"}}",
          AKS_POOL_COMING },
        { "{}", AKS_POOL_COMING },
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        AUTO(json) cJSON *pool = json_literal(cases[i].pool);
        if (aks_pool_state(pool) != cases[i].expected)
            fail_msg("%s", cases[i].pool);
    }
}

static void test_aks_pool_knows_whose_it_is(void **state)
{
    (void)state;
    AUTO(object) const struct object *claim = object_literal(CLAIM("ws1", "", "\"1Gi\""));
    AUTO(json) cJSON *pool = NULL;
    struct error err = ERROR_INIT;
    assert_int_equal(aks_pool_manifest(claim, &pool, &err), 0);
    assert_true(aks_pool_is_ours(pool));
    assert_true(aks_pool_is_of(pool, claim));

    AUTO(json) cJSON *others = json_literal("{\"name\":\"ws1\",\"properties\":{}}");
    assert_false(aks_pool_is_ours(others));
    assert_false(aks_pool_is_of(others, claim));

    AUTO(object)
    const struct object *later = object_literal(
        "{\"metadata\":{\"name\":\"ws1\",\"creationTimestamp\":\"2026-11-24T04:00:00Z\"}}");
    assert_false(aks_pool_is_of(pool, later));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_aks_pool_manifest_is_what_gpu_provisioner_sends),
        cmocka_unit_test(test_aks_pool_manifest_reads_disks),
        cmocka_unit_test(test_aks_pool_manifest_takes_the_image_family),
        cmocka_unit_test(test_aks_pool_manifest_refuses_a_name),
        cmocka_unit_test(test_aks_pool_name_is_valid),
        cmocka_unit_test(test_aks_pool_state),
        cmocka_unit_test(test_aks_pool_knows_whose_it_is),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
