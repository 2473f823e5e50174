#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "common/base/log.h"
#include "common/json/json.h"

/* stderr as a pipe, so that a test reads what was logged. */
static int saved, reading;

static void capture(void)
{
    int ends[2];
    saved = dup(STDERR_FILENO);
    assert_int_equal(pipe(ends), 0);
    dup2(ends[1], STDERR_FILENO);
    close(ends[1]);
    reading = ends[0];
}

static const char *captured(void)
{
    static char text[8192];
    dup2(saved, STDERR_FILENO);
    close(saved);
    ssize_t count = read(reading, text, sizeof(text) - 1);
    text[count > 0 ? count : 0] = '\0';
    close(reading);
    return text;
}

static cJSON *captured_json(void)
{
    const char *text = captured();
    cJSON *json = NULL;
    struct error err = ERROR_INIT;
    assert_ptr_equal(strchr(text, '\n'), text + strlen(text) - 1); /* one line */
    if (json_parse_text(text, &json, &err) < 0)
        fail_msg("%s: %s", err.message, text);
    return json;
}

static void test_log_line(void **state)
{
    (void)state;
    struct error err = ERROR_INIT;
    error_set(&err, ERR_TIMEOUT, "too slow");
    capture();
    log_info("claims", "created node claim", KV("workspace", "x/a"), KVI("count", -3),
             KV("nothing", (const char *)NULL), KVERR(&err));
    AUTO(json) cJSON *line = captured_json();
    assert_string_equal(json_string_at(line, "level"), "info");
    assert_string_equal(json_string_at(line, "logger"), "claims");
    assert_string_equal(json_string_at(line, "msg"), "created node claim");
    assert_string_equal(json_string_at(line, "workspace"), "x/a");
    assert_int_equal(json_integer_at(line, "count", 0), -3);
    assert_string_equal(json_string_at(line, "nothing"), "");
    assert_string_equal(json_string_at(line, "error"), "too slow");
    assert_string_equal(json_string_at(line, "code"), "TIMEOUT");
    assert_int_equal(strlen(json_string_at(line, "ts")), 27);
}

static void test_log_without_pairs(void **state)
{
    (void)state;
    capture();
    log_error("main", "bye");
    AUTO(json) cJSON *line = captured_json();
    assert_string_equal(json_string_at(line, "msg"), "bye");
}

static void test_log_escapes(void **state)
{
    (void)state;
    capture();
    log_warn("t", "m", KV("value", "a\"b\\c\nd\x01\t\xc3\xa4"));
    AUTO(json) cJSON *line = captured_json();
    assert_string_equal(json_string_at(line, "value"), "a\"b\\c\nd\x01\t\xc3\xa4");
}

static void test_log_long_lines_are_cut_but_stay_json(void **state)
{
    (void)state;
    static char long_text[6000];
    static const char fillers[] = { 'x', '"', '\x01', '\\' };
    for (size_t f = 0; f < sizeof(fillers); f++) {
        /* Every length around the limit, so that each place a cut can fall at is tried. */
        for (size_t length = 3800; length < 4200; length++) {
            memset(long_text, fillers[f], length);
            long_text[length] = '\0';
            capture();
            log_info("t", "m", KV("long", long_text), KVI("number", 123456789), KV("last", "l"));
            AUTO(json) cJSON *line = captured_json();
            assert_non_null(json_get(line, "long"));
        }
    }
}

static void test_log_level(void **state)
{
    (void)state;
    capture();
    log_set_level(LOG_WARN);
    log_info("t", "not shown");
    log_set_level(LOG_DEBUG);
    log_debug("t", "shown");
    log_set_level(LOG_INFO);
    AUTO(json) cJSON *line = captured_json();
    assert_string_equal(json_string_at(line, "msg"), "shown");
    assert_false(log_enabled(LOG_DEBUG));
}

static void test_log_level_parse(void **state)
{
    (void)state;
    enum log_level level = LOG_DEBUG;
    assert_int_equal(log_level_parse("error", &level), 0);
    assert_int_equal(level, LOG_ERROR);
    assert_int_equal(log_level_parse("loud", &level), -1);
    assert_int_equal(log_level_parse("", &level), -1);
    assert_int_equal(level, LOG_ERROR);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_log_line),
        cmocka_unit_test(test_log_without_pairs),
        cmocka_unit_test(test_log_escapes),
        cmocka_unit_test(test_log_long_lines_are_cut_but_stay_json),
        cmocka_unit_test(test_log_level),
        cmocka_unit_test(test_log_level_parse),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
