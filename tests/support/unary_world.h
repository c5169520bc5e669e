/* Unary calls of v3 to a whole member in memory (node_world.h): rpc, node, log
 * and store, without the bytes of gRPC. Each call ends once, with a status;
 * what it says is a well-formed message of its method's type. What a caller
 * doesn't expect aborts. One at a time.
 */
#ifndef ETCHED_TESTS_SUPPORT_UNARY_WORLD_H
#define ETCHED_TESTS_SUPPORT_UNARY_WORLD_H

#include "node_world.h"
#include "rpc/rpc_int.h"

extern struct world unary_world;

/* `prepare` (may be NULL): between world_init and world_open. */
void unary_world_open(void (*prepare)(struct world *world));
void unary_world_close(void); /* not open: fine */
/* A call; token.at NULL: by nobody. What waits for something that doesn't come
 * is left by its client. All that is told back is appended to `told`, as it
 * was encoded (NULL: not wanted). True: it ended with GRPC_OK. */
bool unary_call(const struct method *method, struct slice token,
                struct slice message, struct buf *told);
/* A minute passes, so that what lives shortly ends. */
void unary_world_wait(void);

#endif
