/* The machine that code_int.h describes.
 *
 * Budget: each operation and each item of a loop is a step. What operators
 * and functions do beyond that they take from the budget themselves. What the
 * evaluation has put in the arena is looked at once an item of a loop, since
 * error texts and the like don't come from run__alloc.
 */
#include "base/check.h"
#include "expr/code_int.h"

enum {
    /* Of the C stack: what nearly every expression needs. */
    STACK_SMALL = 24,
};

struct machine {
    struct run *run;
    const struct op *ops;
    uint32_t at;         /* the next operation */
    struct value *top;   /* the next free place of the stack */
    struct value *stack; /* its first place */
    uint32_t loop_count;
    struct loop *loops;
};

void run__init(struct run *run, const struct expr_world *world,
               const struct expr_budget *budget, struct arena *arena,
               struct value *slots)
{
    static const struct expr_world nowhere;
    if (budget == NULL)
        budget = &expr_budget_default;
    *run = (struct run){.world = world ? world : &nowhere,
                        .arena = arena,
                        .slots = slots,
                        .bytes_begin = arena->used_bytes,
                        .steps_left = budget->steps_max,
                        .bytes_left = budget->bytes_max,
                        .bytes_max = budget->bytes_max,
                        .end = EXPR_DONE};
}

/* ---- ingredients -------------------------------------------------------- */

/* What the world has put in the arena isn't of the evaluation's making. */
static void ask_world(struct run *run, size_t slot, struct value *value)
{
    const struct expr_world *world = run->world;
    if (world->ingredient == NULL) {
        value->kind = VALUE_ABSENT;
        return;
    }
    size_t before = run->arena->used_bytes;
    if (world->ingredient(world->context, slot, run->arena, value) ==
        EXPR_PENDING) {
        value->kind = VALUE_LAZY;
        run->end = EXPR_WAITS;
        return;
    }
    CHECK(value->kind != VALUE_LAZY);
    run->foreign_bytes += run->arena->used_bytes - before;
}

static void push_slot(struct machine *machine, const struct op *op)
{
    struct value *value = &machine->run->slots[op->index];
    if (value->kind == VALUE_LAZY)
        ask_world(machine->run, op->index, value);
    *machine->top++ = *value;
    if (value->kind == VALUE_ABSENT && op->detail != SLOT_MAY_BE_ABSENT)
        machine->top[-1] =
            run__error(machine->run, "there is no '%.*s' at this event",
                       (int)op->text->size, op->text->at);
}

static void push_has_slot(struct machine *machine, const struct op *op)
{
    struct value *value = &machine->run->slots[op->index];
    if (value->kind == VALUE_LAZY)
        ask_world(machine->run, op->index, value);
    *machine->top++ = value_bool(value->kind != VALUE_ABSENT);
}

/* ---- operations --------------------------------------------------------- */

static void do_not(struct machine *machine)
{
    struct value *x = machine->top - 1;
    if (x->kind == VALUE_BOOL)
        x->boolean = !x->boolean;
    else if (x->kind != VALUE_ERROR)
        *x = run__error(machine->run, "no such overload: !%s",
                        value_kind_text(x->kind));
}

static void do_negate(struct machine *machine)
{
    struct value *x = machine->top - 1;
    struct value result;
    if (x->kind == VALUE_ERROR)
        return;
    operator__negate(machine->run, x, &result);
    *x = result;
}

/* Ints are what is mostly compared; the rest is operator.c's. */
static bool compare_ints(enum operator operator, int64_t x, int64_t y,
                         bool *out)
{
    switch (operator) {
    case OPERATOR_EQUAL:
        *out = x == y;
        return true;
    case OPERATOR_UNEQUAL:
        *out = x != y;
        return true;
    case OPERATOR_LESS:
        *out = x < y;
        return true;
    case OPERATOR_LESS_EQUAL:
        *out = x <= y;
        return true;
    case OPERATOR_GREATER:
        *out = x > y;
        return true;
    case OPERATOR_GREATER_EQUAL:
        *out = x >= y;
        return true;
    default:
        return false;
    }
}

static void do_binary(struct machine *machine, enum operator operator)
{
    struct value *y = --machine->top;
    struct value *x = y - 1;
    bool answer;
    if (x->kind == VALUE_INT && y->kind == VALUE_INT &&
        compare_ints(operator, x->integer, y->integer, &answer)) {
        *x = value_bool(answer);
    } else if (x->kind == VALUE_ERROR) {
        return;
    } else if (y->kind == VALUE_ERROR) {
        *x = *y;
    } else {
        struct value result;
        operator__apply(machine->run, operator, x, y, &result);
        *x = result;
    }
}

static void do_call(struct machine *machine, const struct op *op)
{
    struct value *arguments = machine->top - op->index;
    struct value result = {.kind = VALUE_NULL};
    bool failed = false;
    for (uint32_t i = 0; i < op->index && !failed; i++) {
        failed = arguments[i].kind == VALUE_ERROR;
        result = failed ? arguments[i] : result;
    }
    if (!failed)
        op->function->call(machine->run, arguments, op->index, &result);
    arguments[0] = result;
    machine->top = arguments + 1;
}

static void do_collect(struct machine *machine, const struct op *op)
{
    bool is_map = op->code == OP_MAP;
    struct value *values = machine->top - op->index * (is_map ? 2u : 1u);
    struct value result;
    if (is_map)
        collect__map(machine->run, values, op->index, &result);
    else
        collect__list(machine->run, values, op->index, &result);
    values[0] = result;
    machine->top = values + 1;
}

static void do_field(struct machine *machine, const struct op *op)
{
    struct value *x = machine->top - 1;
    struct value result;
    if (op->code == OP_FIELD)
        collect__field(machine->run, x, *op->text, &result);
    else
        collect__has_field(machine->run, x, *op->text, &result);
    *x = result;
}

/* ---- logic -------------------------------------------------------------- */

static bool is_bool(const struct value *value, bool which)
{
    return value->kind == VALUE_BOOL && value->boolean == which;
}

static struct value not_bool(struct run *run, const struct value *value,
                             const char *what)
{
    if (value->kind == VALUE_ERROR)
        return *value;
    return run__error(run, "no such overload: %s of a value of kind %s", what,
                      value_kind_text(value->kind));
}

/* Either side decides alone, whatever the other one is; else an error of the
 * left one, then of the right one, is the result. */
static void do_logic(struct machine *machine, bool decides, const char *what)
{
    struct value *y = --machine->top;
    struct value *x = y - 1;
    if (is_bool(x, decides))
        return;
    if (is_bool(y, decides) || x->kind == VALUE_BOOL)
        *x = *y;
    if (x->kind != VALUE_BOOL)
        *x = not_bool(machine->run, x, what);
}

static void do_choose(struct machine *machine, const struct op *op)
{
    struct value *x = --machine->top;
    if (is_bool(x, true))
        return;
    if (!is_bool(x, false)) {
        *machine->top++ = not_bool(machine->run, x, "?:");
        /* Past the second branch, too. */
        CHECK(machine->ops[op->index - 1].code == OP_JUMP);
        machine->at = machine->ops[op->index - 1].index;
        return;
    }
    machine->at = op->index;
}

/* ---- loops -------------------------------------------------------------- */

static void do_loop(struct machine *machine, const struct op *op)
{
    struct value range = *--machine->top;
    CHECK(machine->loop_count < EXPR_DEPTH_MAX);
    struct loop *loop = &machine->loops[machine->loop_count];
    if (loop__begin(machine->run, loop, (enum macro)op->detail, &range,
                    machine->top)) {
        loop->end = op->index;
        machine->loop_count++;
        return;
    }
    machine->top++;
    machine->at = op->index + 1;
}

/* `value` is what the body gave; `end` is the loop's end. */
static void next_item(struct machine *machine, const struct op *end,
                      const struct value *value)
{
    struct loop *loop = &machine->loops[machine->loop_count - 1];
    struct value result;
    if (loop__step(machine->run, loop, value, &result)) {
        machine->at = end->index;
        return;
    }
    machine->loop_count--;
    *machine->top++ = result;
    machine->at = (uint32_t)(end - machine->ops) + 1;
}

static void do_loop_if(struct machine *machine)
{
    struct value condition = *--machine->top;
    if (is_bool(&condition, true))
        return;
    struct loop *loop = &machine->loops[machine->loop_count - 1];
    const struct op *end = &machine->ops[loop->end];
    if (is_bool(&condition, false)) {
        next_item(machine, end, NULL);
        return;
    }
    condition = not_bool(machine->run, &condition, "map()");
    next_item(machine, end, &condition);
}

static void do_loop_end(struct machine *machine, const struct op *op)
{
    struct value value = *--machine->top;
    next_item(machine, op, &value);
}

/* ---- the machine -------------------------------------------------------- */

static void do_rare(struct machine *machine, const struct op *op)
{
    switch ((enum op_code)op->code) {
    case OP_HAS_SLOT:
        push_has_slot(machine, op);
        break;
    case OP_NEGATE:
        do_negate(machine);
        break;
    case OP_LIST:
    case OP_MAP:
        do_collect(machine, op);
        break;
    case OP_CHOOSE:
        do_choose(machine, op);
        break;
    case OP_LOOP:
        do_loop(machine, op);
        break;
    case OP_LOOP_IF:
        do_loop_if(machine);
        break;
    case OP_LOOP_END:
        do_loop_end(machine, op);
        break;
    default:
        UNREACHABLE();
    }
}

static void do_op(struct machine *machine, const struct op *op)
{
    switch ((enum op_code)op->code) {
    case OP_CONSTANT:
        *machine->top++ = *op->constant;
        break;
    case OP_SLOT:
        push_slot(machine, op);
        break;
    case OP_LOCAL:
        *machine->top++ = *loop__item(&machine->loops[op->index]);
        break;
    case OP_FIELD:
    case OP_HAS_FIELD:
        do_field(machine, op);
        break;
    case OP_NOT:
        do_not(machine);
        break;
    case OP_BINARY:
        do_binary(machine, (enum operator)op->detail);
        break;
    case OP_CALL:
        do_call(machine, op);
        break;
    case OP_AND_LEFT:
    case OP_OR_LEFT:
        if (is_bool(machine->top - 1, op->code == OP_OR_LEFT))
            machine->at = op->index;
        break;
    case OP_AND:
        do_logic(machine, false, "&&");
        break;
    case OP_OR:
        do_logic(machine, true, "||");
        break;
    case OP_JUMP:
        machine->at = op->index;
        break;
    default:
        do_rare(machine, op);
    }
}

static void run_ops(struct machine *machine, const struct expr *expr)
{
    struct run *run = machine->run;
    while (machine->at < expr->count) {
        const struct op *op = &machine->ops[machine->at++];
        if (run->steps_left == 0) {
            run__steps(run, 1);
            return;
        }
        run->steps_left--;
        do_op(machine, op);
        if (run->end != EXPR_DONE)
            return;
    }
    CHECK(machine->top == machine->stack + 1);
}

void eval__run(struct run *run, const struct expr *expr, struct value *out)
{
    struct value small[STACK_SMALL];
    struct loop loops[EXPR_DEPTH_MAX];
    struct machine machine = {
        .run = run, .ops = expr->ops, .stack = small, .loops = loops};
    out->kind = VALUE_NULL;
    if (expr->stack_max > STACK_SMALL)
        machine.stack = run__alloc(run, expr->stack_max * sizeof(struct value));
    if (machine.stack == NULL)
        return;
    machine.top = machine.stack;
    run_ops(&machine, expr);
    if (run->end != EXPR_DONE)
        return;
    *out = machine.stack[0];
    /* Whoever gets it will write it or compare it. */
    if (out->kind == VALUE_LIST || out->kind == VALUE_MAP)
        run__weigh(run, out);
}

enum expr_end eval__end(struct run *run, struct value *out)
{
    if (run->end == EXPR_TOO_FAR)
        *out = value_error(run->arena,
                           "the evaluation was ended: it took too many %s",
                           run->spent);
    return run->end;
}

enum expr_end expr_eval(const struct expr *expr, struct value *slots,
                        const struct expr_world *world,
                        const struct expr_budget *budget, struct arena *arena,
                        struct value *out)
{
    struct run run;
    run__init(&run, world, budget, arena, slots);
    eval__run(&run, expr, out);
    return eval__end(&run, out);
}
