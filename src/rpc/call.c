/* The life of a call, whatever brought it.
 *
 *                 handler: call__finish, call__fail...
 *   call__new --> open --------------------------------> via->finish --> spare
 *                  | call__gone (its client)  ^
 *                  '--> handler's on_gone     | call__end, call__expire:
 *                                             | on_gone first
 */
#include "base/check.h"
#include "rpc/count.h"
#include "rpc/rpc_int.h"

/* ---- memory ---------------------------------------------------------- */

static size_t arena_bytes_max(const struct rpc *rpc)
{
    /* A decoded message is a few times as large as its bytes. */
    return 8 * (rpc->shared->request_bytes_max + RPC_REQUEST_OVERHEAD_BYTES);
}

static struct call *take(struct rpc *rpc)
{
    struct call *call = rpc->spare_calls;
    if (call == NULL) {
        call = mem_alloc(sizeof(*call));
        arena_init(&call->arena, arena_bytes_max(rpc));
        return call;
    }
    rpc->spare_calls = call->context;
    rpc->spare_call_count--;
    return call;
}

static void give(struct rpc *rpc, struct call *call)
{
    if (rpc->spare_call_count == RPC_SPARE_CALLS_MAX) {
        arena_deinit(&call->arena);
        mem_free(call);
        return;
    }
    arena_reset(&call->arena);
    call->context = rpc->spare_calls;
    rpc->spare_calls = call;
    rpc->spare_call_count++;
}

void call__free_spare(struct rpc *rpc)
{
    while (rpc->spare_calls != NULL) {
        struct call *call = rpc->spare_calls;
        rpc->spare_calls = call->context;
        arena_deinit(&call->arena);
        mem_free(call);
    }
    rpc->spare_call_count = 0;
}

struct call *call__new(struct rpc *rpc, const struct method *method,
                       const struct call_via *via,
                       struct http_exchange *exchange)
{
    struct call *call = take(rpc);
    struct arena arena = call->arena;
    *call = (struct call){
        .rpc = rpc,
        .method = method,
        .via = via,
        .exchange = exchange,
        .arena = arena,
        .deadline_ms = INT64_MAX,
    };
    list_init(&call->tasks);
    list_init(&call->frames.withheld);
    list_push_back(&rpc->calls, &call->link);
    count__started(method);
    return call;
}

/* From now on nobody finds it. */
static void leave(struct call *call)
{
    list_remove(&call->link);
    heap_remove(&call->rpc->deadlines, &call->deadline);
    LIST_EACH (node, &call->tasks) {
        CONTAINER_OF(node, struct task, of_call)->call = NULL;
        list_remove(node);
    }
    if (call->ended != NULL) {
        *call->ended = true;
    }
    if (call->frames.ended != NULL) {
        *call->frames.ended = true;
    }
}

static void tell_gone(struct call *call)
{
    void (*on_gone)(struct call *) = call->on_gone;
    call->on_gone = NULL;
    if (on_gone != NULL) {
        on_gone(call);
    }
}

/* ---- ends ------------------------------------------------------------ */

static void finish(struct call *call, enum grpc_code code, struct slice text)
{
    struct rpc *rpc = call->rpc;
    CHECK(!rpc->reading);
    count__handled(call->method, code);
    who__note(call, code, text);
    leave(call);
    call->via->finish(call, code, text);
    give(rpc, call);
}

void call__finish(struct call *call)
{
    finish(call, GRPC_OK, SLICE(""));
}

void call__fail_code(struct call *call, enum grpc_code code, const char *text)
{
    CHECK_NE(code, GRPC_OK);
    finish(call, code, slice_str(text));
}

void call__fail(struct call *call, enum v3_error error)
{
    CHECK_NE(error, V3_OK);
    call__fail_code(call, v3_error_code(error), v3_error_text(error));
}

void call__fail_err(struct call *call, enum err err)
{
    enum v3_error error = v3_error_of(err);
    if (error != V3_OK) {
        call__fail(call, error);
    } else {
        call__fail_code(call, (enum grpc_code)err_grpc_code(err),
                        err_text(err));
    }
}

void call__end(struct call *call, enum v3_error error)
{
    tell_gone(call);
    call__fail(call, error);
}

void call__end_code(struct call *call, enum grpc_code code, const char *text)
{
    tell_gone(call);
    call__fail_code(call, code, text);
}

void call__expire(struct call *call)
{
    call__end_code(call, GRPC_DEADLINE_EXCEEDED, "context deadline exceeded");
}

void call__gone(struct call *call)
{
    struct rpc *rpc = call->rpc;
    tell_gone(call);
    count__handled(call->method, GRPC_CANCELED);
    who__note(call, GRPC_CANCELED, SLICE(""));
    leave(call);
    give(rpc, call);
}

void call__made(struct call *call)
{
    struct rpc *rpc = call->rpc;
    count__handled(call->method, GRPC_OK);
    who__note(call, GRPC_OK, SLICE(""));
    leave(call);
    give(rpc, call);
}

void call__set_deadline(struct call *call, int64_t deadline_ms)
{
    call->deadline_ms = deadline_ms;
    if (deadline_ms == INT64_MAX) {
        heap_remove(&call->rpc->deadlines, &call->deadline);
    } else {
        heap_set(&call->rpc->deadlines, &call->deadline, deadline_ms);
    }
}

/* As in etcd, a learner answers only what it can say by itself. Whether a Range
 * asks for no more than that is seen when it has come. */
static bool is_for_learners(const struct method *method)
{
    return method->begin == kv__range || method->begin == maintenance__status ||
           method->begin == maintenance__snapshot ||
           method->begin == reflection__info;
}

/* False: it has failed. */
static bool take_words(struct call *call, const struct call_words *words)
{
    call->tells_cause = slice_eq(words->told, SLICE("cause"));
    call->tells_time = slice_eq(words->told, SLICE("time"));
    call->by_recipe = slice_eq(words->cause, SLICE("recipe"));
    if (words->cause.at != NULL && !call->by_recipe) {
        call__fail_code(call, GRPC_INVALID_ARGUMENT,
                        "etched: etched-cause can only be \"recipe\"");
        return false;
    }
    return true;
}

/* False: it has failed. */
static bool is_served(struct call *call)
{
    struct node_progress progress;
    bool for_learners = is_for_learners(call->method);
    if (for_learners && !call->needs_leader) {
        return true;
    }
    node_progress(call->rpc->node, &progress);
    if (progress.is_learner && !for_learners) {
        call__fail(call, V3_NOT_SUPPORTED_FOR_LEARNER);
        return false;
    }
    if (call->needs_leader && progress.leader == 0) {
        call__fail(call, V3_NO_LEADER);
        return false;
    }
    return true;
}

bool call__may_begin(struct call *call, const struct call_words *words)
{
    return take_words(call, words) && is_served(call) && who__let_in(call);
}

/* ---- requests -------------------------------------------------------- */

void call__unary(struct call *call, struct slice message)
{
    const struct method *method = call->method;
    ProtobufCMessage *request;
    CHECK(!method->client_streams);
    /* The head may have come long before. */
    if (who__has_changed(call) && !who__let_in(call)) {
        return;
    }
    if (method->begin_bytes != NULL && method->begin_bytes(call, message)) {
        return;
    }
    enum err err =
        message_decode(method->request, message, &call->arena, &request);
    if (err == ERR_OK) {
        method->begin(call, request);
    } else if (err == ERR_NO_MEMORY) {
        call__fail(call, V3_REQUEST_TOO_LARGE);
    } else {
        call__fail_malformed(call);
    }
}

void call__fail_malformed(struct call *call)
{
    const char *text = arena_printf(
        &call->arena, "grpc: error unmarshalling request: %s", err_note());
    call__fail_code(call, GRPC_INTERNAL, text);
}

/* ---- answers --------------------------------------------------------- */

void call__send_parts(struct call *call, struct slice head, struct slice body)
{
    call->via->send(call, head, body, NULL);
}

void call__send(struct call *call, struct slice message)
{
    call__send_parts(call, SLICE(""), message);
}

void call__send_shared(struct call *call, struct slice head,
                       struct refbuf *body)
{
    call->via->send(call, head, SLICE(""), body);
}

void call__answer_shared(struct call *call, revision at, struct refbuf *body)
{
    char header[RPC_HEADER_BYTES_MAX];
    size_t size = rpc__header(call->rpc, at, header);
    call__send_shared(call, slice_of(header, size), body);
    call__finish(call);
}

void call__answer(struct call *call, revision at, struct slice body)
{
    char header[RPC_HEADER_BYTES_MAX];
    size_t size = rpc__header(call->rpc, at, header);
    call__send_parts(call, slice_of(header, size), body);
    call__finish(call);
}
