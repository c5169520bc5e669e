/* etcd's HashKV (3.4: mvcc/kvstore.go HashByRev; 3.5 on: mvcc/hash.go, the
 * same sums): CRC-32C over
 *
 *   "key"                              its bucket's name
 *   each record, in order:
 *     main, 8 bytes, big end first, '_', sub, 8 bytes, big end first,
 *     't' of a tombstone               its key there
 *     a mvccpb.KeyValue                its value there
 *
 * Which records: all above the compaction, up to `at`; at or below it those
 * that live at `at` (so that it doesn't matter how far the compaction's work
 * has come), or, if no key lives at `at`, all that the compaction keeps.
 * Directories of v2's aren't among them.
 */
#include "base/crc.h"
#include "txn/txn_int.h"

enum { REV_BYTES = 17 };

/* How what lies below the compaction is told apart. */
static enum err find_kept_at(struct mvcc_reader *reader, struct txn_hash *hash)
{
    uint64_t living;
    struct slice all = slice_of("", 0);
    enum err err = mvcc_count(reader, MVCC_KEYS, all, slice_of(NULL, 0),
                              hash->at, &living);
    hash->kept_at = living > 0 ? hash->at : hash->compacted;
    return err;
}

enum err txn_hash_begin(struct mvcc_reader *reader, revision at, revision now,
                        struct txn_hash *hash, enum v3_error *error)
{
    revision current, compacted;
    mvcc_reader_revisions(reader, &current, &compacted);
    CHECK_LE(now, current);
    *error = V3_OK;
    *hash = (struct txn_hash){
        .at = at == 0 ? now : at,
        .compacted = compacted > 0 ? compacted : -1,
        .crc = crc32c(0, "key", 3),
        .next = {1, 0},
        .done = at < 0, /* nothing is before the first; as in etcd */
    };
    if (at > now)
        *error = V3_FUTURE_REV;
    else if (at > 0 && at <= compacted)
        *error = V3_COMPACTED;
    if (*error != V3_OK || hash->done || compacted <= 0)
        return ERR_OK;
    enum err err = find_kept_at(reader, hash);
    if (err == ERR_COMPACTED) { /* now is behind the compaction */
        *error = V3_COMPACTED;
        err = ERR_OK;
    }
    return err;
}

static enum err is_kept(const struct txn_hash *hash, struct mvcc_reader *reader,
                        const struct record *record, bool *kept)
{
    struct rev rev;
    enum err err =
        mvcc_find(reader, MVCC_KEYS, record->key, hash->kept_at, &rev);
    *kept = err == ERR_OK && rev.main == record->rev.main &&
            rev.sub == record->rev.sub;
    return err == ERR_NOT_FOUND ? ERR_OK : err;
}

static void add(struct txn_hash *hash, const struct record *record,
                struct buf *scratch)
{
    char rev[REV_BYTES + 1];
    bool ended = (record->flags & MVCC_TOMBSTONE) != 0;
    put_be64(rev, (uint64_t)record->rev.main);
    rev[8] = '_';
    put_be64(rev + 9, record->rev.sub);
    rev[REV_BYTES] = 't';
    hash->crc = crc32c(hash->crc, rev, REV_BYTES + ended);
    buf_reset(scratch);
    txn__stored_kv(scratch, record);
    hash->crc = crc32c(hash->crc, scratch->at, scratch->size);
}

/* The next record at or after hash->next, and whether it counts. */
static enum err next_record(const struct txn_hash *hash,
                            struct mvcc_reader *reader, struct record *record,
                            bool *counts)
{
    bool below = hash->next.main <= hash->compacted;
    enum err err = below ? mvcc_history_left(reader, hash->next, record)
                         : mvcc_history(reader, hash->next, record);
    if (err == ERR_OK && record->rev.main > hash->at)
        err = ERR_END;
    *counts = err == ERR_OK && record->table == MVCC_KEYS;
    if (*counts && record->rev.main <= hash->compacted)
        err = is_kept(hash, reader, record, counts);
    return err;
}

enum err txn_hash_slice(struct txn_hash *hash, struct mvcc_reader *reader,
                        size_t records_max)
{
    struct buf scratch = {0};
    struct record record;
    enum err err = ERR_OK;
    CHECK_LT(0, records_max);
    for (size_t i = 0; i < records_max && !hash->done && err == ERR_OK; i++) {
        bool counts;
        err = next_record(hash, reader, &record, &counts);
        if (err == ERR_END) {
            hash->done = true;
            err = ERR_OK;
        } else if (err == ERR_OK) {
            if (counts)
                add(hash, &record, &scratch);
            hash->next = (struct rev){record.rev.main, record.rev.sub + 1};
        }
    }
    buf_deinit(&scratch);
    return err;
}
