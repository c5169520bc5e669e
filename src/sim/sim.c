#include <stdio.h>

#include "base/check.h"
#include "base/mem.h"
#include "sim/sim_int.h"

const char *sim_count_text(enum sim_count count)
{
    static const char *const texts[] = {
#define X(name, text) text,
        SIM_COUNT_TABLE(X)
#undef X
    };
    CHECK_LT(count, SIM_COUNT_COUNT);
    return texts[count];
}

/* ---- time ---------------------------------------------------------------- */

void sim__at(struct sim *sim, struct sim_event *event, int64_t at_ns)
{
    CHECK(event->fire != NULL);
    heap_set(&sim->events, &event->node,
             at_ns > sim->now_ns ? at_ns : sim->now_ns);
}

bool sim__is_set(const struct sim_event *event)
{
    return event->node.place != 0;
}

void sim__at_latest(struct sim *sim, struct sim_event *event, int64_t at_ns)
{
    if (!sim__is_set(event) || event->node.key > at_ns)
        sim__at(sim, event, at_ns);
}

void sim__cancel(struct sim *sim, struct sim_event *event)
{
    heap_remove(&sim->events, &event->node);
}

/* ---- what happens -------------------------------------------------------- */

void sim__trace(struct sim *sim, int place, enum sim_trace_what what,
                uint64_t a, uint64_t b, uint64_t c)
{
    sim__trace_add(&sim->trace, &(struct sim_trace_event){
                                    .at_ns = sim->now_ns,
                                    .what = (uint16_t)what,
                                    .place = (uint16_t)place,
                                    .numbers = {a, b, c},
                                });
}

static void fail(struct sim *sim, int place, const char *format, va_list args)
{
    if (sim->result.failed)
        return;
    sim->result.failed = true;
    sim->over = true;
    vsnprintf(sim->result.why, sizeof sim->result.why, format, args);
    sim__trace(sim, place, SIM_TRACE_FAILED, 0, 0, 0);
}

void sim__fail(struct sim *sim, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    fail(sim, 0, format, args);
    va_end(args);
}

static void fail_of(struct sim *sim, int place, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    fail(sim, place, format, args);
    va_end(args);
}

void sim__fail_at(struct sim_member *member, const char *what)
{
    fail_of(member->sim, member->place, "%s: %s: %s", member->name, what,
            err_note());
}

bool sim__chance(struct prng *prng, uint32_t ppm)
{
    return ppm > 0 && prng_below(prng, 1000000) < ppm;
}

/* ---- the world ----------------------------------------------------------- */

static int64_t pick(struct prng *prng, const int64_t *choices, size_t count)
{
    return choices[prng_below(prng, count)];
}
#define PICK(prng, ...)                        \
    pick(prng, (const int64_t[]){__VA_ARGS__}, \
         sizeof((const int64_t[]){__VA_ARGS__}) / sizeof(int64_t))

/* What kind of world it is. Every choice is drawn, whatever the options say:
 * a run with another option is as like it as can be. */
static void choose_world(struct sim *sim)
{
    struct prng prng;
    prng_init(&prng, sim->options.seed);
    sim->founder_count = (int)PICK(&prng, 1, 2, 3, 3, 3, 3, 4, 5, 5, 6, 7);
    sim->election_ms = PICK(&prng, 300, 500, 1000, 1000);
    sim->heartbeat_ms = sim->election_ms / 10;
    sim->pre_vote = prng_below(&prng, 8) > 0;
    sim->lease_reads = prng_below(&prng, 4) == 0;
    sim->strict = prng_below(&prng, 2) == 0;
    sim->catch_up_entries = (size_t)PICK(&prng, 8, 30, 100, 1000, 5000);
    sim->flush_revisions = (size_t)PICK(&prng, 1, 20, 200, 10000);
    sim->flush_ns = PICK(&prng, 20, 100, 500, 3000) * SIM_MS;
    sim->compaction_keep = PICK(&prng, 0, 0, 20, 100);
    sim->value_bytes = (size_t)PICK(&prng, 0, 0, 20, 200, 3000);
    sim->chunk_bytes = (size_t)PICK(&prng, 300, 2000, 20000, 1024 * 1024);
    sim->think_ns = PICK(&prng, 30, 100, 300) * SIM_MS;
    sim->client_count = (int)PICK(&prng, 2, 4, 5, SIM_CLIENTS_MAX);
    sim->watcher_count = (int)PICK(&prng, 1, 3, SIM_WATCHERS_MAX);
    sim->active_size = (uint64_t)PICK(&prng, 3, 3, 5, 9);
    sim->remove_delay_s = (double)PICK(&prng, 500, 1000, 3000, 1800000) / 1000;
    sim->faults_until_ns = PICK(&prng, 10, 20, 30) * SIM_SECOND;
    sim->weather = (struct sim_weather){
        .delay_ns = PICK(&prng, 50, 200, 1000) * SIM_US,
        .jitter_ns = PICK(&prng, 10, 1000, 5000) * SIM_US,
        .keeps_order = prng_below(&prng, 3) > 0,
        .queue_max = (uint32_t)PICK(&prng, 20, 200, 2000),
    };
    /* Each fault with one half; a tenth of the worlds has them all. */
    sim->faults = (uint32_t)prng_below(&prng, 1 << SIM_FAULT_COUNT);
    if (prng_below(&prng, 10) == 0)
        sim->faults = (1 << SIM_FAULT_COUNT) - 1;
    sim->worker_count = (int)PICK(&prng, 0, 0, 0, 0, 0, 0, 2, 3);
    if (sim->options.workers >= 0)
        sim->worker_count = sim->options.workers;
    /* Where history goes a recipe may have a gap, and then it stops. */
    if (sim->worker_count > 0)
        sim->compaction_keep = 0;
    if (sim->options.members)
        sim->founder_count = sim->options.members;
    if (sim->options.seconds)
        sim->faults_until_ns = sim->options.seconds * SIM_SECOND;
    if (sim->options.calm)
        sim->faults = 0;
}

static void make_founders(struct sim *sim)
{
    struct raft_members members = {0};
    for (int i = 0; i < sim->founder_count; i++) {
        struct sim_member *member = sim__member_new(sim, true);
        sim->founders[i] = (struct node_member){
            .id = member->id,
            .name = slice_str(member->name),
            .peer_urls = slice_str(member->urls),
        };
        size_t at = members.voter_count++;
        for (; at > 0 && members.voters[at - 1] > member->id; at--)
            members.voters[at] = members.voters[at - 1];
        members.voters[at] = member->id;
    }
    ledger_init(&sim->ledger, &members);
}

struct sim *sim_new(const struct sim_options *options)
{
    CHECK(options->members >= 0 && options->members <= SIM_MEMBERS_MAX);
    struct sim *sim = mem_alloc_zero(sizeof *sim);
    sim->options = *options;
    sim->trace.on_line = options->on_line;
    sim->trace.context = options->context;
    sim->now_ns = 0;
    heap_init(&sim->events);
    list_init(&sim->packets);
    list_init(&sim->ops);
    sim->values = mem_alloc_zero(SIM_VALUES_MAX);
    prng_init(&sim->prng, options->seed * 3 + 1);
    prng_init(&sim->client_prng, options->seed * 5 + 2);
    prng_init(&sim->plan_prng, options->seed * 7 + 3);
    choose_world(sim);
    make_founders(sim);
    return sim;
}

void sim__turn(struct sim *sim)
{
    struct heap_node *top = heap_top(&sim->events);
    if (top == NULL) {
        sim__fail(sim, "nothing is left to happen");
        return;
    }
    struct sim_event *event = CONTAINER_OF(top, struct sim_event, node);
    CHECK_LE(sim->now_ns, top->key);
    sim->now_ns = top->key;
    heap_remove(&sim->events, top);
    event->fire(sim, event);
    sim__count(sim, SIM_COUNT_EVENTS, 1);
    if (sim->result.counts[SIM_COUNT_EVENTS] >= SIM_EVENTS_MAX)
        sim__fail(sim, "too much happens: %d events", SIM_EVENTS_MAX);
}

void sim__begin(struct sim *sim)
{
    sim__trace(sim, 0, SIM_TRACE_BEGIN, (uint64_t)sim->founder_count,
               (uint64_t)sim->election_ms, sim->faults);
    for (int i = 1; i <= sim->founder_count && !sim->over; i++)
        sim__start(sim->members[i]);
    sim__clients_start(sim);
    sim__watchers_start(sim);
    sim__plan_start(sim);
    sim__operator_start(sim);
    if (sim->worker_count > 0)
        sim__service_start(sim, sim->worker_count);
}

void sim_run(struct sim *sim, struct sim_result *out)
{
    uint64_t steps = sim->options.steps;
    sim__begin(sim);
    while (!sim->over &&
           (steps == 0 || sim->result.counts[SIM_COUNT_EVENTS] < steps))
        sim__turn(sim);
    if (!sim->result.failed)
        sim__check_histories(sim);
    sim__trace(sim, 0, SIM_TRACE_END, sim->ledger.commit,
               (uint64_t)sim->ledger.revision, 0);
    sim->result.counts[SIM_COUNT_REVISIONS] = (uint64_t)sim->ledger.revision;
    sim->result.counts[SIM_COUNT_LEADERS] = sim->ledger.leader_count;
    sim->result.simulated_ns = sim->now_ns;
    sim->result.digest = sim->trace.digest;
    *out = sim->result;
}

void sim_story(const struct sim *sim, size_t count,
               void (*each)(void *context, struct slice line), void *context)
{
    sim__trace_each(&sim->trace, count, each, context);
}

void sim_free(struct sim *sim)
{
    if (sim == NULL)
        return;
    sim->trace.on_line = NULL; /* the story is told */
    sim__operator_stop(sim);
    sim__clients_stop(sim);
    sim__service_stop(sim);
    for (int i = 1; i <= sim->member_count; i++)
        sim__kill(sim->members[i]);
    sim__net_free(sim);
    sim__clients_free(sim);
    sim__service_free(sim);
    sim__check_free(sim);
    for (int i = 1; i <= sim->member_count; i++)
        sim__member_free(sim->members[i]);
    ledger_deinit(&sim->ledger);
    heap_deinit(&sim->events);
    mem_free(sim->values);
    mem_free(sim);
}
