#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "common/base/metrics.h"

static int set_up(void **state)
{
    (void)state;
    metrics_reset();
    return 0;
}

static void expect_exposed(const char *expected)
{
    AUTO(buf) struct buf out = BUF_INIT(1024 * 1024);
    metrics_expose(&out);
    assert_string_equal(buf_text(&out), expected);
}

static void test_metrics_nothing_used_nothing_exposed(void **state)
{
    (void)state;
    expect_exposed("");
}

static void test_metrics_counter_and_gauge(void **state)
{
    (void)state;
    METRIC_INC(METRIC_WORKQUEUE_ADDS_TOTAL, "q");
    metric_add(METRIC_WORKQUEUE_ADDS_TOTAL, 2.5, (const char *const[]){ "q", NULL });
    METRIC_SET(METRIC_WORKQUEUE_DEPTH, 7, "q");
    METRIC_SET(METRIC_WORKQUEUE_DEPTH, 1, "q");
    METRIC_INC(METRIC_EVENTS_DROPPED_TOTAL);
    expect_exposed("# HELP workqueue_depth Keys waiting.\n"
                   "# TYPE workqueue_depth gauge\n"
                   "workqueue_depth{name=\"q\"} 1\n"
                   "# HELP workqueue_adds_total Keys added.\n"
                   "# TYPE workqueue_adds_total counter\n"
                   "workqueue_adds_total{name=\"q\"} 3.5\n"
                   "# HELP ckaito_events_dropped_total Events not recorded because the queue was "
                   "full.\n"
                   "# TYPE ckaito_events_dropped_total counter\n"
                   "ckaito_events_dropped_total 1\n");
}

static void test_metrics_series_are_sorted(void **state)
{
    (void)state;
    METRIC_INC(METRIC_RECONCILE_TOTAL, "w", "success");
    METRIC_INC(METRIC_RECONCILE_TOTAL, "n", "success");
    METRIC_INC(METRIC_RECONCILE_TOTAL, "w", "error");
    expect_exposed(
        "# HELP controller_runtime_reconcile_total Reconciles by result: success, error, "
        "requeue_after, terminal.\n"
        "# TYPE controller_runtime_reconcile_total counter\n"
        "controller_runtime_reconcile_total{controller=\"n\",result=\"success\"} 1\n"
        "controller_runtime_reconcile_total{controller=\"w\",result=\"error\"} 1\n"
        "controller_runtime_reconcile_total{controller=\"w\",result=\"success\"} 1\n");
}

static void test_metrics_labels_are_escaped(void **state)
{
    (void)state;
    AUTO(buf) struct buf out = BUF_INIT(4096);
    METRIC_SET(METRIC_WORKQUEUE_DEPTH, 1, "a\"b\\c\nd");
    metrics_expose(&out);
    assert_non_null(strstr(buf_text(&out), "{name=\"a\\\"b\\\\c\\nd\"} 1\n"));
}

static void test_metrics_histogram(void **state)
{
    (void)state;
    AUTO(buf) struct buf out = BUF_INIT(4096);
    static const double seconds[] = { 0.0005, 0.001, 0.0011, 0.3, 61 };
    for (size_t i = 0; i < 5; i++)
        METRIC_OBSERVE(METRIC_WEBHOOK_SECONDS, seconds[i], "mutate");
    metrics_expose(&out);
    static const char *const lines[] = { "_bucket{webhook=\"mutate\",le=\"0.001\"} 2\n",
                                         "_bucket{webhook=\"mutate\",le=\"0.0025\"} 3\n",
                                         "_bucket{webhook=\"mutate\",le=\"0.25\"} 3\n",
                                         "_bucket{webhook=\"mutate\",le=\"0.5\"} 4\n",
                                         "_bucket{webhook=\"mutate\",le=\"60\"} 4\n",
                                         "_bucket{webhook=\"mutate\",le=\"+Inf\"} 5\n",
                                         "_sum{webhook=\"mutate\"} 61.3026\n",
                                         "_count{webhook=\"mutate\"} 5\n" };
    for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++)
        assert_non_null(strstr(buf_text(&out), lines[i]));
}

static void test_metrics_value(void **state)
{
    (void)state;
    const char *const labels[] = { "q", NULL }, *const other[] = { "r", NULL };
    METRIC_SET(METRIC_WORKQUEUE_DEPTH, 7, "q");
    METRIC_OBSERVE(METRIC_WEBHOOK_SECONDS, 3, "q");
    assert_int_equal((int)metric_value(METRIC_WORKQUEUE_DEPTH, labels), 7);
    assert_int_equal((int)metric_value(METRIC_WORKQUEUE_DEPTH, other), 0);
    assert_int_equal((int)metric_value(METRIC_WEBHOOK_SECONDS, labels), 1); /* how many */
}

static void test_metrics_series_are_bounded(void **state)
{
    (void)state;
    for (int i = 0; i < METRIC_SERIES_MAX + 10; i++) {
        char name[16];
        snprintf(name, sizeof(name), "q%d", i);
        METRIC_INC(METRIC_WORKQUEUE_ADDS_TOTAL, name);
    }
    const char *const first[] = { "q0", NULL }, *const other[] = { "other", NULL };
    assert_int_equal((int)metric_value(METRIC_WORKQUEUE_ADDS_TOTAL, first), 1);
    assert_int_equal((int)metric_value(METRIC_WORKQUEUE_ADDS_TOTAL, other), 10);
}

static void test_metrics_document_has_every_row(void **state)
{
    (void)state;
    AUTO(buf) struct buf out = BUF_INIT(64 * 1024);
    size_t lines = 0;
    metrics_document(&out);
    for (const char *p = buf_text(&out); *p != '\0'; p++)
        lines += *p == '\n';
    assert_int_equal(lines, METRIC_COUNT + 2);
    assert_non_null(
        strstr(buf_text(&out), "| `workqueue_depth` | gauge | name | Keys waiting. |\n"));
}

static void *count_up(void *argument)
{
    (void)argument;
    for (int i = 0; i < 1000; i++) {
        METRIC_INC(METRIC_WORKQUEUE_ADDS_TOTAL, i % 2 == 0 ? "even" : "odd");
        METRIC_OBSERVE(METRIC_WEBHOOK_SECONDS, 0.1, "m");
    }
    return NULL;
}

static void test_metrics_are_thread_safe(void **state)
{
    (void)state;
    AUTO(buf) struct buf out = BUF_INIT(64 * 1024);
    pthread_t threads[3];
    for (size_t i = 0; i < 3; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, count_up, NULL), 0);
    metrics_expose(&out);
    for (size_t i = 0; i < 3; i++)
        pthread_join(threads[i], NULL);
    const char *const odd[] = { "odd", NULL };
    assert_int_equal((int)metric_value(METRIC_WORKQUEUE_ADDS_TOTAL, odd), 1500);
}

#define FRESH(test) cmocka_unit_test_setup(test, set_up)

int main(void)
{
    const struct CMUnitTest tests[] = {
        FRESH(test_metrics_nothing_used_nothing_exposed),
        FRESH(test_metrics_counter_and_gauge),
        FRESH(test_metrics_series_are_sorted),
        FRESH(test_metrics_labels_are_escaped),
        FRESH(test_metrics_histogram),
        FRESH(test_metrics_value),
        FRESH(test_metrics_series_are_bounded),
        FRESH(test_metrics_document_has_every_row),
        FRESH(test_metrics_are_thread_safe),
    };
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    metrics_reset();
    return failed;
}
