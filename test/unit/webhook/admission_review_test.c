#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "common/base/digest.h"
#include "common/base/memory.h"
#include "common/json/build.h"
#include "common/json/json.h"
#include "common/json/patch.h"
#include "test/lib/literals.h"
#include "webhook/admission_review.h"

#define KIND "\"kind\":{\"group\":\"kaito.sh\",\"version\":\"v1beta1\",\"kind\":\"Workspace\"}"
#define REVIEW(request)                                                                          \
    "{\"apiVersion\":\"admission.k8s.io/v1\",\"kind\":\"AdmissionReview\",\"request\":{" request \
    "}}"
#define CREATE                                                                                     \
    REVIEW("\"uid\":\"u-1\"," KIND ",\"operation\":\"CREATE\",\"name\":\"w\",\"namespace\":\"n\"," \
           "\"userInfo\":{\"username\":\"alice\"},\"dryRun\":true,\"subResource\":\"status\","     \
           "\"object\":{\"a\":1},\"extra\":{}")

struct fixture {
    cJSON *json;
    struct arena arena;
    struct admission_request request;
    struct error err;
    int result;
};

static void decode(struct fixture *fixture, const char *text)
{
    *fixture = (struct fixture){ .arena = ARENA_INIT };
    fixture->json = json_literal(text);
    fixture->result =
        admission_review_decode(fixture->json, &fixture->arena, &fixture->request, &fixture->err);
}

static void done(struct fixture *fixture)
{
    json_free(fixture->json);
    arena_fini(&fixture->arena);
}

static void test_admission_review_decode(void **state)
{
    (void)state;
    struct fixture fixture;
    decode(&fixture, CREATE);
    assert_int_equal(fixture.result, 0);
    assert_string_equal(fixture.request.uid, "u-1");
    assert_string_equal(fixture.request.kind->version, "v1beta1");
    assert_string_equal(fixture.request.operation, "CREATE");
    assert_string_equal(fixture.request.name, "w");
    assert_string_equal(fixture.request.namespace_, "n");
    assert_string_equal(fixture.request.user_info->username, "alice");
    assert_string_equal(fixture.request.sub_resource, "status");
    assert_true(fixture.request.dry_run.value);
    assert_int_equal(json_integer_at(fixture.request.object, "a", 0), 1);
    assert_null(fixture.request.old_object);
    done(&fixture);
}

struct bad_case {
    const char *review;
    const char *word;
};

static void test_admission_review_refuses(void **state)
{
    (void)state;
    static const struct bad_case cases[] = {
        { "{}", "expected an AdmissionReview" },
        { "[]", "expected an AdmissionReview" },
        { "null", "expected an AdmissionReview" },
        { "{\"apiVersion\":\"admission.k8s.io/v1beta1\",\"kind\":\"AdmissionReview\"}",
          "not AdmissionReview of admission.k8s.io/v1beta1" },
        { "{\"apiVersion\":\"admission.k8s.io/v1\",\"kind\":\"Status\"}", "not Status" },
        { "{\"apiVersion\":1,\"kind\":\"AdmissionReview\"}", "no apiVersion" },
        { "{\"apiVersion\":\"admission.k8s.io/v1\",\"kind\":\"AdmissionReview\"}", "request" },
        { REVIEW(""), "request.uid" },
        { REVIEW(KIND ",\"operation\":\"CREATE\""), "request.uid" },
        { REVIEW("\"uid\":5," KIND ",\"operation\":\"CREATE\""), "request.uid" },
        { REVIEW("\"uid\":\"u\",\"operation\":\"CREATE\",\"object\":{}"), "request.kind" },
        { REVIEW("\"uid\":\"u\"," KIND), "request.operation" },
        { REVIEW("\"uid\":\"u\"," KIND ",\"operation\":\"CREATE\""), "request.object" },
        { REVIEW("\"uid\":\"u\"," KIND ",\"operation\":\"CREATE\",\"object\":[]"),
          "request.object" },
        { REVIEW("\"uid\":\"u\"," KIND ",\"operation\":\"UPDATE\",\"object\":{}"),
          "request.oldObject" },
        { REVIEW("\"uid\":\"u\",\"kind\":{\"group\":\"kaito.sh\",\"version\":\"v2\",\"kind\":"
                 "\"Workspace\"},\"operation\":\"CREATE\",\"object\":{}"),
          "not Workspace of kaito.sh/v2" },
        { REVIEW("\"uid\":\"u\",\"kind\":{\"group\":\"\",\"version\":\"v1\",\"kind\":\"Pod\"},"
                 "\"operation\":\"CREATE\",\"object\":{}"),
          "not Pod" },
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct fixture fixture;
        decode(&fixture, cases[i].review);
        assert_int_equal(fixture.result, -1);
        assert_int_equal(fixture.err.code, ERR_INVALID);
        if (strstr(fixture.err.message, cases[i].word) == NULL)
            fail_msg("%s: %s", cases[i].review, fixture.err.message);
        done(&fixture);
    }
}

static void test_admission_review_deletes_need_no_object(void **state)
{
    (void)state;
    struct fixture fixture;
    decode(&fixture, REVIEW("\"uid\":\"u\"," KIND ",\"operation\":\"DELETE\""));
    assert_int_equal(fixture.result, 0);
    done(&fixture);
}

/* ------------------------------------------------------------------ answers */

static cJSON *parsed(char *text)
{
    cJSON *json = json_literal(text);
    free(text);
    return json;
}

static void test_admission_review_allow(void **state)
{
    (void)state;
    struct fixture fixture;
    decode(&fixture, CREATE);
    struct admission_warnings warnings = { .arena = &fixture.arena };
    admission_warn(&warnings, "plan: 1 x A\nsecond\tline");
    AUTO_FREE char *bare = admission_allow(&fixture.request, NULL);
    assert_string_equal(bare,
                        "{\"apiVersion\":\"admission.k8s.io/v1\",\"kind\":"
                        "\"AdmissionReview\",\"response\":{\"uid\":\"u-1\",\"allowed\":true}}");
    AUTO(json) cJSON *answer = parsed(admission_allow(&fixture.request, &warnings));
    assert_string_equal(json_string_at(answer, "response.warnings[0]"), "plan: 1 x A second line");
    done(&fixture);
}

static void test_admission_review_warnings_are_bounded(void **state)
{
    (void)state;
    AUTO(arena) struct arena arena = ARENA_INIT;
    struct admission_warnings warnings = { .arena = &arena };
    char long_text[4 * ADMISSION_WARNING_BYTES_MAX];
    memset(long_text, 'x', sizeof(long_text));
    long_text[sizeof(long_text) - 1] = '\0';
    for (int i = 0; i < 2 * ADMISSION_WARNINGS_MAX; i++)
        admission_warn(&warnings, long_text);
    assert_int_equal(warnings.count, ADMISSION_WARNINGS_MAX);
    assert_int_equal(strlen(warnings.lines[0]), ADMISSION_WARNING_BYTES_MAX);
}

static void test_admission_review_patch(void **state)
{
    (void)state;
    struct fixture fixture;
    decode(&fixture, CREATE);
    AUTO(json) cJSON *patch = json_new_array();
    AUTO(json) cJSON *unpatched = parsed(admission_allow_patched(&fixture.request, patch));
    assert_null(json_at(unpatched, "response.patchType"));

    json_patch_add(patch, "/resource/count", json_new_integer(1));
    AUTO(json) cJSON *answer = parsed(admission_allow_patched(&fixture.request, patch));
    assert_string_equal(json_string_at(answer, "response.patchType"), "JSONPatch");
    unsigned char *bytes = NULL;
    size_t count = 0;
    assert_int_equal(base64_decode(json_string_at(answer, "response.patch"), &bytes, &count), 0);
    static const char expected[] = "[{\"op\":\"add\",\"path\":\"/resource/count\",\"value\":1}]";
    assert_int_equal(count, strlen(expected));
    assert_memory_equal(bytes, expected, count);
    free(bytes);
    done(&fixture);
}

static void test_admission_review_deny(void **state)
{
    (void)state;
    struct fixture fixture;
    decode(&fixture, CREATE);
    struct field_errors errors;
    field_errors_init(&errors, &fixture.arena);
    field_errors_add(&errors, &(struct field_error){ .path = "tuning.method",
                                                     .kind = FIELD_UNSUPPORTED,
                                                     .value = "full",
                                                     .detail = "there is no such method",
                                                     .fix = "write lora or qlora" });
    field_errors_add(&errors, &(struct field_error){ .path = "tuning.preset",
                                                     .kind = FIELD_REQUIRED,
                                                     .detail = "says which model" });
    AUTO(json) cJSON *answer = parsed(admission_deny(&fixture.request, &errors, NULL));
    assert_false(json_bool_at(answer, "response.allowed", true));
    assert_int_equal(json_integer_at(answer, "response.status.code", 0), 422);
    assert_string_equal(json_string_at(answer, "response.status.reason"), "Invalid");
    assert_string_equal(
        json_string_at(answer, "response.status.message"),
        "tuning.method: Unsupported value: \"full\": there is no such method; write "
        "lora or qlora\ntuning.preset: Required value: says which model");
    assert_string_equal(json_string_at(answer, "response.status.details.name"), "w");
    assert_string_equal(json_string_at(answer, "response.status.details.kind"), "Workspace");
    assert_string_equal(json_string_at(answer, "response.status.details.causes[0].field"),
                        "tuning.method");
    assert_string_equal(json_string_at(answer, "response.status.details.causes[0].reason"),
                        "FieldValueNotSupported");
    assert_string_equal(json_string_at(answer, "response.status.details.causes[1].message"),
                        "Required value: says which model");
    done(&fixture);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_admission_review_decode),
        cmocka_unit_test(test_admission_review_refuses),
        cmocka_unit_test(test_admission_review_deletes_need_no_object),
        cmocka_unit_test(test_admission_review_allow),
        cmocka_unit_test(test_admission_review_warnings_are_bounded),
        cmocka_unit_test(test_admission_review_patch),
        cmocka_unit_test(test_admission_review_deny),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
