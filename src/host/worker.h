/* A thread that runs a turn when it is woken or when its time has come: the
 * core thread and the backend thread are each one of these. */
#ifndef ETCHED_HOST_WORKER_H
#define ETCHED_HOST_WORKER_H

#include <stdint.h>

struct worker;

/* One turn. Returns the moment of the next one, in milliseconds on the
 * monotonic clock: 0 at once, INT64_MAX only when woken. */
typedef int64_t (*worker_turn)(void *context);

/* One that hasn't started; it may be woken all the same. The name is at most
 * 15 characters (it is the thread's). */
struct worker *worker_new(const char *name, worker_turn turn, void *context);
/* Needs: it was stopped, or never started, and nobody wakes it any more. */
void worker_free(struct worker *worker);
/* Its first turn is at once. */
void worker_start(struct worker *worker);
/* Waits for the turn that runs, then for the thread's end. One that hasn't
 * started has nothing to stop. */
void worker_stop(struct worker *worker);
/* Threads: any, from worker_new to worker_free. Wake-ups during a turn lead to
 * one more turn. */
void worker_wake(struct worker *worker);

#endif
