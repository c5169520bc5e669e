/* Writes: one and many, their answers, and the bounds on what waits. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>

#include "node/node_int.h"
#include "support/node_harness.h"

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
#define RUN() assert_int_equal(node_run(world.node), ERR_OK)
#define VALUE(key, value) \
    assert_string_equal(node_harness_get(&world, key), value)
#define NOTHING(key) assert_null(node_harness_get(&world, key))

static struct node_progress progress(void)
{
    struct node_progress progress;
    node_progress(world.node, &progress);
    return progress;
}

static struct node_counters counters(void)
{
    struct node_counters counters;
    node_counters(world.node, &counters);
    return counters;
}

static struct harness_write *submit(const char *key, const char *value)
{
    struct tree_command command = harness_set(key, value);
    enum err err;
    struct harness_write *write = node_harness_submit(&world, &command, &err);
    assert_int_equal(err, ERR_OK);
    return write;
}

/* ---- answers ------------------------------------------------------------- */

static void an_answer_says_what_came_of_it(void **state)
{
    (void)state;
    struct harness_write *write = submit("/a", "1");
    assert_false(write->done);
    NOTHING("/a");
    RUN();
    assert_true(write->done);
    assert_int_equal(write->request.err, ERR_OK);
    assert_int_equal(write->request.tree.error, TREE_NONE);
    assert_int_equal(write->request.tree.index, 2);
    assert_true(write->request.tree.created);
    assert_string_equal(write->request.tree.event.action, "set");
    assert_int_equal(write->request.tree.event.node.modified, 2);
    assert_int_equal(write->request.term, 1);
    assert_int_equal(write->request.index, progress().applied);
    VALUE("/a", "1");
}

static void a_refusal_of_the_trees_is_an_answer_too(void **state)
{
    (void)state;
    struct tree_command command = harness_delete("/nothing");
    enum err err;
    struct harness_write *write = node_harness_write(&world, &command, &err);
    assert_int_equal(err, ERR_OK);
    assert_int_equal(write->request.tree.error, TREE_KEY_NOT_FOUND);
    assert_int_equal(write->request.tree.index, 1);
    assert_true(
        slice_eq(tree_result_cause(&write->request.tree), SLICE("/nothing")));
    assert_int_equal(progress().revision, 1);
    assert_int_equal(world.commit_count, 0);
    /* It has its place in the log all the same. */
    assert_int_equal(write->request.index, progress().applied);
}

static void an_answer_outlives_the_store_that_gave_it(void **state)
{
    (void)state;
    struct harness_write *first = submit("/a", "old");
    RUN();
    struct harness_write *second = submit("/a", "new");
    RUN();
    node_harness_close(&world);
    assert_true(slice_eq(first->request.tree.event.node.value, SLICE("old")));
    assert_true(slice_eq(second->request.tree.event.node.value, SLICE("new")));
    assert_true(second->request.tree.event.has_prev);
    assert_true(slice_eq(second->request.tree.event.prev.value, SLICE("old")));
}

static void commands_of_all_types_pass(void **state)
{
    (void)state;
    enum err err;
    struct command publish = {
        .type = COMMAND_PUBLISH,
        .publish = {.member = 0xa1,
                    .name = SLICE("second"),
                    .client_urls = SLICE("http://second:2379")},
    };
    struct command compact = {.type = COMMAND_COMPACT, .compact = 2};
    int64_t none = 12345;
    struct command expire = {.type = COMMAND_EXPIRE,
                             .expire = {.leases = &none, .count = 1}};
    SET("/a", "1");
    SET("/a", "2");
    assert_non_null(node_harness_send(&world, &publish, &err));
    assert_non_null(node_harness_send(&world, &compact, &err));
    assert_non_null(node_harness_send(&world, &expire, &err));
    assert_int_equal(node_harness_run(&world), ERR_OK);
    for (struct harness_write *write = world.writes; write != NULL;
         write = write->next) {
        assert_true(write->done);
        assert_int_equal(write->request.err, ERR_OK);
    }
    struct arena arena;
    struct node_member member;
    arena_init(&arena, 0);
    assert_true(node_member(world.node, 0xa1, &arena, &member));
    assert_true(slice_eq(member.name, SLICE("second")));
    assert_true(slice_eq(member.client_urls, SLICE("http://second:2379")));
    arena_deinit(&arena);
    assert_int_equal(counters().compactions, 1);
    assert_int_equal(counters().leases_expired, 0); /* there was none */
}

/* ---- batches ------------------------------------------------------------- */

static void many_writes_are_one_sync(void **state)
{
    (void)state;
    char key[32];
    struct node_counters before = counters();
    uint64_t syncs = disk_memory_syncs(world.disk);
    for (int i = 0; i < 1000; i++) {
        snprintf(key, sizeof key, "/k%d", i);
        submit(key, "v");
    }
    assert_int_equal(progress().pending, 1000);
    assert_int_equal(world.submitted_calls, 1);
    RUN();
    struct node_counters after = counters();
    assert_int_equal(after.batches - before.batches, 1);
    assert_int_equal(after.wal_syncs - before.wal_syncs, 1);
    assert_int_equal(disk_memory_syncs(world.disk) - syncs, 1);
    assert_int_equal(after.proposals_applied - before.proposals_applied, 1000);
    assert_true(after.wal_bytes - before.wal_bytes > 1000 * 3);
    assert_int_equal(after.proposals_failed, 0);
    assert_int_equal(world.answered_calls, 1);
    assert_int_equal(world.commit_count, 1000);
    assert_int_equal(progress().pending, 0);
}

static void answers_come_in_the_order_of_the_submits(void **state)
{
    (void)state;
    struct harness_write *writes[600];
    char text[32];
    for (size_t i = 0; i < 600; i++) {
        snprintf(text, sizeof text, "%zu", i);
        writes[i] = submit("/a", text);
    }
    RUN();
    for (size_t i = 0; i < 600; i++) {
        assert_int_equal(writes[i]->order, i + 1);
        assert_int_equal(writes[i]->request.tree.index, (revision)i + 2);
        assert_int_equal(writes[i]->request.index,
                         writes[0]->request.index + i);
    }
    VALUE("/a", "599");
}

static void a_batch_is_bounded_and_the_rest_comes_next(void **state)
{
    (void)state;
    size_t count = LIMIT_BATCH_ENTRIES_MAX + 10;
    for (size_t i = 0; i < count; i++)
        submit("/a", "1");
    RUN();
    assert_int_equal(world.answers, LIMIT_BATCH_ENTRIES_MAX);
    assert_int_equal(progress().pending, 10);
    assert_int_equal(node_deadline_ms(world.node),
                     world.monotonic_ns / 1000000);
    /* Those that come meanwhile go behind them. */
    struct harness_write *late = submit("/a", "late");
    assert_int_equal(progress().pending, 11);
    RUN();
    assert_int_equal(world.answers, count);
    assert_false(late->done);
    RUN();
    assert_int_equal(late->order, count + 1);
    assert_int_equal(node_deadline_ms(world.node), INT64_MAX);
    VALUE("/a", "late");
}

static void a_batch_is_bounded_in_bytes(void **state)
{
    (void)state;
    size_t size = LIMIT_BATCH_BYTES_MAX / 4 + 1;
    char *value = mem_alloc(size + 1);
    memset(value, 'x', size);
    value[size] = 0;
    for (int i = 0; i < 6; i++)
        submit("/large", value);
    RUN();
    assert_int_equal(world.answers, 4);
    RUN();
    assert_int_equal(world.answers, 6);
    VALUE("/large", value);
    mem_free(value);
}

static void one_larger_than_a_batch_passes_alone(void **state)
{
    (void)state;
    size_t size = LIMIT_BATCH_BYTES_MAX + 100;
    char *value = mem_alloc(size + 1);
    memset(value, 'x', size);
    value[size] = 0;
    struct harness_write *large = submit("/large", value);
    struct harness_write *small = submit("/small", "1");
    RUN();
    assert_true(large->done);
    assert_false(small->done);
    RUN();
    assert_true(small->done);
    node_harness_recover(&world);
    VALUE("/large", value);
    mem_free(value);
}

static void a_run_with_nothing_to_do_writes_nothing(void **state)
{
    (void)state;
    SET("/a", "1");
    struct node_counters before = counters();
    uint64_t calls = disk_memory_calls(world.disk);
    size_t answered = world.answered_calls;
    for (int i = 0; i < 10; i++)
        RUN();
    struct node_counters after = counters();
    assert_int_equal(before.batches, after.batches);
    assert_int_equal(before.wal_syncs, after.wal_syncs);
    assert_int_equal(disk_memory_calls(world.disk), calls);
    assert_int_equal(world.answered_calls, answered);
    assert_int_equal(node_deadline_ms(world.node), INT64_MAX);
}

/* ---- bounds -------------------------------------------------------------- */

static void a_full_queue_refuses_and_takes_nothing(void **state)
{
    (void)state;
    for (size_t i = 0; i < LIMIT_PROPOSALS_MAX; i++)
        submit("/a", "1");
    assert_int_equal(progress().pending, LIMIT_PROPOSALS_MAX);
    struct tree_command command = harness_set("/b", "1");
    enum err err;
    assert_null(node_harness_submit(&world, &command, &err));
    assert_int_equal(err, ERR_FULL);
    assert_int_equal(node_harness_run(&world), ERR_OK);
    assert_int_equal(world.answers, LIMIT_PROPOSALS_MAX);
    NOTHING("/b");
    SET("/b", "1");
    VALUE("/b", "1");
}

/* Puts the node where the backend has much to do. */
static void get_behind(void)
{
    size_t left = NODE_UNFLUSHED_MAX - 2; /* three came with the opening */
    struct command command = {.type = COMMAND_COMPACT, .compact = 1};
    while (left > 0) {
        for (size_t i = 0; i < LIMIT_BATCH_ENTRIES_MAX && left > 0; i++) {
            enum err err;
            assert_non_null(node_harness_send(&world, &command, &err));
            left--;
        }
        RUN();
        node_harness_forget(&world);
    }
}

static void a_backend_that_is_behind_is_waited_for(void **state)
{
    (void)state;
    get_behind();
    size_t answers = world.answers;
    int64_t now_ms = world.monotonic_ns / 1000000;
    struct harness_write *write = submit("/a", "1");
    RUN();
    assert_false(write->done);
    assert_int_equal(progress().pending, 1);
    /* Nor does the writer spin meanwhile. */
    assert_true(node_deadline_ms(world.node) > now_ms + 10);
    assert_true(node_deadline_ms(world.node) < now_ms + 1000);
    /* What comes now stays in the queue, whose bound holds. */
    for (size_t i = 0; i < LIMIT_PROPOSALS_MAX; i++)
        submit("/a", "2");
    struct tree_command command = harness_set("/b", "1");
    enum err err;
    RUN();
    RUN();
    assert_null(node_harness_submit(&world, &command, &err));
    assert_int_equal(err, ERR_FULL);
    assert_int_equal(world.answers, answers);

    assert_int_equal(node_harness_flush(&world), ERR_OK);
    assert_int_equal(node_harness_run(&world), ERR_OK);
    assert_true(write->done);
    assert_int_equal(write->order, answers + 1);
    assert_int_equal(progress().pending, 0);
    VALUE("/a", "2");
}

static void what_waits_behind_the_backend_is_answered_by_close(void **state)
{
    (void)state;
    get_behind();
    struct harness_write *first = submit("/a", "1");
    RUN();
    struct harness_write *second = submit("/b", "1");
    node_harness_close(&world);
    assert_int_equal(first->request.err, ERR_STOPPED);
    assert_int_equal(second->request.err, ERR_STOPPED);
    assert_true(first->order < second->order);
    assert_int_equal(node_harness_open(&world), ERR_OK);
    NOTHING("/a");
}

/* ---- the end ------------------------------------------------------------- */

static void closing_answers_what_waits(void **state)
{
    (void)state;
    struct harness_write *writes[10];
    for (size_t i = 0; i < 10; i++)
        writes[i] = submit("/a", "1");
    node_harness_close(&world);
    for (size_t i = 0; i < 10; i++) {
        assert_true(writes[i]->done);
        assert_int_equal(writes[i]->order, i + 1);
        assert_int_equal(writes[i]->request.err, ERR_STOPPED);
    }
    assert_int_equal(world.answered_calls, 1);
    assert_int_equal(node_harness_open(&world), ERR_OK);
    NOTHING("/a");
}

static void closing_nothing_is_fine(void **state)
{
    (void)state;
    node_close(NULL);
}

static void a_broken_log_stops_the_member(void **state)
{
    (void)state;
    SET("/a", "1");
    struct harness_write *write = submit("/a", "2");
    struct harness_write *other = submit("/b", "2");
    disk_memory_fail_call(world.disk, 1, ERR_IO);
    assert_int_equal(node_run(world.node), ERR_IO);
    assert_non_null(strstr(err_note(), "write the log"));
    assert_int_equal(write->request.err, ERR_STOPPED);
    assert_int_equal(other->request.err, ERR_STOPPED);
    assert_int_equal(counters().proposals_failed, 2);
    VALUE("/a", "1");
    /* It goes on with nothing, and asks for nothing. */
    write = submit("/c", "3");
    assert_int_equal(node_run(world.node), ERR_STOPPED);
    assert_int_equal(node_deadline_ms(world.node), INT64_MAX);
    assert_false(write->done);
    node_harness_close(&world);
    assert_int_equal(write->request.err, ERR_STOPPED);
    assert_int_equal(node_harness_open(&world), ERR_OK);
    NOTHING("/c");
}

/* The previous value must be read from the kv file, which fails: the members
 * of a cluster would disagree if this one went on. */
static void a_store_that_cannot_be_read_stops_the_member(void **state)
{
    (void)state;
    for (int i = 0; i < 20; i++)
        SET("/a", "1");
    assert_int_equal(node_harness_flush(&world), ERR_OK);
    node_harness_restart(&world);
    struct harness_write *writes[3];
    writes[0] = submit("/first", "1");
    writes[1] = submit("/a", "2");
    writes[2] = submit("/last", "1");
    kv_memory_fail_after(world.kv, 1, ERR_CORRUPT);
    assert_int_equal(node_run(world.node), ERR_CORRUPT);
    assert_non_null(strstr(err_note(), "apply entries"));
    for (size_t i = 0; i < 3; i++)
        assert_int_equal(writes[i]->request.err, ERR_STOPPED);
    /* They were in the log: they may come to be. */
    node_harness_recover(&world);
    VALUE("/a", "2");
    VALUE("/last", "1");
}

static void a_command_that_nobody_knows_stops_the_member(void **state)
{
    (void)state;
    struct harness_write *write = submit("/a", "1");
    /* A later version's, say. */
    write->request.command->bytes[1] = 99;
    assert_int_equal(node_run(world.node), ERR_UNSUPPORTED);
    assert_int_equal(write->request.err, ERR_STOPPED);
}

static void counters_only_grow(void **state)
{
    (void)state;
    struct node_counters last = counters();
    char key[16];
    for (int i = 0; i < 50; i++) {
        snprintf(key, sizeof key, "/k%d", i % 7);
        SET(key, "v");
        if (i % 5 == 0)
            assert_int_equal(node_harness_flush(&world), ERR_OK);
        struct node_counters now = counters();
        const uint64_t *a = (const uint64_t *)&last;
        const uint64_t *b = (const uint64_t *)&now;
        for (size_t j = 0; j < sizeof now / sizeof *a; j++)
            assert_true(a[j] <= b[j]);
        assert_true(now.proposals_applied == last.proposals_applied + 1);
        last = now;
    }
    assert_int_equal(last.flushes, 11); /* one before there was a log */
    assert_int_equal(last.leader_changes, 1);
}

static void progress_follows(void **state)
{
    (void)state;
    struct node_progress before = progress();
    SET("/a", "1");
    SET("/b", "1");
    struct node_progress after = progress();
    assert_int_equal(after.revision, before.revision + 2);
    assert_int_equal(after.applied, before.applied + 2);
    assert_int_equal(after.committed, before.committed + 2);
    assert_int_equal(after.term, before.term);
    assert_int_equal(after.leader, before.leader);
    assert_int_equal(node_leases(world.node) != NULL, 1);
    assert_ptr_equal(node_lock(world.node), &world.lock);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        STORY(an_answer_says_what_came_of_it),
        STORY(a_refusal_of_the_trees_is_an_answer_too),
        STORY(an_answer_outlives_the_store_that_gave_it),
        STORY(commands_of_all_types_pass),
        STORY(many_writes_are_one_sync),
        STORY(answers_come_in_the_order_of_the_submits),
        STORY(a_batch_is_bounded_and_the_rest_comes_next),
        STORY(a_batch_is_bounded_in_bytes),
        STORY(one_larger_than_a_batch_passes_alone),
        STORY(a_run_with_nothing_to_do_writes_nothing),
        STORY(a_full_queue_refuses_and_takes_nothing),
        STORY(a_backend_that_is_behind_is_waited_for),
        STORY(what_waits_behind_the_backend_is_answered_by_close),
        STORY(closing_answers_what_waits),
        STORY(closing_nothing_is_fine),
        STORY(a_broken_log_stops_the_member),
        STORY(a_store_that_cannot_be_read_stops_the_member),
        STORY(a_command_that_nobody_knows_stops_the_member),
        STORY(counters_only_grow),
        STORY(progress_follows),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
