/* Members of a cluster in memory, each with v3's services before its node, and
 * the gateway's requests brought to them without a wire: an exchange is the
 * test's own.
 *
 *   gate_post --> rpc_gateway --> node ---.
 *                    |  ^                 |  node_cluster's network
 *   ask->body <------'  '--- answers <----'
 *
 * Workers' work is done when the test lets time go on.
 */
#ifndef ETCHED_TESTS_RPC_GATES_H
#define ETCHED_TESTS_RPC_GATES_H

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/list.h"
#include "rpc/rpc.h"
#include "support/node_cluster.h"

struct gates;

/* What a snapshot gives instead of a database. */
struct gate_file {
    uint64_t bytes;      /* of which the test's pattern is made */
    uint64_t short_by;   /* so many of them are missing */
    enum err open_err;   /* what opening says */
    unsigned open_count; /* now */
    uint64_t at;
    size_t reads;
};
char gate_file_byte(uint64_t at);

struct gate {
    struct gates *gates;
    size_t number;
    struct api_shared api;
    struct rpc_shared shared;
    struct rpc *rpc;
    struct node_config inner; /* whose callbacks the node's go on to */
    struct queue_link *answers;
    struct queue_link **answers_end;
    struct queue_link *works; /* not begun */
    struct queue_link **works_end;
    struct queue_link *worked; /* done, not told */
    struct queue_link **worked_end;
    struct mvcc_commit *commits[64];
    size_t commit_count;
    bool watching;
    bool holds_works; /* they wait */
    struct gate_file file;
    unsigned defragmented;
};

struct gates {
    struct node_cluster nodes;
    struct gate gates[CLUSTER_MAX];
};

/* One request and its answer. */
struct ask {
    struct http_exchange exchange; /* first */
    struct arena arena;
    struct http_header headers[8];
    char text[512]; /* of the headers */
    int status;     /* 0: nothing yet */
    struct buf answer_headers;
    struct buf body;
    size_t unsent; /* as the test has it */
    bool begun;
    bool ended;
};

/* `count` members that are up and have a leader, and `more` that aren't. */
struct gates *gates_new(size_t count, size_t more);
void gates_free(struct gates *gates);
/* Brings up one of those that weren't. */
void gates_open(struct gates *gates, size_t number);
/* Time goes on, by a millisecond at once. */
void gates_run(struct gates *gates, int64_t ms);
/* By its own clock. */
int64_t gate_now_ms(const struct gate *gate);
size_t gates_leader(struct gates *gates);
size_t gates_follower(struct gates *gates);

/* Asks; headers are NULL or lines "Name: value\n". The ask is the test's. */
struct ask *gate_ask(struct gates *gates, size_t number,
                     enum http_method method, const char *path,
                     const char *headers, const char *body);
struct ask *gate_post(struct gates *gates, size_t number, const char *path,
                      const char *body);
/* Where it has not ended, its client goes away. */
void ask_free(struct ask *ask);
/* Posts, waits for the whole answer and expects this status and this body; in
 * it '*' stands for any run of characters. */
void gate_story(struct gates *gates, size_t number, const char *path,
                const char *body, int status, const char *expected);
/* The body so far is this. */
void ask_expect(struct ask *ask, int status, const char *expected);
/* A 64-bit number behind "name":" in the last answer of gate_story. */
uint64_t gate_number(const char *name);
/* The reply of the last gate_story. */
struct slice gate_last(void);

#endif
