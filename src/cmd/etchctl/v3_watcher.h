/* A watch that outlives connections: it goes on where it stopped. Each has a
 * stream of its own. */
#ifndef ETCHED_CMD_ETCHCTL_V3_WATCHER_H
#define ETCHED_CMD_ETCHCTL_V3_WATCHER_H

#include "cmd/etchctl/v3.h"

struct v3_watcher {
    struct v3 *v3;
    struct rpc_client *client;
    Etcdserverpb__WatchCreateRequest
        request;               /* what it points to: the owner's */
    struct rpc_stream *stream; /* NULL: none, until retry_ms */
    int64_t retry_ms;
    bool has_begun;
    bool is_over;  /* nothing more will come */
    bool is_stale; /* its token isn't good any more */
    char *failure; /* why; NULL: the server cancelled it */
    bool needs_leader;
    /* An answer, whose message lives until this returns: events, progress, or
     * the end (canceled). */
    void (*on_answer)(void *context, const Etcdserverpb__WatchResponse *answer);
    void *context;
};

/* Begins it, as `request`, the callback and `needs_leader` say, which are set
 * already. The client wakes when it is over. */
void v3_watcher_start(struct v3_watcher *watcher, struct v3 *v3,
                      struct rpc_client *client);
/* Does what is due; returns when to be called again. */
int64_t v3_watcher_work(struct v3_watcher *watcher);
void v3_watcher_ask_progress(struct v3_watcher *watcher);
void v3_watcher_stop(struct v3_watcher *watcher);
/* Why the server has cancelled it. */
const char *v3_watcher_reason(struct arena *arena,
                              const Etcdserverpb__WatchResponse *answer);

#endif
