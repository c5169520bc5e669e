/* Each kind of fault by itself: it strikes, it is told, and the cluster gets
 * over it. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "unit/sim/sim_worlds.h"

/* Runs a world that has only these faults; what happened is added up. */
static void run(uint64_t seed, int members, uint32_t faults,
                uint64_t counts[SIM_TRACE_COUNT])
{
    struct sim_result result;
    struct sim *sim = sim_new(
        &(struct sim_options){.seed = seed, .members = members, .seconds = 12});
    sim->faults = faults;
    sim_run(sim, &result);
    if (result.failed)
        fail_msg("seed %llu, faults %x: %s", (unsigned long long)seed, faults,
                 result.why);
    for (int i = 0; i < SIM_TRACE_COUNT; i++)
        counts[i] += world_count(sim, (enum sim_trace_what)i);
    sim_free(sim);
}

static void test_each_kind_strikes(void **state)
{
    (void)state;
    static const struct {
        uint32_t fault;
        enum sim_trace_what seen;
        uint64_t least;
    } kinds[] = {
        {SIM_FAULT_KILL, SIM_TRACE_KILL, 5},
        {SIM_FAULT_POWER, SIM_TRACE_KILL, 9},
        {SIM_FAULT_PAUSE, SIM_TRACE_PAUSE, 2},
        {SIM_FAULT_CUT, SIM_TRACE_CUT, 5},
        {SIM_FAULT_WEATHER, SIM_TRACE_WEATHER, 2},
        {SIM_FAULT_BREAK, SIM_TRACE_LOST, 2},
        {SIM_FAULT_CLOCK, SIM_TRACE_JUMP, 2},
        {SIM_FAULT_SLOW, SIM_TRACE_SLOW, 2},
        {SIM_FAULT_FULL, SIM_TRACE_FULL, 2},
        {SIM_FAULT_DAMAGE, SIM_TRACE_DAMAGE, 1},
        {SIM_FAULT_ARM, SIM_TRACE_BREAK, 1},
        {SIM_FAULT_CHURN, SIM_TRACE_CHANGE, 2},
        {SIM_FAULT_TRANSFER, SIM_TRACE_TRANSFER, 2},
        {SIM_FAULT_RESTART, SIM_TRACE_STOP, 2},
    };
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++) {
        uint64_t counts[SIM_TRACE_COUNT] = {0};
        for (uint64_t seed = 300; seed < 305; seed++)
            run(seed, 3, kinds[i].fault, counts);
        if (counts[kinds[i].seen] < kinds[i].least)
            fail_msg("fault %x was seen %llu times", kinds[i].fault,
                     (unsigned long long)counts[kinds[i].seen]);
    }
}

static void test_without_faults_none_is_seen(void **state)
{
    (void)state;
    uint64_t counts[SIM_TRACE_COUNT] = {0};
    static const enum sim_trace_what quiet[] = {
        SIM_TRACE_PAUSE, SIM_TRACE_CUT,   SIM_TRACE_JUMP,   SIM_TRACE_FULL,
        SIM_TRACE_SLOW,  SIM_TRACE_BREAK, SIM_TRACE_DAMAGE, SIM_TRACE_CHANGE,
        SIM_TRACE_KILL,  SIM_TRACE_STOP,  SIM_TRACE_LOST,   SIM_TRACE_TRANSFER};
    run(310, 3, 0, counts);
    for (size_t i = 0; i < sizeof quiet / sizeof quiet[0]; i++)
        assert_int_equal(counts[quiet[i]], 0);
    assert_int_equal(counts[SIM_TRACE_HEAL], 1);
    assert_int_equal(counts[SIM_TRACE_END], 1);
}

static void test_all_kinds_together(void **state)
{
    (void)state;
    uint64_t counts[SIM_TRACE_COUNT] = {0};
    for (int members = 1; members <= SIM_MEMBERS_MAX; members++)
        run(320 + (uint64_t)members, members, (1 << SIM_FAULT_COUNT) - 1,
            counts);
    assert_true(counts[SIM_TRACE_START] > 20);
}

/* ---- mending ------------------------------------------------------------- */

static void test_a_disk_is_mended(void **state)
{
    (void)state;
    struct sim *sim = world_new(1);
    struct sim_member *member = sim->members[1];
    member->sync_ns = 2 * SIM_SECOND;
    member->full = true;
    disk_memory_limit(member->disk, 1);
    sim__at(sim, &member->mend, sim->now_ns + 500 * SIM_MS);
    world_wait(sim, 400);
    assert_true(member->full);
    world_wait(sim, 200);
    assert_false(member->full);
    assert_int_equal(member->sync_ns, SIM_MS);
    world_wait(sim, 10000);
    world_done(member, SIM_SET, 0);
    world_free(sim);
}

static void test_all_is_mended_at_the_end(void **state)
{
    (void)state;
    struct sim *sim = world_new(3);
    sim->weather.loss_ppm = 900000;
    sim->weather.twice_ppm = 900000;
    for (int i = 1; i <= 3; i++) {
        sim->members[i]->full = true;
        sim->members[i]->sync_ns = SIM_SECOND;
        disk_memory_fail_call(sim->members[i]->disk, 1, ERR_IO);
        kv_memory_fail_after(sim->members[i]->kv, 1, ERR_IO);
        sim__link(sim, i, i % 3 + 1)->cut = true;
    }
    sim__plan_mend(sim);
    assert_int_equal(sim->weather.loss_ppm, 0);
    assert_int_equal(sim->weather.twice_ppm, 0);
    for (int i = 1; i <= 3; i++) {
        assert_false(sim->members[i]->full);
        assert_int_equal(sim->members[i]->sync_ns, SIM_MS);
        assert_false(sim__link(sim, i, i % 3 + 1)->cut);
    }
    world_wait(sim, 8000);
    world_done(world_leader(sim), SIM_SET, 0);
    world_free(sim);
}

/* ---- damage -------------------------------------------------------------- */

static void test_what_may_not_be_damaged(void **state)
{
    (void)state;
    struct sim *sim = world_led(3);
    struct sim_member *member = world_follower(sim);
    uint64_t old = 0;
    const char *name;
    for (int i = 0; i < 20; i++)
        world_done(world_leader(sim), SIM_SET, 0);
    for (size_t n = 0; (name = disk_memory_name(member->disk, n)); n++) {
        uint64_t bytes = disk_memory_old_bytes(member->disk, name);
        assert_true(bytes <= disk_memory_bytes(member->disk, name).size);
        old += bytes;
    }
    assert_true(old > 0);
    world_free(sim);
}

/* Damage to the old part of every file, and what becomes of the member. */
static void test_a_damaged_member_is_removed(void **state)
{
    (void)state;
    struct sim *sim = world_led(3);
    struct sim_member *member = world_follower(sim);
    const char *name;
    for (int i = 0; i < 20; i++)
        world_done(world_leader(sim), SIM_SET, 0);
    sim__kill(member);
    for (size_t n = 0; (name = disk_memory_name(member->disk, n)); n++)
        for (uint64_t at = 0; at < disk_memory_old_bytes(member->disk, name);
             at += 8)
            disk_memory_flip(member->disk, name, at, 0x10);
    member->damaged = true;
    sim__start(member);
    assert_int_equal(member->state, SIM_BROKEN);
    for (int i = 0; i < 60 && member->state != SIM_ENDED; i++)
        world_wait(sim, 1000);
    assert_int_equal(member->state, SIM_ENDED);
    assert_int_equal(sim->ledger.members.voter_count, 2);
    world_done(world_leader(sim), SIM_SET, 0);
    world_free(sim);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_each_kind_strikes),
        cmocka_unit_test(test_without_faults_none_is_seen),
        cmocka_unit_test(test_all_kinds_together),
        cmocka_unit_test(test_a_disk_is_mended),
        cmocka_unit_test(test_all_is_mended_at_the_end),
        cmocka_unit_test(test_what_may_not_be_damaged),
        cmocka_unit_test(test_a_damaged_member_is_removed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
