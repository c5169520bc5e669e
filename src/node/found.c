/* A member that begins with a store from elsewhere: what its store and its log
 * must hold, so that node_open takes it for one that has stopped. */
#include "base/check.h"
#include "node/node_int.h"

enum { LEASE_BYTES = 16 };

/* ---- members, as members.c and records.c keep them ----------------------- */

static enum err put(const struct node_founding *founding, struct slice name,
                    struct slice value)
{
    CHECK(value.at != NULL);
    return founding->put(founding->context, name, value);
}

static enum err put_member(const struct node_founding *founding,
                           const struct node_member *member)
{
    char name[24];
    struct buf value = {0};
    CHECK(member->id != 0);
    node__address_encode(&value, member);
    enum err err = put(founding, node__meta_name("address", member->id, name),
                       buf_slice(&value));
    if (err == ERR_OK && (member->name.size > 0 || member->client_urls.size)) {
        buf_reset(&value);
        node__published_encode(&value, member->name, member->client_urls);
        err = put(founding, node__meta_name("member", member->id, name),
                  buf_slice(&value));
    }
    buf_deinit(&value);
    return err;
}

static enum err put_membership(const struct node_founding *founding,
                               const struct raft_members *members)
{
    struct buf value = {0};
    raft_members_encode(members, &value);
    enum err err = put(founding, SLICE("membership"), buf_slice(&value));
    buf_deinit(&value);
    return err;
}

enum err node_found_members(const struct node_founding *founding,
                            uint64_t cluster_id,
                            const struct node_member *members,
                            size_t member_count)
{
    struct raft_members raft = {0};
    char id[8];
    enum err err = ERR_OK;
    CHECK(cluster_id != 0 && member_count > 0);
    CHECK_LE(member_count, RAFT_MEMBERS_MAX);
    for (size_t i = 0; i < member_count && err == ERR_OK; i++) {
        const struct node_member *member = &members[i];
        node__add_ids(member->is_learner ? raft.learners : raft.voters,
                      member->is_learner ? &raft.learner_count
                                         : &raft.voter_count,
                      &member->id, 1);
        err = put_member(founding, member);
    }
    put_be64(id, cluster_id);
    if (err == ERR_OK)
        err = put(founding, SLICE("identity"), slice_of(id, sizeof(id)));
    return err == ERR_OK ? put_membership(founding, &raft) : err;
}

/* ---- leases, as leases.c keeps them -------------------------------------- */

enum err node_found_lease(const struct node_founding *founding, lease_id id,
                          int64_t ttl_s)
{
    char name[24];
    char value[LEASE_BYTES];
    CHECK(id != 0 && !lease_is_v2(id));
    CHECK(ttl_s >= 0 && ttl_s <= LEASE_TTL_S_MAX);
    put_le64(value, (uint64_t)ttl_s);
    put_le64(value + 8, NODE_LEASE_WAITS);
    return put(founding, node__meta_name("lease", (uint64_t)id, name),
               slice_of(value, sizeof(value)));
}

/* ---- the log ------------------------------------------------------------- */

enum err node_found_log(const struct node_founding_log *log)
{
    struct wal *wal;
    struct wal_config config = {
        .disk = log->disk,
        .cluster_id = log->cluster_id,
        .member_id = log->member_id,
        .segment_bytes = log->segment_bytes,
    };
    struct raft_hard_state hard = {.term = log->term, .commit = log->index};
    CHECK(log->cluster_id != 0 && log->member_id != 0);
    CHECK(log->index != 0 && log->term != 0);
    enum err err =
        node__identity_write(log->disk, log->cluster_id, log->member_id);
    if (err == ERR_OK)
        err = wal_create(&config, &wal);
    if (err == ERR_OK) {
        err = wal_reset(wal, log->index, log->term, &hard);
        wal_close(wal);
    }
    return err_wrap(err, "make the log");
}
