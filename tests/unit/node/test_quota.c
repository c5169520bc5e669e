/* Quotas by prefix: what lives below each is counted right whatever is done to
 * the keys, what would be too much is refused, and both outlive a restart and
 * come with a snapshot. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include "base/check.h"
#include "base/prng.h"
#include "proto/message.h"
#include "support/node_cluster.h"
#include "support/node_harness.h"
#include "support/node_requests.h"

static struct node_harness world;

static int begin(void **state)
{
    (void)state;
    node_harness_init(&world, 1);
    return node_harness_open(&world) == ERR_OK ? 0 : -1;
}

static int end(void **state)
{
    (void)state;
    node_harness_deinit(&world);
    return 0;
}

#define STORY(name) cmocka_unit_test_setup_teardown(name, begin, end)

/* ---- asking -------------------------------------------------------------- */

static const struct node_request *ask(struct command command)
{
    enum err err;
    struct harness_write *write = node_harness_send(&world, &command, &err);
    assert_non_null(write);
    assert_int_equal(node_harness_run(&world), ERR_OK);
    assert_true(write->done);
    assert_int_equal(write->request.err, ERR_OK);
    return &write->request;
}

static void expect(struct command command, enum v3_error error)
{
    assert_int_equal(ask(command)->answer.error, error);
}

static void good(struct command command)
{
    expect(command, V3_OK);
}

static void used_up(struct command command)
{
    expect(command, V3_QUOTA_USED_UP);
}

static struct command ask_quota(const char *prefix, uint64_t keys,
                                uint64_t bytes)
{
    return (struct command){.type = COMMAND_QUOTA,
                            .quota = {.prefix = slice_str(prefix),
                                      .keys_max = keys,
                                      .bytes_max = bytes}};
}

static struct command ask_tree(enum tree_op op, const char *path,
                               const char *value)
{
    return (struct command){
        .type = COMMAND_TREE,
        .tree = {.op = op, .path = slice_str(path), .value = slice_str(value)}};
}

static enum tree_error tree(enum tree_op op, const char *path,
                            const char *value)
{
    return ask(ask_tree(op, path, value))->tree.error;
}

/* ---- a txn of puts ------------------------------------------------------- */

struct branch {
    Etcdserverpb__PutRequest puts[4];
    Etcdserverpb__RequestOp ops[4];
    Etcdserverpb__RequestOp *pointers[4];
    size_t count;
};

static Etcdserverpb__RequestOp *next_op(struct branch *branch)
{
    Etcdserverpb__RequestOp *op = &branch->ops[branch->count];
    etcdserverpb__request_op__init(op);
    branch->pointers[branch->count++] = op;
    return op;
}

static void add_put(struct branch *branch, const char *key, const char *value)
{
    Etcdserverpb__PutRequest *put = &branch->puts[branch->count];
    Etcdserverpb__RequestOp *op = next_op(branch);
    etcdserverpb__put_request__init(put);
    put->key = message_data(slice_str(key));
    put->value = message_data(slice_str(value));
    op->request_case = ETCDSERVERPB__REQUEST_OP__REQUEST_REQUEST_PUT;
    op->request_put = put;
}

static void add_txn(struct branch *branch, Etcdserverpb__TxnRequest *txn)
{
    Etcdserverpb__RequestOp *op = next_op(branch);
    op->request_case = ETCDSERVERPB__REQUEST_OP__REQUEST_REQUEST_TXN;
    op->request_txn = txn;
}

static Etcdserverpb__TxnRequest txn_of(struct branch *success,
                                       struct branch *failure)
{
    Etcdserverpb__TxnRequest txn = ETCDSERVERPB__TXN_REQUEST__INIT;
    txn.n_success = success->count;
    txn.success = success->pointers;
    txn.n_failure = failure->count;
    txn.failure = failure->pointers;
    return txn;
}

static struct command ask_txn(const Etcdserverpb__TxnRequest *txn)
{
    return ask_message(COMMAND_TXN, &txn->base);
}

/* ---- looking ------------------------------------------------------------- */

/* "/a 2/3 14/0": keys and bytes, of how many; joined with ", ". */
static const char *quotas_of(struct node *node)
{
    static char text[4096];
    struct arena arena;
    struct node_quota *quotas;
    size_t used = 0;
    arena_init(&arena, 0);
    text[0] = '\0';
    size_t count = node_quotas(node, &arena, &quotas);
    for (size_t i = 0; i < count; i++) {
        used += (size_t)snprintf(
            text + used, sizeof(text) - used, "%s%.*s %llu/%llu %llu/%llu",
            i > 0 ? ", " : "", (int)quotas[i].prefix.size, quotas[i].prefix.at,
            (unsigned long long)quotas[i].keys,
            (unsigned long long)quotas[i].keys_max,
            (unsigned long long)quotas[i].bytes,
            (unsigned long long)quotas[i].bytes_max);
        assert_true(used < sizeof(text));
    }
    arena_deinit(&arena);
    return text;
}

#define QUOTAS(text) assert_string_equal(quotas_of(world.node), text)

/* By a walk over all keys. */
static void count_naively(struct node *node, struct node_quota *quota)
{
    struct mvcc_reader *reader;
    struct mvcc_walk walk;
    struct slice key;
    struct rev rev;
    quota->keys = 0;
    quota->bytes = 0;
    assert_int_equal(mvcc_reader_new(node_mvcc(node), &reader), ERR_OK);
    lock_read(node_lock(node));
    mvcc_read_begin(reader);
    assert_int_equal(mvcc_walk_init(&walk, reader, MVCC_KEYS, SLICE(""),
                                    slice_of(NULL, 0), 0),
                     ERR_OK);
    while (mvcc_walk_next(&walk, &key, &rev) == ERR_OK) {
        struct record record;
        assert_int_equal(mvcc_get_rev(reader, rev, &record), ERR_OK);
        if (slice_has_prefix(key, quota->prefix)) {
            quota->keys++;
            quota->bytes += key.size + record.value.size;
        }
    }
    mvcc_read_end(reader);
    unlock_read(node_lock(node));
    mvcc_reader_free(reader);
}

static void expect_counted(struct node *node, size_t quota_count)
{
    struct arena arena;
    struct node_quota *quotas;
    arena_init(&arena, 0);
    assert_int_equal(node_quotas(node, &arena, &quotas), quota_count);
    for (size_t i = 0; i < quota_count; i++) {
        struct node_quota naive = quotas[i];
        count_naively(node, &naive);
        assert_int_equal(quotas[i].keys, naive.keys);
        assert_int_equal(quotas[i].bytes, naive.bytes);
    }
    arena_deinit(&arena);
}

static uint64_t refused(void)
{
    struct node_counters counters;
    node_counters(world.node, &counters);
    return counters.quota_refused;
}

/* ---- setting ------------------------------------------------------------- */

static void a_quota_counts_what_is_there(void **state)
{
    (void)state;
    good(ask_put("/a/1", "12345", 0));
    good(ask_put("/a/2", "", 0));
    good(ask_put("/b", "1", 0));
    good(ask_quota("/a/", 3, 0));
    QUOTAS("/a/ 2/3 13/0");
    good(ask_quota("", 0, 99));
    QUOTAS(" 3/0 16/99, /a/ 2/3 13/0");
    /* Another one takes the first one's place. */
    good(ask_quota("/a/", 0, 20));
    QUOTAS(" 3/0 16/99, /a/ 2/0 13/20");
    good(ask_quota("", 0, 0));
    good(ask_quota("/a/", 0, 0));
    QUOTAS("");
    assert_int_equal(world.commit_count, 3);
}

static void what_is_not_there_is_not_removed(void **state)
{
    (void)state;
    good(ask_quota("/a", 1, 1));
    expect(ask_quota("/", 0, 0), V3_QUOTA_NOT_FOUND);
    expect(ask_quota("/a/", 0, 0), V3_QUOTA_NOT_FOUND);
    expect(ask_quota("/b", 0, 0), V3_QUOTA_NOT_FOUND);
    QUOTAS("/a 0/1 0/1");
}

static void a_prefix_is_only_so_long(void **state)
{
    char prefix[NODE_QUOTA_PREFIX_MAX + 2];
    (void)state;
    memset(prefix, 'p', sizeof(prefix));
    prefix[NODE_QUOTA_PREFIX_MAX + 1] = '\0';
    expect(ask_quota(prefix, 1, 0), V3_QUOTA_PREFIX);
    prefix[NODE_QUOTA_PREFIX_MAX] = '\0';
    good(ask_quota(prefix, 1, 0));
    good(ask_put(prefix, "1", 0));
    node_harness_restart(&world);
    expect_counted(world.node, 1);
}

static void there_are_a_thousand_at_most(void **state)
{
    char prefix[16];
    (void)state;
    for (int i = 0; i < NODE_QUOTAS_MAX; i++) {
        snprintf(prefix, sizeof(prefix), "/%d", i);
        good(ask_quota(prefix, 1, 0));
        node_harness_forget(&world);
    }
    expect(ask_quota("/x", 1, 0), V3_QUOTA_TOO_MANY);
    /* One that is there can be changed, one that goes leaves its place. */
    good(ask_quota("/7", 2, 0));
    good(ask_quota("/8", 0, 0));
    good(ask_quota("/x", 1, 0));
    /* It is below "/1", "/12" and "/123". */
    good(ask_put("/123", "1", 0));
    used_up(ask_put("/1234", "1", 0));
    used_up(ask_put("/19", "1", 0));
    good(ask_put("/8", "1", 0));
    expect_counted(world.node, NODE_QUOTAS_MAX);
    node_harness_recover(&world);
    expect_counted(world.node, NODE_QUOTAS_MAX);
}

/* ---- v3 ------------------------------------------------------------------ */

static void keys_are_bounded(void **state)
{
    (void)state;
    good(ask_quota("/a/", 2, 0));
    good(ask_put("/a/1", "1", 0));
    good(ask_put("/a/2", "1", 0));
    used_up(ask_put("/a/3", "1", 0));
    assert_string_equal(record_text(world.node, "/a/3"), "none");
    good(ask_put("/a/2", "as long as it likes", 0));
    good(ask_put("/a", "not below it", 0));
    good(ask_put("/b/1", "1", 0));
    good(ask_delete("/a/1", NULL));
    good(ask_put("/a/3", "1", 0));
    QUOTAS("/a/ 2/2 28/0");
    assert_int_equal(refused(), 1);
}

static void bytes_are_bounded(void **state)
{
    (void)state;
    good(ask_quota("/a/", 0, 20));
    good(ask_put("/a/1", "123456", 0)); /* 10 */
    good(ask_put("/a/2", "123456", 0)); /* 20 */
    used_up(ask_put("/a/1", "1234567", 0));
    used_up(ask_put("/a/3", "", 0));
    good(ask_put("/a/1", "abcdef", 0));
    good(ask_put("/a/1", "abcde", 0));
    good(ask_put("/a/2", "1234567", 0));
    QUOTAS("/a/ 2/0 20/20");
}

static void the_quota_around_counts_too(void **state)
{
    (void)state;
    good(ask_quota("/", 3, 0));
    good(ask_quota("/a", 2, 0));
    good(ask_quota("/a/b", 1, 0));
    good(ask_quota("/a/c", 5, 0));
    good(ask_put("/a/b1", "1", 0));
    used_up(ask_put("/a/b2", "1", 0)); /* its own */
    good(ask_put("/a/d", "1", 0));
    used_up(ask_put("/a/c", "1", 0)); /* /a */
    good(ask_put("/z", "1", 0));
    used_up(ask_put("/y", "1", 0)); /* / */
    good(ask_put("x", "1", 0));
    QUOTAS("/ 3/3 14/0, /a 2/2 11/0, /a/b 1/1 6/0, /a/c 0/5 0/0");
}

static void too_much_can_be_made_less(void **state)
{
    (void)state;
    good(ask_put("/a/1", "12345678", 0));
    good(ask_put("/a/2", "12345678", 0));
    good(ask_quota("/a/", 1, 10));
    QUOTAS("/a/ 2/1 24/10");
    used_up(ask_put("/a/3", "", 0));
    used_up(ask_put("/a/1", "123456789", 0));
    good(ask_put("/a/1", "1234567", 0));
    good(ask_delete("/a/", "/a0"));
    good(ask_put("/a/3", "123456", 0));
    QUOTAS("/a/ 1/1 10/10");
}

/* Nothing of it is put: not what would have fitted, not what is elsewhere. */
static void a_txn_is_refused_as_a_whole(void **state)
{
    struct branch yes = {.count = 0};
    struct branch none = {.count = 0};
    (void)state;
    good(ask_quota("/a/", 2, 0));
    add_put(&yes, "/b", "1");
    add_put(&yes, "/a/1", "1");
    add_put(&yes, "/a/2", "1");
    add_put(&yes, "/a/3", "1");
    Etcdserverpb__TxnRequest txn = txn_of(&yes, &none);
    used_up(ask_txn(&txn));
    assert_string_equal(record_text(world.node, "/b"), "none");
    txn.n_success = 3;
    good(ask_txn(&txn));
    good(ask_txn(&txn)); /* they are there now */
    QUOTAS("/a/ 2/2 10/0");
    assert_int_equal(refused(), 1);
}

/* Which one it takes isn't asked. */
static void the_worse_branch_of_a_txn_counts(void **state)
{
    struct branch yes = {.count = 0};
    struct branch no = {.count = 0};
    struct branch outer = {.count = 0};
    struct branch none = {.count = 0};
    (void)state;
    good(ask_quota("/a/", 2, 0));
    add_put(&yes, "/b", "1");
    add_put(&no, "/a/1", "1");
    add_put(&no, "/a/2", "1");
    add_put(&no, "/a/3", "1");
    Etcdserverpb__TxnRequest inner = txn_of(&yes, &no);
    used_up(ask_txn(&inner));
    inner.n_failure = 2;
    good(ask_txn(&inner));
    /* What lies in an operation is added to what stands beside it. */
    add_put(&outer, "/a/4", "1");
    add_txn(&outer, &inner);
    Etcdserverpb__TxnRequest txn = txn_of(&outer, &none);
    used_up(ask_txn(&txn));
    inner.n_failure = 1;
    good(ask_txn(&txn));
    QUOTAS("/a/ 1/2 5/0");
}

static void a_value_that_is_kept_adds_nothing(void **state)
{
    Etcdserverpb__PutRequest put = ETCDSERVERPB__PUT_REQUEST__INIT;
    (void)state;
    good(ask_put("/a/1", "123456", 0));
    good(ask_quota("/a/", 1, 5));
    put.key = message_data(SLICE("/a/1"));
    put.ignore_value = true;
    good(ask_message(COMMAND_PUT, &put.base));
    put.key = message_data(SLICE("/a/2"));
    expect(ask_message(COMMAND_PUT, &put.base), V3_KEY_NOT_FOUND);
    QUOTAS("/a/ 1/1 10/5");
}

/* ---- v2 ------------------------------------------------------------------ */

static void v2_is_told_which_prefix_it_is(void **state)
{
    (void)state;
    good(ask_quota("/a", 1, 0));
    assert_int_equal(tree(TREE_SET, "/a/1", "1"), TREE_NONE);
    const struct node_request *request = ask(ask_tree(TREE_SET, "/a/2", "1"));
    assert_int_equal(request->tree.error, TREE_RAFT_INTERNAL);
    assert_int_equal(request->tree.index, 2);
    struct slice cause = tree_result_cause(&request->tree);
    assert_true(slice_eq(
        cause, SLICE("etched: the quota of the prefix /a is used up")));
    assert_int_equal(refused(), 1);
    QUOTAS("/a 1/1 5/0");
}

static void each_verb_of_v2_is_bounded(void **state)
{
    (void)state;
    good(ask_quota("/a/", 1, 6));
    assert_int_equal(tree(TREE_CREATE_IN_ORDER, "/a", "1"),
                     TREE_RAFT_INTERNAL); /* its name is too long */
    assert_int_equal(tree(TREE_CREATE, "/a/1", "12"), TREE_NONE);
    assert_int_equal(tree(TREE_CREATE, "/a/2", "1"), TREE_RAFT_INTERNAL);
    assert_int_equal(tree(TREE_SET, "/a/2", "1"), TREE_RAFT_INTERNAL);
    assert_int_equal(tree(TREE_SET, "/a/1", "123"), TREE_RAFT_INTERNAL);
    assert_int_equal(tree(TREE_UPDATE, "/a/1", "123"), TREE_RAFT_INTERNAL);
    assert_int_equal(tree(TREE_UPDATE, "/a/1", "1"), TREE_NONE);
    struct command swap = ask_tree(TREE_COMPARE_AND_SWAP, "/a/1", "123");
    swap.tree.prev_value = SLICE("1");
    assert_int_equal(ask(swap)->tree.error, TREE_RAFT_INTERNAL);
    swap.tree.value = SLICE("12");
    assert_int_equal(ask(swap)->tree.error, TREE_NONE);
    QUOTAS("/a/ 1/1 6/6");
}

/* Another reason is the one that is told. */
static void v2_has_its_own_errors_first(void **state)
{
    (void)state;
    good(ask_quota("/a/", 1, 0));
    assert_int_equal(tree(TREE_SET, "/a/1", "1"), TREE_NONE);
    assert_int_equal(tree(TREE_CREATE, "/a/1", "1"), TREE_NODE_EXIST);
    assert_int_equal(tree(TREE_UPDATE, "/a/2", "1"), TREE_KEY_NOT_FOUND);
    assert_int_equal(refused(), 0);
}

static void directories_are_no_keys(void **state)
{
    struct command dir = ask_tree(TREE_SET, "/a/d", "");
    struct command all = ask_tree(TREE_DELETE, "/a", "");
    (void)state;
    dir.tree.dir = true;
    all.tree.dir = all.tree.recursive = true;
    good(ask_quota("/a", 1, 0));
    assert_int_equal(ask(dir)->tree.error, TREE_NONE);
    assert_int_equal(tree(TREE_SET, "/a/e/f", "1"), TREE_NONE);
    assert_int_equal(tree(TREE_SET, "/a/d/1", "1"), TREE_RAFT_INTERNAL);
    assert_int_equal(ask(all)->tree.error, TREE_NONE);
    QUOTAS("/a 0/1 0/0");
}

/* ---- a long life --------------------------------------------------------- */

enum { KEYS = 40, STEPS = 2500, LEASES = 5, QUOTAS_SET = 5 };

static const char *some_key(struct prng *prng)
{
    static const char *const dirs[] = {"/a", "/a/b", "/ab", "/c"};
    static char key[32];
    uint64_t n = prng_below(prng, KEYS);
    snprintf(key, sizeof(key), "%s/%llu", dirs[n % 4], (unsigned long long)n);
    return key;
}

static const char *some_value(struct prng *prng)
{
    static char value[64];
    size_t size = prng_below(prng, sizeof(value));
    memset(value, 'v', size);
    value[size] = '\0';
    return value;
}

static struct command some_txn(struct prng *prng)
{
    char first[32];
    struct branch yes = {.count = 0};
    struct branch no = {.count = 0};
    snprintf(first, sizeof(first), "%s", some_key(prng));
    add_put(&yes, first, some_value(prng));
    add_put(&yes, "/c/once", "1");
    Etcdserverpb__TxnRequest txn = txn_of(&yes, &no);
    return ask_txn(&txn);
}

static struct command some_tree(struct prng *prng)
{
    static const enum tree_op ops[] = {TREE_SET, TREE_CREATE, TREE_UPDATE,
                                       TREE_DELETE, TREE_CREATE_IN_ORDER};
    struct command command =
        ask_tree(ops[prng_below(prng, 5)], some_key(prng), some_value(prng));
    if (command.tree.op == TREE_DELETE) {
        command.tree.path = SLICE("/a/b");
        command.tree.value = SLICE("");
        command.tree.dir = command.tree.recursive = true;
    } else if (command.tree.op == TREE_CREATE_IN_ORDER) {
        command.tree.path = SLICE("/c");
    } else if (prng_below(prng, 3) == 0) {
        command.tree.has_ttl = true;
        command.tree.ttl_s = 1 + prng_below(prng, 3);
    }
    return command;
}

static struct command some_command(struct prng *prng)
{
    lease_id lease = 1 + (lease_id)prng_below(prng, LEASES);
    switch (prng_below(prng, 10)) {
    case 0:
        return ask_delete(some_key(prng), NULL);
    case 1:
        return ask_delete("/a/", "/a/5");
    case 2:
        return ask_toggle(some_key(prng));
    case 3:
        return some_txn(prng);
    case 4:
        return ask_grant(lease, 1 + (int64_t)prng_below(prng, 3));
    case 5:
        return ask_revoke(lease);
    case 6:
        return ask_put(some_key(prng), some_value(prng), lease);
    case 7:
        return ask_put(some_key(prng), some_value(prng), 0);
    default:
        return some_tree(prng);
    }
}

static void let_time_go_on(struct prng *prng)
{
    switch (prng_below(prng, 40)) {
    case 0:
        node_harness_restart(&world);
        return;
    case 1:
        node_harness_recover(&world);
        return;
    case 2:
        assert_int_equal(node_harness_flush(&world), ERR_OK);
        return;
    case 3:
        (void)ask(ask_compact(node_harness_revision(&world)));
        return;
    case 4:
    case 5:
        node_harness_sleep(&world, HARNESS_SECOND_NS);
        assert_int_equal(node_harness_run(&world), ERR_OK);
        return;
    default:
        return;
    }
}

static void it_is_counted_right_whatever_is_done(void **state)
{
    struct prng prng;
    size_t of_v3 = 0; /* that were refused */
    size_t of_v2 = 0;
    (void)state;
    prng_init(&prng, 77);
    good(ask_quota("/a", 25, 600));
    good(ask_quota("/a/", 1000, 0));
    good(ask_quota("/a/b/", 6, 0));
    good(ask_quota("/ab", 0, 150));
    good(ask_quota("/c/1", 3, 100));
    for (int i = 0; i < STEPS; i++) {
        const struct node_request *request = ask(some_command(&prng));
        of_v3 += request->answer.error == V3_QUOTA_USED_UP;
        of_v2 += request->tree.error == TREE_RAFT_INTERNAL;
        node_harness_forget(&world);
        let_time_go_on(&prng);
        expect_counted(world.node, QUOTAS_SET);
    }
    assert_true(of_v3 > 40);
    assert_true(of_v2 > 10);
}

/* ---- restarts and snapshots ---------------------------------------------- */

static void a_restart_knows_them(void **state)
{
    (void)state;
    good(ask_quota("/a/", 2, 0));
    good(ask_put("/a/1", "1", 0));
    node_harness_restart(&world);
    QUOTAS("/a/ 1/2 5/0");
    good(ask_put("/a/2", "1", 0));
    node_harness_recover(&world); /* from the log */
    QUOTAS("/a/ 2/2 10/0");
    used_up(ask_put("/a/3", "1", 0));
    good(ask_quota("/a/", 0, 0));
    node_harness_restart(&world);
    QUOTAS("");
    good(ask_put("/a/3", "1", 0));
}

static struct node_cluster members;

static enum v3_error ask_member(size_t at, struct command command)
{
    struct cluster_wait *wait = cluster_submit(&members, at, &command);
    assert_int_equal(cluster_wait(&members, wait), ERR_OK);
    return wait->request.answer.error;
}

static void flush_all(void)
{
    for (size_t i = 0; i < members.count; i++) {
        if (members.members[i].node != NULL) {
            assert_int_equal(cluster_flush(&members, i), ERR_OK);
        }
    }
}

static void quotas_everywhere(const char *text)
{
    cluster_settle(&members);
    for (size_t i = 0; i < members.count; i++) {
        assert_string_equal(quotas_of(members.members[i].node), text);
    }
    cluster_check_same(&members);
}

static void a_snapshot_brings_them(void **state)
{
    (void)state;
    cluster_init(&members, 3, 0, 1);
    for (size_t i = 0; i < 3; i++) {
        members.members[i].config.catch_up_entries = 0;
    }
    cluster_open_all(&members);
    size_t away = cluster_follower(&members);
    assert_int_equal(ask_member(away, ask_quota("/gone", 1, 0)), V3_OK);
    assert_int_equal(ask_member(away, ask_quota("/a/", 9, 0)), V3_OK);
    assert_int_equal(ask_member(away, ask_put("/a/0", "1", 0)), V3_OK);
    cluster_settle(&members);
    cluster_close(&members, away);
    size_t leader = cluster_leader(&members);
    assert_int_equal(ask_member(leader, ask_quota("/gone", 0, 0)), V3_OK);
    assert_int_equal(ask_member(leader, ask_quota("/a/", 2, 0)), V3_OK);
    assert_int_equal(ask_member(leader, ask_put("/a/1", "12", 0)), V3_OK);
    for (int i = 0; i < 3; i++) {
        flush_all();
        assert_int_equal(ask_member(leader, ask_put("/b", "1", 0)), V3_OK);
    }
    assert_int_equal(cluster_open(&members, away), ERR_OK);
    cluster_settle(&members);
    assert_int_equal(members.members[away].snapshots_taken, 1);
    quotas_everywhere("/a/ 2/2 11/0");
    assert_int_equal(ask_member(away, ask_put("/a/2", "1", 0)),
                     V3_QUOTA_USED_UP);
    assert_int_equal(ask_member(leader, ask_delete("/a/0", NULL)), V3_OK);
    assert_int_equal(ask_member(away, ask_put("/a/2", "1", 0)), V3_OK);
    quotas_everywhere("/a/ 2/2 11/0");
    cluster_deinit(&members);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        STORY(a_quota_counts_what_is_there),
        STORY(what_is_not_there_is_not_removed),
        STORY(a_prefix_is_only_so_long),
        STORY(there_are_a_thousand_at_most),
        STORY(keys_are_bounded),
        STORY(bytes_are_bounded),
        STORY(the_quota_around_counts_too),
        STORY(too_much_can_be_made_less),
        STORY(a_txn_is_refused_as_a_whole),
        STORY(the_worse_branch_of_a_txn_counts),
        STORY(a_value_that_is_kept_adds_nothing),
        STORY(v2_is_told_which_prefix_it_is),
        STORY(each_verb_of_v2_is_bounded),
        STORY(v2_has_its_own_errors_first),
        STORY(directories_are_no_keys),
        STORY(it_is_counted_right_whatever_is_done),
        STORY(a_restart_knows_them),
        cmocka_unit_test(a_snapshot_brings_them),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
