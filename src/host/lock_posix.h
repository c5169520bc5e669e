/* A readers-writer lock of POSIX threads in which a waiting writer goes
 * before readers that come later, so that reads can't starve the writer. */
#ifndef ETCHED_HOST_LOCK_POSIX_H
#define ETCHED_HOST_LOCK_POSIX_H

#include "port/lock.h"

struct lock *lock_posix_new(void);
void lock_posix_free(struct lock *lock);

#endif
