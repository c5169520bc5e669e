/* Ticks of `every`, `cron` and `at`.
 *
 * The owner of the recipe puts a key for each scheduled time:
 *
 *   compare  create_revision(owner/<name>) is my claim's
 *            mod_revision(state/<name>/tick/<trigger>) is the one I know
 *   then     in/<name>/<trigger>/<scheduled time>, the memo = the last of them
 *
 * The memo is compared, and not whether the tick's key is there: a tick that
 * was worked is deleted, and a transaction whose answer was lost would put it
 * again. As it is, of two that were made from one memo one is done. */
#include "base/plant.h"
#include "base/time_text.h"
#include "runner/runner_core.h"

/* A tick that is late by no more isn't a missed one: its owner has changed. */
#define LATE_NS (30 * SECOND_NS)
/* `at` a moment that has just passed when the recipe was saved. */
#define AT_GRACE_NS (60 * SECOND_NS)

struct clock {
    struct work *work;
    size_t trigger;
    int64_t last_ns; /* all up to this have their keys */
    int64_t memo_revision;
    int64_t wanted_ns; /* of the call */
    uint64_t call;
    struct timer timer;
};
struct clocks {
    struct clock clocks[RECIPE_TRIGGERS_MAX + 1];
};

static bool is_clock(const struct trigger *trigger)
{
    return trigger->kind == TRIGGER_EVERY || trigger->kind == TRIGGER_CRON ||
           trigger->kind == TRIGGER_AT;
}

void clocks__memo(struct work *work, struct slice rest, struct slice value,
                  int64_t mod_revision)
{
    uint64_t trigger;
    int64_t last_ns;
    if (!slice_to_u64(rest, &trigger) || trigger > RECIPE_TRIGGERS_MAX ||
        !slice_to_i64(value, &last_ns))
        return;
    if (!work->clocks)
        work->clocks = mem_alloc_zero(sizeof *work->clocks);
    work->clocks->clocks[trigger].last_ns = last_ns;
    work->clocks->clocks[trigger].memo_revision = mod_revision;
}

/* ---- which are due ------------------------------------------------------- */

struct due {
    int64_t times[MISFIRE_ALL_MAX];
    size_t count;
    int64_t last_ns; /* of all that are due */
};

/* The last `max` of those in (after, now]. */
static size_t collect(const struct schedule *schedule, int64_t after_ns,
                      int64_t now_ns, struct due *due, size_t max)
{
    size_t count = 0;
    int64_t time_ns = schedule_next(schedule, after_ns);
    for (; time_ns <= now_ns; time_ns = schedule_next(schedule, time_ns)) {
        due->times[count % max] = time_ns;
        count++;
    }
    return count;
}

static void put_in_order(struct due *due, size_t found, size_t max)
{
    due->count = found < max ? found : max;
    if (found <= max)
        return;
    int64_t turned[MISFIRE_ALL_MAX];
    for (size_t i = 0; i < max; i++)
        turned[i] = due->times[(found + i) % max];
    memcpy(due->times, turned, max * sizeof turned[0]);
}

/* It looks back further and further: there may be years of ticks. */
static void find_due(const struct schedule *schedule, int64_t after_ns,
                     int64_t now_ns, struct due *due, size_t max)
{
    int64_t span_ns = 60 * SECOND_NS;
    CHECK_LE(max, MISFIRE_ALL_MAX);
    for (;;) {
        bool is_all = now_ns - after_ns <= span_ns;
        int64_t from_ns = is_all ? after_ns : now_ns - span_ns;
        size_t found = collect(schedule, from_ns, now_ns, due, max);
        if (is_all || found >= max) {
            put_in_order(due, found, max);
            break;
        }
        span_ns *= 4;
    }
    due->last_ns = due->count ? due->times[due->count - 1] : after_ns;
}

static void choose(const struct trigger *trigger, int64_t now_ns,
                   struct due *due)
{
    if (trigger->misfire != MISFIRE_SKIP)
        return;
    size_t kept = 0;
    for (size_t i = 0; i < due->count; i++)
        if (due->times[i] >= now_ns - LATE_NS)
            due->times[kept++] = due->times[i];
    due->count = kept;
}

/* ---- their keys ---------------------------------------------------------- */

static void wait_for_next(struct runner *runner, struct clock *clock)
{
    const struct recipe *recipe = clock->work->def->recipe;
    int64_t next_ns = schedule_next(&recipe->triggers[clock->trigger].schedule,
                                    clock->last_ns);
    timer__set(runner, &clock->timer, runner__mono_of(runner, next_ns));
}

static void ticked(struct runner *runner, void *context,
                   const struct store_answer *answer)
{
    struct clock *clock = context;
    struct work *work = clock->work;
    int64_t revision;
    clock->call = 0;
    if (answer->code != 0) {
        work__failed(runner, work, "a tick can't be put", answer);
    } else if (!store__succeeded(answer->message, &revision)) {
        runner->told.conflicts++;
        work__drop(runner, work, 50 * MILLI_NS);
    } else {
        clock->memo_revision = revision;
        clock->last_ns = clock->wanted_ns;
        wait_for_next(runner, clock);
    }
}

static void put_tick(const struct clock *clock, struct store_txn *txn,
                     int64_t time_ns)
{
    struct buf rest = {0};
    struct buf key = {0};
    struct buf value = {0};
    char text[TIME_TEXT_BYTES_MAX];
    size_t size = time_to_rfc3339(time_ns, text);
    buf_append_u64(&rest, clock->trigger);
    buf_append_char(&rest, '/');
    buf_append(&rest, text, size);
    struct slice rest_slice = buf_slice(&rest);
    recipe_key_write(&key, RECIPE_KEY_IN, clock->work->def->name, &rest_slice);
    buf_append_str(&value, "{\"time\":\"");
    buf_append(&value, text, size);
    buf_append_str(&value, "\"}");
    store_txn__put(txn, buf_slice(&key), buf_slice(&value), 0);
    buf_deinit(&rest);
    buf_deinit(&key);
    buf_deinit(&value);
}

static void send_ticks(struct runner *runner, struct clock *clock,
                       const struct due *due)
{
    struct work *work = clock->work;
    struct buf key = {0};
    struct buf memo = {0};
    struct buf rest = {0};
    struct store_txn txn;
    CHECK(clock->call == 0);
    CHECK_LE(due->count, MISFIRE_ALL_MAX);
    store_txn__begin(&txn);
    recipe_key_write(&key, RECIPE_KEY_OWNER, work->def->name, NULL);
    store_txn__compare_number(&txn, buf_slice(&key), TURN_CREATE_REVISION,
                              work->claim);
    buf_append_str(&rest, "tick/");
    buf_append_u64(&rest, clock->trigger);
    struct slice rest_slice = buf_slice(&rest);
    buf_reset(&key);
    recipe_key_write(&key, RECIPE_KEY_STATE, work->def->name, &rest_slice);
    if (!PLANTED(RECIPE_TICK_UNSEEN))
        store_txn__compare_number(&txn, buf_slice(&key), TURN_MOD_REVISION,
                                  clock->memo_revision);
    for (size_t i = 0; i < due->count; i++)
        put_tick(clock, &txn, due->times[i]);
    buf_append_i64(&memo, due->last_ns);
    store_txn__put(&txn, buf_slice(&key), buf_slice(&memo), 0);
    clock->wanted_ns = due->last_ns;
    clock->call = store_txn__send_raw(runner, &txn, ticked, clock);
    buf_deinit(&key);
    buf_deinit(&memo);
    buf_deinit(&rest);
}

static void look(struct runner *runner, struct timer *timer)
{
    struct clock *clock = CONTAINER_OF(timer, struct clock, timer);
    const struct trigger *trigger =
        &clock->work->def->recipe->triggers[clock->trigger];
    int64_t now_ns = runner->now.wall_ns;
    CHECK(clock->call == 0);
    struct due due = {0};
    if (clock->last_ns < now_ns)
        find_due(&trigger->schedule, clock->last_ns, now_ns, &due,
                 trigger->misfire == MISFIRE_LAST ? 1 : MISFIRE_ALL_MAX);
    if (due.count == 0) {
        wait_for_next(runner, clock);
        return;
    }
    choose(trigger, now_ns, &due);
    send_ticks(runner, clock, &due);
}

/* ---- life ---------------------------------------------------------------- */

/* From now on; the memo says so, lest a tick is missed unseen. */
static void begin_clock(struct runner *runner, struct clock *clock,
                        const struct trigger *trigger)
{
    struct due none = {.last_ns = runner->now.wall_ns};
    if (trigger->kind == TRIGGER_AT)
        none.last_ns -= AT_GRACE_NS;
    send_ticks(runner, clock, &none);
}

void clocks__start(struct runner *runner, struct work *work)
{
    const struct recipe *recipe = work->def->recipe;
    for (size_t i = 0; i < recipe->trigger_count; i++) {
        if (!is_clock(&recipe->triggers[i]))
            continue;
        if (!work->clocks)
            work->clocks = mem_alloc_zero(sizeof *work->clocks);
        struct clock *clock = &work->clocks->clocks[i];
        clock->work = work;
        clock->trigger = i;
        clock->timer.due = look;
        if (clock->memo_revision)
            timer__set(runner, &clock->timer, runner->now.mono_ns);
        else
            begin_clock(runner, clock, &recipe->triggers[i]);
    }
}

void clocks__stop(struct runner *runner, struct work *work)
{
    if (!work->clocks)
        return;
    for (size_t i = 0; i <= RECIPE_TRIGGERS_MAX; i++) {
        store__cancel(runner, work->clocks->clocks[i].call);
        timer__stop(runner, &work->clocks->clocks[i].timer);
    }
    mem_free(work->clocks);
    work->clocks = NULL;
}
