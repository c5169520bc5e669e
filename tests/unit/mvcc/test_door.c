/* What the store asks of the kv door, call by call: a flush is one write
 * transaction that appends; reads from the tail ask nothing; a read takes a
 * snapshot when it needs one and lets go of it at its end. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <stdio.h>
#include <cmocka.h>

#include "unit/mvcc/stories.h"

/* ---- a door that writes down who comes ----------------------------------- */

static const struct kv_ops *inner; /* kv_memory's */
static struct buf trace;

static void note(const char *what)
{
    if (trace.size)
        buf_append_char(&trace, ' ');
    buf_append_str(&trace, what);
}

static const char *table_name(kv_table table)
{
    static const char *const names[] = {"records", "meta", "state"};
    assert_true(table < 3);
    return names[table];
}

static void note_pair(const char *what, kv_table table, struct slice key)
{
    struct rev rev;
    note(what);
    buf_printf(&trace, ":%s", table_name(table));
    if (table != MVCC_KV_RECORDS)
        buf_printf(&trace, "/%.*s", (int)key.size, key.at);
    else if (record__decode_key(key, &rev) == ERR_OK)
        buf_printf(&trace, "/%lld.%u", (long long)rev.main, rev.sub);
}

static enum err begin_read(struct kv *of, struct kv_txn **out)
{
    note("begin_read");
    return inner->begin_read(of, out);
}

static void reset(struct kv *of, struct kv_txn *txn)
{
    note("reset");
    inner->reset(of, txn);
}

static enum err renew(struct kv *of, struct kv_txn *txn)
{
    note("renew");
    return inner->renew(of, txn);
}

static void end_read(struct kv *of, struct kv_txn *txn)
{
    note("end_read");
    inner->end_read(of, txn);
}

static enum err begin_write(struct kv *of, struct kv_txn **out)
{
    note("begin_write");
    return inner->begin_write(of, out);
}

static enum err commit_write(struct kv *of, struct kv_txn *txn)
{
    note("commit");
    return inner->commit(of, txn);
}

static void abort_write(struct kv *of, struct kv_txn *txn)
{
    note("abort");
    inner->abort(of, txn);
}

static enum err get_pair(struct kv *of, struct kv_txn *txn, kv_table table,
                         struct slice key, struct slice *value)
{
    note_pair("get", table, key);
    return inner->get(of, txn, table, key, value);
}

static enum err put_pair(struct kv *of, struct kv_txn *txn, kv_table table,
                         struct slice key, struct slice value)
{
    note_pair("put", table, key);
    return inner->put(of, txn, table, key, value);
}

static enum err append_pair(struct kv *of, struct kv_txn *txn, kv_table table,
                            struct slice key, struct slice value)
{
    note_pair("append", table, key);
    return inner->append(of, txn, table, key, value);
}

static enum err del_pair(struct kv *of, struct kv_txn *txn, kv_table table,
                         struct slice key)
{
    note_pair("del", table, key);
    return inner->del(of, txn, table, key);
}

static enum err cursor_open(struct kv *of, struct kv_txn *txn, kv_table table,
                            struct kv_cursor **out)
{
    note("cursor:");
    buf_append_str(&trace, table_name(table));
    return inner->cursor_open(of, txn, table, out);
}

static void cursor_close(struct kv *of, struct kv_cursor *cursor)
{
    note("close");
    inner->cursor_close(of, cursor);
}

static enum err cursor_seek(struct kv *of, struct kv_cursor *cursor,
                            struct slice from, struct slice *key,
                            struct slice *value)
{
    note("seek");
    return inner->cursor_seek(of, cursor, from, key, value);
}

static enum err cursor_next(struct kv *of, struct kv_cursor *cursor,
                            struct slice *key, struct slice *value)
{
    note("next");
    return inner->cursor_next(of, cursor, key, value);
}

static struct kv_ops noting = {
    .begin_read = begin_read,
    .reset = reset,
    .renew = renew,
    .end_read = end_read,
    .begin_write = begin_write,
    .commit = commit_write,
    .abort = abort_write,
    .get = get_pair,
    .put = put_pair,
    .append = append_pair,
    .del = del_pair,
    .cursor_open = cursor_open,
    .cursor_close = cursor_close,
    .cursor_seek = cursor_seek,
    .cursor_next = cursor_next,
};

/* From now on what happens is noted. */
static void listen(void)
{
    inner = kv->ops;
    noting.stat = inner->stat;
    noting.forget = inner->forget;
    kv->ops = &noting;
    buf_reset(&trace);
}

/* What was noted since `listen`, or the last time. */
static const char *heard(void)
{
    static struct buf last;
    buf_reset(&last);
    buf_append_slice(&last, buf_slice(&trace));
    buf_append_char(&last, '\0');
    buf_reset(&trace);
    return last.at;
}

static int end_story(void **state)
{
    if (inner)
        kv->ops = inner;
    inner = NULL;
    return story_end(state);
}

/* ---- stories ------------------------------------------------------------- */

static void test_opening_is_one_pass(void **state)
{
    (void)state;
    put("/a", "1");
    put("/b", "2");
    meta_put("m", "x");
    flush_all();
    stop();
    listen();
    start();
    IS(heard(), "begin_read get:state/state "
                "cursor:meta seek next close "
                "cursor:records seek next next close "
                "end_read "
                "begin_read reset "  /* the store's own reader */
                "begin_read reset"); /* the story's */
}

static void test_writing_asks_nothing(void **state)
{
    (void)state;
    listen();
    put("/a", "1");
    put("/a", "2");
    del("/a");
    meta_put("m", "x");
    mvcc_set_applied(store, 1, 1);
    compact(4);
    compact_all(10);
    IS(heard(), "");
}

static void test_a_flush_is_one_transaction(void **state)
{
    (void)state;
    put("/a", "1");
    begin();
    add(MVCC_KEYS, "/a", "2");
    add(MVCC_DIRS, "/", "");
    commit();
    meta_put("new", "x");
    meta_put("gone", NULL);
    listen();
    assert_true(flush(100));
    IS(heard(), "begin_write append:records/2.0 append:records/3.0 "
                "append:records/3.1 put:meta/new del:meta/gone "
                "put:state/state commit");
    assert_false(flush(100));
    IS(heard(), "");
}

static void test_a_flush_in_parts(void **state)
{
    (void)state;
    put("/a", "1");
    put("/b", "2");
    put("/c", "3");
    listen();
    flush(2);
    IS(heard(), "begin_write append:records/2.0 append:records/3.0 "
                "put:state/state commit");
    flush(2);
    IS(heard(), "begin_write append:records/4.0 put:state/state commit");
}

static void test_a_flush_that_fails_is_aborted(void **state)
{
    (void)state;
    put("/a", "1");
    put("/b", "2");
    listen();
    kv_memory_fail_after(kv, 3, ERR_IO);
    assert_int_equal(flush_err(10), ERR_IO);
    IS(heard(), "begin_write append:records/2.0 append:records/3.0 abort");
    kv_memory_fail_after(kv, 1, ERR_IO);
    assert_int_equal(flush_err(10), ERR_IO);
    IS(heard(), "begin_write");
    kv_memory_fail_after(kv, 5, ERR_IO); /* a failed commit needs no abort */
    assert_int_equal(flush_err(10), ERR_IO);
    IS(heard(), "begin_write append:records/2.0 append:records/3.0 "
                "put:state/state commit");
}

/* In the order of revisions, whatever the order of keys. */
static void test_dropping_goes_by_revision(void **state)
{
    (void)state;
    put("/c", "1"); /* 2 */
    put("/a", "1"); /* 3 */
    put("/b", "1"); /* 4 */
    put("/a", "2"); /* 5 */
    put("/c", "2"); /* 6 */
    del("/b");      /* 7 */
    flush_all();
    compact(7);
    compact_all(1);
    listen();
    assert_true(flush(3));
    IS(heard(), "begin_write del:records/2.0 del:records/3.0 "
                "del:records/4.0 put:state/state commit");
    assert_true(flush(3));
    IS(heard(), "begin_write del:records/7.0 put:state/state commit");
    assert_false(flush(3));
}

static void test_a_read_from_the_tail_asks_nothing(void **state)
{
    (void)state;
    put("/a", "1");
    put("/b", "1");
    listen();
    get("/a", 0);
    get("/none", 0);
    walk("", NULL, 0);
    count("", NULL, 2);
    history(2, 0);
    key_history("/a", 0);
    revision_at(1005);
    get_rev(2, 0);
    IS(heard(), "");
}

static void test_a_read_from_the_file_takes_one_snapshot(void **state)
{
    (void)state;
    struct record record;
    put("/a", "1");
    put("/b", "1");
    flush_all();
    listen();
    mvcc_read_begin(reader);
    IS(heard(), ""); /* not before it is needed */
    assert_int_equal(mvcc_get(reader, MVCC_KEYS, SLICE("/a"), 0, &record),
                     ERR_OK);
    assert_int_equal(mvcc_get(reader, MVCC_KEYS, SLICE("/b"), 0, &record),
                     ERR_OK);
    IS(heard(), "renew get:records/2.0 get:records/3.0");
    mvcc_read_end(reader);
    IS(heard(), "reset");
    /* Where a record is, is known without it. */
    find("/a", 0);
    walk("", NULL, 0);
    count("", NULL, 2);
    key_history("/a", 0);
    IS(heard(), "");
}

static void test_history_goes_from_pair_to_pair(void **state)
{
    (void)state;
    put_many("/", 0, 4, "x");
    flush_all();
    put("/tail", "x");
    listen();
    IS(history(2, 0), "2.0 /00000=x; 3.0 /00001=x; 4.0 /00002=x; "
                      "5.0 /00003=x; 6.0 /tail=x; END");
    IS(heard(), "renew cursor:records seek next next next next close reset");
}

static void test_compacting_reads_the_time_of_its_revision(void **state)
{
    (void)state;
    put("/a", "1");
    put("/a", "2");
    put("/a", "3");
    flush_all();
    listen();
    compact(2);
    IS(heard(), "renew cursor:records seek close reset");
    compact(4); /* the newest: known */
    IS(heard(), "");
}

static void test_closing_gives_the_readers_back(void **state)
{
    (void)state;
    put("/a", "1"); /* what isn't flushed is lost in silence */
    listen();
    mvcc_reader_free(reader);
    mvcc_close(store);
    store = NULL;
    IS(heard(), "end_read end_read");
}

static int free_trace(void **state)
{
    (void)state;
    buf_deinit(&trace);
    return 0;
}

#define DOOR(name) cmocka_unit_test_setup_teardown(name, story_begin, end_story)

int main(void)
{
    const struct CMUnitTest tests[] = {
        DOOR(test_opening_is_one_pass),
        DOOR(test_writing_asks_nothing),
        DOOR(test_a_flush_is_one_transaction),
        DOOR(test_a_flush_in_parts),
        DOOR(test_a_flush_that_fails_is_aborted),
        DOOR(test_dropping_goes_by_revision),
        DOOR(test_a_read_from_the_tail_asks_nothing),
        DOOR(test_a_read_from_the_file_takes_one_snapshot),
        DOOR(test_history_goes_from_pair_to_pair),
        DOOR(test_compacting_reads_the_time_of_its_revision),
        DOOR(test_closing_gives_the_readers_back),
    };
    return cmocka_run_group_tests(tests, NULL, free_trace);
}
