#include "common/k8s/informer.h"

#include <assert.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/compiler.h"
#include "common/base/log.h"
#include "common/base/memory.h"
#include "common/base/metrics.h"
#include "common/base/mutex.h"
#include "common/json/json.h"
#include "common/k8s/backoff.h"

enum {
    HANDLERS_MAX = 4,
    THREAD_NAME_BYTES = 16,
    SHORT_WATCH_MS = 1000, /* a watch that ends sooner and without an event is a fault */
    WAIT_STEP_MS = 5,
    PROBLEM_BYTES = sizeof(((struct error *)NULL)->message) + 128,
};

struct informer {
    struct k8s_client *client;
    struct informer_options options;
    struct stop *stop;
    const struct clock *clock;
    struct store *store;
    struct {
        informer_handler *call;
        void *context;
    } handlers[HANDLERS_MAX];
    size_t handler_count;
    char resource[128]; /* nodeclaims.karpenter.sh */
    pthread_t thread;
    bool started;
    atomic_bool synced;

    struct mutex lock;
    char problem[PROBLEM_BYTES]; /* guarded by lock */

    /* The thread's own. */
    char *version; /* to watch from; NULL: list first */
    struct backoff backoff;
    bool failing;    /* problem is set */
    bool event_seen; /* by the current watch */
};

struct informer *informer_new(struct k8s_client *client, const struct informer_options *options,
                              struct stop *stop, const struct clock *clock)
{
    struct informer *informer = mem_new(struct informer);
    const struct gvr *gvr = options->gvr;
    informer->client = client;
    informer->options = *options;
    informer->stop = stop;
    informer->clock = clock;
    informer->store = store_new(options->indexes, options->index_count);
    snprintf(informer->resource, sizeof(informer->resource), "%s%s%s", gvr->resource,
             gvr->group[0] != '\0' ? "." : "", gvr->group);
    snprintf(informer->problem, sizeof(informer->problem), "%s: not listed yet",
             informer->resource);
    informer->failing = true;
    atomic_init(&informer->synced, false);
    mutex_init(&informer->lock);
    rng_seed_kernel(&informer->backoff.rng);
    return informer;
}

void informer_add_handler(struct informer *informer, informer_handler *handler, void *context)
{
    assert(!informer->started && informer->handler_count < HANDLERS_MAX);
    informer->handlers[informer->handler_count].call = handler;
    informer->handlers[informer->handler_count].context = context;
    informer->handler_count++;
}

struct store *informer_store(struct informer *informer)
{
    return informer->store;
}

bool informer_synced(struct informer *informer)
{
    return atomic_load_explicit(&informer->synced, memory_order_acquire);
}

/* ------------------------------------------------------------------ health */

static void set_problem(struct informer *informer, const char *text, const char *hint)
{
    mutex_lock(&informer->lock);
    snprintf(informer->problem, sizeof(informer->problem), "%s: %s%s", informer->resource, text,
             hint);
    mutex_unlock(&informer->lock);
    informer->failing = true;
}

void informer_problem(struct informer *informer, char *out, size_t size)
{
    mutex_lock(&informer->lock);
    snprintf(out, size, "%s", informer->problem);
    mutex_unlock(&informer->lock);
}

static void recovered(struct informer *informer)
{
    if (!informer->failing)
        return;
    mutex_lock(&informer->lock);
    informer->problem[0] = '\0';
    mutex_unlock(&informer->lock);
    informer->failing = false;
}

static void failed(struct informer *informer, const struct error *err)
{
    log_debug("informer", "list or watch failed", KV("resource", informer->resource), KVERR(err));
    if (err->code != ERR_NOT_FOUND) {
        set_problem(informer, err->message, "");
        return;
    }
    const char *group = informer->options.gvr->group;
    set_problem(informer, "the server does not know this resource; ",
                strcmp(group, "karpenter.sh") == 0 ? "install Karpenter's CRDs"
                : strcmp(group, "kaito.sh") == 0   ? "install ckaito's CRDs"
                                                   : "is the API server too old?");
}

/* ------------------------------------------------------------------ changes */

static void notify(struct informer *informer, const struct object *before,
                   const struct object *after)
{
    for (size_t i = 0; i < informer->handler_count; i++)
        informer->handlers[i].call(informer->handlers[i].context, before, after);
}

/* The object to keep: itself, or a trimmed copy. A reference of the caller's own. */
static const struct object *trimmed(struct informer *informer, const struct object *object)
{
    if (informer->options.trim == NULL)
        return object_ref(object);
    cJSON *copy = json_copy(object->json);
    informer->options.trim(copy);
    const struct object *out = NULL;
    struct error err = ERROR_INIT;
    int made = object_new(copy, &out, &err);
    assert(made == 0); /* trim must leave the metadata alone */
    (void)made;
    return out;
}

static void upsert(struct informer *informer, const struct object *object)
{
    AUTO(object) const struct object *before = store_get(informer->store, object->key);
    bool same = before != NULL && strcmp(before->uid, object->uid) == 0;
    if (same && strcmp(before->resource_version, object->resource_version) == 0)
        return;
    AUTO(object) const struct object *after = trimmed(informer, object);
    object_unref(store_put(informer->store, after));
    if (before != NULL && !same) {
        notify(informer, before, NULL);
        notify(informer, NULL, after);
    } else {
        notify(informer, before, after);
    }
}

static void drop(struct informer *informer, struct object_key key)
{
    AUTO(object) const struct object *before = store_remove(informer->store, key);
    if (before != NULL)
        notify(informer, before, NULL);
}

static void count_objects(struct informer *informer)
{
    METRIC_SET(METRIC_INFORMER_OBJECTS, (double)store_count(informer->store),
               informer->options.gvr->resource);
}

/* ------------------------------------------------------------------ list */

struct collection {
    struct object_list list;
    size_t capacity;
};

static void collect(void *context, const struct object *object)
{
    struct collection *collection = context;
    struct object_list *list = &collection->list;
    if (list->count == collection->capacity) {
        collection->capacity = collection->capacity != 0 ? 2 * collection->capacity : 64;
        list->items = mem_realloc(list->items, collection->capacity * sizeof(*list->items));
    }
    list->items[list->count++] = object_ref(object);
}

static int by_key(const void *a, const void *b)
{
    const struct object *const *left = a, *const *right = b;
    return object_key_compare((*left)->key, (*right)->key);
}

/* Both lists are sorted by key: what is in the old one only is gone. */
static void replace(struct informer *informer, const struct object_list *fresh)
{
    AUTO(object_list) struct object_list old = store_list(informer->store);
    size_t at = 0;
    for (size_t i = 0; i < old.count; i++) {
        int order = 1;
        while (at < fresh->count &&
               (order = object_key_compare(old.items[i]->key, fresh->items[at]->key)) > 0)
            at++;
        if (at == fresh->count || order < 0)
            drop(informer, old.items[i]->key);
    }
    for (size_t i = 0; i < fresh->count; i++)
        upsert(informer, fresh->items[i]);
}

static int list(struct informer *informer, struct error *err)
{
    struct collection fresh = { 0 };
    METRIC_INC(METRIC_INFORMER_LISTS_TOTAL, informer->options.gvr->resource);
    int result = k8s_list(informer->client, informer->options.gvr, &informer->options.list, collect,
                          &fresh, &informer->version, err);
    if (result == 0) {
        if (fresh.list.count > 1)
            qsort(fresh.list.items, fresh.list.count, sizeof(*fresh.list.items), by_key);
        replace(informer, &fresh.list);
        count_objects(informer);
        atomic_store_explicit(&informer->synced, true, memory_order_release);
    }
    object_list_fini(&fresh.list);
    return result;
}

/* ------------------------------------------------------------------ watch */

static void on_event(void *context, enum watch_event_type type, const struct object *object,
                     const char *version)
{
    struct informer *informer = context;
    informer->event_seen = true;
    recovered(informer);

    if (type == WATCH_DELETED)
        drop(informer, object->key);
    else if (type != WATCH_BOOKMARK)
        upsert(informer, object);
    if (type != WATCH_BOOKMARK)
        count_objects(informer);

    if (version == NULL || version[0] == '\0')
        version = object != NULL ? object->resource_version : informer->version;
    if (strcmp(version, informer->version) != 0) {
        free(informer->version);
        informer->version = mem_strdup(version);
    }
}

static int watch(struct informer *informer, struct error *err)
{
    AUTO_FREE char *from = mem_strdup(informer->version); /* on_event moves informer->version */
    int64_t begin_ms = clock_monotonic(informer->clock);

    informer->event_seen = false;
    if (k8s_watch(informer->client, informer->options.gvr, &informer->options.list, from, on_event,
                  informer, err) < 0)
        return -1;
    if (!informer->event_seen && clock_monotonic(informer->clock) - begin_ms < SHORT_WATCH_MS)
        return error_set(err, ERR_UNAVAILABLE, "the server ended the watch at once");
    return 0;
}

/* ------------------------------------------------------------------ life cycle */

/* Whether a watch that failed so may be taken up again where it was. */
static bool is_resumable(enum error_code code)
{
    return code == ERR_UNAVAILABLE || code == ERR_TIMEOUT || code == ERR_THROTTLED ||
           code == ERR_CANCELLED;
}

static void *run(void *argument)
{
    struct informer *informer = argument;
    while (!stop_raised(informer->stop)) {
        struct error err = ERROR_INIT;
        int result = informer->version == NULL ? list(informer, &err) : watch(informer, &err);
        if (result == 0) {
            recovered(informer);
            continue;
        }
        if (stop_raised(informer->stop))
            break;
        if (!is_resumable(err.code)) {
            free(informer->version);
            informer->version = NULL;
        }
        failed(informer, &err);
        stop_wait(informer->stop, backoff_next(&informer->backoff, clock_monotonic(informer->clock),
                                               err.retry_after_ms));
    }
    return NULL;
}

void informer_start(struct informer *informer)
{
    assert(!informer->started);
    informer->started = true;
    int result = pthread_create(&informer->thread, NULL, run, informer);
    assert(result == 0);
    (void)result;
    char name[THREAD_NAME_BYTES];
    snprintf(name, sizeof(name), "%.15s", informer->options.gvr->resource);
    pthread_setname_np(informer->thread, name);
}

void informer_free(struct informer *informer)
{
    if (informer == NULL)
        return;
    if (informer->started) {
        assert(stop_raised(informer->stop));
        pthread_join(informer->thread, NULL);
    }
    store_free(informer->store);
    mutex_fini(&informer->lock);
    free(informer->version);
    free(informer);
}

int informers_wait(struct informer *const *informers, size_t count, struct stop *stop,
                   int64_t timeout_ms, struct error *err)
{
    const struct clock *clock = clock_system(); /* we really wait, whatever time it is elsewhere */
    int64_t deadline_ms = clock_monotonic(clock) + timeout_ms;

    for (size_t i = 0; i < count; i++) {
        while (!informer_synced(informers[i])) {
            if (clock_monotonic(clock) >= deadline_ms) {
                char problem[PROBLEM_BYTES];
                informer_problem(informers[i], problem, sizeof(problem));
                return error_set(err, ERR_TIMEOUT, "%s", problem);
            }
            if (stop_wait(stop, WAIT_STEP_MS))
                return error_set(err, ERR_CANCELLED,
                                 "stopped before the first lists were complete");
        }
    }
    return 0;
}
