/* Txn: first all comparisons, then the checks that need the store, then the
 * operations of the branches that were taken. */
#include "base/plant.h"
#include "txn/txn_int.h"

/* One txn on its way. */
struct run {
    struct txn *txn; /* NULL: it only reads */
    struct mvcc_reader *reader;
    struct path path;
    size_t at;        /* how much of the path was gone */
    revision before;  /* the store's, when it began */
    revision first;   /* reads below it are refused; -1: none are */
    bool changed;     /* it has written */
    bool wanted;      /* an answer */
    bool too_large;   /* the answer was, and is given up */
    struct buf *body; /* of it */
    struct txn_count *count;
};

enum op {
    OP_RANGE = ETCDSERVERPB__REQUEST_OP__REQUEST_REQUEST_RANGE,
    OP_PUT = ETCDSERVERPB__REQUEST_OP__REQUEST_REQUEST_PUT,
    OP_DELETE = ETCDSERVERPB__REQUEST_OP__REQUEST_REQUEST_DELETE_RANGE,
    OP_TXN = ETCDSERVERPB__REQUEST_OP__REQUEST_REQUEST_TXN,
};

static void run_init(struct run *run, struct txn *txn,
                     struct mvcc_reader *reader, struct txn_answer *answer)
{
    *run = (struct run){.txn = txn,
                        .reader = reader,
                        .body = &answer->body,
                        .count = &answer->count};
    txn__path_init(&run->path);
    mvcc_reader_revisions(reader, &run->before, &run->first);
    if (run->first == 0)
        run->first = -1; /* what etcd has before the first compaction */
    answer->revision = run->before;
}

/* The next txn on the path. */
static bool is_taken(struct run *run)
{
    CHECK_LT(run->at, run->path.count);
    return run->path.taken[run->at++];
}

static revision revision_now(const struct run *run)
{
    return run->before + run->changed;
}

/* ---- checks -------------------------------------------------------------- */

static enum err check_put(struct run *run,
                          const Etcdserverpb__PutRequest *request,
                          enum v3_error *error)
{
    struct rev rev;
    if (request->ignore_value || request->ignore_lease) {
        enum err err = mvcc_find(run->reader, MVCC_KEYS,
                                 message_bytes(request->key), 0, &rev);
        if (err == ERR_NOT_FOUND)
            *error = V3_KEY_NOT_FOUND;
        if (err != ERR_OK)
            return err == ERR_NOT_FOUND ? ERR_OK : err;
    }
    CHECK(run->txn != NULL);
    if (request->lease != 0 && !txn__has_lease(run->txn, request->lease))
        *error = V3_LEASE_NOT_FOUND;
    return ERR_OK;
}

/* A revision below 0 means now, unless it is "compacted": as in etcd. */
static enum v3_error check_range(const struct run *run,
                                 const Etcdserverpb__RangeRequest *request)
{
    if (request->revision > run->before)
        return V3_FUTURE_REV;
    if (request->revision != 0 && request->revision < run->first)
        return V3_COMPACTED;
    return V3_OK;
}

/* All operations of one kind, on the path. */
static enum err check_ops(struct run *run,
                          const Etcdserverpb__TxnRequest *request, enum op kind,
                          enum v3_error *error)
{
    struct branch branch = txn__branch(request, is_taken(run));
    enum err err = ERR_OK;
    for (size_t i = 0; i < branch.count && err == ERR_OK && *error == V3_OK;
         i++) {
        const Etcdserverpb__RequestOp *op = branch.ops[i];
        if ((enum op)op->request_case == OP_TXN)
            err = check_ops(run, op->request_txn, kind, error);
        else if ((enum op)op->request_case != kind)
            continue;
        else if (kind == OP_PUT)
            err = check_put(run, op->request_put, error);
        else
            *error = check_range(run, op->request_range);
    }
    return err;
}

/* Once it writes nothing may fail any more. The order is etcd's: the puts'
 * errors before the ranges'. */
static enum err prepare(struct run *run,
                        const Etcdserverpb__TxnRequest *request,
                        enum v3_error *error)
{
    enum err err = txn__path_find(&run->path, run->reader, request);
    if (err == ERR_OK && run->txn != NULL)
        err = check_ops(run, request, OP_PUT, error);
    run->at = 0;
    if (err == ERR_OK && *error == V3_OK)
        err = check_ops(run, request, OP_RANGE, error);
    run->at = 0;
    return err;
}

/* ---- operations ---------------------------------------------------------- */

static void give_up_answer(struct run *run)
{
    run->wanted = false;
    run->too_large = true;
    buf_reset(run->body);
}

static enum err run_range(struct run *run,
                          const Etcdserverpb__RangeRequest *request)
{
    struct range_plan plan;
    size_t size = run->body->size;
    size_t room = TXN_ANSWER_BYTES_MAX > size ? TXN_ANSWER_BYTES_MAX - size : 0;
    run->count->ranges++;
    if (!run->wanted)
        return ERR_OK;
    txn__plan(&plan, request,
              run->txn ? mvcc_next_revision(run->txn->mvcc) : run->before);
    txn__put_header(run->body, revision_now(run));
    enum err err = txn__range(run->reader, &plan, room, run->body);
    if (err == ERR_TOO_LARGE)
        give_up_answer(run);
    return err == ERR_TOO_LARGE ? ERR_OK : err;
}

static enum err run_put(struct run *run,
                        const Etcdserverpb__PutRequest *request)
{
    struct record prev;
    bool has_prev = false;
    CHECK(run->txn != NULL);
    if (txn__put_needs_prev(request, run->wanted)) {
        enum err err = txn__put_prev(run->reader, request, &prev, &has_prev);
        if (err != ERR_OK)
            return err;
    }
    txn__put_apply(run->txn, request, has_prev ? &prev : NULL);
    run->changed = true;
    run->count->puts++;
    if (run->wanted) {
        txn__put_header(run->body, revision_now(run));
        if (has_prev && request->prev_kv)
            txn_put_key_value(run->body, FIELD_PUT_PREV, &prev);
    }
    return ERR_OK;
}

/* The header's revision depends on whether there was anything to delete, so
 * what stands behind it is made apart. */
static enum err run_delete(struct run *run,
                           const Etcdserverpb__DeleteRangeRequest *request)
{
    struct buf body = {0};
    uint64_t deleted;
    CHECK(run->txn != NULL);
    enum err err = txn__delete_apply(run->txn, request,
                                     run->wanted ? &body : NULL, &deleted);
    run->changed |= deleted > 0;
    run->count->deletes++;
    if (run->wanted) {
        txn__put_header(run->body, revision_now(run));
        buf_append_slice(run->body, buf_slice(&body));
    }
    buf_deinit(&body);
    return err;
}

static enum err run_branch(struct run *run,
                           const Etcdserverpb__TxnRequest *request);

static enum err run_txn(struct run *run,
                        const Etcdserverpb__TxnRequest *request)
{
    if (run->wanted)
        txn__put_header(run->body, 0); /* etcd leaves it empty */
    return run_branch(run, request);
}

static const uint32_t op_fields[] = {
    [OP_RANGE] = FIELD_OP_RANGE,
    [OP_PUT] = FIELD_OP_PUT,
    [OP_DELETE] = FIELD_OP_DELETE,
    [OP_TXN] = FIELD_OP_TXN,
};

static enum err run_op(struct run *run, const Etcdserverpb__RequestOp *op)
{
    enum op kind = (enum op)op->request_case;
    size_t outer = 0, inner = 0;
    enum err err;
    CHECK(kind >= OP_RANGE && kind <= OP_TXN);
    if (run->wanted) {
        outer = txn__field_begin(run->body, FIELD_TXN_RESPONSES);
        inner = txn__field_begin(run->body, op_fields[kind]);
    }
    if (kind == OP_RANGE)
        err = run_range(run, op->request_range);
    else if (kind == OP_PUT)
        err = run_put(run, op->request_put);
    else if (kind == OP_DELETE)
        err = run_delete(run, op->request_delete_range);
    else
        err = run_txn(run, op->request_txn);
    if (run->wanted && run->body->size > TXN_ANSWER_BYTES_MAX)
        give_up_answer(run);
    if (run->wanted) {
        txn__field_end(run->body, inner);
        txn__field_end(run->body, outer);
    }
    return err;
}

static enum err run_branch(struct run *run,
                           const Etcdserverpb__TxnRequest *request)
{
    bool succeeded = is_taken(run);
    struct branch branch = txn__branch(request, succeeded);
    enum err err = ERR_OK;
    if (run->wanted)
        pb_put_bool(run->body, FIELD_TXN_SUCCEEDED, succeeded);
    size_t count = branch.count;
    if (PLANTED(TXN_HALF) && count > 1 &&
        (enum op)branch.ops[count - 1]->request_case != OP_TXN)
        count--;
    for (size_t i = 0; i < count && err == ERR_OK; i++)
        err = run_op(run, branch.ops[i]);
    return err;
}

/* ---- from outside -------------------------------------------------------- */

/* The whole of it, in an open transaction if it may write. */
static enum err run_all(struct run *run,
                        const Etcdserverpb__TxnRequest *request,
                        struct txn_answer *answer)
{
    enum err err = run_branch(run, request);
    CHECK(err != ERR_OK || run->at == run->path.count);
    if (run->too_large)
        answer->error = V3_REQUEST_TOO_LARGE;
    return err;
}

enum err txn_run(struct txn *txn, const Etcdserverpb__TxnRequest *request,
                 int64_t time_ns, bool wanted, struct txn_answer *answer,
                 struct mvcc_commit **commit)
{
    struct run run;
    CHECK(answer->body.size == 0);
    *commit = NULL;
    run_init(&run, txn, txn->reader, answer);
    run.wanted = wanted;
    enum err err = prepare(&run, request, &answer->error);
    if (err == ERR_OK && answer->error == V3_OK) {
        mvcc_begin(txn->mvcc, time_ns);
        err = run_all(&run, request, answer);
        if (err != ERR_OK)
            txn__break_off(txn);
        else
            *commit = mvcc_commit(txn->mvcc);
        CHECK(err != ERR_OK || (*commit != NULL) == run.changed);
        answer->revision = revision_now(&run);
    }
    txn__path_deinit(&run.path);
    return err_wrap(err, "txn");
}

enum err txn_read(struct mvcc_reader *reader,
                  const Etcdserverpb__TxnRequest *request,
                  struct txn_answer *answer)
{
    struct run run;
    CHECK(answer->body.size == 0 && txn_is_read_only(request));
    run_init(&run, NULL, reader, answer);
    run.wanted = true;
    enum err err = prepare(&run, request, &answer->error);
    if (err == ERR_OK && answer->error == V3_OK)
        err = run_all(&run, request, answer);
    txn__path_deinit(&run.path);
    return err_wrap(err, "txn");
}
