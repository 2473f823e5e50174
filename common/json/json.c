#include "common/json/json.h"

#include <assert.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/memory.h"

/* One pass before cJSON sees the bytes: bounds the nesting and refuses \u0000, which cJSON would
 * take for the end of the string. Says nothing about the rest of the grammar. */
static int prescan(const char *bytes, size_t count, struct error *err)
{
    size_t depth = 0;
    bool in_string = false;

    for (size_t i = 0; i < count; i++) {
        char c = bytes[i];
        if (c == '\0')
            return error_set(err, ERR_INVALID, "invalid JSON at byte %zu: NUL byte", i);
        if (in_string) {
            if (c == '\\') {
                if (count - i > 5 && memcmp(bytes + i, "\\u0000", 6) == 0)
                    return error_set(err, ERR_INVALID, "invalid JSON at byte %zu: \\u0000", i);
                i++;
            } else if (c == '"') {
                in_string = false;
            }
            continue;
        }
        if (c == '"')
            in_string = true;
        else if ((c == '{' || c == '[') && ++depth > JSON_DEPTH_MAX)
            return error_set(err, ERR_INVALID, "invalid JSON at byte %zu: nested deeper than %d", i,
                             JSON_DEPTH_MAX);
        else if ((c == '}' || c == ']') && depth > 0)
            depth--;
    }
    return 0;
}

int json_parse(const char *bytes, size_t count, size_t bytes_max, cJSON **out, struct error *err)
{
    if (count > bytes_max)
        return error_set(err, ERR_TOO_LARGE, "JSON of %zu bytes; at most %zu are read", count,
                         bytes_max);
    if (prescan(bytes, count, err) < 0)
        return -1;

    const char *end = NULL;
    cJSON *json = cJSON_ParseWithLengthOpts(bytes, count, &end, false);
    if (json == NULL)
        return error_set(err, ERR_INVALID, "invalid JSON at byte %zu",
                         end != NULL ? (size_t)(end - bytes) : (size_t)0);
    while (end < bytes + count && strchr(" \t\r\n", *end) != NULL)
        end++;
    if (end != bytes + count) {
        cJSON_Delete(json);
        return error_set(err, ERR_INVALID, "invalid JSON at byte %zu: content after the document",
                         (size_t)(end - bytes));
    }
    *out = json;
    return 0;
}

int json_parse_text(const char *text, cJSON **out, struct error *err)
{
    return json_parse(text, strlen(text), JSON_BYTES_MAX, out, err);
}

char *json_print(const cJSON *json)
{
    char *text = cJSON_PrintUnformatted(json);
    if (text == NULL)
        mem_exhausted();
    return text;
}

void json_free(cJSON *json)
{
    cJSON_Delete(json);
}

cJSON *json_copy(const cJSON *json)
{
    if (json == NULL)
        return NULL;
    cJSON *copy = cJSON_Duplicate(json, true);
    if (copy == NULL)
        mem_exhausted();
    return copy;
}

const cJSON *json_get(const cJSON *object, const char *name)
{
    return cJSON_IsObject(object) ? cJSON_GetObjectItemCaseSensitive(object, name) : NULL;
}

bool json_to_integer(const cJSON *json, int64_t *out)
{
    if (!cJSON_IsNumber(json))
        return false;
    double value = json->valuedouble;
    if (!(value >= -(double)JSON_INTEGER_MAX && value <= (double)JSON_INTEGER_MAX) ||
        value != floor(value))
        return false;
    *out = (int64_t)value;
    return true;
}

static bool contains(const cJSON *whole, const cJSON *part, bool exactly)
{
    if (whole == NULL || part == NULL)
        return whole == part;
    if (cJSON_IsObject(part)) {
        const cJSON *member;
        if (!cJSON_IsObject(whole) ||
            (exactly && cJSON_GetArraySize(whole) != cJSON_GetArraySize(part)))
            return false;
        cJSON_ArrayForEach(member, part) {
            const cJSON *other = json_get(whole, member->string);
            if (other == NULL || !contains(other, member, exactly))
                return false;
        }
        return true;
    }
    if (cJSON_IsArray(part)) {
        if (!cJSON_IsArray(whole))
            return false;
        const cJSON *a = whole->child, *b = part->child;
        for (; a != NULL && b != NULL; a = a->next, b = b->next) {
            if (!contains(a, b, exactly))
                return false;
        }
        return a == NULL && b == NULL;
    }
    return cJSON_Compare(whole, part, true);
}

bool json_equal(const cJSON *a, const cJSON *b)
{
    return contains(a, b, true);
}

bool json_contains(const cJSON *whole, const cJSON *part)
{
    return contains(whole, part, false);
}

static int by_name(const void *a, const void *b)
{
    return strcmp((*(const cJSON *const *)a)->string, (*(const cJSON *const *)b)->string);
}

static void print_canonical(const cJSON *json, struct buf *out)
{
    const cJSON *child;

    if (cJSON_IsArray(json)) {
        buf_putc(out, '[');
        cJSON_ArrayForEach(child, json) {
            if (child != json->child)
                buf_putc(out, ',');
            print_canonical(child, out);
        }
        buf_putc(out, ']');
        return;
    }
    if (!cJSON_IsObject(json)) {
        AUTO_FREE char *text = json_print(json);
        buf_puts(out, text);
        return;
    }
    size_t count = 0;
    AUTO_FREE const cJSON **members =
        mem_calloc((size_t)cJSON_GetArraySize(json), sizeof(const cJSON *));
    cJSON_ArrayForEach(child, json)
        members[count++] = child;
    qsort(members, count, sizeof(*members), by_name);
    buf_putc(out, '{');
    for (size_t i = 0; i < count; i++) {
        const cJSON name = { .type = cJSON_String, .valuestring = members[i]->string };
        AUTO_FREE char *text = json_print(&name);
        buf_printf(out, "%s%s:", i > 0 ? "," : "", text);
        print_canonical(members[i], out);
    }
    buf_putc(out, '}');
}

char *json_print_canonical(const cJSON *json)
{
    struct buf out = BUF_INIT(SIZE_MAX / 2);
    print_canonical(json, &out);
    return buf_take(&out);
}

/* ------------------------------------------------------------------ paths */

enum { STEP_BYTES_MAX = 256 };

static const cJSON *step_index(const cJSON *json, const char *text, size_t length)
{
    const char *equals = memchr(text, '=', length);
    const cJSON *item;

    if (equals == NULL)
        return cJSON_IsArray(json) ? cJSON_GetArrayItem(json, atoi(text)) : NULL;

    char name[STEP_BYTES_MAX], value[STEP_BYTES_MAX];
    size_t name_length = (size_t)(equals - text), value_length = length - name_length - 1;
    assert(name_length < sizeof(name) && value_length < sizeof(value));
    memcpy(name, text, name_length);
    name[name_length] = '\0';
    memcpy(value, equals + 1, value_length);
    value[value_length] = '\0';
    if (!cJSON_IsArray(json))
        return NULL;
    cJSON_ArrayForEach(item, json) {
        const cJSON *member = json_get(item, name);
        if (cJSON_IsString(member) && strcmp(member->valuestring, value) == 0)
            return item;
    }
    return NULL;
}

static const cJSON *step_member(const cJSON *json, const char *text, size_t length)
{
    char name[STEP_BYTES_MAX];
    assert(length > 0 && length < sizeof(name));
    memcpy(name, text, length);
    name[length] = '\0';
    return json_get(json, name);
}

const cJSON *json_at(const cJSON *json, const char *path)
{
    const char *p = path;

    while (*p != '\0' && json != NULL) {
        if (p[0] == '[' && p[1] == '"') {
            const char *end = strstr(p + 2, "\"]");
            assert(end != NULL);
            json = step_member(json, p + 2, (size_t)(end - p) - 2);
            p = end + 2;
        } else if (*p == '[') {
            const char *end = strchr(p, ']');
            assert(end != NULL);
            json = step_index(json, p + 1, (size_t)(end - p) - 1);
            p = end + 1;
        } else {
            size_t length = strcspn(p, ".[");
            json = step_member(json, p, length);
            p += length;
        }
        if (*p == '.')
            p++;
    }
    return json;
}

const char *json_string_at(const cJSON *json, const char *path)
{
    const cJSON *found = json_at(json, path);
    return cJSON_IsString(found) ? found->valuestring : NULL;
}

int64_t json_integer_at(const cJSON *json, const char *path, int64_t otherwise)
{
    int64_t value;
    return json_to_integer(json_at(json, path), &value) ? value : otherwise;
}

bool json_bool_at(const cJSON *json, const char *path, bool otherwise)
{
    const cJSON *found = json_at(json, path);
    return cJSON_IsBool(found) ? cJSON_IsTrue(found) : otherwise;
}
