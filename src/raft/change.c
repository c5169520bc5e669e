/* The membership, as the log has it (thesis 4.1 to 4.3). The newest in the log
 * counts, committed or not; one that is cut off again counts no more. Kept are
 * the one that counts and the newest that is committed. Those between, which
 * only a follower that hears late of the commits has, are read from the log
 * when they are needed: what isn't committed is always in there. */
#include "base/check.h"
#include "raft/raft_int.h"

const struct raft_members *raft__members(const struct raft *raft)
{
    return &raft->newest.members;
}

raft_index raft__members_index(const struct raft *raft)
{
    return raft->newest.index;
}

bool raft__change_pending(const struct raft *raft)
{
    return raft->newest.index > raft->hard.commit;
}

void raft__changes_reset(struct raft *raft, raft_index index,
                         const struct raft_members *members)
{
    raft->committed.index = index;
    raft->committed.members = *members;
    raft->newest = raft->committed;
    raft->pending_count = 0;
    raft->stands = raft_members_votes(members, raft->id);
}

/* ---- in and out of the log ----------------------------------------------- */

static enum err read_members(const struct raft_entry *entry,
                             struct raft_members *out)
{
    CHECK_EQ(entry->type, RAFT_ENTRY_CHANGE);
    if (entry->data == NULL) {
        return err_set(ERR_CORRUPT, "a change without a membership");
    }
    struct slice bytes = slice_of(entry->data->bytes, entry->data->size);
    enum err err = raft_members_decode(bytes, out, NULL);
    if (err == ERR_OK && out->voter_count == 0) {
        err = err_set(ERR_CORRUPT, "a membership without voters");
    }
    return err;
}

enum err raft__changes_check_entry(const struct raft_entry *entry)
{
    struct raft_members members;
    return entry->type == RAFT_ENTRY_CHANGE ? read_members(entry, &members)
                                            : ERR_OK;
}

/* Its membership becomes the newest. */
static void take(struct raft *raft, const struct raft_entry *entry)
{
    enum err err = read_members(entry, &raft->newest.members);
    CHECK_EQ(err, ERR_OK); /* it was looked at when it came */
    CHECK(entry->index > raft->newest.index);
    raft->newest.index = entry->index;
    raft->pending_count++;
    raft->stands =
        raft->stands || raft_members_votes(&raft->newest.members, raft->id);
}

void raft__changes_add(struct raft *raft, const struct raft_entry *entry)
{
    CHECK_EQ(entry->index, raft->log.last);
    take(raft, entry);
}

/* All that follow the committed one, from the log. */
static void read_pending(struct raft *raft)
{
    raft_index from = raft->committed.index > raft->log.base_index
                          ? raft->committed.index
                          : raft->log.base_index;
    raft->newest = raft->committed;
    raft->pending_count = 0;
    raft->stands = raft_members_votes(&raft->committed.members, raft->id);
    for (raft_index i = from + 1; i <= raft->log.last; i++) {
        const struct raft_entry *entry = raft_log__at(&raft->log, i);
        CHECK(entry != NULL);
        if (entry->type == RAFT_ENTRY_CHANGE) {
            take(raft, entry);
        }
    }
}

bool raft__changes_cut(struct raft *raft)
{
    CHECK_LE(raft->committed.index, raft->log.last);
    if (raft->newest.index <= raft->log.last) {
        return false;
    }
    read_pending(raft);
    return true;
}

/* Some of several may be committed now; with one it is all or nothing. */
static void commit_some(struct raft *raft, raft_index before)
{
    const struct raft_entry *last = NULL;
    CHECK(before >= raft->log.base_index);
    for (raft_index i = before + 1; i <= raft->hard.commit; i++) {
        const struct raft_entry *entry = raft_log__at(&raft->log, i);
        CHECK(entry != NULL);
        last = entry->type == RAFT_ENTRY_CHANGE ? entry : last;
    }
    if (last != NULL) {
        enum err err = read_members(last, &raft->committed.members);
        CHECK_EQ(err, ERR_OK);
        raft->committed.index = last->index;
        read_pending(raft);
    }
}

void raft__changes_commit(struct raft *raft, raft_index before)
{
    CHECK_LE(before, raft->hard.commit);
    if (raft->pending_count == 0) {
        return;
    }
    if (raft->newest.index <= raft->hard.commit) {
        raft->committed = raft->newest;
        raft->pending_count = 0;
        raft->stands = raft_members_votes(&raft->newest.members, raft->id);
    } else if (raft->pending_count > 1) {
        commit_some(raft, before);
    }
    CHECK_LE(raft->committed.index, raft->hard.commit);
}

/* ---- one step from what is ----------------------------------------------- */

static bool same_list(const member_id *a, size_t a_count, const member_id *b,
                      size_t b_count)
{
    return a_count == b_count && memcmp(a, b, a_count * sizeof(*a)) == 0;
}

static bool same_members(const struct raft_members *a,
                         const struct raft_members *b)
{
    return same_list(a->voters, a->voter_count, b->voters, b->voter_count) &&
           same_list(a->outgoing, a->outgoing_count, b->outgoing,
                     b->outgoing_count) &&
           same_list(a->learners, a->learner_count, b->learners,
                     b->learner_count) &&
           same_list(a->learners_next, a->learner_next_count, b->learners_next,
                     b->learner_next_count);
}

/* How many are in one of two sorted lists only. */
static size_t differences(const struct raft_members *a,
                          const struct raft_members *b)
{
    size_t i = 0;
    size_t j = 0;
    size_t both = 0;
    while (i < a->voter_count && j < b->voter_count) {
        member_id left = a->voters[i];
        member_id right = b->voters[j];
        both += left == right;
        i += left <= right;
        j += right <= left;
    }
    CHECK(both <= a->voter_count && both <= b->voter_count);
    return a->voter_count + b->voter_count - 2 * both;
}

/* Any majority of the one membership and any of the other must have a member
 * in common: so it is with one voter more or less (thesis 4.1), into joint
 * consensus and out of it (thesis 4.3). */
static bool is_one_step(const struct raft_members *now,
                        const struct raft_members *next)
{
    if (now->outgoing_count > 0) {
        struct raft_members end;
        raft_members_leave_joint(now, &end);
        return same_members(&end, next);
    }
    if (next->outgoing_count > 0) {
        return same_list(next->outgoing, next->outgoing_count, now->voters,
                         now->voter_count);
    }
    return differences(now, next) <= 1;
}

/* One at a time (thesis 4.1), and none before this term has committed
 * something: else two that don't know of each other could be under way
 * (Ongaro's note of 2015 on single-server changes). */
static enum err check_change(const struct raft *raft,
                             const struct raft_entry *entry)
{
    struct raft_members next;
    if (raft__change_pending(raft) || raft->hard.commit < raft->term_start) {
        return err_set(ERR_BUSY, "another change of membership is under way");
    }
    if (read_members(entry, &next) != ERR_OK ||
        !is_one_step(raft__members(raft), &next)) {
        return err_set(ERR_INVALID,
                       "the membership isn't one step from what it is");
    }
    CHECK_EQ(raft->pending_count, 0);
    return ERR_OK;
}

enum err raft__changes_check(const struct raft *raft,
                             const struct raft_entry *entries, size_t count)
{
    size_t changes = 0;
    enum err err = ERR_OK;
    CHECK_EQ(raft->role, RAFT_LEADER);
    for (size_t i = 0; i < count && err == ERR_OK; i++) {
        if (entries[i].type == RAFT_ENTRY_CHANGE) {
            err = ++changes > 1 ? err_set(ERR_BUSY, "two changes at once")
                                : check_change(raft, &entries[i]);
        }
    }
    return err;
}
