/* An I/O thread's way to the recipes thread: requests for /recipes/v1/ go over
 * as copies, answers come back in parts.
 *
 *   exchange --> request --> [asks]  --> recipes thread
 *   exchange <-- take    <-- [parts] <--'
 *
 * Bounded: by the requests that wait, by their bytes, by those of one gate
 * that are under way, and by what the client of a stream hasn't read.
 *
 * Threads: the I/O thread's, but for the posting.
 */
#ifndef ETCHED_HOST_RECIPES_GATE_H
#define ETCHED_HOST_RECIPES_GATE_H

#include "api/api.h"
#include "host/recipes.h"

enum {
    RECIPES_BODY_BYTES_MAX = 1024 * 1024,
    RECIPES_ASKS_MAX = 4096,
    RECIPES_ASK_BYTES_MAX = 64 * 1024 * 1024,
    RECIPES_GATE_REQUESTS_MAX = 4096,
    /* Of a stream: a client that reads so slowly is let go. */
    RECIPES_UNSENT_BYTES_MAX = 1024 * 1024,
};

struct recipes_gate;

struct recipes_gate_config {
    struct recipes *recipes;         /* NULL: there is no service here... */
    const char *why_not;             /* ...and why */
    const struct api_shared *shared; /* for CORS */
    /* Something was posted: recipes_gate_take is to be called on the I/O
     * thread. From the recipes thread. */
    void (*on_posted)(void *context);
    void *context;
};

/* Needs: the service hasn't started. */
struct recipes_gate *recipes_gate_new(const struct recipes_gate_config *config);
/* Needs: the service doesn't run any more, and recipes_gate_stop. */
void recipes_gate_free(struct recipes_gate *gate);

/* /recipes/v1/... */
bool recipes_gate_is_path(struct slice path);
/* Answers now or later. `user` asks; "": nobody. */
void recipes_gate_request(struct recipes_gate *gate,
                          struct http_exchange *exchange, struct slice user);
/* Brings the answers that were posted to their exchanges. */
void recipes_gate_take(struct recipes_gate *gate);
/* Ends all that is under way; new requests are refused. */
void recipes_gate_stop(struct recipes_gate *gate);

#endif
