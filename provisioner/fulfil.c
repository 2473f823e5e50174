#include "provisioner/fulfil.h"

#include <stdlib.h>
#include <string.h>

#include "common/api/workspace.h"
#include "common/base/log.h"
#include "common/base/memory.h"
#include "common/json/build.h"
#include "common/json/condition.h"
#include "common/json/json.h"
#include "common/k8s/controller.h"
#include "provisioner/claim.h"
#include "provisioner/repair.h"

#define LABEL_REGISTERED "karpenter.sh/registered"

enum { SWEEP_MS = 2 * 60 * 1000, SYNC_WAIT_MS = 1000, CONFLICT_MS = 50 };

struct fulfil {
    struct fulfil_options options;
    struct workqueue *queue;       /* claim names */
    struct workqueue *sweep_queue; /* one key, again and again */
    struct controller *workers, *sweeper;
};

bool claim_is_managed(const struct object *claim)
{
    const char *group = json_string_at(claim->json, "spec.nodeClassRef.group");
    const char *kind = json_string_at(claim->json, "spec.nodeClassRef.kind");
    struct object_key key;
    return (group != NULL && kind != NULL && strcmp(group, WORKSPACE_GROUP) == 0 &&
            strcmp(kind, "KaitoNodeClass") == 0) ||
           claim_workspace(claim, &key);
}

/* ------------------------------------------------------------------ deciding */

enum claim_step claim_next_step(const struct object *claim, const struct object *node)
{
    bool finalizer = object_has_finalizer(claim, CLAIM_FINALIZER);
    if (claim->deleting)
        return finalizer ? STEP_TERMINATE : STEP_NOTHING;
    if (!finalizer)
        return STEP_ADD_FINALIZER;
    if (!json_condition_is(claim->json, "Launched", "True"))
        return STEP_LAUNCH;
    if (!json_condition_is(claim->json, "Registered", "True"))
        return node != NULL ? STEP_REGISTER : STEP_ADVANCE;
    if (node == NULL)
        return STEP_REPLACE;
    if (!json_condition_is(claim->json, "Initialized", "True"))
        return node_is_ready(node) ? STEP_INITIALIZE : STEP_NOTHING;
    return STEP_NOTHING;
}

static cJSON *condition(const struct object *claim, const char *type, const char *status,
                        const char *reason, const char *message, const char *now)
{
    const cJSON *old = json_condition(claim->json, type);
    const char *since = json_string_at(old, "lastTransitionTime");
    const char *before = json_string_at(old, "status");
    if (since == NULL || before == NULL || strcmp(before, status) != 0)
        since = now;
    return JOBJ(JS("type", type), JS("status", status), JS("reason", reason),
                JS("message", message), JS("lastTransitionTime", since),
                JI("observedGeneration", claim->generation));
}

cJSON *claim_conditions(const struct object *claim, const struct claim_progress *progress,
                        int64_t now_ms)
{
    const struct {
        const char *type;
        bool done;
    } steps[] = {
        { "Launched", progress->launched },
        { "Registered", progress->registered },
        { "Initialized", progress->initialized },
    };
    char now[RFC3339_BYTES];
    rfc3339_format(now_ms, now);

    cJSON *list = json_new_array();
    const char *waiting_for = NULL;
    for (size_t i = 0; i < ARRAY_LEN(steps); i++) {
        const char *type = steps[i].type;
        if (steps[i].done)
            json_append(list, condition(claim, type, "True", type, "", now));
        else if (waiting_for == NULL)
            json_append(list, condition(claim, type, progress->failed ? "False" : "Unknown",
                                        progress->reason, progress->message, now));
        else
            json_append(list, condition(claim, type, "Unknown", "AwaitingReconciliation",
                                        "object is awaiting reconciliation", now));
        if (!steps[i].done && waiting_for == NULL)
            waiting_for = type;
    }
    if (waiting_for == NULL) {
        json_append(list, condition(claim, "Ready", "True", "Ready", "", now));
    } else {
        AUTO_FREE char *message = mem_printf("waiting for %s", waiting_for);
        json_append(list,
                    condition(claim, "Ready", "Unknown", "ReconcilingDependents", message, now));
    }
    return list;
}

/* ------------------------------------------------------------------ acting */

static int write_status(struct fulfil *fulfil, const struct object *claim,
                        const struct claim_progress *progress, const char *provider_id,
                        const struct object *node, struct error *err)
{
    cJSON *status = JOBJ(
        JV("conditions", claim_conditions(claim, progress, clock_realtime(fulfil->options.clock))),
        JS("providerID", provider_id));
    if (node != NULL) {
        json_set(status, "nodeName", json_new_string(node->key.name));
        json_set(status, "capacity", json_copy(json_at(node->json, "status.capacity")));
        json_set(status, "allocatable", json_copy(json_at(node->json, "status.allocatable")));
    }
    /* With the version that was judged: what another replica has written meanwhile stays. */
    AUTO(json)
    cJSON *patch = JOBJ(JV("metadata", JOBJ(JS("resourceVersion", claim->resource_version))),
                        JV("status", status));
    return k8s_merge_patch(fulfil->options.client, &GVR_NODECLAIM, claim->key, "status", patch,
                           NULL, err);
}

static int set_finalizers(struct fulfil *fulfil, const struct object *claim, bool ours,
                          struct error *err)
{
    cJSON *finalizers = json_new_array();
    const cJSON *item;
    cJSON_ArrayForEach(item, json_at(claim->json, "metadata.finalizers")) {
        if (cJSON_IsString(item) && strcmp(item->valuestring, CLAIM_FINALIZER) != 0)
            json_append(finalizers, json_copy(item));
    }
    if (ours)
        json_append(finalizers, json_new_string(CLAIM_FINALIZER));
    AUTO(json)
    cJSON *patch = JOBJ(JV("metadata", JOBJ(JS("resourceVersion", claim->resource_version),
                                            JV("finalizers", finalizers))));
    return k8s_merge_patch(fulfil->options.client, &GVR_NODECLAIM, claim->key, NULL, patch, NULL,
                           err);
}

/* Said in the claim, so that whoever waits for it can read why. Not said twice: each write brings
 * the claim back here. */
static int say_why(struct fulfil *fulfil, const struct object *claim, const char *reason,
                   const char *message, bool failed, struct error *err)
{
    const struct claim_progress progress = { .reason = reason,
                                             .message = message,
                                             .failed = failed };
    const cJSON *old = json_condition(claim->json, "Launched");
    const char *old_reason = json_string_at(old, "reason");
    const char *old_message = json_string_at(old, "message");
    if (old_reason != NULL && strcmp(old_reason, reason) == 0 && old_message != NULL &&
        strcmp(old_message, message) == 0)
        return 0;
    return write_status(fulfil, claim, &progress, NULL, NULL, err);
}

static int do_launch(struct fulfil *fulfil, const struct object *claim,
                     struct reconcile_result *result, struct error *err)
{
    const struct claim_progress progress = { .launched = true,
                                             .reason = "NodeNotFound",
                                             .message =
                                                 "the machine has not joined the cluster yet" };
    char provider_id[PROVIDER_ID_BYTES];
    struct driver *driver = fulfil->options.driver;
    struct driver_pending pending = { .wait_ms = 0 };

    int coming = driver->launch(driver, claim, provider_id, &pending, err);
    if (coming == 0) {
        log_info("fulfil", "launched machine", KV("nodeclaim", claim->key.name));
        return write_status(fulfil, claim, &progress, provider_id, NULL, err);
    }
    if (coming > 0) {
        result->requeue_after_ms = pending.wait_ms;
        return pending.reason == NULL
                   ? 0
                   : say_why(fulfil, claim, pending.reason, pending.message, pending.final, err);
    }
    struct error ignored = ERROR_INIT; /* the launch is tried again in any case */
    (void)say_why(fulfil, claim, "LaunchFailed", err->message, false, &ignored);
    return error_wrap(err, "launch");
}

static int do_advance(struct fulfil *fulfil, const struct object *claim,
                      struct reconcile_result *result, struct error *err)
{
    const char *since =
        json_string_at(json_condition(claim->json, "Launched"), "lastTransitionTime");
    int64_t launched_ms = 0, wait_ms = 0;
    if (since == NULL || rfc3339_parse(since, &launched_ms) < 0)
        return error_set(err, ERR_INTERNAL, "Launched carries no time");
    struct driver *driver = fulfil->options.driver;
    int coming = driver->advance(driver, claim, launched_ms, &wait_ms, err);
    if (coming > 0)
        result->requeue_after_ms = wait_ms;
    return coming < 0 ? -1 : 0;
}

static bool is_owned_by(const struct object *node, const struct object *claim)
{
    const cJSON *owner;
    cJSON_ArrayForEach(owner, json_at(node->json, "metadata.ownerReferences")) {
        const char *uid = json_string_at(owner, "uid");
        if (uid != NULL && strcmp(uid, claim->uid) == 0)
            return true;
    }
    return false;
}

/* A node that the cloud made, not we: it gets the claim's labels, and the claim as its owner, so
 * that its changes lead to the claim and it goes with it. */
static int adopt(struct fulfil *fulfil, const struct object *claim, const struct object *node,
                 struct error *err)
{
    if (is_owned_by(node, claim))
        return 0;
    cJSON *labels = JOBJ(JS(LABEL_REGISTERED, "true"));
    const cJSON *item;
    cJSON_ArrayForEach(item, json_at(claim->json, "metadata.labels"))
        json_set(labels, item->string, json_copy(item));
    cJSON *owners = json_new_array();
    cJSON_ArrayForEach(item, json_at(node->json, "metadata.ownerReferences"))
        json_append(owners, json_copy(item));
    json_append(owners, JOBJ(JS("apiVersion", "karpenter.sh/v1"), JS("kind", "NodeClaim"),
                             JS("name", claim->key.name), JS("uid", claim->uid)));
    AUTO(json)
    cJSON *patch = JOBJ(JV("metadata", JOBJ(JS("resourceVersion", node->resource_version),
                                            JV("labels", labels), JV("ownerReferences", owners))));
    return k8s_merge_patch(fulfil->options.client, &GVR_NODE, node->key, NULL, patch, NULL, err);
}

static int do_register(struct fulfil *fulfil, const struct object *claim, const struct object *node,
                       struct error *err)
{
    const struct claim_progress progress = {
        .launched = true,
        .registered = true,
        .initialized = node_is_ready(node),
        .reason = "NodeNotReady",
        .message = "the node has joined and is not Ready yet",
    };
    if (adopt(fulfil, claim, node, err) < 0)
        return error_wrap(err, "register node %s", node->key.name);
    log_info("fulfil", progress.initialized ? "node is ready" : "node joined",
             KV("nodeclaim", claim->key.name), KV("node", node->key.name));
    return write_status(fulfil, claim, &progress, json_string_at(claim->json, "status.providerID"),
                        node, err);
}

/* The node of a registered claim is not in the cache; the server has the last word. */
static int do_replace(struct fulfil *fulfil, const struct object *claim, struct error *err)
{
    const char *name = json_string_at(claim->json, "status.nodeName");
    AUTO(object) const struct object *node = NULL;
    if (name != NULL && k8s_get(fulfil->options.client, &GVR_NODE, (struct object_key){ "", name },
                                &node, err) == 0)
        return 0;
    if (name != NULL && err->code != ERR_NOT_FOUND)
        return -1;
    log_warn("fulfil", "node is gone, deleting its claim", KV("nodeclaim", claim->key.name));
    const struct delete_options options = { .uid = claim->uid };
    return k8s_delete(fulfil->options.client, &GVR_NODECLAIM, claim->key, &options, err) < 0 ? -1
                                                                                             : 0;
}

static bool repair_allowed(struct fulfil *fulfil)
{
    AUTO(object_list)
    struct object_list nodes = store_list(informer_store(fulfil->options.nodes));
    return repair_is_allowed(&nodes);
}

/* Nothing to do, unless the node has been broken for long: then whoever wants the machine gets
 * another one. */
static int do_repair(struct fulfil *fulfil, const struct object *claim, const struct object *node,
                     struct reconcile_result *result, struct error *err)
{
    if (claim->deleting || node == NULL)
        return 0;
    int64_t wait_ms = repair_wait_ms(node, clock_realtime(fulfil->options.clock));
    if (wait_ms == REPAIR_HEALTHY)
        return 0;
    if (wait_ms == REPAIR_DUE && !repair_allowed(fulfil))
        wait_ms = REPAIR_BRAKE_MS;
    if (wait_ms != REPAIR_DUE) {
        result->requeue_after_ms = wait_ms;
        return 0;
    }
    log_warn("fulfil", "node is not Ready for long, deleting its claim",
             KV("nodeclaim", claim->key.name), KV("node", node->key.name));
    const struct delete_options options = { .uid = claim->uid };
    return k8s_delete(fulfil->options.client, &GVR_NODECLAIM, claim->key, &options, err) < 0 ? -1
                                                                                             : 0;
}

static int do_terminate(struct fulfil *fulfil, const struct object *claim,
                        struct reconcile_result *result, struct error *err)
{
    struct driver *driver = fulfil->options.driver;
    int64_t wait_ms = 0;
    int going = driver->terminate(driver, claim, &wait_ms, err);
    if (going < 0) {
        /* Paid for until it is gone: no answer ends the attempts. */
        if (error_retry_class(err->code) == ERR_RETRY_NEVER)
            err->code = ERR_INTERNAL;
        return error_wrap(err, "terminate");
    }
    if (going > 0) {
        result->requeue_after_ms = wait_ms;
        return 0;
    }
    if (set_finalizers(fulfil, claim, false, err) < 0)
        return err->code == ERR_NOT_FOUND ? 0 : -1;
    log_info("fulfil", "terminated machine", KV("nodeclaim", claim->key.name));
    return 0;
}

static const struct object *node_of(struct fulfil *fulfil, const struct object *claim)
{
    const char *provider = json_string_at(claim->json, "status.providerID");
    if (provider == NULL)
        return NULL;
    AUTO(object_list)
    struct object_list nodes = store_by_index(informer_store(fulfil->options.nodes), 0, provider);
    return nodes.count > 0 ? object_ref(nodes.items[0]) : NULL;
}

/* All claims of a Workspace are of one replica. */
static bool is_ours(const struct fulfil *fulfil, const struct object *claim)
{
    char workspace[OBJECT_KEY_BYTES];
    const char *key = claim_workspace_index(claim, workspace);
    return membership_owns(fulfil->options.members, key != NULL ? key : claim->key.name);
}

static int take_step(struct fulfil *fulfil, const char *name, struct reconcile_result *result,
                     struct error *err)
{
    AUTO(object)
    const struct object *claim =
        store_get(informer_store(fulfil->options.claims), (struct object_key){ "", name });
    if (claim == NULL || !claim_is_managed(claim) || !is_ours(fulfil, claim))
        return 0;
    if (!informer_synced(fulfil->options.nodes))
        return error_set(err, ERR_UNAVAILABLE, "Nodes are not read yet");

    AUTO(object) const struct object *node = node_of(fulfil, claim);
    switch (claim_next_step(claim, node)) {
    case STEP_ADD_FINALIZER:
        return set_finalizers(fulfil, claim, true, err);
    case STEP_LAUNCH:
        return do_launch(fulfil, claim, result, err);
    case STEP_ADVANCE:
        return do_advance(fulfil, claim, result, err);
    case STEP_REGISTER:
    case STEP_INITIALIZE:
        return do_register(fulfil, claim, node, err);
    case STEP_REPLACE:
        return do_replace(fulfil, claim, err);
    case STEP_TERMINATE:
        return do_terminate(fulfil, claim, result, err);
    case STEP_NOTHING:
        return do_repair(fulfil, claim, node, result, err);
    }
    return 0;
}

static int reconcile(void *context, const char *name, struct reconcile_result *result,
                     struct error *err)
{
    struct fulfil *fulfil = context;
    int outcome = take_step(fulfil, name, result, err);
    if (outcome == 0 || err->code != ERR_CONFLICT)
        return outcome;
    /* Our copy was old. The new one is on its way, or here already. */
    log_debug("fulfil", "stale copy, again", KV("nodeclaim", name), KVERR(err));
    result->requeue_after_ms = CONFLICT_MS;
    return 0;
}

bool fulfil_run_one(struct fulfil *fulfil)
{
    return controller_run_one("fulfil", fulfil->queue, reconcile, fulfil);
}

/* ------------------------------------------------------------------ sweeping */

static int sweep(void *context, const char *key, struct reconcile_result *result, struct error *err)
{
    struct fulfil *fulfil = context;
    struct driver *driver = fulfil->options.driver;
    result->requeue_after_ms = SWEEP_MS;
    if (!membership_owns(fulfil->options.members, key))
        return 0; /* one replica is enough */
    if (!informer_synced(fulfil->options.claims)) {
        result->requeue_after_ms = SYNC_WAIT_MS;
        return 0;
    }
    return driver->sweep(driver, informer_store(fulfil->options.claims), err);
}

static void add_sweep(struct fulfil *fulfil)
{
    if (fulfil->options.driver->sweep != NULL)
        workqueue_add(fulfil->sweep_queue, "all");
}

bool fulfil_sweep_one(struct fulfil *fulfil)
{
    return controller_run_one("fulfil-sweep", fulfil->sweep_queue, sweep, fulfil);
}

/* ------------------------------------------------------------------ informers */

static void claim_changed(void *context, const struct object *before, const struct object *after)
{
    (void)before;
    struct fulfil *fulfil = context;
    if (after != NULL)
        workqueue_add(fulfil->queue, after->key.name);
}

static void node_changed(void *context, const struct object *before, const struct object *after)
{
    struct fulfil *fulfil = context;
    const struct object *node = after != NULL ? after : before;
    const cJSON *owner;
    cJSON_ArrayForEach(owner, json_at(node->json, "metadata.ownerReferences")) {
        const char *kind = json_string_at(owner, "kind"), *name = json_string_at(owner, "name");
        if (kind != NULL && name != NULL && strcmp(kind, "NodeClaim") == 0)
            workqueue_add(fulfil->queue, name);
    }
}

void fulfil_enqueue_all(struct fulfil *fulfil)
{
    AUTO(object_list)
    struct object_list list = store_list(informer_store(fulfil->options.claims));
    for (size_t i = 0; i < list.count; i++)
        workqueue_add(fulfil->queue, list.items[i]->key.name);
    add_sweep(fulfil);
}

/* ------------------------------------------------------------------ life cycle */

struct fulfil *fulfil_new(const struct fulfil_options *options)
{
    struct fulfil *fulfil = mem_new(struct fulfil);
    fulfil->options = *options;
    fulfil->queue = workqueue_new("fulfil", options->clock);
    fulfil->sweep_queue = workqueue_new("fulfil-sweep", options->clock);
    add_sweep(fulfil);
    informer_add_handler(options->claims, claim_changed, fulfil);
    informer_add_handler(options->nodes, node_changed, fulfil);
    return fulfil;
}

void fulfil_start(struct fulfil *fulfil)
{
    fulfil->workers =
        controller_start("fulfil", fulfil->queue, fulfil->options.workers, reconcile, fulfil);
    if (fulfil->options.driver->sweep != NULL)
        fulfil->sweeper = controller_start("fulfil-sweep", fulfil->sweep_queue, 1, sweep, fulfil);
}

void fulfil_stop(struct fulfil *fulfil)
{
    if (fulfil == NULL)
        return;
    controller_stop(STEAL(fulfil->workers));
    controller_stop(STEAL(fulfil->sweeper));
}

void fulfil_free(struct fulfil *fulfil)
{
    if (fulfil == NULL)
        return;
    workqueue_free(fulfil->queue);
    workqueue_free(fulfil->sweep_queue);
    free(fulfil);
}
