/* The twin: all that was ever written, as lists, and answers that are made of
 * them in the plainest way. */
#include "model/txn_twin.h"

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdlib.h>
#include <cmocka.h>

#include "base/crc.h"
#include "proto/message.h"

struct twin twin;

static const char *const key_texts[TWIN_KEYS] = {
    "/a",   "/a/b", "/a/c", "/b", "/b\x01", "/b/", "/c", "/c0", "/c00", "/c01",
    "/c02", "/d",   "/e",   "f",  "g",      "gg",  "h",  "x",   "y",    "\xff",
};
static const char *const value_texts[TWIN_VALUES] = {
    "",
    "1",
    "10",
    "2",
    "same one",
    "same ones",
    "same one2",
    "same on",
    "same o",
    "same one ",
    "much much longer than the others here",
    "z",
};

struct slice twin_key_of(int key)
{
    return slice_str(key_texts[key]);
}
struct slice twin_value_of(int value)
{
    return slice_str(value_texts[value]);
}

revision twin_main_now(void)
{
    return twin.current + (twin.open && twin.sub > 0);
}

/* The key as it is at a revision; NULL: it isn't. */
const struct fact *twin_fact_at(int key, revision at)
{
    const struct twin_key *of = &twin.keys[key];
    for (size_t i = of->count; i-- > 0;) {
        if (of->facts[i].main <= at)
            return of->facts[i].version > 0 ? &of->facts[i] : NULL;
    }
    return NULL;
}

void twin_add(int key, struct fact fact)
{
    struct twin_key *of = &twin.keys[key];
    if (of->count == of->capacity) {
        of->capacity = of->capacity * 2 + 8;
        of->facts = mem_realloc(of->facts, of->capacity * sizeof *of->facts);
    }
    fact.main = twin.current + 1;
    fact.sub = twin.sub++;
    of->facts[of->count++] = fact;
}

static bool is_in(struct slice key, struct slice from, struct slice end)
{
    if (end.size == 0)
        return slice_eq(key, from);
    if (slice_cmp(key, from) < 0)
        return false;
    return slice_eq(end, slice_of("\0", 1)) || slice_cmp(key, end) < 0;
}

static struct slice data(ProtobufCBinaryData bytes)
{
    return message_bytes(bytes);
}

void twin_begin(void)
{
    twin.open = true;
    twin.sub = 0;
}

/* What was written is one commit, with a record for each. */
void twin_end(struct mvcc_commit *commit)
{
    assert_int_equal(commit != NULL, twin.sub > 0);
    if (commit != NULL) {
        assert_true(commit->main == twin.current + 1);
        assert_int_equal(commit->count, twin.sub);
        mvcc_commit_unref(commit);
        twin.current++;
    }
    twin.open = false;
    twin.sub = 0;
}

/* What no read can see any more the twin forgets. */
void twin_forget(void)
{
    for (int key = 0; key < TWIN_KEYS; key++) {
        struct twin_key *of = &twin.keys[key];
        size_t gone = 0;
        while (gone + 1 < of->count &&
               of->facts[gone + 1].main <= twin.compacted)
            gone++;
        if (gone < of->count && of->facts[gone].main <= twin.compacted &&
            of->facts[gone].version == 0)
            gone++;
        if (gone > 0)
            memmove(of->facts, of->facts + gone,
                    (of->count - gone) * sizeof *of->facts);
        of->count -= gone;
    }
}

/* ---- what is expected ---------------------------------------------------- */

/* A message of the arena. */
void *twin_make(const ProtobufCMessageDescriptor *type)
{
    void *message = arena_alloc(&twin.arena, type->sizeof_message);
    protobuf_c_message_init(type, message);
    return message;
}

void *twin_list(size_t count)
{
    return arena_alloc(&twin.arena, (count + 1) * sizeof(void *));
}

static Etcdserverpb__ResponseHeader *header_at(revision at)
{
    Etcdserverpb__ResponseHeader *header = MAKE(response_header);
    header->revision = at;
    return header;
}

static Mvccpb__KeyValue *kv_of(int key, const struct fact *fact, bool keys_only)
{
    Mvccpb__KeyValue *kv = twin_make(&mvccpb__key_value__descriptor);
    kv->key = message_data(twin_key_of(key));
    kv->create_revision = fact->create;
    kv->mod_revision = fact->main;
    kv->version = fact->version;
    kv->lease = fact->lease;
    if (!keys_only)
        kv->value = message_data(twin_value_of(fact->value));
    return kv;
}

static bool in_bounds(int64_t number, int64_t min, int64_t max)
{
    return (min == 0 || number >= min) && (max == 0 || number <= max);
}

static int compare_kvs(const Etcdserverpb__RangeRequest *request,
                       const Mvccpb__KeyValue *a, const Mvccpb__KeyValue *b)
{
    int64_t left = 0, right = 0;
    switch ((int)request->sort_target) {
    case 0:
        return slice_cmp(data(a->key), data(b->key));
    case 1:
        left = a->version;
        right = b->version;
        break;
    case 2:
        left = a->create_revision;
        right = b->create_revision;
        break;
    case 3:
        left = a->mod_revision;
        right = b->mod_revision;
        break;
    default:
        return slice_cmp(data(a->value), data(b->value));
    }
    return (left > right) - (left < right);
}

static void sort_kvs(const Etcdserverpb__RangeRequest *request,
                     Mvccpb__KeyValue **kvs, size_t count)
{
    int sign = request->sort_order == 2 ? -1 : 1;
    for (size_t i = 1; i < count; i++) {
        Mvccpb__KeyValue *kv = kvs[i];
        size_t to = i;
        for (; to > 0 && sign * compare_kvs(request, kvs[to - 1], kv) > 0; to--)
            kvs[to] = kvs[to - 1];
        kvs[to] = kv;
    }
}

/* etcd's way: fetch (up to the limit and one, where nothing is sorted or
 * filtered after it), filter, sort, cut. */
Etcdserverpb__RangeResponse *
twin_range(const Etcdserverpb__RangeRequest *request)
{
    Etcdserverpb__RangeResponse *response = MAKE(range_response);
    revision at = request->revision > 0 ? request->revision : twin_main_now();
    bool filtered = request->min_mod_revision || request->max_mod_revision ||
                    request->min_create_revision ||
                    request->max_create_revision;
    size_t fetch = TWIN_KEYS;
    if (request->limit > 0 && request->limit < TWIN_KEYS && !filtered &&
        request->sort_order == 0)
        fetch = (size_t)request->limit + 1;
    response->kvs = twin_list(TWIN_KEYS);
    for (int key = 0; key < TWIN_KEYS; key++) {
        const struct fact *fact = twin_fact_at(key, at);
        if (fact == NULL || !is_in(twin_key_of(key), data(request->key),
                                   data(request->range_end)))
            continue;
        response->count++;
        if (!request->count_only && (size_t)response->count <= fetch &&
            in_bounds(fact->main, request->min_mod_revision,
                      request->max_mod_revision) &&
            in_bounds(fact->create, request->min_create_revision,
                      request->max_create_revision))
            response->kvs[response->n_kvs++] = kv_of(key, fact, false);
    }
    if (request->sort_order != 0 || request->sort_target != 0)
        sort_kvs(request, response->kvs, response->n_kvs);
    if (request->limit > 0 && (uint64_t)request->limit < response->n_kvs) {
        response->n_kvs = (size_t)request->limit;
        response->more = true;
    }
    for (size_t i = 0; request->keys_only && i < response->n_kvs; i++)
        response->kvs[i]->value = (ProtobufCBinaryData){0};
    return response;
}

static int key_number(struct slice key)
{
    for (int i = 0; i < TWIN_KEYS; i++) {
        if (slice_eq(twin_key_of(i), key))
            return i;
    }
    fail();
    return 0;
}

static int value_number(struct slice value)
{
    for (int i = 0; i < TWIN_VALUES; i++) {
        if (slice_eq(twin_value_of(i), value))
            return i;
    }
    fail();
    return 0;
}

Etcdserverpb__PutResponse *twin_put(const Etcdserverpb__PutRequest *request)
{
    Etcdserverpb__PutResponse *response = MAKE(put_response);
    int key = key_number(data(request->key));
    const struct fact *old = twin_fact_at(key, INT64_MAX);
    struct fact fact = {.create = old ? old->create : twin.current + 1,
                        .version = old ? old->version + 1 : 1,
                        .lease = request->lease};
    if (!request->ignore_value)
        fact.value = value_number(data(request->value));
    else if (old != NULL) /* else the txn itself has deleted it: "" */
        fact.value = old->value;
    if (request->ignore_lease && old != NULL)
        fact.lease = old->lease;
    if (request->prev_kv && old != NULL)
        response->prev_kv = kv_of(key, old, false);
    twin_add(key, fact);
    return response;
}

Etcdserverpb__DeleteRangeResponse *
twin_delete_range(const Etcdserverpb__DeleteRangeRequest *request)
{
    Etcdserverpb__DeleteRangeResponse *response = MAKE(delete_range_response);
    response->prev_kvs = twin_list(TWIN_KEYS);
    for (int key = 0; key < TWIN_KEYS; key++) {
        const struct fact *old = twin_fact_at(key, INT64_MAX);
        if (old == NULL || !is_in(twin_key_of(key), data(request->key),
                                  data(request->range_end)))
            continue;
        if (request->prev_kv)
            response->prev_kvs[response->n_prev_kvs++] = kv_of(key, old, false);
        response->deleted++;
        twin_add(key, (struct fact){0});
    }
    return response;
}

/* ---- txns: what the twin thinks of them ---------------------------------- */

static bool compare_fact(const Etcdserverpb__Compare *compare,
                         const struct fact *fact)
{
    static const struct fact none;
    int64_t sent = 0;
    int order = 0;
    if (fact == NULL && compare->target == 3)
        return false;
    if (fact == NULL)
        fact = &none;
    int64_t had[] = {fact->version, fact->create, fact->main, 0, fact->lease};
    if (compare->target == 3) {
        order = slice_cmp(twin_value_of(fact->value), data(compare->value));
    } else {
        sent = compare->version; /* a union of numbers */
        order = (had[compare->target] > sent) - (had[compare->target] < sent);
    }
    bool results[] = {order == 0, order > 0, order < 0, order != 0};
    return results[compare->result];
}

static bool compare_all(const Etcdserverpb__TxnRequest *request, revision at)
{
    for (size_t i = 0; i < request->n_compare; i++) {
        const Etcdserverpb__Compare *compare = request->compare[i];
        bool any = false;
        for (int key = 0; key < TWIN_KEYS; key++) {
            const struct fact *fact = twin_fact_at(key, at);
            if (fact == NULL || !is_in(twin_key_of(key), data(compare->key),
                                       data(compare->range_end)))
                continue;
            any = true;
            if (!compare_fact(compare, fact))
                return false;
        }
        if (!any && !compare_fact(compare, NULL))
            return false;
    }
    return true;
}

static Etcdserverpb__RequestOp **ops_of(const Etcdserverpb__TxnRequest *request,
                                        bool succeeded, size_t *count)
{
    *count = succeeded ? request->n_success : request->n_failure;
    return succeeded ? request->success : request->failure;
}

/* One kind of check on all operations that will be run. */
static enum v3_error check_taken(const Etcdserverpb__TxnRequest *request,
                                 bool puts)
{
    size_t count;
    enum v3_error error = V3_OK;
    Etcdserverpb__RequestOp **ops =
        ops_of(request, compare_all(request, twin.current), &count);
    for (size_t i = 0; i < count && error == V3_OK; i++) {
        const Etcdserverpb__PutRequest *put = ops[i]->request_put;
        const Etcdserverpb__RangeRequest *range = ops[i]->request_range;
        revision first = twin.compacted ? twin.compacted : -1;
        if (ops[i]->request_case == 4)
            error = check_taken(ops[i]->request_txn, puts);
        else if (ops[i]->request_case == 2 && puts &&
                 (put->ignore_value || put->ignore_lease) &&
                 twin_fact_at(key_number(data(put->key)), INT64_MAX) == NULL)
            error = V3_KEY_NOT_FOUND;
        else if (ops[i]->request_case == 2 && puts && put->lease != 0 &&
                 !twin.granted[put->lease - 1])
            error = V3_LEASE_NOT_FOUND;
        else if (ops[i]->request_case == 1 && !puts &&
                 range->revision > twin.current)
            error = V3_FUTURE_REV;
        else if (ops[i]->request_case == 1 && !puts && range->revision != 0 &&
                 range->revision < first)
            error = V3_COMPACTED;
    }
    return error;
}

Etcdserverpb__TxnResponse *twin_txn(const Etcdserverpb__TxnRequest *request)
{
    Etcdserverpb__TxnResponse *response = MAKE(txn_response);
    size_t count;
    bool succeeded = compare_all(request, twin.current);
    Etcdserverpb__RequestOp **ops = ops_of(request, succeeded, &count);
    response->succeeded = succeeded;
    response->n_responses = count;
    response->responses = twin_list(count);
    for (size_t i = 0; i < count; i++) {
        Etcdserverpb__ResponseOp *op = MAKE(response_op);
        response->responses[i] = op;
        op->response_case =
            (Etcdserverpb__ResponseOp__ResponseCase)ops[i]->request_case;
        switch ((int)ops[i]->request_case) {
        case 1:
            op->response_range = twin_range(ops[i]->request_range);
            op->response_range->header = header_at(twin_main_now());
            break;
        case 2:
            op->response_put = twin_put(ops[i]->request_put);
            op->response_put->header = header_at(twin_main_now());
            break;
        case 3:
            op->response_delete_range =
                twin_delete_range(ops[i]->request_delete_range);
            op->response_delete_range->header = header_at(twin_main_now());
            break;
        default:
            op->response_txn = twin_txn(ops[i]->request_txn);
            op->response_txn->header = header_at(0);
        }
    }
    return response;
}

/* ---- txns: overlaps, by brute force -------------------------------------- */

struct note {
    struct slice from, end; /* of a put: from alone */
};

struct notes {
    struct note *at;
    size_t count;
};

struct branch_notes {
    struct notes puts, deletes;
};

static void note(struct notes *notes, struct slice from, struct slice end)
{
    if (notes->at == NULL)
        notes->at =
            arena_alloc(&twin.arena, TWIN_NOTES_MAX * sizeof *notes->at);
    assert_true(notes->count < TWIN_NOTES_MAX);
    notes->at[notes->count++] = (struct note){from, end};
}

static bool is_put_noted(const struct notes *puts, struct slice key)
{
    for (size_t i = 0; i < puts->count; i++) {
        if (slice_eq(puts->at[i].from, key))
            return true;
    }
    return false;
}

/* The end "\0" is a text like another here. */
static bool is_delete_noted(const struct notes *deletes, struct slice key)
{
    for (size_t i = 0; i < deletes->count; i++) {
        const struct note *of = &deletes->at[i];
        if (of->end.size == 0
                ? slice_eq(key, of->from)
                : slice_cmp(key, of->from) >= 0 && slice_cmp(key, of->end) < 0)
            return true;
    }
    return false;
}

static void note_all(struct notes *to, const struct notes *from)
{
    for (size_t i = 0; i < from->count; i++)
        note(to, from->at[i].from, from->at[i].end);
}

static bool overlaps(Etcdserverpb__RequestOp **ops, size_t count,
                     struct branch_notes *out);

static bool txn_overlaps(const Etcdserverpb__TxnRequest *request,
                         struct branch_notes *out)
{
    struct branch_notes sides[2] = {0};
    for (int side = 0; side < 2; side++) {
        size_t count;
        Etcdserverpb__RequestOp **ops = ops_of(request, side == 0, &count);
        if (overlaps(ops, count, &sides[side]))
            return true;
    }
    for (int side = 0; side < 2; side++) {
        for (size_t i = 0; i < sides[side].puts.count; i++) {
            struct slice key = sides[side].puts.at[i].from;
            if (is_put_noted(&out->puts, key) ||
                is_delete_noted(&out->deletes, key))
                return true;
        }
    }
    for (int side = 0; side < 2; side++) {
        note_all(&out->puts, &sides[side].puts);
        note_all(&out->deletes, &sides[side].deletes);
    }
    return false;
}

static bool overlaps(Etcdserverpb__RequestOp **ops, size_t count,
                     struct branch_notes *out)
{
    for (size_t i = 0; i < count; i++) {
        if (ops[i]->request_case == 3)
            note(&out->deletes, data(ops[i]->request_delete_range->key),
                 data(ops[i]->request_delete_range->range_end));
    }
    for (size_t i = 0; i < count; i++) {
        if (ops[i]->request_case == 4 && txn_overlaps(ops[i]->request_txn, out))
            return true;
    }
    for (size_t i = 0; i < count; i++) {
        if (ops[i]->request_case != 2)
            continue;
        struct slice key = data(ops[i]->request_put->key);
        if (is_put_noted(&out->puts, key) ||
            is_delete_noted(&out->deletes, key))
            return true;
        note(&out->puts, key, slice_of(NULL, 0));
    }
    return false;
}

enum v3_error twin_check_overlap(const Etcdserverpb__TxnRequest *request)
{
    for (int side = 0; side < 2; side++) {
        struct branch_notes notes = {0};
        size_t count;
        Etcdserverpb__RequestOp **ops = ops_of(request, side == 0, &count);
        if (overlaps(ops, count, &notes))
            return V3_DUPLICATE_KEY;
    }
    return V3_OK;
}

/* ---- what is refused ----------------------------------------------------- */

enum v3_error twin_check_put(const Etcdserverpb__PutRequest *request)
{
    if (request->lease != 0 && !twin.granted[request->lease - 1])
        return V3_LEASE_NOT_FOUND;
    if ((request->ignore_value || request->ignore_lease) &&
        twin_fact_at(key_number(data(request->key)), INT64_MAX) == NULL)
        return V3_KEY_NOT_FOUND;
    return V3_OK;
}

enum v3_error twin_check_txn(const Etcdserverpb__TxnRequest *request)
{
    enum v3_error error = check_taken(request, true);
    return error == V3_OK ? check_taken(request, false) : error;
}

enum v3_error twin_check_range(const Etcdserverpb__RangeRequest *range)
{
    if (range->revision > twin.current)
        return V3_FUTURE_REV;
    if (range->revision > 0 && range->revision < twin.compacted)
        return V3_COMPACTED;
    return V3_OK;
}

/* ---- the hash ------------------------------------------------------------ */

struct told {
    int key;
    struct fact fact;
};

static int compare_told(const void *a, const void *b)
{
    const struct fact *x = &((const struct told *)a)->fact;
    const struct fact *y = &((const struct told *)b)->fact;
    if (x->main != y->main)
        return x->main < y->main ? -1 : 1;
    return (x->sub > y->sub) - (x->sub < y->sub);
}

static uint32_t add_to_hash(uint32_t crc, const struct told *told)
{
    char rev[18];
    struct buf bytes = {0};
    Mvccpb__KeyValue *kv = kv_of(told->key, &told->fact, false);
    put_be64(rev, (uint64_t)told->fact.main);
    rev[8] = '_';
    put_be64(rev + 9, told->fact.sub);
    rev[17] = 't';
    if (told->fact.version == 0)
        kv->mod_revision = 0;
    message_encode(&kv->base, &bytes);
    crc = crc32c(crc, rev, told->fact.version == 0 ? 18 : 17);
    crc = crc32c(crc, bytes.at, bytes.size);
    buf_deinit(&bytes);
    return crc;
}

static size_t count_living(revision at)
{
    size_t count = 0;
    for (int key = 0; key < TWIN_KEYS; key++)
        count += twin_fact_at(key, at) != NULL;
    return count;
}

uint32_t twin_hash(revision at)
{
    revision kept_at = count_living(at) > 0 ? at : twin.compacted;
    size_t count = 0, capacity = 0;
    for (int key = 0; key < TWIN_KEYS; key++)
        capacity += twin.keys[key].count;
    struct told *told = mem_alloc((capacity + 1) * sizeof *told);
    for (int key = 0; key < TWIN_KEYS; key++) {
        for (size_t i = 0; i < twin.keys[key].count; i++) {
            const struct fact *fact = &twin.keys[key].facts[i];
            if (fact->main <= at && (fact->main > twin.compacted ||
                                     fact == twin_fact_at(key, kept_at)))
                told[count++] = (struct told){key, *fact};
        }
    }
    qsort(told, count, sizeof *told, compare_told);
    uint32_t crc = crc32c(0, "key", 3);
    for (size_t i = 0; i < count; i++)
        crc = add_to_hash(crc, &told[i]);
    mem_free(told);
    return crc;
}
