/* Tokens as clients send them. The first byte says how what follows is meant:
 * as it is; or as a header and claims, with a zero between them, which are then
 * signed, so that what is behind the signature is reached, too.
 *
 * Whatever is taken has a name that a user can have and an end that is to come;
 * it is found again in the table, and is nobody's under another revision.
 */
#include "auth/jwt.h"
#include "auth/tokens.h"
#include "base/check.h"
#include "base/mem.h"
#include "memory/crypto_memory.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

enum { NOW_S = 1700000000, TTL_S = 300, BYTES_MAX = 16 * 1024 };
static const int64_t second_ns = 1000 * 1000 * 1000;

/* ---- a world ------------------------------------------------------------- */

static int64_t wall_ns(struct clock *clock)
{
    (void)clock;
    return NOW_S * second_ns;
}

static int64_t monotonic_ns(struct clock *clock)
{
    (void)clock;
    return second_ns;
}

static void no_lock(struct lock *lock)
{
    (void)lock;
}

static struct clock fuzz_clock = {.wall_ns = wall_ns,
                                  .monotonic_ns = monotonic_ns};
static struct lock fuzz_lock = {.read_lock = no_lock,
                                .read_unlock = no_lock,
                                .write_lock = no_lock,
                                .write_unlock = no_lock};

static struct crypto_key *key_of(struct crypto *crypto, const char *bytes)
{
    struct crypto_key *key;
    enum err err = crypto->ops->key_new(crypto, CRYPTO_ES256, slice_str(bytes),
                                        true, &key);
    CHECK(err == ERR_OK);
    return key;
}

/* ---- a token ------------------------------------------------------------- */

static void put_base64(struct buf *out, struct slice bytes)
{
    static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnop"
                                  "qrstuvwxyz0123456789-_";
    for (size_t bit = 0; bit < bytes.size * 8; bit += 6) {
        int value = 0;
        for (size_t i = bit; i < bit + 6; i++) {
            int byte = i / 8 < bytes.size ? (unsigned char)bytes.at[i / 8] : 0;
            value = value << 1 | (byte >> (7 - i % 8) & 1);
        }
        buf_append_char(out, letters[value]);
    }
}

static void sign(struct crypto *crypto, struct slice both, struct buf *out)
{
    struct crypto_key *key = key_of(crypto, "old");
    struct buf signature = {0};
    ptrdiff_t zero = slice_find(both, '\0');
    size_t head = zero < 0 ? both.size : (size_t)zero;
    size_t skip = zero < 0 ? head : head + 1;
    put_base64(out, slice_of(both.at, head));
    buf_append_char(out, '.');
    put_base64(out, slice_of(both.at + skip, both.size - skip));
    enum err err = crypto->ops->sign(crypto, key, buf_slice(out), &signature);
    CHECK(err == ERR_OK);
    buf_append_char(out, '.');
    put_base64(out, buf_slice(&signature));
    buf_deinit(&signature);
    crypto->ops->key_free(crypto, key);
}

/* ---- the checks ---------------------------------------------------------- */

static bool check_claims(struct crypto *crypto, struct slice token,
                         struct jwt_claims *claims, struct arena *arena)
{
    struct crypto_key *key = key_of(crypto, "old");
    bool good =
        jwt_read(crypto, &key, 1, CRYPTO_ES256, token, NOW_S, arena, claims);
    crypto->ops->key_free(crypto, key);
    if (good) {
        CHECK(claims->exp_s > NOW_S);
        CHECK(claims->username.size > 0);
        CHECK(claims->username.size <= AUTH_NAME_BYTES_MAX);
        CHECK(slice_find(claims->username, '\0') < 0);
        CHECK(slice_is_utf8(claims->username));
    }
    return good;
}

static void check_table(struct crypto *crypto, struct slice token, bool good,
                        const struct jwt_claims *claims)
{
    struct crypto_key *old = key_of(crypto, "old");
    const struct auth_tokens_config config = {
        .crypto = crypto,
        .clock = &fuzz_clock,
        .lock = &fuzz_lock,
        .ttl_ns = TTL_S * second_ns,
        .is_jwt = true,
        .sign = CRYPTO_ES256,
        .sign_key = key_of(crypto, "new"),
        .verify_keys = &old,
        .verify_count = 1,
    };
    struct auth_tokens *tokens = auth_tokens_new(&config);
    char name[AUTH_NAME_BYTES_MAX];
    for (int i = 0; i < 2; i++) { /* verified, then kept */
        size_t size;
        enum v3_error error =
            auth_tokens_find(tokens, token, claims->revision, name, &size);
        CHECK(error == (good ? V3_OK : V3_INVALID_AUTH_TOKEN));
        CHECK(slice_eq(slice_of(name, size), claims->username));
        error =
            auth_tokens_find(tokens, token, claims->revision + 1, name, &size);
        CHECK(error == (good ? V3_AUTH_OLD_REVISION : V3_INVALID_AUTH_TOKEN));
        CHECK_EQ(auth_tokens_count(tokens), good ? 1 : 0);
    }
    auth_tokens_free(tokens);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    if (size == 0 || size > BYTES_MAX)
        return 0;
    struct crypto *crypto = crypto_memory_new(1);
    struct slice rest = slice_of(bytes + 1, size - 1);
    struct buf token = {0};
    struct arena arena;
    struct jwt_claims claims;
    arena_init(&arena, 0);
    if (bytes[0] & 1)
        sign(crypto, rest, &token);
    else
        buf_append_slice(&token, rest);
    bool good = check_claims(crypto, buf_slice(&token), &claims, &arena);
    check_table(crypto, buf_slice(&token), good, &claims);
    arena_deinit(&arena);
    buf_deinit(&token);
    crypto_memory_free(crypto);
    return 0;
}
