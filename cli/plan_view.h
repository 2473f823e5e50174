/* The plan for people and for programs. */
#pragma once

#include <cjson/cJSON.h>

#include "cli/table.h"
#include "common/plan/plan.h"

/* One row a figure: its name, the value, the rule it comes from. */
void plan_view_table(const struct plan *plan, struct table *table);
/* "Standard_NC24ads_A100_v4, 2 x Standard_NV36ads_A10_v5"; NULL when there are none. */
const char *plan_view_alternatives(const struct plan *plan, struct arena *arena);
/* The members of status.plan, the figures and the alternatives; the caller owns the tree. */
cJSON *plan_view_json(const struct plan *plan);
