#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "common/base/memory.h"
#include "common/json/build.h"
#include "common/json/json.h"
#include "common/msg/envelope.h"

static void test_envelope_round_trip(void **state)
{
    (void)state;
    AUTO(json) cJSON *body = JOBJ(JS("name", "w \"1\""), JI("count", 2));
    AUTO_FREE char *text = envelope_encode("NodeDemand", "7-1", "00-ab-cd-01", body);
    assert_string_equal(text, "{\"v\":1,\"type\":\"NodeDemand\",\"id\":\"7-1\",\"traceparent\":"
                              "\"00-ab-cd-01\",\"body\":{\"name\":\"w \\\"1\\\"\",\"count\":2}}");

    AUTO(envelope) struct envelope envelope = { .tree = NULL };
    struct error err = ERROR_INIT;
    assert_int_equal(envelope_decode(text, strlen(text), &envelope, &err), 0);
    assert_string_equal(envelope.type, "NodeDemand");
    assert_string_equal(envelope.id, "7-1");
    assert_string_equal(envelope.traceparent, "00-ab-cd-01");
    assert_true(json_equal(envelope.body, body));
}

static void test_envelope_optional_members(void **state)
{
    (void)state;
    AUTO_FREE char *text = envelope_encode("Ping", NULL, NULL, NULL);
    assert_string_equal(text, "{\"v\":1,\"type\":\"Ping\",\"body\":{}}");

    AUTO(envelope) struct envelope envelope = { .tree = NULL };
    struct error err = ERROR_INIT;
    assert_int_equal(envelope_decode(text, strlen(text), &envelope, &err), 0);
    assert_string_equal(envelope.id, "");
    assert_null(envelope.traceparent);
}

static void test_envelope_ignores_unknown_members(void **state)
{
    (void)state;
    static const char text[] = "{\"later\":[1],\"v\":1,\"type\":\"Ping\",\"body\":{\"x\":1}}";
    AUTO(envelope) struct envelope envelope = { .tree = NULL };
    struct error err = ERROR_INIT;
    assert_int_equal(envelope_decode(text, sizeof(text) - 1, &envelope, &err), 0);
    assert_string_equal(envelope.type, "Ping");
}

static void test_envelope_decode_refuses(void **state)
{
    (void)state;
    static const struct {
        const char *text, *message;
    } rows[] = {
        { "", "message: invalid JSON" },
        { "{\"v\":1", "message: invalid JSON" },
        { "[]", "message: v must be an integer" },
        { "{\"type\":\"Ping\",\"body\":{}}", "message: v must be an integer" },
        { "{\"v\":\"1\",\"type\":\"Ping\",\"body\":{}}", "message: v must be an integer" },
        { "{\"v\":2,\"type\":\"Ping\",\"body\":{}}", "message of version 2: this side speaks" },
        { "{\"v\":1,\"body\":{}}", "message without a type" },
        { "{\"v\":1,\"type\":7,\"body\":{}}", "message: type must be a string" },
        { "{\"v\":1,\"type\":\"Ping\",\"id\":7,\"body\":{}}", "message: id must be a string" },
        { "{\"v\":1,\"type\":\"Ping\",\"traceparent\":{},\"body\":{}}",
          "message: traceparent must be a string" },
        { "{\"v\":1,\"type\":\"Ping\"}", "message: body must be an object" },
        { "{\"v\":1,\"type\":\"Ping\",\"body\":[]}", "message: body must be an object" },
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct envelope envelope = { .tree = NULL };
        struct error err = ERROR_INIT;
        assert_int_equal(envelope_decode(rows[i].text, strlen(rows[i].text), &envelope, &err), -1);
        assert_int_equal(err.code, ERR_INVALID);
        assert_memory_equal(err.message, rows[i].message, strlen(rows[i].message));
        assert_null(envelope.tree);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_envelope_round_trip),
        cmocka_unit_test(test_envelope_optional_members),
        cmocka_unit_test(test_envelope_ignores_unknown_members),
        cmocka_unit_test(test_envelope_decode_refuses),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
