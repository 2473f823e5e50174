/* Messages without an answer: publish/subscribe and push/pull. */
#include <nng/nng.h>
#include <nng/protocol/pipeline0/pull.h>
#include <nng/protocol/pipeline0/push.h>
#include <nng/protocol/pubsub0/pub.h>
#include <nng/protocol/pubsub0/sub.h>
#include <nng/supplemental/util/platform.h>
#include <stdlib.h>

#include "common/base/log.h"
#include "common/base/memory.h"
#include "common/msg/endpoint.h"
#include "common/msg/socket.h"

enum { QUEUE_MESSAGES_MAX = 256, RETRY_MS = 10 };

/* ------------------------------------------------------------------ receiver */

struct msg_receiver {
    struct endpoint endpoint;
    msg_receiver_function *function;
    void *context;
    nng_aio *receive; /* stopped to end the thread */
    pthread_t thread;
};

static int sub_open(nng_socket *socket)
{
    return nng_sub0_open(socket);
}

static int pull_open(nng_socket *socket)
{
    return nng_pull0_open(socket);
}

static int sub_configure(nng_socket socket)
{
    int result = nng_socket_set(socket, NNG_OPT_SUB_SUBSCRIBE, "", 0);
    return result != 0 ? result : nng_socket_set_int(socket, NNG_OPT_RECVBUF, QUEUE_MESSAGES_MAX);
}

static const struct endpoint_role role_subscriber = { .open = sub_open,
                                                      .configure = sub_configure };
static const struct endpoint_role role_puller = { .open = pull_open, .listens = true };

static void deliver(struct msg_receiver *receiver, nng_msg *message)
{
    AUTO(envelope) struct envelope envelope = { .tree = NULL };
    struct error err = ERROR_INIT;
    if (envelope_decode(nng_msg_body(message), nng_msg_len(message), &envelope, &err) < 0) {
        endpoint_count("", "invalid");
        log_debug("msg", "message dropped", KV("url", receiver->endpoint.url), KVERR(&err));
        return;
    }
    endpoint_count(envelope.type, "ok");
    receiver->function(receiver->context, &envelope);
}

static void *receive(void *context)
{
    struct msg_receiver *receiver = context;
    for (;;) {
        nng_recv_aio(receiver->endpoint.socket, receiver->receive);
        nng_aio_wait(receiver->receive);
        int result = nng_aio_result(receiver->receive);
        if (result == NNG_ECANCELED || result == NNG_ECLOSED)
            return NULL;
        if (result != 0) {
            nng_msleep(RETRY_MS);
            continue;
        }
        nng_msg *message = nng_aio_get_msg(receiver->receive);
        deliver(receiver, message);
        nng_msg_free(message);
    }
}

static int receiver_open(const struct endpoint_role *role, const struct socket_options *options,
                         msg_receiver_function *function, void *context, struct msg_receiver **out,
                         struct error *err)
{
    struct msg_receiver *receiver = mem_new(struct msg_receiver);
    receiver->function = function;
    receiver->context = context;
    if (endpoint_open(&receiver->endpoint, role, options, err) < 0) {
        free(receiver);
        return -1;
    }
    if (nng_aio_alloc(&receiver->receive, NULL, NULL) != 0)
        mem_exhausted();
    if (endpoint_start_thread(&receiver->thread, "msg-receiver", receive, receiver, err) < 0) {
        nng_aio_free(receiver->receive);
        endpoint_close(&receiver->endpoint);
        free(receiver);
        return -1;
    }
    *out = receiver;
    return 0;
}

int msg_subscribe(const struct socket_options *options, msg_receiver_function *function,
                  void *context, struct msg_receiver **out, struct error *err)
{
    return receiver_open(&role_subscriber, options, function, context, out, err);
}

int msg_pull(const struct socket_options *options, msg_receiver_function *function, void *context,
             struct msg_receiver **out, struct error *err)
{
    return receiver_open(&role_puller, options, function, context, out, err);
}

void msg_receiver_stop(struct msg_receiver *receiver)
{
    if (receiver == NULL)
        return;
    nng_aio_stop(receiver->receive);
    pthread_join(receiver->thread, NULL);
    endpoint_close(&receiver->endpoint);
    nng_aio_free(receiver->receive);
    free(receiver);
}

void msg_receiver_probe(struct msg_receiver *receiver, struct buf *reasons)
{
    endpoint_probe(&receiver->endpoint, reasons);
}

/* ------------------------------------------------------------------ sender */

struct msg_sender {
    struct endpoint endpoint;
};

static int pub_open(nng_socket *socket)
{
    return nng_pub0_open(socket);
}

static int push_open(nng_socket *socket)
{
    return nng_push0_open(socket);
}

static int queue_configure(nng_socket socket)
{
    return nng_socket_set_int(socket, NNG_OPT_SENDBUF, QUEUE_MESSAGES_MAX);
}

static const struct endpoint_role role_publisher = { .open = pub_open,
                                                     .configure = queue_configure,
                                                     .listens = true };
static const struct endpoint_role role_pusher = { .open = push_open, .configure = queue_configure };

static int sender_open(const struct endpoint_role *role, const struct socket_options *options,
                       struct msg_sender **out, struct error *err)
{
    struct msg_sender *sender = mem_new(struct msg_sender);
    if (endpoint_open(&sender->endpoint, role, options, err) < 0) {
        free(sender);
        return -1;
    }
    *out = sender;
    return 0;
}

int msg_publisher_open(const struct socket_options *options, struct msg_sender **out,
                       struct error *err)
{
    return sender_open(&role_publisher, options, out, err);
}

int msg_pusher_open(const struct socket_options *options, struct msg_sender **out,
                    struct error *err)
{
    return sender_open(&role_pusher, options, out, err);
}

int msg_send(struct msg_sender *sender, const char *type, const cJSON *body,
             const char *traceparent)
{
    AUTO_FREE char *text = envelope_encode(type, NULL, traceparent, body);
    struct error err = ERROR_INIT;
    nng_msg *message = endpoint_message(text, &err);
    if (message == NULL) {
        endpoint_count(type, "error");
        log_debug("msg", "message not sent", KV("url", sender->endpoint.url), KVERR(&err));
        return -1;
    }
    int result = nng_sendmsg(sender->endpoint.socket, message, NNG_FLAG_NONBLOCK);
    endpoint_count(type, result == 0 ? "ok" : "error");
    if (result == 0)
        return 0;
    nng_msg_free(message);
    log_debug("msg", "message not sent", KV("url", sender->endpoint.url),
              KV("error", nng_strerror(result)));
    return -1;
}

void msg_sender_close(struct msg_sender *sender)
{
    if (sender == NULL)
        return;
    endpoint_close(&sender->endpoint);
    free(sender);
}

void msg_sender_probe(struct msg_sender *sender, struct buf *reasons)
{
    endpoint_probe(&sender->endpoint, reasons);
}
