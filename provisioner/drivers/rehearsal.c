/* Simulated machines: a claim becomes a Node object with the labels, taints and GPUs that the real
 * machine would show, after a delay; kwok makes it Ready and runs its pods. The Node is the
 * machine: all state is in the API server, so that a restart goes on where the last process
 * stopped. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/api/workspace.h"
#include "common/base/memory.h"
#include "common/json/build.h"
#include "common/json/json.h"
#include "common/k8s/store.h"
#include "provisioner/drain.h"
#include "provisioner/driver.h"

enum {
    DRAIN_MS = 30 * 1000, /* pods have so long to leave a machine that is given back */
};

struct rehearsal {
    struct driver driver;
    struct driver_options options;
};

static struct rehearsal *self_of(struct driver *driver)
{
    return (struct rehearsal *)(void *)driver;
}

static struct object_key node_key(const struct object *claim)
{
    return (struct object_key){ .namespace_ = "", .name = claim->key.name };
}

static void provider_id_of(const struct object *claim, char out[PROVIDER_ID_BYTES])
{
    snprintf(out, PROVIDER_ID_BYTES, "rehearsal:///%.200s", claim->key.name);
}

static const char *instance_type_of(const struct object *claim)
{
    return json_string_at(claim->json,
                          "spec.requirements[key=node.kubernetes.io/instance-type].values[0]");
}

static int launch(struct driver *driver, const struct object *claim,
                  char provider_id[PROVIDER_ID_BYTES], struct driver_pending *pending,
                  struct error *err)
{
    (void)driver;
    (void)pending;
    if (instance_type_of(claim) == NULL)
        return error_set(err, ERR_TERMINAL, "spec.requirements names no instance type");
    provider_id_of(claim, provider_id);
    return 0;
}

/* Every requirement that leaves one value becomes a label, then the claim's own labels win. */
static cJSON *node_labels(const struct object *claim)
{
    cJSON *labels =
        JOBJ(JS("kubernetes.io/hostname", claim->key.name), JS("kubernetes.io/arch", "amd64"),
             JS("kubernetes.io/os", "linux"), JS("accelerator", "nvidia"),
             JS("karpenter.sh/registered", "true"), JS("karpenter.sh/capacity-type", "on-demand"));
    const cJSON *item;
    cJSON_ArrayForEach(item, json_at(claim->json, "spec.requirements")) {
        const char *key = json_string_at(item, "key"), *operator= json_string_at(item, "operator");
        const cJSON *values = json_at(item, "values");
        if (key != NULL && operator!= NULL && strcmp(operator, "In") == 0 &&
            cJSON_GetArraySize(values) == 1)
            json_set(labels, key, json_copy(values->child));
    }
    cJSON_ArrayForEach(item, json_at(claim->json, "metadata.labels"))
        json_set(labels, item->string, json_copy(item));
    return labels;
}

static cJSON *node_capacity(struct rehearsal *self, const struct object *claim)
{
    AUTO(catalogue)
    const struct catalogue *catalogue = catalogue_source_acquire(self->options.catalogue);
    const struct machine *machine =
        catalogue_machine(catalogue, self->options.cloud, instance_type_of(claim));
    int64_t gpus = machine != NULL && machine_runs_cuda(machine) ? machine->gpus.value : 0;
    const char *storage = json_string_at(claim->json, "spec.resources.requests.storage");
    return JOBJ(JS("cpu", "24"), JS("memory", "220Gi"), JS("pods", "110"),
                JS("ephemeral-storage", storage != NULL ? storage : "128Gi"),
                gpus > 0 ? JF("nvidia.com/gpu", "%" PRId64, gpus) : JV("nvidia.com/gpu", NULL));
}

/* Said from the start, or the scheduler would place pods on a machine that is still booting. */
static cJSON *node_conditions(const struct rehearsal *self)
{
    char now[RFC3339_BYTES];
    rfc3339_format(clock_realtime(self->options.clock), now);
    return JARR(JOBJ(JS("type", "Ready"), JS("status", "False"), JS("reason", "KubeletNotReady"),
                     JS("message", "the simulated machine is booting"),
                     JS("lastHeartbeatTime", now), JS("lastTransitionTime", now)));
}

static cJSON *node_manifest(struct rehearsal *self, const struct object *claim)
{
    char provider_id[PROVIDER_ID_BYTES];
    provider_id_of(claim, provider_id);
    cJSON *owner =
        owner_reference_controller("karpenter.sh/v1", "NodeClaim", claim->key.name, claim->uid);
    /* Blocking the owner's deletion needs a right on its finalizers that nothing here needs. */
    json_set(owner->child, "blockOwnerDeletion", json_new_bool(false));
    return JOBJ(JS("apiVersion", "v1"), JS("kind", "Node"),
                JV("metadata", JOBJ(JS("name", claim->key.name), JV("labels", node_labels(claim)),
                                    JV("annotations", JOBJ(JS("kwok.x-k8s.io/node", "fake"))),
                                    JV("ownerReferences", owner))),
                JV("spec", JOBJ(JS("providerID", provider_id),
                                JV("taints", json_copy(json_at(claim->json, "spec.taints"))))),
                JV("status", JOBJ(JV("capacity", node_capacity(self, claim)),
                                  JV("allocatable", node_capacity(self, claim)),
                                  JV("conditions", node_conditions(self)))));
}

static int advance(struct driver *driver, const struct object *claim, int64_t launched_ms,
                   int64_t *wait_ms, struct error *err)
{
    struct rehearsal *self = self_of(driver);
    int64_t left = launched_ms + self->options.delay_ms - clock_realtime(self->options.clock);
    if (left > 0) {
        *wait_ms = left;
        return 1;
    }
    AUTO(json) cJSON *manifest = node_manifest(self, claim);
    if (k8s_create(self->options.client, &GVR_NODE, manifest, NULL, err) < 0 &&
        err->code != ERR_ALREADY_EXISTS)
        return -1;
    return 0;
}

static int terminate(struct driver *driver, const struct object *claim, int64_t *wait_ms,
                     struct error *err)
{
    struct rehearsal *self = self_of(driver);
    int leaving = drain_node(self->options.client, self->options.clock, claim, claim->key.name,
                             DRAIN_MS, wait_ms, err);
    if (leaving != 0)
        return leaving;
    const struct delete_options options = { 0 };
    int result = k8s_delete(self->options.client, &GVR_NODE, node_key(claim), &options, err);
    if (result < 0)
        return -1;
    *wait_ms = DRAIN_POLL_MS;
    return result == 1 ? 0 : 1; /* once more, to see that it is gone */
}

static void destroy(struct driver *driver)
{
    free(self_of(driver));
}

struct driver *driver_rehearsal_new(const struct driver_options *options)
{
    struct rehearsal *self = mem_new(struct rehearsal);
    self->driver = (struct driver){
        .name = "rehearsal",
        .launch = launch,
        .advance = advance,
        .terminate = terminate,
        .destroy = destroy,
    };
    self->options = *options;
    return &self->driver;
}
