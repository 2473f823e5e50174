#include "common/k8s/store.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include <uthash.h>

#include "common/base/memory.h"
#include "common/base/mutex.h"

struct entry;

/* The objects with one value of one index. */
struct bucket {
    UT_hash_handle hh;
    struct entry **entries;
    size_t count, capacity;
    char value[];
};

struct entry {
    UT_hash_handle hh;
    const struct object *object;
    struct bucket *buckets[STORE_INDEXES_MAX]; /* NULL: the index has no value for it */
    char key[];
};

struct store {
    struct mutex lock; /* guards entries and buckets */
    struct entry *entries;
    struct bucket *buckets[STORE_INDEXES_MAX];
    store_index *indexes[STORE_INDEXES_MAX];
    size_t index_count;
};

struct store *store_new(store_index *const *indexes, size_t index_count)
{
    assert(index_count <= STORE_INDEXES_MAX);
    struct store *store = mem_new(struct store);
    mutex_init(&store->lock);
    store->index_count = index_count;
    for (size_t i = 0; i < index_count; i++)
        store->indexes[i] = indexes[i];
    return store;
}

/* ------------------------------------------------------------------ buckets; the lock is held */

static void bucket_add(struct store *store, size_t index, const char *value, struct entry *entry)
{
    struct bucket *bucket;
    HASH_FIND_STR(store->buckets[index], value, bucket);
    if (bucket == NULL) {
        size_t length = strlen(value);
        bucket = mem_calloc(1, sizeof(*bucket) + length + 1);
        memcpy(bucket->value, value, length);
        HASH_ADD_STR(store->buckets[index], value, bucket);
    }
    if (bucket->count == bucket->capacity) {
        bucket->capacity = bucket->capacity != 0 ? 2 * bucket->capacity : 4;
        bucket->entries = mem_realloc(bucket->entries, bucket->capacity * sizeof(struct entry *));
    }
    bucket->entries[bucket->count++] = entry;
    entry->buckets[index] = bucket;
}

static void bucket_remove(struct store *store, size_t index, struct entry *entry)
{
    struct bucket *bucket = STEAL(entry->buckets[index]);
    if (bucket == NULL)
        return;
    size_t i = 0;
    while (bucket->entries[i] != entry)
        i++;
    bucket->entries[i] = bucket->entries[--bucket->count];
    if (bucket->count > 0)
        return;
    HASH_DEL(store->buckets[index], bucket);
    free(bucket->entries);
    free(bucket);
}

static struct entry *entry_find(struct store *store, const char *key)
{
    struct entry *entry;
    HASH_FIND_STR(store->entries, key, entry);
    return entry;
}

/* Returns the entry's object, whose reference is now the caller's. */
static const struct object *entry_free(struct store *store, struct entry *entry)
{
    const struct object *object = entry->object;
    for (size_t i = 0; i < store->index_count; i++)
        bucket_remove(store, i, entry);
    HASH_DEL(store->entries, entry);
    free(entry);
    return object;
}

void store_free(struct store *store)
{
    if (store == NULL)
        return;
    struct entry *entry, *next;
    HASH_ITER(hh, store->entries, entry, next)
        object_unref(entry_free(store, entry));
    mutex_fini(&store->lock);
    free(store);
}

/* ------------------------------------------------------------------ reading */

const struct object *store_get(struct store *store, struct object_key key)
{
    char text[OBJECT_KEY_BYTES];
    object_key_format(key, text);
    mutex_lock(&store->lock);
    const struct entry *entry = entry_find(store, text);
    const struct object *object = entry != NULL ? object_ref(entry->object) : NULL;
    mutex_unlock(&store->lock);
    return object;
}

static int by_key(const void *a, const void *b)
{
    const struct object *const *left = a, *const *right = b;
    return object_key_compare((*left)->key, (*right)->key);
}

static struct object_list sorted(struct object_list list)
{
    if (list.count > 1)
        qsort(list.items, list.count, sizeof(*list.items), by_key);
    return list;
}

struct object_list store_list(struct store *store)
{
    struct object_list list = { 0 };

    mutex_lock(&store->lock);
    list.items = mem_calloc(HASH_COUNT(store->entries), sizeof(*list.items));
    for (const struct entry *entry = store->entries; entry != NULL; entry = entry->hh.next)
        list.items[list.count++] = object_ref(entry->object);
    mutex_unlock(&store->lock);
    return sorted(list);
}

struct object_list store_by_index(struct store *store, size_t index, const char *value)
{
    assert(index < store->index_count);
    struct object_list list = { 0 };
    const struct bucket *bucket;

    mutex_lock(&store->lock);
    HASH_FIND_STR(store->buckets[index], value, bucket);
    list.items = mem_calloc(bucket != NULL ? bucket->count : 0, sizeof(*list.items));
    for (size_t i = 0; bucket != NULL && i < bucket->count; i++)
        list.items[list.count++] = object_ref(bucket->entries[i]->object);
    mutex_unlock(&store->lock);
    return sorted(list);
}

size_t store_count(struct store *store)
{
    mutex_lock(&store->lock);
    size_t count = HASH_COUNT(store->entries);
    mutex_unlock(&store->lock);
    return count;
}

void object_list_fini(struct object_list *list)
{
    for (size_t i = 0; i < list->count; i++)
        object_unref(list->items[i]);
    free(list->items);
    *list = (struct object_list){ 0 };
}

/* ------------------------------------------------------------------ writing */

static const struct object *put_locked(struct store *store, const char *key,
                                       const struct object *object,
                                       const char *const values[STORE_INDEXES_MAX])
{
    const struct object *before = NULL;
    struct entry *entry = entry_find(store, key);
    if (entry != NULL) {
        before = entry->object;
    } else {
        size_t length = strlen(key);
        entry = mem_calloc(1, sizeof(*entry) + length + 1);
        memcpy(entry->key, key, length);
        HASH_ADD_STR(store->entries, key, entry);
    }
    entry->object = object_ref(object);
    for (size_t i = 0; i < store->index_count; i++) {
        if (values[i] != NULL && entry->buckets[i] != NULL &&
            strcmp(values[i], entry->buckets[i]->value) == 0)
            continue;
        bucket_remove(store, i, entry);
        if (values[i] != NULL)
            bucket_add(store, i, values[i], entry);
    }
    return before;
}

const struct object *store_put(struct store *store, const struct object *object)
{
    char key[OBJECT_KEY_BYTES], buffers[STORE_INDEXES_MAX][OBJECT_KEY_BYTES];
    const char *values[STORE_INDEXES_MAX] = { NULL };

    object_key_format(object->key, key);
    for (size_t i = 0; i < store->index_count; i++)
        values[i] = store->indexes[i](object, buffers[i]);
    mutex_lock(&store->lock);
    const struct object *before = put_locked(store, key, object, values);
    mutex_unlock(&store->lock);
    return before;
}

const struct object *store_remove(struct store *store, struct object_key key)
{
    char text[OBJECT_KEY_BYTES];
    object_key_format(key, text);
    mutex_lock(&store->lock);
    struct entry *entry = entry_find(store, text);
    const struct object *before = entry != NULL ? entry_free(store, entry) : NULL;
    mutex_unlock(&store->lock);
    return before;
}
