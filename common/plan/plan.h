/* The plan: what a Workspace needs, before anything is bought. One pure function for webhook,
 * reconciler and command line: (workspace, catalogue, settings) -> plan, or the reasons why it can
 * never run. The arithmetic is in estimate.h.
 *
 *     nodes   vLLM preset: as many as the estimate says, whatever resource.count is;
 *             transformers and template: resource.count, else 1; tuning: 1
 *     disk    the catalogue's for preset inference; 1024 GiB for tuning and templates
 *
 * The rules that the problems name (M: memory and size, left out under bypass):
 *     plan/machine-unknown      not a machine of the cloud; for templates on azure, anything that
 *                               begins with Standard_N or Standard_D is one
 *     plan/machine-no-cuda      an accelerator that the images cannot use (templates bring theirs)
 *     plan/machine-float16      no bfloat16: tuning and transformers only
 *     plan/model-unknown        not in the catalogue
 *     plan/model-untunable      no tuning recipe
 *     plan/runtime-unsupported  no transformers recipe
 *     plan/runtime-one-node     transformers cannot spread a model over nodes
 *     plan/context-too-long     the config asks for more than the model has
 *     plan/does-not-fit         M: on no number of nodes, or not on one where it must be one
 *     plan/too-many-nodes       M: more than max(resource.count, nodes_max) */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "common/api/workspace.h"
#include "common/base/arena.h"
#include "common/catalogue/catalogue.h"
#include "common/json/field_errors.h"

enum {
    PLAN_CONTEXT_DEFAULT = 2048,
    PLAN_DISK_DEFAULT_GIB = 1024,
    PLAN_ALTERNATIVES_MAX = 3,
    PLAN_FIGURES_MAX = 24,
};

struct plan_settings {
    const struct catalogue *catalogue;
    const char *cloud; /* azure, aws, arc */
    int64_t nodes_max; /* a plan of more than max(resource.count, nodes_max) nodes is refused */
    int64_t context_length; /* explicit max-model-len of the inference config; 0: none */
};

enum plan_workload { PLAN_INFERENCE_PRESET, PLAN_INFERENCE_TEMPLATE, PLAN_TUNING };

/* One number of the plan and how it came about; memory is that of each GPU. */
struct plan_figure {
    const char *name; /* "activation" */
    double value;     /* rounded to two places */
    const char *unit; /* "GiB", "tokens", "s", "" */
    const char *rule;
};

/* A machine of the cloud that would run it: one node of the smallest, or where every one that fits
 * has a price, of the cheapest; several nodes only where no machine does it alone. */
struct plan_alternative {
    const struct machine *machine;
    int64_t node_count;
    double price_per_hour; /* of all nodes; 0: unknown */
};

struct plan {
    enum plan_workload workload;
    enum workspace_runtime runtime;
    const struct model *model;     /* NULL for templates */
    const struct machine *machine; /* NULL for a machine outside the catalogue (templates only) */
    const char *instance_type;     /* the catalogue's spelling, else the user's */
    int64_t node_count;
    int64_t gpus_per_node; /* 0: unknown */
    int64_t tensor_parallel, pipeline_parallel, data_parallel;
    int64_t disk_gib;
    int64_t context_length;      /* vLLM: the explicit one, else the largest that fits; other: 0 */
    double weights_gib;          /* per node; 0: unknown */
    double available_gib;        /* per node, for weights and all else */
    const char *utilisation;     /* "0.84", as given to the server, which the figures reckon with */
    int64_t startup_budget_s;    /* until it is ready; 0 for templates */
    const char *summary;         /* one line for people: "1 x Standard_NC24ads_A100_v4, ..." */
    struct plan_figure *figures; /* none without a model and a machine that can run it */
    size_t figure_count;
    struct plan_alternative alternatives[PLAN_ALTERNATIVES_MAX]; /* best first; with a model */
    size_t alternative_count;
    bool by_price; /* the cheapest; else the smallest */
};

/* Fills `out` (texts in the arena). Every reason why it cannot run becomes one entry of `problems`,
 * with the field path and what to write instead; returns 0 when none was added, else -1. With the
 * annotation kaito.sh/bypass-resource-checks (any value but "false") the M rules are left out.
 * Expects a decoded Workspace; what is structurally missing is skipped silently (validation reports
 * it). */
int plan_make(const struct workspace *ws, const struct plan_settings *settings, struct arena *arena,
              struct plan *out, struct field_errors *problems);
