/* Which words of a watch are keys and which are of a program to run:
 *
 *   watch [key] [range_end] [-- program words...]
 *
 * and the key that the environment gives. Pure. */
#ifndef ETCHED_CMD_ETCHCTL_V3_WATCH_ARGS_H
#define ETCHED_CMD_ETCHCTL_V3_WATCH_ARGS_H

#include "base/err.h"
#include "cmd/etchctl/pflags.h"

struct v3_watch_args {
    const char *key;
    const char *range_end; /* NULL: none */
    struct words program;  /* count 0: none */
};

/* `line`: all words, with the flags and "--"; `words`: those that are no
 * flags, of both sides of it. An `env_key` of "" is none.
 * Errors: ERR_INVALID with etcdctl's words. */
enum err v3_watch_args_find(struct words line, struct words words,
                            const char *env_key, const char *env_end,
                            struct v3_watch_args *out) MUST_USE;

#endif
