/* An interval tree: which ranges have this key?
 *
 * A treap by the ranges' lower and upper ends: a binary search tree, and at
 * once a heap by random priorities, so that it is balanced as a random one is,
 * whatever ranges come. Each node knows which watcher at or below it reaches
 * farthest:
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
 * Those of the same range, of which there may be thousands, are one node: the
 * first of them, and behind it a chain of the others.
 *
 *         [b, c) --same--> [b, c) --same--> [b, c)
 *          node   <--left--       <--left--          their `farthest` is NULL
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

/* 0: the same range. */
static int node_cmp(const struct watcher *a, const struct watcher *b)
{
    int order = slice_cmp(a->key, b->key);
    if (order)
        return order;
    return reaches_farther(a, b) - reaches_farther(b, a);
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

/* ---- those of one range -------------------------------------------------- */

static bool is_node(const struct watcher *watcher)
{
    return watcher->farthest != NULL;
}

static void join(struct watcher *node, struct watcher *watcher)
{
    watcher->farthest = NULL;
    watcher->left = node;
    watcher->same = node->same;
    if (node->same)
        node->same->left = watcher;
    node->same = watcher;
}

static void part(struct watcher *watcher)
{
    watcher->left->same = watcher->same;
    if (watcher->same)
        watcher->same->left = watcher->left;
}

/* The next of its range takes the node's place. */
static struct watcher *succeed(struct watcher *node)
{
    struct watcher *heir = node->same;
    heir->left = node->left;
    heir->right = node->right;
    heir->priority = node->priority;
    heir->farthest = farthest_of(heir);
    return heir;
}

static void clear(struct watcher *watcher)
{
    watcher->left = watcher->right = watcher->farthest = watcher->same = NULL;
}

/* ---- changes ------------------------------------------------------------- */

static struct watcher *insert(struct watcher *node, struct watcher *watcher)
{
    if (node == NULL)
        return watcher;
    int order = node_cmp(watcher, node);
    if (order == 0) {
        join(node, watcher);
        return node;
    }
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
    /* Nobody is in it twice. */
    CHECK(watcher->left == NULL && !is_node(watcher));
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

static struct watcher *erase(struct watcher *node, struct watcher *watcher)
{
    CHECK(node != NULL); /* it is in the tree */
    if (node == watcher)
        return node->same ? succeed(node) : merge(node->left, node->right);
    if (node_cmp(watcher, node) < 0)
        node->left = erase(node->left, watcher);
    else
        node->right = erase(node->right, watcher);
    node->farthest = farthest_of(node);
    return node;
}

void watch__tree_remove(struct watcher **root, struct watcher *watcher)
{
    if (is_node(watcher))
        *root = erase(*root, watcher);
    else
        part(watcher);
    clear(watcher);
}

struct watcher *watch__tree_pop(struct watcher **root)
{
    struct watcher *top = *root;
    if (top == NULL)
        return NULL;
    if (top->same) {
        top = top->same;
        part(top);
    } else {
        *root = merge(top->left, top->right);
    }
    clear(top);
    return top;
}

/* ---- searches ------------------------------------------------------------ */

void watch__tree_stab(const struct watcher *root, struct slice key,
                      void (*each)(void *context, struct watcher *watcher),
                      void *context)
{
    while (root && reaches(root->farthest, key)) {
        watch__tree_stab(root->left, key, each, context);
        if (slice_cmp(root->key, key) > 0)
            return;
        const struct watcher *found = reaches(root, key) ? root : NULL;
        for (; found; found = found->same)
            each(context, (struct watcher *)(uintptr_t)found);
        root = root->right;
    }
}

static void check_same(const struct watcher *node)
{
    for (const struct watcher *at = node; at->same; at = at->same) {
        CHECK(at->same->left == at && !is_node(at->same));
        CHECK_EQ(node_cmp(at->same, node), 0);
    }
}

void watch__tree_check(const struct watcher *root)
{
    if (root == NULL)
        return;
    const struct watcher *left = root->left, *right = root->right;
    watch__tree_check(left);
    watch__tree_check(right);
    CHECK(is_node(root));
    check_same(root);
    CHECK(left == NULL || node_cmp(left, root) < 0);
    CHECK(right == NULL || node_cmp(root, right) < 0);
    CHECK(left == NULL || left->priority <= root->priority);
    CHECK(right == NULL || right->priority <= root->priority);
    CHECK(!reaches_farther(root, root->farthest));
    CHECK(left == NULL || !reaches_farther(left->farthest, root->farthest));
    CHECK(right == NULL || !reaches_farther(right->farthest, root->farthest));
}
