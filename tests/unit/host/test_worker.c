/* A worker: turns when woken, turns at their time, and an end that waits. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <unistd.h>

#include "host/clock_posix.h"
#include "host/worker.h"

enum { WAKERS = 4, WAKES = 3000, PATIENCE_MS = 10000 };

struct desk {
    struct worker *worker;
    _Atomic int turns;
    _Atomic int todo; /* put there by others, taken by the turn */
    _Atomic int done;
    _Atomic int64_t next_ms; /* what a turn answers */
    _Atomic bool busy;       /* within a turn */
    _Atomic bool hold;       /* a turn waits while it is set */
    struct desk *other;      /* woken in each turn */
};

static int64_t now_ms(void)
{
    return clock_monotonic_ns(clock_posix()) / 1000000;
}

static int64_t turn(void *context)
{
    struct desk *desk = context;
    atomic_store(&desk->busy, true);
    while (atomic_load(&desk->hold)) {
        usleep(100);
    }
    atomic_fetch_add(&desk->done, atomic_exchange(&desk->todo, 0));
    atomic_fetch_add(&desk->turns, 1);
    if (desk->other != NULL) {
        worker_wake(desk->other->worker);
    }
    int64_t next_ms = atomic_load(&desk->next_ms);
    atomic_store(&desk->busy, false);
    return next_ms;
}

static void desk_init(struct desk *desk)
{
    *desk = (struct desk){.next_ms = INT64_MAX};
    desk->worker = worker_new("test", turn, desk);
}

static void desk_end(struct desk *desk)
{
    worker_stop(desk->worker);
    worker_free(desk->worker);
}

static bool reaches(_Atomic int *number, int wanted)
{
    int64_t end_ms = now_ms() + PATIENCE_MS;
    while (atomic_load(number) < wanted) {
        if (now_ms() > end_ms) {
            return false;
        }
        usleep(200);
    }
    return true;
}

static void the_first_turn_is_at_once(void **state)
{
    struct desk desk;
    (void)state;
    desk_init(&desk);
    usleep(20000);
    assert_int_equal(desk.turns, 0);
    worker_start(desk.worker);
    assert_true(reaches(&desk.turns, 1));
    usleep(50000);
    assert_int_equal(desk.turns, 1); /* and then it sleeps */
    desk_end(&desk);
    assert_int_equal(desk.turns, 1);
}

static void a_wake_leads_to_a_turn(void **state)
{
    struct desk desk;
    (void)state;
    desk_init(&desk);
    worker_start(desk.worker);
    assert_true(reaches(&desk.turns, 1));
    for (int i = 2; i < 200; i++) {
        worker_wake(desk.worker);
        assert_true(reaches(&desk.turns, i));
    }
    desk_end(&desk);
}

static void a_wake_before_the_start_is_kept(void **state)
{
    struct desk desk;
    (void)state;
    desk_init(&desk);
    worker_wake(desk.worker);
    worker_wake(desk.worker);
    worker_start(desk.worker);
    assert_true(reaches(&desk.turns, 2));
    desk_end(&desk);
    assert_int_equal(desk.turns, 2);
}

static void a_wake_during_a_turn_leads_to_one_more(void **state)
{
    struct desk desk;
    (void)state;
    desk_init(&desk);
    desk.hold = true;
    worker_start(desk.worker);
    while (!atomic_load(&desk.busy)) {
        usleep(100);
    }
    for (int i = 0; i < 5; i++) {
        worker_wake(desk.worker);
    }
    atomic_store(&desk.hold, false);
    assert_true(reaches(&desk.turns, 2));
    usleep(50000);
    assert_int_equal(desk.turns, 2);
    desk_end(&desk);
}

static void a_turn_comes_at_its_time(void **state)
{
    struct desk desk;
    (void)state;
    desk_init(&desk);
    int64_t at_ms = now_ms() + 60;
    desk.next_ms = at_ms;
    worker_start(desk.worker);
    assert_true(reaches(&desk.turns, 1));
    assert_true(now_ms() < at_ms);
    /* A wake before its time doesn't take the time away. */
    worker_wake(desk.worker);
    assert_true(reaches(&desk.turns, 2));
    atomic_store(&desk.next_ms, INT64_MAX);
    assert_true(reaches(&desk.turns, 3));
    assert_true(now_ms() >= at_ms);
    desk_end(&desk);
    assert_int_equal(desk.turns, 3);
}

static void a_time_that_has_passed_means_now(void **state)
{
    struct desk desk;
    (void)state;
    desk_init(&desk);
    desk.next_ms = 0;
    worker_start(desk.worker);
    assert_true(reaches(&desk.turns, 1000));
    desk_end(&desk);
}

static void *let_go_later(void *context)
{
    struct desk *desk = context;
    usleep(50000);
    atomic_store(&desk->hold, false);
    return NULL;
}

static void stopping_waits_for_the_turn(void **state)
{
    struct desk desk;
    pthread_t thread;
    (void)state;
    desk_init(&desk);
    desk.hold = true;
    worker_start(desk.worker);
    while (!atomic_load(&desk.busy)) {
        usleep(100);
    }
    pthread_create(&thread, NULL, let_go_later, &desk);
    worker_stop(desk.worker);
    assert_false(desk.busy);
    assert_int_equal(desk.turns, 1);
    pthread_join(thread, NULL);
    worker_free(desk.worker);
}

static void one_that_never_started_is_stopped_and_freed(void **state)
{
    struct desk desk;
    (void)state;
    desk_init(&desk);
    worker_wake(desk.worker);
    worker_stop(desk.worker);
    worker_free(desk.worker);
    worker_free(NULL);
    assert_int_equal(desk.turns, 0);
}

static void *put_and_wake(void *context)
{
    struct desk *desk = context;
    for (int i = 0; i < WAKES; i++) {
        atomic_fetch_add(&desk->todo, 1);
        worker_wake(desk->worker);
    }
    return NULL;
}

static void no_wake_of_many_is_lost(void **state)
{
    struct desk desk;
    pthread_t threads[WAKERS];
    (void)state;
    desk_init(&desk);
    worker_start(desk.worker);
    for (int i = 0; i < WAKERS; i++) {
        pthread_create(&threads[i], NULL, put_and_wake, &desk);
    }
    for (int i = 0; i < WAKERS; i++) {
        pthread_join(threads[i], NULL);
    }
    assert_true(reaches(&desk.done, WAKERS * WAKES));
    desk_end(&desk);
    assert_int_equal(desk.done, WAKERS * WAKES);
}

/* As the core and the backend: each wakes the other to the end, also when the
 * other has stopped already. */
static void two_wake_each_other_to_the_end(void **state)
{
    (void)state;
    for (int round = 0; round < 20; round++) {
        struct desk core;
        struct desk backend;
        desk_init(&core);
        desk_init(&backend);
        core.other = &backend;
        backend.other = &core;
        worker_start(core.worker);
        worker_start(backend.worker);
        assert_true(reaches(&core.turns, 50));
        worker_stop(core.worker);
        int before = atomic_load(&core.turns);
        worker_wake(backend.worker);
        worker_stop(backend.worker);
        assert_int_equal(core.turns, before);
        worker_free(core.worker);
        worker_free(backend.worker);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_first_turn_is_at_once),
        cmocka_unit_test(a_wake_leads_to_a_turn),
        cmocka_unit_test(a_wake_before_the_start_is_kept),
        cmocka_unit_test(a_wake_during_a_turn_leads_to_one_more),
        cmocka_unit_test(a_turn_comes_at_its_time),
        cmocka_unit_test(a_time_that_has_passed_means_now),
        cmocka_unit_test(stopping_waits_for_the_turn),
        cmocka_unit_test(one_that_never_started_is_stopped_and_freed),
        cmocka_unit_test(no_wake_of_many_is_lost),
        cmocka_unit_test(two_wake_each_other_to_the_end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
