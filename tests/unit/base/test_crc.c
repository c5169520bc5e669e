#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <pthread.h>
#include <string.h>

#include "base/crc.h"
#include "base/prng.h"

typedef uint32_t (*crc_function)(uint32_t crc, const void *bytes, size_t size);

static const crc_function both[] = {crc32c, crc32c_portable};

static void *checksum(void *context)
{
    *(uint32_t *)context = crc32c_portable(0, "123456789", 9);
    return NULL;
}

/* Runs first: the tables aren't made yet, and all threads want them. */
static void threads_may_be_first_together(void **state)
{
    (void)state;
    pthread_t threads[4];
    uint32_t sums[4];
    for (int i = 0; i < 4; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, checksum, &sums[i]),
                         0);
    for (int i = 0; i < 4; i++) {
        pthread_join(threads[i], NULL);
        assert_int_equal(sums[i], 0xE3069283);
    }
}

/* RFC 3720, appendix B.4, and the check value of the catalogues. */
static void known_bytes_have_known_checksums(void **state)
{
    (void)state;
    unsigned char zeros[32] = {0}, ones[32], rising[32], falling[32];
    memset(ones, 0xFF, sizeof ones);
    for (unsigned i = 0; i < 32; i++) {
        rising[i] = (unsigned char)i;
        falling[i] = (unsigned char)(31 - i);
    }
    for (int i = 0; i < 2; i++) {
        assert_int_equal(both[i](0, "123456789", 9), 0xE3069283);
        assert_int_equal(both[i](0, zeros, 32), 0x8A9136AA);
        assert_int_equal(both[i](0, ones, 32), 0x62A8AB43);
        assert_int_equal(both[i](0, rising, 32), 0x46DD794E);
        assert_int_equal(both[i](0, falling, 32), 0x113FDB5C);
        assert_int_equal(both[i](0, NULL, 0), 0);
        assert_int_equal(both[i](0xE3069283, NULL, 0), 0xE3069283);
    }
}

/* The naive twin: bit by bit, as the definition has it. */
static uint32_t bitwise(uint32_t crc, const unsigned char *bytes, size_t size)
{
    crc = ~crc;
    for (size_t i = 0; i < size; i++) {
        crc ^= bytes[i];
        for (int bit = 0; bit < 8; bit++)
            crc = crc >> 1 ^ (crc % 2 ? 0x82F63B78 : 0);
    }
    return ~crc;
}

static void every_size_at_every_alignment_agrees(void **state)
{
    (void)state;
    struct prng prng;
    prng_init(&prng, 11);
    unsigned char bytes[320];
    for (size_t i = 0; i < sizeof bytes; i++)
        bytes[i] = (unsigned char)prng_next(&prng);
    for (size_t size = 0; size <= 300; size++) {
        for (size_t offset = 0; offset < 16; offset++) {
            uint32_t begin = (uint32_t)prng_next(&prng);
            uint32_t expected = bitwise(begin, bytes + offset, size);
            assert_int_equal(crc32c(begin, bytes + offset, size), expected);
            assert_int_equal(crc32c_portable(begin, bytes + offset, size),
                             expected);
        }
    }
}

static void pieces_give_what_the_whole_gives(void **state)
{
    (void)state;
    static unsigned char bytes[100000];
    struct prng prng;
    prng_init(&prng, 12);
    for (size_t i = 0; i < sizeof bytes; i++)
        bytes[i] = (unsigned char)prng_next(&prng);
    uint32_t whole = bitwise(0, bytes, sizeof bytes);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(both[i](0, bytes, sizeof bytes), whole);
        for (int round = 0; round < 50; round++) {
            size_t cut = prng_below(&prng, sizeof bytes + 1);
            uint32_t crc = both[i](0, bytes, cut);
            crc = both[i](crc, bytes + cut, sizeof bytes - cut);
            assert_int_equal(crc, whole);
        }
    }
}

static void any_single_bit_is_noticed(void **state)
{
    (void)state;
    unsigned char bytes[64] = "a record of the log";
    uint32_t good = crc32c(0, bytes, sizeof bytes);
    for (size_t bit = 0; bit < sizeof bytes * 8; bit++) {
        bytes[bit / 8] ^= (unsigned char)(1u << bit % 8);
        assert_true(crc32c(0, bytes, sizeof bytes) != good);
        bytes[bit / 8] ^= (unsigned char)(1u << bit % 8);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(threads_may_be_first_together),
        cmocka_unit_test(known_bytes_have_known_checksums),
        cmocka_unit_test(every_size_at_every_alignment_agrees),
        cmocka_unit_test(pieces_give_what_the_whole_gives),
        cmocka_unit_test(any_single_bit_is_noticed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
