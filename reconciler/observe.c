#include "reconciler/observe.h"

#include <ctype.h>
#include <string.h>
#include <strings.h>

#include "common/json/build.h"
#include "common/json/json.h"
#include "reconciler/inference_manifest.h"
#include "reconciler/tuning_manifest.h"

static const struct gvr storage_class = {
    .group = "storage.k8s.io", .version = "v1", .resource = "storageclasses", .kind = "StorageClass"
};

static const char *index_by_label(const struct object *object, const char *label,
                                  char out[OBJECT_KEY_BYTES])
{
    const char *name = object_label(object, label);
    if (name == NULL)
        return NULL;
    return object_key_format(
        (struct object_key){ .namespace_ = object->key.namespace_, .name = name }, out);
}

const char *revision_index_workspace(const struct object *object, char out[OBJECT_KEY_BYTES])
{
    return index_by_label(object, LABEL_REVISION_NAME, out);
}

const char *pod_index_workspace(const struct object *object, char out[OBJECT_KEY_BYTES])
{
    return index_by_label(object, LABEL_WORKSPACE, out);
}

bool snapshot_owns(const struct snapshot *snapshot, const struct object *object)
{
    const char *uid = json_string_at(object_controller(object), "uid");
    return uid != NULL && strcmp(uid, snapshot->workspace->uid) == 0;
}

void snapshot_fini(struct snapshot *snapshot)
{
    object_unref(snapshot->workspace);
    object_unref(snapshot->stateful_set);
    object_unref(snapshot->job);
    object_unref(snapshot->service);
    object_unref(snapshot->headless);
    object_list_fini(&snapshot->revisions);
    object_list_fini(&snapshot->pods);
    envelope_fini(&snapshot->answer);
}

/* ------------------------------------------------------------------ shape */

/* Validation says all of this to the author; here it keeps us from reading what is not there. */
static const char *shape_problem(const struct workspace *ws)
{
    if (ws->resource == NULL)
        return "resource: Required value";
    if ((ws->inference == NULL) == (ws->tuning == NULL))
        return "inference, tuning: exactly one of them must be set";
    if (ws->inference != NULL) {
        bool template = ws->inference->template != NULL;
        if (template == (ws->inference->preset != NULL))
            return "inference: exactly one of preset and template must be set";
        if (template && !cJSON_IsObject(json_get(ws->inference->template, "spec")))
            return "inference.template.spec: Required value";
        return NULL;
    }
    const struct workspace_tuning *tuning = ws->tuning;
    if (tuning->preset == NULL)
        return "tuning.preset: Required value";
    if (tuning_method(ws) == TUNING_UNKNOWN)
        return "tuning.method: must be lora or qlora";
    bool image = tuning->input->image != NULL && tuning->input->image[0] != '\0';
    if (image + (tuning->input->urls.count > 0) + (tuning->input->volume_source != NULL) != 1)
        return "tuning.input: exactly one of urls, image and volumeSource must be set";
    if ((tuning->output->image != NULL) == (tuning->output->volume_source != NULL))
        return "tuning.output: exactly one of image and volumeSource must be set";
    return NULL;
}

static void decode(struct snapshot *out)
{
    struct field_errors *errors = arena_new(out->arena, struct field_errors);
    field_errors_init(errors, out->arena);
    if (workspace_decode(out->workspace->json, out->arena, &out->ws, errors) < 0)
        out->invalid = field_errors_text(errors);
    else
        out->invalid = shape_problem(&out->ws);
}

/* ------------------------------------------------------------------ ConfigMap */

static const char *config_name(const struct snapshot *snapshot)
{
    const struct workspace *ws = &snapshot->ws;
    if (ws->tuning != NULL)
        return snapshot->job == NULL ? tuning_config_name(ws, snapshot->machine) : NULL;
    bool used = ws->inference->preset != NULL && ws->inference->config != NULL &&
                ws->inference->config[0] != '\0' && workspace_runtime(ws) == RUNTIME_VLLM;
    return used ? ws->inference->config : NULL;
}

static void read_config(const struct observer *observer, const cJSON *config_map,
                        struct snapshot *snapshot)
{
    const struct workspace *ws = &snapshot->ws;
    const struct preset *preset = ws->tuning != NULL ? ws->tuning->preset : ws->inference->preset;
    char key[OBJECT_KEY_BYTES];
    const char *label =
        object_key_format((struct object_key){ .namespace_ = ws->metadata->namespace_,
                                               .name = snapshot->config.name },
                          key);
    config_check(ws->tuning != NULL ? CONFIG_FOR_TUNING : CONFIG_FOR_INFERENCE,
                 json_get(config_map, "data"), arena_strdup(snapshot->arena, label), ws,
                 catalogue_model(observer->catalogue, preset->name), snapshot->arena,
                 &snapshot->config.reading);
}

static int observe_config(const struct observer *observer, struct snapshot *snapshot,
                          struct error *err)
{
    struct config_view *config = &snapshot->config;
    const struct workspace *ws = &snapshot->ws;
    config->name = config_name(snapshot);
    if (config->name == NULL)
        return 0;
    AUTO(object) const struct object *found = NULL;
    struct object_key key = { .namespace_ = ws->metadata->namespace_, .name = config->name };
    if (k8s_get(observer->client, &GVR_CONFIGMAP, key, &found, err) == 0) {
        config->state = CONFIG_FOUND;
        read_config(observer, found->json, snapshot);
        return 0;
    }
    if (err->code != ERR_NOT_FOUND)
        return error_wrap(err, "read ConfigMap %s", config->name);
    config->state = CONFIG_ABSENT;
    if (ws->tuning != NULL && tuning_config_is_default(ws)) {
        AUTO(json) cJSON *ours = tuning_default_config(ws, snapshot->machine);
        config->state = CONFIG_DEFAULTED;
        read_config(observer, ours, snapshot);
    }
    return 0;
}

/* ------------------------------------------------------------------ caches */

int observe(const struct observer *observer, struct object_key key, struct arena *arena,
            struct snapshot *out, struct error *err)
{
    const struct listers *listers = observer->listers;
    char text[OBJECT_KEY_BYTES];

    out->arena = arena;
    out->workspace = store_get(listers->workspaces, key);
    if (out->workspace == NULL)
        return OBSERVE_ABSENT;
    out->resource_version = out->workspace->resource_version;
    decode(out);
    if (out->invalid == NULL && out->ws.resource->instance_type != NULL)
        out->machine = catalogue_machine(observer->catalogue, observer->cloud,
                                         out->ws.resource->instance_type);
    out->stateful_set = store_get(listers->stateful_sets, key);
    out->job = store_get(listers->jobs, key);
    out->service = store_get(listers->services, key);
    out->headless =
        store_get(listers->services,
                  (struct object_key){ .namespace_ = key.namespace_,
                                       .name = arena_printf(arena, "%s-headless", key.name) });
    object_key_format(key, text);
    out->revisions = store_by_index(listers->revisions, 0, text);
    out->pods = store_by_index(listers->pods, 0, text);
    if (out->invalid != NULL || out->workspace->deleting)
        return 0;
    return observe_config(observer, out, err);
}

/* ------------------------------------------------------------------ provisioner */

static void unreachable(const struct observer *observer, struct snapshot *snapshot,
                        const struct error *err)
{
    bool silent = err->code == ERR_TIMEOUT || err->code == ERR_UNAVAILABLE;
    snapshot->nodes = (struct nodes_view){
        .state = NODES_UNREACHABLE,
        .reason = silent ? "ProvisionerUnreachable" : "ProvisionerFailed",
        .problem = silent ? arena_printf(snapshot->arena, "the provisioner does not answer at %s",
                                         observer->nodes->url)
                          : arena_printf(snapshot->arena, "the provisioner at %s answers: %s",
                                         observer->nodes->url, err->message),
    };
}

static void ask(const struct observer *observer, struct snapshot *snapshot, const char *type,
                cJSON *take, const struct codec_type *answer_type, void *answer, int64_t timeout_ms)
{
    AUTO(json) cJSON *body = take;
    struct error err = ERROR_INIT;
    if (observer->nodes->call(observer->nodes->context, type, body, timeout_ms, &snapshot->answer,
                              &err) < 0 ||
        codec_decode_strict(answer_type, snapshot->answer.body, snapshot->arena, answer, &err) < 0)
        unreachable(observer, snapshot, &err);
    else
        snapshot->nodes.state = NODES_ANSWERED;
}

/* ubuntu or azurelinux in any spelling; what is neither is the provisioner's default. */
static const char *image_family(const struct workspace *ws)
{
    static const char *const families[] = { "ubuntu", "azurelinux" };
    const char *given = workspace_annotation(ws, ANNOTATION_IMAGE_FAMILY);
    if (given == NULL)
        return NULL;
    given += strspn(given, " \t");
    size_t length = strcspn(given, " \t");
    for (size_t i = 0; i < ARRAY_LEN(families); i++) {
        if (strlen(families[i]) == length && strncasecmp(given, families[i], length) == 0)
            return families[i];
    }
    return NULL;
}

void observe_demand(const struct observer *observer, const struct plan *plan,
                    struct snapshot *snapshot)
{
    const struct workspace *ws = &snapshot->ws;
    struct message_taint taint = { .key = "sku", .value = "gpu", .effect = "NoSchedule" };
    struct node_demand demand = {
        .namespace_ = ws->metadata->namespace_,
        .name = ws->metadata->name,
        .uid = ws->metadata->uid,
        .generation = { .set = true, .value = ws->metadata->generation.value },
        .instance_type = plan->instance_type != NULL ? plan->instance_type : "",
        .count = { .set = true, .value = plan->node_count },
        .labels = workspace_match_labels(ws, snapshot->arena),
        .taints = { .items = &taint, .count = 1 },
        .disk_gib = { .set = true, .value = plan->disk_gib },
        .image_family = image_family(ws),
        .node_class = workspace_annotation(ws, ANNOTATION_NODE_CLASS),
        .preferred_nodes = ws->resource->preferred_nodes,
    };
    struct node_state state = { 0 };
    ask(observer, snapshot, MESSAGE_NODE_DEMAND, codec_encode(node_demand_type(), &demand),
        node_state_type(), &state, NODE_DEMAND_TIMEOUT_MS);
    if (snapshot->nodes.state == NODES_ANSWERED) {
        snapshot->nodes.claims = state.claims;
        snapshot->nodes.ready_count = state.ready_count.value;
    }
}

void observe_release(const struct observer *observer, struct snapshot *snapshot)
{
    struct node_release release = {
        .namespace_ = snapshot->workspace->key.namespace_,
        .name = snapshot->workspace->key.name,
        .uid = snapshot->workspace->uid,
    };
    struct node_released released = { 0 };
    ask(observer, snapshot, MESSAGE_NODE_RELEASE, codec_encode(node_release_type(), &release),
        node_released_type(), &released, NODE_RELEASE_TIMEOUT_MS);
    if (snapshot->nodes.state == NODES_ANSWERED)
        snapshot->nodes.claims = released.remaining;
}

int observe_storage_class(const struct observer *observer, struct snapshot *snapshot,
                          struct error *err)
{
    AUTO(object) const struct object *found = NULL;
    struct object_key key = { .namespace_ = "", .name = LOCAL_NVME_CLASS };
    if (k8s_get(observer->client, &storage_class, key, &found, err) < 0 &&
        err->code != ERR_NOT_FOUND)
        return error_wrap(err, "read StorageClass " LOCAL_NVME_CLASS);
    snapshot->local_nvme_class = found != NULL;
    return 0;
}
