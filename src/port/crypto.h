/* The door to cryptography: random bytes, digests, passwords, signatures.
 *
 * Threads: any.
 */
#ifndef ETCHED_PORT_CRYPTO_H
#define ETCHED_PORT_CRYPTO_H

#include <stdbool.h>
#include <stdint.h>

#include "base/bytes.h"
#include "base/err.h"

enum {
    CRYPTO_SHA256_BYTES = 32,
    CRYPTO_PASSWORD_HASH_BYTES_MAX = 64, /* bcrypt's are 60 */
    /* bcrypt looks at no more of a password; a longer one is refused. */
    CRYPTO_PASSWORD_BYTES_MAX = 72,
};

/* How a token is signed: the names of RFC 7518 (section 3.1) and RFC 8037. */
enum crypto_sign {
    CRYPTO_RS256,
    CRYPTO_RS384,
    CRYPTO_RS512,
    CRYPTO_PS256,
    CRYPTO_PS384,
    CRYPTO_PS512,
    CRYPTO_ES256,
    CRYPTO_ES384,
    CRYPTO_ES512,
    CRYPTO_EDDSA, /* Ed25519 */
    CRYPTO_HS256,
    CRYPTO_HS384,
    CRYPTO_HS512,
    CRYPTO_SIGN_COUNT,
};

struct crypto;
struct crypto_key; /* a public or a private one, or a shared secret */

struct crypto_ops {
    void (*random)(struct crypto *crypto, void *out, size_t size);
    void (*sha256)(struct crypto *crypto, struct slice bytes,
                   unsigned char out[CRYPTO_SHA256_BYTES]);
    /* bcrypt ("$2a$10$..." as etcd's): takes 50 ms and more, so not on a loop.
     * Errors: those of crypto_check_password. */
    enum err (*password_hash)(struct crypto *crypto, struct slice password,
                              int cost, struct buf *out);
    /* In constant time. A hash that isn't one matches nothing. */
    bool (*password_matches)(struct crypto *crypto, struct slice hash,
                             struct slice password);
    /* A key from a PEM file's bytes (of HS*: the bytes themselves). A private
     * one signs and verifies. Errors: ERR_INVALID: not one, or not one for
     * this; the note says it. ERR_UNSUPPORTED: no library. */
    enum err (*key_new)(struct crypto *crypto, enum crypto_sign sign,
                        struct slice pem, bool is_private,
                        struct crypto_key **out);
    void (*key_free)(struct crypto *crypto, struct crypto_key *key);
    /* Of `text`, appended, as RFC 7518 has it (ES*: R and S, not DER). */
    enum err (*sign)(struct crypto *crypto, const struct crypto_key *key,
                     struct slice text, struct buf *out);
    bool (*verify)(struct crypto *crypto, const struct crypto_key *key,
                   struct slice text, struct slice signature);
};

struct crypto {
    const struct crypto_ops *ops;
    size_t password_bytes_min; /* 0 is as 1: nobody has an empty one */
};

/* Can it be a password? For who wants to know before it is hashed. (An empty
 * one was let in by etcd: CVE-2020-15115.)
 * Errors: ERR_INVALID, the note is for the client. */
static inline enum err crypto_check_password(const struct crypto *crypto,
                                             struct slice password)
{
    if (password.size == 0) {
        return err_set(ERR_INVALID, "the password is empty");
    }
    if (password.size < crypto->password_bytes_min) {
        return err_set(ERR_INVALID, "a password has at least %zu bytes",
                       crypto->password_bytes_min);
    }
    if (password.size > CRYPTO_PASSWORD_BYTES_MAX) {
        return err_set(ERR_INVALID, "a password has at most %d bytes",
                       CRYPTO_PASSWORD_BYTES_MAX);
    }
    if (slice_find(password, '\0') >= 0) {
        return err_set(ERR_INVALID, "no byte of a password is zero");
    }
    return ERR_OK;
}

#endif
