#include "reconciler/inbox.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/log.h"
#include "common/base/memory.h"
#include "common/base/metrics.h"
#include "common/json/json.h"
#include "common/msg/url_list.h"
#include "common/plan/config_check.h"

enum { CONFIG_CHECK_THREADS = 2, EVENT_MESSAGE_BYTES_MAX = 1000 };

struct inbox {
    struct workspace_controller *controller;
    struct state_follower followers[URL_LIST_MAX]; /* each of its subscription's thread */
    struct msg_receiver *states[URL_LIST_MAX];
    size_t state_count;
    struct msg_receiver *rejections;
    struct msg_server *checks;
};

static void count(const char *type, const char *outcome)
{
    METRIC_INC(METRIC_MESSAGES_TOTAL, type, outcome);
}

/* ------------------------------------------------------------------ NodeState */

/* True when no message of this publisher was missed. A publisher seen for the first time may have
 * said something before we listened. */
static bool follows(struct state_follower *follower, const struct node_state *state)
{
    const char *name = state->publisher != NULL ? state->publisher : "";
    int64_t sequence = state->sequence.value;
    for (size_t i = 0; i < ARRAY_LEN(follower->publishers); i++) {
        struct publisher *known = &follower->publishers[i];
        if (strcmp(known->name, name) != 0)
            continue;
        bool gapless = sequence == known->sequence + 1;
        known->sequence = sequence;
        return gapless;
    }
    struct publisher *slot = &follower->publishers[follower->next];
    follower->next = (follower->next + 1) % ARRAY_LEN(follower->publishers);
    snprintf(slot->name, sizeof(slot->name), "%s", name);
    slot->sequence = sequence;
    return false;
}

void inbox_node_state(void *context, const struct envelope *message)
{
    struct state_follower *follower = context;
    AUTO(arena) struct arena arena = ARENA_INIT;
    struct node_state state = { 0 };
    struct error err = ERROR_INIT;

    if (strcmp(message->type, MESSAGE_NODE_STATE) != 0 ||
        codec_decode_strict(node_state_type(), message->body, &arena, &state, &err) < 0) {
        count(MESSAGE_NODE_STATE, "invalid");
        return;
    }
    count(MESSAGE_NODE_STATE, "ok");
    workspace_enqueue(follower->controller,
                      (struct object_key){ .namespace_ = state.namespace_, .name = state.name });
    if (!follows(follower, &state))
        workspace_enqueue_restless(follower->controller);
}

/* ------------------------------------------------------------------ ConfigCheck */

static const struct model *model_of(const struct catalogue *catalogue, const struct workspace *ws)
{
    const struct preset *preset = NULL;
    if (ws->inference != NULL)
        preset = ws->inference->preset;
    else if (ws->tuning != NULL)
        preset = ws->tuning->preset;
    return preset != NULL && preset->name != NULL ? catalogue_model(catalogue, preset->name) : NULL;
}

/* A ConfigMap that could not be had. */
static struct config_findings missing_config(enum config_use use, const char *name,
                                             struct arena *arena)
{
    struct config_findings findings = {
        .findings = { .items = arena_new(arena, struct config_finding), .count = 1 }
    };
    findings.findings.items[0] = (struct config_finding){
        .path = config_path(use),
        .severity = "warning",
        .value = name,
        .detail = arena_printf(
            arena, "ConfigMap %s does not exist; nothing is started until it is there", name),
        .fix = "create the ConfigMap in the namespace of the Workspace",
        .rule = use == CONFIG_FOR_INFERENCE ? "F1" : "T10",
    };
    return findings;
}

static struct config_findings findings_of(const struct field_errors *problems, struct arena *arena)
{
    struct config_findings findings = {
        .findings = { .items = arena_array(arena, struct config_finding, problems->count),
                      .count = problems->count }
    };
    for (size_t i = 0; i < problems->count; i++) {
        const struct field_error *problem = &problems->items[i];
        findings.findings.items[i] = (struct config_finding){
            .path = problem->path,
            .severity = "error",
            .value = problem->value,
            .detail = problem->detail,
            .fix = problem->fix,
            .rule = problem->rule,
        };
    }
    return findings;
}

static int check_config(const struct workspace_controller *controller,
                        const struct config_check *question, struct arena *arena,
                        struct config_findings *out, struct error *err)
{
    enum config_use use =
        strcmp(question->kind, "tuning") == 0 ? CONFIG_FOR_TUNING : CONFIG_FOR_INFERENCE;
    struct object_key key = { .namespace_ = question->namespace_, .name = question->config_map };
    char buffer[OBJECT_KEY_BYTES];
    const char *name = arena_strdup(arena, object_key_format(key, buffer));
    AUTO(object) const struct object *config_map = NULL;
    if (k8s_get(controller->observer.client, &GVR_CONFIGMAP, key, &config_map, err) < 0) {
        if (err->code != ERR_NOT_FOUND)
            return -1;
        *out = missing_config(use, name, arena);
        return 0;
    }
    struct workspace ws = { 0 };
    struct field_errors *ignored = arena_new(arena, struct field_errors); /* admission's business */
    field_errors_init(ignored, arena);
    if (question->workspace != NULL)
        (void)workspace_decode(question->workspace, arena, &ws, ignored);
    AUTO(catalogue)
    const struct catalogue *catalogue = catalogue_source_acquire(controller->catalogue);
    struct config_reading reading;
    config_check(use, json_get(config_map->json, "data"), name, &ws, model_of(catalogue, &ws),
                 arena, &reading);
    *out = findings_of(&reading.problems, arena);
    return 0;
}

cJSON *inbox_config_check(void *context, const struct envelope *request, const char **answer_type,
                          struct error *err)
{
    const struct workspace_controller *controller = context;
    AUTO(arena) struct arena arena = ARENA_INIT;
    struct config_check question = { 0 };
    struct config_findings findings = { 0 };

    if (strcmp(request->type, MESSAGE_CONFIG_CHECK) != 0) {
        count(MESSAGE_CONFIG_CHECK, "invalid");
        (void)error_set(err, ERR_INVALID, "unknown message type %s", request->type);
        return NULL;
    }
    if (codec_decode_strict(config_check_type(), request->body, &arena, &question, err) < 0) {
        count(MESSAGE_CONFIG_CHECK, "invalid");
        return NULL;
    }
    if (check_config(controller, &question, &arena, &findings, err) < 0) {
        count(MESSAGE_CONFIG_CHECK, "error");
        return NULL;
    }
    count(MESSAGE_CONFIG_CHECK, "ok");
    *answer_type = MESSAGE_CONFIG_FINDINGS;
    return codec_encode(config_findings_type(), &findings);
}

/* ------------------------------------------------------------------ Rejection */

static void tell_rejection(const struct workspace_controller *controller,
                           const struct rejection *rejection, struct arena *arena)
{
    if (rejection->namespace_ == NULL || rejection->namespace_[0] == '\0')
        return;
    bool named = rejection->name != NULL && rejection->name[0] != '\0';
    const struct event_target workspace = { .api_version = WORKSPACE_API_VERSION,
                                            .kind = WORKSPACE_KIND,
                                            .namespace_ = rejection->namespace_,
                                            .name = rejection->name,
                                            .uid = "" };
    const struct event_target namespace = { .api_version = "v1",
                                            .kind = "Namespace",
                                            .namespace_ = "",
                                            .name = rejection->namespace_,
                                            .uid = "" };
    const char *text = arena_printf(arena, "%s of Workspace %s by %s was refused: %s",
                                    rejection->operation != NULL ? rejection->operation : "write",
                                    named ? rejection->name : "without a name",
                                    rejection->user != NULL ? rejection->user : "somebody",
                                    rejection->message != NULL ? rejection->message : "");
    event_record(controller->actor.events, named ? &workspace : &namespace, EVENT_WARNING,
                 "Rejected", arena_strndup(arena, text, EVENT_MESSAGE_BYTES_MAX));
}

void inbox_rejection(void *context, const struct envelope *message)
{
    const struct workspace_controller *controller = context;
    AUTO(arena) struct arena arena = ARENA_INIT;
    struct rejection rejection = { 0 };
    struct error err = ERROR_INIT;

    if (strcmp(message->type, MESSAGE_REJECTION) != 0 ||
        codec_decode_strict(rejection_type(), message->body, &arena, &rejection, &err) < 0) {
        count(MESSAGE_REJECTION, "invalid");
        return;
    }
    count(MESSAGE_REJECTION, "ok");
    tell_rejection(controller, &rejection, &arena);
}

/* ------------------------------------------------------------------ life */

static bool is_set(const char *url)
{
    return url != NULL && url[0] != '\0';
}

static int subscribe(const struct inbox_options *options, struct inbox *inbox, struct error *err)
{
    AUTO(url_list) struct url_list urls = { .count = 0 };
    if (url_list_parse(options->state_url != NULL ? options->state_url : "", &urls, err) < 0)
        return error_wrap(err, "--state-url");
    for (size_t i = 0; i < urls.count; i++) {
        const struct socket_options states = { .url = urls.items[i], .tls_dir = options->tls_dir };
        inbox->followers[i].controller = inbox->controller;
        if (msg_subscribe(&states, inbox_node_state, &inbox->followers[i], &inbox->states[i], err) <
            0)
            return error_wrap(err, "--state-url");
        inbox->state_count++;
    }
    return 0;
}

static int listen_on(const struct inbox_options *options, struct inbox *inbox, struct error *err)
{
    struct workspace_controller *controller = inbox->controller;
    const struct socket_options checks = { .url = options->config_check_url,
                                           .tls_dir = options->tls_dir };
    const struct socket_options rejections = { .url = options->rejection_url,
                                               .tls_dir = options->tls_dir };
    if (subscribe(options, inbox, err) < 0)
        return -1;
    if (is_set(checks.url) && msg_server_start(&checks, CONFIG_CHECK_THREADS, inbox_config_check,
                                               controller, &inbox->checks, err) < 0)
        return -1;
    if (is_set(rejections.url) &&
        msg_pull(&rejections, inbox_rejection, controller, &inbox->rejections, err) < 0)
        return -1;
    return 0;
}

int inbox_open(const struct inbox_options *options, struct workspace_controller *controller,
               struct inbox **out, struct error *err)
{
    struct inbox *inbox = mem_new(struct inbox);
    inbox->controller = controller;
    if (listen_on(options, inbox, err) < 0) {
        inbox_close(inbox);
        return -1;
    }
    *out = inbox;
    return 0;
}

void inbox_probe(struct inbox *inbox, struct buf *reasons)
{
    for (size_t i = 0; i < inbox->state_count; i++)
        msg_receiver_probe(inbox->states[i], reasons);
    if (inbox->rejections != NULL)
        msg_receiver_probe(inbox->rejections, reasons);
    if (inbox->checks != NULL)
        msg_server_probe(inbox->checks, reasons);
}

void inbox_close(struct inbox *inbox)
{
    if (inbox == NULL)
        return;
    for (size_t i = 0; i < inbox->state_count; i++)
        msg_receiver_stop(inbox->states[i]);
    msg_receiver_stop(inbox->rejections);
    msg_server_stop(inbox->checks);
    free(inbox);
}
