#include "cli/manifests.h"

#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "cli/cli.h"
#include "common/api/workspace.h"
#include "common/base/file.h"
#include "common/base/memory.h"
#include "common/json/build.h"
#include "common/json/json.h"
#include "common/json/yaml.h"

struct reading {
    struct manifests *out;
    bool recursive;
};

/* ------------------------------------------------------------------ what is found */

/* Room for one more of an array; doubles it. */
static void *grow(void *items, size_t count, size_t *capacity, size_t size)
{
    if (count < *capacity)
        return items;
    *capacity = *capacity != 0 ? 2 * *capacity : 16;
    return mem_realloc(items, *capacity * size);
}

static void PRINTF_LIKE(3, 4)
    fail(struct manifests *out, const char *place, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    const char *text = arena_vprintf(out->arena, format, args);
    va_end(args);
    struct string_list *list = &out->failures;
    list->items = grow(list->items, list->count, &out->failures_capacity, sizeof(*list->items));
    list->items[list->count++] = arena_printf(out->arena, "%s: %s", place, text);
}

static bool is_list(const char *kind)
{
    size_t length = strlen(kind);
    return length >= 4 && strcmp(kind + length - 4, "List") == 0;
}

static void add_object(struct manifests *out, const char *file, size_t document, const cJSON *json)
{
    struct manifest manifest = { .file = file, .document = document, .json = json };
    manifest.kind = json_string_at(json, "kind");
    if (manifest.kind == NULL || json_string_at(json, "apiVersion") == NULL) {
        fail(out, manifest_place(&manifest, out->arena),
             "is no Kubernetes object: write apiVersion and kind, or leave the file out");
        return;
    }
    const cJSON *items = json_get(json, "items");
    if (is_list(manifest.kind) && cJSON_IsArray(items)) {
        const cJSON *item;
        cJSON_ArrayForEach(item, items)
            add_object(out, file, document, item);
        return;
    }
    if (out->count == MANIFEST_OBJECTS_MAX) {
        fail(out, file, "more than %d objects; name fewer files", MANIFEST_OBJECTS_MAX);
        return;
    }
    out->items = grow(out->items, out->count, &out->capacity, sizeof(*out->items));
    out->items[out->count++] = manifest;
}

/* JSON is read as such: the escapes of its strings are not all YAML's. */
static int parse(const struct buf *text, cJSON **out, struct error *err)
{
    const char *bytes = buf_text(text);
    if (bytes[strspn(bytes, " \t\r\n")] == '{') {
        struct error no_json = ERROR_INIT;
        cJSON *json = NULL;
        if (json_parse(bytes, text->length, YAML_BYTES_MAX, &json, &no_json) == 0) {
            *out = JARR(json);
            return 0;
        }
    }
    return yaml_to_json_all(bytes, text->length, out, err);
}

static void add_text(struct manifests *out, const char *file, const struct buf *text)
{
    cJSON *documents = NULL;
    struct error err = ERROR_INIT;
    if (parse(text, &documents, &err) < 0) {
        fail(out, file, "%s", err.message);
        return;
    }
    json_append(out->trees, documents);
    size_t number = 0;
    const cJSON *document;
    cJSON_ArrayForEach(document, documents)
        add_object(out, file, ++number, document);
}

/* ------------------------------------------------------------------ files */

static void read_stream(struct manifests *out, FILE *in)
{
    static const char name[] = "standard input";
    AUTO(buf) struct buf text = BUF_INIT(YAML_BYTES_MAX);
    struct error err = ERROR_INIT;
    if (cli_read_stream(in, &text, &err) < 0)
        fail(out, name, "%s", err.message);
    else
        add_text(out, name, &text);
}

static void read_file(struct manifests *out, const char *path)
{
    AUTO(buf) struct buf text = BUF_INIT(YAML_BYTES_MAX);
    struct error err = ERROR_INIT;
    if (out->files++ == MANIFEST_FILES_MAX)
        fail(out, path, "this and what follows is left out: more than %d files",
             MANIFEST_FILES_MAX);
    if (out->files > MANIFEST_FILES_MAX)
        return;
    if (file_read(path, &text, &err) < 0)
        fail(out, path, "%s", err.message);
    else
        add_text(out, path, &text);
}

static void read_path(struct reading *reading, const char *path, size_t depth);

static bool is_manifest_name(const char *name)
{
    const char *dot = strrchr(name, '.');
    return dot != NULL &&
           (strcmp(dot, ".yaml") == 0 || strcmp(dot, ".yml") == 0 || strcmp(dot, ".json") == 0);
}

static int is_visible(const struct dirent *entry)
{
    return entry->d_name[0] != '.';
}

static bool is_folder(const char *path)
{
    struct stat found;
    return stat(path, &found) == 0 && S_ISDIR(found.st_mode);
}

static void read_folder(struct reading *reading, const char *path, size_t depth)
{
    struct dirent **entries = NULL;
    if (depth > MANIFEST_FOLDER_DEPTH_MAX) {
        fail(reading->out, path, "is left out: folders nest deeper than %d",
             MANIFEST_FOLDER_DEPTH_MAX);
        return;
    }
    int count = scandir(path, &entries, is_visible, alphasort);
    if (count < 0)
        fail(reading->out, path, "cannot be read: %s", strerror(errno));
    size_t length = strlen(path);
    bool slash = length > 0 && path[length - 1] == '/';
    for (int i = 0; i < count; i++) {
        const char *inner =
            arena_printf(reading->out->arena, "%s%s%s", path, slash ? "" : "/", entries[i]->d_name);
        if (is_folder(inner) ? reading->recursive : is_manifest_name(inner))
            read_path(reading, inner, depth + 1);
        free(entries[i]);
    }
    free(entries);
}

static void read_path(struct reading *reading, const char *path, size_t depth)
{
    if (is_folder(path))
        read_folder(reading, path, depth);
    else
        read_file(reading->out, path);
}

void manifests_read(const struct string_list *paths, bool recursive, FILE *in, struct arena *arena,
                    struct manifests *out)
{
    *out = (struct manifests){ .arena = arena, .trees = json_new_array() };
    struct reading reading = { .out = out, .recursive = recursive };
    for (size_t i = 0; i < paths->count; i++) {
        if (strcmp(paths->items[i], "-") == 0)
            read_stream(out, in);
        else
            read_path(&reading, paths->items[i], 0);
    }
}

void manifests_fini(struct manifests *manifests)
{
    json_free(manifests->trees);
    free(manifests->items);
    free(manifests->failures.items);
    *manifests = (struct manifests){ .count = 0 };
}

/* ------------------------------------------------------------------ objects */

const char *manifest_place(const struct manifest *manifest, struct arena *arena)
{
    return arena_printf(arena, "%s, document %zu", manifest->file, manifest->document);
}

const char *manifest_name(const struct manifest *manifest)
{
    const char *name = json_string_at(manifest->json, "metadata.name");
    return name != NULL ? name : "";
}

const char *manifest_namespace(const struct manifest *manifest)
{
    const char *name = json_string_at(manifest->json, "metadata.namespace");
    return name != NULL && *name != '\0' ? name : "default";
}

bool manifest_is_workspace(const struct manifest *manifest)
{
    const char *version = json_string_at(manifest->json, "apiVersion");
    return strcmp(manifest->kind, WORKSPACE_KIND) == 0 &&
           strncmp(version, WORKSPACE_GROUP "/", sizeof(WORKSPACE_GROUP)) == 0;
}

const cJSON *manifests_config_map(const struct manifests *manifests, const char *namespace_,
                                  const char *name)
{
    for (size_t i = manifests->count; i-- > 0;) { /* the last is what would be applied */
        const struct manifest *manifest = &manifests->items[i];
        if (strcmp(manifest->kind, "ConfigMap") == 0 &&
            strcmp(json_string_at(manifest->json, "apiVersion"), "v1") == 0 &&
            strcmp(manifest_name(manifest), name) == 0 &&
            strcmp(manifest_namespace(manifest), namespace_) == 0)
            return manifest->json;
    }
    return NULL;
}
