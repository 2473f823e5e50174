/* What an informer knows: objects by key, and by the values of indexes. Thread-safe; readers never
 * wait on I/O. Objects are handed out as references (object_unref when done). */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "common/base/compiler.h"
#include "common/k8s/object.h"

struct store;

/* The index value of an object in the caller's buffer, or NULL for none. At most 64 indexes' worth
 * of thought: we use one or two. */
typedef const char *store_index(const struct object *object, char out[OBJECT_KEY_BYTES]);

struct object_list {
    const struct object **items; /* references */
    size_t count;
};

enum { STORE_INDEXES_MAX = 4 };

struct store *store_new(store_index *const *indexes, size_t index_count);
void store_free(struct store *store);

/* The stored object or NULL; a reference of the caller's own. */
const struct object *store_get(struct store *store, struct object_key key);
/* All objects, or those with `value` in index number `index`; sorted by key. */
struct object_list store_list(struct store *store);
struct object_list store_by_index(struct store *store, size_t index, const char *value);
size_t store_count(struct store *store);
void object_list_fini(struct object_list *list);

/* For the reflector: takes a reference of `object`. Returns the object it replaced (the caller
 * unrefs) or NULL. */
const struct object *store_put(struct store *store, const struct object *object);
const struct object *store_remove(struct store *store, struct object_key key);

DEFINE_CLEANUP(object_list, struct object_list, object_list_fini)
