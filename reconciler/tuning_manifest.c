#include "reconciler/tuning_manifest.h"

#include <string.h>
#include <strings.h>

#include "common/base/buf.h"
#include "common/base/memory.h"
#include "common/json/build.h"
#include "common/json/json.h"
#include "common/plan/config_check.h"
#include "reconciler/scripts.h"

#define WEIGHTS_IMAGE  "mcr.microsoft.com/oss/v2/oras-project/oras:v1.2.3"
#define PUSH_IMAGE     "ghcr.io/oras-project/oras:v1.2.2"
#define DOWNLOAD_IMAGE "curlimages/curl"
#define PAUSE_IMAGE    "registry.k8s.io/pause:latest"
#define WEIGHTS_FOLDER "/workspace/weights"
#define DATA_FOLDER    "/mnt/data"
#define DATA_VOLUME    "data-volume"
#define RESULTS_VOLUME "results-volume"
#define SENTINEL       "fine_tuning_completed.txt"

enum { URLS_BYTES_MAX = 256 * 1024 };

/* A Job's pod under construction. */
struct pod {
    const struct manifest_context *ctx;
    const char *results; /* folder */
    cJSON *init_containers, *containers, *mounts, *volumes;
};

/* ------------------------------------------------------------------ configuration */

enum tuning_method tuning_method(const struct workspace *ws)
{
    const char *method = ws->tuning != NULL ? ws->tuning->method : NULL;
    if (method != NULL && strcasecmp(method, "lora") == 0)
        return TUNING_LORA;
    return method != NULL && strcasecmp(method, "qlora") == 0 ? TUNING_QLORA : TUNING_UNKNOWN;
}

bool tuning_config_is_default(const struct workspace *ws)
{
    return ws->tuning->config == NULL || ws->tuning->config[0] == '\0';
}

static bool is_float16_only(const struct machine *machine)
{
    return machine != NULL && machine->float16_only.value;
}

const char *tuning_config_name(const struct workspace *ws, const struct machine *machine)
{
    if (!tuning_config_is_default(ws))
        return ws->tuning->config;
    if (tuning_method(ws) == TUNING_QLORA)
        return is_float16_only(machine) ? "qlora-float16-params-template" : "qlora-params-template";
    return is_float16_only(machine) ? "lora-float16-params-template" : "lora-params-template";
}

#define TRAINING_CONFIG(type, quantisation)                  \
    "training_config:\n"                                     \
    "  ModelConfig:\n"                                       \
    "    torch_dtype: \"" type "\"\n"                        \
    "    local_files_only: true\n"                           \
    "    device_map: \"auto\"\n"                             \
    "  QuantizationConfig:\n" quantisation "  LoraConfig:\n" \
    "    r: 8\n"                                             \
    "    lora_alpha: 8\n"                                    \
    "    lora_dropout: 0.0\n"                                \
    "  TrainingArguments:\n"                                 \
    "    output_dir: \"/mnt/results\"\n"                     \
    "    ddp_find_unused_parameters: false\n"                \
    "    save_strategy: \"no\"\n"                            \
    "    per_device_train_batch_size: 1\n"                   \
    "  DataCollator:\n"                                      \
    "    mlm: true\n"                                        \
    "  DatasetConfig:\n"                                     \
    "    shuffle_dataset: true\n"                            \
    "    train_test_split: 1\n"
#define NOT_QUANTISED "    load_in_4bit: false\n"
#define QUANTISED(type)                          \
    "    load_in_4bit: true\n"                   \
    "    bnb_4bit_quant_type: \"nf4\"\n"         \
    "    bnb_4bit_compute_dtype: \"" type "\"\n" \
    "    bnb_4bit_use_double_quant: true\n"

cJSON *tuning_default_config(const struct workspace *ws, const struct machine *machine)
{
    static const char *const contents[2][2] = {
        { TRAINING_CONFIG("bfloat16", NOT_QUANTISED),
          TRAINING_CONFIG("bfloat16", QUANTISED("bfloat16")) },
        { TRAINING_CONFIG("float16", NOT_QUANTISED),
          TRAINING_CONFIG("float16", QUANTISED("float16")) },
    };
    const char *content = contents[is_float16_only(machine)][tuning_method(ws) == TUNING_QLORA];
    return JOBJ(JS("apiVersion", "v1"), JS("kind", "ConfigMap"),
                JV("metadata", JOBJ(JS("name", tuning_config_name(ws, machine)),
                                    JS("namespace", ws->metadata->namespace_))),
                JV("data", JOBJ(JS(TUNING_CONFIG_KEY, content))));
}

const char *tuning_unsupported(const struct manifest_context *ctx)
{
    if (ctx->plan->model == NULL || ctx->plan->model->tuning == NULL)
        return "tuning.preset.name: this model cannot be tuned";
    if (ctx->plan->gpus_per_node < 1)
        return "resource.instanceType: the number of GPUs of this machine is not known; use one "
               "of the catalogue";
    return NULL;
}

/* ------------------------------------------------------------------ input */

static cJSON *empty_volume(const char *name)
{
    return JOBJ(JS("name", name), JV("emptyDir", json_new_object()));
}

static cJSON *named_volume(const char *name, const cJSON *source)
{
    cJSON *volume = json_copy(source);
    json_set(volume, "name", json_new_string(name));
    return volume;
}

static void add_input_image(struct pod *pod, const struct data_source *input)
{
    struct arena *arena = pod->ctx->arena;
    const char *name = input->name != NULL ? input->name : "";
    const char *volume = arena_printf(arena, "docker-config-%s-tuning-input", name);
    const char *folder = arena_printf(arena, "/root/.docker/config.d/%s-tuning-input", name);
    json_append(pod->volumes, manifest_credentials_volume(volume, &input->image_pull_secrets));
    json_append(pod->volumes, empty_volume(DATA_VOLUME));
    json_append(pod->mounts, manifest_mount(volume, folder, false));
    json_append(pod->init_containers,
                manifest_puller(arena, "puller", input->image, DATA_FOLDER,
                                JARR(manifest_mount(volume, folder, false),
                                     manifest_mount(DATA_VOLUME, DATA_FOLDER, false))));
}

static void add_input_urls(struct pod *pod, const struct string_list *urls)
{
    AUTO(buf) struct buf joined = BUF_INIT(URLS_BYTES_MAX);
    for (size_t i = 0; i < urls->count; i++)
        buf_printf(&joined, "%s%s", i > 0 ? " " : "", urls->items[i]);
    json_append(pod->volumes, empty_volume(DATA_VOLUME));
    json_append(pod->init_containers,
                JOBJ(JS("name", "data-downloader"), JS("image", DOWNLOAD_IMAGE),
                     JV("command", JARR(JSTR("sh"), JSTR("-c"), JSTR(script_download))),
                     JV("env", JARR(manifest_env("DATA_URLS", manifest_literal(buf_text(&joined),
                                                                               pod->ctx->arena)),
                                    manifest_env("DATA_VOLUME_PATH", DATA_FOLDER))),
                     JV("volumeMounts", JARR(manifest_mount(DATA_VOLUME, DATA_FOLDER, false)))));
}

static void add_input(struct pod *pod)
{
    const struct data_source *input = pod->ctx->ws->tuning->input;
    if (input->image != NULL && input->image[0] != '\0')
        add_input_image(pod, input);
    else if (input->urls.count > 0)
        add_input_urls(pod, &input->urls);
    else
        json_append(pod->volumes, named_volume(DATA_VOLUME, input->volume_source));
    json_append(pod->mounts, manifest_mount(DATA_VOLUME, DATA_FOLDER, false));
}

/* ------------------------------------------------------------------ output */

static bool pushes_image(const struct workspace *ws)
{
    return ws->tuning->output->volume_source == NULL && ws->tuning->output->image != NULL;
}

static void add_pusher(struct pod *pod)
{
    const struct manifest_context *ctx = pod->ctx;
    const struct data_destination *output = ctx->ws->tuning->output;
    AUTO(json)
    cJSON *annotations =
        JOBJ(JV("$manifest", JOBJ(JS("sh.kaito.model.name", ctx->plan->model->short_name))));
    AUTO_FREE char *annotations_text = json_print(annotations);
    const char *image = manifest_image(output->image, ctx->arena);
    const char *sentinel = arena_printf(ctx->arena, "%s/" SENTINEL, pod->results);
    json_append(
        pod->containers,
        JOBJ(JS("name", "pusher"), JS("image", PUSH_IMAGE),
             JV("command", JARR(JSTR("/bin/sh"), JSTR("-c"))),
             JV("args", JARR(JSTR(script_push), JSTR("pusher"),
                             JSTR(manifest_literal(pod->results, ctx->arena)),
                             JSTR(manifest_literal(image, ctx->arena)),
                             JSTR(manifest_literal(annotations_text, ctx->arena)),
                             JSTR(manifest_literal(sentinel, ctx->arena)))),
             JV("volumeMounts", JARR(manifest_mount("docker-config", "/root/.docker", false),
                                     manifest_mount(RESULTS_VOLUME, pod->results, false)))));
    json_append(pod->containers, JOBJ(JS("name", "pause"), JS("image", PAUSE_IMAGE),
                                      JS("imagePullPolicy", "Always")));
    const char *secret = output->image_push_secret != NULL ? output->image_push_secret : "";
    cJSON *item = JOBJ(JS("key", ".dockerconfigjson"), JS("path", "config.json"));
    cJSON *source = JOBJ(JV("secret", JOBJ(JS("name", secret), JV("items", JARR(item)))));
    json_append(pod->volumes, JOBJ(JS("name", "docker-config"),
                                   JV("projected", JOBJ(JV("sources", JARR(source))))));
}

/* ------------------------------------------------------------------ Job */

static void add_weights(struct pod *pod)
{
    const struct manifest_context *ctx = pod->ctx;
    const struct model *model = ctx->plan->model;
    const char *artifact =
        arena_printf(ctx->arena, "%s/kaito-%s:%s", ctx->preset_registry, model->short_name,
                     model->tuning->weights_tag != NULL ? model->tuning->weights_tag : "latest");
    json_append(
        pod->init_containers,
        JOBJ(JS("name", "model-weights-downloader"), JS("image", WEIGHTS_IMAGE),
             JV("command",
                JARR(JSTR("oras"), JSTR("pull"), JSTR(artifact), JSTR("-o"), JSTR(WEIGHTS_FOLDER))),
             JV("volumeMounts", JARR(manifest_mount(WEIGHTS_VOLUME, WEIGHTS_FOLDER, false)))));
    json_append(pod->volumes, empty_volume(WEIGHTS_VOLUME));
    json_append(pod->mounts, manifest_mount(WEIGHTS_VOLUME, WEIGHTS_FOLDER, false));
}

static void add_volumes(struct pod *pod)
{
    const struct manifest_context *ctx = pod->ctx;
    const struct data_destination *output = ctx->ws->tuning->output;
    json_append(pod->volumes,
                JOBJ(JS("name", "dshm"), JV("emptyDir", JOBJ(JS("medium", "Memory")))));
    json_append(pod->mounts, manifest_mount("dshm", "/dev/shm", false));
    add_weights(pod);
    json_append(pod->volumes, JOBJ(JS("name", "config-volume"),
                                   JV("configMap", JOBJ(JS("name", ctx->config_name)))));
    json_append(pod->mounts, manifest_mount("config-volume", "/mnt/config", false));
    json_append(pod->volumes, output->volume_source != NULL
                                  ? named_volume(RESULTS_VOLUME, output->volume_source)
                                  : empty_volume(RESULTS_VOLUME));
    json_append(pod->mounts, manifest_mount(RESULTS_VOLUME, pod->results, false));
}

static cJSON *trainer(struct pod *pod)
{
    const struct manifest_context *ctx = pod->ctx;
    const char *targets = ctx->plan->model->tuning->target_modules;
    cJSON *env = json_new_array();
    if (targets != NULL)
        json_append(env, manifest_env("DEFAULT_TARGET_MODULES", targets));
    json_append(env, manifest_env("PYTORCH_CUDA_ALLOC_CONF", "expandable_segments:True"));
    const char *command = arena_printf(
        ctx->arena,
        "cd /workspace/tfs/ && python3 metrics_server.py & accelerate launch --num_processes=%lld "
        "/workspace/tfs/fine_tuning.py",
        (long long)ctx->plan->gpus_per_node);
    return JOBJ(JS("name", ctx->ws->metadata->name),
                JV("image", json_new_printf("%s/kaito-base:" BASE_IMAGE_TAG, ctx->preset_registry)),
                JV("command", manifest_shell(command)),
                JV("resources", manifest_gpu_resources(ctx)),
                JV("ports", JARR(JOBJ(JI("containerPort", INFERENCE_PORT)))), JV("env", env),
                JV("volumeMounts", STEAL(pod->mounts)));
}

static cJSON *tolerations(const struct manifest_context *ctx)
{
    cJSON *list = JARR(JOBJ(JS("key", "gpu"), JS("operator", "Equal"), JS("effect", "NoSchedule")),
                       JOBJ(JS("key", "sku"), JS("value", "gpu"), JS("effect", "NoSchedule")));
    manifest_tolerate_spot(ctx, list);
    return list;
}

static cJSON *job_pod(const struct manifest_context *ctx)
{
    struct pod pod = {
        .ctx = ctx,
        .results = tuning_results_directory(ctx->output_dir, ctx->arena),
        .init_containers = json_new_array(),
        .containers = json_new_array(),
        .mounts = json_new_array(),
        .volumes = json_new_array(),
    };
    bool push = pushes_image(ctx->ws);
    const char *secret = ctx->ws->tuning->output->image_push_secret;

    add_volumes(&pod);
    add_input(&pod);
    json_append(pod.containers, trainer(&pod));
    if (push)
        add_pusher(&pod);
    return JOBJ(
        JS("restartPolicy", "Never"),
        JV("shareProcessNamespace", push ? json_new_bool(true) : NULL),
        JV("imagePullSecrets", push && secret != NULL ? JARR(JOBJ(JS("name", secret))) : NULL),
        JV("affinity", manifest_affinity(ctx, false)), JV("tolerations", tolerations(ctx)),
        JV("initContainers", pod.init_containers), JV("containers", pod.containers),
        JV("volumes", pod.volumes));
}

cJSON *tuning_job(const struct manifest_context *ctx)
{
    const char *name = ctx->ws->metadata->name;
    cJSON *metadata = manifest_metadata(ctx, name);
    json_set(metadata, "labels", JOBJ(JS(LABEL_WORKSPACE, name)));
    json_set(metadata, "annotations",
             JOBJ(JF(ANNOTATION_REVISION, "%lld", (long long)ctx->revision)));
    cJSON *template = JOBJ(JV("metadata", JOBJ(JV("labels", JOBJ(JS(LABEL_WORKSPACE, name))))),
                           JV("spec", job_pod(ctx)));
    cJSON *job = JOBJ(JS("apiVersion", "batch/v1"), JS("kind", "Job"), JV("metadata", metadata),
                      JV("spec", JOBJ(JV("template", template))));
    manifest_seal(job);
    return job;
}
