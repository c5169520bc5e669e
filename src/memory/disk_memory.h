/* The disk door (port/disk.h) in memory, for tests: it can fail any call, be
 * full, damage a byte, and crash.
 *
 * A crash makes of all that wasn't synced what a real one may: each write is
 * kept, lost, or torn (its first bytes only, or some of its sectors); each
 * change of a size or a name is kept or lost; all by the seed.
 *
 * Threads: one at a time.
 */
#ifndef ETCHED_MEMORY_DISK_MEMORY_H
#define ETCHED_MEMORY_DISK_MEMORY_H

#include "port/disk.h"

struct disk_memory;

struct disk_memory *disk_memory_new(uint64_t seed);
void disk_memory_free(struct disk_memory *memory);
struct disk *disk_memory_door(struct disk_memory *memory);

/* The n-th call from now on (1 = the next) fails with `err`; 0: none does.
 * What a failed call should have done is then done, half done, or not done,
 * by the seed; with ERR_DISK_FULL it isn't. Closing can't fail. */
void disk_memory_fail_call(struct disk_memory *memory, uint64_t n,
                           enum err err);
/* Calls since the last disk_memory_fail_call, or the beginning. */
uint64_t disk_memory_calls(const struct disk_memory *memory);
/* Of these, those that made something durable. */
uint64_t disk_memory_syncs(const struct disk_memory *memory);

/* All files together hold at most this; 0: no bound. */
void disk_memory_limit(struct disk_memory *memory, uint64_t bytes);
uint64_t disk_memory_used(const struct disk_memory *memory);

/* What is open is lost to its owner: calls with it fail, it can only be
 * closed. */
void disk_memory_crash(struct disk_memory *memory);

/* The n-th name in order, from 0; NULL beyond. */
const char *disk_memory_name(const struct disk_memory *memory, size_t n);
/* What is in a file now; {NULL, 0} when there is none. Valid until a call. */
struct slice disk_memory_bytes(const struct disk_memory *memory,
                               const char *name);
/* Makes a file of these bytes, durable; one of that name is replaced. */
void disk_memory_put(struct disk_memory *memory, const char *name,
                     struct slice bytes);
/* Flips the bits of `mask` in one byte, durably. */
void disk_memory_flip(struct disk_memory *memory, const char *name,
                      uint64_t offset, unsigned char mask);
/* How much of a file, from its beginning, lies before the last four writes
 * that became durable: who finds damage there can't take it for the torn end
 * of what was written last. */
uint64_t disk_memory_old_bytes(const struct disk_memory *memory,
                               const char *name);

#endif
