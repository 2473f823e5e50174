/* Why the pods of a workload do not run, from what the kubelet and the scheduler say about them
 * (spec 5.10.2, rows 2 to 7). Pure. */
#pragma once

#include <stdbool.h>

#include "common/base/arena.h"
#include "common/k8s/store.h"

struct pod_trouble {
    const char *reason;
    const char *message; /* at most 256 bytes and a name */
    const char *pod;
    const char *next_step;
};

/* The most telling trouble of all pods; false when there is none. Texts in the arena or static. */
bool pod_trouble_find(const struct object_list *pods, struct arena *arena, struct pod_trouble *out);
