#include "test/lib/fake_apiserver.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/compiler.h"
#include "common/base/memory.h"
#include "common/base/mutex.h"
#include "common/json/build.h"
#include "common/json/json.h"
#include "test/lib/fake_call.h"
#include "test/lib/fake_storage.h"

enum {
    COUNTS_MAX = 128,
    HIDDEN_MAX = 8,
    WATCH_STEP_MS = 10, /* how late a watch sees that stop is raised */
};

struct fake_apiserver {
    struct transport transport; /* first */
    struct mutex lock;          /* guards all that follows */
    struct cond changed;
    struct fake_storage storage;
    struct {
        char verb[8], resource[64];
        unsigned count;
    } counts[COUNTS_MAX];
    unsigned fail_in; /* writes until the fault strikes; 0: none is set */
    enum fake_fault fault;
    bool down;
    const struct gvr *hidden[HIDDEN_MAX];
    int64_t watch_ms; /* -1: as the client asks */
    unsigned epoch;   /* of watches: a new one ends them */
    enum fake_watch_end watch_end;
    uint64_t oldest_version; /* a watch from before it is answered with 410 */
    fake_write_hook *hook;
    void *hook_context;
};

/* ------------------------------------------------------------------ answers */

static void put_json(struct http_response *out, int status, cJSON *json)
{
    AUTO_FREE char *text = json_print(json);
    *out = (struct http_response){ .status = status, .body = BUF_INIT(HTTP_RESPONSE_BYTES_MAX) };
    buf_puts(&out->body, text);
    json_free(json);
}

static void put_status(struct http_response *out, int status, const char *reason,
                       const char *message, const char *name)
{
    put_json(out, status,
             JOBJ(JS("kind", "Status"), JS("apiVersion", "v1"), JV("metadata", json_new_object()),
                  JS("status", "Failure"), JS("message", message), JS("reason", reason),
                  JV("details", name[0] != '\0' ? JOBJ(JS("name", name)) : NULL),
                  JI("code", status)));
}

static void put_missing(struct http_response *out)
{
    *out = (struct http_response){ .status = 404, .body = BUF_INIT(HTTP_RESPONSE_BYTES_MAX) };
    buf_puts(&out->body, "404 page not found\n");
}

/* As seen through the version that was asked for. */
static cJSON *shown(const struct fake_call *call, const cJSON *json)
{
    cJSON *copy = json_copy(json);
    json_set(copy, "apiVersion", json_new_string(call->api_version));
    json_set(copy, "kind", json_new_string(call->kind->gvr->kind));
    return copy;
}

static void put_answer(const struct fake_call *call, struct http_response *out,
                       struct fake_answer *answer)
{
    if (answer->object == NULL) {
        put_status(out, answer->status, answer->reason, answer->message, call->key.name);
        return;
    }
    put_json(out, answer->status, shown(call, answer->object));
    json_free(answer->object);
}

static bool in_scope(const struct fake_call *call, const cJSON *json)
{
    const char *namespace_ = json_string_at(json, "metadata.namespace");
    return (call->key.namespace_[0] == '\0' ||
            (namespace_ != NULL && strcmp(namespace_, call->key.namespace_) == 0)) &&
           fake_labels_match(json, call->labels) && fake_fields_match(json, call->fields);
}

/* The continue token is the number of items already given out. */
static void answer_list(struct fake_apiserver *server, const struct fake_call *call,
                        struct http_response *out)
{
    size_t count, matching = 0;
    AUTO_FREE const cJSON **all = fake_storage_list(&server->storage, call->kind, &count);
    size_t skip = call->continue_token != NULL ? strtoul(call->continue_token, NULL, 10) : 0;
    size_t limit = call->limit != NULL ? strtoul(call->limit, NULL, 10) : SIZE_MAX;
    cJSON *items = json_new_array();
    bool more = false;

    for (size_t i = 0; i < count; i++) {
        if (!in_scope(call, all[i]) || matching++ < skip)
            continue;
        more = matching - skip > limit;
        if (more)
            break;
        cJSON *item = shown(call, all[i]);
        if (!call->kind->is_custom) { /* built-in kinds leave them to the list */
            json_remove(item, "apiVersion");
            json_remove(item, "kind");
        }
        json_append(items, item);
    }
    put_json(
        out, 200,
        JOBJ(JF("kind", "%sList", call->kind->gvr->kind), JS("apiVersion", call->api_version),
             JV("metadata",
                JOBJ(JF("resourceVersion", "%llu", (unsigned long long)server->storage.version),
                     JV("continue", more ? json_new_printf("%zu", matching - 1) : NULL))),
             JV("items", items)));
}

/* With the lock held. */
static void answer(struct fake_apiserver *server, const struct fake_call *call, const cJSON *body,
                   struct http_response *out)
{
    struct fake_storage *storage = &server->storage;
    struct fake_answer written = { 0 };

    if (strcmp(call->verb, "list") == 0) {
        answer_list(server, call, out);
        return;
    }
    if (strcmp(call->verb, "get") == 0) {
        const cJSON *json = fake_storage_get(storage, call->kind, call->key);
        if (json == NULL)
            put_status(out, 404, "NotFound", "not found", call->key.name);
        else
            put_json(out, 200, shown(call, json));
        return;
    }
    if (strcmp(call->verb, "create") == 0)
        written = fake_storage_create(storage, call->kind, call->key.namespace_, body);
    else if (strcmp(call->verb, "patch") == 0)
        written = fake_storage_merge(storage, call->kind, call->key, call->subresource, body);
    else if (strcmp(call->verb, "apply") == 0)
        written = fake_storage_apply(storage, call->kind, call->key, call->subresource,
                                     call->manager, body);
    else
        written = fake_storage_delete(storage, call->kind, call->key, body);
    put_answer(call, out, &written);
    cond_broadcast(&server->changed);
}

/* ------------------------------------------------------------------ counts and faults; lock held
 */

static void count(struct fake_apiserver *server, const struct fake_call *call)
{
    size_t i = 0;
    while (i < COUNTS_MAX && server->counts[i].count > 0 &&
           (strcmp(server->counts[i].verb, call->verb) != 0 ||
            strcmp(server->counts[i].resource, call->resource) != 0))
        i++;
    assert(i < COUNTS_MAX);
    snprintf(server->counts[i].verb, sizeof(server->counts[i].verb), "%s", call->verb);
    snprintf(server->counts[i].resource, sizeof(server->counts[i].resource), "%s", call->resource);
    server->counts[i].count++;
}

static bool is_hidden(const struct fake_apiserver *server, const struct gvr *gvr)
{
    for (size_t i = 0; i < HIDDEN_MAX; i++) {
        if (server->hidden[i] == gvr)
            return true;
    }
    return false;
}

static int refused(struct error *err)
{
    return error_set(err, ERR_UNAVAILABLE, "cannot reach the API server: connection refused");
}

/* True when the call has its answer, good or bad, without the server acting. */
static bool refuse(struct fake_apiserver *server, const struct fake_call *call,
                   struct http_response *out)
{
    if (call->kind == NULL || is_hidden(server, call->kind->gvr)) {
        put_missing(out);
        return true;
    }
    if (call->verb == NULL ||
        (call->subresource[0] != '\0' && strcmp(call->subresource, "eviction") != 0 &&
         (strcmp(call->subresource, "status") != 0 || !call->kind->has_status))) {
        put_status(out, 405, "MethodNotAllowed", "the fake server does not know this request", "");
        return true;
    }
    return false;
}

static bool strikes(struct fake_apiserver *server)
{
    return server->fail_in > 0 && --server->fail_in == 0;
}

/* The fault instead of acting, or acting and losing the answer. */
static int strike(struct fake_apiserver *server, const struct fake_call *call, const cJSON *body,
                  enum fake_fault fault, struct http_response *out, struct error *err)
{
    switch (fault) {
    case FAKE_REFUSED:
        return refused(err);
    case FAKE_ANSWER_LOST:
        answer(server, call, body, out);
        buf_fini(&out->body);
        return error_set(err, ERR_UNAVAILABLE, "the connection broke before the answer came");
    case FAKE_CONFLICT:
        put_status(out, 409, "Conflict", "the object has been modified", call->key.name);
        return 0;
    case FAKE_THROTTLED:
        put_status(out, 429, "TooManyRequests", "too many requests", "");
        out->retry_after_ms = 1000;
        return 0;
    case FAKE_BROKEN:
        put_status(out, 500, "InternalError", "the server is broken", "");
        return 0;
    }
    return 0;
}

/* ------------------------------------------------------------------ exchange */

static struct fake_apiserver *server_of(struct transport *transport)
{
    return (struct fake_apiserver *)(void *)transport;
}

static void call_hook(struct fake_apiserver *server, const struct fake_call *call, bool after)
{
    mutex_lock(&server->lock);
    fake_write_hook *hook = server->hook;
    void *context = server->hook_context;
    mutex_unlock(&server->lock);
    if (hook != NULL && call->is_write && call->verb != NULL)
        hook(context, after, call->verb, call->resource, call->key);
}

static int exchange_locked(struct fake_apiserver *server, const struct fake_call *call,
                           const cJSON *body, struct http_response *out, struct error *err)
{
    if (server->down)
        return refused(err);
    if (refuse(server, call, out))
        return 0;
    count(server, call);
    if (call->is_write && strikes(server))
        return strike(server, call, body, server->fault, out, err);
    answer(server, call, body, out);
    return 0;
}

static int fake_exchange(struct transport *transport, const struct http_request *request,
                         struct stop *stop, struct http_response *out, struct error *err)
{
    struct fake_apiserver *server = server_of(transport);
    struct fake_call call;
    AUTO(json) cJSON *body = NULL;

    if (stop_raised(stop))
        return error_set(err, ERR_CANCELLED, "stopping");
    if (request->body != NULL && json_parse_text(request->body, &body, err) < 0) {
        put_status(out, 400, "BadRequest", err->message, "");
        return 0;
    }
    fake_call_parse(&call, request);
    if (call.verb != NULL && strcmp(call.verb, "create") == 0 &&
        json_string_at(body, "metadata.name") != NULL)
        call.key.name = json_string_at(body, "metadata.name");
    call_hook(server, &call, false);
    mutex_lock(&server->lock);
    int result = exchange_locked(server, &call, body, out, err);
    mutex_unlock(&server->lock);
    call_hook(server, &call, true);
    return result;
}

/* ------------------------------------------------------------------ watch */

struct watcher {
    const struct fake_call *call;
    uint64_t version;
    size_t at; /* the next change to look at */
    unsigned epoch;
    int64_t deadline_ms;
    bool at_once;
};

static cJSON *event_of(const char *type, cJSON *object)
{
    return JOBJ(JS("type", type), JV("object", object));
}

/* The next event for this watch, or NULL. An object that leaves the selector is DELETED for it. */
static cJSON *next_event(struct fake_apiserver *server, struct watcher *watcher)
{
    const struct fake_call *call = watcher->call;
    while (watcher->at < server->storage.change_count) {
        const struct fake_change *change = &server->storage.changes[watcher->at++];
        if (change->version <= watcher->version || change->kind != call->kind)
            continue;
        bool was = change->before != NULL && in_scope(call, change->before);
        bool is = !change->deleted && in_scope(call, change->after);
        if (was || is)
            return event_of(!is   ? "DELETED"
                            : was ? "MODIFIED"
                                  : "ADDED",
                            shown(call, change->after));
    }
    return NULL;
}

static cJSON *bookmark(struct fake_apiserver *server, const struct fake_call *call)
{
    return event_of("BOOKMARK",
                    JOBJ(JS("kind", call->kind->gvr->kind), JS("apiVersion", call->api_version),
                         JV("metadata", JOBJ(JF("resourceVersion", "%llu",
                                                (unsigned long long)server->storage.version)))));
}

static cJSON *expired(void)
{
    return event_of("ERROR",
                    JOBJ(JS("kind", "Status"), JS("apiVersion", "v1"), JS("status", "Failure"),
                         JS("message", "too old resource version"), JS("reason", "Expired"),
                         JI("code", 410)));
}

/* What ends a watch that was told to: -1 with *err, or the last line. With the lock held. */
static int watch_ended(const struct fake_apiserver *server, char **line_out, struct error *err)
{
    if (server->watch_end == FAKE_WATCH_CUT)
        return error_set(err, ERR_UNAVAILABLE, "the connection broke");
    if (server->watch_end == FAKE_WATCH_SILENT)
        return error_set(err, ERR_TIMEOUT, "no byte came");
    *line_out = server->watch_end == FAKE_WATCH_GARBAGE ? mem_strdup("{\"type\":\n") : NULL;
    return 0;
}

static char *line_of(cJSON *event)
{
    AUTO(json) cJSON *owned = event;
    AUTO_FREE char *text = json_print(owned);
    return mem_printf("%s\n", text);
}

/* Waits for the next line, with the lock held; NULL for none. *last_out is true where the watch
 * ends after it. -1: the connection breaks. */
static int watch_next(struct fake_apiserver *server, struct watcher *watcher, struct stop *stop,
                      char **line_out, bool *last_out, struct error *err)
{
    *line_out = NULL;
    *last_out = true;
    for (;;) {
        if (stop_raised(stop))
            return error_set(err, ERR_CANCELLED, "stopping");
        if (server->down)
            return error_set(err, ERR_UNAVAILABLE, "the connection broke");
        if (watcher->version < server->oldest_version) {
            *line_out = line_of(expired());
            return 0;
        }
        cJSON *event = next_event(server, watcher);
        if (event != NULL) {
            *last_out = false;
            *line_out = line_of(event);
            return 0;
        }
        if (watcher->epoch != server->epoch)
            return watch_ended(server, line_out, err);
        if (watcher->at_once)
            return 0;
        int64_t left_ms = watcher->deadline_ms - clock_monotonic(clock_system());
        if (left_ms <= 0) {
            *line_out = line_of(bookmark(server, watcher->call));
            return 0;
        }
        cond_wait_for(&server->changed, &server->lock,
                      left_ms < WATCH_STEP_MS ? left_ms : WATCH_STEP_MS);
    }
}

static int watch(struct fake_apiserver *server, struct watcher *watcher, struct stop *stop,
                 transport_sink *sink, void *context, struct error *err)
{
    for (bool last = false; !last;) {
        AUTO_FREE char *line = NULL;
        mutex_lock(&server->lock);
        int result = watch_next(server, watcher, stop, &line, &last, err);
        mutex_unlock(&server->lock);
        if (result < 0)
            return -1;
        if (line != NULL && !sink(context, line, strlen(line)))
            return 0;
    }
    return 0;
}

/* With the lock held. */
static struct watcher watcher_of(const struct fake_apiserver *server, const struct fake_call *call)
{
    int64_t seconds = call->timeout != NULL ? strtol(call->timeout, NULL, 10) : 10;
    int64_t watch_ms = server->watch_ms >= 0 ? server->watch_ms : seconds * 1000;
    return (struct watcher){ .call = call,
                             .version = strtoull(call->version, NULL, 10),
                             .epoch = server->epoch,
                             .deadline_ms = clock_monotonic(clock_system()) + watch_ms,
                             .at_once = server->watch_ms == 0 };
}

static int fake_stream(struct transport *transport, const struct http_request *request,
                       struct stop *stop, transport_sink *sink, void *context,
                       struct http_response *out, struct error *err)
{
    struct fake_apiserver *server = server_of(transport);
    struct fake_call call;
    struct watcher watcher = { 0 };
    bool down, answered;

    fake_call_parse(&call, request);
    mutex_lock(&server->lock);
    down = server->down;
    answered = down || refuse(server, &call, out);
    if (!answered) {
        count(server, &call);
        watcher = watcher_of(server, &call);
    }
    mutex_unlock(&server->lock);
    if (down)
        return refused(err);
    if (answered)
        return 0;
    *out = (struct http_response){ .status = 200, .body = BUF_INIT(HTTP_RESPONSE_BYTES_MAX) };
    return watch(server, &watcher, stop, sink, context, err);
}

static void fake_destroy(struct transport *transport)
{
    (void)transport; /* the server's owner frees it */
}

/* ------------------------------------------------------------------ life cycle */

struct fake_apiserver *fake_apiserver_new(const struct clock *clock)
{
    struct fake_apiserver *server = mem_new(struct fake_apiserver);
    server->transport = (struct transport){ .exchange = fake_exchange,
                                            .stream = fake_stream,
                                            .destroy = fake_destroy };
    server->watch_ms = -1;
    mutex_init(&server->lock);
    cond_init(&server->changed);
    fake_storage_init(&server->storage, clock);
    return server;
}

void fake_apiserver_free(struct fake_apiserver *server)
{
    if (server == NULL)
        return;
    fake_storage_fini(&server->storage);
    cond_fini(&server->changed);
    mutex_fini(&server->lock);
    free(server);
}

struct transport *fake_apiserver_transport(struct fake_apiserver *server)
{
    return &server->transport;
}

/* ------------------------------------------------------------------ the world's side */

static const struct fake_kind *kind_of(const struct gvr *gvr)
{
    const struct fake_kind *kind = fake_kind_find(gvr->group, gvr->resource);
    assert(kind != NULL);
    return kind;
}

static void must(struct fake_apiserver *server, struct fake_answer answer)
{
    if (answer.object == NULL)
        fprintf(stderr, "fake API server: %s\n", answer.message);
    assert(answer.object != NULL);
    json_free(answer.object);
    cond_broadcast(&server->changed);
}

cJSON *fake_apiserver_get(struct fake_apiserver *server, const struct gvr *gvr,
                          struct object_key key)
{
    mutex_lock(&server->lock);
    cJSON *copy = json_copy(fake_storage_get(&server->storage, kind_of(gvr), key));
    mutex_unlock(&server->lock);
    return copy;
}

size_t fake_apiserver_object_count(struct fake_apiserver *server, const struct gvr *gvr)
{
    size_t count_of;
    mutex_lock(&server->lock);
    free(fake_storage_list(&server->storage, kind_of(gvr), &count_of));
    mutex_unlock(&server->lock);
    return count_of;
}

void fake_apiserver_create(struct fake_apiserver *server, const struct gvr *gvr, cJSON *object)
{
    AUTO(json) cJSON *owned = object;
    const char *namespace_ = json_string_at(owned, "metadata.namespace");
    mutex_lock(&server->lock);
    struct fake_answer made = fake_storage_create(&server->storage, kind_of(gvr),
                                                  namespace_ != NULL ? namespace_ : "", owned);
    const cJSON *status = json_get(owned, "status");
    if (made.object != NULL && status != NULL && json_get(made.object, "status") == NULL) {
        struct object_key key = { namespace_ != NULL ? namespace_ : "",
                                  json_string_at(made.object, "metadata.name") };
        AUTO(json) cJSON *patch = JOBJ(JV("status", json_copy(status)));
        must(server, fake_storage_merge(&server->storage, kind_of(gvr), key, "status", patch));
    }
    must(server, made);
    mutex_unlock(&server->lock);
}

void fake_apiserver_merge(struct fake_apiserver *server, const struct gvr *gvr,
                          struct object_key key, cJSON *patch)
{
    AUTO(json) cJSON *owned = patch;
    mutex_lock(&server->lock);
    must(server, fake_storage_merge(&server->storage, kind_of(gvr), key, "*", owned));
    mutex_unlock(&server->lock);
}

void fake_apiserver_delete(struct fake_apiserver *server, const struct gvr *gvr,
                           struct object_key key)
{
    mutex_lock(&server->lock);
    must(server, fake_storage_delete(&server->storage, kind_of(gvr), key, NULL));
    mutex_unlock(&server->lock);
}

/* ------------------------------------------------------------------ controls */

unsigned fake_apiserver_requests(struct fake_apiserver *server, const char *verb,
                                 const char *resource)
{
    unsigned total = 0;
    mutex_lock(&server->lock);
    for (size_t i = 0; i < COUNTS_MAX && server->counts[i].count > 0; i++) {
        const char *counted = server->counts[i].verb;
        bool is_read = strcmp(counted, "get") == 0 || strcmp(counted, "list") == 0 ||
                       strcmp(counted, "watch") == 0;
        if ((verb == NULL ? !is_read : strcmp(counted, verb) == 0) &&
            (resource == NULL || strcmp(server->counts[i].resource, resource) == 0))
            total += server->counts[i].count;
    }
    mutex_unlock(&server->lock);
    return total;
}

void fake_apiserver_reset_requests(struct fake_apiserver *server)
{
    mutex_lock(&server->lock);
    for (size_t i = 0; i < COUNTS_MAX; i++)
        server->counts[i].count = 0;
    mutex_unlock(&server->lock);
}

void fake_apiserver_fail_next(struct fake_apiserver *server, unsigned nth, enum fake_fault fault)
{
    mutex_lock(&server->lock);
    server->fail_in = nth;
    server->fault = fault;
    mutex_unlock(&server->lock);
}

void fake_apiserver_set_down(struct fake_apiserver *server, bool down)
{
    mutex_lock(&server->lock);
    server->down = down;
    cond_broadcast(&server->changed);
    mutex_unlock(&server->lock);
}

void fake_apiserver_hide(struct fake_apiserver *server, const struct gvr *gvr, bool hidden)
{
    mutex_lock(&server->lock);
    const struct gvr *wanted = hidden ? NULL : gvr;
    size_t i = 0;
    while (i < HIDDEN_MAX && server->hidden[i] != wanted)
        i++;
    assert(i < HIDDEN_MAX);
    server->hidden[i] = hidden ? gvr : NULL;
    mutex_unlock(&server->lock);
}

void fake_apiserver_end_watches(struct fake_apiserver *server, enum fake_watch_end how)
{
    mutex_lock(&server->lock);
    if (how == FAKE_WATCH_EXPIRED) {
        server->oldest_version = ++server->storage.version;
    } else {
        server->epoch++;
        server->watch_end = how;
    }
    cond_broadcast(&server->changed);
    mutex_unlock(&server->lock);
}

void fake_apiserver_set_watch_ms(struct fake_apiserver *server, int64_t watch_ms)
{
    mutex_lock(&server->lock);
    server->watch_ms = watch_ms;
    mutex_unlock(&server->lock);
}

void fake_apiserver_on_write(struct fake_apiserver *server, fake_write_hook *hook, void *context)
{
    mutex_lock(&server->lock);
    server->hook = hook;
    server->hook_context = context;
    mutex_unlock(&server->lock);
}
