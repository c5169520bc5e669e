/* One keyspace: what v3 does as v2 sees it, and the other way round. One story
 * a rule. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>

#include "base/check.h"
#include "proto/message.h"
#include "support/node_requests.h"
#include "support/node_harness.h"

#define SECOND HARNESS_SECOND_NS

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
#define RUN() assert_int_equal(node_harness_run(&world), ERR_OK)
#define SLEEP(ns) node_harness_sleep(&world, ns)
/* What v3 has, what v2 has, and what v2's watchers were told. */
#define V3(key, text) assert_string_equal(record_text(world.node, key), text)
#define V2(path, text) \
    assert_string_equal(node_text(world.node, path, world.wall_ns), text)
#define EVENT(at, text) assert_string_equal(event_text(world.node, at), text)
#define LEASE(id, text) assert_string_equal(lease_text(world.node, id), text)

static const struct txn_answer *v3(struct command command)
{
    enum err err;
    struct harness_write *write = node_harness_send(&world, &command, &err);
    assert_non_null(write);
    RUN();
    assert_true(write->done);
    assert_int_equal(write->request.err, ERR_OK);
    assert_int_equal(write->request.answer.error, V3_OK);
    return &write->request.answer;
}

static const struct tree_result *v2(struct tree_command command)
{
    enum err err;
    struct harness_write *write = node_harness_write(&world, &command, &err);
    assert_int_equal(err, ERR_OK);
    return &write->request.tree;
}

static struct tree_command op(enum tree_op op, const char *key,
                              const char *value)
{
    struct tree_command command = harness_set(key, value);
    command.op = op;
    return command;
}

static struct tree_command dir(const char *path, uint64_t ttl_s)
{
    return (struct tree_command){.op = TREE_SET,
                                 .path = slice_str(path),
                                 .dir = true,
                                 .has_ttl = ttl_s != 0,
                                 .ttl_s = ttl_s};
}

/* ---- keys and paths ------------------------------------------------------ */

static void a_path_is_a_key(void **state)
{
    (void)state;
    v3(ask_put("/a/b", "3", 0));
    V2("/a/b", "/a/b=3 [2,2]");
    EVENT(2, "set /a/b=3");
    v2(harness_set("/a/c", "2"));
    V3("/a/c", "2 [3,3] v1 set");
    v3(ask_delete("/a/c", NULL));
    V2("/a/c", "100");
    EVENT(4, "delete /a/c=");
    v2(harness_delete("/a/b"));
    V3("/a/b", "none");
    EVENT(5, "delete /a/b=");
}

static void an_index_is_a_revision(void **state)
{
    (void)state;
    assert_int_equal(v3(ask_put("x", "1", 0))->revision, 2);
    assert_int_equal(v2(harness_set("/a", "1"))->index, 3);
    assert_int_equal(v3(ask_put("/a", "2", 0))->revision, 4);
    V2("/a", "/a=2 [3,4]");
    V3("/a", "2 [3,4] v2 put");
    /* What fails on either side makes none. */
    assert_int_equal(v2(op(TREE_CREATE, "/a", "3"))->error, TREE_NODE_EXIST);
    assert_int_equal(v3(ask_delete("none", NULL))->revision, 4);
}

static void a_directory_is_not_v3s(void **state)
{
    (void)state;
    v2(dir("/d", 0));
    V3("/d", "none");
    V2("/d", "/d/ [2,2]");
    /* Nor is it in its way: it may have a key of that name. */
    v3(ask_put("/d", "1", 0));
    V3("/d", "1 [3,3] v1 put");
    assert_int_equal(answer_number(v3(ask_delete("/", "0")), 2), 1);
    V2("/d", "/d/ [2,2]");
}

static void what_has_keys_below_it_is_a_directory(void **state)
{
    (void)state;
    v3(ask_put("/a/b/c", "3", 0));
    V2("/a/b", "/a/b/ [0,0]");
    V2("/a", "/a/ [0,0]");
    assert_int_equal(v2(harness_set("/a/b", "2"))->error, TREE_NOT_FILE);
    v2(harness_set("/a/b/d", "2"));
    V2("/a/b/c", "/a/b/c=3 [2,2]");
    v3(ask_delete("/a", "/b"));
    V2("/a/b", "/a/b/ [3,3]"); /* v2 has made it: it stays */
    V2("/a/b/c", "100");
}

static void a_file_and_a_directory_of_one_name(void **state)
{
    (void)state;
    v3(ask_put("/a", "file", 0));
    v3(ask_put("/a/b", "below", 0));
    V2("/a", "/a=file [2,2]");
    V2("/a/b", "/a/b=below [3,3]");
    assert_int_equal(v2(harness_set("/a/c", "2"))->error, TREE_NOT_DIR);
    v2(harness_set("/a/b", "2")); /* it is there, whatever is above it */
    V3("/a/b", "2 [4,4] v1 set");
    v2(harness_delete("/a"));
    V2("/a", "/a/ [4,4]"); /* made on the way to its child */
}

static void what_does_not_begin_with_a_slash_is_not_v2s(void **state)
{
    (void)state;
    v3(ask_put("a", "3", 0));
    v3(ask_put("//b", "3", 0));
    v3(ask_put("/c/", "3", 0));
    V2("/a", "100");
    V2("/b", "100");
    V2("/c", "100");
    EVENT(2, "");
    EVENT(3, "");
    EVENT(4, "");
    V3("a", "3 [2,2] v1 put");
}

/* ---- lives --------------------------------------------------------------- */

static void a_set_begins_anew(void **state)
{
    (void)state;
    v3(ask_put("/a", "1", 0));
    v3(ask_put("/a", "2", 0));
    V3("/a", "2 [2,3] v2 put");
    v2(harness_set("/a", "3"));
    V3("/a", "3 [4,4] v1 set");
    v3(ask_put("/a", "4", 0));
    V2("/a", "/a=4 [4,5]");
    V3("/a", "4 [4,5] v2 put");
}

static void an_update_goes_on(void **state)
{
    (void)state;
    struct tree_command swap = op(TREE_COMPARE_AND_SWAP, "/a", "3");
    v3(ask_put("/a", "1", 0));
    v2(op(TREE_UPDATE, "/a", "2"));
    V3("/a", "2 [2,3] v2 update");
    swap.prev_index = 3; /* v3's mod_revision is as good as v2's index */
    v2(swap);
    V3("/a", "3 [2,4] v3 compareAndSwap");
    v3(ask_put("/a", "4", 0));
    swap.prev_index = 4;
    assert_int_equal(v2(swap)->error, TREE_COMPARE_FAILED);
}

static void a_txn_compares_what_v2_wrote(void **state)
{
    (void)state;
    v2(harness_set("/a", "1"));
    assert_int_equal(answer_number(v3(ask_toggle("/a")), 2), 0);
    V2("/a", "100");
    EVENT(3, "delete /a=");
    assert_int_equal(answer_number(v3(ask_toggle("/a")), 2), 1);
    V2("/a", "/a=on [4,4]");
    assert_int_equal(v2(op(TREE_CREATE, "/a", "2"))->error, TREE_NODE_EXIST);
}

static void a_recursive_delete_takes_what_v3_put(void **state)
{
    (void)state;
    struct tree_command all = harness_delete("/a");
    all.recursive = true;
    v3(ask_grant(77, 60));
    v3(ask_put("/a/b", "1", 77));
    v3(ask_put("/a/c", "1", 0));
    v3(ask_put("/ab", "1", 77));
    v2(all);
    V3("/a/b", "none");
    V3("/a/c", "none");
    LEASE(77, "/ab ");
    assert_int_equal(node_harness_revision(&world), 5);
}

/* ---- a v2 TTL is a lease ------------------------------------------------- */

static void v3_sees_the_lease_of_a_ttl(void **state)
{
    (void)state;
    struct lease_info info;
    lease_id id = LEASE_V2 | 2;
    v2(harness_set_ttl("/a", "1", 30));
    V3("/a", "1 [2,2] v1 set lease=v2:2");
    assert_true(lease_info(node_leases(world.node), id, &info));
    assert_int_equal(info.granted_s, 30);
    assert_int_equal(info.expire_ns, world.wall_ns + 30 * SECOND);
    LEASE(id, "/a ");
    node_harness_recover(&world);
    assert_true(lease_info(node_leases(world.node), id, &info));
    assert_int_equal(info.granted_s, 30);
    SLEEP(30 * SECOND);
    RUN();
    EVENT(3, "expire /a=");
    LEASE(id, "none");
}

static void the_ttl_of_a_directory_takes_what_v3_put(void **state)
{
    (void)state;
    v2(dir("/d", 30));
    LEASE(LEASE_V2 | 2, "/d/ ");
    v3(ask_grant(77, 60));
    v3(ask_put("/d/a", "3", 77));
    v3(ask_put("/d/sub/b", "3", 0));
    SLEEP(30 * SECOND);
    RUN();
    V3("/d/a", "none");
    V3("/d/sub/b", "none");
    LEASE(77, "");
    assert_int_equal(node_harness_revision(&world), 5);
    EVENT(5, "expire /d/");
}

static void v3_may_revoke_the_lease_of_a_ttl(void **state)
{
    (void)state;
    v2(harness_set_ttl("/a", "1", 30));
    assert_int_equal(v3(ask_revoke(LEASE_V2 | 2))->revision, 3);
    V2("/a", "100");
    EVENT(3, "delete /a=");
    LEASE(LEASE_V2 | 2, "none");
    v2(dir("/d", 30));
    v2(harness_set("/d/a", "1"));
    v3(ask_revoke(LEASE_V2 | 4));
    V2("/d", "100");
    V3("/d/a", "none");
    EVENT(6, "delete /d/");
}

static void v3_does_not_keep_a_ttl_alive(void **state)
{
    (void)state;
    v2(harness_set_ttl("/a", "1", 30));
    SLEEP(10 * SECOND);
    const struct txn_answer *answer = v3(ask_renew(LEASE_V2 | 2));
    assert_true(answer_number(answer, 2) == (LEASE_V2 | 2));
    assert_int_equal(answer_number(answer, 3), 0);
    V2("/a", "/a=1 [2,2] ttl=20");
}

static void a_put_over_a_ttl_ends_it(void **state)
{
    (void)state;
    v2(harness_set_ttl("/a", "1", 30));
    v3(ask_put("/a", "3", 0));
    V2("/a", "/a=3 [2,3]");
    V3("/a", "3 [2,3] v2 put");
    LEASE(LEASE_V2 | 2, "none");
    SLEEP(100 * SECOND);
    RUN();
    V2("/a", "/a=3 [2,3]");
}

static void a_put_over_a_ttl_may_bring_a_lease(void **state)
{
    (void)state;
    v2(harness_set_ttl("/a", "1", 30));
    v3(ask_grant(77, 60));
    v3(ask_put("/a", "3", 77));
    V2("/a", "/a=3 [2,3]");
    LEASE(LEASE_V2 | 2, "none");
    LEASE(77, "/a ");
    SLEEP(60 * SECOND);
    RUN();
    EVENT(4, "expire /a=");
}

static void a_put_may_leave_the_ttl_as_it_is(void **state)
{
    (void)state;
    Etcdserverpb__PutRequest put = ETCDSERVERPB__PUT_REQUEST__INIT;
    put.key = message_data(SLICE("/a"));
    put.value = message_data(SLICE("3"));
    put.ignore_lease = true;
    v2(harness_set_ttl("/a", "1", 30));
    SLEEP(10 * SECOND);
    v3(ask_message(COMMAND_PUT, &put.base));
    V3("/a", "3 [2,3] v2 put lease=v2:2");
    V2("/a", "/a=3 [2,3] ttl=20");
    node_harness_restart(&world);
    V2("/a", "/a=3 [2,3] ttl=20");
    SLEEP(20 * SECOND);
    RUN();
    EVENT(4, "expire /a=");
    LEASE(LEASE_V2 | 2, "none");
}

/* It is the key's own, and goes with it. */
static void a_put_can_not_share_a_ttl(void **state)
{
    (void)state;
    struct command put = ask_put("b", "3", LEASE_V2 | 2);
    enum err err;
    v2(harness_set_ttl("/a", "1", 30));
    struct harness_write *write = node_harness_send(&world, &put, &err);
    assert_non_null(write);
    RUN();
    assert_int_equal(write->request.answer.error, V3_LEASE_NOT_FOUND);
    V3("b", "none");
    LEASE(LEASE_V2 | 2, "/a ");
}

static void a_range_that_is_deleted_loses_its_ttls(void **state)
{
    (void)state;
    v2(harness_set_ttl("/a", "1", 30));
    v2(harness_set_ttl("/b", "1", 40));
    v3(ask_delete("/", "0"));
    assert_int_equal(lease_count(node_leases(world.node)), 0);
    v2(harness_set("/a", "2"));
    SLEEP(100 * SECOND);
    RUN();
    V2("/a", "/a=2 [5,5]");
}

/* ---- v2 and the leases of v3 --------------------------------------------- */

static void v2_tells_of_a_lease_that_ended(void **state)
{
    (void)state;
    v3(ask_grant(77, 30));
    v3(ask_put("/a", "3", 77));
    v3(ask_grant(78, 60));
    v3(ask_put("/b", "3", 78));
    SLEEP(30 * SECOND);
    RUN();
    EVENT(4, "expire /a=");
    V2("/a", "100");
    v3(ask_revoke(78));
    EVENT(5, "delete /b=");
}

/* Set, update and compareAndSwap say how long it lives: here, for good. */
static void what_v2_writes_leaves_its_lease(void **state)
{
    (void)state;
    struct tree_command writes[] = {
        harness_set("/a", "2"),
        op(TREE_UPDATE, "/a", "2"),
        op(TREE_COMPARE_AND_SWAP, "/a", "2"),
    };
    writes[2].prev_value = SLICE("3");
    for (size_t i = 0; i < sizeof writes / sizeof *writes; i++) {
        lease_id id = 70 + (lease_id)i;
        v3(ask_grant(id, 30));
        v3(ask_put("/a", "3", id));
        LEASE(id, "/a ");
        v2(writes[i]);
        LEASE(id, "");
        SLEEP(30 * SECOND);
        RUN();
        LEASE(id, "none");
        assert_non_null(node_harness_get(&world, "/a"));
    }
    V3("/a", "2 [3,7] v5 compareAndSwap");
}

static void a_ttl_takes_the_place_of_a_lease(void **state)
{
    (void)state;
    v3(ask_grant(77, 30));
    v3(ask_put("/a", "3", 77));
    v2(harness_set_ttl("/a", "2", 60));
    V3("/a", "2 [3,3] v1 set lease=v2:3");
    LEASE(77, "");
    SLEEP(30 * SECOND);
    RUN();
    V2("/a", "/a=2 [3,3] ttl=30");
    SLEEP(30 * SECOND);
    RUN();
    EVENT(4, "expire /a=");
}

static void a_refresh_makes_a_ttl_of_a_lease(void **state)
{
    (void)state;
    struct tree_command refresh = {.op = TREE_UPDATE,
                                   .path = SLICE("/a"),
                                   .refresh = true,
                                   .has_ttl = true,
                                   .ttl_s = 60};
    v3(ask_grant(77, 30));
    v3(ask_put("/a", "3", 77));
    v2(refresh);
    V3("/a", "3 [2,3] v2 update lease=v2:3");
    LEASE(77, "");
}

static void a_delete_leaves_the_lease(void **state)
{
    (void)state;
    v3(ask_grant(77, 30));
    v3(ask_put("/a", "3", 77));
    v2(harness_delete("/a"));
    LEASE(77, "");
    v2(harness_set("/a", "2"));
    SLEEP(30 * SECOND);
    RUN();
    V2("/a", "/a=2 [4,4]");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        STORY(a_path_is_a_key),
        STORY(an_index_is_a_revision),
        STORY(a_directory_is_not_v3s),
        STORY(what_has_keys_below_it_is_a_directory),
        STORY(a_file_and_a_directory_of_one_name),
        STORY(what_does_not_begin_with_a_slash_is_not_v2s),
        STORY(a_set_begins_anew),
        STORY(an_update_goes_on),
        STORY(a_txn_compares_what_v2_wrote),
        STORY(a_recursive_delete_takes_what_v3_put),
        STORY(v3_sees_the_lease_of_a_ttl),
        STORY(the_ttl_of_a_directory_takes_what_v3_put),
        STORY(v3_may_revoke_the_lease_of_a_ttl),
        STORY(v3_does_not_keep_a_ttl_alive),
        STORY(a_put_over_a_ttl_ends_it),
        STORY(a_put_over_a_ttl_may_bring_a_lease),
        STORY(a_put_may_leave_the_ttl_as_it_is),
        STORY(a_put_can_not_share_a_ttl),
        STORY(a_range_that_is_deleted_loses_its_ttls),
        STORY(v2_tells_of_a_lease_that_ended),
        STORY(what_v2_writes_leaves_its_lease),
        STORY(a_ttl_takes_the_place_of_a_lease),
        STORY(a_refresh_makes_a_ttl_of_a_lease),
        STORY(a_delete_leaves_the_lease),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
