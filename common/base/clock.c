#include "common/base/clock.h"

#include <ctype.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

static int64_t timespec_ms(clockid_t id)
{
    struct timespec now;
    clock_gettime(id, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static int64_t system_monotonic(const struct clock *clock)
{
    (void)clock;
    return timespec_ms(CLOCK_MONOTONIC);
}

static int64_t system_realtime(const struct clock *clock)
{
    (void)clock;
    return timespec_ms(CLOCK_REALTIME);
}

const struct clock *clock_system(void)
{
    static const struct clock system = { .monotonic_ms = system_monotonic,
                                         .realtime_ms = system_realtime };
    return &system;
}

static int64_t fake_now(const struct clock *clock)
{
    return ((const struct clock_fake *)(const void *)clock)->now_ms;
}

void clock_fake_init(struct clock_fake *fake, int64_t now_ms)
{
    fake->clock = (struct clock){ .monotonic_ms = fake_now, .realtime_ms = fake_now };
    fake->now_ms = now_ms;
}

static void format_seconds(int64_t realtime_ms, struct tm *parts)
{
    time_t seconds = (time_t)(realtime_ms / 1000);
    gmtime_r(&seconds, parts);
}

void rfc3339_format(int64_t realtime_ms, char out[RFC3339_BYTES])
{
    struct tm parts;
    format_seconds(realtime_ms, &parts);
    strftime(out, RFC3339_BYTES, "%Y-%m-%dT%H:%M:%SZ", &parts);
}

void rfc3339_format_micros(int64_t realtime_ms, char out[RFC3339_BYTES])
{
    struct tm parts;
    format_seconds(realtime_ms, &parts);
    size_t used = strftime(out, RFC3339_BYTES, "%Y-%m-%dT%H:%M:%S", &parts);
    snprintf(out + used, RFC3339_BYTES - used, ".%03u000Z", (unsigned)(realtime_ms % 1000));
}

/* Exactly `count` digits within [low, high]. */
static bool read_number(const char **at, int count, int low, int high, int *out)
{
    int number = 0;
    for (int i = 0; i < count; i++, (*at)++) {
        if (!isdigit((unsigned char)**at))
            return false;
        number = number * 10 + (**at - '0');
    }
    *out = number;
    return number >= low && number <= high;
}

static bool read_char(const char **at, const char *set)
{
    if (**at == '\0' || strchr(set, **at) == NULL)
        return false;
    (*at)++;
    return true;
}

static bool read_date(const char **at, struct tm *parts)
{
    static const int days[] = { 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31 };
    if (!read_number(at, 4, 0, 9999, &parts->tm_year) || !read_char(at, "-") ||
        !read_number(at, 2, 1, 12, &parts->tm_mon) || !read_char(at, "-") ||
        !read_number(at, 2, 1, 31, &parts->tm_mday))
        return false;
    int year = parts->tm_year, month = parts->tm_mon;
    bool leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    parts->tm_year -= 1900;
    parts->tm_mon -= 1;
    return parts->tm_mday <= days[month - 1] + (month == 2 && leap ? 1 : 0);
}

static bool read_time(const char **at, struct tm *parts, int64_t *millis)
{
    if (!read_number(at, 2, 0, 23, &parts->tm_hour) || !read_char(at, ":") ||
        !read_number(at, 2, 0, 59, &parts->tm_min) || !read_char(at, ":") ||
        !read_number(at, 2, 0, 60, &parts->tm_sec))
        return false;
    if (!read_char(at, "."))
        return true;
    if (!isdigit((unsigned char)**at))
        return false;
    for (int64_t scale = 100; isdigit((unsigned char)**at); (*at)++, scale /= 10)
        *millis += (**at - '0') * scale;
    return true;
}

static bool read_offset(const char **at, int64_t *offset_s)
{
    int hours, minutes, sign = **at == '-' ? -1 : 1;
    if (read_char(at, "Zz"))
        return true;
    if (!read_char(at, "+-") || !read_number(at, 2, 0, 23, &hours) || !read_char(at, ":") ||
        !read_number(at, 2, 0, 59, &minutes))
        return false;
    *offset_s = sign * (hours * 3600 + minutes * 60);
    return true;
}

int rfc3339_parse(const char *text, int64_t *realtime_ms_out)
{
    struct tm parts = { 0 };
    int64_t millis = 0, offset_s = 0;

    if (!read_date(&text, &parts) || !read_char(&text, "Tt") ||
        !read_time(&text, &parts, &millis) || !read_offset(&text, &offset_s) || *text != '\0')
        return -1;
    *realtime_ms_out = ((int64_t)timegm(&parts) - offset_s) * 1000 + millis;
    return 0;
}
