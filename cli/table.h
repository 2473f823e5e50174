/* Rows of text in aligned columns, three spaces apart, as kubectl prints them. */
#pragma once

#include <stdio.h>

#include "common/base/arena.h"

enum { TABLE_COLUMNS_MAX = 8 };

struct table {
    struct arena *arena; /* cells live there or longer */
    const char *(*rows)[TABLE_COLUMNS_MAX];
    size_t count, capacity;
};

/* `cells`: up to TABLE_COLUMNS_MAX texts, then NULL. */
void table_add(struct table *table, const char *const *cells);
#define TABLE_ROW(table, ...) table_add((table), (const char *const[]){ __VA_ARGS__, NULL })

/* Each line begins with `indent` spaces; the last column is not padded. */
void table_print(const struct table *table, int indent, FILE *out);
