/* A gRPC client for programs, inside. Its files:
 *
 *   rpc_client.c   what a program calls: run, call
 *   rpc_stream.c   streams
 *   rpc_endpoint.c how endpoints are written, and the TLS that they want
 *   rpc_dial.c     the connection, its bytes
 *
 * The connection, and the function that moves it:
 *
 *          rpc_client__advance      connected
 *   DOWN ----------------------> DIALING ---> (HANDSHAKE) ---> UP
 *    ^     somebody waits           |             |             |
 *    |                              | fails       | fails       |
 *    +--------- next address, then next endpoint ---------------+
 *                                                 rpc_client__drop
 *
 * A stream has a call while it is on a connection; one without waits for the
 * next connection, with what it has to send in `waiting`.
 */
#ifndef ETCHED_HOST_RPC_CLIENT_INT_H
#define ETCHED_HOST_RPC_CLIENT_INT_H

#include <netdb.h>
#include <poll.h>

#include "base/list.h"
#include "base/mem.h"
#include "host/rpc_client.h"
#include "host/tls.h"

enum {
    /* Between two rounds of all endpoints that have all failed. */
    RPC_BACKOFF_MS_MIN = 100,
    RPC_BACKOFF_MS_MAX = 1000,
    /* A connection that takes no new calls is left after so long, where some
     * wait and others are still on it. */
    RPC_LEAVING_MS = 1000,
    RPC_READ_BYTES = 64 * 1024,
    /* Reads before others have their turn. */
    RPC_READS_MAX = 16,
};

enum rpc_state { RPC_DOWN, RPC_DIALING, RPC_HANDSHAKE, RPC_UP };

struct rpc_endpoint {
    char *text; /* "host:port", or the path */
    char *host; /* without brackets; with a path "localhost" */
    char *port;
    char *path;      /* of a Unix socket; NULL: none */
    char *authority; /* as HTTP has it */
    bool has_scheme;
    bool is_tls;
};

struct rpc_client {
    struct arena arena; /* of what was copied from the options */
    int (*connect)(void *context);
    void *connect_context;
    struct rpc_endpoint *endpoints;
    size_t endpoint_count;
    size_t at; /* the endpoint that is used, or tried next */
    int64_t dial_ms, keepalive_ms, keepalive_timeout_ms;
    size_t message_bytes_max;
    struct slice user_agent;
    struct arena metadata_arena;
    struct grpc_header *metadata; /* streams copy it */
    size_t metadata_count;
    int stop_fd;

    struct tls_context *tls_context; /* NULL: no endpoint has TLS */
    char *server_name;               /* "": the endpoint's host */

    enum rpc_state state;
    int fd;                               /* -1: none */
    struct tls *tls;                      /* of it; NULL: plain */
    bool has_more;                        /* read, but not taken in yet */
    bool has_answered;                    /* something came */
    struct addrinfo *addresses, *address; /* DIALING */
    int64_t dial_deadline_ms;
    int64_t not_before_ms; /* DOWN: dial no sooner */
    int64_t backoff_ms;
    size_t failed;            /* endpoints in a row */
    struct grpc_client *grpc; /* UP */
    int64_t heard_ms;
    int64_t pinged_ms;  /* 0: no PING is out */
    int64_t leaving_ms; /* 0: it isn't, or nobody minds */
    struct buf failure;

    struct list streams;
    bool woken;
    bool inside; /* a callback, or a function that calls them */
};

struct rpc_stream {
    struct list link;
    struct rpc_client *client;
    struct grpc_call *call; /* NULL: waits for a connection */
    struct arena arena;
    struct rpc_stream_config config; /* copied to the arena */
    struct grpc_header *metadata;    /* the client's and its own */
    size_t metadata_count;
    /* Without a call: messages, each behind its size (8 bytes). */
    struct buf waiting;
    bool last;
    bool calling, gone; /* see wire/grpc_client_int.h */
};

/* ---- rpc_endpoint.c ---- */

enum err rpc_client__parse_endpoint(struct arena *arena, const char *text,
                                    struct rpc_endpoint *out) MUST_USE;
/* Needs: the endpoints. Nothing is loaded where none has TLS. */
enum err rpc_client__open_tls(struct rpc_client *client,
                              const struct rpc_client_tls *options) MUST_USE;

/* ---- rpc_dial.c ---- */

/* Does what is due: dials, gives streams to the connection, sends, ends what
 * is late. Returns when to be called again. */
int64_t rpc_client__advance(struct rpc_client *client, int64_t now_ms);
/* What poll said of the connection. */
void rpc_client__handle(struct rpc_client *client, short events);
/* What to ask poll. */
short rpc_client__wants(struct rpc_client *client);
void rpc_client__close_socket(struct rpc_client *client);
/* The connection is over; the next one is to the next endpoint. */
void rpc_client__drop(struct rpc_client *client, const char *why);

/* ---- rpc_stream.c ---- */

/* Gives one that waits to the connection. */
void rpc_client__start(struct rpc_stream *stream, int64_t now_ms);
void rpc_client__end(struct rpc_stream *stream, int code, struct slice text);
/* Frees it, untold. */
void rpc_client__forget(struct rpc_stream *stream);

#endif
