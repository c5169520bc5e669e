/* SHA-256 (FIPS 180-4), by the crypto library. */
#ifndef ETCHED_HOST_SHA256_H
#define ETCHED_HOST_SHA256_H

#include "base/bytes.h"

enum { SHA256_BYTES = 32 };

void sha256(struct slice bytes, unsigned char out[SHA256_BYTES]);

/* In pieces. */
struct sha256;
struct sha256 *sha256_new(void);
void sha256_add(struct sha256 *hash, struct slice bytes);
/* Frees it. */
void sha256_end(struct sha256 *hash, unsigned char out[SHA256_BYTES]);
void sha256_free(struct sha256 *hash); /* NULL is fine */

#endif
