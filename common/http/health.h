/* The plain HTTP side of each service: /healthz (alive), /readyz (200, or 503 with one line a
 * reason), /metrics (Prometheus text). */
#pragma once

#include "common/base/buf.h"
#include "common/base/error.h"
#include "common/http/server.h"

/* Appends one line for each reason why the service is not ready; nothing when it is. */
typedef void health_probe(void *context, struct buf *reasons);

struct health_server;

/* `listen` "" or NULL: no server, *out is NULL. */
MUST_CHECK int health_server_start(const char *listen, health_probe *probe, void *context,
                                   struct health_server **out, struct error *err);
uint16_t health_server_port(const struct health_server *health);
void health_server_stop(struct health_server *health); /* NULL is fine */
