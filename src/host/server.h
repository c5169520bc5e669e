/* The server: one member with all its threads.
 *
 *   main thread      signals, the listening sockets
 *   I/O threads      connections, requests, reads, watches
 *   core thread      node_run: everything that changes the store
 *   backend thread   node_flush: the store's way to the disk
 */
#ifndef ETCHED_HOST_SERVER_H
#define ETCHED_HOST_SERVER_H

#include "host/config.h"

struct server_args {
    int argc; /* for /debug/vars */
    char *const *argv;
    /* Called on SIGHUP: reads the log level anew. NULL: nothing is. */
    void (*reload)(void *context);
    void *context;
};

/* Starts, serves until SIGTERM or SIGINT, and stops. *ended: all threads have
 * ended and all is freed. False only with an error that came up while it
 * served: threads may then wait for something that never comes, so they are
 * left as they stand, nothing that they use may be freed, and the process has
 * to end (_exit).
 * Errors: what kept it from starting, or stopped it; the note says why. */
enum err server_run(const struct config *config, const struct server_args *args,
                    bool *ended) MUST_USE;

#endif
