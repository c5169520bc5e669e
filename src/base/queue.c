#include "base/queue.h"

#include "base/check.h"

/* Why no wake-up is lost: the only thing that makes `pushed` NULL is the
 * consumer's exchange in queue_take_all. The compare-and-swap of a push tells
 * in one atomic step both that its element is in and whether it found NULL.
 * So of all pushes between two takes exactly the first says was_empty, and
 * every other one stands behind it and is taken by the same take.
 *
 * ABA does no harm: a push doesn't look at what the old head points to, and
 * nothing but a whole chain is ever taken. */

void queue_init(struct queue *queue, size_t count_max)
{
    CHECK(count_max > 0);
    atomic_init(&queue->pushed, NULL);
    atomic_init(&queue->count, 0);
    queue->count_max = count_max;
}

/* Counted before it is linked, so that `count` never wraps below zero. */
static bool reserve_place(struct queue *queue)
{
    size_t count = atomic_load_explicit(&queue->count, memory_order_relaxed);
    do {
        if (count >= queue->count_max)
            return false;
    } while (!atomic_compare_exchange_weak_explicit(
        &queue->count, &count, count + 1, memory_order_relaxed,
        memory_order_relaxed));
    return true;
}

bool queue_push(struct queue *queue, struct queue_link *link, bool *was_empty)
{
    *was_empty = false;
    if (!reserve_place(queue))
        return false;
    struct queue_link *head =
        atomic_load_explicit(&queue->pushed, memory_order_relaxed);
    do {
        link->next = head;
    } while (!atomic_compare_exchange_weak_explicit(&queue->pushed, &head, link,
                                                    memory_order_release,
                                                    memory_order_relaxed));
    /* From here on the element is the consumer's: don't touch it. */
    *was_empty = head == NULL;
    return true;
}

struct queue_link *queue_take_all(struct queue *queue)
{
    struct queue_link *newest =
        atomic_exchange_explicit(&queue->pushed, NULL, memory_order_acquire);
    struct queue_link *oldest = NULL;
    size_t count = 0;
    while (newest != NULL) {
        struct queue_link *older = newest->next;
        newest->next = oldest;
        oldest = newest;
        newest = older;
        count++;
    }
    size_t before =
        atomic_fetch_sub_explicit(&queue->count, count, memory_order_relaxed);
    CHECK_LE(count, before);
    return oldest;
}

size_t queue_count(const struct queue *queue)
{
    return atomic_load_explicit(&queue->count, memory_order_relaxed);
}
