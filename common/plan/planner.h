/* What the parts of plan.c share while one plan is made; nobody else includes it. */
#pragma once

#include "common/plan/estimate.h"
#include "common/plan/plan.h"

struct planner {
    const struct workspace *ws;
    const struct plan_settings *settings;
    struct arena *arena;
    struct plan *out;
    struct field_errors *problems;
    const char *preset_path; /* inference.preset.name or tuning.preset.name */
    const char *preset_name; /* NULL: missing, or a template */
    int64_t count;           /* resource.count, at least 1 */
    int64_t adapters;
    struct estimate estimate; /* of a vLLM preset on the machine */
    bool bypass;              /* leave memory and size rules out */
    bool usable;              /* the machine is known and can run such a workload */
    bool compared;            /* out->alternatives are there */
};

int64_t planner_nodes_max(const struct planner *p);
int64_t planner_context_asked(const struct planner *p);

/* alternatives.c */
/* How many of these machines would run the Workspace; 0: no number of them. */
int64_t planner_nodes_on(const struct planner *p, const struct machine *machine);
void planner_compare(struct planner *p); /* fills in out->alternatives, once */
/* "the smallest that can run it: A, B, 2 x C" and `more`; or that there are none. */
const char *planner_machine_fix(struct planner *p, const char *more);

/* figures.c */
void planner_figures(struct planner *p);
