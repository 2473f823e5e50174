#include "common/plan/config_check.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "common/base/memory.h"
#include "common/json/json.h"
#include "common/json/yaml.h"

#define TRAINING_FOLDER "/workspace/tfs"
#define DATA_FOLDER     "/mnt"

struct check {
    struct arena *arena;
    struct config_reading *out;
    const char *path; /* of the reference in the Workspace */
    const char *name; /* of the ConfigMap */
    const char *key;
};

struct problem {
    const char *rule, *inner, *value, *detail, *fix;
};

static void add(struct check *check, struct problem problem)
{
    const char *colon = problem.inner != NULL ? ": " : "";
    const struct field_error error = {
        .path = check->path,
        .kind = FIELD_INVALID,
        .value = problem.value,
        .detail =
            arena_printf(check->arena, "ConfigMap %s, key %s%s%s: %s", check->name, check->key,
                         colon, problem.inner != NULL ? problem.inner : "", problem.detail),
        .fix = problem.fix,
        .rule = problem.rule,
    };
    field_errors_add(&check->out->problems, &error);
}

static const char *show(struct check *check, const cJSON *value)
{
    AUTO_FREE char *text = json_print(value);
    return arena_strndup(check->arena, text, 128);
}

/* The document under the key, or NULL after reporting why not. */
static cJSON *document(struct check *check, const cJSON *data, const char *missing_rule,
                       const char *syntax_rule)
{
    const cJSON *text = json_get(data, check->key);
    if (!cJSON_IsString(text)) {
        add(check, (struct problem){
                       .rule = missing_rule,
                       .detail = "the ConfigMap has no such key",
                       .fix = arena_printf(check->arena, "put the content under %s", check->key) });
        return NULL;
    }
    cJSON *json = NULL;
    struct error err = ERROR_INIT;
    if (yaml_to_json(text->valuestring, strlen(text->valuestring), &json, &err) < 0) {
        add(check, (struct problem){ .rule = syntax_rule,
                                     .detail = arena_strdup(check->arena, err.message),
                                     .fix = "write it as YAML" });
        return NULL;
    }
    return json;
}

/* ------------------------------------------------------------------ inference */

static void check_context(struct check *check, const cJSON *value, const struct model *model)
{
    int64_t length = 0;
    bool integer = json_to_integer(value, &length);
    if (cJSON_IsString(value)) {
        if (value->valuestring[strspn(value->valuestring, " \t")] == '\0')
            return;
        char *end = NULL;
        length = strtoll(value->valuestring, &end, 10);
        integer = *end == '\0' && length <= JSON_INTEGER_MAX;
    }
    int64_t most = model != NULL ? model->context_max.value : 0;
    const char *fix =
        most > 0 ? arena_printf(check->arena, "write a number from 1 to %lld", (long long)most)
                 : "write a positive number of tokens";
    if (!integer || length < 1) {
        add(check, (struct problem){ .rule = "F5",
                                     .inner = "vllm.max-model-len",
                                     .value = show(check, value),
                                     .detail = "must be a positive integer",
                                     .fix = fix });
    } else if (most > 0 && length > most) {
        add(check, (struct problem){ .rule = "F6",
                                     .inner = "vllm.max-model-len",
                                     .value = show(check, value),
                                     .detail = arena_printf(
                                         check->arena, "%s knows a context of %lld tokens at most",
                                         model->name, (long long)most),
                                     .fix = fix });
    } else {
        check->out->context_length = length;
    }
}

static void check_inference(struct check *check, const cJSON *data, const struct model *model)
{
    AUTO(json) cJSON *json = document(check, data, "F2", "F3");
    if (json == NULL || cJSON_IsNull(json))
        return;
    const cJSON *vllm = json_get(json, "vllm");
    if (!cJSON_IsObject(json) || (vllm != NULL && !cJSON_IsObject(vllm) && !cJSON_IsNull(vllm))) {
        add(check, (struct problem){ .rule = "F3",
                                     .detail = "must be a map with a map \"vllm\" in it",
                                     .fix = "write \"vllm:\" and below it one line an option" });
        return;
    }
    const cJSON *option;
    cJSON_ArrayForEach(option, vllm) {
        if (cJSON_IsObject(option) || cJSON_IsArray(option))
            add(check,
                (struct problem){ .rule = "F3",
                                  .inner = arena_printf(check->arena, "vllm.%s", option->string),
                                  .value = show(check, option),
                                  .detail = "must be one value, not a list or a map",
                                  .fix = "write a structured option as quoted JSON text" });
        else if (strcmp(option->string, "max-model-len") == 0 && !cJSON_IsNull(option))
            check_context(check, option, model);
    }
}

/* ------------------------------------------------------------------ tuning */

static bool is_qlora(const struct workspace *ws)
{
    return ws->tuning != NULL && ws->tuning->method != NULL &&
           strcasecmp(ws->tuning->method, "qlora") == 0;
}

static void check_sections(struct check *check, const cJSON *config)
{
    static const char *const known[] = {
        "ModelConfig",       "QuantizationConfig", "LoraConfig",
        "TrainingArguments", "DatasetConfig",      "DataCollator"
    };
    const cJSON *section;
    cJSON_ArrayForEach(section, config) {
        size_t i = 0;
        while (i < ARRAY_LEN(known) && strcmp(section->string, known[i]) != 0)
            i++;
        if (i == ARRAY_LEN(known))
            add(check,
                (struct problem){ .rule = "T14",
                                  .inner = "training_config",
                                  .value = arena_strndup(check->arena, section->string, 128),
                                  .detail = "is not a section of the training configuration",
                                  .fix = "use ModelConfig, QuantizationConfig, LoraConfig, "
                                         "TrainingArguments, DatasetConfig or DataCollator" });
    }
}

static bool check_flag(struct check *check, const cJSON *section, const char *name,
                       const char *rule)
{
    const cJSON *flag = json_get(section, name);
    if (flag != NULL && !cJSON_IsNull(flag) && !cJSON_IsBool(flag))
        add(check,
            (struct problem){ .rule = rule,
                              .inner = arena_printf(check->arena, "QuantizationConfig.%s", name),
                              .value = show(check, flag),
                              .detail = "must be true or false, without quotes",
                              .fix = "write true or false" });
    return cJSON_IsTrue(flag);
}

static void check_quantisation(struct check *check, const struct workspace *ws,
                               const cJSON *section)
{
    bool four = check_flag(check, section, "load_in_4bit", "T15");
    bool eight = check_flag(check, section, "load_in_8bit", "T16");
    if (four && eight)
        add(check, (struct problem){ .rule = "T17",
                                     .inner = "QuantizationConfig",
                                     .detail = "load_in_4bit and load_in_8bit exclude each other",
                                     .fix = "keep one of them" });
    if (is_qlora(ws) && !four && !eight)
        add(check, (struct problem){ .rule = "T19",
                                     .inner = "QuantizationConfig",
                                     .detail = "method qlora needs load_in_4bit or load_in_8bit",
                                     .fix = "write load_in_4bit: true, or use method lora" });
    if (!is_qlora(ws) && (four || eight))
        add(check, (struct problem){ .rule = "T18",
                                     .inner = "QuantizationConfig",
                                     .detail = "method lora does not quantise",
                                     .fix = "remove load_in_4bit and load_in_8bit, or use method "
                                            "qlora" });
}

/* As Go's path.Clean of an absolute path. */
static const char *clean(const char *path, struct arena *arena)
{
    char *out = arena_strdup(arena, path);
    size_t length = 0; /* of `out`, without a trailing slash */
    for (const char *p = path; *p != '\0';) {
        size_t step = strcspn(p, "/");
        if (step == 2 && p[0] == '.' && p[1] == '.') {
            while (length > 0 && out[--length] != '/')
                ;
        } else if (step > 0 && !(step == 1 && p[0] == '.')) {
            out[length++] = '/';
            memmove(out + length, p, step);
            length += step;
        }
        p += step;
        p += *p == '/';
    }
    if (length == 0)
        out[length++] = '/';
    out[length] = '\0';
    return out;
}

static void check_output_directory(struct check *check, const cJSON *value)
{
    if (value == NULL)
        return;
    const char *fix = "write a folder below /mnt, such as /mnt/results";
    if (!cJSON_IsString(value)) {
        add(check, (struct problem){ .rule = "T20",
                                     .inner = "TrainingArguments.output_dir",
                                     .value = show(check, value),
                                     .detail = "must be text",
                                     .fix = fix });
        return;
    }
    struct arena *arena = check->arena;
    const char *joined = clean(arena_printf(arena, DATA_FOLDER "/%s", value->valuestring), arena);
    const char *results = tuning_results_directory(value->valuestring, arena);
    if (strncmp(joined, DATA_FOLDER, strlen(DATA_FOLDER)) != 0 ||
        strcmp(joined, DATA_FOLDER) == 0 || strcmp(results, DATA_FOLDER) == 0)
        add(check, (struct problem){ .rule = "T21",
                                     .inner = "TrainingArguments.output_dir",
                                     .value = show(check, value),
                                     .detail = "must name a folder of its own below /mnt",
                                     .fix = fix });
    else if (strcmp(results, DATA_FOLDER "/data") == 0 ||
             strcmp(results, DATA_FOLDER "/config") == 0)
        add(check, (struct problem){ .rule = "T21",
                                     .inner = "TrainingArguments.output_dir",
                                     .value = show(check, value),
                                     .detail = "is where the input or the configuration is",
                                     .fix = fix });
    else
        check->out->output_dir = arena_strdup(arena, value->valuestring);
}

static void check_tuning(struct check *check, const cJSON *data, const struct workspace *ws)
{
    AUTO(json) cJSON *json = document(check, data, "T11", "T12");
    if (json == NULL)
        return;
    const cJSON *config = json_get(json, "training_config");
    if (!cJSON_IsObject(config)) {
        add(check, (struct problem){ .rule = "T13",
                                     .detail = "must be a map with a map \"training_config\" in it",
                                     .fix = "write \"training_config:\" and the sections below" });
        return;
    }
    check_sections(check, config);
    check_quantisation(check, ws, json_get(config, "QuantizationConfig"));
    check_output_directory(check, json_at(config, "TrainingArguments.output_dir"));
}

/* ------------------------------------------------------------------ */

const char *config_path(enum config_use use)
{
    return use == CONFIG_FOR_INFERENCE ? "inference.config" : "tuning.config";
}

void config_check(enum config_use use, const cJSON *data, const char *name,
                  const struct workspace *ws, const struct model *model, struct arena *arena,
                  struct config_reading *out)
{
    *out = (struct config_reading){ .context_length = 0 };
    field_errors_init(&out->problems, arena);
    struct check check = {
        .arena = arena,
        .out = out,
        .path = config_path(use),
        .name = name,
        .key = use == CONFIG_FOR_INFERENCE ? INFERENCE_CONFIG_KEY : TUNING_CONFIG_KEY,
    };
    if (use == CONFIG_FOR_INFERENCE)
        check_inference(&check, data, model);
    else
        check_tuning(&check, data, ws);
}

const char *config_refusal(const struct field_errors *problems, struct arena *arena)
{
    if (problems->count == 0)
        return NULL;
    const struct field_error *first = &problems->items[0];
    return arena_printf(arena, "%s: %s; %s", first->path, first->detail, first->fix);
}

const char *tuning_results_directory(const char *output_dir, struct arena *arena)
{
    if (output_dir == NULL || output_dir[0] == '\0')
        return DATA_FOLDER "/output";
    if (output_dir[0] == '/')
        return clean(output_dir, arena);
    return clean(arena_printf(arena, TRAINING_FOLDER "/%s", output_dir), arena);
}
