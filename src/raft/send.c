/* What may leave now. Appends, heartbeats, pre-votes and read indexes at once;
 * votes, requests for them and the answers to appends when the hard state and
 * the entries that they speak of are durable (paper fig. 2; thesis 10.2.1). */
#include "base/check.h"
#include "raft/raft_int.h"

struct raft_message raft__message(const struct raft *raft,
                                  enum raft_message_type type, member_id to)
{
    CHECK(to != 0 && to != raft->id);
    return (struct raft_message){
        .type = type,
        .from = raft->id,
        .to = to,
        .term = raft->hard.term,
    };
}

/* ---- queues -------------------------------------------------------------- */

static void push(struct raft_queue *queue, const struct raft_message *message,
                 uint64_t after)
{
    CHECK(message->entries == NULL && message->members == NULL);
    if (queue->count == RAFT_ANSWERS_MAX) {
        queue->head = (queue->head + 1) % RAFT_ANSWERS_MAX;
        queue->count--;
    }
    size_t at = (queue->head + queue->count) % RAFT_ANSWERS_MAX;
    queue->ring[at].message = *message;
    queue->ring[at].after = after;
    queue->count++;
    CHECK_LE(queue->count, RAFT_ANSWERS_MAX);
}

static bool pop(struct raft_queue *queue, uint64_t durable,
                struct raft_message *out)
{
    const struct raft_queued *first = &queue->ring[queue->head];
    if (queue->count == 0 || first->after > durable) {
        return false;
    }
    *out = first->message;
    queue->head = (queue->head + 1) % RAFT_ANSWERS_MAX;
    queue->count--;
    return true;
}

/* What was promised in a term that is over before it was durable is on no
 * disk and of no use. */
static bool pop_held(struct raft *raft, struct raft_message *out)
{
    while (pop(&raft->held, raft->hard_durable, out)) {
        CHECK_LE(out->term, raft->hard.term);
        if (out->rejected || out->term == raft->hard.term) {
            return true;
        }
    }
    return false;
}

void raft__send(struct raft *raft, const struct raft_message *message)
{
    push(&raft->ready, message, 0);
}

void raft__send_durable(struct raft *raft, const struct raft_message *message)
{
    push(&raft->held, message, raft->hard_made);
}

/* ---- requests for votes -------------------------------------------------- */

static void make_request(const struct raft *raft, const struct raft_peer *peer,
                         struct raft_message *out)
{
    if (raft->role == RAFT_PRE_CANDIDATE) {
        *out = raft__message(raft, RAFT_MESSAGE_PRE_VOTE, peer->id);
        out->term = raft->hard.term + 1;
    } else {
        *out = raft__message(raft, RAFT_MESSAGE_VOTE, peer->id);
        out->forced = raft->vote_forced;
        CHECK_EQ(raft->hard.vote, raft->id);
    }
    out->index = raft->log.last;
    out->log_term = raft_log__last_term(&raft->log);
}

static bool next_request(struct raft *raft, struct raft_message *out)
{
    if (raft->role == RAFT_CANDIDATE && raft->hard_durable < raft->vote_after &&
        !PLANTED(VOTE_NOT_PERSISTED)) {
        return false;
    }
    for (size_t i = 0; i < raft->peer_count; i++) {
        struct raft_peer *peer = &raft->peers[i];
        if (peer->vote_due) {
            CHECK(peer->voter_in != 0);
            peer->vote_due = false;
            make_request(raft, peer, out);
            return true;
        }
    }
    return false;
}

bool raft_next_message(struct raft *raft, struct raft_message *out)
{
    CHECK(raft->started);
    CHECK(raft->update == NULL);
    if (pop(&raft->ready, 0, out) || pop_held(raft, out)) {
        return true;
    }
    switch (raft->role) {
    case RAFT_FOLLOWER:
        return raft__next_answer(raft, out) || raft__next_read(raft, out);
    case RAFT_PRE_CANDIDATE:
    case RAFT_CANDIDATE:
        return next_request(raft, out);
    case RAFT_LEADER:
        return raft__next_to_peer(raft, out);
    }
    UNREACHABLE();
}
