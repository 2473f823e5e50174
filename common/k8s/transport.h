/* HTTP to the API server. A vtable, so that tests run a whole service against an in-memory server;
 * the real one (transport_curl_new) is libcurl: connections are pooled and reused, HTTP/2 where the
 * server speaks it, TLS by OpenSSL, at most one thread in a connection. Thread-safe. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/buf.h"
#include "common/base/error.h"
#include "common/base/stop.h"

enum {
    HTTP_RESPONSE_BYTES_MAX = 64 * 1024 * 1024,
    HTTP_TIMEOUT_MS = 30 * 1000,
    HTTP_CONNECT_TIMEOUT_MS = 5 * 1000,
};

struct http_request {
    const char *method;       /* "GET" */
    const char *path;         /* with query, begins with '/' */
    const char *content_type; /* NULL without a body */
    const char *body;         /* text or NULL */
    int64_t timeout_ms;       /* whole exchange; 0: HTTP_TIMEOUT_MS. Streams: without a byte */
};

struct http_response {
    int status;
    struct buf body;
    int64_t retry_after_ms; /* from Retry-After, else 0 */
};

/* Called with each piece of a streamed 2xx body as it comes. Return false to end the stream. */
typedef bool transport_sink(void *context, const char *bytes, size_t count);

struct transport {
    /* 0 with any HTTP status in `out` (caller frees with buf_fini(&out->body)); -1 only when no
     * whole answer came: UNAVAILABLE (refused, cut), TIMEOUT, CANCELLED (stop raised), TOO_LARGE.
     */
    int (*exchange)(struct transport *transport, const struct http_request *request,
                    struct stop *stop, struct http_response *out, struct error *err);
    /* Streams the body of a 2xx answer into `sink` until the server ends it (returns 0), the sink
     * says so (0), or it breaks (-1; TIMEOUT when no byte came for request->timeout_ms). For other
     * statuses the body is in `out` and the result is 0. out->status is always set on 0. */
    int (*stream)(struct transport *transport, const struct http_request *request,
                  struct stop *stop, transport_sink *sink, void *context, struct http_response *out,
                  struct error *err);
    void (*destroy)(struct transport *transport);
};

struct kubeconfig;

/* Borrows `config` for its life. Credentials are re-read when they can change (token file, exec).
 */
MUST_CHECK int transport_curl_new(struct kubeconfig *config, const char *user_agent,
                                  struct transport **out, struct error *err);
void transport_free(struct transport *transport);
