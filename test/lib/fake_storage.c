#include "test/lib/fake_storage.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <uthash.h>

#include "common/base/compiler.h"
#include "common/base/memory.h"
#include "common/json/build.h"
#include "common/json/json.h"

enum { PATH_BYTES = 512 };

static const struct fake_kind kinds[] = {
    { .gvr = &GVR_WORKSPACE, .has_status = true, .is_custom = true },
    { .gvr = &GVR_NODECLAIM, .has_status = true, .is_custom = true },
    { .gvr = &GVR_NODE, .has_status = true },
    { .gvr = &GVR_POD, .has_status = true },
    { .gvr = &GVR_EVENT },
    { .gvr = &GVR_SECRET },
    { .gvr = &GVR_CONFIGMAP },
    { .gvr = &GVR_SERVICE, .has_status = true },
    { .gvr = &GVR_STATEFULSET, .has_status = true },
    { .gvr = &GVR_CONTROLLERREVISION },
    { .gvr = &GVR_JOB, .has_status = true },
    { .gvr = &GVR_LEASE },
    { .gvr = &GVR_MUTATING_WEBHOOK },
    { .gvr = &GVR_VALIDATING_WEBHOOK },
};

struct fake_entry {
    UT_hash_handle hh;
    const struct fake_kind *kind;
    cJSON *json;
    cJSON *applied; /* by field manager: what it applied last */
    char path[PATH_BYTES];
};

const struct fake_kind *fake_kind_find(const char *group, const char *resource)
{
    for (size_t i = 0; i < ARRAY_LEN(kinds); i++) {
        if (strcmp(kinds[i].gvr->group, group) == 0 &&
            strcmp(kinds[i].gvr->resource, resource) == 0)
            return &kinds[i];
    }
    return NULL;
}

void fake_storage_init(struct fake_storage *storage, const struct clock *clock)
{
    *storage = (struct fake_storage){ .clock = clock, .version = 1000 };
}

static void entry_free(struct fake_storage *storage, struct fake_entry *entry)
{
    HASH_DEL(storage->entries, entry);
    json_free(entry->json);
    json_free(entry->applied);
    free(entry);
}

void fake_storage_fini(struct fake_storage *storage)
{
    struct fake_entry *entry, *next;
    HASH_ITER(hh, storage->entries, entry, next)
        entry_free(storage, entry);
    for (size_t i = 0; i < storage->change_count; i++) {
        json_free(storage->changes[i].before);
        json_free(storage->changes[i].after);
    }
    free(storage->changes);
}

/* ------------------------------------------------------------------ reading */

static struct fake_entry *find(struct fake_storage *storage, const struct fake_kind *kind,
                               struct object_key key)
{
    char path[PATH_BYTES];
    struct fake_entry *entry;
    snprintf(path, sizeof(path), "%s/%s/%s/%s", kind->gvr->group, kind->gvr->resource,
             key.namespace_, key.name);
    HASH_FIND_STR(storage->entries, path, entry);
    return entry;
}

const cJSON *fake_storage_get(struct fake_storage *storage, const struct fake_kind *kind,
                              struct object_key key)
{
    const struct fake_entry *entry = find(storage, kind, key);
    return entry != NULL ? entry->json : NULL;
}

static int by_path(struct fake_entry *a, struct fake_entry *b)
{
    return strcmp(a->path, b->path);
}

const cJSON **fake_storage_list(struct fake_storage *storage, const struct fake_kind *kind,
                                size_t *count_out)
{
    const cJSON **list = mem_calloc(HASH_COUNT(storage->entries), sizeof(const cJSON *));
    *count_out = 0;
    HASH_SORT(storage->entries, by_path);
    for (const struct fake_entry *entry = storage->entries; entry != NULL; entry = entry->hh.next) {
        if (entry->kind == kind)
            list[(*count_out)++] = entry->json;
    }
    return list;
}

/* ------------------------------------------------------------------ answers and changes */

static struct fake_answer refuse(int status, const char *reason, const struct fake_kind *kind,
                                 const char *name, const char *what)
{
    struct fake_answer answer = { .status = status, .reason = reason };
    snprintf(answer.message, sizeof(answer.message), "%s%s%s \"%.100s\" %s", kind->gvr->resource,
             kind->gvr->group[0] != '\0' ? "." : "", kind->gvr->group, name, what);
    return answer;
}

static struct fake_answer not_found(const struct fake_kind *kind, const char *name)
{
    return refuse(404, "NotFound", kind, name, "not found");
}

static void set_version(struct fake_storage *storage, cJSON *json)
{
    json_set(json_member(json, "metadata"), "resourceVersion",
             json_new_printf("%llu", (unsigned long long)++storage->version));
}

static void record(struct fake_storage *storage, const struct fake_kind *kind, const cJSON *before,
                   const cJSON *after, bool deleted)
{
    if (storage->change_count == storage->change_capacity) {
        storage->change_capacity = 2 * storage->change_capacity + 64;
        storage->changes =
            mem_realloc(storage->changes, storage->change_capacity * sizeof(*storage->changes));
    }
    storage->changes[storage->change_count++] = (struct fake_change){ .version = storage->version,
                                                                      .kind = kind,
                                                                      .before = json_copy(before),
                                                                      .after = json_copy(after),
                                                                      .deleted = deleted };
}

static void remove_entry(struct fake_storage *storage, struct fake_entry *entry)
{
    AUTO(json) cJSON *before = json_copy(entry->json);
    set_version(storage, entry->json);
    record(storage, entry->kind, before, entry->json, true);
    entry_free(storage, entry);
}

/* ------------------------------------------------------------------ merging */

/* RFC 7396. */
static void merge(cJSON *target, const cJSON *patch)
{
    const cJSON *member;
    cJSON_ArrayForEach(member, patch) {
        if (cJSON_IsNull(member)) {
            json_remove(target, member->string);
        } else if (cJSON_IsObject(member)) {
            if (!cJSON_IsObject(json_member(target, member->string)))
                json_set(target, member->string, json_new_object());
            merge(json_member(target, member->string), member);
        } else {
            json_set(target, member->string, json_copy(member));
        }
    }
}

/* Takes out of `target` what was in `last` and is not in `next`: no longer applied. */
static void prune(cJSON *target, const cJSON *last, const cJSON *next)
{
    const cJSON *member;
    cJSON_ArrayForEach(member, last) {
        const cJSON *still = json_get(next, member->string);
        if (cJSON_IsObject(member) && (still == NULL || cJSON_IsObject(still)))
            prune(json_member(target, member->string), member, still);
        else if (still == NULL)
            json_remove(target, member->string);
    }
}

static bool same_but(const cJSON *a, const cJSON *b, const char *const *without)
{
    AUTO(json) cJSON *left = json_copy(a);
    AUTO(json) cJSON *right = json_copy(b);
    for (; *without != NULL; without++) {
        json_remove(left, *without);
        json_remove(right, *without);
    }
    return json_equal(left, right);
}

static void keep(cJSON *next, const cJSON *current, const char *const *names)
{
    for (; *names != NULL; names++) {
        json_remove(next, *names);
        json_set(next, *names, json_copy(json_get(current, *names)));
    }
}

/* The rules for an update: the system's metadata stay, the two halves change only through their own
 * subresource, nothing is written when nothing changes, and the last finalizer takes the object
 * along. Takes `next`. */
static struct fake_answer commit(struct fake_storage *storage, struct fake_entry *entry,
                                 const char *subresource, cJSON *next)
{
    static const char *const system[] = { "name",
                                          "namespace",
                                          "uid",
                                          "creationTimestamp",
                                          "deletionTimestamp",
                                          "deletionGracePeriodSeconds",
                                          "generation",
                                          "resourceVersion",
                                          NULL };
    static const char *const status[] = { "status", NULL };
    static const char *const not_spec[] = { "metadata", "status", NULL };
    AUTO(json) cJSON *owned = next;

    if (strcmp(subresource, "status") == 0) {
        cJSON *whole = json_copy(entry->json);
        keep(whole, owned, status);
        json_free(owned);
        owned = whole;
    } else if (entry->kind->has_status && subresource[0] == '\0') {
        keep(owned, entry->json, status);
    }
    json_set(owned, "apiVersion", json_copy(json_get(entry->json, "apiVersion")));
    json_set(owned, "kind", json_copy(json_get(entry->json, "kind")));
    keep(json_member(owned, "metadata"), json_get(entry->json, "metadata"), system);
    if (json_equal(owned, entry->json))
        return (struct fake_answer){ .status = 200, .object = STEAL(owned) };

    if (!same_but(owned, entry->json, not_spec))
        json_set(json_member(owned, "metadata"), "generation",
                 json_new_integer(json_integer_at(owned, "metadata.generation", 0) + 1));
    struct fake_answer answer = { .status = 200 };
    if (json_at(owned, "metadata.deletionTimestamp") != NULL &&
        json_at(owned, "metadata.finalizers[0]") == NULL) {
        json_free(entry->json);
        entry->json = STEAL(owned);
        answer.object = json_copy(entry->json);
        remove_entry(storage, entry);
        return answer;
    }
    set_version(storage, owned);
    record(storage, entry->kind, entry->json, owned, false);
    json_free(entry->json);
    entry->json = STEAL(owned);
    answer.object = json_copy(entry->json);
    return answer;
}

/* ------------------------------------------------------------------ writes */

static void fill_metadata(struct fake_storage *storage, cJSON *metadata, struct object_key key)
{
    char now[RFC3339_BYTES];
    rfc3339_format(clock_realtime(storage->clock), now);
    json_set(metadata, "name", json_new_string(key.name));
    if (key.namespace_[0] != '\0')
        json_set(metadata, "namespace", json_new_string(key.namespace_));
    json_set(
        metadata, "uid",
        json_new_printf("00000000-0000-4000-8000-%012llu", (unsigned long long)++storage->uids));
    json_set(metadata, "creationTimestamp", json_new_string(now));
    json_set(metadata, "generation", json_new_integer(1));
    json_remove(metadata, "deletionTimestamp");
    json_remove(metadata, "generateName");
    json_remove(metadata, "managedFields");
}

struct fake_answer fake_storage_create(struct fake_storage *storage, const struct fake_kind *kind,
                                       const char *namespace_, const cJSON *body)
{
    const char *name = json_string_at(body, "metadata.name");
    const char *prefix = json_string_at(body, "metadata.generateName");
    const char *inside = json_string_at(body, "metadata.namespace");
    if (name == NULL && prefix == NULL)
        return refuse(422, "Invalid", kind, "", "is invalid: metadata.name: Required value");
    if (inside != NULL && strcmp(inside, namespace_) != 0)
        return refuse(400, "BadRequest", kind, name, "is for another namespace than the request");
    AUTO_FREE char *full_name =
        name != NULL ? mem_strdup(name)
                     : mem_printf("%s%05llu", prefix, (unsigned long long)storage->version);
    struct object_key key = { .namespace_ = namespace_, .name = full_name };
    if (find(storage, kind, key) != NULL)
        return refuse(409, "AlreadyExists", kind, full_name, "already exists");

    struct fake_entry *entry = mem_new(struct fake_entry);
    entry->kind = kind;
    entry->json = json_copy(body);
    entry->applied = json_new_object();
    snprintf(entry->path, sizeof(entry->path), "%s/%s/%s/%s", kind->gvr->group, kind->gvr->resource,
             namespace_, full_name);
    fill_metadata(storage, json_member(entry->json, "metadata"), key);
    if (kind->has_status && kind->gvr != &GVR_NODE) /* a kubelet registers with its status */
        json_remove(entry->json, "status");
    set_version(storage, entry->json);
    HASH_ADD_STR(storage->entries, path, entry);
    record(storage, kind, NULL, entry->json, false);
    return (struct fake_answer){ .status = 201, .object = json_copy(entry->json) };
}

/* Preconditions in the shape of metadata or DeleteOptions.preconditions: uid, resourceVersion. */
static bool preconditions_hold(const struct fake_entry *entry, const cJSON *preconditions)
{
    static const char *const names[] = { "uid", "resourceVersion" };
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        const cJSON *wanted = json_get(preconditions, names[i]);
        if (wanted != NULL &&
            !json_equal(wanted, json_get(json_get(entry->json, "metadata"), names[i])))
            return false;
    }
    return true;
}

static struct fake_answer conflict(const struct fake_kind *kind, const char *name)
{
    return refuse(409, "Conflict", kind, name,
                  "cannot be written: a precondition on uid or resourceVersion failed");
}

struct fake_answer fake_storage_merge(struct fake_storage *storage, const struct fake_kind *kind,
                                      struct object_key key, const char *subresource,
                                      const cJSON *patch)
{
    struct fake_entry *entry = find(storage, kind, key);
    if (entry == NULL)
        return not_found(kind, key.name);
    if (!preconditions_hold(entry, json_get(patch, "metadata")))
        return conflict(kind, key.name);
    cJSON *next = json_copy(entry->json);
    merge(next, patch);
    return commit(storage, entry, subresource, next);
}

struct fake_answer fake_storage_apply(struct fake_storage *storage, const struct fake_kind *kind,
                                      struct object_key key, const char *subresource,
                                      const char *manager, const cJSON *body)
{
    const char *name = json_string_at(body, "metadata.name");
    if (json_string_at(body, "apiVersion") == NULL || json_string_at(body, "kind") == NULL ||
        name == NULL || strcmp(name, key.name) != 0)
        return refuse(400, "BadRequest", kind, key.name,
                      "cannot be applied: apiVersion, kind and metadata.name must be set");
    AUTO(json) cJSON *clean = json_new_object();
    merge(clean, body);
    struct fake_answer answer;
    struct fake_entry *entry = find(storage, kind, key);
    if (entry == NULL) {
        if (subresource[0] != '\0')
            return not_found(kind, key.name);
        if (json_at(body, "metadata.uid") != NULL)
            return conflict(kind, key.name);
        answer = fake_storage_create(storage, kind, key.namespace_, clean);
    } else {
        if (!preconditions_hold(entry, json_get(body, "metadata")))
            return conflict(kind, key.name);
        cJSON *next = json_copy(entry->json);
        prune(next, json_get(entry->applied, manager), clean);
        merge(next, clean);
        answer = commit(storage, entry, subresource, next);
    }
    entry = find(storage, kind, key);
    if (entry != NULL)
        json_set(entry->applied, manager, STEAL(clean));
    return answer;
}

struct fake_answer fake_storage_delete(struct fake_storage *storage, const struct fake_kind *kind,
                                       struct object_key key, const cJSON *options)
{
    struct fake_entry *entry = find(storage, kind, key);
    if (entry == NULL)
        return not_found(kind, key.name);
    if (!preconditions_hold(entry, json_get(options, "preconditions")))
        return conflict(kind, key.name);
    struct fake_answer answer = { .status = 200 };
    if (json_at(entry->json, "metadata.finalizers[0]") == NULL) {
        answer.object = json_copy(entry->json);
        remove_entry(storage, entry);
        return answer;
    }
    if (json_at(entry->json, "metadata.deletionTimestamp") == NULL) {
        char now[RFC3339_BYTES];
        rfc3339_format(clock_realtime(storage->clock), now);
        AUTO(json) cJSON *before = json_copy(entry->json);
        cJSON *metadata = json_member(entry->json, "metadata");
        json_set(metadata, "deletionTimestamp", json_new_string(now));
        json_set(metadata, "deletionGracePeriodSeconds", json_new_integer(0));
        json_set(metadata, "generation",
                 json_new_integer(json_integer_at(metadata, "generation", 0) + 1));
        set_version(storage, entry->json);
        record(storage, kind, before, entry->json, false);
    }
    answer.object = json_copy(entry->json);
    return answer;
}

/* ------------------------------------------------------------------ selectors */

typedef const char *lookup(const cJSON *object, const char *name);

static bool requirement_holds(const cJSON *object, char *text, lookup *value_of)
{
    if (text[0] == '!')
        return value_of(object, text + 1) == NULL;
    char *equals = strchr(text, '=');
    if (equals == NULL)
        return value_of(object, text) != NULL;
    bool negated = equals > text && equals[-1] == '!';
    *(negated ? equals - 1 : equals) = '\0';
    const char *wanted = equals[1] == '=' ? equals + 2 : equals + 1;
    const char *value = value_of(object, text);
    return (value != NULL && strcmp(value, wanted) == 0) != negated;
}

static bool selector_matches(const cJSON *object, const char *selector, lookup *value_of)
{
    AUTO_FREE char *copy = mem_strdup(selector != NULL ? selector : "");
    for (char *rest = copy, *text; (text = strsep(&rest, ",")) != NULL;) {
        if (text[0] != '\0' && !requirement_holds(object, text, value_of))
            return false;
    }
    return true;
}

static const char *label_of(const cJSON *object, const char *name)
{
    const cJSON *value = json_get(json_at(object, "metadata.labels"), name);
    return cJSON_IsString(value) ? value->valuestring : NULL;
}

bool fake_labels_match(const cJSON *object, const char *selector)
{
    return selector_matches(object, selector, label_of);
}

bool fake_fields_match(const cJSON *object, const char *selector)
{
    return selector_matches(object, selector, json_string_at);
}
