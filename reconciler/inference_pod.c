#include "reconciler/inference_pod.h"

#include <string.h>

#include "common/json/build.h"
#include "common/json/json.h"
#include "reconciler/inference_command.h"

#define HEALTH_CHECK   "python3 /workspace/vllm/multi-node-health-check.py"
#define BENCHMARK      "/workspace/vllm/benchmark_entrypoint.py"
#define CUDA_FOLDER    "/opt/kaito/cuda/129"
#define CUDA_VOLUME    "cuda-toolkit-hostpath"
#define LOCAL_VOLUME   "model-weights-hostpath"
#define ADAPTER_VOLUME "adapter-volume"
#define ADAPTER_FOLDER "/mnt/adapter"

enum { PROBE_PERIOD_S = 10 };

/* A pod spec under construction. */
struct pod {
    const struct manifest_context *ctx;
    cJSON *init_containers, *env, *mounts, *volumes, *pull_secrets;
};

static bool annotation_is(const struct workspace *ws, const char *key, const char *value)
{
    const char *own = workspace_annotation(ws, key);
    return own != NULL && strcmp(own, value) == 0;
}

static bool needs_cuda_toolkit(const struct manifest_context *ctx)
{
    const struct model *model = ctx->plan->model;
    return ctx->plan->runtime == RUNTIME_VLLM &&
           (model->cuda_toolkit.value || model->deep_gemm.value);
}

/* ------------------------------------------------------------------ probes */

static cJSON *http_probe(void)
{
    return JOBJ(JV("httpGet", JOBJ(JS("path", "/health"), JI("port", INFERENCE_PORT))),
                JI("periodSeconds", PROBE_PERIOD_S));
}

static cJSON *shell_probe(const char *command)
{
    return JOBJ(JV("exec", JOBJ(JV("command", manifest_shell(command)))),
                JI("periodSeconds", PROBE_PERIOD_S));
}

static const char *health_command(const struct manifest_context *ctx, const char *kind)
{
    if (strcmp(kind, "liveness") == 0)
        return arena_printf(ctx->arena, HEALTH_CHECK " liveness --leader-address=%s --ray-port=%d",
                            inference_leader_address(ctx), RAY_PORT);
    return arena_printf(ctx->arena, HEALTH_CHECK " readiness --leader-address=%s --vllm-port=%d",
                        inference_leader_address(ctx), INFERENCE_PORT);
}

static cJSON *startup_probe(const struct manifest_context *ctx)
{
    bool benchmark = ctx->plan->runtime == RUNTIME_VLLM &&
                     !annotation_is(ctx->ws, ANNOTATION_NO_BENCHMARK, "true");
    bool distributed = inference_is_distributed(ctx);
    cJSON *probe;
    if (benchmark && distributed)
        probe =
            shell_probe("if [ \"$POD_INDEX\" = \"0\" ]; then python3 " BENCHMARK "; else true; fi");
    else if (benchmark)
        probe = JOBJ(JV("exec", JOBJ(JV("command", JARR(JSTR("python3"), JSTR(BENCHMARK))))),
                     JI("periodSeconds", PROBE_PERIOD_S));
    else
        probe = distributed ? shell_probe(health_command(ctx, "readiness")) : http_probe();
    if (benchmark || distributed)
        json_set(probe, "timeoutSeconds", json_new_integer(benchmark ? 600 : 1));
    int64_t budget = ctx->plan->startup_budget_s;
    json_set(probe, "failureThreshold",
             json_new_integer((budget + PROBE_PERIOD_S - 1) / PROBE_PERIOD_S));
    return probe;
}

static cJSON *liveness_probe(const struct manifest_context *ctx)
{
    if (!inference_is_distributed(ctx)) {
        cJSON *probe = http_probe();
        json_set(probe, "failureThreshold", json_new_integer(3));
        return probe;
    }
    cJSON *probe = shell_probe(health_command(ctx, "liveness"));
    json_set(probe, "initialDelaySeconds", json_new_integer(60));
    json_set(probe, "timeoutSeconds", json_new_integer(5));
    json_set(probe, "failureThreshold", json_new_integer(1));
    json_set(probe, "terminationGracePeriodSeconds", json_new_integer(1));
    return probe;
}

static cJSON *readiness_probe(const struct manifest_context *ctx)
{
    if (!inference_is_distributed(ctx)) {
        cJSON *probe = http_probe();
        json_set(probe, "initialDelaySeconds", json_new_integer(30));
        return probe;
    }
    cJSON *probe = shell_probe(health_command(ctx, "readiness"));
    json_set(probe, "timeoutSeconds", json_new_integer(1));
    json_set(probe, "failureThreshold", json_new_integer(1));
    return probe;
}

/* ------------------------------------------------------------------ parts of the pod */

static cJSON *host_volume(const char *name, const char *type, const char *path)
{
    return JOBJ(JS("name", name), JV("hostPath", JOBJ(JS("path", path), JS("type", type))));
}

static cJSON *empty_volume(const char *name)
{
    return JOBJ(JS("name", name), JV("emptyDir", json_new_object()));
}

static const char *base_image(const struct manifest_context *ctx)
{
    return arena_printf(ctx->arena, "%s/kaito-base:" BASE_IMAGE_TAG, ctx->preset_registry);
}

static void add_config(struct pod *pod)
{
    if (pod->ctx->config_name == NULL)
        return;
    json_append(pod->volumes, JOBJ(JS("name", "config-volume"),
                                   JV("configMap", JOBJ(JS("name", pod->ctx->config_name)))));
    json_append(pod->mounts, manifest_mount("config-volume", "/mnt/config", false));
}

static void add_weights_volume(struct pod *pod, bool on_claim)
{
    if (inference_uses_local_weights(pod->ctx->ws)) {
        const char *folder = inference_local_weights(pod->ctx);
        json_append(pod->volumes, host_volume(LOCAL_VOLUME, "Directory", folder));
        json_append(pod->mounts, manifest_mount(LOCAL_VOLUME, folder, true));
        json_append(pod->env, manifest_env("KAITO_PROCESSOR", folder));
        return;
    }
    json_append(pod->mounts, manifest_mount(WEIGHTS_VOLUME, WEIGHTS_FOLDER, false));
    if (!on_claim)
        json_append(pod->volumes, empty_volume(WEIGHTS_VOLUME));
}

static void add_cuda_toolkit(struct pod *pod)
{
    if (!needs_cuda_toolkit(pod->ctx))
        return;
    json_append(pod->env, manifest_env("CUDA_HOME", CUDA_FOLDER));
    json_append(pod->volumes, host_volume(CUDA_VOLUME, "DirectoryOrCreate", CUDA_FOLDER));
    json_append(pod->mounts, manifest_mount(CUDA_VOLUME, CUDA_FOLDER, true));
    json_append(pod->init_containers,
                JOBJ(JS("name", "cuda-toolkit-provisioner"), JS("image", base_image(pod->ctx)),
                     JV("command", JARR(JSTR("/bin/sh"), JSTR("-c"),
                                        JSTR("flock \"$1\" /workspace/cuda-provision.sh \"$1\""),
                                        JSTR("sh"), JSTR(CUDA_FOLDER))),
                     JV("volumeMounts", JARR(manifest_mount(CUDA_VOLUME, CUDA_FOLDER, false)))));
}

static void add_shared_memory(struct pod *pod)
{
    json_append(pod->volumes,
                JOBJ(JS("name", "dshm"), JV("emptyDir", JOBJ(JS("medium", "Memory")))));
    json_append(pod->mounts, manifest_mount("dshm", "/dev/shm", false));
}

static void add_engine_environment(struct pod *pod)
{
    if (pod->ctx->plan->runtime != RUNTIME_VLLM)
        return;
    const char *deep_gemm = pod->ctx->plan->model->deep_gemm.value ? "1" : "0";
    json_append(pod->env, manifest_env("VLLM_USE_FLASHINFER_SAMPLER", "0"));
    json_append(pod->env, manifest_env("VLLM_USE_DEEP_GEMM", deep_gemm));
}

static void add_access_token(struct pod *pod)
{
    const struct preset_options *options = pod->ctx->ws->inference->preset->options;
    if (options == NULL || options->model_access_secret == NULL ||
        options->model_access_secret[0] == '\0')
        return;
    cJSON *reference =
        JOBJ(JS("name", options->model_access_secret), JS("key", "HF_TOKEN"), JB("optional", true));
    json_append(pod->env,
                JOBJ(JS("name", "HF_TOKEN"), JV("valueFrom", JOBJ(JV("secretKeyRef", reference)))));
}

static void add_pod_index(struct pod *pod)
{
    if (!inference_is_distributed(pod->ctx))
        return;
    cJSON *reference = JOBJ(JS("fieldPath", "metadata.labels['apps.kubernetes.io/pod-index']"));
    json_append(pod->env,
                JOBJ(JS("name", "POD_INDEX"), JV("valueFrom", JOBJ(JV("fieldRef", reference)))));
}

static void add_image_adapter(struct pod *pod, const struct data_source *source)
{
    struct arena *arena = pod->ctx->arena;
    const char *target = arena_printf(arena, ADAPTER_FOLDER "/%s", source->name);
    cJSON *mounts = JARR(manifest_mount(ADAPTER_VOLUME, ADAPTER_FOLDER, false));
    if (source->image_pull_secrets.count > 0) {
        const char *volume =
            arena_printf(arena, "docker-config-%s-inference-adapter", source->name);
        const char *folder =
            arena_printf(arena, "/root/.docker/config.d/%s-inference-adapter", source->name);
        json_append(pod->volumes, manifest_credentials_volume(volume, &source->image_pull_secrets));
        json_append(mounts, manifest_mount(volume, folder, false));
        manifest_secret_names(&source->image_pull_secrets, pod->pull_secrets);
    }
    json_append(pod->init_containers,
                manifest_puller(arena, arena_printf(arena, "puller-%s", source->name),
                                source->image, target, mounts));
}

static void add_volume_adapter(struct pod *pod, const struct data_source *source)
{
    struct arena *arena = pod->ctx->arena;
    const char *volume = arena_printf(arena, ADAPTER_VOLUME "-%s", source->name);
    cJSON *entry = json_copy(source->volume_source);
    json_set(entry, "name", json_new_string(volume));
    json_append(pod->volumes, entry);
    json_append(
        pod->mounts,
        manifest_mount(volume, arena_printf(arena, ADAPTER_FOLDER "/%s", source->name), false));
}

static void add_adapters(struct pod *pod)
{
    const struct adapter_list *adapters = &pod->ctx->ws->inference->adapters;
    bool shared = false;
    for (size_t i = 0; i < adapters->count; i++) {
        const struct data_source *source = adapters->items[i].source;
        if (source == NULL || source->name == NULL)
            continue;
        if (source->volume_source != NULL) {
            add_volume_adapter(pod, source);
        } else if (source->image != NULL) {
            if (!shared) {
                json_append(pod->volumes, empty_volume(ADAPTER_VOLUME));
                json_append(pod->mounts, manifest_mount(ADAPTER_VOLUME, ADAPTER_FOLDER, false));
            }
            shared = true;
            add_image_adapter(pod, source);
        }
        const char *strength = adapters->items[i].strength;
        if (strength != NULL && strength[0] != '\0')
            json_append(pod->env,
                        manifest_env(source->name, manifest_literal(strength, pod->ctx->arena)));
    }
}

/* ------------------------------------------------------------------ */

static cJSON *engine(struct pod *pod)
{
    const struct manifest_context *ctx = pod->ctx;
    bool vllm = ctx->plan->runtime == RUNTIME_VLLM;
    cJSON *ports = JARR(JOBJ(JS("name", "http"), JI("containerPort", INFERENCE_PORT)));
    if (vllm)
        json_append(ports, JOBJ(JS("name", "kv-events"), JI("containerPort", KV_EVENTS_PORT)));
    return JOBJ(JS("name", ctx->ws->metadata->name), JS("image", base_image(ctx)),
                JV("command", manifest_shell(inference_command(ctx))),
                JV("resources", manifest_gpu_resources(ctx)), JV("ports", ports),
                JV("env", STEAL(pod->env)), JV("startupProbe", startup_probe(ctx)),
                JV("livenessProbe", liveness_probe(ctx)),
                JV("readinessProbe", readiness_probe(ctx)), JV("volumeMounts", STEAL(pod->mounts)));
}

static cJSON *unless_empty(cJSON *list)
{
    if (list->child != NULL)
        return list;
    json_free(list);
    return NULL;
}

cJSON *inference_pod(const struct manifest_context *ctx, bool weights_on_claim)
{
    struct pod pod = {
        .ctx = ctx,
        .init_containers = json_new_array(),
        .env = json_new_array(),
        .mounts = json_new_array(),
        .volumes = json_new_array(),
        .pull_secrets = json_new_array(),
    };
    add_config(&pod);
    add_engine_environment(&pod);
    add_cuda_toolkit(&pod);
    add_weights_volume(&pod, weights_on_claim);
    add_shared_memory(&pod);
    add_access_token(&pod);
    add_adapters(&pod);
    add_pod_index(&pod);
    pod.env = unless_empty(pod.env);
    cJSON *container = engine(&pod);
    return JOBJ(JV("imagePullSecrets", unless_empty(pod.pull_secrets)),
                JV("initContainers", unless_empty(pod.init_containers)),
                JV("containers", JARR(container)), JV("volumes", pod.volumes));
}
