/* Many descriptors behind one: an epoll whose own descriptor is readable when
 * any of those in it is ready. So a thread that waits for one descriptor
 * (rpc_client_run) waits for as many as it likes.
 *
 * Level-triggered. A callback may change, remove or free any entry, its own
 * too.
 *
 * Threads: one at a time.
 */
#ifndef ETCHED_HOST_POLLER_H
#define ETCHED_HOST_POLLER_H

#include <stdbool.h>
#include <stdint.h>

struct poller {
    int fd; /* readable: call poller_run */
};

/* One descriptor, in memory of whoever owns it. */
struct poller_entry {
    int fd;
    uint32_t events; /* EPOLLIN | EPOLLOUT; 0: not in it */
    void (*on_ready)(struct poller_entry *entry, uint32_t events);
};

void poller_init(struct poller *poller);
void poller_deinit(struct poller *poller);
/* Watches for these events from now on; 0: for none, and the descriptor may
 * be closed. Needs: fd and on_ready are set. */
void poller_set(struct poller *poller, struct poller_entry *entry,
                uint32_t events);
/* Calls on_ready of what is ready, each at most a few times. */
void poller_run(struct poller *poller);

#endif
