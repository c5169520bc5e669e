/* Linearizable reads without the log (thesis 6.4): a leader that has committed
 * in its own term takes its commit index, makes sure by a round of heartbeats
 * that it still leads, and serves the read when that index is applied. All
 * reads that come before a round's first heartbeat leaves share the round.
 *
 * A follower asks its leader for such an index, for all its reads that wait at
 * once, and serves them itself. Each time it asks by a new key: an answer that
 * was under way for long, even since an earlier life of the follower, is taken
 * for nothing else.
 *
 * By the leader's lease (thesis 6.4.1), where that is configured, no round is
 * needed while a quorum has answered one that began less than an election
 * timeout ago, the drift of clocks deducted: until then nobody else can have
 * been elected. It ends for the term when the leader tells somebody to stand.
 */
#include "base/check.h"
#include "raft/raft_int.h"

void raft__reads_init(struct raft *raft)
{
    struct prng prng;
    CHECK(!raft->own_waits);
    prng_init(&prng, raft->config.seed ^
                         (uint64_t)raft->now_ms * UINT64_C(0x9e3779b97f4a7c15) ^
                         raft->hard.term * UINT64_C(0xd6e8feb86659fd93));
    raft->asked_next = prng_next(&prng);
}

/* ---- what is ready ------------------------------------------------------- */

static void give(struct raft *raft, uint64_t read, raft_index index)
{
    struct raft_update *update = raft->update;
    /* The last one's number is less: it is served with this one. */
    if (update->read_count == RAFT_READS_MAX) {
        update->read_count--;
    }
    CHECK_LT(update->read_count, RAFT_READS_MAX);
    raft->reads[update->read_count++] = (struct raft_read_ready){read, index};
    update->reads = raft->reads;
    if (raft->own_waits && read >= raft->own_read) {
        raft->own_waits = raft->own_due = false;
    }
}

static void give_to(struct raft *raft, const struct raft_waiting *waiting)
{
    CHECK_LE(waiting->index, raft->hard.commit);
    if (waiting->from == raft->id) {
        give(raft, waiting->read, waiting->index);
        return;
    }
    struct raft_message answer =
        raft__message(raft, RAFT_MESSAGE_READ_ANSWER, waiting->from);
    answer.index = waiting->index;
    answer.read = waiting->read;
    raft__send(raft, &answer);
}

/* ---- a leader ------------------------------------------------------------ */

static uint64_t lease_of(const struct raft_peer *peer)
{
    return peer->lease_ms < 0 ? 0 : (uint64_t)peer->lease_ms + 1;
}

static bool has_lease(const struct raft *raft)
{
    if (!raft->config.lease_reads || raft->lease_given_up) {
        return false;
    }
    uint64_t since = raft__quorum(raft, lease_of, (uint64_t)raft->now_ms + 1);
    return since > 0 && raft->now_ms < (int64_t)since - 1 + raft->lease_ms;
}

static bool is_confirmed(const struct raft *raft)
{
    return raft__is_alone(raft) || has_lease(raft) || PLANTED(STALE_READ);
}

/* The same member's read in the same round: the later one stands for both. */
static struct raft_waiting *find_waiting(struct raft *raft, member_id from)
{
    for (size_t i = raft->waiting_count; i-- > 0;) {
        size_t at = (raft->waiting_head + i) % RAFT_WAITING_MAX;
        struct raft_waiting *waiting = &raft->waiting[at];
        if (waiting->round != raft->round) {
            break;
        }
        if (waiting->from == from) {
            return waiting;
        }
    }
    return NULL;
}

/* False: there is no room. */
static bool wait_for_round(struct raft *raft, member_id from, uint64_t read)
{
    if (raft->round_left) {
        raft__heartbeat(raft);
    }
    struct raft_waiting *waiting = find_waiting(raft, from);
    if (waiting == NULL) {
        if (raft->waiting_count == RAFT_WAITING_MAX) {
            return false;
        }
        size_t at =
            (raft->waiting_head + raft->waiting_count) % RAFT_WAITING_MAX;
        raft->waiting_count++;
        waiting = &raft->waiting[at];
    }
    CHECK(!raft->round_left);
    *waiting = (struct raft_waiting){
        .from = from,
        .read = read,
        .index = raft->hard.commit,
        .round = raft->round,
    };
    return true;
}

static bool may_serve(const struct raft *raft)
{
    return raft->role == RAFT_LEADER && raft->hard.commit >= raft->term_start;
}

static uint64_t round_of(const struct raft_peer *peer)
{
    return peer->round;
}

void raft__reads_confirm(struct raft *raft)
{
    CHECK_EQ(raft->role, RAFT_LEADER);
    if (raft->waiting_count == 0) {
        return;
    }
    uint64_t round = raft__quorum(raft, round_of, raft->round);
    CHECK_LE(round, raft->round);
    while (raft->waiting_count > 0 &&
           raft->waiting[raft->waiting_head].round <= round) {
        give_to(raft, &raft->waiting[raft->waiting_head]);
        raft->waiting_head = (raft->waiting_head + 1) % RAFT_WAITING_MAX;
        raft->waiting_count--;
    }
}

void raft__reads_resume(struct raft *raft)
{
    CHECK(may_serve(raft));
    if (!raft->own_waits) {
        return;
    }
    if (is_confirmed(raft)) {
        give(raft, raft->own_read, raft->hard.commit);
    } else {
        CHECK_EQ(raft->waiting_count, 0);
        (void)wait_for_round(raft, raft->id, raft->own_read);
    }
}

void raft__on_read_message(struct raft *raft,
                           const struct raft_message *message)
{
    if (!may_serve(raft)) {
        return; /* it asks again */
    }
    if (is_confirmed(raft)) {
        struct raft_waiting at_once = {.from = message->from,
                                       .read = message->read,
                                       .index = raft->hard.commit};
        give_to(raft, &at_once);
    } else {
        (void)wait_for_round(raft, message->from, message->read);
    }
}

static enum err read_as_leader(struct raft *raft, uint64_t read)
{
    if (!may_serve(raft)) {
        return err_set(ERR_NO_LEADER, "no leader has committed in this term");
    }
    if (is_confirmed(raft)) {
        if (raft->update->read_count == RAFT_READS_MAX) {
            return err_set(ERR_FULL, "too many reads wait");
        }
        give(raft, read, raft->hard.commit);
        return ERR_OK;
    }
    if (!wait_for_round(raft, raft->id, read)) {
        return err_set(ERR_FULL, "too many reads wait");
    }
    raft->own_waits = true;
    raft->own_read = read;
    return ERR_OK;
}

/* ---- anybody else -------------------------------------------------------- */

enum err raft__on_read(struct raft *raft, uint64_t read)
{
    if (raft->role == RAFT_LEADER) {
        return read_as_leader(raft, read);
    }
    if (raft->leader == 0) {
        return err_set(ERR_NO_LEADER, "no leader is known");
    }
    CHECK(!raft->own_waits || raft->own_read <= read);
    raft->own_waits = raft->own_due = true;
    raft->own_read = read;
    return ERR_OK;
}

bool raft__next_read(struct raft *raft, struct raft_message *out)
{
    CHECK_EQ(raft->role, RAFT_FOLLOWER);
    if (!raft->own_due || raft->leader == 0) {
        return false;
    }
    uint64_t key = raft->asked_next++;
    raft->asked[key % RAFT_ASKED_MAX] = (struct raft_asked){
        .is_open = true, .key = key, .read = raft->own_read};
    raft->own_due = false;
    raft->own_asked_ms = raft->now_ms;
    *out = raft__message(raft, RAFT_MESSAGE_READ, raft->leader);
    out->read = key;
    return true;
}

void raft__on_read_answer(struct raft *raft, const struct raft_message *message)
{
    struct raft_asked *asked = &raft->asked[message->read % RAFT_ASKED_MAX];
    if (!asked->is_open || asked->key != message->read || !raft->own_waits) {
        return;
    }
    asked->is_open = false;
    CHECK_LE(asked->read, raft->own_read);
    give(raft, asked->read, message->index);
}
