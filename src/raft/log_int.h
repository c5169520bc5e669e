/* The in-memory part of the log: a ring of the newest entries.
 *
 *      first                persisted       last
 *        v                      v             v
 *   ----[e][e][e][e][e][e][e][e][e][e][e][e][e]
 *     ^
 *   base: the entry before the first, known by index and term only
 *
 * Invariants: base_index + 1 == first; last - base_index <= capacity;
 *             terms never fall; times never fall.
 */
#ifndef ETCHED_RAFT_LOG_INT_H
#define ETCHED_RAFT_LOG_INT_H

#include "raft/raft.h"

struct raft_log {
    struct raft_entry *ring;
    size_t capacity; /* a power of two */
    raft_index base_index;
    raft_term base_term;
    raft_index last;
};

void raft_log__init(struct raft_log *log, size_t capacity, raft_index base,
                    raft_term base_term);
void raft_log__deinit(struct raft_log *log);
size_t raft_log__room(const struct raft_log *log);
/* Takes the entry's reference. Needs: index == last + 1, room. */
void raft_log__append(struct raft_log *log, const struct raft_entry *entry);
/* Drops the entries from `from` on. */
void raft_log__truncate(struct raft_log *log, raft_index from);
/* Drops the entries up to `to`. */
void raft_log__compact(struct raft_log *log, raft_index to);
const struct raft_entry *raft_log__at(const struct raft_log *log,
                                      raft_index index);
raft_term raft_log__last_term(const struct raft_log *log);
int64_t raft_log__last_time_ns(const struct raft_log *log);

#endif
