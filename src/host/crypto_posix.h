/* The door to cryptography (port/crypto.h) by the kernel's random bytes,
 * libxcrypt's bcrypt and, loaded when it is first needed, OpenSSL's libcrypto.
 *
 *   crypto_posix.c     random bytes, digests
 *   crypto_password.c  bcrypt
 *   crypto_keys.c      keys from PEM files, and signatures
 *
 * Threads: any.
 */
#ifndef ETCHED_HOST_CRYPTO_POSIX_H
#define ETCHED_HOST_CRYPTO_POSIX_H

#include "port/crypto.h"

/* Passwords that have fewer bytes aren't hashed. */
struct crypto *crypto_posix_new(size_t password_bytes_min);
void crypto_posix_free(struct crypto *crypto); /* NULL is fine */

#endif
