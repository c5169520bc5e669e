/* Stories of the flush: what is in the file, when, and after a crash. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <stdio.h>
#include <cmocka.h>

#include "unit/mvcc/stories.h"

static void test_nothing_to_flush(void **state)
{
    (void)state;
    assert_null(mvcc_flush_begin(store, 10));
    put("/a", "1");
    assert_true(flush(10));
    assert_null(mvcc_flush_begin(store, 10));
    begin();
    commit();
    assert_null(mvcc_flush_begin(store, 10));
    restart();
    assert_null(mvcc_flush_begin(store, 10));
    mvcc_flush_free(NULL);
}

static void test_what_was_flushed_is_there_again(void **state)
{
    (void)state;
    put("/a", "1");
    put("/b", "2");
    del("/a");
    flush_all();
    put("/c", "3");
    IS(walk("", NULL, 0), "/b@3.0 /c@5.0");
    restart();
    IS(status(), "current 4 compacted 0 keys 1 tail 0 applied 0/0 flushed 0");
    IS(walk("", NULL, 0), "/b@3.0");
    IS(walk("", NULL, 3), "/a@2.0 /b@3.0");
    IS(history(2, 0), "2.0 /a=1; 3.0 /b=2; 4.0 /a!; END");
    /* And it goes on where it stopped. */
    assert_int_equal(put("/c", "4"), 5);
    IS(get("/c", 0), "4 @5.0 create 5 version 1");
    assert_int_equal(put("/b", "5"), 6);
    IS(get("/b", 0), "5 @6.0 create 3 version 2 prev 3.0");
    flush_all();
    restart();
    IS(walk("", NULL, 0), "/b@6.0 /c@5.0");
}

static void test_a_store_that_was_never_flushed(void **state)
{
    (void)state;
    put("/a", "1");
    restart();
    IS(status(), "current 1 compacted 0 keys 0 tail 0 applied 0/0 flushed 0");
    assert_int_equal(put("/a", "1"), 2);
}

static void test_a_flush_takes_as_many_as_it_may(void **state)
{
    (void)state;
    put_many("/", 0, 25, "x");
    assert_true(flush(10));
    IS(status(),
       "current 26 compacted 0 keys 25 tail 15 applied 0/0 flushed 0");
    assert_int_equal(file_count(MVCC_KV_RECORDS), 10);
    assert_true(flush(10));
    assert_true(flush(10));
    assert_false(flush(10));
    assert_int_equal(file_count(MVCC_KV_RECORDS), 25);
    IS(status(), "current 26 compacted 0 keys 25 tail 0 applied 0/0 flushed 0");
}

/* ---- marks: the raft entry and what it did are one ----------------------- */

static void test_the_applied_index_is_flushed_with_its_records(void **state)
{
    (void)state;
    for (unsigned i = 1; i <= 5; i++) {
        put("/a", "x");
        mvcc_set_applied(store, 100 + i, 7);
    }
    flush(3);
    IS(status(),
       "current 6 compacted 0 keys 1 tail 2 applied 105/7 flushed 103");
    restart();
    IS(status(),
       "current 4 compacted 0 keys 1 tail 0 applied 103/7 flushed 103");
}

static void test_an_entry_without_a_record(void **state)
{
    (void)state;
    mvcc_set_applied(store, 1, 1);
    assert_true(flush(10));
    assert_false(flush(10));
    mvcc_set_applied(store, 2, 1);
    mvcc_set_applied(store, 3, 2);
    assert_true(flush(10));
    IS(status(), "current 1 compacted 0 keys 0 tail 0 applied 3/2 flushed 3");
    restart();
    IS(status(), "current 1 compacted 0 keys 0 tail 0 applied 3/2 flushed 3");
    put("/a", "x");
    mvcc_set_applied(store, 4, 2);
    mvcc_set_applied(store, 5, 2); /* after the same commit */
    assert_true(flush(10));
    assert_false(flush(10));
    restart();
    IS(status(), "current 2 compacted 0 keys 1 tail 0 applied 5/2 flushed 5");
}

/* One raft entry may make several commits: all of them or none. */
static void test_never_between_the_commits_of_an_entry(void **state)
{
    (void)state;
    mvcc_set_applied(store, 1, 1);
    put("/a", "1");
    put("/b", "1");
    mvcc_set_applied(store, 2, 1);
    put("/a", "2");
    put("/b", "2");
    put("/c", "2");
    mvcc_set_applied(store, 3, 1);
    put("/a", "3"); /* its entry is not applied to the end */

    /* Three would end inside the second entry: two it is. */
    assert_true(flush(3));
    IS(status(), "current 7 compacted 0 keys 3 tail 4 applied 3/1 flushed 2");
    /* The next has three commits: it needs more than allowed. */
    assert_true(flush(1));
    IS(status(), "current 7 compacted 0 keys 3 tail 1 applied 3/1 flushed 3");
    assert_false(flush(10));
    stop();
    start();
    IS(status(), "current 6 compacted 0 keys 3 tail 0 applied 3/1 flushed 3");
    IS(get("/a", 0), "2 @4.0 create 2 version 2 prev 2.0");
}

/* The log's entries before the commits have moved the applied index: this
 * alone may go. */
static void test_the_index_alone_while_commits_wait(void **state)
{
    (void)state;
    mvcc_set_applied(store, 1, 1);
    put("/a", "1");
    assert_true(flush(10));
    IS(status(), "current 2 compacted 0 keys 1 tail 1 applied 1/1 flushed 1");
    assert_false(flush(10));
    restart();
    IS(status(), "current 1 compacted 0 keys 0 tail 0 applied 1/1 flushed 1");
}

static void test_the_index_moves_on_while_a_flush_writes(void **state)
{
    (void)state;
    put("/a", "1");
    mvcc_set_applied(store, 1, 1);
    struct mvcc_flush *flushing = mvcc_flush_begin(store, 10);
    mvcc_set_applied(store, 2, 1);
    assert_int_equal(mvcc_flush_write(flushing), ERR_OK);
    mvcc_flush_done(store, flushing, ERR_OK);
    mvcc_flush_free(flushing);
    IS(status(), "current 2 compacted 0 keys 1 tail 0 applied 2/1 flushed 1");
    assert_true(flush(10)); /* the second entry isn't forgotten */
    IS(status(), "current 2 compacted 0 keys 1 tail 0 applied 2/1 flushed 2");
    assert_false(flush(10));

    /* The same when there was no commit in it. */
    mvcc_set_applied(store, 3, 1);
    flushing = mvcc_flush_begin(store, 10);
    mvcc_set_applied(store, 4, 2);
    assert_int_equal(mvcc_flush_write(flushing), ERR_OK);
    mvcc_flush_done(store, flushing, ERR_OK);
    mvcc_flush_free(flushing);
    assert_true(flush(10));
    restart();
    IS(status(), "current 2 compacted 0 keys 1 tail 0 applied 4/2 flushed 4");
}

static void test_writing_goes_on_while_a_flush_writes(void **state)
{
    (void)state;
    put("/a", "1");
    put("/b", "1");
    struct mvcc_flush *flushing = mvcc_flush_begin(store, 10);
    put("/a", "2");
    assert_int_equal(mvcc_flush_write(flushing), ERR_OK);
    put_many("/", 0, 200, "x"); /* the ring of the tail grows meanwhile */
    mvcc_flush_done(store, flushing, ERR_OK);
    put("/a", "3");
    mvcc_flush_free(flushing);
    IS(status(),
       "current 205 compacted 0 keys 202 tail 202 applied 0/0 flushed 0");
    IS(get("/a", 3), "1 @2.0 create 2 version 1");
    IS(get("/a", 4), "2 @4.0 create 2 version 2 prev 2.0");
    IS(get("/a", 0), "3 @205.0 create 2 version 3 prev 4.0");
    assert_int_equal(file_count(MVCC_KV_RECORDS), 2);
    flush_all();
    assert_int_equal(file_count(MVCC_KV_RECORDS), 204);
    restart();
    IS(get("/a", 0), "3 @205.0 create 2 version 3 prev 4.0");
}

/* ---- failing ------------------------------------------------------------- */

static void test_a_flush_that_fails_keeps_everything(void **state)
{
    (void)state;
    put("/a", "1");
    meta_put("m", "1");
    mvcc_set_applied(store, 1, 1);
    kv_memory_fail_after(kv, 1, ERR_DISK_FULL);
    assert_int_equal(flush_err(10), ERR_DISK_FULL);
    IS(status(), "current 2 compacted 0 keys 1 tail 1 applied 1/1 flushed 0");
    assert_int_equal(file_count(MVCC_KV_RECORDS), 0);
    put("/a", "2");
    mvcc_set_applied(store, 2, 1);
    assert_true(flush(10));
    IS(status(), "current 3 compacted 0 keys 1 tail 0 applied 2/1 flushed 2");
    restart();
    IS(get("/a", 0), "2 @3.0 create 2 version 2 prev 2.0");
    IS(meta("m"), "1");
}

static void test_a_flush_given_up(void **state)
{
    (void)state;
    put("/a", "1");
    struct mvcc_flush *flushing = mvcc_flush_begin(store, 10);
    mvcc_flush_done(store, flushing, ERR_STOPPED); /* never written */
    mvcc_flush_free(flushing);
    IS(status(), "current 2 compacted 0 keys 1 tail 1 applied 0/0 flushed 0");
    assert_true(flush(10));
    IS(status(), "current 2 compacted 0 keys 1 tail 0 applied 0/0 flushed 0");
}

/* The process dies when the flush is written but the store was not told:
 * the file is right, and the log begins after it. */
static void test_dying_right_after_the_write(void **state)
{
    (void)state;
    put("/a", "1");
    mvcc_set_applied(store, 1, 1);
    struct mvcc_flush *flushing = mvcc_flush_begin(store, 10);
    assert_int_equal(mvcc_flush_write(flushing), ERR_OK);
    mvcc_flush_done(store, flushing, ERR_STOPPED);
    mvcc_flush_free(flushing);
    restart();
    IS(status(), "current 2 compacted 0 keys 1 tail 0 applied 1/1 flushed 1");
    IS(get("/a", 0), "1 @2.0 create 2 version 1");
}

/* ---- the file's own form ------------------------------------------------- */

static void test_records_lie_in_the_order_of_revisions(void **state)
{
    (void)state;
    put("/z", "1");
    begin();
    add(MVCC_KEYS, "/b", "2");
    add(MVCC_DIRS, "/a", "3");
    commit();
    put_many("/", 0, 300, "x");
    flush_all();
    assert_true(slice_has_prefix(slice_str(file_records()),
                                 SLICE("2.0 3.0 3.1 4.0 5.0 6.0 ")));
    assert_int_equal(file_count(MVCC_KV_RECORDS), 303);
    assert_int_equal(file_count(MVCC_KV_STATE), 1);
    assert_int_equal(file_count(MVCC_KV_META), 0);
}

static void test_very_many_commits_at_once(void **state)
{
    (void)state;
    put_many("/", 0, 20000, "x");
    IS(status(),
       "current 20001 compacted 0 keys 20000 tail 20000 applied 0/0 flushed 0");
    assert_true(flush(100000));
    IS(status(),
       "current 20001 compacted 0 keys 20000 tail 0 applied 0/0 flushed 0");
    put_many("/", 0, 100, "y"); /* the ring was given back, and is made anew */
    IS(get("/00099", 0), "y @20101.0 create 101 version 2 prev 101.0");
    flush_all();
    restart();
    IS(get("/00099", 0), "y @20101.0 create 101 version 2 prev 101.0");
    IS(get("/19999", 0), "x @20001.0 create 20001 version 1");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        STORY(test_nothing_to_flush),
        STORY(test_what_was_flushed_is_there_again),
        STORY(test_a_store_that_was_never_flushed),
        STORY(test_a_flush_takes_as_many_as_it_may),
        STORY(test_the_applied_index_is_flushed_with_its_records),
        STORY(test_an_entry_without_a_record),
        STORY(test_never_between_the_commits_of_an_entry),
        STORY(test_the_index_alone_while_commits_wait),
        STORY(test_the_index_moves_on_while_a_flush_writes),
        STORY(test_writing_goes_on_while_a_flush_writes),
        STORY(test_a_flush_that_fails_keeps_everything),
        STORY(test_a_flush_given_up),
        STORY(test_dying_right_after_the_write),
        STORY(test_records_lie_in_the_order_of_revisions),
        STORY(test_very_many_commits_at_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
