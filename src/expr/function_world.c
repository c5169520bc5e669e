/* Functions that ask the world. What it doesn't know yet ends the evaluation;
 * it is begun anew when the answer is there. */
#include "expr/function_int.h"

#include "base/check.h"

enum {
    /* A look into the store costs more than anything else here. */
    ASK_STEPS = 20,
};

static void not_here(struct run *run, const char *name, struct value *out)
{
    *out = run__error(run, "%s() can't be had here", name);
}

static void wait_for_it(struct run *run)
{
    if (run->end == EXPR_DONE)
        run->end = EXPR_WAITS;
}

/* What get() of the world says of a key; VALUE_ABSENT: there is none. */
static bool ask(struct run *run, const char *name,
                const struct value *arguments, size_t count,
                struct value *found, struct value *out)
{
    const struct expr_world *world = run->world;
    if (!function__are_strings(run, name, arguments, count, out))
        return false;
    if (world == NULL || world->get == NULL) {
        not_here(run, name, out);
        return false;
    }
    if (!run__steps(run, ASK_STEPS))
        return false;
    *found = (struct value){.kind = VALUE_ABSENT};
    size_t before = run->arena->used_bytes;
    if (world->get(world->context, arguments[0].text, run->arena, found) ==
        EXPR_PENDING) {
        wait_for_it(run);
        return false;
    }
    CHECK(found->kind != VALUE_LAZY);
    /* A large value isn't of the evaluation's making, but reading one again
     * and again in a loop takes its time. */
    size_t bytes = run->arena->used_bytes - before;
    run->foreign_bytes += bytes;
    return run__steps(run, bytes / FUNCTION_BYTES_A_STEP);
}

void function__exists(struct run *run, const struct value *arguments,
                      size_t count, struct value *out)
{
    struct value found;
    if (!ask(run, "exists", arguments, count, &found, out))
        return;
    *out = found.kind == VALUE_ERROR ? found
                                     : value_bool(found.kind != VALUE_ABSENT);
}

void function__get(struct run *run, const struct value *arguments, size_t count,
                   struct value *out)
{
    struct value found;
    if (!ask(run, "get", arguments, count, &found, out))
        return;
    if (found.kind == VALUE_ABSENT)
        found = (struct value){.kind = VALUE_NULL};
    *out = found;
}

void function__count(struct run *run, const struct value *arguments,
                     size_t count, struct value *out)
{
    const struct expr_world *world = run->world;
    int64_t found;
    if (!function__are_strings(run, "count", arguments, count, out))
        return;
    if (world == NULL || world->count == NULL)
        not_here(run, "count", out);
    else if (!run__steps(run, ASK_STEPS))
        return;
    else if (world->count(world->context, arguments[0].text, &found) ==
             EXPR_PENDING)
        wait_for_it(run);
    else
        *out = value_int(found);
}

void function__secret(struct run *run, const struct value *arguments,
                      size_t count, struct value *out)
{
    const struct expr_world *world = run->world;
    if (!function__are_strings(run, "secret", arguments, count, out))
        return;
    if (world == NULL || world->secret == NULL) {
        not_here(run, "secret", out);
        return;
    }
    if (!run__steps(run, ASK_STEPS))
        return;
    struct value found = {.kind = VALUE_ABSENT};
    if (world->secret(world->context, arguments[0].text, run->arena, &found) ==
        EXPR_PENDING)
        wait_for_it(run);
    else if (found.kind == VALUE_ABSENT)
        *out = run__error(
            run, "no secret '%.*s'",
            arguments[0].text.size > 64 ? 64 : (int)arguments[0].text.size,
            arguments[0].text.at);
    else
        *out = found;
}

void function__now(struct run *run, const struct value *arguments, size_t count,
                   struct value *out)
{
    (void)arguments;
    CHECK_EQ(count, 0);
    if (run->world == NULL)
        not_here(run, "now", out);
    else
        *out = (struct value){.kind = VALUE_TIMESTAMP,
                              .integer = run->world->now_ns};
}
