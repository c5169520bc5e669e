/* Whole runs: the same seed is the same run, a calm world is a good one, and a
 * world of any size gets through its faults. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/log.h"
#include "sim/sim.h"

static struct sim_result run(const struct sim_options *options)
{
    struct sim_result result;
    struct sim *sim = sim_new(options);
    sim_run(sim, &result);
    sim_free(sim);
    if (result.failed)
        fail_msg("seed %llu: %s", (unsigned long long)options->seed,
                 result.why);
    return result;
}

static void test_a_calm_world(void **state)
{
    (void)state;
    struct sim_result result = run(&(struct sim_options){
        .seed = 1, .members = 3, .seconds = 10, .calm = true});
    assert_int_equal(result.counts[SIM_COUNT_KILLS], 0);
    assert_int_equal(result.counts[SIM_COUNT_CUTS], 0);
    assert_int_equal(result.counts[SIM_COUNT_STARTS], 3);
    assert_int_equal(result.counts[SIM_COUNT_LEADERS], 1);
    assert_true(result.counts[SIM_COUNT_WRITES] > 30);
    assert_true(result.counts[SIM_COUNT_READS] > 10);
    assert_true(result.counts[SIM_COUNT_TOLD] > 30);
    assert_true(result.simulated_ns > INT64_C(10000000000));
}

static void test_the_same_seed_is_the_same_run(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 6; seed++) {
        struct sim_options options = {.seed = seed, .seconds = 8};
        struct sim_result first = run(&options);
        struct sim_result second = run(&options);
        assert_int_equal(first.digest, second.digest);
        assert_int_equal(first.simulated_ns, second.simulated_ns);
        assert_memory_equal(first.counts, second.counts, sizeof first.counts);
    }
}

static void test_another_seed_is_another_run(void **state)
{
    (void)state;
    struct sim_options options = {.seed = 7, .seconds = 5};
    struct sim_result first = run(&options);
    options.seed = 8;
    assert_int_not_equal(run(&options).digest, first.digest);
}

static void test_every_size(void **state)
{
    (void)state;
    for (int members = 1; members <= SIM_MEMBERS_MAX; members++) {
        struct sim_result result = run(&(struct sim_options){
            .seed = 100 + (uint64_t)members, .members = members, .seconds = 6});
        assert_true(result.counts[SIM_COUNT_STARTS] >= (uint64_t)members);
        assert_true(result.counts[SIM_COUNT_LEADERS] >= 1);
    }
}

static void test_faults_do_happen(void **state)
{
    (void)state;
    uint64_t counts[SIM_COUNT_COUNT] = {0};
    for (uint64_t seed = 1000; seed < 1040; seed++) {
        struct sim_result result =
            run(&(struct sim_options){.seed = seed, .workers = -1});
        for (int i = 0; i < SIM_COUNT_COUNT; i++)
            counts[i] += result.counts[i];
    }
    for (int i = 0; i < SIM_COUNT_COUNT; i++)
        if (i != SIM_COUNT_UNSURE && counts[i] == 0)
            fail_msg("none in forty worlds: %s",
                     sim_count_text((enum sim_count)i));
}

static void test_a_run_of_few_steps_ends(void **state)
{
    (void)state;
    struct sim_result result =
        run(&(struct sim_options){.seed = 3, .steps = 200});
    assert_int_equal(result.counts[SIM_COUNT_EVENTS], 200);
}

struct lines {
    size_t count;
    struct buf last;
};

static void take_line(void *context, struct slice line)
{
    struct lines *lines = context;
    lines->count++;
    buf_reset(&lines->last);
    buf_append_slice(&lines->last, line);
    assert_true(line.size > 20);
}

static void test_the_story_is_told(void **state)
{
    (void)state;
    struct sim_result result;
    struct lines live = {0};
    struct lines later = {0};
    struct sim *sim = sim_new(&(struct sim_options){
        .seed = 2, .seconds = 3, .on_line = take_line, .context = &live});
    sim_run(sim, &result);
    sim_story(sim, 25, take_line, &later);
    sim_free(sim);
    assert_true(live.count > 100);
    assert_int_equal(later.count, 25);
    assert_true(slice_eq(buf_slice(&live.last), buf_slice(&later.last)));
    buf_append_char(&later.last, 0);
    assert_non_null(strstr(later.last.at, "the world ends"));
    buf_deinit(&live.last);
    buf_deinit(&later.last);
}

static void test_the_story_changes_nothing(void **state)
{
    (void)state;
    struct lines live = {0};
    struct sim_options options = {.seed = 2, .seconds = 3};
    uint64_t digest = run(&options).digest;
    options.on_line = take_line;
    options.context = &live;
    assert_int_equal(run(&options).digest, digest);
    buf_deinit(&live.last);
}

static void test_a_world_that_never_ran(void **state)
{
    (void)state;
    struct sim *sim = sim_new(&(struct sim_options){.seed = 1});
    sim_free(sim);
    sim_free(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_calm_world),
        cmocka_unit_test(test_the_same_seed_is_the_same_run),
        cmocka_unit_test(test_another_seed_is_another_run),
        cmocka_unit_test(test_every_size),
        cmocka_unit_test(test_faults_do_happen),
        cmocka_unit_test(test_a_run_of_few_steps_ends),
        cmocka_unit_test(test_the_story_is_told),
        cmocka_unit_test(test_the_story_changes_nothing),
        cmocka_unit_test(test_a_world_that_never_ran),
    };
    log_set_level(LOG_ERROR);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
