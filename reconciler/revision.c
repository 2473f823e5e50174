#include "reconciler/revision.h"

#include <stdlib.h>
#include <string.h>

#include "common/base/buf.h"
#include "common/base/digest.h"
#include "common/base/memory.h"
#include "common/json/build.h"
#include "common/json/json.h"
#include "reconciler/manifest.h"

enum { NAME_DIGITS = 5, CONTENT_BYTES_MAX = JSON_BYTES_MAX };

/* ------------------------------------------------------------------ content, in KAITO's order */

static cJSON *text(const char *value)
{
    return value != NULL && value[0] != '\0' ? json_new_string(value) : NULL;
}

static cJSON *integer(struct opt_integer value)
{
    return value.set ? json_new_integer(value.value) : NULL;
}

static cJSON *strings(const struct string_list *list)
{
    if (list->count == 0)
        return NULL;
    cJSON *array = json_new_array();
    for (size_t i = 0; i < list->count; i++)
        json_append(array, json_new_string(list->items[i]));
    return array;
}

static int by_key(const void *a, const void *b)
{
    return strcmp(((const struct string_pair *)a)->key, ((const struct string_pair *)b)->key);
}

static cJSON *sorted_map(const struct string_map *map)
{
    if (map->count == 0)
        return NULL;
    AUTO_FREE struct string_pair *pairs = mem_calloc(map->count, sizeof(*pairs));
    memcpy(pairs, map->items, map->count * sizeof(*pairs));
    qsort(pairs, map->count, sizeof(*pairs), by_key);
    cJSON *object = json_new_object();
    for (size_t i = 0; i < map->count; i++)
        json_set(object, pairs[i].key, json_new_string(pairs[i].value));
    return object;
}

static cJSON *sorted_copy(const cJSON *raw)
{
    if (raw == NULL || cJSON_IsNull(raw))
        return NULL;
    AUTO_FREE char *canonical = json_print_canonical(raw);
    struct error err = ERROR_INIT;
    cJSON *copy = NULL;
    if (json_parse(canonical, strlen(canonical), SIZE_MAX, &copy, &err) < 0)
        return json_copy(raw); /* deeper than we parse: it was never read from a server */
    return copy;
}

/* The kinds of volumes whose members KAITO does not write in the order of their names. */
static const struct {
    const char *kind;
    const char *members[8];
} volume_orders[] = {
    { "secret", { "secretName", "items", "defaultMode", "optional" } },
    { "configMap", { "name", "items", "defaultMode", "optional" } },
    { "nfs", { "server", "path", "readOnly" } },
    { "azureFile", { "secretName", "shareName", "readOnly" } },
    { "azureDisk", { "diskName", "diskURI", "cachingMode", "fsType", "readOnly", "kind" } },
    { "csi", { "driver", "readOnly", "fsType", "volumeAttributes", "nodePublishSecretRef" } },
};

/* The members of `source` in that order, then the others. */
static cJSON *in_order(const cJSON *source, const char *const *members)
{
    cJSON *out = json_new_object();
    for (size_t i = 0; members[i] != NULL; i++)
        json_set(out, members[i], json_copy(json_get(source, members[i])));
    const cJSON *member;
    cJSON_ArrayForEach(member, source) {
        if (json_get(out, member->string) == NULL)
            json_set(out, member->string, json_copy(member));
    }
    return out;
}

static cJSON *volume_json(const cJSON *raw)
{
    cJSON *volume = sorted_copy(raw);
    for (size_t i = 0; i < ARRAY_LEN(volume_orders); i++) {
        const cJSON *source = json_get(volume, volume_orders[i].kind);
        if (cJSON_IsObject(source))
            json_set(volume, volume_orders[i].kind, in_order(source, volume_orders[i].members));
    }
    return volume;
}

static cJSON *selector_json(const struct label_selector *selector)
{
    if (selector == NULL)
        return json_new_null();
    cJSON *expressions = selector->match_expressions.count > 0 ? json_new_array() : NULL;
    for (size_t i = 0; i < selector->match_expressions.count; i++) {
        const struct label_requirement *item = &selector->match_expressions.items[i];
        json_append(expressions, JOBJ(JS("key", item->key), JS("operator", item->operator),
                                      JV("values", strings(&item->values))));
    }
    return JOBJ(JV("matchLabels", sorted_map(&selector->match_labels)),
                JV("matchExpressions", expressions));
}

static cJSON *resource_json(const struct workspace_resource *resource)
{
    if (resource == NULL)
        return json_new_null();
    const struct workspace_partition *partition = resource->partition;
    cJSON *part = partition == NULL ? NULL
                                    : JOBJ(JV("mode", text(partition->mode)),
                                           JV("profile", text(partition->profile)),
                                           JV("count", integer(partition->count)));
    return JOBJ(JV("count", integer(resource->count)),
                JV("instanceType", text(resource->instance_type)),
                JV("labelSelector", selector_json(resource->label_selector)),
                JV("preferredNodes", strings(&resource->preferred_nodes)), JV("partition", part));
}

static cJSON *preset_json(const struct preset *preset)
{
    if (preset == NULL)
        return NULL;
    static const struct preset_options none;
    const struct preset_options *options = preset->options != NULL ? preset->options : &none;
    return JOBJ(
        JS("name", preset->name != NULL ? preset->name : ""),
        JV("accessMode", text(preset->access_mode)),
        JV("presetOptions", JOBJ(JV("image", text(options->image)),
                                 JV("imagePullSecrets", strings(&options->image_pull_secrets)),
                                 JV("modelAccessSecret", text(options->model_access_secret)))));
}

static cJSON *source_json(const struct data_source *source)
{
    if (source == NULL)
        return NULL;
    return JOBJ(JV("name", text(source->name)), JV("urls", strings(&source->urls)),
                JV("volumeSource", volume_json(source->volume_source)),
                JV("image", text(source->image)),
                JV("imagePullSecrets", strings(&source->image_pull_secrets)));
}

static cJSON *inference_json(const struct workspace_inference *inference)
{
    if (inference == NULL)
        return json_new_null();
    cJSON *adapters = inference->adapters.count > 0 ? json_new_array() : NULL;
    for (size_t i = 0; i < inference->adapters.count; i++) {
        const struct adapter *adapter = &inference->adapters.items[i];
        json_append(adapters, JOBJ(JV("source", source_json(adapter->source)),
                                   JV("strength", text(adapter->strength))));
    }
    return JOBJ(JV("preset", preset_json(inference->preset)),
                JV("template", sorted_copy(inference->template)),
                JV("config", text(inference->config)), JV("adapters", adapters));
}

static cJSON *tuning_json(const struct workspace_tuning *tuning)
{
    if (tuning == NULL)
        return json_new_null();
    const struct data_destination *output = tuning->output;
    cJSON *destination = output == NULL
                             ? NULL
                             : JOBJ(JV("volumeSource", volume_json(output->volume_source)),
                                    JV("image", text(output->image)),
                                    JV("imagePushSecret", text(output->image_push_secret)));
    return JOBJ(JV("preset", preset_json(tuning->preset)), JV("method", text(tuning->method)),
                JV("config", text(tuning->config)), JV("input", source_json(tuning->input)),
                JV("output", destination));
}

/* ------------------------------------------------------------------ hash */

/* As Go's encoder prints text for HTML: these characters occur in JSON inside strings only. */
static void append_escaped(struct buf *out, const char *json)
{
    for (const char *p = json; *p != '\0'; p++) {
        if (*p == '<' || *p == '>' || *p == '&') {
            buf_printf(out, "\\u00%02x", (unsigned)*p);
        } else if (strncmp(p, "\xe2\x80\xa8", 3) == 0 || strncmp(p, "\xe2\x80\xa9", 3) == 0) {
            buf_printf(out, "\\u202%c", p[2] == '\xa8' ? '8' : '9');
            p += 2;
        } else {
            buf_putc(out, *p);
        }
    }
}

static void append_document(struct buf *out, cJSON *take)
{
    AUTO(json) cJSON *json = take;
    AUTO_FREE char *printed = json_print(json);
    append_escaped(out, printed);
    buf_putc(out, '\n');
}

const char *revision_hash(const struct workspace *ws, struct arena *arena)
{
    AUTO(buf) struct buf content = BUF_INIT(CONTENT_BYTES_MAX);
    append_document(&content, resource_json(ws->resource));
    append_document(&content, inference_json(ws->inference));
    append_document(&content, tuning_json(ws->tuning));
    char hex[SHA256_HEX_BYTES];
    sha256_hex(buf_text(&content), content.length, hex);
    return arena_strdup(arena, hex);
}

/* ------------------------------------------------------------------ choice */

static int64_t number_of(const struct object *revision)
{
    return json_integer_at(revision->json, "revision", 0);
}

static const struct object *find(const struct object_list *known, const char *name)
{
    for (size_t i = 0; i < known->count; i++) {
        if (strcmp(known->items[i]->key.name, name) == 0)
            return known->items[i];
    }
    return NULL;
}

static bool has_hash(const struct object *revision, const char *hash)
{
    const char *own = object_annotation(revision, ANNOTATION_HASH);
    return own != NULL && strcmp(own, hash) == 0;
}

/* What Go's types add to a text, or leave out of it. */
static bool is_zero(const cJSON *value)
{
    if (value == NULL || cJSON_IsNull(value) || cJSON_IsFalse(value))
        return true;
    if (!cJSON_IsObject(value) && !cJSON_IsArray(value))
        return false;
    const cJSON *item;
    cJSON_ArrayForEach(item, value) {
        if (cJSON_IsArray(value) || !is_zero(item))
            return false;
    }
    return true;
}

static bool same_content(const cJSON *a, const cJSON *b);

/* Each member of `a` is in `b`. */
static bool is_part(const cJSON *a, const cJSON *b)
{
    const cJSON *member;
    cJSON_ArrayForEach(member, a) {
        if (!is_zero(member) && !same_content(member, json_get(b, member->string)))
            return false;
    }
    return true;
}

static bool same_content(const cJSON *a, const cJSON *b)
{
    if (is_zero(a) || is_zero(b))
        return is_zero(a) && is_zero(b);
    if (cJSON_IsObject(a) && cJSON_IsObject(b))
        return is_part(a, b) && is_part(b, a);
    if (!cJSON_IsArray(a) || !cJSON_IsArray(b))
        return json_equal(a, b) || manifest_same_quantity(a, b);
    const cJSON *x = a->child, *y = b->child;
    while (x != NULL && y != NULL && same_content(x, y)) {
        x = x->next;
        y = y->next;
    }
    return x == NULL && y == NULL;
}

static cJSON *content_json(const struct workspace *ws)
{
    return JOBJ(JV("inference", inference_json(ws->inference)),
                JV("resource", resource_json(ws->resource)), JV("tuning", tuning_json(ws->tuning)));
}

/* The latest revision with the content of the Workspace, under whatever hash. */
static const struct object *find_content(const struct workspace *ws,
                                         const struct object_list *known)
{
    AUTO(json) cJSON *content = content_json(ws);
    const struct object *found = NULL;
    for (size_t i = 0; i < known->count; i++) {
        const struct object *one = known->items[i];
        const cJSON *data = json_get(one->json, "data");
        if (data != NULL && object_annotation(one, ANNOTATION_HASH) != NULL &&
            (found == NULL || number_of(one) > number_of(found)) && same_content(data, content))
            found = one;
    }
    return found;
}

struct revision revision_choose(const struct workspace *ws, const struct object_list *known,
                                struct arena *arena)
{
    struct revision out = { .hash = revision_hash(ws, arena) };

    for (int digits = NAME_DIGITS; digits < SHA256_HEX_BYTES; digits++) {
        out.name = arena_printf(arena, "%s-%.*s", ws->metadata->name, digits, out.hash);
        out.existing = find(known, out.name);
        if (out.existing == NULL || has_hash(out.existing, out.hash))
            break;
    }
    if (out.existing == NULL) {
        out.existing = find_content(ws, known);
        if (out.existing != NULL) {
            out.hash = object_annotation(out.existing, ANNOTATION_HASH);
            out.name = out.existing->key.name;
        }
    }
    if (out.existing != NULL) {
        out.number = number_of(out.existing);
        return out;
    }
    for (size_t i = 0; i < known->count; i++) {
        int64_t number = number_of(known->items[i]);
        if (number > out.number)
            out.number = number;
        if (known->count > REVISION_HISTORY_MAX &&
            (out.surplus == NULL || number < number_of(out.surplus)))
            out.surplus = known->items[i];
    }
    out.number++;
    return out;
}

cJSON *revision_object(const struct workspace *ws, const struct revision *revision)
{
    const struct object_meta *meta = ws->metadata;
    return JOBJ(JS("apiVersion", "apps/v1"), JS("kind", "ControllerRevision"),
                JV("metadata", JOBJ(JS("name", revision->name), JS("namespace", meta->namespace_),
                                    JV("labels", JOBJ(JS(LABEL_REVISION_NAME, meta->name))),
                                    JV("annotations", JOBJ(JS(ANNOTATION_HASH, revision->hash))),
                                    JV("ownerReferences", owner_reference_controller(
                                                              WORKSPACE_API_VERSION, WORKSPACE_KIND,
                                                              meta->name, meta->uid)))),
                JI("revision", revision->number), JV("data", content_json(ws)));
}
