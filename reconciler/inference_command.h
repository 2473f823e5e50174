/* The command line of a preset's engine (spec 6.2.3, 6.2.4), and what it and the rest of the pod
 * agree on. Pure; texts in the arena. */
#pragma once

#include "reconciler/manifest.h"

#define WEIGHTS_FOLDER "/workspace/weights"

/* For the shell: vLLM on one node, vLLM and Ray on several, or transformers. */
const char *inference_command(const struct manifest_context *ctx);

/* One engine on several nodes. */
bool inference_is_distributed(const struct manifest_context *ctx);
/* Of pod 0, by the headless Service. */
const char *inference_leader_address(const struct manifest_context *ctx);

/* The weights lie on the node already (annotation kaito.sh/use-local-weights), and where. */
bool inference_uses_local_weights(const struct workspace *ws);
const char *inference_local_weights(const struct manifest_context *ctx);
