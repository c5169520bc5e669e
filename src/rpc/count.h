/* What /metrics says of v3: calls by method and code, messages, bytes, under
 * the names that etcd and its gRPC library have for them.
 *
 * Threads: any; it counts for the whole process. */
#ifndef ETCHED_RPC_COUNT_H
#define ETCHED_RPC_COUNT_H

#include "proto/v3_error.h"
#include "rpc/rpc.h"

struct method;

void count__started(const struct method *method);
void count__handled(const struct method *method, enum grpc_code code);
/* A message came, or went out. */
void count__received(const struct method *method, size_t bytes);
void count__sent(const struct method *method, size_t bytes);

/* As gRPC's libraries call it: "PermissionDenied". */
const char *count__code_name(enum grpc_code code);

/* Numbers that aren't of one method. */
enum count_number {
    COUNT_WATCHERS,      /* now */
    COUNT_SLOW_WATCHERS, /* now: those that read history */
    COUNT_EVENTS,        /* told to watchers, ever */
    COUNT_RANGES,        /* in txns that only read, ever */
    COUNT_READ_TXNS,     /* such, of more than one, ever */
    COUNT_NUMBERS,
};
void count__add(enum count_number number, int64_t by);

#endif
