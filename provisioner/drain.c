#include "provisioner/drain.h"

#include <stdlib.h>
#include <string.h>

#include "common/base/memory.h"
#include "common/json/build.h"
#include "common/json/json.h"
#include "common/k8s/store.h"

static void keep_pod(void *context, const struct object *pod)
{
    struct object_list *pods = context;
    const char *owner = json_string_at(object_controller(pod), "kind");
    if (owner != NULL && strcmp(owner, "DaemonSet") == 0)
        return; /* would only come back */
    /* One that has ended and is being deleted still needs its node's word for it. */
    const char *phase = json_string_at(pod->json, "status.phase");
    if (!pod->deleting && phase != NULL &&
        (strcmp(phase, "Succeeded") == 0 || strcmp(phase, "Failed") == 0))
        return;
    if (object_annotation(pod, "kubernetes.io/config.mirror") != NULL)
        return; /* of the kubelet's own */
    pods->items = mem_realloc(pods->items, (pods->count + 1) * sizeof(*pods->items));
    pods->items[pods->count++] = object_ref(pod);
}

/* 1: it was not cordoned, and now it is; 2: there is no such node. */
static int cordon(struct k8s_client *client, const char *name, struct error *err)
{
    const struct object_key key = { "", name };
    AUTO(object) const struct object *node = NULL;
    if (k8s_get(client, &GVR_NODE, key, &node, err) < 0)
        return err->code == ERR_NOT_FOUND ? 2 : -1;
    if (json_bool_at(node->json, "spec.unschedulable", false))
        return 0;
    AUTO(json) cJSON *patch = JOBJ(JV("spec", JOBJ(JB("unschedulable", true))));
    if (k8s_merge_patch(client, &GVR_NODE, key, NULL, patch, NULL, err) < 0)
        return err->code == ERR_NOT_FOUND ? 2 : -1;
    return 1;
}

static int evict(struct k8s_client *client, const struct object *pod, struct error *err)
{
    /* A budget may forbid it for now: asked again until the pods' time is over. */
    return k8s_evict(client, pod, err) < 0 && err->code != ERR_THROTTLED ? -1 : 0;
}

static int empty(struct k8s_client *client, const struct object_list *pods, struct error *err)
{
    for (size_t i = 0; i < pods->count; i++) {
        if (!pods->items[i]->deleting && evict(client, pods->items[i], err) < 0)
            return -1;
    }
    return 0;
}

int drain_node(struct k8s_client *client, const struct clock *clock, const struct object *claim,
               const char *node, int64_t limit_ms, int64_t *wait_ms, struct error *err)
{
    const char *deleted = json_string_at(claim->json, "metadata.deletionTimestamp");
    int64_t since;
    if (deleted == NULL || rfc3339_parse(deleted, &since) < 0 ||
        clock_realtime(clock) - since > limit_ms)
        return 0;

    /* First no more pods, then a moment for those that are being placed, then none is overlooked.
     */
    *wait_ms = DRAIN_POLL_MS;
    int cordoned = cordon(client, node, err);
    if (cordoned != 0)
        return cordoned == 2 ? 0 : cordoned;

    AUTO_FREE char *selector = mem_printf("spec.nodeName=%s", node);
    const struct list_options options = { .field_selector = selector };
    AUTO_FREE char *version = NULL;
    AUTO(object_list) struct object_list pods = { 0 };
    if (k8s_list(client, &GVR_POD, &options, keep_pod, &pods, &version, err) < 0)
        return -1;
    if (pods.count == 0)
        return 0;
    return empty(client, &pods, err) < 0 ? -1 : 1;
}
