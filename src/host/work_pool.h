/* A few threads for what takes long: each piece of work (struct work) is
 * run on one of them. They begin when there is the first work for them.
 *
 * Threads: work_pool_submit: any. work_pool_stop: one, once; nothing is
 *          submitted any more.
 */
#ifndef ETCHED_HOST_WORK_POOL_H
#define ETCHED_HOST_WORK_POOL_H

#include "rpc/rpc.h"

struct work_pool;

struct work_pool *work_pool_new(size_t threads_max);
void work_pool_submit(struct work_pool *pool, struct work *work);
/* Waits for what runs; what waits is run, too. */
void work_pool_stop(struct work_pool *pool);
void work_pool_free(struct work_pool *pool); /* NULL is fine */

#endif
