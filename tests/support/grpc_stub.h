/* One connection's server side of gRPC over wire/http2.h, make-believe: it
 * takes every call, keeps what comes, and answers as the test says. Without a
 * socket: the test moves the bytes. */
#ifndef ETCHED_TESTS_SUPPORT_GRPC_STUB_H
#define ETCHED_TESTS_SUPPORT_GRPC_STUB_H

#include "base/bytes.h"
#include "wire/http2.h"

enum { GRPC_STUB_CALLS_MAX = 256 };

struct grpc_stub;

struct grpc_stub_call {
    struct grpc_stub *stub;
    struct http_exchange *exchange; /* NULL: over */
    struct buf head;                /* "path\n" and "name: value\n" each */
    struct buf body;                /* frames and all, as it came */
    size_t unconsumed;
    bool ended; /* the client's side */
    bool gone;  /* broken off by the client, or with the connection */
    bool begun;
    size_t taken; /* of the body, by grpc_stub_next */
};

struct grpc_stub {
    struct http_server server; /* first */
    struct http2_streaming streaming;
    struct http2_config config;
    struct http2 *http2;
    struct slice date;
    struct grpc_stub_call calls[GRPC_STUB_CALLS_MAX]; /* in their order */
    size_t count;
    bool holds; /* doesn't open windows by itself */
    /* After each piece of a body, and at its end. NULL: nobody minds. */
    void (*on_data)(struct grpc_stub_call *call);
    void *context;
};

/* config: changed before grpc_stub_open. */
void grpc_stub_init(struct grpc_stub *stub);
void grpc_stub_open(struct grpc_stub *stub);
void grpc_stub_deinit(struct grpc_stub *stub);

/* The next whole message of a call's body; false: there is none. */
bool grpc_stub_next(struct grpc_stub_call *call, struct slice *message);
/* Opens the window for what was held back. */
void grpc_stub_consume(struct grpc_stub_call *call);

/* A message behind its prefix. */
void grpc_stub_frame(struct buf *out, struct slice message);
/* The head of the answer, by itself at the first message. */
void grpc_stub_begin(struct grpc_stub_call *call, const char *encoding);
void grpc_stub_send(struct grpc_stub_call *call, struct slice message);
void grpc_stub_send_raw(struct grpc_stub_call *call, struct slice bytes);
/* Trailers: "0", and a text or NULL. */
void grpc_stub_end(struct grpc_stub_call *call, const char *code,
                   const char *text);
/* An answer that isn't gRPC's. */
void grpc_stub_refuse(struct grpc_stub_call *call, int status,
                      const char *type);
void grpc_stub_reset(struct grpc_stub_call *call, uint32_t code);

#endif
