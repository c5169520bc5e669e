/* Which faults when: every now and then one of the kinds that this world has.
 * Whatever is broken is mended by itself after a while, or at the end. */
#include "base/check.h"
#include "sim/sim_int.h"

static int64_t up_to_ms(struct sim *sim, int64_t least, int64_t most)
{
    return prng_between(&sim->plan_prng, least, most) * SIM_MS;
}

static bool coin(struct sim *sim)
{
    return prng_below(&sim->plan_prng, 2) == 0;
}

/* ---- processes ----------------------------------------------------------- */

static void kill_one(struct sim *sim, struct sim_member *member)
{
    if (member->node == NULL)
        return;
    sim__kill(member);
    /* Some stay away for so long that a standby takes their place. */
    int64_t most_ms = prng_below(&sim->plan_prng, 5) == 0 ? 15000 : 3000;
    sim__at(sim, &member->rise, sim->now_ns + up_to_ms(sim, 20, most_ms));
}

static void fault_kill(struct sim *sim, struct sim_member *member)
{
    kill_one(sim, member);
}

static void fault_power(struct sim *sim, struct sim_member *member)
{
    (void)member;
    for (int i = 1; i <= sim->member_count; i++)
        kill_one(sim, sim->members[i]);
}

static void fault_pause(struct sim *sim, struct sim_member *member)
{
    sim__pause(member, up_to_ms(sim, 50, 4 * sim->election_ms));
}

static void fault_restart(struct sim *sim, struct sim_member *member)
{
    if (member->state != SIM_UP)
        return;
    sim__stop(member);
    sim__at(sim, &member->rise, sim->now_ns + up_to_ms(sim, 5, 500));
}

/* The n-th call from now on fails, and with it the member: in the middle of
 * whatever it does. */
static void fault_arm(struct sim *sim, struct sim_member *member)
{
    uint64_t nth = 1 + prng_below(&sim->plan_prng, 40);
    if (member->state != SIM_UP)
        return;
    member->armed = true;
    if (coin(sim)) {
        sim__trace(sim, member->place, SIM_TRACE_ARM_DISK, nth, 0, 0);
        disk_memory_fail_call(member->disk, nth, ERR_IO);
    } else {
        sim__trace(sim, member->place, SIM_TRACE_ARM_KV, nth, 0, 0);
        kv_memory_fail_after(member->kv, nth * 4, ERR_IO);
    }
}

/* ---- the network --------------------------------------------------------- */

static void cut(struct sim *sim, int from, int to)
{
    sim__link(sim, from, to)->cut = true;
    sim__trace(sim, from, SIM_TRACE_CUT, (uint64_t)to, 0, 0);
}

static void join_all(struct sim *sim)
{
    sim__cancel(sim, &sim->join);
    for (int from = 1; from <= SIM_PLACES_MAX; from++)
        for (int to = 1; to <= SIM_PLACES_MAX; to++)
            sim__link(sim, from, to)->cut = false;
    sim__trace(sim, 0, SIM_TRACE_JOIN, 0, 0, 0);
}

static void on_join(struct sim *sim, struct sim_event *event)
{
    (void)event;
    join_all(sim);
}

/* The newest leader that there is; else the one that was drawn. */
static struct sim_member *leader_or(struct sim *sim, struct sim_member *drawn)
{
    for (int i = 1; i <= sim->member_count; i++) {
        struct sim_member *member = sim->members[i];
        if (member->state == SIM_UP && member->view.role == RAFT_LEADER &&
            (drawn->view.role != RAFT_LEADER ||
             drawn->view.term < member->view.term))
            drawn = member;
    }
    return drawn;
}

/* One alone, or each side of a coin by itself; one way, or both. */
static void fault_cut(struct sim *sim, struct sim_member *member)
{
    uint64_t how = prng_below(&sim->plan_prng, 4);
    uint64_t sides = prng_next(&sim->plan_prng);
    sim->join.fire = on_join;
    sim__at_latest(sim, &sim->join,
                   sim->now_ns + up_to_ms(sim, 100, 6 * sim->election_ms));
    sim__count(sim, SIM_COUNT_CUTS, 1);
    bool one_way = coin(sim);
    bool told = coin(sim);
    if (coin(sim))
        member = leader_or(sim, member);
    for (int a = 1; a <= sim->member_count; a++) {
        for (int b = 1; b <= sim->member_count; b++) {
            bool apart = how == 0 ? (sides >> a & 1) != (sides >> b & 1)
                                  : a == member->place || b == member->place;
            bool there = how == 1 ? a == member->place : a < b;
            if (a == b || !apart || (!there && one_way))
                continue;
            /* The ends may hear of it, as where a cable is pulled. */
            if (told)
                sim__break(sim, a, b, true);
            cut(sim, a, b);
        }
    }
}

static void fault_weather(struct sim *sim, struct sim_member *member)
{
    struct sim_weather *weather = &sim->weather;
    struct prng *prng = &sim->plan_prng;
    (void)member;
    weather->loss_ppm = coin(sim) ? 0 : (uint32_t)prng_below(prng, 300000);
    weather->twice_ppm = coin(sim) ? 0 : (uint32_t)prng_below(prng, 200000);
    weather->delay_ns = prng_between(prng, 50, 5000) * SIM_US;
    weather->jitter_ns = weather->delay_ns;
    if (prng_below(prng, 4) == 0)
        weather->jitter_ns = sim->election_ms * SIM_MS / 2;
    weather->keeps_order = coin(sim);
    sim__trace(sim, 0, SIM_TRACE_WEATHER, weather->loss_ppm,
               (uint64_t)(weather->delay_ns / SIM_US), weather->twice_ppm);
}

static void fault_break(struct sim *sim, struct sim_member *member)
{
    int other =
        1 + (int)prng_below(&sim->plan_prng, (uint64_t)sim->member_count);
    if (other != member->place)
        sim__break(sim, member->place, other, true);
}

/* ---- machines ------------------------------------------------------------ */

static void fault_clock(struct sim *sim, struct sim_member *member)
{
    int64_t ms = prng_between(&sim->plan_prng, -20000, 20000);
    member->wall_offset_ns += ms * SIM_MS;
    sim__trace(sim, member->place, SIM_TRACE_JUMP, (uint64_t)ms, 0, 0);
}

static void fault_slow(struct sim *sim, struct sim_member *member)
{
    static const int64_t us[] = {100, 10000, 100000, 2000000};
    member->sync_ns = us[prng_below(&sim->plan_prng, 4)] * SIM_US;
    sim__trace(sim, member->place, SIM_TRACE_SLOW,
               (uint64_t)(member->sync_ns / SIM_US), 0, 0);
    sim__at_latest(sim, &member->mend, sim->now_ns + up_to_ms(sim, 100, 5000));
}

static void fault_full(struct sim *sim, struct sim_member *member)
{
    uint64_t used = disk_memory_used(member->disk);
    member->full = true;
    disk_memory_limit(member->disk,
                      used + 1 + prng_below(&sim->plan_prng, 20000));
    sim__trace(sim, member->place, SIM_TRACE_FULL, used, 0, 0);
    sim__at_latest(sim, &member->mend, sim->now_ns + up_to_ms(sim, 100, 5000));
}

void sim__mend_disk(struct sim_member *member)
{
    sim__cancel(member->sim, &member->mend);
    disk_memory_limit(member->disk, 0);
    member->full = false;
    member->sync_ns = SIM_MS;
    sim__trace(member->sim, member->place, SIM_TRACE_ROOM, 0, 0, 0);
}

/* A voter less, for good: only where the others are enough without it, and
 * nobody else is lost or leaves. */
static bool can_lose(struct sim *sim, const struct sim_member *lost)
{
    const struct raft_members *now = &sim->ledger.members;
    if (sim->operators.change || now->outgoing_count || now->voter_count < 3 ||
        !raft_members_votes(now, lost->id))
        return false;
    for (int i = 1; i <= sim->member_count; i++)
        if (sim->members[i]->damaged)
            return false;
    return true;
}

/* Damage that can't be the torn end of the last write, while the member is
 * down: bits, or a sector that went to another place. */
static void fault_damage(struct sim *sim, struct sim_member *member)
{
    struct prng *prng = &sim->plan_prng;
    uint64_t names = 0;
    if (!can_lose(sim, member))
        return;
    kill_one(sim, member);
    while (disk_memory_name(member->disk, names))
        names++;
    if (names == 0 || member->node)
        return;
    const char *name = disk_memory_name(member->disk, prng_below(prng, names));
    uint64_t old = disk_memory_old_bytes(member->disk, name);
    if (old == 0)
        return;
    uint64_t at = prng_below(prng, old);
    bool sector = old > 1024 && coin(sim);
    if (sector) {
        uint64_t from = prng_below(prng, old / 512) * 512;
        at = at / 512 * 512;
        struct slice bytes = disk_memory_bytes(member->disk, name);
        for (uint64_t i = 0; i < 512 && at + i < old && from + i < old; i++)
            disk_memory_flip(
                member->disk, name, at + i,
                (unsigned char)(bytes.at[at + i] ^ bytes.at[from + i]));
    } else {
        disk_memory_flip(member->disk, name, at,
                         (unsigned char)(1 + prng_below(prng, 255)));
    }
    member->damaged = true;
    sim__count(sim, SIM_COUNT_DAMAGED, 1);
    sim__trace(sim, member->place, SIM_TRACE_DAMAGE, sector, at, 0);
}

static void fault_transfer(struct sim *sim, struct sim_member *member)
{
    struct sim_member *to = sim__any_up(sim, &sim->plan_prng);
    if (member->state != SIM_UP || to == NULL)
        return;
    sim__trace(sim, member->place, SIM_TRACE_TRANSFER, (uint64_t)to->place, 0,
               0);
    node_transfer(member->node, coin(sim) ? to->id : 0);
}

/* ---- the plan ------------------------------------------------------------ */

static const struct {
    uint32_t fault;
    void (*strike)(struct sim *sim, struct sim_member *member);
} kinds[] = {
    {SIM_FAULT_KILL, fault_kill},       {SIM_FAULT_POWER, fault_power},
    {SIM_FAULT_PAUSE, fault_pause},     {SIM_FAULT_CUT, fault_cut},
    {SIM_FAULT_WEATHER, fault_weather}, {SIM_FAULT_BREAK, fault_break},
    {SIM_FAULT_CLOCK, fault_clock},     {SIM_FAULT_SLOW, fault_slow},
    {SIM_FAULT_FULL, fault_full},       {SIM_FAULT_DAMAGE, fault_damage},
    {SIM_FAULT_ARM, fault_arm},         {SIM_FAULT_TRANSFER, fault_transfer},
    {SIM_FAULT_RESTART, fault_restart},
};
enum { KINDS = sizeof kinds / sizeof kinds[0] };

static void strike(struct sim *sim, struct sim_event *event)
{
    struct prng *prng = &sim->plan_prng;
    uint64_t kind = prng_below(prng, KINDS);
    struct sim_member *member =
        sim->members[1 + prng_below(prng, (uint64_t)sim->member_count)];
    if (sim->now_ns >= sim->faults_until_ns) {
        sim__heal_start(sim);
        return;
    }
    if (sim->faults & kinds[kind].fault)
        kinds[kind].strike(sim, member);
    int64_t wait_ns = up_to_ms(sim, 10, 1000);
    if (sim->now_ns + wait_ns > sim->faults_until_ns)
        wait_ns = sim->faults_until_ns - sim->now_ns;
    sim__at(sim, event, sim->now_ns + wait_ns);
}

void sim__plan_start(struct sim *sim)
{
    sim->plan.fire = strike;
    sim__at(sim, &sim->plan, sim->now_ns);
}

void sim__plan_mend(struct sim *sim)
{
    join_all(sim);
    sim->weather = (struct sim_weather){
        .delay_ns = 200 * SIM_US,
        .jitter_ns = 200 * SIM_US,
        .keeps_order = true,
        .queue_max = 10000,
    };
    for (int i = 1; i <= sim->member_count; i++) {
        struct sim_member *member = sim->members[i];
        disk_memory_fail_call(member->disk, 0, ERR_OK);
        kv_memory_fail_after(member->kv, 0, ERR_OK);
        sim__mend_disk(member);
    }
}
