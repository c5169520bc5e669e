/* Snapshots over the real file: LMDB, in two directories. What the other tests
 * say of the door in memory holds of this one too; here are the things that
 * only a file has: it is opened again by a new handle, it grows, pages of what
 * was replaced are used again, a writer waits for another one's transaction. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <pthread.h>
#include <unistd.h>
#include <cmocka.h>

#include "host/kv_lmdb.h"
#include "mvcc/mvcc.h"
#include "support/snap_world.h"

enum { KEYS = 6000, VALUE_BYTES = 700 };

static char from_directory[] = "/tmp/etched-snap-XXXXXX";
static char to_directory[] = "/tmp/etched-snap-XXXXXX";
static struct kv *from_file, *to_file;
static struct snap_set *from, *to;
static struct mvcc *store; /* the receiver's */

static struct kv *open_file(const char *directory)
{
    struct kv_lmdb_config config = {.map_bytes = 1 << 30, .no_sync = true};
    struct kv *kv = NULL;
    assert_int_equal(kv_lmdb_open(directory, &config, &kv), ERR_OK);
    return kv;
}

static void start(void)
{
    to_file = open_file(to_directory);
    to = snap_world_set(to_file);
    struct mvcc_config config = {.kv = snap_set_kv(to), .seed = 1};
    assert_int_equal(mvcc_open(&config, &store), ERR_OK);
}

static void stop(void)
{
    mvcc_close(store);
    snap_set_close(to);
    kv_lmdb_close(to_file);
}

static void make_directory(char *directory, size_t size)
{
    memcpy(directory + size - 7, "XXXXXX", 6);
    assert_non_null(mkdtemp(directory));
}

static int setup(void **state)
{
    (void)state;
    make_directory(from_directory, sizeof from_directory);
    make_directory(to_directory, sizeof to_directory);
    from_file = open_file(from_directory);
    from = snap_world_set(from_file);
    start();
    return 0;
}

static void remove_directory(const char *directory)
{
    static const char *const names[] = {"db", "db-lock"};
    char path[64];
    for (unsigned i = 0; i < 2; i++) {
        snprintf(path, sizeof path, "%s/%s", directory, names[i]);
        unlink(path);
    }
    rmdir(directory);
}

static int teardown(void **state)
{
    (void)state;
    stop();
    snap_set_close(from);
    kv_lmdb_close(from_file);
    remove_directory(from_directory);
    remove_directory(to_directory);
    return 0;
}

static void put(struct mvcc *mvcc, unsigned i, size_t bytes)
{
    char key[16];
    struct buf value = {0};
    snprintf(key, sizeof key, "/%07u", i * 7919 % KEYS);
    memset(buf_extend(&value, bytes), 'v', bytes);
    mvcc_begin(mvcc, i);
    mvcc_put(mvcc, &(struct mvcc_put){.cause = MVCC_PUT,
                                      .key = slice_str(key),
                                      .value = buf_slice(&value)});
    mvcc_commit_unref(mvcc_commit(mvcc));
    buf_deinit(&value);
}

static void flush(struct mvcc *mvcc)
{
    struct mvcc_flush *cut;
    while ((cut = mvcc_flush_begin(mvcc, 1000)) != NULL) {
        enum err err = mvcc_flush_write(cut);
        mvcc_flush_done(mvcc, cut, err);
        mvcc_flush_free(cut);
        assert_int_equal(err, ERR_OK);
    }
}

/* The sender has KEYS more revisions; returns its newest. */
static revision move_on(void)
{
    struct mvcc_config config = {.kv = snap_set_kv(from), .seed = 1};
    struct mvcc_status status;
    struct mvcc *mvcc;
    assert_int_equal(mvcc_open(&config, &mvcc), ERR_OK);
    for (unsigned i = 0; i < KEYS; i++)
        put(mvcc, i, VALUE_BYTES);
    flush(mvcc);
    mvcc_status(mvcc, &status);
    /* Of the past, nothing is kept: each snapshot is of one size. */
    assert_int_equal(mvcc_compact(mvcc, status.current), ERR_OK);
    while (mvcc_compact_slice(mvcc, 1000)) {
    }
    flush(mvcc);
    mvcc_close(mvcc);
    return status.current;
}

static void install(struct snap_sink *sink, revision newest)
{
    struct mvcc_status status;
    assert_int_equal(snap_sink_activate(sink), ERR_OK);
    assert_int_equal(mvcc_reload(store), ERR_OK);
    mvcc_status(store, &status);
    assert_int_equal(status.current, newest);
    assert_int_equal(status.keys, KEYS);
    assert_true(snap_world_digest(snap_set_kv(to)) ==
                snap_world_digest(snap_set_kv(from)));
}

/* The receiver starts again after each chunk. */
static void a_transfer_outlives_the_process(void **state)
{
    (void)state;
    unsigned starts = 0;
    revision newest = move_on();
    put(store, 1, 10);
    flush(store);
    struct snap_source *source = snap_world_source(from);
    struct snap_sink *sink = snap_world_sink(to, &snap_world_header);
    while (!snap_world_send(source, sink, 1)) {
        snap_sink_close(sink);
        stop();
        start();
        starts++;
        sink = snap_world_sink(to, &snap_world_header);
        assert_int_equal(snap_source_seek(source, snap_sink_place(sink)),
                         ERR_OK);
    }
    assert_true(starts >= 3);
    install(sink, newest);
    snap_sink_close(sink);
    snap_source_close(source);
    stop();
    start();
    assert_true(snap_world_digest(snap_set_kv(to)) ==
                snap_world_digest(snap_set_kv(from)));
}

/* Again and again: the file holds two stores, and not more. */
static void room_for_two_is_enough(void **state)
{
    (void)state;
    struct snap_header header = snap_world_header;
    struct kv_stat stat;
    uint64_t one = 0;
    for (unsigned round = 0; round < 8; round++) {
        revision newest = move_on();
        struct snap_source *source = snap_world_source(from);
        header.id++;
        struct snap_sink *sink = snap_world_sink(to, &header);
        assert_true(snap_world_send(source, sink, UINT32_MAX));
        install(sink, newest);
        snap_sink_close(sink);
        snap_source_close(source);
        assert_true(snap_world_clean(to) >= 1);
        put(store, round, 10);
        flush(store);
        stop(); /* so that what is free is counted anew */
        start();
        to_file->ops->stat(to_file, &stat);
        if (round == 0)
            one = stat.in_use_bytes;
        assert_true(stat.in_use_bytes < one * 3 / 2);
        assert_true(stat.file_bytes < one * 3);
    }
}

struct flusher {
    pthread_t thread;
    unsigned commits;
};

static void *write_on(void *context)
{
    struct flusher *flusher = context;
    for (unsigned i = 0; i < 400; i++) {
        put(store, i, 100);
        flush(store);
        flusher->commits++;
    }
    return NULL;
}

/* The member's own transactions and the transfer's take turns. */
static void a_flush_and_a_transfer_take_turns(void **state)
{
    (void)state;
    struct flusher flusher = {0};
    struct mvcc_status status;
    bool more = true;
    revision newest = move_on();
    struct snap_source *source = snap_world_source(from);
    assert_int_equal(pthread_create(&flusher.thread, NULL, write_on, &flusher),
                     0);
    struct snap_sink *sink = snap_world_sink(to, &snap_world_header);
    assert_true(snap_world_send(source, sink, UINT32_MAX));
    assert_int_equal(pthread_join(flusher.thread, NULL), 0);
    assert_int_equal(flusher.commits, 400);
    mvcc_status(store, &status);
    assert_int_equal(status.current, 401);
    install(sink, newest);
    snap_sink_close(sink);
    snap_source_close(source);
    while (more)
        assert_int_equal(snap_set_clean(to, &more), ERR_OK);
    assert_int_equal(snap_world_count(to_file, 0, SNAP_SET_TABLES), 0);
}

int main(void)
{
#define STORY(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        STORY(a_transfer_outlives_the_process),
        STORY(room_for_two_is_enough),
        STORY(a_flush_and_a_transfer_take_turns),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
