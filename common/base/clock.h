/* Time, injected: production uses clock_system(), tests a struct clock_fake. All durations and
 * instants are int64_t milliseconds; RFC 3339 exists only at the JSON edge. Thread-safe. */
#pragma once

#include <stdint.h>

#include "common/base/compiler.h"

struct clock {
    int64_t (*monotonic_ms)(const struct clock *clock); /* for intervals and deadlines */
    int64_t (*realtime_ms)(const struct clock *clock);  /* since 1970, for timestamps */
};

const struct clock *clock_system(void);

static inline int64_t clock_monotonic(const struct clock *clock)
{
    return clock->monotonic_ms(clock);
}

static inline int64_t clock_realtime(const struct clock *clock)
{
    return clock->realtime_ms(clock);
}

/* A clock that stands still until it is moved. */
struct clock_fake {
    struct clock clock; /* pass &fake.clock */
    int64_t now_ms;     /* both clocks read this; single-threaded tests only */
};

void clock_fake_init(struct clock_fake *fake, int64_t now_ms);

enum { RFC3339_BYTES = 32 };

/* "2026-11-24T05:36:46Z"; with micros: "2026-11-24T05:36:46.000000Z" (MicroTime). */
void rfc3339_format(int64_t realtime_ms, char out[RFC3339_BYTES]);
void rfc3339_format_micros(int64_t realtime_ms, char out[RFC3339_BYTES]);
/* Returns -1 where the text is no RFC 3339 time; offsets and fractions are understood. */
MUST_CHECK int rfc3339_parse(const char *text, int64_t *realtime_ms_out);
