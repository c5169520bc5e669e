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
    uint64_t segment_bytes; /* LIMIT_WAL_SEGMENT_BYTES; tests: small */
    bool unsafe_no_sync;
};

/* What wal_open finds, in order. An entry's data is NULL or a reference that
 * passes to the callee. Later entries replace earlier ones of the same or a
 * higher index. An error stops the opening and comes out of it. */
struct wal_reader {
    enum err (*on_hard_state)(struct wal_reader *reader,
                              const struct raft_hard_state *state);
    enum err (*on_entry)(struct wal_reader *reader,
                         const struct raft_entry *entry);
};

struct wal_opened {
    bool torn;                           /* a tail was cut... */
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

/* Opens what is there and reads it through `reader`. Entries at or below
 * `skip_to` need not be reported. A half-made first or next segment (a crash
 * in between) is cleaned up.
 * Errors: ERR_NOT_FOUND, ERR_WRONG_CLUSTER, ERR_CORRUPT, ERR_IO; the note
 *         names file and offset, and says what can be done. */
enum err wal_open(const struct wal_config *config, raft_index skip_to,
                  struct wal_reader *reader, struct wal_opened *opened,
                  struct wal **out) MUST_USE;

/* Makes sure that a frame of `bytes` (as by wal_frame_bytes) can be written
 * without asking the file system for room.
 * Errors: ERR_DISK_FULL: the log is as it was and may be asked again. */
enum err wal_reserve(struct wal *wal, uint64_t bytes) MUST_USE;
uint64_t wal_frame_bytes(const struct raft_entry *entries, size_t count);

/* Writes one frame; `state` may be NULL, `count` 0. Not durable yet. */
enum err wal_append(struct wal *wal, const struct raft_hard_state *state,
                    const struct raft_entry *const *entries,
                    size_t count) MUST_USE;
enum err wal_sync(struct wal *wal) MUST_USE;

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
