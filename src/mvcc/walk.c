/* Walking and counting the keys of a range. */
#include "base/check.h"
#include "mvcc/mvcc_int.h"

enum { FETCH_AHEAD = 6 }; /* entries that will be looked at soon */

static const struct index *index_of(const struct mvcc_walk *walk)
{
    return &walk->reader->mvcc->tables[walk->table];
}

void mvcc_walk_seek(struct mvcc_walk *walk, struct slice from)
{
    const struct leaf *leaf;
    CHECK(walk->reader->reading);
    index__seek(index_of(walk), from, &leaf, &walk->slot);
    walk->leaf = leaf;
    walk->shape = index_of(walk)->shape;
    walk->last = leaf ? leaf->entry[walk->slot] : NULL;
    walk->passed = false;
}

enum err mvcc_walk_init(struct mvcc_walk *walk, struct mvcc_reader *reader,
                        enum mvcc_table table, struct slice from,
                        struct slice end, revision at)
{
    CHECK_LT(table, MVCC_TABLE_COUNT);
    *walk = (struct mvcc_walk){
        .reader = reader, .table = table, .end = end, .from = from};
    enum err err = read__at(reader, at, &walk->at);
    if (err == ERR_OK)
        mvcc_walk_seek(walk, from);
    return err;
}

/* The writer has added keys since the place was found. */
static void find_place_again(struct mvcc_walk *walk)
{
    const struct entry *last = walk->last;
    bool passed = walk->passed;
    if (walk->leaf == NULL)
        return;
    CHECK(last != NULL);
    mvcc_walk_seek(walk, entry_key(last));
    CHECK(walk->leaf != NULL && walk->last == last);
    walk->slot += passed;
    walk->passed = passed;
}

/* The next entry that lives at the walk's revision, or NULL. */
static const struct entry *next_living(struct mvcc_walk *walk, struct rev *rev)
{
    const struct leaf *leaf = walk->leaf;
    size_t slot = walk->slot;
    const struct entry *entry = NULL;
    bool now = walk->at >= mvcc__now(walk->reader->mvcc);
    for (bool live = false; leaf != NULL && !live;) {
        if (slot >= leaf->count) {
            leaf = leaf->next;
            slot = 0;
            continue;
        }
        if (slot + FETCH_AHEAD < leaf->count)
            __builtin_prefetch(leaf->entry[slot + FETCH_AHEAD]);
        live = !now || (leaf->live >> slot & 1);
        entry = leaf->entry[slot++];
        if (live)
            *rev = revs__at(entry, walk->at, &live);
    }
    walk->leaf = leaf;
    walk->slot = slot;
    return leaf ? entry : NULL;
}

enum err mvcc_walk_next(struct mvcc_walk *walk, struct slice *key,
                        struct rev *rev)
{
    CHECK(walk->reader->reading && walk->at > 0);
    if (walk->at < walk->reader->mvcc->now.compacted)
        return ERR_COMPACTED;
    if (walk->shape != index_of(walk)->shape)
        find_place_again(walk);
    const struct entry *entry = next_living(walk, rev);
    if (entry == NULL)
        return ERR_END;
    if (walk->end.at != NULL && slice_cmp(entry_key(entry), walk->end) >= 0) {
        walk->leaf = NULL;
        return ERR_END;
    }
    walk->last = entry;
    walk->passed = true;
    *key = entry_key(entry);
    return ERR_OK;
}

/* ---- the way back -------------------------------------------------------- */

static const struct leaf *last_leaf(const struct index *index)
{
    const void *node = index->root;
    for (uint32_t level = 0; level < index->height; level++) {
        const struct inner *inner = node;
        CHECK(inner->count > 0);
        node = inner->child[inner->count - 1];
    }
    return node;
}

void mvcc_walk_seek_back(struct mvcc_walk *walk, struct slice end)
{
    const struct index *index = index_of(walk);
    const struct leaf *leaf = NULL;
    CHECK(walk->reader->reading);
    if (end.at != NULL)
        index__seek(index, end, &leaf, &walk->slot);
    if (leaf == NULL) {
        leaf = last_leaf(index);
        walk->slot = leaf ? leaf->count : 0;
    }
    walk->leaf = leaf;
    walk->shape = index->shape;
    walk->last = NULL;
}

/* The one before that lives at the walk's revision, or NULL. */
static const struct entry *prev_living(struct mvcc_walk *walk, struct rev *rev)
{
    const struct leaf *leaf = walk->leaf;
    size_t slot = walk->slot;
    const struct entry *entry = NULL;
    for (bool live = false; leaf != NULL && !live;) {
        if (slot == 0) {
            leaf = leaf->prev;
            slot = leaf ? leaf->count : 0;
            continue;
        }
        entry = leaf->entry[--slot];
        if (slot >= FETCH_AHEAD)
            __builtin_prefetch(leaf->entry[slot - FETCH_AHEAD]);
        *rev = revs__at(entry, walk->at, &live);
    }
    walk->leaf = leaf;
    walk->slot = slot;
    return leaf ? entry : NULL;
}

enum err mvcc_walk_prev(struct mvcc_walk *walk, struct slice *key,
                        struct rev *rev)
{
    CHECK(walk->reader->reading && walk->at > 0);
    CHECK(walk->leaf == NULL || walk->shape == index_of(walk)->shape);
    if (walk->at < walk->reader->mvcc->now.compacted)
        return ERR_COMPACTED;
    const struct entry *entry = prev_living(walk, rev);
    if (entry == NULL)
        return ERR_END;
    if (slice_cmp(entry_key(entry), walk->from) < 0) {
        walk->leaf = NULL;
        return ERR_END;
    }
    *key = entry_key(entry);
    return ERR_OK;
}

/* ---- counting ------------------------------------------------------------ */

enum err mvcc_count(struct mvcc_reader *reader, enum mvcc_table table,
                    struct slice from, struct slice end, revision at,
                    uint64_t *out)
{
    struct mvcc_walk walk;
    *out = 0;
    enum err err = mvcc_walk_init(&walk, reader, table, from, end, at);
    if (err != ERR_OK)
        return err;
    if (end.at != NULL && slice_cmp(from, end) >= 0)
        return ERR_OK;
    if (walk.at == mvcc__now(reader->mvcc)) {
        const struct index *index = index_of(&walk);
        uint64_t last = end.at ? index__rank(index, end) : index->live;
        uint64_t first = index__rank(index, from);
        CHECK(first <= last);
        *out = last - first;
        return ERR_OK;
    }
    struct slice key;
    struct rev rev;
    while ((err = mvcc_walk_next(&walk, &key, &rev)) == ERR_OK)
        ++*out;
    return err == ERR_END ? ERR_OK : err;
}
