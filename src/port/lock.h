/* The door to mutual exclusion between the thread that applies and those that
 * read. The simulator has one thread: its lock checks instead of waiting. */
#ifndef ETCHED_PORT_LOCK_H
#define ETCHED_PORT_LOCK_H

struct lock {
    void (*read_lock)(struct lock *lock);
    void (*read_unlock)(struct lock *lock);
    /* A waiting writer goes before readers that come later. */
    void (*write_lock)(struct lock *lock);
    void (*write_unlock)(struct lock *lock);
};

static inline void lock_read(struct lock *lock)
{
    lock->read_lock(lock);
}
static inline void unlock_read(struct lock *lock)
{
    lock->read_unlock(lock);
}
static inline void lock_write(struct lock *lock)
{
    lock->write_lock(lock);
}
static inline void unlock_write(struct lock *lock)
{
    lock->write_unlock(lock);
}

#endif
