/* Packets: late, lost, twice, out of order, cut off. In the first moments of a
 * world nobody says anything by himself, so what arrives is the test's. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "unit/sim/sim_worlds.h"

static void say(struct sim *sim, int from, int to)
{
    struct sim_member *member = sim->members[from];
    net_send(&member->net, sim->members[to]->id, refbuf_dup("??", 2));
}

static uint64_t heard(struct sim *sim, int place)
{
    struct node_counters counters;
    node_counters(sim->members[place]->node, &counters);
    return counters.messages_received;
}

static size_t under_way(struct sim *sim)
{
    size_t count = 0;
    LIST_EACH (link, &sim->packets) {
        count++;
    }
    return count;
}

static void test_a_packet_takes_its_time(void **state)
{
    (void)state;
    struct sim *sim = world_new(3);
    sim->weather.delay_ns = 5 * SIM_MS;
    say(sim, 1, 2);
    assert_int_equal(under_way(sim), 1);
    world_wait(sim, 4);
    assert_int_equal(heard(sim, 2), 0);
    world_wait(sim, 2);
    assert_int_equal(heard(sim, 2), 1);
    assert_int_equal(heard(sim, 3), 0);
    assert_int_equal(under_way(sim), 0);
    world_free(sim);
}

static void test_a_cut_is_one_way(void **state)
{
    (void)state;
    struct sim *sim = world_new(3);
    sim__link(sim, 1, 2)->cut = true;
    say(sim, 1, 2);
    say(sim, 2, 1);
    say(sim, 1, 3);
    world_wait(sim, 10);
    assert_int_equal(heard(sim, 2), 0);
    assert_int_equal(heard(sim, 1), 1);
    assert_int_equal(heard(sim, 3), 1);
    /* What was on its way when the cut came is lost too. */
    say(sim, 2, 3);
    sim__link(sim, 2, 3)->cut = true;
    world_wait(sim, 10);
    assert_int_equal(heard(sim, 3), 1);
    world_free(sim);
}

static void test_some_are_lost(void **state)
{
    (void)state;
    struct sim *sim = world_new(2);
    sim->weather.loss_ppm = 500000;
    for (int i = 0; i < 200; i++)
        say(sim, 1, 2);
    world_wait(sim, 10);
    assert_in_range(heard(sim, 2), 60, 140);
    sim->weather.loss_ppm = 1000000;
    uint64_t before = heard(sim, 2);
    say(sim, 1, 2);
    world_wait(sim, 10);
    assert_int_equal(heard(sim, 2), before);
    world_free(sim);
}

static void test_some_come_twice(void **state)
{
    (void)state;
    struct sim *sim = world_new(2);
    sim->weather.twice_ppm = 1000000;
    say(sim, 1, 2);
    assert_int_equal(under_way(sim), 2);
    world_wait(sim, 10);
    assert_int_equal(heard(sim, 2), 2);
    world_free(sim);
}

/* Whether the packets under way arrive as they were sent. */
static bool in_order(struct sim *sim, int count)
{
    struct sim_link *link = sim__link(sim, 1, 2);
    bool ordered = true;
    int64_t last_ns = 0;
    for (int i = 0; i < count; i++) {
        say(sim, 1, 2);
        ordered = ordered && link->last_ns > last_ns;
        last_ns = link->last_ns;
    }
    return ordered;
}

static void test_order_is_kept_where_it_is(void **state)
{
    (void)state;
    struct sim *sim = world_new(2);
    sim->weather.jitter_ns = 50 * SIM_MS;
    sim->weather.keeps_order = true;
    assert_true(in_order(sim, 50));
    sim->weather.keeps_order = false;
    assert_false(in_order(sim, 50));
    world_wait(sim, 120);
    assert_int_equal(heard(sim, 2), 100);
    world_free(sim);
}

static void test_queues_are_bounded(void **state)
{
    (void)state;
    struct sim *sim = world_new(2);
    sim->weather.queue_max = 5;
    for (int i = 0; i < 8; i++)
        say(sim, 1, 2);
    assert_int_equal(under_way(sim), 5);
    assert_int_equal(sim__link(sim, 1, 2)->waiting, 5);
    assert_int_equal(world_count(sim, SIM_TRACE_OVERFLOW), 3);
    world_wait(sim, 10);
    assert_int_equal(heard(sim, 2), 5);
    assert_int_equal(sim__link(sim, 1, 2)->waiting, 0);
    world_free(sim);
}

static void test_a_stranger_is_not_reached(void **state)
{
    (void)state;
    struct sim *sim = world_new(2);
    struct sim_member *guest = sim__member_new(sim, false);
    sim__start(guest);
    say(sim, 1, 3);
    net_send(&sim->members[1]->net, 12345, refbuf_dup("??", 2));
    world_wait(sim, 10);
    assert_int_equal(heard(sim, 3), 0);
    /* A guest knows nobody, until it was spoken to. */
    say(sim, 3, 1);
    world_wait(sim, 10);
    assert_int_equal(heard(sim, 1), 0);
    guest->guests |= 1u << 1;
    say(sim, 3, 1);
    world_wait(sim, 10);
    assert_int_equal(heard(sim, 1), 1);
    /* And who was spoken to can answer. */
    say(sim, 1, 3);
    world_wait(sim, 10);
    assert_int_equal(heard(sim, 3), 1);
    world_free(sim);
}

static void test_members_are_those_that_were_set(void **state)
{
    (void)state;
    struct sim *sim = world_new(3);
    struct net_member only = {.id = sim->members[3]->id};
    net_set_members(&sim->members[1]->net, &only, 1);
    net_flush(&sim->members[1]->net);
    say(sim, 1, 2);
    say(sim, 1, 3);
    world_wait(sim, 10);
    assert_int_equal(heard(sim, 2), 0);
    assert_int_equal(heard(sim, 3), 1);
    world_free(sim);
}

static void test_a_connection_that_breaks_loses_what_was_on_it(void **state)
{
    (void)state;
    struct sim *sim = world_new(3);
    say(sim, 1, 2);
    say(sim, 2, 1);
    say(sim, 1, 3);
    sim__break(sim, 1, 2, false);
    assert_int_equal(sim__link(sim, 1, 2)->waiting, 0);
    say(sim, 1, 2); /* on a new one */
    world_wait(sim, 10);
    assert_int_equal(heard(sim, 2), 1);
    assert_int_equal(heard(sim, 1), 0);
    assert_int_equal(heard(sim, 3), 1);
    assert_int_equal(world_count(sim, SIM_TRACE_LOST), 0);
    world_free(sim);
}

static void test_both_ends_hear_of_it(void **state)
{
    (void)state;
    struct sim *sim = world_new(3);
    sim__break(sim, 1, 2, true);
    assert_int_equal(world_count(sim, SIM_TRACE_LOST), 2);
    /* Not the one whom nothing reaches. */
    sim__link(sim, 1, 2)->cut = true;
    sim__break(sim, 1, 2, true);
    assert_int_equal(world_count(sim, SIM_TRACE_LOST), 3);
    sim__break_all(sim->members[3], true);
    assert_int_equal(world_count(sim, SIM_TRACE_LOST), 7);
    world_free(sim);
}

static void test_what_had_not_left_dies_with_its_sender(void **state)
{
    (void)state;
    struct sim *sim = world_new(2);
    struct sim_member *member = sim->members[1];
    /* As in a step that has synced twice. */
    member->in_run = true;
    say(sim, 1, 2);
    member->sync_ns = 20 * SIM_MS;
    member->syncs_before = disk_memory_syncs(member->disk) - 2;
    say(sim, 1, 2);
    member->in_run = false;
    assert_int_equal(under_way(sim), 2);
    world_wait(sim, 10);
    assert_int_equal(heard(sim, 2), 1);
    /* What broke with the connection is not what is tested here. */
    uint64_t epoch = sim__link(sim, 1, 2)->epoch;
    sim__kill(member);
    sim__link(sim, 1, 2)->epoch = epoch;
    sim__link(sim, 1, 2)->waiting = 1;
    world_wait(sim, 100);
    assert_int_equal(heard(sim, 2), 1);
    world_free(sim);
}

static void test_a_sleeper_hears_it_later(void **state)
{
    (void)state;
    struct sim *sim = world_new(2);
    sim__pause(sim->members[2], 50 * SIM_MS);
    say(sim, 1, 2);
    world_wait(sim, 40);
    assert_int_equal(heard(sim, 2), 0);
    assert_int_equal(under_way(sim), 1);
    world_wait(sim, 20);
    assert_int_equal(heard(sim, 2), 1);
    world_free(sim);
}

static void test_the_dead_hear_nothing(void **state)
{
    (void)state;
    struct sim *sim = world_new(2);
    sim__kill(sim->members[2]);
    say(sim, 1, 2);
    world_wait(sim, 10);
    assert_int_equal(under_way(sim), 0);
    sim__start(sim->members[2]);
    say(sim, 1, 2);
    world_wait(sim, 10);
    assert_int_equal(heard(sim, 2), 1);
    world_free(sim);
}

static void test_one_that_was_removed_is_not_heard(void **state)
{
    (void)state;
    struct sim *sim = world_led(3);
    struct sim_member *gone = world_follower(sim);
    struct sim_member *leader = world_leader(sim);
    struct sim_change *change = sim__operator_ask(sim, NODE_REMOVE, gone);
    assert_non_null(change);
    /* It doesn't hear of that itself. */
    for (int i = 1; i <= 3; i++)
        sim__link(sim, i, gone->place)->cut = true;
    world_wait(sim, 1000);
    assert_false(raft_members_have(&sim->ledger.members, gone->id));
    for (int i = 0; i < 60 && gone->state == SIM_UP; i++)
        world_wait(sim, 1000);
    assert_int_equal(gone->state, SIM_ENDED);
    assert_int_equal(leader->state, SIM_UP);
    world_free(sim);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_packet_takes_its_time),
        cmocka_unit_test(test_a_cut_is_one_way),
        cmocka_unit_test(test_some_are_lost),
        cmocka_unit_test(test_some_come_twice),
        cmocka_unit_test(test_order_is_kept_where_it_is),
        cmocka_unit_test(test_queues_are_bounded),
        cmocka_unit_test(test_a_stranger_is_not_reached),
        cmocka_unit_test(test_members_are_those_that_were_set),
        cmocka_unit_test(test_a_connection_that_breaks_loses_what_was_on_it),
        cmocka_unit_test(test_both_ends_hear_of_it),
        cmocka_unit_test(test_what_had_not_left_dies_with_its_sender),
        cmocka_unit_test(test_a_sleeper_hears_it_later),
        cmocka_unit_test(test_the_dead_hear_nothing),
        cmocka_unit_test(test_one_that_was_removed_is_not_heard),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
