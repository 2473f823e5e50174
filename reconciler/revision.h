/* Which content of a Workspace its objects were made from: a hash, and the ControllerRevision that
 * gives the hash a number (spec 5.3). Both are KAITO's, so that a cluster can change operators and
 * keep its objects. Pure. */
#pragma once

#include <cjson/cJSON.h>
#include <stdint.h>

#include "common/api/workspace.h"
#include "common/base/arena.h"
#include "common/k8s/store.h"

enum { REVISION_HISTORY_MAX = 10 };

struct revision {
    const char *hash; /* 64 hex digits of SHA-256 */
    const char *name; /* of the ControllerRevision */
    int64_t number;
    const struct object *existing; /* borrowed from the list; NULL: to be created */
    const struct object *surplus;  /* borrowed; the oldest one, when creating exceeds the history */
};

/* Byte for byte what KAITO hashes, but for the pod template and the rarer kinds of volumes: their
 * members enter sorted by name (KAITO: in the order of its Go types). */
const char *revision_hash(const struct workspace *ws, struct arena *arena);

/* `known` are the revisions of this Workspace (by owner UID). Content that was there before gets
 * its old number back, and the hash it has there: KAITO's for a template is another than ours. A
 * name taken by other content is made longer until it is free. */
struct revision revision_choose(const struct workspace *ws, const struct object_list *known,
                                struct arena *arena);

/* The ControllerRevision to create; the caller owns the tree. */
cJSON *revision_object(const struct workspace *ws, const struct revision *revision);
