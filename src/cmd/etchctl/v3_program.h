/* Runs another program, with more in its environment, and waits for it while
 * the client goes on working. */
#ifndef ETCHED_CMD_ETCHCTL_V3_PROGRAM_H
#define ETCHED_CMD_ETCHCTL_V3_PROGRAM_H

#include "cmd/etchctl/flags.h"
#include "cmd/etchctl/v3.h"

struct v3_program {
    int pid_fd; /* readable when it has ended */
    int pid;
};

/* `more`: "NAME=value" each. Errors: ERR_INVALID, with Go's words. */
enum err v3_program_start(struct arena *arena, struct words words,
                          const char *const *more, size_t count,
                          struct v3_program *out) MUST_USE;
/* After it has ended, or to wait for it.
 * Errors: ERR_INVALID: "exit status 3", "signal: killed". */
enum err v3_program_finish(struct v3_program *program) MUST_USE;

#endif
