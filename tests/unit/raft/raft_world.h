/* A member of a cluster of one, with a disk of its own that remembers only
 * what was persisted: for stories and for random runs. */
#ifndef ETCHED_TESTS_UNIT_RAFT_RAFT_WORLD_H
#define ETCHED_TESTS_UNIT_RAFT_RAFT_WORLD_H

#include "base/prng.h"
#include "raft/raft.h"

enum { WORLD_ENTRIES_MAX = 4096 };

struct raft_world {
    struct raft *raft;
    struct raft_update update;
    raft_index compacted;
    raft_term compacted_term;
    /* The disk. */
    struct raft_hard_state hard;
    struct raft_entry entries[WORLD_ENTRIES_MAX];
    size_t entry_count;
    /* What was applied, by index; never undone by a restart. */
    char applied[WORLD_ENTRIES_MAX];
    raft_index applied_to;
    int64_t now_ms;
};

void raft_world_init(struct raft_world *world);
void raft_world_deinit(struct raft_world *world);
/* Forgets all that was not persisted and starts again. */
void raft_world_restart(struct raft_world *world);
enum err raft_world_propose(struct raft_world *world, const char *text);
void raft_world_campaign(struct raft_world *world);
void raft_world_tick(struct raft_world *world, int64_t ms);
/* Does what the update asks for, once. False: it asked for nothing. */
bool raft_world_turn(struct raft_world *world);
/* Until nothing is left to do. */
void raft_world_settle(struct raft_world *world);

#endif
