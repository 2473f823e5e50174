/* Machines of Azure: one AKS agent pool of one machine a NodeClaim, as gpu-provisioner makes them,
 * so that either can take over from the other. Nothing is remembered here: the pool is found by
 * its name, and what else a launch needs after a restart is in the claim's annotations. */
#pragma once

#include <stdint.h>

#include "provisioner/driver.h"

/* Written on a NodeClaim while its machine is launched. Removing RETRY tries again at once. */
#define ANNOTATION_LAUNCH_OPERATION "ckaito.sh/launch-operation"   /* where Azure tells its fate */
#define ANNOTATION_LAUNCH_STARTED   "ckaito.sh/launch-started"     /* when, for the deadline */
#define ANNOTATION_LAUNCH_FAILURE   "ckaito.sh/launch-failure"     /* of the last attempt */
#define ANNOTATION_LAUNCH_RETRY     "ckaito.sh/launch-retry-after" /* the next one: not before */

/* Flags; an empty text is filled from the environment that the workload identity webhook and
 * gpu-provisioner's chart set. */
struct aks_config {
    const char *arm_endpoint;
    const char *authority;
    const char *metadata_endpoint;
    const char *ca_file;
    const char *subscription_id, *resource_group, *cluster_name;
    const char *tenant_id, *client_id, *federated_token_file;
    int64_t launch_deadline_ms; /* of one attempt */
    int64_t poll_ms;
    int64_t drain_timeout_ms;
};

struct http_client;

/* Fills what is empty and checks the whole. INVALID names the flag that is missing. */
MUST_CHECK int aks_config_complete(struct aks_config *config, struct error *err);

/* Takes `http`; borrows the rest. `config` must be complete. */
struct driver *driver_aks_new(const struct driver_options *options, const struct aks_config *config,
                              struct http_client *http);
