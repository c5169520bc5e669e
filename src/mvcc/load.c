/* Opening: the state pair, meta, then one pass over all records, of which
 * the index is built. Values are passed over: nothing of them is read.
 *
 * The state, in MVCC_KV_STATE under "state":
 *
 *   crc              le32   CRC-32C of the rest
 *   format           u8     1
 *   main             le64   the newest revision in the file
 *   time_ns          le64   of its commit
 *   applied_index    le64
 *   applied_term     le64
 *   compacted        le64
 *   compacted_time   le64
 *   finished         u8     1: all that this compaction dropped is gone
 *
 * The entries are gathered in a list, sorted, and the index is filled from
 * below. To find the entry of a key that was there before needs a hash map;
 * it is only made when a record comes that replaces another, since a store of
 * keys that were written once does without.
 */
#include <inttypes.h>

#include "base/check.h"
#include "base/crc.h"
#include "base/map.h"
#include "mvcc/mvcc_int.h"

enum {
    STATE_FORMAT = 1,
    FORGET_BYTES = 32 * 1024 * 1024, /* of the file that stay resident */
    TRIM_ENTRIES = 100000,           /* worth giving the scratch memory back */
};

const struct slice state__key = {"state", 5};

void state__encode(const struct state *state, char out[STATE_BYTES])
{
    const uint64_t numbers[6] = {
        (uint64_t)state->main,
        (uint64_t)state->time_ns,
        state->mark.applied_index,
        state->mark.applied_term,
        (uint64_t)state->mark.compacted,
        (uint64_t)state->mark.compacted_time_ns,
    };
    CHECK(state->main >= MVCC_FIRST_REVISION);
    CHECK(state->mark.compacted <= state->main);
    out[4] = STATE_FORMAT;
    for (size_t i = 0; i < 6; i++)
        put_le64(out + 5 + 8 * i, numbers[i]);
    out[STATE_BYTES - 1] = state->finished;
    put_le32(out, crc32c(0, out + 4, STATE_BYTES - 4));
}

enum err state__decode(struct slice bytes, struct state *out)
{
    uint64_t numbers[6];
    *out = (struct state){0};
    if (bytes.size != STATE_BYTES ||
        get_le32(bytes.at) != crc32c(0, bytes.at + 4, bytes.size - 4))
        return err_set(ERR_CORRUPT, "the state has a wrong checksum");
    if (bytes.at[4] != STATE_FORMAT)
        return err_set(ERR_CORRUPT, "the state has unknown format %d",
                       bytes.at[4]);
    for (size_t i = 0; i < 6; i++)
        numbers[i] = get_le64(bytes.at + 5 + 8 * i);
    out->main = (revision)numbers[0];
    out->time_ns = (int64_t)numbers[1];
    out->mark.applied_index = numbers[2];
    out->mark.applied_term = numbers[3];
    out->mark.compacted = (revision)numbers[4];
    out->mark.compacted_time_ns = (int64_t)numbers[5];
    out->finished = bytes.at[STATE_BYTES - 1] != 0;
    if (out->main < MVCC_FIRST_REVISION || out->mark.compacted < 0 ||
        out->mark.compacted > out->main)
        return err_set(ERR_CORRUPT,
                       "the state is at revision %" PRId64
                       ", compacted at %" PRId64,
                       out->main, out->mark.compacted);
    return ERR_OK;
}

/* ---- gathering the entries ----------------------------------------------- */

struct gathered {
    struct index_item *items;
    size_t count, capacity;
    struct map map; /* entries by key, once `mapped` */
    bool mapped;
};

struct load {
    struct mvcc *mvcc;
    struct kv_txn *txn;
    struct state state;
    struct gathered tables[MVCC_TABLE_COUNT];
    uint64_t scanned; /* bytes since the last kv.forget */
};

static struct slice key_of(const void *entry)
{
    return entry_key(entry);
}

static void map_all(struct gathered *gathered)
{
    gathered->mapped = true;
    for (size_t i = 0; i < gathered->count; i++)
        map_put(&gathered->map, gathered->items[i].entry);
}

static struct entry *new_entry(struct load *load, struct gathered *gathered,
                               struct slice key)
{
    struct entry *entry = index__entry_new(&load->mvcc->slab, key);
    if (gathered->count == gathered->capacity) {
        gathered->capacity = gathered->capacity ? gathered->capacity * 2 : 256;
        gathered->items = mem_realloc(
            gathered->items, gathered->capacity * sizeof *gathered->items);
    }
    gathered->items[gathered->count++].entry = entry;
    if (gathered->mapped)
        map_put(&gathered->map, entry);
    return entry;
}

/* The record's entry if it has one. A key is known to be new without a search
 * where nothing yet was replaced: a key that comes anew after a tombstone has
 * no predecessor to tell, but the tombstone had. And a finished compaction
 * left one record of each key. */
static struct entry *old_entry(const struct load *load,
                               struct gathered *gathered,
                               const struct record *record)
{
    if (load->state.finished && record->rev.main <= load->state.mark.compacted)
        return NULL;
    if (record->prev.main != 0 && !gathered->mapped)
        map_all(gathered);
    return gathered->mapped ? map_get(&gathered->map, record->key) : NULL;
}

static void note_leased(struct leased *leased, struct rev rev)
{
    if (leased->count == leased->capacity) {
        leased->capacity = leased->capacity ? leased->capacity * 2 : 64;
        leased->revs =
            mem_realloc(leased->revs, leased->capacity * sizeof *leased->revs);
    }
    leased->revs[leased->count++] = rev;
}

static enum err load_record(struct load *load, struct slice key,
                            struct slice value)
{
    struct record record;
    struct rev rev;
    enum err err = record__decode_key(key, &rev);
    if (err == ERR_OK && rev.main > load->state.main)
        err = err_set(ERR_CORRUPT,
                      "record %" PRId64 " is newer than the state at %" PRId64,
                      rev.main, load->state.main);
    if (err == ERR_OK)
        err = record__decode(value, rev, RECORD_CHECK_HEAD, &record);
    if (err != ERR_OK)
        return err;
    struct gathered *gathered = &load->tables[record.table];
    struct entry *entry = old_entry(load, gathered, &record);
    if (entry == NULL)
        entry = new_entry(load, gathered, record.key);
    revs__push(&load->mvcc->slab, entry, rev, record.create, record.version);
    if (record.lease != 0)
        note_leased(&load->mvcc->leased, rev);
    load->scanned += key.size + value.size;
    if (load->scanned >= FORGET_BYTES) {
        load->mvcc->kv->ops->forget(load->mvcc->kv);
        load->scanned = 0;
    }
    return ERR_OK;
}

static enum err load_meta(struct load *load, struct slice key,
                          struct slice value)
{
    struct slice bytes;
    enum err err = meta__decode(key, value, &bytes);
    if (err == ERR_OK)
        meta__load(&load->mvcc->meta, key, bytes);
    return err;
}

/* ---- the passes ---------------------------------------------------------- */

static enum err each_pair(struct load *load, kv_table table,
                          enum err (*each)(struct load *load, struct slice key,
                                           struct slice value))
{
    struct kv *kv = load->mvcc->kv;
    struct kv_cursor *cursor;
    struct slice key, value;
    const char lowest[1] = {0};
    enum err err = kv->ops->cursor_open(kv, load->txn, table, &cursor);
    if (err != ERR_OK)
        return err;
    err = kv->ops->cursor_seek(kv, cursor, slice_of(lowest, 1), &key, &value);
    while (err == ERR_OK) {
        err = each(load, key, value);
        if (err == ERR_OK)
            err = kv->ops->cursor_next(kv, cursor, &key, &value);
    }
    kv->ops->cursor_close(kv, cursor);
    return err == ERR_END ? ERR_OK : err;
}

static enum err load_state(struct load *load)
{
    struct kv *kv = load->mvcc->kv;
    struct slice value;
    enum err err =
        kv->ops->get(kv, load->txn, MVCC_KV_STATE, state__key, &value);
    if (err == ERR_OK)
        return state__decode(value, &load->state);
    load->state = (struct state){.main = MVCC_FIRST_REVISION, .finished = true};
    return err == ERR_NOT_FOUND ? ERR_OK : err;
}

static enum err build(struct index *index, struct gathered *gathered)
{
    size_t count = gathered->count;
    map_deinit(&gathered->map);
    if (count == 0)
        return ERR_OK;
    struct index_item *scratch = mem_alloc(count * sizeof *scratch);
    index__sort(gathered->items, scratch, count);
    mem_free(scratch);
    if (!index__build(index, gathered->items, count, revs__live))
        return err_set(ERR_CORRUPT, "a key came twice as a new one");
    CHECK_EQ(index->count, count);
    return ERR_OK;
}

static enum err load_tables(struct load *load)
{
    enum err err = load_state(load);
    if (err == ERR_OK)
        err = err_wrap(each_pair(load, MVCC_KV_META, load_meta), "meta");
    if (err == ERR_OK)
        err =
            err_wrap(each_pair(load, MVCC_KV_RECORDS, load_record), "records");
    for (unsigned i = 0; i < MVCC_TABLE_COUNT && err == ERR_OK; i++)
        err = build(&load->mvcc->tables[i], &load->tables[i]);
    return err;
}

static void set_state(struct mvcc *mvcc, const struct state *state)
{
    CHECK(mvcc->tail.count == 0 && !mvcc->ground_marked);
    mvcc->current = mvcc->durable_main = state->main;
    mvcc->time_ns = mvcc->durable_time_ns = state->time_ns;
    mvcc->tail.first = state->main + 1;
    mvcc->now = mvcc->durable = state->mark;
    mvcc->durable_finished = state->finished;
    CHECK_EQ(mvcc->now.meta_end, 0);
    if (!state->finished)
        compact__resume(mvcc);
}

/* Where the file is bad, entries that are in no index yet are freed with the
 * slab. */
enum err load__all(struct mvcc *mvcc)
{
    struct load load = {.mvcc = mvcc};
    size_t entries = 0;
    for (unsigned i = 0; i < MVCC_TABLE_COUNT; i++)
        map_init(&load.tables[i].map, key_of, mvcc->seed);
    enum err err = mvcc->kv->ops->begin_read(mvcc->kv, &load.txn);
    if (err == ERR_OK) {
        err = load_tables(&load);
        mvcc->kv->ops->end_read(mvcc->kv, load.txn);
    }
    for (unsigned i = 0; i < MVCC_TABLE_COUNT; i++) {
        entries += load.tables[i].count;
        map_deinit(&load.tables[i].map);
        mem_free(load.tables[i].items);
    }
    if (err != ERR_OK)
        return err;
    set_state(mvcc, &load.state);
    if (entries >= TRIM_ENTRIES) {
        mvcc->kv->ops->forget(mvcc->kv);
        mem_trim();
    }
    return ERR_OK;
}

/* ---- leases -------------------------------------------------------------- */

/* Most are of the past: a record lives if its key's newest is this one. */
static enum err tell_leased(struct mvcc_reader *reader, struct rev rev,
                            void (*each)(void *context,
                                         const struct record *record),
                            void *context)
{
    struct record record;
    struct rev newest;
    enum err err = mvcc_get_rev(reader, rev, &record);
    if (err == ERR_NOT_FOUND || err == ERR_COMPACTED)
        return ERR_OK;
    if (err == ERR_OK)
        err = mvcc_find(reader, record.table, record.key, 0, &newest);
    if (err == ERR_OK && newest.main == rev.main && newest.sub == rev.sub)
        each(context, &record);
    return err == ERR_NOT_FOUND ? ERR_OK : err;
}

enum err mvcc_each_leased(struct mvcc_reader *reader,
                          void (*each)(void *context,
                                       const struct record *record),
                          void *context)
{
    struct leased *leased = &reader->mvcc->leased;
    enum err err = ERR_OK;
    CHECK(reader->reading);
    for (size_t i = 0; i < leased->count && err == ERR_OK; i++)
        err = tell_leased(reader, leased->revs[i], each, context);
    mem_free(leased->revs);
    *leased = (struct leased){0};
    return err;
}
