/* What is wrong in the ConfigMap that a Workspace names, before anything is bought for it; and the
 * two facts that planning and manifests take from it. Rules F2, F3, F5, F6 (inference) and T11 to
 * T21 (tuning) of the spec. Pure. */
#pragma once

#include <cjson/cJSON.h>
#include <stdint.h>

#include "common/api/workspace.h"
#include "common/base/arena.h"
#include "common/catalogue/catalogue.h"
#include "common/json/field_errors.h"

#define INFERENCE_CONFIG_KEY "inference_config.yaml"
#define TUNING_CONFIG_KEY    "training_config.yaml"

enum config_use { CONFIG_FOR_INFERENCE, CONFIG_FOR_TUNING };

struct config_reading {
    struct field_errors problems;
    int64_t context_length; /* vllm.max-model-len; 0: not set */
    const char *output_dir; /* TrainingArguments.output_dir as written; NULL: not set */
};

/* `data` is the ConfigMap's `data` member (may be NULL), `name` "namespace/name" for the texts.
 * `model` may be NULL: then nothing is said about its context. Texts live in the arena or borrow
 * from `data`. */
void config_check(enum config_use use, const cJSON *data, const char *name,
                  const struct workspace *ws, const struct model *model, struct arena *arena,
                  struct config_reading *out);

/* The member of a Workspace that names the ConfigMap: "inference.config". */
const char *config_path(enum config_use use);

/* The first problem as one text, NULL when there is none. */
const char *config_refusal(const struct field_errors *problems, struct arena *arena);

/* Where the training program writes for an output_dir: as it resolves it, from its own folder. */
const char *tuning_results_directory(const char *output_dir, struct arena *arena);
