#include "common/k8s/client.h"

#include <stdlib.h>
#include <string.h>

#include "common/base/memory.h"
#include "common/json/build.h"
#include "common/json/json.h"
#include "common/k8s/status.h"
#include "common/k8s/url.h"

#define TYPE_JSON        "application/json"
#define TYPE_APPLY_PATCH "application/apply-patch+yaml" /* JSON is YAML */
#define TYPE_MERGE_PATCH "application/merge-patch+json"

/* One request about one kind, built by the verbs below. */
struct call {
    const struct gvr *gvr;
    const char *method;
    const char *content_type;
    const cJSON *body; /* borrowed; NULL: none */
    struct buf url;
};

#define CALL_INIT(gvr_, method_)                                           \
    {                                                                      \
        .gvr = (gvr_), .method = (method_), .url = BUF_INIT(URL_BYTES_MAX) \
    }

static void call_fini(struct call *call)
{
    buf_fini(&call->url);
}

DEFINE_CLEANUP(call, struct call, call_fini)

/* An empty segment would make a request for one object a request for the whole collection. */
static int call_object(struct call *call, struct object_key key, struct error *err)
{
    const char *namespace_ = key.namespace_ != NULL ? key.namespace_ : "";
    if (key.name == NULL || key.name[0] == '\0' || (call->gvr->namespaced && namespace_[0] == '\0'))
        return error_set(err, ERR_INVALID, "a %s needs a %s", call->gvr->kind,
                         key.name == NULL || key.name[0] == '\0' ? "name" : "namespace");
    url_append_object(&call->url, call->gvr, key);
    return 0;
}

/* Any status but 2xx becomes the error. */
static int call_send(struct k8s_client *c, struct call *call, struct http_response *out,
                     struct error *err)
{
    AUTO_FREE char *body = call->body != NULL ? json_print(call->body) : NULL;
    struct http_request request = {
        .method = call->method,
        .path = buf_text(&call->url),
        .content_type = call->content_type,
        .body = body,
    };
    if (buf_failed(&call->url))
        return error_set(err, ERR_INVALID, "a URL of more than %d bytes", URL_BYTES_MAX);
    if (c->transport->exchange(c->transport, &request, c->stop, out, err) < 0)
        return -1;
    if (out->status >= 200 && out->status < 300)
        return 0;
    status_to_error(call->gvr, out, err);
    buf_fini(&out->body);
    return -1;
}

static int call_json(struct k8s_client *c, struct call *call, cJSON **out, struct error *err)
{
    struct http_response response = { 0 };
    if (call_send(c, call, &response, err) < 0)
        return -1;
    int result = json_parse(buf_text(&response.body), response.body.length, HTTP_RESPONSE_BYTES_MAX,
                            out, err);
    buf_fini(&response.body);
    if (result < 0) {
        error_wrap(err, "the API server's answer");
        err->code = ERR_INTERNAL; /* not INVALID: what we sent was good, asking again may help */
    }
    return result;
}

/* `out` may be NULL: then the answer is not even parsed. */
static int call_returning(struct k8s_client *c, struct call *call, const struct object **out,
                          struct error *err)
{
    if (out == NULL) {
        struct http_response response = { 0 };
        if (call_send(c, call, &response, err) < 0)
            return -1;
        buf_fini(&response.body);
        return 0;
    }
    cJSON *json;
    if (call_json(c, call, &json, err) < 0)
        return -1;
    return object_new(json, out, err);
}

static int fail(const char *verb, const struct gvr *gvr, struct object_key key, struct error *err)
{
    char text[OBJECT_KEY_BYTES];
    struct object_key safe = { .namespace_ = key.namespace_ != NULL ? key.namespace_ : "",
                               .name = key.name != NULL ? key.name : "" };
    return error_wrap(err, "%s %s %s", verb, gvr->kind, object_key_format(safe, text));
}

static struct object_key key_of(const cJSON *object)
{
    return (struct object_key){ .namespace_ = json_string_at(object, "metadata.namespace"),
                                .name = json_string_at(object, "metadata.name") };
}

/* ------------------------------------------------------------------ verbs */

int k8s_get(struct k8s_client *c, const struct gvr *gvr, struct object_key key,
            const struct object **out, struct error *err)
{
    AUTO(call) struct call call = CALL_INIT(gvr, "GET");
    if (call_object(&call, key, err) < 0 || call_returning(c, &call, out, err) < 0)
        return fail("get", gvr, key, err);
    return 0;
}

int k8s_create(struct k8s_client *c, const struct gvr *gvr, const cJSON *object,
               const struct object **out, struct error *err)
{
    AUTO(call) struct call call = CALL_INIT(gvr, "POST");
    struct object_key key = key_of(object);
    call.content_type = TYPE_JSON;
    call.body = object;
    url_append_collection(&call.url, gvr, key.namespace_);
    url_append_query(&call.url, "fieldManager", FIELD_MANAGER);
    if (call_returning(c, &call, out, err) < 0)
        return fail("create", gvr, key, err);
    return 0;
}

int k8s_apply(struct k8s_client *c, const struct gvr *gvr, const cJSON *object,
              const struct object **out, struct error *err)
{
    AUTO(call) struct call call = CALL_INIT(gvr, "PATCH");
    struct object_key key = key_of(object);
    call.content_type = TYPE_APPLY_PATCH;
    call.body = object;
    if (call_object(&call, key, err) < 0)
        return fail("apply", gvr, key, err);
    url_append_query(&call.url, "fieldManager", FIELD_MANAGER);
    url_append_query(&call.url, "force", "true");
    if (call_returning(c, &call, out, err) < 0)
        return fail("apply", gvr, key, err);
    return 0;
}

int k8s_merge_patch(struct k8s_client *c, const struct gvr *gvr, struct object_key key,
                    const char *subresource, const cJSON *patch, const struct object **out,
                    struct error *err)
{
    AUTO(call) struct call call = CALL_INIT(gvr, "PATCH");
    call.content_type = TYPE_MERGE_PATCH;
    call.body = patch;
    if (call_object(&call, key, err) < 0)
        return fail("patch", gvr, key, err);
    if (subresource != NULL)
        buf_printf(&call.url, "/%s", subresource);
    url_append_query(&call.url, "fieldManager", FIELD_MANAGER);
    if (call_returning(c, &call, out, err) < 0)
        return fail(subresource != NULL ? "patch status of" : "patch", gvr, key, err);
    return 0;
}

/* After a 409 on a UID precondition: whether the object that was meant is gone. The Status says so
 * only in prose, so the server is asked. 1, 0 (still there), or -1. */
static int is_gone(struct k8s_client *c, const struct gvr *gvr, struct object_key key,
                   const char *uid, struct error *err)
{
    AUTO(object) const struct object *object = NULL;
    if (k8s_get(c, gvr, key, &object, err) < 0)
        return err->code == ERR_NOT_FOUND ? 1 : -1;
    return object != NULL && strcmp(object->uid, uid) != 0;
}

int k8s_delete(struct k8s_client *c, const struct gvr *gvr, struct object_key key,
               const struct delete_options *options, struct error *err)
{
    AUTO(call) struct call call = CALL_INIT(gvr, "DELETE");
    bool conditional = options->uid != NULL || options->resource_version != NULL;
    AUTO(json)
    cJSON *body = JOBJ(
        JS("apiVersion", "v1"), JS("kind", "DeleteOptions"),
        JS("propagationPolicy", options->propagation),
        JV("preconditions", conditional ? JOBJ(JS("uid", options->uid),
                                               JS("resourceVersion", options->resource_version))
                                        : NULL));
    call.content_type = TYPE_JSON;
    call.body = body;
    if (call_object(&call, key, err) < 0)
        return fail("delete", gvr, key, err);
    if (call_returning(c, &call, NULL, err) == 0)
        return 0;
    if (err->code == ERR_NOT_FOUND)
        return 1;
    if (err->code == ERR_CONFLICT && options->uid != NULL) {
        struct error conflict = *err;
        int gone = is_gone(c, gvr, key, options->uid, err);
        if (gone != 0)
            return gone;
        *err = conflict;
    }
    return fail("delete", gvr, key, err);
}

int k8s_evict(struct k8s_client *c, const struct object *pod, struct error *err)
{
    AUTO(call) struct call call = CALL_INIT(&GVR_POD, "POST");
    AUTO(json)
    cJSON *body =
        JOBJ(JS("apiVersion", "policy/v1"), JS("kind", "Eviction"),
             JV("metadata", JOBJ(JS("name", pod->key.name), JS("namespace", pod->key.namespace_))),
             JV("deleteOptions", JOBJ(JV("preconditions", JOBJ(JS("uid", pod->uid))))));
    call.content_type = TYPE_JSON;
    call.body = body;
    if (call_object(&call, pod->key, err) < 0)
        return fail("evict", &GVR_POD, pod->key, err);
    buf_puts(&call.url, "/eviction");
    if (call_returning(c, &call, NULL, err) == 0)
        return 0;
    if (err->code == ERR_NOT_FOUND)
        return 1;
    return fail("evict", &GVR_POD, pod->key, err);
}

/* ------------------------------------------------------------------ list */

/* All pages are gathered before the first item is handed out, so that the caller sees one
 * consistent list or none. */
enum { LIST_PAGES_MAX = 10 * 1000 };

struct gathering {
    const struct object **items;
    size_t count;
    size_t capacity;
    char *version;
    char *continue_token; /* NULL after the last page */
};

static void gathering_reset(struct gathering *g)
{
    for (size_t i = 0; i < g->count; i++)
        object_unref(g->items[i]);
    free(g->items);
    free(g->version);
    free(g->continue_token);
    *g = (struct gathering){ 0 };
}

DEFINE_CLEANUP(gathering, struct gathering, gathering_reset)

static int gather_items(struct gathering *g, cJSON *page, struct error *err)
{
    /* Detached one by one, so that each object owns its tree without a copy. */
    AUTO(json) cJSON *items = cJSON_DetachItemFromObjectCaseSensitive(page, "items");

    for (;;) {
        cJSON *item = cJSON_IsArray(items) ? cJSON_DetachItemFromArray(items, 0) : NULL;
        if (item == NULL)
            return 0;
        if (g->count == g->capacity) {
            g->capacity = g->capacity != 0 ? 2 * g->capacity : K8S_LIST_PAGE;
            g->items = mem_realloc(g->items, g->capacity * sizeof(const struct object *));
        }
        if (object_new(item, &g->items[g->count], err) < 0)
            return -1;
        g->count++;
    }
}

static int gather_page(struct gathering *g, cJSON *page, struct error *err)
{
    const char *version = json_string_at(page, "metadata.resourceVersion");
    const char *token = json_string_at(page, "metadata.continue");

    if (version == NULL)
        return error_set(err, ERR_INTERNAL, "the API server's answer is not a list");
    free(g->version);
    g->version = mem_strdup(version);
    free(g->continue_token);
    g->continue_token = token != NULL && token[0] != '\0' ? mem_strdup(token) : NULL;
    return gather_items(g, page, err);
}

static int gather(struct k8s_client *c, const struct gvr *gvr, const struct list_options *options,
                  bool paged, struct gathering *g, struct error *err)
{
    unsigned pages = 0;
    do {
        if (++pages > LIST_PAGES_MAX)
            return error_set(err, ERR_TOO_LARGE, "more than %d pages", LIST_PAGES_MAX);
        AUTO(call) struct call call = CALL_INIT(gvr, "GET");
        AUTO(json) cJSON *page = NULL;
        url_append_collection(&call.url, gvr, options->namespace_);
        url_append_query(&call.url, "labelSelector", options->label_selector);
        url_append_query(&call.url, "fieldSelector", options->field_selector);
        if (paged) {
            buf_printf(&call.url, "%climit=%d", strchr(buf_text(&call.url), '?') ? '&' : '?',
                       K8S_LIST_PAGE);
            url_append_query(&call.url, "continue", g->continue_token);
        }
        if (call_json(c, &call, &page, err) < 0 || gather_page(g, page, err) < 0)
            return -1;
    } while (g->continue_token != NULL);
    return 0;
}

int k8s_list(struct k8s_client *c, const struct gvr *gvr, const struct list_options *options,
             k8s_item *item, void *context, char **version_out, struct error *err)
{
    AUTO(gathering) struct gathering g = { 0 };

    int result = gather(c, gvr, options, true, &g, err);
    if (result < 0 && err->code == ERR_EXPIRED && g.continue_token != NULL) {
        gathering_reset(&g);
        result = gather(c, gvr, options, false, &g, err);
    }
    if (result < 0)
        return error_wrap(err, "list %s", gvr->resource);
    for (size_t i = 0; i < g.count; i++)
        item(context, g.items[i]);
    *version_out = STEAL(g.version);
    return 0;
}
