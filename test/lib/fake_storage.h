/* The objects behind fake_apiserver.h and the rules an API server applies to a write. Not
 * thread-safe. */
#pragma once

#include <cjson/cJSON.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/clock.h"
#include "common/k8s/object.h"

struct fake_kind {
    const struct gvr *gvr;
    bool has_status; /* a status subresource */
    bool is_custom;  /* by a CRD: list items carry apiVersion and kind */
};

/* NULL: not served. */
const struct fake_kind *fake_kind_find(const char *group, const char *resource);

/* What happened, for watches. Either tree may be NULL: created, deleted. */
struct fake_change {
    uint64_t version;
    const struct fake_kind *kind;
    cJSON *before, *after;
    bool deleted; /* `after` is then the last state */
};

struct fake_entry;

struct fake_storage {
    const struct clock *clock;
    struct fake_entry *entries; /* by group/resource/namespace/name */
    struct fake_change *changes;
    size_t change_count, change_capacity;
    uint64_t version;
    uint64_t uids;
};

/* The answer to a write: an HTTP status, and the object (a copy of the caller's own) or what is
 * wrong. */
struct fake_answer {
    int status;
    const char *reason;
    char message[256];
    cJSON *object;
};

void fake_storage_init(struct fake_storage *storage, const struct clock *clock);
void fake_storage_fini(struct fake_storage *storage);

/* Borrowed until the next write; NULL when absent. */
const cJSON *fake_storage_get(struct fake_storage *storage, const struct fake_kind *kind,
                              struct object_key key);
/* All of a kind sorted by key, in an array of borrowed trees that the caller frees. */
const cJSON **fake_storage_list(struct fake_storage *storage, const struct fake_kind *kind,
                                size_t *count_out);

struct fake_answer fake_storage_create(struct fake_storage *storage, const struct fake_kind *kind,
                                       const char *namespace_, const cJSON *body);
/* `subresource` is "" or "status"; "*" changes both halves at once, as no client can. */
struct fake_answer fake_storage_merge(struct fake_storage *storage, const struct fake_kind *kind,
                                      struct object_key key, const char *subresource,
                                      const cJSON *patch);
struct fake_answer fake_storage_apply(struct fake_storage *storage, const struct fake_kind *kind,
                                      struct object_key key, const char *subresource,
                                      const char *manager, const cJSON *body);
struct fake_answer fake_storage_delete(struct fake_storage *storage, const struct fake_kind *kind,
                                       struct object_key key, const cJSON *options);

/* Equality selectors: a=b, a==b, a!=b, a, !a, joined by ','. NULL and "" match all. */
bool fake_labels_match(const cJSON *object, const char *selector);
bool fake_fields_match(const cJSON *object, const char *selector);
