/* The fulfil role: NodeClaims into nodes through a driver, in the steps Karpenter's contract names:
 * Launched (the cloud has the machine), Registered (its node joined), Initialized (the node is
 * Ready and shows its resources), and back: drained, terminated, finalizer removed. The claim's
 * status is the only memory. */
#pragma once

#include "common/base/clock.h"
#include "common/k8s/client.h"
#include "common/k8s/informer.h"
#include "common/k8s/membership.h"
#include "provisioner/driver.h"

struct fulfil_options {
    struct k8s_client *client;
    struct informer *claims;
    struct informer *nodes; /* with node_provider_index as index 0 */
    struct driver *driver;
    struct membership *members; /* whose claims these are; NULL: all are ours */
    const struct clock *clock;
    unsigned workers;
};

struct fulfil;

/* Adds handlers to the informers: call before they start. Everything in options is borrowed. */
struct fulfil *fulfil_new(const struct fulfil_options *options);
void fulfil_start(struct fulfil *fulfil);
/* Joins the workers; free the informers after it and the rest after them. NULL is fine for both. */
void fulfil_stop(struct fulfil *fulfil);
void fulfil_free(struct fulfil *fulfil);
/* Every claim, and the sweep, again: after the membership changed. */
void fulfil_enqueue_all(struct fulfil *fulfil);
bool fulfil_run_one(struct fulfil *fulfil); /* for tests, as is: */
bool fulfil_sweep_one(struct fulfil *fulfil);

/* Ours to fulfil: its node class is kaito.sh/KaitoNodeClass, or it names a Workspace (spec 1.1). */
bool claim_is_managed(const struct object *claim);

/* ------------------------------------------------------------------ the pure part */

enum claim_step {
    STEP_ADD_FINALIZER,
    STEP_LAUNCH,     /* not Launched yet */
    STEP_ADVANCE,    /* Launched; no node yet */
    STEP_REGISTER,   /* the node is there: write Registered, and Initialized when it is ready */
    STEP_INITIALIZE, /* Registered; the node became ready: write Initialized */
    STEP_REPLACE,    /* Registered, but the node is gone: the claim has lost its machine */
    STEP_TERMINATE,  /* being deleted */
    STEP_NOTHING,
};

enum claim_step claim_next_step(const struct object *claim, const struct object *node);

/* The conditions of a claim that has come so far; transition times are kept from `claim` where the
 * status did not change. The caller owns the array. */
struct claim_progress {
    bool launched, registered, initialized;
    const char *reason, *message; /* of the first step not done */
    bool failed;                  /* that step is False, not Unknown */
};
cJSON *claim_conditions(const struct object *claim, const struct claim_progress *progress,
                        int64_t now_ms);
