/* Simulated time: events happen in order, each at its moment. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "unit/sim/sim_worlds.h"

struct note {
    struct sim_event event;
    int number;
    int64_t at_ns; /* when it happened; -1: not yet */
};

static int happened[16];
static int happened_count;

static void on_note(struct sim *sim, struct sim_event *event)
{
    struct note *note = CONTAINER_OF(event, struct note, event);
    note->at_ns = sim->now_ns;
    happened[happened_count++] = note->number;
}

/* A world in which nothing happens but the test's notes. */
static struct sim *empty_world(struct note *notes, int count)
{
    struct sim *sim = world_unborn(1);
    happened_count = 0;
    for (int i = 0; i < count; i++)
        notes[i] =
            (struct note){.event = {.fire = on_note}, .number = i, .at_ns = -1};
    return sim;
}

static void turns(struct sim *sim, int count)
{
    for (int i = 0; i < count; i++)
        sim__turn(sim);
}

static void test_events_happen_in_order(void **state)
{
    (void)state;
    struct note notes[3];
    struct sim *sim = empty_world(notes, 3);
    sim__at(sim, &notes[0].event, 300);
    sim__at(sim, &notes[1].event, 100);
    sim__at(sim, &notes[2].event, 200);
    turns(sim, 3);
    assert_int_equal(happened[0], 1);
    assert_int_equal(happened[1], 2);
    assert_int_equal(happened[2], 0);
    assert_int_equal(sim->now_ns, 300);
    assert_int_equal(notes[2].at_ns, 200);
    assert_int_equal(sim->result.counts[SIM_COUNT_EVENTS], 3);
    world_free(sim);
}

static void test_an_event_is_moved(void **state)
{
    (void)state;
    struct note notes[2];
    struct sim *sim = empty_world(notes, 2);
    sim__at(sim, &notes[0].event, 100);
    sim__at(sim, &notes[1].event, 200);
    sim__at(sim, &notes[0].event, 300);
    turns(sim, 2);
    assert_int_equal(happened[0], 1);
    assert_int_equal(notes[0].at_ns, 300);
    world_free(sim);
}

static void test_at_latest_keeps_what_is_sooner(void **state)
{
    (void)state;
    struct note notes[2];
    struct sim *sim = empty_world(notes, 2);
    sim__at_latest(sim, &notes[0].event, 100);
    sim__at_latest(sim, &notes[0].event, 200);
    sim__at_latest(sim, &notes[1].event, 200);
    sim__at_latest(sim, &notes[1].event, 50);
    turns(sim, 2);
    assert_int_equal(notes[0].at_ns, 100);
    assert_int_equal(notes[1].at_ns, 50);
    world_free(sim);
}

static void test_an_event_is_taken_back(void **state)
{
    (void)state;
    struct note notes[2];
    struct sim *sim = empty_world(notes, 2);
    sim__at(sim, &notes[0].event, 100);
    sim__at(sim, &notes[1].event, 200);
    assert_true(sim__is_set(&notes[0].event));
    sim__cancel(sim, &notes[0].event);
    sim__cancel(sim, &notes[0].event);
    assert_false(sim__is_set(&notes[0].event));
    turns(sim, 1);
    assert_int_equal(happened[0], 1);
    assert_int_equal(notes[0].at_ns, -1);
    assert_false(sim__is_set(&notes[1].event));
    world_free(sim);
}

static void test_nothing_happens_in_the_past(void **state)
{
    (void)state;
    struct note notes[2];
    struct sim *sim = empty_world(notes, 2);
    sim__at(sim, &notes[0].event, 500);
    turns(sim, 1);
    sim__at(sim, &notes[1].event, 100);
    turns(sim, 1);
    assert_int_equal(notes[1].at_ns, 500);
    world_free(sim);
}

static void test_where_nothing_is_left_it_ends(void **state)
{
    (void)state;
    struct sim *sim = empty_world(NULL, 0);
    sim__turn(sim);
    world_has_failed(sim, "nothing is left to happen");
}

static void test_chances_are_as_said(void **state)
{
    (void)state;
    struct prng prng;
    int often = 0;
    prng_init(&prng, 3);
    for (int i = 0; i < 10000; i++) {
        assert_false(sim__chance(&prng, 0));
        assert_true(sim__chance(&prng, 1000000));
        often += sim__chance(&prng, 250000);
    }
    assert_in_range(often, 2300, 2700);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_events_happen_in_order),
        cmocka_unit_test(test_an_event_is_moved),
        cmocka_unit_test(test_at_latest_keeps_what_is_sooner),
        cmocka_unit_test(test_an_event_is_taken_back),
        cmocka_unit_test(test_nothing_happens_in_the_past),
        cmocka_unit_test(test_where_nothing_is_left_it_ends),
        cmocka_unit_test(test_chances_are_as_said),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
