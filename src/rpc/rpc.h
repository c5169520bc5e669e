/* v3's services for one I/O thread: gRPC and its JSON gateway. No sockets, as
 * api/ beside it: taken streams come in from wire/http2, the gateway's requests
 * from wire/http1 or http2; writes go to the node; answers and commits come
 * back through the host.
 *
 *   http2 on_head/on_data --> call --> method's handler --> node
 *   http  /v3/... ----------> call -'                        | on_answer
 *   wire <-- message, trailers <-- call <-- rpc_answer <-----'
 *
 * Threads: everything on the one I/O thread that owns the struct, but the
 *          on_answer callback (the writer's).
 */
#ifndef ETCHED_RPC_RPC_H
#define ETCHED_RPC_RPC_H

#include "api/api.h"
#include "port/work.h"
#include "wire/http2.h"

/* How the database leaves as a file in etcd's format (etcdb/): host's, since
 * it takes a file. Any thread but a loop's. The file is open for reading, at
 * its begin, and has no name any more; the caller closes it.
 * Errors: ERR_IO, ERR_DISK_FULL, ERR_COMPACTED. */
struct rpc_snapshot {
    int fd;
    uint64_t bytes; /* with the 32 of its SHA-256 at the end */
};

/* What all I/O threads share, beside api_shared. */
struct rpc_shared {
    struct api_shared *api;
    size_t request_bytes_max;
    size_t txn_ops_max;
    size_t learners_max;       /* 0: one, as etcd */
    int64_t watch_progress_ms; /* how often an idle watch that asked is told */
    /* Any thread: runs `work` on a worker. */
    void (*submit_work)(void *context, struct work *work);
    enum err (*snapshot)(void *context, struct rpc_snapshot *out);
    /* Reads at the file's place, up to `size`; 0: its end. */
    enum err (*snapshot_read)(void *context, struct rpc_snapshot *snapshot,
                              char *out, size_t size, size_t *got);
    void (*snapshot_close)(void *context, struct rpc_snapshot *snapshot);
    /* The backend gives back what can be given back (Defragment). On a
     * worker's thread; it returns when that is done. */
    void (*defragment)(void *context);
    void *context;
};

struct rpc;

struct rpc_config {
    struct rpc_shared *shared; /* outlives it */
    uint64_t seed;
    /* As api_config's. */
    void (*on_answer)(void *context, struct queue_link *answer);
    void (*on_watching)(void *context, bool watching);
    /* Work is done (on the worker's thread): hand it to this I/O thread, which
     * calls rpc_worked. */
    void (*on_worked)(void *context, struct work *work);
    void *context;
};

enum err rpc_new(const struct rpc_config *config, struct rpc **out) MUST_USE;
/* Needs: rpc_stop, and rpc_pending is 0. */
void rpc_free(struct rpc *rpc);

/* The longest body of a request over HTTP that may have a place here: base64,
 * as the gateway's clients send it, is longer than what it stands for. */
size_t rpc_body_bytes_max(size_t request_bytes_max);

/* For http2_config.streaming: takes what has `content-type: application/grpc`.
 */
struct http2_streaming *rpc_streaming(struct rpc *rpc);
/* True: this request is the gateway's ("/v3/...", "/v3beta/..."). */
bool rpc_is_gateway(struct slice path);
void rpc_gateway(struct rpc *rpc, struct http_exchange *exchange);

void rpc_answer(struct rpc *rpc, struct queue_link *answer);
void rpc_worked(struct rpc *rpc, struct work *work);
void rpc_commits(struct rpc *rpc, struct mvcc_commit *const *commits,
                 size_t count);
void rpc_jump(struct rpc *rpc, revision newest);
bool rpc_catch_up(struct rpc *rpc);
/* Deadlines, progress notifications, leaders lost: called when
 * rpc_deadline_ms (monotonic) has come, and at least every half second. */
void rpc_tick(struct rpc *rpc, int64_t now_ms);
int64_t rpc_deadline_ms(const struct rpc *rpc);
/* Ends all streams; new calls get UNAVAILABLE. */
void rpc_stop(struct rpc *rpc);
size_t rpc_pending(const struct rpc *rpc);

/* Appends what v3 has counted in this process and this node has applied, as
 * /metrics gives it: for api_shared.metrics. Any thread. */
void rpc_metrics(const struct node *node, struct buf *out);

#endif
