#include "common/http/exchange.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/memory.h"

enum {
    ANSWER_BYTES_MAX = 16 * 1024 * 1024,
    ALLOW_BYTES_MAX = 256,
    DISCARD_BYTES_MAX = 1024 * 1024, /* read beyond the bound so that the client hears its 413 */
};

struct request {
    const struct http_route *route; /* NULL: `status` says why */
    int status;
    size_t received;
    struct buf body;
};

/* ------------------------------------------------------------------ routes */

static bool method_fits(const struct http_route *route, const char *method)
{
    return route->method == NULL || strcmp(route->method, method) == 0 ||
           (strcmp(method, "HEAD") == 0 && strcmp(route->method, "GET") == 0);
}

static void find_route(const struct exchange_context *context, const char *path, const char *method,
                       struct request *request)
{
    request->status = MHD_HTTP_NOT_FOUND;
    for (size_t i = 0; i < context->route_count; i++) {
        const struct http_route *route = &context->routes[i];
        if (strcmp(route->path, path) != 0)
            continue;
        if (method_fits(route, method)) {
            request->route = route;
            request->status = MHD_HTTP_OK;
            return;
        }
        request->status = MHD_HTTP_METHOD_NOT_ALLOWED;
    }
}

static void list_methods(const struct exchange_context *context, const char *path,
                         struct buf *methods)
{
    for (size_t i = 0; i < context->route_count; i++) {
        if (strcmp(context->routes[i].path, path) == 0)
            buf_printf(methods, "%s%s", methods->length > 0 ? ", " : "", context->routes[i].method);
    }
}

/* ------------------------------------------------------------------ answers */

static enum MHD_Result send_response(const struct exchange_context *context,
                                     struct MHD_Connection *connection, int status,
                                     struct MHD_Response *response)
{
    if (atomic_load_explicit(&context->draining, memory_order_relaxed))
        MHD_add_response_header(response, MHD_HTTP_HEADER_CONNECTION, "close");
    enum MHD_Result result = MHD_queue_response(connection, (unsigned)status, response);
    MHD_destroy_response(response);
    return result;
}

/* The answer's memory is handed over. */
static struct MHD_Response *new_response(struct buf *answer, const char *type)
{
    size_t length = answer->length;
    struct MHD_Response *response =
        MHD_create_response_from_buffer(length, buf_take(answer), MHD_RESPMEM_MUST_FREE);
    if (response == NULL)
        mem_exhausted();
    MHD_add_response_header(response, MHD_HTTP_HEADER_CONTENT_TYPE, type);
    return response;
}

static const char *reason(int status)
{
    switch (status) {
    case MHD_HTTP_NOT_FOUND:
        return "no such path\n";
    case MHD_HTTP_METHOD_NOT_ALLOWED:
        return "method not allowed for this path\n";
    case MHD_HTTP_CONTENT_TOO_LARGE:
        return "request body too large\n";
    default:
        return "the answer could not be made\n";
    }
}

static enum MHD_Result refuse(const struct exchange_context *context,
                              struct MHD_Connection *connection, const char *path, int status)
{
    struct buf text = BUF_INIT(ALLOW_BYTES_MAX);
    buf_puts(&text, reason(status));
    struct MHD_Response *response = new_response(&text, "text/plain; charset=utf-8");
    if (status == MHD_HTTP_METHOD_NOT_ALLOWED) {
        AUTO(buf) struct buf methods = BUF_INIT(ALLOW_BYTES_MAX);
        list_methods(context, path, &methods);
        MHD_add_response_header(response, MHD_HTTP_HEADER_ALLOW, buf_text(&methods));
    }
    return send_response(context, connection, status, response);
}

static enum MHD_Result answer(const struct exchange_context *context,
                              struct MHD_Connection *connection, const char *path,
                              const char *method, struct request *request)
{
    const char *type =
        MHD_lookup_connection_value(connection, MHD_HEADER_KIND, MHD_HTTP_HEADER_CONTENT_TYPE);
    struct http_exchange exchange = { .method = method,
                                      .path = path,
                                      .content_type = type != NULL ? type : "",
                                      .body = buf_text(&request->body),
                                      .body_bytes = request->body.length,
                                      .status = MHD_HTTP_OK,
                                      .answer_type = "application/json",
                                      .answer = BUF_INIT(ANSWER_BYTES_MAX) };
    request->route->handler(request->route->context, &exchange);
    if (buf_failed(&exchange.answer)) {
        buf_fini(&exchange.answer);
        return refuse(context, connection, path, MHD_HTTP_INTERNAL_SERVER_ERROR);
    }
    return send_response(context, connection, exchange.status,
                         new_response(&exchange.answer, exchange.answer_type));
}

/* ------------------------------------------------------------------ requests */

/* MHD refuses a length that is no number before this is asked; a number beyond size_t is too large.
 */
static bool announces_too_much(const struct exchange_context *context,
                               struct MHD_Connection *connection)
{
    const char *length =
        MHD_lookup_connection_value(connection, MHD_HEADER_KIND, MHD_HTTP_HEADER_CONTENT_LENGTH);
    if (length == NULL)
        return false;
    errno = 0;
    unsigned long long bytes = strtoull(length, NULL, 10);
    return errno != 0 || bytes > context->body_bytes_max;
}

static enum MHD_Result begin(struct exchange_context *context, struct MHD_Connection *connection,
                             const char *path, const char *method, void **request_out)
{
    struct request *request = mem_new(struct request);
    request->body = (struct buf)BUF_INIT(context->body_bytes_max);
    find_route(context, path, method, request);
    atomic_fetch_add(&context->active, 1);
    *request_out = request;
    if (announces_too_much(context, connection)) /* answered unread: MHD ends the connection */
        return refuse(context, connection, path, MHD_HTTP_CONTENT_TOO_LARGE);
    return MHD_YES;
}

/* What has no use is read and dropped, because MHD cannot answer in the middle of a body. */
static enum MHD_Result take_body(const struct exchange_context *context, struct request *request,
                                 const char *bytes, size_t count)
{
    request->received += count;
    if (request->received > context->body_bytes_max) {
        request->status = MHD_HTTP_CONTENT_TOO_LARGE;
        request->route = NULL;
        buf_fini(&request->body);
        bool patient = request->received - context->body_bytes_max <= DISCARD_BYTES_MAX;
        return patient ? MHD_YES : MHD_NO;
    }
    if (request->route != NULL)
        buf_append(&request->body, bytes, count); /* the bound was looked at */
    return MHD_YES;
}

enum MHD_Result exchange_access(void *closure, struct MHD_Connection *connection, const char *path,
                                const char *method, const char *version, const char *upload,
                                size_t *upload_bytes, void **request_slot)
{
    (void)version;
    struct exchange_context *context = closure;
    struct request *request = *request_slot;
    if (request == NULL)
        return begin(context, connection, path, method, request_slot);
    if (*upload_bytes > 0) {
        size_t count = *upload_bytes;
        *upload_bytes = 0;
        return take_body(context, request, upload, count);
    }
    if (request->route == NULL)
        return refuse(context, connection, path, request->status);
    return answer(context, connection, path, method, request);
}

void exchange_completed(void *closure, struct MHD_Connection *connection, void **request_slot,
                        enum MHD_RequestTerminationCode code)
{
    (void)connection, (void)code;
    struct exchange_context *context = closure;
    struct request *request = *request_slot;
    if (request == NULL)
        return;
    buf_fini(&request->body);
    free(request);
    *request_slot = NULL;
    atomic_fetch_sub(&context->active, 1);
}
