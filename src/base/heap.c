#include "base/heap.h"

#include "base/check.h"
#include "base/mem.h"

/* Invariants: a parent's key is <= its children's; nodes[i]->place == i + 1.
 * The children of index i are 2i + 1 and 2i + 2. */

void heap_init(struct heap *heap)
{
    *heap = (struct heap){0};
}

void heap_deinit(struct heap *heap)
{
    mem_free(heap->nodes);
    heap_init(heap);
}

static void put_at(struct heap *heap, size_t index, struct heap_node *node)
{
    heap->nodes[index] = node;
    node->place = index + 1;
}

/* Lift `node` from the hole at `index` to where its parent isn't larger. */
static void sift_up(struct heap *heap, size_t index, struct heap_node *node)
{
    while (index > 0) {
        struct heap_node *parent = heap->nodes[(index - 1) / 2];
        if (parent->key <= node->key)
            break;
        put_at(heap, index, parent);
        index = (index - 1) / 2;
    }
    put_at(heap, index, node);
}

/* Lower `node` from the hole at `index` to where no child is smaller. */
static void sift_down(struct heap *heap, size_t index, struct heap_node *node)
{
    for (;;) {
        size_t child = index * 2 + 1;
        if (child >= heap->count)
            break;
        if (child + 1 < heap->count &&
            heap->nodes[child + 1]->key < heap->nodes[child]->key)
            child++;
        if (node->key <= heap->nodes[child]->key)
            break;
        put_at(heap, index, heap->nodes[child]);
        index = child;
    }
    put_at(heap, index, node);
}

static void settle(struct heap *heap, size_t index, struct heap_node *node)
{
    if (index > 0 && node->key < heap->nodes[(index - 1) / 2]->key)
        sift_up(heap, index, node);
    else
        sift_down(heap, index, node);
}

static size_t index_of(const struct heap *heap, const struct heap_node *node)
{
    CHECK(node->place <= heap->count);
    CHECK(heap->nodes[node->place - 1] == node);
    return node->place - 1;
}

void heap_push(struct heap *heap, struct heap_node *node, int64_t key)
{
    CHECK_EQ(node->place, 0);
    if (heap->count == heap->capacity) {
        heap->capacity = heap->capacity ? heap->capacity * 2 : 16;
        heap->nodes =
            mem_realloc(heap->nodes, heap->capacity * sizeof heap->nodes[0]);
    }
    node->key = key;
    sift_up(heap, heap->count++, node);
}

void heap_set(struct heap *heap, struct heap_node *node, int64_t key)
{
    if (node->place == 0) {
        heap_push(heap, node, key);
        return;
    }
    size_t index = index_of(heap, node);
    node->key = key;
    settle(heap, index, node);
}

void heap_remove(struct heap *heap, struct heap_node *node)
{
    if (node->place == 0)
        return;
    size_t index = index_of(heap, node);
    struct heap_node *last = heap->nodes[--heap->count];
    node->place = 0;
    if (last != node)
        settle(heap, index, last);
}

struct heap_node *heap_top(const struct heap *heap)
{
    return heap->count ? heap->nodes[0] : NULL;
}
