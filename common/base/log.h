/* Structured log: one JSON object a line on stderr: ts, level, logger, msg, then typed pairs. The
 * message is a constant; what varies goes into pairs:
 *
 *     log_info("claims", "created node claim", KV("workspace", key), KVI("count", n));
 *
 * Library code logs at debug only and returns errors; a worker loop logs an error once. Secrets,
 * tokens and whole objects are never logged. Thread-safe; one write(2) a line. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "common/base/compiler.h"
#include "common/base/error.h"

enum log_level { LOG_DEBUG, LOG_INFO, LOG_WARN, LOG_ERROR };

struct log_pair {
    const char *key;
    const char *text; /* NULL: the pair is the integer */
    int64_t integer;
};

#define KV(name, value)  ((struct log_pair){ .key = (name), .text = (value) != NULL ? (value) : "" })
#define KVI(name, value) ((struct log_pair){ .key = (name), .integer = (int64_t)(value) })
#define KVERR(err)       KV("error", (err)->message), KV("code", error_code_name((err)->code))

void log_set_level(enum log_level level);
MUST_CHECK int log_level_parse(const char *text, enum log_level *out); /* -1: unknown */
bool log_enabled(enum log_level level);

/* `pairs` ends with a pair whose key is NULL; use the macros. */
void log_write(enum log_level level, const char *logger, const char *message,
               const struct log_pair *pairs);

/* The first element only stands before the comma, for calls without pairs. */
#define LOG_AT(level, logger, message, ...)                                                  \
    do {                                                                                     \
        if (log_enabled(level))                                                              \
            log_write(level, logger, message,                                                \
                      (const struct log_pair[]){ { .key = "" }, ##__VA_ARGS__, { 0 } } + 1); \
    } while (0)

#define log_debug(logger, message, ...) LOG_AT(LOG_DEBUG, logger, message, ##__VA_ARGS__)
#define log_info(logger, message, ...)  LOG_AT(LOG_INFO, logger, message, ##__VA_ARGS__)
#define log_warn(logger, message, ...)  LOG_AT(LOG_WARN, logger, message, ##__VA_ARGS__)
#define log_error(logger, message, ...) LOG_AT(LOG_ERROR, logger, message, ##__VA_ARGS__)
