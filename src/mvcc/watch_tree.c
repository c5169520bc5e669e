/* An interval tree: which ranges have this key?
 *
 * A treap by the ranges' lower ends (and by address, where these are equal):
 * a binary search tree, and at once a heap by random priorities, so that it
 * is balanced as a random one is, whatever ranges come. Each node knows which
 * watcher at or below it reaches farthest:
 *
 *                 [f, m) ->z            looking for "h": left of [b, c) and
 *                /        \             at or right of [k, ...) nothing has
 *         [b, c) ->k     [k, z) ->z     to be seen
 *               \
 *              [d, k) ->k
 *
 * An exact key is the range that has it alone. A range whose end isn't above
 * its key has nothing; it may be in the tree and is never found.
 *
 * Cost: a change O(log n), a search O(log n) for each range that it finds.
 */
#include "base/check.h"
#include "mvcc/watch_int.h"

/* Is `key` below the watcher's upper end? */
static bool reaches(const struct watcher *watcher, struct slice key)
{
    if (watch__is_exact(watcher))
        return slice_cmp(key, watcher->key) <= 0;
    return watcher->end.size == 0 || slice_cmp(key, watcher->end) < 0;
}

/* By upper end: none is the greatest, and an exact key's comes just after
 * that key. */
static bool reaches_farther(const struct watcher *a, const struct watcher *b)
{
    bool exact_a = watch__is_exact(a), exact_b = watch__is_exact(b);
    if (!exact_b && b->end.size == 0)
        return false;
    if (!exact_a && a->end.size == 0)
        return true;
    int order = slice_cmp(exact_a ? a->key : a->end, exact_b ? b->key : b->end);
    return order > 0 || (order == 0 && exact_a && !exact_b);
}

static int node_cmp(const struct watcher *a, const struct watcher *b)
{
    int order = slice_cmp(a->key, b->key);
    if (order)
        return order;
    /* Those of one key are told in an order that a seed repeats: addresses
     * alone would differ from run to run. */
    if (a->priority != b->priority)
        return a->priority > b->priority ? 1 : -1;
    return ((uintptr_t)a > (uintptr_t)b) - ((uintptr_t)a < (uintptr_t)b);
}

static struct watcher *farthest_of(struct watcher *node)
{
    struct watcher *best = node;
    if (node->left && reaches_farther(node->left->farthest, best))
        best = node->left->farthest;
    if (node->right && reaches_farther(node->right->farthest, best))
        best = node->right->farthest;
    return best;
}

static struct watcher *rotate_right(struct watcher *node)
{
    struct watcher *left = node->left;
    CHECK(left->priority > node->priority);
    node->left = left->right;
    left->right = node;
    node->farthest = farthest_of(node);
    return left;
}

static struct watcher *rotate_left(struct watcher *node)
{
    struct watcher *right = node->right;
    CHECK(right->priority > node->priority);
    node->right = right->left;
    right->left = node;
    node->farthest = farthest_of(node);
    return right;
}

static struct watcher *insert(struct watcher *node, struct watcher *watcher)
{
    if (node == NULL)
        return watcher;
    int order = node_cmp(watcher, node);
    CHECK_NE(order, 0); /* nobody is in it twice */
    if (order < 0) {
        node->left = insert(node->left, watcher);
        if (node->left->priority > node->priority)
            node = rotate_right(node);
    } else {
        node->right = insert(node->right, watcher);
        if (node->right->priority > node->priority)
            node = rotate_left(node);
    }
    node->farthest = farthest_of(node);
    return node;
}

void watch__tree_insert(struct watcher **root, struct watcher *watcher)
{
    CHECK(watcher->left == NULL && watcher->right == NULL);
    watcher->farthest = watcher;
    *root = insert(*root, watcher);
}

/* One tree of two, of which all of `a` comes before all of `b`. */
static struct watcher *merge(struct watcher *a, struct watcher *b)
{
    if (a == NULL || b == NULL)
        return a ? a : b;
    if (a->priority > b->priority) {
        a->right = merge(a->right, b);
        a->farthest = farthest_of(a);
        return a;
    }
    b->left = merge(a, b->left);
    b->farthest = farthest_of(b);
    return b;
}

static void clear(struct watcher *watcher)
{
    watcher->left = watcher->right = watcher->farthest = NULL;
}

static struct watcher *erase(struct watcher *node, struct watcher *watcher)
{
    CHECK(node != NULL); /* it is in the tree */
    if (node == watcher)
        return merge(node->left, node->right);
    if (node_cmp(watcher, node) < 0)
        node->left = erase(node->left, watcher);
    else
        node->right = erase(node->right, watcher);
    node->farthest = farthest_of(node);
    return node;
}

void watch__tree_remove(struct watcher **root, struct watcher *watcher)
{
    *root = erase(*root, watcher);
    clear(watcher);
}

struct watcher *watch__tree_pop(struct watcher **root)
{
    struct watcher *top = *root;
    if (top) {
        *root = merge(top->left, top->right);
        clear(top);
    }
    return top;
}

void watch__tree_stab(const struct watcher *root, struct slice key,
                      void (*each)(void *context, struct watcher *watcher),
                      void *context)
{
    while (root && reaches(root->farthest, key)) {
        watch__tree_stab(root->left, key, each, context);
        if (slice_cmp(root->key, key) > 0)
            return;
        if (reaches(root, key))
            each(context, (struct watcher *)(uintptr_t)root);
        root = root->right;
    }
}

void watch__tree_check(const struct watcher *root)
{
    if (root == NULL)
        return;
    const struct watcher *left = root->left, *right = root->right;
    watch__tree_check(left);
    watch__tree_check(right);
    CHECK(left == NULL || node_cmp(left, root) < 0);
    CHECK(right == NULL || node_cmp(root, right) < 0);
    CHECK(left == NULL || left->priority <= root->priority);
    CHECK(right == NULL || right->priority <= root->priority);
    CHECK(!reaches_farther(root, root->farthest));
    CHECK(left == NULL || !reaches_farther(left->farthest, root->farthest));
    CHECK(right == NULL || !reaches_farther(right->farthest, root->farthest));
}
