#include "common/base/buf.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/memory.h"

/* Room for `count` more bytes and the terminator. */
static int buf_reserve(struct buf *buf, size_t count)
{
    if (buf->failed || count > buf->bytes_max - buf->length) {
        buf->failed = true;
        return -1;
    }
    size_t need = buf->length + count + 1;
    if (need <= buf->capacity)
        return 0;
    size_t capacity = buf->capacity != 0 ? buf->capacity : 64;
    while (capacity < need)
        capacity *= 2;
    buf->data = mem_realloc(buf->data, capacity);
    buf->capacity = capacity;
    return 0;
}

int buf_append(struct buf *buf, const void *bytes, size_t count)
{
    if (buf_reserve(buf, count) < 0)
        return -1;
    if (count != 0)
        memcpy(buf->data + buf->length, bytes, count);
    buf->length += count;
    buf->data[buf->length] = '\0';
    return 0;
}

int buf_puts(struct buf *buf, const char *text)
{
    return buf_append(buf, text, strlen(text));
}

int buf_putc(struct buf *buf, char c)
{
    return buf_append(buf, &c, 1);
}

int buf_vprintf(struct buf *buf, const char *format, va_list args)
{
    va_list again;
    va_copy(again, args);
    int length = vsnprintf(NULL, 0, format, again);
    va_end(again);
    if (length < 0 || buf_reserve(buf, (size_t)length) < 0)
        return -1;
    vsnprintf(buf->data + buf->length, (size_t)length + 1, format, args);
    buf->length += (size_t)length;
    return 0;
}

int buf_printf(struct buf *buf, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    int result = buf_vprintf(buf, format, args);
    va_end(args);
    return result;
}

void buf_consume(struct buf *buf, size_t count)
{
    if (count > buf->length)
        count = buf->length;
    if (count == 0)
        return;
    memmove(buf->data, buf->data + count, buf->length - count + 1);
    buf->length -= count;
}

void buf_reset(struct buf *buf)
{
    buf->length = 0;
    buf->failed = false;
    if (buf->data != NULL)
        buf->data[0] = '\0';
}

void buf_fini(struct buf *buf)
{
    free(buf->data);
    *buf = (struct buf)BUF_INIT(buf->bytes_max);
}

char *buf_take(struct buf *buf)
{
    char *text = buf->data != NULL ? buf->data : mem_strdup("");
    *buf = (struct buf)BUF_INIT(buf->bytes_max);
    return text;
}
