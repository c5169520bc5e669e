/* JSON Web Tokens (RFC 7519) as etcd makes them, and no others: three parts of
 * base64url with dots between, a header, claims, and the signature over both.
 *
 *   {"alg":"ES256","typ":"JWT"}.{"exp":1700000000,"revision":7,
 *   "username":"root"}.<signature>
 *
 * What is taken is what was configured: the alg is the one that the keys are
 * for, whatever the token says of itself ("none", or HS256 with a public key
 * for its secret, are how others were broken into). There is an end, and it
 * is to come. The header may not ask for what isn't understood ("crit"), a
 * token for somebody else ("aud") isn't for us, and one that begins later
 * ("nbf") isn't good yet.
 *
 * Threads: any.
 */
#ifndef ETCHED_AUTH_JWT_H
#define ETCHED_AUTH_JWT_H

#include "base/mem.h"
#include "port/crypto.h"

/* "RS256"; NULL-terminated. */
const char *jwt_alg(enum crypto_sign sign);
bool jwt_alg_of(struct slice name, enum crypto_sign *out);

struct jwt_claims {
    struct slice username; /* in the arena where it was read */
    uint64_t revision;
    int64_t exp_s; /* since 1970 */
};

/* Appends a token.
 * Errors: those of crypto's sign. */
enum err jwt_make(struct crypto *crypto, const struct crypto_key *key,
                  enum crypto_sign sign, const struct jwt_claims *claims,
                  struct buf *out) MUST_USE;

/* Is it one, signed by any of the keys, and good at `now_s`? */
bool jwt_read(struct crypto *crypto, struct crypto_key *const *keys,
              size_t key_count, enum crypto_sign sign, struct slice token,
              int64_t now_s, struct arena *arena, struct jwt_claims *out);

#endif
