/* Allocation that cannot fail: out of memory ends the process with one log line. State lives in the
 * API server, so a restart is the recovery (crash-only). */
#pragma once

#include <stdarg.h>
#include <stddef.h>

#include "common/base/compiler.h"

void *mem_alloc(size_t bytes) __attribute__((malloc, returns_nonnull));
void *mem_calloc(size_t count, size_t bytes) __attribute__((malloc, returns_nonnull));
void *mem_realloc(void *old, size_t bytes) __attribute__((returns_nonnull));
char *mem_strdup(const char *text) __attribute__((malloc, returns_nonnull));
char *mem_strndup(const char *text, size_t bytes) __attribute__((malloc, returns_nonnull));
char *mem_printf(const char *format, ...) PRINTF_LIKE(1, 2)
    __attribute__((malloc, returns_nonnull));

/* One zeroed struct: struct thing *t = mem_new(struct thing); release with free(). */
#define mem_new(type) ((type *)mem_calloc(1, sizeof(type)))

NORETURN void mem_exhausted(void);

void mem_freep(void *pointer_to_pointer);
#define AUTO_FREE __attribute__((cleanup(mem_freep)))
