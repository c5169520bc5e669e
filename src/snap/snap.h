/* Snapshots: a member's whole store, brought to another one in chunks.
 *
 *   the sender's kv file                         the receiver's kv file
 *   +-------------+   chunk, chunk, chunk ...    +-------------+
 *   | active set  | ---------------------------> | other set   |  in use later
 *   +-------------+   (source)          (sink)   | active set  |  in use
 *                                                +-------------+
 *
 * A kv file has room for two SETS of the store's tables. One is active; a
 * snapshot is written into the other, a durable transaction a chunk, while the
 * member goes on serving from the active one. snap_sink_activate turns the
 * two round in one small transaction. So nothing is ever half replaced, and a
 * transfer that broke off goes on behind its last durable chunk.
 *
 * A chunk is a run of pairs in the order of tables and keys, under a CRC-32C,
 * and says behind which pair it begins: chunks can't be swapped or left out.
 * The last one says so and carries the count of all pairs. A chunk doesn't name
 * its snapshot: whoever carries them has one way for each.
 *
 * Threads: a source and a sink belong to one thread at a time, of any kind; a
 *          set's kv is used as its store uses it. snap_sink_activate: the
 *          writer, under the exclusive lock. Sources are opened, and the set
 *          is cleaned, by any thread at any time.
 * Limits: what a source still reads can't be used again by the file: it grows
 *         by what is written meanwhile. A member holds up to two stores while
 *         a snapshot comes in.
 */
#ifndef ETCHED_SNAP_SNAP_H
#define ETCHED_SNAP_SNAP_H

#include "base/bytes.h"
#include "base/err.h"
#include "base/mem.h"
#include "port/kv.h"

enum {
    /* The store's tables, 0 to SNAP_SET_TABLES - 1, as its user numbers them;
     * the kv file below has them twice, and a control table. */
    SNAP_SET_TABLES = 4,
    /* A chunk ends with the pair that makes it this large; a pair of its own
     * may be larger. */
    SNAP_CHUNK_BYTES = 1024 * 1024,
};

/* ---- the two sets -------------------------------------------------------- */

/* The active set as a kv of its own: what mvcc is opened on. `file` outlives
 * it. Errors: ERR_CORRUPT, ERR_IO. */
struct snap_set;
enum err snap_set_open(struct kv *file, struct snap_set **out) MUST_USE;
void snap_set_close(struct snap_set *set);
struct kv *snap_set_kv(struct snap_set *set);

/* ---- what a snapshot is of ----------------------------------------------- */

struct snap_header {
    uint64_t cluster_id;
    uint64_t from;     /* the sender */
    uint64_t id;       /* of this snapshot; never the same again */
    uint64_t term;     /* the sender's, as leader */
    uint64_t index;    /* what is applied in it */
    uint64_t log_term; /* of the entry at `index` */
};
void snap_header_encode(const struct snap_header *header, struct buf *out);
enum err snap_header_decode(struct slice bytes,
                            struct snap_header *out) MUST_USE;

/* ---- the sender ---------------------------------------------------------- */

/* One state of the active set, held by a read transaction. */
struct snap_source;
enum err snap_source_open(struct snap_set *set,
                          struct snap_source **out) MUST_USE;
void snap_source_close(struct snap_source *source);
/* Chunks of this size instead of SNAP_CHUNK_BYTES: for tests. */
void snap_source_chunk_bytes(struct snap_source *source, size_t bytes);
/* The state that is sent, to be read only (what its header says of it), by
 * whose the source is: no cursor is left open. */
struct kv *snap_source_kv(struct snap_source *source);
/* Goes on behind this place (what a sink says); size 0: from the start.
 * Errors: ERR_INVALID (no place of this snapshot), ERR_IO. */
enum err snap_source_seek(struct snap_source *source,
                          struct slice place) MUST_USE;
/* Appends the next chunk to `out`. ERR_END behind the last. Whoever seeks to
 * the end gets a last one that is empty.
 * Errors: ERR_END, ERR_CORRUPT, ERR_IO. */
enum err snap_source_next(struct snap_source *source, struct buf *out) MUST_USE;

/* ---- the receiver -------------------------------------------------------- */

/* Begins, or goes on with, the snapshot of this header: what another one left
 * half done in the other set is cleared (snap_set_clean, as often as needed:
 * best done before). One at a time.
 * Errors: ERR_IO, ERR_DISK_FULL, ERR_NO_SPACE, ERR_CORRUPT. */
struct snap_sink;
enum err snap_sink_open(struct snap_set *set, const struct snap_header *header,
                        struct snap_sink **out) MUST_USE;
/* What is not complete stays for another try. */
void snap_sink_close(struct snap_sink *sink);
/* Where the sender goes on; the sink's memory. */
struct slice snap_sink_place(const struct snap_sink *sink);
/* Durable on return. *complete: it was the last; an empty last one that
 * follows is taken too. After an error the sink is where it was.
 * Errors: ERR_CORRUPT (damaged, or not the one that follows), and as above. */
enum err snap_sink_write(struct snap_sink *sink, struct slice chunk,
                         bool *complete) MUST_USE;
/* What came, to be read only (its membership, before it takes the place of what
 * is here); good until the sink is activated or closed. Needs: complete. */
struct kv *snap_sink_kv(struct snap_sink *sink);
/* The other set becomes the active one, durably; the set's kv shows it from
 * now on, and its user reads it anew (mvcc_reload). After an error all is as
 * it was.
 * Needs: complete; no transaction of the set's kv is open (those that are
 *        reset may stay), and none begins before it is read anew. */
enum err snap_sink_activate(struct snap_sink *sink) MUST_USE;
/* Removes what the set that isn't active still holds (a transfer that broke
 * off too: it begins anew), a part each call, in a short durable transaction;
 * *more: there is more. Needs: no sink is open.
 * Errors: ERR_IO, ERR_DISK_FULL, ERR_NO_SPACE, ERR_CORRUPT. */
enum err snap_set_clean(struct snap_set *set, bool *more) MUST_USE;

#endif
