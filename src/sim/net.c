/* Packets between members: what was sent leaves when the syncs before it are
 * done, and may come late, twice, out of order, or not at all. */
#include "base/check.h"
#include "base/mem.h"
#include "sim/sim_int.h"

struct sim_packet {
    struct list link;
    struct sim_event event;
    struct sim_member *from;
    struct sim_member *to;
    uint64_t incarnation; /* of the sender */
    uint64_t epoch;       /* of the link */
    int64_t leave_ns;
    struct refbuf *message;
};

struct sim_link *sim__link(struct sim *sim, int from, int to)
{
    return &sim->links[from][to];
}

static void free_packet(struct sim *sim, struct sim_packet *packet)
{
    struct sim_link *link =
        sim__link(sim, packet->from->place, packet->to->place);
    if (packet->epoch == link->epoch) {
        CHECK(link->waiting > 0);
        link->waiting--;
    }
    sim__cancel(sim, &packet->event);
    list_remove(&packet->link);
    refbuf_unref(packet->message);
    mem_free(packet);
}

/* ---- coming in ----------------------------------------------------------- */

/* The sender died before its disk was done, so this never left. */
static bool never_left(const struct sim_packet *packet)
{
    return packet->incarnation != packet->from->incarnation ||
                   packet->from->node == NULL
               ? packet->leave_ns > packet->from->died_ns
               : false;
}

/* A greeting from one that was removed is refused, and it ends. */
static bool was_removed(struct sim_member *from, struct sim_member *to)
{
    struct sim *sim = from->sim;
    if (raft_members_have(&sim->ledger.members, from->id))
        return false;
    lock_read(&to->lock);
    bool removed = node_member_removed(to->node, from->id);
    unlock_read(&to->lock);
    if (removed && from->state == SIM_UP && sim__chance(&sim->prng, 200000)) {
        sim__trace(sim, from->place, SIM_TRACE_REMOVED, (uint64_t)to->place, 0,
                   0);
        sim__stop(from);
        from->state = SIM_ENDED;
    }
    return removed;
}

static void arrive(struct sim *sim, struct sim_event *event)
{
    struct sim_packet *packet = CONTAINER_OF(event, struct sim_packet, event);
    struct sim_member *to = packet->to;
    struct sim_link *link = sim__link(sim, packet->from->place, to->place);
    bool lost = packet->epoch != link->epoch || link->cut || never_left(packet);
    if (!lost && to->state == SIM_PAUSED) {
        /* It waits in the machine's buffers. */
        sim__at(sim, event, to->rise.node.key + SIM_US);
        return;
    }
    if (!lost && to->state == SIM_UP && !was_removed(packet->from, to)) {
        sim__count(sim, SIM_COUNT_MESSAGES, 1);
        to->guests |= 1u << packet->from->place;
        node_receive(to->node, packet->from->id, refbuf_ref(packet->message));
    }
    free_packet(sim, packet);
}

/* ---- going out ----------------------------------------------------------- */

static struct sim_member *of_net(struct net *net)
{
    return CONTAINER_OF(net, struct sim_member, net);
}

static void dispatch(struct sim_member *from, struct sim_member *to,
                     struct refbuf *message)
{
    struct sim *sim = from->sim;
    const struct sim_weather *weather = &sim->weather;
    struct sim_link *link = sim__link(sim, from->place, to->place);
    struct sim_packet *packet = mem_alloc_zero(sizeof *packet);
    int64_t jitter_ns =
        (int64_t)prng_below(&sim->prng, (uint64_t)weather->jitter_ns + 1);
    packet->event.fire = arrive;
    packet->from = from;
    packet->to = to;
    packet->incarnation = from->incarnation;
    packet->epoch = link->epoch;
    packet->leave_ns = sim__done_ns(from);
    packet->message = refbuf_ref(message);
    int64_t at_ns = packet->leave_ns + weather->delay_ns + jitter_ns;
    if (weather->keeps_order && at_ns <= link->last_ns)
        at_ns = link->last_ns + 1;
    link->last_ns = at_ns;
    link->waiting++;
    list_push_back(&sim->packets, &packet->link);
    sim__at(sim, &packet->event, at_ns);
}

/* The cluster's members, and who has spoken to it (and said from where). */
static bool knows(const struct sim_member *member,
                  const struct sim_member *other)
{
    for (size_t i = 0; i < member->peer_count; i++)
        if (member->peers[i] == other->id)
            return true;
    return member->guests >> other->place & 1;
}

static void send(struct net *net, uint64_t to_id, struct refbuf *message)
{
    struct sim_member *from = of_net(net);
    struct sim *sim = from->sim;
    struct sim_member *to = sim__member_of(sim, to_id);
    CHECK_NE(to_id, from->id);
    CHECK(!from->dying);
    sim__check_message(from, slice_of(message->bytes, message->size));
    if (to == NULL || !knows(from, to)) {
        refbuf_unref(message);
        return;
    }
    if (sim__link(sim, from->place, to->place)->waiting >=
        sim->weather.queue_max) {
        sim__trace(sim, from->place, SIM_TRACE_OVERFLOW, (uint64_t)to->place, 0,
                   0);
        node_unreachable(from->node, to_id);
    } else if (!sim__chance(&sim->prng, sim->weather.loss_ppm)) {
        dispatch(from, to, message);
        if (sim__chance(&sim->prng, sim->weather.twice_ppm))
            dispatch(from, to, message);
    }
    refbuf_unref(message);
}

static void flush(struct net *net)
{
    (void)net;
}

static void set_members(struct net *net, const struct net_member *members,
                        size_t count)
{
    struct sim_member *member = of_net(net);
    CHECK_LE(count, RAFT_MEMBERS_MAX);
    for (size_t i = 0; i < count; i++) {
        CHECK_NE(members[i].id, member->id);
        member->peers[i] = members[i].id;
    }
    member->peer_count = count;
}

static void snapshot(struct net *net, uint64_t to)
{
    sim__transfer_begin(of_net(net), to);
}

void sim__net_init(struct sim_member *member)
{
    static const struct net_ops ops = {
        .send = send,
        .flush = flush,
        .set_members = set_members,
        .snapshot = snapshot,
    };
    member->net.ops = &ops;
}

/* ---- connections --------------------------------------------------------- */

static void lose(struct sim_member *member, struct sim_member *other)
{
    struct sim *sim = member->sim;
    bool up = member->state == SIM_UP || member->state == SIM_PAUSED;
    if (up && !member->dying && member->node && knows(member, other) &&
        !sim__link(sim, other->place, member->place)->cut) {
        sim__trace(sim, member->place, SIM_TRACE_LOST, (uint64_t)other->place,
                   0, 0);
        node_peer_lost(member->node, other->id);
    }
}

void sim__break(struct sim *sim, int a, int b, bool tell)
{
    struct sim_link *there = sim__link(sim, a, b);
    struct sim_link *back = sim__link(sim, b, a);
    there->epoch++;
    back->epoch++;
    there->waiting = back->waiting = 0;
    if (tell) {
        lose(sim->members[a], sim->members[b]);
        lose(sim->members[b], sim->members[a]);
    }
}

void sim__break_all(struct sim_member *member, bool tell)
{
    for (int i = 1; i <= member->sim->member_count; i++)
        if (i != member->place)
            sim__break(member->sim, member->place, i, tell);
}

void sim__net_free(struct sim *sim)
{
    LIST_EACH (link, &sim->packets) {
        free_packet(sim, CONTAINER_OF(link, struct sim_packet, link));
    }
    while (sim->transfers)
        sim__transfer_free(sim->transfers);
}
