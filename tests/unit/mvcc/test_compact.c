/* Stories of compaction: what stays, what goes, and when; in slices, beside
 * new writes, and over restarts in every part of it. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <stdio.h>
#include <cmocka.h>

#include "unit/mvcc/stories.h"

static void test_what_can_be_compacted(void **state)
{
    (void)state;
    assert_int_equal(mvcc_compact(store, 0), ERR_COMPACTED);
    assert_int_equal(mvcc_compact(store, -1), ERR_COMPACTED);
    assert_int_equal(mvcc_compact(store, 2), ERR_FUTURE_REVISION);
    put("/a", "1");
    put("/a", "2");
    put("/a", "3");
    assert_int_equal(mvcc_compact(store, 5), ERR_FUTURE_REVISION);
    assert_int_equal(mvcc_compact(store, 3), ERR_OK);
    assert_int_equal(mvcc_compact(store, 3), ERR_COMPACTED);
    assert_int_equal(mvcc_compact(store, 2), ERR_COMPACTED);
    assert_int_equal(mvcc_compact(store, 4), ERR_OK); /* while the other runs */
    assert_int_equal(mvcc_compact(store, 4), ERR_COMPACTED);
    IS(status(), "current 4 compacted 4 compacting keys 1 tail 3 applied 0/0 "
                 "flushed 0");
    assert_int_equal(compact_all(100), 1);
    IS(status(), "current 4 compacted 4 keys 1 tail 3 applied 0/0 flushed 0");
    assert_false(mvcc_compact_slice(store, 100));
}

static void test_the_newest_of_each_living_key_stays(void **state)
{
    (void)state;
    put("/a", "1"); /* 2 */
    put("/a", "2"); /* 3 */
    put("/b", "1"); /* 4 */
    put("/c", "1"); /* 5 */
    del("/c");      /* 6 */
    put("/a", "3"); /* 7 */
    put("/d", "1"); /* 8 */
    flush_all();
    compact(6);
    compact_all(1);
    flush_all();
    IS(file_records(), "3.0 4.0 7.0 8.0");
    IS(walk("", NULL, 6), "/a@3.0 /b@4.0");
    IS(walk("", NULL, 7), "/a@7.0 /b@4.0");
    IS(walk("", NULL, 0), "/a@7.0 /b@4.0 /d@8.0");
    IS(get("/a", 6), "2 @3.0 create 2 version 2 prev 2.0");
    IS(get("/a", 0), "3 @7.0 create 2 version 3 prev 3.0");
    IS(get_rev(2, 0), "COMPACTED");
    IS(get_rev(5, 0), "COMPACTED");
    IS(get_rev(6, 0), "COMPACTED");
    IS(get_rev(3, 0), "2 @3.0 create 2 version 2 prev 2.0");
    restart();
    IS(status(), "current 8 compacted 6 keys 3 tail 0 applied 0/0 flushed 0");
    IS(walk("", NULL, 6), "/a@3.0 /b@4.0");
    IS(walk("", NULL, 0), "/a@7.0 /b@4.0 /d@8.0");
    /* The count of versions goes on where its beginning is gone. */
    put("/a", "4");
    IS(get("/a", 0), "4 @9.0 create 2 version 4 prev 7.0");
}

static void test_a_tombstone_above_the_compaction_stays(void **state)
{
    (void)state;
    put("/a", "1"); /* 2 */
    put("/b", "1"); /* 3 */
    del("/a");      /* 4 */
    flush_all();
    compact(3);
    compact_all(100);
    flush_all();
    IS(file_records(), "2.0 3.0 4.0");
    IS(get("/a", 3), "1 @2.0 create 2 version 1");
    IS(get("/a", 4), "NOT_FOUND");
    IS(key_history("/a", 4), "4.0 END");
    compact(4);
    compact_all(100);
    flush_all();
    IS(file_records(), "3.0");
    IS(get("/a", 4), "NOT_FOUND");
    IS(key_history("/a", 5), "END");
    assert_int_equal(store->tables[MVCC_KEYS].count, 1);
    put("/a", "2");
    IS(get("/a", 0), "2 @5.0 create 5 version 1");
}

static void test_lives_that_are_over(void **state)
{
    (void)state;
    put("/a", "1"); /* 2 */
    del("/a");      /* 3 */
    put("/a", "2"); /* 4 */
    del("/a");      /* 5 */
    put("/a", "3"); /* 6 */
    put("/a", "4"); /* 7 */
    flush_all();
    compact(5);
    compact_all(100);
    flush_all();
    IS(file_records(), "6.0 7.0");
    IS(get("/a", 5), "NOT_FOUND");
    IS(get("/a", 6), "3 @6.0 create 6 version 1");
    IS(get("/a", 7), "4 @7.0 create 6 version 2 prev 6.0");
}

static void test_several_records_of_a_key_in_one_revision(void **state)
{
    (void)state;
    begin(); /* 2 */
    add(MVCC_KEYS, "/a", "1");
    add(MVCC_KEYS, "/a", "2");
    add(MVCC_KEYS, "/b", "1");
    erase(MVCC_KEYS, "/b");
    commit();
    begin(); /* 3 */
    add(MVCC_KEYS, "/a", "3");
    add(MVCC_KEYS, "/a", "4");
    commit();
    flush_all();
    compact(2);
    compact_all(100);
    flush_all();
    IS(file_records(), "2.1 3.0 3.1");
    IS(get("/a", 2), "2 @2.1 create 2 version 2 prev 2.0");
    compact(3);
    compact_all(100);
    flush_all();
    IS(file_records(), "3.1");
    restart();
    IS(get("/a", 0), "4 @3.1 create 2 version 4 prev 3.0");
}

static void test_both_tables_are_compacted(void **state)
{
    (void)state;
    for (int i = 0; i < 3; i++) {
        begin();
        add(MVCC_KEYS, "/a", "x");
        add(MVCC_DIRS, "/a", "x");
        add(MVCC_DIRS, "/b", "x");
        commit();
    }
    flush_all();
    compact(4);
    /* A slice goes on from one table to the other. */
    assert_true(mvcc_compact_slice(store, 1));
    assert_int_equal(compact_all(100), 1);
    flush_all();
    IS(file_records(), "4.0 4.1 4.2");
    IS(walk_in(MVCC_DIRS, "", NULL, 0), "/a@4.1 /b@4.2");
}

/* ---- in slices ----------------------------------------------------------- */

static void test_a_slice_looks_at_no_more_than_it_may(void **state)
{
    (void)state;
    put_many("/", 0, 100, "x");
    compact(101);
    assert_int_equal(compact_all(10), 10);
    put("/a", "x");
    compact(102);
    assert_int_equal(compact_all(1000), 1);
}

static void test_writing_while_it_walks(void **state)
{
    (void)state;
    put_many("/k", 0, 200, "1"); /* 2 .. 201 */
    put_many("/k", 0, 200, "2"); /* 202 .. 401 */
    flush_all();
    compact(401);
    for (unsigned i = 0; mvcc_compact_slice(store, 7); i++) {
        char key[64];
        snprintf(key, sizeof key, "/k%05u", i * 3 % 200);
        put(key, "3"); /* before and behind the walk */
        snprintf(key, sizeof key, "/j%05u", i);
        put(key, "new");
        snprintf(key, sizeof key, "/l%05u", i);
        put(key, "new");
        if (i % 5 == 0)
            del(key);
        flush(3);
    }
    flush_all();
    IS(count("/k", "/l", 401), "200");
    IS(count("/k", "/l", 0), "200");
    /* Of each old key the second value, and all that came since. */
    struct mvcc_status now;
    mvcc_status(store, &now);
    assert_int_equal(file_count(MVCC_KV_RECORDS),
                     200 + (uint64_t)now.current - 401);
    restart();
    IS(count("/k", "/l", 401), "200");
    IS(count("/k", "/l", 0), "200");
    index__verify(&store->tables[MVCC_KEYS]);
}

static void test_a_newer_compaction_takes_over(void **state)
{
    (void)state;
    put_many("/", 0, 50, "1"); /* .. 51 */
    put_many("/", 0, 50, "2"); /* .. 101 */
    flush_all();
    compact(60);
    assert_true(mvcc_compact_slice(store, 20));
    put_many("/", 0, 50, "3"); /* .. 151 */
    compact(140);
    flush_all();
    compact_all(20);
    flush_all();
    /* At 140: 39 third values; 11 second ones; and 11 third after it. */
    assert_int_equal(file_count(MVCC_KV_RECORDS), 39 + 11 + 11);
    IS(count("", NULL, 140), "50");
    IS(count("", NULL, 139), "COMPACTED");
    restart();
    IS(status(),
       "current 151 compacted 140 keys 50 tail 0 applied 0/0 flushed 0");
    IS(count("", NULL, 140), "50");
}

static void test_one_after_the_other_before_any_flush(void **state)
{
    (void)state;
    put_many("/", 0, 50, "1");
    flush_all();
    put_many("/", 0, 50, "2");
    compact(60);
    compact_all(100);
    put_many("/", 0, 50, "3");
    compact(110);
    compact_all(100);
    compact(151);
    compact_all(100);
    flush_all();
    assert_int_equal(file_count(MVCC_KV_RECORDS), 50);
    restart();
    IS(status(),
       "current 151 compacted 151 keys 50 tail 0 applied 0/0 flushed 0");
}

/* One key with very many revisions: a slice drops some of them. */
static void test_a_key_that_changed_very_often(void **state)
{
    (void)state;
    enum { TIMES = 5000 };
    for (int i = 0; i < TIMES; i++)
        put("/hot", "x");
    put("/z", "1");
    compact(TIMES + 1);
    unsigned slices = 0;
    do {
        slices++;
        IS(get("/z", 0), "1 @5002.0 create 5002 version 1");
        IS(find("/hot", TIMES + 1), "5001.0");
    } while (mvcc_compact_slice(store, 100));
    assert_true(slices >= 40 && slices <= 60);
    flush_all();
    assert_int_equal(file_count(MVCC_KV_RECORDS), 2);
    put("/hot", "y");
    IS(get("/hot", 0), "y @5003.0 create 2 version 5001 prev 5001.0");
}

static void test_a_slice_of_one_gets_on(void **state)
{
    (void)state;
    for (int i = 0; i < 200; i++)
        put("/hot", "x");
    del("/hot");
    compact(202);
    assert_true(compact_all(1) < 20);
    assert_int_equal(store->tables[MVCC_KEYS].count, 0);
}

static void test_all_keys_vanish(void **state)
{
    (void)state;
    put_many("/", 0, 3000, "x");
    for (unsigned i = 0; i < 3000; i++) {
        char key[64];
        snprintf(key, sizeof key, "/%05u", i * 7 % 3000);
        del(key);
    }
    flush_all();
    compact(6001);
    compact_all(64);
    assert_int_equal(store->tables[MVCC_KEYS].count, 0);
    assert_int_equal(store->tables[MVCC_KEYS].height, 0);
    assert_int_equal(flush_all(), 6);
    assert_int_equal(file_count(MVCC_KV_RECORDS), 0);
    restart();
    IS(status(),
       "current 6001 compacted 6001 keys 0 tail 0 applied 0/0 flushed 0");
    assert_int_equal(put("/a", "1"), 6002);
}

/* ---- and the flush ------------------------------------------------------- */

static void test_the_file_is_cleared_in_parts(void **state)
{
    (void)state;
    for (int i = 0; i < 101; i++)
        put("/a", "x");
    flush_all();
    compact(102);
    compact_all(1000);
    assert_true(flush(30));
    assert_int_equal(file_count(MVCC_KV_RECORDS), 71);
    assert_true(flush(30));
    assert_int_equal(file_count(MVCC_KV_RECORDS), 41);
    assert_true(flush(30));
    assert_true(flush(30));
    assert_int_equal(file_count(MVCC_KV_RECORDS), 1);
    assert_false(flush(30));
}

static void test_what_was_never_in_the_file(void **state)
{
    (void)state;
    for (int i = 0; i < 10; i++)
        put("/a", "x");
    compact(11);
    compact_all(1000);
    IS(get("/a", 0), "x @11.0 create 2 version 10 prev 10.0");
    flush_all();
    IS(file_records(), "11.0");
    IS(get("/a", 0), "x @11.0 create 2 version 10 prev 10.0");
}

/* The compaction came by raft entry 3. As long as the file is before it, it
 * must not lose what takes the place of the dropped: that is not there yet. */
static void test_nothing_goes_before_the_compaction_is_in_the_file(void **state)
{
    (void)state;
    put("/a", "1");
    mvcc_set_applied(store, 1, 1);
    flush_all();
    put("/b", "1");
    mvcc_set_applied(store, 2, 1);
    put("/a", "2");
    compact(4);
    mvcc_set_applied(store, 3, 1);
    compact_all(100);
    assert_true(flush(1));
    IS(file_records(), "2.0 3.0");
    restart();
    IS(status(), "current 3 compacted 0 keys 2 tail 0 applied 2/1 flushed 2");
    IS(get("/a", 0), "1 @2.0 create 2 version 1");
    /* The log plays entry 3 again. */
    put("/a", "2");
    IS(get("/a", 0), "2 @4.0 create 2 version 2 prev 2.0");
    compact(4);
    mvcc_set_applied(store, 3, 1);
    compact_all(100);
    flush_all();
    IS(file_records(), "3.0 4.0");
}

/* Its entry isn't applied to the end: nothing of it goes to the file. */
static void test_the_compaction_waits_for_its_entry(void **state)
{
    (void)state;
    mvcc_set_applied(store, 1, 1);
    put("/a", "1");
    put("/a", "2");
    mvcc_set_applied(store, 2, 1);
    flush_all();
    compact(3);
    compact_all(100);
    assert_false(flush(10));
    IS(file_records(), "2.0 3.0");
    mvcc_set_applied(store, 3, 1);
    assert_true(flush(10));
    IS(file_records(), "3.0");
}

static void test_restart_in_the_middle_of_the_walk(void **state)
{
    (void)state;
    put_many("/", 0, 100, "1");
    put_many("/", 0, 100, "2");
    flush_all();
    compact(201);
    assert_true(mvcc_compact_slice(store, 50));
    flush_all();
    assert_int_equal(file_count(MVCC_KV_RECORDS), 200);
    restart();
    IS(status(), "current 201 compacted 201 compacting keys 100 tail 0 "
                 "applied 0/0 flushed 0");
    IS(count("", NULL, 200), "COMPACTED");
    IS(count("", NULL, 201), "100");
    compact_all(30);
    flush_all();
    assert_int_equal(file_count(MVCC_KV_RECORDS), 100);
    restart();
    IS(status(),
       "current 201 compacted 201 keys 100 tail 0 applied 0/0 flushed 0");
}

/* Parts of what it dropped are gone already. A tombstone must not go before
 * what it ended, or that would come back. */
static void test_restart_when_the_file_is_half_cleared(void **state)
{
    (void)state;
    for (unsigned parts = 1; parts < 12; parts++) {
        put_many("/x", 0, 20, "1");
        for (unsigned i = 0; i < 20; i++) {
            char key[64];
            snprintf(key, sizeof key, "/x%05u", 19 - i);
            put(key, "2");
            del(key);
        }
        put("/stays", "1");
        put("/stays", "2");
        flush_all();
        struct mvcc_status now;
        mvcc_status(store, &now);
        compact(now.current);
        compact_all(1000);
        for (unsigned i = 0; i < parts; i++)
            flush(7);
        restart();
        IS(count("", NULL, 0), "1");
        IS(walk("/x", "/y", 0), "");
        compact_all(10);
        flush_all();
        assert_int_equal(file_count(MVCC_KV_RECORDS), 1);
        restart();
        IS(count("", NULL, 0), "1");
        mvcc_status(store, &now);
        assert_false(now.compacting);
    }
}

static void test_a_restart_forgets_what_was_not_flushed(void **state)
{
    (void)state;
    put("/a", "1");
    put("/a", "2");
    flush_all();
    compact(3);
    compact_all(100);
    IS(get("/a", 2), "COMPACTED");
    restart();
    IS(status(), "current 3 compacted 0 keys 1 tail 0 applied 0/0 flushed 0");
    IS(get("/a", 2), "1 @2.0 create 2 version 1");
}

static void test_a_finished_compaction_stays_so(void **state)
{
    (void)state;
    put("/a", "1");
    put("/a", "2");
    compact(3);
    compact_all(100);
    flush_all();
    /* The next one is under way, but its entry isn't in the file. */
    mvcc_set_applied(store, 1, 1);
    flush_all();
    put("/a", "3");
    mvcc_set_applied(store, 2, 1);
    compact(4);
    assert_true(flush(10));
    restart();
    IS(status(), "current 4 compacted 3 keys 1 tail 0 applied 2/1 flushed 2");
}

static void test_nothing_to_drop_is_finished_too(void **state)
{
    (void)state;
    put("/a", "1");
    put("/b", "1");
    flush_all();
    compact(3);
    assert_true(flush(10)); /* it is known, and not done */
    assert_false(flush(10));
    compact_all(100);
    assert_true(flush(10)); /* it is done */
    assert_false(flush(10));
    restart();
    IS(status(), "current 3 compacted 3 keys 2 tail 0 applied 0/0 flushed 0");
}

static void test_a_set_is_flushed_while_the_next_is_gathered(void **state)
{
    (void)state;
    for (int i = 0; i < 100; i++)
        put("/a", "x");
    flush_all();
    compact(51);
    compact_all(1000);
    struct mvcc_flush *flushing = mvcc_flush_begin(store, 20);
    compact(101);
    compact_all(1000);
    assert_int_equal(mvcc_flush_write(flushing), ERR_OK);
    mvcc_flush_done(store, flushing, ERR_OK);
    mvcc_flush_free(flushing);
    assert_int_equal(file_count(MVCC_KV_RECORDS), 80);
    flush_all();
    IS(file_records(), "101.0");
    restart();
    IS(status(), "current 101 compacted 101 keys 1 tail 0 applied 0/0 "
                 "flushed 0");
}

static void test_closing_with_sets_that_are_not_flushed(void **state)
{
    (void)state;
    for (int i = 0; i < 10; i++)
        put("/a", "x");
    flush_all();
    compact(3);
    compact_all(1000);
    compact(5);
    compact_all(1000);
    compact(7);
    mvcc_compact_slice(store, 1);
    restart();
    IS(get("/a", 2), "x @2.0 create 2 version 1");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        STORY(test_what_can_be_compacted),
        STORY(test_the_newest_of_each_living_key_stays),
        STORY(test_a_tombstone_above_the_compaction_stays),
        STORY(test_lives_that_are_over),
        STORY(test_several_records_of_a_key_in_one_revision),
        STORY(test_both_tables_are_compacted),
        STORY(test_a_slice_looks_at_no_more_than_it_may),
        STORY(test_writing_while_it_walks),
        STORY(test_a_newer_compaction_takes_over),
        STORY(test_one_after_the_other_before_any_flush),
        STORY(test_a_key_that_changed_very_often),
        STORY(test_a_slice_of_one_gets_on),
        STORY(test_all_keys_vanish),
        STORY(test_the_file_is_cleared_in_parts),
        STORY(test_what_was_never_in_the_file),
        STORY(test_nothing_goes_before_the_compaction_is_in_the_file),
        STORY(test_the_compaction_waits_for_its_entry),
        STORY(test_restart_in_the_middle_of_the_walk),
        STORY(test_restart_when_the_file_is_half_cleared),
        STORY(test_a_restart_forgets_what_was_not_flushed),
        STORY(test_a_finished_compaction_stays_so),
        STORY(test_nothing_to_drop_is_finished_too),
        STORY(test_a_set_is_flushed_while_the_next_is_gathered),
        STORY(test_closing_with_sets_that_are_not_flushed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
