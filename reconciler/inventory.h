/* How many Workspaces there are, by phase and by the cause that keeps them from being ready: for
 * the metrics. */
#pragma once

#include "common/causes/causes.h"
#include "common/k8s/object.h"

enum { INVENTORY_PHASES = 4 };

struct inventory {
    unsigned phases[INVENTORY_PHASES];
    unsigned causes[CAUSE_COUNT + 1]; /* the last: others than the catalogue's */
};

#define INVENTORY_INIT  \
    {                   \
        .phases = { 0 } \
    }

void inventory_add(struct inventory *inventory, const struct object *workspace);
void inventory_publish(const struct inventory *inventory);
