#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "common/base/buf.h"
#include "common/base/memory.h"
#include "common/json/build.h"
#include "common/json/codec.h"
#include "common/json/json.h"
#include "test/lib/literals.h"

#define CODEC_DECLARE
#include "common/json/codec_begin.h"
#include "test/unit/json/codec_test.def"
#include "common/json/codec_end.h"

#define CODEC_DEFINE
#include "common/json/codec_begin.h"
#include "test/unit/json/codec_test.def"
#include "common/json/codec_end.h"

static const char full[] =
    "{\"text\":\"t\",\"number\":7,\"flag\":false,\"list\":[\"a\",\"b\"],\"map\":{\"k\":\"v\"},"
    "\"raw\":{\"x\":[1,null]},\"one\":{\"name\":\"n\",\"weight\":0},"
    "\"many\":[{\"name\":\"p\"},{\"name\":\"q\",\"weight\":-3}],\"must\":{\"name\":\"m\"}}";

static void decode(const cJSON *json, struct arena *arena, struct sample *out)
{
    struct error err = ERROR_INIT;
    if (codec_decode_strict(sample_type(), json, arena, out, &err) < 0)
        fail_msg("%s", err.message);
}

static void test_codec_decodes_every_kind(void **state)
{
    (void)state;
    AUTO(arena) struct arena arena = ARENA_INIT;
    AUTO(json) cJSON *json = json_literal(full);
    struct sample sample;
    decode(json, &arena, &sample);
    assert_ptr_equal(sample.node, json);
    assert_string_equal(sample.text, "t");
    assert_true(sample.number.set);
    assert_int_equal(sample.number.value, 7);
    assert_true(sample.flag.set);
    assert_false(sample.flag.value);
    assert_int_equal(sample.list.count, 2);
    assert_string_equal(sample.list.items[1], "b");
    assert_int_equal(sample.map.count, 1);
    assert_string_equal(sample.map.items[0].key, "k");
    assert_string_equal(sample.map.items[0].value, "v");
    assert_ptr_equal(sample.raw, json_get(json, "raw"));
    assert_string_equal(sample.one->name, "n");
    assert_true(sample.one->weight.set);
    assert_int_equal(sample.many.count, 2);
    assert_string_equal(sample.many.items[0].name, "p");
    assert_false(sample.many.items[0].weight.set);
    assert_int_equal(sample.many.items[1].weight.value, -3);
    assert_string_equal(sample.must->name, "m");
}

static void test_codec_strings_borrow_from_the_tree(void **state)
{
    (void)state;
    AUTO(arena) struct arena arena = ARENA_INIT;
    AUTO(json) cJSON *json = json_literal(full);
    struct sample sample;
    decode(json, &arena, &sample);
    assert_ptr_equal(sample.text, json_string_at(json, "text"));
    assert_ptr_equal(sample.many.items[1].name, json_string_at(json, "many[1].name"));
}

static void test_codec_absent_and_null_are_the_same(void **state)
{
    (void)state;
    static const char *const table[] = {
        "{\"text\":\"\",\"must\":{\"name\":\"\"}}",
        "{\"text\":\"\",\"must\":{\"name\":\"\"},\"number\":null,\"flag\":null,\"list\":null,"
        "\"map\":null,\"raw\":null,\"one\":null,\"many\":null}",
    };
    for (size_t i = 0; i < ARRAY_LEN(table); i++) {
        AUTO(arena) struct arena arena = ARENA_INIT;
        AUTO(json) cJSON *json = json_literal(table[i]);
        struct sample sample;
        decode(json, &arena, &sample);
        assert_string_equal(sample.text, "");
        assert_false(sample.number.set);
        assert_false(sample.flag.set);
        assert_int_equal(sample.list.count, 0);
        assert_int_equal(sample.map.count, 0);
        assert_null(sample.raw);
        assert_null(sample.one);
        assert_int_equal(sample.many.count, 0);
    }
}

static void test_codec_zero_is_not_absent(void **state)
{
    (void)state;
    AUTO(arena) struct arena arena = ARENA_INIT;
    AUTO(json)
    cJSON *json =
        json_literal("{\"text\":\"\",\"number\":0,\"flag\":false,\"must\":{\"name\":\"\"}}");
    struct sample sample;
    decode(json, &arena, &sample);
    assert_true(sample.number.set);
    assert_true(sample.flag.set);
    AUTO(json) cJSON *again = codec_encode(sample_type(), &sample);
    assert_true(json_equal(json, again));
}

static void test_codec_names_are_exact(void **state)
{
    (void)state;
    AUTO(arena) struct arena arena = ARENA_INIT;
    AUTO(json)
    cJSON *json =
        json_literal("{\"text\":\"\",\"Number\":3,\"numbers\":4,\"must\":{\"name\":\"\"}}");
    struct sample sample;
    decode(json, &arena, &sample);
    assert_false(sample.number.set);
}

/* Every problem at once, each with its path, in the order of the table. */
static void test_codec_reports_all_problems(void **state)
{
    (void)state;
    AUTO(arena) struct arena arena = ARENA_INIT;
    AUTO(json)
    cJSON *json = json_literal(
        "{\"number\":1.5,\"flag\":\"yes\",\"list\":[\"a\",1,null],\"map\":{\"k\":{},\"l\":\"v\"},"
        "\"one\":{\"weight\":\"heavy\"},\"many\":[{\"name\":\"p\"},7,{\"name\":true}],"
        "\"must\":[]}");
    struct sample sample;
    struct field_errors errors;
    field_errors_init(&errors, &arena);
    assert_int_equal(codec_decode(sample_type(), json, "", &arena, &sample, &errors), -1);
    assert_string_equal(field_errors_text(&errors),
                        "text: Required value\n"
                        "number: Invalid value: \"1.5\": expected an integer\n"
                        "flag: Invalid value: \"yes\": expected true or false\n"
                        "list[1]: Invalid value: \"1\": expected a string\n"
                        "list[2]: Invalid value: expected a string\n"
                        "map[k]: Invalid value: expected a string\n"
                        "one.name: Required value\n"
                        "one.weight: Invalid value: \"heavy\": expected an integer\n"
                        "many[1]: Invalid value: \"7\": expected an object\n"
                        "many[2].name: Invalid value: \"true\": expected a string\n"
                        "must: Invalid value: expected an object");
    assert_int_equal(sample.many.count, 3); /* still safe to read */
    assert_null(sample.many.items[1].name);
}

static void test_codec_wrong_containers(void **state)
{
    (void)state;
    static const char *const table[][2] = {
        { "\"list\":{}", "list: Invalid value: expected a list" },
        { "\"list\":\"a\"", "list: Invalid value: \"a\": expected a list" },
        { "\"map\":[]", "map: Invalid value: expected a map" },
        { "\"one\":\"n\"", "one: Invalid value: \"n\": expected an object" },
        { "\"many\":{\"name\":\"p\"}", "many: Invalid value: expected a list" },
        { "\"number\":1000000000000000", "number: Invalid value: \"1e+15\": expected an integer" },
        { "\"number\":\"7\"", "number: Invalid value: \"7\": expected an integer" },
        { "\"text\":7", "text: Invalid value: \"7\": expected a string" },
    };
    for (size_t i = 0; i < ARRAY_LEN(table); i++) {
        AUTO(arena) struct arena arena = ARENA_INIT;
        const char *rest = strncmp(table[i][0], "\"text\"", 6) == 0 ? "" : "\"text\":\"\",";
        AUTO(json)
        cJSON *json = json_literal(
            arena_printf(&arena, "{%s%s,\"must\":{\"name\":\"\"}}", rest, table[i][0]));
        struct sample sample;
        struct field_errors errors;
        field_errors_init(&errors, &arena);
        assert_int_equal(codec_decode(sample_type(), json, "", &arena, &sample, &errors), -1);
        assert_string_equal(field_errors_text(&errors), table[i][1]);
    }
}

static void test_codec_root_must_be_an_object(void **state)
{
    (void)state;
    static const char *const table[] = { "null", "[]", "\"x\"", "1" };
    for (size_t i = 0; i < ARRAY_LEN(table); i++) {
        AUTO(arena) struct arena arena = ARENA_INIT;
        AUTO(json) cJSON *json = json_literal(table[i]);
        struct sample sample;
        struct error err = ERROR_INIT;
        assert_int_equal(codec_decode_strict(sample_type(), json, &arena, &sample, &err), -1);
        assert_int_equal(err.code, ERR_INVALID);
        assert_null(sample.node);
        assert_null(sample.text);
    }
}

static void test_codec_paths_start_where_told(void **state)
{
    (void)state;
    AUTO(arena) struct arena arena = ARENA_INIT;
    AUTO(json) cJSON *json = json_literal("{}");
    struct leaf leaf;
    struct field_errors errors;
    field_errors_init(&errors, &arena);
    assert_int_equal(codec_decode(leaf_type(), json, "spec.leaf", &arena, &leaf, &errors), -1);
    assert_string_equal(field_errors_text(&errors), "spec.leaf.name: Required value");
}

static void test_codec_bounds_lists_and_maps(void **state)
{
    (void)state;
    static const char *const members[] = { "list", "map", "many" };
    for (size_t i = 0; i < ARRAY_LEN(members); i++) {
        AUTO(arena) struct arena arena = ARENA_INIT;
        AUTO(buf) struct buf text = BUF_INIT(JSON_BYTES_MAX);
        bool is_map = strcmp(members[i], "map") == 0;
        buf_printf(&text, "{\"text\":\"\",\"must\":{\"name\":\"\"},\"%s\":%c", members[i],
                   is_map ? '{' : '[');
        for (int k = 0; k <= CODEC_ITEMS_MAX; k++) {
            buf_puts(&text, k > 0 ? "," : "");
            if (is_map)
                buf_printf(&text, "\"k%d\":\"\"", k);
            else
                buf_puts(&text, strcmp(members[i], "list") == 0 ? "\"\"" : "{\"name\":\"\"}");
        }
        buf_printf(&text, "%c}", is_map ? '}' : ']');
        AUTO(json) cJSON *json = json_literal(buf_text(&text));
        struct sample sample;
        struct error err = ERROR_INIT;
        assert_int_equal(codec_decode_strict(sample_type(), json, &arena, &sample, &err), -1);
        assert_non_null(strstr(err.message, "at most 4096 items, not 4097"));
    }
}

/* decode -> encode -> decode -> encode ends where it began. */
static void check_round_trip(const char *text)
{
    AUTO(arena) struct arena arena = ARENA_INIT;
    AUTO(json) cJSON *json = json_literal(text);
    struct sample first, second;
    decode(json, &arena, &first);
    AUTO(json) cJSON *once = codec_encode(sample_type(), &first);
    AUTO_FREE char *once_text = json_print(once);
    if (!json_equal(json, once))
        fail_msg("%s became %s", text, once_text);
    decode(once, &arena, &second);
    AUTO(json) cJSON *twice = codec_encode(sample_type(), &second);
    assert_true(json_equal(once, twice));
}

static void test_codec_round_trips(void **state)
{
    (void)state;
    check_round_trip(full);
    check_round_trip("{\"text\":\"\",\"must\":{\"name\":\"\"}}");
    check_round_trip("{\"text\":\"\",\"must\":{\"name\":\"\"},\"list\":[],\"map\":{},\"many\":[],"
                     "\"raw\":[]}");
    check_round_trip("{\"text\":\"t\",\"new\":{\"a\":[1]},\"must\":{\"name\":\"m\",\"new\":null},"
                     "\"many\":[{\"name\":\"p\",\"new\":true},{\"new\":0,\"name\":\"q\"}],"
                     "\"Text\":\"other\"}");
}

static void test_codec_encodes_what_was_changed(void **state)
{
    (void)state;
    AUTO(arena) struct arena arena = ARENA_INIT;
    AUTO(json) cJSON *json = json_literal(full);
    struct sample sample;
    decode(json, &arena, &sample);
    const char *items[] = { "c" };
    sample.text = "u";
    sample.number.set = false;
    sample.list = (struct string_list){ .items = items, .count = 1 };
    sample.map = (struct string_map){ 0 };
    sample.one = NULL;
    sample.raw = NULL;
    sample.many.count = 1;
    AUTO(json) cJSON *out = codec_encode(sample_type(), &sample);
    AUTO(json)
    cJSON *want =
        json_literal("{\"text\":\"u\",\"flag\":false,\"list\":[\"c\"],\"many\":[{\"name\":\"p\"}],"
                     "\"must\":{\"name\":\"m\"}}");
    assert_true(json_equal(out, want));
}

static void test_codec_encodes_without_a_source(void **state)
{
    (void)state;
    struct leaf must = { .name = "m", .weight = { .set = true, .value = 2 } };
    struct string_pair pairs[] = { { "k", "v" }, { "l", "w" } };
    struct sample sample = { .text = "t",
                             .map = { .items = pairs, .count = 2 },
                             .many = { .items = &must, .count = 1 },
                             .must = &must };
    AUTO(json) cJSON *out = codec_encode(sample_type(), &sample);
    AUTO_FREE char *text = json_print(out);
    assert_string_equal(text, "{\"text\":\"t\",\"map\":{\"k\":\"v\",\"l\":\"w\"},"
                              "\"many\":[{\"name\":\"m\",\"weight\":2}],"
                              "\"must\":{\"name\":\"m\",\"weight\":2}}");
}

/* Quadratic work on unknown members would take minutes here. */
static void test_codec_keeps_many_unknown_members(void **state)
{
    (void)state;
    enum { MEMBERS = 100 * 1000 };
    AUTO(arena) struct arena arena = ARENA_INIT;
    AUTO(buf) struct buf text = BUF_INIT(JSON_BYTES_MAX);
    buf_puts(&text, "{\"name\":\"n\"");
    for (int i = 0; i < MEMBERS; i++)
        buf_printf(&text, ",\"m%d\":%d", i, i);
    buf_puts(&text, "}");
    AUTO(json) cJSON *json = json_literal(buf_text(&text));
    struct leaf leaf;
    struct error err = ERROR_INIT;
    assert_int_equal(codec_decode_strict(leaf_type(), json, &arena, &leaf, &err), 0);
    AUTO(json) cJSON *out = codec_encode(leaf_type(), &leaf);
    assert_int_equal(cJSON_GetArraySize(out), MEMBERS + 1);
}

static void test_codec_look_ups(void **state)
{
    (void)state;
    AUTO(arena) struct arena arena = ARENA_INIT;
    AUTO(json) cJSON *json = json_literal(full);
    struct sample sample;
    decode(json, &arena, &sample);
    assert_string_equal(string_map_get(&sample.map, "k"), "v");
    assert_null(string_map_get(&sample.map, "K"));
    assert_null(string_map_get(&(struct string_map){ 0 }, "k"));
    assert_true(string_list_has(&sample.list, "b"));
    assert_false(string_list_has(&sample.list, "c"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_codec_decodes_every_kind),
        cmocka_unit_test(test_codec_strings_borrow_from_the_tree),
        cmocka_unit_test(test_codec_absent_and_null_are_the_same),
        cmocka_unit_test(test_codec_zero_is_not_absent),
        cmocka_unit_test(test_codec_names_are_exact),
        cmocka_unit_test(test_codec_reports_all_problems),
        cmocka_unit_test(test_codec_wrong_containers),
        cmocka_unit_test(test_codec_root_must_be_an_object),
        cmocka_unit_test(test_codec_paths_start_where_told),
        cmocka_unit_test(test_codec_bounds_lists_and_maps),
        cmocka_unit_test(test_codec_round_trips),
        cmocka_unit_test(test_codec_encodes_what_was_changed),
        cmocka_unit_test(test_codec_encodes_without_a_source),
        cmocka_unit_test(test_codec_keeps_many_unknown_members),
        cmocka_unit_test(test_codec_look_ups),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
