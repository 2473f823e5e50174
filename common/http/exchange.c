#include "common/http/exchange.h"

#include <errno.h>
#include <malloc.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/clock.h"
#include "common/base/memory.h"

enum {
    ANSWER_BYTES_MAX = 16 * 1024 * 1024,
    ALLOW_BYTES_MAX = 256,
    DISCARD_BYTES_MAX = 1024 * 1024, /* read beyond the bound so that the client hears its 413 */
    BODY_S_MAX = 15,                 /* a client that asks in earnest has given up by then */
    /* Larger bodies share a bound, so that many that never end cannot take all memory; smaller
     * ones, which nearly all are, never wait for those. */
    SMALL_BODY_BYTES = 64 * 1024,
    LARGE_BODIES_BYTES_MAX = 64 * 1024 * 1024,
};

struct request {
    const struct http_route *route; /* NULL: `status` says why */
    int status;
    int64_t begin_ms;
    size_t reserved; /* of LARGE_BODIES_BYTES_MAX */
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
    case MHD_HTTP_SERVICE_UNAVAILABLE:
        return "too many large request bodies at a time; try again\n";
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

/* 0 when none is announced. MHD refuses a length that is no number before this is asked; a number
 * beyond size_t is too large. */
static size_t announced_bytes(struct MHD_Connection *connection)
{
    const char *length =
        MHD_lookup_connection_value(connection, MHD_HEADER_KIND, MHD_HTTP_HEADER_CONTENT_LENGTH);
    if (length == NULL)
        return 0;
    errno = 0;
    unsigned long long bytes = strtoull(length, NULL, 10);
    return errno != 0 || bytes > SIZE_MAX ? SIZE_MAX : (size_t)bytes;
}

/* Room for a body of so many bytes; false when others have taken it. Who holds room and sends
 * nothing loses it soon. */
static bool reserve(struct exchange_context *context, struct MHD_Connection *connection,
                    struct request *request, size_t bytes)
{
    if (bytes <= SMALL_BODY_BYTES || request->reserved > 0)
        return true;
    if (atomic_fetch_add(&context->large_bytes, bytes) + bytes > LARGE_BODIES_BYTES_MAX) {
        atomic_fetch_sub(&context->large_bytes, bytes);
        return false;
    }
    request->reserved = bytes;
    MHD_set_connection_option(connection, MHD_CONNECTION_OPTION_TIMEOUT, (unsigned)BODY_S_MAX);
    return true;
}

/* A body that is refused by its announced length is not read: MHD ends the connection. */
static enum MHD_Result begin(struct exchange_context *context, struct MHD_Connection *connection,
                             const char *path, const char *method, void **request_out)
{
    struct request *request = mem_new(struct request);
    request->body = (struct buf)BUF_INIT(context->body_bytes_max);
    request->begin_ms = clock_monotonic(clock_system());
    find_route(context, path, method, request);
    atomic_fetch_add(&context->active, 1);
    *request_out = request;
    size_t bytes = announced_bytes(connection);
    if (bytes > context->body_bytes_max)
        return refuse(context, connection, path, MHD_HTTP_CONTENT_TOO_LARGE);
    if (!reserve(context, connection, request, bytes))
        return refuse(context, connection, path, MHD_HTTP_SERVICE_UNAVAILABLE);
    return MHD_YES;
}

static void drop_body(struct request *request, int status)
{
    request->status = status;
    request->route = NULL;
    buf_fini(&request->body);
}

/* What has no use is read and dropped, because MHD cannot answer in the middle of a body. */
static enum MHD_Result take_body(struct exchange_context *context,
                                 struct MHD_Connection *connection, struct request *request,
                                 const char *bytes, size_t count)
{
    if (clock_monotonic(clock_system()) - request->begin_ms > BODY_S_MAX * 1000)
        return MHD_NO;
    request->received += count;
    if (request->received > context->body_bytes_max) {
        drop_body(request, MHD_HTTP_CONTENT_TOO_LARGE);
        bool patient = request->received - context->body_bytes_max <= DISCARD_BYTES_MAX;
        return patient ? MHD_YES : MHD_NO;
    }
    /* Chunks announce nothing: room is made for the most they can become. */
    if (request->received > SMALL_BODY_BYTES &&
        !reserve(context, connection, request, context->body_bytes_max))
        drop_body(request, MHD_HTTP_SERVICE_UNAVAILABLE);
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
        return take_body(context, connection, request, upload, count);
    }
    if (request->route == NULL)
        return refuse(context, connection, path, request->status);
    return answer(context, connection, path, method, request);
}

void exchange_completed(void *closure, struct MHD_Connection *connection, void **request_slot,
                        enum MHD_RequestTerminationCode code)
{
    (void)code;
    struct exchange_context *context = closure;
    struct request *request = *request_slot;
    if (request == NULL)
        return;
    bool large = request->received > SMALL_BODY_BYTES;
    buf_fini(&request->body);
    if (request->reserved > 0) {
        atomic_fetch_sub(&context->large_bytes, request->reserved);
        MHD_set_connection_option(connection, MHD_CONNECTION_OPTION_TIMEOUT,
                                  context->idle_timeout_s);
    }
    free(request);
    *request_slot = NULL;
    atomic_fetch_sub(&context->active, 1);
    if (large)
        malloc_trim(0); /* what one rare request took is not kept for ever */
}
