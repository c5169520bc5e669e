/* The other members, as the membership that counts has them: a small table
 * without order. A leader keeps in it how far each has come. */
#include "base/check.h"
#include "raft/raft_int.h"

static void check_peer(const struct raft *raft, const struct raft_peer *peer)
{
    CHECK(peer->id != 0 && peer->id != raft->id);
    CHECK(!(peer->is_learner && peer->voter_in != 0));
    CHECK(!peer->leaving || (peer->voter_in == 0 && !peer->is_learner));
    CHECK_LE(peer->sent_count, raft->config.inflight_messages_max);
    CHECK(peer->sent_count == 0 || peer->state == RAFT_PEER_REPLICATE);
    if (raft->role == RAFT_LEADER) {
        CHECK_LT(peer->match, peer->next);
        CHECK_LE(peer->next, raft->log.last + 1);
        CHECK_LE(peer->round, raft->round);
    }
}

/* The rings are made once: a step allocates nothing. */
void raft__peers_init(struct raft *raft)
{
    size_t ring = raft->config.inflight_messages_max;
    raft->peers = mem_alloc_zero(RAFT_PEERS_MAX * sizeof(*raft->peers));
    struct raft_sent *rings =
        mem_alloc_zero(RAFT_PEERS_MAX * ring * sizeof(*rings));
    for (size_t i = 0; i < RAFT_PEERS_MAX; i++) {
        raft->peers[i].sent = &rings[i * ring];
    }
    CHECK_EQ(raft->peer_count, 0);
}

void raft__peers_deinit(struct raft *raft)
{
    /* Rings change places with their peers: the first in memory is the one
     * that was allocated. */
    struct raft_sent *rings = raft->peers[0].sent;
    for (size_t i = 1; i < RAFT_PEERS_MAX; i++) {
        if (raft->peers[i].sent < rings) {
            rings = raft->peers[i].sent;
        }
    }
    mem_free(rings);
    mem_free(raft->peers);
    raft->peers = NULL;
}

struct raft_peer *raft__peer(const struct raft *raft, member_id id)
{
    for (size_t i = 0; i < raft->peer_count; i++) {
        if (raft->peers[i].id == id) {
            return &raft->peers[i];
        }
    }
    return NULL;
}

/* ---- how far one has come ------------------------------------------------ */

void raft__peer_set_state(struct raft_peer *peer, enum raft_peer_state state)
{
    peer->state = state;
    peer->paused = false;
    peer->nudged = false;
    peer->sent_head = peer->sent_count = peer->sent_bytes = 0;
    if (state != RAFT_PEER_SNAPSHOT) {
        peer->next = peer->match + 1;
    }
}

static void reset(const struct raft *raft, struct raft_peer *peer)
{
    peer->match = 0;
    raft__peer_set_state(peer, RAFT_PEER_PROBE);
    peer->next = raft->log.last + 1;
    peer->behind = false;
    peer->commit_sent = 0;
    peer->match_before = 0;
    peer->heard_ms = raft->now_ms;
    peer->heartbeat_due = false;
    peer->round = 0;
    peer->lease_ms = INT64_MIN;
}

void raft__peer_sent(const struct raft *raft, struct raft_peer *peer,
                     raft_index last, size_t bytes)
{
    size_t capacity = raft->config.inflight_messages_max;
    CHECK_EQ(peer->state, RAFT_PEER_REPLICATE);
    CHECK_LT(peer->sent_count, capacity);
    CHECK(last > peer->match);
    size_t at = (peer->sent_head + peer->sent_count) % capacity;
    peer->sent[at] = (struct raft_sent){.last = last, .bytes = bytes};
    peer->sent_count++;
    peer->sent_bytes += bytes;
}

void raft__peer_free_sent(const struct raft *raft, struct raft_peer *peer)
{
    while (peer->sent_count > 0) {
        const struct raft_sent *oldest = &peer->sent[peer->sent_head];
        if (oldest->last > peer->match) {
            break;
        }
        CHECK_LE(oldest->bytes, peer->sent_bytes);
        peer->sent_bytes -= oldest->bytes;
        peer->sent_count--;
        peer->sent_head =
            (peer->sent_head + 1) % raft->config.inflight_messages_max;
    }
    CHECK(peer->sent_count > 0 || peer->sent_bytes == 0);
}

bool raft__peer_window_open(const struct raft *raft,
                            const struct raft_peer *peer)
{
    return peer->sent_count < raft->config.inflight_messages_max &&
           peer->sent_bytes < raft->config.inflight_bytes_max;
}

void raft__peers_reset(struct raft *raft)
{
    for (size_t i = 0; i < raft->peer_count; i++) {
        CHECK(!raft->peers[i].leaving);
        reset(raft, &raft->peers[i]);
        check_peer(raft, &raft->peers[i]);
    }
}

/* ---- who they are -------------------------------------------------------- */

/* The last takes its place; the rings change theirs. */
static void drop(struct raft *raft, size_t at)
{
    CHECK_LT(at, raft->peer_count);
    struct raft_peer *peer = &raft->peers[at];
    struct raft_peer *last = &raft->peers[raft->peer_count - 1];
    struct raft_sent *ring = peer->sent;
    *peer = *last;
    *last = (struct raft_peer){.sent = ring};
    raft->peer_count--;
}

/* Of those that leave any may be told less than the others if there is no
 * room: they are a courtesy. */
static void make_room(struct raft *raft)
{
    for (size_t i = 0; i < raft->peer_count; i++) {
        if (raft->peers[i].leaving) {
            drop(raft, i);
            return;
        }
    }
    UNREACHABLE();
}

static struct raft_peer *find_or_add(struct raft *raft, member_id id)
{
    struct raft_peer *peer = raft__peer(raft, id);
    if (peer == NULL) {
        if (raft->peer_count == RAFT_PEERS_MAX) {
            make_room(raft);
        }
        peer = &raft->peers[raft->peer_count++];
        peer->id = id;
        reset(raft, peer);
    }
    if (!peer->is_wanted) {
        peer->is_wanted = true;
        peer->leaving = false;
        peer->voter_in = 0;
        peer->is_learner = false;
    }
    return peer;
}

static void want_voters(struct raft *raft, const member_id *ids, size_t count,
                        unsigned list)
{
    for (size_t i = 0; i < count; i++) {
        CHECK(ids[i] != 0);
        if (ids[i] == raft->id) {
            raft->self_in |= list;
        } else {
            find_or_add(raft, ids[i])->voter_in |= list;
        }
    }
}

static void want_learners(struct raft *raft, const struct raft_members *members)
{
    for (size_t i = 0; i < members->learner_count; i++) {
        if (members->learners[i] != raft->id) {
            struct raft_peer *peer = find_or_add(raft, members->learners[i]);
            CHECK_EQ(peer->voter_in, 0);
            peer->is_learner = true;
        }
    }
}

/* A leader still tells those that are no longer wanted that it is so. */
static void part_with(struct raft *raft, size_t at)
{
    struct raft_peer *peer = &raft->peers[at];
    if (raft->role != RAFT_LEADER) {
        drop(raft, at);
        return;
    }
    if (!peer->leaving) {
        peer->leaving = true;
        peer->leave_index = raft__members_index(raft);
        peer->leave_by_ms = INT64_MAX;
        peer->voter_in = 0;
        peer->is_learner = false;
    }
}

void raft__peers_renew(struct raft *raft)
{
    const struct raft_members *members = raft__members(raft);
    raft->self_in = 0;
    want_voters(raft, members->voters, members->voter_count, RAFT_IN_VOTERS);
    want_voters(raft, members->outgoing, members->outgoing_count,
                RAFT_IN_OUTGOING);
    want_learners(raft, members);
    for (size_t i = raft->peer_count; i-- > 0;) {
        struct raft_peer *peer = &raft->peers[i];
        if (!peer->is_wanted) {
            part_with(raft, i);
        } else {
            peer->is_wanted = false;
            check_peer(raft, peer);
        }
    }
}

void raft__peers_drop_left(struct raft *raft)
{
    for (size_t i = raft->peer_count; i-- > 0;) {
        const struct raft_peer *peer = &raft->peers[i];
        if (peer->leaving &&
            (raft->role != RAFT_LEADER || raft->now_ms >= peer->leave_by_ms ||
             (peer->match >= peer->leave_index &&
              peer->commit_sent >= peer->leave_index))) {
            drop(raft, i);
        }
    }
}
