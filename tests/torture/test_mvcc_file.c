/* The store over the real file: LMDB, in a directory of its own. What the
 * other tests say of the door in memory holds of this one too; here are the
 * things that only a file has: it grows, it is opened again by a new handle,
 * pages of what was dropped are used again. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
#include <cmocka.h>

#include "base/mem.h"
#include "host/kv_lmdb.h"
#include "mvcc/mvcc.h"

enum { KEYS = 5000, VALUE_BYTES = 256 };

static char directory[] = "/tmp/etched-mvcc-XXXXXX";
static struct kv *kv;
static struct mvcc *store;
static struct mvcc_reader *reader;

static void start(void)
{
    struct kv_lmdb_config file = {.map_bytes = 1 << 30, .no_sync = true};
    assert_int_equal(kv_lmdb_open(directory, &file, &kv), ERR_OK);
    struct mvcc_config config = {.kv = kv, .seed = 1};
    assert_int_equal(mvcc_open(&config, &store), ERR_OK);
    assert_int_equal(mvcc_reader_new(store, &reader), ERR_OK);
}

static void stop(void)
{
    mvcc_reader_free(reader);
    mvcc_close(store);
    kv_lmdb_close(kv);
}

static int setup(void **state)
{
    (void)state;
    memcpy(directory + sizeof directory - 7, "XXXXXX", 6);
    assert_non_null(mkdtemp(directory));
    start();
    return 0;
}

static void remove_file(const char *name)
{
    char path[64];
    snprintf(path, sizeof path, "%s/%s", directory, name);
    unlink(path);
}

static int teardown(void **state)
{
    (void)state;
    stop();
    remove_file("db");
    remove_file("db-lock");
    return rmdir(directory);
}

static struct slice key_of(unsigned i)
{
    static char key[32];
    return slice_of(
        key, (size_t)snprintf(key, sizeof key, "/dir/%05u", i * 7919 % KEYS));
}

static struct slice value_of(unsigned i, unsigned round)
{
    static char value[VALUE_BYTES];
    memset(value, (int)('a' + round % 26), sizeof value);
    put_le32(value, i);
    return slice_of(value, sizeof value);
}

static void put_round(unsigned round)
{
    for (unsigned i = 0; i < KEYS; i++) {
        struct mvcc_put put = {
            .cause = MVCC_PUT,
            .key = key_of(i),
            .value = value_of(i, round),
        };
        mvcc_begin(store, 0);
        mvcc_put(store, &put);
        mvcc_commit_unref(mvcc_commit(store));
    }
}

static void flush_all(void)
{
    struct mvcc_flush *flush;
    while ((flush = mvcc_flush_begin(store, 1000)) != NULL) {
        enum err err = mvcc_flush_write(flush);
        assert_int_equal(err, ERR_OK);
        mvcc_flush_done(store, flush, err);
        mvcc_flush_free(flush);
    }
}

static void check_round(unsigned round, revision at)
{
    mvcc_read_begin(reader);
    for (unsigned i = 0; i < KEYS; i++) {
        struct record record;
        assert_int_equal(mvcc_get(reader, MVCC_KEYS, key_of(i), at, &record),
                         ERR_OK);
        assert_true(slice_eq(record.value, value_of(i, round)));
        assert_int_equal(record.version, round + 1);
        assert_int_equal(record.create, 2 + i);
    }
    mvcc_read_end(reader);
}

static void check_history(revision first, revision last)
{
    struct rev from = {first, 0};
    mvcc_read_begin(reader);
    for (revision main = first; main <= last; main++) {
        struct record record;
        assert_int_equal(mvcc_history(reader, from, &record), ERR_OK);
        assert_int_equal(record.rev.main, main);
        from = (struct rev){main, record.rev.sub + 1};
    }
    struct record record;
    assert_int_equal(mvcc_history(reader, from, &record), ERR_END);
    mvcc_read_end(reader);
}

static void test_a_life_in_a_file(void **state)
{
    (void)state;
    put_round(0);
    check_round(0, 0);
    flush_all();
    check_round(0, 0);
    put_round(1);
    check_round(0, 1 + KEYS);
    check_round(1, 0);
    flush_all();
    stop();
    start();
    check_round(0, 1 + KEYS);
    check_round(1, 0);
    check_history(2, 1 + 2 * KEYS);
    mvcc_meta_put(store, SLICE("member/1"), SLICE("one"));
    flush_all();
    stop();
    start();
    struct slice value;
    assert_true(mvcc_meta_get(store, SLICE("member/1"), &value));
    assert_true(slice_eq(value, SLICE("one")));
}

static void compact_to_now(void)
{
    struct mvcc_status status;
    mvcc_status(store, &status);
    assert_int_equal(mvcc_compact(store, status.current), ERR_OK);
    while (mvcc_compact_slice(store, 500)) {
    }
    flush_all();
}

/* The file's size follows what is kept, not what was ever written. */
static void test_rounds_and_compactions(void **state)
{
    (void)state;
    struct kv_stat early, late;
    for (unsigned round = 0; round < 10; round++) {
        put_round(round);
        flush_all();
        compact_to_now();
        if (round == 3)
            kv->ops->stat(kv, &early);
    }
    kv->ops->stat(kv, &late);
    assert_true(late.file_bytes < early.file_bytes + early.file_bytes / 4);
    check_round(9, 0);
    stop();
    start();
    check_round(9, 0);
    struct mvcc_status status;
    mvcc_status(store, &status);
    assert_int_equal(status.keys, KEYS);
    assert_int_equal(status.compacted, status.current);
    assert_false(status.compacting);
}

/* While a reader is in its place, the flush writes and drops: what the reader
 * was given stays, and what it reads on comes from its snapshot. */
static void test_a_long_read_beside_a_flush(void **state)
{
    (void)state;
    struct record first, other;
    put_round(0);
    put_round(1);
    flush_all();
    struct mvcc_status status;
    mvcc_status(store, &status);
    assert_int_equal(mvcc_compact(store, status.current), ERR_OK);
    while (mvcc_compact_slice(store, 500)) {
    }
    mvcc_read_begin(reader);
    assert_int_equal(mvcc_get(reader, MVCC_KEYS, key_of(0), 0, &first), ERR_OK);
    struct mvcc_flush *flush = mvcc_flush_begin(store, KEYS);
    enum err err = mvcc_flush_write(flush);
    assert_int_equal(err, ERR_OK);
    for (unsigned i = 0; i < KEYS; i++) {
        assert_int_equal(mvcc_get(reader, MVCC_KEYS, key_of(i), 0, &other),
                         ERR_OK);
        assert_true(slice_eq(other.value, value_of(i, 1)));
        /* Dropped, and still in this snapshot. */
        assert_int_equal(mvcc_get_rev(reader, other.prev, &other), ERR_OK);
        assert_true(slice_eq(other.value, value_of(i, 0)));
    }
    assert_true(slice_eq(first.value, value_of(0, 1)));
    mvcc_read_end(reader);
    mvcc_flush_done(store, flush, err);
    mvcc_flush_free(flush);
    mvcc_read_begin(reader);
    assert_int_equal(mvcc_get_rev(reader, first.prev, &other), ERR_COMPACTED);
    mvcc_read_end(reader);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_a_life_in_a_file, setup, teardown),
        cmocka_unit_test_setup_teardown(test_rounds_and_compactions, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(test_a_long_read_beside_a_flush, setup,
                                        teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
