/* An intrusive binary heap: the smallest key on top; a node knows its place,
 * so it can be moved or taken out in O(log n). */
#ifndef ETCHED_BASE_HEAP_H
#define ETCHED_BASE_HEAP_H

#include <stddef.h>
#include <stdint.h>

struct heap_node {
    int64_t key;
    size_t place; /* index in the heap + 1; 0: in none */
};

struct heap {
    struct heap_node **nodes;
    size_t count;
    size_t capacity;
};

void heap_init(struct heap *heap);
void heap_deinit(struct heap *heap);
void heap_push(struct heap *heap, struct heap_node *node, int64_t key);
/* Change the key of a node that is in the heap, or push it if it is not. */
void heap_set(struct heap *heap, struct heap_node *node, int64_t key);
/* Take a node out; harmless if it is in none. */
void heap_remove(struct heap *heap, struct heap_node *node);
struct heap_node *heap_top(const struct heap *heap); /* NULL when empty */

#endif
