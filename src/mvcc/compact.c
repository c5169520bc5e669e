/* Compaction: a walk over the index in slices, which finds what no read can
 * see any more. What it finds is gathered in a drop set, and when the walk is
 * done the flush deletes that from the file, a part each time.
 *
 *   mvcc_compact --> walking: mvcc_compact_slice, ... --> drop set closed
 *                    --> flush, flush, ... --> finished
 *
 * The set is sorted by revision before its first part is deleted: what is
 * dropped together lay together, so each page of the file is touched once.
 * That order is also what makes a crash in the middle harmless: of one key
 * the older goes first, so a tombstone never goes before what it ended.
 *
 * A part is only deleted in a flush that ends at a mark of after the
 * compaction: what stays in place of the dropped is then in the file too.
 *
 * If the process ends before that, the file says "not finished" and the walk
 * starts over when it is opened, over what is still there.
 */
#include "base/check.h"
#include "mvcc/mvcc_int.h"

/* A slice whose budget is spent still drops this much, so that each slice
 * gets on. */
enum { DROPS_MIN = 16 };

/* ---- drop sets ----------------------------------------------------------- */

static void drop(void *context, struct rev rev)
{
    struct drop_set *set = context;
    CHECK(rev.main > 0 && rev.main <= set->at);
    if (set->count == set->capacity) {
        set->capacity = set->capacity + set->capacity / 2 + 64;
        set->revs = mem_realloc(set->revs, set->capacity * sizeof *set->revs);
    }
    set->revs[set->count++] = rev;
}

void compact__drop_set_free(struct drop_set *set)
{
    if (set == NULL)
        return;
    mem_free(set->revs);
    mem_free(set);
}

void compact__deinit(struct compaction *compaction)
{
    while (compaction->closed != NULL) {
        struct drop_set *set = compaction->closed;
        compaction->closed = set->next;
        compact__drop_set_free(set);
    }
    compact__drop_set_free(compaction->open);
    buf_deinit(&compaction->cursor);
    *compaction = (struct compaction){0};
}

/* ---- starting ------------------------------------------------------------ */

static void start_walk(struct mvcc *mvcc)
{
    struct compaction *compaction = &mvcc->compaction;
    if (compaction->open == NULL)
        compaction->open = mem_alloc_zero(sizeof *compaction->open);
    CHECK(compaction->open->at <= mvcc->now.compacted);
    compaction->open->at = mvcc->now.compacted;
    compaction->walking = true;
    compaction->table = MVCC_KEYS;
    buf_reset(&compaction->cursor);
}

void compact__resume(struct mvcc *mvcc)
{
    CHECK(mvcc->now.compacted > 0 && !mvcc->compaction.walking);
    start_walk(mvcc);
}

/* Of the first revision, which has no commit, it is that of the second:
 * nobody asks. */
static enum err time_of(struct mvcc *mvcc, revision at, int64_t *time_ns)
{
    struct record record;
    if (at == mvcc->current) {
        *time_ns = mvcc->time_ns;
        return ERR_OK;
    }
    mvcc_read_begin(mvcc->reader);
    enum err err = mvcc_history(mvcc->reader, (struct rev){at, 0}, &record);
    CHECK(err != ERR_COMPACTED && err != ERR_FUTURE_REVISION);
    *time_ns = record.time_ns;
    mvcc_read_end(mvcc->reader);
    return err;
}

enum err mvcc_compact(struct mvcc *mvcc, revision at)
{
    int64_t time_ns;
    CHECK(!mvcc->draft.open);
    if (at <= mvcc->now.compacted)
        return ERR_COMPACTED;
    if (at > mvcc->current)
        return ERR_FUTURE_REVISION;
    enum err err = time_of(mvcc, at, &time_ns);
    if (err != ERR_OK)
        return err_wrap(err, "compact");
    mvcc->now.compacted = at;
    mvcc->now.compacted_time_ns = time_ns;
    start_walk(mvcc);
    mvcc__mark_unlogged(mvcc);
    return ERR_OK;
}

/* ---- walking ------------------------------------------------------------- */

/* The set is complete: the flush may have it. */
static void close_set(struct compaction *compaction)
{
    struct drop_set *set = compaction->open;
    struct drop_set **last = &compaction->closed;
    CHECK(set != NULL && set->next == NULL && set->done == 0);
    compaction->open = NULL;
    compaction->walking = false;
    if (set->count == 0) {
        compact__drop_set_free(set);
        return;
    }
    while (*last != NULL)
        last = &(*last)->next;
    *last = set;
}

/* The walk stands before `key`. */
static void set_cursor(struct compaction *compaction, struct slice key)
{
    buf_reset(&compaction->cursor);
    buf_append_slice(&compaction->cursor, key);
}

/* Nothing is left of the entry: it leaves the index. */
static void drop_entry(struct mvcc *mvcc, struct entry *entry)
{
    struct compaction *compaction = &mvcc->compaction;
    struct index *index = &mvcc->tables[compaction->table];
    struct place place;
    set_cursor(compaction, entry_key(entry));
    bool found = index__locate(index, buf_slice(&compaction->cursor), &place);
    CHECK(found && place.leaf->entry[place.slot] == entry);
    index__drop(index, &place);
}

/* Compacts the entries of one table from the cursor on, until the budget is
 * spent: then false. An entry costs 1, and so does each revision dropped. */
static bool walk_table(struct mvcc *mvcc, size_t *budget)
{
    struct compaction *compaction = &mvcc->compaction;
    const struct index *index = &mvcc->tables[compaction->table];
    const struct leaf *leaf;
    size_t slot;
    index__seek(index, buf_slice(&compaction->cursor), &leaf, &slot);
    while (leaf != NULL) {
        if (slot >= leaf->count) {
            leaf = leaf->next;
            slot = 0;
            continue;
        }
        struct entry *entry = leaf->entry[slot];
        enum revs__rest rest = REVS_MORE;
        if (*budget > 0) {
            --*budget;
            size_t drops = *budget + DROPS_MIN;
            rest = revs__compact(&mvcc->slab, entry, mvcc->now.compacted,
                                 &drops, drop, compaction->open);
            *budget = drops > DROPS_MIN ? drops - DROPS_MIN : 0;
        }
        if (rest == REVS_MORE) {
            set_cursor(compaction, entry_key(entry));
            return false;
        }
        slot++;
        if (rest == REVS_NONE) {
            drop_entry(mvcc, entry);
            index__seek(index, buf_slice(&compaction->cursor), &leaf, &slot);
        }
    }
    return true;
}

bool mvcc_compact_slice(struct mvcc *mvcc, size_t keys_max)
{
    struct compaction *compaction = &mvcc->compaction;
    CHECK(!mvcc->draft.open && keys_max > 0);
    while (compaction->walking) {
        if (!walk_table(mvcc, &keys_max))
            return true;
        buf_reset(&compaction->cursor);
        if (compaction->table + 1 == MVCC_TABLE_COUNT)
            close_set(compaction);
        else
            compaction->table = MVCC_DIRS;
    }
    return false;
}
