/* No room: in the log, in the store, or by the quota. What makes room passes,
 * the rest is refused, nothing that was answered is lost, and with room all
 * goes on by itself. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>

#include "node/node_int.h"
#include "support/node_harness.h"

enum { VALUE_BYTES = 8 * 1024 };

static struct node_harness world;
static char large[VALUE_BYTES];

static int begin(void **state)
{
    (void)state;
    memset(large, 'v', sizeof large);
    large[sizeof large - 1] = 0;
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
#define REFUSED(key, value) \
    assert_int_equal(node_harness_set(&world, key, value), ERR_NO_SPACE)
#define DELETE(key) assert_int_equal(node_harness_delete(&world, key), ERR_OK)
#define FLUSH() assert_int_equal(node_harness_flush(&world), ERR_OK)
#define VALUE(key, value) \
    assert_string_equal(node_harness_get(&world, key), value)
#define NOTHING(key) assert_null(node_harness_get(&world, key))

static bool alarm_is_on(void)
{
    struct node_progress progress;
    node_progress(world.node, &progress);
    return progress.no_space;
}

/* ---- the log ------------------------------------------------------------- */

/* Returns how many were answered well. */
static int fill_log(void)
{
    char key[32];
    disk_memory_limit(world.disk, disk_memory_used(world.disk));
    for (int i = 0; i < 1000; i++) {
        snprintf(key, sizeof key, "/k%d", i);
        enum err err = node_harness_set(&world, key, large);
        if (err != ERR_OK) {
            assert_int_equal(err, ERR_DISK_FULL);
            NOTHING(key);
            return i;
        }
    }
    fail();
    return 0;
}

static void check_filled(int count)
{
    char key[32];
    for (int i = 0; i < count; i++) {
        snprintf(key, sizeof key, "/k%d", i);
        VALUE(key, large);
    }
}

static void a_full_log_refuses_and_lets_deletes_pass(void **state)
{
    (void)state;
    OPEN();
    int count = fill_log();
    assert_true(count > 1);
    assert_true(alarm_is_on());
    REFUSED("/more", "1");
    DELETE("/k0");
    NOTHING("/k0");
    VALUE("/k1", large);
    /* Refused is not failed: the member goes on. */
    REFUSED("/more", "1");
    assert_true(alarm_is_on());
    node_harness_crash(&world);
    OPEN();
    NOTHING("/k0");
    VALUE("/k1", large);
    NOTHING("/more");
}

static void with_room_again_the_log_goes_on(void **state)
{
    (void)state;
    OPEN();
    int count = fill_log();
    REFUSED("/more", "1");
    disk_memory_limit(world.disk, 0);
    SET("/more", "1");
    assert_false(alarm_is_on());
    check_filled(count);
    node_harness_recover(&world);
    check_filled(count);
    VALUE("/more", "1");
}

static void a_quiet_member_ends_the_alarm_by_itself(void **state)
{
    (void)state;
    OPEN();
    fill_log();
    assert_true(alarm_is_on());
    /* It looks now and then, and doesn't spin. */
    size_t looks = 0;
    int64_t end_ns = world.monotonic_ns + 10 * HARNESS_SECOND_NS;
    while (world.monotonic_ns < end_ns)
        looks += node_harness_next(&world, end_ns - world.monotonic_ns);
    assert_in_range(looks, 9, 12);
    disk_memory_limit(world.disk, 0);
    assert_true(node_harness_next(&world, 2 * HARNESS_SECOND_NS));
    assert_false(alarm_is_on());
    assert_int_equal(node_deadline_ms(world.node), INT64_MAX);
}

static void the_flush_makes_room_in_the_log(void **state)
{
    (void)state;
    OPEN();
    for (int i = 0; i < 30; i++)
        SET("/fill", large);
    assert_true(node_harness_segments(&world) > 3);
    int count = fill_log();
    REFUSED("/more", "1");
    FLUSH();
    SET("/more", "1");
    assert_false(alarm_is_on());
    node_harness_recover(&world);
    check_filled(count);
    VALUE("/more", "1");
}

static void an_expiry_without_room_is_tried_now_and_then(void **state)
{
    (void)state;
    OPEN();
    assert_int_equal(node_harness_set_ttl(&world, "/ttl", "1", 5), ERR_OK);
    int count = fill_log();
    /* What is left of the segment goes too. */
    enum err err = ERR_OK;
    for (int i = 0; err == ERR_OK && i < 10000; i++) {
        struct command publish = {
            .type = COMMAND_PUBLISH,
            .publish = {.member = 0xbb, .name = slice_str("name-of-it")}};
        struct harness_write *write = node_harness_send(&world, &publish, &err);
        assert_int_equal(node_run(world.node), ERR_OK);
        err = write->request.err;
        node_harness_forget(&world);
    }
    assert_int_equal(err, ERR_DISK_FULL);
    node_harness_sleep(&world, 5 * HARNESS_SECOND_NS);
    struct node_counters before;
    struct node_counters after;
    node_counters(world.node, &before);
    size_t looks = 0;
    int64_t end_ns = world.monotonic_ns + 10 * HARNESS_SECOND_NS;
    while (world.monotonic_ns < end_ns)
        looks += node_harness_next(&world, end_ns - world.monotonic_ns);
    assert_in_range(looks, 9, 12);
    node_counters(world.node, &after);
    assert_int_equal(after.leases_expired, before.leases_expired);
    VALUE("/ttl", "1");
    disk_memory_limit(world.disk, 0);
    assert_true(node_harness_next(&world, 2 * HARNESS_SECOND_NS));
    NOTHING("/ttl");
    assert_false(alarm_is_on());
    check_filled(count);
}

static void a_batch_without_room_is_refused_whole(void **state)
{
    (void)state;
    struct harness_write *writes[20];
    struct tree_command command = harness_set("/a", large);
    enum err err;
    OPEN();
    SET("/before", "1");
    disk_memory_limit(world.disk, disk_memory_used(world.disk));
    for (size_t i = 0; i < 20; i++)
        writes[i] = node_harness_submit(&world, &command, &err);
    assert_int_equal(node_run(world.node), ERR_OK);
    for (size_t i = 0; i < 20; i++) {
        assert_true(writes[i]->done);
        assert_int_equal(writes[i]->order, 2 + i);
        assert_int_equal(writes[i]->request.err, ERR_DISK_FULL);
    }
    NOTHING("/a");
    VALUE("/before", "1");
    struct node_counters counters;
    node_counters(world.node, &counters);
    assert_int_equal(counters.proposals_failed, 20);
    assert_int_equal(world.answered_calls, 2);
}

static void a_restart_on_a_full_disk_loses_nothing(void **state)
{
    (void)state;
    OPEN();
    int count = fill_log();
    disk_memory_limit(world.disk, disk_memory_used(world.disk));
    node_harness_crash(&world);
    enum err err = node_harness_open(&world);
    assert_true(err == ERR_OK || err == ERR_DISK_FULL);
    if (err == ERR_OK)
        node_harness_crash(&world);
    disk_memory_limit(world.disk, 0);
    OPEN();
    check_filled(count);
    SET("/more", "1");
}

/* ---- the store ----------------------------------------------------------- */

static void fail_flush(enum err err)
{
    bool more = true;
    kv_memory_fail_after(world.kv, 2, err);
    assert_int_equal(node_flush(world.node, &more), err);
    assert_false(more);
    assert_non_null(strstr(err_note(), "flush the store"));
}

static void a_full_store_refuses_until_a_flush_succeeds(enum err full)
{
    OPEN();
    SET("/a", "1");
    SET("/b", "2");
    fail_flush(full);
    assert_true(alarm_is_on());
    REFUSED("/c", "3");
    DELETE("/a");
    NOTHING("/a");
    fail_flush(full);
    assert_true(alarm_is_on());
    FLUSH();
    assert_false(alarm_is_on());
    SET("/c", "3");
    node_harness_recover(&world);
    NOTHING("/a");
    VALUE("/b", "2");
    VALUE("/c", "3");
}

static void a_full_disk_under_the_store(void **state)
{
    (void)state;
    a_full_store_refuses_until_a_flush_succeeds(ERR_DISK_FULL);
}

static void a_full_map_of_the_store(void **state)
{
    (void)state;
    a_full_store_refuses_until_a_flush_succeeds(ERR_NO_SPACE);
}

static void another_failure_of_the_flush_is_no_alarm(void **state)
{
    (void)state;
    OPEN();
    SET("/a", "1");
    fail_flush(ERR_IO);
    assert_false(alarm_is_on());
    /* The tail was kept. */
    VALUE("/a", "1");
    FLUSH();
    node_harness_recover(&world);
    assert_int_equal(world.commit_count, 0);
    VALUE("/a", "1");
}

static void a_failed_flush_keeps_the_log(void **state)
{
    (void)state;
    OPEN();
    for (int i = 0; i < 40; i++)
        SET("/a", large);
    size_t segments = node_harness_segments(&world);
    fail_flush(ERR_DISK_FULL);
    assert_int_equal(node_harness_run(&world), ERR_OK);
    assert_int_equal(node_harness_segments(&world), segments);
    node_harness_recover(&world);
    assert_int_equal(world.commit_count, 40);
    VALUE("/a", large);
}

/* ---- the quota ----------------------------------------------------------- */

static void go_over_quota(void)
{
    char key[32];
    world.config.quota_bytes = 20 * VALUE_BYTES;
    OPEN();
    for (int i = 0; i < 25; i++) {
        snprintf(key, sizeof key, "/k%d", i);
        SET(key, large);
    }
    FLUSH();
    assert_true(alarm_is_on());
}

static void compact(void)
{
    struct command command = {.type = COMMAND_COMPACT,
                              .compact = node_harness_revision(&world)};
    enum err err;
    struct harness_write *write = node_harness_send(&world, &command, &err);
    assert_int_equal(node_harness_run(&world), ERR_OK);
    assert_int_equal(write->request.err, ERR_OK);
}

static void over_quota_all_that_grows_is_refused(void **state)
{
    (void)state;
    static const struct {
        enum tree_op op;
        enum err err;
    } cases[] = {
        {TREE_SET, ERR_NO_SPACE},
        {TREE_CREATE, ERR_NO_SPACE},
        {TREE_UPDATE, ERR_NO_SPACE},
        {TREE_COMPARE_AND_SWAP, ERR_NO_SPACE},
        {TREE_CREATE_IN_ORDER, ERR_NO_SPACE},
        {TREE_COMPARE_AND_DELETE, ERR_OK},
        {TREE_DELETE, ERR_OK},
    };
    go_over_quota();
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct tree_command command = {
            .op = cases[i].op,
            .path = SLICE("/k1"),
            .value = SLICE("x"),
            .prev_value = SLICE("not that"),
        };
        enum err err;
        struct harness_write *write =
            node_harness_write(&world, &command, &err);
        assert_true(write->done);
        assert_int_equal(err, cases[i].err);
    }
    NOTHING("/k1");
    VALUE("/k2", large);
}

static void a_publication_passes_over_quota(void **state)
{
    (void)state;
    go_over_quota();
    node_harness_close(&world);
    world.config.name = "another";
    OPEN();
    struct arena arena;
    struct node_member member;
    arena_init(&arena, 0);
    assert_true(node_member(world.node, 0xa1, &arena, &member));
    assert_true(slice_eq(member.name, SLICE("another")));
    arena_deinit(&arena);
}

static void leases_end_over_quota(void **state)
{
    (void)state;
    world.config.quota_bytes = 0;
    OPEN();
    assert_int_equal(node_harness_set_ttl(&world, "/ttl", "1", 5), ERR_OK);
    node_harness_close(&world);
    go_over_quota();
    node_harness_sleep(&world, 5 * HARNESS_SECOND_NS);
    assert_int_equal(node_harness_run(&world), ERR_OK);
    NOTHING("/ttl");
}

static void deletes_and_a_compaction_end_the_alarm(void **state)
{
    (void)state;
    char key[32];
    go_over_quota();
    for (int i = 0; i < 20; i++) {
        snprintf(key, sizeof key, "/k%d", i);
        DELETE(key);
    }
    /* History still has them all. */
    FLUSH();
    assert_true(alarm_is_on());
    compact();
    FLUSH();
    assert_false(alarm_is_on());
    SET("/more", large);
    NOTHING("/k0");
    VALUE("/k24", large);
}

static void the_alarm_does_not_flutter(void **state)
{
    (void)state;
    go_over_quota();
    struct kv_stat stat;
    /* Down to 95 to 100 of 100: still on. */
    for (int i = 0; i < 25; i++) {
        char key[32];
        world.kv->ops->stat(world.kv, &stat);
        uint64_t quota = world.config.quota_bytes;
        assert_int_equal(alarm_is_on(), stat.in_use_bytes >= quota / 20 * 19);
        if (!alarm_is_on())
            return;
        snprintf(key, sizeof key, "/k%d", i);
        DELETE(key);
        compact();
        FLUSH();
    }
    fail();
}

static void a_restart_knows_of_the_quota_at_once(void **state)
{
    (void)state;
    go_over_quota();
    node_harness_restart(&world);
    assert_true(alarm_is_on());
    REFUSED("/more", "1");
    node_harness_close(&world);
    /* A greater one is the way out too. */
    world.config.quota_bytes *= 2;
    OPEN();
    assert_false(alarm_is_on());
    SET("/more", "1");
}

static void without_a_quota_there_is_no_alarm(void **state)
{
    (void)state;
    OPEN();
    for (int i = 0; i < 100; i++)
        SET("/a", large);
    FLUSH();
    assert_false(alarm_is_on());
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        STORY(a_full_log_refuses_and_lets_deletes_pass),
        STORY(with_room_again_the_log_goes_on),
        STORY(a_quiet_member_ends_the_alarm_by_itself),
        STORY(the_flush_makes_room_in_the_log),
        STORY(an_expiry_without_room_is_tried_now_and_then),
        STORY(a_batch_without_room_is_refused_whole),
        STORY(a_restart_on_a_full_disk_loses_nothing),
        STORY(a_full_disk_under_the_store),
        STORY(a_full_map_of_the_store),
        STORY(another_failure_of_the_flush_is_no_alarm),
        STORY(a_failed_flush_keeps_the_log),
        STORY(over_quota_all_that_grows_is_refused),
        STORY(a_publication_passes_over_quota),
        STORY(leases_end_over_quota),
        STORY(deletes_and_a_compaction_end_the_alarm),
        STORY(the_alarm_does_not_flutter),
        STORY(a_restart_knows_of_the_quota_at_once),
        STORY(without_a_quota_there_is_no_alarm),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
