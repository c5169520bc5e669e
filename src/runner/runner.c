/* The runner's life, its timers and its round. */
#include "runner/runner_core.h"

struct runner *runner_new(const struct runner_config *config)
{
    CHECK(config->doors.call && config->doors.watch && config->doors.act);
    CHECK(config->doors.respond);
    CHECK_LE(2 * SECOND_NS, config->lease_ns);
    CHECK_LT(0, config->lazy_ns);
    struct runner *runner = mem_alloc_zero(sizeof *runner);
    runner->config = *config;
    runner->config.name = mem_strdup(config->name ? config->name : "");
    prng_init(&runner->prng, config->seed);
    runner->hash_seed = prng_next(&runner->prng);
    heap_init(&runner->timers);
    list_init(&runner->ready);
    list_init(&runner->leases);
    list_init(&runner->outside_waits);
    map_u64_init(&runner->acts);
    map_u64_init(&runner->commits);
    store__init(runner);
    watching__init(runner);
    feeds__init(runner);
    defs__init(runner);
    workers__init(runner);
    rest__init(runner);
    return runner;
}

void runner_free(struct runner *runner)
{
    if (!runner)
        return;
    runner->watching.is_open = false; /* nothing is said on it any more */
    rest__deinit(runner);
    /* The works first: they hold calls, watches and actions. */
    for (size_t i = 0; i < runner->defs.count; i++)
        if (runner->defs.sorted[i]->work)
            work__free(runner, runner->defs.sorted[i]->work);
    workers__deinit(runner);
    defs__deinit(runner);
    feeds__deinit(runner);
    watching__deinit(runner);
    leases__deinit(runner);
    outside__deinit(runner);
    depth__forget(runner);
    ages__stop(runner);
    store__deinit(runner);
    CHECK(list_is_empty(&runner->ready));
    heap_deinit(&runner->timers);
    map_u64_deinit(&runner->acts);
    map_u64_deinit(&runner->commits);
    mem_free((char *)(uintptr_t)runner->config.name);
    mem_free(runner);
}

/* ---- time --------------------------------------------------------------- */

void timer__set(struct runner *runner, struct timer *timer, int64_t at_ns)
{
    CHECK(timer->due != NULL);
    if (at_ns == INT64_MAX)
        heap_remove(&runner->timers, &timer->node);
    else
        heap_set(&runner->timers, &timer->node, at_ns);
}

void timer__stop(struct runner *runner, struct timer *timer)
{
    heap_remove(&runner->timers, &timer->node);
}

int64_t runner__mono_of(const struct runner *runner, int64_t wall_ns)
{
    if (wall_ns == INT64_MAX)
        return INT64_MAX;
    int64_t in_ns = wall_ns - runner->now.wall_ns;
    /* The wall clock may be set meanwhile: look again after a minute. */
    if (in_ns > 60 * SECOND_NS)
        in_ns = 60 * SECOND_NS;
    return runner->now.mono_ns + (in_ns > 0 ? in_ns : 0);
}

int64_t runner__backoff(struct runner *runner, unsigned failures)
{
    CHECK_LT(0, failures);
    unsigned shift = failures > 11 ? 10 : failures - 1;
    int64_t pause_ns = (10 * MILLI_NS) << shift;
    return pause_ns / 2 + prng_between(&runner->prng, 0, pause_ns / 2);
}

static void run_timers(struct runner *runner)
{
    for (;;) {
        struct heap_node *top = heap_top(&runner->timers);
        if (!top || top->key > runner->now.mono_ns)
            return;
        struct timer *timer = CONTAINER_OF(top, struct timer, node);
        heap_remove(&runner->timers, top);
        timer->due(runner, timer);
    }
}

/* ---- a round ------------------------------------------------------------ */

static void run_ready(struct runner *runner)
{
    /* One that becomes ready by what is done here is taken in this round too;
     * each of them ends by waiting for something. */
    while (!list_is_empty(&runner->ready)) {
        struct list *node = list_first(&runner->ready);
        list_remove(node);
        work__run(runner, CONTAINER_OF(node, struct work, ready));
    }
}

int64_t runner_run(struct runner *runner, struct runner_now now)
{
    CHECK_LE(runner->now.mono_ns, now.mono_ns);
    runner->now = now;
    if (runner->state == RUNNER_NEW) {
        runner->state = RUNNER_RUNS;
        defs__begin(runner);
        ages__start(runner);
    }
    if (runner->state == RUNNER_STOPPED)
        return INT64_MAX;
    int64_t next_ns;
    do {
        runner->is_woken = false;
        next_ns = store__run(runner);
        run_timers(runner);
        workers__run(runner);
        run_ready(runner);
        int64_t rest_ns = rest__run(runner);
        next_ns = rest_ns < next_ns ? rest_ns : next_ns;
    } while (runner->is_woken && runner->state != RUNNER_STOPPED);
    const struct heap_node *top = heap_top(&runner->timers);
    if (top && top->key < next_ns)
        next_ns = top->key;
    return next_ns;
}

void runner_stop(struct runner *runner)
{
    if (runner->state == RUNNER_STOPS || runner->state == RUNNER_STOPPED)
        return;
    bool has_begun = runner->state == RUNNER_RUNS;
    runner->state = has_begun ? RUNNER_STOPS : RUNNER_STOPPED;
    if (has_begun)
        workers__leave(runner);
}

bool runner_is_stopped(const struct runner *runner)
{
    return runner->state == RUNNER_STOPPED;
}

/* ---- what REST asks ----------------------------------------------------- */

struct runner_now runner__now(const struct runner *runner)
{
    return runner->now;
}

const struct runner_config *runner__config(const struct runner *runner)
{
    return &runner->config;
}

int64_t runner__revision(const struct runner *runner)
{
    return runner->revision;
}

void runner__see_revision(struct runner *runner, int64_t revision)
{
    if (revision > runner->revision)
        runner->revision = revision;
}

struct rest *runner__rest(const struct runner *runner)
{
    return runner->rest;
}

void runner__set_rest(struct runner *runner, struct rest *rest)
{
    runner->rest = rest;
}

uint64_t runner__random(struct runner *runner)
{
    return prng_next(&runner->prng);
}

void runner__wake(struct runner *runner)
{
    runner->is_woken = true;
}
