/* A service that is a client of a store with users: who it is there. It logs in
 * before its first call, and anew whenever the store says that a token is of no
 * use any more (it has expired; users or roles have changed; the store was
 * given users since). A store without users lets it in without a token.
 *
 *   run: Authenticate --> token --> metadata of all that is opened from now on
 *    ^                                                |
 *    '---- refused: the call is to be tried again <---' UNAUTHENTICATED, ...
 *
 * Threads: one at a time, the client's.
 */
#ifndef ETCHED_HOST_RECIPES_LOGIN_H
#define ETCHED_HOST_RECIPES_LOGIN_H

#include "host/rpc_client.h"

struct recipes_login {
    struct rpc_client *client;
    const char *user;        /* NULL: nobody; no login then */
    struct buf request;      /* etcdserverpb.AuthenticateRequest */
    struct buf token;        /* what came back */
    struct rpc_stream *open; /* NULL: none is under way */
    bool is_in;
    uint64_t number; /* of logins: what a call is opened with */
    int64_t due_ms;  /* INT64_MAX: not wanted */
    int64_t said_ms; /* when it was last logged that it fails */
};

/* A login of nobody, which is in. */
#define RECIPES_LOGIN_NONE ((struct recipes_login){.is_in = true})

/* `user` outlives it; the password is copied. */
void recipes_login_init(struct recipes_login *login, struct rpc_client *client,
                        const char *user, struct slice password);
/* Needs: the client is closed, or hasn't run yet. */
void recipes_login_deinit(struct recipes_login *login);

/* Logs in where that is due. Returns when it is next. */
int64_t recipes_login_run(struct recipes_login *login, int64_t now_ms);
/* What a call, opened with login `number`, ended with. True: for want of a
 * login; there will be another, and the call may be tried again. */
bool recipes_login_refused(struct recipes_login *login, uint64_t number,
                           int code, struct slice text);
/* The same for a watch, which is refused by a response. */
void recipes_login_watched(struct recipes_login *login, uint64_t number,
                           struct slice response);

#endif
