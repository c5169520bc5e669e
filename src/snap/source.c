/* The sender: reads one state of the active set, pair by pair. */
#include "base/check.h"
#include "base/mem.h"
#include "snap/snap_int.h"

/* Of the file that stay resident behind the source. */
enum { FORGET_BYTES = 32 * 1024 * 1024 };

struct snap_source {
    struct snap_set *set;
    struct kv *file;
    struct kv_txn *txn;
    unsigned active; /* as the transaction sees it */
    struct snap__view view;
    /* What the next chunk begins behind. */
    struct buf place;
    uint64_t pairs; /* up to there */
    /* The next pair to go. SNAP_SET_TABLES is behind the last table. */
    struct snap__pair pair;
    struct kv_cursor *cursor; /* on it; NULL: not placed, or behind all */
    bool placed;
    bool ended;
    size_t read_bytes; /* since the last kv.forget */
    size_t chunk_bytes;
};

enum err snap_source_open(struct snap_set *set, struct snap_source **out)
{
    struct kv *file = set->file;
    *out = NULL;
    struct snap_source *source = mem_alloc_zero(sizeof *source);
    source->set = set;
    source->file = file;
    source->chunk_bytes = SNAP_CHUNK_BYTES;
    enum err err = file->ops->begin_read(file, &source->txn);
    if (err != ERR_OK)
        goto err_after_source;
    err = snap__active(file, source->txn, &source->active);
    if (err != ERR_OK)
        goto err_after_txn;
    atomic_fetch_add(&set->sources, 1);
    snap__view_init(&source->view, file, source->active, source->txn);
    *out = source;
    return ERR_OK;

err_after_txn:
    file->ops->end_read(file, source->txn);
err_after_source:
    mem_free(source);
    return err_wrap(err, "read a snapshot");
}

void snap_source_chunk_bytes(struct snap_source *source, size_t bytes)
{
    CHECK(bytes > 0);
    source->chunk_bytes = bytes;
}

static void lose_place(struct snap_source *source)
{
    if (source->cursor != NULL)
        source->file->ops->cursor_close(source->file, source->cursor);
    source->cursor = NULL;
    source->placed = false;
}

void snap_source_close(struct snap_source *source)
{
    if (source == NULL)
        return;
    lose_place(source);
    source->file->ops->end_read(source->file, source->txn);
    CHECK(atomic_fetch_sub(&source->set->sources, 1) > 0);
    buf_deinit(&source->place);
    mem_free(source);
}

struct kv *snap_source_kv(struct snap_source *source)
{
    return &source->view.kv;
}

/* A place in another state of the set would often be one here too, and end in
 * a mixture of the two: the pair must at least be here. (The receiver's place
 * belongs to a snapshot's id, and that to one source.) */
enum err snap_source_seek(struct snap_source *source, struct slice place)
{
    struct snap__place to;
    struct slice value;
    struct kv *file = source->file;
    if (!snap__place_decode(place, &to) || to.pairs > SNAP_PAIRS_MAX)
        return err_set(ERR_INVALID, "no place of a snapshot");
    if (to.key.size > 0) {
        enum err err = file->ops->get(file, source->txn,
                                      snap__table(source->active, to.table),
                                      to.key, &value);
        if (err == ERR_NOT_FOUND)
            return err_set(ERR_INVALID, "a place of another snapshot");
        if (err != ERR_OK)
            return err_wrap(err, "read a snapshot");
    }
    lose_place(source);
    buf_reset(&source->place);
    buf_append_slice(&source->place, place);
    source->pairs = to.pairs;
    source->ended = false;
    return ERR_OK;
}

/* ---- pairs --------------------------------------------------------------- */

static enum err first_of_table(struct snap_source *source, struct slice from)
{
    struct kv *file = source->file;
    struct snap__pair *pair = &source->pair;
    CHECK(source->cursor == NULL);
    enum err err = file->ops->cursor_open(
        file, source->txn, snap__table(source->active, pair->table),
        &source->cursor);
    if (err != ERR_OK)
        return err;
    return file->ops->cursor_seek(file, source->cursor, from, &pair->key,
                                  &pair->value);
}

/* `found` is how the search in this table went: where there is no more in it,
 * the next table's first pair is it. */
static enum err settle(struct snap_source *source, enum err found)
{
    struct kv *file = source->file;
    while (found == ERR_END) {
        file->ops->cursor_close(file, source->cursor);
        source->cursor = NULL;
        if (++source->pair.table == SNAP_SET_TABLES)
            return ERR_OK;
        found = first_of_table(source, SLICE(""));
    }
    return found;
}

static enum err advance(struct snap_source *source)
{
    struct kv *file = source->file;
    struct snap__pair *pair = &source->pair;
    source->read_bytes += pair->key.size + pair->value.size;
    if (source->read_bytes >= FORGET_BYTES) {
        file->ops->forget(file);
        source->read_bytes = 0;
    }
    return settle(source, file->ops->cursor_next(file, source->cursor,
                                                 &pair->key, &pair->value));
}

/* Stands on the first pair behind `source->place`. */
static enum err find_place(struct snap_source *source)
{
    struct snap__place place;
    CHECK(snap__place_decode(buf_slice(&source->place), &place));
    source->pair = (struct snap__pair){.table = place.table};
    enum err err = settle(source, first_of_table(source, place.key));
    if (err == ERR_OK && place.key.size > 0) {
        CHECK(source->pair.table == place.table);
        CHECK(slice_eq(source->pair.key, place.key));
        err = advance(source);
    }
    source->placed = err == ERR_OK;
    return err;
}

/* ---- chunks -------------------------------------------------------------- */

static bool is_behind_all(const struct snap_source *source)
{
    return source->pair.table == SNAP_SET_TABLES;
}

static enum err fill(struct snap_source *source,
                     struct snap__chunk_writer *writer,
                     struct snap__place *place)
{
    const struct snap__pair *pair = &source->pair;
    enum err err = ERR_OK;
    while (err == ERR_OK && !is_behind_all(source) &&
           (place->pairs == source->pairs ||
            writer->out->size - writer->begin < source->chunk_bytes)) {
        snap__chunk_pair(writer, pair);
        place->table = pair->table;
        place->key = pair->key; /* good as long as the transaction */
        place->pairs++;
        err = advance(source);
    }
    return err;
}

static void go_behind(struct snap_source *source,
                      const struct snap__place *place)
{
    CHECK(place->pairs > source->pairs);
    buf_reset(&source->place);
    snap__place_encode(place, &source->place);
    source->pairs = place->pairs;
}

enum err snap_source_next(struct snap_source *source, struct buf *out)
{
    struct snap__chunk_writer writer;
    struct snap__place place = {.pairs = source->pairs};
    size_t before = out->size;
    if (source->ended)
        return ERR_END;
    enum err err = source->placed ? ERR_OK : find_place(source);
    if (err == ERR_OK) {
        snap__chunk_begin(&writer, out, buf_slice(&source->place));
        err = fill(source, &writer, &place);
    }
    if (err != ERR_OK) {
        out->size = before;
        lose_place(source); /* a part of a chunk was read */
        return err_wrap(err, "read a snapshot");
    }
    source->ended = is_behind_all(source);
    place.crc = snap__chunk_end(&writer, source->ended, place.pairs);
    if (writer.pairs > 0)
        go_behind(source, &place);
    return ERR_OK;
}
