#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "common/base/memory.h"
#include "common/json/build.h"
#include "common/json/json.h"
#include "test/lib/literals.h"
#include "webhook/admission.h"
#include "webhook/workspace_validate.h"

/* The example of the first pages of the documentation. */
#define TUNING(output)                                                                        \
    "{\"apiVersion\":\"kaito.sh/v1alpha1\",\"kind\":\"Workspace\",\"metadata\":{\"name\":"    \
    "\"workspace-tuning-phi-3\"},\"resource\":{\"instanceType\":\"Standard_NC6s_v3\","        \
    "\"labelSelector\":{\"matchLabels\":{\"app\":\"tuning-phi-3\"}}},\"tuning\":{\"preset\":" \
    "{\"name\":\"phi-3-mini-128k-instruct\"},\"method\":\"qlora\",\"input\":{\"urls\":["      \
    "\"https://huggingface.co/datasets/philschmid/dolly-15k-oai-style/resolve/main/data/"     \
    "train-00000-of-00001-54e3756291ca09c6.parquet?download=true\"]},\"output\":" output "}}"
#define GOOD_OUTPUT                                                                          \
    "{\"image\":\"myregistry.azurecr.io/phi-3-tuned:0.0.1\",\"imagePushSecret\":\"acr-push-" \
    "secret\"}"
#define PLACEHOLDERS                                                                     \
    "{\"image\":\"ACR_REPO_HERE.azurecr.io/IMAGE_NAME_HERE:0.0.1\",\"imagePushSecret\":" \
    "\"ACR_REGISTRY_SECRET_HERE\"}"

struct hook_calls {
    int checked, refused;
    char config[64];
    char rule[64];
};

static void check_config(void *context, const struct admission_request *request,
                         struct validation *validation)
{
    struct hook_calls *calls = context;
    (void)request;
    calls->checked++;
    snprintf(calls->config, sizeof(calls->config), "%s", validation->config);
    field_errors_add(&validation->errors, &(struct field_error){ .path = "tuning.config",
                                                                 .kind = FIELD_INVALID,
                                                                 .detail = "no YAML",
                                                                 .rule = "config/yaml" });
}

static void refused(void *context, const struct admission_request *request,
                    const struct field_errors *errors)
{
    struct hook_calls *calls = context;
    (void)request;
    calls->refused++;
    snprintf(calls->rule, sizeof(calls->rule), "%s", errors->items[0].rule);
}

static char *review(const char *operation, const char *object, const char *old, bool dry_run)
{
    AUTO(json)
    cJSON *json =
        JOBJ(JS("apiVersion", "admission.k8s.io/v1"), JS("kind", "AdmissionReview"),
             JV("request", JOBJ(JS("uid", "u-1"),
                                JV("kind", JOBJ(JS("group", "kaito.sh"), JS("version", "v1alpha1"),
                                                JS("kind", "Workspace"))),
                                JS("operation", operation), JS("namespace", "default"),
                                JV("object", json_literal(object)),
                                JV("oldObject", old != NULL ? json_literal(old) : NULL),
                                JB("dryRun", dry_run))));
    return json_print(json);
}

static struct admission admission_for(struct hook_calls *calls)
{
    *calls = (struct hook_calls){ .checked = 0 };
    return (struct admission){
        .settings = { .catalogue = catalogue_builtin(), .cloud = "azure", .nodes_max = 8 },
        .hooks = { .context = calls, .check_config = check_config, .refused = refused }
    };
}

static cJSON *answer_to(const struct admission *admission, char *body)
{
    struct error err = ERROR_INIT;
    char *answer = NULL;
    int result = admission_validate(admission, body, strlen(body), &answer, &err);
    free(body);
    if (result < 0)
        fail_msg("%s", err.message);
    cJSON *json = json_literal(answer);
    free(answer);
    return json;
}

static void test_admission_accepts_the_example_with_a_plan(void **state)
{
    (void)state;
    struct hook_calls calls;
    struct admission admission = admission_for(&calls);
    AUTO(json)
    cJSON *answer = answer_to(&admission, review("CREATE", TUNING(GOOD_OUTPUT), NULL, false));
    assert_true(json_bool_at(answer, "response.allowed", false));
    assert_string_equal(json_string_at(answer, "response.uid"), "u-1");
    const char *warning = json_string_at(answer, "response.warnings[0]");
    assert_non_null(warning);
    assert_non_null(strstr(warning, "plan: 1 x Standard_NC6s_v3"));
    assert_int_equal(calls.refused, 0);
}

static void test_admission_refuses_the_placeholders(void **state)
{
    (void)state;
    struct hook_calls calls;
    struct admission admission = admission_for(&calls);
    AUTO(json)
    cJSON *answer = answer_to(&admission, review("CREATE", TUNING(PLACEHOLDERS), NULL, false));
    assert_false(json_bool_at(answer, "response.allowed", true));
    assert_string_equal(json_string_at(answer, "response.status.details.causes[0].field"),
                        "tuning.output.image");
    assert_string_equal(json_string_at(answer, "response.status.details.causes[1].field"),
                        "tuning.output.imagePushSecret");
    assert_null(json_at(answer, "response.status.details.causes[2]"));
    assert_string_equal(json_string_at(answer, "response.status.details.name"),
                        "workspace-tuning-phi-3");
    assert_int_equal(calls.refused, 1);
    assert_string_equal(calls.rule, "tuning/output-image");
}

static void test_admission_dry_run_tells_nobody(void **state)
{
    (void)state;
    struct hook_calls calls;
    struct admission admission = admission_for(&calls);
    AUTO(json)
    cJSON *answer = answer_to(&admission, review("CREATE", TUNING(PLACEHOLDERS), NULL, true));
    assert_false(json_bool_at(answer, "response.allowed", true));
    assert_int_equal(calls.refused, 0);
}

static void test_admission_asks_about_the_config(void **state)
{
    (void)state;
    struct hook_calls calls;
    struct admission admission = admission_for(&calls);
    AUTO(json) cJSON *object = json_literal(TUNING(GOOD_OUTPUT));
    json_set(cJSON_GetObjectItemCaseSensitive(object, "tuning"), "config", JSTR("my-config"));
    AUTO_FREE char *text = json_print(object);
    AUTO(json) cJSON *answer = answer_to(&admission, review("CREATE", text, NULL, false));
    assert_int_equal(calls.checked, 1);
    assert_string_equal(calls.config, "my-config");
    assert_string_equal(json_string_at(answer, "response.status.message"),
                        "tuning.config: Invalid value: no YAML");
}

static void test_admission_unchanged_update_is_silent(void **state)
{
    (void)state;
    struct hook_calls calls;
    struct admission admission = admission_for(&calls);
    AUTO(json)
    cJSON *answer =
        answer_to(&admission, review("UPDATE", TUNING(PLACEHOLDERS), TUNING(PLACEHOLDERS), false));
    assert_true(json_bool_at(answer, "response.allowed", false));
    assert_null(json_at(answer, "response.warnings"));
}

static void test_admission_other_operations_pass(void **state)
{
    (void)state;
    struct hook_calls calls;
    struct admission admission = admission_for(&calls);
    AUTO(json)
    cJSON *answer = answer_to(&admission, review("DELETE", TUNING(PLACEHOLDERS), NULL, false));
    assert_true(json_bool_at(answer, "response.allowed", false));
}

static void test_admission_mutate(void **state)
{
    (void)state;
    struct hook_calls calls;
    struct admission admission = admission_for(&calls);
    AUTO_FREE char *body = review("CREATE", TUNING(GOOD_OUTPUT), NULL, false);
    AUTO_FREE char *answer = NULL;
    struct error err = ERROR_INIT;
    assert_int_equal(admission_mutate(&admission, body, strlen(body), &answer, &err), 0);
    AUTO(json) cJSON *json = json_literal(answer);
    assert_true(json_bool_at(json, "response.allowed", false));
    assert_string_equal(json_string_at(json, "response.patchType"), "JSONPatch");
    assert_int_equal(calls.refused, 0);
}

/* Or the schema's refusal would hide what else is wrong. */
static void test_admission_mutate_names_every_problem(void **state)
{
    (void)state;
    struct hook_calls calls;
    struct admission admission = admission_for(&calls);
    AUTO_FREE char *body = review("CREATE", TUNING(PLACEHOLDERS), NULL, false);
    AUTO_FREE char *answer = NULL;
    struct error err = ERROR_INIT;
    assert_int_equal(admission_mutate(&admission, body, strlen(body), &answer, &err), 0);
    AUTO(json) cJSON *json = json_literal(answer);
    assert_false(json_bool_at(json, "response.allowed", true));
    assert_int_equal(cJSON_GetArraySize(json_at(json, "response.status.details.causes")), 2);
    assert_null(json_at(json, "response.patch"));
    assert_int_equal(calls.refused, 1);
}

static void test_admission_no_review(void **state)
{
    (void)state;
    struct hook_calls calls;
    struct admission admission = admission_for(&calls);
    static const char *const bodies[] = { "", "{", "hello", "{}", "[]", "{\"kind\":\"List\"}" };
    for (size_t i = 0; i < ARRAY_LEN(bodies); i++) {
        struct error err = ERROR_INIT;
        char *answer = NULL;
        size_t count = strlen(bodies[i]);
        assert_int_equal(admission_validate(&admission, bodies[i], count, &answer, &err), -1);
        assert_int_equal(err.code, ERR_INVALID);
        assert_int_equal(admission_mutate(&admission, bodies[i], count, &answer, &err), -1);
        assert_null(answer);
    }
}

static void test_admission_too_large(void **state)
{
    (void)state;
    struct hook_calls calls;
    struct admission admission = admission_for(&calls);
    size_t count = ADMISSION_BYTES_MAX + 1;
    AUTO_FREE char *body = mem_alloc(count);
    memset(body, ' ', count);
    struct error err = ERROR_INIT;
    char *answer = NULL;
    assert_int_equal(admission_mutate(&admission, body, count, &answer, &err), -1);
    assert_int_equal(err.code, ERR_TOO_LARGE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_admission_accepts_the_example_with_a_plan),
        cmocka_unit_test(test_admission_refuses_the_placeholders),
        cmocka_unit_test(test_admission_dry_run_tells_nobody),
        cmocka_unit_test(test_admission_asks_about_the_config),
        cmocka_unit_test(test_admission_unchanged_update_is_silent),
        cmocka_unit_test(test_admission_other_operations_pass),
        cmocka_unit_test(test_admission_mutate),
        cmocka_unit_test(test_admission_mutate_names_every_problem),
        cmocka_unit_test(test_admission_no_review),
        cmocka_unit_test(test_admission_too_large),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
