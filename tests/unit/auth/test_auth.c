/* Users and roles: what may be changed, what is said when it may not, and that
 * it is all there again after a start. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/limits.h"
#include "tests/unit/auth/auth_world.h"

static void make_root(void)
{
    IS(tell("user add root; role add root; user grant root root"), "");
}

static uint64_t revision_now(void)
{
    return auth_revision(auth);
}

/* ---- users --------------------------------------------------------------- */

static void test_users_come_and_go(void **state)
{
    (void)state;
    assert_int_equal(revision_now(), 1);
    IS(tell("user add bob"), "");
    IS(tell("user add ann"), "");
    IS(show(), "ann:#\nbob:#\n");
    assert_int_equal(revision_now(), 3);
    IS(tell("user add bob"), "user name already exists");
    IS(tell("user add -"), "user name is empty");
    IS(tell("user delete carl"), "user name not found");
    IS(tell("user delete -"), "user name not found");
    assert_int_equal(revision_now(), 3);
    IS(tell("user delete bob"), "");
    IS(show(), "ann:#\n");
    assert_int_equal(revision_now(), 4);
}

static void test_a_password_is_changed(void **state)
{
    (void)state;
    IS(tell("user add ann"), "");
    IS(tell("user password ann ##"), "");
    IS(show(), "ann:##\n");
    IS(tell("user password bob ##"), "user name not found");
    assert_int_equal(revision_now(), 3);
}

/* As in etcd: who has none can't be given one. */
static void test_a_user_may_have_no_password(void **state)
{
    (void)state;
    IS(tell("user add ann without"), "");
    IS(show(), "ann!\n");
    IS(tell("user password ann ##"), "");
    IS(show(), "ann!\n");
    struct auth_change none = {
        .op = AUTH_USER_PASSWORD, .user = SLICE("bob"), .no_password = true};
    IS(tell("user add bob"), "");
    assert_int_equal(apply(&none, 1), V3_OK);
    IS(show(), "ann!\nbob!\n");
}

static void test_names_are_such_as_can_be_written(void **state)
{
    (void)state;
    char long_name[AUTH_NAME_BYTES_MAX + 1];
    memset(long_name, 'x', sizeof long_name);
    struct slice bad[] = {
        slice_of(long_name, sizeof long_name),
        SLICE("a\0b"),
        SLICE("\xff"),
        AUTH_GUEST,
        AUTH_SERVER,
        AUTH_RECIPE_OF,
    };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct auth_change user = {.op = AUTH_USER_ADD, .user = bad[i]};
        struct auth_change role = {.op = AUTH_ROLE_ADD, .role = bad[i]};
        assert_int_equal(apply(&user, 1), V3_INVALID_AUTH_MGMT);
        assert_int_equal(apply(&role, 1), V3_INVALID_AUTH_MGMT);
    }
    IS(show(), "");
    struct auth_change longest = {
        .op = AUTH_USER_ADD, .user = slice_of(long_name, AUTH_NAME_BYTES_MAX)};
    assert_int_equal(apply(&longest, 1), V3_OK);
    load_anew();
    struct auth_user found;
    assert_true(auth_user(auth, longest.user, &found));
}

/* ---- roles --------------------------------------------------------------- */

static void test_roles_come_and_go(void **state)
{
    (void)state;
    IS(tell("role add writer"), "");
    IS(tell("role add reader"), "");
    IS(tell("role add reader"), "role name already exists");
    IS(tell("role add -"), "role name is empty");
    IS(tell("role delete nobody"), "role name not found");
    IS(show(), "reader=\nwriter=\n");
    assert_int_equal(revision_now(), 3);
}

static void test_a_role_is_granted(void **state)
{
    (void)state;
    IS(tell("user add ann"), "");
    IS(tell("user grant ann reader"), "role name not found");
    IS(tell("role add writer; role add reader"), "");
    IS(tell("user grant bob reader"), "user name not found");
    IS(tell("user grant ann writer"), "");
    IS(tell("user grant ann reader"), "");
    IS(show(), "ann:# reader writer\nreader=\nwriter=\n");
    uint64_t before = revision_now();
    IS(tell("user grant ann reader"), ""); /* nothing is new */
    assert_int_equal(revision_now(), before);
    IS(tell("user revoke ann writer"), "");
    IS(tell("user revoke ann writer"), "role is not granted to the user");
    IS(tell("user revoke bob writer"), "user name not found");
    assert_int_equal(revision_now(), before + 1);
    IS(show(), "ann:# reader\nreader=\nwriter=\n");
}

static void test_a_role_that_goes_is_taken_from_all(void **state)
{
    (void)state;
    IS(tell("role add x; role add y; user add ann; user add bob; user add eve"),
       "");
    IS(tell("user grant ann x; user grant ann y; user grant eve x"), "");
    IS(tell("role grant x rw k"), "");
    make_root();
    IS(tell("on"), "");
    assert_true(may("ann", AUTH_WRITE, "k", ""));
    uint64_t before = revision_now();
    IS(tell("role delete x"), "");
    assert_int_equal(revision_now(), before + 1);
    assert_false(may("ann", AUTH_WRITE, "k", ""));
    assert_false(may("eve", AUTH_WRITE, "k", ""));
    IS(show(), "ann:# y\nbob:#\neve:#\nroot:# root\nroot=\ny=\n");
    load_anew();
    IS(show(), "ann:# y\nbob:#\neve:#\nroot:# root\nroot=\ny=\n");
    /* Another of that name is another. */
    IS(tell("role add x; role grant x rw k"), "");
    assert_false(may("ann", AUTH_WRITE, "k", ""));
}

static void test_permissions_are_granted(void **state)
{
    (void)state;
    IS(tell("role grant x r k"), "role name not found");
    IS(tell("role revoke x k"), "role name not found");
    IS(tell("role add x"), "");
    IS(tell("role grant x rw m n"), "");
    IS(tell("role grant x r k"), "");
    IS(tell("role grant x w k z"), "");
    IS(tell("role grant x r a .."), "");
    IS(show(), "x= r(a \\0) r(k) w(k z) rw(m n)\n");
    IS(tell("role grant x rw k"), ""); /* another access, the same range */
    IS(show(), "x= r(a \\0) rw(k) w(k z) rw(m n)\n");
    uint64_t before = revision_now();
    IS(tell("role revoke x k zz"), "permission is not granted to the role");
    assert_int_equal(revision_now(), before);
    IS(tell("role revoke x k"), "");
    IS(tell("role revoke x k"), "permission is not granted to the role");
    IS(show(), "x= r(a \\0) w(k z) rw(m n)\n");
    assert_int_equal(revision_now(), before + 1);
}

/* etcd 3.4 takes them and they mean nothing; since 3.5 it doesn't. */
static void test_ranges_that_hold_nothing_are_refused(void **state)
{
    (void)state;
    struct auth_change strange = {
        .op = AUTH_ROLE_GRANT,
        .role = SLICE("x"),
        .access = AUTH_READWRITE + 1,
        .key = SLICE("k"),
    };
    IS(tell("role add x"), "");
    IS(tell("role grant x r -"), "invalid auth management");
    IS(tell("role grant x r z a"), "invalid auth management");
    IS(tell("role grant x r a a"), "invalid auth management");
    IS(tell("role grant nobody r z a"), "invalid auth management");
    assert_int_equal(apply(&strange, 1), V3_INVALID_AUTH_MGMT);
    IS(tell("role grant x r - .."), "");
    IS(tell("role grant x r - b"), "");
    IS(show(), "x= r( \\0) r( b)\n");
}

static void test_keys_are_bounded(void **state)
{
    (void)state;
    struct auth_change grant = {.op = AUTH_ROLE_GRANT, .role = SLICE("x")};
    char *key = arena_alloc(&arena, LIMIT_KEY_BYTES_MAX + 1);
    memset(key, 'k', LIMIT_KEY_BYTES_MAX + 1);
    IS(tell("role add x"), "");
    grant.key = slice_of(key, LIMIT_KEY_BYTES_MAX + 1);
    assert_int_equal(apply(&grant, 1), V3_INVALID_AUTH_MGMT);
    grant.key = slice_of(key, LIMIT_KEY_BYTES_MAX);
    enum v3_error error = V3_OK;
    size_t count = 0;
    for (; error == V3_OK && count < 1000; count++) {
        put_le32(key, (uint32_t)count);
        error = apply(&grant, 1);
    }
    assert_int_equal(error, V3_NO_SPACE);
    assert_int_equal(count, 64); /* 4 MiB a role */
}

/* Thousands of changes of one role, in one command. */
static void test_a_role_has_room_for_many(void **state)
{
    (void)state;
    enum { MANY = 2000 };
    struct auth_change *changes =
        arena_alloc(&arena, (MANY + 1) * sizeof *changes);
    changes[0] = (struct auth_change){.op = AUTH_ROLE_ADD, .role = SLICE("x")};
    for (int i = 0; i < MANY; i++) {
        char *key = arena_printf(&arena, "/%05d", (i * 7919) % MANY);
        changes[i + 1] = (struct auth_change){
            .op = AUTH_ROLE_GRANT, .role = SLICE("x"), .key = slice_str(key)};
    }
    assert_int_equal(apply(changes, MANY + 1), V3_OK);
    struct auth_role role;
    assert_true(auth_role(auth, SLICE("x"), &role));
    assert_int_equal(role.permission_count, MANY);
    for (size_t i = 1; i < role.permission_count; i++)
        assert_true(slice_cmp(role.permissions[i - 1].key,
                              role.permissions[i].key) < 0);
    assert_int_equal(revision_now(), 1 + 1 + MANY);
}

/* ---- on and off ---------------------------------------------------------- */

static void test_root_comes_first(void **state)
{
    (void)state;
    IS(tell("on"), "root user does not exist");
    IS(tell("user add root"), "");
    IS(tell("on"), "root user does not have root role");
    IS(tell("user grant root root"), ""); /* the role need not be there */
    assert_false(auth_is_on(auth));
    uint64_t before = revision_now();
    IS(tell("on"), "");
    assert_true(auth_is_on(auth));
    IS(tell("on"), "");
    assert_int_equal(revision_now(), before);
    IS(tell("off"), "");
    assert_false(auth_is_on(auth));
    assert_int_equal(revision_now(), before + 1);
    IS(tell("off"), "");
    assert_int_equal(revision_now(), before + 1);
}

static void test_root_stays_root_while_on(void **state)
{
    (void)state;
    make_root();
    IS(tell("user add ann; user grant ann root; on"), "");
    IS(tell("user delete root"), "invalid auth management");
    IS(tell("user revoke root root"), "invalid auth management");
    IS(tell("role delete root"), "invalid auth management");
    IS(tell("role add root"), "role name already exists");
    IS(tell("user revoke ann root"), ""); /* another's */
    IS(tell("user password root ##"), "");
    IS(tell("off; user revoke root root; on"),
       "root user does not have root role");
    assert_int_equal(refused, 2);
    assert_true(auth_is_on(auth)); /* nothing of it was done */
    IS(tell("off; user delete root; role delete root"), "");
    IS(show(), "ann:#\n");
}

static void test_the_role_root_may_all_and_shows_what_was_granted(void **state)
{
    (void)state;
    make_root();
    IS(tell("role grant root r k; on"), "");
    struct auth_role role;
    assert_true(auth_role(auth, SLICE("root"), &role));
    assert_int_equal(role.permission_count, 1);
    assert_true(may("root", AUTH_READWRITE, "x", ".."));
}

/* A token is no change of users: etcd's revision doesn't move either. */
static void test_tokens_are_for_users(void **state)
{
    (void)state;
    make_root();
    IS(tell("token root"), "authentication is not enabled");
    IS(tell("on"), "");
    uint64_t before = revision_now();
    IS(tell("token root"), "");
    IS(tell("token ann"), "authentication failed, invalid user ID or password");
    assert_int_equal(revision_now(), before);
}

/* ---- commands ------------------------------------------------------------ */

static void test_all_of_a_command_or_nothing(void **state)
{
    (void)state;
    IS(tell("role add x; user add ann; user grant ann x; role grant x r k"),
       "");
    const char *before = arena_printf(&arena, "%s", show());
    uint64_t at = revision_now();
    IS(tell("role add y; role grant y r q; user add bob; user grant bob y;"
            "role grant x w k; role revoke x k; user password ann ##;"
            "role delete x; role add x; user delete ann; user add ann;"
            "user delete bob; role delete y; user delete nobody; on"),
       "user name not found");
    assert_int_equal(refused, 13);
    IS(show(), before);
    assert_int_equal(revision_now(), at);
    load_anew();
    IS(show(), before);
    make_root();
    IS(tell("on"), "");
    assert_true(may("ann", AUTH_READ, "k", ""));
    assert_false(may("ann", AUTH_WRITE, "k", ""));
}

static void test_a_command_may_undo_itself(void **state)
{
    (void)state;
    IS(tell("user add ann; user delete ann; role add x; role delete x"), "");
    IS(show(), "");
    assert_int_equal(revision_now(), 5);
    IS(tell("user add ann"), "");
    IS(tell("user delete ann; user add ann without; user delete ann;"
            "user add ann"),
       "");
    IS(show(), "ann:#\n");
    load_anew();
    IS(show(), "ann:#\n");
    assert_int_equal(revision_now(), 10);
}

static void test_an_empty_command_does_nothing(void **state)
{
    (void)state;
    struct slice value;
    assert_int_equal(apply(NULL, 0), V3_OK);
    assert_int_equal(revision_now(), 1);
    assert_false(mvcc_meta_get(store, SLICE("auth"), &value));
}

static void test_an_unknown_change_is_refused(void **state)
{
    (void)state;
    struct auth_change change = {.op = (enum auth_op)99};
    assert_int_equal(apply(&change, 1), V3_INVALID_AUTH_MGMT);
}

/* ---- in the meta --------------------------------------------------------- */

static void test_it_is_there_after_a_start(void **state)
{
    (void)state;
    make_root();
    IS(tell("role add x; role grant x rw /a /b; role grant x r k;"
            "role grant x w m ..; user add ann; user add bob without;"
            "user grant ann x; on"),
       "");
    const char *before = arena_printf(&arena, "%s", show());
    uint64_t at = revision_now();
    load_anew();
    IS(show(), before);
    assert_int_equal(revision_now(), at);
    assert_true(auth_is_on(auth));
    assert_true(may("ann", AUTH_READWRITE, "/a", "/b"));
    assert_true(may("ann", AUTH_WRITE, "zz", ".."));
    assert_false(may("ann", AUTH_READ, "zz", ""));
    assert_true(may("root", AUTH_READWRITE, "a", ".."));
    IS(tell("user delete bob"), "");
    load_anew();
    struct auth_user bob;
    assert_false(auth_user(auth, SLICE("bob"), &bob));
}

/* What was loaded before is gone, as after a snapshot. */
static void test_it_is_loaded_over_what_was(void **state)
{
    (void)state;
    make_root();
    IS(tell("user add ann; role add x; role grant x r k; user grant ann x; on"),
       "");
    const char *before = arena_printf(&arena, "%s", show());
    assert_int_equal(auth_load(auth, store), ERR_OK);
    IS(show(), before);
    mvcc_meta_put(store, SLICE("auth"), slice_of(NULL, 0));
    mvcc_meta_put(store, SLICE("auth/user/ann"), slice_of(NULL, 0));
    assert_int_equal(auth_load(auth, store), ERR_OK);
    assert_false(auth_is_on(auth));
    assert_int_equal(revision_now(), 1);
    IS(show(), "root:# root\nroot=\nx= r(k)\n");
}

/* Of etcd's: roles in the order of their grants, a range twice. */
static void test_another_order_is_read(void **state)
{
    (void)state;
    mvcc_meta_put(store, SLICE("auth/role/x"),
                  SLICE("\x0a\x01x"
                        "\x12\x03\x12\x01k" /* k: read */
                        "\x12\x03\x12\x01"
                        "a"                         /* a: read */
                        "\x12\x05\x08\x01\x12\x01k" /* k: write */
                        "\x12\x03\x12\x01k"));      /* k: read */
    mvcc_meta_put(store, SLICE("auth/user/ann"),
                  SLICE("\x0a\x03"
                        "ann\x1a\x01y\x1a\x01x\x1a\x01y"));
    assert_int_equal(auth_load(auth, store), ERR_OK);
    IS(show(), "ann: x y\nx= r(a) rw(k)\n");
}

static void expect_corrupt(struct slice name, struct slice value)
{
    mvcc_meta_put(store, name, value);
    assert_int_equal(auth_load(auth, store), ERR_CORRUPT);
    assert_true(strstr(err_note(), "auth: ") != NULL);
    /* Nobody gets in. */
    assert_true(auth_is_on(auth));
    assert_int_equal(
        auth_may(auth, SLICE("ann"), AUTH_READ, SLICE("k"), SLICE("")),
        V3_PERMISSION_DENIED);
    mvcc_meta_put(store, name, slice_of(NULL, 0));
    assert_int_equal(auth_load(auth, store), ERR_OK);
}

static void test_what_is_malformed_is_told(void **state)
{
    (void)state;
    expect_corrupt(SLICE("auth"), SLICE("\x10"));
    expect_corrupt(SLICE("auth"), SLICE("\x08\x01")); /* no revision */
    expect_corrupt(SLICE("auth"), SLICE("\x10\x00"));
    expect_corrupt(SLICE("auth/user/ann"), SLICE("\x0a\x03"));
    expect_corrupt(SLICE("auth/user/ann"), SLICE("\x0a\x03"
                                                 "bob"));
    expect_corrupt(SLICE("auth/user/"), SLICE("\x0a\x00"));
    expect_corrupt(SLICE("auth/user/ann"), SLICE("\x0a\x03"
                                                 "ann\x1a\x00"));
    expect_corrupt(SLICE("auth/user/ann"), SLICE("\x0a\x03"
                                                 "ann\x22\x01\x08"));
    expect_corrupt(SLICE("auth/role/x"), SLICE("\x0a\x01y"));
    expect_corrupt(SLICE("auth/role/x"), SLICE("\x0a\x01x\x12\x02\x08\x03"));
    expect_corrupt(SLICE("auth/role/x"), SLICE("\x0a\x01x\x12\x02\x12\x05"));
}

static bool count_two(void *context, const struct auth_user *user)
{
    (void)user;
    return ++*(int *)context < 2;
}

static bool count_two_roles(void *context, const struct auth_role *role)
{
    (void)role;
    return ++*(int *)context < 2;
}

static void test_who_has_seen_enough_stops(void **state)
{
    (void)state;
    int users = 0;
    int roles = 0;
    IS(tell("user add a; user add b; user add c; role add a; role add b;"
            "role add c"),
       "");
    auth_users(auth, count_two, &users);
    auth_roles(auth, count_two_roles, &roles);
    assert_int_equal(users, 2);
    assert_int_equal(roles, 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        WORLD(test_users_come_and_go),
        WORLD(test_a_password_is_changed),
        WORLD(test_a_user_may_have_no_password),
        WORLD(test_names_are_such_as_can_be_written),
        WORLD(test_roles_come_and_go),
        WORLD(test_a_role_is_granted),
        WORLD(test_a_role_that_goes_is_taken_from_all),
        WORLD(test_permissions_are_granted),
        WORLD(test_ranges_that_hold_nothing_are_refused),
        WORLD(test_keys_are_bounded),
        WORLD(test_a_role_has_room_for_many),
        WORLD(test_root_comes_first),
        WORLD(test_root_stays_root_while_on),
        WORLD(test_the_role_root_may_all_and_shows_what_was_granted),
        WORLD(test_tokens_are_for_users),
        WORLD(test_all_of_a_command_or_nothing),
        WORLD(test_a_command_may_undo_itself),
        WORLD(test_an_empty_command_does_nothing),
        WORLD(test_an_unknown_change_is_refused),
        WORLD(test_it_is_there_after_a_start),
        WORLD(test_it_is_loaded_over_what_was),
        WORLD(test_another_order_is_read),
        WORLD(test_what_is_malformed_is_told),
        WORLD(test_who_has_seen_enough_stops),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
