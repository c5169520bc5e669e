/* A member in one thread, with the v3 services before it and clients that
 * speak to a call directly, without a wire: what they are told is kept, as
 * text that a test can read. A client may be slow: it takes nothing until the
 * test says so.
 *
 *   stage_say --> call->on_message --> rpc --> node     stage_turn: until
 *   hear      <-- via->send        <-- rpc <-- node     nothing is left to do
 */
#ifndef ETCHED_TESTS_RPC_WATCH_WORLD_H
#define ETCHED_TESTS_RPC_WATCH_WORLD_H

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "memory/disk_memory.h"
#include "memory/kv_memory.h"
#include "proto/election.pb-c.h"
#include "proto/lock.pb-c.h"
#include "proto/rpc.pb-c.h"
#include "rpc/watch_int.h"

#define STAGE_START_NS INT64_C(1767225600000000000)
#define SECOND_NS INT64_C(1000000000)

struct stage {
    struct node_config config; /* may be changed before stage_open */
    struct node_member member;
    struct api_shared shared;
    struct rpc_shared rpc_shared;

    struct clock clock;
    int64_t wall_ns;
    int64_t monotonic_ns;
    struct lock lock;
    int readers;
    bool writing;
    struct disk_memory *disk;
    struct kv *kv;

    struct node *node;
    struct rpc *rpc;
    struct list clients;
    struct queue_link *answers;
    struct queue_link *answers_end;
    struct mvcc_commit **commits;
    size_t commit_count;
    size_t commit_capacity;
    bool watching;
    bool idle_core;    /* node_run isn't called */
    bool hold_commits; /* nor are commits handed over */
    bool hold_answers; /* nor answers */
};

/* What the client of a call has heard. */
struct hearer {
    struct stage *stage;
    struct list link;
    struct call *call; /* NULL: it is over */
    const struct method *method;
    bool is_slow;
    bool was_high;
    size_t unsent;
    size_t consumed; /* of what it has said */
    size_t said;
    size_t messages;   /* heard, ever */
    size_t bytes;      /* of them, ever */
    size_t bytes_last; /* of the last one */
    struct buf text;   /* not looked at yet; a line each */
    bool is_over;
    enum grpc_code code;
    char reason[256];
};

/* cmocka set-up and tear-down: *state is an open stage. */
int stage_begin(void **state);
int stage_end(void **state);
/* The same in parts. */
void stage_init(struct stage *stage);
void stage_open(struct stage *stage);
void stage_close(struct stage *stage);
void stage_deinit(struct stage *stage);

void stage_turn(struct stage *stage);
/* The last of the answers that are held comes first. */
void stage_turn_round_answers(struct stage *stage);
/* Answers that are held say that the node has failed, instead. */
void stage_spoil_answers(struct stage *stage, enum err err);
void stage_wait(struct stage *stage, int64_t ns);
void stage_compact(struct stage *stage, revision at);
void stage_flush(struct stage *stage);
revision stage_revision(struct stage *stage);

/* A call: of a stream from the client `request` is NULL. */
struct hearer *stage_call(struct stage *stage, const char *path,
                          const void *request);
/* One message more of a stream. */
void stage_say(struct hearer *hearer, const void *message);
void stage_say_bytes(struct hearer *hearer, struct slice message);
void stage_half_close(struct hearer *hearer);
/* It cancels, and is freed. */
void stage_hang_up(struct hearer *hearer);
/* A slow one takes all that is there. */
void stage_take(struct hearer *hearer);

/* It has heard exactly these lines since the last time; '*' stands for any
 * run of characters within a line. "": nothing. */
void hear(struct hearer *hearer, const char *lines);
/* It is over, with this code and text. */
void hear_end(struct hearer *hearer, enum grpc_code code, const char *reason);
/* A whole call that ends at once: its lines. */
void ask_alone(struct stage *stage, const char *path, const void *request,
               const char *lines);
void ask_fails(struct stage *stage, const char *path, const void *request,
               enum grpc_code code, const char *reason);

/* Keys, without a look at the answers. */
void put(struct stage *stage, const char *key, const char *value);
void put_leased(struct stage *stage, const char *key, lease_id lease);
void put_large(struct stage *stage, const char *key, size_t bytes);
void del(struct stage *stage, const char *key);
void del_prefix(struct stage *stage, const char *prefix);
/* Puts keys prefix0, prefix1... in ONE revision. */
void put_many(struct stage *stage, const char *prefix, int count,
              size_t value_bytes);
void grant(struct stage *stage, lease_id lease, int64_t ttl_s);

ProtobufCBinaryData encoded_bytes_of(const char *text);

#endif
