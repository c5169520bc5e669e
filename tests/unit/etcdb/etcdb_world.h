/* A member that is exported into bytes, and another one that is made of them.
 *
 *   put(&one, "/a", "1", 0);
 *   export_to(&one, &file);
 *   import_into(&two, buf_slice(&file), NULL);
 *   IS(whole(&two), whole(&one));
 */
#ifndef ETCHED_TESTS_UNIT_ETCDB_WORLD_H
#define ETCHED_TESTS_UNIT_ETCDB_WORLD_H

#include "etcdb/etcdb_int.h"
#include "support/node_harness.h"

enum { WORLD_CLUSTER = 0x1234, WORLD_MEMBER = 0x77 };

/* ---- commands ------------------------------------------------------------ */

/* Each must come well. */
void put(struct node_harness *at, const char *key, struct slice value,
         lease_id lease);
void put_text(struct node_harness *at, const char *key, const char *value);
void delete_key(struct node_harness *at, const char *key);
void grant(struct node_harness *at, lease_id lease, int64_t ttl_s);
void compact_at(struct node_harness *at, revision main);
void raise_alarm(struct node_harness *at, member_id member, uint32_t type);
/* One txn: "key=value" puts, "key!" deletes; NULL ends. */
void txn(struct node_harness *at, const char *const *changes);
/* The leader does what is due. */
void settle(struct node_harness *at);

/* ---- out and in ---------------------------------------------------------- */

enum err try_export(struct node_harness *at, struct buf *file,
                    size_t fail_at) MUST_USE;
void export_to(struct node_harness *at, struct buf *file);

/* Into an empty world that isn't open. `change` may be NULL. */
enum err try_import(struct node_harness *to, struct slice file,
                    const struct etcdb_import *change,
                    struct etcdb_imported *imported) MUST_USE;
/* And opens it. */
void import_into(struct node_harness *to, struct slice file,
                 const struct etcdb_import *change);

/* ---- asking -------------------------------------------------------------- */

/* Revision, compaction, hash; every record that is kept, with all that etcd has
 * of it; leases with their keys. Valid until four more were asked for. */
const char *whole(struct node_harness *at);
/* The values of a bucket: "key=value" each, in hex where it isn't text. */
const char *bucket(struct slice file, const char *name);
const char *buckets(struct slice file);

/* ---- a file by hand ------------------------------------------------------ */

/* Buckets and pairs in order; tests that want bad ones make them so. */
struct hand {
    struct bolt_writer *writer;
    struct bolt_sink sink;
    struct buf file;
};
void hand_begin(struct hand *hand);
void hand_bucket(struct hand *hand, const char *name);
void hand_pair(struct hand *hand, struct slice key, struct slice value);
void hand_record(struct hand *hand, revision main, uint64_t sub,
                 const char *key, const char *value, revision create,
                 int64_t version);
void hand_tombstone(struct hand *hand, revision main, uint64_t sub,
                    const char *key);
void hand_lease(struct hand *hand, lease_id id, int64_t ttl_s,
                int64_t remaining_s);
void hand_rev(struct hand *hand, const char *name, revision main);
void hand_end(struct hand *hand);
void hand_free(struct hand *hand);

#endif
