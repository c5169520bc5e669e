/* Pseudo-random numbers from a seed: xoshiro256** 1.0 (Blackman and Vigna,
 * 2018), seeded through splitmix64. Not for secrets. */
#ifndef ETCHED_BASE_PRNG_H
#define ETCHED_BASE_PRNG_H

#include <stdint.h>

struct prng {
    uint64_t state[4];
};

void prng_init(struct prng *prng, uint64_t seed);
uint64_t prng_next(struct prng *prng);
/* Uniform in [0, bound), without bias. Needs: bound > 0. */
uint64_t prng_below(struct prng *prng, uint64_t bound);
/* Uniform in [low, high]. */
int64_t prng_between(struct prng *prng, int64_t low, int64_t high);

#endif
