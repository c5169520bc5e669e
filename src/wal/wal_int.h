/* What the files of this folder share. The format stands in wal.c. */
#ifndef ETCHED_WAL_WAL_INT_H
#define ETCHED_WAL_WAL_INT_H

#include <assert.h>

#include "base/limits.h"
#include "wal/wal.h"

enum {
    WAL__VERSION = 1,
    WAL__VERSION_ANEW = 2, /* of a segment with which the log starts anew */
    WAL__ALIGN_BYTES = 8,
    /* A sector of its own, so that no write of a frame touches it. */
    WAL__HEADER_BYTES = 512,
    WAL__FRAME_BYTES_MIN = 64, /* its header */
    WAL__ENTRY_BYTES_MIN = 24, /* its header */
    /* Zeros are written this far ahead of the frames: a sync of blocks that
     * have been written before needs no change of the file's metadata. */
    WAL__AHEAD_BYTES = 256 * 1024,
    WAL__ZEROS_BYTES = 64 * 1024,
    /* A hard state, with or without the one empty entry of a new leader. */
    WAL__SMALL_BYTES = WAL__FRAME_BYTES_MIN + WAL__ENTRY_BYTES_MIN,
    /* Every segment has some room behind that which other frames may use:
     * nobody can ask for room before an election, and a member that can't
     * write its vote is lost. This holds thousands. */
    WAL__SLACK_BYTES_MAX = 256 * 1024,
};

static_assert(WAL__AHEAD_BYTES % WAL__ZEROS_BYTES == 0, "whole writes");
static_assert(WAL__HEADER_BYTES % WAL__ALIGN_BYTES == 0, "frames are aligned");
static_assert(LIMIT_WAL_FRAME_BYTES_MAX < UINT32_MAX, "a u32 holds it");

/* No number on disk may be larger: one more never overflows. */
#define WAL__NUMBER_MAX ((uint64_t)INT64_MAX)

/* The next segment, until it is complete. */
#define WAL__NEXT_NAME "next.wal.tmp"

/* ---- format.c: bytes from values and back, no files --------------------- */

struct wal__header {
    uint64_t cluster_id;
    uint64_t member_id;
    uint64_t number;        /* of the segment, from 1 */
    raft_index first_index; /* the one after the last entry so far */
    uint64_t sequence;      /* of the first frame */
    struct raft_hard_state state;
    /* Of the entry before `first_index`, where the log starts anew behind a
     * snapshot: no older segment counts. 0: it goes on from the one before. */
    raft_term anew_term;
};

enum wal__header_result {
    WAL__HEADER_GOOD,
    WAL__HEADER_BAD,
    WAL__HEADER_NEWER, /* whole, of a version that we don't know */
};

/* `bytes` has room for WAL__HEADER_BYTES; returns the seed of its frames. */
uint32_t wal__header_encode(const struct wal__header *header, char *bytes);
enum wal__header_result wal__header_decode(const char *bytes,
                                           struct wal__header *out,
                                           uint32_t *out_seed);

struct wal__frame {
    uint64_t sequence;
    struct raft_hard_state state; /* as of this frame; all 0: none yet */
    raft_index first_index;       /* 0: no entries */
    uint32_t entry_count;
    uint32_t bytes;
    uint32_t body_crc;
};

/* Where in which segment a frame stands is part of its checksum, so that one
 * which was copied elsewhere (by a disk, or into a value) isn't one there. */
void wal__frame_encode(struct wal__frame *frame, uint32_t seed, uint64_t offset,
                       const struct raft_entry *const *entries, char *bytes);
/* Reads the header of a frame; false when it isn't a whole and sane one. */
bool wal__frame_decode(const char *bytes, uint32_t seed, uint64_t offset,
                       struct wal__frame *out);
bool wal__frame_body_good(const struct wal__frame *frame, const char *bytes);

/* The entries of a frame's body, one after the other. `data` is a view. */
struct wal__entry {
    raft_term term;
    raft_index index;
    int64_t time_ns;
    enum raft_entry_type type;
    struct slice data;
};
struct wal__entries {
    const char *at;
    const char *end;
    raft_index next_index;
    uint32_t left;
};
void wal__entries_init(struct wal__entries *entries,
                       const struct wal__frame *frame, const char *bytes);
/* ERR_END after the last; ERR_CORRUPT when the body isn't made right. */
enum err wal__entries_next(struct wal__entries *entries,
                           struct wal__entry *out) MUST_USE;

uint64_t wal__align(uint64_t bytes);
bool wal__all_zero(const char *bytes, size_t size);

/* ---- the log ------------------------------------------------------------ */

struct wal__segment {
    uint64_t number;
    raft_index named_index; /* as in its header and name */
    raft_index first_index; /* least and greatest of its entries; 0: none */
    raft_index last_index;
};

enum wal__state { WAL__CLEAN, WAL__DIRTY, WAL__BROKEN };

struct wal {
    struct wal_config config;
    struct disk *disk;
    enum wal__state state;

    struct disk_file *file; /* the newest segment's; NULL only in creation */
    uint32_t seed;          /* of its frames */
    uint64_t end;           /* of its last frame */
    uint64_t room;          /* it has this many bytes, the slack too */
    uint64_t reserved;      /* promised, and not written yet */
    uint64_t zeroed;        /* written with zeros from `end` up to here */

    struct disk_file *next; /* made ahead; NULL: not yet */
    uint64_t next_room;
    uint64_t next_try_at; /* after a failure: not before `end` is here */

    struct wal__segment *segments; /* oldest first */
    size_t segment_count;
    size_t segment_capacity;

    uint64_t sequence; /* of the next frame */
    raft_index last_index;
    raft_term last_term; /* 0: not known (trimmed away) */
    struct raft_hard_state hard_state;

    char *buffer; /* one frame is built here */
    size_t buffer_size;
    uint64_t frames;
    uint64_t bytes_written;
    uint64_t syncs;
    char broken_note[ERR_NOTE_BYTES_MAX / 2];
};

struct wal *wal__new(const struct wal_config *config);
void wal__free(struct wal *wal); /* its files are closed */
void wal__check_state(const struct wal *wal);
struct wal__segment *wal__newest(struct wal *wal);
/* The log takes nothing more; returns ERR_IO and keeps the note. */
enum err wal__break(struct wal *wal, const char *what);
enum err wal__refuse(const struct wal *wal); /* ERR_IO when broken */
void wal__count_entries(struct wal *wal, struct wal__segment *segment,
                        raft_index first, uint32_t count, raft_term last_term);
/* Removes the oldest segments that hold no entry, as a reset leaves them. One
 * that can't be removed does no harm: the next wal_trim tries again. */
enum err wal__remove_left(struct wal *wal) MUST_USE;

/* ---- segment.c: names, and from one segment to the next ----------------- */

struct wal__name {
    char text[DISK_NAME_BYTES_MAX];
};
struct wal__name wal__name_of(const struct wal__segment *segment);
bool wal__name_parse(const char *name, struct wal__segment *out);

/* The log's segments by their names, unsorted ones put in order. */
struct wal__listing {
    struct wal__segment *segments;
    size_t count;
    size_t capacity;
    bool next_found; /* a half-made one */
    bool no_memory;
};
enum err wal__list(struct disk *disk, struct wal__listing *out) MUST_USE;

/* Room for one more; the array may move. */
enum err wal__segments_reserve(struct wal__segment **segments, size_t count,
                               size_t *capacity) MUST_USE;
/* What a segment has by itself, with its slack. */
uint64_t wal__segment_bytes(const struct wal *wal);
uint64_t wal__slack_bytes(const struct wal *wal);
/* Room for a frame of `bytes` before the slack. */
enum err wal__make_room(struct wal *wal, uint64_t bytes) MUST_USE;
/* Goes on in a new segment with room for a frame of `bytes`. */
enum err wal__roll(struct wal *wal, uint64_t bytes) MUST_USE;
/* The same, in one that holds nothing of what was before. */
enum err wal__roll_anew(struct wal *wal, raft_index index, raft_term term,
                        const struct raft_hard_state *state) MUST_USE;
enum err wal__write_zeros(struct disk *disk, struct disk_file *file,
                          uint64_t from, uint64_t to) MUST_USE;

#endif
