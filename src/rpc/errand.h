/* What a call has done on a worker's thread, as it takes long or waits for a
 * disk.
 *
 *   I/O thread                 worker                     I/O thread
 *   errand__submit  -------->  run  -- config.on_worked -->  rpc_worked: done
 *
 * The memory is the errand's maker's, from submit to done the worker's too;
 * a call that ends in between says so with errand__give_up (from its on_gone),
 * and `done` comes all the same.
 */
#ifndef ETCHED_RPC_ERRAND_H
#define ETCHED_RPC_ERRAND_H

#include <stdatomic.h>

#include "rpc/rpc_int.h"

struct errand {
    struct work work;
    struct rpc *rpc;
    struct call *call; /* NULL: it is gone. I/O thread */
    /* On a worker: nothing of the rpc but what is shared. */
    void (*run)(struct errand *errand);
    /* On the I/O thread; may submit it again. */
    void (*done)(struct errand *errand);
    bool away;              /* with a worker. I/O thread */
    atomic_bool is_unasked; /* nobody waits for it any more */
};

void errand__init(struct errand *errand, struct call *call);
/* Needs: it isn't away. */
void errand__submit(struct errand *errand, void (*run)(struct errand *errand),
                    void (*done)(struct errand *errand));
/* The call is gone. */
void errand__give_up(struct errand *errand);
/* For `run`: it may end early. */
bool errand__is_unasked(const struct errand *errand);

#endif
