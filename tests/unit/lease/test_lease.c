/* Leases: what ends when, and which keys with it. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/bytes.h"
#include "base/prng.h"
#include "lease/lease.h"

static struct lease_table *table;

static int new_table(void **state)
{
    (void)state;
    table = lease_table_new();
    return 0;
}

static int free_table(void **state)
{
    (void)state;
    lease_table_free(table);
    return 0;
}

static void add_key(void *context, enum mvcc_table key_table, struct slice key)
{
    buf_append_str(context, key_table == MVCC_DIRS ? "dir:" : "key:");
    buf_append_slice(context, key);
    buf_append_char(context, ' ');
}

static void expect_keys(lease_id id, const char *expected)
{
    struct buf keys = {0};
    lease_each_key(table, id, add_key, &keys);
    buf_append_char(&keys, '\0');
    assert_string_equal(keys.at, expected);
    buf_deinit(&keys);
}

static void expect_end(lease_id id, int64_t expected_ns)
{
    int64_t expire_ns = -1;
    assert_true(lease_get(table, id, &expire_ns));
    assert_true(expire_ns == expected_ns);
}

static void expect_none(lease_id id)
{
    int64_t expire_ns = -1;
    assert_false(lease_get(table, id, &expire_ns));
    assert_true(expire_ns == -1);
}

static void attach(lease_id id, const char *key)
{
    lease_attach(table, id, MVCC_KEYS, slice_str(key));
}

static void detach(lease_id id, const char *key)
{
    lease_detach(table, id, MVCC_KEYS, slice_str(key));
}

/* ---- ends ---------------------------------------------------------------- */

static void an_empty_table(void **state)
{
    (void)state;
    lease_id id;
    int64_t expire_ns;
    assert_int_equal(lease_count(table), 0);
    assert_false(lease_next(table, &id, &expire_ns));
    assert_int_equal(lease_expired(table, INT64_MAX, &id, 1), 0);
    assert_false(lease_of_key(table, MVCC_KEYS, SLICE("/a"), &id));
    expect_none(5);
    expect_keys(5, "");
    lease_revoke(table, 5);
    detach(5, "/a");
    lease_table_free(NULL);
}

static void the_soonest_is_next(void **state)
{
    (void)state;
    lease_id id = 0;
    int64_t expire_ns = 0;
    lease_set(table, 1, 300);
    lease_set(table, 2, 100);
    lease_set(table, -3, 200);
    assert_int_equal(lease_count(table), 3);
    assert_true(lease_next(table, &id, &expire_ns));
    assert_true(id == 2 && expire_ns == 100);
    /* Kept alive: it goes behind the others. */
    lease_set(table, 2, 400);
    assert_int_equal(lease_count(table), 3);
    expect_end(2, 400);
    assert_true(lease_next(table, &id, &expire_ns));
    assert_true(id == -3 && expire_ns == 200);
    lease_revoke(table, -3);
    expect_none(-3);
    assert_true(lease_next(table, &id, &expire_ns));
    assert_true(id == 1 && expire_ns == 300);
}

static void expired_ones_come_soonest_first(void **state)
{
    (void)state;
    enum { COUNT = 1000 };
    lease_id ids[COUNT];
    struct prng prng;
    prng_init(&prng, 1);
    for (lease_id id = 1; id <= COUNT; id++)
        lease_set(table, id, prng_between(&prng, -50, 5000));
    for (int64_t now_ns = -60; now_ns < 5100; now_ns += 331) {
        size_t expected = 0;
        for (lease_id id = 1; id <= COUNT; id++) {
            int64_t expire_ns = 0;
            assert_true(lease_get(table, id, &expire_ns));
            expected += expire_ns <= now_ns;
        }
        size_t count = lease_expired(table, now_ns, ids, COUNT);
        assert_int_equal(count, expected);
        int64_t last_ns = INT64_MIN;
        for (size_t i = 0; i < count; i++) {
            int64_t expire_ns = 0;
            assert_true(lease_get(table, ids[i], &expire_ns));
            assert_true(expire_ns >= last_ns && expire_ns <= now_ns);
            last_ns = expire_ns;
        }
        /* Fewer than there are: the first of them. */
        lease_id few[7];
        size_t some = lease_expired(table, now_ns, few, 7);
        assert_int_equal(some, count < 7 ? count : 7);
        for (size_t i = 0; i < some; i++) {
            int64_t a = 0, b = 1;
            assert_true(lease_get(table, few[i], &a) &&
                        lease_get(table, ids[i], &b));
            assert_true(a == b);
        }
    }
    assert_int_equal(lease_expired(table, 6000, ids, 0), 0);
    assert_int_equal(lease_expired(table, 6000, ids, SIZE_MAX), COUNT);
}

/* ---- keys ---------------------------------------------------------------- */

static void keys_come_in_the_order_of_their_arrival(void **state)
{
    (void)state;
    lease_id id = 0;
    lease_set(table, 7, 100);
    attach(7, "/b");
    attach(7, "/a");
    attach(7, "");
    lease_attach(table, 7, MVCC_DIRS, SLICE("/b"));
    expect_keys(7, "key:/b key:/a key: dir:/b ");
    assert_true(lease_of_key(table, MVCC_DIRS, SLICE("/b"), &id));
    assert_true(id == 7);
    detach(7, "/b");
    detach(7, "/b");
    assert_false(lease_of_key(table, MVCC_KEYS, SLICE("/b"), &id));
    expect_keys(7, "key:/a key: dir:/b ");
    attach(7, "/b");
    expect_keys(7, "key:/a key: dir:/b key:/b ");
}

static void a_key_is_known_by_all_its_bytes(void **state)
{
    (void)state;
    lease_id id = 0;
    lease_set(table, 7, 100);
    lease_set(table, 8, 100);
    lease_attach(table, 7, MVCC_KEYS, slice_of("a\0b", 3));
    lease_attach(table, 8, MVCC_KEYS, slice_of("a\0c", 3));
    assert_true(lease_of_key(table, MVCC_KEYS, slice_of("a\0c", 3), &id));
    assert_true(id == 8);
    assert_false(lease_of_key(table, MVCC_KEYS, slice_of("a", 1), &id));
}

static void a_revoked_lease_lets_go_of_its_keys(void **state)
{
    (void)state;
    lease_id id = 0;
    lease_set(table, 7, 100);
    attach(7, "/a");
    attach(7, "/b");
    lease_revoke(table, 7);
    assert_int_equal(lease_count(table), 0);
    assert_false(lease_of_key(table, MVCC_KEYS, SLICE("/a"), &id));
    lease_set(table, 8, 100);
    attach(8, "/a");
    expect_keys(8, "key:/a ");
    expect_keys(7, "");
}

static void a_lease_of_v3_stays_without_keys(void **state)
{
    (void)state;
    lease_set(table, 7, 100);
    lease_set(table, -1, 100);
    attach(7, "/a");
    attach(-1, "/b");
    detach(7, "/a");
    detach(-1, "/b");
    expect_end(7, 100);
    expect_end(-1, 100);
}

static void a_lease_of_v2_goes_with_its_last_key(void **state)
{
    (void)state;
    lease_id id = 0;
    int64_t expire_ns = 0;
    lease_set(table, LEASE_V2 | 5, 100);
    attach(LEASE_V2 | 5, "/a");
    lease_set(table, LEASE_V2 | 6, 200);
    attach(LEASE_V2 | 6, "/b");
    detach(LEASE_V2 | 5, "/a");
    expect_none(LEASE_V2 | 5);
    assert_true(lease_next(table, &id, &expire_ns));
    assert_true(id == (LEASE_V2 | 6));
    assert_int_equal(lease_count(table), 1);
}

static void only_ids_of_the_span_are_v2s(void **state)
{
    (void)state;
    assert_true(lease_is_v2(LEASE_V2));
    assert_true(lease_is_v2(LEASE_V2 | 1));
    assert_true(lease_is_v2(LEASE_V2 | ((1LL << LEASE_V2_REVISION_BITS) - 1)));
    assert_false(lease_is_v2(LEASE_V2 + (1LL << LEASE_V2_REVISION_BITS)));
    assert_false(lease_is_v2(LEASE_V2 - 1));
    assert_false(lease_is_v2(INT64_MAX));
    assert_false(lease_is_v2(1));
    assert_false(lease_is_v2(-1));
    assert_false(lease_is_v2(INT64_MIN));
    /* One that only looks like it stays when its last key goes. */
    lease_id id = LEASE_V2 + (1LL << LEASE_V2_REVISION_BITS);
    lease_grant(table, id, 10, 100);
    attach(id, "/a");
    detach(id, "/a");
    expect_end(id, 100);
}

/* ---- what is told of them ------------------------------------------------ */

static void a_lease_tells_of_itself(void **state)
{
    (void)state;
    struct lease_info info;
    assert_false(lease_info(table, 7, &info));
    lease_grant(table, 7, 60, 1000);
    attach(7, "/a");
    lease_attach(table, 7, MVCC_DIRS, SLICE("/a"));
    attach(7, "/b");
    assert_true(lease_info(table, 7, &info));
    assert_int_equal(info.granted_s, 60);
    assert_int_equal(info.expire_ns, 1000);
    assert_int_equal(info.keys, 3);
    detach(7, "/a");
    detach(7, "/none");
    lease_set(table, 7, 2000); /* it still lives as long when kept alive */
    assert_true(lease_info(table, 7, &info));
    assert_int_equal(info.granted_s, 60);
    assert_int_equal(info.expire_ns, 2000);
    assert_int_equal(info.keys, 2);
    lease_revoke(table, 7);
    assert_false(lease_info(table, 7, &info));
    lease_set(table, 7, 3000);
    assert_true(lease_info(table, 7, &info));
    assert_int_equal(info.granted_s, 0);
    assert_int_equal(info.keys, 0);
}

struct listed {
    lease_id ids[8];
    size_t count;
};

static void list_one(void *context, lease_id id)
{
    struct listed *listed = context;
    assert_true(listed->count < 8);
    listed->ids[listed->count++] = id;
}

static void all_are_listed_the_soonest_in_front(void **state)
{
    (void)state;
    struct listed listed = {0};
    lease_each(table, list_one, &listed);
    assert_int_equal(listed.count, 0);
    lease_grant(table, 9, 1, 300);
    lease_grant(table, -4, 1, 200);
    lease_grant(table, 8, 1, 200);
    lease_grant(table, 5, 1, INT64_MAX);
    lease_grant(table, 6, 1, -1);
    lease_grant(table, LEASE_V2 | 3, 1, 250);
    lease_each(table, list_one, &listed);
    assert_int_equal(listed.count, 6);
    lease_id want[] = {6, -4, 8, LEASE_V2 | 3, 9, 5};
    for (size_t i = 0; i < 6; i++)
        assert_true(listed.ids[i] == want[i]);
    /* The table is as it was. */
    expect_end(9, 300);
    lease_id id;
    int64_t expire_ns;
    assert_true(lease_next(table, &id, &expire_ns));
    assert_true(id == 6);
}

/* ---- many ---------------------------------------------------------------- */

struct walk {
    size_t count;
    int64_t last_ns;
    lease_id last;
};

static void check_order(void *context, lease_id id)
{
    struct walk *walk = context;
    int64_t expire_ns = 0;
    assert_true(lease_get(table, id, &expire_ns));
    assert_true(expire_ns > walk->last_ns ||
                (expire_ns == walk->last_ns && id > walk->last));
    walk->last_ns = expire_ns;
    walk->last = id;
    walk->count++;
}

static void a_list_of_many_is_sorted(void **state)
{
    (void)state;
    enum { MANY = 5000 };
    struct prng prng;
    prng_init(&prng, 3);
    for (int i = 1; i <= MANY; i++)
        lease_grant(table, i, 5, prng_between(&prng, 1, 100));
    struct walk walk = {0};
    lease_each(table, check_order, &walk);
    assert_int_equal(walk.count, MANY);
}

/* Against the simplest thing that could be right: for each key its lease, for
 * each lease its end. */
static void a_table_that_is_cleared_begins_anew(void **state)
{
    (void)state;
    lease_id id;
    int64_t expire_ns;
    lease_table_clear(table); /* of nothing */
    lease_set(table, 7, 100);
    attach(7, "a");
    attach(7, "b");
    lease_set(table, LEASE_V2 | 8, 50);
    lease_attach(table, LEASE_V2 | 8, MVCC_DIRS, SLICE("a"));
    lease_table_clear(table);
    assert_int_equal(lease_count(table), 0);
    expect_none(7);
    assert_false(lease_next(table, &id, &expire_ns));
    assert_false(lease_of_key(table, MVCC_KEYS, SLICE("a"), &id));
    assert_false(lease_of_key(table, MVCC_DIRS, SLICE("a"), &id));
    /* The same keys and ids are as good as new. */
    lease_set(table, 7, 200);
    attach(7, "b");
    attach(7, "a");
    expect_end(7, 200);
    expect_keys(7, "key:b key:a ");
}

static void random_changes(void **state)
{
    (void)state;
    enum { LEASES = 20, KEYS = 60, STEPS = 200000 };
    int64_t ends[LEASES + 1] = {0};
    lease_id holds[KEYS] = {0};
    struct prng prng;
    prng_init(&prng, 42);
    for (int step = 0; step < STEPS; step++) {
        lease_id lease = (lease_id)prng_below(&prng, LEASES) + 1;
        size_t n = (size_t)prng_below(&prng, KEYS);
        char name[2] = {(char)('A' + n), 0};
        switch (prng_below(&prng, 4)) {
        case 0:
            ends[lease] = prng_between(&prng, 1, 1000);
            lease_set(table, lease, ends[lease]);
            break;
        case 1:
            if (prng_below(&prng, 4) != 0)
                break;
            ends[lease] = 0;
            for (size_t i = 0; i < KEYS; i++)
                holds[i] = holds[i] == lease ? 0 : holds[i];
            lease_revoke(table, lease);
            break;
        default:
            if (holds[n] != 0)
                detach(holds[n], name);
            holds[n] = ends[lease] ? lease : 0;
            if (holds[n] != 0)
                attach(lease, name);
        }
        lease_id id = 0, held = 0;
        bool has = lease_of_key(table, MVCC_KEYS, slice_str(name), &held);
        assert_true(has == (holds[n] != 0) && held == holds[n]);
        int64_t expire_ns = 0, soonest_ns = 0;
        lease_get(table, lease, &expire_ns);
        assert_true(expire_ns == ends[lease]);
        size_t count = 0;
        for (size_t i = 1; i <= LEASES; i++) {
            count += ends[i] != 0;
            if (ends[i] != 0 && (soonest_ns == 0 || ends[i] < soonest_ns))
                soonest_ns = ends[i];
        }
        assert_int_equal(lease_count(table), count);
        expire_ns = 0;
        assert_true(lease_next(table, &id, &expire_ns) == (count > 0));
        assert_true(expire_ns == soonest_ns);
    }
}

#define STORY(name) cmocka_unit_test_setup_teardown(name, new_table, free_table)

int main(void)
{
    const struct CMUnitTest tests[] = {
        STORY(an_empty_table),
        STORY(the_soonest_is_next),
        STORY(expired_ones_come_soonest_first),
        STORY(keys_come_in_the_order_of_their_arrival),
        STORY(a_key_is_known_by_all_its_bytes),
        STORY(a_revoked_lease_lets_go_of_its_keys),
        STORY(a_lease_of_v3_stays_without_keys),
        STORY(a_lease_of_v2_goes_with_its_last_key),
        STORY(only_ids_of_the_span_are_v2s),
        STORY(a_lease_tells_of_itself),
        STORY(all_are_listed_the_soonest_in_front),
        STORY(a_list_of_many_is_sorted),
        STORY(a_table_that_is_cleared_begins_anew),
        STORY(random_changes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
