/* Growable text or bytes with a maximum given at the start. An append that would pass the maximum
 * leaves the content as it was and returns -1 from then on (sticky), so that a series of appends is
 * checked once at the end with buf_failed(). Always terminated by a NUL that is not counted. */
#pragma once

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>

#include "common/base/compiler.h"

struct buf {
    char *data; /* NULL while empty; use buf_text() for a C string */
    size_t length;
    size_t capacity;
    size_t bytes_max;
    bool failed;
};

#define BUF_INIT(max)      \
    {                      \
        .bytes_max = (max) \
    }

int buf_append(struct buf *buf, const void *bytes, size_t count);
int buf_puts(struct buf *buf, const char *text);
int buf_putc(struct buf *buf, char c);
int buf_printf(struct buf *buf, const char *format, ...) PRINTF_LIKE(2, 3);
int buf_vprintf(struct buf *buf, const char *format, va_list args) PRINTF_LIKE(2, 0);
void buf_consume(struct buf *buf, size_t count); /* drops bytes at the front */
void buf_reset(struct buf *buf);                 /* empties, keeps the memory */
void buf_fini(struct buf *buf);

/* The caller owns the text (free()); the buffer is empty afterwards. Never NULL. */
char *buf_take(struct buf *buf);

static inline const char *buf_text(const struct buf *buf)
{
    return buf->data != NULL ? buf->data : "";
}

static inline bool buf_failed(const struct buf *buf)
{
    return buf->failed;
}

DEFINE_CLEANUP(buf, struct buf, buf_fini)
