/* Runs: their steps, their scopes and modes, their records. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>

#include "machine_world.h"

static void steps_in_order(void **state)
{
    struct world world;
    (void)state;
    world_open(&world,
               "name: s\nif: [{key: '/a/{x}'}]\nlabels: {team: infra}\n"
               "let: {who: '{{labels.team}}-{{x}}', twice: '{{who}} {{who}}'}\n"
               "then:\n"
               "- put: {key: '/one/{{who}}', value: {n: '{{value.n}}', t: "
               "'{{twice}}', l: [1, '{{x}}']}, ttl: 1h}\n"
               "- put: {key: /never, value: x}\n"
               "  if: value.n > 100\n"
               "- delete: '/old/{{x}}'\n"
               "- log: {message: 'saw {{value}}', level: warn}\n");
    world_put(&world, "/old/1", "o");
    world_put(&world, "/a/1", "{\"n\":7}");
    world_run(&world);
    world_expect(&world, "put /one/infra-1 {\"n\":7,\"t\":\"infra-1 infra-1\","
                         "\"l\":[1,\"1\"]} ttl 3600\n"
                         "delete /old/1\n");
    assert_true(world_has(&world.said, "warn saw {\"n\":7}\n"));
    assert_true(world_has(
        &world.last,
        "\"steps\":[{\"id\":\"0\",\"kind\":\"put\",\"status\":\"ok\",\"key\":"
        "\"/one/infra-1\"},{\"id\":\"1\",\"kind\":\"put\",\"status\":"
        "\"skipped\"},{\"id\":\"2\",\"kind\":\"delete\",\"status\":\"ok\","
        "\"key\":\"/old/1\"},{\"id\":\"3\",\"kind\":\"log\",\"status\":\"ok\"}"
        "]"));
    world_close(&world);
}

static void the_record_of_a_run(void **state)
{
    struct world world;
    (void)state;
    world_open(&world, "name: s\nif: [{key: '/a/{x}'}]\n"
                       "then: [{log: hello}]");
    world_put(&world, "/a/1", "");
    world_run(&world);
    assert_string_equal(
        world_get(&world, "/_recipes/run/s/0000000000000000001.00000.0000"),
        "[{\"id\":\"1\",\"uid\":7,\"recipe\":\"s\",\"trigger\":0,\"key\":"
        "\"/a/1\",\"event\":\"create\",\"cause\":\"put\",\"time\":"
        "\"1970-01-01T00:16:40Z\",\"revision\":1,\"depth\":0,\"status\":"
        "\"ok\",\"steps\":[{\"id\":\"0\",\"kind\":\"log\",\"status\":\"ok\"}],"
        "\"started\":\"1970-01-01T00:16:40Z\",\"ended\":"
        "\"1970-01-01T00:16:40Z\"}]");
    world_close(&world);
}

static void a_step_that_fails(void **state)
{
    struct world world;
    (void)state;
    world_open(&world, "name: s\nif: [{key: '/a/{x}'}]\n"
                       "then:\n"
                       "- put: {key: /first, value: 1}\n"
                       "- {id: bad, put: {key: '/b/{{value.n}}', value: 1}}\n"
                       "- put: {key: /third, value: 1}\n"
                       "on_failure:\n"
                       "- put: {key: '/failed/{{recipe}}', value: "
                       "'{{error}}'}\n");
    world_put(&world, "/a/1", "text");
    world_run(&world);
    assert_true(world_has(&world.log, "put /first 1\nput /failed/s step bad "
                                      "(put): "));
    assert_null(world_get(&world, "/third"));
    world_expect_runs(&world, "failed /a/1\n");
    assert_true(world_has(&world.last, "\"id\":\"f0\",\"kind\":\"put\","
                                       "\"status\":\"ok\""));
    assert_int_equal(world.failed, 1);
    world_close(&world);
}

static void on_failure_that_fails(void **state)
{
    struct world world;
    (void)state;
    world_open(&world, "name: s\nif: [{key: '/a/{x}'}]\n"
                       "then: [{put: {key: '/b/{{value.n}}', value: 1}}]\n"
                       "on_failure: [{put: {key: '/c/{{value.m}}', value: 1}},"
                       " {put: {key: /d, value: 1}}]\n");
    world_put(&world, "/a/1", "text");
    world_run(&world);
    world_expect(&world, "");
    world_expect_runs(&world, "failed /a/1\n");
    assert_true(world_has(&world.last, "; then step f0 (put): "));
    world_close(&world);
}

static void nobody_writes_the_services_keys(void **state)
{
    static const char *const keys[] = {"/_recipes/cursor/s", "/_recipes", "/",
                                       "/_r", ""};
    struct world world;
    (void)state;
    world_open(&world, "name: s\nif: [{key: '/a/{x}'}]\n"
                       "loop: {reentrant: true}\n"
                       "then: [{delete: {key: '{{value}}', prefix: true}}]");
    for (size_t i = 0; i < 5; i++) {
        world_put(&world, "/a/1", keys[i]);
        world_run(&world);
        world_expect(&world, "");
        world_expect_runs(&world, "failed /a/1\n");
    }
    world_put(&world, "/a/1", "/_recipes0");
    world_run(&world);
    world_expect_runs(&world, "ok /a/1\n");
    world_close(&world);
}

static void the_same_key_twice(void **state)
{
    struct world world;
    (void)state;
    world_open(&world, "name: s\nif: [{key: '/a/{x}'}]\n"
                       "then:\n"
                       "- put: {key: /s, value: began}\n"
                       "- put: {key: /s, value: ended}\n"
                       "- put: {key: /set/1, value: old}\n"
                       "- delete: {key: /set/, prefix: true}\n"
                       "- delete: /set/3\n"
                       "- put: {key: /set/2, value: new}\n");
    world_put(&world, "/set/0", "older");
    world_put(&world, "/set/9", "older");
    world_put(&world, "/a/1", "");
    world_run(&world);
    world_expect(&world, "put /s ended\ndelete /set/ ..\ndelete /set/2");
    world_close(&world);
}

static void a_txn(void **state)
{
    struct world world;
    (void)state;
    world_open(
        &world,
        "name: s\nif: [{key: '/a/{x}'}]\n"
        "then:\n"
        "- txn:\n"
        "    compare: [{key: /lock, exists: false}, {key: /mode, value: on}]\n"
        "    then: [{put: {key: /lock, value: '{{x}}'}}]\n"
        "    else: [{put: {key: '/missed/{{x}}', value: 1}}]\n");
    world_put(&world, "/mode", "on");
    world_put(&world, "/a/1", "");
    world_run(&world);
    world_put(&world, "/a/2", "");
    world_put(&world, "/a/3", "");
    world_run(&world);
    world_expect(&world, "put /lock 1\nput /missed/2 1\nput /missed/3 1\n");
    /* The two touch one key, though neither writes it: two transactions. */
    assert_int_equal(world.turns, 3);
    world_close(&world);
}

static void a_txn_and_another_at_once(void **state)
{
    struct world world;
    (void)state;
    world_open(&world, "name: s\nif: [{key: '/a/{x}'}]\n"
                       "then:\n"
                       "- put: {key: /x, value: 1}\n"
                       "- txn:\n"
                       "    compare: [{key: /y, version: 0}]\n"
                       "    then: [{put: {key: /x, value: 2}}]\n");
    world_put(&world, "/a/1", "");
    world_run(&world);
    world_expect(&world, "put /x 1\n");
    world_expect_runs(&world, "failed /a/1\n");
    assert_true(world_has(&world.last, "put both in the txn"));
    world_close(&world);
}

static void shadow_has_no_effect(void **state)
{
    struct world world;
    (void)state;
    world_open(&world, "name: s\nshadow: true\nif: [{key: '/a/{x}'}]\n"
                       "then:\n"
                       "- put: {key: /b, value: 1}\n"
                       "- http: {url: 'http://example.org/x'}\n"
                       "- wait: 1h\n"
                       "- call: other\n"
                       "- log: hello\n");
    world_put(&world, "/a/1", "");
    world_run(&world);
    world_expect(&world, "");
    world_expect_runs(&world, "ok /a/1\n");
    assert_int_equal(world.said.size, 0);
    assert_int_equal(world_count(&world, "/_recipes/in/"), 0);
    assert_int_equal(world_count(&world, "/_recipes/active/"), 0);
    assert_true(world_has(&world.last, "\"shadow\":true"));
    assert_true(world_has(&world.last, "\"status\":\"shadow\",\"key\":\"/b\""));
    assert_true(world_has(&world.last, "\"host\":\"example.org\""));
    world_close(&world);
}

static void waiting_survives(void **state)
{
    struct world world;
    (void)state;
    world_open(&world, "name: s\nif: [{key: '/a/{x}'}]\n"
                       "let: {was: \"{{get('/mode')}}\"}\n"
                       "then:\n"
                       "- put: {key: /b, value: '{{value}}'}\n"
                       "- wait: 1h\n"
                       "- wait: 1h\n"
                       "- put: {key: /c, value: '{{x}} {{value}} {{prev}} "
                       "{{was}}'}\n");
    world_put(&world, "/mode", "on");
    world_put(&world, "/a/1", "zero");
    world_put(&world, "/a/1", "one");
    world.next[0] = 2; /* the first isn't told */
    world_run(&world);
    world_expect(&world, "put /b one\n");
    world_put(&world, "/mode", "off");
    world.compacted = 1000; /* what was then can't be asked any more */
    world_advance(&world, 60 * WORLD_MINUTE);
    world_expect(&world, "");
    world_crash(&world);
    world_advance(&world, 60 * WORLD_MINUTE);
    world_expect(&world, "put /c 1 one zero on\n");
    world_expect_runs(&world, "ok /a/1\n");
    assert_int_equal(world_count(&world, "/_recipes/active/"), 0);
    world_close(&world);
}

/* ---- modes -------------------------------------------------------------- */

static void open_mode(struct world *world, const char *mode, const char *order)
{
    char text[512];
    snprintf(text, sizeof text,
             "name: m\nmode: %s\norder: %s\nif: [{key: '/a/{x}'}]\n"
             "then:\n"
             "- put: {key: '/began/{{value}}', value: 1}\n"
             "- wait: 10s\n"
             "- put: {key: '/ended/{{value}}', value: 1}\n",
             mode, order);
    world_open(world, text);
}

static void queued_one_after_the_other(void **state)
{
    struct world world;
    (void)state;
    open_mode(&world, "queued", "per-key");
    world_put(&world, "/a/1", "a");
    world_put(&world, "/a/1", "b");
    world_put(&world, "/a/2", "c");
    world_run(&world);
    world_expect(&world, "put /began/a 1\nput /began/c 1\n");
    struct buf list = {0};
    machine_list_active(world.machine, &list);
    assert_true(world_has(&list, "\"state\":\"waiting\",\"step\":\"1\""));
    assert_true(world_has(&list, "\"state\":\"queued\""));
    buf_deinit(&list);
    world_crash(&world);
    world_advance(&world, 10 * WORLD_SECOND);
    world_expect(&world, "put /ended/a 1\nput /began/b 1\nput /ended/c 1\n");
    world_advance(&world, 10 * WORLD_SECOND);
    world_expect(&world, "put /ended/b 1\n");
    world_expect_runs(&world, "ok /a/1\nok /a/2\nok /a/1\n");
    world_close(&world);
}

static void strictly_one_after_the_other(void **state)
{
    struct world world;
    (void)state;
    open_mode(&world, "queued", "strict");
    world_put(&world, "/a/1", "a");
    world_put(&world, "/a/2", "b");
    world_run(&world);
    world_expect(&world, "put /began/a 1\n");
    world_advance(&world, 10 * WORLD_SECOND);
    world_advance(&world, 10 * WORLD_SECOND);
    world_expect(&world, "put /ended/a 1\nput /began/b 1\nput /ended/b 1\n");
    world_close(&world);
}

static void single_passes_over(void **state)
{
    struct world world;
    (void)state;
    open_mode(&world, "single", "per-key");
    world_put(&world, "/a/1", "a");
    world_put(&world, "/a/1", "b");
    world_advance(&world, 10 * WORLD_SECOND);
    world_put(&world, "/a/1", "c");
    world_run(&world);
    world_expect(&world, "put /began/a 1\nput /ended/a 1\nput /began/c 1\n");
    world_expect_runs(&world, "skipped /a/1\nok /a/1\n");
    world_close(&world);
}

static void restart_cancels(void **state)
{
    struct world world;
    (void)state;
    open_mode(&world, "restart", "per-key");
    world_put(&world, "/a/1", "a");
    world_advance(&world, 5 * WORLD_SECOND);
    world_put(&world, "/a/1", "b");
    world_advance(&world, 5 * WORLD_SECOND);
    world_expect(&world, "put /began/a 1\nput /began/b 1\n");
    world_expect_runs(&world, "cancelled /a/1\n");
    world_advance(&world, 5 * WORLD_SECOND);
    world_expect(&world, "put /ended/b 1\n");
    world_expect_runs(&world, "ok /a/1\n");
    world_close(&world);
}

static void parallel_doesnt_wait(void **state)
{
    struct world world;
    (void)state;
    open_mode(&world, "parallel", "strict");
    world_put(&world, "/a/1", "a");
    world_put(&world, "/a/1", "b");
    world_run(&world);
    world_expect(&world, "put /began/a 1\nput /began/b 1\n");
    world_close(&world);
}

static void there_is_a_bound(void **state)
{
    struct world world;
    (void)state;
    world_open(&world, "name: m\nmax: 2\nif: [{key: '/a/{x}'}]\n"
                       "then: [{wait: 10s}]");
    world_put(&world, "/a/1", "");
    world_run(&world);
    assert_false(machine_is_busy(world.machine));
    world_put(&world, "/a/1", "");
    world_run(&world);
    assert_true(machine_is_busy(world.machine));
    world_advance(&world, 10 * WORLD_SECOND);
    assert_false(machine_is_busy(world.machine));
    world_close(&world);
}

/* The recipe is edited while a run waits: its step is known by its name, and a
 * trigger by what it watches. */
static void an_edit_while_it_runs(void **state)
{
    struct world world;
    (void)state;
    world_open(&world, "name: e\nif: [{key: '/a/{x}'}]\n"
                       "then: [{id: w, wait: 10s}, {put: {key: '/b/{{x}}', "
                       "value: old}}]");
    world_put(&world, "/a/1", "");
    world_run(&world);
    machine_free(world.machine);
    world.machine = NULL;
    struct recipe *old = world.recipe;
    struct recipe_fault fault;
    assert_int_equal(
        recipe_parse(SLICE("name: e\nif: [{key: '/new/{y}'}, {key: '/a/{x}'}]\n"
                           "then: [{log: hi}, {id: w, wait: 10s}, {put: {key: "
                           "'/c/{{x}}', value: new}}]"),
                     NULL, &world.recipe, &fault),
        ERR_OK);
    recipe_free(old);
    world_crash(&world);
    world_advance(&world, 10 * WORLD_SECOND);
    world_expect(&world, "put /c/1 new\n");
    assert_int_equal(world.fired, 1); /* and not again */
    world_put(&world, "/a/2", "");
    world_run(&world);
    machine_free(world.machine);
    world.machine = NULL;
    recipe_free(world.recipe);
    assert_int_equal(recipe_parse(SLICE("name: e\nif: [{key: '/a/{x}'}]\n"
                                        "then: [{log: hi}]\non_failure: "
                                        "[{put: {key: /f, value: "
                                        "'{{error}}'}}]"),
                                  NULL, &world.recipe, &fault),
                     ERR_OK);
    world_crash(&world);
    world_advance(&world, 10 * WORLD_SECOND);
    world_expect(&world, "put /f step w isn't in the recipe any more\n");
    world_close(&world);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(steps_in_order),
        cmocka_unit_test(the_record_of_a_run),
        cmocka_unit_test(a_step_that_fails),
        cmocka_unit_test(on_failure_that_fails),
        cmocka_unit_test(nobody_writes_the_services_keys),
        cmocka_unit_test(the_same_key_twice),
        cmocka_unit_test(a_txn),
        cmocka_unit_test(a_txn_and_another_at_once),
        cmocka_unit_test(shadow_has_no_effect),
        cmocka_unit_test(waiting_survives),
        cmocka_unit_test(queued_one_after_the_other),
        cmocka_unit_test(strictly_one_after_the_other),
        cmocka_unit_test(single_passes_over),
        cmocka_unit_test(restart_cancels),
        cmocka_unit_test(parallel_doesnt_wait),
        cmocka_unit_test(there_is_a_bound),
        cmocka_unit_test(an_edit_while_it_runs),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
