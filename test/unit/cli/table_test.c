#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "cli/table.h"
#include "common/base/memory.h"

static void test_table_aligns(void **state)
{
    (void)state;
    AUTO(arena) struct arena arena = ARENA_INIT;
    struct table table = { .arena = &arena };
    TABLE_ROW(&table, "NAME", "N", "NOTE");
    TABLE_ROW(&table, "a", "100", "");
    TABLE_ROW(&table, "longer", "1", "x y");
    AUTO_FREE char *text = NULL;
    size_t bytes;
    FILE *out = open_memstream(&text, &bytes);
    table_print(&table, 2, out);
    fclose(out);
    assert_string_equal(text, "  NAME     N     NOTE\n"
                              "  a        100\n"
                              "  longer   1     x y\n");
}

static void test_table_grows(void **state)
{
    (void)state;
    AUTO(arena) struct arena arena = ARENA_INIT;
    struct table table = { .arena = &arena };
    for (int i = 0; i < 100; i++)
        TABLE_ROW(&table, arena_printf(&arena, "%d", i));
    assert_int_equal(table.count, 100);
    assert_string_equal(table.rows[0][0], "0");
    assert_string_equal(table.rows[99][0], "99");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_table_aligns),
        cmocka_unit_test(test_table_grows),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
