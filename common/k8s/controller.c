#include "common/k8s/controller.h"

#include <assert.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#include "common/base/clock.h"
#include "common/base/log.h"
#include "common/base/memory.h"
#include "common/base/metrics.h"

enum { THREAD_NAME_BYTES = 16 };

struct controller {
    const char *name;
    struct workqueue *queue;
    reconcile_function *reconcile;
    void *context;
    unsigned worker_count;
    pthread_t workers[];
};

static void log_failure(const char *name, const char *key, const struct error *err)
{
    /* A conflict is another writer's success, and nobody need look into our own end. */
    enum log_level level =
        err->code == ERR_CONFLICT || err->code == ERR_CANCELLED ? LOG_WARN : LOG_ERROR;
    LOG_AT(level, name, "reconcile failed", KV("controller", name), KV("key", key), KVERR(err));
}

/* What the outcome means for the key; returns the metric's word for it. */
static const char *settle(struct workqueue *queue, const char *key, int outcome,
                          const struct reconcile_result *result, const struct error *err)
{
    if (outcome == 0) {
        workqueue_forget(queue, key);
        if (result->requeue_after_ms <= 0)
            return "success";
        workqueue_add_after(queue, key, result->requeue_after_ms);
        return "requeue_after";
    }
    enum error_retry retry = error_retry_class(err->code);
    if (retry == ERR_RETRY_NEVER) {
        workqueue_forget(queue, key);
        return "terminal";
    }
    if (retry == ERR_RETRY_AFTER && err->retry_after_ms > 0)
        workqueue_add_after(queue, key, err->retry_after_ms);
    else
        workqueue_add_rate_limited(queue, key);
    return "error";
}

/* Takes the key. */
static void run(const char *name, struct workqueue *queue, reconcile_function *reconcile,
                void *context, char *key)
{
    const struct clock *clock = clock_system();
    struct reconcile_result result = { 0 };
    struct error err = ERROR_INIT;

    metric_add(METRIC_ACTIVE_WORKERS, 1, (const char *const[]){ name, NULL });
    int64_t begin_ms = clock_monotonic(clock);
    int outcome = reconcile(context, key, &result, &err);
    double seconds = (double)(clock_monotonic(clock) - begin_ms) / 1000;
    metric_add(METRIC_ACTIVE_WORKERS, -1, (const char *const[]){ name, NULL });

    if (outcome != 0)
        log_failure(name, key, &err);
    const char *word = settle(queue, key, outcome, &result, &err);
    METRIC_OBSERVE(METRIC_RECONCILE_SECONDS, seconds, name);
    METRIC_INC(METRIC_RECONCILE_TOTAL, name, word);
    workqueue_done(queue, key);
}

static void *work(void *argument)
{
    struct controller *controller = argument;
    char *key;
    while ((key = workqueue_get(controller->queue)) != NULL)
        run(controller->name, controller->queue, controller->reconcile, controller->context, key);
    return NULL;
}

struct controller *controller_start(const char *name, struct workqueue *queue, unsigned workers,
                                    reconcile_function *reconcile, void *context)
{
    struct controller *controller =
        mem_calloc(1, sizeof(*controller) + workers * sizeof(controller->workers[0]));
    controller->name = name;
    controller->queue = queue;
    controller->reconcile = reconcile;
    controller->context = context;
    controller->worker_count = workers;
    for (unsigned i = 0; i < workers; i++) {
        int result = pthread_create(&controller->workers[i], NULL, work, controller);
        assert(result == 0);
        (void)result;
        char thread[THREAD_NAME_BYTES];
        snprintf(thread, sizeof(thread), "%.12s-%u", name, i % 100);
        pthread_setname_np(controller->workers[i], thread);
    }
    return controller;
}

void controller_stop(struct controller *controller)
{
    if (controller == NULL)
        return;
    workqueue_shutdown(controller->queue);
    for (unsigned i = 0; i < controller->worker_count; i++)
        pthread_join(controller->workers[i], NULL);
    free(controller);
}

bool controller_run_one(const char *name, struct workqueue *queue, reconcile_function *reconcile,
                        void *context)
{
    char *key = workqueue_try_get(queue);
    if (key == NULL)
        return false;
    run(name, queue, reconcile, context, key);
    return true;
}
