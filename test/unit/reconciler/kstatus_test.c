/* What tools that know nothing of Workspaces read from the status: kubectl wait looks at Ready,
 * kstatus (Flux, Argo CD, cli-utils) by its own rules. Each state that is reached is judged by
 * both. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "common/json/build.h"
#include "common/json/json.h"
#include "reconciler/status.h"
#include "test/lib/literals.h"

/* ------------------------------------------------------------------ kstatus */

static bool condition_is(const cJSON *object, const char *type, const char *status)
{
    const cJSON *condition;
    cJSON_ArrayForEach(condition, json_at(object, "status.conditions")) {
        if (strcmp(json_string_at(condition, "type"), type) == 0)
            return strcmp(json_string_at(condition, "status"), status) == 0;
    }
    return false;
}

/* Its documented rules for kinds that it does not know, in their order. */
static const char *kstatus_of(const cJSON *object)
{
    if (json_at(object, "metadata.deletionTimestamp") != NULL)
        return "Terminating";
    const cJSON *observed = json_at(object, "status.observedGeneration");
    if (observed != NULL && json_integer_at(object, "status.observedGeneration", -1) !=
                                json_integer_at(object, "metadata.generation", -1))
        return "InProgress";
    if (condition_is(object, "Reconciling", "True"))
        return "InProgress";
    if (condition_is(object, "Stalled", "True"))
        return "Failed";
    if (condition_is(object, "Ready", "False") || condition_is(object, "Ready", "Unknown"))
        return "InProgress";
    return "Current";
}

/* ------------------------------------------------------------------ states */

static const struct plan plan = { .instance_type = "M", .node_count = 1, .summary = "1 x M" };

#define YES(reason_)                                            \
    {                                                           \
        .ok = true, .reason = (reason_), .message = "as wanted" \
    }
#define NO(reason_)                                     \
    {                                                   \
        .reason = (reason_), .message = "not as wanted" \
    }
#define NODES_READY \
    .plan = &plan, .nodes_known = true, .claims = YES("c"), .nodes = YES("n"), .resource = YES("r")
#define INFERENCE .phase = PHASE_WORKLOAD, .workload_condition = CONDITION_INFERENCE_READY
#define TUNING    .phase = PHASE_TUNING, .workload_condition = CONDITION_JOB_STARTED
#define MOVING    .stalled = { .ok = true }

static const struct {
    const char *what, *kstatus;
    bool ready;
    struct findings findings;
} states[] = {
    { "nodes are on their way",
      "InProgress",
      false,
      { INFERENCE, MOVING, .plan = &plan, .nodes_known = true, .claims = NO("NodeClaimNotReady"),
        .nodes = NO("NodeNotReady"), .resource = NO("NodeClaimNotReady"), .workload = NO("w"),
        .succeeded = NO("workspacePending"), .state = "Pending" } },
    { "the provisioner does not answer",
      "InProgress",
      false,
      { INFERENCE, MOVING, .plan = &plan, .resource = NO("ProvisionerUnreachable"),
        .workload = NO("w"), .succeeded = NO("workspacePending"), .state = "Pending" } },
    { "the workload starts",
      "InProgress",
      false,
      { INFERENCE, MOVING, NODES_READY, .workload = NO("WorkspaceInferenceStatusPending"),
        .succeeded = NO("workspacePending"), .state = "Pending" } },
    { "the image does not exist",
      "InProgress",
      false,
      { INFERENCE, MOVING, NODES_READY, .workload = NO("ImagePullError"),
        .succeeded = NO("workspacePending"), .state = "Pending" } },
    { "the model is served",
      "Current",
      true,
      { INFERENCE, MOVING, NODES_READY, .workload = YES("w"), .succeeded = YES("s"),
        .state = "Ready" } },
    { "a pod was lost",
      "InProgress",
      false,
      { INFERENCE, MOVING, NODES_READY, .workload = NO("w"), .succeeded = NO("workspacePending"),
        .state = "NotReady" } },
    { "served, and the provisioner does not answer",
      "Current",
      true,
      { INFERENCE, MOVING, .plan = &plan, .resource = YES("r"), .workload = YES("w"),
        .succeeded = YES("s"), .state = "Ready" } },
    { "the plan is refused",
      "Failed",
      false,
      { INFERENCE, .resource = NO("PlanRejected"), .workload = NO("w"),
        .succeeded = NO("workspacePending"), .stalled = NO("PlanRejected"), .state = "NotReady" } },
    { "the name is taken",
      "Failed",
      false,
      { INFERENCE, NODES_READY, .workload = NO("w"), .succeeded = NO("workspacePending"),
        .stalled = NO("NameTaken"), .state = "Pending" } },
    { "put right",
      "InProgress",
      false,
      { INFERENCE, MOVING, NODES_READY, .workload = NO("w"), .succeeded = NO("workspacePending"),
        .state = "Pending" } },
    { "tuning runs",
      "InProgress",
      false,
      { TUNING, MOVING, NODES_READY, .workload = YES("w"), .succeeded = NO("workspacePending"),
        .state = "Running" } },
    { "tuning failed",
      "Failed",
      false,
      { TUNING, NODES_READY, .workload = NO("WorkspaceTuningJobStatusFailed"),
        .succeeded = NO("workspaceFailed"), .stalled = NO("GpuOutOfMemory"), .state = "Failed" } },
    { "tuning is complete",
      "Current",
      true,
      { TUNING, MOVING, NODES_READY, .workload = YES("w"), .succeeded = YES("s"),
        .state = "Succeeded" } },
};

static cJSON *workspace_with(cJSON *status, int64_t generation, const char *deleted)
{
    return JOBJ(JV("metadata", JOBJ(JS("name", "w"), JS("namespace", "d"),
                                    JI("generation", generation), JS("deletionTimestamp", deleted),
                                    JS("creationTimestamp", "2026-01-01T00:00:00Z"))),
                JV("resource", JOBJ(JV("labelSelector", json_new_object()))), JV("status", status));
}

static cJSON *next_status(const cJSON *workspace, const struct findings *findings)
{
    AUTO(arena) struct arena arena = ARENA_INIT;
    struct workspace ws = workspace_of(workspace, &arena);
    struct workspace_status status = status_make(&ws, findings, &arena);
    return codec_encode(workspace_status_type(), &status);
}

static void judge(const char *what, const cJSON *workspace, const char *kstatus, bool ready)
{
    if (strcmp(kstatus_of(workspace), kstatus) != 0)
        fail_msg("%s: %s, not %s", what, kstatus_of(workspace), kstatus);
    if (condition_is(workspace, "Ready", "True") != ready)
        fail_msg("%s: kubectl wait would be wrong", what);
}

/* From scratch, and from whatever state was before. */
static void test_kstatus_of_each_state(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(states); i++) {
        for (size_t j = 0; j <= ARRAY_LEN(states); j++) {
            AUTO(json) cJSON *workspace = workspace_with(NULL, 1, NULL);
            if (j < ARRAY_LEN(states))
                json_set(workspace, "status", next_status(workspace, &states[j].findings));
            json_set(workspace, "status", next_status(workspace, &states[i].findings));
            judge(states[i].what, workspace, states[i].kstatus, states[i].ready);
        }
    }
}

/* A changed spec that nobody has looked at, and one that is to go. */
static void test_kstatus_of_what_is_not_observed(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(states); i++) {
        AUTO(json) cJSON *fresh = workspace_with(NULL, 1, NULL);
        AUTO(json) cJSON *status = next_status(fresh, &states[i].findings);
        AUTO(json) cJSON *changed = workspace_with(json_copy(status), 2, NULL);
        assert_string_equal(kstatus_of(changed), "InProgress");
        AUTO(json)
        cJSON *deleted = workspace_with(json_copy(status), 1, "2026-01-02T00:00:00Z");
        const struct findings going = { .deleting = true, .deletion = NO("workspaceDeleted") };
        json_set(deleted, "status", next_status(deleted, &going));
        judge(states[i].what, deleted, "Terminating", false);
        assert_true(condition_is(deleted, "Reconciling", "True"));
    }
}

/* Whichever condition was found first: people and diffs read them in one order. */
static void test_conditions_are_in_order(void **state)
{
    (void)state;
    static const char *const inference[] = { "Ready",          "Reconciling",       "Stalled",
                                             "NodeClaimReady", "NodesReady",        "ResourceReady",
                                             "InferenceReady", "WorkspaceSucceeded" };
    AUTO(json) cJSON *workspace = workspace_with(NULL, 1, NULL);
    json_set(workspace, "status",
             next_status(workspace, &states[7].findings)); /* refused: no nodes */
    json_set(workspace, "status", next_status(workspace, &states[4].findings));
    const cJSON *conditions = json_at(workspace, "status.conditions");
    assert_int_equal(cJSON_GetArraySize(conditions), ARRAY_LEN(inference));
    size_t i = 0;
    const cJSON *condition;
    cJSON_ArrayForEach(condition, conditions)
        assert_string_equal(json_string_at(condition, "type"), inference[i++]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_kstatus_of_each_state),
        cmocka_unit_test(test_kstatus_of_what_is_not_observed),
        cmocka_unit_test(test_conditions_are_in_order),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
