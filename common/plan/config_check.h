/* What is wrong in the ConfigMap that a Workspace names, before anything is bought for it; and the
 * two facts that planning and manifests take from it. Rules F2, F3, F5, F6 (inference) and T11 to
 * T21 (tuning) of the spec. Pure. */
#pragma once

#include <cjson/cJSON.h>
#include <stdint.h>

#include "common/api/workspace.h"
#include "common/base/arena.h"
#include "common/catalogue/catalogue.h"
#include "proto/messages.h"

#define INFERENCE_CONFIG_KEY "inference_config.yaml"
#define TUNING_CONFIG_KEY    "training_config.yaml"

enum { CONFIG_FINDINGS_MAX = 32 };

enum config_use { CONFIG_FOR_INFERENCE, CONFIG_FOR_TUNING };

struct config_reading {
    struct config_findings findings;
    int64_t context_length; /* vllm.max-model-len; 0: not set */
    const char *output_dir; /* TrainingArguments.output_dir as written; NULL: not set */
};

/* `data` is the ConfigMap's `data` member (may be NULL), `name` "namespace/name" for the texts.
 * `model` may be NULL: then nothing is said about its context. Texts live in the arena or borrow
 * from `data`. */
void config_check(enum config_use use, const cJSON *data, const char *name,
                  const struct workspace *ws, const struct model *model, struct arena *arena,
                  struct config_reading *out);

/* A ConfigMap that could not be had: one finding, a warning. */
void config_missing(enum config_use use, const char *name, const char *why, struct arena *arena,
                    struct config_findings *out);

/* The first finding that is an error as one text, NULL when there is none. */
const char *config_refusal(const struct config_findings *findings, struct arena *arena);

/* Where the training program writes for an output_dir: as it resolves it, from its own folder. */
const char *tuning_results_directory(const char *output_dir, struct arena *arena);
