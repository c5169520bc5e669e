/* What clients are told by v3, against the twin and the leases of the log: the
 * condition of a txn held as it says, what it found was there, and all that it
 * says it did was done, in one commit. */
#include "base/check.h"
#include "base/mem.h"
#include "proto/message.h"
#include "sim/sim_int.h"

enum { FOUND_MAX = 4 };

/* What an answer says. */
struct told {
    bool held; /* the condition; of a delete: there was something */
    const Mvccpb__KeyValue *found[FOUND_MAX];
    size_t count;
    bool too_many;
};

/* What the twin has of an object. */
struct object {
    const struct record *records[2]; /* NULL: not there */
    int parts;
    size_t living;
    uint32_t value;
};

/* ---- the twin ------------------------------------------------------------ */

static enum err look_at_twin(const struct sim *sim, int number, revision at,
                             struct object *out)
{
    char name[SIM_PATH_BYTES_MAX];
    *out = (struct object){.parts = sim__part_count(number)};
    for (int i = 0; i < out->parts; i++) {
        sim__part_name(number, i, name);
        const struct record *record =
            ledger_get(&sim->ledger, MVCC_KEYS, slice_str(name), at);
        uint32_t value = record ? sim__value_of(record->value) : 0;
        out->records[i] = record;
        out->living += record != NULL;
        if (i > 0 && value != out->value)
            return err_set(ERR_CORRUPT, "%s: half of a pair at revision %lld",
                           name, (long long)at);
        out->value = value;
    }
    return ERR_OK;
}

static bool is_record(const Mvccpb__KeyValue *kv, const struct record *record)
{
    return slice_eq(message_bytes(kv->key), record->key) &&
           slice_eq(message_bytes(kv->value), record->value) &&
           kv->create_revision == record->create &&
           kv->mod_revision == record->rev.main &&
           kv->version == record->version && kv->lease == record->lease;
}

/* In the order of the keys, all that live and nothing else. */
static enum err same_kvs(const Mvccpb__KeyValue *const *kvs, size_t count,
                         const struct object *twin)
{
    size_t at = 0;
    for (int i = 0; i < twin->parts; i++) {
        if (twin->records[i] == NULL)
            continue;
        if (at == count || !is_record(kvs[at], twin->records[i]))
            return err_set(
                ERR_CORRUPT, "%.*s is told as it isn't: it is of revision %lld",
                (int)twin->records[i]->key.size, twin->records[i]->key.at,
                (long long)twin->records[i]->rev.main);
        at++;
    }
    if (at < count)
        return err_set(ERR_CORRUPT, "a key is told that isn't there: %.*s",
                       (int)kvs[at]->key.len, (const char *)kvs[at]->key.data);
    return ERR_OK;
}

/* ---- answers ------------------------------------------------------------- */

static void add(struct told *told, const Mvccpb__KeyValue *kv)
{
    if (kv == NULL)
        return;
    if (told->count == FOUND_MAX)
        told->too_many = true;
    else
        told->found[told->count++] = kv;
}

static void add_delete(struct told *told,
                       const Etcdserverpb__DeleteRangeResponse *response)
{
    for (size_t i = 0; i < response->n_prev_kvs; i++)
        add(told, response->prev_kvs[i]);
    if (response->deleted != (int64_t)response->n_prev_kvs)
        told->too_many = true;
}

static void add_txn(struct told *told, const Etcdserverpb__TxnResponse *txn)
{
    for (size_t i = 0; i < txn->n_responses; i++) {
        const Etcdserverpb__ResponseOp *op = txn->responses[i];
        switch (op->response_case) {
        case ETCDSERVERPB__RESPONSE_OP__RESPONSE_RESPONSE_RANGE:
            for (size_t j = 0; j < op->response_range->n_kvs; j++)
                add(told, op->response_range->kvs[j]);
            break;
        case ETCDSERVERPB__RESPONSE_OP__RESPONSE_RESPONSE_PUT:
            add(told, op->response_put->prev_kv);
            break;
        case ETCDSERVERPB__RESPONSE_OP__RESPONSE_RESPONSE_DELETE_RANGE:
            add_delete(told, op->response_delete_range);
            break;
        case ETCDSERVERPB__RESPONSE_OP__RESPONSE_RESPONSE_TXN:
            add_txn(told, op->response_txn);
            break;
        default:
            told->too_many = true;
        }
    }
}

static enum err read_answer(const struct sim_op *op, struct arena *arena,
                            struct told *told)
{
    const struct txn_answer *answer = &op->request.answer;
    bool is_put = op->kind == SIM_PUT && sim__part_count(op->key) == 1;
    const ProtobufCMessageDescriptor *type =
        is_put                ? &etcdserverpb__put_response__descriptor
        : op->kind == SIM_END ? &etcdserverpb__delete_range_response__descriptor
                              : &etcdserverpb__txn_response__descriptor;
    ProtobufCMessage *message;
    *told = (struct told){.held = true};
    enum err err =
        message_decode(type, buf_slice(&answer->body), arena, &message);
    if (err)
        return err;
    if (is_put) {
        add(told, ((Etcdserverpb__PutResponse *)message)->prev_kv);
    } else if (op->kind == SIM_END) {
        add_delete(told, (Etcdserverpb__DeleteRangeResponse *)message);
        told->held = told->count > 0;
    } else {
        add_txn(told, (Etcdserverpb__TxnResponse *)message);
        told->held = ((Etcdserverpb__TxnResponse *)message)->succeeded;
    }
    return told->too_many ? err_set(ERR_CORRUPT, "an answer of another kind")
                          : ERR_OK;
}

/* ---- what must come of it ------------------------------------------------ */

static bool must_hold(const struct sim_op *op, const struct object *before)
{
    switch (op->kind) {
    case SIM_PUT_NEW:
        return before->value == 0;
    case SIM_PUT_OLD:
    case SIM_END:
        return before->value != 0;
    case SIM_PUT_IF:
        return before->value == op->expect;
    case SIM_END_IF:
        return before->value != 0 && before->value == op->expect;
    default:
        return true;
    }
}

/* One commit, of the object's keys and no other. */
static enum err check_done(const struct sim_op *op)
{
    revision at = op->request.answer.revision;
    const struct mvcc_commit *commit = ledger_commit_at(&op->sim->ledger, at);
    bool is_end = op->kind == SIM_END || op->kind == SIM_END_IF;
    if (commit == NULL || commit->count != (uint32_t)sim__part_count(op->key))
        return err_set(ERR_CORRUPT, "it isn't at revision %lld", (long long)at);
    for (uint32_t i = 0; i < commit->count; i++) {
        char name[SIM_PATH_BYTES_MAX];
        const struct record *record = &commit->records[i];
        sim__part_name(op->key, (int)i, name);
        if (!slice_eq(record->key, slice_str(name)) ||
            is_end != ((record->flags & MVCC_TOMBSTONE) != 0) ||
            (!is_end && sim__value_of(record->value) != op->value))
            return err_set(ERR_CORRUPT, "%s isn't at revision %lld", name,
                           (long long)at);
    }
    return ERR_OK;
}

static enum err check_object(const struct sim_op *op, const struct told *told,
                             struct sim_found *out)
{
    struct object before;
    revision at = op->request.answer.revision;
    enum err err =
        look_at_twin(op->sim, op->key, told->held ? at - 1 : at, &before);
    if (err)
        return err;
    out->refused = !told->held;
    out->value = before.value;
    if (told->held != must_hold(op, &before))
        return err_set(
            ERR_CORRUPT, "its condition %s at revision %lld, and there is v%u",
            told->held ? "held" : "didn't hold", (long long)at, before.value);
    err = same_kvs(told->found, told->count, &before);
    return err == ERR_OK && told->held ? check_done(op) : err;
}

static enum err take_object(const struct sim_op *op, struct sim_found *out)
{
    struct arena arena;
    struct told told;
    if (op->request.answer.error)
        return err_set(ERR_CORRUPT, "it is refused: error %d",
                       (int)op->request.answer.error);
    arena_init(&arena, 0);
    enum err err = read_answer(op, &arena, &told);
    if (err == ERR_OK)
        err = check_object(op, &told, out);
    arena_deinit(&arena);
    return err;
}

/* ---- leases -------------------------------------------------------------- */

static struct sim_lease *lease_of(struct sim *sim, lease_id id)
{
    for (int i = 0; i < SIM_LEASES; i++)
        if (sim->leases[i].id == id)
            return &sim->leases[i];
    return NULL;
}

/* LeaseGrantResponse and LeaseKeepAliveResponse are alike; a lease that isn't
 * there has the TTL 0. */
static enum err check_ttl(const struct sim_op *op, int64_t must_s)
{
    struct arena arena;
    ProtobufCMessage *message;
    arena_init(&arena, 0);
    enum err err =
        message_decode(&etcdserverpb__lease_keep_alive_response__descriptor,
                       buf_slice(&op->request.answer.body), &arena, &message);
    const Etcdserverpb__LeaseKeepAliveResponse *told =
        (Etcdserverpb__LeaseKeepAliveResponse *)message;
    if (err == ERR_OK && (told->id != op->lease || told->ttl != must_s))
        err = err_set(
            ERR_CORRUPT, "lease %lld has %lld s, and should have %lld",
            (long long)op->lease, (long long)told->ttl, (long long)must_s);
    arena_deinit(&arena);
    return err;
}

static void keep(struct sim_op *op, int64_t ttl_s)
{
    struct sim_lease *lease = lease_of(op->sim, op->lease);
    if (op->kind == SIM_GRANT)
        lease = &op->sim->leases[op->key % SIM_LEASES];
    if (lease && ttl_s > 0 &&
        (lease->id != op->lease || lease->kept_ns < op->call_ns))
        *lease = (struct sim_lease){op->lease, ttl_s, op->call_ns};
}

/* Of what touches a lease: it was there before, or not. */
static enum err take_lease(struct sim_op *op, struct sim_found *out)
{
    const struct lessor *lessor = &op->sim->ledger.lessor;
    raft_index index = op->request.index;
    const struct lessor_change *before =
        lessor_get(lessor, op->lease, index - 1);
    const struct lessor_change *now = lessor_get(lessor, op->lease, index);
    enum v3_error error = op->request.answer.error;
    enum v3_error must = before ? V3_OK : V3_LEASE_NOT_FOUND;
    if (op->kind == SIM_GRANT)
        must = before ? V3_LEASE_EXIST : V3_OK;
    if (op->kind == SIM_KEEP)
        must = V3_OK;
    if (error != must)
        return err_set(ERR_CORRUPT,
                       "lease %lld is %s before index %llu, and the answer is "
                       "error %d",
                       (long long)op->lease, before ? "there" : "not there",
                       (unsigned long long)index, (int)error);
    out->refused = error != V3_OK;
    if (error || (op->kind != SIM_GRANT && op->kind != SIM_KEEP))
        return ERR_OK;
    keep(op, now ? now->granted_s : 0);
    return check_ttl(op, now ? now->granted_s : 0);
}

/* A put that keeps the lease wants a key that is there. */
static enum err take_over(const struct sim_op *op, struct sim_found *out)
{
    enum v3_error error = op->request.answer.error;
    revision at = op->request.answer.revision;
    const struct record *before = ledger_get(
        &op->sim->ledger, MVCC_KEYS, slice_str(op->path), error ? at : at - 1);
    bool wants = op->value % 2;
    out->refused = error != V3_OK;
    if (error == (wants && before == NULL ? V3_KEY_NOT_FOUND : V3_OK))
        return ERR_OK;
    return err_set(ERR_CORRUPT,
                   "%s %s at revision %lld, and the answer is "
                   "error %d",
                   op->path, before ? "lives" : "doesn't live", (long long)at,
                   (int)error);
}

/* The key stands there with our value, and the lease that it should have. */
static enum err check_put(const struct sim_op *op)
{
    revision at = op->request.answer.revision;
    const struct record *record =
        ledger_get(&op->sim->ledger, MVCC_KEYS, slice_str(op->path), at);
    const struct record *before =
        ledger_get(&op->sim->ledger, MVCC_KEYS, slice_str(op->path), at - 1);
    lease_id lease = op->kind == SIM_ATTACH ? op->lease : 0;
    if (op->kind == SIM_TAKE_OVER && op->value % 2 && before)
        lease = before->lease;
    if (record && record->rev.main == at && record->lease == lease &&
        sim__value_of(record->value) == op->value)
        return ERR_OK;
    return err_set(ERR_CORRUPT, "%s isn't so at revision %lld", op->path,
                   (long long)at);
}

enum err sim__v3_take(struct sim_op *op, struct sim_found *out)
{
    enum err err;
    *out = (struct sim_found){0};
    if (sim__is_plain(op->kind))
        return take_object(op, out);
    if (op->kind == SIM_TAKE_OVER)
        err = take_over(op, out);
    else
        err = take_lease(op, out);
    bool is_put = op->kind == SIM_ATTACH || op->kind == SIM_TAKE_OVER;
    return err == ERR_OK && is_put && !out->refused ? check_put(op) : err;
}

/* ---- ranges -------------------------------------------------------------- */

static enum err check_range(struct sim_member *member, int number,
                            const struct txn_answer *answer, revision at,
                            uint32_t *value)
{
    struct arena arena;
    struct object twin;
    ProtobufCMessage *message;
    if (answer->error)
        return err_set(ERR_CORRUPT, "a range at %lld is refused: error %d",
                       (long long)at, (int)answer->error);
    enum err err = look_at_twin(member->sim, number, at, &twin);
    if (err)
        return err;
    *value = twin.value;
    arena_init(&arena, 0);
    err = message_decode(&etcdserverpb__range_response__descriptor,
                         buf_slice(&answer->body), &arena, &message);
    const Etcdserverpb__RangeResponse *told =
        (Etcdserverpb__RangeResponse *)message;
    if (err == ERR_OK)
        err = same_kvs((const Mvccpb__KeyValue *const *)told->kvs, told->n_kvs,
                       &twin);
    if (err == ERR_OK && (size_t)told->count != twin.living)
        err = err_set(ERR_CORRUPT, "a range counts %lld keys, should be %zu",
                      (long long)told->count, twin.living);
    arena_deinit(&arena);
    return err;
}

enum err sim__v3_range(struct sim_member *member, int object, revision *at,
                       uint32_t *value)
{
    char names[2][SIM_PATH_BYTES_MAX];
    struct mvcc_status status;
    struct txn_answer answer = {0};
    Etcdserverpb__RangeRequest request;
    etcdserverpb__range_request__init(&request);
    sim__part_name(object, 0, names[0]);
    sim__part_name(object, 2, names[1]);
    request.key = message_data(slice_str(names[0]));
    if (sim__part_count(object) > 1)
        request.range_end = message_data(slice_str(names[1]));
    sim__read_begin(member);
    mvcc_status(node_mvcc(member->node), &status);
    /* What is compacted can't be looked at. */
    if (*at > status.current || *at <= status.compacted)
        *at = 0;
    request.revision = *at;
    if (*at == 0)
        *at = status.current;
    enum err err = txn_range(member->reader, &request, status.current,
                             TXN_ANSWER_BYTES_MAX, &answer);
    if (err == ERR_OK)
        err = check_range(member, object, &answer, *at, value);
    sim__read_end(member);
    txn_answer_deinit(&answer);
    return err;
}

/* ---- commits ------------------------------------------------------------- */

/* Both keys of a pair, alike. */
static bool is_whole(const struct mvcc_commit *commit, uint32_t at)
{
    const struct record *record = &commit->records[at];
    struct slice key = record->key;
    for (uint32_t i = 0; i < commit->count; i++) {
        const struct record *other = &commit->records[i];
        if (i != at && other->table == MVCC_KEYS &&
            other->key.size == key.size &&
            memcmp(other->key.at, key.at, key.size - 1) == 0)
            return other->flags == record->flags &&
                   slice_eq(other->value, record->value);
    }
    return false;
}

static bool is_of_pair(const struct record *record)
{
    return record->table == MVCC_KEYS &&
           (slice_has_prefix(record->key, SLICE("p0/")) ||
            slice_has_prefix(record->key, SLICE("/p1/")));
}

/* The wall clocks part: each has an offset of at most half a second, and runs
 * by at most 3 % wrong. Where they jump nothing can be said. */
static void check_kept(struct sim *sim, const struct record *record)
{
    const struct record *before =
        ledger_get(&sim->ledger, MVCC_KEYS, record->key, record->rev.main - 1);
    const struct sim_lease *lease =
        before && before->lease ? lease_of(sim, before->lease) : NULL;
    int64_t apart_ns = SIM_SECOND + SIM_SECOND / 10 + sim->now_ns / 100 * 6;
    if (lease == NULL || (sim->faults & SIM_FAULT_CLOCK))
        return;
    if (sim->now_ns < lease->kept_ns + lease->ttl_s * SIM_SECOND - apart_ns)
        sim__fail(sim,
                  "lease %lld of %lld s was kept alive at %lld ms, and ends at "
                  "revision %lld",
                  (long long)lease->id, (long long)lease->ttl_s,
                  (long long)(lease->kept_ns / SIM_MS),
                  (long long)record->rev.main);
}

void sim__v3_note_commit(struct sim *sim, const struct mvcc_commit *commit)
{
    for (uint32_t i = 0; i < commit->count; i++) {
        const struct record *record = &commit->records[i];
        if (is_of_pair(record) && !is_whole(commit, i))
            sim__fail(sim, "revision %lld changes half of a pair",
                      (long long)commit->main);
        if (record->cause == MVCC_EXPIRE && record->table == MVCC_KEYS)
            check_kept(sim, record);
    }
}
