#include "webhook/webhook.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "common/base/clock.h"
#include "common/base/log.h"
#include "common/base/memory.h"
#include "common/base/metrics.h"
#include "common/base/mutex.h"
#include "common/base/tls_files.h"
#include "common/catalogue/source.h"
#include "common/http/server.h"
#include "webhook/admission.h"
#include "webhook/reconciler_client.h"

enum {
    CERTIFICATE_POLL_MS = 1000,
    CONNECTIONS_MAX = 16 * 1024,
    IDLE_TIMEOUT_S = 120,
    STOP_GRACE_MS = 5000,
    THREADS_MAX = 64,
    NODES_MAX_MAX = 1000,
    HTTP_BAD_REQUEST = 400,
    HTTP_TOO_LARGE = 413,
};

const struct config_option webhook_options[] = {
    CONFIG_TEXT(struct webhook_config, listen, "listen", "0.0.0.0:9443", "ADDRESS",
                "where the API server reaches the webhook"),
    CONFIG_TEXT(struct webhook_config, tls_dir, "tls-dir", "/etc/ckaito/tls", "DIR",
                "tls.crt and tls.key; waited for, and read again when they change"),
    CONFIG_CHOICE(struct webhook_config, cloud, "cloud", "azure", "azure|aws|arc",
                  "whose instance types and node classes are meant"),
    CONFIG_INTEGER(struct webhook_config, nodes_max, "max-nodes", "8", 1, NODES_MAX_MAX,
                   "a Workspace that needs more nodes than this and than its resource.count is "
                   "refused"),
    CONFIG_INTEGER(struct webhook_config, threads, "threads", "2", 1, THREADS_MAX,
                   "requests answered at a time"),
    CONFIG_TEXT(struct webhook_config, config_check_url, "config-check-url",
                "ipc:///run/ckaito/config-check.ipc", "URL",
                "where the reconciler judges ConfigMaps; empty: their content is not checked"),
    CONFIG_TEXT(struct webhook_config, rejection_url, "rejection-url",
                "ipc:///run/ckaito/rejection.ipc", "URL",
                "where the reconciler hears of refused Workspaces; empty: nowhere"),
    CONFIG_TEXT(struct webhook_config, bus_tls_dir, "bus-tls-dir", "", "DIR",
                "ca.crt, tls.crt and tls.key for tls+tcp:// URLs"),
    CONFIG_TEXT(struct webhook_config, catalogue_dir, "catalogue-dir", "", "DIR",
                "*.yaml files that add models and machines to the catalogue or change them; read "
                "again when they change"),
};
const size_t webhook_option_count = ARRAY_LEN(webhook_options);

struct webhook {
    const struct webhook_config *config;
    struct stop *stop;
    struct catalogue_source *catalogue;
    struct admission admission; /* its catalogue is taken for each request */
    struct reconciler_client *reconciler;
    struct http_route routes[2];
    struct stop ending; /* raised by webhook_stop: ends the keeper */
    pthread_t keeper;   /* starts the server when the certificate is there, then reloads it */
    struct http_server *server; /* the keeper's once it runs */

    struct mutex mutex;
    char reason[sizeof(((struct error *)NULL)->message)]; /* why not ready, "" when it is; mutex */
};

/* ------------------------------------------------------------------ requests */

/* The injected clock counts milliseconds, and an answer takes microseconds. */
static double monotonic_seconds(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

/* `answer` is consumed; NULL: `err` says why the request is none. */
static void finish(struct http_exchange *exchange, char *answer, const struct error *err,
                   double begin)
{
    if (answer != NULL) {
        buf_puts(&exchange->answer, answer);
        free(answer);
    } else {
        exchange->status = err->code == ERR_TOO_LARGE ? HTTP_TOO_LARGE : HTTP_BAD_REQUEST;
        exchange->answer_type = "text/plain; charset=utf-8";
        buf_printf(&exchange->answer, "%s\n", err->message);
    }
    char code[12];
    snprintf(code, sizeof(code), "%d", exchange->status);
    METRIC_INC(METRIC_WEBHOOK_REQUESTS_TOTAL, exchange->path, code);
    METRIC_OBSERVE(METRIC_WEBHOOK_SECONDS, monotonic_seconds() - begin, exchange->path);
}

static struct admission admission_with(const struct webhook *webhook,
                                       const struct catalogue *catalogue)
{
    struct admission admission = webhook->admission;
    admission.settings.catalogue = catalogue;
    return admission;
}

static void handle_mutate(void *context, struct http_exchange *exchange)
{
    const struct webhook *webhook = context;
    double begin = monotonic_seconds();
    struct error err = ERROR_INIT;
    char *answer = NULL;
    AUTO(catalogue)
    const struct catalogue *catalogue = catalogue_source_acquire(webhook->catalogue);
    struct admission admission = admission_with(webhook, catalogue);
    if (admission_mutate(&admission, exchange->body, exchange->body_bytes, &answer, &err) < 0)
        log_debug("webhook", "no review", KV("path", exchange->path), KVERR(&err));
    finish(exchange, answer, &err, begin);
}

static void handle_validate(void *context, struct http_exchange *exchange)
{
    const struct webhook *webhook = context;
    double begin = monotonic_seconds();
    struct error err = ERROR_INIT;
    char *answer = NULL;
    AUTO(catalogue)
    const struct catalogue *catalogue = catalogue_source_acquire(webhook->catalogue);
    struct admission admission = admission_with(webhook, catalogue);
    if (admission_validate(&admission, exchange->body, exchange->body_bytes, &answer, &err) < 0)
        log_debug("webhook", "no review", KV("path", exchange->path), KVERR(&err));
    finish(exchange, answer, &err, begin);
}

/* ------------------------------------------------------------------ certificate */

static void set_reason(struct webhook *webhook, const char *reason)
{
    mutex_lock(&webhook->mutex);
    bool changed = strcmp(webhook->reason, reason) != 0;
    snprintf(webhook->reason, sizeof(webhook->reason), "%s", reason);
    mutex_unlock(&webhook->mutex);
    if (changed && *reason != '\0')
        log_warn("webhook", "not answering yet", KV("reason", reason));
}

static int begin_to_listen(struct webhook *webhook, struct error *err)
{
    const struct http_server_options options = {
        .listen = webhook->config->listen,
        .flag = "--listen",
        .tls_dir = webhook->config->tls_dir,
        .routes = webhook->routes,
        .route_count = ARRAY_LEN(webhook->routes),
        .body_bytes_max = ADMISSION_BYTES_MAX,
        .threads = (unsigned)webhook->config->threads,
        .connections_max = CONNECTIONS_MAX,
        .idle_timeout_s = IDLE_TIMEOUT_S,
    };
    if (http_server_start(&options, &webhook->server, err) < 0)
        return -1;
    set_reason(webhook, "");
    log_info("webhook", "listening", KV("address", webhook->config->listen),
             KVI("port", http_server_port(webhook->server)));
    return 0;
}

static void reload(struct webhook *webhook, struct error *reported)
{
    struct error err = ERROR_INIT;
    int outcome = http_server_reload(webhook->server, &err);
    if (outcome > 0)
        log_info("webhook", "took the new certificate", KV("directory", webhook->config->tls_dir));
    if (outcome < 0 && strcmp(err.message, reported->message) != 0)
        log_warn("webhook", "kept the old certificate", KVERR(&err));
    *reported = err;
}

static void *keep(void *context)
{
    struct webhook *webhook = context;
    struct error reported = ERROR_INIT;

    while (!stop_wait(&webhook->ending, CERTIFICATE_POLL_MS)) {
        struct error err = ERROR_INIT;
        if (webhook->server != NULL)
            reload(webhook, &reported);
        else if (begin_to_listen(webhook, &err) < 0)
            set_reason(webhook, err.message);
    }
    return NULL;
}

/* 0 also while the certificate is not there. The address is tried before the certificate is read,
 * so that any other failure is one that waiting does not heal. */
static int listen_or_wait(struct webhook *webhook, struct error *err)
{
    AUTO(tls_files) struct tls_files files = { .certificate_pem = NULL };
    struct error missing = ERROR_INIT;
    if (begin_to_listen(webhook, err) == 0)
        return 0;
    if (tls_files_read(webhook->config->tls_dir, false, &files, &missing) == 0 ||
        strcmp(missing.message, err->message) != 0)
        return -1;
    set_reason(webhook, missing.message);
    return 0;
}

/* ------------------------------------------------------------------ life cycle */

static struct webhook *make(const struct webhook_config *config, struct stop *stop)
{
    struct webhook *webhook = mem_new(struct webhook);
    webhook->config = config;
    webhook->stop = stop;
    webhook->routes[0] = (struct http_route){ "POST", "/mutate", handle_mutate, webhook };
    webhook->routes[1] = (struct http_route){ "POST", "/validate", handle_validate, webhook };
    mutex_init(&webhook->mutex);
    stop_init(&webhook->ending);
    return webhook;
}

static void destroy(struct webhook *webhook)
{
    if (webhook->server != NULL)
        http_server_stop(webhook->server, STOP_GRACE_MS);
    reconciler_client_close(webhook->reconciler);
    catalogue_source_free(webhook->catalogue);
    stop_fini(&webhook->ending);
    mutex_fini(&webhook->mutex);
    free(webhook);
}

static int connect_reconciler(struct webhook *webhook, struct error *err)
{
    const struct webhook_config *config = webhook->config;
    const struct reconciler_client_options options = {
        .config_check_url = config->config_check_url,
        .rejection_url = config->rejection_url,
        .tls_dir = config->bus_tls_dir,
        .clock = clock_system(),
    };
    if (reconciler_client_open(&options, &webhook->reconciler, err) < 0)
        return -1;
    webhook->admission = (struct admission){
        .settings = { .cloud = config->cloud, .nodes_max = config->nodes_max },
        .hooks = reconciler_client_hooks(webhook->reconciler),
    };
    return 0;
}

int webhook_start(const struct webhook_config *config, struct stop *stop, struct webhook **out,
                  struct error *err)
{
    struct webhook *webhook = make(config, stop);
    webhook->catalogue = catalogue_source_new(config->catalogue_dir);
    catalogue_source_watch(webhook->catalogue);
    if (connect_reconciler(webhook, err) < 0 || listen_or_wait(webhook, err) < 0) {
        destroy(webhook);
        return -1;
    }
    if (pthread_create(&webhook->keeper, NULL, keep, webhook) != 0) {
        destroy(webhook);
        return error_set(err, ERR_INTERNAL, "webhook: no thread can be started");
    }
    pthread_setname_np(webhook->keeper, "webhook-keeper");
    *out = webhook;
    return 0;
}

void webhook_probe(struct webhook *webhook, struct buf *reasons)
{
    char reason[sizeof(webhook->reason)];
    mutex_lock(&webhook->mutex);
    memcpy(reason, webhook->reason, sizeof(reason));
    mutex_unlock(&webhook->mutex);
    if (*reason != '\0')
        buf_printf(reasons, "webhook: %s\n", reason);
    if (stop_raised(webhook->stop))
        buf_puts(reasons, "webhook: stopping\n");
}

void webhook_stop(struct webhook *webhook)
{
    stop_raise(&webhook->ending);
    pthread_join(webhook->keeper, NULL);
    destroy(webhook);
}
