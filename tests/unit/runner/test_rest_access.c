/* Who may ask for what, route by route: nobody, a user without a right, one
 * who may read, one who may write, root; and whose a recipe is. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <stdio.h>
#include <cmocka.h>

#include "rest_world.h"

#define SECOND INT64_C(1000000000)
#define HAND "if: [{manual: true}]\nthen: [{log: hi}]\n"

static int setup(void **state)
{
    *state = rest_scene_new(37);
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
#define ASK(method, target, body) rest_ask(ASKING, method, target, body)

/* "x" is a recipe; "ro" may read it, "rw" may write it too. "ro-all" and
 * "rw-all" may do so with all. */
static void have_users(struct rest_scene *scene)
{
    struct world_users *users = &scene->world.users;
    rest_define(&scene->asking, "x", "owner: rw\n" HAND);
    world_grant(users, "ro", RUNNER_READ, "/_recipes/def/x");
    world_grant(users, "rw", RUNNER_READ, "/_recipes/def/x");
    world_grant(users, "rw", RUNNER_WRITE, "/_recipes/def/x");
    world_grant(users, "ro-all", RUNNER_READ, "/_recipes/");
    world_grant(users, "rw-all", RUNNER_READ, "/_recipes/");
    world_grant(users, "rw-all", RUNNER_WRITE, "/_recipes/");
}

/* ---- the matrix ---------------------------------------------------------- */

enum { NOBODY, NO_RIGHT, RO, RW, RO_ALL, RW_ALL, ROOT, WHO };
static const char *const names[WHO] = {NULL,     "none",   "ro",  "rw",
                                       "ro-all", "rw-all", "root"};

/* '-' refused: 401 for nobody, else 403; '+' let in. */
static const struct {
    const char *method;
    const char *target;
    const char *body;
    const char *may; /* in the order above */
} routes[] = {
    {"GET", "defs", NULL, "-++++++"},
    {"GET", "defs/x", NULL, "--+++++"},
    {"GET", "defs/x?version=1", NULL, "--+++++"},
    {"PUT", "defs/x?dry_run=true", "owner: rw\n" HAND, "---+--+"},
    {"POST", "defs/x/run", NULL, "---+-++"},
    {"POST", "defs/x/pause", NULL, "---+-++"},
    {"POST", "defs/x/resume", NULL, "---+-++"},
    {"GET", "runs?recipe=x", NULL, "--+++++"},
    {"GET", "runs", NULL, "----+++"},
    {"GET", "runs/5", NULL, "----+++"},
    {"GET", "runs/x/5", NULL, "--+++++"},
    {"GET", "explain?recipe=x&revision=3", NULL, "--+++++"},
    {"POST", "explain?recipe=x&revision=3", NULL, "--+++++"},
    {"POST", "backtest", "{\"recipe\": \"x\"}", "--+++++"},
    {"POST", "backtest",
     "{\"recipe\": {\"name\": \"y\", \"if\": [{\"manual\": "
     "true}], \"then\": [{\"log\": \"a\"}]}}",
     "-++++++"},
    {"POST", "test", "name: y\n" HAND, "-++++++"},
    {"GET", "dead?recipe=x", NULL, "--+++++"},
    {"GET", "dead", NULL, "----+++"},
    {"POST", "dead/retry?recipe=x", NULL, "---+-++"},
    {"POST", "dead/retry", NULL, "-----++"},
    {"POST", "dead/x/5.s/retry", NULL, "---+-++"},
    {"DELETE", "dead/x/5.s", NULL, "---+-++"},
    {"POST", "hooks/none", "{}", "+++++++"},
    {"GET", "secrets", NULL, "----+++"},
    {"PUT", "secrets/s", "text", "-----++"},
    {"DELETE", "secrets/s", NULL, "-----++"},
    {"DELETE", "defs/none", NULL, "-----++"},
};

static void test_who_may_ask_for_what(void **state)
{
    have_users(*state);
    for (size_t i = 0; i < sizeof routes / sizeof routes[0]; i++) {
        for (int who = 0; who < WHO; who++) {
            ASKING->user = names[who];
            int status =
                ASK(routes[i].method, routes[i].target, routes[i].body);
            bool is_in = status != 401 && status != 403;
            if (is_in != (routes[i].may[who] == '+') ||
                (!is_in && (status == 401) != (who == NOBODY)))
                fail_msg("%s %s by %s: %d %s", routes[i].method,
                         routes[i].target, names[who] ? names[who] : "nobody",
                         status, rest_text(ASKING));
        }
    }
}

/* Where there are no users nobody is asked who he is. */
static void test_without_users_all_may_all(void **state)
{
    rest_define(ASKING, "x", HAND);
    for (size_t i = 0; i < sizeof routes / sizeof routes[0]; i++) {
        int status = ASK(routes[i].method, routes[i].target, routes[i].body);
        assert_int_not_equal(status, 401);
        assert_int_not_equal(status, 403);
    }
}

static void test_a_refusal_says_what_it_takes(void **state)
{
    have_users(*state);
    ASKING->user = "ro";
    assert_int_equal(ASK("DELETE", "defs/x", NULL), 403);
    assert_string_equal(rest_code(ASKING), "forbidden");
    assert_string_equal(rest_at(ASKING, "error.message"),
                        "ro may not: it takes write permission on "
                        "/_recipes/def/x");
    assert_int_equal(ASK("GET", "runs", NULL), 403);
    assert_string_equal(rest_at(ASKING, "error.message"),
                        "ro may not: it takes read permission on "
                        "/_recipes/def/ and all below it");
    ASKING->user = NULL;
    assert_int_equal(ASK("GET", "defs/x", NULL), 401);
    assert_string_equal(rest_code(ASKING), "unauthenticated");
    assert_int_equal(world_count(WORLD, "/_recipes/def/x"), 1);
}

static void test_a_list_has_what_one_may_see(void **state)
{
    have_users(*state);
    ASKING->user = "root";
    rest_define(ASKING, "w", "owner: rw\n" HAND);
    rest_define(ASKING, "x2", "owner: rw\n" HAND);
    ASKING->user = "ro";
    assert_int_equal(ASK("GET", "defs", NULL), 200);
    assert_int_equal(rest_number(ASKING, "recipes"), 2);
    assert_string_equal(rest_at(ASKING, "recipes.0.name"), "x");
    assert_string_equal(rest_at(ASKING, "recipes.1.name"), "x2");
    assert_int_equal(ASK("GET", "defs?limit=1", NULL), 200);
    assert_string_equal(rest_at(ASKING, "next"), "x");
    assert_int_equal(ASK("GET", "defs?limit=1&after=x", NULL), 200);
    assert_string_equal(rest_at(ASKING, "recipes.0.name"), "x2");
    assert_string_equal(rest_at(ASKING, "next"), "");
    ASKING->user = "none";
    assert_int_equal(ASK("GET", "defs", NULL), 200);
    assert_int_equal(rest_number(ASKING, "recipes"), 0);
    ASKING->user = "ro-all";
    assert_int_equal(ASK("GET", "defs", NULL), 200);
    assert_int_equal(rest_number(ASKING, "recipes"), 3);
}

/* ---- owners -------------------------------------------------------------- */

static const char *owner_of(struct rest_asking *asking, const char *name)
{
    char target[64];
    const char *user = asking->user;
    asking->user = "root";
    (void)snprintf(target, sizeof target, "defs/%s", name);
    assert_int_equal(rest_ask(asking, "GET", target, NULL), 200);
    asking->user = user;
    return rest_at(asking, "recipe.owner");
}

static void test_who_saves_it_owns_it(void **state)
{
    have_users(*state);
    ASKING->user = "rw-all";
    rest_define(ASKING, "new", HAND);
    assert_string_equal(owner_of(ASKING, "new"), "rw-all");
    rest_define(ASKING, "said", "owner: rw-all\n" HAND);
    assert_string_equal(owner_of(ASKING, "said"), "rw-all");
    /* Who writes another's takes it over: what he wrote isn't done with the
     * other's permissions. */
    rest_define(ASKING, "x", HAND "description: mine\n");
    assert_string_equal(owner_of(ASKING, "x"), "rw-all");
    assert_int_equal(ASK("PUT", "defs/x", "owner: rw\n" HAND), 403);
    assert_string_equal(rest_at(ASKING, "error.message"),
                        "owner: only root may name another than itself");
}

static void test_root_names_whose_it_is(void **state)
{
    have_users(*state);
    ASKING->user = "root";
    assert_int_equal(ASK("PUT", "defs/y", HAND), 400);
    assert_string_equal(rest_at(ASKING, "error.at.path"), "owner");
    assert_int_equal(ASK("PUT", "defs/y", "owner: root\n" HAND), 400);
    assert_non_null(strstr(rest_text(ASKING), "root's permissions"));
    rest_define(ASKING, "y", "owner: rw\n" HAND);
    assert_string_equal(owner_of(ASKING, "y"), "rw");
    /* And doesn't take it away where it says nothing. */
    rest_define(ASKING, "y", HAND "description: new\n");
    assert_string_equal(owner_of(ASKING, "y"), "rw");
}

static void test_without_users_nobody_owns_it(void **state)
{
    rest_define(ASKING, "x", HAND);
    ASKING->user = NULL;
    assert_int_equal(ASK("GET", "defs/x", NULL), 200);
    assert_string_equal(rest_at(ASKING, "recipe.owner"), "");
    /* One may be named, for later. */
    rest_define(ASKING, "x", "owner: alice\n" HAND);
    assert_int_equal(ASK("GET", "defs/x", NULL), 200);
    assert_string_equal(rest_at(ASKING, "recipe.owner"), "alice");
}

/* ---- what it may watch --------------------------------------------------- */

static void test_a_trigger_is_its_owners_to_read(void **state)
{
    have_users(*state);
    world_grant(USERS, "rw", RUNNER_READ, "/m/a/");
    ASKING->user = "rw";
    static const struct {
        const char *trigger;
        bool is_fine;
    } cases[] = {
        {"key: '/m/a/{x}'", true},
        {"key: /m/a/one", true},
        {"absent: /m/a/one, for: 1m", true},
        {"every: 1m", true},
        {"webhook: {path: p}", true},
        {"recipe: {name: x2}", true},
        {"key: '/m/{x}/a'", false}, /* all of /m/ is watched for it */
        {"key: /m/a", false},
        {"key: '/{x...}'", false},
        {"absent: '/m/{x}/alive', for: 1m", false},
        {"recipe: {name: other}", false},
    };
    char yaml[256];
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        (void)snprintf(yaml, sizeof yaml, "if: [{%s}]\nthen: [{log: hi}]\n",
                       cases[i].trigger);
        int status = ASK("PUT", "defs/x?dry_run=true", yaml);
        if (cases[i].is_fine ? status != 200 : status != 403)
            fail_msg("%s: %s", cases[i].trigger, rest_text(ASKING));
        if (!cases[i].is_fine)
            assert_string_equal(rest_at(ASKING, "error.message"),
                                "its owner, rw, may not read what if[0] "
                                "watches");
    }
    /* Of root's own rights it has none. */
    ASKING->user = "root";
    assert_int_equal(ASK("PUT", "defs/x",
                         "owner: rw\nif: [{key: /etc/x}]\n"
                         "then: [{log: hi}]\n"),
                     403);
}

static void test_a_call_is_to_one_that_it_may_run(void **state)
{
    have_users(*state);
    ASKING->user = "rw";
    assert_int_equal(ASK("PUT", "defs/x",
                         "if: [{manual: true}]\nthen: [{call: {recipe: x2}}]"),
                     200);
    assert_int_equal(ASK("PUT", "defs/x",
                         "if: [{manual: true}]\nthen: [{call: {recipe: "
                         "other}}]"),
                     403);
    assert_string_equal(rest_at(ASKING, "error.message"),
                        "its owner, rw, may not call \"other\"");
    assert_int_equal(ASK("PUT", "defs/x",
                         "if: [{manual: true}]\nthen: [{log: hi}]\n"
                         "on_failure: [{call: {recipe: other}}]"),
                     403);
}

/* ---- the past ------------------------------------------------------------ */

static void test_the_past_is_for_whom_may_read_it(void **state)
{
    static const char draft[] =
        "{\"recipe\": {\"name\": \"d\", \"if\": [{\"key\": \"/m/{x}\"}], "
        "\"then\": [{\"put\": {\"key\": \"/o/{{x}}\", \"value\": "
        "\"{{get('/secret')}}\"}}]}, \"from\": 1}";
    have_users(*state);
    world_put(WORLD, "/secret", "s");
    world_put(WORLD, "/m/1", "1");
    world_run(WORLD, SECOND);
    ASKING->user = "ro";
    assert_int_equal(ASK("POST", "backtest", draft), 403);
    assert_non_null(strstr(rest_text(ASKING), "what if[0] watches"));
    world_grant(USERS, "ro", RUNNER_READ, "/m/");
    assert_int_equal(ASK("POST", "backtest", draft), 403);
    assert_non_null(strstr(rest_text(ASKING), "/secret"));
    world_grant(USERS, "ro", RUNNER_READ, "/secret");
    assert_int_equal(ASK("POST", "backtest", draft), 200);
    assert_int_equal(rest_number(ASKING, "would.fired"), 1);
}

/* ---- streams ------------------------------------------------------------- */

static void test_a_stream_ends_with_the_right_to_it(void **state)
{
    have_users(*state);
    ASKING->user = "ro";
    uint64_t one = rest_send(ASKING, "GET", "stream?recipe=x", NULL, SLICE(""));
    uint64_t all = rest_send(ASKING, "GET", "stream", NULL, SLICE(""));
    world_run(WORLD, SECOND);
    assert_int_equal(rest_read(ASKING, all), 1);
    assert_int_equal(ASKING->status, 403);
    assert_int_equal(rest_read(ASKING, one), 1);
    assert_int_equal(ASKING->status, 200);
    world_run(WORLD, 20 * SECOND);
    assert_int_equal(rest_read(ASKING, one), 2); /* a beat */
    world_revoke(USERS, "ro", "/_recipes/def/x");
    world_run(WORLD, 20 * SECOND);
    assert_int_equal(rest_read(ASKING, one), 3);
    assert_int_equal(ASKING->body.size, 0); /* the end */
    ASKING->user = "root";
    assert_int_equal(ASK("POST", "defs/x/pause", NULL), 200);
    world_run(WORLD, 40 * SECOND);
    assert_int_equal(rest_read(ASKING, one), 3);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_who_may_ask_for_what),
        TEST(test_without_users_all_may_all),
        TEST(test_a_refusal_says_what_it_takes),
        TEST(test_a_list_has_what_one_may_see),
        TEST(test_who_saves_it_owns_it),
        TEST(test_root_names_whose_it_is),
        TEST(test_without_users_nobody_owns_it),
        TEST(test_a_trigger_is_its_owners_to_read),
        TEST(test_a_call_is_to_one_that_it_may_run),
        TEST(test_the_past_is_for_whom_may_read_it),
        TEST(test_a_stream_ends_with_the_right_to_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
