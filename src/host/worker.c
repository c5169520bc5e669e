/* The worker sleeps on a futex (futex(2)): one system call to sleep, one to
 * wake, none when it is awake anyway. Its state is one word:
 *
 *      BUSY ---- nothing to do ----> SLEEPING --- wake, or its time --> BUSY
 *        |                                                               ^
 *        '---- wake during a turn ---> WOKEN -------- one more turn -----'
 */
#include "host/worker.h"

#include <errno.h>
#include <linux/futex.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "base/check.h"
#include "base/mem.h"
#include "host/clock_posix.h"

enum { BUSY, WOKEN, SLEEPING };

struct worker {
    pthread_t thread;
    bool started;
    const char *name;
    _Atomic uint32_t state;
    _Atomic bool stop;
    worker_turn turn;
    void *context;
};

/* The deadline is on CLOCK_MONOTONIC, as FUTEX_WAIT_BITSET takes it. */
static void sleep_until(struct worker *worker, int64_t deadline_ms)
{
    struct timespec deadline = {
        .tv_sec = (time_t)(deadline_ms / 1000),
        .tv_nsec = (long)(deadline_ms % 1000) * 1000000,
    };
    long failed = syscall(SYS_futex, &worker->state,
                          FUTEX_WAIT_BITSET | FUTEX_PRIVATE_FLAG, SLEEPING,
                          deadline_ms == INT64_MAX ? NULL : &deadline, NULL,
                          FUTEX_BITSET_MATCH_ANY);
    CHECK(failed == 0 || errno == EAGAIN || errno == EINTR ||
          errno == ETIMEDOUT);
}

static bool is_due(int64_t deadline_ms)
{
    return deadline_ms != INT64_MAX &&
           clock_monotonic_ns(clock_posix()) / 1000000 >= deadline_ms;
}

/* Returns when there is a reason for a turn. */
static void wait_for_turn(struct worker *worker, int64_t deadline_ms)
{
    uint32_t busy = BUSY;
    if (!atomic_compare_exchange_strong(&worker->state, &busy, SLEEPING)) {
        CHECK_EQ(busy, WOKEN);
        (void)atomic_exchange(&worker->state, BUSY);
        return;
    }
    while (atomic_load(&worker->state) == SLEEPING && !is_due(deadline_ms)) {
        sleep_until(worker, deadline_ms);
    }
    /* Not a plain store: a wake that it covers must be seen with all that was
     * done before it. */
    (void)atomic_exchange(&worker->state, BUSY);
}

static void *run(void *context)
{
    struct worker *worker = context;
    int64_t deadline_ms = 0;
    while (!atomic_load(&worker->stop)) {
        if (!is_due(deadline_ms)) {
            wait_for_turn(worker, deadline_ms);
        }
        if (!atomic_load(&worker->stop)) {
            deadline_ms = worker->turn(worker->context);
        }
    }
    return NULL;
}

struct worker *worker_new(const char *name, worker_turn turn, void *context)
{
    struct worker *worker = mem_alloc_zero(sizeof(*worker));
    CHECK(turn != NULL);
    worker->name = name;
    worker->turn = turn;
    worker->context = context;
    return worker;
}

void worker_free(struct worker *worker)
{
    if (worker == NULL) {
        return;
    }
    CHECK(!worker->started);
    mem_free(worker);
}

void worker_start(struct worker *worker)
{
    CHECK(!worker->started);
    int failed = pthread_create(&worker->thread, NULL, run, worker);
    CHECK_EQ(failed, 0);
    failed = pthread_setname_np(worker->thread, worker->name);
    CHECK_EQ(failed, 0);
    worker->started = true;
}

void worker_wake(struct worker *worker)
{
    if (atomic_exchange(&worker->state, WOKEN) == SLEEPING) {
        syscall(SYS_futex, &worker->state, FUTEX_WAKE | FUTEX_PRIVATE_FLAG, 1,
                NULL, NULL, 0);
    }
}

void worker_stop(struct worker *worker)
{
    if (!worker->started) {
        return;
    }
    atomic_store(&worker->stop, true);
    worker_wake(worker);
    int failed = pthread_join(worker->thread, NULL);
    CHECK_EQ(failed, 0);
    worker->started = false;
}
