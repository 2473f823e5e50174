#include "common/base/error.h"

#include <stdio.h>
#include <string.h>

int error_vset(struct error *err, enum error_code code, const char *format, va_list args)
{
    err->code = code;
    err->http_status = 0;
    err->retry_after_ms = 0;
    vsnprintf(err->message, sizeof(err->message), format, args);
    return -1;
}

int error_set(struct error *err, enum error_code code, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    error_vset(err, code, format, args);
    va_end(args);
    return -1;
}

int error_wrap(struct error *err, const char *format, ...)
{
    char inner[sizeof(err->message)];
    memcpy(inner, err->message, sizeof(inner));

    va_list args;
    va_start(args, format);
    int length = vsnprintf(err->message, sizeof(err->message), format, args);
    va_end(args);
    if (length >= 0 && (size_t)length < sizeof(err->message) - 1)
        snprintf(err->message + length, sizeof(err->message) - (size_t)length, ": %.400s", inner);
    return -1;
}

const char *error_code_name(enum error_code code)
{
    static const char *const names[ERR_COUNT] = {
        [ERR_NONE] = "NONE",
#define CODE(name, retry) [ERR_##name] = #name,
#include "common/base/error.def"
#undef CODE
    };
    return code < ERR_COUNT ? names[code] : "UNKNOWN";
}

enum error_retry error_retry_class(enum error_code code)
{
    static const enum error_retry classes[ERR_COUNT] = {
#define CODE(name, retry) [ERR_##name] = ERR_RETRY_##retry,
#include "common/base/error.def"
#undef CODE
    };
    return code < ERR_COUNT ? classes[code] : ERR_RETRY_BACKOFF;
}
