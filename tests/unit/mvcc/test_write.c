/* Stories of writing: the life of a key, what a record says, commits. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <stdio.h>
#include <cmocka.h>

#include "unit/mvcc/stories.h"

static void test_an_empty_store(void **state)
{
    (void)state;
    IS(status(), "current 1 compacted 0 keys 0 tail 0 applied 0/0 flushed 0");
    IS(get("/a", 0), "NOT_FOUND");
    IS(get("/a", 1), "NOT_FOUND");
    IS(get("/a", 2), "FUTURE_REVISION");
    IS(walk("", NULL, 0), "");
    IS(count("", NULL, 0), "0");
    IS(history(1, 0), "END");
    IS(key_history("/a", 1), "END");
    IS(revision_at(INT64_MAX), "NOT_FOUND");
    assert_int_equal(mvcc_next_revision(store), 2);
}

static void test_the_life_of_a_key(void **state)
{
    (void)state;
    assert_int_equal(put("/a", "1"), 2);
    IS(get("/a", 0), "1 @2.0 create 2 version 1");
    assert_int_equal(put("/a", "2"), 3);
    IS(get("/a", 0), "2 @3.0 create 2 version 2 prev 2.0");
    assert_int_equal(put("/a", "3"), 4);
    IS(get("/a", 0), "3 @4.0 create 2 version 3 prev 3.0");
    assert_int_equal(del("/a"), 5);
    IS(get("/a", 0), "NOT_FOUND");
    IS(get_rev(5, 0), "(end) @5.0 prev 4.0");

    /* Another life: nothing is left of the first. */
    assert_int_equal(put("/a", "4"), 6);
    IS(get("/a", 0), "4 @6.0 create 6 version 1");
    put("/a", "5");
    IS(get("/a", 0), "5 @7.0 create 6 version 2 prev 6.0");

    /* And all of it can be read as it was. */
    IS(get("/a", 1), "NOT_FOUND");
    IS(get("/a", 2), "1 @2.0 create 2 version 1");
    IS(get("/a", 3), "2 @3.0 create 2 version 2 prev 2.0");
    IS(get("/a", 4), "3 @4.0 create 2 version 3 prev 3.0");
    IS(get("/a", 5), "NOT_FOUND");
    IS(get("/a", 6), "4 @6.0 create 6 version 1");
    IS(get("/a", 8), "FUTURE_REVISION");
}

static void test_a_put_anew_begins_a_life(void **state)
{
    (void)state;
    put("/a", "1");
    put("/a", "2");
    put_anew("/a", "3");
    IS(get("/a", 0), "3 @4.0 create 4 version 1 prev 3.0");
    put("/a", "4");
    IS(get("/a", 0), "4 @5.0 create 4 version 2 prev 4.0");
    /* Where nothing lives it is a put like any other. */
    put_anew("/b", "1");
    IS(get("/b", 0), "1 @6.0 create 6 version 1");
    del("/b");
    put_anew("/b", "2");
    IS(get("/b", 0), "2 @8.0 create 8 version 1");
}

static void test_what_does_not_live_cannot_be_deleted(void **state)
{
    (void)state;
    begin();
    assert_int_equal(erase(MVCC_KEYS, "/a"), ERR_NOT_FOUND);
    assert_int_equal(commit(), 0);
    put("/a", "1");
    del("/a");
    begin();
    assert_int_equal(erase(MVCC_KEYS, "/a"), ERR_NOT_FOUND);
    assert_int_equal(erase(MVCC_DIRS, "/a"), ERR_NOT_FOUND);
    assert_int_equal(commit(), 0);
    IS(status(), "current 3 compacted 0 keys 0 tail 2 applied 0/0 flushed 0");
}

static void test_a_transaction_without_a_record(void **state)
{
    (void)state;
    put("/a", "1");
    begin();
    assert_int_equal(mvcc_next_revision(store), 3);
    assert_int_equal(commit(), 0);
    begin();
    assert_int_equal(mvcc_next_revision(store), 3);
    assert_int_equal(commit(), 0);
    assert_int_equal(put("/a", "2"), 3);
}

static void test_one_transaction_one_revision(void **state)
{
    (void)state;
    begin();
    add(MVCC_KEYS, "/a", "1");
    add(MVCC_KEYS, "/b", "2");
    add(MVCC_KEYS, "/c", "3");
    assert_int_equal(erase(MVCC_KEYS, "/b"), ERR_OK);
    assert_int_equal(commit(), 2);
    IS(get("/a", 0), "1 @2.0 create 2 version 1");
    IS(get("/b", 0), "NOT_FOUND");
    IS(get("/c", 0), "3 @2.2 create 2 version 1");
    IS(get_rev(2, 1), "2 @2.1 create 2 version 1");
    IS(get_rev(2, 3), "(end) @2.3 prev 2.1");
    IS(get_rev(2, 4), "NOT_FOUND");
    IS(history(2, 0), "2.0 /a=1; 2.1 /b=2; 2.2 /c=3; 2.3 /b!; END");
}

static void test_a_key_twice_in_one_transaction(void **state)
{
    (void)state;
    put("/a", "0");
    begin();
    add(MVCC_KEYS, "/a", "1");
    add(MVCC_KEYS, "/a", "2");
    add_anew(MVCC_KEYS, "/a", "3");
    assert_int_equal(commit(), 3);
    IS(get_rev(3, 0), "1 @3.0 create 2 version 2 prev 2.0");
    IS(get_rev(3, 1), "2 @3.1 create 2 version 3 prev 3.0");
    IS(get("/a", 0), "3 @3.2 create 3 version 1 prev 3.1");
    IS(get("/a", 3), "3 @3.2 create 3 version 1 prev 3.1");
    IS(get("/a", 2), "0 @2.0 create 2 version 1");
    put("/a", "4");
    IS(get("/a", 3), "3 @3.2 create 3 version 1 prev 3.1");
    IS(get("/a", 0), "4 @4.0 create 3 version 2 prev 3.2");
}

static void test_dead_and_alive_in_one_transaction(void **state)
{
    (void)state;
    put("/a", "1");
    begin();
    assert_int_equal(erase(MVCC_KEYS, "/a"), ERR_OK);
    add(MVCC_KEYS, "/a", "2");
    assert_int_equal(erase(MVCC_KEYS, "/a"), ERR_OK);
    assert_int_equal(erase(MVCC_KEYS, "/a"), ERR_NOT_FOUND);
    add(MVCC_KEYS, "/a", "3");
    assert_int_equal(commit(), 3);
    IS(get("/a", 0), "3 @3.3 create 3 version 1");
    IS(count("", NULL, 0), "1");
    begin();
    assert_int_equal(erase(MVCC_KEYS, "/a"), ERR_OK);
    add(MVCC_KEYS, "/a", "4");
    assert_int_equal(erase(MVCC_KEYS, "/a"), ERR_OK);
    commit();
    IS(get("/a", 0), "NOT_FOUND");
    IS(count("", NULL, 0), "0");
    IS(get("/a", 3), "3 @3.3 create 3 version 1");
}

static void test_two_tables_one_clock(void **state)
{
    (void)state;
    begin();
    add(MVCC_KEYS, "/a", "key");
    add(MVCC_DIRS, "/a", "dir");
    commit();
    IS(get_in(MVCC_KEYS, "/a", 0), "key @2.0 create 2 version 1");
    IS(get_in(MVCC_DIRS, "/a", 0), "dir @2.1 create 2 version 1");
    begin();
    add(MVCC_DIRS, "/b", "dir");
    assert_int_equal(erase(MVCC_KEYS, "/a"), ERR_OK);
    commit();
    IS(walk_in(MVCC_KEYS, "", NULL, 0), "");
    IS(walk_in(MVCC_DIRS, "", NULL, 0), "/a@2.1 /b@3.0");
    IS(walk_in(MVCC_KEYS, "", NULL, 2), "/a@2.0");
    struct mvcc_status now;
    mvcc_status(store, &now);
    assert_int_equal(now.keys, 0);
    assert_int_equal(now.dirs, 2);
}

/* ---- what a record says -------------------------------------------------- */

static void test_a_record_keeps_all_it_was_given(void **state)
{
    (void)state;
    struct mvcc_put what = {
        .table = MVCC_DIRS,
        .cause = MVCC_COMPARE_AND_SWAP,
        .flags = MVCC_PART | MVCC_REFRESH,
        .key = slice_str("/dir"),
        .value = slice_str("value"),
        .lease = -7,
        .expire_ns = 123456789,
    };
    clock_ns = 5000;
    begin();
    mvcc_put(store, &what);
    commit();
    for (int flushed = 0; flushed < 2; flushed++) {
        struct record record;
        mvcc_read_begin(reader);
        assert_int_equal(mvcc_get(reader, MVCC_DIRS, what.key, 0, &record),
                         ERR_OK);
        assert_int_equal(record.table, MVCC_DIRS);
        assert_int_equal(record.cause, MVCC_COMPARE_AND_SWAP);
        assert_int_equal(record.flags, MVCC_PART | MVCC_REFRESH);
        assert_int_equal(record.lease, -7);
        assert_int_equal(record.expire_ns, 123456789);
        assert_int_equal(record.time_ns, 5000);
        assert_true(slice_eq(record.key, what.key));
        assert_true(slice_eq(record.value, what.value));
        mvcc_read_end(reader);
        flush_all();
    }
}

static void test_a_tombstone_says_who_ended_it(void **state)
{
    (void)state;
    struct mvcc_put what = {
        .cause = MVCC_SET,
        .key = slice_str("/a"),
        .value = slice_str("1"),
        .lease = 9,
        .expire_ns = 77,
    };
    begin();
    mvcc_put(store, &what);
    commit();
    begin();
    assert_int_equal(
        mvcc_delete(store, MVCC_KEYS, what.key, MVCC_EXPIRE, MVCC_PART),
        ERR_OK);
    commit();
    struct record record;
    mvcc_read_begin(reader);
    struct rev rev = {3, 0};
    assert_int_equal(mvcc_get_rev(reader, rev, &record), ERR_OK);
    assert_int_equal(record.cause, MVCC_EXPIRE);
    assert_int_equal(record.flags, MVCC_TOMBSTONE | MVCC_PART);
    assert_int_equal(record.create, 0);
    assert_int_equal(record.version, 0);
    assert_int_equal(record.lease, 0);
    assert_int_equal(record.expire_ns, 0);
    assert_int_equal(record.value.size, 0);
    assert_int_equal(record.prev.main, 2);
    mvcc_read_end(reader);
}

static void test_lease_and_expiry_are_of_one_put(void **state)
{
    (void)state;
    struct mvcc_put what = {
        .cause = MVCC_SET,
        .key = slice_str("/a"),
        .lease = 9,
        .expire_ns = 77,
    };
    begin();
    mvcc_put(store, &what);
    commit();
    put("/a", "2");
    struct record record;
    mvcc_read_begin(reader);
    assert_int_equal(mvcc_get(reader, MVCC_KEYS, what.key, 0, &record), ERR_OK);
    assert_int_equal(record.lease, 0);
    assert_int_equal(record.expire_ns, 0);
    assert_int_equal(mvcc_get(reader, MVCC_KEYS, what.key, 2, &record), ERR_OK);
    assert_int_equal(record.lease, 9);
    assert_int_equal(record.expire_ns, 77);
    mvcc_read_end(reader);
}

static void test_causes_have_names(void **state)
{
    (void)state;
    IS(mvcc_cause_text(MVCC_PUT), "put");
    IS(mvcc_cause_text(MVCC_DELETE_RANGE), "deleteRange");
    IS(mvcc_cause_text(MVCC_SET), "set");
    IS(mvcc_cause_text(MVCC_CREATE), "create");
    IS(mvcc_cause_text(MVCC_UPDATE), "update");
    IS(mvcc_cause_text(MVCC_COMPARE_AND_SWAP), "compareAndSwap");
    IS(mvcc_cause_text(MVCC_DELETE), "delete");
    IS(mvcc_cause_text(MVCC_COMPARE_AND_DELETE), "compareAndDelete");
    IS(mvcc_cause_text(MVCC_EXPIRE), "expire");
    IS(mvcc_cause_text(MVCC_REVOKE), "revoke");
    IS(mvcc_cause_text(MVCC_RECIPE), "recipe");
}

/* ---- keys and values of any bytes ---------------------------------------- */

static void test_bytes_are_bytes(void **state)
{
    (void)state;
    char key[300], value[70000];
    for (size_t i = 0; i < sizeof key; i++)
        key[i] = (char)i;
    for (size_t i = 0; i < sizeof value; i++)
        value[i] = (char)(i * 7);
    struct mvcc_put what = {
        .cause = MVCC_PUT,
        .key = slice_of(key, sizeof key),
        .value = slice_of(value, sizeof value),
    };
    begin();
    mvcc_put(store, &what);
    what.key.size = 1; /* one zero byte */
    what.value.size = 0;
    mvcc_put(store, &what);
    what.key.size = 0; /* no byte at all */
    what.value.size = 1;
    mvcc_put(store, &what);
    commit();
    memset(key, 0, sizeof key); /* the store has a copy */
    memset(value, 0, sizeof value);

    for (int flushed = 0; flushed < 2; flushed++) {
        struct record record;
        for (size_t i = 0; i < sizeof key; i++)
            key[i] = (char)i;
        mvcc_read_begin(reader);
        assert_int_equal(
            mvcc_get(reader, MVCC_KEYS, slice_of(key, sizeof key), 0, &record),
            ERR_OK);
        assert_int_equal(record.value.size, sizeof value);
        for (size_t i = 0; i < sizeof value; i++)
            assert_int_equal(record.value.at[i], (char)(i * 7));
        assert_int_equal(
            mvcc_get(reader, MVCC_KEYS, slice_of(key, 1), 0, &record), ERR_OK);
        assert_int_equal(record.value.size, 0);
        assert_int_equal(
            mvcc_get(reader, MVCC_KEYS, slice_of(key, 0), 0, &record), ERR_OK);
        assert_int_equal(record.value.size, 1);
        mvcc_read_end(reader);
        flush_all();
    }
}

static void test_a_key_longer_than_the_file_allows_keys(void **state)
{
    (void)state;
    static char key[60001];
    memset(key, 'k', sizeof key - 1);
    put(key, "1");
    put(key, "2");
    flush_all();
    restart();
    IS(get(key, 0), "2 @3.0 create 2 version 2 prev 2.0");
    key[59999] = 'l';
    IS(get(key, 0), "NOT_FOUND");
}

/* ---- time ---------------------------------------------------------------- */

static void test_time_never_runs_back(void **state)
{
    (void)state;
    clock_ns = 5000;
    put("/a", "1");
    clock_ns = 4000;
    begin();
    assert_int_equal(mvcc_begin_time_ns(store), 5000);
    add(MVCC_KEYS, "/a", "2");
    struct mvcc_commit *done = mvcc_commit(store);
    assert_int_equal(done->time_ns, 5000);
    assert_int_equal(done->records[0].time_ns, 5000);
    mvcc_commit_unref(done);
    clock_ns = 6000;
    begin();
    assert_int_equal(mvcc_begin_time_ns(store), 6000);
    commit();
    /* Without a record the clock did not move either. */
    clock_ns = 5500;
    begin();
    assert_int_equal(mvcc_begin_time_ns(store), 5500);
    commit();
    struct mvcc_status now;
    mvcc_status(store, &now);
    assert_int_equal(now.time_ns, 5000);
}

static void test_time_goes_on_after_a_restart(void **state)
{
    (void)state;
    clock_ns = 9000;
    put("/a", "1");
    flush_all();
    restart();
    clock_ns = 100;
    begin();
    assert_int_equal(mvcc_begin_time_ns(store), 9000);
    commit();
}

/* ---- commits ------------------------------------------------------------- */

static void test_a_commit_is_one_block(void **state)
{
    (void)state;
    begin();
    add(MVCC_KEYS, "/a", "one");
    add(MVCC_DIRS, "/b", "two");
    struct mvcc_commit *done = mvcc_commit(store);
    const char *first = (const char *)done;
    assert_int_equal(done->main, 2);
    assert_int_equal(done->count, 2);
    assert_int_equal(done->time_ns, 1000);
    assert_int_equal(done->bytes,
                     sizeof *done + 2 * sizeof done->records[0] + 4 + 6);
    for (unsigned i = 0; i < 2; i++) {
        const struct record *record = &done->records[i];
        assert_int_equal(record->rev.main, 2);
        assert_int_equal(record->rev.sub, i);
        assert_true(record->key.at > first &&
                    record->key.at < first + done->bytes);
        assert_true(record->value.at > first &&
                    record->value.at < first + done->bytes);
    }
    assert_true(slice_eq(done->records[1].value, SLICE("two")));
    mvcc_commit_unref(done);
}

static void test_a_commit_outlives_the_tail(void **state)
{
    (void)state;
    begin();
    add(MVCC_KEYS, "/a", "one");
    struct mvcc_commit *done = mvcc_commit(store);
    struct mvcc_commit *mine = mvcc_commit_ref(done);
    assert_ptr_equal(mine, done);
    mvcc_commit_unref(done);
    flush_all();
    IS(status(), "current 2 compacted 0 keys 1 tail 0 applied 0/0 flushed 0");
    assert_true(slice_eq(mine->records[0].value, SLICE("one")));
    mvcc_commit_unref(mine);
    mvcc_commit_unref(NULL);
}

static void test_tail_bytes_are_what_the_blocks_have(void **state)
{
    (void)state;
    struct mvcc_status now;
    uint64_t bytes = 0;
    for (int i = 0; i < 100; i++) {
        begin();
        add(MVCC_KEYS, "/a", "value");
        struct mvcc_commit *done = mvcc_commit(store);
        bytes += done->bytes;
        mvcc_commit_unref(done);
    }
    mvcc_status(store, &now);
    assert_int_equal(now.tail_bytes, bytes);
    assert_int_equal(now.tail_commits, 100);
    flush(40);
    mvcc_status(store, &now);
    assert_int_equal(now.tail_bytes, bytes / 100 * 60);
    assert_int_equal(now.tail_commits, 60);
    flush_all();
    mvcc_status(store, &now);
    assert_int_equal(now.tail_bytes, 0);
}

static void test_a_transaction_of_very_many_records(void **state)
{
    (void)state;
    enum { RECORDS = 3000 };
    begin();
    for (unsigned i = 0; i < RECORDS; i++) {
        char key[32];
        snprintf(key, sizeof key, "/%u", i);
        add(MVCC_KEYS, key, key);
    }
    struct mvcc_commit *done = mvcc_commit(store);
    assert_int_equal(done->count, RECORDS);
    mvcc_commit_unref(done);
    IS(get("/2999", 0), "/2999 @2.2999 create 2 version 1");
    IS(count("", NULL, 0), "3000");
    flush_all();
    IS(get("/2999", 0), "/2999 @2.2999 create 2 version 1");
    restart();
    IS(get("/1234", 0), "/1234 @2.1234 create 2 version 1");
    IS(count("", NULL, 0), "3000");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        STORY(test_an_empty_store),
        STORY(test_the_life_of_a_key),
        STORY(test_a_put_anew_begins_a_life),
        STORY(test_what_does_not_live_cannot_be_deleted),
        STORY(test_a_transaction_without_a_record),
        STORY(test_one_transaction_one_revision),
        STORY(test_a_key_twice_in_one_transaction),
        STORY(test_dead_and_alive_in_one_transaction),
        STORY(test_two_tables_one_clock),
        STORY(test_a_record_keeps_all_it_was_given),
        STORY(test_a_tombstone_says_who_ended_it),
        STORY(test_lease_and_expiry_are_of_one_put),
        STORY(test_causes_have_names),
        STORY(test_bytes_are_bytes),
        STORY(test_a_key_longer_than_the_file_allows_keys),
        STORY(test_time_never_runs_back),
        STORY(test_time_goes_on_after_a_restart),
        STORY(test_a_commit_is_one_block),
        STORY(test_a_commit_outlives_the_tail),
        STORY(test_tail_bytes_are_what_the_blocks_have),
        STORY(test_a_transaction_of_very_many_records),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
