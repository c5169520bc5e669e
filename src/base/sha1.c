#include "base/sha1.h"

#include "base/check.h"

static uint32_t rotate(uint32_t word, unsigned bits)
{
    return word << bits | word >> (32 - bits);
}

static uint32_t mix(int round, uint32_t b, uint32_t c, uint32_t d)
{
    if (round < 20) {
        return ((b & c) | (~b & d)) + 0x5a827999u;
    }
    if (round < 40) {
        return (b ^ c ^ d) + 0x6ed9eba1u;
    }
    if (round < 60) {
        return ((b & c) | (b & d) | (c & d)) + 0x8f1bbcdcu;
    }
    return (b ^ c ^ d) + 0xca62c1d6u;
}

static void digest_block(uint32_t state[5], const char *block)
{
    uint32_t words[80];
    uint32_t s[5];
    for (int i = 0; i < 16; i++) {
        words[i] = get_be32(block + (ptrdiff_t)4 * i);
    }
    for (int i = 16; i < 80; i++) {
        words[i] = rotate(
            words[i - 3] ^ words[i - 8] ^ words[i - 14] ^ words[i - 16], 1);
    }
    memcpy(s, state, sizeof(s));
    for (int i = 0; i < 80; i++) {
        uint32_t next =
            rotate(s[0], 5) + mix(i, s[1], s[2], s[3]) + s[4] + words[i];
        s[4] = s[3];
        s[3] = s[2];
        s[2] = rotate(s[1], 30);
        s[1] = s[0];
        s[0] = next;
    }
    for (int i = 0; i < 5; i++) {
        state[i] += s[i];
    }
}

void sha1(struct slice input, unsigned char out[SHA1_BYTES])
{
    uint32_t state[5] = {0x67452301u, 0xefcdab89u, 0x98badcfeu, 0x10325476u,
                         0xc3d2e1f0u};
    char tail[128] = {0};
    size_t whole = input.size / 64 * 64;
    size_t rest = input.size - whole;
    size_t tail_size = rest + 9 <= 64 ? 64 : 128;
    for (size_t at = 0; at < whole; at += 64) {
        digest_block(state, input.at + at);
    }
    CHECK_LT(rest, 64);
    if (rest > 0) {
        memcpy(tail, input.at + whole, rest);
    }
    tail[rest] = (char)0x80;
    put_be64(tail + tail_size - 8, (uint64_t)input.size * 8);
    for (size_t at = 0; at < tail_size; at += 64) {
        digest_block(state, tail + at);
    }
    for (int i = 0; i < 5; i++) {
        put_be32(out + (ptrdiff_t)4 * i, state[i]);
    }
}
