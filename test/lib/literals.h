/* Values for tests from text. Text that does not parse fails the test at once. */
#pragma once

#include <cjson/cJSON.h>

#include "common/api/workspace.h"
#include "common/k8s/object.h"

cJSON *json_literal(const char *text);   /* JSON; the caller owns the tree */
cJSON *json_from_file(const char *path); /* JSON or one YAML document, from the root of the tree */
cJSON *json_all_from_file(const char *path); /* every YAML document of the file, as an array */
const struct object *object_literal(const char *text); /* a reference of the caller's */
const struct object *object_from(cJSON *json);         /* takes the tree */
struct workspace workspace_of(const cJSON *json, struct arena *arena); /* borrows the tree */
