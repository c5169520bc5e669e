/* Put and DeleteRange, each for itself, and the end of a lease. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "unit/txn/stories.h"

/* ---- put ----------------------------------------------------------------- */

static void a_put_is_a_revision(void **state)
{
    (void)state;
    IS(ask("put a 1"), "@2");
    IS(committed, "a=1 put");
    IS(ask("put a 2"), "@3");
    IS(ask("put b -"), "@4");
    IS(ask("get a"), "a=2 [2,3,2]; count 1 @4");
    IS(ask("get b"), "b= [4,4,1]; count 1 @4");
    IS(ask("get c"), "count 0 @4");
}

static void a_put_can_tell_what_was(void **state)
{
    (void)state;
    grant(7);
    IS(ask("put a 1 prev lease=7"), "@2");
    IS(ask("put a 2 prev"), "was a=1 [2,2,1] lease=7 @3");
    flush();
    IS(ask("put a 3 prev"), "was a=2 [2,3,2] @4");
    IS(tell("put a 4 prev"), "");
    IS(ask("get a"), "a=4 [2,5,4]; count 1 @5");
}

static void a_put_can_keep_the_value(void **state)
{
    (void)state;
    grant(7);
    IS(ask("put a - keep-value"), "key not found");
    IS(committed, "none");
    ask("put a 1");
    IS(ask("put a - keep-value lease=7"), "@3");
    IS(ask("get a"), "a=1 [2,3,2] lease=7; count 1 @3");
    ask("del a");
    IS(ask("put a - keep-value"), "key not found");
    IS(ask("put a x keep-value"), "value is provided");
}

static void a_put_can_keep_the_lease(void **state)
{
    (void)state;
    grant(7);
    IS(ask("put a 1 keep-lease"), "key not found");
    ask("put a 1 lease=7");
    IS(ask("put a 2 keep-lease prev"), "was a=1 [2,2,1] lease=7 @3");
    IS(ask("get a"), "a=2 [2,3,2] lease=7; count 1 @3");
    assert_int_equal(keys_of(7), 1);
    IS(ask("put a - keep-lease keep-value"), "@4");
    IS(ask("get a"), "a=2 [2,4,3] lease=7; count 1 @4");
    IS(ask("put a 2 keep-lease lease=7"), "lease is provided");
}

static void a_put_needs_its_lease(void **state)
{
    (void)state;
    IS(ask("put a 1 lease=7"), "requested lease not found");
    IS(committed, "none");
    /* The lease is looked for before the key. */
    IS(ask("put a - keep-value lease=7"), "requested lease not found");
    grant(7);
    IS(ask("put a 1 lease=7"), "@2");
    assert_int_equal(keys_of(7), 1);
}

static void a_key_has_one_lease_at_most(void **state)
{
    (void)state;
    grant(7);
    grant(8);
    ask("put a 1 lease=7");
    ask("put b 1 lease=7");
    ask("put a 2 lease=7");
    assert_int_equal(keys_of(7), 2);
    ask("put a 3 lease=8");
    assert_int_equal(keys_of(7), 1);
    assert_int_equal(keys_of(8), 1);
    ask("put a 4");
    assert_int_equal(keys_of(8), 0);
    ask("del b");
    assert_int_equal(keys_of(7), 0);
}

static void v2_put(const char *key, lease_id lease, int64_t expire_ns)
{
    mvcc_begin(store, clock_ns);
    mvcc_put(store, &(struct mvcc_put){.table = MVCC_KEYS,
                                       .cause = MVCC_SET,
                                       .key = slice_str(key),
                                       .lease = lease,
                                       .expire_ns = expire_ns});
    mvcc_commit_unref(mvcc_commit(store));
    lease_set(leases, lease, expire_ns);
    lease_attach(leases, lease, MVCC_KEYS, slice_str(key));
}

static void a_ttl_of_v2_ends_with_a_put(void **state)
{
    (void)state;
    lease_id ttl = LEASE_V2 | 2;
    struct record record;
    v2_put("a", ttl, 5000);
    ask("put a 1 keep-lease");
    mvcc_read_begin(reader);
    assert_int_equal(mvcc_get(reader, MVCC_KEYS, SLICE("a"), 0, &record),
                     ERR_OK);
    assert_true(record.lease == ttl && record.expire_ns == 5000);
    mvcc_read_end(reader);
    assert_int_equal(keys_of(ttl), 1);
    ask("put a 2");
    assert_int_equal(keys_of(ttl), -1);
}

static void nobody_joins_a_ttl_of_v2(void **state)
{
    (void)state;
    v2_put("a", LEASE_V2 | 2, 5000);
    Etcdserverpb__PutRequest *put = put_of("put b 1");
    struct txn_answer answer = {0};
    struct mvcc_commit *commit;
    struct txn txn = {.mvcc = store, .reader = reader, .leases = leases};
    put->lease = LEASE_V2 | 2;
    mvcc_read_begin(reader);
    assert_int_equal(txn_put(&txn, put, clock_ns, true, &answer, &commit),
                     ERR_OK);
    mvcc_read_end(reader);
    assert_int_equal(answer.error, V3_LEASE_NOT_FOUND);
    assert_null(commit);
}

/* ---- delete range -------------------------------------------------------- */

static void put_some(void)
{
    ask("put a 1");
    ask("put b 2");
    ask("put ba 3");
    ask("put c 4");
}

static void one_key_is_deleted(void **state)
{
    (void)state;
    put_some();
    IS(ask("del b"), "deleted 1 @6");
    IS(committed, "b! deleteRange");
    IS(ask("del b"), "deleted 0 @6");
    IS(committed, "none");
    IS(ask("get a.."), "a=1 [2,2,1], ba=3 [4,4,1], c=4 [5,5,1]; count 3 @6");
    IS(ask("put b 5"), "@7");
    IS(ask("get b"), "b=5 [7,7,1]; count 1 @7");
}

static void a_range_is_deleted_at_once(void **state)
{
    (void)state;
    put_some();
    IS(ask("del b..c"), "deleted 2 @6");
    IS(committed, "b! deleteRange, ba! deleteRange");
    IS(ask("get a.. rev=5 count"), "count 4 @6");
    IS(ask("del b..c"), "deleted 0 @6");
    IS(ask("del c..a"), "deleted 0 @6");
    IS(ask("del b.."), "deleted 1 @7");
    IS(ask("get a.."), "a=1 [2,2,1]; count 1 @7");
}

static void a_delete_can_tell_what_was(void **state)
{
    (void)state;
    put_some();
    flush();
    ask("put b 5");
    IS(ask("del b prev"), "deleted 1: b=5 [3,6,2] @7");
    IS(ask("del b prev"), "deleted 0 @7");
    IS(ask("del b..d prev"), "deleted 2: ba=3 [4,4,1], c=4 [5,5,1] @8");
    IS(tell("del a prev"), "");
    IS(committed, "a! deleteRange");
    IS(ask("get a.."), "count 0 @9");
}

/* ---- the end of a lease -------------------------------------------------- */

static void a_lease_takes_its_keys_by_name(void **state)
{
    (void)state;
    grant(7);
    ask("put z 1 lease=7");
    ask("put b 1");
    ask("put a 1 lease=7");
    ask("put m 1 lease=7");
    IS(revoke(7), "a! revoke, m! revoke, z! revoke");
    assert_int_equal(keys_of(7), -1);
    IS(ask("get a.."), "b=1 [3,3,1]; count 1 @6");
    IS(ask("put a 2 lease=7"), "requested lease not found");
}

static void a_lease_without_keys_ends_in_silence(void **state)
{
    (void)state;
    grant(7);
    ask("put a 1 lease=7");
    ask("put a 1");
    IS(revoke(7), "none");
    assert_int_equal(keys_of(7), -1);
    IS(ask("get a"), "a=1 [2,3,2]; count 1 @3");
}

static void many_keys_end_in_one_commit(void **state)
{
    (void)state;
    char line[32] = "put kxxx 1 lease=7";
    grant(7);
    for (int i = 0; i < 100; i++) {
        line[5] = (char)('0' + i / 10);
        line[6] = (char)('0' + i % 10);
        ask(line);
    }
    assert_int_equal(keys_of(7), 100);
    revoke(7);
    IS(ask("get k..l"), "count 0 @102");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        STORY(a_put_is_a_revision),
        STORY(a_put_can_tell_what_was),
        STORY(a_put_can_keep_the_value),
        STORY(a_put_can_keep_the_lease),
        STORY(a_put_needs_its_lease),
        STORY(a_key_has_one_lease_at_most),
        STORY(a_ttl_of_v2_ends_with_a_put),
        STORY(nobody_joins_a_ttl_of_v2),
        STORY(one_key_is_deleted),
        STORY(a_range_is_deleted_at_once),
        STORY(a_delete_can_tell_what_was),
        STORY(a_lease_takes_its_keys_by_name),
        STORY(a_lease_without_keys_ends_in_silence),
        STORY(many_keys_end_in_one_commit),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
