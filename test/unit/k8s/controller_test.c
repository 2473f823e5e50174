#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "common/base/metrics.h"
#include "common/base/stop.h"
#include "common/k8s/controller.h"

struct fixture {
    struct clock_fake clock;
    struct workqueue *queue;
    enum error_code code; /* of the next outcome; NONE: success */
    int64_t retry_after_ms, requeue_after_ms;
    unsigned calls;
};

static int reconcile(void *context, const char *key, struct reconcile_result *result,
                     struct error *err)
{
    struct fixture *fixture = context;
    assert_string_equal(key, "x/a");
    fixture->calls++;
    result->requeue_after_ms = fixture->requeue_after_ms;
    if (fixture->code == ERR_NONE)
        return 0;
    error_set(err, fixture->code, "as the test wants it");
    err->retry_after_ms = fixture->retry_after_ms;
    return -1;
}

/* Reconciles log their errors; a test's output stays clean. */
static int silent;

static bool run_one(struct fixture *fixture)
{
    int saved = dup(STDERR_FILENO);
    dup2(silent, STDERR_FILENO);
    bool ran = controller_run_one("test", fixture->queue, reconcile, fixture);
    dup2(saved, STDERR_FILENO);
    close(saved);
    return ran;
}

static int set_up(void **state)
{
    static struct fixture fixture;
    metrics_reset();
    fixture = (struct fixture){ .code = ERR_NONE };
    clock_fake_init(&fixture.clock, 1000);
    fixture.queue = workqueue_new("test", &fixture.clock.clock);
    *state = &fixture;
    return 0;
}

static int tear_down(void **state)
{
    workqueue_free(((struct fixture *)*state)->queue);
    return 0;
}

static int results(const char *result)
{
    return (int)metric_value(METRIC_RECONCILE_TOTAL, (const char *const[]){ "test", result, NULL });
}

static void test_controller_nothing_due(void **state)
{
    assert_false(run_one(*state));
}

static void test_controller_results(void **state)
{
    struct fixture *fixture = *state;
    enum { NEVER = -1 };
    static const struct {
        enum error_code code;
        int64_t retry_after_ms, requeue_after_ms;
        int64_t comes_back_ms;
        const char *counted;
    } cases[] = {
        { ERR_NONE, 0, 0, NEVER, "success" },
        { ERR_NONE, 0, 250, 250, "requeue_after" },
        { ERR_UNAVAILABLE, 0, 0, WORKQUEUE_BACKOFF_BASE_MS, "error" },
        { ERR_UNAVAILABLE, 0, 250, WORKQUEUE_BACKOFF_BASE_MS, "error" },
        { ERR_CONFLICT, 0, 0, WORKQUEUE_BACKOFF_BASE_MS, "error" },
        { ERR_THROTTLED, 3000, 0, 3000, "error" },
        { ERR_THROTTLED, 0, 0, WORKQUEUE_BACKOFF_BASE_MS, "error" },
        { ERR_TERMINAL, 0, 0, NEVER, "terminal" },
        { ERR_INVALID, 0, 100, NEVER, "terminal" },
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        tear_down(state);
        set_up(state);
        fixture->code = cases[i].code;
        fixture->retry_after_ms = cases[i].retry_after_ms;
        fixture->requeue_after_ms = cases[i].requeue_after_ms;
        workqueue_add(fixture->queue, "x/a");
        assert_true(run_one(fixture));
        assert_int_equal(results(cases[i].counted), 1);
        if (cases[i].comes_back_ms == NEVER) {
            fixture->clock.now_ms += 24 * 3600 * 1000;
            assert_false(run_one(fixture));
            continue;
        }
        fixture->clock.now_ms += cases[i].comes_back_ms - 1;
        assert_false(run_one(fixture));
        fixture->clock.now_ms += 1;
        assert_true(run_one(fixture));
    }
}

static void test_controller_success_forgets_failures(void **state)
{
    struct fixture *fixture = *state;
    fixture->code = ERR_UNAVAILABLE;
    workqueue_add(fixture->queue, "x/a");
    for (unsigned i = 1; i <= 3; i++) {
        assert_true(run_one(fixture));
        assert_int_equal(workqueue_failures(fixture->queue, "x/a"), i);
        fixture->clock.now_ms += 60 * 1000;
    }
    fixture->code = ERR_NONE;
    assert_true(run_one(fixture));
    assert_int_equal(workqueue_failures(fixture->queue, "x/a"), 0);
}

/* The log line of one failed reconcile. */
static void log_line(struct fixture *fixture, enum error_code code, char *out, size_t size)
{
    int pipe_ends[2], saved = dup(STDERR_FILENO);
    assert_int_equal(pipe(pipe_ends), 0);
    dup2(pipe_ends[1], STDERR_FILENO);
    close(pipe_ends[1]);
    fixture->code = code;
    workqueue_add(fixture->queue, "x/a");
    controller_run_one("test", fixture->queue, reconcile, fixture);
    dup2(saved, STDERR_FILENO);
    close(saved);
    ssize_t count = read(pipe_ends[0], out, size - 1);
    out[count > 0 ? count : 0] = '\0';
    close(pipe_ends[0]);
}

static void test_controller_logs_an_error_once(void **state)
{
    static const struct {
        enum error_code code;
        const char *level;
    } cases[] = { { ERR_UNAVAILABLE, "\"level\":\"error\"" },
                  { ERR_TERMINAL, "\"level\":\"error\"" },
                  { ERR_CONFLICT, "\"level\":\"warn\"" },
                  { ERR_CANCELLED, "\"level\":\"warn\"" } };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        char line[1024];
        log_line(*state, cases[i].code, line, sizeof(line));
        assert_non_null(strstr(line, cases[i].level));
        assert_non_null(strstr(line, "\"key\":\"x/a\""));
        assert_ptr_equal(strchr(line, '\n'), line + strlen(line) - 1);
    }
}

static void test_controller_measures(void **state)
{
    struct fixture *fixture = *state;
    const char *const labels[] = { "test", NULL };
    workqueue_add(fixture->queue, "x/a");
    assert_true(run_one(fixture));
    assert_int_equal((int)metric_value(METRIC_RECONCILE_SECONDS, labels), 1);
    assert_int_equal((int)metric_value(METRIC_ACTIVE_WORKERS, labels), 0);
}

/* ------------------------------------------------------------------ threads */

struct crowd {
    atomic_int calls;
    struct stop all_done;
};

enum { CROWD_KEYS = 50 };

static int count_call(void *context, const char *key, struct reconcile_result *result,
                      struct error *err)
{
    struct crowd *crowd = context;
    (void)key;
    (void)result;
    (void)err;
    if (atomic_fetch_add(&crowd->calls, 1) + 1 == CROWD_KEYS)
        stop_raise(&crowd->all_done);
    return 0;
}

static void test_controller_workers(void **state)
{
    (void)state;
    struct crowd crowd = { .calls = 0 };
    struct workqueue *queue = workqueue_new("crowd", clock_system());
    stop_init(&crowd.all_done);
    struct controller *controller = controller_start("crowd", queue, 3, count_call, &crowd);
    for (int i = 0; i < CROWD_KEYS; i++) {
        char key[16];
        snprintf(key, sizeof(key), "x/%d", i);
        workqueue_add(queue, key);
    }
    assert_true(stop_wait(&crowd.all_done, -1));
    controller_stop(controller);
    workqueue_free(queue);
    stop_fini(&crowd.all_done);
    assert_int_equal(atomic_load(&crowd.calls), CROWD_KEYS);
}

#define WITH_FIXTURE(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
    int ends[2];
    if (pipe(ends) != 0)
        return 1;
    silent = ends[1];
    const struct CMUnitTest tests[] = {
        WITH_FIXTURE(test_controller_nothing_due),
        WITH_FIXTURE(test_controller_results),
        WITH_FIXTURE(test_controller_success_forgets_failures),
        WITH_FIXTURE(test_controller_logs_an_error_once),
        WITH_FIXTURE(test_controller_measures),
        cmocka_unit_test(test_controller_workers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
