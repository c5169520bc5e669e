/* No branch of a txn may put a key twice, or put what it deletes. The rules
 * are etcd's (checkIntervals in v3rpc/key.go), with all their corners:
 *
 *   the two branches of a txn exclude each other, so they may put the same;
 *   all that a txn within a branch puts, on either side, is put by the branch;
 *   what it deletes counts for what stands BEHIND it in the branch, and for
 *   the branch's own puts wherever they stand;
 *   the branch's own deletes count for all puts in it;
 *   a delete whose end isn't greater than its key deletes nothing, and so it
 *   is, here, for the end "\0" ("all from the key on"), as in etcd.
 *
 * Most branches are short and flat: those are compared pair by pair. For the
 * others the FOOTPRINT of each branch is made: its puts and its deletes, as
 * sorted lists.
 */
#include "txn/txn_int.h"

#include <stdlib.h>

enum { FLAT_MAX = 16 };

struct span {
    struct slice from;
    struct slice end; /* at == NULL: `from` alone */
};

struct slices {
    struct slice *at;
    size_t count;
};

struct spans {
    struct span *at;
    size_t count;
};

struct footprint {
    struct slices puts;   /* ascending, each once */
    struct spans deletes; /* by `from`, apart from each other */
};

static bool is_delete(const Etcdserverpb__RequestOp *op)
{
    return op->request_case ==
           ETCDSERVERPB__REQUEST_OP__REQUEST_REQUEST_DELETE_RANGE;
}
static bool is_put(const Etcdserverpb__RequestOp *op)
{
    return op->request_case == ETCDSERVERPB__REQUEST_OP__REQUEST_REQUEST_PUT;
}
static bool is_txn(const Etcdserverpb__RequestOp *op)
{
    return op->request_case == ETCDSERVERPB__REQUEST_OP__REQUEST_REQUEST_TXN;
}

static struct slice put_key(const Etcdserverpb__RequestOp *op)
{
    return message_bytes(op->request_put->key);
}

static struct span delete_span(const Etcdserverpb__RequestOp *op)
{
    const Etcdserverpb__DeleteRangeRequest *request = op->request_delete_range;
    struct span span = {.from = message_bytes(request->key)};
    if (request->range_end.len > 0)
        span.end = message_bytes(request->range_end);
    return span;
}

static bool is_in(struct slice key, const struct span *span)
{
    if (span->end.at == NULL)
        return slice_eq(key, span->from);
    return slice_cmp(key, span->from) >= 0 && slice_cmp(key, span->end) < 0;
}

/* ---- short and flat ------------------------------------------------------ */

static bool collides(struct slice key, const Etcdserverpb__RequestOp *op,
                     bool is_before)
{
    if (is_put(op))
        return is_before && slice_eq(key, put_key(op));
    if (!is_delete(op))
        return false;
    struct span span = delete_span(op);
    return is_in(key, &span);
}

static enum v3_error check_flat(struct branch branch)
{
    for (size_t i = 0; i < branch.count; i++) {
        if (!is_put(branch.ops[i]))
            continue;
        struct slice key = put_key(branch.ops[i]);
        for (size_t k = 0; k < branch.count; k++) {
            if (k != i && collides(key, branch.ops[k], k < i))
                return V3_DUPLICATE_KEY;
        }
    }
    return V3_OK;
}

static bool is_flat(struct branch branch)
{
    if (branch.count > FLAT_MAX)
        return false;
    for (size_t i = 0; i < branch.count; i++) {
        if (is_txn(branch.ops[i]))
            return false;
    }
    return true;
}

/* ---- sorted lists -------------------------------------------------------- */

static int compare_keys(const void *a, const void *b)
{
    return slice_cmp(*(const struct slice *)a, *(const struct slice *)b);
}

static int compare_spans(const void *a, const void *b)
{
    return slice_cmp(((const struct span *)a)->from,
                     ((const struct span *)b)->from);
}

/* Merges `more` into `into`; `more` is gone. True: some were in both. */
static bool merge_puts(struct slices *into, struct slices *more)
{
    size_t a = 0, b = 0, count = 0;
    bool twice = false;
    if (more->count == 0) {
        mem_free(more->at);
        *more = (struct slices){0};
        return false;
    }
    struct slice *merged =
        mem_alloc((into->count + more->count) * sizeof *merged);
    while (a < into->count || b < more->count) {
        int order = a == into->count   ? 1
                    : b == more->count ? -1
                                       : slice_cmp(into->at[a], more->at[b]);
        twice |= order == 0;
        merged[count++] = order <= 0 ? into->at[a] : more->at[b];
        a += order <= 0;
        b += order >= 0;
    }
    mem_free(into->at);
    mem_free(more->at);
    *into = (struct slices){merged, count};
    *more = (struct slices){0};
    return twice;
}

/* True if a span that begins at `from`, at or after this one's beginning,
 * overlaps it or is next to it. */
static bool reaches(const struct span *span, struct slice from)
{
    return span->end.at == NULL ? slice_eq(span->from, from)
                                : slice_cmp(from, span->end) <= 0;
}

/* The greater end of two spans that reach each other, the first of which
 * begins first. */
static struct slice joint_end(const struct span *a, const struct span *b)
{
    if (b->end.at == NULL) /* one key: in `a`, or right behind it */
        return a->end;
    if (a->end.at == NULL)
        return b->end;
    return slice_cmp(a->end, b->end) >= 0 ? a->end : b->end;
}

/* Sorted spans become such as lie apart. A single key right at the end of
 * another span isn't joined to it: no slice has its end. */
static void join_spans(struct spans *spans)
{
    size_t count = 0;
    for (size_t i = 0; i < spans->count; i++) {
        struct span *span = &spans->at[i];
        struct span *last = count > 0 ? &spans->at[count - 1] : NULL;
        bool joins = last != NULL && reaches(last, span->from) &&
                     !(span->end.at == NULL && !is_in(span->from, last));
        if (joins)
            last->end = joint_end(last, span);
        else
            spans->at[count++] = *span;
    }
    spans->count = count;
}

static void merge_spans(struct spans *into, struct spans *more)
{
    if (more->count > 0) {
        size_t count = into->count + more->count;
        into->at = mem_realloc(into->at, count * sizeof *into->at);
        memcpy(into->at + into->count, more->at,
               more->count * sizeof *more->at);
        into->count = count;
        qsort(into->at, count, sizeof *into->at, compare_spans);
        join_spans(into);
    }
    mem_free(more->at);
    *more = (struct spans){0};
}

static bool any_in(struct slices keys, struct spans spans)
{
    size_t k = 0;
    for (size_t i = 0; i < keys.count; i++) {
        /* The last span that begins at or before the key. */
        while (k + 1 < spans.count &&
               slice_cmp(spans.at[k + 1].from, keys.at[i]) <= 0)
            k++;
        if (k < spans.count && is_in(keys.at[i], &spans.at[k]))
            return true;
    }
    return false;
}

/* ---- footprints ---------------------------------------------------------- */

static void footprint_deinit(struct footprint *footprint)
{
    mem_free(footprint->puts.at);
    mem_free(footprint->deletes.at);
    *footprint = (struct footprint){0};
}

static size_t count_ops(struct branch branch,
                        bool (*is)(const Etcdserverpb__RequestOp *op))
{
    size_t count = 0;
    for (size_t i = 0; i < branch.count; i++)
        count += is(branch.ops[i]);
    return count;
}

static void add_own_deletes(struct branch branch, struct footprint *footprint)
{
    struct spans own = {.count = 0};
    size_t count = count_ops(branch, is_delete);
    if (count == 0)
        return;
    own.at = mem_alloc(count * sizeof *own.at);
    for (size_t i = 0; i < branch.count; i++) {
        if (!is_delete(branch.ops[i]))
            continue;
        struct span span = delete_span(branch.ops[i]);
        if (span.end.at == NULL || slice_cmp(span.from, span.end) < 0)
            own.at[own.count++] = span;
    }
    merge_spans(&footprint->deletes, &own);
}

static enum v3_error add_own_puts(struct branch branch,
                                  struct footprint *footprint)
{
    struct slices own = {.count = 0};
    size_t count = count_ops(branch, is_put);
    bool twice = false;
    if (count == 0)
        return V3_OK;
    own.at = mem_alloc(count * sizeof *own.at);
    for (size_t i = 0; i < branch.count; i++) {
        if (is_put(branch.ops[i]))
            own.at[own.count++] = put_key(branch.ops[i]);
    }
    qsort(own.at, own.count, sizeof *own.at, compare_keys);
    for (size_t i = 1; i < own.count; i++)
        twice |= slice_eq(own.at[i - 1], own.at[i]);
    twice |= any_in(own, footprint->deletes);
    twice |= merge_puts(&footprint->puts, &own);
    return twice ? V3_DUPLICATE_KEY : V3_OK;
}

static enum v3_error make_footprint(struct branch branch,
                                    struct footprint *out);

static enum v3_error add_txn(const Etcdserverpb__TxnRequest *request,
                             struct footprint *footprint)
{
    struct footprint sides[2] = {0};
    enum v3_error error = make_footprint(txn__branch(request, true), &sides[0]);
    if (error == V3_OK)
        error = make_footprint(txn__branch(request, false), &sides[1]);
    if (error == V3_OK) {
        (void)merge_puts(&sides[0].puts, &sides[1].puts);
        if (any_in(sides[0].puts, footprint->deletes) ||
            merge_puts(&footprint->puts, &sides[0].puts))
            error = V3_DUPLICATE_KEY;
        merge_spans(&footprint->deletes, &sides[0].deletes);
        merge_spans(&footprint->deletes, &sides[1].deletes);
    }
    footprint_deinit(&sides[0]);
    footprint_deinit(&sides[1]);
    return error;
}

static enum v3_error make_footprint(struct branch branch, struct footprint *out)
{
    enum v3_error error = V3_OK;
    add_own_deletes(branch, out);
    for (size_t i = 0; i < branch.count && error == V3_OK; i++) {
        if (is_txn(branch.ops[i]))
            error = add_txn(branch.ops[i]->request_txn, out);
    }
    return error == V3_OK ? add_own_puts(branch, out) : error;
}

enum v3_error txn__check_overlap(struct branch branch)
{
    if (is_flat(branch))
        return check_flat(branch);
    struct footprint footprint = {0};
    enum v3_error error = make_footprint(branch, &footprint);
    footprint_deinit(&footprint);
    return error;
}
