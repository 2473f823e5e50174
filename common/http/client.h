/* HTTP to whatever has an absolute URL: a cloud's API, its token and metadata services. A vtable,
 * so that tests script it; the real one (http_client_curl_new) is libcurl: connections are kept
 * and reused, TLS 1.2 or newer is verified, redirects are not followed (they would carry the
 * token along), and proxies of the environment are honoured. Thread-safe. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "common/base/buf.h"
#include "common/base/error.h"
#include "common/base/stop.h"

enum {
    HTTP_CLIENT_ANSWER_BYTES_MAX = 8 * 1024 * 1024,
    HTTP_CLIENT_HEADER_BYTES_MAX = 4096, /* of a header's value that is kept */
    HTTP_CLIENT_TIMEOUT_MS = 30 * 1000,
};

struct http_client_request {
    const char *method;
    const char *url;
    const char *const *headers; /* "Name: value", ends with NULL; NULL: none */
    const char *body;           /* text or NULL */
    bool direct;                /* whatever proxy the environment names: link-local services */
};

struct http_client_answer {
    int status;
    struct buf body;
    char *operation;        /* Azure-AsyncOperation, or Location without one; NULL: neither */
    int64_t retry_after_ms; /* from Retry-After, else 0 */
};

struct http_client {
    /* 0 with any HTTP status in `out` (http_client_answer_fini); -1 only when no whole answer came:
     * UNAVAILABLE, TIMEOUT, CANCELLED (stop raised), TOO_LARGE. */
    int (*exchange)(struct http_client *client, const struct http_client_request *request,
                    struct stop *stop, struct http_client_answer *out, struct error *err);
    void (*destroy)(struct http_client *client);
};

void http_client_answer_fini(struct http_client_answer *answer);

/* `ca_file` "": the system's authorities, else these instead. */
struct http_client *http_client_curl_new(const char *ca_file, const char *user_agent);
void http_client_free(struct http_client *client); /* NULL is fine */

DEFINE_CLEANUP(http_client_answer, struct http_client_answer, http_client_answer_fini)
