/* A worker: a process with a runner in it, its clocks, and the outside that it
 * calls. */
#include "sim/service.h"

#include <stdio.h>

#include "base/check.h"
#include "base/mem.h"

/* ---- its clocks ---------------------------------------------------------- */

static struct runner_now now_of(const struct sim_worker *worker)
{
    int64_t now_ns = worker->service->sim->now_ns;
    return (struct runner_now){
        .mono_ns = worker->mono_base_ns + now_ns,
        .wall_ns = SIM_START_NS + now_ns + worker->wall_offset_ns,
    };
}

int sim__worker_place(const struct sim_worker *worker)
{
    return SIM_PLACES_MAX + worker->number;
}

static enum err no_zone(const struct zones *zones, struct slice name,
                        struct slice *tzif)
{
    (void)zones;
    (void)tzif;
    return err_set(ERR_NOT_FOUND, "no zone \"%.*s\"", (int)name.size, name.at);
}

const struct zones *sim__zones(void)
{
    static const struct zones zones = {.find = no_zone};
    return &zones;
}

/* ---- the outside --------------------------------------------------------- */

/* An action's answer on its way. */
struct errand {
    struct list link;
    struct sim_event event;
    struct sim_worker *worker;
    uint64_t life;
    uint64_t id;
    struct act_answer answer;
};

static void free_errand(struct sim *sim, struct errand *errand)
{
    sim__cancel(sim, &errand->event);
    list_remove(&errand->link);
    mem_free(errand);
}

static void on_acted(struct sim *sim, struct sim_event *event)
{
    struct errand *errand = CONTAINER_OF(event, struct errand, event);
    struct sim_worker *worker = errand->worker;
    if (worker->life != errand->life || worker->runner == NULL) {
        free_errand(sim, errand);
        return;
    }
    if (worker->state == SIM_WORKER_PAUSED) {
        sim__at(sim, event, worker->rise.node.key + SIM_US);
        return;
    }
    runner_acted(worker->runner, errand->id, &errand->answer);
    free_errand(sim, errand);
    sim__worker_touch(worker);
}

/* Most of it goes well; some is refused for now, some for good, and sometimes
 * nothing is heard. */
static void choose_answer(struct prng *prng, struct act_answer *answer)
{
    static const int statuses[] = {200, 200, 200, 200, 200,
                                   500, 503, 429, 404, 0};
    *answer = (struct act_answer){
        .was_sent = true,
        .status = statuses[prng_below(prng, 10)],
        .error = SLICE(""),
        .headers = SLICE("{}"),
        .body = SLICE("ok"),
    };
    if (answer->status == 0)
        answer->error = SLICE("timed out");
    if (answer->status == 429)
        answer->retry_after_ns = 700 * SIM_MS;
}

static void act(void *context, uint64_t id, const struct act *act)
{
    struct sim_worker *worker = context;
    struct sim_service *service = worker->service;
    struct sim *sim = service->sim;
    struct prng *prng = &service->prng;
    struct errand *errand = mem_alloc_zero(sizeof *errand);
    CHECK_EQ(act->kind, ACT_HTTP);
    errand->event.fire = on_acted;
    errand->worker = worker;
    errand->life = worker->life;
    errand->id = id;
    choose_answer(prng, &errand->answer);
    list_push_back(&service->errands, &errand->link);
    int64_t wait_ns = errand->answer.status
                          ? prng_between(prng, 1, 200) * SIM_MS
                          : act->timeout_ns;
    sim__at(sim, &errand->event, sim->now_ns + wait_ns);
}

bool sim__errands_wait(const struct sim_service *service)
{
    return !list_is_empty(&service->errands);
}

void sim__errands_free(struct sim_service *service)
{
    LIST_EACH (link, &service->errands) {
        free_errand(service->sim, CONTAINER_OF(link, struct errand, link));
    }
}

/* ---- other doors --------------------------------------------------------- */

static void call(void *context, uint64_t id, enum runner_method method,
                 struct slice request)
{
    struct sim_worker *worker = context;
    sim__call(worker->service, worker, id, method, request, NULL);
}

static void watch(void *context, struct slice request)
{
    sim__stream_ask(context, request);
}

static void respond(void *context, uint64_t id, const struct rest_answer *its)
{
    (void)context;
    (void)id;
    (void)its;
    UNREACHABLE(); /* nobody asks */
}

static enum err no_feed(void *context, struct arena *arena, struct slice body,
                        struct value *out)
{
    (void)context;
    (void)arena;
    (void)body;
    (void)out;
    return err_set(ERR_INVALID, "there are no feeds here");
}

static enum err no_secret(void *context, struct slice name, struct slice text,
                          struct buf *out)
{
    (void)context;
    (void)text;
    (void)out;
    return err_set(ERR_UNSUPPORTED, "no secret \"%.*s\"", (int)name.size,
                   name.at);
}

static void no_hmac(void *context, struct slice key, struct slice text,
                    unsigned char out[32])
{
    (void)context;
    (void)key;
    (void)text;
    memset(out, 0, 32);
}

/* ---- life ---------------------------------------------------------------- */

void sim__worker_touch(struct sim_worker *worker)
{
    struct sim *sim = worker->service->sim;
    if (worker->state == SIM_WORKER_UP)
        sim__at_latest(sim, &worker->run, sim->now_ns + 10 * SIM_US);
}

static void run(struct sim *sim, struct sim_event *event)
{
    struct sim_worker *worker = CONTAINER_OF(event, struct sim_worker, run);
    if (worker->state != SIM_WORKER_UP)
        return;
    int64_t next_ns = runner_run(worker->runner, now_of(worker));
    if (runner_is_stopped(worker->runner)) {
        sim__worker_kill(worker);
        return;
    }
    if (next_ns == INT64_MAX)
        return;
    next_ns -= worker->mono_base_ns;
    if (next_ns < sim->now_ns + 10 * SIM_US)
        next_ns = sim->now_ns + 10 * SIM_US;
    sim__at_latest(sim, event, next_ns);
}

static void rise(struct sim *sim, struct sim_event *event)
{
    struct sim_worker *worker = CONTAINER_OF(event, struct sim_worker, rise);
    (void)sim;
    if (worker->state == SIM_WORKER_DOWN)
        sim__worker_start(worker);
    else if (worker->state == SIM_WORKER_PAUSED)
        sim__worker_resume(worker);
}

void sim__worker_start(struct sim_worker *worker)
{
    struct sim_service *service = worker->service;
    struct sim *sim = service->sim;
    CHECK_EQ(worker->state, SIM_WORKER_DOWN);
    CHECK(worker->runner == NULL);
    sim__cancel(sim, &worker->rise);
    worker->life++;
    worker->leaves = false;
    worker->mono_base_ns = prng_between(&service->prng, 1, 1000) * SIM_SECOND;
    worker->state = SIM_WORKER_UP;
    struct runner_config config = {
        .doors = {.context = worker,
                  .call = call,
                  .watch = watch,
                  .act = act,
                  .respond = respond,
                  .feed_items = no_feed,
                  .seal = no_secret,
                  .unseal = no_secret,
                  .hmac_sha256 = no_hmac},
        .zones = sim__zones(),
        .seed = prng_next(&service->prng),
        .name = "sim",
        .is_etched = true,
        .lease_ns = service->lease_ns,
        .lazy_ns = service->lazy_ns,
    };
    worker->runner = runner_new(&config);
    sim__trace(sim, sim__worker_place(worker), SIM_TRACE_START, worker->life, 0,
               0);
    sim__worker_touch(worker);
}

void sim__worker_kill(struct sim_worker *worker)
{
    struct sim *sim = worker->service->sim;
    if (worker->runner == NULL)
        return;
    sim__trace(sim, sim__worker_place(worker), SIM_TRACE_KILL, 0, 0, 0);
    sim__cancel(sim, &worker->run);
    sim__cancel(sim, &worker->rise);
    sim__stream_drop(worker);
    runner_free(worker->runner);
    worker->runner = NULL;
    worker->life++;
    worker->state = SIM_WORKER_DOWN;
}

void sim__worker_pause(struct sim_worker *worker, int64_t ns)
{
    struct sim *sim = worker->service->sim;
    if (worker->state != SIM_WORKER_UP)
        return;
    sim__trace(sim, sim__worker_place(worker), SIM_TRACE_PAUSE,
               (uint64_t)(ns / SIM_MS), 0, 0);
    worker->state = SIM_WORKER_PAUSED;
    sim__at(sim, &worker->rise, sim->now_ns + ns);
}

void sim__worker_resume(struct sim_worker *worker)
{
    struct sim *sim = worker->service->sim;
    if (worker->state != SIM_WORKER_PAUSED)
        return;
    sim__trace(sim, sim__worker_place(worker), SIM_TRACE_RESUME, 0, 0, 0);
    sim__cancel(sim, &worker->rise);
    worker->state = SIM_WORKER_UP;
    sim__worker_touch(worker);
}

void sim__worker_leave(struct sim_worker *worker)
{
    if (worker->state != SIM_WORKER_UP || worker->leaves)
        return;
    worker->leaves = true;
    runner_stop(worker->runner);
    sim__worker_touch(worker);
}

void sim__worker_init(struct sim_service *service, int number)
{
    struct sim_worker *worker = &service->workers[number - 1];
    CHECK(number >= 1 && number <= SIM_WORKERS_MAX);
    *worker = (struct sim_worker){
        .service = service,
        .number = number,
        .wall_offset_ns = prng_between(&service->prng, -300, 300) * SIM_MS,
        .run = {.fire = run},
        .rise = {.fire = rise},
    };
}
