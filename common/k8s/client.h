/* The Kubernetes API: one call, one request. Errors carry the server's own words and a code to
 * branch on (404 NOT_FOUND, 409 ALREADY_EXISTS or CONFLICT by the Status reason, 410 EXPIRED, 422
 * and 400 INVALID, 401 and 403 FORBIDDEN, 429 THROTTLED with retry_after_ms, 5xx UNAVAILABLE, ...).
 * Nothing is retried here: the caller's workqueue does that. Thread-safe; blocks up to
 * HTTP_TIMEOUT_MS. */
#pragma once

#include <cjson/cJSON.h>
#include <stdbool.h>

#include "common/base/error.h"
#include "common/base/stop.h"
#include "common/k8s/object.h"
#include "common/k8s/transport.h"

#define FIELD_MANAGER "ckaito"

struct k8s_client {
    struct transport *transport; /* borrowed */
    struct stop *stop;           /* borrowed; raised: calls return CANCELLED */
};

enum { K8S_LIST_PAGE = 500 };

struct list_options {
    const char *namespace_; /* NULL: all */
    const char *label_selector;
    const char *field_selector;
};

/* Called for each item of a list; takes a reference of its own if it keeps the object. */
typedef void k8s_item(void *context, const struct object *object);

MUST_CHECK int k8s_get(struct k8s_client *c, const struct gvr *gvr, struct object_key key,
                       const struct object **out, struct error *err);

/* Pages through `limit` and `continue`; an expired continue token (410) starts again without
 * paging. *version_out (caller frees) is the list's resourceVersion. */
MUST_CHECK int k8s_list(struct k8s_client *c, const struct gvr *gvr,
                        const struct list_options *options, k8s_item *item, void *context,
                        char **version_out, struct error *err);

/* POST. `out` may be NULL. */
MUST_CHECK int k8s_create(struct k8s_client *c, const struct gvr *gvr, const cJSON *object,
                          const struct object **out, struct error *err);

/* Server-side apply as FIELD_MANAGER, force: exactly the members set in `object` become ours.
 * apiVersion, kind and metadata.name must be set. */
MUST_CHECK int k8s_apply(struct k8s_client *c, const struct gvr *gvr, const cJSON *object,
                         const struct object **out, struct error *err);

/* JSON merge patch. `subresource` is NULL or "status". Put metadata.resourceVersion into the patch
 * for an optimistic lock. */
MUST_CHECK int k8s_merge_patch(struct k8s_client *c, const struct gvr *gvr, struct object_key key,
                               const char *subresource, const cJSON *patch,
                               const struct object **out, struct error *err);

struct delete_options {
    const char *uid;              /* precondition; NULL: none */
    const char *resource_version; /* precondition; NULL: none */
    const char *propagation; /* "Background", "Foreground", "Orphan"; NULL: the kind's default */
};

/* 1 when the object was not there (or has another UID: 409 on the precondition): the outcome
 * "gone". */
MUST_CHECK int k8s_delete(struct k8s_client *c, const struct gvr *gvr, struct object_key key,
                          const struct delete_options *options, struct error *err);

/* Asks a pod to leave its node, in the way that respects PodDisruptionBudgets: THROTTLED while one
 * forbids it. 1: it is gone already. */
MUST_CHECK int k8s_evict(struct k8s_client *c, const struct object *pod, struct error *err);

/* ------------------------------------------------------------------ watch */

enum watch_event_type { WATCH_ADDED, WATCH_MODIFIED, WATCH_DELETED, WATCH_BOOKMARK };

enum {
    WATCH_SECONDS = 10, /* asked of the server; then the watch is taken up again */
    WATCH_SILENCE_MS =
        14 * 1000, /* no byte for so long: the connection is dead, whatever TCP says */
    WATCH_LINE_BYTES_MAX = 4 * 1024 * 1024,
};

/* Called for each event in order; BOOKMARK objects carry metadata.resourceVersion only (object is
 * NULL, `version` is set). */
typedef void k8s_watch_event(void *context, enum watch_event_type type, const struct object *object,
                             const char *version);

/* One watch from `version` on. Returns 0 when the server ended it in the normal way; -1 otherwise:
 * EXPIRED (410, as status or ERROR event), THROTTLED, UNAVAILABLE, TIMEOUT, INVALID (not JSON). */
MUST_CHECK int k8s_watch(struct k8s_client *c, const struct gvr *gvr,
                         const struct list_options *options, const char *version,
                         k8s_watch_event *event, void *context, struct error *err);
