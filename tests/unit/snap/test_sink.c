/* The receiver: chunk by chunk into the other set, through breaks, crashes and
 * chunks that aren't right, and at last the turn. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "memory/kv_memory.h"
#include "snap/snap_int.h"
#include "support/snap_world.h"

/* The sender's, about 4 chunks, and the receiver's. */
static struct kv *from_file, *to_file;
static struct snap_set *from, *to;
static struct snap_source *source;
static struct snap_sink *sink;
static struct buf chunk;
static uint64_t sent, old; /* digests of what they hold */

static int setup(void **state)
{
    (void)state;
    from_file = kv_memory_new();
    snap_world_fill(from_file, 0, 0, 3200, 1000);
    snap_world_fill(from_file, 1, 0, 10, 10);
    snap_world_put(from_file, 2, "state", "of the sender");
    from = snap_world_set(from_file);
    source = snap_world_source(from);
    sent = snap_world_digest(snap_set_kv(from));
    to_file = kv_memory_new();
    snap_world_fill(to_file, 0, 0, 50, 20);
    snap_world_put(to_file, 2, "state", "of the receiver");
    to = snap_world_set(to_file);
    old = snap_world_digest(snap_set_kv(to));
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    snap_sink_close(sink);
    sink = NULL;
    snap_source_close(source);
    snap_set_close(from);
    snap_set_close(to);
    kv_memory_free(from_file);
    kv_memory_free(to_file);
    buf_deinit(&chunk);
    chunk = (struct buf){0};
    return 0;
}

static void open_sink(void)
{
    sink = snap_world_sink(to, &snap_world_header);
}

static void close_sink(void)
{
    snap_sink_close(sink);
    sink = NULL;
}

static void crash(void)
{
    close_sink();
    snap_set_close(to);
    to_file = kv_memory_reopen(to_file);
    to = snap_world_set(to_file);
    assert_int_equal(snap_world_digest(snap_set_kv(to)), old);
}

static void go_on(void)
{
    assert_int_equal(snap_source_seek(source, snap_sink_place(sink)), ERR_OK);
}

static void read_chunk(void)
{
    buf_reset(&chunk);
    assert_int_equal(snap_source_next(source, &chunk), ERR_OK);
}

static enum err write_chunk(bool *complete)
{
    return snap_sink_write(sink, buf_slice(&chunk), complete);
}

/* The sink refuses it, says why, and is where it was. */
static void expect_refused(const char *why)
{
    bool complete = true;
    struct buf place = {0};
    buf_append_slice(&place, snap_sink_place(sink));
    assert_int_equal(write_chunk(&complete), ERR_CORRUPT);
    assert_false(complete);
    char note[200] = "take a snapshot: chunk of a snapshot: ";
    strncat(note, why, sizeof note - strlen(note) - 1);
    assert_string_equal(err_note(), note);
    assert_true(slice_eq(snap_sink_place(sink), buf_slice(&place)));
    buf_deinit(&place);
}

static void finish(void)
{
    assert_true(snap_world_send(source, sink, UINT32_MAX));
    assert_int_equal(snap_sink_activate(sink), ERR_OK);
    assert_int_equal(snap_world_digest(snap_set_kv(to)), sent);
}

/* ---- the whole way ------------------------------------------------------- */

static void what_was_sent_is_what_is_active_then(void **state)
{
    (void)state;
    open_sink();
    assert_int_equal(snap_sink_place(sink).size, 0);
    assert_true(snap_world_send(source, sink, UINT32_MAX));
    /* Until it is activated, nothing has changed. */
    assert_int_equal(snap_world_digest(snap_set_kv(to)), old);
    assert_int_equal(snap_world_digest(snap_sink_kv(sink)), sent);
    assert_int_equal(snap_sink_activate(sink), ERR_OK);
    assert_int_equal(snap_world_digest(snap_set_kv(to)), sent);
    close_sink();
    snap_set_close(to);
    to_file = kv_memory_reopen(to_file);
    to = snap_world_set(to_file);
    assert_int_equal(snap_world_digest(snap_set_kv(to)), sent);
    assert_int_equal(snap_world_clean(to), 1);
    assert_int_equal(snap_world_digest(snap_set_kv(to)), sent);
    assert_int_equal(snap_world_count(to_file, 0, 4), 0);
}

static void the_next_one_goes_to_the_first_set_again(void **state)
{
    (void)state;
    struct snap_header second = snap_world_header;
    second.id++;
    snap_world_copy(from, to, &snap_world_header);
    snap_world_put(from_file, 3, "more", "since");
    snap_world_copy(from, to, &second);
    assert_int_equal(snap_world_digest(snap_set_kv(to)),
                     snap_world_digest(snap_set_kv(from)));
    assert_true(snap_world_digest(snap_set_kv(to)) != sent);
    /* What was there before was taken away as it came. */
    assert_int_equal(snap_world_count(to_file, 0, 4), 3212);
}

static void an_empty_store_may_be_sent(void **state)
{
    (void)state;
    struct kv *empty_file = kv_memory_new();
    struct snap_set *empty = snap_world_set(empty_file);
    snap_world_copy(empty, to, &snap_world_header);
    assert_int_equal(snap_world_count(snap_set_kv(to), 0, 4), 0);
    snap_set_close(empty);
    kv_memory_free(empty_file);
}

static void the_member_serves_and_writes_meanwhile(void **state)
{
    (void)state;
    struct kv *kv = snap_set_kv(to);
    open_sink();
    assert_false(snap_world_send(source, sink, 2));
    snap_world_put(kv, 1, "meanwhile", "1");
    assert_false(snap_world_send(source, sink, 1));
    assert_int_equal(snap_world_count(kv, 1, 2), 1);
    finish();
}

/* ---- breaks -------------------------------------------------------------- */

static void a_transfer_goes_on_behind_its_last_chunk(void **state)
{
    (void)state;
    open_sink();
    for (unsigned i = 0; i < 3; i++) {
        assert_false(snap_world_send(source, sink, 1));
        if (i % 2 == 0) {
            close_sink(); /* the connection broke */
            open_sink();
        } else {
            crash();
            open_sink();
        }
        struct snap__place place;
        assert_true(snap__place_decode(snap_sink_place(sink), &place));
        assert_true(place.pairs > 1000 * i);
        go_on();
    }
    finish();
}

static void a_chunk_that_was_not_durable_is_sent_again(void **state)
{
    (void)state;
    bool complete;
    open_sink();
    assert_false(snap_world_send(source, sink, 1));
    read_chunk();
    read_chunk(); /* two are on their way, and the receiver ends */
    crash();
    open_sink();
    go_on();
    read_chunk();
    assert_int_equal(write_chunk(&complete), ERR_OK);
    finish();
}

static void one_that_was_complete_is_so_after_a_crash(void **state)
{
    (void)state;
    open_sink();
    assert_true(snap_world_send(source, sink, UINT32_MAX));
    crash();
    open_sink();
    go_on(); /* the sender has an empty last one for it */
    finish();
}

static void behind_the_last_only_an_empty_last_fits(void **state)
{
    (void)state;
    bool complete;
    open_sink();
    assert_true(snap_world_send(source, sink, UINT32_MAX));
    go_on();
    read_chunk();
    for (unsigned i = 0; i < 2; i++) { /* as often as it comes */
        assert_int_equal(write_chunk(&complete), ERR_OK);
        assert_true(complete);
    }
    put_le64(chunk.at + chunk.size - 8, 1); /* another total */
    snap__seal_end(&chunk, 0);
    expect_refused("it follows the last");
    struct snap__chunk_writer writer;
    struct snap__pair pair = {3, SLICE("z"), SLICE("more")};
    for (int last = 0; last < 2; last++) {
        buf_reset(&chunk);
        snap__chunk_begin(&writer, &chunk, snap_sink_place(sink));
        snap__chunk_pair(&writer, &pair);
        snap__chunk_end(&writer, last, 3212);
        expect_refused("it follows the last");
    }
    assert_int_equal(snap_sink_activate(sink), ERR_OK);
    assert_int_equal(snap_world_digest(snap_set_kv(to)), sent);
}

static void another_snapshot_begins_anew(void **state)
{
    (void)state;
    uint64_t *numbers[6];
    struct snap_header other = snap_world_header;
    numbers[0] = &other.cluster_id;
    numbers[1] = &other.from;
    numbers[2] = &other.id;
    numbers[3] = &other.term;
    numbers[4] = &other.index;
    numbers[5] = &other.log_term;
    for (unsigned i = 0; i < 6; i++) {
        open_sink();
        assert_int_equal(snap_sink_place(sink).size, 0);
        go_on();
        assert_false(snap_world_send(source, sink, 2));
        close_sink();
        ++*numbers[i];
        sink = snap_world_sink(to, &other);
        assert_int_equal(snap_sink_place(sink).size, 0);
        assert_int_equal(snap_world_count(to_file, 4, 8), 0);
        close_sink();
        --*numbers[i];
    }
    assert_int_equal(snap_world_digest(snap_set_kv(to)), old);
}

static void an_active_snapshot_is_not_gone_on_with(void **state)
{
    (void)state;
    open_sink();
    finish();
    close_sink();
    open_sink(); /* the same again */
    assert_int_equal(snap_sink_place(sink).size, 0);
    go_on();
    finish();
}

static void a_record_of_a_transfer_that_is_damaged_is_none(void **state)
{
    (void)state;
    open_sink();
    assert_false(snap_world_send(source, sink, 2));
    close_sink();
    snap_world_put(to_file, SNAP_CONTROL_TABLE, "sink", "nonsense");
    open_sink();
    assert_int_equal(snap_sink_place(sink).size, 0);
    assert_int_equal(snap_world_count(to_file, 4, 8), 0);
    go_on();
    finish();
}

/* ---- chunks that aren't right -------------------------------------------- */

static void a_damaged_chunk_is_refused_and_the_right_one_taken(void **state)
{
    (void)state;
    bool complete;
    open_sink();
    assert_false(snap_world_send(source, sink, 1));
    read_chunk();
    chunk.at[chunk.size / 2] ^= 4;
    bool unused = true;
    assert_int_equal(write_chunk(&unused), ERR_CORRUPT);
    assert_string_equal(err_note(), "take a snapshot: chunk of a snapshot: "
                                    "a wrong checksum");
    chunk.at[chunk.size / 2] ^= 4;
    assert_int_equal(write_chunk(&complete), ERR_OK);
    assert_int_equal(write_chunk(&complete), ERR_CORRUPT); /* twice */
    finish();
}

static void chunks_cant_be_left_out_or_swapped(void **state)
{
    (void)state;
    bool complete;
    struct buf first = {0};
    open_sink();
    read_chunk();
    buf_append_slice(&first, buf_slice(&chunk));
    read_chunk();
    expect_refused("not the one that follows");
    assert_int_equal(snap_sink_write(sink, buf_slice(&first), &complete),
                     ERR_OK);
    assert_int_equal(write_chunk(&complete), ERR_OK);
    assert_int_equal(snap_sink_write(sink, buf_slice(&first), &complete),
                     ERR_CORRUPT);
    read_chunk();
    read_chunk();
    expect_refused("not the one that follows");
    buf_deinit(&first);
    go_on();
    finish();
}

/* A sender whose store differs in one byte, long ago. */
static void chunks_of_two_snapshots_dont_mix(void **state)
{
    (void)state;
    open_sink();
    assert_false(snap_world_send(source, sink, 2));
    snap_source_close(source);
    snap_world_fill(from_file, 0, 5, 1, 1001);
    source = snap_world_source(from);
    read_chunk();
    read_chunk();
    read_chunk();
    expect_refused("not the one that follows");
}

static void write_pairs(const struct snap__pair *pairs, size_t count, bool last,
                        uint64_t total)
{
    struct snap__chunk_writer writer;
    buf_reset(&chunk);
    snap__chunk_begin(&writer, &chunk, snap_sink_place(sink));
    for (size_t i = 0; i < count; i++)
        snap__chunk_pair(&writer, &pairs[i]);
    snap__chunk_end(&writer, last, total);
}

static void pairs_out_of_order_are_refused(void **state)
{
    (void)state;
    bool complete;
    const struct snap__pair a = {1, SLICE("a"), SLICE("1")};
    const struct snap__pair b = {1, SLICE("b"), SLICE("2")};
    const struct snap__pair low = {0, SLICE("z"), SLICE("3")};
    open_sink();
    write_pairs((struct snap__pair[]){b, a}, 2, false, 2);
    expect_refused("a pair that is out of order");
    write_pairs((struct snap__pair[]){a, a}, 2, false, 2);
    expect_refused("a pair that is out of order");
    write_pairs((struct snap__pair[]){a, low}, 2, false, 2);
    expect_refused("a pair that is out of order");
    assert_int_equal(snap_world_count(to_file, 4, 8), 0);
    write_pairs(&b, 1, false, 1);
    assert_int_equal(write_chunk(&complete), ERR_OK);
    /* And so from one chunk to the next. */
    write_pairs(&a, 1, false, 2);
    expect_refused("a pair that is out of order");
    write_pairs(&b, 1, false, 2);
    expect_refused("a pair that is out of order");
    write_pairs(&low, 1, false, 2);
    expect_refused("a pair that is out of order");
    assert_int_equal(snap_world_count(to_file, 4, 8), 1);
}

static void a_total_that_isnt_reached_is_seen(void **state)
{
    (void)state;
    bool complete;
    const struct snap__pair a = {1, SLICE("a"), SLICE("1")};
    open_sink();
    write_pairs(&a, 1, true, 2);
    expect_refused("it is the last, and pairs are missing");
    write_pairs(&a, 1, true, 1);
    assert_int_equal(write_chunk(&complete), ERR_OK);
    assert_true(complete);
}

/* ---- a file that fails --------------------------------------------------- */

static void an_open_that_fails_leaves_no_sink(void **state)
{
    (void)state;
    struct snap_sink *none;
    open_sink();
    assert_false(snap_world_send(source, sink, 1));
    close_sink();
    for (uint64_t nth = 1; nth <= 3; nth++) {
        kv_memory_fail_after(to_file, nth, ERR_IO);
        assert_int_equal(snap_sink_open(to, &snap_world_header, &none), ERR_IO);
        assert_null(none);
        assert_memory_equal(err_note(), "take a snapshot: ", 17);
    }
    kv_memory_fail_after(to_file, 0, ERR_OK);
    open_sink();
    assert_true(snap_sink_place(sink).size > 0);
}

static void a_write_that_fails_is_tried_again(void **state)
{
    (void)state;
    bool complete;
    enum err err = ERR_IO;
    open_sink();
    assert_false(snap_world_send(source, sink, 3));
    read_chunk(); /* the last: a few pairs */
    for (uint64_t nth = 1; err != ERR_OK; nth++) {
        struct buf place = {0};
        buf_append_slice(&place, snap_sink_place(sink));
        kv_memory_fail_after(to_file, nth, ERR_NO_SPACE);
        err = write_chunk(&complete);
        kv_memory_fail_after(to_file, 0, ERR_OK);
        assert_true(err == ERR_OK || err == ERR_NO_SPACE);
        assert_true(complete == (err == ERR_OK));
        assert_true(err == ERR_OK ||
                    slice_eq(snap_sink_place(sink), buf_slice(&place)));
        buf_deinit(&place);
        nth += nth > 10 ? 13 : 0;
    }
    assert_int_equal(snap_sink_activate(sink), ERR_OK);
    assert_int_equal(snap_world_digest(snap_set_kv(to)), sent);
}

static void a_turn_that_fails_changes_nothing(void **state)
{
    (void)state;
    open_sink();
    assert_true(snap_world_send(source, sink, UINT32_MAX));
    for (uint64_t nth = 1; nth <= 4; nth++) { /* begin, put, del, commit */
        kv_memory_fail_after(to_file, nth, ERR_DISK_FULL);
        assert_int_equal(snap_sink_activate(sink), ERR_DISK_FULL);
        assert_memory_equal(err_note(), "activate a snapshot: ", 21);
        assert_int_equal(snap_world_digest(snap_set_kv(to)), old);
    }
    kv_memory_fail_after(to_file, 0, ERR_OK);
    crash();
    open_sink();
    go_on();
    finish();
}

int main(void)
{
#define STORY(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        STORY(what_was_sent_is_what_is_active_then),
        STORY(the_next_one_goes_to_the_first_set_again),
        STORY(an_empty_store_may_be_sent),
        STORY(the_member_serves_and_writes_meanwhile),
        STORY(a_transfer_goes_on_behind_its_last_chunk),
        STORY(a_chunk_that_was_not_durable_is_sent_again),
        STORY(one_that_was_complete_is_so_after_a_crash),
        STORY(behind_the_last_only_an_empty_last_fits),
        STORY(another_snapshot_begins_anew),
        STORY(an_active_snapshot_is_not_gone_on_with),
        STORY(a_record_of_a_transfer_that_is_damaged_is_none),
        STORY(a_damaged_chunk_is_refused_and_the_right_one_taken),
        STORY(chunks_cant_be_left_out_or_swapped),
        STORY(chunks_of_two_snapshots_dont_mix),
        STORY(pairs_out_of_order_are_refused),
        STORY(a_total_that_isnt_reached_is_seen),
        STORY(an_open_that_fails_leaves_no_sink),
        STORY(a_write_that_fails_is_tried_again),
        STORY(a_turn_that_fails_changes_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
