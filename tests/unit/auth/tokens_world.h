/* A clock that a test sets, locks, and the quick crypto: what tokens and
 * credentials stand on. */
#ifndef ETCHED_TESTS_UNIT_AUTH_TOKENS_WORLD_H
#define ETCHED_TESTS_UNIT_AUTH_TOKENS_WORLD_H

#include "auth/tokens.h"
#include "memory/crypto_memory.h"

enum { SECOND_NS = 1000 * 1000 * 1000 };

extern struct clock world_clock;
extern struct crypto *world_crypto;

/* 1700000000 s after 1970, and monotonic 0. */
int tokens_world_begin(void **state);
int tokens_world_end(void **state);
/* Both clocks go on. */
void pass_seconds(double seconds);
/* Only the one for people. */
void jump_seconds(int64_t seconds);
int64_t world_wall_s(void);

/* A readers-writer lock of POSIX threads. */
struct lock *world_lock_new(void);
void world_lock_free(struct lock *lock);

#endif
