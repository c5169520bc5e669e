/* In: every byte of the file is distrusted.
 *
 *   1  meta      where it stands: the compaction, our own time
 *   2  lease     into a map, for the records
 *   3  key       in the order of revisions, each with the one that it replaces,
 *                which etcd's file doesn't say: a map of all keys tells
 *   4  the store's meta: members, leases; then its state
 *
 * A tombstone of a key that didn't live ended nothing and isn't taken. Every
 * revision above the compaction must have a record here: where none is left
 * of one (our own directories don't go out), a tombstone of no directory
 * stands for it, which nobody is shown.
 */
#include <inttypes.h>

#include "base/check.h"
#include "base/limits.h"
#include "base/map.h"
#include "etcdb/etcdb_int.h"
#include "mvcc/transfer.h"
#include "proto/pb.h"

enum {
    MISSING_MAX = 1000000,
    VALUE_BYTES_MAX = 1 << 30,
};
#define SECOND_NS INT64_C(1000000000)
#define REVISION_MAX (INT64_MAX / 4)

static const struct slice filler_key = {"\0", 1};

struct lease_in {
    lease_id id;
    int64_t ttl_s;
    int64_t remaining_s;
    struct lease_in *next;
};

/* A key and its newest record so far. */
struct key_in {
    struct slice key; /* in the file */
    struct rev rev;
    bool lives;
};

struct import {
    const struct etcdb_import *config;
    struct etcdb_imported *out;
    struct bolt bolt;
    struct mvcc_import *mvcc;
    struct arena arena;
    struct map keys;       /* of key_in */
    struct map_u64 leases; /* of lease_in */
    struct lease_in *first, **end;
    int64_t time_ns;
    bool is_ours; /* the file */
    revision compacted;
    bool finished;
    uint64_t auth_revision; /* 0: the file says none */
    struct rev last;        /* pair of the file */
    revision filled;        /* up to here every revision has a record, or is not
                        above the compaction */
    struct rev filler;
    size_t fillers;
};

/* ---- meta ---------------------------------------------------------------- */

static bool read_rev(struct slice bytes, struct rev *out)
{
    if (bytes.size < ETCDB_REV_BYTES || bytes.at[8] != '_')
        return false;
    uint64_t main = get_be64(bytes.at);
    uint64_t sub = get_be64(bytes.at + 9);
    if (main == 0 || main > REVISION_MAX || sub > UINT32_MAX - 1)
        return false;
    *out = (struct rev){(revision)main, (uint32_t)sub};
    return true;
}

static enum err read_meta(void *context, struct slice key, struct slice value)
{
    struct import *import = context;
    bool is_finished = slice_eq(key, ETCDB_FINISHED);
    struct rev rev;
    if (slice_eq(key, ETCDB_TIME) && value.size == 8) {
        import->time_ns = (int64_t)get_be64(value.at);
        import->is_ours = import->time_ns > 0;
        return import->is_ours ? ERR_OK
                               : err_set(ERR_CORRUPT, "its time is wrong");
    }
    if (!is_finished && !slice_eq(key, ETCDB_SCHEDULED))
        return ERR_OK;
    if (!read_rev(value, &rev))
        return err_set(ERR_CORRUPT, "its compacted revision is malformed");
    /* "finished" comes first. */
    if (!is_finished && rev.main > import->compacted)
        import->finished = false;
    if (rev.main > import->compacted)
        import->compacted = rev.main;
    return ERR_OK;
}

static enum err read_auth(void *context, struct slice key, struct slice value)
{
    struct import *import = context;
    if (slice_eq(key, ETCDB_AUTH_ENABLED)) {
        if (value.size != 1 || (unsigned char)*value.at > 1)
            return err_set(ERR_CORRUPT, "whether it is on is malformed");
        import->out->has_auth = *value.at != 0;
    } else if (slice_eq(key, ETCDB_AUTH_REVISION)) {
        if (value.size != 8 || (get_be64(value.at) >> 63) != 0)
            return err_set(ERR_CORRUPT, "its revision is malformed");
        import->auth_revision = get_be64(value.at);
    }
    return ERR_OK;
}

/* A bucket that isn't there is one without pairs. */
static enum err each_pair(struct import *import, struct slice name,
                          enum err (*each)(void *context, struct slice key,
                                           struct slice value))
{
    struct bolt_bucket bucket;
    enum err err = bolt_find(&import->bolt, name, &bucket);
    if (err == ERR_NOT_FOUND)
        return ERR_OK;
    if (err == ERR_OK)
        err = bolt_each(&bucket, each, import);
    return err_wrap(err, "bucket \"%.*s\"", (int)name.size, name.at);
}

/* ---- leases -------------------------------------------------------------- */

static bool decode_lease(struct slice bytes, struct lease_in *out)
{
    struct pb_reader reader;
    struct pb_field field;
    *out = (struct lease_in){0};
    pb_reader_init(&reader, bytes);
    while (pb_next(&reader, &field)) {
        if (field.type != PB_VARINT)
            continue;
        if (field.number == 1)
            out->id = (lease_id)field.value;
        else if (field.number == 2)
            out->ttl_s = (int64_t)field.value;
        else if (field.number == 3)
            out->remaining_s = (int64_t)field.value;
    }
    return !reader.failed && out->id != 0 && out->ttl_s >= 0 &&
           out->remaining_s >= 0;
}

static enum err read_lease(void *context, struct slice key, struct slice value)
{
    struct import *import = context;
    struct lease_in lease;
    if (key.size != 8 || !decode_lease(value, &lease) ||
        (uint64_t)lease.id != get_be64(key.at))
        return err_set(ERR_CORRUPT, "a lease is malformed");
    if (lease_is_v2(lease.id) && !import->is_ours)
        return err_set(ERR_UNSUPPORTED,
                       "lease %016" PRIx64 " has an id that is kept for the "
                       "TTLs of the v2 API here: revoke it, or let it end, "
                       "and take the snapshot again",
                       (uint64_t)lease.id);
    if (lease.ttl_s > LEASE_TTL_S_MAX)
        lease.ttl_s = LEASE_TTL_S_MAX;
    if (lease.remaining_s > lease.ttl_s)
        lease.remaining_s = lease.ttl_s;
    struct lease_in *kept = arena_dup(&import->arena, &lease, sizeof lease);
    map_u64_put(&import->leases, (uint64_t)lease.id, kept);
    *import->end = kept;
    import->end = &kept->next;
    return ERR_OK;
}

/* ---- records ------------------------------------------------------------- */

static enum err bad_record(struct rev rev, const char *why)
{
    return err_set(ERR_CORRUPT, "revision %" PRId64 "/%" PRIu32 ": %s",
                   rev.main, rev.sub, why);
}

static enum err write_filler(struct import *import, revision main)
{
    CHECK(main > import->filler.main && main > import->compacted);
    struct record record = {
        .table = MVCC_DIRS,
        .cause = MVCC_DELETE,
        .flags = MVCC_TOMBSTONE | MVCC_PART,
        .rev = {main, 0},
        .prev = import->filler,
        .time_ns = import->time_ns,
        .key = filler_key,
    };
    size_t most = import->config->missing_max;
    if (import->fillers++ == (most > 0 ? most : MISSING_MAX))
        return bad_record(record.rev, "too many revisions are missing");
    import->filler = record.rev;
    return mvcc_import_record(import->mvcc, &record);
}

/* From now on every revision up to `main` has a record. */
static enum err fill_to(struct import *import, revision main)
{
    enum err err = ERR_OK;
    while (err == ERR_OK && import->filled < main)
        err = write_filler(import, ++import->filled);
    return err;
}

static bool decode_record(struct slice bytes, struct record *out)
{
    struct pb_reader reader;
    struct pb_field field;
    revision mod = 0;
    pb_reader_init(&reader, bytes);
    while (pb_next(&reader, &field)) {
        if (field.number == 1 && field.type == PB_BYTES)
            out->key = field.bytes;
        else if (field.number == 2 && field.type == PB_VARINT)
            out->create = (revision)field.value;
        else if (field.number == 3 && field.type == PB_VARINT)
            mod = (revision)field.value;
        else if (field.number == 4 && field.type == PB_VARINT)
            out->version = (int64_t)field.value;
        else if (field.number == 5 && field.type == PB_BYTES)
            out->value = field.bytes;
        else if (field.number == 6 && field.type == PB_VARINT)
            out->lease = (lease_id)field.value;
    }
    return !reader.failed && (mod == 0 || mod == out->rev.main);
}

static enum err check_record(const struct record *record)
{
    if (record->key.size > LIMIT_REQUEST_BYTES_MAX ||
        record->value.size > VALUE_BYTES_MAX)
        return err_set(ERR_TOO_LARGE,
                       "revision %" PRId64 ": a key of %zu bytes and a value "
                       "of %zu",
                       record->rev.main, record->key.size, record->value.size);
    if (record->flags & MVCC_TOMBSTONE)
        return ERR_OK;
    if (record->create < 1 || record->create > record->rev.main ||
        record->version < 1)
        return bad_record(record->rev, "its key's life can't be");
    return ERR_OK;
}

/* What comes from etcd has nothing of v2; what comes from us may. */
static void set_expiry(struct import *import, struct record *record)
{
    if (!lease_is_v2(record->lease))
        return;
    const struct lease_in *lease =
        map_u64_get(&import->leases, (uint64_t)record->lease);
    if (lease != NULL)
        record->expire_ns = import->time_ns + lease->remaining_s * SECOND_NS;
}

/* Sets record->prev. False: there is nothing to be taken. */
static bool follow_key(struct import *import, struct record *record)
{
    struct key_in *known = map_get(&import->keys, record->key);
    bool is_dead = record->flags & MVCC_TOMBSTONE;
    bool is_compacted = record->rev.main <= import->compacted;
    if (is_compacted && (is_dead || known != NULL))
        import->finished = false;
    if (known == NULL) {
        if (is_dead)
            return false;
        known = arena_alloc(&import->arena, sizeof *known);
        *known = (struct key_in){.key = record->key};
        map_put(&import->keys, known);
    }
    if (is_dead && !known->lives)
        return false;
    /* A tombstone knows what it ended, and a new life doesn't know what was
     * before the tombstone. */
    record->prev = known->lives ? known->rev : (struct rev){0};
    CHECK(record->prev.main <= record->rev.main);
    known->rev = record->rev;
    known->lives = !is_dead;
    return true;
}

static enum err take_record(struct import *import, struct record *record)
{
    bool is_compacted = record->rev.main <= import->compacted;
    enum err err = ERR_OK;
    if (!is_compacted)
        err = fill_to(import, record->rev.main - 1);
    if (err != ERR_OK || !follow_key(import, record))
        return err;
    set_expiry(import, record);
    if (!is_compacted)
        import->filled = record->rev.main;
    import->out->records++;
    return mvcc_import_record(import->mvcc, record);
}

static enum err read_record(void *context, struct slice key, struct slice value)
{
    struct import *import = context;
    struct rev last = import->last;
    struct rev rev;
    bool is_dead =
        key.size == ETCDB_TOMBSTONE_BYTES && key.at[ETCDB_REV_BYTES] == 't';
    if (!read_rev(key, &rev) || (!is_dead && key.size != ETCDB_REV_BYTES))
        return err_set(ERR_CORRUPT, "a revision is malformed");
    if (rev.main == last.main && rev.sub <= last.sub)
        return bad_record(rev, "it is there twice");
    import->last = rev;
    struct record record = {
        .table = MVCC_KEYS,
        .rev = rev,
        .time_ns = import->time_ns,
    };
    if (!decode_record(value, &record))
        return bad_record(rev, "malformed");
    if (record.key.size == 0)
        return ERR_OK; /* made by --bump-revision: its number is all it is */
    if (is_dead)
        record = (struct record){.table = MVCC_KEYS,
                                 .cause = MVCC_DELETE_RANGE,
                                 .flags = MVCC_TOMBSTONE,
                                 .rev = rev,
                                 .time_ns = import->time_ns,
                                 .key = record.key};
    else
        record.cause = MVCC_PUT;
    enum err err = check_record(&record);
    return err == ERR_OK ? take_record(import, &record) : err;
}

/* ---- the end ------------------------------------------------------------- */

static enum err put_meta(void *context, struct slice name, struct slice value)
{
    struct import *import = context;
    return mvcc_import_meta(import->mvcc, name, value);
}

static enum err write_leases(struct import *import,
                             const struct node_founding *founding)
{
    enum err err = ERR_OK;
    for (const struct lease_in *lease = import->first;
         lease != NULL && err == ERR_OK; lease = lease->next) {
        import->out->leases++;
        if (!lease_is_v2(lease->id))
            err = node_found_lease(founding, lease->id, lease->ttl_s);
    }
    return err;
}

static enum err take_role(void *context, struct slice key, struct slice value)
{
    struct import *import = context;
    const struct auth_founding founding = {put_meta, import};
    if (++import->out->roles > AUTH_ROLES_MAX)
        return err_set(ERR_TOO_LARGE, "more than %d roles", AUTH_ROLES_MAX);
    return auth_found_role(&founding, key, value);
}

static enum err take_user(void *context, struct slice key, struct slice value)
{
    struct import *import = context;
    const struct auth_founding founding = {put_meta, import};
    if (++import->out->users > AUTH_USERS_MAX)
        return err_set(ERR_TOO_LARGE, "more than %d users", AUTH_USERS_MAX);
    return auth_found_user(&founding, key, value);
}

/* Tokens of the cluster that it was are worth nothing: they are of another
 * revision, and no member here knows them. */
static enum err write_auth(struct import *import)
{
    const struct auth_founding founding = {put_meta, import};
    enum err err = each_pair(import, ETCDB_ROLES, take_role);
    if (err == ERR_OK)
        err = each_pair(import, ETCDB_USERS, take_user);
    if (err == ERR_OK && (import->auth_revision > 0 || import->out->has_auth))
        err = auth_found_state(&founding, import->out->has_auth,
                               import->auth_revision + 1);
    return err;
}

static enum err write_meta(struct import *import)
{
    const struct etcdb_import *config = import->config;
    const struct node_founding founding = {put_meta, import};
    enum err err = write_auth(import);
    if (err == ERR_OK)
        err = write_leases(import, &founding);
    if (err == ERR_OK && config->cluster_id != 0)
        err = node_found_members(&founding, config->cluster_id, config->members,
                                 config->member_count);
    return err;
}

/* The import of mvcc is gone, whatever comes out. */
static enum err write_state(struct import *import)
{
    const struct etcdb_import *config = import->config;
    struct mvcc_import *mvcc = import->mvcc;
    struct mvcc_import_state state = {
        .current = import->last.main,
        .time_ns = import->time_ns,
        .compacted = import->compacted,
        .finished = import->finished,
        .applied_index = config->index,
        .applied_term = config->term,
    };
    if (state.current < 1)
        state.current = 1;
    if (state.current < state.compacted)
        state.current = state.compacted;
    state.current += config->bump;
    if (config->mark_compacted) {
        state.compacted = state.current;
        state.finished = false;
    }
    if (state.compacted > 0)
        state.compacted_time_ns = import->time_ns;
    import->out->revision = state.current;
    import->out->compacted = state.compacted;
    CHECK(state.current >= import->filler.main);
    CHECK(state.compacted <= state.current);
    import->mvcc = NULL;
    return mvcc_import_end(mvcc, &state);
}

static enum err read_file(struct import *import)
{
    enum err err = bolt_open(import->config->file, &import->bolt);
    if (err == ERR_OK)
        err = each_pair(import, ETCDB_META, read_meta);
    if (err == ERR_OK)
        err = each_pair(import, ETCDB_AUTH, read_auth);
    if (err == ERR_OK)
        err = each_pair(import, ETCDB_LEASE, read_lease);
    import->filled = import->compacted > 1 ? import->compacted : 1;
    if (err == ERR_OK)
        err = mvcc_import_begin(import->config->kv, &import->mvcc);
    if (err == ERR_OK)
        err = each_pair(import, ETCDB_KEY, read_record);
    /* The bumped ones have no records: they are compacted with the rest. */
    if (err == ERR_OK)
        err = fill_to(import, import->last.main);
    if (err == ERR_OK)
        err = write_meta(import);
    return err == ERR_OK ? write_state(import) : err;
}

static struct slice key_of(const void *value)
{
    return ((const struct key_in *)value)->key;
}

enum err etcdb_import(const struct etcdb_import *config,
                      struct etcdb_imported *out)
{
    struct import import = {
        .config = config,
        .out = out,
        .time_ns = config->time_ns,
        .finished = true,
    };
    CHECK(config->index > 0 && config->term > 0);
    CHECK(config->bump >= 0 && (config->bump == 0 || config->mark_compacted));
    *out = (struct etcdb_imported){0};
    if (config->bump > REVISION_MAX)
        return err_set(ERR_TOO_LARGE, "the revision can't grow by so much");
    import.end = &import.first;
    arena_init(&import.arena, 0);
    map_init(&import.keys, key_of, config->seed);
    map_u64_init_seeded(&import.leases, config->seed);
    enum err err = read_file(&import);
    mvcc_import_abort(import.mvcc);
    map_deinit(&import.keys);
    map_u64_deinit(&import.leases);
    arena_deinit(&import.arena);
    return err_wrap(err, "read the snapshot");
}
