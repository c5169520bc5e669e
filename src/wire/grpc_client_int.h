/* The client's side of gRPC, inside. Its files:
 *
 *   grpc_client.c          the owner's side: bytes, calls, their ends
 *   grpc_client_session.c  nghttp2's: options, callbacks, what comes and goes
 *
 * A call's life, and the function that moves it:
 *
 *   grpc_call_new -> OPEN
 *     client_call__end   trailers, a reset, a failure: told and freed
 *     end_calls          the connection is over: told and freed
 *     grpc_call_cancel   freed, not told
 *
 * A callback of its owner's may cancel the call it is called for: `calling`
 * keeps the memory until that callback has returned.
 *
 * nghttp2 knows a call by its stream's user data, which is NULL once the call
 * is gone; a request that waits in nghttp2's queue, by its id in `calls`.
 */
#ifndef ETCHED_WIRE_GRPC_CLIENT_INT_H
#define ETCHED_WIRE_GRPC_CLIENT_INT_H

#include <nghttp2/nghttp2.h>

#include "base/list.h"
#include "wire/grpc.h"
#include "wire/grpc_client.h"

enum {
    /* What may be on its way to us: of a call, and of all. A snapshot or a
     * large range comes as fast as the connection can. */
    GRPC_CLIENT_CALL_WINDOW_BYTES = 1024 * 1024,
    GRPC_CLIENT_WINDOW_BYTES = 8 * 1024 * 1024,
    /* Gathered from nghttp2 for one write. */
    GRPC_CLIENT_OUT_BYTES = 64 * 1024,
};

struct grpc_client {
    struct grpc_client_config config; /* its slices: copies of ours */
    nghttp2_session *session;
    struct list calls;
    size_t call_count;
    struct buf out;
    size_t out_at; /* bytes of it that are sent */
    bool busy;     /* a function of the owner's side is on the stack */
    bool away;     /* the peer said GOAWAY */
    bool over;     /* nothing more will come or go */
    uint64_t pongs;
    struct buf words; /* why it is over, or will be */
};

struct grpc_call {
    struct list link; /* of the client's calls */
    struct grpc_client *client;
    int32_t id;
    void (*on_message)(void *context, struct slice message);
    void (*on_end)(void *context, int code, struct slice message);
    void *context;

    struct buf out; /* what wasn't given to nghttp2 yet, from out_at on */
    size_t out_at;
    bool last;     /* and nothing behind it */
    bool all_sent; /* the half-close is on its way */

    struct grpc_reader reader;
    int http_status; /* 0: no head yet */
    bool is_grpc;    /* by its content-type */
    int code;        /* grpc-status; -1: none */
    struct buf text; /* grpc-message, decoded */

    bool calling; /* its owner's callback is on the stack */
    bool gone;    /* was cancelled meanwhile */
};

/* What nghttp2 has of a call that ends. */
enum call_stream {
    CALL_OPEN,
    CALL_ANSWERED, /* the peer has ended its side */
    CALL_CLOSED,   /* nothing */
};

/* ---- grpc_client.c ---- */

/* The call with that id, or NULL. */
struct grpc_call *client__find(struct grpc_client *client, int32_t id);
/* Tells the owner and frees the call; its stream is reset where need be. */
void client_call__end(struct grpc_call *call, int code, struct slice text,
                      enum call_stream stream);
/* A piece of its answer's body; may free the call. */
void client_call__take(struct grpc_call *call, struct slice piece);
/* The answer is complete: what was it? Frees the call. */
void client_call__finish(struct grpc_call *call);

/* ---- grpc_client_session.c ---- */

void client__open_session(struct grpc_client *client);
/* nghttp2's callback that takes a call's bytes. */
ssize_t client_call__read(nghttp2_session *session, int32_t id, uint8_t *room,
                          size_t size, uint32_t *flags,
                          nghttp2_data_source *source, void *user_data);

#endif
