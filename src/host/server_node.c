/* From the flags to a node: who belongs to its cluster, and its
 * configuration. */
#include "base/limits.h"
#include "base/log.h"
#include "host/clock_posix.h"
#include "host/recipes_history.h"
#include "host/server_int.h"

enum {
    QUOTA_BYTES_DEFAULT_GIB = 2,
    /* The log in memory for followers that are behind: beyond it a snapshot
     * takes less than the entries would. */
    CATCH_UP_BYTES_MAX = 256 * 1024 * 1024,
};

uint64_t server__quota_of(const struct config *config)
{
    if (config->quota_backend_bytes < 0) {
        return 0;
    }
    return config->quota_backend_bytes > 0
               ? (uint64_t)config->quota_backend_bytes
               : (uint64_t)QUOTA_BYTES_DEFAULT_GIB << 30;
}

static void set_compaction(const struct config *config,
                           struct node_config *node)
{
    switch (config->auto_compaction_mode) {
    case CONFIG_COMPACTION_PERIODIC:
        node->compaction = NODE_COMPACTION_PERIODIC;
        node->compaction_keep = config->auto_compaction_period_ns;
        break;
    case CONFIG_COMPACTION_REVISION:
        node->compaction = NODE_COMPACTION_REVISION;
        node->compaction_keep = config->auto_compaction_revisions;
        break;
    case CONFIG_COMPACTION_OFF:
        node->compaction = NODE_COMPACTION_OFF;
        break;
    }
}

static void set_cluster(const struct config *config,
                        const struct bootstrap *found, struct node_config *node)
{
    node->cluster_id = found->cluster_id;
    node->member_id = found->member_id;
    node->members = found->members;
    node->member_count = found->member_count;
    node->force_new_cluster = config->force_new_cluster;
    node->strict_reconfig = config->strict_reconfig_check;
    node->pre_vote = config->pre_vote;
    node->catch_up_entries = (size_t)config->snapshot_catchup_entries;
    node->catch_up_bytes = CATCH_UP_BYTES_MAX;
    node->remove_delay_min_s = 2;
    node->cluster = (struct node_cluster_config){
        .active_size = (uint64_t)config->cluster_active_size,
        .remove_delay_s = (double)config->cluster_remove_delay_ns / 1e9,
        .sync_interval_s = (double)config->cluster_sync_interval_ns / 1e9,
    };
}

static enum err open_found(struct server *server, const struct bootstrap *found)
{
    const struct config *config = server->config;
    struct node_config node = {
        .ports = {.clock = clock_posix(),
                  .disk = server->disk,
                  .kv = server->kv,
                  .lock = server->lock,
                  .auth_lock = server->auth_lock,
                  .net = peers_net(server->peers)},
        .name = config->name,
        .client_urls = server->client_urls,
        .peer_urls = server->peer_urls,
        .seed = server__random_seed(),
        .heartbeat_ms = config->heartbeat_interval_ms,
        .election_ms = config->election_timeout_ms,
        .wal_segment_bytes = LIMIT_WAL_SEGMENT_BYTES,
        .unsafe_no_sync = config->unsafe_no_fsync,
        .quota_bytes = server__quota_of(config),
        .flush_revisions = config->backend_batch_limit > 0
                               ? (size_t)config->backend_batch_limit
                               : LIMIT_FLUSH_REVISIONS,
        .tokens = server__tokens(server),
        .on_commits = server__on_commits,
        .on_answered = server__on_answered,
        .on_jump = server__on_jump,
        .on_flush_due = server__on_flush_due,
        .on_submitted = server__on_submitted,
        .context = server,
    };
    set_compaction(config, &node);
    node.oldest_wanted = recipes_oldest_cursor;
    set_cluster(config, found, &node);
    return node_open(&node, &server->node);
}

enum err server__open_node(struct server *server)
{
    struct arena arena;
    struct bootstrap found = {0};
    arena_init(&arena, 0);
    enum err err = bootstrap_run(server->config, &arena, &found);
    if (err == ERR_OK && found.proxy_of != NULL) {
        server->proxy_of = mem_strdup(found.proxy_of);
    } else if (err == ERR_OK) {
        err = server__start_signals(server);
        if (err == ERR_OK) {
            err = open_found(server, &found);
        }
    }
    arena_deinit(&arena);
    return err;
}
