/* Which system calls this process may make: a filter in the kernel, so that
 * whoever gets code to run in here finds little to do with it.
 *
 *   a call that the server needs       is done
 *   one of a newer kernel than this,   ENOSYS: the C library then takes the
 *   and a few that can be done without older way (clone3, io_uring)
 *   one that only an intruder makes    ends the process (execve, ptrace...)
 *   any other                          EPERM
 *
 * What is written is never to be run (no mapping is both), sockets are of the
 * families that the server speaks, threads are made without namespaces.
 *
 * Where recipes may start programs (--recipes-exec-allow) those live under the
 * same filter. So it is another one then: all is done, but for what only an
 * intruder makes, which is EPERM.
 *
 * Threads: the filter is that of all threads, those to come as well.
 */
#ifndef ETCHED_HOST_SECCOMP_H
#define ETCHED_HOST_SECCOMP_H

#include <linux/filter.h>
#include <stdbool.h>
#include <stddef.h>

#include "base/err.h"

enum { SECCOMP_STEPS_MAX = 640 };

struct seccomp_program {
    struct sock_filter steps[SECCOMP_STEPS_MAX];
    size_t count;
};

/* The filter, for tests as well. */
void seccomp_assemble(bool exec_allowed, struct seccomp_program *out);

/* False: this build can't have one. Sanitizers make calls of their own. */
bool seccomp_is_possible(void);

/* For good. Needs: seccomp_is_possible.
 * Errors: ERR_UNSUPPORTED (the kernel has none, or doesn't let us). */
enum err seccomp_enter(bool exec_allowed) MUST_USE;

#endif
