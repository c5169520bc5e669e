/* A recipe has its owner's permissions: what it does beyond them is a run that
 * failed, and says why; what it may not see stops it. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <stdio.h>
#include <cmocka.h>

#include "rest_world.h"

#define SECOND INT64_C(1000000000)

#define COPY                   \
    "if: [{key: '/in/{x}'}]\n" \
    "then: [{put: {key: '/to/{{value}}/{{x}}', value: '{{x}}'}}]\n"

static int setup(void **state)
{
    *state = rest_scene_new(31);
    return 0;
}

static int teardown(void **state)
{
    rest_scene_free(*state);
    return 0;
}

#define ASKING (&((struct rest_scene *)*state)->asking)
#define WORLD (&((struct rest_scene *)*state)->world)
#define USERS (&WORLD->users)

/* Alice may read /in/, write /to/out/, and has recipes that begin with "a". */
static void have_alice(struct rest_scene *scene)
{
    struct world_users *users = &scene->world.users;
    world_grant(users, "alice", RUNNER_READ, "/in/");
    world_grant(users, "alice", RUNNER_WRITE, "/to/out/");
    world_grant(users, "alice", RUNNER_READ, "/_recipes/def/a");
    world_grant(users, "alice", RUNNER_WRITE, "/_recipes/def/a");
    scene->asking.user = "alice";
}

static const char *run_error(struct rest_asking *asking, const char *key)
{
    char path[64];
    assert_int_equal(rest_ask(asking, "GET", "runs?recipe=a", NULL), 200);
    for (int i = 0; i < 50; i++) {
        (void)snprintf(path, sizeof path, "runs.%d.key", i);
        if (strcmp(rest_at(asking, path), key) != 0)
            continue;
        (void)snprintf(path, sizeof path, "runs.%d.error", i);
        return rest_at(asking, path);
    }
    return "no such run";
}

static const char *state_of(struct rest_asking *asking, const char *name)
{
    char target[64];
    (void)snprintf(target, sizeof target, "defs/%s", name);
    assert_int_equal(rest_ask(asking, "GET", target, NULL), 200);
    return rest_at(asking, "status.state");
}

/* ---- effects ------------------------------------------------------------- */

static void test_what_its_owner_may_is_done(void **state)
{
    have_alice(*state);
    rest_define(ASKING, "a", COPY);
    world_put(WORLD, "/in/1", "out");
    world_run(WORLD, SECOND);
    assert_true(slice_eq(world_get(WORLD, "/to/out/1"), SLICE("1")));
    assert_int_equal(WORLD->denied, 0);
}

static void test_what_it_mustnt_is_a_failed_run(void **state)
{
    have_alice(*state);
    rest_define(ASKING, "a", COPY);
    world_put(WORLD, "/in/1", "etc");
    world_run(WORLD, 2 * SECOND);
    assert_int_equal(world_get(WORLD, "/to/etc/1").size, 0);
    const char *error = run_error(ASKING, "/in/1");
    assert_non_null(strstr(error, "its owner, alice, may not do this"));
    assert_non_null(strstr(error, "permission denied"));
    /* It isn't tried for ever, and what comes after it is done. */
    uint64_t denied = WORLD->denied;
    assert_in_range(denied, 1, 4);
    world_put(WORLD, "/in/2", "out");
    world_run(WORLD, 60 * SECOND);
    assert_int_equal(WORLD->denied, denied);
    assert_true(slice_eq(world_get(WORLD, "/to/out/2"), SLICE("2")));
    assert_string_equal(state_of(ASKING, "a"), "running");
}

/* Events share transactions: one that is refused takes none with it. */
static void test_those_beside_it_are_done(void **state)
{
    have_alice(*state);
    rest_define(ASKING, "a", COPY);
    assert_int_equal(rest_ask(ASKING, "POST", "defs/a/pause", NULL), 200);
    world_run(WORLD, SECOND);
    for (int i = 0; i < 30; i++) {
        char key[32];
        (void)snprintf(key, sizeof key, "/in/%d", i);
        world_put(WORLD, key, i % 10 == 5 ? "etc" : "out");
    }
    assert_int_equal(rest_ask(ASKING, "POST", "defs/a/resume", NULL), 200);
    world_run(WORLD, 10 * SECOND);
    assert_int_equal(world_count(WORLD, "/to/out/"), 27);
    assert_int_equal(world_count(WORLD, "/to/etc/"), 0);
    assert_int_equal(
        rest_ask(ASKING, "GET", "runs?recipe=a&status=failed", NULL), 200);
    assert_int_equal(rest_number(ASKING, "runs"), 3);
    for (int i = 0; i < 30; i++) { /* each once */
        char key[32];
        (void)snprintf(key, sizeof key, "/to/out/%d", i);
        assert_int_equal(world_puts(WORLD, key), i % 10 == 5 ? 0 : 1);
    }
}

static void test_on_failure_has_the_same_permissions(void **state)
{
    have_alice(*state);
    rest_define(ASKING, "a",
                COPY "on_failure: [{put: {key: '/to/out/failed/{{x}}', value: "
                     "'{{error}}'}}]\n");
    world_put(WORLD, "/in/1", "etc");
    world_run(WORLD, 2 * SECOND);
    struct slice told = world_get(WORLD, "/to/out/failed/1");
    assert_non_null(memmem(told.at, told.size, "permission denied", 17));
    rest_define(ASKING, "a",
                COPY "on_failure: [{put: {key: '/to/etc/failed/{{x}}', value: "
                     "'{{error}}'}}]\n");
    world_put(WORLD, "/in/2", "etc");
    world_run(WORLD, 2 * SECOND);
    assert_int_equal(world_count(WORLD, "/to/etc/"), 0);
    assert_non_null(
        strstr(run_error(ASKING, "/in/2"), "its owner, alice, may not"));
    assert_string_equal(state_of(ASKING, "a"), "running");
}

/* What waits for its time is judged alone too. */
static void test_what_is_due_together(void **state)
{
    have_alice(*state);
    rest_define(
        ASKING, "a",
        "if: [{key: '/in/{x}', for: 5s}]\n"
        "then: [{put: {key: '/to/{{value}}/{{x}}', value: '{{x}}'}}]\n");
    world_put(WORLD, "/in/1", "out");
    world_put(WORLD, "/in/2", "etc");
    world_put(WORLD, "/in/3", "out");
    world_run(WORLD, 10 * SECOND);
    assert_int_equal(world_count(WORLD, "/to/out/"), 2);
    assert_int_equal(world_count(WORLD, "/to/etc/"), 0);
    assert_non_null(
        strstr(run_error(ASKING, "/in/2"), "its owner, alice, may not"));
}

static void test_a_txn_is_refused_for_either_branch(void **state)
{
    have_alice(*state);
    rest_define(ASKING, "a",
                "if: [{key: '/in/{x}'}]\n"
                "then:\n"
                "- txn:\n"
                "    compare: [{key: '/in/none', exists: false}]\n"
                "    then: [{put: {key: '/to/out/a{{x}}', value: a}}]\n"
                "    else: [{put: {key: '/to/{{value}}/{{x}}', value: b}}]\n");
    world_put(WORLD, "/in/1", "out");
    world_put(WORLD, "/in/2", "etc");
    world_run(WORLD, 2 * SECOND);
    assert_int_equal(world_count(WORLD, "/to/out/"), 1);
    assert_non_null(strstr(run_error(ASKING, "/in/2"), "may not do this"));
}

/* Permissions that are given while it runs are there for the next event. */
static void test_permissions_come_and_go(void **state)
{
    have_alice(*state);
    rest_define(ASKING, "a", COPY);
    world_put(WORLD, "/in/1", "more");
    world_run(WORLD, 2 * SECOND);
    assert_int_equal(world_count(WORLD, "/to/more/"), 0);
    world_grant(USERS, "alice", RUNNER_WRITE, "/to/more/");
    world_put(WORLD, "/in/2", "more");
    world_run(WORLD, 2 * SECOND);
    assert_int_equal(world_count(WORLD, "/to/more/"), 1);
    world_revoke(USERS, "alice", "/to/more/");
    world_put(WORLD, "/in/3", "more");
    world_run(WORLD, 2 * SECOND);
    assert_int_equal(world_count(WORLD, "/to/more/"), 1);
    assert_string_equal(state_of(ASKING, "a"), "running");
}

/* Refused or not, over a net that loses and delays: each event has what it may
 * have, once. */
static void test_over_a_bad_net(void **state)
{
    have_alice(*state);
    rest_define(ASKING, "a", COPY);
    world_start(WORLD, 1);
    world_run(WORLD, 5 * SECOND);
    WORLD->faults = (struct world_faults){
        .delay_ns = SECOND / 20, .lost = 100, .late_ns = SECOND, .broken = 20};
    for (int i = 0; i < 40; i++) {
        char key[32];
        (void)snprintf(key, sizeof key, "/in/%d", i);
        world_put(WORLD, key, i % 4 == 1 ? "etc" : "out");
        world_run(WORLD, SECOND / 4);
    }
    WORLD->faults = (struct world_faults){0};
    world_run(WORLD, 60 * SECOND);
    assert_int_equal(world_count(WORLD, "/to/out/"), 30);
    assert_int_equal(world_count(WORLD, "/to/etc/"), 0);
    for (int i = 0; i < 40; i++) {
        char key[32];
        (void)snprintf(key, sizeof key, "/to/out/%d", i);
        assert_int_equal(world_puts(WORLD, key), i % 4 == 1 ? 0 : 1);
    }
}

/* ---- what it sees -------------------------------------------------------- */

static void test_it_sees_what_its_owner_may_read(void **state)
{
    have_alice(*state);
    world_put(WORLD, "/in/known", "5");
    world_put(WORLD, "/etc/secret", "5");
    rest_define(
        ASKING, "a",
        "if: [{key: '/in/{x}'}]\n"
        "then: [{put: {key: '/to/out/{{x}}', value: \"{{get(value)}}\"}}]"
        "\n");
    world_put(WORLD, "/in/1", "/in/known");
    world_put(WORLD, "/in/2", "/etc/secret");
    world_put(WORLD, "/in/3", "/_recipes/def/b");
    world_run(WORLD, 2 * SECOND);
    assert_true(slice_eq(world_get(WORLD, "/to/out/1"), SLICE("5")));
    assert_int_equal(world_get(WORLD, "/to/out/2").size, 0);
    assert_int_equal(world_get(WORLD, "/to/out/3").size, 0);
    assert_non_null(strstr(run_error(ASKING, "/in/2"),
                           "its owner may not read \"/etc/secret\""));
    assert_non_null(strstr(run_error(ASKING, "/in/3"), "may not read"));
}

static void test_what_it_may_not_count_isnt_there(void **state)
{
    have_alice(*state);
    world_put(WORLD, "/to/etc/a", "1");
    rest_define(
        ASKING, "a",
        "if: [{key: '/in/{x}'}]\n"
        "then: [{put: {key: '/to/out/{{x}}', value: \"{{count(value)}}\"}}]"
        "\n");
    world_put(WORLD, "/in/1", "/in/");
    world_put(WORLD, "/in/2", "/to/etc/");
    world_run(WORLD, 2 * SECOND);
    assert_true(slice_eq(world_get(WORLD, "/to/out/1"), SLICE("1")));
    assert_true(slice_eq(world_get(WORLD, "/to/out/2"), SLICE("0")));
}

/* Its trigger was its owner's to read, and isn't any more. */
static void test_one_that_may_not_watch_stops(void **state)
{
    have_alice(*state);
    rest_define(ASKING, "a", COPY);
    world_put(WORLD, "/in/1", "out");
    world_run(WORLD, SECOND);
    world_revoke(USERS, "alice", "/in/");
    world_put(WORLD, "/in/2", "out");
    world_run(WORLD, 3 * SECOND);
    assert_int_equal(world_count(WORLD, "/to/out/"), 1);
    assert_string_equal(state_of(ASKING, "a"), "tripped");
    assert_non_null(strstr(rest_at(ASKING, "status.why"),
                           "its owner, alice, may not read what if[0] "
                           "watches"));
    /* Resumed in vain, and then with a right. */
    assert_int_equal(rest_ask(ASKING, "POST", "defs/a/resume", NULL), 200);
    world_run(WORLD, 5 * SECOND);
    assert_string_equal(state_of(ASKING, "a"), "tripped");
    world_grant(USERS, "alice", RUNNER_READ, "/in/");
    assert_int_equal(rest_ask(ASKING, "POST", "defs/a/resume", NULL), 200);
    world_run(WORLD, 5 * SECOND);
    assert_string_equal(state_of(ASKING, "a"), "running");
    assert_int_equal(world_count(WORLD, "/to/out/"),
                     2); /* it has lost nothing */
}

/* One from the time before there were users has nobody's permissions. */
static void test_without_an_owner_nothing_is_done(void **state)
{
    rest_define(ASKING, "a", COPY);
    rest_define(
        ASKING, "hand",
        "if: [{manual: true}]\nthen: [{put: {key: /to/out/x, value: 1}}]");
    have_alice(*state);
    world_put(WORLD, "/in/1", "out");
    world_run(WORLD, 3 * SECOND);
    assert_int_equal(world_count(WORLD, "/to/out/"), 0);
    assert_string_equal(state_of(ASKING, "a"), "tripped");
    assert_non_null(strstr(rest_at(ASKING, "status.why"), "it has no owner"));
    ASKING->user = "root";
    assert_int_equal(rest_ask(ASKING, "POST", "defs/hand/run", NULL), 202);
    world_run(WORLD, 3 * SECOND);
    assert_int_equal(world_count(WORLD, "/to/out/"), 0);
    assert_int_equal(rest_ask(ASKING, "GET", "runs?recipe=hand", NULL), 200);
    assert_non_null(strstr(rest_at(ASKING, "runs.0.error"), "it has no owner"));
    /* Saved again it is the one's who saves it. */
    ASKING->user = "alice";
    rest_define(ASKING, "a", COPY);
    assert_int_equal(rest_ask(ASKING, "POST", "defs/a/resume", NULL), 200);
    world_run(WORLD, 3 * SECOND);
    assert_int_equal(world_count(WORLD, "/to/out/"), 1);
}

/* ---- leases and secrets -------------------------------------------------- */

static size_t leases_of(struct world *world, const char *prefix)
{
    int64_t seen[16];
    size_t count = 0;
    for (size_t i = 0; i < world->store.key_count; i++) {
        const struct store_key *key = world->store.keys[i];
        int64_t lease = key->versions[key->count - 1].lease;
        bool is_known =
            lease == 0 || !slice_has_prefix(key->key, slice_str(prefix));
        for (size_t j = 0; j < count; j++)
            is_known = is_known || seen[j] == lease;
        if (!is_known && count < 16)
            seen[count++] = lease;
    }
    return count;
}

/* Who puts a key on a lease must be one who may write all that is on it: so
 * each owner has leases of his own. */
static void test_owners_share_no_lease(void **state)
{
    struct world_users *users = USERS;
    have_alice(*state);
    world_grant(users, "bob", RUNNER_READ, "/in/");
    world_grant(users, "bob", RUNNER_WRITE, "/to/bob/");
    world_grant(users, "bob", RUNNER_WRITE, "/_recipes/def/b");
    const char *const yaml = "if: [{key: '/in/{x}'}]\nthen: [{put: {key: "
                             "'/to/%s/{{x}}', value: 1, ttl: 1h}}]\n";
    char text[256];
    (void)snprintf(text, sizeof text, yaml, "out");
    rest_define(ASKING, "a", text);
    rest_define(ASKING, "a2", text);
    ASKING->user = "bob";
    (void)snprintf(text, sizeof text, yaml, "bob");
    rest_define(ASKING, "b", text);
    world_put(WORLD, "/in/1", "1");
    world_run(WORLD, 2 * SECOND);
    assert_int_equal(world_count(WORLD, "/to/out/"), 1);
    assert_int_equal(world_count(WORLD, "/to/bob/"), 1);
    assert_int_equal(leases_of(WORLD, "/to/out/"), 1);
    assert_int_equal(leases_of(WORLD, "/to/bob/"), 1);
    assert_int_equal(leases_of(WORLD, "/"), 3); /* and the worker's own */
}

static void test_a_secret_is_for_whom_may_read_it(void **state)
{
    have_alice(*state);
    ASKING->user = "root";
    assert_int_equal(rest_ask(ASKING, "PUT", "secrets/mine", "swordfish"), 200);
    assert_int_equal(rest_ask(ASKING, "PUT", "secrets/yours", "hush"), 200);
    world_grant(USERS, "alice", RUNNER_READ, "/_recipes/secret/mine");
    ASKING->user = "alice";
    rest_define(ASKING, "a",
                "if: [{key: '/in/{x}'}]\n"
                "then: [{http: {url: 'http://h/{{x}}', body: "
                "\"{{secret(value)}}\"}}]\n");
    world_put(WORLD, "/in/1", "mine");
    world_put(WORLD, "/in/2", "yours");
    world_run(WORLD, 5 * SECOND);
    buf_append_char(&WORLD->acted, '\0');
    assert_non_null(strstr(WORLD->acted.at, "http://h/1 swordfish"));
    assert_null(strstr(WORLD->acted.at, "hush"));
    assert_null(strstr(WORLD->acted.at, "http://h/2"));
    assert_non_null(strstr(run_error(ASKING, "/in/2"),
                           "isn't one that the recipe's owner may use"));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_what_its_owner_may_is_done),
        TEST(test_what_it_mustnt_is_a_failed_run),
        TEST(test_those_beside_it_are_done),
        TEST(test_on_failure_has_the_same_permissions),
        TEST(test_what_is_due_together),
        TEST(test_a_txn_is_refused_for_either_branch),
        TEST(test_permissions_come_and_go),
        TEST(test_over_a_bad_net),
        TEST(test_it_sees_what_its_owner_may_read),
        TEST(test_what_it_may_not_count_isnt_there),
        TEST(test_one_that_may_not_watch_stops),
        TEST(test_without_an_owner_nothing_is_done),
        TEST(test_owners_share_no_lease),
        TEST(test_a_secret_is_for_whom_may_read_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
