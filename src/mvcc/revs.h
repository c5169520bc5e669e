/* The revisions of one key, as its index entry holds them.
 *
 *   entry.stamp, entry.sub   the newest revision
 *   entry.more               NULL where the newest is the first and only of
 *                            its life (or a tombstone) and no older one is
 *                            known; else:
 *     past.create, .version  of the newest
 *     past.old[begin..end)   the older ones, ascending
 *
 * A stamp is the main revision times 2, plus 1 for a tombstone.
 *
 * Most keys were written once: they cost an entry of 24 bytes and the key.
 */
#ifndef ETCHED_MVCC_REVS_H
#define ETCHED_MVCC_REVS_H

#include "mvcc/index.h"
#include "mvcc/mvcc.h"

/* 12 bytes, not 16: there can be very many. */
struct old {
    uint32_t stamp_low;
    uint32_t stamp_high;
    uint32_t sub;
};

struct past {
    revision create;
    int64_t version;
    uint32_t begin; /* those before it were dropped */
    uint32_t end;
    uint32_t capacity;
    struct old old[];
};

static inline revision revs__main(const struct entry *entry)
{
    return (revision)(entry->stamp >> 1);
}
/* False for a tombstone, and for an entry without any revision. */
static inline bool revs__live(const struct entry *entry)
{
    return entry->stamp != 0 && (entry->stamp & 1) == 0;
}
static inline struct rev revs__newest(const struct entry *entry)
{
    return (struct rev){revs__main(entry), entry->sub};
}
/* Of the newest, which lives. */
revision revs__create(const struct entry *entry);
int64_t revs__version(const struct entry *entry);

/* Adds a revision, newer than all that are there. `create` 0: a tombstone. */
void revs__push(struct slab *slab, struct entry *entry, struct rev rev,
                revision create, int64_t version);

/* The newest at or before main revision `at`, or {0, 0}; *live: it is no
 * tombstone. */
struct rev revs__at(const struct entry *entry, revision at, bool *live);
/* The first at or after main revision `from`, or {0, 0}. */
struct rev revs__from(const struct entry *entry, revision from);

/* Lets go of what no read at or after `at` can see: all before the newest at
 * or before `at`, and that one too if it is a tombstone. Each is given to
 * `drop`, oldest first; *budget is how many may go, and what is left of it. */
enum revs__rest {
    REVS_SOME, /* done; the entry stays */
    REVS_NONE, /* done; nothing is left */
    REVS_MORE, /* the budget is spent */
};
enum revs__rest revs__compact(struct slab *slab, struct entry *entry,
                              revision at, size_t *budget,
                              void (*drop)(void *context, struct rev rev),
                              void *context);

/* Frees what belongs to the entry, but not the entry. */
void revs__deinit(struct slab *slab, struct entry *entry);

/* How many it has. */
size_t revs__count(const struct entry *entry);

#endif
