#include "cli/why.h"

#include <errno.h>
#include <string.h>

#include "cli/cli.h"
#include "cli/kubectl.h"
#include "common/api/workspace.h"
#include "common/base/clock.h"
#include "common/causes/causes.h"
#include "common/json/build.h"
#include "common/json/json.h"

enum { INPUT_BYTES_MAX = 64 * 1024 * 1024, LOG_BYTES_MAX = 1024 * 1024, NODES_MAX = 32 };

static const char *name_of(const cJSON *object)
{
    return json_string_at(object, "metadata.name");
}

static bool is_kind(const cJSON *object, const char *kind)
{
    const char *actual = json_string_at(object, "kind");
    return actual != NULL && strcmp(actual, kind) == 0;
}

static const cJSON *find_object(const cJSON *objects, const char *kind, const char *name)
{
    const cJSON *object;
    cJSON_ArrayForEach(object, objects) {
        if (is_kind(object, kind) && name_of(object) != NULL && strcmp(name_of(object), name) == 0)
            return object;
    }
    return NULL;
}

/* ------------------------------------------------------------------ asking the cluster */

struct inquiry {
    const struct cli *cli;
    const char *name, *namespace_; /* of the Workspace; namespace NULL: the current one */
    cJSON *objects;
};

/* kubectl get WHAT... -o json, with the flags of the command line. */
static int get(const struct inquiry *inquiry, const char *const *what, struct error *err)
{
    const char *arguments[NODES_MAX + 16] = { "get" };
    size_t count = 1;
    while (*what != NULL)
        arguments[count++] = *what++;
    arguments[count++] = "--output=json";
    arguments[count++] = "--ignore-not-found";
    if (inquiry->namespace_ != NULL)
        arguments[count++] =
            arena_printf(inquiry->cli->arena, "--namespace=%s", inquiry->namespace_);
    if (inquiry->cli->flags.context != NULL)
        arguments[count] =
            arena_printf(inquiry->cli->arena, "--context=%s", inquiry->cli->flags.context);
    return kubectl_get(arguments, inquiry->objects, err);
}

#define GET(inquiry, err, ...) get((inquiry), (const char *const[]){ __VA_ARGS__, NULL }, (err))

/* What cannot be read narrows the answer and no more; kubectl has said why. */
static void get_if_possible(const struct inquiry *inquiry, const char *const *what)
{
    struct error ignored = ERROR_INIT;
    (void)get(inquiry, what, &ignored);
}

static void get_nodes(const struct inquiry *inquiry)
{
    const char *what[NODES_MAX + 2] = { "nodes" };
    size_t count = 1;
    const cJSON *object;
    cJSON_ArrayForEach(object, inquiry->objects) {
        const char *node = json_string_at(object, "status.nodeName");
        if (is_kind(object, "NodeClaim") && node != NULL && count <= NODES_MAX)
            what[count++] = node;
    }
    if (count > 1)
        get_if_possible(inquiry, what);
}

/* Those of the objects we have. */
static void get_events(const struct inquiry *inquiry)
{
    AUTO(json) cJSON *events = json_new_array();
    struct inquiry all = *inquiry;
    all.objects = events;
    get_if_possible(&all, (const char *const[]){ "events", NULL });
    const cJSON *event;
    cJSON_ArrayForEach(event, events) {
        const char *kind = json_string_at(event, "involvedObject.kind");
        const char *name = json_string_at(event, "involvedObject.name");
        if (kind != NULL && name != NULL && find_object(inquiry->objects, kind, name) != NULL)
            json_append(inquiry->objects, json_copy(event));
    }
}

static int ask_cluster(struct inquiry *inquiry, struct error *err)
{
    struct arena *arena = inquiry->cli->arena;
    if (GET(inquiry, err, arena_printf(arena, "workspaces.kaito.sh/%s", inquiry->name),
            arena_printf(arena, "statefulsets.apps/%s", inquiry->name),
            arena_printf(arena, "jobs.batch/%s", inquiry->name)) < 0)
        return -1;
    const cJSON *workspace = find_object(inquiry->objects, WORKSPACE_KIND, inquiry->name);
    if (workspace == NULL)
        return 0;
    const char *namespace_ = json_string_at(workspace, "metadata.namespace");
    inquiry->namespace_ = namespace_ != NULL ? arena_strdup(arena, namespace_) : "default";
    const char *label = arena_printf(arena, "--selector=" LABEL_WORKSPACE "=%s", inquiry->name);
    get_if_possible(inquiry, (const char *const[]){ "pods,persistentvolumeclaims", label, NULL });
    label = arena_printf(arena, "%s," LABEL_WORKSPACE_NAMESPACE "=%s", label, inquiry->namespace_);
    get_if_possible(inquiry, (const char *const[]){ "nodeclaims.karpenter.sh", label, NULL });
    get_nodes(inquiry);
    get_events(inquiry);
    return 0;
}

/* ------------------------------------------------------------------ logs */

/* The last words of a container that ends again and again, for the kubelet keeps only what it
 * wrote to its termination log. */
static void read_last_words(const struct inquiry *inquiry, const char *pod, cJSON *status)
{
    const char *container = json_string_at(status, "name");
    cJSON *terminated = json_member(json_member(status, "lastState"), "terminated");
    const char *previous = "--previous";
    if (terminated == NULL) {
        terminated = json_member(json_member(status, "state"), "terminated");
        previous = "--previous=false";
    }
    if (container == NULL || json_get(terminated, "message") != NULL ||
        json_integer_at(terminated, "exitCode", 0) == 0)
        return;
    const char *arguments[] = {
        "logs",
        pod,
        arena_printf(inquiry->cli->arena, "--container=%s", container),
        arena_printf(inquiry->cli->arena, "--namespace=%s", inquiry->namespace_),
        "--tail=50",
        previous,
        inquiry->cli->flags.context != NULL
            ? arena_printf(inquiry->cli->arena, "--context=%s", inquiry->cli->flags.context)
            : NULL,
        NULL,
    };
    AUTO(buf) struct buf text = BUF_INIT(LOG_BYTES_MAX);
    struct error ignored = ERROR_INIT;
    if (kubectl_run(arguments, &text, &ignored) == 0)
        json_set(terminated, "message", json_new_string(buf_text(&text)));
}

static void read_logs(const struct inquiry *inquiry)
{
    static const char *const lists[] = { "initContainerStatuses", "containerStatuses" };
    cJSON *pod;
    cJSON_ArrayForEach(pod, inquiry->objects) {
        for (size_t i = 0; is_kind(pod, "Pod") && i < ARRAY_LEN(lists); i++) {
            cJSON *status;
            cJSON_ArrayForEach(status, json_member(json_member(pod, "status"), lists[i]))
                read_last_words(inquiry, name_of(pod), status);
        }
    }
}

/* ------------------------------------------------------------------ files */

static int read_file(const struct cli *cli, const char *path, cJSON *objects, struct error *err)
{
    AUTO(buf) struct buf text = BUF_INIT(INPUT_BYTES_MAX);
    bool is_stream = strcmp(path, "-") == 0;
    FILE *in = is_stream ? cli->in : fopen(path, "re");
    if (in == NULL)
        return error_set(err, ERR_NOT_FOUND, "cannot open %s: %s", path, strerror(errno));
    int outcome = cli_read_stream(in, &text, err);
    if (!is_stream)
        fclose(in);
    cJSON *tree;
    if (outcome < 0 || json_parse(buf_text(&text), text.length, INPUT_BYTES_MAX, &tree, err) < 0)
        return error_wrap(err, "%s", path);
    objects_append(objects, tree);
    return 0;
}

int command_why(struct cli *cli, struct error *err)
{
    AUTO(json) cJSON *objects = json_new_array();
    struct inquiry inquiry = { .cli = cli,
                               .name = cli->flags.arguments.items[0],
                               .namespace_ = cli->flags.namespace_,
                               .objects = objects };
    bool offline = cli->flags.filenames.count > 0;
    for (size_t i = 0; i < cli->flags.filenames.count; i++) {
        if (read_file(cli, cli->flags.filenames.items[i], objects, err) < 0)
            return -1;
    }
    if (!offline && ask_cluster(&inquiry, err) < 0)
        return -1;
    const cJSON *workspace = find_object(objects, WORKSPACE_KIND, inquiry.name);
    if (workspace == NULL)
        return error_set(err, ERR_NOT_FOUND, "there is no Workspace \"%.100s\"%s%.100s",
                         inquiry.name, inquiry.namespace_ != NULL ? " in namespace " : "",
                         inquiry.namespace_ != NULL ? inquiry.namespace_ : "");
    if (!offline)
        read_logs(&inquiry);
    return why_report(workspace, objects, offline ? 0 : clock_realtime(clock_system()), cli->arena,
                      cli->out);
}
