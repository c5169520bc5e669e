#include "host/server.h"

#include <sys/random.h>

#include "base/check.h"
#include "base/limits.h"
#include "base/list.h"
#include "base/log.h"
#include "host/clock_posix.h"
#include "host/disk_posix.h"
#include "host/kv_lmdb.h"
#include "host/lock_posix.h"
#include "host/machine.h"
#include "host/mapped_fault.h"
#include "host/server_int.h"

enum {
    STOP_MS = 3000, /* for what is on its way to clients */
    JOIN_MS = 1500, /* and then for what the writer has */
    FAILED_JOIN_MS = 500,
    LINGER_NS = 50 * 1000,
    /* To a member that needs it whole. Three quarters of a gigabit network are
     * left to the messages, and a disk of middling speed keeps up. */
    SNAPSHOT_BYTES_PER_S = 32 * 1024 * 1024,
    PEERS_TOLD_MAX = 64,
    /* Of one connection: gRPC's clients put all their watches on one. */
    STREAMS_MAX = 20000,
    MS_NS = 1000 * 1000,
};

int64_t server__now_ms(void)
{
    return clock_monotonic_ns(clock_posix()) / 1000000;
}

uint64_t server__random_seed(void)
{
    uint64_t seed = 0;
    ssize_t size = getrandom(&seed, sizeof(seed), 0);
    CHECK_EQ(size, sizeof(seed));
    return seed;
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

static size_t peers_of(void *context, struct api_peer *out, size_t max)
{
    struct peers_stat stats[PEERS_TOLD_MAX];
    size_t count = peers_stats(context, stats,
                               max < PEERS_TOLD_MAX ? max : PEERS_TOLD_MAX);
    for (size_t i = 0; i < count; i++) {
        out[i] = (struct api_peer){
            .member = stats[i].member,
            .connected = stats[i].connected,
            .sent_bytes = stats[i].sent_bytes,
            .received_bytes = stats[i].received_bytes,
            .send_failures = stats[i].send_failures,
        };
    }
    return count;
}

static enum err open_files(struct server *server)
{
    const struct config *config = server->config;
    struct kv_lmdb_config kv = {.no_sync = config->unsafe_no_fsync};
    enum err err =
        data_dir_open_as(&server->privileges, config->data_dir, config->wal_dir,
                         config->force, &server->dir);
    if (err == ERR_OK) {
        err = server__confine(server);
    }
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

static enum err open_peers(struct server *server)
{
    struct peers_config config = {
        .peer_urls = server->peer_urls,
        .heartbeat_ms = server->config->heartbeat_interval_ms,
        .snapshot_bytes_per_s = SNAPSHOT_BYTES_PER_S,
        .on_turn = server__on_peers_turn,
        .on_http = server__on_peer_http,
        .tls = server->peer_out_tls,
        .on_refused = server__on_refused,
        .context = server,
    };
    return peers_new(&config, &server->peers);
}

static void fill_shared(struct server *server, int argc, char *const *argv)
{
    const struct config *config = server->config;
    struct api_shared *shared = &server->shared;
    shared->node = server->node;
    shared->clock = clock_posix();
    shared->name = config->name;
    shared->cors = config->cors.at;
    shared->cors_count = config->cors.count;
    shared->key_bytes_max = LIMIT_KEY_BYTES_MAX;
    shared->watchers_max = LIMIT_WATCHERS_MAX;
    shared->quota_bytes = server__quota_of(config);
    shared->argc = argc;
    shared->argv = argv;
    shared->machine = machine_of;
    shared->kv_stat = kv_stat_of;
    shared->kv_context = server->kv;
    shared->peers = peers_of;
    shared->peers_context = server->peers;
}

static size_t io_threads_of(const struct config *config)
{
    int processors = machine_processors();
    int count = config->io_threads;
    if (count == 0) {
        count = processors > 2 ? processors / 2 : 1;
    }
    return (size_t)(count < SERVER_IO_THREADS_MAX ? count
                                                  : SERVER_IO_THREADS_MAX);
}

/* "Without bound" can't be kept: each stream is memory. */
static uint32_t streams_max_of(const struct config *config)
{
    return config->max_concurrent_streams < STREAMS_MAX
               ? (uint32_t)config->max_concurrent_streams
               : STREAMS_MAX;
}

static enum err start_threads(struct server *server)
{
    size_t count = io_threads_of(server->config);
    struct node_progress progress;
    enum err err = ERR_OK;
    for (size_t i = 0; i < count && err == ERR_OK; i++) {
        struct io_config io = {
            .shared = &server->shared,
            .rpc_shared = &server->rpc_shared,
            .recipes = server->recipes,
            .recipes_why_not = server->recipes_why_not,
            .has_gateway = server->config->enable_grpc_gateway,
            .certificates_are_users =
                server->config->client_tls.client_cert_auth,
            .hosts = server->hosts,
            .limits = server->limits,
            .streams_max = streams_max_of(server->config),
            .ping_min_ms = server->config->grpc_keepalive_min_time_ns / MS_NS,
            .keepalive_ms = server->config->grpc_keepalive_interval_ns / MS_NS,
            .keepalive_timeout_ms =
                server->config->grpc_keepalive_timeout_ns / MS_NS,
            .seed = server__random_seed(),
            .body_bytes_max =
                rpc_body_bytes_max((size_t)server->config->max_request_bytes),
            .stop_ms = STOP_MS,
            .linger_ns = machine_processors() > 1 ? LINGER_NS : 0,
            .on_submitted = server__on_round_submitted,
            .context = server,
        };
        err = io_thread_start(&io, &server->io[i]);
        server->io_count += err == ERR_OK ? 1 : 0;
    }
    if (err == ERR_OK) {
        err = server__bound_connections(server);
    }
    if (err == ERR_OK) {
        node_progress(server->node, &progress);
        worker_start(server->core);
        worker_start(server->backend);
        peers_start(server->peers, server->node, progress.cluster_id,
                    progress.member_id);
    }
    return err;
}

static enum err start_loop(struct server *server)
{
    int failed = uv_loop_init(&server->loop);
    if (failed != 0) {
        return err_set(err_from_errno(-failed), "make an event loop: %s",
                       uv_strerror(failed));
    }
    /* The loop has all the file descriptors that these need. */
    failed = uv_async_init(&server->loop, &server->told, server__on_told);
    CHECK_EQ(failed, 0);
    uv_timer_init(&server->loop, &server->accept_again);
    uv_timer_init(&server->loop, &server->watch);
    uv_timer_init(&server->loop, &server->handover);
    uv_timer_init(&server->loop, &server->tls_look);
    uv_timer_init(&server->loop, &server->auth_look);
    return ERR_OK;
}

/* ---- stopping ------------------------------------------------------------ */

static void close_handle(uv_handle_t *handle, void *context)
{
    struct server *server = context;
    if (handle != (uv_handle_t *)&server->told) {
        uv_close(handle, NULL);
    }
}

/* Nobody can connect any more, and a second signal ends the process at once.
 * `told` stays open, as the workers may still send it. */
static void close_ports(struct server *server)
{
    uv_walk(&server->loop, close_handle, server);
    uv_run(&server->loop, UV_RUN_NOWAIT);
    server__close_ports(server);
}

static void close_loop(struct server *server)
{
    uv_close((uv_handle_t *)&server->told, NULL);
    uv_run(&server->loop, UV_RUN_DEFAULT);
    int failed = uv_loop_close(&server->loop);
    CHECK_EQ(failed, 0);
}

static bool join_io_threads(struct server *server, int64_t wait_ms)
{
    int64_t until_ms = server__now_ms() + wait_ms;
    for (size_t i = 0; i < server->io_count; i++) {
        int64_t left_ms = until_ms - server__now_ms();
        if (!io_thread_join(server->io[i], left_ms > 0 ? left_ms : 0)) {
            return false;
        }
    }
    return true;
}

/* From the outside in: no new connections, then the I/O threads with what is
 * on its way, then the other members, then the core and the backend. Each may
 * still wake those that were stopped before it, so all are freed at the end. */
static enum err stop_threads(struct server *server)
{
    atomic_store(&server->stopping, true);
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
    server__stop_tls(server);
    if (server->work != NULL) {
        work_pool_stop(server->work);
    }
    /* A snapshot that is being installed needs the core's turns. */
    if (server->peers != NULL) {
        peers_stop(server->peers);
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
    recipes_free(server->recipes);
    server->recipes = NULL;
    return ERR_OK;
}

static void close_files(struct server *server)
{
    node_close(server->node);
    peers_free(server->peers);
    work_pool_free(server->work);
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
    server__close_tls(server);
    server__close_auth(server);
    server__close_process(server);
    lock_posix_free(server->lock);
    lock_posix_free(server->auth_lock);
    mem_free(server->client_urls);
    mem_free(server->peer_urls);
    mem_free(server->proxy_of);
    mem_free(server->recipes_why_not);
}

static enum err start(struct server *server, const struct server_args *args)
{
    enum err err = server__open_process(server);
    if (err == ERR_OK) {
        err = server__listen(server);
    }
    if (err == ERR_OK) {
        err = open_files(server);
    }
    if (err == ERR_OK) {
        err = server__open_tls(server);
    }
    if (err == ERR_OK) {
        err = server__open_auth(server);
    }
    if (err == ERR_OK) {
        err = open_peers(server);
    }
    if (err == ERR_OK) {
        err = server__open_node(server);
    }
    if (err == ERR_OK && server->proxy_of == NULL) {
        fill_shared(server, args->argc, args->argv);
        server__fill_auth(server);
        server__fill_rpc(server);
        err = server__open_recipes(server);
        server__fill_process(server);
        if (err == ERR_OK) {
            err = start_threads(server);
        }
        if (err == ERR_OK) {
            err = server__start_tls(server);
        }
        server__start_auth(server);
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
    server->auth_lock = lock_posix_new();
    pthread_mutex_init(&server->turn, NULL);
    server->core = worker_new("core", server__core_turn, server);
    server->backend = worker_new("backend", server__backend_turn, server);
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
    if (err == ERR_OK && server->proxy_of == NULL) {
        server__start_accepting(server);
        server__start_watch(server);
        if (server->recipes != NULL) {
            recipes_start(server->recipes);
        }
        uv_run(&server->loop, UV_RUN_DEFAULT);
    }
    /* While it still serves: what recipes work on is handed over. */
    recipes_join(server->recipes);
    close_ports(server);
    enum err stopped = stop_threads(server);
    if (stopped != ERR_OK) {
        *ended = false;
        return stopped;
    }
    close_loop(server);
    if (server->proxy_of != NULL && args->on_proxy != NULL) {
        args->on_proxy(args->context, server->proxy_of);
    } else if (server->proxy_of != NULL) {
        err = err_set(ERR_FULL, "the cluster that was discovered is full");
    }
    close_files(server);
    mem_free(server);
    return err;
}
