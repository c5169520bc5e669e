/* What others of this folder need of Lease. */
#ifndef ETCHED_RPC_LEASE_INT_H
#define ETCHED_RPC_LEASE_INT_H

#include "rpc/watch_int.h"

/* An id for a lease whose client leaves the choice to us: positive, and none
 * of v2's. It may be taken, if only hardly ever: then another one. */
lease_id lease__new_id(struct rpc *rpc);
/* Appends a LeaseGrantRequest. */
void lease__put_grant(struct buf *out, int64_t ttl_s, lease_id id);

#endif
