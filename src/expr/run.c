#include <stdarg.h>
#include <stdio.h>

#include "base/check.h"
#include "expr/code_int.h"

enum {
    /* Deeper than any document (64) with a few lists around it; what compares
     * and writes values recurses this far. */
    VALUE_DEPTH_MAX = 96,
    /* A walk visits this many items for the price of one step. */
    ITEMS_A_STEP = 8,
    BYTES_A_STEP = 64,
    ERROR_TEXT_BYTES_MAX = 256,
    /* Formatting is slow beside everything else that costs one step. */
    ERROR_STEPS = 8,
};

const struct expr_budget expr_budget_default = {
    .steps_max = 100000,
    .bytes_max = 1 << 20,
};

static bool spend_all(struct run *run, const char *what)
{
    if (run->end == EXPR_DONE) {
        run->end = EXPR_TOO_FAR;
        run->spent = what;
    }
    return false;
}

bool run__steps(struct run *run, uint64_t steps)
{
    if (steps > run->steps_left) {
        run->steps_left = 0;
        return spend_all(run, "steps");
    }
    run->steps_left -= steps;
    return true;
}

void *run__alloc(struct run *run, size_t size)
{
    void *memory = NULL;
    if (size <= run->bytes_left)
        memory = arena_try_alloc(run->arena, size);
    if (memory == NULL) {
        spend_all(run, "bytes");
        return NULL;
    }
    run->bytes_left -= size;
    return memory;
}

bool run__item(struct run *run)
{
    size_t made = run->arena->used_bytes - run->bytes_begin;
    CHECK_LE(run->foreign_bytes, made);
    if (made - run->foreign_bytes > run->bytes_max)
        return spend_all(run, "bytes");
    return run__steps(run, 1);
}

static bool weigh(struct run *run, const struct value *value, uint64_t *items,
                  int depth);

static bool weigh_all(struct run *run, const struct value *values, size_t count,
                      uint64_t *items, int depth)
{
    if (depth >= VALUE_DEPTH_MAX)
        return spend_all(run, "levels of lists in lists");
    for (size_t i = 0; i < count; i++) {
        if (!weigh(run, &values[i], items, depth + 1))
            return false;
    }
    return true;
}

/* Stops as soon as the items cost more than there are steps left. */
static bool weigh(struct run *run, const struct value *value, uint64_t *items,
                  int depth)
{
    if (++*items / ITEMS_A_STEP > run->steps_left)
        return run__steps(run, *items / ITEMS_A_STEP);
    switch (value->kind) {
    case VALUE_STRING:
    case VALUE_BYTES:
        *items += value->text.size / BYTES_A_STEP * ITEMS_A_STEP;
        return true;
    case VALUE_LIST:
        return weigh_all(run, value->list->items, value->list->count, items,
                         depth);
    case VALUE_MAP:
        return weigh_all(run, value->map->keys, value->map->count, items,
                         depth) &&
               weigh_all(run, value->map->values, value->map->count, items,
                         depth);
    default:
        return true;
    }
}

bool run__weigh(struct run *run, const struct value *value)
{
    CHECK(value != NULL);
    uint64_t items = 0;
    return weigh(run, value, &items, 0) &&
           run__steps(run, items / ITEMS_A_STEP);
}

struct value run__error(struct run *run, const char *format, ...)
{
    char text[ERROR_TEXT_BYTES_MAX];
    va_list args;
    va_start(args, format);
    int length = vsnprintf(text, sizeof text, format, args);
    va_end(args);
    CHECK(length >= 0);
    size_t size = strlen(text);
    /* Where it was cut, it may have been in the middle of a character. */
    while (size > 0 && !slice_is_utf8(slice_of(text, size)))
        size--;
    struct value error = {.kind = VALUE_ERROR, .text = SLICE("too much")};
    char *copy = run__steps(run, ERROR_STEPS) ? run__alloc(run, size) : NULL;
    if (copy != NULL) {
        memcpy(copy, text, size);
        error.text = slice_of(copy, size);
    }
    return error;
}
