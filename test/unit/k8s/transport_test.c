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
#include <strings.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "common/base/memory.h"
#include "common/base/metrics.h"
#include "common/http/server.h"
#include "common/k8s/kubeconfig.h"
#include "common/k8s/transport.h"
#include "test/lib/tls_dir.h"

enum { CONNECTIONS_MAX = 32, REQUEST_BYTES_MAX = 64 * 1024, LONG_MS = 60 * 1000 };

/* ------------------------------------------------------------------ a server
 * One thread a connection; the path says how it behaves. */

struct server {
    int fd;
    uint16_t port;
    pthread_t thread;
    pthread_t connections[CONNECTIONS_MAX];
    int connection_fds[CONNECTIONS_MAX];
    atomic_uint accepted;         /* counted before they are answered */
    atomic_uint connection_count; /* whose threads run */
    atomic_uint request_count;
    atomic_bool hanging; /* a request is being left without an answer */
};

struct connection {
    struct server *server;
    int fd;
};

static bool write_text(int fd, const char *text)
{
    size_t length = strlen(text);
    return send(fd, text, length, MSG_NOSIGNAL) == (ssize_t)length;
}

static void answer(int fd, const char *status, const char *headers, const char *body)
{
    AUTO_FREE char *text = mem_printf("HTTP/1.1 %s\r\n%sContent-Length: %zu\r\n\r\n%s", status,
                                      headers, strlen(body), body);
    write_text(fd, text);
}

static void answer_big(int fd)
{
    AUTO_FREE char *block = mem_calloc(1, 1024 * 1024 + 1);
    memset(block, 'x', 1024 * 1024);
    char header[128];
    snprintf(header, sizeof(header), "HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n",
             HTTP_RESPONSE_BYTES_MAX + 1024 * 1024);
    write_text(fd, header);
    for (int i = 0; i <= HTTP_RESPONSE_BYTES_MAX / (1024 * 1024); i++) {
        if (!write_text(fd, block))
            return;
    }
}

static void answer_date(int fd)
{
    char date[64], header[128];
    time_t then = time(NULL) + 3000;
    struct tm parts;
    strftime(date, sizeof(date), "%a, %d %b %Y %H:%M:%S GMT", gmtime_r(&then, &parts));
    snprintf(header, sizeof(header), "Retry-After: %s\r\n", date);
    answer(fd, "503 Service Unavailable", header, "");
}

/* Waits until the client has gone. */
static void hang(struct connection *c)
{
    char byte;
    atomic_store(&c->server->hanging, true);
    while (read(c->fd, &byte, 1) > 0)
        ;
}

/* False: close. */
static bool serve(struct connection *c, const char *request)
{
    char method[16], path[64];
    int fd = c->fd;
    if (sscanf(request, "%15s %63s", method, path) != 2)
        return false;
    const char *body = strstr(request, "\r\n\r\n");

    if (strcmp(path, "/ok") == 0)
        answer(fd, "200 OK", "", "{}");
    else if (strcmp(path, "/echo") == 0)
        answer(fd, "200 OK", "", request);
    else if (strcmp(path, "/body") == 0)
        answer(fd, "201 Created", "", body + 4);
    else if (strcmp(path, "/missing") == 0)
        answer(fd, "404 Not Found", "", "no such thing");
    else if (strcmp(path, "/redirect") == 0)
        answer(fd, "302 Found", "Location: /ok\r\n", "");
    else if (strcmp(path, "/seconds") == 0)
        answer(fd, "429 Too Many Requests", "Retry-After: 7\r\n", "");
    else if (strcmp(path, "/for-ever") == 0)
        answer(fd, "429 Too Many Requests", "Retry-After: 999999999\r\n", "");
    else if (strcmp(path, "/date") == 0)
        answer_date(fd);
    else if (strcmp(path, "/auth") == 0)
        answer(fd, strstr(request, "Bearer second\r\n") ? "200 OK" : "401 Unauthorized", "",
               "who?");
    else if (strcmp(path, "/big") == 0)
        answer_big(fd);
    else if (strcmp(path, "/torn") == 0)
        write_text(fd, "HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\nshort");
    else if (strcmp(path, "/stream") == 0)
        write_text(fd, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
                       "3\r\none\r\n3\r\ntwo\r\n0\r\n\r\n");
    else if (strcmp(path, "/begin") == 0)
        write_text(fd, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\none\r\n");
    if (strcmp(path, "/hang") == 0 || strcmp(path, "/begin") == 0)
        hang(c);
    return strcmp(path, "/torn") != 0 && strcmp(path, "/close") != 0;
}

/* One whole request in `request`; false at the end of the connection. */
static bool read_request(int fd, char request[REQUEST_BYTES_MAX])
{
    size_t length = 0;
    for (;;) {
        ssize_t count = read(fd, request + length, REQUEST_BYTES_MAX - 1 - length);
        if (count <= 0)
            return false;
        length += (size_t)count;
        request[length] = '\0';
        if (request[0] < 'A' || request[0] > 'Z')
            return false; /* not HTTP */
        const char *body = strstr(request, "\r\n\r\n");
        const char *expected = strcasestr(request, "content-length:");
        size_t body_bytes = expected != NULL ? strtoul(expected + 15, NULL, 10) : 0;
        if (body != NULL && strlen(body + 4) >= body_bytes)
            return true;
    }
}

static void *connection_thread(void *context)
{
    struct connection *c = context;
    AUTO_FREE char *request = mem_alloc(REQUEST_BYTES_MAX);
    while (read_request(c->fd, request)) {
        atomic_fetch_add(&c->server->request_count, 1);
        if (!serve(c, request))
            break;
    }
    shutdown(c->fd, SHUT_RDWR); /* the descriptor itself is closed by server_stop */
    free(c);
    return NULL;
}

static void *server_thread(void *context)
{
    struct server *server = context;
    for (;;) {
        int fd = accept(server->fd, NULL, NULL);
        if (fd < 0)
            return NULL;
        atomic_fetch_add(&server->accepted, 1);
        unsigned n = atomic_load(&server->connection_count);
        assert_true(n < CONNECTIONS_MAX);
        struct connection *c = mem_new(struct connection);
        *c = (struct connection){ .server = server, .fd = fd };
        server->connection_fds[n] = fd;
        pthread_create(&server->connections[n], NULL, connection_thread, c);
        atomic_store(&server->connection_count, n + 1);
    }
}

static int listen_on_loopback(uint16_t *port)
{
    struct sockaddr_in address = { .sin_family = AF_INET,
                                   .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    socklen_t length = sizeof(address);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&address, length), 0);
    assert_int_equal(listen(fd, 16), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&address, &length), 0);
    *port = ntohs(address.sin_port);
    return fd;
}

static void server_start(struct server *server)
{
    server->fd = listen_on_loopback(&server->port);
    assert_int_equal(pthread_create(&server->thread, NULL, server_thread, server), 0);
}

static void server_stop(struct server *server)
{
    shutdown(server->fd, SHUT_RDWR);
    pthread_join(server->thread, NULL);
    close(server->fd);
    for (unsigned i = 0; i < server->connection_count; i++) {
        shutdown(server->connection_fds[i], SHUT_RDWR);
        pthread_join(server->connections[i], NULL);
        close(server->connection_fds[i]);
    }
}

/* ------------------------------------------------------------------ fixture */

struct fixture {
    struct server server;
    struct kubeconfig *config;
    struct transport *transport;
    struct stop stop;
    struct error err;
    struct http_response response;
    char *dir;
};

static void use_cluster(struct fixture *f, const char *cluster, const char *user)
{
    AUTO_FREE char *text =
        mem_printf("{current-context: c, contexts: [{name: c, context: {cluster: k, user: u}}],"
                   " clusters: [{name: k, cluster: {%s}}], users: [{name: u, user: {%s}}]}",
                   cluster, user);
    AUTO_FREE char *path = test_file_path(f->dir, "config");
    transport_free(f->transport);
    kubeconfig_free(f->config);
    f->transport = NULL;
    f->config = NULL;
    test_file_write(f->dir, "config", text);
    if (kubeconfig_load(path, clock_system(), &f->config, &f->err) < 0 ||
        transport_curl_new(f->config, "ckaito/test", &f->transport, &f->err) < 0)
        fail_msg("%s", f->err.message);
}

static void use_config(struct fixture *f, const char *scheme, uint16_t port, const char *user)
{
    AUTO_FREE char *cluster = mem_printf("server: \"%s://127.0.0.1:%d\"", scheme, port);
    use_cluster(f, cluster, user);
}

static int set_up(void **state)
{
    struct fixture *f = mem_new(struct fixture);
    metrics_reset();
    f->dir = test_dir_new();
    stop_init(&f->stop);
    server_start(&f->server);
    use_config(f, "http", f->server.port, "");
    *state = f;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *f = *state;
    transport_free(f->transport);
    kubeconfig_free(f->config);
    server_stop(&f->server);
    stop_fini(&f->stop);
    buf_fini(&f->response.body);
    test_dir_remove(f->dir);
    free(f->dir);
    free(f);
    return 0;
}

static int send_request(struct fixture *f, struct http_request request)
{
    buf_fini(&f->response.body);
    f->err = (struct error)ERROR_INIT;
    return f->transport->exchange(f->transport, &request, &f->stop, &f->response, &f->err);
}

static int get(struct fixture *f, const char *path)
{
    return send_request(f, (struct http_request){ .method = "GET", .path = path });
}

static void must_get(struct fixture *f, const char *path, int status)
{
    if (get(f, path) < 0)
        fail_msg("%s: %s", path, f->err.message);
    assert_int_equal(f->response.status, status);
}

/* ------------------------------------------------------------------ exchanges */

static void test_transport_status_and_body(void **state)
{
    struct fixture *f = *state;
    must_get(f, "/missing", 404);
    assert_string_equal(buf_text(&f->response.body), "no such thing");
}

static void test_transport_sends_method_type_and_body(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(send_request(f, (struct http_request){ .method = "PATCH",
                                                            .path = "/echo",
                                                            .content_type = "application/x",
                                                            .body = "{\"a\":1}" }),
                     0);
    const char *seen = buf_text(&f->response.body);
    assert_non_null(strstr(seen, "PATCH /echo HTTP/1.1\r\n"));
    assert_non_null(strstr(seen, "Content-Type: application/x\r\n"));
    assert_non_null(strstr(seen, "User-Agent: ckaito/test\r\n"));
    assert_null(strstr(seen, "Authorization"));
    assert_null(strstr(seen, "Expect:"));
    assert_string_equal(strstr(seen, "\r\n\r\n"), "\r\n\r\n{\"a\":1}");
}

static void test_transport_request_leaves_nothing_to_the_next(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(send_request(f, (struct http_request){ .method = "POST",
                                                            .path = "/body",
                                                            .content_type = "application/x",
                                                            .body = "{}" }),
                     0);
    assert_string_equal(buf_text(&f->response.body), "{}");
    must_get(f, "/echo", 200);
    assert_memory_equal(buf_text(&f->response.body), "GET /echo ", 10);
    assert_null(strcasestr(buf_text(&f->response.body), "content-"));
    assert_int_equal(send_request(f, (struct http_request){ .method = "DELETE", .path = "/echo" }),
                     0);
    assert_memory_equal(buf_text(&f->response.body), "DELETE /echo ", 13);
}

static void test_transport_reuses_its_connection(void **state)
{
    struct fixture *f = *state;
    for (int i = 0; i < 5; i++)
        must_get(f, "/ok", 200);
    assert_int_equal(f->server.accepted, 1);
    assert_int_equal(f->server.request_count, 5);
}

static void test_transport_survives_a_closed_idle_connection(void **state)
{
    struct fixture *f = *state;
    must_get(f, "/ok", 200);
    shutdown(f->server.connection_fds[0], SHUT_RDWR);
    assert_int_equal(send_request(f, (struct http_request){ .method = "POST",
                                                            .path = "/body",
                                                            .content_type = "application/x",
                                                            .body = "sent once" }),
                     0);
    assert_int_equal(f->response.status, 201);
    assert_string_equal(buf_text(&f->response.body), "sent once");
    assert_int_equal(f->server.request_count, 2);
}

static void test_transport_follows_no_redirect(void **state)
{
    struct fixture *f = *state;
    must_get(f, "/redirect", 302);
    assert_int_equal(f->server.request_count, 1);
}

static void test_transport_ignores_proxy_variables(void **state)
{
    struct fixture *f = *state;
    setenv("http_proxy", "http://127.0.0.1:1", 1);
    must_get(f, "/ok", 200);
    unsetenv("http_proxy");
}

static void test_transport_retry_after(void **state)
{
    struct fixture *f = *state;
    must_get(f, "/seconds", 429);
    assert_int_equal(f->response.retry_after_ms, 7000);
    must_get(f, "/date", 503);
    assert_in_range(f->response.retry_after_ms, 1, 3000 * 1000);
    must_get(f, "/for-ever", 429);
    assert_int_equal(f->response.retry_after_ms, 3600 * 1000);
    must_get(f, "/ok", 200);
    assert_int_equal(f->response.retry_after_ms, 0);
}

static void test_transport_bounds_the_answer(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(get(f, "/big"), -1);
    assert_int_equal(f->err.code, ERR_TOO_LARGE);
    must_get(f, "/ok", 200);
}

static void test_transport_broken_answers(void **state)
{
    struct fixture *f = *state;
    static const char *const paths[] = { "/torn", "/close" };
    for (size_t i = 0; i < ARRAY_LEN(paths); i++) {
        assert_int_equal(get(f, paths[i]), -1);
        assert_string_equal(error_code_name(f->err.code), "UNAVAILABLE");
        assert_non_null(strstr(f->err.message, "broke"));
    }
    must_get(f, "/ok", 200);
}

static void test_transport_counts_requests(void **state)
{
    struct fixture *f = *state;
    must_get(f, "/ok", 200);
    must_get(f, "/missing", 404);
    assert_int_equal(get(f, "/close"), -1);
    assert_int_equal(
        metric_value(METRIC_REST_REQUESTS_TOTAL, (const char *const[]){ "200", "GET", NULL }), 1);
    assert_int_equal(
        metric_value(METRIC_REST_REQUESTS_TOTAL, (const char *const[]){ "404", "GET", NULL }), 1);
    assert_int_equal(
        metric_value(METRIC_REST_REQUESTS_TOTAL, (const char *const[]){ "<error>", "GET", NULL }),
        1);
}

/* ------------------------------------------------------------------ credentials */

static void test_transport_sends_the_token(void **state)
{
    struct fixture *f = *state;
    use_config(f, "http", f->server.port, "token: abc");
    must_get(f, "/echo", 200);
    assert_non_null(strstr(buf_text(&f->response.body), "Authorization: Bearer abc\r\n"));
}

static void test_transport_renews_a_refused_token_once(void **state)
{
    struct fixture *f = *state;
    test_file_write(f->dir, "token", "first");
    use_config(f, "http", f->server.port, "tokenFile: token");
    test_file_write(f->dir, "token", "second");
    must_get(f, "/auth", 200);
    assert_string_equal(buf_text(&f->response.body), "who?"); /* of the second answer alone */
    assert_int_equal(f->server.request_count, 2);

    test_file_write(f->dir, "token", "third");
    must_get(f, "/auth", 200); /* the second is still good */
    assert_int_equal(f->server.request_count, 3);
}

static void test_transport_gives_401_back_when_nothing_is_new(void **state)
{
    struct fixture *f = *state;
    use_config(f, "http", f->server.port, "token: wrong");
    must_get(f, "/auth", 401);
    assert_string_equal(buf_text(&f->response.body), "who?");
    assert_int_equal(f->server.request_count, 1);
}

/* ------------------------------------------------------------------ what goes wrong */

static void test_transport_refused(void **state)
{
    struct fixture *f = *state;
    uint16_t port;
    close(listen_on_loopback(&port));
    use_config(f, "https", port, "");
    assert_int_equal(get(f, "/ok"), -1);
    assert_int_equal(f->err.code, ERR_UNAVAILABLE);
    AUTO_FREE char *expected =
        mem_printf("cannot reach https://127.0.0.1:%d: connection refused", port);
    assert_string_equal(f->err.message, expected);
}

static void test_transport_server_without_tls(void **state)
{
    struct fixture *f = *state;
    use_config(f, "https", f->server.port, "");
    assert_int_equal(get(f, "/ok"), -1);
    assert_int_equal(f->err.code, ERR_UNAVAILABLE);
    assert_memory_equal(f->err.message, "TLS with https://127.0.0.1:", 27);
}

/* ------------------------------------------------------------------ TLS */

static void say_ok(void *context, struct http_exchange *exchange)
{
    (void)context;
    buf_puts(&exchange->answer, "{}");
}

/* Asks an HTTPS server whose certificate is for localhost and 127.0.0.1, signed by "theirs".
 * `members` are those of the cluster; ours.crt and ca.crt (theirs) are in the folder. */
static int get_by_tls(struct fixture *f, const char *members)
{
    static const struct http_route routes[] = { { .path = "/ok", .handler = say_ok } };
    AUTO(key_pair) struct key_pair ours = { 0 };
    AUTO(key_pair) struct key_pair theirs = { 0 };
    struct http_server *server;

    test_authority("ours", &ours);
    test_authority("theirs", &theirs);
    test_tls_dir_fill(f->dir, &theirs, "server");
    test_file_write(f->dir, "ours.crt", ours.certificate_pem);
    struct http_server_options options = { .listen = "127.0.0.1:0",
                                           .tls_dir = f->dir,
                                           .routes = routes,
                                           .route_count = 1,
                                           .body_bytes_max = 1024,
                                           .threads = 1,
                                           .connections_max = 8,
                                           .idle_timeout_s = 60 };
    if (http_server_start(&options, &server, &f->err) < 0)
        fail_msg("%s", f->err.message);
    AUTO_FREE char *cluster =
        mem_printf("server: \"https://127.0.0.1:%d\", %s", http_server_port(server), members);
    use_cluster(f, cluster, "");
    int result = get(f, "/ok");
    transport_free(f->transport);
    f->transport = NULL;
    http_server_stop(server, 100);
    return result;
}

static void test_transport_trusts_the_ca_of_the_kubeconfig(void **state)
{
    struct fixture *f = *state;
    if (get_by_tls(f, "certificate-authority: ca.crt") < 0)
        fail_msg("%s", f->err.message);
    assert_int_equal(f->response.status, 200);
}

static void test_transport_trusts_no_other_ca(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(get_by_tls(f, "certificate-authority: ours.crt"), -1);
    assert_int_equal(f->err.code, ERR_UNAVAILABLE);
    assert_non_null(strstr(f->err.message, "is not signed by the CA in the kubeconfig"));
}

static void test_transport_server_by_another_name(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(get_by_tls(f, "certificate-authority: ca.crt, "
                                   "tls-server-name: localhost"),
                     0);
    assert_int_equal(get_by_tls(f, "certificate-authority: ca.crt, "
                                   "tls-server-name: elsewhere"),
                     -1);
    assert_non_null(strstr(f->err.message, "elsewhere"));
}

static void test_transport_unverified_when_told_so(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(get_by_tls(f, "insecure-skip-tls-verify: true"), 0);
}

static void test_transport_deadline(void **state)
{
    struct fixture *f = *state;
    must_get(f, "/ok", 200);
    assert_int_equal(
        send_request(f,
                     (struct http_request){ .method = "GET", .path = "/hang", .timeout_ms = 50 }),
        -1);
    assert_int_equal(f->err.code, ERR_TIMEOUT);
    assert_non_null(strstr(f->err.message, "did not answer in time"));
    must_get(f, "/ok", 200); /* on another connection */
    assert_int_equal(f->server.accepted, 2);
}

static void *raise_when_hanging(void *context)
{
    struct fixture *f = context;
    while (!atomic_load(&f->server.hanging))
        usleep(1000);
    stop_raise(&f->stop);
    return NULL;
}

static void test_transport_stop_cancels_an_exchange(void **state)
{
    struct fixture *f = *state;
    pthread_t thread;
    pthread_create(&thread, NULL, raise_when_hanging, f);
    assert_int_equal(
        send_request(
            f, (struct http_request){ .method = "GET", .path = "/hang", .timeout_ms = LONG_MS }),
        -1);
    pthread_join(thread, NULL);
    assert_int_equal(f->err.code, ERR_CANCELLED);
    assert_int_equal(get(f, "/ok"), -1);
    assert_int_equal(f->err.code, ERR_CANCELLED);
    assert_int_equal(f->server.request_count, 1);
}

/* ------------------------------------------------------------------ streams */

struct sink {
    struct buf text;
    size_t bytes_wanted;
};

static bool take_bytes(void *context, const char *bytes, size_t count)
{
    struct sink *sink = context;
    buf_append(&sink->text, bytes, count);
    return sink->text.length < sink->bytes_wanted;
}

static int stream(struct fixture *f, const char *path, int64_t silence_ms, struct sink *sink)
{
    struct http_request request = { .method = "GET", .path = path, .timeout_ms = silence_ms };
    *sink = (struct sink){ .text = BUF_INIT(256), .bytes_wanted = sink->bytes_wanted };
    buf_fini(&f->response.body);
    return f->transport->stream(f->transport, &request, &f->stop, take_bytes, sink, &f->response,
                                &f->err);
}

static void test_transport_stream_to_its_end(void **state)
{
    struct fixture *f = *state;
    struct sink sink = { .bytes_wanted = 100 };
    assert_int_equal(stream(f, "/stream", LONG_MS, &sink), 0);
    assert_int_equal(f->response.status, 200);
    assert_string_equal(buf_text(&sink.text), "onetwo");
    assert_int_equal(f->response.body.length, 0);
    buf_fini(&sink.text);
    must_get(f, "/ok", 200);
    assert_int_equal(f->server.accepted, 1);
}

static void test_transport_stream_ended_by_the_sink(void **state)
{
    struct fixture *f = *state;
    struct sink sink = { .bytes_wanted = 3 };
    assert_int_equal(stream(f, "/begin", LONG_MS, &sink), 0);
    assert_int_equal(f->response.status, 200);
    buf_fini(&sink.text);
    must_get(f, "/ok", 200);
}

static void test_transport_stream_refused(void **state)
{
    struct fixture *f = *state;
    struct sink sink = { .bytes_wanted = 100 };
    assert_int_equal(stream(f, "/missing", LONG_MS, &sink), 0);
    assert_int_equal(f->response.status, 404);
    assert_string_equal(buf_text(&f->response.body), "no such thing");
    assert_int_equal(sink.text.length, 0);
    buf_fini(&sink.text);
}

static void test_transport_stream_cut(void **state)
{
    struct fixture *f = *state;
    struct sink sink = { .bytes_wanted = 100 };
    assert_int_equal(stream(f, "/torn", LONG_MS, &sink), -1);
    assert_int_equal(f->err.code, ERR_UNAVAILABLE);
    assert_string_equal(buf_text(&sink.text), "short");
    buf_fini(&sink.text);
}

static void test_transport_stream_silent(void **state)
{
    struct fixture *f = *state;
    struct sink sink = { .bytes_wanted = 100 };
    assert_int_equal(stream(f, "/begin", 50, &sink), -1);
    assert_int_equal(f->err.code, ERR_TIMEOUT);
    assert_string_equal(buf_text(&sink.text), "one");
    buf_fini(&sink.text);
}

static void test_transport_stop_cancels_a_stream(void **state)
{
    struct fixture *f = *state;
    struct sink sink = { .bytes_wanted = 100 };
    pthread_t thread;
    pthread_create(&thread, NULL, raise_when_hanging, f);
    assert_int_equal(stream(f, "/begin", LONG_MS, &sink), -1);
    pthread_join(thread, NULL);
    assert_int_equal(f->err.code, ERR_CANCELLED);
    buf_fini(&sink.text);
}

/* ------------------------------------------------------------------ threads */

static void *get_often(void *context)
{
    struct fixture *f = context;
    for (int i = 0; i < 50; i++) {
        struct http_request request = { .method = "GET", .path = "/ok" };
        struct http_response response;
        struct error err;
        if (f->transport->exchange(f->transport, &request, &f->stop, &response, &err) < 0)
            fail_msg("%s", err.message);
        buf_fini(&response.body);
    }
    return NULL;
}

static void test_transport_is_shared_by_threads(void **state)
{
    struct fixture *f = *state;
    pthread_t threads[6];
    for (size_t i = 0; i < ARRAY_LEN(threads); i++)
        pthread_create(&threads[i], NULL, get_often, f);
    for (size_t i = 0; i < ARRAY_LEN(threads); i++)
        pthread_join(threads[i], NULL);
    assert_int_equal(f->server.request_count, 300);
    assert_in_range(f->server.accepted, 1, ARRAY_LEN(threads));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_transport_status_and_body),
        TEST(test_transport_sends_method_type_and_body),
        TEST(test_transport_request_leaves_nothing_to_the_next),
        TEST(test_transport_reuses_its_connection),
        TEST(test_transport_survives_a_closed_idle_connection),
        TEST(test_transport_follows_no_redirect),
        TEST(test_transport_ignores_proxy_variables),
        TEST(test_transport_retry_after),
        TEST(test_transport_bounds_the_answer),
        TEST(test_transport_broken_answers),
        TEST(test_transport_counts_requests),
        TEST(test_transport_sends_the_token),
        TEST(test_transport_renews_a_refused_token_once),
        TEST(test_transport_gives_401_back_when_nothing_is_new),
        TEST(test_transport_refused),
        TEST(test_transport_server_without_tls),
        TEST(test_transport_trusts_the_ca_of_the_kubeconfig),
        TEST(test_transport_trusts_no_other_ca),
        TEST(test_transport_server_by_another_name),
        TEST(test_transport_unverified_when_told_so),
        TEST(test_transport_deadline),
        TEST(test_transport_stop_cancels_an_exchange),
        TEST(test_transport_stream_to_its_end),
        TEST(test_transport_stream_ended_by_the_sink),
        TEST(test_transport_stream_refused),
        TEST(test_transport_stream_cut),
        TEST(test_transport_stream_silent),
        TEST(test_transport_stop_cancels_a_stream),
        TEST(test_transport_is_shared_by_threads),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
