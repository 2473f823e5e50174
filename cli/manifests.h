/* The objects in the files, folders and streams that a user names, each with the place it comes
 * from. What cannot be read is noted and the rest goes on, so that all is told at once. */
#pragma once

#include <cjson/cJSON.h>
#include <stdbool.h>
#include <stdio.h>

#include "common/base/arena.h"
#include "common/json/codec.h"

enum {
    MANIFEST_FILES_MAX = 10 * 1000,
    MANIFEST_FOLDER_DEPTH_MAX = 32,
    MANIFEST_OBJECTS_MAX = 100 * 1000,
};

struct manifest {
    const char *file; /* as named, or found below it; "standard input" */
    size_t document;  /* from 1; of a List, all items have that of the list */
    const cJSON *json;
    const char *kind; /* never NULL */
};

struct manifests {
    struct arena *arena;
    cJSON *trees; /* an array of all files' trees */
    struct manifest *items;
    size_t count, capacity;
    struct string_list failures; /* "FILE: what is wrong; what to do" */
    size_t failures_capacity;
    size_t files;
};

/* `paths`: files, folders (those of *.yaml, *.yml and *.json in them, sorted) and "-" for `in`. */
void manifests_read(const struct string_list *paths, bool recursive, FILE *in, struct arena *arena,
                    struct manifests *out);
void manifests_fini(struct manifests *manifests);

/* "FILE, document N" */
const char *manifest_place(const struct manifest *manifest, struct arena *arena);
const char *manifest_name(const struct manifest *manifest); /* never NULL */
const char *manifest_namespace(const struct manifest *manifest);
bool manifest_is_workspace(const struct manifest *manifest);

/* The ConfigMap's object or NULL. */
const cJSON *manifests_config_map(const struct manifests *manifests, const char *namespace_,
                                  const char *name);

DEFINE_CLEANUP(manifests, struct manifests, manifests_fini)
