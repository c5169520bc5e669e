/* The real cryptography: the standards' examples, what etcd has made, and what
 * isn't a key, a hash or a signature. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include <pthread.h>
#include <time.h>

#include "auth/jwt.h"
#include "auth/login.h"
#include "host/crypto_posix.h"
#include "tests/unit/host/signing_keys.h"

static struct crypto *crypto;

static int begin(void **state)
{
    (void)state;
    crypto = crypto_posix_new(1);
    return 0;
}

static int end(void **state)
{
    (void)state;
    crypto_posix_free(crypto);
    return 0;
}

/* ---- random bytes and digests -------------------------------------------- */

static void test_random(void **state)
{
    (void)state;
    static unsigned char a[4096];
    static unsigned char b[4096];
    size_t seen[256] = {0};
    crypto->ops->random(crypto, a, sizeof a);
    crypto->ops->random(crypto, b, sizeof b);
    assert_memory_not_equal(a, b, sizeof a);
    for (size_t i = 0; i < sizeof a; i++)
        seen[a[i]]++;
    for (int i = 0; i < 256; i++)
        assert_in_range(seen[i], 0, 60); /* 16 of each, or thereabouts */
    crypto->ops->random(crypto, a, 0);
}

static void test_sha256(void **state)
{
    (void)state;
    static const unsigned char abc[] = {
        0xba, 0x78, 0x16, 0xbf, 0x8f, 0x01, 0xcf, 0xea, 0x41, 0x41, 0x40,
        0xde, 0x5d, 0xae, 0x22, 0x23, 0xb0, 0x03, 0x61, 0xa3, 0x96, 0x17,
        0x7a, 0x9c, 0xb4, 0x10, 0xff, 0x61, 0xf2, 0x00, 0x15, 0xad};
    unsigned char out[CRYPTO_SHA256_BYTES];
    for (int i = 0; i < 3; i++) {
        crypto->ops->sha256(crypto, SLICE("other"), out);
        assert_memory_not_equal(out, abc, sizeof abc);
        crypto->ops->sha256(crypto, SLICE("abc"), out);
        assert_memory_equal(out, abc, sizeof abc);
    }
}

static void *hash_on(void *context)
{
    uint64_t *wrong = context;
    unsigned char first[CRYPTO_SHA256_BYTES];
    unsigned char out[CRYPTO_SHA256_BYTES];
    crypto->ops->sha256(crypto, SLICE("abc"), first);
    for (int i = 0; i < 2000; i++) {
        crypto->ops->sha256(crypto, slice_of(&i, sizeof i), out);
        crypto->ops->sha256(crypto, SLICE("abc"), out);
        *wrong += memcmp(out, first, sizeof out) != 0 || out[0] != 0xba;
    }
    return NULL;
}

static void test_sha256_of_many_threads(void **state)
{
    (void)state;
    pthread_t threads[4];
    uint64_t wrong[4] = {0};
    for (int i = 0; i < 4; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, hash_on, &wrong[i]),
                         0);
    for (int i = 0; i < 4; i++) {
        assert_int_equal(pthread_join(threads[i], NULL), 0);
        assert_int_equal(wrong[i], 0);
    }
}

/* ---- passwords ----------------------------------------------------------- */

static bool matches(const char *hash, const char *password)
{
    return crypto->ops->password_matches(crypto, slice_str(hash),
                                         slice_str(password));
}

static void test_hashed_and_matched(void **state)
{
    (void)state;
    struct buf hash = {0};
    struct buf other = {0};
    assert_int_equal(crypto->ops->password_hash(crypto, SLICE("pw"), 4, &hash),
                     ERR_OK);
    assert_int_equal(crypto->ops->password_hash(crypto, SLICE("pw"), 5, &other),
                     ERR_OK);
    assert_int_equal(hash.size, 60);
    assert_memory_equal(hash.at, "$2a$04$", 7);
    assert_memory_equal(other.at, "$2a$05$", 7);
    assert_memory_not_equal(hash.at + 7, other.at + 7, 22); /* the salt */
    buf_append_char(&hash, '\0');
    assert_true(matches(hash.at, "pw"));
    assert_false(matches(hash.at, "pW"));
    assert_false(matches(hash.at, "pw "));
    assert_false(matches(hash.at, ""));
    hash.at[5] = '5';
    assert_false(matches(hash.at, "pw"));
    buf_deinit(&hash);
    buf_deinit(&other);
}

static void test_longest_and_beyond(void **state)
{
    (void)state;
    struct buf hash = {0};
    char password[CRYPTO_PASSWORD_BYTES_MAX + 2];
    memset(password, 'p', sizeof password);
    struct slice longest = slice_of(password, CRYPTO_PASSWORD_BYTES_MAX);
    struct slice beyond = slice_of(password, CRYPTO_PASSWORD_BYTES_MAX + 1);
    assert_int_equal(crypto->ops->password_hash(crypto, longest, 4, &hash),
                     ERR_OK);
    assert_true(
        crypto->ops->password_matches(crypto, buf_slice(&hash), longest));
    /* bcrypt wouldn't see the difference. */
    assert_false(
        crypto->ops->password_matches(crypto, buf_slice(&hash), beyond));
    buf_reset(&hash);
    assert_int_equal(crypto->ops->password_hash(crypto, beyond, 4, &hash),
                     ERR_INVALID);
    assert_int_equal(
        crypto->ops->password_hash(crypto, SLICE("a\0b"), 4, &hash),
        ERR_INVALID);
    assert_int_equal(crypto->ops->password_hash(crypto, SLICE(""), 4, &hash),
                     ERR_INVALID);
    assert_int_equal(hash.size, 0);
    assert_int_equal(crypto->ops->password_hash(crypto, SLICE("a"), 4, &hash),
                     ERR_OK);
    assert_false(
        crypto->ops->password_matches(crypto, buf_slice(&hash), SLICE("a\0b")));
    buf_deinit(&hash);
}

static void test_shortest_as_configured(void **state)
{
    (void)state;
    struct crypto *strict = crypto_posix_new(12);
    struct buf hash = {0};
    assert_int_equal(
        strict->ops->password_hash(strict, SLICE("elevenbytes"), 4, &hash),
        ERR_INVALID);
    assert_string_equal(err_note(), "a password has at least 12 bytes");
    assert_int_equal(
        strict->ops->password_hash(strict, SLICE("twelve bytes"), 4, &hash),
        ERR_OK);
    /* Those that were made before are as good as they were. */
    assert_true(strict->ops->password_matches(
        strict, slice_str(ETCD_PASSWORD_HASH), SLICE("pw")));
    buf_deinit(&hash);
    crypto_posix_free(strict);
}

/* Of crypt_blowfish's own tests; the last two are of a password that an old
 * and wrong program would have hashed otherwise. */
static void test_known_hashes(void **state)
{
    (void)state;
    assert_true(matches(ETCD_PASSWORD_HASH, "pw"));
    assert_false(matches(ETCD_PASSWORD_HASH, "pv"));
    assert_true(matches(
        "$2a$05$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW", "U*U"));
    assert_true(matches(
        "$2b$05$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW", "U*U"));
    assert_true(matches(
        "$2a$05$CCCCCCCCCCCCCCCCCCCCC.7uG0VCzI2bS7j6ymqJi9CdcdxiRTWNy", ""));
    assert_true(
        matches("$2a$05$XXXXXXXXXXXXXXXXXXXXXOAcXxm9kjPGEMsLznoKqmqw7tc8WCx4a",
                "U*U*U"));
    const char *odd = "\xff\xff\xa3";
    assert_true(matches(
        "$2y$05$/OK.fbVrR/bpIqNJ5ianF.CE5elHaaO4EbggVDjb8P19RukzXSM3e", odd));
    assert_true(matches(
        "$2a$05$/OK.fbVrR/bpIqNJ5ianF.CE5elHaaO4EbggVDjb8P19RukzXSM3e", odd));
}

static void test_no_hashes(void **state)
{
    (void)state;
    const char *hashes[] = {
        "",
        "$2a$04$",
        "x",
        "*0",
        "pw",
        "$1$aaaaaaaa$rT2Qk8/7Yb5nW8F3nTY3S1",
        "$2x$05$/OK.fbVrR/bpIqNJ5ianF.CE5elHaaO4EbggVDjb8P19RukzXSM3e",
        "$2a$03$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW",
        "$2a$32$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW",
        "$2a$99$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW",
        "$2a$-5$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW",
        "$2a$05$CCCCCCCCCCCCCCCCCCCC:.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW",
        "$2a$05$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOe",
        "$2a$05$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeWW",
        "$2a$05$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOe\n",
        "$2a$05$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOe$",
        "#2a$05$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW",
        "$2a#05$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW",
        "$2a$05#CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW",
    };
    for (size_t i = 0; i < sizeof hashes / sizeof hashes[0]; i++)
        assert_false(matches(hashes[i], "U*U"));
}

/* It is one, so that it takes as long as one; but nobody's. */
static void test_nobodys_hash(void **state)
{
    (void)state;
    struct buf hash = {0};
    auth_login_nobody(4, &hash);
    buf_append_char(&hash, '\0');
    assert_false(matches(hash.at, ""));
    assert_false(matches(hash.at, "root"));
    struct timespec before;
    struct timespec after;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &before);
    hash.at[4] = '0';
    hash.at[5] = '9';
    assert_false(matches(hash.at, "root"));
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &after);
    int64_t took_us = (after.tv_sec - before.tv_sec) * 1000000 +
                      (after.tv_nsec - before.tv_nsec) / 1000;
    assert_true(took_us > 1000); /* 2^9 rounds were made */
    buf_deinit(&hash);
}

/* ---- keys ---------------------------------------------------------------- */

static struct crypto_key *key_of(enum crypto_sign sign, const char *pem,
                                 bool is_private)
{
    struct crypto_key *key;
    assert_int_equal(
        crypto->ops->key_new(crypto, sign, slice_str(pem), is_private, &key),
        ERR_OK);
    assert_non_null(key);
    return key;
}

struct pair {
    const char *private_key;
    const char *public_key;
    const char *etcds; /* a token */
};

static const struct pair pairs[CRYPTO_SIGN_COUNT] = {
    [CRYPTO_RS256] = {RSA_PRIVATE, RSA_PUBLIC, ETCD_RS256},
    [CRYPTO_RS384] = {RSA_PRIVATE, RSA_PUBLIC, ETCD_RS384},
    [CRYPTO_RS512] = {RSA_PRIVATE, RSA_PUBLIC, ETCD_RS512},
    [CRYPTO_PS256] = {RSA_PRIVATE, RSA_PUBLIC, ETCD_PS256},
    [CRYPTO_PS384] = {RSA_PRIVATE, RSA_PUBLIC, ETCD_PS384},
    [CRYPTO_PS512] = {RSA_PRIVATE, RSA_PUBLIC, ETCD_PS512},
    [CRYPTO_ES256] = {P256_PRIVATE, P256_PUBLIC, ETCD_ES256},
    [CRYPTO_ES384] = {P384_PRIVATE, P384_PUBLIC, ETCD_ES384},
    [CRYPTO_ES512] = {P521_PRIVATE, P521_PUBLIC, ETCD_ES512},
    [CRYPTO_EDDSA] = {ED25519_PRIVATE, ED25519_PUBLIC, NULL},
    [CRYPTO_HS256] = {SHARED_SECRET, SHARED_SECRET, ETCD_HS256},
    [CRYPTO_HS384] = {SHARED_SECRET, SHARED_SECRET, NULL},
    [CRYPTO_HS512] = {SHARED_SECRET, SHARED_SECRET, NULL},
};

/* When etcd's were made. */
enum { THEN_S = 1795403400 };

static void test_tokens_of_etcd(void **state)
{
    (void)state;
    for (int i = 0; i < CRYPTO_SIGN_COUNT; i++) {
        enum crypto_sign sign = (enum crypto_sign)i;
        struct arena arena;
        struct jwt_claims claims;
        if (pairs[i].etcds == NULL)
            continue;
        struct slice token = slice_str(pairs[i].etcds);
        struct crypto_key *keys[] = {key_of(sign, pairs[i].public_key, false),
                                     key_of(sign, pairs[i].private_key, true)};
        arena_init(&arena, 0);
        for (int k = 0; k < 2; k++) {
            assert_true(jwt_read(crypto, &keys[k], 1, sign, token, THEN_S,
                                 &arena, &claims));
            assert_true(slice_eq(claims.username, SLICE("root")));
            assert_int_equal(claims.revision, 3);
            assert_false(jwt_read(crypto, &keys[k], 1, sign, token,
                                  THEN_S + 1000, &arena, &claims));
            crypto->ops->key_free(crypto, keys[k]);
        }
        arena_deinit(&arena);
    }
}

static void test_signed_and_verified(void **state)
{
    (void)state;
    for (int i = 0; i < CRYPTO_SIGN_COUNT; i++) {
        enum crypto_sign sign = (enum crypto_sign)i;
        struct crypto_key *own = key_of(sign, pairs[i].private_key, true);
        struct crypto_key *others = key_of(sign, pairs[i].public_key, false);
        struct slice text = SLICE("header.claims");
        struct buf signature = {0};
        buf_append_str(&signature, "before");
        assert_int_equal(crypto->ops->sign(crypto, own, text, &signature),
                         ERR_OK);
        buf_consume(&signature, 6);
        struct slice good = buf_slice(&signature);
        assert_true(crypto->ops->verify(crypto, own, text, good));
        assert_true(crypto->ops->verify(crypto, others, text, good));
        assert_false(
            crypto->ops->verify(crypto, others, SLICE("header.claim"), good));
        assert_false(crypto->ops->verify(crypto, others, text,
                                         slice_of(good.at, good.size - 1)));
        assert_false(crypto->ops->verify(crypto, others, text, SLICE("")));
        for (size_t at = 0; at < good.size; at += good.size / 7) {
            signature.at[at] ^= 4;
            assert_false(crypto->ops->verify(crypto, others, text, good));
            signature.at[at] ^= 4;
        }
        buf_append_char(&signature, 0);
        assert_false(
            crypto->ops->verify(crypto, others, text, buf_slice(&signature)));
        buf_deinit(&signature);
        crypto->ops->key_free(crypto, own);
        crypto->ops->key_free(crypto, others);
    }
}

static void test_another_key(void **state)
{
    (void)state;
    struct crypto_key *own = key_of(CRYPTO_ES256, P256_PRIVATE, true);
    struct crypto_key *other = key_of(CRYPTO_ES256, P256_OTHER_PUBLIC, false);
    struct crypto_key *certificate =
        key_of(CRYPTO_ES256, P256_CERTIFICATE, false);
    struct slice text = SLICE("text");
    struct buf signature = {0};
    assert_int_equal(crypto->ops->sign(crypto, own, text, &signature), ERR_OK);
    assert_int_equal(signature.size, 64); /* R and S, not DER */
    assert_false(
        crypto->ops->verify(crypto, other, text, buf_slice(&signature)));
    assert_true(
        crypto->ops->verify(crypto, certificate, text, buf_slice(&signature)));
    /* Zero twice was good for every text once (CVE-2022-21449). */
    memset(signature.at, 0, signature.size);
    assert_false(crypto->ops->verify(crypto, own, text, buf_slice(&signature)));
    memset(signature.at, 0xff, signature.size);
    assert_false(crypto->ops->verify(crypto, own, text, buf_slice(&signature)));
    buf_deinit(&signature);
    crypto->ops->key_free(crypto, own);
    crypto->ops->key_free(crypto, other);
    crypto->ops->key_free(crypto, certificate);
    crypto->ops->key_free(crypto, NULL);
}

/* Why it isn't one. */
static const char *refused(enum crypto_sign sign, const char *pem,
                           bool is_private)
{
    struct crypto_key *key = (void *)1;
    assert_int_equal(
        crypto->ops->key_new(crypto, sign, slice_str(pem), is_private, &key),
        ERR_INVALID);
    assert_null(key);
    return err_note();
}

static void test_no_keys(void **state)
{
    (void)state;
    static char large[70 * 1024];
    assert_string_equal(refused(CRYPTO_ES256, "", false),
                        "a PEM file was expected");
    assert_string_equal(refused(CRYPTO_ES256, "what?", false),
                        "no public key in PEM form");
    assert_string_equal(refused(CRYPTO_ES256, "what?", true),
                        "no private key in PEM form");
    assert_string_equal(refused(CRYPTO_ES256, P256_PUBLIC, true),
                        "no private key in PEM form");
    assert_string_equal(refused(CRYPTO_ES256, P256_PRIVATE, false),
                        "no public key in PEM form");
    assert_string_equal(
        refused(CRYPTO_ES256, P256_ENCRYPTED, true),
        "no private key in PEM form (encrypted ones can't be used)");
    assert_string_equal(refused(CRYPTO_ES256, RSA_PUBLIC, false),
                        "not a key of the curve prime256v1");
    assert_string_equal(refused(CRYPTO_ES256, P384_PUBLIC, false),
                        "not a key of the curve prime256v1");
    assert_string_equal(refused(CRYPTO_ES512, P256_PRIVATE, true),
                        "not a key of the curve secp521r1");
    assert_string_equal(refused(CRYPTO_RS256, P256_PUBLIC, false),
                        "not an RSA key");
    assert_string_equal(refused(CRYPTO_PS512, ED25519_PUBLIC, false),
                        "not an RSA key");
    assert_string_equal(refused(CRYPTO_RS256, RSA_1024_PUBLIC, false),
                        "an RSA key has 2048 to 16384 bits, not 1024");
    assert_string_equal(refused(CRYPTO_EDDSA, P256_PUBLIC, false),
                        "not an Ed25519 key");
    memset(large, 's', sizeof large - 1);
    assert_string_equal(refused(CRYPTO_RS256, large, false),
                        "a PEM file was expected");
}

static void test_no_secrets(void **state)
{
    (void)state;
    assert_string_equal(
        refused(CRYPTO_HS256, "0123456789012345678901234567890", true),
        "a shared secret has 32 bytes at least");
    assert_string_equal(refused(CRYPTO_HS512, &SHARED_SECRET[1], true),
                        "a shared secret has 64 bytes at least");
    assert_string_equal(refused(CRYPTO_HS256, RSA_PUBLIC, true),
                        "a PEM file is no shared secret");
    assert_string_equal(refused(CRYPTO_HS256, P256_CERTIFICATE, true),
                        "a PEM file is no shared secret");
}

/* RFC 7515, appendix A.1, and RFC 8037, appendix A.4. */
static void test_the_standards_examples(void **state)
{
    (void)state;
    static const unsigned char secret[64] = {
        3,   35,  53,  75,  43,  15,  165, 188, 131, 126, 6,   101, 119,
        123, 166, 143, 90,  179, 40,  230, 240, 84,  201, 40,  169, 15,
        132, 178, 210, 80,  46,  191, 211, 251, 90,  146, 210, 6,   71,
        239, 150, 138, 180, 195, 119, 98,  61,  34,  61,  46,  33,  114,
        5,   46,  79,  8,   192, 205, 154, 245, 103, 208, 128, 163};
    static const unsigned char mac[32] = {
        116, 24,  223, 180, 151, 153, 224, 37,  79,  250, 96,
        125, 216, 173, 187, 186, 22,  212, 37,  77,  105, 214,
        191, 240, 91,  88,  5,   88,  83,  132, 141, 121};
    struct slice text = SLICE(
        "eyJ0eXAiOiJKV1QiLA0KICJhbGciOiJIUzI1NiJ9.eyJpc3MiOiJqb2UiLA0KICJleHA"
        "iOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ");
    struct crypto_key *key;
    assert_int_equal(crypto->ops->key_new(crypto, CRYPTO_HS256,
                                          slice_of(secret, sizeof secret), true,
                                          &key),
                     ERR_OK);
    assert_true(
        crypto->ops->verify(crypto, key, text, slice_of(mac, sizeof mac)));
    crypto->ops->key_free(crypto, key);
    key =
        key_of(CRYPTO_EDDSA,
               "-----BEGIN PUBLIC KEY-----\n"
               "MCowBQYDK2VwAyEA11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=\n"
               "-----END PUBLIC KEY-----\n",
               false);
    static const unsigned char signature[64] = {
        0x86, 0x0c, 0x98, 0xd2, 0x29, 0x7f, 0x30, 0x60, 0xa3, 0x3f, 0x42,
        0x73, 0x96, 0x72, 0xd6, 0x1b, 0x53, 0xcf, 0x3a, 0xde, 0xfe, 0xd3,
        0xd3, 0xc6, 0x72, 0xf3, 0x20, 0xdc, 0x02, 0x1b, 0x41, 0x1e, 0x9d,
        0x59, 0xb8, 0x62, 0x8d, 0xc3, 0x51, 0xe2, 0x48, 0xb8, 0x8b, 0x29,
        0x46, 0x8e, 0x0e, 0x41, 0x85, 0x5b, 0x0f, 0xb7, 0xd8, 0x3b, 0xb1,
        0x5b, 0xe9, 0x02, 0xbf, 0xcc, 0xb8, 0xcd, 0x0a, 0x02};
    assert_true(crypto->ops->verify(
        crypto, key,
        SLICE("eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc"),
        slice_of(signature, sizeof signature)));
    crypto->ops->key_free(crypto, key);
}

/* ---- threads ------------------------------------------------------------- */

struct signer {
    struct crypto_key *key;
    uint64_t wrong;
};

static void *sign_on(void *context)
{
    struct signer *signer = context;
    for (int i = 0; i < 20; i++) {
        struct slice text = slice_of(&i, sizeof i);
        struct buf signature = {0};
        signer->wrong += crypto->ops->sign(crypto, signer->key, text,
                                           &signature) != ERR_OK ||
                         !crypto->ops->verify(crypto, signer->key, text,
                                              buf_slice(&signature));
        buf_deinit(&signature);
    }
    return NULL;
}

static void test_one_key_of_many_threads(void **state)
{
    (void)state;
    const enum crypto_sign signs[] = {CRYPTO_ES256, CRYPTO_PS256, CRYPTO_EDDSA,
                                      CRYPTO_HS512};
    for (size_t i = 0; i < sizeof signs / sizeof signs[0]; i++) {
        pthread_t threads[3];
        struct signer signers[3];
        struct crypto_key *key =
            key_of(signs[i], pairs[signs[i]].private_key, true);
        for (int k = 0; k < 3; k++) {
            signers[k] = (struct signer){.key = key};
            assert_int_equal(
                pthread_create(&threads[k], NULL, sign_on, &signers[k]), 0);
        }
        for (int k = 0; k < 3; k++) {
            assert_int_equal(pthread_join(threads[k], NULL), 0);
            assert_int_equal(signers[k].wrong, 0);
        }
        crypto->ops->key_free(crypto, key);
    }
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, begin, end)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(test_random),
        CASE(test_sha256),
        CASE(test_sha256_of_many_threads),
        CASE(test_hashed_and_matched),
        CASE(test_longest_and_beyond),
        CASE(test_shortest_as_configured),
        CASE(test_known_hashes),
        CASE(test_no_hashes),
        CASE(test_nobodys_hash),
        CASE(test_tokens_of_etcd),
        CASE(test_signed_and_verified),
        CASE(test_another_key),
        CASE(test_no_keys),
        CASE(test_no_secrets),
        CASE(test_the_standards_examples),
        CASE(test_one_key_of_many_threads),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
