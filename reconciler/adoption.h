/* StatefulSets that KAITO made for a Workspace. They stay as they are, whatever our manifest looks
 * like, until that changes: then one of ours takes the place and the pods, which it rolls. A note
 * on the StatefulSet says for which manifest of ours it stands. Pure. */
#pragma once

#include "reconciler/decide.h"
#include "reconciler/manifest.h"

/* The Workspace's, and no manifest of ours has been applied to it. */
bool adoption_applies(const struct snapshot *snapshot);

/* Such a workload keeps its number of nodes, whatever the plan says. */
void adoption_keep_nodes(const struct snapshot *snapshot, struct plan *plan);

/* Appends what is to be done about it, given the manifest (taken) that we would have made. */
void adoption_ensure(const struct snapshot *snapshot, const struct manifest_context *ctx,
                     cJSON *take, struct decision *out);

/* The object was made of this revision of its Workspace, by whichever operator. */
bool adoption_has_revision(const struct object *object, int64_t revision);
