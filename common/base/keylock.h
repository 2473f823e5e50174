/* One holder a key: work on the same key runs one after another, on different keys side by side. No
 * mutex is held while the holder works, so it may do I/O. Thread-safe. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

struct keylock;

struct keylock *keylock_new(void);
void keylock_free(struct keylock *lock); /* nobody may hold a key */

/* Waits at most timeout_ms; false: somebody else still holds it. */
bool keylock_acquire(struct keylock *lock, const char *key, int64_t timeout_ms);
void keylock_release(struct keylock *lock, const char *key);
