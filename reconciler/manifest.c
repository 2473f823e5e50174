#include "reconciler/manifest.h"

#include <stdlib.h>
#include <string.h>

#include "common/base/buf.h"
#include "common/base/digest.h"
#include "common/base/memory.h"
#include "common/json/build.h"
#include "common/json/json.h"
#include "reconciler/scripts.h"

#define PULLER_IMAGE "mcr.microsoft.com/aks/skopeo:1.14.4-6"

enum { COMMAND_BYTES_MAX = 64 * 1024 };

cJSON *manifest_metadata(const struct manifest_context *ctx, const char *name)
{
    const struct object_meta *meta = ctx->ws->metadata;
    return JOBJ(
        JS("name", name), JS("namespace", meta->namespace_),
        JV("ownerReferences", owner_reference_controller(WORKSPACE_API_VERSION, WORKSPACE_KIND,
                                                         meta->name, meta->uid)));
}

cJSON *manifest_selector(const struct manifest_context *ctx)
{
    static const char *const inherited[] = { "inferenceset.kaito.sh/created-by",
                                             "multiroleinference.kaito.sh/created-by",
                                             "kaito.sh/inference-role" };
    /* A selector cannot be changed: what is in the cluster stays, whatever became of the labels. */
    if (ctx->live != NULL) {
        const cJSON *labels = json_at(ctx->live->json, "spec.selector.matchLabels");
        if (labels != NULL)
            return json_copy(labels);
    }
    cJSON *labels = JOBJ(JS(LABEL_WORKSPACE, ctx->ws->metadata->name));
    for (size_t i = 0; i < ARRAY_LEN(inherited); i++)
        json_set(labels, inherited[i], json_new_string(workspace_label(ctx->ws, inherited[i])));
    return labels;
}

static cJSON *is_in(const char *key, const char *value)
{
    return JOBJ(JS("key", key), JS("operator", "In"), JV("values", JARR(JSTR(value))));
}

cJSON *manifest_affinity(const struct manifest_context *ctx, bool own_nodes)
{
    struct string_map labels = workspace_match_labels(ctx->ws, ctx->arena);
    if (labels.count == 0 && !own_nodes)
        return NULL;
    cJSON *expressions = json_new_array();
    for (size_t i = 0; i < labels.count; i++)
        json_append(expressions, is_in(labels.items[i].key, labels.items[i].value));
    if (own_nodes) {
        json_append(expressions, is_in(LABEL_WORKSPACE, ctx->ws->metadata->name));
        json_append(expressions, is_in(LABEL_WORKSPACE_NAMESPACE, ctx->ws->metadata->namespace_));
    }
    return JOBJ(JV(
        "nodeAffinity",
        JOBJ(JV("requiredDuringSchedulingIgnoredDuringExecution",
                JOBJ(JV("nodeSelectorTerms", JARR(JOBJ(JV("matchExpressions", expressions)))))))));
}

void manifest_tolerate_spot(const struct manifest_context *ctx, cJSON *tolerations)
{
    if (strcmp(ctx->cloud, "azure") == 0)
        json_append(tolerations,
                    JOBJ(JS("key", "kubernetes.azure.com/scalesetpriority"),
                         JS("operator", "Equal"), JS("value", "spot"), JS("effect", "NoSchedule")));
}

cJSON *manifest_gpu_resources(const struct manifest_context *ctx)
{
    const char *count = arena_printf(ctx->arena, "%lld", (long long)ctx->plan->gpus_per_node);
    return JOBJ(JV("requests", JOBJ(JS("nvidia.com/gpu", count))),
                JV("limits", JOBJ(JS("nvidia.com/gpu", count))));
}

cJSON *manifest_mount(const char *volume, const char *path, bool read_only)
{
    return JOBJ(JS("name", volume), JS("mountPath", path),
                JV("readOnly", read_only ? json_new_bool(true) : NULL));
}

cJSON *manifest_env(const char *name, const char *value)
{
    return JOBJ(JS("name", name), JS("value", value));
}

cJSON *manifest_shell(const char *script)
{
    return JARR(JSTR("/bin/sh"), JSTR("-c"), JSTR(script));
}

cJSON *manifest_secret_names(const struct string_list *names, cJSON *array)
{
    for (size_t i = 0; i < names->count; i++)
        json_append(array, JOBJ(JS("name", names->items[i])));
    return array;
}

cJSON *manifest_credentials_volume(const char *name, const struct string_list *secrets)
{
    cJSON *sources = json_new_array();
    for (size_t i = 0; i < secrets->count; i++) {
        cJSON *item =
            JOBJ(JS("key", ".dockerconfigjson"), JF("path", "%s.json", secrets->items[i]));
        json_append(sources, JOBJ(JV("secret", JOBJ(JS("name", secrets->items[i]),
                                                    JV("items", JARR(item))))));
    }
    return JOBJ(JS("name", name), JV("projected", JOBJ(JV("sources", sources))));
}

cJSON *manifest_puller(struct arena *arena, const char *name, const char *image, const char *target,
                       cJSON *mounts)
{
    const char *reference = manifest_literal(manifest_image(image, arena), arena);
    return JOBJ(JS("name", name), JS("image", PULLER_IMAGE),
                JV("command", JARR(JSTR("/bin/sh"), JSTR("-c"))),
                JV("args", JARR(JSTR(script_pull), JSTR("puller"), JSTR(reference),
                                JSTR(manifest_literal(target, arena)))),
                JV("volumeMounts", mounts));
}

/* ------------------------------------------------------------------ command lines */

static int by_name(const void *a, const void *b)
{
    return strcmp(((const struct string_pair *)a)->key, ((const struct string_pair *)b)->key);
}

static bool is_plain(const char *value)
{
    static const char plain[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
                                "_-./:=@%+,";
    return value[strspn(value, plain)] == '\0';
}

static void append_quoted(struct buf *out, const char *value)
{
    buf_putc(out, '\'');
    for (const char *p = value; *p != '\0'; p++) {
        if (*p == '\'')
            buf_puts(out, "'\\''");
        else
            buf_putc(out, *p);
    }
    buf_putc(out, '\'');
}

const char *manifest_command(struct arena *arena, const char *base, struct string_map *parameters)
{
    AUTO(buf) struct buf out = BUF_INIT(COMMAND_BYTES_MAX);
    buf_puts(&out, base);
    if (parameters->count > 0)
        qsort(parameters->items, parameters->count, sizeof(*parameters->items), by_name);
    for (size_t i = 0; i < parameters->count; i++) {
        const struct string_pair *pair = &parameters->items[i];
        buf_printf(&out, " --%s", pair->key);
        if (pair->value[0] == '\0')
            continue;
        buf_putc(&out, '=');
        if (is_plain(pair->value))
            buf_puts(&out, pair->value);
        else
            append_quoted(&out, pair->value);
    }
    return arena_strdup(arena, buf_text(&out));
}

void manifest_parameter(struct string_map *parameters, const char *name, const char *value)
{
    for (size_t i = 0; i < parameters->count; i++) {
        if (strcmp(parameters->items[i].key, name) == 0) {
            parameters->items[i].value = value;
            return;
        }
    }
    parameters->items[parameters->count++] = (struct string_pair){ .key = name, .value = value };
}

const char *manifest_image(const char *reference, struct arena *arena)
{
    const char *slash = strchr(reference, '/');
    size_t first = slash != NULL ? (size_t)(slash - reference) : 0;
    bool has_host = slash != NULL && (memchr(reference, '.', first) != NULL ||
                                      memchr(reference, ':', first) != NULL ||
                                      strncmp(reference, "localhost/", 10) == 0);
    const char *prefix = has_host ? "" : slash != NULL ? "docker.io/" : "docker.io/library/";
    const char *last = strrchr(reference, '/');
    const char *at = strchr(reference, '@');
    const char *colon = strchr(last != NULL ? last : reference, ':');

    if (at != NULL && colon != NULL && colon < at)
        return arena_printf(arena, "%s%.*s%s", prefix, (int)(colon - reference), reference, at);
    return arena_printf(arena, "%s%s%s", prefix, reference,
                        at == NULL && colon == NULL ? ":latest" : "");
}

const char *manifest_literal(const char *text, struct arena *arena)
{
    char *out = arena_alloc(arena, 2 * strlen(text) + 1);
    char *end = out;
    for (const char *p = text; *p != '\0'; p++) {
        if (*p == '$')
            *end++ = '$';
        *end++ = *p;
    }
    return out;
}

/* ------------------------------------------------------------------ what is in the cluster */

void manifest_seal(cJSON *manifest)
{
    AUTO_FREE char *text = json_print_canonical(manifest);
    char hash[SHA256_HEX_BYTES];
    sha256_hex(text, strlen(text), hash);
    hash[16] = '\0'; /* 64 bits: it tells one version of an object from the next */

    cJSON *metadata = json_copy(json_get(manifest, "metadata"));
    const cJSON *old = json_get(metadata, "annotations");
    cJSON *annotations = old != NULL ? json_copy(old) : json_new_object();
    json_set(annotations, ANNOTATION_APPLIED_HASH, json_new_string(hash));
    json_set(metadata, "annotations", annotations);
    json_set(manifest, "metadata", metadata);
}

/* The API server leaves out what is empty, and so do our manifests now and then. */
static bool is_empty(const cJSON *value)
{
    return cJSON_IsNull(value) || cJSON_IsFalse(value) ||
           (cJSON_IsString(value) && value->valuestring[0] == '\0') ||
           ((cJSON_IsObject(value) || cJSON_IsArray(value)) && value->child == NULL);
}

/* A quantity in thousandths: 1, "1", "1000m", "1Gi". False for what is none. */
static bool quantity(const cJSON *value, double *out)
{
    static const struct {
        const char *suffix;
        double factor;
    } units[] = { { "", 1 },
                  { "m", 1e-3 },
                  { "k", 1e3 },
                  { "M", 1e6 },
                  { "G", 1e9 },
                  { "T", 1e12 },
                  { "P", 1e15 },
                  { "Ki", 1024.0 },
                  { "Mi", 1048576.0 },
                  { "Gi", 1073741824.0 },
                  { "Ti", 1099511627776.0 },
                  { "Pi", 1125899906842624.0 } };
    if (cJSON_IsNumber(value)) {
        *out = value->valuedouble;
        return true;
    }
    if (!cJSON_IsString(value) || value->valuestring[0] == '\0')
        return false;
    char *end;
    double number = strtod(value->valuestring, &end);
    if (end == value->valuestring)
        return false;
    for (size_t i = 0; i < ARRAY_LEN(units); i++) {
        if (strcmp(end, units[i].suffix) == 0) {
            *out = number * units[i].factor;
            return true;
        }
    }
    return false;
}

bool manifest_same_quantity(const cJSON *a, const cJSON *b)
{
    double x, y;
    return quantity(a, &x) && quantity(b, &y) && x == y;
}

static bool says(const cJSON *live, const cJSON *wanted);

/* Items of ours, each somewhere in the list and in our order; others may have put theirs between.
 */
static bool list_says(const cJSON *live, const cJSON *wanted)
{
    const cJSON *item;
    const cJSON *candidate = live->child;
    cJSON_ArrayForEach(item, wanted) {
        while (candidate != NULL && !says(candidate, item))
            candidate = candidate->next;
        if (candidate == NULL)
            return false;
        candidate = candidate->next;
    }
    return true;
}

static bool object_says(const cJSON *live, const cJSON *wanted)
{
    const cJSON *member;
    cJSON_ArrayForEach(member, wanted) {
        const cJSON *own = json_get(live, member->string);
        if (own == NULL ? !is_empty(member) : !says(own, member))
            return false;
    }
    return true;
}

static bool says(const cJSON *live, const cJSON *wanted)
{
    if (cJSON_IsObject(live) && cJSON_IsObject(wanted))
        return object_says(live, wanted);
    if (cJSON_IsArray(live) && cJSON_IsArray(wanted))
        return list_says(live, wanted);
    return json_equal(live, wanted) || manifest_same_quantity(live, wanted);
}

bool manifest_is_applied(const cJSON *live, const cJSON *manifest)
{
    const cJSON *member;
    cJSON_ArrayForEach(member, manifest) {
        /* The items of a list do not repeat what they are. The hash is in the metadata. */
        bool is_type =
            strcmp(member->string, "apiVersion") == 0 || strcmp(member->string, "kind") == 0;
        if (!is_type && !says(json_get(live, member->string), member))
            return false;
    }
    return true;
}
