/* One request on a daemon: finds the route, gathers the body within its bound, queues the answer.
 * Only for common/http. */
#pragma once

#include <microhttpd.h>
#include <stdatomic.h>
#include <stddef.h>

#include "common/http/server.h"

/* What the requests of one daemon share. */
struct exchange_context {
    const struct http_route *routes;
    size_t route_count;
    size_t body_bytes_max;
    unsigned idle_timeout_s;
    atomic_uint active;        /* requests between their headers and the end of their answer */
    atomic_bool draining;      /* answers end their connection */
    atomic_size_t large_bytes; /* of bodies that are not small */
};

/* MHD_AccessHandlerCallback and MHD_RequestCompletedCallback; the closure is an exchange_context.
 */
enum MHD_Result exchange_access(void *closure, struct MHD_Connection *connection, const char *path,
                                const char *method, const char *version, const char *upload,
                                size_t *upload_bytes, void **request);
void exchange_completed(void *closure, struct MHD_Connection *connection, void **request,
                        enum MHD_RequestTerminationCode code);
