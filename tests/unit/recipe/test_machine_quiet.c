/* Debounce by the clock: what it is guarded by, whose quiet it is, and what
 * disturbs it. (That it waits is in test_machine_limit.c, and its twin in
 * test_machine_twin.c.) */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>

#include "machine_world.h"

static const char quiet[] =
    "name: q\nif: [{key: '/a/{x}', events: [create, update]}]\n"
    "debounce: 30s\n"
    "then: [{put: {key: '/b/{{x}}', value: '{{value}}'}}]";

/* What the clock would do now, with what it knows. */
static enum turn_end look_at_clock(struct world *world, struct turn *turn)
{
    turn_init(turn);
    return machine_due(world->machine, world->now_ns, &world->lookups, turn);
}

/* Whether the store is as a guard wants it. */
static bool holds(const struct world *world, const struct turn_compare *guard)
{
    int64_t mod = 0;
    for (size_t i = 0; i < world->count; i++) {
        const struct world_record *record = &world->records[i];
        if (slice_eq(record->key, guard->key))
            mod = record->type & EVENT_PUT ? record->revision : 0;
    }
    assert_int_equal(guard->target, TURN_MOD_REVISION);
    return guard->operator== TURN_LESS ? mod < guard->number
                                       : mod == guard->number;
}

static void it_is_guarded_by_its_key(void **state)
{
    struct world world;
    struct turn turn;
    (void)state;
    world_open(&world, quiet);
    world_put(&world, "/a/1", "one");
    world_run(&world);
    world.now_ns += 30 * WORLD_SECOND;
    assert_int_equal(look_at_clock(&world, &turn), TURN_TAKEN);
    assert_int_equal(turn.guard_count, 1);
    assert_true(slice_eq(turn.guards[0].key, SLICE("/a/1")));
    assert_true(holds(&world, &turn.guards[0]));
    turn_deinit(&turn);
    world_close(&world);
}

/* Put again, and nobody has told the machine: it isn't quiet. */
static void one_that_is_put_meanwhile_isnt_quiet(void **state)
{
    struct world world;
    struct turn turn;
    (void)state;
    world_open(&world, quiet);
    world_put(&world, "/a/1", "one");
    world_run(&world);
    world.now_ns += 20 * WORLD_SECOND;
    world_put(&world, "/a/1", "two"); /* it hasn't been told of this */
    world.now_ns += 10 * WORLD_SECOND;
    assert_int_equal(look_at_clock(&world, &turn), TURN_TAKEN);
    assert_int_equal(turn.fired, 1); /* it would */
    assert_int_equal(turn.guard_count, 1);
    assert_false(holds(&world, &turn.guards[0])); /* but the store won't */
    turn_deinit(&turn);
    /* All is read again, and it counts from the second one. */
    world_crash(&world);
    world_run(&world);
    world_expect(&world, "");
    world_advance(&world, 19 * WORLD_SECOND);
    world_expect(&world, "");
    world_advance(&world, WORLD_SECOND);
    world_expect(&world, "put /b/1 two\n");
    world_close(&world);
}

/* What the trigger doesn't want has been seen too, so it is no disturbance for
 * ever: a guard on the event's own revision would never hold again. */
static void what_isnt_wanted_is_no_disturbance(void **state)
{
    struct world world;
    struct turn turn;
    (void)state;
    world_open(&world, "name: q\nif: [{key: '/a/{x}', events: [create]}]\n"
                       "debounce: 30s\n"
                       "then: [{put: {key: '/b/{{x}}', value: '{{value}}'}}]");
    world_put(&world, "/a/1", "one");
    world_run(&world);
    world.now_ns += 10 * WORLD_SECOND;
    world_put(&world, "/a/1", "two"); /* no create */
    world_run(&world);
    world.now_ns += 20 * WORLD_SECOND;
    assert_int_equal(look_at_clock(&world, &turn), TURN_TAKEN);
    assert_int_equal(turn.guard_count, 1);
    assert_true(holds(&world, &turn.guards[0]));
    turn_deinit(&turn);
    world_crash(&world);
    world_run(&world);
    world_expect(&world, "put /b/1 one\n");
    assert_int_equal(world.guards_failed, 0);
    world_close(&world);
}

static void a_condition_that_isnt_true_is_no_disturbance(void **state)
{
    struct world world;
    (void)state;
    world_open(&world, "name: q\nif: [{key: '/a/{x}'}]\ndebounce: 30s\n"
                       "where: [\"value != 'no'\"]\n"
                       "then: [{put: {key: '/b/{{x}}', value: '{{value}}'}}]");
    world_put(&world, "/a/1", "one");
    world_advance(&world, 20 * WORLD_SECOND);
    world_put(&world, "/a/1", "no");
    world_advance(&world, 10 * WORLD_SECOND);
    world_expect(&world, "put /b/1 one\n");
    assert_int_equal(world.guards_failed, 0);
    world_close(&world);
}

/* A deletion leaves no revision to compare; it is no event of this trigger. */
static void a_key_that_is_gone_is_quiet(void **state)
{
    struct world world;
    struct turn turn;
    (void)state;
    world_open(&world, quiet);
    world_put(&world, "/a/1", "one");
    world_run(&world);
    world_delete(&world, "/a/1");
    world.now_ns += 30 * WORLD_SECOND;
    assert_int_equal(look_at_clock(&world, &turn), TURN_TAKEN);
    assert_true(holds(&world, &turn.guards[0]));
    turn_deinit(&turn);
    world_crash(&world);
    world_run(&world);
    world_expect(&world, "put /b/1 one\n");
    world_close(&world);
}

/* By an event everything before it has been seen: there is nothing to guard. */
static void an_event_that_says_so_needs_no_guard(void **state)
{
    struct world world;
    (void)state;
    world_open(&world, quiet);
    world_put(&world, "/a/1", "one");
    world_run(&world);
    world.now_ns += 31 * WORLD_SECOND;
    world_put(&world, "/a/2", "other");
    assert_int_equal(world_feed(&world), TURN_TAKEN);
    assert_int_equal(world.turn.guard_count, 0);
    assert_int_equal(world.turn.fired, 1);
    world_commit(&world);
    world_expect(&world, "put /b/1 one\n");
    world_close(&world);
}

/* Nobody writes a delivery again; and its key goes with the turn. */
static void what_came_in_needs_no_guard(void **state)
{
    struct world world;
    struct turn turn;
    (void)state;
    world_open(&world, "name: q\nif: [{manual: true}]\ndebounce: 30s\n"
                       "then: [{put: {key: /b, value: '{{args.n}}'}}]");
    world_come_in(&world, "call", "1", "{\"args\":{\"n\":1},\"depth\":0}");
    world_run(&world);
    world_come_in(&world, "call", "2", "{\"args\":{\"n\":2},\"depth\":0}");
    world_run(&world);
    world.now_ns += 30 * WORLD_SECOND;
    assert_int_equal(look_at_clock(&world, &turn), TURN_TAKEN);
    assert_int_equal(turn.fired, 1);
    assert_int_equal(turn.guard_count, 0);
    turn_deinit(&turn);
    world_crash(&world);
    world_run(&world);
    world_expect(&world, "put /b 2\n");
    world_close(&world);
}

static void strictly_the_last_key_is_guarded(void **state)
{
    struct world world;
    struct turn turn;
    (void)state;
    world_open(&world, "name: q\nif: [{key: '/a/{x}'}]\ndebounce: 30s\n"
                       "order: strict\n"
                       "then: [{put: {key: '/b/{{x}}', value: '{{value}}'}}]");
    world_put(&world, "/a/1", "one");
    world_run(&world);
    world.now_ns += 10 * WORLD_SECOND;
    world_put(&world, "/a/2", "two");
    world_run(&world);
    world.now_ns += 20 * WORLD_SECOND;
    assert_int_equal(look_at_clock(&world, &turn), TURN_TAKEN);
    assert_int_equal(turn.fired, 0); /* the second one has begun it anew */
    turn_deinit(&turn);
    world.now_ns += 10 * WORLD_SECOND;
    assert_int_equal(look_at_clock(&world, &turn), TURN_TAKEN);
    assert_int_equal(turn.guard_count, 1);
    assert_true(slice_eq(turn.guards[0].key, SLICE("/a/2")));
    turn_deinit(&turn);
    world_crash(&world);
    world_run(&world);
    world_expect(&world, "put /b/2 two\n");
    world_close(&world);
}

/* Each of several that are due has its own guard, and one turn has them all. */
static void many_are_due_at_once(void **state)
{
    enum { KEYS = 10 };
    struct world world;
    struct turn turn;
    (void)state;
    world_open(&world, quiet);
    for (int i = 0; i < KEYS; i++) {
        char key[16];
        (void)snprintf(key, sizeof key, "/a/%d", i);
        world_put(&world, key, "x");
    }
    world_run(&world);
    world.now_ns += 30 * WORLD_SECOND;
    assert_int_equal(look_at_clock(&world, &turn), TURN_TAKEN);
    assert_int_equal(turn.guard_count, KEYS);
    assert_int_equal(turn.fired, KEYS);
    for (size_t i = 0; i < KEYS; i++)
        assert_true(holds(&world, &turn.guards[i]));
    turn_deinit(&turn);
    world_close(&world);
}

/* Throttled, it is done with: what was quiet once isn't tried for ever. */
static void quiet_and_too_many(void **state)
{
    struct world world;
    (void)state;
    world_open(&world, "name: q\nif: [{key: '/a/{x}'}]\ndebounce: 30s\n"
                       "throttle: {count: 1, per: 1h}\n"
                       "then: [{put: {key: '/b/{{x}}', value: '{{value}}'}}]");
    world_put(&world, "/a/1", "one");
    world_put(&world, "/a/2", "two");
    world_advance(&world, 30 * WORLD_SECOND);
    world_expect(&world, "put /b/1 one\n");
    assert_int_equal(world_count(&world, "/_recipes/state/q/debounce/"), 0);
    assert_int_equal(world.skipped, 1);
    assert_int_equal(machine_next_due(world.machine), INT64_MAX);
    world_close(&world);
}

/* Over and over, with crashes at any commit: the last of each group of puts,
 * once, and no guard that fails for good. */
static void bursts(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 10; seed++) {
        struct world world;
        struct prng prng;
        struct buf expected = {0};
        prng_init(&prng, seed);
        world_open(&world, quiet);
        world.prng = &prng;
        world.crash_percent = 30;
        for (int burst = 0; burst < 20; burst++) {
            unsigned puts = 1 + (unsigned)prng_below(&prng, 5);
            for (unsigned i = 0; i < puts; i++) {
                char value[32];
                (void)snprintf(value, sizeof value, "%d-%u", burst, i);
                world_put(&world, "/a/1", value);
                world_advance(&world,
                              (int64_t)prng_below(&prng, 29) * WORLD_SECOND);
            }
            world_advance(&world, 31 * WORLD_SECOND);
            buf_printf(&expected, "put /b/1 %d-%u\n", burst, puts - 1);
        }
        buf_append_char(&expected, '\0');
        world_expect(&world, expected.at);
        buf_deinit(&expected);
        world_close(&world);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(it_is_guarded_by_its_key),
        cmocka_unit_test(one_that_is_put_meanwhile_isnt_quiet),
        cmocka_unit_test(what_isnt_wanted_is_no_disturbance),
        cmocka_unit_test(a_condition_that_isnt_true_is_no_disturbance),
        cmocka_unit_test(a_key_that_is_gone_is_quiet),
        cmocka_unit_test(an_event_that_says_so_needs_no_guard),
        cmocka_unit_test(what_came_in_needs_no_guard),
        cmocka_unit_test(strictly_the_last_key_is_guarded),
        cmocka_unit_test(many_are_due_at_once),
        cmocka_unit_test(quiet_and_too_many),
        cmocka_unit_test(bursts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
