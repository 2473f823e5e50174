#include "common/base/log.h"

#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "common/base/clock.h"

enum { LINE_BYTES_MAX = 4096 };

static atomic_int minimum = LOG_INFO;

static const char *const level_names[] = { "debug", "info", "warn", "error" };

void log_set_level(enum log_level level)
{
    atomic_store(&minimum, (int)level);
}

int log_level_parse(const char *text, enum log_level *out)
{
    for (size_t i = 0; i < ARRAY_LEN(level_names); i++) {
        if (strcmp(text, level_names[i]) == 0) {
            *out = (enum log_level)i;
            return 0;
        }
    }
    return -1;
}

bool log_enabled(enum log_level level)
{
    return (int)level >= atomic_load_explicit(&minimum, memory_order_relaxed);
}

struct line {
    char text[LINE_BYTES_MAX];
    size_t length;
};

/* Room is kept for the closing `"}` and newline, so that a cut line is still JSON. */
static void line_put(struct line *line, const char *bytes, size_t count)
{
    size_t room = sizeof(line->text) - 4 - line->length;
    if (count > room)
        count = room;
    memcpy(line->text + line->length, bytes, count);
    line->length += count;
}

static void line_string(struct line *line, const char *text)
{
    line_put(line, "\"", 1);
    for (const char *p = text; *p != '\0' && line->length < sizeof(line->text) - 12; p++) {
        unsigned char c = (unsigned char)*p;
        char escape[8];
        if (c == '"' || c == '\\') {
            escape[0] = '\\';
            escape[1] = (char)c;
            line_put(line, escape, 2);
        } else if (c < 0x20) {
            int count = snprintf(escape, sizeof(escape), "\\u%04x", c);
            line_put(line, escape, (size_t)count);
        } else {
            line_put(line, p, 1);
        }
    }
    line->text[line->length++] = '"';
}

static void line_pair(struct line *line, const char *key, const char *value)
{
    if (line->length > sizeof(line->text) - 128)
        return; /* full: what is left out was less important than what came first */
    line_put(line, line->length > 1 ? "," : "", line->length > 1 ? 1 : 0);
    line_string(line, key);
    line_put(line, ":", 1);
    line_string(line, value);
}

void log_write(enum log_level level, const char *logger, const char *message,
               const struct log_pair *pairs)
{
    struct line line = { .text = "{", .length = 1 };
    char stamp[RFC3339_BYTES];

    rfc3339_format_micros(clock_realtime(clock_system()), stamp);
    line_pair(&line, "ts", stamp);
    line_pair(&line, "level", level_names[level]);
    line_pair(&line, "logger", logger);
    line_pair(&line, "msg", message);
    for (const struct log_pair *pair = pairs; pair->key != NULL; pair++) {
        if (pair->text != NULL) {
            line_pair(&line, pair->key, pair->text);
        } else if (line.length < sizeof(line.text) - 128) {
            char number[32];
            int count = snprintf(number, sizeof(number), ":%lld", (long long)pair->integer);
            line_put(&line, ",", 1);
            line_string(&line, pair->key);
            line_put(&line, number, (size_t)count);
        }
    }
    memcpy(line.text + line.length, "}\n", 2);
    ssize_t ignored = write(STDERR_FILENO, line.text, line.length + 2);
    (void)ignored; /* a log that cannot be written has nobody to tell */
}
