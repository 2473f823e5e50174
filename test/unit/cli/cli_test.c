#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "test/unit/cli/run.h"

static void test_cli_help(void **state)
{
    (void)state;
    static const char *const commands[] = { "validate", "plan", "models", "machines", "review" };
    AUTO(outcome) struct outcome all = RUN("", "--help");
    assert_int_equal(all.status, CLI_OK);
    for (size_t i = 0; i < ARRAY_LEN(commands); i++) {
        assert_says(all.out, commands[i]);
        AUTO(outcome) struct outcome one = RUN("", commands[i], "--help");
        assert_int_equal(one.status, CLI_OK);
        AUTO_FREE char *usage = mem_printf("usage: kubectl ckaito %s ", commands[i]);
        assert_says(one.out, usage);
        assert_string_equal(one.err, "");
    }
}

static void test_cli_version(void **state)
{
    (void)state;
    AUTO(outcome) struct outcome outcome = RUN("", "--version");
    assert_int_equal(outcome.status, CLI_OK);
    assert_string_equal(outcome.out, "kubectl-ckaito " CKAITO_VERSION "\n");
}

static void test_cli_wrong_use(void **state)
{
    (void)state;
    static const struct {
        const char *words[6];
        const char *says;
    } cases[] = {
        { { NULL }, "usage: kubectl ckaito COMMAND" },
        { { "plna" }, "did you mean plan?" },
        { { "quux" }, "unknown command \"quux\"" },
        { { "plan" }, "write -f FILE" },
        { { "plan", "-f" }, "--filename needs a value" },
        { { "plan", "--cloud" }, "--cloud needs a value: --cloud CLOUD" },
        { { "plan", "-x" }, "unknown flag -x" },
        { { "plan", "--frobnicate" }, "--frobnicate: no such flag" },
        { { "plan", "--fits", "phi-4" }, "--fits: no such flag" },
        { { "plan", "-f", "-", "stray" }, "unexpected argument \"stray\"" },
        { { "plan", "-f", "-", "-o", "xml" }, "--output: \"xml\" is not legal" },
        { { "plan", "-f", "-", "--cloud", "gcp" }, "--cloud: \"gcp\" is not legal" },
        { { "plan", "-f", "-", "--max-nodes", "0" }, "--max-nodes: \"0\" is not legal" },
        { { "plan", "-f", "-", "--max-nodes", "1x" }, "--max-nodes: \"1x\" is not legal" },
        { { "models", "a", "b" }, "unexpected argument \"b\"" },
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        AUTO(outcome) struct outcome outcome = run_bytes("", 0, cases[i].words);
        assert_int_equal(outcome.status, CLI_FAILED);
        assert_says(outcome.err, cases[i].says);
        assert_string_equal(outcome.out, "");
    }
}

static void test_cli_tells_of_what_it_cannot_write(void **state)
{
    (void)state;
    char program[] = "kubectl-ckaito", command[] = "models";
    char *argv[] = { program, command, NULL };
    FILE *full = fopen("/dev/full", "w");
    if (full == NULL)
        skip();
    char *text = NULL;
    size_t bytes;
    FILE *err = open_memstream(&text, &bytes);
    assert_int_equal(cli_main(2, argv, stdin, full, err), CLI_FAILED);
    fclose(err);
    assert_says(text, "error: cannot write");
    free(text);
    fclose(full);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_cli_help),
        cmocka_unit_test(test_cli_version),
        cmocka_unit_test(test_cli_wrong_use),
        cmocka_unit_test(test_cli_tells_of_what_it_cannot_write),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
