#include "provisioner/claim.h"

#include <stdio.h>
#include <string.h>

#include "common/api/workspace.h"
#include "common/base/digest.h"
#include "common/json/build.h"
#include "common/json/condition.h"
#include "common/json/json.h"

void claim_name(const char *workspace_uid, int64_t ordinal, char out[CLAIM_NAME_BYTES])
{
    char seed[256], hex[SHA256_HEX_BYTES];
    snprintf(seed, sizeof(seed), "%s/%lld", workspace_uid, (long long)ordinal);
    sha256_hex(seed, strlen(seed), hex);
    snprintf(out, CLAIM_NAME_BYTES, "ws%.9s", hex);
}

static cJSON *requirement(const char *key, const char *operator, const char * value)
{
    return JOBJ(JS("key", key), JS("operator", operator), JV("values", JARR(JSTR(value))));
}

static cJSON *node_class_reference(const struct node_demand *demand, const char *cloud)
{
    bool aws = strcmp(cloud, "aws") == 0;
    return JOBJ(JS("group", aws ? "karpenter.k8s.aws" : WORKSPACE_GROUP),
                JS("kind", aws ? "EC2NodeClass" : "KaitoNodeClass"),
                JS("name", demand->node_class != NULL ? demand->node_class : "default"));
}

static cJSON *requirements(const struct node_demand *demand, const char *cloud)
{
    cJSON *list = JARR(requirement(LABEL_NODEPOOL, "In", CLAIM_NODEPOOL),
                       requirement("node.kubernetes.io/instance-type", "In", demand->instance_type),
                       requirement("kubernetes.io/os", "In", "linux"));
    if (strcmp(cloud, "azure") == 0)
        json_append(list, requirement("karpenter.azure.com/sku-name", "In", demand->instance_type));
    else if (strcmp(cloud, "aws") == 0)
        json_append(list, requirement("karpenter.k8s.aws/instance-gpu-count", "Gt", "0"));
    return list;
}

static cJSON *taints(const struct node_demand *demand)
{
    cJSON *list = json_new_array();
    for (size_t i = 0; i < demand->taints.count; i++) {
        const struct message_taint *taint = &demand->taints.items[i];
        json_append(list, JOBJ(JS("key", taint->key), JS("value", taint->value),
                               JS("effect", taint->effect)));
    }
    return list;
}

cJSON *claim_manifest(const struct node_demand *demand, int64_t ordinal, const char *cloud)
{
    char name[CLAIM_NAME_BYTES];
    claim_name(demand->uid, ordinal, name);

    cJSON *labels = JOBJ(JS(LABEL_NODEPOOL, CLAIM_NODEPOOL), JS(LABEL_WORKSPACE, demand->name),
                         JS(LABEL_WORKSPACE_NAMESPACE, demand->namespace_));
    for (size_t i = 0; i < demand->labels.count; i++)
        json_set(labels, demand->labels.items[i].key, JSTR(demand->labels.items[i].value));

    const char *family = demand->image_family != NULL ? demand->image_family : "ubuntu";
    return JOBJ(
        JS("apiVersion", "karpenter.sh/v1"), JS("kind", "NodeClaim"),
        JV("metadata", JOBJ(JS("name", name), JV("labels", labels),
                            JV("annotations", JOBJ(JS(ANNOTATION_DO_NOT_DISRUPT, "true"),
                                                   JS(ANNOTATION_IMAGE_FAMILY, family),
                                                   JS(ANNOTATION_WORKSPACE_UID, demand->uid))))),
        JV("spec", JOBJ(JV("nodeClassRef", node_class_reference(demand, cloud)),
                        JV("taints", taints(demand)),
                        JV("requirements", requirements(demand, cloud)), JS("expireAfter", "Never"),
                        JV("resources",
                           JOBJ(JV("requests", JOBJ(JF("storage", "%lldGi",
                                                       (long long)demand->disk_gib.value))))))));
}

bool claim_workspace(const struct object *claim, struct object_key *out)
{
    const char *name = object_label(claim, LABEL_WORKSPACE);
    const char *namespace_ = object_label(claim, LABEL_WORKSPACE_NAMESPACE);
    if (name == NULL || namespace_ == NULL)
        return false;
    *out = (struct object_key){ .namespace_ = namespace_, .name = name };
    return true;
}

const char *claim_workspace_index(const struct object *claim, char out[OBJECT_KEY_BYTES])
{
    struct object_key key;
    return claim_workspace(claim, &key) ? object_key_format(key, out) : NULL;
}

bool claim_is_of(const struct object *claim, const char *workspace_uid)
{
    const char *uid = object_annotation(claim, ANNOTATION_WORKSPACE_UID);
    return uid == NULL || strcmp(uid, workspace_uid) == 0;
}

static bool name_is_taken(const struct object_list *existing, const char *name)
{
    for (size_t i = 0; i < existing->count; i++) {
        if (strcmp(existing->items[i]->key.name, name) == 0)
            return true;
    }
    return false;
}

size_t claims_missing(const struct node_demand *demand, const struct object_list *existing,
                      int64_t *out)
{
    int64_t live = 0, all = 0;
    for (size_t i = 0; i < existing->count; i++) {
        if (!claim_is_of(existing->items[i], demand->uid))
            continue;
        all++;
        live += !existing->items[i]->deleting;
    }
    int64_t need = demand->count.value - live;
    if (need > claim_ordinals(demand) - all)
        need = claim_ordinals(demand) - all;

    size_t found = 0;
    for (int64_t ordinal = 0; (int64_t)found < need && ordinal < claim_ordinals(demand);
         ordinal++) {
        char name[CLAIM_NAME_BYTES];
        claim_name(demand->uid, ordinal, name);
        if (!name_is_taken(existing, name))
            out[found++] = ordinal;
    }
    return found;
}

static bool is_live(const struct node_demand *demand, const struct object *claim)
{
    return claim_is_of(claim, demand->uid) && !claim->deleting;
}

/* RFC 3339 in one zone sorts as text. */
static const char *made_at(const struct object *claim)
{
    const char *time = json_string_at(claim->json, "metadata.creationTimestamp");
    return time != NULL ? time : "";
}

size_t claims_surplus(const struct node_demand *demand, const struct object_list *existing,
                      const struct object **out)
{
    size_t found = 0;
    for (size_t i = 0; i < existing->count; i++) {
        int64_t elders = 0;
        for (size_t j = 0; j < existing->count; j++) {
            int order = strcmp(made_at(existing->items[j]), made_at(existing->items[i]));
            elders += is_live(demand, existing->items[j]) && (order < 0 || (order == 0 && j < i));
        }
        if (is_live(demand, existing->items[i]) && elders >= demand->count.value)
            out[found++] = existing->items[i];
    }
    return found;
}

/* ------------------------------------------------------------------ reading */

static bool condition_is(const cJSON *condition, const char *status)
{
    const char *actual = json_string_at(condition, "status");
    return actual != NULL && strcmp(actual, status) == 0;
}

bool node_is_ready(const struct object *node)
{
    return node != NULL && !node->deleting && json_condition_is(node->json, "Ready", "True");
}

/* The earliest step that is not done and says why; "AwaitingReconciliation" says nothing, so it is
 * the last resort (spec 5.6). */
static const cJSON *find_obstacle(const cJSON *claim)
{
    static const char *const steps[] = { "Launched", "Registered", "Initialized" };
    const cJSON *fallback = NULL;
    for (size_t i = 0; i < ARRAY_LEN(steps); i++) {
        const cJSON *condition = json_condition(claim, steps[i]);
        const char *message = json_string_at(condition, "message");
        const char *reason = json_string_at(condition, "reason");
        if (condition == NULL || condition_is(condition, "True") || message == NULL ||
            *message == '\0')
            continue;
        if (reason == NULL || strcmp(reason, "AwaitingReconciliation") != 0)
            return condition;
        if (fallback == NULL)
            fallback = condition;
    }
    return fallback;
}

const char *claim_phase(const struct object *claim)
{
    const cJSON *json = claim->json;
    const cJSON *ready = json_condition(json, "Ready");
    if (claim->deleting)
        return CLAIM_DELETING;
    if (condition_is(ready, "True") ||
        (ready == NULL && json_string_at(json, "status.nodeName") != NULL))
        return CLAIM_READY;
    if (json_condition_is(json, "Launched", "False") ||
        json_condition_is(json, "Registered", "False"))
        return CLAIM_FAILED;
    if (json_condition_is(json, "Registered", "True"))
        return CLAIM_REGISTERED;
    if (json_condition_is(json, "Launched", "True"))
        return CLAIM_LAUNCHED;
    return CLAIM_PENDING;
}

static bool node_shows_gpus(const struct object *node)
{
    const char *gpus = json_string_at(node->json, "status.allocatable[\"nvidia.com/gpu\"]");
    return gpus != NULL && strcmp(gpus, "0") != 0;
}

/* A claim that says Ready is not enough: its node must be there, Ready, and show its GPUs. */
static void check_node(struct claim_state *state, const struct object *node, int64_t gpus,
                       struct arena *arena)
{
    const char *name = state->node_name != NULL ? state->node_name : "its node";
    if (!node_is_ready(node)) {
        state->phase = CLAIM_REGISTERED;
        state->reason = "NodeNotReady";
        state->message = node == NULL ? arena_printf(arena, "node %s is not there", name)
                                      : arena_printf(arena, "node %s is not Ready", name);
    } else if (gpus > 0 && !node_shows_gpus(node)) {
        state->phase = CLAIM_REGISTERED;
        state->reason = "NodePluginsNotReady";
        state->message = arena_printf(arena,
                                      "node %s shows no nvidia.com/gpu yet; is the NVIDIA device "
                                      "plug-in running there?",
                                      name);
    }
}

struct claim_state claim_observe(const struct object *claim, const struct object *node,
                                 int64_t gpus, struct arena *arena)
{
    struct claim_state state = {
        .name = claim->key.name,
        .node_name = json_string_at(claim->json, "status.nodeName"),
        .phase = claim_phase(claim),
        .since = json_string_at(claim->json, "metadata.creationTimestamp"),
    };
    if (claim->deleting) {
        state.reason = "Deleting";
        state.since = json_string_at(claim->json, "metadata.deletionTimestamp");
        return state;
    }
    if (strcmp(state.phase, CLAIM_READY) == 0) {
        check_node(&state, node, gpus, arena);
        return state;
    }
    const cJSON *obstacle = find_obstacle(claim->json);
    const char *message = json_string_at(obstacle, "message");
    state.reason = json_string_at(obstacle, "reason");
    if (message != NULL)
        state.message = arena_strndup(arena, message, CLAIM_MESSAGE_MAX);
    return state;
}
