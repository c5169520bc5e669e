/* Leases: who lives how long, and which keys with them.
 *
 * A table of leases, each with the time when it ends and the keys that end
 * with it. A v2 TTL is a lease of its own with one key or directory; its id
 * (LEASE_V2 | the revision of the write that made it) and its end stand in the
 * key's record, so the table is built again from the store. A lease of v3 is
 * granted and kept alive by commands; node/ keeps it in the store's meta.
 *
 * Times are those of the log's entries (the leader's clock, never running
 * backwards), so every member computes the same; a lease ends when a command
 * says so, never by itself.
 *
 * Threads: the writer changes it under the exclusive lock; readers look under
 *          the shared one.
 */
#ifndef ETCHED_LEASE_LEASE_H
#define ETCHED_LEASE_LEASE_H

#include <stdbool.h>
#include <stdint.h>

#include "mvcc/mvcc.h"

#define LEASE_V2 ((lease_id)1 << 62)
enum { LEASE_V2_REVISION_BITS = 40 };
/* The ids from LEASE_V2 on, as many as there are revisions, are v2's; v3's
 * clients can't have them. */
static inline bool lease_is_v2(lease_id id)
{
    return id >> LEASE_V2_REVISION_BITS == LEASE_V2 >> LEASE_V2_REVISION_BITS;
}
/* etcd's bound (lease/lessor.go), in seconds. */
#define LEASE_TTL_S_MAX INT64_C(9000000000)

struct lease_table;

struct lease_table *lease_table_new(void);
void lease_table_free(struct lease_table *table);
/* No leases any more: the store was replaced (mvcc_reload), and who keeps them
 * builds them again. */
void lease_table_clear(struct lease_table *table);

/* The lease now ends at `expire_ns`; granted if it wasn't there. */
void lease_set(struct lease_table *table, lease_id id, int64_t expire_ns);
/* The same, with what was granted (not less than 0). */
void lease_grant(struct lease_table *table, lease_id id, int64_t granted_s,
                 int64_t expire_ns);
void lease_revoke(struct lease_table *table, lease_id id);
struct lease_info {
    int64_t granted_s; /* of v2's: what is between its write and its end */
    int64_t expire_ns;
    size_t keys; /* of both tables */
};
bool lease_info(const struct lease_table *table, lease_id id,
                struct lease_info *out);
/* All leases, the one that ends first in front, of one end by their ids. */
void lease_each(const struct lease_table *table,
                void (*each)(void *context, lease_id id), void *context);
/* False: there is none such. */
bool lease_get(const struct lease_table *table, lease_id id,
               int64_t *expire_ns);
size_t lease_count(const struct lease_table *table);

/* A key belongs to one lease at most: the caller detaches it from the old one
 * first. A v2 lease without keys left is gone by itself. Detaching a key that
 * has no lease is harmless.
 * Needs: lease_attach: the lease is there. */
void lease_attach(struct lease_table *table, lease_id id,
                  enum mvcc_table key_table, struct slice key);
void lease_detach(struct lease_table *table, lease_id id,
                  enum mvcc_table key_table, struct slice key);

/* The lease of a key; false: it has none. */
bool lease_of_key(const struct lease_table *table, enum mvcc_table key_table,
                  struct slice key, lease_id *id);

/* The next to end; false: none. */
bool lease_next(const struct lease_table *table, lease_id *id,
                int64_t *expire_ns);
/* Up to `max` leases that end at or before `now_ns`, soonest first; returns
 * how many. */
size_t lease_expired(const struct lease_table *table, int64_t now_ns,
                     lease_id *out, size_t max);
/* The keys of a lease, in the order in which they were attached. The callee
 * must not change the table. */
void lease_each_key(const struct lease_table *table, lease_id id,
                    void (*each)(void *context, enum mvcc_table key_table,
                                 struct slice key),
                    void *context);

#endif
