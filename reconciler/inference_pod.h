/* The pod of a preset: engine, its command line, probes, adapters and volumes (spec 6.2). Pure. */
#pragma once

#include "reconciler/manifest.h"

/* The pod spec but for affinity and tolerations. `weights_on_claim`: the weights volume comes from
 * a claim template of the StatefulSet. The caller owns the tree. */
cJSON *inference_pod(const struct manifest_context *ctx, bool weights_on_claim);
