/* Who comes and who goes: a person at the keyboard, one change at a time, who
 * looks at what the cluster is before the next one. */
#include "base/check.h"
#include "base/mem.h"
#include "sim/sim_int.h"

static bool lives(const struct sim_member *member)
{
    return member && member->state != SIM_BROKEN && member->state != SIM_ENDED;
}

static void on_changed(struct node_change *of)
{
    struct sim_change *change = CONTAINER_OF(of, struct sim_change, change);
    struct sim *sim = change->sim;
    sim__trace(sim, change->member->place, SIM_TRACE_CHANGED, of->op, 0,
               of->err);
    CHECK(sim->operators.change == change);
    sim->operators.change = NULL;
    mem_free(change);
}

struct sim_change *sim__operator_ask(struct sim *sim, enum node_change_op op,
                                     struct sim_member *member)
{
    struct sim_member *via = sim__any_up(sim, &sim->plan_prng);
    if (via == NULL || sim->operators.change)
        return NULL;
    struct sim_change *change = mem_alloc_zero(sizeof *change);
    change->sim = sim;
    change->member = member;
    change->change.op = op;
    change->change.on_done = on_changed;
    change->change.member = (struct node_member){
        .id = member->id,
        .name = slice_str(member->name),
        .peer_urls = slice_str(member->urls),
    };
    sim__trace(sim, via->place, SIM_TRACE_CHANGE, op, (uint64_t)member->place,
               0);
    sim->operators.change = change;
    if (node_change(via->node, &change->change)) {
        sim->operators.change = NULL;
        mem_free(change);
    }
    return sim->operators.change;
}

/* What the voters would be without `gone`: still a majority that lives? */
static bool is_safe_without(struct sim *sim, const struct sim_member *gone)
{
    const struct raft_members *now = &sim->ledger.members;
    size_t rest = 0;
    size_t living = 0;
    for (size_t i = 0; i < now->voter_count; i++) {
        if (now->voters[i] == gone->id)
            continue;
        rest++;
        living += lives(sim__member_of(sim, now->voters[i]));
    }
    return rest > 0 && now->outgoing_count == 0 && living > rest / 2;
}

/* A member that refused to start goes first; nothing else is done while there
 * is one. */
static bool remove_broken(struct sim *sim)
{
    for (int i = 1; i <= sim->member_count; i++) {
        struct sim_member *member = sim->members[i];
        bool is_member = raft_members_have(&sim->ledger.members, member->id);
        if (!member->damaged || member->state == SIM_ENDED)
            continue;
        if (member->state == SIM_BROKEN && !is_member)
            member->state = SIM_ENDED;
        else if (member->state == SIM_BROKEN)
            (void)sim__operator_ask(sim, NODE_REMOVE, member);
        return true;
    }
    return false;
}

/* One that runs and waits to be added; NULL: all were. */
static struct sim_member *candidate(struct sim *sim)
{
    for (int i = 1; i <= sim->member_count; i++) {
        struct sim_member *member = sim->members[i];
        member->joined |= raft_members_have(&sim->ledger.members, member->id);
        if (!member->joined && member->state == SIM_UP)
            return member;
    }
    return NULL;
}

static void add(struct sim *sim)
{
    static const enum node_change_op ops[] = {NODE_ADD_VOTER, NODE_ADD_LEARNER,
                                              NODE_ADD_STANDBY};
    const struct raft_members *now = &sim->ledger.members;
    struct sim_member *member = candidate(sim);
    if (now->voter_count + now->learner_count >= SIM_MEMBERS_MAX ||
        (member == NULL && sim->member_count >= SIM_PLACES_MAX))
        return;
    if (member == NULL) {
        member = sim__member_new(sim, false);
        sim__start(member);
    }
    (void)sim__operator_ask(sim, ops[prng_below(&sim->plan_prng, 3)], member);
}

static void remove_one(struct sim *sim)
{
    const struct raft_members *now = &sim->ledger.members;
    struct sim_member *member =
        sim->members[1 +
                     prng_below(&sim->plan_prng, (uint64_t)sim->member_count)];
    if (raft_members_have(now, member->id) && now->voter_count > 2 &&
        is_safe_without(sim, member))
        (void)sim__operator_ask(sim, NODE_REMOVE, member);
}

static void promote(struct sim *sim)
{
    const struct raft_members *now = &sim->ledger.members;
    if (now->learner_count == 0)
        return;
    uint64_t nth = prng_below(&sim->plan_prng, now->learner_count);
    struct sim_member *member = sim__member_of(sim, now->learners[nth]);
    if (lives(member))
        (void)sim__operator_ask(sim, NODE_PROMOTE, member);
}

static void turn(struct sim *sim, struct sim_event *event)
{
    if (!remove_broken(sim) && (sim->faults & SIM_FAULT_CHURN)) {
        switch (prng_below(&sim->plan_prng, 4)) {
        case 0:
            add(sim);
            break;
        case 1:
            remove_one(sim);
            break;
        default:
            promote(sim);
        }
    }
    sim__at(sim, event,
            sim->now_ns + prng_between(&sim->plan_prng, 300, 3000) * SIM_MS);
}

void sim__operator_start(struct sim *sim)
{
    sim->operators.next.fire = turn;
    sim__at(sim, &sim->operators.next, sim->now_ns + SIM_SECOND);
}

void sim__operator_stop(struct sim *sim)
{
    sim__cancel(sim, &sim->operators.next);
}
