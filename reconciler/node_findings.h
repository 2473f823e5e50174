/* What the provisioner's answer says about a Workspace's nodes, in the words of its conditions
 * (spec 5.6). Pure. */
#pragma once

#include "reconciler/observe.h"
#include "reconciler/status.h"

/* Fills claims, nodes, resource, nodes_known and worker_nodes. Where the provisioner does not
 * answer, what was known of this generation to be ready stays so. In the first minute nothing is
 * said of single claims, unless one failed: most are ready by then, and each word is a write. */
enum { NODES_QUIET_MS = 60 * 1000 };
void node_findings(const struct snapshot *snapshot, const struct plan *plan, int64_t now_ms,
                   struct findings *out);

/* Why the provisioner could not be asked. */
struct cause_hit provisioner_problem(const struct snapshot *snapshot);

/* "a, b, c and 2 more" in the arena. */
const char *claim_names(const struct claim_state_list *claims, struct arena *arena);
