#include "reconciler/inventory.h"

#include <string.h>

#include "common/api/workspace.h"
#include "common/base/metrics.h"
#include "common/json/json.h"

enum { SUCCEEDED, FAILED, PENDING, DELETING };

static const char *const phase_names[INVENTORY_PHASES] = {
    [SUCCEEDED] = "succeeded", [FAILED] = "error", [PENDING] = "pending", [DELETING] = "deleting"
};

static const cJSON *condition_of(const struct object *workspace, const char *type)
{
    const cJSON *condition;
    cJSON_ArrayForEach(condition, json_at(workspace->json, "status.conditions")) {
        const char *name = json_string_at(condition, "type");
        if (name != NULL && strcmp(name, type) == 0)
            return condition;
    }
    return NULL;
}

static bool is_true(const struct object *workspace, const char *type)
{
    const char *status = json_string_at(condition_of(workspace, type), "status");
    return status != NULL && strcmp(status, "True") == 0;
}

static size_t phase_of(const struct object *workspace)
{
    if (workspace->deleting)
        return DELETING;
    if (is_true(workspace, CONDITION_SUCCEEDED))
        return SUCCEEDED;
    return is_true(workspace, CONDITION_STALLED) ? FAILED : PENDING;
}

void inventory_add(struct inventory *inventory, const struct object *workspace)
{
    inventory->phases[phase_of(workspace)]++;
    if (is_true(workspace, CONDITION_READY))
        return;
    const struct cause *cause =
        cause_by_code(json_string_at(condition_of(workspace, CONDITION_READY), "reason"));
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
