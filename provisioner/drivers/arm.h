/* Azure Resource Manager, the part that agent pools of one AKS cluster need. One call, one request
 * (a list: one a page; after a 401 once more with a new token). Long-running operations are
 * accepted here and followed by their caller, who asks again: nothing blocks longer than one
 * request. Thread-safe. */
#pragma once

#include <cjson/cJSON.h>

#include "common/base/error.h"
#include "common/base/stop.h"
#include "common/http/client.h"
#include "provisioner/drivers/aks_cause.h"
#include "provisioner/drivers/azure_token.h"

#define ARM_API_VERSION "2024-01-01"

enum { ARM_PAGES_MAX = 100 }; /* a cluster has at most 100 agent pools */

/* All borrowed. */
struct arm_options {
    struct http_client *http;
    struct azure_token *token;
    struct stop *stop;
    const char *endpoint; /* https://management.azure.com */
    const char *subscription_id, *resource_group, *cluster_name;
};

struct arm {
    struct arm_options options;
};

/* An error of these calls says its cause besides. */
struct arm_error {
    struct error error;
    enum aks_cause cause;
};

/* 1: there is no such pool. */
MUST_CHECK int arm_pool_get(struct arm *arm, const char *name, cJSON **out, struct arm_error *err);
/* Accepted; *operation (caller frees, may be NULL) is where it can be followed. */
MUST_CHECK int arm_pool_put(struct arm *arm, const char *name, const cJSON *body, char **operation,
                            struct arm_error *err);
/* Accepted; 1: there was no such pool. */
MUST_CHECK int arm_pool_delete(struct arm *arm, const char *name, struct arm_error *err);
/* Every pool of the cluster, as one array. */
MUST_CHECK int arm_pool_list(struct arm *arm, cJSON **out, struct arm_error *err);
/* What became of an accepted operation: {status, error}. `url` may come from anywhere: it must be
 * at the endpoint, or the token would be given away (INVALID). */
MUST_CHECK int arm_operation_get(struct arm *arm, const char *url, cJSON **out,
                                 struct arm_error *err);
