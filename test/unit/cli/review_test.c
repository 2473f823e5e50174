#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "common/base/buf.h"
#include "common/json/json.h"
#include "test/lib/literals.h"
#include "test/unit/cli/run.h"
#include "webhook/admission.h"

#define REVIEW(uid, machine)                                                                   \
    "{\"apiVersion\":\"admission.k8s.io/"                                                      \
    "v1\",\"kind\":\"AdmissionReview\",\"request\":{\"uid\":\"" uid                            \
    "\",\"operation\":\"CREATE\",\"kind\":{\"group\":\"kaito.sh\",\"version\":\"v1beta1\","    \
    "\"kind\":\"Workspace\"},\"object\":{\"apiVersion\":\"kaito.sh/v1beta1\",\"kind\":"        \
    "\"Workspace\",\"metadata\":{\"name\":\"chat\"},\"resource\":{\"instanceType\":\"" machine \
    "\",\"labelSelector\":{\"matchLabels\":{\"apps\":\"chat\"}}},\"inference\":{\"preset\":"   \
    "{\"name\":\"phi-4-mini-instruct\"}}}}}\n"
#define GOOD REVIEW("good", "Standard_NC24ads_A100_v4")
#define BAD  REVIEW("bad", "Standard_D4s_v3")

/* The answer of one line, 0 the first; NULL where there are not so many. */
static cJSON *answer_at(const char *out, int line)
{
    for (; line > 0 && out != NULL; line--)
        out = strchr(out, '\n') != NULL ? strchr(out, '\n') + 1 : NULL;
    if (out == NULL || *out == '\0')
        return NULL;
    AUTO_FREE char *text = mem_strndup(out, strcspn(out, "\n"));
    return json_literal(text);
}

static void assert_answer(const char *out, int line, const char *uid, int64_t code)
{
    AUTO(json) cJSON *answer = answer_at(out, line);
    assert_string_equal(json_string_at(answer, "apiVersion"), "admission.k8s.io/v1");
    assert_string_equal(json_string_at(answer, "response.uid"), uid);
    assert_int_equal(json_bool_at(answer, "response.allowed", false), code == 0);
    assert_int_equal(json_integer_at(answer, "response.status.code", 0), code);
}

static void test_review_answers_line_by_line(void **state)
{
    (void)state;
    AUTO(outcome) struct outcome outcome = RUN(GOOD "\n  \n" BAD GOOD, "review");
    assert_int_equal(outcome.status, CLI_OK);
    assert_answer(outcome.out, 0, "good", 0);
    assert_answer(outcome.out, 1, "bad", 422);
    assert_answer(outcome.out, 2, "good", 0);
    assert_null(answer_at(outcome.out, 3));
    AUTO(json) cJSON *refusal = answer_at(outcome.out, 1);
    assert_string_equal(json_string_at(refusal, "response.status.details.causes[0].field"),
                        "resource.instanceType");
}

static void test_review_goes_on_after_what_is_no_review(void **state)
{
    (void)state;
    static const char input[] = "{\n"
                                "\"text\"\n"
                                "{\"request\":{\"uid\":\"u-1\"}}\n"
                                "a\0b\n" GOOD "{\"request\":{\"uid\":7}}";
    AUTO(outcome)
    struct outcome outcome =
        run_bytes(input, sizeof(input) - 1, (const char *const[]){ "review", NULL });
    assert_int_equal(outcome.status, CLI_OK);
    assert_answer(outcome.out, 0, "", 400);
    assert_answer(outcome.out, 1, "", 400);
    assert_answer(outcome.out, 2, "u-1", 400);
    assert_answer(outcome.out, 3, "", 400);
    assert_answer(outcome.out, 4, "good", 0);
    assert_answer(outcome.out, 5, "", 400); /* the last line needs no newline */
}

static void test_review_bounds_a_line(void **state)
{
    (void)state;
    AUTO(buf) struct buf input = BUF_INIT(2 * ADMISSION_BYTES_MAX);
    for (int i = 0; i <= ADMISSION_BYTES_MAX; i++)
        buf_putc(&input, ' ');
    buf_puts(&input, "\n" GOOD);
    AUTO(outcome)
    struct outcome outcome =
        run_bytes(buf_text(&input), input.length, (const char *const[]){ "review", NULL });
    assert_int_equal(outcome.status, CLI_OK);
    assert_answer(outcome.out, 0, "", 413);
    assert_answer(outcome.out, 1, "good", 0);
}

static void test_review_of_another_cloud(void **state)
{
    (void)state;
    AUTO(outcome)
    struct outcome outcome = RUN(REVIEW("u", "p4d.24xlarge"), "review", "--cloud=aws");
    assert_answer(outcome.out, 0, "u", 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_review_answers_line_by_line),
        cmocka_unit_test(test_review_goes_on_after_what_is_no_review),
        cmocka_unit_test(test_review_bounds_a_line),
        cmocka_unit_test(test_review_of_another_cloud),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
