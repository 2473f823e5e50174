/* Messages between services over nng: request/reply, publish/subscribe, push/pull, each on an URL
 * of inproc://, ipc:// or tls+tcp:// (certificates required on both sides; plain tcp:// is
 * refused). At most once, by design: requests are not resent by the library; callers repeat them
 * from their own queue. Every socket bounds what it receives (MESSAGE_BYTES_MAX); every call has a
 * deadline. All functions are thread-safe. No listener or dialer fails for a peer that is not there
 * yet. */
#pragma once

#include <cjson/cJSON.h>
#include <stdbool.h>
#include <stdint.h>

#include "common/base/buf.h"
#include "common/base/error.h"
#include "common/msg/envelope.h"

/* How an endpoint proves itself on tls+tcp: a folder with ca.crt, tls.crt and tls.key, read when
 * the socket is opened and again when the files change. NULL elsewhere. */
struct socket_options {
    const char *url;
    const char *tls_dir;
};

/* ------------------------------------------------------------------ REQ/REP */

/* Answers one request (INVALID for a type it does not know): fill *answer_type (a literal) and
 * return a body (consumed), or return NULL with *err, which becomes an "Error" answer {code,
 * message}. Runs on one of the server's threads. */
typedef cJSON *msg_handler(void *context, const struct envelope *request, const char **answer_type,
                           struct error *err);

struct msg_server;
MUST_CHECK int msg_server_start(const struct socket_options *options, unsigned threads,
                                msg_handler *handler, void *context, struct msg_server **out,
                                struct error *err);
/* Requests in work are answered first. NULL is fine, here and below. */
void msg_server_stop(struct msg_server *server);

struct msg_client;
MUST_CHECK int msg_client_open(const struct socket_options *options, struct msg_client **out,
                               struct error *err);
/* One request and its answer within timeout_ms. An "Error" answer becomes *err with its code and
 * message. TIMEOUT when no answer came, UNAVAILABLE when the connection was lost: the request may
 * have been acted on. UNAVAILABLE too while the own certificate is missing. Each call has its own
 * nng context, so calls run side by side. The caller runs envelope_fini on *answer. */
MUST_CHECK int msg_client_call(struct msg_client *client, const char *type, const cJSON *body,
                               const char *traceparent, int64_t timeout_ms, struct envelope *answer,
                               struct error *err);
/* A peer is there now; without one a call waits for it until its deadline. */
bool msg_client_connected(struct msg_client *client);
/* For the end: calls that run end at once, as do those that come later (CANCELLED). */
void msg_client_abort(struct msg_client *client);
void msg_client_close(struct msg_client *client); /* no call may be running */

/* ------------------------------------------------------------------ one way */

/* Runs on the receiver's thread, one message at a time. */
typedef void msg_receiver_function(void *context, const struct envelope *message);

struct msg_receiver; /* SUB (dials, all topics) or PULL (listens) */
MUST_CHECK int msg_subscribe(const struct socket_options *options, msg_receiver_function *function,
                             void *context, struct msg_receiver **out, struct error *err);
MUST_CHECK int msg_pull(const struct socket_options *options, msg_receiver_function *function,
                        void *context, struct msg_receiver **out, struct error *err);
void msg_receiver_stop(struct msg_receiver *receiver);

struct msg_sender; /* PUB (listens) or PUSH (dials) */
MUST_CHECK int msg_publisher_open(const struct socket_options *options, struct msg_sender **out,
                                  struct error *err);
MUST_CHECK int msg_pusher_open(const struct socket_options *options, struct msg_sender **out,
                               struct error *err);
/* Never blocks: what cannot be queued is lost and -1 says so (receivers heal by resync). */
int msg_send(struct msg_sender *sender, const char *type, const cJSON *body,
             const char *traceparent);
void msg_sender_close(struct msg_sender *sender);

/* ------------------------------------------------------------------ readiness */

/* Appends one line when the socket can neither listen nor dial because of its certificate, or when
 * it does not use the newest one. */
void msg_server_probe(struct msg_server *server, struct buf *reasons);
void msg_client_probe(struct msg_client *client, struct buf *reasons);
void msg_receiver_probe(struct msg_receiver *receiver, struct buf *reasons);
void msg_sender_probe(struct msg_sender *sender, struct buf *reasons);
