/* Calls of v3, from a worker to a member and back. What rpc/ does for them is
 * done here on the messages themselves: they are checked, then proposed, or
 * read when the member is as far as it must be. */
#include "base/check.h"
#include "base/mem.h"
#include "proto/message.h"
#include "proto/pb.h"
#include "proto/v3_error.h"
#include "sim/service.h"

enum { TXN_OPS_MAX = 128 };

/* ---- whom to ask --------------------------------------------------------- */

/* Learners are asked nothing, nor who isn't a member any more. */
static bool serves(const struct sim_member *member)
{
    return member->state == SIM_UP &&
           raft_members_votes(&member->sim->ledger.members, member->id);
}

struct sim_member *sim__any_serving(struct sim_service *service)
{
    struct sim *sim = service->sim;
    uint64_t count = 0;
    for (int i = 1; i <= sim->member_count; i++)
        count += serves(sim->members[i]);
    if (count == 0)
        return NULL;
    uint64_t nth = prng_below(&service->prng, count);
    for (int i = 1;; i++)
        if (serves(sim->members[i]) && nth-- == 0)
            return sim->members[i];
}

struct sim_member *sim__worker_home(struct sim_worker *worker)
{
    if (worker->home == NULL || !serves(worker->home) ||
        prng_below(&worker->service->prng, 50) == 0)
        worker->home = sim__any_serving(worker->service);
    return worker->home;
}

/* ---- the way back -------------------------------------------------------- */

static void free_call(struct sim_call *call)
{
    CHECK(!call->waits);
    sim__cancel(call->service->sim, &call->event);
    list_remove(&call->link);
    txn_answer_deinit(&call->write.answer);
    buf_deinit(&call->bytes);
    mem_free(call);
}

static int64_t travel_ns(struct sim_service *service)
{
    return prng_between(&service->prng, 20 * SIM_US, service->delay_ns);
}

/* Who asked is told. */
static void tell(struct sim *sim, struct sim_event *event)
{
    struct sim_call *call = CONTAINER_OF(event, struct sim_call, event);
    struct sim_worker *worker = call->worker;
    if (worker == NULL) {
        call->on_told(call->service, call);
        free_call(call);
        return;
    }
    if (worker->life != call->life || worker->runner == NULL) {
        free_call(call);
        return;
    }
    if (worker->state == SIM_WORKER_PAUSED) {
        sim__at(sim, event, worker->rise.node.key + SIM_US);
        return;
    }
    sim__trace(sim, sim__worker_place(worker), SIM_TRACE_CALLED, call->id,
               (uint64_t)call->code, 0);
    if (call->code)
        worker->home = NULL;
    runner_answered(worker->runner, call->id, call->code,
                    call->code ? SLICE("lost, or refused") : SLICE(""),
                    call->code ? SLICE("") : buf_slice(&call->bytes), false);
    free_call(call);
    sim__worker_touch(worker);
}

static void answer(struct sim_call *call, int code)
{
    struct sim_service *service = call->service;
    bool is_lost = sim__chance(&service->prng, service->lost_ppm);
    if (call->is_answered) {
        free_call(call);
        return;
    }
    call->code = is_lost ? GRPC_UNAVAILABLE : code;
    call->event.fire = tell;
    sim__at(service->sim, &call->event,
            service->sim->now_ns + travel_ns(service));
}

static void answer_v3(struct sim_call *call, enum v3_error error)
{
    answer(call, (int)v3_error_code(error));
}

static void answer_err(struct sim_call *call, enum err err)
{
    enum v3_error error = v3_error_of(err);
    if (error != V3_OK)
        answer_v3(call, error);
    else
        answer(call, err_grpc_code(err));
}

void sim__put_header(struct buf *out, revision at)
{
    struct buf header = {0};
    pb_put_i64(&header, 3, at);
    pb_put_bytes_always(out, 1, buf_slice(&header));
    buf_deinit(&header);
}

static void answer_body(struct sim_call *call, const struct txn_answer *answer_)
{
    if (answer_->error != V3_OK) {
        answer_v3(call, answer_->error);
        return;
    }
    buf_reset(&call->bytes);
    sim__put_header(&call->bytes, answer_->revision);
    buf_append_slice(&call->bytes, buf_slice(&answer_->body));
    answer(call, GRPC_OK);
}

/* ---- at the member ------------------------------------------------------- */

static enum err read_range(struct sim_member *member, ProtobufCMessage *message,
                           revision now, struct txn_answer *out)
{
    const Etcdserverpb__RangeRequest *request = (const void *)message;
    out->error = txn_check_range(request);
    if (out->error)
        return ERR_OK;
    return txn_range(member->reader, request, now, TXN_ANSWER_BYTES_MAX, out);
}

static enum err decode(const struct sim_call *call, struct arena *arena,
                       ProtobufCMessage **out)
{
    const ProtobufCMessageDescriptor *type =
        call->method == RUNNER_RANGE ? &etcdserverpb__range_request__descriptor
        : call->method == RUNNER_TXN
            ? &etcdserverpb__txn_request__descriptor
            : &etcdserverpb__lease_grant_request__descriptor;
    return message_decode(type, buf_slice(&call->bytes), arena, out);
}

/* The member is as far as it must be. */
static enum err look(struct sim_call *call, struct txn_answer *out)
{
    struct sim_member *member = call->member;
    struct arena arena;
    ProtobufCMessage *message;
    struct mvcc_status status;
    arena_init(&arena, 0);
    enum err err = decode(call, &arena, &message);
    CHECK_EQ(err, ERR_OK);
    sim__read_begin(member);
    mvcc_status(node_mvcc(member->node), &status);
    if (call->method == RUNNER_RANGE)
        err = read_range(member, message, status.current, out);
    else
        err = txn_read(member->reader, (const void *)message, out);
    sim__read_end(member);
    arena_deinit(&arena);
    return err;
}

/* The step that decided it is over. */
static void done(struct sim *sim, struct sim_event *event)
{
    struct sim_call *call = CONTAINER_OF(event, struct sim_call, event);
    struct sim_member *member = call->member;
    struct txn_answer found = {0};
    if (member->node == NULL || member->incarnation != call->incarnation) {
        answer(call, GRPC_UNAVAILABLE);
        return;
    }
    if (member->state == SIM_PAUSED) {
        sim__at(sim, event, member->rise.node.key + SIM_US);
        return;
    }
    if (call->err == ERR_OK && call->is_read)
        call->err = look(call, &found);
    if (call->err)
        answer_err(call, call->err);
    else
        answer_body(call, call->is_read ? &found : &call->write.answer);
    txn_answer_deinit(&found);
}

static void decided(struct sim_call *call, enum err err)
{
    call->waits = false;
    call->err = err;
    if (call->member->dying)
        call->incarnation = 0;
    call->event.fire = done;
    sim__at(call->service->sim, &call->event,
            sim__done_ns(call->member) + SIM_US);
}

static void on_written(struct node_request *request)
{
    decided(CONTAINER_OF(request, struct sim_call, write), request->err);
}

static void on_read(struct node_read *read)
{
    decided(CONTAINER_OF(read, struct sim_call, read), read->err);
}

static void read_here(struct sim_call *call, bool at_once)
{
    struct sim_member *member = call->member;
    call->is_read = true;
    call->read.on_done = on_read;
    if (at_once || node_reads_are_current(member->node)) {
        decided(call, ERR_OK);
        return;
    }
    call->waits = true;
    enum err err = node_read(member->node, &call->read);
    if (err)
        decided(call, err);
}

static void propose(struct sim_call *call, const struct command *command)
{
    call->write.command = command_encode(command);
    call->write.on_done = on_written;
    call->waits = true;
    enum err err = node_submit(call->member->node, &call->write);
    if (err) {
        refbuf_unref(call->write.command);
        decided(call, err);
    }
}

static void propose_message(struct sim_call *call, enum command_type type)
{
    struct command command = {
        .type = type,
        .by_recipe = type == COMMAND_TXN && call->worker,
        .message = buf_slice(&call->bytes),
    };
    propose(call, &command);
}

static void serve_txn(struct sim_call *call, const ProtobufCMessage *message)
{
    const Etcdserverpb__TxnRequest *request = (const void *)message;
    enum v3_error error = txn_check(request, TXN_OPS_MAX);
    if (error)
        answer_v3(call, error);
    else if (txn_is_read_only(request))
        read_here(call, txn_is_serializable(request));
    else
        propose_message(call, COMMAND_TXN);
}

/* The id is the server's to choose. */
static void serve_grant(struct sim_call *call, ProtobufCMessage *message)
{
    Etcdserverpb__LeaseGrantRequest *request = (void *)message;
    if (request->id == 0)
        request->id = (int64_t)(prng_next(&call->service->prng) >> 3 | 1 << 20);
    buf_reset(&call->bytes);
    message_encode(message, &call->bytes);
    propose_message(call, COMMAND_LEASE_GRANT);
}

static void serve_renew(struct sim_call *call)
{
    struct pb_reader reader;
    struct pb_field field;
    lease_id lease = 0;
    pb_reader_init(&reader, buf_slice(&call->bytes));
    while (pb_next(&reader, &field))
        if (field.number == 1)
            lease = (lease_id)field.value;
    struct command command = {.type = COMMAND_LEASE_RENEW,
                              .renew = {.leases = &lease, .count = 1}};
    propose(call, &command);
}

static void serve(struct sim_call *call)
{
    struct arena arena;
    ProtobufCMessage *message = NULL;
    bool has_message = call->method == RUNNER_RANGE ||
                       call->method == RUNNER_TXN ||
                       call->method == RUNNER_LEASE_GRANT;
    arena_init(&arena, 0);
    if (has_message && decode(call, &arena, &message))
        answer(call, GRPC_INTERNAL);
    else if (call->method == RUNNER_RANGE)
        read_here(call, ((Etcdserverpb__RangeRequest *)message)->serializable);
    else if (call->method == RUNNER_TXN)
        serve_txn(call, message);
    else if (call->method == RUNNER_LEASE_GRANT)
        serve_grant(call, message);
    else if (call->method == RUNNER_LEASE_REVOKE)
        propose_message(call, COMMAND_LEASE_REVOKE);
    else if (call->method == RUNNER_LEASE_KEEPALIVE)
        serve_renew(call);
    else
        answer(call, GRPC_UNIMPLEMENTED);
    arena_deinit(&arena);
}

/* ---- the way there ------------------------------------------------------- */

static void arrive(struct sim *sim, struct sim_event *event)
{
    struct sim_call *call = CONTAINER_OF(event, struct sim_call, event);
    struct sim_member *member = call->member;
    if (member->state == SIM_PAUSED) {
        sim__at(sim, event, member->rise.node.key + SIM_US);
        return;
    }
    if (member->state != SIM_UP) {
        answer(call, GRPC_UNAVAILABLE);
        return;
    }
    call->incarnation = member->incarnation;
    serve(call);
}

static struct sim_call *new_call(struct sim_service *service,
                                 struct sim_worker *worker, uint64_t id,
                                 enum runner_method method,
                                 struct slice request)
{
    struct sim_call *call = mem_alloc_zero(sizeof *call);
    call->service = service;
    call->worker = worker;
    call->life = worker ? worker->life : 0;
    call->id = id;
    call->method = method;
    call->event.fire = arrive;
    buf_append_slice(&call->bytes, request);
    list_push_back(&service->calls, &call->link);
    return call;
}

/* Its sender hears soon, or late, that it is lost. Of what was lost some comes
 * all the same: at once, or when everybody has long forgotten it. */
static void lose(struct sim_call *call)
{
    struct sim_service *service = call->service;
    struct sim *sim = service->sim;
    struct prng *prng = &service->prng;
    uint64_t fate = prng_below(prng, 3);
    if (fate > 0 && call->member) {
        struct sim_call *again =
            new_call(service, call->worker, call->id, call->method,
                     buf_slice(&call->bytes));
        int64_t most_ms = fate == 1 ? 5 : 6000;
        again->is_answered = true;
        again->member = call->member;
        sim__at(sim, &again->event,
                sim->now_ns + prng_between(prng, 1, most_ms) * SIM_MS);
    }
    call->code = GRPC_UNAVAILABLE;
    call->event.fire = tell;
    sim__at(sim, &call->event,
            sim->now_ns + prng_between(prng, 1, 1500) * SIM_MS);
}

void sim__call(struct sim_service *service, struct sim_worker *worker,
               uint64_t id, enum runner_method method, struct slice request,
               void (*on_told)(struct sim_service *service,
                               const struct sim_call *call))
{
    struct sim *sim = service->sim;
    struct sim_call *call = new_call(service, worker, id, method, request);
    CHECK(worker != NULL || on_told != NULL);
    call->on_told = on_told;
    call->member =
        worker ? sim__worker_home(worker) : sim__any_serving(service);
    bool is_cut = worker && worker->cut_until_ns > sim->now_ns;
    if (worker)
        sim__trace(sim, sim__worker_place(worker), SIM_TRACE_CALLS, id, method,
                   call->member ? (uint64_t)call->member->place : 0);
    if (call->member == NULL || is_cut ||
        sim__chance(&service->prng, service->lost_ppm))
        lose(call);
    else
        sim__at(sim, &call->event, sim->now_ns + travel_ns(service));
}

bool sim__calls_wait(const struct sim_service *service)
{
    return !list_is_empty(&service->calls);
}

void sim__calls_free(struct sim_service *service)
{
    LIST_EACH (link, &service->calls) {
        struct sim_call *call = CONTAINER_OF(link, struct sim_call, link);
        call->waits = false;
        free_call(call);
    }
}
