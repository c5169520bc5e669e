#include "mvcc/transfer.h"

#include "base/check.h"
#include "mvcc/mvcc_int.h"

/* ---- out ----------------------------------------------------------------- */

/* What a compaction dropped may still be in the file, and so may what one is
 * about to drop: the index tells it from what stays. */
static bool is_kept(const struct mvcc *mvcc, const struct record *record)
{
    bool live = false;
    if (!mvcc__is_compacted(mvcc, record->rev.main))
        return true;
    CHECK_LT(record->table, MVCC_TABLE_COUNT);
    const struct entry *entry =
        index__get(&mvcc->tables[record->table], record->key);
    if (entry == NULL)
        return false;
    struct rev kept = revs__at(entry, mvcc->now.compacted, &live);
    return live && kept.main == record->rev.main && kept.sub == record->rev.sub;
}

enum err mvcc_kept(struct mvcc_reader *reader, struct rev from,
                   struct record *out)
{
    CHECK(reader->reading);
    CHECK(!reader->mvcc->draft.open);
    for (;;) {
        enum err err = mvcc_history_left(reader, from, out);
        if (err != ERR_OK || is_kept(reader->mvcc, out))
            return err;
        CHECK_LT(out->rev.sub, UINT32_MAX);
        from = (struct rev){out->rev.main, out->rev.sub + 1};
    }
}

/* ---- in ------------------------------------------------------------------ */

enum {
    /* One transaction: LMDB keeps the pages that it touches in memory. */
    IMPORT_BYTES = 8 * 1024 * 1024,
};

struct mvcc_import {
    struct kv *kv;
    struct kv_txn *txn; /* NULL: none is open */
    struct buf buf;
    size_t bytes; /* in this transaction */
    struct rev last;
    bool failed;
};

static enum err open_txn(struct mvcc_import *import)
{
    CHECK(!import->failed);
    if (import->txn != NULL)
        return ERR_OK;
    import->bytes = 0;
    enum err err = import->kv->ops->begin_write(import->kv, &import->txn);
    if (err != ERR_OK)
        import->txn = NULL;
    return err;
}

static enum err commit_txn(struct mvcc_import *import)
{
    struct kv_txn *txn = import->txn;
    import->txn = NULL;
    return txn == NULL ? ERR_OK : import->kv->ops->commit(import->kv, txn);
}

/* Counts what was written, and commits where it is enough. */
static enum err wrote(struct mvcc_import *import, enum err err)
{
    import->bytes += import->buf.size;
    if (err == ERR_OK && import->bytes >= IMPORT_BYTES)
        err = commit_txn(import);
    import->failed |= err != ERR_OK;
    return err_wrap(err, "import");
}

static enum err check_empty(struct kv *kv)
{
    struct kv_txn *txn;
    struct slice value;
    enum err err = kv->ops->begin_read(kv, &txn);
    if (err != ERR_OK)
        return err;
    err = kv->ops->get(kv, txn, MVCC_KV_STATE, state__key, &value);
    kv->ops->end_read(kv, txn);
    if (err == ERR_OK)
        return err_set(ERR_EXISTS, "there is a store in the file already");
    return err == ERR_NOT_FOUND ? ERR_OK : err;
}

enum err mvcc_import_begin(struct kv *kv, struct mvcc_import **out)
{
    *out = NULL;
    enum err err = check_empty(kv);
    if (err != ERR_OK)
        return err_wrap(err, "import");
    *out = mem_alloc_zero(sizeof **out);
    (*out)->kv = kv;
    return ERR_OK;
}

enum err mvcc_import_record(struct mvcc_import *import,
                            const struct record *record)
{
    char key[RECORD_KEY_BYTES];
    CHECK(record->rev.main > import->last.main ||
          (record->rev.main == import->last.main &&
           record->rev.sub > import->last.sub));
    import->last = record->rev;
    enum err err = open_txn(import);
    buf_reset(&import->buf);
    record__encode_key(record->rev, key);
    record__encode(&import->buf, record);
    if (err == ERR_OK)
        err = import->kv->ops->append(import->kv, import->txn, MVCC_KV_RECORDS,
                                      slice_of(key, sizeof key),
                                      buf_slice(&import->buf));
    return wrote(import, err);
}

enum err mvcc_import_meta(struct mvcc_import *import, struct slice name,
                          struct slice value)
{
    CHECK(name.size >= 1 && name.size <= KV_KEY_BYTES_MAX);
    CHECK(value.at != NULL);
    enum err err = open_txn(import);
    buf_reset(&import->buf);
    meta__encode_pair(&import->buf, name, value);
    if (err == ERR_OK)
        err = import->kv->ops->put(import->kv, import->txn, MVCC_KV_META, name,
                                   buf_slice(&import->buf));
    return wrote(import, err);
}

static enum err write_state(struct mvcc_import *import,
                            const struct mvcc_import_state *state)
{
    char bytes[STATE_BYTES];
    const struct state stored = {
        .main = state->current,
        .time_ns = state->time_ns,
        .mark = {.applied_index = state->applied_index,
                 .applied_term = state->applied_term,
                 .compacted = state->compacted,
                 .compacted_time_ns = state->compacted_time_ns},
        .finished = state->finished,
    };
    CHECK(state->current >= import->last.main);
    CHECK(state->compacted >= 0 && state->compacted <= state->current);
    state__encode(&stored, bytes);
    return import->kv->ops->put(import->kv, import->txn, MVCC_KV_STATE,
                                state__key, slice_of(bytes, sizeof bytes));
}

enum err mvcc_import_end(struct mvcc_import *import,
                         const struct mvcc_import_state *state)
{
    enum err err = open_txn(import);
    if (err == ERR_OK)
        err = write_state(import, state);
    if (err == ERR_OK)
        err = commit_txn(import);
    mvcc_import_abort(import);
    return err_wrap(err, "import");
}

void mvcc_import_abort(struct mvcc_import *import)
{
    if (import == NULL)
        return;
    if (import->txn != NULL)
        import->kv->ops->abort(import->kv, import->txn);
    buf_deinit(&import->buf);
    mem_free(import);
}
