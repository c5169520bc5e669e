/* What a running server waits for: to be ready, to be told to stop, to be
 * removed from its cluster. All on the main thread's loop. */
#include <signal.h>
#include <string.h>

#include "base/check.h"
#include "base/list.h"
#include "base/log.h"
#include "base/version.h"
#include "host/harden.h"
#include "host/server_int.h"

enum {
    READY_LOOK_MS = 10,
    WATCH_LOOK_MS = 200,
    HANDOVER_LOOK_MS = 5,
};

/* ---- ready --------------------------------------------------------------- */

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
static void say_ready(const struct server *server,
                      const struct node_progress *progress)
{
    const struct config *config = server->config;
    log_info("host", "published the member's name and client URLs",
             LOG_STR("name", config->name),
             LOG_HEX("member", progress->member_id),
             LOG_HEX("cluster", progress->cluster_id));
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
                 LOG_INT("revision", progress->revision));
        buf_deinit(&command);
    }
}

/* Last, so that nobody overlooks it. */
static void warn_open(struct server *server)
{
    bool has_users = auth_is_on(node_auth(server->node));
    (void)harden_warn_open(server->config, has_users);
}

/* The others can tell who this is, and writes find a leader. */
static bool is_published(struct server *server,
                         const struct node_progress *progress)
{
    struct arena arena;
    struct node_member member;
    if (progress->leader == 0) {
        return false;
    }
    arena_init(&arena, 0);
    lock_read(node_lock(server->node));
    bool published =
        node_member(server->node, progress->member_id, &arena, &member) &&
        slice_eq(member.name, slice_str(server->config->name)) &&
        slice_eq(member.client_urls, slice_str(server->client_urls));
    unlock_read(node_lock(server->node));
    arena_deinit(&arena);
    return published;
}

/* ---- the end ------------------------------------------------------------- */

static void end_removed(struct server *server)
{
    log_error("host",
              "this member was removed from its cluster and ends; to come "
              "back it is added again, and starts with an empty data "
              "directory",
              LOG_STR("data_dir", server->dir.path));
    uv_stop(&server->loop);
}

void server__on_told(uv_async_t *told)
{
    struct server *server = CONTAINER_OF(told, struct server, told);
    if (atomic_load(&server->failure) == ERR_OK &&
        atomic_load(&server->removed)) {
        end_removed(server);
        return;
    }
    uv_stop(&server->loop);
}

/* On the peers thread. A wrong cluster has been logged there: the other one
 * may be in the wrong, and this member may be served by the rest. */
void server__on_refused(void *context, enum err why, const char *text)
{
    struct server *server = context;
    (void)text;
    if (why == ERR_GONE && !atomic_exchange(&server->removed, true)) {
        uv_async_send(&server->told);
    }
}

static void on_watch(uv_timer_t *timer)
{
    struct server *server = CONTAINER_OF(timer, struct server, watch);
    struct node_progress progress;
    node_progress(server->node, &progress);
    if (progress.is_removed) {
        uv_timer_stop(timer);
        end_removed(server);
        return;
    }
    if (!server->is_ready && is_published(server, &progress)) {
        server->is_ready = true;
        say_ready(server, &progress);
        warn_open(server);
        uv_timer_start(timer, on_watch, WATCH_LOOK_MS, WATCH_LOOK_MS);
    }
}

void server__start_watch(struct server *server)
{
    uv_timer_start(&server->watch, on_watch, READY_LOOK_MS, READY_LOOK_MS);
    on_watch(&server->watch);
    if (!server->is_ready) {
        log_info("host", "waiting for the cluster to have a leader, and to "
                         "know this member");
    }
}

/* ---- signals ------------------------------------------------------------- */

/* A leader that just went would cost its clients an election. */
static bool has_successor(struct server *server)
{
    struct peers_stat stat;
    struct node_progress progress;
    node_progress(server->node, &progress);
    return progress.role == RAFT_LEADER &&
           peers_stats(server->peers, &stat, 1) > 0;
}

static void on_handover(uv_timer_t *timer)
{
    struct server *server = CONTAINER_OF(timer, struct server, handover);
    struct node_progress progress;
    node_progress(server->node, &progress);
    bool done = progress.role != RAFT_LEADER && progress.leader != 0;
    if (done || server__now_ms() >= server->handover_until_ms) {
        uv_timer_stop(timer);
        uv_stop(&server->loop);
    }
}

static void begin_stop(struct server *server)
{
    recipes_begin_stop(server->recipes);
    if (server->handover_until_ms != 0 || !has_successor(server)) {
        uv_stop(&server->loop);
        return;
    }
    server->handover_until_ms =
        server__now_ms() + server->config->election_timeout_ms;
    node_transfer(server->node, 0);
    uv_timer_start(&server->handover, on_handover, HANDOVER_LOOK_MS,
                   HANDOVER_LOOK_MS);
}

static void on_signal(uv_signal_t *signal, int number)
{
    struct server *server = signal->data;
    if (number == SIGHUP) {
        if (server->reload != NULL) {
            server->reload(server->reload_context);
        }
        audit_log_reopen(server->audit);
        return;
    }
    log_info("host", "stopping",
             LOG_STR("signal", number == SIGINT ? "SIGINT" : "SIGTERM"));
    begin_stop(server);
}

enum err server__start_signals(struct server *server)
{
    const int numbers[] = {SIGTERM, SIGINT, SIGHUP};
    for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++) {
        uv_signal_init(&server->loop, &server->signals[i]);
        server->signals[i].data = server;
        int failed =
            uv_signal_start(&server->signals[i], on_signal, numbers[i]);
        if (failed != 0) {
            return err_set(err_from_errno(-failed), "catch signals: %s",
                           uv_strerror(failed));
        }
    }
    return ERR_OK;
}
