/* What v3's services need of the whole server: long work on threads of its own,
 * and the database as a file. */
#include <unistd.h>

#include "base/check.h"
#include "host/server_int.h"
#include "host/snapshot_file.h"

enum { WORK_THREADS_MAX = 4, EXPORT_TRIES = 10 };

static void submit_work(void *context, struct work *work)
{
    struct server *server = context;
    work_pool_submit(server->work, work);
}

static enum err export_to(struct server *server,
                          const struct snapshot_sink *sink, uint64_t *bytes)
{
    struct mvcc_reader *reader;
    enum err err = mvcc_reader_new(node_mvcc(server->node), &reader);
    if (err != ERR_OK) {
        return err;
    }
    struct etcdb_export config = {
        .node = server->node,
        .reader = reader,
        .sink = &sink->sink,
    };
    err = etcdb_export(&config, bytes);
    mvcc_reader_free(reader);
    return err;
}

/* What a compaction has overtaken is begun anew, as of then. They would have to
 * come one close behind the other for a client to hear of it. */
static enum err fill(struct server *server, const struct snapshot_sink *sink,
                     uint64_t *bytes)
{
    enum err err = ERR_COMPACTED;
    for (int i = 0; i < EXPORT_TRIES && err == ERR_COMPACTED; i++) {
        err = export_to(server, sink, bytes);
    }
    return err == ERR_OK ? snapshot_file_seal(sink, *bytes) : err;
}

static enum err make_snapshot(void *context, struct rpc_snapshot *out)
{
    struct server *server = context;
    struct snapshot_sink sink;
    uint64_t bytes = 0;
    int fd;
    *out = (struct rpc_snapshot){.fd = -1};
    enum err err = snapshot_file_open(server->dir.path, &fd);
    if (err != ERR_OK) {
        return err;
    }
    snapshot_sink_init(&sink, fd, &server->stopping);
    err = fill(server, &sink, &bytes);
    if (err != ERR_OK) {
        close(fd);
        return err_wrap(err, "a snapshot for a client");
    }
    out->fd = fd;
    out->bytes = bytes + SNAPSHOT_HASH_BYTES;
    return ERR_OK;
}

static enum err read_snapshot(void *context, struct rpc_snapshot *snapshot,
                              char *out, size_t size, size_t *got)
{
    (void)context;
    return snapshot_file_read(snapshot->fd, out, size, got);
}

static void close_snapshot(void *context, struct rpc_snapshot *snapshot)
{
    (void)context;
    if (snapshot->fd >= 0) {
        close(snapshot->fd);
    }
    snapshot->fd = -1;
}

/* The kv file gives its free pages to what comes next, by itself. What can be
 * given back is memory: of what was flushed, once that is done. */
static void defragment(void *context)
{
    struct server *server = context;
    server__on_flush_due(server);
    mem_trim();
}

void server__fill_rpc(struct server *server)
{
    const struct config *config = server->config;
    server->work = work_pool_new(WORK_THREADS_MAX);
    server->shared.submit_work = submit_work;
    server->shared.work_context = server;
    server->shared.body_bytes_max = (size_t)config->max_request_bytes;
    server->shared.metrics = rpc_metrics;
    server->shared.strict_reconfig = config->strict_reconfig_check;
    server->rpc_shared = (struct rpc_shared){
        .api = &server->shared,
        .request_bytes_max = (size_t)config->max_request_bytes,
        .txn_ops_max = (size_t)config->max_txn_ops,
        .learners_max = (size_t)config->max_learners,
        .watch_progress_ms =
            config->watch_progress_notify_interval_ns / 1000000,
        .submit_work = submit_work,
        .snapshot = make_snapshot,
        .snapshot_read = read_snapshot,
        .snapshot_close = close_snapshot,
        .defragment = defragment,
        .context = server,
    };
}
