/* Steps that are the store's business: each adds to the unit, so that they are
 * done in the transaction that says that they have been. */
#include "base/check.h"
#include "recipe/machine_int.h"

/* What a step has to say of itself. */
struct saying {
    struct slice *why;
    struct slice *more;
};

static enum step_end fail(struct unit *unit, struct slice *why)
{
    if (unit->wants)
        return STEP_WANTS;
    if (why->size == 0)
        *why = SLICE("it can't be done");
    return STEP_FAILED;
}

static struct slice note_key(struct unit *unit, const char *name,
                             struct slice key)
{
    struct buf text = {0};
    buf_printf(&text, ",\"%s\":", name);
    record__string(&text, form__shorten(key, ERROR_BYTES_MAX));
    struct slice copy = turn__copy(unit->arena, buf_slice(&text));
    buf_deinit(&text);
    return copy;
}

/* ---- put and delete ----------------------------------------------------- */

/* The service's own keys are nobody else's: a recipe that wrote them could
 * take itself, or another one, out of its order. */
static bool is_own(const struct turn_operation *operation)
{
    struct slice own = SLICE(RECIPES_PREFIX);
    if (operation->end.size == 0)
        return slice_has_prefix(operation->key, own) ||
               slice_eq(operation->key, SLICE("/_recipes"));
    return turn__overlap(operation->key, operation->end, own,
                         SLICE("/_recipes0"));
}

static bool make_operation(struct unit *unit, struct scene *scene,
                           const struct action *action,
                           struct turn_operation *out, struct slice *why)
{
    *out = (struct turn_operation){
        .kind = action->kind == ACTION_PUT ? TURN_PUT : TURN_DELETE,
        .ttl_ns = action->ttl_ns,
        .is_effect = true};
    if (!form__text(scene, action->key, &out->key, why))
        return false;
    if (out->key.size == 0) {
        *why = SLICE("its key is empty");
        return false;
    }
    if (action->kind == ACTION_DELETE && action->prefix)
        out->end = unit__prefix_end(unit->arena, out->key);
    if (is_own(out)) {
        *why = SLICE("what is below /_recipes/ is the service's own");
        return false;
    }
    return action->kind == ACTION_DELETE ||
           form__put_text(scene, action->value, &out->value, why);
}

static enum step_end do_write(struct unit *unit, struct scene *scene,
                              const struct action *action,
                              const struct saying *saying)
{
    struct turn_operation operation;
    const char *why = "";
    if (!make_operation(unit, scene, action, &operation, saying->why))
        return fail(unit, saying->why);
    *saying->more = note_key(unit, "key", operation.key);
    if (unit->machine->recipe->shadow)
        return STEP_DONE;
    if (unit__add_effect(unit, &operation, &why))
        return STEP_DONE;
    *saying->why = slice_str(why);
    return STEP_FAILED;
}

/* ---- txn ---------------------------------------------------------------- */

static bool whole_number(const struct value *value, int64_t *out)
{
    switch (value->kind) {
    case VALUE_INT:
        *out = value->integer;
        return true;
    case VALUE_UINT:
        *out = (int64_t)value->natural;
        return value->natural <= INT64_MAX;
    case VALUE_DOUBLE:
        if (!(value->number > -9e15 && value->number < 9e15))
            return false;
        *out = (int64_t)value->number;
        return (double)*out == value->number;
    case VALUE_STRING:
        return slice_to_i64(value->text, out);
    default:
        return false;
    }
}

static bool make_compare(struct scene *scene, const struct compare *compare,
                         struct turn_compare *out, struct slice *why)
{
    struct value value;
    *out = (struct turn_compare){.value = SLICE("")};
    out->operator=(unsigned) compare->operator;
    if (!form__text(scene, compare->key, &out->key, why))
        return false;
    if (compare->target == COMPARE_VALUE) {
        out->target = TURN_VALUE;
        return form__put_text(scene, compare->value, &out->value, why);
    }
    if (!form__value(scene, compare->value, &value, why))
        return false;
    out->target = compare->target == COMPARE_VERSION    ? TURN_VERSION
                  : compare->target == COMPARE_MODIFIED ? TURN_MOD_REVISION
                                                        : TURN_CREATE_REVISION;
    if (compare->target == COMPARE_EXISTS) {
        bool exists = value.kind == VALUE_BOOL && value.boolean;
        out->operator= exists ? TURN_GREATER : TURN_EQUAL;
        return true;
    }
    if (whole_number(&value, &out->number))
        return true;
    *why = SLICE("a txn compares with something that is no whole number");
    return false;
}

static bool make_branch(struct unit *unit, struct scene *scene,
                        const struct action *actions, size_t count,
                        struct turn_operation **out, struct slice *why)
{
    struct turn_operation *list =
        arena_alloc(unit->arena, (count + 1) * sizeof *list);
    *out = list;
    for (size_t i = 0; i < count; i++) {
        if (!make_operation(unit, scene, &actions[i], &list[i], why))
            return false;
        for (size_t j = 0; j < i; j++) {
            if (turn__overlap(list[i].key, list[i].end, list[j].key,
                              list[j].end)) {
                *why = SLICE("a branch of a txn writes a key twice");
                return false;
            }
        }
    }
    return true;
}

static bool make_txn(struct unit *unit, struct scene *scene,
                     const struct action *action, struct turn_txn *txn,
                     struct slice *why)
{
    txn->compare_count = action->compare_count;
    txn->then_count = action->then_count;
    txn->otherwise_count = action->otherwise_count;
    txn->compares = arena_alloc(unit->arena, (txn->compare_count + 1) *
                                                 sizeof *txn->compares);
    for (size_t i = 0; i < txn->compare_count; i++) {
        if (!make_compare(scene, &action->compares[i], &txn->compares[i], why))
            return false;
    }
    return make_branch(unit, scene, action->then, txn->then_count, &txn->then,
                       why) &&
           make_branch(unit, scene, action->otherwise, txn->otherwise_count,
                       &txn->otherwise, why);
}

static enum step_end do_txn(struct unit *unit, struct scene *scene,
                            const struct action *action,
                            const struct saying *saying)
{
    struct turn_txn *txn = arena_alloc(unit->arena, sizeof *txn);
    struct turn_operation operation = {
        .kind = TURN_TXN, .txn = txn, .is_effect = true};
    const char *why = "";
    *txn = (struct turn_txn){0};
    if (!make_txn(unit, scene, action, txn, saying->why))
        return fail(unit, saying->why);
    struct slice key = txn->then_count        ? txn->then[0].key
                       : txn->otherwise_count ? txn->otherwise[0].key
                                              : SLICE("");
    *saying->more = note_key(unit, "key", key);
    if (unit->machine->recipe->shadow)
        return STEP_DONE;
    if (unit__add_effect(unit, &operation, &why))
        return STEP_DONE;
    *saying->why = slice_str(why);
    return STEP_FAILED;
}

/* ---- log and call ------------------------------------------------------- */

static enum step_end do_log(struct unit *unit, struct scene *scene,
                            const struct action *action,
                            const struct saying *saying)
{
    static const char *const levels[] = {[LOG_AT_DEBUG] = "debug",
                                         [LOG_AT_INFO] = "info",
                                         [LOG_AT_WARN] = "warn",
                                         [LOG_AT_ERROR] = "error"};
    struct slice message;
    if (!form__text(scene, action->message, &message, saying->why))
        return fail(unit, saying->why);
    message = form__shorten(message, LOG_BYTES_MAX);
    if (unit->machine->recipe->shadow)
        return STEP_DONE;
    unit__add_log(unit,
                  form__printf(unit->arena, "%s %.*s", levels[action->level],
                               (int)message.size, message.at));
    return STEP_DONE;
}

/* The callee's inbox key: it is in this transaction, and nobody waits. */
static enum step_end do_call(struct unit *unit, struct run *run,
                             const struct action *action,
                             const struct saying *saying)
{
    struct scene *scene = &run->scene;
    const struct recipe *recipe = unit->machine->recipe;
    struct value args = {.kind = VALUE_NULL};
    char id[RUN_ID_BYTES_MAX];
    if (action->args && !form__value(scene, action->args, &args, saying->why))
        return fail(unit, saying->why);
    *saying->more = note_key(unit, "recipe", action->callee);
    if (recipe->shadow)
        return STEP_DONE;
    struct buf key = {0};
    struct buf value = {0};
    size_t id_size = run_id_to_key(&run->id, id);
    struct slice rest = form__printf(
        unit->arena, "call/%.*s.%.*s.%.*s", (int)recipe->name.size,
        recipe->name.at, (int)id_size, id, (int)action->id.size, action->id.at);
    recipe_key_write(&key, RECIPE_KEY_IN, action->callee, &rest);
    buf_append_str(&value, "{\"args\":");
    buf_append_slice(&value, action->args ? form__json(unit->arena, &args)
                                          : SLICE("{}"));
    id_size = run_id_to_text(&run->id, id);
    buf_printf(&value, ",\"depth\":%u,\"parent\":\"%.*s/%.*s\"}",
               run->event.event.depth + 1, (int)recipe->name.size,
               recipe->name.at, (int)id_size, id);
    unit__put_own(unit, turn__copy(unit->arena, buf_slice(&key)),
                  turn__copy(unit->arena, buf_slice(&value)));
    buf_deinit(&key);
    buf_deinit(&value);
    return STEP_DONE;
}

static enum step_end do_wait(struct run *run, const struct action *action)
{
    int64_t left_ns = INT64_MAX - run->scene.unit->now_ns;
    run->not_before_ns = action->wait_ns < left_ns
                             ? run->scene.unit->now_ns + action->wait_ns
                             : INT64_MAX - 1;
    return STEP_SUSPENDED;
}

enum step_end step__do(struct unit *unit, struct run *run,
                       const struct action *action, struct slice *why,
                       struct slice *more)
{
    struct saying saying = {why, more};
    switch (action->kind) {
    case ACTION_PUT:
    case ACTION_DELETE:
        return do_write(unit, &run->scene, action, &saying);
    case ACTION_TXN:
        return do_txn(unit, &run->scene, action, &saying);
    case ACTION_LOG:
        return do_log(unit, &run->scene, action, &saying);
    case ACTION_CALL:
        return do_call(unit, run, action, &saying);
    case ACTION_WAIT:
        return unit->machine->recipe->shadow ? STEP_DONE : do_wait(run, action);
    case ACTION_HTTP:
    case ACTION_EMAIL:
    case ACTION_EXEC:
        return outside__begin(unit, run, action, why, more);
    }
    UNREACHABLE();
}
