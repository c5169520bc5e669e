/* Feeds: one watch for all that want the same, a watch of its own for one that
 * is behind, and what becomes of them when history is compacted. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>

#include "runner/runner_core.h"
#include "runner_world.h"

#define MILLI INT64_C(1000000)
#define SECOND INT64_C(1000000000)

static void define_on(struct world *world, const char *name, const char *key)
{
    char text[256];
    snprintf(text, sizeof text,
             "{name: %s, start: beginning, if: [{key: '%s'}], then:"
             " [{put: {key: '/to/%s/{{event.revision}}', value: '{{key}}'}}]}",
             name, key, name);
    world_define(world, text);
}

static struct sub *sub_of(const struct world *world, const char *name)
{
    struct def *def = def__find(world->clients[0].runner, slice_str(name));
    return def && def->work && def->work->subs ? def->work->subs : NULL;
}

static size_t worked(const struct world *world, const char *name)
{
    char prefix[64];
    snprintf(prefix, sizeof prefix, "/to/%s/", name);
    return world_count(world, prefix);
}

static size_t feeds(const struct world *world)
{
    return world->clients[0].runner->feeds.by_range.count;
}

static void put_many(struct world *world, const char *prefix, int count)
{
    for (int i = 0; i < count; i++) {
        char key[64];
        snprintf(key, sizeof key, "%s%d", prefix, i);
        world_put(world, key, "x");
    }
}

static void test_the_same_range_is_one_feed(void **state)
{
    (void)state;
    struct world world;
    world_init(&world, 1);
    /* All of these are what begins with /from/; the last is another range. */
    define_on(&world, "one", "/from/{id}");
    define_on(&world, "two", "/from/{id}/sub");
    define_on(&world, "three", "/from/{rest...}");
    define_on(&world, "exact", "/from/7");
    world_start(&world, 0);
    world_run(&world, SECOND);
    const struct feed *feed = sub_of(&world, "one")->feed;
    assert_non_null(feed);
    assert_true(sub_of(&world, "two")->feed == feed);
    assert_true(sub_of(&world, "three")->feed == feed);
    assert_true(sub_of(&world, "exact")->feed != feed);
    /* Dead letters that are wanted again have one for all recipes. */
    assert_true(sub_of(&world, "one")[1].feed ==
                sub_of(&world, "exact")[1].feed);
    assert_int_equal(feeds(&world), 3);
    world_put(&world, "/from/7", "x");
    world_put(&world, "/from/7/sub", "x");
    world_put(&world, "/from/7/other", "x");
    world_put(&world, "/fro", "x");
    world_run(&world, SECOND);
    assert_int_equal(worked(&world, "one"), 1);
    assert_int_equal(worked(&world, "two"), 1);
    assert_int_equal(worked(&world, "three"), 3);
    assert_int_equal(worked(&world, "exact"), 1);
    world_deinit(&world);
}

static void test_the_last_one_takes_it_along(void **state)
{
    (void)state;
    struct world world;
    world_init(&world, 2);
    define_on(&world, "one", "/from/{id}");
    define_on(&world, "two", "/from/{id}");
    world_start(&world, 0);
    world_run(&world, SECOND);
    size_t watches = world.clients[0].watch_count;
    world_undefine(&world, "one");
    world_run(&world, SECOND);
    assert_int_equal(feeds(&world), 2);
    assert_int_equal(world.clients[0].watch_count, watches);
    put_many(&world, "/from/", 5);
    world_run(&world, SECOND);
    assert_int_equal(worked(&world, "one"), 0);
    assert_int_equal(worked(&world, "two"), 5);
    world_undefine(&world, "two");
    world_run(&world, SECOND);
    assert_int_equal(feeds(&world), 0);
    assert_int_equal(world.clients[0].watch_count, watches - 2);
    world_deinit(&world);
}

static void test_one_that_is_behind_has_its_own_until_it_is_not(void **state)
{
    (void)state;
    for (int is_etched = 0; is_etched < 2; is_etched++) {
        struct world world;
        world_init(&world, 3);
        world.is_etched = is_etched;
        define_on(&world, "first", "/from/{id}");
        put_many(&world, "/from/", 30);
        world_start(&world, 0);
        world_run(&world, 2 * SECOND);
        assert_int_equal(worked(&world, "first"), 30);
        int64_t next = sub_of(&world, "first")->feed->watch.next;
        assert_true(next > 2);
        /* Another one, that wants it all from the beginning. */
        define_on(&world, "second", "/from/{id}");
        world_run(&world, 150 * MILLI);
        put_many(&world, "/from/", 10);
        world_run(&world, 5 * SECOND);
        assert_int_equal(worked(&world, "second"), 40);
        assert_int_equal(worked(&world, "first"), 40);
        assert_int_equal(sub_of(&world, "second")->state, SUB_LIVE);
        assert_true(sub_of(&world, "second")->feed ==
                    sub_of(&world, "first")->feed);
        assert_int_equal(world.clients[0].runner->watching.wanting, 0);
        put_many(&world, "/from/", 10);
        world_run(&world, SECOND);
        assert_int_equal(worked(&world, "second"), 50);
        world_deinit(&world);
    }
}

static void test_deletes_of_an_inbox_are_no_news(void **state)
{
    (void)state;
    struct world world;
    world_init(&world, 4);
    world_define(&world, "{name: calls, start: beginning,"
                         " if: [{manual: true}], then:"
                         " [{put: {key: '/to/calls/{{event.revision}}',"
                         " value: x}}]}");
    world_start(&world, 0);
    world_run(&world, SECOND);
    for (int i = 0; i < 5; i++) {
        char key[64];
        snprintf(key, sizeof key, "/_recipes/in/calls/0/%d", i);
        world_put(&world, key, "{}");
        world_run(&world, 300 * MILLI);
    }
    assert_int_equal(worked(&world, "calls"), 5);
    assert_int_equal(world_count(&world, "/_recipes/in/calls/"), 0);
    const struct def *def = def__find(world.clients[0].runner, SLICE("calls"));
    assert_int_equal(def->work->events, 5);
    world_deinit(&world);
}

/* A worker is cut off while the world goes on and forgets. */
static void test_compacted_behind_its_back(void **state)
{
    (void)state;
    struct world world;
    world_init(&world, 5);
    world.lease_ns = 120 * SECOND;
    define_on(&world, "one", "/from/{id}");
    define_on(&world, "calm", "/calm/{id}");
    world_start(&world, 0);
    world_run(&world, SECOND);
    put_many(&world, "/from/", 5);
    world_run(&world, SECOND);
    world.faults.is_away = true;
    put_many(&world, "/from/", 10);
    world_run(&world, 2 * SECOND);
    put_many(&world, "/from/", 10);
    memory_store_compact(&world.store, world.store.revision);
    world.faults.is_away = false;
    world_run(&world, 15 * SECOND);
    /* What is gone is said; one that missed nothing may not be sure of it. */
    const struct runner *runner = world.clients[0].runner;
    assert_true(runner->told.gaps > 0);
    struct slice status = world_get(&world, "/_recipes/status/one");
    assert_true(slice_has_prefix(status, SLICE("{\"state\":\"gap\",")));
    assert_int_equal(worked(&world, "one"), 5);
    world_deinit(&world);
}

static void test_compacted_where_it_had_been(void **state)
{
    (void)state;
    struct world world;
    world_init(&world, 6);
    define_on(&world, "one", "/from/{id}");
    define_on(&world, "two", "/from/{id}");
    world_start(&world, 0);
    world_run(&world, SECOND);
    put_many(&world, "/from/", 20);
    world_run(&world, SECOND);
    /* All of it has been told: nobody misses it. */
    memory_store_compact(&world.store, world.store.revision);
    world_run(&world, SECOND);
    put_many(&world, "/from/", 20);
    world_run(&world, SECOND);
    assert_int_equal(worked(&world, "one"), 40);
    assert_int_equal(worked(&world, "two"), 40);
    assert_int_equal(world.clients[0].runner->told.gaps, 0);
    world_deinit(&world);
}

/* Recipes come, go, pause and resume on one range, on a stream that breaks and
 * in fragments; each of them has each event once. */
static void churn(uint64_t seed)
{
    static const char *const names[] = {"a", "b", "c", "d"};
    struct world world;
    world_init(&world, seed);
    world.lazy_ns = SECOND;
    world.faults = (struct world_faults){.delay_ns = 20 * MILLI,
                                         .lost = 20,
                                         .late_ns = SECOND,
                                         .broken = 40,
                                         .fragments = 400};
    for (int i = 0; i < 4; i++)
        define_on(&world, names[i], "/from/{id}");
    world_start(&world, 0);
    for (int i = 0; i < 40; i++) {
        char key[64];
        const char *name = names[prng_below(&world.prng, 4)];
        put_many(&world, "/from/", 1 + (int)prng_below(&world.prng, 6));
        snprintf(key, sizeof key, "/_recipes/status/%s", name);
        if (prng_below(&world.prng, 2))
            world_put(&world, key, "{\"state\":\"paused\"}");
        else
            world_delete(&world, key);
        world_run(&world, prng_between(&world.prng, 0, 150 * MILLI));
    }
    size_t events = 0;
    for (size_t i = 0; i < world.store.event_count; i++)
        events +=
            slice_has_prefix(world.store.events[i].key->key, SLICE("/from/"));
    world.faults = (struct world_faults){.delay_ns = MILLI};
    for (int i = 0; i < 4; i++) {
        char key[64];
        snprintf(key, sizeof key, "/_recipes/status/%s", names[i]);
        world_delete(&world, key);
    }
    world_run(&world, 30 * SECOND);
    for (int i = 0; i < 4; i++)
        assert_int_equal(worked(&world, names[i]), events);
    for (size_t i = 0; i < world.store.key_count; i++)
        if (slice_has_prefix(world.store.keys[i]->key, SLICE("/to/")))
            assert_int_equal(world.store.keys[i]->count, 1);
    world_deinit(&world);
}

static void test_whatever_happens_each_event_once_for_each(void **state)
{
    (void)state;
    for (uint64_t seed = 100; seed < 108; seed++)
        churn(seed);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_same_range_is_one_feed),
        cmocka_unit_test(test_the_last_one_takes_it_along),
        cmocka_unit_test(test_one_that_is_behind_has_its_own_until_it_is_not),
        cmocka_unit_test(test_deletes_of_an_inbox_are_no_news),
        cmocka_unit_test(test_compacted_behind_its_back),
        cmocka_unit_test(test_compacted_where_it_had_been),
        cmocka_unit_test(test_whatever_happens_each_event_once_for_each),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
