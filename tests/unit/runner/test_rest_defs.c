/* Definitions by REST: list, read, write, delete; run, pause, resume; tests in
 * documents; routes and errors that all have in common. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <stdio.h>
#include <cmocka.h>

#include "rest_world.h"

#define SECOND INT64_C(1000000000)

#define COPY                                    \
    "name: copy\n"                              \
    "description: what comes is written down\n" \
    "labels: {team: infra}\n"                   \
    "if: [{key: '/in/{x}', events: [put]}]\n"   \
    "then: [{put: {key: '/out/{{x}}', value: '{{raw}}'}}]\n"
#define BY_HAND              \
    "name: hand\n"           \
    "if: [{manual: true}]\n" \
    "then: [{put: {key: /hand, value: '{{args.word}}'}}]\n"

static int setup(void **state)
{
    *state = rest_scene_new(7);
    return 0;
}

static int teardown(void **state)
{
    rest_scene_free(*state);
    return 0;
}

#define ASKING (&((struct rest_scene *)*state)->asking)
#define WORLD (&((struct rest_scene *)*state)->world)

/* ---- what all have in common -------------------------------------------- */

static void test_what_isnt_there_is_named(void **state)
{
    assert_int_equal(rest_ask(ASKING, "GET", "nothing", NULL), 404);
    assert_string_equal(rest_code(ASKING), "not_found");
    assert_non_null(strstr(rest_text(ASKING), "backtest"));
    assert_int_equal(rest_ask(ASKING, "GET", "", NULL), 404);
    assert_int_equal(rest_ask(ASKING, "GET", "defs/a/b/c/d", NULL), 404);
    assert_int_equal(rest_ask(ASKING, "POST", "hooks", NULL), 404);
}

static void test_a_wrong_method_is_told_the_right_ones(void **state)
{
    assert_int_equal(rest_ask(ASKING, "PATCH", "defs/x", NULL), 405);
    assert_string_equal(rest_code(ASKING), "method_not_allowed");
    const char *message = rest_at(ASKING, "error.message");
    assert_non_null(strstr(message, "GET"));
    assert_non_null(strstr(message, "PUT"));
    assert_non_null(strstr(message, "DELETE"));
    static const char *const wrong[][2] = {
        {"POST", "defs"},      {"DELETE", "runs"},      {"PUT", "explain"},
        {"GET", "backtest"},   {"GET", "test"},         {"POST", "dead"},
        {"GET", "dead/retry"}, {"GET", "hooks/x"},      {"POST", "secrets/x"},
        {"GET", "secrets/x"},  {"GET", "defs/x/pause"}, {"POST", "stream"},
    };
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++)
        assert_int_equal(rest_ask(ASKING, wrong[i][0], wrong[i][1], NULL), 405);
}

static void test_paths_and_queries_that_cant_be_read(void **state)
{
    static const char *const bad[] = {
        "defs/%",
        "defs/%2",
        "defs/%zz",
        "defs//x",
        "runs?limit",
        "runs?limit=0",
        "runs?limit=1001",
        "runs?limit=x",
        "runs?nothing=1",
        "runs?since=%",
        "runs?since=yesterday",
        "runs?until=12",
        "defs?limit=-1",
        ("defs?limit=1&limit=1&limit=1&limit=1&limit=1&limit=1&limit=1&limit=1"
         "&limit=1&limit=1&limit=1&limit=1&limit=1&limit=1&limit=1&limit=1"
         "&limit=1"),
        "a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a",
    };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        int status = rest_ask(ASKING, "GET", bad[i], NULL);
        if (status != 400 && !(i == 4 && status == 200))
            fail_msg("%s: %d %s", bad[i], status, rest_text(ASKING));
    }
    /* A slash at the end, blanks, and what a client wrote as %xx are fine. */
    assert_int_equal(rest_ask(ASKING, "GET", "defs/", NULL), 200);
    assert_int_equal(rest_ask(ASKING, "GET", "%64efs?prefix=%61+b", NULL), 200);
}

static void test_bytes_that_are_no_text_are_answered_as_text(void **state)
{
    assert_int_equal(rest_ask(ASKING, "GET", "defs/%ff%00%22", NULL), 404);
    assert_int_equal(rest_ask(ASKING, "GET", "\xff\xfe", NULL), 404);
    assert_int_equal(rest_ask(ASKING, "G\x80T", "defs", NULL), 405);
}

static void test_a_body_has_its_bound(void **state)
{
    size_t size = (1 << 20) + 1;
    char *body = mem_alloc(size);
    memset(body, ' ', size);
    assert_int_equal(
        rest_ask_with(ASKING, "POST", "backtest", NULL, slice_of(body, size)),
        413);
    assert_string_equal(rest_code(ASKING), "too_large");
    mem_free(body);
}

static void test_before_the_definitions_are_read(void **state)
{
    struct world *world = WORLD;
    static const char *const asked[][2] = {
        {"GET", "defs"},        {"GET", "defs/x"},
        {"POST", "defs/x/run"}, {"POST", "defs/x/pause"},
        {"POST", "hooks/x"},    {"GET", "explain?recipe=x&revision=2"},
    };
    world_kill(world, 0);
    world->faults.is_away = true;
    world_start(world, 0);
    for (size_t i = 0; i < sizeof asked / sizeof asked[0]; i++) {
        assert_int_equal(rest_ask(ASKING, asked[i][0], asked[i][1], NULL), 503);
        assert_string_equal(rest_code(ASKING), "not_ready");
    }
    world->faults.is_away = false;
    world_run(world, 30 * SECOND);
    assert_int_equal(rest_ask(ASKING, "GET", "defs", NULL), 200);
}

/* Nothing has happened for an hour: what is asked then isn't late already. */
static void test_after_a_long_rest(void **state)
{
    world_run(WORLD, 3600 * SECOND);
    assert_int_equal(rest_ask(ASKING, "PUT", "defs/copy", COPY), 201);
    world_run(WORLD, 3600 * SECOND);
    assert_int_equal(rest_ask(ASKING, "GET", "runs", NULL), 200);
}

static void test_no_more_than_so_many_at_once(void **state)
{
    WORLD->faults.is_away = true;
    uint64_t first = 0;
    uint64_t last = 0;
    for (int i = 0; i < 1001; i++) {
        last = rest_send(ASKING, "GET", "secrets", NULL, SLICE(""));
        first = first ? first : last;
    }
    assert_int_equal(rest_read(ASKING, last), 1);
    assert_int_equal(ASKING->status, 503);
    assert_string_equal(rest_code(ASKING), "busy");
    /* One has gone: there is room again. */
    rest_leave(ASKING, first);
    last = rest_send(ASKING, "GET", "secrets", NULL, SLICE(""));
    assert_int_equal(rest_read(ASKING, last), 0);
}

static void test_a_client_that_goes_isnt_answered(void **state)
{
    static const char *const asked[][2] = {
        {"GET", "runs"},
        {"GET", "secrets"},
        {"GET", "dead"},
        {"POST", "dead/retry"},
        {"GET", "stream"},
        {"GET", "runs/copy/77"},
        {"DELETE", "defs/x"},
        {"PUT", "secrets/x"},
        {"PUT", "defs/copy"},
        {"GET", "defs/copy?revision=3"},
        {"POST", "defs/copy/pause"},
        {"GET", "explain?recipe=copy&revision=4"},
    };
    rest_define(ASKING, "copy", COPY);
    for (size_t i = 0; i < sizeof asked / sizeof asked[0]; i++) {
        /* At once, and in the middle of it. */
        for (int64_t ns = 0; ns < 5000000; ns += 1200000) {
            uint64_t id =
                rest_send(ASKING, asked[i][0], asked[i][1], NULL, SLICE(COPY));
            world_run(WORLD, ns);
            size_t parts = rest_read(ASKING, id);
            rest_leave(ASKING, id);
            rest_leave(ASKING, id); /* twice is nothing */
            world_run(WORLD, SECOND);
            assert_int_equal(rest_read(ASKING, id), parts);
        }
    }
    rest_leave(ASKING, 99999); /* never asked */
}

/* ---- list and read ------------------------------------------------------ */

static void test_an_empty_list(void **state)
{
    assert_int_equal(rest_ask(ASKING, "GET", "defs", NULL), 200);
    assert_string_equal(rest_text(ASKING), "{\"recipes\":[]}");
}

static void test_a_recipe_is_shown_with_its_status(void **state)
{
    rest_define(ASKING, "copy", COPY);
    world_run(WORLD, 2 * SECOND);
    world_put(WORLD, "/in/a", "1");
    world_run(WORLD, SECOND);
    assert_int_equal(rest_ask(ASKING, "GET", "defs", NULL), 200);
    assert_string_equal(rest_at(ASKING, "recipes"), "1");
    assert_string_equal(rest_at(ASKING, "recipes.0.name"), "copy");
    assert_string_equal(rest_at(ASKING, "recipes.0.state"), "running");
    assert_string_equal(rest_at(ASKING, "recipes.0.enabled"), "true");
    assert_string_equal(rest_at(ASKING, "recipes.0.shadow"), "false");
    assert_string_equal(rest_at(ASKING, "recipes.0.labels.team"), "infra");
    assert_string_equal(rest_at(ASKING, "recipes.0.version"), "1");
    assert_string_equal(rest_at(ASKING, "recipes.0.lag.revisions"), "0");
    assert_string_not_equal(rest_at(ASKING, "recipes.0.owner"), "");
    assert_int_equal(rest_ask(ASKING, "GET", "defs/copy", NULL), 200);
    assert_string_equal(rest_at(ASKING, "recipe.name"), "copy");
    assert_string_equal(rest_at(ASKING, "recipe.if.0.key"), "/in/{x}");
    assert_string_equal(rest_at(ASKING, "status.state"), "running");
    assert_int_equal(rest_number(ASKING, "status.uid"),
                     rest_number(ASKING, "status.revision"));
}

static void test_lists_have_a_prefix_and_pages(void **state)
{
    char name[16];
    char yaml[256];
    for (int i = 0; i < 5; i++) {
        (void)snprintf(name, sizeof name, "%s%d", i < 3 ? "a" : "b", i);
        (void)snprintf(yaml, sizeof yaml,
                       "name: %s\nif: [{key: /x}]\nthen: [{delete: {key: /y}}]",
                       name);
        rest_define(ASKING, name, yaml);
    }
    assert_int_equal(rest_ask(ASKING, "GET", "defs", NULL), 200);
    assert_string_equal(rest_at(ASKING, "recipes"), "5");
    assert_string_equal(rest_at(ASKING, "next"), "");
    assert_int_equal(rest_ask(ASKING, "GET", "defs?prefix=b", NULL), 200);
    assert_string_equal(rest_at(ASKING, "recipes"), "2");
    assert_string_equal(rest_at(ASKING, "recipes.0.name"), "b3");
    assert_int_equal(rest_ask(ASKING, "GET", "defs?limit=2", NULL), 200);
    assert_string_equal(rest_at(ASKING, "recipes"), "2");
    assert_string_equal(rest_at(ASKING, "next"), "a1");
    assert_int_equal(rest_ask(ASKING, "GET", "defs?limit=3&after=a1", NULL),
                     200);
    assert_string_equal(rest_at(ASKING, "recipes.2.name"), "b4");
    assert_string_equal(rest_at(ASKING, "next"), "");
}

static void test_older_versions_are_still_there(void **state)
{
    rest_define(ASKING, "copy", COPY);
    rest_define(ASKING, "copy", COPY "keep: {runs: 5}\n");
    int64_t second = rest_number(ASKING, "revision");
    rest_define(ASKING, "copy", COPY "keep: {runs: 6}\n");
    assert_int_equal(rest_ask(ASKING, "GET", "defs/copy", NULL), 200);
    assert_string_equal(rest_at(ASKING, "recipe.keep.runs"), "6");
    assert_string_equal(rest_at(ASKING, "status.version"), "3");
    assert_int_equal(rest_ask(ASKING, "GET", "defs/copy?version=1", NULL), 200);
    assert_string_equal(rest_at(ASKING, "recipe.keep"), "");
    assert_string_equal(rest_at(ASKING, "status.version"), "1");
    char target[64];
    (void)snprintf(target, sizeof target, "defs/copy?revision=%lld",
                   (long long)second);
    assert_int_equal(rest_ask(ASKING, "GET", target, NULL), 200);
    assert_string_equal(rest_at(ASKING, "recipe.keep.runs"), "5");
    assert_int_equal(rest_ask(ASKING, "GET", "defs/copy?version=4", NULL), 404);
    assert_int_equal(rest_ask(ASKING, "GET", "defs/copy?revision=1", NULL),
                     404);
    assert_int_equal(rest_ask(ASKING, "GET", "defs/copy?revision=99999", NULL),
                     400);
    assert_int_equal(rest_ask(ASKING, "GET", "defs/none", NULL), 404);
    assert_int_equal(rest_ask(ASKING, "GET", "defs/none?version=1", NULL), 404);
    assert_int_equal(
        rest_ask(ASKING, "GET", "defs/..%2Fsecret?version=1", NULL), 404);
    memory_store_compact(&WORLD->store, WORLD->store.revision);
    assert_int_equal(rest_ask(ASKING, "GET", "defs/copy?version=1", NULL), 410);
    assert_string_equal(rest_code(ASKING), "compacted");
}

/* ---- write -------------------------------------------------------------- */

static void test_what_is_written_is_canonical_and_has_a_version(void **state)
{
    assert_int_equal(rest_ask(ASKING, "PUT", "defs/copy", COPY), 201);
    assert_string_equal(rest_at(ASKING, "created"), "true");
    assert_string_equal(rest_at(ASKING, "changed"), "true");
    assert_string_equal(rest_at(ASKING, "version"), "1");
    struct slice stored = world_get(WORLD, "/_recipes/def/copy");
    assert_true(slice_has_prefix(stored, SLICE("{\"name\":\"copy\"")));
    /* The same again, written otherwise: nothing happens. */
    world_run(WORLD, SECOND);
    int64_t revision = WORLD->store.revision;
    char json[1024];
    (void)snprintf(json, sizeof json, "%.*s", (int)stored.size, stored.at);
    assert_int_equal(rest_ask(ASKING, "PUT", "defs/copy", json), 200);
    assert_string_equal(rest_at(ASKING, "changed"), "false");
    assert_string_equal(rest_at(ASKING, "version"), "1");
    assert_int_equal(WORLD->store.revision, revision);
    assert_int_equal(
        rest_ask(ASKING, "PUT", "defs/copy", COPY "enabled: false"), 200);
    assert_string_equal(rest_at(ASKING, "created"), "false");
    assert_string_equal(rest_at(ASKING, "changed"), "true");
    assert_string_equal(rest_at(ASKING, "version"), "2");
}

static void test_a_bad_document_is_refused_with_its_place(void **state)
{
    assert_int_equal(rest_ask(ASKING, "PUT", "defs/copy",
                              "name: copy\nif: [{key: /a}]\nthn: []\n"),
                     400);
    assert_string_equal(rest_code(ASKING), "invalid");
    assert_string_equal(rest_at(ASKING, "error.at.line"), "3");
    assert_string_equal(rest_at(ASKING, "error.at.column"), "1");
    assert_non_null(strstr(rest_at(ASKING, "error.message"), "thn"));
    assert_int_equal(rest_ask(ASKING, "PUT", "defs/copy", ""), 400);
    assert_int_equal(rest_ask(ASKING, "PUT", "defs/copy", "\xff\xff"), 400);
    assert_int_equal(rest_ask(ASKING, "PUT", "defs/copy", "{\"name\": "), 400);
    assert_int_equal(rest_ask(ASKING, "PUT", "defs/other", COPY), 400);
    assert_string_equal(rest_at(ASKING, "error.at.path"), "name");
    assert_int_equal(world_count(WORLD, "/_recipes/def/"), 0);
    /* A loop of its own. */
    assert_int_equal(rest_ask(ASKING, "PUT", "defs/loop",
                              "name: loop\nif: [{key: '/a/{x}'}]\n"
                              "then: [{put: {key: /a/b, value: '1'}}]"),
                     400);
    assert_non_null(strstr(rest_at(ASKING, "error.message"), "reentrant"));
}

static void test_if_match_is_the_version_that_is_replaced(void **state)
{
    struct rest_given match[] = {{"if-match", "1"}, {NULL, NULL}};
    assert_int_equal(
        rest_ask_with(ASKING, "PUT", "defs/copy", match, SLICE(COPY)), 412);
    rest_define(ASKING, "copy", COPY);
    struct slice second = SLICE(COPY "enabled: false\n");
    assert_int_equal(rest_ask_with(ASKING, "PUT", "defs/copy", match, second),
                     200);
    assert_int_equal(
        rest_ask_with(ASKING, "PUT", "defs/copy", match, SLICE(COPY)), 412);
    assert_string_equal(rest_code(ASKING), "version");
    match[0].value = "\"2\"";
    match[0].name = "If-Match";
    assert_int_equal(
        rest_ask_with(ASKING, "PUT", "defs/copy", match, SLICE(COPY)), 200);
    match[0].value = "two";
    assert_int_equal(
        rest_ask_with(ASKING, "PUT", "defs/copy", match, SLICE(COPY)), 400);
}

/* Two write at once: both are answered, the versions differ. */
static void test_two_writers(void **state)
{
    uint64_t one = rest_send(ASKING, "PUT", "defs/copy", NULL, SLICE(COPY));
    uint64_t two = rest_send(ASKING, "PUT", "defs/copy", NULL,
                             SLICE(COPY "enabled: false\n"));
    world_run(WORLD, SECOND);
    assert_int_equal(rest_read(ASKING, one), 1);
    int64_t first = rest_number(ASKING, "version");
    assert_int_equal(rest_read(ASKING, two), 1);
    assert_int_equal(first + rest_number(ASKING, "version"), 3);
}

static void test_a_dry_run_writes_nothing(void **state)
{
    int64_t revision = WORLD->store.revision;
    assert_int_equal(rest_ask(ASKING, "PUT", "defs/copy?dry_run=true", COPY),
                     200);
    assert_string_equal(rest_at(ASKING, "changed"), "true");
    assert_int_equal(rest_ask(ASKING, "PUT", "defs/copy?dry_run=true", "x: 1"),
                     400);
    assert_int_equal(rest_ask(ASKING, "PUT", "defs/copy?dry_run=maybe", COPY),
                     400);
    assert_int_equal(WORLD->store.revision, revision);
    rest_define(ASKING, "copy", COPY);
    assert_int_equal(rest_ask(ASKING, "PUT", "defs/copy?dry_run=true", COPY),
                     200);
    assert_string_equal(rest_at(ASKING, "changed"), "false");
}

static void test_a_store_that_is_away(void **state)
{
    rest_define(ASKING, "copy", COPY);
    WORLD->faults.is_away = true;
    assert_int_equal(
        rest_ask(ASKING, "PUT", "defs/copy", COPY "enabled: false\n"), 503);
    assert_string_equal(rest_code(ASKING), "unsure");
    assert_int_equal(rest_ask(ASKING, "DELETE", "defs/copy", NULL), 503);
    assert_int_equal(rest_ask(ASKING, "GET", "runs", NULL), 503);
    /* What is known is told all the same. */
    assert_int_equal(rest_ask(ASKING, "GET", "defs/copy", NULL), 200);
}

/* ---- delete ------------------------------------------------------------- */

static void test_deleted_with_all_that_it_had(void **state)
{
    rest_define(ASKING, "copy", COPY);
    rest_define(ASKING, "hand", BY_HAND);
    world_put(WORLD, "/in/a", "1");
    world_run(WORLD, 2 * SECOND);
    assert_int_equal(world_count(WORLD, "/_recipes/run/copy/"), 1);
    assert_int_equal(rest_ask(ASKING, "DELETE", "defs/copy", NULL), 200);
    assert_string_equal(rest_at(ASKING, "name"), "copy");
    world_run(WORLD, 2 * SECOND);
    assert_int_equal(world_count(WORLD, "/_recipes/def/"), 1);
    assert_int_equal(world_count(WORLD, "/_recipes/cursor/copy"), 0);
    assert_int_equal(world_count(WORLD, "/_recipes/owner/copy"), 0);
    world_put(WORLD, "/in/b", "1");
    world_run(WORLD, 2 * SECOND);
    assert_int_equal(world_count(WORLD, "/out/b"), 0);
    assert_int_equal(rest_ask(ASKING, "DELETE", "defs/copy", NULL), 404);
    /* Its records are still there, until they aren't wanted any more. */
    assert_int_equal(rest_ask(ASKING, "GET", "runs?recipe=copy", NULL), 200);
    assert_string_equal(rest_at(ASKING, "runs"), "1");
    assert_int_equal(rest_ask(ASKING, "DELETE", "defs/copy?purge=yes", NULL),
                     400);
    assert_int_equal(rest_ask(ASKING, "DELETE", "defs/copy?purge=true", NULL),
                     200);
    assert_int_equal(world_count(WORLD, "/_recipes/run/"), 0);
    assert_int_equal(rest_ask(ASKING, "DELETE", "defs/copy?purge=true", NULL),
                     404);
    assert_int_equal(rest_ask(ASKING, "DELETE", "defs/A%2F", NULL), 404);
    /* The other one wasn't touched. */
    assert_int_equal(rest_ask(ASKING, "GET", "defs/hand", NULL), 200);
}

/* ---- run, pause, resume ------------------------------------------------- */

static void test_run_by_hand(void **state)
{
    rest_define(ASKING, "hand", BY_HAND);
    assert_int_equal(rest_ask(ASKING, "POST", "defs/hand/run",
                              "{\"args\": {\"word\": \"now\"}}"),
                     202);
    assert_string_not_equal(rest_at(ASKING, "id"), "");
    world_run(WORLD, 2 * SECOND);
    assert_true(slice_eq(world_get(WORLD, "/hand"), SLICE("now")));
    static const char *const bad[] = {"{\"arguments\": {}}", "{\"args\": 1}",
                                      "[1]", "{", "just text"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        assert_int_equal(rest_ask(ASKING, "POST", "defs/hand/run", bad[i]),
                         400);
    assert_int_equal(rest_ask(ASKING, "POST", "defs/none/run", NULL), 404);
    assert_int_equal(world_puts(WORLD, "/hand"), 1);
}

static void test_a_disabled_one_isnt_run(void **state)
{
    rest_define(ASKING, "hand", BY_HAND "enabled: false\n");
    assert_int_equal(rest_ask(ASKING, "POST", "defs/hand/run", NULL), 409);
    assert_string_equal(rest_code(ASKING), "disabled");
    assert_int_equal(world_count(WORLD, "/_recipes/in/"), 0);
}

static void test_pause_keeps_what_comes_until_resume(void **state)
{
    rest_define(ASKING, "copy", COPY);
    assert_int_equal(rest_ask(ASKING, "POST", "defs/copy/pause", NULL), 200);
    world_run(WORLD, SECOND);
    world_put(WORLD, "/in/a", "1");
    world_run(WORLD, 3 * SECOND);
    assert_int_equal(world_count(WORLD, "/out/"), 0);
    assert_int_equal(rest_ask(ASKING, "GET", "defs/copy", NULL), 200);
    assert_string_equal(rest_at(ASKING, "status.state"), "paused");
    assert_string_equal(rest_at(ASKING, "status.why"), "by request");
    assert_int_equal(rest_ask(ASKING, "POST", "defs/copy/resume", NULL), 200);
    world_run(WORLD, 3 * SECOND);
    assert_int_equal(world_puts(WORLD, "/out/a"), 1);
    assert_int_equal(rest_ask(ASKING, "POST", "defs/none/pause", NULL), 404);
    assert_int_equal(rest_ask(ASKING, "POST", "defs/none/resume", NULL), 404);
}

/* The pause of a gap has moved on already; resumed, the recipe takes what came
 * after it and nothing twice. */
static void test_resume_after_a_gap(void **state)
{
    rest_define(ASKING, "copy", COPY "on_gap: pause\n");
    world_run(WORLD, SECOND);
    assert_int_equal(rest_ask(ASKING, "POST", "defs/copy/pause", NULL), 200);
    world_run(WORLD, SECOND);
    for (int i = 0; i < 5; i++)
        world_put(WORLD, "/in/lost", "1");
    memory_store_compact(&WORLD->store, WORLD->store.revision);
    assert_int_equal(rest_ask(ASKING, "POST", "defs/copy/resume", NULL), 200);
    world_run(WORLD, 5 * SECOND);
    assert_int_equal(rest_ask(ASKING, "GET", "defs/copy", NULL), 200);
    assert_string_equal(rest_at(ASKING, "status.state"), "gap");
    assert_non_null(strstr(rest_at(ASKING, "status.why"), "compacted"));
    world_put(WORLD, "/in/after", "1");
    world_run(WORLD, 3 * SECOND);
    assert_int_equal(world_count(WORLD, "/out/"), 0);
    assert_int_equal(rest_ask(ASKING, "POST", "defs/copy/resume", NULL), 200);
    world_run(WORLD, 5 * SECOND);
    assert_int_equal(rest_ask(ASKING, "GET", "defs/copy", NULL), 200);
    assert_string_equal(rest_at(ASKING, "status.state"), "running");
    assert_int_equal(world_puts(WORLD, "/out/after"), 1);
    assert_int_equal(world_puts(WORLD, "/out/lost"), 0);
}

/* A definition of a newer program. */
static void test_a_broken_one_is_shown_as_it_is(void **state)
{
    world_put(WORLD, "/_recipes/def/new", "{\"name\":\"new\",\"then\":[]}");
    world_run(WORLD, SECOND);
    assert_int_equal(rest_ask(ASKING, "GET", "defs/new", NULL), 200);
    assert_string_equal(rest_at(ASKING, "status.state"), "broken");
    assert_string_not_equal(rest_at(ASKING, "status.why"), "");
    assert_int_equal(rest_ask(ASKING, "GET", "defs", NULL), 200);
    assert_string_equal(rest_at(ASKING, "recipes.0.state"), "broken");
    assert_int_equal(rest_ask(ASKING, "POST", "defs/new/run", NULL), 409);
    assert_int_equal(rest_ask(ASKING, "DELETE", "defs/new", NULL), 200);
}

/* ---- tests in documents ------------------------------------------------- */

static void test_tests_in_a_document(void **state)
{
    static const char *const tests =
        COPY "tests:\n"
             "  - given: [{put: {key: /in/a, value: '7'}}]\n"
             "    expect: [{put: /out/a}]\n"
             "  - given: [{put: {key: /in/a, value: '7'}}]\n"
             "    expect: [{put: /out/b}]\n";
    assert_int_equal(rest_ask(ASKING, "POST", "test", tests), 200);
    assert_string_equal(rest_at(ASKING, "name"), "copy");
    assert_string_equal(rest_at(ASKING, "passed"), "1");
    assert_string_equal(rest_at(ASKING, "failed"), "1");
    assert_true(rest_number(ASKING, "failures") >= 1);
    assert_int_equal(rest_ask(ASKING, "POST", "test", COPY), 200);
    assert_string_equal(rest_at(ASKING, "failures"), "0");
    assert_int_equal(rest_ask(ASKING, "POST", "test", "name: x"), 400);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_what_isnt_there_is_named),
        TEST(test_a_wrong_method_is_told_the_right_ones),
        TEST(test_paths_and_queries_that_cant_be_read),
        TEST(test_bytes_that_are_no_text_are_answered_as_text),
        TEST(test_a_body_has_its_bound),
        TEST(test_before_the_definitions_are_read),
        TEST(test_after_a_long_rest),
        TEST(test_no_more_than_so_many_at_once),
        TEST(test_a_client_that_goes_isnt_answered),
        TEST(test_an_empty_list),
        TEST(test_a_recipe_is_shown_with_its_status),
        TEST(test_lists_have_a_prefix_and_pages),
        TEST(test_older_versions_are_still_there),
        TEST(test_what_is_written_is_canonical_and_has_a_version),
        TEST(test_a_bad_document_is_refused_with_its_place),
        TEST(test_if_match_is_the_version_that_is_replaced),
        TEST(test_two_writers),
        TEST(test_a_dry_run_writes_nothing),
        TEST(test_a_store_that_is_away),
        TEST(test_deleted_with_all_that_it_had),
        TEST(test_run_by_hand),
        TEST(test_a_disabled_one_isnt_run),
        TEST(test_pause_keeps_what_comes_until_resume),
        TEST(test_resume_after_a_gap),
        TEST(test_a_broken_one_is_shown_as_it_is),
        TEST(test_tests_in_a_document),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
