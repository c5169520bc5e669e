/* A process on a machine of its own: the node, its doors, and when it runs.
 *
 *              start                     kill, stop, break-down
 *     DOWN ------------> UP ----------------------------------> DOWN
 *       |                 | ^                                     |
 *       | damaged    pause| |resume                               | removed
 *       v                 v |                                     v
 *     BROKEN            PAUSED                                  ENDED
 *
 * A step of the writer happens at one moment of simulated time; what its
 * syncs cost is added to when its messages and answers leave, and to when it
 * can run again.
 */
#include <stdio.h>

#include "base/check.h"
#include "base/mem.h"
#include "sim/sim_int.h"

/* Small, so that logs roll and are trimmed; large enough for a turn. */
enum { WAL_SEGMENT_BYTES = 32 * 1024 };

/* A stalled disk comes back. */
#define STEP_NS_MAX (4 * SIM_SECOND)

/* ---- clock --------------------------------------------------------------- */

int64_t sim__done_ns(const struct sim_member *member)
{
    int64_t now_ns = member->sim->now_ns;
    if (!member->in_run)
        return now_ns;
    uint64_t syncs = disk_memory_syncs(member->disk) - member->syncs_before;
    int64_t cost_ns = (int64_t)syncs * member->sync_ns;
    return now_ns + (cost_ns < STEP_NS_MAX ? cost_ns : STEP_NS_MAX);
}

static int64_t own_ns(const struct sim_member *member, int64_t at_ns)
{
    return at_ns + at_ns / 1000000 * member->rate_ppm;
}

/* Of a moment on its monotonic clock: when that is. */
static int64_t true_ns(const struct sim_member *member, int64_t mono_ns)
{
    int64_t since_ns = mono_ns - member->mono_base_ns;
    return since_ns -
           since_ns / (1000000 + member->rate_ppm) * member->rate_ppm;
}

static int64_t monotonic_ns(struct clock *clock)
{
    struct sim_member *member = CONTAINER_OF(clock, struct sim_member, clock);
    int64_t ns = member->mono_base_ns + own_ns(member, sim__done_ns(member));
    if (ns > member->mono_last_ns)
        member->mono_last_ns = ns;
    return member->mono_last_ns;
}

static int64_t wall_ns(struct clock *clock)
{
    struct sim_member *member = CONTAINER_OF(clock, struct sim_member, clock);
    return SIM_START_NS + member->wall_offset_ns +
           own_ns(member, sim__done_ns(member));
}

/* ---- lock ---------------------------------------------------------------- */

static struct sim_member *of_lock(struct lock *lock)
{
    return CONTAINER_OF(lock, struct sim_member, lock);
}

static void check_unlocked(const struct sim_member *member)
{
    CHECK_EQ(member->readers, 0);
    CHECK(!member->writing);
}

static void read_lock(struct lock *lock)
{
    check_unlocked(of_lock(lock));
    of_lock(lock)->readers++;
}

static void read_unlock(struct lock *lock)
{
    CHECK_EQ(of_lock(lock)->readers, 1);
    of_lock(lock)->readers--;
}

static void write_lock(struct lock *lock)
{
    check_unlocked(of_lock(lock));
    of_lock(lock)->writing = true;
}

static void write_unlock(struct lock *lock)
{
    CHECK(of_lock(lock)->writing);
    of_lock(lock)->writing = false;
}

void sim__read_begin(struct sim_member *member)
{
    lock_read(&member->lock);
    mvcc_read_begin(member->reader);
}

void sim__read_end(struct sim_member *member)
{
    mvcc_read_end(member->reader);
    unlock_read(&member->lock);
}

/* ---- what the node says -------------------------------------------------- */

static void plan_flush(struct sim_member *member, int64_t ns)
{
    struct sim *sim = member->sim;
    int64_t wait_ns = ns / 2 + prng_between(&sim->prng, 0, ns);
    sim__at_latest(sim, &member->flush, sim->now_ns + wait_ns);
}

static void on_commits(void *context, struct mvcc_commit *const *commits,
                       size_t count)
{
    struct sim_member *member = context;
    check_unlocked(member);
    CHECK(!member->dying);
    sim__check_commits(member, commits, count);
    for (size_t i = 0; i < count; i++) {
        watch_hub_commit(member->hub, commits[i]);
        member->hub_revision = commits[i]->main;
    }
    if (watch_hub_count(member->hub))
        sim__at_latest(member->sim, &member->look,
                       member->sim->now_ns + 100 * SIM_US);
    plan_flush(member, member->sim->flush_ns);
}

/* A snapshot has taken the store's place. */
static void on_jump(void *context, revision newest)
{
    struct sim_member *member = context;
    check_unlocked(member);
    CHECK(!member->dying);
    watch_hub_jump(member->hub, newest);
    member->hub_revision = newest;
    member->jumped = true;
    sim__at_latest(member->sim, &member->look,
                   member->sim->now_ns + 100 * SIM_US);
}

static void on_answered(void *context)
{
    check_unlocked(context);
}

static void on_flush_due(void *context)
{
    struct sim_member *member = context;
    check_unlocked(member);
    plan_flush(member, SIM_MS);
}

static void on_submitted(void *context)
{
    sim__wake(context);
}

void sim__wake(struct sim_member *member)
{
    struct sim *sim = member->sim;
    if (member->state != SIM_UP || member->dying)
        return;
    int64_t at_ns =
        sim->now_ns + 5 * SIM_US + (int64_t)prng_below(&sim->prng, 40) * SIM_US;
    if (at_ns < member->busy_until_ns)
        at_ns = member->busy_until_ns;
    sim__at_latest(sim, &member->run, at_ns);
}

/* ---- steps --------------------------------------------------------------- */

/* The node can't go on: as it should where the plan broke something. */
static void break_down(struct sim_member *member, enum err err)
{
    struct sim *sim = member->sim;
    sim__trace(sim, member->place, SIM_TRACE_BREAK, err, 0, 0);
    if (!member->armed && !member->full && !member->damaged) {
        sim__fail_at(member, "breaks down without a reason");
        return;
    }
    sim__check_broken(member);
    sim__kill(member);
    sim__at(sim, &member->rise,
            sim->now_ns + prng_between(&sim->prng, 50, 3000) * SIM_MS);
}

static void end_removed(struct sim_member *member)
{
    sim__trace(member->sim, member->place, SIM_TRACE_REMOVED, 0, 0, 0);
    sim__stop(member);
    member->state = SIM_ENDED;
}

static void plan_run(struct sim_member *member)
{
    struct sim *sim = member->sim;
    int64_t deadline_ms = node_deadline_ms(member->node);
    if (deadline_ms == INT64_MAX)
        return;
    /* Behind the moment, not before: the clock counts whole milliseconds. */
    int64_t at_ns = true_ns(member, deadline_ms * SIM_MS) + SIM_US;
    if (at_ns < sim->now_ns + 20 * SIM_US)
        at_ns = sim->now_ns + 20 * SIM_US;
    if (at_ns < member->busy_until_ns)
        at_ns = member->busy_until_ns;
    sim__at_latest(sim, &member->run, at_ns);
}

static void run(struct sim *sim, struct sim_event *event)
{
    struct sim_member *member = CONTAINER_OF(event, struct sim_member, run);
    if (member->state != SIM_UP)
        return;
    member->in_run = true;
    member->syncs_before = disk_memory_syncs(member->disk);
    enum err err = node_run(member->node);
    member->busy_until_ns = sim__done_ns(member);
    check_unlocked(member);
    if (err == ERR_OK) {
        sim__check_step(member);
        if (member->jumped)
            sim__check_store(member);
        member->jumped = false;
        member->in_run = false;
        struct node_progress progress;
        node_progress(member->node, &progress);
        if (sim->over)
            return;
        if (progress.is_removed)
            end_removed(member);
        else
            plan_run(member);
        return;
    }
    member->in_run = false;
    break_down(member, err);
}

static void flush(struct sim *sim, struct sim_event *event)
{
    struct sim_member *member = CONTAINER_OF(event, struct sim_member, flush);
    bool more = false;
    if (member->state != SIM_UP)
        return;
    enum err err = node_flush(member->node, &more);
    check_unlocked(member);
    if (err == ERR_OK) {
        if (more)
            plan_flush(member, SIM_MS);
    } else if (err == ERR_DISK_FULL || err == ERR_NO_SPACE) {
        plan_flush(member, SIM_SECOND);
    } else {
        sim__trace(sim, member->place, SIM_TRACE_FLUSH, err, 0, 0);
        break_down(member, err);
        return;
    }
    sim__wake(member);
}

static void look(struct sim *sim, struct sim_event *event)
{
    struct sim_member *member = CONTAINER_OF(event, struct sim_member, look);
    (void)sim;
    if (member->state == SIM_UP)
        sim__watchers_look(member);
}

static void rise(struct sim *sim, struct sim_event *event)
{
    struct sim_member *member = CONTAINER_OF(event, struct sim_member, rise);
    (void)sim;
    if (member->state == SIM_DOWN)
        sim__start(member);
    else if (member->state == SIM_PAUSED)
        sim__resume(member);
}

static void mend(struct sim *sim, struct sim_event *event)
{
    (void)sim;
    sim__mend_disk(CONTAINER_OF(event, struct sim_member, mend));
}

/* ---- starting and ending ------------------------------------------------- */

static void configure(struct sim_member *member, struct node_config *config)
{
    struct sim *sim = member->sim;
    *config = (struct node_config){
        .ports = {.clock = &member->clock,
                  .disk = disk_memory_door(member->disk),
                  .kv = member->kv,
                  .lock = &member->lock,
                  .net = &member->net},
        .cluster_id = 0xc1,
        .member_id = member->id,
        .name = member->name,
        .peer_urls = member->urls,
        .client_urls = member->urls,
        .members = sim->founders,
        .member_count = member->founder ? (size_t)sim->founder_count : 0,
        .strict_reconfig = sim->strict,
        .pre_vote = sim->pre_vote,
        .lease_reads = sim->lease_reads,
        .catch_up_entries = sim->catch_up_entries,
        .catch_up_bytes = 16 * 1024 * 1024,
        .remove_delay_min_s = 0.1,
        .cluster = {.active_size = sim->active_size,
                    .remove_delay_s = sim->remove_delay_s,
                    .sync_interval_s = 5},
        .seed = sim->options.seed * 31 + member->incarnation * 1000 +
                (uint64_t)member->place,
        .heartbeat_ms = sim->heartbeat_ms,
        .election_ms = sim->election_ms,
        .wal_segment_bytes =
            WAL_SEGMENT_BYTES * (1 + 16 * (sim->value_bytes > 1000)),
        .flush_revisions = sim->flush_revisions,
        .compaction = sim->compaction_keep ? NODE_COMPACTION_REVISION
                                           : NODE_COMPACTION_OFF,
        .compaction_keep = sim->compaction_keep,
        .on_commits = on_commits,
        .on_jump = on_jump,
        .on_answered = on_answered,
        .on_flush_due = on_flush_due,
        .on_submitted = on_submitted,
        .context = member,
    };
}

/* What a node that doesn't open leaves behind. */
static void refused(struct sim_member *member, enum err err)
{
    struct sim *sim = member->sim;
    bool excused = member->armed || member->full;
    sim__trace(sim, member->place, SIM_TRACE_REFUSED, err, 0, 0);
    sim__count(sim, SIM_COUNT_REFUSED, 1);
    watch_hub_free(member->hub);
    member->hub = NULL;
    disk_memory_crash(member->disk);
    member->kv = kv_memory_reopen(member->kv);
    member->state = SIM_DOWN;
    if ((err == ERR_CORRUPT || err == ERR_WRONG_CLUSTER) && member->damaged) {
        member->state = SIM_BROKEN;
        return;
    }
    if (!excused || (err != ERR_IO && err != ERR_DISK_FULL))
        sim__fail_at(member, "refuses to start");
    member->armed = false;
    sim__at(sim, &member->rise, sim->now_ns + 300 * SIM_MS);
}

void sim__start(struct sim_member *member)
{
    struct sim *sim = member->sim;
    struct node_config config;
    CHECK_EQ(member->state, SIM_DOWN);
    sim__cancel(sim, &member->rise);
    member->incarnation++;
    sim__trace(sim, member->place, SIM_TRACE_START, member->incarnation,
               member->id, 0);
    sim__count(sim, SIM_COUNT_STARTS, 1);
    /* Another process: its clock counts from elsewhere. */
    member->mono_base_ns = prng_between(&sim->prng, 1, 1000) * SIM_SECOND;
    member->mono_last_ns = 0;
    member->guests = 0;
    member->peer_count = 0;
    member->hub = watch_hub_new(sim->options.seed);
    member->hub_revision = 0;
    member->state = SIM_UP;
    configure(member, &config);
    enum err err = node_open(&config, &member->node);
    check_unlocked(member);
    if (err != ERR_OK) {
        refused(member, err);
        return;
    }
    CHECK_EQ(mvcc_reader_new(node_mvcc(member->node), &member->reader), ERR_OK);
    member->busy_until_ns = sim->now_ns + SIM_MS;
    sim__check_opened(member);
    sim__wake(member);
    plan_flush(member, sim->flush_ns);
}

/* What is the same for all ends. The node is still there. */
static void let_go(struct sim_member *member)
{
    struct sim *sim = member->sim;
    sim__cancel(sim, &member->run);
    sim__cancel(sim, &member->flush);
    sim__cancel(sim, &member->look);
    sim__cancel(sim, &member->rise);
    sim__watchers_detach(member);
    sim__service_detach(sim, member);
    sim__transfers_drop(member);
    mvcc_reader_free(member->reader);
    member->reader = NULL;
    member->died_ns = sim->now_ns;
    sim__break_all(member, true);
}

static void close_node(struct sim_member *member)
{
    node_close(member->node);
    member->node = NULL;
    watch_hub_free(member->hub);
    member->hub = NULL;
    member->state = SIM_DOWN;
    member->dying = false;
    member->armed = false;
    disk_memory_fail_call(member->disk, 0, ERR_OK);
}

void sim__kill(struct sim_member *member)
{
    struct sim *sim = member->sim;
    if (member->node == NULL)
        return;
    sim__trace(sim, member->place, SIM_TRACE_KILL, member->view.durable,
               member->view.applied, member->view.term);
    sim__count(sim, SIM_COUNT_KILLS, 1);
    member->dying = true;
    disk_memory_crash(member->disk);
    kv_memory_crash(member->kv);
    let_go(member);
    close_node(member);
    member->kv = kv_memory_reopen(member->kv);
}

void sim__stop(struct sim_member *member)
{
    if (member->node == NULL)
        return;
    sim__trace(member->sim, member->place, SIM_TRACE_STOP, member->view.applied,
               0, 0);
    let_go(member);
    member->dying = true;
    close_node(member);
    /* What was open on it is closed; nothing may be left. */
    disk_memory_crash(member->disk);
    member->kv = kv_memory_reopen(member->kv);
}

void sim__pause(struct sim_member *member, int64_t ns)
{
    struct sim *sim = member->sim;
    if (member->state != SIM_UP)
        return;
    sim__trace(sim, member->place, SIM_TRACE_PAUSE, (uint64_t)(ns / SIM_MS), 0,
               0);
    member->state = SIM_PAUSED;
    sim__at(sim, &member->rise, sim->now_ns + ns);
}

void sim__resume(struct sim_member *member)
{
    if (member->state != SIM_PAUSED)
        return;
    sim__trace(member->sim, member->place, SIM_TRACE_RESUME, 0, 0, 0);
    sim__cancel(member->sim, &member->rise);
    member->state = SIM_UP;
    sim__wake(member);
    plan_flush(member, member->sim->flush_ns);
    sim__at_latest(member->sim, &member->look, member->sim->now_ns);
}

/* ---- members ------------------------------------------------------------- */

struct sim_member *sim__member_new(struct sim *sim, bool founder)
{
    CHECK_LT(sim->member_count, SIM_PLACES_MAX);
    struct sim_member *member = mem_alloc_zero(sizeof *member);
    struct prng *prng = &sim->prng;
    member->sim = sim;
    member->place = ++sim->member_count;
    sim->members[member->place] = member;
    member->founder = founder;
    member->id = prng_next(prng) | 1;
    snprintf(member->name, sizeof member->name, "m%d", member->place);
    snprintf(member->urls, sizeof member->urls, "http://m%d:2380",
             member->place);
    member->clock = (struct clock){wall_ns, monotonic_ns};
    member->wall_offset_ns = prng_between(prng, -500, 500) * SIM_MS;
    /* Most clocks are good; a bad one in eight runs by 3 % from the right. */
    int64_t rate_ppm = prng_below(prng, 8) ? 300 : 30000;
    member->rate_ppm = prng_between(prng, -rate_ppm, rate_ppm);
    member->lock =
        (struct lock){read_lock, read_unlock, write_lock, write_unlock};
    member->disk = disk_memory_new(prng_next(prng));
    member->sync_ns = prng_between(prng, 50, 2000) * SIM_US;
    member->kv = kv_memory_new();
    member->run.fire = run;
    member->flush.fire = flush;
    member->look.fire = look;
    member->rise.fire = rise;
    member->mend.fire = mend;
    sim__net_init(member);
    return member;
}

void sim__member_free(struct sim_member *member)
{
    CHECK(member->node == NULL);
    disk_memory_free(member->disk);
    kv_memory_free(member->kv);
    mem_free(member->view.terms);
    mem_free(member->view.chains);
    mem_free(member);
}

struct sim_member *sim__member_of(struct sim *sim, member_id id)
{
    for (int i = 1; i <= sim->member_count; i++)
        if (sim->members[i]->id == id)
            return sim->members[i];
    return NULL;
}

struct sim_member *sim__any_up(struct sim *sim, struct prng *prng)
{
    int up = 0;
    for (int i = 1; i <= sim->member_count; i++)
        up += sim->members[i]->state == SIM_UP;
    if (up == 0)
        return NULL;
    int nth = (int)prng_below(prng, (uint64_t)up);
    for (int i = 1;; i++)
        if (sim->members[i]->state == SIM_UP && nth-- == 0)
            return sim->members[i];
}
