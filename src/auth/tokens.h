/* Tokens: what a client shows in place of its password.
 *
 *   simple  "kqXcnAvTdTzNTcPs.8": sixteen letters by chance, and the log's
 *           index. Every member knows its SHA-256 (COMMAND_AUTH, AUTH_TOKEN;
 *           the token itself is never in the log), in memory only: after a
 *           restart clients log in again. Each lives `ttl` after its last use
 *           on that member. There are at most AUTH_TOKENS_MAX; the one that
 *           would end first gives way.
 *   jwt     a signed statement (RFC 7519): {"username","revision","exp"}. One
 *           of another auth revision is refused. What was verified is kept in
 *           the same table until it ends, so that a signature costs its tenth
 *           of a millisecond once, not with every request.
 *
 * The table has a lock of its own: tokens are looked up for every request, by
 * all I/O threads.
 *
 * Threads: auth_tokens_find: any; the rest as said there.
 */
#ifndef ETCHED_AUTH_TOKENS_H
#define ETCHED_AUTH_TOKENS_H

#include "auth/auth.h"
#include "port/clock.h"
#include "port/crypto.h"
#include "port/lock.h"

enum {
    AUTH_TOKENS_MAX = 64 * 1024,
    /* Of one user: who logs in on and on puts no more of the others out. */
    AUTH_TOKENS_USER_MAX = 16 * 1024,
    AUTH_TOKEN_TTL_S = 300,
    AUTH_SIMPLE_LETTERS = 16,
    AUTH_JWT_BYTES_MAX = 8 * 1024,
    AUTH_JWT_KEYS_MAX = 16,
};

/* What --auth-token says: "simple", or "jwt,sign-method=RS256,pub-key=PATH,
 * priv-key=PATH,ttl=5m". Files are read by whoever makes the config; a
 * second pub-key may follow, so that keys can be replaced. */
struct auth_tokens_config {
    struct crypto *crypto;
    struct clock *clock;
    struct lock *lock; /* of its own */
    int64_t ttl_ns;
    bool is_jwt;
    enum crypto_sign sign;
    /* The keys are the tokens' from auth_tokens_new on. */
    struct crypto_key *sign_key;           /* NULL: this member makes none */
    struct crypto_key *const *verify_keys; /* any of them, or sign_key, is good
                                            */
    size_t verify_count;                   /* at most AUTH_JWT_KEYS_MAX */
};

struct auth_tokens;
struct auth_tokens *auth_tokens_new(const struct auth_tokens_config *config);
void auth_tokens_free(struct auth_tokens *tokens); /* NULL is fine */

/* Others in place of those keys, for the same way to sign. Any thread. */
void auth_tokens_set_keys(struct auth_tokens *tokens,
                          struct crypto_key *sign_key,
                          struct crypto_key *const *verify_keys,
                          size_t verify_count);

/* A new token for a user whose password was right, appended; of a simple one
 * `digest` is for the AUTH_TOKEN command, and its ".index" is appended by who
 * knows it. Any thread.
 * Errors: ERR_UNSUPPORTED (jwt without a private key); ERR_INVALID: no name
 *         that a user can have. */
enum err auth_tokens_make(struct auth_tokens *tokens, struct slice user,
                          uint64_t auth_revision, struct buf *out,
                          unsigned char digest[CRYPTO_SHA256_BYTES]) MUST_USE;
/* An AUTH_TOKEN command was applied. The writer. */
void auth_tokens_add(struct auth_tokens *tokens, struct slice user,
                     struct slice digest);
/* All of a user: deleted, or with another password. user.at NULL: all. The
 * writer. */
void auth_tokens_drop(struct auth_tokens *tokens, struct slice user);
/* Whose it is; the name is copied to `user`. `auth_revision` is now's.
 * Errors: V3_INVALID_AUTH_TOKEN, V3_AUTH_OLD_REVISION. */
enum v3_error auth_tokens_find(struct auth_tokens *tokens, struct slice token,
                               uint64_t auth_revision,
                               char user[AUTH_NAME_BYTES_MAX],
                               size_t *user_size);
size_t auth_tokens_count(struct auth_tokens *tokens);

#endif
