/* The one way in and out of JSON text. cJSON trees may be read anywhere through `const cJSON *`;
 * they are parsed, printed and looked up only through this header, because cJSON's own defaults are
 * unsafe for us: look-up ignores case, trailing bytes are accepted, strings are cut at \u0000, and
 * numbers lose digits from 1e15 up. */
#pragma once

#include <cjson/cJSON.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/buf.h"
#include "common/base/compiler.h"
#include "common/base/error.h"

enum {
    JSON_DEPTH_MAX = 64,              /* a pod template nests about 15 deep */
    JSON_BYTES_MAX = 8 * 1024 * 1024, /* default for json_parse_text */
};

/* Integers of this magnitude or more are not representable exactly after a trip through cJSON. */
#define JSON_INTEGER_MAX INT64_C(999999999999999)

/* Parses exactly one document. Refuses: more than `bytes_max` bytes, nesting deeper than
 * JSON_DEPTH_MAX, trailing content, \u0000 in a string. Error: INVALID or TOO_LARGE, with the byte
 * offset. The caller owns the tree: AUTO(json) or json_free(). */
MUST_CHECK int json_parse(const char *bytes, size_t count, size_t bytes_max, cJSON **out,
                          struct error *err);

/* Further bounds for what strangers send, looked at before anything is allocated: a value takes 80
 * bytes and more, whatever little it is as text. */
struct json_limits {
    size_t bytes_max;
    size_t values_max;       /* in the whole document */
    size_t items_max;        /* in one list or object */
    size_t string_bytes_max; /* as written */
};
MUST_CHECK int json_parse_within(const char *bytes, size_t count, const struct json_limits *limits,
                                 cJSON **out, struct error *err);
MUST_CHECK int json_parse_text(const char *text, cJSON **out, struct error *err);

/* Compact text; the caller frees it. Never fails (out of memory aborts). */
char *json_print(const cJSON *json);
/* Canonical text: object members sorted by name at every level, for hashing and comparing. */
char *json_print_canonical(const cJSON *json);

void json_free(cJSON *json);
cJSON *json_copy(const cJSON *json); /* deep; NULL gives NULL */

/* Equal but for the order of object members; in n log n. NULL equals NULL only. */
bool json_equal(const cJSON *a, const cJSON *b);
/* Every member of `part` is in `whole`: objects recursively, arrays of as many items, each in its
 * counterpart, all else equal. */
bool json_contains(const cJSON *whole, const cJSON *part);

/* Exact-case member or NULL; NULL and non-objects give NULL. */
const cJSON *json_get(const cJSON *object, const char *name);

/* Path reading for foreign kinds: members joined by '.', array items by [2] or by a member's value
 * [type=Ready]; a member whose name holds dots in ["..."]:
 *     "status.conditions[type=Ready].status"    "metadata.annotations[\"kaito.sh/runtime\"]"
 * The path is a literal of the program; a malformed one is an assertion. Absent gives NULL. */
const cJSON *json_at(const cJSON *json, const char *path);
const char *json_string_at(const cJSON *json, const char *path); /* NULL unless a string */
int64_t json_integer_at(const cJSON *json, const char *path, int64_t otherwise);
bool json_bool_at(const cJSON *json, const char *path, bool otherwise);

/* True and the value when `json` is an integer of magnitude up to JSON_INTEGER_MAX. */
bool json_to_integer(const cJSON *json, int64_t *out);

DEFINE_CLEANUP_P(json, cJSON, json_free)
