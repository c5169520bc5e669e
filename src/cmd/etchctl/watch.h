/* What watch and exec-watch have in common: the next event of a key, and
 * never one lost between two of them. */
#ifndef ETCHED_CMD_ETCHCTL_WATCH_H
#define ETCHED_CMD_ETCHCTL_WATCH_H

#include <stdbool.h>
#include <stdint.h>

#include "base/mem.h"
#include "cmd/etchctl/session.h"

enum {
    WATCH_RETRY_MS_MIN = 100,
    WATCH_RETRY_MS_MAX = 2000,
};

struct watch {
    struct session *session;
    const char *key;
    bool is_recursive;
    bool is_forever; /* a lost connection is made anew */
    /* Events from this index on; 0: from now on. It moves with every event,
     * and with the index that the server names when it begins to wait: up to
     * there nothing has happened to the key. So whatever breaks, the next
     * request goes on where this one stopped. */
    uint64_t wait_index;
    bool has_connected;
    struct arena arena; /* of the last event */
};

void watch_init(struct watch *watch, struct session *session, const char *key);
void watch_deinit(struct watch *watch);

/* Waits for the next event; it lives until the next call. False: the
 * session's failure says why (FAILURE_STOPPED: a signal). */
bool watch_next(struct watch *watch, struct v2_response *event) MUST_USE;

#endif
