/* Long work on threads of its own. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <pthread.h>
#include <time.h>
#include <cmocka.h>

#include "base/list.h"
#include "host/work_pool.h"

enum { MANY = 200, THREADS = 3 };

struct piece {
    struct work work;
    bool *go; /* NULL: it ends at once */
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;
static int begun;
static int at_once;
static int at_once_max;
static int ended;

static void run(struct work *work)
{
    struct piece *piece = CONTAINER_OF(work, struct piece, work);
    pthread_mutex_lock(&lock);
    begun++;
    at_once++;
    at_once_max = at_once > at_once_max ? at_once : at_once_max;
    pthread_cond_broadcast(&changed);
    while (piece->go != NULL && !*piece->go) {
        pthread_cond_wait(&changed, &lock);
    }
    at_once--;
    ended++;
    pthread_mutex_unlock(&lock);
}

static void await_begun(int count)
{
    pthread_mutex_lock(&lock);
    while (begun < count) {
        pthread_cond_wait(&changed, &lock);
    }
    pthread_mutex_unlock(&lock);
}

static void open_gate(bool *go)
{
    pthread_mutex_lock(&lock);
    *go = true;
    pthread_cond_broadcast(&changed);
    pthread_mutex_unlock(&lock);
}

static int clear(void **state)
{
    (void)state;
    begun = at_once = at_once_max = ended = 0;
    return 0;
}

static void all_work_is_done(void **state)
{
    static struct piece pieces[MANY];
    struct work_pool *pool = work_pool_new(THREADS);
    (void)state;
    for (int i = 0; i < MANY; i++) {
        pieces[i] = (struct piece){.work = {.run = run}};
        work_pool_submit(pool, &pieces[i].work);
    }
    work_pool_stop(pool);
    assert_int_equal(ended, MANY);
    work_pool_free(pool);
}

static void long_work_does_not_keep_other_work_waiting(void **state)
{
    bool go = false;
    struct piece slow[THREADS];
    struct work_pool *pool = work_pool_new(THREADS);
    (void)state;
    for (int i = 0; i < THREADS; i++) {
        slow[i] = (struct piece){.work = {.run = run}, .go = &go};
        work_pool_submit(pool, &slow[i].work);
        await_begun(i + 1);
    }
    assert_int_equal(at_once_max, THREADS);
    open_gate(&go);
    work_pool_stop(pool);
    assert_int_equal(ended, THREADS);
    work_pool_free(pool);
}

static void there_are_no_more_threads_than_it_may_have(void **state)
{
    bool go = false;
    struct piece slow[THREADS + 4];
    struct work_pool *pool = work_pool_new(THREADS);
    (void)state;
    for (int i = 0; i < THREADS + 4; i++) {
        slow[i] = (struct piece){.work = {.run = run}, .go = &go};
        work_pool_submit(pool, &slow[i].work);
    }
    await_begun(THREADS);
    nanosleep(&(struct timespec){.tv_nsec = 20000000}, NULL);
    assert_int_equal(begun, THREADS);
    open_gate(&go);
    work_pool_stop(pool);
    assert_int_equal(at_once_max, THREADS);
    assert_int_equal(ended, THREADS + 4);
    work_pool_free(pool);
}

static void a_pool_without_work_ends_at_once(void **state)
{
    (void)state;
    struct work_pool *pool = work_pool_new(1);
    work_pool_stop(pool);
    work_pool_free(pool);
    work_pool_free(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(all_work_is_done, clear),
        cmocka_unit_test_setup(long_work_does_not_keep_other_work_waiting,
                               clear),
        cmocka_unit_test_setup(there_are_no_more_threads_than_it_may_have,
                               clear),
        cmocka_unit_test_setup(a_pool_without_work_ends_at_once, clear),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
