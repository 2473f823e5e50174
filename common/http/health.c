#include "common/http/health.h"

#include <stdlib.h>

#include "common/base/memory.h"
#include "common/base/metrics.h"

enum { BODY_BYTES_MAX = 4096, CONNECTIONS_MAX = 64, IDLE_TIMEOUT_S = 75, STOP_GRACE_MS = 1000 };

static const char text_plain[] = "text/plain; charset=utf-8";

struct health_server {
    health_probe *probe;
    void *context;
    struct http_route routes[3];
    struct http_server *server;
};

static void handle_healthz(void *context, struct http_exchange *exchange)
{
    (void)context;
    exchange->answer_type = text_plain;
    buf_puts(&exchange->answer, "ok\n");
}

static void handle_readyz(void *context, struct http_exchange *exchange)
{
    struct health_server *health = context;
    exchange->answer_type = text_plain;
    health->probe(health->context, &exchange->answer);
    if (exchange->answer.length > 0)
        exchange->status = 503;
    else
        buf_puts(&exchange->answer, "ok\n");
}

static void handle_metrics(void *context, struct http_exchange *exchange)
{
    (void)context;
    exchange->answer_type = "text/plain; version=0.0.4; charset=utf-8";
    metrics_expose(&exchange->answer);
}

int health_server_start(const char *listen, health_probe *probe, void *context,
                        struct health_server **out, struct error *err)
{
    if (listen == NULL || listen[0] == '\0') {
        *out = NULL;
        return 0;
    }
    struct health_server *health = mem_new(struct health_server);
    *health = (struct health_server){
        .probe = probe,
        .context = context,
        .routes = { { "GET", "/healthz", handle_healthz, health },
                    { "GET", "/readyz", handle_readyz, health },
                    { "GET", "/metrics", handle_metrics, health } },
    };
    const struct http_server_options options = { .listen = listen,
                                                 .flag = "--health-address",
                                                 .routes = health->routes,
                                                 .route_count = ARRAY_LEN(health->routes),
                                                 .body_bytes_max = BODY_BYTES_MAX,
                                                 .threads = 1,
                                                 .connections_max = CONNECTIONS_MAX,
                                                 .idle_timeout_s = IDLE_TIMEOUT_S };
    if (http_server_start(&options, &health->server, err) < 0) {
        free(health);
        return -1;
    }
    *out = health;
    return 0;
}

uint16_t health_server_port(const struct health_server *health)
{
    return http_server_port(health->server);
}

void health_server_stop(struct health_server *health)
{
    if (health == NULL)
        return;
    http_server_stop(health->server, STOP_GRACE_MS);
    free(health);
}
