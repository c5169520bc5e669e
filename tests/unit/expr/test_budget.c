/* Whatever is written, an evaluation ends soon and takes little memory: with
 * the budget's error, not with a stall. Times are the thread's own CPU time,
 * the best of three, so that a busy machine doesn't fail the test. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include <time.h>

#include "expr/expr_int.h"
#include "expr_ask.h"

#if defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define IS_SANITIZED 1
#endif
#endif
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define IS_SANITIZED 1
#endif

/* The promise is for the build that people run. */
#if defined(__SANITIZE_THREAD__)
enum { SLOWER = 500 };
#elif defined(IS_SANITIZED)
enum { SLOWER = 30 };
#elif !defined(__OPTIMIZE__)
enum { SLOWER = 6 };
#else
enum { SLOWER = 1 };
#endif

enum {
    END_US_MAX = 10000 * SLOWER,
    TRIES = 3,
    LONG_BYTES = 200000,
    LIST_ITEMS = 20000,
    /* What the evaluation may leave in the arena beyond its budget: a block
     * that is partly used, the result's text. */
    SLACK_BYTES = 1 << 20,
};

/* The ingredients of the hostile: a long text, a long list, a wide map. */
enum { SLOT_TEXT, SLOT_LIST, SLOT_MAP, SLOT_COUNT };
static const struct expr_name hostile_table[SLOT_COUNT] = {
    {{"text", 4}, VALUE_LAZY},
    {{"list", 4}, VALUE_LAZY},
    {{"map", 3}, VALUE_LAZY},
};
static const struct expr_names hostile_names = {hostile_table, SLOT_COUNT,
                                                NULL};
static struct arena hostile_arena;
static struct value hostile[SLOT_COUNT];

static int make_hostile(void **state)
{
    (void)state;
    arena_init(&hostile_arena, 0);
    char *text = arena_alloc(&hostile_arena, LONG_BYTES);
    memset(text, 'a', LONG_BYTES);
    hostile[SLOT_TEXT] = value_string(slice_of(text, LONG_BYTES));
    struct buf json = {0};
    for (int i = 0; i < LIST_ITEMS; i++)
        buf_printf(&json, "%c%d", i ? ',' : '[', i);
    buf_append_char(&json, ']');
    hostile[SLOT_LIST] = value_from_text(&hostile_arena, buf_slice(&json));
    buf_reset(&json);
    for (int i = 0; i < LIST_ITEMS; i++)
        buf_printf(&json, "%c\"key%05d\":%d", i ? ',' : '{', i, i);
    buf_append_char(&json, '}');
    struct slice copy = {arena_dup(&hostile_arena, json.at, json.size),
                         json.size};
    hostile[SLOT_MAP] = value_from_text(&hostile_arena, copy);
    buf_deinit(&json);
    assert_int_equal(hostile[SLOT_LIST].kind, VALUE_LIST);
    assert_int_equal(hostile[SLOT_MAP].kind, VALUE_MAP);
    return 0;
}

static int free_hostile(void **state)
{
    (void)state;
    arena_deinit(&hostile_arena);
    return 0;
}

static long now_us(void)
{
    struct timespec time;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
    return (long)time.tv_sec * 1000000 + time.tv_nsec / 1000;
}

enum outcome { REFUSED, DONE, TOO_FAR };

/* The outcome, the time it took and the memory that evaluating left. */
static enum outcome run_once(struct slice text, bool is_template, long *us,
                             size_t *bytes)
{
    struct arena code, work;
    arena_init(&code, 0);
    arena_init(&work, 0);
    struct expr *expr = NULL;
    struct template *template = NULL;
    struct value slots[SLOT_COUNT], out;
    memcpy(slots, hostile, sizeof slots);
    long begin = now_us();
    enum err err =
        is_template
            ? template_compile(&code, text, &hostile_names, &template, NULL)
            : expr_compile(&code, text, &hostile_names, &expr, NULL);
    long compiled = now_us();
    enum expr_end end = EXPR_DONE;
    if (!err && is_template)
        end = template_eval(template, slots, NULL, NULL, &work, &out);
    else if (!err)
        end = expr_eval(expr, slots, NULL, NULL, &work, &out);
    long ended = now_us();
    *us = ended - compiled > compiled - begin ? ended - compiled
                                              : compiled - begin;
    *bytes = work.used_bytes;
    if (end == EXPR_TOO_FAR)
        assert_int_equal(out.kind, VALUE_ERROR);
    arena_deinit(&work);
    arena_deinit(&code);
    return err ? REFUSED : end == EXPR_TOO_FAR ? TOO_FAR : DONE;
}

static void expect_end(struct slice text, bool is_template,
                       enum outcome expected)
{
    long best_us = 0;
    size_t bytes = 0;
    enum outcome outcome = DONE;
    for (int i = 0; i < TRIES; i++) {
        long us;
        outcome = run_once(text, is_template, &us, &bytes);
        best_us = i == 0 || us < best_us ? us : best_us;
        if (best_us <= END_US_MAX)
            break;
    }
    if (best_us > END_US_MAX || outcome != expected ||
        bytes > expr_budget_default.bytes_max + SLACK_BYTES)
        print_error("%.100s: %ld us, %zu bytes, outcome %d\n", text.at, best_us,
                    bytes, (int)outcome);
    assert_int_equal(outcome, expected);
    assert_true(best_us <= END_US_MAX);
    assert_true(bytes <= expr_budget_default.bytes_max + SLACK_BYTES);
}

static void expect_too_far(const char *text)
{
    expect_end(slice_str(text), false, TOO_FAR);
}

static void expect_done(const char *text)
{
    expect_end(slice_str(text), false, DONE);
}

static void expect_repeated(const char *before, const char *piece, size_t count,
                            const char *after, enum outcome expected)
{
    struct arena arena;
    arena_init(&arena, 0);
    struct slice text = ask_repeat(&arena, before, piece, count, after);
    expect_end(text, false, expected);
    arena_deinit(&arena);
}

/* ---- what is far too long ----------------------------------------------- */

static void loops_in_loops_end(void **state)
{
    (void)state;
    expect_too_far("list.all(a, list.all(b, list.all(c, a + b + c >= 0)))");
    expect_too_far("list.map(a, list.map(b, b))");
    expect_too_far("list.filter(a, list.exists_one(b, b == a))");
    expect_too_far("map.all(a, map.all(b, map.all(c, true)))");
    expect_too_far("list.exists(a, list.exists(b, a + b == -1))");
    expect_repeated("", "[1,2,3,4,5,6,7,8,9].all(x,", 60,
                    "true))))))))))))))))))))))))))))))))))))))))))))))))))))"
                    "))))))))",
                    TOO_FAR);
    expect_repeated("", "[1,2].map(x,", 60,
                    "1))))))))))))))))))))))))))))))))))))))))))))))))))))))))"
                    "))))",
                    TOO_FAR);
}

static void texts_that_double_end(void **state)
{
    (void)state;
    expect_repeated("['a']", ".map(s, s + s)", 60, "", TOO_FAR);
    expect_repeated("[[1]]", ".map(l, l + l)", 60, "", TOO_FAR);
    expect_repeated("text", "+ text", 1000, "", TOO_FAR);
    expect_repeated("list", "+ list", 1000, "", TOO_FAR);
    expect_repeated("[b'a']", ".map(s, s + s)", 60, "", TOO_FAR);
    expect_too_far("list.map(x, text + 'b')");
    expect_too_far("list.map(x, list + [x])");
    expect_too_far("list.all(x, (text + 'b') != text)");
}

/* Each step makes a list of twice the one before: 2^60 items when they are
 * walked through, and 60 lists in memory. */
static void shared_lists_are_not_walked_through(void **state)
{
    (void)state;
    expect_repeated("[0]", ".map(x, [x, x])", 60, "", TOO_FAR);
    expect_repeated("[[0]", ".map(x, [x, x])", 60, "]", TOO_FAR);
    expect_repeated("[0]", ".map(x, {'a': x, 'b': x})", 60, "", TOO_FAR);
    expect_repeated("[0]", ".map(x, [x, x])", 60, ".all(x, [x, x] == [x, x])",
                    TOO_FAR);
    expect_repeated("[0]", ".map(x, [x, x])", 60, ".all(x, x in [x])", TOO_FAR);
    expect_repeated("size([0]", ".map(x, [x, x])", 60, ")", DONE);
    expect_repeated("[0]", ".map(x, [x, x])", 60, ".size() == 1", DONE);
    /* Deep, and each level once. */
    expect_repeated("[0]", ".map(x, [x])", 2000, "", TOO_FAR);
    expect_repeated("[0]", ".map(x, [x])", 2000, ".all(x, x == x)", TOO_FAR);
    expect_repeated("{{[0]", ".map(x, [x, x])", 60, "}} ", REFUSED);
}

static void large_values_are_compared_within_the_budget(void **state)
{
    (void)state;
    expect_done("map == map");
    expect_done("list == list");
    expect_done("text == text");
    expect_done("19999 in list");
    expect_done("map.key19999");
    expect_done("map['key19999']");
    expect_too_far("list.all(x, list == list)");
    expect_too_far("list.all(x, map == map)");
    expect_too_far("list.all(x, text == text)");
    expect_too_far("list.all(x, text <= text)");
    expect_too_far("list.all(x, !(-1 in list))");
    expect_too_far("list.all(x, map.key19999 > 0)");
    expect_too_far("list.all(x, map['key19999'] > 0)");
    expect_too_far("list.all(x, !has(map.nothing))");
    expect_too_far("list.all(x, !('nothing' in map))");
    expect_too_far("map.all(x, map[x] >= 0)");
}

static void texts_are_searched_within_the_budget(void **state)
{
    (void)state;
    expect_too_far("list.all(x, size(text) > 0)");
    expect_too_far("list.all(x, !text.contains('b'))");
    expect_too_far("list.all(x, !text.contains(text + 'b'))");
    expect_too_far("list.all(x, text.startsWith(text))");
    expect_too_far("list.all(x, text.lower() == text)");
    expect_too_far("list.all(x, text.upper() != text)");
    expect_too_far("list.all(x, text.trim() == text)");
    expect_too_far("list.all(x, text.replace('a', 'b') != text)");
    expect_too_far("text.replace('a', text)");
    expect_too_far("list.all(x, text.split('a').size() > 0)");
    expect_too_far("text.split('').map(x, text.split(''))");
    expect_too_far("list.all(x, list.map(y, 'a').join(text) != '')");
    expect_too_far("list.all(x, string(text) != '')");
    expect_too_far("list.all(x, bytes(text) != b'')");
    expect_too_far("list.all(x, json(text) == 1)");
}

static void patterns_that_explode_end(void **state)
{
    (void)state;
    expect_end(SLICE("text.matches('^(a+)+$')"), false, DONE);
    static const char *const bombs[] = {
        "text.matches('(a+)+b')",
        "text.matches('(a|a)*b')",
        "text.matches('(a|aa)+$b')",
        "text.matches('(.*)*(.*)*(.*)*b')",
        "text.matches('((a{1,100}){1,100}){1,100}b' + text)",
        "text.matches('(a*)*\\\\1b')",
        "list.all(x, text.matches('(a+)+b') || true)",
        "list.all(x, !text.matches('b'))",
        "list.all(x, text.matches('a' + string(x)) || true)",
        "list.all(x, glob('*a*a*a*a*a*a*b', text) || true)",
        "glob(text + '*', text + 'b')",
        "glob('**a**a**a**a**a**a**b', text)",
    };
    for (size_t i = 0; i < sizeof bombs / sizeof bombs[0]; i++) {
        /* An error of the match's own limits will do as well. */
        long us;
        size_t bytes;
        enum outcome outcome =
            run_once(slice_str(bombs[i]), false, &us, &bytes);
        expect_end(slice_str(bombs[i]), false, outcome);
        assert_int_not_equal(outcome, REFUSED);
    }
    expect_repeated("'", "(a*)*", 10000, "'.matches(text)", DONE);
    expect_repeated("text.matches('", "(a*)*", 10000, "' + text)", DONE);
    /* Such a one is never of use: it is refused with what has it. */
    expect_repeated("text.matches('", "(a*)*", 10000, "')", REFUSED);
    expect_repeated("text.matches('", "(", 30000, "')", REFUSED);
    expect_repeated("text.matches('((a{1,100}){1,100}){1,100}", "b", 1, "')",
                    REFUSED);
}

static void errors_in_loops_take_their_share(void **state)
{
    (void)state;
    expect_too_far("list.exists(a, list.exists(b, 1 / 0 > b))");
    expect_too_far("list.exists(a, list.exists(b, map.nothing_like_this))");
    expect_too_far("list.exists(a, list.exists(b, b.field))");
    expect_too_far("list.exists(a, list.exists(b, int('x') > 0))");
    expect_too_far("list.exists(a, list.exists(b, text.size))");
    expect_too_far("list.exists(a, list.exists(b, list[-1]))");
}

static void deep_and_large_texts_are_refused_at_once(void **state)
{
    (void)state;
    static const char *const openers[] = {
        "(",   "[",          "{1:",    "!(", "-(",   "f(",
        "1+(", "[1].map(x,", "true?(", "a[", "has(", "{'a':[",
    };
    for (size_t i = 0; i < sizeof openers / sizeof openers[0]; i++)
        expect_repeated("", openers[i],
                        EXPR_TEXT_BYTES_MAX / strlen(openers[i]), "", REFUSED);
    expect_repeated("", "unknown.", 8000, "x", REFUSED);
    expect_repeated("", "a", EXPR_TEXT_BYTES_MAX, "", REFUSED);
    expect_repeated("", "1+", 30000, "1", REFUSED);
    expect_repeated("{", "'a':1,", 3000, "}", DONE);
    expect_repeated("'", "\\u00e9", 10000, "'", DONE);
    expect_repeated("", "// \n", 16000, "1", DONE);
    expect_repeated("", "\n", 65535, "1", DONE);
    expect_repeated("[", "[],", 9000, "]", DONE);
    expect_repeated("1", "+list", 4000, "", DONE);
}

/* Constant parts are computed while compiling: they can't explode there. */
static void constants_that_explode_are_left_alone(void **state)
{
    (void)state;
    expect_repeated("'aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", "a", 60000,
                    "'.matches('(a+)+b')", DONE);
    expect_repeated("[", "'x'.replace('x','yyyyyyyyyyyyyyyyyyyyyyyyyyyyyy'),",
                    1000, "]", DONE);
    expect_repeated("[", "'a'.matches('(((((a+)+)+)+)+)+b'),", 1500, "]", DONE);
}

static void templates_share_one_budget(void **state)
{
    (void)state;
    struct arena arena;
    arena_init(&arena, 0);
    expect_end(ask_repeat(&arena, "", "{{text}}", 8000, ""), true, TOO_FAR);
    expect_end(ask_repeat(&arena, "", "{{list}}", 8000, ""), true, TOO_FAR);
    expect_end(ask_repeat(&arena, "", "{{map}}", 8000, ""), true, TOO_FAR);
    expect_end(ask_repeat(&arena, "", "{{list.all(x, true)}}", 3000, ""), true,
               TOO_FAR);
    expect_end(ask_repeat(&arena, "a{{[0]", ".map(x, [x, x])", 60, "}}"), true,
               TOO_FAR);
    expect_end(ask_repeat(&arena, "", "{{1}}", 13000, ""), true, DONE);
    expect_end(ask_repeat(&arena, "", "{{", 32000, ""), true, DONE);
    expect_end(ask_repeat(&arena, "", "{{1", 20000, ""), true, REFUSED);
    expect_end(ask_repeat(&arena, "{{1", " ", 60000, ""), true, REFUSED);
    expect_end(ask_repeat(&arena, "", "{{'a'.matches('(a+)+b')}}", 2500, ""),
               true, DONE);
    arena_deinit(&arena);
}

/* ---- the budget itself -------------------------------------------------- */

static void each_operation_and_each_item_is_a_step(void **state)
{
    (void)state;
    assert_string_equal(ask_within("count", 0, 1000), "too far");
    assert_string_equal(ask_within("count", 1, 1000), "7");
    assert_string_equal(ask_within("count + 1", 2, 1000), "too far");
    assert_string_equal(ask_within("count + 1", 3, 1000), "8");
    /* The range, the loop, and for each item: two loads, ==, the loop's end,
     * and the item. */
    assert_string_equal(ask_within("[1, 2].all(x, x != count)", 11, 1000),
                        "too far");
    assert_string_equal(ask_within("[1, 2].all(x, x != count)", 12, 1000),
                        "true");
}

static void bytes_are_what_the_evaluation_makes(void **state)
{
    (void)state;
    assert_string_equal(ask_within("host", 100, 0), "\"web-17\"");
    assert_string_equal(ask_within("host + host", 100, 11), "too far");
    assert_string_equal(ask_within("host + host", 100, 12), "\"web-17web-17\"");
    assert_string_equal(ask_within("[count]", 100, 20), "too far");
    assert_string_equal(ask_within("[count]", 100, 64), "[7]");
}

static void the_error_says_what_there_was_too_much_of(void **state)
{
    (void)state;
    static const struct question table[] = {
        {"list.all(a, list.all(b, true))",
         "the evaluation was ended: it took too many steps"},
        {"list.map(x, text + 'b')",
         "the evaluation was ended: it took too many bytes"},
    };
    for (size_t i = 0; i < 2; i++) {
        struct arena arena;
        arena_init(&arena, 0);
        struct expr *expr;
        struct value slots[SLOT_COUNT], out;
        memcpy(slots, hostile, sizeof slots);
        assert_int_equal(expr_compile(&arena, slice_str(table[i].text),
                                      &hostile_names, &expr, NULL),
                         ERR_OK);
        assert_int_equal(expr_eval(expr, slots, NULL, NULL, &arena, &out),
                         EXPR_TOO_FAR);
        assert_int_equal(out.kind, VALUE_ERROR);
        assert_true(slice_eq(out.text, slice_str(table[i].answer)));
        arena_deinit(&arena);
    }
}

static enum expr_found find_large(void *context, struct slice key,
                                  struct arena *arena, struct value *out)
{
    (void)context;
    (void)key;
    *out = value_from_text(arena, slice_of(arena_alloc(arena, 1 << 20), 0));
    return EXPR_FOUND;
}

/* One large value may be read, as it is not of the evaluation's making. */
static void large_values_are_not_read_again_and_again(void **state)
{
    (void)state;
    static const struct expr_world world = {.get = find_large};
    static const char *const texts[] = {
        "[1, 2, 3].map(x, get('/a')).size()",
        "list.all(x, exists('/a'))",
    };
    const enum expr_end ends[] = {EXPR_DONE, EXPR_TOO_FAR};
    for (size_t i = 0; i < 2; i++) {
        struct arena arena;
        arena_init(&arena, 0);
        struct expr *expr;
        struct value slots[SLOT_COUNT], out;
        memcpy(slots, hostile, sizeof slots);
        assert_int_equal(expr_compile(&arena, slice_str(texts[i]),
                                      &hostile_names, &expr, NULL),
                         ERR_OK);
        assert_int_equal(expr_eval(expr, slots, &world, NULL, &arena, &out),
                         ends[i]);
        assert_true(arena.used_bytes < 10 << 20);
        arena_deinit(&arena);
    }
}

/* What the budget ended isn't passed over as an error is. */
static void the_budget_is_no_error_that_or_passes_over(void **state)
{
    (void)state;
    expect_too_far("list.all(a, list.all(b, true)) || true");
    expect_too_far("false && true || list.all(a, list.all(b, true)) || true");
}

static void an_arena_with_a_bound_ends_it_too(void **state)
{
    (void)state;
    struct arena code, work;
    arena_init(&code, 0);
    arena_init(&work, 4096);
    struct expr *expr;
    struct value slots[SLOT_COUNT], out;
    memcpy(slots, hostile, sizeof slots);
    assert_int_equal(
        expr_compile(&code, SLICE("text + 'b'"), &hostile_names, &expr, NULL),
        ERR_OK);
    assert_int_equal(expr_eval(expr, slots, NULL, NULL, &work, &out),
                     EXPR_TOO_FAR);
    arena_deinit(&work);
    arena_deinit(&code);
}

/* Memory that can't be had ends the evaluation as the budget does. */
static void every_allocation_that_fails_ends_it(void **state)
{
    (void)state;
    struct arena code, work;
    arena_init(&code, 0);
    arena_init(&work, 0);
    struct template *template;
    assert_int_equal(
        template_compile(&code,
                         SLICE("a{{[0, 1, 2, 3].map(x, x < 3, [{'a': x}])}}"
                               "{{[1, 0].map(x, 1 / x == 1 || x == 0)}}"
                               "{{'a'.replace('a', 'b') + string(list[1])}}"),
                         &hostile_names, &template, NULL),
        ERR_OK);
    int failures = 0;
    enum expr_end end = EXPR_TOO_FAR;
    for (uint64_t n = 1; end != EXPR_DONE && n < 1000; n++) {
        struct value slots[SLOT_COUNT], out;
        memcpy(slots, hostile, sizeof slots);
        mem_fail_after(n);
        end = template_eval(template, slots, NULL, NULL, &work, &out);
        mem_fail_after(0);
        if (end != EXPR_DONE) {
            assert_int_equal(end, EXPR_TOO_FAR);
            assert_int_equal(out.kind, VALUE_ERROR);
            failures++;
        } else {
            assert_true(slice_eq(out.text, SLICE("a[[{\"a\":0}],[{\"a\":1}],"
                                                 "[{\"a\":2}]][true,true]b1")));
        }
        arena_reset(&work);
    }
    assert_int_equal(end, EXPR_DONE);
    assert_true(failures > 8);
    arena_deinit(&work);
    arena_deinit(&code);
}

static void a_walk_costs_a_step_for_eight_items(void **state)
{
    (void)state;
    struct arena arena;
    arena_init(&arena, 0);
    struct run run = {
        .arena = &arena, .steps_left = LIST_ITEMS / 8 + 1, .bytes_left = 1000};
    assert_true(run__weigh(&run, &hostile[SLOT_LIST]));
    assert_true(run.steps_left <= 1);
    run.steps_left = LIST_ITEMS / 8 - 1;
    assert_false(run__weigh(&run, &hostile[SLOT_LIST]));
    assert_int_equal(run.end, EXPR_TOO_FAR);
    assert_int_equal(run.steps_left, 0);
    arena_deinit(&arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(loops_in_loops_end),
        cmocka_unit_test(texts_that_double_end),
        cmocka_unit_test(shared_lists_are_not_walked_through),
        cmocka_unit_test(large_values_are_compared_within_the_budget),
        cmocka_unit_test(texts_are_searched_within_the_budget),
        cmocka_unit_test(patterns_that_explode_end),
        cmocka_unit_test(errors_in_loops_take_their_share),
        cmocka_unit_test(deep_and_large_texts_are_refused_at_once),
        cmocka_unit_test(constants_that_explode_are_left_alone),
        cmocka_unit_test(templates_share_one_budget),
        cmocka_unit_test(each_operation_and_each_item_is_a_step),
        cmocka_unit_test(bytes_are_what_the_evaluation_makes),
        cmocka_unit_test(the_error_says_what_there_was_too_much_of),
        cmocka_unit_test(large_values_are_not_read_again_and_again),
        cmocka_unit_test(the_budget_is_no_error_that_or_passes_over),
        cmocka_unit_test(an_arena_with_a_bound_ends_it_too),
        cmocka_unit_test(every_allocation_that_fails_ends_it),
        cmocka_unit_test(a_walk_costs_a_step_for_eight_items),
    };
    return cmocka_run_group_tests(tests, make_hostile, free_hostile);
}
