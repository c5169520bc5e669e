#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>

#include "base/map.h"
#include "base/prng.h"

struct item {
    char name[24];
    bool seen;
};

static struct slice item_key(const void *value)
{
    const struct item *item = value;
    return slice_str(item->name);
}

static struct item named(const char *name)
{
    struct item item = {.seen = false};
    snprintf(item.name, sizeof item.name, "%s", name);
    return item;
}

static void an_empty_map_has_nothing(void **state)
{
    (void)state;
    struct map map;
    map_init(&map, item_key, 1);
    size_t position = 0;
    assert_null(map_get(&map, SLICE("a")));
    assert_null(map_remove(&map, SLICE("a")));
    assert_null(map_next(&map, &position));
    assert_null(map.slots); /* and costs no memory */
    map_deinit(&map);
}

static void a_value_is_found_by_its_key_until_removed(void **state)
{
    (void)state;
    struct map map;
    map_init(&map, item_key, 1);
    struct item a = named("a"), b = named("b"), empty = named("");
    assert_null(map_put(&map, &a));
    assert_null(map_put(&map, &b));
    assert_null(map_put(&map, &empty));
    assert_int_equal(map.count, 3);
    assert_ptr_equal(map_get(&map, SLICE("a")), &a);
    assert_ptr_equal(map_get(&map, SLICE("")), &empty);
    assert_null(map_get(&map, SLICE("ab")));
    assert_ptr_equal(map_remove(&map, SLICE("a")), &a);
    assert_null(map_remove(&map, SLICE("a")));
    assert_null(map_get(&map, SLICE("a")));
    assert_ptr_equal(map_get(&map, SLICE("b")), &b);
    assert_int_equal(map.count, 2);
    map_deinit(&map);
}

static void a_put_with_the_same_key_gives_the_old_value_back(void **state)
{
    (void)state;
    struct map map;
    map_init(&map, item_key, 1);
    struct item old = named("same"), new = named("same");
    assert_null(map_put(&map, &old));
    assert_ptr_equal(map_put(&map, &new), &old);
    old = named("other"); /* the map must not look at it any more */
    assert_ptr_equal(map_get(&map, SLICE("same")), &new);
    assert_int_equal(map.count, 1);
    map_deinit(&map);
}

/* ---- random operations against a naive twin ------------------------------ */

enum { ITEMS = 400 };

/* The twin: which of the two values of key i is in, if any. */
struct world {
    struct prng prng;
    struct map map;
    struct item items[ITEMS][2];
    struct item *in[ITEMS];
    size_t count;
};

static void make_world(struct world *world, uint64_t seed)
{
    prng_init(&world->prng, seed);
    map_init(&world->map, item_key, seed);
    for (int i = 0; i < ITEMS; i++) {
        for (int j = 0; j < 2; j++)
            snprintf(world->items[i][j].name, 24, "/key/%d", i * i);
        world->in[i] = NULL;
    }
    world->count = 0;
}

static void random_step(struct world *world, uint64_t put_percent)
{
    size_t i = prng_below(&world->prng, ITEMS);
    struct slice key = slice_str(world->items[i][0].name);
    assert_ptr_equal(map_get(&world->map, key), world->in[i]);
    if (prng_below(&world->prng, 100) < put_percent) {
        struct item *item = &world->items[i][prng_below(&world->prng, 2)];
        assert_ptr_equal(map_put(&world->map, item), world->in[i]);
        world->count += world->in[i] == NULL;
        world->in[i] = item;
    } else {
        assert_ptr_equal(map_remove(&world->map, key), world->in[i]);
        world->count -= world->in[i] != NULL;
        world->in[i] = NULL;
    }
    assert_int_equal(world->map.count, world->count);
}

static void assert_walk_meets_each_once(struct world *world)
{
    size_t position = 0, met = 0;
    struct item *item;
    while ((item = map_next(&world->map, &position)) != NULL) {
        assert_false(item->seen);
        item->seen = true;
        met++;
    }
    assert_int_equal(met, world->count);
    for (int i = 0; i < ITEMS; i++) {
        for (int j = 0; j < 2; j++) {
            struct item *here = &world->items[i][j];
            assert_int_equal(here->seen, here == world->in[i]);
            here->seen = false;
        }
    }
}

static void random_operations_do_as_an_array(void **state)
{
    (void)state;
    static struct world world;
    for (uint64_t seed = 0; seed < 20; seed++) {
        make_world(&world, seed);
        for (int step = 0; step < 4000; step++) {
            /* Fill, then drain, so that it grows and shrinks. */
            random_step(&world, step % 2000 < 1000 ? 80 : 10);
            if (step % 100 == 0)
                assert_walk_meets_each_once(&world);
        }
        map_deinit(&world.map);
    }
}

static void a_map_gives_memory_back_when_it_drains(void **state)
{
    (void)state;
    static struct world world;
    make_world(&world, 7);
    for (int i = 0; i < ITEMS; i++)
        map_put(&world.map, &world.items[i][0]);
    assert_int_equal(world.map.capacity, 1024);
    for (int i = 0; i < ITEMS; i++)
        map_remove(&world.map, slice_str(world.items[i][0].name));
    assert_true(world.map.capacity <= 16);
    map_deinit(&world.map);
}

/* The order of a walk is part of a run of the simulator. */
static void the_same_seed_walks_in_the_same_order(void **state)
{
    (void)state;
    static struct world one, two;
    make_world(&one, 8);
    make_world(&two, 8);
    for (int i = 0; i < ITEMS; i++) {
        map_put(&one.map, &one.items[i][0]);
        map_put(&two.map, &two.items[i][0]);
    }
    size_t at_one = 0, at_two = 0;
    for (int i = 0; i < ITEMS; i++) {
        const struct item *a = map_next(&one.map, &at_one);
        const struct item *b = map_next(&two.map, &at_two);
        assert_string_equal(a->name, b->name);
    }
    map_deinit(&one.map);
    map_deinit(&two.map);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_empty_map_has_nothing),
        cmocka_unit_test(a_value_is_found_by_its_key_until_removed),
        cmocka_unit_test(a_put_with_the_same_key_gives_the_old_value_back),
        cmocka_unit_test(random_operations_do_as_an_array),
        cmocka_unit_test(a_map_gives_memory_back_when_it_drains),
        cmocka_unit_test(the_same_seed_walks_in_the_same_order),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
