/* An API server in memory behind `struct transport`, for whole reconcilers and provisioners in a
 * unit test: the kinds of object.h; create, get, list (paged), merge patch, server-side apply,
 * delete, watch; resourceVersion, uid, generation, the status subresource, finalizers,
 * preconditions, equality selectors.
 *
 * Simpler than the real one: no schema, defaulting, admission or garbage collection; a server-side
 * apply replaces lists as a whole and never conflicts (what a manager no longer applies is
 * removed); every version of a group shows the same object. Thread-safe. */
#pragma once

#include <cjson/cJSON.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/clock.h"
#include "common/k8s/object.h"
#include "common/k8s/transport.h"

struct fake_apiserver;

struct fake_apiserver *fake_apiserver_new(const struct clock *clock);
/* After every thread that uses the transport has ended. */
void fake_apiserver_free(struct fake_apiserver *server);
/* Borrowed; lives as long as the server. */
struct transport *fake_apiserver_transport(struct fake_apiserver *server);

/* ------------------------------------------------------------------ the world's side
 * What others do to the cluster, and what a test looks at: not counted, never faulted. Trees given
 * are consumed; trees returned are the caller's. A refusal is an assertion. */
cJSON *fake_apiserver_get(struct fake_apiserver *server, const struct gvr *gvr,
                          struct object_key key); /* NULL when absent */
size_t fake_apiserver_object_count(struct fake_apiserver *server, const struct gvr *gvr);
void fake_apiserver_create(struct fake_apiserver *server, const struct gvr *gvr, cJSON *object);
/* A merge patch over everything, status included. */
void fake_apiserver_merge(struct fake_apiserver *server, const struct gvr *gvr,
                          struct object_key key, cJSON *patch);
/* Honours finalizers. */
void fake_apiserver_delete(struct fake_apiserver *server, const struct gvr *gvr,
                           struct object_key key);

/* ------------------------------------------------------------------ counts
 * `verb`: get, list, watch, create, patch, apply, delete; NULL: every write. `resource`:
 * "workspaces", "workspaces/status"; NULL: every one. Requests are counted before faults strike. */
unsigned fake_apiserver_requests(struct fake_apiserver *server, const char *verb,
                                 const char *resource);
void fake_apiserver_reset_requests(struct fake_apiserver *server);

/* ------------------------------------------------------------------ faults */
enum fake_fault {
    FAKE_REFUSED,     /* the connection breaks before the server acts */
    FAKE_ANSWER_LOST, /* the connection breaks after the server acted */
    FAKE_CONFLICT,    /* 409 */
    FAKE_THROTTLED,   /* 429 with Retry-After: 1 */
    FAKE_BROKEN,      /* 500 */
};

/* The nth write from now on (1: the next) fails so, once. */
void fake_apiserver_fail_next(struct fake_apiserver *server, unsigned nth, enum fake_fault fault);
/* Down: every request is refused and every watch is cut. */
void fake_apiserver_set_down(struct fake_apiserver *server, bool down);
/* As if the CRD was not there. */
void fake_apiserver_hide(struct fake_apiserver *server, const struct gvr *gvr, bool hidden);

enum fake_watch_end {
    FAKE_WATCH_DONE,    /* the normal end */
    FAKE_WATCH_CUT,     /* the connection breaks */
    FAKE_WATCH_SILENT,  /* as if the client had waited too long for a byte */
    FAKE_WATCH_GARBAGE, /* a line that is not JSON */
    FAKE_WATCH_EXPIRED, /* 410, also for every version given out until now */
};

/* Ends the watches that run now; they end after having sent what has happened until now, but for
 * the expired ones. */
void fake_apiserver_end_watches(struct fake_apiserver *server, enum fake_watch_end how);
/* Watches end after so long, whatever timeoutSeconds says; a bookmark comes first, as from the real
 * server. 0: at once and without one. */
void fake_apiserver_set_watch_ms(struct fake_apiserver *server, int64_t watch_ms);

/* Called for each write of a client on its thread, outside any lock: before the server acts, and
 * after, before the client has the answer. */
typedef void fake_write_hook(void *context, bool after, const char *verb, const char *resource,
                             struct object_key key);
void fake_apiserver_on_write(struct fake_apiserver *server, fake_write_hook *hook, void *context);
