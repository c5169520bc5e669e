/* etcd's database file, and ours: out and in again, keys, revisions, leases,
 * members and all.
 *
 *   bucket            holds                                here
 *   key               revision (17 or 18 bytes) ->         mvcc's records of
 *                     mvccpb.KeyValue; 't': tombstone      MVCC_KEYS
 *   lease             id (8, big end first) -> leasepb     lease/, meta
 *   meta              consistent_index, term,              where the store
 *                     confState, storageVersion,           stands
 *                     scheduledCompactRev, finishedCompactRev
 *   auth, authRoles, authUsers   users and roles, with     auth/, meta
 *                                the hashes of passwords
 *   members, members_removed, cluster, alarm               node's meta
 *
 * What etcd has no words for (causes, commit times, v2's directories and TTLs
 * on them) doesn't go out. What comes in from etcd has the cause MVCC_PUT or
 * MVCC_DELETE_RANGE and one time for all. A snapshot is the file and, behind
 * it, its SHA-256.
 */
#ifndef ETCHED_ETCDB_ETCDB_H
#define ETCHED_ETCDB_ETCDB_H

#include "bolt/bolt.h"
#include "node/node.h"

/* ---- out ----------------------------------------------------------------- */

enum { ETCDB_PAGE_BYTES = 4096 };

/* Writes the whole database as of one revision to `sink`, taking the shared
 * lock of the node for a piece at a time (never while the sink writes); the 32
 * bytes of SHA-256 are not in it: they are of the file in order, so the owner
 * of the file adds them.
 * Threads: any, with a reader of its own. Errors: ERR_COMPACTED (a compaction
 * has overtaken it: try again), what the sink says. */
struct etcdb_export {
    struct node *node;
    struct mvcc_reader *reader;
    const struct bolt_sink *sink;
};
enum err etcdb_export(const struct etcdb_export *config,
                      uint64_t *bytes) MUST_USE;

/* ---- the file ------------------------------------------------------------ */

/* What `etcdutl snapshot status` says of a file. */
struct etcdb_status {
    uint32_t hash; /* CRC-32C of all buckets, as etcd's tools have it */
    revision revision;
    uint64_t keys; /* pairs of all buckets, as etcd's tools count them */
    uint64_t bytes;
    struct slice version; /* "3.6.0", or "" before 3.6; in the file */
};
/* Errors: ERR_CORRUPT. */
enum err etcdb_status(struct slice file, struct etcdb_status *out) MUST_USE;

/* The SHA-256 behind it. The hash itself is the caller's, from a library: it
 * comes as a function, since this floor has none. */
enum { ETCDB_HASH_BYTES = 32 };
typedef void (*etcdb_sha256)(struct slice bytes,
                             unsigned char out[ETCDB_HASH_BYTES]);
/* Is there one? By the length alone, as etcd has it. */
bool etcdb_has_hash(struct slice file);
/* Errors: ERR_NOT_FOUND (there is none), ERR_CORRUPT (it is wrong). */
enum err etcdb_check_hash(struct slice file, etcdb_sha256 sha256) MUST_USE;

/* ---- in ------------------------------------------------------------------ */

/* Puts a file's state into an empty kv file of ours, as a store that stands at
 * log index `index` in term `term`, of a member of a new cluster (the file's
 * own membership isn't taken).
 *
 * All that comes out of it is the same wherever and whenever it is done, if
 * only time_ns is: members that are made on different machines must be. The
 * leases begin anew with their whole TTL when the cluster has a leader, as
 * etcd's; those of v2's TTLs, which only our own file has, end when they end.
 *
 * Errors: ERR_CORRUPT, ERR_UNSUPPORTED, ERR_TOO_LARGE (what no store of ours
 *         can hold), those of the kv. */
struct etcdb_import {
    struct slice file;
    struct kv *kv;   /* the store's, as snap_set_kv gives it */
    int64_t time_ns; /* commit time of all that is in it; a file of our own
                        says itself when: its newest commit's */
    uint64_t index;
    uint64_t term;
    revision bump;       /* --bump-revision: added to the revision */
    bool mark_compacted; /* --mark-compacted */
    uint64_t cluster_id; /* 0: no cluster, node_open makes one */
    const struct node_member *members;
    size_t member_count;
    uint64_t seed; /* of a hash map */
    /* How many revisions may be without a record; 0: a million. */
    size_t missing_max;
};
struct etcdb_imported {
    revision revision;
    revision compacted;
    uint64_t records;
    uint64_t leases;
    uint64_t users;
    uint64_t roles;
    bool has_auth; /* authentication is on */
};
enum err etcdb_import(const struct etcdb_import *config,
                      struct etcdb_imported *out) MUST_USE;

#endif
