#include "common/json/yaml.h"

#include <ctype.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <yaml.h>

#include "common/base/memory.h"
#include "common/json/build.h"
#include "common/json/json.h"

enum { NUMBER_BYTES_MAX = 64 };

DEFINE_CLEANUP(event, yaml_event_t, yaml_event_delete)

struct reader {
    yaml_parser_t parser;
    size_t nodes;
    struct error *err;
};

/* The keys of one mapping in the order met, to find duplicates once it ends. */
struct key {
    const char *text; /* borrowed from the JSON member */
    yaml_mark_t mark;
};

struct keys {
    struct key *items;
    size_t count, capacity;
};

static void keys_fini(struct keys *keys)
{
    free(keys->items);
}

DEFINE_CLEANUP(keys, struct keys, keys_fini)

static int PRINTF_LIKE(3, 4)
    fail(struct reader *reader, const yaml_mark_t *mark, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    error_vset(reader->err, ERR_INVALID, format, args);
    va_end(args);
    return error_wrap(reader->err, "invalid YAML at line %zu, column %zu", mark->line + 1,
                      mark->column + 1);
}

static int next_event(struct reader *reader, yaml_event_t *event)
{
    yaml_parser_t *parser = &reader->parser;
    if (yaml_parser_parse(parser, event))
        return 0;
    if (parser->error == YAML_MEMORY_ERROR)
        mem_exhausted();
    /* The problem's own mark is left at zero by the decoder of characters. */
    const yaml_mark_t *mark =
        parser->error == YAML_READER_ERROR ? &parser->mark : &parser->problem_mark;
    return fail(reader, mark, "%s", parser->problem != NULL ? parser->problem : "syntax error");
}

/* ------------------------------------------------------------------ scalars */

static bool is_one_of(const char *text, const char *const *words)
{
    for (; *words != NULL; words++) {
        if (strcmp(text, *words) == 0)
            return true;
    }
    return false;
}

/* [0-9]+ and the like in `base`, nothing else, up to 64 bits. */
static bool parse_digits(const char *text, unsigned base, double *out)
{
    static const char digits[] = "0123456789abcdef";
    uint64_t value = 0;
    if (*text == '\0')
        return false;
    for (; *text != '\0'; text++) {
        const char *found = memchr(digits, tolower((unsigned char)*text), base);
        if (found == NULL)
            return false;
        unsigned digit = (unsigned)(found - digits);
        if (value > (UINT64_MAX - digit) / base)
            return false;
        value = value * base + digit;
    }
    *out = (double)value;
    return true;
}

static bool parse_integer(const char *text, double *out)
{
    if (text[0] != '0' || text[1] == '\0')
        return parse_digits(text, 10, out);
    switch (tolower((unsigned char)text[1])) {
    case 'x':
        return parse_digits(text + 2, 16, out);
    case 'o':
        return parse_digits(text + 2, 8, out);
    case 'b':
        return parse_digits(text + 2, 2, out);
    default:
        return parse_digits(text + 1, 8, out);
    }
}

/* (\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)? */
static bool parse_float(const char *text, double *out)
{
    const char *p = text;
    size_t whole = strspn(p, "0123456789"), fraction = 0;
    p += whole;
    if (*p == '.') {
        fraction = strspn(p + 1, "0123456789");
        p += 1 + fraction;
    }
    if (whole + fraction == 0)
        return false;
    if (*p == 'e' || *p == 'E') {
        p += p[1] == '-' || p[1] == '+' ? 2 : 1;
        size_t exponent = strspn(p, "0123456789");
        if (exponent == 0)
            return false;
        p += exponent;
    }
    if (*p != '\0')
        return false;
    *out = strtod(text, NULL);
    return isfinite(*out);
}

static bool parse_number(const char *text, double *out)
{
    char digits[NUMBER_BYTES_MAX];
    size_t length = 0;
    bool negative = *text == '-';

    if (*text == '-' || *text == '+')
        text++;
    if (!isdigit((unsigned char)*text) && *text != '.')
        return false;
    bool grouped = *text != '.'; /* 1_000_000 */
    for (; *text != '\0'; text++) {
        if (*text == '_' && grouped)
            continue;
        if (length == sizeof(digits) - 1)
            return false;
        digits[length++] = *text;
    }
    digits[length] = '\0';
    if (!parse_integer(digits, out) && !parse_float(digits, out))
        return false;
    if (negative && *out != 0)
        *out = -*out;
    return true;
}

/* What a plain scalar means: a JSON value, or NULL with an error. */
static cJSON *resolve(struct reader *reader, const char *text, const yaml_mark_t *mark)
{
    static const char *const nulls[] = { "", "~", "null", "Null", "NULL", NULL };
    static const char *const trues[] = { "true", "True", "TRUE", "yes", "Yes",
                                         "YES",  "on",   "On",   "ON",  NULL };
    static const char *const falses[] = { "false", "False", "FALSE", "no",  "No",
                                          "NO",    "off",   "Off",   "OFF", NULL };
    static const char *const outside_json[] = { ".nan",  ".NaN",  ".NAN",  ".inf",  ".Inf",
                                                ".INF",  "+.inf", "+.Inf", "+.INF", "-.inf",
                                                "-.Inf", "-.INF", NULL };
    double number;

    if (is_one_of(text, nulls))
        return json_new_null();
    if (is_one_of(text, trues))
        return json_new_bool(true);
    if (is_one_of(text, falses))
        return json_new_bool(false);
    if (is_one_of(text, outside_json)) {
        fail(reader, mark, "%s has no meaning in JSON", text);
        return NULL;
    }
    if (!parse_number(text, &number))
        return json_new_string(text);
    cJSON *json = cJSON_CreateNumber(number);
    if (json == NULL)
        mem_exhausted();
    return json;
}

/* The text of a scalar that carries nothing but text: no anchor, no tag, no NUL byte. */
static const char *scalar_text(struct reader *reader, const yaml_event_t *event)
{
    const char *text = (const char *)event->data.scalar.value;
    if (event->data.scalar.anchor != NULL)
        fail(reader, &event->start_mark, "anchors are not accepted");
    else if (event->data.scalar.tag != NULL &&
             strcmp((const char *)event->data.scalar.tag, YAML_STR_TAG) != 0)
        fail(reader, &event->start_mark, "tag %.64s is not accepted",
             (const char *)event->data.scalar.tag);
    else if (strlen(text) != event->data.scalar.length)
        fail(reader, &event->start_mark, "NUL byte in text");
    else
        return text;
    return NULL;
}

static bool is_plain(const yaml_event_t *event)
{
    return event->data.scalar.style == YAML_PLAIN_SCALAR_STYLE && event->data.scalar.tag == NULL;
}

static cJSON *read_scalar(struct reader *reader, const yaml_event_t *event)
{
    const char *text = scalar_text(reader, event);
    if (text == NULL)
        return NULL;
    return is_plain(event) ? resolve(reader, text, &event->start_mark) : json_new_string(text);
}

/* ------------------------------------------------------------------ collections */

static cJSON *read_node(struct reader *reader, const yaml_event_t *event, int depth);

static cJSON *read_sequence(struct reader *reader, int depth)
{
    AUTO(json) cJSON *array = json_new_array();
    for (;;) {
        AUTO(event) yaml_event_t event = { 0 };
        if (next_event(reader, &event) < 0)
            return NULL;
        if (event.type == YAML_SEQUENCE_END_EVENT)
            return STEAL(array);
        cJSON *item = read_node(reader, &event, depth);
        if (item == NULL)
            return NULL;
        json_append(array, item);
    }
}

static const char *read_key(struct reader *reader, const yaml_event_t *event)
{
    if (event->type != YAML_SCALAR_EVENT) {
        fail(reader, &event->start_mark, "a key must be text");
        return NULL;
    }
    const char *text = scalar_text(reader, event);
    if (text == NULL || !is_plain(event) || (*text != '\0' && strcmp(text, "<<") != 0))
        return text;
    fail(reader, &event->start_mark,
         *text == '\0' ? "a key is missing" : "merge keys are not accepted");
    return NULL;
}

static void keys_add(struct keys *keys, const char *text, const yaml_mark_t *mark)
{
    if (keys->count == keys->capacity) {
        keys->capacity = keys->capacity != 0 ? keys->capacity * 2 : 16;
        keys->items = mem_realloc(keys->items, keys->capacity * sizeof(*keys->items));
    }
    keys->items[keys->count++] = (struct key){ .text = text, .mark = *mark };
}

static int by_text_then_place(const void *a, const void *b)
{
    const struct key *left = a, *right = b;
    int order = strcmp(left->text, right->text);
    if (order != 0)
        return order;
    return left->mark.index < right->mark.index ? -1 : 1;
}

static int check_duplicates(struct reader *reader, struct keys *keys)
{
    if (keys->count < 2)
        return 0;
    qsort(keys->items, keys->count, sizeof(*keys->items), by_text_then_place);
    for (size_t i = 1; i < keys->count; i++) {
        if (strcmp(keys->items[i - 1].text, keys->items[i].text) == 0)
            return fail(reader, &keys->items[i].mark, "key \"%.128s\" is there twice",
                        keys->items[i].text);
    }
    return 0;
}

static cJSON *read_mapping(struct reader *reader, int depth)
{
    AUTO(json) cJSON *object = json_new_object();
    AUTO(keys) struct keys keys = { 0 };
    for (;;) {
        AUTO(event) yaml_event_t key = { 0 };
        AUTO(event) yaml_event_t value = { 0 };
        if (next_event(reader, &key) < 0)
            return NULL;
        if (key.type == YAML_MAPPING_END_EVENT)
            return check_duplicates(reader, &keys) == 0 ? STEAL(object) : NULL;
        const char *text = read_key(reader, &key);
        if (text == NULL || next_event(reader, &value) < 0)
            return NULL;
        cJSON *member = read_node(reader, &value, depth);
        if (member == NULL)
            return NULL;
        /* Not json_set(), which would look for the name each time. */
        if (!cJSON_AddItemToObject(object, text, member))
            mem_exhausted();
        keys_add(&keys, member->string, &key.start_mark);
    }
}

static cJSON *read_collection(struct reader *reader, const yaml_event_t *event, int depth)
{
    bool mapping = event->type == YAML_MAPPING_START_EVENT;
    const yaml_char_t *anchor =
        mapping ? event->data.mapping_start.anchor : event->data.sequence_start.anchor;
    const yaml_char_t *tag =
        mapping ? event->data.mapping_start.tag : event->data.sequence_start.tag;
    if (anchor != NULL)
        fail(reader, &event->start_mark, "anchors are not accepted");
    else if (tag != NULL)
        fail(reader, &event->start_mark, "tag %.64s is not accepted", (const char *)tag);
    else if (depth == JSON_DEPTH_MAX)
        fail(reader, &event->start_mark, "nested deeper than %d", JSON_DEPTH_MAX);
    else
        return mapping ? read_mapping(reader, depth + 1) : read_sequence(reader, depth + 1);
    return NULL;
}

/* The value that begins with `event`, or NULL with an error. Recursion ends at JSON_DEPTH_MAX. */
static cJSON *read_node(struct reader *reader, const yaml_event_t *event, int depth)
{
    if (++reader->nodes > YAML_NODES_MAX) {
        fail(reader, &event->start_mark, "more than %d values", YAML_NODES_MAX);
        return NULL;
    }
    switch (event->type) {
    case YAML_SCALAR_EVENT:
        return read_scalar(reader, event);
    case YAML_SEQUENCE_START_EVENT:
    case YAML_MAPPING_START_EVENT:
        return read_collection(reader, event, depth);
    default:
        fail(reader, &event->start_mark, "aliases are not accepted");
        return NULL;
    }
}

/* ------------------------------------------------------------------ documents */

/* Appends up to `documents_max` documents to `out`; one more is an error. */
static int read_stream(struct reader *reader, size_t documents_max, cJSON *out)
{
    size_t documents = 0;
    for (;;) {
        AUTO(event) yaml_event_t event = { 0 };
        if (next_event(reader, &event) < 0)
            return -1;
        if (event.type == YAML_STREAM_END_EVENT)
            return 0;
        if (event.type == YAML_STREAM_START_EVENT || event.type == YAML_DOCUMENT_END_EVENT)
            continue;
        if (event.type == YAML_DOCUMENT_START_EVENT) {
            if (++documents > documents_max)
                return fail(reader, &event.start_mark, "more than one document");
            continue;
        }
        cJSON *document = read_node(reader, &event, 0);
        if (document == NULL)
            return -1;
        json_append(out, document);
    }
}

static int read_documents(const char *bytes, size_t count, size_t documents_max, cJSON **out,
                          struct error *err)
{
    if (count > YAML_BYTES_MAX)
        return error_set(err, ERR_INVALID, "YAML of %zu bytes; at most %d are read", count,
                         YAML_BYTES_MAX);
    struct reader reader = { .err = err };
    if (!yaml_parser_initialize(&reader.parser))
        mem_exhausted();
    yaml_parser_set_input_string(&reader.parser, (const unsigned char *)bytes, count);
    AUTO(json) cJSON *documents = json_new_array();
    int result = read_stream(&reader, documents_max, documents);
    yaml_parser_delete(&reader.parser);
    if (result == 0)
        *out = STEAL(documents);
    return result;
}

int yaml_to_json(const char *bytes, size_t count, cJSON **out, struct error *err)
{
    AUTO(json) cJSON *documents = NULL;
    if (read_documents(bytes, count, 1, &documents, err) < 0)
        return -1;
    cJSON *document = cJSON_DetachItemFromArray(documents, 0);
    *out = document != NULL ? document : json_new_null();
    return 0;
}

int yaml_to_json_all(const char *bytes, size_t count, cJSON **out, struct error *err)
{
    cJSON *documents = NULL;
    if (read_documents(bytes, count, SIZE_MAX, &documents, err) < 0)
        return -1;
    for (cJSON *item = documents->child, *next; item != NULL; item = next) {
        next = item->next;
        if (cJSON_IsNull(item))
            json_free(cJSON_DetachItemViaPointer(documents, item));
    }
    *out = documents;
    return 0;
}
