#include "unit/raft/raft_one.h"

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

/* ---- life ---------------------------------------------------------------- */

struct raft_config one_config(member_id id, size_t voters, size_t learners)
{
    struct raft_config config;
    raft_config_init(&config);
    config.id = id;
    config.seed = 11 * id;
    config.log_entries_max = 64;
    for (size_t i = 0; i < voters; i++) {
        config.members.voters[i] = i + 1;
    }
    config.members.voter_count = voters;
    for (size_t i = 0; i < learners; i++) {
        config.members.learners[i] = voters + i + 1;
    }
    config.members.learner_count = learners;
    return config;
}

void one_init_log(struct raft_one *one, const struct raft_config *config,
                  struct raft_hard_state hard, const raft_term *terms,
                  size_t count)
{
    memset(one, 0, sizeof(*one));
    one->config = *config;
    one->now_ms = 10000;
    one->raft = raft_new(config, &hard, 0, 0);
    for (size_t i = 0; i < count; i++) {
        struct raft_entry entry = {.index = i + 1,
                                   .term = terms[i],
                                   .type = RAFT_ENTRY_COMMAND,
                                   .data = refbuf_dup("d", 1)};
        assert_int_equal(raft_restore_entry(one->raft, &entry), ERR_OK);
    }
    raft_restore_done(one->raft);
    raft_update_init(&one->update);
    one_tick(one, 0);
}

void one_init(struct raft_one *one, const struct raft_config *config)
{
    one_init_log(one, config, (struct raft_hard_state){0}, NULL, 0);
}

void one_deinit(struct raft_one *one)
{
    raft_free(one->raft);
    one->raft = NULL;
}

/* ---- events -------------------------------------------------------------- */

enum err one_try(struct raft_one *one, struct raft_event event)
{
    event.now_ms = one->now_ms;
    return raft_step(one->raft, &event, &one->update);
}

void one_step(struct raft_one *one, struct raft_event event)
{
    assert_int_equal(one_try(one, event), ERR_OK);
}

void one_tick(struct raft_one *one, int64_t ms)
{
    one->now_ms += ms;
    one_step(one, (struct raft_event){.type = RAFT_TICK});
}

static enum err propose(struct raft_one *one, enum raft_entry_type type,
                        struct refbuf *data)
{
    struct raft_entry entry = {
        .type = type, .time_ns = one->now_ms * 1000000, .data = data};
    enum err err =
        one_try(one, (struct raft_event){
                         .type = RAFT_PROPOSE, .entries = &entry, .count = 1});
    if (err != ERR_OK) {
        refbuf_unref(data);
    }
    return err;
}

enum err one_propose(struct raft_one *one, const char *text)
{
    return propose(one, RAFT_ENTRY_COMMAND, refbuf_dup(text, strlen(text)));
}

enum err one_propose_members(struct raft_one *one,
                             const struct raft_members *members)
{
    struct buf bytes = {0};
    raft_members_encode(members, &bytes);
    struct refbuf *data = refbuf_dup(bytes.at, bytes.size);
    buf_deinit(&bytes);
    return propose(one, RAFT_ENTRY_CHANGE, data);
}

enum err one_read(struct raft_one *one, uint64_t read)
{
    return one_try(one, (struct raft_event){.type = RAFT_READ, .read = read});
}

/* ---- the others ---------------------------------------------------------- */

void one_receive(struct raft_one *one, struct raft_message message)
{
    message.to = one->config.id;
    if (message.term == 0) {
        message.term = one_status(one).term;
    }
    one_step(one,
             (struct raft_event){.type = RAFT_RECEIVE, .message = &message});
}

void one_vote_answer(struct raft_one *one, member_id from, bool granted)
{
    one_receive(one, (struct raft_message){.type = RAFT_MESSAGE_VOTE_ANSWER,
                                           .from = from,
                                           .rejected = !granted});
}

void one_pre_vote_answer(struct raft_one *one, member_id from, bool granted)
{
    raft_term term = one_status(one).term;
    one_receive(one, (struct raft_message){.type = RAFT_MESSAGE_PRE_VOTE_ANSWER,
                                           .from = from,
                                           .term = granted ? term + 1 : term,
                                           .rejected = !granted});
}

void one_agree(struct raft_one *one, member_id from, raft_index index)
{
    one_receive(one, (struct raft_message){.type = RAFT_MESSAGE_APPEND_ANSWER,
                                           .from = from,
                                           .index = index});
}

void one_heartbeat_answer(struct raft_one *one, member_id from, uint64_t round)
{
    one_receive(one,
                (struct raft_message){.type = RAFT_MESSAGE_HEARTBEAT_ANSWER,
                                      .from = from,
                                      .read = round});
}

void one_append(struct raft_one *one, member_id from, raft_term term,
                raft_index index, raft_term log_term, raft_index commit,
                const raft_term *terms, size_t count)
{
    struct raft_entry entries[64];
    assert_true(count <= 64);
    for (size_t i = 0; i < count; i++) {
        entries[i] = (struct raft_entry){.index = index + i + 1,
                                         .term = terms[i],
                                         .type = RAFT_ENTRY_COMMAND,
                                         .data = refbuf_dup("r", 1)};
    }
    one_receive(one, (struct raft_message){.type = RAFT_MESSAGE_APPEND,
                                           .from = from,
                                           .term = term,
                                           .index = index,
                                           .log_term = log_term,
                                           .commit = commit,
                                           .entries = entries,
                                           .count = count});
    for (size_t i = 0; i < count; i++) {
        refbuf_unref(entries[i].data);
    }
}

/* ---- the caller's duty --------------------------------------------------- */

bool one_persist(struct raft_one *one)
{
    struct raft_update *update = &one->update;
    struct raft_event event = {.type = RAFT_PERSISTED,
                               .index = update->persist_to,
                               .term = update->hard_state.term};
    if (!update->hard_state_changed && update->persist_from == 0) {
        return false;
    }
    for (raft_index i = update->persist_from; i != 0 && i <= update->persist_to;
         i++) {
        assert_non_null(raft_entry_at(one->raft, i));
    }
    update->hard_state_changed = false;
    update->persist_from = update->persist_to = 0;
    one_step(one, event);
    return true;
}

bool one_apply(struct raft_one *one)
{
    raft_index to = one->update.apply_to;
    if (one->update.apply_from == 0) {
        return false;
    }
    one->update.apply_from = one->update.apply_to = 0;
    one_step(one, (struct raft_event){.type = RAFT_APPLIED, .index = to});
    return true;
}

void one_settle(struct raft_one *one)
{
    while (one_persist(one) || one_apply(one)) {
    }
}

/* ---- what leaves --------------------------------------------------------- */

size_t one_pull(struct raft_one *one)
{
    struct raft_message message;
    one->sent_count = 0;
    while (raft_next_message(one->raft, &message)) {
        assert_true(one->sent_count < ONE_SENT_MAX);
        assert_int_equal(message.from, one->config.id);
        one->sent[one->sent_count++] = message;
    }
    return one->sent_count;
}

const struct raft_message *one_sent(const struct raft_one *one,
                                    enum raft_message_type type, member_id to)
{
    for (size_t i = 0; i < one->sent_count; i++) {
        if (one->sent[i].type == type && one->sent[i].to == to) {
            return &one->sent[i];
        }
    }
    return NULL;
}

size_t one_count(const struct raft_one *one, enum raft_message_type type)
{
    size_t count = 0;
    for (size_t i = 0; i < one->sent_count; i++) {
        count += one->sent[i].type == type;
    }
    return count;
}

struct raft_status one_status(const struct raft_one *one)
{
    struct raft_status status;
    raft_status(one->raft, &status);
    return status;
}

/* ---- leading ------------------------------------------------------------- */

void one_lead(struct raft_one *one)
{
    const struct raft_members *members = raft_members(one->raft);
    if (one->config.lease_reads) {
        /* Before it may not: it could have promised a lease. */
        one->now_ms += one->config.election_ms;
    }
    one_step(one, (struct raft_event){.type = RAFT_CAMPAIGN});
    for (int round = 0; round < 2; round++) {
        for (size_t i = 0; i < members->voter_count; i++) {
            if (members->voters[i] == one->config.id) {
                continue;
            }
            if (one_status(one).role == RAFT_PRE_CANDIDATE) {
                one_pre_vote_answer(one, members->voters[i], true);
            } else if (one_status(one).role == RAFT_CANDIDATE) {
                one_vote_answer(one, members->voters[i], true);
            }
        }
        one_settle(one);
    }
    assert_int_equal(one_status(one).role, RAFT_LEADER);
}

static void agree_all(struct raft_one *one, const member_id *ids, size_t count)
{
    raft_index last = one_status(one).last;
    for (size_t i = 0; i < count; i++) {
        if (ids[i] != one->config.id) {
            one_agree(one, ids[i], last);
        }
    }
}

void one_all_agree(struct raft_one *one)
{
    const struct raft_members *members = raft_members(one->raft);
    agree_all(one, members->voters, members->voter_count);
    agree_all(one, members->outgoing, members->outgoing_count);
    agree_all(one, members->learners, members->learner_count);
    one_settle(one);
}

void one_lead_in_step(struct raft_one *one)
{
    one_lead(one);
    one_pull(one);
    one_all_agree(one);
    one_pull(one);
}
