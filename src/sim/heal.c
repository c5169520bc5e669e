/* The end of a run: the faults are over, all members run. Within a bounded time
 * each of the cluster must answer a write and a linearizable read, all must
 * come to the same state, what has a TTL must end, and the watchers must have
 * been told of everything. */
#include "base/check.h"
#include "base/mem.h"
#include "sim/sim_int.h"

static bool belongs(const struct sim_member *member)
{
    return raft_members_have(&member->sim->ledger.members, member->id) &&
           member->state != SIM_BROKEN;
}

static void on_answer(struct sim_client *client, enum err err)
{
    struct sim_healing *healing = &client->sim->healing;
    int place = client->member->place;
    enum sim_kind kind = client->op->kind;
    if (err == ERR_OK && (kind == SIM_READ || kind == SIM_GET))
        healing->read[place] = true;
    else if (err == ERR_OK)
        healing->wrote[place] = true;
}

/* True: this one has answered both. */
static bool probe(struct sim_member *member)
{
    struct sim_healing *healing = &member->sim->healing;
    struct sim_client *client = &healing->probes[member->place];
    if (healing->wrote[member->place] && healing->read[member->place])
        return true;
    if (member->state != SIM_UP || client->op)
        return false;
    *client = (struct sim_client){
        .sim = member->sim,
        .number = 100 + member->place,
        .member = member,
        .on_answer = on_answer,
    };
    bool by_v3 = member->place % 2 == 0;
    enum sim_kind kind = by_v3 ? SIM_PUT : SIM_SET;
    if (healing->wrote[member->place])
        kind = by_v3 ? SIM_GET : SIM_READ;
    sim__ask(member, client, kind, member->place % SIM_KEYS);
    return false;
}

/* All have applied the same, which is all that there is. */
static bool is_settled(struct sim *sim)
{
    const struct ledger *ledger = &sim->ledger;
    for (int i = 1; i <= sim->member_count; i++) {
        const struct sim_member *member = sim->members[i];
        if (belongs(member) && (member->state != SIM_UP ||
                                member->view.applied != ledger->commit ||
                                member->view.last != ledger->commit))
            return false;
    }
    return true;
}

static bool leases_left(struct sim *sim)
{
    for (int i = 1; i <= sim->member_count; i++) {
        const struct sim_member *member = sim->members[i];
        if (member->state == SIM_UP && belongs(member))
            return lease_count(node_leases(member->node)) > 0;
    }
    return true;
}

/* Two members that say the same of who belongs to the cluster. */
static enum err same_members(struct sim_member *a, struct sim_member *b)
{
    struct arena arena;
    struct node_member *of_a;
    struct node_member *of_b;
    arena_init(&arena, 0);
    lock_read(&a->lock);
    size_t count = node_members(a->node, &arena, &of_a);
    unlock_read(&a->lock);
    lock_read(&b->lock);
    bool same = node_members(b->node, &arena, &of_b) == count;
    unlock_read(&b->lock);
    for (size_t i = 0; same && i < count; i++)
        same = of_a[i].id == of_b[i].id &&
               of_a[i].is_learner == of_b[i].is_learner &&
               of_a[i].is_standby == of_b[i].is_standby &&
               slice_eq(of_a[i].peer_urls, of_b[i].peer_urls) &&
               slice_eq(of_a[i].name, of_b[i].name);
    arena_deinit(&arena);
    return same ? ERR_OK
                : err_set(ERR_CORRUPT,
                          "%s and %s differ in who belongs to the "
                          "cluster",
                          a->name, b->name);
}

static void finish(struct sim *sim)
{
    struct sim_member *first = NULL;
    for (int i = 1; i <= sim->member_count && !sim->over; i++) {
        struct sim_member *member = sim->members[i];
        if (!belongs(member) || member->state != SIM_UP)
            continue;
        sim__check_store(member);
        sim__check_hash(member);
        if (first && same_members(first, member))
            sim__fail_at(member, "at the end");
        first = first ? first : member;
    }
    sim->over = true;
}

/* ---- too late ------------------------------------------------------------ */

/* Members that were damaged are lost for good. Where a change that nobody
 * waited for any more has left the others too few, standing still is right. */
static bool quorum_is_lost(struct sim *sim)
{
    for (int i = 1; i <= sim->member_count; i++) {
        const struct sim_member *member = sim->members[i];
        if (member->state != SIM_UP)
            continue;
        const struct raft_members *now = raft_members(node_raft(member->node));
        size_t living = 0;
        for (size_t j = 0; j < now->voter_count; j++) {
            const struct sim_member *voter =
                sim__member_of(sim, now->voters[j]);
            living += voter && voter->state != SIM_BROKEN &&
                      voter->state != SIM_ENDED;
        }
        if (now->voter_count && living <= now->voter_count / 2)
            return true;
    }
    return false;
}

/* What is still missing, the first cause first. */
static void say_why(struct sim *sim, struct buf *why)
{
    const struct sim_healing *healing = &sim->healing;
    const struct sim_watcher *watcher = sim__watcher_behind(sim);
    for (int i = 1; i <= sim->member_count; i++) {
        struct sim_member *member = sim->members[i];
        if (!belongs(member))
            continue;
        if (!healing->wrote[i] || !healing->read[i])
            buf_printf(why, "%s answers no %s", member->name,
                       healing->wrote[i] ? "read" : "write");
        else if (member->view.applied != sim->ledger.commit)
            buf_printf(why, "%s is at %llu, not %llu", member->name,
                       (unsigned long long)member->view.applied,
                       (unsigned long long)sim->ledger.commit);
        else
            continue;
        return;
    }
    if (!sim__service_is_over(sim))
        sim__service_say_why(sim, why);
    else if (leases_left(sim))
        buf_append_str(why, "a lease does not end");
    else if (watcher)
        buf_printf(why, "watcher %d on %s waits for revision %lld",
                   watcher->number,
                   watcher->member ? watcher->member->name : "none",
                   (long long)watcher->cursor.main);
    else
        buf_append_str(why, "the logs don't end");
}

static void too_late(struct sim *sim)
{
    struct buf why = {0};
    if (quorum_is_lost(sim)) {
        sim->over = true;
        return;
    }
    say_why(sim, &why);
    sim__fail(sim, "no progress after the faults: %.*s", (int)why.size, why.at);
    buf_deinit(&why);
}

/* ---- on the way ---------------------------------------------------------- */

/* Who is not of the cluster ends; all others run. */
static bool raise_all(struct sim *sim)
{
    bool all = true;
    for (int i = 1; i <= sim->member_count && !sim->over; i++) {
        struct sim_member *member = sim->members[i];
        if (member->state == SIM_PAUSED)
            sim__resume(member);
        if (member->state == SIM_DOWN && belongs(member))
            sim__start(member);
        if (member->state == SIM_UP && !belongs(member)) {
            sim__watchers_detach(member);
            sim__service_detach(sim, member);
        } else if (member->state == SIM_UP) {
            all = probe(member) && all;
        } else if (belongs(member)) {
            all = false;
        }
    }
    return all;
}

static void turn(struct sim *sim, struct sim_event *event)
{
    bool answered = raise_all(sim);
    if (sim->over)
        return;
    if (answered && sim__service_is_over(sim) && is_settled(sim) &&
        !leases_left(sim) && sim__watcher_behind(sim) == NULL)
        finish(sim);
    else if (sim->now_ns > sim->healing.deadline_ns)
        too_late(sim);
    else
        sim__at(sim, event, sim->now_ns + 50 * SIM_MS);
}

void sim__heal_start(struct sim *sim)
{
    struct sim_healing *healing = &sim->healing;
    sim__trace(sim, 0, SIM_TRACE_HEAL, 0, 0, 0);
    sim__clients_stop(sim);
    sim__operator_stop(sim);
    sim__plan_mend(sim);
    sim__service_heal(sim);
    healing->next.fire = turn;
    /* Elections, what is asked again after a time-out, and (with clocks that
     * have jumped by 20 s, twice) TTLs. */
    healing->deadline_ns =
        sim->now_ns + 60 * SIM_SECOND + 30 * sim->election_ms * SIM_MS;
    if (sim->service)
        healing->deadline_ns += 60 * SIM_SECOND;
    sim__at(sim, &healing->next, sim->now_ns + SIM_MS);
}
