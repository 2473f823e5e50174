#include "reconciler/decide.h"

#include <string.h>

#include "common/base/clock.h"
#include "common/json/build.h"
#include "common/json/json.h"
#include "reconciler/adoption.h"
#include "reconciler/inference_manifest.h"
#include "reconciler/node_findings.h"
#include "reconciler/revision.h"
#include "reconciler/tuning_manifest.h"
#include "reconciler/workload.h"

void decision_fini(struct decision *decision)
{
    for (size_t i = 0; i < decision->action_count; i++)
        json_free(decision->actions[i].body);
    decision->action_count = 0;
}

static void append(struct decision *out, struct action action)
{
    out->actions[out->action_count++] = action;
}

static void note(struct decision *out, const char *type, const char *reason, const char *message)
{
    out->events[out->event_count++] =
        (struct note){ .type = type, .reason = reason, .message = message };
}

static bool equal(const char *a, const char *b)
{
    return a == b || (a != NULL && b != NULL && strcmp(a, b) == 0);
}

/* ------------------------------------------------------------------ plan */

static struct cause_place place_of(const struct snapshot *snapshot, const char *kind,
                                   const char *name)
{
    return (struct cause_place){ .kind = kind,
                                 .namespace_ = snapshot->workspace->key.namespace_,
                                 .name = name };
}

static struct cause_hit cause_here(const struct snapshot *snapshot, enum cause_id id,
                                   const char *detail)
{
    const struct cause_place place =
        place_of(snapshot, WORKSPACE_KIND, snapshot->workspace->key.name);
    return cause_hit_make(id, &place, detail, snapshot->arena);
}

static void manifest_context_make(const struct snapshot *snapshot, const struct plan *plan,
                                  const struct decide_settings *settings, int64_t revision,
                                  struct manifest_context *out)
{
    *out = (struct manifest_context){
        .ws = &snapshot->ws,
        .plan = plan,
        .cloud = settings->plan.cloud,
        .preset_registry = settings->preset_registry,
        .revision = revision,
        .live = snapshot->ws.inference != NULL ? snapshot->stateful_set : NULL,
        .local_nvme_class = snapshot->local_nvme_class,
        .config_name = snapshot->config.name,
        .output_dir = snapshot->config.reading.output_dir,
        .arena = snapshot->arena,
    };
}

static void check_config(const struct snapshot *snapshot, struct planning *out)
{
    const struct config_view *config = &snapshot->config;
    const char *refusal = config_refusal(&config->reading.problems, snapshot->arena);
    if (refusal == NULL && config->state != CONFIG_ABSENT)
        return;
    const struct cause_place place = place_of(snapshot, "ConfigMap", config->name);
    if (refusal != NULL)
        out->why = cause_hit_make(CAUSE_CONFIG_INVALID, &place, refusal, snapshot->arena);
    else
        out->why = cause_hit_make(
            CAUSE_CONFIG_MISSING, &place,
            arena_printf(snapshot->arena, "%s names it",
                         snapshot->ws.tuning != NULL ? "tuning.config" : "inference.config"),
            snapshot->arena);
    out->requeue_after_ms = REQUEUE_CONFIG_MS;
}

void planning_make(const struct snapshot *snapshot, const struct decide_settings *settings,
                   struct planning *out)
{
    *out = (struct planning){ 0 };
    if (snapshot->invalid != NULL) {
        out->why = cause_here(snapshot, CAUSE_INVALID_SPEC, snapshot->invalid);
        return;
    }
    check_config(snapshot, out);
    if (out->why.cause != NULL)
        return;

    struct plan_settings plan_settings = settings->plan;
    plan_settings.context_length = snapshot->config.reading.context_length;
    struct field_errors *problems = arena_new(snapshot->arena, struct field_errors);
    field_errors_init(problems, snapshot->arena);
    if (plan_make(&snapshot->ws, &plan_settings, snapshot->arena, &out->plan, problems) < 0) {
        out->why = cause_here(snapshot, CAUSE_PLAN_REJECTED, field_errors_text(problems));
        return;
    }
    adoption_keep_nodes(snapshot, &out->plan);
    struct manifest_context ctx;
    manifest_context_make(snapshot, &out->plan, settings, 0, &ctx);
    const char *unsupported =
        snapshot->ws.tuning != NULL ? tuning_unsupported(&ctx) : inference_unsupported(&ctx);
    if (unsupported != NULL)
        out->why = cause_here(snapshot, CAUSE_UNSUPPORTED, unsupported);
}

/* ------------------------------------------------------------------ before the nodes */

static struct revision current_revision(const struct snapshot *snapshot)
{
    struct object_list ours = {
        .items = arena_array(snapshot->arena, const struct object *, snapshot->revisions.count),
    };
    for (size_t i = 0; i < snapshot->revisions.count; i++) {
        if (snapshot_owns(snapshot, snapshot->revisions.items[i]))
            ours.items[ours.count++] = snapshot->revisions.items[i];
    }
    return revision_choose(&snapshot->ws, &ours, snapshot->arena);
}

static cJSON *finalizers_with_ours(const struct snapshot *snapshot)
{
    const struct string_list *list = &snapshot->ws.metadata->finalizers;
    cJSON *array = json_new_array();
    for (size_t i = 0; i < list->count; i++)
        json_append(array, json_new_string(list->items[i]));
    json_append(array, json_new_string(WORKSPACE_FINALIZER));
    return array;
}

static void prepare_metadata(const struct snapshot *snapshot, const struct revision *revision,
                             struct decision *out)
{
    const char *number = arena_printf(snapshot->arena, "%lld", (long long)revision->number);
    bool has_finalizer = object_has_finalizer(snapshot->workspace, WORKSPACE_FINALIZER);
    if (has_finalizer &&
        equal(object_annotation(snapshot->workspace, ANNOTATION_HASH), revision->hash) &&
        equal(object_annotation(snapshot->workspace, ANNOTATION_REVISION), number))
        return;
    cJSON *metadata = JOBJ(JS("resourceVersion", snapshot->resource_version),
                           JV("finalizers", has_finalizer ? NULL : finalizers_with_ours(snapshot)),
                           JV("annotations", JOBJ(JS(ANNOTATION_HASH, revision->hash),
                                                  JS(ANNOTATION_REVISION, number))));
    append(out, (struct action){ .kind = ACTION_METADATA,
                                 .gvr = &GVR_WORKSPACE,
                                 .key = snapshot->workspace->key,
                                 .body = JOBJ(JV("metadata", metadata)) });
}

void decide_prepare(const struct snapshot *snapshot, struct decision *out)
{
    *out = (struct decision){ 0 };
    if (snapshot->workspace->deleting) {
        if (object_has_finalizer(snapshot->workspace, WORKSPACE_FINALIZER))
            (void)workload_remove(snapshot, out); /* asked again when all else is decided */
        return;
    }
    if (snapshot->invalid != NULL)
        return;
    struct revision revision = current_revision(snapshot);
    if (revision.existing == NULL) {
        append(out, (struct action){ .kind = ACTION_CREATE,
                                     .gvr = &GVR_CONTROLLERREVISION,
                                     .key = { .namespace_ = snapshot->workspace->key.namespace_,
                                              .name = revision.name },
                                     .body = revision_object(&snapshot->ws, &revision) });
        if (revision.surplus != NULL)
            append(out, (struct action){ .kind = ACTION_DELETE,
                                         .gvr = &GVR_CONTROLLERREVISION,
                                         .key = revision.surplus->key,
                                         .uid = revision.surplus->uid });
    }
    prepare_metadata(snapshot, &revision, out);
}

/* ------------------------------------------------------------------ events */

static const struct condition *old_condition(const struct snapshot *snapshot, const char *type)
{
    return status_condition(snapshot->ws.status, type);
}

static bool turned_true(const struct snapshot *snapshot, const struct decision *decision,
                        const char *type)
{
    return status_is_true(&decision->status, type) && !status_is_true(snapshot->ws.status, type);
}

/* The condition says something else than before. */
static bool says_new(const struct snapshot *snapshot, const struct decision *decision,
                     const char *type)
{
    const struct condition *before = old_condition(snapshot, type);
    const struct condition *now = status_condition(&decision->status, type);
    return now != NULL &&
           (before == NULL || !equal(before->status, now->status) ||
            !equal(before->reason, now->reason) || !equal(before->message, now->message));
}

/* Worth a warning: what the user or the administrator should act on. While nodes are on their way,
 * only what cannot pass by itself. */
static bool is_trouble(const struct findings *findings, const struct finding *why)
{
    if (why->ok || why->cause == NULL)
        return false;
    return why->cause->weight == CAUSE_BLOCKS ||
           (why->cause->weight == CAUSE_VAGUE && findings->resource.ok);
}

static void note_trouble(const struct snapshot *snapshot, struct decision *out)
{
    const struct finding *why = findings_blocker(&out->findings);
    if (is_trouble(&out->findings, why) && says_new(snapshot, out, CONDITION_READY))
        note(out, "Warning", finding_code(why), why->message);
}

static void note_progress(const struct snapshot *snapshot, struct decision *out)
{
    const struct workspace_status *old = snapshot->ws.status;
    const struct findings *findings = &out->findings;
    struct arena *arena = snapshot->arena;

    if (findings->plan != NULL && findings->plan->summary != NULL &&
        (old == NULL || old->plan == NULL || !equal(old->plan->summary, findings->plan->summary)))
        note(out, "Normal", "Planned", findings->plan->summary);
    if (findings->nodes_known && old_condition(snapshot, CONDITION_NODECLAIM_READY) == NULL &&
        snapshot->nodes.claims.count > 0)
        note(out, "Normal", "NodesRequested",
             arena_printf(arena, "%zu NodeClaims: %s", snapshot->nodes.claims.count,
                          claim_names(&snapshot->nodes.claims, arena)));
    if (turned_true(snapshot, out, CONDITION_NODES_READY))
        note(out, "Normal", "NodesReady", findings->nodes.message);
    if (turned_true(snapshot, out, CONDITION_READY)) {
        bool tuning = snapshot->ws.tuning != NULL;
        note(out, "Normal", tuning ? "TuningSucceeded" : "WorkspaceReady",
             tuning ? "tuning is complete" : "the model is being served");
    }
}

static void conclude(const struct snapshot *snapshot, struct decision *out)
{
    out->has_status = true;
    out->event_count = 0;
    out->status = status_make(&snapshot->ws, &out->findings, snapshot->arena);
    note_progress(snapshot, out);
    note_trouble(snapshot, out);
}

/* ------------------------------------------------------------------ deletion */

static void remove_finalizer(const struct snapshot *snapshot, struct decision *out)
{
    const struct string_list *list = &snapshot->ws.metadata->finalizers;
    cJSON *kept = json_new_array();
    for (size_t i = 0; i < list->count; i++) {
        if (!equal(list->items[i], WORKSPACE_FINALIZER))
            json_append(kept, json_new_string(list->items[i]));
    }
    append(out,
           (struct action){
               .kind = ACTION_METADATA,
               .gvr = &GVR_WORKSPACE,
               .key = snapshot->workspace->key,
               .body = JOBJ(JV("metadata", JOBJ(JS("resourceVersion", snapshot->resource_version),
                                                JV("finalizers", kept)))) });
}

/* A claim that has been going for too long before one that is just going. */
static struct cause_hit remaining_claims(const struct snapshot *snapshot, int64_t now_ms)
{
    const struct claim_state_list *claims = &snapshot->nodes.claims;
    const char *names = claim_names(claims, snapshot->arena);
    const struct claim_state *shown = &claims->items[0];
    enum cause_id id = CAUSE_CLAIM_DELETING;
    for (size_t i = 0; i < claims->count; i++) {
        const struct claim_state *claim = &claims->items[i];
        int64_t since_ms;
        if (equal(claim->phase, CLAIM_DELETING) && claim->since != NULL &&
            rfc3339_parse(claim->since, &since_ms) == 0 &&
            now_ms - since_ms > CAUSE_CLAIM_STUCK_MS) {
            shown = claim;
            id = CAUSE_CLAIM_STUCK;
            break;
        }
    }
    const struct cause_place place = place_of(snapshot, "NodeClaim", shown->name);
    return cause_hit_make(id, &place,
                          arena_printf(snapshot->arena, "waiting for NodeClaims to go: %s", names),
                          snapshot->arena);
}

static void decide_deletion(const struct snapshot *snapshot, int64_t now_ms, struct decision *out)
{
    const struct nodes_view *nodes = &snapshot->nodes;
    struct decision unused = { 0 };
    bool workload = workload_remove(snapshot, &unused);
    struct cause_hit why;

    if (!object_has_finalizer(snapshot->workspace, WORKSPACE_FINALIZER))
        return;
    if (nodes->state == NODES_UNREACHABLE) {
        why = provisioner_problem(snapshot);
        out->requeue_after_ms = REQUEUE_UNREACHABLE_MS;
    } else if (nodes->claims.count > 0) {
        why = remaining_claims(snapshot, now_ms);
        out->requeue_after_ms = REQUEUE_DELETING_MS;
    } else if (workload) {
        const struct cause_place place =
            place_of(snapshot, snapshot->stateful_set != NULL ? "StatefulSet" : "Job",
                     snapshot->workspace->key.name);
        why = cause_hit_make(CAUSE_WORKLOAD_DELETING, &place, "waiting for the workload to go",
                             snapshot->arena);
        out->requeue_after_ms = REQUEUE_DELETING_MS;
    } else {
        remove_finalizer(snapshot, out);
        return;
    }
    out->findings = (struct findings){ .now_ms = now_ms,
                                       .deleting = true,
                                       .deletion = finding_from(&why, "workspaceDeleted") };
    out->has_status = true;
    out->status = status_make(&snapshot->ws, &out->findings, snapshot->arena);
    bool blocked = why.cause->weight == CAUSE_BLOCKS;
    if (says_new(snapshot, out, CONDITION_DELETING))
        note(out, blocked ? "Warning" : "Normal", blocked ? why.cause->code : "Deleting",
             why.message);
}

/* ------------------------------------------------------------------ life */

static void stall(struct findings *findings, const struct cause_hit *why)
{
    findings->stalled = finding_from(why, NULL);
    findings->succeeded.ok = false;
    findings->succeeded.reason = "workspacePending";
    if (equal(findings->state, "Ready"))
        findings->state = "NotReady";
}

/* Nothing is bought and nothing is changed; what runs, runs on. */
static void decide_refused(const struct snapshot *snapshot, const struct planning *planning,
                           struct decision *out)
{
    workload_findings(snapshot, false, &out->findings);
    out->findings.resource = finding_from(&planning->why, NULL);
    if (!out->findings.succeeded.ok) /* tuning that is complete stays so */
        stall(&out->findings, &planning->why);
    out->requeue_after_ms = planning->requeue_after_ms;
    conclude(snapshot, out);
}

static void decide_workload(const struct snapshot *snapshot, const struct planning *planning,
                            const struct decide_settings *settings, struct decision *out)
{
    struct manifest_context ctx;
    struct cause_hit problem;
    manifest_context_make(snapshot, &planning->plan, settings, current_revision(snapshot).number,
                          &ctx);
    if (!workload_ensure(snapshot, &ctx, out, &problem))
        stall(&out->findings, &problem);
}

void decide(const struct snapshot *snapshot, const struct planning *planning,
            const struct decide_settings *settings, int64_t now_ms, struct decision *out)
{
    *out = (struct decision){ 0 };
    if (snapshot->workspace->deleting) {
        decide_deletion(snapshot, now_ms, out);
        return;
    }
    out->findings.now_ms = now_ms;
    if (planning->why.cause != NULL) {
        decide_refused(snapshot, planning, out);
        return;
    }
    struct findings *findings = &out->findings;
    findings->plan = &planning->plan;
    node_findings(snapshot, &planning->plan, now_ms, findings);
    workload_findings(snapshot, findings->resource.ok, findings);
    if (findings->resource.ok)
        decide_workload(snapshot, planning, settings, out);
    if (snapshot->nodes.state == NODES_UNREACHABLE)
        out->requeue_after_ms = REQUEUE_UNREACHABLE_MS;
    else if (!findings->resource.ok)
        out->requeue_after_ms = REQUEUE_WAITING_MS;
    conclude(snapshot, out);
}

void decision_stall(struct decision *decision, const struct snapshot *snapshot, const char *message)
{
    if (!decision->has_status || decision->findings.deleting)
        return;
    struct cause_hit why = cause_here(snapshot, causes_in_refusal(message), message);
    stall(&decision->findings, &why);
    conclude(snapshot, decision);
}
