#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "etcdb_world.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "mvcc/transfer.h"
#include "proto/pb.h"

/* ---- commands ------------------------------------------------------------ */

static void send(struct node_harness *at, struct command *command)
{
    enum err err;
    struct harness_write *write = node_harness_send(at, command, &err);
    assert_non_null(write);
    assert_int_equal(node_harness_run(at), ERR_OK);
    assert_true(write->done);
    assert_int_equal(write->request.err, ERR_OK);
    assert_int_equal(write->request.answer.error, V3_OK);
    node_harness_forget(at);
}

static void send_message(struct node_harness *at, enum command_type type,
                         struct buf *message)
{
    struct command command = {.type = type, .message = buf_slice(message)};
    send(at, &command);
    buf_deinit(message);
}

void put(struct node_harness *at, const char *key, struct slice value,
         lease_id lease)
{
    struct buf message = {0};
    pb_put_bytes(&message, 1, slice_str(key));
    pb_put_bytes(&message, 2, value);
    pb_put_i64(&message, 3, lease);
    send_message(at, COMMAND_PUT, &message);
}

void put_text(struct node_harness *at, const char *key, const char *value)
{
    put(at, key, slice_str(value), 0);
}

void delete_key(struct node_harness *at, const char *key)
{
    struct buf message = {0};
    pb_put_bytes(&message, 1, slice_str(key));
    send_message(at, COMMAND_DELETE_RANGE, &message);
}

void grant(struct node_harness *at, lease_id lease, int64_t ttl_s)
{
    struct buf message = {0};
    pb_put_i64(&message, 1, ttl_s);
    pb_put_i64(&message, 2, lease);
    send_message(at, COMMAND_LEASE_GRANT, &message);
}

void compact_at(struct node_harness *at, revision main)
{
    struct command command = {.type = COMMAND_COMPACT, .compact = main};
    send(at, &command);
}

void raise_alarm(struct node_harness *at, member_id member, uint32_t type)
{
    struct buf message = {0};
    pb_put_u64(&message, 1, 1); /* ACTIVATE */
    pb_put_u64(&message, 2, member);
    pb_put_u64(&message, 3, type);
    send_message(at, COMMAND_ALARM, &message);
}

static void append_op(struct buf *message, const char *change)
{
    struct buf op = {0}, body = {0};
    const char *equals = strchr(change, '=');
    size_t size = equals ? (size_t)(equals - change) : strlen(change) - 1;
    pb_put_bytes(&body, 1, slice_of(change, size));
    if (equals)
        pb_put_bytes(&body, 2, slice_str(equals + 1));
    pb_put_bytes_always(&op, equals ? 2 : 3, buf_slice(&body));
    pb_put_bytes_always(message, 2, buf_slice(&op));
    buf_deinit(&op);
    buf_deinit(&body);
}

void txn(struct node_harness *at, const char *const *changes)
{
    struct buf message = {0};
    for (; *changes; changes++)
        append_op(&message, *changes);
    send_message(at, COMMAND_TXN, &message);
}

void settle(struct node_harness *at)
{
    while (node_harness_next(at, HARNESS_SECOND_NS)) {
    }
}

/* ---- out and in ---------------------------------------------------------- */

struct memory_sink {
    struct buf *file;
    size_t fail_at;
    struct node_harness *at;
};

/* Never called under the lock. */
static enum err take(void *context, uint64_t offset, struct slice bytes)
{
    struct memory_sink *sink = context;
    size_t end = (size_t)offset + bytes.size;
    if (sink->at)
        assert_int_equal(sink->at->readers, 0);
    if (sink->fail_at > 0 && --sink->fail_at == 0)
        return err_set(ERR_DISK_FULL, "the sink is full");
    if (end > sink->file->size)
        buf_extend(sink->file, end - sink->file->size);
    memcpy(sink->file->at + offset, bytes.at, bytes.size);
    return ERR_OK;
}

enum err try_export(struct node_harness *at, struct buf *file, size_t fail_at)
{
    struct memory_sink memory = {file, fail_at, at};
    struct bolt_sink sink = {take, &memory};
    struct mvcc_reader *reader;
    uint64_t bytes = 0;
    buf_reset(file);
    assert_int_equal(mvcc_reader_new(node_mvcc(at->node), &reader), ERR_OK);
    struct etcdb_export config = {
        .node = at->node, .reader = reader, .sink = &sink};
    enum err err = etcdb_export(&config, &bytes);
    mvcc_reader_free(reader);
    if (err == ERR_OK)
        assert_int_equal(bytes, file->size);
    return err;
}

void export_to(struct node_harness *at, struct buf *file)
{
    enum err err = try_export(at, file, 0);
    if (err != ERR_OK)
        fail_msg("%s", err_note());
    assert_int_equal(file->size % 512, 0);
}

enum err try_import(struct node_harness *to, struct slice file,
                    const struct etcdb_import *change,
                    struct etcdb_imported *imported)
{
    static const struct node_member members[] = {
        {.id = WORLD_MEMBER,
         .name = {"new", 3},
         .peer_urls = {"http://new:2380", 15}}};
    struct snap_set *set;
    struct etcdb_import config = change ? *change : (struct etcdb_import){0};
    assert_int_equal(snap_set_open(to->kv, &set), ERR_OK);
    config.file = file;
    config.kv = snap_set_kv(set);
    config.index = config.index ? config.index : 1;
    config.term = config.term ? config.term : 1;
    config.cluster_id = WORLD_CLUSTER;
    config.members = config.members ? config.members : members;
    config.member_count = config.member_count ? config.member_count : 1;
    config.seed = 3;
    enum err err = etcdb_import(&config, imported);
    snap_set_close(set);
    if (err != ERR_OK)
        return err;
    struct node_founding_log log = {
        .disk = disk_memory_door(to->disk),
        .segment_bytes = to->config.wal_segment_bytes,
        .cluster_id = WORLD_CLUSTER,
        .member_id = WORLD_MEMBER,
        .index = config.index,
        .term = config.term,
    };
    return node_found_log(&log);
}

void import_into(struct node_harness *to, struct slice file,
                 const struct etcdb_import *change)
{
    struct etcdb_imported imported;
    if (try_import(to, file, change, &imported) != ERR_OK ||
        node_harness_open(to) != ERR_OK)
        fail_msg("%s", err_note());
    settle(to);
    assert_int_equal(imported.revision, node_harness_revision(to));
}

/* ---- asking -------------------------------------------------------------- */

static struct buf *next_answer(void)
{
    static struct buf answers[4];
    static size_t next;
    struct buf *answer = &answers[next++ % 4];
    buf_deinit(answer);
    *answer = (struct buf){0};
    return answer;
}

static void append_bytes(struct buf *out, struct slice bytes)
{
    bool is_text = true;
    for (size_t i = 0; i < bytes.size; i++)
        is_text &= bytes.at[i] >= 0x20 && bytes.at[i] < 0x7f;
    if (bytes.size > 100) {
        buf_printf(out, "%zu bytes, %" PRIx64, bytes.size,
                   slice_hash(bytes, 1));
        return;
    }
    for (size_t i = 0; i < bytes.size; i++)
        buf_printf(out, is_text ? "%c" : "%02x", (unsigned char)bytes.at[i]);
}

static void append_record(struct buf *out, const struct record *record)
{
    buf_printf(out, "%" PRId64 ".%" PRIu32 " ", record->rev.main,
               record->rev.sub);
    append_bytes(out, record->key);
    if (record->flags & MVCC_TOMBSTONE) {
        buf_append_str(out, "!\n");
        return;
    }
    buf_append_char(out, '=');
    append_bytes(out, record->value);
    buf_printf(out,
               " create %" PRId64 " version %" PRId64 " lease %" PRIx64 "\n",
               record->create, record->version, (uint64_t)record->lease);
}

enum { KEYS_MAX = 1000 };

struct told {
    struct node_harness *at;
    struct buf *out;
    struct told_key {
        enum mvcc_table table;
        struct slice key;
    } keys[KEYS_MAX];
    size_t count;
};

static void note_key(void *context, enum mvcc_table table, struct slice key)
{
    struct told *told = context;
    assert_true(told->count < KEYS_MAX);
    told->keys[told->count].table = table;
    told->keys[told->count++].key = key;
}

static int compare_keys(const void *a, const void *b)
{
    const struct told_key *left = a, *right = b;
    return slice_cmp(left->key, right->key);
}

/* Its keys in order: which of them was attached first is of no meaning. */
static void append_lease(void *context, lease_id id)
{
    struct told *told = context;
    const struct lease_table *table = node_leases(told->at->node);
    struct lease_info info;
    assert_true(lease_info(table, id, &info));
    buf_printf(told->out, "lease %" PRIx64 " of %" PRId64 ":", (uint64_t)id,
               info.granted_s);
    told->count = 0;
    lease_each_key(table, id, note_key, told);
    qsort(told->keys, told->count, sizeof *told->keys, compare_keys);
    for (size_t i = 0; i < told->count; i++) {
        buf_append_str(told->out,
                       told->keys[i].table == MVCC_KEYS ? " " : " dir:");
        append_bytes(told->out, told->keys[i].key);
    }
    buf_append_char(told->out, '\n');
}

static void append_hash(struct buf *out, struct mvcc_reader *reader,
                        revision current)
{
    struct txn_hash hash;
    enum v3_error error = V3_OK;
    assert_int_equal(txn_hash_begin(reader, 0, current, &hash, &error), ERR_OK);
    assert_int_equal(error, V3_OK);
    while (!hash.done)
        assert_int_equal(txn_hash_slice(&hash, reader, 100), ERR_OK);
    buf_printf(out, " hash %" PRIu32 "\n", hash.crc);
}

const char *whole(struct node_harness *at)
{
    struct buf *out = next_answer();
    static struct told told;
    struct mvcc_status status;
    struct mvcc_reader *reader;
    struct record record;
    struct rev from = {0};
    told = (struct told){.at = at, .out = out};
    mvcc_status(node_mvcc(at->node), &status);
    buf_printf(out, "revision %" PRId64 " compacted %" PRId64, status.current,
               status.compacted);
    assert_int_equal(mvcc_reader_new(node_mvcc(at->node), &reader), ERR_OK);
    mvcc_read_begin(reader);
    append_hash(out, reader, status.current);
    while (mvcc_kept(reader, from, &record) == ERR_OK) {
        if (record.table == MVCC_KEYS)
            append_record(out, &record);
        from = (struct rev){record.rev.main, record.rev.sub + 1};
    }
    mvcc_read_end(reader);
    mvcc_reader_free(reader);
    lease_each(node_leases(at->node), append_lease, &told);
    buf_append_char(out, '\0');
    return out->at;
}

static enum err append_pair(void *context, struct slice key, struct slice value)
{
    append_bytes(context, key);
    buf_append_char(context, '=');
    append_bytes(context, value);
    buf_append_char(context, '\n');
    return ERR_OK;
}

const char *bucket(struct slice file, const char *name)
{
    struct buf *out = next_answer();
    struct bolt bolt;
    struct bolt_bucket found;
    assert_int_equal(bolt_open(file, &bolt), ERR_OK);
    assert_int_equal(bolt_find(&bolt, slice_str(name), &found), ERR_OK);
    assert_int_equal(bolt_each(&found, append_pair, out), ERR_OK);
    buf_append_char(out, '\0');
    return out->at;
}

static enum err append_name(void *context, struct slice name,
                            const struct bolt_bucket *found)
{
    (void)found;
    append_bytes(context, name);
    buf_append_char(context, ' ');
    return ERR_OK;
}

const char *buckets(struct slice file)
{
    struct buf *out = next_answer();
    struct bolt bolt;
    assert_int_equal(bolt_open(file, &bolt), ERR_OK);
    assert_int_equal(bolt_each_bucket(&bolt, append_name, out), ERR_OK);
    buf_append_char(out, '\0');
    return out->at;
}

/* ---- a file by hand ------------------------------------------------------ */

static enum err take_hand(void *context, uint64_t offset, struct slice bytes)
{
    struct hand *hand = context;
    struct memory_sink memory = {.file = &hand->file};
    return take(&memory, offset, bytes);
}

void hand_begin(struct hand *hand)
{
    *hand = (struct hand){.sink = {take_hand, hand}};
    hand->writer = bolt_writer_new(&hand->sink, 4096);
}

void hand_bucket(struct hand *hand, const char *name)
{
    assert_int_equal(bolt_writer_bucket(hand->writer, slice_str(name)), ERR_OK);
}

void hand_pair(struct hand *hand, struct slice key, struct slice value)
{
    assert_int_equal(bolt_writer_put(hand->writer, key, value), ERR_OK);
}

void hand_record(struct hand *hand, revision main, uint64_t sub,
                 const char *key, const char *value, revision create,
                 int64_t version)
{
    char rev[ETCDB_REV_BYTES];
    struct buf body = {0};
    etcdb__put_rev(rev, main, sub);
    pb_put_bytes(&body, 1, slice_str(key));
    pb_put_i64(&body, 2, create);
    pb_put_i64(&body, 3, main);
    pb_put_i64(&body, 4, version);
    pb_put_bytes(&body, 5, slice_str(value));
    hand_pair(hand, slice_of(rev, sizeof rev), buf_slice(&body));
    buf_deinit(&body);
}

void hand_tombstone(struct hand *hand, revision main, uint64_t sub,
                    const char *key)
{
    char rev[ETCDB_TOMBSTONE_BYTES];
    struct buf body = {0};
    etcdb__put_rev(rev, main, sub);
    rev[ETCDB_REV_BYTES] = 't';
    pb_put_bytes(&body, 1, slice_str(key));
    hand_pair(hand, slice_of(rev, sizeof rev), buf_slice(&body));
    buf_deinit(&body);
}

void hand_lease(struct hand *hand, lease_id id, int64_t ttl_s,
                int64_t remaining_s)
{
    char key[8];
    struct buf body = {0};
    put_be64(key, (uint64_t)id);
    pb_put_i64(&body, 1, id);
    pb_put_i64(&body, 2, ttl_s);
    pb_put_i64(&body, 3, remaining_s);
    hand_pair(hand, slice_of(key, sizeof key), buf_slice(&body));
    buf_deinit(&body);
}

void hand_rev(struct hand *hand, const char *name, revision main)
{
    char rev[ETCDB_REV_BYTES];
    etcdb__put_rev(rev, main, 0);
    hand_pair(hand, slice_str(name), slice_of(rev, sizeof rev));
}

void hand_end(struct hand *hand)
{
    uint64_t bytes;
    assert_int_equal(bolt_writer_finish(hand->writer, 2, &bytes), ERR_OK);
    bolt_writer_free(hand->writer);
    hand->writer = NULL;
}

void hand_free(struct hand *hand)
{
    bolt_writer_free(hand->writer);
    buf_deinit(&hand->file);
}
