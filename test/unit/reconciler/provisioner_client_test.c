#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "common/base/stop.h"
#include "common/json/build.h"
#include "reconciler/provisioner_client.h"

enum { LONG_MS = 10000, SHORT_MS = 300, TRIES = 200 };

#define URL_A "inproc://provisioner-a"
#define URL_B "inproc://provisioner-b"

/* A replica: what it answers is set by the test. */
struct replica {
    enum error_code refusal; /* ERR_NONE: answers */
    bool silent;             /* until `go` */
    struct stop go;
    atomic_int requests;
    struct msg_server *server;
};

static cJSON *handle(void *context, const struct envelope *request, const char **answer_type,
                     struct error *err)
{
    (void)request;
    struct replica *replica = context;
    atomic_fetch_add(&replica->requests, 1);
    *answer_type = "Answer";
    if (replica->silent)
        stop_wait(&replica->go, LONG_MS);
    if (replica->refusal == ERR_NONE)
        return json_new_object();
    error_set(err, replica->refusal, "refused");
    return NULL;
}

static void open_replica(struct replica *replica, const char *url)
{
    const struct socket_options options = { .url = url };
    struct error err = ERROR_INIT;
    stop_init(&replica->go);
    if (msg_server_start(&options, 1, handle, replica, &replica->server, &err) < 0)
        fail_msg("%s", err.message);
}

static void close_replica(struct replica *replica)
{
    stop_raise(&replica->go);
    msg_server_stop(replica->server);
    stop_fini(&replica->go);
}

static struct provisioner_client *open_client(const char *urls)
{
    struct provisioner_client *client = NULL;
    struct error err = ERROR_INIT;
    if (provisioner_client_open(urls, NULL, &client, &err) < 0)
        fail_msg("%s", err.message);
    return client;
}

static int call(struct provisioner_client *client, int64_t timeout_ms, struct error *err)
{
    AUTO(envelope) struct envelope answer = { .tree = NULL };
    return provisioner_client_call(client, "Question", NULL, timeout_ms, &answer, err);
}

static void test_provisioner_client_refuses_urls(void **state)
{
    (void)state;
    static const char *const rows[] = { "", URL_A ",", URL_A ",tcp://b:1" };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct provisioner_client *client = NULL;
        struct error err = ERROR_INIT;
        assert_int_equal(provisioner_client_open(rows[i], NULL, &client, &err), -1);
        assert_int_equal(err.code, ERR_INVALID);
    }
}

static void test_provisioner_client_goes_where_somebody_is(void **state)
{
    (void)state;
    struct provisioner_client *client = open_client(URL_A "," URL_B);
    struct replica b = { .refusal = ERR_NONE };
    struct error err = ERROR_INIT;
    open_replica(&b, URL_B);
    int result = -1;
    for (int i = 0; i < TRIES && result < 0; i++)
        result = call(client, SHORT_MS, &err);
    assert_int_equal(result, 0);
    provisioner_client_close(client);
    close_replica(&b);
}

/* The first call may come before both connections are there. */
static void call_until_answered(struct provisioner_client *client)
{
    struct error err = ERROR_INIT;
    for (int i = 0; i < TRIES; i++) {
        if (call(client, SHORT_MS, &err) == 0)
            return;
    }
    fail_msg("%s", err.message);
}

static void test_provisioner_client_tries_the_next_and_stays_there(void **state)
{
    (void)state;
    static const struct {
        enum error_code refusal;
        bool silent;
    } rows[] = { { ERR_UNAVAILABLE, false }, { ERR_NONE, true } };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct replica a = { .refusal = rows[i].refusal, .silent = rows[i].silent };
        struct replica b = { .refusal = ERR_NONE };
        struct error err = ERROR_INIT;
        open_replica(&a, URL_A);
        open_replica(&b, URL_B);
        struct provisioner_client *client = open_client(URL_A "," URL_B);
        call_until_answered(client);
        int asked_a = atomic_load(&a.requests), asked_b = atomic_load(&b.requests);
        assert_int_equal(call(client, LONG_MS, &err), 0);
        assert_int_equal(atomic_load(&a.requests), asked_a);
        assert_int_equal(atomic_load(&b.requests), asked_b + 1);
        provisioner_client_close(client);
        close_replica(&a);
        close_replica(&b);
    }
}

static void test_provisioner_client_takes_a_refusal_for_an_answer(void **state)
{
    (void)state;
    struct replica a = { .refusal = ERR_CONFLICT };
    struct error err = ERROR_INIT;
    open_replica(&a, URL_A);
    struct provisioner_client *client = open_client(URL_A "," URL_B);
    assert_int_equal(call(client, LONG_MS, &err), -1);
    assert_int_equal(err.code, ERR_CONFLICT);
    provisioner_client_close(client);
    close_replica(&a);
}

static void test_provisioner_client_gives_up_within_the_deadline(void **state)
{
    (void)state;
    struct provisioner_client *client = open_client(URL_A "," URL_B);
    struct error err = ERROR_INIT;
    assert_int_equal(call(client, 2, &err), -1);
    assert_int_equal(err.code, ERR_TIMEOUT);
    provisioner_client_abort(client);
    assert_int_equal(call(client, LONG_MS, &err), -1);
    assert_int_equal(err.code, ERR_CANCELLED);
    provisioner_client_close(client);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_provisioner_client_refuses_urls),
        cmocka_unit_test(test_provisioner_client_goes_where_somebody_is),
        cmocka_unit_test(test_provisioner_client_tries_the_next_and_stays_there),
        cmocka_unit_test(test_provisioner_client_takes_a_refusal_for_an_answer),
        cmocka_unit_test(test_provisioner_client_gives_up_within_the_deadline),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
