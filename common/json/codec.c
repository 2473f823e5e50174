#include "common/json/codec.h"

#include <string.h>

#include "common/base/buf.h"
#include "common/json/build.h"
#include "common/json/json.h"

enum { PATH_BYTES_MAX = 128 * 1024 };

/* Every struct of a table starts with its source node. */
struct head {
    const cJSON *node;
};

/* Lists of any element type share this layout. */
struct any_list {
    void *items;
    size_t count;
};

/* Where a value stands, from the inside out; written down only when something is wrong with it. */
struct place {
    const struct place *outer; /* NULL: the root, whose name is the caller's path */
    const char *name;          /* NULL: an item of a list */
    size_t index;
    bool is_key; /* of a map */
};

struct decoder {
    struct arena *arena;
    struct field_errors *errors;
};

static void put_place(struct buf *out, const struct place *place)
{
    if (place->outer != NULL)
        put_place(out, place->outer);
    if (place->name == NULL)
        buf_printf(out, "[%zu]", place->index);
    else if (place->is_key)
        buf_printf(out, "[%s]", place->name);
    else
        buf_printf(out, "%s%s", out->length > 0 ? "." : "", place->name);
}

static const char *path_of(struct arena *arena, const struct place *place)
{
    AUTO(buf) struct buf out = BUF_INIT(PATH_BYTES_MAX);
    put_place(&out, place);
    return arena_strdup(arena, buf_text(&out));
}

static void wrong(struct decoder *decoder, const struct place *place, const cJSON *json,
                  const char *expected)
{
    struct field_error error = { .path = path_of(decoder->arena, place), .kind = FIELD_INVALID };
    error.detail = arena_printf(decoder->arena, "expected %s", expected);
    if (json != NULL && (cJSON_IsString(json) || cJSON_IsNumber(json) || cJSON_IsBool(json))) {
        char *text = cJSON_IsString(json) ? NULL : json_print(json);
        error.value = arena_strdup(decoder->arena, text != NULL ? text : json->valuestring);
        cJSON_free(text);
    }
    field_errors_add(decoder->errors, &error);
}

/* The number of items of an array or object when it may be decoded, else -1 with an error added. */
static long checked_count(struct decoder *decoder, const cJSON *json, const struct place *place,
                          bool array)
{
    if (array ? !cJSON_IsArray(json) : !cJSON_IsObject(json)) {
        wrong(decoder, place, json, array ? "a list" : "a map");
        return -1;
    }
    int count = cJSON_GetArraySize(json);
    if (count > CODEC_ITEMS_MAX) {
        wrong(decoder, place, NULL,
              arena_printf(decoder->arena, "at most %d items, not %d", CODEC_ITEMS_MAX, count));
        return -1;
    }
    return count;
}

static void decode_strings(struct decoder *decoder, const cJSON *json, const struct place *place,
                           struct string_list *out)
{
    long count = checked_count(decoder, json, place, true);
    if (count <= 0)
        return;
    out->items = arena_array(decoder->arena, const char *, (size_t)count);
    struct place inner = { .outer = place };
    const cJSON *item;
    cJSON_ArrayForEach(item, json) {
        if (cJSON_IsString(item))
            out->items[out->count++] = item->valuestring;
        else
            wrong(decoder, &inner, item, "a string");
        inner.index++;
    }
}

static void decode_map(struct decoder *decoder, const cJSON *json, const struct place *place,
                       struct string_map *out)
{
    long count = checked_count(decoder, json, place, false);
    if (count <= 0)
        return;
    out->items = arena_array(decoder->arena, struct string_pair, (size_t)count);
    const cJSON *item;
    cJSON_ArrayForEach(item, json) {
        const struct place inner = { .outer = place, .name = item->string, .is_key = true };
        if (cJSON_IsString(item))
            out->items[out->count++] =
                (struct string_pair){ .key = item->string, .value = item->valuestring };
        else
            wrong(decoder, &inner, item, "a string");
    }
}

static void decode_object(struct decoder *decoder, const struct codec_type *type, const cJSON *json,
                          const struct place *place, void *out);

static void decode_objects(struct decoder *decoder, const struct codec_type *type,
                           const cJSON *json, const struct place *place, struct any_list *out)
{
    long count = checked_count(decoder, json, place, true);
    if (count <= 0)
        return;
    out->items = arena_alloc(decoder->arena, type->size * (size_t)count);
    struct place inner = { .outer = place };
    const cJSON *item;
    cJSON_ArrayForEach(item, json) {
        decode_object(decoder, type, item, &inner, (char *)out->items + type->size * out->count);
        out->count++;
        inner.index++;
    }
}

static void decode_field(struct decoder *decoder, const struct codec_field *field,
                         const cJSON *json, const struct place *place, void *slot)
{
    switch (field->kind) {
    case CODEC_STRING:
        if (cJSON_IsString(json))
            *(const char **)slot = json->valuestring;
        else
            wrong(decoder, place, json, "a string");
        break;
    case CODEC_INTEGER: {
        struct opt_integer *out = slot;
        out->set = json_to_integer(json, &out->value);
        if (!out->set)
            wrong(decoder, place, json, "an integer");
        break;
    }
    case CODEC_BOOL: {
        struct opt_bool *out = slot;
        out->set = cJSON_IsBool(json);
        out->value = cJSON_IsTrue(json);
        if (!out->set)
            wrong(decoder, place, json, "true or false");
        break;
    }
    case CODEC_STRINGS:
        decode_strings(decoder, json, place, slot);
        break;
    case CODEC_MAP:
        decode_map(decoder, json, place, slot);
        break;
    case CODEC_RAW:
        *(const cJSON **)slot = json;
        break;
    case CODEC_OBJECT: {
        const struct codec_type *type = field->type();
        void *object = arena_alloc(decoder->arena, type->size);
        decode_object(decoder, type, json, place, object);
        *(void **)slot = object;
        break;
    }
    case CODEC_OBJECTS:
        decode_objects(decoder, field->type(), json, place, slot);
        break;
    }
}

static void decode_object(struct decoder *decoder, const struct codec_type *type, const cJSON *json,
                          const struct place *place, void *out)
{
    memset(out, 0, type->size);
    if (!cJSON_IsObject(json)) {
        wrong(decoder, place, json, "an object");
        return;
    }
    ((struct head *)out)->node = json;
    for (size_t i = 0; i < type->field_count; i++) {
        const struct codec_field *field = &type->fields[i];
        const struct place inner = { .outer = place, .name = field->name };
        const cJSON *member = json_get(json, field->name);
        if (member != NULL && !cJSON_IsNull(member)) {
            decode_field(decoder, field, member, &inner, (char *)out + field->offset);
        } else if ((field->flags & CODEC_REQUIRED) != 0) {
            field_errors_add(decoder->errors,
                             &(struct field_error){ .path = path_of(decoder->arena, &inner),
                                                    .kind = FIELD_REQUIRED });
        }
    }
}

int codec_decode(const struct codec_type *type, const cJSON *json, const char *path,
                 struct arena *arena, void *out, struct field_errors *errors)
{
    struct decoder decoder = { .arena = arena, .errors = errors };
    const struct place root = { .name = path };
    size_t before = errors->count + errors->dropped;
    decode_object(&decoder, type, json, &root, out);
    return errors->count + errors->dropped == before ? 0 : -1;
}

int codec_decode_strict(const struct codec_type *type, const cJSON *json, struct arena *arena,
                        void *out, struct error *err)
{
    struct field_errors errors;
    field_errors_init(&errors, arena);
    if (codec_decode(type, json, "", arena, out, &errors) == 0)
        return 0;
    return error_set(err, ERR_INVALID, "%s: %s", type->name,
                     field_error_text(&errors.items[0], arena));
}

/* ------------------------------------------------------------------ encoding */

static cJSON *encode_strings(const struct string_list *list)
{
    if (list->items == NULL)
        return NULL;
    cJSON *array = json_new_array();
    for (size_t i = 0; i < list->count; i++)
        json_append(array, json_new_string(list->items[i]));
    return array;
}

static cJSON *encode_map(const struct string_map *map)
{
    if (map->items == NULL)
        return NULL;
    cJSON *object = json_new_object();
    for (size_t i = 0; i < map->count; i++)
        json_set(object, map->items[i].key, json_new_string(map->items[i].value));
    return object;
}

static cJSON *encode_objects(const struct codec_type *type, const struct any_list *list)
{
    if (list->items == NULL)
        return NULL;
    cJSON *array = json_new_array();
    for (size_t i = 0; i < list->count; i++)
        json_append(array, codec_encode(type, (const char *)list->items + type->size * i));
    return array;
}

static cJSON *encode_field(const struct codec_field *field, const void *slot)
{
    switch (field->kind) {
    case CODEC_STRING:
        return json_new_string(*(const char *const *)slot);
    case CODEC_INTEGER: {
        const struct opt_integer *integer = slot;
        return integer->set ? json_new_integer(integer->value) : NULL;
    }
    case CODEC_BOOL: {
        const struct opt_bool *flag = slot;
        return flag->set ? json_new_bool(flag->value) : NULL;
    }
    case CODEC_STRINGS:
        return encode_strings(slot);
    case CODEC_MAP:
        return encode_map(slot);
    case CODEC_RAW:
        return json_copy(*(const cJSON *const *)slot);
    case CODEC_OBJECT: {
        const void *object = *(const void *const *)slot;
        return object != NULL ? codec_encode(field->type(), object) : NULL;
    }
    case CODEC_OBJECTS:
        return encode_objects(field->type(), slot);
    }
    return NULL;
}

static const struct codec_field *find_field(const struct codec_type *type, const char *name)
{
    for (size_t i = 0; i < type->field_count; i++) {
        if (strcmp(type->fields[i].name, name) == 0)
            return &type->fields[i];
    }
    return NULL;
}

cJSON *codec_encode(const struct codec_type *type, const void *in)
{
    cJSON *object = json_new_object();
    const cJSON *node = ((const struct head *)in)->node;
    const cJSON *member;

    for (size_t i = 0; i < type->field_count; i++) {
        const struct codec_field *field = &type->fields[i];
        cJSON *value = encode_field(field, (const char *)in + field->offset);
        /* An empty list, map or list of objects decodes to nothing; keep the user's spelling. */
        if (value == NULL && field->kind >= CODEC_STRINGS && node != NULL) {
            const cJSON *old = json_get(node, field->name);
            if ((cJSON_IsArray(old) || cJSON_IsObject(old)) && old->child == NULL &&
                field->kind != CODEC_RAW && field->kind != CODEC_OBJECT)
                value = json_copy(old);
        }
        json_set(object, field->name, value);
    }
    if (node != NULL) {
        cJSON_ArrayForEach(member, node) {
            /* Not json_set(), which would look for each of any number of names. */
            if (find_field(type, member->string) == NULL)
                cJSON_AddItemToObject(object, member->string, json_copy(member));
        }
    }
    return object;
}

const char *string_map_get(const struct string_map *map, const char *key)
{
    for (size_t i = 0; i < map->count; i++) {
        if (strcmp(map->items[i].key, key) == 0)
            return map->items[i].value;
    }
    return NULL;
}

bool string_list_has(const struct string_list *list, const char *text)
{
    for (size_t i = 0; i < list->count; i++) {
        if (strcmp(list->items[i], text) == 0)
            return true;
    }
    return false;
}
