/* The examples of FIPS 180-2, whole and in pieces. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>

#include "host/sha256.h"

static const char *hex(const unsigned char hash[SHA256_BYTES])
{
    static char text[2 * SHA256_BYTES + 1];
    for (size_t i = 0; i < SHA256_BYTES; i++)
        snprintf(text + 2 * i, 3, "%02x", hash[i]);
    return text;
}

static const char *hash_of(struct slice bytes)
{
    unsigned char hash[SHA256_BYTES];
    sha256(bytes, hash);
    return hex(hash);
}

static void the_standards_examples(void **state)
{
    (void)state;
    assert_string_equal(
        hash_of(SLICE("")),
        "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
    assert_string_equal(
        hash_of(SLICE("abc")),
        "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    assert_string_equal(
        hash_of(
            SLICE("abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq")),
        "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1");
}

static void in_pieces(void **state)
{
    (void)state;
    unsigned char hash[SHA256_BYTES];
    char million[1000];
    memset(million, 'a', sizeof million);
    struct sha256 *pieces = sha256_new();
    for (int i = 0; i < 1000; i++) {
        sha256_add(pieces, slice_of(million, sizeof million));
        sha256_add(pieces, SLICE(""));
    }
    sha256_end(pieces, hash);
    assert_string_equal(
        hex(hash),
        "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
    sha256_free(sha256_new());
    sha256_free(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_standards_examples),
        cmocka_unit_test(in_pieces),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
