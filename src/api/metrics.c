/* /metrics: Prometheus' text format 0.0.4. Where etcd has a name for what we
 * count, it is that name, so that dashboards and alerts go on working; what is
 * only ours begins with etched_.
 *
 * Threads: the meters count for the whole process. */
#include "api/api_int.h"
#include "base/check.h"
#include "base/version.h"

/* ---- meters ------------------------------------------------------------- */

static _Atomic uint64_t meters[METER_COUNT];

/* Of writes: from 64 microseconds on, each bucket twice the one before. */
enum { WRITE_BUCKETS = 18, WRITE_BUCKET_FIRST_NS = 64000 };

static struct {
    _Atomic uint64_t buckets[WRITE_BUCKETS + 1]; /* not summed up; +Inf last */
    _Atomic uint64_t sum_ns;
} writes;

static void add(_Atomic uint64_t *to, uint64_t by)
{
    atomic_fetch_add_explicit(to, by, memory_order_relaxed);
}

static uint64_t get(_Atomic uint64_t *from)
{
    return atomic_load_explicit(from, memory_order_relaxed);
}

void meter__count(enum meter meter)
{
    CHECK_LT(meter, METER_COUNT);
    add(&meters[meter], 1);
}

void meter__write(int64_t took_ns)
{
    uint64_t ns = took_ns > 0 ? (uint64_t)took_ns : 0;
    uint64_t end = WRITE_BUCKET_FIRST_NS;
    size_t i = 0;
    while (i < WRITE_BUCKETS && ns > end) {
        end *= 2;
        i++;
    }
    add(&writes.buckets[i], 1);
    add(&writes.sum_ns, ns);
}

/* ---- the text ----------------------------------------------------------- */

static void head(struct buf *out, const char *name, const char *type,
                 const char *help)
{
    buf_printf(out, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, type);
}

static void number(struct buf *out, const char *name, const char *type,
                   uint64_t value, const char *help)
{
    head(out, name, type, help);
    buf_printf(out, "%s %llu\n", name, (unsigned long long)value);
}

static void gauge(struct buf *out, const char *name, uint64_t value,
                  const char *help)
{
    number(out, name, "gauge", value, help);
}

static void counter(struct buf *out, const char *name, uint64_t value,
                    const char *help)
{
    number(out, name, "counter", value, help);
}

static void seconds(struct buf *out, const char *name, const char *type,
                    double value, const char *help)
{
    head(out, name, type, help);
    buf_printf(out, "%s %.17g\n", name, value);
}

/* A gauge of 1 whose label says something. */
static void label(struct buf *out, const char *name, const char *label_name,
                  const char *value, const char *help)
{
    head(out, name, "gauge", help);
    buf_printf(out, "%s{%s=\"%s\"} 1\n", name, label_name, value);
}

/* A histogram of which only the sum is known. */
static void timed(struct buf *out, const char *name, uint64_t count,
                  uint64_t sum_ns, const char *help)
{
    head(out, name, "histogram", help);
    buf_printf(out, "%s_bucket{le=\"+Inf\"} %llu\n", name,
               (unsigned long long)count);
    buf_printf(out, "%s_sum %.17g\n%s_count %llu\n", name, (double)sum_ns / 1e9,
               name, (unsigned long long)count);
}

/* ---- of the server ------------------------------------------------------ */

static void write_server(struct api *api, struct buf *out)
{
    struct node_progress progress;
    struct node_counters counters;
    char id[24];
    node_progress(api->node, &progress);
    node_counters(api->node, &counters);
    memcpy(id, api->member_id.at, api->member_id.size);
    id[api->member_id.size] = '\0';
    label(out, "etcd_cluster_version", "cluster_version",
          ETCHED_CLUSTER_API_VERSION, "The cluster's API version.");
    label(out, "etcd_server_version", "server_version", ETCHED_API_VERSION,
          "The API version that this server speaks.");
    label(out, "etched_build_info", "version", ETCHED_VERSION,
          "This server's own version.");
    label(out, "etcd_server_id", "server_id", id, "The member's id.");
    gauge(out, "etcd_server_has_leader", progress.leader != 0,
          "Whether this member knows a leader.");
    gauge(out, "etcd_server_is_leader", progress.role == RAFT_LEADER,
          "Whether this member is the leader.");
    gauge(out, "etcd_server_is_learner", progress.is_learner,
          "Whether this member is a learner.");
    counter(out, "etcd_server_leader_changes_seen_total",
            counters.leader_changes, "Changes of the leader seen.");
    gauge(out, "etcd_server_proposals_committed_total", progress.committed,
          "The newest committed index of the log.");
    gauge(out, "etcd_server_proposals_applied_total", progress.applied,
          "The newest applied index of the log.");
    gauge(out, "etcd_server_proposals_pending", progress.pending,
          "Writes that wait to be proposed.");
    counter(out, "etcd_server_proposals_failed_total",
            counters.proposals_failed, "Writes that were refused.");
    gauge(out, "etcd_server_quota_backend_bytes", api->shared->quota_bytes,
          "What the store may hold.");
    counter(out, "etcd_server_health_success",
            get(&meters[METER_HEALTH_SUCCESS]), "Health checks that passed.");
    counter(out, "etcd_server_health_failures",
            get(&meters[METER_HEALTH_FAILURES]), "Health checks that failed.");
    counter(out, "etcd_server_read_indexes_total", counters.reads_confirmed,
            "Linearizable reads that a quorum confirmed.");
    counter(out, "etched_forwarded_total", counters.forwarded,
            "Writes that were handed to the leader.");
    counter(out, "etched_snapshots_installed_total",
            counters.snapshots_installed,
            "Snapshots that replaced this member's store.");
    counter(out, "etched_messages_received_total", counters.messages_received,
            "Messages of other members.");
    counter(out, "etched_messages_dropped_total", counters.messages_dropped,
            "Messages of other members that were not taken in.");
    head(out, "etcd_debugging_server_alarms", "gauge",
         "Whether an alarm is raised.");
    buf_printf(out,
               "etcd_debugging_server_alarms{server_id=\"%s\",alarm_type="
               "\"NOSPACE\"} %d\n",
               id, progress.no_space);
}

/* ---- of the other members ----------------------------------------------- */

static void peer_numbers(struct buf *out, const char *name, const char *label,
                         const struct api_peer *peers, size_t count,
                         size_t field, const char *help)
{
    head(out, name, "counter", help);
    for (size_t i = 0; i < count; i++) {
        uint64_t value;
        memcpy(&value, (const char *)&peers[i] + field, sizeof(value));
        buf_printf(out, "%s{%s=\"%llx\"} %llu\n", name, label,
                   (unsigned long long)peers[i].member,
                   (unsigned long long)value);
    }
}

static void write_peers(struct api *api, struct buf *out)
{
    struct api_peer peers[RAFT_MEMBERS_MAX];
    struct node_progress progress;
    const char *name = "etcd_network_active_peers";
    if (api->shared->peers == NULL) {
        return;
    }
    node_progress(api->node, &progress);
    size_t count =
        api->shared->peers(api->shared->peers_context, peers, RAFT_MEMBERS_MAX);
    if (count == 0) {
        return;
    }
    head(out, name, "gauge", "Whether another member is connected.");
    for (size_t i = 0; i < count; i++) {
        buf_printf(out, "%s{Local=\"%llx\",Remote=\"%llx\"} %d\n", name,
                   (unsigned long long)progress.member_id,
                   (unsigned long long)peers[i].member, peers[i].connected);
    }
    peer_numbers(out, "etcd_network_peer_sent_bytes_total", "To", peers, count,
                 offsetof(struct api_peer, sent_bytes),
                 "Bytes sent to another member.");
    peer_numbers(out, "etcd_network_peer_received_bytes_total", "From", peers,
                 count, offsetof(struct api_peer, received_bytes),
                 "Bytes received from another member.");
    peer_numbers(out, "etcd_network_peer_sent_failures_total", "To", peers,
                 count, offsetof(struct api_peer, send_failures),
                 "Messages to another member that were lost here.");
}

/* ---- of the disk -------------------------------------------------------- */

static void write_disk(struct api *api, struct buf *out)
{
    struct node_counters counters;
    struct kv_stat stat = {0};
    node_counters(api->node, &counters);
    if (api->shared->kv_stat != NULL) {
        api->shared->kv_stat(api->shared->kv_context, &stat);
    }
    timed(out, "etcd_disk_wal_fsync_duration_seconds", counters.wal_syncs,
          counters.wal_sync_ns, "How long the log's syncs took.");
    gauge(out, "etcd_disk_wal_write_bytes_total", counters.wal_bytes,
          "Bytes written to the log.");
    timed(out, "etcd_disk_backend_commit_duration_seconds", counters.flushes,
          counters.flush_ns, "How long the store's transactions took.");
    gauge(out, "etcd_mvcc_db_total_size_in_bytes", stat.file_bytes,
          "The size of the store's file.");
    gauge(out, "etcd_mvcc_db_total_size_in_use_in_bytes", stat.in_use_bytes,
          "What of it is in use.");
    counter(out, "etched_log_batches_total", counters.batches,
            "Groups of writes that shared one sync.");
}

/* ---- of the store ------------------------------------------------------- */

static void write_store(struct api *api, struct buf *out)
{
    struct mvcc_status status;
    struct node_counters counters;
    node_counters(api->node, &counters);
    api__read_begin(api);
    mvcc_status(node_mvcc(api->node), &status);
    size_t leases = lease_count(node_leases(api->node));
    api__read_end(api);
    gauge(out, "etcd_debugging_mvcc_keys_total", status.keys,
          "Keys that live.");
    gauge(out, "etched_directories", status.dirs, "Directories that live.");
    gauge(out, "etcd_debugging_mvcc_current_revision", (uint64_t)status.current,
          "The newest revision.");
    gauge(out, "etcd_debugging_mvcc_compact_revision",
          (uint64_t)status.compacted,
          "The newest revision that was compacted.");
    counter(out, "etched_compactions_total", counters.compactions,
            "How often history was compacted.");
    gauge(out, "etched_leases", leases, "Leases and TTLs that run.");
    gauge(out, "etched_index_bytes", status.index_bytes,
          "Memory of the index.");
    gauge(out, "etched_tail_bytes", status.tail_bytes,
          "Memory of what is not in the store's file yet.");
    gauge(out, "etched_tail_commits", status.tail_commits,
          "Commits that are not in the store's file yet.");
}

/* ---- of quotas by prefix ------------------------------------------------ */

/* As the format wants it; what is no UTF-8 is shown as '?'. */
static void label_text(struct buf *out, struct slice text)
{
    bool is_text = slice_is_utf8(text);
    for (size_t i = 0; i < text.size; i++) {
        char c = text.at[i];
        if (c == '"' || c == '\\') {
            buf_append_char(out, '\\');
        }
        if (c == '\n') {
            buf_append_str(out, "\\n");
        } else {
            buf_append_char(out, c == '\0' || (!is_text && c < 0) ? '?' : c);
        }
    }
}

static void quota_numbers(struct buf *out, const char *name, const char *help,
                          const struct node_quota *quotas, size_t count,
                          size_t field)
{
    head(out, name, "gauge", help);
    for (size_t i = 0; i < count; i++) {
        uint64_t value;
        memcpy(&value, (const char *)&quotas[i] + field, sizeof(value));
        buf_printf(out, "%s{prefix=\"", name);
        label_text(out, quotas[i].prefix);
        buf_printf(out, "\"} %llu\n", (unsigned long long)value);
    }
}

static void write_quotas(struct api *api, struct buf *out)
{
    struct node_counters counters;
    struct node_quota *quotas;
    struct arena arena;
    node_counters(api->node, &counters);
    counter(out, "etched_quota_refused_total", counters.quota_refused,
            "Writes that were refused for the quota of a prefix.");
    arena_init(&arena, 0);
    api__read_begin(api);
    size_t count = node_quotas(api->node, &arena, &quotas);
    api__read_end(api);
    if (count > 0) {
        quota_numbers(out, "etched_quota_keys", "Keys below a prefix.", quotas,
                      count, offsetof(struct node_quota, keys));
        quota_numbers(out, "etched_quota_bytes",
                      "Bytes of keys and values below a prefix.", quotas, count,
                      offsetof(struct node_quota, bytes));
    }
    arena_deinit(&arena);
}

/* ---- of v2 -------------------------------------------------------------- */

struct action {
    const char *name;
    enum api_stat success;
    enum api_stat fail;
};

static void write_actions(struct api *api, struct buf *out, const char *name,
                          const char *help, const struct action *actions,
                          size_t count, bool only_failed)
{
    head(out, name, "counter", help);
    for (size_t i = 0; i < count; i++) {
        uint64_t value = api__stat(api, actions[i].fail);
        if (!only_failed) {
            value += api__stat(api, actions[i].success);
        }
        buf_printf(out, "%s{action=\"%s\"} %llu\n", name, actions[i].name,
                   (unsigned long long)value);
    }
}

static void write_v2(struct api *api, struct buf *out)
{
    static const struct action reads[] = {
        {"get", API_GETS_SUCCESS, API_GETS_FAIL},
    };
    static const struct action changes[] = {
        {"compareAndDelete", API_COMPARE_AND_DELETE_SUCCESS,
         API_COMPARE_AND_DELETE_FAIL},
        {"compareAndSwap", API_COMPARE_AND_SWAP_SUCCESS,
         API_COMPARE_AND_SWAP_FAIL},
        {"create", API_CREATE_SUCCESS, API_CREATE_FAIL},
        {"delete", API_DELETE_SUCCESS, API_DELETE_FAIL},
        {"set", API_SETS_SUCCESS, API_SETS_FAIL},
        {"update", API_UPDATE_SUCCESS, API_UPDATE_FAIL},
    };
    enum { CHANGES = sizeof(changes) / sizeof(changes[0]) };
    struct node_counters counters;
    node_counters(api->node, &counters);
    write_actions(api, out, "etcd_debugging_store_reads_total",
                  "v2 reads of this member.", reads, 1, false);
    write_actions(api, out, "etcd_debugging_store_reads_failed_total",
                  "v2 reads that failed.", reads, 1, true);
    write_actions(api, out, "etcd_debugging_store_writes_total",
                  "v2 writes through this member.", changes, CHANGES, false);
    write_actions(api, out, "etcd_debugging_store_writes_failed_total",
                  "v2 writes that failed.", changes, CHANGES, true);
    counter(out, "etcd_debugging_store_expires_total", counters.leases_expired,
            "v2 keys and directories that expired.");
    counter(out, "etcd_debugging_store_watch_requests_total",
            api__stat(api, API_WATCH_REQUESTS), "v2 watches that were begun.");
    gauge(out, "etcd_debugging_store_watchers", api__stat(api, API_WATCHERS),
          "v2 watches that are open.");
}

static void write_durations(struct buf *out)
{
    const char *name = "etched_v2_write_duration_seconds";
    uint64_t count = 0;
    uint64_t end_ns = WRITE_BUCKET_FIRST_NS;
    head(out, name, "histogram",
         "How long v2 writes took, from the request to its answer.");
    for (size_t i = 0; i < WRITE_BUCKETS; i++) {
        count += get(&writes.buckets[i]);
        buf_printf(out, "%s_bucket{le=\"%.9g\"} %llu\n", name,
                   (double)end_ns / 1e9, (unsigned long long)count);
        end_ns *= 2;
    }
    count += get(&writes.buckets[WRITE_BUCKETS]);
    buf_printf(out, "%s_bucket{le=\"+Inf\"} %llu\n", name,
               (unsigned long long)count);
    buf_printf(out, "%s_sum %.17g\n%s_count %llu\n", name,
               (double)get(&writes.sum_ns) / 1e9, name,
               (unsigned long long)count);
}

static void write_http(struct api *api, struct buf *out)
{
    counter(out, "etched_http_requests_total", api__stat(api, API_REQUESTS),
            "HTTP requests of any kind.");
    gauge(out, "etched_connections", api__stat(api, API_CONNECTIONS),
          "Connections that are open.");
    counter(out, "etched_watch_events_sent_total",
            api__stat(api, API_EVENTS_SENT), "Events sent to watchers.");
}

/* ---- of the process ----------------------------------------------------- */

static void write_process(struct api *api, struct buf *out)
{
    struct api_machine machine;
    api__machine(api, &machine);
    gauge(out, "os_fd_used", machine.fd_used, "File descriptors in use.");
    gauge(out, "os_fd_limit", machine.fd_limit,
          "How many there may be at the most.");
    gauge(out, "process_open_fds", machine.fd_used, "File descriptors in use.");
    gauge(out, "process_max_fds", machine.fd_limit,
          "How many there may be at the most.");
    seconds(out, "process_cpu_seconds_total", "counter", machine.cpu_seconds,
            "User and system CPU time spent.");
    gauge(out, "process_resident_memory_bytes", machine.resident_bytes,
          "Resident memory.");
    gauge(out, "process_virtual_memory_bytes", machine.virtual_bytes,
          "Virtual memory.");
    seconds(out, "process_start_time_seconds", "gauge",
            (double)machine.start_ns / 1e9,
            "When the process started, since 1970.");
}

void api__metrics(struct api *api, struct http_exchange *exchange,
                  struct slice rest)
{
    struct buf *out = api__body(api);
    (void)rest;
    write_server(api, out);
    write_peers(api, out);
    write_disk(api, out);
    write_store(api, out);
    write_quotas(api, out);
    write_v2(api, out);
    write_durations(out);
    write_http(api, out);
    write_process(api, out);
    if (api->shared->metrics != NULL) {
        api->shared->metrics(api->node, out);
    }
    if (api->shared->more_metrics != NULL) {
        api->shared->more_metrics(api->shared->more_metrics_context, out);
    }
    api__respond(api, exchange, 200,
                 SLICE("text/plain; version=0.0.4; charset=utf-8"));
}
