#include "host/poller.h"

#include <errno.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "base/check.h"

/* Rounds of one event: of a batch, an entry could be gone by the time that its
 * turn comes. The kernel puts who was told at the end of its list, so nobody
 * is passed over. */
enum { ROUNDS_MAX = 64 };

void poller_init(struct poller *poller)
{
    poller->fd = epoll_create1(EPOLL_CLOEXEC);
    CHECK(poller->fd >= 0);
}

void poller_deinit(struct poller *poller)
{
    close(poller->fd);
    poller->fd = -1;
}

void poller_set(struct poller *poller, struct poller_entry *entry,
                uint32_t events)
{
    struct epoll_event event = {.events = events, .data.ptr = entry};
    CHECK(entry->fd >= 0 && entry->on_ready != NULL);
    if (entry->events == events) {
        return;
    }
    int operation = entry->events == 0 ? EPOLL_CTL_ADD
                    : events == 0      ? EPOLL_CTL_DEL
                                       : EPOLL_CTL_MOD;
    int failed = epoll_ctl(poller->fd, operation, entry->fd, &event);
    /* One that was closed before has left it by that. */
    CHECK(failed == 0 || events == 0);
    entry->events = events;
}

void poller_run(struct poller *poller)
{
    struct epoll_event event;
    for (int i = 0; i < ROUNDS_MAX; i++) {
        int count = epoll_wait(poller->fd, &event, 1, 0);
        CHECK(count >= 0 || errno == EINTR);
        if (count <= 0) {
            return;
        }
        struct poller_entry *entry = event.data.ptr;
        CHECK_NE(entry->events, 0);
        entry->on_ready(entry, event.events);
    }
}
