/* The five macros over a list or a map's keys, one item at a time.
 *
 *   all     a && over the items: one false decides, whatever errors there are
 *   exists  the same with || and true
 *   exists_one, filter, map   the first error is the result
 */
#include "base/check.h"
#include "expr/code_int.h"

static void finish(const struct loop *loop, struct value *result)
{
    switch (loop->macro) {
    case MACRO_ALL:
    case MACRO_EXISTS:
        *result = loop->error.kind == VALUE_ERROR
                      ? loop->error
                      : value_bool(loop->macro == MACRO_ALL);
        break;
    case MACRO_EXISTS_ONE:
        *result = value_bool(loop->made_count == 1);
        break;
    default:
        CHECK_LE(loop->made_count, loop->count);
        loop->list->items = loop->made;
        loop->list->count = loop->made_count;
        *result = (struct value){.kind = VALUE_LIST, .list = loop->list};
    }
}

/* Room for a list that is as long as the range. */
static bool make_room(struct run *run, struct loop *loop)
{
    if (loop->macro != MACRO_FILTER && loop->macro != MACRO_MAP)
        return true;
    loop->list = run__alloc(run, sizeof *loop->list);
    loop->made = run__alloc(run, loop->count * sizeof(struct value));
    return loop->list != NULL && loop->made != NULL;
}

bool loop__begin(struct run *run, struct loop *loop, enum macro macro,
                 const struct value *range, struct value *result)
{
    *loop = (struct loop){.macro = macro, .error.kind = VALUE_NULL};
    *result = *range;
    if (range->kind == VALUE_LIST) {
        loop->items = range->list->items;
        loop->count = range->list->count;
    } else if (range->kind == VALUE_MAP) {
        loop->items = range->map->keys;
        loop->count = range->map->count;
    } else {
        if (range->kind != VALUE_ERROR)
            *result = run__error(run,
                                 "no such overload: a macro over a value of "
                                 "kind %s, which is no list and no map",
                                 value_kind_text(range->kind));
        return false;
    }
    if (!make_room(run, loop))
        return false;
    if (loop->count == 0)
        finish(loop, result);
    return loop->count > 0;
}

static struct value not_bool(struct run *run, const struct value *value)
{
    if (value->kind == VALUE_ERROR)
        return *value;
    return run__error(run,
                      "no such overload: a condition gave a value of kind %s",
                      value_kind_text(value->kind));
}

/* False: *result is decided. */
static bool take_logic(struct run *run, struct loop *loop,
                       const struct value *value, struct value *result)
{
    bool decides = loop->macro == MACRO_EXISTS;
    if (value->kind == VALUE_BOOL) {
        *result = *value;
        return value->boolean != decides;
    }
    if (loop->error.kind != VALUE_ERROR)
        loop->error = not_bool(run, value);
    return true;
}

static bool take_condition(struct run *run, struct loop *loop,
                           const struct value *value, struct value *result)
{
    if (value->kind != VALUE_BOOL) {
        *result = not_bool(run, value);
        return false;
    }
    if (!value->boolean)
        return true;
    if (loop->macro == MACRO_FILTER)
        loop->made[loop->made_count] = *loop__item(loop);
    loop->made_count++;
    return true;
}

static bool take(struct run *run, struct loop *loop, const struct value *value,
                 struct value *result)
{
    if (value == NULL)
        return true;
    switch (loop->macro) {
    case MACRO_ALL:
    case MACRO_EXISTS:
        return take_logic(run, loop, value, result);
    case MACRO_EXISTS_ONE:
    case MACRO_FILTER:
        return take_condition(run, loop, value, result);
    default:
        *result = *value;
        if (value->kind == VALUE_ERROR)
            return false;
        loop->made[loop->made_count++] = *value;
        return true;
    }
}

bool loop__step(struct run *run, struct loop *loop, const struct value *value,
                struct value *result)
{
    CHECK_LT(loop->index, loop->count);
    if (!take(run, loop, value, result) || !run__item(run))
        return false;
    if (++loop->index < loop->count)
        return true;
    finish(loop, result);
    return false;
}
