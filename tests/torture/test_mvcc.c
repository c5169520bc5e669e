/* Every call of the kv door fails in turn, in every part of a life: opening,
 * reading, flushing, compacting. An error comes out as it went in, nothing is
 * lost, and the next try does what this one could not. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <stdio.h>
#include <cmocka.h>

#include "base/mem.h"
#include "mvcc/mvcc.h"
#include "memory/kv_memory.h"

enum { KEYS = 40, CALLS_MAX = 100000 };

static struct kv *kv;
static struct mvcc *store;
static struct mvcc_reader *reader;

/* ---- a store with something in it ---------------------------------------- */

static struct slice key_of(unsigned i, char *to)
{
    return slice_of(to, (size_t)snprintf(to, 32, "/key/%02u", i));
}

static void put(unsigned i, const char *value)
{
    char key[32];
    struct mvcc_put put = {
        .cause = MVCC_PUT,
        .key = key_of(i, key),
        .value = slice_str(value),
    };
    mvcc_put(store, &put);
}

static void write_life(void)
{
    char key[32];
    for (unsigned i = 0; i < KEYS; i++) {
        mvcc_begin(store, 1000 * i);
        put(i, "first");
        mvcc_commit_unref(mvcc_commit(store));
    }
    for (unsigned i = 0; i < KEYS; i += 2) {
        mvcc_begin(store, 100000 + 1000 * i);
        put(i, "second");
        if (i % 4 == 0)
            assert_int_equal(mvcc_delete(store, MVCC_KEYS, key_of(i + 1, key),
                                         MVCC_DELETE, 0),
                             ERR_OK);
        mvcc_commit_unref(mvcc_commit(store));
    }
    mvcc_meta_put(store, SLICE("member/1"), SLICE("one"));
    mvcc_meta_put(store, SLICE("member/2"), SLICE("two"));
    mvcc_meta_put(store, SLICE("member/1"), slice_of(NULL, 0));
}

static enum err open_store(void)
{
    struct mvcc_config config = {.kv = kv, .seed = 3};
    return mvcc_open(&config, &store);
}

static void open_all(void)
{
    assert_int_equal(open_store(), ERR_OK);
    assert_int_equal(mvcc_reader_new(store, &reader), ERR_OK);
}

static void close_all(void)
{
    mvcc_reader_free(reader);
    mvcc_close(store);
    reader = NULL;
    store = NULL;
}

static enum err flush_once(size_t commits_max, bool *more)
{
    struct mvcc_flush *flush = mvcc_flush_begin(store, commits_max);
    *more = flush != NULL;
    if (flush == NULL)
        return ERR_OK;
    enum err err = mvcc_flush_write(flush);
    mvcc_flush_done(store, flush, err);
    mvcc_flush_free(flush);
    return err;
}

static enum err flush_all(void)
{
    bool more = true;
    enum err err = ERR_OK;
    while (more && err == ERR_OK)
        err = flush_once(7, &more);
    return err;
}

static int setup(void **state)
{
    (void)state;
    kv = kv_memory_new();
    open_all();
    write_life();
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    close_all();
    kv_memory_free(kv);
    return 0;
}

/* ---- what must be there -------------------------------------------------- */

static const char *value_of(unsigned i)
{
    if (i % 2 == 0)
        return "second";
    return i % 4 == 1 ? NULL : "first";
}

static void assert_key(unsigned i)
{
    char key[32];
    struct record record;
    const char *value = value_of(i);
    enum err err = mvcc_get(reader, MVCC_KEYS, key_of(i, key), 0, &record);
    assert_int_equal(err, value ? ERR_OK : ERR_NOT_FOUND);
    if (value) {
        assert_true(slice_eq(record.value, slice_str(value)));
        assert_int_equal(record.version, i % 2 ? 1 : 2);
    }
}

static void assert_all_there(void)
{
    struct slice value;
    mvcc_read_begin(reader);
    for (unsigned i = 0; i < KEYS; i++)
        assert_key(i);
    mvcc_read_end(reader);
    assert_false(mvcc_meta_get(store, SLICE("member/1"), &value));
    assert_true(mvcc_meta_get(store, SLICE("member/2"), &value));
    assert_true(slice_eq(value, SLICE("two")));
}

/* True when the call that was to fail was not made: all have had their turn. */
static bool armed_is_left(uint64_t before, uint64_t nth)
{
    return kv_memory_calls(kv) - before < nth;
}

/* ---- stories ------------------------------------------------------------- */

static void test_opening_fails_anywhere(void **state)
{
    (void)state;
    assert_int_equal(flush_all(), ERR_OK);
    close_all();
    uint64_t nth = 1;
    for (;; nth++) {
        uint64_t before = kv_memory_calls(kv);
        kv_memory_fail_after(kv, nth, ERR_IO);
        enum err err = open_store();
        if (armed_is_left(before, nth)) {
            assert_int_equal(err, ERR_OK);
            break;
        }
        assert_int_equal(err, ERR_IO);
        assert_null(store);
        assert_true(
            slice_has_prefix(slice_str(err_note()), SLICE("open the store: ")));
        assert_true(nth < CALLS_MAX);
    }
    kv_memory_fail_after(kv, 0, ERR_OK);
    assert_true(nth > KEYS); /* each pair was read by a call */
    assert_int_equal(mvcc_reader_new(store, &reader), ERR_OK);
    assert_all_there();
}

static void test_a_reader_cannot_be_made(void **state)
{
    (void)state;
    struct mvcc_reader *other;
    kv_memory_fail_after(kv, 1, ERR_FULL);
    assert_int_equal(mvcc_reader_new(store, &other), ERR_FULL);
    assert_null(other);
    mem_fail_after(1);
    assert_int_equal(mvcc_reader_new(store, &other), ERR_NO_MEMORY);
    assert_null(other);
    mem_fail_after(0);
    assert_int_equal(mvcc_reader_new(store, &other), ERR_OK);
    mvcc_reader_free(other);
}

static void test_a_flush_fails_anywhere(void **state)
{
    (void)state;
    struct mvcc_status status;
    uint64_t nth = 1;
    bool more = true;
    mvcc_set_applied(store, 10, 1);
    for (;; nth++) {
        uint64_t before = kv_memory_calls(kv);
        kv_memory_fail_after(kv, nth, ERR_DISK_FULL);
        enum err err = flush_once(1000, &more);
        if (armed_is_left(before, nth)) {
            assert_int_equal(err, ERR_OK);
            break;
        }
        assert_int_equal(err, ERR_DISK_FULL);
        assert_true(slice_has_prefix(slice_str(err_note()), SLICE("flush: ")));
        mvcc_status(store, &status);
        assert_int_equal(status.flushed_index, 0);
        assert_int_equal(status.tail_commits, KEYS + KEYS / 2);
        assert_true(nth < CALLS_MAX);
    }
    kv_memory_fail_after(kv, 0, ERR_OK);
    assert_true(more && nth > KEYS);
    mvcc_status(store, &status);
    assert_int_equal(status.flushed_index, 10);
    assert_int_equal(status.tail_commits, 0);
    assert_all_there();
    close_all();
    kv = kv_memory_reopen(kv);
    open_all();
    assert_all_there();
}

/* Each try fails one call later, and after each the process dies: what the
 * file has is all of the flush or nothing. */
static void test_dying_in_a_failed_flush(void **state)
{
    (void)state;
    bool more;
    for (uint64_t nth = 1;; nth++) {
        struct mvcc_status status;
        uint64_t before = kv_memory_calls(kv);
        mvcc_set_applied(store, 10, 1);
        kv_memory_fail_after(kv, nth, ERR_IO);
        enum err err = flush_once(1000, &more);
        if (armed_is_left(before, nth))
            break;
        assert_int_equal(err, ERR_IO);
        kv_memory_fail_after(kv, 0, ERR_OK);
        close_all();
        kv = kv_memory_reopen(kv);
        open_all();
        mvcc_status(store, &status);
        assert_int_equal(status.current, 1);
        assert_int_equal(status.applied_index, 0);
        assert_int_equal(status.keys, 0);
        write_life();
    }
    kv_memory_fail_after(kv, 0, ERR_OK);
    close_all();
    kv = kv_memory_reopen(kv);
    open_all();
    assert_all_there();
}

static enum err read_all(void)
{
    char key[32];
    struct record record;
    enum err err = ERR_OK;
    mvcc_read_begin(reader);
    for (unsigned i = 0; i < KEYS && err == ERR_OK; i++) {
        err = mvcc_get(reader, MVCC_KEYS, key_of(i, key), 0, &record);
        if (err == ERR_NOT_FOUND)
            err = ERR_OK;
    }
    struct rev from = {2, 0};
    while (err == ERR_OK) {
        err = mvcc_history(reader, from, &record);
        from = (struct rev){record.rev.main, record.rev.sub + 1};
    }
    revision at;
    if (err == ERR_END)
        err = mvcc_revision_at(reader, 50000, &at);
    mvcc_read_end(reader);
    return err;
}

static void test_reading_fails_anywhere(void **state)
{
    (void)state;
    assert_int_equal(flush_all(), ERR_OK);
    uint64_t nth = 1;
    for (;; nth++) {
        uint64_t before = kv_memory_calls(kv);
        kv_memory_fail_after(kv, nth, ERR_IO);
        enum err err = read_all();
        if (armed_is_left(before, nth)) {
            assert_int_equal(err, ERR_OK);
            break;
        }
        assert_int_equal(err, ERR_IO);
        assert_true(nth < CALLS_MAX);
    }
    kv_memory_fail_after(kv, 0, ERR_OK);
    assert_true(nth > KEYS);
    assert_all_there();
}

/* Reads from the tail don't touch the file: they can't fail with it. */
static void test_the_tail_reads_without_the_file(void **state)
{
    (void)state;
    uint64_t before = kv_memory_calls(kv);
    assert_all_there();
    assert_int_equal(read_all(), ERR_OK);
    assert_int_equal(kv_memory_calls(kv), before);
}

static void test_compaction_fails_anywhere(void **state)
{
    (void)state;
    struct mvcc_status status;
    uint64_t nth = 1;
    assert_int_equal(flush_all(), ERR_OK);
    mvcc_status(store, &status);

    /* The time of its revision is in the file. */
    kv_memory_fail_after(kv, 1, ERR_IO);
    assert_int_equal(mvcc_compact(store, status.current - 1), ERR_IO);
    mvcc_status(store, &status);
    assert_int_equal(status.compacted, 0);
    assert_false(status.compacting);

    assert_int_equal(mvcc_compact(store, status.current - 1), ERR_OK);
    while (mvcc_compact_slice(store, 3)) {
    }
    for (;; nth++) {
        uint64_t before = kv_memory_calls(kv);
        kv_memory_fail_after(kv, nth, ERR_IO);
        enum err err = flush_all();
        if (armed_is_left(before, nth)) {
            assert_int_equal(err, ERR_OK);
            break;
        }
        assert_int_equal(err, ERR_IO);
        assert_true(nth < CALLS_MAX);
    }
    kv_memory_fail_after(kv, 0, ERR_OK);
    assert_all_there();
    close_all();
    kv = kv_memory_reopen(kv);
    open_all();
    assert_all_there();
    mvcc_status(store, &status);
    assert_int_equal(status.compacted, status.current - 1);
    assert_false(status.compacting);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_opening_fails_anywhere, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(test_a_reader_cannot_be_made, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(test_a_flush_fails_anywhere, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(test_dying_in_a_failed_flush, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(test_reading_fails_anywhere, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(test_the_tail_reads_without_the_file,
                                        setup, teardown),
        cmocka_unit_test_setup_teardown(test_compaction_fails_anywhere, setup,
                                        teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
