#include "reconciler/workload.h"

#include <string.h>

#include "common/json/build.h"
#include "common/json/condition.h"
#include "common/json/json.h"
#include "reconciler/adoption.h"
#include "reconciler/inference_manifest.h"
#include "reconciler/pod_trouble.h"
#include "reconciler/tuning_manifest.h"

static struct action *append(struct decision *out, struct action action)
{
    out->actions[out->action_count] = action;
    return &out->actions[out->action_count++];
}

static struct object_key key_of(const struct snapshot *snapshot, const cJSON *manifest)
{
    const char *name = json_string_at(manifest, "metadata.name");
    return (struct object_key){ .namespace_ = snapshot->workspace->key.namespace_,
                                .name = arena_strdup(snapshot->arena, name) };
}

static void remove_object(const struct gvr *gvr, const struct object *object, struct decision *out)
{
    append(out, (struct action){
                    .kind = ACTION_DELETE, .gvr = gvr, .key = object->key, .uid = object->uid });
}

/* Left behind by an earlier Workspace of the same name, and about to be collected. */
static bool is_leftover(const struct snapshot *snapshot, const struct object *live)
{
    const cJSON *owner = object_controller(live);
    const char *kind = json_string_at(owner, "kind");
    const char *name = json_string_at(owner, "name");
    return kind != NULL && name != NULL && strcmp(kind, WORKSPACE_KIND) == 0 &&
           strcmp(name, snapshot->workspace->key.name) == 0;
}

enum standing { STANDING_FREE, STANDING_OURS, STANDING_WAIT, STANDING_FOREIGN };

/* Whose the name is; what an earlier life left there is removed first. */
static enum standing standing_of(const struct snapshot *snapshot, const struct gvr *gvr,
                                 const struct object *live, struct decision *out)
{
    if (live == NULL)
        return STANDING_FREE;
    if (live->deleting)
        return STANDING_WAIT;
    if (snapshot_owns(snapshot, live))
        return STANDING_OURS;
    if (!is_leftover(snapshot, live))
        return STANDING_FOREIGN;
    remove_object(gvr, live, out);
    return STANDING_WAIT;
}

static bool foreign(const struct snapshot *snapshot, const struct gvr *gvr,
                    const struct object *live, struct cause_hit *problem)
{
    const struct cause_place place = { .kind = gvr->kind,
                                       .namespace_ = live->key.namespace_,
                                       .name = live->key.name };
    *problem = cause_hit_make(CAUSE_NAME_TAKEN, &place, "it exists and is not of this Workspace",
                              snapshot->arena);
    return false;
}

static struct note created_note(const struct snapshot *snapshot, const struct gvr *gvr)
{
    return (struct note){ .type = "Normal",
                          .reason = "WorkloadCreated",
                          .message = arena_printf(snapshot->arena, "created %s %s", gvr->kind,
                                                  snapshot->workspace->key.name) };
}

/* Applies the manifest (taken) unless the cluster has it already. */
static bool ensure(const struct snapshot *snapshot, const struct gvr *gvr,
                   const struct object *live, cJSON *take, struct decision *out,
                   struct cause_hit *problem)
{
    cJSON *manifest = take;
    enum standing standing = standing_of(snapshot, gvr, live, out);
    if (standing == STANDING_FREE ||
        (standing == STANDING_OURS && !manifest_is_applied(live->json, manifest))) {
        struct action *action = append(out, (struct action){ .kind = ACTION_APPLY,
                                                             .gvr = gvr,
                                                             .key = key_of(snapshot, manifest),
                                                             .body = manifest });
        if (gvr == &GVR_STATEFULSET && standing == STANDING_FREE)
            action->done = created_note(snapshot, gvr);
        return true;
    }
    json_free(manifest);
    return standing != STANDING_FOREIGN || foreign(snapshot, gvr, live, problem);
}

static bool ensure_inference(const struct snapshot *snapshot, const struct manifest_context *ctx,
                             struct decision *out, struct cause_hit *problem)
{
    if (!ensure(snapshot, &GVR_SERVICE, snapshot->headless, inference_headless_service(ctx), out,
                problem) ||
        !ensure(snapshot, &GVR_SERVICE, snapshot->service, inference_service(ctx), out, problem))
        return false;
    if (adoption_applies(snapshot)) {
        adoption_ensure(snapshot, ctx, inference_stateful_set(ctx), out);
        return true;
    }
    return ensure(snapshot, &GVR_STATEFULSET, snapshot->stateful_set, inference_stateful_set(ctx),
                  out, problem);
}

/* A Job cannot be changed: other content means another Job, made when the old one is gone. */
static bool ensure_tuning(const struct snapshot *snapshot, const struct manifest_context *ctx,
                          struct decision *out, struct cause_hit *problem)
{
    const struct object *live = snapshot->job;
    switch (standing_of(snapshot, &GVR_JOB, live, out)) {
    case STANDING_FOREIGN:
        return foreign(snapshot, &GVR_JOB, live, problem);
    case STANDING_WAIT:
        return true;
    case STANDING_OURS:
        if (!adoption_has_revision(live, ctx->revision))
            remove_object(&GVR_JOB, live, out);
        return true;
    case STANDING_FREE:
        break;
    }
    if (snapshot->config.state == CONFIG_DEFAULTED) {
        cJSON *config = tuning_default_config(ctx->ws, snapshot->machine);
        append(out, (struct action){ .kind = ACTION_CREATE,
                                     .gvr = &GVR_CONFIGMAP,
                                     .key = key_of(snapshot, config),
                                     .body = config });
    }
    append(out, (struct action){ .kind = ACTION_CREATE,
                                 .gvr = &GVR_JOB,
                                 .key = snapshot->workspace->key,
                                 .body = tuning_job(ctx),
                                 .uid = snapshot->workspace->uid,
                                 .exclusive = true,
                                 .done = created_note(snapshot, &GVR_JOB) });
    return true;
}

bool workload_ensure(const struct snapshot *snapshot, const struct manifest_context *ctx,
                     struct decision *out, struct cause_hit *problem)
{
    return ctx->ws->tuning != NULL ? ensure_tuning(snapshot, ctx, out, problem)
                                   : ensure_inference(snapshot, ctx, out, problem);
}

bool workload_remove(const struct snapshot *snapshot, struct decision *out)
{
    const struct {
        const struct gvr *gvr;
        const struct object *live;
    } parts[] = { { &GVR_STATEFULSET, snapshot->stateful_set }, { &GVR_JOB, snapshot->job } };
    bool there = false;
    for (size_t i = 0; i < ARRAY_LEN(parts); i++) {
        if (parts[i].live == NULL || !snapshot_owns(snapshot, parts[i].live))
            continue;
        there = true;
        if (!parts[i].live->deleting)
            remove_object(parts[i].gvr, parts[i].live, out);
    }
    return there;
}

/* ------------------------------------------------------------------ how it fares */

static struct cause_context cause_context(const struct findings *findings)
{
    return (struct cause_context){
        .now_ms = findings->now_ms,
        .startup_budget_s = findings->plan != NULL ? findings->plan->startup_budget_s : 0,
    };
}

/* What its pods say, or else what `kind` of object the workload is says; `reason` is told where
 * nothing is wrong. */
static struct finding workload_finding(const struct snapshot *snapshot, const char *kind,
                                       const struct object *workload, const char *reason,
                                       const struct findings *findings)
{
    const struct cause_context ctx = cause_context(findings);
    const struct cause_place place = { .kind = kind,
                                       .namespace_ = snapshot->workspace->key.namespace_,
                                       .name = snapshot->workspace->key.name };
    struct cause_hit hit;
    if (pod_trouble_find(&snapshot->pods, &ctx, snapshot->arena, &hit))
        return finding_from(&hit, pod_trouble_reason(hit.cause));
    if (workload == NULL || !causes_in(kind, workload->json, &ctx, snapshot->arena, &hit) ||
        hit.cause->weight == CAUSE_WAITS) /* without counts: each change would be a write */
        hit = cause_hit_make(CAUSE_WORKLOAD_STARTING, &place, NULL, snapshot->arena);
    return finding_from(&hit, reason);
}

static const struct finding succeeded = { .ok = true,
                                          .reason = "workspaceSucceeded",
                                          .message =
                                              "the Workspace has done what it was made for" };
static const struct finding pending = { .reason = "workspacePending",
                                        .message = "the workload is not ready yet" };

/* The controller has seen the spec, and all of its pods are ready. */
static bool stateful_set_is_ready(const cJSON *json)
{
    return json_integer_at(json, "status.observedGeneration", 0) >=
               json_integer_at(json, "metadata.generation", 0) &&
           json_integer_at(json, "status.readyReplicas", 0) ==
               json_integer_at(json, "spec.replicas", 1);
}

static void inference_findings(const struct snapshot *snapshot, bool resource_ready,
                               struct findings *out)
{
    const struct workspace_status *old = snapshot->ws.status;
    const char *old_state = old != NULL && old->state != NULL ? old->state : "";
    const struct object *set = snapshot->stateful_set;
    bool ours = set != NULL && snapshot_owns(snapshot, set);

    out->phase = PHASE_WORKLOAD;
    out->workload_condition = CONDITION_INFERENCE_READY;
    if (ours && resource_ready && stateful_set_is_ready(set->json)) {
        out->workload = (struct finding){ .ok = true,
                                          .reason = "WorkspaceInferenceStatusSuccess",
                                          .message = "Inference has been deployed successfully" };
        out->succeeded = succeeded;
        out->state = "Ready";
        return;
    }
    if (resource_ready || snapshot->pods.count > 0)
        out->workload = workload_finding(snapshot, "StatefulSet", ours ? set : NULL,
                                         "WorkspaceInferenceStatusPending", out);
    else
        out->workload =
            (struct finding){ .reason = "WorkspaceInferenceStatusPending",
                              .message = "the workload is made when the nodes are ready" };
    out->succeeded = pending;
    bool was_ready = strcmp(old_state, "Ready") == 0 || strcmp(old_state, "NotReady") == 0;
    out->state = was_ready ? "NotReady" : "Pending";
}

/* A Job between two states counts no pod as active; what has started stays started. */
static bool has_started(const struct snapshot *snapshot, const cJSON *job)
{
    const struct condition *known = status_condition(snapshot->ws.status, CONDITION_JOB_STARTED);
    return json_integer_at(job, "status.active", 0) > 0 ||
           json_integer_at(job, "status.ready", 0) > 0 ||
           (status_is_true(snapshot->ws.status, CONDITION_JOB_STARTED) &&
            known->observed_generation.value == snapshot->workspace->generation);
}

/* What a container says of itself says more than the Job, which only counts. */
static struct finding failed_finding(const struct snapshot *snapshot,
                                     const struct findings *findings)
{
    const struct cause_context ctx = cause_context(findings);
    const struct cause_place place = { .kind = "Job",
                                       .namespace_ = snapshot->job->key.namespace_,
                                       .name = snapshot->job->key.name };
    struct cause_hit job, pod;
    if (!causes_in("Job", snapshot->job->json, &ctx, snapshot->arena, &job))
        job = cause_hit_make(CAUSE_JOB_FAILED, &place, NULL, snapshot->arena);
    if (!pod_trouble_find(&snapshot->pods, &ctx, snapshot->arena, &pod) ||
        cause_hit_outranks(&job, &pod))
        return finding_from(&job, "WorkspaceTuningJobStatusFailed");
    struct finding out = finding_from(&pod, "WorkspaceTuningJobStatusFailed");
    out.message = arena_printf(snapshot->arena, "%s; then delete Job %s to run it again",
                               pod.message, snapshot->job->key.name);
    return out;
}

static struct finding running_finding(const struct snapshot *snapshot,
                                      const struct findings *findings)
{
    const struct cause_context ctx = cause_context(findings);
    const struct cause_place place = { .kind = "Job",
                                       .namespace_ = snapshot->workspace->key.namespace_,
                                       .name = snapshot->workspace->key.name };
    struct cause_hit hit;
    if (pod_trouble_find(&snapshot->pods, &ctx, snapshot->arena, &hit))
        return finding_from(&hit, pod_trouble_reason(hit.cause));
    hit = cause_hit_make(CAUSE_TUNING_RUNNING, &place, NULL, snapshot->arena);
    return finding_from(&hit, "workspacePending");
}

static void tuning_findings(const struct snapshot *snapshot, struct findings *out)
{
    const struct object *live = snapshot->job;
    const cJSON *job = live != NULL && snapshot_owns(snapshot, live) ? live->json : NULL;
    static const struct finding started = { .ok = true,
                                            .reason = "WorkspaceTuningJobStatusStarted",
                                            .message = "Tuning job has started" };

    out->phase = PHASE_TUNING;
    out->workload_condition = CONDITION_JOB_STARTED;
    out->succeeded = pending;
    if (job != NULL && json_condition_is(job, "Failed", "True")) {
        out->workload = failed_finding(snapshot, out);
        out->stalled = out->workload;
        out->succeeded = out->workload;
        out->succeeded.reason = "workspaceFailed";
        out->state = "Failed";
    } else if (job != NULL && (json_condition_is(job, "Complete", "True") ||
                               json_integer_at(job, "status.succeeded", 0) > 0)) {
        out->workload = started;
        out->succeeded = succeeded;
        out->state = "Succeeded";
    } else if (job != NULL && has_started(snapshot, job)) {
        out->workload = started;
        out->succeeded = running_finding(snapshot, out);
        out->state = "Running";
    } else {
        out->workload = workload_finding(snapshot, "Job", job != NULL ? live : NULL,
                                         "WorkspaceTuningJobStatusPending", out);
        out->state = "Pending";
    }
}

void workload_findings(const struct snapshot *snapshot, bool resource_ready, struct findings *out)
{
    out->stalled = (struct finding){ .ok = true };
    if (snapshot->ws.tuning != NULL)
        tuning_findings(snapshot, out);
    else
        inference_findings(snapshot, resource_ready, out);
}
