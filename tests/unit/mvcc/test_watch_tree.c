/* The interval tree against one who looks at every range. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "mvcc/watch_int.h"

enum { WATCHERS = 300, STEPS = 20000, KEY_BYTES_MAX = 4 };

struct range {
    struct watcher watcher;
    char key[KEY_BYTES_MAX];
    char end[KEY_BYTES_MAX];
    bool in;
    unsigned found;
};

static struct range ranges[WATCHERS];

static struct slice random_key(struct prng *prng, char out[KEY_BYTES_MAX])
{
    size_t size = 1 + (size_t)prng_below(prng, KEY_BYTES_MAX);
    for (size_t i = 0; i < size; i++)
        out[i] = (char)('a' + prng_below(prng, 4));
    return slice_of(out, size);
}

static void make_range(struct prng *prng, struct range *range)
{
    range->watcher = (struct watcher){0};
    range->watcher.priority = (uint32_t)prng_next(prng);
    range->watcher.key = random_key(prng, range->key);
    switch (prng_below(prng, 5)) {
    case 0: /* exact */
        break;
    case 1: /* no upper end */
        range->watcher.end = SLICE("");
        break;
    default: /* some of them are empty */
        range->watcher.end = random_key(prng, range->end);
    }
}

static bool has(const struct watcher *watcher, struct slice key)
{
    if (watcher->end.at == NULL)
        return slice_eq(key, watcher->key);
    return slice_cmp(watcher->key, key) <= 0 &&
           (watcher->end.size == 0 || slice_cmp(key, watcher->end) < 0);
}

static void count(void *context, struct watcher *watcher)
{
    (void)context;
    ((struct range *)(void *)watcher)->found++;
}

static void look_up(struct watcher *root, struct slice key)
{
    for (size_t i = 0; i < WATCHERS; i++)
        ranges[i].found = 0;
    watch__tree_stab(root, key, count, NULL);
    for (size_t i = 0; i < WATCHERS; i++)
        assert_int_equal(ranges[i].found,
                         ranges[i].in && has(&ranges[i].watcher, key));
}

static void the_tree_finds_what_a_look_at_each_finds(void **state)
{
    (void)state;
    struct prng prng;
    prng_init(&prng, 33);
    struct watcher *root = NULL;
    for (unsigned step = 0; step < STEPS; step++) {
        struct range *range = &ranges[prng_below(&prng, WATCHERS)];
        /* Now nearly full, now nearly empty. */
        bool grows = prng_below(&prng, 8) != 0;
        if (step / 2000 % 2)
            grows = !grows;
        if (grows && !range->in) {
            make_range(&prng, range);
            watch__tree_insert(&root, &range->watcher);
            range->in = true;
        } else if (!grows && range->in) {
            watch__tree_remove(&root, &range->watcher);
            range->in = false;
            assert_null(range->watcher.left);
            assert_null(range->watcher.right);
        }
        char key[KEY_BYTES_MAX];
        look_up(root, random_key(&prng, key));
        if (step % 64 == 0)
            watch__tree_check(root);
    }
    size_t popped = 0, in = 0;
    for (size_t i = 0; i < WATCHERS; i++)
        in += ranges[i].in;
    while (watch__tree_pop(&root)) {
        watch__tree_check(root);
        popped++;
    }
    assert_int_equal(popped, in);
}

static size_t depth(const struct watcher *node)
{
    if (node == NULL)
        return 0;
    size_t left = depth(node->left), right = depth(node->right);
    return 1 + (left > right ? left : right);
}

static void ranges_in_order_make_no_list(void **state)
{
    (void)state;
    enum { MANY = 4096 };
    static struct range many[MANY];
    struct prng prng;
    prng_init(&prng, 5);
    struct watcher *root = NULL;
    for (uint32_t i = 0; i < MANY; i++) {
        put_be32(many[i].key, i);
        put_be32(many[i].end, i + 1);
        many[i].watcher.key = slice_of(many[i].key, 4);
        many[i].watcher.end = slice_of(many[i].end, 4);
        many[i].watcher.priority = (uint32_t)prng_next(&prng);
        watch__tree_insert(&root, &many[i].watcher);
    }
    watch__tree_check(root);
    assert_true(depth(root) < 50); /* about 2 ln n = 17 on the average */
    for (uint32_t i = 0; i < MANY; i++) {
        watch__tree_stab(root, many[i].watcher.key, count, NULL);
        assert_int_equal(many[i].found, 1);
    }
}

static void the_same_range_may_be_there_many_times(void **state)
{
    (void)state;
    enum { MANY = 100 };
    static struct range many[MANY];
    struct prng prng;
    prng_init(&prng, 6);
    struct watcher *root = NULL;
    for (size_t i = 0; i < MANY; i++) {
        many[i].watcher.key = SLICE("a");
        many[i].watcher.end = SLICE("c");
        many[i].watcher.priority = (uint32_t)prng_next(&prng);
        watch__tree_insert(&root, &many[i].watcher);
    }
    watch__tree_stab(root, SLICE("b"), count, NULL);
    for (size_t i = 0; i < MANY; i++) {
        assert_int_equal(many[i].found, 1);
        watch__tree_remove(&root, &many[i].watcher);
        watch__tree_check(root);
    }
    assert_null(root);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_tree_finds_what_a_look_at_each_finds),
        cmocka_unit_test(ranges_in_order_make_no_list),
        cmocka_unit_test(the_same_range_may_be_there_many_times),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
