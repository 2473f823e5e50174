/* Lives that go wrong: what status and events say of it, all in the words of the catalogue of
 * causes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "common/base/memory.h"
#include "common/json/build.h"
#include "common/json/json.h"
#include "test/lib/literals.h"
#include "test/lib/world.h"

#define PHI    "workspace-phi-4-mini"
#define TUNING "workspace-tuning-phi-3"

/* A pod of the Workspace, as the fixture of a cause has it. */
static void create_pod(const struct world *world, const char *workspace, const char *code)
{
    AUTO(arena) struct arena arena = ARENA_INIT;
    cJSON *pod = json_from_file(arena_printf(&arena, "test/unit/causes/fixtures/%s.json", code));
    cJSON *metadata = json_member(pod, "metadata");
    json_set(metadata, "namespace", json_new_string("default"));
    json_set(metadata, "labels", JOBJ(JS(LABEL_WORKSPACE, workspace)));
    json_remove(metadata, "resourceVersion");
    json_remove(metadata, "uid");
    fake_apiserver_create(world->server, &GVR_POD, pod);
}

struct search {
    const char *reason;
    bool found;
};

static void look_at(void *context, const struct object *event)
{
    struct search *search = context;
    if (strcmp(json_string_at(event->json, "reason"), search->reason) == 0 &&
        strcmp(json_string_at(event->json, "type"), EVENT_WARNING) == 0)
        search->found = true;
}

static bool has_warning(struct world *world, const char *reason)
{
    struct search search = { .reason = reason };
    struct error err = ERROR_INIT;
    AUTO_FREE char *version = NULL;
    assert_int_equal(k8s_list(&world->client, &GVR_EVENT, &(struct list_options){ 0 }, look_at,
                              &search, &version, &err),
                     0);
    return search.found;
}

static void assert_warned(struct world *world, const char *reason)
{
    for (int i = 0; i < WORLD_PATIENCE_MS && !has_warning(world, reason); i++)
        world_pause_ms(1); /* written by another thread */
    if (!has_warning(world, reason))
        fail_msg("no event %s", reason);
}

/* The same code everywhere; the message begins with the object and ends with what to do. */
static void assert_explained(struct world *world, const char *workspace, const char *code,
                             const char *object)
{
    AUTO(json) cJSON *ws = world_get(world, &GVR_WORKSPACE, workspace);
    const char *message = json_string_at(ws, "status.conditions[type=Ready].message");
    assert_string_equal(json_string_at(ws, "status.conditions[0].type"), CONDITION_READY);
    assert_condition(world, workspace, CONDITION_READY, "False", code);
    if (strncmp(message, object, strlen(object)) != 0 || strstr(message, "; next: ") == NULL)
        fail_msg("not explained: %s", message);
    const cJSON *timeline = json_at(ws, "status.timeline");
    const cJSON *open = cJSON_GetArrayItem(timeline, cJSON_GetArraySize(timeline) - 1);
    assert_string_equal(json_string_at(open, "cause"), code);
    assert_string_equal(json_string_at(open, "object"), object);
    assert_string_equal(json_string_at(open, "message"), message);
    assert_non_null(strstr(message, json_string_at(open, "nextStep")));
    assert_warned(world, code);
}

static void test_explained_image(void **state)
{
    struct world *world = *state;
    world_create_from(world, "test/golden/inference-single-node.yaml");
    world->ready = 1;
    world_settle(world);
    assert_condition(world, PHI, CONDITION_READY, "False", "WorkloadStarting");
    create_pod(world, PHI, "ImageNotFound");
    world_settle(world);
    assert_explained(world, PHI, "ImageNotFound", "Pod/phi-0");
    assert_condition(world, PHI, CONDITION_INFERENCE_READY, "False", "ImagePullError");

    /* put right: nothing of it stays */
    world_erase(world, &GVR_POD, "phi-0");
    world_change(world, &GVR_STATEFULSET, PHI,
                 "{\"status\":{\"observedGeneration\":9,\"readyReplicas\":1,\"replicas\":1}}");
    world_settle(world);
    assert_condition(world, PHI, CONDITION_READY, "True", "workspaceSucceeded");
    AUTO(json) cJSON *ws = world_get(world, &GVR_WORKSPACE, PHI);
    assert_null(json_at(ws, "status.timeline[phase=WorkloadReady].cause"));
}

/* What the container said, not that the Job has counted to its limit. */
static void test_explained_tuning(void **state)
{
    struct world *world = *state;
    world_create_from(world, "test/golden/tuning-qlora.yaml");
    world->ready = 1;
    world_settle(world);
    create_pod(world, TUNING, "PushFailed");
    world_change(world, &GVR_JOB, TUNING,
                 "{\"status\":{\"failed\":7,\"conditions\":[{\"type\":\"Failed\",\"status\":"
                 "\"True\",\"reason\":\"BackoffLimitExceeded\",\"message\":\"Job has reached the "
                 "specified backoff limit\"}]}}");
    world_settle(world);
    assert_explained(world, TUNING, "PushFailed", "Pod/phi-7v2xk");
    assert_condition(world, TUNING, CONDITION_STALLED, "True", "PushFailed");
    assert_condition(world, TUNING, CONDITION_JOB_STARTED, "False",
                     "WorkspaceTuningJobStatusFailed");
}

static void test_explained_refusals(void **state)
{
    struct world *world = *state;
    world_create_from(world, "test/golden/inference-two-nodes.yaml");
    world_settle(world);
    assert_explained(world, "workspace-llama-3-3-70b-instruct", "ConfigMissing",
                     "ConfigMap/llama-inference-params");

    fake_apiserver_create(world->server, &GVR_SERVICE,
                          json_literal("{\"apiVersion\":\"v1\",\"kind\":\"Service\",\"metadata\":"
                                       "{\"name\":\"" PHI "\",\"namespace\":\"default\"}}"));
    world_create_from(world, "test/golden/inference-single-node.yaml");
    world->ready = 1;
    world_settle(world);
    assert_explained(world, PHI, "NameTaken", "Service/" PHI);
}

static void test_explained_provisioner(void **state)
{
    struct world *world = *state;
    world->unreachable = true;
    world_create_from(world, "test/golden/inference-single-node.yaml");
    world_settle(world);
    assert_explained(world, PHI, "ProvisionerUnreachable", "Service/ckaito-provisioner");
}

static void test_explained_deletion(void **state)
{
    struct world *world = *state;
    world_create_from(world, "test/golden/inference-single-node.yaml");
    world_settle(world);
    world->claims_remain = true;
    world_erase(world, &GVR_WORKSPACE, PHI);
    world_settle(world);
    assert_condition(world, PHI, CONDITION_READY, "False", "NodeClaimDeleting");
    assert_condition(world, PHI, CONDITION_DELETING, "True", "workspaceDeleted");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        LIFE(test_explained_image),    LIFE(test_explained_tuning),
        LIFE(test_explained_refusals), LIFE(test_explained_provisioner),
        LIFE(test_explained_deletion),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
