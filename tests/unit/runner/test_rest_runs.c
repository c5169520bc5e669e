/* Runs by REST: in pages, of one recipe and of all, those under way here and
 * elsewhere, filters, and one by its id. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

#include "recipe/keys.h"
#include "rest_world.h"

#define SECOND INT64_C(1000000000)

static int setup(void **state)
{
    *state = rest_scene_new(11);
    return 0;
}

static int teardown(void **state)
{
    rest_scene_free(*state);
    return 0;
}

#define ASKING (&((struct rest_scene *)*state)->asking)
#define WORLD (&((struct rest_scene *)*state)->world)

static void define_copy(struct rest_asking *asking, const char *name,
                        const char *more)
{
    char yaml[512];
    (void)snprintf(yaml, sizeof yaml,
                   "name: %s\n"
                   "if: [{key: '/in/{x}', events: [put]}]\n"
                   "then: [{put: {key: '/out/%s/{{x}}', value: '{{raw}}'}}]\n"
                   "%s",
                   name, name, more);
    rest_define(asking, name, yaml);
}

/* A list of records, as a turn would have left it. */
static void put_list(struct world *world, const char *recipe, int64_t first,
                     int count, const char *status, size_t more_bytes)
{
    char id[RUN_ID_BYTES_MAX];
    struct run_id run = {.revision = first};
    struct buf key = {0};
    struct buf value = {0};
    struct slice rest = slice_of(id, run_id_to_key(&run, id));
    recipe_key_write(&key, RECIPE_KEY_RUN, slice_str(recipe), &rest);
    buf_append_char(&key, 0);
    for (int i = 0; i < count; i++) {
        buf_printf(&value,
                   "%s{\"id\":\"%lld\",\"recipe\":\"%s\",\"status\":\"%s\","
                   "\"time\":\"2026-09-21T15:00:00Z\",\"filler\":\"",
                   i ? "," : "[", (long long)(first + i), recipe, status);
        memset(buf_extend(&value, more_bytes), 'x', more_bytes);
        buf_append_str(&value, "\"}");
    }
    buf_append_str(&value, "]");
    buf_append_char(&value, 0);
    world_put(world, key.at, value.at);
    buf_deinit(&key);
    buf_deinit(&value);
}

/* A record is always written behind its event. */
static void go_behind(struct world *world, int64_t revision)
{
    while (world->store.revision <= revision)
        world_put(world, "/nobody/reads/it", "");
    world_run(world, SECOND);
}

/* ---- all pages ---------------------------------------------------------- */

struct seen {
    char text[64];
};
struct walk {
    struct seen *all;
    size_t count;
    size_t pages;
    size_t largest; /* bytes of an answer */
};

static int by_text(const void *a, const void *b)
{
    return strcmp(((const struct seen *)a)->text,
                  ((const struct seen *)b)->text);
}

/* One page; what it has is added. False: that was the last one. */
static bool walk_on(struct rest_asking *asking, struct walk *walk,
                    const char *query, char *next, size_t next_size)
{
    char target[512];
    char path[64];
    (void)snprintf(target, sizeof target, "runs?%s%s%s", query,
                   next[0] ? "&after=" : "", next);
    if (rest_ask(asking, "GET", target, NULL) != 200)
        fail_msg("%s: %s", target, rest_text(asking));
    walk->pages++;
    if (asking->body.size > walk->largest)
        walk->largest = asking->body.size;
    int64_t count = rest_number(asking, "runs");
    walk->all = mem_realloc(walk->all, (walk->count + (size_t)count + 1) *
                                           sizeof *walk->all);
    for (int64_t i = 0; i < count; i++) {
        struct seen *seen = &walk->all[walk->count++];
        (void)snprintf(path, sizeof path, "runs.%lld.id", (long long)i);
        int size = snprintf(seen->text, sizeof seen->text, "%s of ",
                            rest_at(asking, path));
        (void)snprintf(path, sizeof path, "runs.%lld.recipe", (long long)i);
        (void)snprintf(seen->text + size, sizeof seen->text - (size_t)size,
                       "%s", rest_at(asking, path));
    }
    (void)snprintf(next, next_size, "%s", rest_at(asking, "next"));
    return next[0] != '\0';
}

static struct walk walk_all(struct rest_asking *asking, const char *query)
{
    struct walk walk = {0};
    char next[256] = "";
    while (walk_on(asking, &walk, query, next, sizeof next))
        assert_true(walk.pages < 5000);
    return walk;
}

static void assert_each_once(struct walk *walk, size_t count)
{
    assert_int_equal(walk->count, count);
    if (count > 0)
        qsort(walk->all, walk->count, sizeof *walk->all, by_text);
    for (size_t i = 1; i < walk->count; i++)
        assert_string_not_equal(walk->all[i].text, walk->all[i - 1].text);
    mem_free(walk->all);
}

/* ---- lists -------------------------------------------------------------- */

static void test_nothing_has_run(void **state)
{
    assert_int_equal(rest_ask(ASKING, "GET", "runs", NULL), 200);
    assert_string_equal(rest_text(ASKING), "{\"runs\":[]}");
    assert_int_equal(rest_ask(ASKING, "GET", "runs?recipe=none", NULL), 200);
    assert_string_equal(rest_at(ASKING, "runs"), "0");
}

static void test_the_newest_is_first(void **state)
{
    define_copy(ASKING, "copy", "");
    world_put(WORLD, "/in/a", "1");
    world_run(WORLD, SECOND);
    world_put(WORLD, "/in/b", "2");
    world_run(WORLD, SECOND);
    assert_int_equal(rest_ask(ASKING, "GET", "runs?recipe=copy", NULL), 200);
    assert_string_equal(rest_at(ASKING, "runs"), "2");
    assert_string_equal(rest_at(ASKING, "runs.0.key"), "/in/b");
    assert_string_equal(rest_at(ASKING, "runs.1.key"), "/in/a");
    assert_string_equal(rest_at(ASKING, "runs.0.status"), "ok");
    assert_string_equal(rest_at(ASKING, "runs.0.recipe"), "copy");
    assert_string_equal(rest_at(ASKING, "runs.0.event"), "create");
    assert_string_equal(rest_at(ASKING, "runs.0.steps"), "1");
    assert_string_equal(rest_at(ASKING, "next"), "");
    assert_string_not_equal(rest_at(ASKING, "runs.0.started"), "");
    assert_string_not_equal(rest_at(ASKING, "runs.0.ended"), "");
}

/* Three recipes want the same keys: their runs have the same ids. Whatever the
 * length of a page, each run is there once. */
static void test_pages_over_several_recipes_with_the_same_ids(void **state)
{
    static const char *const queries[] = {"limit=1", "limit=2", "limit=3",
                                          "limit=7", "limit=100"};
    char key[32];
    define_copy(ASKING, "one", "");
    define_copy(ASKING, "three", "");
    define_copy(ASKING, "two", "");
    for (int i = 0; i < 30; i++) {
        (void)snprintf(key, sizeof key, "/in/%d", i % 7);
        world_put(WORLD, key, "1");
        world_run(WORLD, i % 3 ? 0 : SECOND / 50);
    }
    world_run(WORLD, 3 * SECOND);
    for (size_t i = 0; i < sizeof queries / sizeof queries[0]; i++) {
        struct walk walk = walk_all(ASKING, queries[i]);
        assert_each_once(&walk, 90);
    }
    struct walk walk = walk_all(ASKING, "limit=4&recipe=two");
    assert_each_once(&walk, 30);
}

/* What is recorded between two pages moves none of those that were there. */
static void test_pages_while_more_is_done(void **state)
{
    struct walk walk = {0};
    char next[256] = "";
    char key[32];
    define_copy(ASKING, "one", "");
    define_copy(ASKING, "two", "");
    for (int i = 0; i < 20; i++) {
        (void)snprintf(key, sizeof key, "/in/%d", i);
        world_put(WORLD, key, "1");
    }
    world_run(WORLD, 3 * SECOND);
    while (walk_on(ASKING, &walk, "limit=3", next, sizeof next)) {
        world_put(WORLD, "/in/more", "1");
        world_run(WORLD, SECOND / 2);
    }
    assert_each_once(&walk, 40);
}

static void test_filters(void **state)
{
    define_copy(ASKING, "copy", "where: ['value != 3']\n");
    rest_define(ASKING, "fails",
                "name: fails\nif: [{key: '/in/{x}'}]\n"
                "then: [{put: {key: /never, value: '{{value.nothing}}'}}]\n");
    for (int i = 0; i < 4; i++) {
        char text[16];
        (void)snprintf(text, sizeof text, "%d", i);
        world_put(WORLD, "/in/a", text);
        world_run(WORLD, 10 * SECOND);
    }
    struct walk walk = walk_all(ASKING, "");
    assert_each_once(&walk, 7);
    walk = walk_all(ASKING, "status=ok");
    assert_each_once(&walk, 3);
    walk = walk_all(ASKING, "status=failed&limit=1");
    assert_each_once(&walk, 4);
    walk = walk_all(ASKING, "status=skipped");
    assert_each_once(&walk, 0);
    walk = walk_all(ASKING, "status=active");
    assert_each_once(&walk, 0);
    walk = walk_all(ASKING, "since=25s");
    assert_each_once(&walk, 3);
    walk = walk_all(ASKING, "until=15s&recipe=copy");
    assert_each_once(&walk, 3);
    walk = walk_all(ASKING, "since=2200-01-01T00:00:00Z");
    assert_each_once(&walk, 0);
}

static void test_what_cant_be_asked(void **state)
{
    static const char *const bad[] = {
        "runs?status=good", "runs?after=x",
        "runs?after=1/2",   "runs?recipe=A%2F",
        "runs?limit=5000",  "runs?since=now",
        "runs/x/1.2.3.4",   "runs?after=active/x/0/a",
    };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        if (rest_ask(ASKING, "GET", bad[i], NULL) != 400)
            fail_msg("%s: %s", bad[i], rest_text(ASKING));
    assert_int_equal(rest_ask(ASKING, "GET", "runs/A/1", NULL), 404);
    assert_int_equal(rest_ask(ASKING, "GET", "runs/none/12.1", NULL), 404);
}

/* ---- bounds ------------------------------------------------------------- */

static void test_an_answer_has_its_bound(void **state)
{
    define_copy(ASKING, "big", "");
    for (int i = 0; i < 40; i++)
        put_list(WORLD, "big", 1000 + 10 * i, 2, "ok", 200 << 10);
    struct walk walk = walk_all(ASKING, "limit=1000");
    assert_true(walk.pages >= 4);
    assert_true(walk.largest < 5 << 20);
    assert_each_once(&walk, 80);
}

/* One that is larger than the bound is shown all the same, alone. */
static void test_a_record_larger_than_an_answer(void **state)
{
    define_copy(ASKING, "big", "");
    put_list(WORLD, "big", 1000, 1, "ok", 5 << 20);
    put_list(WORLD, "big", 2000, 1, "ok", 100);
    put_list(WORLD, "big", 900, 1, "ok", 100);
    struct walk walk = walk_all(ASKING, "");
    assert_each_once(&walk, 3);
}

/* A filter that hardly any fits: pages may be empty, and go on. */
static void test_a_long_search_comes_in_pages(void **state)
{
    define_copy(ASKING, "many", "");
    define_copy(ASKING, "few", "");
    for (int i = 0; i < 1300; i++)
        put_list(WORLD, "many", 1000 + i, 1, i == 3 ? "failed" : "ok", 0);
    put_list(WORLD, "few", 1100, 1, "failed", 0);
    put_list(WORLD, "few", 2299, 1, "failed", 0);
    struct walk walk = walk_all(ASKING, "status=failed");
    assert_true(walk.pages > 1);
    assert_each_once(&walk, 3);
    walk = walk_all(ASKING, "limit=1000");
    assert_each_once(&walk, 1302);
}

static void test_what_isnt_ours_is_shown_by_nobody(void **state)
{
    define_copy(ASKING, "odd", "");
    go_behind(WORLD, 60);
    world_put(WORLD, "/_recipes/run/odd/zzz", "[{\"id\":\"1\"}]");
    world_put(WORLD, "/_recipes/run/odd/0000000000000000050.00000.0000", "{");
    world_put(WORLD, "/_recipes/run/odd/0000000000000000051.00000.0000",
              "[1,{\"id\":7},{\"id\":\"x\"},{\"id\":\"51\"}]");
    struct walk walk = walk_all(ASKING, "");
    assert_each_once(&walk, 1);
    assert_int_equal(rest_ask(ASKING, "GET", "runs/odd/51", NULL), 200);
    assert_int_equal(rest_ask(ASKING, "GET", "runs/odd/50", NULL), 404);
}

/* ---- under way ---------------------------------------------------------- */

#define WAITS                    \
    "name: waits\n"              \
    "if: [{key: '/wait/{x}'}]\n" \
    "then:\n"                    \
    "  - wait: 30s\n"            \
    "  - put: {key: '/waited/{{x}}', value: '1'}\n"

static void test_those_under_way_come_first(void **state)
{
    rest_define(ASKING, "waits", WAITS);
    define_copy(ASKING, "copy", "");
    world_put(WORLD, "/wait/a", "1");
    world_put(WORLD, "/wait/b", "1");
    world_put(WORLD, "/in/a", "1");
    world_run(WORLD, 2 * SECOND);
    assert_int_equal(rest_ask(ASKING, "GET", "runs", NULL), 200);
    assert_string_equal(rest_at(ASKING, "runs"), "3");
    assert_string_equal(rest_at(ASKING, "runs.0.status"), "active");
    assert_string_equal(rest_at(ASKING, "runs.0.state"), "waiting");
    assert_string_equal(rest_at(ASKING, "runs.0.key"), "/wait/b");
    assert_string_equal(rest_at(ASKING, "runs.1.key"), "/wait/a");
    assert_string_equal(rest_at(ASKING, "runs.2.key"), "/in/a");
    struct walk walk = walk_all(ASKING, "limit=1");
    assert_each_once(&walk, 3);
    walk = walk_all(ASKING, "status=active&limit=1");
    assert_each_once(&walk, 2);
    walk = walk_all(ASKING, "status=ok");
    assert_each_once(&walk, 1);
    world_run(WORLD, 60 * SECOND);
    walk = walk_all(ASKING, "status=active");
    assert_each_once(&walk, 0);
    walk = walk_all(ASKING, "recipe=waits");
    assert_each_once(&walk, 2);
}

/* Asked of the other worker: what is under way in the store is shown too. */
static void test_those_under_way_elsewhere(void **state)
{
    struct rest_asking *asking = ASKING;
    rest_define(asking, "waits", WAITS);
    world_put(WORLD, "/wait/a", "1");
    world_run(WORLD, 2 * SECOND);
    world_start(WORLD, 1);
    world_run(WORLD, 10 * SECOND);
    for (asking->client = 0; asking->client < 2; asking->client++) {
        assert_int_equal(rest_ask(asking, "GET", "runs", NULL), 200);
        assert_string_equal(rest_at(asking, "runs"), "1");
        assert_string_equal(rest_at(asking, "runs.0.status"), "active");
        assert_string_equal(rest_at(asking, "runs.0.recipe"), "waits");
        char target[128];
        (void)snprintf(target, sizeof target, "runs/waits/%s",
                       rest_at(asking, "runs.0.id"));
        assert_int_equal(rest_ask(asking, "GET", target, NULL), 200);
        assert_string_equal(rest_at(asking, "status"), "active");
    }
    asking->client = 0;
}

/* ---- one ---------------------------------------------------------------- */

static void test_each_is_found_by_its_id(void **state)
{
    char target[160];
    char key[32];
    rest_define(ASKING, "waits", WAITS);
    define_copy(ASKING, "copy", "");
    for (int i = 0; i < 12; i++) {
        (void)snprintf(key, sizeof key, "/%s/%d", i % 3 ? "in" : "wait", i);
        world_put(WORLD, key, "1");
        world_run(WORLD, i % 4 ? SECOND / 100 : 4 * SECOND);
    }
    world_run(WORLD, 90 * SECOND);
    struct walk walk = walk_all(ASKING, "");
    for (size_t i = 0; i < walk.count; i++) {
        char *of = strstr(walk.all[i].text, " of ");
        *of = '\0';
        (void)snprintf(target, sizeof target, "runs/%s/%s", of + 4,
                       walk.all[i].text);
        assert_int_equal(rest_ask(ASKING, "GET", target, NULL), 200);
        assert_string_equal(rest_at(ASKING, "id"), walk.all[i].text);
        assert_string_equal(rest_at(ASKING, "recipe"), of + 4);
        *of = ' ';
    }
    assert_each_once(&walk, 12);
}

/* A run that ended long after it began is in the list of those that it ended
 * with: far before its place, or far behind it. */
static void test_one_in_a_list_of_another_time(void **state)
{
    define_copy(ASKING, "late", "");
    go_behind(WORLD, 9999);
    for (int i = 0; i < 300; i++)
        put_list(WORLD, "late", 2000 + i, 1, "ok", 0);
    world_put(WORLD, "/_recipes/run/late/0000000000000000100.00000.0000",
              "[{\"id\":\"5\",\"status\":\"ok\"},{\"id\":\"42\"}]");
    world_put(WORLD, "/_recipes/run/late/0000000000000009999.00000.0000",
              "[{\"id\":\"9999\"},{\"id\":\"43.2\"}]");
    assert_int_equal(rest_ask(ASKING, "GET", "runs/late/5", NULL), 200);
    assert_int_equal(rest_ask(ASKING, "GET", "runs/late/42", NULL), 200);
    assert_int_equal(rest_ask(ASKING, "GET", "runs/late/43.2", NULL), 200);
    assert_int_equal(rest_ask(ASKING, "GET", "runs/late/43.1", NULL), 404);
    assert_int_equal(rest_ask(ASKING, "GET", "runs/late/2150", NULL), 200);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_nothing_has_run),
        TEST(test_the_newest_is_first),
        TEST(test_pages_over_several_recipes_with_the_same_ids),
        TEST(test_pages_while_more_is_done),
        TEST(test_filters),
        TEST(test_what_cant_be_asked),
        TEST(test_an_answer_has_its_bound),
        TEST(test_a_record_larger_than_an_answer),
        TEST(test_a_long_search_comes_in_pages),
        TEST(test_what_isnt_ours_is_shown_by_nobody),
        TEST(test_those_under_way_come_first),
        TEST(test_those_under_way_elsewhere),
        TEST(test_each_is_found_by_its_id),
        TEST(test_one_in_a_list_of_another_time),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
