/* What the provisioner's answer says about a Workspace's nodes, in the words of its conditions
 * (spec 5.6). Pure. */
#pragma once

#include "reconciler/observe.h"
#include "reconciler/status.h"

/* Fills claims, nodes, resource, nodes_known and worker_nodes. Where the provisioner does not answer, what was
 * known of this generation to be ready stays so. */
void node_findings(const struct snapshot *snapshot, const struct plan *plan,
                   struct findings *out);

/* "a, b, c and 2 more" in the arena. */
const char *claim_names(const struct claim_state_list *claims, struct arena *arena);
