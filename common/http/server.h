/* HTTP and HTTPS server on libmicrohttpd: a thread pool, keep-alive, bodies that are bounded each,
 * together and in the time they take to arrive, and certificates that are replaced without dropping
 * a request. Handlers run on the pool's threads, must be thread-safe and may block shortly. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/buf.h"
#include "common/base/error.h"

struct http_server;

struct http_exchange {
    const char *method;
    const char *path;         /* without query */
    const char *content_type; /* "" when absent */
    const char *body;         /* terminated; body_bytes long */
    size_t body_bytes;
    /* the answer */
    int status;              /* 200 unless changed */
    const char *answer_type; /* "application/json" unless changed; a literal */
    struct buf answer;
};

typedef void http_handler(void *context, struct http_exchange *exchange);

struct http_route {
    const char *method; /* NULL: any */
    const char *path;
    http_handler *handler;
    void *context;
};

struct http_server_options {
    const char *listen;              /* host:port, [v6]:port; port 0 takes a free one */
    const char *flag;                /* what chose it ("--listen"), for errors; NULL: not named */
    const char *tls_dir;             /* tls.crt and tls.key; NULL: plain HTTP */
    const struct http_route *routes; /* borrowed for the server's life */
    size_t route_count;
    size_t body_bytes_max; /* larger: 413 before it is read */
    unsigned threads;
    unsigned connections_max;
    unsigned idle_timeout_s;
};

/* Begins to listen. With TLS, when the certificate is not there or unreadable: fails with NOT_FOUND
 * or INVALID naming the file. A busy port: UNAVAILABLE naming the address. */
MUST_CHECK int http_server_start(const struct http_server_options *options,
                                 struct http_server **out, struct error *err);
uint16_t http_server_port(const struct http_server *server);

/* Looks at the certificate files and, when they changed and fit together, takes them for new
 * connections; those that exist end after their current request. 1: reloaded, 0: unchanged, -1: the
 * new files do not fit and the old certificate stays. Also gives back the memory of a crowd that
 * has left. Call it about once a second, from one thread. */
MUST_CHECK int http_server_reload(struct http_server *server, struct error *err);

/* Refuses new connections, lets running requests finish for at most `grace_ms`, frees. */
void http_server_stop(struct http_server *server, int64_t grace_ms);
