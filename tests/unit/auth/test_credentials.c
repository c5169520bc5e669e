/* Passwords that were right a moment ago, and only those. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>

#include "auth/credentials.h"
#include "base/mem.h"
#include "tests/unit/auth/tokens_world.h"

static struct auth_credentials *credentials;
static struct lock *lock;

static int begin(void **state)
{
    (void)tokens_world_begin(state);
    lock = world_lock_new();
    credentials = auth_credentials_new(world_crypto, &world_clock, lock);
    return 0;
}

static int end(void **state)
{
    auth_credentials_free(credentials);
    world_lock_free(lock);
    return tokens_world_end(state);
}

static void add(const char *user, const char *password, const char *hash)
{
    auth_credentials_add(credentials, slice_str(user), slice_str(password),
                         slice_str(hash));
}

static bool known(const char *user, const char *password, const char *hash)
{
    return auth_credentials_know(credentials, slice_str(user),
                                 slice_str(password), slice_str(hash));
}

static void test_all_three_are_the_same(void **state)
{
    (void)state;
    assert_false(known("ann", "pw", "h1"));
    add("ann", "pw", "h1");
    assert_true(known("ann", "pw", "h1"));
    assert_false(known("ann", "pW", "h1"));
    assert_false(known("ann", "", "h1"));
    assert_false(known("bob", "pw", "h1"));
    assert_false(known("ann", "pw", "h2")); /* the password was changed */
    assert_false(known("ann", "pw", ""));
}

/* Where one part ends and the next one begins is part of it. */
static void test_parts_do_not_run_together(void **state)
{
    (void)state;
    add("ann", "pw", "h1");
    assert_false(known("annp", "w", "h1"));
    assert_false(known("an", "npw", "h1"));
    assert_false(known("ann", "pwh", "1"));
    assert_false(known("", "annpw", "h1"));
}

static void test_for_a_minute(void **state)
{
    (void)state;
    add("ann", "pw", "h1");
    pass_seconds(59.9);
    assert_true(known("ann", "pw", "h1"));
    pass_seconds(0.2); /* though it was used: from then on it is asked again */
    assert_false(known("ann", "pw", "h1"));
    add("ann", "pw", "h1");
    pass_seconds(30);
    add("ann", "pw", "h1");
    pass_seconds(45);
    assert_true(known("ann", "pw", "h1"));
}

static void test_what_is_too_long_is_not_known(void **state)
{
    (void)state;
    char name[AUTH_NAME_BYTES_MAX + 2];
    char password[CRYPTO_PASSWORD_BYTES_MAX + 2];
    memset(name, 'n', sizeof name - 1);
    memset(password, 'p', sizeof password - 1);
    name[sizeof name - 1] = password[sizeof password - 1] = '\0';
    add(name, "pw", "h1");
    assert_false(known(name, "pw", "h1"));
    add("ann", password, "h1");
    assert_false(known("ann", password, "h1"));
    name[sizeof name - 2] = password[sizeof password - 2] = '\0';
    add(name, password, "h1");
    assert_true(known(name, password, "h1"));
}

static void test_the_oldest_gives_way(void **state)
{
    (void)state;
    char name[16];
    for (int i = 0; i < AUTH_CREDENTIALS_MAX; i++) {
        snprintf(name, sizeof name, "u%d", i);
        add(name, "pw", "h1");
    }
    assert_true(known("u0", "pw", "h1"));
    add("u0", "pw", "h1"); /* it is the newest now */
    add("new", "pw", "h1");
    assert_true(known("u0", "pw", "h1"));
    assert_false(known("u1", "pw", "h1"));
    assert_true(known("u2", "pw", "h1"));
    assert_true(known("new", "pw", "h1"));
}

/* ---- threads ------------------------------------------------------------- */

static atomic_bool done;

static void *look_on(void *context)
{
    uint64_t *wrong = context;
    do {
        *wrong += known("ann", "bad", "h1");
        *wrong += !known("bob", "pw", "h1");
        (void)known("ann", "pw", "h1");
    } while (!atomic_load(&done));
    return NULL;
}

static void test_many_threads(void **state)
{
    (void)state;
    pthread_t threads[3];
    uint64_t wrong[3] = {0};
    add("bob", "pw", "h1");
    atomic_store(&done, false);
    for (int i = 0; i < 3; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, look_on, &wrong[i]),
                         0);
    for (int i = 0; i < 2000; i++) {
        char name[16];
        snprintf(name, sizeof name, "u%d", i % 50);
        add(name, "pw", "h1");
        add("ann", "pw", "h1");
        pass_seconds(0.01);
    }
    atomic_store(&done, true);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(pthread_join(threads[i], NULL), 0);
        assert_int_equal(wrong[i], 0);
    }
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, begin, end)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(test_all_three_are_the_same),
        CASE(test_parts_do_not_run_together),
        CASE(test_for_a_minute),
        CASE(test_what_is_too_long_is_not_known),
        CASE(test_the_oldest_gives_way),
        CASE(test_many_threads),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
