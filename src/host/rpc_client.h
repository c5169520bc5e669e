/* A gRPC client for programs: wire/grpc_client.h with sockets. It has a list
 * of endpoints and one connection, to the first of them that takes it, and
 * goes on to the next one when that breaks.
 *
 * Nothing happens by itself: rpc_client_run, and every rpc_client_call, moves
 * bytes, calls callbacks, dials, and keeps deadlines. What can't be sent yet
 * waits for a connection until its deadline, however many attempts that takes;
 * what was under way when a connection broke ends with GRPC_UNAVAILABLE.
 *
 *   rpc_client_call    one message out, one back; blocks
 *   rpc_stream_open    messages both ways, by callbacks from within the
 *                      functions above. One message out and one back, many of
 *                      them at once, is a stream too.
 *
 * Callbacks may open, send, cancel and wake, but neither block (run, call) nor
 * close the client.
 *
 * Threads: one at a time.
 */
#ifndef ETCHED_HOST_RPC_CLIENT_H
#define ETCHED_HOST_RPC_CLIENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/bytes.h"
#include "base/err.h"
#include "proto/v3_error.h"
#include "wire/grpc_client.h"

enum {
    RPC_CLIENT_DIAL_MS = 2000,
    RPC_CLIENT_MESSAGE_BYTES_MAX = INT32_MAX,
    /* Servers of gRPC end connections that are pinged more often: etcd below
     * 5 seconds, others below 5 minutes where nothing is under way. */
    RPC_CLIENT_KEEPALIVE_MS_MIN = 10 * 1000,
    /* A call that may be repeated is, so often, while the server or the
     * connection says that it's unavailable. */
    RPC_CLIENT_ATTEMPTS_MAX = 100,
    RPC_CLIENT_RETRY_MS = 25,
};

struct rpc_client;
struct rpc_stream;

/* How it is with https:// and unixs://, whose certificate has to be for the
 * host that is named there (with a socket's path: localhost). Files are looked
 * at anew for each connection. NULL or "": none. */
struct rpc_client_tls {
    const char *ca_file; /* none: the system's */
    const char *cert_file;
    const char *key_file;
    const char *server_name; /* in place of the endpoint's host */
    bool skip_verify;        /* whoever sets it says so aloud */
    bool is_default;         /* endpoints without a scheme have TLS too */
};

struct rpc_client_options {
    /* In place of dialing: a connected socket, which passes; -1: there is none
     * now. Endpoints are but names then. NULL: they are dialed. */
    int (*connect)(void *context);
    void *connect_context;
    /* "host:port", "http://host:port", "https://host:port", "unix://path",
     * "unixs://path". */
    const char *const *endpoints;
    size_t endpoint_count;
    struct rpc_client_tls tls;
    int64_t dial_ms;              /* for one endpoint; 0: as long as it takes */
    int64_t keepalive_ms;         /* silence before a PING; 0: never */
    int64_t keepalive_timeout_ms; /* and from there to the end */
    size_t message_bytes_max;     /* of what comes; 0: the default */
    const char *user_agent;
    /* Sent with every call. */
    const struct grpc_header *metadata;
    size_t metadata_count;
    /* When it becomes readable, what blocks ends: RPC_STOPPED. -1: none. */
    int stop_fd;
};

/* Copies the options and what they point to. Dials nobody yet.
 * Errors: ERR_INVALID (no endpoint, or not a proper one), ERR_UNSUPPORTED
 *         (another scheme), those of tls_context_new; the note says it. */
enum err rpc_client_open(const struct rpc_client_options *options,
                         struct rpc_client **out) MUST_USE;
/* Streams that are open are gone, without on_end. NULL is fine. */
void rpc_client_close(struct rpc_client *client);

/* Milliseconds since some moment; never runs backwards. */
int64_t rpc_client_now_ms(void);
bool rpc_client_is_connected(const struct rpc_client *client);
/* The endpoint that is connected, or was tried last: "127.0.0.1:2379". */
const char *rpc_client_endpoint(const struct rpc_client *client);
/* Why the last connection couldn't be made, or broke; "" for none. */
const char *rpc_client_failure(const struct rpc_client *client);
void rpc_client_set_stop_fd(struct rpc_client *client, int fd);
/* In place of the options' metadata, for what is opened from now on. Copied. */
void rpc_client_set_metadata(struct rpc_client *client,
                             const struct grpc_header *metadata, size_t count);

enum rpc_wake {
    RPC_DEADLINE, /* the time has come */
    RPC_WOKEN,    /* rpc_client_wake */
    RPC_READABLE, /* `fd` is, or at its end */
    RPC_STOPPED,  /* stop_fd is */
};
/* Works until one of these; `deadline_ms` by rpc_client_now_ms, INT64_MAX for
 * none; fd -1: none. */
enum rpc_wake rpc_client_run(struct rpc_client *client, int64_t deadline_ms,
                             int fd);
/* For callbacks: the run that they are called from, or else the next one,
 * returns. */
void rpc_client_wake(struct rpc_client *client);

/* ---- one out, one back -------------------------------------------------- */

struct rpc_request {
    struct slice path; /* "/etcdserverpb.KV/Range" */
    struct slice message;
    const struct grpc_header *metadata;
    size_t metadata_count;
    int64_t deadline_ms; /* 0: none */
    /* To be done twice is no harm: it is sent again, to the next endpoint, as
     * long as one says GRPC_UNAVAILABLE. */
    bool is_repeatable;
};

/* {0} to begin; reused from call to call. */
struct rpc_answer {
    int code; /* enum grpc_code */
    struct buf text;
    struct buf message;
};
void rpc_answer_deinit(struct rpc_answer *answer);

/* Errors: where `code` isn't GRPC_OK; the note is `text`. ERR_TIMEOUT: the
 *         deadline ("context deadline exceeded"), ERR_STOPPED: stop_fd
 *         ("context canceled"). */
enum err rpc_client_call(struct rpc_client *client,
                         const struct rpc_request *request,
                         struct rpc_answer *answer) MUST_USE;

/* ---- streams ------------------------------------------------------------ */

struct rpc_stream_config {
    struct slice path;
    const struct grpc_header *metadata;
    size_t metadata_count;
    int64_t deadline_ms; /* 0: none */
    void (*on_message)(void *context, struct slice message);
    /* Once; the stream is gone when this returns. `text` as in rpc_answer. */
    void (*on_end)(void *context, int code, struct slice text);
    void *context;
};
/* Copies all of it. */
struct rpc_stream *rpc_stream_open(struct rpc_client *client,
                                   const struct rpc_stream_config *config);
/* A message, copied; `last`: and no more. */
void rpc_stream_send(struct rpc_stream *stream, struct slice message,
                     bool last);
void rpc_stream_half_close(struct rpc_stream *stream);
/* Bytes that the peer hasn't room for. */
size_t rpc_stream_unsent(const struct rpc_stream *stream);
/* Not wanted any more: gone, without on_end. */
void rpc_stream_cancel(struct rpc_stream *stream);

#endif
