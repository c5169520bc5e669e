/* Random runs of a cluster, for many seeds: messages are lost, doubled and
 * overtake each other, links are cut one way or both, members crash at any
 * point of a write and come back, clocks run apart, the membership changes,
 * leaders hand over, logs are forgotten. raft_cluster_check.c holds what must
 * be true all along. Then all is well again, and there must be progress.
 *
 *   SEEDS=1000   so many seeds instead of the usual
 *   SEED=77      that one alone, with all that happens in it on stderr
 */
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "unit/raft/raft_cluster.h"

enum {
    SEEDS = 250,
    STEPS = 20000,
    HEARTBEAT_MS = 10,
    ELECTION_MS = 100,
    LOG_MAX = 512,
    MEMBERS_MAX = 8,
    /* With everything well again. */
    PROGRESS_MS = 100 * ELECTION_MS,
};

/* How wild a run is: each of 1000 steps on an average. */
struct plan {
    uint64_t lose;
    uint64_t twice;
    uint64_t overtake;
    uint64_t crash;
    uint64_t cut;
    uint64_t change;
    uint64_t transfer;
    uint64_t campaign;
    int64_t tick_ms;
};

struct run {
    struct cluster *cluster;
    struct prng prng;
    struct plan plan;
    uint64_t proposed;
};

static uint64_t below(struct run *run, uint64_t bound)
{
    return prng_below(&run->prng, bound);
}

/* So often of 1000 times. */
static bool chance(struct run *run, uint64_t permille)
{
    return below(run, 1000) < permille;
}

static struct cluster_member *any_member(struct run *run)
{
    return &run->cluster->members[below(run, run->cluster->member_count)];
}

static struct cluster_member *any_leader(struct run *run)
{
    struct cluster_member *leader = cluster_leader(run->cluster);
    return leader != NULL && chance(run, 800) ? leader : any_member(run);
}

static void may_be_refused(struct run *run, struct cluster_member *member,
                           struct raft_event event)
{
    if (member->raft != NULL) {
        (void)cluster_step(run->cluster, member, event);
    }
}

/* ---- what happens -------------------------------------------------------- */

static void take_part_of_turn(struct run *run, struct cluster_member *member)
{
    if (member->raft == NULL) {
        return;
    }
    switch (below(run, 6)) {
    case 0:
        (void)cluster_send(run->cluster, member);
        break;
    case 1:
        (void)cluster_write(run->cluster, member);
        break;
    case 2:
        (void)cluster_apply(run->cluster, member);
        break;
    default:
        (void)cluster_turn(run->cluster, member);
        break;
    }
}

static void handle_packet(struct run *run)
{
    struct cluster *cluster = run->cluster;
    size_t at = 0;
    if (cluster->packet_count == 0) {
        return;
    }
    if (chance(run, run->plan.overtake)) {
        at = (size_t)below(run, cluster->packet_count);
    }
    struct cluster_member *to =
        cluster_member(cluster, cluster->packets[at]->message.to);
    if (chance(run, run->plan.lose)) {
        cluster_net_drop(cluster, at);
    } else if (chance(run, run->plan.twice)) {
        cluster_net_duplicate(cluster, at);
    } else {
        cluster_net_deliver(cluster, at);
    }
    if (to != NULL && chance(run, 600)) {
        take_part_of_turn(run, to);
    }
}

/* Somebody may be late to look. */
static void pass_time(struct run *run)
{
    struct cluster *cluster = run->cluster;
    cluster->now_ms += prng_between(&run->prng, 0, run->plan.tick_ms);
    for (size_t i = 0; i < cluster->member_count; i++) {
        if (cluster->members[i].raft != NULL && chance(run, 900)) {
            cluster_tick(cluster, &cluster->members[i]);
        }
    }
}

static void propose(struct run *run)
{
    struct cluster_member *member = any_leader(run);
    char text[24];
    /* The truth has room for so many. */
    if (member->raft != NULL &&
        run->cluster->commit_max < CLUSTER_LOG_MAX / 2) {
        (void)snprintf(text, sizeof(text), "%d", (int)run->proposed++);
        (void)cluster_propose(run->cluster, member, text);
    }
}

/* Of those that believe to lead, one that doesn't any more gives the wrong
 * answer most easily. */
static struct cluster_member *any_that_leads(struct run *run)
{
    struct cluster *cluster = run->cluster;
    size_t from = (size_t)below(run, cluster->member_count);
    for (size_t i = 0; i < cluster->member_count; i++) {
        struct cluster_member *member =
            &cluster->members[(from + i) % cluster->member_count];
        if (member->raft != NULL && member->role_seen == RAFT_LEADER) {
            return member;
        }
    }
    return any_member(run);
}

static void ask_read(struct run *run)
{
    struct cluster_member *member =
        chance(run, 500) ? any_that_leads(run) : any_member(run);
    if (member->raft != NULL) {
        (void)cluster_read(run->cluster, member);
    }
}

static size_t count_down(const struct cluster *cluster)
{
    size_t down = 0;
    for (size_t i = 0; i < cluster->member_count; i++) {
        down += cluster->members[i].raft == NULL;
    }
    return down;
}

static void start_one(struct run *run)
{
    struct cluster *cluster = run->cluster;
    struct cluster_member *member;
    do {
        member = any_member(run);
    } while (member->raft != NULL);
    cluster_start(cluster, member);
}

/* Mostly a majority is up: else there would be little to see. */
static void crash_or_start(struct run *run)
{
    struct cluster *cluster = run->cluster;
    struct cluster_member *member = any_member(run);
    size_t down = count_down(cluster);
    if (down > 0 && chance(run, 600)) {
        start_one(run);
    } else if (member->raft != NULL &&
               (2 * (down + 1) < cluster->member_count || chance(run, 100))) {
        if (chance(run, 500)) {
            cluster_crash_in_write(cluster, member, (size_t)below(run, 4));
        } else {
            cluster_crash(cluster, member);
        }
    }
}

static void cut_off(struct cluster *cluster, member_id who)
{
    for (member_id id = 1; id <= cluster->member_count; id++) {
        cluster_net_cut(cluster, who, id, true);
        cluster_net_cut(cluster, id, who, true);
    }
}

static void split(struct run *run)
{
    struct cluster *cluster = run->cluster;
    uint64_t left = below(run, UINT64_C(1) << cluster->member_count);
    for (member_id a = 1; a <= cluster->member_count; a++) {
        for (member_id b = 1; b <= cluster->member_count; b++) {
            if ((left >> (a - 1) & 1) != (left >> (b - 1) & 1)) {
                cluster_net_cut(cluster, a, b, true);
            }
        }
    }
}

static void cut_or_heal(struct run *run)
{
    struct cluster *cluster = run->cluster;
    member_id a = any_member(run)->id;
    member_id b = any_member(run)->id;
    switch (below(run, 10)) {
    case 0:
    case 1:
        cluster_net_cut(cluster, a, b, true);
        break;
    case 2:
        cluster_net_cut(cluster, a, b, true);
        cluster_net_cut(cluster, b, a, true);
        break;
    case 3:
    case 4:
        cut_off(cluster, any_leader(run)->id);
        break;
    case 5:
        split(run);
        break;
    default:
        cluster_net_heal(cluster);
        break;
    }
}

static void change(struct run *run)
{
    struct raft_change changes[3];
    struct cluster_member *member = any_leader(run);
    size_t count = 1 + (size_t)below(run, 3);
    if (run->cluster->member_count < MEMBERS_MAX && chance(run, 200)) {
        (void)cluster_add(run->cluster, true);
    }
    for (size_t i = 0; i < count; i++) {
        changes[i].id = any_member(run)->id;
        changes[i].op = (enum raft_change_op)below(run, 3);
    }
    if (member->raft != NULL) {
        (void)cluster_change(run->cluster, member, changes, count);
    }
}

/* What isn't needed by others is forgotten, and sometimes more. */
static void compact(struct run *run, struct cluster_member *member)
{
    struct raft_status status;
    if (member->raft == NULL) {
        return;
    }
    cluster_save(run->cluster, member);
    raft_status(member->raft, &status);
    uint64_t keep = below(run, LOG_MAX / 2);
    raft_index to = member->disk.state.index;
    to = to > keep ? to - keep : 0;
    if (to >= status.first && !member->update.install) {
        cluster_compact(run->cluster, member, to);
    }
}

static void rare_step(struct run *run)
{
    if (chance(run, run->plan.crash)) {
        crash_or_start(run);
    }
    if (chance(run, run->plan.cut)) {
        cut_or_heal(run);
    }
    if (chance(run, run->plan.change)) {
        change(run);
    }
    if (chance(run, run->plan.transfer)) {
        may_be_refused(
            run, any_leader(run),
            (struct raft_event){
                .type = RAFT_TRANSFER,
                .member = chance(run, 300) ? 0 : any_member(run)->id});
    }
    if (chance(run, run->plan.campaign)) {
        may_be_refused(run, any_member(run),
                       (struct raft_event){.type = RAFT_CAMPAIGN});
    }
    if (chance(run, 5)) {
        may_be_refused(run, any_member(run),
                       (struct raft_event){.type = RAFT_PEER_LOST,
                                           .member = any_member(run)->id});
    }
    if (chance(run, 5)) {
        may_be_refused(run, any_leader(run),
                       (struct raft_event){.type = RAFT_UNREACHABLE,
                                           .member = any_member(run)->id});
    }
}

static void take_step(struct run *run)
{
    switch (below(run, 20)) {
    case 0:
    case 1:
        pass_time(run);
        break;
    case 2:
    case 3:
        propose(run);
        break;
    case 4:
    case 5:
        ask_read(run);
        break;
    case 6:
        if (chance(run, 300)) {
            compact(run, any_member(run));
        }
        break;
    case 7:
    case 8:
    case 9:
        take_part_of_turn(run, any_member(run));
        break;
    default:
        /* Mostly the network keeps up with what is sent. */
        for (uint64_t i = below(run, 12); i > 0; i--) {
            handle_packet(run);
        }
        break;
    }
    rare_step(run);
}

/* ---- progress ------------------------------------------------------------ */

static bool has_applied(struct run *run, const member_id *ids, size_t count,
                        raft_index index)
{
    for (size_t i = 0; i < count; i++) {
        const struct cluster_member *member =
            cluster_member(run->cluster, ids[i]);
        if (member->raft == NULL || member->state.index < index) {
            return false;
        }
    }
    return true;
}

/* Everybody who belongs to it has what was committed after all was well. */
static bool is_in_step(struct run *run, raft_index since)
{
    const struct cluster_member *leader = cluster_leader(run->cluster);
    if (leader == NULL) {
        return false;
    }
    const struct raft_members *m = raft_members(leader->raft);
    struct raft_status status;
    raft_status(leader->raft, &status);
    return status.commit > since && !status.change_pending &&
           m->outgoing_count == 0 &&
           has_applied(run, m->voters, m->voter_count, status.commit) &&
           has_applied(run, m->learners, m->learner_count, status.commit);
}

/* Without pre-vote, and with leaders that nobody stands by, a member that was
 * removed and hasn't heard of it disturbs the others for ever: it is turned
 * off, as a person would (thesis 4.2.3). */
static void turn_off_removed(struct run *run)
{
    struct cluster *cluster = run->cluster;
    const struct cluster_member *leader = cluster_leader(cluster);
    if (leader == NULL || cluster->config.pre_vote) {
        return;
    }
    for (size_t i = 0; i < cluster->member_count; i++) {
        struct cluster_member *member = &cluster->members[i];
        if (member->raft != NULL &&
            !raft_members_have(raft_members(leader->raft), member->id)) {
            cluster_crash(cluster, member);
        }
    }
}

static void heal(struct run *run)
{
    struct cluster *cluster = run->cluster;
    cluster_net_heal(cluster);
    for (size_t i = 0; i < cluster->member_count; i++) {
        if (cluster->members[i].raft == NULL) {
            cluster_start(cluster, &cluster->members[i]);
        }
    }
}

static void must_make_progress(struct run *run)
{
    struct cluster *cluster = run->cluster;
    int64_t end_ms = cluster->now_ms + PROGRESS_MS;
    raft_index since = cluster->commit_max;
    while (!is_in_step(run, since)) {
        if (cluster->now_ms > end_ms) {
            cluster_fail(cluster, "no progress");
        }
        cluster_run(cluster, ELECTION_MS / 2);
        for (size_t i = 0; i < cluster->member_count; i++) {
            compact(run, &cluster->members[i]);
        }
        if (cluster->now_ms > end_ms - PROGRESS_MS / 2) {
            turn_off_removed(run);
        }
        struct cluster_member *leader = cluster_leader(cluster);
        if (leader != NULL) {
            (void)cluster_propose(cluster, leader, "again");
        }
    }
}

/* Who leads may still change, where nobody keeps a removed member from
 * standing. */
static void must_answer_reads(struct run *run)
{
    struct cluster *cluster = run->cluster;
    struct raft_members members = *raft_members(cluster_leader(cluster)->raft);
    int64_t end_ms = cluster->now_ms + PROGRESS_MS;
    for (size_t i = 0; i < members.voter_count; i++) {
        struct cluster_member *member =
            cluster_member(cluster, members.voters[i]);
        bool asked = false;
        while (!asked || member->read_count > 0) {
            if (cluster->now_ms > end_ms) {
                cluster_fail(cluster, "%d: a read gets no answer",
                             (int)member->id);
            }
            asked = asked || cluster_read(cluster, member) == ERR_OK;
            cluster_run(cluster, HEARTBEAT_MS);
            turn_off_removed(run);
        }
    }
}

/* ---- the runs ------------------------------------------------------------ */

static struct plan make_plan(struct prng *prng)
{
    struct plan plan = {.tick_ms = prng_between(prng, 2, 16)};
    plan.lose = prng_below(prng, 3) == 0 ? 0 : prng_below(prng, 150);
    plan.twice = prng_below(prng, 100);
    plan.overtake = prng_below(prng, 2) == 0 ? 50 : prng_below(prng, 600);
    plan.crash = prng_below(prng, 5);
    plan.cut = prng_below(prng, 5);
    plan.change = prng_below(prng, 3) == 0 ? 0 : prng_below(prng, 60);
    plan.transfer = prng_below(prng, 4);
    plan.campaign = prng_below(prng, 2);
    return plan;
}

/* Hardly anything gets done, and most of it is undone. */
static struct plan make_wild_plan(struct prng *prng)
{
    struct plan plan = make_plan(prng);
    plan.tick_ms = prng_between(prng, 2, 60);
    plan.lose = prng_below(prng, 500);
    plan.crash = prng_below(prng, 20);
    plan.cut = prng_below(prng, 25);
    plan.transfer = prng_below(prng, 25);
    plan.campaign = prng_below(prng, 12);
    return plan;
}

static struct raft_config make_config(struct prng *prng)
{
    struct raft_config config;
    raft_config_init(&config);
    config.heartbeat_ms = HEARTBEAT_MS;
    config.election_ms = ELECTION_MS;
    config.log_entries_max = LOG_MAX;
    config.append_entries_max = 1 + (size_t)prng_below(prng, 8);
    config.append_bytes_max = 1 + (size_t)prng_below(prng, 300);
    config.inflight_messages_max = 1 + (size_t)prng_below(prng, 6);
    config.inflight_bytes_max = 1 + (size_t)prng_below(prng, 2000);
    config.pre_vote = prng_below(prng, 4) > 0;
    config.check_quorum = prng_below(prng, 3) > 0;
    config.lease_reads = prng_below(prng, 3) == 0;
    config.drift_percent = 10;
    return config;
}

/* As far apart as the lease allows, which is measured from one clock to
 * another. */
static void set_clocks(struct run *run)
{
    for (size_t i = 0; i < MEMBERS_MAX; i++) {
        struct cluster_member *member = &run->cluster->members[i];
        member->clock_offset_ms = (int64_t)below(run, 100000);
        member->clock_permille = prng_between(&run->prng, 960, 1040);
    }
}

static void play(struct run *run, uint64_t seed, struct cluster_trace *trace)
{
    static const size_t sizes[] = {1, 2, 3, 3, 3, 4, 5, 5};
    prng_init(&run->prng, seed);
    struct raft_config config = make_config(&run->prng);
    size_t voters = sizes[below(run, sizeof(sizes) / sizeof(sizes[0]))];
    run->plan =
        below(run, 3) == 0 ? make_wild_plan(&run->prng) : make_plan(&run->prng);
    run->proposed = 0;
    run->cluster = cluster_new(&config, voters, (size_t)below(run, 2), seed);
    run->cluster->trace = trace;
    set_clocks(run);
    for (int i = 0; i < STEPS; i++) {
        take_step(run);
    }
    heal(run);
    must_make_progress(run);
    must_answer_reads(run);
}

static uint64_t number_of(const char *name, uint64_t otherwise)
{
    uint64_t value;
    const char *text = getenv(name);
    return text != NULL && slice_to_u64(slice_str(text), &value) ? value
                                                                 : otherwise;
}

static volatile uint64_t seed_now;
static struct cluster_trace *trace_now;

/* A CHECK has failed somewhere inside: what had happened, and how to see it
 * again. */
static void say_seed(int signal_number)
{
    (void)signal_number;
    if (trace_now != NULL) {
        (void)fwrite(trace_now->out.at, 1, trace_now->out.size, stderr);
    }
    (void)fprintf(stderr, "seed %llu\n", (unsigned long long)seed_now);
}

static void faults_never_break_what_must_hold(void **state)
{
    (void)state;
    struct cluster_counters sum = {0};
    uint64_t only = number_of("SEED", 0);
    uint64_t seeds = only != 0 ? 1 : number_of("SEEDS", SEEDS);
    struct cluster_trace trace = {.heartbeats = true};
    trace_now = only != 0 ? &trace : NULL;
    (void)signal(SIGABRT, say_seed);
    for (uint64_t i = 0; i < seeds; i++) {
        struct run run;
        seed_now = only != 0 ? only : number_of("FIRST", 1) + i;
        play(&run, seed_now, trace_now);
        const struct cluster_counters *of = &run.cluster->counters;
        sum.elections += of->elections;
        sum.applied += of->applied;
        sum.reads += of->reads;
        sum.snapshots += of->snapshots;
        sum.changes += of->changes;
        sum.crashes += of->crashes;
        cluster_free(run.cluster);
    }
    (void)signal(SIGABRT, SIG_DFL);
    if (only != 0) {
        (void)fwrite(trace.out.at, 1, trace.out.size, stderr);
        buf_deinit(&trace.out);
    }
    print_message("%d seeds: %d leaders, %d entries applied, %d reads, %d "
                  "snapshots, %d changes, %d crashes\n",
                  (int)seeds, (int)sum.elections, (int)sum.applied,
                  (int)sum.reads, (int)sum.snapshots, (int)sum.changes,
                  (int)sum.crashes);
    if (seeds >= SEEDS) {
        /* A run in which little happens would show little. */
        assert_true(sum.elections > seeds * 3);
        assert_true(sum.applied > seeds * 300);
        assert_true(sum.reads > seeds * 20);
        assert_true(sum.snapshots > seeds);
        assert_true(sum.changes > seeds);
        assert_true(sum.crashes > seeds * 5);
    }
}

static void the_same_seed_gives_the_same_run(void **state)
{
    (void)state;
    struct cluster_trace traces[2];
    for (int i = 0; i < 2; i++) {
        struct run run;
        traces[i] = (struct cluster_trace){.heartbeats = true};
        play(&run, 12, &traces[i]);
        cluster_free(run.cluster);
    }
    assert_true(traces[0].out.size > 1000);
    assert_true(slice_eq(buf_slice(&traces[0].out), buf_slice(&traces[1].out)));
    buf_deinit(&traces[0].out);
    buf_deinit(&traces[1].out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(faults_never_break_what_must_hold),
        cmocka_unit_test(the_same_seed_gives_the_same_run),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
