/* JSON Patch (RFC 6902), emitted only: add, replace and remove at paths we know. Applying patches
 * is the API server's job. */
#pragma once

#include <cjson/cJSON.h>

#include "common/base/compiler.h"

/* `patch` is an array made by json_new_array(); `pointer` a JSON Pointer such as
 * "/metadata/annotations/kaito.sh~1runtime" (see json_pointer_escape); `value` is consumed. */
void json_patch_add(cJSON *patch, const char *pointer, cJSON *value);
void json_patch_replace(cJSON *patch, const char *pointer, cJSON *value);
void json_patch_remove(cJSON *patch, const char *pointer);

/* One reference token with ~ and / escaped; the caller frees it. */
char *json_pointer_escape(const char *token);
