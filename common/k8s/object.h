/* One object as the API server gave it: reference-counted, immutable once published, shared by all
 * threads. Typed reading is done by decoding it into an arena; nobody writes to it. */
#pragma once

#include <cjson/cJSON.h>
#include <stdbool.h>
#include <stdint.h>

#include "common/base/compiler.h"
#include "common/base/error.h"

struct gvr {
    const char *group; /* "" for core */
    const char *version;
    const char *resource; /* plural */
    const char *kind;
    bool namespaced;
};

/* The kinds we speak of; defined in object.c. */
extern const struct gvr GVR_WORKSPACE, GVR_NODECLAIM, GVR_NODE, GVR_POD, GVR_EVENT, GVR_SECRET,
    GVR_CONFIGMAP, GVR_SERVICE, GVR_STATEFULSET, GVR_CONTROLLERREVISION, GVR_JOB, GVR_LEASE,
    GVR_MUTATING_WEBHOOK, GVR_VALIDATING_WEBHOOK;

/* namespace/name, namespace "" for cluster scope. Both strings are borrowed. */
struct object_key {
    const char *namespace_;
    const char *name;
};

enum { OBJECT_KEY_BYTES = 64 + 254 };

struct object {
    const cJSON *json; /* the whole object, managedFields dropped */
    struct object_key key;
    const char *uid;
    const char *resource_version; /* opaque */
    int64_t generation;
    bool deleting; /* metadata.deletionTimestamp is set */
};

/* Takes `json` (also on failure). INVALID when metadata.name is missing. Reference count 1. */
MUST_CHECK int object_new(cJSON *json, const struct object **out, struct error *err);
const struct object *object_ref(const struct object *object); /* NULL gives NULL */
void object_unref(const struct object *object);

const char *object_label(const struct object *object, const char *key); /* NULL if absent */
const char *object_annotation(const struct object *object, const char *key);
/* The owner reference with controller: true, or NULL. */
const cJSON *object_controller(const struct object *object);
bool object_has_finalizer(const struct object *object, const char *finalizer);

/* As strcmp: by namespace, then by name. */
int object_key_compare(struct object_key a, struct object_key b);

/* "namespace/name" or "name" in the caller's buffer, for logs and queue keys; and back. */
const char *object_key_format(struct object_key key, char out[OBJECT_KEY_BYTES]);
/* Splits in the caller's buffer (a copy of the text); always succeeds. */
struct object_key object_key_parse(const char *text, char buffer[OBJECT_KEY_BYTES]);

/* An ownerReferences array of one controller reference with blockOwnerDeletion. */
cJSON *owner_reference_controller(const char *api_version, const char *kind, const char *name,
                                  const char *uid);

DEFINE_CLEANUP_P(object, const struct object, object_unref)
