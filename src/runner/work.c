/* A recipe that is this worker's: its queue, and what it takes into turns.
 *
 *              +-------- work__drop: whatever went wrong --------+
 *              v                                                 |
 *   new ---> IDLE ---> LOADING ---> RUNS ---> GRANTING ---> COMMITTING
 *                                    ^            (leases)       |
 *                                    +---------------------------+
 *
 * One turn at a time: what comes while it is being committed waits in the
 * queue, and makes the next. So a recipe with much to do has large turns, and
 * one with little has quick ones, by themselves. */
#include "runner/runner_core.h"

static void wake_up(struct runner *runner, struct timer *timer)
{
    work__ready(runner, CONTAINER_OF(timer, struct work, timer));
}

struct work *work__new(struct runner *runner, struct def *def, int64_t claim)
{
    CHECK(def->work == NULL);
    CHECK_LT(0, claim);
    struct work *work = mem_alloc_zero(sizeof *work);
    work->def = def;
    work->claim = claim;
    work->timer.due = wake_up;
    list_init(&work->ready);
    list_init(&work->overfull);
    list_init(&work->retries);
    list_init(&work->leases);
    list_init(&work->load_waits);
    list_init(&work->acts);
    list_init(&work->outside_waits);
    lookup__init(work, runner->hash_seed);
    arena_init(&work->arena, 0);
    def->work = work;
    work__ready(runner, work);
    return work;
}

void work__free(struct runner *runner, struct work *work)
{
    CHECK(work->def->work == work);
    work__drop(runner, work, 0);
    outside__stop(runner, work);
    list_remove(&work->ready);
    timer__stop(runner, &work->timer);
    lookup__deinit(work);
    depth__deinit(work);
    buf_deinit(&work->cursor_value);
    buf_deinit(&work->denial);
    for (int i = 0; i < LOAD_RANGES; i++)
        buf_deinit(&work->load_from[i]);
    arena_deinit(&work->arena);
    mem_free(work->queue);
    work->def->work = NULL;
    mem_free(work);
    runner__wake(runner);
}

void work__ready(struct runner *runner, struct work *work)
{
    if (list_is_empty(&work->ready))
        list_push_back(&runner->ready, &work->ready);
}

bool work__is_paused(const struct work *work)
{
    return work->def->state != DEF_RUNS;
}

/* ---- the queue ----------------------------------------------------------- */

static void grow_queue(struct work *work)
{
    size_t capacity = work->queue_capacity ? work->queue_capacity * 2 : 64;
    struct queued *queue = mem_alloc(capacity * sizeof *queue);
    for (size_t i = 0; i < work->queue_count; i++)
        queue[i] = work->queue[(work->queue_at + i) % work->queue_capacity];
    mem_free(work->queue);
    work->queue = queue;
    work->queue_at = 0;
    work->queue_capacity = capacity;
}

static bool is_overfull(const struct work *work)
{
    return work->queue_count > QUEUE_EVENTS_MAX ||
           work->queue_bytes > QUEUE_BYTES_MAX;
}

void work__queue(struct runner *runner, struct sub *sub, struct event *event,
                 uint32_t place)
{
    struct work *work = sub->work;
    if (sub->trigger == work->trigger_count) {
        if (event->type & EVENT_PUT)
            retries__add(runner, work, event->key);
        event__unref(event);
        return;
    }
    if (work->queue_count == work->queue_capacity)
        grow_queue(work);
    size_t at = (work->queue_at + work->queue_count) % work->queue_capacity;
    work->queue[at] = (struct queued){event, place, (uint32_t)sub->trigger};
    work->queue_count++;
    work->queue_bytes += event->size;
    sub->queued++;
    if (is_overfull(work) && list_is_empty(&work->overfull))
        list_push_back(&runner->feeds.overfull, &work->overfull);
    work__ready(runner, work);
}

static void pop(struct work *work)
{
    CHECK_LT(0, work->queue_count);
    struct queued *queued = &work->queue[work->queue_at];
    work->queue_bytes -= queued->event->size;
    work->subs[queued->trigger].queued--;
    event__unref(queued->event);
    work->queue_at = (work->queue_at + 1) % work->queue_capacity;
    work->queue_count--;
}

static void clear_queue(struct work *work)
{
    while (work->queue_count)
        pop(work);
    CHECK_EQ(work->queue_bytes, 0);
}

void work__start_subs(struct runner *runner, struct work *work)
{
    for (size_t i = 0; i < work->sub_count; i++)
        if (work->subs[i].state == SUB_OFF && work->subs[i].pattern &&
            !work->subs[i].compacted)
            sub__start(runner, &work->subs[i]);
}

void work__stop_subs(struct runner *runner, struct work *work)
{
    for (size_t i = 0; i < work->sub_count; i++)
        sub__stop(runner, &work->subs[i]);
}

void work__gap(struct runner *runner, struct sub *sub, int64_t compacted)
{
    sub->compacted = compacted;
    work__ready(runner, sub->work);
}

/* ---- forgetting ---------------------------------------------------------- */

static void free_subs(struct runner *runner, struct work *work)
{
    for (size_t i = 0; i < work->sub_count; i++)
        sub__deinit(runner, &work->subs[i]);
    mem_free(work->subs);
    work->subs = NULL;
    work->sub_count = 0;
    work->trigger_count = 0;
}

void work__end_turn(struct work *work)
{
    if (work->has_turn)
        turn_deinit(&work->turn);
    work->has_turn = false;
    work->is_clocked = false;
}

struct turn *work__turn(struct work *work)
{
    if (!work->has_turn)
        turn_init(&work->turn);
    work->has_turn = true;
    return &work->turn;
}

void work__drop(struct runner *runner, struct work *work, int64_t pause_ns)
{
    list_remove(&work->overfull);
    if (work->subs) {
        clear_queue(work);
        free_subs(runner, work);
    }
    CHECK_EQ(work->queue_count, 0);
    load__stop(runner, work);
    commit__stop(runner, work);
    gap__stop(runner, work);
    lookup__clear(runner, work);
    depth__clear(runner, work);
    work__end_turn(work);
    outside__drop(runner, work);
    retries__drop(runner, work);
    clocks__stop(runner, work);
    fetch__stop(runner, work);
    keep__stop(runner, work);
    machine_free(work->machine);
    work->machine = NULL;
    work->is_held = false;
    work->status = NULL;
    work->passed = 0;
    work->lazy_at_ns = INT64_MAX;
    work->state = WORK_IDLE;
    arena_reset(&work->arena);
    work->retry_at_ns = runner->now.mono_ns + pause_ns;
    work__ready(runner, work);
}

void work__changed(struct runner *runner, struct work *work)
{
    work__ready(runner, work);
}

void work__part(struct runner *runner, struct work *work)
{
    work->is_parting = true;
    work__ready(runner, work);
}

void work__unpart(struct runner *runner, struct work *work)
{
    if (work->is_parting)
        work__ready(runner, work);
    work->is_parting = false;
}

/* ---- taking -------------------------------------------------------------- */

static enum turn_end take_event(struct runner *runner, struct work *work)
{
    const struct queued *queued = &work->queue[work->queue_at];
    const struct event *event = queued->event;
    struct recipe_event told = {
        .id = {.revision = event->revision, .place = queued->place},
        .time_ns = event->time_ns,
        .type = event->type,
        .cause = event->cause,
        .key = event->key,
        .raw = event->value,
        .has_prev = event->has_prev,
        .prev = event->prev,
        .mod_revision = event->mod_revision,
        .parent = SLICE(""),
    };
    if (!depth__of(runner, work, queued->trigger, event, &told.depth,
                   &told.parent))
        return TURN_WANTS;
    struct lookups lookups = lookup__of(work);
    enum turn_end end = machine_event(work->machine, queued->trigger, &told,
                                      &lookups, work__turn(work), NULL);
    if (end != TURN_TAKEN)
        return end;
    work->last_time_ns = event->time_ns;
    work->events++;
    runner->told.events++;
    if (work->passed++ == 0)
        work->lazy_at_ns = runner->now.mono_ns + runner->config.lazy_ns;
    pop(work);
    lookup__clear(runner, work);
    return TURN_TAKEN;
}

/* Events wait for runs to end. Where a guard has failed they don't: what makes
 * it fail may be one of them. */
static bool is_full(const struct work *work)
{
    return machine_is_busy(work->machine) && work->misses == 0;
}

/* All that was told has been taken, and nothing was left out: what is due by
 * the clock is due. Where events have to wait for what is due, it may be. */
static bool is_quiet(const struct work *work)
{
    if (is_full(work))
        return true;
    if (work->queue_count || work->is_held)
        return false;
    for (size_t i = 0; i < work->sub_count; i++)
        if (work->subs[i].state == SUB_OFF && work->subs[i].pattern)
            return false;
    return true;
}

static enum turn_end take_due(struct runner *runner, struct work *work)
{
    int64_t due_ns = machine_next_due(work->machine);
    if (due_ns > runner->now.wall_ns || !is_quiet(work) ||
        runner->now.mono_ns < work->due_after_ns)
        return TURN_TAKEN;
    struct lookups lookups = lookup__of(work);
    enum turn_end end = machine_due(work->machine, runner->now.wall_ns,
                                    &lookups, work__turn(work));
    work->is_clocked = work->is_clocked || work->turn.guard_count > 0;
    return end;
}

struct slice work__owner(const struct work *work)
{
    const struct recipe *recipe = work->def->recipe;
    return recipe && recipe->owner.size ? recipe->owner : SLICE("");
}

static bool has_something(const struct work *work)
{
    return work->status || retries__are_taken(work) ||
           (work->has_turn && !turn_is_empty(&work->turn));
}

static enum turn_end take_all(struct runner *runner, struct work *work)
{
    enum turn_end end = outside__take(runner, work);
    if (end == TURN_TAKEN)
        end = retries__take(runner, work);
    while (end == TURN_TAKEN && work->queue_count && !is_full(work)) {
        end = take_event(runner, work);
        if (end == TURN_TAKEN && work->is_narrow && has_something(work))
            return TURN_FULL;
    }
    return end == TURN_TAKEN ? take_due(runner, work) : end;
}

/* Positions that no turn has written for long. */
static bool is_lazy_due(const struct runner *runner, const struct work *work)
{
    return work->passed >= PASSED_MAX ||
           (work->passed && runner->now.mono_ns >= work->lazy_at_ns) ||
           keep__wants_cursor(work);
}

/* Triggers with nothing in the queue are as far as what they watch. */
static void advance(struct work *work)
{
    for (size_t i = 0; i < work->trigger_count; i++) {
        const struct sub *sub = &work->subs[i];
        if (sub->pattern && sub->queued == 0 && !sub->compacted)
            machine_advance(work->machine, i, sub__next(sub) - 1);
    }
}

static void hold_or_go_on(struct runner *runner, struct work *work)
{
    if (!work->is_held || work->queue_count > QUEUE_EVENTS_MAX / 4 ||
        work->queue_bytes > QUEUE_BYTES_MAX / 4)
        return;
    work->is_held = false;
    work__start_subs(runner, work);
}

static void note_skipped(struct runner *runner, struct work *work)
{
    /* What an empty turn has counted is told now, since it isn't committed. */
    runner->told.skipped += work->turn.skipped;
    work->skipped += work->turn.skipped;
    work->turn.skipped = 0;
}

static void set_timer(struct runner *runner, struct work *work)
{
    int64_t next_ns = INT64_MAX;
    if (is_quiet(work)) {
        next_ns = runner__mono_of(runner, machine_next_due(work->machine));
        if (next_ns < work->due_after_ns)
            next_ns = work->due_after_ns;
    }
    int64_t at_ns =
        runner__mono_of(runner, machine_next_outside_at(work->machine));
    if (at_ns <= runner->now.mono_ns) /* it waits for a free place */
        at_ns = INT64_MAX;
    next_ns = at_ns < next_ns ? at_ns : next_ns;
    if (work->passed && work->lazy_at_ns < next_ns)
        next_ns = work->lazy_at_ns;
    timer__set(runner, &work->timer, next_ns);
}

/* Permissions come and go while it runs: it stops where it may not see any more
 * what it watches. */
static bool may_watch(struct runner *runner, struct work *work)
{
    const struct recipe *recipe = work->def->recipe;
    struct slice owner = work__owner(work);
    struct buf why = {0};
    for (size_t i = 0; i < recipe->trigger_count; i++) {
        if (runner__may_trigger(runner, owner, &recipe->triggers[i]))
            continue;
        if (owner.size == 0)
            buf_append_str(&why, "it has no owner, whose permissions it would "
                                 "need: save it again");
        else
            buf_printf(&why,
                       "its owner, %.*s, may not read what if[%zu] "
                       "watches",
                       (int)owner.size, owner.at, i);
        work__trip(runner, work, buf_slice(&why));
        buf_deinit(&why);
        return false;
    }
    return true;
}

static void take(struct runner *runner, struct work *work)
{
    CHECK(work->machine != NULL && work->call == 0);
    if (runner->config.doors.may && !may_watch(runner, work))
        return;
    if (gap__take(runner, work))
        return;
    if (work->lookups_out || work->depth_call)
        return; /* the same event again when they are known */
    enum turn_end end = take_all(runner, work);
    if (end == TURN_WANTS)
        lookup__fetch(runner, work);
    hold_or_go_on(runner, work);
    if (has_something(work) || is_lazy_due(runner, work)) {
        advance(work);
        work__commit(runner, work);
        return;
    }
    CHECK(end != TURN_FULL); /* of a turn that has nothing in it */
    if (work->has_turn)
        note_skipped(runner, work);
    work__end_turn(work);
    outside__pump(runner, work);
    set_timer(runner, work);
}

void work__run(struct runner *runner, struct work *work)
{
    bool rests = work->is_parting || work__is_paused(work);
    switch (work->state) {
    case WORK_IDLE:
        if (work->is_parting)
            workers__parted(runner, work);
        else if (rests)
            timer__stop(runner, &work->timer);
        else if (runner->now.mono_ns < work->retry_at_ns)
            timer__set(runner, &work->timer, work->retry_at_ns);
        else
            work__load(runner, work);
        break;
    case WORK_RUNS:
        if (rests)
            work__drop(runner, work, 0);
        else
            take(runner, work);
        break;
    case WORK_GRANTING:
        work__commit(runner, work);
        break;
    case WORK_LOADING:
    case WORK_COMMITTING:
        break;
    }
}

/* ---- what REST and metrics ask ------------------------------------------- */

struct machine *work__machine(const struct def *def)
{
    return def->work ? def->work->machine : NULL;
}

void work__lag(const struct runner *runner, const struct def *def,
               int64_t *revisions, double *seconds)
{
    const struct work *work = def->work;
    *revisions = 0;
    *seconds = 0;
    if (!work || !work->machine)
        return;
    int64_t behind = 0;
    for (size_t i = 0; i < work->trigger_count; i++) {
        const struct sub *sub = &work->subs[i];
        if (!sub->pattern || (sub->queued == 0 && sub->state == SUB_LIVE))
            continue;
        int64_t its =
            runner->revision - machine_position(work->machine, i).revision;
        behind = its > behind ? its : behind;
    }
    int64_t since_ns = work->queue_count
                           ? work->queue[work->queue_at].event->time_ns
                           : work->last_time_ns;
    *revisions = behind;
    if (behind && since_ns && since_ns < runner->now.wall_ns)
        *seconds = (double)(runner->now.wall_ns - since_ns) / 1e9;
}
