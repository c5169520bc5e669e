/* Leases, as commands change them.
 *
 * A v2 TTL stands in its key's record and needs nothing more. A lease of v3
 * stands in the store's meta, so that it comes with a restart and with a
 * snapshot, its keys by their records:
 *
 *   lease/ID     le64 the seconds that were granted, le64 when it ends (ns)
 *
 * A lease that is over and still there may be kept alive: only a command ends
 * it, and what came first in the log, came first. */
#include "base/check.h"
#include "base/plant.h"
#include "node/node_int.h"

enum { LEASE_BYTES = 16 };
#define SECOND_NS INT64_C(1000000000)

/* etcd's least, for its default election timeout. It can't be this member's
 * own: all must come to the same. */
#define LEASE_TTL_S_MIN INT64_C(2)

static_assert(LEASE_TTL_S_MAX <= INT64_MAX / INT64_C(1000000000),
              "what is granted can be said in nanoseconds");

/* ---- in the store -------------------------------------------------------- */

static struct slice meta_name(lease_id id, char out[24])
{
    return node__meta_name("lease", (uint64_t)id, out);
}

static void put_meta(struct node *node, lease_id id, int64_t granted_s,
                     int64_t expire_ns)
{
    char name[24];
    char value[LEASE_BYTES];
    CHECK(!lease_is_v2(id));
    put_le64(value, (uint64_t)granted_s);
    put_le64(value + 8, (uint64_t)expire_ns);
    mvcc_meta_put(node->mvcc, meta_name(id, name),
                  slice_of(value, sizeof(value)));
}

static void remove_meta(struct node *node, lease_id id)
{
    char name[24];
    CHECK(!lease_is_v2(id));
    mvcc_meta_put(node->mvcc, meta_name(id, name), slice_of(NULL, 0));
}

static void load(void *context, struct slice name, struct slice value)
{
    struct node *node = context;
    size_t word = SLICE("lease/").size;
    if (name.size != word + 8 || value.size != LEASE_BYTES) {
        return; /* a newer version's */
    }
    lease_id id = (lease_id)get_be64(name.at + word);
    CHECK(!lease_is_v2(id));
    lease_grant(node->leases, id, (int64_t)get_le64(value.at),
                (int64_t)get_le64(value.at + 8));
}

enum err node__restore_leases(struct node *node)
{
    CHECK_EQ(lease_count(node->leases), 0);
    mvcc_meta_each(node->mvcc, SLICE("lease/"), load, node);
    mvcc_read_begin(node->reader);
    enum err err = tree_restore_leases(&node->tree);
    mvcc_read_end(node->reader);
    return err_wrap(err, "read the leases");
}

/* ---- granted, kept alive ------------------------------------------------- */

static int64_t end_of(int64_t ttl_s, int64_t time_ns)
{
    CHECK(ttl_s >= 0 && ttl_s <= LEASE_TTL_S_MAX);
    int64_t ttl_ns = ttl_s * SECOND_NS;
    return ttl_ns > INT64_MAX - time_ns ? INT64_MAX : time_ns + ttl_ns;
}

static enum v3_error check_grant(const struct node *node, lease_id id,
                                 int64_t ttl_s)
{
    int64_t expire_ns;
    if (id == 0) {
        return V3_LEASE_NOT_FOUND; /* as etcd's lessor says */
    }
    if (ttl_s > LEASE_TTL_S_MAX) {
        return V3_LEASE_TTL_TOO_LARGE;
    }
    if (lease_is_v2(id) || lease_get(node->leases, id, &expire_ns)) {
        return V3_LEASE_EXIST;
    }
    return lease_count(node->leases) < LIMIT_LEASES_MAX ? V3_OK : V3_NO_SPACE;
}

enum v3_error node__grant(struct node *node, lease_id id, int64_t ttl_s,
                          int64_t time_ns, int64_t *granted_s)
{
    enum v3_error error = check_grant(node, id, ttl_s);
    *granted_s = 0;
    if (error != V3_OK) {
        return error;
    }
    ttl_s = ttl_s < LEASE_TTL_S_MIN ? LEASE_TTL_S_MIN : ttl_s;
    int64_t expire_ns = end_of(ttl_s, time_ns);
    lease_grant(node->leases, id, ttl_s, expire_ns);
    put_meta(node, id, ttl_s, expire_ns);
    node__count(node, NODE_COUNTER(leases_granted), 1);
    *granted_s = ttl_s;
    return V3_OK;
}

/* The time of a v2 key is its own: it is moved by writing it. */
int64_t node__renew(struct node *node, lease_id id, int64_t time_ns)
{
    struct lease_info info;
    if (lease_is_v2(id) || !lease_info(node->leases, id, &info)) {
        return 0;
    }
    int64_t expire_ns = end_of(info.granted_s, time_ns);
    if (expire_ns > info.expire_ns) {
        lease_grant(node->leases, id, info.granted_s, expire_ns);
        if (!PLANTED(RENEWAL_FORGOTTEN)) {
            put_meta(node, id, info.granted_s, expire_ns);
        }
    }
    node__count(node, NODE_COUNTER(leases_renewed), 1);
    return info.granted_s;
}

/* ---- ended --------------------------------------------------------------- */

static enum err end_v3(struct node *node, lease_id id, enum mvcc_cause cause,
                       int64_t time_ns)
{
    struct mvcc_commit *commit = NULL;
    enum err err = txn_lease_end(&node->txn, id, cause, time_ns, &commit);
    if (err != ERR_OK) {
        CHECK(commit == NULL);
        return err;
    }
    if (commit != NULL) {
        const struct txn_count done = {.deletes = commit->count};
        node__count_operations(node, &done);
        node__add_commit(node, commit);
    }
    if (!PLANTED(REVOKE_FORGOTTEN) || cause != MVCC_REVOKE) {
        remove_meta(node, id);
    }
    return ERR_OK;
}

enum err node__revoke(struct node *node, lease_id id, int64_t time_ns,
                      enum v3_error *error)
{
    int64_t expire_ns;
    *error = V3_OK;
    if (!lease_get(node->leases, id, &expire_ns)) {
        *error = V3_LEASE_NOT_FOUND;
        return ERR_OK;
    }
    enum err err = lease_is_v2(id) ? tree_revoke(&node->tree, id, time_ns,
                                                 node__add_commit, node)
                                   : end_v3(node, id, MVCC_REVOKE, time_ns);
    if (err == ERR_OK) {
        CHECK(!lease_get(node->leases, id, &expire_ns));
        node__count(node, NODE_COUNTER(leases_revoked), 1);
    }
    return err;
}

/* What was kept alive meanwhile is left alone, the same on every member. */
static enum err expire(struct node *node, lease_id id, int64_t time_ns)
{
    int64_t expire_ns;
    if (!lease_get(node->leases, id, &expire_ns) || expire_ns > time_ns) {
        return ERR_OK;
    }
    node__count(node, NODE_COUNTER(leases_expired), 1);
    if (lease_is_v2(id)) {
        return tree_expire(&node->tree, id, time_ns, node__add_commit, node);
    }
    node__count(node, NODE_COUNTER(leases_revoked), 1);
    return end_v3(node, id, MVCC_EXPIRE, time_ns);
}

enum err node__apply_expire(struct node *node,
                            const struct expire_command *command,
                            int64_t time_ns)
{
    enum err err = ERR_OK;
    int64_t took_ns = node__peek_now_ns(node) - time_ns;
    node->expiry_took_ns = took_ns > 0 ? took_ns : 0;
    if (PLANTED(LEASE_EARLY)) {
        time_ns += NODE_PLANTED_EARLY_NS;
    }
    for (size_t i = 0; i < command->count && err == ERR_OK; i++) {
        err = expire(node, command->leases[i], time_ns);
    }
    return err;
}
