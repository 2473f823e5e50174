/* Whole lives of Workspaces. */
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

#define PHI "workspace-phi-4-mini"

static void make_inference_ready(struct world *world)
{
    world_create_from(world, "test/golden/inference-single-node.yaml");
    world->ready = 1;
    world_settle(world);
    world_change(world, &GVR_STATEFULSET, PHI,
                 "{\"status\":{\"observedGeneration\":9,\"readyReplicas\":1,\"replicas\":1}}");
    world_settle(world);
    /* Planned, NodesRequested, NodesReady, WorkloadCreated, WorkspaceReady: written by another
     * thread */
    for (int i = 0;
         i < WORLD_PATIENCE_MS && fake_apiserver_object_count(world->server, &GVR_EVENT) < 5; i++)
        world_pause_ms(1);
}

/* ------------------------------------------------------------------ lives */

static void test_life_inference(void **state)
{
    struct world *world = *state;
    world_create_from(world, "test/golden/inference-single-node.yaml");
    world_settle(world);

    AUTO(json) cJSON *planned = world_get(world, &GVR_WORKSPACE, PHI);
    assert_string_equal(json_string_at(planned, "metadata.finalizers[0]"), WORKSPACE_FINALIZER);
    assert_string_equal(json_string_at(planned, "metadata.annotations[\"" ANNOTATION_HASH "\"]"),
                        "203bd2f573e212877fc413be56776945a635c4cd6ea73b05061e71a0272019a8");
    assert_string_equal(
        json_string_at(planned, "metadata.annotations[\"" ANNOTATION_REVISION "\"]"), "1");
    assert_string_equal(json_string_at(planned, "status.state"), "Pending");
    assert_int_equal(json_integer_at(planned, "status.targetNodeCount", 0), 1);
    assert_int_equal(fake_apiserver_object_count(world->server, &GVR_CONTROLLERREVISION), 1);
    assert_condition(world, PHI, CONDITION_NODECLAIM_READY, "False", "NodeClaimNotReady");
    assert_condition(world, PHI, CONDITION_RECONCILING, "True", NULL);
    assert_gone(world, &GVR_STATEFULSET, PHI);
    assert_string_equal(json_string_at(world->last_demand, "instanceType"),
                        "Standard_NC24ads_A100_v4");
    assert_int_equal(json_integer_at(world->last_demand, "diskGiB", 0), 87);
    assert_string_equal(json_string_at(world->last_demand, "labels.apps"), "phi-4");

    world->ready = 1;
    world_touch(world, PHI);
    AUTO(json) cJSON *set = world_get(world, &GVR_STATEFULSET, PHI);
    assert_non_null(set);
    assert_int_equal(fake_apiserver_object_count(world->server, &GVR_SERVICE), 2);
    assert_condition(world, PHI, CONDITION_RESOURCE_READY, "True",
                     "workspaceResourceStatusSuccess");
    assert_condition(world, PHI, CONDITION_INFERENCE_READY, "False",
                     "WorkspaceInferenceStatusPending");

    world_change(world, &GVR_STATEFULSET, PHI,
                 "{\"status\":{\"observedGeneration\":9,\"readyReplicas\":1,\"replicas\":1}}");
    world_settle(world);
    assert_condition(world, PHI, CONDITION_SUCCEEDED, "True", "workspaceSucceeded");
    assert_condition(world, PHI, CONDITION_READY, "True", NULL);
    assert_condition(world, PHI, CONDITION_RECONCILING, "False", NULL);
    assert_condition(world, PHI, CONDITION_STALLED, "False", NULL);
    AUTO(json) cJSON *ready = world_get(world, &GVR_WORKSPACE, PHI);
    assert_string_equal(json_string_at(ready, "status.state"), "Ready");
    assert_string_equal(json_string_at(ready, "status.workerNodes[0]"), "node-1");
    assert_non_null(json_string_at(ready, "status.timeline[phase=WorkloadReady].end"));
    assert_true(fake_apiserver_requests(world->server, "patch", "workspaces/status") <= 4);
    assert_int_equal(fake_apiserver_requests(world->server, "patch", "workspaces"), 1);
    assert_int_equal(fake_apiserver_requests(world->server, "apply", "statefulsets"), 1);
    assert_int_equal(fake_apiserver_requests(world->server, "apply", "services"), 2);
}

static void test_life_at_rest_writes_nothing(void **state)
{
    struct world *world = *state;
    make_inference_ready(world);
    fake_apiserver_reset_requests(world->server);
    for (int i = 0; i < 3; i++)
        world_touch(world, PHI);
    assert_int_equal(fake_apiserver_requests(world->server, NULL, NULL), 0);
}

/* A process that starts anew knows the objects from lists, not from watches. */
static void test_life_restart_writes_nothing(void **state)
{
    struct world *world = *state;
    make_inference_ready(world);
    world_stop_informers(world);
    stop_init(&world->stop);
    fake_apiserver_reset_requests(world->server);
    world_start_informers(world);
    world_settle(world);
    assert_int_equal(fake_apiserver_requests(world->server, NULL, NULL), 0);
}

static void test_life_drift_is_put_back(void **state)
{
    struct world *world = *state;
    make_inference_ready(world);
    world_change(world, &GVR_STATEFULSET, PHI,
                 "{\"spec\":{\"replicas\":3},\"metadata\":{\"labels\":{\"team\":\"mine\"}}}");
    world_settle(world);
    AUTO(json) cJSON *set = world_get(world, &GVR_STATEFULSET, PHI);
    assert_int_equal(json_integer_at(set, "spec.replicas", 0), 1);
    assert_string_equal(json_string_at(set, "metadata.labels.team"), "mine");
    world_erase(world, &GVR_SERVICE, PHI);
    world_settle(world);
    AUTO(json) cJSON *service = world_get(world, &GVR_SERVICE, PHI);
    assert_non_null(service);
}

static void test_life_deletion_waits_for_claims(void **state)
{
    struct world *world = *state;
    make_inference_ready(world);
    world->claims_remain = true;
    world_erase(world, &GVR_WORKSPACE, PHI);
    world_settle(world);
    assert_gone(world, &GVR_STATEFULSET, PHI);
    assert_condition(world, PHI, CONDITION_DELETING, "True", "workspaceDeleted");
    AUTO(json) cJSON *ws = world_get(world, &GVR_WORKSPACE, PHI);
    assert_non_null(strstr(json_string_at(ws, "status.conditions[type=WorkspaceDeleting].message"),
                           "ws0123456789"));

    world->unreachable = true;
    world_touch(world, PHI);
    AUTO(json) cJSON *kept = world_get(world, &GVR_WORKSPACE, PHI);
    assert_non_null(
        strstr(json_string_at(kept, "status.conditions[type=WorkspaceDeleting].message"),
               "inproc://demand"));

    world->unreachable = world->claims_remain = false;
    world_touch(world, PHI);
    assert_gone(world, &GVR_WORKSPACE, PHI);
}

static void test_life_foreign_finalizer_stays(void **state)
{
    struct world *world = *state;
    make_inference_ready(world);
    world_change(world, &GVR_WORKSPACE, PHI,
                 "{\"metadata\":{\"finalizers\":[\"example.com/other\","
                 "\"workspace.finalizer.kaito.sh\"]}}");
    world_erase(world, &GVR_WORKSPACE, PHI);
    world_settle(world);
    AUTO(json) cJSON *ws = world_get(world, &GVR_WORKSPACE, PHI);
    assert_string_equal(json_string_at(ws, "metadata.finalizers[0]"), "example.com/other");
    assert_null(json_at(ws, "metadata.finalizers[1]"));
}

static void test_life_refused_plan_buys_nothing(void **state)
{
    struct world *world = *state;
    fake_apiserver_create(
        world->server, &GVR_WORKSPACE,
        json_literal("{\"apiVersion\":\"kaito.sh/v1beta1\",\"kind\":\"Workspace\",\"metadata\":"
                     "{\"name\":\"w\",\"namespace\":\"default\"},\"resource\":{\"instanceType\":"
                     "\"Standard_NC6s_v3\",\"labelSelector\":{\"matchLabels\":{\"a\":\"b\"}}},"
                     "\"inference\":{\"preset\":{\"name\":\"no-such-model\"}}}"));
    world_settle(world);
    assert_condition(world, "w", CONDITION_STALLED, "True", "PlanRejected");
    assert_condition(world, "w", CONDITION_RESOURCE_READY, "False", "PlanRejected");
    assert_condition(world, "w", CONDITION_RECONCILING, "False", NULL);
    assert_int_equal(world->demands, 0);
}

static void test_life_provisioner_unreachable(void **state)
{
    struct world *world = *state;
    world->unreachable = true;
    world_create_from(world, "test/golden/inference-single-node.yaml");
    world_settle(world);
    assert_condition(world, PHI, CONDITION_RESOURCE_READY, "False", "ProvisionerUnreachable");
    assert_condition(world, PHI, CONDITION_STALLED, "False", NULL);
    AUTO(json) cJSON *ws = world_get(world, &GVR_WORKSPACE, PHI);
    assert_non_null(strstr(json_string_at(ws, "status.conditions[type=ResourceReady].message"),
                           "inproc://demand"));
}

static void test_life_unreachable_later_changes_nothing(void **state)
{
    struct world *world = *state;
    make_inference_ready(world);
    world->unreachable = true;
    fake_apiserver_reset_requests(world->server);
    world_touch(world, PHI);
    assert_condition(world, PHI, CONDITION_READY, "True", NULL);
    assert_int_equal(fake_apiserver_requests(world->server, NULL, "workspaces/status"), 0);
}

static void test_life_name_taken(void **state)
{
    struct world *world = *state;
    fake_apiserver_create(world->server, &GVR_SERVICE,
                          json_literal("{\"apiVersion\":\"v1\",\"kind\":\"Service\",\"metadata\":"
                                       "{\"name\":\"" PHI "\",\"namespace\":\"default\"},"
                                       "\"spec\":{\"selector\":{\"app\":\"other\"}}}"));
    world_create_from(world, "test/golden/inference-single-node.yaml");
    world->ready = 1;
    world_settle(world);
    assert_condition(world, PHI, CONDITION_STALLED, "True", "NameTaken");
    AUTO(json) cJSON *service = world_get(world, &GVR_SERVICE, PHI);
    assert_string_equal(json_string_at(service, "spec.selector.app"), "other");
    world_erase(world, &GVR_SERVICE, PHI);
    world_settle(world);
    assert_condition(world, PHI, CONDITION_STALLED, "False", NULL);
}

#define TUNING "workspace-tuning-phi-3"

static void test_life_tuning(void **state)
{
    struct world *world = *state;
    world_create_from(world, "test/golden/tuning-qlora.yaml");
    world->ready = 1;
    world_settle(world);
    AUTO(json) cJSON *job = world_get(world, &GVR_JOB, TUNING);
    assert_non_null(job);
    AUTO(json) cJSON *config = world_get(world, &GVR_CONFIGMAP, "qlora-params-template");
    assert_non_null(json_string_at(config, "data[\"training_config.yaml\"]"));
    assert_condition(world, TUNING, CONDITION_JOB_STARTED, "False",
                     "WorkspaceTuningJobStatusPending");

    world_change(world, &GVR_JOB, TUNING, "{\"status\":{\"active\":1,\"failed\":1}}");
    world_settle(world);
    assert_condition(world, TUNING, CONDITION_JOB_STARTED, "True", NULL);

    world_change(world, &GVR_JOB, TUNING,
                 "{\"status\":{\"active\":0,\"succeeded\":1,\"conditions\":[{\"type\":"
                 "\"SuccessCriteriaMet\",\"status\":\"True\"},{\"type\":\"Complete\",\"status\":"
                 "\"True\"}]}}");
    world_settle(world);
    assert_condition(world, TUNING, CONDITION_READY, "True", NULL);
    assert_true(fake_apiserver_requests(world->server, "patch", "workspaces/status") <= 4);
    assert_int_equal(fake_apiserver_requests(world->server, "create", "jobs"), 1);
}

static void test_life_tuning_fails(void **state)
{
    struct world *world = *state;
    world_create_from(world, "test/golden/tuning-qlora.yaml");
    world->ready = 1;
    world_settle(world);
    world_change(
        world, &GVR_JOB, TUNING,
        "{\"status\":{\"failed\":7,\"conditions\":[{\"type\":\"Failed\",\"status\":\"True\","
        "\"message\":\"Job has reached the specified backoff limit\"}]}}");
    world_settle(world);
    assert_condition(world, TUNING, CONDITION_SUCCEEDED, "False", "workspaceFailed");
    assert_condition(world, TUNING, CONDITION_STALLED, "True", NULL);
    AUTO(json) cJSON *ws = world_get(world, &GVR_WORKSPACE, TUNING);
    assert_string_equal(json_string_at(ws, "status.state"), "Failed");
}

static void test_life_changed_tuning_makes_another_job(void **state)
{
    struct world *world = *state;
    world_create_from(world, "test/golden/tuning-qlora.yaml");
    world->ready = 1;
    world_settle(world);
    AUTO(json) cJSON *first = world_get(world, &GVR_JOB, TUNING);
    world_change(world, &GVR_WORKSPACE, TUNING,
                 "{\"tuning\":{\"output\":{\"image\":\"myacr.azurecr.io/adapters/phi3:0.0.2\"}}}");
    world_settle(world);
    AUTO(json) cJSON *second = world_get(world, &GVR_JOB, TUNING);
    assert_string_not_equal(json_string_at(first, "metadata.uid"),
                            json_string_at(second, "metadata.uid"));
    assert_string_equal(json_string_at(second, "metadata.annotations[\"" ANNOTATION_REVISION "\"]"),
                        "2");
}

static void test_life_config_is_read_before_buying(void **state)
{
    struct world *world = *state;
    world_create_from(world, "test/golden/inference-two-nodes.yaml");
    world_settle(world);
    assert_condition(world, "workspace-llama-3-3-70b-instruct", CONDITION_STALLED, "True",
                     "ConfigMissing");
    assert_int_equal(world->demands, 0);
    fake_apiserver_create(
        world->server, &GVR_CONFIGMAP,
        json_literal("{\"apiVersion\":\"v1\",\"kind\":\"ConfigMap\",\"metadata\":{\"name\":"
                     "\"llama-inference-params\",\"namespace\":\"default\"},\"data\":"
                     "{\"inference_config.yaml\":\"vllm:\\n  max-model-len: 16384\\n\"}}"));
    world_touch(world, "workspace-llama-3-3-70b-instruct");
    assert_condition(world, "workspace-llama-3-3-70b-instruct", CONDITION_STALLED, "False", NULL);
    assert_int_equal(json_integer_at(world->last_demand, "count", 0), 2);
}

static void test_life_each_lost_write_heals(void **state)
{
    struct world *world = *state;
    static const enum fake_fault faults[] = { FAKE_REFUSED, FAKE_ANSWER_LOST, FAKE_CONFLICT,
                                              FAKE_BROKEN };
    world->ready = 1;
    world->stale_caches = true;
    for (unsigned nth = 1; nth <= 8; nth++) {
        fake_apiserver_fail_next(world->server, nth, faults[nth % ARRAY_LEN(faults)]);
        world_create_from(world, "test/golden/inference-single-node.yaml");
        for (int i = 0; i < 5; i++)
            world_settle(world);
        AUTO(json) cJSON *set = world_get(world, &GVR_STATEFULSET, PHI);
        assert_non_null(set);
        world_erase(world, &GVR_WORKSPACE, PHI);
        for (int i = 0; i < 5; i++)
            world_settle(world);
        assert_gone(world, &GVR_WORKSPACE, PHI);
        world_erase(world, &GVR_SERVICE, PHI);
        world_erase(world, &GVR_SERVICE, PHI "-headless");
        world_erase(world, &GVR_CONTROLLERREVISION, PHI "-203bd");
        world_settle(world);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        LIFE(test_life_inference),
        LIFE(test_life_at_rest_writes_nothing),
        LIFE(test_life_restart_writes_nothing),
        LIFE(test_life_drift_is_put_back),
        LIFE(test_life_deletion_waits_for_claims),
        LIFE(test_life_foreign_finalizer_stays),
        LIFE(test_life_refused_plan_buys_nothing),
        LIFE(test_life_provisioner_unreachable),
        LIFE(test_life_unreachable_later_changes_nothing),
        LIFE(test_life_name_taken),
        LIFE(test_life_tuning),
        LIFE(test_life_tuning_fails),
        LIFE(test_life_changed_tuning_makes_another_job),
        LIFE(test_life_config_is_read_before_buying),
        LIFE(test_life_each_lost_write_heals),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
