/* Why the pods of a workload do not run, from what the kubelet and the scheduler say about them
 * (spec 5.10.2, rows 2 to 7). Pure. */
#pragma once

#include <stdbool.h>

#include "common/base/arena.h"
#include "common/causes/causes.h"
#include "common/k8s/store.h"

/* The most telling cause in all pods; false when there is none. A pod of a Job that failed counts
 * only while no other one of it is at work. */
bool pod_trouble_find(const struct object_list *pods, const struct cause_context *ctx,
                      struct arena *arena, struct cause_hit *out);

/* KAITO's reason for it in the condition InferenceReady; fewer than there are causes. */
const char *pod_trouble_reason(const struct cause *cause);
