/* What recipes send over the network, by libcurl: HTTP requests, fetches of
 * feeds and polls, e-mail. Many at once, on the caller's thread.
 *
 *   recipes_http_start --> waiting --> under way --> on_acted
 *                             |            |  ^
 *                          refused         '--' a redirect
 *
 * HTTP and HTTPS (SMTP and SMTPS for e-mail) only; never by a proxy of the
 * environment. Each connection's address is looked at when it is made, after
 * the name was resolved, so neither a name nor a redirect leads to a place
 * that recipes_address.h refuses. A redirect is followed where that was asked
 * for: at most five, never from https to http; to another server it takes
 * none of the action's own headers along.
 *
 * libcurl is loaded with the first of them.
 *
 * Threads: one at a time.
 */
#ifndef ETCHED_HOST_RECIPES_HTTP_H
#define ETCHED_HOST_RECIPES_HTTP_H

#include "host/poller.h"
#include "runner/runner.h"

enum {
    /* Of all, and of those to one host: a host that hangs leaves room for
     * the others. What is more waits; its timeout runs from its start. */
    RECIPES_HTTP_AT_ONCE_MAX = 256,
    RECIPES_HTTP_HOST_AT_ONCE_MAX = 32,
    RECIPES_HTTP_REDIRECTS_MAX = 5,
    RECIPES_HTTP_HEAD_BYTES_MAX = 64 * 1024,
    /* An answer is cut there; what was fetched is refused. */
    RECIPES_HTTP_BODY_BYTES_MAX = 256 * 1024,
    RECIPES_HTTP_FETCH_BYTES_MAX = 4 * 1024 * 1024,
};

typedef void (*recipes_on_acted)(void *context, uint64_t id,
                                 const struct act_answer *answer);

struct recipes_http;

struct recipes_http_config {
    struct poller *poller;
    bool allow_local;
    /* From within recipes_http_run and poller_run only. */
    recipes_on_acted on_acted;
    void *context;
};

struct recipes_http *recipes_http_new(const struct recipes_http_config *config);
/* What is under way is broken off, untold. */
void recipes_http_free(struct recipes_http *http); /* NULL is fine */
/* ACT_HTTP or ACT_EMAIL; copied. */
void recipes_http_start(struct recipes_http *http, uint64_t id,
                        const struct act *act);
/* Does what is due. Returns when to be called next, in milliseconds on the
 * monotonic clock: INT64_MAX: when something was started. */
int64_t recipes_http_run(struct recipes_http *http, int64_t now_ms);

#endif
