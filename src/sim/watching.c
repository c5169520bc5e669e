/* Watchers: each wants a key, a range or all, from a revision on, and goes on
 * at another member when its own ends. It must be told of every record that
 * matches, once, in order, or that history is compacted. */
#include "base/check.h"
#include "sim/sim_int.h"

/* Does it want this record? */
static bool matches(const struct watcher *watcher, const struct record *record)
{
    if ((watcher->tables & (1u << record->table)) == 0)
        return false;
    if (watcher->end.at == NULL)
        return slice_eq(watcher->key, record->key);
    return slice_cmp(watcher->key, record->key) <= 0 &&
           (watcher->end.size == 0 || slice_cmp(record->key, watcher->end) < 0);
}

/* The next record that it must be told of; NULL: none is known. */
static const struct record *expected(struct sim_watcher *watcher)
{
    const struct ledger *ledger = &watcher->sim->ledger;
    struct rev *cursor = &watcher->cursor;
    for (; cursor->main <= ledger->revision; cursor->main++, cursor->sub = 0) {
        const struct mvcc_commit *commit =
            ledger_commit_at(ledger, cursor->main);
        for (; commit && cursor->sub < commit->count; cursor->sub++)
            if (matches(&watcher->watcher, &commit->records[cursor->sub]))
                return &commit->records[cursor->sub];
    }
    return NULL;
}

static void look_later(struct sim_member *member, int64_t ns)
{
    sim__at_latest(member->sim, &member->look, member->sim->now_ns + ns);
}

static void on_event(struct watcher *of, const struct record *record,
                     struct mvcc_commit *commit)
{
    struct sim_watcher *watcher = CONTAINER_OF(of, struct sim_watcher, watcher);
    struct sim *sim = watcher->sim;
    const struct record *must = expected(watcher);
    (void)commit;
    if (must == NULL || ledger_same_record(record, must)) {
        sim__fail(sim, "watcher %d on %s is told of revision %lld.%u, not %lld",
                  watcher->number, watcher->member->name,
                  (long long)record->rev.main, record->rev.sub,
                  must ? (long long)must->rev.main : 0);
        return;
    }
    watcher->cursor.sub++;
    sim__count(sim, SIM_COUNT_TOLD, 1);
    if (sim__chance(&sim->client_prng, 20000)) {
        watcher->lags = true;
        watch_lag(watcher->member->hub, of);
        look_later(watcher->member, 200 * SIM_MS);
    }
}

static void move_on(struct sim_watcher *watcher, int64_t ns)
{
    watcher->member = NULL;
    watcher->lags = false;
    sim__at(watcher->sim, &watcher->next, watcher->sim->now_ns + ns);
}

static void on_compacted(struct watcher *of, revision compacted)
{
    struct sim_watcher *watcher = CONTAINER_OF(of, struct sim_watcher, watcher);
    struct sim *sim = watcher->sim;
    sim__trace(sim, watcher->member->place, SIM_TRACE_COMPACTED,
               (uint64_t)watcher->number, (uint64_t)compacted, 0);
    if (compacted < watcher->cursor.main || sim->compaction_keep == 0)
        sim__fail(sim,
                  "watcher %d wants %lld, and is told of a compaction "
                  "at %lld",
                  watcher->number, (long long)watcher->cursor.main,
                  (long long)compacted);
    watcher->cursor = (struct rev){compacted + 1, 0};
    move_on(watcher, 10 * SIM_MS);
}

/* Begins, or goes on, at some member. */
static void attach(struct sim *sim, struct sim_event *event)
{
    struct sim_watcher *watcher = CONTAINER_OF(event, struct sim_watcher, next);
    struct sim_member *member = sim__any_up(sim, &sim->client_prng);
    CHECK(watcher->member == NULL);
    /* One that nobody has added waits; but not at the end, for ever. */
    bool idle = sim->healing.next.fire && member &&
                !raft_members_have(&sim->ledger.members, member->id);
    if (member == NULL || idle) {
        sim__at(sim, event, sim->now_ns + 200 * SIM_MS);
        return;
    }
    /* A commit that it had a part of is told again, whole. */
    watcher->cursor.sub = 0;
    struct watcher fresh = {
        .key = watcher->watcher.key,
        .end = watcher->watcher.end,
        .tables = watcher->watcher.tables,
        .next = watcher->cursor.main,
        .on_event = on_event,
        .on_compacted = on_compacted,
    };
    watcher->watcher = fresh;
    watcher->member = member;
    sim__trace(sim, member->place, SIM_TRACE_WATCH, (uint64_t)watcher->number,
               (uint64_t)watcher->cursor.main, 0);
    watch_hub_add(member->hub, &watcher->watcher, member->hub_revision);
    look_later(member, 50 * SIM_US);
}

void sim__watchers_look(struct sim_member *member)
{
    struct sim *sim = member->sim;
    for (int i = 0; i < sim->watcher_count; i++) {
        struct sim_watcher *watcher = &sim->watchers[i];
        if (watcher->member == member && watcher->lags) {
            watcher->lags = false;
            watch_resume(member->hub, &watcher->watcher);
        }
    }
    sim__read_begin(member);
    bool more = watch_catch_up(member->hub, member->reader, 50);
    sim__read_end(member);
    if (more)
        look_later(member, SIM_MS);
}

void sim__watchers_detach(struct sim_member *member)
{
    struct sim *sim = member->sim;
    for (int i = 0; i < sim->watcher_count; i++) {
        struct sim_watcher *watcher = &sim->watchers[i];
        if (watcher->member == member) {
            watch_hub_remove(member->hub, &watcher->watcher);
            move_on(watcher, prng_between(&sim->client_prng, 1, 300) * SIM_MS);
        }
    }
}

struct sim_watcher *sim__watcher_behind(struct sim *sim)
{
    for (int i = 0; i < sim->watcher_count; i++)
        if (sim->watchers[i].member == NULL ||
            expected(&sim->watchers[i]) != NULL)
            return &sim->watchers[i];
    return NULL;
}

void sim__watchers_start(struct sim *sim)
{
    static const struct {
        const char *key;
        const char *end; /* "": none */
    } ranges[SIM_WATCHERS_MAX] = {{"", ""},       {"/k0", NULL}, {"/t/", "/t0"},
                                  {"/d", "/e"},   {"/k", "/l"},  {"/q", "/r"},
                                  {"/l/", "/l0"}, {"p", "q"}};
    for (int i = 0; i < sim->watcher_count; i++) {
        struct sim_watcher *watcher = &sim->watchers[i];
        watcher->sim = sim;
        watcher->number = i + 1;
        watcher->next.fire = attach;
        watcher->cursor.main = 2;
        watcher->watcher.key = slice_str(ranges[i].key);
        watcher->watcher.end = slice_str(ranges[i].end);
        watcher->watcher.tables = 1u << MVCC_KEYS | 1u << MVCC_DIRS;
        sim__at(sim, &watcher->next, i * SIM_SECOND);
    }
}
