/* The CRD's schema and the tables of common/api must say the same: members, types, required flags.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "common/api/workspace.h"
#include "common/base/buf.h"
#include "common/json/json.h"
#include "test/lib/literals.h"

static const char crd_path[] = "deploy/crds/kaito.sh_workspaces.yaml";

enum { DIFFERENCES_BYTES_MAX = 64 * 1024 };

static void compare(const struct codec_type *type, const cJSON *schema, const char *path,
                    struct arena *arena, struct buf *out);

static bool is_type(const cJSON *schema, const char *type)
{
    const char *found = json_string_at(schema, "type");
    return found != NULL && strcmp(found, type) == 0;
}

static bool is_list_of(const cJSON *schema, const char *type)
{
    return is_type(schema, "array") && is_type(json_get(schema, "items"), type);
}

static bool is_map_of(const cJSON *schema, const char *type)
{
    return is_type(schema, "object") && is_type(json_get(schema, "additionalProperties"), type);
}

/* Raw is what other types describe: kept as it is, or a map whose values have a table of their own.
 */
static bool is_free(const cJSON *schema)
{
    return json_bool_at(schema, "x-kubernetes-preserve-unknown-fields", false) ||
           is_map_of(schema, "object");
}

static bool fits(const struct codec_field *field, const cJSON *schema)
{
    switch (field->kind) {
    case CODEC_STRING:
        return is_type(schema, "string");
    case CODEC_INTEGER:
        return is_type(schema, "integer");
    case CODEC_BOOL:
        return is_type(schema, "boolean");
    case CODEC_STRINGS:
        return is_list_of(schema, "string");
    case CODEC_MAP:
        return is_map_of(schema, "string");
    case CODEC_RAW:
        return is_free(schema);
    case CODEC_OBJECT:
        return is_type(schema, "object") && json_get(schema, "properties") != NULL;
    case CODEC_OBJECTS:
        return is_list_of(schema, "object");
    }
    return false;
}

static bool requires(const cJSON *schema, const char *name)
{
    const cJSON *item;
    cJSON_ArrayForEach(item, json_get(schema, "required")) {
        if (cJSON_IsString(item) && strcmp(item->valuestring, name) == 0)
            return true;
    }
    return false;
}

static void compare_field(const struct codec_field *field, const cJSON *schema, const char *path,
                          struct arena *arena, struct buf *out)
{
    const cJSON *property = json_get(json_get(schema, "properties"), field->name);
    const char *below = arena_printf(arena, "%s.%s", path, field->name);
    if (property == NULL) {
        buf_printf(out, "%s: not in the schema\n", below);
        return;
    }
    if (((field->flags & CODEC_REQUIRED) != 0) != requires(schema, field->name))
        buf_printf(out, "%s: required in one of both only\n", below);
    if (!fits(field, property))
        buf_printf(out, "%s: another type\n", below);
    else if (field->kind == CODEC_OBJECT)
        compare(field->type(), property, below, arena, out);
    else if (field->kind == CODEC_OBJECTS)
        compare(field->type(), json_get(property, "items"), below, arena, out);
}

static const struct codec_field *find_field(const struct codec_type *type, const char *name)
{
    for (size_t i = 0; i < type->field_count; i++) {
        if (strcmp(type->fields[i].name, name) == 0)
            return &type->fields[i];
    }
    return NULL;
}

/* What the API server defines for every kind is described by it, not by the CRD. */
static bool is_of_the_server(const char *path, const char *name)
{
    return *path == '\0' && (strcmp(name, "apiVersion") == 0 || strcmp(name, "kind") == 0 ||
                             strcmp(name, "metadata") == 0);
}

/* Appends one line to `out` for each difference. */
static void compare(const struct codec_type *type, const cJSON *schema, const char *path,
                    struct arena *arena, struct buf *out)
{
    const cJSON *property, *required;
    for (size_t i = 0; i < type->field_count; i++) {
        if (!is_of_the_server(path, type->fields[i].name))
            compare_field(&type->fields[i], schema, path, arena, out);
    }
    cJSON_ArrayForEach(property, json_get(schema, "properties")) {
        if (find_field(type, property->string) == NULL)
            buf_printf(out, "%s.%s: not in the table\n", path, property->string);
    }
    cJSON_ArrayForEach(required, json_get(schema, "required")) {
        if (json_get(json_get(schema, "properties"), required->valuestring) == NULL)
            buf_printf(out, "%s.%s: required, but no property\n", path, required->valuestring);
    }
}

static void check_version(const char *path)
{
    AUTO(arena) struct arena arena = ARENA_INIT;
    AUTO(buf) struct buf out = BUF_INIT(DIFFERENCES_BYTES_MAX);
    AUTO(json) cJSON *crd = json_from_file(crd_path);
    const cJSON *version = json_at(crd, path);
    assert_non_null(version);
    const cJSON *schema = json_at(version, "schema.openAPIV3Schema");
    compare(workspace_type(), schema, "", &arena, &out);
    assert_string_equal(buf_text(&out), "");
}

static void test_schema_of_v1alpha1(void **state)
{
    (void)state;
    check_version("spec.versions[name=v1alpha1]");
}

static void test_schema_of_v1beta1(void **state)
{
    (void)state;
    check_version("spec.versions[name=v1beta1]");
}

static void test_schema_of_performance_metrics(void **state)
{
    (void)state;
    AUTO(arena) struct arena arena = ARENA_INIT;
    AUTO(buf) struct buf out = BUF_INIT(DIFFERENCES_BYTES_MAX);
    AUTO(json) cJSON *crd = json_from_file(crd_path);
    const cJSON *version;
    cJSON_ArrayForEach(version, json_at(crd, "spec.versions")) {
        const cJSON *metric =
            json_at(version, "schema.openAPIV3Schema.properties.status.properties.performance."
                             "properties.metrics.additionalProperties");
        compare(performance_metric_type(), metric, "metrics[]", &arena, &out);
    }
    assert_string_equal(buf_text(&out), "");
}

/* The comparison itself: it must see each kind of difference. */
static void test_schema_differences_are_seen(void **state)
{
    (void)state;
    static const char *const table[][2] = {
        { "{\"properties\":{\"mode\":{\"type\":\"string\"},\"profile\":{\"type\":\"string\"},"
          "\"count\":{\"type\":\"integer\"}},\"required\":[\"mode\"]}",
          "" },
        { "{\"properties\":{\"mode\":{\"type\":\"string\"},\"profile\":{\"type\":\"string\"},"
          "\"count\":{\"type\":\"integer\"}}}",
          "p.mode: required in one of both only\n" },
        { "{\"properties\":{\"mode\":{\"type\":\"string\"},\"profile\":{\"type\":\"string\"},"
          "\"count\":{\"type\":\"integer\"}},\"required\":[\"mode\",\"count\",\"size\"]}",
          "p.count: required in one of both only\np.size: required, but no property\n" },
        { "{\"properties\":{\"mode\":{\"type\":\"integer\"},\"count\":{\"type\":\"integer\"},"
          "\"size\":{\"type\":\"string\"}},\"required\":[\"mode\"]}",
          "p.mode: another type\np.profile: not in the schema\np.size: not in the table\n" },
    };
    for (size_t i = 0; i < ARRAY_LEN(table); i++) {
        AUTO(arena) struct arena arena = ARENA_INIT;
        AUTO(buf) struct buf out = BUF_INIT(DIFFERENCES_BYTES_MAX);
        AUTO(json) cJSON *schema = json_literal(table[i][0]);
        compare(workspace_partition_type(), schema, "p", &arena, &out);
        assert_string_equal(buf_text(&out), table[i][1]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_schema_of_v1alpha1),
        cmocka_unit_test(test_schema_of_v1beta1),
        cmocka_unit_test(test_schema_of_performance_metrics),
        cmocka_unit_test(test_schema_differences_are_seen),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
