/* Documents that leave out what is known elsewhere: the name in an address, an
 * owner; and how far a cursor says that its recipe has come. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#include "machine_world.h"

#define REST_OF_IT "if: [{manual: true}]\nthen: [{log: hi}]\n"

static enum err parse(const char *text, const char *name, const char *owner,
                      struct recipe **out, struct recipe_fault *fault)
{
    const struct recipe_given given = {.name = slice_str(name),
                                       .owner = slice_str(owner)};
    return recipe_parse_given(slice_str(text), &given, NULL, out, fault);
}

/* The canonical text of it. */
static void stored(const char *text, const char *name, const char *owner,
                   char *out, size_t size)
{
    struct recipe *recipe;
    struct recipe_fault fault;
    enum err err = parse(text, name, owner, &recipe, &fault);
    if (err != ERR_OK)
        fail_msg("%s", fault.text);
    (void)snprintf(out, size, "%.*s", (int)recipe->json.size, recipe->json.at);
    recipe_free(recipe);
}

static void what_is_left_out_is_taken_from_elsewhere(void **state)
{
    static const struct {
        const char *text;
        const char *name;
        const char *owner;
        const char *same; /* as if this had been written */
    } cases[] = {
        {REST_OF_IT, "a", "", "name: a\n" REST_OF_IT},
        {REST_OF_IT, "a", "bob", "name: a\nowner: bob\n" REST_OF_IT},
        {"name: a\n" REST_OF_IT, "a", "bob",
         "name: a\nowner: bob\n" REST_OF_IT},
        {"owner: eve\n" REST_OF_IT, "a", "bob",
         "name: a\nowner: eve\n" REST_OF_IT},
        {"name: b\nowner: eve\n" REST_OF_IT, "a", "bob",
         "name: b\nowner: eve\n" REST_OF_IT},
        {"{\"if\":[{\"manual\":true}],\"then\":[{\"log\":\"hi\"}]}", "a", "bob",
         "name: a\nowner: bob\n" REST_OF_IT},
        {"owner: eve\nname: b\n" REST_OF_IT, "", "",
         "name: b\nowner: eve\n" REST_OF_IT},
    };
    char one[512], two[512];
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        stored(cases[i].text, cases[i].name, cases[i].owner, one, sizeof one);
        stored(cases[i].same, "", "", two, sizeof two);
        assert_string_equal(one, two);
    }
}

/* What is taken is looked at like what is written. */
static void what_is_given_must_be_good_too(void **state)
{
    static const struct {
        const char *text;
        const char *name;
        const char *owner;
        const char *path;
    } cases[] = {
        {REST_OF_IT, "A", "", "name"},
        {REST_OF_IT, "a/b", "", "name"},
        {REST_OF_IT, "", "", ""},
        {REST_OF_IT, "a", "root", "owner"},
        {"owner: root\n" REST_OF_IT, "a", "bob", "owner"},
        {"owner: ''\n" REST_OF_IT, "a", "bob", "owner"},
        {"owner: 5\n" REST_OF_IT, "a", "bob", "owner"},
        {"name: [a]\n" REST_OF_IT, "a", "bob", "name"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct recipe *recipe = NULL;
        struct recipe_fault fault;
        assert_int_equal(parse(cases[i].text, cases[i].name, cases[i].owner,
                               &recipe, &fault),
                         ERR_INVALID);
        assert_null(recipe);
        assert_string_equal(fault.path, cases[i].path);
    }
}

static void what_is_no_map_has_no_members(void **state)
{
    static const char *const texts[] = {"", "[]", "text", "5", "null", "{"};
    (void)state;
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        struct recipe *recipe = NULL;
        struct recipe_fault fault;
        assert_int_not_equal(parse(texts[i], "a", "bob", &recipe, &fault),
                             ERR_OK);
        assert_null(recipe);
        assert_true(fault.text[0] != '\0');
    }
}

static void places_are_those_of_the_text(void **state)
{
    struct recipe *recipe = NULL;
    struct recipe_fault fault;
    (void)state;
    assert_int_equal(parse("if: [{manual: true}]\n"
                           "then: [{put: {key: '{{nothing}}', value: 1}}]",
                           "a", "bob", &recipe, &fault),
                     ERR_INVALID);
    assert_int_equal(fault.line, 2);
    assert_string_equal(fault.path, "then[0].put.key");
}

/* ---- cursors ------------------------------------------------------------- */

static int64_t oldest(const char *text)
{
    return machine_cursor_oldest(slice_str(text));
}

static void a_cursor_tells_how_far_it_is(void **state)
{
    (void)state;
    assert_true(oldest("{\"depth\":0,\"triggers\":[{\"watches\":\"/a/{x}\","
                       "\"tag\":\"t\",\"at\":\"12\"}]}") == 12);
    assert_true(oldest("{\"triggers\":[{\"watches\":\"/a\",\"at\":\"12.3.4\"},"
                       "{\"watches\":\"/b\",\"at\":\"7\"},"
                       "{\"watches\":\"/c\",\"at\":\"9\"}]}") == 7);
    /* An inbox has all that was missed still in it. */
    assert_true(oldest("{\"triggers\":[{\"watches\":\"/_recipes/in/a/tick/\","
                       "\"at\":\"3\"},{\"watches\":\"/b\",\"at\":\"7\"}]}") ==
                7);
    /* Records of other recipes come only once. */
    assert_true(oldest("{\"triggers\":[{\"watches\":\"/_recipes/run/b/\","
                       "\"at\":\"3\"}]}") == 3);
}

static void what_is_no_cursor_wants_nothing(void **state)
{
    static const char *const texts[] = {
        "",
        "{}",
        "no JSON",
        "[]",
        "{\"triggers\":5}",
        "{\"triggers\":[]}",
        "{\"triggers\":[5]}",
        "{\"triggers\":[{\"watches\":\"/a\"}]}",
        "{\"triggers\":[{\"at\":\"5\"}]}",
        "{\"triggers\":[{\"watches\":\"/a\",\"at\":5}]}",
        "{\"triggers\":[{\"watches\":\"/a\",\"at\":\"x\"}]}",
        "{\"triggers\":[{\"watches\":5,\"at\":\"5\"}]}",
    };
    (void)state;
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++)
        assert_true(oldest(texts[i]) == INT64_MAX);
}

/* What a machine writes is what is read here. */
static void a_machines_cursor_is_read(void **state)
{
    struct world world;
    struct buf value = {0};
    struct turn turn;
    (void)state;
    turn_init(&turn);
    world_open(&world, "name: two\n"
                       "if: [{key: '/a/{x}'}, {key: '/b/{x}'}, {every: 1m}]\n"
                       "then: [{put: {key: /c, value: 1}}]");
    world_put(&world, "/a/1", "x");
    world_put(&world, "/b/1", "x");
    world_put(&world, "/a/2", "x");
    world_run(&world);
    machine_advance(world.machine, 0, 40);
    machine_advance(world.machine, 1, 30);
    machine_write_cursor(world.machine, &turn, &value);
    assert_true(machine_cursor_oldest(buf_slice(&value)) == 30);
    machine_advance(world.machine, 1, 50);
    buf_reset(&value);
    machine_write_cursor(world.machine, &turn, &value);
    assert_true(machine_cursor_oldest(buf_slice(&value)) == 40);
    buf_deinit(&value);
    turn_deinit(&turn);
    world_close(&world);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_left_out_is_taken_from_elsewhere),
        cmocka_unit_test(what_is_given_must_be_good_too),
        cmocka_unit_test(what_is_no_map_has_no_members),
        cmocka_unit_test(places_are_those_of_the_text),
        cmocka_unit_test(a_cursor_tells_how_far_it_is),
        cmocka_unit_test(what_is_no_cursor_wants_nothing),
        cmocka_unit_test(a_machines_cursor_is_read),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
