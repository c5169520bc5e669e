/* How long one evaluation of an expression takes.
 *
 *   expr [ROUNDS]      1,000,000 each where nothing is said
 *
 * Prints nanoseconds for each: the condition of a typical recipe over a value
 * that was JSON (the mark: under 1,000), the same with the value parsed anew
 * each time, a template, a macro. Built in the release build's directory:
 *
 *   tools/build gcc release bench-expr && build/gcc-release/bench-expr
 */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "base/check.h"
#include "expr/expr.h"

enum { SLOT_VALUE, SLOT_HOST, SLOT_COUNT };

static const struct expr_name name_table[SLOT_COUNT] = {
    {{"value", 5}, VALUE_LAZY},
    {{"host", 4}, VALUE_STRING},
};
static const struct expr_names names = {.names = name_table,
                                        .count = SLOT_COUNT};

static const char json[] = "{\"host\":\"web-17\",\"size\":1024,\"used\":95,"
                           "\"tags\":[\"a\",\"b\",\"c\"]}";

static double now_ns(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec * 1e9 + (double)time.tv_nsec;
}

static void set_slots(struct arena *arena, struct value *slots)
{
    slots[SLOT_VALUE] = value_from_text(arena, slice_str(json));
    slots[SLOT_HOST] = value_string(SLICE("web-17"));
}

static void print_time(const char *what, double begin, long rounds)
{
    printf("%-44s %8.0f ns\n", what, (now_ns() - begin) / (double)rounds);
}

static void time_expression(const char *text, long rounds)
{
    struct arena code, data, work;
    arena_init(&code, 0);
    arena_init(&data, 0);
    arena_init(&work, 0);
    struct expr *expr;
    CHECK_EQ(expr_compile(&code, slice_str(text), &names, &expr, NULL), ERR_OK);
    struct value slots[SLOT_COUNT];
    set_slots(&data, slots);
    double begin = now_ns();
    for (long i = 0; i < rounds; i++) {
        struct value out;
        CHECK_EQ(expr_eval(expr, slots, NULL, NULL, &work, &out), EXPR_DONE);
        CHECK_NE(out.kind, VALUE_ERROR);
        arena_reset(&work);
    }
    print_time(text, begin, rounds);
    arena_deinit(&work);
    arena_deinit(&data);
    arena_deinit(&code);
}

/* As an event brings it: JSON first. */
static void time_parsed(const char *text, long rounds)
{
    struct arena code, work;
    arena_init(&code, 0);
    arena_init(&work, 0);
    struct expr *expr;
    CHECK_EQ(expr_compile(&code, slice_str(text), &names, &expr, NULL), ERR_OK);
    double begin = now_ns();
    for (long i = 0; i < rounds; i++) {
        struct value slots[SLOT_COUNT], out;
        set_slots(&work, slots);
        CHECK_EQ(expr_eval(expr, slots, NULL, NULL, &work, &out), EXPR_DONE);
        arena_reset(&work);
    }
    print_time("  and the JSON parsed each time", begin, rounds);
    arena_deinit(&work);
    arena_deinit(&code);
}

static void time_template(const char *text, long rounds)
{
    struct arena code, work;
    arena_init(&code, 0);
    arena_init(&work, 0);
    struct template *template;
    CHECK_EQ(template_compile(&code, slice_str(text), &names, &template, NULL),
             ERR_OK);
    struct value slots[SLOT_COUNT];
    set_slots(&code, slots);
    double begin = now_ns();
    for (long i = 0; i < rounds; i++) {
        struct value out;
        CHECK_EQ(template_eval(template, slots, NULL, NULL, &work, &out),
                 EXPR_DONE);
        arena_reset(&work);
    }
    print_time(text, begin, rounds);
    arena_deinit(&work);
    arena_deinit(&code);
}

int main(int argc, char **argv)
{
    long rounds = argc > 1 ? strtol(argv[1], NULL, 10) : 1000000;
    if (rounds < 1)
        return 2;
    time_expression("value.used > 90 && host.startsWith('web')", rounds);
    time_parsed("value.used > 90 && host.startsWith('web')", rounds);
    time_expression("value.tags.exists(t, t == 'c')", rounds);
    time_template("{{host}} is at {{value.used}} %", rounds);
    return 0;
}
