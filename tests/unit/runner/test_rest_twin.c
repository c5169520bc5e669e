/* What explain and backtest say beside what took place: random recipes (holds,
 * edges, conditions, dedupe, throttle, debounce, waits, orders and modes), and
 * random events, from seeds.
 *
 *   explain    of an event says "fired" if and only if there is such a run
 *   backtest   of the running version, over all of it or any part, has exactly
 *              the runs that took place */
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
#define MILLI INT64_C(1000000)

enum { RECIPES = 6, EVENTS = 110, EXPLAINED = 100 };

/* ---- random recipes ----------------------------------------------------- */

static const char *one_of(struct prng *prng, const char *const *list,
                          size_t count)
{
    return list[prng_below(prng, count)];
}
#define ONE_OF(prng, list) one_of(prng, list, sizeof(list) / sizeof *(list))

/* A second trigger, now and then. */
static const char *const seconds[] = {"", "", "", ", {key: '/j/{id}'}"};

static void make_recipe(struct prng *prng, int number, char *out, size_t size)
{
    static const char *const triggers[] = {
        "key: '/k/{id}'",
        "key: '/k/{id}', events: [put]",
        "key: '/k/{id}', events: [create, delete]",
        "key: '/k/{id}', changed: true",
        "key: '/k/{id}', changed: 'value > 50'",
        "key: '/k/{id}', crosses: {of: value, above: 50, reset: 30}",
        "key: '/k/{id}', crosses: {of: value, below: 30}",
        "key: '/k/{id}', crosses: {of: value, above: 60}, for: 3s",
        "key: '/k/{id}', events: [put], for: 2s",
        "key: /k/1",
        "key: '/e/{id}'",
        "absent: '/k/{id}', for: 4s",
    };
    static const char *const wheres[] = {
        "",
        "",
        "where: ['value != 13'], ",
        "where: [\"!exists('/mute')\"], ",
        "where: [\"get('/level') == null || value > get('/level')\"], ",
        "where: [\"count('/k/') > 1\", \"true\"], ",
    };
    static const char *const limits[] = {
        "",
        "",
        "",
        "dedupe: {key: '{{id}}', ttl: 4s}, ",
        "throttle: {count: 2, per: 5s}, ",
        "debounce: 2s, ",
    };
    static const char *const modes[] = {
        "",
        "",
        "order: strict, ",
        "order: none, ",
        "mode: single, ",
        "order: strict, mode: single, ",
        "mode: restart, ",
        "mode: parallel, ",
    };
    static const char *const steps[] = {
        "",
        "",
        "{wait: 1s}, ",
        "{wait: 3s}, ",
        "{put: {key: '/e/first', value: '{{raw}}'}}, {wait: 2s}, ",
        "{http: {url: 'http://x/{{id}}'}}, ",
        "{http: {url: 'http://x/'}}, {put: {key: '/e/then', value: x}}, ",
        "{log: '{{value.nothing}}'}, ",
    };
    const char *first = ONE_OF(prng, triggers);
    const char *second = ONE_OF(prng, seconds);
    /* Events of two triggers are taken as they come: which of them a limit
     * lets through was chance, and can't be known afterwards. */
    bool is_one = second[0] == '\0';
    const char *limit = is_one ? ONE_OF(prng, limits) : "";
    /* By the clock it is quiet when nothing has come; an event that is still
     * on its way then came too late. Those of recipes keep no distance. */
    if (strstr(first, "/e/") != NULL && strstr(limit, "debounce") != NULL)
        limit = "";
    const char *mode = is_one ? ONE_OF(prng, modes) : "";
    (void)snprintf(
        out, size,
        "# YAML\n{name: r%d, if: [{%s}%s], %s%s%smax: 1000, "
        "keep: {runs: 100000}, then: [%s{put: {key: '/o/%d', value: 'x'}}]}",
        number, first, second, ONE_OF(prng, wheres), limit, mode,
        ONE_OF(prng, steps), number);
}

/* Some combinations are none, and refused: then there is one fewer. */
static int define_all(struct rest_asking *asking, struct prng *prng,
                      char yaml[][768])
{
    char target[32];
    int count = 0;
    for (int tries = 0; count < RECIPES && tries < 100; tries++) {
        make_recipe(prng, count, yaml[count], 768);
        (void)snprintf(target, sizeof target, "defs/r%d", count);
        if (rest_ask(asking, "PUT", target, yaml[count]) == 201)
            count++;
    }
    assert_true(count == RECIPES);
    world_run(asking->world, SECOND);
    return count;
}

static void let_things_happen(struct world *world, struct prng *prng)
{
    char key[32];
    char value[32];
    for (int i = 0; i < EVENTS; i++) {
        (void)snprintf(key, sizeof key, "/%s/%d",
                       prng_below(prng, 6) ? "k" : "j",
                       (int)prng_below(prng, 3));
        (void)snprintf(value, sizeof value, "%d", (int)prng_below(prng, 100));
        switch (prng_below(prng, 12)) {
        case 0:
            world_delete(world, key);
            break;
        case 1:
            world_put(world, "/level", value);
            break;
        case 2:
            if (prng_below(prng, 2))
                world_put(world, "/mute", value);
            else
                world_delete(world, "/mute");
            break;
        default:
            world_put(world, key, value);
        }
        /* Several at once, now and then; else far enough from each other that
         * no event is on its way when another one's time is over. */
        if (prng_below(prng, 4))
            world_run(world, (int64_t)prng_below(prng, 30) * 50 * MILLI);
    }
    world_run(world, 60 * SECOND);
}

/* ---- what took place ---------------------------------------------------- */

struct ids {
    char (*all)[RUN_ID_BYTES_MAX];
    size_t count;
};

static int by_text(const void *a, const void *b)
{
    return strcmp(a, b);
}

static struct ids runs_of(struct rest_asking *asking, int recipe)
{
    struct ids ids = {0};
    char target[256];
    char next[160] = "";
    do {
        (void)snprintf(target, sizeof target, "runs?recipe=r%d&limit=1000%s%s",
                       recipe, next[0] ? "&after=" : "", next);
        assert_int_equal(rest_ask(asking, "GET", target, NULL), 200);
        size_t count = (size_t)rest_number(asking, "runs");
        ids.all =
            mem_realloc(ids.all, (ids.count + count + 1) * sizeof *ids.all);
        for (size_t i = 0; i < count; i++) {
            char path[32];
            (void)snprintf(path, sizeof path, "runs.%zu.id", i);
            (void)snprintf(ids.all[ids.count++], RUN_ID_BYTES_MAX, "%s",
                           rest_at(asking, path));
        }
        (void)snprintf(next, sizeof next, "%s", rest_at(asking, "next"));
    } while (next[0]);
    if (ids.count)
        qsort(ids.all, ids.count, sizeof *ids.all, by_text);
    return ids;
}

static bool has(const struct ids *ids, const char *id)
{
    char text[RUN_ID_BYTES_MAX] = "";
    (void)snprintf(text, sizeof text, "%s", id);
    return ids->count && bsearch(text, ids->all, ids->count, sizeof *ids->all,
                                 by_text) != NULL;
}

/* ---- explain ------------------------------------------------------------ */

static void explain_one(struct rest_asking *asking, int recipe,
                        const char *yaml, const struct ids *ids,
                        int64_t revision, size_t *fired)
{
    char target[96];
    char path[48];
    (void)snprintf(target, sizeof target, "explain?recipe=r%d&revision=%lld",
                   recipe, (long long)revision);
    if (rest_ask(asking, "GET", target, NULL) != 200)
        fail_msg("%s: %s", target, rest_text(asking));
    int64_t count = rest_number(asking, "accounts");
    for (int64_t i = 0; i < count; i++) {
        char run[RUN_ID_BYTES_MAX];
        (void)snprintf(path, sizeof path, "accounts.%lld.run", (long long)i);
        (void)snprintf(run, sizeof run, "%s", rest_at(asking, path));
        (void)snprintf(path, sizeof path, "accounts.%lld.outcome",
                       (long long)i);
        const char *outcome = rest_at(asking, path);
        bool says = strncmp(outcome, "fired", 5) == 0 ||
                    strncmp(outcome, "failed", 6) == 0;
        if (says != has(ids, run))
            fail_msg("%s\n%s: run %s %s\n%s", yaml, target, run,
                     says ? "isn't there" : "is there", rest_text(asking));
        *fired += says;
    }
}

/* How many of them had fired. */
static size_t explain_all(struct rest_asking *asking, struct prng *prng,
                          char yaml[][768])
{
    const struct memory_store *store = &asking->world->store;
    struct ids ids[RECIPES];
    size_t fired = 0;
    size_t asked = 0;
    for (int i = 0; i < RECIPES; i++)
        ids[i] = runs_of(asking, i);
    while (asked < EXPLAINED) {
        const struct store_event *event =
            &store->events[prng_below(prng, store->event_count)];
        if (slice_has_prefix(event->key->key, SLICE("/_recipes/")))
            continue;
        int recipe = (int)prng_below(prng, RECIPES);
        explain_one(asking, recipe, yaml[recipe], &ids[recipe], event->revision,
                    &fired);
        asked++;
    }
    for (int i = 0; i < RECIPES; i++)
        mem_free(ids[i].all);
    return fired;
}

/* ---- backtest ----------------------------------------------------------- */

static void backtest_one(struct rest_asking *asking, int recipe,
                         const char *yaml, int64_t from, int64_t to)
{
    char body[160];
    if (to)
        (void)snprintf(body, sizeof body,
                       "{\"recipe\":\"r%d\",\"from\":%lld,\"to\":%lld}", recipe,
                       (long long)from, (long long)to);
    else
        (void)snprintf(body, sizeof body, "{\"recipe\":\"r%d\"}", recipe);
    if (rest_ask(asking, "POST", "backtest", body) != 200)
        fail_msg("%s\n%s: %s", yaml, body, rest_text(asking));
    if (rest_number(asking, "difference.only_past") != 0 ||
        rest_number(asking, "difference.only_draft") != 0) {
        const char *text = strstr(rest_text(asking), "\"difference\"");
        fail_msg("%s\n%s: %.900s", yaml, body, text);
    }
}

static void backtest_all(struct rest_asking *asking, struct prng *prng,
                         char yaml[][768])
{
    int64_t newest = asking->world->store.revision;
    for (int i = 0; i < RECIPES; i++) {
        backtest_one(asking, i, yaml[i], 0, 0);
        struct ids ids = runs_of(asking, i);
        char body[64];
        (void)snprintf(body, sizeof body, "{\"recipe\":\"r%d\"}", i);
        (void)rest_ask(asking, "POST", "backtest", body);
        assert_int_equal(rest_number(asking, "difference.both"), ids.count);
        mem_free(ids.all);
        for (int j = 0; j < 4; j++) {
            int64_t from = prng_between(prng, 2, newest);
            int64_t to = prng_between(prng, from, newest);
            backtest_one(asking, i, yaml[i], from, to);
        }
    }
}

/* ---- from seeds --------------------------------------------------------- */

static size_t run_seed(uint64_t seed)
{
    static char yaml[RECIPES + 1][768];
    struct prng prng;
    struct rest_scene *scene = rest_scene_new(seed);
    prng_init(&prng, seed);
    scene->world.act_ns = 300 * MILLI;
    define_all(&scene->asking, &prng, yaml);
    let_things_happen(&scene->world, &prng);
    size_t fired = explain_all(&scene->asking, &prng, yaml);
    backtest_all(&scene->asking, &prng, yaml);
    rest_scene_free(scene);
    return fired;
}

static void test_seeds(void **state)
{
    const char *first = getenv("SEED");
    const char *count = getenv("SEEDS");
    uint64_t from = first ? strtoull(first, NULL, 10) : 1;
    uint64_t seeds = count ? strtoull(count, NULL, 10) : 8;
    size_t fired = 0;
    (void)state;
    for (uint64_t seed = from; seed < from + seeds; seed++) {
        print_message("seed %llu\n", (unsigned long long)seed);
        fired += run_seed(seed);
    }
    assert_true(fired > seeds);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_seeds)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
