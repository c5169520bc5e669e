/* A log on a disk in memory, and what a reader finds in it: for the tests of
 * wal/. What a test doesn't expect aborts. */
#ifndef ETCHED_TESTS_SUPPORT_WAL_WORLD_H
#define ETCHED_TESTS_SUPPORT_WAL_WORLD_H

#include "memory/disk_memory.h"
#include "wal/wal.h"

/* A log in memory: entries that follow each other. */
struct wal_copy {
    struct raft_entry *entries;
    size_t count;
    size_t capacity;
    struct raft_hard_state state;
};
void wal_copy_deinit(struct wal_copy *copy);
/* Takes the place of its index and of all above; takes the reference. */
void wal_copy_put(struct wal_copy *copy, const struct raft_entry *entry);
const struct raft_entry *wal_copy_at(const struct wal_copy *copy,
                                     raft_index index);
raft_index wal_copy_last(const struct wal_copy *copy); /* 0: empty */

struct wal_world {
    struct disk_memory *memory;
    struct wal_config config;
    struct wal *wal; /* NULL when closed */
    struct wal_opened opened;
    struct wal_reader reader;
    struct wal_copy found; /* by the last opening */
    size_t found_states;   /* hard states reported */
    size_t found_entries;  /* entries reported, replaced ones too */
    raft_index skip_to;    /* of the next opening */
    raft_index fail_at;    /* the reader fails at this entry; 0: never */
};

void wal_world_init(struct wal_world *world, uint64_t seed,
                    uint64_t segment_bytes);
void wal_world_deinit(struct wal_world *world);

enum err wal_world_create(struct wal_world *world) MUST_USE;
enum err wal_world_open(struct wal_world *world) MUST_USE;
void wal_world_close(struct wal_world *world);
void wal_world_crash(struct wal_world *world); /* and closed */
/* Closes without a word to the disk, as a killed process does: what it wrote
 * is there, and the disk forgets nothing. */
void wal_world_kill(struct wal_world *world);
/* Closes, or kills, and opens again; it must come well. */
void wal_world_reopen(struct wal_world *world);

/* An entry with `size` bytes of data that follow from index and term. */
struct raft_entry wal_world_entry(raft_index index, raft_term term,
                                  size_t size);
bool wal_world_entry_good(const struct raft_entry *entry);

/* One frame of `count` such entries. */
enum err wal_world_append(struct wal_world *world, raft_index first,
                          size_t count, raft_term term, size_t size) MUST_USE;
/* One frame each, durable; it must come well. */
void wal_world_fill(struct wal_world *world, raft_index first, raft_index last,
                    raft_term term, size_t size);

#endif
