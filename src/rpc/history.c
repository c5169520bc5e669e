/* etched.v1.History: every change with its cause and its time.
 *
 * Records are read on a worker, a piece at a time, and the next piece when
 * the client has taken what it was sent; what a stream costs doesn't depend on
 * how much it asks for.
 */
#include "base/check.h"
#include "proto/history.pb-c.h"
#include "proto/pb.h"
#include "rpc/errand.h"

enum { PIECE_BYTES = LIMIT_HTTP_OUT_LOW_BYTES };

struct history {
    struct errand errand; /* first */
    struct mvcc *mvcc;
    struct lock *lock;
    /* What is asked for: keys in [from, end), of [next, last]. */
    struct buf key;
    struct buf range_end;
    struct slice from;
    struct slice end; /* at == NULL: none */
    bool is_single;
    struct rev next; /* main 0: from the oldest there is */
    revision last;   /* 0: up to the newest */
    revision jumped; /* is_single: where the key's index has led to */
    uint64_t left;   /* records, at the most */
    bool has_begun;
    bool is_done;
    revision now; /* as of the beginning */
    enum err err;
    struct buf piece; /* records, as fields of a HistoryResponse */
    struct buf record;
    struct buf event;
};

static struct history *history_of(struct errand *errand)
{
    return CONTAINER_OF(errand, struct history, errand);
}

/* ---- on a worker ----------------------------------------------------- */

static bool is_asked_for(const struct history *history,
                         const struct record *record)
{
    if (record->table != MVCC_KEYS) {
        return false;
    }
    if (history->is_single) {
        return slice_eq(record->key, history->from);
    }
    return slice_cmp(record->key, history->from) >= 0 &&
           (history->end.at == NULL ||
            slice_cmp(record->key, history->end) < 0);
}

static void add_record(struct history *history, const struct record *record)
{
    struct buf *out = &history->record;
    buf_reset(out);
    buf_reset(&history->event);
    txn_event(&history->event, record, NULL);
    pb_put_bytes_always(out, 1, buf_slice(&history->event));
    pb_put_bytes(out, 2, slice_str(mvcc_cause_text(record->cause)));
    pb_put_i64(out, 3, record->time_ns);
    pb_put_i64(out, 4, record->rev.sub);
    pb_put_bytes_always(&history->piece, 2, buf_slice(out));
    history->left--;
}

/* A single key's changes are found by its index; between them nothing needs to
 * be read. */
static enum err jump(struct history *history, struct mvcc_reader *reader)
{
    struct rev found;
    if (!history->is_single || history->next.main == history->jumped) {
        return ERR_OK;
    }
    enum err err = mvcc_key_history(reader, MVCC_KEYS, history->from,
                                    history->next.main, &found);
    if (err == ERR_OK) {
        history->jumped = found.main;
        history->next = (struct rev){.main = found.main};
    }
    return err;
}

/* ERR_END: there are no more. */
static enum err read_record(struct history *history, struct mvcc_reader *reader)
{
    struct record record;
    enum err err = jump(history, reader);
    if (err == ERR_OK) {
        err = mvcc_history(reader, history->next, &record);
    }
    if (err != ERR_OK) {
        return err;
    }
    if (record.rev.main > history->last || history->left == 0) {
        return ERR_END;
    }
    if (history->is_single && record.rev.main != history->jumped) {
        CHECK_LT(history->jumped, record.rev.main);
        history->next = (struct rev){.main = record.rev.main};
        return ERR_OK;
    }
    if (is_asked_for(history, &record)) {
        add_record(history, &record);
    }
    history->next =
        (struct rev){.main = record.rev.main, .sub = record.rev.sub + 1};
    return ERR_OK;
}

static void begin(struct history *history, struct mvcc_reader *reader)
{
    revision compacted;
    mvcc_reader_revisions(reader, &history->now, &compacted);
    history->has_begun = true;
    if (history->next.main == 0) {
        history->next.main = compacted + 1;
    }
    if (history->last == 0 || history->last > history->now) {
        history->last = history->now;
    }
}

/* Under the shared lock, which isn't held for long. */
static void read_slice(struct history *history, struct mvcc_reader *reader)
{
    enum err err = ERR_OK;
    lock_read(history->lock);
    mvcc_read_begin(reader);
    if (!history->has_begun) {
        begin(history, reader);
    }
    for (int i = 0; i < LIMIT_HISTORY_SLICE && err == ERR_OK &&
                    history->piece.size < PIECE_BYTES;
         i++) {
        err = read_record(history, reader);
    }
    mvcc_read_end(reader);
    unlock_read(history->lock);
    history->is_done = err != ERR_OK;
    history->err = err == ERR_END ? ERR_OK : err;
}

static void read_piece(struct errand *errand)
{
    struct history *history = history_of(errand);
    struct mvcc_reader *reader;
    buf_reset(&history->piece);
    history->err = mvcc_reader_new(history->mvcc, &reader);
    if (history->err != ERR_OK) {
        return;
    }
    while (!history->is_done && history->piece.size < PIECE_BYTES &&
           !errand__is_unasked(errand)) {
        read_slice(history, reader);
    }
    mvcc_reader_free(reader);
}

/* ---- on the I/O thread ----------------------------------------------- */

static void free_history(struct history *history)
{
    buf_deinit(&history->key);
    buf_deinit(&history->range_end);
    buf_deinit(&history->piece);
    buf_deinit(&history->record);
    buf_deinit(&history->event);
    mem_free(history);
}

static void on_gone(struct call *call)
{
    struct history *history = history_of(call->context);
    errand__give_up(&history->errand);
    if (!history->errand.away) {
        free_history(history);
    }
}

static void end(struct history *history)
{
    struct call *call = history->errand.call;
    enum err err = history->err;
    call->on_gone = NULL;
    call->on_drained = NULL;
    free_history(history);
    if (err == ERR_OK) {
        call__finish(call);
    } else {
        call__fail_err(call, err);
    }
}

static void on_piece(struct errand *errand);

/* All that there is, where no key is asked for. */
static enum v3_error may_read(const struct call *call, struct slice key,
                              struct slice range_end)
{
    const struct slice zero = slice_of("", 1);
    return key.size > 0 ? who__may(call, AUTH_READ, key, range_end)
                        : who__may(call, AUTH_READ, zero, zero);
}

/* Who lost the right meanwhile gets no more of it. False: it has ended. */
static bool may_go_on(struct history *history)
{
    struct call *call = history->errand.call;
    if (!who__has_changed(call)) {
        return true;
    }
    enum v3_error error = who__again(call);
    if (error == V3_OK) {
        error = may_read(call, buf_slice(&history->key),
                         buf_slice(&history->range_end));
    }
    if (error != V3_OK) {
        call->on_gone = NULL;
        call->on_drained = NULL;
        free_history(history);
        call__fail(call, error);
    }
    return error == V3_OK;
}

/* Needs: it isn't with a worker. */
static void go_on(struct history *history)
{
    if (!may_go_on(history)) {
        return;
    }
    if (history->is_done) {
        end(history);
    } else if (call__unsent(history->errand.call) <=
               LIMIT_HTTP_OUT_HIGH_BYTES) {
        errand__submit(&history->errand, read_piece, on_piece);
    }
}

static void on_drained(struct call *call)
{
    struct history *history = history_of(call->context);
    if (!history->errand.away) {
        go_on(history);
    }
}

static void on_piece(struct errand *errand)
{
    struct history *history = history_of(errand);
    struct call *call = errand->call;
    char header[RPC_HEADER_BYTES_MAX];
    bool ended = false;
    if (call == NULL) {
        free_history(history);
        return;
    }
    if (history->err != ERR_OK) {
        end(history);
        return;
    }
    size_t size = rpc__header(call->rpc, history->now, header);
    call->ended = &ended;
    call__send_parts(call, slice_of(header, size), buf_slice(&history->piece));
    if (!ended) {
        call->ended = NULL;
        go_on(history);
    }
}

static void start_records(struct call *call, void *context)
{
    const Etched__V1__HistoryRequest *asked = context;
    enum v3_error error = may_read(call, message_bytes(asked->key),
                                   message_bytes(asked->range_end));
    if (error != V3_OK) {
        call__fail(call, error);
        return;
    }
    struct history *history = mem_alloc_zero(sizeof(*history));
    struct node *node = call->rpc->node;
    errand__init(&history->errand, call);
    history->mvcc = node_mvcc(node);
    history->lock = node_lock(node);
    /* The request may be gone while a worker reads. */
    buf_append_slice(&history->key, message_bytes(asked->key));
    buf_append_slice(&history->range_end, message_bytes(asked->range_end));
    history->from = SLICE("");
    if (history->key.size > 0) {
        txn_bounds(buf_slice(&history->key), buf_slice(&history->range_end),
                   &history->from, &history->end, &history->is_single);
    }
    history->next.main = asked->start_revision;
    history->last = asked->end_revision;
    history->left = asked->limit > 0 ? (uint64_t)asked->limit : UINT64_MAX;
    call->context = &history->errand;
    call->on_gone = on_gone;
    call->on_drained = on_drained;
    errand__submit(&history->errand, read_piece, on_piece);
}

void history__records(struct call *call, ProtobufCMessage *request)
{
    const Etched__V1__HistoryRequest *asked = (const void *)request;
    who__about(call, message_bytes(asked->key),
               message_bytes(asked->range_end));
    if (asked->start_revision < 0 || asked->end_revision < 0 ||
        asked->limit < 0) {
        call__fail_code(call, GRPC_INVALID_ARGUMENT,
                        "etched: a revision or a limit is less than 0");
        return;
    }
    task__when_current(call, false, request, start_records);
}

/* ---- RevisionAt ------------------------------------------------------ */

/* Needs: rpc__read_begin. */
static enum err find_revision(struct rpc *rpc, int64_t time_ns,
                              Etched__V1__RevisionAtResponse *response)
{
    struct record record;
    revision found;
    enum err err = mvcc_revision_at(rpc->reader, time_ns, &found);
    if (err != ERR_OK) {
        return err;
    }
    response->revision = found;
    err = mvcc_history(rpc->reader, (struct rev){.main = found}, &record);
    if (err == ERR_OK) {
        response->time_unix_nanos = record.time_ns;
    }
    /* Of the compaction's own revision nothing else can be told. */
    return err == ERR_COMPACTED ? ERR_OK : err;
}

static void answer_revision(struct call *call, void *context)
{
    const Etched__V1__RevisionAtRequest *asked = context;
    struct rpc *rpc = call->rpc;
    Etched__V1__RevisionAtResponse response =
        ETCHED__V1__REVISION_AT_RESPONSE__INIT;
    rpc__read_begin(rpc);
    revision now = rpc__revision(rpc);
    enum err err = find_revision(rpc, asked->time_unix_nanos, &response);
    rpc__read_end(rpc);
    if (err == ERR_NOT_FOUND) {
        call__fail_code(call, GRPC_NOT_FOUND,
                        "etched: nothing was committed by that time");
    } else if (err != ERR_OK) {
        call__fail_err(call, err);
    } else {
        struct buf *body = rpc__body(rpc);
        message_encode(&response.base, body);
        call__answer(call, now, buf_slice(body));
    }
}

void history__revision_at(struct call *call, ProtobufCMessage *request)
{
    task__when_current(call, false, request, answer_revision);
}
