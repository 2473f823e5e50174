#include "common/json/yaml_print.h"

#include <ctype.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <strings.h>

#include "common/base/compiler.h"
#include "common/base/memory.h"
#include "common/json/json.h"

enum {
    REPLACEMENT = 0xFFFD,
    SIMPLE_KEY_BYTES_MAX = 128, /* parsers look 1024 characters ahead, and an escape has 6 */
};

/* ------------------------------------------------------------------ scalars */

/* What YAML 1.1 or 1.2 reads as something else than text. Numbers, dates and the dots of .inf do
 * not begin with a letter. */
static bool is_reserved(const char *text)
{
    static const char *const words[] = {
        "true", "false", "yes", "no", "on", "off", "null", "y", "n"
    };
    for (size_t i = 0; i < ARRAY_LEN(words); i++) {
        if (strcasecmp(text, words[i]) == 0)
            return true;
    }
    return false;
}

static bool is_plain(const char *text)
{
    if (!isalpha((unsigned char)*text) && *text != '_' && *text != '/')
        return false;
    for (const char *p = text; *p != '\0'; p++) {
        unsigned char c = (unsigned char)*p;
        bool ends = p[1] == '\0';
        if (c < ' ' || c > '~' || (c == ':' && (ends || p[1] == ' ')) ||
            (c == ' ' && (ends || p[1] == '#')))
            return false;
    }
    return !is_reserved(text);
}

/* The next character of UTF-8 text, and its bytes; REPLACEMENT for one byte of what is none. */
static uint32_t next_character(const char *text, size_t *bytes)
{
    static const uint32_t least[] = { 0, 0, 0x80, 0x800, 0x10000 };
    const unsigned char *p = (const unsigned char *)text;
    size_t length = p[0] < 0x80 ? 1 : p[0] < 0xC0 ? 0 : p[0] < 0xE0 ? 2 : p[0] < 0xF0 ? 3 : 4;
    *bytes = 1;
    if (length == 1)
        return p[0];
    if (length == 0 || p[0] >= 0xF8)
        return REPLACEMENT;
    uint32_t c = p[0] & (0x7FU >> length);
    for (size_t i = 1; i < length; i++) {
        if ((p[i] & 0xC0) != 0x80)
            return REPLACEMENT;
        c = c << 6 | (p[i] & 0x3FU);
    }
    if (c < least[length] || c > 0x10FFFF || (c >= 0xD800 && c < 0xE000))
        return REPLACEMENT;
    *bytes = length;
    return c;
}

/* Line breaks, controls, byte-order marks and what no parser takes raw. */
static bool needs_escape(uint32_t c)
{
    return c < 0x20 || (c >= 0x7F && c < 0xA0) || c == 0x2028 || c == 0x2029 || c == 0xFEFF ||
           (c >= 0xFFFD && c <= 0xFFFF);
}

static void put_quoted(const char *text, struct buf *out)
{
    buf_putc(out, '"');
    for (size_t bytes; *text != '\0'; text += bytes) {
        uint32_t c = next_character(text, &bytes);
        if (c == '"' || c == '\\')
            buf_printf(out, "\\%c", (char)c);
        else if (c == '\n')
            buf_puts(out, "\\n");
        else if (c == '\t')
            buf_puts(out, "\\t");
        else if (needs_escape(c))
            buf_printf(out, "\\u%04X", c);
        else
            buf_append(out, text, bytes);
    }
    buf_putc(out, '"');
}

static void put_text(const char *text, struct buf *out)
{
    if (is_plain(text))
        buf_puts(out, text);
    else
        put_quoted(text, out);
}

/* ------------------------------------------------------------------ structure */

static void put_value(const cJSON *json, size_t indent, struct buf *out);

static bool is_block(const cJSON *json)
{
    return (cJSON_IsObject(json) || cJSON_IsArray(json)) && json->child != NULL;
}

static void put_indent(size_t indent, struct buf *out)
{
    buf_printf(out, "%*s", (int)indent, "");
}

/* With the colon. */
static void put_key(const char *key, size_t indent, struct buf *out)
{
    bool simple = strlen(key) <= SIMPLE_KEY_BYTES_MAX;
    if (!simple)
        buf_puts(out, "? ");
    put_text(key, out);
    if (!simple) {
        buf_putc(out, '\n');
        put_indent(indent, out);
    }
    buf_putc(out, ':');
}

/* The first line goes where the cursor is. Lists stand as deep as the key above them. */
static void put_object(const cJSON *json, size_t indent, struct buf *out)
{
    for (const cJSON *member = json->child; member != NULL; member = member->next) {
        if (member != json->child)
            put_indent(indent, out);
        put_key(member->string, indent, out);
        if (!is_block(member)) {
            buf_putc(out, ' ');
            put_value(member, 0, out);
            continue;
        }
        size_t deeper = cJSON_IsArray(member) ? indent : indent + 2;
        buf_putc(out, '\n');
        put_indent(deeper, out);
        put_value(member, deeper, out);
    }
}

static void put_array(const cJSON *json, size_t indent, struct buf *out)
{
    for (const cJSON *item = json->child; item != NULL; item = item->next) {
        if (item != json->child)
            put_indent(indent, out);
        buf_puts(out, "- ");
        put_value(item, indent + 2, out);
    }
}

static void put_scalar(const cJSON *json, struct buf *out)
{
    if (cJSON_IsString(json)) {
        put_text(json->valuestring, out);
    } else { /* numbers, true, false, null, {} and [] read the same in both */
        AUTO_FREE char *text = json_print(json);
        buf_puts(out, text);
    }
    buf_putc(out, '\n');
}

static void put_value(const cJSON *json, size_t indent, struct buf *out)
{
    if (!is_block(json))
        put_scalar(json, out);
    else if (cJSON_IsObject(json))
        put_object(json, indent, out);
    else
        put_array(json, indent, out);
}

void yaml_print(const cJSON *json, struct buf *out)
{
    put_value(json, 0, out);
}
