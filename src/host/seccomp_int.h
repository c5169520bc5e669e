/* What seccomp's two files share: the assembler, and the lists of calls. */
#ifndef ETCHED_HOST_SECCOMP_INT_H
#define ETCHED_HOST_SECCOMP_INT_H

#include <stddef.h>

struct seccomp__list {
    const int *calls;
    size_t count;
};

extern const struct seccomp__list seccomp__common;  /* most of the time */
extern const struct seccomp__list seccomp__allowed; /* at times */
extern const struct seccomp__list seccomp__unknown; /* there is another way */
extern const struct seccomp__list seccomp__exec;    /* starting programs */
extern const struct seccomp__list seccomp__hostile; /* no server makes them */

#endif
