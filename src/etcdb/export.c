/* Out: the buckets in the order of their names, each from what was gathered
 * under the lock.
 *
 * At the beginning, under one hold of the lock, everything small is copied:
 * where the store stands, members, alarms, users, leases. The records come
 * after it, in pieces, up to the revision of then: those that exist at a
 * revision stay the same until the next compaction, and one that comes in
 * between is an error.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/check.h"
#include "etcdb/etcdb_int.h"
#include "mvcc/transfer.h"
#include "proto/pb.h"

enum {
    PIECE_RECORDS = 512, /* looked at in one hold of the lock, at most */
    PIECE_BYTES = 1024 * 1024,
    ALARMS_MAX = 256,
    ID_DIGITS = 16,
};
#define SECOND_NS INT64_C(1000000000)

struct outgoing {
    const struct etcdb_export *config;
    struct bolt_writer *writer;
    struct arena arena; /* what was gathered */
    struct mvcc_status status;
    struct node_position position;
    struct node_member *members;
    size_t member_count;
    struct node_alarm alarms[ALARMS_MAX];
    size_t alarm_count;
    struct buf auth; /* pairs, see append_pair */
    struct buf roles;
    struct buf users;
    struct buf leases;
    lease_id *lease_ids;
    size_t lease_count;
    struct buf piece; /* pairs */
    struct rev next;
    revision last; /* the newest that has a pair */
    bool done;
};

/* ---- pairs that wait for the writer -------------------------------------- */

/* le32 size of the key, le32 size of the value, both. */
static void append_pair(struct buf *out, struct slice key, struct slice value)
{
    char sizes[8];
    CHECK(key.size <= UINT32_MAX && value.size <= UINT32_MAX);
    put_le32(sizes, (uint32_t)key.size);
    put_le32(sizes + 4, (uint32_t)value.size);
    buf_append(out, sizes, sizeof sizes);
    buf_append_slice(out, key);
    buf_append_slice(out, value);
}

static enum err write_pairs(struct bolt_writer *writer, const struct buf *pairs)
{
    const char *at = pairs->at;
    const char *end = at + pairs->size;
    enum err err = ERR_OK;
    while (err == ERR_OK && at < end) {
        struct slice key = slice_of(at + 8, get_le32(at));
        struct slice value = slice_of(key.at + key.size, get_le32(at + 4));
        err = bolt_writer_put(writer, key, value);
        at = value.at + value.size;
    }
    return err;
}

/* ---- gathering ----------------------------------------------------------- */

static void note_lease(void *context, lease_id id)
{
    struct outgoing *out = context;
    out->lease_ids[out->lease_count++] = id;
}

static int compare_ids(const void *a, const void *b)
{
    uint64_t one = (uint64_t) * (const lease_id *)a;
    uint64_t other = (uint64_t) * (const lease_id *)b;
    return one < other ? -1 : one > other;
}

static void note_key(void *context, enum mvcc_table table, struct slice key)
{
    (void)key;
    *(bool *)context |= table == MVCC_KEYS;
}

/* A v2 TTL on a directory isn't told: etcd has no directories. */
static bool goes_out(const struct lease_table *table, lease_id id)
{
    bool has_key = false;
    if (!lease_is_v2(id))
        return true;
    lease_each_key(table, id, note_key, &has_key);
    return has_key;
}

static int64_t seconds_left(int64_t expire_ns, int64_t now_ns)
{
    int64_t left_ns = expire_ns > now_ns ? expire_ns - now_ns : 0;
    return left_ns / SECOND_NS + (left_ns % SECOND_NS != 0);
}

/* What is left is told as of the newest commit, whose time the file has. */
static void gather_lease(struct outgoing *out, lease_id id, struct buf *value)
{
    const struct lease_table *table = node_leases(out->config->node);
    struct lease_info info;
    char key[8];
    bool found = lease_info(table, id, &info);
    CHECK(found);
    if (!goes_out(table, id))
        return;
    int64_t left_s = seconds_left(info.expire_ns, out->status.time_ns);
    buf_reset(value);
    pb_put_i64(value, 1, id);
    /* A TTL of v2 may be of less than a second. */
    pb_put_i64(value, 2, info.granted_s > 0 ? info.granted_s : 1);
    pb_put_i64(value, 3, left_s);
    put_be64(key, (uint64_t)id);
    append_pair(&out->leases, slice_of(key, sizeof key), buf_slice(value));
}

static void gather_leases(struct outgoing *out)
{
    const struct lease_table *table = node_leases(out->config->node);
    struct buf value = {0};
    size_t count = lease_count(table);
    out->lease_ids = mem_alloc((count + 1) * sizeof *out->lease_ids);
    lease_each(table, note_lease, out);
    CHECK_EQ(out->lease_count, count);
    qsort(out->lease_ids, count, sizeof *out->lease_ids, compare_ids);
    for (size_t i = 0; i < count; i++)
        gather_lease(out, out->lease_ids[i], &value);
    buf_deinit(&value);
}

static bool gather_user(void *context, const struct auth_user *user)
{
    struct outgoing *out = context;
    struct buf value = {0};
    auth_user_encode(user, &value);
    append_pair(&out->users, user->name, buf_slice(&value));
    buf_deinit(&value);
    return true;
}

static bool gather_role(void *context, const struct auth_role *role)
{
    struct outgoing *out = context;
    struct buf value = {0};
    auth_role_encode(role, &value);
    append_pair(&out->roles, role->name, buf_slice(&value));
    buf_deinit(&value);
    return true;
}

/* A store that never had a user has nothing to say. */
static void gather_auth(struct outgoing *out)
{
    const struct auth *auth = node_auth(out->config->node);
    char revision_bytes[8];
    auth_users(auth, gather_user, out);
    auth_roles(auth, gather_role, out);
    if (auth_revision(auth) <= 1)
        return;
    put_be64(revision_bytes, auth_revision(auth));
    append_pair(&out->auth, ETCDB_AUTH_ENABLED,
                auth_is_on(auth) ? SLICE("\1") : SLICE("\0"));
    append_pair(&out->auth, ETCDB_AUTH_REVISION,
                slice_of(revision_bytes, sizeof revision_bytes));
}

/* Shared lock. */
static void gather(struct outgoing *out)
{
    struct node *node = out->config->node;
    mvcc_status(node_mvcc(node), &out->status);
    node_position(node, &out->position);
    out->member_count = node_members(node, &out->arena, &out->members);
    out->alarm_count = node_alarms(node, out->alarms, ALARMS_MAX);
    gather_leases(out);
    gather_auth(out);
    if (out->alarm_count > ALARMS_MAX)
        out->alarm_count = ALARMS_MAX;
    out->next = (struct rev){1, 0};
}

/* ---- records ------------------------------------------------------------- */

static void append_record(struct outgoing *out, const struct record *record,
                          struct buf *value)
{
    char key[ETCDB_TOMBSTONE_BYTES];
    bool is_dead = record->flags & MVCC_TOMBSTONE;
    etcdb__put_rev(key, record->rev.main, record->rev.sub);
    key[ETCDB_REV_BYTES] = 't';
    buf_reset(value);
    if (is_dead)
        pb_put_bytes(value, 1, record->key);
    else
        txn_key_value(value, record);
    append_pair(
        &out->piece,
        slice_of(key, is_dead ? ETCDB_TOMBSTONE_BYTES : ETCDB_REV_BYTES),
        buf_slice(value));
    out->last = record->rev.main;
}

/* etcd takes the newest pair's revision for its own. Where the newest commit
 * has only made directories, a tombstone of a key that never was stands for
 * it: etcd passes over it, but for its number. */
static void append_newest(struct outgoing *out, struct buf *value)
{
    struct record record = {
        .flags = MVCC_TOMBSTONE,
        .rev = {out->status.current, 0},
        .key = SLICE("\0"),
    };
    if (out->last < out->status.current && out->status.current > 1)
        append_record(out, &record, value);
}

/* Shared lock, reading. */
static enum err gather_records(struct outgoing *out, struct buf *value)
{
    struct mvcc_status status;
    struct record record;
    mvcc_status(node_mvcc(out->config->node), &status);
    CHECK(!out->done && status.current >= out->status.current);
    if (status.compacted != out->status.compacted)
        return err_set(ERR_COMPACTED,
                       "a compaction to revision %" PRId64
                       " has overtaken the snapshot",
                       status.compacted);
    for (size_t i = 0; i < PIECE_RECORDS && out->piece.size < PIECE_BYTES;
         i++) {
        enum err err = mvcc_kept(out->config->reader, out->next, &record);
        out->done = err == ERR_END ||
                    (err == ERR_OK && record.rev.main > out->status.current);
        if (out->done) {
            append_newest(out, value);
            return ERR_OK;
        }
        if (err != ERR_OK)
            return err;
        if (record.table == MVCC_KEYS)
            append_record(out, &record, value);
        out->next = (struct rev){record.rev.main, record.rev.sub + 1};
    }
    return ERR_OK;
}

static enum err write_records(struct outgoing *out)
{
    struct lock *lock = node_lock(out->config->node);
    struct buf value = {0};
    enum err err = ERR_OK;
    while (err == ERR_OK && !out->done) {
        buf_reset(&out->piece);
        lock_read(lock);
        mvcc_read_begin(out->config->reader);
        err = gather_records(out, &value);
        mvcc_read_end(out->config->reader);
        unlock_read(lock);
        if (err == ERR_OK)
            err = write_pairs(out->writer, &out->piece);
    }
    buf_deinit(&value);
    return err;
}

/* ---- the small buckets --------------------------------------------------- */

static enum err write_alarms(struct outgoing *out)
{
    struct buf key = {0};
    struct buf pairs = {0};
    for (size_t i = 0; i < out->alarm_count; i++) {
        buf_reset(&key);
        pb_put_u64(&key, 1, out->alarms[i].member);
        pb_put_u64(&key, 2, out->alarms[i].type);
        append_pair(&pairs, buf_slice(&key), SLICE(""));
    }
    enum err err = write_pairs(out->writer, &pairs);
    buf_deinit(&key);
    buf_deinit(&pairs);
    return err;
}

/* The version that all in the cluster have. With it etcd 3.4 starts, and every
 * later one goes on from there. */
static enum err write_cluster(struct outgoing *out)
{
    return bolt_writer_put(out->writer, SLICE("clusterVersion"),
                           SLICE("3.4.0"));
}

static void append_json_text(struct buf *out, struct slice text)
{
    buf_append_char(out, '"');
    for (size_t i = 0; i < text.size; i++) {
        unsigned char c = (unsigned char)text.at[i];
        if (c == '"' || c == '\\' || c < 0x20)
            buf_printf(out, "\\u%04x", c);
        else
            buf_append_char(out, (char)c);
    }
    buf_append_char(out, '"');
}

/* `joined` with ',' as an array. */
static void append_json_list(struct buf *out, struct slice joined)
{
    size_t begin = 0;
    buf_append_char(out, '[');
    for (size_t i = 0; i <= joined.size && joined.size > 0; i++) {
        if (i < joined.size && joined.at[i] != ',')
            continue;
        if (begin > 0)
            buf_append_char(out, ',');
        append_json_text(out, slice_of(joined.at + begin, i - begin));
        begin = i + 1;
    }
    buf_append_char(out, ']');
}

static void append_member(struct buf *pairs, const struct node_member *member)
{
    struct buf json = {0};
    char key[ID_DIGITS + 1];
    int size =
        snprintf(key, sizeof key, "%llx", (unsigned long long)member->id);
    buf_printf(&json,
               "{\"id\":%llu,\"peerURLs\":", (unsigned long long)member->id);
    append_json_list(&json, member->peer_urls);
    if (member->is_learner)
        buf_append_str(&json, ",\"isLearner\":true");
    if (member->name.size > 0) {
        buf_append_str(&json, ",\"name\":");
        append_json_text(&json, member->name);
    }
    if (member->client_urls.size > 0) {
        buf_append_str(&json, ",\"clientURLs\":");
        append_json_list(&json, member->client_urls);
    }
    buf_append_char(&json, '}');
    append_pair(pairs, slice_of(key, (size_t)size), buf_slice(&json));
    buf_deinit(&json);
}

/* By their text, as the bucket is. */
static int compare_members(const void *a, const void *b)
{
    const struct node_member *one = a, *other = b;
    char texts[2][ID_DIGITS + 1];
    snprintf(texts[0], sizeof texts[0], "%llx", (unsigned long long)one->id);
    snprintf(texts[1], sizeof texts[1], "%llx", (unsigned long long)other->id);
    return strcmp(texts[0], texts[1]);
}

static enum err write_members(struct outgoing *out)
{
    struct buf pairs = {0};
    qsort(out->members, out->member_count, sizeof *out->members,
          compare_members);
    for (size_t i = 0; i < out->member_count; i++)
        append_member(&pairs, &out->members[i]);
    enum err err = write_pairs(out->writer, &pairs);
    buf_deinit(&pairs);
    return err;
}

static void append_ids(struct buf *json, const struct outgoing *out,
                       bool learners, const char *name)
{
    const char *before = "[";
    for (size_t i = 0; i < out->member_count; i++) {
        if (out->members[i].is_learner != learners)
            continue;
        if (*before == '[')
            buf_printf(json, "\"%s\":", name);
        buf_printf(json, "%s%llu", before,
                   (unsigned long long)out->members[i].id);
        before = ",";
    }
    if (*before == ',')
        buf_append_str(json, "],");
}

static enum err put_u64(struct outgoing *out, struct slice name,
                        uint64_t number)
{
    char bytes[8];
    put_be64(bytes, number);
    return bolt_writer_put(out->writer, name, slice_of(bytes, sizeof bytes));
}

static enum err put_compacted(struct outgoing *out, struct slice name)
{
    char bytes[ETCDB_REV_BYTES];
    if (out->status.compacted == 0)
        return ERR_OK;
    etcdb__put_rev(bytes, out->status.compacted, 0);
    return bolt_writer_put(out->writer, name, slice_of(bytes, sizeof bytes));
}

/* With confState and term 3.6 takes it for a file of 3.5. */
static enum err write_meta(struct outgoing *out)
{
    struct buf json = {0};
    buf_append_char(&json, '{');
    append_ids(&json, out, false, "voters");
    append_ids(&json, out, true, "learners");
    buf_append_str(&json, "\"auto_leave\":false}");
    enum err err =
        bolt_writer_put(out->writer, ETCDB_CONF_STATE, buf_slice(&json));
    buf_deinit(&json);
    if (err == ERR_OK)
        err = put_u64(out, ETCDB_INDEX, out->position.applied);
    if (err == ERR_OK && out->status.time_ns > 0)
        err = put_u64(out, ETCDB_TIME, (uint64_t)out->status.time_ns);
    if (err == ERR_OK)
        err = put_compacted(out, ETCDB_FINISHED);
    if (err == ERR_OK)
        err = put_compacted(out, ETCDB_SCHEDULED);
    return err == ERR_OK ? put_u64(out, ETCDB_TERM, out->position.term) : err;
}

static enum err write_leases(struct outgoing *out)
{
    return write_pairs(out->writer, &out->leases);
}

static enum err write_auth(struct outgoing *out)
{
    return write_pairs(out->writer, &out->auth);
}

static enum err write_roles(struct outgoing *out)
{
    return write_pairs(out->writer, &out->roles);
}

static enum err write_users(struct outgoing *out)
{
    return write_pairs(out->writer, &out->users);
}

static enum err write_nothing(struct outgoing *out)
{
    (void)out;
    return ERR_OK;
}

/* All that etcd makes when it starts with nothing, by their names. */
static const struct {
    const char *name;
    enum err (*write)(struct outgoing *out);
} buckets[] = {
    {"alarm", write_alarms},
    {"auth", write_auth},
    {"authRoles", write_roles},
    {"authUsers", write_users},
    {"cluster", write_cluster},
    {"key", write_records},
    {"lease", write_leases},
    {"members", write_members},
    {"members_removed", write_nothing},
    {"meta", write_meta},
};

static enum err write_buckets(struct outgoing *out, uint64_t *bytes)
{
    enum err err = ERR_OK;
    for (size_t i = 0; i < sizeof buckets / sizeof *buckets && err == ERR_OK;
         i++) {
        err = bolt_writer_bucket(out->writer, slice_str(buckets[i].name));
        if (err == ERR_OK)
            err = buckets[i].write(out);
    }
    return err == ERR_OK ? bolt_writer_finish(out->writer,
                                              out->position.applied + 2, bytes)
                         : err;
}

enum err etcdb_export(const struct etcdb_export *config, uint64_t *bytes)
{
    struct outgoing out = {.config = config};
    struct lock *lock = node_lock(config->node);
    arena_init(&out.arena, 0);
    *bytes = 0;
    CHECK(config->reader != NULL && config->sink->write != NULL);
    lock_read(lock);
    gather(&out);
    unlock_read(lock);
    out.writer = bolt_writer_new(config->sink, ETCDB_PAGE_BYTES);
    enum err err = write_buckets(&out, bytes);
    bolt_writer_free(out.writer);
    buf_deinit(&out.auth);
    buf_deinit(&out.roles);
    buf_deinit(&out.users);
    buf_deinit(&out.leases);
    buf_deinit(&out.piece);
    mem_free(out.lease_ids);
    arena_deinit(&out.arena);
    return err_wrap(err, "snapshot");
}
