/* Functions: the table, what they ask of the world, and their limits. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "expr/expr_int.h"
#include "zone_build.h"

static struct arena arena;
static struct expr_world world;
static struct run run;

/* ---- a world ------------------------------------------------------------ */

static size_t asked;
static enum expr_found found;

static enum expr_found get(void *context, struct slice key, struct arena *into,
                           struct value *out)
{
    (void)context;
    asked++;
    if (slice_eq(key, SLICE("/there")))
        *out = value_from_text(into, SLICE("{\"a\":1}"));
    if (slice_eq(key, SLICE("/null")))
        *out = (struct value){.kind = VALUE_NULL};
    if (slice_eq(key, SLICE("/broken")))
        *out = value_error(into, "compacted");
    return found;
}

static enum expr_found count(void *context, struct slice prefix, int64_t *out)
{
    (void)context;
    asked++;
    *out = (int64_t)prefix.size;
    return found;
}

static enum expr_found secret(void *context, struct slice name,
                              struct arena *into, struct value *out)
{
    (void)context;
    (void)into;
    asked++;
    if (slice_eq(name, SLICE("token")))
        *out = value_string(SLICE("hush"));
    return found;
}

static int set_up(void **state)
{
    (void)state;
    arena_init(&arena, 0);
    world = (struct expr_world){.get = get,
                                .count = count,
                                .secret = secret,
                                .zones = &zone_build_door,
                                .now_ns = 1500000000};
    run = (struct run){.world = &world,
                       .arena = &arena,
                       .steps_left = expr_budget_default.steps_max,
                       .bytes_left = expr_budget_default.bytes_max};
    asked = 0;
    found = EXPR_FOUND;
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    arena_deinit(&arena);
    return 0;
}

static struct value call(const char *name, bool is_method,
                         const struct value *arguments, size_t arity)
{
    struct value out = {.kind = VALUE_LAZY};
    const struct function *function =
        function__find(slice_str(name), is_method);
    assert_non_null(function);
    assert_true(arity >= function->count_min && arity <= function->count_max);
    function->call(&run, arguments, arity, &out);
    if (run.end == EXPR_DONE) {
        assert_int_not_equal(out.kind, VALUE_LAZY);
        if (out.kind != VALUE_ERROR && function->gives != VALUE_LAZY)
            assert_int_equal(out.kind, function->gives);
    }
    return out;
}

static struct value call_text(const char *name, const char *text)
{
    struct value argument = value_string(slice_str(text));
    return call(name, false, &argument, 1);
}

static struct value call_texts(const char *name, struct slice a, struct slice b)
{
    struct value arguments[] = {value_string(a), value_string(b)};
    return call(name, true, arguments, 2);
}

static void assert_error(struct value value, const char *part)
{
    assert_int_equal(value.kind, VALUE_ERROR);
    if (memmem(value.text.at, value.text.size, part, strlen(part)) == NULL)
        fail_msg("'%.*s', not '%s'", (int)value.text.size, value.text.at, part);
}

static struct slice letters(char letter, size_t size)
{
    char *bytes = arena_alloc(&arena, size);
    memset(bytes, letter, size);
    return slice_of(bytes, size);
}

/* ---- the table ---------------------------------------------------------- */

static void functions_and_methods_are_two_things(void **state)
{
    (void)state;
    assert_non_null(function__find(SLICE("size"), false));
    assert_non_null(function__find(SLICE("size"), true));
    assert_non_null(function__find(SLICE("startsWith"), true));
    assert_null(function__find(SLICE("startsWith"), false));
    assert_non_null(function__find(SLICE("glob"), false));
    assert_null(function__find(SLICE("glob"), true));
    assert_null(function__find(SLICE("siz"), false));
    assert_null(function__find(SLICE(""), false));
    assert_int_equal(function__find(SLICE("exists"), false)->uses,
                     EXPR_USES_STORE);
    assert_int_equal(function__find(SLICE("secret"), false)->uses,
                     EXPR_USES_SECRET);
    assert_int_equal(function__find(SLICE("time.hour"), false)->uses,
                     EXPR_USES_TIME);
    assert_int_equal(function__find(SLICE("lower"), true)->uses, 0);
}

/* Whatever kinds it gets, a function answers, and never with a lie about its
 * own kind. */
static void any_kinds_of_arguments_get_an_answer(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        bool is_method;
    } all[] = {
        {"size", 0},         {"size", 1},         {"contains", 1},
        {"startsWith", 1},   {"endsWith", 1},     {"matches", 0},
        {"matches", 1},      {"lower", 1},        {"upper", 1},
        {"trim", 1},         {"replace", 1},      {"split", 1},
        {"join", 1},         {"format", 1},       {"glob", 0},
        {"json", 0},         {"int", 0},          {"uint", 0},
        {"double", 0},       {"string", 0},       {"bytes", 0},
        {"bool", 0},         {"timestamp", 0},    {"duration", 0},
        {"type", 0},         {"dyn", 0},          {"getFullYear", 1},
        {"getMonth", 1},     {"getDate", 1},      {"getDayOfMonth", 1},
        {"getDayOfWeek", 1}, {"getDayOfYear", 1}, {"getHours", 1},
        {"getMinutes", 1},   {"getSeconds", 1},   {"getMilliseconds", 1},
        {"time.hour", 0},    {"time.weekday", 0}, {"exists", 0},
        {"get", 0},          {"count", 0},        {"secret", 0},
    };
    struct value_list list = {0};
    struct value_map map = {0};
    struct value kinds[] = {
        {.kind = VALUE_NULL},
        value_bool(true),
        value_int(3),
        {.kind = VALUE_UINT, .natural = 3},
        {.kind = VALUE_DOUBLE, .number = 1.5},
        value_string(SLICE("%d")),
        {.kind = VALUE_BYTES, .text = SLICE("\xff")},
        {.kind = VALUE_LIST, .list = &list},
        {.kind = VALUE_MAP, .map = &map},
        {.kind = VALUE_TIMESTAMP, .integer = -1},
        {.kind = VALUE_DURATION, .integer = -1},
        {.kind = VALUE_TYPE, .integer = VALUE_INT},
    };
    enum { KINDS = sizeof kinds / sizeof kinds[0] };
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++) {
        const struct function *function =
            function__find(slice_str(all[i].name), all[i].is_method);
        assert_non_null(function);
        for (size_t arity = function->count_min; arity <= function->count_max;
             arity++) {
            for (size_t k = 0; k < KINDS * KINDS; k++) {
                struct value arguments[FUNCTION_ARGUMENTS_MAX] = {
                    kinds[k % KINDS], kinds[k / KINDS], kinds[k % KINDS],
                    kinds[k / KINDS]};
                run.steps_left = expr_budget_default.steps_max;
                run.bytes_left = expr_budget_default.bytes_max;
                struct value out =
                    call(all[i].name, all[i].is_method, arguments, arity);
                assert_int_equal(run.end, EXPR_DONE);
                /* What the checker would have refused is an error. */
                uint16_t takes = function->takes[0];
                if (takes != 0 && !(takes >> arguments[0].kind & 1))
                    assert_int_equal(out.kind, VALUE_ERROR);
            }
        }
    }
}

/* ---- the world ---------------------------------------------------------- */

static void get_and_exists_tell_what_is_there(void **state)
{
    (void)state;
    assert_true(call_text("exists", "/there").boolean);
    assert_false(call_text("exists", "/gone").boolean);
    assert_true(call_text("exists", "/null").boolean);
    assert_int_equal(call_text("get", "/there").kind, VALUE_MAP);
    assert_int_equal(call_text("get", "/gone").kind, VALUE_NULL);
    assert_int_equal(call_text("get", "/null").kind, VALUE_NULL);
    assert_error(call_text("exists", "/broken"), "compacted");
    assert_error(call_text("get", "/broken"), "compacted");
    assert_int_equal(call_text("count", "/four").integer, 5);
    struct value token = call_text("secret", "token");
    assert_true(slice_eq(token.text, SLICE("hush")));
    assert_error(call_text("secret", "other"), "no secret 'other'");
    assert_int_equal(asked, 11);
}

static void what_is_pending_ends_the_evaluation(void **state)
{
    (void)state;
    static const char *const names[] = {"exists", "get", "count", "secret"};
    found = EXPR_PENDING;
    for (size_t i = 0; i < 4; i++) {
        run.end = EXPR_DONE;
        (void)call_text(names[i], "/there");
        assert_int_equal(run.end, EXPR_WAITS);
    }
}

static void without_a_world_there_is_nothing_to_ask(void **state)
{
    (void)state;
    static const char *const names[] = {"exists", "get", "count", "secret"};
    world = (struct expr_world){0};
    for (int i = 0; i < 8; i++) {
        assert_error(call_text(names[i % 4], "/there"), "() can't be had here");
        if (i == 3)
            run.world = NULL;
    }
    assert_error(call("now", false, NULL, 0), "now() can't be had here");
    struct value span[] = {value_int(1), value_int(2),
                           value_string(SLICE("UTC"))};
    assert_error(call("time.hour", false, span, 3),
                 "time.hour() can't be had here");
    /* Offsets need no world. */
    struct value moment[] = {{.kind = VALUE_TIMESTAMP},
                             value_string(SLICE("+02:00"))};
    assert_int_equal(call("getHours", true, moment, 2).integer, 2);
    moment[1] = value_string(SLICE("Europe/Berlin"));
    assert_error(call("getHours", true, moment, 2), "no time zone");
}

static void now_is_the_time_of_the_event(void **state)
{
    (void)state;
    assert_int_equal(call("now", false, NULL, 0).integer, 1500000000);
}

static void asking_costs_steps(void **state)
{
    (void)state;
    size_t calls = 0;
    while (run.end == EXPR_DONE && calls < 100000) {
        (void)call_text("count", "/x");
        calls++;
    }
    assert_int_equal(run.end, EXPR_TOO_FAR);
    assert_true(calls < 10000);
}

/* ---- regular expressions ------------------------------------------------ */

/* Patterns that go back and try again, on a text that makes them. */
static void a_pattern_that_tries_for_ever_is_stopped(void **state)
{
    (void)state;
    static const char *const patterns[] = {
        "(a*)*[xy]",     "^(a+)+[xy]",      "(a|aa)+[xy]",
        "a+a+a+a+[xy]",  "(?=(a+))b|[xy]",  "(.*)(.*)(.*)[xy]",
        "([a-z]+)*[xy]", "(a+)(a+)\\1[xy]", "(?:a?){200}a{200}[xy]",
    };
    for (size_t i = 0; i < sizeof patterns / sizeof patterns[0]; i++) {
        run.end = EXPR_DONE;
        run.steps_left = expr_budget_default.steps_max;
        struct value out =
            call_texts("matches", letters('a', 3000), slice_str(patterns[i]));
        if (run.end == EXPR_DONE)
            assert_error(out, " limit)");
        else
            assert_int_equal(run.end, EXPR_TOO_FAR);
    }
}

static void a_stopped_pattern_leaves_steps_for_others(void **state)
{
    (void)state;
    struct value out =
        call_texts("matches", letters('a', 1000), SLICE("(a*)*[xy]"));
    assert_int_equal(run.end, EXPR_DONE);
    assert_error(out, "too many attempts on this text (match limit)");
    assert_true(run.steps_left > expr_budget_default.steps_max / 3);
    out = call_texts("matches", SLICE("web-17"), SLICE("^web-[0-9]+$"));
    assert_true(out.boolean);
}

static void with_few_steps_left_the_evaluation_ends(void **state)
{
    (void)state;
    run.steps_left = 500;
    (void)call_texts("matches", letters('a', 1000), SLICE("(a*)*[xy]"));
    assert_int_equal(run.end, EXPR_TOO_FAR);
}

static void a_pattern_that_nests_takes_no_more_memory_than_it_may(void **state)
{
    (void)state;
    struct value out =
        call_texts("matches", letters('a', 100000), SLICE("^(a|b)*$"));
    if (run.end == EXPR_DONE)
        assert_error(out, "(heap limit)");
    else
        assert_int_equal(run.end, EXPR_TOO_FAR);
}

static void patterns_that_are_too_large_are_refused(void **state)
{
    (void)state;
    assert_error(call_texts("matches", SLICE("a"), letters('a', 2001)),
                 "at most 2000 bytes");
    assert_false(call_texts("matches", SLICE("a"), letters('a', 2000)).boolean);
    assert_error(call_texts("matches", SLICE("a"), letters('(', 200)),
                 "bad pattern");
    assert_error(
        call_texts("matches", SLICE("a"), SLICE("((a{1000}){1000}){1000}")),
        "bad pattern");
    assert_error(call_texts("matches", SLICE("a"), SLICE("\\C")),
                 "bad pattern");
    assert_error(call_texts("matches", SLICE("a"), SLICE("\xff")),
                 "bad pattern");
}

static void bytes_that_are_no_text_match_nothing(void **state)
{
    (void)state;
    assert_false(call_texts("matches", SLICE("\xff"), SLICE("^.$")).boolean);
    assert_true(call_texts("matches",
                           SLICE("\xff"
                                 "ok"),
                           SLICE("ok"))
                    .boolean);
}

static void without_memory_a_match_is_an_error(void **state)
{
    (void)state;
    size_t failures = 0;
    for (uint64_t n = 1; n < 30; n++) {
        mem_fail_after(n);
        struct value out =
            call_texts("matches", SLICE("web-17"), SLICE("^(web|db)-[0-9]+$"));
        mem_fail_after(0);
        /* The arena's own failure is the end of the budget. */
        if (run.end != EXPR_DONE) {
            run.end = EXPR_DONE;
            failures++;
        } else if (out.kind == VALUE_ERROR) {
            failures++;
        } else {
            assert_true(out.boolean);
        }
        run.steps_left = expr_budget_default.steps_max;
    }
    assert_true(failures >= 4 && failures < 29);
}

/* ---- budgets ------------------------------------------------------------ */

static void json_takes_from_the_budget(void **state)
{
    (void)state;
    struct buf text = {0};
    buf_append_str(&text, "[0");
    for (int i = 0; i < 20000; i++)
        buf_append_str(&text, ",1");
    buf_append_str(&text, "]");
    struct value argument = value_string(buf_slice(&text));
    size_t bytes = run.bytes_left;
    struct value out = call("json", false, &argument, 1);
    assert_error(out, "json: ");
    argument = value_string(slice_of(text.at, 2001));
    char *end = text.at + 2000;
    *end = ']';
    out = call("json", false, &argument, 1);
    assert_int_equal(out.kind, VALUE_LIST);
    assert_int_equal(out.list->count, 1000);
    assert_true(bytes - run.bytes_left > 1000 * sizeof(struct value));
    buf_deinit(&text);
}

static void what_is_made_takes_from_the_budget(void **state)
{
    (void)state;
    struct slice many = letters('a', 4000);
    struct value replace[] = {value_string(many), value_string(SLICE("a")),
                              value_string(many)};
    (void)call("replace", true, replace, 3);
    assert_int_equal(run.end, EXPR_TOO_FAR);

    run.end = EXPR_DONE;
    run.steps_left = 1000;
    struct value split[] = {value_string(many), value_string(SLICE(""))};
    (void)call("split", true, split, 2);
    assert_int_equal(run.end, EXPR_TOO_FAR);

    run.end = EXPR_DONE;
    run.steps_left = 1000;
    run.bytes_left = 3999;
    struct value upper = value_string(many);
    (void)call("upper", true, &upper, 1);
    assert_int_equal(run.end, EXPR_TOO_FAR);

    struct value items[100];
    for (size_t i = 0; i < 100; i++)
        items[i] = value_string(many);
    struct value_list list = {100, items};
    struct value join = {.kind = VALUE_LIST, .list = &list};
    run.end = EXPR_DONE;
    run.steps_left = 100000;
    run.bytes_left = 300000;
    (void)call("join", true, &join, 1);
    assert_int_equal(run.end, EXPR_TOO_FAR);
}

static void glob_takes_steps_by_its_two_sizes(void **state)
{
    (void)state;
    struct value arguments[] = {value_string(letters('*', 1000)),
                                value_string(letters('a', 10000))};
    (void)call("glob", false, arguments, 2);
    assert_int_equal(run.end, EXPR_TOO_FAR);
    run.end = EXPR_DONE;
    run.steps_left = 100;
    arguments[0] = value_string(letters('*', 1025));
    assert_error(call("glob", false, arguments, 2), "at most 1024 bytes");
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(functions_and_methods_are_two_things),
        TEST(any_kinds_of_arguments_get_an_answer),
        TEST(get_and_exists_tell_what_is_there),
        TEST(what_is_pending_ends_the_evaluation),
        TEST(without_a_world_there_is_nothing_to_ask),
        TEST(now_is_the_time_of_the_event),
        TEST(asking_costs_steps),
        TEST(a_pattern_that_tries_for_ever_is_stopped),
        TEST(a_stopped_pattern_leaves_steps_for_others),
        TEST(with_few_steps_left_the_evaluation_ends),
        TEST(a_pattern_that_nests_takes_no_more_memory_than_it_may),
        TEST(patterns_that_are_too_large_are_refused),
        TEST(bytes_that_are_no_text_match_nothing),
        TEST(without_memory_a_match_is_an_error),
        TEST(json_takes_from_the_budget),
        TEST(what_is_made_takes_from_the_budget),
        TEST(glob_takes_steps_by_its_two_sizes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
