#include "reconciler/status.h"

#include <ctype.h>
#include <string.h>

#include "common/base/clock.h"
#include "common/json/build.h"
#include "common/json/json.h"

enum {
    CONDITIONS_OF_OURS = 10,
    PHASES_OF_OURS = 4,
    REASON_BYTES_MAX = 256,
    MESSAGE_BYTES_MAX = 2048,
};

struct editor {
    struct arena *arena;
    int64_t generation;
    const char *now;
    struct workspace_status *status;
};

static bool equal(const char *a, const char *b)
{
    return a == b || (a != NULL && b != NULL && strcmp(a, b) == 0);
}

const char *reason_sanitise(const char *reason, const char *otherwise, struct arena *arena)
{
    char *out = arena_strndup(arena, reason != NULL ? reason : "", REASON_BYTES_MAX);
    size_t length = 0;
    for (const char *p = out; *p != '\0'; p++) {
        unsigned char c = (unsigned char)*p;
        bool allowed = length == 0 ? isalpha(c) != 0 : isalnum(c) || strchr("_,:", c) != NULL;
        if (c < 128 && allowed)
            out[length++] = *p;
    }
    while (length > 0 && strchr(",:", out[length - 1]) != NULL)
        length--;
    out[length] = '\0';
    return length > 0 ? out : otherwise;
}

struct finding finding_from(const struct cause_hit *hit, const char *reason)
{
    return (struct finding){ .reason = reason != NULL ? reason : hit->cause->code,
                             .message = hit->message,
                             .cause = hit->cause,
                             .object = hit->object,
                             .next_step = hit->next_step };
}

const char *finding_code(const struct finding *finding)
{
    return finding->cause != NULL ? finding->cause->code : finding->reason;
}

/* ------------------------------------------------------------------ conditions */

const struct condition *status_condition(const struct workspace_status *status, const char *type)
{
    for (size_t i = 0; status != NULL && i < status->conditions.count; i++) {
        if (equal(status->conditions.items[i].type, type))
            return &status->conditions.items[i];
    }
    return NULL;
}

bool status_is_true(const struct workspace_status *status, const char *type)
{
    const struct condition *condition = status_condition(status, type);
    return condition != NULL && equal(condition->status, "True");
}

static void set_condition(struct editor *editor, const char *type, bool value, const char *reason,
                          const char *message)
{
    struct condition_list *list = &editor->status->conditions;
    const char *status = value ? "True" : "False";
    size_t i = 0;
    while (i < list->count && !equal(list->items[i].type, type))
        i++;
    struct condition *condition = &list->items[i];
    if (i == list->count) {
        list->count++;
        *condition = (struct condition){ .type = type };
    }
    if (!equal(condition->status, status))
        condition->last_transition_time = editor->now;
    condition->status = status;
    condition->reason = reason;
    condition->message = arena_strndup(editor->arena, message, MESSAGE_BYTES_MAX);
    condition->observed_generation =
        (struct opt_integer){ .set = true, .value = editor->generation };
}

const struct finding *findings_blocker(const struct findings *findings)
{
    const struct finding *order[] = { &findings->stalled, &findings->resource, &findings->workload,
                                      &findings->succeeded };
    for (size_t i = 0; i < ARRAY_LEN(order); i++) {
        if (!order[i]->ok)
            return order[i];
    }
    return &findings->succeeded;
}

/* Ready, Reconciling and Stalled, as kstatus reads them. */
static void set_summary(struct editor *editor, bool ready, bool stalled, const struct finding *why)
{
    const char *code = finding_code(why);
    set_condition(editor, CONDITION_READY, ready, code, why->message);
    if (ready)
        set_condition(editor, CONDITION_RECONCILING, false, "Settled",
                      "the Workspace is as its spec says");
    else if (stalled)
        set_condition(editor, CONDITION_RECONCILING, false, "Stalled",
                      "waits for a change of the spec or of what it names");
    else
        set_condition(editor, CONDITION_RECONCILING, true, code, why->message);
    if (stalled)
        set_condition(editor, CONDITION_STALLED, true, code, why->message);
    else
        set_condition(editor, CONDITION_STALLED, false, "NotStalled", "nothing waits for the user");
}

static void set_finding(struct editor *editor, const char *type, const struct finding *finding)
{
    set_condition(editor, type, finding->ok, finding->reason, finding->message);
}

static void set_conditions(struct editor *editor, const struct findings *findings)
{
    if (findings->nodes_known) {
        set_finding(editor, CONDITION_NODES_READY, &findings->nodes);
        set_finding(editor, CONDITION_NODECLAIM_READY, &findings->claims);
    }
    set_finding(editor, CONDITION_RESOURCE_READY, &findings->resource);
    set_finding(editor, findings->workload_condition, &findings->workload);
    set_finding(editor, CONDITION_SUCCEEDED, &findings->succeeded);
    set_summary(editor, findings->succeeded.ok, !findings->stalled.ok, findings_blocker(findings));
}

static size_t place_of_condition(const struct condition *condition)
{
    static const char *const order[] = {
        CONDITION_READY,           CONDITION_RECONCILING, CONDITION_STALLED,
        CONDITION_NODECLAIM_READY, CONDITION_NODES_READY, CONDITION_RESOURCE_READY,
        CONDITION_INFERENCE_READY, CONDITION_JOB_STARTED, CONDITION_SUCCEEDED,
        CONDITION_DELETING,
    };
    size_t i = 0;
    while (i < ARRAY_LEN(order) && !equal(order[i], condition->type))
        i++;
    return i;
}

/* Always in the same order, whichever was found first; those of others behind, in their own. */
static void order_conditions(struct condition_list *list)
{
    for (size_t i = 1; i < list->count; i++) {
        struct condition moved = list->items[i];
        size_t j = i;
        for (; j > 0 && place_of_condition(&list->items[j - 1]) > place_of_condition(&moved); j--)
            list->items[j] = list->items[j - 1];
        list->items[j] = moved;
    }
}

/* ------------------------------------------------------------------ timeline */

static struct timeline_entry *entry_of(struct editor *editor, const char *phase)
{
    struct timeline_entry_list *list = &editor->status->timeline;
    for (size_t i = 0; i < list->count; i++) {
        if (equal(list->items[i].phase, phase))
            return &list->items[i];
    }
    return NULL;
}

/* Opens the phase where it is not open yet, closes it when it is done. */
static void step(struct editor *editor, const char *phase, const char *start, bool done,
                 const struct finding *why)
{
    struct timeline_entry *entry = entry_of(editor, phase);
    if (entry == NULL) {
        entry = &editor->status->timeline.items[editor->status->timeline.count++];
        *entry = (struct timeline_entry){ .phase = phase, .start = start };
    } else if (!done && entry->end != NULL) {
        entry->start = editor->now;
        entry->end = NULL;
    }
    if (done && entry->end == NULL)
        entry->end = editor->now;
    entry->cause = done ? NULL : finding_code(why);
    entry->object = done ? NULL : why->object;
    entry->next_step = done ? NULL : why->next_step;
    entry->message = done ? NULL : arena_strndup(editor->arena, why->message, MESSAGE_BYTES_MAX);
}

static void set_timeline(struct editor *editor, const struct workspace *ws,
                         const struct findings *findings)
{
    const char *created = ws->metadata->creation_timestamp;
    bool planned = findings->plan != NULL;
    step(editor, PHASE_PLAN, created != NULL ? created : editor->now, planned, &findings->stalled);
    if (!planned)
        return;
    step(editor, PHASE_NODES, editor->now, findings->resource.ok, &findings->resource);
    if (!findings->resource.ok)
        return;
    step(editor, findings->phase, editor->now, findings->succeeded.ok, findings_blocker(findings));
}

/* ------------------------------------------------------------------ plan */

static struct opt_integer known(int64_t value)
{
    return (struct opt_integer){ .set = value > 0, .value = value };
}

static struct status_plan *plan_block(const struct plan *plan, struct arena *arena)
{
    struct status_plan *out = arena_new(arena, struct status_plan);
    *out = (struct status_plan){
        .instance_type = plan->instance_type,
        .node_count = known(plan->node_count),
        .gpus_per_node = known(plan->gpus_per_node),
        .tensor_parallel = known(plan->tensor_parallel),
        .pipeline_parallel = known(plan->pipeline_parallel),
        .data_parallel = known(plan->data_parallel),
        .disk_gib = known(plan->disk_gib),
        .context_length = known(plan->context_length),
        .weights_gib =
            plan->weights_gib > 0 ? arena_printf(arena, "%.2f", plan->weights_gib) : NULL,
        .startup_budget_s = known(plan->startup_budget_s),
        .summary = plan->summary,
    };
    return out;
}

/* ------------------------------------------------------------------ whole */

/* The old status with room for what is ours. */
static struct workspace_status copy_status(const struct workspace *ws, struct arena *arena)
{
    static const struct workspace_status none;
    const struct workspace_status *old = ws->status != NULL ? ws->status : &none;
    struct workspace_status out = *old;

    out.conditions.items =
        arena_array(arena, struct condition, old->conditions.count + CONDITIONS_OF_OURS);
    for (size_t i = 0; i < old->conditions.count; i++)
        out.conditions.items[i] = old->conditions.items[i];
    out.timeline.items =
        arena_array(arena, struct timeline_entry, old->timeline.count + PHASES_OF_OURS);
    for (size_t i = 0; i < old->timeline.count; i++)
        out.timeline.items[i] = old->timeline.items[i];
    return out;
}

struct workspace_status status_make(const struct workspace *ws, const struct findings *findings,
                                    struct arena *arena)
{
    char now[RFC3339_BYTES];
    rfc3339_format(findings->now_ms, now);
    struct workspace_status status = copy_status(ws, arena);
    struct editor editor = {
        .arena = arena,
        .generation = ws->metadata->generation.value,
        .now = arena_strdup(arena, now),
        .status = &status,
    };
    status.observed_generation =
        (struct opt_integer){ .set = true, .value = ws->metadata->generation.value };
    if (findings->deleting) {
        set_condition(&editor, CONDITION_DELETING, true, findings->deletion.reason,
                      findings->deletion.message);
        set_summary(&editor, false, false, &findings->deletion);
        order_conditions(&status.conditions);
        step(&editor, PHASE_RELEASE, editor.now, false, &findings->deletion);
        return status;
    }
    set_conditions(&editor, findings);
    order_conditions(&status.conditions);
    set_timeline(&editor, ws, findings);
    if (findings->nodes_known)
        status.worker_nodes = findings->worker_nodes;
    if (findings->state != NULL)
        status.state = findings->state;
    if (findings->plan != NULL) {
        status.plan = plan_block(findings->plan, arena);
        status.target_node_count =
            (struct opt_integer){ .set = true, .value = findings->plan->node_count };
    }
    return status;
}

/* The JSON merge patch that makes `to` of `from`; NULL when they are equal. */
static cJSON *merge_difference(const cJSON *from, const cJSON *to)
{
    if (json_equal(from, to))
        return NULL;
    if (!cJSON_IsObject(from) || !cJSON_IsObject(to))
        return json_copy(to);
    cJSON *changes = json_new_object();
    const cJSON *member;
    cJSON_ArrayForEach(member, to)
        json_set(changes, member->string, merge_difference(json_get(from, member->string), member));
    cJSON_ArrayForEach(member, from) {
        if (json_get(to, member->string) == NULL)
            json_set(changes, member->string, json_new_null());
    }
    return changes;
}

cJSON *status_patch(const struct workspace *ws, const struct workspace_status *status,
                    const char *resource_version)
{
    AUTO(json) cJSON *wanted = codec_encode(workspace_status_type(), status);
    cJSON *changes = merge_difference(ws->status != NULL ? ws->status->node : NULL, wanted);
    if (changes == NULL)
        return NULL;
    return JOBJ(JV("metadata", JOBJ(JS("resourceVersion", resource_version))),
                JV("status", changes));
}
