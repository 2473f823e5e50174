/* Cancellation: one flag and one descriptor, given to everything that can block. Raised once, never
 * lowered. All functions are thread-safe; stop_raise is async-signal-safe. */
#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "common/base/compiler.h"

struct stop {
    atomic_bool raised;
    int fd; /* becomes readable when raised; poll it, never read it */
};

void stop_init(struct stop *stop);
void stop_fini(struct stop *stop);
void stop_raise(struct stop *stop);
/* Sleeps `ms` or until raised; returns true when raised. */
bool stop_wait(struct stop *stop, int64_t ms);

static inline bool stop_raised(struct stop *stop)
{
    return atomic_load_explicit(&stop->raised, memory_order_acquire);
}
