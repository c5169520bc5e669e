/* Effects that a store won't have, for a reason that stays: what would have
 * them fails with that reason, and nothing else does. One unit a turn tells
 * whose they were. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>

#include "machine_world.h"

static const char copy[] =
    "name: c\nif: [{key: '/a/{x}'}]\n"
    "then: [{put: {key: '/b/{{value}}', value: '{{x}}'}}]\n"
    "on_failure: [{put: {key: '/failed/{{value}}', value: '{{error}}'}}]\n";

/* What the next event of the world comes to, alone; not committed. */
static uint64_t effects_of_next(struct world *world)
{
    machine_set_narrow(world->machine, true);
    while (world_feed(world) == TURN_TAKEN && turn_is_empty(&world->turn))
        ;
    return turn_effects(&world->turn);
}

/* Forgets the turn that was made: the store hasn't done it. */
static void refuse(struct world *world, uint64_t effects, const char *why)
{
    world_crash(world);
    machine_set_narrow(world->machine, true);
    machine_deny(world->machine, effects, why);
}

static void what_is_denied_fails_and_says_why(void **state)
{
    struct world world;
    (void)state;
    world_open(&world, copy);
    world_put(&world, "/a/1", "x");
    uint64_t effects = effects_of_next(&world);
    assert_int_not_equal(effects, 0);
    refuse(&world, effects, "not yours");
    world_run(&world);
    world_expect(&world, "put /failed/x not yours\n");
    world_expect_runs(&world, "failed /a/1\n");
    assert_true(world_has(&world.last, "\"error\":\"not yours\""));
    world_close(&world);
}

/* The keys are what it is about, not the event and not the value. */
static void the_same_keys_are_denied_again(void **state)
{
    struct world world;
    (void)state;
    world_open(&world, copy);
    world_put(&world, "/a/1", "x");
    refuse(&world, effects_of_next(&world), "no");
    world_run(&world);
    world_put(&world, "/a/2", "y");
    world_put(&world, "/a/3", "x");
    world_run(&world);
    world_expect(&world, "put /failed/x no\n"
                         "put /b/y 2\n"
                         "put /failed/x no\n");
    machine_deny(world.machine, 0, NULL); /* the store has changed its mind */
    world_put(&world, "/a/4", "x");
    world_run(&world);
    world_expect(&world, "put /b/x 4\n");
    world_close(&world);
}

static void on_failure_may_be_denied_too(void **state)
{
    struct world world;
    (void)state;
    world_open(&world, copy);
    world_put(&world, "/a/1", "x");
    uint64_t then = effects_of_next(&world);
    refuse(&world, then, "no");
    uint64_t failure = effects_of_next(&world);
    assert_int_not_equal(failure, then);
    refuse(&world, then, "no");
    machine_deny(world.machine, failure, "no");
    assert_int_equal(effects_of_next(&world), 0);
    world_commit(&world);
    world_expect(&world, "");
    world_expect_runs(&world, "failed /a/1\n");
    assert_true(world_has(&world.last, "\"error\":\"no"));
    world_close(&world);
}

/* Only so many are remembered; the oldest are tried anew. */
static void the_last_ones_count(void **state)
{
    struct world world;
    uint64_t effects[6];
    (void)state;
    world_open(&world, copy);
    for (int i = 0; i < 6; i++) {
        char key[16], value[16];
        (void)snprintf(key, sizeof key, "/a/%d", i);
        (void)snprintf(value, sizeof value, "v%d", i);
        world_put(&world, key, value);
        effects[i] = effects_of_next(&world);
        world_commit(&world);
    }
    world_expect(&world, "put /b/v0 0\nput /b/v1 1\nput /b/v2 2\n"
                         "put /b/v3 3\nput /b/v4 4\nput /b/v5 5\n");
    for (int i = 0; i < 6; i++)
        machine_deny(world.machine, effects[i], "no");
    world_put(&world, "/a/old", "v1");
    world_put(&world, "/a/new", "v2");
    world_run(&world);
    world_expect(&world, "put /b/v1 old\nput /failed/v2 no\n");
    world_close(&world);
}

/* What has no effects can't be refused. */
static void what_only_watches_is_never_denied(void **state)
{
    struct world world;
    (void)state;
    world_open(&world, "name: c\nif: [{key: '/a/{x}'}]\nthen: [{log: hi}]");
    world_put(&world, "/a/1", "x");
    assert_int_equal(effects_of_next(&world), 0);
    world_commit(&world);
    for (uint64_t i = 0; i < 4; i++)
        machine_deny(world.machine, i, "no");
    world_put(&world, "/a/2", "x");
    world_run(&world);
    world_expect_runs(&world, "ok /a/1\nok /a/2\n");
    world_close(&world);
}

/* A run that goes on later is denied at the step that isn't allowed. */
static void a_later_step_is_denied(void **state)
{
    struct world world;
    (void)state;
    world_open(&world, "name: c\nif: [{key: '/a/{x}'}]\nthen:\n"
                       "- put: {key: /first, value: 1}\n"
                       "- wait: 10s\n"
                       "- put: {key: /second, value: 2}\n"
                       "- wait: 10s\n"
                       "- put: {key: /third, value: 3}\n");
    world_put(&world, "/a/1", "x");
    world_run(&world);
    world_expect(&world, "put /first 1\n");
    world.now_ns += 10 * WORLD_SECOND;
    machine_set_narrow(world.machine, true);
    struct turn turn;
    turn_init(&turn);
    assert_int_equal(
        machine_due(world.machine, world.now_ns, &world.lookups, &turn),
        TURN_TAKEN);
    uint64_t effects = turn_effects(&turn);
    turn_deinit(&turn);
    refuse(&world, effects, "no");
    world_run(&world);
    world_expect(&world, "");
    world_expect_runs(&world, "failed /a/1\n");
    assert_int_equal(world_count(&world, "/_recipes/active/"), 0);
    world_close(&world);
}

/* ---- one unit a turn ----------------------------------------------------- */

static void events_go_alone(void **state)
{
    struct world world;
    (void)state;
    world_open(&world, copy);
    for (int i = 0; i < 5; i++) {
        char key[16];
        (void)snprintf(key, sizeof key, "/a/%d", i);
        world_put(&world, key, key + 3);
    }
    size_t before = world.turns;
    machine_set_narrow(world.machine, true);
    world_run(&world);
    assert_true(world.turns - before >= 5);
    machine_set_narrow(world.machine, false);
    for (int i = 5; i < 10; i++) {
        char key[16];
        (void)snprintf(key, sizeof key, "/a/%d", i);
        world_put(&world, key, key + 3);
    }
    before = world.turns;
    world_run(&world);
    assert_true(world.turns - before < 5);
    world_expect(&world, "put /b/0 0\nput /b/1 1\nput /b/2 2\nput /b/3 3\n"
                         "put /b/4 4\nput /b/5 5\nput /b/6 6\nput /b/7 7\n"
                         "put /b/8 8\nput /b/9 9\n");
    world_close(&world);
}

static void what_is_due_goes_alone(void **state)
{
    struct world world;
    (void)state;
    world_open(&world, "name: c\nif: [{key: '/a/{x}', for: 10s}]\n"
                       "then: [{put: {key: '/b/{{x}}', value: 1}}]");
    for (int i = 0; i < 5; i++) {
        char key[16];
        (void)snprintf(key, sizeof key, "/a/%d", i);
        world_put(&world, key, "1");
    }
    world_run(&world);
    world.now_ns += 10 * WORLD_SECOND;
    machine_set_narrow(world.machine, true);
    struct turn turn;
    turn_init(&turn);
    assert_int_equal(
        machine_due(world.machine, world.now_ns, &world.lookups, &turn),
        TURN_FULL);
    assert_int_equal(turn.fired, 1);
    assert_int_equal(turn.guard_count, 1);
    turn_deinit(&turn);
    world_crash(&world);
    machine_set_narrow(world.machine, true);
    world_run(&world);
    world_expect(&world, "put /b/0 1\nput /b/1 1\nput /b/2 1\nput /b/3 1\n"
                         "put /b/4 1\n");
    world_close(&world);
}

/* ---- what effects are to ------------------------------------------------- */

static uint64_t effects_of(const char *then, const char *value)
{
    struct world world;
    char text[512];
    (void)snprintf(text, sizeof text,
                   "name: c\nif: [{key: '/a/{x}'}]\nthen:\n%s", then);
    world_open(&world, text);
    world_put(&world, "/a/1", value);
    uint64_t effects = effects_of_next(&world);
    world_close(&world);
    return effects;
}

static void other_keys_are_other_effects(void **state)
{
    static const char *const others[] = {
        "- put: {key: /b, value: 1}",
        "- put: {key: /c, value: 1}",
        "- delete: /b",
        "- delete: {key: /b/, prefix: true}",
        "- put: {key: /b, value: 1}\n- put: {key: /c, value: 1}",
        "- txn: {compare: [{key: /b, exists: true}], then: [{put: {key: /b, "
        "value: 1}}]}",
        "- txn: {compare: [{key: /c, exists: true}], then: [{put: {key: /b, "
        "value: 1}}]}",
        "- txn: {compare: [{key: /b, exists: true}], else: [{put: {key: /b, "
        "value: 1}}]}",
    };
    enum { OTHERS = sizeof others / sizeof others[0] };
    uint64_t effects[OTHERS];
    (void)state;
    for (size_t i = 0; i < OTHERS; i++) {
        effects[i] = effects_of(others[i], "x");
        assert_int_not_equal(effects[i], 0);
        for (size_t j = 0; j < i; j++)
            assert_int_not_equal(effects[i], effects[j]);
        assert_true(effects_of(others[i], "y") == effects[i]);
    }
    assert_true(effects_of("- put: {key: /b, value: '{{value}}'}", "x") ==
                effects[0]);
    assert_true(effects_of("- put: {key: '/b/{{value}}', value: 1}", "x") !=
                effects_of("- put: {key: '/b/{{value}}', value: 1}", "y"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_denied_fails_and_says_why),
        cmocka_unit_test(the_same_keys_are_denied_again),
        cmocka_unit_test(on_failure_may_be_denied_too),
        cmocka_unit_test(the_last_ones_count),
        cmocka_unit_test(what_only_watches_is_never_denied),
        cmocka_unit_test(a_later_step_is_denied),
        cmocka_unit_test(events_go_alone),
        cmocka_unit_test(what_is_due_goes_alone),
        cmocka_unit_test(other_keys_are_other_effects),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
