/* The objects that serve a model: StatefulSet, Service and headless Service (spec 6.1, 6.2, 7.1).
 * Pure; the caller owns the trees, which are sealed. */
#pragma once

#include "reconciler/manifest.h"

/* Why this Workspace cannot be made into a workload, NULL when it can. Never a wrong workload. */
const char *inference_unsupported(const struct manifest_context *ctx);

cJSON *inference_stateful_set(const struct manifest_context *ctx);
cJSON *inference_service(const struct manifest_context *ctx);
cJSON *inference_headless_service(const struct manifest_context *ctx);

const char *inference_headless_name(const struct workspace *ws, struct arena *arena);
