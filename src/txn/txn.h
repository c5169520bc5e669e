/* v3's keys and values: what Range, Put, DeleteRange and Txn mean, over mvcc/.
 *
 * Requests are the API's own messages. What comes out is the response's
 * message, encoded, WITHOUT its header (field 1), which is of the member that
 * answers: rpc/ puts it in front. Responses within a txn's have headers of
 * their own, with the revision alone, as etcd's.
 *
 * A write is one commit. Nothing v2 knows of is in it: every record is a
 * change of its own (no MVCC_PART), its cause MVCC_PUT or MVCC_DELETE_RANGE;
 * of a recipe's write, MVCC_RECIPE.
 * A txn sees what it has done so far; each key is put at most once (checked
 * before it was proposed).
 *
 * Threads: txn_put, txn_delete_range, txn_run, txn_lease_end: the writer,
 *          exclusive lock; txn_range and txn_scan: any thread with its reader,
 *          shared lock, after mvcc_read_begin; the checks: any.
 */
#ifndef ETCHED_TXN_TXN_H
#define ETCHED_TXN_TXN_H

#include "lease/lease.h"
#include "mvcc/mvcc.h"
#include "proto/rpc.pb-c.h"
#include "proto/v3_error.h"

/* No answer that is made in one piece is longer; txn_scan's may be. */
enum { TXN_ANSWER_BYTES_MAX = 256 << 20 };

/* Operations that were done, as etcd's metrics count them: a DeleteRange is
 * one, however many keys it takes along. */
struct txn_count {
    uint64_t ranges;
    uint64_t puts;
    uint64_t deletes;
};

/* What came of a request. */
struct txn_answer {
    /* Nothing was done, save with V3_REQUEST_TOO_LARGE: the answer (to a txn
     * with ranges, or a DeleteRange with prev_kv) is too long to be given; what
     * was to be written is. */
    enum v3_error error;
    revision revision;      /* of the response's header */
    int64_t time_ns;        /* of the newest commit then; 0: not set */
    struct txn_count count; /* of a write or a txn */
    struct buf body;        /* the response without its header */
};
void txn_answer_deinit(struct txn_answer *answer);

/* ---- checks, before anything is proposed: of the form alone -------------- */

enum v3_error txn_check_range(const Etcdserverpb__RangeRequest *request);
enum v3_error txn_check_put(const Etcdserverpb__PutRequest *request);
enum v3_error
txn_check_delete_range(const Etcdserverpb__DeleteRangeRequest *request);
/* With all that lies in it: how many operations, a key put twice or put and
 * deleted in one branch, ... */
enum v3_error txn_check(const Etcdserverpb__TxnRequest *request,
                        size_t ops_max);
/* No branch writes: it is answered as a read is. */
bool txn_is_read_only(const Etcdserverpb__TxnRequest *request);
/* Where it would be refused for want of room: it has a put. */
bool txn_has_put(const Etcdserverpb__TxnRequest *request);
/* All ranges in it are serializable. */
bool txn_is_serializable(const Etcdserverpb__TxnRequest *request);

/* ---- writes -------------------------------------------------------------- */

struct txn {
    struct mvcc *mvcc;
    struct mvcc_reader *reader; /* the writer's; mvcc_read_begin was called */
    struct lease_table *leases;
    bool by_recipe; /* what is written now */
};

/* Each applies a request that was checked, at `time_ns`. `answer` is zero
 * before; its body is only made where `wanted`. A reference to the commit is
 * given to *commit for the watchers (NULL: no change).
 * Errors: only of the store (ERR_IO, ERR_CORRUPT): the member must stop. */
enum err txn_put(struct txn *txn, const Etcdserverpb__PutRequest *request,
                 int64_t time_ns, bool wanted, struct txn_answer *answer,
                 struct mvcc_commit **commit) MUST_USE;
enum err txn_delete_range(struct txn *txn,
                          const Etcdserverpb__DeleteRangeRequest *request,
                          int64_t time_ns, bool wanted,
                          struct txn_answer *answer,
                          struct mvcc_commit **commit) MUST_USE;
enum err txn_run(struct txn *txn, const Etcdserverpb__TxnRequest *request,
                 int64_t time_ns, bool wanted, struct txn_answer *answer,
                 struct mvcc_commit **commit) MUST_USE;
/* Ends a lease of v3: its keys are deleted in ONE commit, by name, and the
 * lease is revoked. `cause`: MVCC_EXPIRE or MVCC_REVOKE. A v2 lease's keys and
 * directories are tree/'s. Needs: the lease is there. */
enum err txn_lease_end(struct txn *txn, lease_id lease, enum mvcc_cause cause,
                       int64_t time_ns, struct mvcc_commit **commit) MUST_USE;

/* ---- reads --------------------------------------------------------------- */

/* A read-only txn. */
enum err txn_read(struct mvcc_reader *reader,
                  const Etcdserverpb__TxnRequest *request,
                  struct txn_answer *answer) MUST_USE;

/* A range: at once if its response is at most `bytes_max` long; if it is
 * longer, ERR_TOO_LARGE, and txn_scan makes it in pieces. `now` is the store's
 * revision, answer->revision afterwards; request->revision 0 means it. The
 * body is appended to what answer->body holds. Errors
 * of the API are in `answer`, those of the store come back. */
enum err txn_range(struct mvcc_reader *reader,
                   const Etcdserverpb__RangeRequest *request, revision now,
                   size_t bytes_max, struct txn_answer *answer) MUST_USE;

/* A range in pieces, at one revision; the lock may be given up between them.
 * Bounded: it keeps its place, and (sorted by other than the key) 24 bytes for
 * each key that it gives. */
struct txn_scan;
/* `request` is read while the scan lives. */
enum err txn_scan_new(struct mvcc_reader *reader,
                      const Etcdserverpb__RangeRequest *request, revision now,
                      struct txn_answer *answer,
                      struct txn_scan **out) MUST_USE;
void txn_scan_free(struct txn_scan *scan);
/* How long all the pieces are, together; walks the range. In slices of
 * `keys_max` keys: *done false: call again. For one message in pieces, whose
 * length stands before it: before the first txn_scan_next. Errors: as there. */
enum err txn_scan_measure(struct txn_scan *scan, struct mvcc_reader *reader,
                          size_t keys_max, bool *done,
                          uint64_t *bytes) MUST_USE;
/* Appends the next kvs (fields 2 of a RangeResponse) to `out`, about
 * `bytes_max` bytes of them; none at all where it has looked at many keys and
 * has to look at more before it can tell which is next. With the last ones
 * come `more` and `count`, and *done is true. Errors: ERR_COMPACTED (it took
 * too long), ERR_NO_MEMORY (of a sorted one). */
enum err txn_scan_next(struct txn_scan *scan, struct mvcc_reader *reader,
                       size_t bytes_max, struct buf *out, bool *done) MUST_USE;

/* ---- pieces that others need --------------------------------------------- */

/* Appends a mvccpb.KeyValue as field `number` of a message. */
void txn_put_key_value(struct buf *out, uint32_t number,
                       const struct record *record);
/* The same, as the content of a message of its own. */
void txn_key_value(struct buf *out, const struct record *record);
size_t txn_key_value_bytes(const struct record *record);
/* Appends a mvccpb.Event of this record, with the one before if `with_prev` is
 * not NULL, as the content of a message of its own. */
void txn_event(struct buf *out, const struct record *record,
               const struct record *prev);
/* Behind it: what made the change, and when. */
void txn_event_cause(struct buf *out, const struct record *record);

/* What a range is of: [key, end) as mvcc_walk has it. */
void txn_bounds(struct slice key, struct slice range_end, struct slice *from,
                struct slice *end, bool *single);

/* etcd's hash of the keys' history up to `at` (0: now) and of what the last
 * compaction has left: CRC-32C over "key", then each revision's 17 bytes (18
 * of a tombstone) and its KeyValue, as server/storage/mvcc/hash.go has it.
 * Comparable with that of a member of etcd with the same history. In slices:
 * the lock may be given up between them. */
struct txn_hash {
    revision at;
    revision compacted; /* -1: never was; as etcd says it */
    revision kept_at;   /* below it, what lives at this revision counts */
    uint32_t crc;
    struct rev next;
    bool done;
};
enum err txn_hash_begin(struct mvcc_reader *reader, revision at, revision now,
                        struct txn_hash *hash, enum v3_error *error) MUST_USE;
/* Goes on until hash->done. Errors: ERR_COMPACTED (it took too long: begin
 * again). */
enum err txn_hash_slice(struct txn_hash *hash, struct mvcc_reader *reader,
                        size_t records_max) MUST_USE;

#endif
