/* What the crypto_*.c files share. */
#ifndef ETCHED_HOST_CRYPTO_INT_H
#define ETCHED_HOST_CRYPTO_INT_H

#include "port/crypto.h"

/* The same bytes? In a time that depends on their number only. */
bool crypto__equal(const void *a, const void *b, size_t size);

/* ---- crypto_password.c: as in crypto_ops --------------------------------- */

enum err crypto__password_hash(struct crypto *crypto, struct slice password,
                               int cost, struct buf *out) MUST_USE;
bool crypto__password_matches(struct crypto *crypto, struct slice hash,
                              struct slice password);

/* ---- crypto_keys.c: the same --------------------------------------------- */

enum err crypto__key_new(struct crypto *crypto, enum crypto_sign sign,
                         struct slice pem, bool is_private,
                         struct crypto_key **out) MUST_USE;
void crypto__key_free(struct crypto *crypto, struct crypto_key *key);
enum err crypto__sign(struct crypto *crypto, const struct crypto_key *key,
                      struct slice text, struct buf *out) MUST_USE;
bool crypto__verify(struct crypto *crypto, const struct crypto_key *key,
                    struct slice text, struct slice signature);

#endif
