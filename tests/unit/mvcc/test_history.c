/* Stories of the past: of the store, of a key, and by the clock. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <stdio.h>
#include <cmocka.h>

#include "unit/mvcc/stories.h"

/* ---- of the store -------------------------------------------------------- */

static void write_some(void)
{
    put("/a", "1"); /* 2 */
    begin();        /* 3 */
    add(MVCC_KEYS, "/b", "2");
    add(MVCC_KEYS, "/c", "3");
    add(MVCC_DIRS, "/", "");
    commit();
    del("/a");      /* 4 */
    put("/b", "4"); /* 5 */
}

static void ask_some(void)
{
    IS(history(0, 0), "2.0 /a=1; 3.0 /b=2; 3.1 /c=3; 3.2 /=; 4.0 /a!; "
                      "5.0 /b=4; END");
    IS(history(1, 9), "2.0 /a=1; 3.0 /b=2; 3.1 /c=3; 3.2 /=; 4.0 /a!; "
                      "5.0 /b=4; END");
    IS(history(2, 1), "3.0 /b=2; 3.1 /c=3; 3.2 /=; 4.0 /a!; 5.0 /b=4; END");
    IS(history(3, 0), "3.0 /b=2; 3.1 /c=3; 3.2 /=; 4.0 /a!; 5.0 /b=4; END");
    IS(history(3, 1), "3.1 /c=3; 3.2 /=; 4.0 /a!; 5.0 /b=4; END");
    IS(history(3, 3), "4.0 /a!; 5.0 /b=4; END");
    IS(history(5, 0), "5.0 /b=4; END");
    IS(history(5, 1), "END");
    IS(history(6, 0), "END");
    IS(history(INT64_MAX / 4, UINT32_MAX), "END");
}

static void test_history_wherever_it_lies(void **state)
{
    (void)state;
    write_some();
    ask_some(); /* all in the tail */
    flush(1);
    ask_some(); /* the first in the file */
    flush(1);
    ask_some(); /* the file ends in the middle */
    flush(1);
    ask_some();
    flush_all();
    ask_some(); /* all in the file */
    restart();
    ask_some();
}

static void test_history_backwards_and_in_leaps(void **state)
{
    (void)state;
    struct record record;
    put_many("/", 0, 100, "x");
    flush(60);
    mvcc_read_begin(reader);
    for (revision main = 101; main >= 2; main--) {
        struct rev from = {main, 0};
        assert_int_equal(mvcc_history(reader, from, &record), ERR_OK);
        assert_int_equal(record.rev.main, main);
    }
    for (revision main = 2; main <= 101; main += 7) {
        struct rev from = {main, 0};
        assert_int_equal(mvcc_history(reader, from, &record), ERR_OK);
        assert_int_equal(record.rev.main, main);
        from.main++; /* right behind it: the cursor goes on */
        if (from.main > 101)
            break;
        assert_int_equal(mvcc_history(reader, from, &record), ERR_OK);
        assert_int_equal(record.rev.main, main + 1);
    }
    mvcc_read_end(reader);
}

/* From one record to the first of the next revision, past the rest of its
 * own: the cursor's next pair is not what was asked for. */
static void test_history_by_whole_revisions(void **state)
{
    (void)state;
    struct record record;
    for (int i = 0; i < 5; i++) {
        begin();
        add(MVCC_KEYS, "/a", "1");
        add(MVCC_KEYS, "/b", "2");
        add(MVCC_KEYS, "/c", "3");
        commit();
    }
    flush_all();
    mvcc_read_begin(reader);
    for (revision main = 2; main <= 6; main++) {
        struct rev from = {main, 0};
        assert_int_equal(mvcc_history(reader, from, &record), ERR_OK);
        assert_int_equal(record.rev.main, main);
        assert_int_equal(record.rev.sub, 0);
        from.sub = 2;
        assert_int_equal(mvcc_history(reader, from, &record), ERR_OK);
        assert_int_equal(record.rev.main, main);
        assert_int_equal(record.rev.sub, 2);
    }
    mvcc_read_end(reader);
}

static void test_history_grows_while_it_is_read(void **state)
{
    (void)state;
    IS(history(2, 0), "END");
    put("/a", "1");
    IS(history(2, 0), "2.0 /a=1; END");
    flush_all();
    put("/a", "2");
    IS(history(2, 1), "3.0 /a=2; END");
    IS(history(4, 0), "END");
    put("/a", "3");
    IS(history(4, 0), "4.0 /a=3; END");
}

static void test_history_above_a_compaction_is_whole(void **state)
{
    (void)state;
    write_some();
    flush_all();
    compact(3);
    compact_all(1);
    flush_all();
    IS(history(0, 0), "COMPACTED");
    IS(history(2, 0), "COMPACTED");
    IS(history(3, 0), "COMPACTED");
    IS(history(3, 9), "COMPACTED");
    IS(history(4, 0), "4.0 /a!; 5.0 /b=4; END");
    compact(5);
    IS(history(5, 0), "COMPACTED");
    IS(history(6, 0), "END");
    put("/d", "5");
    IS(history(6, 0), "6.0 /d=5; END");
}

/* ---- of a key ------------------------------------------------------------ */

static void test_the_history_of_a_key(void **state)
{
    (void)state;
    put("/a", "1"); /* 2 */
    put("/b", "1"); /* 3 */
    put("/a", "2"); /* 4 */
    del("/a");      /* 5 */
    put("/b", "2"); /* 6 */
    put("/a", "3"); /* 7 */
    for (int where = 0; where < 2; where++) {
        IS(key_history("/a", 0), "2.0 4.0 5.0 7.0 END");
        IS(key_history("/a", 2), "2.0 4.0 5.0 7.0 END");
        IS(key_history("/a", 3), "4.0 5.0 7.0 END");
        IS(key_history("/a", 5), "5.0 7.0 END");
        IS(key_history("/a", 7), "7.0 END");
        IS(key_history("/a", 8), "END");
        IS(key_history("/b", 4), "6.0 END");
        IS(key_history("/c", 0), "END");
        flush_all();
        restart();
    }
}

static void test_a_key_has_the_first_of_its_records(void **state)
{
    (void)state;
    struct rev rev;
    begin();
    add(MVCC_KEYS, "/b", "");
    add(MVCC_KEYS, "/a", "1");
    add(MVCC_KEYS, "/a", "2");
    commit();
    mvcc_read_begin(reader);
    assert_int_equal(mvcc_key_history(reader, MVCC_KEYS, SLICE("/a"), 2, &rev),
                     ERR_OK);
    assert_int_equal(rev.main, 2);
    assert_int_equal(rev.sub, 1);
    mvcc_read_end(reader);
}

static void test_the_history_of_a_key_after_compaction(void **state)
{
    (void)state;
    put("/a", "1"); /* 2 */
    put("/a", "2"); /* 3 */
    put("/a", "3"); /* 4 */
    put("/b", "1"); /* 5 */
    compact(3);
    for (int done = 0; done < 2; done++) {
        IS(key_history("/a", 3), "COMPACTED");
        IS(key_history("/a", 4), "4.0 END");
        IS(key_history("/a", 5), "END");
        IS(key_history("/none", 3), "COMPACTED");
        IS(key_history("/none", 4), "END");
        compact_all(10);
        flush_all();
    }
}

/* ---- by the clock -------------------------------------------------------- */

/* Transactions are at 1000, 1010, ...: revision n at 980 + 10 n. */
static void test_what_was_newest_at_a_time(void **state)
{
    (void)state;
    put_many("/", 0, 50, "x");
    for (int where = 0; where < 4; where++) {
        IS(revision_at(0), "NOT_FOUND");
        IS(revision_at(999), "NOT_FOUND");
        IS(revision_at(1000), "2");
        IS(revision_at(1009), "2");
        IS(revision_at(1010), "3");
        IS(revision_at(1239), "25");
        IS(revision_at(1240), "26");
        IS(revision_at(1489), "50");
        IS(revision_at(1490), "51");
        IS(revision_at(1491), "51");
        IS(revision_at(INT64_MAX), "51");
        IS(revision_at(INT64_MIN), "NOT_FOUND");
        if (where == 0)
            flush(20);
        else if (where == 1)
            flush_all();
        else
            restart();
    }
}

static void test_many_revisions_at_one_time(void **state)
{
    (void)state;
    for (int i = 0; i < 10; i++) {
        clock_ns = i < 5 ? 2000 : 3000;
        put("/a", "x");
    }
    for (int where = 0; where < 2; where++) {
        IS(revision_at(1999), "NOT_FOUND");
        IS(revision_at(2000), "6");
        IS(revision_at(2999), "6");
        IS(revision_at(3000), "11");
        flush_all();
    }
}

static void test_the_open_transaction_has_no_time_yet(void **state)
{
    (void)state;
    put("/a", "1");
    begin();
    add(MVCC_KEYS, "/a", "2");
    IS(revision_at(INT64_MAX), "2");
    commit();
    IS(revision_at(INT64_MAX), "3");
}

/* Of the compaction's own revision the time is kept: that revision can still
 * be read. */
static void test_the_clock_and_compaction(void **state)
{
    (void)state;
    put_many("/", 0, 50, "x");
    flush(30);
    compact(21); /* in the file; at 1190 */
    for (int where = 0; where < 3; where++) {
        IS(revision_at(1000), "COMPACTED");
        IS(revision_at(1189), "COMPACTED");
        IS(revision_at(1190), "21");
        IS(revision_at(1199), "21");
        IS(revision_at(1200), "22");
        IS(revision_at(9999), "51");
        compact_all(10);
        flush_all();
        if (where == 1)
            restart();
    }
    put("/a", "x"); /* in the tail; at 1500 */
    put("/a", "y");
    compact(52);
    IS(revision_at(1499), "COMPACTED");
    IS(revision_at(1500), "52");
    IS(revision_at(1510), "53");
    compact(53); /* the newest */
    IS(revision_at(1509), "COMPACTED");
    IS(revision_at(1510), "53");
    IS(revision_at(1511), "53");
}

static void test_the_clock_when_only_the_first_is_compacted(void **state)
{
    (void)state;
    put("/a", "x");
    compact(1); /* nothing was there */
    IS(revision_at(999), "NOT_FOUND");
    IS(revision_at(1000), "2");
    IS(history(1, 0), "COMPACTED");
    IS(history(2, 0), "2.0 /a=x; END");
    IS(get("/a", 1), "NOT_FOUND");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        STORY(test_history_wherever_it_lies),
        STORY(test_history_backwards_and_in_leaps),
        STORY(test_history_by_whole_revisions),
        STORY(test_history_grows_while_it_is_read),
        STORY(test_history_above_a_compaction_is_whole),
        STORY(test_the_history_of_a_key),
        STORY(test_a_key_has_the_first_of_its_records),
        STORY(test_the_history_of_a_key_after_compaction),
        STORY(test_what_was_newest_at_a_time),
        STORY(test_many_revisions_at_one_time),
        STORY(test_the_open_transaction_has_no_time_yet),
        STORY(test_the_clock_and_compaction),
        STORY(test_the_clock_when_only_the_first_is_compacted),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
