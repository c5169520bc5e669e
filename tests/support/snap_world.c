#include "support/snap_world.h"

#include <inttypes.h>
#include <stdio.h>

#include "base/check.h"
#include "base/crc.h"

const struct snap_header snap_world_header = {
    .cluster_id = 0xc1,
    .from = 0xa1,
    .id = 0x51,
    .term = 3,
    .index = 700,
    .log_term = 2,
};

/* ---- pairs --------------------------------------------------------------- */

void snap_world_put(struct kv *kv, kv_table table, const char *key,
                    const char *value)
{
    struct kv_txn *txn;
    CHECK_EQ(kv->ops->begin_write(kv, &txn), ERR_OK);
    CHECK_EQ(kv->ops->put(kv, txn, table, slice_str(key), slice_str(value)),
             ERR_OK);
    CHECK_EQ(kv->ops->commit(kv, txn), ERR_OK);
}

void snap_world_fill(struct kv *kv, kv_table table, uint64_t first,
                     uint64_t count, size_t bytes)
{
    struct kv_txn *txn;
    struct buf value = {0};
    char key[8];
    CHECK_EQ(kv->ops->begin_write(kv, &txn), ERR_OK);
    for (uint64_t i = first; i < first + count; i++) {
        put_be64(key, i);
        buf_reset(&value);
        memset(buf_extend(&value, bytes), (int)('a' + i % 26), bytes);
        CHECK_EQ(
            kv->ops->put(kv, txn, table, slice_of(key, 8), buf_slice(&value)),
            ERR_OK);
    }
    CHECK_EQ(kv->ops->commit(kv, txn), ERR_OK);
    buf_deinit(&value);
}

static void each(struct kv *kv, kv_table from, kv_table end, uint64_t *count,
                 uint64_t *digest)
{
    struct kv_txn *txn;
    uint64_t sum = 0;
    *count = 0;
    CHECK_EQ(kv->ops->begin_read(kv, &txn), ERR_OK);
    for (kv_table table = from; table < end; table++) {
        struct kv_cursor *cursor;
        struct slice key, value;
        CHECK_EQ(kv->ops->cursor_open(kv, txn, table, &cursor), ERR_OK);
        enum err err =
            kv->ops->cursor_seek(kv, cursor, SLICE(""), &key, &value);
        for (; err == ERR_OK; ++*count) {
            uint32_t crc = crc32c(table + 1, key.at, key.size);
            sum = sum * 31 + crc;
            sum = sum * 31 + crc32c(crc, value.at, value.size);
            err = kv->ops->cursor_next(kv, cursor, &key, &value);
        }
        CHECK_EQ(err, ERR_END);
        kv->ops->cursor_close(kv, cursor);
    }
    kv->ops->end_read(kv, txn);
    *digest = sum;
}

uint64_t snap_world_count(struct kv *kv, kv_table from, kv_table end)
{
    uint64_t count, digest;
    each(kv, from, end, &count, &digest);
    return count;
}

uint64_t snap_world_digest(struct kv *kv)
{
    uint64_t count, digest;
    each(kv, 0, SNAP_SET_TABLES, &count, &digest);
    return digest;
}

/* ---- sets ---------------------------------------------------------------- */

struct snap_set *snap_world_set(struct kv *file)
{
    struct snap_set *set = NULL;
    CHECK_EQ(snap_set_open(file, &set), ERR_OK);
    return set;
}

struct snap_source *snap_world_source(struct snap_set *set)
{
    struct snap_source *source = NULL;
    CHECK_EQ(snap_source_open(set, &source), ERR_OK);
    return source;
}

struct snap_sink *snap_world_sink(struct snap_set *set,
                                  const struct snap_header *header)
{
    struct snap_sink *sink = NULL;
    CHECK_EQ(snap_sink_open(set, header, &sink), ERR_OK);
    return sink;
}

bool snap_world_send(struct snap_source *source, struct snap_sink *sink,
                     unsigned chunks_max)
{
    struct buf chunk = {0};
    bool complete = false;
    while (chunks_max-- > 0 && !complete) {
        buf_reset(&chunk);
        CHECK_EQ(snap_source_next(source, &chunk), ERR_OK);
        CHECK_EQ(snap_sink_write(sink, buf_slice(&chunk), &complete), ERR_OK);
    }
    buf_deinit(&chunk);
    return complete;
}

void snap_world_copy(struct snap_set *from, struct snap_set *to,
                     const struct snap_header *header)
{
    struct snap_source *source = snap_world_source(from);
    struct snap_sink *sink = snap_world_sink(to, header);
    CHECK_EQ(snap_source_seek(source, snap_sink_place(sink)), ERR_OK);
    CHECK(snap_world_send(source, sink, UINT32_MAX));
    CHECK_EQ(snap_sink_activate(sink), ERR_OK);
    snap_sink_close(sink);
    snap_source_close(source);
}

unsigned snap_world_clean(struct snap_set *set)
{
    unsigned parts = 0;
    bool more = true;
    for (; more; parts++)
        CHECK_EQ(snap_set_clean(set, &more), ERR_OK);
    return parts;
}
