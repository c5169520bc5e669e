/* Programs that recipes start: only those that --recipes-exec-allow names, by
 * their whole path, with a list of arguments and never a shell.
 *
 * A program has an environment of its own (PATH, HOME, LANG), works in /, and
 * has a process group of its own. It is given its input and must close or end
 * within its time; then the whole group is killed. What it leaves behind in
 * its group is killed at its end too. It is waited for by its pid: other
 * children of this process are none of our business.
 *
 * Threads: one at a time.
 */
#ifndef ETCHED_HOST_RECIPES_EXEC_H
#define ETCHED_HOST_RECIPES_EXEC_H

#include "host/poller.h"
#include "runner/runner.h"

enum {
    RECIPES_EXEC_AT_ONCE_MAX = 16, /* others wait */
    /* What it writes beyond is read and dropped. */
    RECIPES_EXEC_OUTPUT_BYTES_MAX = 64 * 1024,
    RECIPES_EXEC_ERROR_BYTES_MAX = 1024,
    RECIPES_EXEC_ARGUMENTS_MAX = 256,
    RECIPES_EXEC_ARGUMENT_BYTES_MAX = 128 * 1024, /* all of them */
    /* The exit code of what was killed by signal n is 128 + n, as a shell has
     * it. */
    RECIPES_EXEC_SIGNAL_BASE = 128,
};

struct recipes_exec;

struct recipes_exec_config {
    struct poller *poller;
    const char *const *allowed; /* outlive it */
    size_t allowed_count;
    /* From within recipes_exec_run and poller_run only. */
    void (*on_acted)(void *context, uint64_t id,
                     const struct act_answer *answer);
    void *context;
};

struct recipes_exec *recipes_exec_new(const struct recipes_exec_config *config);
/* Kills what runs. */
void recipes_exec_free(struct recipes_exec *exec); /* NULL is fine */
/* ACT_EXEC; copied. */
void recipes_exec_start(struct recipes_exec *exec, uint64_t id,
                        const struct act *act);
/* Does what is due. Returns when to be called next, in milliseconds on the
 * monotonic clock: INT64_MAX: when something was started. */
int64_t recipes_exec_run(struct recipes_exec *exec, int64_t now_ms);

#endif
