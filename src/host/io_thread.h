/* An I/O thread: a libuv loop, the connections that it owns, and the api and
 * the rpc that answer them: HTTP/1.1 and HTTP/2, told apart by the first
 * bytes. What other threads have for it comes through its inbox:
 * sockets from the listener, answers and commits from the core thread. One
 * wake-up serves all that gathered.
 *
 * Threads: io_thread_start, _stop, _join, _free: the main one. The posting
 *          functions: any, until io_thread_free.
 */
#ifndef ETCHED_HOST_IO_THREAD_H
#define ETCHED_HOST_IO_THREAD_H

#include "api/api.h"
#include "base/queue.h"
#include "host/harden_hosts.h"
#include "host/limits.h"
#include "host/recipes_gate.h"
#include "host/tls.h"
#include "rpc/rpc.h"
#include "wire/http1.h"
#include "wire/http2.h"

struct io_thread;

struct io_config {
    struct api_shared *shared;
    /* NULL: this is no member. Then there are no api and no rpc, what isn't
     * for the Recipes service goes to on_request, and `shared` is of use only
     * for CORS and the count of connections. */
    struct rpc_shared *rpc_shared;
    void (*on_request)(void *context, struct http_exchange *exchange);
    struct recipes *recipes; /* NULL: none here, and why */
    const char *recipes_why_not;
    bool has_gateway;                 /* v3 as JSON */
    bool certificates_are_users;      /* --client-cert-auth */
    const struct harden_hosts *hosts; /* NULL: by any name */
    struct limits *limits;            /* NULL: none */
    uint64_t seed;
    size_t body_bytes_max;
    /* As http2_config's. */
    uint32_t streams_max;
    int64_t ping_min_ms;
    int64_t keepalive_ms;
    int64_t keepalive_timeout_ms;
    int64_t stop_ms; /* how long a stop waits for what is on its way */
    /* After something happened the thread looks for more this long, awake,
     * before it sleeps: a client that asks again at once is answered without
     * a sleep and a wake-up in between. 0: it sleeps at once. */
    int64_t linger_ns;
    /* Writes were submitted in this round of the loop: called at its end, for
     * who decides where their turn runs. Returns how many waited. */
    size_t (*on_submitted)(void *context);
    void *context;
};

enum err io_thread_start(const struct io_config *config,
                         struct io_thread **out) MUST_USE;
/* Asks it to stop: watches end, answers on their way are waited for. */
void io_thread_stop(struct io_thread *io);
/* Waits for its end, at most `wait_ms`. False: a write that it handed over has
 * not come back yet. What is posted to it after its end is kept until
 * io_thread_free. */
bool io_thread_join(struct io_thread *io, int64_t wait_ms) MUST_USE;
/* Frees it with all that it was left. Needs: it was joined, and nobody posts
 * any more. */
void io_thread_free(struct io_thread *io);

/* A write was submitted by this thread. True: it is an I/O thread, which will
 * call its on_submitted at the end of the round. False: it isn't, or so many
 * come that the core thread had better begin at once. */
bool io_thread_defer_submitted(void);

/* A connected socket, which is the thread's from now on. */
void io_thread_adopt(struct io_thread *io, int fd, bool is_peer_port);
/* The same with TLS, whose handshake is done; it passes too. */
void io_thread_adopt_tls(struct io_thread *io, int fd, struct tls *tls,
                         bool is_peer_port);
/* One of a port for metrics alone. */
void io_thread_adopt_metrics(struct io_thread *io, int fd, struct tls *tls);
/* The other end of a connection that this process made to itself. */
void io_thread_adopt_own(struct io_thread *io, int fd);
/* What the node decided of a write, a read or a change. Seen after the next
 * io_thread_wake. */
void io_thread_post_answer(struct io_thread *io, struct queue_link *answer);
/* Commits, if the thread has watchers; references are taken. Seen after the
 * next io_thread_wake. */
void io_thread_post_commits(struct io_thread *io,
                            struct mvcc_commit *const *commits, size_t count);
/* A snapshot has taken the store's place; in order with the commits. */
void io_thread_post_jump(struct io_thread *io, revision newest);
/* Wakes the thread if something was posted. */
void io_thread_wake(struct io_thread *io);

#endif
