#include "host/hmac.h"

#include <string.h>

enum { BLOCK_BYTES = 64 }; /* of SHA-256 */

/* The hash of the key, each byte changed by `pad`, then the text. */
static void hash_padded(const unsigned char key[BLOCK_BYTES], unsigned char pad,
                        struct slice text, unsigned char out[SHA256_BYTES])
{
    unsigned char block[BLOCK_BYTES];
    struct sha256 *hash = sha256_new();
    for (size_t i = 0; i < BLOCK_BYTES; i++) {
        block[i] = key[i] ^ pad;
    }
    sha256_add(hash, slice_of(block, sizeof(block)));
    sha256_add(hash, text);
    sha256_end(hash, out);
    explicit_bzero(block, sizeof(block));
}

void hmac_sha256(struct slice key, struct slice text,
                 unsigned char out[SHA256_BYTES])
{
    unsigned char block[BLOCK_BYTES] = {0};
    unsigned char inner[SHA256_BYTES];
    if (key.size > BLOCK_BYTES) {
        sha256(key, block);
    } else if (key.size > 0) {
        memcpy(block, key.at, key.size);
    }
    hash_padded(block, 0x36, text, inner);
    hash_padded(block, 0x5c, slice_of(inner, sizeof(inner)), out);
    explicit_bzero(block, sizeof(block));
}
