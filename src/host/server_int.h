/* What the server*.c files share.
 *
 *   server.c           the parts put together, started and stopped in order
 *   server_node.c      the node's configuration, and where the ids come from
 *   server_threads.c   turns of the core and backend, and who runs them
 *   server_listen.c    accepting connections
 *   server_tls.c       certificates, and where handshakes are done
 *   server_auth.c      what passwords and tokens are checked with
 *   server_rpc.c       what v3's services need of the server
 *   server_recipes.c   the Recipes service beside it
 *   server_process.c   what the process gives up, and who may ask how much
 *   server_stop.c      what makes it ready, and what makes it end
 */
#ifndef ETCHED_HOST_SERVER_INT_H
#define ETCHED_HOST_SERVER_INT_H

#include <pthread.h>
#include <uv.h>

#include "host/audit.h"
#include "host/bootstrap.h"
#include "host/data_dir.h"
#include "host/io_thread.h"
#include "host/peers.h"
#include "host/recipes.h"
#include "host/server.h"
#include "host/tls_gate.h"
#include "host/work_pool.h"
#include "host/worker.h"

enum {
    SERVER_IO_THREADS_MAX = 64,
    SERVER_PORTS_MAX = 16,
};

enum server_port_kind { SERVER_CLIENTS, SERVER_METRICS, SERVER_PEERS };

struct server_port {
    uv_poll_t poll;
    struct server *server;
    int fd;
    enum server_port_kind kind;
    bool is_tls;
};

struct server {
    const struct config *config;
    void (*reload)(void *context);
    void *reload_context;
    struct data_dir dir;
    struct privileges privileges; /* who it is going to be */
    struct audit_log *audit;      /* NULL: none was asked for */
    struct harden_hosts *hosts;
    struct limits *limits; /* NULL: none */
    /* NULL: plain. */
    struct tls_context *client_tls;
    struct tls_context *peer_tls;
    struct tls_context *peer_out_tls; /* of the connections that it makes */
    struct tls_gate *gate;
    size_t handshakes_max;
    uv_timer_t tls_look;
    struct server_auth *auth; /* NULL: not opened */
    uv_timer_t auth_look;
    struct disk *disk;
    struct kv *kv;
    struct lock *lock;
    struct lock *auth_lock;
    struct node *node;
    struct peers *peers;
    struct worker *core;
    struct worker *backend;
    /* Whoever runs the core's turn holds it: the core thread, an I/O thread
     * for a single write, or the peers thread for what it has brought in. The
     * next four are under it. */
    pthread_mutex_t turn;
    int64_t turn_deadline_ms;      /* when the core thread looks again */
    int64_t sync_ns;               /* what a sync of the log takes, about */
    struct node_counters counters; /* as of the last turn */
    bool turn_again;               /* the turn itself made work for another */
    struct api_shared shared;
    struct rpc_shared rpc_shared;
    struct work_pool *work;  /* NULL: not started */
    struct recipes *recipes; /* NULL: none here, and why */
    char *recipes_why_not;
    char *client_urls;
    char *peer_urls;
    char *proxy_of;
    struct io_thread *io[SERVER_IO_THREADS_MAX];
    size_t io_count;
    atomic_size_t next_io;
    struct server_port ports[SERVER_PORTS_MAX];
    size_t port_count;
    uv_loop_t loop;
    uv_signal_t signals[3];
    uv_async_t told; /* `failing` or `removed` */
    uv_timer_t accept_again;
    uv_timer_t watch; /* until it is ready, then for its removal */
    uv_timer_t handover;
    bool accept_failing; /* and it was logged */
    bool is_ready;
    int64_t handover_until_ms; /* 0: none under way */
    uint64_t connections_max;
    /* Set by the first worker that fails, before `told` is sent. */
    _Atomic bool failing;
    _Atomic int failure;
    char failure_note[ERR_NOTE_BYTES_MAX];
    /* From the cluster, says another member. */
    _Atomic bool removed;
    _Atomic bool stopping;      /* long work breaks off */
    _Atomic bool flush_pending; /* something was applied since the last */
    _Atomic bool flush_due;     /* enough of it not to wait any longer */
    int64_t flush_at_ms;        /* the backend's own; INT64_MAX: not set */
};

int64_t server__now_ms(void);
uint64_t server__random_seed(void);

/* ---- server_node.c ------------------------------------------------------- */

uint64_t server__quota_of(const struct config *config);
/* Asks who belongs to the cluster, where that isn't known yet, and opens the
 * node. */
enum err server__open_node(struct server *server) MUST_USE;

/* ---- server_threads.c ---------------------------------------------------- */

/* A part can't go on: the member stops. Only the first one is told. */
void server__report_failure(struct server *server, enum err err);
int64_t server__core_turn(void *context);
int64_t server__backend_turn(void *context);
/* The node's callbacks, an I/O thread's and the peers'. */
void server__on_submitted(void *context);
void server__on_answered(void *context);
void server__on_commits(void *context, struct mvcc_commit *const *commits,
                        size_t count);
void server__on_jump(void *context, revision newest);
void server__on_flush_due(void *context);
size_t server__on_round_submitted(void *context);
void server__on_peers_turn(void *context);

/* ---- server_rpc.c -------------------------------------------------------- */

/* server->rpc_shared and server->work. */
void server__fill_rpc(struct server *server);

/* ---- server_recipes.c ---------------------------------------------------- */

/* server->recipes, or why there is none. Needs: the ports are open. */
enum err server__open_recipes(struct server *server) MUST_USE;

/* ---- server_listen.c ----------------------------------------------------- */

enum err server__bound_connections(struct server *server) MUST_USE;
enum err server__listen(struct server *server) MUST_USE;
void server__start_accepting(struct server *server);
/* Needs: the handles are closed. */
void server__close_ports(struct server *server);
/* A connection on the peer port that speaks HTTP. Any thread. */
void server__on_peer_http(void *context, int fd, struct tls *tls);

/* One that was accepted; `tls`: its handshake is done. Any thread. */
void server__adopt(struct server *server, int fd, struct tls *tls,
                   enum server_port_kind kind);

/* ---- server_tls.c -------------------------------------------------------- */

/* Reads the files, or makes them (--auto-tls). Needs: the data directory. */
enum err server__open_tls(struct server *server) MUST_USE;
/* How many handshakes there may be, where so many file descriptors are free. */
size_t server__handshakes_max(const struct server *server, size_t fds);
enum err server__start_tls(struct server *server) MUST_USE;
/* Needs: nobody asks for metrics any more. */
void server__stop_tls(struct server *server);
void server__close_tls(struct server *server);
void server__put_tls_metrics(struct server *server, struct buf *out);

/* ---- server_auth.c ------------------------------------------------------- */

/* Reads the keys of tokens, where there are any. */
enum err server__open_auth(struct server *server) MUST_USE;
struct auth_tokens *server__tokens(const struct server *server);
/* Into the api's. */
void server__fill_auth(struct server *server);
/* Looks at whether the keys have changed. */
void server__start_auth(struct server *server);
void server__close_auth(struct server *server);

/* ---- server_process.c ---------------------------------------------------- */

/* Before the ports are opened. */
enum err server__open_process(struct server *server) MUST_USE;
/* The ports are open and the folder is held: the rest is done with fewer
 * rights. */
enum err server__confine(struct server *server) MUST_USE;
/* Into the api's: the audit log, limits, what they have counted. Needs: the
 * recipes are opened. */
void server__fill_process(struct server *server);
void server__close_process(struct server *server);

/* ---- server_stop.c ------------------------------------------------------- */

/* Says that it is ready as soon as it is; ends it if it is removed. */
void server__start_watch(struct server *server);
void server__on_refused(void *context, enum err why, const char *text);
enum err server__start_signals(struct server *server) MUST_USE;
void server__on_told(uv_async_t *told);

#endif
