/* Removing: a node with all that lies below it, and what a lease held.
 *
 * A commit that removes a directory is its tombstone, the head, and behind it
 * a tombstone for each key and directory below, so that a watcher of any of
 * them is told. A directory that is only implied has no record that could
 * end: it is given one in the same commit, as a part, before the head. */
#include "base/check.h"
#include "tree/tree_int.h"

#define SECOND_NS INT64_C(1000000000)

/* The lease of a v2 TTL, as its key's record tells of it. */
static void grant(struct tree *tree, lease_id lease, int64_t expire_ns,
                  int64_t time_ns)
{
    int64_t granted_s =
        expire_ns > time_ns ? (expire_ns - time_ns) / SECOND_NS : 0;
    lease_grant(tree->leases, lease, granted_s, expire_ns);
}

static void attach(struct tree *tree, const struct mvcc_put *put)
{
    CHECK(lease_is_v2(put->lease) && put->expire_ns != 0);
    grant(tree, put->lease, put->expire_ns, mvcc_begin_time_ns(tree->mvcc));
    lease_attach(tree->leases, put->lease, put->table, put->key);
}

void tree__detach(struct tree *tree, enum mvcc_table table, struct slice key)
{
    lease_id lease;
    if (lease_of_key(tree->leases, table, key, &lease))
        lease_detach(tree->leases, lease, table, key);
}

void tree__put(struct tree *tree, const struct mvcc_put *put)
{
    tree__detach(tree, put->table, put->key);
    mvcc_put(tree->mvcc, put);
    if (put->lease != 0)
        attach(tree, put);
}

void tree__end(struct tree *tree, enum mvcc_table table, struct slice key,
               enum mvcc_cause cause, uint32_t flags)
{
    tree__detach(tree, table, key);
    enum err err = mvcc_delete(tree->mvcc, table, key, cause, flags);
    CHECK_EQ(err, ERR_OK);
}

/* Keys that are not in the tree stay. The walk reads only the index, in
 * memory, at the present: it can't fail. */
static void end_all_below(struct tree *tree, enum mvcc_table table,
                          struct slice path, enum mvcc_cause cause)
{
    struct buf from = {0}, end = {0};
    struct mvcc_walk walk;
    struct slice key;
    struct rev rev;
    tree_range_below(path, &from, &end);
    enum err err = mvcc_walk_init(&walk, tree->reader, table, buf_slice(&from),
                                  buf_slice(&end), 0);
    while (err == ERR_OK) {
        err = mvcc_walk_next(&walk, &key, &rev);
        if (err == ERR_OK && tree__unclean_end(key, from.size) == 0)
            tree__end(tree, table, key, cause, MVCC_PART);
    }
    CHECK_EQ(err, ERR_END);
    buf_deinit(&from);
    buf_deinit(&end);
}

void tree__remove(struct tree *tree, const struct tree_node *node,
                  enum mvcc_cause cause)
{
    CHECK(!tree__is_root(node->key));
    if (!node->dir) {
        tree__end(tree, MVCC_KEYS, node->key, cause, 0);
        return;
    }
    if (node->implied)
        mvcc_put(tree->mvcc, &(struct mvcc_put){.table = MVCC_DIRS,
                                                .cause = cause,
                                                .flags = MVCC_PART,
                                                .key = node->key});
    tree__end(tree, MVCC_DIRS, node->key, cause, 0);
    end_all_below(tree, MVCC_KEYS, node->key, cause);
    end_all_below(tree, MVCC_DIRS, node->key, cause);
}

/* ---- expiry -------------------------------------------------------------- */

/* A copy of a lease's keys, one after the other: table, size, bytes. */
struct held {
    enum mvcc_table table;
    size_t size;
};

static void copy_key(void *context, enum mvcc_table table, struct slice key)
{
    struct held held = {table, key.size};
    buf_append(context, &held, sizeof held);
    buf_append_slice(context, key);
}

/* The end of a lease, by its time or by a client. */
struct ending {
    struct tree *tree;
    lease_id lease;
    enum mvcc_cause cause;
    int64_t time_ns;
};

/* One key's end. A key whose record knows nothing of this lease, or of an end
 * that is still to come, only leaves it. */
static enum err end_key(const struct ending *ending, enum mvcc_table table,
                        struct slice key, struct mvcc_commit **commit)
{
    struct tree *tree = ending->tree;
    lease_id lease = ending->lease;
    bool is_expiry = ending->cause == MVCC_EXPIRE;
    struct record record;
    struct tree_node node;
    enum err err = mvcc_get(tree->reader, table, key, 0, &record);
    *commit = NULL;
    if (err == ERR_NOT_FOUND ||
        (err == ERR_OK &&
         (record.lease != lease ||
          (is_expiry && record.expire_ns > ending->time_ns)))) {
        lease_detach(tree->leases, lease, table, key);
        return ERR_OK;
    }
    if (err != ERR_OK)
        return err;
    tree__node_of(&record, &node);
    node.key = key;
    mvcc_begin(tree->mvcc, ending->time_ns);
    tree__remove(tree, &node, ending->cause);
    *commit = mvcc_commit(tree->mvcc);
    CHECK(*commit != NULL);
    return ERR_OK;
}

static enum err end_lease(const struct ending *ending,
                          void (*on_commit)(void *context,
                                            struct mvcc_commit *commit),
                          void *context)
{
    struct lease_table *leases = ending->tree->leases;
    struct buf keys = {0};
    struct held held;
    enum err err = ERR_OK;
    lease_each_key(leases, ending->lease, copy_key, &keys);
    for (size_t at = 0; at < keys.size && err == ERR_OK; at += held.size) {
        struct mvcc_commit *commit = NULL;
        memcpy(&held, keys.at + at, sizeof held);
        at += sizeof held;
        err = end_key(ending, held.table, slice_of(keys.at + at, held.size),
                      &commit);
        if (commit != NULL)
            on_commit(context, commit);
    }
    buf_deinit(&keys);
    if (err == ERR_OK)
        lease_revoke(leases, ending->lease);
    return err;
}

enum err tree_expire(struct tree *tree, lease_id lease, int64_t time_ns,
                     void (*on_commit)(void *context,
                                       struct mvcc_commit *commit),
                     void *context)
{
    struct ending ending = {tree, lease, MVCC_EXPIRE, time_ns};
    int64_t expire_ns;
    if (!lease_get(tree->leases, lease, &expire_ns) || expire_ns > time_ns)
        return ERR_OK;
    return end_lease(&ending, on_commit, context);
}

enum err tree_revoke(struct tree *tree, lease_id lease, int64_t time_ns,
                     void (*on_commit)(void *context,
                                       struct mvcc_commit *commit),
                     void *context)
{
    struct ending ending = {tree, lease, MVCC_REVOKE, time_ns};
    return end_lease(&ending, on_commit, context);
}

/* ---- after a start ------------------------------------------------------- */

static void restore(void *context, const struct record *record)
{
    struct tree *tree = context;
    int64_t expire_ns;
    CHECK(record->lease != 0);
    if (record->expire_ns != 0)
        grant(tree, record->lease, record->expire_ns, record->time_ns);
    if (lease_get(tree->leases, record->lease, &expire_ns))
        lease_attach(tree->leases, record->lease, record->table, record->key);
}

enum err tree_restore_leases(struct tree *tree)
{
    return err_wrap(mvcc_each_leased(tree->reader, restore, tree),
                    "restore leases");
}
