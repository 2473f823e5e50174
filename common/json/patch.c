#include "common/json/patch.h"

#include "common/base/buf.h"
#include "common/json/build.h"
#include "common/json/json.h"

static void emit(cJSON *patch, const char *operation, const char *pointer, cJSON *value)
{
    json_append(patch, JOBJ(JS("op", operation), JS("path", pointer), JV("value", value)));
}

void json_patch_add(cJSON *patch, const char *pointer, cJSON *value)
{
    emit(patch, "add", pointer, value);
}

void json_patch_replace(cJSON *patch, const char *pointer, cJSON *value)
{
    emit(patch, "replace", pointer, value);
}

void json_patch_remove(cJSON *patch, const char *pointer)
{
    emit(patch, "remove", pointer, NULL);
}

char *json_pointer_escape(const char *token)
{
    struct buf out = BUF_INIT(JSON_BYTES_MAX);
    for (; *token != '\0'; token++) {
        if (*token == '~')
            buf_puts(&out, "~0");
        else if (*token == '/')
            buf_puts(&out, "~1");
        else
            buf_putc(&out, *token);
    }
    return buf_take(&out);
}
