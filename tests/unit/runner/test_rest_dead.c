/* Dead letters, secrets and the stream of events by REST. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <stdio.h>
#include <cmocka.h>

#include "rest_world.h"

#define SECOND INT64_C(1000000000)

static int setup(void **state)
{
    *state = rest_scene_new(13);
    return 0;
}

static int teardown(void **state)
{
    rest_scene_free(*state);
    return 0;
}

#define ASKING (&((struct rest_scene *)*state)->asking)
#define WORLD (&((struct rest_scene *)*state)->world)

#define CALLS                                                    \
    "name: calls\n"                                              \
    "if: [{key: '/call/{x}'}]\n"                                 \
    "then:\n"                                                    \
    "  - id: tell\n"                                             \
    "    http: {method: POST,\n"                                 \
    "           url: "                                           \
    "'https://u:p@host.example:8443/{{x}}?t={{secret(\"t\")}}'," \
    "           json: {word: 'hush'}}\n"                         \
    "    retry: {max: 0}\n"                                      \
    "  - put: {key: '/called/{{x}}', value: '1'}\n"

static bool refuses(struct world *world, const struct act *act,
                    struct act_answer *answer)
{
    (void)world;
    (void)act;
    answer->status = 403;
    return true;
}

/* Letters of so many keys, all refused. */
static void make_letters(void **state, int count)
{
    char key[32];
    assert_int_equal(rest_ask(ASKING, "PUT", "secrets/t", "swordfish"), 200);
    rest_define(ASKING, "calls", CALLS);
    WORLD->act = refuses;
    for (int i = 0; i < count; i++) {
        (void)snprintf(key, sizeof key, "/call/%d", i);
        world_put(WORLD, key, "1");
        world_run(WORLD, SECOND / 10);
    }
    world_run(WORLD, 5 * SECOND);
    assert_int_equal(world_count(WORLD, "/_recipes/dead/calls/"), count);
}

/* ---- dead letters ------------------------------------------------------- */

static void test_a_letter_says_what_a_person_needs_and_no_secret(void **state)
{
    assert_int_equal(rest_ask(ASKING, "GET", "dead", NULL), 200);
    assert_string_equal(rest_text(ASKING), "{\"dead\":[]}");
    make_letters(state, 1);
    assert_int_equal(rest_ask(ASKING, "GET", "dead", NULL), 200);
    assert_string_equal(rest_at(ASKING, "dead"), "1");
    assert_string_equal(rest_at(ASKING, "dead.0.recipe"), "calls");
    assert_string_equal(rest_at(ASKING, "dead.0.step"), "tell");
    assert_string_equal(rest_at(ASKING, "dead.0.kind"), "http");
    assert_string_equal(rest_at(ASKING, "dead.0.key"), "/call/0");
    assert_string_equal(rest_at(ASKING, "dead.0.host"), "host.example:8443");
    assert_string_equal(rest_at(ASKING, "dead.0.attempts"), "1");
    assert_string_equal(rest_at(ASKING, "dead.0.error"), "status 403");
    assert_string_not_equal(rest_at(ASKING, "dead.0.time"), "");
    assert_string_not_equal(rest_at(ASKING, "dead.0.run"), "");
    assert_true(rest_number(ASKING, "dead.0.revision") > 1);
    static const char *const hidden[] = {"swordfish", "u:p", "hush", "secret",
                                         "\\u0001"};
    for (size_t i = 0; i < sizeof hidden / sizeof hidden[0]; i++)
        assert_null(strstr(rest_text(ASKING), hidden[i]));
}

static void test_letters_come_in_pages(void **state)
{
    char target[256] = "dead?limit=7";
    int64_t count = 0;
    make_letters(state, 45);
    for (int pages = 0; target[0]; pages++) {
        assert_true(pages < 7);
        assert_int_equal(rest_ask(ASKING, "GET", target, NULL), 200);
        count += rest_number(ASKING, "dead");
        char next[128];
        (void)snprintf(next, sizeof next, "%s", rest_at(ASKING, "next"));
        target[0] = '\0';
        if (next[0])
            (void)snprintf(target, sizeof target, "dead?limit=7&after=%s",
                           next);
    }
    assert_int_equal(count, 45);
    assert_int_equal(rest_ask(ASKING, "GET", "dead?recipe=calls", NULL), 200);
    assert_string_equal(rest_at(ASKING, "dead"), "45");
    assert_int_equal(rest_ask(ASKING, "GET", "dead?recipe=call", NULL), 200);
    assert_string_equal(rest_at(ASKING, "dead"), "0");
    assert_int_equal(
        rest_ask(ASKING, "GET", "dead?recipe=call&after=calls/1", NULL), 400);
    assert_int_equal(rest_ask(ASKING, "GET", "dead?recipe=A", NULL), 400);
    assert_int_equal(rest_ask(ASKING, "GET", "dead?limit=0", NULL), 400);
}

static void test_one_is_retried_by_its_owner(void **state)
{
    char target[256];
    make_letters(state, 2);
    assert_int_equal(rest_ask(ASKING, "GET", "dead", NULL), 200);
    (void)snprintf(target, sizeof target, "dead/calls/%s/retry",
                   rest_at(ASKING, "dead.0.id"));
    WORLD->act = NULL;
    assert_int_equal(rest_ask(ASKING, "POST", target, NULL), 202);
    world_run(WORLD, 5 * SECOND);
    assert_int_equal(world_puts(WORLD, "/called/0"), 1);
    assert_int_equal(world_puts(WORLD, "/called/1"), 0);
    assert_int_equal(world_count(WORLD, "/_recipes/dead/calls/"), 1);
    assert_int_equal(world_count(WORLD, "/_recipes/in/"), 0);
    /* It is gone: there is nothing to retry. */
    assert_int_equal(rest_ask(ASKING, "POST", target, NULL), 404);
    assert_int_equal(rest_ask(ASKING, "POST", "dead/calls/7.tell/retry", NULL),
                     404);
    assert_int_equal(rest_ask(ASKING, "POST", "dead/none/7.tell/retry", NULL),
                     404);
    assert_int_equal(rest_ask(ASKING, "POST", "dead/A%2Fb/7/retry", NULL), 404);
    assert_int_equal(world_count(WORLD, "/_recipes/in/"), 0);
}

static void test_all_are_retried(void **state)
{
    make_letters(state, 130);
    WORLD->act = NULL;
    assert_int_equal(rest_ask(ASKING, "POST", "dead/retry?recipe=other", NULL),
                     202);
    assert_string_equal(rest_at(ASKING, "retried"), "0");
    assert_int_equal(rest_ask(ASKING, "POST", "dead/retry", NULL), 202);
    assert_string_equal(rest_at(ASKING, "retried"), "130");
    world_run(WORLD, 30 * SECOND);
    assert_int_equal(world_count(WORLD, "/_recipes/dead/"), 0);
    assert_int_equal(world_count(WORLD, "/called/"), 130);
    assert_int_equal(world_puts(WORLD, "/called/77"), 1);
}

/* Letters of a recipe that is gone stay: nobody could try them again. */
static void test_letters_whose_recipe_is_gone(void **state)
{
    char target[256];
    make_letters(state, 3);
    assert_int_equal(rest_ask(ASKING, "GET", "dead", NULL), 200);
    (void)snprintf(target, sizeof target, "dead/calls/%s/retry",
                   rest_at(ASKING, "dead.0.id"));
    assert_int_equal(rest_ask(ASKING, "DELETE", "defs/calls", NULL), 200);
    world_run(WORLD, SECOND);
    assert_int_equal(rest_ask(ASKING, "POST", target, NULL), 404);
    assert_int_equal(rest_ask(ASKING, "POST", "dead/retry", NULL), 202);
    assert_string_equal(rest_at(ASKING, "retried"), "0");
    assert_string_equal(rest_at(ASKING, "orphans"), "3");
    assert_int_equal(world_count(WORLD, "/_recipes/in/"), 0);
    assert_int_equal(world_count(WORLD, "/_recipes/dead/"), 3);
    target[strlen(target) - strlen("/retry")] = '\0';
    assert_int_equal(rest_ask(ASKING, "DELETE", target, NULL), 200);
    assert_int_equal(rest_ask(ASKING, "DELETE", target, NULL), 404);
    assert_int_equal(world_count(WORLD, "/_recipes/dead/"), 2);
}

static void test_what_isnt_a_letter(void **state)
{
    world_put(WORLD, "/_recipes/dead/x/1.a", "not JSON");
    world_put(WORLD, "/_recipes/dead/x/2.a", "[1]");
    world_put(WORLD, "/_recipes/dead/x/3.a", "{\"error\":\"e\",\"run\":{}}");
    assert_int_equal(rest_ask(ASKING, "GET", "dead", NULL), 200);
    assert_string_equal(rest_at(ASKING, "dead"), "3");
    assert_string_equal(rest_at(ASKING, "dead.0.id"), "1.a");
    assert_string_equal(rest_at(ASKING, "dead.2.error"), "e");
    assert_string_equal(rest_at(ASKING, "dead.2.run"), "");
}

static void test_dead_while_the_store_is_away(void **state)
{
    make_letters(state, 1);
    WORLD->faults.is_away = true;
    assert_int_equal(rest_ask(ASKING, "GET", "dead", NULL), 503);
    assert_int_equal(rest_ask(ASKING, "POST", "dead/retry", NULL), 503);
    assert_int_equal(rest_ask(ASKING, "POST", "dead/calls/1/retry", NULL), 503);
    assert_int_equal(rest_ask(ASKING, "DELETE", "dead/calls/1", NULL), 503);
}

/* ---- secrets ------------------------------------------------------------ */

static void test_a_secret_is_written_and_never_told(void **state)
{
    assert_int_equal(rest_ask(ASKING, "GET", "secrets", NULL), 200);
    assert_string_equal(rest_text(ASKING), "{\"secrets\":[]}");
    assert_int_equal(rest_ask(ASKING, "PUT", "secrets/pager", "swordfish"),
                     200);
    assert_string_equal(rest_at(ASKING, "name"), "pager");
    assert_int_equal(rest_ask(ASKING, "PUT", "secrets/mail", "x"), 200);
    assert_true(slice_eq(world_get(WORLD, "/_recipes/secret/pager"),
                         SLICE("pager:swordfish")));
    assert_int_equal(rest_ask(ASKING, "GET", "secrets", NULL), 200);
    assert_string_equal(rest_text(ASKING),
                        "{\"secrets\":[\"mail\",\"pager\"]}");
    assert_int_equal(rest_ask(ASKING, "GET", "secrets?limit=1", NULL), 200);
    assert_string_equal(rest_text(ASKING),
                        "{\"secrets\":[\"mail\"],\"next\":\"mail\"}");
    assert_int_equal(
        rest_ask(ASKING, "GET", "secrets?limit=1&after=mail", NULL), 200);
    assert_string_equal(rest_text(ASKING), "{\"secrets\":[\"pager\"]}");
    assert_int_equal(rest_ask(ASKING, "GET", "secrets?after=A/", NULL), 400);
    assert_int_equal(rest_ask(ASKING, "DELETE", "secrets/mail", NULL), 200);
    assert_int_equal(rest_ask(ASKING, "DELETE", "secrets/mail", NULL), 404);
    assert_int_equal(world_count(WORLD, "/_recipes/secret/"), 1);
}

static void test_secrets_that_cant_be(void **state)
{
    size_t size = (64 << 10) + 1;
    char *large = mem_alloc(size);
    memset(large, 'x', size);
    assert_int_equal(rest_ask(ASKING, "PUT", "secrets/x", ""), 400);
    assert_int_equal(rest_ask(ASKING, "PUT", "secrets/-X", "y"), 400);
    assert_int_equal(rest_ask(ASKING, "PUT", "secrets/a%2Fb", "y"), 400);
    assert_int_equal(rest_ask(ASKING, "DELETE", "secrets/..", NULL), 400);
    assert_int_equal(
        rest_ask_with(ASKING, "PUT", "secrets/x", NULL, slice_of(large, size)),
        400);
    assert_int_equal(rest_ask_with(ASKING, "PUT", "secrets/x", NULL,
                                   slice_of(large, size - 1)),
                     200);
    mem_free(large);
}

/* ---- the stream --------------------------------------------------------- */

/* How often `words` are in what a stream was told. */
static size_t times_told(struct rest_asking *asking, uint64_t id,
                         const char *words)
{
    struct buf all = {0};
    size_t count = 0;
    rest_read_all(asking, id, &all);
    buf_append_char(&all, 0);
    for (const char *at = all.at; (at = strstr(at, words)) != NULL; at++)
        count++;
    buf_deinit(&all);
    return count;
}

static uint64_t listen(struct rest_asking *asking, const char *target)
{
    uint64_t id = rest_send(asking, "GET", target, NULL, SLICE(""));
    world_run(asking->world, SECOND);
    assert_int_equal(times_told(asking, id, ": hello\n\n"), 1);
    return id;
}

static void test_runs_are_told_as_they_happen(void **state)
{
    rest_define(ASKING, "calls", CALLS);
    assert_int_equal(rest_ask(ASKING, "PUT", "secrets/t", "swordfish"), 200);
    rest_define(ASKING, "other",
                "name: other\nif: [{key: '/o/{x}'}]\n"
                "then: [{put: {key: /done, value: '1'}}]");
    uint64_t all = listen(ASKING, "stream");
    uint64_t some = listen(ASKING, "stream?recipe=other");
    world_put(WORLD, "/o/1", "1");
    world_run(WORLD, SECOND);
    world_put(WORLD, "/call/1", "1");
    world_run(WORLD, 3 * SECOND);
    assert_int_equal(times_told(ASKING, all, "event: run\n"), 2);
    assert_true(times_told(ASKING, all, "event: active\n") >= 1);
    assert_int_equal(times_told(ASKING, some, "event: run\n"), 1);
    assert_int_equal(times_told(ASKING, some, "event: active\n"), 0);
    assert_int_equal(times_told(ASKING, some, "\"recipe\":\"calls\""), 0);
    assert_int_equal(times_told(ASKING, all, "swordfish"), 0);
    rest_leave(ASKING, some);
    world_put(WORLD, "/o/2", "1");
    world_run(WORLD, SECOND);
    assert_int_equal(times_told(ASKING, some, "event: run\n"), 1);
    assert_int_equal(times_told(ASKING, all, "event: run\n"), 3);
    rest_leave(ASKING, all);
}

static void test_the_dead_are_told(void **state)
{
    uint64_t id = listen(ASKING, "stream");
    make_letters(state, 2);
    assert_int_equal(times_told(ASKING, id, "event: dead\n"), 2);
    assert_int_equal(times_told(ASKING, id, "\"step\":\"tell\",\"kind\""), 2);
    assert_int_equal(times_told(ASKING, id, "swordfish"), 0);
    assert_int_equal(times_told(ASKING, id, "hush"), 0);
}

/* What another worker does is told too. */
static void test_all_workers_are_listened_to(void **state)
{
    struct rest_asking *asking = ASKING;
    char yaml[256];
    for (int i = 0; i < 6; i++) {
        char name[16];
        (void)snprintf(name, sizeof name, "r%d", i);
        (void)snprintf(yaml, sizeof yaml,
                       "name: r%d\nif: [{key: '/o/{x}'}]\n"
                       "then: [{put: {key: /done/%d, value: '1'}}]",
                       i, i);
        rest_define(asking, name, yaml);
    }
    world_start(WORLD, 1);
    world_run(WORLD, 15 * SECOND);
    uint64_t id = listen(asking, "stream");
    world_put(WORLD, "/o/1", "1");
    world_run(WORLD, 3 * SECOND);
    assert_int_equal(times_told(asking, id, "event: run\n"), 6);
}

static void test_each_event_is_one_line_of_data(void **state)
{
    uint64_t id = listen(ASKING, "stream");
    make_letters(state, 3);
    struct buf all = {0};
    rest_read_all(ASKING, id, &all);
    struct slice rest = buf_slice(&all);
    while (rest.size > 0) {
        ptrdiff_t end = slice_find(rest, '\n');
        assert_true(end >= 0);
        struct slice line = slice_of(rest.at, (size_t)end);
        assert_true(line.size == 0 || slice_has_prefix(line, SLICE(":")) ||
                    slice_has_prefix(line, SLICE("event: ")) ||
                    slice_has_prefix(line, SLICE("data: {")) ||
                    slice_has_prefix(line, SLICE("id: ")));
        rest = slice_of(rest.at + end + 1, rest.size - (size_t)end - 1);
    }
    buf_deinit(&all);
}

static void test_a_quiet_stream_has_a_heartbeat(void **state)
{
    uint64_t id = listen(ASKING, "stream");
    world_run(WORLD, 100 * SECOND);
    assert_true(times_told(ASKING, id, ": \n\n") >= 5);
    assert_true(times_told(ASKING, id, ": \n\n") <= 8);
}

static void test_no_more_than_so_many_listen(void **state)
{
    uint64_t first = listen(ASKING, "stream");
    for (int i = 1; i < 100; i++)
        (void)listen(ASKING, "stream");
    assert_int_equal(rest_ask(ASKING, "GET", "stream", NULL), 429);
    assert_string_equal(rest_code(ASKING), "busy");
    rest_leave(ASKING, first);
    (void)listen(ASKING, "stream");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_a_letter_says_what_a_person_needs_and_no_secret),
        TEST(test_letters_come_in_pages),
        TEST(test_one_is_retried_by_its_owner),
        TEST(test_all_are_retried),
        TEST(test_letters_whose_recipe_is_gone),
        TEST(test_what_isnt_a_letter),
        TEST(test_dead_while_the_store_is_away),
        TEST(test_a_secret_is_written_and_never_told),
        TEST(test_secrets_that_cant_be),
        TEST(test_runs_are_told_as_they_happen),
        TEST(test_the_dead_are_told),
        TEST(test_all_workers_are_listened_to),
        TEST(test_each_event_is_one_line_of_data),
        TEST(test_a_quiet_stream_has_a_heartbeat),
        TEST(test_no_more_than_so_many_listen),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
