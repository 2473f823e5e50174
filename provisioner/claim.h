/* NodeClaims as we write and read them. Pure: objects in, objects out. */
#pragma once

#include <cjson/cJSON.h>
#include <stdbool.h>
#include <stdint.h>

#include "common/base/arena.h"
#include "common/k8s/object.h"
#include "common/k8s/store.h"
#include "proto/messages.h"

#define CLAIM_NODEPOOL  "kaito"
#define CLAIM_FINALIZER "karpenter.sh/termination"

enum {
    CLAIM_NAME_BYTES = 12,   /* "ws" and 9 hex digits: AKS pool names end at 12 characters */
    CLAIM_MESSAGE_MAX = 256, /* of a condition's message that is passed on */
};

/* Deterministic: the same Workspace (by UID) and ordinal always give the same name, so that a
 * repeated create meets 409 instead of buying a second machine. */
void claim_name(const char *workspace_uid, int64_t ordinal, char out[CLAIM_NAME_BYTES]);

/* The NodeClaim for one ordinal of a demand (spec 5.6; expireAfter Never, so that no model server
 * loses its node to Karpenter's 30 days). The caller owns the tree. */
cJSON *claim_manifest(const struct node_demand *demand, int64_t ordinal, const char *cloud);

/* The Workspace a claim belongs to, by its labels; false when it has none. Strings are borrowed. */
bool claim_workspace(const struct object *claim, struct object_key *out);
/* "namespace/name" of that Workspace, for a store's index. */
const char *claim_workspace_index(const struct object *claim, char out[OBJECT_KEY_BYTES]);

/* Made for this life of the Workspace, or without a mark of ours (by KAITO, whose label we honour).
 */
bool claim_is_of(const struct object *claim, const char *workspace_uid);

/* What to create for a demand: ordinals, in order, into `out` (demand->count of them at most). Live
 * claims count whatever their state; those being deleted do not, but their names stay taken, and
 * all claims together never exceed twice the count. Returns how many. */
size_t claims_missing(const struct node_demand *demand, const struct object_list *existing,
                      int64_t *out);

/* Live claims beyond the demand's count, of `existing` in the order of their ordinals, into `out`
 * (borrowed; room for all): the youngest, or of equal age the one of the highest ordinal. Whoever
 * looks, whatever it does not see yet: none of the `count` that are to stay is ever named. */
size_t claims_surplus(const struct node_demand *demand, const struct object_list *existing,
                      const struct object **out);

/* Ordinals a demand can come to use: as many as there are claims at most. */
static inline int64_t claim_ordinals(const struct node_demand *demand)
{
    return 2 * demand->count.value;
}

/* One claim as others see it; `node` may be NULL. Ready means: the claim is Ready, its node is
 * Ready and shows GPUs when `gpus` > 0. Strings are in the arena or borrowed from the objects. */
struct claim_state claim_observe(const struct object *claim, const struct object *node,
                                 int64_t gpus, struct arena *arena);

/* How far the claim itself says it is, whatever its node says: one of the phases in
 * proto/messages.h. */
const char *claim_phase(const struct object *claim);

bool node_is_ready(const struct object *node);
