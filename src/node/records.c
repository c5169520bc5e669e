/* Who belongs to the cluster, as the store has it, by these names of meta:
 *
 *   membership     raft_members_encode
 *   change         le64: the entry of the last change; none: this member has
 *                  only its own word for the membership
 *   address/ID     u8 flags (1: standby), then the peer URLs
 *   member/ID      varint size and name, then the client URLs: what the
 *                  member has published
 *   removed/ID     it was a member once
 *   time           le64: of the newest entry that made no commit, where there
 *                  are others than this member
 *   cluster        le64 active size, le64 remove delay, le64 sync interval
 *                  (both in microseconds); 0: not set
 *
 * ID is big endian. They change with the applied index, in one transaction.
 *
 * The data of an entry of type CHANGE, behind the membership:
 *   Note { 1: is_all  2: Member, repeated  3: from (fixed64)  4: number }
 *   Member { 1: id  2: name  3: peer_urls  4: client_urls  5: is_standby }
 */
#include "base/check.h"
#include "node/node_int.h"
#include "proto/pb.h"

enum { FLAG_STANDBY = 1, CLUSTER_BYTES = 24 };

struct slice node__meta_name(const char *word, member_id id, char out[24])
{
    size_t size = strlen(word);
    CHECK(id != 0);
    CHECK_LT(size + 1 + 8, 24);
    memcpy(out, word, size);
    out[size] = '/';
    put_be64(out + size + 1, id);
    return slice_of(out, size + 9);
}

/* ---- a change's data ----------------------------------------------------- */

static void encode_member(struct buf *out, const struct node_member *member)
{
    struct buf body = {0};
    CHECK(member->id != 0);
    pb_put_u64(&body, 1, member->id);
    pb_put_bytes(&body, 2, member->name);
    pb_put_bytes(&body, 3, member->peer_urls);
    pb_put_bytes(&body, 4, member->client_urls);
    pb_put_bool(&body, 5, member->is_standby);
    pb_put_bytes_always(out, 2, buf_slice(&body));
    buf_deinit(&body);
}

struct refbuf *node__change_encode(const struct raft_members *members,
                                   const struct node_change_note *note)
{
    struct buf out = {0};
    char origin[COMMAND_ORIGIN_BYTES_MAX];
    raft_members_encode(members, &out);
    pb_put_bool(&out, 1, note->is_all);
    for (size_t i = 0; i < note->count; i++) {
        encode_member(&out, &note->members[i]);
    }
    if (note->from != 0) {
        buf_append(&out, origin,
                   command_origin_encode(note->from, note->number, origin));
    }
    struct refbuf *data = refbuf_dup(out.at, out.size);
    buf_deinit(&out);
    return data;
}

static bool decode_member(struct slice bytes, struct node_member *out)
{
    struct pb_reader reader;
    struct pb_field field;
    *out = (struct node_member){0};
    pb_reader_init(&reader, bytes);
    while (pb_next(&reader, &field)) {
        if (field.number == 1 && field.type == PB_VARINT) {
            out->id = field.value;
        } else if (field.number == 2 && field.type == PB_BYTES) {
            out->name = field.bytes;
        } else if (field.number == 3 && field.type == PB_BYTES) {
            out->peer_urls = field.bytes;
        } else if (field.number == 4 && field.type == PB_BYTES) {
            out->client_urls = field.bytes;
        } else if (field.number == 5 && field.type == PB_VARINT) {
            out->is_standby = field.value != 0;
        }
    }
    return !reader.failed && out->id != 0;
}

enum err node__change_decode(struct slice rest, struct arena *arena,
                             struct node_change_note *out)
{
    struct pb_reader reader;
    struct pb_field field;
    bool good = true;
    *out = (struct node_change_note){0};
    pb_reader_init(&reader, rest);
    while (good && pb_next(&reader, &field)) {
        if (field.number == 1 && field.type == PB_VARINT) {
            out->is_all = field.value != 0;
        } else if (field.number == 2 && field.type == PB_BYTES) {
            if (out->members == NULL) {
                out->members = arena_alloc(arena, 2 * RAFT_MEMBERS_MAX *
                                                      sizeof(*out->members));
            }
            good = out->count < 2 * RAFT_MEMBERS_MAX &&
                   decode_member(field.bytes, &out->members[out->count]);
            out->count++;
        } else if (field.number == 3 && field.type == PB_FIXED64) {
            out->from = field.value;
        } else if (field.number == 4 && field.type == PB_VARINT) {
            out->number = field.value;
        }
    }
    if (!good || reader.failed) {
        return err_set(ERR_CORRUPT, "a change of membership is malformed");
    }
    return ERR_OK;
}

/* ---- into the store ------------------------------------------------------ */

void node__put_membership(struct node *node, const struct raft_members *members)
{
    struct buf value = {0};
    raft_members_encode(members, &value);
    mvcc_meta_put(node->mvcc, SLICE("membership"), buf_slice(&value));
    buf_deinit(&value);
    node->stored = *members;
    node->members_dirty = true;
}

void node__remove_meta(struct node *node, const char *word, member_id id)
{
    char name[24];
    struct slice found;
    struct slice whole = node__meta_name(word, id, name);
    if (mvcc_meta_get(node->mvcc, whole, &found)) {
        mvcc_meta_put(node->mvcc, whole, slice_of(NULL, 0));
    }
}

void node__address_encode(struct buf *out, const struct node_member *member)
{
    buf_append_char(out, member->is_standby ? FLAG_STANDBY : 0);
    buf_append_slice(out, member->peer_urls);
}

void node__put_address(struct node *node, const struct node_member *member)
{
    char name[24];
    struct buf value = {0};
    node__address_encode(&value, member);
    mvcc_meta_put(node->mvcc, node__meta_name("address", member->id, name),
                  buf_slice(&value));
    buf_deinit(&value);
}

void node__published_encode(struct buf *out, struct slice name,
                            struct slice client_urls)
{
    char size[VARINT_BYTES_MAX];
    buf_append(out, size, put_varint(size, name.size));
    buf_append_slice(out, name);
    buf_append_slice(out, client_urls);
}

void node__put_published(struct node *node, member_id id, struct slice name,
                         struct slice client_urls)
{
    char meta[24];
    struct buf value = {0};
    node__published_encode(&value, name, client_urls);
    mvcc_meta_put(node->mvcc, node__meta_name("member", id, meta),
                  buf_slice(&value));
    buf_deinit(&value);
}

void node__put_member(struct node *node, const struct node_member *member)
{
    node__put_address(node, member);
    if (member->name.size > 0 || member->client_urls.size > 0) {
        node__put_published(node, member->id, member->name,
                            member->client_urls);
    } else {
        node__remove_meta(node, "member", member->id);
    }
}

/* ---- out of the store ---------------------------------------------------- */

void node__add_ids(member_id *out, size_t *count, const member_id *ids,
                   size_t id_count)
{
    for (size_t i = 0; i < id_count; i++) {
        size_t at = 0;
        while (at < *count && out[at] < ids[i]) {
            at++;
        }
        if (at < *count && out[at] == ids[i]) {
            continue;
        }
        CHECK_LT(*count, 2 * RAFT_MEMBERS_MAX);
        memmove(out + at + 1, out + at, (*count - at) * sizeof(*out));
        out[at] = ids[i];
        (*count)++;
    }
}

/* Everybody, once, by id. */
size_t node__member_ids(const struct raft_members *members,
                        member_id out[RAFT_MEMBERS_MAX * 2])
{
    size_t count = 0;
    CHECK_LE(members->voter_count, RAFT_MEMBERS_MAX);
    CHECK_LE(members->outgoing_count, RAFT_MEMBERS_MAX);
    CHECK_LE(members->learner_count, RAFT_MEMBERS_MAX);
    node__add_ids(out, &count, members->voters, members->voter_count);
    node__add_ids(out, &count, members->outgoing, members->outgoing_count);
    node__add_ids(out, &count, members->learners, members->learner_count);
    return count;
}

void node__read_address(const struct node *node, member_id id,
                        struct slice *peer_urls, bool *is_standby)
{
    char name[24];
    struct slice value;
    *peer_urls = SLICE("");
    *is_standby = false;
    if (mvcc_meta_get(node->mvcc, node__meta_name("address", id, name),
                      &value) &&
        value.size > 0) {
        *is_standby = value.at[0] & FLAG_STANDBY;
        *peer_urls = slice_of(value.at + 1, value.size - 1);
    }
}

static void read_published(const struct node *node, member_id id,
                           struct slice *name, struct slice *client_urls)
{
    char meta[24];
    struct slice value;
    uint64_t size;
    *name = *client_urls = SLICE("");
    if (!mvcc_meta_get(node->mvcc, node__meta_name("member", id, meta),
                       &value)) {
        return;
    }
    const char *at = value.at;
    const char *end = value.at + value.size;
    if (get_varint(&at, end, &size) && size <= (uint64_t)(end - at)) {
        *name = slice_of(at, (size_t)size);
        *client_urls = slice_of(at + size, (size_t)(end - at) - (size_t)size);
    }
}

static struct slice copy(struct arena *arena, struct slice slice)
{
    return slice_of(arena_dup(arena, slice.at, slice.size), slice.size);
}

bool node_member(struct node *node, member_id id, struct arena *arena,
                 struct node_member *out)
{
    const struct raft_members *stored = &node->stored;
    *out = (struct node_member){.id = id};
    if (id == 0 || !raft_members_have(stored, id)) {
        return false;
    }
    node__read_address(node, id, &out->peer_urls, &out->is_standby);
    read_published(node, id, &out->name, &out->client_urls);
    out->is_learner = !raft_members_votes(stored, id);
    out->is_standby = out->is_standby && out->is_learner;
    out->name = copy(arena, out->name);
    out->peer_urls = copy(arena, out->peer_urls);
    out->client_urls = copy(arena, out->client_urls);
    return true;
}

size_t node_members(struct node *node, struct arena *arena,
                    struct node_member **out)
{
    member_id ids[2 * RAFT_MEMBERS_MAX];
    size_t count = node__member_ids(&node->stored, ids);
    *out = arena_alloc(arena, (count + 1) * sizeof(**out));
    for (size_t i = 0; i < count; i++) {
        bool found = node_member(node, ids[i], arena, &(*out)[i]);
        CHECK(found);
    }
    return count;
}

bool node_member_removed(struct node *node, member_id id)
{
    char name[24];
    struct slice value;
    return id != 0 &&
           mvcc_meta_get(node->mvcc, node__meta_name("removed", id, name),
                         &value);
}

static uint64_t microseconds(double seconds)
{
    return seconds > 0 ? (uint64_t)(seconds * 1e6) : 0;
}

static uint64_t either(uint64_t stored, uint64_t other)
{
    return stored != 0 ? stored : other;
}

static void load_cluster(struct node *node)
{
    const struct node_cluster_config *config = &node->config.cluster;
    struct slice value;
    uint64_t stored[3] = {0};
    if (mvcc_meta_get(node->mvcc, SLICE("cluster"), &value) &&
        value.size == CLUSTER_BYTES) {
        for (size_t i = 0; i < 3; i++) {
            stored[i] = get_le64(value.at + 8 * i);
        }
    }
    atomic_store(&node->active_size, either(stored[0], config->active_size));
    atomic_store(&node->remove_delay_us,
                 either(stored[1], microseconds(config->remove_delay_s)));
    atomic_store(&node->sync_interval_us,
                 either(stored[2], microseconds(config->sync_interval_s)));
}

static double seconds_of(uint64_t microseconds, double unset, double least)
{
    double seconds = microseconds == 0 ? unset : (double)microseconds / 1e6;
    return seconds < least ? least : seconds;
}

void node_cluster_config(struct node *node, struct node_cluster_config *out)
{
    uint64_t size = atomic_load(&node->active_size);
    *out = (struct node_cluster_config){
        .active_size = size == 0  ? 9
                       : size < 3 ? 3
                                  : size,
        .remove_delay_s = seconds_of(atomic_load(&node->remove_delay_us), 1800,
                                     node->config.remove_delay_min_s),
        .sync_interval_s =
            seconds_of(atomic_load(&node->sync_interval_us), 5, 1),
    };
}

enum err node__load_members(struct node *node)
{
    struct slice value;
    struct slice rest;
    enum err err = ERR_OK;
    node->stored = (struct raft_members){0};
    node->change_index = 0;
    node->members_dirty = true;
    if (mvcc_meta_get(node->mvcc, SLICE("membership"), &value)) {
        err = raft_members_decode(value, &node->stored, &rest);
    }
    if (mvcc_meta_get(node->mvcc, SLICE("change"), &value) && value.size == 8) {
        node->change_index = get_le64(value.at);
    }
    load_cluster(node);
    return err_wrap(err, "the store's membership");
}

/* ---- what members and people say ---- */

/* Of a member that is one no more, nothing is kept. */
void node__apply_publish(struct node *node,
                         const struct publish_command *publish)
{
    if (raft_members_have(&node->stored, publish->member)) {
        node__put_published(node, publish->member, publish->name,
                            publish->client_urls);
    }
}

void node__apply_cluster(struct node *node,
                         const struct cluster_command *cluster)
{
    char bytes[CLUSTER_BYTES] = {0};
    struct slice before;
    if (mvcc_meta_get(node->mvcc, SLICE("cluster"), &before) &&
        before.size == CLUSTER_BYTES) {
        memcpy(bytes, before.at, CLUSTER_BYTES);
    }
    /* 0 is less than all of them may be, and stands for "not set". */
    if (cluster->has_active_size) {
        put_le64(bytes, either(cluster->active_size, 1));
    }
    if (cluster->has_remove_delay) {
        put_le64(bytes + 8, either(cluster->remove_delay_us, 1));
    }
    if (cluster->has_sync_interval) {
        put_le64(bytes + 16, either(cluster->sync_interval_us, 1));
    }
    mvcc_meta_put(node->mvcc, SLICE("cluster"), slice_of(bytes, CLUSTER_BYTES));
    load_cluster(node);
    node->upkeep_due_ms = node->now_ms;
}
