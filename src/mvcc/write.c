/* Writing: the open transaction (the draft) and its commit. */
#include "base/check.h"
#include "base/limits.h"
#include "mvcc/mvcc_int.h"

void mvcc_begin(struct mvcc *mvcc, int64_t time_ns)
{
    struct draft *draft = &mvcc->draft;
    CHECK(!draft->open);
    CHECK(draft->count == 0 && draft->bytes == 0);
    draft->open = true;
    draft->main = mvcc->current + 1;
    draft->time_ns = time_ns < mvcc->time_ns ? mvcc->time_ns : time_ns;
}

revision mvcc_next_revision(const struct mvcc *mvcc)
{
    CHECK(mvcc->current < INT64_MAX / 2); /* a stamp has 63 bits for it */
    return mvcc->current + 1;
}

int64_t mvcc_newest_time_ns(const struct mvcc *mvcc)
{
    return mvcc->time_ns;
}

int64_t mvcc_begin_time_ns(const struct mvcc *mvcc)
{
    CHECK(mvcc->draft.open);
    return mvcc->draft.time_ns;
}

static struct slice keep(struct draft *draft, struct slice bytes)
{
    draft->bytes += bytes.size;
    if (bytes.size == 0)
        return slice_of("", 0);
    return slice_of(arena_dup(&draft->arena, bytes.at, bytes.size), bytes.size);
}

static struct record *add_record(struct draft *draft)
{
    CHECK(draft->open && draft->count < UINT32_MAX);
    if (draft->count == draft->capacity) {
        draft->capacity = draft->capacity ? draft->capacity * 2 : 16;
        draft->records = mem_realloc(draft->records,
                                     draft->capacity * sizeof *draft->records);
    }
    struct record *record = &draft->records[draft->count];
    *record = (struct record){
        .rev = {draft->main, draft->count},
        .time_ns = draft->time_ns,
    };
    draft->count++;
    return record;
}

/* Gives a record that says what changes its place in the index. */
static void apply(struct mvcc *mvcc, const struct record *record,
                  struct place *place, struct entry *entry)
{
    revs__push(&mvcc->slab, entry, record->rev, record->create,
               record->version);
    index__mark(&mvcc->tables[record->table], place,
                !(record->flags & MVCC_TOMBSTONE));
}

void mvcc_put(struct mvcc *mvcc, const struct mvcc_put *put)
{
    CHECK_LT(put->table, MVCC_TABLE_COUNT);
    CHECK((put->flags & ~(uint32_t)(MVCC_PART | MVCC_REFRESH)) == 0);
    CHECK_LE(put->key.size, LIMIT_REQUEST_BYTES_MAX);
    struct index *index = &mvcc->tables[put->table];
    struct place place;
    bool found = index__locate(index, put->key, &place);
    struct entry *entry = found ? place.leaf->entry[place.slot]
                                : index__add(index, &place, put->key);
    bool lives = revs__live(entry);

    struct record *record = add_record(&mvcc->draft);
    record->table = put->table;
    record->cause = put->cause;
    record->flags = put->flags;
    record->create = record->rev.main;
    record->version = 1;
    if (lives) {
        record->prev = revs__newest(entry);
        if (!put->anew) {
            record->create = revs__create(entry);
            record->version = revs__version(entry) + 1;
        }
    }
    record->lease = put->lease;
    record->expire_ns = put->expire_ns;
    record->key = keep(&mvcc->draft, put->key);
    record->value = keep(&mvcc->draft, put->value);
    apply(mvcc, record, &place, entry);
}

enum err mvcc_delete(struct mvcc *mvcc, enum mvcc_table table, struct slice key,
                     enum mvcc_cause cause, uint32_t flags)
{
    CHECK(mvcc->draft.open && table < MVCC_TABLE_COUNT);
    CHECK((flags & ~(uint32_t)MVCC_PART) == 0);
    struct place place;
    if (!index__locate(&mvcc->tables[table], key, &place))
        return ERR_NOT_FOUND;
    struct entry *entry = place.leaf->entry[place.slot];
    if (!revs__live(entry))
        return ERR_NOT_FOUND;
    struct record *record = add_record(&mvcc->draft);
    record->table = table;
    record->cause = cause;
    record->flags = flags | MVCC_TOMBSTONE;
    record->prev = revs__newest(entry);
    record->key = keep(&mvcc->draft, key);
    record->value = keep(&mvcc->draft, slice_of(NULL, 0));
    apply(mvcc, record, &place, entry);
    return ERR_OK;
}

static struct slice move(char **to, struct slice bytes)
{
    struct slice moved = slice_of(*to, bytes.size);
    if (bytes.size)
        memcpy(*to, bytes.at, bytes.size);
    *to += bytes.size;
    return moved;
}

/* One block: the commit, its records, then their keys and values. */
static struct mvcc_commit *make_commit(const struct draft *draft)
{
    struct mvcc_commit *commit;
    size_t head = sizeof *commit + draft->count * sizeof commit->records[0];
    size_t bytes = head + draft->bytes;
    commit = mem_alloc(bytes);
    atomic_init(&commit->refs, 1);
    commit->count = draft->count;
    commit->main = draft->main;
    commit->time_ns = draft->time_ns;
    commit->bytes = bytes;
    char *to = (char *)commit + head;
    for (uint32_t i = 0; i < draft->count; i++) {
        struct record *record = &commit->records[i];
        *record = draft->records[i];
        CHECK_EQ(record->rev.sub, i);
        record->key = move(&to, record->key);
        record->value = move(&to, record->value);
    }
    CHECK(to == (char *)commit + bytes);
    return commit;
}

struct mvcc_commit *mvcc_commit(struct mvcc *mvcc)
{
    struct draft *draft = &mvcc->draft;
    struct mvcc_commit *commit = NULL;
    CHECK(draft->open && draft->main == mvcc->current + 1);
    draft->open = false;
    if (draft->count > 0) {
        commit = make_commit(draft);
        mvcc->current = commit->main;
        mvcc->time_ns = commit->time_ns;
        tail__push(&mvcc->tail, commit);
        mvcc_commit_ref(commit); /* the caller's */
    }
    if (commit != NULL || mvcc->meta.count > 0)
        mvcc__mark_unlogged(mvcc);
    draft->count = 0;
    draft->bytes = 0;
    arena_reset(&draft->arena);
    return commit;
}
