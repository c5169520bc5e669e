#include "unit/txn/stories.h"

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdlib.h>
#include <cmocka.h>

#include "base/mem.h"

enum { ANSWERS = 16 };

struct kv *kv;
struct mvcc *store;
struct mvcc_reader *reader;
struct lease_table *leases;
int64_t clock_ns;
size_t ops_max;

static struct arena arena;
static struct buf answers[ANSWERS];
static size_t answer_next;
static char committed_text[4096];
const char *const committed = committed_text;

/* ---- the world ----------------------------------------------------------- */

int story_begin(void **state)
{
    (void)state;
    clock_ns = 1000;
    ops_max = 128;
    arena_init(&arena, 0);
    kv = kv_memory_new();
    leases = lease_table_new();
    struct mvcc_config config = {.kv = kv, .seed = 5};
    assert_int_equal(mvcc_open(&config, &store), ERR_OK);
    assert_int_equal(mvcc_reader_new(store, &reader), ERR_OK);
    return 0;
}

int story_end(void **state)
{
    (void)state;
    mvcc_reader_free(reader);
    mvcc_close(store);
    kv_memory_free(kv);
    lease_table_free(leases);
    arena_deinit(&arena);
    for (size_t i = 0; i < ANSWERS; i++)
        buf_deinit(&answers[i]);
    return 0;
}

static struct buf *new_answer(void)
{
    struct buf *answer = &answers[answer_next++ % ANSWERS];
    buf_reset(answer);
    return answer;
}

static const char *end_answer(struct buf *answer)
{
    buf_append_char(answer, '\0');
    return answer->at;
}

static void *make(const ProtobufCMessageDescriptor *type)
{
    void *message = arena_alloc(&arena, type->sizeof_message);
    protobuf_c_message_init(type, message);
    return message;
}
#define MAKE(name) make(&etcdserverpb__##name##__descriptor)

/* ---- words --------------------------------------------------------------- */

static const char *text; /* what is still to be read */

static void skip_blanks(void)
{
    while (*text == ' ')
        text++;
}

static struct slice peek(void)
{
    skip_blanks();
    return slice_of(text, strcspn(text, " "));
}

static struct slice word(void)
{
    struct slice of = peek();
    text += of.size;
    return of;
}

static bool is_next(const char *what)
{
    if (!slice_eq(peek(), slice_str(what)))
        return false;
    word();
    return true;
}

/* "name=12" */
static bool option(const char *name, int64_t *number)
{
    struct slice next = peek();
    struct slice begin = slice_str(name);
    if (!slice_has_prefix(next, begin) || next.size <= begin.size ||
        next.at[begin.size] != '=')
        return false;
    struct slice rest =
        slice_of(next.at + begin.size + 1, next.size - begin.size - 1);
    assert_true(slice_to_i64(rest, number));
    word();
    return true;
}

static ProtobufCBinaryData bytes_of(struct slice of)
{
    if (slice_eq(of, SLICE("-")))
        return (ProtobufCBinaryData){0};
    return message_data(of);
}

static void keys(ProtobufCBinaryData *key, ProtobufCBinaryData *end)
{
    struct slice of = word();
    for (size_t i = 0; i + 1 < of.size; i++) {
        if (of.at[i] != '.' || of.at[i + 1] != '.')
            continue;
        *key = bytes_of(slice_of(of.at, i));
        *end = i + 2 == of.size
                   ? message_data(slice_of("\0", 1))
                   : bytes_of(slice_of(of.at + i + 2, of.size - i - 2));
        return;
    }
    *key = bytes_of(of);
}

/* ---- requests ------------------------------------------------------------ */

static Etcdserverpb__PutRequest *parse_put(void)
{
    Etcdserverpb__PutRequest *put = MAKE(put_request);
    put->key = bytes_of(word());
    put->value = bytes_of(word());
    for (;;) {
        if (is_next("prev"))
            put->prev_kv = true;
        else if (is_next("keep-value"))
            put->ignore_value = true;
        else if (is_next("keep-lease"))
            put->ignore_lease = true;
        else if (!option("lease", &put->lease))
            return put;
    }
}

static bool sort_option(Etcdserverpb__RangeRequest *range)
{
    static const char *const orders[] = {"none", "asc", "desc"};
    static const char *const targets[] = {"by=key", "by=version", "by=create",
                                          "by=mod", "by=value"};
    for (int i = 0; i < 3; i++) {
        if (is_next(orders[i])) {
            range->sort_order = (Etcdserverpb__RangeRequest__SortOrder)i;
            return true;
        }
    }
    for (int i = 0; i < 5; i++) {
        if (is_next(targets[i])) {
            range->sort_target = (Etcdserverpb__RangeRequest__SortTarget)i;
            return true;
        }
    }
    return false;
}

static Etcdserverpb__RangeRequest *parse_get(void)
{
    Etcdserverpb__RangeRequest *range = MAKE(range_request);
    keys(&range->key, &range->range_end);
    for (;;) {
        if (is_next("keys"))
            range->keys_only = true;
        else if (is_next("count"))
            range->count_only = true;
        else if (is_next("serializable"))
            range->serializable = true;
        else if (!option("limit", &range->limit) &&
                 !option("rev", &range->revision) &&
                 !option("minmod", &range->min_mod_revision) &&
                 !option("maxmod", &range->max_mod_revision) &&
                 !option("mincreate", &range->min_create_revision) &&
                 !option("maxcreate", &range->max_create_revision) &&
                 !sort_option(range))
            return range;
    }
}

static Etcdserverpb__DeleteRangeRequest *parse_del(void)
{
    Etcdserverpb__DeleteRangeRequest *del = MAKE(delete_range_request);
    keys(&del->key, &del->range_end);
    del->prev_kv = is_next("prev");
    return del;
}

static Etcdserverpb__Compare *parse_compare(void)
{
    static const char *const targets[] = {"version", "create", "mod", "value",
                                          "lease"};
    static const char *const results[] = {"=", ">", "<", "!="};
    Etcdserverpb__Compare *compare = MAKE(compare);
    int target = 0, result = 0;
    while (!is_next(targets[target]))
        assert_true(++target < 5);
    keys(&compare->key, &compare->range_end);
    while (!is_next(results[result]))
        assert_true(++result < 4);
    compare->target = (Etcdserverpb__Compare__CompareTarget)target;
    compare->result = (Etcdserverpb__Compare__CompareResult)result;
    struct slice what = word();
    if (slice_eq(what, SLICE("unset")))
        return compare;
    compare->target_union_case =
        (Etcdserverpb__Compare__TargetUnionCase)(4 + target);
    if (target == 3)
        compare->value = bytes_of(what);
    else
        assert_true(slice_to_i64(what, &compare->version));
    return compare;
}

static Etcdserverpb__TxnRequest *parse_txn(void);

static Etcdserverpb__RequestOp *parse_op(void)
{
    Etcdserverpb__RequestOp *op = MAKE(request_op);
    if (is_next("nothing"))
        return op;
    if (is_next("get")) {
        op->request_case = ETCDSERVERPB__REQUEST_OP__REQUEST_REQUEST_RANGE;
        op->request_range = parse_get();
    } else if (is_next("put")) {
        op->request_case = ETCDSERVERPB__REQUEST_OP__REQUEST_REQUEST_PUT;
        op->request_put = parse_put();
    } else if (is_next("del")) {
        op->request_case =
            ETCDSERVERPB__REQUEST_OP__REQUEST_REQUEST_DELETE_RANGE;
        op->request_delete_range = parse_del();
    } else {
        assert_true(is_next("("));
        op->request_case = ETCDSERVERPB__REQUEST_OP__REQUEST_REQUEST_TXN;
        op->request_txn = parse_txn();
        assert_true(is_next(")"));
    }
    return op;
}

/* With commas between. */
static void *parse_list(void *(*parse)(void), size_t *count)
{
    enum { MAX = 400 };
    void **list = arena_alloc(&arena, MAX * sizeof *list);
    do {
        assert_true(*count < MAX);
        list[(*count)++] = parse();
    } while (is_next(","));
    return list;
}

static void *parse_any_compare(void)
{
    return parse_compare();
}
static void *parse_any_op(void)
{
    return parse_op();
}

static Etcdserverpb__TxnRequest *parse_txn(void)
{
    Etcdserverpb__TxnRequest *txn = MAKE(txn_request);
    if (is_next("if"))
        txn->compare = parse_list(parse_any_compare, &txn->n_compare);
    if (is_next("then"))
        txn->success = parse_list(parse_any_op, &txn->n_success);
    if (is_next("else"))
        txn->failure = parse_list(parse_any_op, &txn->n_failure);
    return txn;
}

static void begin_text(const char *request, const char *kind)
{
    text = request;
    assert_true(is_next(kind));
}

static void end_text(void)
{
    assert_int_equal(peek().size, 0);
}

Etcdserverpb__RangeRequest *range_of(const char *request)
{
    begin_text(request, "get");
    Etcdserverpb__RangeRequest *range = parse_get();
    end_text();
    return range;
}

Etcdserverpb__TxnRequest *txn_of(const char *request)
{
    begin_text(request, "txn");
    Etcdserverpb__TxnRequest *txn = parse_txn();
    end_text();
    return txn;
}

Etcdserverpb__PutRequest *put_of(const char *request)
{
    begin_text(request, "put");
    Etcdserverpb__PutRequest *put = parse_put();
    end_text();
    return put;
}

Etcdserverpb__DeleteRangeRequest *delete_of(const char *request)
{
    begin_text(request, "del");
    Etcdserverpb__DeleteRangeRequest *del = parse_del();
    end_text();
    return del;
}

/* ---- answers ------------------------------------------------------------- */

static void show_kv(struct buf *out, const Mvccpb__KeyValue *pair)
{
    buf_append(out, pair->key.data, pair->key.len);
    buf_append_char(out, '=');
    buf_append(out, pair->value.data, pair->value.len);
    buf_printf(out, " [%d,%d,%d]", (int)pair->create_revision,
               (int)pair->mod_revision, (int)pair->version);
    if (pair->lease != 0)
        buf_printf(out, " lease=%d", (int)pair->lease);
}

static void show_kvs(struct buf *out, Mvccpb__KeyValue **pairs, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (i > 0)
            buf_append_str(out, ", ");
        show_kv(out, pairs[i]);
    }
}

/* At the outermost, `at`; within, what the header says. */
static void show_revision(struct buf *out,
                          const Etcdserverpb__ResponseHeader *header,
                          revision at)
{
    assert_int_equal(header == NULL, at != 0);
    if (out->size > 0 && out->at[out->size - 1] != '(' &&
        out->at[out->size - 1] != ' ')
        buf_append_char(out, ' ');
    buf_printf(out, "@%d", (int)(header ? header->revision : at));
}

static void show_get(struct buf *out, const Etcdserverpb__RangeResponse *range,
                     revision at)
{
    show_kvs(out, range->kvs, range->n_kvs);
    buf_append_str(out, range->n_kvs > 0 ? "; " : "");
    buf_printf(out, "count %d%s", (int)range->count,
               range->more ? " more" : "");
    show_revision(out, range->header, at);
}

static void show_put(struct buf *out, const Etcdserverpb__PutResponse *put,
                     revision at)
{
    if (put->prev_kv != NULL) {
        buf_append_str(out, "was ");
        show_kv(out, put->prev_kv);
    }
    show_revision(out, put->header, at);
}

static void show_del(struct buf *out,
                     const Etcdserverpb__DeleteRangeResponse *del, revision at)
{
    buf_printf(out, "deleted %d", (int)del->deleted);
    buf_append_str(out, del->n_prev_kvs > 0 ? ": " : "");
    show_kvs(out, del->prev_kvs, del->n_prev_kvs);
    show_revision(out, del->header, at);
}

static void show_txn(struct buf *out, const Etcdserverpb__TxnResponse *txn,
                     revision at)
{
    buf_append_str(out, txn->succeeded ? "yes" : "no");
    for (size_t i = 0; i < txn->n_responses; i++) {
        const Etcdserverpb__ResponseOp *op = txn->responses[i];
        buf_append_str(out, " (");
        switch ((int)op->response_case) {
        case 1:
            show_get(out, op->response_range, 0);
            break;
        case 2:
            show_put(out, op->response_put, 0);
            break;
        case 3:
            show_del(out, op->response_delete_range, 0);
            break;
        case 4:
            show_txn(out, op->response_txn, 0);
            break;
        default:
            fail();
        }
        buf_append_char(out, ')');
    }
    show_revision(out, txn->header, at);
}

static void *decode(const ProtobufCMessageDescriptor *type, struct slice body)
{
    ProtobufCMessage *message;
    assert_int_equal(message_decode(type, body, &arena, &message), ERR_OK);
    return message;
}

const char *show_range(struct slice body, revision at)
{
    struct buf *out = new_answer();
    show_get(out, decode(&etcdserverpb__range_response__descriptor, body), at);
    return end_answer(out);
}

static const char *show_error(enum v3_error error)
{
    const char *of = v3_error_text(error);
    return of + strlen("etcdserver: ");
}

static void keep_commit(struct mvcc_commit *commit)
{
    struct buf out = {0};
    for (uint32_t i = 0; commit != NULL && i < commit->count; i++) {
        const struct record *record = &commit->records[i];
        buf_append_str(&out, i > 0 ? ", " : "");
        buf_append_slice(&out, record->key);
        buf_append_str(&out, record->flags & MVCC_TOMBSTONE ? "!" : "=");
        buf_append_slice(&out, record->value);
        buf_printf(&out, " %s", mvcc_cause_text(record->cause));
        assert_int_equal(record->rev.sub, i);
        assert_int_equal(record->flags & MVCC_PART, 0);
    }
    if (commit == NULL)
        buf_append_str(&out, "none");
    assert_true(out.size < sizeof committed_text);
    memcpy(committed_text, out.at, out.size);
    committed_text[out.size] = '\0';
    buf_deinit(&out);
    if (commit != NULL)
        mvcc_commit_unref(commit);
}

static void show_answer(struct buf *out, const char *request,
                        const struct txn_answer *answer)
{
    struct slice body = buf_slice(&answer->body);
    revision at = answer->revision;
    switch (request[0]) {
    case 'p':
        show_put(out, decode(&etcdserverpb__put_response__descriptor, body),
                 at);
        break;
    case 'g':
        show_get(out, decode(&etcdserverpb__range_response__descriptor, body),
                 at);
        break;
    case 'd':
        show_del(out,
                 decode(&etcdserverpb__delete_range_response__descriptor, body),
                 at);
        break;
    default:
        show_txn(out, decode(&etcdserverpb__txn_response__descriptor, body),
                 at);
    }
}

/* Checks it, and does it if it is well formed. */
static void run(const char *request, bool wanted, struct txn_answer *answer,
                struct mvcc_commit **commit)
{
    struct txn txn = {.mvcc = store, .reader = reader, .leases = leases};
    enum err err = ERR_OK;
    revision now, compacted;
    mvcc_reader_revisions(reader, &now, &compacted);
    clock_ns += 10;
    if (request[0] == 'p') {
        Etcdserverpb__PutRequest *put = put_of(request);
        if ((answer->error = txn_check_put(put)) == V3_OK)
            err = txn_put(&txn, put, clock_ns, wanted, answer, commit);
    } else if (request[0] == 'd') {
        Etcdserverpb__DeleteRangeRequest *del = delete_of(request);
        if ((answer->error = txn_check_delete_range(del)) == V3_OK)
            err = txn_delete_range(&txn, del, clock_ns, wanted, answer, commit);
    } else if (request[0] == 'g') {
        Etcdserverpb__RangeRequest *range = range_of(request);
        if ((answer->error = txn_check_range(range)) == V3_OK)
            err = txn_range(reader, range, now, 1 << 20, answer);
    } else {
        Etcdserverpb__TxnRequest *of = txn_of(request);
        if ((answer->error = txn_check(of, ops_max)) == V3_OK)
            err = txn_is_read_only(of) && wanted
                      ? txn_read(reader, of, answer)
                      : txn_run(&txn, of, clock_ns, wanted, answer, commit);
    }
    assert_int_equal(err, ERR_OK);
}

static const char *do_it(const char *request, bool wanted)
{
    struct txn_answer answer = {0};
    struct mvcc_commit *commit = NULL;
    struct buf *out = new_answer();
    mvcc_read_begin(reader);
    run(request, wanted, &answer, &commit);
    keep_commit(commit);
    if (answer.error != V3_OK)
        buf_append_str(out, show_error(answer.error));
    else if (wanted)
        show_answer(out, request, &answer);
    else
        assert_int_equal(answer.body.size, 0);
    txn_answer_deinit(&answer);
    mvcc_read_end(reader);
    return end_answer(out);
}

const char *ask(const char *request)
{
    return do_it(request, true);
}

const char *tell(const char *request)
{
    return do_it(request, false);
}

const char *scan(const char *request, size_t bytes, bool measured)
{
    Etcdserverpb__RangeRequest *range = range_of(request);
    struct txn_answer answer = {0};
    struct txn_scan *of;
    const char *shown;
    bool done = false;
    uint64_t size = 0;
    revision now, compacted;
    mvcc_read_begin(reader);
    mvcc_reader_revisions(reader, &now, &compacted);
    assert_int_equal(txn_scan_new(reader, range, now, &answer, &of), ERR_OK);
    assert_int_equal(of == NULL, answer.error != V3_OK);
    for (bool ready = !measured || of == NULL; !ready;)
        assert_int_equal(txn_scan_measure(of, reader, 2, &ready, &size),
                         ERR_OK);
    while (of != NULL && !done)
        assert_int_equal(txn_scan_next(of, reader, bytes, &answer.body, &done),
                         ERR_OK);
    if (measured)
        assert_int_equal(size, answer.body.size);
    shown = of == NULL ? show_error(answer.error)
                       : show_range(buf_slice(&answer.body), answer.revision);
    txn_scan_free(of);
    txn_answer_deinit(&answer);
    mvcc_read_end(reader);
    return shown;
}

/* ---- leases, compaction, flush, hash ------------------------------------- */

void grant(lease_id lease)
{
    lease_grant(leases, lease, 60, clock_ns + INT64_C(60000000000));
}

const char *revoke(lease_id lease)
{
    struct txn txn = {.mvcc = store, .reader = reader, .leases = leases};
    struct mvcc_commit *commit;
    mvcc_read_begin(reader);
    assert_int_equal(
        txn_lease_end(&txn, lease, MVCC_REVOKE, clock_ns += 10, &commit),
        ERR_OK);
    mvcc_read_end(reader);
    keep_commit(commit);
    return committed;
}

int keys_of(lease_id lease)
{
    struct lease_info info;
    return lease_info(leases, lease, &info) ? (int)info.keys : -1;
}

void flush(void)
{
    mvcc_set_applied(store, (uint64_t)clock_ns, 1);
    struct mvcc_flush *of = mvcc_flush_begin(store, 1000000);
    if (of == NULL)
        return;
    mvcc_flush_done(store, of, mvcc_flush_write(of));
    mvcc_flush_free(of);
}

void compact(revision at)
{
    assert_int_equal(mvcc_compact(store, at), ERR_OK);
    while (mvcc_compact_slice(store, 10))
        ;
    flush();
    flush();
}

uint32_t hash_at(revision at)
{
    struct txn_hash hash;
    enum v3_error error;
    revision now, compacted;
    mvcc_read_begin(reader);
    mvcc_reader_revisions(reader, &now, &compacted);
    assert_int_equal(txn_hash_begin(reader, at, now, &hash, &error), ERR_OK);
    assert_int_equal(error, V3_OK);
    while (!hash.done)
        assert_int_equal(txn_hash_slice(&hash, reader, 2), ERR_OK);
    mvcc_read_end(reader);
    return hash.crc;
}
