/* The claims role: answers NodeDemand and NodeRelease, publishes NodeState, and deletes claims
 * whose Workspace is gone. It creates nothing for a Workspace that does not exist with that UID or
 * is being deleted, whatever a late message says.
 *
 * Of several replicas each answers every request and publishes what it sees (an answer may come
 * from an older cache than another's message); the sweep of a claim is its Workspace's owner's. Two
 * replicas that work on one demand make the same names, so that one of them meets 409. Only a claim
 * that is on its way out can part them: one replica sees its name taken and takes the next, the
 * other sees it free. Therefore each looks again after creating. Of two that create and then look,
 * at least one sees both claims, and both would delete the same one. */
#pragma once

#include "common/base/clock.h"
#include "common/base/stop.h"
#include "common/catalogue/source.h"
#include "common/k8s/client.h"
#include "common/k8s/events.h"
#include "common/k8s/informer.h"
#include "common/k8s/membership.h"
#include "common/msg/socket.h"

struct claims_options {
    struct k8s_client *client;
    struct informer *claims; /* with claim_workspace_index as index 0 */
    struct informer *nodes;  /* with node_provider_index as index 0 */
    struct informer *workspaces;
    struct event_recorder *events;
    struct catalogue_source *catalogue; /* NULL: the compiled-in one */
    const char *cloud;
    struct membership *members; /* of the provisioner's replicas; NULL: we are alone */
    const struct clock *clock;
};

struct claims;

/* Adds handlers to the informers: call before they start. Everything in options is borrowed. */
struct claims *claims_new(const struct claims_options *options);

/* For msg_server_start: answers NodeDemand and NodeRelease. `context` is a struct claims. */
cJSON *claims_handle(void *context, const struct envelope *request, const char **answer_type,
                     struct error *err);

/* Starts the workers; states go out through `publisher` (borrowed; NULL: nowhere). */
void claims_start(struct claims *claims, struct msg_sender *publisher);
/* Joins the workers; the message server must be stopped before. Then free the informers, which
 * still hand out changes, and only then the rest. NULL is fine for both. */
void claims_stop(struct claims *claims);
void claims_free(struct claims *claims);

/* spec.providerID of a node, for its store's index. */
const char *node_provider_index(const struct object *node, char out[OBJECT_KEY_BYTES]);

/* Every claim is looked at again: after the membership changed. */
void claims_enqueue_all(struct claims *claims);

/* Parts for tests: one key of each queue on this thread; false when none is due. */
bool claims_publish_one(struct claims *claims);
bool claims_sweep_one(struct claims *claims);
