/* The life of a struct rpc, and what comes to it from the host. */
#include "rpc/rpc.h"

#include "base/check.h"
#include "proto/pb.h"
#include "rpc/rpc_int.h"

/* ---- what handlers ask for ------------------------------------------- */

struct buf *rpc__body(struct rpc *rpc)
{
    if (rpc->out.capacity > RPC_OUT_BYTES_KEPT) {
        buf_deinit(&rpc->out);
    }
    buf_reset(&rpc->out);
    return &rpc->out;
}

int64_t rpc__now_ms(const struct rpc *rpc)
{
    return clock_monotonic_ns(rpc->shared->api->clock) / 1000000;
}

static size_t put_number(char *at, uint32_t number, uint64_t value)
{
    if (value == 0) {
        return 0; /* as proto3 has it */
    }
    *at = (char)(number << 3);
    return 1 + put_varint(at + 1, value);
}

static raft_term term_of(const struct rpc *rpc)
{
    struct node_progress progress;
    node_progress(rpc->node, &progress);
    return progress.term;
}

size_t rpc__header(struct rpc *rpc, revision at, char out[RPC_HEADER_BYTES_MAX])
{
    size_t size = 2; /* the field and its length, which is below 128 */
    memcpy(out + size, rpc->ids, rpc->ids_size);
    size += rpc->ids_size;
    size += put_number(out + size, 3, (uint64_t)at);
    size += put_number(out + size, 4, term_of(rpc));
    CHECK_LE(size, RPC_HEADER_BYTES_MAX);
    out[0] = 1 << 3 | PB_BYTES;
    out[1] = (char)(size - 2);
    return size;
}

void rpc__put_header(struct rpc *rpc, struct buf *out, revision at)
{
    char header[RPC_HEADER_BYTES_MAX];
    size_t size = rpc__header(rpc, at, header);
    buf_append(out, header, size);
}

/* ---- life ------------------------------------------------------------ */

static void set_ids(struct rpc *rpc)
{
    struct node_progress progress;
    node_progress(rpc->node, &progress);
    rpc->cluster_id = progress.cluster_id;
    rpc->member_id = progress.member_id;
    rpc->ids_size = put_number(rpc->ids, 1, rpc->cluster_id);
    rpc->ids_size += put_number(rpc->ids + rpc->ids_size, 2, rpc->member_id);
}

enum err rpc_new(const struct rpc_config *config, struct rpc **out)
{
    struct mvcc_reader *reader;
    *out = NULL;
    CHECK(config->on_answer != NULL && config->on_watching != NULL);
    struct node *node = config->shared->api->node;
    enum err err = mvcc_reader_new(node_mvcc(node), &reader);
    if (err != ERR_OK) {
        return err;
    }
    struct rpc *rpc = mem_alloc_zero(sizeof(*rpc));
    rpc->config = *config;
    rpc->shared = config->shared;
    rpc->node = node;
    rpc->reader = reader;
    rpc->known_seed = config->seed * UINT64_C(0x9e3779b97f4a7c15);
    list_init(&rpc->calls);
    list_init(&rpc->withheld);
    list_init(&rpc->movers);
    list_init(&rpc->health_watches);
    list_init(&rpc->steps);
    list_init(&rpc->compactions);
    heap_init(&rpc->deadlines);
    rpc->now_ms = rpc->leader_ms = rpc__now_ms(rpc);
    set_ids(rpc);
    grpc__init(rpc);
    err = watching__new(rpc);
    if (err != ERR_OK) {
        goto err_after_reader;
    }
    *out = rpc;
    return ERR_OK;

err_after_reader:
    heap_deinit(&rpc->deadlines);
    mvcc_reader_free(reader);
    mem_free(rpc);
    return err;
}

void rpc_free(struct rpc *rpc)
{
    if (rpc == NULL) {
        return;
    }
    CHECK_EQ(rpc->task_count, 0);
    CHECK(list_is_empty(&rpc->calls) && list_is_empty(&rpc->withheld));
    watching__free(rpc);
    who__free(rpc);
    task__free_spare(rpc);
    call__free_spare(rpc);
    heap_deinit(&rpc->deadlines);
    buf_deinit(&rpc->out);
    buf_deinit(&rpc->deflated);
    mvcc_reader_free(rpc->reader);
    mem_free(rpc);
}

struct http2_streaming *rpc_streaming(struct rpc *rpc)
{
    return &rpc->streaming;
}

/* ---- from the host --------------------------------------------------- */

void rpc_worked(struct rpc *rpc, struct work *work)
{
    CHECK(!rpc->reading);
    work->done(work);
}

void rpc_commits(struct rpc *rpc, struct mvcc_commit *const *commits,
                 size_t count)
{
    CHECK(!rpc->reading);
    watching__commits(rpc, commits, count);
}

void rpc_jump(struct rpc *rpc, revision newest)
{
    CHECK(!rpc->reading);
    watching__jump(rpc, newest);
}

bool rpc_catch_up(struct rpc *rpc)
{
    CHECK(!rpc->reading);
    bool more = kv__step(rpc);
    return watching__catch_up(rpc) || more;
}

/* ---- time ------------------------------------------------------------ */

static void expire_calls(struct rpc *rpc)
{
    struct heap_node *node;
    while ((node = heap_top(&rpc->deadlines)) != NULL &&
           node->key <= rpc->now_ms) {
        call__expire(CONTAINER_OF(node, struct call, deadline));
    }
}

/* Calls that match, each with this error. Ending one may end others, so each
 * time it is begun anew. */
static void end_calls(struct rpc *rpc, bool (*which)(const struct call *call),
                      enum v3_error error)
{
    struct list *node = rpc->calls.next;
    while (node != &rpc->calls) {
        struct call *call = CONTAINER_OF(node, struct call, link);
        if (which(call)) {
            call__end(call, error);
            node = rpc->calls.next;
        } else {
            node = node->next;
        }
    }
}

static bool needs_leader(const struct call *call)
{
    return call->needs_leader && list_is_empty(&call->tasks);
}

static void look_for_leader(struct rpc *rpc)
{
    struct node_progress progress;
    node_progress(rpc->node, &progress);
    if (progress.leader != 0) {
        rpc->leader_ms = rpc->now_ms;
    } else if (rpc->now_ms - rpc->leader_ms >= RPC_LEADERLESS_MS) {
        end_calls(rpc, needs_leader, V3_NO_LEADER);
    }
}

/* What waits for the node will be answered; nothing else may keep the server
 * from its end. */
static bool may_end(const struct call *call)
{
    return list_is_empty(&call->tasks) || call->method->client_streams ||
           call->method->server_streams;
}

void rpc_tick(struct rpc *rpc, int64_t now_ms)
{
    CHECK(!rpc->reading);
    rpc->now_ms = now_ms;
    expire_calls(rpc);
    look_for_leader(rpc);
    health__tick(rpc);
    kv__tick(rpc);
    watching__tick(rpc, now_ms);
    move_leader__tick(rpc, now_ms);
    if (rpc->stopping) {
        end_calls(rpc, may_end, V3_STOPPED);
    }
}

static int64_t sooner(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

int64_t rpc_deadline_ms(const struct rpc *rpc)
{
    const struct heap_node *first = heap_top(&rpc->deadlines);
    int64_t first_ms = first != NULL ? first->key : INT64_MAX;
    first_ms = sooner(first_ms, move_leader__deadline_ms(rpc));
    return sooner(first_ms,
                  sooner(watching__deadline_ms(rpc), kv__deadline_ms(rpc)));
}

void rpc_stop(struct rpc *rpc)
{
    CHECK(!rpc->reading);
    rpc->stopping = true;
    end_calls(rpc, may_end, V3_STOPPED);
}

size_t rpc_pending(const struct rpc *rpc)
{
    return rpc->task_count;
}
