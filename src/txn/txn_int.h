/* What the files of this folder share. */
#ifndef ETCHED_TXN_TXN_INT_H
#define ETCHED_TXN_TXN_INT_H

#include "base/bytes.h"
#include "base/check.h"
#include "base/mem.h"
#include "proto/message.h"
#include "proto/pb.h"
#include "txn/txn.h"

/* The fields of the messages that are written by hand (rpc.proto, kv.proto). */
enum {
    FIELD_HEADER = 1, /* of every response */
    FIELD_HEADER_REVISION = 3,
    FIELD_RANGE_KVS = 2,
    FIELD_RANGE_MORE = 3,
    FIELD_RANGE_COUNT = 4,
    FIELD_PUT_PREV = 2,
    FIELD_DELETE_DELETED = 2,
    FIELD_DELETE_PREVS = 3,
    FIELD_TXN_SUCCEEDED = 2,
    FIELD_TXN_RESPONSES = 3,
    FIELD_OP_RANGE = 1,
    FIELD_OP_PUT = 2,
    FIELD_OP_DELETE = 3,
    FIELD_OP_TXN = 4,
};

/* ---- encode.c ------------------------------------------------------------ */

/* As txn_put_key_value; without the value if `keys_only`. */
void txn__put_kv(struct buf *out, uint32_t number, const struct record *record,
                 bool keys_only);
/* How many bytes that is, with field number below 16. */
size_t txn__kv_field_bytes(const struct record *record, bool keys_only);
/* A KeyValue as etcd stores it: of a tombstone the key and no more. */
void txn__stored_kv(struct buf *out, const struct record *record);
/* The header of a response within a txn's. */
void txn__put_header(struct buf *out, revision newest);
/* A field whose length isn't known before its content is written: begin gives
 * where that starts, and end puts the length in front of it. */
size_t txn__field_begin(struct buf *out, uint32_t number);
void txn__field_end(struct buf *out, size_t start);

/* ---- range.c ------------------------------------------------------------- */

/* What a range asks for, worked out once. Slices are of the request. */
struct range_plan {
    const Etcdserverpb__RangeRequest *request;
    struct slice from, end; /* as txn_bounds has them */
    bool single;
    bool back;     /* from the last key to the first */
    bool sorted;   /* by other than the key */
    bool descend;  /* of a sorted one */
    bool filtered; /* by min and max revisions */
    bool filtered_by_create;
    uint64_t limit;    /* 0: none */
    uint64_t look_max; /* only so many keys are looked at; 0: all */
    revision at;
};

void txn__plan(struct range_plan *plan,
               const Etcdserverpb__RangeRequest *request, revision now);
/* The response without its header, appended. Errors: ERR_TOO_LARGE (it would
 * be longer than bytes_max), ERR_COMPACTED, ERR_FUTURE_REVISION; those of the
 * store. What `out` has got then is of no use. */
enum err txn__range(struct mvcc_reader *reader, const struct range_plan *plan,
                    size_t bytes_max, struct buf *out) MUST_USE;
/* True where the error is one of the API's: then it is in `answer`. */
bool txn__is_answer(enum err err, struct txn_answer *answer);

/* A record that the index has named: it must be there. */
enum err txn__record(struct mvcc_reader *reader, struct rev rev,
                     struct record *out) MUST_USE;
bool txn__passes_mod(const struct range_plan *plan, revision mod);
bool txn__passes_create(const struct range_plan *plan, revision create);
void txn__put_range_tail(struct buf *out, bool more, uint64_t count);

/* A walk in the order of the plan. */
enum err txn__walk_init(struct mvcc_walk *walk, struct mvcc_reader *reader,
                        const struct range_plan *plan) MUST_USE;
static inline enum err txn__walk_step(struct mvcc_walk *walk,
                                      const struct range_plan *plan,
                                      struct slice *key, struct rev *rev)
{
    return plan->back ? mvcc_walk_prev(walk, key, rev)
                      : mvcc_walk_next(walk, key, rev);
}

/* ---- sort.c -------------------------------------------------------------- */

struct sort_item {
    uint64_t rank; /* what it is sorted by, as a number: less comes first */
    revision main;
    uint32_t sub;
    uint32_t order; /* of the key: what is equal stays as it was */
};

/* Keys in the order of their versions, values, ...: a heap. While it gathers
 * with a limit, its top is the worst of the best so far; sealed, its top is
 * the next to come. */
struct sorter {
    const struct range_plan *plan;
    struct mvcc_reader *reader; /* set by each call */
    struct sort_item *items;
    size_t count, capacity;
    uint64_t seen;
    bool sealed;
    enum err err; /* of a comparison that had to read */
};

void txn__sorter_init(struct sorter *sorter, const struct range_plan *plan);
void txn__sorter_deinit(struct sorter *sorter);
/* `record` is only looked at where the target is in it (not for MOD). An item
 * that has to go for this one, which may be itself, is given to *dropped
 * (main 0: none). Errors: ERR_NO_MEMORY, those of the store. */
enum err txn__sorter_add(struct sorter *sorter, struct mvcc_reader *reader,
                         struct rev rev, const struct record *record,
                         struct rev *dropped) MUST_USE;
enum err txn__sorter_seal(struct sorter *sorter,
                          struct mvcc_reader *reader) MUST_USE;
/* The next; ERR_END: none. */
enum err txn__sorter_peek(const struct sorter *sorter,
                          struct rev *rev) MUST_USE;
enum err txn__sorter_pop(struct sorter *sorter,
                         struct mvcc_reader *reader) MUST_USE;

/* ---- put.c, delete.c ----------------------------------------------------- */

/* v3's clients can't put a key under a lease of v2's. */
bool txn__has_lease(const struct txn *txn, lease_id lease);
/* What the put must know of its key: ERR_NOT_FOUND is no error for it. */
bool txn__put_needs_prev(const Etcdserverpb__PutRequest *request, bool wanted);
enum err txn__put_prev(struct mvcc_reader *reader,
                       const Etcdserverpb__PutRequest *request,
                       struct record *prev, bool *has_prev) MUST_USE;
/* In the open transaction; `prev` is NULL where the key isn't there, or
 * nothing is ignored. */
void txn__put_apply(struct txn *txn, const Etcdserverpb__PutRequest *request,
                    const struct record *prev);
/* In the open transaction. The response's fields are appended to `out` if it
 * isn't NULL. */
enum err txn__delete_apply(struct txn *txn,
                           const Etcdserverpb__DeleteRangeRequest *request,
                           struct buf *out, uint64_t *deleted) MUST_USE;
/* The key is of no lease any more, or of this one. */
void txn__set_lease(struct txn *txn, struct slice key, lease_id lease);
/* An answer that is longer than TXN_ANSWER_BYTES_MAX is one no more. */
void txn__bound_answer(struct txn_answer *answer);
/* Ends a transaction that can't be finished: the member stops. */
void txn__break_off(struct txn *txn);

/* ---- compare.c ----------------------------------------------------------- */

/* Which branches a txn takes: one byte for it and for each txn in them, in the
 * order in which they stand. */
struct path {
    uint8_t *taken;
    size_t count, capacity;
    uint8_t few[64];
};

void txn__path_init(struct path *path);
void txn__path_deinit(struct path *path);
/* All comparisons come before anything is done. */
enum err txn__path_find(struct path *path, struct mvcc_reader *reader,
                        const Etcdserverpb__TxnRequest *request) MUST_USE;

/* The operations of the branch. */
struct branch {
    Etcdserverpb__RequestOp **ops;
    size_t count;
};
static inline struct branch txn__branch(const Etcdserverpb__TxnRequest *request,
                                        bool succeeded)
{
    return succeeded ? (struct branch){request->success, request->n_success}
                     : (struct branch){request->failure, request->n_failure};
}

/* ---- overlap.c ----------------------------------------------------------- */

/* A branch puts no key twice, nor puts what it deletes. */
enum v3_error txn__check_overlap(struct branch branch);

#endif
