/* A server on tls+tcp among peers that mean it ill or know no better: an honest client, old or new,
 * notices nothing. */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <nng/nng.h>
#include <nng/protocol/reqrep0/req.h>
#include <nng/supplemental/tls/tls.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "common/base/memory.h"
#include "common/base/tls_files.h"
#include "common/json/build.h"
#include "common/json/json.h"
#include "common/msg/socket.h"
#include "test/lib/tls_dir.h"

enum { LONG_MS = 10000, SHORT_MS = 500, CONNECTIONS = 1200, ROUNDS = 3 };

struct scene {
    uint16_t port;
    char *dir, *dial_url;
    struct key_pair authority;
    struct msg_server *server;
    struct msg_client *old_friend; /* connected before the others came */
    atomic_int requests;
};

static cJSON *handle(void *context, const struct envelope *request, const char **answer_type,
                     struct error *err)
{
    (void)err;
    struct scene *scene = context;
    atomic_fetch_add(&scene->requests, 1);
    *answer_type = "Pong";
    return json_copy(request->body);
}

static struct sockaddr_in loopback(uint16_t port)
{
    return (struct sockaddr_in){ .sin_family = AF_INET,
                                 .sin_port = htons(port),
                                 .sin_addr = { htonl(INADDR_LOOPBACK) } };
}

static uint16_t free_port(void)
{
    struct sockaddr_in address = loopback(0);
    socklen_t bytes = sizeof(address);
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    assert_int_equal(bind(fd, (const struct sockaddr *)&address, sizeof(address)), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&address, &bytes), 0);
    close(fd);
    return ntohs(address.sin_port);
}

static struct msg_client *dial(const struct scene *scene)
{
    const struct socket_options options = { .url = scene->dial_url, .tls_dir = scene->dir };
    struct msg_client *client = NULL;
    struct error err = ERROR_INIT;
    if (msg_client_open(&options, &client, &err) < 0)
        fail_msg("%s", err.message);
    return client;
}

static void ping(struct msg_client *client)
{
    AUTO(envelope) struct envelope answer = { .tree = NULL };
    AUTO(json) cJSON *body = JOBJ(JI("n", 7));
    struct error err = ERROR_INIT;
    if (msg_client_call(client, "Ping", body, NULL, LONG_MS, &answer, &err) < 0)
        fail_msg("%s: %s", error_code_name(err.code), err.message);
}

/* Friends, old and new, are served. */
static void all_is_well(struct scene *scene)
{
    ping(scene->old_friend);
    struct msg_client *fresh = dial(scene);
    ping(fresh);
    msg_client_close(fresh);
}

static int set_up(void **state)
{
    struct scene *scene = mem_new(struct scene);
    struct error err = ERROR_INIT;
    scene->port = free_port();
    scene->dir = test_dir_new();
    scene->dial_url = mem_printf("tls+tcp://localhost:%u", scene->port);
    test_authority("one", &scene->authority);
    test_tls_dir_fill(scene->dir, &scene->authority, "friend");
    AUTO_FREE char *url = mem_printf("tls+tcp://127.0.0.1:%u", scene->port);
    const struct socket_options options = { .url = url, .tls_dir = scene->dir };
    if (msg_server_start(&options, 2, handle, scene, &scene->server, &err) < 0)
        fail_msg("%s", err.message);
    scene->old_friend = dial(scene);
    ping(scene->old_friend);
    *state = scene;
    return 0;
}

static int tear_down(void **state)
{
    struct scene *scene = *state;
    msg_client_close(scene->old_friend);
    msg_server_stop(scene->server);
    test_dir_remove(scene->dir);
    key_pair_fini(&scene->authority);
    free(scene->dial_url);
    free(scene->dir);
    free(scene);
    return 0;
}

/* A REQ socket without our bounds and envelope. */
static nng_socket raw_peer(const struct scene *scene, bool with_certificate)
{
    AUTO(tls_files) struct tls_files files = { .key_pem = NULL };
    struct error err = ERROR_INIT;
    nng_tls_config *config = NULL;
    nng_socket raw;
    nng_dialer dialer;
    if (tls_files_read(scene->dir, true, &files, &err) < 0)
        fail_msg("%s", err.message);
    assert_int_equal(nng_req0_open(&raw), 0);
    assert_int_equal(nng_socket_set_ms(raw, NNG_OPT_RECVTIMEO, SHORT_MS), 0);
    assert_int_equal(nng_socket_set_ms(raw, NNG_OPT_SENDTIMEO, SHORT_MS), 0);
    assert_int_equal(nng_dialer_create(&dialer, raw, scene->dial_url), 0);
    assert_int_equal(nng_tls_config_alloc(&config, NNG_TLS_MODE_CLIENT), 0);
    assert_int_equal(nng_tls_config_ca_chain(config, files.authority_pem, NULL), 0);
    assert_int_equal(nng_tls_config_server_name(config, "localhost"), 0);
    if (with_certificate)
        assert_int_equal(
            nng_tls_config_own_cert(config, files.certificate_pem, files.key_pem, NULL), 0);
    assert_int_equal(nng_dialer_set_ptr(dialer, NNG_OPT_TLS_CONFIG, config), 0);
    nng_tls_config_free(config);
    (void)nng_dialer_start(dialer, 0); /* refused where it has no certificate */
    return raw;
}

static bool is_answered(nng_socket raw, const char *bytes, size_t count)
{
    nng_msg *request = NULL, *answer = NULL;
    assert_int_equal(nng_msg_alloc(&request, 0), 0);
    assert_int_equal(nng_msg_append(request, bytes, count), 0);
    if (nng_sendmsg(raw, request, 0) != 0) {
        nng_msg_free(request);
        return false;
    }
    if (nng_recvmsg(raw, &answer, 0) != 0)
        return false;
    nng_msg_free(answer);
    return true;
}

static void test_hostile_peer_without_a_certificate(void **state)
{
    struct scene *scene = *state;
    AUTO_FREE char *text = envelope_encode("Ping", "1", NULL, NULL);
    nng_socket known = raw_peer(scene, true);
    assert_true(is_answered(known, text, strlen(text)));
    nng_close(known);
    int before = atomic_load(&scene->requests);
    nng_socket unknown = raw_peer(scene, false);
    assert_false(is_answered(unknown, text, strlen(text)));
    assert_int_equal(atomic_load(&scene->requests), before);
    all_is_well(scene);
    nng_close(unknown);
}

/* The peer of test_hostile_oversized_messages, a process of its own: nng 1.5 sometimes never
 * returns from closing a socket whose messages the other side refuses. Exit status 0: nothing
 * answered it. */
static int oversized_peer(char *dial_url, char *dir)
{
    const struct scene scene = { .dial_url = dial_url, .dir = dir };
    AUTO_FREE char *text = mem_alloc(MESSAGE_BYTES_MAX * 2);
    memset(text, ' ', MESSAGE_BYTES_MAX * 2);
    nng_socket raw = raw_peer(&scene, true);
    bool answered = false;
    for (int i = 0; i < ROUNDS; i++)
        answered = is_answered(raw, text, MESSAGE_BYTES_MAX * 2) || answered;
    _exit(answered ? 1 : 0);
}

static void test_hostile_oversized_messages(void **state)
{
    struct scene *scene = *state;
    pid_t peer = fork();
    if (peer == 0) {
        execl("/proc/self/exe", "hostile_test", scene->dial_url, scene->dir, (char *)NULL);
        _exit(2);
    }
    int before = atomic_load(&scene->requests), status = 0, pings = 0;
    while (waitpid(peer, &status, WNOHANG) == 0) {
        ping(scene->old_friend);
        pings++;
    }
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
    assert_true(pings > 0);
    assert_int_equal(atomic_load(&scene->requests), before + pings);
    all_is_well(scene);
}

static void test_hostile_malformed_messages(void **state)
{
    static const char *const rows[] = { "", "garbage", "[[[[[[[[", "{\"v\":1,\"type\":7}",
                                        "{\"v\":1,\"type\":\"Ping\",\"body\":[]}" };
    struct scene *scene = *state;
    nng_socket raw = raw_peer(scene, true);
    int before = atomic_load(&scene->requests);
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        assert_true(is_answered(raw, rows[i], strlen(rows[i]))); /* with an error */
    assert_int_equal(atomic_load(&scene->requests), before);
    all_is_well(scene);
    nng_close(raw);
}

static void raise_descriptor_limit(void)
{
    struct rlimit limit;
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
    if (limit.rlim_max < 3 * CONNECTIONS)
        skip();
    limit.rlim_cur = limit.rlim_max;
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
}

/* Most say nothing, every third says something that is not TLS. */
static void test_hostile_connections_by_the_thousand(void **state)
{
    struct scene *scene = *state;
    struct sockaddr_in address = loopback(scene->port);
    int *idle = mem_calloc(CONNECTIONS, sizeof(*idle));
    raise_descriptor_limit();
    for (int i = 0; i < CONNECTIONS; i++) {
        idle[i] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        assert_int_equal(connect(idle[i], (struct sockaddr *)&address, sizeof(address)), 0);
        if (i % 3 == 0)
            (void)send(idle[i], "GET / HTTP/1.1\r\n\r\n", 18, MSG_NOSIGNAL);
        if (i % 400 == 0)
            ping(scene->old_friend);
    }
    all_is_well(scene);
    for (int i = 0; i < CONNECTIONS; i++)
        close(idle[i]);
    all_is_well(scene);
    free(idle);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(int argc, char **argv)
{
    if (argc == 3)
        return oversized_peer(argv[1], argv[2]);
    const struct CMUnitTest tests[] = {
        TEST(test_hostile_peer_without_a_certificate),
        TEST(test_hostile_oversized_messages),
        TEST(test_hostile_malformed_messages),
        TEST(test_hostile_connections_by_the_thousand),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
