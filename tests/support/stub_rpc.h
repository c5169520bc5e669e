/* A small gRPC server for tests, on a thread of its own. Without an `answer` of
 * the test's it answers by path:
 *
 *   /s/Echo         the message
 *   /s/Head         the head of the call
 *   /s/Code         the status that the message says: "5 no such key"
 *   /s/Never        nothing
 *   /s/Unavailable  14, as often as `unavailable` says; then as /s/Echo
 *   /s/Drop         closes the connection
 *   /s/Stream       each message as it comes, and ends when the client does
 *   /s/None         ends without a message
 */
#ifndef ETCHED_TESTS_SUPPORT_STUB_RPC_H
#define ETCHED_TESTS_SUPPORT_STUB_RPC_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>

#include "tests/support/grpc_stub.h"

/* What becomes of the connection. */
enum stub_rpc_then { STUB_RPC_GO_ON, STUB_RPC_DROP };

/* One whole message of a call; called on the server's thread. */
typedef enum stub_rpc_then (*stub_rpc_answer)(void *context,
                                              struct grpc_stub_call *call,
                                              struct slice message);

enum { STUB_RPC_CONNECTIONS_MAX = 16 };

struct stub_rpc {
    stub_rpc_answer answer; /* NULL: by path */
    void *context;
    int port;
    char endpoint[32]; /* "127.0.0.1:<port>" */
    int listener;
    int wake[2];
    pthread_t thread;
    atomic_bool stops;
    atomic_bool goes_away; /* says GOAWAY on all connections, once */
    atomic_bool is_deaf;   /* reads nothing any more */
    atomic_int unavailable;
    atomic_int calls;       /* begun */
    atomic_int connections; /* taken, in all */
    atomic_int gone;        /* calls that the client broke off */
};

/* port 0: a free one. */
void stub_rpc_start(struct stub_rpc *stub, int port);
/* With an answer of the test's. */
void stub_rpc_start_with(struct stub_rpc *stub, stub_rpc_answer answer,
                         void *context);
/* Looks at the flags. */
void stub_rpc_wake(struct stub_rpc *stub);
void stub_rpc_stop(struct stub_rpc *stub);

#endif
