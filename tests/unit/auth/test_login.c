/* So many passwords at once, the hash that is nobody's, and wiping. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include <pthread.h>
#include <stdatomic.h>

#include "auth/login.h"
#include "memory/crypto_memory.h"

static void test_so_many_at_once(void **state)
{
    (void)state;
    for (int i = 0; i < AUTH_LOGINS_MAX; i++)
        assert_true(auth_login_enter());
    assert_false(auth_login_enter());
    assert_false(auth_login_enter());
    assert_int_equal(auth_login_count(), AUTH_LOGINS_MAX);
    auth_login_leave();
    assert_true(auth_login_enter());
    assert_false(auth_login_enter());
    for (int i = 0; i < AUTH_LOGINS_MAX; i++)
        auth_login_leave();
    assert_int_equal(auth_login_count(), 0);
}

static atomic_uint inside;

static void *come_and_go(void *context)
{
    uint64_t *wrong = context;
    for (int i = 0; i < 5000; i++) {
        if (auth_login_enter()) {
            *wrong += atomic_fetch_add(&inside, 1) >= AUTH_LOGINS_MAX;
            atomic_fetch_sub(&inside, 1);
            auth_login_leave();
        }
    }
    return NULL;
}

static void test_never_more(void **state)
{
    (void)state;
    pthread_t threads[4];
    uint64_t wrong[4] = {0};
    for (int i = 0; i < AUTH_LOGINS_MAX - 2; i++)
        assert_true(auth_login_enter());
    atomic_store(&inside, AUTH_LOGINS_MAX - 2);
    for (int i = 0; i < 4; i++)
        assert_int_equal(
            pthread_create(&threads[i], NULL, come_and_go, &wrong[i]), 0);
    for (int i = 0; i < 4; i++) {
        assert_int_equal(pthread_join(threads[i], NULL), 0);
        assert_int_equal(wrong[i], 0);
    }
    for (int i = 0; i < AUTH_LOGINS_MAX - 2; i++)
        auth_login_leave();
    assert_int_equal(auth_login_count(), 0);
}

static void test_nobodys_hash(void **state)
{
    (void)state;
    struct crypto *crypto = crypto_memory_new(1);
    struct buf hash = {0};
    auth_login_nobody(12, &hash);
    assert_int_equal(hash.size, 60);
    assert_memory_equal(hash.at, "$2a$12$", 7);
    assert_false(
        crypto->ops->password_matches(crypto, buf_slice(&hash), SLICE("")));
    assert_false(
        crypto->ops->password_matches(crypto, buf_slice(&hash), SLICE("root")));
    buf_reset(&hash);
    auth_login_nobody(0, &hash);
    assert_memory_equal(hash.at, "$2a$10$", 7);
    buf_deinit(&hash);
    crypto_memory_free(crypto);
}

static void test_wiped(void **state)
{
    (void)state;
    char secret[] = "secret";
    struct buf buf = {0};
    auth_wipe(secret, sizeof secret);
    for (size_t i = 0; i < sizeof secret; i++)
        assert_int_equal(secret[i], 0);
    auth_wipe(NULL, 0);
    auth_wipe_buf(&buf);
    buf_append_str(&buf, "secret");
    auth_wipe_buf(&buf);
    assert_null(buf.at);
    assert_int_equal(buf.size, 0);
    assert_int_equal(buf.capacity, 0);
}

/* ---- what can be a password ---------------------------------------------- */

static const char *why_not(size_t min, struct slice password)
{
    const struct crypto crypto = {.password_bytes_min = min};
    err_clear();
    enum err err = crypto_check_password(&crypto, password);
    assert_true(err == ERR_OK || err == ERR_INVALID);
    assert_true((err == ERR_OK) == (err_note()[0] == '\0'));
    return err_note();
}

/* CVE-2020-15115: there was no shortest password. */
static void test_cve_2020_15115_weak_passwords(void **state)
{
    (void)state;
    char text[CRYPTO_PASSWORD_BYTES_MAX + 1];
    memset(text, 'p', sizeof text);
    assert_string_equal(why_not(0, SLICE("")), "the password is empty");
    assert_string_equal(why_not(1, SLICE("")), "the password is empty");
    assert_string_equal(why_not(0, SLICE("p")), "");
    assert_string_equal(why_not(8, SLICE("1234567")),
                        "a password has at least 8 bytes");
    assert_string_equal(why_not(8, SLICE("12345678")), "");
    assert_string_equal(why_not(1, slice_of(text, 72)), "");
    assert_string_equal(why_not(1, slice_of(text, 73)),
                        "a password has at most 72 bytes");
    assert_string_equal(why_not(1, SLICE("a\0b")),
                        "no byte of a password is zero");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_so_many_at_once),
        cmocka_unit_test(test_never_more),
        cmocka_unit_test(test_nobodys_hash),
        cmocka_unit_test(test_wiped),
        cmocka_unit_test(test_cve_2020_15115_weak_passwords),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
