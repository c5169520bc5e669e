/* What the files of the watch hub share. */
#ifndef ETCHED_MVCC_WATCH_INT_H
#define ETCHED_MVCC_WATCH_INT_H

#include "base/map.h"
#include "base/prng.h"
#include "mvcc/watch.h"

/* A watcher's `link` and tree fields by its state:
 *
 *            link                        left, right, farthest, same
 *   OUT      -                           -
 *   LIVE     exact: ring of its key      range: in hub->ranges
 *   BEHIND   in hub->behind              -
 *   RIDING   in hub->riders              in hub->riding
 *   LAGGING  -                           -
 *
 * RIDING is BEHIND for the length of one scan of history (watch_history.c).
 */
enum watch_state {
    WATCH_OUT,
    WATCH_LIVE,
    WATCH_BEHIND,
    WATCH_RIDING,
    WATCH_LAGGING,
};

struct watch_hub {
    /* LIVE, exact: the first watcher of each key; the others of the key are
     * in a ring with it. */
    struct map keys;
    struct watcher *ranges; /* LIVE, ranges: an interval tree */
    size_t live_count;
    size_t count; /* in any state */

    revision newest; /* the last commit that was given */

    struct list behind; /* by whose turn it is */
    struct list riders;
    struct watcher *riding; /* an interval tree of the riders */
    struct rev scan;        /* riders have seen all before this */

    /* Whose events are read by watch__jump; NULL when it left meanwhile. */
    struct watcher *jumping;
    bool busy;    /* events are being given: nobody may be added */
    bool failing; /* the last read of history failed, and it was logged */

    struct watcher **matches; /* of one record */
    size_t match_count;
    size_t match_capacity;
    struct prng prng;
};

static inline int watch__rev_cmp(struct rev a, struct rev b)
{
    if (a.main != b.main)
        return a.main < b.main ? -1 : 1;
    return (a.sub > b.sub) - (a.sub < b.sub);
}

static inline bool watch__is_exact(const struct watcher *watcher)
{
    return watcher->end.at == NULL;
}

static inline struct rev watch__next(const struct watcher *watcher)
{
    return (struct rev){watcher->next, watcher->next_sub};
}

/* LIVE watchers have been given all before this. */
static inline struct rev watch__live_at(const struct watch_hub *hub)
{
    return (struct rev){hub->newest + 1, 0};
}

/* What is before `to` is done. */
static inline void watch__raise(struct watcher *watcher, struct rev to)
{
    if (watch__rev_cmp(watch__next(watcher), to) < 0) {
        watcher->next = to.main;
        watcher->next_sub = to.sub;
    }
}

/* Gives the record to the watcher, if it is one that it waits for; `after` is
 * the place of the next one. The watcher may be gone on return. */
static inline void watch__offer(struct watcher *watcher,
                                const struct record *record,
                                struct mvcc_commit *commit, struct rev after)
{
    if ((watcher->tables >> record->table & 1) == 0 ||
        watch__rev_cmp(record->rev, watch__next(watcher)) < 0)
        return;
    watcher->next = after.main;
    watcher->next_sub = after.sub;
    watcher->on_event(watcher, record, commit);
}

/* ---- watch.c ---- */

/* Takes the watcher out of the place that its state says. */
void watch__detach(struct watch_hub *hub, struct watcher *watcher);
/* Puts one that is in no place where it belongs: LIVE or BEHIND. */
void watch__place(struct watch_hub *hub, struct watcher *watcher);
/* All ranges of the tree that have the record's key. */
void watch__offer_tree(struct watch_hub *hub, const struct watcher *root,
                       const struct record *record, struct mvcc_commit *commit,
                       struct rev after);

/* ---- watch_tree.c ---- */

void watch__tree_insert(struct watcher **root, struct watcher *watcher);
void watch__tree_remove(struct watcher **root, struct watcher *watcher);
/* Calls `each` for all whose range has `key`.
 * Needs: `each` doesn't change the tree. */
void watch__tree_stab(const struct watcher *root, struct slice key,
                      void (*each)(void *context, struct watcher *watcher),
                      void *context);
/* Takes the tree apart: any node of it, or NULL when it is empty. */
struct watcher *watch__tree_pop(struct watcher **root);
/* Stops the program if the tree isn't one. For tests. */
void watch__tree_check(const struct watcher *root);

#endif
