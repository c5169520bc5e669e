/* What comes from another member, or stands in the control table, as any
 * bytes. The first byte says what the others are:
 *
 *   0    a header
 *   1    chunks, each with its size before it (2 bytes), as they are
 *   2    the same, with their checksums made right
 *   3    chunks of which only last (1 byte), pairs (1) and what stands in
 *        their place are given: they begin where the sink is
 *   4    a place for a source
 *   5    what the control table says of a transfer (its checksum made right),
 *        behind its size (2 bytes); then chunks as in 3
 *
 * What a sink has taken is in order, and as many pairs as its place says; what
 * is complete becomes the active set.
 */
#include "base/check.h"
#include "base/log.h"
#include "memory/kv_memory.h"
#include "snap/snap_int.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

static const struct snap_header header = {1, 2, 3, 4, 5, 6};

struct input {
    const char *at, *end;
};

static struct slice take(struct input *input, size_t size)
{
    size_t left = (size_t)(input->end - input->at);
    struct slice taken = slice_of(input->at, size < left ? size : left);
    input->at += taken.size;
    return taken;
}

static struct slice take_sized(struct input *input)
{
    struct slice size = take(input, 2);
    if (size.size < 2)
        return (struct slice){0};
    return take(input,
                (size_t)((uint8_t)size.at[0] | (uint8_t)size.at[1] << 8));
}

static void decode_header(struct slice bytes)
{
    struct snap_header found;
    struct buf again = {0};
    if (snap_header_decode(bytes, &found) == ERR_OK) {
        snap_header_encode(&found, &again);
        CHECK(slice_eq(buf_slice(&again), bytes));
    }
    buf_deinit(&again);
}

static void seek(struct snap_set *set, struct slice place)
{
    struct snap_source *source;
    struct buf chunk = {0};
    CHECK_EQ(snap_source_open(set, &source), ERR_OK);
    enum err err = snap_source_seek(source, place);
    CHECK(err == ERR_OK || err == ERR_INVALID);
    CHECK_EQ(snap_source_next(source, &chunk), ERR_OK);
    CHECK_EQ(snap_source_next(source, &chunk), ERR_END);
    snap_source_close(source);
    buf_deinit(&chunk);
}

/* ---- the sink ------------------------------------------------------------ */

static uint64_t count_pairs(struct kv *kv)
{
    struct kv_txn *txn;
    uint64_t count = 0;
    CHECK_EQ(kv->ops->begin_read(kv, &txn), ERR_OK);
    for (kv_table table = 0; table < SNAP_SET_TABLES; table++) {
        struct kv_cursor *cursor;
        struct slice key, value;
        CHECK_EQ(kv->ops->cursor_open(kv, txn, table, &cursor), ERR_OK);
        enum err err =
            kv->ops->cursor_seek(kv, cursor, SLICE(""), &key, &value);
        for (; err == ERR_OK; count++)
            err = kv->ops->cursor_next(kv, cursor, &key, &value);
        kv->ops->cursor_close(kv, cursor);
    }
    kv->ops->end_read(kv, txn);
    return count;
}

/* Fills `out` with the next chunk. */
static void make_chunk(struct input *input, int mode,
                       const struct snap_sink *sink, struct buf *out)
{
    buf_reset(out);
    if (mode == 1 || mode == 2) {
        buf_append_slice(out, take_sized(input));
        if (mode == 2 && out->size >= SNAP_SEAL_BYTES) {
            out->at[4] = 1;
            snap__seal_end(out, 0);
        }
        return;
    }
    struct snap__chunk_writer writer;
    struct slice head = take(input, 2);
    bool last = head.size > 0 && (head.at[0] & 1);
    snap__chunk_begin(&writer, out, snap_sink_place(sink));
    buf_append_slice(out, take_sized(input));
    writer.pairs = head.size > 1 ? (uint8_t)head.at[1] : 0;
    last |= writer.pairs == 0;
    struct snap__place place;
    CHECK(snap__place_decode(snap_sink_place(sink), &place));
    snap__chunk_end(&writer, last, place.pairs + writer.pairs);
}

/* Writes what there is; true when the last one came. */
static bool write_chunks(struct input *input, int mode, struct snap_sink *sink)
{
    struct buf chunk = {0};
    bool complete = false;
    while (input->at < input->end) {
        struct buf place = {0};
        buf_append_slice(&place, snap_sink_place(sink));
        make_chunk(input, mode, sink, &chunk);
        enum err err = snap_sink_write(sink, buf_slice(&chunk), &complete);
        CHECK(err == ERR_OK || err == ERR_CORRUPT);
        CHECK(err == ERR_OK ||
              slice_eq(snap_sink_place(sink), buf_slice(&place)));
        buf_deinit(&place);
    }
    buf_deinit(&chunk);
    return complete;
}

static void receive(struct snap_set *set, struct input *input, int mode)
{
    struct snap_sink *sink;
    struct snap__place place;
    CHECK_EQ(snap_sink_open(set, &header, &sink), ERR_OK);
    bool complete = write_chunks(input, mode, sink);
    CHECK(snap__place_decode(snap_sink_place(sink), &place));
    if (complete) {
        uint64_t count = count_pairs(snap_sink_kv(sink));
        CHECK(mode == 5 || count == place.pairs);
        CHECK_EQ(snap_sink_activate(sink), ERR_OK);
        CHECK_EQ(count_pairs(snap_set_kv(set)), count);
    }
    snap_sink_close(sink);
    bool more;
    CHECK_EQ(snap_set_clean(set, &more), ERR_OK);
    CHECK(!more);
}

/* ---- the control table --------------------------------------------------- */

static void put(struct kv *file, kv_table table, struct slice key,
                struct slice value)
{
    struct kv_txn *txn;
    CHECK_EQ(file->ops->begin_write(file, &txn), ERR_OK);
    CHECK_EQ(file->ops->put(file, txn, table, key, value), ERR_OK);
    CHECK_EQ(file->ops->commit(file, txn), ERR_OK);
}

/* The header in it is the right one, else it would never be gone on with. */
static void put_transfer(struct kv *file, struct slice rest)
{
    struct buf value = {0};
    size_t begin = snap__seal_begin(&value);
    if (rest.size >= 2) {
        buf_append(&value, rest.at, 2);
        snap_header_encode(&header, &value);
        buf_append(&value, rest.at + 2, rest.size - 2);
    }
    snap__seal_end(&value, begin);
    put(file, SNAP_CONTROL_TABLE, snap__sink_key, buf_slice(&value));
    buf_deinit(&value);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    struct snap_set *set;
    if (size == 0)
        return 0;
    log_set_level(LOG_FATAL);
    int mode = bytes[0] % 6;
    const char *at = (const char *)bytes;
    struct input input = {at + 1, at + size};
    struct kv *file = kv_memory_new();
    put(file, 0, SLICE("a"), SLICE("1"));
    put(file, 2, SLICE("b"), SLICE("2"));
    CHECK_EQ(snap_set_open(file, &set), ERR_OK);
    if (mode == 0) {
        decode_header(slice_of(at + 1, size - 1));
    } else if (mode == 4) {
        seek(set, slice_of(at + 1, size - 1));
    } else {
        if (mode == 5)
            put_transfer(file, take_sized(&input));
        receive(set, &input, mode);
    }
    snap_set_close(set);
    kv_memory_free(file);
    return 0;
}
