/* Snapshot: the database as a file in etcd's format, in pieces.
 *
 *   I/O thread            worker
 *   begin  ------------>  open: the file is made
 *     .------------------ '
 *     v
 *   idle  ------------->  read a piece
 *     ^  <--------------- '
 *     |  sends it; goes on at once, or in on_drained where the client doesn't
 *     |  take what it was sent
 *     '- at the file's end, an error, or the client's: close (on a worker)
 *
 * The last 32 bytes of the file are its SHA-256: a piece of their own, as
 * etcd has it.
 */
#include "base/check.h"
#include "base/version.h"
#include "proto/pb.h"
#include "rpc/errand.h"

enum {
    PIECE_BYTES = 256 * 1024,
    SHA_BYTES = 32,
    /* Of the process, at once: each is a file as large as the database. */
    SNAPSHOTS_MAX = 8,
};

static atomic_uint snapshot_count;

struct snapshot {
    struct errand errand; /* first */
    struct rpc_snapshot file;
    bool is_open;
    enum err err;
    uint64_t left; /* of the file, to be read */
    size_t got;    /* in `piece` */
    char piece[PIECE_BYTES];
};

static struct snapshot *snapshot_of(struct errand *errand)
{
    return CONTAINER_OF(errand, struct snapshot, errand);
}

/* ---- on a worker ----------------------------------------------------- */

static void open_file(struct errand *errand)
{
    struct snapshot *snapshot = snapshot_of(errand);
    const struct rpc_shared *shared = errand->rpc->shared;
    snapshot->err = shared->snapshot(shared->context, &snapshot->file);
    snapshot->is_open = snapshot->err == ERR_OK;
    snapshot->left = snapshot->is_open ? snapshot->file.bytes : 0;
}

/* What the next piece may hold, at the most. */
static size_t piece_size(const struct snapshot *snapshot)
{
    uint64_t size = snapshot->left > SHA_BYTES ? snapshot->left - SHA_BYTES
                                               : snapshot->left;
    return size < PIECE_BYTES ? (size_t)size : PIECE_BYTES;
}

static void read_piece(struct errand *errand)
{
    struct snapshot *snapshot = snapshot_of(errand);
    const struct rpc_shared *shared = errand->rpc->shared;
    size_t size = piece_size(snapshot);
    snapshot->got = 0;
    while (snapshot->got < size) {
        size_t got = 0;
        snapshot->err = shared->snapshot_read(shared->context, &snapshot->file,
                                              snapshot->piece + snapshot->got,
                                              size - snapshot->got, &got);
        if (snapshot->err == ERR_OK && got == 0) {
            snapshot->err =
                err_set(ERR_IO, "the snapshot's file is shorter than it was");
        }
        if (snapshot->err != ERR_OK) {
            return;
        }
        snapshot->got += got;
    }
}

/* What it took on the disk is given back. */
static void close_file(struct errand *errand)
{
    const struct rpc_shared *shared = errand->rpc->shared;
    shared->snapshot_close(shared->context, &snapshot_of(errand)->file);
}

/* ---- on the I/O thread ----------------------------------------------- */

static void free_snapshot(struct errand *errand)
{
    atomic_fetch_sub(&snapshot_count, 1);
    mem_free(snapshot_of(errand));
}

/* Needs: it isn't with a worker, and its call is over. */
static void let_go(struct snapshot *snapshot)
{
    CHECK(snapshot->errand.call == NULL);
    if (snapshot->is_open) {
        snapshot->is_open = false;
        errand__submit(&snapshot->errand, close_file, free_snapshot);
    } else {
        free_snapshot(&snapshot->errand);
    }
}

static void on_gone(struct call *call)
{
    struct snapshot *snapshot = snapshot_of(call->context);
    errand__give_up(&snapshot->errand);
    if (!snapshot->errand.away) {
        let_go(snapshot);
    }
}

/* The call's end, with the error if there is one. */
static void end(struct snapshot *snapshot)
{
    struct call *call = snapshot->errand.call;
    enum err err = snapshot->err;
    call->on_gone = NULL;
    call->on_drained = NULL;
    snapshot->errand.call = NULL;
    let_go(snapshot);
    if (err == ERR_OK) {
        call__finish(call);
    } else {
        call__fail_err(call, err);
    }
}

/* SnapshotResponse: remaining_bytes and the version in front of the blob. */
static void send_piece(struct snapshot *snapshot)
{
    struct call *call = snapshot->errand.call;
    struct buf *head = rpc__body(call->rpc);
    char length[VARINT_BYTES_MAX];
    uint64_t remaining =
        snapshot->left > SHA_BYTES ? snapshot->left - SHA_BYTES : 0;
    pb_put_u64(head, 2, remaining);
    pb_put_bytes(head, 4, SLICE(ETCHED_CLUSTER_API_VERSION));
    buf_append_char(head, 3 << 3 | PB_BYTES);
    buf_append(head, length, put_varint(length, snapshot->got));
    call__send_parts(call, buf_slice(head),
                     slice_of(snapshot->piece, snapshot->got));
}

static void go_on(struct snapshot *snapshot);

static void on_piece(struct errand *errand)
{
    struct snapshot *snapshot = snapshot_of(errand);
    if (errand->call == NULL) {
        let_go(snapshot);
        return;
    }
    if (snapshot->err != ERR_OK) {
        end(snapshot);
        return;
    }
    CHECK_LE(snapshot->got, snapshot->left);
    snapshot->left -= snapshot->got;
    bool ended = false;
    errand->call->ended = &ended;
    send_piece(snapshot);
    if (!ended) {
        errand->call->ended = NULL;
        go_on(snapshot);
    }
}

/* Who lost the right meanwhile gets no more of it. False: it has ended. */
static bool may_go_on(struct snapshot *snapshot)
{
    struct call *call = snapshot->errand.call;
    enum v3_error error = who__has_changed(call) ? who__again(call) : V3_OK;
    if (error != V3_OK) {
        call->on_gone = NULL;
        call->on_drained = NULL;
        snapshot->errand.call = NULL;
        let_go(snapshot);
        call__fail(call, error);
    }
    return error == V3_OK;
}

/* Needs: it isn't with a worker. */
static void go_on(struct snapshot *snapshot)
{
    if (!may_go_on(snapshot)) {
        return;
    }
    if (snapshot->left == 0) {
        end(snapshot);
    } else if (call__unsent(snapshot->errand.call) <=
               LIMIT_HTTP_OUT_HIGH_BYTES) {
        errand__submit(&snapshot->errand, read_piece, on_piece);
    }
}

static void on_drained(struct call *call)
{
    struct snapshot *snapshot = snapshot_of(call->context);
    if (!snapshot->errand.away) {
        go_on(snapshot);
    }
}

static void on_open(struct errand *errand)
{
    struct snapshot *snapshot = snapshot_of(errand);
    if (errand->call == NULL) {
        let_go(snapshot);
    } else if (snapshot->err != ERR_OK) {
        end(snapshot);
    } else {
        go_on(snapshot);
    }
}

void maintenance__snapshot(struct call *call, ProtobufCMessage *request)
{
    (void)request;
    if (atomic_fetch_add(&snapshot_count, 1) >= SNAPSHOTS_MAX) {
        atomic_fetch_sub(&snapshot_count, 1);
        call__fail(call, V3_REQUEST_TOO_MANY_REQUESTS);
        return;
    }
    struct snapshot *snapshot = mem_alloc_zero(sizeof(*snapshot));
    errand__init(&snapshot->errand, call);
    call->context = &snapshot->errand;
    call->on_gone = on_gone;
    call->on_drained = on_drained;
    errand__submit(&snapshot->errand, open_file, on_open);
}
