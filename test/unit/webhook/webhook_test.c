#include <arpa/inet.h>
#include <netinet/in.h>
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
#include "common/base/metrics.h"
#include "common/json/json.h"
#include "test/lib/literals.h"
#include "test/lib/tls_dir.h"
#include "test/lib/web.h"
#include "webhook/admission.h"
#include "webhook/webhook.h"

enum { ANSWER_MAX = 1024 * 1024, POLL_MS = 20, POLLS_MAX = 1000 };

#define REVIEW                                                                                   \
    "{\"apiVersion\":\"admission.k8s.io/v1\",\"kind\":\"AdmissionReview\",\"request\":{\"uid\":" \
    "\"u-1\",\"kind\":{\"group\":\"kaito.sh\",\"version\":\"v1beta1\",\"kind\":\"Workspace\"},"  \
    "\"operation\":\"CREATE\",\"object\":{\"apiVersion\":\"kaito.sh/v1beta1\",\"kind\":"         \
    "\"Workspace\",\"metadata\":{\"name\":\"w\"},\"resource\":{\"instanceType\":"                \
    "\"Standard_NC24ads_A100_v4\",\"labelSelector\":{\"matchLabels\":{\"a\":\"b\"}}},"           \
    "\"inference\":{\"preset\":{\"name\":\"phi-4-mini-instruct\"}}}}}"

struct fixture {
    char *dir;
    char listen[32];
    uint16_t port;
    struct key_pair authority;
    struct stop stop;
    struct webhook_config config;
    struct webhook *webhook;
};

/* A port that nobody listens on at the moment; the socket is returned in *fd_out when wanted. */
static uint16_t free_port(int *fd_out)
{
    struct sockaddr_in address = { .sin_family = AF_INET,
                                   .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    socklen_t bytes = sizeof(address);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof(address)), 0);
    assert_int_equal(listen(fd, 1), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&address, &bytes), 0);
    if (fd_out != NULL)
        *fd_out = fd;
    else
        close(fd);
    return ntohs(address.sin_port);
}

static void setup(struct fixture *fixture, bool with_certificate)
{
    *fixture = (struct fixture){ .dir = test_dir_new(), .port = free_port(NULL) };
    snprintf(fixture->listen, sizeof(fixture->listen), "127.0.0.1:%u", fixture->port);
    stop_init(&fixture->stop);
    test_authority("webhook test", &fixture->authority);
    if (with_certificate)
        test_tls_dir_fill(fixture->dir, &fixture->authority, "localhost");
    fixture->config = (struct webhook_config){ .listen = fixture->listen,
                                               .tls_dir = fixture->dir,
                                               .cloud = "azure",
                                               .nodes_max = 8,
                                               .threads = 2,
                                               .config_check_url = "",
                                               .rejection_url = "",
                                               .bus_tls_dir = "" };
}

static int start(struct fixture *fixture, struct error *err)
{
    return webhook_start(&fixture->config, &fixture->stop, &fixture->webhook, err);
}

static void teardown(struct fixture *fixture)
{
    if (fixture->webhook != NULL)
        webhook_stop(fixture->webhook);
    stop_fini(&fixture->stop);
    key_pair_fini(&fixture->authority);
    test_dir_remove(fixture->dir);
    free(fixture->dir);
}

/* What keeps it from being ready; "" when nothing does. */
static const char *reasons(struct fixture *fixture)
{
    static char text[1024];
    AUTO(buf) struct buf out = BUF_INIT(sizeof(text));
    webhook_probe(fixture->webhook, &out);
    snprintf(text, sizeof(text), "%s", buf_text(&out));
    return text;
}

static int post(struct web *web, const char *path, const char *body, struct buf *answer)
{
    buf_reset(answer);
    return web_send(web,
                    &(struct web_request){
                        .method = "POST", .path = path, .body = body, .body_bytes = strlen(body) },
                    answer);
}

static cJSON *body_of(const struct buf *answer)
{
    const char *body = strstr(buf_text(answer), "\r\n\r\n");
    assert_non_null(body);
    return json_literal(body + 4);
}

static void test_webhook_answers(void **state)
{
    (void)state;
    struct fixture fixture;
    struct error err = ERROR_INIT;
    setup(&fixture, true);
    metrics_reset();
    if (start(&fixture, &err) < 0)
        fail_msg("%s", err.message);
    assert_string_equal(reasons(&fixture), "");

    AUTO(web) struct web *web = web_new(fixture.port, fixture.authority.certificate_pem);
    AUTO(buf) struct buf answer = BUF_INIT(ANSWER_MAX);
    assert_int_equal(post(web, "/validate", REVIEW, &answer), 200);
    AUTO(json) cJSON *validated = body_of(&answer);
    assert_true(json_bool_at(validated, "response.allowed", false));
    assert_non_null(json_string_at(validated, "response.warnings[0]"));

    assert_int_equal(post(web, "/mutate", REVIEW, &answer), 200);
    AUTO(json) cJSON *mutated = body_of(&answer);
    assert_string_equal(json_string_at(mutated, "response.patchType"), "JSONPatch");

    assert_int_equal(post(web, "/validate", "{}", &answer), 400);
    assert_non_null(strstr(buf_text(&answer), "expected an AdmissionReview"));

    const char *const labels[] = { "/validate", "400", NULL };
    assert_int_equal((int)metric_value(METRIC_WEBHOOK_REQUESTS_TOTAL, labels), 1);
    assert_int_equal(web_connections(web), 1);
    teardown(&fixture);
}

static void test_webhook_refuses_large_bodies(void **state)
{
    (void)state;
    struct fixture fixture;
    struct error err = ERROR_INIT;
    setup(&fixture, true);
    if (start(&fixture, &err) < 0)
        fail_msg("%s", err.message);
    size_t count = ADMISSION_BYTES_MAX + 1;
    AUTO_FREE char *body = mem_alloc(count + 1);
    memset(body, ' ', count);
    body[count] = '\0';
    AUTO(web) struct web *web = web_new(fixture.port, fixture.authority.certificate_pem);
    AUTO(buf) struct buf answer = BUF_INIT(ANSWER_MAX);
    assert_int_equal(post(web, "/validate", body, &answer), 413);
    teardown(&fixture);
}

static void test_webhook_waits_for_its_certificate(void **state)
{
    (void)state;
    struct fixture fixture;
    struct error err = ERROR_INIT;
    setup(&fixture, false);
    if (start(&fixture, &err) < 0)
        fail_msg("%s", err.message);
    assert_non_null(strstr(reasons(&fixture), "tls.crt"));

    test_tls_dir_fill(fixture.dir, &fixture.authority, "localhost");
    for (int i = 0; i < POLLS_MAX && *reasons(&fixture) != '\0'; i++)
        usleep(POLL_MS * 1000);
    assert_string_equal(reasons(&fixture), "");
    AUTO(web) struct web *web = web_new(fixture.port, fixture.authority.certificate_pem);
    AUTO(buf) struct buf answer = BUF_INIT(ANSWER_MAX);
    assert_int_equal(post(web, "/validate", REVIEW, &answer), 200);
    teardown(&fixture);
}

static void test_webhook_takes_a_new_certificate(void **state)
{
    (void)state;
    struct fixture fixture;
    struct error err = ERROR_INIT;
    setup(&fixture, true);
    if (start(&fixture, &err) < 0)
        fail_msg("%s", err.message);
    struct key_pair other = { .certificate_pem = NULL };
    test_authority("another authority", &other);
    test_tls_dir_fill(fixture.dir, &other, "localhost");

    AUTO(buf) struct buf answer = BUF_INIT(ANSWER_MAX);
    int status = -1;
    for (int i = 0; i < POLLS_MAX && status != 200; i++) {
        AUTO(web) struct web *web = web_new(fixture.port, other.certificate_pem);
        status = post(web, "/validate", REVIEW, &answer);
        if (status != 200)
            usleep(POLL_MS * 1000);
    }
    assert_int_equal(status, 200);
    key_pair_fini(&other);
    teardown(&fixture);
}

static void test_webhook_busy_port(void **state)
{
    (void)state;
    for (int with_certificate = 0; with_certificate <= 1; with_certificate++) {
        struct fixture fixture;
        struct error err = ERROR_INIT;
        int fd;
        setup(&fixture, with_certificate == 1);
        snprintf(fixture.listen, sizeof(fixture.listen), "127.0.0.1:%u", free_port(&fd));
        assert_int_equal(start(&fixture, &err), -1);
        assert_int_equal(err.code, ERR_UNAVAILABLE);
        assert_non_null(strstr(err.message, fixture.listen));
        close(fd);
        teardown(&fixture);
    }
}

static void test_webhook_bad_flags(void **state)
{
    (void)state;
    struct fixture fixture;
    struct error err = ERROR_INIT;
    setup(&fixture, true);
    fixture.config.rejection_url = "nonsense";
    assert_int_equal(start(&fixture, &err), -1);
    fixture.config.rejection_url = "";
    fixture.config.listen = "nowhere";
    assert_int_equal(start(&fixture, &err), -1);
    assert_non_null(strstr(err.message, "--listen"));
    teardown(&fixture);
}

static void test_webhook_is_not_ready_when_stopping(void **state)
{
    (void)state;
    struct fixture fixture;
    struct error err = ERROR_INIT;
    setup(&fixture, true);
    if (start(&fixture, &err) < 0)
        fail_msg("%s", err.message);
    stop_raise(&fixture.stop);
    assert_string_equal(reasons(&fixture), "webhook: stopping\n");
    teardown(&fixture);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_webhook_answers),
        cmocka_unit_test(test_webhook_refuses_large_bodies),
        cmocka_unit_test(test_webhook_waits_for_its_certificate),
        cmocka_unit_test(test_webhook_takes_a_new_certificate),
        cmocka_unit_test(test_webhook_busy_port),
        cmocka_unit_test(test_webhook_bad_flags),
        cmocka_unit_test(test_webhook_is_not_ready_when_stopping),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
