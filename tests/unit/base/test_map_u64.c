#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/map.h"
#include "base/prng.h"

static char things[4096]; /* values: only their addresses matter */

static void any_number_is_a_key(void **state)
{
    (void)state;
    struct map_u64 map;
    map_u64_init(&map);
    assert_null(map_u64_get(&map, 0));
    assert_null(map_u64_remove(&map, 0));
    assert_null(map_u64_put(&map, 0, &things[0]));
    assert_null(map_u64_put(&map, UINT64_MAX, &things[1]));
    assert_ptr_equal(map_u64_get(&map, 0), &things[0]);
    assert_ptr_equal(map_u64_get(&map, UINT64_MAX), &things[1]);
    assert_null(map_u64_get(&map, 1));
    assert_ptr_equal(map_u64_put(&map, 0, &things[2]), &things[0]);
    assert_ptr_equal(map_u64_remove(&map, 0), &things[2]);
    assert_null(map_u64_get(&map, 0));
    assert_int_equal(map.count, 1);
    map_u64_deinit(&map);
}

enum { KEYS = 300 };

struct world {
    struct prng prng;
    struct map_u64 map;
    uint64_t keys[KEYS];
    void *in[KEYS];
    size_t count;
};

static void random_step(struct world *world, uint64_t put_percent)
{
    size_t i = prng_below(&world->prng, KEYS);
    uint64_t key = world->keys[i];
    assert_ptr_equal(map_u64_get(&world->map, key), world->in[i]);
    if (prng_below(&world->prng, 100) < put_percent) {
        void *thing = &things[prng_below(&world->prng, sizeof things)];
        assert_ptr_equal(map_u64_put(&world->map, key, thing), world->in[i]);
        world->count += world->in[i] == NULL;
        world->in[i] = thing;
    } else {
        assert_ptr_equal(map_u64_remove(&world->map, key), world->in[i]);
        world->count -= world->in[i] != NULL;
        world->in[i] = NULL;
    }
    assert_int_equal(world->map.count, world->count);
}

static void assert_walk_meets_each_once(const struct world *world)
{
    bool met[KEYS] = {false};
    size_t position = 0, count = 0;
    uint64_t key;
    void *thing;
    while ((thing = map_u64_next(&world->map, &position, &key)) != NULL) {
        size_t i = 0;
        while (world->keys[i] != key)
            assert_true(++i < KEYS);
        assert_false(met[i]);
        assert_ptr_equal(thing, world->in[i]);
        met[i] = true;
        count++;
    }
    assert_int_equal(count, world->count);
}

static void random_operations_do_as_an_array(void **state)
{
    (void)state;
    static struct world world;
    for (uint64_t seed = 0; seed < 20; seed++) {
        world = (struct world){.count = 0};
        prng_init(&world.prng, seed);
        map_u64_init_seeded(&world.map, seed);
        for (uint64_t i = 0; i < KEYS; i++)
            world.keys[i] = seed % 2 ? i : prng_next(&world.prng);
        for (int step = 0; step < 4000; step++) {
            random_step(&world, step % 2000 < 1000 ? 80 : 10);
            if (step % 200 == 0)
                assert_walk_meets_each_once(&world);
        }
        map_u64_deinit(&world.map);
    }
}

/* Searches walk along runs of slots in use: in a map that is 3/4 full of keys
 * with a pattern, no run may be far longer than chance makes it. */
static size_t longest_run(const struct map_u64 *map)
{
    size_t longest = 0, run = 0;
    for (size_t i = 0; i < map->capacity * 2; i++) {
        run = map->slots[i % map->capacity].value ? run + 1 : 0;
        longest = run > longest ? run : longest;
    }
    return longest;
}

static uint64_t reversed(uint64_t n)
{
    uint64_t out = 0;
    for (int bit = 0; bit < 64; bit++)
        out |= (n >> bit & 1) << (63 - bit);
    return out;
}

static void keys_with_a_pattern_do_not_cluster(void **state)
{
    (void)state;
    enum { COUNT = 48 * 1024 };
    for (int pattern = 0; pattern < 6; pattern++) {
        struct map_u64 map;
        map_u64_init(&map);
        for (uint64_t i = 0; i < COUNT; i++) {
            uint64_t key = pattern == 0   ? i
                           : pattern == 1 ? i << 12
                           : pattern == 2 ? i << 32
                           : pattern == 3 ? i << 48 | i
                           : pattern == 4 ? reversed(i)
                                          : i * 1000003;
            map_u64_put(&map, key, &things[0]);
        }
        assert_int_equal(map.count, COUNT);
        assert_int_equal(map.capacity, 64 * 1024);
        assert_true(longest_run(&map) < 400);
        map_u64_deinit(&map);
    }
}

/* What collides under one seed doesn't under another: the home slots of two
 * maps have nothing to do with each other. */
static void the_seed_changes_the_places(void **state)
{
    (void)state;
    struct map_u64 one, two;
    map_u64_init_seeded(&one, 1);
    map_u64_init_seeded(&two, 2);
    for (uint64_t i = 0; i < 700; i++) {
        map_u64_put(&one, i, &things[0]);
        map_u64_put(&two, i, &things[0]);
    }
    int same = 0;
    for (size_t i = 0; i < one.capacity; i++)
        same += one.slots[i].value != NULL && two.slots[i].value != NULL &&
                one.slots[i].key == two.slots[i].key;
    assert_true(same < 20);
    map_u64_deinit(&one);
    map_u64_deinit(&two);
}

static void a_map_gives_memory_back_when_it_drains(void **state)
{
    (void)state;
    struct map_u64 map;
    map_u64_init(&map);
    for (uint64_t i = 0; i < 10000; i++)
        map_u64_put(&map, i, &things[0]);
    assert_int_equal(map.capacity, 16 * 1024);
    for (uint64_t i = 0; i < 9990; i++)
        map_u64_remove(&map, i);
    assert_true(map.capacity <= 128);
    for (uint64_t i = 9990; i < 10000; i++)
        assert_ptr_equal(map_u64_get(&map, i), &things[0]);
    map_u64_deinit(&map);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(any_number_is_a_key),
        cmocka_unit_test(random_operations_do_as_an_array),
        cmocka_unit_test(keys_with_a_pattern_do_not_cluster),
        cmocka_unit_test(the_seed_changes_the_places),
        cmocka_unit_test(a_map_gives_memory_back_when_it_drains),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
