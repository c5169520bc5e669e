/* What the operating system knows about this process (Linux, /proc). */
#ifndef ETCHED_HOST_MACHINE_H
#define ETCHED_HOST_MACHINE_H

#include <stdint.h>

struct machine {
    uint64_t resident_bytes;
    uint64_t virtual_bytes;
    double cpu_seconds;
    uint64_t fd_used;
    uint64_t fd_limit;
    int64_t start_ns; /* wall clock, when machine_init was called */
};

void machine_init(void);
/* Threads: any, after machine_init. */
void machine_read(struct machine *out);
int machine_processors(void);
/* Raises the soft limit on open files to the hard one; returns it. */
uint64_t machine_raise_fd_limit(void);

#endif
