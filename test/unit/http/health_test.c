#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "common/base/metrics.h"
#include "common/http/health.h"
#include "test/lib/web.h"

enum { ANSWER_MAX = 1024 * 1024 };

/* The reasons are the context. */
static void probe(void *context, struct buf *reasons)
{
    buf_puts(reasons, context);
}

static struct health_server *start(const char *reasons)
{
    static char text[128];
    struct health_server *health = NULL;
    struct error err = ERROR_INIT;
    snprintf(text, sizeof(text), "%s", reasons);
    if (health_server_start("127.0.0.1:0", probe, text, &health, &err) < 0)
        fail_msg("%s", err.message);
    return health;
}

static const char *body(const struct buf *answer)
{
    const char *end = strstr(buf_text(answer), "\r\n\r\n");
    assert_non_null(end);
    return end + 4;
}

static void test_health_ready(void **state)
{
    (void)state;
    struct health_server *health = start("");
    AUTO(web) struct web *web = web_new(health_server_port(health), NULL);
    AUTO(buf) struct buf answer = BUF_INIT(ANSWER_MAX);
    assert_int_equal(web_get(web, "/healthz", &answer), 200);
    assert_string_equal(body(&answer), "ok\n");
    assert_int_equal(web_get(web, "/readyz", &answer), 200);
    assert_string_equal(body(&answer), "ok\n");
    health_server_stop(health);
}

static void test_health_not_ready_says_why_and_is_alive(void **state)
{
    (void)state;
    struct health_server *health = start("informer nodes: not synced\ncertificate: missing\n");
    AUTO(web) struct web *web = web_new(health_server_port(health), NULL);
    AUTO(buf) struct buf answer = BUF_INIT(ANSWER_MAX);
    assert_int_equal(web_get(web, "/readyz", &answer), 503);
    assert_string_equal(body(&answer), "informer nodes: not synced\ncertificate: missing\n");
    assert_int_equal(web_get(web, "/healthz", &answer), 200);
    health_server_stop(health);
}

static void test_health_exposes_metrics(void **state)
{
    (void)state;
    struct health_server *health = start("");
    AUTO(web) struct web *web = web_new(health_server_port(health), NULL);
    AUTO(buf) struct buf answer = BUF_INIT(ANSWER_MAX);
    metrics_reset();
    METRIC_INC(METRIC_MESSAGES_TOTAL, "Ping", "ok");
    assert_int_equal(web_get(web, "/metrics", &answer), 200);
    assert_non_null(strstr(buf_text(&answer), "Content-Type: text/plain; version=0.0.4"));
    assert_non_null(
        strstr(body(&answer), "ckaito_messages_total{type=\"Ping\",outcome=\"ok\"} 1\n"));
    health_server_stop(health);
}

static void test_health_without_address_is_off(void **state)
{
    (void)state;
    static const char *const addresses[] = { NULL, "" };
    for (size_t i = 0; i < ARRAY_LEN(addresses); i++) {
        struct health_server *health = (struct health_server *)(uintptr_t)1;
        struct error err = ERROR_INIT;
        assert_int_equal(health_server_start(addresses[i], probe, NULL, &health, &err), 0);
        assert_null(health);
        health_server_stop(health);
    }
}

static void test_health_names_its_flag(void **state)
{
    (void)state;
    struct health_server *health = NULL;
    struct error err = ERROR_INIT;
    assert_int_equal(health_server_start("nonsense", probe, NULL, &health, &err), -1);
    assert_memory_equal(err.message, "--health-address: ", 18);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_health_ready),
        cmocka_unit_test(test_health_not_ready_says_why_and_is_alive),
        cmocka_unit_test(test_health_exposes_metrics),
        cmocka_unit_test(test_health_without_address_is_off),
        cmocka_unit_test(test_health_names_its_flag),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
