/* Whole lives of Workspaces: the controller, its informers and the API server in memory; the test
 * plays the provisioner, the StatefulSet and Job controllers, and the garbage collector. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "common/base/memory.h"
#include "common/json/build.h"
#include "common/json/json.h"
#include "common/k8s/informer.h"
#include "reconciler/manifest.h"
#include "reconciler/workspace_controller.h"
#include "test/lib/fake_apiserver.h"
#include "test/lib/literals.h"

enum { INFORMERS = 6, PATIENCE_MS = 10 * 1000 };

struct world {
    struct fake_apiserver *server;
    struct stop stop;
    struct k8s_client client;
    struct informer *informers[INFORMERS];
    struct listers listers;
    struct node_port port;
    struct workspace_controller controller;
    /* the provisioner */
    bool unreachable;
    unsigned demands, releases;
    int64_t ready;      /* nodes */
    bool claims_remain; /* after a release */
    cJSON *last_demand;
    bool stale_caches; /* settle() does not wait for them */
};

/* ------------------------------------------------------------------ provisioner */

static cJSON *claims_json(const struct world *world)
{
    return JARR(JOBJ(JS("name", "ws0123456789"), JS("node", world->ready > 0 ? "node-1" : NULL),
                     JS("phase", world->ready > 0 ? CLAIM_READY : CLAIM_PENDING)));
}

static int answer(void *context, const char *type, const cJSON *body, int64_t timeout_ms,
                  struct envelope *out, struct error *err)
{
    struct world *world = context;
    (void)timeout_ms;
    if (world->unreachable)
        return error_set(err, ERR_TIMEOUT, "no answer");
    cJSON *tree;
    if (strcmp(type, MESSAGE_NODE_DEMAND) == 0) {
        world->demands++;
        json_free(world->last_demand);
        world->last_demand = json_copy(body);
        tree = JOBJ(JS("namespace", json_string_at(body, "namespace")),
                    JS("name", json_string_at(body, "name")), JI("readyCount", world->ready),
                    JV("claims", claims_json(world)));
    } else {
        world->releases++;
        tree = JOBJ(JV("remaining", world->claims_remain ? claims_json(world) : json_new_array()));
    }
    *out = (struct envelope){ .body = tree, .tree = tree };
    return 0;
}

/* ------------------------------------------------------------------ world */

static const struct gvr *const kinds[INFORMERS] = {
    &GVR_WORKSPACE, &GVR_STATEFULSET, &GVR_JOB, &GVR_SERVICE, &GVR_CONTROLLERREVISION, &GVR_POD
};

static void pause_ms(long ms)
{
    nanosleep(&(struct timespec){ .tv_nsec = ms * 1000000 }, NULL);
}

static void start_informers(struct world *world)
{
    static store_index *const by_revision[] = { revision_index_workspace };
    static store_index *const by_pod[] = { pod_index_workspace };
    struct error err = ERROR_INIT;
    struct store **stores[INFORMERS] = { &world->listers.workspaces, &world->listers.stateful_sets,
                                         &world->listers.jobs,       &world->listers.services,
                                         &world->listers.revisions,  &world->listers.pods };
    for (size_t i = 0; i < INFORMERS; i++) {
        struct informer_options options = { .gvr = kinds[i] };
        if (kinds[i] == &GVR_CONTROLLERREVISION || kinds[i] == &GVR_POD) {
            options.indexes = kinds[i] == &GVR_POD ? by_pod : by_revision;
            options.index_count = 1;
        }
        world->informers[i] = informer_new(&world->client, &options, &world->stop, clock_system());
        *stores[i] = informer_store(world->informers[i]);
        informer_add_handler(world->informers[i],
                             i == 0 ? workspace_changed : workspace_part_changed,
                             &world->controller);
    }
    for (size_t i = 0; i < INFORMERS; i++)
        informer_start(world->informers[i]);
    assert_int_equal(informers_wait(world->informers, INFORMERS, &world->stop, PATIENCE_MS, &err),
                     0);
}

static void stop_informers(struct world *world)
{
    stop_raise(&world->stop);
    for (size_t i = 0; i < INFORMERS; i++)
        informer_free(world->informers[i]);
    stop_fini(&world->stop);
}

static int world_open(void **state)
{
    struct world *world = mem_new(struct world);
    world->server = fake_apiserver_new(clock_system());
    stop_init(&world->stop);
    world->client = (struct k8s_client){ .transport = fake_apiserver_transport(world->server),
                                         .stop = &world->stop };
    world->port = (struct node_port){ .call = answer, .context = world, .url = "inproc://demand" };
    world->controller = (struct workspace_controller){
        .observer = { .listers = &world->listers,
                      .client = &world->client,
                      .nodes = &world->port,
                      .catalogue = catalogue_builtin(),
                      .cloud = "azure" },
        .actor = { .client = &world->client,
                   .events = event_recorder_new(&world->client, "test", clock_system()) },
        .settings = { .plan = { .catalogue = catalogue_builtin(),
                                .cloud = "azure",
                                .nodes_max = 8 },
                      .preset_registry = "registry.example/kaito" },
        .clock = clock_system(),
        .queue = workqueue_new("workspace", clock_system()),
        .resync_ms = 3600 * 1000,
    };
    start_informers(world);
    *state = world;
    return 0;
}

static int world_close(void **state)
{
    struct world *world = *state;
    event_recorder_free(world->controller.actor.events);
    stop_informers(world);
    workqueue_shutdown(world->controller.queue);
    workqueue_free(world->controller.queue);
    fake_apiserver_free(world->server);
    json_free(world->last_demand);
    free(world);
    return 0;
}

/* The caches hold what the server holds. */
static bool is_fresh(const struct world *world)
{
    for (size_t i = 0; i < INFORMERS; i++) {
        AUTO(object_list) struct object_list list = store_list(informer_store(world->informers[i]));
        if (list.count != fake_apiserver_object_count(world->server, kinds[i]))
            return false;
        for (size_t j = 0; j < list.count; j++) {
            AUTO(json)
            cJSON *there = fake_apiserver_get(world->server, kinds[i], list.items[j]->key);
            const char *version = json_string_at(there, "metadata.resourceVersion");
            if (version == NULL || strcmp(version, list.items[j]->resource_version) != 0)
                return false;
        }
    }
    return true;
}

static void catch_up(const struct world *world)
{
    for (int i = 0; i < PATIENCE_MS && !is_fresh(world); i++)
        pause_ms(1);
}

/* Works off what is due until nothing has come for a while. Each reconcile sees the latest state,
 * unless the test wants them to run into stale caches. */
static void settle(struct world *world)
{
    for (int quiet = 0; quiet < 20;) {
        if (!world->stale_caches)
            catch_up(world);
        quiet = controller_run_one("workspace", world->controller.queue, workspace_reconcile,
                                   &world->controller)
                    ? 0
                    : quiet + 1;
        pause_ms(2);
    }
}

static cJSON *get(const struct world *world, const struct gvr *gvr, const char *name)
{
    return fake_apiserver_get(world->server, gvr,
                              (struct object_key){ .namespace_ = "default", .name = name });
}

static void change(const struct world *world, const struct gvr *gvr, const char *name,
                   const char *patch)
{
    fake_apiserver_merge(world->server, gvr,
                         (struct object_key){ .namespace_ = "default", .name = name },
                         json_literal(patch));
}

static void erase(const struct world *world, const struct gvr *gvr, const char *name)
{
    fake_apiserver_delete(world->server, gvr,
                          (struct object_key){ .namespace_ = "default", .name = name });
}

static void touch(struct world *world, const char *name)
{
    workspace_enqueue(&world->controller,
                      (struct object_key){ .namespace_ = "default", .name = name });
    settle(world);
}

static void assert_condition(const struct world *world, const char *name, const char *type,
                             const char *status, const char *reason)
{
    AUTO(json) cJSON *ws = get(world, &GVR_WORKSPACE, name);
    const cJSON *condition;
    cJSON_ArrayForEach(condition, json_at(ws, "status.conditions")) {
        if (strcmp(json_string_at(condition, "type"), type) != 0)
            continue;
        if (strcmp(json_string_at(condition, "status"), status) != 0)
            fail_msg("%s is %s: %s", type, json_string_at(condition, "status"),
                     json_string_at(condition, "message"));
        if (reason != NULL)
            assert_string_equal(json_string_at(condition, "reason"), reason);
        return;
    }
    fail_msg("no condition %s", type);
}

static void assert_gone(const struct world *world, const struct gvr *gvr, const char *name)
{
    AUTO(json) cJSON *object = get(world, gvr, name);
    assert_null(object);
}

/* The first Workspace of a golden file, without its uid. */
static void create_from(const struct world *world, const char *file)
{
    AUTO(json) cJSON *documents = json_all_from_file(file);
    cJSON *ws = json_copy(json_at(documents, "[0]"));
    json_set(ws, "metadata",
             JOBJ(JS("name", json_string_at(ws, "metadata.name")), JS("namespace", "default")));
    fake_apiserver_create(world->server, &GVR_WORKSPACE, ws);
}

#define PHI "workspace-phi-4-mini"

static void make_inference_ready(struct world *world)
{
    create_from(world, "test/golden/inference-single-node.yaml");
    world->ready = 1;
    settle(world);
    change(world, &GVR_STATEFULSET, PHI,
           "{\"status\":{\"observedGeneration\":9,\"readyReplicas\":1,\"replicas\":1}}");
    settle(world);
    /* Planned, NodesRequested, NodesReady, WorkloadCreated, WorkspaceReady: written by another
     * thread */
    for (int i = 0; i < PATIENCE_MS && fake_apiserver_object_count(world->server, &GVR_EVENT) < 5;
         i++)
        pause_ms(1);
}

/* ------------------------------------------------------------------ lives */

static void test_life_inference(void **state)
{
    struct world *world = *state;
    create_from(world, "test/golden/inference-single-node.yaml");
    settle(world);

    AUTO(json) cJSON *planned = get(world, &GVR_WORKSPACE, PHI);
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
    touch(world, PHI);
    AUTO(json) cJSON *set = get(world, &GVR_STATEFULSET, PHI);
    assert_non_null(set);
    assert_int_equal(fake_apiserver_object_count(world->server, &GVR_SERVICE), 2);
    assert_condition(world, PHI, CONDITION_RESOURCE_READY, "True",
                     "workspaceResourceStatusSuccess");
    assert_condition(world, PHI, CONDITION_INFERENCE_READY, "False",
                     "WorkspaceInferenceStatusPending");

    change(world, &GVR_STATEFULSET, PHI,
           "{\"status\":{\"observedGeneration\":9,\"readyReplicas\":1,\"replicas\":1}}");
    settle(world);
    assert_condition(world, PHI, CONDITION_SUCCEEDED, "True", "workspaceSucceeded");
    assert_condition(world, PHI, CONDITION_READY, "True", NULL);
    assert_condition(world, PHI, CONDITION_RECONCILING, "False", NULL);
    assert_condition(world, PHI, CONDITION_STALLED, "False", NULL);
    AUTO(json) cJSON *ready = get(world, &GVR_WORKSPACE, PHI);
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
        touch(world, PHI);
    assert_int_equal(fake_apiserver_requests(world->server, NULL, NULL), 0);
}

/* A process that starts anew knows the objects from lists, not from watches. */
static void test_life_restart_writes_nothing(void **state)
{
    struct world *world = *state;
    make_inference_ready(world);
    stop_informers(world);
    stop_init(&world->stop);
    fake_apiserver_reset_requests(world->server);
    start_informers(world);
    settle(world);
    assert_int_equal(fake_apiserver_requests(world->server, NULL, NULL), 0);
}

static void test_life_drift_is_put_back(void **state)
{
    struct world *world = *state;
    make_inference_ready(world);
    change(world, &GVR_STATEFULSET, PHI,
           "{\"spec\":{\"replicas\":3},\"metadata\":{\"labels\":{\"team\":\"mine\"}}}");
    settle(world);
    AUTO(json) cJSON *set = get(world, &GVR_STATEFULSET, PHI);
    assert_int_equal(json_integer_at(set, "spec.replicas", 0), 1);
    assert_string_equal(json_string_at(set, "metadata.labels.team"), "mine");
    erase(world, &GVR_SERVICE, PHI);
    settle(world);
    AUTO(json) cJSON *service = get(world, &GVR_SERVICE, PHI);
    assert_non_null(service);
}

static void test_life_deletion_waits_for_claims(void **state)
{
    struct world *world = *state;
    make_inference_ready(world);
    world->claims_remain = true;
    erase(world, &GVR_WORKSPACE, PHI);
    settle(world);
    assert_gone(world, &GVR_STATEFULSET, PHI);
    assert_condition(world, PHI, CONDITION_DELETING, "True", "workspaceDeleted");
    AUTO(json) cJSON *ws = get(world, &GVR_WORKSPACE, PHI);
    assert_non_null(strstr(json_string_at(ws, "status.conditions[type=WorkspaceDeleting].message"),
                           "ws0123456789"));

    world->unreachable = true;
    touch(world, PHI);
    AUTO(json) cJSON *kept = get(world, &GVR_WORKSPACE, PHI);
    assert_non_null(
        strstr(json_string_at(kept, "status.conditions[type=WorkspaceDeleting].message"),
               "inproc://demand"));

    world->unreachable = world->claims_remain = false;
    touch(world, PHI);
    assert_gone(world, &GVR_WORKSPACE, PHI);
}

static void test_life_foreign_finalizer_stays(void **state)
{
    struct world *world = *state;
    make_inference_ready(world);
    change(world, &GVR_WORKSPACE, PHI,
           "{\"metadata\":{\"finalizers\":[\"example.com/other\","
           "\"workspace.finalizer.kaito.sh\"]}}");
    erase(world, &GVR_WORKSPACE, PHI);
    settle(world);
    AUTO(json) cJSON *ws = get(world, &GVR_WORKSPACE, PHI);
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
    settle(world);
    assert_condition(world, "w", CONDITION_STALLED, "True", "PlanRejected");
    assert_condition(world, "w", CONDITION_RESOURCE_READY, "False", "PlanRejected");
    assert_condition(world, "w", CONDITION_RECONCILING, "False", NULL);
    assert_int_equal(world->demands, 0);
}

static void test_life_provisioner_unreachable(void **state)
{
    struct world *world = *state;
    world->unreachable = true;
    create_from(world, "test/golden/inference-single-node.yaml");
    settle(world);
    assert_condition(world, PHI, CONDITION_RESOURCE_READY, "False", "ProvisionerUnreachable");
    assert_condition(world, PHI, CONDITION_STALLED, "False", NULL);
    AUTO(json) cJSON *ws = get(world, &GVR_WORKSPACE, PHI);
    assert_non_null(strstr(json_string_at(ws, "status.conditions[type=ResourceReady].message"),
                           "inproc://demand"));
}

static void test_life_unreachable_later_changes_nothing(void **state)
{
    struct world *world = *state;
    make_inference_ready(world);
    world->unreachable = true;
    fake_apiserver_reset_requests(world->server);
    touch(world, PHI);
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
    create_from(world, "test/golden/inference-single-node.yaml");
    world->ready = 1;
    settle(world);
    assert_condition(world, PHI, CONDITION_STALLED, "True", "NameTaken");
    AUTO(json) cJSON *service = get(world, &GVR_SERVICE, PHI);
    assert_string_equal(json_string_at(service, "spec.selector.app"), "other");
    erase(world, &GVR_SERVICE, PHI);
    settle(world);
    assert_condition(world, PHI, CONDITION_STALLED, "False", NULL);
}

#define TUNING "workspace-tuning-phi-3"

static void test_life_tuning(void **state)
{
    struct world *world = *state;
    create_from(world, "test/golden/tuning-qlora.yaml");
    world->ready = 1;
    settle(world);
    AUTO(json) cJSON *job = get(world, &GVR_JOB, TUNING);
    assert_non_null(job);
    AUTO(json) cJSON *config = get(world, &GVR_CONFIGMAP, "qlora-params-template");
    assert_non_null(json_string_at(config, "data[\"training_config.yaml\"]"));
    assert_condition(world, TUNING, CONDITION_JOB_STARTED, "False",
                     "WorkspaceTuningJobStatusPending");

    change(world, &GVR_JOB, TUNING, "{\"status\":{\"active\":1,\"failed\":1}}");
    settle(world);
    assert_condition(world, TUNING, CONDITION_JOB_STARTED, "True", NULL);

    change(world, &GVR_JOB, TUNING,
           "{\"status\":{\"active\":0,\"succeeded\":1,\"conditions\":[{\"type\":"
           "\"SuccessCriteriaMet\",\"status\":\"True\"},{\"type\":\"Complete\",\"status\":"
           "\"True\"}]}}");
    settle(world);
    assert_condition(world, TUNING, CONDITION_READY, "True", NULL);
    assert_true(fake_apiserver_requests(world->server, "patch", "workspaces/status") <= 4);
    assert_int_equal(fake_apiserver_requests(world->server, "create", "jobs"), 1);
}

static void test_life_tuning_fails(void **state)
{
    struct world *world = *state;
    create_from(world, "test/golden/tuning-qlora.yaml");
    world->ready = 1;
    settle(world);
    change(world, &GVR_JOB, TUNING,
           "{\"status\":{\"failed\":7,\"conditions\":[{\"type\":\"Failed\",\"status\":\"True\","
           "\"message\":\"Job has reached the specified backoff limit\"}]}}");
    settle(world);
    assert_condition(world, TUNING, CONDITION_SUCCEEDED, "False", "workspaceFailed");
    assert_condition(world, TUNING, CONDITION_STALLED, "True", NULL);
    AUTO(json) cJSON *ws = get(world, &GVR_WORKSPACE, TUNING);
    assert_string_equal(json_string_at(ws, "status.state"), "Failed");
}

static void test_life_changed_tuning_makes_another_job(void **state)
{
    struct world *world = *state;
    create_from(world, "test/golden/tuning-qlora.yaml");
    world->ready = 1;
    settle(world);
    AUTO(json) cJSON *first = get(world, &GVR_JOB, TUNING);
    change(world, &GVR_WORKSPACE, TUNING,
           "{\"tuning\":{\"output\":{\"image\":\"myacr.azurecr.io/adapters/phi3:0.0.2\"}}}");
    settle(world);
    AUTO(json) cJSON *second = get(world, &GVR_JOB, TUNING);
    assert_string_not_equal(json_string_at(first, "metadata.uid"),
                            json_string_at(second, "metadata.uid"));
    assert_string_equal(json_string_at(second, "metadata.annotations[\"" ANNOTATION_REVISION "\"]"),
                        "2");
}

static void test_life_config_is_read_before_buying(void **state)
{
    struct world *world = *state;
    create_from(world, "test/golden/inference-two-nodes.yaml");
    settle(world);
    assert_condition(world, "workspace-llama-3-3-70b-instruct", CONDITION_STALLED, "True",
                     "ConfigMissing");
    assert_int_equal(world->demands, 0);
    fake_apiserver_create(
        world->server, &GVR_CONFIGMAP,
        json_literal("{\"apiVersion\":\"v1\",\"kind\":\"ConfigMap\",\"metadata\":{\"name\":"
                     "\"llama-inference-params\",\"namespace\":\"default\"},\"data\":"
                     "{\"inference_config.yaml\":\"vllm:\\n  max-model-len: 16384\\n\"}}"));
    touch(world, "workspace-llama-3-3-70b-instruct");
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
        create_from(world, "test/golden/inference-single-node.yaml");
        for (int i = 0; i < 5; i++)
            settle(world);
        AUTO(json) cJSON *set = get(world, &GVR_STATEFULSET, PHI);
        assert_non_null(set);
        erase(world, &GVR_WORKSPACE, PHI);
        for (int i = 0; i < 5; i++)
            settle(world);
        assert_gone(world, &GVR_WORKSPACE, PHI);
        erase(world, &GVR_SERVICE, PHI);
        erase(world, &GVR_SERVICE, PHI "-headless");
        erase(world, &GVR_CONTROLLERREVISION, PHI "-203bd");
        settle(world);
    }
}

#define LIFE(test) cmocka_unit_test_setup_teardown(test, world_open, world_close)

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
