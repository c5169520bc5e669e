/* Stories of reading: at old revisions, from memory and from the file, in
 * the open transaction; walks and counts. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <stdio.h>
#include <cmocka.h>

#include "unit/mvcc/stories.h"

/* ---- at a revision ------------------------------------------------------- */

static void test_each_revision_is_a_world_of_its_own(void **state)
{
    (void)state;
    put("/a", "1"); /* 2 */
    put("/b", "2"); /* 3 */
    put("/c", "3"); /* 4 */
    del("/b");      /* 5 */
    put("/a", "4"); /* 6 */
    for (int where = 0; where < 3; where++) {
        IS(walk("", NULL, 1), "");
        IS(walk("", NULL, 2), "/a@2.0");
        IS(walk("", NULL, 3), "/a@2.0 /b@3.0");
        IS(walk("", NULL, 4), "/a@2.0 /b@3.0 /c@4.0");
        IS(walk("", NULL, 5), "/a@2.0 /c@4.0");
        IS(walk("", NULL, 6), "/a@6.0 /c@4.0");
        IS(walk("", NULL, 0), "/a@6.0 /c@4.0");
        IS(walk("", NULL, 7), "FUTURE_REVISION");
        IS(count("", NULL, 4), "3");
        IS(count("", NULL, 5), "2");
        IS(count("", NULL, 0), "2");
        IS(count("", NULL, 7), "FUTURE_REVISION");
        IS(find("/b", 4), "3.0");
        IS(find("/b", 5), "NOT_FOUND");
        IS(find("/b", 7), "FUTURE_REVISION");
        IS(get("/b", 3), "2 @3.0 create 3 version 1");
        IS(get("/a", 5), "1 @2.0 create 2 version 1");
        IS(get("/a", 6), "4 @6.0 create 2 version 2 prev 2.0");
        if (where == 0)
            flush(2); /* half of it is in the file */
        else if (where == 1)
            flush_all();
    }
    restart();
    IS(walk("", NULL, 4), "/a@2.0 /b@3.0 /c@4.0");
    IS(get("/a", 5), "1 @2.0 create 2 version 1");
}

static void test_a_record_by_its_name(void **state)
{
    (void)state;
    put("/a", "1");
    del("/a");
    for (int flushed = 0; flushed < 2; flushed++) {
        IS(get_rev(0, 0), "NOT_FOUND");
        IS(get_rev(-5, 0), "NOT_FOUND");
        IS(get_rev(1, 0), "NOT_FOUND");
        IS(get_rev(2, 0), "1 @2.0 create 2 version 1");
        IS(get_rev(2, 1), "NOT_FOUND");
        IS(get_rev(3, 0), "(end) @3.0 prev 2.0");
        IS(get_rev(3, 7), "NOT_FOUND");
        IS(get_rev(4, 0), "FUTURE_REVISION");
        flush_all();
    }
}

static void test_reading_below_the_compaction(void **state)
{
    (void)state;
    put("/a", "1"); /* 2 */
    put("/a", "2"); /* 3 */
    put("/a", "3"); /* 4 */
    put("/a", "4"); /* 5 */
    compact(4);
    /* At once, before any slice. */
    IS(get("/a", 2), "COMPACTED");
    IS(get("/a", 3), "COMPACTED");
    IS(get("/a", 4), "3 @4.0 create 2 version 3 prev 3.0");
    IS(find("/a", 3), "COMPACTED");
    IS(walk("", NULL, 3), "COMPACTED");
    IS(walk("", NULL, 4), "/a@4.0");
    IS(count("", NULL, 3), "COMPACTED");
    IS(count("", NULL, 4), "1");
    IS(history(4, 0), "COMPACTED");
    IS(history(5, 0), "5.0 /a=4; END");
    IS(key_history("/a", 4), "COMPACTED");
    IS(key_history("/a", 5), "5.0 END");
    compact_all(10);
    flush_all();
    IS(get("/a", 3), "COMPACTED");
    IS(get("/a", 4), "3 @4.0 create 2 version 3 prev 3.0");
    IS(get("/a", 5), "4 @5.0 create 2 version 4 prev 4.0");
    IS(get_rev(4, 0), "3 @4.0 create 2 version 3 prev 3.0");
    IS(get_rev(3, 0), "COMPACTED");
}

/* ---- in the open transaction --------------------------------------------- */

static void test_the_writer_sees_what_it_has_done(void **state)
{
    (void)state;
    put("/a", "1");
    put("/b", "1");
    begin();
    IS(get("/a", 0), "1 @2.0 create 2 version 1");
    add(MVCC_KEYS, "/a", "2");
    IS(get("/a", 0), "2 @4.0 create 2 version 2 prev 2.0");
    IS(get("/a", 4), "2 @4.0 create 2 version 2 prev 2.0");
    IS(get("/a", 3), "1 @2.0 create 2 version 1");
    IS(get("/a", 5), "FUTURE_REVISION");
    assert_int_equal(erase(MVCC_KEYS, "/b"), ERR_OK);
    IS(get("/b", 0), "NOT_FOUND");
    IS(get("/b", 3), "1 @3.0 create 3 version 1");
    add(MVCC_KEYS, "/c", "3");
    IS(walk("", NULL, 0), "/a@4.0 /c@4.2");
    IS(walk("", NULL, 3), "/a@2.0 /b@3.0");
    IS(count("", NULL, 0), "2");
    IS(count("", NULL, 3), "2");
    IS(history(4, 0), "4.0 /a=2; 4.1 /b!; 4.2 /c=3; END");
    IS(history(4, 2), "4.2 /c=3; END");
    IS(get_rev(4, 1), "(end) @4.1 prev 3.0");
    IS(get_rev(4, 3), "NOT_FOUND");
    IS(key_history("/c", 2), "4.2 END");
    /* The revision is not there yet. */
    assert_int_equal(mvcc_next_revision(store), 4);
    struct mvcc_status now;
    mvcc_status(store, &now);
    assert_int_equal(now.current, 3);
    assert_int_equal(commit(), 4);
    IS(walk("", NULL, 0), "/a@4.0 /c@4.2");
}

static void test_the_open_transaction_over_a_flushed_store(void **state)
{
    (void)state;
    put("/a", "1");
    flush_all();
    begin();
    add(MVCC_KEYS, "/b", "2");
    IS(walk("", NULL, 0), "/a@2.0 /b@3.0");
    IS(get("/b", 0), "2 @3.0 create 3 version 1");
    IS(get("/a", 0), "1 @2.0 create 2 version 1");
    IS(history(2, 0), "2.0 /a=1; 3.0 /b=2; END");
    commit();
    IS(history(2, 0), "2.0 /a=1; 3.0 /b=2; END");
}

/* ---- walks --------------------------------------------------------------- */

static void test_ranges_have_an_end_or_none(void **state)
{
    (void)state;
    put("/a", "");
    put("/a/b", "");
    put("/b", "");
    put("/c", "");
    IS(walk("/a", "/b", 0), "/a@2.0 /a/b@3.0");
    IS(walk("/a", "/a", 0), "");
    IS(walk("/b", "/a", 0), "");
    IS(walk("/a0", NULL, 0), "/b@4.0 /c@5.0");
    IS(walk("/c", NULL, 0), "/c@5.0");
    IS(walk("/d", NULL, 0), "");
    IS(walk("", "/a", 0), "");
    IS(walk("", "", 0), "");
    IS(walk("", "\xff", 0), "/a@2.0 /a/b@3.0 /b@4.0 /c@5.0");
    IS(count("/a", "/b", 0), "2");
    IS(count("/b", "/a", 0), "0");
    IS(count("/a", "/a", 0), "0");
    IS(count("/a0", NULL, 0), "2");
    IS(count("", "", 0), "0");
    IS(count("/b", "/a", 3), "0");
    IS(count("", "\xff", 0), "4");
}

static void test_keys_come_in_the_order_of_their_bytes(void **state)
{
    (void)state;
    put("b", "");
    put("\xff", "");
    put("a", "");
    put("", "");
    put("aa", "");
    put("B", "");
    put("a/", "");
    IS(walk("", NULL, 0), "@5.0 B@7.0 a@4.0 a/@8.0 aa@6.0 b@2.0 \xff@3.0");
}

static void expect_next(struct mvcc_walk *walker, const char *want)
{
    struct slice key;
    struct rev rev;
    enum err err = mvcc_walk_next(walker, &key, &rev);
    if (want == NULL) {
        assert_int_equal(err, ERR_END);
        return;
    }
    assert_int_equal(err, ERR_OK);
    assert_true(slice_eq(key, slice_str(want)));
}

static void walk_from(struct mvcc_walk *walker, const char *from,
                      const char *end, revision at)
{
    assert_int_equal(mvcc_walk_init(walker, reader, MVCC_KEYS, slice_str(from),
                                    slice_str(end), at),
                     ERR_OK);
}

static void test_a_walk_may_seek(void **state)
{
    (void)state;
    struct mvcc_walk walker;
    put_many("/", 0, 200, "");
    mvcc_read_begin(reader);
    walk_from(&walker, "/00010", "/00150", 0);
    expect_next(&walker, "/00010");
    expect_next(&walker, "/00011");
    mvcc_walk_seek(&walker, SLICE("/00100"));
    expect_next(&walker, "/00100");
    mvcc_walk_seek(&walker, SLICE("/00005")); /* back, even before `from` */
    expect_next(&walker, "/00005");
    mvcc_walk_seek(&walker, SLICE("/001490"));
    expect_next(&walker, NULL);
    expect_next(&walker, NULL); /* the end is the end */
    mvcc_walk_seek(&walker, SLICE("/00149"));
    expect_next(&walker, "/00149");
    expect_next(&walker, NULL);
    mvcc_walk_seek(&walker, SLICE("/9"));
    expect_next(&walker, NULL);
    mvcc_read_end(reader);
}

/* A large range is read in pieces, from one revision, while others write. */
static void test_a_walk_is_taken_up_again(void **state)
{
    (void)state;
    struct mvcc_walk walker;
    struct slice key;
    struct rev rev;
    put_many("/", 0, 500, "1");
    mvcc_read_begin(reader);
    walk_from(&walker, "/", NULL, 0);
    assert_int_equal(walker.at, 501);
    char last[32] = "/";
    unsigned seen = 0;
    for (enum err err = ERR_OK; err == ERR_OK;) {
        mvcc_walk_seek(&walker, slice_of(last, strlen(last) + (seen > 0)));
        for (unsigned i = 0; i < 37; i++) {
            err = mvcc_walk_next(&walker, &key, &rev);
            if (err != ERR_OK)
                break;
            seen++;
            assert_true(rev.main <= 501);
            memcpy(last, key.at, key.size);
            last[key.size] = '\0';
        }
        mvcc_read_end(reader);
        put(last, "2");
        put_many("/", 500 + seen, 10, "3");
        begin();
        erase(MVCC_KEYS, "/00499");
        commit();
        flush(100);
        mvcc_read_begin(reader);
    }
    mvcc_read_end(reader);
    assert_int_equal(seen, 500);
}

static void test_a_walk_that_a_compaction_overtook(void **state)
{
    (void)state;
    struct mvcc_walk walker;
    struct slice key;
    struct rev rev;
    put("/a", "1");
    put("/b", "1");
    put("/c", "1");
    mvcc_read_begin(reader);
    walk_from(&walker, "/", NULL, 0);
    expect_next(&walker, "/a");
    mvcc_read_end(reader);
    put("/b", "2");
    compact(4);
    mvcc_read_begin(reader);
    mvcc_walk_seek(&walker, SLICE("/a0"));
    expect_next(&walker, "/b"); /* revision 4 can still be read */
    mvcc_read_end(reader);
    compact(5);
    mvcc_read_begin(reader);
    mvcc_walk_seek(&walker, SLICE("/b0"));
    assert_int_equal(mvcc_walk_next(&walker, &key, &rev), ERR_COMPACTED);
    mvcc_read_end(reader);
}

/* A range is deleted while it is walked, as v3's DeleteRange does it. */
static void test_deleting_while_walking(void **state)
{
    (void)state;
    struct mvcc_walk walker;
    struct slice key;
    struct rev rev;
    unsigned deleted = 0;
    put_many("/", 0, 1000, "1");
    begin();
    mvcc_read_begin(reader);
    walk_from(&walker, "/00100", "/00900", 0);
    while (mvcc_walk_next(&walker, &key, &rev) == ERR_OK) {
        assert_int_equal(
            mvcc_delete(store, MVCC_KEYS, key, MVCC_DELETE_RANGE, 0), ERR_OK);
        deleted++;
    }
    mvcc_read_end(reader);
    assert_int_equal(deleted, 800);
    commit();
    IS(count("", NULL, 0), "200");
    IS(count("", NULL, 1001), "1000");
}

/* Adding keys splits the leaf under the walk: it loses nothing, and sees
 * nothing twice. */
static void test_adding_while_walking(void **state)
{
    (void)state;
    struct mvcc_walk walker;
    struct slice key;
    struct rev rev;
    unsigned seen = 0;
    put_many("/k", 0, 300, "1");
    begin();
    mvcc_read_begin(reader);
    walk_from(&walker, "/k", "/l", 0);
    while (mvcc_walk_next(&walker, &key, &rev) == ERR_OK) {
        char text[64];
        assert_int_equal(rev.main, 2 + seen);
        snprintf(text, sizeof text, "/k%05u", seen);
        assert_true(slice_eq(key, slice_str(text)));
        seen++;
        for (unsigned i = 0; i < 5; i++) {
            snprintf(text, sizeof text, "/a%u/%u", i, seen);
            add(MVCC_KEYS, text, "before");
            snprintf(text, sizeof text, "/x%u/%u", i, seen);
            add(MVCC_KEYS, text, "after");
        }
    }
    mvcc_read_end(reader);
    commit();
    assert_int_equal(seen, 300);
    IS(count("", NULL, 0), "3300");
}

static void test_a_key_added_ahead_is_met(void **state)
{
    (void)state;
    struct mvcc_walk walker;
    put("/a", "1");
    put("/c", "1");
    begin();
    mvcc_read_begin(reader);
    walk_from(&walker, "/", NULL, 0);
    add(MVCC_KEYS, "/0", "behind the start, before the first");
    expect_next(&walker, "/a");
    add(MVCC_KEYS, "/b", "ahead");
    add(MVCC_KEYS, "/a0", "ahead");
    add(MVCC_KEYS, "/1", "behind");
    expect_next(&walker, "/a0");
    expect_next(&walker, "/b");
    expect_next(&walker, "/c");
    add(MVCC_KEYS, "/d", "ahead of the last");
    expect_next(&walker, "/d");
    expect_next(&walker, NULL);
    mvcc_read_end(reader);
    commit();
}

/* ---- counts -------------------------------------------------------------- */

static void test_counting_many(void **state)
{
    (void)state;
    put_many("/a/", 0, 700, "");
    put_many("/b/", 0, 300, "");
    IS(count("/a/", "/a0", 0), "700");
    IS(count("/a/00100", "/a/00200", 0), "100");
    IS(count("/a/00650", "/b/00050", 0), "100");
    IS(count("", NULL, 0), "1000");
    for (unsigned i = 0; i < 700; i += 2) {
        char key[64];
        snprintf(key, sizeof key, "/a/%05u", i);
        del(key);
    }
    IS(count("/a/", "/a0", 0), "350");
    IS(count("/a/00100", "/a/00200", 0), "50");
    IS(count("/a/", "/a0", 1001), "700");
    IS(count("", NULL, 1002), "999");
    flush_all();
    restart();
    IS(count("/a/", "/a0", 0), "350");
    IS(count("/a/00100", "/a/00200", 0), "50");
    IS(count("/a/", "/a0", 1001), "700");
}

/* ---- readers ------------------------------------------------------------- */

static void test_readers_do_not_disturb_each_other(void **state)
{
    (void)state;
    struct mvcc_reader *other;
    struct record mine, its;
    put("/a", "1");
    put("/b", "2");
    flush_all();
    assert_int_equal(mvcc_reader_new(store, &other), ERR_OK);
    mvcc_read_begin(reader);
    mvcc_read_begin(other);
    assert_int_equal(mvcc_get(reader, MVCC_KEYS, SLICE("/a"), 0, &mine),
                     ERR_OK);
    assert_int_equal(mvcc_get(other, MVCC_KEYS, SLICE("/b"), 0, &its), ERR_OK);
    mvcc_read_end(other);
    assert_true(slice_eq(mine.value, SLICE("1")));
    mvcc_read_end(reader);
    mvcc_reader_free(other);
    mvcc_reader_free(NULL);
}

/* A record from the file is valid until the end of the read, whatever else
 * is read meanwhile. */
static void test_records_stay_until_the_end(void **state)
{
    (void)state;
    struct record records[50];
    put_many("/", 0, 50, "value");
    flush(25);
    mvcc_read_begin(reader);
    struct rev from = {2, 0};
    for (unsigned i = 0; i < 50; i++) {
        assert_int_equal(mvcc_history(reader, from, &records[i]), ERR_OK);
        from.main++;
    }
    for (unsigned i = 0; i < 50; i++) {
        assert_int_equal(records[i].rev.main, 2 + i);
        assert_true(slice_eq(records[i].value, SLICE("value")));
    }
    mvcc_read_end(reader);
}

/* Between a flush's write and its end, a record is both in the file and in
 * the tail; after it, only in the file. A reader that began before sees it
 * all the same. */
static void test_reading_beside_a_flush(void **state)
{
    (void)state;
    put("/a", "1");
    put("/b", "2");
    struct mvcc_flush *flushing = mvcc_flush_begin(store, 1);
    put("/c", "3");
    IS(history(2, 0), "2.0 /a=1; 3.0 /b=2; 4.0 /c=3; END");
    assert_int_equal(mvcc_flush_write(flushing), ERR_OK);
    IS(history(2, 0), "2.0 /a=1; 3.0 /b=2; 4.0 /c=3; END");
    IS(get("/a", 0), "1 @2.0 create 2 version 1");
    mvcc_flush_done(store, flushing, ERR_OK);
    IS(history(2, 0), "2.0 /a=1; 3.0 /b=2; 4.0 /c=3; END");
    IS(get("/a", 0), "1 @2.0 create 2 version 1");
    mvcc_flush_free(flushing);
    IS(get("/a", 0), "1 @2.0 create 2 version 1");
}

/* ---- a file that is not what it should be -------------------------------- */

static struct slice file_key(revision main, uint32_t sub)
{
    static char key[RECORD_KEY_BYTES];
    record__encode_key((struct rev){main, sub}, key);
    return slice_of(key, sizeof key);
}

static void test_a_record_that_vanished_from_the_file(void **state)
{
    (void)state;
    put("/a", "1");
    put("/b", "2");
    flush_all();
    file_del(MVCC_KV_RECORDS, file_key(2, 0));
    IS(get("/a", 0), "CORRUPT");
    assert_non_null(strstr(err_note(), "2/0"));
    IS(get("/b", 0), "2 @3.0 create 3 version 1");
    IS(get_rev(2, 0), "NOT_FOUND");
    IS(revision_at(1005), "CORRUPT");
}

static void test_a_record_whose_bytes_have_changed(void **state)
{
    (void)state;
    put("/a", "1");
    put("/b", "2");
    flush_all();
    file_put(MVCC_KV_RECORDS, file_key(2, 0), SLICE("rubbish"));
    IS(get("/a", 0), "CORRUPT");
    IS(get_rev(2, 0), "CORRUPT");
    IS(history(2, 0), "CORRUPT");
    IS(history(3, 0), "3.0 /b=2; END");
    file_put(MVCC_KV_RECORDS, SLICE("odd key"), SLICE("rubbish"));
    IS(history(3, 0), "3.0 /b=2; CORRUPT");
}

static void test_a_record_of_another_key(void **state)
{
    (void)state;
    struct buf bytes = {0};
    struct record record = {
        .cause = MVCC_PUT,
        .rev = {2, 0},
        .create = 2,
        .version = 1,
        .key = slice_str("/other"),
    };
    put("/a", "1");
    flush_all();
    record__encode(&bytes, &record);
    file_put(MVCC_KV_RECORDS, file_key(2, 0), buf_slice(&bytes));
    IS(get("/a", 0), "CORRUPT");
    assert_non_null(strstr(err_note(), "another key"));
    buf_deinit(&bytes);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        STORY(test_each_revision_is_a_world_of_its_own),
        STORY(test_a_record_by_its_name),
        STORY(test_reading_below_the_compaction),
        STORY(test_the_writer_sees_what_it_has_done),
        STORY(test_the_open_transaction_over_a_flushed_store),
        STORY(test_ranges_have_an_end_or_none),
        STORY(test_keys_come_in_the_order_of_their_bytes),
        STORY(test_a_walk_may_seek),
        STORY(test_a_walk_is_taken_up_again),
        STORY(test_a_walk_that_a_compaction_overtook),
        STORY(test_deleting_while_walking),
        STORY(test_adding_while_walking),
        STORY(test_a_key_added_ahead_is_met),
        STORY(test_counting_many),
        STORY(test_readers_do_not_disturb_each_other),
        STORY(test_records_stay_until_the_end),
        STORY(test_reading_beside_a_flush),
        STORY(test_a_record_that_vanished_from_the_file),
        STORY(test_a_record_whose_bytes_have_changed),
        STORY(test_a_record_of_another_key),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
