/* Random expressions, evaluated by the machine and by a naive twin that walks
 * a tree. The text is written from the tree with as few parentheses as the
 * grammar allows, so that the parser's levels are tested as well. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/prng.h"
#include "expr_ask.h"

/* ---- trees -------------------------------------------------------------- */

enum sort { SORT_INT, SORT_BOOL, SORT_LIST };

enum kind {
    KIND_NUMBER,
    KIND_SLOT,  /* a, b: ints */
    KIND_LOCAL, /* x0, x1, ...: ints */
    KIND_MATH,  /* + - * / % */
    KIND_MINUS,
    KIND_RELATION,
    KIND_NOT,
    KIND_AND,
    KIND_OR,
    KIND_CHOOSE,
    KIND_LIST,  /* of up to three ints */
    KIND_MACRO, /* first.name(x, second) */
    KIND_IN,
    KIND_INDEX,
};

struct node {
    enum kind kind;
    int64_t number; /* or which one: slot, local, operator, macro */
    struct node *first, *second, *third;
};

static const char *const math[] = {"+", "-", "*", "/", "%"};
static const char *const relations[] = {"<", "<=", ">", ">=", "==", "!="};
static const char *const macros[] = {"all", "exists", "exists_one", "filter",
                                     "map"};
enum { ALL, EXISTS, EXISTS_ONE, FILTER, MAP };

struct grower {
    struct arena *arena;
    struct prng prng;
    int locals;
};

static struct node *grow(struct grower *grower, enum sort sort, int depth);

static struct node *make(struct grower *grower, enum kind kind, int64_t number)
{
    struct node *node = arena_alloc(grower->arena, sizeof *node);
    *node = (struct node){.kind = kind, .number = number};
    return node;
}

static int64_t draw(struct grower *grower, int64_t below)
{
    return (int64_t)prng_below(&grower->prng, (uint64_t)below);
}

static struct node *grow_macro(struct grower *grower, int64_t macro, int depth)
{
    struct node *node = make(grower, KIND_MACRO, macro);
    node->first = grow(grower, SORT_LIST, depth - 1);
    grower->locals++;
    node->second = grow(grower, macro == MAP ? SORT_INT : SORT_BOOL, depth - 1);
    grower->locals--;
    return node;
}

static struct node *grow_leaf(struct grower *grower)
{
    if (grower->locals > 0 && draw(grower, 2))
        return make(grower, KIND_LOCAL, draw(grower, grower->locals));
    if (draw(grower, 3) == 0)
        return make(grower, KIND_SLOT, draw(grower, 2));
    if (draw(grower, 20) == 0)
        return make(grower, KIND_NUMBER, INT64_MAX);
    return make(grower, KIND_NUMBER, draw(grower, 4));
}

static struct node *grow_two(struct grower *grower, enum kind kind,
                             int64_t number, enum sort sort, int depth)
{
    struct node *node = make(grower, kind, number);
    node->first = grow(grower, sort, depth - 1);
    node->second = grow(grower, sort, depth - 1);
    return node;
}

static struct node *grow_choice(struct grower *grower, enum sort sort,
                                int depth)
{
    struct node *node = grow_two(grower, KIND_CHOOSE, 0, sort, depth);
    node->third = node->second;
    node->second = node->first;
    node->first = grow(grower, SORT_BOOL, depth - 1);
    return node;
}

static struct node *grow_int(struct grower *grower, int depth)
{
    struct node *node;
    if (depth <= 0)
        return grow_leaf(grower);
    switch (draw(grower, 6)) {
    case 0:
        node = make(grower, KIND_MINUS, 0);
        node->first = grow(grower, SORT_INT, depth - 1);
        return node;
    case 1:
        return grow_choice(grower, SORT_INT, depth);
    case 2:
        node = make(grower, KIND_INDEX, 0);
        node->first = grow(grower, SORT_LIST, depth - 1);
        node->second = grow(grower, SORT_INT, 0);
        return node;
    default:
        return grow_two(grower, KIND_MATH, draw(grower, 5), SORT_INT, depth);
    }
}

static struct node *grow_bool(struct grower *grower, int depth)
{
    struct node *node;
    switch (depth <= 0 ? 0 : draw(grower, 7)) {
    case 0:
        return grow_two(grower, KIND_RELATION, draw(grower, 6), SORT_INT,
                        depth);
    case 1:
        node = make(grower, KIND_NOT, 0);
        node->first = grow(grower, SORT_BOOL, depth - 1);
        return node;
    case 2:
        return grow_two(grower, KIND_AND, 0, SORT_BOOL, depth);
    case 3:
        return grow_two(grower, KIND_OR, 0, SORT_BOOL, depth);
    case 4:
        return grow_choice(grower, SORT_BOOL, depth);
    case 5:
        node = make(grower, KIND_IN, 0);
        node->first = grow(grower, SORT_INT, depth - 1);
        node->second = grow(grower, SORT_LIST, depth - 1);
        return node;
    default:
        return grow_macro(grower, draw(grower, 3), depth);
    }
}

static struct node *grow_list(struct grower *grower, int depth)
{
    if (depth > 0 && draw(grower, 2))
        return grow_macro(grower, draw(grower, 2) ? FILTER : MAP, depth);
    struct node *node = make(grower, KIND_LIST, 0);
    struct node **places[] = {&node->first, &node->second, &node->third};
    for (int64_t i = draw(grower, 4); i > 0; i--)
        *places[i - 1] = grow(grower, SORT_INT, depth - 1);
    return node;
}

static struct node *grow(struct grower *grower, enum sort sort, int depth)
{
    if (sort == SORT_INT)
        return grow_int(grower, depth);
    return sort == SORT_BOOL ? grow_bool(grower, depth)
                             : grow_list(grower, depth);
}

/* ---- as text ------------------------------------------------------------ */

enum {
    LEVEL_CHOOSE,
    LEVEL_OR,
    LEVEL_AND,
    LEVEL_REL,
    LEVEL_SUM,
    LEVEL_PRODUCT,
    LEVEL_UNARY,
    LEVEL_MEMBER
};

static int level_of(const struct node *node)
{
    switch (node->kind) {
    case KIND_CHOOSE:
        return LEVEL_CHOOSE;
    case KIND_OR:
        return LEVEL_OR;
    case KIND_AND:
        return LEVEL_AND;
    case KIND_RELATION:
    case KIND_IN:
        return LEVEL_REL;
    case KIND_MATH:
        return node->number < 2 ? LEVEL_SUM : LEVEL_PRODUCT;
    case KIND_NOT:
    case KIND_MINUS:
        return LEVEL_UNARY;
    default:
        return LEVEL_MEMBER;
    }
}

static void print(struct buf *out, const struct node *node, int level,
                  int locals);

static void print_bare(struct buf *out, const struct node *node, int locals)
{
    int level = level_of(node);
    switch (node->kind) {
    case KIND_NUMBER:
        buf_append_i64(out, node->number);
        return;
    case KIND_SLOT:
        buf_append_char(out, "ab"[node->number]);
        return;
    case KIND_LOCAL:
        buf_printf(out, "x%d", (int)node->number);
        return;
    case KIND_NOT:
    case KIND_MINUS:
        buf_append_char(out, node->kind == KIND_NOT ? '!' : '-');
        print(out, node->first, LEVEL_MEMBER, locals);
        return;
    case KIND_CHOOSE:
        print(out, node->first, LEVEL_OR, locals);
        buf_append_str(out, "?");
        print(out, node->second, LEVEL_OR, locals);
        buf_append_str(out, ":");
        print(out, node->third, LEVEL_CHOOSE, locals);
        return;
    case KIND_LIST:
        buf_append_char(out, '[');
        for (const struct node *const *at =
                 (const struct node *const[]){node->first, node->second,
                                              node->third, NULL};
             *at != NULL; at++) {
            print(out, *at, LEVEL_CHOOSE, locals);
            buf_append_char(out, ',');
        }
        buf_append_char(out, ']');
        return;
    case KIND_MACRO:
        print(out, node->first, LEVEL_MEMBER, locals);
        buf_printf(out, ".%s(x%d,", macros[node->number], locals);
        print(out, node->second, LEVEL_CHOOSE, locals + 1);
        buf_append_char(out, ')');
        return;
    case KIND_INDEX:
        print(out, node->first, LEVEL_MEMBER, locals);
        buf_append_char(out, '[');
        print(out, node->second, LEVEL_CHOOSE, locals);
        buf_append_char(out, ']');
        return;
    default:
        print(out, node->first, level, locals);
        buf_printf(out, " %s ",
                   node->kind == KIND_AND        ? "&&"
                   : node->kind == KIND_OR       ? "||"
                   : node->kind == KIND_IN       ? "in"
                   : node->kind == KIND_RELATION ? relations[node->number]
                                                 : math[node->number]);
        print(out, node->second, level + 1, locals);
    }
}

static void print(struct buf *out, const struct node *node, int level,
                  int locals)
{
    bool is_bare = level_of(node) >= level;
    buf_append_str(out, is_bare ? "" : "(");
    print_bare(out, node, locals);
    buf_append_str(out, is_bare ? "" : ")");
}

/* ---- the twin ----------------------------------------------------------- */

struct result {
    bool failed;
    int64_t number; /* or the bool */
    int64_t items[8];
    int count;
};

static const struct result failed = {.failed = true};
static const int64_t slot_values[] = {2, -3};
static int64_t local_values[16];

static struct result walk(const struct node *node, int locals);

static struct result number(int64_t value)
{
    return (struct result){.number = value};
}

static struct result walk_math(int64_t which, int64_t a, int64_t b)
{
    int64_t sum = 0;
    bool is_over = false;
    if (which == 0)
        is_over = __builtin_add_overflow(a, b, &sum);
    else if (which == 1)
        is_over = __builtin_sub_overflow(a, b, &sum);
    else if (which == 2)
        is_over = __builtin_mul_overflow(a, b, &sum);
    else if (b == 0 || (a == INT64_MIN && b == -1))
        return failed;
    else
        sum = which == 3 ? a / b : a % b;
    return is_over ? failed : number(sum);
}

static bool walk_relation(int64_t which, int64_t a, int64_t b)
{
    const bool answers[] = {a<b, a <= b, a> b, a >= b, a == b, a != b};
    return answers[which];
}

static struct result walk_macro(const struct node *node, int locals)
{
    struct result range = walk(node->first, locals);
    struct result made = {0};
    bool has_failed = false;
    int trues = 0;
    if (range.failed)
        return failed;
    for (int i = 0; i < range.count; i++) {
        local_values[locals] = range.items[i];
        struct result body = walk(node->second, locals + 1);
        has_failed = has_failed || body.failed;
        trues += !body.failed && body.number == 1;
        if (node->number == ALL && !body.failed && !body.number)
            return number(0);
        if (node->number == EXISTS && !body.failed && body.number)
            return number(1);
        if (node->number == MAP)
            made.items[made.count++] = body.number;
        if (node->number == FILTER && body.number)
            made.items[made.count++] = range.items[i];
    }
    if (has_failed)
        return failed;
    if (node->number >= FILTER)
        return made;
    return number(node->number == EXISTS_ONE ? trues == 1
                                             : node->number == ALL);
}

static struct result walk_logic(const struct node *node, int locals)
{
    struct result a = walk(node->first, locals);
    struct result b = walk(node->second, locals);
    bool decides = node->kind == KIND_OR;
    if ((!a.failed && a.number == decides) ||
        (!b.failed && b.number == decides))
        return number(decides);
    return a.failed || b.failed ? failed : number(!decides);
}

static struct result walk_list(const struct node *node, int locals)
{
    const struct node *parts[] = {node->first, node->second, node->third};
    struct result list = {0};
    for (int i = 0; i < 3 && parts[i] != NULL; i++) {
        struct result item = walk(parts[i], locals);
        list.failed = list.failed || item.failed;
        list.items[list.count++] = item.number;
    }
    return list;
}

static struct result walk_find(const struct node *node, int locals)
{
    struct result a = walk(node->first, locals);
    struct result b = walk(node->second, locals);
    if (a.failed || b.failed)
        return failed;
    if (node->kind == KIND_INDEX)
        return b.number < 0 || b.number >= a.count ? failed
                                                   : number(a.items[b.number]);
    for (int i = 0; i < b.count; i++) {
        if (b.items[i] == a.number)
            return number(1);
    }
    return number(0);
}

static struct result walk(const struct node *node, int locals)
{
    struct result a;
    switch (node->kind) {
    case KIND_NUMBER:
        return number(node->number);
    case KIND_SLOT:
        return number(slot_values[node->number]);
    case KIND_LOCAL:
        return number(local_values[node->number]);
    case KIND_AND:
    case KIND_OR:
        return walk_logic(node, locals);
    case KIND_LIST:
        return walk_list(node, locals);
    case KIND_MACRO:
        return walk_macro(node, locals);
    case KIND_IN:
    case KIND_INDEX:
        return walk_find(node, locals);
    default:
        a = walk(node->first, locals);
    }
    if (a.failed)
        return failed;
    if (node->kind == KIND_NOT)
        return number(!a.number);
    if (node->kind == KIND_MINUS)
        return a.number == INT64_MIN ? failed : number(-a.number);
    if (node->kind == KIND_CHOOSE)
        return walk(a.number ? node->second : node->third, locals);
    struct result b = walk(node->second, locals);
    if (b.failed)
        return failed;
    if (node->kind == KIND_MATH)
        return walk_math(node->number, a.number, b.number);
    return number(walk_relation(node->number, a.number, b.number));
}

/* ---- both --------------------------------------------------------------- */

static bool is_same(const struct value *got, const struct result *wanted,
                    enum sort sort)
{
    if (wanted->failed || got->kind == VALUE_ERROR)
        return wanted->failed && got->kind == VALUE_ERROR;
    if (sort == SORT_INT)
        return got->kind == VALUE_INT && got->integer == wanted->number;
    if (sort == SORT_BOOL)
        return got->kind == VALUE_BOOL && got->boolean == wanted->number;
    if (got->kind != VALUE_LIST || got->list->count != (size_t)wanted->count)
        return false;
    for (int i = 0; i < wanted->count; i++) {
        if (got->list->items[i].kind != VALUE_INT ||
            got->list->items[i].integer != wanted->items[i])
            return false;
    }
    return true;
}

static void compare(struct grower *grower, enum sort sort, int depth)
{
    static const struct expr_name table[] = {{{"a", 1}, VALUE_LAZY},
                                             {{"b", 1}, VALUE_INT}};
    static const struct expr_names names = {table, 2, NULL};
    struct node *tree = grow(grower, sort, depth);
    struct result wanted = walk(tree, 0);
    struct buf text = {0};
    print(&text, tree, LEVEL_CHOOSE, 0);
    struct expr *expr;
    struct value slots[] = {value_int(slot_values[0]),
                            value_int(slot_values[1])};
    struct value out = {.kind = VALUE_NULL};
    enum err err =
        expr_compile(grower->arena, buf_slice(&text), &names, &expr, NULL);
    if (!err)
        assert_int_equal(
            expr_eval(expr, slots, NULL, NULL, grower->arena, &out), EXPR_DONE);
    if (err || !is_same(&out, &wanted, sort))
        print_error("%.*s\n    %s, kind %d; wanted %s%lld\n", (int)text.size,
                    text.at, err ? err_note() : "taken", (int)out.kind,
                    wanted.failed ? "an error " : "", (long long)wanted.number);
    assert_int_equal(err, ERR_OK);
    assert_true(is_same(&out, &wanted, sort));
    buf_deinit(&text);
}

static void random_expressions_give_what_the_twin_gives(void **state)
{
    (void)state;
    struct arena arena;
    arena_init(&arena, 0);
    struct grower grower = {.arena = &arena};
    prng_init(&grower.prng, 2024);
    for (int round = 0; round < 12000; round++) {
        compare(&grower, (enum sort)(round % 3), round % 6);
        arena_reset(&arena);
    }
    arena_deinit(&arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(random_expressions_give_what_the_twin_gives),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
