/* The hash of the maps: bytes are read 16 at a time and mixed by folding a
 * 64 x 64 -> 128 bit product, whose every output bit depends on every input
 * bit.
 *
 * A product with zero is zero whatever the other side is. Both sides are
 * therefore masked with words that come from the seed: who doesn't know it
 * can't choose bytes that make one side vanish.
 */
#include "base/bytes.h"

__extension__ typedef unsigned __int128 wide;

/* Odd words without a pattern: fractions of the square roots of 2, 3, 5. */
static const uint64_t word_a = UINT64_C(0x6a09e667f3bcc909);
static const uint64_t word_b = UINT64_C(0xbb67ae8584caa73b);
static const uint64_t word_c = UINT64_C(0x3c6ef372fe94f82b);

static uint64_t fold(uint64_t a, uint64_t b)
{
    wide product = (wide)a * b;
    return (uint64_t)product ^ (uint64_t)(product >> 64);
}

/* At most 16 bytes as two words; which one it is of several short inputs is
 * told apart by the size, which the caller mixes in. */
static void read_short(const char *at, size_t size, uint64_t *a, uint64_t *b)
{
    *a = *b = 0;
    if (size >= 8) {
        *a = get_le64(at);
        *b = get_le64(at + size - 8);
    } else if (size >= 4) {
        *a = get_le32(at);
        *b = get_le32(at + size - 4);
    } else if (size > 0) {
        *a = (unsigned char)at[0];
        *b = (uint64_t)(unsigned char)at[size / 2] << 8 |
             (unsigned char)at[size - 1];
    }
}

uint64_t slice_hash(struct slice slice, uint64_t seed)
{
    uint64_t mask = fold(seed ^ word_a, word_b);
    uint64_t state = fold(seed ^ word_c, word_a);
    const char *at = slice.at;
    size_t left = slice.size;
    uint64_t a, b;

    if (left <= 16) {
        read_short(at, left, &a, &b);
    } else {
        for (; left > 16; left -= 16, at += 16)
            state = fold(get_le64(at) ^ mask, get_le64(at + 8) ^ state);
        a = get_le64(at + left - 16);
        b = get_le64(at + left - 8);
    }
    state = fold(a ^ mask, b ^ state);
    /* The size comes in behind the bytes, where none of them can undo it. */
    return fold(state ^ word_b, mask ^ slice.size);
}
