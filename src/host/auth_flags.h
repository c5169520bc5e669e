/* What --auth-token says, and the key files that it names.
 *
 *   simple                                                     (the default)
 *   jwt,sign-method=ES256,pub-key=PATH,priv-key=PATH,ttl=5m    as etcd has it
 *
 * Of HS256 to HS512 the secret is the priv-key's file. pub-key may come more
 * than once: what any of them has signed is good, so that a key can be
 * replaced without anybody being logged out. The files are looked at while the
 * server runs; when they have changed they are read again.
 *
 * Threads: one.
 */
#ifndef ETCHED_HOST_AUTH_FLAGS_H
#define ETCHED_HOST_AUTH_FLAGS_H

#include "auth/tokens.h"

struct auth_flags {
    bool is_jwt;
    enum crypto_sign sign;
    const char *private_key; /* a path; NULL: none */
    const char *public_keys[AUTH_JWT_KEYS_MAX];
    size_t public_count;
    int64_t ttl_ns;
};

/* Strings are in the arena. `simple_ttl_s` is --auth-token-ttl's; 0: the
 * default.
 * Errors: ERR_INVALID; the note says what is wanted. */
enum err auth_flags_parse(struct arena *arena, const char *text,
                          int64_t simple_ttl_s,
                          struct auth_flags *out) MUST_USE;

/* ---- auth_flags_keys.c --------------------------------------------------- */

struct auth_flags_keys {
    struct crypto_key *sign; /* NULL: no private key was named */
    struct crypto_key *verify[AUTH_JWT_KEYS_MAX];
    size_t verify_count;
};

/* Needs: it is jwt.
 * Errors: those of reading the files and of key_new, with the path;
 *         ERR_INVALID: none of the public keys is the private one's. */
enum err auth_flags_read_keys(const struct auth_flags *flags,
                              struct crypto *crypto,
                              struct auth_flags_keys *out) MUST_USE;
void auth_flags_free_keys(struct crypto *crypto, struct auth_flags_keys *keys);

/* Another number for other files, or the same files with other bytes. */
uint64_t auth_flags_stamp(const struct auth_flags *flags);

#endif
