/* The index's B+tree against a sorted array, with keys of several kinds: no
 * structure, long common beginnings, zero bytes and prefixes of each other.
 * The tree grows and shrinks in turns, so that it splits, merges and loses
 * levels. The seed is printed; SEED=n plays it again. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <cmocka.h>

#include "base/mem.h"
#include "base/prng.h"
#include "mvcc/index.h"

enum {
    OPERATIONS = 400000, /* of each kind of keys */
    SECONDS_MAX = 20,
    COUNT_MAX = 20000,
    TURN = 30000, /* operations until it grows instead of shrinking */
    KEY_BYTES_MAX = 128,
};

struct twin_item {
    struct entry *entry;
    bool live;
};

struct world {
    struct prng prng;
    struct slab slab;
    struct index index;
    struct twin_item items[COUNT_MAX + 1];
    size_t count;
};

static struct world world;

static uint64_t below(uint64_t bound)
{
    return prng_below(&world.prng, bound);
}

/* ---- kinds of keys ------------------------------------------------------- */

static size_t key_of_bytes(char *to)
{
    size_t size = 1 + below(20);
    for (size_t i = 0; i < size; i++)
        to[i] = (char)prng_next(&world.prng);
    return size;
}

static size_t key_of_path(char *to)
{
    static const char *const kinds[] = {"pods", "services", "pods/status"};
    return (size_t)snprintf(to, KEY_BYTES_MAX, "/registry/%s/ns-%u/name-%u",
                            kinds[below(3)], (unsigned)below(20),
                            (unsigned)below(5000));
}

/* Long, and different only at the end. */
static size_t key_of_tail(char *to)
{
    memset(to, 'x', 100);
    return (size_t)snprintf(to + 100, KEY_BYTES_MAX - 100, "%u",
                            (unsigned)below(30000)) +
           100;
}

/* Zero bytes, so that what is padded with zeros looks the same. */
static size_t key_of_zeros(char *to)
{
    size_t size = below(30);
    memset(to, 0, size);
    for (size_t i = 0; i < size; i++)
        if (below(6) == 0)
            to[i] = (char)below(3);
    return size;
}

typedef size_t (*key_kind)(char *to);

/* ---- the twin ------------------------------------------------------------ */

/* The first that is not less than `key`. */
static size_t twin_seek(struct slice key)
{
    size_t low = 0, high = world.count;
    while (low < high) {
        size_t middle = (low + high) / 2;
        if (slice_cmp(entry_key(world.items[middle].entry), key) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static bool twin_has(size_t at, struct slice key)
{
    return at < world.count && slice_eq(entry_key(world.items[at].entry), key);
}

static uint64_t twin_rank(size_t at)
{
    uint64_t rank = 0;
    for (size_t i = 0; i < at; i++)
        rank += world.items[i].live;
    return rank;
}

static void twin_insert(size_t at, struct entry *entry)
{
    memmove(&world.items[at + 1], &world.items[at],
            (world.count - at) * sizeof world.items[0]);
    world.items[at] = (struct twin_item){entry, false};
    world.count++;
}

static void twin_remove(size_t at)
{
    world.count--;
    memmove(&world.items[at], &world.items[at + 1],
            (world.count - at) * sizeof world.items[0]);
}

/* ---- operations ---------------------------------------------------------- */

static void add(struct slice key)
{
    struct place place;
    size_t at = twin_seek(key);
    bool found = index__locate(&world.index, key, &place);
    assert_int_equal(found, twin_has(at, key));
    if (found || world.count == COUNT_MAX)
        return;
    struct entry *entry = index__add(&world.index, &place, key);
    assert_true(slice_eq(entry_key(entry), key));
    assert_ptr_equal(place.leaf->entry[place.slot], entry);
    twin_insert(at, entry);
    if (below(3) > 0) {
        index__mark(&world.index, &place, true);
        world.items[at].live = true;
    }
}

/* One that is there, mostly: a random key rarely is. */
static struct slice known_key(struct slice key)
{
    if (world.count == 0 || below(10) == 0)
        return key;
    return entry_key(world.items[below(world.count)].entry);
}

static void drop(struct slice key)
{
    struct place place;
    size_t at = twin_seek(key);
    bool found = index__locate(&world.index, key, &place);
    assert_int_equal(found, twin_has(at, key));
    if (!found)
        return;
    assert_ptr_equal(place.leaf->entry[place.slot], world.items[at].entry);
    index__drop(&world.index, &place);
    twin_remove(at);
}

static void mark(struct slice key)
{
    struct place place;
    size_t at = twin_seek(key);
    if (!index__locate(&world.index, key, &place)) {
        assert_false(twin_has(at, key));
        return;
    }
    world.items[at].live = below(2);
    index__mark(&world.index, &place, world.items[at].live);
}

static void look(struct slice key)
{
    size_t at = twin_seek(key);
    struct entry *entry = index__get(&world.index, key);
    assert_ptr_equal(entry, twin_has(at, key) ? world.items[at].entry : NULL);
    const struct leaf *leaf;
    size_t slot;
    index__seek(&world.index, key, &leaf, &slot);
    if (at == world.count)
        assert_null(leaf);
    else
        assert_ptr_equal(leaf->entry[slot], world.items[at].entry);
}

/* Counting the twin is slow: not each time. */
static void rank(struct slice key)
{
    assert_int_equal(index__rank(&world.index, key), twin_rank(twin_seek(key)));
    assert_int_equal(world.index.live, twin_rank(world.count));
}

static void walk(void)
{
    const struct leaf *leaf;
    size_t slot, at = 0;
    index__seek(&world.index, SLICE(""), &leaf, &slot);
    assert_int_equal(slot, 0);
    for (; leaf; leaf = leaf->next)
        for (uint32_t i = 0; i < leaf->count; i++, at++) {
            assert_ptr_equal(leaf->entry[i], world.items[at].entry);
            assert_int_equal(leaf->live >> i & 1, world.items[at].live);
        }
    assert_int_equal(at, world.count);
    assert_int_equal(world.index.count, world.count);
}

/* A change that is one of a kind is more often the same as the last: runs of
 * keys that follow each other in order are dropped together. */
static void drop_run(struct slice key)
{
    size_t at = twin_seek(key);
    for (uint64_t n = below(200); n > 0 && at < world.count; n--)
        drop(entry_key(world.items[at].entry));
}

static void step(key_kind kind, bool grows)
{
    char bytes[KEY_BYTES_MAX + 32];
    struct slice key = slice_of(bytes, kind(bytes));
    uint64_t dice = below(100);
    uint64_t adds = grows ? 60 : 20, drops = grows ? 10 : 50;
    if (dice < adds)
        add(key);
    else if (dice < adds + drops)
        drop(known_key(key));
    else if (dice < adds + drops + 10)
        mark(known_key(key));
    else
        look(known_key(key));
    if (below(200) == 0)
        rank(known_key(key));
    if (!grows && below(1000) == 0)
        drop_run(known_key(key));
}

static void live_with(key_kind kind)
{
    time_t begin = time(NULL);
    world.count = 0;
    slab_init(&world.slab);
    index__init(&world.index, &world.slab);
    for (size_t i = 0; i < OPERATIONS; i++) {
        step(kind, i / TURN % 2 == 0);
        if (i % 5000 == 0) {
            index__verify(&world.index);
            walk();
            if (time(NULL) - begin > SECONDS_MAX / 4)
                break;
        }
    }
    index__verify(&world.index);
    walk();
    while (world.count > 0)
        drop(entry_key(world.items[below(world.count)].entry));
    index__verify(&world.index);
    assert_int_equal(world.index.height, 0);
    index__deinit(&world.index);
    slab_deinit(&world.slab);
}

static int setup(void **state)
{
    (void)state;
    const char *given = getenv("SEED");
    uint64_t seed = given ? strtoull(given, NULL, 10) : (uint64_t)time(NULL);
    print_message("SEED=%llu\n", (unsigned long long)seed);
    prng_init(&world.prng, seed);
    return 0;
}

static void test_keys_of_random_bytes(void **state)
{
    (void)state;
    live_with(key_of_bytes);
}

static void test_keys_like_paths(void **state)
{
    (void)state;
    live_with(key_of_path);
}

static void test_keys_that_differ_late(void **state)
{
    (void)state;
    live_with(key_of_tail);
}

static void test_keys_full_of_zeros(void **state)
{
    (void)state;
    live_with(key_of_zeros);
}

/* ---- all at once --------------------------------------------------------- */

static bool lives(const struct entry *entry)
{
    return entry->sub != 0;
}

/* Sorted and filled from below, it is the tree that adding one after the
 * other makes; and it goes on growing and shrinking as that does. */
static void build_of(key_kind kind, size_t tries)
{
    slab_init(&world.slab);
    index__init(&world.index, &world.slab);
    world.count = 0;
    struct index_item *items = mem_alloc((tries + 1) * sizeof *items);
    struct index_item *scratch = mem_alloc((tries + 1) * sizeof *items);
    for (size_t i = 0; i < tries; i++) {
        char bytes[KEY_BYTES_MAX + 32];
        struct slice key = slice_of(bytes, kind(bytes));
        size_t at = twin_seek(key);
        if (twin_has(at, key))
            continue;
        struct entry *entry = index__entry_new(&world.slab, key);
        entry->sub = (uint32_t)below(2);
        items[world.count] = (struct index_item){0, entry};
        twin_insert(at, entry);
        world.items[at].live = entry->sub;
    }
    index__sort(items, scratch, world.count);
    for (size_t i = 0; i < world.count; i++)
        assert_ptr_equal(items[i].entry, world.items[i].entry);
    assert_true(index__build(&world.index, items, world.count, lives));
    mem_free(items);
    mem_free(scratch);
    index__verify(&world.index);
    walk();
    for (int i = 0; i < 2000; i++)
        step(kind, i % 2);
    index__verify(&world.index);
    walk();
    index__deinit(&world.index);
    slab_deinit(&world.slab);
}

static void test_building_at_once(void **state)
{
    (void)state;
    static const key_kind kinds[] = {key_of_bytes, key_of_path, key_of_tail,
                                     key_of_zeros};
    for (size_t kind = 0; kind < 4; kind++) {
        for (size_t count = 0; count < 200; count += 1 + count / 8)
            build_of(kinds[kind], count);
        build_of(kinds[kind], 3000);
        build_of(kinds[kind], 15000);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_keys_of_random_bytes),
        cmocka_unit_test(test_keys_like_paths),
        cmocka_unit_test(test_keys_that_differ_late),
        cmocka_unit_test(test_keys_full_of_zeros),
        cmocka_unit_test(test_building_at_once),
    };
    return cmocka_run_group_tests(tests, setup, NULL);
}
