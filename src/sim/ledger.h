/* What the whole cluster must agree on, as the checkers have seen it: who led,
 * what stood in a log, what was committed, and what came of it.
 *
 *   log entries    (index, term) -> chain: a hash of the entry and of all
 *                  before it, so two logs that agree in one entry agree below
 *   the commits    index -> chain, term, data
 *   the twin       revision -> the store's commit; key -> its records: a store
 *                  of its own, made of nothing but what members said
 *
 * A function that finds something wrong returns ERR_CORRUPT, and the note says
 * what. Everything here outlives every member.
 */
#ifndef ETCHED_SIM_LEDGER_H
#define ETCHED_SIM_LEDGER_H

#include "base/map.h"
#include "mvcc/mvcc.h"
#include "raft/raft.h"
#include "sim/lessor.h"

/* One entry that stood in some member's log. */
struct ledger_seen {
    raft_term term;
    uint64_t chain;
    struct ledger_seen *next; /* of the same index */
};

struct ledger_place {
    struct ledger_seen *seen;
    /* Once it is committed: */
    uint64_t chain;
    raft_term term;
    raft_term commit_term; /* of the member that knew first */
    int64_t time_max_ns;   /* of all entries up to here */
    enum raft_entry_type type;
    struct refbuf *data;
    revision revision; /* after it was applied; 0: not known */
    bool is_hashed;
    uint32_t hash; /* of the keys' history there, as HashKV says it */
};

/* A key's records in order. */
struct ledger_key {
    struct slice key;
    const struct record **records;
    size_t count;
    size_t capacity;
};

struct ledger {
    struct ledger_place *places; /* by index */
    size_t place_capacity;
    raft_index commit;
    raft_index members_index; /* the entry that made it; 0: the beginning */
    struct raft_members members;

    member_id *leaders; /* by term */
    size_t leader_capacity;
    uint64_t leader_count;

    struct mvcc_commit **commits; /* by revision */
    size_t commit_capacity;
    revision revision;
    int64_t time_ns;
    struct map keys[MVCC_TABLE_COUNT];
    struct lessor lessor; /* v3's leases, by index */
    struct arena arena;
};

void ledger_init(struct ledger *ledger, const struct raft_members *members);
void ledger_deinit(struct ledger *ledger);

/* ---- the log ------------------------------------------------------------- */

/* An entry stands in a log behind one of chain `before`; *chain is its own.
 * Wrong: another entry of this index and term was seen. */
enum err ledger_see(struct ledger *ledger, const struct raft_entry *entry,
                    uint64_t before, uint64_t *chain) MUST_USE;
/* A member in `term` knows that it is committed, here for the next index, or
 * once more. Wrong: another one was committed there. `entry` may be NULL
 * where it was committed before. */
enum err ledger_commit(struct ledger *ledger, raft_index index, raft_term term,
                       uint64_t chain, const struct raft_entry *entry) MUST_USE;
/* The chain up to a committed index; 0 for index 0. */
uint64_t ledger_chain(const struct ledger *ledger, raft_index index);
/* Wrong: there was another leader in that term. *is_new: seen leading for the
 * first time. */
enum err ledger_lead(struct ledger *ledger, raft_term term, member_id id,
                     bool *is_new) MUST_USE;
/* The newest index that was committed by a leader of a term before. */
raft_index ledger_commit_before(const struct ledger *ledger, raft_term term);

/* ---- what came of it ----------------------------------------------------- */

/* A member is at revision `at`, of `time_ns`, with the entry `index` applied.
 * Wrong: another was at another one there, or no entry is of that time. */
enum err ledger_applied(struct ledger *ledger, raft_index index, revision at,
                        int64_t time_ns) MUST_USE;
/* HashKV there, with the entry `index` applied. Wrong: another one on another
 * member. */
enum err ledger_hashed(struct ledger *ledger, raft_index index,
                       uint32_t hash) MUST_USE;
/* A member has made this commit. Wrong: revisions with a hole, a time that
 * runs backwards, records that don't follow from those before, an expiry
 * before its time, an end of a lease of v3 that leaves keys of it, or not what
 * another member made. */
enum err ledger_change(struct ledger *ledger,
                       struct mvcc_commit *commit) MUST_USE;
/* The commit of that revision; NULL: none yet. */
const struct mvcc_commit *ledger_commit_at(const struct ledger *ledger,
                                           revision at);
/* The key's record that lives at a revision; NULL: it doesn't live. */
const struct record *ledger_get(const struct ledger *ledger,
                                enum mvcc_table table, struct slice key,
                                revision at);
/* How many keys live at a revision, how many of them have a TTL of v2's, and
 * how many a lease of v3's. */
struct ledger_sum {
    size_t keys;
    size_t with_ttl;
    size_t with_lease;
};
void ledger_count(const struct ledger *ledger, enum mvcc_table table,
                  revision at, struct ledger_sum *sum);
/* How many keys of it live there. */
size_t ledger_lease_keys(const struct ledger *ledger, lease_id lease,
                         revision at);
/* Wrong: not field by field the same. */
enum err ledger_same_record(const struct record *a,
                            const struct record *b) MUST_USE;

#endif
