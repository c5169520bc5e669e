/* The log on disk: what raft must not forget, in segments of preallocated
 * files, group-committed.
 *
 * One call of wal_append is one FRAME: the entries and the hard state of one
 * group commit, under one CRC-32C and a sequence number. A frame is written
 * whole and made durable by ONE sync. That gives the torn-tail rule its edge:
 *
 *   - a bad frame with nothing valid of a higher sequence behind it is a torn
 *     tail: it was never acknowledged. It is cut, with a notice.
 *   - a bad frame with a valid one of a higher sequence behind it (in this
 *     segment or a later one) was once durable: the disk lost it. wal_open
 *     fails with ERR_CORRUPT and says file, offset and what can be done.
 *
 * A failed write or sync is final: the log refuses everything from then on.
 * Room is asked for BEFORE (wal_reserve), so that a full disk is an answer to
 * the client and not a broken log.
 *
 * The format, byte by byte, stands at the top of wal.c.
 * Threads: one at a time.
 */
#ifndef ETCHED_WAL_WAL_H
#define ETCHED_WAL_WAL_H

#include "base/err.h"
#include "port/disk.h"
#include "raft/raft.h"

struct wal;

struct wal_config {
    struct disk *disk; /* outlives the log */
    uint64_t cluster_id;
    uint64_t member_id;
    uint64_t segment_bytes; /* LIMIT_WAL_SEGMENT_BYTES; tests: small. And a
                             * little more, for what can't wait for room. */
    bool unsafe_no_sync;
};

/* What wal_open finds, in order and without gaps. An entry's data is NULL or a
 * reference that passes to the callee. An entry replaces earlier ones of the
 * same or a higher index, also where it is at or below `skip_to` itself. An
 * error stops the opening and comes out of it. */
struct wal_reader {
    enum err (*on_hard_state)(struct wal_reader *reader,
                              const struct raft_hard_state *state);
    enum err (*on_entry)(struct wal_reader *reader,
                         const struct raft_entry *entry);
};

struct wal_opened {
    raft_index first_index; /* what is below may be missing */
    raft_index last_index;  /* first_index - 1: no entries */
    raft_term last_term; /* of that, or as given to wal_reset; 0: not known */
    bool torn;           /* a tail was cut... */
    char torn_file[DISK_NAME_BYTES_MAX]; /* ...here */
    uint64_t torn_offset;
    uint64_t torn_bytes;
    uint64_t entry_count;
    int segment_count;
};

/* True if the directory holds a log. */
enum err wal_exists(struct disk *disk, bool *out) MUST_USE;

/* A new, empty, durable log. Errors: ERR_EXISTS if there is one. */
enum err wal_create(const struct wal_config *config, struct wal **out) MUST_USE;

/* Opens what is there and reads it through `reader`, from the first entry
 * above `skip_to` on; one at or below comes only if it replaces what has been
 * reported. A half-made first or next segment, and what a reset left behind
 * (a crash in between), is cleaned up. Where `last_index` is below a snapshot
 * that was installed, the crash came before its wal_reset: do that.
 * Errors: ERR_NOT_FOUND, ERR_WRONG_CLUSTER, ERR_CORRUPT, ERR_IO; the note
 *         names file and offset, and says what can be done. */
enum err wal_open(const struct wal_config *config, raft_index skip_to,
                  struct wal_reader *reader, struct wal_opened *opened,
                  struct wal **out) MUST_USE;

/* Makes sure that a frame of `bytes` (as by wal_frame_bytes) can be written
 * without asking the file system for room, the hard state and a new leader's
 * empty entry with it or before it. These two alone need no asking: there is a
 * slack for them, and when it is used up on a full disk, wal_append says so.
 * Errors: ERR_DISK_FULL: the log is as it was and may be asked again. */
enum err wal_reserve(struct wal *wal, uint64_t bytes) MUST_USE;
uint64_t wal_frame_bytes(const struct raft_entry *entries, size_t count);

/* Writes one frame; `state` may be NULL, `count` 0. Not durable yet.
 * Errors: ERR_DISK_FULL, ERR_NO_MEMORY: the log is as it was and may be asked
 *         again; ERR_IO. */
enum err wal_append(struct wal *wal, const struct raft_hard_state *state,
                    const struct raft_entry *const *entries,
                    size_t count) MUST_USE;
enum err wal_sync(struct wal *wal) MUST_USE;

/* The log starts anew behind a snapshot of `index` and `term`: it holds no
 * entry, the next one to come has `index` + 1, and the hard state is `state`,
 * of that term or a later one. Durable on return. A crash in between leaves
 * the log as it was or as it shall be, and wal_open finds one of the two.
 * Errors: ERR_DISK_FULL, ERR_NO_MEMORY: the log is as it was and may be asked
 *         again. */
enum err wal_reset(struct wal *wal, raft_index index, raft_term term,
                   const struct raft_hard_state *state) MUST_USE;

/* Removes the segments whose entries are all at or below `index`; the newest
 * segment always stays. */
enum err wal_trim(struct wal *wal, raft_index index) MUST_USE;

void wal_close(struct wal *wal);

struct wal_stats {
    uint64_t frames;
    uint64_t bytes_written;
    uint64_t syncs;
    int segments;
    raft_index first_index; /* of the oldest segment; 0: none */
};
void wal_stats(const struct wal *wal, struct wal_stats *out);

#endif
