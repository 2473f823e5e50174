/* Memory for one unit of work (a reconcile, an admission request, a message): everything decoded or
 * built for it is taken here and released at one place. Not thread-safe; one owner. */
#pragma once

#include <stdarg.h>
#include <stddef.h>

#include "common/base/compiler.h"

struct arena_chunk;

struct arena {
    struct arena_chunk *chunks;
};

#define ARENA_INIT     \
    {                  \
        .chunks = NULL \
    }

/* Zeroed, aligned for any type; lives until arena_fini. */
void *arena_alloc(struct arena *arena, size_t bytes);
char *arena_strdup(struct arena *arena, const char *text);
char *arena_strndup(struct arena *arena, const char *text, size_t bytes);
char *arena_printf(struct arena *arena, const char *format, ...) PRINTF_LIKE(2, 3);
char *arena_vprintf(struct arena *arena, const char *format, va_list args) PRINTF_LIKE(2, 0);
void arena_fini(struct arena *arena);

#define arena_new(arena, type)          ((type *)arena_alloc((arena), sizeof(type)))
#define arena_array(arena, type, count) ((type *)arena_alloc((arena), sizeof(type) * (count)))

DEFINE_CLEANUP(arena, struct arena, arena_fini)
