/* status.conditions of any Kubernetes object, by type. Pure; NULL and objects without any are fine.
 */
#pragma once

#include <cjson/cJSON.h>
#include <stdbool.h>

/* The condition of this type, or NULL. Borrowed. */
const cJSON *json_condition(const cJSON *object, const char *type);
/* There is one of this type and it has this status: "True", "False", "Unknown". */
bool json_condition_is(const cJSON *object, const char *type, const char *status);
