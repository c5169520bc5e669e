/* Watching: who wants to know of which keys, from which revision on.
 *
 * A hub belongs to one thread and holds its watchers. Live commits are given
 * to it in order and each finds its watchers by key: an exact key by hash, a
 * range by an interval tree, so a commit costs what it matches, not how many
 * watch. A watcher that wants the past (or fell behind, watch_lag) is outside
 * the live path: watch_catch_up reads history for it at its own pace and
 * moves it over when it has caught up, without a gap and without a duplicate.
 *
 *      add(from <= now) --> BEHIND --catch_up reaches the hub's newest--> LIVE
 *      add(from >  now) -----------------------------------------------> LIVE
 *                           BEHIND <---------------watch_lag------------- LIVE
 *
 * Commits follow each other without a hole. Where one is missing (the hub was
 * not told, or the store was replaced: watch_hub_jump), all go BEHIND and read
 * it from history.
 *
 * Owns: the watcher is the caller's memory; its key bytes must outlive it.
 * Threads: one at a time; watch_catch_up under the shared lock (it reads).
 */
#ifndef ETCHED_MVCC_WATCH_H
#define ETCHED_MVCC_WATCH_H

#include "base/list.h"
#include "mvcc/mvcc.h"

struct watch_hub;
struct watcher;

/* One call for each record that matches, in order. `commit` is NULL when it
 * comes from history; the record is then valid until the call returns. The
 * callee may remove this watcher or mark it with watch_lag (the record counts
 * as taken), and no other; it may not add or resume one. */
typedef void (*watch_event)(struct watcher *watcher,
                            const struct record *record,
                            struct mvcc_commit *commit);
/* The history that this watcher wants is compacted away: it was removed, and
 * may be freed. */
typedef void (*watch_compacted)(struct watcher *watcher, revision compacted);

/* All zero but for what the caller sets. */
struct watcher {
    struct slice key;
    struct slice end; /* at == NULL: exactly `key`; size 0 and at != NULL: no
                         upper end; else the range [key, end) */
    revision next;    /* events at or after this are still to come */
    watch_event on_event;
    watch_compacted on_compacted;
    uint32_t tables; /* bits 1 << MVCC_KEYS, 1 << MVCC_DIRS */
    /* private: */
    uint32_t next_sub; /* of `next`: those before it are done */
    struct list link;  /* among those of the same key, or that are behind */
    /* In an interval tree; see watch_tree.c. */
    struct watcher *left, *right;
    struct watcher *farthest; /* below, or this: the greatest end */
    struct watcher *same;     /* the next one of the same range */
    uint32_t priority;
    uint16_t state;
    bool first; /* of its key: the one in the map */
};

struct watch_hub *watch_hub_new(uint64_t seed);
void watch_hub_free(struct watch_hub *hub); /* Needs: no watchers */
/* `newest`: the store's current revision as this hub's thread has seen it
 * (commits above it will be given to watch_hub_commit). A `next` below 1 is
 * taken for 1. */
void watch_hub_add(struct watch_hub *hub, struct watcher *watcher,
                   revision newest);
void watch_hub_remove(struct watch_hub *hub, struct watcher *watcher);
/* A live commit; those at or below the hub's newest are passed over. */
void watch_hub_commit(struct watch_hub *hub, struct mvcc_commit *commit);
/* The store was replaced (mvcc_reload) and is at `newest` now: what lies
 * between has no commits to come, and is read from history by all; call
 * watch_catch_up. Commits above `newest` are given to watch_hub_commit again.
 * At or below the hub's newest nothing happens. */
void watch_hub_jump(struct watch_hub *hub, revision newest);
/* This watcher can't take more now: it goes BEHIND at its `next`. It is read
 * on after watch_resume. */
void watch_lag(struct watch_hub *hub, struct watcher *watcher);
void watch_resume(struct watch_hub *hub, struct watcher *watcher);
/* Reads up to `records_max` records of history for those behind (not those
 * that lag). True while some are still behind and can go on; where the store
 * can't be read they can't, and are tried again by the next call.
 * Needs: mvcc_read_begin(reader). */
bool watch_catch_up(struct watch_hub *hub, struct mvcc_reader *reader,
                    size_t records_max);
size_t watch_hub_count(const struct watch_hub *hub);
/* True: it was given all that it waits for of the commits that the hub has
 * seen. Needs: it is in the hub, which is at rest. */
bool watch_is_live(const struct watcher *watcher);

#endif
