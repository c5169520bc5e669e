/* What a recipe may write, and whom that feeds. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>

#include "recipe_support.h"

/* "/a/" {} * of the one write of a recipe with such an `if` and key. */
static const char *shape(const char *triggers, const char *lets,
                         const char *key)
{
    static char out[256];
    char text[512];
    struct arena arena;
    struct key_shape *shapes;
    arena_init(&arena, 0);
    snprintf(
        text, sizeof text,
        "name: r\nif: %s\nlet: %s\nthen: [{put: {key: \"%s\", value: 1}}]\n"
        "loop: {reentrant: true}\n",
        triggers, lets, key);
    struct recipe *recipe = parse_recipe(text);
    assert_int_equal(recipe_writes(recipe, &arena, &shapes), 1);
    size_t size = 0;
    for (size_t i = 0; i < shapes[0].count; i++) {
        const struct shape_piece *piece = &shapes[0].pieces[i];
        size += (size_t)snprintf(out + size, sizeof out - size, "%.*s%s",
                                 (int)piece->text.size, piece->text.at,
                                 piece->kind == SHAPE_TEXT      ? "|"
                                 : piece->kind == SHAPE_SEGMENT ? "{}|"
                                                                : "*|");
    }
    arena_deinit(&arena);
    recipe_free(recipe);
    return out;
}

static void a_shape_says_what_is_known_of_a_key(void **state)
{
    (void)state;
    const char *one = "[{key: '/a/{x}'}]";
    const char *rest = "[{key: '/a/{x...}'}]";
    const char *both = "[{key: '/a/{x}'}, {key: '/b/{x...}'}]";
    assert_string_equal(shape(one, "{}", "/b"), "/b|");
    assert_string_equal(shape(one, "{}", "/b/{{x}}/c"), "/b/|{}|/c|");
    assert_string_equal(shape(one, "{}", "/b/{{ x }}"), "/b/|{}|");
    assert_string_equal(shape(rest, "{}", "/b/{{x}}"), "/b/|*|");
    assert_string_equal(shape(both, "{}", "/b/{{x}}"), "/b/|*|");
    assert_string_equal(shape(one, "{}", "/b/{{key}}"), "/b/|*|");
    assert_string_equal(shape(one, "{}", "/b/{{x + '}}'}}/c"), "/b/|*|/c|");
    assert_string_equal(shape(one, "{}", "/b/{{ {'a': x}.a }}"), "/b/|*|");
    assert_string_equal(shape(one, "{}", "/b/{{recipe}}"), "/b/|r|");
    assert_string_equal(shape(one, "{}", "/b{{{{c"), "/b{{|c|");
    assert_string_equal(shape(one, "{m: 'q-{{x}}'}", "/b/{{m}}"), "/b/|q-|{}|");
    assert_string_equal(shape(one, "{m: '{{x}}', n: '{{m}}{{m}}'}", "/{{n}}"),
                        "/|{}|{}|");
}

/* Lets that double at each step are anything, soon. */
static void lets_of_lets_come_to_an_end(void **state)
{
    (void)state;
    char lets[1024] = "{l0: ''";
    size_t size = strlen(lets);
    for (int i = 1; i < 20; i++)
        size += (size_t)snprintf(lets + size, sizeof lets - size,
                                 ", l%d: '{{l%d}}{{l%d}}'", i, i - 1, i - 1);
    snprintf(lets + size, sizeof lets - size, "}");
    char text[2048];
    snprintf(text, sizeof text,
             "name: r\nif: [{key: '/a/{x}'}]\nlet: %s\n"
             "then: [{put: {key: '/b/{{l19}}', value: 1}}]\n",
             lets);
    recipe_free(parse_recipe(text));
}

static bool feeds(const char *writer_then, const char *trigger)
{
    char text[512];
    snprintf(text, sizeof text, "name: w\nif: [{key: '/w/{x}'}]\nthen: [%s]\n",
             writer_then);
    struct recipe *writer = parse_recipe(text);
    snprintf(text, sizeof text, "name: r\nif: [%s]\nthen: [{log: hi}]\n",
             trigger);
    struct recipe *reader = parse_recipe(text);
    bool result = recipe_feeds(writer, &reader->triggers[0]);
    recipe_free(writer);
    recipe_free(reader);
    return result;
}

static void a_write_feeds_who_watches_it(void **state)
{
    (void)state;
    const char *put = "{put: {key: '/a/{{x}}', value: 1}}";
    assert_true(feeds(put, "{key: '/a/{y}'}"));
    assert_true(feeds(put, "{key: /a/}"));
    assert_true(feeds(put, "{key: /a/b, events: create}"));
    assert_true(feeds(put, "{absent: '/a/{y}', for: 1s}"));
    assert_false(feeds(put, "{key: '/a/{y}', events: delete}"));
    assert_false(feeds(put, "{key: '/a/{y}', events: expire}"));
    assert_false(feeds(put, "{key: '/a/{y}/z'}"));
    assert_false(feeds(put, "{key: '/b/{y}'}"));
    assert_false(feeds(put, "{every: 1m}"));
    assert_true(feeds("{put: {key: /a/b, value: 1, ttl: 5s}}",
                      "{key: '/a/{y}', events: expire}"));
    assert_true(feeds("{delete: '/a/{{x}}'}", "{key: /a/, events: delete}"));
    assert_false(feeds("{delete: '/a/{{x}}'}", "{key: /a/}"));
    assert_true(feeds("{delete: {key: /a, prefix: true}}",
                      "{key: /abc/d, events: delete}"));
    assert_true(feeds("{txn: {compare: [], else: [{put: {key: /a/b, value: "
                      "1}}]}}",
                      "{key: '/a/{y}'}"));
    assert_false(feeds("{log: /a/b}", "{key: '/a/{y}'}"));
}

static void runs_feed_too(void **state)
{
    (void)state;
    assert_true(feeds("{log: hi}", "{recipe: w}"));
    assert_false(feeds("{log: hi}", "{recipe: v}"));
    struct recipe *writer =
        parse_recipe("name: w\nif: [{every: 1m}]\nthen: [{log: a}]\n"
                     "on_failure: [{call: r}]\n");
    struct recipe *callee =
        parse_recipe("name: r\nif: [{manual: true}]\nthen: [{log: a}]\n");
    assert_false(recipe_feeds(writer, &callee->triggers[0]));
    assert_true(recipe_feeds(writer, &callee->triggers[1]));
    assert_false(recipe_feeds(callee, &writer->triggers[1]));
    recipe_free(writer);
    recipe_free(callee);
}

/* With loop.reentrant a recipe may feed itself. */
static void who_means_it_says_so(void **state)
{
    (void)state;
    struct recipe *recipe =
        parse_recipe("name: r\nif: [{key: '/a/{x}'}, {recipe: r}]\n"
                     "then: [{put: {key: '/a/{{x}}2', value: 1}}, {call: r}]\n"
                     "loop: {reentrant: true}\n");
    for (size_t i = 0; i < recipe->trigger_count; i++)
        assert_true(recipe_feeds(recipe, &recipe->triggers[i]));
    recipe_free(recipe);
}

static void all_writes_are_told(void **state)
{
    (void)state;
    struct arena arena;
    struct key_shape *shapes;
    struct recipe *recipe = parse_recipe(
        "name: r\nif: [{every: 1m}]\nthen:\n- put: {key: /a, value: 1}\n"
        "- log: x\n- txn: {compare: [], then: [{delete: /b}, {put: {key: /c, "
        "value: 1}}], else: [{delete: /d}]}\n"
        "on_failure:\n- delete: {key: /e, prefix: true}\n");
    static const char *const keys[] = {"/a", "/b", "/c", "/d", "/e"};
    arena_init(&arena, 0);
    assert_int_equal(recipe_writes(recipe, &arena, &shapes), 5);
    for (size_t i = 0; i < 5; i++)
        ASSERT_TEXT(shapes[i].pieces[0].text, keys[i]);
    assert_int_equal(shapes[3].count, 1);
    assert_int_equal(shapes[4].count, 2);
    arena_deinit(&arena);
    recipe_free(recipe);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_shape_says_what_is_known_of_a_key),
        cmocka_unit_test(lets_of_lets_come_to_an_end),
        cmocka_unit_test(a_write_feeds_who_watches_it),
        cmocka_unit_test(runs_feed_too),
        cmocka_unit_test(who_means_it_says_so),
        cmocka_unit_test(all_writes_are_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
