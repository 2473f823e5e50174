/* Decisions from literal snapshots: no cache, no clock, no server. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "common/json/build.h"
#include "common/json/json.h"
#include "reconciler/decide.h"
#include "test/lib/literals.h"

/* First: more members of metadata; second: more members of the Workspace. */
#define INFERENCE                                                                                \
    "{\"metadata\":{\"name\":\"w\",\"namespace\":\"d\",\"uid\":\"u\",\"resourceVersion\":\"5\"," \
    "\"generation\":1,\"finalizers\":[\"workspace.finalizer.kaito.sh\"]%s},\"resource\":"        \
    "{\"count\":1,\"instanceType\":\"Standard_NC24ads_A100_v4\",\"labelSelector\":{"             \
    "\"matchLabels\":"                                                                           \
    "{\"a\":\"b\"}}},\"inference\":{\"preset\":{\"name\":\"phi-4-mini-instruct\"}}%s}"

struct scene {
    struct arena arena;
    struct snapshot snapshot;
    struct planning planning;
    struct decide_settings settings;
    struct decision preparation, decision;
    struct claim_state claim;
};

static void scene_open(struct scene *scene, const char *metadata, const char *status)
{
    *scene = (struct scene){
        .settings = { .plan = { .catalogue = catalogue_builtin(),
                                .cloud = "azure",
                                .nodes_max = 8 },
                      .preset_registry = "r" },
        .claim = { .name = "ws1", .phase = CLAIM_PENDING },
    };
    struct snapshot *snapshot = &scene->snapshot;
    snapshot->arena = &scene->arena;
    snapshot->workspace = object_literal(arena_printf(&scene->arena, INFERENCE, metadata, status));
    snapshot->resource_version = snapshot->workspace->resource_version;
    snapshot->ws = workspace_of(snapshot->workspace->json, &scene->arena);
    snapshot->nodes = (struct nodes_view){ .state = NODES_ANSWERED,
                                           .claims = { .items = &scene->claim, .count = 1 } };
}

static void scene_decide(struct scene *scene)
{
    decide_prepare(&scene->snapshot, &scene->preparation);
    planning_make(&scene->snapshot, &scene->settings, &scene->planning);
    decide(&scene->snapshot, &scene->planning, &scene->settings, 1000, &scene->decision);
}

static void scene_close(struct scene *scene)
{
    decision_fini(&scene->preparation);
    decision_fini(&scene->decision);
    snapshot_fini(&scene->snapshot);
    arena_fini(&scene->arena);
}

static void nodes_ready(struct scene *scene)
{
    scene->claim = (struct claim_state){ .name = "ws1", .phase = CLAIM_READY, .node_name = "n1" };
    scene->snapshot.nodes.ready_count = 1;
}

static void assert_says(const struct scene *scene, const char *type, const char *status,
                        const char *reason)
{
    const struct condition *condition = status_condition(&scene->decision.status, type);
    assert_non_null(condition);
    assert_string_equal(condition->status, status);
    assert_string_equal(condition->reason, reason);
}

static bool tells(const struct decision *decision, const char *reason)
{
    for (size_t i = 0; i < decision->event_count; i++) {
        if (strcmp(decision->events[i].reason, reason) == 0)
            return true;
    }
    return false;
}

/* "create ControllerRevision, patch Workspace" */
static const char *actions_text(const struct decision *decision, struct arena *arena)
{
    static const char *const verbs[] = { [ACTION_CREATE] = "create",
                                         [ACTION_APPLY] = "apply",
                                         [ACTION_DELETE] = "delete",
                                         [ACTION_METADATA] = "patch" };
    const char *text = "";
    for (size_t i = 0; i < decision->action_count; i++)
        text = arena_printf(arena, "%s%s%s %s", text, i > 0 ? ", " : "",
                            verbs[decision->actions[i].kind], decision->actions[i].gvr->kind);
    return text;
}

static void test_decide_new_workspace(void **state)
{
    (void)state;
    struct scene scene;
    scene_open(&scene, "", "");
    scene_decide(&scene);
    assert_string_equal(actions_text(&scene.preparation, &scene.arena),
                        "create ControllerRevision, patch Workspace");
    const cJSON *patch = scene.preparation.actions[1].body;
    assert_string_equal(json_string_at(patch, "metadata.resourceVersion"), "5");
    assert_null(json_at(patch, "metadata.finalizers")); /* there already */
    assert_string_equal(json_string_at(patch, "metadata.annotations[\"" ANNOTATION_REVISION "\"]"),
                        "1");
    assert_string_equal(actions_text(&scene.decision, &scene.arena), "");
    assert_says(&scene, CONDITION_RESOURCE_READY, "False", "NodeClaimNotReady");
    assert_true(tells(&scene.decision, "Planned"));
    assert_true(tells(&scene.decision, "NodesRequested"));
    assert_int_equal(scene.decision.requeue_after_ms, REQUEUE_WAITING_MS);
    scene_close(&scene);
}

static void test_decide_nodes_ready(void **state)
{
    (void)state;
    struct scene scene;
    scene_open(&scene, "", "");
    nodes_ready(&scene);
    scene_decide(&scene);
    assert_string_equal(actions_text(&scene.decision, &scene.arena),
                        "apply Service, apply Service, apply StatefulSet");
    assert_string_equal(scene.decision.actions[2].done.reason, "WorkloadCreated");
    assert_says(&scene, CONDITION_NODES_READY, "True", "NodesReady");
    assert_says(&scene, CONDITION_RESOURCE_READY, "True", "workspaceResourceStatusSuccess");
    assert_says(&scene, CONDITION_SUCCEEDED, "False", "workspacePending");
    assert_string_equal(scene.decision.status.worker_nodes.items[0], "n1");
    assert_int_equal(scene.decision.requeue_after_ms, 0);
    scene_close(&scene);
}

static void test_decide_claim_failed(void **state)
{
    (void)state;
    struct scene scene;
    scene_open(&scene, "", "");
    scene.claim = (struct claim_state){
        .name = "ws1", .phase = CLAIM_FAILED, .reason = "No Quota!", .message = "0 of 24 cores left"
    };
    scene_decide(&scene);
    assert_says(&scene, CONDITION_NODECLAIM_READY, "False", "NoQuota");
    assert_says(&scene, CONDITION_RESOURCE_READY, "False", "NoQuota");
    assert_says(&scene, CONDITION_STALLED, "False", "NotStalled");
    assert_true(tells(&scene.decision, "CloudQuotaExceeded"));
    scene_close(&scene);
}

static void test_decide_refused_leaves_workload_alone(void **state)
{
    (void)state;
    struct scene scene;
    scene_open(&scene, "", "");
    scene.snapshot.stateful_set = object_literal(
        "{\"metadata\":{\"name\":\"w\",\"namespace\":\"d\",\"ownerReferences\":[{\"uid\":\"u\","
        "\"controller\":true}]},\"spec\":{\"replicas\":1},\"status\":{\"readyReplicas\":1}}");
    scene.settings.plan.cloud = "aws"; /* where this machine is unknown */
    scene_decide(&scene);
    assert_string_equal(actions_text(&scene.decision, &scene.arena), "");
    assert_says(&scene, CONDITION_STALLED, "True", "PlanRejected");
    assert_says(&scene, CONDITION_RESOURCE_READY, "False", "PlanRejected");
    assert_says(&scene, CONDITION_READY, "False", "PlanRejected");
    assert_true(tells(&scene.decision, "PlanRejected"));
    assert_null(status_condition(&scene.decision.status, CONDITION_NODES_READY));
    scene_close(&scene);
}

static void test_decide_unreachable_keeps_what_was_ready(void **state)
{
    (void)state;
    static const struct {
        int observed_generation;
        const char *status, *reason;
    } rows[] = { { 1, "True", "r" }, { 0, "False", "ProvisionerUnreachable" } };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        char status[256];
        snprintf(status, sizeof(status),
                 ",\"status\":{\"conditions\":[{\"type\":\"ResourceReady\",\"status\":\"True\","
                 "\"reason\":\"r\",\"message\":\"m\",\"lastTransitionTime\":"
                 "\"2026-01-01T00:00:00Z\",\"observedGeneration\":%d}]}",
                 rows[i].observed_generation);
        struct scene scene;
        scene_open(&scene, "", status);
        scene.snapshot.nodes = (struct nodes_view){ .state = NODES_UNREACHABLE,
                                                    .reason = "ProvisionerUnreachable",
                                                    .problem = "no answer at url" };
        scene_decide(&scene);
        assert_says(&scene, CONDITION_RESOURCE_READY, rows[i].status, rows[i].reason);
        assert_int_equal(scene.decision.requeue_after_ms, REQUEUE_UNREACHABLE_MS);
        scene_close(&scene);
    }
}

static void test_decide_unsupported(void **state)
{
    (void)state;
    struct scene scene;
    scene_open(&scene, ",\"labels\":{\"kaito.sh/inference-role\":\"decode\"}", "");
    scene_decide(&scene);
    assert_says(&scene, CONDITION_STALLED, "True", "Unsupported");
    scene_close(&scene);
}

#define DELETING ",\"deletionTimestamp\":\"2026-01-01T00:00:00Z\""

static void test_decide_deletion(void **state)
{
    (void)state;
    static const struct {
        enum nodes_state nodes;
        size_t remaining;
        bool workload;
        const char *actions, *message; /* message NULL: no status */
    } rows[] = {
        { NODES_ANSWERED, 0, false, "patch Workspace", NULL },
        { NODES_ANSWERED, 1, false, "", "waiting for NodeClaims to go: ws1" },
        { NODES_ANSWERED, 0, true, "", "waiting for the workload to go" },
        { NODES_UNREACHABLE, 0, false, "", "the provisioner refuses: gone" },
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct scene scene;
        scene_open(&scene, DELETING, "");
        scene.snapshot.nodes.state = rows[i].nodes;
        scene.snapshot.nodes.problem = "gone";
        scene.snapshot.nodes.claims.count = rows[i].remaining;
        if (rows[i].workload)
            scene.snapshot.job =
                object_literal("{\"metadata\":{\"name\":\"w\",\"namespace\":\"d\",\"uid\":\"j\","
                               "\"ownerReferences\":[{\"uid\":\"u\",\"controller\":true}]}}");
        scene_decide(&scene);
        assert_string_equal(actions_text(&scene.preparation, &scene.arena),
                            rows[i].workload ? "delete Job" : "");
        assert_string_equal(actions_text(&scene.decision, &scene.arena), rows[i].actions);
        assert_int_equal(scene.decision.has_status, rows[i].message != NULL);
        if (rows[i].message != NULL)
            assert_non_null(
                strstr(status_condition(&scene.decision.status, CONDITION_DELETING)->message,
                       rows[i].message));
        scene_close(&scene);
    }
}

static void test_decide_deletion_without_finalizer(void **state)
{
    (void)state;
    struct scene scene;
    scene_open(&scene, DELETING, "");
    AUTO(object) const struct object *decoded = scene.snapshot.workspace; /* ws borrows from it */
    scene.snapshot.workspace =
        object_literal("{\"metadata\":{\"name\":\"w\",\"namespace\":\"d\",\"uid\":\"u\","
                       "\"finalizers\":[\"other\"]" DELETING "}}");
    scene_decide(&scene);
    assert_int_equal(scene.decision.action_count, 0);
    assert_false(scene.decision.has_status);
    scene_close(&scene);
}

static void test_decision_stall(void **state)
{
    (void)state;
    struct scene scene;
    scene_open(&scene, "", "");
    nodes_ready(&scene);
    scene_decide(&scene);
    decision_stall(&scene.decision, &scene.snapshot, "quota");
    assert_says(&scene, CONDITION_STALLED, "True", "WorkloadRejected");
    assert_says(&scene, CONDITION_RESOURCE_READY, "True", "workspaceResourceStatusSuccess");
    assert_true(tells(&scene.decision, "WorkloadRejected"));
    scene_close(&scene);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_decide_new_workspace),
        cmocka_unit_test(test_decide_nodes_ready),
        cmocka_unit_test(test_decide_claim_failed),
        cmocka_unit_test(test_decide_refused_leaves_workload_alone),
        cmocka_unit_test(test_decide_unreachable_keeps_what_was_ready),
        cmocka_unit_test(test_decide_unsupported),
        cmocka_unit_test(test_decide_deletion),
        cmocka_unit_test(test_decide_deletion_without_finalizer),
        cmocka_unit_test(test_decision_stall),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
