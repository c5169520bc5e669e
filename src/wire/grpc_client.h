/* The client's side of gRPC over HTTP/2: bytes in, bytes out, beside http2.h
 * (framing and header compression are nghttp2's). No socket, no clock. Many
 * calls, unary and streams, on one connection.
 *
 *   owner                        grpc_client
 *   grpc_client_output -> send   HEADERS, DATA of the calls
 *   recv -> grpc_client_input -> on_message, on_end of the calls
 *
 * Threads: one at a time.
 */
#ifndef ETCHED_WIRE_GRPC_CLIENT_H
#define ETCHED_WIRE_GRPC_CLIENT_H

#include "base/bytes.h"
#include "base/err.h"

struct grpc_client;
struct grpc_call;

enum { GRPC_CALL_METADATA_MAX = 16 };

struct grpc_header {
    struct slice name; /* lower case */
    struct slice value;
};

struct grpc_client_config {
    struct slice authority; /* "127.0.0.1:2379" */
    struct slice user_agent;
    size_t message_bytes_max; /* of what comes */
    /* Bytes to send have come up outside of grpc_client_input and _sent. May
     * be NULL. */
    void (*on_output)(void *context);
    void *context;
};

/* Copies the config and what it points to. */
struct grpc_client *grpc_client_new(const struct grpc_client_config *config);
/* Calls that are open get their on_end: GRPC_UNAVAILABLE. Needs: no callback
 * of a call on the stack. */
void grpc_client_free(struct grpc_client *client);
/* ERR_CLOSED: the connection is over (all calls were told); the note says
 * why. */
enum err grpc_client_input(struct grpc_client *client,
                           struct slice bytes) MUST_USE;
size_t grpc_client_output(struct grpc_client *client, struct slice *out,
                          size_t max);
void grpc_client_sent(struct grpc_client *client, size_t size);
/* The peer has said GOAWAY, or its streams are used up: calls that are open go
 * on, new ones belong on another connection. */
bool grpc_client_is_leaving(const struct grpc_client *client);
size_t grpc_client_calls(const struct grpc_client *client);
/* A PING, for keepalive; on_pong of the next answer. */
void grpc_client_ping(struct grpc_client *client);
uint64_t grpc_client_pongs(const struct grpc_client *client);

struct grpc_call_config {
    struct slice path; /* "/etcdserverpb.KV/Put" */
    const struct grpc_header *metadata;
    size_t metadata_count; /* up to GRPC_CALL_METADATA_MAX */
    int64_t timeout_ms; /* 0: none; sent as grpc-timeout, kept by the owner */
    void (*on_message)(void *context, struct slice message);
    /* Once, at the end: `code` is GRPC_OK or what the server (or this side, as
     * GRPC_UNAVAILABLE, GRPC_INTERNAL, GRPC_RESOURCE_EXHAUSTED) has to say.
     * The call is gone when this returns. */
    void (*on_end)(void *context, int code, struct slice message);
    void *context;
};
/* NULL: the client is leaving. */
struct grpc_call *grpc_call_new(struct grpc_client *client,
                                const struct grpc_call_config *config);
/* A message, copied; `last`: it is the last one (half-close). */
void grpc_call_send(struct grpc_call *call, struct slice message, bool last);
void grpc_call_half_close(struct grpc_call *call);
/* What it holds that the peer hasn't taken. */
size_t grpc_call_unsent(const struct grpc_call *call);
/* Not wanted any more: RST_STREAM, no on_end; the call is gone. */
void grpc_call_cancel(struct grpc_call *call);

#endif
