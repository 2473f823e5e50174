/* A node is emptied before its machine goes: nothing new is placed there and its pods are asked to
 * leave, in the way that respects PodDisruptionBudgets. */
#pragma once

#include <stdint.h>

#include "common/base/clock.h"
#include "common/k8s/client.h"

enum { DRAIN_POLL_MS = 250 };

/* 1 while pods are still leaving: look again after *wait_ms. 0 when none is left, when they had
 * `limit_ms` since the claim's deletion, or when there is no such node. */
MUST_CHECK int drain_node(struct k8s_client *client, const struct clock *clock,
                          const struct object *claim, const char *node, int64_t limit_ms,
                          int64_t *wait_ms, struct error *err);
