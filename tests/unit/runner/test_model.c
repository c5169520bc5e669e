/* Random recipes over random keys, against a naive twin that goes through the
 * store's history from end to end: which recipe should have fired at which
 * revision, at which place, of which type, with which values. Meanwhile
 * recipes are paused, edited, held up and moved; the store is slow; workers
 * come, go and die. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>

#include "proto/pb.h"
#include "recipe/pattern.h"
#include "runner_world.h"

#define MILLI INT64_C(1000000)
#define SECOND INT64_C(1000000000)

enum { RECIPES = 12, ROUNDS = 40 };

static const char *const patterns[] = {
    "/a/{x}",     "/a/{x}/{y}", "/a/{rest...}", "/a/b",      "/a/",
    "/{first}/b", "/{f}/{s}",   "/c/{x}/d",     "/b/{x...}", "/a/b/c",
};
static const char *const events[] = {"put",    "create",         "update",
                                     "delete", "create, delete", "put, delete"};
static const char *const keys[] = {
    "/a/b",   "/a/c",     "/a/b/c", "/b/b", "/c/1/d",
    "/c/2/d", "/b/x/y/z", "/c/b",   "/d",   "/a/longer/still"};

struct model_recipe {
    const char *pattern;
    const char *events;
    int modulo; /* only values that it divides; 0: all */
};

/* The effect has in its key all that the event was. */
static void define(struct world *world, int index,
                   const struct model_recipe *recipe)
{
    char where[80] = "";
    char text[640];
    if (recipe->modulo)
        snprintf(where, sizeof where,
                 " where: [\"event.type == 'delete' || int(raw) %% %d == 0\"],",
                 recipe->modulo);
    snprintf(text, sizeof text,
             "{name: m%d, start: beginning, if: [{key: '%s', events: [%s]}],"
             "%s then: [{put: {key: '/out/%d/{{event.revision}}/"
             "{{event.type}}{{key}}', value: '{{raw}}'}}]}",
             index, recipe->pattern, recipe->events, where, index);
    world_define(world, text);
}

static const char *type_of(const struct store_event *event)
{
    if (event->kv.version == 0)
        return "delete";
    return event->kv.version == 1 ? "create" : "update";
}

static bool wants(const struct model_recipe *recipe, const char *type,
                  struct slice value)
{
    bool is_put = strcmp(type, "delete") != 0;
    if (!strstr(recipe->events, type) &&
        !(is_put && strstr(recipe->events, "put")))
        return false;
    if (!recipe->modulo || !is_put)
        return true;
    int64_t number = 0;
    assert_true(slice_to_i64(value, &number));
    return number % recipe->modulo == 0;
}

/* Effects that are wanted and aren't there once, or aren't wanted and are. */
static size_t count_faults(const struct world *world, int index,
                           const struct model_recipe *recipe, size_t *wanted)
{
    struct arena arena;
    struct pattern pattern;
    size_t faults = 0;
    size_t effects = 0;
    arena_init(&arena, 0);
    assert_int_equal(
        pattern_parse(&arena, slice_str(recipe->pattern), &pattern, NULL),
        ERR_OK);
    *wanted = 0;
    for (size_t i = 0; i < world->store.event_count; i++) {
        const struct store_event *event = &world->store.events[i];
        struct slice captures[PATTERN_CAPTURES_MAX];
        struct slice key = event->key->key;
        char effect[256];
        if (!pattern_matches(&pattern, key, captures) ||
            !wants(recipe, type_of(event), event->kv.value))
            continue;
        snprintf(effect, sizeof effect, "/out/%d/%lld/%s%.*s", index,
                 (long long)event->revision, type_of(event), (int)key.size,
                 key.at);
        *wanted += 1;
        faults += world_puts(world, effect) != 1;
        struct slice value =
            event->kv.version ? event->kv.value : SLICE("null");
        faults += !slice_eq(world_get(world, effect), value);
    }
    char prefix[32];
    snprintf(prefix, sizeof prefix, "/out/%d/", index);
    for (size_t i = 0; i < world->store.event_count; i++)
        effects += slice_has_prefix(world->store.events[i].key->key,
                                    slice_str(prefix));
    faults += effects != *wanted;
    arena_deinit(&arena);
    return faults;
}

/* Several keys at one revision, too. */
static void write_many(struct world *world)
{
    struct buf request = {0};
    struct store_reply reply;
    size_t first = prng_below(&world->prng, 5);
    for (size_t i = first; i < first + 5; i++) {
        struct buf put = {0};
        struct buf op = {0};
        char value[16];
        snprintf(value, sizeof value, "%d", (int)prng_below(&world->prng, 100));
        pb_put_bytes(&put, 1, slice_str(keys[i]));
        pb_put_bytes(&put, 2, slice_str(value));
        pb_put_bytes_always(&op, 2, buf_slice(&put));
        pb_put_bytes_always(&request, 2, buf_slice(&op));
        buf_deinit(&put);
        buf_deinit(&op);
    }
    memory_store_txn(&world->store, buf_slice(&request), "put", &reply);
    assert_int_equal(reply.code, 0);
    buf_deinit(&reply.message);
    buf_deinit(&request);
}

static void write_some(struct world *world)
{
    for (uint64_t i = prng_below(&world->prng, 40); i-- > 0;) {
        const char *key =
            keys[prng_below(&world->prng, sizeof keys / sizeof keys[0])];
        char value[16];
        snprintf(value, sizeof value, "%d", (int)prng_below(&world->prng, 100));
        switch (prng_below(&world->prng, 6)) {
        case 0:
            world_delete(world, key);
            break;
        case 1:
            write_many(world);
            break;
        default:
            world_put(world, key, value);
            break;
        }
    }
}

static void shake(struct world *world, struct model_recipe *recipes)
{
    int worker = (int)prng_below(&world->prng, 3);
    int index = (int)prng_below(&world->prng, RECIPES);
    char key[64];
    snprintf(key, sizeof key, "/_recipes/status/m%d", index);
    switch (prng_below(&world->prng, 9)) {
    case 0:
        world_kill(world, worker);
        break;
    case 1:
        if (world->clients[worker].runner)
            world_stop(world, worker);
        break;
    case 2:
    case 3:
        if (!world->clients[worker].runner)
            world_start(world, worker);
        break;
    case 4:
        world_put(world, key, "{\"state\":\"paused\",\"why\":\"tea\"}");
        break;
    case 5:
        world_delete(world, key);
        break;
    case 6:
        /* An edit that means the same. */
        define(world, index, &recipes[index]);
        break;
    case 7:
        world->faults.delay_ns = prng_between(&world->prng, MILLI, 40 * MILLI);
        break;
    default:
        break;
    }
}

static void make_recipes(struct world *world, struct model_recipe *recipes)
{
    for (int i = 0; i < RECIPES; i++) {
        recipes[i] = (struct model_recipe){
            patterns[prng_below(&world->prng,
                                sizeof patterns / sizeof patterns[0])],
            events[prng_below(&world->prng, sizeof events / sizeof events[0])],
            (int)prng_below(&world->prng, 4)};
        /* An effect isn't to be an event: what captures the first segment
         * would see /out. */
        if (strstr(recipes[i].pattern, "/{f") == recipes[i].pattern)
            recipes[i].pattern = "/{first}/b";
        define(world, i, &recipes[i]);
    }
}

static void run_seed(uint64_t seed)
{
    struct world world;
    struct model_recipe recipes[RECIPES];
    world_init(&world, seed);
    world.is_etched = seed % 3 != 0;
    world.lease_ns = 2 * SECOND;
    world.lazy_ns = 2 * SECOND;
    make_recipes(&world, recipes);
    world_start(&world, 0);
    world.faults = (struct world_faults){.delay_ns = 5 * MILLI,
                                         .lost = 15,
                                         .late_ns = SECOND,
                                         .broken = 5,
                                         .fragments = 300};
    for (int round = 0; round < ROUNDS; round++) {
        write_some(&world);
        shake(&world, recipes);
        world_run(&world, prng_between(&world.prng, MILLI, 300 * MILLI));
    }
    world.faults = (struct world_faults){.delay_ns = MILLI};
    for (int i = 0; i < RECIPES; i++) {
        char key[64];
        snprintf(key, sizeof key, "/_recipes/status/m%d", i);
        world_delete(&world, key);
    }
    for (int i = 0; i < 2; i++)
        if (!world.clients[i].runner)
            world_start(&world, i);
    world_run(&world, 25 * SECOND);
    size_t all = 0;
    for (int i = 0; i < RECIPES; i++) {
        size_t wanted;
        size_t faults = count_faults(&world, i, &recipes[i], &wanted);
        if (faults)
            fprintf(stderr, "seed %llu: m%d %s [%s] %%%d: %zu of %zu\n",
                    (unsigned long long)seed, i, recipes[i].pattern,
                    recipes[i].events, recipes[i].modulo, faults, wanted);
        assert_int_equal(faults, 0);
        all += wanted;
    }
    assert_true(all > 100);
    world_deinit(&world);
}

static void test_all_and_nothing_else(void **state)
{
    (void)state;
    const char *text = getenv("SEEDS");
    uint64_t seeds = text ? strtoull(text, NULL, 10) : 12;
    for (uint64_t seed = 1; seed <= seeds; seed++)
        run_seed(seed);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_all_and_nothing_else),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
