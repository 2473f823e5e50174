#include "provisioner/drivers/aks.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/log.h"
#include "common/base/memory.h"
#include "common/json/build.h"
#include "common/json/json.h"
#include "provisioner/claim.h"
#include "provisioner/drain.h"
#include "provisioner/drivers/aks_pool.h"
#include "provisioner/drivers/arm.h"

#define PROVIDER_PREFIX "azure://"
#define REASON_COMING   "Launching"

enum {
    NODE_POLL_MS = 1000,
    MINUTE_MS = 60 * 1000,
};

struct aks {
    struct driver driver; /* first */
    struct driver_options options;
    struct aks_config config;
    struct http_client *http;
    struct azure_token *token;
    struct arm arm;
};

static struct aks *self_of(struct driver *driver)
{
    return (struct aks *)(void *)driver;
}

/* ------------------------------------------------------------------ what the claim remembers */

static int64_t time_of(const struct object *claim, const char *annotation)
{
    const char *text = object_annotation(claim, annotation);
    int64_t time_ms;
    return text != NULL && rfc3339_parse(text, &time_ms) == 0 ? time_ms : 0;
}

static cJSON *time_text(int64_t time_ms)
{
    char text[RFC3339_BYTES];
    rfc3339_format(time_ms, text);
    return json_new_string(text);
}

/* Takes the annotations. */
static int annotate(struct aks *self, const struct object *claim, cJSON *annotations,
                    struct error *err)
{
    AUTO(json) cJSON *patch = JOBJ(JV("metadata", JOBJ(JV("annotations", annotations))));
    return k8s_merge_patch(self->options.client, &GVR_NODECLAIM, claim->key, NULL, patch, NULL,
                           err);
}

/* ------------------------------------------------------------------ launching */

static int coming(struct driver_pending *pending, int64_t wait_ms, const char *message)
{
    pending->wait_ms = wait_ms;
    pending->reason = REASON_COMING;
    snprintf(pending->message, sizeof(pending->message), "%s", message);
    return 1;
}

/* The claim was written: its change brings it back here, and then the condition is. */
static int written(struct driver_pending *pending, int64_t wait_ms)
{
    pending->wait_ms = wait_ms;
    pending->reason = NULL;
    return 1;
}

/* This attempt is over. Why, and when the next one may begin, goes into the claim in one write: so
 * both outlive this process, and no change of the claim makes us ask Azure too early. */
static int give_up(struct aks *self, const struct object *claim, enum aks_cause cause,
                   const struct error *why, struct driver_pending *pending, struct error *err)
{
    int64_t wait_ms = aks_cause_retry_ms(cause);
    if (why->retry_after_ms > wait_ms)
        wait_ms = why->retry_after_ms;
    int64_t retry_ms = clock_realtime(self->options.clock) + wait_ms;
    const char *reason = aks_cause_reason(cause), *advice = aks_cause_advice(cause);
    AUTO_FREE char *failure =
        mem_printf("%s: %.320s%s%s", reason, why->message, advice[0] != '\0' ? "; " : "", advice);
    if (annotate(self, claim,
                 JOBJ(JV(ANNOTATION_LAUNCH_RETRY, time_text(retry_ms)),
                      JS(ANNOTATION_LAUNCH_FAILURE, failure)),
                 err) < 0)
        return -1;
    log_warn("aks", "no machine", KV("nodeclaim", claim->key.name), KV("reason", reason),
             KV("error", why->message), KVI("retry_s", wait_ms / 1000));
    return written(pending, wait_ms);
}

/* What give_up wrote. */
static int still_waiting(const struct object *claim, int64_t left_ms,
                         struct driver_pending *pending)
{
    pending->wait_ms = left_ms;
    const char *failure = object_annotation(claim, ANNOTATION_LAUNCH_FAILURE);
    const char *text = failure != NULL ? strstr(failure, ": ") : NULL;
    if (text == NULL)
        return 1;
    enum aks_cause cause = aks_cause_find(failure);
    pending->reason = aks_cause_reason(cause);
    pending->final = aks_cause_is_final(cause);
    snprintf(pending->message, sizeof(pending->message), "%s", text + 2);
    return 1;
}

static int give_up_arm(struct aks *self, const struct object *claim, const struct arm_error *why,
                       struct driver_pending *pending, struct error *err)
{
    if (why->error.code == ERR_CANCELLED)
        return error_set(err, ERR_CANCELLED, "stopping");
    return give_up(self, claim, why->cause, &why->error, pending, err);
}

static int ask(struct aks *self, const struct object *claim, struct driver_pending *pending,
               struct error *err)
{
    AUTO(json) cJSON *manifest = NULL;
    struct error invalid = ERROR_INIT;
    if (aks_pool_manifest(claim, &manifest, &invalid) < 0)
        return give_up(self, claim, AKS_INVALID, &invalid, pending, err);

    AUTO_FREE char *operation = NULL;
    struct arm_error refused = { .cause = AKS_OTHER };
    if (arm_pool_put(&self->arm, claim->key.name, manifest, &operation, &refused) < 0)
        return give_up_arm(self, claim, &refused, pending, err);
    log_info("aks", "asked for an agent pool", KV("nodeclaim", claim->key.name));
    cJSON *annotations =
        JOBJ(JV(ANNOTATION_LAUNCH_STARTED, time_text(clock_realtime(self->options.clock))),
             JV(ANNOTATION_LAUNCH_RETRY, json_new_null()),
             JV(ANNOTATION_LAUNCH_FAILURE, json_new_null()),
             JV(ANNOTATION_LAUNCH_OPERATION,
                operation != NULL ? json_new_string(operation) : json_new_null()));
    if (annotate(self, claim, annotations, err) < 0)
        return -1;
    return written(pending, self->config.poll_ms);
}

/* Why a pool that was accepted has failed; only the operation knows. */
static enum aks_cause read_failure(struct aks *self, const struct object *claim, struct error *why)
{
    const char *url = object_annotation(claim, ANNOTATION_LAUNCH_OPERATION);
    AUTO(json) cJSON *operation = NULL;
    struct arm_error unread = { .cause = AKS_OTHER };
    struct azure_error said = { .code = "" };
    if (url != NULL && arm_operation_get(&self->arm, url, &operation, &unread) == 0)
        said = azure_error_read(json_get(operation, "error"));
    if (said.code[0] == '\0') {
        error_set(why, ERR_INTERNAL, "the agent pool failed and Azure does not say why");
        return AKS_OTHER;
    }
    error_set(why, ERR_INTERNAL, "Azure: %s: %s", said.code, said.message);
    return aks_cause_of(0, &said);
}

/* Whatever is left of a failed attempt costs money. */
static int abandon(struct aks *self, const struct object *claim, enum aks_cause cause,
                   const struct error *why, struct driver_pending *pending, struct error *err)
{
    struct arm_error refused = { .cause = AKS_OTHER };
    if (arm_pool_delete(&self->arm, claim->key.name, &refused) < 0)
        log_warn("aks", "the agent pool of a failed launch stays for now",
                 KV("nodeclaim", claim->key.name), KVERR(&refused.error));
    return give_up(self, claim, cause, why, pending, err);
}

/* 1 when the claim was written: it ran out of time, or the time begins now. 0: there is some left.
 */
static int check_deadline(struct aks *self, const struct object *claim, const char *what,
                          struct driver_pending *pending, struct error *err)
{
    int64_t now_ms = clock_realtime(self->options.clock);
    int64_t since_ms = time_of(claim, ANNOTATION_LAUNCH_STARTED);
    if (since_ms == 0) { /* the last process died before it could say so */
        cJSON *annotations = JOBJ(JV(ANNOTATION_LAUNCH_STARTED, time_text(now_ms)));
        if (annotate(self, claim, annotations, err) < 0)
            return -1;
        return written(pending, self->config.poll_ms);
    }
    if (now_ms - since_ms < self->config.launch_deadline_ms)
        return 0;
    struct error late = ERROR_INIT;
    error_set(&late, ERR_TIMEOUT, "after %lld minutes %s; it was deleted",
              (long long)(self->config.launch_deadline_ms / MINUTE_MS), what);
    return abandon(self, claim, AKS_DEADLINE, &late, pending, err);
}

struct node_search {
    char *provider_id; /* of a node with one */
    size_t count;
};

static void look_at_node(void *context, const struct object *node)
{
    struct node_search *search = context;
    const char *provider_id = json_string_at(node->json, "spec.providerID");
    if (provider_id == NULL || provider_id[0] == '\0' || node->deleting)
        return;
    search->count++;
    free(search->provider_id);
    search->provider_id = mem_strdup(provider_id);
}

/* 0: found; 1: it has not joined. */
static int find_node(struct aks *self, const struct object *claim,
                     char provider_id[PROVIDER_ID_BYTES], struct error *err)
{
    AUTO_FREE char *selector = mem_printf("kubernetes.azure.com/agentpool=%s", claim->key.name);
    const struct list_options options = { .label_selector = selector };
    AUTO_FREE char *version = NULL;
    struct node_search search = { .count = 0 };
    int result =
        k8s_list(self->options.client, &GVR_NODE, &options, look_at_node, &search, &version, err);
    AUTO_FREE char *found = search.provider_id;
    if (result < 0)
        return -1;
    if (search.count != 1 || strlen(found) >= PROVIDER_ID_BYTES)
        return 1;
    snprintf(provider_id, PROVIDER_ID_BYTES, "%s", found);
    return 0;
}

static int finish(struct aks *self, const struct object *claim, char provider_id[PROVIDER_ID_BYTES],
                  struct driver_pending *pending, struct error *err)
{
    int missing = find_node(self, claim, provider_id, err);
    if (missing <= 0)
        return missing;
    int late = check_deadline(self, claim, "the machine had not joined the cluster", pending, err);
    if (late != 0)
        return late;
    return coming(pending, NODE_POLL_MS, "the machine is created and has not joined the cluster");
}

static int wait_for_pool(struct aks *self, const struct object *claim, const cJSON *pool,
                         struct driver_pending *pending, struct error *err)
{
    AUTO_FREE char *what = mem_printf("the agent pool was still %.64s", aks_pool_state_text(pool));
    int late = check_deadline(self, claim, what, pending, err);
    if (late != 0)
        return late;
    return coming(pending, self->config.poll_ms, "Azure is creating the agent pool");
}

/* A pool of that name which is not this claim's: of an earlier one it is given back, another's is
 * left alone. */
static int clear_way(struct aks *self, const struct object *claim, const cJSON *pool,
                     struct driver_pending *pending, struct error *err)
{
    if (!aks_pool_is_ours(pool)) {
        struct error foreign = ERROR_INIT;
        error_set(&foreign, ERR_CONFLICT,
                  "the cluster has an agent pool %s that was not made for a NodeClaim",
                  claim->key.name);
        return give_up(self, claim, AKS_INVALID, &foreign, pending, err);
    }
    struct arm_error refused = { .cause = AKS_OTHER };
    if (aks_pool_state(pool) != AKS_POOL_GOING &&
        arm_pool_delete(&self->arm, claim->key.name, &refused) < 0)
        return give_up_arm(self, claim, &refused, pending, err);
    return coming(pending, self->config.poll_ms, "the agent pool of an earlier claim is going");
}

static int launch(struct driver *driver, const struct object *claim,
                  char provider_id[PROVIDER_ID_BYTES], struct driver_pending *pending,
                  struct error *err)
{
    struct aks *self = self_of(driver);
    int64_t left_ms = time_of(claim, ANNOTATION_LAUNCH_RETRY) - clock_realtime(self->options.clock);
    if (left_ms > 0)
        return still_waiting(claim, left_ms, pending);
    if (!aks_pool_name_is_valid(claim->key.name))
        return ask(self, claim, pending, err); /* says so */

    AUTO(json) cJSON *pool = NULL;
    struct arm_error refused = { .cause = AKS_OTHER };
    int absent = arm_pool_get(&self->arm, claim->key.name, &pool, &refused);
    if (absent < 0)
        return give_up_arm(self, claim, &refused, pending, err);
    if (absent > 0)
        return ask(self, claim, pending, err);
    if (!aks_pool_is_of(pool, claim))
        return clear_way(self, claim, pool, pending, err);

    struct error why = ERROR_INIT;
    switch (aks_pool_state(pool)) {
    case AKS_POOL_READY:
        return finish(self, claim, provider_id, pending, err);
    case AKS_POOL_FAILED:
        return abandon(self, claim, read_failure(self, claim, &why), &why, pending, err);
    case AKS_POOL_GOING:
        return coming(pending, self->config.poll_ms,
                      "the agent pool of an earlier attempt is going");
    case AKS_POOL_COMING:
        break;
    }
    return wait_for_pool(self, claim, pool, pending, err);
}

/* Launched says that the node is there; the cache will show it, unless it left at once. */
static int advance(struct driver *driver, const struct object *claim, int64_t launched_ms,
                   int64_t *wait_ms, struct error *err)
{
    struct aks *self = self_of(driver);
    *wait_ms = NODE_POLL_MS;
    if (clock_realtime(self->options.clock) - launched_ms < self->config.launch_deadline_ms)
        return 1;
    log_warn("aks", "node never registered, deleting its claim", KV("nodeclaim", claim->key.name));
    const struct delete_options options = { .uid = claim->uid };
    return k8s_delete(self->options.client, &GVR_NODECLAIM, claim->key, &options, err) < 0 ? -1 : 1;
}

/* ------------------------------------------------------------------ giving back */

/* 1 while it goes, 0 when it is gone or is not ours. */
static int delete_pool(struct aks *self, const char *name, int64_t *wait_ms, struct error *err)
{
    AUTO(json) cJSON *pool = NULL;
    struct arm_error refused = { .cause = AKS_OTHER };
    int gone = arm_pool_get(&self->arm, name, &pool, &refused);
    if (gone == 0 && !aks_pool_is_ours(pool))
        return 0;
    *wait_ms = self->config.poll_ms;
    if (gone == 0 && aks_pool_state(pool) != AKS_POOL_GOING) {
        gone = arm_pool_delete(&self->arm, name, &refused);
        if (gone == 0)
            log_info("aks", "deleting agent pool", KV("nodeclaim", name));
        if (gone < 0 && refused.cause == AKS_CONFLICT)
            return 1; /* Azure does one thing at a time with a pool */
    }
    if (gone >= 0)
        return gone > 0 ? 0 : 1;
    *err = refused.error;
    return error_wrap(err, "agent pool %s", name);
}

static int terminate(struct driver *driver, const struct object *claim, int64_t *wait_ms,
                     struct error *err)
{
    struct aks *self = self_of(driver);
    if (!aks_pool_name_is_valid(claim->key.name))
        return 0; /* never was a pool */
    const char *node = json_string_at(claim->json, "status.nodeName");
    if (node != NULL) {
        int leaving = drain_node(self->options.client, self->options.clock, claim, node,
                                 self->config.drain_timeout_ms, wait_ms, err);
        if (leaving != 0)
            return leaving;
    }
    return delete_pool(self, claim->key.name, wait_ms, err);
}

/* ------------------------------------------------------------------ sweeping */

/* The claim may be too new for the cache: the server has the last word. */
static int claim_is_gone(struct aks *self, struct store *claims, const char *name,
                         struct error *err)
{
    const struct object_key key = { .namespace_ = "", .name = name };
    AUTO(object) const struct object *claim = store_get(claims, key);
    if (claim != NULL)
        return 0;
    if (k8s_get(self->options.client, &GVR_NODECLAIM, key, &claim, err) == 0)
        return 0;
    return err->code == ERR_NOT_FOUND ? 1 : -1;
}

/* 1 while one is going. */
static int sweep_pools(struct aks *self, const cJSON *pools, struct store *claims,
                       struct error *err)
{
    int result = 0;
    const cJSON *pool;
    cJSON_ArrayForEach(pool, pools) {
        const char *name = aks_pool_name(pool);
        if (!aks_pool_is_ours(pool) || !aks_pool_name_is_valid(name) ||
            aks_pool_state(pool) == AKS_POOL_GOING)
            continue;
        int gone = claim_is_gone(self, claims, name, err);
        if (gone < 0)
            return -1;
        if (gone == 0)
            continue;
        log_warn("aks", "agent pool has no NodeClaim, deleting it", KV("pool", name));
        int64_t wait_ms;
        int going = delete_pool(self, name, &wait_ms, err);
        if (going < 0)
            return -1;
        result |= going;
    }
    return result;
}

static bool has_pool(const cJSON *pools, const char *name)
{
    const cJSON *pool;
    cJSON_ArrayForEach(pool, pools) {
        if (strcmp(aks_pool_name(pool), name) == 0)
            return true;
    }
    return false;
}

/* A claim with a machine of Azure's that Azure does not list. A node that is Ready speaks against
 * that: then we may be looking at the wrong cluster. */
static int is_lost(struct aks *self, const struct object *claim, const cJSON *pools, bool *out,
                   struct error *err)
{
    const char *provider = json_string_at(claim->json, "status.providerID");
    const char *node_name = json_string_at(claim->json, "status.nodeName");
    *out = false;
    if (claim->deleting || provider == NULL ||
        strncmp(provider, PROVIDER_PREFIX, strlen(PROVIDER_PREFIX)) != 0 ||
        has_pool(pools, claim->key.name))
        return 0;
    AUTO(object) const struct object *node = NULL;
    if (node_name != NULL &&
        k8s_get(self->options.client, &GVR_NODE, (struct object_key){ "", node_name }, &node, err) <
            0 &&
        err->code != ERR_NOT_FOUND)
        return -1;
    if (node_is_ready(node))
        return 0;
    AUTO(json) cJSON *pool = NULL;
    struct arm_error refused = { .cause = AKS_OTHER };
    int absent = arm_pool_get(&self->arm, claim->key.name, &pool, &refused);
    if (absent < 0)
        *err = refused.error;
    *out = absent > 0;
    return absent < 0 ? -1 : 0;
}

static int sweep_claims(struct aks *self, const cJSON *pools, struct store *claims,
                        struct error *err)
{
    AUTO(object_list) struct object_list all = store_list(claims);
    for (size_t i = 0; i < all.count; i++) {
        bool lost;
        if (is_lost(self, all.items[i], pools, &lost, err) < 0)
            return -1;
        if (!lost)
            continue;
        log_warn("aks", "agent pool is gone, deleting its NodeClaim",
                 KV("nodeclaim", all.items[i]->key.name));
        const struct delete_options options = { .uid = all.items[i]->uid };
        if (k8s_delete(self->options.client, &GVR_NODECLAIM, all.items[i]->key, &options, err) < 0)
            return -1;
    }
    return 0;
}

static int sweep(struct driver *driver, struct store *claims, struct error *err)
{
    struct aks *self = self_of(driver);
    AUTO(json) cJSON *pools = NULL;
    struct arm_error refused = { .cause = AKS_OTHER };
    if (arm_pool_list(&self->arm, &pools, &refused) < 0) {
        *err = refused.error;
        return error_wrap(err, "list agent pools");
    }
    int going = sweep_pools(self, pools, claims, err);
    if (going < 0 || sweep_claims(self, pools, claims, err) < 0)
        return -1;
    return going;
}

/* ------------------------------------------------------------------ life cycle */

static void destroy(struct driver *driver)
{
    struct aks *self = self_of(driver);
    azure_token_free(self->token);
    http_client_free(self->http);
    free(self);
}

struct driver *driver_aks_new(const struct driver_options *options, const struct aks_config *config,
                              struct http_client *http)
{
    struct aks *self = mem_new(struct aks);
    self->driver = (struct driver){
        .name = "aks",
        .launch = launch,
        .advance = advance,
        .terminate = terminate,
        .sweep = sweep,
        .destroy = destroy,
    };
    self->options = *options;
    self->config = *config;
    self->http = http;
    const struct azure_token_options token = {
        .http = http,
        .clock = options->clock,
        .resource = config->arm_endpoint,
        .authority = config->authority,
        .tenant_id = config->tenant_id,
        .client_id = config->client_id,
        .federated_file = config->federated_token_file,
        .metadata_endpoint = config->metadata_endpoint,
    };
    self->token = azure_token_new(&token);
    self->arm.options = (struct arm_options){
        .http = http,
        .token = self->token,
        .stop = options->client->stop,
        .endpoint = config->arm_endpoint,
        .subscription_id = config->subscription_id,
        .resource_group = config->resource_group,
        .cluster_name = config->cluster_name,
    };
    return &self->driver;
}
