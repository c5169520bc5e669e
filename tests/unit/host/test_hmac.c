/* HMAC-SHA-256 against RFC 4231's vectors, and as GitHub signs webhooks. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include "host/hmac.h"

static void check(struct slice key, struct slice text, const char *wanted)
{
    unsigned char mac[SHA256_BYTES];
    char hex[2 * SHA256_BYTES + 1];
    hmac_sha256(key, text, mac);
    for (size_t i = 0; i < SHA256_BYTES; i++) {
        (void)snprintf(hex + 2 * i, 3, "%02x", mac[i]);
    }
    assert_string_equal(hex, wanted);
}

/* RFC 4231, sections 4.2 to 4.8, those without truncation. */
static void the_vectors_of_the_rfc(void **state)
{
    (void)state;
    char key[131];
    char text[50];
    memset(key, 0x0b, 20);
    check(slice_of(key, 20), SLICE("Hi There"),
          "b0344c61d8db38535ca8afceaf0bf12b"
          "881dc200c9833da726e9376c2e32cff7");
    check(SLICE("Jefe"), SLICE("what do ya want for nothing?"),
          "5bdcc146bf60754e6a042426089575c7"
          "5a003f089d2739839dec58b964ec3843");
    memset(key, 0xaa, sizeof(key));
    memset(text, 0xdd, sizeof(text));
    check(slice_of(key, 20), slice_of(text, 50),
          "773ea91e36800e46854db8ebd09181a7"
          "2959098b3ef8c122d9635514ced565fe");
    check(slice_of(key, 131),
          SLICE("Test Using Larger Than Block-Size Key - Hash Key First"),
          "60e431591ee0b67f0d8a26aacbf5b77f"
          "8e0bc6213728c5140546040f0ee37f54");
}

static void a_key_of_a_whole_block_and_none(void **state)
{
    (void)state;
    check(slice_of(NULL, 0), slice_of(NULL, 0),
          "b613679a0814d9ec772f95d778c35fc5"
          "ff1697c493715653c6c712144292c5ad");
    /* GitHub's documentation: "It's a Secret to Everybody". */
    check(SLICE("It's a Secret to Everybody"), SLICE("Hello, World!"),
          "757107ea0eb2509fc211221cce984b8a"
          "37570b6d7586c22c46f4379c8b043e17");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_vectors_of_the_rfc),
        cmocka_unit_test(a_key_of_a_whole_block_and_none),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
