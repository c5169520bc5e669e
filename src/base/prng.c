#include "base/prng.h"

#include "base/check.h"

__extension__ typedef unsigned __int128 wide;

/* One step of splitmix64 (Steele, Lea and Flood, 2014). */
static uint64_t splitmix(uint64_t *state)
{
    uint64_t z = *state += UINT64_C(0x9e3779b97f4a7c15);
    z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
    return z ^ z >> 31;
}

static uint64_t rotate_left(uint64_t x, int by)
{
    return x << by | x >> (64 - by);
}

void prng_init(struct prng *prng, uint64_t seed)
{
    for (int i = 0; i < 4; i++)
        prng->state[i] = splitmix(&seed);
}

uint64_t prng_next(struct prng *prng)
{
    uint64_t *s = prng->state;
    uint64_t result = rotate_left(s[1] * 5, 7) * 9;
    uint64_t shifted = s[1] << 17;
    s[2] ^= s[0];
    s[3] ^= s[1];
    s[1] ^= s[2];
    s[0] ^= s[3];
    s[2] ^= shifted;
    s[3] = rotate_left(s[3], 45);
    return result;
}

/* Lemire, "Fast random integer generation in an interval", 2019: the high
 * half of the product is the answer; the few low halves that would make some
 * answers likelier are thrown again. */
uint64_t prng_below(struct prng *prng, uint64_t bound)
{
    CHECK(bound > 0);
    wide product = (wide)prng_next(prng) * bound;
    if ((uint64_t)product < bound) {
        uint64_t excess = (0 - bound) % bound;
        while ((uint64_t)product < excess)
            product = (wide)prng_next(prng) * bound;
    }
    return (uint64_t)(product >> 64);
}

int64_t prng_between(struct prng *prng, int64_t low, int64_t high)
{
    CHECK_LE(low, high);
    uint64_t width = (uint64_t)high - (uint64_t)low;
    uint64_t offset =
        width == UINT64_MAX ? prng_next(prng) : prng_below(prng, width + 1);
    return (int64_t)((uint64_t)low + offset);
}
