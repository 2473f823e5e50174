/* The reconcile of one Workspace: observe, decide, act; and which keys a changed object concerns.
 */
#pragma once

#include "common/base/clock.h"
#include "common/catalogue/source.h"
#include "common/k8s/controller.h"
#include "common/k8s/membership.h"
#include "reconciler/act.h"
#include "reconciler/decide.h"
#include "reconciler/observe.h"

struct workspace_controller {
    struct catalogue_source *catalogue; /* NULL: the compiled-in one */
    struct observer observer;           /* its catalogue is taken for each reconcile */
    struct actor actor;
    struct decide_settings settings; /* likewise */
    const struct clock *clock;
    struct workqueue *queue;
    struct membership *members; /* whose keys these are; NULL: all are ours */
    int64_t resync_ms;          /* of each key, give or take a tenth */
};

/* A reconcile_function; the context is a struct workspace_controller. */
int workspace_reconcile(void *context, const char *key, struct reconcile_result *result,
                        struct error *err);

/* informer_handlers; the context is a struct workspace_controller. The first for Workspaces, the
 * second for everything that can belong to one. */
void workspace_changed(void *context, const struct object *before, const struct object *after);
void workspace_part_changed(void *context, const struct object *before, const struct object *after);

/* Every Workspace that is not at rest: for what may have been missed. */
void workspace_enqueue_restless(struct workspace_controller *controller);
void workspace_enqueue(struct workspace_controller *controller, struct object_key key);

/* Of the replicas this one looks after that Workspace; the others turn its key away. */
bool workspace_is_ours(const struct workspace_controller *controller, struct object_key key);
/* A membership_changed; the context is a struct workspace_controller. */
void workspace_enqueue_all(void *context);
