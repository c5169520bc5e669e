/* Compaction: what is told to go, what goes by itself, and how slowly. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>

#include "node/node_int.h"
#include "support/node_harness.h"

#define SECOND HARNESS_SECOND_NS

static struct node_harness world;

static int begin(void **state)
{
    (void)state;
    node_harness_init(&world, 1);
    return 0;
}

static int end(void **state)
{
    (void)state;
    node_harness_deinit(&world);
    return 0;
}

#define STORY(name) cmocka_unit_test_setup_teardown(name, begin, end)
#define OPEN() assert_int_equal(node_harness_open(&world), ERR_OK)
#define SET(key, value) \
    assert_int_equal(node_harness_set(&world, key, value), ERR_OK)
#define RUN() assert_int_equal(node_run(world.node), ERR_OK)
#define RUN_ALL() assert_int_equal(node_harness_run(&world), ERR_OK)
#define FLUSH() assert_int_equal(node_harness_flush(&world), ERR_OK)
#define SLEEP(ns) node_harness_sleep(&world, ns)
#define VALUE(key, value) \
    assert_string_equal(node_harness_get(&world, key), value)

static struct mvcc_status status(void)
{
    struct mvcc_status status;
    mvcc_status(node_mvcc(world.node), &status);
    return status;
}

static uint64_t compactions(void)
{
    struct node_counters counters;
    node_counters(world.node, &counters);
    return counters.compactions;
}

static uint64_t in_use(void)
{
    struct kv_stat stat;
    world.kv->ops->stat(world.kv, &stat);
    return stat.in_use_bytes;
}

static void write_many(int count, const char *format)
{
    char key[32];
    char value[32];
    for (int i = 0; i < count; i++) {
        enum err err;
        snprintf(key, sizeof key, format, i);
        snprintf(value, sizeof value, "%d", i);
        struct tree_command command = harness_set(key, value);
        assert_non_null(node_harness_submit(&world, &command, &err));
        if (i % 1000 == 999)
            RUN_ALL();
    }
    RUN_ALL();
    node_harness_forget(&world);
}

static enum err compact(revision at)
{
    struct command command = {.type = COMMAND_COMPACT, .compact = at};
    enum err err;
    struct harness_write *write = node_harness_send(&world, &command, &err);
    assert_int_equal(err, ERR_OK);
    RUN();
    return write->request.err;
}

/* ---- as told ------------------------------------------------------------- */

static void history_goes_and_the_present_stays(void **state)
{
    (void)state;
    OPEN();
    SET("/a", "1");
    SET("/a", "2");
    SET("/a", "3");
    SET("/b", "4");
    assert_string_equal(node_harness_get_at(&world, "/a", 2), "1");
    assert_int_equal(compact(4), ERR_OK);
    assert_int_equal(compactions(), 1);
    assert_null(node_harness_get_at(&world, "/a", 2));
    assert_string_equal(node_harness_get_at(&world, "/a", 5), "3");
    VALUE("/a", "3");
    VALUE("/b", "4");
}

static void what_makes_no_sense_changes_nothing(void **state)
{
    (void)state;
    OPEN();
    SET("/a", "1");
    SET("/a", "2");
    SET("/a", "3");
    assert_int_equal(compact(3), ERR_OK);
    assert_int_equal(compact(3), ERR_OK);
    assert_int_equal(compact(2), ERR_OK);
    assert_int_equal(compact(-5), ERR_OK);
    assert_int_equal(compact(1000), ERR_OK);
    assert_int_equal(compactions(), 1);
    assert_int_equal(status().compacted, 3);
    VALUE("/a", "3");
}

static void a_crash_undoes_no_compaction(void **state)
{
    (void)state;
    OPEN();
    SET("/a", "1");
    SET("/a", "2");
    SET("/a", "3");
    assert_int_equal(compact(3), ERR_OK);
    node_harness_recover(&world);
    assert_int_equal(status().compacted, 3);
    assert_null(node_harness_get_at(&world, "/a", 2));
    FLUSH();
    node_harness_recover(&world);
    assert_int_equal(status().compacted, 3);
    assert_null(node_harness_get_at(&world, "/a", 2));
    VALUE("/a", "3");
}

/* Others may have compacted: this member must not go on without. */
static void a_compaction_that_fails_stops_the_member(void **state)
{
    (void)state;
    struct command command = {.type = COMMAND_COMPACT, .compact = 3};
    enum err err;
    OPEN();
    SET("/a", "1");
    SET("/a", "2");
    SET("/a", "3");
    node_harness_restart(&world);
    struct harness_write *write = node_harness_send(&world, &command, &err);
    kv_memory_fail_after(world.kv, 1, ERR_IO);
    assert_int_equal(node_run(world.node), ERR_IO);
    assert_int_equal(write->request.err, ERR_STOPPED);
    assert_int_equal(compactions(), 0);
    node_harness_recover(&world);
    assert_int_equal(status().compacted, 3);
    VALUE("/a", "3");
}

/* ---- in slices ----------------------------------------------------------- */

static void the_walk_is_made_in_slices_between_batches(void **state)
{
    (void)state;
    enum { KEYS = 10 * NODE_COMPACT_KEYS };
    OPEN();
    write_many(KEYS, "/k%d");
    write_many(KEYS, "/k%d");
    FLUSH();
    uint64_t before = in_use();
    size_t due = world.flush_due_calls;
    assert_int_equal(compact(status().current), ERR_OK);
    size_t runs = 1;
    while (status().compacting) {
        /* It is due, but writes come between. */
        assert_int_equal(node_deadline_ms(world.node),
                         world.monotonic_ns / 1000000);
        struct tree_command command = harness_set("/between", "1");
        enum err err;
        struct harness_write *write =
            node_harness_submit(&world, &command, &err);
        RUN();
        assert_true(write->done);
        runs++;
    }
    assert_true(runs >= 10);
    assert_int_equal(node_deadline_ms(world.node), INT64_MAX);
    /* And then the backend is told to take it out of the file. */
    assert_int_equal(world.flush_due_calls, due + 1);
    FLUSH();
    assert_true(in_use() < before * 2 / 3);
    VALUE("/k0", "0");
    VALUE("/between", "1");
}

static void what_was_dropped_leaves_the_file_in_parts(void **state)
{
    (void)state;
    bool more = true;
    size_t flushes = 0;
    world.config.flush_revisions = 100;
    OPEN();
    write_many(2000, "/same");
    FLUSH();
    assert_int_equal(compact(status().current), ERR_OK);
    RUN_ALL();
    for (; more; flushes++) {
        uint64_t before = in_use();
        assert_int_equal(node_flush(world.node, &more), ERR_OK);
        assert_true(in_use() <= before);
    }
    assert_true(flushes >= 1999 / 100);
    assert_true(flushes <= 1999 / 100 + 3);
    assert_true(in_use() < 1000);
    assert_int_equal(node_flush(world.node, &more), ERR_OK);
    assert_false(more);
}

/* Looks come faster than the walk gets on: it comes to its end all the same. */
static void a_walk_is_not_started_over(void **state)
{
    (void)state;
    enum { KEYS = 10 * NODE_COMPACT_KEYS };
    world.config.compaction = NODE_COMPACTION_REVISION;
    world.config.compaction_keep = 10;
    OPEN();
    write_many(KEYS, "/k%d");
    size_t runs = 0;
    do {
        struct tree_command command = harness_set("/k0", "again");
        enum err err;
        SLEEP(5 * SECOND);
        assert_non_null(node_harness_submit(&world, &command, &err));
        assert_non_null(node_harness_submit(&world, &command, &err));
        RUN();
        runs++;
    } while (status().compacting && runs < 100);
    assert_in_range(runs, 10, 12);
    assert_int_equal(compactions(), 1);
}

static void a_walk_goes_on_after_a_crash(void **state)
{
    (void)state;
    enum { KEYS = 5 * NODE_COMPACT_KEYS };
    OPEN();
    write_many(KEYS, "/k%d");
    write_many(KEYS, "/k%d");
    FLUSH();
    uint64_t before = in_use();
    assert_int_equal(compact(status().current), ERR_OK);
    assert_true(status().compacting);
    FLUSH();
    node_harness_recover(&world);
    assert_true(status().compacting);
    assert_int_equal(node_deadline_ms(world.node),
                     world.monotonic_ns / 1000000);
    RUN_ALL();
    assert_false(status().compacting);
    FLUSH();
    assert_true(in_use() < before * 2 / 3);
    VALUE("/k0", "0");
    node_harness_restart(&world);
    assert_false(status().compacting);
}

/* ---- by revisions -------------------------------------------------------- */

static void by_revisions_so_many_are_kept(void **state)
{
    (void)state;
    world.config.compaction = NODE_COMPACTION_REVISION;
    world.config.compaction_keep = 100;
    OPEN();
    write_many(1000, "/a");
    SLEEP(5 * SECOND);
    RUN_ALL();
    assert_int_equal(status().current, 1001);
    assert_int_equal(status().compacted, 901);
    assert_null(node_harness_get_at(&world, "/a", 900));
    assert_string_equal(node_harness_get_at(&world, "/a", 902), "900");
    VALUE("/a", "999");
}

static void by_revisions_few_are_not_worth_a_walk(void **state)
{
    (void)state;
    world.config.compaction = NODE_COMPACTION_REVISION;
    world.config.compaction_keep = 100;
    OPEN();
    write_many(110, "/a"); /* to 111: a tenth of 100, and the first one */
    SLEEP(5 * SECOND);
    RUN_ALL();
    uint64_t made = compactions();
    write_many(10, "/a");
    SLEEP(5 * SECOND);
    RUN_ALL();
    assert_int_equal(compactions(), made);
    write_many(1, "/a");
    SLEEP(5 * SECOND);
    RUN_ALL();
    assert_int_equal(compactions(), made + 1);
    assert_int_equal(status().compacted, status().current - 100);
}

/* ---- what somebody has yet to read --------------------------------------- */

static revision wanted;

static revision oldest_wanted(struct mvcc_reader *reader)
{
    revision current;
    revision compacted;
    mvcc_reader_revisions(reader, &current, &compacted);
    assert_in_range(current, compacted, INT64_MAX); /* it may be read from */
    return wanted;
}

static void what_is_yet_to_be_read_stays_up_to_a_bound(void **state)
{
    (void)state;
    world.config.compaction = NODE_COMPACTION_REVISION;
    world.config.compaction_keep = 100;
    world.config.oldest_wanted = oldest_wanted;
    OPEN();
    write_many(1000, "/a");
    wanted = 850; /* compacted at 850 its tombstones would be gone */
    SLEEP(5 * SECOND);
    RUN_ALL();
    assert_int_equal(status().compacted, 849);
    wanted = 900; /* who wants nothing so old holds nothing up */
    write_many(30, "/a");
    SLEEP(5 * SECOND);
    RUN_ALL();
    assert_int_equal(status().compacted, 899);
    write_many(300, "/a"); /* to 1331: it has had as much again */
    SLEEP(5 * SECOND);
    RUN_ALL();
    assert_int_equal(status().compacted, 1131);
    wanted = INT64_MAX;
    SLEEP(5 * SECOND);
    RUN_ALL();
    assert_int_equal(status().compacted, 1231);
}

static void by_time_as_much_again_is_kept_for_who_is_behind(void **state)
{
    (void)state;
    world.config.compaction = NODE_COMPACTION_PERIODIC;
    world.config.compaction_keep = 3600 * SECOND;
    world.config.oldest_wanted = oldest_wanted;
    OPEN();
    SET("/a", "old");
    revision old = status().current;
    wanted = old;
    SLEEP(3000 * SECOND);
    SET("/a", "young");
    SLEEP(3000 * SECOND);
    RUN_ALL();
    assert_in_range(status().compacted, 0, old - 1);
    assert_string_equal(node_harness_get_at(&world, "/a", old), "old");
    SLEEP(3000 * SECOND);
    RUN_ALL();
    assert_in_range(status().compacted, old, status().current);
}

static void with_less_than_is_kept_nothing_goes(void **state)
{
    (void)state;
    world.config.compaction = NODE_COMPACTION_REVISION;
    world.config.compaction_keep = 100;
    OPEN();
    write_many(99, "/a");
    SLEEP(5 * SECOND);
    RUN_ALL();
    assert_int_equal(compactions(), 0);
    assert_int_equal(status().compacted, 0);
}

static void the_next_look_comes_by_itself(void **state)
{
    (void)state;
    world.config.compaction = NODE_COMPACTION_REVISION;
    world.config.compaction_keep = 10;
    OPEN();
    RUN_ALL();
    write_many(100, "/a");
    int64_t start_ns = world.monotonic_ns;
    while (compactions() == 0)
        assert_true(node_harness_next(&world, 60 * SECOND));
    assert_true(world.monotonic_ns - start_ns <= 6 * SECOND);
}

static void off_is_off(void **state)
{
    (void)state;
    OPEN();
    write_many(1000, "/a");
    SLEEP(86400 * SECOND);
    RUN_ALL();
    assert_int_equal(compactions(), 0);
    assert_int_equal(node_deadline_ms(world.node), INT64_MAX);
}

/* ---- by time ------------------------------------------------------------- */

static void by_time_what_is_young_is_kept(void **state)
{
    (void)state;
    world.config.compaction = NODE_COMPACTION_PERIODIC;
    world.config.compaction_keep = 600 * SECOND;
    OPEN();
    for (int minute = 0; minute < 30; minute++) {
        SET("/a", "x");
        SLEEP(60 * SECOND);
    }
    RUN_ALL();
    /* Revision 2 at 0:00, 31 at 0:29; it is 0:30. Gone may be what is older
     * than 0:20, and a look is made each tenth of the time kept. */
    assert_in_range(status().compacted, 20, 22);
    assert_int_equal(compactions(), status().compacted - 1);
    assert_non_null(node_harness_get_at(&world, "/a", 23));
    node_harness_recover(&world);
    assert_in_range(status().compacted, 20, 22);
}

static void a_quiet_store_is_compacted_once_and_left_alone(void **state)
{
    (void)state;
    struct node_progress before;
    struct node_progress after;
    world.config.compaction = NODE_COMPACTION_PERIODIC;
    world.config.compaction_keep = 60 * SECOND;
    OPEN();
    SET("/a", "1");
    SET("/a", "2");
    for (int i = 0; i < 20; i++)
        (void)node_harness_next(&world, 10 * SECOND);
    assert_int_equal(status().compacted, 3);
    assert_int_equal(compactions(), 1);
    node_progress(world.node, &before);
    for (int i = 0; i < 100; i++)
        (void)node_harness_next(&world, 60 * SECOND);
    node_progress(world.node, &after);
    assert_int_equal(before.applied, after.applied);
    VALUE("/a", "2");
}

static void a_short_time_is_looked_at_each_five_seconds(void **state)
{
    (void)state;
    size_t looks = 0;
    world.config.compaction = NODE_COMPACTION_PERIODIC;
    world.config.compaction_keep = 1 * SECOND;
    OPEN();
    RUN_ALL();
    int64_t end_ns = world.monotonic_ns + 100 * SECOND;
    while (world.monotonic_ns < end_ns)
        looks += node_harness_next(&world, end_ns - world.monotonic_ns);
    assert_in_range(looks, 19, 21);
}

static void a_long_time_is_looked_at_each_hour(void **state)
{
    (void)state;
    size_t looks = 0;
    world.config.compaction = NODE_COMPACTION_PERIODIC;
    world.config.compaction_keep = 30 * 86400 * SECOND;
    OPEN();
    RUN_ALL();
    int64_t end_ns = world.monotonic_ns + 86400 * SECOND;
    while (world.monotonic_ns < end_ns)
        looks += node_harness_next(&world, end_ns - world.monotonic_ns);
    assert_in_range(looks, 23, 25);
}

static void a_store_that_cannot_say_how_old_it_is_is_left_alone(void **state)
{
    (void)state;
    world.config.compaction = NODE_COMPACTION_PERIODIC;
    world.config.compaction_keep = 60 * SECOND;
    OPEN();
    SET("/a", "1");
    SET("/a", "2");
    SET("/a", "3");
    SLEEP(100 * SECOND);
    SET("/a", "4"); /* too young: the time of others must be read */
    node_harness_restart(&world);
    SLEEP(30 * SECOND);
    kv_memory_fail_after(world.kv, 1, ERR_IO);
    RUN();
    kv_memory_fail_after(world.kv, 0, ERR_OK);
    assert_int_equal(compactions(), 0);
    SLEEP(600 * SECOND);
    RUN();
    assert_int_equal(compactions(), 1);
    VALUE("/a", "4");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        STORY(history_goes_and_the_present_stays),
        STORY(what_makes_no_sense_changes_nothing),
        STORY(a_crash_undoes_no_compaction),
        STORY(a_compaction_that_fails_stops_the_member),
        STORY(the_walk_is_made_in_slices_between_batches),
        STORY(what_was_dropped_leaves_the_file_in_parts),
        STORY(a_walk_is_not_started_over),
        STORY(a_walk_goes_on_after_a_crash),
        STORY(by_revisions_so_many_are_kept),
        STORY(by_revisions_few_are_not_worth_a_walk),
        STORY(what_is_yet_to_be_read_stays_up_to_a_bound),
        STORY(by_time_as_much_again_is_kept_for_who_is_behind),
        STORY(with_less_than_is_kept_nothing_goes),
        STORY(the_next_look_comes_by_itself),
        STORY(off_is_off),
        STORY(by_time_what_is_young_is_kept),
        STORY(a_quiet_store_is_compacted_once_and_left_alone),
        STORY(a_short_time_is_looked_at_each_five_seconds),
        STORY(a_long_time_is_looked_at_each_hour),
        STORY(a_store_that_cannot_say_how_old_it_is_is_left_alone),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
