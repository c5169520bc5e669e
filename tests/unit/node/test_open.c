/* Opening: new, again, after a flush, after a crash. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "support/node_harness.h"

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
#define FLUSH() assert_int_equal(node_harness_flush(&world), ERR_OK)
#define VALUE(key, value) \
    assert_string_equal(node_harness_get(&world, key), value)
#define NOTHING(key) assert_null(node_harness_get(&world, key))

static struct node_progress progress(void)
{
    struct node_progress progress;
    node_progress(world.node, &progress);
    return progress;
}

static void a_new_member_leads_and_is_empty(void **state)
{
    (void)state;
    OPEN();
    struct node_progress now = progress();
    assert_int_equal(now.cluster_id, 0xc1);
    assert_int_equal(now.member_id, 0xa1);
    assert_int_equal(now.leader, 0xa1);
    assert_int_equal(now.role, RAFT_LEADER);
    assert_int_equal(now.term, 1);
    assert_int_equal(now.revision, 1);
    assert_int_equal(now.applied, now.committed);
    assert_int_equal(now.leader_since_ns, HARNESS_START_NS);
    assert_int_equal(now.pending, 0);
    assert_false(now.no_space);
    assert_int_equal(world.commit_count, 0);
    NOTHING("/a");
}

static void what_is_written_is_read_back(void **state)
{
    (void)state;
    OPEN();
    SET("/a", "1");
    SET("/dir/b", "2");
    VALUE("/a", "1");
    VALUE("/dir/b", "2");
    SET("/a", "3");
    VALUE("/a", "3");
    assert_int_equal(node_harness_delete(&world, "/dir/b"), ERR_OK);
    NOTHING("/dir/b");
    assert_string_equal(node_harness_get_at(&world, "/dir/b", 4), "2");
    assert_int_equal(progress().revision, node_harness_revision(&world));
}

static void a_crash_loses_nothing_that_was_answered(void **state)
{
    (void)state;
    OPEN();
    SET("/a", "1");
    SET("/b", "2");
    raft_index applied = progress().applied;
    revision before = progress().revision;
    node_harness_recover(&world);
    /* The two came out of the log again. */
    assert_int_equal(world.commit_count, 2);
    assert_int_equal(world.commit_last, before);
    VALUE("/a", "1");
    VALUE("/b", "2");
    assert_int_equal(progress().revision, before);
    assert_true(progress().applied > applied);
    assert_int_equal(progress().term, 2);
}

static void after_a_flush_nothing_is_applied_again(void **state)
{
    (void)state;
    OPEN();
    SET("/a", "1");
    SET("/b", "2");
    FLUSH();
    assert_int_equal(node_harness_flushed(&world), progress().applied);
    node_harness_recover(&world);
    assert_int_equal(world.commit_count, 0);
    VALUE("/a", "1");
    VALUE("/b", "2");
}

static void only_what_the_store_lacks_is_applied_again(void **state)
{
    (void)state;
    OPEN();
    SET("/a", "1");
    SET("/b", "2");
    FLUSH();
    SET("/c", "3");
    node_harness_recover(&world);
    assert_int_equal(world.commit_count, 1);
    assert_int_equal(world.commit_first, 4);
    VALUE("/a", "1");
    VALUE("/c", "3");
}

static void closing_flushes(void **state)
{
    (void)state;
    OPEN();
    SET("/a", "1");
    node_harness_restart(&world);
    assert_int_equal(world.commit_count, 0);
    VALUE("/a", "1");
}

static void a_flush_of_one_commit_at_a_time_comes_to_its_end(void **state)
{
    (void)state;
    bool more = true;
    world.config.flush_revisions = 1;
    OPEN();
    SET("/a", "1");
    SET("/b", "2");
    SET("/c", "3");
    size_t flushes = 0;
    for (; more; flushes++)
        assert_int_equal(node_flush(world.node, &more), ERR_OK);
    assert_true(flushes >= 3);
    assert_true(flushes < 10);
    node_harness_recover(&world);
    assert_int_equal(world.commit_count, 0);
    VALUE("/c", "3");
}

static void with_nothing_to_flush_there_is_no_more(void **state)
{
    (void)state;
    bool more = true;
    OPEN();
    FLUSH();
    uint64_t calls = kv_memory_calls(world.kv);
    assert_int_equal(node_flush(world.node, &more), ERR_OK);
    assert_false(more);
    assert_int_equal(kv_memory_calls(world.kv), calls);
}

/* The backend looks at the clock when it has its cut: time for a write. */
static int64_t write_when_asked(struct clock *clock)
{
    (void)clock;
    static bool within;
    if (!within) {
        within = true;
        SET("/late", "1");
        within = false;
    }
    return world.monotonic_ns;
}

/* Else a flush under a steady load would never come to its end. */
static void what_comes_after_the_cut_is_not_more(void **state)
{
    (void)state;
    bool more = true;
    OPEN();
    SET("/a", "1");
    world.clock.monotonic_ns = write_when_asked;
    assert_int_equal(node_flush(world.node, &more), ERR_OK);
    assert_false(more);
    VALUE("/late", "1");
    assert_true(node_harness_flushed(&world) < progress().applied);
    assert_int_equal(node_flush(world.node, &more), ERR_OK);
}

static void the_backend_is_woken_once_for_each_flush(void **state)
{
    (void)state;
    world.config.flush_revisions = 10;
    OPEN();
    for (int i = 0; i < 30; i++)
        SET("/a", "1");
    assert_int_equal(world.flush_due_calls, 1);
    FLUSH();
    for (int i = 0; i < 30; i++)
        SET("/a", "1");
    assert_int_equal(world.flush_due_calls, 2);
}

static void a_long_log_wakes_the_backend_on_opening(void **state)
{
    (void)state;
    OPEN();
    for (int i = 0; i < 20; i++)
        SET("/a", "1");
    world.config.flush_revisions = 10;
    node_harness_recover(&world);
    assert_int_equal(world.flush_due_calls, 1);
    assert_int_equal(world.commit_count, 20);
}

static void the_log_is_trimmed_behind_the_store(void **state)
{
    (void)state;
    char value[8 * 1024];
    memset(value, 'v', sizeof value);
    value[sizeof value - 1] = 0;
    OPEN();
    for (int i = 0; i < 40; i++)
        SET("/a", value);
    size_t before = node_harness_segments(&world);
    assert_true(before > 4);
    FLUSH();
    assert_int_equal(node_harness_segments(&world), before);
    assert_int_equal(node_harness_run(&world), ERR_OK);
    assert_int_equal(node_harness_segments(&world), 1);
    node_harness_recover(&world);
    VALUE("/a", value);
    assert_int_equal(world.commit_count, 0);
    SET("/a", "1");
    node_harness_recover(&world);
    VALUE("/a", "1");
}

static void the_name_is_published_once_and_kept(void **state)
{
    (void)state;
    struct arena arena;
    struct node_member member;
    arena_init(&arena, 0);
    OPEN();
    raft_index applied = progress().applied;
    assert_true(node_member(world.node, 0xa1, &arena, &member));
    assert_true(slice_eq(member.name, SLICE("infra1")));
    assert_true(slice_eq(member.client_urls, SLICE("http://localhost:2379")));
    assert_false(node_member(world.node, 0xa2, &arena, &member));
    /* A new leader's empty entry, and no publication. */
    node_harness_restart(&world);
    assert_int_equal(progress().applied, applied + 1);
    node_harness_recover(&world);
    assert_int_equal(progress().applied, applied + 2);
    assert_true(node_member(world.node, 0xa1, &arena, &member));
    assert_true(slice_eq(member.name, SLICE("infra1")));
    arena_deinit(&arena);
}

static void a_new_name_is_published_anew(void **state)
{
    (void)state;
    struct arena arena;
    struct node_member member;
    arena_init(&arena, 0);
    OPEN();
    SET("/a", "1");
    node_harness_close(&world);
    world.config.name = "";
    world.config.client_urls = "http://a:1,http://b:2";
    OPEN();
    assert_true(node_member(world.node, 0xa1, &arena, &member));
    assert_int_equal(member.name.size, 0);
    assert_true(slice_eq(member.client_urls, SLICE("http://a:1,http://b:2")));
    /* That is no change of the store's that anybody sees. */
    assert_int_equal(progress().revision, 2);
    node_harness_recover(&world);
    assert_true(node_member(world.node, 0xa1, &arena, &member));
    assert_true(slice_eq(member.client_urls, SLICE("http://a:1,http://b:2")));
    arena_deinit(&arena);
}

static void each_start_is_a_term(void **state)
{
    (void)state;
    OPEN();
    for (raft_term term = 2; term < 6; term++) {
        node_harness_recover(&world);
        assert_int_equal(progress().term, term);
        node_harness_restart(&world);
        assert_int_equal(progress().term, ++term);
    }
}

static void a_write_that_crashed_on_its_way_is_whole_or_not_there(void **state)
{
    (void)state;
    OPEN();
    SET("/a", "old");
    /* The sync of the log fails: what was written then, nobody knows. */
    struct tree_command command = harness_set("/a", "new");
    enum err err;
    struct harness_write *write = node_harness_submit(&world, &command, &err);
    assert_non_null(write);
    disk_memory_fail_call(world.disk, 2, ERR_IO);
    assert_int_equal(node_run(world.node), ERR_IO);
    assert_non_null(strstr(err_note(), "write the log"));
    assert_true(write->done);
    assert_int_equal(write->request.err, ERR_STOPPED);
    node_harness_recover(&world);
    const char *value = node_harness_get(&world, "/a");
    assert_true(strcmp(value, "old") == 0 || strcmp(value, "new") == 0);
}

static void the_time_goes_on_from_the_newest_entry(void **state)
{
    (void)state;
    OPEN();
    SET("/a", "1");
    node_harness_crash(&world);
    node_harness_jump(&world, -3600 * HARNESS_SECOND_NS);
    OPEN();
    SET("/a", "2");
    node_harness_crash(&world);
    OPEN();
    SET("/a", "3");
    VALUE("/a", "3");
    struct mvcc_status status;
    mvcc_status(node_mvcc(world.node), &status);
    assert_true(status.time_ns >= HARNESS_START_NS);
    assert_true(status.time_ns < HARNESS_START_NS + HARNESS_SECOND_NS);
}

static void a_full_disk_is_an_answer_to_a_new_member(void **state)
{
    (void)state;
    disk_memory_limit(world.disk, 1000);
    assert_int_equal(node_harness_open(&world), ERR_DISK_FULL);
    assert_non_null(strstr(err_note(), "create the log"));
    disk_memory_limit(world.disk, 0);
    OPEN();
    SET("/a", "1");
    VALUE("/a", "1");
}

static void a_store_that_cannot_be_read_stops_the_opening(void **state)
{
    (void)state;
    OPEN();
    SET("/a", "1");
    node_harness_close(&world);
    kv_memory_fail_after(world.kv, 1, ERR_IO);
    assert_int_equal(node_harness_open(&world), ERR_IO);
    assert_non_null(strstr(err_note(), "open the store"));
    OPEN();
    VALUE("/a", "1");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        STORY(a_new_member_leads_and_is_empty),
        STORY(what_is_written_is_read_back),
        STORY(a_crash_loses_nothing_that_was_answered),
        STORY(after_a_flush_nothing_is_applied_again),
        STORY(only_what_the_store_lacks_is_applied_again),
        STORY(closing_flushes),
        STORY(a_flush_of_one_commit_at_a_time_comes_to_its_end),
        STORY(with_nothing_to_flush_there_is_no_more),
        STORY(what_comes_after_the_cut_is_not_more),
        STORY(the_backend_is_woken_once_for_each_flush),
        STORY(a_long_log_wakes_the_backend_on_opening),
        STORY(the_log_is_trimmed_behind_the_store),
        STORY(the_name_is_published_once_and_kept),
        STORY(a_new_name_is_published_anew),
        STORY(each_start_is_a_term),
        STORY(a_write_that_crashed_on_its_way_is_whole_or_not_there),
        STORY(the_time_goes_on_from_the_newest_entry),
        STORY(a_full_disk_is_an_answer_to_a_new_member),
        STORY(a_store_that_cannot_be_read_stops_the_opening),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
