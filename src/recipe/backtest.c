/* A machine that nobody commits, over events of the past. Between them time
 * passes: what is due fires, ticks come, and actions outside are answered at
 * once and well.
 *
 * What it is asked to do may be a lot (a year of ticks between two events), so
 * each call does a bounded number of steps and then says TURN_FULL. Whatever it
 * says, it can be asked the same again: what was done isn't done twice, since
 * the machine passes over events that it has had. */
#include "base/check.h"
#include "base/time_text.h"
#include "doc/json_write.h"
#include "recipe/explain.h"

enum {
    TOLD_MAX = 10000, /* runs, and effects; beyond, only counted */
    TOLD_BYTES_MAX = 8 << 20,
    RUNS_MAX = 1000000, /* ids */
    STEPS_OF_CALL = 2000,
    VALUE_BYTES_MAX = 256, /* of a put, that are shown */
    TICK_PLACE = 1 << 20,  /* where no event of the store has its place */
};

struct backtest {
    const struct recipe *recipe;
    struct machine *machine;
    int64_t now_ns;
    int64_t from_ns;
    int64_t to_ns;
    bool own_ticks;
    int64_t ticked_ns[RECIPE_TRIGGERS_MAX + 1]; /* its last tick of its own */
    int steps;                                  /* left in this call */
    int64_t revision;                           /* of the last event */
    struct run_id *runs; /* of those that ended, or are under way */
    size_t run_count;
    size_t run_capacity;
    uint64_t run_total;
    struct run_id *actives; /* of them, those under way */
    size_t active_count;
    size_t active_capacity;
    uint64_t record_count;
    struct buf records;
    struct buf effects;
    uint64_t effect_count;
    uint64_t fired, skipped, failed, loops;
    struct buf stop; /* why it tripped */
    /* The action that is being answered: the machine tells each once. */
    bool is_answering;
    struct run_id answer_run;
    struct buf answer_step;
};

struct backtest *backtest_new(const struct backtest_config *config)
{
    struct backtest *backtest = mem_alloc_zero(sizeof(*backtest));
    CHECK_LE(config->from_ns, config->to_ns);
    backtest->recipe = config->machine.recipe;
    backtest->machine = machine_new(&config->machine);
    backtest->from_ns = config->from_ns;
    backtest->now_ns = config->goes_on ? 0 : config->from_ns;
    for (size_t i = 0; i < backtest->recipe->trigger_count; i++) {
        backtest->ticked_ns[i] = config->from_ns;
    }
    backtest->to_ns = config->to_ns;
    backtest->own_ticks = config->own_ticks;
    return backtest;
}

void backtest_free(struct backtest *backtest)
{
    if (backtest == NULL) {
        return;
    }
    machine_free(backtest->machine);
    mem_free(backtest->runs);
    mem_free(backtest->actives);
    buf_deinit(&backtest->records);
    buf_deinit(&backtest->effects);
    buf_deinit(&backtest->stop);
    buf_deinit(&backtest->answer_step);
    mem_free(backtest);
}

struct machine *backtest_machine(struct backtest *backtest)
{
    return backtest->machine;
}

/* False: enough for this call. */
static bool spend(struct backtest *backtest)
{
    return backtest->steps-- > 0;
}

/* ---- what turns did ------------------------------------------------------ */

static void push_id(struct run_id **list, size_t *count, size_t *capacity,
                    const struct run_id *id)
{
    if (*count == *capacity) {
        *capacity = *capacity ? 2 * *capacity : 64;
        *list = mem_realloc(*list, *capacity * sizeof(**list));
    }
    (*list)[(*count)++] = *id;
}

/* Takes it out of those under way; false: it isn't one. */
static bool end_active(struct backtest *backtest, const struct run_id *id)
{
    for (size_t i = backtest->active_count; i-- > 0;) {
        if (run_id_compare(&backtest->actives[i], id) == 0) {
            backtest->actives[i] = backtest->actives[--backtest->active_count];
            return true;
        }
    }
    return false;
}

/* A run is told when it begins to wait, maybe more than once, and when it
 * ends; it counts once. */
static void note_run(struct backtest *backtest, const struct turn_run *run)
{
    bool was_known = end_active(backtest, &run->id);
    if (run->status == RUN_ACTIVE) {
        push_id(&backtest->actives, &backtest->active_count,
                &backtest->active_capacity, &run->id);
    }
    if (!was_known && backtest->run_total++ < RUNS_MAX) {
        push_id(&backtest->runs, &backtest->run_count, &backtest->run_capacity,
                &run->id);
    }
    if (run->status != RUN_ACTIVE && backtest->record_count++ < TOLD_MAX &&
        backtest->records.size < TOLD_BYTES_MAX) {
        buf_append_str(&backtest->records, backtest->records.size ? "," : "");
        buf_append_slice(&backtest->records, run->record);
    }
}

static void write_text(struct buf *out, struct slice text)
{
    if (slice_is_utf8(text)) {
        json_write_string(out, text);
    } else {
        json_write_base64(out, text);
    }
}

/* Cut between two letters. */
static struct slice shorten(struct slice text)
{
    if (text.size <= VALUE_BYTES_MAX) {
        return text;
    }
    text.size = VALUE_BYTES_MAX;
    while (text.size > 0 &&
           ((unsigned char)text.at[text.size] & 0xc0) == 0x80) {
        text.size--;
    }
    return text;
}

static void note_effect(struct backtest *backtest, const char *kind,
                        struct slice what, const struct slice *value)
{
    struct buf *out = &backtest->effects;
    if (backtest->effect_count++ >= TOLD_MAX || out->size >= TOLD_BYTES_MAX) {
        return;
    }
    buf_printf(out, "%s{\"%s\":", out->size ? "," : "", kind);
    write_text(out, what);
    if (value != NULL) {
        buf_append_str(out, ",\"value\":");
        write_text(out, shorten(*value));
    }
    buf_append_char(out, '}');
}

static void note_operation(struct backtest *backtest,
                           const struct turn_operation *operation)
{
    const struct turn_txn *txn = operation->txn;
    switch (operation->kind) {
    case TURN_PUT:
        note_effect(backtest, "put", operation->key, &operation->value);
        break;
    case TURN_DELETE:
        note_effect(backtest, operation->end.size ? "delete_prefix" : "delete",
                    operation->key, NULL);
        break;
    case TURN_TXN:
        /* Which way it would have gone isn't known: the store then was one
         * without these effects. */
        note_effect(backtest, "txn",
                    txn->compare_count ? txn->compares[0].key : SLICE(""),
                    NULL);
        break;
    }
}

static void take(struct backtest *backtest, struct turn *turn)
{
    for (size_t i = 0; i < turn->count; i++) {
        if (turn->operations[i].is_effect) {
            note_operation(backtest, &turn->operations[i]);
        }
    }
    for (size_t i = 0; i < turn->run_count; i++) {
        note_run(backtest, &turn->runs[i]);
    }
    backtest->fired += turn->fired;
    backtest->skipped += turn->skipped;
    backtest->failed += turn->failed;
    backtest->loops += turn->has_depth && turn->depth > 0 && turn->fired > 0;
    if (turn->tripped && backtest->stop.size == 0) {
        buf_append_slice(&backtest->stop, turn->stop);
    }
    turn_deinit(turn);
}

/* ---- one thing at a time ------------------------------------------------- */

static enum turn_end give(struct backtest *backtest, size_t trigger,
                          const struct recipe_event *event,
                          const struct lookups *lookups)
{
    enum turn_end end = TURN_FULL;
    while (end == TURN_FULL) {
        struct turn turn;
        turn_init(&turn);
        end = machine_event(backtest->machine, trigger, event, lookups, &turn,
                            NULL);
        take(backtest, &turn);
    }
    return end;
}

static enum turn_end do_due(struct backtest *backtest,
                            const struct lookups *lookups)
{
    enum turn_end end = TURN_FULL;
    if (machine_next_due(backtest->machine) > backtest->now_ns) {
        return TURN_TAKEN;
    }
    while (end == TURN_FULL) {
        struct turn turn;
        turn_init(&turn);
        end = machine_due(backtest->machine, backtest->now_ns, lookups, &turn);
        take(backtest, &turn);
    }
    return end;
}

static const char *outside_kind(enum action_kind kind)
{
    return kind == ACTION_HTTP    ? "http"
           : kind == ACTION_EMAIL ? "email"
                                  : "exec";
}

static bool next_answering(struct backtest *backtest)
{
    const struct outside *outside;
    if (backtest->is_answering) {
        return true; /* it was asked for something, and is answered again */
    }
    if (!machine_next_outside(backtest->machine, backtest->now_ns, &outside)) {
        return false;
    }
    backtest->is_answering = true;
    backtest->answer_run = outside->run;
    buf_reset(&backtest->answer_step);
    buf_append_slice(&backtest->answer_step, outside->step);
    note_effect(backtest, outside_kind(outside->kind), outside->step, NULL);
    return true;
}

static enum turn_end answer_one(struct backtest *backtest,
                                const struct lookups *lookups)
{
    const struct outside_answer answer = {.is_final = true,
                                          .is_ok = true,
                                          .status = 200,
                                          .error = SLICE(""),
                                          .headers = SLICE("{}"),
                                          .body = SLICE(""),
                                          .time_ns = backtest->now_ns};
    enum turn_end end = TURN_FULL;
    while (end == TURN_FULL) {
        struct turn turn;
        turn_init(&turn);
        end = machine_answer(backtest->machine, &backtest->answer_run,
                             buf_slice(&backtest->answer_step), &answer,
                             lookups, &turn);
        take(backtest, &turn);
    }
    return end;
}

/* All that is due now, and all that may go out now. */
static enum turn_end settle(struct backtest *backtest,
                            const struct lookups *lookups)
{
    enum turn_end end = do_due(backtest, lookups);
    while (end == TURN_TAKEN && next_answering(backtest)) {
        if (!spend(backtest)) {
            return TURN_FULL;
        }
        end = answer_one(backtest, lookups);
        backtest->is_answering = end != TURN_TAKEN;
        if (end == TURN_TAKEN) {
            end = do_due(backtest, lookups);
        }
    }
    return end;
}

/* ---- time ---------------------------------------------------------------- */

static bool is_clock(const struct trigger *trigger)
{
    return trigger->kind == TRIGGER_EVERY || trigger->kind == TRIGGER_CRON ||
           trigger->kind == TRIGGER_AT;
}

static int64_t next_tick(const struct backtest *backtest, size_t *trigger)
{
    int64_t best = INT64_MAX;
    for (size_t i = 0;
         backtest->own_ticks && i < backtest->recipe->trigger_count; i++) {
        const struct trigger *its = &backtest->recipe->triggers[i];
        int64_t next = is_clock(its) ? schedule_next(&its->schedule,
                                                     backtest->ticked_ns[i])
                                     : INT64_MAX;
        if (next < best) {
            best = next;
            *trigger = i;
        }
    }
    return best;
}

/* A tick's place is behind all that its trigger has had; what it looks up is as
 * of the last event. */
static struct run_id tick_id(const struct backtest *backtest, size_t trigger)
{
    struct run_id at = machine_position(backtest->machine, trigger);
    struct run_id id = {.revision = backtest->revision, .place = TICK_PLACE};
    if (id.revision < 1) {
        id.revision = 1;
    }
    if (run_id_compare(&id, &at) > 0) {
        return id;
    }
    bool is_whole = at.place == UINT32_MAX;
    return (struct run_id){.revision = at.revision + is_whole,
                           .place = is_whole ? TICK_PLACE : at.place + 1};
}

static enum turn_end tick(struct backtest *backtest, size_t trigger,
                          int64_t at_ns, const struct lookups *lookups)
{
    char time[TIME_TEXT_BYTES_MAX];
    size_t size = time_to_rfc3339(at_ns, time);
    struct buf rest = {0};
    struct buf key = {0};
    struct buf value = {0};
    buf_printf(&rest, "%zu/%.*s", trigger, (int)size, time);
    struct slice tail = buf_slice(&rest);
    recipe_key_write(&key, RECIPE_KEY_IN, backtest->recipe->name, &tail);
    buf_printf(&value, "{\"time\":\"%.*s\",\"scheduled\":\"%.*s\"}", (int)size,
               time, (int)size, time);
    const struct recipe_event event = {
        .id = tick_id(backtest, trigger),
        .time_ns = at_ns,
        .type = EVENT_CREATE,
        .cause = SLICE("put"),
        .key = buf_slice(&key),
        .raw = buf_slice(&value),
        .prev = SLICE(""),
        .mod_revision = 1,
        .parent = SLICE(""),
    };
    enum turn_end end = give(backtest, trigger, &event, lookups);
    buf_deinit(&rest);
    buf_deinit(&key);
    buf_deinit(&value);
    return end;
}

/* The next moment at which something happens by itself. */
static int64_t next_moment(const struct backtest *backtest, int64_t *clock_ns,
                           size_t *trigger)
{
    int64_t next_ns = machine_next_due(backtest->machine);
    int64_t out_ns = machine_next_outside_at(backtest->machine);
    *clock_ns = next_tick(backtest, trigger);
    next_ns = out_ns < next_ns ? out_ns : next_ns;
    return *clock_ns < next_ns ? *clock_ns : next_ns;
}

static enum turn_end pass_time(struct backtest *backtest, int64_t until_ns,
                               const struct lookups *lookups)
{
    for (;;) {
        size_t trigger = 0;
        int64_t clock_ns;
        enum turn_end end = settle(backtest, lookups);
        if (end != TURN_TAKEN) {
            return end;
        }
        int64_t next_ns = next_moment(backtest, &clock_ns, &trigger);
        /* What is still due now can't be done. */
        if (next_ns > until_ns ||
            (next_ns <= backtest->now_ns && next_ns != clock_ns)) {
            break;
        }
        if (!spend(backtest)) {
            return TURN_FULL;
        }
        if (clock_ns == next_ns) {
            end = tick(backtest, trigger, clock_ns, lookups);
            if (end != TURN_TAKEN) {
                return end;
            }
            backtest->ticked_ns[trigger] = clock_ns;
        }
        if (next_ns > backtest->now_ns) {
            backtest->now_ns = next_ns;
        }
    }
    if (until_ns > backtest->now_ns) {
        backtest->now_ns = until_ns;
    }
    return TURN_TAKEN;
}

/* With as many runs as there may be, events wait until one ends. */
static enum turn_end wait_for_room(struct backtest *backtest,
                                   const struct lookups *lookups)
{
    enum turn_end end = TURN_TAKEN;
    while (end == TURN_TAKEN && machine_is_busy(backtest->machine)) {
        size_t trigger = 0;
        int64_t clock_ns;
        int64_t next_ns = next_moment(backtest, &clock_ns, &trigger);
        if (next_ns > backtest->to_ns || next_ns <= backtest->now_ns) {
            break;
        }
        end = pass_time(backtest, next_ns, lookups);
    }
    return end;
}

/* ---- the whole ----------------------------------------------------------- */

enum turn_end backtest_event(struct backtest *backtest, size_t trigger,
                             const struct recipe_event *event,
                             const struct lookups *lookups)
{
    CHECK_LT(trigger, backtest->recipe->trigger_count);
    backtest->steps = STEPS_OF_CALL;
    if (backtest->own_ticks && is_clock(&backtest->recipe->triggers[trigger])) {
        return TURN_TAKEN;
    }
    enum turn_end end = pass_time(backtest, event->time_ns - 1, lookups);
    if (end == TURN_TAKEN) {
        end = wait_for_room(backtest, lookups);
    }
    if (end != TURN_TAKEN) {
        return end;
    }
    backtest->revision = event->id.revision;
    end = give(backtest, trigger, event, lookups);
    if (end != TURN_TAKEN) {
        return end;
    }
    if (event->time_ns > backtest->now_ns) {
        backtest->now_ns = event->time_ns;
    }
    return settle(backtest, lookups);
}

enum turn_end backtest_end(struct backtest *backtest,
                           const struct lookups *lookups)
{
    backtest->steps = STEPS_OF_CALL;
    return pass_time(backtest, backtest->to_ns, lookups);
}

size_t backtest_runs(const struct backtest *backtest, const struct run_id **out)
{
    *out = backtest->runs;
    return backtest->run_count;
}

void backtest_write(const struct backtest *backtest, struct buf *out)
{
    double hours = (double)(backtest->to_ns - backtest->from_ns) / 3.6e12;
    buf_append_str(out, "{\"runs\":[");
    buf_append_slice(out, buf_slice(&backtest->records));
    buf_printf(out, "],\"run_count\":%llu,\"effects\":[",
               (unsigned long long)backtest->run_total);
    buf_append_slice(out, buf_slice(&backtest->effects));
    buf_printf(out,
               "],\"effect_count\":%llu,\"fired\":%llu,\"skipped\":%llu,"
               "\"failed\":%llu,\"loops\":%llu,\"per_hour\":%.3f",
               (unsigned long long)backtest->effect_count,
               (unsigned long long)backtest->fired,
               (unsigned long long)backtest->skipped,
               (unsigned long long)backtest->failed,
               (unsigned long long)backtest->loops,
               hours > 0 ? (double)backtest->fired / hours : 0.0);
    if (backtest->stop.size > 0) {
        buf_append_str(out, ",\"tripped\":");
        json_write_string(out, buf_slice(&backtest->stop));
    }
    buf_append_char(out, '}');
}
