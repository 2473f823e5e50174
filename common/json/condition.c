#include "common/json/condition.h"

#include <string.h>

#include "common/json/json.h"

const cJSON *json_condition(const cJSON *object, const char *type)
{
    const cJSON *condition;
    cJSON_ArrayForEach(condition, json_at(object, "status.conditions")) {
        const char *name = json_string_at(condition, "type");
        if (name != NULL && strcmp(name, type) == 0)
            return condition;
    }
    return NULL;
}

bool json_condition_is(const cJSON *object, const char *type, const char *status)
{
    const char *actual = json_string_at(json_condition(object, type), "status");
    return actual != NULL && strcmp(actual, status) == 0;
}
