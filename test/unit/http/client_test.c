#include <netinet/in.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "common/base/memory.h"
#include "common/http/client.h"
#include "common/http/server.h"
#include "test/lib/tls_dir.h"

enum { REQUEST_BYTES_MAX = 16 * 1024 };

/* ------------------------------------------------------------------ a server of one answer */

struct once {
    int fd;
    uint16_t port;
    pthread_t thread;
    const char *answer; /* NULL: none; the connection stays open */
    struct stop *reached;
    char request[REQUEST_BYTES_MAX];
};

static void *serve_once(void *argument)
{
    struct once *once = argument;
    int fd = accept(once->fd, NULL, NULL);
    size_t length = 0;
    while (fd >= 0 && length < sizeof(once->request) - 1) {
        ssize_t got = recv(fd, once->request + length, sizeof(once->request) - 1 - length, 0);
        length += got > 0 ? (size_t)got : 0;
        once->request[length] = '\0';
        if (got <= 0)
            break;
        if (strstr(once->request, "\r\n\r\n") == NULL)
            continue;
        if (once->answer == NULL) {
            stop_raise(once->reached); /* and wait until the client hangs up */
            continue;
        }
        send(fd, once->answer, strlen(once->answer), MSG_NOSIGNAL);
        break;
    }
    close(fd);
    return NULL;
}

static void once_start(struct once *once, const char *answer, struct stop *reached)
{
    struct sockaddr_in address = { .sin_family = AF_INET,
                                   .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    socklen_t size = sizeof(address);
    *once = (struct once){ .answer = answer, .reached = reached };
    once->fd = socket(AF_INET, SOCK_STREAM, 0);
    assert_int_equal(bind(once->fd, (struct sockaddr *)&address, size), 0);
    assert_int_equal(listen(once->fd, 4), 0);
    assert_int_equal(getsockname(once->fd, (struct sockaddr *)&address, &size), 0);
    once->port = ntohs(address.sin_port);
    assert_int_equal(pthread_create(&once->thread, NULL, serve_once, once), 0);
}

static void once_end(struct once *once)
{
    pthread_join(once->thread, NULL);
    close(once->fd);
}

static int get(struct http_client *client, uint16_t port, struct stop *stop,
               struct http_client_answer *out, struct error *err)
{
    AUTO_FREE char *url = mem_printf("http://127.0.0.1:%u/path?secret=1", port);
    static const char *const headers[] = { "X-Own: 1", NULL };
    const struct http_client_request request = {
        .method = "GET", .url = url, .headers = headers, .direct = true
    };
    return client->exchange(client, &request, stop, out, err);
}

/* ------------------------------------------------------------------ tests */

struct world {
    struct http_client *client;
    struct stop stop;
    struct error err;
};

static int set_up(void **state)
{
    struct world *world = mem_new(struct world);
    world->client = http_client_curl_new("", "test/1");
    stop_init(&world->stop);
    *state = world;
    return 0;
}

static int tear_down(void **state)
{
    struct world *world = *state;
    http_client_free(world->client);
    stop_fini(&world->stop);
    free(world);
    return 0;
}

static void test_client_reads_status_body_and_headers(void **state)
{
    struct world *world = *state;
    struct once once;
    once_start(&once,
               "HTTP/1.1 429 Slow\r\nRetry-After: 7\r\nLocation: https://second\r\n"
               "azure-asyncoperation: https://first\r\nContent-Length: 2\r\n\r\n{}",
               NULL);
    AUTO(http_client_answer) struct http_client_answer answer = { 0 };
    assert_int_equal(get(world->client, once.port, &world->stop, &answer, &world->err), 0);
    once_end(&once);
    assert_int_equal(answer.status, 429);
    assert_string_equal(buf_text(&answer.body), "{}");
    assert_string_equal(answer.operation, "https://first");
    assert_int_equal(answer.retry_after_ms, 7000);
    assert_non_null(strstr(once.request, "X-Own: 1\r\n"));
    assert_non_null(strstr(once.request, "User-Agent: test/1\r\n"));
}

/* A redirect would carry the token to wherever it points. */
static void test_client_follows_no_redirect(void **state)
{
    struct world *world = *state;
    struct once once;
    once_start(&once,
               "HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 0\r\n\r\n",
               NULL);
    AUTO(http_client_answer) struct http_client_answer answer = { 0 };
    assert_int_equal(get(world->client, once.port, &world->stop, &answer, &world->err), 0);
    once_end(&once);
    assert_int_equal(answer.status, 302);
    assert_string_equal(answer.operation, "http://127.0.0.1:1/");
}

static void test_client_error_names_the_place_without_its_query(void **state)
{
    struct world *world = *state;
    struct once once;
    once_start(&once, "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\ncut", NULL);
    AUTO(http_client_answer) struct http_client_answer answer = { 0 };
    assert_int_equal(get(world->client, once.port, &world->stop, &answer, &world->err), -1);
    once_end(&once);
    assert_int_equal(world->err.code, ERR_UNAVAILABLE);
    assert_non_null(strstr(world->err.message, "/path"));
    assert_null(strstr(world->err.message, "secret"));
}

static void *raise_when_reached(void *argument)
{
    struct stop **stops = argument;
    stop_wait(stops[0], 10 * 1000);
    stop_raise(stops[1]);
    return NULL;
}

static void test_client_is_cancelled(void **state)
{
    struct world *world = *state;
    struct once once;
    struct stop reached;
    stop_init(&reached);
    once_start(&once, NULL, &reached);
    struct stop *stops[] = { &reached, &world->stop };
    pthread_t raiser;
    assert_int_equal(pthread_create(&raiser, NULL, raise_when_reached, stops), 0);
    AUTO(http_client_answer) struct http_client_answer answer = { 0 };
    assert_int_equal(get(world->client, once.port, &world->stop, &answer, &world->err), -1);
    assert_int_equal(world->err.code, ERR_CANCELLED);
    pthread_join(raiser, NULL);
    once_end(&once);
    stop_fini(&reached);
}

static void echo(void *context, struct http_exchange *exchange)
{
    (void)context;
    buf_printf(&exchange->answer, "%s %s %s", exchange->method, exchange->content_type,
               exchange->body);
}

static void test_client_verifies_who_answers(void **state)
{
    struct world *world = *state;
    struct key_pair authority = { 0 };
    AUTO_FREE char *dir = test_dir_new();
    test_authority("test authority", &authority);
    test_tls_dir_fill(dir, &authority, "localhost");
    const struct http_route routes[] = { { .path = "/", .handler = echo } };
    const struct http_server_options options = { .listen = "127.0.0.1:0",
                                                 .tls_dir = dir,
                                                 .routes = routes,
                                                 .route_count = 1,
                                                 .body_bytes_max = 1024,
                                                 .threads = 1,
                                                 .connections_max = 8,
                                                 .idle_timeout_s = 5 };
    struct http_server *server = NULL;
    assert_int_equal(http_server_start(&options, &server, &world->err), 0);
    AUTO_FREE char *url = mem_printf("https://localhost:%u/", http_server_port(server));
    static const char *const headers[] = { "Content-Type: text/plain", NULL };
    const struct http_client_request request = {
        .method = "PUT", .url = url, .headers = headers, .body = "hello", .direct = true
    };

    AUTO(http_client_answer) struct http_client_answer refused = { 0 };
    assert_int_equal(
        world->client->exchange(world->client, &request, &world->stop, &refused, &world->err), -1);
    assert_int_equal(world->err.code, ERR_UNAVAILABLE);

    AUTO_FREE char *ca = mem_printf("%s/ca.crt", dir);
    struct http_client *trusting = http_client_curl_new(ca, "test/1");
    AUTO(http_client_answer) struct http_client_answer answer = { 0 };
    int result = trusting->exchange(trusting, &request, &world->stop, &answer, &world->err);
    http_client_free(trusting);
    http_server_stop(server, 1000);
    test_dir_remove(dir);
    key_pair_fini(&authority);
    if (result < 0)
        fail_msg("%s", world->err.message);
    assert_string_equal(buf_text(&answer.body), "PUT text/plain hello");
}

int main(void)
{
#define WITH_WORLD(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        WITH_WORLD(test_client_reads_status_body_and_headers),
        WITH_WORLD(test_client_follows_no_redirect),
        WITH_WORLD(test_client_error_names_the_place_without_its_query),
        WITH_WORLD(test_client_is_cancelled),
        WITH_WORLD(test_client_verifies_who_answers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
