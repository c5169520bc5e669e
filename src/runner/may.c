/* Whose permissions count. Where the store has users, a recipe does what its
 * owner may and no more: its transactions carry the owner's name, and what it
 * watches, looks up and sends out as a secret is asked for here. The service's
 * own keys are the service's. */
#include "runner/runner_core.h"

bool runner__may(const struct runner *runner, struct slice user,
                 enum runner_right right, struct slice key, struct slice end)
{
    const struct runner_doors *doors = &runner->config.doors;
    return !doors->may || doors->may(doors->context, user, right, key, end);
}

/* Nobody is root: but where there are no users everybody may all. */
bool runner__has_users(const struct runner *runner)
{
    return !runner__may(runner, SLICE(""), RUNNER_ADMIN, SLICE(""), SLICE(""));
}

static bool may_name(const struct runner *runner, struct slice user,
                     enum runner_right right, struct slice name)
{
    struct buf key = {0};
    recipe_key_write(&key, RECIPE_KEY_DEF, name, NULL);
    bool may = runner__may(runner, user, right, buf_slice(&key), SLICE(""));
    buf_deinit(&key);
    return may;
}

static bool may_watch(const struct runner *runner, struct slice user,
                      const struct trigger *trigger)
{
    bool is_exact;
    struct slice key = pattern_literal(&trigger->pattern, &is_exact);
    struct buf end = {0};
    if (key.size == 0) { /* all there is */
        key = slice_of("", 1);
        buf_append_char(&end, '\0');
    } else if (!is_exact) {
        store__prefix_end(key, &end);
    }
    bool may = runner__may(runner, user, RUNNER_READ, key, buf_slice(&end));
    buf_deinit(&end);
    return may;
}

bool runner__may_trigger(const struct runner *runner, struct slice user,
                         const struct trigger *trigger)
{
    switch (trigger->kind) {
    case TRIGGER_KEY:
    case TRIGGER_ABSENT:
        return may_watch(runner, user, trigger);
    case TRIGGER_RECIPE:
        return may_name(runner, user, RUNNER_READ, trigger->other.name);
    default:
        return true; /* its own inbox */
    }
}

static const struct action *find_call(const struct runner *runner,
                                      struct slice user,
                                      const struct action *actions,
                                      size_t count)
{
    for (size_t i = 0; i < count; i++) {
        const struct action *action = &actions[i];
        if (action->kind == ACTION_CALL &&
            !may_name(runner, user, RUNNER_WRITE, action->callee))
            return action;
    }
    return NULL;
}

bool runner__may_recipe(const struct runner *runner, struct slice user,
                        const struct recipe *recipe, struct buf *why)
{
    if (!runner->config.doors.may)
        return true;
    for (size_t i = 0; i < recipe->trigger_count; i++) {
        const struct trigger *trigger = &recipe->triggers[i];
        if (!runner__may_trigger(runner, user, trigger)) {
            buf_printf(why,
                       "its owner, %.*s, may not read what if[%zu] "
                       "watches",
                       (int)user.size, user.at, i);
            return false;
        }
    }
    const struct action *call =
        find_call(runner, user, recipe->then, recipe->then_count);
    if (!call)
        call = find_call(runner, user, recipe->on_failure,
                         recipe->on_failure_count);
    if (call)
        buf_printf(why, "its owner, %.*s, may not call \"%.*s\"",
                   (int)user.size, user.at, (int)call->callee.size,
                   call->callee.at);
    return !call;
}
