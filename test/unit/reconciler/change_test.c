/* What changes about a Workspace reaches its workload. The pods are the StatefulSet controller's,
 * which rolls them when the pod template changes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "common/base/memory.h"
#include "common/json/build.h"
#include "common/json/json.h"
#include "reconciler/manifest.h"
#include "test/lib/literals.h"
#include "test/lib/world.h"

#define PRESET   "workspace-phi-4-mini"
#define TEMPLATE "workspace-custom-llm"

/* A change, and what the pod template says before (NULL: nothing) and after; revision: its number
 * after the change. */
struct change {
    const char *patch, *path, *before, *after;
    int64_t revision;
};

static const char command[] = "spec.template.spec.containers[0].command[2]";

static const struct change changes[] = {
    { "{\"inference\":{\"adapters\":[{\"source\":{\"name\":\"law\",\"image\":\"example.com/law:1\"}"
      "}]}}",
      "spec.template.spec.initContainers[0].name", NULL, "puller-law", 2 },
    { "{\"inference\":{\"adapters\":[{\"source\":{\"name\":\"law\",\"image\":\"example.com/law:1\"}"
      "}]}}",
      command, "--download-dir=", "--enable-lora", 2 },
    { "{\"inference\":{\"adapters\":[{\"source\":{\"name\":\"law\",\"volumeSource\":"
      "{\"persistentVolumeClaim\":{\"claimName\":\"p\"}}},\"strength\":\"0.5\"}]}}",
      "spec.template.spec.volumes[name=adapter-volume-law].persistentVolumeClaim.claimName", NULL,
      "p", 2 },
    { "{\"inference\":{\"config\":\"params\"}}", command, "--model=", "--kaito-config-file=", 2 },
    { "{\"inference\":{\"config\":\"params\"}}",
      "spec.template.spec.volumes[name=config-volume].configMap.name", NULL, "params", 2 },
    { "{\"inference\":{\"preset\":{\"presetOptions\":{\"modelAccessSecret\":\"token\"}}}}",
      "spec.template.spec.containers[0].env[name=HF_TOKEN].valueFrom.secretKeyRef.name", NULL,
      "token", 2 },
    { "{\"metadata\":{\"annotations\":{\"" ANNOTATION_PERFORMANCE "\":\"throughput\"}}}", command,
      "--model=", "--performance-mode=throughput", 1 },
    { "{\"metadata\":{\"annotations\":{\"" ANNOTATION_NO_BENCHMARK "\":\"true\"}}}",
      "spec.template.spec.containers[0].startupProbe.httpGet.path", NULL, "/health", 1 },
    { "{\"metadata\":{\"annotations\":{\"" ANNOTATION_LOCAL_WEIGHTS "\":\"true\"}}}",
      "spec.template.spec.volumes[name=model-weights-hostpath].hostPath.type", NULL, "Directory",
      1 },
};

static void create(struct world *world, const char *file)
{
    fake_apiserver_create(
        world->server, &GVR_CONFIGMAP,
        json_literal("{\"apiVersion\":\"v1\",\"kind\":\"ConfigMap\",\"metadata\":{\"name\":"
                     "\"params\",\"namespace\":\"default\"},\"data\":{\"inference_config.yaml\":"
                     "\"vllm:\\n  max-model-len: 4096\\n\"}}"));
    world->ready = 1;
    world_create_from(world, file);
    world_settle(world);
}

static void assert_says(const struct world *world, const char *name, const char *path,
                        const char *text)
{
    AUTO(json) cJSON *set = world_get(world, &GVR_STATEFULSET, name);
    const char *found = json_string_at(set, path);
    if (text == NULL ? found != NULL : (found == NULL || strstr(found, text) == NULL))
        fail_msg("%s: %s, not %s", path, found, text);
}

static void test_change_of_preset(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(changes); i++) {
        const struct change *change = &changes[i];
        void *opened = NULL;
        world_open(&opened);
        struct world *world = opened;
        create(world, "test/golden/inference-single-node.yaml");
        AUTO(json) cJSON *first = world_get(world, &GVR_STATEFULSET, PRESET);
        assert_says(world, PRESET, change->path, change->before);

        world_change(world, &GVR_WORKSPACE, PRESET, change->patch);
        world_settle(world);
        assert_says(world, PRESET, change->path, change->after);
        AUTO(json) cJSON *second = world_get(world, &GVR_STATEFULSET, PRESET);
        assert_string_equal(json_string_at(second, "metadata.uid"),
                            json_string_at(first, "metadata.uid"));
        AUTO_FREE char *revision = mem_printf("%lld", (long long)change->revision);
        assert_string_equal(
            json_string_at(second, "metadata.annotations[\"" ANNOTATION_REVISION "\"]"), revision);
        assert_int_equal(fake_apiserver_requests(world->server, "apply", "statefulsets"), 2);
        world_close(&opened);
    }
}

static void test_change_that_is_taken_back(void **state)
{
    struct world *world = *state;
    create(world, "test/golden/inference-single-node.yaml");
    AUTO(json) cJSON *first = world_get(world, &GVR_STATEFULSET, PRESET);
    world_change(world, &GVR_WORKSPACE, PRESET, changes[0].patch);
    world_settle(world);
    world_change(world, &GVR_WORKSPACE, PRESET, "{\"inference\":{\"adapters\":null}}");
    world_settle(world);
    AUTO(json) cJSON *third = world_get(world, &GVR_STATEFULSET, PRESET);
    AUTO_FREE char *before = json_print_canonical(json_get(first, "spec"));
    AUTO_FREE char *after = json_print_canonical(json_get(third, "spec"));
    assert_string_equal(after, before);
    assert_string_equal(json_string_at(third, "metadata.annotations[\"" ANNOTATION_REVISION "\"]"),
                        "1");
}

static void test_change_of_template(void **state)
{
    struct world *world = *state;
    create(world, "test/golden/inference-template.yaml");
    world_change(world, &GVR_WORKSPACE, TEMPLATE,
                 "{\"inference\":{\"template\":{\"spec\":{\"priorityClassName\":\"high\"}}}}");
    world_settle(world);
    assert_says(world, TEMPLATE, "spec.template.spec.priorityClassName", "high");
    assert_int_equal(fake_apiserver_object_count(world->server, &GVR_CONTROLLERREVISION), 2);
}

static void test_change_of_service(void **state)
{
    struct world *world = *state;
    create(world, "test/golden/inference-single-node.yaml");
    world_change(world, &GVR_WORKSPACE, PRESET,
                 "{\"metadata\":{\"annotations\":{\"" ANNOTATION_ENABLE_LB "\":\"True\"}}}");
    world_settle(world);
    AUTO(json) cJSON *service = world_get(world, &GVR_SERVICE, PRESET);
    assert_string_equal(json_string_at(service, "spec.type"), "LoadBalancer");
    assert_int_equal(fake_apiserver_requests(world->server, "apply", "statefulsets"), 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_change_of_preset),
        LIFE(test_change_that_is_taken_back),
        LIFE(test_change_of_template),
        LIFE(test_change_of_service),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
