#include "common/base/memory.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

void mem_exhausted(void)
{
    static const char line[] = "{\"level\":\"error\",\"msg\":\"out of memory, exiting\"}\n";
    ssize_t ignored = write(STDERR_FILENO, line, sizeof(line) - 1);
    (void)ignored; /* nothing is left to be done about it */
    abort();
}

void *mem_alloc(size_t bytes)
{
    void *block = malloc(bytes != 0 ? bytes : 1);
    if (block == NULL)
        mem_exhausted();
    return block;
}

void *mem_calloc(size_t count, size_t bytes)
{
    void *block = calloc(count != 0 ? count : 1, bytes != 0 ? bytes : 1);
    if (block == NULL)
        mem_exhausted();
    return block;
}

void *mem_realloc(void *old, size_t bytes)
{
    void *block = realloc(old, bytes != 0 ? bytes : 1);
    if (block == NULL)
        mem_exhausted();
    return block;
}

char *mem_strndup(const char *text, size_t bytes)
{
    size_t length = strnlen(text, bytes);
    char *copy = mem_alloc(length + 1);
    memcpy(copy, text, length);
    copy[length] = '\0';
    return copy;
}

char *mem_strdup(const char *text)
{
    return mem_strndup(text, strlen(text));
}

char *mem_printf(const char *format, ...)
{
    va_list args;
    char *text = NULL;

    va_start(args, format);
    int length = vasprintf(&text, format, args);
    va_end(args);
    if (length < 0)
        mem_exhausted();
    return text;
}

void mem_freep(void *pointer_to_pointer)
{
    free(*(void **)pointer_to_pointer);
}
