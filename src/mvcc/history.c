/* Reading the past: of the store, of a key, by the clock. */
#include "base/check.h"
#include "mvcc/mvcc_int.h"

#include <inttypes.h>

/* From the tail or the open transaction: every main revision is there. */
static enum err history_in_memory(struct mvcc_reader *reader, struct rev from,
                                  struct record *out)
{
    enum err err = read__record(reader, from, out);
    if (err != ERR_NOT_FOUND)
        return err;
    from = (struct rev){from.main + 1, 0};
    err = read__record(reader, from, out);
    return err == ERR_NOT_FOUND ? ERR_END : err;
}

enum err mvcc_history_left(struct mvcc_reader *reader, struct rev from,
                           struct record *out)
{
    const struct mvcc *mvcc = reader->mvcc;
    CHECK(reader->reading);
    if (from.main < MVCC_FIRST_REVISION)
        from = (struct rev){MVCC_FIRST_REVISION, 0};
    if (from.main > mvcc__now(mvcc))
        return ERR_END;
    if (from.main < mvcc->tail.first) {
        enum err err = read__seek(reader, from, out);
        if (err != ERR_END)
            return err;
        from = (struct rev){mvcc->tail.first, 0};
    }
    return history_in_memory(reader, from, out);
}

enum err mvcc_history(struct mvcc_reader *reader, struct rev from,
                      struct record *out)
{
    CHECK(reader->reading);
    if (mvcc__is_compacted(reader->mvcc, from.main))
        return ERR_COMPACTED;
    return mvcc_history_left(reader, from, out);
}

enum err mvcc_key_history(struct mvcc_reader *reader, enum mvcc_table table,
                          struct slice key, revision from, struct rev *out)
{
    const struct mvcc *mvcc = reader->mvcc;
    CHECK(reader->reading && table < MVCC_TABLE_COUNT);
    if (mvcc__is_compacted(mvcc, from))
        return ERR_COMPACTED;
    const struct entry *entry = index__get(&mvcc->tables[table], key);
    if (entry == NULL)
        return ERR_END;
    *out = revs__from(entry, from);
    return out->main == 0 ? ERR_END : ERR_OK;
}

/* ---- by the clock -------------------------------------------------------- */

static enum err time_of(struct mvcc_reader *reader, revision main,
                        int64_t *time_ns)
{
    const struct mvcc_commit *commit = tail__get(&reader->mvcc->tail, main);
    if (commit != NULL) {
        CHECK_EQ(commit->main, main);
        *time_ns = commit->time_ns;
        return ERR_OK;
    }
    struct record record;
    enum err err = read__seek(reader, (struct rev){main, 0}, &record);
    if (err == ERR_END || (err == ERR_OK && record.rev.main != main))
        return err_set(ERR_CORRUPT, "revision %" PRId64 " is not in the file",
                       main);
    *time_ns = record.time_ns;
    return err;
}

/* Before the first revision that is whole: only the compaction's own can be
 * told, whose time we have kept. */
static enum err before_history(const struct mvcc *mvcc, int64_t time_ns,
                               revision *out)
{
    const struct mark *now = &mvcc->now;
    if (now->compacted <= MVCC_FIRST_REVISION)
        return ERR_NOT_FOUND;
    *out = now->compacted;
    return time_ns >= now->compacted_time_ns ? ERR_OK : ERR_COMPACTED;
}

enum err mvcc_revision_at(struct mvcc_reader *reader, int64_t time_ns,
                          revision *out)
{
    const struct mvcc *mvcc = reader->mvcc;
    CHECK(reader->reading);
    /* [first, low) is at or before the time, [high, current] after it. */
    revision first = mvcc->now.compacted > MVCC_FIRST_REVISION
                         ? mvcc->now.compacted + 1
                         : MVCC_FIRST_REVISION + 1;
    revision low = first, high = mvcc->current + 1;
    if (high > first && time_ns >= mvcc->time_ns)
        low = high;
    while (low < high) {
        revision middle = low + (high - low) / 2;
        int64_t time = 0;
        enum err err = time_of(reader, middle, &time);
        if (err != ERR_OK)
            return err;
        if (time <= time_ns)
            low = middle + 1;
        else
            high = middle;
    }
    if (low == first)
        return before_history(mvcc, time_ns, out);
    *out = low - 1;
    CHECK(*out >= first && *out <= mvcc->current);
    return ERR_OK;
}
