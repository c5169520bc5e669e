/* Absent triggers: a key that should be put again and again. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "machine_world.h"

static const char beats[] =
    "name: beats\n"
    "if: [{absent: '/beat/{node}', for: 30s}]\n"
    "then: [{put: {key: '/lost/{{node}}', value: '{{value}} {{event.time}}'}}]";

static void fires_once_until_it_comes_again(void **state)
{
    struct world world;
    (void)state;
    world_open(&world, beats);
    world_put(&world, "/beat/a", "v1");
    world_advance(&world, 20 * WORLD_SECOND);
    world_put(&world, "/beat/a", "v2");
    world_advance(&world, 29 * WORLD_SECOND);
    world_expect(&world, "");
    world_advance(&world, WORLD_SECOND);
    world_expect(&world, "put /lost/a v2 1970-01-01T00:17:30Z\n");
    world_advance(&world, 90 * WORLD_SECOND);
    world_expect(&world, "");
    world_put(&world, "/beat/a", "v3");
    world_advance(&world, 30 * WORLD_SECOND);
    world_expect(&world, "put /lost/a v3 1970-01-01T00:19:30Z\n");
    assert_int_equal(world.fired, 2);
    world_close(&world);
}

/* A beat changes nothing in the store but, once in a while, a memo. */
static void beats_are_cheap(void **state)
{
    struct world world;
    (void)state;
    world_open(&world, beats);
    for (int i = 0; i < 500; i++) {
        world.now_ns += WORLD_SECOND;
        world_put(&world, "/beat/a", "v");
    }
    world_run(&world);
    assert_int_equal(world.turns, 0);
    world_commit(&world); /* the cursor's turn: the memo goes before it */
    assert_int_equal(world.turns, 1);
    assert_int_equal(world_count(&world, "/_recipes/state/beats/absent/"), 1);
    world_crash(&world);
    world_advance(&world, 30 * WORLD_SECOND);
    assert_int_equal(world.fired, 1);
    world_close(&world);
}

/* A memo may be ahead of the cursor: what it has seen is passed over. */
static void replay_changes_nothing(void **state)
{
    struct world world;
    (void)state;
    world_open(&world, beats);
    world_put(&world, "/beat/a", "v1");
    world_advance(&world, 20 * WORLD_SECOND);
    world_put(&world, "/beat/a", "v2");
    assert_int_equal(world_feed(&world), TURN_TAKEN);
    struct turn lazy;
    turn_init(&lazy);
    assert_true(machine_write_lazy(world.machine, &lazy));
    assert_int_equal(lazy.count, 1);
    char key[128] = "";
    memcpy(key, lazy.operations[0].key.at, lazy.operations[0].key.size);
    world.revision++;
    world_put_slice(&world, key, lazy.operations[0].value);
    assert_false(machine_write_lazy(world.machine, &lazy));
    turn_deinit(&lazy);
    world_crash(&world);
    world_run(&world); /* from the beginning */
    world_advance(&world, 29 * WORLD_SECOND);
    world_expect(&world, "");
    world_advance(&world, WORLD_SECOND);
    assert_int_equal(world.fired, 1);
    world_close(&world);
}

static void one_key_counts_from_the_start(void **state)
{
    struct world world;
    (void)state;
    world_open(&world, "name: one\nif: [{absent: /beat, for: 1m}]\n"
                       "then: [{put: {key: /lost, value: '{{value}}'}}]");
    world_advance(&world, 59 * WORLD_SECOND);
    world_crash(&world);
    world_expect(&world, "");
    world_advance(&world, WORLD_SECOND);
    world_expect(&world, "put /lost null\n");
    world_crash(&world);
    world_advance(&world, 10 * WORLD_MINUTE);
    world_expect(&world, "");
    world_put(&world, "/beat", "x");
    world_advance(&world, WORLD_MINUTE);
    world_expect(&world, "put /lost x\n");
    world_delete(&world, "/beat");
    world_advance(&world, WORLD_MINUTE);
    world_crash(&world);
    world_advance(&world, 10 * WORLD_MINUTE);
    world_expect(&world, "");
    world_close(&world);
}

static void of_a_key_that_never_came_little_can_be_compared(void **state)
{
    struct world world;
    struct turn turn;
    (void)state;
    world_open(&world, "name: one\nif: [{absent: /beat, for: 1m}]\n"
                       "then: [{put: {key: /lost, value: '{{value}}'}}]");
    world_run(&world);
    machine_advance(world.machine, 0, 41);
    turn_init(&turn);
    assert_int_equal(machine_due(world.machine, world.now_ns + WORLD_MINUTE,
                                 &world.lookups, &turn),
                     TURN_TAKEN);
    assert_int_equal(turn.guard_count, 1);
    assert_int_equal(turn.guards[0].target, TURN_MOD_REVISION);
    assert_int_equal(turn.guards[0].operator, TURN_LESS);
    assert_int_equal(turn.guards[0].number, 42);
    turn_deinit(&turn);
    world_close(&world);
}

static void a_deletion_is_no_beat(void **state)
{
    struct world world;
    (void)state;
    world_open(&world, beats);
    world_put(&world, "/beat/a", "v1");
    world_advance(&world, 20 * WORLD_SECOND);
    world_expire(&world, "/beat/a");
    world_advance(&world, 10 * WORLD_SECOND);
    world_expect(&world, "put /lost/a v1 1970-01-01T00:17:10Z\n");
    /* Nothing is left to remember of it. */
    assert_int_equal(world_count(&world, "/_recipes/state/beats/"), 0);
    world_put(&world, "/beat/b", "v1");
    world_advance(&world, 30 * WORLD_SECOND);
    world_expect(&world, "put /lost/b v1 1970-01-01T00:17:40Z\n");
    assert_int_equal(world_count(&world, "/_recipes/state/beats/"), 1);
    world_delete(&world, "/beat/b");
    world_run(&world);
    assert_int_equal(world_count(&world, "/_recipes/state/beats/"), 0);
    world_close(&world);
}

static void conditions_are_of_the_moment_that_it_is_missed(void **state)
{
    struct world world;
    (void)state;
    world_open(&world, "name: one\nif: [{absent: '/beat/{x}', for: 1m}]\n"
                       "where: [\"!exists('/quiet')\"]\n"
                       "then: [{put: {key: '/lost/{{x}}', value: 1}}]");
    world_put(&world, "/beat/a", "x");
    world_run(&world);
    world_put(&world, "/quiet", "");
    machine_advance(world.machine, 0, 2);
    world_advance(&world, WORLD_MINUTE);
    world_expect(&world, "");
    world_delete(&world, "/quiet");
    machine_advance(world.machine, 0, 3);
    world_advance(&world, WORLD_MINUTE);
    world_expect(&world, ""); /* it was missed then, and that was quiet */
    world_close(&world);
}

static void it_comes_late_and_fires_before(void **state)
{
    struct world world;
    (void)state;
    world_open(&world, beats);
    world_put(&world, "/beat/a", "v1");
    world.now_ns += 31 * WORLD_SECOND;
    world_put(&world, "/beat/a", "v2");
    world.now_ns += 29 * WORLD_SECOND;
    world_run(&world);
    world_expect(&world, "put /lost/a v1 1970-01-01T00:17:10Z\n");
    world_advance(&world, WORLD_SECOND);
    world_expect(&world, "put /lost/a v2 1970-01-01T00:17:41Z\n");
    world_close(&world);
}

static void what_it_was_may_be_compacted(void **state)
{
    struct world world;
    (void)state;
    world_open(&world, beats);
    world_put(&world, "/beat/a", "v1");
    world_run(&world);
    world.compacted = 100;
    world_advance(&world, WORLD_MINUTE);
    world_expect(&world, "");
    assert_true(world_has(&world.last, "has been compacted"));
    assert_int_equal(world.failed, 1);
    world_close(&world);
}

/* What was put in between is lost: its time begins anew, and no compare asks
 * for what it was. */
static void after_a_gap(void **state)
{
    struct world world;
    struct turn turn;
    (void)state;
    world_open(&world, beats);
    world_put(&world, "/beat/a", "v1");
    world_put(&world, "/beat/b", "v1");
    world_run(&world);
    world_commit(&world);
    world.now_ns += 20 * WORLD_SECOND;
    world_put(&world, "/beat/a", "v2"); /* revision 5; never told */
    machine_skip(world.machine, 0, 3, 9, world.now_ns);
    assert_int_equal(machine_position(world.machine, 0).revision, 9);
    world.next[0] = world.count;
    turn_init(&turn);
    world.now_ns += 29 * WORLD_SECOND;
    assert_int_equal(
        machine_due(world.machine, world.now_ns, &world.lookups, &turn),
        TURN_TAKEN);
    assert_true(turn_is_empty(&turn));
    turn_deinit(&turn);
    world_commit(&world);
    world_crash(&world);
    world_advance(&world, WORLD_SECOND);
    assert_int_equal(world.fired, 2);
    assert_int_equal(world.guards_failed, 0);
    world_close(&world);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(fires_once_until_it_comes_again),
        cmocka_unit_test(beats_are_cheap),
        cmocka_unit_test(replay_changes_nothing),
        cmocka_unit_test(one_key_counts_from_the_start),
        cmocka_unit_test(of_a_key_that_never_came_little_can_be_compared),
        cmocka_unit_test(a_deletion_is_no_beat),
        cmocka_unit_test(conditions_are_of_the_moment_that_it_is_missed),
        cmocka_unit_test(it_comes_late_and_fires_before),
        cmocka_unit_test(what_it_was_may_be_compacted),
        cmocka_unit_test(after_a_gap),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
