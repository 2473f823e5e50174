/* The Workspace, typed, and the constants that belong to it: one shape for kaito.sh/v1alpha1 and
 * kaito.sh/v1beta1. The members are in workspace.def. */
#pragma once

#include "common/json/codec.h"

#define CODEC_DECLARE
#include "common/json/codec_begin.h"
#include "common/api/workspace.def"
#include "common/json/codec_end.h"

#define WORKSPACE_GROUP       "kaito.sh"
#define WORKSPACE_API_VERSION "kaito.sh/v1beta1" /* stored and written by us */
#define WORKSPACE_KIND        "Workspace"
#define WORKSPACE_FINALIZER   "workspace.finalizer.kaito.sh"

/* Labels and annotations (spec 1.5). */
#define LABEL_WORKSPACE           "kaito.sh/workspace"
#define LABEL_WORKSPACE_NAMESPACE "kaito.sh/workspacenamespace"
#define LABEL_REVISION_NAME       "workspace.kaito.io/name"
#define LABEL_INFERENCE_ROLE      "kaito.sh/inference-role"
#define LABEL_NODEPOOL            "karpenter.sh/nodepool"
#define ANNOTATION_HASH           "workspace.kaito.io/hash"
#define ANNOTATION_REVISION       "workspace.kaito.io/revision"
#define ANNOTATION_RUNTIME        "kaito.sh/runtime"
#define ANNOTATION_ENABLE_LB      "kaito.sh/enablelb"
#define ANNOTATION_BYPASS         "kaito.sh/bypass-resource-checks"
#define ANNOTATION_IMAGE_FAMILY   "kaito.sh/node-image-family"
#define ANNOTATION_NODE_CLASS     "kaito.sh/node-class-name"
#define ANNOTATION_NO_BENCHMARK   "kaito.sh/disable-benchmark"
#define ANNOTATION_PERFORMANCE    "kaito.sh/performance-mode"
#define ANNOTATION_LOCAL_WEIGHTS  "kaito.sh/use-local-weights"
#define ANNOTATION_DO_NOT_DISRUPT "karpenter.sh/do-not-disrupt"
#define ANNOTATION_WORKSPACE_UID \
    "kaito.sh/workspace-uid" /* ours, on NodeClaims: which life of the name */

/* Condition types (spec 1.4, DESIGN 4.4). */
#define CONDITION_NODECLAIM_READY "NodeClaimReady"
#define CONDITION_NODES_READY     "NodesReady"
#define CONDITION_RESOURCE_READY  "ResourceReady"
#define CONDITION_INFERENCE_READY "InferenceReady"
#define CONDITION_JOB_STARTED     "JobStarted"
#define CONDITION_DELETING        "WorkspaceDeleting"
#define CONDITION_SUCCEEDED       "WorkspaceSucceeded"
#define CONDITION_READY           "Ready"
#define CONDITION_RECONCILING     "Reconciling"
#define CONDITION_STALLED         "Stalled"

enum { WORKSPACE_ADAPTERS_MAX = 10 };

/* Decodes one Workspace of either version; all problems go into `errors` (paths from the root).
 * Borrowing rules as in codec.h. Returns 0 or -1. */
int workspace_decode(const cJSON *json, struct arena *arena, struct workspace *out,
                     struct field_errors *errors);

/* The metadata of an object, never NULL after workspace_decode. */
const char *workspace_annotation(const struct workspace *ws, const char *key); /* NULL if absent */
const char *workspace_label(const struct workspace *ws, const char *key);

enum workspace_runtime { RUNTIME_VLLM, RUNTIME_TRANSFORMERS };
enum workspace_runtime workspace_runtime(
    const struct workspace *ws); /* spec 2: anything else is vllm */

/* matchLabels without the eight reserved keys (spec 1.5), in the user's order; arrays in the arena.
 */
struct string_map workspace_match_labels(const struct workspace *ws, struct arena *arena);
bool label_is_reserved(const char *key);
