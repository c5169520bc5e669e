/* Thousands of crashes of a node, against a naive twin that keeps what was
 * answered in an array.
 *
 * A round is a batch of random writes. The disk, the kv file or nothing fails
 * on its way; then the machine crashes or not; and the store is compared with
 * the twin, key by key, each with its value and revision:
 *
 *   - what was answered is there, whatever happened since;
 *   - a batch that was not answered is there whole or not at all;
 *   - the store's revision is the twin's, so it never falls;
 *   - keys whose time is over are gone, at their time and not before; so are
 *     those of v3's leases, together.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>

#include "base/check.h"
#include "base/prng.h"
#include "support/node_harness.h"
#include "support/node_requests.h"

enum {
    KEYS = 24,
    LEASES = 4, /* of v3 */
    BATCH_MAX = 20,
    VALUE_BYTES = 300,
    SEEDS = 6,
    CRASHES_A_SEED = 500,
};

/* ---- the twin ------------------------------------------------------------ */

struct twin_key {
    bool there;
    char value[VALUE_BYTES];
    revision modified;
    int64_t expire_ns; /* 0: never */
    int lease;         /* of v3, from 1; 0: none */
};

struct twin_lease {
    bool there;
    int64_t ttl_s;
    int64_t expire_ns;
};

struct twin {
    struct twin_key keys[KEYS];
    struct twin_lease leases[LEASES + 1];
    revision revision;
};

struct op {
    enum command_type type;
    enum tree_op op; /* of a COMMAND_TREE */
    int lease;       /* of the others */
    enum v3_error v3_error;
    int key;
    char value[VALUE_BYTES];
    uint64_t ttl_s; /* 0: none */
    revision prev_index;
    /* What must come of it, where it is answered: */
    enum tree_error error;
    revision index;
};

static void twin_end_lease(struct twin *twin, int id)
{
    bool had = false;
    for (int i = 0; i < KEYS; i++) {
        if (twin->keys[i].there && twin->keys[i].lease == id) {
            twin->keys[i] = (struct twin_key){0};
            had = true;
        }
    }
    twin->leases[id] = (struct twin_lease){0};
    twin->revision += had;
}

static void twin_expire(struct twin *twin, int64_t now_ns)
{
    for (int id = 1; id <= LEASES; id++) {
        if (twin->leases[id].there && twin->leases[id].expire_ns <= now_ns)
            twin_end_lease(twin, id);
    }
    for (int i = 0; i < KEYS; i++) {
        struct twin_key *key = &twin->keys[i];
        if (key->there && key->expire_ns != 0 && key->expire_ns <= now_ns) {
            *key = (struct twin_key){0};
            twin->revision++;
        }
    }
}

static enum tree_error twin_refuses(const struct twin_key *key,
                                    const struct op *op)
{
    switch (op->op) {
    case TREE_SET:
        return TREE_NONE;
    case TREE_CREATE:
        return key->there ? TREE_NODE_EXIST : TREE_NONE;
    case TREE_COMPARE_AND_SWAP:
    case TREE_COMPARE_AND_DELETE:
        if (!key->there)
            return TREE_KEY_NOT_FOUND;
        return op->prev_index == key->modified ? TREE_NONE
                                               : TREE_COMPARE_FAILED;
    default:
        return key->there ? TREE_NONE : TREE_KEY_NOT_FOUND;
    }
}

static void twin_put(struct twin *twin, struct op *op)
{
    struct twin_key *key = &twin->keys[op->key];
    if (op->lease != 0 && !twin->leases[op->lease].there) {
        op->v3_error = V3_LEASE_NOT_FOUND;
        return;
    }
    *key = (struct twin_key){
        .there = true, .modified = ++twin->revision, .lease = op->lease};
    memcpy(key->value, op->value, sizeof key->value);
}

static void twin_apply_v3(struct twin *twin, struct op *op, int64_t now_ns)
{
    struct twin_lease *lease = &twin->leases[op->lease];
    op->v3_error = V3_OK;
    switch (op->type) {
    case COMMAND_PUT:
        twin_put(twin, op);
        break;
    case COMMAND_LEASE_GRANT:
        if (lease->there)
            op->v3_error = V3_LEASE_EXIST;
        else
            *lease = (struct twin_lease){true, (int64_t)op->ttl_s, 0};
        break;
    case COMMAND_LEASE_REVOKE:
        if (!lease->there)
            op->v3_error = V3_LEASE_NOT_FOUND;
        else
            twin_end_lease(twin, op->lease);
        break;
    default:
        break;
    }
    if (lease->there &&
        (lease->expire_ns == 0 || op->type == COMMAND_LEASE_RENEW))
        lease->expire_ns = now_ns + lease->ttl_s * HARNESS_SECOND_NS;
    op->index = twin->revision;
}

static void twin_apply(struct twin *twin, struct op *op, int64_t now_ns)
{
    if (op->type != COMMAND_TREE) {
        twin_apply_v3(twin, op, now_ns);
        return;
    }
    struct twin_key *key = &twin->keys[op->key];
    op->error = twin_refuses(key, op);
    if (op->error == TREE_NONE) {
        twin->revision++;
        *key = (struct twin_key){0};
        if (op->op != TREE_DELETE && op->op != TREE_COMPARE_AND_DELETE) {
            key->there = true;
            key->modified = twin->revision;
            memcpy(key->value, op->value, sizeof key->value);
            if (op->ttl_s != 0)
                key->expire_ns =
                    now_ns + (int64_t)op->ttl_s * HARNESS_SECOND_NS;
        }
    }
    op->index = twin->revision;
}

/* ---- the world ----------------------------------------------------------- */

struct world {
    struct node_harness harness;
    struct prng prng;
    struct twin twin;
    struct op ops[BATCH_MAX];
    struct harness_write *writes[BATCH_MAX];
    int count;
    size_t crashes;
    size_t kept;   /* batches without an answer that were there after all */
    size_t lost;   /* and those that were not */
    size_t values; /* made: each is another */
};

static uint64_t below(struct world *world, uint64_t n)
{
    return prng_below(&world->prng, n);
}

static void name_key(int i, char out[32])
{
    snprintf(out, 32, i % 3 == 0 ? "/dir/sub/k%d" : "/k%d", i);
}

static void random_v3(struct world *world, struct op *op)
{
    static const enum command_type types[] = {
        COMMAND_PUT,         COMMAND_PUT,          COMMAND_PUT,
        COMMAND_LEASE_GRANT, COMMAND_LEASE_REVOKE, COMMAND_LEASE_RENEW,
    };
    op->type = types[below(world, sizeof types / sizeof *types)];
    op->lease = 1 + (int)below(world, LEASES);
    op->ttl_s = 2 + below(world, 5);
    if (op->type == COMMAND_PUT && below(world, 3) == 0)
        op->lease = 0;
}

static void random_op(struct world *world, struct op *op)
{
    static const enum tree_op kinds[] = {
        TREE_SET,    TREE_SET,    TREE_SET,
        TREE_CREATE, TREE_UPDATE, TREE_COMPARE_AND_SWAP,
        TREE_DELETE, TREE_DELETE, TREE_COMPARE_AND_DELETE,
    };
    *op = (struct op){
        .type = COMMAND_TREE,
        .op = kinds[below(world, sizeof kinds / sizeof *kinds)],
        .key = (int)below(world, KEYS),
    };
    size_t size = (size_t)below(world, VALUE_BYTES - 32);
    int used = snprintf(op->value, 32, "%zu-", ++world->values);
    memset(op->value + used, 'x', size);
    if (below(world, 3) == 0) {
        random_v3(world, op);
        return;
    }
    if (below(world, 4) == 0)
        op->ttl_s = 1 + below(world, 5);
    if (op->op == TREE_COMPARE_AND_SWAP || op->op == TREE_COMPARE_AND_DELETE) {
        op->prev_index = world->twin.keys[op->key].modified;
        if (op->prev_index == 0 || below(world, 4) == 0)
            op->prev_index = 1 + (revision)below(world, 100);
    }
}

static struct command command_of(const struct op *op, const char *key)
{
    switch (op->type) {
    case COMMAND_PUT:
        return ask_put(key, op->value, op->lease);
    case COMMAND_LEASE_GRANT:
        return ask_grant(op->lease, (int64_t)op->ttl_s);
    case COMMAND_LEASE_REVOKE:
        return ask_revoke(op->lease);
    case COMMAND_LEASE_RENEW:
        return ask_renew(op->lease);
    default:
        return (struct command){.type = COMMAND_TREE,
                                .tree = {
                                    .op = op->op,
                                    .path = slice_str(key),
                                    .value = slice_str(op->value),
                                    .has_ttl = op->ttl_s != 0,
                                    .ttl_s = op->ttl_s,
                                    .prev_index = (uint64_t)op->prev_index,
                                }};
    }
}

static void submit(struct world *world)
{
    world->count = (int)below(world, BATCH_MAX + 1);
    for (int i = 0; i < world->count; i++) {
        struct op *op = &world->ops[i];
        char key[32];
        enum err err;
        random_op(world, op);
        name_key(op->key, key);
        struct command command = command_of(op, key);
        world->writes[i] = node_harness_send(&world->harness, &command, &err);
        assert_int_equal(err, ERR_OK);
    }
}

/* ---- comparing ----------------------------------------------------------- */

static bool same_key(struct mvcc_reader *reader, int i,
                     const struct twin_key *twin)
{
    char key[32];
    struct tree_node node;
    enum tree_error error;
    struct slice cause;
    name_key(i, key);
    enum err err = tree_get(reader, slice_str(key), 0, &node, &error, &cause);
    CHECK_EQ(err, ERR_OK);
    if (!twin->there)
        return error == TREE_KEY_NOT_FOUND;
    return error == TREE_NONE && node.modified == twin->modified &&
           node.expire_ns == twin->expire_ns &&
           slice_eq(node.value, slice_str(twin->value));
}

static bool same_leases(const struct lease_table *table,
                        const struct twin *twin)
{
    for (int id = 1; id <= LEASES; id++) {
        const struct twin_lease *lease = &twin->leases[id];
        struct lease_info info = {0};
        size_t keys = 0;
        for (int i = 0; i < KEYS; i++)
            keys += twin->keys[i].there && twin->keys[i].lease == id;
        if (lease_info(table, id, &info) != lease->there ||
            info.expire_ns != lease->expire_ns ||
            info.granted_s != lease->ttl_s || info.keys != keys)
            return false;
    }
    return true;
}

static bool same(struct world *world, const struct twin *twin)
{
    struct node_harness *harness = &world->harness;
    struct mvcc_reader *reader;
    bool same = node_harness_revision(harness) == twin->revision;
    enum err err = mvcc_reader_new(node_mvcc(harness->node), &reader);
    CHECK_EQ(err, ERR_OK);
    lock_read(&harness->lock);
    mvcc_read_begin(reader);
    for (int i = 0; i < KEYS && same; i++)
        same = same_key(reader, i, &twin->keys[i]);
    same = same && same_leases(node_leases(harness->node), twin);
    mvcc_read_end(reader);
    unlock_read(&harness->lock);
    mvcc_reader_free(reader);
    return same;
}

static size_t leases_of(const struct twin *twin)
{
    size_t count = 0;
    for (int i = 0; i < KEYS; i++)
        count += twin->keys[i].there && twin->keys[i].expire_ns != 0;
    for (int id = 1; id <= LEASES; id++)
        count += twin->leases[id].there;
    return count;
}

/* All that there is to do is done: so what is over is gone. */
static void settle(struct world *world)
{
    struct node_harness *harness = &world->harness;
    assert_int_equal(node_harness_run(harness), ERR_OK);
    struct node_progress progress;
    node_progress(harness->node, &progress);
    assert_int_equal(progress.revision, node_harness_revision(harness));
    assert_int_equal(progress.pending, 0);
    assert_true(node_deadline_ms(harness->node) >
                harness->monotonic_ns / 1000000);
}

static void check_same(struct world *world)
{
    settle(world);
    twin_expire(&world->twin, world->harness.wall_ns);
    assert_true(same(world, &world->twin));
    assert_int_equal(lease_count(node_leases(world->harness.node)),
                     leases_of(&world->twin));
}

/* ---- failing ------------------------------------------------------------- */

static void fail_something(struct world *world)
{
    struct node_harness *harness = &world->harness;
    switch (below(world, 8)) {
    case 0:
    case 1:
        disk_memory_fail_call(harness->disk, 1 + below(world, 4), ERR_IO);
        break;
    case 2:
        disk_memory_fail_call(harness->disk, 1 + below(world, 6),
                              ERR_DISK_FULL);
        break;
    case 3:
        kv_memory_fail_after(harness->kv, 1 + below(world, 10), ERR_IO);
        break;
    default:
        break;
    }
}

static void fail_nothing(struct world *world)
{
    disk_memory_fail_call(world->harness.disk, 0, ERR_OK);
    kv_memory_fail_after(world->harness.kv, 0, ERR_OK);
}

/* Openings crash too. */
static void recover(struct world *world)
{
    struct node_harness *harness = &world->harness;
    enum err err;
    node_harness_crash(harness);
    world->crashes++;
    while (below(world, 4) == 0) {
        fail_something(world);
        err = node_harness_open(harness);
        if (err == ERR_OK && below(world, 2) == 0) {
            err = node_run(harness->node); /* comes well or not */
        }
        node_harness_crash(harness);
        world->crashes++;
    }
    fail_nothing(world);
    err = node_harness_open(harness);
    if (err != ERR_OK)
        fail_msg("open: %s: %s", err_text(err), err_note());
}

static void restart_or_crash(struct world *world)
{
    switch (below(world, 10)) {
    case 0:
        node_harness_restart(&world->harness);
        break;
    case 1:
    case 2:
    case 3:
        recover(world);
        break;
    default:
        break;
    }
}

static void flush_some(struct world *world)
{
    bool more = true;
    if (below(world, 3) != 0)
        return;
    if (below(world, 4) == 0)
        kv_memory_fail_after(world->harness.kv, 1 + below(world, 60),
                             below(world, 2) ? ERR_IO : ERR_NO_SPACE);
    size_t flushes = 1 + (size_t)below(world, 4);
    while (more && flushes-- > 0) {
        enum err err = node_flush(world->harness.node, &more);
        if (err == ERR_IO) {
            recover(world); /* its owner must stop then */
            return;
        }
    }
    fail_nothing(world);
    /* Until a flush succeeds writes are refused: that is another test's. */
    assert_int_equal(node_harness_flush(&world->harness), ERR_OK);
}

/* ---- a round ------------------------------------------------------------- */

static void check_answer(const struct node_request *request,
                         const struct op *op)
{
    if (op->type == COMMAND_TREE) {
        assert_int_equal(request->tree.error, op->error);
        assert_int_equal(request->tree.index, op->index);
    } else {
        assert_int_equal(request->answer.error, op->v3_error);
        assert_int_equal(request->answer.revision, op->index);
    }
}

/* The answers to a batch are what the twin says, or there is none; `after` is
 * the twin as it is if the batch took place. Returns how many were answered. */
static int check_answers(struct world *world)
{
    int answered = 0;
    for (int i = 0; i < world->count; i++) {
        const struct node_request *request = &world->writes[i]->request;
        assert_true(world->writes[i]->done);
        if (request->err == ERR_OK) {
            check_answer(request, &world->ops[i]);
            assert_int_equal(answered, i); /* in order */
            answered++;
        } else {
            /* ERR_IO: the log failed before they were put into it. */
            assert_true(request->err == ERR_STOPPED || request->err == ERR_IO ||
                        request->err == ERR_DISK_FULL);
        }
    }
    return answered;
}

static void round_of(struct world *world)
{
    struct twin after;
    int64_t now_ns = world->harness.wall_ns;
    submit(world);
    memcpy(&after, &world->twin, sizeof after);
    twin_expire(&after, now_ns);
    for (int i = 0; i < world->count; i++)
        twin_apply(&after, &world->ops[i], now_ns);

    fail_something(world);
    enum err err = node_run(world->harness.node);
    int answered = check_answers(world);
    bool refused = err == ERR_OK && world->count > 0 && answered < world->count;
    fail_nothing(world);
    if (err != ERR_OK) {
        recover(world);
        settle(world);
        twin_expire(&world->twin, now_ns);
        struct twin kept = after;
        twin_expire(&kept, now_ns);
        if (same(world, &kept)) {
            after = kept;
            world->kept++;
        } else {
            assert_int_equal(answered, 0);
            assert_true(same(world, &world->twin));
            after = world->twin;
            world->lost++;
        }
        world->twin = after;
    } else if (refused) {
        assert_int_equal(answered, 0);
    } else {
        world->twin = after;
    }
    check_same(world);
    node_harness_forget(&world->harness);
}

static void a_life(uint64_t seed, struct world *world)
{
    *world = (struct world){.twin.revision = 1};
    prng_init(&world->prng, seed);
    node_harness_init(&world->harness, seed);
    world->harness.config.wal_segment_bytes = 8 * 1024;
    world->harness.config.flush_revisions = 1 + (size_t)below(world, 50);
    world->harness.config.compaction = NODE_COMPACTION_REVISION;
    world->harness.config.compaction_keep = 20;
    assert_int_equal(node_harness_open(&world->harness), ERR_OK);
    while (world->crashes < CRASHES_A_SEED) {
        round_of(world);
        flush_some(world);
        check_same(world);
        restart_or_crash(world);
        check_same(world);
        node_harness_sleep(&world->harness,
                           (int64_t)below(world, 2) * HARNESS_SECOND_NS +
                               (int64_t)below(world, HARNESS_SECOND_NS));
    }
    node_harness_deinit(&world->harness);
}

static void nothing_that_was_answered_is_ever_lost(void **state)
{
    static struct world world;
    size_t kept = 0;
    size_t lost = 0;
    (void)state;
    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        a_life(seed, &world);
        kept += world.kept;
        lost += world.lost;
    }
    /* Both happened, or the test shows nothing. */
    assert_true(kept > 20);
    assert_true(lost > 20);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nothing_that_was_answered_is_ever_lost),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
