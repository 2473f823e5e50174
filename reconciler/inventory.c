#include "reconciler/inventory.h"

#include <string.h>

#include "common/api/workspace.h"
#include "common/base/metrics.h"
#include "common/json/condition.h"
#include "common/json/json.h"

enum { SUCCEEDED, FAILED, PENDING, DELETING };

static const char *const phase_names[INVENTORY_PHASES] = {
    [SUCCEEDED] = "succeeded", [FAILED] = "error", [PENDING] = "pending", [DELETING] = "deleting"
};

static size_t phase_of(const struct object *workspace)
{
    if (workspace->deleting)
        return DELETING;
    if (json_condition_is(workspace->json, CONDITION_SUCCEEDED, "True"))
        return SUCCEEDED;
    return json_condition_is(workspace->json, CONDITION_STALLED, "True") ? FAILED : PENDING;
}

void inventory_add(struct inventory *inventory, const struct object *workspace)
{
    inventory->phases[phase_of(workspace)]++;
    if (json_condition_is(workspace->json, CONDITION_READY, "True"))
        return;
    const struct cause *cause =
        cause_by_code(json_string_at(json_condition(workspace->json, CONDITION_READY), "reason"));
    inventory->causes[cause != NULL ? cause->id : CAUSE_COUNT]++;
}

void inventory_publish(const struct inventory *inventory)
{
    for (size_t i = 0; i < INVENTORY_PHASES; i++)
        METRIC_SET(METRIC_WORKSPACES, inventory->phases[i], phase_names[i]);
    for (size_t i = 0; i < CAUSE_COUNT; i++)
        METRIC_SET(METRIC_WORKSPACES_BY_CAUSE, inventory->causes[i],
                   cause_of((enum cause_id)i)->code);
    METRIC_SET(METRIC_WORKSPACES_BY_CAUSE, inventory->causes[CAUSE_COUNT], "Other");
}
