/* Users and roles, in etcd's file and out of it. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>

#include "etcdb_world.h"

static struct node_harness one, two;
static struct buf file;
static struct hand hand;

static int begin(void **state)
{
    (void)state;
    node_harness_init(&one, 1);
    node_harness_init(&two, 2);
    hand_begin(&hand);
    return 0;
}

static int end(void **state)
{
    (void)state;
    node_harness_deinit(&one);
    node_harness_deinit(&two);
    hand_free(&hand);
    buf_deinit(&file);
    file = (struct buf){0};
    return 0;
}

#define STORY(name) cmocka_unit_test_setup_teardown(name, begin, end)
#define IS(text, want) assert_string_equal(text, want)

static void open_first(void)
{
    assert_int_equal(node_harness_open(&one), ERR_OK);
    settle(&one);
}

static void change(struct node_harness *at, const struct auth_change *changes,
                   size_t count)
{
    struct command command = {
        .type = COMMAND_AUTH,
        .user = AUTH_SERVER,
        .auth = {.changes = changes, .count = count},
    };
    enum err err;
    struct harness_write *write = node_harness_send(at, &command, &err);
    assert_non_null(write);
    assert_int_equal(node_harness_run(at), ERR_OK);
    assert_true(write->done);
    assert_int_equal(write->request.err, ERR_OK);
    assert_int_equal(write->request.answer.error, V3_OK);
    node_harness_forget(at);
}

/* A user with a role of three permissions, one without a password, and root. */
static void make_users(struct node_harness *at)
{
    const struct auth_change changes[] = {
        {.op = AUTH_ROLE_ADD, .role = SLICE("r")},
        {.op = AUTH_ROLE_GRANT,
         .role = SLICE("r"),
         .key = SLICE("a"),
         .range_end = SLICE("b"),
         .access = AUTH_READ},
        {.op = AUTH_ROLE_GRANT,
         .role = SLICE("r"),
         .key = SLICE("k"),
         .access = AUTH_READWRITE},
        {.op = AUTH_ROLE_GRANT,
         .role = SLICE("r"),
         .key = SLICE("x"),
         .range_end = SLICE("\0"),
         .access = AUTH_WRITE},
        {.op = AUTH_ROLE_ADD, .role = SLICE("root")},
        {.op = AUTH_USER_ADD,
         .user = SLICE("root"),
         .hash = SLICE("$2a$04$root")},
        {.op = AUTH_USER_GRANT, .user = SLICE("root"), .role = SLICE("root")},
        {.op = AUTH_USER_ADD, .user = SLICE("u"), .hash = SLICE("$2a$04$u")},
        {.op = AUTH_USER_GRANT, .user = SLICE("u"), .role = SLICE("r")},
        {.op = AUTH_USER_ADD, .user = SLICE("cert"), .no_password = true},
    };
    change(at, changes, sizeof changes / sizeof *changes);
}

static const struct auth_change enable = {.op = AUTH_ENABLE};

/* ---- out ----------------------------------------------------------------- */

static void without_users_there_is_nothing(void **state)
{
    (void)state;
    open_first();
    export_to(&one, &file);
    IS(bucket(buf_slice(&file), "auth"), "");
    IS(bucket(buf_slice(&file), "authUsers"), "");
    IS(bucket(buf_slice(&file), "authRoles"), "");
}

static void they_are_as_etcd_has_them(void **state)
{
    (void)state;
    char want[200];
    open_first();
    make_users(&one);
    change(&one, &enable, 1);
    export_to(&one, &file);
    snprintf(want, sizeof want, "authEnabled=01\nauthRevision=%016llx\n",
             (unsigned long long)auth_revision(node_auth(one.node)));
    IS(bucket(buf_slice(&file), "auth"), want);
    /* name, password, roles; options { no_password }. */
    IS(bucket(buf_slice(&file), "authUsers"), "cert=0a0463657274"
                                              "22020801\n"
                                              "root=0a04726f6f74"
                                              "120b243261243034"
                                              "24726f6f74"
                                              "1a04726f6f74\n"
                                              "u=0a0175"
                                              "1208243261243034"
                                              "2475"
                                              "1a0172\n");
    /* name, and of each permission: type, key, range_end. */
    IS(bucket(buf_slice(&file), "authRoles"), "r=0a0172"
                                              "1206"
                                              "120161"
                                              "1a0162"
                                              "1205"
                                              "0802"
                                              "12016b"
                                              "1208"
                                              "0801"
                                              "120178"
                                              "1a0100\n"
                                              "root=0a04726f6f74\n");
}

static void turned_off_again_is_told(void **state)
{
    (void)state;
    const struct auth_change disable = {.op = AUTH_DISABLE};
    open_first();
    make_users(&one);
    change(&one, &enable, 1);
    change(&one, &disable, 1);
    export_to(&one, &file);
    assert_non_null(
        strstr(bucket(buf_slice(&file), "auth"), "authEnabled=00\n"));
}

/* ---- and in -------------------------------------------------------------- */

static void users_move_with_a_snapshot(void **state)
{
    (void)state;
    struct etcdb_imported imported;
    struct auth_user user;
    struct auth_role role;
    open_first();
    make_users(&one);
    change(&one, &enable, 1);
    export_to(&one, &file);
    assert_int_equal(try_import(&two, buf_slice(&file), NULL, &imported),
                     ERR_OK);
    assert_int_equal(imported.users, 3);
    assert_int_equal(imported.roles, 2);
    assert_true(imported.has_auth);
    assert_int_equal(node_harness_open(&two), ERR_OK);
    const struct auth *auth = node_auth(two.node);
    assert_true(auth_is_on(auth));
    /* No token of before is good. */
    assert_true(auth_revision(auth) > auth_revision(node_auth(one.node)));
    assert_true(auth_user(auth, SLICE("u"), &user));
    assert_true(slice_eq(user.hash, SLICE("$2a$04$u")));
    assert_true(auth_user(auth, SLICE("cert"), &user));
    assert_true(user.no_password);
    assert_true(auth_role(auth, SLICE("r"), &role));
    assert_int_equal(role.permission_count, 3);
    assert_int_equal(
        auth_may(auth, SLICE("u"), AUTH_READ, SLICE("a"), SLICE("b")), V3_OK);
    assert_int_equal(
        auth_may(auth, SLICE("u"), AUTH_WRITE, SLICE("a"), SLICE("b")),
        V3_PERMISSION_DENIED);
}

static void out_and_in_and_out_is_the_same(void **state)
{
    (void)state;
    struct buf again = {0};
    char users[1000];
    open_first();
    make_users(&one);
    export_to(&one, &file);
    import_into(&two, buf_slice(&file), NULL);
    export_to(&two, &again);
    snprintf(users, sizeof users, "%s", bucket(buf_slice(&file), "authUsers"));
    IS(bucket(buf_slice(&again), "authUsers"), users);
    snprintf(users, sizeof users, "%s", bucket(buf_slice(&file), "authRoles"));
    IS(bucket(buf_slice(&again), "authRoles"), users);
    buf_deinit(&again);
}

/* ---- what can't be ------------------------------------------------------- */

static void refuse(const char *why)
{
    struct etcdb_imported imported;
    hand_end(&hand);
    assert_int_equal(try_import(&one, buf_slice(&hand.file), NULL, &imported),
                     ERR_CORRUPT);
    if (strstr(err_note(), why) == NULL)
        fail_msg("\"%s\" isn't in \"%s\"", why, err_note());
}

static void a_user_by_another_name(void **state)
{
    (void)state;
    hand_bucket(&hand, "authUsers");
    hand_pair(&hand, SLICE("alice"),
              SLICE("\x0a\x03"
                    "bob"));
    refuse("alice is malformed");
}

static void a_role_that_is_no_message(void **state)
{
    (void)state;
    hand_bucket(&hand, "authRoles");
    hand_pair(&hand, SLICE("r"), SLICE("\xff\xff"));
    refuse("authRoles");
}

static void a_user_that_is_called_as_nobody_may(void **state)
{
    (void)state;
    hand_bucket(&hand, "authUsers");
    hand_pair(&hand, SLICE("\0server"),
              SLICE("\x0a\x07"
                    "\0server"));
    refuse("authUsers");
}

static void a_state_that_is_malformed(void **state)
{
    (void)state;
    hand_bucket(&hand, "auth");
    hand_pair(&hand, SLICE("authEnabled"), SLICE("\2"));
    refuse("bucket \"auth\"");
}

static void a_revision_that_is_malformed(void **state)
{
    (void)state;
    hand_bucket(&hand, "auth");
    hand_pair(&hand, SLICE("authRevision"),
              SLICE("\xff\xff\xff\xff\xff\xff\xff\xff"));
    refuse("revision is malformed");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        STORY(without_users_there_is_nothing),
        STORY(they_are_as_etcd_has_them),
        STORY(turned_off_again_is_told),
        STORY(users_move_with_a_snapshot),
        STORY(out_and_in_and_out_is_the_same),
        STORY(a_user_by_another_name),
        STORY(a_role_that_is_no_message),
        STORY(a_user_that_is_called_as_nobody_may),
        STORY(a_state_that_is_malformed),
        STORY(a_revision_that_is_malformed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
