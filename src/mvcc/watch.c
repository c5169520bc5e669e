/* The hub's places, and the live path. The past is read in watch_history.c.
 *
 * Invariants:
 *   - a LIVE watcher has been given all that it waits for up to hub->newest,
 *     and will be given the rest by watch_hub_commit;
 *   - each watcher has been given all before its `next`, and nothing after.
 * So to leave LIVE is to raise `next` to newest + 1 (save within a commit,
 * where who is called has gone on already), and to become LIVE needs a `next`
 * that is above the newest.
 */
#include <assert.h>

#include "base/check.h"
#include "base/mem.h"
#include "base/plant.h"
#include "mvcc/watch_int.h"

static_assert(sizeof(struct watcher) <= 120, "a million watchers are idle");
static_assert(MVCC_TABLE_COUNT == 2, "the bits of `tables`");

static struct watcher *of_link(struct list *link)
{
    return CONTAINER_OF(link, struct watcher, link);
}

static struct slice key_of(const void *value)
{
    return ((const struct watcher *)value)->key;
}

struct watch_hub *watch_hub_new(uint64_t seed)
{
    struct watch_hub *hub = mem_alloc_zero(sizeof *hub);
    map_init(&hub->keys, key_of, seed);
    list_init(&hub->behind);
    list_init(&hub->riders);
    prng_init(&hub->prng, seed);
    return hub;
}

void watch_hub_free(struct watch_hub *hub)
{
    CHECK_EQ(hub->count, 0);
    CHECK_EQ(hub->keys.count, 0);
    CHECK(hub->ranges == NULL && list_is_empty(&hub->behind));
    map_deinit(&hub->keys);
    mem_free(hub->matches);
    mem_free(hub);
}

size_t watch_hub_count(const struct watch_hub *hub)
{
    return hub->count;
}

bool watch_is_live(const struct watcher *watcher)
{
    CHECK_NE(watcher->state, WATCH_OUT);
    return watcher->state == WATCH_LIVE;
}

/* ---- places -------------------------------------------------------------- */

static void attach_key(struct watch_hub *hub, struct watcher *watcher)
{
    struct watcher *first = map_get(&hub->keys, watcher->key);
    list_init(&watcher->link);
    watcher->first = first == NULL;
    if (first)
        list_push_back(&first->link, &watcher->link);
    else
        CHECK(map_put(&hub->keys, watcher) == NULL);
}

/* The next of the ring, if any, takes the first one's place in the map: the
 * map reads the key through it, and this one's is about to go. */
static void detach_key(struct watch_hub *hub, struct watcher *watcher)
{
    struct watcher *next = of_link(watcher->link.next);
    if (!watcher->first) {
        CHECK(next != watcher);
    } else if (next == watcher) {
        CHECK(map_remove(&hub->keys, watcher->key) == watcher);
    } else {
        CHECK(!next->first);
        next->first = true;
        CHECK(map_put(&hub->keys, next) == watcher);
    }
    watcher->first = false;
    list_remove(&watcher->link);
}

void watch__detach(struct watch_hub *hub, struct watcher *watcher)
{
    switch ((enum watch_state)watcher->state) {
    case WATCH_OUT:
        UNREACHABLE();
    case WATCH_LIVE:
        if (watch__is_exact(watcher))
            detach_key(hub, watcher);
        else
            watch__tree_remove(&hub->ranges, watcher);
        CHECK_NE(hub->live_count, 0);
        hub->live_count--;
        watch__raise(watcher, watch__live_at(hub));
        break;
    case WATCH_RIDING:
        watch__tree_remove(&hub->riding, watcher);
        list_remove(&watcher->link);
        watch__raise(watcher, hub->scan);
        break;
    case WATCH_BEHIND:
        list_remove(&watcher->link);
        break;
    case WATCH_LAGGING:
        break;
    }
    if (hub->jumping == watcher)
        hub->jumping = NULL;
    watcher->state = WATCH_OUT;
}

void watch__place(struct watch_hub *hub, struct watcher *watcher)
{
    CHECK_EQ(watcher->state, WATCH_OUT);
    if (watcher->next <= hub->newest) {
        watcher->state = WATCH_BEHIND;
        list_push_back(&hub->behind, &watcher->link);
        return;
    }
    watcher->state = WATCH_LIVE;
    hub->live_count++;
    if (watch__is_exact(watcher))
        attach_key(hub, watcher);
    else
        watch__tree_insert(&hub->ranges, watcher);
}

static void set_newest(struct watch_hub *hub, revision newest)
{
    CHECK_LE(hub->newest, newest);
    hub->newest = newest;
}

void watch_hub_add(struct watch_hub *hub, struct watcher *watcher,
                   revision newest)
{
    CHECK(!hub->busy);
    CHECK_EQ(watcher->state, WATCH_OUT);
    CHECK(watcher->tables != 0 && watcher->tables >> MVCC_TABLE_COUNT == 0);
    CHECK(watcher->on_event != NULL && watcher->on_compacted != NULL);
    /* While others are LIVE, what lies between must still be given to them:
     * this one then waits with them, or reads it. */
    if (hub->live_count == 0 && newest > hub->newest)
        set_newest(hub, newest);
    if (watcher->next < 1)
        watcher->next = 1;
    watcher->next_sub = 0;
    watcher->priority = (uint32_t)prng_next(&hub->prng);
    hub->count++;
    watch__place(hub, watcher);
}

void watch_hub_remove(struct watch_hub *hub, struct watcher *watcher)
{
    watch__detach(hub, watcher);
    CHECK_NE(hub->count, 0);
    hub->count--;
}

void watch_lag(struct watch_hub *hub, struct watcher *watcher)
{
    watch__detach(hub, watcher);
    watcher->state = WATCH_LAGGING;
}

void watch_resume(struct watch_hub *hub, struct watcher *watcher)
{
    CHECK(!hub->busy);
    CHECK_NE(watcher->state, WATCH_OUT);
    if (watcher->state != WATCH_LAGGING)
        return;
    watch__detach(hub, watcher);
    watch__place(hub, watcher);
}

/* ---- the live path ------------------------------------------------------- */

static void fall_behind(struct watch_hub *hub, struct watcher *watcher)
{
    CHECK_EQ(watcher->state, WATCH_LIVE);
    watch__raise(watcher, watch__live_at(hub));
    watcher->first = false;
    watcher->state = WATCH_BEHIND;
    list_push_back(&hub->behind, &watcher->link);
    hub->live_count--;
}

/* Commits are missing. Those who wait for a revision beyond them go too, and
 * come back when it is their turn. */
static void all_fall_behind(struct watch_hub *hub)
{
    struct watcher *watcher;
    size_t position = 0;
    while ((watcher = map_next(&hub->keys, &position)) != NULL) {
        CHECK(watcher->first);
        while (!list_is_empty(&watcher->link)) {
            struct watcher *other = of_link(watcher->link.next);
            list_remove(&other->link);
            fall_behind(hub, other);
        }
        fall_behind(hub, watcher);
    }
    map_deinit(&hub->keys);
    while ((watcher = watch__tree_pop(&hub->ranges)) != NULL)
        fall_behind(hub, watcher);
    CHECK_EQ(hub->live_count, 0);
}

/* The callee may take out the watcher that it was called for, so the ring is
 * left for the next one, and the last one known, before each call. */
static void offer_key(struct watch_hub *hub, const struct record *record,
                      struct mvcc_commit *commit, struct rev after)
{
    struct watcher *watcher = map_get(&hub->keys, record->key);
    if (watcher == NULL)
        return;
    CHECK(watcher->first);
    struct list *link = &watcher->link;
    struct list *last = link->prev;
    bool more;
    do {
        struct list *next = link->next;
        more = link != last;
        watch__offer(of_link(link), record, commit, after);
        link = next;
    } while (more);
}

static void add_match(void *context, struct watcher *watcher)
{
    struct watch_hub *hub = context;
    if (hub->match_count == hub->match_capacity) {
        hub->match_capacity = hub->match_count ? hub->match_count * 2 : 16;
        hub->matches = mem_realloc(hub->matches,
                                   hub->match_capacity * sizeof *hub->matches);
    }
    hub->matches[hub->match_count++] = watcher;
}

/* They are gathered first: a callee may change the tree. */
void watch__offer_tree(struct watch_hub *hub, const struct watcher *root,
                       const struct record *record, struct mvcc_commit *commit,
                       struct rev after)
{
    hub->match_count = 0;
    watch__tree_stab(root, record->key, add_match, hub);
    for (size_t i = 0; i < hub->match_count; i++)
        watch__offer(hub->matches[i], record, commit, after);
}

void watch_hub_commit(struct watch_hub *hub, struct mvcc_commit *commit)
{
    CHECK(!hub->busy);
    CHECK_NE(commit->count, 0);
    if (commit->main <= hub->newest)
        return;
    if (commit->main > hub->newest + 1)
        all_fall_behind(hub);
    hub->busy = true;
    for (uint32_t i = 0; i < commit->count && hub->live_count; i++) {
        const struct record *record = &commit->records[i];
        CHECK_EQ(record->rev.main, commit->main);
        CHECK_EQ(record->rev.sub, i);
        /* After the last there is nothing to lose in this revision, even if
         * it is compacted now. */
        struct rev after = {commit->main, i + 1};
        if (after.sub == commit->count)
            after = (struct rev){commit->main + 1, 0};
        offer_key(hub, record, commit, after);
        if (hub->ranges)
            watch__offer_tree(hub, hub->ranges, record, commit, after);
    }
    hub->busy = false;
    set_newest(hub, commit->main);
}

/* Those who are BEHIND read on to the new end, and are LIVE from there. */
void watch_hub_jump(struct watch_hub *hub, revision newest)
{
    CHECK(!hub->busy);
    if (newest <= hub->newest)
        return;
    if (!PLANTED(WATCH_GAP))
        all_fall_behind(hub);
    set_newest(hub, newest);
}
