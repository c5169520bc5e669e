/* A runner in a test's hand: what it asks of its doors is noted, and answered
 * as the test says, when it says so, in any order. There is no store behind
 * it; where one is wanted there is runner_world.h. */
#ifndef RUNNER_HAND_H
#define RUNNER_HAND_H

#include "runner/runner_core.h"

struct hand_call {
    uint64_t id;
    enum runner_method method;
    struct buf request;
    bool is_answered;
};

enum hand_ask_kind { HAND_CREATE, HAND_CANCEL, HAND_PROGRESS };
struct hand_ask { /* on the watch stream */
    enum hand_ask_kind kind;
    int64_t id;
    int64_t start;
    char key[128];
    char end[128];
    bool wants_prev;
    bool wants_progress;
    bool may_fragment;
};

struct hand {
    struct runner *runner;
    struct runner_now now;
    struct hand_call *calls;
    size_t call_count;
    struct hand_ask *asks;
    size_t ask_count;
    uint64_t last_act;
    size_t acts;
};

struct hand *hand_new(bool is_etched);
void hand_free(struct hand *hand);
/* Time passes, and a round is done. */
int64_t hand_run(struct hand *hand, int64_t ns);

/* The oldest call that isn't answered and has this text in its request; NULL:
 * there is none. */
struct hand_call *hand_find(struct hand *hand, enum runner_method method,
                            const char *text);
size_t hand_count(const struct hand *hand, enum runner_method method,
                  const char *text); /* those that aren't answered */
void hand_answer(struct hand *hand, struct hand_call *call,
                 const struct buf *message);
void hand_refuse(struct hand *hand, struct hand_call *call, int code);
void hand_answer_txn(struct hand *hand, struct hand_call *call, bool succeeded,
                     int64_t revision);
/* Answers what is read of def/, status/, owner/ and worker/ with nothing. */
void hand_answer_defs(struct hand *hand, int64_t revision);
/* The worker gets this lease. */
void hand_grant(struct hand *hand, int64_t lease, int64_t ttl_s,
                int64_t revision);

/* Parts of messages. */
void hand_header(struct buf *out, int64_t revision);
struct hand_kv {
    const char *key;
    const char *value; /* NULL: deleted */
    int64_t create;
    int64_t mod;
    int64_t version;
};
void hand_kv(struct buf *out, uint32_t number, const struct hand_kv *kv);
/* WatchResponses: to this id, of these events. */
void hand_tell_created(struct hand *hand, int64_t id);
void hand_tell(struct hand *hand, int64_t id, const struct hand_kv *kvs,
               size_t count, bool is_fragment);
void hand_tell_canceled(struct hand *hand, int64_t id, int64_t compacted);
void hand_tell_progress(struct hand *hand, int64_t id, int64_t revision);
/* The newest creation of a watch on this key; 0: there is none. */
int64_t hand_watch_of(const struct hand *hand, const char *key);
const struct hand_ask *hand_last_ask(const struct hand *hand);

#endif
