#include "host/work_pool.h"

#include <pthread.h>

#include "base/check.h"
#include "base/list.h"
#include "base/mem.h"

enum { THREADS_MAX = 16 };

/* All but the threads is under the lock. */
struct work_pool {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    struct queue_link *first; /* that waits */
    struct queue_link *last;
    size_t threads_max;
    size_t thread_count;
    size_t idle_count; /* threads that wait for work */
    size_t waiting;    /* pieces of it */
    bool stopping;
    pthread_t threads[THREADS_MAX];
};

static struct work *take(struct work_pool *pool)
{
    struct queue_link *link = pool->first;
    pool->first = link->next;
    pool->waiting--;
    return CONTAINER_OF(link, struct work, link);
}

/* NULL: there is none and there will be none. */
static struct work *next(struct work_pool *pool)
{
    struct work *work = NULL;
    pthread_mutex_lock(&pool->lock);
    pool->idle_count++;
    while (pool->first == NULL && !pool->stopping) {
        pthread_cond_wait(&pool->changed, &pool->lock);
    }
    pool->idle_count--;
    if (pool->first != NULL) {
        work = take(pool);
    }
    pthread_mutex_unlock(&pool->lock);
    return work;
}

static void *run(void *context)
{
    struct work_pool *pool = context;
    struct work *work;
    while ((work = next(pool)) != NULL) {
        work->run(work);
    }
    return NULL;
}

static void start_thread(struct work_pool *pool)
{
    pthread_t *thread = &pool->threads[pool->thread_count++];
    int failed = pthread_create(thread, NULL, run, pool);
    CHECK_EQ(failed, 0);
    failed = pthread_setname_np(*thread, "work");
    CHECK_EQ(failed, 0);
}

struct work_pool *work_pool_new(size_t threads_max)
{
    struct work_pool *pool = mem_alloc_zero(sizeof(*pool));
    CHECK(threads_max > 0 && threads_max <= THREADS_MAX);
    pool->threads_max = threads_max;
    pthread_mutex_init(&pool->lock, NULL);
    pthread_cond_init(&pool->changed, NULL);
    return pool;
}

void work_pool_submit(struct work_pool *pool, struct work *work)
{
    work->link.next = NULL;
    pthread_mutex_lock(&pool->lock);
    CHECK(!pool->stopping);
    if (pool->first == NULL) {
        pool->first = &work->link;
    } else {
        pool->last->next = &work->link;
    }
    pool->last = &work->link;
    pool->waiting++;
    if (pool->idle_count < pool->waiting &&
        pool->thread_count < pool->threads_max) {
        start_thread(pool);
    }
    pthread_cond_signal(&pool->changed);
    pthread_mutex_unlock(&pool->lock);
}

void work_pool_stop(struct work_pool *pool)
{
    pthread_mutex_lock(&pool->lock);
    pool->stopping = true;
    pthread_cond_broadcast(&pool->changed);
    pthread_mutex_unlock(&pool->lock);
    for (size_t i = 0; i < pool->thread_count; i++) {
        int failed = pthread_join(pool->threads[i], NULL);
        CHECK_EQ(failed, 0);
    }
    pool->thread_count = 0;
}

void work_pool_free(struct work_pool *pool)
{
    if (pool == NULL) {
        return;
    }
    CHECK_EQ(pool->thread_count, 0);
    CHECK(pool->first == NULL);
    pthread_cond_destroy(&pool->changed);
    pthread_mutex_destroy(&pool->lock);
    mem_free(pool);
}
