/* The index: an ordered map in memory, from keys to entries. A B+tree.
 *
 *                     [ . |s1| . |s2| . ]            inner: separators
 *                      /      |      \
 *     leaf: heads   [..]<-->[..]<-->[..]
 *           entries  ||      ||      ||
 *                  entry   entry   entry             key, newest revision
 *
 * A separator is the shortest text that parts its two sides: every key on the
 * left is less, every key on the right is equal or greater. The separators on
 * both sides of a node are its fences. What the two fences begin with alike,
 * every key in between begins with too; the node skips it, and keeps of each
 * key the 8 bytes behind it (the head) as a big-endian number. A search in a
 * node compares numbers that lie side by side; a key itself is only looked at
 * where heads are equal, mostly once a search.
 *
 * Each inner slot counts the living keys below it, and each leaf has a bit a
 * key, so that counting a range costs no walk.
 *
 * Invariants (index__verify):
 *   keys ascend; all leaves are at one depth and linked in order;
 *   skip <= what the fences have in common; heads fit the keys;
 *   inner.live[i] is the number of bits set below child i.
 *
 * Threads: readers share; the writer is alone.
 */
#ifndef ETCHED_MVCC_INDEX_H
#define ETCHED_MVCC_INDEX_H

#include <stdbool.h>
#include <stdint.h>

#include "base/bytes.h"
#include "mvcc/slab.h"

enum {
    INDEX_SLOTS = 64,  /* one bit each in `live` */
    INDEX_LEVELS = 24, /* of inner nodes: far more than memory can fill */
};

/* What the index holds for a key. It never moves while its key is in the
 * index. `stamp`, `sub` and `more` are of revs.h (or of meta.c). */
struct entry {
    uint64_t stamp;
    void *more;
    uint32_t sub;
    uint32_t key_size;
    char key[];
};

static inline struct slice entry_key(const struct entry *entry)
{
    return slice_of(entry->key, entry->key_size);
}

struct leaf {
    uint32_t count;
    uint32_t skip;
    uint64_t live; /* bit i: the key in slot i lives */
    struct leaf *next;
    struct leaf *prev;
    uint64_t head[INDEX_SLOTS];
    struct entry *entry[INDEX_SLOTS];
};

struct separator {
    uint32_t size;
    char bytes[];
};

struct inner {
    uint32_t count; /* of children */
    uint32_t skip;
    uint64_t head[INDEX_SLOTS];
    struct separator *sep[INDEX_SLOTS]; /* left of child i; [0]: NULL */
    void *child[INDEX_SLOTS];
    uint64_t live[INDEX_SLOTS];
};

struct index {
    struct slab *slab; /* of the entries */
    void *root;        /* a leaf where height is 0, else an inner */
    uint32_t height;   /* levels of inner nodes */
    uint64_t count;    /* of keys */
    uint64_t live;     /* of them, those that live */
    uint64_t bytes;    /* of nodes and separators */
    uint64_t shape;    /* grows when an entry changes its place */
};

/* Where a key is, or would be, and the way there. */
struct place {
    struct leaf *leaf;
    uint32_t slot; /* leaf->count: behind its last */
    uint32_t height;
    struct inner *inner[INDEX_LEVELS];
    uint8_t at[INDEX_LEVELS]; /* the child that was taken */
};

void index__init(struct index *index, struct slab *slab);
/* The entries' memory is the slab's and goes with it. */
void index__deinit(struct index *index);

/* An entry with this key and all else zero, in no index yet. */
struct entry *index__entry_new(struct slab *slab, struct slice key);
void index__entry_free(struct slab *slab, struct entry *entry);

/* NULL: not there. */
struct entry *index__get(const struct index *index, struct slice key);
/* The first entry with a key >= `key`: *leaf == NULL when there is none. */
void index__seek(const struct index *index, struct slice key,
                 const struct leaf **leaf, size_t *slot);
/* How many living keys are less than `key`. */
uint64_t index__rank(const struct index *index, struct slice key);

/* True when the key is there; else the place is where it would be added. */
bool index__locate(const struct index *index, struct slice key,
                   struct place *place);
/* Adds a key that index__locate did not find there, as not living; the place
 * is then its own. */
struct entry *index__add(struct index *index, struct place *place,
                         struct slice key);
/* Says whether the entry at the place lives. */
void index__mark(struct index *index, const struct place *place, bool live);
/* Takes the entry out and frees it. The place is no more. */
void index__drop(struct index *index, struct place *place);

/* An entry to build an index of. */
struct index_item {
    uint64_t head; /* scratch */
    struct entry *entry;
};
/* Sorts by key. `scratch` has room for as many. */
void index__sort(struct index_item *items, struct index_item *scratch,
                 size_t count);
/* Fills an empty index with entries in the order of their keys; `lives` says
 * of each whether it lives. False: two have one key, or the order is not
 * theirs; the index is then empty. */
bool index__build(struct index *index, const struct index_item *items,
                  size_t count, bool (*lives)(const struct entry *entry));

/* CHECKs every invariant. For tests: it visits everything. */
void index__verify(const struct index *index);

#endif
