#include "reconciler/workspace_controller.h"

#include <assert.h>
#include <string.h>

#include "common/base/digest.h"
#include "common/base/log.h"
#include "common/json/json.h"

enum { REQUEUE_CONFLICT_MS = 50, REQUEUE_REFUSED_MS = 60 * 1000 };

/* ------------------------------------------------------------------ reconcile */

static int ask_for_nodes(const struct workspace_controller *controller,
                         const struct planning *planning, struct snapshot *snapshot,
                         struct error *err)
{
    const struct observer *observer = &controller->observer;
    const struct plan *plan = &planning->plan;
    if (snapshot->workspace->deleting) {
        if (object_has_finalizer(snapshot->workspace, WORKSPACE_FINALIZER))
            observe_release(observer, snapshot);
        return 0;
    }
    if (planning->why.cause != NULL)
        return 0;
    observe_demand(observer, plan, snapshot);
    bool makes_workload = snapshot->stateful_set == NULL &&
                          plan->workload == PLAN_INFERENCE_PRESET && plan->machine != NULL &&
                          plan->machine->nvme.value &&
                          snapshot->nodes.ready_count >= plan->node_count;
    return makes_workload ? observe_storage_class(observer, snapshot, err) : 0;
}

/* The server will say the same to the same object: the user has to know. */
static bool is_refusal(const struct error *err)
{
    return err->code == ERR_INVALID || err->code == ERR_FORBIDDEN || err->code == ERR_TOO_LARGE;
}

static int64_t resync_of(const struct workspace_controller *controller, const char *key,
                         int64_t now_ms)
{
    uint64_t spread = fnv1a64(key, strlen(key)) + (uint64_t)now_ms;
    int64_t tenth = controller->resync_ms / 10;
    return controller->resync_ms - tenth + (int64_t)(spread % (uint64_t)(2 * tenth + 1));
}

static int carry_out(const struct workspace_controller *controller, struct decision *decision,
                     struct snapshot *snapshot, struct reconcile_result *result, struct error *err)
{
    int acted = act(&controller->actor, decision, snapshot, err);
    if (acted == ACT_GONE)
        return 0;
    if (acted < 0) {
        if (!is_refusal(err))
            return -1;
        log_warn("workspace", "the API server refuses the workload",
                 KV("namespace", snapshot->workspace->key.namespace_),
                 KV("name", snapshot->workspace->key.name), KVERR(err));
        decision_stall(decision, snapshot, err->message);
        result->requeue_after_ms = REQUEUE_REFUSED_MS;
    }
    return act_status(&controller->actor, decision, snapshot, err) < 0 ? -1 : 0;
}

static int reconcile(const struct workspace_controller *controller, struct object_key key,
                     struct arena *arena, struct reconcile_result *result, struct error *err)
{
    AUTO(snapshot) struct snapshot snapshot = { 0 };
    int observed = observe(&controller->observer, key, arena, &snapshot, err);
    if (observed != 0)
        return observed < 0 ? -1 : 0;

    AUTO(decision) struct decision preparation = { 0 };
    decide_prepare(&snapshot, &preparation);
    int prepared = act(&controller->actor, &preparation, &snapshot, err);
    if (prepared != 0)
        return prepared < 0 ? -1 : 0;

    struct planning planning = { 0 };
    if (!snapshot.workspace->deleting)
        planning_make(&snapshot, &controller->settings, &planning);
    if (ask_for_nodes(controller, &planning, &snapshot, err) < 0)
        return -1;

    AUTO(decision) struct decision decision = { 0 };
    decide(&snapshot, &planning, &controller->settings, clock_realtime(controller->clock),
           &decision);
    result->requeue_after_ms = decision.requeue_after_ms;
    return carry_out(controller, &decision, &snapshot, result, err);
}

int workspace_reconcile(void *context, const char *key, struct reconcile_result *result,
                        struct error *err)
{
    const struct workspace_controller *controller = context;
    result->requeue_after_ms = 0;
    if (!membership_owns(controller->members, key))
        return 0;
    AUTO(catalogue)
    const struct catalogue *catalogue = catalogue_source_acquire(controller->catalogue);
    struct workspace_controller current = *controller;
    AUTO(arena) struct arena arena = ARENA_INIT;
    char buffer[OBJECT_KEY_BYTES];

    current.observer.catalogue = current.settings.plan.catalogue = catalogue;
    int outcome = reconcile(&current, object_key_parse(key, buffer), &arena, result, err);
    if (outcome < 0 && err->code == ERR_CONFLICT) {
        /* Our copy was old. The new one is on its way, or here already. */
        log_debug("workspace", "stale copy, again", KV("workspace", key), KVERR(err));
        result->requeue_after_ms = REQUEUE_CONFLICT_MS;
        return 0;
    }
    if (result->requeue_after_ms == 0)
        result->requeue_after_ms = resync_of(controller, key, clock_realtime(controller->clock));
    return outcome;
}

/* ------------------------------------------------------------------ what concerns whom */

void workspace_enqueue(struct workspace_controller *controller, struct object_key key)
{
    char text[OBJECT_KEY_BYTES];
    workqueue_add(controller->queue, object_key_format(key, text));
}

/* Only the status changed: it was we who did that. */
static bool is_status_only(const struct object *before, const struct object *after)
{
    static const char *const parts[] = { "metadata.labels", "metadata.annotations",
                                         "metadata.finalizers" };
    if (before->generation != after->generation || before->deleting != after->deleting ||
        strcmp(before->uid, after->uid) != 0)
        return false;
    for (size_t i = 0; i < ARRAY_LEN(parts); i++) {
        const cJSON *a = json_at(before->json, parts[i]), *b = json_at(after->json, parts[i]);
        if (a != b && !json_equal(a, b))
            return false;
    }
    return true;
}

void workspace_changed(void *context, const struct object *before, const struct object *after)
{
    assert(before != NULL || after != NULL);
    if (before != NULL && after != NULL && is_status_only(before, after))
        return;
    workspace_enqueue(context, after != NULL ? after->key : before->key);
}

void workspace_part_changed(void *context, const struct object *before, const struct object *after)
{
    struct workspace_controller *controller = context;
    const struct object *object = after != NULL ? after : before;
    const cJSON *owner = object_controller(object);
    const char *kind = json_string_at(owner, "kind");
    const char *name = NULL;

    if (kind != NULL && strcmp(kind, WORKSPACE_KIND) == 0)
        name = json_string_at(owner, "name");
    else if (object_label(object, LABEL_WORKSPACE) != NULL)
        name = object_label(object, LABEL_WORKSPACE);
    if (name != NULL) {
        workspace_enqueue(
            controller, (struct object_key){ .namespace_ = object->key.namespace_, .name = name });
        return;
    }
    /* A foreign object that had the name of ours went away, or came. */
    AUTO(object)
    const struct object *namesake =
        store_get(controller->observer.listers->workspaces, object->key);
    if (namesake != NULL)
        workspace_enqueue(controller, object->key);
}

/* Ready as of its latest spec. */
static bool is_at_rest(const struct object *workspace)
{
    const char *ready = json_string_at(workspace->json, "status.conditions[type=Ready].status");
    return !workspace->deleting && ready != NULL && strcmp(ready, "True") == 0 &&
           json_integer_at(workspace->json, "status.observedGeneration", 0) ==
               workspace->generation;
}

void workspace_enqueue_restless(struct workspace_controller *controller)
{
    AUTO(object_list)
    struct object_list list = store_list(controller->observer.listers->workspaces);
    for (size_t i = 0; i < list.count; i++) {
        if (!is_at_rest(list.items[i]))
            workspace_enqueue(controller, list.items[i]->key);
    }
}

/* ------------------------------------------------------------------ replicas */

bool workspace_is_ours(const struct workspace_controller *controller, struct object_key key)
{
    char text[OBJECT_KEY_BYTES];
    return membership_owns(controller->members, object_key_format(key, text));
}

void workspace_enqueue_all(void *context)
{
    struct workspace_controller *controller = context;
    AUTO(object_list)
    struct object_list list = store_list(controller->observer.listers->workspaces);
    for (size_t i = 0; i < list.count; i++)
        workspace_enqueue(controller, list.items[i]->key);
}
