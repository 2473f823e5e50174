#include "provisioner/claims.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <uthash.h>

#include "common/api/names.h"
#include "common/api/workspace.h"
#include "common/base/keylock.h"
#include "common/base/log.h"
#include "common/base/memory.h"
#include "common/base/metrics.h"
#include "common/base/mutex.h"
#include "common/json/build.h"
#include "common/json/json.h"
#include "common/k8s/controller.h"
#include "proto/messages.h"
#include "provisioner/claim.h"

enum {
    SWEEP_MS = 60 * 1000, /* every claim is looked at again so often */
    SYNC_WAIT_MS = 1000,
    BUSY_WAIT_MS = 3 * 1000, /* a demand waits so long for another on the same Workspace */
    COUNT_MAX = 1000,        /* of machines of one Workspace */
};

/* What was last published for a Workspace, so that nothing is sent twice. */
struct published {
    UT_hash_handle hh;
    char *text;
    char key[];
};

struct claims {
    struct claims_options options;
    struct keylock *busy;
    struct workqueue *publish_queue; /* Workspace keys */
    struct workqueue *sweep_queue;   /* claim names */
    struct controller *publish_worker, *sweep_worker;
    struct msg_sender *publisher;
    struct published *published; /* publish worker only */
    char identity[17];           /* of this start of the provisioner */
    int64_t sequence;            /* publish worker only */
};

/* ------------------------------------------------------------------ observing */

static const struct object *node_of(struct claims *claims, const struct object *claim)
{
    const char *provider = json_string_at(claim->json, "status.providerID");
    if (provider == NULL)
        return NULL;
    AUTO(object_list)
    struct object_list nodes = store_by_index(informer_store(claims->options.nodes), 0, provider);
    return nodes.count > 0 ? object_ref(nodes.items[0]) : NULL;
}

static int64_t gpus_of(struct claims *claims, const struct object *claim)
{
    const char *type = json_string_at(
        claim->json, "spec.requirements[key=node.kubernetes.io/instance-type].values[0]");
    AUTO(catalogue)
    const struct catalogue *catalogue = catalogue_source_acquire(claims->options.catalogue);
    const struct machine *machine =
        type != NULL ? catalogue_machine(catalogue, claims->options.cloud, type) : NULL;
    return machine != NULL ? machine->gpus.value : 0;
}

/* The NodeState body for one Workspace from these claims; `uid` NULL: of any life of the name. */
static cJSON *state_of(struct claims *claims, struct object_key key, const char *uid,
                       const struct object_list *list)
{
    AUTO(arena) struct arena arena = ARENA_INIT;
    struct node_state state = {
        .namespace_ = key.namespace_, .name = key.name, .uid = uid, .ready_count = { .set = true }
    };
    state.claims.items = arena_array(&arena, struct claim_state, list->count + 1);

    for (size_t i = 0; i < list->count; i++) {
        const struct object *claim = list->items[i];
        if (uid != NULL && !claim_is_of(claim, uid))
            continue;
        AUTO(object) const struct object *node = node_of(claims, claim);
        struct claim_state one = claim_observe(claim, node, gpus_of(claims, claim), &arena);
        state.claims.items[state.claims.count++] = one;
        state.ready_count.value += strcmp(one.phase, CLAIM_READY) == 0;
    }
    /* Encoded before the nodes' references go: the texts are borrowed from claims and arena only.
     */
    return codec_encode(node_state_type(), &state);
}

/* ------------------------------------------------------------------ NodeDemand */

static void keep_item(void *context, const struct object *object)
{
    struct object_list *list = context;
    list->items = mem_realloc(list->items, (list->count + 1) * sizeof(*list->items));
    list->items[list->count++] = object_ref(object);
}

static bool is_ours_to_name(const struct node_demand *demand, const char *name)
{
    for (int64_t ordinal = 0; ordinal < claim_ordinals(demand); ordinal++) {
        char own[CLAIM_NAME_BYTES];
        claim_name(demand->uid, ordinal, own);
        if (strcmp(own, name) == 0)
            return true;
    }
    return false;
}

/* What there is under the names that we may create, straight from the server, so that creating is
 * decided on nothing older; and what others made for this Workspace, from the cache. A list from
 * the server would say both, but first waits until its watch cache has caught up with the writes to
 * every other kind. */
static int read_live(struct claims *claims, const struct node_demand *demand,
                     const struct object_list *known, struct object_list *out, struct error *err)
{
    for (int64_t ordinal = 0; ordinal < claim_ordinals(demand); ordinal++) {
        char name[CLAIM_NAME_BYTES];
        claim_name(demand->uid, ordinal, name);
        AUTO(object) const struct object *claim = NULL;
        if (k8s_get(claims->options.client, &GVR_NODECLAIM, (struct object_key){ "", name }, &claim,
                    err) == 0)
            keep_item(out, claim);
        else if (err->code != ERR_NOT_FOUND)
            return -1;
    }
    for (size_t i = 0; i < known->count; i++) {
        if (!is_ours_to_name(demand, known->items[i]->key.name))
            keep_item(out, known->items[i]);
    }
    return 0;
}

/* All claims of a Workspace, whoever made them, straight from the server. */
static int list_live(struct claims *claims, struct object_key key, struct object_list *out,
                     struct error *err)
{
    AUTO_FREE char *selector = mem_printf(LABEL_WORKSPACE "=%s," LABEL_WORKSPACE_NAMESPACE "=%s",
                                          key.name, key.namespace_);
    AUTO_FREE char *version = NULL;
    const struct list_options options = { .label_selector = selector };
    return k8s_list(claims->options.client, &GVR_NODECLAIM, &options, keep_item, out, &version,
                    err);
}

static int check_names(const char *namespace_, const char *name, struct error *err)
{
    if (!name_is_dns1123_label(namespace_) || !name_is_dns1123_subdomain(name))
        return error_set(err, ERR_INVALID, "not the name of a Workspace: %.64s/%.64s", namespace_,
                         name);
    return 0;
}

static int check_demand(const struct node_demand *demand, struct error *err)
{
    if (check_names(demand->namespace_, demand->name, err) < 0)
        return -1;
    if (demand->count.value < 1 || demand->count.value > COUNT_MAX)
        return error_set(err, ERR_INVALID, "count: %" PRId64 " is not between 1 and %d",
                         demand->count.value, COUNT_MAX);
    if (demand->disk_gib.value < 1)
        return error_set(err, ERR_INVALID, "diskGiB: must be positive");
    return 0;
}

/* 0 when the Workspace lives with this UID. A message may be old: the server decides. */
static int check_workspace(struct claims *claims, struct object_key key, const char *uid,
                           struct error *err)
{
    AUTO(object) const struct object *workspace = NULL;
    if (k8s_get(claims->options.client, &GVR_WORKSPACE, key, &workspace, err) < 0)
        return -1;
    if (strcmp(workspace->uid, uid) != 0 || workspace->deleting)
        return error_set(err, ERR_CONFLICT, "Workspace %s/%s with UID %s is gone or going",
                         key.namespace_, key.name, uid);
    return 0;
}

static void tell_created(struct claims *claims, const struct node_demand *demand, const char *name)
{
    const struct event_target target = { .api_version = WORKSPACE_API_VERSION,
                                         .kind = WORKSPACE_KIND,
                                         .namespace_ = demand->namespace_,
                                         .name = demand->name,
                                         .uid = demand->uid };
    AUTO_FREE char *message =
        mem_printf("created NodeClaim %s for one %s", name, demand->instance_type);
    event_record(claims->options.events, &target, EVENT_NORMAL, "NodeClaimCreated", message);
    log_info("claims", "created node claim", KV("namespace", demand->namespace_),
             KV("name", demand->name), KV("nodeclaim", name));
    METRIC_INC(METRIC_NODECLAIMS_CREATED_TOTAL);
}

static int create_missing(struct claims *claims, const struct node_demand *demand,
                          struct object_list *existing, struct arena *arena, struct error *err)
{
    int64_t *ordinals = arena_array(arena, int64_t, (size_t)demand->count.value);
    size_t count = claims_missing(demand, existing, ordinals);

    for (size_t i = 0; i < count; i++) {
        AUTO(json) cJSON *manifest = claim_manifest(demand, ordinals[i], claims->options.cloud);
        AUTO(object) const struct object *made = NULL;
        if (k8s_create(claims->options.client, &GVR_NODECLAIM, manifest, &made, err) < 0) {
            if (err->code == ERR_ALREADY_EXISTS)
                continue; /* an answer was lost, or another replica was faster */
            return -1;
        }
        keep_item(existing, made);
        tell_created(claims, demand, made->key.name);
    }
    return 0;
}

/* 1: gone, 0: asked to go. */
static int delete_claim(struct claims *claims, const struct object *claim, const char *why,
                        struct error *err)
{
    const struct delete_options options = { .uid = claim->uid };
    int result = k8s_delete(claims->options.client, &GVR_NODECLAIM, claim->key, &options, err);
    if (result < 0)
        return -1;
    log_info("claims", "deleted node claim", KV("nodeclaim", claim->key.name), KV("why", why));
    METRIC_INC(METRIC_NODECLAIMS_DELETED_TOTAL, why);
    return result;
}

/* What another replica and we made too much between us. See the head of claims.h. */
static int drop_surplus(struct claims *claims, const struct node_demand *demand,
                        struct arena *arena, struct error *err)
{
    static const struct object_list none = { 0 };
    AUTO(object_list) struct object_list live = { 0 };
    if (read_live(claims, demand, &none, &live, err) < 0)
        return -1;
    const struct object **surplus = arena_array(arena, const struct object *, live.count + 1);
    size_t count = claims_surplus(demand, &live, surplus);
    for (size_t i = 0; i < count; i++) {
        if (delete_claim(claims, surplus[i], "surplus", err) < 0)
            return -1;
    }
    return 0;
}

static int fulfil_demand(struct claims *claims, const struct node_demand *demand,
                         struct arena *arena, cJSON **out, struct error *err)
{
    struct object_key key = { .namespace_ = demand->namespace_, .name = demand->name };
    char text[OBJECT_KEY_BYTES];
    AUTO(object_list)
    struct object_list known =
        store_by_index(informer_store(claims->options.claims), 0, object_key_format(key, text));
    int64_t *ordinals = arena_array(arena, int64_t, (size_t)demand->count.value);

    /* The usual case: everything is there already, and nothing is asked of the server. */
    if (claims_missing(demand, &known, ordinals) == 0) {
        *out = state_of(claims, key, demand->uid, &known);
        return 0;
    }
    AUTO(object_list) struct object_list live = { 0 };
    if (check_workspace(claims, key, demand->uid, err) < 0 ||
        read_live(claims, demand, &known, &live, err) < 0)
        return -1;
    size_t found = live.count;
    if (create_missing(claims, demand, &live, arena, err) < 0)
        return -1;
    bool made = live.count > found;
    if (made && claims->options.members != NULL && drop_surplus(claims, demand, arena, err) < 0)
        return -1;
    *out = state_of(claims, key, demand->uid, &live);
    return 0;
}

/* ------------------------------------------------------------------ NodeRelease */

static int release(struct claims *claims, const struct node_release *message, struct arena *arena,
                   cJSON **out, struct error *err)
{
    struct object_key key = { .namespace_ = message->namespace_, .name = message->name };
    AUTO(object_list) struct object_list live = { 0 };
    if (list_live(claims, key, &live, err) < 0)
        return -1;

    struct node_released answer = { 0 };
    answer.remaining.items = arena_array(arena, struct claim_state, live.count + 1);
    for (size_t i = 0; i < live.count; i++) {
        const struct object *claim = live.items[i];
        if (!claim_is_of(claim, message->uid))
            continue; /* of an earlier life of the name; the sweep takes care of it */
        if (!claim->deleting) {
            int gone = delete_claim(claims, claim, "released", err);
            if (gone < 0)
                return -1;
            if (gone == 1)
                continue;
        }
        struct claim_state *state = &answer.remaining.items[answer.remaining.count++];
        *state = claim_observe(claim, NULL, 0, arena);
        state->phase = CLAIM_DELETING;
    }
    *out = codec_encode(node_released_type(), &answer);
    return 0;
}

/* ------------------------------------------------------------------ requests */

static cJSON *handle_demand(struct claims *claims, const struct envelope *request,
                            const char **answer_type, struct error *err)
{
    AUTO(arena) struct arena arena = ARENA_INIT;
    struct node_demand demand;
    if (codec_decode_strict(node_demand_type(), request->body, &arena, &demand, err) < 0 ||
        check_demand(&demand, err) < 0)
        return NULL;

    char key[OBJECT_KEY_BYTES];
    object_key_format((struct object_key){ demand.namespace_, demand.name }, key);
    if (!keylock_acquire(claims->busy, key, BUSY_WAIT_MS)) {
        error_set(err, ERR_UNAVAILABLE, "another request for %s is being worked on", key);
        return NULL;
    }
    cJSON *answer = NULL;
    int result = fulfil_demand(claims, &demand, &arena, &answer, err);
    keylock_release(claims->busy, key);
    *answer_type = MESSAGE_NODE_STATE;
    return result < 0 ? NULL : answer;
}

static cJSON *handle_release(struct claims *claims, const struct envelope *request,
                             const char **answer_type, struct error *err)
{
    AUTO(arena) struct arena arena = ARENA_INIT;
    struct node_release message;
    if (codec_decode_strict(node_release_type(), request->body, &arena, &message, err) < 0 ||
        check_names(message.namespace_, message.name, err) < 0)
        return NULL;

    char key[OBJECT_KEY_BYTES];
    object_key_format((struct object_key){ message.namespace_, message.name }, key);
    if (!keylock_acquire(claims->busy, key, BUSY_WAIT_MS)) {
        error_set(err, ERR_UNAVAILABLE, "another request for %s is being worked on", key);
        return NULL;
    }
    cJSON *answer = NULL;
    int result = release(claims, &message, &arena, &answer, err);
    keylock_release(claims->busy, key);
    *answer_type = MESSAGE_NODE_RELEASED;
    return result < 0 ? NULL : answer;
}

cJSON *claims_handle(void *context, const struct envelope *request, const char **answer_type,
                     struct error *err)
{
    struct claims *claims = context;
    if (!informer_synced(claims->options.claims) || !informer_synced(claims->options.nodes)) {
        error_set(err, ERR_UNAVAILABLE, "the provisioner is still reading NodeClaims and Nodes");
        return NULL;
    }
    if (strcmp(request->type, MESSAGE_NODE_DEMAND) == 0)
        return handle_demand(claims, request, answer_type, err);
    if (strcmp(request->type, MESSAGE_NODE_RELEASE) == 0)
        return handle_release(claims, request, answer_type, err);
    error_set(err, ERR_INVALID, "unknown message type %.64s", request->type);
    return NULL;
}

/* ------------------------------------------------------------------ publishing */

static bool publish_changed(struct claims *claims, const char *key, char *text, bool keep)
{
    struct published *last;
    HASH_FIND_STR(claims->published, key, last);
    bool changed = last == NULL || strcmp(last->text, text) != 0;
    if (last != NULL && (changed || !keep)) {
        HASH_DEL(claims->published, last);
        free(last->text);
        free(last);
        last = NULL;
    }
    if (last == NULL && keep) {
        last = mem_calloc(1, sizeof(*last) + strlen(key) + 1);
        memcpy(last->key, key, strlen(key) + 1);
        last->text = mem_strdup(text);
        HASH_ADD_STR(claims->published, key, last);
    }
    return changed;
}

static int publish(void *context, const char *text, struct reconcile_result *result,
                   struct error *err)
{
    (void)result;
    (void)err;
    struct claims *claims = context;
    char buffer[OBJECT_KEY_BYTES];
    struct object_key key = object_key_parse(text, buffer);

    AUTO(object_list)
    struct object_list known = store_by_index(informer_store(claims->options.claims), 0, text);
    AUTO(json) cJSON *state = state_of(claims, key, NULL, &known);
    AUTO_FREE char *printed = json_print(state);
    if (!publish_changed(claims, text, printed, known.count > 0) || claims->publisher == NULL)
        return 0;
    json_set(state, "publisher", json_new_string(claims->identity));
    json_set(state, "sequence", json_new_integer(++claims->sequence));
    /* Lost when nobody listens; the receiver asks by itself when it comes. */
    (void)msg_send(claims->publisher, MESSAGE_NODE_STATE, state, NULL);
    return 0;
}

bool claims_publish_one(struct claims *claims)
{
    return controller_run_one("claims-publish", claims->publish_queue, publish, claims);
}

/* ------------------------------------------------------------------ orphans */

/* True when cache and API server agree that this life of the Workspace is over: one wrong answer
 * must not cost a node. */
static int is_orphan(struct claims *claims, const struct object *claim, bool *out,
                     struct error *err)
{
    const char *uid = object_annotation(claim, ANNOTATION_WORKSPACE_UID);
    struct object_key key;
    *out = false;
    if (uid == NULL || claim->deleting || !claim_workspace(claim, &key))
        return 0; /* not made by us, or going already */

    AUTO(object)
    const struct object *cached = store_get(informer_store(claims->options.workspaces), key);
    if (cached != NULL && strcmp(cached->uid, uid) == 0)
        return 0;
    AUTO(object) const struct object *live = NULL;
    if (k8s_get(claims->options.client, &GVR_WORKSPACE, key, &live, err) < 0) {
        *out = err->code == ERR_NOT_FOUND;
        return *out ? 0 : -1;
    }
    *out = strcmp(live->uid, uid) != 0;
    return 0;
}

static int sweep(void *context, const char *name, struct reconcile_result *result,
                 struct error *err)
{
    struct claims *claims = context;
    AUTO(object)
    const struct object *claim =
        store_get(informer_store(claims->options.claims), (struct object_key){ "", name });
    char workspace[OBJECT_KEY_BYTES];
    if (claim == NULL || claim_workspace_index(claim, workspace) == NULL ||
        !membership_owns(claims->options.members, workspace))
        return 0;
    result->requeue_after_ms = SWEEP_MS;
    if (!informer_synced(claims->options.workspaces)) {
        result->requeue_after_ms = SYNC_WAIT_MS;
        return 0;
    }
    bool orphan;
    if (is_orphan(claims, claim, &orphan, err) < 0)
        return -1;
    if (!orphan)
        return 0;
    return delete_claim(claims, claim, "orphan", err) < 0 ? -1 : 0;
}

bool claims_sweep_one(struct claims *claims)
{
    return controller_run_one("claims-sweep", claims->sweep_queue, sweep, claims);
}

/* ------------------------------------------------------------------ informers */

static void claim_changed(void *context, const struct object *before, const struct object *after)
{
    struct claims *claims = context;
    const struct object *claim = after != NULL ? after : before;
    char key[OBJECT_KEY_BYTES];
    if (claim_workspace_index(claim, key) == NULL)
        return;
    if (before != NULL)
        metric_add(METRIC_NODECLAIMS, -1, METRIC_LABELS(claim_phase(before)));
    if (after != NULL)
        METRIC_INC(METRIC_NODECLAIMS, claim_phase(after));
    workqueue_add(claims->publish_queue, key);
    if (before == NULL)
        workqueue_add(claims->sweep_queue, claim->key.name);
}

static void node_changed(void *context, const struct object *before, const struct object *after)
{
    struct claims *claims = context;
    const struct object *node = after != NULL ? after : before;
    char key[OBJECT_KEY_BYTES];
    if (claim_workspace_index(node, key) != NULL)
        workqueue_add(claims->publish_queue, key);
}

static void workspace_changed(void *context, const struct object *before,
                              const struct object *after)
{
    struct claims *claims = context;
    if (after != NULL)
        return;
    char key[OBJECT_KEY_BYTES];
    AUTO(object_list)
    struct object_list left = store_by_index(informer_store(claims->options.claims), 0,
                                             object_key_format(before->key, key));
    for (size_t i = 0; i < left.count; i++)
        workqueue_add(claims->sweep_queue, left.items[i]->key.name);
}

const char *node_provider_index(const struct object *node, char out[OBJECT_KEY_BYTES])
{
    const char *provider = json_string_at(node->json, "spec.providerID");
    if (provider == NULL || strlen(provider) >= OBJECT_KEY_BYTES)
        return NULL;
    return memcpy(out, provider, strlen(provider) + 1);
}

void claims_enqueue_all(struct claims *claims)
{
    AUTO(object_list)
    struct object_list list = store_list(informer_store(claims->options.claims));
    for (size_t i = 0; i < list.count; i++)
        workqueue_add(claims->sweep_queue, list.items[i]->key.name);
}

/* ------------------------------------------------------------------ life cycle */

struct claims *claims_new(const struct claims_options *options)
{
    struct claims *claims = mem_new(struct claims);
    claims->options = *options;
    claims->busy = keylock_new();
    claims->publish_queue = workqueue_new("claims-publish", options->clock);
    claims->sweep_queue = workqueue_new("claims-sweep", options->clock);

    uint64_t random = 0;
    if (getrandom(&random, sizeof(random), 0) < 0)
        random = (uint64_t)clock_realtime(options->clock);
    snprintf(claims->identity, sizeof(claims->identity), "%016" PRIx64, random);

    informer_add_handler(options->claims, claim_changed, claims);
    informer_add_handler(options->nodes, node_changed, claims);
    informer_add_handler(options->workspaces, workspace_changed, claims);
    return claims;
}

void claims_start(struct claims *claims, struct msg_sender *publisher)
{
    claims->publisher = publisher;
    claims->publish_worker =
        controller_start("claims-publish", claims->publish_queue, 1, publish, claims);
    claims->sweep_worker = controller_start("claims-sweep", claims->sweep_queue, 1, sweep, claims);
}

void claims_stop(struct claims *claims)
{
    if (claims == NULL)
        return;
    controller_stop(STEAL(claims->publish_worker));
    controller_stop(STEAL(claims->sweep_worker));
}

void claims_free(struct claims *claims)
{
    if (claims == NULL)
        return;
    struct published *entry, *next;
    HASH_ITER(hh, claims->published, entry, next) {
        HASH_DEL(claims->published, entry);
        free(entry->text);
        free(entry);
    }
    workqueue_free(claims->publish_queue);
    workqueue_free(claims->sweep_queue);
    keylock_free(claims->busy);
    free(claims);
}
