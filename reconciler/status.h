/* The status of a Workspace from what was found out about it: conditions, state, plan, timeline.
 * Pure: the same findings give the same status, down to the timestamps, so that nothing is written
 * while nothing changes. */
#pragma once

#include <cjson/cJSON.h>
#include <stdbool.h>
#include <stdint.h>

#include "common/api/workspace.h"
#include "common/base/arena.h"
#include "common/causes/causes.h"
#include "common/plan/plan.h"

/* Phases of the timeline, in their order; the last but one is one of two. */
#define PHASE_PLAN     "Planned"
#define PHASE_NODES    "NodesReady"
#define PHASE_WORKLOAD "WorkloadReady"
#define PHASE_TUNING   "TuningCompleted"
#define PHASE_RELEASE  "Released"

/* One question and its answer. `cause`, `object` and `next_step` may be NULL. */
struct finding {
    bool ok;
    const char *reason; /* of the condition: KAITO's word where it has one */
    const char *message;
    const struct cause *cause; /* its code is told in Ready, in the timeline and in events */
    const char *object;        /* "NodeClaim/ws1234" */
    const char *next_step;     /* what the user can do */
};

/* What was found, under KAITO's reason; NULL: under its own code. */
struct finding finding_from(const struct cause_hit *hit, const char *reason);
const char *finding_code(const struct finding *finding);

struct findings {
    int64_t now_ms;
    bool deleting; /* then only `deletion` counts */
    struct finding deletion;
    const char *phase; /* of the last step in the timeline: PHASE_WORKLOAD or PHASE_TUNING */
    const char *workload_condition; /* InferenceReady or JobStarted */
    const struct plan *plan;        /* NULL: refused; what is known of it stays */
    bool nodes_known;               /* false: claims, nodes and worker_nodes stay */
    struct string_list worker_nodes;
    struct finding claims, nodes, resource;
    struct finding workload;  /* the InferenceReady or JobStarted condition */
    struct finding succeeded; /* WorkspaceSucceeded, and so Ready */
    struct finding stalled;   /* ok: not stalled */
    const char *state;        /* NULL: stays */
};

/* What keeps the Workspace from being ready; `succeeded` when nothing does. */
const struct finding *findings_blocker(const struct findings *findings);

struct workspace_status status_make(const struct workspace *ws, const struct findings *findings,
                                    struct arena *arena);

/* The merge patch from the Workspace's status to `status`, with its resourceVersion; NULL when they
 * are equal. The caller owns the tree. */
cJSON *status_patch(const struct workspace *ws, const struct workspace_status *status,
                    const char *resource_version);

const struct condition *status_condition(const struct workspace_status *status, const char *type);
bool status_is_true(const struct workspace_status *status, const char *type);

/* A reason the API server accepts: what it forbids is left out; `otherwise` when nothing is left.
 */
const char *reason_sanitise(const char *reason, const char *otherwise, struct arena *arena);
