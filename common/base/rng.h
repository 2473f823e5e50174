/* Pseudo-random numbers for jitter: seeded from the kernel in production, from a constant in tests.
 * Never for keys (OpenSSL makes those). Not thread-safe; one a thread or under the owner's lock. */
#pragma once

#include <stdint.h>

struct rng {
    uint64_t state;
};

void rng_seed(struct rng *rng, uint64_t seed);
void rng_seed_kernel(struct rng *rng);
uint64_t rng_next(struct rng *rng);
int64_t rng_between(struct rng *rng, int64_t low, int64_t high); /* both ends included */
