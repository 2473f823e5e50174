#include "common/k8s/object.h"

#include <assert.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/digest.h"
#include "common/base/memory.h"
#include "common/json/build.h"
#include "common/json/json.h"

/* The mutation detector: unoptimised and ASan builds remember what an object said when it was made
 * and look again when it dies. */
#if !defined(__OPTIMIZE__) || defined(__SANITIZE_ADDRESS__)
#    define DETECT_MUTATION 1
#else
#    define DETECT_MUTATION 0
#endif

struct counted_object {
    struct object object; /* first: what the world sees */
    atomic_uint references;
    uint64_t hash; /* of the text; 0 without the detector */
};

/* clang-format off */
const struct gvr
    GVR_WORKSPACE          = { "kaito.sh", "v1beta1", "workspaces", "Workspace", true },
    GVR_NODECLAIM          = { "karpenter.sh", "v1", "nodeclaims", "NodeClaim", false },
    GVR_NODE               = { "", "v1", "nodes", "Node", false },
    GVR_POD                = { "", "v1", "pods", "Pod", true },
    GVR_EVENT              = { "", "v1", "events", "Event", true },
    GVR_SECRET             = { "", "v1", "secrets", "Secret", true },
    GVR_CONFIGMAP          = { "", "v1", "configmaps", "ConfigMap", true },
    GVR_SERVICE            = { "", "v1", "services", "Service", true },
    GVR_STATEFULSET        = { "apps", "v1", "statefulsets", "StatefulSet", true },
    GVR_CONTROLLERREVISION = { "apps", "v1", "controllerrevisions", "ControllerRevision", true },
    GVR_JOB                = { "batch", "v1", "jobs", "Job", true },
    GVR_LEASE              = { "coordination.k8s.io", "v1", "leases", "Lease", true },
    GVR_MUTATING_WEBHOOK   = { "admissionregistration.k8s.io", "v1",
                               "mutatingwebhookconfigurations", "MutatingWebhookConfiguration", false },
    GVR_VALIDATING_WEBHOOK = { "admissionregistration.k8s.io", "v1",
                               "validatingwebhookconfigurations", "ValidatingWebhookConfiguration", false };
/* clang-format on */

/* The one place that takes `const` off again: a reference count is no part of the value. */
static struct counted_object *counted(const struct object *object)
{
    return (struct counted_object *)(uintptr_t)object;
}

static uint64_t hash_of(const cJSON *json)
{
    if (!DETECT_MUTATION)
        return 0;
    AUTO_FREE char *text = json_print(json);
    return fnv1a64(text, strlen(text));
}

static const char *text_or_empty(const cJSON *json)
{
    return cJSON_IsString(json) ? json->valuestring : "";
}

int object_new(cJSON *json, const struct object **out, struct error *err)
{
    AUTO(json) cJSON *owned = json;
    json_remove(json_member(owned, "metadata"), "managedFields");

    const cJSON *metadata = json_get(owned, "metadata");
    struct object_key key = { .namespace_ = text_or_empty(json_get(metadata, "namespace")),
                              .name = text_or_empty(json_get(metadata, "name")) };
    if (key.name[0] == '\0')
        return error_set(err, ERR_INVALID, "an object without metadata.name");
    if (strlen(key.namespace_) + strlen(key.name) + 2 > OBJECT_KEY_BYTES)
        return error_set(err, ERR_INVALID, "an object whose metadata.name is too long: %.64s...",
                         key.name);

    struct counted_object *fresh = mem_new(struct counted_object);
    fresh->object =
        (struct object){ .json = owned,
                         .key = key,
                         .uid = text_or_empty(json_get(metadata, "uid")),
                         .resource_version = text_or_empty(json_get(metadata, "resourceVersion")),
                         .generation = json_integer_at(metadata, "generation", 0),
                         .deleting = cJSON_IsString(json_get(metadata, "deletionTimestamp")) };
    atomic_init(&fresh->references, 1);
    fresh->hash = hash_of(owned);
    owned = NULL;
    *out = &fresh->object;
    return 0;
}

const struct object *object_ref(const struct object *object)
{
    if (object != NULL)
        atomic_fetch_add_explicit(&counted(object)->references, 1, memory_order_relaxed);
    return object;
}

void object_unref(const struct object *object)
{
    if (object == NULL)
        return;
    struct counted_object *held = counted(object);
    unsigned before = atomic_fetch_sub_explicit(&held->references, 1, memory_order_acq_rel);
    assert(before > 0);
    if (before > 1)
        return;
    assert(held->hash == hash_of(object->json)); /* somebody wrote to a shared object */
    json_free((cJSON *)(uintptr_t)object->json);
    free(held);
}

const char *object_label(const struct object *object, const char *key)
{
    const cJSON *value = json_get(json_at(object->json, "metadata.labels"), key);
    return cJSON_IsString(value) ? value->valuestring : NULL;
}

const char *object_annotation(const struct object *object, const char *key)
{
    const cJSON *value = json_get(json_at(object->json, "metadata.annotations"), key);
    return cJSON_IsString(value) ? value->valuestring : NULL;
}

const cJSON *object_controller(const struct object *object)
{
    const cJSON *owner;
    cJSON_ArrayForEach(owner, json_at(object->json, "metadata.ownerReferences")) {
        if (cJSON_IsTrue(json_get(owner, "controller")))
            return owner;
    }
    return NULL;
}

bool object_has_finalizer(const struct object *object, const char *finalizer)
{
    const cJSON *item;
    cJSON_ArrayForEach(item, json_at(object->json, "metadata.finalizers")) {
        if (cJSON_IsString(item) && strcmp(item->valuestring, finalizer) == 0)
            return true;
    }
    return false;
}

int object_key_compare(struct object_key a, struct object_key b)
{
    int order = strcmp(a.namespace_, b.namespace_);
    return order != 0 ? order : strcmp(a.name, b.name);
}

const char *object_key_format(struct object_key key, char out[OBJECT_KEY_BYTES])
{
    bool scoped = key.namespace_ != NULL && key.namespace_[0] != '\0';
    snprintf(out, OBJECT_KEY_BYTES, "%s%s%s", scoped ? key.namespace_ : "", scoped ? "/" : "",
             key.name);
    return out;
}

struct object_key object_key_parse(const char *text, char buffer[OBJECT_KEY_BYTES])
{
    snprintf(buffer, OBJECT_KEY_BYTES, "%s", text);
    char *slash = strchr(buffer, '/');
    if (slash == NULL)
        return (struct object_key){ .namespace_ = "", .name = buffer };
    *slash = '\0';
    return (struct object_key){ .namespace_ = buffer, .name = slash + 1 };
}

cJSON *owner_reference_controller(const char *api_version, const char *kind, const char *name,
                                  const char *uid)
{
    return JARR(JOBJ(JS("apiVersion", api_version), JS("kind", kind), JS("name", name),
                     JS("uid", uid), JB("controller", true), JB("blockOwnerDeletion", true)));
}
