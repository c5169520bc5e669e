#include "tests/unit/auth/tokens_world.h"

#include <pthread.h>
#include <stdatomic.h>

#include "base/list.h"
#include "base/mem.h"

static atomic_int_least64_t wall;
static atomic_int_least64_t monotonic;

static int64_t wall_ns(struct clock *clock)
{
    (void)clock;
    return atomic_load(&wall);
}

static int64_t monotonic_ns(struct clock *clock)
{
    (void)clock;
    return atomic_load(&monotonic);
}

struct clock world_clock = {.wall_ns = wall_ns, .monotonic_ns = monotonic_ns};
struct crypto *world_crypto;

int tokens_world_begin(void **state)
{
    (void)state;
    atomic_store(&wall, (int64_t)1700000000 * SECOND_NS);
    atomic_store(&monotonic, 0);
    world_crypto = crypto_memory_new(1);
    return 0;
}

int tokens_world_end(void **state)
{
    (void)state;
    crypto_memory_free(world_crypto);
    return 0;
}

void pass_seconds(double seconds)
{
    int64_t ns = (int64_t)(seconds * SECOND_NS);
    atomic_fetch_add(&wall, ns);
    atomic_fetch_add(&monotonic, ns);
}

void jump_seconds(int64_t seconds)
{
    atomic_fetch_add(&wall, seconds * SECOND_NS);
}

int64_t world_wall_s(void)
{
    return atomic_load(&wall) / SECOND_NS;
}

/* ---- a lock -------------------------------------------------------------- */

struct world_lock {
    struct lock lock;
    pthread_rwlock_t rwlock;
};

static pthread_rwlock_t *of(struct lock *lock)
{
    return &CONTAINER_OF(lock, struct world_lock, lock)->rwlock;
}

static void take_read(struct lock *lock)
{
    (void)pthread_rwlock_rdlock(of(lock));
}

static void take_write(struct lock *lock)
{
    (void)pthread_rwlock_wrlock(of(lock));
}

static void leave(struct lock *lock)
{
    (void)pthread_rwlock_unlock(of(lock));
}

struct lock *world_lock_new(void)
{
    struct world_lock *lock = mem_alloc_zero(sizeof(*lock));
    lock->lock = (struct lock){
        .read_lock = take_read,
        .read_unlock = leave,
        .write_lock = take_write,
        .write_unlock = leave,
    };
    (void)pthread_rwlock_init(&lock->rwlock, NULL);
    return &lock->lock;
}

void world_lock_free(struct lock *lock)
{
    (void)pthread_rwlock_destroy(of(lock));
    mem_free(CONTAINER_OF(lock, struct world_lock, lock));
}
