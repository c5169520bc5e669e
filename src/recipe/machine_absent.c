/* Absent triggers: a key that should be put again and again, and isn't.
 *
 *   put ---> COUNTS --due--> FIRED --put--> COUNTS
 *
 * Each put moves the time on, which happens all the time and changes nothing
 * else. So these memos aren't written with each event but before the cursor
 * that passes it (machine_write_lazy). They may be ahead of the cursor then:
 * an event that a memo has seen already is passed over. */
#include "base/check.h"
#include "recipe/machine_int.h"

/* Only where the pattern is one key can it be missed before it ever came. */
static bool is_one_key(const struct machine *machine, size_t trigger,
                       struct slice *key)
{
    bool is_exact;
    *key =
        pattern_literal(&machine->recipe->triggers[trigger].pattern, &is_exact);
    return is_exact;
}

int64_t absent__due(const struct machine *machine, const struct memo *memo)
{
    int64_t for_ns = machine->recipe->triggers[memo->trigger].for_ns;
    if (memo->absent.has_fired)
        return INT64_MAX;
    return for_ns < INT64_MAX - 1 - memo->absent.at_ns
               ? memo->absent.at_ns + for_ns
               : INT64_MAX - 1;
}

static struct memo *copy(const struct machine *machine, const struct memo *from)
{
    struct memo *memo =
        memo__new(machine, MEMO_ABSENT, from->trigger, from->id, SLICE(""));
    memo->absent = from->absent;
    return memo;
}

/* ---- events ------------------------------------------------------------- */

static void take_put(struct unit *unit, size_t trigger,
                     const struct recipe_event *event)
{
    struct memo *memo =
        memo__new(unit->machine, MEMO_ABSENT, trigger, event->key, SLICE(""));
    memo->absent.at_ns = event->time_ns;
    memo->absent.seen = event->id;
    memo->absent.put = event->id.revision;
    memo->due_ns = absent__due(unit->machine, memo);
    unit__set_lazily(unit, memo);
    account__outcome(unit->account, "it is there: its time begins anew");
}

static void take_delete(struct unit *unit, const struct recipe_event *event,
                        struct memo *old)
{
    struct slice key;
    account__outcome(unit->account, "it is gone: its time goes on");
    if (old->absent.has_fired &&
        !is_one_key(unit->machine, old->trigger, &key)) {
        unit__drop(unit, old);
        return;
    }
    struct memo *memo = copy(unit->machine, old);
    memo->absent.seen = event->id;
    memo->absent.is_gone = true;
    memo->due_ns = absent__due(unit->machine, memo);
    unit__set_lazily(unit, memo);
}

void absent__take(struct unit *unit, size_t trigger,
                  const struct recipe_event *event)
{
    struct memo *memo =
        memo__find(unit->machine, MEMO_ABSENT, trigger, event->key);
    if (memo && run_id_compare(&event->id, &memo->absent.seen) <= 0)
        account__outcome(unit->account, "it has been seen before");
    else if (event->type & EVENT_PUT)
        take_put(unit, trigger, event);
    else if (memo)
        take_delete(unit, event, memo);
}

/* ---- its time is up ----------------------------------------------------- */

/* By the clock: it may have been put meanwhile. Of a key that never was seen
 * only this is known, that it wasn't put after the trigger's position. */
static void guard(struct unit *unit, const struct memo *memo)
{
    const struct run_id *position = &unit->machine->positions[memo->trigger];
    bool never = memo->absent.put == 0;
    unit->guard = (struct turn_compare){
        .key = memo->id, .target = TURN_MOD_REVISION, .value = SLICE("")};
    unit->guard.operator= never ? TURN_LESS : TURN_EQUAL;
    unit->guard.number = never                  ? position->revision + 1
                         : memo->absent.is_gone ? 0
                                                : memo->absent.put;
    unit->has_guard = true;
}

/* That it didn't come is no event of the store. Conditions read what is known
 * last: that is when it wasn't there. */
static void make_event(const struct unit *unit, const struct memo *memo,
                       struct slice key, struct scene_event *out)
{
    int64_t position = unit->machine->positions[memo->trigger].revision;
    *out = (struct scene_event){.put = memo->absent.put, .knows_prev = true};
    out->event = (struct recipe_event){.id = memo->absent.seen,
                                       .time_ns = memo->due_ns,
                                       .type = EVENT_EXPIRE,
                                       .cause = SLICE(""),
                                       .key = key,
                                       .raw = SLICE(""),
                                       .prev = SLICE(""),
                                       .mod_revision = memo->absent.put,
                                       .parent = SLICE("")};
    out->look = memo->absent.seen.revision > position
                    ? memo->absent.seen.revision
                    : position;
}

void absent__fire(struct unit *unit, struct memo *memo)
{
    struct scene_event event;
    struct scene scene;
    struct slice only;
    size_t trigger = memo->trigger;
    struct slice key = turn__copy(unit->arena, memo->id);
    make_event(unit, memo, key, &event);
    if (unit->is_by_clock)
        guard(unit, memo);
    if (memo->absent.is_gone && !is_one_key(unit->machine, trigger, &only)) {
        unit__drop(unit, memo);
    } else {
        struct memo *fired = copy(unit->machine, memo);
        fired->absent.has_fired = true;
        unit__set(unit, fired);
    }
    struct run_id id = run__id(trigger, &event.event.id, RUN_TAG_DUE);
    scene__init(&scene, unit, trigger, &event);
    if (where__holds(unit, &scene, &id))
        run__fire(unit, trigger, &event, RUN_TAG_DUE);
}

bool absent__is_to_begin(const struct machine *machine, size_t trigger)
{
    struct slice key;
    return machine->recipe->triggers[trigger].kind == TRIGGER_ABSENT &&
           is_one_key(machine, trigger, &key) &&
           !memo__find(machine, MEMO_ABSENT, trigger, key);
}

/* Since now, where it never was. */
void absent__begin(struct unit *unit, size_t trigger)
{
    struct slice key;
    CHECK(is_one_key(unit->machine, trigger, &key));
    struct memo *memo =
        memo__new(unit->machine, MEMO_ABSENT, trigger, key, SLICE(""));
    memo->absent.at_ns = unit->now_ns;
    memo->due_ns = absent__due(unit->machine, memo);
    unit__set(unit, memo);
}
