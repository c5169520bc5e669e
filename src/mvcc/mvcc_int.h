/* The store inside: what the files of this folder share.
 *
 *   draft --commit--> tail --flush--> kv file
 *
 * A MARK is a point at which everything the store holds belongs together:
 * records, meta, the compaction and the raft entry up to which all of it was
 * applied. A flush may only end at a mark: were it to end between the commits
 * of one raft entry, that entry would be applied twice after a crash. Each
 * place in the tail has the last mark that was made while its commit was the
 * newest; `ground` is the one below the first.
 *
 *              ground   tail[0]   tail[1]   tail[2]   tail[3]
 *   commits            |  main 7 |  main 8 |  main 9 |  main 10 |
 *   marks       (5)        6         -         8         9
 *                       a flush of at most 2 commits ends here: main 7
 */
#ifndef ETCHED_MVCC_MVCC_INT_H
#define ETCHED_MVCC_MVCC_INT_H

#include <assert.h>

#include "base/mem.h"
#include "mvcc/index.h"
#include "mvcc/mvcc.h"
#include "mvcc/record.h"
#include "mvcc/revs.h"
#include "mvcc/slab.h"
#include "port/kv.h"

enum { MVCC_FIRST_REVISION = 1 }; /* of an empty store */

struct mark {
    uint64_t applied_index;
    uint64_t applied_term;
    revision compacted;
    int64_t compacted_time_ns; /* of that revision's commit */
    uint64_t meta_end;         /* changes of meta before it, ever */
};

/* ---- the tail: commits that are not known to be in the kv file ----------- */

struct tail_slot {
    struct mvcc_commit *commit;
    bool marked;
    struct mark mark;
};

/* A ring. Slot i holds main revision first + i. */
struct tail {
    struct tail_slot *slots;
    size_t capacity; /* 0 or a power of two */
    size_t head;
    size_t count;
    revision first; /* of the slot at head; where empty: of the next one */
    uint64_t bytes;
};

static inline struct tail_slot *tail__slot(const struct tail *tail, size_t i)
{
    return &tail->slots[(tail->head + i) & (tail->capacity - 1)];
}
/* NULL: not in the tail. */
static inline struct mvcc_commit *tail__get(const struct tail *tail,
                                            revision main)
{
    uint64_t at = (uint64_t)(main - tail->first);
    return at < tail->count ? tail__slot(tail, at)->commit : NULL;
}
void tail__push(struct tail *tail, struct mvcc_commit *commit);
/* Forgets the first `count`, whose references the caller has now. */
void tail__take(struct tail *tail, size_t count, uint64_t bytes);
void tail__deinit(struct tail *tail);

/* ---- the open transaction ------------------------------------------------ */

struct draft {
    bool open;
    revision main;
    int64_t time_ns;
    uint32_t count;
    uint32_t capacity;
    struct record *records;
    size_t bytes;       /* of keys and values */
    struct arena arena; /* holds them */
};

/* ---- meta ---------------------------------------------------------------- */

/* One change: shared by the map of all and by the list of the unflushed. */
struct meta_value {
    atomic_uint refs;
    bool removed;
    uint32_t name_size;
    size_t value_size;
    char bytes[]; /* name, value */
};

struct meta {
    struct index index; /* entry.more: the struct meta_value */
    /* Changes that are not flushed, oldest first: a queue. */
    struct meta_value **changes;
    size_t head, count, capacity;
    uint64_t taken; /* changes that left the queue, ever */
};

void meta__init(struct meta *meta, struct slab *slab);
void meta__deinit(struct meta *meta);
/* As it comes from the file: nothing to flush. */
void meta__load(struct meta *meta, struct slice name, struct slice value);
struct slice meta__name(const struct meta_value *value);
struct slice meta__value(const struct meta_value *value);
void meta__value_unref(struct meta_value *value);
/* As it is in the file. */
void meta__encode(struct buf *out, const struct meta_value *value);
void meta__encode_pair(struct buf *out, struct slice name, struct slice value);
enum err meta__decode(struct slice name, struct slice bytes,
                      struct slice *value) MUST_USE;

/* ---- compaction ---------------------------------------------------------- */

/* What one compaction found to be dropped; read by the flush once closed. */
struct drop_set {
    struct drop_set *next; /* newer */
    revision at;           /* dropped for this compaction */
    bool sorted;
    size_t done; /* the first that is still in the file */
    size_t count;
    size_t capacity;
    struct rev *revs;
};

struct compaction {
    bool walking;
    enum mvcc_table table; /* the walk goes on here, at `cursor` */
    struct buf cursor;
    struct drop_set *open;   /* of the walk; NULL where there is none */
    struct drop_set *closed; /* oldest first */
};

void compact__resume(struct mvcc *mvcc);
void compact__drop_set_free(struct drop_set *set);
void compact__deinit(struct compaction *compaction);

/* ---- the store ----------------------------------------------------------- */

/* The records with a lease that the file had when it was opened, in order:
 * for mvcc_each_leased. */
struct leased {
    struct rev *revs;
    size_t count, capacity;
};

struct mvcc {
    struct kv *kv;
    uint64_t seed;
    struct slab slab;
    struct index tables[MVCC_TABLE_COUNT];
    struct meta meta;
    struct tail tail;
    struct draft draft;
    struct compaction compaction;

    revision current;
    int64_t time_ns; /* of `current` */
    struct mark now; /* the last mark, save that `compacted` is always new */
    bool ground_marked;
    struct mark ground;

    /* In the kv file, as far as flush_done was told: */
    struct mark durable;
    revision durable_main;
    int64_t durable_time_ns;
    bool durable_finished; /* the compaction, with all its drops */

    struct leased leased;
    atomic_bool flushing; /* set under the shared lock */
    atomic_uint readers;
    struct mvcc_reader *reader; /* the store's own, for mvcc_compact */
};

/* What reads see as now: the open transaction's revision if there is one. */
static inline revision mvcc__now(const struct mvcc *mvcc)
{
    return mvcc->draft.open ? mvcc->draft.main : mvcc->current;
}
static inline bool mvcc__is_compacted(const struct mvcc *mvcc, revision main)
{
    return mvcc->now.compacted > 0 && main <= mvcc->now.compacted;
}
/* The present is a point to which a flush may go. */
void mvcc__mark(struct mvcc *mvcc);
/* The same, where no log drives the store, so that each change is complete. */
void mvcc__mark_unlogged(struct mvcc *mvcc);

/* ---- the state pair ------------------------------------------------------ */

struct state {
    revision main;
    int64_t time_ns;
    struct mark mark; /* meta_end isn't stored */
    bool finished;
};

enum { STATE_BYTES = 4 + 1 + 6 * 8 + 1 };
extern const struct slice state__key;
void state__encode(const struct state *state, char out[STATE_BYTES]);
enum err state__decode(struct slice bytes, struct state *out) MUST_USE;

/* Fills a store from its kv file. Needs: it is as mvcc_open makes it. */
enum err load__all(struct mvcc *mvcc) MUST_USE;

/* ---- reading ------------------------------------------------------------- */

struct mvcc_reader {
    struct mvcc *mvcc;
    struct kv_txn *txn;
    struct kv_cursor *cursor; /* of MVCC_KV_RECORDS; NULL: not open */
    struct rev cursor_at;     /* the record that it stands on */
    bool reading;             /* between begin and end */
    bool snapshot;            /* txn has one */
};

/* The record of that name from draft, tail or file. ERR_NOT_FOUND. */
enum err read__record(struct mvcc_reader *reader, struct rev rev,
                      struct record *out) MUST_USE;
/* The first record in the file at or after `from`. ERR_END. */
enum err read__seek(struct mvcc_reader *reader, struct rev from,
                    struct record *out) MUST_USE;
/* Turns 0 into now; ERR_COMPACTED, ERR_FUTURE_REVISION. */
enum err read__at(const struct mvcc_reader *reader, revision at,
                  revision *out) MUST_USE;

#endif
