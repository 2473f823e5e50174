#include "common/json/field_errors.h"

#include <string.h>

#include "common/base/buf.h"

/* Paths and values are the user's and may be as long as the request. */
enum {
    PATH_BYTES_MAX = 512,
    VALUE_BYTES_MAX = 256,
    SENTENCE_BYTES_MAX = 2048,
    TEXT_BYTES_MAX = 64 * 1024
};

void field_errors_init(struct field_errors *errors, struct arena *arena)
{
    errors->arena = arena;
    errors->count = 0;
    errors->dropped = 0;
}

/* At most bytes_max bytes, never a part of a UTF-8 character. */
static const char *copy(struct arena *arena, const char *text, size_t bytes_max)
{
    if (text == NULL)
        return NULL;
    size_t length = strnlen(text, bytes_max + 1);
    if (length <= bytes_max)
        return arena_strdup(arena, text);
    length = bytes_max;
    while (length > 0 && ((unsigned char)text[length] & 0xC0) == 0x80)
        length--;
    return arena_printf(arena, "%.*s...", (int)length, text);
}

void field_errors_add(struct field_errors *errors, const struct field_error *error)
{
    if (errors->count == FIELD_ERRORS_MAX) {
        errors->dropped++;
        return;
    }
    struct arena *arena = errors->arena;
    errors->items[errors->count++] = (struct field_error){
        .path = copy(arena, error->path, PATH_BYTES_MAX),
        .kind = error->kind,
        .value = copy(arena, error->value, VALUE_BYTES_MAX),
        .detail = copy(arena, error->detail, SENTENCE_BYTES_MAX),
        .fix = copy(arena, error->fix, SENTENCE_BYTES_MAX),
        .rule = error->rule != NULL ? arena_strdup(arena, error->rule) : "",
    };
}

/* In double quotes; what would end them or the line is escaped as in Go. */
static void quote(const char *text, struct buf *out)
{
    buf_putc(out, '"');
    for (; *text != '\0'; text++) {
        unsigned char c = (unsigned char)*text;
        if (c == '"' || c == '\\')
            buf_printf(out, "\\%c", c);
        else if (c == '\n')
            buf_puts(out, "\\n");
        else if (c == '\t')
            buf_puts(out, "\\t");
        else if (c < 0x20 || c == 0x7F)
            buf_printf(out, "\\x%02x", c);
        else
            buf_putc(out, *text);
    }
    buf_putc(out, '"');
}

const char *field_error_text(const struct field_error *error, struct arena *arena)
{
    static const char *const kinds[] = {
        [FIELD_REQUIRED] = "Required value",
        [FIELD_INVALID] = "Invalid value",
        [FIELD_FORBIDDEN] = "Forbidden",
        [FIELD_UNSUPPORTED] = "Unsupported value",
    };
    AUTO(buf) struct buf out = BUF_INIT(TEXT_BYTES_MAX);
    buf_printf(&out, "%s: %s", error->path, kinds[error->kind]);
    if (error->value != NULL) {
        buf_puts(&out, ": ");
        quote(error->value, &out);
    }
    if (error->detail != NULL)
        buf_printf(&out, ": %s", error->detail);
    if (error->fix != NULL)
        buf_printf(&out, "; %s", error->fix);
    return arena_strdup(arena, buf_text(&out));
}

const char *field_errors_text(const struct field_errors *errors)
{
    AUTO(buf) struct buf out = BUF_INIT(TEXT_BYTES_MAX);
    size_t left_out = errors->dropped;
    for (size_t i = 0; i < errors->count; i++) {
        const char *text = field_error_text(&errors->items[i], errors->arena);
        if (out.length + strlen(text) + 64 > TEXT_BYTES_MAX)
            left_out++;
        else
            buf_printf(&out, "%s%s", i > 0 ? "\n" : "", text);
    }
    if (left_out > 0)
        buf_printf(&out, "\nand %zu more", left_out);
    return arena_strdup(errors->arena, buf_text(&out));
}
