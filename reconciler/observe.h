/* What there is to know about one Workspace at one moment: the cached objects, the ConfigMap it
 * names, the provisioner's answer about its nodes. Read once, then decided on; references are held
 * until snapshot_fini. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "common/api/workspace.h"
#include "common/base/arena.h"
#include "common/catalogue/catalogue.h"
#include "common/k8s/client.h"
#include "common/k8s/store.h"
#include "common/msg/envelope.h"
#include "common/plan/config_check.h"
#include "common/plan/plan.h"
#include "proto/messages.h"

/* Index 0 of `revisions` and `pods`: "namespace/name" of their Workspace. */
struct listers {
    struct store *workspaces, *stateful_sets, *jobs, *services, *revisions, *pods;
};
const char *revision_index_workspace(const struct object *object, char out[OBJECT_KEY_BYTES]);
const char *pod_index_workspace(const struct object *object, char out[OBJECT_KEY_BYTES]);

/* The way to the provisioner; the same shape as msg_client_call, so that tests answer themselves.
 */
struct node_port {
    int (*call)(void *context, const char *type, const cJSON *body, int64_t timeout_ms,
                struct envelope *answer, struct error *err);
    void *context;
    const char *url; /* for messages */
};

struct observer {
    const struct listers *listers;
    struct k8s_client *client;
    const struct node_port *nodes;
    const struct catalogue *catalogue;
    const char *cloud;
};

enum config_state { CONFIG_UNUSED, CONFIG_FOUND, CONFIG_DEFAULTED, CONFIG_ABSENT };

struct config_view {
    enum config_state state; /* DEFAULTED: ours to create */
    const char *name;        /* of the ConfigMap; NULL when unused */
    struct config_reading reading;
};

enum nodes_state { NODES_UNASKED, NODES_ANSWERED, NODES_UNREACHABLE };

struct nodes_view {
    enum nodes_state state;
    struct claim_state_list claims; /* or, when deleting, what remains of them */
    int64_t ready_count;
    const char *reason, *problem; /* when unreachable */
};

struct snapshot {
    struct arena *arena;
    const struct object *workspace;
    struct workspace ws;
    const struct machine *machine; /* of resource.instanceType; NULL: not in the catalogue */
    const char *invalid; /* what is wrong with its shape; NULL: nothing, ws can be relied on */
    const char *resource_version;
    const struct object *stateful_set, *job, *service, *headless;
    struct object_list revisions, pods;
    struct config_view config;
    struct nodes_view nodes;
    bool local_nvme_class;
    struct envelope answer; /* keeps what `nodes` borrows */
};

enum { OBSERVE_ABSENT = 1 }; /* the Workspace is gone */

/* From the caches alone, plus the ConfigMap where one is named. `out` must be zeroed; fini in any
 * case. */
MUST_CHECK int observe(const struct observer *observer, struct object_key key, struct arena *arena,
                       struct snapshot *out, struct error *err);

/* Asks for the nodes of the plan, or for their release; never fails: no answer is an observation.
 */
void observe_demand(const struct observer *observer, const struct plan *plan,
                    struct snapshot *snapshot);
void observe_release(const struct observer *observer, struct snapshot *snapshot);

/* Whether weights can be kept on local disks; asked only before the workload exists. */
MUST_CHECK int observe_storage_class(const struct observer *observer, struct snapshot *snapshot,
                                     struct error *err);

bool snapshot_owns(const struct snapshot *snapshot, const struct object *object);
void snapshot_fini(struct snapshot *snapshot);
DEFINE_CLEANUP(snapshot, struct snapshot, snapshot_fini)
