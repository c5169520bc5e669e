#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <pthread.h>
#include <sched.h>
#include <semaphore.h>
#include <time.h>

#include "base/queue.h"

struct message {
    struct queue_link link; /* first, so that a link is its message */
    int producer;
    int number;
};

static struct message *message_of(struct queue_link *link)
{
    return (struct message *)(void *)link;
}

static void assert_next(struct queue_link **chain, struct message *expected)
{
    assert_ptr_equal(*chain, &expected->link);
    *chain = (*chain)->next;
}

/* ---- one thread --------------------------------------------------------- */

static void what_goes_in_first_comes_out_first(void **state)
{
    (void)state;
    struct queue queue;
    struct message a, b, c;
    bool was_empty;
    queue_init(&queue, 10);
    assert_null(queue_take_all(&queue));
    assert_true(queue_push(&queue, &a.link, &was_empty));
    assert_true(queue_push(&queue, &b.link, &was_empty));
    assert_true(queue_push(&queue, &c.link, &was_empty));
    assert_int_equal(queue_count(&queue), 3);

    struct queue_link *chain = queue_take_all(&queue);
    assert_next(&chain, &a);
    assert_next(&chain, &b);
    assert_next(&chain, &c);
    assert_null(chain);
    assert_int_equal(queue_count(&queue), 0);
    assert_null(queue_take_all(&queue));
}

static void only_the_first_push_after_a_take_wakes(void **state)
{
    (void)state;
    struct queue queue;
    struct message a, b, c;
    bool was_empty = false;
    queue_init(&queue, 10);
    queue_push(&queue, &a.link, &was_empty);
    assert_true(was_empty);
    queue_push(&queue, &b.link, &was_empty);
    assert_false(was_empty);

    assert_non_null(queue_take_all(&queue));
    queue_push(&queue, &c.link, &was_empty);
    assert_true(was_empty);

    assert_non_null(queue_take_all(&queue));
    assert_null(queue_take_all(&queue)); /* takes nothing, changes nothing */
    queue_push(&queue, &a.link, &was_empty);
    assert_true(was_empty);
}

static void a_full_queue_refuses_and_wakes_nobody(void **state)
{
    (void)state;
    struct queue queue;
    struct message a, b, c;
    bool was_empty;
    queue_init(&queue, 2);
    assert_true(queue_push(&queue, &a.link, &was_empty));
    assert_true(queue_push(&queue, &b.link, &was_empty));
    was_empty = true;
    assert_false(queue_push(&queue, &c.link, &was_empty));
    assert_false(was_empty);
    assert_int_equal(queue_count(&queue), 2);

    struct queue_link *chain = queue_take_all(&queue);
    assert_next(&chain, &a);
    assert_next(&chain, &b);
    assert_null(chain);
    assert_true(queue_push(&queue, &c.link, &was_empty));
    assert_true(was_empty);
    chain = queue_take_all(&queue);
    assert_next(&chain, &c);
    assert_null(chain);
}

/* ---- several producers --------------------------------------------------- */

enum { PRODUCERS = 4, MESSAGES = 20000 };

struct world {
    struct queue queue;
    sem_t wake; /* posted for was_empty, and only then */
    struct message messages[PRODUCERS][MESSAGES];
    unsigned refused[PRODUCERS];
    unsigned wakes[PRODUCERS];
};

struct producer {
    struct world *world;
    int id;
    pthread_t thread;
};

static void *produce(void *context)
{
    struct producer *self = context;
    struct world *world = self->world;
    for (int i = 0; i < MESSAGES; i++) {
        struct message *message = &world->messages[self->id][i];
        bool was_empty;
        message->producer = self->id;
        message->number = i;
        while (!queue_push(&world->queue, &message->link, &was_empty)) {
            world->refused[self->id]++;
            sched_yield();
        }
        if (was_empty) {
            world->wakes[self->id]++;
            sem_post(&world->wake);
        }
    }
    return NULL;
}

/* False when nobody woke us for so long that a wake-up was lost. */
static bool sleep_until_woken(struct world *world)
{
    struct timespec until;
    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += 30;
    return sem_timedwait(&world->wake, &until) == 0;
}

/* The consumer takes once for each wake-up and then sleeps, as an event loop
 * does. If one wake-up too few were sent, it would sleep for ever with
 * messages in the queue. */
static unsigned consume_all(struct world *world, size_t count_max)
{
    int next[PRODUCERS] = {0};
    unsigned takes = 0;
    for (int left = PRODUCERS * MESSAGES; left > 0; takes++) {
        if (!sleep_until_woken(world))
            fail_msg("a wake-up was lost with %d messages to come", left);
        size_t taken = 0;
        struct queue_link *link = queue_take_all(&world->queue);
        assert_non_null(link); /* nor was one sent too many */
        for (; link != NULL; link = link->next, taken++, left--) {
            struct message *message = message_of(link);
            assert_int_equal(message->number, next[message->producer]);
            next[message->producer]++;
        }
        assert_true(taken <= count_max);
    }
    return takes;
}

static void run_world(size_t count_max)
{
    static struct world world;
    struct producer producers[PRODUCERS];
    queue_init(&world.queue, count_max);
    sem_init(&world.wake, 0, 0);
    for (int i = 0; i < PRODUCERS; i++) {
        world.refused[i] = world.wakes[i] = 0;
        producers[i] = (struct producer){.world = &world, .id = i};
        assert_int_equal(
            pthread_create(&producers[i].thread, NULL, produce, &producers[i]),
            0);
    }
    unsigned takes = consume_all(&world, count_max);
    unsigned wakes = 0;
    for (int i = 0; i < PRODUCERS; i++) {
        pthread_join(producers[i].thread, NULL);
        wakes += world.wakes[i];
    }
    assert_int_equal(wakes, takes);
    assert_int_equal(queue_count(&world.queue), 0);
    assert_null(queue_take_all(&world.queue));
    sem_destroy(&world.wake);
}

static void no_wake_up_is_lost_and_none_sent_twice(void **state)
{
    (void)state;
    run_world(PRODUCERS * MESSAGES);
}

static void a_small_queue_loses_nothing_either(void **state)
{
    (void)state;
    run_world(3);
}

static void a_queue_of_one_works(void **state)
{
    (void)state;
    run_world(1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_goes_in_first_comes_out_first),
        cmocka_unit_test(only_the_first_push_after_a_take_wakes),
        cmocka_unit_test(a_full_queue_refuses_and_wakes_nobody),
        cmocka_unit_test(no_wake_up_is_lost_and_none_sent_twice),
        cmocka_unit_test(a_small_queue_loses_nothing_either),
        cmocka_unit_test(a_queue_of_one_works),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
