#include "common/base/arena.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/memory.h"

enum { CHUNK_BYTES = 8 * 1024, ALIGN = _Alignof(max_align_t) };

struct arena_chunk {
    struct arena_chunk *next;
    size_t used;
    size_t size;
    _Alignas(max_align_t) char data[];
};

void *arena_alloc(struct arena *arena, size_t bytes)
{
    if (bytes > SIZE_MAX - CHUNK_BYTES)
        mem_exhausted();
    size_t need = (bytes + ALIGN - 1) / ALIGN * ALIGN;
    struct arena_chunk *chunk = arena->chunks;

    if (chunk == NULL || chunk->size - chunk->used < need) {
        size_t size = need > CHUNK_BYTES / 4 ? need : CHUNK_BYTES;
        struct arena_chunk *fresh = mem_alloc(sizeof(*fresh) + size);
        fresh->used = 0;
        fresh->size = size;
        /* A large block goes behind the current chunk, so that the rest of that is still used. */
        if (chunk != NULL && size == need) {
            fresh->next = chunk->next;
            chunk->next = fresh;
        } else {
            fresh->next = chunk;
            arena->chunks = fresh;
        }
        chunk = fresh;
    }
    void *block = chunk->data + chunk->used;
    chunk->used += need;
    return memset(block, 0, need);
}

char *arena_strndup(struct arena *arena, const char *text, size_t bytes)
{
    size_t length = strnlen(text, bytes);
    char *copy = arena_alloc(arena, length + 1);
    memcpy(copy, text, length);
    return copy;
}

char *arena_strdup(struct arena *arena, const char *text)
{
    return arena_strndup(arena, text, strlen(text));
}

char *arena_vprintf(struct arena *arena, const char *format, va_list args)
{
    va_list again;
    va_copy(again, args);
    int length = vsnprintf(NULL, 0, format, again);
    va_end(again);
    if (length < 0)
        mem_exhausted();
    char *text = arena_alloc(arena, (size_t)length + 1);
    vsnprintf(text, (size_t)length + 1, format, args);
    return text;
}

char *arena_printf(struct arena *arena, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    char *text = arena_vprintf(arena, format, args);
    va_end(args);
    return text;
}

void arena_fini(struct arena *arena)
{
    while (arena->chunks != NULL) {
        struct arena_chunk *next = arena->chunks->next;
        free(arena->chunks);
        arena->chunks = next;
    }
}
