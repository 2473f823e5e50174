/* One nng socket at one URL: what the roles (client, server, sender, receiver) have in common. Only
 * for the other files of common/msg.
 *
 * A dialer that has lost its peer is looked after by a thread (see dial_anew() for why).
 *
 * On tls+tcp the certificates may be missing at the start and may change at any time: a thread
 * looks at the files once a second, begins to listen or dial when they are there, and hands new
 * ones to the library for the connections to come. Those that exist stay. */
#pragma once

#include <nng/nng.h>
#include <nng/supplemental/tls/tls.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "common/base/buf.h"
#include "common/base/error.h"
#include "common/base/mutex.h"
#include "common/base/stop.h"
#include "common/msg/socket.h"

struct endpoint_role {
    int (*open)(nng_socket *socket);
    int (*configure)(nng_socket socket); /* NULL: nothing */
    bool listens;                        /* else it dials */
};

struct endpoint {
    nng_socket socket;
    const struct endpoint_role *role;
    char *url;
    atomic_int peers; /* connections that exist */
    /* the rest belongs to the watching thread once that runs */
    nng_dialer dialer;
    unsigned lonely_looks; /* of a dialer, since a peer was there */
    char *tls_dir;         /* NULL unless tls+tcp, which alone has what follows */
    bool attached;
    nng_listener listener;
    uint64_t stamp;                    /* of the files that were tried last */
    nng_tls_config *config, *previous; /* see keep_config() */
    struct stop stop;
    bool watching;
    pthread_t watcher;
    struct mutex mutex;
    char problem[sizeof(
        ((struct error *)NULL)->message)]; /* guarded by mutex; "" when all is well */
};

/* `endpoint` stays where it is until it is closed. */
MUST_CHECK int endpoint_open(struct endpoint *endpoint, const struct endpoint_role *role,
                             const struct socket_options *options, struct error *err);
void endpoint_close(struct endpoint *endpoint);

/* Why it can neither listen nor dial, or why the new certificate is not used: one line into
 * `reasons`. */
void endpoint_probe(struct endpoint *endpoint, struct buf *reasons);

/* A message holding `text`; NULL with TOO_LARGE when the peer would not take it. */
nng_msg *endpoint_message(const char *text, struct error *err);

/* Counts in METRIC_MESSAGES_TOTAL. A type that is no plain word counts as "other", so that a peer
 * cannot choose the labels. */
void endpoint_count(const char *type, const char *outcome);

MUST_CHECK int endpoint_start_thread(pthread_t *out, const char *name, void *(*run)(void *),
                                     void *context, struct error *err);

/* The error code that fits what nng answered. */
enum error_code endpoint_error_code(int nng_result);
