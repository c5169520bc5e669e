/* A member in one thread with v3's services before its node, and clients of
 * gRPC: real HTTP/2 on both sides, nghttp2's on the client's, whose bytes are
 * the test's to choose.
 *
 *   talk_send --> nghttp2 --> http2 --> rpc --> node     grpc_world_turn:
 *   talk->got <-- nghttp2 <-- http2 <-- rpc <-- node     until nothing is left
 */
#ifndef ETCHED_TESTS_RPC_GRPC_WORLD_H
#define ETCHED_TESTS_RPC_GRPC_WORLD_H

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <nghttp2/nghttp2.h>

#include "proto/pb.h"
#include "rpc/rpc_int.h"
#include "support/node_world.h"

struct grpc_world {
    struct world world; /* its node, and v2 beside it */
    struct rpc_shared shared;
    struct rpc *rpc;
    struct list lines;
    struct queue_link *answers; /* that the rpc has not been given yet */
    struct queue_link **answers_end;
    struct work *works; /* that nobody has begun */
    struct mvcc_commit *commits[256];
    size_t commit_count;
    void (*inner_commits)(void *context, struct mvcc_commit *const *commits,
                          size_t count); /* v2's */
    bool watching;
    bool holds_answers; /* they wait */
};

/* A connection. */
struct line {
    struct grpc_world *world;
    struct list link;
    struct http2 *http2;
    nghttp2_session *client;
    bool is_slow;      /* the client opens no windows by itself */
    bool is_over;      /* the server has closed it */
    struct list talks; /* calls that haven't been freed */
    size_t held_max;   /* the most that the server had to send at once */
};

/* A call, as the client sees it. */
struct talk {
    struct line *line;
    struct list link;
    int32_t id;
    struct buf upload;
    size_t upload_at;
    bool upload_ends;
    /* What came. */
    int status;      /* HTTP's */
    int code;        /* gRPC's; -1: not yet */
    struct buf text; /* grpc-message, as it came */
    struct buf head; /* "name: value\n" each, of head and trailers */
    struct buf got;  /* the body: messages that weren't taken yet */
    size_t windows;  /* bytes that the server lets it send yet */
    bool ended;
    uint32_t reset; /* the code of a RST_STREAM */
};

struct grpc_world *grpc_world_new(uint64_t seed);
/* `prepare` sees its node's world before that is opened. */
struct grpc_world *grpc_world_new_with(uint64_t seed,
                                       void (*prepare)(void *context,
                                                       struct world *world),
                                       void *context);
void grpc_world_free(struct grpc_world *world);
void grpc_world_turn(struct grpc_world *world);
/* Both clocks move, by ten milliseconds at once. */
void grpc_world_wait(struct grpc_world *world, int64_t ms);

struct line *line_open(struct grpc_world *world);
/* With the common name of a client's certificate, which outlives it; or the
 * process's own. */
struct line *line_open_as(struct grpc_world *world, struct slice certificate,
                          bool is_own);
void line_close(struct line *line);
/* A slow client takes up to so many bytes of all that was sent to it. */
void line_read(struct line *line, size_t max);

/* Begins a call. `headers`: "name: value\n" each, beside those of every call;
 * NULL: none. One of them that has a name of those replaces it. */
struct talk *talk_open(struct line *line, const char *path,
                       const char *headers);
/* Bytes of the body as they are; a message with its prefix. `last`: it ends. */
void talk_bytes(struct talk *talk, struct slice bytes, bool last);
void talk_send(struct talk *talk, struct slice message, bool last);
void talk_reset(struct talk *talk);
void talk_free(struct talk *talk);
/* The next message that has come, with its prefix's first byte; false: there
 * is none whole. Taken by talk_next. */
bool talk_message(struct talk *talk, bool *compressed, struct slice *message);
void talk_next(struct talk *talk);
/* "-" where there is none. */
struct slice talk_header(struct talk *talk, const char *name);

/* A whole unary call. */
struct talk *ask(struct line *line, const char *path, const char *headers,
                 struct slice message);
/* Fails the test if the call hasn't ended so. */
void expect_end(struct talk *talk, int code, const char *text);
/* And if this isn't its only message; gives it. */
struct slice expect_message(struct talk *talk);
/* The value of a message's field, 0 where it isn't there; and its bytes. */
uint64_t number_of(struct slice message, uint32_t field);
struct slice bytes_of(struct slice message, uint32_t field);
size_t count_of(struct slice message, uint32_t field);

/* Requests, in a buffer that the next one uses again. */
struct slice put_request(const char *key, const char *value);
struct slice range_request(const char *key, const char *end);
/* Puts a key and expects that it was done. */
void put_key(struct line *line, const char *key, const char *value);
struct slice request_of(const ProtobufCMessage *message);

#endif
