/* The door to time. Two clocks: one for people, one for waiting. */
#ifndef ETCHED_PORT_CLOCK_H
#define ETCHED_PORT_CLOCK_H

#include <stdint.h>

struct clock {
    /* Nanoseconds since 1970, as the machine believes; may jump. */
    int64_t (*wall_ns)(struct clock *clock);
    /* Nanoseconds since some moment; never runs backwards. */
    int64_t (*monotonic_ns)(struct clock *clock);
};

static inline int64_t clock_wall_ns(struct clock *clock)
{
    return clock->wall_ns(clock);
}
static inline int64_t clock_monotonic_ns(struct clock *clock)
{
    return clock->monotonic_ns(clock);
}

#endif
