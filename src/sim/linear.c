#include "sim/linear.h"

#include <stdlib.h>

#include "base/check.h"
#include "base/mem.h"

/* A place in the list of calls and returns, by time. What was given its
 * moment is taken out, and put back where the search turns round. */
struct place {
    struct place *next;
    struct place *prev;
    int64_t at_ns;
    size_t op;
    bool is_return;
};

/* One choice: an operation, and what was before it. */
struct choice {
    size_t op;
    bool is_open;
    linear_value value;
};

/* A set of 64-bit names; 0 is none. Two different pairs of operations and
 * value have the same name once in 2^64 looks. */
struct seen {
    uint64_t *slots;
    size_t capacity;
    size_t count;
};

struct search {
    const struct linear_op *ops;
    struct place *calls;   /* by op */
    struct place *returns; /* by op */
    struct place head;
    size_t *open; /* those that never returned, by call */
    size_t open_count;
    bool *open_taken;
    struct choice *choices;
    size_t depth;
    struct seen seen;
    uint64_t taken; /* names of all that have their moment, xored */
    linear_value value;
    uint64_t steps_left;
};

/* ---- the register -------------------------------------------------------- */

static bool apply_refused(const struct linear_op *op, linear_value now)
{
    switch (op->kind) {
    case LINEAR_CREATE:
        return now != 0;
    case LINEAR_UPDATE:
    case LINEAR_DELETE:
        return now == 0;
    case LINEAR_SWAP:
    case LINEAR_REMOVE:
        return op->seen == 0 ? now == 0 : now != 0 && now != op->expect;
    case LINEAR_PUT_IF:
        return now == op->seen && now != op->expect;
    case LINEAR_END_IF:
        return now == op->seen && (now == 0 || now != op->expect);
    case LINEAR_READ:
    case LINEAR_SET:
        break;
    }
    return false;
}

/* Whether it could be done at all, whatever was told. */
static bool takes_effect(const struct linear_op *op, linear_value now)
{
    switch (op->kind) {
    case LINEAR_READ:
    case LINEAR_SET:
        return true;
    case LINEAR_CREATE:
        return now == 0;
    case LINEAR_UPDATE:
    case LINEAR_DELETE:
        return now != 0;
    case LINEAR_SWAP:
    case LINEAR_REMOVE:
    case LINEAR_END_IF:
        return now != 0 && now == op->expect;
    case LINEAR_PUT_IF:
        return now == op->expect;
    }
    return false;
}

static bool tells_before(enum linear_kind kind)
{
    return kind == LINEAR_READ || kind == LINEAR_SET || kind == LINEAR_UPDATE ||
           kind == LINEAR_DELETE;
}

bool linear_apply(const struct linear_op *op, linear_value *value)
{
    bool open = op->return_ns == LINEAR_NEVER;
    if (!open && op->refused)
        return apply_refused(op, *value);
    if (!takes_effect(op, *value))
        return open;
    if (!open && tells_before(op->kind) && op->seen != *value)
        return false;
    if (op->kind == LINEAR_DELETE || op->kind == LINEAR_REMOVE ||
        op->kind == LINEAR_END_IF)
        *value = 0;
    else if (op->kind != LINEAR_READ)
        *value = op->value;
    return true;
}

/* ---- what was seen ------------------------------------------------------- */

static uint64_t mix(uint64_t x)
{
    x += UINT64_C(0x9e3779b97f4a7c15);
    x = (x ^ (x >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    x = (x ^ (x >> 27)) * UINT64_C(0x94d049bb133111eb);
    return x ^ (x >> 31);
}

static bool add_slot(struct seen *seen, uint64_t name)
{
    size_t mask = seen->capacity - 1;
    size_t at = (size_t)name & mask;
    while (seen->slots[at] != 0 && seen->slots[at] != name)
        at = (at + 1) & mask;
    if (seen->slots[at] == name)
        return false;
    seen->slots[at] = name;
    seen->count++;
    return true;
}

static void grow(struct seen *seen)
{
    struct seen old = *seen;
    seen->capacity = old.capacity ? old.capacity * 2 : 256;
    seen->count = 0;
    seen->slots = mem_alloc_zero(seen->capacity * sizeof *seen->slots);
    for (size_t i = 0; i < old.capacity; i++)
        if (old.slots[i])
            CHECK(add_slot(seen, old.slots[i]));
    mem_free(old.slots);
}

/* True: these operations with this value were not seen before. */
static bool is_new(struct search *search, uint64_t taken, linear_value value)
{
    uint64_t name = mix(taken ^ mix(value + UINT64_C(0x5bd1e995)));
    if (search->seen.count * 2 >= search->seen.capacity)
        grow(&search->seen);
    return add_slot(&search->seen, name ? name : 1);
}

/* ---- the list ------------------------------------------------------------ */

static void take_out(struct place *place)
{
    place->prev->next = place->next;
    if (place->next)
        place->next->prev = place->prev;
}

static void put_back(struct place *place)
{
    place->prev->next = place;
    if (place->next)
        place->next->prev = place;
}

/* Calls before returns of the same moment: they overlap. */
static int by_time(const void *left, const void *right)
{
    const struct place *a = *(struct place *const *)left;
    const struct place *b = *(struct place *const *)right;
    if (a->at_ns != b->at_ns)
        return a->at_ns < b->at_ns ? -1 : 1;
    if (a->is_return != b->is_return)
        return a->is_return ? 1 : -1;
    return (a->op > b->op) - (a->op < b->op);
}

static void link_places(struct search *search, size_t count)
{
    struct place **order = mem_alloc((2 * count + 1) * sizeof *order);
    size_t used = 0;
    for (size_t i = 0; i < count; i++) {
        const struct linear_op *op = &search->ops[i];
        CHECK(i == 0 || search->ops[i - 1].call_ns <= op->call_ns);
        CHECK_LE(op->call_ns, op->return_ns);
        search->calls[i] = (struct place){.at_ns = op->call_ns, .op = i};
        search->returns[i] =
            (struct place){.at_ns = op->return_ns, .op = i, .is_return = true};
        if (op->return_ns == LINEAR_NEVER) {
            search->open[search->open_count++] = i;
            continue;
        }
        order[used++] = &search->calls[i];
        order[used++] = &search->returns[i];
    }
    qsort(order, used, sizeof *order, by_time);
    struct place *last = &search->head;
    for (size_t i = 0; i < used; i++) {
        last->next = order[i];
        order[i]->prev = last;
        last = order[i];
    }
    last->next = NULL;
    mem_free(order);
}

/* ---- the search ---------------------------------------------------------- */

static uint64_t name_of(size_t op)
{
    return mix(op + 1);
}

static void choose(struct search *search, size_t op, bool is_open,
                   linear_value value)
{
    search->choices[search->depth++] =
        (struct choice){.op = op, .is_open = is_open, .value = search->value};
    search->taken ^= name_of(op);
    search->value = value;
    if (!is_open) {
        take_out(&search->calls[op]);
        take_out(&search->returns[op]);
    }
}

/* Takes the last choice back. */
static struct choice turn_round(struct search *search)
{
    struct choice choice = search->choices[--search->depth];
    search->taken ^= name_of(choice.op);
    search->value = choice.value;
    if (!choice.is_open) {
        put_back(&search->returns[choice.op]);
        put_back(&search->calls[choice.op]);
    }
    return choice;
}

static bool try_op(struct search *search, size_t op, bool is_open)
{
    linear_value value = search->value;
    if (!linear_apply(&search->ops[op], &value))
        return false;
    /* What never returned and changes nothing needs no moment. */
    if (is_open && value == search->value)
        return false;
    if (!is_new(search, search->taken ^ name_of(op), value))
        return false;
    choose(search, op, is_open, value);
    return true;
}

/* One of those that returned, at or behind `from`; those whose call lies
 * behind the first return can't be the next. *out_end is that return. */
static bool try_closed(struct search *search, struct place *from,
                       struct place **out_end)
{
    for (; !from->is_return; from = from->next)
        if (try_op(search, from->op, false))
            return true;
    *out_end = from;
    return false;
}

/* One of those that never did, from the n-th on. */
static bool try_open(struct search *search, const struct place *end, size_t n)
{
    for (; n < search->open_count; n++) {
        size_t op = search->open[n];
        if (search->ops[op].call_ns > end->at_ns)
            return false;
        if (search->open_taken[n])
            continue;
        if (try_op(search, op, true)) {
            search->open_taken[n] = true;
            return true;
        }
    }
    return false;
}

static size_t open_number(const struct search *search, size_t op)
{
    size_t n = 0;
    while (search->open[n] != op)
        n++;
    return n;
}

static struct place *first_return(struct search *search)
{
    struct place *place = search->head.next;
    while (!place->is_return)
        place = place->next;
    return place;
}

/* The next choice behind those that failed; false: there is none at all. */
static bool go_back(struct search *search)
{
    while (search->depth > 0) {
        struct place *end = NULL;
        size_t n = 0;
        struct choice last = turn_round(search);
        if (last.is_open) {
            n = open_number(search, last.op);
            search->open_taken[n++] = false;
            end = first_return(search);
        } else if (try_closed(search, search->calls[last.op].next, &end)) {
            return true;
        }
        if (try_open(search, end, n))
            return true;
    }
    return false;
}

static enum linear_verdict run(struct search *search)
{
    while (search->head.next) {
        struct place *end = NULL;
        if (search->steps_left-- == 0)
            return LINEAR_UNSURE;
        if (try_closed(search, search->head.next, &end) ||
            try_open(search, end, 0))
            continue;
        if (!go_back(search))
            return LINEAR_BAD;
    }
    return LINEAR_GOOD;
}

enum linear_verdict linear_check(const struct linear_op *ops, size_t count,
                                 linear_value start, uint64_t steps_max)
{
    CHECK_LE(count, LINEAR_OPS_MAX);
    struct search search = {
        .ops = ops,
        .calls = mem_alloc_zero((count + 1) * sizeof(struct place)),
        .returns = mem_alloc_zero((count + 1) * sizeof(struct place)),
        .open = mem_alloc_zero((count + 1) * sizeof(size_t)),
        .open_taken = mem_alloc_zero((count + 1) * sizeof(bool)),
        .choices = mem_alloc_zero((count + 1) * sizeof(struct choice)),
        .value = start,
        .steps_left = steps_max,
    };
    link_places(&search, count);
    enum linear_verdict verdict = run(&search);
    mem_free(search.calls);
    mem_free(search.returns);
    mem_free(search.open);
    mem_free(search.open_taken);
    mem_free(search.choices);
    mem_free(search.seen.slots);
    return verdict;
}
