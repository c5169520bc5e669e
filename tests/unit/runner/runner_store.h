/* A store in memory with etcd's semantics, as far as the runner asks for them:
 * all revisions are kept until a compaction; Range at a revision, with limits,
 * sorting and filters; Txn with compares and txns in it, which refuses to
 * touch a key twice; leases; the events of each revision with their previous
 * values, causes and times. It has no faults: the world around it has. */
#ifndef RUNNER_STORE_H
#define RUNNER_STORE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/bytes.h"
#include "proto/message.h"
#include "proto/rpc.pb-c.h"

struct store_version {
    int64_t mod_revision;
    int64_t create_revision;
    int64_t version; /* 0: it was deleted */
    int64_t lease;
    struct slice value;
};
struct store_key {
    struct slice key;
    struct store_version *versions;
    size_t count;
};
struct store_event {
    int64_t revision;
    const struct store_key *key;
    struct store_version kv;
    struct store_version prev; /* version 0: there was none */
    const char *cause;
    int64_t time_ns;
};
struct store_lease {
    int64_t id;
    int64_t ttl_s;
    int64_t ends_ns;
};
struct memory_store {
    struct store_key **keys; /* in their order */
    size_t key_count;
    struct store_event *events;
    size_t event_count;
    struct store_lease *leases;
    size_t lease_count;
    int64_t revision;
    int64_t compacted;
    int64_t next_lease;
    int64_t now_ns; /* the world's; wall */
    struct arena arena;
    size_t txn_operations_seen; /* the most that a Txn had */
};
void memory_store_init(struct memory_store *store);
void memory_store_deinit(struct memory_store *store);
/* Ends leases whose time has come. */
void memory_store_tick(struct memory_store *store, int64_t now_ns);

/* Answers: gRPC's code, its message, and the encoded response. */
struct store_reply {
    int code;
    const char *text;
    struct buf message;
};
void memory_store_range(struct memory_store *store, struct slice request,
                        struct store_reply *reply);
void memory_store_txn(struct memory_store *store, struct slice request,
                      const char *cause, struct store_reply *reply);
void memory_store_grant(struct memory_store *store, struct slice request,
                        struct store_reply *reply);
void memory_store_revoke(struct memory_store *store, struct slice request,
                         struct store_reply *reply);
void memory_store_keepalive(struct memory_store *store, struct slice request,
                            struct store_reply *reply);
void memory_store_revision_at(struct memory_store *store, struct slice request,
                              struct store_reply *reply);
void memory_store_compact(struct memory_store *store, int64_t revision);
/* The version of a key at a revision (0: now); NULL: it isn't there. */
const struct store_version *memory_store_get(const struct memory_store *store,
                                             struct slice key,
                                             int64_t revision);
int64_t memory_store_put(struct memory_store *store, struct slice key,
                         struct slice value, int64_t lease);
int64_t memory_store_delete(struct memory_store *store, struct slice key);
/* The first event of a revision at or after this one. */
size_t memory_store_event_at(const struct memory_store *store,
                             int64_t revision);
bool memory_store_in_range(struct slice key, struct slice from,
                           struct slice end);

#endif
