/* The names in etcd's file.
 *
 *   KEY BUCKET
 *     key     main u64 big end first, '_', sub u64 big end first; then 't' if
 *             it is a tombstone
 *     value   mvccpb.KeyValue; of a tombstone the key alone
 *
 *   META BUCKET
 *     consistent_index      u64 big end first
 *     term                  u64 big end first (3.5)
 *     confState             JSON of raftpb.ConfState (3.5)
 *     storageVersion        "3.6.0" (3.6)
 *     scheduledCompactRev   a revision of 17 bytes
 *     finishedCompactRev    a revision of 17 bytes
 *     etchedTime            u64 big end first: ours, of the newest commit (ns)
 *
 *   AUTH BUCKET
 *     authEnabled           one byte, 1 or 0
 *     authRevision          u64 big end first
 *
 *   AUTHROLES, AUTHUSERS BUCKETS
 *     key     the name
 *     value   authpb.Role, authpb.User, as here
 *
 *   LEASE BUCKET
 *     key     id u64 big end first
 *     value   leasepb.Lease { 1: ID  2: TTL  3: RemainingTTL }
 */
#ifndef ETCHED_ETCDB_ETCDB_INT_H
#define ETCHED_ETCDB_ETCDB_INT_H

#include "etcdb/etcdb.h"

#define ETCDB_KEY SLICE("key")
#define ETCDB_LEASE SLICE("lease")
#define ETCDB_META SLICE("meta")
#define ETCDB_AUTH SLICE("auth")
#define ETCDB_ROLES SLICE("authRoles")
#define ETCDB_USERS SLICE("authUsers")

#define ETCDB_INDEX SLICE("consistent_index")
#define ETCDB_TERM SLICE("term")
#define ETCDB_CONF_STATE SLICE("confState")
#define ETCDB_VERSION SLICE("storageVersion")
#define ETCDB_SCHEDULED SLICE("scheduledCompactRev")
#define ETCDB_FINISHED SLICE("finishedCompactRev")
#define ETCDB_TIME SLICE("etchedTime")

#define ETCDB_AUTH_ENABLED SLICE("authEnabled")
#define ETCDB_AUTH_REVISION SLICE("authRevision")

enum { ETCDB_REV_BYTES = 17, ETCDB_TOMBSTONE_BYTES = 18 };

static inline void etcdb__put_rev(char out[ETCDB_REV_BYTES], revision main,
                                  uint64_t sub)
{
    put_be64(out, (uint64_t)main);
    out[8] = '_';
    put_be64(out + 9, sub);
}

#endif
