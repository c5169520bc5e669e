#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>

#include "base/bytes.h"
#include "base/prng.h"

enum { SIZE_TRIED_MAX = 100 };

static void fill(struct prng *prng, char *bytes, size_t size)
{
    for (size_t i = 0; i < size; i++)
        bytes[i] = (char)prng_next(prng);
}

static void the_same_bytes_hash_alike_wherever_they_lie(void **state)
{
    (void)state;
    struct prng prng;
    prng_init(&prng, 3);
    char bytes[SIZE_TRIED_MAX], copy[SIZE_TRIED_MAX + 16];
    fill(&prng, bytes, sizeof bytes);
    for (size_t size = 0; size <= SIZE_TRIED_MAX; size++) {
        uint64_t hash = slice_hash(slice_of(bytes, size), 9);
        for (size_t offset = 0; offset < 16; offset++) {
            fill(&prng, copy, sizeof copy); /* what lies around is not read */
            memcpy(copy + offset, bytes, size);
            assert_true(slice_hash(slice_of(copy + offset, size), 9) == hash);
        }
    }
    assert_true(slice_hash(slice_of(NULL, 0), 9) == slice_hash(SLICE(""), 9));
}

/* Each bit of the input and of the seed turns about half of the output. */
static void every_bit_counts(void **state)
{
    (void)state;
    struct prng prng;
    prng_init(&prng, 4);
    char bytes[SIZE_TRIED_MAX];
    uint64_t turned = 0, cases = 0;
    fill(&prng, bytes, sizeof bytes);
    for (size_t size = 1; size <= SIZE_TRIED_MAX; size++) {
        uint64_t hash = slice_hash(slice_of(bytes, size), 5);
        for (size_t bit = 0; bit < size * 8; bit++) {
            bytes[bit / 8] = (char)(bytes[bit / 8] ^ 1 << bit % 8);
            uint64_t other = slice_hash(slice_of(bytes, size), 5);
            bytes[bit / 8] = (char)(bytes[bit / 8] ^ 1 << bit % 8);
            int here = __builtin_popcountll(hash ^ other);
            assert_true(here >= 8 && here <= 56);
            turned += (uint64_t)here;
            cases++;
        }
        for (int bit = 0; bit < 64; bit++) {
            uint64_t other =
                slice_hash(slice_of(bytes, size), 5 ^ UINT64_C(1) << bit);
            assert_true(__builtin_popcountll(hash ^ other) >= 8);
        }
    }
    assert_true(turned > cases * 31 && turned < cases * 33);
}

static void zeros_of_each_length_differ(void **state)
{
    (void)state;
    static const char zeros[SIZE_TRIED_MAX];
    uint64_t seen[SIZE_TRIED_MAX];
    for (size_t size = 0; size < SIZE_TRIED_MAX; size++) {
        seen[size] = slice_hash(slice_of(zeros, size), 0);
        for (size_t other = 0; other < size; other++)
            assert_true(seen[size] != seen[other]);
    }
}

/* All texts of one to three letters: the short path reads bytes twice. */
static void short_texts_do_not_collide(void **state)
{
    (void)state;
    enum { LETTERS = 26, TEXTS = LETTERS * LETTERS * LETTERS };
    static unsigned char seen[1 << 20];
    int shared = 0;
    for (int n = 0; n < TEXTS; n++) {
        char text[3] = {(char)('a' + n % 26), (char)('a' + n / 26 % 26),
                        (char)('a' + n / 676)};
        uint64_t hash = slice_hash(slice_of(text, 3), 1);
        shared += seen[hash >> 44]++;
    }
    /* 17,576 balls in 1,048,576 boxes: about 147 land in a box in use. */
    assert_true(shared < 220);
}

/* Chi-square over the low bits, which are what the maps use, for keys as
 * people name them. 255 degrees of freedom: above 340 is one in ten
 * thousand. */
static void counted_keys_spread_evenly(void **state)
{
    (void)state;
    enum { KEYS = 100000, BOXES = 256 };
    static const char *const before_and_after[][2] = {
        {"", ""},
        {"/a/", ""},
        {"/registry/pods/default/", ""},
        {"/", "/config/with/a/longer/tail"},
    };
    for (size_t form = 0; form < 4; form++) {
        int boxes[BOXES] = {0};
        for (int i = 0; i < KEYS; i++) {
            char key[64];
            int size =
                snprintf(key, sizeof key, "%s%d%s", before_and_after[form][0],
                         i, before_and_after[form][1]);
            boxes[slice_hash(slice_of(key, (size_t)size), 6) % BOXES]++;
        }
        double expected = (double)KEYS / BOXES, sum = 0;
        for (int i = 0; i < BOXES; i++)
            sum += (boxes[i] - expected) * (boxes[i] - expected) / expected;
        assert_true(sum < 340);
    }
}

/* A word that makes one factor of a product zero would let all keys with it
 * collide. The constants of the function are the likely ones. */
static void no_constant_swallows_the_rest(void **state)
{
    (void)state;
    static const uint64_t words[] = {
        UINT64_C(0x6a09e667f3bcc909), UINT64_C(0xbb67ae8584caa73b),
        UINT64_C(0x3c6ef372fe94f82b), 0, UINT64_MAX};
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++) {
        for (size_t size = 16; size <= 48; size += 16) {
            char key[48];
            for (size_t at = 0; at < size; at += 8)
                put_le64(key + at, words[i]);
            uint64_t hash = slice_hash(slice_of(key, size), 0);
            for (size_t at = 0; at < size; at++) {
                key[at] ^= 1;
                assert_true(slice_hash(slice_of(key, size), 0) != hash);
                key[at] ^= 1;
            }
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_same_bytes_hash_alike_wherever_they_lie),
        cmocka_unit_test(every_bit_counts),
        cmocka_unit_test(zeros_of_each_length_differ),
        cmocka_unit_test(short_texts_do_not_collide),
        cmocka_unit_test(counted_keys_spread_evenly),
        cmocka_unit_test(no_constant_swallows_the_rest),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
