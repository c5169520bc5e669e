/* Any bytes as the message of a unary call of v3, to a whole member in memory:
 * rpc, node, log and store. Each call ends once, with a status; what it says
 * is a well-formed message of its method's type.
 *
 * The input: messages, each behind a byte for the method and two for the
 * length. To open a member costs more than most inputs do, so one serves a few
 * of them.
 */
#include "base/check.h"
#include "rpc/rpc_int.h"
#include "support/node_world.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

enum { INPUTS_PER_WORLD = 50, TURNS_MAX = 1000 };

static struct world world;
static struct rpc_shared shared;
static struct rpc *rpc;
static struct queue_link *answers;
static struct work *works;
static struct mvcc_commit *commits[256];
static size_t commit_count;
static bool watching;
static unsigned inputs;
static size_t messages; /* of the call */
static unsigned ends;

/* The history of a world that goes on grows, and is no leak; the unit tests
 * are where leaks are found. */
const char *__asan_default_options(void);
const char *__asan_default_options(void)
{
    return "detect_leaks=0";
}

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
    world_turn(&world);
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
        .api = &world.shared,
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

static void renew_world(void)
{
    if (inputs++ % INPUTS_PER_WORLD != 0) {
        return;
    }
    if (world.node != NULL) {
        close_rpc();
        world_deinit(&world);
    }
    world_init(&world, 1);
    world.config.on_commits = on_commits;
    world_open(&world);
    open_rpc();
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
    arena_deinit(&arena);
    buf_deinit(&whole);
    messages++;
}

static void finish(struct call *call, enum grpc_code code, struct slice text)
{
    (void)text;
    CHECK(code != GRPC_OK || messages == 1 || call->method->server_streams);
    ends++;
}

static struct slice metadata(const struct call *call, const char *name)
{
    (void)call;
    (void)name;
    return slice_of(NULL, 0);
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

/* What waits for something that doesn't come is left by its client. */
static void run_call(const struct method *method, struct slice message)
{
    bool ended = false;
    messages = 0;
    ends = 0;
    struct call *call = call__new(rpc, method, &via, NULL);
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
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    size_t count;
    const struct method *methods = method__table(&count);
    renew_world();
    while (size >= 3) {
        const struct method *method = &methods[bytes[0] % count];
        size_t length = bytes[1] | (size_t)bytes[2] << 8;
        bytes += 3;
        size -= 3;
        length = length < size ? length : size;
        if (!method->client_streams) {
            run_call(method, slice_of(bytes, length));
        }
        bytes += length;
        size -= length;
    }
    world_wait(&world, INT64_C(60000000000));
    rpc_tick(rpc, world.monotonic_ns / 1000000);
    return 0;
}
