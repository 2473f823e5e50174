#include "provisioner/repair.h"

#include "common/api/workspace.h"
#include "common/base/clock.h"
#include "common/json/json.h"
#include "provisioner/claim.h"

int64_t repair_wait_ms(const struct object *node, int64_t now_ms)
{
    const char *since =
        json_string_at(node->json, "status.conditions[type=Ready].lastTransitionTime");
    int64_t since_ms;
    if (node->deleting || node_is_ready(node) || since == NULL ||
        rfc3339_parse(since, &since_ms) < 0)
        return REPAIR_HEALTHY;
    int64_t left_ms = since_ms + REPAIR_AFTER_MS - now_ms;
    return left_ms > 0 ? left_ms : REPAIR_DUE;
}

bool repair_is_allowed(const struct object_list *nodes)
{
    size_t all = 0, broken = 0;
    for (size_t i = 0; i < nodes->count; i++) {
        if (object_label(nodes->items[i], LABEL_NODEPOOL) == NULL)
            continue;
        all++;
        broken += !node_is_ready(nodes->items[i]);
    }
    return broken <= (all + REPAIR_SHARE - 1) / REPAIR_SHARE;
}
