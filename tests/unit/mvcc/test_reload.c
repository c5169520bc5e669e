/* Another state takes the place of what the kv file showed: the store reads it
 * anew, and nothing of the old one is left. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <signal.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>

#include "base/plant.h"
#include "unit/mvcc/stories.h"

/* What another member has: its file. */
static struct kv *sent;

/* Tells a story in a world of its own, whose file is then what is sent. */
static void send(void (*story)(void))
{
    struct kv *own_kv = kv;
    struct mvcc *own_store = store;
    struct mvcc_reader *own_reader = reader;
    kv = kv_memory_new();
    start();
    story();
    flush_all();
    stop();
    if (sent != NULL)
        kv_memory_free(sent);
    sent = kv;
    kv = own_kv;
    store = own_store;
    reader = own_reader;
}

static void copy_table(struct kv_txn *from, struct kv_txn *to, kv_table table)
{
    struct kv_cursor *cursor;
    struct slice key, value;
    assert_int_equal(kv->ops->clear(kv, to, table), ERR_OK);
    assert_int_equal(sent->ops->cursor_open(sent, from, table, &cursor),
                     ERR_OK);
    enum err err =
        sent->ops->cursor_seek(sent, cursor, SLICE(""), &key, &value);
    for (; err == ERR_OK;
         err = sent->ops->cursor_next(sent, cursor, &key, &value))
        assert_int_equal(kv->ops->append(kv, to, table, key, value), ERR_OK);
    assert_int_equal(err, ERR_END);
    sent->ops->cursor_close(sent, cursor);
}

/* The file now is as the sent one is. */
static void replace(void)
{
    struct kv_txn *from, *to;
    assert_int_equal(sent->ops->begin_read(sent, &from), ERR_OK);
    assert_int_equal(kv->ops->begin_write(kv, &to), ERR_OK);
    for (kv_table table = 0; table <= MVCC_KV_STATE; table++)
        copy_table(from, to, table);
    assert_int_equal(kv->ops->commit(kv, to), ERR_OK);
    sent->ops->end_read(sent, from);
}

static void reload(void)
{
    struct mvcc *before = store;
    replace();
    assert_int_equal(mvcc_reload(store), ERR_OK);
    assert_ptr_equal(store, before);
}

static int forget(void **state)
{
    if (sent != NULL)
        kv_memory_free(sent);
    sent = NULL;
    return story_end(state);
}

/* ---- what others have ---------------------------------------------------- */

static void nothing(void)
{
}

static void some_keys(void)
{
    clock_ns = 5000;
    put("/a", "sent");
    put("/c", "sent");
    put("/c", "again");
    meta_put("members", "m");
    mvcc_set_applied(store, 70, 3);
}

static void many_revisions(void)
{
    put_many("/k", 0, 500, "v");
    put_many("/k", 0, 500, "w");
    mvcc_set_applied(store, 2000, 9);
}

/* ---- stories ------------------------------------------------------------- */

static void the_store_is_what_came(void **state)
{
    (void)state;
    put("/a", "mine");
    put("/b", "mine");
    flush_all();
    put("/d", "mine, not flushed");
    send(some_keys);
    reload();
    IS(status(), "current 4 compacted 0 keys 2 tail 0 applied 70/3 flushed 70");
    IS(get("/a", 0), "sent @2.0 create 2 version 1");
    IS(get("/b", 0), "NOT_FOUND");
    IS(get("/c", 0), "again @4.0 create 3 version 2 prev 3.0");
    IS(get("/c", 3), "sent @3.0 create 3 version 1");
    IS(get("/d", 0), "NOT_FOUND");
    IS(walk("/", NULL, 0), "/a@2.0 /c@4.0");
    IS(history(1, 0), "2.0 /a=sent; 3.0 /c=sent; 4.0 /c=again; END");
    IS(meta_all(""), "members=m");
}

static void it_goes_on_from_there(void **state)
{
    (void)state;
    put("/x", "mine");
    flush_all();
    send(some_keys);
    reload();
    assert_int_equal(put("/c", "new"), 5);
    IS(get("/c", 0), "new @5.0 create 3 version 3 prev 4.0");
    mvcc_set_applied(store, 71, 3);
    meta_put("members", "n");
    mvcc_set_applied(store, 72, 3);
    assert_int_equal(flush_all(), 1);
    restart();
    IS(status(), "current 5 compacted 0 keys 2 tail 0 applied 72/3 flushed 72");
    IS(history(1, 0), "2.0 /a=sent; 3.0 /c=sent; 4.0 /c=again; "
                      "5.0 /c=new; END");
    IS(meta_all(""), "members=n");
}

static void nothing_of_the_old_reaches_the_file(void **state)
{
    (void)state;
    put("/a", "mine");
    flush_all();
    put("/tail", "1");
    meta_put("changed", "1");
    mvcc_set_applied(store, 7, 1);
    put("/tail", "2");
    send(some_keys);
    reload();
    assert_null(mvcc_flush_begin(store, 1000));
    restart();
    IS(walk("/", NULL, 0), "/a@2.0 /c@4.0");
    IS(file_records(), "2.0 3.0 4.0");
    IS(meta_all(""), "members=m");
    IS(status(), "current 4 compacted 0 keys 2 tail 0 applied 70/3 flushed 70");
}

static void an_empty_state_may_come(void **state)
{
    (void)state;
    put("/a", "mine");
    meta_put("mine", "1");
    mvcc_set_applied(store, 7, 1);
    flush_all();
    put("/b", "mine");
    send(nothing);
    reload();
    IS(status(), "current 1 compacted 0 keys 0 tail 0 applied 0/0 flushed 0");
    IS(walk("/", NULL, 0), "");
    IS(meta_all(""), "");
    assert_int_equal(put("/a", "1"), 2);
}

static void time_runs_on_from_what_came(void **state)
{
    (void)state;
    clock_ns = 9000;
    put("/a", "mine");
    send(some_keys); /* its last is of 5020 */
    reload();
    clock_ns = 100;
    assert_int_equal(put("/z", "1"), 5);
    IS(revision_at(5020), "5"); /* raised to the last commit's */
    IS(revision_at(5019), "3");
}

static void revisions_may_jump_and_fall(void **state)
{
    (void)state;
    put("/a", "mine");
    send(many_revisions);
    reload();
    IS(status(),
       "current 1001 compacted 0 keys 500 tail 0 applied 2000/9 flushed 2000");
    IS(count("/", NULL, 0), "500");
    assert_int_equal(put("/a", "1"), 1002);
    flush_all();
    send(some_keys);
    reload();
    IS(status(), "current 4 compacted 0 keys 2 tail 0 applied 70/3 flushed 70");
    assert_int_equal(put("/a", "1"), 5);
}

static void memory_is_given_back(void **state)
{
    (void)state;
    struct mvcc_status small, large, after;
    mvcc_status(store, &small);
    put_many("/key", 0, 20000, "value");
    mvcc_status(store, &large);
    assert_true(large.index_bytes > small.index_bytes + 500000);
    assert_true(large.tail_bytes > 500000);
    send(nothing);
    reload();
    mvcc_status(store, &after);
    assert_int_equal(after.index_bytes, small.index_bytes);
    assert_int_equal(after.tail_bytes, 0);
}

/* ---- who looks on -------------------------------------------------------- */

static void readers_stay_good(void **state)
{
    (void)state;
    struct mvcc_reader *other;
    put("/a", "mine");
    flush_all();
    assert_int_equal(mvcc_reader_new(store, &other), ERR_OK);
    IS(get("/a", 0), "mine @2.0 create 2 version 1"); /* from the file */
    mvcc_read_begin(other);
    mvcc_read_end(other);
    send(some_keys);
    reload();
    IS(get("/a", 0), "sent @2.0 create 2 version 1");
    struct record record;
    mvcc_read_begin(other);
    assert_int_equal(mvcc_get(other, MVCC_KEYS, SLICE("/c"), 0, &record),
                     ERR_OK);
    assert_true(slice_eq(record.value, SLICE("again")));
    mvcc_read_end(other);
    mvcc_reader_free(other);
}

static void a_commit_that_is_held_stays(void **state)
{
    (void)state;
    begin();
    add(MVCC_KEYS, "/a", "mine");
    struct mvcc_commit *held = mvcc_commit(store);
    send(some_keys);
    reload();
    assert_int_equal(held->main, 2);
    assert_true(slice_eq(held->records[0].value, SLICE("mine")));
    mvcc_commit_unref(held);
}

static void a_walk_goes_on_by_its_key(void **state)
{
    (void)state;
    struct mvcc_walk walk;
    struct slice key;
    struct rev rev;
    put_many("/a", 0, 200, "mine");
    mvcc_read_begin(reader);
    assert_int_equal(mvcc_walk_init(&walk, reader, MVCC_KEYS, SLICE("/"),
                                    (struct slice){0}, 0),
                     ERR_OK);
    assert_int_equal(mvcc_walk_next(&walk, &key, &rev), ERR_OK);
    mvcc_read_end(reader);
    send(many_revisions);
    reload();
    mvcc_read_begin(reader);
    mvcc_walk_seek(&walk, SLICE("/k00007"));
    walk.at = 1001;
    assert_int_equal(mvcc_walk_next(&walk, &key, &rev), ERR_OK);
    assert_true(slice_eq(key, SLICE("/k00007")));
    assert_int_equal(rev.main, 509);
    mvcc_read_end(reader);
}

/* ---- compaction ---------------------------------------------------------- */

static void compacted_keys(void)
{
    put("/a", "1");
    put("/a", "2");
    put("/b", "1");
    put("/a", "3");
    flush_all();
    compact(4); /* and the walk has not begun */
}

static void a_compaction_of_the_old_is_given_up(void **state)
{
    (void)state;
    put_many("/k", 0, 100, "1");
    put_many("/k", 0, 100, "2");
    flush_all();
    compact(201);
    compact_all(1000); /* its drops wait for a flush */
    put("/a", "1");
    compact(202);
    assert_true(mvcc_compact_slice(store, 10)); /* in the middle of the next */
    send(some_keys);
    reload();
    IS(status(), "current 4 compacted 0 keys 2 tail 0 applied 70/3 flushed 70");
    assert_false(mvcc_compact_slice(store, 1000));
    assert_int_equal(flush_all(), 0);
    IS(file_records(), "2.0 3.0 4.0");
    IS(get("/a", 2), "sent @2.0 create 2 version 1");
}

static void a_compaction_that_came_is_finished(void **state)
{
    (void)state;
    put("/mine", "1");
    send(compacted_keys);
    reload();
    IS(status(),
       "current 5 compacted 4 compacting keys 2 tail 0 applied 0/0 flushed 0");
    IS(get("/a", 3), "COMPACTED");
    compact_all(1000);
    flush_all();
    IS(file_records(), "3.0 4.0 5.0");
    IS(get("/a", 4), "2 @3.0 create 2 version 2 prev 2.0");
}

/* ---- leases -------------------------------------------------------------- */

static void put_leased(const char *key, lease_id lease)
{
    begin();
    mvcc_put(store, &(struct mvcc_put){.table = MVCC_KEYS,
                                       .cause = MVCC_SET,
                                       .key = slice_str(key),
                                       .lease = lease,
                                       .expire_ns = 77});
    assert_true(commit() > 0);
}

static void leased_keys(void)
{
    put_leased("/l", 5);
    put_leased("/m", 6);
    del("/m");
}

static void tell(void *context, const struct record *record)
{
    buf_append_slice(context, record->key);
    buf_printf(context, "=%lld/%lld ", (long long)record->lease,
               (long long)record->expire_ns);
}

static void expect_leased(const char *text)
{
    struct buf told = {0};
    mvcc_read_begin(reader);
    assert_int_equal(mvcc_each_leased(reader, tell, &told), ERR_OK);
    mvcc_read_end(reader);
    buf_append_char(&told, '\0');
    assert_string_equal(told.at, text);
    buf_deinit(&told);
}

static void the_leases_that_came_are_told(void **state)
{
    (void)state;
    put_leased("/mine", 4);
    flush_all();
    restart(); /* and nobody asked for the leases since */
    send(leased_keys);
    reload();
    expect_leased("/l=5/77 ");
    expect_leased("");
    send(some_keys);
    reload();
    expect_leased("");
}

#ifdef ETCHED_PLANTED
static void the_planted_bug_loses_them(void **state)
{
    (void)state;
    send(leased_keys);
    plant_active = PLANT_SNAPSHOT_NO_LEASES;
    reload();
    plant_active = PLANT_NONE;
    expect_leased("");
    restart(); /* only a snapshot does */
    expect_leased("/l=5/77 ");
}
#endif

/* ---- what goes wrong ----------------------------------------------------- */

static void a_state_that_is_damaged_is_told(void **state)
{
    (void)state;
    put("/a", "mine");
    send(some_keys);
    replace();
    file_put(MVCC_KV_RECORDS, SLICE("short"), SLICE("1"));
    assert_int_equal(mvcc_reload(store), ERR_CORRUPT);
    assert_memory_equal(err_note(), "open the store again: ", 22);
    struct mvcc_status now; /* may still be asked for */
    mvcc_status(store, &now);
    assert_int_equal(now.tail_commits, 0);
}

static void a_file_that_cant_be_read_is_told(void **state)
{
    (void)state;
    enum err err = ERR_IO;
    for (uint64_t nth = 1; err != ERR_OK; nth++) {
        put("/a", "mine");
        flush_all();
        put("/b", "mine");
        send(some_keys);
        replace();
        kv_memory_fail_after(kv, nth, ERR_IO);
        err = mvcc_reload(store);
        kv_memory_fail_after(kv, 0, ERR_OK);
        assert_true(err == ERR_OK || err == ERR_IO);
        assert_true(err == ERR_IO || nth > 8);
        restart(); /* after which all is well */
        IS(walk("/", NULL, 0), "/a@2.0 /c@4.0");
    }
}

static void a_flush_is_known(void **state)
{
    (void)state;
    put("/a", "1");
    assert_false(mvcc_is_flushing(store));
    struct mvcc_flush *cut = mvcc_flush_begin(store, 10);
    assert_true(mvcc_is_flushing(store));
    enum err err = mvcc_flush_write(cut);
    assert_int_equal(err, ERR_OK);
    assert_true(mvcc_is_flushing(store));
    mvcc_flush_done(store, cut, err);
    mvcc_flush_free(cut);
    assert_false(mvcc_is_flushing(store));
    put("/b", "1");
    cut = mvcc_flush_begin(store, 10);
    mvcc_flush_done(store, cut, ERR_IO);
    mvcc_flush_free(cut);
    assert_false(mvcc_is_flushing(store));
    assert_int_equal(flush_all(), 1);
    assert_null(mvcc_flush_begin(store, 10));
    assert_false(mvcc_is_flushing(store));
}

static bool stops(void (*misuse)(void))
{
    int how = 0;
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        assert_non_null(freopen("/dev/null", "w", stderr));
        signal(SIGABRT, SIG_DFL);
        misuse();
        _exit(0);
    }
    assert_int_equal(waitpid(child, &how, 0), child);
    return WIFSIGNALED(how) && WTERMSIG(how) == SIGABRT;
}

static void reload_now(void)
{
    (void)!mvcc_reload(store);
}

static void reload_in_a_flush(void)
{
    put("/a", "1");
    (void)mvcc_flush_begin(store, 10);
    reload_now();
}

static void reload_in_a_transaction(void)
{
    begin();
    reload_now();
}

static void there_is_a_time_for_it(void **state)
{
    (void)state;
    assert_false(stops(reload_now));
    assert_true(stops(reload_in_a_flush));
    assert_true(stops(reload_in_a_transaction));
}

int main(void)
{
#define RELOAD(name) cmocka_unit_test_setup_teardown(name, story_begin, forget)
    const struct CMUnitTest tests[] = {
        RELOAD(the_store_is_what_came),
        RELOAD(it_goes_on_from_there),
        RELOAD(nothing_of_the_old_reaches_the_file),
        RELOAD(an_empty_state_may_come),
        RELOAD(time_runs_on_from_what_came),
        RELOAD(revisions_may_jump_and_fall),
        RELOAD(memory_is_given_back),
        RELOAD(readers_stay_good),
        RELOAD(a_commit_that_is_held_stays),
        RELOAD(a_walk_goes_on_by_its_key),
        RELOAD(a_compaction_of_the_old_is_given_up),
        RELOAD(a_compaction_that_came_is_finished),
        RELOAD(the_leases_that_came_are_told),
#ifdef ETCHED_PLANTED
        RELOAD(the_planted_bug_loses_them),
#endif
        RELOAD(a_state_that_is_damaged_is_told),
        RELOAD(a_file_that_cant_be_read_is_told),
        RELOAD(a_flush_is_known),
        RELOAD(there_is_a_time_for_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
