#include "common/json/json.h"

#include <assert.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/memory.h"

/* One pass before cJSON sees the bytes: bounds what the tree can take, and refuses \u0000, which
 * cJSON would take for the end of the string. Says nothing about the rest of the grammar. */
struct scan {
    const char *bytes;
    size_t count;
    const struct json_limits *limits;
    size_t escape; /* see next_escape */
    size_t values;
    size_t depth;
    size_t items[JSON_DEPTH_MAX + 1]; /* of the lists and objects that are open */
};

/* `begin` is behind the opening quote; the result is the closing one, or the end. */
/* The first backslash at or after `from`; looked for again only when the last one found is passed.
 */
static size_t next_escape(struct scan *scan, size_t from)
{
    if (scan->escape < from) {
        const char *found = memchr(scan->bytes + from, '\\', scan->count - from);
        scan->escape = found != NULL ? (size_t)(found - scan->bytes) : scan->count;
    }
    return scan->escape;
}

static size_t next_quote(const struct scan *scan, size_t from)
{
    const char *found = memchr(scan->bytes + from, '"', scan->count - from);
    return found != NULL ? (size_t)(found - scan->bytes) : scan->count;
}

/* To the closing quote, or to the end of the text where there is none. */
static int skip_string(struct scan *scan, size_t begin, size_t *end_out, struct error *err)
{
    size_t end = next_quote(scan, begin);
    for (size_t escape = next_escape(scan, begin); escape < end;
         escape = next_escape(scan, escape + 2)) {
        if (scan->count - escape > 5 && memcmp(scan->bytes + escape, "\\u0000", 6) == 0)
            return error_set(err, ERR_INVALID, "invalid JSON at byte %zu: \\u0000", escape);
        if (escape + 2 >= scan->count) {
            end = scan->count;
            break;
        }
        if (escape + 1 == end)
            end = next_quote(scan, escape + 2);
    }
    if (end - begin > scan->limits->string_bytes_max)
        return error_set(err, ERR_TOO_LARGE, "JSON at byte %zu: a string of more than %zu bytes",
                         begin, scan->limits->string_bytes_max);
    *end_out = end;
    return 0;
}

static int open_container(struct scan *scan, size_t at, struct error *err)
{
    if (++scan->depth > JSON_DEPTH_MAX)
        return error_set(err, ERR_INVALID, "invalid JSON at byte %zu: nested deeper than %d", at,
                         JSON_DEPTH_MAX);
    scan->items[scan->depth] = 1;
    return 0;
}

static int count_value(struct scan *scan, size_t at, struct error *err)
{
    if (++scan->values > scan->limits->values_max)
        return error_set(err, ERR_TOO_LARGE, "JSON at byte %zu: more than %zu values", at,
                         scan->limits->values_max);
    if (scan->items[scan->depth] > scan->limits->items_max)
        return error_set(err, ERR_TOO_LARGE,
                         "JSON at byte %zu: more than %zu items of one list or object", at,
                         scan->limits->items_max);
    return 0;
}

static int prescan(struct scan *scan, struct error *err)
{
    const char *nul = scan->count > 0 ? memchr(scan->bytes, '\0', scan->count) : NULL;
    if (nul != NULL)
        return error_set(err, ERR_INVALID, "invalid JSON at byte %zu: NUL byte",
                         (size_t)(nul - scan->bytes));
    for (size_t i = 0; i < scan->count; i++) {
        switch (scan->bytes[i]) {
        case '"':
            if (skip_string(scan, i + 1, &i, err) < 0)
                return -1;
            break;
        case '{':
        case '[':
            if (open_container(scan, i, err) < 0 || count_value(scan, i, err) < 0)
                return -1;
            break;
        case ',':
            scan->items[scan->depth]++;
            if (count_value(scan, i, err) < 0)
                return -1;
            break;
        case '}':
        case ']':
            scan->depth -= scan->depth > 0;
            break;
        default:
            break;
        }
    }
    return 0;
}

int json_parse_within(const char *bytes, size_t count, const struct json_limits *limits,
                      cJSON **out, struct error *err)
{
    struct scan scan = { .bytes = bytes, .count = count, .limits = limits };
    if (count > limits->bytes_max)
        return error_set(err, ERR_TOO_LARGE, "JSON of %zu bytes; at most %zu are read", count,
                         limits->bytes_max);
    if (prescan(&scan, err) < 0)
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

int json_parse(const char *bytes, size_t count, size_t bytes_max, cJSON **out, struct error *err)
{
    const struct json_limits limits = { .bytes_max = bytes_max,
                                        .values_max = SIZE_MAX,
                                        .items_max = SIZE_MAX,
                                        .string_bytes_max = SIZE_MAX };
    return json_parse_within(bytes, count, &limits, out, err);
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

/* cJSON's own look-up, without the calls into the library: a review makes some hundred of them. */
const cJSON *json_get(const cJSON *object, const char *name)
{
    if (object == NULL || (object->type & 0xFF) != cJSON_Object)
        return NULL;
    const cJSON *member = object->child;
    while (member != NULL && (member->string[0] != name[0] || strcmp(member->string, name) != 0))
        member = member->next;
    return member;
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

/* ------------------------------------------------------------------ comparing */

static int by_name(const void *a, const void *b)
{
    return strcmp((*(const cJSON *const *)a)->string, (*(const cJSON *const *)b)->string);
}

/* The members from `first` on, sorted by name; the caller frees the array. */
static const cJSON **sort_members(const cJSON *first, size_t *count_out)
{
    size_t count = 0;
    for (const cJSON *member = first; member != NULL; member = member->next)
        count++;
    const cJSON **members = mem_calloc(count + 1, sizeof(*members));
    for (size_t i = 0; i < count; i++, first = first->next)
        members[i] = first;
    qsort(members, count, sizeof(*members), by_name);
    *count_out = count;
    return members;
}

/* Without a look-up for each member, which would take the square of their number. */
static bool same_members(const cJSON *a, const cJSON *b)
{
    /* Mostly both are in the same order. */
    for (; a != NULL && b != NULL && strcmp(a->string, b->string) == 0; a = a->next, b = b->next) {
        if (!json_equal(a, b))
            return false;
    }
    if (a == NULL || b == NULL)
        return a == b;
    size_t a_count, b_count;
    AUTO_FREE const cJSON **as = sort_members(a, &a_count);
    AUTO_FREE const cJSON **bs = sort_members(b, &b_count);
    bool same = a_count == b_count;
    for (size_t i = 0; same && i < a_count; i++)
        same = strcmp(as[i]->string, bs[i]->string) == 0 && json_equal(as[i], bs[i]);
    return same;
}

typedef bool comparison(const cJSON *a, const cJSON *b);

static bool same_items(const cJSON *a, const cJSON *b, comparison *compare)
{
    for (; a != NULL && b != NULL; a = a->next, b = b->next) {
        if (!compare(a, b))
            return false;
    }
    return a == b;
}

bool json_equal(const cJSON *a, const cJSON *b)
{
    if (a == NULL || b == NULL)
        return a == b;
    if (cJSON_IsObject(a) && cJSON_IsObject(b))
        return same_members(a->child, b->child);
    if (cJSON_IsArray(a) && cJSON_IsArray(b))
        return same_items(a->child, b->child, json_equal);
    return cJSON_Compare(a, b, true);
}

bool json_contains(const cJSON *whole, const cJSON *part)
{
    const cJSON *member;
    if (whole == NULL || part == NULL)
        return whole == part;
    if (cJSON_IsArray(whole) && cJSON_IsArray(part))
        return same_items(whole->child, part->child, json_contains);
    if (!cJSON_IsObject(whole) || !cJSON_IsObject(part))
        return cJSON_Compare(whole, part, true);
    cJSON_ArrayForEach(member, part) {
        const cJSON *other = json_get(whole, member->string);
        if (other == NULL || !json_contains(other, member))
            return false;
    }
    return true;
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
    size_t count;
    AUTO_FREE const cJSON **members = sort_members(json->child, &count);
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
