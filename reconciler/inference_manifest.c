#include "reconciler/inference_manifest.h"

#include <string.h>

#include "common/json/build.h"
#include "common/json/json.h"
#include "reconciler/inference_command.h"
#include "reconciler/inference_pod.h"

const char *inference_headless_name(const struct workspace *ws, struct arena *arena)
{
    return arena_printf(arena, "%s-headless", ws->metadata->name);
}

static bool annotation_is(const struct workspace *ws, const char *key, const char *value)
{
    const char *own = workspace_annotation(ws, key);
    return own != NULL && strcmp(own, value) == 0;
}

const char *inference_unsupported(const struct manifest_context *ctx)
{
    const struct workspace *ws = ctx->ws;
    if (ws->resource->partition != NULL)
        return "resource.partition: GPU partitions are not supported yet; remove it to use whole "
               "GPUs";
    if (workspace_label(ws, "kaito.sh/inference-role") != NULL)
        return "metadata.labels[kaito.sh/inference-role]: disaggregated serving is not supported "
               "yet; remove the label";
    if (annotation_is(ws, "inference.kaito.sh/static-model-mirror", "true"))
        return "metadata.annotations[inference.kaito.sh/static-model-mirror]: model streaming is "
               "not supported yet; remove the annotation";
    if (ctx->plan->workload == PLAN_INFERENCE_PRESET && ctx->plan->gpus_per_node < 1)
        return "resource.instanceType: the number of GPUs of this machine is not known; use one "
               "of the catalogue";
    return NULL;
}

/* ------------------------------------------------------------------ Services */

static cJSON *port(const char *name, int number, int target)
{
    return JOBJ(JS("name", name), JS("protocol", "TCP"), JI("port", number),
                JI("targetPort", target));
}

cJSON *inference_service(const struct manifest_context *ctx)
{
    const char *name = ctx->ws->metadata->name;
    bool balanced = annotation_is(ctx->ws, ANNOTATION_ENABLE_LB, "True");
    cJSON *ports = JARR(port("http", 80, INFERENCE_PORT), port("ray", RAY_PORT, RAY_PORT),
                        port("dashboard", RAY_DASHBOARD_PORT, RAY_DASHBOARD_PORT));
    if (!balanced && ctx->plan->runtime == RUNTIME_VLLM)
        json_append(ports, port("kv-events", KV_EVENTS_PORT, KV_EVENTS_PORT));
    cJSON *service = JOBJ(
        JS("apiVersion", "v1"), JS("kind", "Service"), JV("metadata", manifest_metadata(ctx, name)),
        JV("spec",
           JOBJ(JS("type", balanced ? "LoadBalancer" : "ClusterIP"),
                JB("publishNotReadyAddresses", true),
                JV("selector", JOBJ(JS(LABEL_WORKSPACE, name),
                                    JF("statefulset.kubernetes.io/pod-name", "%s-0", name))),
                JV("ports", ports))));
    manifest_seal(service);
    return service;
}

cJSON *inference_headless_service(const struct manifest_context *ctx)
{
    const char *name = inference_headless_name(ctx->ws, ctx->arena);
    cJSON *service = JOBJ(
        JS("apiVersion", "v1"), JS("kind", "Service"), JV("metadata", manifest_metadata(ctx, name)),
        JV("spec", JOBJ(JS("clusterIP", "None"), JB("publishNotReadyAddresses", true),
                        JV("selector", JOBJ(JS(LABEL_WORKSPACE, ctx->ws->metadata->name))))));
    manifest_seal(service);
    return service;
}

/* ------------------------------------------------------------------ StatefulSet */

static cJSON *tolerations(const struct manifest_context *ctx, cJSON *list)
{
    json_append(list, JOBJ(JS("key", "nvidia.com/gpu"), JS("operator", "Exists"),
                           JS("effect", "NoSchedule")));
    json_append(list, JOBJ(JS("key", "sku"), JS("operator", "Equal"), JS("value", "gpu"),
                           JS("effect", "NoSchedule")));
    manifest_tolerate_spot(ctx, list);
    return list;
}

/* Claim templates cannot be changed: what the StatefulSet began with stays. */
static cJSON *weights_claim(const struct manifest_context *ctx)
{
    const char *class = LOCAL_NVME_CLASS;
    const char *size = arena_printf(ctx->arena, "%lldGi", (long long)ctx->plan->disk_gib);
    if (ctx->live != NULL) {
        const cJSON *spec = json_at(ctx->live->json, "spec.volumeClaimTemplates[0].spec");
        class = json_string_at(spec, "storageClassName");
        size = json_string_at(spec, "resources.requests.storage");
    }
    return JOBJ(
        JV("metadata", JOBJ(JS("name", WEIGHTS_VOLUME),
                            JV("labels", JOBJ(JS(LABEL_WORKSPACE, ctx->ws->metadata->name))))),
        JV("spec",
           JOBJ(JV("accessModes", JARR(JSTR("ReadWriteOnce"))), JS("storageClassName", class),
                JV("resources", JOBJ(JV("requests", JOBJ(JS("storage", size))))))));
}

static bool keeps_weights_on_claim(const struct manifest_context *ctx)
{
    if (inference_uses_local_weights(ctx->ws))
        return false;
    if (ctx->live != NULL)
        return json_at(ctx->live->json, "spec.volumeClaimTemplates[0]") != NULL;
    return ctx->local_nvme_class && ctx->plan->machine != NULL && ctx->plan->machine->nvme.value;
}

static cJSON *preset_stateful_set(const struct manifest_context *ctx)
{
    const char *name = ctx->ws->metadata->name;
    bool claim = keeps_weights_on_claim(ctx);
    cJSON *pod = inference_pod(ctx, claim);
    json_set(pod, "affinity", manifest_affinity(ctx, true));
    json_set(pod, "tolerations", tolerations(ctx, json_new_array()));

    cJSON *metadata = manifest_metadata(ctx, name);
    json_set(metadata, "annotations",
             JOBJ(JF(ANNOTATION_REVISION, "%lld", (long long)ctx->revision)));
    cJSON *spec =
        JOBJ(JI("replicas", ctx->plan->node_count), JS("podManagementPolicy", "Parallel"),
             JS("serviceName", inference_headless_name(ctx->ws, ctx->arena)),
             JV("persistentVolumeClaimRetentionPolicy",
                JOBJ(JS("whenScaled", "Retain"), JS("whenDeleted", "Delete"))),
             JV("selector", JOBJ(JV("matchLabels", manifest_selector(ctx)))),
             JV("template",
                JOBJ(JV("metadata", JOBJ(JV("labels", manifest_selector(ctx)))), JV("spec", pod))),
             JV("volumeClaimTemplates", claim ? JARR(weights_claim(ctx)) : NULL));
    return JOBJ(JS("apiVersion", "apps/v1"), JS("kind", "StatefulSet"), JV("metadata", metadata),
                JV("spec", spec));
}

/* The user's template with our selector, node affinity and tolerations; nothing else is ours. */
static cJSON *user_template(const struct manifest_context *ctx)
{
    const cJSON *given = ctx->ws->inference->template;
    cJSON *labels = json_copy(json_at(given, "metadata.labels"));
    if (labels == NULL)
        labels = json_new_object();
    AUTO(json) cJSON *selector = manifest_selector(ctx);
    const cJSON *label;
    cJSON_ArrayForEach(label, selector)
        json_set(labels, label->string, json_copy(label));

    cJSON *spec = json_copy(json_get(given, "spec"));
    const cJSON *own = json_get(spec, "tolerations");
    cJSON *list = cJSON_IsArray(own) ? json_copy(own) : json_new_array();
    json_set(spec, "tolerations", tolerations(ctx, list));
    json_set(spec, "affinity", manifest_affinity(ctx, true));
    return JOBJ(
        JV("metadata", JOBJ(JV("labels", labels),
                            JV("annotations", json_copy(json_at(given, "metadata.annotations"))))),
        JV("spec", spec));
}

static cJSON *template_stateful_set(const struct manifest_context *ctx)
{
    return JOBJ(JS("apiVersion", "apps/v1"), JS("kind", "StatefulSet"),
                JV("metadata", manifest_metadata(ctx, ctx->ws->metadata->name)),
                JV("spec", JOBJ(JI("replicas", ctx->plan->node_count),
                                JV("selector", JOBJ(JV("matchLabels", manifest_selector(ctx)))),
                                JV("template", user_template(ctx)))));
}

cJSON *inference_stateful_set(const struct manifest_context *ctx)
{
    cJSON *set = ctx->plan->workload == PLAN_INFERENCE_TEMPLATE ? template_stateful_set(ctx)
                                                                : preset_stateful_set(ctx);
    manifest_seal(set);
    return set;
}
