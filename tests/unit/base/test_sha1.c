/* SHA-1 beside the vectors of FIPS 180 and the ids that etcd is known by. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "base/mem.h"
#include "base/sha1.h"

static void assert_digest(struct slice input, const char *hex)
{
    unsigned char digest[SHA1_BYTES];
    struct buf text = {0};
    sha1(input, digest);
    for (int i = 0; i < SHA1_BYTES; i++) {
        buf_printf(&text, "%02x", digest[i]);
    }
    assert_int_equal(text.size, strlen(hex));
    assert_memory_equal(text.at, hex, text.size);
    buf_deinit(&text);
}

static void the_standards_examples(void **state)
{
    (void)state;
    assert_digest(SLICE(""), "da39a3ee5e6b4b0d3255bfef95601890afd80709");
    assert_digest(SLICE("abc"), "a9993e364706816aba3e25717850c26c9cd0d89d");
    assert_digest(
        SLICE("abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq"),
        "84983e441c3bd26ebaae4aa1f95129e5e54670f1");
}

static void a_million_letters(void **state)
{
    (void)state;
    char *text = mem_alloc(1000000);
    memset(text, 'a', 1000000);
    assert_digest(slice_of(text, 1000000),
                  "34aa973cd4c4daa4f61eeb2bdbad27316534016f");
    mem_free(text);
}

/* Around the block's edge the length moves to a block of its own. */
static void every_length_around_a_block(void **state)
{
    (void)state;
    char text[130];
    unsigned char last[SHA1_BYTES] = {0};
    memset(text, 'x', sizeof(text));
    for (size_t size = 0; size <= sizeof(text); size++) {
        unsigned char digest[SHA1_BYTES];
        sha1(slice_of(text, size), digest);
        assert_memory_not_equal(digest, last, SHA1_BYTES);
        memcpy(last, digest, SHA1_BYTES);
    }
    assert_digest(slice_of(text, 64),
                  "bb2fa3ee7afb9f54c6dfb5d021f14b1ffe40c163");
}

static void the_ids_of_etcds_default_member(void **state)
{
    (void)state;
    unsigned char digest[SHA1_BYTES];
    char member[8];
    sha1(SLICE("http://localhost:2380etcd-cluster"), digest);
    assert_true(get_be64(digest) == 0x8e9e05c52164694d);
    memcpy(member, digest, 8);
    sha1(slice_of(member, 8), digest);
    assert_true(get_be64(digest) == 0xcdf818194e3a8c32);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_standards_examples),
        cmocka_unit_test(a_million_letters),
        cmocka_unit_test(every_length_around_a_block),
        cmocka_unit_test(the_ids_of_etcds_default_member),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
