#include "reconciler/certificate_keeper.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/digest.h"
#include "common/base/file.h"
#include "common/base/log.h"
#include "common/base/memory.h"
#include "common/base/metrics.h"
#include "common/base/mutex.h"
#include "common/json/build.h"
#include "common/json/json.h"
#include "reconciler/certificate_set.h"

#define SECRET_NAME "ckaito-certificates"

enum { AGREE_ATTEMPTS_MAX = 5, FILE_BYTES_MAX = 256 * 1024 };

static const struct {
    const char *secret;
    const char *folder;
} leaf_places[LEAF_COUNT] = {
    [LEAF_WEBHOOK] = { "ckaito-webhook-tls", "webhook" },
    [LEAF_BUS] = { "ckaito-bus-tls", "bus" },
};

struct pass {
    const struct certificate_keeper_options *options;
    struct k8s_client *client;
    int64_t now_ms;
};

/* ------------------------------------------------------------------ Secrets */

static struct object_key secret_key(const struct pass *pass, const char *name)
{
    return (struct object_key){ .namespace_ = pass->options->namespace_, .name = name };
}

/* *out is NULL when there is none. */
static int read_secret(const struct pass *pass, const char *name, const struct object **out,
                       struct error *err)
{
    *out = NULL;
    if (k8s_get(pass->client, &GVR_SECRET, secret_key(pass, name), out, err) < 0 &&
        err->code != ERR_NOT_FOUND)
        return error_wrap(err, "read Secret %s", name);
    return 0;
}

/* Creates, or changes what was read; `data` is consumed. */
static int write_secret(const struct pass *pass, const char *name, const char *type,
                        const struct object *read, cJSON *data, struct error *err)
{
    cJSON *metadata = JOBJ(JS("name", read == NULL ? name : NULL),
                           JS("namespace", read == NULL ? pass->options->namespace_ : NULL),
                           JS("resourceVersion", read != NULL ? read->resource_version : NULL));
    AUTO(json)
    cJSON *body = JOBJ(JS("apiVersion", read == NULL ? "v1" : NULL),
                       JS("kind", read == NULL ? "Secret" : NULL), JV("metadata", metadata),
                       JS("type", read == NULL ? type : NULL), JV("data", data));
    int result = read == NULL ? k8s_create(pass->client, &GVR_SECRET, body, NULL, err)
                              : k8s_merge_patch(pass->client, &GVR_SECRET, secret_key(pass, name),
                                                NULL, body, NULL, err);
    return result < 0 ? error_wrap(err, "write Secret %s", name) : 0;
}

/* Somebody else was quicker: look again. */
static bool lost_race(const struct error *err)
{
    return err->code == ERR_ALREADY_EXISTS || err->code == ERR_CONFLICT;
}

static int agree_once(const struct pass *pass, const struct certificate_hosts *hosts,
                      struct certificate_set *out, struct error *err)
{
    AUTO(object) const struct object *secret = NULL;
    if (read_secret(pass, SECRET_NAME, &secret, err) < 0)
        return -1;
    AUTO(certificate_set) struct certificate_set set = { 0 };
    if (secret != NULL)
        certificate_set_decode(json_get(secret->json, "data"), &set);
    int renewed = certificate_set_renew(&set, hosts, pass->now_ms, err);
    if (renewed < 0)
        return -1;
    if (renewed > 0) {
        if (write_secret(pass, SECRET_NAME, "Opaque", secret, certificate_set_encode(&set), err) <
            0)
            return -1;
        log_info("certificates", "renewed certificates", KV("secret", SECRET_NAME));
    }
    *out = set;
    set = (struct certificate_set){ 0 };
    return 0;
}

/* The set that all replicas use. */
static int agree(const struct pass *pass, struct certificate_set *out, struct error *err)
{
    AUTO(arena) struct arena arena = ARENA_INIT;
    struct certificate_hosts hosts;
    certificate_hosts_make(pass->options->namespace_, pass->options->webhook_service,
                           pass->options->webhook_hosts, &arena, &hosts);
    for (int attempt = 1;; attempt++) {
        if (agree_once(pass, &hosts, out, err) == 0)
            return 0;
        if (!lost_race(err) || attempt == AGREE_ATTEMPTS_MAX)
            return -1;
    }
}

static int keep_leaf_secret(const struct pass *pass, const struct certificate_set *set,
                            enum certificate_leaf leaf, struct error *err)
{
    AUTO(object) const struct object *secret = NULL;
    if (read_secret(pass, leaf_places[leaf].secret, &secret, err) < 0)
        return -1;
    AUTO(json) cJSON *data = certificate_leaf_data(set, leaf);
    if (secret != NULL && json_contains(json_get(secret->json, "data"), data))
        return 0;
    if (write_secret(pass, leaf_places[leaf].secret, "kubernetes.io/tls", secret, STEAL(data),
                     err) < 0)
        return lost_race(err) ? 0 : -1; /* the other replica writes the same */
    return 0;
}

/* ------------------------------------------------------------------ files */

static int keep_file(const char *folder, const char *name, mode_t mode, const char *text,
                     struct error *err)
{
    AUTO_FREE char *path = mem_printf("%s/%s", folder, name);
    AUTO(buf) struct buf old = BUF_INIT(FILE_BYTES_MAX);
    struct error unreadable = ERROR_INIT;
    if (file_read(path, &old, &unreadable) == 0 && strcmp(buf_text(&old), text) == 0)
        return 0;
    return file_write(path, mode, text, strlen(text), err);
}

static int keep_files(const struct pass *pass, const struct certificate_set *set,
                      enum certificate_leaf leaf, struct error *err)
{
    if (pass->options->directory == NULL || pass->options->directory[0] == '\0')
        return 0;
    AUTO_FREE char *folder =
        mem_printf("%s/%s", pass->options->directory, leaf_places[leaf].folder);
    AUTO_FREE char *bundle = certificate_set_bundle(set);
    if (file_make_directory(folder, 0755, err) < 0 ||
        keep_file(folder, "ca.crt", 0644, bundle, err) < 0 ||
        keep_file(folder, "tls.key", 0600, set->leaves[leaf].key_pem, err) < 0)
        return -1;
    return keep_file(folder, "tls.crt", 0644, set->leaves[leaf].certificate_pem, err);
}

/* ------------------------------------------------------------------ webhook configurations */

/* The list with the bundle in each webhook; NULL when it is there already. */
static cJSON *with_bundle(const cJSON *webhooks, const char *bundle)
{
    cJSON *list = json_new_array();
    bool differs = false;
    const cJSON *webhook;
    cJSON_ArrayForEach(webhook, webhooks) {
        const char *own = json_string_at(webhook, "clientConfig.caBundle");
        differs |= own == NULL || strcmp(own, bundle) != 0;
        cJSON *config = json_copy(json_get(webhook, "clientConfig"));
        if (config == NULL)
            config = json_new_object();
        json_set(config, "caBundle", json_new_string(bundle));
        cJSON *copy = json_copy(webhook);
        json_set(copy, "clientConfig", config);
        json_append(list, copy);
    }
    if (differs)
        return list;
    json_free(list);
    return NULL;
}

static int keep_configuration(const struct pass *pass, const struct gvr *gvr, const char *bundle,
                              struct error *err)
{
    struct object_key key = { .namespace_ = "", .name = pass->options->webhook_configuration };
    AUTO(object) const struct object *there = NULL;
    if (k8s_get(pass->client, gvr, key, &there, err) < 0)
        return err->code == ERR_NOT_FOUND ? CERTIFICATE_PASS_PARTIAL
                                          : error_wrap(err, "read %s", gvr->kind);
    cJSON *webhooks = with_bundle(json_get(there->json, "webhooks"), bundle);
    if (webhooks == NULL)
        return 0;
    AUTO(json)
    cJSON *patch = JOBJ(JV("metadata", JOBJ(JS("resourceVersion", there->resource_version))),
                        JV("webhooks", webhooks));
    if (k8s_merge_patch(pass->client, gvr, key, NULL, patch, NULL, err) < 0)
        return error_wrap(err, "write caBundle of %s", gvr->kind);
    log_info("certificates", "wrote caBundle", KV("kind", gvr->kind), KV("name", key.name));
    return 0;
}

static int keep_configurations(const struct pass *pass, const struct certificate_set *set,
                               struct error *err)
{
    if (pass->options->webhook_configuration == NULL ||
        pass->options->webhook_configuration[0] == '\0')
        return 0;
    AUTO_FREE char *pem = certificate_set_bundle(set);
    AUTO_FREE char *bundle = base64_encode(pem, strlen(pem));
    int mutating = keep_configuration(pass, &GVR_MUTATING_WEBHOOK, bundle, err);
    if (mutating < 0)
        return -1;
    int validating = keep_configuration(pass, &GVR_VALIDATING_WEBHOOK, bundle, err);
    return validating < 0 ? -1 : mutating | validating;
}

/* ------------------------------------------------------------------ pass */

static void show_expiry(const char *name, const char *certificate)
{
    struct certificate_info info;
    struct error err = ERROR_INIT;
    if (certificate_inspect(certificate, &info, &err) == 0)
        METRIC_SET(METRIC_CERTIFICATE_EXPIRY_SECONDS, (double)info.not_after_ms / 1000, name);
}

int certificate_pass(const struct certificate_keeper_options *options, struct k8s_client *client,
                     int64_t now_ms, struct error *err)
{
    const struct pass pass = { .options = options, .client = client, .now_ms = now_ms };
    AUTO(certificate_set) struct certificate_set set = { 0 };
    if (agree(&pass, &set, err) < 0)
        return -1;
    show_expiry("authority", set.authority.certificate_pem);
    for (enum certificate_leaf leaf = 0; leaf < LEAF_COUNT; leaf++) {
        show_expiry(leaf_places[leaf].folder, set.leaves[leaf].certificate_pem);
        if (keep_files(&pass, &set, leaf, err) < 0)
            return -1;
    }
    for (enum certificate_leaf leaf = 0; leaf < LEAF_COUNT; leaf++) {
        if (keep_leaf_secret(&pass, &set, leaf, err) < 0)
            return -1;
    }
    return keep_configurations(&pass, &set, err);
}

/* ------------------------------------------------------------------ thread */

struct certificate_keeper {
    const struct certificate_keeper_options *options;
    struct k8s_client *client;
    struct stop *stop;
    const struct clock *clock;
    pthread_t thread;
    struct mutex mutex;
    char problem[sizeof(((struct error *)0)->message)]; /* guarded by mutex; "" when in place */
};

static void set_problem(struct certificate_keeper *keeper, const char *problem)
{
    mutex_lock(&keeper->mutex);
    snprintf(keeper->problem, sizeof(keeper->problem), "%s", problem);
    mutex_unlock(&keeper->mutex);
}

static void *keep(void *argument)
{
    struct certificate_keeper *keeper = argument;
    int64_t pause_ms = 0;
    while (!stop_wait(keeper->stop, pause_ms)) {
        struct error err = ERROR_INIT;
        int result =
            certificate_pass(keeper->options, keeper->client, clock_realtime(keeper->clock), &err);
        set_problem(keeper, result < 0 ? err.message : "");
        if (result < 0 && err.code != ERR_CANCELLED)
            log_warn("certificates", "certificates are not in place", KVERR(&err));
        pause_ms = result == 0 ? CERTIFICATE_CHECK_MS : CERTIFICATE_RETRY_MS;
    }
    return NULL;
}

struct certificate_keeper *certificate_keeper_start(
    const struct certificate_keeper_options *options, struct k8s_client *client, struct stop *stop,
    const struct clock *clock)
{
    struct certificate_keeper *keeper = mem_new(struct certificate_keeper);
    keeper->options = options;
    keeper->client = client;
    keeper->stop = stop;
    keeper->clock = clock;
    mutex_init(&keeper->mutex);
    set_problem(keeper, "not looked at yet");
    if (pthread_create(&keeper->thread, NULL, keep, keeper) != 0)
        mem_exhausted();
    return keeper;
}

void certificate_keeper_probe(struct certificate_keeper *keeper, struct buf *reasons)
{
    char problem[sizeof(keeper->problem)];
    mutex_lock(&keeper->mutex);
    snprintf(problem, sizeof(problem), "%s", keeper->problem);
    mutex_unlock(&keeper->mutex);
    if (problem[0] != '\0')
        buf_printf(reasons, "certificates: %s\n", problem);
}

void certificate_keeper_free(struct certificate_keeper *keeper)
{
    if (keeper == NULL)
        return;
    pthread_join(keeper->thread, NULL);
    mutex_fini(&keeper->mutex);
    free(keeper);
}
