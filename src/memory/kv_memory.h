/* A tenant of port/kv.h in memory, for tests: snapshots, crashes, and errors
 * where a test wants them.
 *
 * It is as strict as LMDB is: keys of a wrong size, an append out of order, a
 * cursor that outlives its transaction and a second writer of one thread are
 * bugs of the caller, and stop the test; a slice that was read in a write
 * transaction is gone with the next put, del or clear, and a sanitizer tells
 * who still uses it.
 *
 * Threads: as in port/kv.h.
 */
#ifndef ETCHED_MEMORY_KV_MEMORY_H
#define ETCHED_MEMORY_KV_MEMORY_H

#include "port/kv.h"

struct kv *kv_memory_new(void);
/* Needs: no transaction is open. */
void kv_memory_free(struct kv *kv);

/* The `nth` call that may fail from now on (1 = the next) returns `err`,
 * once; 0 turns it off. NOT_FOUND and END, which are answers, don't count. */
void kv_memory_fail_after(struct kv *kv, uint64_t nth, enum err err);
/* How many calls that may fail were made since kv_memory_new: a test that
 * fails each of them in turn knows from this when it is done. */
uint64_t kv_memory_calls(const struct kv *kv);

/* From now on every call that may fail does, with ERR_IO: its owner can only
 * let go of it, and changes nothing by it. */
void kv_memory_crash(struct kv *kv);
/* As after a crash: only what was committed. `kv` is freed, with all that is
 * open on it. */
struct kv *kv_memory_reopen(struct kv *kv);

#endif
