/* Simple tokens: made, told to all, found, put off by use, and gone; and what
 * the table does when it is full. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>

#include "base/mem.h"
#include "tests/unit/auth/tokens_world.h"

enum { TTL_S = 300 };

static struct auth_tokens *tokens;
static struct lock *lock;

static int begin(void **state)
{
    (void)tokens_world_begin(state);
    lock = world_lock_new();
    const struct auth_tokens_config config = {
        .crypto = world_crypto,
        .clock = &world_clock,
        .lock = lock,
        .ttl_ns = (int64_t)TTL_S * SECOND_NS,
    };
    tokens = auth_tokens_new(&config);
    return 0;
}

static int end(void **state)
{
    auth_tokens_free(tokens);
    world_lock_free(lock);
    return tokens_world_end(state);
}

/* As a login does: the digest comes back by the log. */
static void log_in(const char *user, char out[64])
{
    struct buf token = {0};
    unsigned char digest[CRYPTO_SHA256_BYTES];
    assert_int_equal(
        auth_tokens_make(tokens, slice_str(user), 7, &token, digest), ERR_OK);
    auth_tokens_add(tokens, slice_str(user), slice_of(digest, sizeof digest));
    snprintf(out, 64, "%.*s.8", (int)token.size, token.at);
    buf_deinit(&token);
}

/* Whose it is; "" where it is nobody's. */
static const char *who(const char *token)
{
    static char name[AUTH_NAME_BYTES_MAX + 1];
    size_t size = 99;
    enum v3_error error =
        auth_tokens_find(tokens, slice_str(token), 7, name, &size);
    assert_true(error == V3_OK || error == V3_INVALID_AUTH_TOKEN);
    assert_true((error == V3_OK) == (size > 0));
    name[size] = '\0';
    return name;
}

static void test_of_sixteen_letters(void **state)
{
    (void)state;
    struct buf a = {0};
    struct buf b = {0};
    unsigned char digest[CRYPTO_SHA256_BYTES];
    unsigned char again[CRYPTO_SHA256_BYTES];
    buf_append_str(&a, "before ");
    assert_int_equal(auth_tokens_make(tokens, SLICE("ann"), 1, &a, digest),
                     ERR_OK);
    assert_int_equal(auth_tokens_make(tokens, SLICE("ann"), 1, &b, again),
                     ERR_OK);
    assert_int_equal(a.size, 7 + AUTH_SIMPLE_LETTERS);
    assert_int_equal(b.size, AUTH_SIMPLE_LETTERS);
    for (size_t i = 0; i < b.size; i++)
        assert_true((b.at[i] | 0x20) >= 'a' && (b.at[i] | 0x20) <= 'z');
    assert_memory_not_equal(a.at + 7, b.at, AUTH_SIMPLE_LETTERS);
    world_crypto->ops->sha256(world_crypto,
                              slice_of(a.at + 7, AUTH_SIMPLE_LETTERS), again);
    assert_memory_equal(digest, again, sizeof digest);
    buf_deinit(&a);
    buf_deinit(&b);
}

static void test_all_letters_come(void **state)
{
    (void)state;
    unsigned char digest[CRYPTO_SHA256_BYTES];
    size_t seen[256] = {0};
    for (int i = 0; i < 1000; i++) {
        struct buf token = {0};
        assert_int_equal(
            auth_tokens_make(tokens, SLICE("ann"), 1, &token, digest), ERR_OK);
        for (size_t k = 0; k < token.size; k++)
            seen[(unsigned char)token.at[k]]++;
        buf_deinit(&token);
    }
    /* 16000 letters, 308 of each, give or take six times the root. */
    for (int c = 'a'; c <= 'z'; c++) {
        assert_in_range(seen[c], 200, 415);
        assert_in_range(seen[c - 'a' + 'A'], 200, 415);
    }
}

static void test_known_when_it_was_told(void **state)
{
    (void)state;
    char ann[64];
    char bob[64];
    struct buf untold = {0};
    unsigned char digest[CRYPTO_SHA256_BYTES];
    log_in("ann", ann);
    log_in("bob", bob);
    assert_string_equal(who(ann), "ann");
    assert_string_equal(who(bob), "bob");
    assert_int_equal(auth_tokens_count(tokens), 2);
    assert_int_equal(auth_tokens_make(tokens, SLICE("ann"), 7, &untold, digest),
                     ERR_OK);
    buf_append(&untold, ".9\0", 3);
    assert_string_equal(who(untold.at), "");
    buf_deinit(&untold);
}

static void test_nothing_but_the_whole_token(void **state)
{
    (void)state;
    char token[64];
    char other[80];
    log_in("ann", token);
    const char *wrong[] = {"",    ".",   "root",    "x.8",
                           "..8", "ann", "Bearer ", "a.b.c"};
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++)
        assert_string_equal(who(wrong[i]), "");
    for (size_t i = 0; i < AUTH_SIMPLE_LETTERS; i++) {
        snprintf(other, sizeof other, "%s", token);
        other[i] ^= 1;
        assert_string_equal(who(other), "");
    }
    const char *ends[] = {"",    ".",   ".8x", ".-8",
                          " .8", ".8 ", "..8", ".123456789012345678901"};
    for (size_t i = 0; i < sizeof ends / sizeof ends[0]; i++) {
        snprintf(other, sizeof other, "%.16s%s", token, ends[i]);
        assert_string_equal(who(other), "");
    }
    assert_string_equal(who(token), "ann");
    size_t size;
    char name[AUTH_NAME_BYTES_MAX];
    char with_nul[20] = {0};
    memcpy(with_nul, token, 18);
    assert_int_equal(
        auth_tokens_find(tokens, slice_of(with_nul, 19), 7, name, &size),
        V3_INVALID_AUTH_TOKEN);
}

/* AUTH_SERVER and its like are names that nobody logs in with. */
static void test_names_of_our_own_get_none(void **state)
{
    (void)state;
    char long_name[AUTH_NAME_BYTES_MAX + 1];
    memset(long_name, 'a', sizeof long_name);
    const struct slice names[] = {AUTH_SERVER,
                                  AUTH_GUEST,
                                  AUTH_RECIPE_OF,
                                  SLICE(""),
                                  SLICE("ann\0"),
                                  SLICE("\xff"),
                                  slice_of(long_name, sizeof long_name)};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        struct buf token = {0};
        unsigned char digest[CRYPTO_SHA256_BYTES];
        assert_int_equal(auth_tokens_make(tokens, names[i], 7, &token, digest),
                         ERR_INVALID);
        assert_int_equal(token.size, 0);
        buf_deinit(&token);
    }
}

static void test_lives_after_its_last_use(void **state)
{
    (void)state;
    char used[64];
    char unused[64];
    log_in("ann", used);
    log_in("bob", unused);
    for (int i = 0; i < 5; i++) {
        pass_seconds(TTL_S - 10);
        assert_string_equal(who(used), "ann");
    }
    assert_string_equal(who(unused), "");
    pass_seconds(TTL_S - 1);
    assert_string_equal(who(used), "ann");
    pass_seconds(TTL_S);
    assert_string_equal(who(used), "");
    /* Whoever sets the machine's clock neither ends nor lengthens it. */
    log_in("ann", used);
    jump_seconds(10 * TTL_S);
    assert_string_equal(who(used), "ann");
    jump_seconds(-20 * TTL_S);
    pass_seconds(TTL_S);
    assert_string_equal(who(used), "");
}

static void test_a_login_clears_away_the_dead(void **state)
{
    (void)state;
    char token[64];
    char kept[64];
    for (int i = 0; i < 20; i++)
        log_in("ann", token);
    log_in("bob", kept);
    pass_seconds(TTL_S - 1);
    assert_string_equal(who(kept), "bob");
    pass_seconds(1);
    assert_int_equal(auth_tokens_count(tokens), 21);
    log_in("eve", token);
    assert_int_equal(auth_tokens_count(tokens), 2);
    assert_string_equal(who(kept), "bob");
}

static void test_dropped_with_the_user(void **state)
{
    (void)state;
    char ann[2][64];
    char bob[64];
    log_in("ann", ann[0]);
    log_in("bob", bob);
    log_in("ann", ann[1]);
    auth_tokens_drop(tokens, SLICE("an"));
    auth_tokens_drop(tokens, SLICE("anna"));
    assert_int_equal(auth_tokens_count(tokens), 3);
    auth_tokens_drop(tokens, SLICE("ann"));
    assert_string_equal(who(ann[0]), "");
    assert_string_equal(who(ann[1]), "");
    assert_string_equal(who(bob), "bob");
    assert_int_equal(auth_tokens_count(tokens), 1);
    log_in("ann", ann[0]); /* with the new password */
    assert_string_equal(who(ann[0]), "ann");
    auth_tokens_drop(tokens, slice_of(NULL, 0));
    assert_int_equal(auth_tokens_count(tokens), 0);
    assert_string_equal(who(bob), "");
}

/* The same command again, as a member does that reads its log. */
static void test_told_twice(void **state)
{
    (void)state;
    struct buf token = {0};
    unsigned char digest[CRYPTO_SHA256_BYTES];
    assert_int_equal(auth_tokens_make(tokens, SLICE("ann"), 7, &token, digest),
                     ERR_OK);
    auth_tokens_add(tokens, SLICE("ann"), slice_of(digest, sizeof digest));
    auth_tokens_add(tokens, SLICE("ann"), slice_of(digest, sizeof digest));
    assert_int_equal(auth_tokens_count(tokens), 1);
    buf_append(&token, ".9\0", 3);
    assert_string_equal(who(token.at), "ann");
    buf_deinit(&token);
}

/* ---- bounds -------------------------------------------------------------- */

static void digest_of_number(uint64_t number, char digest[CRYPTO_SHA256_BYTES])
{
    memset(digest, 0, CRYPTO_SHA256_BYTES);
    put_le64(digest, number);
}

static void fill(const char *user, uint64_t from, uint64_t to)
{
    char digest[CRYPTO_SHA256_BYTES];
    for (uint64_t i = from; i < to; i++) {
        digest_of_number(i, digest);
        auth_tokens_add(tokens, slice_str(user),
                        slice_of(digest, sizeof digest));
    }
}

static void test_full_the_first_to_end_gives_way(void **state)
{
    (void)state;
    char first[64];
    char second[64];
    char used[64];
    log_in("zoe", used);
    log_in("zoe", first);
    pass_seconds(1);
    log_in("zoe", second);
    pass_seconds(1);
    for (int user = 0; user < 4; user++) {
        char name[16];
        snprintf(name, sizeof name, "u%d", user);
        uint64_t from = (uint64_t)user * (AUTH_TOKENS_USER_MAX - 1);
        fill(name, from, from + AUTH_TOKENS_USER_MAX - 1);
    }
    assert_int_equal(auth_tokens_count(tokens), AUTH_TOKENS_MAX - 1);
    assert_string_equal(who(used), "zoe");
    fill("v", 1u << 20, (1u << 20) + 1);
    assert_int_equal(auth_tokens_count(tokens), AUTH_TOKENS_MAX);
    assert_string_equal(who(second), "zoe"); /* and so it isn't the next */
    fill("v", 2u << 20, (2u << 20) + 1);
    assert_int_equal(auth_tokens_count(tokens), AUTH_TOKENS_MAX);
    assert_string_equal(who(first), "");
    assert_string_equal(who(second), "zoe");
    assert_string_equal(who(used), "zoe");
}

static void test_one_user_puts_no_other_out(void **state)
{
    (void)state;
    char bob[64];
    log_in("bob", bob);
    pass_seconds(1);
    fill("ann", 0, 2 * AUTH_TOKENS_USER_MAX);
    assert_int_equal(auth_tokens_count(tokens), AUTH_TOKENS_USER_MAX + 1);
    assert_string_equal(who(bob), "bob");
}

/* ---- threads ------------------------------------------------------------- */

enum { FINDERS = 3, ROUNDS = 300 };

static atomic_bool done;
static char shared_token[64];

static void *find_on(void *context)
{
    uint64_t *wrong = context;
    do {
        char name[AUTH_NAME_BYTES_MAX];
        size_t size;
        enum v3_error error =
            auth_tokens_find(tokens, slice_str(shared_token), 7, name, &size);
        *wrong += error != V3_OK || size != 3 || memcmp(name, "ann", 3) != 0;
        (void)auth_tokens_count(tokens);
    } while (!atomic_load(&done));
    return NULL;
}

static void test_readers_beside_the_writer(void **state)
{
    (void)state;
    pthread_t threads[FINDERS];
    uint64_t wrong[FINDERS] = {0};
    log_in("ann", shared_token);
    atomic_store(&done, false);
    for (int i = 0; i < FINDERS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, find_on, &wrong[i]),
                         0);
    for (uint64_t i = 0; i < ROUNDS; i++) {
        fill("bob", i * 10, i * 10 + 10);
        auth_tokens_drop(tokens, SLICE("bob"));
        pass_seconds(0.9);
    }
    atomic_store(&done, true);
    for (int i = 0; i < FINDERS; i++) {
        assert_int_equal(pthread_join(threads[i], NULL), 0);
        assert_int_equal(wrong[i], 0);
    }
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, begin, end)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(test_of_sixteen_letters),
        CASE(test_all_letters_come),
        CASE(test_known_when_it_was_told),
        CASE(test_nothing_but_the_whole_token),
        CASE(test_names_of_our_own_get_none),
        CASE(test_lives_after_its_last_use),
        CASE(test_a_login_clears_away_the_dead),
        CASE(test_dropped_with_the_user),
        CASE(test_told_twice),
        CASE(test_full_the_first_to_end_gives_way),
        CASE(test_one_user_puts_no_other_out),
        CASE(test_readers_beside_the_writer),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
