/* For every cause an object as the API server gives it, and what the one line about it must name.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "common/base/clock.h"
#include "common/causes/causes.h"
#include "common/json/json.h"
#include "test/lib/literals.h"

#define NOW   "2026-11-24T12:00:00Z"
#define CLAIM "NodeClaim/ws5a1e0c2f7"
#define NODE  "Node/aks-ws5a1e0c2f7-12345678-vmss000000"

static const struct {
    const char *code, *object, *seen, *action;
} rows[] = {
    { "InvalidSpec", "Workspace/phi", "resource: Required",
      "kubectl edit workspace phi -n team-a" },
    { "ConfigMissing", "ConfigMap/llama-params", "inference.config", "create the ConfigMap" },
    { "ConfigInvalid", "ConfigMap/llama-params", "line 2 column 18", "correct what is named" },
    { "PlanRejected", "Workspace/phi", "write phi-4-mini-instruct", "kubectl ckaito plan" },
    { "Unsupported", "Workspace/phi", "inference-role", "take what is named out" },
    { "NameTaken", "Service/phi", "not of this Workspace", "delete that object" },
    { "ResourceQuotaExceeded", "StatefulSet/phi", "gpu-quota",
      "kubectl describe resourcequota -n team-a" },
    { "LimitRangeExceeded", "StatefulSet/phi", "16Gi", "kubectl describe limitrange -n team-a" },
    { "PodSecurityForbidden", "Job/phi", "restricted:latest",
      "pod-security.kubernetes.io/enforce than team-a" },
    { "AdmissionDenied", "StatefulSet/phi", "kyverno", "ask the owner of the policy" },
    { "NotPermitted", "Workspace/phi", "ckaito-reconciler", "ClusterRole" },
    { "WorkloadRejected", "StatefulSet/phi", "image: Required value", "change what is named" },
    { "ProvisionerUnreachable", "Service/ckaito-provisioner", "demand.ipc",
      "kubectl get pods -A | grep ckaito-provisioner" },
    { "ProvisionerFailed", "Service/ckaito-provisioner", "could not find", "read its log" },
    { "CloudQuotaExceeded", CLAIM, "standardNCADSA100v4Family", "more quota" },
    { "MachineNotInRegion", CLAIM, "westus2", "choose another instanceType" },
    { "NoCapacity", CLAIM, "AllocationFailed", "wait, it is tried again" },
    { "NodeClassNotReady", CLAIM, "KaitoNodeClass", "kubectl get nodeclaim ws5a1e0c2f7" },
    { "CloudPolicyDenied", CLAIM, "allowed-vm-sizes", "owner of the cloud account" },
    { "CloudAccessDenied", CLAIM, "agentPools/write", "the provisioner's identity" },
    { "CloudUnavailable", CLAIM, "management.azure.com", "it is tried again" },
    { "LaunchFailed", CLAIM, "longer than allowed", "choose another instanceType" },
    { "NodePressure", NODE, "DiskPressure", "kubectl describe node aks-ws5a1e0c2f7" },
    { "NodeUnschedulable", NODE, "cordoned", "kubectl uncordon aks-ws5a1e0c2f7" },
    { "DevicePluginMissing", NODE, "nvidia.com/gpu", "nvidia-device-plugin" },
    { "NodeNotRegistered", CLAIM, "not registered", "boot log" },
    { "NodeNotReady", NODE, "NetworkPluginNotReady", "kubectl describe node" },
    { "NodeTainted", CLAIM, "node.cilium.io/agent-not-ready", "what removes the taint" },
    { "ContainerOOMKilled", "Pod/phi-0", "container phi", "more memory" },
    { "GpuOutOfMemory", "Pod/phi-0", "Tried to allocate 2.32 GiB", "max-model-len" },
    { "ContextTooLong", "Pod/phi-0", "131072", "lower max-model-len" },
    { "GpuUnusable", "Pod/phi-0", "no NVIDIA driver", "driver" },
    { "ModelGated", "Pod/phi-0", "meta-llama/Llama-3.1-8B-Instruct", "modelAccessSecret" },
    { "ModelNotFound", "Pod/phi-0", "404 Client Error", "correct the model's name" },
    { "HubUnreachable", "Pod/phi-0", "name resolution", "pods of namespace team-a" },
    { "DiskFull", "Pod/phi-0", "model-00003", "larger disk" },
    { "DataDownloadFailed", "Pod/phi-7v2xk", "container data-downloader",
      "kubectl logs phi-7v2xk -c data-downloader -n team-a" },
    { "PushFailed", "Pod/phi-7v2xk", "container pusher", "imagePushSecret" },
    { "ImagePullDenied", "Pod/phi-0", "myregistry.azurecr.io/private:1", "image pull Secret" },
    { "ImageNotFound", "Pod/phi-0", "kaito-base:9.9.9", "correct the image's name and tag" },
    { "ImagePullError", "Pod/phi-0", "i/o timeout", "reaches the registry" },
    { "SecretMissing", "Pod/phi-0", "hf-token", "create the Secret" },
    { "ConfigMapMissing", "Pod/phi-0", "llama-params", "create the ConfigMap" },
    { "ContainerStartError", "Pod/phi-0", "/bin/serve", "kubectl describe pod phi-0 -n team-a" },
    { "StartupTimeout", "Pod/phi-0", "container phi", "kubectl logs phi-0 -c phi -n team-a" },
    { "StorageClassMissing", "PersistentVolumeClaim/model-weights-volume-phi-0",
      "kaito-local-nvme-disk", "create the StorageClass" },
    { "VolumeMountFailed", "Pod/phi-0", "attached to another VM", "kubectl describe pod phi-0" },
    { "NodeDiskPressure", "Pod/phi-0", "ephemeral-storage", "larger disk" },
    { "NodeMemoryPressure", "Pod/phi-0", "low on resource: memory", "more memory" },
    { "PodEvicted", "Pod/phi-0", "PIDPressure", "kubectl describe pod phi-0" },
    { "PodDeadlineExceeded", "Pod/phi-0", "specified deadline", "activeDeadlineSeconds" },
    { "InsufficientGpus", "Pod/phi-0", "1 Insufficient nvidia.com/gpu", "who uses the GPUs" },
    { "VolumePending", "Pod/phi-0", "unbound", "kubectl describe pvc -n team-a" },
    { "UntoleratedTaint", "Pod/phi-0", "{team: research}", "remove the taint" },
    { "Unschedulable", "Pod/phi-0", "didn't match", "resource.labelSelector" },
    { "ContainerCrashLoopBackOff", "Pod/phi-0", "exit code 2", "kubectl logs phi-0 -c phi" },
    { "JobDeadlineExceeded", "Job/phi", "active longer", "raise its deadline" },
    { "JobFailed", "Job/phi", "backoff limit", "delete the Job" },
    { "PodsNotCreated", "StatefulSet/phi", "0 of 1", "kubectl get events -n team-a" },
    { "DownloadSlow", "Pod/phi-0", "container phi", "kubectl logs phi-0 -c phi -n team-a -f" },
    { "NodeClaimStuck", CLAIM, "karpenter.sh/termination", "what holds its finalizers" },
    { "NodeClaimDeleting", CLAIM, "karpenter.sh/termination", "wait" },
    { "WorkloadDeleting", "StatefulSet/phi", "", "wait" },
    { "NotObserved", "Workspace/phi", "", "grep ckaito-reconciler" },
    { "NodeClaimNotReady", CLAIM, "", "wait" },
    { "WorkloadStarting", "StatefulSet/phi", "0 of 1", "wait" },
    { "TuningRunning", "Job/phi", "", "kubectl logs job/phi -n team-a -f" },
};

static struct cause_context context(void)
{
    struct cause_context ctx = { .startup_budget_s = 1800, .gpus_expected = true };
    assert_int_equal(rfc3339_parse(NOW, &ctx.now_ms), 0);
    return ctx;
}

static void test_causes_in_fixtures(void **state)
{
    (void)state;
    const struct cause_context ctx = context();
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        AUTO(arena) struct arena arena = ARENA_INIT;
        AUTO(json)
        cJSON *object =
            json_from_file(arena_printf(&arena, "test/unit/causes/fixtures/%s.json", rows[i].code));
        struct cause_hit hit;
        if (!causes_in(NULL, object, &ctx, &arena, &hit))
            fail_msg("%s is not found", rows[i].code);
        assert_string_equal(hit.cause->code, rows[i].code);
        assert_string_equal(hit.object, rows[i].object);
        if (strncmp(hit.message, hit.object, strlen(hit.object)) != 0)
            fail_msg("does not begin with the object: %s", hit.message);
        if (strstr(hit.message, rows[i].seen) == NULL || strchr(hit.message, '\n') != NULL)
            fail_msg("no \"%s\" in: %s", rows[i].seen, hit.message);
        if (strstr(hit.message, hit.next_step) == NULL ||
            strstr(hit.next_step, rows[i].action) == NULL)
            fail_msg("no \"%s\" in: %s", rows[i].action, hit.message);
    }
}

static void test_causes_all_have_a_fixture(void **state)
{
    (void)state;
    for (size_t id = 0; id < CAUSE_COUNT; id++) {
        const char *code = cause_of((enum cause_id)id)->code;
        size_t i = 0;
        while (i < ARRAY_LEN(rows) && strcmp(rows[i].code, code) != 0)
            i++;
        if (i == ARRAY_LEN(rows))
            fail_msg("%s has no fixture", code);
        assert_ptr_equal(cause_by_code(code), cause_of((enum cause_id)id)); /* once only */
    }
    assert_null(cause_by_code("NoSuchCause"));
    assert_null(cause_by_code(NULL));
}

/* Reasons of conditions and events: letters and digits. */
static void test_causes_codes_are_reasons(void **state)
{
    (void)state;
    for (size_t id = 0; id < CAUSE_COUNT; id++) {
        const char *code = cause_of((enum cause_id)id)->code;
        assert_int_equal(
            strspn(code, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"),
            strlen(code));
    }
}

/* Nothing is found in what is well, nor in what is no object at all. */
static void test_causes_in_what_is_well(void **state)
{
    (void)state;
    static const char *const texts[] = {
        "{\"kind\":\"Pod\",\"metadata\":{\"name\":\"p\"},\"status\":{\"phase\":\"Running\","
        "\"containerStatuses\":[{\"name\":\"c\",\"ready\":true,\"lastState\":{\"terminated\":{"
        "\"reason\":\"OOMKilled\",\"exitCode\":137}},\"state\":{\"running\":{}}}]}}",
        "{\"kind\":\"Pod\",\"metadata\":{\"name\":\"p\",\"deletionTimestamp\":\"" NOW "\"},"
        "\"status\":{\"phase\":\"Failed\",\"reason\":\"Evicted\"}}",
        "{\"kind\":\"Pod\",\"metadata\":{\"name\":\"p\"},\"status\":{\"phase\":\"Succeeded\","
        "\"containerStatuses\":[{\"name\":\"pusher\",\"state\":{\"terminated\":{\"exitCode\":0,"
        "\"reason\":\"Completed\"}}}]}}",
        "{\"kind\":\"StatefulSet\",\"metadata\":{\"name\":\"s\"},\"spec\":{\"replicas\":1},"
        "\"status\":{\"readyReplicas\":1}}",
        "{\"kind\":\"Job\",\"metadata\":{\"name\":\"j\"},\"status\":{\"conditions\":[{\"type\":"
        "\"Complete\",\"status\":\"True\"}]}}",
        "{\"kind\":\"NodeClaim\",\"metadata\":{\"name\":\"n\"},\"status\":{\"conditions\":[{"
        "\"type\":\"Ready\",\"status\":\"True\"}]}}",
        "{\"kind\":\"PersistentVolumeClaim\",\"metadata\":{\"name\":\"v\"},\"status\":{\"phase\":"
        "\"Bound\"}}",
        "{\"kind\":\"Event\",\"metadata\":{\"name\":\"e\"},\"reason\":\"FailedMount\","
        "\"involvedObject\":{\"kind\":\"Pod\",\"name\":\"p\"},\"lastTimestamp\":"
        "\"2026-11-24T11:30:00Z\"}",
        "{\"kind\":\"Workspace\",\"metadata\":{\"name\":\"w\",\"generation\":1},\"status\":{"
        "\"observedGeneration\":1,\"conditions\":[{\"type\":\"Ready\",\"status\":\"True\"}]}}",
        "{\"kind\":\"Service\",\"metadata\":{\"name\":\"s\"}}",
        "{\"kind\":\"Pod\",\"metadata\":{},\"status\":7}",
        "{\"kind\":7,\"metadata\":[]}",
        "[]",
    };
    const struct cause_context ctx = context();
    for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
        AUTO(arena) struct arena arena = ARENA_INIT;
        AUTO(json) cJSON *object = json_literal(texts[i]);
        struct cause_hit hit;
        if (causes_in(NULL, object, &ctx, &arena, &hit))
            fail_msg("%s in: %s", hit.message, texts[i]);
    }
}

static void test_causes_in_log(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        enum cause_id id;
        const char *line;
    } logs[] = {
        { "", CAUSE_COUNT, "" },
        { "one\ntwo\n", CAUSE_COUNT, "two" },
        { "CUDA out of memory\nTraceback\n  exit\n", CAUSE_GPU_OOM, "CUDA out of memory" },
        { "404 Client Error\nmore\n401 Client Error: Unauthorized for url", CAUSE_MODEL_GATED,
          "401 Client Error: Unauthorized for url" },
    };
    for (size_t i = 0; i < ARRAY_LEN(logs); i++) {
        AUTO(arena) struct arena arena = ARENA_INIT;
        const char *line;
        assert_int_equal(causes_in_log(logs[i].text, &arena, &line), logs[i].id);
        assert_string_equal(line, logs[i].line);
    }
}

static void test_cause_hit_outranks(void **state)
{
    (void)state;
    const struct cause_hit blocks = { .cause = cause_of(CAUSE_OOM_KILLED) },
                           later = { .cause = cause_of(CAUSE_SECRET_MISSING) },
                           vague = { .cause = cause_of(CAUSE_CRASH_LOOP) },
                           waits = { .cause = cause_of(CAUSE_NODES_PENDING) },
                           event = { .cause = cause_of(CAUSE_OOM_KILLED), .from_event = true };
    const struct cause_hit *order[] = { &blocks, &later, &event, &vague, &waits };
    for (size_t i = 0; i < ARRAY_LEN(order); i++) {
        for (size_t j = 0; j < ARRAY_LEN(order); j++)
            assert_int_equal(cause_hit_outranks(order[i], order[j]), i < j);
    }
}

/* Whatever is seen, the message stays one line of bounded length, and what to do is not cut off. */
static void test_cause_hit_message_is_bounded(void **state)
{
    (void)state;
    AUTO(arena) struct arena arena = ARENA_INIT;
    char *text = arena_alloc(&arena, 100001);
    for (size_t i = 0; i < 100000; i++)
        text[i] = i % 7 == 0 ? '\n' : 'x';
    const struct cause_place place = { .kind = "Pod", .name = "p" };
    struct cause_hit hit = cause_hit_make(CAUSE_SECRET_MISSING, &place, text, &arena);
    assert_true(strlen(hit.message) < CAUSE_DETAIL_BYTES_MAX + 300);
    assert_null(strchr(hit.message, '\n'));
    assert_non_null(strstr(hit.message, "; next: create the Secret"));
    assert_non_null(strstr(hit.message, "NAMESPACE")); /* not known here */
}

static void test_causes_document(void **state)
{
    (void)state;
    AUTO(buf) struct buf out = BUF_INIT(1024 * 1024);
    causes_document(&out);
    assert_false(buf_failed(&out));
    assert_non_null(strstr(buf_text(&out), "| `ModelGated` | blocks |"));
    assert_non_null(strstr(buf_text(&out), "kubectl get pods -A \\| grep"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_causes_in_fixtures),
        cmocka_unit_test(test_causes_all_have_a_fixture),
        cmocka_unit_test(test_causes_codes_are_reasons),
        cmocka_unit_test(test_causes_in_what_is_well),
        cmocka_unit_test(test_causes_in_log),
        cmocka_unit_test(test_cause_hit_outranks),
        cmocka_unit_test(test_cause_hit_message_is_bounded),
        cmocka_unit_test(test_causes_document),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
