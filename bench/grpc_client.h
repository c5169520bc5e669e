/* gRPC calls for the load tools of the bench: connections over nghttp2, on one
 * thread and one epoll. Any failure ends the program. */
#ifndef ETCHED_BENCH_GRPC_CLIENT_H
#define ETCHED_BENCH_GRPC_CLIENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* A growing run of bytes. */
struct bytes {
    uint8_t *data;
    size_t size;
    size_t room;
};

void bytes_add(struct bytes *bytes, const void *data, size_t size);
/* Protobuf's fields, written at the end. */
void bytes_add_int(struct bytes *bytes, uint32_t field, uint64_t value);
void bytes_add_field(struct bytes *bytes, uint32_t field, const void *data,
                     size_t size);

/* Reads a message's fields one by one. */
struct field {
    uint32_t number;
    uint64_t value;      /* of a number */
    const uint8_t *data; /* of bytes; NULL: it is a number */
    size_t size;
};
bool next_field(const uint8_t **at, const uint8_t *end, struct field *out);

struct connection;

/* What the caller keeps for each call, as the first thing in a struct of its
 * own. */
struct call {
    /* A message has come; NULL: they are only counted, in `got`. */
    void (*on_message)(struct call *call, const uint8_t *data, size_t size);
    /* The call has ended; its status is there. The call may be used again. */
    void (*on_end)(struct call *call);
    struct connection *connection;
    int32_t stream;
    int status; /* grpc-status, -1: none came */
    bool no_more;
    size_t sent;
    struct bytes out; /* what is to be sent, messages with their prefixes */
    struct bytes in;  /* a message that has not come whole */
    uint64_t got;     /* bytes */
};

struct connection *connection_open(int port);
/* Starts a call with one message; with `more`, others follow by call_send. */
void call_start(struct call *call, struct connection *connection,
                const char *path, const struct bytes *message, bool more);
void call_send(struct call *call, const struct bytes *message);

/* Sends and receives whatever can be now, waiting for it up to so long. */
void run_once(int timeout_ms);

double now(void);
_Noreturn void die(const char *what);

#endif
