#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "common/base/compiler.h"
#include "common/base/config.h"
#include "common/base/memory.h"

struct values {
    const char *listen, *cloud;
    int64_t threads, resync_ms;
    bool verbose;
};
struct more_values {
    int64_t threads;
    const char *empty;
};

static const struct config_option options[] = {
    CONFIG_TEXT(struct values, listen, "listen", "0.0.0.0:9443", "ADDRESS", "where to listen"),
    CONFIG_CHOICE(struct values, cloud, "cloud", "azure", "azure|aws|arc", "whose machines"),
    CONFIG_INTEGER(struct values, threads, "threads", "2", 1, 64, "how many threads"),
    CONFIG_DURATION(struct values, resync_ms, "resync", "5m", 10 * 1000, 24 * 3600 * 1000,
                    "how often to look"),
    CONFIG_BOOL(struct values, verbose, "verbose", "false", "say more"),
};
static const struct config_option more_options[] = {
    CONFIG_INTEGER(struct more_values, threads, "threads", "2", 1, 8, "how many threads"),
    CONFIG_TEXT(struct more_values, empty, "config-check-url", "", "URL", "whom to ask"),
};

struct fixture {
    struct values values;
    struct more_values more;
    struct config_table table;
    struct error err;
};

static int set_up(void **state)
{
    static struct fixture f;
    f = (struct fixture){
        .table = { .program = "ckaito-test",
                   .summary = "Tests flags.",
                   .groups = { { options, ARRAY_LEN(options), &f.values },
                               { more_options, ARRAY_LEN(more_options), &f.more } } },
        .err = ERROR_INIT
    };
    *state = &f;
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    unsetenv("CKAITO_THREADS");
    unsetenv("CKAITO_CONFIG_CHECK_URL");
    return 0;
}

/* `line` is the command line, split at blanks. What is printed goes to `out`, which may be NULL. */
static int parse(struct fixture *f, const char *line, FILE *out)
{
    static char copy[512]; /* values borrow from argv */
    char *argv[16] = { (char[]){ "ckaito-test" } };
    int argc = 1;
    snprintf(copy, sizeof(copy), "%s", line);
    for (char *rest = copy, *word; (word = strsep(&rest, " ")) != NULL;) {
        if (word[0] != '\0')
            argv[argc++] = word;
    }
    return config_parse(&f->table, argc, argv, out, &f->err);
}

static void test_config_defaults(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(parse(f, "", NULL), CONFIG_RUN);
    assert_string_equal(f->values.listen, "0.0.0.0:9443");
    assert_string_equal(f->values.cloud, "azure");
    assert_int_equal(f->values.threads, 2);
    assert_int_equal(f->values.resync_ms, 300 * 1000);
    assert_false(f->values.verbose);
    assert_string_equal(f->more.empty, "");
}

static void test_config_flags(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(parse(f, "--listen :1 --cloud=aws --threads 8 --verbose --resync=1h30m", NULL),
                     CONFIG_RUN);
    assert_string_equal(f->values.listen, ":1");
    assert_string_equal(f->values.cloud, "aws");
    assert_int_equal(f->values.threads, 8);
    assert_int_equal(f->more.threads, 8); /* a name in two groups sets both */
    assert_true(f->values.verbose);
    assert_int_equal(f->values.resync_ms, 5400 * 1000);
}

static void test_config_bool_with_a_value(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(parse(f, "--verbose --verbose=false", NULL), CONFIG_RUN);
    assert_false(f->values.verbose);
}

static void test_config_empty_value(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(parse(f, "--listen=", NULL), CONFIG_RUN);
    assert_string_equal(f->values.listen, "");
}

static void test_config_precedence(void **state)
{
    struct fixture *f = *state;
    setenv("CKAITO_THREADS", "3", 1);
    setenv("CKAITO_CONFIG_CHECK_URL", "ipc:///x", 1);
    assert_int_equal(parse(f, "", NULL), CONFIG_RUN);
    assert_int_equal(f->values.threads, 3);
    assert_string_equal(f->more.empty, "ipc:///x");
    assert_int_equal(parse(f, "--threads 4", NULL), CONFIG_RUN);
    assert_int_equal(f->values.threads, 4);
}

static void test_config_errors(void **state)
{
    struct fixture *f = *state;
    static const struct {
        const char *line, *message;
    } cases[] = {
        { "--treads 2", "unknown flag --treads; did you mean --threads? see --help" },
        { "--listn=x", "unknown flag --listn; did you mean --listen? see --help" },
        { "--frobnicate", "unknown flag --frobnicate; see --help" },
        { "threads", "unexpected argument \"threads\"; see --help" },
        { "-v", "unexpected argument \"-v\"; see --help" },
        { "--", "unexpected argument \"--\"; see --help" },
        { "--threads", "--threads needs a value: --threads N" },
        { "--threads --verbose", "--threads needs a value: --threads N" },
        { "--cloud", "--cloud needs a value: --cloud azure|aws|arc" },
        { "--threads x", "--threads: \"x\" is not legal; write a whole number from 1 to 64" },
        { "--threads 65", "--threads: \"65\" is not legal; write a whole number from 1 to 64" },
        { "--threads 9", "--threads: \"9\" is not legal; write a whole number from 1 to 8" },
        { "--threads=", "--threads: \"\" is not legal; write a whole number from 1 to 64" },
        { "--cloud gcp", "--cloud: \"gcp\" is not legal; write one of azure, aws, arc" },
        { "--cloud az", "--cloud: \"az\" is not legal; write one of azure, aws, arc" },
        { "--verbose=yes", "--verbose: \"yes\" is not legal; write true or false" },
        { "--resync 5", "--resync: \"5\" is not legal; write a duration such as 250ms, 3s, 5m or "
                        "1h, from 10s to 24h" },
        { "--resync 9s", "--resync: \"9s\" is not legal; write a duration such as 250ms, 3s, 5m or "
                         "1h, from 10s to 24h" },
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        assert_int_equal(parse(f, cases[i].line, NULL), -1);
        assert_string_equal(f->err.message, cases[i].message);
        assert_int_equal(f->err.code, ERR_INVALID);
    }
}

static void test_config_durations(void **state)
{
    struct fixture *f = *state;
    static const struct {
        const char *text;
        int64_t ms; /* -1: refused */
    } cases[] = { { "10000ms", 10000 },
                  { "60s", 60000 },
                  { "2m", 120000 },
                  { "1h", 3600000 },
                  { "1m30s", 90000 },
                  { "-1m", -1 },
                  { "1.5m", -1 },
                  { "1d", -1 },
                  { "m", -1 },
                  { "", -1 },
                  { "1m30", -1 },
                  { "1sm", -1 },
                  { "99999999999999999999s", -1 },
                  { "9999999999999999h", -1 } };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        char line[64];
        snprintf(line, sizeof(line), "--resync=%s", cases[i].text);
        assert_int_equal(parse(f, line, NULL), cases[i].ms < 0 ? -1 : CONFIG_RUN);
        if (cases[i].ms >= 0)
            assert_int_equal(f->values.resync_ms, cases[i].ms);
    }
}

static void test_config_environment_error_names_the_variable(void **state)
{
    struct fixture *f = *state;
    setenv("CKAITO_THREADS", "many", 1);
    assert_int_equal(parse(f, "", NULL), -1);
    assert_string_equal(f->err.message, "CKAITO_THREADS: \"many\" is not legal; write a whole "
                                        "number from 1 to 64");
}

/* What config_parse prints for one flag. */
static char *printed(struct fixture *f, const char *line)
{
    char *text = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&text, &size);
    assert_int_equal(parse(f, line, out), CONFIG_EXIT);
    fclose(out);
    return text;
}

static void test_config_help(void **state)
{
    setenv("CKAITO_THREADS", "many", 1); /* does not keep anybody from asking for help */
    AUTO_FREE char *text = printed(*state, "--nonsense --help");
    assert_non_null(strstr(text, "ckaito-test: Tests flags.\n"));
    assert_non_null(strstr(text, "\n  --listen ADDRESS                where to listen (default "
                                 "0.0.0.0:9443)\n"));
    assert_non_null(strstr(text, "--cloud azure|aws|arc "));
    assert_non_null(strstr(text, "CKAITO_SOME_FLAG"));
    const char *first = strstr(text, "--threads");
    assert_non_null(first);
    assert_null(strstr(first + 1, "--threads")); /* once, though two groups have it */
}

static void test_config_version(void **state)
{
    AUTO_FREE char *text = printed(*state, "--version");
    assert_string_equal(text, "ckaito-test " CKAITO_VERSION "\n");
}

static void test_config_document(void **state)
{
    struct fixture *f = *state;
    AUTO(buf) struct buf out = BUF_INIT(64 * 1024);
    config_document(&f->table, &out);
    assert_non_null(strstr(buf_text(&out), "## ckaito-test\n"));
    assert_non_null(strstr(buf_text(&out),
                           "| `--threads` | `CKAITO_THREADS` | `2` | a whole number from 1 to 64 | "
                           "how many threads |\n"));
    assert_non_null(strstr(buf_text(&out), "| `--config-check-url` | `CKAITO_CONFIG_CHECK_URL` |"));
}

#define WITH_FIXTURE(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_FIXTURE(test_config_defaults),
        WITH_FIXTURE(test_config_flags),
        WITH_FIXTURE(test_config_bool_with_a_value),
        WITH_FIXTURE(test_config_empty_value),
        WITH_FIXTURE(test_config_precedence),
        WITH_FIXTURE(test_config_errors),
        WITH_FIXTURE(test_config_durations),
        WITH_FIXTURE(test_config_environment_error_names_the_variable),
        WITH_FIXTURE(test_config_help),
        WITH_FIXTURE(test_config_version),
        WITH_FIXTURE(test_config_document),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
