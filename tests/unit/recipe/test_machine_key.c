/* Key triggers: events, changed, crosses, for, where. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>

#include "machine_world.h"

static void a_put_sets_off_a_put(void **state)
{
    struct world world;
    (void)state;
    world_open(&world, "name: copy\n"
                       "if: [{key: '/a/{x}'}]\n"
                       "then: [{put: {key: '/b/{{x}}', value: '{{value}}!'}}]");
    world_put(&world, "/a/1", "one");
    world_put(&world, "/c/1", "not mine");
    world_put(&world, "/a/2", "two");
    world_run(&world);
    world_expect(&world, "put /b/1 one!\nput /b/2 two!\n");
    world_expect_runs(&world, "ok /a/1\nok /a/2\n");
    assert_string_equal(world_get(&world, "/b/2"), "two!");
    /* Both in one transaction, whose records are one key. */
    assert_int_equal(world.turns, 1);
    assert_int_equal(world_count(&world, "/_recipes/run/copy/"), 1);
    assert_string_equal(
        world_get(&world, "/_recipes/cursor/copy"),
        "{\"depth\":0,\"run\":\"1\",\"triggers\":[{\"watches\":\"/a/{x}\","
        "\"tag\":\"9c0d10b0\",\"at\":\"3\"},{\"watches\":"
        "\"/_recipes/in/copy/call/{id}\",\"tag\":\"2e26a089\",\"at\":"
        "\"0.4294967295\"}]}");
    world_close(&world);
}

static void only_the_events_that_are_asked_for(void **state)
{
    struct world world;
    (void)state;
    world_open(&world, "name: gone\n"
                       "if: [{key: '/a/{x}', events: [delete, create]}]\n"
                       "then: [{put: {key: '/log/{{event.type}}', "
                       "value: '{{x}} {{prev}}'}}]");
    world_put(&world, "/a/1", "one");
    world_run(&world);
    world_put(&world, "/a/1", "two");
    world_run(&world);
    world_expire(&world, "/a/1");
    world_run(&world);
    world_expect(&world, "put /log/create 1 null\n");
    world_put(&world, "/a/1", "three");
    world_run(&world);
    world_delete(&world, "/a/1");
    world_run(&world);
    world_expect(&world, "put /log/create 1 null\nput /log/delete 1 three\n");
    world_close(&world);
}

static void a_change_is_of_the_expression(void **state)
{
    struct world world;
    (void)state;
    world_open(&world, "name: moved\n"
                       "if: [{key: '/node/{n}', changed: value.state}]\n"
                       "then: [{put: {key: '/now/{{n}}', "
                       "value: '{{value.state}}'}}]");
    world_put(&world, "/node/a", "{\"state\":\"up\",\"n\":1}");
    world_run(&world);
    world_put(&world, "/node/a", "{\"state\":\"up\",\"n\":2}");
    world_run(&world);
    world_expect(&world, "put /now/a up\n");
    world_put(&world, "/node/a", "{\"state\":\"down\",\"n\":3}");
    world_run(&world);
    world_expect(&world, "put /now/a down\n");
    world_put(&world, "/node/a", "no state");
    world_run(&world);
    world_expect(&world, "");
    assert_true(world_has(&world.last, "\"error\":\"changed: "));
    world_close(&world);
}

static const char disk[] =
    "name: disk\n"
    "if: [{key: '/m/{host}', crosses: {of: value.used, above: 90, reset: 85}}]"
    "\nthen: [{put: {key: '/alert/{{host}}', value: '{{value.used}}'}}]";

static void used(struct world *world, const char *host, int percent)
{
    char key[32];
    char value[32];
    snprintf(key, sizeof key, "/m/%s", host);
    snprintf(value, sizeof value, "{\"used\":%d}", percent);
    world_put(world, key, value);
    world_run(world);
}

static void an_edge_has_hysteresis(void **state)
{
    struct world world;
    (void)state;
    world_open(&world, disk);
    used(&world, "a", 80);
    used(&world, "a", 91);
    world_expect(&world, "put /alert/a 91\n");
    used(&world, "a", 95);
    used(&world, "a", 89); /* not back at reset */
    used(&world, "a", 92);
    world_expect(&world, "");
    used(&world, "a", 85);
    used(&world, "b", 99); /* each key by itself */
    used(&world, "a", 90); /* not above */
    world_expect(&world, "put /alert/b 99\n");
    world_crash(&world);
    used(&world, "b", 98);
    used(&world, "a", 91);
    world_expect(&world, "put /alert/a 91\n");
    assert_int_equal(world_count(&world, "/_recipes/state/disk/edge/"), 2);
    /* A key that is gone begins anew. */
    world_delete(&world, "/m/a");
    world_run(&world);
    assert_int_equal(world_count(&world, "/_recipes/state/disk/edge/"), 1);
    used(&world, "a", 91);
    world_expect(&world, "put /alert/a 91\n");
    world_close(&world);
}

static void what_was_beyond_before_doesnt_cross(void **state)
{
    struct world world;
    (void)state;
    world_open(&world, disk);
    used(&world, "a", 95);
    world_expect(&world, "put /alert/a 95\n");
    /* Its memo is lost, as if the recipe were new. */
    world.revision++;
    struct slice memo = world_key(&world, "/_recipes/state/disk/edge/", 0);
    char key[128] = "";
    memcpy(key, memo.at, memo.size);
    world_delete(&world, key);
    world_crash(&world);
    used(&world, "a", 96);
    world_expect(&world, "");
    assert_int_equal(world_count(&world, "/_recipes/state/disk/edge/"), 1);
    used(&world, "a", 10);
    used(&world, "a", 97);
    world_expect(&world, "put /alert/a 97\n");
    world_close(&world);
}

static void a_number_is_needed(void **state)
{
    struct world world;
    (void)state;
    world_open(&world, disk);
    world_put(&world, "/m/a", "{\"used\":\"much\"}");
    world_run(&world);
    world_expect_runs(&world, "failed /m/a\n");
    assert_true(world_has(&world.last, "it is of kind string, not a number"));
    used(&world, "a", 91);
    world_expect(&world, "put /alert/a 91\n");
    world_close(&world);
}

static const char held[] =
    "name: held\n"
    "if: [{key: '/m/{host}', crosses: {of: value.used, above: 90, reset: 85}, "
    "for: 5m}]\n"
    "where: [\"!exists('/muted/' + host)\"]\n"
    "then: [{put: {key: '/alert/{{host}}', value: '{{value.used}}'}}]";

static void it_must_hold(void **state)
{
    struct world world;
    (void)state;
    world_open(&world, held);
    used(&world, "a", 95);
    world_advance(&world, 4 * WORLD_MINUTE);
    used(&world, "a", 97);
    world_expect(&world, "");
    world_advance(&world, WORLD_MINUTE);
    world_expect(&world, "put /alert/a 97\n"); /* what it was last */
    used(&world, "a", 99);
    world_advance(&world, 10 * WORLD_MINUTE);
    world_expect(&world, ""); /* once, until it is broken */
    used(&world, "a", 80);
    used(&world, "a", 93);
    world_advance(&world, 5 * WORLD_MINUTE - 1);
    world_expect(&world, "");
    world_advance(&world, 1);
    world_expect(&world, "put /alert/a 93\n");
    world_close(&world);
}

static void a_dip_breaks_it(void **state)
{
    struct world world;
    (void)state;
    world_open(&world, held);
    used(&world, "a", 95);
    world_advance(&world, 4 * WORLD_MINUTE);
    used(&world, "a", 85);
    world_advance(&world, 4 * WORLD_MINUTE);
    used(&world, "a", 95);
    world_advance(&world, 4 * WORLD_MINUTE);
    world_expect(&world, "");
    world_advance(&world, WORLD_MINUTE);
    world_expect(&world, "put /alert/a 95\n");
    world_close(&world);
}

static void a_condition_breaks_it(void **state)
{
    struct world world;
    (void)state;
    world_open(&world, held);
    used(&world, "a", 95);
    world_advance(&world, 4 * WORLD_MINUTE);
    world_put(&world, "/muted/a", "");
    used(&world, "a", 96);
    world_advance(&world, 4 * WORLD_MINUTE);
    world_expect(&world, "");
    world_delete(&world, "/muted/a");
    used(&world, "a", 96); /* true again: from here on */
    world_advance(&world, 4 * WORLD_MINUTE);
    world_expect(&world, "");
    world_advance(&world, WORLD_MINUTE);
    world_expect(&world, "put /alert/a 96\n");
    world_close(&world);
}

/* The events come late and all at once, as after a time without an owner: it
 * fires as it would have fired then. */
static void time_is_the_events(void **state)
{
    struct world world;
    (void)state;
    world_open(&world, held);
    world_put(&world, "/m/a", "{\"used\":95}");
    world.now_ns += 6 * WORLD_MINUTE;
    world_put(&world, "/m/a", "{\"used\":10}");
    world_put(&world, "/m/b", "{\"used\":95}");
    world.now_ns += 4 * WORLD_MINUTE;
    world_put(&world, "/m/b", "{\"used\":10}");
    world.now_ns += WORLD_MINUTE;
    world_run(&world);
    world_expect(&world, "put /alert/a 95\n");
    assert_int_equal(world.guards_failed, 0);
    world_close(&world);
}

/* The clock says that it is due, but the key was written a moment ago. */
static void the_clock_is_guarded(void **state)
{
    struct world world;
    (void)state;
    world_open(&world, held);
    used(&world, "a", 95);
    world.now_ns += 4 * WORLD_MINUTE;
    world_put(&world, "/m/a", "{\"used\":10}");
    world.now_ns += 2 * WORLD_MINUTE;
    struct turn turn;
    turn_init(&turn);
    assert_int_equal(
        machine_due(world.machine, world.now_ns, &world.lookups, &turn),
        TURN_TAKEN);
    assert_int_equal(turn.guard_count, 1);
    assert_int_equal(turn.guards[0].number, 1);
    assert_int_equal(turn.guards[0].target, TURN_MOD_REVISION);
    turn_deinit(&turn);
    world_crash(&world); /* the compare is false: all is read again */
    world_run(&world);
    world_expect(&world, "");
    assert_int_equal(world_count(&world, "/_recipes/state/held/hold/"), 0);
    world_close(&world);
}

static void a_deletion_that_stays(void **state)
{
    struct world world;
    (void)state;
    world_open(&world, "name: left\n"
                       "if: [{key: '/svc/{x}', events: [delete], for: 1m}]\n"
                       "then: [{put: {key: '/left/{{x}}', value: gone}}]");
    world_put(&world, "/svc/a", "1");
    world_delete(&world, "/svc/a");
    world_advance(&world, 30 * WORLD_SECOND);
    world_put(&world, "/svc/a", "1");
    world_advance(&world, 60 * WORLD_SECOND);
    world_expect(&world, "");
    world_delete(&world, "/svc/a");
    world_advance(&world, 60 * WORLD_SECOND);
    world_expect(&world, "put /left/a gone\n");
    /* Nothing has to be remembered of it. */
    assert_int_equal(world_count(&world, "/_recipes/state/left/"), 0);
    world_close(&world);
}

static void a_change_that_stays(void **state)
{
    struct world world;
    (void)state;
    world_open(&world, "name: stays\n"
                       "if: [{key: '/s/{x}', changed: value.s, for: 1m}]\n"
                       "then: [{put: {key: '/is/{{x}}', "
                       "value: '{{value.s}} {{value.n}}'}}]");
    world_put(&world, "/s/a", "{\"s\":1,\"n\":1}");
    world_advance(&world, 30 * WORLD_SECOND);
    world_put(&world, "/s/a", "{\"s\":1,\"n\":2}"); /* the same: it goes on */
    world_advance(&world, 20 * WORLD_SECOND);
    world_put(&world, "/s/a", "{\"s\":2,\"n\":3}"); /* another: anew */
    world_advance(&world, 50 * WORLD_SECOND);
    world_expect(&world, "");
    world_advance(&world, 10 * WORLD_SECOND);
    world_expect(&world, "put /is/a 2 3\n");
    world_put(&world, "/s/a", "{\"s\":2,\"n\":4}");
    world_advance(&world, 90 * WORLD_SECOND);
    world_expect(&world, "");
    world_close(&world);
}

static void conditions_read_the_events_revision(void **state)
{
    struct world world;
    (void)state;
    world_open(&world, "name: then\n"
                       "if: [{key: /a}]\n"
                       "where: [\"get('/mode') == 'on'\", "
                       "\"count('/x/') < 2\"]\n"
                       "then: [{put: {key: /b, value: '{{value}}'}}]");
    world.is_shy = true;
    world_put(&world, "/mode", "on");
    world_put(&world, "/a", "1");
    world_put(&world, "/mode", "off");
    world_put(&world, "/a", "2");
    world_put(&world, "/mode", "on");
    world_put(&world, "/x/1", "");
    world_put(&world, "/x/2", "");
    world_put(&world, "/a", "3");
    world_run(&world);
    world_expect(&world, "put /b 1\n");
    assert_int_equal(world.skipped, 2);
    world_expect_runs(&world, "ok /a\n");
    world_close(&world);
}

static void a_condition_that_is_an_error(void **state)
{
    struct world world;
    (void)state;
    world_open(&world, "name: bad\n"
                       "if: [{key: /a}]\n"
                       "where: [\"value.n > 1\"]\n"
                       "then: [{put: {key: /b, value: '{{value.n}}'}}]\n"
                       "on_failure: [{put: {key: /c, value: x}}]");
    world_put(&world, "/a", "text");
    world_put(&world, "/a", "{\"n\":2}");
    world_run(&world);
    world_expect_runs(&world, "failed /a\nok /a\n");
    world_expect(&world, "put /b 2\n");
    assert_int_equal(world.failed, 1);
    world_close(&world);
}

/* Events were compacted before they were told: what held then may hold no
 * more, and could never be committed. What began since goes on. */
static void a_hold_over_a_gap(void **state)
{
    struct world world;
    (void)state;
    world_open(&world, held);
    used(&world, "a", 95);
    used(&world, "b", 95);
    world_put(&world, "/m/a", "{\"used\":10}");
    world.next[0] = world.count; /* lost */
    int64_t from = world.revision;
    used(&world, "c", 95); /* told by a resync */
    machine_skip(world.machine, 0, from, world.revision, world.now_ns);
    assert_int_equal(world_count(&world, "/_recipes/state/held/hold/"), 3);
    world_commit(&world);
    assert_int_equal(world_count(&world, "/_recipes/state/held/hold/"), 1);
    world_advance(&world, 5 * WORLD_MINUTE);
    world_expect(&world, "put /alert/c 95\n");
    assert_int_equal(world.guards_failed, 0);
    world_close(&world);
}

/* Two triggers of one recipe have runs of their own, also where they see the
 * same event. */
static void two_triggers_two_runs(void **state)
{
    struct world world;
    (void)state;
    world_open(&world, "name: two\n"
                       "if: [{key: '/a/{x}'}, {key: /a/b, events: [delete, "
                       "put]}]\n"
                       "order: none\n"
                       "then: [{http: {url: 'http://h/'}, id: h}]");
    world_put(&world, "/a/b", "1");
    world_run(&world);
    assert_int_equal(world_count(&world, "/_recipes/active/two/"), 2);
    assert_true(world_send(&world));
    assert_int_equal(world.out_count, 2);
    assert_string_equal(world.outs[0].key, "7/1/h");
    assert_string_equal(world.outs[1].key, "7/1.0.2001/h");
    world_close(&world);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_put_sets_off_a_put),
        cmocka_unit_test(only_the_events_that_are_asked_for),
        cmocka_unit_test(a_change_is_of_the_expression),
        cmocka_unit_test(an_edge_has_hysteresis),
        cmocka_unit_test(what_was_beyond_before_doesnt_cross),
        cmocka_unit_test(a_number_is_needed),
        cmocka_unit_test(it_must_hold),
        cmocka_unit_test(a_dip_breaks_it),
        cmocka_unit_test(a_condition_breaks_it),
        cmocka_unit_test(time_is_the_events),
        cmocka_unit_test(the_clock_is_guarded),
        cmocka_unit_test(a_deletion_that_stays),
        cmocka_unit_test(a_change_that_stays),
        cmocka_unit_test(conditions_read_the_events_revision),
        cmocka_unit_test(a_condition_that_is_an_error),
        cmocka_unit_test(a_hold_over_a_gap),
        cmocka_unit_test(two_triggers_two_runs),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
