/* Typed objects from tables. A `.def` file lists the members of each struct once and is included
 * several times: to declare the structs, and to define the tables that this engine decodes and
 * encodes by.
 *
 *     STRUCT(workspace_partition)
 *         F_STRING (mode,    "mode",    REQUIRED)
 *         F_INTEGER(count,   "count",   0)
 *     END(workspace_partition)
 *
 * A decoded struct borrows its strings from the JSON tree and takes its arrays from the arena; both
 * must outlive it. Nothing is freed one by one. Each struct begins with `node`, the JSON object it
 * was decoded from: encoding writes the known members from the struct and copies all others from
 * the node, so that members added by a newer version survive. */
#pragma once

#include <cjson/cJSON.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/arena.h"
#include "common/base/compiler.h"
#include "common/base/error.h"
#include "common/json/field_errors.h"

enum { CODEC_ITEMS_MAX = 4096 }; /* members of one list or map */

/* Presence is kept where Go distinguishes absent from zero: `count: 0` is not "no count". */
struct opt_integer {
    bool set;
    int64_t value;
};
struct opt_bool {
    bool set;
    bool value;
};
struct string_list {
    const char **items;
    size_t count;
};
struct raw_list {
    const cJSON **items;
    size_t count;
};
struct string_pair {
    const char *key;
    const char *value;
};
struct string_map {
    struct string_pair *items;
    size_t count;
};

enum codec_kind {
    CODEC_STRING,  /* const char *, NULL when absent */
    CODEC_INTEGER, /* struct opt_integer; a JSON integer up to JSON_INTEGER_MAX */
    CODEC_BOOL,    /* struct opt_bool */
    CODEC_STRINGS, /* struct string_list */
    CODEC_MAP,     /* struct string_map: string to string */
    CODEC_RAW,     /* const cJSON *, any value, kept as it is */
    CODEC_OBJECT,  /* struct T *, NULL when absent */
    CODEC_OBJECTS, /* struct T_list { struct T *items; size_t count; } */
};

enum { CODEC_OPTIONAL = 0, CODEC_REQUIRED = 1 };

struct codec_type;

struct codec_field {
    const char *name; /* in JSON */
    enum codec_kind kind;
    unsigned flags;
    size_t offset;
    const struct codec_type *(*type)(void); /* of CODEC_OBJECT and CODEC_OBJECTS */
};

struct codec_type {
    const char *name;
    size_t size;
    const struct codec_field *fields;
    size_t field_count;
};

/* Fills `out` (type->size bytes). Every wrong or missing member becomes one entry of `errors`, with
 * its path below `path` ("" at the root); decoding goes on, so that all are found. JSON null is
 * absent. Returns 0 when nothing was added to `errors`, else -1 (out is then still safe to read).
 */
int codec_decode(const struct codec_type *type, const cJSON *json, const char *path,
                 struct arena *arena, void *out, struct field_errors *errors);

/* As codec_decode, for input that is not a user's: the first problem becomes the error (INVALID).
 */
MUST_CHECK int codec_decode_strict(const struct codec_type *type, const cJSON *json,
                                   struct arena *arena, void *out, struct error *err);

/* The caller owns the tree. Absent members are left out; unknown ones come from `node`. */
cJSON *codec_encode(const struct codec_type *type, const void *in);

/* Look-ups in decoded values; NULL when absent. */
const char *string_map_get(const struct string_map *map, const char *key);
bool string_list_has(const struct string_list *list, const char *text);

/* ------------------------------------------------------------------ tables
 * In a header:   #define CODEC_DECLARE
 *                #include "common/json/codec_begin.h"
 *                #include "common/api/workspace.def"
 *                #include "common/json/codec_end.h"
 * In one .c:     the same with CODEC_DEFINE. It yields struct T, struct T_list and
 *                const struct codec_type *T_type(void) for each STRUCT(T). */
