/* Recipes in the simulated cluster.
 *
 *   service.c      the definitions; who is killed, paused, cut off; the end
 *   worker.c       a process with a runner (runner/) in it; the outside
 *   asking.c       its calls, and what a member does for them
 *   streaming.c    its watch stream
 *   firing.c       what the recipes are, and what must come of them
 *
 *   runner --call--> [network] --> member: node_submit, node_read --> answer
 *      ^---watched-- [network] <-- member: its hub
 *
 * The workers' network is one of their own: between a worker and a member a
 * message may be late, or lost; what was lost may be done all the same, at
 * once or much later.
 */
#ifndef ETCHED_SIM_SERVICE_H
#define ETCHED_SIM_SERVICE_H

#include "runner/runner.h"
#include "sim/firing.h"
#include "sim/sim_int.h"

struct sim_service;
struct sim_stream;

enum sim_worker_state { SIM_WORKER_DOWN, SIM_WORKER_UP, SIM_WORKER_PAUSED };

struct sim_worker {
    struct sim_service *service;
    int number; /* from 1 */
    enum sim_worker_state state;
    uint64_t life;         /* answers to one before are passed over */
    struct runner *runner; /* NULL: down */
    bool leaves;           /* was told to stop */
    int64_t mono_base_ns;
    int64_t wall_offset_ns;
    int64_t cut_until_ns; /* it reaches nobody */
    struct sim_member *home;
    struct sim_stream *stream; /* NULL: none is open */
    struct sim_event run;
    struct sim_event rise; /* starts again, or goes on */
};

struct sim_service {
    struct sim *sim;
    struct prng prng;
    struct sim_worker workers[SIM_WORKERS_MAX];
    int worker_count;
    int64_t lease_ns;
    int64_t lazy_ns;
    uint32_t lost_ppm;
    int64_t delay_ns;
    struct list calls;
    struct list errands;
    struct sim_event strike; /* the next fault */
    struct sim_event define; /* the next definition */
    int defined;             /* so many are acknowledged */
    int64_t quiet_ns;        /* all had come of it that must; 0: not yet */
    struct firings firings;
};

/* ---- worker.c ------------------------------------------------------------ */

void sim__worker_init(struct sim_service *service, int number);
void sim__worker_start(struct sim_worker *worker);
void sim__worker_kill(struct sim_worker *worker);
void sim__worker_pause(struct sim_worker *worker, int64_t ns);
void sim__worker_resume(struct sim_worker *worker);
/* It gives its recipes up, and ends. */
void sim__worker_leave(struct sim_worker *worker);
/* It was told something. */
void sim__worker_touch(struct sim_worker *worker);
void sim__errands_free(struct sim_service *service);
bool sim__errands_wait(const struct sim_service *service);
/* For the trace: workers have places behind those of the members. */
int sim__worker_place(const struct sim_worker *worker);

/* ---- asking.c ------------------------------------------------------------ */

/* A message of a worker's to a member, and back. */
struct sim_call {
    struct list link;
    struct sim_event event;
    struct sim_service *service;
    struct sim_worker *worker; /* NULL: the service's own */
    uint64_t life;
    uint64_t id;
    enum runner_method method;
    struct sim_member *member;
    uint64_t incarnation; /* of the member, while it has it */
    bool is_answered;     /* who asked was told that it is lost */
    bool waits;           /* the node has it */
    bool is_read;
    struct node_request write;
    struct node_read read;
    struct buf bytes; /* what is asked; then the answer */
    int code;
    enum err err;
    /* Of the service's own. */
    void (*on_told)(struct sim_service *service, const struct sim_call *call);
};

/* A member that can serve; NULL: there is none. */
struct sim_member *sim__worker_home(struct sim_worker *worker);
struct sim_member *sim__any_serving(struct sim_service *service);
/* NULL worker: it must have `on_told`. */
void sim__call(struct sim_service *service, struct sim_worker *worker,
               uint64_t id, enum runner_method method, struct slice request,
               void (*on_told)(struct sim_service *service,
                               const struct sim_call *call));
void sim__calls_free(struct sim_service *service);
bool sim__calls_wait(const struct sim_service *service);
/* Appends field 1, a ResponseHeader of this revision. */
void sim__put_header(struct buf *out, revision at);

/* ---- streaming.c --------------------------------------------------------- */

/* A message of the runner's on its stream, which is opened by the first. */
void sim__stream_ask(struct sim_worker *worker, struct slice request);
/* The worker is gone, and its end of the stream. */
void sim__stream_drop(struct sim_worker *worker);
/* It breaks; the worker is told. */
void sim__stream_break(struct sim_worker *worker);

#endif
