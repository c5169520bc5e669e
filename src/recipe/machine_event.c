/* One event of one trigger. What was due before it fires first; then it is a
 * unit of its own, with which the trigger's position moves. */
#include "base/check.h"
#include "recipe/machine_int.h"

struct taking {
    size_t trigger;
    struct scene_event event;
};

/* ---- the inbox ---------------------------------------------------------- */

/* A webhook's key stays as long as its id is remembered. What else came in has
 * been worked when this turn is committed. */
static bool is_to_be_deleted(const struct trigger *trigger)
{
    return trigger->kind != TRIGGER_WEBHOOK && trigger->kind != TRIGGER_RECIPE;
}

/* Who called says how deep it is. */
static void read_caller(struct unit *unit, struct recipe_event *event)
{
    struct doc_value *doc;
    int64_t depth;
    if (record__parse(unit->arena, event->raw, &doc))
        return;
    if (record__number(doc, "depth", &depth) && depth > event->depth &&
        depth <= UINT32_MAX)
        event->depth = (unsigned)depth;
    const struct doc_value *parent = doc_get(doc, "parent");
    if (parent && parent->kind == DOC_STRING)
        event->parent = form__shorten(parent->text, ERROR_BYTES_MAX);
}

static void take_inbox(struct unit *unit, const struct trigger *trigger,
                       struct scene_event *event)
{
    struct run_id id = run__id(trigger->index, &event->event.id, 0);
    struct scene scene;
    if (!(event->event.type & EVENT_PUT))
        return; /* it was taken, or its lease has ended */
    if (is_to_be_deleted(trigger))
        unit__delete_own(unit, event->event.key);
    if (trigger->kind == TRIGGER_CALL || trigger->kind == TRIGGER_MANUAL)
        read_caller(unit, &event->event);
    scene__init(&scene, unit, trigger->index, event);
    if (where__holds(unit, &scene, &id))
        run__fire(unit, trigger->index, event, 0);
}

/* ---- an event ----------------------------------------------------------- */

static void take(struct unit *unit, void *context)
{
    const struct taking *taking = context;
    struct scene_event event = taking->event;
    const struct trigger *trigger =
        &unit->machine->recipe->triggers[taking->trigger];
    unit->trigger = taking->trigger;
    unit->position = event.event.id;
    account__begin(unit->account, taking->trigger, &event.event);
    if (trigger->kind == TRIGGER_KEY)
        key__take(unit, taking->trigger, &event);
    else if (trigger->kind == TRIGGER_ABSENT)
        absent__take(unit, taking->trigger, &event.event);
    else
        take_inbox(unit, trigger, &event);
    account__end(unit->account);
}

/* ---- lists of records --------------------------------------------------- */

static bool is_wanted(const struct trigger *trigger,
                      const struct doc_value *record)
{
    const struct doc_value *status = doc_get(record, "status");
    if (!status || status->kind != DOC_STRING)
        return false;
    for (unsigned i = 0; i < RUN_ACTIVE; i++) {
        if (slice_eq(status->text,
                     slice_str(run_status_text((enum run_status)i))))
            return trigger->other.outcomes & 1u << i;
    }
    return false;
}

/* The record of one run as an event of its own. */
static void make_event(const struct trigger *trigger, struct arena *arena,
                       const struct recipe_event *event,
                       const struct doc_value *record, uint32_t place,
                       struct taking *out)
{
    const struct doc_value *id = doc_get(record, "id");
    struct slice name = trigger->other.name;
    struct value value = value_from_doc(arena, record);
    struct recipe_event its = *event;
    int64_t depth = 0;
    its.id.place = place;
    its.raw = form__json(arena, &value);
    its.has_prev = false;
    if (record__number(record, "depth", &depth) && depth >= event->depth &&
        depth < UINT32_MAX)
        its.depth = (unsigned)depth + 1;
    if (id && id->kind == DOC_STRING)
        its.parent = form__printf(arena, "%.*s/%.*s", (int)name.size, name.at,
                                  (int)id->text.size, id->text.at);
    out->trigger = trigger->index;
    scene__from_event(&out->event, &its);
}

static enum turn_end take_records(const struct unit_config *config,
                                  const struct trigger *trigger,
                                  const struct recipe_event *event,
                                  struct arena *arena)
{
    struct run_id *position = &config->machine->positions[trigger->index];
    struct doc_value *list;
    struct taking taking;
    struct run_id at = {.revision = event->id.revision};
    if (!(event->type & EVENT_PUT) || record__parse(arena, event->raw, &list) ||
        list->kind != DOC_LIST)
        return TURN_TAKEN;
    if (position->revision == at.revision)
        at.place = position->place + 1;
    for (; at.place < list->count; at.place++) {
        const struct doc_value *record = list->items[at.place];
        if (!is_wanted(trigger, record)) {
            *position = at;
            continue;
        }
        make_event(trigger, arena, event, record, at.place, &taking);
        enum turn_end end = unit__do(config, take, &taking);
        if (end != TURN_TAKEN)
            return end;
    }
    return TURN_TAKEN;
}

/* ---- the door ----------------------------------------------------------- */

static bool is_behind(const struct machine *machine,
                      const struct trigger *trigger,
                      const struct recipe_event *event)
{
    const struct run_id *position = &machine->positions[trigger->index];
    if (trigger->kind == TRIGGER_RECIPE &&
        event->id.revision == position->revision)
        return position->place == UINT32_MAX; /* its places are its records' */
    return run_id_compare(&event->id, position) <= 0;
}

static enum turn_end take_list(const struct unit_config *config,
                               const struct trigger *trigger,
                               const struct recipe_event *event)
{
    struct arena arena;
    arena_init(&arena, 0);
    enum turn_end end = take_records(config, trigger, event, &arena);
    arena_deinit(&arena);
    return end;
}

enum turn_end machine_event(struct machine *machine, size_t trigger,
                            const struct recipe_event *event,
                            const struct lookups *lookups, struct turn *turn,
                            struct account *account)
{
    CHECK(machine->is_loaded);
    CHECK_LT(trigger, machine->recipe->trigger_count);
    CHECK_EQ(event->id.tag, 0);
    const struct trigger *its = &machine->recipe->triggers[trigger];
    struct unit_config config = {.machine = machine,
                                 .turn = turn,
                                 .lookups = lookups,
                                 .account = account,
                                 .now_ns = event->time_ns};
    if (machine->has_stopped)
        return turn_is_empty(turn) ? TURN_TAKEN : TURN_FULL;
    if (is_behind(machine, its, event))
        return TURN_TAKEN;
    enum turn_end end = due__fire(&config, trigger);
    if (end != TURN_TAKEN)
        return end;
    if (event->time_ns > machine->latest_ns)
        machine->latest_ns = event->time_ns;
    if (its->kind == TRIGGER_RECIPE)
        return take_list(&config, its, event);
    struct taking taking = {.trigger = trigger};
    scene__from_event(&taking.event, event);
    return unit__do(&config, take, &taking);
}
