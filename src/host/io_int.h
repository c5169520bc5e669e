/* What io_thread.c and connection.c share. */
#ifndef ETCHED_HOST_IO_INT_H
#define ETCHED_HOST_IO_INT_H

#include <pthread.h>
#include <uv.h>

#include "base/list.h"
#include "host/crowd.h"
#include "host/io_thread.h"

enum {
    IO_READ_BYTES = 64 * 1024,
    IO_DATE_BYTES = 32,
    IO_PREFACE_BYTES = 24, /* of HTTP/2 (RFC 9113, section 3.4) */
    IO_TICK_MS = 500,      /* at least so often the rpc hears the time */
    IO_SWEEP_MS = 1000,    /* so often connections are looked at for lateness */
    IO_STOP_SWEEP_MS = 50, /* and when a stop waits for them */
    /* After a round with several writes this many are taken to be like it. */
    IO_MANY_ROUNDS = 64,
};

struct io_thread {
    struct io_config config;
    struct api *api; /* NULL: see io_config.rpc_shared */
    struct rpc *rpc;
    struct recipes_gate *gate;
    struct http2_streaming limited; /* the rpc's, with limits before it */
    struct http_server client_port;
    struct http_server peer_port;
    struct http_server metrics_port;
    pthread_t thread;
    uv_loop_t loop;
    uv_async_t wake;
    uv_prepare_t prepare;
    uv_idle_t idle; /* runs while watchers are behind */
    uv_timer_t sweep;
    uv_timer_t tick;      /* the rpc's */
    int64_t tick_due_ms;  /* what it was started for */
    int64_t tick_last_ms; /* when the rpc was told the time */
    struct list connections;
    struct list dirty; /* connections with something to send */
    bool active;       /* something happened in this round */
    bool submitted;    /* on_submitted is to be called at its end */
    bool api_watching;
    bool rpc_watching;
    int many; /* rounds left in which the core is woken at once */
    uint64_t awake_until_ns;
    struct crowd crowd;
    bool stopping;
    int64_t stop_deadline_ms;
    struct slice date;
    char date_text[IO_DATE_BYTES];
    char read_buffer[IO_READ_BYTES];

    /* The inbox. */
    struct queue answers;     /* the api's */
    struct queue rpc_answers; /* the rpc's */
    struct queue worked;      /* the rpc's work */
    struct queue api_worked;
    struct queue posts; /* sockets, commits */
    _Atomic bool posted;
    _Atomic bool watching; /* api_watching or rpc_watching */
    _Atomic bool stop_asked;
};

struct connection;

/* A socket as it comes to its thread. */
struct socket_post {
    int fd;
    struct tls *tls; /* NULL: plain */
    bool is_peer_port;
    bool is_metrics_port;
    bool is_own;
};

/* io_thread.c: who takes streams. NULL: nobody. */
struct http2_streaming *io_thread__streaming(struct io_thread *io);

/* connection.c: takes the socket. */
void connection__open(struct io_thread *io, const struct socket_post *post);
/* Sends what waits; may close (and free) the connection. */
void connection__flush_dirty(struct io_thread *io);
/* Closes those whose time is up. */
void connection__sweep(struct io_thread *io, int64_t now_ms);
/* No new requests on any. */
void connection__stop_all(struct io_thread *io);
void connection__close_all(struct io_thread *io);

#endif
