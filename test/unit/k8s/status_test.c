#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "common/base/compiler.h"
#include "common/json/json.h"
#include "common/k8s/status.h"

static struct error error_of(int status, const char *body, int64_t retry_after_ms)
{
    struct error err = ERROR_INIT;
    struct http_response response = { .status = status,
                                      .retry_after_ms = retry_after_ms,
                                      .body = BUF_INIT(4096) };
    buf_puts(&response.body, body);
    assert_int_equal(status_to_error(&GVR_WORKSPACE, &response, &err), -1);
    buf_fini(&response.body);
    return err;
}

static void test_status_codes(void **state)
{
    (void)state;
    static const struct {
        int status;
        const char *reason;
        enum error_code expected;
    } cases[] = {
        { 400, "BadRequest", ERR_INVALID },
        { 401, "Unauthorized", ERR_FORBIDDEN },
        { 403, "Forbidden", ERR_FORBIDDEN },
        { 404, "NotFound", ERR_NOT_FOUND },
        { 409, "AlreadyExists", ERR_ALREADY_EXISTS },
        { 409, "Conflict", ERR_CONFLICT },
        { 410, "Expired", ERR_EXPIRED },
        { 413, "RequestEntityTooLarge", ERR_TOO_LARGE },
        { 415, "UnsupportedMediaType", ERR_INVALID },
        { 422, "Invalid", ERR_INVALID },
        { 429, "TooManyRequests", ERR_THROTTLED },
        { 302, "", ERR_UNAVAILABLE },
        { 500, "InternalError", ERR_UNAVAILABLE },
        { 503, "ServiceUnavailable", ERR_UNAVAILABLE },
        { 504, "Timeout", ERR_TIMEOUT },
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        char body[128];
        snprintf(body, sizeof(body), "{\"kind\":\"Status\",\"reason\":\"%s\",\"message\":\"m\"}",
                 cases[i].reason);
        struct error err = error_of(cases[i].status, body, 0);
        assert_string_equal(error_code_name(err.code), error_code_name(cases[i].expected));
        assert_int_equal(err.http_status, cases[i].status);
    }
}

static void test_status_carries_the_servers_words(void **state)
{
    (void)state;
    struct error err = error_of(422, "{\"message\":\"spec.x: Invalid value\"}", 0);
    assert_string_equal(err.message, "spec.x: Invalid value");
}

static void test_status_404_of_an_object_is_not_a_missing_kind(void **state)
{
    (void)state;
    struct error err = error_of(404,
                                "{\"message\":\"workspaces \\\"a\\\" not found\",\"details\":"
                                "{\"name\":\"a\"}}",
                                0);
    assert_string_equal(err.message, "workspaces \"a\" not found");
}

static void test_status_404_of_a_kind_asks_for_the_crd(void **state)
{
    (void)state;
    struct error err = error_of(404, "404 page not found\n", 0);
    assert_string_equal(err.message, "the API server has no workspaces in kaito.sh/v1beta1: is "
                                     "the CRD installed?");
}

static void test_status_of_a_proxy_keeps_its_first_line(void **state)
{
    (void)state;
    struct error err = error_of(502, "bad gateway\nstack\n", 0);
    assert_string_equal(err.message, "the API server answered HTTP 502: bad gateway");
}

static void test_status_without_a_body(void **state)
{
    (void)state;
    struct error err = error_of(503, "", 0);
    assert_string_equal(err.message, "the API server answered HTTP 503");
}

static void test_status_retry_after(void **state)
{
    (void)state;
    const char *body = "{\"message\":\"m\",\"details\":{\"retryAfterSeconds\":7}}";
    assert_int_equal(error_of(429, body, 3000).retry_after_ms, 3000);
    assert_int_equal(error_of(429, body, 0).retry_after_ms, 7000);
    assert_int_equal(error_of(500, body, 0).retry_after_ms, 7000);
    assert_int_equal(error_of(429, "{}", 0).retry_after_ms, 1000);
    assert_int_equal(error_of(500, "{}", 0).retry_after_ms, 0);
    assert_int_equal(
        error_of(429, "{\"details\":{\"retryAfterSeconds\":99999999}}", 0).retry_after_ms,
        3600 * 1000);
}

static void test_status_object_of_a_watch(void **state)
{
    (void)state;
    AUTO(json) cJSON *status = NULL;
    struct error err = ERROR_INIT;
    assert_int_equal(
        json_parse_text("{\"code\":410,\"reason\":\"Expired\",\"message\":\"too old\"}", &status,
                        &err),
        0);
    assert_int_equal(status_object_to_error(&GVR_WORKSPACE, status, &err), -1);
    assert_int_equal(err.code, ERR_EXPIRED);
    assert_string_equal(err.message, "too old");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_status_codes),
        cmocka_unit_test(test_status_carries_the_servers_words),
        cmocka_unit_test(test_status_404_of_an_object_is_not_a_missing_kind),
        cmocka_unit_test(test_status_404_of_a_kind_asks_for_the_crd),
        cmocka_unit_test(test_status_of_a_proxy_keeps_its_first_line),
        cmocka_unit_test(test_status_without_a_body),
        cmocka_unit_test(test_status_retry_after),
        cmocka_unit_test(test_status_object_of_a_watch),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
