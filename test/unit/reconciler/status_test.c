#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "common/base/clock.h"
#include "common/json/build.h"
#include "common/json/json.h"
#include "reconciler/status.h"
#include "test/lib/literals.h"

static const struct plan one_node = { .instance_type = "M", .node_count = 1, .summary = "1 x M" };

/* A Workspace whose nodes are on their way. */
static struct findings waiting(int64_t now_ms)
{
    return (struct findings){
        .now_ms = now_ms,
        .phase = "WorkloadReady",
        .workload_condition = CONDITION_INFERENCE_READY,
        .plan = &one_node,
        .nodes_known = true,
        .claims = { .reason = "NodeClaimNotReady", .message = "waiting" },
        .nodes = { .reason = "NodeNotReady", .message = "0 of 1" },
        .resource = { .reason = "NodeClaimNotReady",
                      .message = "waiting",
                      .object = "NodeClaim/a",
                      .next_step = "wait" },
        .workload = { .reason = "WorkspaceInferenceStatusPending", .message = "later" },
        .succeeded = { .reason = "workspacePending", .message = "later" },
        .stalled = { .ok = true },
        .state = "Pending",
    };
}

static struct findings ready(int64_t now_ms)
{
    struct findings findings = waiting(now_ms);
    findings.claims = findings.nodes = findings.resource = findings.workload = findings.succeeded =
        (struct finding){ .ok = true, .reason = "Done", .message = "done" };
    findings.state = "Ready";
    return findings;
}

/* The Workspace after the API server has taken the status. */
static cJSON *stored(const struct workspace_status *status)
{
    return JOBJ(
        JV("metadata", JOBJ(JS("name", "w"), JS("namespace", "d"), JI("generation", 3),
                            JS("creationTimestamp", "2026-01-01T00:00:00Z"))),
        JV("resource", JOBJ(JV("labelSelector", json_new_object()))),
        JV("status", status != NULL ? codec_encode(workspace_status_type(), status) : NULL));
}

static const char *status_of(const struct workspace_status *status, const char *type)
{
    const struct condition *condition = status_condition(status, type);
    return condition != NULL ? condition->status : "absent";
}

static void test_status_make_waiting(void **state)
{
    (void)state;
    AUTO(arena) struct arena arena = ARENA_INIT;
    AUTO(json) cJSON *json = stored(NULL);
    struct workspace ws = workspace_of(json, &arena);
    struct findings findings = waiting(1000);
    struct workspace_status status = status_make(&ws, &findings, &arena);
    assert_string_equal(status_of(&status, CONDITION_READY), "False");
    assert_string_equal(status_of(&status, CONDITION_RECONCILING), "True");
    assert_string_equal(status_of(&status, CONDITION_STALLED), "False");
    assert_string_equal(status_condition(&status, CONDITION_READY)->reason, "NodeClaimNotReady");
    assert_int_equal(status.observed_generation.value, 3);
    assert_int_equal(status.target_node_count.value, 1);
    assert_int_equal(status.timeline.count, 2);
    assert_string_equal(status.timeline.items[0].phase, "Planned");
    assert_string_equal(status.timeline.items[0].start, "2026-01-01T00:00:00Z");
    assert_non_null(status.timeline.items[0].end);
    assert_string_equal(status.timeline.items[1].object, "NodeClaim/a");
    assert_null(status.timeline.items[1].end);
}

static void test_status_patch_is_null_when_equal(void **state)
{
    (void)state;
    AUTO(arena) struct arena arena = ARENA_INIT;
    AUTO(json) cJSON *before = stored(NULL);
    struct workspace ws = workspace_of(before, &arena);
    struct findings findings = waiting(1000);
    struct workspace_status first = status_make(&ws, &findings, &arena);
    AUTO(json) cJSON *patch = status_patch(&ws, &first, "7");
    assert_string_equal(json_string_at(patch, "metadata.resourceVersion"), "7");
    assert_string_equal(json_string_at(patch, "status.state"), "Pending");

    AUTO(json) cJSON *after = stored(&first);
    struct workspace again = workspace_of(after, &arena);
    findings.now_ms = 99999;
    struct workspace_status second = status_make(&again, &findings, &arena);
    assert_null(status_patch(&again, &second, "8"));
}

static void test_status_transition_times(void **state)
{
    (void)state;
    AUTO(arena) struct arena arena = ARENA_INIT;
    AUTO(json) cJSON *before = stored(NULL);
    struct workspace ws = workspace_of(before, &arena);
    struct findings findings = waiting(1000);
    struct workspace_status first = status_make(&ws, &findings, &arena);
    AUTO(json) cJSON *after = stored(&first);
    struct workspace again = workspace_of(after, &arena);
    findings = ready(60000);
    struct workspace_status second = status_make(&again, &findings, &arena);
    assert_string_equal(status_condition(&second, CONDITION_READY)->last_transition_time,
                        "1970-01-01T00:01:00Z");
    assert_string_equal(status_condition(&second, CONDITION_STALLED)->last_transition_time,
                        "1970-01-01T00:00:01Z");
    assert_string_equal(second.timeline.items[1].start, "1970-01-01T00:00:01Z");
    assert_string_equal(second.timeline.items[1].end, "1970-01-01T00:01:00Z");
    assert_null(second.timeline.items[1].cause);
    assert_string_equal(second.timeline.items[2].phase, "WorkloadReady");

    /* and back: the phase opens again */
    AUTO(json) cJSON *later = stored(&second);
    struct workspace third = workspace_of(later, &arena);
    findings = waiting(120000);
    struct workspace_status lost = status_make(&third, &findings, &arena);
    assert_string_equal(lost.timeline.items[1].start, "1970-01-01T00:02:00Z");
    assert_null(lost.timeline.items[1].end);
}

static void test_status_stalled(void **state)
{
    (void)state;
    AUTO(arena) struct arena arena = ARENA_INIT;
    AUTO(json) cJSON *json = stored(NULL);
    struct workspace ws = workspace_of(json, &arena);
    struct findings findings = waiting(1000);
    findings.plan = NULL;
    findings.stalled = (struct finding){ .reason = "PlanRejected", .message = "too big" };
    struct workspace_status status = status_make(&ws, &findings, &arena);
    assert_string_equal(status_of(&status, CONDITION_STALLED), "True");
    assert_string_equal(status_of(&status, CONDITION_RECONCILING), "False");
    assert_string_equal(status_condition(&status, CONDITION_READY)->reason, "PlanRejected");
    assert_false(status.target_node_count.set);
    assert_int_equal(status.timeline.count, 1);
    assert_null(status.timeline.items[0].end);
}

/* What others keep in the status stays; what leaves ours is removed, at every level. */
static void test_status_patch_members(void **state)
{
    (void)state;
    AUTO(arena) struct arena arena = ARENA_INIT;
    AUTO(json) cJSON *before = stored(NULL);
    json_set(
        before, "status",
        json_literal("{\"foreign\":1,\"plan\":{\"contextLength\":9,\"other\":2},\"conditions\":"
                     "[{\"type\":\"BenchmarkCompleted\",\"status\":\"True\",\"reason\":\"r\","
                     "\"message\":\"m\",\"lastTransitionTime\":\"2026-01-01T00:00:00Z\"}]}"));
    struct workspace ws = workspace_of(before, &arena);
    struct findings findings = waiting(1000);
    struct workspace_status status = status_make(&ws, &findings, &arena);
    AUTO(json) cJSON *patch = status_patch(&ws, &status, "1");
    assert_true(cJSON_IsNull(json_at(patch, "status.plan.contextLength")));
    assert_null(json_at(patch, "status.foreign"));
    assert_string_equal(json_string_at(patch, "status.conditions[0].type"), CONDITION_READY);
    size_t last = (size_t)cJSON_GetArraySize(json_at(patch, "status.conditions")) - 1;
    const char *path = arena_printf(&arena, "status.conditions[%zu].type", last);
    assert_string_equal(json_string_at(patch, path), "BenchmarkCompleted");
}

static void test_status_deleting(void **state)
{
    (void)state;
    AUTO(arena) struct arena arena = ARENA_INIT;
    AUTO(json) cJSON *json = stored(NULL);
    struct workspace ws = workspace_of(json, &arena);
    const struct findings findings = { .now_ms = 1000,
                                       .deleting = true,
                                       .deletion = { .reason = "workspaceDeleted",
                                                     .message = "waiting for a" } };
    struct workspace_status status = status_make(&ws, &findings, &arena);
    assert_string_equal(status_of(&status, CONDITION_DELETING), "True");
    assert_string_equal(status_of(&status, CONDITION_READY), "False");
    assert_string_equal(status_of(&status, CONDITION_RECONCILING), "True");
    assert_string_equal(status_of(&status, CONDITION_NODES_READY), "absent");
    assert_string_equal(status.timeline.items[0].phase, "Released");
}

static void test_reason_sanitise(void **state)
{
    (void)state;
    static const struct {
        const char *given, *made;
    } rows[] = {
        { "LaunchFailed", "LaunchFailed" },
        { "Launch failed!", "Launchfailed" },
        { "9lives", "lives" },
        { "a:b,", "a:b" },
        { "", "Otherwise" },
        { NULL, "Otherwise" },
        { "\xc3\xa9", "Otherwise" },
        { "__", "Otherwise" },
    };
    AUTO(arena) struct arena arena = ARENA_INIT;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        assert_string_equal(reason_sanitise(rows[i].given, "Otherwise", &arena), rows[i].made);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_status_make_waiting),
        cmocka_unit_test(test_status_patch_is_null_when_equal),
        cmocka_unit_test(test_status_transition_times),
        cmocka_unit_test(test_status_stalled),
        cmocka_unit_test(test_status_patch_members),
        cmocka_unit_test(test_status_deleting),
        cmocka_unit_test(test_reason_sanitise),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
