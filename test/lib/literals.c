#include "test/lib/literals.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "common/base/file.h"
#include "common/json/json.h"
#include "common/json/yaml.h"

static void check(int result, const struct error *err)
{
    if (result < 0)
        fail_msg("%s", err->message);
}

cJSON *json_literal(const char *text)
{
    struct error err = ERROR_INIT;
    cJSON *json = NULL;
    check(json_parse_text(text, &json, &err), &err);
    return json;
}

static cJSON *from_file(const char *path,
                        int (*parse)(const char *, size_t, cJSON **, struct error *))
{
    AUTO(buf) struct buf text = BUF_INIT(YAML_BYTES_MAX);
    struct error err = ERROR_INIT;
    cJSON *json = NULL;
    check(file_read(path, &text, &err), &err);
    check(parse(buf_text(&text), text.length, &json, &err), &err);
    return json;
}

cJSON *json_from_file(const char *path)
{
    return from_file(path, yaml_to_json);
}

cJSON *json_all_from_file(const char *path)
{
    return from_file(path, yaml_to_json_all);
}

const struct object *object_from(cJSON *json)
{
    struct error err = ERROR_INIT;
    const struct object *object = NULL;
    check(object_new(json, &object, &err), &err);
    return object;
}

const struct object *object_literal(const char *text)
{
    return object_from(json_literal(text));
}

struct workspace workspace_of(const cJSON *json, struct arena *arena)
{
    struct workspace ws;
    struct field_errors errors;
    field_errors_init(&errors, arena);
    if (workspace_decode(json, arena, &ws, &errors) < 0)
        fail_msg("%s", field_errors_text(&errors));
    return ws;
}
