/* v3's leases as the log says they must be: granted, kept alive and ended by
 * committed commands at the times of their entries. A second telling of what
 * node/ does, kept by index, so a member that is behind can be looked at too.
 *
 * Beside it, by revision: how many keys belong to a lease.
 */
#ifndef ETCHED_SIM_LESSOR_H
#define ETCHED_SIM_LESSOR_H

#include "mvcc/mvcc.h"
#include "raft/raft.h"

/* What came of a lease with the entry `index`; granted_s 0: it ended. */
struct lessor_change {
    raft_index index;
    int64_t granted_s;
    int64_t expire_ns;
};

struct lessor_lease {
    lease_id id;
    struct lessor_change *changes;
    size_t count;
    size_t capacity;
};

struct lessor {
    struct lessor_lease *leases; /* all that ever were, as they came */
    size_t count;
    size_t capacity;
};

void lessor_init(struct lessor *lessor);
void lessor_deinit(struct lessor *lessor);

/* A command was committed, behind those before.
 * Errors: ERR_CORRUPT (one that can't be read). */
enum err lessor_take(struct lessor *lessor, raft_index index, int64_t time_ns,
                     struct slice command) MUST_USE;
/* What the lease is once `index` is applied; NULL: there is none such. */
const struct lessor_change *lessor_get(const struct lessor *lessor, lease_id id,
                                       raft_index index);
/* The newest that is known, of one that ended too; NULL: never granted. */
const struct lessor_change *lessor_newest(const struct lessor *lessor,
                                          lease_id id);

#endif
