/* The index: its shape, its memory, its corners. What it holds under random
 * operations is tests/model/test_index.c's. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <stdio.h>
#include <cmocka.h>

#include "base/mem.h"
#include "base/prng.h"
#include "mvcc/index.h"
#include "mvcc/index_int.h"

static struct slab slab;
static struct index tree;

static int setup(void **state)
{
    (void)state;
    slab_init(&slab);
    index__init(&tree, &slab);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    index__deinit(&tree);
    slab_deinit(&slab);
    return 0;
}

static struct entry *add(struct slice key, bool live)
{
    struct place place;
    assert_false(index__locate(&tree, key, &place));
    struct entry *entry = index__add(&tree, &place, key);
    index__mark(&tree, &place, live);
    return entry;
}

static void drop(struct slice key)
{
    struct place place;
    assert_true(index__locate(&tree, key, &place));
    index__drop(&tree, &place);
}

static struct slice numbered(const char *prefix, unsigned i)
{
    static char text[200];
    return slice_of(text,
                    (size_t)snprintf(text, sizeof text, "%s%08u", prefix, i));
}

static unsigned count_leaves(void)
{
    const struct leaf *leaf;
    size_t slot;
    unsigned count = 0;
    index__seek(&tree, SLICE(""), &leaf, &slot);
    for (; leaf; leaf = leaf->next)
        count++;
    return count;
}

/* ---- heads, separators --------------------------------------------------- */

static void test_heads_are_in_the_order_of_keys(void **state)
{
    (void)state;
    static const char *const keys[] = {
        "",         "a",        "a\1", "aa",   "aaaaaaaa", "ab",
        "abcdefgh", "abcdefgi", "b",   "\x7f", "\x80",     "\xff\xff"};
    for (size_t i = 0; i + 1 < sizeof keys / sizeof keys[0]; i++)
        assert_true(index__head(slice_str(keys[i]), 0) <
                    index__head(slice_str(keys[i + 1]), 0));
    assert_true(index__head(SLICE("12345678"), 0) == 0x3132333435363738);
    assert_true(index__head(SLICE("xx12345678yy"), 2) == 0x3132333435363738);
    assert_true(index__head(SLICE("xx123"), 2) == 0x3132330000000000);
    assert_true(index__head(SLICE("xx"), 2) == 0);
    assert_true(index__head(SLICE("x"), 2) == 0);
    /* What they can't tell apart, they call equal. */
    assert_true(index__head(SLICE("a"), 0) == index__head(SLICE("a\0"), 0));
}

static void test_separators_are_the_shortest(void **state)
{
    (void)state;
    static const struct {
        const char *left, *right, *want;
    } cases[] = {
        {"a", "b", "b"},          {"abc", "abd", "abd"},
        {"abc", "b", "b"},        {"a", "abc", "ab"},
        {"", "abc", "a"},         {"/a/1999", "/a/2000", "/a/2"},
        {"aaaa", "aaab", "aaab"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct separator *sep = index__separator_new(
            &tree, slice_str(cases[i].left), slice_str(cases[i].right));
        assert_true(
            slice_eq(index__separator_text(sep), slice_str(cases[i].want)));
        index__separator_free(&tree, sep);
    }
}

static void test_what_two_fences_have_in_common(void **state)
{
    (void)state;
    struct separator *a =
        index__separator_new(&tree, SLICE("/a/0"), SLICE("/a/1"));
    struct separator *b =
        index__separator_new(&tree, SLICE("/a/7"), SLICE("/a/8"));
    assert_int_equal(index__skip(a, b), 3);
    assert_int_equal(index__skip(NULL, b), 0);
    assert_int_equal(index__skip(a, NULL), 0);
    assert_int_equal(index__skip(NULL, NULL), 0);
    index__separator_free(&tree, a);
    index__separator_free(&tree, b);
}

/* ---- corners ------------------------------------------------------------- */

static void test_an_empty_index(void **state)
{
    (void)state;
    const struct leaf *leaf;
    size_t slot;
    index__verify(&tree);
    assert_null(index__get(&tree, SLICE("")));
    assert_null(index__get(&tree, SLICE("a")));
    index__seek(&tree, SLICE(""), &leaf, &slot);
    assert_null(leaf);
    assert_int_equal(index__rank(&tree, SLICE("z")), 0);
    assert_int_equal(tree.count, 0);
}

static void test_the_empty_key_is_a_key(void **state)
{
    (void)state;
    struct entry *entry = add(SLICE(""), true);
    assert_ptr_equal(index__get(&tree, SLICE("")), entry);
    assert_null(index__get(&tree, slice_of("\0", 1)));
    struct entry *zero = add(slice_of("\0", 1), true);
    assert_ptr_equal(index__get(&tree, slice_of("\0", 1)), zero);
    assert_ptr_equal(index__get(&tree, SLICE("")), entry);
    assert_int_equal(index__rank(&tree, slice_of("\0", 1)), 1);
    assert_int_equal(index__rank(&tree, slice_of("\0\0", 2)), 2);
    drop(SLICE(""));
    assert_null(index__get(&tree, SLICE("")));
    index__verify(&tree);
}

static void test_one_leaf_full_of_equal_heads(void **state)
{
    (void)state;
    char key[80];
    memset(key, 'x', sizeof key);
    for (size_t size = 1; size <= INDEX_SLOTS; size++)
        add(slice_of(key, 8 + (size * 37) % (INDEX_SLOTS + 1)), size % 2);
    assert_int_equal(tree.height, 0);
    index__verify(&tree);
    for (size_t size = 1; size <= INDEX_SLOTS; size++)
        assert_non_null(index__get(
            &tree, slice_of(key, 8 + (size * 37) % (INDEX_SLOTS + 1))));
    assert_null(index__get(&tree, slice_of(key, 8)));
    add(slice_of(key, 8), true);
    assert_int_equal(tree.height, 1);
    index__verify(&tree);
}

static void test_very_long_keys(void **state)
{
    (void)state;
    enum { SIZE = 60000, COUNT = 300 };
    char *key = mem_alloc_zero(SIZE);
    for (unsigned i = 0; i < COUNT; i++) {
        put_be32(key + SIZE - 4, i * 7 % COUNT);
        add(slice_of(key, SIZE), true);
    }
    index__verify(&tree);
    for (unsigned i = 0; i < COUNT; i++) {
        put_be32(key + SIZE - 4, i);
        assert_non_null(index__get(&tree, slice_of(key, SIZE)));
        assert_int_equal(index__rank(&tree, slice_of(key, SIZE)), i);
    }
    for (unsigned i = 0; i < COUNT; i++) {
        put_be32(key + SIZE - 4, i);
        drop(slice_of(key, SIZE));
    }
    assert_int_equal(tree.count, 0);
    mem_free(key);
}

static void test_seek_between_and_beyond(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 1000; i++)
        add(numbered("/", i * 2), true);
    const struct leaf *leaf;
    size_t slot;
    for (unsigned i = 0; i < 1999; i++) {
        index__seek(&tree, numbered("/", i), &leaf, &slot);
        assert_non_null(leaf);
        struct slice key = entry_key(leaf->entry[slot]);
        assert_true(slice_eq(key, numbered("/", (i + 1) / 2 * 2)));
    }
    index__seek(&tree, numbered("/", 1999), &leaf, &slot);
    assert_null(leaf);
    index__seek(&tree, SLICE(""), &leaf, &slot);
    assert_int_equal(slot, 0);
    assert_null(leaf->prev);
}

static void test_marks_are_counted_all_the_way_up(void **state)
{
    (void)state;
    struct place place;
    for (unsigned i = 0; i < 5000; i++)
        add(numbered("/", i), false);
    assert_int_equal(tree.height, 2);
    assert_int_equal(tree.live, 0);
    for (unsigned i = 0; i < 5000; i += 5) {
        assert_true(index__locate(&tree, numbered("/", i), &place));
        index__mark(&tree, &place, true);
        index__mark(&tree, &place, true); /* twice is once */
    }
    assert_int_equal(tree.live, 1000);
    assert_int_equal(index__rank(&tree, numbered("/", 2500)), 500);
    assert_int_equal(index__rank(&tree, numbered("/", 2501)), 501);
    assert_true(index__locate(&tree, numbered("/", 0), &place));
    index__mark(&tree, &place, false);
    assert_int_equal(index__rank(&tree, numbered("/", 2500)), 499);
    drop(numbered("/", 5));  /* a living one */
    drop(numbered("/", 11)); /* a dead one */
    assert_int_equal(index__rank(&tree, numbered("/", 2500)), 498);
    assert_int_equal(tree.live, 998);
    index__verify(&tree);
}

static void test_entries_stay_where_they_are(void **state)
{
    (void)state;
    struct entry *entries[3000];
    for (unsigned i = 0; i < 3000; i++)
        entries[i] = add(numbered("/", i * 7919 % 3000), true);
    for (unsigned i = 0; i < 3000; i += 2)
        drop(numbered("/", i * 7919 % 3000));
    for (unsigned i = 1; i < 3000; i += 2)
        assert_ptr_equal(index__get(&tree, numbered("/", i * 7919 % 3000)),
                         entries[i]);
    index__verify(&tree);
}

static void test_the_shape_tells_when_places_move(void **state)
{
    (void)state;
    struct place place;
    add(SLICE("a"), true);
    uint64_t shape = tree.shape;
    assert_true(index__locate(&tree, SLICE("a"), &place));
    index__mark(&tree, &place, false);
    assert_int_equal(tree.shape, shape);
    add(SLICE("b"), true);
    assert_true(tree.shape > shape);
    shape = tree.shape;
    drop(SLICE("a"));
    assert_true(tree.shape > shape);
}

/* ---- how full it is, and what a key costs -------------------------------- */

/* Keys that ascend leave full leaves behind them. */
static void test_ascending_keys_fill_the_leaves(void **state)
{
    (void)state;
    for (unsigned i = 0; i < INDEX_SLOTS * 100; i++)
        add(numbered("/", i), true);
    assert_int_equal(count_leaves(), 100);
    index__verify(&tree);
}

/* Also where others lie behind them: a directory that is filled. */
static void test_keys_that_ascend_in_the_middle(void **state)
{
    (void)state;
    for (unsigned i = 0; i < INDEX_SLOTS * 10; i++)
        add(numbered("/z", i), true);
    for (unsigned i = 0; i < INDEX_SLOTS * 100; i++)
        add(numbered("/a", i), true);
    assert_true(count_leaves() <= 100 + 10 + 2);
    index__verify(&tree);
}

static double bytes_a_key(size_t count, size_t key_bytes)
{
    return (double)(tree.bytes + slab.bytes) / (double)count -
           (double)key_bytes;
}

/* A sanitizer sees each entry as an allocation of its own. */
static bool is_measured(void)
{
    uint64_t before = slab.bytes;
    void *memory = slab_alloc(&slab, 24);
    bool chunked = slab.bytes - before != 24 + 2 * sizeof(void *);
    slab_free(&slab, memory, 24);
    return chunked;
}

static void test_what_a_random_key_costs(void **state)
{
    (void)state;
    enum { COUNT = 200000, SIZE = 20 };
    struct prng prng;
    prng_init(&prng, 1);
    bool measured = is_measured();
    for (unsigned i = 0; i < COUNT; i++) {
        char key[SIZE + 4];
        for (size_t at = 0; at < SIZE; at += 8)
            put_le64(key + at, prng_next(&prng));
        add(slice_of(key, SIZE), true);
    }
    index__verify(&tree);
    print_message("%.1f bytes a key\n", bytes_a_key(COUNT, SIZE));
    if (measured)
        assert_true(bytes_a_key(COUNT, SIZE) < 60);
}

static void test_what_an_ascending_key_costs(void **state)
{
    (void)state;
    enum { COUNT = 200000, SIZE = 20 };
    bool measured = is_measured();
    for (unsigned i = 0; i < COUNT; i++)
        add(numbered("/registry/po", i), true);
    print_message("%.1f bytes a key\n", bytes_a_key(COUNT, SIZE));
    if (measured)
        assert_true(bytes_a_key(COUNT, SIZE) < 52);
}

/* A queue: keys come at one end and go at the other. */
static void test_a_queue_of_keys_keeps_its_size(void **state)
{
    (void)state;
    enum { LENGTH = 2000, TURNS = 20000 };
    for (unsigned i = 0; i < LENGTH; i++)
        add(numbered("/", i), true);
    uint64_t nodes = tree.bytes, entries = slab.bytes;
    for (unsigned i = 0; i < TURNS; i++) {
        add(numbered("/", LENGTH + i), true);
        drop(numbered("/", i));
    }
    index__verify(&tree);
    assert_true(tree.bytes < nodes + nodes / 4);
    assert_true(slab.bytes < entries + entries / 4);
}

/* Most of the keys go, here and there: the nodes are merged. */
static void test_a_thinned_index_gives_nodes_back(void **state)
{
    (void)state;
    enum { COUNT = 20000 };
    for (unsigned i = 0; i < COUNT; i++)
        add(numbered("/", i), true);
    unsigned full = count_leaves();
    for (unsigned i = 0; i < COUNT; i++)
        if (i % 20)
            drop(numbered("/", i));
    index__verify(&tree);
    assert_int_equal(tree.count, COUNT / 20);
    assert_true(count_leaves() < full / 4);
}

/* ---- all at once --------------------------------------------------------- */

static bool lives(const struct entry *entry)
{
    return entry->key[entry->key_size - 1] % 2 == 0;
}

static void test_what_cannot_be_built(void **state)
{
    (void)state;
    struct index_item items[3];
    items[0].entry = index__entry_new(&slab, SLICE("a"));
    items[1].entry = index__entry_new(&slab, SLICE("b"));
    items[2].entry = index__entry_new(&slab, SLICE("b"));
    assert_false(index__build(&tree, items, 3, lives));
    assert_int_equal(tree.count, 0);
    struct index_item swap = items[0];
    items[0] = items[1];
    items[1] = swap;
    assert_false(index__build(&tree, items, 2, lives));
    index__verify(&tree);
    assert_true(index__build(&tree, items, 0, lives));
    assert_true(index__build(&tree, items, 1, lives));
    assert_int_equal(tree.count, 1);
    assert_int_equal(tree.live, 1);
    index__verify(&tree);
    for (int i = 1; i < 3; i++)
        index__entry_free(&slab, items[i].entry);
}

static void test_built_leaves_are_nearly_full(void **state)
{
    (void)state;
    enum { COUNT = 60 * 100 };
    struct index_item *items = mem_alloc(COUNT * sizeof *items);
    struct index_item *scratch = mem_alloc(COUNT * sizeof *items);
    for (unsigned i = 0; i < COUNT; i++)
        items[i].entry = index__entry_new(&slab, numbered("/", i * 17 % COUNT));
    index__sort(items, scratch, COUNT);
    assert_true(index__build(&tree, items, COUNT, lives));
    index__verify(&tree);
    assert_int_equal(count_leaves(), 100);
    assert_int_equal(tree.live, COUNT / 2);
    for (unsigned i = 0; i < COUNT; i++)
        assert_non_null(index__get(&tree, numbered("/", i)));
    mem_free(items);
    mem_free(scratch);
}

#define STORY(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        STORY(test_heads_are_in_the_order_of_keys),
        STORY(test_separators_are_the_shortest),
        STORY(test_what_two_fences_have_in_common),
        STORY(test_an_empty_index),
        STORY(test_the_empty_key_is_a_key),
        STORY(test_one_leaf_full_of_equal_heads),
        STORY(test_very_long_keys),
        STORY(test_seek_between_and_beyond),
        STORY(test_marks_are_counted_all_the_way_up),
        STORY(test_entries_stay_where_they_are),
        STORY(test_the_shape_tells_when_places_move),
        STORY(test_ascending_keys_fill_the_leaves),
        STORY(test_keys_that_ascend_in_the_middle),
        STORY(test_what_a_random_key_costs),
        STORY(test_what_an_ascending_key_costs),
        STORY(test_a_queue_of_keys_keeps_its_size),
        STORY(test_a_thinned_index_gives_nodes_back),
        STORY(test_what_cannot_be_built),
        STORY(test_built_leaves_are_nearly_full),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
