/* Readers: single keys and single records. */
#include "base/check.h"
#include "base/limits.h"
#include "mvcc/mvcc_int.h"

#include <inttypes.h>

/* The file's place for the reader is taken now, so that who has a reader can
 * read. */
enum err mvcc_reader_new(struct mvcc *mvcc, struct mvcc_reader **out)
{
    *out = NULL;
    struct mvcc_reader *reader = mem_try_alloc(sizeof *reader);
    if (reader == NULL)
        return err_set(ERR_NO_MEMORY, "a reader of the store");
    *reader = (struct mvcc_reader){.mvcc = mvcc};
    enum err err = mvcc->kv->ops->begin_read(mvcc->kv, &reader->txn);
    if (err != ERR_OK) {
        mem_free(reader);
        return err_wrap(err, "a reader of the store");
    }
    mvcc->kv->ops->reset(mvcc->kv, reader->txn);
    atomic_fetch_add(&mvcc->readers, 1);
    *out = reader;
    return ERR_OK;
}

void mvcc_reader_free(struct mvcc_reader *reader)
{
    if (reader == NULL)
        return;
    struct mvcc *mvcc = reader->mvcc;
    CHECK(!reader->reading && !reader->snapshot);
    CHECK(atomic_fetch_sub(&mvcc->readers, 1) > 0);
    mvcc->kv->ops->end_read(mvcc->kv, reader->txn);
    mem_free(reader);
}

void mvcc_read_begin(struct mvcc_reader *reader)
{
    CHECK(!reader->reading && !reader->snapshot && reader->cursor == NULL);
    reader->reading = true;
}

void mvcc_read_end(struct mvcc_reader *reader)
{
    struct kv *kv = reader->mvcc->kv;
    CHECK(reader->reading);
    reader->reading = false;
    if (reader->cursor != NULL)
        kv->ops->cursor_close(kv, reader->cursor);
    reader->cursor = NULL;
    reader->cursor_at = (struct rev){0};
    if (reader->snapshot)
        kv->ops->reset(kv, reader->txn);
    reader->snapshot = false;
}

void mvcc_reader_revisions(const struct mvcc_reader *reader, revision *current,
                           revision *compacted)
{
    CHECK(reader->reading);
    *current = reader->mvcc->current;
    *compacted = reader->mvcc->now.compacted;
}

/* ---- from the file ------------------------------------------------------- */

/* Taken while the lock is held: what the tail had let go of before, the
 * snapshot has; what it lets go of later, we have still seen in the tail. */
static enum err need_snapshot(struct mvcc_reader *reader)
{
    struct kv *kv = reader->mvcc->kv;
    CHECK(reader->reading);
    if (reader->snapshot)
        return ERR_OK;
    enum err err = kv->ops->renew(kv, reader->txn);
    reader->snapshot = err == ERR_OK;
    return err_wrap(err, "read the store");
}

static enum err get_from_file(struct mvcc_reader *reader, struct rev rev,
                              struct record *out)
{
    struct kv *kv = reader->mvcc->kv;
    struct slice value;
    char key[RECORD_KEY_BYTES];
    enum err err = need_snapshot(reader);
    if (err != ERR_OK)
        return err;
    record__encode_key(rev, key);
    err = kv->ops->get(kv, reader->txn, MVCC_KV_RECORDS,
                       slice_of(key, sizeof key), &value);
    if (err != ERR_OK)
        return err;
    return record__decode(value, rev, RECORD_CHECK_ALL, out);
}

static bool follows(struct rev rev, struct rev after)
{
    return (rev.main == after.main && rev.sub == after.sub + 1) ||
           (rev.main == after.main + 1 && rev.sub == 0);
}

static bool is_before(struct rev a, struct rev b)
{
    return a.main < b.main || (a.main == b.main && a.sub < b.sub);
}

/* Who reads history on and on is taken from pair to pair, without a search. */
static enum err move_cursor(struct mvcc_reader *reader, struct rev from,
                            struct rev *at, struct slice *value)
{
    struct kv *kv = reader->mvcc->kv;
    struct slice key;
    char start[RECORD_KEY_BYTES];
    if (reader->cursor_at.main != 0 && follows(from, reader->cursor_at)) {
        enum err err = kv->ops->cursor_next(kv, reader->cursor, &key, value);
        if (err == ERR_OK)
            err = record__decode_key(key, at);
        if (err != ERR_OK || !is_before(*at, from))
            return err;
    }
    record__encode_key(from, start);
    enum err err = kv->ops->cursor_seek(
        kv, reader->cursor, slice_of(start, sizeof start), &key, value);
    return err == ERR_OK ? record__decode_key(key, at) : err;
}

enum err read__seek(struct mvcc_reader *reader, struct rev from,
                    struct record *out)
{
    struct kv *kv = reader->mvcc->kv;
    struct slice value;
    struct rev at;
    CHECK(from.main > 0);
    enum err err = need_snapshot(reader);
    if (err == ERR_OK && reader->cursor == NULL)
        err = kv->ops->cursor_open(kv, reader->txn, MVCC_KV_RECORDS,
                                   &reader->cursor);
    if (err != ERR_OK)
        return err;
    err = move_cursor(reader, from, &at, &value);
    if (err == ERR_OK)
        err = record__decode(value, at, RECORD_CHECK_ALL, out);
    reader->cursor_at = err == ERR_OK ? at : (struct rev){0};
    CHECK(err != ERR_OK || !is_before(at, from));
    return err;
}

/* ---- records ------------------------------------------------------------- */

enum err read__record(struct mvcc_reader *reader, struct rev rev,
                      struct record *out)
{
    const struct mvcc *mvcc = reader->mvcc;
    const struct draft *draft = &mvcc->draft;
    CHECK(reader->reading && rev.main > 0);
    if (rev.main >= mvcc->tail.first) {
        const struct mvcc_commit *commit = tail__get(&mvcc->tail, rev.main);
        if (commit != NULL && rev.sub < commit->count) {
            *out = commit->records[rev.sub];
            CHECK_EQ(out->rev.main, rev.main);
            return ERR_OK;
        }
        if (!draft->open || rev.main != draft->main || rev.sub >= draft->count)
            return ERR_NOT_FOUND;
        *out = draft->records[rev.sub];
        return ERR_OK;
    }
    return get_from_file(reader, rev, out);
}

enum err read__at(const struct mvcc_reader *reader, revision at, revision *out)
{
    const struct mvcc *mvcc = reader->mvcc;
    CHECK(reader->reading);
    *out = at == 0 ? mvcc__now(mvcc) : at;
    if (*out > mvcc__now(mvcc))
        return ERR_FUTURE_REVISION;
    if (*out < mvcc->now.compacted)
        return ERR_COMPACTED;
    return ERR_OK;
}

enum err mvcc_find(struct mvcc_reader *reader, enum mvcc_table table,
                   struct slice key, revision at, struct rev *out)
{
    CHECK_LT(table, MVCC_TABLE_COUNT);
    enum err err = read__at(reader, at, &at);
    if (err != ERR_OK)
        return err;
    const struct entry *entry = index__get(&reader->mvcc->tables[table], key);
    if (entry == NULL)
        return ERR_NOT_FOUND;
    bool live;
    *out = revs__at(entry, at, &live);
    return live ? ERR_OK : ERR_NOT_FOUND;
}

enum err mvcc_get(struct mvcc_reader *reader, enum mvcc_table table,
                  struct slice key, revision at, struct record *out)
{
    struct rev rev;
    enum err err = mvcc_find(reader, table, key, at, &rev);
    if (err != ERR_OK)
        return err;
    err = read__record(reader, rev, out);
    if (err == ERR_NOT_FOUND)
        return err_set(ERR_CORRUPT,
                       "record %" PRId64 "/%" PRIu32
                       " of the index is not in the file",
                       rev.main, rev.sub);
    if (err == ERR_OK && (out->table != table || !slice_eq(out->key, key)))
        return err_set(ERR_CORRUPT,
                       "record %" PRId64 "/%" PRIu32 " is of another key",
                       rev.main, rev.sub);
    return err;
}

enum err mvcc_get_rev(struct mvcc_reader *reader, struct rev rev,
                      struct record *out)
{
    const struct mvcc *mvcc = reader->mvcc;
    CHECK(reader->reading);
    if (rev.main <= 0)
        return ERR_NOT_FOUND;
    if (rev.main > mvcc__now(mvcc))
        return ERR_FUTURE_REVISION;
    enum err err = read__record(reader, rev, out);
    if (err == ERR_NOT_FOUND && mvcc__is_compacted(mvcc, rev.main))
        return ERR_COMPACTED;
    return err;
}
