/* The Recipes service of this process: one thread that drives a runner
 * (runner/runner.h) against a store that speaks v3.
 *
 *   I/O threads                 the recipes thread                 the world
 *   recipes_gate --ask queue--> runner <--rpc_client--> the store (this server,
 *               <--answers-----        <--recipes_http--> HTTP, SMTP   or any)
 *                                      <--recipes_exec--> programs
 *
 * One descriptor wakes the thread beside the store's connection: a poller with
 * an eventfd for what I/O threads ask, libcurl's sockets, and programs' pipes.
 * What is seldom needed (libcurl, libxml2, libcrypto) is loaded when it is.
 *
 * Threads: recipes_new to recipes_free: the main one. The rest: any.
 */
#ifndef ETCHED_HOST_RECIPES_H
#define ETCHED_HOST_RECIPES_H

#include "host/config.h"
#include "runner/runner.h"

enum {
    /* Handing over may take so long when it stops. */
    RECIPES_STOP_MS = 1000,
};

struct recipes;

struct recipes_config {
    /* Where the store is: "host:port" or "http://host:port". Copied. */
    const char *const *endpoints;
    size_t endpoint_count;
    /* In place of them, this program's own: a connected socket to it (-1: not
     * now), which no port has seen, so that it needs no leave. Not asked what
     * it is. NULL: it isn't the store. */
    int (*connect)(void *context);
    /* Of this program's users, as runner_doors'. NULL: it has none. */
    bool (*may)(void *context, struct slice user, enum runner_right right,
                struct slice key, struct slice end);
    void *context;
    /* What flags say; outlives it. */
    const struct config *flags;
};

/* Reads the keys of secrets; connects to nobody yet.
 * Errors: ERR_INVALID, ...: a flag's value can't be used; the note names it. */
enum err recipes_new(const struct recipes_config *config,
                     struct recipes **out) MUST_USE;
void recipes_start(struct recipes *recipes);
/* Begins to hand over what it works on. Once is enough; NULL is fine. */
void recipes_begin_stop(struct recipes *recipes);
/* Waits for that, RECIPES_STOP_MS at the most, then for the thread's end. */
void recipes_join(struct recipes *recipes);
/* Needs: it never started, or was joined; its gates are freed. */
void recipes_free(struct recipes *recipes); /* NULL is fine */

/* The store is known, and connected. False: `why` (if any) is appended. */
bool recipes_is_ready(struct recipes *recipes, struct buf *why);
/* Prometheus text. `context` is a struct recipes. */
void recipes_metrics(void *context, struct buf *out);

#endif
