/* The store: every key's history, by revision.
 *
 * A write transaction makes ONE new main revision; its records are numbered
 * by sub from 0. The INDEX (memory, ordered) maps a key to its revisions
 * since the last compaction. A RECORD lives in the TAIL (memory, not flushed
 * yet) or in the kv file under its revision.
 *
 *            index                      tail (commits, newest last)
 *   key  ->  [rev, rev, rev*]  --.      | main 7 | main 8 | main 9 |
 *                                 '-->  kv file: (main, sub) -> record
 *
 * The flush moves the tail's front to the kv file in one durable transaction
 * that also holds the applied raft index: applied data and applied index are
 * ONE atomic write.
 *
 * There are two tables of keys with one clock: MVCC_KEYS, which v3 and v2
 * see, and MVCC_DIRS, v2's directories, which v3 never sees.
 *
 * Threads: the writer (core) calls mvcc_begin..mvcc_commit, mvcc_compact*,
 *   mvcc_flush_done under the exclusive lock; readers (any thread, each with a
 *   reader of its own) and mvcc_flush_begin run under the shared lock.
 *   mvcc_flush_write runs under none. The lock is the caller's (node/): this
 *   folder has no threads.
 */
#ifndef ETCHED_MVCC_MVCC_H
#define ETCHED_MVCC_MVCC_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/bytes.h"
#include "base/err.h"
#include "port/kv.h"

typedef int64_t revision; /* a main revision; an empty store is at 1 */
typedef int64_t lease_id; /* 0: none */

enum mvcc_table { MVCC_KEYS, MVCC_DIRS, MVCC_TABLE_COUNT };

/* What made a record. Stored: numbers never change. */
#define MVCC_CAUSE_TABLE(X)                               \
    X(PUT, 1, "put")                  /* v3 */            \
    X(DELETE_RANGE, 2, "deleteRange") /* v3 */            \
    X(SET, 3, "set")                                      \
    X(CREATE, 4, "create")                                \
    X(UPDATE, 5, "update")                                \
    X(COMPARE_AND_SWAP, 6, "compareAndSwap")              \
    X(DELETE, 7, "delete")                                \
    X(COMPARE_AND_DELETE, 8, "compareAndDelete")          \
    X(EXPIRE, 9, "expire")                                \
    X(REVOKE, 10, "revoke") /* of a lease, by a client */ \
    X(RECIPE, 11, "recipe")

enum mvcc_cause {
#define X(name, number, text) MVCC_##name = number,
    MVCC_CAUSE_TABLE(X)
#undef X
};
const char *mvcc_cause_text(enum mvcc_cause cause);

/* Flags of a record. Stored: numbers never change. */
enum {
    MVCC_TOMBSTONE = 1, /* the key ends here; no value */
    /* The record is part of a greater change (a directory made or removed on
     * the way): v2 shows the change by the commit's first record without
     * this flag, if any. */
    MVCC_PART = 2,
    MVCC_REFRESH = 4, /* v2's refresh: only the TTL moved; watchers sleep on */
};

/* (main, sub): the name of one record. {0, 0}: none. */
struct rev {
    revision main;
    uint32_t sub;
};

struct record {
    enum mvcc_table table;
    enum mvcc_cause cause;
    uint32_t flags;
    struct rev rev;
    revision create; /* the revision that created this life of the key; 0 in
                        a tombstone */
    int64_t version; /* 1 for the first of a life; 0 in a tombstone */
    struct rev prev; /* the record that this one replaced or ended, if any */
    lease_id lease;
    int64_t expire_ns; /* v2 TTL: the wall time when it ends; 0: none */
    int64_t time_ns;   /* the commit's */
    struct slice key;
    struct slice value;
};

/* One main revision, immutable, shared by all who watch. */
struct mvcc_commit {
    atomic_uint refs;
    uint32_t count;
    revision main;
    int64_t time_ns;
    size_t bytes;            /* of this block */
    struct record records[]; /* by sub; keys and values lie behind them */
};
struct mvcc_commit *mvcc_commit_ref(struct mvcc_commit *commit);
void mvcc_commit_unref(struct mvcc_commit *commit);

/* The store's tables in the kv file. */
enum {
    MVCC_KV_RECORDS = 0, /* (main, sub) -> record: record.h */
    MVCC_KV_META = 1,    /* name -> CRC-32C, value: meta.c */
    MVCC_KV_STATE = 2,   /* one pair: the applied index and such: load.c */
};

struct mvcc;

struct mvcc_config {
    struct kv *kv; /* outlives the store */
    uint64_t seed;
};

/* Opens the store over what `kv` holds and builds the index.
 * Errors: ERR_CORRUPT, ERR_IO. */
enum err mvcc_open(const struct mvcc_config *config,
                   struct mvcc **out) MUST_USE;
/* What was not flushed is lost here (the log has it). */
void mvcc_close(struct mvcc *mvcc);

/* What the kv shows was replaced by another state (a snapshot): the tail and
 * the index are thrown away and built again from it. Readers stay good. The
 * revision may be far ahead of what it was: watch_hub_jump tells the hubs.
 * Needs: the exclusive lock, from before the kv was replaced to the end of
 *        this; no reader has begun; no open transaction; no flush between
 *        mvcc_flush_begin and mvcc_flush_done (mvcc_is_flushing): it would
 *        write what is of the old state into the new one. None can begin
 *        while the lock is held.
 * Errors: ERR_CORRUPT, ERR_IO: the store can only be closed any more. */
enum err mvcc_reload(struct mvcc *mvcc) MUST_USE;

/* How far the state is that `kv` shows, and one value of its meta (empty where
 * there is none; appended to `value`), without a store over it: of a snapshot
 * that came, or is about to leave.
 * Errors: ERR_CORRUPT, ERR_IO. */
enum err mvcc_peek(struct kv *kv, struct slice name, uint64_t *applied_index,
                   uint64_t *applied_term, struct buf *value) MUST_USE;

struct mvcc_reader;

/* Calls `each` with each record that lives and has a lease, in the order of
 * revisions: who keeps leases builds them again. Once, after mvcc_open or
 * mvcc_reload and before the first write; what it took from the file is
 * forgotten then.
 * Errors: ERR_CORRUPT, ERR_IO. */
enum err mvcc_each_leased(struct mvcc_reader *reader,
                          void (*each)(void *context,
                                       const struct record *record),
                          void *context) MUST_USE;

struct mvcc_status {
    revision current;
    revision compacted; /* history at or below it may be gone; 0: all there */
    bool compacting;    /* mvcc_compact_slice has work to do */
    uint64_t keys;      /* live, of MVCC_KEYS */
    uint64_t dirs;      /* live, of MVCC_DIRS */
    uint64_t index_bytes;
    uint64_t tail_bytes;
    uint64_t tail_commits;
    uint64_t applied_index; /* as of the last mvcc_set_applied */
    uint64_t applied_term;
    uint64_t flushed_index; /* as of the last flush: durable */
    int64_t time_ns;        /* of the newest commit */
};
void mvcc_status(const struct mvcc *mvcc, struct mvcc_status *out);

/* ---- writing ------------------------------------------------------------ */

struct mvcc_put {
    enum mvcc_table table;
    enum mvcc_cause cause;
    uint32_t flags; /* MVCC_PART, MVCC_REFRESH */
    struct slice key;
    struct slice value;
    lease_id lease;
    int64_t expire_ns;
    /* v2's set and create: a new life (create and version start anew) even
     * where the key lives. */
    bool anew;
};

/* Starts a transaction at `time_ns` (raised to the last commit's where it is
 * less). Needs: none open. The revision it will have: mvcc_next_revision. */
void mvcc_begin(struct mvcc *mvcc, int64_t time_ns);
revision mvcc_next_revision(const struct mvcc *mvcc);
/* The newest commit's; 0: none. Needs: a lock, shared or exclusive. */
int64_t mvcc_newest_time_ns(const struct mvcc *mvcc);
/* The open transaction's time. */
int64_t mvcc_begin_time_ns(const struct mvcc *mvcc);
void mvcc_put(struct mvcc *mvcc, const struct mvcc_put *put);
/* ERR_NOT_FOUND if the key does not live. */
enum err mvcc_delete(struct mvcc *mvcc, enum mvcc_table table, struct slice key,
                     enum mvcc_cause cause, uint32_t flags) MUST_USE;
/* Ends it. With no record there is no new revision and NULL comes out; else
 * a reference to the commit, which the caller gives back. */
struct mvcc_commit *mvcc_commit(struct mvcc *mvcc);
/* Everything up to this raft entry is in the store (also when it made no
 * revision). */
void mvcc_set_applied(struct mvcc *mvcc, uint64_t index, uint64_t term);

/* Small facts that must change atomically with the store (members, the
 * cluster's settings, leases): written by the writer, kept in memory, flushed
 * with the tail. Names are at most KV_KEY_BYTES_MAX bytes. An empty value
 * with at == NULL removes. */
void mvcc_meta_put(struct mvcc *mvcc, struct slice name, struct slice value);
/* From memory; valid until the next mvcc_meta_put or mvcc_reload. False:
 * none. */
bool mvcc_meta_get(const struct mvcc *mvcc, struct slice name,
                   struct slice *out);
void mvcc_meta_each(const struct mvcc *mvcc, struct slice prefix,
                    void (*each)(void *context, struct slice name,
                                 struct slice value),
                    void *context);

/* ---- reading ------------------------------------------------------------ */

/* One for each thread that reads (the writer has one too).
 * Errors: ERR_NO_MEMORY, ERR_FULL (too many readers). */
enum err mvcc_reader_new(struct mvcc *mvcc, struct mvcc_reader **out) MUST_USE;
void mvcc_reader_free(struct mvcc_reader *reader);
/* Between begin and end the shared lock is held. Records that come out are
 * valid until end. The kv file is only touched when a record is needed from
 * it, so a read from the tail costs no more than the index. Inside the
 * writer's open transaction a reader sees what it has done so far; records
 * of this transaction itself are valid until its commit. */
void mvcc_read_begin(struct mvcc_reader *reader);
void mvcc_read_end(struct mvcc_reader *reader);
/* The newest revision that was committed, and the compacted one (0: none). */
void mvcc_reader_revisions(const struct mvcc_reader *reader, revision *current,
                           revision *compacted);

/* `at` 0: now. Errors: ERR_NOT_FOUND, ERR_COMPACTED, ERR_FUTURE_REVISION. */
enum err mvcc_get(struct mvcc_reader *reader, enum mvcc_table table,
                  struct slice key, revision at, struct record *out) MUST_USE;
/* Only where it is: no record is read. */
enum err mvcc_find(struct mvcc_reader *reader, enum mvcc_table table,
                   struct slice key, revision at, struct rev *out) MUST_USE;
/* The record of that name, whether its key lives or not. Errors: as above;
 * ERR_COMPACTED only where the record is no longer there. */
enum err mvcc_get_rev(struct mvcc_reader *reader, struct rev rev,
                      struct record *out) MUST_USE;

/* A walk over the keys in [from, end) that live at a revision, in order.
 * `end` with at == NULL: no end. The walk holds no position in the tree: it
 * may be left, the lock given up, and taken up again with mvcc_walk_seek
 * (records below a compaction are then ERR_COMPACTED). The writer may put and
 * delete while it walks: it goes on behind the key that it had last. */
struct mvcc_walk {
    struct mvcc_reader *reader;
    enum mvcc_table table;
    revision at;
    struct slice end;
    struct slice from; /* for the way back */
    /* private: */
    const void *leaf; /* the place; NULL: at the end */
    size_t slot;
    uint64_t shape;   /* of the index, when the place was right */
    const void *last; /* where shapes differ: go on at or after this entry */
    bool passed;      /* after it */
};
enum err mvcc_walk_init(struct mvcc_walk *walk, struct mvcc_reader *reader,
                        enum mvcc_table table, struct slice from,
                        struct slice end, revision at) MUST_USE;
/* The next key and where its record is; ERR_END after the last. The key is
 * valid until mvcc_read_end. */
enum err mvcc_walk_next(struct mvcc_walk *walk, struct slice *key,
                        struct rev *rev) MUST_USE;
/* Go on at the first key >= `from` (forward or back). */
void mvcc_walk_seek(struct mvcc_walk *walk, struct slice from);
/* The way back: a walk that was initialized goes on before the first key >=
 * `end` (at == NULL: behind the last key), and mvcc_walk_prev gives the key
 * before the place; ERR_END when that would be less than `from`.
 * Needs: nobody has written since mvcc_walk_seek_back; no mvcc_walk_next. */
void mvcc_walk_seek_back(struct mvcc_walk *walk, struct slice end);
enum err mvcc_walk_prev(struct mvcc_walk *walk, struct slice *key,
                        struct rev *rev) MUST_USE;
/* How many keys live in [from, end) at `at`. */
enum err mvcc_count(struct mvcc_reader *reader, enum mvcc_table table,
                    struct slice from, struct slice end, revision at,
                    uint64_t *out) MUST_USE;

/* History in the order of revisions: the first record at or after `from`
 * (sub too) that still exists. ERR_END beyond the newest; ERR_COMPACTED when
 * `from.main` is at or below the compaction. */
enum err mvcc_history(struct mvcc_reader *reader, struct rev from,
                      struct record *out) MUST_USE;
/* The same, below the compaction too: what is still there of it. That is more
 * than what the compaction keeps as long as its work isn't done. */
enum err mvcc_history_left(struct mvcc_reader *reader, struct rev from,
                           struct record *out) MUST_USE;
/* The first revision >= `from` of this key (tombstones too). ERR_END: none
 * yet; ERR_COMPACTED as above. */
enum err mvcc_key_history(struct mvcc_reader *reader, enum mvcc_table table,
                          struct slice key, revision from,
                          struct rev *out) MUST_USE;
/* The newest revision whose commit time is at or before `time_ns`.
 * ERR_COMPACTED, ERR_NOT_FOUND (before the first). */
enum err mvcc_revision_at(struct mvcc_reader *reader, int64_t time_ns,
                          revision *out) MUST_USE;

/* ---- flush: three steps, by the backend thread --------------------------- */

struct mvcc_flush;

/* Shared lock: takes a consistent cut (references, no copies of values) of at
 * most `commits_max` commits (more only where those of one raft entry are
 * more), and as many of the records that compaction dropped. NULL if there is
 * nothing to flush. One at a time. */
struct mvcc_flush *mvcc_flush_begin(struct mvcc *mvcc, size_t commits_max);
/* No lock: writes the cut, the applied index, changed meta and a slice of
 * what compaction dropped, in one durable kv transaction. */
enum err mvcc_flush_write(struct mvcc_flush *flush) MUST_USE;
/* Exclusive lock, short: the tail lets go of what is on disk now (or, with an
 * error, keeps it for the next try). What has to be freed is freed by
 * mvcc_flush_free, without a lock. */
void mvcc_flush_done(struct mvcc *mvcc, struct mvcc_flush *flush,
                     enum err written);
void mvcc_flush_free(struct mvcc_flush *flush);
/* A flush was begun and is not done. Under the exclusive lock it stays as it
 * is. */
bool mvcc_is_flushing(const struct mvcc *mvcc);

/* ---- compaction ---------------------------------------------------------- */

/* From now on reads below `at` are ERR_COMPACTED; the newest record of each
 * living key at `at` stays. Cheap: the work is done in slices.
 * Errors: ERR_COMPACTED (already), ERR_FUTURE_REVISION. */
enum err mvcc_compact(struct mvcc *mvcc, revision at) MUST_USE;
/* Exclusive lock: looks at up to `keys_max` index entries, fewer where they
 * have much to drop. True while there is more to do. */
bool mvcc_compact_slice(struct mvcc *mvcc, size_t keys_max);

#endif
