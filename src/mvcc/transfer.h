/* The whole store at once: out, in the order of revisions, and into an empty
 * kv file, which mvcc_open then opens. For formats of other systems, and for
 * tools that work while no member runs.
 */
#ifndef ETCHED_MVCC_TRANSFER_H
#define ETCHED_MVCC_TRANSFER_H

#include "mvcc/mvcc.h"

/* ---- out ----------------------------------------------------------------- */

/* The first record at or after `from` that the last compaction keeps: unlike
 * mvcc_history it goes below the compaction too, and there gives the newest
 * record of each key that lived then. ERR_END beyond the newest.
 * Needs: mvcc_read_begin. What it gives is of one state as long as the store's
 *        `compacted` stays the same, also when the lock is given up between.
 * Errors: ERR_END, ERR_IO, ERR_CORRUPT. */
enum err mvcc_kept(struct mvcc_reader *reader, struct rev from,
                   struct record *out) MUST_USE;

/* ---- in ------------------------------------------------------------------ */

/* Fills the kv file with a store, a durable transaction for each few thousand
 * records. Before mvcc_import_end has returned ERR_OK there is no store in it,
 * and mvcc_open says so. After an error the import can only be aborted.
 * Threads: one. */
struct mvcc_import;
/* ERR_EXISTS: there is a store in it. */
enum err mvcc_import_begin(struct kv *kv, struct mvcc_import **out) MUST_USE;
/* Needs: revisions rise; what a tombstone can't have is 0, all else is as
 *        struct record has it, `prev` set where the record replaces one that
 *        was given before. */
enum err mvcc_import_record(struct mvcc_import *import,
                            const struct record *record) MUST_USE;
/* Needs: a name is given once. */
enum err mvcc_import_meta(struct mvcc_import *import, struct slice name,
                          struct slice value) MUST_USE;
struct mvcc_import_state {
    revision current; /* at or above the newest record's */
    int64_t time_ns;  /* of that revision */
    revision compacted;
    int64_t compacted_time_ns;
    /* At or below `compacted` there is one record of each key, and no
     * tombstone; else the store finishes the compaction when it is opened. */
    bool finished;
    uint64_t applied_index;
    uint64_t applied_term;
};
/* Durable on return; the import is gone, whatever comes out. */
enum err mvcc_import_end(struct mvcc_import *import,
                         const struct mvcc_import_state *state) MUST_USE;
/* What was written stays in the file, of no use. NULL is fine. */
void mvcc_import_abort(struct mvcc_import *import);

#endif
