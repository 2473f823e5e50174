#include <string.h>

#include "common/causes/signals.h"
#include "common/json/condition.h"
#include "common/json/json.h"

enum { EVENT_AGE_MS = 15 * 60 * 1000, NO_PODS_MS = 60 * 1000 };

static bool is(const char *text, const char *wanted)
{
    return text != NULL && strcmp(text, wanted) == 0;
}

static struct cause_place place_of(const cJSON *object, const char *kind)
{
    return (struct cause_place){ .kind = kind,
                                 .namespace_ = json_string_at(object, "metadata.namespace"),
                                 .name = json_string_at(object, "metadata.name") };
}

static bool is_deleting(const cJSON *object)
{
    return json_at(object, "metadata.deletionTimestamp") != NULL;
}

/* The object has been as it is for so long; false when the time is not known. */
static bool is_older(const cJSON *object, const char *path, int64_t age_ms,
                     const struct cause_context *ctx)
{
    int64_t since_ms = cause_time_at(object, path);
    return ctx->now_ms > 0 && since_ms >= 0 && ctx->now_ms - since_ms > age_ms;
}

static bool found(struct cause_hit *out, enum cause_id id, const cJSON *object, const char *kind,
                  const char *detail, struct arena *arena)
{
    struct cause_place place = place_of(object, kind);
    *out = cause_hit_make(id, &place, detail, arena);
    return true;
}

/* ------------------------------------------------------------------ Workspace */

/* Its status says it already, in the same words. */
static bool in_workspace(const cJSON *ws, const struct cause_context *ctx, struct arena *arena,
                         struct cause_hit *out)
{
    (void)ctx;
    int64_t observed = json_integer_at(ws, "status.observedGeneration", 0);
    if (observed != json_integer_at(ws, "metadata.generation", 1) && !is_deleting(ws))
        return found(out, CAUSE_NOT_OBSERVED, ws, "Workspace", "", arena);
    if (json_condition_is(ws, "Ready", "True") && !is_deleting(ws))
        return false;
    const cJSON *ready = json_condition(ws, "Ready");
    const struct cause *cause = cause_by_code(json_string_at(ready, "reason"));
    if (cause == NULL)
        return false;
    const char *message = json_string_at(ready, "message");
    (void)found(out, cause->id, ws, "Workspace", "", arena);
    if (message == NULL)
        return true;
    const cJSON *entry;
    cJSON_ArrayForEach(entry, json_at(ws, "status.timeline")) {
        if (!is(json_string_at(entry, "cause"), cause->code))
            continue;
        const char *object = json_string_at(entry, "object");
        const char *step = json_string_at(entry, "nextStep");
        out->object = object != NULL ? arena_strdup(arena, object) : out->object;
        out->next_step = step != NULL ? arena_strdup(arena, step) : out->next_step;
    }
    out->message = arena_strdup(arena, message);
    return true;
}

/* ------------------------------------------------------------------ NodeClaim, Node */

struct cause_hit causes_in_claim(const char *name, const char *reason, const char *message,
                                 bool failed, struct arena *arena)
{
    struct cause_place place = { .kind = "NodeClaim", .name = name };
    const char *text =
        arena_printf(arena, "%s: %s", reason != NULL ? reason : "", message != NULL ? message : "");
    enum cause_id id = signal_match(PLACE_CLAIM, reason, text);
    if (id == CAUSE_COUNT || (failed && cause_of(id)->weight == CAUSE_WAITS))
        id = failed ? CAUSE_LAUNCH_FAILED : CAUSE_NODES_PENDING;
    return cause_hit_make(id, &place, message != NULL && *message != '\0' ? message : reason,
                          arena);
}

static const char *finalizers_of(const cJSON *object, struct arena *arena)
{
    const char *text = "";
    const cJSON *item;
    cJSON_ArrayForEach(item, json_at(object, "metadata.finalizers")) {
        if (cJSON_IsString(item))
            text = arena_printf(arena, "%s%s%s", text, *text != '\0' ? ", " : "held by ",
                                item->valuestring);
    }
    return text;
}

static bool in_node_claim(const cJSON *claim, const struct cause_context *ctx, struct arena *arena,
                          struct cause_hit *out)
{
    static const char *const steps[] = { "Launched", "Registered", "Initialized" };
    if (is_deleting(claim)) {
        bool stuck = is_older(claim, "metadata.deletionTimestamp", CAUSE_CLAIM_STUCK_MS, ctx);
        return found(out, stuck ? CAUSE_CLAIM_STUCK : CAUSE_CLAIM_DELETING, claim, "NodeClaim",
                     finalizers_of(claim, arena), arena);
    }
    if (json_condition_is(claim, "Ready", "True"))
        return false;
    const char *name = json_string_at(claim, "metadata.name");
    for (size_t i = 0; i < ARRAY_LEN(steps); i++) {
        const cJSON *step = json_condition(claim, steps[i]);
        const char *reason = json_string_at(step, "reason");
        if (step == NULL || is(json_string_at(step, "status"), "True") ||
            is(reason, "AwaitingReconciliation"))
            continue;
        bool failed = is(json_string_at(step, "status"), "False") && i < 2;
        *out = causes_in_claim(name, reason, json_string_at(step, "message"), failed, arena);
        return true;
    }
    *out = causes_in_claim(name, NULL, NULL, false, arena);
    return true;
}

static bool in_node(const cJSON *node, const struct cause_context *ctx, struct arena *arena,
                    struct cause_hit *out)
{
    static const char *const pressures[] = { "MemoryPressure", "DiskPressure", "PIDPressure" };
    for (size_t i = 0; i < ARRAY_LEN(pressures); i++) {
        const char *message = json_string_at(json_condition(node, pressures[i]), "message");
        if (json_condition_is(node, pressures[i], "True"))
            return found(
                out, CAUSE_NODE_PRESSURE, node, "Node",
                arena_printf(arena, "%s: %s", pressures[i], message != NULL ? message : ""), arena);
    }
    if (!json_condition_is(node, "Ready", "True"))
        return found(out, CAUSE_NODE_NOT_READY, node, "Node",
                     json_string_at(json_condition(node, "Ready"), "message"), arena);
    if (json_bool_at(node, "spec.unschedulable", false))
        return found(out, CAUSE_NODE_CORDONED, node, "Node", "it is cordoned", arena);
    const char *gpus = json_string_at(node, "status.allocatable[\"nvidia.com/gpu\"]");
    if (ctx->gpus_expected && (gpus == NULL || is(gpus, "0")))
        return found(out, CAUSE_DEVICE_PLUGIN, node, "Node", "no nvidia.com/gpu is allocatable",
                     arena);
    return false;
}

/* ------------------------------------------------------------------ workload */

static bool in_stateful_set(const cJSON *set, const struct cause_context *ctx, struct arena *arena,
                            struct cause_hit *out)
{
    int64_t wanted = json_integer_at(set, "spec.replicas", 1);
    int64_t ready = json_integer_at(set, "status.readyReplicas", 0);
    if (is_deleting(set))
        return found(out, CAUSE_WORKLOAD_DELETING, set, "StatefulSet", "", arena);
    if (ready >= wanted)
        return false;
    bool none = json_integer_at(set, "status.replicas", 0) == 0 &&
                is_older(set, "metadata.creationTimestamp", NO_PODS_MS, ctx);
    return found(
        out, none ? CAUSE_NO_PODS : CAUSE_WORKLOAD_STARTING, set, "StatefulSet",
        arena_printf(arena, "%lld of %lld pods are ready", (long long)ready, (long long)wanted),
        arena);
}

static bool in_job(const cJSON *job, const struct cause_context *ctx, struct arena *arena,
                   struct cause_hit *out)
{
    const cJSON *failure = json_condition(job, "Failed");
    if (is_deleting(job))
        return found(out, CAUSE_WORKLOAD_DELETING, job, "Job", "", arena);
    if (json_condition_is(job, "Failed", "True")) {
        const char *message = json_string_at(failure, "message");
        enum cause_id id = signal_match(PLACE_JOB, json_string_at(failure, "reason"), message);
        return found(out, id, job, "Job", message, arena);
    }
    if (json_condition_is(job, "Complete", "True"))
        return false;
    if (json_integer_at(job, "status.active", 0) > 0)
        return found(out,
                     json_integer_at(job, "status.ready", 0) > 0 ? CAUSE_TUNING_RUNNING
                                                                 : CAUSE_WORKLOAD_STARTING,
                     job, "Job", "", arena);
    bool none = json_integer_at(job, "status.failed", 0) == 0 &&
                is_older(job, "metadata.creationTimestamp", NO_PODS_MS, ctx);
    return found(out, none ? CAUSE_NO_PODS : CAUSE_WORKLOAD_STARTING, job, "Job", "", arena);
}

static bool in_volume_claim(const cJSON *claim, const struct cause_context *ctx,
                            struct arena *arena, struct cause_hit *out)
{
    (void)ctx;
    const char *class = json_string_at(claim, "spec.storageClassName");
    const char *phase = json_string_at(claim, "status.phase");
    if (is(phase, "Bound"))
        return false;
    return found(out, CAUSE_VOLUME_PENDING, claim, "PersistentVolumeClaim",
                 arena_printf(arena, "%s, StorageClass %s", phase != NULL ? phase : "Pending",
                              class != NULL ? class : "(the default)"),
                 arena);
}

/* ------------------------------------------------------------------ Event */

static bool is_past(const cJSON *event, const struct cause_context *ctx)
{
    static const char *const paths[] = { "series.lastObservedTime", "lastTimestamp", "eventTime" };
    for (size_t i = 0; i < ARRAY_LEN(paths); i++) {
        if (cause_time_at(event, paths[i]) >= 0)
            return is_older(event, paths[i], EVENT_AGE_MS, ctx);
    }
    return false;
}

static bool in_event(const cJSON *event, const struct cause_context *ctx, struct arena *arena,
                     struct cause_hit *out)
{
    const char *reason = json_string_at(event, "reason");
    const char *message = json_string_at(event, "message");
    struct cause_place place = {
        .kind = json_string_at(event, "involvedObject.kind"),
        .namespace_ = json_string_at(event, "involvedObject.namespace"),
        .name = json_string_at(event, "involvedObject.name"),
    };
    if (place.kind == NULL || place.name == NULL || is_past(event, ctx))
        return false;
    enum cause_id id = is(reason, "FailedCreate") ? causes_in_refusal(message)
                                                  : signal_match(PLACE_EVENT, reason, message);
    if (id == CAUSE_COUNT)
        return false;
    *out = cause_hit_make(id, &place, message, arena);
    out->from_event = true;
    return true;
}

enum cause_id causes_in_refusal(const char *message)
{
    return signal_match(PLACE_REFUSAL, NULL, message);
}

/* ------------------------------------------------------------------ any */

bool causes_in(const char *kind, const cJSON *object, const struct cause_context *ctx,
               struct arena *arena, struct cause_hit *out)
{
    static const struct {
        const char *kind;
        bool (*look)(const cJSON *object, const struct cause_context *ctx, struct arena *arena,
                     struct cause_hit *out);
    } kinds[] = {
        { "Workspace", in_workspace },
        { "NodeClaim", in_node_claim },
        { "Node", in_node },
        { "StatefulSet", in_stateful_set },
        { "Job", in_job },
        { "Pod", causes_in_pod },
        { "PersistentVolumeClaim", in_volume_claim },
        { "Event", in_event },
    };
    const char *name = kind != NULL ? kind : json_string_at(object, "kind");
    if (json_string_at(object, "metadata.name") == NULL)
        return false;
    for (size_t i = 0; i < ARRAY_LEN(kinds); i++) {
        if (is(name, kinds[i].kind))
            return kinds[i].look(object, ctx, arena, out);
    }
    return false;
}
