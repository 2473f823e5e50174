#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "common/api/workspace.h"
#include "common/base/memory.h"
#include "common/json/build.h"
#include "common/json/json.h"
#include "provisioner/claim.h"

static const struct object *object_of(const char *text)
{
    struct error err = ERROR_INIT;
    cJSON *json = NULL;
    const struct object *object = NULL;
    if (json_parse_text(text, &json, &err) < 0 || object_new(json, &object, &err) < 0)
        fail_msg("%s", err.message);
    return object;
}

static struct node_demand demand_for(int64_t count)
{
    return (struct node_demand){
        .namespace_ = "default",
        .name = "ws",
        .uid = "uid-1",
        .instance_type = "Standard_NC24ads_A100_v4",
        .count = { true, count },
        .disk_gib = { true, 87 },
    };
}

static void test_claim_name_depends_on_uid_and_ordinal_only(void **state)
{
    (void)state;
    char a[CLAIM_NAME_BYTES], again[CLAIM_NAME_BYTES], b[CLAIM_NAME_BYTES], c[CLAIM_NAME_BYTES];
    claim_name("uid-1", 0, a);
    claim_name("uid-1", 0, again);
    claim_name("uid-1", 1, b);
    claim_name("uid-2", 0, c);
    assert_string_equal(a, again);
    assert_string_not_equal(a, b);
    assert_string_not_equal(a, c);
    assert_int_equal(strlen(a), 11);
    assert_memory_equal(a, "ws", 2);
}

static void test_claim_manifest_is_what_gpu_provisioner_expects(void **state)
{
    (void)state;
    struct string_pair labels[] = { { "apps", "phi-4" } };
    struct message_taint taints[] = { { .key = "sku", .value = "gpu", .effect = "NoSchedule" } };
    struct node_demand demand = demand_for(1);
    demand.labels = (struct string_map){ .items = labels, .count = 1 };
    demand.taints = (struct message_taint_list){ .items = taints, .count = 1 };

    AUTO(json) cJSON *claim = claim_manifest(&demand, 0, "azure");
    AUTO(json) cJSON *expected = NULL;
    struct error err = ERROR_INIT;
    assert_int_equal(
        json_parse_text(
            "{\"apiVersion\":\"karpenter.sh/v1\",\"kind\":\"NodeClaim\",\"metadata\":{"
            "\"labels\":{\"karpenter.sh/nodepool\":\"kaito\",\"kaito.sh/workspace\":\"ws\","
            "\"kaito.sh/workspacenamespace\":\"default\",\"apps\":\"phi-4\"},"
            "\"annotations\":{\"karpenter.sh/do-not-disrupt\":\"true\","
            "\"kaito.sh/node-image-family\":\"ubuntu\",\"kaito.sh/workspace-uid\":\"uid-1\"}},"
            "\"spec\":{\"nodeClassRef\":{\"group\":\"kaito.sh\",\"kind\":\"KaitoNodeClass\","
            "\"name\":\"default\"},\"expireAfter\":\"Never\","
            "\"taints\":[{\"key\":\"sku\",\"value\":\"gpu\",\"effect\":\"NoSchedule\"}],"
            "\"requirements\":["
            "{\"key\":\"karpenter.sh/nodepool\",\"operator\":\"In\",\"values\":[\"kaito\"]},"
            "{\"key\":\"node.kubernetes.io/instance-type\",\"operator\":\"In\","
            "\"values\":[\"Standard_NC24ads_A100_v4\"]},"
            "{\"key\":\"kubernetes.io/os\",\"operator\":\"In\",\"values\":[\"linux\"]},"
            "{\"key\":\"karpenter.azure.com/sku-name\",\"operator\":\"In\","
            "\"values\":[\"Standard_NC24ads_A100_v4\"]}],"
            "\"resources\":{\"requests\":{\"storage\":\"87Gi\"}}}}",
            &expected, &err),
        0);
    char name[CLAIM_NAME_BYTES];
    claim_name("uid-1", 0, name);
    assert_string_equal(json_string_at(claim, "metadata.name"), name);
    cJSON_DeleteItemFromObjectCaseSensitive(cJSON_GetObjectItemCaseSensitive(claim, "metadata"),
                                            "name");
    AUTO_FREE char *text = json_print(claim);
    if (!json_equal(claim, expected))
        fail_msg("%s", text);
}

static void test_claim_manifest_names_the_clouds_node_class(void **state)
{
    (void)state;
    static const struct {
        const char *cloud, *group, *kind, *last_key;
    } cases[] = {
        { "azure", "kaito.sh", "KaitoNodeClass", "karpenter.azure.com/sku-name" },
        { "aws", "karpenter.k8s.aws", "EC2NodeClass", "karpenter.k8s.aws/instance-gpu-count" },
        { "arc", "kaito.sh", "KaitoNodeClass", "kubernetes.io/os" },
    };
    struct node_demand demand = demand_for(1);
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        AUTO(json) cJSON *claim = claim_manifest(&demand, 0, cases[i].cloud);
        const cJSON *list = json_at(claim, "spec.requirements");
        const cJSON *last = cJSON_GetArrayItem(list, cJSON_GetArraySize(list) - 1);
        assert_string_equal(json_string_at(claim, "spec.nodeClassRef.group"), cases[i].group);
        assert_string_equal(json_string_at(claim, "spec.nodeClassRef.kind"), cases[i].kind);
        assert_string_equal(json_string_at(last, "key"), cases[i].last_key);
    }
}

/* A claim of demand_for's Workspace with this ordinal. */
static const struct object *claim_object(int64_t ordinal, const char *uid, bool deleting)
{
    char name[CLAIM_NAME_BYTES];
    claim_name(uid, ordinal, name);
    AUTO_FREE char *text =
        mem_printf("{\"metadata\":{\"name\":\"%s\",\"uid\":\"u\",\"annotations\":{"
                   "\"kaito.sh/workspace-uid\":\"%s\"}%s}}",
                   name, uid, deleting ? ",\"deletionTimestamp\":\"2026-01-01T00:00:00Z\"" : "");
    return object_of(text);
}

static void test_claims_missing(void **state)
{
    (void)state;
    static const struct {
        const char *what;
        int64_t count;
        const char *existing; /* one character a claim: its ordinal; 'd' after it: being deleted */
        const char *expected;
    } cases[] = {
        { "none yet", 2, "", "01" },
        { "all there", 2, "01", "" },
        { "second is missing", 2, "0", "1" },
        { "first is missing", 2, "1", "0" },
        { "first is being deleted: its name is taken", 1, "0d", "1" },
        { "more than wanted", 1, "01", "" },
        { "never more than twice the count", 1, "0d1d", "" },
        { "room for one more only", 2, "0d1d2d", "3" },
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct node_demand demand = demand_for(cases[i].count);
        const struct object *items[8];
        struct object_list existing = { .items = items };
        for (const char *p = cases[i].existing; *p != '\0'; p++) {
            bool deleting = p[1] == 'd';
            items[existing.count++] = claim_object(*p - '0', "uid-1", deleting);
            p += deleting;
        }
        int64_t ordinals[8] = { 0 };
        char found[9] = "";
        size_t count = claims_missing(&demand, &existing, ordinals);
        for (size_t k = 0; k < count; k++)
            found[k] = (char)('0' + ordinals[k]);
        if (strcmp(found, cases[i].expected) != 0)
            fail_msg("%s: \"%s\", not \"%s\"", cases[i].what, found, cases[i].expected);
        for (size_t k = 0; k < existing.count; k++)
            object_unref(items[k]);
    }
}

static void test_claims_missing_ignores_an_earlier_life(void **state)
{
    (void)state;
    struct node_demand demand = demand_for(1);
    AUTO(object) const struct object *old = claim_object(0, "uid-0", false);
    const struct object_list existing = { .items = &old, .count = 1 };
    int64_t ordinals[1];
    assert_int_equal(claims_missing(&demand, &existing, ordinals), 1);
}

static void test_claims_missing_adopts_claims_without_our_mark(void **state)
{
    (void)state;
    struct node_demand demand = demand_for(1);
    AUTO(object) const struct object *foreign = object_of("{\"metadata\":{\"name\":\"ws1\"}}");
    const struct object_list existing = { .items = &foreign, .count = 1 };
    int64_t ordinals[1];
    assert_int_equal(claims_missing(&demand, &existing, ordinals), 0);
}

/* A claim of demand_for's Workspace with this ordinal and a second of creation. */
static const struct object *claim_made(int64_t ordinal, int second, bool deleting)
{
    char name[CLAIM_NAME_BYTES];
    claim_name("uid-1", ordinal, name);
    AUTO_FREE char *text = mem_printf(
        "{\"metadata\":{\"name\":\"%s\",\"uid\":\"u\",\"annotations\":{"
        "\"kaito.sh/workspace-uid\":\"uid-1\"},\"creationTimestamp\":\"2026-01-01T00:00:0%dZ\"%s}}",
        name, second, deleting ? ",\"deletionTimestamp\":\"2026-01-01T00:00:09Z\"" : "");
    return object_of(text);
}

static void test_claims_surplus(void **state)
{
    (void)state;
    static const struct {
        const char *what;
        int64_t count;
        const char *existing; /* a claim: its ordinal, the second it was made in, 'd' or ' ' */
        const char *expected; /* ordinals */
    } cases[] = {
        { "nothing there", 1, "", "" },
        { "as many as wanted", 2, "00 10 ", "" },
        { "one too many of equal age: the higher ordinal", 1, "00 10 ", "1" },
        { "the younger one, whatever its ordinal", 1, "05 12 ", "0" },
        { "one on its way out does not count", 1, "00d15 ", "" },
        { "nor is it named", 1, "00d15 25 ", "2" },
        { "an old one of a high ordinal stays", 2, "05 15 21 ", "1" },
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct node_demand demand = demand_for(cases[i].count);
        const struct object *items[8], *surplus[8];
        struct object_list existing = { .items = items };
        for (const char *p = cases[i].existing; *p != '\0'; p += 3)
            items[existing.count++] = claim_made(p[0] - '0', p[1] - '0', p[2] == 'd');
        size_t count = claims_surplus(&demand, &existing, surplus);
        assert_int_equal(count, strlen(cases[i].expected));
        for (size_t k = 0; k < count; k++) {
            char name[CLAIM_NAME_BYTES];
            claim_name("uid-1", cases[i].expected[k] - '0', name);
            if (strcmp(surplus[k]->key.name, name) != 0)
                fail_msg("%s: %s", cases[i].what, surplus[k]->key.name);
        }
        for (size_t k = 0; k < existing.count; k++)
            object_unref(items[k]);
    }
}

#define CONDITION(type, status, reason, message)                            \
    "{\"type\":\"" type "\",\"status\":\"" status "\",\"reason\":\"" reason \
    "\",\"message\":\"" message "\"}"
#define CLAIM(status) "{\"metadata\":{\"name\":\"c\",\"uid\":\"u\"},\"status\":{" status "}}"
#define READY_NODE(gpus)                                                                     \
    "{\"metadata\":{\"name\":\"n\"},\"status\":{\"allocatable\":{\"nvidia.com/gpu\":\"" gpus \
    "\"},\"conditions\":[" CONDITION("Ready", "True", "KubeletReady", "") "]}}"

static void test_claim_observe(void **state)
{
    (void)state;
    static const struct {
        const char *what, *claim, *node, *phase, *reason;
    } cases[] = {
        { "no status yet", CLAIM(""), NULL, CLAIM_PENDING, NULL },
        { "launch failed",
          CLAIM("\"conditions\":[" CONDITION("Launched", "Unknown", "LaunchFailed", "quota") "]"),
          NULL, CLAIM_PENDING, "LaunchFailed" },
        { "launched, waiting for the node",
          CLAIM("\"conditions\":[" CONDITION("Launched", "True", "Launched", "") "," CONDITION(
              "Registered", "Unknown", "NodeNotFound", "no node") "]"),
          NULL, CLAIM_LAUNCHED, "NodeNotFound" },
        { "a silent AwaitingReconciliation gives way to a real reason",
          CLAIM("\"conditions\":[" CONDITION(
              "Launched", "Unknown", "AwaitingReconciliation",
              "waiting") "," CONDITION("Registered", "Unknown", "NodeNotFound", "no node") "]"),
          NULL, CLAIM_PENDING, "NodeNotFound" },
        { "registered twice is terminal",
          CLAIM("\"conditions\":[" CONDITION("Launched", "True", "Launched", "") "," CONDITION(
              "Registered", "False", "MultipleNodesFound", "two nodes") "]"),
          NULL, CLAIM_FAILED, "MultipleNodesFound" },
        { "ready with a ready node and GPUs",
          CLAIM("\"nodeName\":\"n\",\"conditions\":[" CONDITION("Ready", "True", "Ready", "") "]"),
          READY_NODE("1"), CLAIM_READY, NULL },
        { "ready, but the node is gone",
          CLAIM("\"nodeName\":\"n\",\"conditions\":[" CONDITION("Ready", "True", "Ready", "") "]"),
          NULL, CLAIM_REGISTERED, "NodeNotReady" },
        { "ready, but no GPU is shown",
          CLAIM("\"nodeName\":\"n\",\"conditions\":[" CONDITION("Ready", "True", "Ready", "") "]"),
          READY_NODE("0"), CLAIM_REGISTERED, "NodePluginsNotReady" },
        { "an old provisioner sets nodeName and no Ready condition", CLAIM("\"nodeName\":\"n\""),
          READY_NODE("1"), CLAIM_READY, NULL },
        { "being deleted",
          "{\"metadata\":{\"name\":\"c\",\"deletionTimestamp\":\"2026-01-01T00:00:00Z\"}}", NULL,
          CLAIM_DELETING, "Deleting" },
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        AUTO(arena) struct arena arena = ARENA_INIT;
        AUTO(object) const struct object *claim = object_of(cases[i].claim);
        AUTO(object)
        const struct object *node = cases[i].node != NULL ? object_of(cases[i].node) : NULL;
        struct claim_state seen = claim_observe(claim, node, 1, &arena);
        if (strcmp(seen.phase, cases[i].phase) != 0)
            fail_msg("%s: phase %s", cases[i].what, seen.phase);
        if (cases[i].reason == NULL
                ? seen.reason != NULL
                : seen.reason == NULL || strcmp(seen.reason, cases[i].reason) != 0)
            fail_msg("%s: reason %s", cases[i].what, seen.reason);
    }
}

static void test_claim_observe_without_gpus_to_expect(void **state)
{
    (void)state;
    AUTO(arena) struct arena arena = ARENA_INIT;
    AUTO(object)
    const struct object *claim = object_of(
        CLAIM("\"nodeName\":\"n\",\"conditions\":[" CONDITION("Ready", "True", "Ready", "") "]"));
    AUTO(object) const struct object *node = object_of(READY_NODE("0"));
    assert_string_equal(claim_observe(claim, node, 0, &arena).phase, CLAIM_READY);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_claim_name_depends_on_uid_and_ordinal_only),
        cmocka_unit_test(test_claim_manifest_is_what_gpu_provisioner_expects),
        cmocka_unit_test(test_claim_manifest_names_the_clouds_node_class),
        cmocka_unit_test(test_claims_missing),
        cmocka_unit_test(test_claims_missing_ignores_an_earlier_life),
        cmocka_unit_test(test_claims_missing_adopts_claims_without_our_mark),
        cmocka_unit_test(test_claims_surplus),
        cmocka_unit_test(test_claim_observe),
        cmocka_unit_test(test_claim_observe_without_gpus_to_expect),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
