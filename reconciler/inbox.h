/* What others tell or ask the reconciler: NodeState from the provisioner (look again), ConfigCheck
 * from the webhook (a question), Rejection from the webhook (an event). */
#pragma once

#include "common/k8s/events.h"
#include "common/msg/socket.h"
#include "reconciler/workspace_controller.h"

struct inbox_options {
    const char *state_url; /* one for each replica of the provisioner, by ',' */
    const char *config_check_url, *rejection_url;
    const char *tls_dir; /* NULL: none */
};

struct inbox;

/* Fails for a URL that cannot be. Borrows the controller. An empty URL: not listened to. */
MUST_CHECK int inbox_open(const struct inbox_options *options,
                          struct workspace_controller *controller, struct inbox **out,
                          struct error *err);
/* Appends one line for each socket that can neither listen nor dial. */
void inbox_probe(struct inbox *inbox, struct buf *reasons);
void inbox_close(struct inbox *inbox); /* NULL is fine */

/* The handlers themselves, for tests. */
cJSON *inbox_config_check(void *context, const struct envelope *request, const char **answer_type,
                          struct error *err); /* context: struct workspace_controller */
void inbox_rejection(void *context, const struct envelope *message);

/* Follows one publisher at a time; NodeState of several can be mixed. */
struct state_follower {
    struct workspace_controller *controller;
    struct publisher {
        char name[64];
        int64_t sequence;
    } publishers[8]; /* the most recent ones */
    size_t next;     /* to be replaced */
};
void inbox_node_state(void *context, const struct envelope *message); /* struct state_follower */
