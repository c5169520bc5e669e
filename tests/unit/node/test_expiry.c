/* Leases end at their time: to the nanosecond, whatever the member and the
 * clock on the wall go through. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>

#include "base/prng.h"
#include "node/node_int.h"
#include "support/node_harness.h"

#define SECOND HARNESS_SECOND_NS

static struct node_harness world;

static int begin(void **state)
{
    (void)state;
    node_harness_init(&world, 1);
    return node_harness_open(&world) == ERR_OK ? 0 : -1;
}

static int end(void **state)
{
    (void)state;
    node_harness_deinit(&world);
    return 0;
}

#define STORY(name) cmocka_unit_test_setup_teardown(name, begin, end)
#define SET(key, value) \
    assert_int_equal(node_harness_set(&world, key, value), ERR_OK)
#define SET_TTL(key, value, ttl_s) \
    assert_int_equal(node_harness_set_ttl(&world, key, value, ttl_s), ERR_OK)
#define RUN() assert_int_equal(node_harness_run(&world), ERR_OK)
#define FLUSH() assert_int_equal(node_harness_flush(&world), ERR_OK)
#define OPEN() assert_int_equal(node_harness_open(&world), ERR_OK)
#define SLEEP(ns) node_harness_sleep(&world, ns)
#define VALUE(key, value) \
    assert_string_equal(node_harness_get(&world, key), value)
#define NOTHING(key) assert_null(node_harness_get(&world, key))

static uint64_t expired(void)
{
    struct node_counters counters;
    node_counters(world.node, &counters);
    return counters.leases_expired;
}

static size_t leases(void)
{
    return lease_count(node_leases(world.node));
}

/* ---- at its time --------------------------------------------------------- */

static void a_key_ends_to_the_nanosecond(void **state)
{
    (void)state;
    SET_TTL("/a", "1", 5);
    assert_int_equal(leases(), 1);
    SLEEP(5 * SECOND - 1);
    RUN();
    VALUE("/a", "1");
    SLEEP(1);
    RUN();
    NOTHING("/a");
    assert_int_equal(leases(), 0);
    assert_int_equal(expired(), 1);
    assert_int_equal(world.commit_last, 3);
    assert_string_equal(node_harness_get_at(&world, "/a", 2), "1");
}

static void the_deadline_is_the_time(void **state)
{
    (void)state;
    SET_TTL("/a", "1", 5);
    SET_TTL("/b", "1", 9);
    int64_t start_ns = world.monotonic_ns;
    while (node_harness_get(&world, "/a") != NULL)
        assert_true(node_harness_next(&world, 60 * SECOND));
    int64_t took_ns = world.monotonic_ns - start_ns;
    assert_true(took_ns >= 5 * SECOND);
    assert_true(took_ns <= 5 * SECOND + 2 * 1000000);
    VALUE("/b", "1");
    size_t runs = 0;
    for (; node_harness_get(&world, "/b") != NULL; runs++)
        assert_true(node_harness_next(&world, 60 * SECOND));
    assert_true(runs <= 2);
    assert_false(node_harness_next(&world, 60 * SECOND));
    assert_int_equal(node_deadline_ms(world.node), INT64_MAX);
}

static void a_ttl_of_zero_ends_with_the_next_run(void **state)
{
    (void)state;
    struct tree_command command = harness_set_ttl("/a", "1", 0);
    enum err err;
    struct harness_write *write = node_harness_submit(&world, &command, &err);
    assert_non_null(write);
    assert_int_equal(node_run(world.node), ERR_OK);
    VALUE("/a", "1");
    RUN();
    NOTHING("/a");
}

static void a_refresh_gives_more_time(void **state)
{
    (void)state;
    struct tree_command refresh = {
        .op = TREE_UPDATE,
        .path = SLICE("/a"),
        .refresh = true,
        .has_ttl = true,
        .ttl_s = 5,
    };
    enum err err;
    SET_TTL("/a", "1", 5);
    for (int i = 0; i < 10; i++) {
        SLEEP(4 * SECOND);
        node_harness_write(&world, &refresh, &err);
        assert_int_equal(err, ERR_OK);
        VALUE("/a", "1");
    }
    SLEEP(5 * SECOND - 1);
    RUN();
    VALUE("/a", "1");
    SLEEP(1);
    RUN();
    NOTHING("/a");
}

static void a_key_set_for_good_stays(void **state)
{
    (void)state;
    SET_TTL("/a", "1", 5);
    SET("/a", "2");
    assert_int_equal(leases(), 0);
    assert_int_equal(node_deadline_ms(world.node), INT64_MAX);
    SLEEP(100 * SECOND);
    RUN();
    VALUE("/a", "2");
}

static void a_directory_takes_all_below_along(void **state)
{
    (void)state;
    struct tree_command dir = {.op = TREE_SET,
                               .path = SLICE("/dir"),
                               .dir = true,
                               .has_ttl = true,
                               .ttl_s = 3};
    enum err err;
    node_harness_write(&world, &dir, &err);
    assert_int_equal(err, ERR_OK);
    SET("/dir/a", "1");
    SET_TTL("/dir/sub/b", "2", 100);
    SLEEP(3 * SECOND);
    RUN();
    NOTHING("/dir/a");
    NOTHING("/dir/sub/b");
    assert_int_equal(leases(), 0);
    assert_int_equal(expired(), 1);
}

static void as_many_as_end_at_once_all_end(void **state)
{
    (void)state;
    enum { COUNT = 2 * NODE_EXPIRE_MAX + 500 };
    char key[32];
    for (int i = 0; i < COUNT; i++) {
        struct tree_command command;
        enum err err;
        snprintf(key, sizeof key, "/k/%d", i);
        command = harness_set_ttl(key, "v", 5);
        assert_non_null(node_harness_submit(&world, &command, &err));
    }
    RUN();
    assert_int_equal(leases(), COUNT);
    SLEEP(5 * SECOND);
    assert_int_equal(node_run(world.node), ERR_OK);
    assert_int_equal(leases(), COUNT - NODE_EXPIRE_MAX);
    /* Nobody waits for the others. */
    assert_int_equal(node_deadline_ms(world.node),
                     world.monotonic_ns / 1000000);
    RUN();
    assert_int_equal(leases(), 0);
    assert_int_equal(expired(), COUNT);
    assert_int_equal(world.commit_last - world.commit_first + 1, 2 * COUNT);
}

/* The write comes in the same batch as the expiry, and behind it. */
static void a_write_at_the_last_moment_comes_too_late(void **state)
{
    (void)state;
    struct tree_command update = {
        .op = TREE_UPDATE, .path = SLICE("/a"), .value = SLICE("2")};
    enum err err;
    SET_TTL("/a", "1", 5);
    SLEEP(5 * SECOND);
    struct harness_write *write = node_harness_write(&world, &update, &err);
    assert_int_equal(err, ERR_OK);
    assert_int_equal(write->request.tree.error, TREE_KEY_NOT_FOUND);
    NOTHING("/a");
}

/* ---- across restarts ----------------------------------------------------- */

static void a_restart_gives_no_time_and_takes_none(void **state)
{
    (void)state;
    SET_TTL("/a", "1", 10);
    SLEEP(3 * SECOND);
    node_harness_restart(&world); /* out of the store */
    assert_int_equal(leases(), 1);
    SLEEP(3 * SECOND);
    node_harness_recover(&world);
    assert_int_equal(leases(), 1);
    SLEEP(4 * SECOND - 1);
    RUN();
    VALUE("/a", "1");
    SLEEP(1);
    RUN();
    NOTHING("/a");
}

static void a_lease_out_of_the_log_ends_in_time_too(void **state)
{
    (void)state;
    SET_TTL("/a", "1", 10);
    node_harness_recover(&world); /* nothing was flushed */
    SLEEP(10 * SECOND - 1);
    RUN();
    VALUE("/a", "1");
    SLEEP(1);
    RUN();
    NOTHING("/a");
}

static void what_ended_meanwhile_ends_at_once(void **state)
{
    (void)state;
    SET_TTL("/a", "1", 10);
    SET("/b", "2");
    node_harness_close(&world);
    SLEEP(100 * SECOND);
    OPEN();
    /* A reader may see it once more, until the writer runs; which it will. */
    assert_int_equal(node_deadline_ms(world.node),
                     world.monotonic_ns / 1000000);
    RUN();
    NOTHING("/a");
    VALUE("/b", "2");
}

static void what_ended_has_ended_after_a_crash(void **state)
{
    (void)state;
    SET_TTL("/a", "1", 10);
    SLEEP(10 * SECOND);
    RUN();
    NOTHING("/a");
    revision before = node_harness_revision(&world);
    for (int i = 0; i < 3; i++) {
        node_harness_recover(&world);
        NOTHING("/a");
        assert_int_equal(leases(), 0);
        assert_int_equal(node_harness_revision(&world), before);
        /* Once it came out of the log, then out of the store. */
        assert_int_equal(expired(), i < 2 ? 1 : 0);
        if (i == 1)
            FLUSH();
    }
}

/* The lease ended in the log, but its key was set anew before the crash. */
static void a_new_life_is_not_ended_by_the_old_ones_lease(void **state)
{
    (void)state;
    SET_TTL("/a", "1", 10);
    SLEEP(10 * SECOND);
    RUN();
    SET_TTL("/a", "2", 10);
    FLUSH();
    node_harness_recover(&world);
    VALUE("/a", "2");
    SLEEP(10 * SECOND - 1);
    RUN();
    VALUE("/a", "2");
    SLEEP(1);
    RUN();
    NOTHING("/a");
}

/* ---- clocks that jump ---------------------------------------------------- */

static void a_jump_forward_ends_what_is_over_by_then(void **state)
{
    (void)state;
    SET_TTL("/a", "1", 10);
    SET_TTL("/b", "1", 1000);
    node_harness_jump(&world, 500 * SECOND);
    RUN();
    NOTHING("/a");
    VALUE("/b", "1");
}

/* Nobody looks at the clock while the member sleeps: the lease then lives as
 * long as was said, and not longer. */
static void a_jump_forward_is_slept_through(void **state)
{
    (void)state;
    SET_TTL("/a", "1", 10);
    int64_t before_ms = node_deadline_ms(world.node);
    node_harness_jump(&world, 5 * SECOND);
    int64_t after_ms = node_deadline_ms(world.node);
    assert_int_equal(before_ms - after_ms, 5000);
    node_harness_jump(&world, -5 * SECOND);
    assert_int_equal(node_deadline_ms(world.node), before_ms);
}

static void after_a_jump_back_ten_seconds_are_ten_seconds(void **state)
{
    (void)state;
    SET("/x", "1");
    node_harness_jump(&world, -3600 * SECOND);
    SET_TTL("/a", "1", 10);
    SLEEP(10 * SECOND - 1);
    RUN();
    VALUE("/a", "1");
    /* A thousandth slow, so that the two clocks meet again. */
    SLEEP(10 * SECOND / 999 + 1000000);
    RUN();
    NOTHING("/a");
}

static void a_lease_that_runs_lives_on_as_long_after_a_jump_back(void **state)
{
    (void)state;
    SET_TTL("/a", "1", 10);
    SLEEP(5 * SECOND);
    RUN();
    node_harness_jump(&world, -86400 * SECOND);
    int64_t start_ns = world.monotonic_ns;
    while (node_harness_get(&world, "/a") != NULL)
        assert_true(node_harness_next(&world, 60 * SECOND));
    int64_t took_ns = world.monotonic_ns - start_ns;
    assert_true(took_ns >= 5 * SECOND);
    assert_true(took_ns <= 5 * SECOND + 20 * 1000000);
}

static void after_a_jump_back_and_a_restart_time_goes_on(void **state)
{
    (void)state;
    SET_TTL("/a", "1", 10);
    node_harness_crash(&world);
    node_harness_jump(&world, -3600 * SECOND);
    OPEN();
    SET_TTL("/b", "1", 5);
    int64_t start_ns = world.monotonic_ns;
    while (node_harness_get(&world, "/b") != NULL)
        assert_true(node_harness_next(&world, 60 * SECOND));
    VALUE("/a", "1");
    while (node_harness_get(&world, "/a") != NULL)
        assert_true(node_harness_next(&world, 60 * SECOND));
    int64_t took_ns = world.monotonic_ns - start_ns;
    assert_true(took_ns >= 10 * SECOND);
    assert_true(took_ns <= 10 * SECOND + 30 * 1000000);
}

/* The newest entry of the log is then a leader's empty one, which has no time
 * to tell: what the store knows counts. */
static void after_a_flush_two_crashes_and_a_jump_back_too(void **state)
{
    (void)state;
    SET("/x", "1");
    FLUSH();
    node_harness_recover(&world);
    node_harness_crash(&world);
    node_harness_jump(&world, -3600 * SECOND);
    OPEN();
    SET_TTL("/a", "1", 10);
    SLEEP(10 * SECOND - 1);
    RUN();
    VALUE("/a", "1");
    SLEEP(20 * 1000000);
    RUN();
    NOTHING("/a");
}

static int64_t newest_time_ns(void)
{
    struct mvcc_status status;
    mvcc_status(node_mvcc(world.node), &status);
    return status.time_ns;
}

static void the_two_clocks_meet_again(void **state)
{
    (void)state;
    SET("/x", "1");
    node_harness_jump(&world, -1 * SECOND);
    SET("/x", "2");
    assert_int_equal(newest_time_ns(), world.wall_ns + 1 * SECOND);
    SLEEP(500 * SECOND);
    SET("/x", "3");
    assert_int_equal(newest_time_ns(), world.wall_ns + SECOND / 2);
    SLEEP(501 * SECOND);
    SET("/x", "4");
    assert_int_equal(newest_time_ns(), world.wall_ns);
}

static void time_never_falls_whatever_the_clock_does(void **state)
{
    (void)state;
    struct prng prng;
    int64_t last_ns = 0;
    prng_init(&prng, 7);
    for (int i = 0; i < 2000; i++) {
        int64_t jump_ns = prng_between(&prng, -100, 100) * SECOND / 10;
        SLEEP(prng_between(&prng, 0, 1000) * 1000000);
        node_harness_jump(&world, jump_ns);
        if (prng_below(&prng, 50) == 0)
            node_harness_recover(&world);
        else if (prng_below(&prng, 50) == 0)
            node_harness_restart(&world);
        SET("/x", "1");
        assert_true(newest_time_ns() >= last_ns);
        assert_true(newest_time_ns() >= world.wall_ns);
        last_ns = newest_time_ns();
        node_harness_forget(&world);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        STORY(a_key_ends_to_the_nanosecond),
        STORY(the_deadline_is_the_time),
        STORY(a_ttl_of_zero_ends_with_the_next_run),
        STORY(a_refresh_gives_more_time),
        STORY(a_key_set_for_good_stays),
        STORY(a_directory_takes_all_below_along),
        STORY(as_many_as_end_at_once_all_end),
        STORY(a_write_at_the_last_moment_comes_too_late),
        STORY(a_restart_gives_no_time_and_takes_none),
        STORY(a_lease_out_of_the_log_ends_in_time_too),
        STORY(what_ended_meanwhile_ends_at_once),
        STORY(what_ended_has_ended_after_a_crash),
        STORY(a_new_life_is_not_ended_by_the_old_ones_lease),
        STORY(a_jump_forward_ends_what_is_over_by_then),
        STORY(a_jump_forward_is_slept_through),
        STORY(after_a_jump_back_ten_seconds_are_ten_seconds),
        STORY(a_lease_that_runs_lives_on_as_long_after_a_jump_back),
        STORY(after_a_jump_back_and_a_restart_time_goes_on),
        STORY(after_a_flush_two_crashes_and_a_jump_back_too),
        STORY(the_two_clocks_meet_again),
        STORY(time_never_falls_whatever_the_clock_does),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
