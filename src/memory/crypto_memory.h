/* A tenant of port/crypto.h for tests and the simulator: the same each time,
 * quick, and no secret is safe with it. Random bytes come from a counter; a
 * password's hash has the form of bcrypt's ("$2a$10$" and 53 letters) and costs
 * nothing; a key is its bytes, so the public one is the private one; what it
 * signs is a digest with the key in it.
 *
 * Threads: any.
 */
#ifndef ETCHED_MEMORY_CRYPTO_MEMORY_H
#define ETCHED_MEMORY_CRYPTO_MEMORY_H

#include "port/crypto.h"

struct crypto *crypto_memory_new(uint64_t seed);
void crypto_memory_free(struct crypto *crypto);

/* How often a password was hashed or compared: what a real one would take its
 * time for. */
uint64_t crypto_memory_passwords(struct crypto *crypto);

#endif
