/* The interval tree against one who looks at every range. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/mem.h"
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

static void in_order(void *context, struct watcher *watcher)
{
    const struct watcher **last = context;
    assert_ptr_not_equal(watcher, *last);
    *last = watcher;
    count(NULL, watcher);
}

/* As many clients that watch one prefix: they once made a list, and each
 * change a walk along it, as deep as it was long. */
static void the_same_range_may_be_there_many_times(void **state)
{
    (void)state;
    enum { MANY = 100000 };
    struct range *many = mem_alloc_zero(MANY * sizeof *many);
    const struct watcher *last = NULL;
    struct prng prng;
    prng_init(&prng, 6);
    struct watcher *root = NULL;
    for (size_t i = 0; i < MANY; i++) {
        many[i].watcher.key = SLICE("a");
        many[i].watcher.end = i % 2 ? SLICE("c") : SLICE("d");
        many[i].watcher.priority = (uint32_t)prng_next(&prng);
        watch__tree_insert(&root, &many[i].watcher);
    }
    watch__tree_check(root);
    assert_true(depth(root) <= 2);
    watch__tree_stab(root, SLICE("b"), in_order, &last);
    for (size_t i = 0; i < MANY; i++)
        assert_int_equal(many[i].found, 1);
    /* The first of a range, the last, and those between go. */
    for (size_t i = 0; i < MANY; i++) {
        size_t which = i % 3 == 0 ? i / 3 : MANY - 1 - (i - i / 3 - 1);
        watch__tree_remove(&root, &many[which].watcher);
        assert_null(many[which].watcher.same);
        if (i % 10000 == 0)
            watch__tree_check(root);
    }
    assert_null(root);
    mem_free(many);
}

static void the_heir_of_a_range_has_all_below_it(void **state)
{
    (void)state;
    struct range a = {0}, b = {0}, c = {0}, other = {0};
    struct watcher *root = NULL;
    struct range *all[] = {&a, &b, &c, &other};
    for (size_t i = 0; i < 4; i++) {
        all[i]->watcher.key = i < 3 ? SLICE("b") : SLICE("a");
        all[i]->watcher.end = i < 3 ? SLICE("d") : SLICE("z");
        all[i]->watcher.priority = i < 3 ? 9 : 1;
        watch__tree_insert(&root, &all[i]->watcher);
    }
    assert_ptr_equal(root, &a.watcher);
    watch__tree_remove(&root, &a.watcher);
    watch__tree_check(root);
    watch__tree_stab(root, SLICE("y"), count, NULL);
    assert_int_equal(other.found, 1);
    watch__tree_stab(root, SLICE("c"), count, NULL);
    assert_int_equal(a.found, 0);
    assert_int_equal(b.found + c.found + other.found, 4);
    watch__tree_remove(&root, &c.watcher);
    watch__tree_remove(&root, &b.watcher);
    assert_ptr_equal(root, &other.watcher);
    watch__tree_check(root);
    watch__tree_remove(&root, &other.watcher);
    assert_null(root);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_tree_finds_what_a_look_at_each_finds),
        cmocka_unit_test(ranges_in_order_make_no_list),
        cmocka_unit_test(the_same_range_may_be_there_many_times),
        cmocka_unit_test(the_heir_of_a_range_has_all_below_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
