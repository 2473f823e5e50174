#include <arpa/inet.h>
#include <netinet/in.h>
#include <nng/nng.h>
#include <nng/protocol/reqrep0/req.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "common/base/memory.h"
#include "common/base/metrics.h"
#include "common/base/stop.h"
#include "common/json/build.h"
#include "common/json/json.h"
#include "common/msg/socket.h"
#include "test/lib/tls_dir.h"

enum { LONG_MS = 10000, SHORT_MS = 50, TRIES = 100, HOUR_MS = 3600 * 1000 };

#define INPROC "inproc://rpc-test"

static void check(int result, const struct error *err)
{
    if (result < 0)
        fail_msg("%s: %s", error_code_name(err->code), err->message);
}

/* A server for every case: what it does is in the request's type. */
struct service {
    pthread_barrier_t both;  /* Meet: two requests must be in work at once */
    struct stop entered, go; /* Wait: raised by the handler; answered when raised by the test */
    atomic_int requests;
};

static cJSON *handle(void *context, const struct envelope *request, const char **answer_type,
                     struct error *err)
{
    struct service *service = context;
    atomic_fetch_add(&service->requests, 1);
    *answer_type = "Pong";
    if (strcmp(request->type, "Ping") == 0)
        return json_copy(request->body);
    if (strcmp(request->type, "Meet") == 0) {
        pthread_barrier_wait(&service->both);
        return json_new_object();
    }
    if (strcmp(request->type, "Wait") == 0) {
        stop_raise(&service->entered);
        stop_wait(&service->go, -1);
        return json_new_object();
    }
    if (strcmp(request->type, "Huge") == 0) {
        AUTO_FREE char *text = mem_calloc(1, MESSAGE_BYTES_MAX + 1);
        memset(text, 'x', MESSAGE_BYTES_MAX);
        return JOBJ(JS("text", text));
    }
    if (strcmp(request->type, "Missing") == 0)
        error_set(err, ERR_NOT_FOUND, "no such thing");
    else
        error_set(err, ERR_INVALID, "unknown type %s", request->type);
    return NULL;
}

static int service_setup(void **state)
{
    struct service *service = mem_new(struct service);
    pthread_barrier_init(&service->both, NULL, 2);
    stop_init(&service->entered);
    stop_init(&service->go);
    *state = service;
    return 0;
}

static int service_teardown(void **state)
{
    struct service *service = *state;
    pthread_barrier_destroy(&service->both);
    stop_fini(&service->entered);
    stop_fini(&service->go);
    free(service);
    return 0;
}

static struct msg_server *serve(struct service *service, const char *url, const char *tls_dir)
{
    struct socket_options options = { .url = url, .tls_dir = tls_dir };
    struct msg_server *server = NULL;
    struct error err = ERROR_INIT;
    check(msg_server_start(&options, 2, handle, service, &server, &err), &err);
    return server;
}

static struct msg_client *dial(const char *url, const char *tls_dir)
{
    struct socket_options options = { .url = url, .tls_dir = tls_dir };
    struct msg_client *client = NULL;
    struct error err = ERROR_INIT;
    check(msg_client_open(&options, &client, &err), &err);
    return client;
}

static void ping(struct msg_client *client)
{
    AUTO(envelope) struct envelope answer = { .tree = NULL };
    AUTO(json) cJSON *body = JOBJ(JI("n", 7));
    struct error err = ERROR_INIT;
    check(msg_client_call(client, "Ping", body, "00-trace", LONG_MS, &answer, &err), &err);
    assert_string_equal(answer.type, "Pong");
    assert_string_equal(answer.traceparent, "00-trace");
    assert_true(json_equal(answer.body, body));
}

/* The error of a call that must fail. */
static struct error call_error(struct msg_client *client, const char *type, int64_t timeout_ms)
{
    AUTO(envelope) struct envelope answer = { .tree = NULL };
    struct error err = ERROR_INIT;
    assert_int_equal(msg_client_call(client, type, NULL, NULL, timeout_ms, &answer, &err), -1);
    assert_null(answer.tree);
    return err;
}

static double counted(const char *type, const char *outcome)
{
    return metric_value(METRIC_MESSAGES_TOTAL, (const char *const[]){ type, outcome, NULL });
}

static void test_rpc_answers_over_inproc_and_ipc(void **state)
{
    AUTO_FREE char *dir = test_dir_new();
    AUTO_FREE char *ipc = mem_printf("ipc://%s/a.ipc", dir);
    const char *const urls[] = { INPROC, ipc };
    for (size_t i = 0; i < ARRAY_LEN(urls); i++) {
        struct msg_client *client = dial(urls[i], NULL); /* before anybody listens */
        struct msg_server *server = serve(*state, urls[i], NULL);
        ping(client);
        ping(client);
        msg_client_close(client);
        msg_server_stop(server);
    }
    test_dir_remove(dir);
}

static void test_rpc_errors_travel(void **state)
{
    static const struct {
        const char *type;
        enum error_code code;
        const char *message;
    } rows[] = {
        { "Missing", ERR_NOT_FOUND, "no such thing" },
        { "Unheard", ERR_INVALID, "unknown type Unheard" },
        { "Huge", ERR_TOO_LARGE, NULL },
    };
    struct msg_server *server = serve(*state, INPROC, NULL);
    struct msg_client *client = dial(INPROC, NULL);
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct error err = call_error(client, rows[i].type, LONG_MS);
        assert_int_equal(err.code, rows[i].code);
        if (rows[i].message != NULL)
            assert_string_equal(err.message, rows[i].message);
    }
    ping(client);
    msg_client_close(client);
    msg_server_stop(server);
}

static void test_rpc_refuses_to_send_too_much(void **state)
{
    struct msg_server *server = serve(*state, INPROC, NULL);
    struct msg_client *client = dial(INPROC, NULL);
    AUTO_FREE char *text = mem_calloc(1, MESSAGE_BYTES_MAX + 1);
    memset(text, 'x', MESSAGE_BYTES_MAX);
    AUTO(json) cJSON *body = JOBJ(JS("text", text));
    struct envelope answer = { .tree = NULL };
    struct error err = ERROR_INIT;
    assert_int_equal(msg_client_call(client, "Ping", body, NULL, LONG_MS, &answer, &err), -1);
    assert_int_equal(err.code, ERR_TOO_LARGE);
    assert_int_equal(atomic_load(&((struct service *)*state)->requests), 0);
    msg_client_close(client);
    msg_server_stop(server);
}

static void test_rpc_times_out(void **state)
{
    struct msg_client *client = dial(INPROC, NULL);
    struct error err = call_error(client, "Ping", SHORT_MS); /* nobody listens */
    assert_int_equal(err.code, ERR_TIMEOUT);
    assert_string_equal(err.message, "no answer from " INPROC " within 50 ms");

    struct service *service = *state;
    struct msg_server *server = serve(service, INPROC, NULL);
    err = call_error(client, "Wait", SHORT_MS); /* somebody listens and does not answer */
    assert_int_equal(err.code, ERR_TIMEOUT);
    stop_raise(&service->go);
    ping(client);
    msg_client_close(client);
    msg_server_stop(server);
}

static void *meet(void *context)
{
    AUTO(envelope) struct envelope answer = { .tree = NULL };
    struct error err = ERROR_INIT;
    int result = msg_client_call(context, "Meet", NULL, NULL, LONG_MS, &answer, &err);
    return result == 0 ? context : NULL;
}

static void test_rpc_calls_run_side_by_side(void **state)
{
    struct msg_server *server = serve(*state, INPROC, NULL);
    struct msg_client *client = dial(INPROC, NULL);
    pthread_t threads[2];
    for (size_t i = 0; i < ARRAY_LEN(threads); i++)
        assert_int_equal(pthread_create(&threads[i], NULL, meet, client), 0);
    for (size_t i = 0; i < ARRAY_LEN(threads); i++) {
        void *result = NULL;
        pthread_join(threads[i], &result);
        assert_ptr_equal(result, client);
    }
    msg_client_close(client);
    msg_server_stop(server);
}

static void *wait_for_go(void *context)
{
    AUTO(envelope) struct envelope answer = { .tree = NULL };
    struct error err = ERROR_INIT;
    int result = msg_client_call(context, "Wait", NULL, NULL, LONG_MS, &answer, &err);
    return result == 0 ? context : NULL;
}

static void *stop_server(void *server)
{
    msg_server_stop(server);
    return NULL;
}

static void test_rpc_stop_lets_the_handler_finish(void **state)
{
    struct service *service = *state;
    struct msg_server *server = serve(service, INPROC, NULL);
    struct msg_client *client = dial(INPROC, NULL);
    pthread_t caller, stopper;
    void *result = NULL;
    assert_int_equal(pthread_create(&caller, NULL, wait_for_go, client), 0);
    assert_true(stop_wait(&service->entered, LONG_MS));
    assert_int_equal(pthread_create(&stopper, NULL, stop_server, server), 0);
    stop_raise(&service->go);
    pthread_join(stopper, NULL);
    pthread_join(caller, &result);
    assert_ptr_equal(result, client);
    msg_client_close(client);
}

static void *call_in_vain(void *context)
{
    AUTO(envelope) struct envelope answer = { .tree = NULL };
    struct error err = ERROR_INIT;
    int result = msg_client_call(context, "Wait", NULL, NULL, HOUR_MS, &answer, &err);
    return result < 0 && err.code == ERR_CANCELLED ? context : NULL;
}

/* Of an hour each: only the abort can end them. */
static void test_rpc_abort_ends_calls(void **state)
{
    struct service *service = *state;
    struct msg_server *server = serve(service, INPROC, NULL);
    struct msg_client *client = dial(INPROC, NULL);
    struct msg_client *lonely = dial("inproc://rpc-test-nobody", NULL);
    pthread_t callers[2];
    assert_int_equal(pthread_create(&callers[0], NULL, call_in_vain, client), 0);
    assert_int_equal(pthread_create(&callers[1], NULL, call_in_vain, lonely), 0);
    assert_true(stop_wait(&service->entered, LONG_MS));
    assert_true(msg_client_connected(client));
    assert_false(msg_client_connected(lonely));
    msg_client_abort(client);
    msg_client_abort(lonely);
    void *result = NULL;
    pthread_join(callers[0], &result);
    assert_ptr_equal(result, client);
    pthread_join(callers[1], &result);
    assert_ptr_equal(result, lonely);
    assert_ptr_equal(call_in_vain(client), client); /* nor does a later one begin */
    msg_client_close(lonely);
    msg_client_close(client);
    stop_raise(&service->go);
    msg_server_stop(server);
}

/* A call may still go out on the connection that is just being lost. */
static void ping_until_answered(struct msg_client *client)
{
    struct envelope answer = { .tree = NULL };
    struct error err = ERROR_INIT;
    int result = -1;
    for (int i = 0; i < TRIES && result < 0; i++)
        result = msg_client_call(client, "Ping", NULL, NULL, LONG_MS, &answer, &err);
    check(result, &err);
    envelope_fini(&answer);
}

static void test_rpc_client_outlives_the_server(void **state)
{
    AUTO_FREE char *dir = test_dir_new();
    AUTO_FREE char *url = mem_printf("ipc://%s/a.ipc", dir);
    struct msg_client *client = dial(url, NULL);
    for (int i = 0; i < 3; i++) {
        struct msg_server *server = serve(*state, url, NULL);
        ping_until_answered(client);
        msg_server_stop(server);
    }
    msg_client_close(client);
    test_dir_remove(dir);
}

/* What a peer of another version or with a defect may send. */
static void test_rpc_malformed_request_is_answered(void **state)
{
    static const char *const rows[] = { "", "garbage", "{\"v\":2,\"type\":\"Ping\",\"body\":{}}" };
    struct msg_server *server = serve(*state, INPROC, NULL);
    nng_socket raw;
    assert_int_equal(nng_req0_open(&raw), 0);
    assert_int_equal(nng_socket_set_ms(raw, NNG_OPT_RECVTIMEO, LONG_MS), 0);
    assert_int_equal(nng_dial(raw, INPROC, NULL, 0), 0);
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        AUTO_FREE char *request = mem_strdup(rows[i]);
        nng_msg *message = NULL;
        assert_int_equal(nng_send(raw, request, strlen(request), 0), 0);
        assert_int_equal(nng_recvmsg(raw, &message, 0), 0);
        AUTO(envelope) struct envelope answer = { .tree = NULL };
        struct error err = ERROR_INIT;
        check(envelope_decode(nng_msg_body(message), nng_msg_len(message), &answer, &err), &err);
        assert_string_equal(answer.type, "Error");
        assert_string_equal(json_string_at(answer.body, "code"), "INVALID");
        nng_msg_free(message);
    }
    nng_close(raw);
    msg_server_stop(server);
    assert_int_equal(atomic_load(&((struct service *)*state)->requests), 0);
}

static void test_rpc_counts_with_bounded_types(void **state)
{
    struct msg_server *server = serve(*state, INPROC, NULL);
    struct msg_client *client = dial(INPROC, NULL);
    metrics_reset();
    ping(client);
    call_error(client, "Missing", LONG_MS);
    call_error(client, "Unheard", LONG_MS);
    call_error(client, "not a word", LONG_MS);
    assert_int_equal((int)counted("Ping", "ok"), 2); /* both sides are in this process */
    assert_int_equal((int)counted("Missing", "error"), 2);
    assert_int_equal((int)counted("Unheard", "error"), 1); /* the caller knows what it asks */
    assert_int_equal((int)counted("other", "error"), 1);
    assert_int_equal((int)counted("other", "invalid"), 2);
    msg_client_close(client);
    msg_server_stop(server);
}

/* ------------------------------------------------------------------ tls+tcp */

static uint16_t free_port(void)
{
    struct sockaddr_in address = { .sin_family = AF_INET, .sin_addr = { htonl(INADDR_LOOPBACK) } };
    socklen_t bytes = sizeof(address);
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    assert_int_equal(bind(fd, (const struct sockaddr *)&address, sizeof(address)), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&address, &bytes), 0);
    close(fd);
    return ntohs(address.sin_port);
}

struct tls_case {
    char *server_dir, *client_dir, *listen_url, *dial_url;
    struct key_pair authority;
};

static struct tls_case tls_case_new(void)
{
    unsigned port = free_port();
    struct tls_case tls = { .server_dir = test_dir_new(),
                            .client_dir = test_dir_new(),
                            .listen_url = mem_printf("tls+tcp://127.0.0.1:%u", port),
                            .dial_url = mem_printf("tls+tcp://localhost:%u", port) };
    test_authority("one", &tls.authority);
    return tls;
}

static void tls_case_fini(struct tls_case *tls)
{
    test_dir_remove(tls->server_dir);
    test_dir_remove(tls->client_dir);
    free(tls->server_dir);
    free(tls->client_dir);
    free(tls->listen_url);
    free(tls->dial_url);
    key_pair_fini(&tls->authority);
}

DEFINE_CLEANUP(tls_case, struct tls_case, tls_case_fini)

static void test_rpc_tls_needs_both_certificates(void **state)
{
    AUTO(tls_case) struct tls_case tls = tls_case_new();
    AUTO(key_pair) struct key_pair stranger = { .key_pem = NULL };
    AUTO_FREE char *stranger_dir = test_dir_new();
    test_authority("stranger", &stranger);
    test_tls_dir_fill(stranger_dir, &stranger, "stranger");
    /* the stranger trusts the server; only its own certificate is not of the family */
    test_file_write(stranger_dir, "ca.crt", tls.authority.certificate_pem);
    test_tls_dir_fill(tls.server_dir, &tls.authority, "server");
    test_tls_dir_fill(tls.client_dir, &tls.authority, "client");

    struct msg_server *server = serve(*state, tls.listen_url, tls.server_dir);
    struct msg_client *client = dial(tls.dial_url, tls.client_dir);
    ping(client);
    msg_client_close(client);

    struct msg_client *refused = dial(tls.dial_url, stranger_dir);
    struct error err = call_error(refused, "Ping", 300);
    assert_int_not_equal(err.code, ERR_NONE);
    assert_int_equal(atomic_load(&((struct service *)*state)->requests), 1);
    msg_client_close(refused);
    msg_server_stop(server);
    test_dir_remove(stranger_dir);
}

static void test_rpc_tls_waits_for_certificates(void **state)
{
    AUTO(tls_case) struct tls_case tls = tls_case_new();
    struct msg_server *server = serve(*state, tls.listen_url, tls.server_dir);
    struct msg_client *client = dial(tls.dial_url, tls.client_dir);
    test_tls_dir_fill(tls.server_dir, &tls.authority, "server");
    test_tls_dir_fill(tls.client_dir, &tls.authority, "client");
    /* until the next look at the files the call is refused or waits */
    struct envelope answer = { .tree = NULL };
    struct error err = ERROR_INIT;
    int result = -1;
    for (int i = 0; i < TRIES && result < 0; i++)
        result = msg_client_call(client, "Ping", NULL, NULL, SHORT_MS * 4, &answer, &err);
    check(result, &err);
    envelope_fini(&answer);
    AUTO(buf) struct buf reasons = BUF_INIT(1024);
    msg_server_probe(server, &reasons);
    msg_client_probe(client, &reasons);
    assert_string_equal(buf_text(&reasons), "");
    msg_client_close(client);
    msg_server_stop(server);
}

static bool becomes_refused(struct tls_case *tls)
{
    for (int i = 0; i < TRIES; i++) {
        AUTO(envelope) struct envelope answer = { .tree = NULL };
        struct error err = ERROR_INIT;
        struct msg_client *client = dial(tls->dial_url, tls->client_dir);
        int result = msg_client_call(client, "Ping", NULL, NULL, 200, &answer, &err);
        msg_client_close(client);
        if (result < 0)
            return true;
    }
    return false;
}

/* The authority is replaced: connections that exist go on, new ones need the new certificates. */
static void test_rpc_tls_rotates_without_losing_a_call(void **state)
{
    AUTO(tls_case) struct tls_case tls = tls_case_new();
    AUTO(key_pair) struct key_pair next = { .key_pem = NULL };
    test_tls_dir_fill(tls.server_dir, &tls.authority, "server");
    test_tls_dir_fill(tls.client_dir, &tls.authority, "client");
    struct msg_server *server = serve(*state, tls.listen_url, tls.server_dir);
    struct msg_client *early = dial(tls.dial_url, tls.client_dir);
    ping(early);

    test_authority("two", &next);
    test_tls_dir_fill(tls.server_dir, &next, "server");
    assert_true(becomes_refused(&tls)); /* dials with the old certificate */
    ping(early);

    test_tls_dir_fill(tls.client_dir, &next, "client");
    struct msg_client *late = dial(tls.dial_url, tls.client_dir);
    ping(late);
    ping(early);
    msg_client_close(late);
    msg_client_close(early);
    msg_server_stop(server);
}

#define SERVICE_TEST(name) cmocka_unit_test_setup_teardown(name, service_setup, service_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        SERVICE_TEST(test_rpc_answers_over_inproc_and_ipc),
        SERVICE_TEST(test_rpc_errors_travel),
        SERVICE_TEST(test_rpc_refuses_to_send_too_much),
        SERVICE_TEST(test_rpc_times_out),
        SERVICE_TEST(test_rpc_calls_run_side_by_side),
        SERVICE_TEST(test_rpc_stop_lets_the_handler_finish),
        SERVICE_TEST(test_rpc_client_outlives_the_server),
        SERVICE_TEST(test_rpc_abort_ends_calls),
        SERVICE_TEST(test_rpc_malformed_request_is_answered),
        SERVICE_TEST(test_rpc_counts_with_bounded_types),
        SERVICE_TEST(test_rpc_tls_needs_both_certificates),
        SERVICE_TEST(test_rpc_tls_waits_for_certificates),
        SERVICE_TEST(test_rpc_tls_rotates_without_losing_a_call),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
