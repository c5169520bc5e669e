/* Work that takes long and must not be done on a loop: whoever has it gives it
 * to a thread for such things, and hears on its own when it is done. */
#ifndef ETCHED_PORT_WORK_H
#define ETCHED_PORT_WORK_H

#include "base/queue.h"

struct work {
    struct queue_link link;
    /* Runs on a worker's thread. */
    void (*run)(struct work *work);
    /* Then, on the thread that submitted it. */
    void (*done)(struct work *work);
};

#endif
