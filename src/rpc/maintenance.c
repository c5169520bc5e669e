/* Upkeep: how a member stands, alarms, hashes, defragmentation, downgrades.
 * (snapshot.c: Snapshot; move_leader.c: MoveLeader.) */
#include "base/check.h"
#include "base/version.h"
#include "proto/rpc.pb-c.h"
#include "rpc/errand.h"

enum {
    ALARMS_MAX = 4 * RAFT_MEMBERS_MAX,
    /* A hash gives the store's lock up after so many records. */
    HASH_SLICE_RECORDS = 2000,
    HASH_ANEW_MAX = 3,
};

/* A header of this moment's revision in front. */
static void answer_now(struct call *call, const ProtobufCMessage *message)
{
    struct rpc *rpc = call->rpc;
    struct buf *body = rpc__body(rpc);
    message_encode(message, body);
    rpc__read_begin(rpc);
    revision now = rpc__revision(rpc);
    rpc__read_end(rpc);
    call__answer(call, now, buf_slice(body));
}

static size_t look_at_alarms(struct rpc *rpc, struct node_alarm out[ALARMS_MAX])
{
    struct lock *lock = node_lock(rpc->node);
    lock_read(lock);
    size_t count = node_alarms(rpc->node, out, ALARMS_MAX);
    unlock_read(lock);
    return count;
}

/* ---- Status ---------------------------------------------------------- */

/* An alarm as Go's protobuf prints it, which is what etcd tells. */
static char *alarm_text(struct arena *arena, const struct node_alarm *alarm)
{
    const ProtobufCEnumValue *type = protobuf_c_enum_descriptor_get_value(
        &etcdserverpb__alarm_type__descriptor, (int)alarm->type);
    const char *member = alarm->member == 0
                             ? ""
                             : arena_printf(arena, "memberID:%llu ",
                                            (unsigned long long)alarm->member);
    const char *name = type != NULL
                           ? type->name
                           : arena_printf(arena, "%u", (unsigned)alarm->type);
    return arena_printf(arena, "%salarm:%s ", member, name);
}

static void tell_errors(struct call *call, bool has_leader,
                        Etcdserverpb__StatusResponse *response)
{
    struct node_alarm alarms[ALARMS_MAX];
    size_t count = look_at_alarms(call->rpc, alarms);
    char **errors = arena_alloc(&call->arena, (count + 1) * sizeof(*errors));
    size_t told = 0;
    if (!has_leader) {
        errors[told++] =
            arena_printf(&call->arena, "%s", v3_error_text(V3_NO_LEADER));
    }
    for (size_t i = 0; i < count; i++) {
        errors[told++] = alarm_text(&call->arena, &alarms[i]);
    }
    response->errors = errors;
    response->n_errors = told;
}

void maintenance__status(struct call *call, ProtobufCMessage *request)
{
    static char version[] = ETCHED_API_VERSION;
    static char storage[] = ETCHED_CLUSTER_API_VERSION;
    const struct api_shared *api = call->rpc->shared->api;
    struct node_progress progress;
    struct kv_stat stat = {0};
    Etcdserverpb__DowngradeInfo downgrade = ETCDSERVERPB__DOWNGRADE_INFO__INIT;
    Etcdserverpb__StatusResponse response = ETCDSERVERPB__STATUS_RESPONSE__INIT;
    (void)request;
    node_progress(call->rpc->node, &progress);
    if (api->kv_stat != NULL) {
        api->kv_stat(api->kv_context, &stat);
    }
    response.version = version;
    response.storageversion = storage;
    response.dbsize = (int64_t)stat.file_bytes;
    response.dbsizeinuse = (int64_t)stat.in_use_bytes;
    response.dbsizequota = (int64_t)api->quota_bytes;
    response.leader = progress.leader;
    response.raftterm = progress.term;
    response.raftindex = progress.committed;
    response.raftappliedindex = progress.applied;
    response.islearner = progress.is_learner;
    response.downgradeinfo = &downgrade;
    tell_errors(call, progress.leader != 0, &response);
    answer_now(call, &response.base);
}

/* ---- Alarm ----------------------------------------------------------- */

static void list_alarms(struct call *call, void *context)
{
    const Etcdserverpb__AlarmRequest *asked = context;
    struct node_alarm alarms[ALARMS_MAX];
    Etcdserverpb__AlarmMember members[ALARMS_MAX];
    Etcdserverpb__AlarmMember *list[ALARMS_MAX];
    Etcdserverpb__AlarmResponse response = ETCDSERVERPB__ALARM_RESPONSE__INIT;
    size_t count = look_at_alarms(call->rpc, alarms);
    for (size_t i = 0; i < count; i++) {
        if (asked->alarm == ETCDSERVERPB__ALARM_TYPE__NONE ||
            (uint32_t)asked->alarm == alarms[i].type) {
            Etcdserverpb__AlarmMember *member = &members[response.n_alarms];
            etcdserverpb__alarm_member__init(member);
            member->memberid = alarms[i].member;
            member->alarm = (Etcdserverpb__AlarmType)alarms[i].type;
            list[response.n_alarms++] = member;
        }
    }
    response.alarms = list;
    answer_now(call, &response.base);
}

static void finish_alarm(struct rpc *rpc, struct task *done)
{
    struct call *call = done->call;
    struct txn_answer *answer = &done->write.answer;
    (void)rpc;
    if (call == NULL) {
        /* Nobody waits any more. */
    } else if (done->write.err != ERR_OK) {
        call__fail_err(call, done->write.err);
    } else if (answer->error != V3_OK) {
        call__fail(call, answer->error);
    } else {
        call__answer(call, answer->revision, buf_slice(&answer->body));
    }
    txn_answer_deinit(answer);
}

static void change_alarm(struct call *call, const ProtobufCMessage *request)
{
    struct task *task = task__new(call->rpc, call, finish_alarm);
    struct buf *message = rpc__body(call->rpc);
    message_encode(request, message);
    task__write_message(task, COMMAND_ALARM, buf_slice(message));
}

/* Any user may see them (a client that asks whether a member is well does),
 * root changes them. False: the call has failed. */
static bool may_alarm(struct call *call, bool changes)
{
    const struct auth *auth = node_auth(call->rpc->node);
    struct lock *lock = node_lock(call->rpc->node);
    lock_read(lock);
    enum v3_error error = changes ? auth_may_admin(auth, call->user)
                                  : auth_may_ask(auth, call->user);
    unlock_read(lock);
    if (error != V3_OK) {
        call__fail(call, error);
    }
    return error == V3_OK;
}

void maintenance__alarm(struct call *call, ProtobufCMessage *request)
{
    Etcdserverpb__AlarmRequest *alarm = (void *)request;
    switch ((int)alarm->action) {
    case ETCDSERVERPB__ALARM_REQUEST__ALARM_ACTION__GET:
        if (may_alarm(call, false)) {
            task__when_current(call, false, alarm, list_alarms);
        }
        return;
    case ETCDSERVERPB__ALARM_REQUEST__ALARM_ACTION__ACTIVATE:
    case ETCDSERVERPB__ALARM_REQUEST__ALARM_ACTION__DEACTIVATE:
        if (may_alarm(call, true)) {
            change_alarm(call, request);
        }
        return;
    default:
        call__fail_code(call, GRPC_UNIMPLEMENTED, "no such action");
    }
}

/* ---- Hash, HashKV ---------------------------------------------------- */

struct hashing {
    struct errand errand; /* first */
    bool of_keys;         /* HashKV */
    struct mvcc *mvcc;
    struct lock *lock;
    revision at; /* 0: now */
    /* What came of it: */
    struct txn_hash hash;
    revision now;
    enum v3_error error;
    enum err err;
};

/* One slice of it, under the shared lock. */
static void hash_more(struct hashing *hashing, struct mvcc_reader *reader,
                      bool first)
{
    lock_read(hashing->lock);
    mvcc_read_begin(reader);
    if (first) {
        hashing->now = mvcc_next_revision(hashing->mvcc) - 1;
        hashing->err = txn_hash_begin(reader, hashing->at, hashing->now,
                                      &hashing->hash, &hashing->error);
    } else {
        hashing->err =
            txn_hash_slice(&hashing->hash, reader, HASH_SLICE_RECORDS);
    }
    mvcc_read_end(reader);
    unlock_read(hashing->lock);
}

/* Where a compaction has overtaken it, it begins anew: a hash of now is then
 * one of a newer now. */
static void hash_all(struct hashing *hashing, struct mvcc_reader *reader)
{
    bool first = true;
    int anew = 0;
    while (hashing->error == V3_OK && (first || !hashing->hash.done) &&
           !errand__is_unasked(&hashing->errand)) {
        hash_more(hashing, reader, first);
        first = hashing->err == ERR_COMPACTED && anew++ < HASH_ANEW_MAX;
        if (hashing->err != ERR_OK && !first) {
            return;
        }
    }
}

static void run_hash(struct errand *errand)
{
    struct hashing *hashing = CONTAINER_OF(errand, struct hashing, errand);
    struct mvcc_reader *reader;
    hashing->err = mvcc_reader_new(hashing->mvcc, &reader);
    if (hashing->err == ERR_OK) {
        hash_all(hashing, reader);
        mvcc_reader_free(reader);
    }
}

static void answer_hash(struct call *call, const struct hashing *hashing)
{
    struct buf *body = rpc__body(call->rpc);
    Etcdserverpb__HashKVResponse keys = ETCDSERVERPB__HASH_KVRESPONSE__INIT;
    Etcdserverpb__HashResponse all = ETCDSERVERPB__HASH_RESPONSE__INIT;
    CHECK(hashing->hash.done);
    all.hash = keys.hash = hashing->hash.crc;
    keys.compact_revision = hashing->hash.compacted;
    keys.hash_revision = hashing->hash.at;
    message_encode(hashing->of_keys ? &keys.base : &all.base, body);
    call__answer(call, hashing->now, buf_slice(body));
}

static void finish_hash(struct errand *errand)
{
    struct hashing *hashing = CONTAINER_OF(errand, struct hashing, errand);
    struct call *call = errand->call;
    if (call != NULL) {
        call->on_gone = NULL;
        if (hashing->err != ERR_OK) {
            call__fail_err(call, hashing->err);
        } else if (hashing->error != V3_OK) {
            call__fail(call, hashing->error);
        } else {
            answer_hash(call, hashing);
        }
    }
    mem_free(hashing);
}

static void on_gone(struct call *call)
{
    errand__give_up(call->context);
}

static void start_hash(struct call *call, bool of_keys, revision at)
{
    struct hashing *hashing = mem_alloc_zero(sizeof(*hashing));
    struct node *node = call->rpc->node;
    errand__init(&hashing->errand, call);
    hashing->of_keys = of_keys;
    hashing->mvcc = node_mvcc(node);
    hashing->lock = node_lock(node);
    hashing->at = at;
    call->context = &hashing->errand;
    call->on_gone = on_gone;
    errand__submit(&hashing->errand, run_hash, finish_hash);
}

void maintenance__hash(struct call *call, ProtobufCMessage *request)
{
    (void)request;
    start_hash(call, false, 0);
}

void maintenance__hash_kv(struct call *call, ProtobufCMessage *request)
{
    const Etcdserverpb__HashKVRequest *asked = (const void *)request;
    start_hash(call, true, asked->revision);
}

/* ---- Defragment ------------------------------------------------------ */

static void run_defragment(struct errand *errand)
{
    const struct rpc_shared *shared = errand->rpc->shared;
    shared->defragment(shared->context);
}

/* As etcd's, without a header. */
static void finish_defragment(struct errand *errand)
{
    struct call *call = errand->call;
    if (call != NULL) {
        call->on_gone = NULL;
        call__send(call, SLICE(""));
        call__finish(call);
    }
    mem_free(errand);
}

void maintenance__defragment(struct call *call, ProtobufCMessage *request)
{
    struct errand *errand = mem_alloc_zero(sizeof(*errand));
    (void)request;
    errand__init(errand, call);
    call->context = errand;
    call->on_gone = on_gone;
    errand__submit(errand, run_defragment, finish_defragment);
}

/* ---- Downgrade ------------------------------------------------------- */

static size_t skip_digits(struct slice *text)
{
    size_t count = 0;
    while (count < text->size && text->at[count] >= '0' &&
           text->at[count] <= '9') {
        count++;
    }
    *text = slice_of(text->at + count, text->size - count);
    return count;
}

/* "3.5" or "3.5.1", and what semantic versions may have behind that. */
static bool is_version(struct slice text)
{
    for (int part = 0; part < 3; part++) {
        if (part > 0) {
            if (part == 2 && text.size == 0) {
                return true;
            }
            if (text.size == 0 || text.at[0] != '.') {
                return false;
            }
            text = slice_of(text.at + 1, text.size - 1);
        }
        if (skip_digits(&text) == 0) {
            return false;
        }
    }
    return text.size == 0 ||
           (text.size > 1 && (text.at[0] == '-' || text.at[0] == '+'));
}

/* There is no older version that could read this store, so nothing is a
 * target, and nothing is ever under way. (A snapshot, restored by an older
 * etcd, is the way back.) */
void maintenance__downgrade(struct call *call, ProtobufCMessage *request)
{
    const Etcdserverpb__DowngradeRequest *downgrade = (const void *)request;
    switch ((int)downgrade->action) {
    case ETCDSERVERPB__DOWNGRADE_REQUEST__DOWNGRADE_ACTION__VALIDATE:
    case ETCDSERVERPB__DOWNGRADE_REQUEST__DOWNGRADE_ACTION__ENABLE:
        call__fail(call, is_version(slice_str(downgrade->version))
                             ? V3_INVALID_DOWNGRADE_TARGET_VERSION
                             : V3_WRONG_DOWNGRADE_VERSION_FORMAT);
        return;
    case ETCDSERVERPB__DOWNGRADE_REQUEST__DOWNGRADE_ACTION__CANCEL:
        call__fail(call, V3_NO_INFLIGHT_DOWNGRADE);
        return;
    default:
        call__fail_code(call, GRPC_UNIMPLEMENTED, "no such action");
    }
}
