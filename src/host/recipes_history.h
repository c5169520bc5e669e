/* How much of the store's history recipes have yet to read. */
#ifndef ETCHED_HOST_RECIPES_HISTORY_H
#define ETCHED_HOST_RECIPES_HISTORY_H

#include "mvcc/mvcc.h"

/* The oldest revision that a recipe's cursor stands at, whichever worker has
 * it; INT64_MAX: none. As node_config's oldest_wanted. */
revision recipes_oldest_cursor(struct mvcc_reader *reader);

#endif
