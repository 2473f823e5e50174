/* Validation: all that is wrong with a Workspace, at once. Pure: the rules of rules.def, then the
 * plan.
 *
 * An update is judged only on what it changes: a problem that the old object has as well is not
 * reported, and an update of nothing but metadata that no rule looks at, of status, or of an
 * object that is being deleted passes whatever it looks like, so that no object can freeze. */
#pragma once

#include "common/api/workspace.h"
#include "common/json/field_errors.h"
#include "common/plan/plan.h"

struct validation {
    struct workspace ws;          /* decoded; all zero when `judged` is false */
    struct field_errors errors;   /* refuse */
    struct field_errors warnings; /* let pass */
    struct plan plan;
    bool judged;  /* false: nothing of the spec changed */
    bool planned; /* the plan was made and is feasible */
    /* The ConfigMap whose content is to be checked, because this request is the first to name it;
     * NULL otherwise. */
    const char *config;
    const char *config_kind; /* "inference" or "tuning" */
};

/* `old`: NULL on creation. Everything in `out` borrows from the objects and the arena. */
void workspace_validate(const cJSON *object, const cJSON *old, const struct plan_settings *settings,
                        struct arena *arena, struct validation *out);
