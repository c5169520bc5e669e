/* The two sets of a file: which is active, what its kv shows, and how the
 * other one is cleaned. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "memory/kv_memory.h"
#include "snap/snap_int.h"
#include "support/snap_world.h"

static struct kv *file;
static struct snap_set *set;

static int setup(void **state)
{
    (void)state;
    file = kv_memory_new();
    set = snap_world_set(file);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    snap_set_close(set);
    kv_memory_free(file);
    return 0;
}

static void reopen(void)
{
    snap_set_close(set);
    file = kv_memory_reopen(file);
    set = snap_world_set(file);
}

static uint64_t count(kv_table table)
{
    return snap_world_count(file, table, table + 1);
}

/* Makes set `active` the one in use, past the sets' own way. */
static void make_active(unsigned active)
{
    struct buf value = {0};
    struct kv_txn *txn;
    size_t begin = snap__seal_begin(&value);
    buf_append_char(&value, (char)active);
    snap__seal_end(&value, begin);
    assert_int_equal(file->ops->begin_write(file, &txn), ERR_OK);
    assert_int_equal(file->ops->put(file, txn, SNAP_CONTROL_TABLE,
                                    snap__active_key, buf_slice(&value)),
                     ERR_OK);
    assert_int_equal(file->ops->commit(file, txn), ERR_OK);
    buf_deinit(&value);
    reopen();
}

static void expect(kv_table table, const char *key, const char *value)
{
    struct kv *kv = snap_set_kv(set);
    struct kv_txn *txn;
    struct slice found;
    assert_int_equal(kv->ops->begin_read(kv, &txn), ERR_OK);
    enum err err = kv->ops->get(kv, txn, table, slice_str(key), &found);
    assert_int_equal(err, value ? ERR_OK : ERR_NOT_FOUND);
    if (value)
        assert_true(slice_eq(found, slice_str(value)));
    kv->ops->end_read(kv, txn);
}

/* ---- which is active ----------------------------------------------------- */

/* A file that was written before there were sets. */
static void a_file_without_a_word_is_set_0(void **state)
{
    (void)state;
    snap_world_put(file, 0, "k", "of 0");
    snap_world_put(file, 2, "k", "of 2");
    snap_world_put(file, 4, "k", "of another");
    expect(0, "k", "of 0");
    expect(1, "k", NULL);
    expect(2, "k", "of 2");
    assert_int_equal(count(SNAP_CONTROL_TABLE), 0); /* and it stays so */
}

static void the_set_that_the_file_names_is_shown(void **state)
{
    (void)state;
    snap_world_put(file, 0, "k", "of 0");
    snap_world_put(file, 4, "k", "of 4");
    make_active(1);
    expect(0, "k", "of 4");
    make_active(0);
    expect(0, "k", "of 0");
}

static void a_damaged_word_is_no_word(void **state)
{
    (void)state;
    struct snap_set *other;
    static const char *const bad[] = {"", "12345", "123456789"};
    for (size_t i = 0; i < 3; i++) {
        snap_world_put(file, SNAP_CONTROL_TABLE, "active", bad[i]);
        assert_int_equal(snap_set_open(file, &other), ERR_CORRUPT);
        assert_null(other);
        assert_memory_equal(err_note(), "the active set: ", 16);
    }
}

static void a_set_that_isnt_there_is_refused(void **state)
{
    (void)state;
    struct snap_set *other;
    struct buf value = {0};
    struct kv_txn *txn;
    size_t begin = snap__seal_begin(&value);
    buf_append_char(&value, SNAP_SETS);
    snap__seal_end(&value, begin);
    assert_int_equal(file->ops->begin_write(file, &txn), ERR_OK);
    assert_int_equal(file->ops->put(file, txn, SNAP_CONTROL_TABLE,
                                    snap__active_key, buf_slice(&value)),
                     ERR_OK);
    assert_int_equal(file->ops->commit(file, txn), ERR_OK);
    buf_deinit(&value);
    assert_int_equal(snap_set_open(file, &other), ERR_CORRUPT);
    assert_string_equal(err_note(), "the active set: no such set");
}

static void a_file_that_cant_be_read_is_told(void **state)
{
    (void)state;
    struct snap_set *other;
    for (uint64_t nth = 1; nth <= 2; nth++) {
        kv_memory_fail_after(file, nth, ERR_IO);
        assert_int_equal(snap_set_open(file, &other), ERR_IO);
        assert_null(other);
    }
    kv_memory_fail_after(file, 0, ERR_OK);
}

/* ---- the kv -------------------------------------------------------------- */

static void a_write_goes_to_its_set_only(void **state)
{
    (void)state;
    make_active(1);
    struct kv *kv = snap_set_kv(set);
    struct kv_txn *txn;
    assert_int_equal(kv->ops->begin_write(kv, &txn), ERR_OK);
    for (kv_table table = 0; table < SNAP_SET_TABLES; table++) {
        assert_int_equal(kv->ops->put(kv, txn, table, SLICE("a"), SLICE("1")),
                         ERR_OK);
        assert_int_equal(
            kv->ops->append(kv, txn, table, SLICE("b"), SLICE("2")), ERR_OK);
    }
    assert_int_equal(kv->ops->del(kv, txn, 1, SLICE("a")), ERR_OK);
    assert_int_equal(kv->ops->del(kv, txn, 1, SLICE("a")), ERR_NOT_FOUND);
    assert_int_equal(kv->ops->clear(kv, txn, 2), ERR_OK);
    assert_int_equal(kv->ops->commit(kv, txn), ERR_OK);
    static const uint64_t counts[] = {0, 0, 0, 0, 2, 1, 0, 2};
    for (kv_table table = 0; table < 8; table++)
        assert_int_equal(count(table), counts[table]);
    assert_int_equal(kv->ops->begin_write(kv, &txn), ERR_OK);
    assert_int_equal(kv->ops->clear(kv, txn, 0), ERR_OK);
    kv->ops->abort(kv, txn);
    assert_int_equal(count(4), 2);
}

static void a_cursor_walks_its_set_only(void **state)
{
    (void)state;
    snap_world_fill(file, 1, 0, 5, 10);
    snap_world_fill(file, 5, 100, 7, 10);
    assert_int_equal(snap_world_count(snap_set_kv(set), 0, 4), 5);
    make_active(1);
    assert_int_equal(snap_world_count(snap_set_kv(set), 0, 4), 7);
}

static void a_reader_that_is_reset_takes_a_new_look(void **state)
{
    (void)state;
    struct kv *kv = snap_set_kv(set);
    struct kv_txn *txn;
    struct slice value;
    snap_world_put(file, 0, "k", "old");
    assert_int_equal(kv->ops->begin_read(kv, &txn), ERR_OK);
    snap_world_put(file, 0, "k", "new");
    assert_int_equal(kv->ops->get(kv, txn, 0, SLICE("k"), &value), ERR_OK);
    assert_true(slice_eq(value, SLICE("old")));
    kv->ops->reset(kv, txn);
    assert_int_equal(kv->ops->renew(kv, txn), ERR_OK);
    assert_int_equal(kv->ops->get(kv, txn, 0, SLICE("k"), &value), ERR_OK);
    assert_true(slice_eq(value, SLICE("new")));
    kv->ops->end_read(kv, txn);
}

static void the_whole_file_is_counted(void **state)
{
    (void)state;
    struct kv *kv = snap_set_kv(set);
    struct kv_stat stat;
    snap_world_put(file, 0, "k", "123");
    snap_world_put(file, 4, "k", "12345");
    kv->ops->stat(kv, &stat);
    assert_int_equal(stat.in_use_bytes, 10);
    kv->ops->forget(kv);
    expect(0, "k", "123");
}

/* ---- cleaning ------------------------------------------------------------ */

static void only_the_other_set_is_cleaned(void **state)
{
    (void)state;
    for (unsigned active = 0; active < SNAP_SETS; active++) {
        for (kv_table table = 0; table < 8; table++)
            snap_world_fill(file, table, 0, 3, 10);
        snap_world_put(file, 9, "k", "somebody else's");
        make_active(active);
        assert_int_equal(snap_world_clean(set), 1);
        for (kv_table table = 0; table < 8; table++)
            assert_int_equal(count(table), table / 4 == active ? 3 : 0);
        assert_int_equal(count(9), 1);
    }
}

static void what_is_clean_costs_no_commit(void **state)
{
    (void)state;
    bool more = true;
    snap_world_fill(file, 0, 0, 3, 10);
    uint64_t before = kv_memory_calls(file);
    assert_int_equal(snap_set_clean(set, &more), ERR_OK);
    assert_false(more);
    /* begin, the two control pairs, four tables: open and seek. */
    assert_int_equal(kv_memory_calls(file) - before, 3 + 4 * 2);
}

static void many_pairs_go_in_parts(void **state)
{
    (void)state;
    snap_world_fill(file, 4, 0, 10000, 8);
    snap_world_fill(file, 6, 0, 10000, 8);
    uint64_t left = 20000;
    bool more = true;
    for (unsigned parts = 0; more; parts++) {
        assert_int_equal(snap_set_clean(set, &more), ERR_OK);
        uint64_t now = snap_world_count(file, 4, 8);
        assert_true(left - now <= 4096);
        assert_true(now == 0 ? !more : more);
        left = now;
        assert_true(parts < 6);
    }
    assert_int_equal(left, 0);
}

static void large_values_go_in_smaller_parts(void **state)
{
    (void)state;
    bool more;
    snap_world_fill(file, 5, 0, 20, 1024 * 1024);
    assert_int_equal(snap_set_clean(set, &more), ERR_OK);
    assert_true(more);
    assert_int_equal(snap_world_count(file, 4, 8), 16);
    assert_int_equal(snap_world_clean(set), 4);
    assert_int_equal(snap_world_count(file, 4, 8), 0);
}

static void a_part_that_fails_is_tried_again(void **state)
{
    (void)state;
    bool more;
    snap_world_fill(file, 0, 0, 10, 8);
    for (uint64_t nth = 1;; nth++) {
        snap_world_fill(file, 4, 0, 5000, 8);
        uint64_t before = kv_memory_calls(file);
        kv_memory_fail_after(file, nth, ERR_DISK_FULL);
        enum err err = snap_set_clean(set, &more);
        kv_memory_fail_after(file, 0, ERR_OK);
        if (err == ERR_OK) {
            assert_true(kv_memory_calls(file) - before < nth);
            break;
        }
        assert_int_equal(err, ERR_DISK_FULL);
        assert_memory_equal(err_note(), "clean the set: ", 15);
        assert_false(more);
        assert_int_equal(count(4), 5000); /* nothing of it was done */
        if (nth > 20)
            nth += 997; /* the many alike in the middle */
    }
    assert_true(more);
    assert_int_equal(count(0), 10);
}

static void a_transfer_is_cleaned_away_too(void **state)
{
    (void)state;
    struct kv *other_file = kv_memory_new();
    struct snap_set *other = snap_world_set(other_file);
    snap_world_fill(other_file, 0, 0, 3000, 1000);
    struct snap_source *source = snap_world_source(other);
    struct snap_sink *sink = snap_world_sink(set, &snap_world_header);
    assert_false(snap_world_send(source, sink, 2));
    snap_sink_close(sink);
    assert_true(snap_world_clean(set) >= 1);
    assert_int_equal(snap_world_count(file, 0, KV_TABLES_MAX), 0);
    sink = snap_world_sink(set, &snap_world_header);
    assert_int_equal(snap_sink_place(sink).size, 0);
    snap_sink_close(sink);
    snap_source_close(source);
    snap_set_close(other);
    kv_memory_free(other_file);
}

int main(void)
{
#define STORY(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        STORY(a_file_without_a_word_is_set_0),
        STORY(the_set_that_the_file_names_is_shown),
        STORY(a_damaged_word_is_no_word),
        STORY(a_set_that_isnt_there_is_refused),
        STORY(a_file_that_cant_be_read_is_told),
        STORY(a_write_goes_to_its_set_only),
        STORY(a_cursor_walks_its_set_only),
        STORY(a_reader_that_is_reset_takes_a_new_look),
        STORY(the_whole_file_is_counted),
        STORY(only_the_other_set_is_cleaned),
        STORY(what_is_clean_costs_no_commit),
        STORY(many_pairs_go_in_parts),
        STORY(large_values_go_in_smaller_parts),
        STORY(a_part_that_fails_is_tried_again),
        STORY(a_transfer_is_cleaned_away_too),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
