/* What v3's services need of the whole server: long work on threads of its own,
 * and the database as a file. */
#include <unistd.h>

#include "base/check.h"
#include "host/server_int.h"
#include "host/snapshot_file.h"

enum { WORK_THREADS_MAX = 4 };

static void submit_work(void *context, struct rpc_work *work)
{
    struct server *server = context;
    work_pool_submit(server->work, work);
}

static enum err export_to(struct server *server, int fd, uint64_t *bytes)
{
    struct snapshot_sink sink;
    struct mvcc_reader *reader;
    enum err err = mvcc_reader_new(node_mvcc(server->node), &reader);
    if (err != ERR_OK) {
        return err;
    }
    snapshot_sink_init(&sink, fd, &server->stopping);
    struct etcdb_export config = {
        .node = server->node,
        .reader = reader,
        .sink = &sink.sink,
    };
    err = etcdb_export(&config, bytes);
    mvcc_reader_free(reader);
    return err;
}

static enum err make_snapshot(void *context, struct rpc_snapshot *out)
{
    struct server *server = context;
    uint64_t bytes = 0;
    int fd;
    *out = (struct rpc_snapshot){.fd = -1};
    enum err err = snapshot_file_open(server->dir.path, &fd);
    if (err != ERR_OK) {
        return err;
    }
    err = export_to(server, fd, &bytes);
    if (err == ERR_OK) {
        err = snapshot_file_seal(fd, bytes);
    }
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
    server->rpc_shared = (struct rpc_shared){
        .api = &server->shared,
        .request_bytes_max = (size_t)config->max_request_bytes,
        .txn_ops_max = (size_t)config->max_txn_ops,
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
