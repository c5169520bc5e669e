/* Ingredients: what each is, at which event, and when it has to be asked for.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>

#include "machine_world.h"

/* What one template comes to at a put of /a/x = {"n": 1}, after "before". */
static void expect_text(const char *template, const char *expected)
{
    struct world world;
    char text[512];
    snprintf(text, sizeof text,
             "name: s\nlabels: {team: infra}\nif: [{key: '/a/{x}'}, {key: "
             "'/other/{y}'}]\n"
             "then: [{log: \"%s\"}]",
             template);
    world_open(&world, text);
    world.is_shy = true;
    world_put(&world, "/a/x", "before");
    world_put(&world, "/k", "old");
    world.next[0] = world.next[1] = 2;
    world_put(&world, "/a/x", "{\"n\":1}");
    world_put(&world, "/k", "new");
    world_run(&world);
    buf_append_char(&world.said, '\0');
    char line[512];
    snprintf(line, sizeof line, "info %s\n", expected);
    assert_string_equal(world.said.at, line);
    world_close(&world);
}

static void each_of_them(void **state)
{
    (void)state;
    expect_text("{{key}} {{x}}", "/a/x x");
    expect_text("{{value.n + 1}} {{raw}} {{prev}}", "2 {\"n\":1} before");
}

static void of_the_event(void **state)
{
    (void)state;
    expect_text("{{event.type}} {{event.cause}} {{event.revision}} "
                "{{event.depth}} {{event.time}}",
                "update put 3 0 1970-01-01T00:16:40Z");
    expect_text("{{now() == event.time}}", "true");
    expect_text("{{recipe}} {{labels.team}}", "s infra");
}

static void of_the_store(void **state)
{
    (void)state;
    expect_text("{{get('/k')}} {{exists('/k')}} {{exists('/z')}} "
                "{{get('/z')}} {{count('/')}}",
                "old true false null 2");
    expect_text("{{get(key).n}}", "1");
}

static void of_another_trigger(void **state)
{
    struct world world;
    (void)state;
    world_open(&world, "name: s\nif: [{key: '/a/{x}'}, {key: '/b/{y}'}]\n"
                       "then: [{log: '{{x}}'}]\n"
                       "on_failure: [{log: 'bad {{y}} {{error}}'}]");
    world_put(&world, "/b/1", "");
    world_run(&world);
    assert_true(world_has(&world.said, "info bad 1 step 0 (log): "));
    world_close(&world);
}

static void a_deletion_has_no_value(void **state)
{
    struct world world;
    (void)state;
    world_open(&world, "name: s\nif: [{key: '/a/{x}', events: [delete]}]\n"
                       "then: [{wait: 1s}, {log: '{{value}} {{raw}} {{prev}} "
                       "{{event.type}}'}]");
    world_put(&world, "/a/1", "was");
    world_delete(&world, "/a/1");
    world_run(&world);
    world_crash(&world);
    world_advance(&world, WORLD_SECOND);
    assert_true(world_has(&world.said, "info null null was delete\n"));
    world_close(&world);
}

/* The order of lets is that of the document; each is made once. */
static void lets_are_lazy(void **state)
{
    struct world world;
    (void)state;
    world_open(&world, "name: s\nif: [{key: '/a/{x}'}]\n"
                       "let:\n"
                       "  one: '{{x}}1'\n"
                       "  two: '{{one}}{{one}}'\n"
                       "  never: \"{{get('/gone').x.y}}\"\n"
                       "  there: \"{{get('/k')}}\"\n"
                       "then: [{log: '{{two}} {{there}} {{there}}'}]");
    world_put(&world, "/k", "v");
    world_put(&world, "/a/b", "");
    world_run(&world);
    assert_true(world_has(&world.said, "info b1b1 v v\n"));
    assert_int_equal(world.lookups_made, 1);
    world_close(&world);
}

/* In the middle of anything it may turn out that something isn't known. */
static void wants_in_all_places(void **state)
{
    struct world world;
    (void)state;
    world_open(
        &world,
        "name: s\nif: [{key: '/a/{x}', changed: \"value.n + "
        "int(get('/1'))\"}]\n"
        "let: {l: \"{{get('/2')}}\"}\n"
        "where: [\"get('/3') == 3\"]\n"
        "dedupe: {key: \"{{get('/4')}}{{x}}{{value.n}}\", ttl: 1s}\n"
        "then:\n"
        "- put: {key: \"/p{{get('/5')}}\", value: \"{{get('/6')}}\"}\n"
        "  if: \"get('/7') == 7\"\n"
        "- txn:\n"
        "    compare: [{key: \"/c{{get('/8')}}\", value: \"{{get('/9')}}\"}]\n"
        "    else: [{put: {key: /t, value: \"{{get('/10')}}\"}}]\n"
        "- log: \"{{get('/11')}} {{l}}\"\n"
        "- call: {recipe: other, args: {a: \"{{get('/12')}}\"}}\n"
        "- http: {url: \"http://h/{{get('/13')}}\"}\n");
    for (int i = 1; i <= 13; i++) {
        char key[16];
        char value[16];
        snprintf(key, sizeof key, "/%d", i);
        snprintf(value, sizeof value, "%d", i);
        world_put(&world, key, value);
    }
    world.is_shy = true;
    world_put(&world, "/a/1", "{\"n\":1}");
    world_put(&world, "/a/1", "{\"n\":2}");
    world_run(&world);
    for (int i = 0; i < 2; i++) {
        assert_true(world_send(&world));
        assert_true(strstr(world.outs[0].request, "http://h/13") != NULL);
        world_answer(&world, 200, "");
    }
    world_expect(&world, "put /p5 6\nput /t 10\nput /p5 6\nput /t 10\n");
    world_expect_runs(&world, "ok /a/1\nok /a/1\n");
    buf_append_char(&world.said, '\0');
    assert_string_equal(world.said.at, "info 11 2\ninfo 11 2\n");
    assert_int_equal(world_count(&world, "/_recipes/in/other/call/"), 2);
    assert_int_equal(world.fired, 2);
    world_close(&world);
}

/* Nothing of it is kept where nobody reads it; an edit that reads it then
 * finds it in history. */
static void what_wasnt_kept_is_looked_up(void **state)
{
    struct world world;
    struct recipe_fault fault;
    (void)state;
    world_open(&world, "name: s\nif: [{key: '/a/{x}', for: 1m}]\n"
                       "then: [{log: '{{x}}'}]");
    world_put(&world, "/a/1", "{\"n\":1}");
    world_put(&world, "/a/1", "{\"n\":2}");
    world_run(&world);
    struct slice memo = world_key(&world, "/_recipes/state/s/hold/", 0);
    assert_true(world_value_has(&world, memo, "event"));
    assert_false(world_value_has(&world, memo, "raw"));
    machine_free(world.machine);
    recipe_free(world.recipe);
    assert_int_equal(
        recipe_parse(SLICE("name: s\nif: [{key: '/a/{x}', for: 1m}]\n"
                           "then: [{log: '{{value.n}} {{raw}} {{prev.n}}'}]"),
                     NULL, &world.recipe, &fault),
        ERR_OK);
    world.machine = NULL;
    world_crash(&world);
    world.is_shy = true;
    world_advance(&world, WORLD_MINUTE);
    assert_true(world_has(&world.said, "info 2 {\"n\":2} 1\n"));
    world_close(&world);
}

static void nothing_can_be_looked_up_here(void **state)
{
    struct world world;
    struct turn turn;
    (void)state;
    world_open(&world, "name: s\nif: [{key: '/a'}]\n"
                       "where: [\"exists('/b')\"]\nthen: [{log: x}]");
    struct recipe_event event = {.id = {.revision = 1},
                                 .type = EVENT_CREATE,
                                 .key = SLICE("/a"),
                                 .raw = SLICE("v")};
    turn_init(&turn);
    assert_int_equal(machine_event(world.machine, 0, &event, NULL, &turn, NULL),
                     TURN_TAKEN);
    assert_int_equal(turn.failed, 1);
    assert_true(slice_has_prefix(turn.runs[0].record, SLICE("{\"id\":\"1\"")));
    turn_deinit(&turn);
    world_close(&world);
}

/* ---- numbers that cross ------------------------------------------------- */

static void numbers_of_any_kind(void **state)
{
    struct world world;
    (void)state;
    world_open(&world, "name: s\nif: [{key: '/a/{x}', crosses: {of: value, "
                       "above: 1.5}}]\n"
                       "then: [{log: '{{value}}'}]");
    static const char *const values[] = {"1.4", "1.6",  "1",
                                         "2",   "null", "\"3\""};
    for (size_t i = 0; i < sizeof values / sizeof values[0]; i++)
        world_put(&world, "/a/1", values[i]);
    world_run(&world);
    buf_append_char(&world.said, '\0');
    assert_string_equal(world.said.at, "info 1.6\ninfo 2\n");
    world_expect_runs(&world, "ok /a/1\nok /a/1\nfailed /a/1\nfailed /a/1\n");
    world_close(&world);
}

/* ---- txn ---------------------------------------------------------------- */

/* What a txn with this compare comes to: which branch, or that it failed. */
static void expect_branch(const char *compare, const char *log)
{
    struct world world;
    char text[512];
    snprintf(text, sizeof text,
             "name: s\nif: [{key: '/a/{x}'}]\nthen:\n"
             "- txn: {compare: [%s], then: [{put: {key: /t, value: 1}}], "
             "else: [{put: {key: /e, value: 1}}]}\n",
             compare);
    world_open(&world, text);
    world_put(&world, "/k", "v");
    world_put(&world, "/a/1", "{\"n\":1,\"d\":1.0,\"h\":1.5,\"s\":\"1\"}");
    world_run(&world);
    world_expect(&world, log);
    world_expect_runs(&world, *log ? "ok /a/1\n" : "failed /a/1\n");
    world_close(&world);
}

static void compares(void **state)
{
    (void)state;
    expect_branch("{key: /k, value: v}", "put /t 1\n");
    expect_branch("{key: /k, value: v, op: '!='}", "put /e 1\n");
    expect_branch("{key: /k, exists: true}", "put /t 1\n");
    expect_branch("{key: /k, exists: false}", "put /e 1\n");
    expect_branch("{key: /none, exists: false}", "put /t 1\n");
    expect_branch("{key: /k, modified: 1}", "put /t 1\n");
    expect_branch("{key: /k, modified: '{{value.n}}'}", "put /t 1\n");
    expect_branch("{key: /k, modified: '{{value.d}}'}", "put /t 1\n");
    expect_branch("{key: /k, modified: '{{value.s}}'}", "put /t 1\n");
    expect_branch("{key: /k, modified: '{{uint(1)}}'}", "put /t 1\n");
    expect_branch("{key: /k, modified: '{{event.revision}}', op: <}",
                  "put /t 1\n");
    expect_branch("{key: /k, modified: 5, op: '>'}", "put /e 1\n");
    expect_branch("{key: /k, modified: '{{value.h}}'}", "");
    expect_branch("{key: /k, modified: '{{x}}{{x}}x'}", "");
    expect_branch("{key: /k, modified: '{{value.none}}'}", "");
    expect_branch("{key: '/{{value.none}}', exists: true}", "");
    expect_branch("{key: /k, value: '{{value.none}}'}", "");
}

static void a_txn_that_cant_be(void **state)
{
    static const char *const branches[] = {
        ("then: [{put: {key: '/t{{x}}', value: 1}}, {delete: {key: '/t', "
         "prefix: true}}]"),
        "else: [{put: {key: '/{{value.none}}', value: 1}}]",
        "then: [{delete: '{{value.own}}'}]",
        "then: [{delete: '{{value.empty}}'}]",
    };
    (void)state;
    for (size_t i = 0; i < sizeof branches / sizeof branches[0]; i++) {
        struct world world;
        char text[512];
        snprintf(text, sizeof text,
                 "name: s\nif: [{key: '/a/{x}'}]\n"
                 "loop: {reentrant: true}\nthen:\n"
                 "- txn: {compare: [{key: /k, exists: false}], %s}\n",
                 branches[i]);
        world_open(&world, text);
        world_put(&world, "/a/1",
                  "{\"own\":\"/_recipes/owner/s\",\"empty\":\"\"}");
        world_run(&world);
        world_expect(&world, "");
        world_expect_runs(&world, "failed /a/1\n");
        world_close(&world);
    }
}

/* In one turn with an event that writes a key of it, it isn't. */
static void a_txn_touches_its_keys(void **state)
{
    struct world world;
    (void)state;
    world_open(
        &world,
        "name: s\nif: [{key: '/a/{x}'}]\nthen:\n"
        "- txn: {compare: [{key: /k, exists: true}], then: [{put: {key: "
        "'/t/{{x}}', value: 1}}], else: [{put: {key: /e, value: '{{x}}'}}"
        "]}\n");
    world_put(&world, "/a/1", "");
    world_put(&world, "/a/2", "");
    world_run(&world);
    world_expect(&world, "put /e 1\nput /e 2\n");
    assert_int_equal(world.turns, 2);
    world_close(&world);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_of_them),
        cmocka_unit_test(of_the_event),
        cmocka_unit_test(of_the_store),
        cmocka_unit_test(of_another_trigger),
        cmocka_unit_test(a_deletion_has_no_value),
        cmocka_unit_test(lets_are_lazy),
        cmocka_unit_test(wants_in_all_places),
        cmocka_unit_test(what_wasnt_kept_is_looked_up),
        cmocka_unit_test(nothing_can_be_looked_up_here),
        cmocka_unit_test(numbers_of_any_kind),
        cmocka_unit_test(compares),
        cmocka_unit_test(a_txn_that_cant_be),
        cmocka_unit_test(a_txn_touches_its_keys),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
