/* Key triggers: `events`, `changed`, `crosses` with its reset, `where`, `for`.
 *
 * crosses:  ARMED --over the limit--> OVER --back to reset, or deleted--> ARMED
 *           (no memo)                 (memo "edge")
 *
 * for:      NONE --true--> HOLDS --due--> FIRED
 *             ^              |              |
 *             +--not true----+----not true--+
 *
 * With crosses "true" is OVER, with changed it is not to have changed since;
 * without either it is that the event's type is one of `events`; and all
 * conditions, each time. A value that changes anew begins anew. */
#include <math.h>

#include "base/check.h"
#include "base/time_text.h"
#include "recipe/machine_int.h"

/* What the trigger says of an event. */
struct verdict {
    bool is_true; /* as long as this is so it holds */
    bool is_edge; /* it has become so: without `for` it fires now */
};

static void record_error(struct unit *unit, struct scene *scene,
                         const char *what, const struct value *error)
{
    const struct run_id *event = &scene->event.event.id;
    struct run_id id = run__id(scene->trigger, event, 0);
    struct slice text = error->kind == VALUE_ERROR
                            ? error->text
                            : SLICE("there is nothing by that name");
    run__record_failed(
        unit, scene->trigger, &scene->event, &id,
        form__printf(unit->arena, "%s: %.*s", what, (int)text.size, text.at));
}

/* ---- where -------------------------------------------------------------- */

bool where__holds(struct unit *unit, struct scene *scene,
                  const struct run_id *id)
{
    const struct recipe *recipe = unit->machine->recipe;
    for (size_t i = 0; i < recipe->where_count; i++) {
        const struct condition *condition = &recipe->where[i];
        struct value value;
        if (!scene__eval(scene, condition->expr, &value))
            return false;
        bool is_true = value.kind == VALUE_BOOL && value.boolean;
        account__check(unit->account, "where", condition->text,
                       account__saw(scene, condition->expr), is_true,
                       value.kind == VALUE_BOOL ? NULL : "an error");
        if (value.kind == VALUE_ERROR || value.kind == VALUE_ABSENT) {
            struct slice why = value.kind == VALUE_ERROR
                                   ? value.text
                                   : SLICE("there is nothing by that name");
            run__record_failed(unit, scene->trigger, &scene->event, id,
                               form__printf(unit->arena, "where[%zu]: %.*s", i,
                                            (int)why.size, why.at));
            return false;
        }
        if (!is_true) {
            unit->skipped++;
            account__outcome(unit->account, "condition %zu is false", i + 1);
            return false;
        }
    }
    return true;
}

/* ---- changed ------------------------------------------------------------ */

static bool is_wrong(const struct value *value)
{
    return value->kind == VALUE_ERROR || value->kind == VALUE_ABSENT;
}

/* Where there was no value before, or is none now, it has changed. */
static void check_changed(struct unit *unit, struct scene *scene,
                          const struct trigger *trigger,
                          struct verdict *verdict)
{
    const struct recipe_event *event = &scene->event.event;
    struct value now;
    struct value before;
    bool is_put = event->type & EVENT_PUT;
    if (!event->has_prev || !is_put) {
        account__check(unit->account, "changed", SLICE(""), SLICE(""), true,
                       is_put ? "there was nothing before"
                              : "there is nothing any more");
        return;
    }
    if (!scene__eval(scene, trigger->changed, &now) ||
        !scene__eval_with(scene, trigger->changed, scene__prev(scene), &before))
        return;
    if (is_wrong(&now)) {
        record_error(unit, scene, "changed", &now);
        *verdict = (struct verdict){0};
        return;
    }
    /* What it was can't be said: that is another thing than what it is. */
    bool changed = is_wrong(&before) || !value_equals(&now, &before);
    verdict->is_edge = verdict->is_edge && changed;
    account__check_values(unit->account, "changed", SLICE(""), "now", &now,
                          "before", &before, changed, NULL);
}

/* ---- crosses ------------------------------------------------------------ */

static bool as_number(const struct value *value, double *out)
{
    switch (value->kind) {
    case VALUE_INT:
        *out = (double)value->integer;
        return true;
    case VALUE_UINT:
        *out = (double)value->natural;
        return true;
    case VALUE_DOUBLE:
        *out = value->number;
        return !isnan(value->number);
    default:
        return false;
    }
}

static bool is_beyond(const struct trigger *trigger, double number)
{
    return trigger->crosses.below ? number < trigger->crosses.limit
                                  : number > trigger->crosses.limit;
}

static bool is_reset(const struct trigger *trigger, double number)
{
    return trigger->crosses.below ? number >= trigger->crosses.reset
                                  : number <= trigger->crosses.reset;
}

/* Nothing is known of the key: it was over before if its last value was. */
static bool was_over(struct scene *scene, const struct trigger *trigger)
{
    struct value before;
    double number;
    return scene->event.event.has_prev &&
           scene__eval_with(scene, trigger->crosses.of, scene__prev(scene),
                            &before) &&
           as_number(&before, &number) && is_beyond(trigger, number);
}

static void set_edge(struct unit *unit, struct scene *scene, struct memo *memo,
                     bool is_over)
{
    if (memo && !is_over)
        unit__drop(unit, memo);
    else if (!memo && is_over)
        unit__set(unit, memo__new(unit->machine, MEMO_EDGE, scene->trigger,
                                  scene->event.event.key, SLICE("{}")));
}

static const char *say_edge(bool was, bool is, bool is_known)
{
    if (!is)
        return was ? "it is armed again" : "it is armed";
    if (!was)
        return "it crossed, and was armed";
    return is_known ? "it has crossed before, and isn't back at reset"
                    : "it was beyond before this recipe began";
}

static void check_crosses(struct unit *unit, struct scene *scene,
                          const struct trigger *trigger,
                          struct verdict *verdict)
{
    struct value value;
    double number;
    struct memo *memo = memo__find(unit->machine, MEMO_EDGE, scene->trigger,
                                   scene->event.event.key);
    if (!(scene->event.event.type & EVENT_PUT)) {
        set_edge(unit, scene, memo, false);
        *verdict = (struct verdict){0};
        account__check(unit->account, "crosses", SLICE(""), SLICE(""), false,
                       "the key is gone: it is armed again");
        return;
    }
    if (!scene__eval(scene, trigger->crosses.of, &value))
        return;
    if (!as_number(&value, &number)) {
        if (!is_wrong(&value))
            value = value_error(unit->arena, "it is of kind %s, not a number",
                                value_kind_text(value.kind));
        record_error(unit, scene, "crosses", &value);
        *verdict = (struct verdict){0};
        return;
    }
    bool was = memo != NULL;
    bool is = was ? !is_reset(trigger, number) : is_beyond(trigger, number);
    if (!was && is)
        was = was_over(scene, trigger);
    if (unit->wants)
        return;
    set_edge(unit, scene, memo, is);
    verdict->is_true = is;
    verdict->is_edge = is && !was;
    struct slice text = SLICE("");
    if (unit->account)
        text = form__printf(unit->arena, "%s %g, reset %g",
                            trigger->crosses.below ? "below" : "above",
                            trigger->crosses.limit, trigger->crosses.reset);
    account__check_values(unit->account, "crosses", text, "of", &value, NULL,
                          NULL, trigger->for_ns ? is : verdict->is_edge,
                          say_edge(was, is, memo != NULL));
}

/* ---- for ---------------------------------------------------------------- */

static struct memo *find_hold(const struct unit *unit,
                              const struct scene *scene)
{
    return memo__find(unit->machine, MEMO_HOLD, scene->trigger,
                      scene->event.event.key);
}

static void write_hold(struct unit *unit, const struct scene_event *event,
                       size_t trigger, int64_t due_ns, bool has_fired)
{
    struct buf value = {0};
    if (has_fired) {
        buf_append_str(&value, "{\"fired\":true}");
    } else {
        buf_printf(&value, "{\"due\":%lld,\"event\":", (long long)due_ns);
        record__write_event(unit->machine, &value, event);
        buf_append_char(&value, '}');
    }
    struct memo *memo = memo__new(unit->machine, MEMO_HOLD, trigger,
                                  event->event.key, buf_slice(&value));
    buf_deinit(&value);
    memo->hold.has_fired = has_fired;
    memo->due_ns = has_fired ? INT64_MAX : due_ns;
    unit__set(unit, memo);
}

static void say_held(struct unit *unit, int64_t due_ns)
{
    char text[TIME_TEXT_BYTES_MAX];
    size_t size = time_to_rfc3339(due_ns, text);
    account__outcome(unit->account, "held until %.*s", (int)size, text);
}

/* It holds: since before, or from now on. `anew`: its time begins again. */
static void hold(struct unit *unit, struct scene *scene, int64_t for_ns,
                 bool anew)
{
    const struct scene_event *event = &scene->event;
    struct memo *memo = find_hold(unit, scene);
    if (memo && memo->hold.has_fired && !anew) {
        account__outcome(unit->account, "has held, and has fired");
        return;
    }
    if (unit->level != UNIT_NORMAL) {
        struct run_id id = run__id(scene->trigger, &event->event.id, 0);
        if (memo)
            unit__drop(unit, memo);
        run__record_failed(unit, scene->trigger, event, &id,
                           slice_str(unit->refusal));
        return;
    }
    int64_t due_ns = memo && !anew ? memo->due_ns
                     : for_ns < INT64_MAX - 1 - event->event.time_ns
                         ? event->event.time_ns + for_ns
                         : INT64_MAX - 1;
    write_hold(unit, event, scene->trigger, due_ns, false);
    say_held(unit, due_ns);
}

static void break_hold(struct unit *unit, struct scene *scene)
{
    struct memo *memo = find_hold(unit, scene);
    if (memo)
        unit__drop(unit, memo);
}

/* The clock's: nobody may have written the key since. */
static void guard(struct unit *unit, const struct recipe_event *event)
{
    unit->guard = (struct turn_compare){.key = event->key,
                                        .target = TURN_MOD_REVISION,
                                        .operator= TURN_EQUAL,
                                        .number = event->mod_revision,
                                        .value = SLICE("")};
    unit->has_guard = true;
}

void key__fire_hold(struct unit *unit, struct memo *memo)
{
    struct doc_value *doc;
    struct scene_event event;
    size_t trigger = memo->trigger;
    int64_t due_ns = memo->due_ns;
    enum err err = record__parse(unit->arena, memo->value, &doc);
    if (!err)
        err = record__read_event(unit->arena, doc_get(doc, "event"), &event);
    if (err) {
        unit__drop(unit, memo);
        return;
    }
    /* What comes after a deletion is a new life of the key: nothing has to
     * remember that this one has fired. */
    if (event.event.type & EVENT_PUT)
        write_hold(unit, &event, trigger, due_ns, true);
    else
        unit__drop(unit, memo);
    if (unit->is_by_clock)
        guard(unit, &event.event);
    run__fire(unit, trigger, &event, RUN_TAG_DUE);
}

/* ---- an event ----------------------------------------------------------- */

static void check(struct unit *unit, struct scene *scene,
                  const struct trigger *trigger, struct verdict *verdict)
{
    const struct recipe_event *event = &scene->event.event;
    bool is_wanted = event->type & trigger->events;
    bool is_gone = !(event->type & EVENT_PUT);
    *verdict = (struct verdict){.is_true = is_wanted, .is_edge = is_wanted};
    account__check(unit->account, "events",
                   slice_str(event_type_text(event->type)), SLICE(""),
                   is_wanted, NULL);
    if (trigger->crosses.of && (is_wanted || is_gone))
        check_crosses(unit, scene, trigger, verdict);
    if (trigger->changed && verdict->is_true && !unit->wants)
        check_changed(unit, scene, trigger, verdict);
}

/* `changed` without `crosses` isn't a state: it holds as long as the value
 * stays what it changed to. */
static void check_hold(struct unit *unit, struct scene *scene,
                       const struct trigger *trigger,
                       const struct verdict *verdict, const struct run_id *id)
{
    bool is_change = trigger->changed && !trigger->crosses.of;
    bool anew = is_change && verdict->is_edge;
    bool is_true = verdict->is_true;
    if (is_true && is_change && !verdict->is_edge && !find_hold(unit, scene)) {
        account__outcome(unit->account, "not fired: it hasn't changed");
        return;
    }
    if (is_true)
        is_true = where__holds(unit, scene, id);
    if (unit->wants)
        return;
    if (is_true) {
        hold(unit, scene, trigger->for_ns, anew);
    } else {
        break_hold(unit, scene);
        account__outcome(unit->account, "not fired: it doesn't hold");
    }
}

void key__take(struct unit *unit, size_t trigger_index,
               const struct scene_event *event)
{
    const struct trigger *trigger =
        &unit->machine->recipe->triggers[trigger_index];
    struct run_id id = run__id(trigger_index, &event->event.id, 0);
    struct scene scene;
    struct verdict verdict;
    scene__init(&scene, unit, trigger_index, event);
    check(unit, &scene, trigger, &verdict);
    if (unit->wants)
        return;
    if (trigger->for_ns)
        check_hold(unit, &scene, trigger, &verdict, &id);
    else if (!verdict.is_edge)
        account__outcome(unit->account, "not fired: the trigger is false");
    else if (where__holds(unit, &scene, &id))
        run__fire(unit, trigger_index, event, 0);
}
