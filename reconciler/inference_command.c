#include "reconciler/inference_command.h"

#include <ctype.h>
#include <string.h>

#define VLLM_COMMAND         "python3 /workspace/vllm/inference_api.py"
#define TRANSFORMERS_COMMAND "accelerate launch"
#define TRANSFORMERS_PROGRAM "/workspace/tfs/inference_api.py"
#define SERVING              "/workspace/vllm/multi-node-serving.sh"

enum { PARAMETERS_OF_OURS = 24 };

bool inference_is_distributed(const struct manifest_context *ctx)
{
    return ctx->plan->runtime == RUNTIME_VLLM && ctx->plan->node_count > 1;
}

bool inference_uses_local_weights(const struct workspace *ws)
{
    const char *local = workspace_annotation(ws, ANNOTATION_LOCAL_WEIGHTS);
    return local != NULL && strcmp(local, "true") == 0;
}

static const char *lower(const char *text, struct arena *arena)
{
    char *out = arena_strdup(arena, text);
    for (char *p = out; *p != '\0'; p++)
        *p = (char)tolower((unsigned char)*p);
    return out;
}

/* The folder on the node: the preset as one lower-case segment. */
const char *inference_local_weights(const struct manifest_context *ctx)
{
    const char *name = ctx->ws->inference->preset->name;
    name += strspn(name, " \t");
    char *folder = arena_printf(ctx->arena, "/opt/kaito/models/%s", lower(name, ctx->arena));
    for (char *p = folder + strlen("/opt/kaito/models/"); *p != '\0'; p++) {
        if (*p == '/' || *p == '\\')
            *p = '-';
    }
    return folder;
}

static struct string_map parameters_from(const struct string_map *given, struct arena *arena)
{
    struct string_map map = {
        .items = arena_array(arena, struct string_pair, given->count + PARAMETERS_OF_OURS),
    };
    for (size_t i = 0; i < given->count; i++)
        map.items[map.count++] = given->items[i];
    return map;
}

static void drop_parameter(struct string_map *map, const char *name)
{
    size_t kept = 0;
    for (size_t i = 0; i < map->count; i++) {
        if (strcmp(map->items[i].key, name) != 0)
            map->items[kept++] = map->items[i];
    }
    map->count = kept;
}

static const char *number(struct arena *arena, int64_t value)
{
    return arena_printf(arena, "%lld", (long long)value);
}

static void add_parallelism(const struct manifest_context *ctx, struct string_map *map)
{
    const struct plan *plan = ctx->plan;
    manifest_parameter(map, "tensor-parallel-size", number(ctx->arena, plan->tensor_parallel));
    if (plan->data_parallel > 1)
        manifest_parameter(map, "data-parallel-size", number(ctx->arena, plan->data_parallel));
    if (plan->node_count > 1) {
        manifest_parameter(map, "pipeline-parallel-size",
                           number(ctx->arena, plan->pipeline_parallel));
        manifest_parameter(map, "distributed-executor-backend", "ray");
    }
    if (plan->model->kv_offload_off.value || plan->data_parallel > 1 || plan->node_count > 1)
        manifest_parameter(map, "kaito-kv-cache-cpu-memory-utilization", "0");
}

static void add_weights(const struct manifest_context *ctx, struct string_map *map)
{
    if (inference_uses_local_weights(ctx->ws)) {
        manifest_parameter(map, "model", inference_local_weights(ctx));
        manifest_parameter(map, "load-format", "runai_streamer");
        drop_parameter(map, "load_format");
    } else {
        manifest_parameter(map, "model", lower(ctx->plan->model->name, ctx->arena));
        manifest_parameter(map, "download-dir", WEIGHTS_FOLDER);
    }
}

static const char *vllm_arguments(const struct manifest_context *ctx)
{
    const struct workspace *ws = ctx->ws;
    const struct model *model = ctx->plan->model;
    const char *set = workspace_label(ws, "inferenceset.kaito.sh/created-by");
    struct string_map map = parameters_from(&model->vllm_parameters, ctx->arena);

    manifest_parameter(&map, "served-model-name", set != NULL ? set : model->short_name);
    manifest_parameter(&map, "max-model-len", "auto");
    manifest_parameter(&map, "gpu-memory-utilization",
                       ctx->plan->utilisation != NULL ? ctx->plan->utilisation : "0.84");
    manifest_parameter(&map, "kv-events-config", "{\"enable_kv_cache_events\":true}");
    manifest_parameter(&map, "compilation-config.pass_config.fuse_allreduce_rms", "False");
    if (ws->inference->adapters.count > 0)
        manifest_parameter(&map, "enable-lora", "");
    add_weights(ctx, &map);
    if (ctx->config_name != NULL)
        manifest_parameter(&map, "kaito-config-file", "/mnt/config/inference_config.yaml");
    const char *mode = workspace_annotation(ws, ANNOTATION_PERFORMANCE);
    if (mode != NULL && (strcmp(mode, "interactivity") == 0 || strcmp(mode, "throughput") == 0))
        manifest_parameter(&map, "performance-mode", mode);
    add_parallelism(ctx, &map);
    return manifest_command(ctx->arena, VLLM_COMMAND, &map);
}

const char *inference_leader_address(const struct manifest_context *ctx)
{
    const struct object_meta *meta = ctx->ws->metadata;
    return arena_printf(ctx->arena, "%s-0.%s-headless.%s.svc.cluster.local", meta->name, meta->name,
                        meta->namespace_);
}

static const char *vllm_command(const struct manifest_context *ctx)
{
    const char *serve = vllm_arguments(ctx);
    if (!inference_is_distributed(ctx))
        return serve;
    return arena_printf(ctx->arena,
                        "if [ \"${POD_INDEX}\" = \"0\" ]; then " SERVING
                        " leader --ray_cluster_size=%lld --ray_port=%d; %s; else " SERVING
                        " worker --ray_address=%s --ray_port=%d; fi",
                        (long long)ctx->plan->node_count, RAY_PORT, serve,
                        inference_leader_address(ctx), RAY_PORT);
}

static const char *transformers_command(const struct manifest_context *ctx)
{
    const struct model *model = ctx->plan->model;
    struct string_map launcher = parameters_from(&(struct string_map){ 0 }, ctx->arena);
    manifest_parameter(&launcher, "num_processes", "1");
    manifest_parameter(&launcher, "num_machines", "1");
    manifest_parameter(&launcher, "machine_rank", "0");
    manifest_parameter(&launcher, "gpu_ids", "all");
    const char *launch = manifest_command(ctx->arena, TRANSFORMERS_COMMAND, &launcher);

    struct string_map map = parameters_from(&model->transformers->parameters, ctx->arena);
    manifest_parameter(&map, "served_model_name", model->short_name);
    manifest_parameter(&map, "pretrained_model_name_or_path", lower(model->name, ctx->arena));
    manifest_parameter(&map, "allow_remote_files", "");
    if (ctx->plan->machine != NULL && ctx->plan->machine->float16_only.value)
        manifest_parameter(&map, "torch_dtype", "float16");
    return manifest_command(ctx->arena,
                            arena_printf(ctx->arena, "%s " TRANSFORMERS_PROGRAM, launch), &map);
}

const char *inference_command(const struct manifest_context *ctx)
{
    return ctx->plan->runtime == RUNTIME_VLLM ? vllm_command(ctx) : transformers_command(ctx);
}
