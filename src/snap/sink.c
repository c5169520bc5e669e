/* The receiver: writes chunks into the set that isn't active, each in one
 * durable transaction that also holds the place behind it.
 *
 *   open --> part --write--> part --write, the last--> complete
 *                             ^                            |
 *      (the same header) open +                            v activate
 *                                                       active
 *
 * A sink that is complete takes the last chunk's successor: one that is empty
 * and the last, which a sender has for whoever asks behind its end. So a
 * receiver that ended before it activated finds its way.
 */
#include "base/check.h"
#include "base/mem.h"
#include "snap/snap_int.h"

struct snap_sink {
    struct snap_set *set;
    struct kv *file;
    unsigned target;        /* the set that it writes */
    struct snap__view view; /* of it */
    struct buf header;      /* encoded */
    /* As it is in the file: */
    struct buf place;
    bool complete;
    bool activated;
};

/* ---- the pair "sink" ----------------------------------------------------- */

static void encode(const struct snap_sink *sink, struct slice place,
                   bool complete, struct buf *out)
{
    size_t begin = snap__seal_begin(out);
    CHECK(sink->target < SNAP_SETS && sink->header.size == SNAP_HEADER_BYTES);
    buf_append_char(out, (char)sink->target);
    buf_append_char(out, complete);
    buf_append_slice(out, buf_slice(&sink->header));
    buf_append_slice(out, place);
    snap__seal_end(out, begin);
}

/* Goes on where the file's transfer is this one; any other, and one that can't
 * be read, is as good as none. */
static bool resume(struct snap_sink *sink, struct slice value)
{
    struct slice body;
    struct snap__place place;
    if (snap__unseal(value, &body) != ERR_OK ||
        body.size < 2 + SNAP_HEADER_BYTES)
        return false;
    struct slice header = slice_of(body.at + 2, SNAP_HEADER_BYTES);
    struct slice rest =
        slice_of(header.at + header.size, body.size - 2 - SNAP_HEADER_BYTES);
    if ((uint8_t)body.at[0] != sink->target ||
        !slice_eq(header, buf_slice(&sink->header)) ||
        !snap__place_decode(rest, &place) || place.pairs > SNAP_PAIRS_MAX)
        return false;
    sink->complete = body.at[1] != 0;
    buf_append_slice(&sink->place, rest);
    return true;
}

/* ---- opening ------------------------------------------------------------- */

static enum err find_transfer(struct snap_sink *sink, bool *found)
{
    struct kv *file = sink->file;
    struct kv_txn *txn;
    struct slice value;
    unsigned active;
    *found = false;
    enum err err = file->ops->begin_read(file, &txn);
    if (err != ERR_OK)
        return err;
    err = snap__active(file, txn, &active);
    sink->target = 1 - active;
    if (err == ERR_OK)
        err = file->ops->get(file, txn, SNAP_CONTROL_TABLE, snap__sink_key,
                             &value);
    if (err == ERR_OK)
        *found = resume(sink, value);
    file->ops->end_read(file, txn);
    return err == ERR_NOT_FOUND ? ERR_OK : err;
}

static enum err prepare(struct snap_sink *sink)
{
    bool found, more = true;
    enum err err = find_transfer(sink, &found);
    while (err == ERR_OK && !found && more)
        err = snap__clean_part(sink->set, &more);
    return err;
}

enum err snap_sink_open(struct snap_set *set, const struct snap_header *header,
                        struct snap_sink **out)
{
    *out = NULL;
    bool had = atomic_exchange(&set->has_sink, true);
    CHECK(!had);
    struct snap_sink *sink = mem_alloc_zero(sizeof *sink);
    sink->set = set;
    sink->file = set->file;
    snap_header_encode(header, &sink->header);
    enum err err = prepare(sink);
    if (err != ERR_OK) {
        snap_sink_close(sink);
        return err_wrap(err, "take a snapshot");
    }
    snap__view_init(&sink->view, sink->file, sink->target, NULL);
    *out = sink;
    return ERR_OK;
}

void snap_sink_close(struct snap_sink *sink)
{
    if (sink == NULL)
        return;
    bool had = atomic_exchange(&sink->set->has_sink, false);
    CHECK(had);
    buf_deinit(&sink->header);
    buf_deinit(&sink->place);
    mem_free(sink);
}

struct slice snap_sink_place(const struct snap_sink *sink)
{
    return buf_slice(&sink->place);
}

/* ---- writing ------------------------------------------------------------- */

static enum err is_bad(const char *why)
{
    return err_set(ERR_CORRUPT, "chunk of a snapshot: %s", why);
}

static bool follows(const struct snap__pair *pair,
                    const struct snap__place *place)
{
    if (place->key.size == 0 || pair->table != place->table)
        return pair->table >= place->table;
    return slice_cmp(pair->key, place->key) > 0;
}

static enum err write_pairs(const struct snap_sink *sink, struct kv_txn *txn,
                            struct snap__chunk *chunk,
                            struct snap__place *place)
{
    struct kv *file = sink->file;
    struct snap__pair pair;
    enum err err;
    while ((err = snap__chunk_next(chunk, &pair)) == ERR_OK) {
        if (!follows(&pair, place))
            return is_bad("a pair that is out of order");
        err =
            file->ops->append(file, txn, snap__table(sink->target, pair.table),
                              pair.key, pair.value);
        if (err != ERR_OK)
            return err;
        place->table = pair.table;
        place->key = pair.key;
        place->pairs++;
    }
    if (err != ERR_END)
        return err;
    if (chunk->last && chunk->total != place->pairs)
        return is_bad("it is the last, and pairs are missing");
    return ERR_OK;
}

static enum err write_place(const struct snap_sink *sink, struct kv_txn *txn,
                            struct slice place, bool complete)
{
    struct kv *file = sink->file;
    struct buf value = {0};
    encode(sink, place, complete, &value);
    enum err err = file->ops->put(file, txn, SNAP_CONTROL_TABLE, snap__sink_key,
                                  buf_slice(&value));
    buf_deinit(&value);
    return err;
}

/* The pairs and the place behind them, which is left in `out`. */
static enum err write_chunk(const struct snap_sink *sink, struct kv_txn *txn,
                            struct snap__chunk *chunk, struct buf *out)
{
    struct snap__place place;
    unsigned active;
    CHECK(snap__place_decode(buf_slice(&sink->place), &place));
    enum err err = snap__active(sink->file, txn, &active);
    if (err != ERR_OK)
        return err;
    CHECK_NE(active, sink->target);
    uint64_t before = place.pairs;
    err = write_pairs(sink, txn, chunk, &place);
    if (err != ERR_OK)
        return err;
    if (place.pairs > before)
        place.crc = chunk->crc;
    snap__place_encode(&place, out);
    return write_place(sink, txn, buf_slice(out), chunk->last);
}

static enum err store_chunk(struct snap_sink *sink, struct snap__chunk *chunk)
{
    struct kv *file = sink->file;
    struct kv_txn *txn;
    struct buf place = {0};
    enum err err = file->ops->begin_write(file, &txn);
    if (err != ERR_OK)
        return err;
    err = write_chunk(sink, txn, chunk, &place);
    if (err == ERR_OK)
        err = file->ops->commit(file, txn);
    else
        file->ops->abort(file, txn);
    if (err == ERR_OK) {
        struct buf old = sink->place;
        sink->place = place;
        sink->complete = chunk->last;
        place = old;
    }
    buf_deinit(&place);
    return err;
}

/* What may follow the last one. */
static enum err look_at_end(const struct snap_sink *sink,
                            const struct snap__chunk *chunk)
{
    struct snap__place place;
    CHECK(snap__place_decode(buf_slice(&sink->place), &place));
    if (!chunk->last || chunk->pairs > 0 || chunk->at != chunk->end ||
        chunk->total != place.pairs)
        return is_bad("it follows the last");
    return ERR_OK;
}

enum err snap_sink_write(struct snap_sink *sink, struct slice bytes,
                         bool *complete)
{
    struct snap__chunk chunk;
    CHECK(!sink->activated);
    *complete = false;
    enum err err = snap__chunk_open(bytes, &chunk);
    if (err == ERR_OK && !slice_eq(chunk.behind, buf_slice(&sink->place)))
        err = is_bad("not the one that follows");
    if (err == ERR_OK)
        err = sink->complete ? look_at_end(sink, &chunk)
                             : store_chunk(sink, &chunk);
    if (err != ERR_OK)
        return err_wrap(err, "take a snapshot");
    *complete = sink->complete;
    return ERR_OK;
}

struct kv *snap_sink_kv(struct snap_sink *sink)
{
    CHECK(sink->complete && !sink->activated);
    return &sink->view.kv;
}

/* ---- activating ---------------------------------------------------------- */

static enum err write_active(const struct snap_sink *sink, struct kv_txn *txn)
{
    struct kv *file = sink->file;
    struct buf value = {0};
    size_t begin = snap__seal_begin(&value);
    buf_append_char(&value, (char)sink->target);
    snap__seal_end(&value, begin);
    enum err err = file->ops->put(file, txn, SNAP_CONTROL_TABLE,
                                  snap__active_key, buf_slice(&value));
    buf_deinit(&value);
    if (err == ERR_OK)
        err = file->ops->del(file, txn, SNAP_CONTROL_TABLE, snap__sink_key);
    CHECK_NE(err, ERR_NOT_FOUND);
    return err;
}

enum err snap_sink_activate(struct snap_sink *sink)
{
    struct kv *file = sink->file;
    struct kv_txn *txn;
    CHECK(sink->complete && !sink->activated);
    CHECK_NE(atomic_load(&sink->set->active), sink->target);
    enum err err = file->ops->begin_write(file, &txn);
    if (err != ERR_OK)
        return err_wrap(err, "activate a snapshot");
    err = write_active(sink, txn);
    if (err == ERR_OK)
        err = file->ops->commit(file, txn);
    else
        file->ops->abort(file, txn);
    if (err != ERR_OK)
        return err_wrap(err, "activate a snapshot");
    sink->activated = true;
    atomic_store(&sink->set->active, sink->target);
    return ERR_OK;
}
