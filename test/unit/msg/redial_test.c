/* A peer that dies in the middle of the handshake, and then one that lives. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cmocka.h>

#include "common/base/memory.h"
#include "common/json/build.h"
#include "common/json/json.h"
#include "common/msg/socket.h"

enum { TRIES = 100, CALL_MS = 200 };

static cJSON *handle(void *context, const struct envelope *request, const char **answer_type,
                     struct error *err)
{
    (void)context;
    (void)err;
    *answer_type = "Pong";
    return json_copy(request->body);
}

static int listen_on(const char *path)
{
    struct sockaddr_un address = { .sun_family = AF_UNIX };
    snprintf(address.sun_path, sizeof(address.sun_path), "%s", path);
    int listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true(listener >= 0);
    unlink(path);
    assert_int_equal(bind(listener, (struct sockaddr *)&address, sizeof(address)), 0);
    assert_int_equal(listen(listener, 1), 0);
    return listener;
}

/* Takes one connection that carries nng's greeting, and hangs up without one of its own. */
static void die_in_the_handshake(int listener)
{
    struct timeval patience = { .tv_sec = 10 };
    setsockopt(listener, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
    int peer = accept(listener, NULL, NULL);
    assert_true(peer >= 0);
    close(peer);
}

static void test_msg_client_dials_again_after_a_broken_handshake(void **state)
{
    (void)state;
    char directory[] = "/tmp/ckaito-test-XXXXXX";
    assert_non_null(mkdtemp(directory));
    AUTO_FREE char *path = mem_printf("%s/socket", directory);
    AUTO_FREE char *url = mem_printf("ipc://%s", path);
    const struct socket_options options = { .url = url };
    struct error err = ERROR_INIT;

    int listener = listen_on(path);
    struct msg_client *client = NULL;
    assert_int_equal(msg_client_open(&options, &client, &err), 0);
    die_in_the_handshake(listener);
    close(listener);

    struct msg_server *server = NULL;
    assert_int_equal(msg_server_start(&options, 1, handle, NULL, &server, &err), 0);
    AUTO(json) cJSON *body = JOBJ(JI("n", 1));
    AUTO(envelope) struct envelope answer = { .tree = NULL };
    int result = -1;
    for (int i = 0; i < TRIES && result < 0; i++)
        result = msg_client_call(client, "Ping", body, NULL, CALL_MS, &answer, &err);
    if (result < 0)
        fail_msg("no answer after %d calls: %s", TRIES, err.message);

    msg_client_close(client);
    msg_server_stop(server);
    unlink(path);
    assert_int_equal(rmdir(directory), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_msg_client_dials_again_after_a_broken_handshake),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
