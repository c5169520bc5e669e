/* The in-memory part of the log: a ring of the newest entries.
 *
 *      first                persisted       last
 *        v                      v             v
 *   ----[e][e][e][e][e][e][e][e][e][e][e][e][e]
 *     ^
 *   base: the entry before the first, known by index, term and time only
 *
 * Invariants: base_index + 1 == first; last - base_index <= capacity;
 *             terms never fall; times neither, but with a leader's first.
 */
#ifndef ETCHED_RAFT_LOG_INT_H
#define ETCHED_RAFT_LOG_INT_H

#include "raft/raft.h"

struct raft_log {
    struct raft_entry *ring;
    size_t capacity; /* a power of two */
    raft_index base_index;
    raft_term base_term;
    int64_t base_time_ns; /* 0: not known */
    raft_index last;
};

void raft_log__init(struct raft_log *log, size_t capacity, raft_index base,
                    raft_term base_term);
void raft_log__deinit(struct raft_log *log);
size_t raft_log__room(const struct raft_log *log);
/* An entry's time is never less than that of the entry before. Only a leader's
 * first (empty) one may be: a leader whose log begins behind a snapshot doesn't
 * know the time of the entry there. */
bool raft_log__time_follows(int64_t before_ns, const struct raft_entry *entry);
/* Takes the entry's reference. Needs: index == last + 1, room. */
void raft_log__append(struct raft_log *log, const struct raft_entry *entry);
/* Drops the entries from `from` on. */
void raft_log__truncate(struct raft_log *log, raft_index from);
/* Drops the entries up to `to`. */
void raft_log__compact(struct raft_log *log, raft_index to);
/* Drops all; the log begins behind `base`. */
void raft_log__reset(struct raft_log *log, raft_index base,
                     raft_term base_term);
const struct raft_entry *raft_log__at(const struct raft_log *log,
                                      raft_index index);
/* As many entries from `index` on as lie in one piece: at most `count_max`, and
 * of at most `bytes_max` (but one in any case). *bytes is what they hold.
 * Needs: the entry at `index` is there. */
const struct raft_entry *raft_log__run(const struct raft_log *log,
                                       raft_index index, size_t count_max,
                                       size_t bytes_max, size_t *count,
                                       size_t *bytes);
/* The term at `index`, base included. Needs: base_index <= index <= last. */
raft_term raft_log__term(const struct raft_log *log, raft_index index);
/* True: the entry of that index and term is in here, or is the base. */
bool raft_log__matches(const struct raft_log *log, raft_index index,
                       raft_term term);
/* The last index <= `index` whose term is <= `term`. When that is before the
 * base it is only known to be less: base_index - 1 then (0 at the least). */
raft_index raft_log__last_of_term(const struct raft_log *log, raft_index index,
                                  raft_term term);
raft_term raft_log__last_term(const struct raft_log *log);
int64_t raft_log__last_time_ns(const struct raft_log *log);

#endif
