/* The server: one member with all its threads.
 *
 *   main thread      signals, the listening sockets
 *   I/O threads      connections, requests, reads, watches
 *   peers thread     messages of the other members
 *   snapshot threads one for each snapshot to or from another member
 *   work threads     a few: a snapshot for a client, and the like
 *   recipes thread   the Recipes service, a client of this server
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
    /* The cluster that --discovery found is full: server_run is about to return
     * without having served, and this process is to be a proxy of these peer
     * URLs (joined with ',', to be copied). NULL: that is an error. */
    void (*on_proxy)(void *context, const char *peer_urls);
    void *context;
};

/* Starts, serves until SIGTERM or SIGINT, or until this member was removed from
 * its cluster, and stops; a leader hands leadership over first. *ended: all
 * threads have ended and all is freed. False only with an error that came up
 * while it served: threads may then wait for something that never comes, so
 * they are left as they stand, nothing that they use may be freed, and the
 * process has to end (_exit).
 * Errors: what kept it from starting, or stopped it; the note says why. */
enum err server_run(const struct config *config, const struct server_args *args,
                    bool *ended) MUST_USE;

#endif
