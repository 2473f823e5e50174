#include "common/catalogue/model_config.h"

#include <ctype.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/memory.h"
#include "common/catalogue/architecture.h"
#include "common/json/build.h"
#include "common/json/json.h"
#include "common/json/yaml_print.h"

enum {
    NAME_BYTES_MAX = 96,
    CONTEXT_DEFAULT = 2048,
    DISK_SYSTEM_GIB = 80,
    BUDGET_BASE_S = 900,
    BUDGET_GIB_S = 18,
    BUDGET_MIN_S = 1800,
    BUDGET_MAX_S = 10800,
    PARAMETERS_MAX = 24,
    CACHE_BYTES = 2, /* of a number in the cache */
};

static const int64_t FIGURE_MAX = 1 << 30;

struct reading {
    const struct model_config *config;
    const cJSON *top,
        *text;    /* `text`: where members that are absent from the top may be; or NULL */
    bool mistral; /* a params.json */
    struct arena *arena;
    struct model *model;
    struct error *err;
};

/* ------------------------------------------------------------------ members */

static const cJSON *member(const struct reading *r, const char *name)
{
    const cJSON *found = json_get(r->top, name);
    return found != NULL && !cJSON_IsNull(found) ? found : json_get(r->text, name);
}

static bool to_figure(const cJSON *json, int64_t *out)
{
    double value = NAN;
    if (cJSON_IsNumber(json))
        value = json->valuedouble;
    else if (cJSON_IsString(json) && json->valuestring[0] != '\0') {
        char *end;
        value = strtod(json->valuestring, &end);
        if (*end != '\0')
            return false;
    }
    if (!(value >= 0 && value <= (double)FIGURE_MAX))
        return false;
    *out = (int64_t)value;
    return true;
}

/* The first of several names (NULL ends them) that has a number; else `otherwise`. */
static int64_t figure(const struct reading *r, const char *const *names, int64_t otherwise)
{
    for (; *names != NULL; names++) {
        int64_t value;
        if (to_figure(member(r, *names), &value))
            return value;
    }
    return otherwise;
}

#define FIGURE(r, otherwise, ...) figure(r, (const char *const[]){ __VA_ARGS__, NULL }, otherwise)

static bool is_true(const struct reading *r, const char *name)
{
    return cJSON_IsTrue(member(r, name));
}

/* ------------------------------------------------------------------ parsing */

static bool word_at(const char *at, const char *end, const char *word)
{
    size_t length = strlen(word);
    return (size_t)(end - at) >= length && strncmp(at, word, length) == 0;
}

/* NaN, Infinity and -Infinity outside of texts become null. */
static char *without_nan(const char *json, size_t count)
{
    static const char *const words[] = { "NaN", "Infinity", "-Infinity" };
    AUTO(buf) struct buf out = BUF_INIT(2 * MODEL_CONFIG_BYTES_MAX);
    const char *end = json + count;
    bool quoted = false;
    for (const char *p = json; p < end; p++) {
        if (*p == '"')
            quoted = !quoted;
        if (quoted && *p == '\\' && p + 1 < end)
            buf_putc(&out, *p++);
        size_t i = 0;
        while (!quoted && i < ARRAY_LEN(words) && !word_at(p, end, words[i]))
            i++;
        if (!quoted && i < ARRAY_LEN(words)) {
            buf_puts(&out, "null");
            p += strlen(words[i]) - 1;
            continue;
        }
        buf_putc(&out, *p);
    }
    return buf_take(&out);
}

static int parse(const struct model_config *config, cJSON **out, struct error *err)
{
    if (config->count > MODEL_CONFIG_BYTES_MAX)
        return error_set(err, ERR_INVALID, "the config has %zu bytes; at most %d are read",
                         config->count, MODEL_CONFIG_BYTES_MAX);
    AUTO_FREE char *text = without_nan(config->json, config->count);
    AUTO(json) cJSON *json = NULL;
    if (json_parse(text, strlen(text), 2 * MODEL_CONFIG_BYTES_MAX, &json, err) < 0)
        return error_wrap(err, "the config is not JSON");
    if (!cJSON_IsObject(json))
        return error_set(err, ERR_INVALID, "the config must be a JSON object");
    *out = STEAL(json);
    return 0;
}

/* ------------------------------------------------------------------ name */

static int take_name(struct reading *r)
{
    const char *name = r->config->name, *slash = strchr(name, '/');
    bool legal = slash != NULL && slash != name && slash[1] != '\0' &&
                 strchr(slash + 1, '/') == NULL && strlen(name) <= NAME_BYTES_MAX;
    for (const char *p = name; legal && *p != '\0'; p++)
        legal = isalnum((unsigned char)*p) || strchr("-._/", *p) != NULL;
    if (!legal)
        return error_set(r->err, ERR_INVALID,
                         "%.100s is not a model's name: write organisation/model as the hub spells "
                         "it",
                         name);
    r->model->name = arena_strdup(r->arena, name);
    char *short_name = arena_strdup(r->arena, slash + 1);
    for (char *p = short_name; *p != '\0'; p++)
        *p = (char)tolower((unsigned char)*p);
    r->model->short_name = short_name;
    return 0;
}

/* ------------------------------------------------------------------ architecture */

static const char *architecture_of_name(const char *short_name)
{
    if (strncmp(short_name, "mistral-large-3", 15) == 0)
        return "MistralLarge3ForCausalLM";
    return strncmp(short_name, "ministral-3", 11) == 0 ? "Mistral3ForConditionalGeneration" : NULL;
}

static void list_architectures(struct reading *r, struct string_list *out)
{
    const cJSON *list = member(r, "architectures"), *item;
    size_t count = cJSON_IsArray(list) ? (size_t)cJSON_GetArraySize(list) : 0;
    out->items = arena_array(r->arena, const char *, count + 1);
    cJSON_ArrayForEach(item, list) {
        if (out->count < count && cJSON_IsString(item))
            out->items[out->count++] = arena_strdup(r->arena, item->valuestring);
    }
    const char *named = architecture_of_name(r->model->short_name);
    if (out->count == 0 && named != NULL)
        out->items[out->count++] = named;
}

static const struct architecture *take_architecture(struct reading *r)
{
    struct string_list *list = &r->model->architectures;
    list_architectures(r, list);
    for (size_t i = 0; i < list->count; i++) {
        const struct architecture *found = architecture_find(list->items[i]);
        if (found != NULL)
            return found;
    }
    if (list->count == 0) {
        (void)error_set(r->err, ERR_INVALID, "architectures: the config names none");
        return NULL;
    }
    const char *near = architecture_nearest(list->items[0]);
    (void)error_set(r->err, ERR_INVALID, "architectures: the server cannot load %.100s%s%s",
                    list->items[0], near != NULL ? "; the nearest that it can: " : "",
                    near != NULL ? near : "");
    return NULL;
}

static int64_t experts(const struct reading *r)
{
    return FIGURE(r, 0, "n_routed_experts", "num_local_experts", "num_experts", "moe_num_experts");
}

/* Some families have both kinds; the config tells. */
static enum memory_class class_of(const struct reading *r, const struct architecture *architecture)
{
    if (experts(r) > 1)
        return MEMORY_MOE;
    return architecture->memory_class;
}

/* ------------------------------------------------------------------ figures */

struct shape {
    int64_t hidden, layers, heads, kv_heads, head_size;
};

static struct shape shape_of(const struct reading *r)
{
    struct shape shape = {
        .hidden = FIGURE(r, 0, "hidden_size", "n_embd", "d_model", "dim"),
        .layers = FIGURE(r, 0, "num_hidden_layers", "n_layer", "n_layers"),
        .heads = FIGURE(r, 0, "num_attention_heads", "n_head", "n_heads"),
        .kv_heads = FIGURE(r, 0, "num_key_value_heads", "n_head_kv", "n_kv_heads"),
        .head_size = FIGURE(r, 0, "head_dim", "attention_head_dim"),
    };
    if (shape.kv_heads == 0)
        shape.kv_heads = is_true(r, "multi_query") ? 1 : shape.heads;
    if (shape.head_size == 0 && shape.heads > 0)
        shape.head_size = shape.hidden / shape.heads;
    return shape;
}

static int out_of_range(const struct reading *r, const char *what)
{
    return error_set(r->err, ERR_INVALID, "%s", what);
}

static void set(struct opt_integer *out, int64_t value)
{
    *out = (struct opt_integer){ .set = true, .value = value };
}

static int take_cache(struct reading *r, const struct shape *shape)
{
    int64_t rank = FIGURE(r, 0, "kv_lora_rank");
    double bytes = 2.0 * (double)shape->kv_heads * (double)shape->head_size;
    if (rank > 0)
        bytes = (double)rank + (double)FIGURE(r, 0, "qk_rope_head_dim");
    bytes *= (double)shape->layers * CACHE_BYTES;
    if (!(bytes >= 1 && bytes <= (double)FIGURE_MAX))
        return out_of_range(r, "bytesPerToken: does not follow from the config, which must have "
                               "num_hidden_layers, num_attention_heads and hidden_size or "
                               "head_dim");
    set(&r->model->bytes_per_token, (int64_t)bytes);
    set(&r->model->kv_heads, rank > 0 ? 1 : shape->kv_heads);
    return 0;
}

static int take_context(struct reading *r)
{
    int64_t context = FIGURE(r, CONTEXT_DEFAULT, "max_position_embeddings", "n_ctx", "seq_length",
                             "max_seq_len", "max_sequence_length", "model_max_length");
    if (context < 1)
        return out_of_range(r, "max_position_embeddings: must be above 0");
    set(&r->model->context_max, context);
    return 0;
}

/* ------------------------------------------------------------------ weights */

/* Parameters of the feed-forward parts of all layers. */
static double feed_forward(const struct reading *r, const struct shape *shape)
{
    int64_t wide =
        FIGURE(r, 4 * shape->hidden, "intermediate_size", "n_inner", "ffn_dim", "hidden_dim");
    int64_t count = experts(r);
    double one = 3.0 * (double)shape->hidden;
    if (count <= 1)
        return one * (double)wide * (double)shape->layers;
    int64_t width = FIGURE(r, wide, "moe_intermediate_size");
    int64_t dense = FIGURE(r, 0, "first_k_dense_replace");
    double shared = (double)FIGURE(r, 0, "shared_expert_intermediate_size") +
                    (double)FIGURE(r, 0, "n_shared_experts") * (double)width;
    double layer = one * ((double)count * (double)width + shared);
    return layer * fmax(0, (double)(shape->layers - dense)) + one * (double)wide * (double)dense;
}

/* 0 where it cannot be counted up: other layers than attention and feed-forward, other than 16 bit.
 */
static double count_weights(const struct reading *r, const struct shape *shape,
                            enum memory_class class)
{
    static const char *const other[] = {
        "kv_lora_rank",  "layers_block_type",      "vision_config", "audio_config",
        "mamba_d_state", "mamba_num_heads",        "state_size",    "ssm_state_size",
        "conv_L_cache",  "linear_num_value_heads",
    };
    for (size_t i = 0; i < ARRAY_LEN(other); i++) {
        if (member(r, other[i]) != NULL && !cJSON_IsNull(member(r, other[i])))
            return 0;
    }
    int64_t words = FIGURE(r, 0, "vocab_size");
    if (class == MEMORY_MULTIMODAL || r->model->quantization != NULL || words == 0)
        return 0;
    double hidden = (double)shape->hidden, size = (double)shape->head_size;
    double attention = 2 * hidden * size * (double)(shape->heads + shape->kv_heads);
    double embedding = hidden * (double)words * (is_true(r, "tie_word_embeddings") ? 1 : 2);
    return 2 * (embedding + attention * (double)shape->layers + feed_forward(r, shape));
}

static int take_weights(struct reading *r, const struct shape *shape, enum memory_class class)
{
    int64_t mib = r->config->weights_mib;
    bool given = mib > 0;
    if (!given) {
        double bytes = count_weights(r, shape, class);
        double counted = ceil(bytes / (1024.0 * 1024));
        mib = counted <= (double)FIGURE_MAX ? (int64_t)counted : 0;
    }
    if (mib < 1 || mib > FIGURE_MAX)
        return out_of_range(r, "weightsMiB: does not follow from such a config; give the size of "
                               "the model's *.safetensors files, which its page on the hub lists "
                               "(--weights-gib)");
    double gib = (double)mib / 1024;
    double budget = fmin(fmax(BUDGET_BASE_S + BUDGET_GIB_S * gib, BUDGET_MIN_S), BUDGET_MAX_S);
    set(&r->model->weights_mib, mib);
    set(&r->model->disk_gib, (int64_t)(gib + DISK_SYSTEM_GIB));
    set(&r->model->startup_budget_s, (int64_t)budget);
    return given ? 0 : MODEL_WEIGHTS_WORKED_OUT;
}

/* ------------------------------------------------------------------ arguments of the server */

static void argument(struct reading *r, const char *key, const char *value)
{
    struct string_map *map = &r->model->vllm_parameters;
    if (value != NULL && map->count < PARAMETERS_MAX)
        map->items[map->count++] = (struct string_pair){ .key = key, .value = value };
}

static const char *either(const char *first, const char *second)
{
    return first != NULL ? first : second;
}

static void take_parsers(struct reading *r, const struct architecture *architecture)
{
    const char *name = r->model->short_name;
    const char *template = name_rule_value(NAME_CHAT_TEMPLATE, name);
    const char *tool_call =
        either(name_rule_value(NAME_TOOL_CALL_PARSER, name), architecture->tool_call_parser);
    if (template != NULL)
        argument(r, "chat-template",
                 arena_printf(r->arena, "/workspace/chat_templates/%s", template));
    if (!name_rule_names(NAME_NO_REASONING, name))
        argument(
            r, "reasoning-parser",
            either(name_rule_value(NAME_REASONING_PARSER, name), architecture->reasoning_parser));
    argument(r, "tool-call-parser", tool_call);
    if (tool_call != NULL)
        argument(r, "enable-auto-tool-choice", "");
}

static void take_arguments(struct reading *r, const struct architecture *architecture)
{
    const char *name = r->model->short_name, *format = r->mistral ? "mistral" : "auto";
    r->model->vllm_parameters.items = arena_array(r->arena, struct string_pair, PARAMETERS_MAX);
    argument(r, "load_format", format);
    argument(r, "config_format", format);
    argument(r, "tokenizer_mode", either(name_rule_value(NAME_TOKENIZER_MODE, name), format));
    argument(r, "trust-remote-code", "");
    argument(r, "dtype", r->model->quantization != NULL ? "auto" : "bfloat16");
    take_parsers(r, architecture);
    argument(r, "kv-cache-dtype", name_rule_value(NAME_KV_CACHE_DTYPE, name));
    argument(r, "gdn-prefill-backend", name_rule_value(NAME_GDN_PREFILL_BACKEND, name));
    argument(r, "enable-expert-parallel", name_rule_value(NAME_EXPERT_PARALLEL, name));
    argument(r, "kernel-config.enable_flashinfer_autotune",
             name_rule_value(NAME_FLASHINFER_AUTOTUNE, name));
}

static void set_flag(struct opt_bool *flag, bool value)
{
    if (value)
        *flag = (struct opt_bool){ .set = true, .value = true };
}

static void take_flags(struct reading *r, const struct architecture *architecture)
{
    struct model *model = r->model;
    bool deep_gemm = (architecture->flags & ARCHITECTURE_DEEP_GEMM) != 0;
    set_flag(&model->kv_offload_off, (architecture->flags & ARCHITECTURE_NO_OFFLOAD) != 0);
    set_flag(&model->deep_gemm, deep_gemm);
    set_flag(&model->cuda_toolkit,
             deep_gemm || name_rule_names(NAME_CUDA_TOOLKIT, model->short_name));
}

/* ------------------------------------------------------------------ entry */

static int read_config(struct reading *r)
{
    if (take_name(r) < 0)
        return -1;
    const struct architecture *architecture = take_architecture(r);
    if (architecture == NULL)
        return -1;
    const cJSON *method = json_get(member(r, "quantization_config"), "quant_method");
    if (cJSON_IsString(method) && method->valuestring[0] != '\0')
        r->model->quantization = arena_strdup(r->arena, method->valuestring);
    enum memory_class class = class_of(r, architecture);
    r->model->memory_class = memory_class_name(class);
    struct shape shape = shape_of(r);
    if (take_cache(r, &shape) < 0 || take_context(r) < 0)
        return -1;
    take_arguments(r, architecture);
    take_flags(r, architecture);
    return take_weights(r, &shape, class);
}

int model_from_config(const struct model_config *config, struct arena *arena, struct model *out,
                      struct error *err)
{
    AUTO(json) cJSON *json = NULL;
    if (parse(config, &json, err) < 0)
        return -1;
    struct model model = { .node = NULL };
    const cJSON *text = json_get(json, "text_config");
    struct reading reading = {
        .config = config,
        .top = json,
        .text = cJSON_IsObject(text) ? text : json_get(json, "llm_config"),
        .mistral = json_get(json, "n_layers") != NULL && json_get(json, "dim") != NULL,
        .arena = arena,
        .model = &model,
        .err = err,
    };
    int outcome = read_config(&reading);
    if (outcome >= 0)
        *out = model;
    return outcome;
}

void model_print(const struct model *model, struct buf *out)
{
    AUTO(json) cJSON *json = JOBJ(JV("models", JARR(codec_encode(model_type(), model))));
    yaml_print(json, out);
}
