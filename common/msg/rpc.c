/* Request and reply: nng's REQ and REP with one context for each call in flight. */
#include <assert.h>
#include <inttypes.h>
#include <nng/nng.h>
#include <nng/protocol/reqrep0/rep.h>
#include <nng/protocol/reqrep0/req.h>
#include <nng/supplemental/util/platform.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <utlist.h>

#include "common/base/clock.h"
#include "common/base/log.h"
#include "common/base/memory.h"
#include "common/base/mutex.h"
#include "common/base/rng.h"
#include "common/json/build.h"
#include "common/json/json.h"
#include "common/msg/endpoint.h"
#include "common/msg/socket.h"

#define TYPE_ERROR "Error"

enum { ANSWER_TIMEOUT_MS = 5000, RETRY_MS = 10, ID_BYTES = 40 };

/* ------------------------------------------------------------------ server */

struct worker {
    struct msg_server *server;
    nng_ctx ctx;
    nng_aio *receive; /* stopped to end the thread; the answer in work still leaves */
    nng_aio *send;
    pthread_t thread;
    bool running;
};

struct msg_server {
    struct endpoint endpoint;
    msg_handler *handler;
    void *context;
    unsigned worker_count;
    struct worker workers[];
};

static int rep_open(nng_socket *socket)
{
    return nng_rep0_open(socket);
}

static const struct endpoint_role role_server = { .open = rep_open, .listens = true };

static nng_msg *error_answer(const char *id, const struct error *problem)
{
    AUTO(json)
    cJSON *body = JOBJ(JS("code", error_code_name(problem->code)), JS("message", problem->message));
    AUTO_FREE char *text = envelope_encode(TYPE_ERROR, id, NULL, body);
    struct error err = ERROR_INIT;
    nng_msg *message = endpoint_message(text, &err);
    /* Only an id of a megabyte can make it too large, and its sender can do without. */
    return message != NULL ? message : error_answer("", problem);
}

static nng_msg *handler_answer(struct msg_server *server, const struct envelope *request,
                               struct error *err)
{
    const char *type = NULL;
    AUTO(json) cJSON *body = server->handler(server->context, request, &type, err);
    if (body == NULL)
        return NULL;
    assert(type != NULL);
    AUTO_FREE char *text = envelope_encode(type, request->id, request->traceparent, body);
    return endpoint_message(text, err);
}

/* The answer to whatever came in. What the handler refuses as INVALID may have a type of the peer's
 * invention. */
static nng_msg *answer(struct msg_server *server, nng_msg *message)
{
    AUTO(envelope) struct envelope request = { .tree = NULL };
    struct error err = ERROR_INIT;
    if (envelope_decode(nng_msg_body(message), nng_msg_len(message), &request, &err) < 0) {
        endpoint_count("", "invalid");
        return error_answer("", &err);
    }
    nng_msg *reply = handler_answer(server, &request, &err);
    if (reply != NULL) {
        endpoint_count(request.type, "ok");
        return reply;
    }
    if (err.code == ERR_INVALID)
        endpoint_count("", "invalid");
    else
        endpoint_count(request.type, "error");
    return error_answer(request.id, &err);
}

static void send_answer(struct worker *worker, nng_msg *reply)
{
    nng_aio_set_msg(worker->send, reply);
    nng_ctx_send(worker->ctx, worker->send);
    nng_aio_wait(worker->send);
    int result = nng_aio_result(worker->send);
    if (result == 0)
        return;
    nng_msg_free(nng_aio_get_msg(worker->send));
    log_debug("msg", "answer not sent", KV("url", worker->server->endpoint.url),
              KV("error", nng_strerror(result)));
}

static void *serve(void *context)
{
    struct worker *worker = context;
    for (;;) {
        nng_ctx_recv(worker->ctx, worker->receive);
        nng_aio_wait(worker->receive);
        int result = nng_aio_result(worker->receive);
        if (result == NNG_ECANCELED || result == NNG_ECLOSED)
            return NULL;
        if (result != 0) {
            nng_msleep(RETRY_MS);
            continue;
        }
        nng_msg *message = nng_aio_get_msg(worker->receive);
        nng_msg *reply = answer(worker->server, message);
        nng_msg_free(message);
        send_answer(worker, reply);
    }
}

static int start_worker(struct worker *worker, struct error *err)
{
    if (nng_aio_alloc(&worker->receive, NULL, NULL) != 0 ||
        nng_aio_alloc(&worker->send, NULL, NULL) != 0)
        mem_exhausted();
    nng_aio_set_timeout(worker->send, ANSWER_TIMEOUT_MS);
    int result = nng_ctx_open(&worker->ctx, worker->server->endpoint.socket);
    if (result != 0)
        return error_set(err, endpoint_error_code(result), "cannot serve %s: %s",
                         worker->server->endpoint.url, nng_strerror(result));
    if (endpoint_start_thread(&worker->thread, "msg-server", serve, worker, err) < 0)
        return -1;
    worker->running = true;
    return 0;
}

int msg_server_start(const struct socket_options *options, unsigned threads, msg_handler *handler,
                     void *context, struct msg_server **out, struct error *err)
{
    assert(threads > 0);
    struct msg_server *server = mem_calloc(1, sizeof(*server) + threads * sizeof(struct worker));
    server->handler = handler;
    server->context = context;
    if (endpoint_open(&server->endpoint, &role_server, options, err) < 0) {
        free(server);
        return -1;
    }
    for (; server->worker_count < threads; server->worker_count++) {
        struct worker *worker = &server->workers[server->worker_count];
        worker->server = server;
        if (start_worker(worker, err) < 0) {
            server->worker_count++;
            msg_server_stop(server);
            return -1;
        }
    }
    *out = server;
    return 0;
}

void msg_server_stop(struct msg_server *server)
{
    if (server == NULL)
        return;
    for (unsigned i = 0; i < server->worker_count; i++)
        nng_aio_stop(server->workers[i].receive);
    for (unsigned i = 0; i < server->worker_count; i++) {
        if (server->workers[i].running)
            pthread_join(server->workers[i].thread, NULL);
    }
    endpoint_close(&server->endpoint);
    for (unsigned i = 0; i < server->worker_count; i++) {
        nng_aio_free(server->workers[i].receive);
        nng_aio_free(server->workers[i].send);
    }
    free(server);
}

void msg_server_probe(struct msg_server *server, struct buf *reasons)
{
    endpoint_probe(&server->endpoint, reasons);
}

/* ------------------------------------------------------------------ client */

/* One call: a context, and one aio for sending, then receiving. */
struct call {
    struct call *prev, *next; /* in the client's list */
    nng_ctx ctx;
    nng_aio *aio;
    int64_t deadline_ms;
};

struct msg_client {
    struct endpoint endpoint;
    uint64_t id_prefix;
    _Atomic uint64_t calls;
    struct mutex mutex;
    struct call *running; /* guarded by mutex */
    bool aborted;         /* guarded by mutex */
};

static int req_open(nng_socket *socket)
{
    return nng_req0_open(socket);
}

/* Never sent twice by the library: a lost connection ends the call. */
static int req_configure(nng_socket socket)
{
    return nng_socket_set_ms(socket, NNG_OPT_REQ_RESENDTIME, NNG_DURATION_INFINITE);
}

static const struct endpoint_role role_client = { .open = req_open, .configure = req_configure };

int msg_client_open(const struct socket_options *options, struct msg_client **out,
                    struct error *err)
{
    struct msg_client *client = mem_new(struct msg_client);
    struct rng rng;
    rng_seed_kernel(&rng);
    client->id_prefix = rng_next(&rng);
    if (endpoint_open(&client->endpoint, &role_client, options, err) < 0) {
        free(client);
        return -1;
    }
    mutex_init(&client->mutex);
    *out = client;
    return 0;
}

void msg_client_close(struct msg_client *client)
{
    if (client == NULL)
        return;
    assert(client->running == NULL);
    endpoint_close(&client->endpoint);
    mutex_fini(&client->mutex);
    free(client);
}

bool msg_client_connected(struct msg_client *client)
{
    return atomic_load(&client->endpoint.peers) > 0;
}

/* A stopped aio ends what it is at and begins nothing more; no callback of ours runs in it, so that
 * the lock, which keeps the call from being closed, is held for a moment only. */
void msg_client_abort(struct msg_client *client)
{
    struct call *call;
    mutex_lock(&client->mutex);
    client->aborted = true;
    DL_FOREACH(client->running, call)
        nng_aio_stop(call->aio);
    mutex_unlock(&client->mutex);
}

void msg_client_probe(struct msg_client *client, struct buf *reasons)
{
    endpoint_probe(&client->endpoint, reasons);
}

static int call_open(struct call *call, struct msg_client *client, int64_t timeout_ms)
{
    int result = nng_ctx_open(&call->ctx, client->endpoint.socket);
    if (result != 0)
        return result;
    if (nng_aio_alloc(&call->aio, NULL, NULL) != 0)
        mem_exhausted();
    call->deadline_ms = clock_monotonic(clock_system()) + timeout_ms;
    mutex_lock(&client->mutex);
    DL_APPEND(client->running, call);
    if (client->aborted)
        nng_aio_stop(call->aio);
    mutex_unlock(&client->mutex);
    return 0;
}

static void call_close(struct call *call, struct msg_client *client)
{
    mutex_lock(&client->mutex);
    DL_DELETE(client->running, call);
    mutex_unlock(&client->mutex);
    nng_aio_free(call->aio);
    nng_ctx_close(call->ctx); /* fails only where the client closed the socket meanwhile */
}

static int call_step(struct call *call, void (*step)(nng_ctx ctx, nng_aio *aio))
{
    int64_t left_ms = call->deadline_ms - clock_monotonic(clock_system());
    nng_aio_set_timeout(call->aio, left_ms > 0 ? (nng_duration)left_ms : NNG_DURATION_ZERO);
    step(call->ctx, call->aio);
    nng_aio_wait(call->aio);
    return nng_aio_result(call->aio);
}

/* `request` is consumed. */
static int call_exchange(struct call *call, nng_msg *request, nng_msg **out)
{
    nng_aio_set_msg(call->aio, request);
    int result = call_step(call, nng_ctx_send);
    if (result != 0) {
        nng_msg_free(nng_aio_get_msg(call->aio));
        return result;
    }
    result = call_step(call, nng_ctx_recv);
    if (result == 0)
        *out = nng_aio_get_msg(call->aio);
    return result;
}

static int exchange(struct msg_client *client, nng_msg *request, int64_t timeout_ms, nng_msg **out)
{
    struct call call;
    int result = call_open(&call, client, timeout_ms);
    if (result != 0) {
        nng_msg_free(request);
        return result;
    }
    result = call_exchange(&call, request, out);
    call_close(&call, client);
    return result;
}

/* What became of a call without an answer, with the reason where this side knows one. */
static int explain(struct msg_client *client, int result, int64_t timeout_ms, struct error *err)
{
    AUTO(buf) struct buf reasons = BUF_INIT(sizeof(err->message));
    endpoint_probe(&client->endpoint, &reasons);
    if (reasons.length > 0)
        return error_set(err, ERR_UNAVAILABLE, "%.*s", (int)reasons.length - 1, reasons.data);
    if (result == NNG_ETIMEDOUT)
        return error_set(err, ERR_TIMEOUT, "no answer from %s within %lld ms", client->endpoint.url,
                         (long long)timeout_ms);
    return error_set(err, endpoint_error_code(result), "no answer from %s: %s",
                     client->endpoint.url, nng_strerror(result));
}

static enum error_code code_of_name(const char *name)
{
    for (unsigned code = ERR_NONE + 1; name != NULL && code < ERR_COUNT; code++) {
        if (strcmp(name, error_code_name((enum error_code)code)) == 0)
            return (enum error_code)code;
    }
    return ERR_INTERNAL;
}

static int read_answer(nng_msg *message, const char *id, struct envelope *out, struct error *err)
{
    AUTO(envelope) struct envelope answer = { .tree = NULL };
    if (envelope_decode(nng_msg_body(message), nng_msg_len(message), &answer, err) < 0)
        return error_wrap(err, "answer");
    if (strcmp(answer.type, TYPE_ERROR) == 0) {
        const char *text = json_string_at(answer.body, "message");
        return error_set(err, code_of_name(json_string_at(answer.body, "code")), "%s",
                         text != NULL ? text : "the peer refused without a message");
    }
    if (strcmp(answer.id, id) != 0)
        return error_set(err, ERR_INVALID, "answer to another request (%.40s)", answer.id);
    *out = answer;
    answer = (struct envelope){ .tree = NULL };
    return 0;
}

int msg_client_call(struct msg_client *client, const char *type, const cJSON *body,
                    const char *traceparent, int64_t timeout_ms, struct envelope *answer,
                    struct error *err)
{
    char id[ID_BYTES];
    snprintf(id, sizeof(id), "%016" PRIx64 "-%" PRIu64, client->id_prefix,
             atomic_fetch_add(&client->calls, 1));
    AUTO_FREE char *text = envelope_encode(type, id, traceparent, body);
    nng_msg *request = endpoint_message(text, err);
    if (request == NULL) {
        endpoint_count(type, "error");
        return -1;
    }
    nng_msg *message = NULL;
    int result = exchange(client, request, timeout_ms, &message);
    if (result != 0) {
        endpoint_count(type, result == NNG_ETIMEDOUT ? "timeout" : "error");
        return explain(client, result, timeout_ms, err);
    }
    result = read_answer(message, id, answer, err);
    nng_msg_free(message);
    endpoint_count(type, result == 0 ? "ok" : "error");
    return result;
}
