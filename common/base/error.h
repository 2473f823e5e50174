/* Errors travel in a struct on the caller's stack: a code to branch on and a sentence for a person.
 *
 * Convention: functions return 0 on success and -1 on failure with *err filled. `err` is the last
 * parameter and never NULL. A positive return value is an outcome that the header names; the direct
 * caller handles it. Outputs are untouched on failure. */
#pragma once

#include <stdarg.h>
#include <stdint.h>

#include "common/base/compiler.h"

enum error_code {
    ERR_NONE,
#define CODE(name, retry) ERR_##name,
#include "common/base/error.def"
#undef CODE
    ERR_COUNT
};

enum error_retry { ERR_RETRY_BACKOFF, ERR_RETRY_AFTER, ERR_RETRY_NEVER };

struct error {
    enum error_code code;
    int http_status;        /* 0 unless a server answered */
    int64_t retry_after_ms; /* from Retry-After, else 0 */
    char message[512];      /* always terminated; may be cut */
};

#define ERROR_INIT       \
    {                    \
        .code = ERR_NONE \
    }

/* Both return -1, so that `return error_set(...)` reads well. error_wrap puts context in front
 * ("outer: inner") and keeps the code. */
int error_set(struct error *err, enum error_code code, const char *format, ...) PRINTF_LIKE(3, 4);
int error_vset(struct error *err, enum error_code code, const char *format, va_list args)
    PRINTF_LIKE(3, 0);
int error_wrap(struct error *err, const char *format, ...) PRINTF_LIKE(2, 3);

const char *error_code_name(enum error_code code); /* "NOT_FOUND"; "NONE" */
enum error_retry error_retry_class(enum error_code code);
