/* May they? Ranges that several permissions cover, whole requests, leases,
 * paths, and those who are no users. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "tests/unit/auth/auth_world.h"

static int begin(void **state)
{
    (void)world_begin(state);
    IS(tell("user add root; user grant root root; user add ann; role add x;"
            "user grant ann x; role add y; user grant ann y; user add bob;"
            "on"),
       "");
    return 0;
}

#define STORY(name) cmocka_unit_test_setup_teardown(name, begin, world_end)

static const struct slice ann = {"ann", 3};

static enum v3_error ask(struct slice user)
{
    return auth_may(auth, user, AUTH_READ, SLICE("k"), SLICE(""));
}

/* ---- who ----------------------------------------------------------------- */

static void test_where_it_is_off_all_may_all(void **state)
{
    (void)state;
    IS(tell("off"), "");
    assert_int_equal(ask(SLICE("")), V3_OK);
    assert_int_equal(ask(SLICE("nobody")), V3_OK);
    assert_int_equal(auth_may_admin(auth, SLICE("")), V3_OK);
    assert_int_equal(auth_may_ask(auth, SLICE("")), V3_OK);
    assert_int_equal(auth_may_path(auth, SLICE(""), AUTH_READWRITE,
                                   SLICE("/_recipes"), true),
                     V3_OK);
    assert_int_equal(auth_may_put(auth, SLICE(""), put_of("k"), leases), V3_OK);
    assert_int_equal(auth_may_txn(auth, SLICE(""), txn_of(), leases), V3_OK);
}

static void test_nobody_may_nothing(void **state)
{
    (void)state;
    Etcdserverpb__TxnRequest *nothing = txn_of();
    assert_int_equal(ask(SLICE("")), V3_USER_EMPTY);
    assert_int_equal(auth_may_ask(auth, SLICE("")), V3_USER_EMPTY);
    assert_int_equal(auth_may_admin(auth, SLICE("")), V3_USER_EMPTY);
    assert_int_equal(auth_may_txn(auth, SLICE(""), nothing, leases),
                     V3_USER_EMPTY);
    assert_int_equal(auth_may_path(auth, SLICE(""), AUTH_READ, SLICE("/"), 0),
                     V3_USER_EMPTY);
    assert_int_equal(auth_may_lease(auth, SLICE(""), AUTH_READ, leases, 5),
                     V3_USER_EMPTY);
}

static void test_who_was_deleted_may_nothing(void **state)
{
    (void)state;
    IS(tell("role grant x r k"), "");
    assert_int_equal(ask(ann), V3_OK);
    assert_int_equal(auth_may_ask(auth, ann), V3_OK);
    IS(tell("user delete ann"), "");
    assert_int_equal(ask(ann), V3_PERMISSION_DENIED);
    assert_int_equal(auth_may_ask(auth, ann), V3_PERMISSION_DENIED);
    assert_int_equal(auth_may_admin(auth, ann), V3_PERMISSION_DENIED);
}

static void test_root_is_who_has_the_role(void **state)
{
    (void)state;
    assert_int_equal(auth_may_admin(auth, SLICE("root")), V3_OK);
    assert_int_equal(auth_may_admin(auth, ann), V3_PERMISSION_DENIED);
    assert_false(may("ann", AUTH_READ, "k", ""));
    IS(tell("user grant ann root"), "");
    assert_int_equal(auth_may_admin(auth, ann), V3_OK);
    assert_true(may("ann", AUTH_READWRITE, "-", ".."));
    assert_true(may("ann", AUTH_READWRITE, "/_recipes/a", ""));
    IS(tell("user revoke ann root"), "");
    assert_int_equal(auth_may_admin(auth, ann), V3_PERMISSION_DENIED);
    assert_false(may("ann", AUTH_READ, "k", ""));
}

static void test_the_server_may_all(void **state)
{
    (void)state;
    assert_int_equal(
        auth_may(auth, AUTH_SERVER, AUTH_READWRITE, SLICE(""), SLICE("\0")),
        V3_OK);
    assert_int_equal(auth_may_admin(auth, AUTH_SERVER), V3_OK);
    assert_int_equal(ask(SLICE("server")), V3_PERMISSION_DENIED);
    assert_int_equal(ask(SLICE("\0serve")), V3_PERMISSION_DENIED);
    assert_int_equal(ask(SLICE("\0server2")), V3_PERMISSION_DENIED);
    assert_int_equal(ask(SLICE("\0")), V3_PERMISSION_DENIED);
}

/* Its role may come, change and go. */
static void test_the_guest_has_the_role_guest(void **state)
{
    (void)state;
    assert_int_equal(auth_may_ask(auth, AUTH_GUEST), V3_OK);
    assert_int_equal(auth_may_admin(auth, AUTH_GUEST), V3_PERMISSION_DENIED);
    assert_int_equal(ask(AUTH_GUEST), V3_PERMISSION_DENIED);
    IS(tell("role add guest"), "");
    assert_int_equal(ask(AUTH_GUEST), V3_PERMISSION_DENIED);
    IS(tell("role grant guest r k"), "");
    assert_int_equal(ask(AUTH_GUEST), V3_OK);
    load_anew();
    assert_int_equal(ask(AUTH_GUEST), V3_OK);
    IS(tell("role delete guest"), "");
    assert_int_equal(ask(AUTH_GUEST), V3_PERMISSION_DENIED);
    IS(tell("role add guest; role grant guest r k"), "");
    assert_int_equal(ask(AUTH_GUEST), V3_OK);
}

/* ---- ranges -------------------------------------------------------------- */

static void test_a_key_is_a_key(void **state)
{
    (void)state;
    IS(tell("role grant x r k"), "");
    assert_true(may("ann", AUTH_READ, "k", ""));
    assert_false(may("ann", AUTH_WRITE, "k", ""));
    assert_false(may("ann", AUTH_READWRITE, "k", ""));
    assert_false(may("ann", AUTH_READ, "ka", ""));
    assert_false(may("ann", AUTH_READ, "j", ""));
    assert_false(may("ann", AUTH_READ, "k", "l"));
    assert_false(may("ann", AUTH_READ, "k", ".."));
    /* [k, k\0) is k alone. */
    assert_int_equal(auth_may(auth, ann, AUTH_READ, SLICE("k"), SLICE("k\0")),
                     V3_OK);
    assert_int_equal(auth_may(auth, ann, AUTH_READ, SLICE("k\0"), SLICE("")),
                     V3_PERMISSION_DENIED);
    assert_false(may("bob", AUTH_READ, "k", ""));
}

static void test_what_the_union_covers(void **state)
{
    (void)state;
    IS(tell("role grant x r a d; role grant y r c g; role grant x r g j;"
            "role grant y r m p; role grant x w a z"),
       "");
    assert_true(may("ann", AUTH_READ, "a", "j")); /* overlap, and meet */
    assert_true(may("ann", AUTH_READ, "b", "i"));
    assert_false(may("ann", AUTH_READ, "a", "k"));
    assert_false(may("ann", AUTH_READ, "i", "n"));
    assert_true(may("ann", AUTH_READ, "m", "p"));
    assert_true(may("ann", AUTH_WRITE, "j", "m"));
    assert_false(may("ann", AUTH_READWRITE, "j", "m"));
    assert_true(may("ann", AUTH_READWRITE, "a", "j"));
    IS(tell("role grant y rw j m"), "");
    assert_true(may("ann", AUTH_READWRITE, "a", "p"));
    IS(tell("role revoke x g j"), "");
    assert_false(may("ann", AUTH_READ, "a", "p"));
    IS(tell("user revoke ann y"), "");
    assert_false(may("ann", AUTH_READ, "c", "e"));
    assert_true(may("ann", AUTH_READ, "a", "d"));
}

/* A single key closes the gap between two ranges only where there is no other
 * key in the gap. */
static void test_a_key_may_close_a_gap(void **state)
{
    (void)state;
    struct auth_change behind = {.op = AUTH_ROLE_GRANT,
                                 .role = SLICE("x"),
                                 .key = SLICE("k\0"),
                                 .range_end = SLICE("p")};
    IS(tell("role grant x r a k; role grant x r k"), "");
    assert_false(may("ann", AUTH_READ, "a", "l"));
    assert_int_equal(apply(&behind, 1), V3_OK);
    assert_true(may("ann", AUTH_READ, "a", "p"));
    IS(tell("role revoke x k"), "");
    assert_false(may("ann", AUTH_READ, "a", "p"));
}

static void test_open_ends(void **state)
{
    (void)state;
    IS(tell("role grant x r m ..; role grant x w - .."), "");
    assert_true(may("ann", AUTH_READ, "m", ".."));
    assert_true(may("ann", AUTH_READ, "q", ".."));
    assert_true(may("ann", AUTH_READ, "q", "r"));
    assert_true(may("ann", AUTH_READ, "\xff\xff", ""));
    assert_false(may("ann", AUTH_READ, "l", ".."));
    assert_false(may("ann", AUTH_READ, "-", ".."));
    IS(tell("role grant x r a m"), "");
    assert_true(may("ann", AUTH_READ, "a", ".."));
    /* Below there is what is the recipes'. */
    assert_false(may("ann", AUTH_WRITE, "-", ".."));
    assert_true(may("ann", AUTH_WRITE, "0", ".."));
}

static void test_from_the_least_key_on(void **state)
{
    (void)state;
    struct auth_change least = {.op = AUTH_ROLE_GRANT,
                                .role = SLICE("x"),
                                .key = SLICE("\0"),
                                .range_end = SLICE("/")};
    assert_int_equal(apply(&least, 1), V3_OK);
    assert_true(may("ann", AUTH_READ, "-", "/"));
    assert_true(may("ann", AUTH_READ, "..", "/"));
    assert_false(may("ann", AUTH_READ, "-", "0"));
}

/* As etcd has it: no key is in it, and who may nothing there is told so. */
static void test_ranges_with_nothing_in_them(void **state)
{
    (void)state;
    IS(tell("role grant x r a z"), "");
    assert_true(may("ann", AUTH_READ, "n", "m"));
    assert_true(may("ann", AUTH_READ, "b", "b"));
    assert_false(may("ann", AUTH_READ, "zz", "m"));
    assert_false(may("bob", AUTH_READ, "n", "m"));
    assert_false(may("ann", AUTH_READ, "/_recipes/b", "/_recipes/a"));
}

/* ---- recipes ------------------------------------------------------------- */

static void test_what_is_the_recipes_is_not_for_others(void **state)
{
    (void)state;
    IS(tell("role grant x rw - .."), "");
    assert_true(may("ann", AUTH_READWRITE, "/_recipes", ""));
    assert_false(may("ann", AUTH_WRITE, "/_recipes/", ""));
    assert_false(may("ann", AUTH_WRITE, "/_recipes/a/b", ""));
    assert_false(may("ann", AUTH_READWRITE, "/_recipes/a/b", ""));
    assert_true(may("ann", AUTH_READWRITE, "/_recipes0", ""));
    assert_false(may("ann", AUTH_WRITE, "/_recipes/a", "/_recipes/b"));
    assert_false(may("ann", AUTH_WRITE, "/", "0"));
    assert_false(may("ann", AUTH_WRITE, "/_recipes/zzz", "/b"));
    assert_false(may("ann", AUTH_WRITE, "-", ".."));
    assert_true(may("ann", AUTH_READWRITE, "/_recipes0", ".."));
    assert_true(may("ann", AUTH_READWRITE, "-", "/_recipes/"));
    assert_true(may("root", AUTH_READWRITE, "-", ".."));
}

/* A backup, a mirror. */
static void test_who_may_read_all_reads_the_recipes_too(void **state)
{
    (void)state;
    IS(tell("role grant x r - .."), "");
    assert_true(may("ann", AUTH_READ, "-", ".."));
    assert_true(may("ann", AUTH_READ, "/_recipes/", ""));
    assert_true(may("ann", AUTH_READ, "/_recipes/a", "/_recipes/b"));
    IS(tell("role revoke x - ..; role grant x r a b"), "");
    assert_false(may("ann", AUTH_READ, "/_recipes/a", ""));
    assert_false(may("ann", AUTH_READ, "/_recipes/b", "/_recipes/a"));
}

static bool recipe_may(struct slice recipe, const char *key, const char *end)
{
    return auth_may(auth, recipe, AUTH_WRITE, slice_str(key), slice_str(end)) ==
           V3_OK;
}

static void test_a_recipe_does_what_its_owner_may(void **state)
{
    (void)state;
    struct slice recipe = SLICE("\0recipe:ann");
    IS(tell("role grant x w /a /zz"), "");
    assert_true(recipe_may(recipe, "/k", ""));
    assert_true(recipe_may(recipe, "/a", "/b"));
    assert_false(recipe_may(recipe, "/A", ""));
    assert_true(recipe_may(recipe, "/_recipes/", "/_recipes0"));
    assert_true(recipe_may(recipe, "/_recipes/x", ""));
    assert_false(recipe_may(recipe, "/_recipes/x", "/zz"));
    IS(tell("role grant x w /_recipes0 /a"), "");
    assert_true(recipe_may(recipe, "/_recipes/x", "/zz"));
    assert_false(recipe_may(recipe, "/_", "/zz"));
    IS(tell("role grant x w /_ /_recipes/"), "");
    assert_true(recipe_may(recipe, "/_", "/zz"));
    assert_int_equal(auth_may_admin(auth, recipe), V3_PERMISSION_DENIED);
    IS(tell("user delete ann"), "");
    assert_false(recipe_may(recipe, "/k", ""));
    assert_int_equal(auth_may_ask(auth, recipe), V3_PERMISSION_DENIED);
}

/* Who may write recipes would be root, if root's could do all. */
static void test_a_recipe_is_never_root(void **state)
{
    (void)state;
    struct slice recipe = SLICE("\0recipe:root");
    assert_false(recipe_may(recipe, "/k", ""));
    assert_int_equal(auth_may_admin(auth, recipe), V3_PERMISSION_DENIED);
    IS(tell("role add root; role grant root rw /k"), "");
    assert_false(recipe_may(recipe, "/k", ""));
    IS(tell("role grant x w /k; user grant root x"), "");
    assert_true(recipe_may(recipe, "/k", ""));
}

static void test_strange_owners(void **state)
{
    (void)state;
    IS(tell("role add guest; role grant guest w /k"), "");
    assert_int_equal(ask(SLICE("\0recipe:")), V3_USER_EMPTY);
    assert_false(recipe_may(SLICE("\0recipe:\0server"), "/k", ""));
    assert_false(recipe_may(SLICE("\0recipe:\0recipe:ann"), "/k", ""));
    assert_true(recipe_may(SLICE("\0recipe:\0guest"), "/k", ""));
    assert_false(recipe_may(SLICE("\0recipe:\0guest"), "/l", ""));
}

/* ---- paths --------------------------------------------------------------- */

static bool may_path(const char *path, bool recursive)
{
    return auth_may_path(auth, ann, AUTH_READ, slice_str(path), recursive) ==
           V3_OK;
}

static void test_a_node_and_what_is_below_it(void **state)
{
    (void)state;
    IS(tell("role grant x r /a"), "");
    assert_true(may_path("/a", false));
    assert_false(may_path("/a", true));
    assert_false(may_path("/a/b", false));
    IS(tell("role grant y r /a/ /a0"), "");
    assert_true(may_path("/a", true));
    assert_true(may_path("/a/b", true));
    assert_false(may_path("/ab", false));
    IS(tell("role revoke x /a"), "");
    assert_false(may_path("/a", true));
    assert_false(may_path("/a", false));
    assert_true(may_path("/a/b/c", true));
    assert_int_equal(
        auth_may_path(auth, ann, AUTH_READWRITE, SLICE("/a/b"), true),
        V3_PERMISSION_DENIED);
}

/* "/a*" covers /a, what is below it, and /ab too. */
static void test_a_prefix_covers_the_node(void **state)
{
    (void)state;
    IS(tell("role grant x r /a /b"), "");
    assert_true(may_path("/a", true));
    assert_true(may_path("/ab", true));
    assert_false(may_path("/", false));
    assert_false(may_path("/", true));
}

/* v2's guest has "/ *" from the beginning, and looks at the root. */
static void test_the_root_hides_what_is_ours(void **state)
{
    (void)state;
    IS(tell("role grant x r / 0"), "");
    assert_true(may_path("/", true));
    assert_true(may_path("/", false));
    assert_false(may_path("/_recipes", false));
    assert_false(may_path("/_recipes", true));
    assert_false(may_path("/_recipes/a", false));
    assert_false(may_path("/_recipes/a", true));
    assert_true(may_path("/_recipesx", true));
    assert_int_equal(
        auth_may_path(auth, SLICE("root"), AUTH_READ, SLICE("/_recipes"), true),
        V3_OK);
    assert_int_equal(auth_may_path(auth, SLICE("\0recipe:ann"), AUTH_READ,
                                   SLICE("/_recipes"), true),
                     V3_OK);
    IS(tell("role revoke x / 0; role grant x r / /_recipes/"), "");
    assert_false(may_path("/", true));
}

static void test_long_paths(void **state)
{
    (void)state;
    char path[4000];
    memset(path, 'p', sizeof path);
    path[0] = '/';
    IS(tell("role grant x r /a /q"), "");
    for (size_t size = 100; size < sizeof path; size += 13)
        assert_int_equal(
            auth_may_path(auth, ann, AUTH_READ, slice_of(path, size), true),
            V3_OK);
}

/* ---- requests ------------------------------------------------------------ */

static void test_ranges_and_deletes(void **state)
{
    (void)state;
    IS(tell("role grant x r a m; role grant x w g z"), "");
    assert_int_equal(auth_may_range(auth, ann, range_of("a", "m")), V3_OK);
    assert_int_equal(auth_may_range(auth, ann, range_of("a", "n")),
                     V3_PERMISSION_DENIED);
    Etcdserverpb__DeleteRangeRequest *delete = delete_of("h", "z");
    assert_int_equal(auth_may_delete_range(auth, ann, delete), V3_OK);
    delete->prev_kv = true; /* shows what was there */
    assert_int_equal(auth_may_delete_range(auth, ann, delete),
                     V3_PERMISSION_DENIED);
    delete = delete_of("h", "m");
    delete->prev_kv = true;
    assert_int_equal(auth_may_delete_range(auth, ann, delete), V3_OK);
    assert_int_equal(auth_may_delete_range(auth, ann, delete_of("a", "")),
                     V3_PERMISSION_DENIED);
}

static void test_puts(void **state)
{
    (void)state;
    IS(tell("role grant x w k; role grant x rw l"), "");
    Etcdserverpb__PutRequest *put = put_of("k");
    assert_int_equal(auth_may_put(auth, ann, put, leases), V3_OK);
    put->ignore_value = true; /* shows nothing */
    put->ignore_lease = true;
    assert_int_equal(auth_may_put(auth, ann, put, leases), V3_OK);
    put->prev_kv = true;
    assert_int_equal(auth_may_put(auth, ann, put, leases),
                     V3_PERMISSION_DENIED);
    put = put_of("l");
    put->prev_kv = true;
    assert_int_equal(auth_may_put(auth, ann, put, leases), V3_OK);
    assert_int_equal(auth_may_put(auth, ann, put_of("m"), leases),
                     V3_PERMISSION_DENIED);
}

/* Who attaches a key could keep alive, or end, what is another's. */
static void test_a_lease_is_shared_by_who_may_write_all_of_it(void **state)
{
    (void)state;
    Etcdserverpb__PutRequest *put = put_of("k");
    IS(tell("role grant x w k; role grant y rw l"), "");
    put->lease = 5;
    assert_int_equal(auth_may_put(auth, ann, put, leases), V3_OK); /* none */
    lease_grant(leases, 5, 60, 1000);
    assert_int_equal(auth_may_put(auth, ann, put, leases), V3_OK);
    lease_attach(leases, 5, MVCC_KEYS, SLICE("l"));
    assert_int_equal(auth_may_put(auth, ann, put, leases), V3_OK);
    lease_attach(leases, 5, MVCC_KEYS, SLICE("other"));
    lease_attach(leases, 5, MVCC_KEYS, SLICE("k"));
    assert_int_equal(auth_may_put(auth, ann, put, leases),
                     V3_PERMISSION_DENIED);
    assert_int_equal(auth_may_put(auth, SLICE("root"), put, leases), V3_OK);
    assert_int_equal(auth_may_lease(auth, ann, AUTH_WRITE, leases, 5),
                     V3_PERMISSION_DENIED);
    lease_detach(leases, 5, MVCC_KEYS, SLICE("other"));
    assert_int_equal(auth_may_lease(auth, ann, AUTH_WRITE, leases, 5), V3_OK);
    assert_int_equal(auth_may_lease(auth, ann, AUTH_READ, leases, 5),
                     V3_PERMISSION_DENIED); /* k */
    assert_int_equal(auth_may_lease(auth, ann, AUTH_READ, leases, 6), V3_OK);
}

/* A TTL of v2's on a directory ends all that is in it. */
static void test_a_lease_of_a_directory(void **state)
{
    (void)state;
    lease_grant(leases, LEASE_V2 | 3, 60, 1000);
    lease_attach(leases, LEASE_V2 | 3, MVCC_DIRS, SLICE("/d"));
    IS(tell("role grant x w /d"), "");
    assert_int_equal(
        auth_may_lease(auth, ann, AUTH_WRITE, leases, LEASE_V2 | 3),
        V3_PERMISSION_DENIED);
    IS(tell("role grant x w /d/ /d0"), "");
    assert_int_equal(
        auth_may_lease(auth, ann, AUTH_WRITE, leases, LEASE_V2 | 3), V3_OK);
}

/* ---- txns ---------------------------------------------------------------- */

static enum v3_error may_txn(const Etcdserverpb__TxnRequest *txn)
{
    return auth_may_txn(auth, ann, txn, leases);
}

static void test_every_operation_of_both_branches(void **state)
{
    (void)state;
    IS(tell("role grant x rw a m"), "");
    Etcdserverpb__TxnRequest *txn = txn_of();
    assert_int_equal(may_txn(txn), V3_OK);
    compare(txn, "a", "");
    compare(txn, "b", "m");
    do_put(then_do(txn), put_of("c"));
    do_range(then_do(txn), range_of("d", "e"));
    do_delete(else_do(txn), delete_of("d", "e"));
    (void)else_do(txn); /* an empty one */
    assert_int_equal(may_txn(txn), V3_OK);
    do_put(else_do(txn), put_of("q"));
    assert_int_equal(may_txn(txn), V3_PERMISSION_DENIED);
    txn->n_failure--;
    do_range(then_do(txn), range_of("d", ".."));
    assert_int_equal(may_txn(txn), V3_PERMISSION_DENIED);
    txn->n_success--;
    do_delete(then_do(txn), delete_of("l", "n"));
    assert_int_equal(may_txn(txn), V3_PERMISSION_DENIED);
    txn->n_success--;
    assert_int_equal(may_txn(txn), V3_OK);
    assert_int_equal(auth_may_txn(auth, SLICE("bob"), txn, leases),
                     V3_PERMISSION_DENIED);
    assert_int_equal(auth_may_txn(auth, SLICE("root"), txn, leases), V3_OK);
}

/* Whether a txn succeeds tells what is in the keys. */
static void test_a_compare_reads(void **state)
{
    (void)state;
    IS(tell("role grant x w a m; role grant x r d f"), "");
    Etcdserverpb__TxnRequest *txn = txn_of();
    do_put(then_do(txn), put_of("a"));
    compare(txn, "d", "");
    assert_int_equal(may_txn(txn), V3_OK);
    compare(txn, "d", "f");
    assert_int_equal(may_txn(txn), V3_OK);
    compare(txn, "a", "");
    assert_int_equal(may_txn(txn), V3_PERMISSION_DENIED);
    txn->n_compare--;
    compare(txn, "d", "g");
    assert_int_equal(may_txn(txn), V3_PERMISSION_DENIED);
    txn->n_compare--;
    compare(txn, "d", "..");
    assert_int_equal(may_txn(txn), V3_PERMISSION_DENIED);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        STORY(test_where_it_is_off_all_may_all),
        STORY(test_nobody_may_nothing),
        STORY(test_who_was_deleted_may_nothing),
        STORY(test_root_is_who_has_the_role),
        STORY(test_the_server_may_all),
        STORY(test_the_guest_has_the_role_guest),
        STORY(test_a_key_is_a_key),
        STORY(test_what_the_union_covers),
        STORY(test_a_key_may_close_a_gap),
        STORY(test_open_ends),
        STORY(test_from_the_least_key_on),
        STORY(test_ranges_with_nothing_in_them),
        STORY(test_what_is_the_recipes_is_not_for_others),
        STORY(test_who_may_read_all_reads_the_recipes_too),
        STORY(test_a_recipe_does_what_its_owner_may),
        STORY(test_a_recipe_is_never_root),
        STORY(test_strange_owners),
        STORY(test_a_node_and_what_is_below_it),
        STORY(test_a_prefix_covers_the_node),
        STORY(test_the_root_hides_what_is_ours),
        STORY(test_long_paths),
        STORY(test_ranges_and_deletes),
        STORY(test_puts),
        STORY(test_a_lease_is_shared_by_who_may_write_all_of_it),
        STORY(test_a_lease_of_a_directory),
        STORY(test_every_operation_of_both_branches),
        STORY(test_a_compare_reads),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
