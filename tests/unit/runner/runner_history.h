/* etched.v1.History/Records over the store in memory. */
#ifndef RUNNER_HISTORY_H
#define RUNNER_HISTORY_H

#include "runner_store.h"

/* The records that were asked for, as one message. */
void memory_store_history(struct memory_store *store, struct slice request,
                          struct store_reply *reply);

#endif
