/* Whether a thread has to wait for a processor: others want the same ones.
 *
 * A thread that stays awake to be quick (io_thread's linger) is quick only
 * where processors are free. Where they aren't, it is a hog in the scheduler's
 * eyes, and waits for its turn when it is needed.
 *
 * Threads: each its own; all calls from that thread.
 */
#ifndef ETCHED_HOST_CROWD_H
#define ETCHED_HOST_CROWD_H

#include <stdbool.h>
#include <stdint.h>

struct crowd {
    int fd; /* /proc/thread-self/schedstat; -1: the system doesn't tell */
    uint64_t looked_ns;
    uint64_t waited_ns; /* for a processor, since the thread began */
    uint64_t until_ns;  /* taken to be crowded until then */
    uint64_t stays_ns;  /* for how long the next one is believed */
};

void crowd_init(struct crowd *crowd);
void crowd_deinit(struct crowd *crowd);
/* True: of late this thread waited for a processor more than a fiftieth of the
 * time. Looks at most every CROWD_LOOK_MS. A crowd is believed to stay for
 * CROWD_STAYS_MIN_MS, and twice as long each time that it is there again soon
 * after, up to CROWD_STAYS_MAX_MS: something that passes by costs little, and
 * a busy machine isn't tried again and again. */
enum { CROWD_LOOK_MS = 50, CROWD_STAYS_MIN_MS = 50, CROWD_STAYS_MAX_MS = 1000 };
bool crowd_is_here(struct crowd *crowd, uint64_t now_ns);
/* The same, from what a look has shown: what the thread has waited since it
 * began. */
void crowd_looked(struct crowd *crowd, uint64_t now_ns, uint64_t waited_ns);

/* What it has waited, out of the file's text: "<ran> <waited> <slices>".
 * False: it isn't that. */
bool crowd_parse(const char *text, uint64_t *waited_ns);

#endif
