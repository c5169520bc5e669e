/* A run: from what has fired to its record.
 *
 *   fire -> limits -> begin -> QUEUED ------> steps ---> record
 *                       |        (due)        ^   |
 *                       +---------------------+   +--> OUTSIDE, WAITING
 *                                             ^            |
 *                                             +------------+ answered, due
 *
 * A step that fails ends `then` and begins on_failure; one that fails there
 * ends the run. */
#include "base/check.h"
#include "recipe/machine_int.h"

enum {
    /* Runs that one newer one cancels, at most: a record each. */
    CANCEL_MAX = 64,
};

struct run_id run__id(size_t trigger, const struct run_id *event, uint32_t tag)
{
    struct run_id id = *event;
    if (trigger == SIZE_MAX)
        return id;
    if (tag)
        id.tag = tag + (uint32_t)trigger;
    else if (trigger)
        id.tag = RUN_TAG_TRIGGER + (uint32_t)trigger;
    return id;
}

static struct run *new_run(struct unit *unit, size_t trigger,
                           const struct scene_event *event,
                           const struct run_id *id)
{
    struct run *run = arena_alloc(unit->arena, sizeof *run);
    *run = (struct run){.id = *id,
                        .origin = *id,
                        .trigger = trigger,
                        .event = *event,
                        .started_ns = unit->now_ns,
                        .scope = SLICE(""),
                        .error = SLICE(""),
                        .notes = SLICE(""),
                        .step = SLICE(""),
                        .request = SLICE("")};
    return run;
}

/* ---- its end ------------------------------------------------------------ */

static void finish(struct unit *unit, struct run *run, enum run_status status)
{
    unit__add_run(unit, &run->id, status, record__of_run(unit, run, status));
    if (run->memo)
        unit__drop(unit, run->memo);
    run->memo = NULL;
    if (status == RUN_FAILED)
        unit->failed++;
}

void run__record_failed(struct unit *unit, size_t trigger,
                        const struct scene_event *event,
                        const struct run_id *id, struct slice error)
{
    struct run *run = new_run(unit, trigger, event, id);
    run->error = form__shorten(error, ERROR_BYTES_MAX);
    account__outcome(unit->account, "failed: %.*s", (int)run->error.size,
                     run->error.at);
    finish(unit, run, RUN_FAILED);
}

/* False: that was its end. */
static bool turn_to_failure(struct unit *unit, struct run *run,
                            struct slice error)
{
    if (run->in_failure) {
        run->error = form__shorten(
            form__printf(unit->arena, "%.*s; then %.*s", (int)run->error.size,
                         run->error.at, (int)error.size, error.at),
            ERROR_BYTES_MAX);
    } else {
        run->error = form__shorten(error, ERROR_BYTES_MAX);
    }
    if (run->in_failure || unit->level == UNIT_FAILS_BARE) {
        finish(unit, run, RUN_FAILED);
        return false;
    }
    run->in_failure = true;
    run->next = 0;
    run->scene.error = run->error;
    scene__forget_steps(&run->scene);
    return true;
}

void run__fail(struct unit *unit, struct run *run, struct slice error)
{
    if (turn_to_failure(unit, run, error))
        run__go_on(unit, run);
}

/* ---- its steps ---------------------------------------------------------- */

static const struct action *list_of(const struct recipe *recipe,
                                    const struct run *run, size_t *count)
{
    *count = run->in_failure ? recipe->on_failure_count : recipe->then_count;
    return run->in_failure ? recipe->on_failure : recipe->then;
}

const struct action *run__action(const struct unit *unit, const struct run *run)
{
    size_t count;
    const struct action *list = list_of(unit->machine->recipe, run, &count);
    return run->next < count ? &list[run->next] : NULL;
}

void run__note(struct unit *unit, struct run *run, const struct action *action,
               const char *status, struct slice more)
{
    run->notes = form__printf(
        unit->arena,
        "%.*s%s{\"id\":\"%.*s\",\"kind\":\"%s\",\"status\":\"%s\"%.*s}",
        (int)run->notes.size, run->notes.at, run->notes.size ? "," : "",
        (int)action->id.size, action->id.at, action_kind_text(action->kind),
        status, (int)more.size, more.at);
}

static void note_error(struct unit *unit, struct run *run,
                       const struct action *action, struct slice why,
                       struct slice more)
{
    struct buf text = {0};
    buf_append_slice(&text, more);
    buf_append_str(&text, ",\"error\":");
    record__string(&text, form__shorten(why, ERROR_BYTES_MAX));
    run__note(unit, run, action, "failed", buf_slice(&text));
    buf_deinit(&text);
}

/* Its own `if`. */
static enum step_end is_wanted(struct run *run, const struct action *action,
                               bool *wanted, struct slice *why)
{
    struct value value;
    *wanted = true;
    if (!action->when)
        return STEP_DONE;
    if (!scene__eval(&run->scene, action->when, &value))
        return STEP_WANTS;
    *wanted = value.kind == VALUE_BOOL && value.boolean;
    if (value.kind == VALUE_BOOL)
        return STEP_DONE;
    *why = value.kind == VALUE_ERROR
               ? value.text
               : SLICE("its `if` is neither true nor false");
    return STEP_FAILED;
}

static enum step_end do_action(struct unit *unit, struct run *run,
                               const struct action *action, struct slice *why)
{
    bool wanted;
    struct slice more = SLICE("");
    const char *status = unit->machine->recipe->shadow ? "shadow" : "ok";
    enum step_end end = is_wanted(run, action, &wanted, why);
    if (end == STEP_DONE && wanted)
        end = step__do(unit, run, action, why, &more);
    if (end == STEP_DONE)
        run__note(unit, run, action, wanted ? status : "skipped", more);
    else if (end == STEP_FAILED)
        note_error(unit, run, action, *why, more);
    return end;
}

static struct slice say_failed(struct unit *unit, const struct action *action,
                               struct slice why)
{
    return form__printf(unit->arena, "step %.*s (%s): %.*s",
                        (int)action->id.size, action->id.at,
                        action_kind_text(action->kind), (int)why.size, why.at);
}

void run__go_on(struct unit *unit, struct run *run)
{
    const struct action *action;
    while ((action = run__action(unit, run)) != NULL) {
        struct slice why = SLICE("");
        switch (do_action(unit, run, action, &why)) {
        case STEP_DONE:
            run->next++;
            break;
        case STEP_FAILED:
            if (!turn_to_failure(unit, run, say_failed(unit, action, why)))
                return;
            break;
        case STEP_SUSPENDED:
            run->step = action->id;
            run__suspend(unit, run,
                         action->kind == ACTION_WAIT ? ACTIVE_WAITING
                                                     : ACTIVE_OUTSIDE);
            return;
        case STEP_WANTS:
            return;
        }
    }
    finish(unit, run, run->in_failure ? RUN_FAILED : RUN_OK);
}

void run__set_scene(struct unit *unit, struct run *run)
{
    const struct recipe *recipe = unit->machine->recipe;
    scene__init(&run->scene, unit, run->trigger, &run->event);
    run->scene.answers = run->answers;
    run->scene.answer_count = run->answer_count;
    run->scene.error = run->error;
    for (size_t i = 0; i < recipe->let_count; i++) {
        const struct value *value =
            value_member(&run->lets, recipe->lets[i].name);
        if (value)
            run->scene.slots[recipe->lets[i].slot] = *value;
    }
}

/* What it needs to go on is written down: it goes on from there, whether or
 * not there is a crash in between. */
void run__suspend(struct unit *unit, struct run *run, enum active_state state)
{
    struct machine *machine = unit->machine;
    struct buf value = {0};
    char id[RUN_ID_BYTES_MAX];
    bool is_new = run->sequence == 0;
    run->state = state;
    scene__settle_lets(&run->scene);
    if (unit->wants)
        return;
    if (is_new)
        run->sequence = machine->next_sequence;
    record__write_active(machine, run, &value);
    struct memo *memo =
        memo__new(machine, MEMO_ACTIVE, SIZE_MAX,
                  slice_of(id, run_id_to_key(&run->id, id)), buf_slice(&value));
    buf_deinit(&value);
    memo__set_active(memo, run);
    unit__set(unit, memo);
    run->memo = memo;
    if (is_new)
        unit__add_run(unit, &run->id, RUN_ACTIVE,
                      record__of_run(unit, run, RUN_ACTIVE));
}

struct run *run__resume(struct unit *unit, struct memo *memo)
{
    struct doc_value *doc;
    struct run *run = arena_alloc(unit->arena, sizeof *run);
    enum err err = record__parse(unit->arena, memo->value, &doc);
    if (!err)
        err = record__read_active(unit->machine, unit->arena, doc, run);
    CHECK_EQ(err, ERR_OK); /* it was read when it was loaded */
    run->memo = memo;
    unit->depth = run->event.event.depth;
    run__set_scene(unit, run);
    if (run->step.size == 0 || run__action(unit, run))
        return run;
    run__fail(unit, run,
              form__printf(unit->arena,
                           "step %.*s isn't in the recipe any more",
                           (int)run->step.size, run->step.at));
    return NULL;
}

/* ---- its beginning ------------------------------------------------------ */

static struct slice scope_of(const struct recipe *recipe,
                             const struct scene_event *event)
{
    if (recipe->mode == MODE_PARALLEL || recipe->order == ORDER_NONE)
        return SLICE("");
    return recipe->order == ORDER_STRICT ? SLICE("strict") : event->event.key;
}

static void cancel(struct unit *unit, struct memo *memo)
{
    struct doc_value *doc;
    struct run *run = arena_alloc(unit->arena, sizeof *run);
    enum err err = record__parse(unit->arena, memo->value, &doc);
    if (!err)
        err = record__read_active(unit->machine, unit->arena, doc, run);
    CHECK_EQ(err, ERR_OK); /* it was read when it was loaded */
    run->memo = memo;
    finish(unit, run, RUN_CANCELLED);
}

static void cancel_all(struct unit *unit, struct slice scope)
{
    struct memo *memo;
    for (unsigned i = 0; i < CANCEL_MAX; i++) {
        memo = memo__first_in_scope(unit->machine, scope);
        if (!memo)
            return;
        cancel(unit, memo);
    }
}

/* False: it isn't to begin now. */
static bool may_begin(struct unit *unit, struct run *run)
{
    const struct recipe *recipe = unit->machine->recipe;
    if (run->scope.size == 0 ||
        !memo__first_in_scope(unit->machine, run->scope))
        return true;
    switch (recipe->mode) {
    case MODE_SINGLE:
        finish(unit, run, RUN_SKIPPED);
        return false;
    case MODE_RESTART:
        cancel_all(unit, run->scope);
        return true;
    case MODE_QUEUED:
        run__suspend(unit, run, ACTIVE_QUEUED);
        return false;
    case MODE_PARALLEL:
        break;
    }
    return true;
}

void run__begin(struct unit *unit, size_t trigger,
                const struct scene_event *event, const struct run_id *id)
{
    struct run *run = new_run(unit, trigger, event, id);
    run->scope = scope_of(unit->machine->recipe, event);
    run__set_scene(unit, run);
    unit->fired++;
    unit->depth = event->event.depth;
    account__fired(unit->account);
    if (unit->level != UNIT_NORMAL)
        run__fail(unit, run, slice_str(unit->refusal));
    else if (may_begin(unit, run))
        run__go_on(unit, run);
}

void run__fire(struct unit *unit, size_t trigger,
               const struct scene_event *event, uint32_t tag)
{
    const struct recipe *recipe = unit->machine->recipe;
    struct run_id id = run__id(trigger, &event->event.id, tag);
    struct scene scene;
    if (event->event.depth > recipe->max_depth) {
        struct slice why = form__printf(unit->arena, "loop: depth %u > %u",
                                        event->event.depth, recipe->max_depth);
        run__record_failed(unit, trigger, event, &id, why);
        return;
    }
    scene__init(&scene, unit, trigger, event);
    if (limit__dedupe(unit, &scene, &id) && limit__debounce(unit, &scene) &&
        limit__throttle(unit) && limit__breaker(unit, event))
        run__begin(unit, trigger, event, &id);
}
