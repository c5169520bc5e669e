/* Holes that others had in what users may do, each by its name.
 * test_holes_planted.c has them all, to show that the tests see them. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/plant.h"
#include "tests/unit/auth/auth_world.h"

enum { LEASE = 5, OWN_LEASE = 6 };

/* Mallory may read and write what begins with "m/", and write "drop". */
static int begin(void **state)
{
    (void)world_begin(state);
    IS(tell("user add root; user grant root root; user add mallory; role add m;"
            "user grant mallory m; role grant m rw m/ m0;"
            "role grant m w drop; role grant m r z .."),
       "");
    IS(tell("on"), "");
    lease_grant(leases, LEASE, 60, 1000);
    lease_attach(leases, LEASE, MVCC_KEYS, SLICE("secret/session"));
    lease_grant(leases, OWN_LEASE, 60, 1000);
    lease_attach(leases, OWN_LEASE, MVCC_KEYS, SLICE("m/session"));
    return 0;
}

#define STORY(name) cmocka_unit_test_setup_teardown(name, begin, world_end)

static const struct slice mallory = {"mallory", 7};

static bool may_txn(const Etcdserverpb__TxnRequest *txn)
{
    return auth_may_txn(auth, mallory, txn, leases) == V3_OK;
}

/* ---- the holes ----------------------------------------------------------- */

/* Each is true where the hole is closed. */

static bool is_closed_in_branch(bool succeeded,
                                const Etcdserverpb__TxnRequest *inner,
                                int depth)
{
    Etcdserverpb__TxnRequest *txn = txn_of();
    do_put(then_do(txn), put_of("m/1"));
    do_txn(succeeded ? then_do(txn) : else_do(txn),
           (Etcdserverpb__TxnRequest *)(uintptr_t)inner);
    for (int i = 0; i < depth; i++) {
        Etcdserverpb__TxnRequest *outer = txn_of();
        do_txn(i % 2 ? then_do(outer) : else_do(outer), txn);
        txn = outer;
    }
    return !may_txn(txn);
}

/* What stood in a txn within a txn wasn't looked at. */
static bool nested_txns_are_closed(void)
{
    Etcdserverpb__TxnRequest *read = txn_of();
    Etcdserverpb__TxnRequest *write = txn_of();
    Etcdserverpb__TxnRequest *remove = txn_of();
    Etcdserverpb__TxnRequest *guess = txn_of();
    Etcdserverpb__TxnRequest *own = txn_of();
    do_range(then_do(read), range_of("secret", ""));
    do_put(else_do(write), put_of("secret"));
    do_delete(then_do(remove), delete_of("secret", ".."));
    compare(guess, "secret", "");
    do_put(then_do(own), put_of("m/2"));
    const Etcdserverpb__TxnRequest *bad[] = {read, write, remove, guess};
    bool closed = true;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        for (int depth = 0; depth < 4; depth++)
            closed = closed && is_closed_in_branch(true, bad[i], depth) &&
                     is_closed_in_branch(false, bad[i], depth);
    assert_false(is_closed_in_branch(true, own, 3)); /* one's own works */
    return closed;
}

/* prev_kv shows the old value; a lease takes the key along when it ends. */
static bool puts_in_txns_are_closed(void)
{
    Etcdserverpb__TxnRequest *shows = txn_of();
    Etcdserverpb__TxnRequest *attaches = txn_of();
    Etcdserverpb__TxnRequest *own = txn_of();
    Etcdserverpb__PutRequest *put = put_of("drop");
    put->prev_kv = true;
    do_put(then_do(shows), put);
    put = put_of("m/1");
    put->lease = LEASE;
    do_put(else_do(attaches), put);
    put = put_of("m/1");
    put->prev_kv = true;
    put->lease = OWN_LEASE;
    do_put(then_do(own), put);
    do_put(then_do(own), put_of("drop"));
    assert_true(may_txn(own));
    return !may_txn(shows) && !may_txn(attaches);
}

static bool may_watch(const char *key, const char *end)
{
    return may("mallory", AUTH_READ, key, end);
}

/* "\0" as an end isn't the least of keys, but no end at all. */
static bool open_ends_are_closed(void)
{
    assert_true(may_watch("m/", "m0"));
    assert_true(may_watch("z", ".."));
    assert_true(may_watch("zz", ".."));
    return !may_watch("m/", "..") && !may_watch("m/1", "..") &&
           !may_watch("-", "..") && !may_watch("y", "..");
}

/* The names of the keys that end with a lease. */
static bool keys_of_leases_are_closed(void)
{
    assert_int_equal(
        auth_may_lease(auth, mallory, AUTH_READ, leases, OWN_LEASE), V3_OK);
    return auth_may_lease(auth, mallory, AUTH_READ, leases, LEASE) != V3_OK;
}

/* ---- the tests ----------------------------------------------------------- */

static void CVE_2026_33343_nested_txns(void **state)
{
    (void)state;
    assert_true(nested_txns_are_closed());
}

static void CVE_2026_44283_prev_kv_and_lease_in_txns(void **state)
{
    (void)state;
    assert_true(puts_in_txns_are_closed());
}

static void CVE_2026_73499_from_a_key_on(void **state)
{
    (void)state;
    assert_true(open_ends_are_closed());
}

static void CVE_2023_32082_keys_of_leases(void **state)
{
    (void)state;
    assert_true(keys_of_leases_are_closed());
}

#ifdef ETCHED_PLANTED
static bool is_found(enum plant plant, bool (*is_closed)(void))
{
    plant_active = plant;
    bool found = !is_closed();
    plant_active = PLANT_NONE;
    return found && is_closed();
}

static void the_planted_holes_are_found(void **state)
{
    (void)state;
    assert_true(is_found(PLANT_AUTH_TXN_NESTED, nested_txns_are_closed));
    assert_true(is_found(PLANT_AUTH_TXN_PUT, puts_in_txns_are_closed));
    assert_true(is_found(PLANT_AUTH_OPEN_END, open_ends_are_closed));
    assert_true(is_found(PLANT_AUTH_LEASE_KEYS, keys_of_leases_are_closed));
}
#endif

int main(void)
{
    const struct CMUnitTest tests[] = {
        STORY(CVE_2026_33343_nested_txns),
        STORY(CVE_2026_44283_prev_kv_and_lease_in_txns),
        STORY(CVE_2026_73499_from_a_key_on),
        STORY(CVE_2023_32082_keys_of_leases),
#ifdef ETCHED_PLANTED
        STORY(the_planted_holes_are_found),
#endif
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
