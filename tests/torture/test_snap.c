/* Every call of the receiver's file fails once, in turn, in the story of a
 * snapshot: taken in, activated, the store read anew, what it replaced cleaned
 * away. After each failure the member starts again, as after a crash, and tries
 * on; what it shows is the old state or the new one, whole, at any time. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <stdio.h>
#include <cmocka.h>

#include "memory/kv_memory.h"
#include "mvcc/mvcc.h"
#include "support/snap_world.h"

enum { OLD_KEYS = 30, NEW_KEYS = 120, VALUE_BYTES = 30 * 1000 };

static struct kv *from_file, *to_file;
static struct snap_set *from, *to;
static struct mvcc *store; /* the receiver's */
static struct mvcc_reader *reader;
static uint64_t old, sent; /* digests */

static void put(struct mvcc *mvcc, unsigned i, size_t bytes)
{
    char key[16];
    struct buf value = {0};
    snprintf(key, sizeof key, "/key%05u", i);
    memset(buf_extend(&value, bytes), (int)('a' + i % 26), bytes);
    mvcc_begin(mvcc, i);
    mvcc_put(mvcc, &(struct mvcc_put){.cause = MVCC_PUT,
                                      .key = slice_str(key),
                                      .value = buf_slice(&value)});
    mvcc_commit_unref(mvcc_commit(mvcc));
    buf_deinit(&value);
}

static enum err flush(struct mvcc *mvcc)
{
    struct mvcc_flush *cut = mvcc_flush_begin(mvcc, SIZE_MAX);
    if (cut == NULL)
        return ERR_OK;
    enum err err = mvcc_flush_write(cut);
    mvcc_flush_done(mvcc, cut, err);
    mvcc_flush_free(cut);
    return err;
}

static void fill(struct snap_set *set, unsigned keys, size_t bytes)
{
    struct mvcc_config config = {.kv = snap_set_kv(set), .seed = 1};
    struct mvcc *mvcc;
    assert_int_equal(mvcc_open(&config, &mvcc), ERR_OK);
    for (unsigned i = 0; i < keys; i++)
        put(mvcc, i, bytes);
    mvcc_set_applied(mvcc, keys, 1);
    assert_int_equal(flush(mvcc), ERR_OK);
    mvcc_close(mvcc);
}

static void start(void)
{
    struct mvcc_config config;
    to = snap_world_set(to_file);
    config = (struct mvcc_config){.kv = snap_set_kv(to), .seed = 1};
    assert_int_equal(mvcc_open(&config, &store), ERR_OK);
    assert_int_equal(mvcc_reader_new(store, &reader), ERR_OK);
}

static void stop(void)
{
    mvcc_reader_free(reader);
    mvcc_close(store);
    snap_set_close(to);
}

static int setup(void **state)
{
    (void)state;
    from_file = kv_memory_new();
    from = snap_world_set(from_file);
    fill(from, NEW_KEYS, VALUE_BYTES);
    sent = snap_world_digest(snap_set_kv(from));
    to_file = kv_memory_new();
    to = snap_world_set(to_file);
    fill(to, OLD_KEYS, 20);
    old = snap_world_digest(snap_set_kv(to));
    snap_set_close(to);
    start();
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    stop();
    snap_set_close(from);
    kv_memory_free(from_file);
    kv_memory_free(to_file);
    return 0;
}

/* ---- the story ----------------------------------------------------------- */

static bool is_new(void)
{
    struct mvcc_status status;
    mvcc_status(store, &status);
    return status.keys == NEW_KEYS;
}

static enum err take_chunks(struct snap_source *source, struct snap_sink *sink)
{
    struct buf chunk = {0};
    bool complete = false;
    enum err err = snap_source_seek(source, snap_sink_place(sink));
    while (err == ERR_OK && !complete) {
        buf_reset(&chunk);
        assert_int_equal(snap_source_next(source, &chunk), ERR_OK);
        err = snap_sink_write(sink, buf_slice(&chunk), &complete);
    }
    buf_deinit(&chunk);
    return err;
}

static enum err receive(struct snap_source *source)
{
    struct snap_sink *sink;
    enum err err = snap_sink_open(to, &snap_world_header, &sink);
    if (err != ERR_OK)
        return err;
    err = take_chunks(source, sink);
    if (err == ERR_OK)
        err = snap_sink_activate(sink);
    snap_sink_close(sink);
    return err == ERR_OK ? mvcc_reload(store) : err;
}

static enum err tell(struct snap_source *source)
{
    bool more = true;
    enum err err = is_new() ? ERR_OK : receive(source);
    while (err == ERR_OK && more)
        err = snap_set_clean(to, &more);
    if (err == ERR_OK) {
        put(store, NEW_KEYS, 10);
        err = flush(store);
    }
    return err;
}

static void crash(void)
{
    stop();
    to_file = kv_memory_reopen(to_file);
    start();
    uint64_t now = snap_world_digest(snap_set_kv(to));
    assert_true(now == (is_new() ? sent : old));
}

static void each_call_that_fails_leaves_the_old_or_the_new(void **state)
{
    (void)state;
    unsigned failures = 0;
    enum err err = ERR_IO;
    struct snap_source *source = snap_world_source(from);
    for (uint64_t nth = 1; err != ERR_OK; nth++) {
        kv_memory_fail_after(to_file, nth, ERR_IO);
        err = tell(source);
        kv_memory_fail_after(to_file, 0, ERR_OK);
        if (err == ERR_OK)
            break;
        assert_int_equal(err, ERR_IO);
        failures++;
        crash();
    }
    assert_true(failures > 30);
    snap_source_close(source);
    struct mvcc_status status;
    mvcc_status(store, &status);
    assert_int_equal(status.keys, NEW_KEYS + 1);
    assert_int_equal(snap_world_count(to_file, 0, 4), 0);
}

/* The same, but each time from the beginning: so that every call is met, also
 * those that a resumed transfer has no more. */
static void each_call_of_a_fresh_member_may_fail(void **state)
{
    (void)state;
    enum err err = ERR_IO;
    for (uint64_t nth = 1; err != ERR_OK; nth++) {
        struct snap_source *source = snap_world_source(from);
        kv_memory_fail_after(to_file, nth, ERR_DISK_FULL);
        err = tell(source);
        kv_memory_fail_after(to_file, 0, ERR_OK);
        if (err != ERR_OK) {
            assert_int_equal(err, ERR_DISK_FULL);
            crash();
            assert_int_equal(tell(source), ERR_OK);
        }
        struct mvcc_status status;
        mvcc_status(store, &status);
        assert_int_equal(status.keys, NEW_KEYS + 1);
        assert_int_equal(snap_world_count(to_file, 0, 4), 0);
        snap_source_close(source);
        teardown(NULL);
        setup(NULL);
    }
}

int main(void)
{
#define STORY(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        STORY(each_call_that_fails_leaves_the_old_or_the_new),
        STORY(each_call_of_a_fresh_member_may_fail),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
