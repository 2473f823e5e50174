/* URLs, stale and busy addresses: what msg_server_start and msg_client_open say before any message.
 */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cmocka.h>

#include "common/base/memory.h"
#include "common/msg/socket.h"
#include "test/lib/tls_dir.h"

static cJSON *no_answer(void *context, const struct envelope *request, const char **answer_type,
                        struct error *err)
{
    (void)context, (void)request, (void)answer_type;
    error_set(err, ERR_INTERNAL, "not expected");
    return NULL;
}

static int serve(const char *url, const char *tls_dir, struct msg_server **out, struct error *err)
{
    struct socket_options options = { .url = url, .tls_dir = tls_dir };
    return msg_server_start(&options, 1, no_answer, NULL, out, err);
}

static int dial(const char *url, const char *tls_dir, struct msg_client **out, struct error *err)
{
    struct socket_options options = { .url = url, .tls_dir = tls_dir };
    return msg_client_open(&options, out, err);
}

static void test_endpoint_refuses_urls(void **state)
{
    (void)state;
    static const struct {
        const char *url, *tls_dir, *part;
    } rows[] = {
        { "tcp://127.0.0.1:7000", NULL, "plain TCP is refused" },
        { "http://localhost", NULL, "is no message URL" },
        { "", NULL, "is no message URL" },
        { "ipc://", NULL, "1 to 107 are possible" },
        { "ipc:///a-path-that-is-longer-than-a-socket-address-can-hold/"
          "a-path-that-is-longer-than-a-socket-address-can-hold/x",
          NULL, "the path has 108 bytes; 1 to 107 are possible" },
        { "tls+tcp://localhost:7000", NULL, "needs a folder with ca.crt, tls.crt and tls.key" },
        { "tls+tcp://localhost:7000", "", "needs a folder with ca.crt, tls.crt and tls.key" },
        { "tls+tcp://127.0.0.1:7000", "/nowhere", "write the peer's DNS name" },
        { "tls+tcp://[::1]:7000", "/nowhere", "write the peer's DNS name" },
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct msg_client *client = NULL;
        struct error err = ERROR_INIT;
        assert_int_equal(dial(rows[i].url, rows[i].tls_dir, &client, &err), -1);
        assert_int_equal(err.code, ERR_INVALID);
        assert_non_null(strstr(err.message, rows[i].url));
        assert_non_null(strstr(err.message, rows[i].part));
        assert_null(client);
    }
}

static void test_endpoint_ipc_makes_directory_and_protects_socket(void **state)
{
    (void)state;
    AUTO_FREE char *dir = test_dir_new();
    AUTO_FREE char *inner = test_file_path(dir, "inner");
    AUTO_FREE char *path = test_file_path(inner, "a.ipc");
    AUTO_FREE char *url = mem_printf("ipc://%s", path);
    struct msg_server *server = NULL;
    struct error err = ERROR_INIT;
    struct stat status;
    assert_int_equal(serve(url, NULL, &server, &err), 0);
    assert_int_equal(stat(path, &status), 0);
    assert_true(S_ISSOCK(status.st_mode));
    assert_int_equal(status.st_mode & 0777, 0600);
    msg_server_stop(server);
    assert_int_equal(access(path, F_OK), -1);
    assert_int_equal(rmdir(inner), 0);
    test_dir_remove(dir);
}

static void test_endpoint_ipc_takes_over_stale_socket(void **state)
{
    (void)state;
    AUTO_FREE char *dir = test_dir_new();
    AUTO_FREE char *path = test_file_path(dir, "a.ipc");
    AUTO_FREE char *url = mem_printf("ipc://%s", path);
    struct sockaddr_un address = { .sun_family = AF_UNIX };
    memcpy(address.sun_path, path, strlen(path) + 1);
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);
    assert_int_equal(bind(fd, (const struct sockaddr *)&address, sizeof(address)), 0);
    close(fd);

    struct msg_server *server = NULL;
    struct error err = ERROR_INIT;
    assert_int_equal(serve(url, NULL, &server, &err), 0);
    msg_server_stop(server);
    test_dir_remove(dir);
}

static void test_endpoint_ipc_refuses_second_listener(void **state)
{
    (void)state;
    AUTO_FREE char *dir = test_dir_new();
    AUTO_FREE char *path = test_file_path(dir, "a.ipc");
    AUTO_FREE char *url = mem_printf("ipc://%s", path);
    struct msg_server *server = NULL, *second = NULL;
    struct error err = ERROR_INIT;
    assert_int_equal(serve(url, NULL, &server, &err), 0);
    assert_int_equal(serve(url, NULL, &second, &err), -1);
    assert_int_equal(err.code, ERR_UNAVAILABLE);
    assert_non_null(strstr(err.message, "Address in use"));
    assert_int_equal(access(path, F_OK), 0); /* still the first one's */
    msg_server_stop(server);
    test_dir_remove(dir);
}

static void test_endpoint_tls_refuses_busy_port(void **state)
{
    (void)state;
    AUTO_FREE char *dir = test_dir_new();
    AUTO(key_pair) struct key_pair authority = { .key_pem = NULL };
    test_authority("test", &authority);
    test_tls_dir_fill(dir, &authority, "one");

    struct sockaddr_in address = { .sin_family = AF_INET, .sin_addr = { htonl(INADDR_LOOPBACK) } };
    socklen_t bytes = sizeof(address);
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    assert_int_equal(bind(fd, (const struct sockaddr *)&address, sizeof(address)), 0);
    assert_int_equal(listen(fd, 1), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&address, &bytes), 0);

    AUTO_FREE char *url = mem_printf("tls+tcp://127.0.0.1:%u", ntohs(address.sin_port));
    struct msg_server *server = NULL;
    struct error err = ERROR_INIT;
    assert_int_equal(serve(url, dir, &server, &err), -1);
    assert_int_equal(err.code, ERR_UNAVAILABLE);
    assert_non_null(strstr(err.message, url));
    close(fd);
    test_dir_remove(dir);
}

static void test_endpoint_tls_without_certificate_waits_and_says_so(void **state)
{
    (void)state;
    AUTO_FREE char *dir = test_dir_new();
    struct msg_server *server = NULL;
    struct error err = ERROR_INIT;
    AUTO(buf) struct buf reasons = BUF_INIT(1024);
    assert_int_equal(serve("tls+tcp://127.0.0.1:0", dir, &server, &err), 0);
    msg_server_probe(server, &reasons);
    AUTO_FREE char *expected = mem_printf(
        "tls+tcp://127.0.0.1:0: cannot read %s/tls.crt: No such file or directory\n", dir);
    assert_string_equal(buf_text(&reasons), expected);
    msg_server_stop(server);

    struct msg_client *client = NULL;
    struct envelope answer = { .tree = NULL };
    assert_int_equal(dial("tls+tcp://localhost:7000", dir, &client, &err), 0);
    assert_int_equal(msg_client_call(client, "Ping", NULL, NULL, 20, &answer, &err), -1);
    assert_int_equal(err.code, ERR_UNAVAILABLE);
    assert_non_null(strstr(err.message, "/tls.crt"));
    msg_client_close(client);
    test_dir_remove(dir);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_endpoint_refuses_urls),
        cmocka_unit_test(test_endpoint_ipc_makes_directory_and_protects_socket),
        cmocka_unit_test(test_endpoint_ipc_takes_over_stale_socket),
        cmocka_unit_test(test_endpoint_ipc_refuses_second_listener),
        cmocka_unit_test(test_endpoint_tls_refuses_busy_port),
        cmocka_unit_test(test_endpoint_tls_without_certificate_waits_and_says_so),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
