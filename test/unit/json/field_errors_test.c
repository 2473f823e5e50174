#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "common/base/memory.h"
#include "common/json/field_errors.h"

struct fixture {
    struct arena arena;
    struct field_errors errors;
};

static int setup(void **state)
{
    struct fixture *fixture = mem_new(struct fixture);
    field_errors_init(&fixture->errors, &fixture->arena);
    *state = fixture;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *fixture = *state;
    arena_fini(&fixture->arena);
    mem_freep(state);
    return 0;
}

static void test_field_errors_text_of_each_kind(void **state)
{
    static const struct {
        struct field_error error;
        const char *text;
    } table[] = {
        { { .path = "a.b", .kind = FIELD_REQUIRED }, "a.b: Required value" },
        { { .path = "a.b", .kind = FIELD_REQUIRED, .detail = "name it" },
          "a.b: Required value: name it" },
        { { .path = "a[0]", .kind = FIELD_INVALID, .value = "x", .detail = "must be y" },
          "a[0]: Invalid value: \"x\": must be y" },
        { { .path = "a", .kind = FIELD_INVALID, .value = "", .detail = "d", .fix = "write z" },
          "a: Invalid value: \"\": d; write z" },
        { { .path = "a", .kind = FIELD_FORBIDDEN, .detail = "both" }, "a: Forbidden: both" },
        { { .path = "a", .kind = FIELD_UNSUPPORTED, .value = "q" }, "a: Unsupported value: \"q\"" },
    };
    struct fixture *fixture = *state;
    for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++)
        assert_string_equal(field_error_text(&table[i].error, &fixture->arena), table[i].text);
}

static void test_field_errors_value_stays_on_its_line(void **state)
{
    struct fixture *fixture = *state;
    const struct field_error error = { .path = "a",
                                       .kind = FIELD_INVALID,
                                       .value = "x\"\n\\\t\x01\x7F\xC3\xA9" };
    assert_string_equal(field_error_text(&error, &fixture->arena),
                        "a: Invalid value: \"x\\\"\\n\\\\\\t\\x01\\x7f\xC3\xA9\"");
}

static void test_field_errors_keep_copies(void **state)
{
    struct fixture *fixture = *state;
    char path[] = "a", value[] = "b", detail[] = "c", fix[] = "d", rule[] = "e";
    field_errors_add(&fixture->errors, &(struct field_error){ .path = path,
                                                              .kind = FIELD_INVALID,
                                                              .value = value,
                                                              .detail = detail,
                                                              .fix = fix,
                                                              .rule = rule });
    path[0] = value[0] = detail[0] = fix[0] = rule[0] = 'X';
    assert_string_equal(field_errors_text(&fixture->errors), "a: Invalid value: \"b\": c; d");
    assert_string_equal(fixture->errors.items[0].rule, "e");
}

static void test_field_errors_rule_is_never_null(void **state)
{
    struct fixture *fixture = *state;
    field_errors_add(&fixture->errors, &(struct field_error){ .path = "a" });
    assert_string_equal(fixture->errors.items[0].rule, "");
    assert_null(fixture->errors.items[0].value);
}

static void test_field_errors_one_a_line_in_order(void **state)
{
    struct fixture *fixture = *state;
    assert_string_equal(field_errors_text(&fixture->errors), "");
    field_errors_add(&fixture->errors, &(struct field_error){ .path = "b" });
    field_errors_add(&fixture->errors, &(struct field_error){ .path = "a" });
    assert_string_equal(field_errors_text(&fixture->errors),
                        "b: Required value\na: Required value");
}

static void test_field_errors_count_what_they_do_not_keep(void **state)
{
    struct fixture *fixture = *state;
    for (int i = 0; i < FIELD_ERRORS_MAX + 3; i++)
        field_errors_add(&fixture->errors, &(struct field_error){ .path = "a" });
    assert_int_equal(fixture->errors.count, FIELD_ERRORS_MAX);
    assert_int_equal(fixture->errors.dropped, 3);
    const char *text = field_errors_text(&fixture->errors);
    assert_string_equal(strrchr(text, '\n'), "\nand 3 more");
}

/* Whatever a user sends, the answer has text, and not too much of it. */
static void test_field_errors_bound_long_texts(void **state)
{
    struct fixture *fixture = *state;
    enum { LONG = 1024 * 1024 };
    AUTO_FREE char *text = mem_alloc(LONG + 1);
    memset(text, 'x', LONG);
    text[LONG] = '\0';
    for (int i = 0; i < FIELD_ERRORS_MAX; i++)
        field_errors_add(
            &fixture->errors,
            &(struct field_error){
                .path = text, .kind = FIELD_INVALID, .value = text, .detail = text, .fix = text });
    assert_int_equal(strlen(fixture->errors.items[0].path), 512 + 3);
    assert_int_equal(strlen(fixture->errors.items[0].value), 256 + 3);
    const char *all = field_errors_text(&fixture->errors);
    assert_in_range(strlen(all), 32 * 1024, 64 * 1024);
    assert_non_null(strstr(all, "\nand "));
    assert_non_null(strstr(all, " more"));
}

static void test_field_errors_cut_between_characters(void **state)
{
    struct fixture *fixture = *state;
    char text[300];
    for (size_t i = 0; i < sizeof(text) - 1; i += 1)
        text[i] = i % 3 == 0 ? '\xE2' : i % 3 == 1 ? '\x82' : '\xAC'; /* euro signs */
    text[sizeof(text) - 1] = '\0';
    field_errors_add(&fixture->errors, &(struct field_error){ .path = "a", .value = text });
    const char *value = fixture->errors.items[0].value;
    assert_int_equal(strlen(value), 255 + 3);
    assert_string_equal(value + 252, "\xE2\x82\xAC...");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_field_errors_text_of_each_kind, setup, teardown),
        cmocka_unit_test_setup_teardown(test_field_errors_value_stays_on_its_line, setup, teardown),
        cmocka_unit_test_setup_teardown(test_field_errors_keep_copies, setup, teardown),
        cmocka_unit_test_setup_teardown(test_field_errors_rule_is_never_null, setup, teardown),
        cmocka_unit_test_setup_teardown(test_field_errors_one_a_line_in_order, setup, teardown),
        cmocka_unit_test_setup_teardown(test_field_errors_count_what_they_do_not_keep, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(test_field_errors_bound_long_texts, setup, teardown),
        cmocka_unit_test_setup_teardown(test_field_errors_cut_between_characters, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
