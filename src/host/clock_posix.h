/* The machine's clocks (clock_gettime: CLOCK_REALTIME, CLOCK_MONOTONIC). */
#ifndef ETCHED_HOST_CLOCK_POSIX_H
#define ETCHED_HOST_CLOCK_POSIX_H

#include "port/clock.h"

/* One for the process. Threads: any. */
struct clock *clock_posix(void);

#endif
