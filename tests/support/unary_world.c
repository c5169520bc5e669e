#include "unary_world.h"

#include <string.h>

#include "base/check.h"

enum { TURNS_MAX = 1000 };

struct world unary_world;
static struct rpc_shared shared;
static struct rpc *rpc;
static struct queue_link *answers;
static struct work *works;
static struct mvcc_commit *commits[256];
static size_t commit_count;
static bool watching;

/* Of the call. */
static struct slice shown; /* its token */
static struct buf *heard;
static size_t messages;
static unsigned ends;
static bool is_ok;

/* ---- the host -------------------------------------------------------- */

static void on_answer(void *context, struct queue_link *answer)
{
    (void)context;
    answer->next = answers;
    answers = answer;
}

static void on_watching(void *context, bool is_watching)
{
    (void)context;
    watching = is_watching;
}

static void on_worked(void *context, struct work *work)
{
    (void)context;
    rpc_worked(rpc, work);
}

static void submit_work(void *context, struct work *work)
{
    (void)context;
    CHECK(works == NULL);
    works = work;
}

static enum err no_snapshot(void *context, struct rpc_snapshot *out)
{
    (void)context;
    (void)out;
    return err_set(ERR_IO, "there are no files here");
}

static void defragment(void *context)
{
    (void)context;
}

static void on_commits(void *context, struct mvcc_commit *const *made,
                       size_t count)
{
    (void)context;
    for (size_t i = 0; i < count && watching; i++) {
        CHECK_LT(commit_count, 256);
        commits[commit_count++] = mvcc_commit_ref(made[i]);
    }
}

static void turn(void)
{
    struct queue_link *link;
    struct work *work = works;
    world_turn(&unary_world);
    link = answers;
    answers = NULL;
    while (link != NULL) {
        struct queue_link *next = link->next;
        rpc_answer(rpc, link);
        link = next;
    }
    size_t count = commit_count;
    commit_count = 0;
    if (count > 0) {
        rpc_commits(rpc, commits, count);
    }
    for (size_t i = 0; i < count; i++) {
        mvcc_commit_unref(commits[i]);
    }
    works = NULL;
    if (work != NULL) {
        work->run(work);
    }
    (void)rpc_catch_up(rpc);
}

static void open_rpc(void)
{
    shared = (struct rpc_shared){
        .api = &unary_world.shared,
        .request_bytes_max = 64 * 1024,
        .txn_ops_max = 128,
        .watch_progress_ms = 600000,
        .submit_work = submit_work,
        .snapshot = no_snapshot,
        .defragment = defragment,
    };
    struct rpc_config config = {
        .shared = &shared,
        .seed = 1,
        .on_answer = on_answer,
        .on_watching = on_watching,
        .on_worked = on_worked,
    };
    enum err err = rpc_new(&config, &rpc);
    CHECK_EQ(err, ERR_OK);
}

static void close_rpc(void)
{
    rpc_stop(rpc);
    for (int i = 0; rpc_pending(rpc) > 0; i++) {
        CHECK_LT(i, TURNS_MAX);
        turn();
    }
    rpc_free(rpc);
}

void unary_world_open(void (*prepare)(struct world *world))
{
    world_init(&unary_world, 1);
    unary_world.config.on_commits = on_commits;
    if (prepare != NULL) {
        prepare(&unary_world);
    }
    world_open(&unary_world);
    open_rpc();
}

void unary_world_close(void)
{
    if (unary_world.node != NULL) {
        close_rpc();
        world_deinit(&unary_world);
        unary_world = (struct world){0};
    }
}

void unary_world_wait(void)
{
    world_wait(&unary_world, INT64_C(60000000000));
    rpc_tick(rpc, unary_world.monotonic_ns / 1000000);
}

/* ---- what brings the calls ------------------------------------------- */

static void send(struct call *call, struct slice head, struct slice body,
                 struct refbuf *piece)
{
    struct arena arena;
    struct buf whole = {0};
    ProtobufCMessage *message;
    buf_append_slice(&whole, head);
    buf_append_slice(&whole, piece != NULL ? slice_of(piece->bytes, piece->size)
                                           : body);
    arena_init(&arena, 0);
    enum err err = message_decode(call->method->response, buf_slice(&whole),
                                  &arena, &message);
    CHECK_EQ(err, ERR_OK);
    if (heard != NULL) {
        buf_append_slice(heard, buf_slice(&whole));
    }
    arena_deinit(&arena);
    buf_deinit(&whole);
    messages++;
}

static void finish(struct call *call, enum grpc_code code, struct slice text)
{
    (void)text;
    CHECK(code != GRPC_OK || messages == 1 || call->method->server_streams);
    is_ok = code == GRPC_OK;
    ends++;
}

static struct slice metadata(const struct call *call, const char *name)
{
    (void)call;
    return strcmp(name, "token") == 0 ? shown : slice_of(NULL, 0);
}

static void consumed(struct call *call, size_t size)
{
    (void)call;
    (void)size;
}

static size_t unsent(const struct call *call)
{
    (void)call;
    return 0;
}

static const struct call_via via = {
    .send = send,
    .finish = finish,
    .metadata = metadata,
    .consumed = consumed,
    .unsent = unsent,
};

bool unary_call(const struct method *method, struct slice token,
                struct slice message, struct buf *told)
{
    bool ended = false;
    struct arena arena;
    struct http_exchange exchange = {.arena = &arena};
    arena_init(&arena, 0);
    messages = ends = 0;
    is_ok = false;
    shown = token;
    heard = told;
    struct call *call = call__new(rpc, method, &via, &exchange);
    call->frames.ended = &ended;
    call__unary(call, message);
    for (int i = 0; i < 4 && !ended; i++) {
        turn();
    }
    if (!ended) {
        call__gone(call);
    } else {
        CHECK_EQ(ends, 1);
    }
    turn();
    arena_deinit(&arena);
    return is_ok;
}
