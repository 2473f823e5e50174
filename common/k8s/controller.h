/* The worker loop: N threads take keys from a workqueue and call the reconciler, and one place
 * decides what a result means (as controller-runtime's reconcileHandler): success forgets the
 * failures and honours requeue_after_ms; an error backs off (retry class NEVER: logged, not
 * retried; AFTER: after retry_after_ms). Counts and times into the metrics under its name. */
#pragma once

#include <stdint.h>

#include "common/base/error.h"
#include "common/k8s/workqueue.h"

struct reconcile_result {
    int64_t requeue_after_ms; /* 0: only when something changes */
};

/* 0, or -1 with *err. Called by several threads at once, never for one key twice at a time. */
typedef int reconcile_function(void *context, const char *key, struct reconcile_result *result,
                               struct error *err);

struct controller;

struct controller *controller_start(const char *name, struct workqueue *queue, unsigned workers,
                                    reconcile_function *reconcile, void *context);
/* Shuts the queue down, joins the workers, frees. The queue stays the caller's. NULL is fine. */
void controller_stop(struct controller *controller);

/* One key, on this thread, as a worker would; false when nothing was due. For tests. */
bool controller_run_one(const char *name, struct workqueue *queue, reconcile_function *reconcile,
                        void *context);
