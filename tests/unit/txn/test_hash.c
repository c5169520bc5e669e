/* The sums are those that etcd 3.4.23 gave (etcdctl endpoint hashkv) after the
 * same requests. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "unit/txn/stories.h"

static void tell_the_story(void)
{
    grant(7);
    ask("put a 1");
    ask("put b 2 lease=7");
    ask("txn then put a 3 , put c -");
    ask("del b");
    ask("put d 5");
}

static void an_empty_store_has_a_hash(void **state)
{
    (void)state;
    assert_int_equal(hash_at(0), 1084519789u);
}

static void history_is_in_the_hash(void **state)
{
    (void)state;
    tell_the_story();
    assert_int_equal(hash_at(0), 3972864370u);
    assert_int_equal(hash_at(6), 3972864370u);
    assert_int_equal(hash_at(3), 1848723582u);
    flush(); /* wherever it lies */
    assert_int_equal(hash_at(0), 3972864370u);
    assert_int_equal(hash_at(3), 1848723582u);
}

static void of_what_is_compacted_only_the_living_counts(void **state)
{
    (void)state;
    tell_the_story();
    compact(4);
    assert_int_equal(hash_at(0), 4291094952u);
    assert_int_equal(hash_at(5), 1769679631u);
    ask("put a 6"); /* a's old record is there, but lives no more */
    assert_int_equal(hash_at(0), 3275408664u);
}

static void where_nothing_lives_all_that_is_left_counts(void **state)
{
    (void)state;
    tell_the_story();
    compact(4);
    ask("put a 6");
    IS(ask("del \x01.."), "deleted 3 @8");
    assert_int_equal(hash_at(0), 2916029036u);
    compact(7);
    assert_int_equal(hash_at(0), 2887416165u);
    compact(8);
    assert_int_equal(hash_at(0), 1084519789u);
}

static void it_does_not_matter_how_far_the_compaction_is(void **state)
{
    (void)state;
    tell_the_story();
    assert_int_equal(mvcc_compact(store, 4), ERR_OK);
    assert_int_equal(hash_at(0), 4291094952u);
    flush();
    assert_int_equal(hash_at(0), 4291094952u);
    mvcc_compact_slice(store, 1);
    flush();
    assert_int_equal(hash_at(0), 4291094952u);
    while (mvcc_compact_slice(store, 1))
        flush();
    assert_int_equal(hash_at(5), 1769679631u);
}

static void end_keys_now_and_then(void)
{
    ask("put a x");
    ask("del a"); /* 3 */
    ask("put b x");
    ask("put a 2");
    ask("put c x");
    ask("put d x");
    ask("txn then del c , put e - , del d"); /* 8 */
    ask("put c again");
    ask("del b"); /* 10 */
    ask("del e"); /* 11 */
    ask("put f x");
}

/* A key that ends in the very revision that is compacted doesn't live in it:
 * its end isn't in the hash, whether it is cleaned away yet or not. */
static void the_end_of_a_key_in_the_compacted_revision(void **state)
{
    static const struct {
        revision at;
        uint32_t next, now;
    } compactions[] = {
        {3, 3966414695u, 1584065815u},
        {8, 693191203u, 2488784315u},
        {10, 3638614064u, 2052007924u},
        {11, 3706382094u, 3706382094u},
    };
    (void)state;
    end_keys_now_and_then();
    for (size_t i = 0; i < 4; i++) {
        revision at = compactions[i].at;
        assert_int_equal(mvcc_compact(store, at), ERR_OK);
        assert_int_equal(hash_at(at + 1), compactions[i].next);
        assert_int_equal(hash_at(0), compactions[i].now);
        while (mvcc_compact_slice(store, 1))
            flush();
        flush();
        assert_int_equal(hash_at(at + 1), compactions[i].next);
        assert_int_equal(hash_at(0), compactions[i].now);
    }
    compact(12);
    assert_int_equal(hash_at(0), 3706382094u);
}

/* Read at that revision, it isn't there; etcd gives the same. */
static void what_ended_in_the_compacted_revision_is_not_read(void **state)
{
    (void)state;
    end_keys_now_and_then();
    assert_int_equal(mvcc_compact(store, 8), ERR_OK);
    IS(ask("get c rev=8"), "count 0 @12");
    IS(ask("get a.. rev=8 count"), "count 3 @12");
    compact(10);
    IS(ask("get b rev=10"), "count 0 @12");
    IS(ask("get a.. rev=10"),
       "a=2 [5,5,1], c=again [9,9,1], e= [8,8,1]; count 3 @12");
    IS(ask("get e rev=9"), "mvcc: required revision has been compacted");
}

static void directories_are_not_in_it(void **state)
{
    (void)state;
    ask("put a 1");
    uint32_t before = hash_at(2);
    mvcc_begin(store, clock_ns);
    mvcc_put(store, &(struct mvcc_put){.table = MVCC_DIRS,
                                       .cause = MVCC_SET,
                                       .key = SLICE("/dir")});
    mvcc_commit_unref(mvcc_commit(store));
    assert_int_equal(hash_at(3), before);
}

static enum v3_error begin_at(revision at, revision now, struct txn_hash *hash)
{
    enum v3_error error;
    assert_int_equal(txn_hash_begin(reader, at, now, hash, &error), ERR_OK);
    return error;
}

static void some_revisions_have_none(void **state)
{
    (void)state;
    struct txn_hash hash;
    tell_the_story();
    mvcc_read_begin(reader);
    assert_int_equal(begin_at(6, 6, &hash), V3_OK);
    assert_true(hash.compacted == -1);
    assert_int_equal(begin_at(7, 6, &hash), V3_FUTURE_REV);
    assert_int_equal(begin_at(6, 5, &hash), V3_FUTURE_REV);
    mvcc_read_end(reader);
    compact(4);
    mvcc_read_begin(reader);
    assert_int_equal(begin_at(4, 6, &hash), V3_COMPACTED);
    assert_int_equal(begin_at(5, 6, &hash), V3_OK);
    assert_true(hash.compacted == 4);
    assert_int_equal(begin_at(0, 3, &hash), V3_COMPACTED);
    /* etcd answers below 0, with the hash of nothing. */
    assert_int_equal(begin_at(-1, 6, &hash), V3_OK);
    assert_true(hash.done);
    assert_int_equal(hash.crc, 1084519789u);
    mvcc_read_end(reader);
}

static void a_compaction_in_between_is_told(void **state)
{
    (void)state;
    struct txn_hash hash;
    tell_the_story();
    mvcc_read_begin(reader);
    assert_int_equal(begin_at(5, 6, &hash), V3_OK);
    assert_int_equal(txn_hash_slice(&hash, reader, 2), ERR_OK);
    assert_false(hash.done);
    mvcc_read_end(reader);
    compact(6);
    mvcc_read_begin(reader);
    assert_int_equal(txn_hash_slice(&hash, reader, 2), ERR_COMPACTED);
    mvcc_read_end(reader);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        STORY(an_empty_store_has_a_hash),
        STORY(history_is_in_the_hash),
        STORY(of_what_is_compacted_only_the_living_counts),
        STORY(where_nothing_lives_all_that_is_left_counts),
        STORY(it_does_not_matter_how_far_the_compaction_is),
        STORY(the_end_of_a_key_in_the_compacted_revision),
        STORY(what_ended_in_the_compacted_revision_is_not_read),
        STORY(directories_are_not_in_it),
        STORY(some_revisions_have_none),
        STORY(a_compaction_in_between_is_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
