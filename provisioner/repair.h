/* When a node is beyond hope and its claim is given up, as Karpenter's node repair: not Ready for
 * ten minutes, and not together with many others, which would mean that the trouble is elsewhere.
 * Pure. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "common/k8s/object.h"
#include "common/k8s/store.h"

enum {
    REPAIR_AFTER_MS = 10 * 60 * 1000,
    REPAIR_SHARE = 5, /* at most one in so many nodes, rounded up, may be broken */
    REPAIR_BRAKE_MS = 60 * 1000,
};

enum { REPAIR_HEALTHY = -1, REPAIR_DUE = 0 };

/* REPAIR_HEALTHY, REPAIR_DUE, or how long it still has. */
int64_t repair_wait_ms(const struct object *node, int64_t now_ms);

/* False when too many of the nodes that claims brought are not Ready. */
bool repair_is_allowed(const struct object_list *nodes);
