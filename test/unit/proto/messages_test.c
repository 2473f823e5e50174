#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "common/base/memory.h"
#include "common/json/json.h"
#include "proto/messages.h"

/* One body of each type, with every member set: what comes in goes out again. */
static const struct {
    const struct codec_type *(*type)(void);
    const char *body;
} bodies[] = {
    { node_demand_type,
      "{\"namespace\":\"default\",\"name\":\"ws\",\"uid\":\"u\",\"generation\":1,"
      "\"instanceType\":\"Standard_NC6s_v3\",\"count\":1,\"labels\":{\"a\":\"b\"},"
      "\"taints\":[{\"key\":\"sku\",\"value\":\"gpu\",\"effect\":\"NoSchedule\"}],\"diskGiB\":87,"
      "\"imageFamily\":\"ubuntu\",\"nodeClass\":\"default\",\"preferredNodes\":[\"n\"]}" },
    { node_state_type,
      "{\"namespace\":\"default\",\"name\":\"ws\",\"uid\":\"u\",\"claims\":[{\"name\":\"c\","
      "\"node\":\"n\",\"phase\":\"Ready\",\"reason\":\"r\",\"message\":\"m\",\"since\":\"s\"}],"
      "\"readyCount\":1,\"publisher\":\"p\",\"sequence\":7}" },
    { node_release_type, "{\"namespace\":\"default\",\"name\":\"ws\",\"uid\":\"u\"}" },
    { node_released_type, "{\"remaining\":[{\"name\":\"c\",\"phase\":\"Deleting\"}]}" },
    { config_check_type,
      "{\"namespace\":\"default\",\"configMap\":\"c\",\"kind\":\"tuning\",\"workspace\":{}}" },
    { config_findings_type,
      "{\"findings\":[{\"path\":\"tuning.config\",\"severity\":\"error\",\"value\":\"v\","
      "\"detail\":\"d\",\"fix\":\"f\",\"rule\":\"r\"}]}" },
    { rejection_type,
      "{\"namespace\":\"default\",\"name\":\"ws\",\"user\":\"u\",\"operation\":\"CREATE\","
      "\"paths\":[\"a\"],\"rules\":[\"r\"],\"message\":\"m\"}" },
};

static void test_messages_survive_a_round_trip(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(bodies); i++) {
        AUTO(arena) struct arena arena = ARENA_INIT;
        struct error err = ERROR_INIT;
        AUTO(json) cJSON *in = NULL;
        assert_int_equal(json_parse_text(bodies[i].body, &in, &err), 0);
        const struct codec_type *type = bodies[i].type();
        void *decoded = arena_alloc(&arena, type->size);
        if (codec_decode_strict(type, in, &arena, decoded, &err) < 0)
            fail_msg("%s", err.message);
        AUTO(json) cJSON *out = codec_encode(type, decoded);
        if (!json_equal(in, out))
            fail_msg("%s changed", type->name);
    }
}

static void test_messages_name_the_missing_member(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(bodies); i++) {
        const struct codec_type *type = bodies[i].type();
        for (size_t k = 0; k < type->field_count; k++) {
            if ((type->fields[k].flags & CODEC_REQUIRED) == 0)
                continue;
            AUTO(arena) struct arena arena = ARENA_INIT;
            struct error err = ERROR_INIT;
            AUTO(json) cJSON *in = NULL;
            assert_int_equal(json_parse_text(bodies[i].body, &in, &err), 0);
            cJSON_DeleteItemFromObjectCaseSensitive(in, type->fields[k].name);
            void *decoded = arena_alloc(&arena, type->size);
            assert_int_equal(codec_decode_strict(type, in, &arena, decoded, &err), -1);
            assert_int_equal(err.code, ERR_INVALID);
            assert_non_null(strstr(err.message, type->fields[k].name));
        }
    }
}

static void test_messages_ignore_unknown_members(void **state)
{
    (void)state;
    AUTO(arena) struct arena arena = ARENA_INIT;
    struct error err = ERROR_INIT;
    AUTO(json) cJSON *in = NULL;
    assert_int_equal(json_parse_text("{\"namespace\":\"d\",\"name\":\"w\",\"uid\":\"u\","
                                     "\"fromTheFuture\":[1]}",
                                     &in, &err),
                     0);
    struct node_release release;
    assert_int_equal(codec_decode_strict(node_release_type(), in, &arena, &release, &err), 0);
    assert_string_equal(release.uid, "u");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_messages_survive_a_round_trip),
        cmocka_unit_test(test_messages_name_the_missing_member),
        cmocka_unit_test(test_messages_ignore_unknown_members),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
