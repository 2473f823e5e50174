#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "common/base/metrics.h"
#include "common/base/mutex.h"
#include "common/json/build.h"
#include "common/json/json.h"
#include "common/msg/socket.h"
#include "proto/messages.h"
#include "test/lib/literals.h"
#include "webhook/reconciler_client.h"
#include "webhook/workspace_validate.h"

#define CONFIG_URL    "inproc://reconciler-client-test-config"
#define REJECTION_URL "inproc://reconciler-client-test-rejection"

enum { WAIT_MS = 10 * 1000, TOO_LATE_MS = 4 * CONFIG_CHECK_TIMEOUT_MS };

/* A reconciler of which the answer is known, and what it was asked and told. */
struct peer {
    struct mutex mutex;
    struct cond changed;
    const char *answer; /* the findings; NULL: an error */
    bool late;          /* answers when nobody waits any more */
    char config_map[64];
    char kind[32];
    int questions;
    char rules[128];
    char user[32];
};

static cJSON *answer_question(void *context, const struct envelope *request,
                              const char **answer_type, struct error *err)
{
    struct peer *peer = context;
    mutex_lock(&peer->mutex);
    peer->questions++;
    snprintf(peer->config_map, sizeof(peer->config_map), "%s",
             json_string_at(request->body, "configMap"));
    snprintf(peer->kind, sizeof(peer->kind), "%s", json_string_at(request->body, "kind"));
    const char *answer = peer->answer;
    bool late = peer->late;
    mutex_unlock(&peer->mutex);
    if (late)
        usleep(TOO_LATE_MS * 1000);
    if (answer == NULL) {
        error_set(err, ERR_INTERNAL, "no informer yet");
        return NULL;
    }
    *answer_type = MESSAGE_CONFIG_FINDINGS;
    return json_literal(answer);
}

static void hear_rejection(void *context, const struct envelope *message)
{
    struct peer *peer = context;
    mutex_lock(&peer->mutex);
    snprintf(peer->rules, sizeof(peer->rules), "%s,%s", json_string_at(message->body, "rules[0]"),
             json_string_at(message->body, "rules[1]"));
    snprintf(peer->user, sizeof(peer->user), "%s", json_string_at(message->body, "user"));
    cond_broadcast(&peer->changed);
    mutex_unlock(&peer->mutex);
}

struct fixture {
    struct peer peer;
    struct clock_fake clock;
    struct msg_server *server;
    struct reconciler_client *client;
    struct admission_hooks hooks;
    struct arena arena;
    cJSON *object;
    struct admission_user user;
    struct admission_request request;
    struct validation validation;
};

static void reset_validation(struct fixture *fixture)
{
    fixture->validation = (struct validation){ .config = "my-config", .config_kind = "inference" };
    field_errors_init(&fixture->validation.errors, &fixture->arena);
    field_errors_init(&fixture->validation.warnings, &fixture->arena);
}

static void setup(struct fixture *fixture, const char *answer, bool serves)
{
    struct error err = ERROR_INIT;
    *fixture = (struct fixture){ .arena = ARENA_INIT, .peer = { .answer = answer } };
    mutex_init(&fixture->peer.mutex);
    cond_init(&fixture->peer.changed);
    clock_fake_init(&fixture->clock, 1000);
    if (serves && msg_server_start(&(struct socket_options){ .url = CONFIG_URL }, 1,
                                   answer_question, &fixture->peer, &fixture->server, &err) < 0)
        fail_msg("%s", err.message);
    const struct reconciler_client_options options = { .config_check_url = CONFIG_URL,
                                                       .rejection_url = REJECTION_URL,
                                                       .tls_dir = "",
                                                       .clock = &fixture->clock.clock };
    if (reconciler_client_open(&options, &fixture->client, &err) < 0)
        fail_msg("%s", err.message);
    fixture->hooks = reconciler_client_hooks(fixture->client);
    fixture->object = json_literal("{\"metadata\":{\"name\":\"w\"}}");
    fixture->user = (struct admission_user){ .username = "alice" };
    fixture->request = (struct admission_request){ .namespace_ = "default",
                                                   .operation = "CREATE",
                                                   .user_info = &fixture->user,
                                                   .object = fixture->object };
    reset_validation(fixture);
}

static void teardown(struct fixture *fixture)
{
    reconciler_client_close(fixture->client);
    msg_server_stop(fixture->server);
    json_free(fixture->object);
    arena_fini(&fixture->arena);
    cond_fini(&fixture->peer.changed);
    mutex_fini(&fixture->peer.mutex);
}

static void ask(struct fixture *fixture)
{
    fixture->hooks.check_config(fixture->hooks.context, &fixture->request, &fixture->validation);
}

static void test_reconciler_client_findings(void **state)
{
    (void)state;
    struct fixture fixture;
    setup(&fixture,
          "{\"findings\":[{\"path\":\"inference.config\",\"severity\":\"error\",\"value\":\"-1\","
          "\"detail\":\"negative\",\"fix\":\"write a positive number\",\"rule\":\"F5\"},"
          "{\"path\":\"inference.config\",\"severity\":\"warning\",\"detail\":\"unusual\"}]}",
          true);
    ask(&fixture);
    assert_string_equal(fixture.peer.config_map, "my-config");
    assert_string_equal(fixture.peer.kind, "inference");
    assert_int_equal(fixture.validation.errors.count, 1);
    assert_string_equal(field_errors_text(&fixture.validation.errors),
                        "inference.config: Invalid value: \"-1\": negative; write a positive "
                        "number");
    assert_string_equal(fixture.validation.errors.items[0].rule, "F5");
    assert_int_equal(fixture.validation.warnings.count, 1);
    assert_string_equal(fixture.validation.warnings.items[0].detail, "unusual");
    teardown(&fixture);
}

static void test_reconciler_client_no_findings(void **state)
{
    (void)state;
    struct fixture fixture;
    setup(&fixture, "{}", true);
    ask(&fixture);
    assert_int_equal(fixture.validation.errors.count, 0);
    assert_int_equal(fixture.validation.warnings.count, 0);
    teardown(&fixture);
}

static void test_reconciler_client_error_is_a_warning(void **state)
{
    (void)state;
    static const char *const answers[] = { NULL, "{\"findings\":5}" };
    for (size_t i = 0; i < ARRAY_LEN(answers); i++) {
        struct fixture fixture;
        setup(&fixture, answers[i], true);
        ask(&fixture);
        assert_int_equal(fixture.validation.errors.count, 0);
        assert_int_equal(fixture.validation.warnings.count, 1);
        assert_string_equal(fixture.validation.warnings.items[0].rule, "config/unchecked");
        teardown(&fixture);
    }
}

/* Its answer is a refusal; it comes too late to be one, and the next request does not wait. */
static void test_reconciler_client_late_answer_is_a_warning(void **state)
{
    (void)state;
    struct fixture fixture;
    setup(&fixture,
          "{\"findings\":[{\"path\":\"inference.config\",\"severity\":\"error\","
          "\"detail\":\"negative\"}]}",
          true);
    mutex_lock(&fixture.peer.mutex);
    fixture.peer.late = true;
    mutex_unlock(&fixture.peer.mutex);
    ask(&fixture);
    assert_int_equal(fixture.validation.errors.count, 0);
    assert_int_equal(fixture.validation.warnings.count, 1);
    assert_string_equal(fixture.validation.warnings.items[0].rule, "config/unchecked");
    reset_validation(&fixture);
    ask(&fixture);
    assert_int_equal(fixture.validation.warnings.count, 1);
    mutex_lock(&fixture.peer.mutex);
    int questions = fixture.peer.questions;
    mutex_unlock(&fixture.peer.mutex);
    assert_int_equal(questions, 1);
    teardown(&fixture);
}

static void test_reconciler_client_silence_is_not_waited_for_twice(void **state)
{
    (void)state;
    struct fixture fixture;
    setup(&fixture, "{}", false);
    ask(&fixture);
    assert_int_equal(fixture.validation.warnings.count, 1);

    /* Now there is somebody, but the next question is not due yet. */
    struct error err = ERROR_INIT;
    assert_int_equal(msg_server_start(&(struct socket_options){ .url = CONFIG_URL }, 1,
                                      answer_question, &fixture.peer, &fixture.server, &err),
                     0);
    reset_validation(&fixture);
    ask(&fixture);
    assert_int_equal(fixture.validation.warnings.count, 1);
    assert_int_equal(fixture.peer.questions, 0);

    bool answered = false;
    for (int attempt = 0; attempt < 50 && !answered; attempt++) { /* the dialer may still be away */
        fixture.clock.now_ms += 60 * 1000;
        reset_validation(&fixture);
        ask(&fixture);
        answered = fixture.validation.warnings.count == 0;
    }
    assert_true(answered);
    teardown(&fixture);
}

static void test_reconciler_client_reports_rejections(void **state)
{
    (void)state;
    struct fixture fixture;
    setup(&fixture, "{}", false);
    metrics_reset();
    struct msg_receiver *receiver = NULL;
    struct error err = ERROR_INIT;
    assert_int_equal(msg_pull(&(struct socket_options){ .url = REJECTION_URL }, hear_rejection,
                              &fixture.peer, &receiver, &err),
                     0);
    field_errors_add(&fixture.validation.errors,
                     &(struct field_error){ .path = "a", .detail = "x", .rule = "tuning/url" });
    field_errors_add(&fixture.validation.errors,
                     &(struct field_error){ .path = "b", .detail = "x", .rule = "tuning/url" });

    bool heard = false;
    int told = 0;
    mutex_lock(&fixture.peer.mutex);
    while (!heard && told < 100) {
        mutex_unlock(&fixture.peer.mutex);
        fixture.hooks.refused(fixture.hooks.context, &fixture.request, &fixture.validation.errors);
        told++;
        mutex_lock(&fixture.peer.mutex);
        (void)cond_wait_for(&fixture.peer.changed, &fixture.peer.mutex, WAIT_MS / 100);
        heard = fixture.peer.rules[0] != '\0';
    }
    mutex_unlock(&fixture.peer.mutex);
    msg_receiver_stop(receiver);
    assert_true(heard);
    assert_string_equal(fixture.peer.rules, "tuning/url,tuning/url");
    assert_string_equal(fixture.peer.user, "alice");
    const char *const labels[] = { "tuning/url", "default", NULL };
    assert_int_equal((int)metric_value(METRIC_REJECTIONS_TOTAL, labels), told);
    teardown(&fixture);
}

static void test_reconciler_client_without_urls(void **state)
{
    (void)state;
    struct reconciler_client *client = NULL;
    struct error err = ERROR_INIT;
    const struct reconciler_client_options options = {
        .config_check_url = "", .rejection_url = "", .tls_dir = "", .clock = clock_system()
    };
    assert_int_equal(reconciler_client_open(&options, &client, &err), 0);
    assert_null(reconciler_client_hooks(client).check_config);
    reconciler_client_close(client);
}

static void test_reconciler_client_bad_url(void **state)
{
    (void)state;
    struct reconciler_client *client = NULL;
    struct error err = ERROR_INIT;
    const struct reconciler_client_options options = {
        .config_check_url = "", .rejection_url = "nonsense", .tls_dir = "", .clock = clock_system()
    };
    assert_int_equal(reconciler_client_open(&options, &client, &err), -1);
    assert_null(client);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_reconciler_client_findings),
        cmocka_unit_test(test_reconciler_client_no_findings),
        cmocka_unit_test(test_reconciler_client_error_is_a_warning),
        cmocka_unit_test(test_reconciler_client_late_answer_is_a_warning),
        cmocka_unit_test(test_reconciler_client_silence_is_not_waited_for_twice),
        cmocka_unit_test(test_reconciler_client_reports_rejections),
        cmocka_unit_test(test_reconciler_client_without_urls),
        cmocka_unit_test(test_reconciler_client_bad_url),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
