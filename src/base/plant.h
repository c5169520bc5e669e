/* Planted bugs: proof that the simulator, or a unit test, can see. A build with
 * -DETCHED_PLANTED has them all, asleep; `plant_active` wakes one. In any other
 * build PLANTED is false at compile time and leaves no trace.
 *
 *     if (!PLANTED(NO_SYNC)) { err = wal_sync(wal); }
 *
 * One line each: the name, and what goes wrong.
 */
#ifndef ETCHED_BASE_PLANT_H
#define ETCHED_BASE_PLANT_H

/* clang-format off */
#define PLANT_TABLE(X)                                                        \
    X(NO_SYNC,             "the log is not synced before it is acknowledged") \
    X(VOTE_NOT_PERSISTED,  "a vote leaves before it is durable")              \
    X(VOTE_TWICE,          "a member votes for two candidates in one term")   \
    X(VOTE_OLD_LOG,        "a vote for a candidate whose log is behind")      \
    X(COMMIT_OLD_TERM,     "an entry of an old term is counted as committed") \
    X(COMMIT_UNSYNCED,     "a log counts before it is durable")               \
    X(STALE_READ,          "a read index without asking a quorum")            \
    X(TRUNCATE_SKIPPED,    "a conflicting entry is kept")                     \
    X(SNAPSHOT_NO_LEASES,  "a snapshot loses the leases")                     \
    X(SNAPSHOT_OLD,        "an older snapshot replaces a newer state")        \
    X(APPLIED_BEHIND,      "the applied index is stored behind its data")     \
    X(WATCH_GAP,           "a watcher misses what a snapshot brought")        \
    X(LEASE_EARLY,         "a lease ends before its time")                    \
    X(JOINT_ONE_QUORUM,    "a joint change asks only the new voters")         \
    X(TIME_BACKWARDS,      "commit times run backwards")                      \
    X(FORWARD_TWICE,       "a forwarded write is proposed twice")             \
    X(ANSWER_OTHER,        "a follower answers with another entry")           \
    X(TXN_STALE,           "a txn compares with an older revision")           \
    X(TXN_HALF,            "a txn does all but its last operation")           \
    X(PUT_NO_LEASE,        "a put takes a lease that isn't there")            \
    X(LEASE_HALF,          "a lease ends, and one of its keys stays")         \
    X(RENEWAL_FORGOTTEN,   "a renewal isn't in the store")                    \
    X(REVOKE_FORGOTTEN,    "a lease that was revoked stays in the store")     \
    X(RECIPE_CURSOR_APART, "a recipe's cursor moves in a second transaction") \
    X(RECIPE_CURSOR_UNSEEN, "a recipe's cursor isn't compared")               \
    X(RECIPE_HOLD_UNSEEN,  "a hold fires though its key has changed")         \
    X(RECIPE_TICK_UNSEEN,  "a tick's memo isn't compared")

/* Those that the simulator can't see, since nobody in it breaks rules: a unit
 * test finds each. */
#define PLANT_UNIT_TABLE(X)                                                   \
    X(AUTH_TXN_NESTED,     "a txn within a txn isn't checked")                \
    X(AUTH_TXN_PUT,        "a txn's put may show, and attach, unchecked")     \
    X(AUTH_OPEN_END,       "an open end counts as the least key")             \
    X(AUTH_LEASE_KEYS,     "who asks of a lease is told all its keys")
/* clang-format on */

enum plant {
    PLANT_NONE,
#define X(name, text) PLANT_##name,
    PLANT_TABLE(X)
#undef X
        PLANT_COUNT, /* the simulator's */
#define X(name, text) PLANT_##name,
    PLANT_UNIT_TABLE(X)
#undef X
};

#ifdef ETCHED_PLANTED
extern enum plant plant_active; /* of this process; set before it starts */
#define PLANTED(name) (plant_active == PLANT_##name)
#else
#define PLANTED(name) (0)
#endif

#endif
