/* The workload of a Workspace: which of its objects to make, change or replace, and how it fares.
 * Pure. */
#pragma once

#include "reconciler/decide.h"
#include "reconciler/manifest.h"

/* Appends the actions that bring Services and StatefulSet, or ConfigMap and Job, to what `ctx`
 * says. False: it cannot be done, *problem says why: a foreign object has the name. */
bool workload_ensure(const struct snapshot *snapshot, const struct manifest_context *ctx,
                     struct decision *out, struct cause_hit *problem);

/* Fills workload, workload_condition, phase, succeeded, state, and stalled where tuning failed for
 * good. `resource_ready`: without it no inference is ready. now_ms and plan are read. */
void workload_findings(const struct snapshot *snapshot, bool resource_ready, struct findings *out);

/* Appends the deletion of a workload that is there; true while any of it is. */
bool workload_remove(const struct snapshot *snapshot, struct decision *out);
