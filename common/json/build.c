#include "common/json/build.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/buf.h"
#include "common/base/memory.h"
#include "common/json/json.h"

static cJSON *made(cJSON *json)
{
    if (json == NULL)
        mem_exhausted();
    return json;
}

cJSON *json_object(const struct json_member *members)
{
    cJSON *object = json_new_object();
    for (; members->name != NULL; members++) {
        if (members->value != NULL)
            cJSON_AddItemToObject(object, members->name, members->value);
    }
    return object;
}

cJSON *json_array(cJSON *const *items, size_t count)
{
    cJSON *array = json_new_array();
    for (size_t i = 0; i < count; i++)
        json_append(array, items[i]);
    return array;
}

cJSON *json_new_string(const char *text)
{
    return text != NULL ? made(cJSON_CreateString(text)) : NULL;
}

cJSON *json_new_integer(int64_t value)
{
    return made(cJSON_CreateNumber((double)value));
}

cJSON *json_new_number(double value)
{
    return made(cJSON_CreateNumber(value));
}

cJSON *json_new_bool(bool value)
{
    return made(cJSON_CreateBool(value));
}

cJSON *json_new_null(void)
{
    return made(cJSON_CreateNull());
}

cJSON *json_new_object(void)
{
    return made(cJSON_CreateObject());
}

cJSON *json_new_array(void)
{
    return made(cJSON_CreateArray());
}

cJSON *json_new_printf(const char *format, ...)
{
    AUTO(buf) struct buf text = BUF_INIT(JSON_BYTES_MAX);
    va_list args;
    va_start(args, format);
    buf_vprintf(&text, format, args);
    va_end(args);
    return json_new_string(buf_text(&text));
}

void json_set(cJSON *object, const char *name, cJSON *value)
{
    if (value == NULL)
        return;
    cJSON_DeleteItemFromObjectCaseSensitive(object, name);
    cJSON_AddItemToObject(object, name, value);
}

void json_append(cJSON *array, cJSON *item)
{
    if (item != NULL)
        cJSON_AddItemToArray(array, item);
}

cJSON *json_member(cJSON *object, const char *name)
{
    return cJSON_IsObject(object) ? cJSON_GetObjectItemCaseSensitive(object, name) : NULL;
}

void json_remove(cJSON *object, const char *name)
{
    if (cJSON_IsObject(object))
        cJSON_DeleteItemFromObjectCaseSensitive(object, name);
}
