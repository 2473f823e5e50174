/* The Job that tunes a model, and the default training configuration (spec 6.3, 6.5.1, 7.8). Pure;
 * the caller owns the trees. */
#pragma once

#include "reconciler/manifest.h"

enum tuning_method { TUNING_UNKNOWN, TUNING_LORA, TUNING_QLORA };

/* By the spec's method, whatever its case. */
enum tuning_method tuning_method(const struct workspace *ws);

/* The ConfigMap whose content is used: the one named, else the default of the method, which is
 * another one for machines that have no bfloat16 (machine may be NULL). */
const char *tuning_config_name(const struct workspace *ws, const struct machine *machine);
/* True when it is one that we make where it is missing. */
bool tuning_config_is_default(const struct workspace *ws);
/* Not owned, never changed once it is there: it becomes the user's. */
cJSON *tuning_default_config(const struct workspace *ws, const struct machine *machine);

const char *tuning_unsupported(const struct manifest_context *ctx);
cJSON *tuning_job(const struct manifest_context *ctx);
