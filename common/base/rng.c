#include "common/base/rng.h"

#include <sys/random.h>

#include "common/base/clock.h"

void rng_seed(struct rng *rng, uint64_t seed)
{
    rng->state = seed;
}

void rng_seed_kernel(struct rng *rng)
{
    uint64_t seed;
    if (getrandom(&seed, sizeof(seed), 0) != (ssize_t)sizeof(seed))
        seed = (uint64_t)clock_realtime(clock_system());
    rng_seed(rng, seed);
}

/* splitmix64 (Steele, Lea, Flood 2014). */
uint64_t rng_next(struct rng *rng)
{
    uint64_t z = (rng->state += 0x9e3779b97f4a7c15ULL);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ULL;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebULL;
    return z ^ (z >> 31);
}

int64_t rng_between(struct rng *rng, int64_t low, int64_t high)
{
    if (high <= low)
        return low;
    return low + (int64_t)(rng_next(rng) % (uint64_t)(high - low + 1));
}
