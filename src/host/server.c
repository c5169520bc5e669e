#include "host/server.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <unistd.h>
#include <uv.h>

#include "base/check.h"
#include "base/limits.h"
#include "base/list.h"
#include "base/version.h"
#include "host/bootstrap.h"
#include "host/clock_posix.h"
#include "host/data_dir.h"
#include "host/disk_posix.h"
#include "host/io_thread.h"
#include "host/kv_lmdb.h"
#include "host/listener.h"
#include "host/lock_posix.h"
#include "host/machine.h"
#include "host/mapped_fault.h"
#include "host/worker.h"

enum {
    IO_THREADS_MAX = 64,
    LISTENERS_MAX = 16,
    ACCEPTS_AT_ONCE = 64,
    ACCEPT_RETRY_MS = 100, /* when there is no file descriptor left */
    STOP_MS = 3000,        /* for what is on its way to clients */
    JOIN_MS = 1500,        /* and then for what the writer has */
    FAILED_JOIN_MS = 500,
    /* File descriptors that connections leave to the log, the kv file and
     * what /proc is read with. */
    FDS_RESERVED = 16,
    FLUSH_RETRY_MS = 1000,
    LINGER_NS = 50 * 1000,
    SYNC_FAST_NS = 300 * 1000,
    QUOTA_BYTES_DEFAULT_GIB = 2,
};

struct port {
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
    struct worker *core;
    struct worker *backend;
    /* Whoever runs the core's turn holds it: the core thread, or an I/O
     * thread for a single write. The next three are under it. */
    pthread_mutex_t turn;
    int64_t turn_deadline_ms;      /* when the core thread looks again */
    int64_t sync_ns;               /* what a sync of the log takes, about */
    struct node_counters counters; /* as of the last turn */
    struct api_shared shared;
    char *client_urls;
    char *peer_urls;
    struct io_thread *io[IO_THREADS_MAX];
    size_t io_count;
    size_t next_io;
    struct port ports[LISTENERS_MAX];
    size_t port_count;
    uv_loop_t loop;
    uv_signal_t signals[3];
    uv_async_t failed;
    uv_timer_t accept_again;
    bool accept_failing; /* and it was logged */
    uint64_t connections_max;
    /* Set by the first worker that fails, before `failed` is sent. */
    _Atomic bool failing;
    _Atomic int failure;
    char failure_note[ERR_NOTE_BYTES_MAX];
    _Atomic bool flush_pending; /* something was applied since the last */
    _Atomic bool flush_due;     /* enough of it not to wait any longer */
    int64_t flush_at_ms;        /* the backend's own; INT64_MAX: not set */
};

/* ---- the core and backend threads ---------------------------------------- */

/* A worker can't go on: the member stops. Only the first one is told. */
static void report_failure(struct server *server, enum err err)
{
    CHECK_NE(err, ERR_OK);
    if (atomic_exchange(&server->failing, true)) {
        return;
    }
    (void)snprintf(server->failure_note, sizeof(server->failure_note), "%s",
                   err_note());
    atomic_store(&server->failure, (int)err);
    uv_async_send(&server->failed);
}

/* A mean in which the last dozen syncs count most. */
static void measure_syncs(struct server *server)
{
    struct node_counters *last = &server->counters;
    struct node_counters now;
    node_counters(server->node, &now);
    if (now.wal_syncs > last->wal_syncs) {
        int64_t took_ns = (int64_t)((now.wal_sync_ns - last->wal_sync_ns) /
                                    (now.wal_syncs - last->wal_syncs));
        server->sync_ns += (took_ns - server->sync_ns) / 8;
    }
    *last = now;
}

/* Needs: the turn is held. Returns when the next one is due. */
static int64_t run_turn(struct server *server)
{
    enum err err = node_run(server->node);
    measure_syncs(server);
    if (err != ERR_OK) {
        report_failure(server, err);
        return INT64_MAX;
    }
    return node_deadline_ms(server->node);
}

static int64_t core_turn(void *context)
{
    struct server *server = context;
    pthread_mutex_lock(&server->turn);
    int64_t deadline_ms = run_turn(server);
    server->turn_deadline_ms = deadline_ms;
    pthread_mutex_unlock(&server->turn);
    return deadline_ms;
}

/* A single write, while the core thread has nothing to do and the disk is
 * fast, is done by the I/O thread that it came in on: two hand-overs between
 * threads would take longer than the write. Several are left to the core
 * thread, which syncs once for all of them while others come in; so is one
 * whose sync would keep this thread's other clients waiting. */
static size_t on_round_submitted(void *context)
{
    struct server *server = context;
    struct node_progress progress;
    node_progress(server->node, &progress);
    if (progress.pending != 1 || pthread_mutex_trylock(&server->turn) != 0) {
        worker_wake(server->core);
        return progress.pending;
    }
    bool here = server->sync_ns <= SYNC_FAST_NS;
    bool sooner = false;
    if (here) {
        sooner = run_turn(server) < server->turn_deadline_ms;
    }
    pthread_mutex_unlock(&server->turn);
    if (!here || sooner) {
        worker_wake(server->core);
    }
    return 1;
}

static int64_t now_ms(void)
{
    return clock_monotonic_ns(clock_posix()) / 1000000;
}

/* Work for the backend gathers for an interval, or until there is enough of
 * it (flush_due). Returns when to look again, or 0: now. */
static int64_t wait_for_more(struct server *server)
{
    if (atomic_exchange(&server->flush_due, false)) {
        return 0;
    }
    if (!atomic_load(&server->flush_pending)) {
        return INT64_MAX;
    }
    CHECK(server->flush_at_ms > 0);
    if (server->flush_at_ms == INT64_MAX) {
        server->flush_at_ms =
            now_ms() + server->config->backend_batch_interval_ms;
    }
    return now_ms() >= server->flush_at_ms ? 0 : server->flush_at_ms;
}

static int64_t backend_turn(void *context)
{
    struct server *server = context;
    bool more = false;
    int64_t at_ms = wait_for_more(server);
    if (at_ms != 0) {
        return at_ms;
    }
    server->flush_at_ms = INT64_MAX;
    atomic_store(&server->flush_pending, false);
    enum err err = node_flush(server->node, &more);
    if (err == ERR_DISK_FULL || err == ERR_NO_SPACE) {
        atomic_store(&server->flush_pending, true);
        server->flush_at_ms = now_ms() + FLUSH_RETRY_MS;
        return server->flush_at_ms;
    }
    if (err != ERR_OK) {
        report_failure(server, err);
        return INT64_MAX;
    }
    if (more) {
        atomic_store(&server->flush_due, true);
    }
    /* Requests may wait for the tail to become shorter. */
    worker_wake(server->core);
    return more || atomic_load(&server->flush_pending) ? 0 : INT64_MAX;
}

static void on_submitted(void *context)
{
    struct server *server = context;
    if (!io_thread_defer_submitted()) {
        worker_wake(server->core);
    }
}

static void on_flush_due(void *context)
{
    struct server *server = context;
    atomic_store(&server->flush_due, true);
    worker_wake(server->backend);
}

static void on_answered(void *context)
{
    struct server *server = context;
    for (size_t i = 0; i < server->io_count; i++) {
        io_thread_wake(server->io[i]);
    }
}

static void on_commits(void *context, struct mvcc_commit *const *commits,
                       size_t count)
{
    struct server *server = context;
    for (size_t i = 0; i < server->io_count; i++) {
        io_thread_post_commits(server->io[i], commits, count);
        io_thread_wake(server->io[i]);
    }
    if (!atomic_exchange(&server->flush_pending, true)) {
        worker_wake(server->backend);
    }
}

/* ---- accepting ----------------------------------------------------------- */

/* What the client has sent by now is read: closing with unread bytes resets
 * the connection, and the client might not see the answer. */
static void refuse(int fd)
{
    char unread[4096];
    static const char answer[] = "HTTP/1.1 503 Service Unavailable\r\n"
                                 "Content-Type: application/json\r\n"
                                 "Content-Length: 34\r\n"
                                 "Connection: close\r\n\r\n"
                                 "{\"message\":\"too many connections\"}";
    ssize_t sent = send(fd, answer, sizeof(answer) - 1, MSG_NOSIGNAL);
    (void)sent;
    (void)shutdown(fd, SHUT_WR);
    ssize_t got = recv(fd, unread, sizeof(unread), 0);
    (void)got;
    close(fd);
}

static void accept_one(struct port *port, int fd)
{
    struct server *server = port->server;
    _Atomic uint64_t *open = &server->shared.stats[API_CONNECTIONS];
    CHECK(server->io_count > 0);
    if (atomic_fetch_add(open, 1) >= server->connections_max) {
        atomic_fetch_sub(open, 1);
        refuse(fd);
        return;
    }
    struct io_thread *io = server->io[server->next_io];
    server->next_io = (server->next_io + 1) % server->io_count;
    io_thread_adopt(io, fd, port->is_peer);
}

static void on_connection(uv_poll_t *poll, int status, int events);

static void set_accepting(struct server *server, bool on)
{
    for (size_t i = 0; i < server->port_count; i++) {
        uv_poll_t *poll = &server->ports[i].poll;
        if (on) {
            uv_poll_start(poll, UV_READABLE, on_connection);
        } else {
            uv_poll_stop(poll);
        }
    }
}

static void on_accept_again(uv_timer_t *timer)
{
    set_accepting(CONTAINER_OF(timer, struct server, accept_again), true);
}

/* There is no file descriptor left: tried again in a moment. Said once. */
static void pause_accepting(struct server *server)
{
    if (!server->accept_failing) {
        server->accept_failing = true;
        log_error("host",
                  "no file descriptor left for a connection; they wait until "
                  "others are closed (see ulimit -n)",
                  LOG_INT("retry_ms", ACCEPT_RETRY_MS));
    }
    set_accepting(server, false);
    uv_timer_start(&server->accept_again, on_accept_again, ACCEPT_RETRY_MS, 0);
}

static void on_connection(uv_poll_t *poll, int status, int events)
{
    struct port *port = CONTAINER_OF(poll, struct port, poll);
    (void)status;
    (void)events;
    for (int i = 0; i < ACCEPTS_AT_ONCE; i++) {
        bool full = false;
        int fd = listener_accept(port->fd, &full);
        if (full) {
            pause_accepting(port->server);
        }
        if (fd < 0) {
            return;
        }
        port->server->accept_failing = false;
        accept_one(port, fd);
    }
}

/* ---- starting ------------------------------------------------------------ */

static void machine_of(struct api_machine *out)
{
    struct machine machine;
    machine_read(&machine);
    *out = (struct api_machine){
        .resident_bytes = machine.resident_bytes,
        .virtual_bytes = machine.virtual_bytes,
        .cpu_seconds = machine.cpu_seconds,
        .fd_used = machine.fd_used,
        .fd_limit = machine.fd_limit,
        .start_ns = machine.start_ns,
    };
}

static void kv_stat_of(void *context, struct kv_stat *out)
{
    struct kv *kv = context;
    kv->ops->stat(kv, out);
}

static uint64_t random_seed(void)
{
    uint64_t seed = 0;
    ssize_t size = getrandom(&seed, sizeof(seed), 0);
    CHECK_EQ(size, sizeof(seed));
    return seed;
}

static uint64_t quota_of(const struct config *config)
{
    if (config->quota_backend_bytes < 0) {
        return 0;
    }
    return config->quota_backend_bytes > 0
               ? (uint64_t)config->quota_backend_bytes
               : (uint64_t)QUOTA_BYTES_DEFAULT_GIB << 30;
}

static enum err open_files(struct server *server)
{
    const struct config *config = server->config;
    struct kv_lmdb_config kv = {.no_sync = config->unsafe_no_fsync};
    enum err err = data_dir_open(config->data_dir, config->wal_dir,
                                 config->force, &server->dir);
    if (err != ERR_OK) {
        return err;
    }
    mapped_fault_watch(server->dir.db_path);
    err = kv_lmdb_open(server->dir.db_path, &kv, &server->kv);
    if (err == ERR_OK) {
        err = disk_posix_open(server->dir.wal_path, &server->disk);
    }
    return err_wrap(err, "data directory %s", server->dir.path);
}

static enum node_compaction compaction_of(const struct config *config)
{
    switch (config->auto_compaction_mode) {
    case CONFIG_COMPACTION_PERIODIC:
        return NODE_COMPACTION_PERIODIC;
    case CONFIG_COMPACTION_REVISION:
        return NODE_COMPACTION_REVISION;
    case CONFIG_COMPACTION_OFF:
        break;
    }
    return NODE_COMPACTION_OFF;
}

static enum err open_node(struct server *server)
{
    const struct config *config = server->config;
    struct bootstrap ids;
    bootstrap_ids(config, &ids);
    enum node_compaction compaction = compaction_of(config);
    struct node_config node = {
        .ports = {.clock = clock_posix(),
                  .disk = server->disk,
                  .kv = server->kv,
                  .lock = server->lock},
        .cluster_id = ids.cluster_id,
        .member_id = ids.member_id,
        .name = config->name,
        .client_urls = server->client_urls,
        .seed = random_seed(),
        .heartbeat_ms = config->heartbeat_interval_ms,
        .election_ms = config->election_timeout_ms,
        .wal_segment_bytes = LIMIT_WAL_SEGMENT_BYTES,
        .unsafe_no_sync = config->unsafe_no_fsync,
        .quota_bytes = quota_of(config),
        .flush_revisions = config->backend_batch_limit > 0
                               ? (size_t)config->backend_batch_limit
                               : LIMIT_FLUSH_REVISIONS,
        .compaction = compaction,
        .compaction_keep = compaction == NODE_COMPACTION_PERIODIC
                               ? config->auto_compaction_period_ns
                               : config->auto_compaction_revisions,
        .on_commits = on_commits,
        .on_answered = on_answered,
        .on_flush_due = on_flush_due,
        .on_submitted = on_submitted,
        .context = server,
    };
    return node_open(&node, &server->node);
}

static void fill_shared(struct server *server, int argc, char *const *argv)
{
    const struct config *config = server->config;
    struct api_shared *shared = &server->shared;
    shared->node = server->node;
    shared->clock = clock_posix();
    shared->name = config->name;
    shared->peer_urls = server->peer_urls;
    shared->client_urls = server->client_urls;
    shared->cors = config->cors.at;
    shared->cors_count = config->cors.count;
    shared->key_bytes_max = LIMIT_KEY_BYTES_MAX;
    shared->watchers_max = LIMIT_WATCHERS_MAX;
    shared->quota_bytes = quota_of(config);
    shared->argc = argc;
    shared->argv = argv;
    shared->machine = machine_of;
    shared->kv_stat = kv_stat_of;
    shared->kv_context = server->kv;
}

static size_t io_threads_of(const struct config *config)
{
    int processors = machine_processors();
    int count = config->io_threads;
    if (count == 0) {
        count = processors > 2 ? processors / 2 : 1;
    }
    return (size_t)(count < IO_THREADS_MAX ? count : IO_THREADS_MAX);
}

/* Connections may not take the last file descriptors: without one for its
 * next segment the log could not go on. */
static enum err bound_connections(struct server *server)
{
    struct machine machine;
    uint64_t wanted = (uint64_t)server->config->max_connections;
    machine_read(&machine);
    CHECK(machine.fd_used > 0);
    if (machine.fd_limit <= machine.fd_used + FDS_RESERVED) {
        return err_set(ERR_FULL,
                       "%llu open files are allowed, %llu are needed; raise "
                       "the limit (ulimit -n)",
                       (unsigned long long)machine.fd_limit,
                       (unsigned long long)machine.fd_used + FDS_RESERVED + 1);
    }
    server->connections_max = machine.fd_limit - machine.fd_used - FDS_RESERVED;
    if (server->connections_max > wanted) {
        server->connections_max = wanted;
    } else if (server->connections_max < wanted / 2) {
        log_warn("host",
                 "the limit on open files (ulimit -n) allows fewer "
                 "connections than --max-connections",
                 LOG_UINT("open_files_max", machine.fd_limit),
                 LOG_UINT("connections_max", server->connections_max));
    }
    return ERR_OK;
}

static enum err start_threads(struct server *server)
{
    size_t count = io_threads_of(server->config);
    enum err err = ERR_OK;
    for (size_t i = 0; i < count && err == ERR_OK; i++) {
        struct io_config io = {
            .shared = &server->shared,
            .seed = random_seed(),
            .body_bytes_max = (size_t)server->config->max_request_bytes,
            .stop_ms = STOP_MS,
            .linger_ns = machine_processors() > 1 ? LINGER_NS : 0,
            .on_submitted = on_round_submitted,
            .context = server,
        };
        err = io_thread_start(&io, &server->io[i]);
        server->io_count += err == ERR_OK ? 1 : 0;
    }
    if (err == ERR_OK) {
        err = bound_connections(server);
    }
    if (err == ERR_OK) {
        worker_start(server->core);
        worker_start(server->backend);
    }
    return err;
}

static enum err listen_on(struct server *server, const struct config_urls *urls,
                          bool is_peer)
{
    for (size_t i = 0; i < urls->count; i++) {
        struct port *port = &server->ports[server->port_count];
        if (server->port_count == LISTENERS_MAX) {
            return err_set(ERR_INVALID, "more than %d addresses to listen on",
                           LISTENERS_MAX);
        }
        enum err err = listener_open(
            &urls->at[i], server->config->socket_reuse_port, &port->fd);
        if (err != ERR_OK) {
            return err;
        }
        port->server = server;
        port->is_peer = is_peer;
        server->port_count++;
    }
    return ERR_OK;
}

static enum err listen_on_all(struct server *server)
{
    const struct config *config = server->config;
    enum err err = listen_on(server, &config->listen_client_urls, false);
    if (err == ERR_OK) {
        err = listen_on(server, &config->listen_metrics_urls, false);
    }
    if (err == ERR_OK) {
        err = listen_on(server, &config->listen_peer_urls, true);
    }
    return err;
}

/* ---- serving ------------------------------------------------------------- */

static void on_signal(uv_signal_t *signal, int number)
{
    struct server *server = signal->data;
    if (number == SIGHUP) {
        if (server->reload != NULL) {
            server->reload(server->reload_context);
        }
        return;
    }
    log_info("host", "stopping",
             LOG_STR("signal", number == SIGINT ? "SIGINT" : "SIGTERM"));
    uv_stop(&server->loop);
}

static void on_failed(uv_async_t *failed)
{
    struct server *server = CONTAINER_OF(failed, struct server, failed);
    uv_stop(&server->loop);
}

static enum err start_loop(struct server *server)
{
    const int numbers[] = {SIGTERM, SIGINT, SIGHUP};
    int failed = uv_loop_init(&server->loop);
    if (failed != 0) {
        return err_set(err_from_errno(-failed), "make an event loop: %s",
                       uv_strerror(failed));
    }
    /* The loop has all the file descriptors that these need. */
    failed = uv_async_init(&server->loop, &server->failed, on_failed);
    CHECK_EQ(failed, 0);
    uv_timer_init(&server->loop, &server->accept_again);
    for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++) {
        uv_signal_init(&server->loop, &server->signals[i]);
        server->signals[i].data = server;
        failed = uv_signal_start(&server->signals[i], on_signal, numbers[i]);
        CHECK_EQ(failed, 0);
    }
    return ERR_OK;
}

static void watch_ports(struct server *server)
{
    for (size_t i = 0; i < server->port_count; i++) {
        int failed = uv_poll_init(&server->loop, &server->ports[i].poll,
                                  server->ports[i].fd);
        CHECK_EQ(failed, 0);
    }
    set_accepting(server, true);
}

/* The first that curl can take: an address to listen on may be a socket file,
 * or 0.0.0.0. */
static const char *reachable_url(const struct config *config)
{
    const struct config_urls *urls = &config->advertise_client_urls;
    for (size_t i = 0; i < urls->count; i++) {
        if (!urls->at[i].is_unix) {
            return urls->at[i].text;
        }
    }
    return config->listen_client_urls.at[0].text;
}

/* The lines that scripts wait for, and the one that a person needs. */
static void say_ready(const struct server *server)
{
    const struct config *config = server->config;
    struct node_progress progress;
    node_progress(server->node, &progress);
    log_info("host", "published the member's name and client URLs",
             LOG_STR("name", config->name),
             LOG_HEX("member", progress.member_id),
             LOG_HEX("cluster", progress.cluster_id));
    log_info("host", "enabled capabilities for version",
             LOG_STR("version", ETCHED_CLUSTER_API_VERSION));
    if (config->listen_client_urls.count > 0) {
        struct buf command = {0};
        buf_append_str(&command, "curl ");
        buf_append_str(&command, reachable_url(config));
        buf_append_str(&command, "/v2/keys/");
        log_info("host", "ready to serve client requests",
                 LOG_SLICE("try", buf_slice(&command)),
                 LOG_STR("data_dir", server->dir.path),
                 LOG_INT("revision", progress.revision));
        buf_deinit(&command);
    }
}

static void close_handle(uv_handle_t *handle, void *context)
{
    struct server *server = context;
    if (handle != (uv_handle_t *)&server->failed) {
        uv_close(handle, NULL);
    }
}

/* Nobody can connect any more, and a second signal ends the process at once.
 * `failed` stays open, as the workers may still send it. */
static void close_ports(struct server *server)
{
    uv_walk(&server->loop, close_handle, server);
    uv_run(&server->loop, UV_RUN_NOWAIT);
    for (size_t i = 0; i < server->port_count; i++) {
        close(server->ports[i].fd);
    }
}

static void close_loop(struct server *server)
{
    uv_close((uv_handle_t *)&server->failed, NULL);
    uv_run(&server->loop, UV_RUN_DEFAULT);
    int failed = uv_loop_close(&server->loop);
    CHECK_EQ(failed, 0);
}

static bool join_io_threads(struct server *server, int64_t wait_ms)
{
    int64_t until_ms = now_ms() + wait_ms;
    for (size_t i = 0; i < server->io_count; i++) {
        int64_t left_ms = until_ms - now_ms();
        if (!io_thread_join(server->io[i], left_ms > 0 ? left_ms : 0)) {
            return false;
        }
    }
    return true;
}

/* From the outside in: no new connections, then the I/O threads with what is
 * on its way, then the core and the backend. Each may still wake those that
 * were stopped before it, so all are freed at the end. */
static enum err stop_threads(struct server *server)
{
    for (size_t i = 0; i < server->io_count; i++) {
        io_thread_stop(server->io[i]);
    }
    int failure = atomic_load(&server->failure);
    if (failure != ERR_OK) {
        /* Nothing more is acknowledged, nothing more written. Clients that
         * have their answers are let go. */
        (void)join_io_threads(server, FAILED_JOIN_MS);
        return err_set((enum err)failure, "%s", server->failure_note);
    }
    if (!join_io_threads(server, STOP_MS + JOIN_MS)) {
        return err_set(ERR_TIMEOUT,
                       "stopped with writes that could not be done; none of "
                       "them was acknowledged");
    }
    worker_stop(server->core);
    worker_stop(server->backend);
    failure = atomic_load(&server->failure);
    if (failure != ERR_OK) {
        return err_set((enum err)failure, "%s", server->failure_note);
    }
    for (size_t i = 0; i < server->io_count; i++) {
        io_thread_free(server->io[i]);
    }
    server->io_count = 0;
    return ERR_OK;
}

static void close_files(struct server *server)
{
    node_close(server->node);
    worker_free(server->core);
    worker_free(server->backend);
    pthread_mutex_destroy(&server->turn);
    if (server->disk != NULL) {
        disk_posix_close(server->disk);
    }
    if (server->kv != NULL) {
        kv_lmdb_close(server->kv);
    }
    if (server->dir.path != NULL) {
        data_dir_close(&server->dir);
    }
    lock_posix_free(server->lock);
    mem_free(server->client_urls);
    mem_free(server->peer_urls);
}

static enum err start(struct server *server, const struct server_args *args)
{
    enum err err = listen_on_all(server);
    if (err == ERR_OK) {
        err = open_files(server);
    }
    if (err == ERR_OK) {
        err = open_node(server);
    }
    if (err == ERR_OK) {
        fill_shared(server, args->argc, args->argv);
        err = start_threads(server);
    }
    return err;
}

enum err server_run(const struct config *config, const struct server_args *args,
                    bool *ended)
{
    struct server *server = mem_alloc_zero(sizeof(*server));
    *ended = true;
    server->config = config;
    server->reload = args->reload;
    server->reload_context = args->context;
    server->lock = lock_posix_new();
    pthread_mutex_init(&server->turn, NULL);
    server->core = worker_new("core", core_turn, server);
    server->backend = worker_new("backend", backend_turn, server);
    server->client_urls = bootstrap_join_urls(&config->advertise_client_urls);
    server->peer_urls =
        bootstrap_join_urls(&config->initial_advertise_peer_urls);
    server->flush_at_ms = INT64_MAX;
    machine_init();
    (void)machine_raise_fd_limit();
    enum err err = start_loop(server);
    if (err != ERR_OK) {
        close_files(server);
        mem_free(server);
        return err;
    }
    err = start(server, args);
    if (err == ERR_OK) {
        watch_ports(server);
        say_ready(server);
        uv_run(&server->loop, UV_RUN_DEFAULT);
    }
    close_ports(server);
    enum err stopped = stop_threads(server);
    if (stopped != ERR_OK) {
        *ended = false;
        return stopped;
    }
    close_loop(server);
    close_files(server);
    mem_free(server);
    return err;
}
