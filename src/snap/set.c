/* The two sets: which is active, the kv that shows it, and the removal of what
 * the other one holds.
 *
 * Which set is active stands in the control table, so a transaction that needs
 * to know asks there and is right whatever others do meanwhile. The set's kv
 * goes by the number in memory: between activations it can't change, and
 * nobody uses that kv during one.
 */
#include "base/check.h"
#include "base/mem.h"
#include "snap/snap_int.h"

const struct slice snap__active_key = {"active", 6};
const struct slice snap__sink_key = {"sink", 4};

enum {
    /* What one part removes: so much that the two syncs of a commit don't
     * count, and so little that a flush doesn't wait long. */
    PART_PAIRS = 4096,
    PART_BYTES = 4 * 1024 * 1024,
};

/* ---- the kv -------------------------------------------------------------- */

static struct snap_set *set_of(struct kv *kv)
{
    return (struct snap_set *)(void *)kv;
}

static struct kv *file_of(struct kv *kv)
{
    return set_of(kv)->file;
}

static kv_table table_of(struct kv *kv, kv_table table)
{
    CHECK_LT(table, SNAP_SET_TABLES);
    return snap__table(atomic_load(&set_of(kv)->active), table);
}

static enum err begin_read(struct kv *kv, struct kv_txn **out)
{
    return file_of(kv)->ops->begin_read(file_of(kv), out);
}

static void reset(struct kv *kv, struct kv_txn *txn)
{
    file_of(kv)->ops->reset(file_of(kv), txn);
}

static enum err renew(struct kv *kv, struct kv_txn *txn)
{
    return file_of(kv)->ops->renew(file_of(kv), txn);
}

static void end_read(struct kv *kv, struct kv_txn *txn)
{
    file_of(kv)->ops->end_read(file_of(kv), txn);
}

static enum err begin_write(struct kv *kv, struct kv_txn **out)
{
    return file_of(kv)->ops->begin_write(file_of(kv), out);
}

static enum err commit(struct kv *kv, struct kv_txn *txn)
{
    return file_of(kv)->ops->commit(file_of(kv), txn);
}

static void abort_write(struct kv *kv, struct kv_txn *txn)
{
    file_of(kv)->ops->abort(file_of(kv), txn);
}

static enum err get(struct kv *kv, struct kv_txn *txn, kv_table table,
                    struct slice key, struct slice *value)
{
    return file_of(kv)->ops->get(file_of(kv), txn, table_of(kv, table), key,
                                 value);
}

static enum err put(struct kv *kv, struct kv_txn *txn, kv_table table,
                    struct slice key, struct slice value)
{
    return file_of(kv)->ops->put(file_of(kv), txn, table_of(kv, table), key,
                                 value);
}

static enum err append(struct kv *kv, struct kv_txn *txn, kv_table table,
                       struct slice key, struct slice value)
{
    return file_of(kv)->ops->append(file_of(kv), txn, table_of(kv, table), key,
                                    value);
}

static enum err del(struct kv *kv, struct kv_txn *txn, kv_table table,
                    struct slice key)
{
    return file_of(kv)->ops->del(file_of(kv), txn, table_of(kv, table), key);
}

static enum err clear(struct kv *kv, struct kv_txn *txn, kv_table table)
{
    return file_of(kv)->ops->clear(file_of(kv), txn, table_of(kv, table));
}

static enum err cursor_open(struct kv *kv, struct kv_txn *txn, kv_table table,
                            struct kv_cursor **out)
{
    return file_of(kv)->ops->cursor_open(file_of(kv), txn, table_of(kv, table),
                                         out);
}

static void cursor_close(struct kv *kv, struct kv_cursor *cursor)
{
    file_of(kv)->ops->cursor_close(file_of(kv), cursor);
}

static enum err cursor_seek(struct kv *kv, struct kv_cursor *cursor,
                            struct slice from, struct slice *key,
                            struct slice *value)
{
    return file_of(kv)->ops->cursor_seek(file_of(kv), cursor, from, key, value);
}

static enum err cursor_next(struct kv *kv, struct kv_cursor *cursor,
                            struct slice *key, struct slice *value)
{
    return file_of(kv)->ops->cursor_next(file_of(kv), cursor, key, value);
}

static void stat(struct kv *kv, struct kv_stat *out)
{
    file_of(kv)->ops->stat(file_of(kv), out);
}

static void forget(struct kv *kv)
{
    file_of(kv)->ops->forget(file_of(kv));
}

static const struct kv_ops ops = {
    .begin_read = begin_read,
    .reset = reset,
    .renew = renew,
    .end_read = end_read,
    .begin_write = begin_write,
    .commit = commit,
    .abort = abort_write,
    .get = get,
    .put = put,
    .append = append,
    .del = del,
    .clear = clear,
    .cursor_open = cursor_open,
    .cursor_close = cursor_close,
    .cursor_seek = cursor_seek,
    .cursor_next = cursor_next,
    .stat = stat,
    .forget = forget,
};

/* ---- opening ------------------------------------------------------------- */

enum err snap__active(struct kv *file, struct kv_txn *txn, unsigned *out)
{
    struct slice value, body;
    *out = 0;
    enum err err =
        file->ops->get(file, txn, SNAP_CONTROL_TABLE, snap__active_key, &value);
    if (err == ERR_NOT_FOUND)
        return ERR_OK;
    if (err == ERR_OK)
        err = snap__unseal(value, &body);
    if (err == ERR_OK && (body.size != 1 || (uint8_t)body.at[0] >= SNAP_SETS))
        err = err_set(ERR_CORRUPT, "no such set");
    if (err == ERR_OK)
        *out = (uint8_t)body.at[0];
    return err_wrap(err, "the active set");
}

enum err snap_set_open(struct kv *file, struct snap_set **out)
{
    struct kv_txn *txn;
    unsigned active;
    *out = NULL;
    enum err err = file->ops->begin_read(file, &txn);
    if (err != ERR_OK)
        return err_wrap(err, "the active set");
    err = snap__active(file, txn, &active);
    file->ops->end_read(file, txn);
    if (err != ERR_OK)
        return err;
    struct snap_set *set = mem_alloc_zero(sizeof *set);
    set->kv.ops = &ops;
    set->file = file;
    atomic_init(&set->active, active);
    *out = set;
    return ERR_OK;
}

void snap_set_close(struct snap_set *set)
{
    if (set == NULL)
        return;
    CHECK(!atomic_load(&set->has_sink));
    CHECK_EQ(atomic_load(&set->sources), 0);
    mem_free(set);
}

struct kv *snap_set_kv(struct snap_set *set)
{
    return &set->kv;
}

/* ---- cleaning ------------------------------------------------------------ */

struct part {
    struct kv *file;
    struct kv_txn *txn;
    size_t pairs, bytes; /* may still be removed */
    bool changed;
    bool more;
};

/* Lists the table's first keys as far as the part allows; each with its size,
 * since the slices don't outlive the first removal. *ends: there is no other
 * key. */
static enum err list_keys(struct part *part, kv_table table, struct buf *keys,
                          bool *ends)
{
    struct kv *file = part->file;
    struct kv_cursor *cursor;
    struct slice key, value;
    *ends = false;
    enum err err = file->ops->cursor_open(file, part->txn, table, &cursor);
    if (err != ERR_OK)
        return err;
    err = file->ops->cursor_seek(file, cursor, SLICE(""), &key, &value);
    while (err == ERR_OK && part->pairs > 0 && part->bytes > 0) {
        size_t bytes = key.size + value.size;
        CHECK_LE(key.size, KV_KEY_BYTES_MAX);
        buf_append(keys, &key.size, sizeof key.size);
        buf_append_slice(keys, key);
        part->pairs--;
        part->bytes -= bytes < part->bytes ? bytes : part->bytes;
        err = file->ops->cursor_next(file, cursor, &key, &value);
    }
    file->ops->cursor_close(file, cursor);
    *ends = err == ERR_END;
    return err == ERR_END ? ERR_OK : err;
}

static enum err remove_keys(const struct part *part, kv_table table,
                            struct slice keys)
{
    struct kv *file = part->file;
    enum err err = ERR_OK;
    for (size_t at = 0, size; at < keys.size && err == ERR_OK; at += size) {
        memcpy(&size, keys.at + at, sizeof size);
        at += sizeof size;
        CHECK_LE(at + size, keys.size);
        err = file->ops->del(file, part->txn, table,
                             slice_of(keys.at + at, size));
        CHECK_NE(err, ERR_NOT_FOUND);
    }
    return err;
}

static enum err clean_table(struct part *part, kv_table table)
{
    struct buf keys = {0};
    bool ends;
    enum err err = list_keys(part, table, &keys, &ends);
    if (err == ERR_OK && !ends)
        part->more = true;
    if (err == ERR_OK && keys.size > 0) {
        part->changed = true;
        err = ends ? part->file->ops->clear(part->file, part->txn, table)
                   : remove_keys(part, table, buf_slice(&keys));
    }
    buf_deinit(&keys);
    return err;
}

/* The transfer goes first: it is never gone on with once a part is gone. */
static enum err clean_other(struct part *part)
{
    unsigned active;
    enum err err = snap__active(part->file, part->txn, &active);
    if (err != ERR_OK)
        return err;
    err = part->file->ops->del(part->file, part->txn, SNAP_CONTROL_TABLE,
                               snap__sink_key);
    part->changed = err == ERR_OK;
    if (err == ERR_NOT_FOUND)
        err = ERR_OK;
    unsigned other = 1 - active;
    for (kv_table table = 0; table < SNAP_SET_TABLES && err == ERR_OK; table++)
        err = clean_table(part, snap__table(other, table));
    return err;
}

enum err snap__clean_part(struct snap_set *set, bool *more)
{
    struct kv *file = set->file;
    struct part part = {.file = file, .pairs = PART_PAIRS, .bytes = PART_BYTES};
    *more = false;
    enum err err = file->ops->begin_write(file, &part.txn);
    if (err != ERR_OK)
        return err_wrap(err, "clean the set");
    err = clean_other(&part);
    if (err == ERR_OK && part.changed)
        err = file->ops->commit(file, part.txn);
    else
        file->ops->abort(file, part.txn);
    *more = err == ERR_OK && part.more;
    return err_wrap(err, "clean the set");
}

enum err snap_set_clean(struct snap_set *set, bool *more)
{
    CHECK(!atomic_load(&set->has_sink));
    return snap__clean_part(set, more);
}
