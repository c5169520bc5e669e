/* What the server*.c files share.
 *
 *   server.c           the parts put together, started and stopped in order
 *   server_node.c      the node's configuration, and where the ids come from
 *   server_threads.c   turns of the core and backend, and who runs them
 *   server_listen.c    accepting connections
 *   server_rpc.c       what v3's services need of the server
 *   server_recipes.c   the Recipes service beside it
 *   server_stop.c      what makes it ready, and what makes it end
 */
#ifndef ETCHED_HOST_SERVER_INT_H
#define ETCHED_HOST_SERVER_INT_H

#include <pthread.h>
#include <uv.h>

#include "host/bootstrap.h"
#include "host/data_dir.h"
#include "host/io_thread.h"
#include "host/peers.h"
#include "host/recipes.h"
#include "host/server.h"
#include "host/work_pool.h"
#include "host/worker.h"

enum {
    SERVER_IO_THREADS_MAX = 64,
    SERVER_PORTS_MAX = 16,
};

struct server_port {
    uv_poll_t poll;
    struct server *server;
    int fd;
    bool is_peer;
};

struct server {
    const struct config *config;
    void (*reload)(void *context);
    void *reload_context;
    struct data_dir dir;
    struct disk *disk;
    struct kv *kv;
    struct lock *lock;
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
void server__on_peer_http(void *context, int fd);

/* ---- server_stop.c ------------------------------------------------------- */

/* Says that it is ready as soon as it is; ends it if it is removed. */
void server__start_watch(struct server *server);
void server__on_refused(void *context, enum err why, const char *text);
enum err server__start_signals(struct server *server) MUST_USE;
void server__on_told(uv_async_t *told);

#endif
