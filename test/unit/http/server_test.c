#include <arpa/inet.h>
#include <netinet/in.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include <cmocka.h>

#include "common/base/memory.h"
#include "common/base/stop.h"
#include "common/http/server.h"
#include "test/lib/tls_dir.h"
#include "test/lib/web.h"

enum { BODY_MAX = 64 * 1024, ANSWER_MAX = 1024 * 1024, LONG_MS = 10000 };

static void check(int result, const struct error *err)
{
    if (result < 0)
        fail_msg("%s: %s", error_code_name(err->code), err->message);
}

/* ------------------------------------------------------------------ handlers */

static void echo(void *context, struct http_exchange *exchange)
{
    (void)context;
    buf_printf(&exchange->answer, "%s %s %s %zu ", exchange->method, exchange->path,
               exchange->content_type, exchange->body_bytes);
    buf_append(&exchange->answer, exchange->body, exchange->body_bytes);
}

static void teapot(void *context, struct http_exchange *exchange)
{
    (void)context;
    exchange->status = 418;
    exchange->answer_type = "text/tea";
}

static void boundless(void *context, struct http_exchange *exchange)
{
    (void)context;
    while (buf_puts(&exchange->answer, "more of the same, again and again\n") == 0)
        ;
}

struct pause {
    struct stop entered, go;
};

static void wait_for_go(void *context, struct http_exchange *exchange)
{
    struct pause *pause = context;
    stop_raise(&pause->entered);
    stop_wait(&pause->go, -1);
    buf_puts(&exchange->answer, "gone");
}

static struct pause pause_shared;

static const struct http_route routes[] = {
    { "POST", "/echo", echo, NULL },
    { "GET", "/echo", echo, NULL },
    { NULL, "/any", echo, NULL },
    { "GET", "/teapot", teapot, NULL },
    { "GET", "/boundless", boundless, NULL },
    { "GET", "/wait", wait_for_go, &pause_shared },
};

static struct http_server_options server_options(const char *listen, const char *tls_dir)
{
    return (struct http_server_options){ .listen = listen,
                                         .flag = "--listen",
                                         .tls_dir = tls_dir,
                                         .routes = routes,
                                         .route_count = ARRAY_LEN(routes),
                                         .body_bytes_max = BODY_MAX,
                                         .threads = 2,
                                         .connections_max = 64,
                                         .idle_timeout_s = 30 };
}

static struct http_server *serve(const char *tls_dir)
{
    struct http_server *server = NULL;
    struct error err = ERROR_INIT;
    struct http_server_options options = server_options("127.0.0.1:0", tls_dir);
    check(http_server_start(&options, &server, &err), &err);
    return server;
}

/* ------------------------------------------------------------------ plain HTTP */

static void test_server_hands_request_and_answer_through(void **state)
{
    (void)state;
    struct http_server *server = serve(NULL);
    AUTO(web) struct web *web = web_new(http_server_port(server), NULL);
    AUTO(buf) struct buf answer = BUF_INIT(ANSWER_MAX);
    const struct web_request request = {
        .method = "POST", .path = "/echo?timeout=10s", .body = "{\"a\":1}", .body_bytes = 7
    };
    assert_int_equal(web_send(web, &request, &answer), 200);
    assert_non_null(strstr(buf_text(&answer), "Content-Type: application/json\r\n"));
    assert_non_null(strstr(buf_text(&answer), "POST /echo application/json 7 {\"a\":1}"));
    http_server_stop(server, LONG_MS);
}

static void test_server_keeps_connections_alive(void **state)
{
    (void)state;
    struct http_server *server = serve(NULL);
    AUTO(web) struct web *web = web_new(http_server_port(server), NULL);
    AUTO(buf) struct buf answer = BUF_INIT(ANSWER_MAX);
    const struct web_request wrong = { .method = "DELETE", .path = "/echo" };
    assert_int_equal(web_get(web, "/echo", &answer), 200);
    assert_int_equal(web_get(web, "/nowhere", &answer), 404);
    assert_int_equal(web_send(web, &wrong, &answer), 405);
    assert_int_equal(web_get(web, "/echo", &answer), 200);
    assert_int_equal(web_connections(web), 1);
    http_server_stop(server, LONG_MS);
}

static void test_server_routes(void **state)
{
    (void)state;
    static const struct {
        const char *method, *path;
        int status;
        const char *part;
    } rows[] = {
        { "GET", "/echo", 200, "GET /echo" },
        { "HEAD", "/echo", 200, "Content-Length:" },
        { "PATCH", "/any", 200, "PATCH /any" },
        { "GET", "/", 404, "no such path" },
        { "GET", "/echo/", 404, "no such path" },
        { "PUT", "/echo", 405, "Allow: POST, GET\r\n" },
        { "GET", "/teapot", 418, "Content-Type: text/tea\r\n" },
        { "GET", "/boundless", 500, "the answer could not be made" },
    };
    struct http_server *server = serve(NULL);
    AUTO(web) struct web *web = web_new(http_server_port(server), NULL);
    AUTO(buf) struct buf answer = BUF_INIT(ANSWER_MAX);
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        const struct web_request request = { .method = rows[i].method, .path = rows[i].path };
        assert_int_equal(web_send(web, &request, &answer), rows[i].status);
        assert_non_null(strstr(buf_text(&answer), rows[i].part));
    }
    http_server_stop(server, LONG_MS);
}

static void test_server_bounds_bodies(void **state)
{
    (void)state;
    static const struct {
        const char *path;
        size_t bytes;
        bool chunked;
        int status;
    } rows[] = {
        { "/echo", BODY_MAX, false, 200 },
        { "/echo", BODY_MAX, true, 200 },
        { "/echo", BODY_MAX + 1, false, 413 },
        { "/echo", BODY_MAX + 1, true, 413 },
        { "/nowhere", 10000, true, 404 },
        { "/nowhere", BODY_MAX + 1, false, 413 },
        { "/echo", 0, false, 200 },
    };
    AUTO_FREE char *body = mem_alloc(BODY_MAX + 1);
    memset(body, 'x', BODY_MAX + 1);
    struct http_server *server = serve(NULL);
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        AUTO(web) struct web *web = web_new(http_server_port(server), NULL);
        AUTO(buf) struct buf answer = BUF_INIT(ANSWER_MAX);
        const struct web_request request = { .method = "POST",
                                             .path = rows[i].path,
                                             .body = body,
                                             .body_bytes = rows[i].bytes,
                                             .chunked = rows[i].chunked };
        assert_int_equal(web_send(web, &request, &answer), rows[i].status);
        if (rows[i].status == 200)
            assert_true(answer.length > rows[i].bytes);
    }
    http_server_stop(server, LONG_MS);
}

/* A client that never ends is cut off instead of being read for ever. */
static void test_server_cuts_off_endless_bodies(void **state)
{
    (void)state;
    enum { ENDLESS = 8 * 1024 * 1024 };
    AUTO_FREE char *body = mem_calloc(1, ENDLESS);
    struct http_server *server = serve(NULL);
    AUTO(web) struct web *web = web_new(http_server_port(server), NULL);
    AUTO(buf) struct buf answer = BUF_INIT(ANSWER_MAX);
    const struct web_request request = {
        .method = "POST", .path = "/echo", .body = body, .body_bytes = ENDLESS, .chunked = true
    };
    assert_true(web_send(web, &request, &answer) < 0);
    assert_int_equal(web_get(web, "/echo", &answer), 200);
    http_server_stop(server, LONG_MS);
}

/* Announces a body and sends none of it. */
static int announce(uint16_t port, size_t bytes)
{
    const struct sockaddr_in address = { .sin_family = AF_INET,
                                         .sin_port = htons(port),
                                         .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(connect(fd, (const struct sockaddr *)&address, sizeof(address)), 0);
    dprintf(fd, "POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: %zu\r\n\r\n", bytes);
    return fd;
}

static bool says_unavailable(int fd)
{
    char answer[32];
    const struct timeval patience = { .tv_usec = 200 * 1000 };
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
    ssize_t count = recv(fd, answer, sizeof(answer), 0);
    return count > 12 && memcmp(answer, "HTTP/1.1 503", 12) == 0;
}

static void test_server_bounds_large_bodies_together(void **state)
{
    (void)state;
    struct http_server *server = NULL;
    struct error err = ERROR_INIT;
    struct http_server_options options = server_options("127.0.0.1:0", NULL);
    options.body_bytes_max = 16 * 1024 * 1024;
    check(http_server_start(&options, &server, &err), &err);
    uint16_t port = http_server_port(server);
    int fds[5];
    for (size_t i = 0; i < 4; i++) {
        fds[i] = announce(port, options.body_bytes_max);
        assert_false(says_unavailable(fds[i]));
    }
    fds[4] = announce(port, options.body_bytes_max);
    assert_true(says_unavailable(fds[4]));

    AUTO(web) struct web *web = web_new(port, NULL);
    AUTO(buf) struct buf answer = BUF_INIT(ANSWER_MAX);
    const struct web_request small = {
        .method = "POST", .path = "/echo", .body = "{}", .body_bytes = 2
    };
    assert_int_equal(web_send(web, &small, &answer), 200);
    for (size_t i = 0; i < ARRAY_LEN(fds); i++)
        close(fds[i]);
    http_server_stop(server, LONG_MS);
}

static void test_server_refuses_addresses(void **state)
{
    (void)state;
    static const struct {
        const char *listen;
        enum error_code code;
        const char *message;
    } rows[] = {
        { "", ERR_INVALID, "--listen: \"\" is no address to listen on; write HOST:PORT" },
        { "9443", ERR_INVALID, "--listen: \"9443\" is no address" },
        { "127.0.0.1:", ERR_INVALID, "--listen: \"127.0.0.1:\" is no address" },
        { "127.0.0.1:http", ERR_INVALID, "--listen: \"127.0.0.1:http\" is no address" },
        { "127.0.0.1:65536", ERR_INVALID, "--listen: \"127.0.0.1:65536\" is no address" },
        { "::1:9443", ERR_INVALID, "--listen: \"::1:9443\" is no address" },
        { "192.0.2.1:9443", ERR_INVALID,
          "--listen: cannot listen on 192.0.2.1:9443: not an address of this machine" },
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct http_server *server = NULL;
        struct error err = ERROR_INIT;
        struct http_server_options options = server_options(rows[i].listen, NULL);
        assert_int_equal(http_server_start(&options, &server, &err), -1);
        assert_int_equal(err.code, rows[i].code);
        assert_memory_equal(err.message, rows[i].message, strlen(rows[i].message));
    }
}

static void test_server_says_that_the_port_is_busy(void **state)
{
    (void)state;
    struct http_server *server = serve(NULL), *second = NULL;
    struct error err = ERROR_INIT;
    AUTO_FREE char *listen = mem_printf("127.0.0.1:%u", http_server_port(server));
    AUTO_FREE char *message =
        mem_printf("--listen: cannot listen on %s: address in use; choose another", listen);
    struct http_server_options options = server_options(listen, NULL);
    assert_int_equal(http_server_start(&options, &second, &err), -1);
    assert_int_equal(err.code, ERR_UNAVAILABLE);
    assert_string_equal(err.message, message);
    http_server_stop(server, LONG_MS);
}

static void *get_wait(void *context)
{
    AUTO(buf) struct buf answer = BUF_INIT(ANSWER_MAX);
    int status = web_get(context, "/wait", &answer);
    return status == 200 && strstr(buf_text(&answer), "gone") != NULL ? context : NULL;
}

static void *stop_server(void *server)
{
    http_server_stop(server, LONG_MS);
    return NULL;
}

static bool somebody_listens(uint16_t port)
{
    const struct sockaddr_in address = { .sin_family = AF_INET,
                                         .sin_port = htons(port),
                                         .sin_addr = { htonl(INADDR_LOOPBACK) } };
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    int result = connect(fd, (const struct sockaddr *)&address, sizeof(address));
    close(fd);
    return result == 0;
}

static void test_server_stop_lets_requests_finish(void **state)
{
    (void)state;
    struct http_server *server = serve(NULL);
    AUTO(web) struct web *web = web_new(http_server_port(server), NULL);
    uint16_t port = http_server_port(server);
    pthread_t getter, stopper;
    void *result = NULL;
    stop_init(&pause_shared.entered);
    stop_init(&pause_shared.go);
    assert_int_equal(pthread_create(&getter, NULL, get_wait, web), 0);
    assert_true(stop_wait(&pause_shared.entered, LONG_MS));
    assert_int_equal(pthread_create(&stopper, NULL, stop_server, server), 0);
    while (somebody_listens(port)) /* until the stop has begun */
        usleep(1000);
    stop_raise(&pause_shared.go);
    pthread_join(getter, &result);
    pthread_join(stopper, NULL);
    assert_ptr_equal(result, web);
    stop_fini(&pause_shared.entered);
    stop_fini(&pause_shared.go);
}

/* ------------------------------------------------------------------ HTTPS */

struct tls_fixture {
    char *dir;
    struct key_pair authority;
};

static int tls_setup(void **state)
{
    struct tls_fixture *tls = mem_new(struct tls_fixture);
    tls->dir = test_dir_new();
    test_authority("test", &tls->authority);
    test_tls_dir_fill(tls->dir, &tls->authority, "first");
    *state = tls;
    return 0;
}

static int tls_teardown(void **state)
{
    struct tls_fixture *tls = *state;
    test_dir_remove(tls->dir);
    free(tls->dir);
    key_pair_fini(&tls->authority);
    free(tls);
    return 0;
}

static void test_server_speaks_tls_12_and_13_only(void **state)
{
    struct tls_fixture *tls = *state;
    static const struct {
        int version;
        bool served;
    } rows[] = { { 0, true }, { 12, true }, { 11, false } };
    struct http_server *server = serve(tls->dir);
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        AUTO(web)
        struct web *web = web_new(http_server_port(server), tls->authority.certificate_pem);
        AUTO(buf) struct buf answer = BUF_INIT(ANSWER_MAX);
        if (rows[i].version != 0)
            web_limit_tls(web, rows[i].version);
        assert_int_equal(web_get(web, "/echo", &answer) == 200, rows[i].served);
    }
    http_server_stop(server, LONG_MS);
}

static void test_server_tls_needs_usable_files(void **state)
{
    struct tls_fixture *tls = *state;
    AUTO(key_pair) struct key_pair other = { .key_pem = NULL };
    AUTO_FREE char *empty = test_dir_new();
    AUTO_FREE char *missing = mem_printf("cannot read %s/tls.crt", empty);
    AUTO_FREE char *unfit =
        mem_printf("certificate in %s: certificate and private key do not", tls->dir);
    struct http_server *server = NULL;
    struct error err = ERROR_INIT;
    test_authority("other", &other);
    test_file_write(tls->dir, "tls.key", other.key_pem);

    struct http_server_options options = server_options("127.0.0.1:0", empty);
    assert_int_equal(http_server_start(&options, &server, &err), -1);
    assert_int_equal(err.code, ERR_NOT_FOUND);
    assert_memory_equal(err.message, missing, strlen(missing));

    options = server_options("127.0.0.1:0", tls->dir);
    assert_int_equal(http_server_start(&options, &server, &err), -1);
    assert_int_equal(err.code, ERR_INVALID);
    assert_memory_equal(err.message, unfit, strlen(unfit));
    test_dir_remove(empty);
}

static void test_server_reload_takes_the_new_certificate(void **state)
{
    struct tls_fixture *tls = *state;
    AUTO(key_pair) struct key_pair next = { .key_pem = NULL };
    AUTO(buf) struct buf answer = BUF_INIT(ANSWER_MAX);
    struct error err = ERROR_INIT;
    struct http_server *server = serve(tls->dir);
    uint16_t port = http_server_port(server);
    AUTO(web) struct web *old = web_new(port, tls->authority.certificate_pem);
    assert_int_equal(web_get(old, "/echo", &answer), 200);
    assert_int_equal(http_server_reload(server, &err), 0);

    test_authority("next", &next);
    test_tls_dir_fill(tls->dir, &next, "second");
    assert_int_equal(http_server_reload(server, &err), 1);
    AUTO(web) struct web *new = web_new(port, next.certificate_pem);
    assert_int_equal(web_get(new, "/echo", &answer), 200);
    assert_null(strstr(buf_text(&answer), "Connection: close"));

    /* the old connection is served once more and told to end; then its client meets the new one */
    assert_int_equal(web_get(old, "/echo", &answer), 200);
    assert_non_null(strstr(buf_text(&answer), "Connection: close"));
    assert_true(web_get(old, "/echo", &answer) < 0);
    http_server_stop(server, LONG_MS);
}

static void test_server_reload_keeps_the_old_certificate(void **state)
{
    struct tls_fixture *tls = *state;
    AUTO(key_pair) struct key_pair other = { .key_pem = NULL };
    AUTO(buf) struct buf answer = BUF_INIT(ANSWER_MAX);
    struct error err = ERROR_INIT;
    struct http_server *server = serve(tls->dir);
    test_authority("other", &other);
    test_file_write(tls->dir, "tls.key", other.key_pem);

    assert_int_equal(http_server_reload(server, &err), -1);
    assert_int_equal(err.code, ERR_INVALID);
    assert_int_equal(http_server_reload(server, &err), 0); /* said once */
    AUTO(web)
    struct web *web = web_new(http_server_port(server), tls->authority.certificate_pem);
    assert_int_equal(web_get(web, "/echo", &answer), 200);

    test_tls_dir_fill(tls->dir, &tls->authority, "third"); /* whole again */
    assert_int_equal(http_server_reload(server, &err), 1);
    http_server_stop(server, LONG_MS);
}

struct load {
    uint16_t port;
    const char *authority_pem;
    atomic_bool over;
    atomic_int requests, failures, connections;
};

static void *run_load(void *context)
{
    struct load *load = context;
    AUTO(web) struct web *web = web_new(load->port, load->authority_pem);
    AUTO(buf) struct buf answer = BUF_INIT(ANSWER_MAX);
    const struct web_request request = { .method = "POST",
                                         .path = "/echo",
                                         .body = "{\"kind\":\"AdmissionReview\"}",
                                         .body_bytes = 26 };
    while (!atomic_load(&load->over)) {
        int status = web_send(web, &request, &answer);
        atomic_fetch_add(&load->requests, 1);
        if (status != 200)
            atomic_fetch_add(&load->failures, 1);
    }
    atomic_fetch_add(&load->connections, web_connections(web));
    return NULL;
}

static void wait_for_requests(struct load *load, int more)
{
    int target = atomic_load(&load->requests) + more;
    while (atomic_load(&load->requests) < target)
        usleep(1000);
}

static void test_server_reload_drops_no_request(void **state)
{
    enum { CLIENTS = 4, RELOADS = 8, BETWEEN = 100 };
    struct tls_fixture *tls = *state;
    struct error err = ERROR_INIT;
    struct http_server *server = serve(tls->dir);
    struct load load = { .port = http_server_port(server),
                         .authority_pem = tls->authority.certificate_pem };
    pthread_t clients[CLIENTS];
    for (size_t i = 0; i < CLIENTS; i++)
        assert_int_equal(pthread_create(&clients[i], NULL, run_load, &load), 0);
    for (int i = 0; i < RELOADS; i++) {
        wait_for_requests(&load, BETWEEN);
        test_tls_dir_fill(tls->dir, &tls->authority, "next");
        assert_int_equal(http_server_reload(server, &err), 1);
    }
    wait_for_requests(&load, BETWEEN);
    atomic_store(&load.over, true);
    for (size_t i = 0; i < CLIENTS; i++)
        pthread_join(clients[i], NULL);
    assert_int_equal(atomic_load(&load.failures), 0);
    /* each client was moved on by each reload, and stayed connected in between */
    assert_in_range(atomic_load(&load.connections), CLIENTS * 2, CLIENTS * (RELOADS + 1));
    http_server_stop(server, LONG_MS);
}

#define TLS_TEST(name) cmocka_unit_test_setup_teardown(name, tls_setup, tls_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_server_hands_request_and_answer_through),
        cmocka_unit_test(test_server_keeps_connections_alive),
        cmocka_unit_test(test_server_routes),
        cmocka_unit_test(test_server_bounds_bodies),
        cmocka_unit_test(test_server_cuts_off_endless_bodies),
        cmocka_unit_test(test_server_bounds_large_bodies_together),
        cmocka_unit_test(test_server_refuses_addresses),
        cmocka_unit_test(test_server_says_that_the_port_is_busy),
        cmocka_unit_test(test_server_stop_lets_requests_finish),
        TLS_TEST(test_server_speaks_tls_12_and_13_only),
        TLS_TEST(test_server_tls_needs_usable_files),
        TLS_TEST(test_server_reload_takes_the_new_certificate),
        TLS_TEST(test_server_reload_keeps_the_old_certificate),
        TLS_TEST(test_server_reload_drops_no_request),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
