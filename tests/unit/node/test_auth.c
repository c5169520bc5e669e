/* Users and roles at a node: what a command may do is decided when it is
 * applied, by every member the same. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>

#include "base/check.h"
#include "proto/message.h"
#include "support/node_cluster.h"
#include "support/node_harness.h"
#include "support/node_requests.h"

static struct node_harness world;
static struct auth_tokens *tokens;

/* ---- a door that a token can be seen through ----------------------------- */

static void digest(struct crypto *crypto, struct slice bytes,
                   unsigned char out[CRYPTO_SHA256_BYTES])
{
    (void)crypto;
    for (uint64_t i = 0; i < CRYPTO_SHA256_BYTES / 8; i++) {
        put_le64(out + i * 8, slice_hash(bytes, i + 1));
    }
}

static void chance(struct crypto *crypto, void *out, size_t size)
{
    (void)crypto;
    memset(out, 7, size);
}

static void no_lock(struct lock *lock)
{
    (void)lock;
}

static const struct crypto_ops ops = {.sha256 = digest, .random = chance};
static struct crypto crypto = {&ops, 0};
static struct lock lock = {no_lock, no_lock, no_lock, no_lock};

static const char token[] = "abcdefghijklmnop.9";

/* ---- the world ----------------------------------------------------------- */

static int begin(void **state)
{
    (void)state;
    node_harness_init(&world, 1);
    struct auth_tokens_config config = {
        .crypto = &crypto,
        .clock = &world.clock,
        .lock = &lock,
        .ttl_ns = 300 * HARNESS_SECOND_NS,
    };
    tokens = auth_tokens_new(&config);
    world.config.tokens = tokens;
    return 0;
}

static int end(void **state)
{
    (void)state;
    node_harness_deinit(&world);
    auth_tokens_free(tokens);
    return 0;
}

#define STORY(name) cmocka_unit_test_setup_teardown(name, begin, end)
#define OPEN() assert_int_equal(node_harness_open(&world), ERR_OK)
#define RUN() assert_int_equal(node_harness_run(&world), ERR_OK)
#define RECORD(key, text) \
    assert_string_equal(record_text(world.node, key), text)

static const struct node_request *ask(const struct command *command)
{
    enum err err;
    struct harness_write *write = node_harness_send(&world, command, &err);
    assert_non_null(write);
    RUN();
    assert_true(write->done);
    assert_int_equal(write->request.err, ERR_OK);
    return &write->request;
}

/* As this user asks for it, under the revision that holds. */
static enum v3_error as(const char *user, struct command command)
{
    command.user = slice_str(user);
    command.auth_revision = auth_revision(node_auth(world.node));
    return ask(&command)->answer.error;
}

static enum v3_error as_server(struct command command)
{
    command.user = AUTH_SERVER;
    return ask(&command)->answer.error;
}

static struct command change(const struct auth_change *what, size_t count)
{
    return (struct command){
        .type = COMMAND_AUTH,
        .auth = {.changes = what, .count = count},
    };
}

#define WORD(text) slice_str(text)

/* root, and "ann" who may write and read "a" and what is below "/a/". */
static const struct auth_change beginnings[] = {
    {.op = AUTH_USER_ADD, .user = {"root", 4}, .hash = {"h", 1}},
    {.op = AUTH_USER_GRANT, .user = {"root", 4}, .role = {"root", 4}},
    {.op = AUTH_USER_ADD, .user = {"ann", 3}, .hash = {"h", 1}},
    {.op = AUTH_ROLE_ADD, .role = {"as", 2}},
    {.op = AUTH_ROLE_GRANT,
     .role = {"as", 2},
     .key = {"a", 1},
     .access = AUTH_READWRITE},
    {.op = AUTH_ROLE_GRANT,
     .role = {"as", 2},
     .key = {"/a/", 3},
     .range_end = {"/a0", 3},
     .access = AUTH_READWRITE},
    {.op = AUTH_USER_GRANT, .user = {"ann", 3}, .role = {"as", 2}},
    {.op = AUTH_ENABLE},
};

static void enable(void)
{
    OPEN();
    assert_int_equal(
        as("", change(beginnings, sizeof(beginnings) / sizeof(*beginnings))),
        V3_OK);
    assert_true(auth_is_on(node_auth(world.node)));
}

static enum v3_error change_one(const char *user, struct auth_change what)
{
    return as(user, change(&what, 1));
}

/* ---- v3's writes --------------------------------------------------------- */

static struct command raise_alarm(void)
{
    return ask_raise(0x3e3, ETCDSERVERPB__ALARM_TYPE__NOSPACE);
}

static struct command settle(void)
{
    return (struct command){
        .type = COMMAND_CLUSTER,
        .cluster = {.has_active_size = true, .active_size = 5},
    };
}

static void nobody_does_anything(void **state)
{
    (void)state;
    enable();
    const struct command commands[] = {
        {.type = COMMAND_LEASE_RENEW},
        settle(),
        ask_compact(1),
    };
    for (size_t i = 0; i < sizeof(commands) / sizeof(*commands); i++) {
        assert_int_equal(as("", commands[i]), V3_USER_EMPTY);
        assert_int_equal(as("bob", commands[i]), V3_PERMISSION_DENIED);
    }
    assert_int_equal(as("", ask_put("a", "1", 0)), V3_USER_EMPTY);
    assert_int_equal(as("bob", ask_put("a", "1", 0)), V3_PERMISSION_DENIED);
    assert_int_equal(as("", ask_delete("a", NULL)), V3_USER_EMPTY);
    assert_int_equal(as("", ask_toggle("a")), V3_USER_EMPTY);
    assert_int_equal(as("", ask_grant(5, 60)), V3_USER_EMPTY);
    assert_int_equal(as("", ask_revoke(5)), V3_USER_EMPTY);
    assert_int_equal(as("", raise_alarm()), V3_USER_EMPTY);
    assert_int_equal(change_one("", (struct auth_change){.op = AUTH_DISABLE}),
                     V3_USER_EMPTY);
    RECORD("a", "none");
    assert_string_equal(alarm_text(world.node), "");
}

static void each_does_what_his_roles_allow(void **state)
{
    (void)state;
    enable();
    assert_int_equal(as("ann", ask_put("a", "1", 0)), V3_OK);
    assert_int_equal(as("ann", ask_put("b", "1", 0)), V3_PERMISSION_DENIED);
    assert_int_equal(as("ann", ask_delete("a", "c")), V3_PERMISSION_DENIED);
    assert_int_equal(as("ann", ask_toggle("b")), V3_PERMISSION_DENIED);
    RECORD("b", "none");
    assert_int_equal(as("ann", ask_toggle("a")), V3_OK);
    RECORD("a", "none");
    assert_int_equal(as("root", ask_put("b", "1", 0)), V3_OK);
    assert_int_equal(as("ann", ask_compact(2)), V3_PERMISSION_DENIED);
    assert_int_equal(as("ann", settle()), V3_PERMISSION_DENIED);
    assert_int_equal(as("ann", raise_alarm()), V3_PERMISSION_DENIED);
    assert_int_equal(as("root", ask_compact(2)), V3_OK);
    assert_int_equal(as("root", settle()), V3_OK);
    assert_int_equal(change_one("ann",
                                (struct auth_change){
                                    .op = AUTH_ROLE_ADD,
                                    .role = WORD("more"),
                                }),
                     V3_PERMISSION_DENIED);
    assert_int_equal(change_one("root",
                                (struct auth_change){
                                    .op = AUTH_ROLE_ADD,
                                    .role = WORD("more"),
                                }),
                     V3_OK);
}

static void a_lease_is_of_those_who_may_write_its_keys(void **state)
{
    (void)state;
    enable();
    assert_int_equal(as("ann", ask_grant(5, 60)), V3_OK);
    assert_int_equal(as("root", ask_grant(6, 60)), V3_OK);
    assert_int_equal(as("root", ask_put("b", "1", 6)), V3_OK);
    assert_int_equal(as("ann", ask_put("a", "1", 6)), V3_PERMISSION_DENIED);
    assert_int_equal(as("ann", ask_renew(6)), V3_PERMISSION_DENIED);
    assert_int_equal(as("ann", ask_revoke(6)), V3_PERMISSION_DENIED);
    assert_int_equal(as("ann", ask_put("a", "1", 5)), V3_OK);
    assert_int_equal(as("ann", ask_renew(5)), V3_OK);
    assert_int_equal(as("ann", ask_revoke(5)), V3_OK);
    RECORD("a", "none");
    RECORD("b", "1 [2,2] v1 put lease=6");
}

/* ---- v2's ---------------------------------------------------------------- */

static enum tree_error write_tree(const char *user, struct tree_command tree)
{
    struct command command = {
        .type = COMMAND_TREE,
        .user = slice_str(user),
        .auth_revision = auth_revision(node_auth(world.node)),
        .tree = tree,
    };
    const struct node_request *request = ask(&command);
    assert_int_equal(request->tree.index, node_harness_revision(&world));
    return request->tree.error;
}

static void v2_is_told_that_it_needs_a_user(void **state)
{
    (void)state;
    enable();
    assert_int_equal(write_tree("", harness_set("/a/1", "1")),
                     TREE_UNAUTHORIZED);
    assert_int_equal(write_tree("ann", harness_set("/b/1", "1")),
                     TREE_UNAUTHORIZED);
    assert_null(node_harness_get(&world, "/a/1"));
    assert_int_equal(write_tree("ann", harness_set("/a/1", "1")), TREE_NONE);
    assert_string_equal(node_harness_get(&world, "/a/1"), "1");
    /* All that is below it would go. */
    struct tree_command all = harness_delete("/a");
    all.recursive = true;
    assert_int_equal(write_tree("ann", all), TREE_UNAUTHORIZED);
    /* What is made in a directory lies below it. */
    struct tree_command post = harness_set("/a/queue", "1");
    post.op = TREE_CREATE_IN_ORDER;
    assert_int_equal(write_tree("ann", post), TREE_NONE);
    post.path = WORD("/b");
    assert_int_equal(write_tree("ann", post), TREE_UNAUTHORIZED);
    assert_int_equal(write_tree("root", post), TREE_NONE);
}

/* ---- what members do by themselves --------------------------------------- */

static void what_lives_for_a_time_ends_with_nobody_asking(void **state)
{
    (void)state;
    enable();
    assert_int_equal(as("root", ask_grant(5, 10)), V3_OK);
    assert_int_equal(as("root", ask_put("b", "1", 5)), V3_OK);
    assert_int_equal(write_tree("ann", harness_set_ttl("/a/1", "1", 10)),
                     TREE_NONE);
    node_harness_sleep(&world, 12 * HARNESS_SECOND_NS);
    RUN();
    RECORD("b", "none");
    assert_null(node_harness_get(&world, "/a/1"));
}

static void history_is_compacted_with_nobody_asking(void **state)
{
    struct mvcc_status status;
    (void)state;
    world.config.compaction = NODE_COMPACTION_REVISION;
    world.config.compaction_keep = 10;
    enable();
    for (int i = 0; i < 100; i++) {
        assert_int_equal(as("ann", ask_put("a", "1", 0)), V3_OK);
    }
    node_harness_sleep(&world, 6 * HARNESS_SECOND_NS);
    RUN();
    mvcc_status(node_mvcc(world.node), &status);
    assert_int_equal(status.compacted, 91);
    assert_int_equal(as_server(ask_compact(95)), V3_OK);
}

/* ---- revisions ----------------------------------------------------------- */

static void a_write_of_another_revision_is_refused(void **state)
{
    (void)state;
    enable();
    struct command put = ask_put("a", "1", 0);
    uint64_t before = auth_revision(node_auth(world.node));
    put.user = WORD("ann");
    put.auth_revision = before;
    assert_int_equal(ask(&put)->answer.error, V3_OK);
    assert_int_equal(change_one("root",
                                (struct auth_change){
                                    .op = AUTH_ROLE_ADD,
                                    .role = WORD("more"),
                                }),
                     V3_OK);
    assert_int_equal(auth_revision(node_auth(world.node)), before + 1);
    assert_int_equal(ask(&put)->answer.error, V3_AUTH_OLD_REVISION);
    put.auth_revision = before + 2;
    assert_int_equal(ask(&put)->answer.error, V3_AUTH_OLD_REVISION);
    /* Let in while auth was off. */
    put.auth_revision = 0;
    assert_int_equal(ask(&put)->answer.error, V3_AUTH_OLD_REVISION);
    put.auth_revision = before + 1;
    assert_int_equal(ask(&put)->answer.error, V3_OK);
    RECORD("a", "1 [2,3] v2 put");
    /* While it is off nobody looks at any of it. */
    assert_int_equal(
        change_one("root", (struct auth_change){.op = AUTH_DISABLE}), V3_OK);
    assert_int_equal(ask(&put)->answer.error, V3_OK);
    put.user = WORD("");
    assert_int_equal(ask(&put)->answer.error, V3_OK);
}

static void several_changes_are_done_together_or_not_at_all(void **state)
{
    (void)state;
    enable();
    uint64_t before = auth_revision(node_auth(world.node));
    struct auth_user user;
    const struct auth_change changes[] = {
        {.op = AUTH_USER_ADD, .user = WORD("eve"), .hash = WORD("h")},
        {.op = AUTH_USER_GRANT, .user = WORD("eve"), .role = WORD("none")},
    };
    assert_int_equal(as("root", change(changes, 2)), V3_ROLE_NOT_FOUND);
    assert_false(auth_user(node_auth(world.node), WORD("eve"), &user));
    assert_int_equal(auth_revision(node_auth(world.node)), before);
    assert_int_equal(as("root", change(changes, 1)), V3_OK);
    assert_true(auth_user(node_auth(world.node), WORD("eve"), &user));
    assert_int_equal(as("root", change(changes, 0)), V3_OK);
}

/* ---- through restarts ---------------------------------------------------- */

/* Who looks at users alone waits for those who change them, for no one else. */
static void users_have_a_lock_of_their_own(void **state)
{
    (void)state;
    enable();
    assert_ptr_equal(node_auth_lock(world.node), &world.auth_lock);
    size_t changes = world.changes;
    assert_true(changes > 0);
    assert_int_equal(as("ann", ask_put("a", "1", 0)), V3_OK);
    assert_int_equal(world.changes, changes);
    assert_int_equal(change_one("root",
                                (struct auth_change){
                                    .op = AUTH_ROLE_ADD,
                                    .role = WORD("more"),
                                }),
                     V3_OK);
    assert_int_equal(world.changes, changes + 1);
}

static void users_are_there_after_a_restart_and_after_a_crash(void **state)
{
    (void)state;
    enable();
    uint64_t before = auth_revision(node_auth(world.node));
    node_harness_restart(&world);
    assert_true(auth_is_on(node_auth(world.node)));
    assert_int_equal(auth_revision(node_auth(world.node)), before);
    assert_int_equal(as("ann", ask_put("a", "1", 0)), V3_OK);
    assert_int_equal(change_one("root",
                                (struct auth_change){
                                    .op = AUTH_USER_REVOKE,
                                    .user = WORD("ann"),
                                    .role = WORD("as"),
                                }),
                     V3_OK);
    node_harness_recover(&world);
    assert_int_equal(auth_revision(node_auth(world.node)), before + 1);
    assert_int_equal(as("ann", ask_put("a", "2", 0)), V3_PERMISSION_DENIED);
    RECORD("a", "1 [2,2] v1 put");
}

/* ---- tokens -------------------------------------------------------------- */

static struct command token_of(const char *user, const char *letters)
{
    static unsigned char made[CRYPTO_SHA256_BYTES];
    static struct auth_change one;
    digest(&crypto, slice_of(letters, AUTH_SIMPLE_LETTERS), made);
    one = (struct auth_change){
        .op = AUTH_TOKEN,
        .user = slice_str(user),
        .hash = slice_of(made, sizeof(made)),
    };
    struct command command = change(&one, 1);
    command.user = AUTH_SERVER;
    command.auth_revision = auth_revision(node_auth(world.node));
    return command;
}

static enum v3_error add_token(const char *user)
{
    struct command command = token_of(user, token);
    return ask(&command)->answer.error;
}

static enum v3_error find_token(char user[AUTH_NAME_BYTES_MAX])
{
    size_t size = 0;
    enum v3_error error =
        auth_tokens_find(tokens, slice_str(token),
                         auth_revision(node_auth(world.node)), user, &size);
    user[size] = '\0';
    return error;
}

static void a_token_is_its_users_until_he_loses_it(void **state)
{
    char user[AUTH_NAME_BYTES_MAX];
    static const enum auth_op losses[] = {AUTH_USER_PASSWORD, AUTH_USER_DELETE,
                                          AUTH_DISABLE};
    (void)state;
    enable();
    for (size_t i = 0; i < sizeof(losses) / sizeof(*losses); i++) {
        if (losses[i] == AUTH_DISABLE) {
            assert_int_equal(change_one("root", beginnings[2]), V3_OK);
        }
        assert_int_equal(add_token("ann"), V3_OK);
        assert_int_equal(find_token(user), V3_OK);
        assert_string_equal(user, "ann");
        /* Another's loss is none of hers. */
        assert_int_equal(change_one("root",
                                    (struct auth_change){
                                        .op = AUTH_USER_PASSWORD,
                                        .user = WORD("root"),
                                        .hash = WORD("i"),
                                    }),
                         V3_OK);
        assert_int_equal(
            change_one("root", (struct auth_change){.op = AUTH_ENABLE}), V3_OK);
        assert_int_equal(find_token(user), V3_OK);
        assert_int_equal(change_one("root",
                                    (struct auth_change){
                                        .op = losses[i],
                                        .user = WORD("ann"),
                                        .hash = WORD("i"),
                                    }),
                         V3_OK);
        assert_int_equal(find_token(user), V3_INVALID_AUTH_TOKEN);
        assert_int_equal(auth_tokens_count(tokens), 0);
    }
}

static void a_token_is_the_servers_to_give(void **state)
{
    (void)state;
    assert_int_equal(node_harness_open(&world), ERR_OK);
    assert_int_equal(add_token("ann"), V3_AUTH_NOT_ENABLED);
    node_harness_close(&world);
    enable();
    struct command command = token_of("ann", token);
    command.user = WORD("root");
    assert_int_equal(ask(&command)->answer.error, V3_PERMISSION_DENIED);
    command.user = WORD("");
    assert_int_equal(ask(&command)->answer.error, V3_PERMISSION_DENIED);
    command.user = AUTH_SERVER;
    command.auth_revision--;
    assert_int_equal(ask(&command)->answer.error, V3_AUTH_OLD_REVISION);
    assert_int_equal(add_token("nobody"), V3_AUTH_FAILED);
    /* Not in one command with what would let it in. */
    const struct auth_change both[] = {
        {.op = AUTH_ROLE_ADD, .role = WORD("more")},
        command.auth.changes[0],
    };
    assert_int_equal(as("root", change(both, 2)), V3_INVALID_AUTH_MGMT);
    assert_int_equal(auth_tokens_count(tokens), 0);
}

/* What the log holds of it is no more than a digest, and old when it is read
 * again long after. */
static void a_token_of_long_ago_is_not_taken_from_the_log(void **state)
{
    char user[AUTH_NAME_BYTES_MAX];
    (void)state;
    enable();
    assert_int_equal(add_token("ann"), V3_OK);
    node_harness_crash(&world);
    auth_tokens_drop(tokens, slice_of(NULL, 0));
    node_harness_sleep(&world, (AUTH_TOKEN_TTL_S + 60) * HARNESS_SECOND_NS);
    OPEN();
    RUN();
    assert_true(auth_is_on(node_auth(world.node)));
    assert_int_equal(find_token(user), V3_INVALID_AUTH_TOKEN);
}

/* As the simulator has it. */
static void without_tokens_all_else_is_the_same(void **state)
{
    (void)state;
    world.config.tokens = NULL;
    enable();
    assert_int_equal(add_token("ann"), V3_OK);
    assert_int_equal(as("ann", ask_put("a", "1", 0)), V3_OK);
    assert_int_equal(change_one("root",
                                (struct auth_change){
                                    .op = AUTH_USER_DELETE,
                                    .user = WORD("ann"),
                                }),
                     V3_OK);
    assert_int_equal(as("ann", ask_put("a", "1", 0)), V3_PERMISSION_DENIED);
    assert_int_equal(
        change_one("root", (struct auth_change){.op = AUTH_DISABLE}), V3_OK);
}

/* ---- several members ----------------------------------------------------- */

static struct node_cluster cluster;

static enum v3_error as_at(size_t member, const char *user,
                           struct command command)
{
    struct auth *auth = node_auth(cluster.members[member].node);
    command.user = slice_str(user);
    command.auth_revision = auth_is_on(auth) ? auth_revision(auth) : 0;
    struct cluster_wait *wait = cluster_submit(&cluster, member, &command);
    assert_int_equal(cluster_wait(&cluster, wait), ERR_OK);
    return wait->request.answer.error;
}

static void begin_cluster(void)
{
    cluster_init(&cluster, 3, 0, 3);
    for (size_t i = 0; i < 3; i++) {
        cluster.members[i].config.catch_up_entries = 0;
    }
    cluster_open_all(&cluster);
    assert_int_equal(
        as_at(cluster_leader(&cluster), "",
              change(beginnings, sizeof(beginnings) / sizeof(*beginnings))),
        V3_OK);
    cluster_settle(&cluster);
}

static void a_follower_hands_over_who_asks(void **state)
{
    (void)state;
    begin_cluster();
    size_t follower = cluster_follower(&cluster);
    assert_int_equal(as_at(follower, "", ask_put("a", "1", 0)), V3_USER_EMPTY);
    assert_int_equal(as_at(follower, "ann", ask_put("b", "1", 0)),
                     V3_PERMISSION_DENIED);
    assert_int_equal(as_at(follower, "ann", ask_put("a", "1", 0)), V3_OK);
    const struct auth_change more = {.op = AUTH_ROLE_ADD, .role = {"m", 1}};
    assert_int_equal(as_at(follower, "root", change(&more, 1)), V3_OK);
    cluster_settle(&cluster);
    cluster_check_same(&cluster);
    cluster_deinit(&cluster);
}

/* A member that gets the whole store gets the users with it, whatever it knew
 * before. */
static void a_snapshot_brings_the_users(void **state)
{
    char value[16];
    (void)state;
    begin_cluster();
    size_t leader = cluster_leader(&cluster);
    size_t behind = cluster_follower(&cluster);
    cluster_isolate(&cluster, behind, true);
    const struct auth_change gone = {.op = AUTH_USER_DELETE,
                                     .user = {"ann", 3}};
    assert_int_equal(as_at(leader, "root", change(&gone, 1)), V3_OK);
    for (int i = 0; i < 60; i++) {
        snprintf(value, sizeof(value), "%d", i);
        assert_int_equal(as_at(leader, "root", ask_put("b", value, 0)), V3_OK);
    }
    for (size_t i = 0; i < 3; i++) {
        if (i != behind) {
            assert_int_equal(cluster_flush(&cluster, i), ERR_OK);
        }
    }
    cluster_run(&cluster, 200);
    assert_int_equal(as_at(leader, "root", ask_put("b", "last", 0)), V3_OK);
    struct auth_user user;
    struct auth *auth = node_auth(cluster.members[behind].node);
    assert_true(auth_user(auth, WORD("ann"), &user));
    cluster_mend(&cluster);
    cluster_settle(&cluster);
    assert_int_equal(cluster.members[behind].snapshots_taken, 1);
    assert_false(auth_user(auth, WORD("ann"), &user));
    assert_int_equal(as_at(behind, "ann", ask_put("a", "1", 0)),
                     V3_PERMISSION_DENIED);
    assert_int_equal(as_at(behind, "root", ask_put("a", "1", 0)), V3_OK);
    cluster_settle(&cluster);
    cluster_check_same(&cluster);
    cluster_deinit(&cluster);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        STORY(nobody_does_anything),
        STORY(each_does_what_his_roles_allow),
        STORY(a_lease_is_of_those_who_may_write_its_keys),
        STORY(v2_is_told_that_it_needs_a_user),
        STORY(what_lives_for_a_time_ends_with_nobody_asking),
        STORY(history_is_compacted_with_nobody_asking),
        STORY(a_write_of_another_revision_is_refused),
        STORY(several_changes_are_done_together_or_not_at_all),
        STORY(users_have_a_lock_of_their_own),
        STORY(users_are_there_after_a_restart_and_after_a_crash),
        STORY(a_token_is_its_users_until_he_loses_it),
        STORY(a_token_is_the_servers_to_give),
        STORY(a_token_of_long_ago_is_not_taken_from_the_log),
        STORY(without_tokens_all_else_is_the_same),
        cmocka_unit_test(a_follower_hands_over_who_asks),
        cmocka_unit_test(a_snapshot_brings_the_users),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
