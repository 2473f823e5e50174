#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "common/base/compiler.h"
#include "common/catalogue/nearest.h"

static const char *const names[] = {
    "phi-4", "phi-4-mini-instruct", "gpt-oss-20b", "gpt-oss-120b", "llama-3.1-8b-instruct",
};

static const char *nearest_of(const char *wanted)
{
    struct nearest nearest = NEAREST_INIT(wanted);
    for (size_t i = 0; i < ARRAY_LEN(names); i++)
        nearest_consider(&nearest, names[i], names[i]);
    return nearest.best;
}

static void test_nearest_table(void **state)
{
    (void)state;
    static const struct {
        const char *wanted, *best;
    } table[] = {
        { "phi-4", "phi-4" },
        { "PHI-4", "phi-4" },
        { "phi4", "phi-4" },
        { "pih-4", "phi-4" },
        { "phi-4-mini-instrcut", "phi-4-mini-instruct" },
        { "gpt-oss-20", "gpt-oss-20b" },
        { "gpt-oss-130b", "gpt-oss-120b" },
        { "gpt-oss", "gpt-oss-20b" },            /* the shortest that begins so */
        { "llama", "llama-3.1-8b-instruct" },    /* a beginning */
        { "phi-4-reasoning-plus-14b", "phi-4" }, /* it begins with a name */
        { "phi-4-mini-instruct-onnx-int4-cpu", "phi-4-mini-instruct" }, /* with the longest one */
        { "falcon-40b", NULL },
        { "base", NULL },
        { "x", NULL },
        { "ph", NULL },
        { "", NULL },
    };
    for (size_t i = 0; i < ARRAY_LEN(table); i++) {
        const char *best = nearest_of(table[i].wanted);
        if (best != table[i].best &&
            (best == NULL || table[i].best == NULL || strcmp(best, table[i].best) != 0))
            fail_msg("%s: %s, not %s", table[i].wanted, best != NULL ? best : "(none)",
                     table[i].best != NULL ? table[i].best : "(none)");
    }
}

static void test_nearest_answers_for_the_candidate(void **state)
{
    (void)state;
    struct nearest nearest = NEAREST_INIT("phi5");
    nearest_consider(&nearest, "phi-4", "microsoft/phi-4");
    assert_string_equal(nearest.best, "microsoft/phi-4");
}

static void test_nearest_first_of_equals_wins(void **state)
{
    (void)state;
    struct nearest nearest = NEAREST_INIT("phi-4");
    nearest_consider(&nearest, "phi-4", "first");
    nearest_consider(&nearest, "phi-4", "second");
    assert_string_equal(nearest.best, "first");
}

static void test_nearest_bounds_the_length(void **state)
{
    (void)state;
    char longest[NEAREST_BYTES_MAX + 1], longer[NEAREST_BYTES_MAX + 2];
    memset(longest, 'a', sizeof(longest) - 1);
    longest[sizeof(longest) - 1] = '\0';
    memset(longer, 'a', sizeof(longer) - 1);
    longer[sizeof(longer) - 1] = '\0';
    struct nearest nearest = NEAREST_INIT(longest);
    nearest_consider(&nearest, longer, "x");
    assert_null(nearest.best);
    nearest_consider(&nearest, longest, "y");
    assert_string_equal(nearest.best, "y");
    struct nearest none = NEAREST_INIT(longer);
    nearest_consider(&none, longest, "z");
    assert_null(none.best);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_nearest_table),
        cmocka_unit_test(test_nearest_answers_for_the_candidate),
        cmocka_unit_test(test_nearest_first_of_equals_wins),
        cmocka_unit_test(test_nearest_bounds_the_length),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
