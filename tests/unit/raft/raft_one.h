/* One member, and a test that plays all the others: message by message. */
#ifndef ETCHED_TESTS_UNIT_RAFT_RAFT_ONE_H
#define ETCHED_TESTS_UNIT_RAFT_RAFT_ONE_H

#include "raft/raft.h"

enum { ONE_SENT_MAX = 512 };

struct raft_one {
    struct raft *raft;
    struct raft_config config;
    struct raft_update update;
    int64_t now_ms;
    /* What was pulled last, in order. Entries are valid until the next step. */
    struct raft_message sent[ONE_SENT_MAX];
    size_t sent_count;
};

/* As the house has it, with voters 1 to `voters` and `learners` more. */
struct raft_config one_config(member_id id, size_t voters, size_t learners);
/* Starts anew, with nothing on disk. */
void one_init(struct raft_one *one, const struct raft_config *config);
/* With what was on disk: entries of these terms, from index 1 on. */
void one_init_log(struct raft_one *one, const struct raft_config *config,
                  struct raft_hard_state hard, const raft_term *terms,
                  size_t count);
void one_deinit(struct raft_one *one);

enum err one_try(struct raft_one *one, struct raft_event event);
void one_step(struct raft_one *one, struct raft_event event);
void one_tick(struct raft_one *one, int64_t ms);
enum err one_propose(struct raft_one *one, const char *text);
enum err one_propose_members(struct raft_one *one,
                             const struct raft_members *members);
enum err one_read(struct raft_one *one, uint64_t read);

/* From another member to this one; term 0: this one's. */
void one_receive(struct raft_one *one, struct raft_message message);
void one_vote_answer(struct raft_one *one, member_id from, bool granted);
void one_pre_vote_answer(struct raft_one *one, member_id from, bool granted);
/* It has all up to `index`. */
void one_agree(struct raft_one *one, member_id from, raft_index index);
void one_heartbeat_answer(struct raft_one *one, member_id from, uint64_t round);
/* Entries behind `index` of those terms. */
void one_append(struct raft_one *one, member_id from, raft_term term,
                raft_index index, raft_term log_term, raft_index commit,
                const raft_term *terms, size_t count);

/* What the update asks for becomes durable; false: nothing was asked. */
bool one_persist(struct raft_one *one);
bool one_apply(struct raft_one *one);
/* Both, until there is nothing left. */
void one_settle(struct raft_one *one);

/* Pulls all that may leave now; returns how many. */
size_t one_pull(struct raft_one *one);
/* Of what was pulled last; NULL: none. */
const struct raft_message *one_sent(const struct raft_one *one,
                                    enum raft_message_type type, member_id to);
size_t one_count(const struct raft_one *one, enum raft_message_type type);

struct raft_status one_status(const struct raft_one *one);
/* Becomes leader of a new term by the votes of the others; its first entry is
 * durable here, nothing is pulled. */
void one_lead(struct raft_one *one);
/* Also: all others have all there is, and know that it is committed. */
void one_lead_in_step(struct raft_one *one);
void one_all_agree(struct raft_one *one);

#endif
