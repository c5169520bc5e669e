/* What lock and elect have in common: a lease that is kept alive, a key of
 * ours with it below a name, and the wait for those that were there before. The
 * keys are those of etcd's own client, so that both stand in one line. */
#ifndef ETCHED_CMD_ETCHCTL_V3_HOLD_H
#define ETCHED_CMD_ETCHCTL_V3_HOLD_H

#include "cmd/etchctl/v3_keeper.h"
#include "cmd/etchctl/v3_watcher.h"

enum { V3_HOLD_TTL = 60 };

struct v3_hold {
    struct v3 *v3;
    const char *prefix; /* "<name>/" */
    const char *key;    /* "<name>/<lease in hex>" */
    int64_t lease;
    int64_t revision;        /* of our key's creation */
    int64_t header_revision; /* of the answer with which it was ours */
    struct v3_keeper keeper;
};

enum v3_wait {
    V3_WAIT_DONE,
    V3_WAIT_STOPPED, /* a signal */
    V3_WAIT_EXPIRED, /* the lease has ended */
    V3_WAIT_READABLE,
    V3_WAIT_FAILED, /* v3->failure */
};

/* Catches signals, connects, and grants the lease. Returns V3_DONE, or an exit
 * code (said). */
int v3_hold_open(struct v3_hold *hold, struct v3 *v3, const char *name,
                 int64_t ttl);
/* Ends the lease, and with it the key. */
void v3_hold_close(struct v3_hold *hold);
/* Puts the key, unless it is there. False: v3->failure. */
bool v3_hold_enter(struct v3_hold *hold, const char *value);
/* Waits until no older key is below the name. */
enum v3_wait v3_hold_wait_turn(struct v3_hold *hold);
/* Waits for a signal, the lease's end, or `fd` (-1: none). */
enum v3_wait v3_hold_wait(struct v3_hold *hold, int fd);
/* Takes the key away, if it is still ours. False: v3->failure. */
bool v3_hold_leave(struct v3_hold *hold);
/* The keys that a request asks for; NULL: v3->failure. */
const Etcdserverpb__RangeResponse *
v3_hold_range(struct v3_hold *hold, const Etcdserverpb__RangeRequest *request);
/* Waits for an event of `watcher`, which it starts and stops: until *is_done,
 * which the callback sets. */
enum v3_wait v3_hold_watch(struct v3_hold *hold, struct v3_watcher *watcher,
                           const bool *is_done);
/* Below the prefix, the one that was made first. */
void v3_hold_first(const struct v3_hold *hold,
                   Etcdserverpb__RangeRequest *request);

#endif
