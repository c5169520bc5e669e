/* What the tests of the simulator share: entries and commits made by hand. */
#ifndef ETCHED_TESTS_UNIT_SIM_SIM_STORIES_H
#define ETCHED_TESTS_UNIT_SIM_SIM_STORIES_H

#include "sim/ledger.h"

struct raft_entry story_entry(raft_index index, raft_term term,
                              const char *text);
/* Lets go of its data. */
void story_forget(struct raft_entry *entry);

/* A put of `key` at `main`, or (value NULL) its end; `before` is the record
 * that it replaces (NULL: none). */
struct record story_record(revision main, const char *key, const char *value,
                           const struct record *before);
/* A commit of these records, all of `main`; keys and values are copied. One
 * reference is the caller's. */
struct mvcc_commit *story_commit(revision main, int64_t time_ns,
                                 const struct record *records, uint32_t count);
/* A commit of one record, given to the ledger and let go. */
enum err story_change(struct ledger *ledger, const struct record *record,
                      int64_t time_ns);
/* The note of the last error has these words. */
void story_note_has(const char *words);

#endif
