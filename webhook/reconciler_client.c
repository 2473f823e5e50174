#include "webhook/reconciler_client.h"

#include <stdlib.h>
#include <string.h>

#include "common/base/memory.h"
#include "common/base/metrics.h"
#include "common/json/json.h"
#include "common/msg/socket.h"
#include "proto/messages.h"
#include "webhook/workspace_validate.h"

/* While nobody answers, one request in this long waits for an answer; the others go on at once. */
enum { SILENCE_MS = 2000 };

struct reconciler_client {
    const struct clock *clock;
    struct msg_client *questions; /* NULL: none are asked */
    struct msg_sender *reports;   /* NULL: none are made */
    _Atomic int64_t ask_after_ms;
};

int reconciler_client_open(const struct reconciler_client_options *options,
                           struct reconciler_client **out, struct error *err)
{
    struct reconciler_client *client = mem_new(struct reconciler_client);
    struct socket_options questions = { options->config_check_url, options->tls_dir };
    struct socket_options reports = { options->rejection_url, options->tls_dir };
    client->clock = options->clock;
    atomic_init(&client->ask_after_ms, INT64_MIN);

    if ((*questions.url != '\0' && msg_client_open(&questions, &client->questions, err) < 0) ||
        (*reports.url != '\0' && msg_pusher_open(&reports, &client->reports, err) < 0)) {
        reconciler_client_close(client);
        return -1;
    }
    *out = client;
    return 0;
}

void reconciler_client_close(struct reconciler_client *client)
{
    if (client == NULL)
        return;
    if (client->questions != NULL)
        msg_client_close(client->questions);
    if (client->reports != NULL)
        msg_sender_close(client->reports);
    free(client);
}

/* ------------------------------------------------------------------ ConfigCheck */

static const char *config_path(const struct validation *validation)
{
    return strcmp(validation->config_kind, "inference") == 0 ? "inference.config" : "tuning.config";
}

static void add_finding(struct validation *validation, const struct config_finding *finding)
{
    bool refuses = strcmp(finding->severity, "error") == 0;
    field_errors_add(refuses ? &validation->errors : &validation->warnings,
                     &(struct field_error){ .path = finding->path,
                                            .kind = FIELD_INVALID,
                                            .value = finding->value,
                                            .detail = finding->detail,
                                            .fix = finding->fix,
                                            .rule = finding->rule });
}

static int ask(struct reconciler_client *client, const struct admission_request *request,
               struct validation *validation, struct error *err)
{
    struct arena *arena = validation->errors.arena;
    struct config_check question = { .namespace_ = request->namespace_,
                                     .config_map = validation->config,
                                     .kind = validation->config_kind,
                                     .workspace = request->object };
    AUTO(json) cJSON *body = codec_encode(config_check_type(), &question);
    AUTO(envelope) struct envelope answer = { .tree = NULL };
    struct config_findings findings;

    if (msg_client_call(client->questions, MESSAGE_CONFIG_CHECK, body, NULL,
                        CONFIG_CHECK_TIMEOUT_MS, &answer, err) < 0)
        return -1;
    if (strcmp(answer.type, MESSAGE_CONFIG_FINDINGS) != 0)
        return error_set(err, ERR_INVALID, "unexpected answer %.40s", answer.type);
    if (codec_decode_strict(config_findings_type(), answer.body, arena, &findings, err) < 0)
        return -1;
    for (size_t i = 0; i < findings.findings.count; i++)
        add_finding(validation, &findings.findings.items[i]);
    return 0;
}

static void check_config(void *context, const struct admission_request *request,
                         struct validation *validation)
{
    struct reconciler_client *client = context;
    struct error err = ERROR_INIT;
    int64_t now_ms = clock_monotonic(client->clock);

    if (now_ms >= atomic_load(&client->ask_after_ms)) {
        if (ask(client, request, validation, &err) == 0)
            return;
        if (err.code == ERR_TIMEOUT || err.code == ERR_UNAVAILABLE)
            atomic_store(&client->ask_after_ms, clock_monotonic(client->clock) + SILENCE_MS);
    }
    field_errors_add(&validation->warnings,
                     &(struct field_error){ .path = config_path(validation),
                                            .kind = FIELD_INVALID,
                                            .value = validation->config,
                                            .detail = "the content was not looked at, because the "
                                                      "reconciler did not answer",
                                            .fix = "it is checked before a node is bought; see "
                                                   "kubectl describe workspace",
                                            .rule = "config/unchecked" });
}

/* ------------------------------------------------------------------ Rejection */

static bool is_first_of(const struct field_errors *errors, size_t index)
{
    for (size_t i = 0; i < index; i++) {
        if (strcmp(errors->items[i].rule, errors->items[index].rule) == 0)
            return false;
    }
    return true;
}

/* Here and not where the report arrives, because a report may be lost. */
static void count_rules(const struct field_errors *errors, const char *namespace_)
{
    for (size_t i = 0; i < errors->count; i++) {
        const char *rule = errors->items[i].rule;
        if (is_first_of(errors, i))
            METRIC_INC(METRIC_REJECTIONS_TOTAL, *rule != '\0' ? rule : "decode",
                       namespace_ != NULL ? namespace_ : "");
    }
}

/* With generateName the name is not made yet; the prefix says which Workspaces are meant. */
static const char *name_of(const struct admission_request *request)
{
    if (request->name != NULL && *request->name != '\0')
        return request->name;
    const char *name = json_string_at(request->object, "metadata.name");
    return name != NULL ? name : json_string_at(request->object, "metadata.generateName");
}

static void refused(void *context, const struct admission_request *request,
                    const struct field_errors *errors)
{
    struct reconciler_client *client = context;
    count_rules(errors, request->namespace_);
    if (client->reports == NULL)
        return;
    const char *paths[FIELD_ERRORS_MAX], *rules[FIELD_ERRORS_MAX];
    for (size_t i = 0; i < errors->count; i++) {
        paths[i] = errors->items[i].path;
        rules[i] = errors->items[i].rule;
    }
    struct rejection rejection = {
        .namespace_ = request->namespace_,
        .name = name_of(request),
        .user = request->user_info != NULL ? request->user_info->username : NULL,
        .operation = request->operation,
        .paths = { .items = paths, .count = errors->count },
        .rules = { .items = rules, .count = errors->count },
        .message = field_errors_text(errors),
    };
    AUTO(json) cJSON *body = codec_encode(rejection_type(), &rejection);
    (void)msg_send(client->reports, MESSAGE_REJECTION, body, NULL); /* lost: one Event fewer */
}

struct admission_hooks reconciler_client_hooks(struct reconciler_client *client)
{
    return (struct admission_hooks){ .context = client,
                                     .check_config =
                                         client->questions != NULL ? check_config : NULL,
                                     .refused = refused };
}
