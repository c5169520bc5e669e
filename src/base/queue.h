/* A bounded queue with several producers and one consumer, intrusive: the
 * element carries its link. Links come out in the order in which the pushes
 * took effect, so those of one producer keep their order. Lock-free: a stack
 * that producers push on and that the consumer takes off whole and turns
 * round.
 *
 * Waking: the consumer may sleep after a queue_take_all that returned NULL or
 * whose elements it has handled. Exactly one push after that says was_empty,
 * and its producer must wake the consumer. The wake-up must be one that
 * isn't lost when it comes before the sleep (an eventfd, a uv_async).
 *
 * Limits: `count_max` elements; push fails when full.
 */
#ifndef ETCHED_BASE_QUEUE_H
#define ETCHED_BASE_QUEUE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>

struct queue_link {
    struct queue_link *next;
};

/* Invariant: count >= the length of the chain at `pushed`; a producer counts
 * its element in before it links it. */
struct queue {
    _Atomic(struct queue_link *) pushed; /* newest first */
    atomic_size_t count;
    size_t count_max;
};

void queue_init(struct queue *queue, size_t count_max);
/* False when full (then *was_empty is false). *was_empty tells the producer to
 * wake the consumer: true exactly when the consumer's last queue_take_all left
 * nothing behind it and nobody has pushed since.
 * Threads: any. */
bool queue_push(struct queue *queue, struct queue_link *link, bool *was_empty);
/* Everything pushed so far, oldest first, as a chain by `next`; NULL when
 * empty. Threads: the consumer. */
struct queue_link *queue_take_all(struct queue *queue);
/* How many are in it, those that are just being pushed included.
 * Threads: any. */
size_t queue_count(const struct queue *queue);

#endif
