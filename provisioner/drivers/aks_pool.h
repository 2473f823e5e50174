/* NodeClaim and AKS agent pool: one is made from the other, one machine each, of the same name.
 * Pure. */
#pragma once

#include <cjson/cJSON.h>
#include <stdbool.h>

#include "common/base/error.h"
#include "common/k8s/object.h"

#define LABEL_MACHINE_TYPE       "kaito.sh/machine-type"
#define LABEL_CREATION_TIMESTAMP "kaito.sh/creation-timestamp"

enum { AKS_POOL_NAME_MAX = 12, AKS_CREATION_BYTES = 32 };

bool aks_pool_name_is_valid(const char *name); /* [a-z][a-z0-9]{0,11} */

/* The body of the request that makes the pool of `claim`. INVALID where the claim does not say
 * enough, or cannot be a pool. */
MUST_CHECK int aks_pool_manifest(const struct object *claim, cJSON **out, struct error *err);

enum aks_pool_state {
    AKS_POOL_COMING,
    AKS_POOL_READY, /* the machine runs; its node has joined or is about to */
    AKS_POOL_FAILED,
    AKS_POOL_GOING,
};
enum aks_pool_state aks_pool_state(const cJSON *pool);
const char *aks_pool_state_text(const cJSON *pool); /* in Azure's words */
const char *aks_pool_name(const cJSON *pool);       /* "" where it has none */

/* Made by us, or by gpu-provisioner: never touch another one. */
bool aks_pool_is_ours(const cJSON *pool);
/* For this claim, not for an earlier one of its name. */
bool aks_pool_is_of(const cJSON *pool, const struct object *claim);
