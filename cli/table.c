#include "cli/table.h"

#include <assert.h>
#include <stdbool.h>
#include <string.h>

enum { GAP = 3, ROWS_AT_FIRST = 16 };

void table_add(struct table *table, const char *const *cells)
{
    if (table->count == table->capacity) {
        size_t capacity = table->capacity != 0 ? 2 * table->capacity : ROWS_AT_FIRST;
        void *rows = arena_alloc(table->arena, capacity * sizeof(*table->rows));
        if (table->count > 0)
            memcpy(rows, table->rows, table->count * sizeof(*table->rows));
        table->rows = rows;
        table->capacity = capacity;
    }
    const char **row = table->rows[table->count++];
    size_t count = 0;
    for (; cells[count] != NULL; count++) {
        assert(count < TABLE_COLUMNS_MAX);
        row[count] = cells[count];
    }
    while (count > 0 && *row[count - 1] == '\0')
        row[--count] = NULL; /* no blanks at the end of a line */
}

void table_print(const struct table *table, int indent, FILE *out)
{
    size_t widths[TABLE_COLUMNS_MAX] = { 0 };
    for (size_t row = 0; row < table->count; row++) {
        for (size_t i = 0; i < TABLE_COLUMNS_MAX && table->rows[row][i] != NULL; i++) {
            size_t width = strlen(table->rows[row][i]);
            widths[i] = width > widths[i] ? width : widths[i];
        }
    }
    for (size_t row = 0; row < table->count; row++) {
        fprintf(out, "%*s", indent, "");
        for (size_t i = 0; i < TABLE_COLUMNS_MAX && table->rows[row][i] != NULL; i++) {
            bool last = i + 1 == TABLE_COLUMNS_MAX || table->rows[row][i + 1] == NULL;
            fprintf(out, "%-*s", last ? 0 : (int)widths[i] + GAP, table->rows[row][i]);
        }
        fputc('\n', out);
    }
}
