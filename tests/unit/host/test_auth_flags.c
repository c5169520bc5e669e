/* --auth-token: what it may say, and the key files that it names. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "auth/jwt.h"
#include "host/auth_flags.h"
#include "host/crypto_posix.h"
#include "tests/unit/host/signing_keys.h"

enum { SECOND_NS = 1000 * 1000 * 1000 };

static struct arena arena;
static struct crypto *crypto;
static char folder[64];

static int begin(void **state)
{
    (void)state;
    arena_init(&arena, 0);
    crypto = crypto_posix_new(1);
    snprintf(folder, sizeof folder, "/tmp/etched-keys-XXXXXX");
    assert_non_null(mkdtemp(folder));
    return 0;
}

static int end(void **state)
{
    (void)state;
    char command[128];
    snprintf(command, sizeof command, "rm -r '%s'", folder);
    assert_int_equal(system(command), 0);
    crypto_posix_free(crypto);
    arena_deinit(&arena);
    return 0;
}

static const char *path_of(const char *name)
{
    return arena_printf(&arena, "%s/%s", folder, name);
}

static void put_file(const char *name, const char *text)
{
    FILE *file = fopen(path_of(name), "w");
    assert_non_null(file);
    assert_int_equal(fputs(text, file) >= 0, 1);
    assert_int_equal(fclose(file), 0);
}

/* ---- the option ---------------------------------------------------------- */

static const char *parse(const char *text)
{
    struct auth_flags flags;
    if (auth_flags_parse(&arena, text, 120, &flags) != ERR_OK)
        return arena_printf(&arena, "%s", err_note());
    if (!flags.is_jwt)
        return arena_printf(&arena, "simple %d",
                            (int)(flags.ttl_ns / SECOND_NS));
    const char *all = arena_printf(&arena, "%s %s %d", jwt_alg(flags.sign),
                                   flags.private_key ? flags.private_key : "-",
                                   (int)(flags.ttl_ns / SECOND_NS));
    for (size_t i = 0; i < flags.public_count; i++)
        all = arena_printf(&arena, "%s %s", all, flags.public_keys[i]);
    return all;
}

#define IS(text, want) assert_string_equal(parse(text), want)

static void test_said_right(void **state)
{
    (void)state;
    struct auth_flags flags;
    IS("simple", "simple 120");
    IS("jwt,sign-method=ES256,priv-key=/k,pub-key=/p,ttl=1h30m",
       "ES256 /k 5400 /p");
    IS("jwt,pub-key=/p,sign-method=RS512", "RS512 - 300 /p");
    IS("jwt, priv-key=a=b , sign-method=EdDSA", "EdDSA a=b 300");
    IS("jwt,pub-key=/new,pub-key=/old,sign-method=PS384",
       "PS384 - 300 /new /old");
    IS("jwt,priv-key=/k,sign-method=HS256", "HS256 /k 300");
    assert_int_equal(auth_flags_parse(&arena, "simple", 0, &flags), ERR_OK);
    assert_int_equal(flags.ttl_ns, (int64_t)AUTH_TOKEN_TTL_S * SECOND_NS);
    assert_int_equal(auth_flags_parse(&arena, "simple", INT64_MAX, &flags),
                     ERR_OK);
    assert_true(flags.ttl_ns > 0);
}

static void test_said_wrong(void **state)
{
    (void)state;
    IS("", "\"\" is neither simple nor jwt,sign-method=...");
    IS("Simple", "\"Simple\" is neither simple nor jwt,sign-method=...");
    IS("simple,ttl=5m",
       "\"simple,ttl=5m\" is neither simple nor jwt,sign-method=...");
    IS("jwt", "jwt needs a sign-method, such as ES256");
    IS("jwt,priv-key=/k", "jwt needs a sign-method, such as ES256");
    IS("jwt,sign-method=ES256",
       "jwt needs a priv-key to make tokens with, or a pub-key to verify them "
       "by");
    IS("jwt,sign-method=none,priv-key=/k",
       "sign-method \"none\" is none of RS256, PS256, ES256, HS256 (or with "
       "384, 512) and EdDSA");
    IS("jwt,sign-method=HS256,pub-key=/p",
       "HS256 has a shared secret (priv-key), and no pub-key");
    IS("jwt,sign-method=HS256", "HS256 needs a priv-key, its shared secret");
    IS("jwt,sign-method=ES256,priv-key=/k,ttl=5",
       "ttl \"5\" is no time from 1s to ten years, such as 5m");
    IS("jwt,sign-method=ES256,priv-key=/k,ttl=-5m",
       "ttl \"-5m\" is no time from 1s to ten years, such as 5m");
    IS("jwt,sign-method=ES256,priv-key=/k,ttl=1ms",
       "ttl \"1ms\" is no time from 1s to ten years, such as 5m");
    IS("jwt,sign-method=ES256,priv-key=", "priv-key names no file");
    IS("jwt,sign-method=ES256,pub-key=", "pub-key names no file");
    IS("jwt,sign-method=ES256,priv-key=/a,priv-key=/b",
       "there is one priv-key, not two");
    IS("jwt,sign-method=ES256,private-key=/a",
       "\"private-key=/a\" is none of sign-method=, pub-key=, priv-key= and "
       "ttl=");
    IS("jwt,,", "\"\" is none of sign-method=, pub-key=, priv-key= and ttl=");
    struct buf many = {0};
    buf_append_str(&many, "jwt,sign-method=ES256");
    for (int i = 0; i <= AUTH_JWT_KEYS_MAX; i++)
        buf_append_str(&many, ",pub-key=/p");
    buf_append_char(&many, '\0');
    IS(many.at, "more than 16 pub-keys");
    buf_deinit(&many);
}

/* ---- the files ----------------------------------------------------------- */

static struct auth_flags flags_of(const char *private_key, const char *a,
                                  const char *b)
{
    struct auth_flags flags = {.is_jwt = true, .sign = CRYPTO_ES256};
    flags.private_key = private_key == NULL ? NULL : path_of(private_key);
    if (a != NULL)
        flags.public_keys[flags.public_count++] = path_of(a);
    if (b != NULL)
        flags.public_keys[flags.public_count++] = path_of(b);
    return flags;
}

/* "sign 2", or why not, without the folder. */
static const char *read_keys(const char *private_key, const char *a,
                             const char *b)
{
    struct auth_flags flags = flags_of(private_key, a, b);
    struct auth_flags_keys keys;
    if (auth_flags_read_keys(&flags, crypto, &keys) != ERR_OK) {
        const char *note = arena_printf(&arena, "%s", err_note());
        size_t size = strlen(folder);
        return strncmp(note, folder, size) == 0 ? note + size + 1 : note;
    }
    const char *text =
        arena_printf(&arena, "%s %d", keys.sign != NULL ? "sign" : "verify",
                     (int)keys.verify_count);
    auth_flags_free_keys(crypto, &keys);
    assert_null(keys.sign);
    assert_int_equal(keys.verify_count, 0);
    return text;
}

static void test_key_files(void **state)
{
    (void)state;
    put_file("own", P256_PRIVATE);
    put_file("pub", P256_PUBLIC);
    put_file("crt", P256_CERTIFICATE);
    put_file("other", P256_OTHER_PUBLIC);
    put_file("rsa", RSA_PUBLIC);
    put_file("empty", "");
    assert_string_equal(read_keys("own", NULL, NULL), "sign 0");
    assert_string_equal(read_keys("own", "pub", NULL), "sign 1");
    assert_string_equal(read_keys("own", "crt", "other"), "sign 2");
    assert_string_equal(read_keys("own", "other", "pub"), "sign 2");
    assert_string_equal(read_keys(NULL, "other", "pub"), "verify 2");
    assert_string_equal(read_keys("own", "other", NULL),
                        "no pub-key belongs to the priv-key");
    assert_string_equal(read_keys("own", "rsa", NULL),
                        "rsa: not a key of the curve prime256v1");
    assert_string_equal(read_keys("own", "pub", "empty"),
                        "empty: a PEM file was expected");
    assert_string_equal(read_keys("pub", NULL, NULL),
                        "pub: no private key in PEM form");
    assert_string_equal(read_keys("none", NULL, NULL),
                        "none: No such file or directory");
    assert_string_equal(read_keys(".", NULL, NULL), ".: Is a directory");
    char *large = arena_alloc(&arena, 70 * 1024);
    memset(large, 'x', 70 * 1024);
    large[70 * 1024 - 1] = '\0';
    put_file("large", large);
    assert_string_equal(read_keys("large", NULL, NULL),
                        "large: that long, it is no key");
}

static void test_files_that_change(void **state)
{
    (void)state;
    put_file("own", P256_PRIVATE);
    put_file("pub", P256_PUBLIC);
    put_file("new", P256_OTHER_PUBLIC);
    struct auth_flags flags = flags_of("own", "pub", NULL);
    uint64_t before = auth_flags_stamp(&flags);
    assert_true(auth_flags_stamp(&flags) == before);
    assert_int_equal(rename(path_of("new"), path_of("pub")), 0);
    uint64_t after = auth_flags_stamp(&flags);
    assert_true(after != before);
    assert_true(auth_flags_stamp(&flags) == after);
    assert_int_equal(unlink(path_of("own")), 0);
    assert_true(auth_flags_stamp(&flags) != after);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, begin, end)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(test_said_right),
        CASE(test_said_wrong),
        CASE(test_key_files),
        CASE(test_files_that_change),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
