/* What mem.c shares with arena.c. */
#ifndef ETCHED_BASE_MEM_INT_H
#define ETCHED_BASE_MEM_INT_H

#include <stdbool.h>
#include <stddef.h>

/* Counts one try; true when it is the one that mem_fail_after chose. */
bool mem__try_fails(void);
/* mem_try_alloc that doesn't count: a block of an arena is needed or not as
 * the last one happens to be filled, which tests can't foresee. */
void *mem__alloc_or_null(size_t size);

#endif
