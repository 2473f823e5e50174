#include <string.h>

#include "common/json/build.h"
#include "common/json/json.h"
#include "common/k8s/client.h"
#include "common/k8s/status.h"
#include "common/k8s/url.h"
#include "common/k8s/watch_stream.h"

/* ------------------------------------------------------------------ events */

static int read_type(const char *type, enum watch_event_type *out)
{
    static const char *const names[] = { [WATCH_ADDED] = "ADDED",
                                         [WATCH_MODIFIED] = "MODIFIED",
                                         [WATCH_DELETED] = "DELETED",
                                         [WATCH_BOOKMARK] = "BOOKMARK" };
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        if (strcmp(type, names[i]) == 0) {
            *out = (enum watch_event_type)i;
            return 0;
        }
    }
    return -1;
}

static int hand_out(struct watch_stream *s, enum watch_event_type type, cJSON *event)
{
    const char *version = json_string_at(event, "object.metadata.resourceVersion");
    if (version == NULL)
        return error_set(&s->err, ERR_INVALID, "a watch event without a resourceVersion");
    if (type == WATCH_BOOKMARK) {
        s->event(s->context, type, NULL, version);
        return 0;
    }
    AUTO(object) const struct object *object = NULL;
    cJSON *json = cJSON_DetachItemFromObjectCaseSensitive(event, "object");
    if (object_new(json, &object, &s->err) < 0)
        return -1;
    s->event(s->context, type, object, object->resource_version);
    return 0;
}

static int read_line(struct watch_stream *s, const char *line, size_t length)
{
    AUTO(json) cJSON *event = NULL;
    enum watch_event_type type;

    if (strspn(line, " \r\t") >= length)
        return 0;
    if (json_parse(line, length, WATCH_LINE_BYTES_MAX, &event, &s->err) < 0)
        return error_wrap(&s->err, "a watch event");
    const char *name = json_string_at(event, "type");
    if (name != NULL && strcmp(name, "ERROR") == 0)
        return status_object_to_error(s->gvr, json_get(event, "object"), &s->err);
    if (name == NULL || read_type(name, &type) < 0)
        return error_set(&s->err, ERR_INVALID, "a watch event of an unknown type");
    return hand_out(s, type, event);
}

/* ------------------------------------------------------------------ lines */

void watch_stream_init(struct watch_stream *stream, const struct gvr *gvr, k8s_watch_event *event,
                       void *context)
{
    *stream = (struct watch_stream){ .gvr = gvr,
                                     .event = event,
                                     .context = context,
                                     .line = BUF_INIT(WATCH_LINE_BYTES_MAX),
                                     .err = ERROR_INIT };
}

static bool watch_stream_fail(struct watch_stream *s)
{
    s->failed = true;
    return false;
}

bool watch_stream_feed(void *stream, const char *bytes, size_t count)
{
    struct watch_stream *s = stream;

    if (s->failed)
        return false;
    while (count > 0) {
        const char *newline = memchr(bytes, '\n', count);
        size_t length = newline != NULL ? (size_t)(newline - bytes) : count;
        if (buf_append(&s->line, bytes, length) < 0) {
            error_set(&s->err, ERR_INVALID, "a watch event of more than %d bytes",
                      WATCH_LINE_BYTES_MAX);
            return watch_stream_fail(s);
        }
        if (newline == NULL)
            return true;
        if (read_line(s, buf_text(&s->line), s->line.length) < 0)
            return watch_stream_fail(s);
        buf_reset(&s->line);
        bytes += length + 1;
        count -= length + 1;
    }
    return true;
}

void watch_stream_fini(struct watch_stream *stream)
{
    buf_fini(&stream->line);
}

/* ------------------------------------------------------------------ one watch */

static void append_watch_url(struct buf *url, const struct gvr *gvr,
                             const struct list_options *options, const char *version)
{
    url_append_collection(url, gvr, options->namespace_);
    buf_printf(url, "?watch=true&allowWatchBookmarks=true&timeoutSeconds=%d", WATCH_SECONDS);
    url_append_query(url, "resourceVersion", version);
    url_append_query(url, "labelSelector", options->label_selector);
    url_append_query(url, "fieldSelector", options->field_selector);
}

static int watch(struct k8s_client *c, const struct gvr *gvr, const struct http_request *request,
                 struct watch_stream *stream, struct error *err)
{
    struct http_response response = { 0 };
    if (c->transport->stream(c->transport, request, c->stop, watch_stream_feed, stream, &response,
                             err) < 0)
        return -1;
    int result = 0;
    if (stream->failed) {
        *err = stream->err;
        result = -1;
    } else if (response.status < 200 || response.status >= 300) {
        result = status_to_error(gvr, &response, err);
    }
    buf_fini(&response.body);
    return result;
}

int k8s_watch(struct k8s_client *c, const struct gvr *gvr, const struct list_options *options,
              const char *version, k8s_watch_event *event, void *context, struct error *err)
{
    AUTO(buf) struct buf url = BUF_INIT(URL_BYTES_MAX);
    AUTO(watch_stream) struct watch_stream stream;

    watch_stream_init(&stream, gvr, event, context);
    append_watch_url(&url, gvr, options, version);
    if (buf_failed(&url))
        return error_set(err, ERR_INVALID, "a URL of more than %d bytes", URL_BYTES_MAX);
    struct http_request request = {
        .method = "GET",
        .path = buf_text(&url),
        .timeout_ms = WATCH_SILENCE_MS,
    };
    if (watch(c, gvr, &request, &stream, err) < 0)
        return error_wrap(err, "watch %s", gvr->resource);
    return 0;
}
