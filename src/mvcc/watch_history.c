/* Reading the past for watchers that are BEHIND. Two ways:
 *
 * JUMP  one watcher of an exact key that is far behind: the index says where
 *       its key's next record is, so it costs what it finds, not what lies
 *       between. A key may have several records in one revision (subs), which
 *       the index can't tell from: after a record, the next one in the order
 *       of history is looked at before jumping on.
 * RIDE  all others that are near the one whose turn it is: history is scanned
 *       once from the lowest place among them, and each record finds its
 *       riders through an interval tree, as in the live path.
 *
 * Whose turn is over goes to the end of the line, or is LIVE. A turn is at
 * most LIMIT_HISTORY_SLICE records.
 */
#include "base/check.h"
#include "base/limits.h"
#include "base/log.h"
#include "mvcc/watch_int.h"

/* An exact key so near to the newest rides with the others. */
enum { JUMP_REVISIONS_MIN = 32 };

/* ---- compacted away ------------------------------------------------------ */

static bool is_compacted(struct mvcc_reader *reader, revision at)
{
    struct rev unused;
    return mvcc_key_history(reader, MVCC_KEYS, SLICE("/"), at, &unused) ==
           ERR_COMPACTED;
}

/* The greatest revision that is compacted. It is asked for seldom, and the
 * index answers each question.
 * Needs: `known` is compacted. */
static revision find_compacted(struct mvcc_reader *reader, revision known)
{
    CHECK(is_compacted(reader, known));
    revision step = 1;
    while (is_compacted(reader, known + step)) {
        known += step;
        step *= 2;
    }
    /* From here on `known` is compacted, and known + step isn't. */
    while (step > 1) {
        step /= 2;
        if (is_compacted(reader, known + step))
            known += step;
    }
    return known;
}

static void expire(struct watch_hub *hub, struct watcher *watcher,
                   revision compacted)
{
    CHECK_LE(watcher->next, compacted);
    watch_hub_remove(hub, watcher);
    watcher->on_compacted(watcher, compacted);
}

/* ---- jump ---------------------------------------------------------------- */

/* The first record at or after `next` of the watcher's key, in any table. */
static enum err find_next(struct mvcc_reader *reader,
                          const struct watcher *watcher, struct rev *out)
{
    enum err result = ERR_END;
    for (enum mvcc_table table = 0; table < MVCC_TABLE_COUNT; table++) {
        struct rev rev;
        if ((watcher->tables >> table & 1) == 0)
            continue;
        enum err err =
            mvcc_key_history(reader, table, watcher->key, watcher->next, &rev);
        if (err == ERR_END)
            continue;
        if (err)
            return err;
        if (result == ERR_END || watch__rev_cmp(rev, *out) < 0)
            *out = rev;
        result = ERR_OK;
    }
    return result;
}

/* The next record that may be the watcher's: by the index, or within a
 * revision of which it has had some already. */
static enum err read_next(struct mvcc_reader *reader,
                          const struct watcher *watcher, struct record *out)
{
    struct rev rev;
    if (watcher->next_sub)
        return mvcc_history(reader, watch__next(watcher), out);
    enum err err = find_next(reader, watcher, &rev);
    return err ? err : mvcc_get_rev(reader, rev, out);
}

static void pass_over(struct watcher *watcher, const struct record *record)
{
    if (record->rev.main == watcher->next) {
        watcher->next_sub = record->rev.sub + 1;
    } else {
        watcher->next = record->rev.main;
        watcher->next_sub = 0;
    }
}

/* Reads at most *left records, and takes from it what it read. */
static enum err jump(struct watch_hub *hub, struct mvcc_reader *reader,
                     struct watcher *watcher, size_t *left)
{
    enum err err = ERR_OK;
    hub->jumping = watcher;
    while (*left && hub->jumping && watcher->next <= hub->newest) {
        struct record record;
        --*left;
        err = read_next(reader, watcher, &record);
        if (err)
            break;
        if (record.rev.main > hub->newest) {
            err = ERR_END;
            break;
        }
        CHECK(watch__rev_cmp(watch__next(watcher), record.rev) <= 0);
        struct rev after = {record.rev.main, record.rev.sub + 1};
        if (slice_eq(record.key, watcher->key) &&
            (watcher->tables >> record.table & 1))
            watch__offer(watcher, &record, NULL, after);
        else
            pass_over(watcher, &record);
    }
    if (hub->jumping == NULL)
        return ERR_OK; /* it was taken out by its callee; it may be freed */
    if (err == ERR_COMPACTED) {
        expire(hub, watcher, find_compacted(reader, watcher->next));
        return ERR_OK;
    }
    watch__detach(hub, watcher);
    if (err == ERR_END)
        watch__raise(watcher, watch__live_at(hub));
    watch__place(hub, watcher);
    return err == ERR_END ? ERR_OK : err;
}

/* ---- ride ---------------------------------------------------------------- */

static bool jumps(const struct watch_hub *hub, const struct watcher *watcher)
{
    return watch__is_exact(watcher) &&
           hub->newest - watcher->next >= JUMP_REVISIONS_MIN;
}

/* All that are near to `leader` get on; the scan begins at the lowest. */
static void board(struct watch_hub *hub, const struct watcher *leader)
{
    CHECK(list_is_empty(&hub->riders) && hub->riding == NULL);
    hub->scan = watch__next(leader);
    revision lowest = leader->next - LIMIT_HISTORY_SLICE;
    revision highest = leader->next + LIMIT_HISTORY_SLICE;
    LIST_EACH (link, &hub->behind) {
        struct watcher *watcher = CONTAINER_OF(link, struct watcher, link);
        CHECK_EQ(watcher->state, WATCH_BEHIND);
        if (watcher->next < lowest || watcher->next > highest ||
            jumps(hub, watcher))
            continue;
        watch__detach(hub, watcher);
        watcher->state = WATCH_RIDING;
        list_push_back(&hub->riders, &watcher->link);
        watch__tree_insert(&hub->riding, watcher);
        if (watch__rev_cmp(watch__next(watcher), hub->scan) < 0)
            hub->scan = watch__next(watcher);
    }
    CHECK(!list_is_empty(&hub->riders));
}

static enum err scan(struct watch_hub *hub, struct mvcc_reader *reader,
                     size_t *left)
{
    size_t slice = *left < LIMIT_HISTORY_SLICE ? *left : LIMIT_HISTORY_SLICE;
    for (; slice && hub->riding; slice--, --*left) {
        struct record record;
        enum err err = mvcc_history(reader, hub->scan, &record);
        if (err == ERR_END ||
            (err == ERR_OK && record.rev.main > hub->newest)) {
            --*left;
            hub->scan = watch__live_at(hub);
            return ERR_OK;
        }
        if (err)
            return err;
        CHECK(watch__rev_cmp(hub->scan, record.rev) <= 0);
        struct rev after = {record.rev.main, record.rev.sub + 1};
        watch__offer_tree(hub, hub->riding, &record, NULL, after);
        hub->scan = after;
    }
    return ERR_OK;
}

/* All get off where the scan has come to; with `compacted` != 0, those who
 * wanted what is gone are out. */
static void alight(struct watch_hub *hub, revision compacted)
{
    struct list *link;
    while ((link = list_first(&hub->riders)) != NULL) {
        struct watcher *watcher = CONTAINER_OF(link, struct watcher, link);
        CHECK_EQ(watcher->state, WATCH_RIDING);
        watch__detach(hub, watcher);
        watch__place(hub, watcher);
        if (watcher->state == WATCH_BEHIND && watcher->next <= compacted)
            expire(hub, watcher, compacted);
    }
    CHECK(hub->riding == NULL);
}

static enum err ride(struct watch_hub *hub, struct mvcc_reader *reader,
                     const struct watcher *leader, size_t *left)
{
    board(hub, leader);
    enum err err = scan(hub, reader, left);
    revision compacted = 0;
    if (err == ERR_COMPACTED)
        compacted = find_compacted(reader, hub->scan.main);
    alight(hub, compacted);
    return err == ERR_COMPACTED ? ERR_OK : err;
}

/* ---- catching up --------------------------------------------------------- */

static enum err take_turn(struct watch_hub *hub, struct mvcc_reader *reader,
                          size_t *left)
{
    struct list *link = list_first(&hub->behind);
    struct watcher *watcher = CONTAINER_OF(link, struct watcher, link);
    CHECK_EQ(watcher->state, WATCH_BEHIND);
    if (watcher->next > hub->newest) {
        watch__detach(hub, watcher);
        watch__place(hub, watcher);
        CHECK_EQ(watcher->state, WATCH_LIVE);
        return ERR_OK;
    }
    if (!jumps(hub, watcher))
        return ride(hub, reader, watcher, left);
    size_t slice = *left < LIMIT_HISTORY_SLICE ? *left : LIMIT_HISTORY_SLICE;
    *left -= slice;
    enum err err = jump(hub, reader, watcher, &slice);
    *left += slice;
    return err;
}

bool watch_catch_up(struct watch_hub *hub, struct mvcc_reader *reader,
                    size_t records_max)
{
    CHECK(!hub->busy);
    size_t left = records_max;
    enum err err = ERR_OK;
    hub->busy = true;
    while (err == ERR_OK && left && !list_is_empty(&hub->behind))
        err = take_turn(hub, reader, &left);
    hub->busy = false;
    hub->jumping = NULL;
    if (err && !hub->failing)
        log_error("watch", "history can't be read",
                  LOG_STR("error", err_text(err)), LOG_STR("why", err_note()));
    hub->failing = err != ERR_OK;
    return err == ERR_OK && !list_is_empty(&hub->behind);
}
