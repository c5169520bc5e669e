/* Keeps a lease alive as long as it is worked with: renews it after a third of
 * its time, and when the connection breaks goes on with the next. */
#ifndef ETCHED_CMD_ETCHCTL_V3_KEEPER_H
#define ETCHED_CMD_ETCHCTL_V3_KEEPER_H

#include "cmd/etchctl/v3.h"

struct v3_keeper {
    struct v3 *v3;
    int64_t id;
    struct rpc_stream *stream; /* NULL: none, until retry_ms */
    int64_t retry_ms;
    int64_t next_ms;   /* when to renew */
    int64_t expiry_ms; /* when it has ended, unless renewed */
    bool is_stale;     /* its token isn't good any more */
    bool is_over;      /* it has ended, or may not be renewed */
    char *failure;     /* why it may not; NULL: it has ended */
    void (*on_answer)(void *context,
                      const Etcdserverpb__LeaseKeepAliveResponse *answer);
    void *context;
};

/* on_answer may be NULL. The client wakes when it is over. */
void v3_keeper_start(
    struct v3_keeper *keeper, struct v3 *v3, int64_t id,
    void (*on_answer)(void *context,
                      const Etcdserverpb__LeaseKeepAliveResponse *answer),
    void *context);
/* Does what is due; returns when to be called again. */
int64_t v3_keeper_work(struct v3_keeper *keeper);
void v3_keeper_stop(struct v3_keeper *keeper);

#endif
