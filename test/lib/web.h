/* A small HTTP client for tests, on libcurl: one object is one keep-alive connection. */
#pragma once

#include <stdint.h>

#include "common/base/buf.h"
#include "common/base/compiler.h"

struct web;

/* `authority_pem` "" or NULL: plain HTTP, else HTTPS to localhost that must prove itself by it. */
struct web *web_new(uint16_t port, const char *authority_pem);
void web_free(struct web *web);
DEFINE_CLEANUP_P(web, struct web, web_free)

struct web_request {
    const char *method, *path;
    const char *body; /* NULL: none */
    size_t body_bytes;
    bool chunked;
};

/* The status, or a negative curl code. `answer` gets header and body. */
int web_send(struct web *web, const struct web_request *request, struct buf *answer);
int web_get(struct web *web, const char *path, struct buf *answer);

/* TCP and TLS connections made so far. */
int web_connections(const struct web *web);
/* The highest TLS version to offer, as 10 * major + minor (12 for TLS 1.2). */
void web_limit_tls(struct web *web, int version);
