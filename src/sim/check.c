/* The checkers: they look at one member after each of its steps, and know all
 * that any member ever said.
 *
 *   election safety       one leader a term; one vote a member and term, also
 *                         across restarts (paper 5.2)
 *   log matching          equal index and term: equal logs up to there (5.3)
 *   leader completeness   a new leader has all that was committed in terms
 *                         before its own (5.4)
 *   the commit rule       a leader commits entries of its own term (5.4.2),
 *                         durable on a quorum of both voter lists
 *   state machine safety  one entry an index is committed; one revision an
 *                         index; one commit a revision
 *   durability            what was said to be durable is there after a restart
 *   the store             key by key what the commits say; v3's leases are
 *                         those of the log; HashKV is one for each index
 */
#include "base/check.h"
#include "base/mem.h"
#include "proto/pb.h"
#include "sim/sim_int.h"

/* ---- the log ------------------------------------------------------------- */

static void make_room(struct sim_view *view, raft_index last)
{
    if (last < view->capacity)
        return;
    size_t capacity = view->capacity ? view->capacity : 256;
    while (capacity <= last)
        capacity *= 2;
    view->terms = mem_realloc(view->terms, capacity * sizeof *view->terms);
    view->chains = mem_realloc(view->chains, capacity * sizeof *view->chains);
    view->capacity = capacity;
}

/* A leader whose log begins behind a snapshot doesn't know what time it was:
 * its first entry may be of less. */
static bool runs_back(const struct raft_entry *before,
                      const struct raft_entry *entry)
{
    return before && before->time_ns > entry->time_ns &&
           entry->type != RAFT_ENTRY_EMPTY;
}

/* Takes over the part of the log that is new since the last look. */
static enum err look_at_log(struct sim_member *member,
                            const struct raft_status *status)
{
    const struct raft *raft = node_raft(member->node);
    struct sim_view *view = &member->view;
    struct ledger *ledger = &member->sim->ledger;
    raft_index at = view->last < status->last ? view->last : status->last;
    enum err err = ERR_OK;
    make_room(view, status->last);
    while (at >= status->first && at > 0 &&
           raft_entry_at(raft, at)->term != view->terms[at])
        at--;
    if (at < status->first) {
        /* Behind a snapshot, or what was flushed. */
        at = status->first - 1;
        if (at > ledger->commit)
            return err_set(ERR_CORRUPT, "its log begins behind the commit");
        view->chains[at] = ledger_chain(ledger, at);
        view->terms[at] = at ? ledger->places[at].term : 0;
    }
    for (at++; err == ERR_OK && at <= status->last; at++) {
        const struct raft_entry *entry = raft_entry_at(raft, at);
        CHECK(entry != NULL);
        CHECK_EQ(entry->index, at);
        view->terms[at] = entry->term;
        if (entry->term < view->terms[at - 1] ||
            runs_back(raft_entry_at(raft, at - 1), entry))
            return err_set(ERR_CORRUPT, "terms or times fall in its log");
        err =
            ledger_see(ledger, entry, view->chains[at - 1], &view->chains[at]);
    }
    view->last = status->last;
    return err;
}

/* True: this entry is durable there. */
static bool holds(const struct sim_member *member, raft_index index,
                  uint64_t chain)
{
    return member && member->view.durable >= index &&
           member->view.chains[index] == chain;
}

static bool is_quorum(struct sim *sim, const member_id *voters, size_t count,
                      raft_index index, uint64_t chain)
{
    size_t have = 0;
    for (size_t i = 0; i < count; i++)
        have += holds(sim__member_of(sim, voters[i]), index, chain);
    return count == 0 || have > count / 2;
}

static bool is_durable(struct sim *sim, const struct raft_members *members,
                       raft_index index, uint64_t chain)
{
    return is_quorum(sim, members->voters, members->voter_count, index,
                     chain) &&
           is_quorum(sim, members->outgoing, members->outgoing_count, index,
                     chain);
}

/* A leader has moved the commit: it may. It has counted by the membership at
 * the beginning of the step, or by one that came in it. */
static enum err check_rule(struct sim_member *member, raft_index commit)
{
    const struct raft_members *now = raft_members(node_raft(member->node));
    const struct sim_view *view = &member->view;
    uint64_t chain = view->chains[commit];
    if (view->terms[commit] != view->term)
        return err_set(ERR_CORRUPT, "a leader counts an entry of an old term");
    if (is_durable(member->sim, now, commit, chain) ||
        is_durable(member->sim, &view->members, commit, chain))
        return ERR_OK;
    return err_set(ERR_CORRUPT,
                   "index %llu is committed, and not durable on a quorum",
                   (unsigned long long)commit);
}

static enum err look_at_commit(struct sim_member *member,
                               const struct raft_status *status, bool led)
{
    struct sim *sim = member->sim;
    struct sim_view *view = &member->view;
    struct ledger *ledger = &sim->ledger;
    const struct raft *raft = node_raft(member->node);
    raft_index old = ledger->commit;
    enum err err = ERR_OK;
    if (status->commit < view->commit)
        return err_set(ERR_CORRUPT, "its commit goes back");
    if (status->commit > view->last)
        return err_set(ERR_CORRUPT, "its commit lies behind its log");
    if (led && status->commit > view->commit)
        err = check_rule(member, status->commit);
    for (raft_index at = view->commit + 1;
         err == ERR_OK && at <= status->commit; at++) {
        const struct raft_entry *entry = raft_entry_at(raft, at);
        if (entry == NULL && at <= old)
            continue;
        err = ledger_commit(ledger, at, status->term, view->chains[at], entry);
        if (at > old)
            sim__trace(sim, member->place, SIM_TRACE_COMMIT, at, entry->term,
                       entry->type);
    }
    view->commit = status->commit;
    if (status->role == RAFT_LEADER)
        view->members = *raft_members(raft);
    if (ledger->commit > old && ledger->members_index > old) {
        sim__count(sim, SIM_COUNT_CHANGES, 1);
        sim__trace(sim, member->place, SIM_TRACE_MEMBERSHIP,
                   ledger->members_index, ledger->members.voter_count,
                   ledger->members.outgoing_count);
    }
    return err;
}

/* ---- leaders ------------------------------------------------------------- */

static enum err look_at_role(struct sim_member *member,
                             const struct raft_status *status)
{
    struct sim *sim = member->sim;
    struct sim_view *view = &member->view;
    bool is_new = false;
    if (status->term < view->term)
        return err_set(ERR_CORRUPT, "its term goes back");
    if (status->role != view->role || status->term != view->term)
        sim__trace(sim, member->place, SIM_TRACE_ROLE, status->role,
                   status->term, status->last);
    view->term = status->term;
    view->role = status->role;
    if (status->role != RAFT_LEADER)
        return ERR_OK;
    enum err err = ledger_lead(&sim->ledger, status->term, member->id, &is_new);
    if (err || !is_new)
        return err;
    raft_index must = ledger_commit_before(&sim->ledger, status->term);
    if (must > view->last ||
        view->chains[must] != ledger_chain(&sim->ledger, must))
        return err_set(ERR_CORRUPT, "leads without the committed index %llu",
                       (unsigned long long)must);
    return ERR_OK;
}

static enum err note_vote(struct sim *sim, member_id voter, raft_term term,
                          member_id candidate)
{
    for (size_t i = sim->vote_count; i-- > 0;) {
        const struct sim_vote *vote = &sim->votes[i];
        if (vote->voter != voter || vote->term != term)
            continue;
        if (vote->candidate == candidate)
            return ERR_OK;
        return err_set(ERR_CORRUPT, "votes for two in term %llu",
                       (unsigned long long)term);
    }
    if (sim->vote_count == sim->vote_capacity) {
        sim->vote_capacity = sim->vote_capacity * 2 + 64;
        sim->votes =
            mem_realloc(sim->votes, sim->vote_capacity * sizeof *sim->votes);
    }
    sim->votes[sim->vote_count++] = (struct sim_vote){voter, term, candidate};
    return ERR_OK;
}

/* What a member acknowledges to a leader is durable. */
static enum err check_acknowledged(const struct sim_member *member,
                                   raft_index index)
{
    struct raft_status status;
    if (member->node == NULL)
        return ERR_OK;
    raft_status(node_raft(member->node), &status);
    if (index > status.persisted)
        return err_set(
            ERR_CORRUPT, "index %llu is acknowledged, and durable is %llu",
            (unsigned long long)index, (unsigned long long)status.persisted);
    return ERR_OK;
}

void sim__check_message(struct sim_member *member, struct slice bytes)
{
    /* node/'s envelope of a message of raft's, and the fields in it. */
    enum { ENVELOPE = 1 };
    enum { TYPE = 1, TO = 3, TERM, INDEX, REJECTED = 11, FIELDS };
    uint64_t fields[FIELDS] = {0};
    struct pb_reader reader;
    struct pb_field field;
    if (bytes.size == 0 || bytes.at[0] != ENVELOPE)
        return;
    pb_reader_init(&reader, slice_of(bytes.at + 1, bytes.size - 1));
    while (pb_next(&reader, &field) && field.number < FIELDS) {
        fields[field.number] = field.value;
        if (field.number == TYPE && (field.value == RAFT_MESSAGE_APPEND ||
                                     field.value == RAFT_MESSAGE_HEARTBEAT))
            return;
    }
    enum err err = ERR_OK;
    raft_term term = fields[TERM];
    if (fields[REJECTED])
        return;
    switch (fields[TYPE]) {
    case RAFT_MESSAGE_VOTE:
        err = note_vote(member->sim, member->id, term, member->id);
        break;
    case RAFT_MESSAGE_VOTE_ANSWER:
        err = note_vote(member->sim, member->id, term, fields[TO]);
        break;
    case RAFT_MESSAGE_APPEND_ANSWER:
        err = check_acknowledged(member, fields[INDEX]);
        break;
    default:
        return;
    }
    if (member->view.promised < term)
        member->view.promised = term;
    if (err)
        sim__fail_at(member, "what it says");
}

/* ---- after a restart ----------------------------------------------------- */

/* The log that was durable when the member ended, against the one that it has
 * found: where they part, something newer must have taken the place. */
static enum err check_durable(const struct sim_view *old,
                              const struct sim_view *now, raft_index first)
{
    raft_index at = old->durable < now->last ? old->durable : now->last;
    raft_index base = first - 1;
    if (old->durable <= base || old->durable == 0)
        return ERR_OK;
    while (at > base && now->chains[at] != old->chains[at])
        at--;
    if (at == old->durable)
        return ERR_OK;
    if (at == base && base > 0 && now->chains[base] != old->chains[base])
        return ERR_OK; /* a snapshot that replaced what wasn't committed */
    if (at < now->last && now->terms[at + 1] > old->terms[at + 1])
        return ERR_OK;
    return err_set(ERR_CORRUPT,
                   "index %llu was durable, and is gone: the log is right up "
                   "to %llu and ends at %llu",
                   (unsigned long long)old->durable, (unsigned long long)at,
                   (unsigned long long)now->last);
}

void sim__check_opened(struct sim_member *member)
{
    struct sim_view old = member->view;
    struct raft_status status;
    raft_status(node_raft(member->node), &status);
    member->view = (struct sim_view){.promised = old.promised};
    enum err err = look_at_log(member, &status);
    if (err == ERR_OK)
        err = check_durable(&old, &member->view, status.first);
    if (err == ERR_OK && status.term < old.promised)
        err = err_set(ERR_CORRUPT, "term %llu, and had acted in %llu",
                      (unsigned long long)status.term,
                      (unsigned long long)old.promised);
    mem_free(old.terms);
    mem_free(old.chains);
    sim__trace(member->sim, member->place, SIM_TRACE_STARTED, status.applied,
               status.term, status.last);
    if (err) {
        sim__fail_at(member, "after a restart");
        return;
    }
    sim__check_step(member);
    sim__check_store(member);
}

/* ---- a step -------------------------------------------------------------- */

static enum err look_at_store(struct sim_member *member)
{
    enum { HASH_EVERY = 64 };
    struct mvcc_status status;
    struct sim_view *view = &member->view;
    enum err err = ERR_OK;
    lock_read(&member->lock);
    mvcc_status(node_mvcc(member->node), &status);
    unlock_read(&member->lock);
    if (status.applied_index < view->applied || status.current < view->revision)
        return err_set(ERR_CORRUPT, "its store goes back");
    if (status.applied_index > view->commit)
        return err_set(ERR_CORRUPT, "it has applied what isn't committed");
    if (status.applied_index > view->applied)
        err = ledger_applied(&member->sim->ledger, status.applied_index,
                             status.current, status.time_ns);
    /* Now and then, at indexes where others stop too. */
    bool is_due = status.applied_index > view->applied &&
                  status.applied_index % HASH_EVERY == 0;
    view->applied = status.applied_index;
    view->revision = status.current;
    if (err == ERR_OK && is_due)
        sim__check_hash(member);
    return err;
}

void sim__check_step(struct sim_member *member)
{
    struct raft_status status;
    struct sim_view *view = &member->view;
    raft_status(node_raft(member->node), &status);
    bool led = view->role == RAFT_LEADER && status.role == RAFT_LEADER &&
               view->term == status.term;
    enum err err = look_at_log(member, &status);
    view->durable = status.persisted;
    if (err == ERR_OK)
        err = look_at_role(member, &status);
    if (err == ERR_OK)
        err = look_at_commit(member, &status, led);
    if (err == ERR_OK)
        err = look_at_store(member);
    if (err)
        sim__fail_at(member, "raft");
    else if (sim__chance(&member->sim->prng, 1000))
        sim__check_store(member);
}

void sim__check_broken(struct sim_member *member)
{
    struct raft_status status;
    raft_status(node_raft(member->node), &status);
    enum err err = look_at_log(member, &status);
    member->view.durable = status.persisted;
    if (err)
        sim__fail_at(member, "raft");
}

void sim__check_commits(struct sim_member *member,
                        struct mvcc_commit *const *commits, size_t count)
{
    struct sim *sim = member->sim;
    for (size_t i = 0; i < count && !sim->over; i++) {
        bool is_new = commits[i]->main > sim->ledger.revision;
        if (ledger_change(&sim->ledger, commits[i]))
            sim__fail_at(member, "state machine safety");
        else if (is_new)
            sim__note_commit(sim, commits[i]);
    }
}

/* ---- the whole store ----------------------------------------------------- */

static enum err check_record(struct sim_member *member,
                             const struct record *record, revision at)
{
    int64_t expire_ns = 0;
    const struct record *twin =
        ledger_get(&member->sim->ledger, record->table, record->key, at);
    if (twin == NULL)
        return err_set(ERR_CORRUPT, "%.*s lives, and should not",
                       (int)record->key.size, record->key.at);
    if (record->lease && lease_is_v2(record->lease) &&
        (!lease_get(node_leases(member->node), record->lease, &expire_ns) ||
         expire_ns != record->expire_ns))
        return err_set(ERR_CORRUPT, "%.*s: its lease is lost",
                       (int)record->key.size, record->key.at);
    return ledger_same_record(record, twin);
}

static enum err check_table(struct sim_member *member, enum mvcc_table table,
                            revision at, struct ledger_sum *sum)
{
    struct mvcc_walk walk;
    struct slice key;
    struct record record;
    struct rev rev;
    size_t keys = 0;
    enum err err = mvcc_walk_init(&walk, member->reader, table, SLICE(""),
                                  slice_of(NULL, 0), at);
    while (err == ERR_OK) {
        err = mvcc_walk_next(&walk, &key, &rev);
        if (err == ERR_OK)
            err = mvcc_get_rev(member->reader, rev, &record);
        if (err == ERR_OK)
            err = check_record(member, &record, at);
        keys += err == ERR_OK;
    }
    if (err != ERR_END)
        return err;
    ledger_count(&member->sim->ledger, table, at, sum);
    return keys == sum->keys ? ERR_OK
                             : err_set(ERR_CORRUPT, "%zu keys, should be %zu",
                                       keys, sum->keys);
}

/* v3's leases are those of the log, with all the time that they have left;
 * each has its keys. *there, *keys: so many, and with so many keys. */
static enum err check_leases(struct sim_member *member, raft_index applied,
                             size_t *there, size_t *keys)
{
    const struct lessor *lessor = &member->sim->ledger.lessor;
    const struct lease_table *table = node_leases(member->node);
    *there = *keys = 0;
    for (size_t i = 0; i < lessor->count; i++) {
        lease_id id = lessor->leases[i].id;
        struct lease_info info;
        const struct lessor_change *must = lessor_get(lessor, id, applied);
        bool has = lease_info(table, id, &info);
        if (has != (must != NULL))
            return err_set(ERR_CORRUPT, "lease %lld is %s, at index %llu",
                           (long long)id, has ? "there" : "not there",
                           (unsigned long long)applied);
        if (!has)
            continue;
        if (info.expire_ns != must->expire_ns ||
            info.granted_s != must->granted_s)
            return err_set(ERR_CORRUPT,
                           "lease %lld ends %lld ms later than it should, at "
                           "index %llu",
                           (long long)id,
                           (long long)(info.expire_ns - must->expire_ns) /
                               SIM_MS,
                           (unsigned long long)applied);
        (*there)++;
        *keys += info.keys;
    }
    return ERR_OK;
}

static enum err check_all_leases(struct sim_member *member, raft_index applied,
                                 const struct ledger_sum *sum)
{
    size_t count = lease_count(node_leases(member->node));
    size_t there;
    size_t keys;
    enum err err = check_leases(member, applied, &there, &keys);
    if (err)
        return err;
    if (count != there + sum->with_ttl)
        return err_set(ERR_CORRUPT, "%zu leases, should be %zu", count,
                       there + sum->with_ttl);
    return keys == sum->with_lease
               ? ERR_OK
               : err_set(ERR_CORRUPT, "leases have %zu keys, should have %zu",
                         keys, sum->with_lease);
}

void sim__check_store(struct sim_member *member)
{
    struct mvcc_status status;
    enum err err = ERR_OK;
    struct ledger_sum all = {0};
    /* Where its kv file will fail, it may be now. */
    if (member->sim->over || member->armed)
        return;
    sim__read_begin(member);
    mvcc_status(node_mvcc(member->node), &status);
    for (int i = 0; err == ERR_OK && i < MVCC_TABLE_COUNT; i++) {
        struct ledger_sum sum = {0};
        err = check_table(member, (enum mvcc_table)i, status.current, &sum);
        all.with_ttl += sum.with_ttl;
        all.with_lease += sum.with_lease;
    }
    if (err == ERR_OK)
        err = check_all_leases(member, status.applied_index, &all);
    sim__read_end(member);
    if (err)
        sim__fail_at(member, "the store");
}

static enum err hash(struct sim_member *member, raft_index *index,
                     uint32_t *out)
{
    enum { RECORDS = 1000 };
    struct mvcc_status status;
    struct txn_hash hash;
    enum v3_error error = V3_OK;
    sim__read_begin(member);
    mvcc_status(node_mvcc(member->node), &status);
    *index = status.applied_index;
    enum err err =
        txn_hash_begin(member->reader, 0, status.current, &hash, &error);
    while (err == ERR_OK && error == V3_OK && !hash.done)
        err = txn_hash_slice(&hash, member->reader, RECORDS);
    sim__read_end(member);
    *out = hash.crc;
    return err == ERR_OK && error
               ? err_set(ERR_CORRUPT, "no hash: error %d", (int)error)
               : err;
}

void sim__check_hash(struct sim_member *member)
{
    raft_index index;
    uint32_t crc;
    if (member->sim->over || member->armed)
        return;
    enum err err = hash(member, &index, &crc);
    if (err == ERR_OK && index > 0)
        err = ledger_hashed(&member->sim->ledger, index, crc);
    if (err)
        sim__fail_at(member, "HashKV");
}

void sim__check_free(struct sim *sim)
{
    mem_free(sim->votes);
}
