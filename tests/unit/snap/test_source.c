/* The sender: one state, in order, from any place. */
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
static struct snap_source *source;
static struct buf chunk;

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
    snap_source_close(source);
    source = NULL;
    snap_set_close(set);
    kv_memory_free(file);
    buf_deinit(&chunk);
    chunk = (struct buf){0};
    return 0;
}

static void open_source(void)
{
    source = snap_world_source(set);
}

/* Takes the next chunk and looks it through. */
static struct snap__chunk next(void)
{
    struct snap__chunk read;
    buf_reset(&chunk);
    assert_int_equal(snap_source_next(source, &chunk), ERR_OK);
    assert_int_equal(snap__chunk_open(buf_slice(&chunk), &read), ERR_OK);
    return read;
}

static void expect_pair(struct snap__chunk *from, kv_table table,
                        const char *key, const char *value)
{
    struct snap__pair pair;
    assert_int_equal(snap__chunk_next(from, &pair), ERR_OK);
    assert_int_equal(pair.table, table);
    assert_true(slice_eq(pair.key, slice_str(key)));
    assert_true(slice_eq(pair.value, slice_str(value)));
}

static void expect_no_more(struct snap__chunk *from)
{
    struct snap__pair pair;
    assert_int_equal(snap__chunk_next(from, &pair), ERR_END);
}

static void expect_end(void)
{
    assert_int_equal(snap_source_next(source, &chunk), ERR_END);
}

static void a_small_store_is_one_chunk(void **state)
{
    (void)state;
    snap_world_put(file, 3, "x", "4");
    snap_world_put(file, 0, "b", "2");
    snap_world_put(file, 0, "a", "1");
    snap_world_put(file, 2, "a", "3");
    snap_world_put(file, 4, "of another set", "");
    snap_world_put(file, SNAP_CONTROL_TABLE, "x", "");
    open_source();
    struct snap__chunk read = next();
    assert_true(read.last);
    assert_int_equal(read.behind.size, 0);
    assert_int_equal(read.total, 4);
    expect_pair(&read, 0, "a", "1");
    expect_pair(&read, 0, "b", "2");
    expect_pair(&read, 2, "a", "3");
    expect_pair(&read, 3, "x", "4");
    expect_no_more(&read);
    expect_end();
    expect_end();
}

static void an_empty_store_is_an_empty_chunk(void **state)
{
    (void)state;
    open_source();
    struct snap__chunk read = next();
    assert_true(read.last);
    assert_int_equal(read.total, 0);
    expect_no_more(&read);
    expect_end();
}

static void it_is_appended_to_what_is_there(void **state)
{
    (void)state;
    struct snap__chunk read;
    snap_world_put(file, 0, "a", "1");
    open_source();
    buf_append_str(&chunk, "head");
    assert_int_equal(snap_source_next(source, &chunk), ERR_OK);
    assert_memory_equal(chunk.at, "head", 4);
    assert_int_equal(
        snap__chunk_open(slice_of(chunk.at + 4, chunk.size - 4), &read),
        ERR_OK);
    expect_pair(&read, 0, "a", "1");
}

static void chunks_are_of_a_size_and_join(void **state)
{
    (void)state;
    snap_world_fill(file, 0, 0, 2000, 1000);
    snap_world_fill(file, 1, 0, 2000, 1000);
    open_source();
    uint64_t pairs = 0;
    uint32_t crc = 0;
    unsigned chunks = 0;
    for (bool last = false; !last; chunks++) {
        struct snap__chunk read = next();
        struct snap__place behind;
        last = read.last;
        assert_true(chunk.size < SNAP_CHUNK_BYTES + 1100);
        assert_true(last || chunk.size >= SNAP_CHUNK_BYTES);
        assert_true(snap__place_decode(read.behind, &behind));
        assert_int_equal(behind.pairs, pairs);
        assert_int_equal(behind.crc, crc);
        assert_int_equal(behind.table, pairs > 2000);
        if (pairs > 0)
            assert_int_equal(get_be64(behind.key.at), (pairs - 1) % 2000);
        pairs += read.pairs;
        crc = read.crc;
        if (last)
            assert_int_equal(read.total, 4000);
    }
    assert_int_equal(chunks, 4);
    assert_int_equal(pairs, 4000);
    expect_end();
}

static void a_large_pair_ends_its_chunk(void **state)
{
    (void)state;
    snap_world_fill(file, 0, 0, 3, 3 * 1024 * 1024);
    open_source();
    for (unsigned i = 0; i < 3; i++) {
        struct snap__chunk read = next();
        assert_int_equal(read.pairs, 1);
        assert_int_equal(read.last, i == 2);
        assert_true(chunk.size > 3 * 1024 * 1024);
    }
}

static void what_is_written_meanwhile_is_not_in_it(void **state)
{
    (void)state;
    snap_world_fill(file, 0, 100, 3000, 1000);
    uint64_t digest = snap_world_digest(file);
    open_source();
    (void)next();
    snap_world_fill(file, 0, 0, 50, 10);
    snap_world_fill(file, 0, 3000, 1000, 10);
    snap_world_put(file, 1, "new", "");
    assert_true(digest != snap_world_digest(file));
    assert_int_equal(snap_world_digest(snap_source_kv(source)), digest);
    uint64_t pairs = 0;
    assert_int_equal(snap_source_seek(source, SLICE("")), ERR_OK);
    for (bool last = false; !last;) {
        struct snap__chunk read = next();
        pairs += read.pairs;
        last = read.last;
    }
    assert_int_equal(pairs, 3000);
}

static void the_set_of_the_transaction_is_read(void **state)
{
    (void)state;
    struct kv *old = kv_memory_new();
    struct snap_set *old_set = snap_world_set(old);
    snap_world_put(old, 0, "k", "sent");
    snap_world_put(file, 0, "k", "mine");
    open_source();
    snap_world_copy(old_set, set, &snap_world_header);
    struct snap__chunk read = next();
    expect_pair(&read, 0, "k", "mine");
    snap_source_close(source);
    open_source();
    read = next();
    expect_pair(&read, 0, "k", "sent");
    snap_set_close(old_set);
    kv_memory_free(old);
}

/* ---- places -------------------------------------------------------------- */

static struct buf place_behind(const struct snap__chunk *read)
{
    struct snap__chunk copy = *read;
    struct snap__place place, before;
    struct snap__pair pair;
    struct buf out = {0};
    assert_true(snap__place_decode(read->behind, &before));
    place = before;
    place.crc = read->crc;
    while (snap__chunk_next(&copy, &pair) == ERR_OK) {
        place.table = pair.table;
        place.key = pair.key;
        place.pairs++;
    }
    snap__place_encode(&place, &out);
    return out;
}

static void it_goes_on_from_any_place(void **state)
{
    (void)state;
    snap_world_fill(file, 0, 0, 1500, 1000);
    snap_world_fill(file, 2, 0, 3000, 1000);
    open_source();
    for (unsigned skipped = 0; skipped < 4; skipped++) {
        assert_int_equal(snap_source_seek(source, SLICE("")), ERR_OK);
        struct buf place = {0};
        for (unsigned i = 0; i < skipped; i++) {
            buf_deinit(&place);
            struct snap__chunk read = next();
            place = place_behind(&read);
        }
        struct snap__chunk read = next();
        struct buf wanted = {0};
        buf_append_slice(&wanted, buf_slice(&chunk));
        (void)next();
        assert_int_equal(snap_source_seek(source, buf_slice(&place)), ERR_OK);
        read = next();
        assert_true(slice_eq(buf_slice(&chunk), buf_slice(&wanted)));
        assert_true(slice_eq(read.behind, buf_slice(&place)));
        buf_deinit(&wanted);
        buf_deinit(&place);
    }
}

static void at_the_end_an_empty_chunk_is_left(void **state)
{
    (void)state;
    snap_world_fill(file, 1, 0, 10, 10);
    open_source();
    struct snap__chunk read = next();
    assert_true(read.last);
    struct buf place = place_behind(&read);
    expect_end();
    assert_int_equal(snap_source_seek(source, buf_slice(&place)), ERR_OK);
    read = next();
    assert_true(read.last);
    assert_int_equal(read.pairs, 0);
    assert_int_equal(read.total, 10);
    expect_end();
    buf_deinit(&place);
}

static void what_is_no_place_of_it_is_refused(void **state)
{
    (void)state;
    struct buf place = {0};
    snap_world_put(file, 1, "a", "1");
    open_source();
    assert_int_equal(snap_source_seek(source, SLICE("nonsense")), ERR_INVALID);
    assert_string_equal(err_note(), "no place of a snapshot");
    snap__place_encode(
        &(struct snap__place){.pairs = 1, .table = 1, .key = SLICE("b")},
        &place);
    assert_int_equal(snap_source_seek(source, buf_slice(&place)), ERR_INVALID);
    assert_string_equal(err_note(), "a place of another snapshot");
    /* One that would make the count overflow. */
    buf_reset(&place);
    snap__place_encode(&(struct snap__place){.pairs = UINT64_MAX,
                                             .table = 1,
                                             .key = SLICE("a")},
                       &place);
    assert_int_equal(snap_source_seek(source, buf_slice(&place)), ERR_INVALID);
    struct snap__chunk read = next(); /* it is where it was */
    assert_int_equal(read.pairs, 1);
    buf_deinit(&place);
}

/* ---- when the file can't be read ----------------------------------------- */

static void an_open_that_fails_leaves_nothing(void **state)
{
    (void)state;
    struct snap_source *none;
    for (uint64_t nth = 1; nth <= 2; nth++) {
        kv_memory_fail_after(file, nth, ERR_IO);
        assert_int_equal(snap_source_open(set, &none), ERR_IO);
        assert_null(none);
    }
    assert_memory_equal(err_note(), "read a snapshot: ", 17);
}

static void a_chunk_that_fails_is_read_again(void **state)
{
    (void)state;
    snap_world_fill(file, 0, 0, 20, 200 * 1000);
    open_source();
    (void)next();
    struct snap__chunk read = next();
    struct buf wanted = {0};
    buf_append_slice(&wanted, buf_slice(&chunk));
    struct buf behind = {0};
    buf_append_slice(&behind, read.behind);
    uint64_t nth = 1;
    for (;; nth++) {
        enum err err = snap_source_seek(source, buf_slice(&behind));
        assert_int_equal(err, ERR_OK);
        buf_reset(&chunk);
        buf_append_str(&chunk, "x");
        kv_memory_fail_after(file, nth, ERR_IO);
        err = snap_source_next(source, &chunk);
        kv_memory_fail_after(file, 0, ERR_OK);
        if (err == ERR_OK)
            break;
        assert_int_equal(err, ERR_IO);
        assert_int_equal(chunk.size, 1);
        (void)next(); /* it is where it was */
        assert_true(slice_eq(buf_slice(&chunk), buf_slice(&wanted)));
    }
    assert_true(nth > 5);
    kv_memory_fail_after(file, 1, ERR_IO);
    assert_int_equal(snap_source_seek(source, buf_slice(&behind)), ERR_IO);
    buf_deinit(&wanted);
    buf_deinit(&behind);
}

int main(void)
{
#define STORY(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        STORY(a_small_store_is_one_chunk),
        STORY(an_empty_store_is_an_empty_chunk),
        STORY(it_is_appended_to_what_is_there),
        STORY(chunks_are_of_a_size_and_join),
        STORY(a_large_pair_ends_its_chunk),
        STORY(what_is_written_meanwhile_is_not_in_it),
        STORY(the_set_of_the_transaction_is_read),
        STORY(it_goes_on_from_any_place),
        STORY(at_the_end_an_empty_chunk_is_left),
        STORY(what_is_no_place_of_it_is_refused),
        STORY(an_open_that_fails_leaves_nothing),
        STORY(a_chunk_that_fails_is_read_again),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
