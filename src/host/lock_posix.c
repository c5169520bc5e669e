#include "host/lock_posix.h"

#include <pthread.h>

#include "base/check.h"
#include "base/list.h"
#include "base/mem.h"

struct lock_posix {
    struct lock lock;
    pthread_rwlock_t rwlock;
};

static pthread_rwlock_t *rwlock_of(struct lock *lock)
{
    return &CONTAINER_OF(lock, struct lock_posix, lock)->rwlock;
}

static void read_lock(struct lock *lock)
{
    int failed = pthread_rwlock_rdlock(rwlock_of(lock));
    CHECK_EQ(failed, 0);
}

static void write_lock(struct lock *lock)
{
    int failed = pthread_rwlock_wrlock(rwlock_of(lock));
    CHECK_EQ(failed, 0);
}

static void unlock(struct lock *lock)
{
    int failed = pthread_rwlock_unlock(rwlock_of(lock));
    CHECK_EQ(failed, 0);
}

struct lock *lock_posix_new(void)
{
    struct lock_posix *posix = mem_alloc_zero(sizeof(*posix));
    pthread_rwlockattr_t attributes;
    posix->lock = (struct lock){
        .read_lock = read_lock,
        .read_unlock = unlock,
        .write_lock = write_lock,
        .write_unlock = unlock,
    };
    pthread_rwlockattr_init(&attributes);
    pthread_rwlockattr_setkind_np(&attributes,
                                  PTHREAD_RWLOCK_PREFER_WRITER_NONRECURSIVE_NP);
    int failed = pthread_rwlock_init(&posix->rwlock, &attributes);
    CHECK_EQ(failed, 0);
    pthread_rwlockattr_destroy(&attributes);
    return &posix->lock;
}

void lock_posix_free(struct lock *lock)
{
    if (lock != NULL) {
        pthread_rwlock_destroy(rwlock_of(lock));
        mem_free(CONTAINER_OF(lock, struct lock_posix, lock));
    }
}
