/* A reflector and its store: lists, then watches, forever; tells handlers what changed. A watch
 * that ends, breaks or falls silent is taken up again from the last version seen; after a 410, a
 * malformed line or a refusal it lists again and hands out the differences. So a handler sees every
 * change of state at least once and in order for one object, never each intermediate state. Errors
 * back off (backoff.h) and Retry-After is honoured. One thread an informer. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "common/base/clock.h"
#include "common/base/error.h"
#include "common/base/stop.h"
#include "common/k8s/client.h"
#include "common/k8s/store.h"

struct informer;

/* Exactly one of before/after may be NULL: added (before NULL), deleted (after NULL), changed. An
 * object replaced by another of its name (the uid differs) is told as deleted, then added. Runs on
 * the informer's thread, outside any lock, and must not block: enqueue keys and return. Objects are
 * borrowed. */
typedef void informer_handler(void *context, const struct object *before,
                              const struct object *after);

struct informer_options {
    const struct gvr *gvr;
    struct list_options list;
    store_index *const *indexes;
    size_t index_count;
    /* Drops what nobody reads, to save memory; called on the fresh tree before it is stored. */
    void (*trim)(cJSON *json);
};

/* Borrows client, stop and clock. Nothing runs until informer_start. */
struct informer *informer_new(struct k8s_client *client, const struct informer_options *options,
                              struct stop *stop, const struct clock *clock);
/* Before informer_start; at most 4 handlers. */
void informer_add_handler(struct informer *informer, informer_handler *handler, void *context);
void informer_start(struct informer *informer);
struct store *informer_store(struct informer *informer); /* borrowed */
/* True once the first list is in the store and has been handed out. */
bool informer_synced(struct informer *informer);
/* Why it is not healthy now, in the caller's buffer; "" when healthy. For /readyz. */
void informer_problem(struct informer *informer, char *out, size_t size);
/* After stop_raise: joins the thread and frees. NULL is fine. */
void informer_free(struct informer *informer);

/* Waits until all are synced, stop is raised (-1, CANCELLED) or timeout_ms passed (-1, TIMEOUT with
 * the first informer's problem). */
MUST_CHECK int informers_wait(struct informer *const *informers, size_t count, struct stop *stop,
                              int64_t timeout_ms, struct error *err);
