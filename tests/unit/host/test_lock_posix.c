/* The readers-writer lock: many readers, or one writer, who isn't starved. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <unistd.h>

#include "host/lock_posix.h"

enum { THREADS = 4, ROUNDS = 2000 };

struct room {
    struct lock *lock;
    long inside; /* guarded by the lock */
    _Atomic int readers;
    _Atomic int readers_most;
    _Atomic int writers_done;
    _Atomic int readers_done;
    _Atomic bool stop;
};

static void room_begin(struct room *room)
{
    *room = (struct room){.lock = lock_posix_new()};
}

static void room_end(struct room *room)
{
    lock_posix_free(room->lock);
}

static void *write_many(void *context)
{
    struct room *room = context;
    for (int i = 0; i < ROUNDS; i++) {
        lock_write(room->lock);
        long before = room->inside;
        room->inside = before + 1;
        unlock_write(room->lock);
    }
    return NULL;
}

static void *read_many(void *context)
{
    struct room *room = context;
    long last = 0;
    for (int i = 0; i < ROUNDS; i++) {
        lock_read(room->lock);
        long now = room->inside;
        bool back = now < last || now != room->inside;
        unlock_read(room->lock);
        if (back) {
            return room; /* seen below */
        }
        last = now;
    }
    return NULL;
}

static void writers_exclude_all_others(void **state)
{
    struct room room;
    pthread_t writers[THREADS];
    pthread_t readers[THREADS];
    (void)state;
    room_begin(&room);
    for (int i = 0; i < THREADS; i++) {
        pthread_create(&writers[i], NULL, write_many, &room);
        pthread_create(&readers[i], NULL, read_many, &room);
    }
    for (int i = 0; i < THREADS; i++) {
        void *wrong = &room;
        pthread_join(writers[i], NULL);
        pthread_join(readers[i], &wrong);
        assert_null(wrong);
    }
    assert_int_equal(room.inside, THREADS * ROUNDS);
    room_end(&room);
}

static void *read_until_all_are_in(void *context)
{
    struct room *room = context;
    lock_read(room->lock);
    atomic_fetch_add(&room->readers, 1);
    for (int i = 0; i < 10000 && atomic_load(&room->readers) < THREADS; i++) {
        usleep(1000);
    }
    atomic_store(&room->readers_most, atomic_load(&room->readers));
    unlock_read(room->lock);
    return NULL;
}

static void readers_are_in_together(void **state)
{
    struct room room;
    pthread_t threads[THREADS];
    (void)state;
    room_begin(&room);
    for (int i = 0; i < THREADS; i++) {
        pthread_create(&threads[i], NULL, read_until_all_are_in, &room);
    }
    for (int i = 0; i < THREADS; i++) {
        pthread_join(threads[i], NULL);
    }
    assert_int_equal(room.readers_most, THREADS);
    room_end(&room);
}

static void *write_once(void *context)
{
    struct room *room = context;
    lock_write(room->lock);
    room->inside = atomic_load(&room->readers_done);
    atomic_fetch_add(&room->writers_done, 1);
    unlock_write(room->lock);
    return NULL;
}

static void *read_once(void *context)
{
    struct room *room = context;
    lock_read(room->lock);
    atomic_fetch_add(&room->readers_done, 1);
    unlock_read(room->lock);
    return NULL;
}

static void a_waiting_writer_goes_before_later_readers(void **state)
{
    struct room room;
    pthread_t writer;
    pthread_t readers[THREADS];
    (void)state;
    room_begin(&room);
    lock_read(room.lock);
    pthread_create(&writer, NULL, write_once, &room);
    usleep(50000); /* it waits by now */
    for (int i = 0; i < THREADS; i++) {
        pthread_create(&readers[i], NULL, read_once, &room);
    }
    usleep(50000);
    assert_int_equal(room.writers_done, 0);
    assert_int_equal(room.readers_done, 0);
    unlock_read(room.lock);
    pthread_join(writer, NULL);
    for (int i = 0; i < THREADS; i++) {
        pthread_join(readers[i], NULL);
    }
    assert_int_equal(room.readers_done, THREADS);
    assert_int_equal(room.inside, 0); /* none was before the writer */
    room_end(&room);
}

static void *read_all_the_time(void *context)
{
    struct room *room = context;
    while (!atomic_load(&room->stop)) {
        lock_read(room->lock);
        usleep(200);
        unlock_read(room->lock);
    }
    return NULL;
}

static void readers_in_turns_do_not_starve_a_writer(void **state)
{
    struct room room;
    pthread_t threads[THREADS];
    (void)state;
    room_begin(&room);
    for (int i = 0; i < THREADS; i++) {
        pthread_create(&threads[i], NULL, read_all_the_time, &room);
    }
    for (int i = 0; i < 100; i++) {
        lock_write(room.lock); /* a lock that starves it never comes back */
        room.inside++;
        unlock_write(room.lock);
    }
    atomic_store(&room.stop, true);
    for (int i = 0; i < THREADS; i++) {
        pthread_join(threads[i], NULL);
    }
    assert_int_equal(room.inside, 100);
    room_end(&room);
    lock_posix_free(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(writers_exclude_all_others),
        cmocka_unit_test(readers_are_in_together),
        cmocka_unit_test(a_waiting_writer_goes_before_later_readers),
        cmocka_unit_test(readers_in_turns_do_not_starve_a_writer),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
