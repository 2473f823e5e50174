#include "reconciler/act.h"

#include <string.h>

#include "common/json/json.h"

static void tell(const struct actor *actor, const struct snapshot *snapshot,
                 const struct note *note)
{
    const struct event_target target = {
        .api_version = WORKSPACE_API_VERSION,
        .kind = WORKSPACE_KIND,
        .namespace_ = snapshot->workspace->key.namespace_,
        .name = snapshot->workspace->key.name,
        .uid = snapshot->workspace->uid,
    };
    if (note->reason != NULL)
        event_record(actor->events, &target, note->type, note->reason, note->message);
}

/* The object is there already. Right when we, or our double, made it. */
static int check_owner(const struct actor *actor, const struct action *action, struct error *err)
{
    AUTO(object) const struct object *there = NULL;
    if (k8s_get(actor->client, action->gvr, action->key, &there, err) < 0)
        return -1;
    const char *owner = json_string_at(object_controller(there), "uid");
    if (owner != NULL && strcmp(owner, action->uid) == 0)
        return 0;
    return error_set(err, ERR_INVALID, "%s %s/%s exists and is not this Workspace's",
                     action->gvr->kind, action->key.namespace_, action->key.name);
}

static int create(const struct actor *actor, const struct action *action, struct error *err)
{
    if (k8s_create(actor->client, action->gvr, action->body, NULL, err) == 0)
        return 0;
    if (err->code != ERR_ALREADY_EXISTS)
        return -1;
    return action->exclusive ? check_owner(actor, action, err) : 0;
}

static int patch_metadata(const struct actor *actor, const struct action *action,
                          struct snapshot *snapshot, struct error *err)
{
    AUTO(object) const struct object *patched = NULL;
    if (k8s_merge_patch(actor->client, action->gvr, action->key, NULL, action->body, &patched,
                        err) < 0)
        return err->code == ERR_NOT_FOUND ? ACT_GONE : -1;
    snapshot->resource_version = arena_strdup(snapshot->arena, patched->resource_version);
    return 0;
}

static int perform(const struct actor *actor, const struct action *action,
                   struct snapshot *snapshot, struct error *err)
{
    switch (action->kind) {
    case ACTION_CREATE:
        return create(actor, action, err);
    case ACTION_APPLY:
        return k8s_apply(actor->client, action->gvr, action->body, NULL, err);
    case ACTION_DELETE: {
        const struct delete_options options = {
            .uid = action->uid,
            .propagation = action->orphan ? "Orphan" : "Background",
        };
        return k8s_delete(actor->client, action->gvr, action->key, &options, err) < 0 ? -1 : 0;
    }
    case ACTION_METADATA:
        return patch_metadata(actor, action, snapshot, err);
    }
    return 0;
}

int act(const struct actor *actor, const struct decision *decision, struct snapshot *snapshot,
        struct error *err)
{
    static const char *const verbs[] = { [ACTION_CREATE] = "create",
                                         [ACTION_APPLY] = "apply",
                                         [ACTION_DELETE] = "delete",
                                         [ACTION_METADATA] = "patch" };
    for (size_t i = 0; i < decision->action_count; i++) {
        const struct action *action = &decision->actions[i];
        int result = perform(actor, action, snapshot, err);
        if (result < 0)
            return error_wrap(err, "%s %s %s", verbs[action->kind], action->gvr->kind,
                              action->key.name);
        if (result == ACT_GONE)
            return ACT_GONE;
        tell(actor, snapshot, &action->done);
    }
    return 0;
}

int act_status(const struct actor *actor, const struct decision *decision,
               const struct snapshot *snapshot, struct error *err)
{
    if (!decision->has_status)
        return 0;
    AUTO(json)
    cJSON *patch = status_patch(&snapshot->ws, &decision->status, snapshot->resource_version);
    if (patch == NULL)
        return 0;
    if (k8s_merge_patch(actor->client, &GVR_WORKSPACE, snapshot->workspace->key, "status", patch,
                        NULL, err) < 0)
        return err->code == ERR_NOT_FOUND ? ACT_GONE : error_wrap(err, "write status");
    for (size_t i = 0; i < decision->event_count; i++)
        tell(actor, snapshot, &decision->events[i]);
    return 0;
}
