/* Signed tokens: what is taken, and all that isn't. The signature is the
 * memory crypto's; host/ has the real ones. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>

#include "auth/jwt.h"
#include "base/mem.h"
#include "tests/unit/auth/tokens_world.h"

enum { TTL_S = 300, NOW_S = 1700000000 };

static struct crypto_key *private_key;
static struct crypto_key *other_key;
static struct arena arena;

static struct crypto_key *key_of(enum crypto_sign sign, const char *bytes)
{
    struct crypto_key *key;
    assert_int_equal(world_crypto->ops->key_new(world_crypto, sign,
                                                slice_str(bytes), true, &key),
                     ERR_OK);
    return key;
}

static int begin(void **state)
{
    (void)tokens_world_begin(state);
    arena_init(&arena, 0);
    private_key = key_of(CRYPTO_ES256, "mine");
    other_key = key_of(CRYPTO_ES256, "another's");
    return 0;
}

static int end(void **state)
{
    world_crypto->ops->key_free(world_crypto, private_key);
    world_crypto->ops->key_free(world_crypto, other_key);
    arena_deinit(&arena);
    return tokens_world_end(state);
}

/* ---- making them by hand ------------------------------------------------- */

/* base64url, with the plainest of loops. */
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

/* Signed with `key`; in the test's arena. */
static struct slice forge(struct crypto_key *key, struct slice header,
                          struct slice claims)
{
    struct buf token = {0};
    struct buf signature = {0};
    put_base64(&token, header);
    buf_append_char(&token, '.');
    put_base64(&token, claims);
    assert_int_equal(world_crypto->ops->sign(world_crypto, key,
                                             buf_slice(&token), &signature),
                     ERR_OK);
    buf_append_char(&token, '.');
    put_base64(&token, buf_slice(&signature));
    struct slice copy =
        slice_of(arena_dup(&arena, token.at, token.size), token.size);
    buf_deinit(&signature);
    buf_deinit(&token);
    return copy;
}

#define HEADER "{\"alg\":\"ES256\",\"typ\":\"JWT\"}"
#define CLAIMS "{\"exp\":1700000300,\"revision\":7,\"username\":\"ann\"}"

static const char *read_with(struct crypto_key *const *keys, size_t count,
                             struct slice token)
{
    struct jwt_claims claims;
    if (!jwt_read(world_crypto, keys, count, CRYPTO_ES256, token,
                  world_wall_s(), &arena, &claims))
        return "no";
    return arena_printf(&arena, "%.*s %d %d", (int)claims.username.size,
                        claims.username.at, (int)claims.revision,
                        (int)(claims.exp_s - NOW_S));
}

/* "ann 7 300", or "no". */
static const char *read_token(struct slice token)
{
    return read_with(&private_key, 1, token);
}

static const char *with_header(const char *header)
{
    return read_token(forge(private_key, slice_str(header), SLICE(CLAIMS)));
}

static const char *with_claims(const char *claims)
{
    return read_token(forge(private_key, SLICE(HEADER), slice_str(claims)));
}

/* ---- what is taken ------------------------------------------------------- */

static void test_made_as_etcd_makes_them(void **state)
{
    (void)state;
    const struct jwt_claims claims = {
        .username = SLICE("a\"<\xc3\xa9"), .revision = 12, .exp_s = NOW_S + 60};
    struct buf token = {0};
    buf_append_str(&token, "etched ");
    assert_int_equal(
        jwt_make(world_crypto, private_key, CRYPTO_ES256, &claims, &token),
        ERR_OK);
    buf_consume(&token, 7);
    struct slice same =
        forge(private_key, SLICE(HEADER),
              SLICE("{\"exp\":1700000060,\"revision\":12,\"username\":"
                    "\"a\\\"\\u003c\xc3\xa9\"}"));
    assert_int_equal(token.size, same.size);
    assert_memory_equal(token.at, same.at, same.size);
    assert_string_equal(read_token(buf_slice(&token)), "a\"<\xc3\xa9 12 60");
    buf_deinit(&token);
}

static void test_taken(void **state)
{
    (void)state;
    assert_string_equal(with_claims(CLAIMS), "ann 7 300");
    assert_string_equal(with_header("{\"alg\":\"ES256\"}"), "ann 7 300");
    assert_string_equal(
        with_header("{\"typ\":\"jwt\",\"kid\":\"2\",\"alg\":\"ES256\"}"),
        "ann 7 300");
    assert_string_equal(
        with_claims(" {\"username\":\"ann\", \"iat\":1, \"nbf\":1700000000,\n"
                    "\"sub\":\"x\", \"revision\":7, \"exp\":1.7000003e9}"),
        "ann 7 300");
}

static void test_any_of_the_keys(void **state)
{
    (void)state;
    struct crypto_key *both[] = {other_key, private_key};
    struct slice mine = forge(private_key, SLICE(HEADER), SLICE(CLAIMS));
    struct slice others = forge(other_key, SLICE(HEADER), SLICE(CLAIMS));
    assert_string_equal(read_with(both, 2, mine), "ann 7 300");
    assert_string_equal(read_with(both, 2, others), "ann 7 300");
    assert_string_equal(read_with(both, 1, mine), "no");
    assert_string_equal(read_token(others), "no");
    assert_string_equal(read_with(NULL, 0, mine), "no");
}

/* ---- what isn't ---------------------------------------------------------- */

static void test_alg_is_the_configured_one(void **state)
{
    (void)state;
    const char *headers[] = {
        "{\"alg\":\"none\",\"typ\":\"JWT\"}",
        "{\"alg\":\"None\"}",
        "{\"alg\":\"HS256\"}",
        "{\"alg\":\"es256\"}",
        "{\"alg\":\"ES384\"}",
        "{\"alg\":\"\"}",
        "{\"alg\":null}",
        "{\"alg\":[\"ES256\"]}",
        "{\"ALG\":\"ES256\"}",
        "{\"typ\":\"JWT\"}",
        "{\"alg\":\"ES256\\u0000\"}",
        "{}",
        "[\"ES256\"]",
        "\"ES256\"",
    };
    for (size_t i = 0; i < sizeof headers / sizeof headers[0]; i++)
        assert_string_equal(with_header(headers[i]), "no");
    assert_string_equal(with_header("{\"alg\":\"ES256\",\"alg\":\"ES256\"}"),
                        "no");
    assert_string_equal(
        with_header("{\"alg\":\"ES256\",\"crit\":[\"b64\"],\"b64\":true}"),
        "no");
    assert_string_equal(with_header("{\"alg\":\"ES256\",\"typ\":\"JWE\"}"),
                        "no");
}

/* The public key is known to all: who made it a secret would let all in. */
static void test_hs_with_the_public_key(void **state)
{
    (void)state;
    struct crypto_key *secret = key_of(CRYPTO_HS256, "mine");
    assert_string_equal(
        read_token(forge(secret, SLICE("{\"alg\":\"HS256\"}"), SLICE(CLAIMS))),
        "no");
    assert_string_equal(read_token(forge(secret, SLICE(HEADER), SLICE(CLAIMS))),
                        "no");
    world_crypto->ops->key_free(world_crypto, secret);
}

static void test_claims_that_are_not(void **state)
{
    (void)state;
    const char *all[] = {
        "{\"revision\":7,\"username\":\"ann\"}",
        "{\"exp\":1700000300,\"username\":\"ann\"}",
        "{\"exp\":1700000300,\"revision\":7}",
        "{\"exp\":1700000300,\"revision\":7,\"username\":\"\"}",
        "{\"exp\":1700000300,\"revision\":7,\"username\":null}",
        "{\"exp\":1700000300,\"revision\":7,\"username\":[\"ann\"]}",
        "{\"exp\":1700000300,\"revision\":-7,\"username\":\"ann\"}",
        "{\"exp\":1700000300,\"revision\":7.5,\"username\":\"ann\"}",
        "{\"exp\":1700000300,\"revision\":\"7\",\"username\":\"ann\"}",
        "{\"exp\":1700000300,\"revision\":99999999999999999999,"
        "\"username\":\"ann\"}",
        "{\"exp\":\"1700000300\",\"revision\":7,\"username\":\"ann\"}",
        "{\"exp\":true,\"revision\":7,\"username\":\"ann\"}",
        "{\"exp\":-1,\"revision\":7,\"username\":\"ann\"}",
        "{\"exp\":1e300,\"revision\":7,\"username\":\"ann\"}",
        "{\"exp\":9223372036854775807,\"revision\":7,\"username\":\"ann\"}",
        "{\"exp\":1700000300,\"revision\":7,\"username\":\"ann\",\"aud\":"
        "\"bank\"}",
        "{\"exp\":1700000300,\"revision\":7,\"username\":\"ann\"} x",
        "[]",
        "null",
        "7",
        "{",
    };
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++)
        assert_string_equal(with_claims(all[i]), "no");
}

/* A reader that takes the first and one that takes the last would disagree. */
static void test_claims_said_twice(void **state)
{
    (void)state;
    assert_string_equal(
        with_claims("{\"exp\":1700000300,\"revision\":7,\"username\":\"ann\","
                    "\"username\":\"root\"}"),
        "no");
    assert_string_equal(
        with_claims("{\"exp\":1,\"exp\":1700000300,\"revision\":7,"
                    "\"username\":\"ann\"}"),
        "no");
}

static void test_names_of_our_own(void **state)
{
    (void)state;
    const char *names[] = {"\\u0000server", "\\u0000guest", "ann\\u0000",
                           "\\u0000recipe:ann", "\\u0000"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        assert_string_equal(
            with_claims(arena_printf(
                &arena,
                "{\"exp\":1700000300,\"revision\":7,\"username\":\"%s\"}",
                names[i])),
            "no");
    char text[AUTH_NAME_BYTES_MAX + 64];
    snprintf(text, sizeof text,
             "{\"exp\":1700000300,\"revision\":7,\"username\":\"%0*d\"}",
             AUTH_NAME_BYTES_MAX, 0);
    assert_string_not_equal(with_claims(text), "no");
    snprintf(text, sizeof text,
             "{\"exp\":1700000300,\"revision\":7,\"username\":\"%0*d\"}",
             AUTH_NAME_BYTES_MAX + 1, 0);
    assert_string_equal(with_claims(text), "no");
}

static void test_in_its_time(void **state)
{
    (void)state;
    assert_string_equal(
        with_claims("{\"exp\":1700000000,\"revision\":7,\"username\":\"a\"}"),
        "no");
    assert_string_equal(
        with_claims("{\"exp\":1700000001,\"revision\":7,\"username\":\"a\"}"),
        "a 7 1");
    assert_string_equal(with_claims("{\"exp\":1700000300,\"nbf\":1700000001,"
                                    "\"revision\":7,\"username\":\"a\"}"),
                        "no");
    assert_string_equal(with_claims("{\"exp\":1700000300,\"nbf\":\"then\","
                                    "\"revision\":7,\"username\":\"a\"}"),
                        "no");
    pass_seconds(299);
    assert_string_equal(with_claims(CLAIMS), "ann 7 300");
    pass_seconds(1);
    assert_string_equal(with_claims(CLAIMS), "no");
}

/* Each letter of it counts, and there is one way to write each. */
static void test_any_other_letter(void **state)
{
    (void)state;
    struct slice good = forge(private_key, SLICE(HEADER), SLICE(CLAIMS));
    char token[512];
    assert_true(good.size < sizeof token - 2);
    for (size_t i = 0; i < good.size; i++) {
        for (int c = 0; c < 256; c++) {
            memcpy(token, good.at, good.size);
            if (token[i] == (char)c)
                continue;
            token[i] = (char)c;
            assert_string_equal(read_token(slice_of(token, good.size)), "no");
        }
        arena_reset(&arena);
        good = forge(private_key, SLICE(HEADER), SLICE(CLAIMS));
    }
}

static void test_any_other_length(void **state)
{
    (void)state;
    struct slice good = forge(private_key, SLICE(HEADER), SLICE(CLAIMS));
    char token[512];
    memcpy(token, good.at, good.size);
    for (size_t size = 0; size < good.size; size++)
        assert_string_equal(read_token(slice_of(token, size)), "no");
    for (const char *more = "A=. \n"; *more; more++) {
        token[good.size] = *more;
        assert_string_equal(read_token(slice_of(token, good.size + 1)), "no");
    }
    assert_string_equal(read_token(SLICE("..")), "no");
    assert_string_equal(read_token(SLICE("")), "no");
    assert_string_equal(read_token(SLICE("a.b")), "no");
}

static void test_too_large(void **state)
{
    (void)state;
    char *claims = arena_alloc(&arena, AUTH_JWT_BYTES_MAX);
    /* Three letters in four: 6 KiB of claims are 8 KiB of token. */
    int size = snprintf(claims, AUTH_JWT_BYTES_MAX, "%s%*s", CLAIMS,
                        AUTH_JWT_BYTES_MAX * 3 / 4, "");
    assert_true(size > 0);
    assert_string_equal(with_claims(claims), "no");
    claims[5 * 1024] = '\0';
    assert_string_equal(with_claims(claims), "ann 7 300");
    char *deep = arena_alloc(&arena, 1024);
    snprintf(deep, 1024,
             "{\"exp\":1700000300,\"revision\":7,\"username\":"
             "\"ann\",\"x\":[[[[[[[[[[]]]]]]]]]]}");
    assert_string_equal(with_claims(deep), "no");
}

/* ---- in the table -------------------------------------------------------- */

static struct lock *lock;

/* Takes the keys. */
static struct auth_tokens *tokens_of(const char *sign, const char *verify)
{
    struct crypto_key *public_key = NULL;
    if (verify != NULL)
        public_key = key_of(CRYPTO_ES256, verify);
    lock = world_lock_new();
    const struct auth_tokens_config config = {
        .crypto = world_crypto,
        .clock = &world_clock,
        .lock = lock,
        .ttl_ns = (int64_t)TTL_S * SECOND_NS,
        .is_jwt = true,
        .sign = CRYPTO_ES256,
        .sign_key = sign == NULL ? NULL : key_of(CRYPTO_ES256, sign),
        .verify_keys = &public_key,
        .verify_count = verify != NULL,
    };
    return auth_tokens_new(&config);
}

static void free_tokens(struct auth_tokens *tokens)
{
    auth_tokens_free(tokens);
    world_lock_free(lock);
}

static const char *find(struct auth_tokens *tokens, struct slice token,
                        uint64_t auth_revision)
{
    char name[AUTH_NAME_BYTES_MAX];
    size_t size;
    enum v3_error error =
        auth_tokens_find(tokens, token, auth_revision, name, &size);
    if (error == V3_INVALID_AUTH_TOKEN)
        return "invalid";
    if (error == V3_AUTH_OLD_REVISION)
        return "old";
    assert_int_equal(error, V3_OK);
    return arena_printf(&arena, "%.*s", (int)size, name);
}

static void test_made_and_found(void **state)
{
    (void)state;
    struct auth_tokens *tokens = tokens_of("mine", NULL);
    struct buf token = {0};
    unsigned char digest[CRYPTO_SHA256_BYTES];
    assert_int_equal(auth_tokens_make(tokens, SLICE("ann"), 7, &token, digest),
                     ERR_OK);
    assert_string_equal(read_token(buf_slice(&token)), "ann 7 300");
    for (int i = 0; i < 3; i++) {
        assert_string_equal(find(tokens, buf_slice(&token), 7), "ann");
        assert_string_equal(find(tokens, buf_slice(&token), 8), "old");
        assert_int_equal(auth_tokens_count(tokens), 1);
    }
    /* Use doesn't lengthen what it says of itself. */
    pass_seconds(TTL_S - 1);
    assert_string_equal(find(tokens, buf_slice(&token), 7), "ann");
    pass_seconds(1);
    assert_string_equal(find(tokens, buf_slice(&token), 7), "invalid");
    assert_int_equal(auth_tokens_make(tokens, AUTH_SERVER, 7, &token, digest),
                     ERR_INVALID);
    buf_deinit(&token);
    free_tokens(tokens);
}

/* The clock for people was set: it is by that one that a jwt ends. */
static void test_ends_by_the_wall_clock(void **state)
{
    (void)state;
    struct auth_tokens *tokens = tokens_of("mine", NULL);
    struct slice token = forge(private_key, SLICE(HEADER), SLICE(CLAIMS));
    assert_string_equal(find(tokens, token, 7), "ann");
    jump_seconds(TTL_S);
    assert_string_equal(find(tokens, token, 7), "invalid");
    free_tokens(tokens);
}

/* One that is good for long is verified anew once it was kept for long. */
static void test_kept_for_a_while(void **state)
{
    (void)state;
    struct auth_tokens *tokens = tokens_of("mine", NULL);
    struct slice token = forge(private_key, SLICE(HEADER),
                               SLICE("{\"exp\":9000000000000000,\"revision\":7,"
                                     "\"username\":\"ann\"}"));
    for (int i = 0; i < 5; i++) {
        assert_string_equal(find(tokens, token, 7), "ann");
        assert_string_equal(find(tokens, token, 7), "ann");
        assert_int_equal(auth_tokens_count(tokens), 1);
        pass_seconds(TTL_S + 1);
    }
    free_tokens(tokens);
}

static void test_who_only_verifies_makes_none(void **state)
{
    (void)state;
    struct auth_tokens *tokens = tokens_of(NULL, "mine");
    struct buf token = {0};
    unsigned char digest[CRYPTO_SHA256_BYTES];
    assert_int_equal(auth_tokens_make(tokens, SLICE("ann"), 7, &token, digest),
                     ERR_UNSUPPORTED);
    assert_int_equal(token.size, 0);
    assert_string_equal(
        find(tokens, forge(private_key, SLICE(HEADER), SLICE(CLAIMS)), 7),
        "ann");
    buf_deinit(&token);
    free_tokens(tokens);
}

static void test_simple_ones_are_none_here(void **state)
{
    (void)state;
    struct auth_tokens *tokens = tokens_of("mine", NULL);
    char digest[CRYPTO_SHA256_BYTES] = {1};
    auth_tokens_add(tokens, SLICE("ann"), slice_of(digest, sizeof digest));
    assert_int_equal(auth_tokens_count(tokens), 0);
    assert_string_equal(find(tokens, SLICE("abcdefghijklmnop.8"), 7),
                        "invalid");
    assert_string_equal(find(tokens, SLICE(""), 7), "invalid");
    auth_tokens_drop(tokens, SLICE("ann"));
    free_tokens(tokens);
}

/* First the new one is trusted beside the old, then it signs, then the old one
 * goes. */
static void test_a_key_is_replaced(void **state)
{
    (void)state;
    struct auth_tokens *tokens = tokens_of("mine", NULL);
    struct slice old = forge(private_key, SLICE(HEADER), SLICE(CLAIMS));
    struct slice new = forge(other_key, SLICE(HEADER), SLICE(CLAIMS));
    assert_string_equal(find(tokens, old, 7), "ann");
    assert_string_equal(find(tokens, new, 7), "invalid");
    struct crypto_key *kept = key_of(CRYPTO_ES256, "mine");
    auth_tokens_set_keys(tokens, key_of(CRYPTO_ES256, "another's"), &kept, 1);
    assert_string_equal(find(tokens, old, 7), "ann");
    assert_string_equal(find(tokens, new, 7), "ann");
    auth_tokens_set_keys(tokens, key_of(CRYPTO_ES256, "another's"), NULL, 0);
    assert_string_equal(find(tokens, old, 7), "invalid");
    assert_string_equal(find(tokens, new, 7), "ann");
    free_tokens(tokens);
}

static void test_names_of_the_ways(void **state)
{
    (void)state;
    enum crypto_sign sign;
    for (int i = 0; i < CRYPTO_SIGN_COUNT; i++) {
        assert_true(jwt_alg_of(slice_str(jwt_alg((enum crypto_sign)i)), &sign));
        assert_int_equal(sign, i);
    }
    assert_string_equal(jwt_alg(CRYPTO_EDDSA), "EdDSA");
    assert_false(jwt_alg_of(SLICE("none"), &sign));
    assert_false(jwt_alg_of(SLICE("rs256"), &sign));
    assert_false(jwt_alg_of(SLICE(""), &sign));
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, begin, end)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(test_made_as_etcd_makes_them),
        CASE(test_taken),
        CASE(test_any_of_the_keys),
        CASE(test_alg_is_the_configured_one),
        CASE(test_hs_with_the_public_key),
        CASE(test_claims_that_are_not),
        CASE(test_claims_said_twice),
        CASE(test_names_of_our_own),
        CASE(test_in_its_time),
        CASE(test_any_other_letter),
        CASE(test_any_other_length),
        CASE(test_too_large),
        CASE(test_made_and_found),
        CASE(test_ends_by_the_wall_clock),
        CASE(test_kept_for_a_while),
        CASE(test_who_only_verifies_makes_none),
        CASE(test_simple_ones_are_none_here),
        CASE(test_a_key_is_replaced),
        CASE(test_names_of_the_ways),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
