/* The file under the store fails: who asked is told so, and nothing has
 * happened. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "memory/kv_memory.h"
#include "support/tree_world.h"

static struct tree_world world;

static int open_world(void **state)
{
    (void)state;
    tree_world_open(&world);
    tree_world_do(&world, "set /f =1 ttl=3");
    tree_world_do(&world, "set /d/a/b =1");
    tree_world_do(&world, "update /d ttl=4");
    tree_world_put(&world, "/i/j", "v");
    tree_world_flush(&world);
    return 0;
}

static int close_world(void **state)
{
    (void)state;
    tree_world_close(&world);
    return 0;
}

/* Fails each call to the file in turn, until there are no more. */
static void write_until_it_works(const struct tree_command *command)
{
    for (uint64_t nth = 1;; nth++) {
        struct tree_result result;
        struct mvcc_commit *commit;
        revision before = tree_world_revision(&world);
        size_t leases = lease_count(world.leases);
        kv_memory_fail_after(world.kv, nth, ERR_IO);
        mvcc_read_begin(world.reader);
        enum err err =
            tree_write(&world.tree, command, world.now_ns, &result, &commit);
        mvcc_read_end(world.reader);
        kv_memory_fail_after(world.kv, 0, ERR_OK);
        if (err == ERR_OK) {
            assert_int_equal(result.error, TREE_NONE);
            assert_true(nth > 1);
            tree_result_deinit(&result);
            mvcc_commit_unref(commit);
            tree_world_flush(&world);
            return;
        }
        assert_int_equal(err, ERR_IO);
        assert_null(commit);
        assert_int_equal(tree_world_revision(&world), before);
        assert_int_equal(lease_count(world.leases), leases);
        tree_result_deinit(&result);
    }
}

static void a_write_that_cannot_read(void **state)
{
    (void)state;
    struct tree_command command = {
        .op = TREE_SET, .path = SLICE("/f"), .value = SLICE("2")};
    write_until_it_works(&command);
    command.op = TREE_COMPARE_AND_SWAP;
    write_until_it_works(&command);
    command.op = TREE_UPDATE;
    command.path = SLICE("/d");
    command.value = SLICE("");
    write_until_it_works(&command);
    command.op = TREE_DELETE;
    command.recursive = true;
    write_until_it_works(&command);
    command.op = TREE_COMPARE_AND_DELETE;
    command.path = SLICE("/i/j");
    write_until_it_works(&command);
}

static void an_expiry_that_cannot_read(void **state)
{
    (void)state;
    lease_id id = 0;
    int64_t expire_ns = 0;
    world.now_ns += 10 * TREE_WORLD_SECOND_NS;
    assert_true(lease_next(world.leases, &id, &expire_ns));
    kv_memory_fail_after(world.kv, 1, ERR_IO);
    mvcc_read_begin(world.reader);
    assert_int_equal(tree_expire(&world.tree, id, world.now_ns, NULL, NULL),
                     ERR_IO);
    mvcc_read_end(world.reader);
    assert_int_equal(lease_count(world.leases), 2);
    assert_int_equal(tree_world_expire(&world), 2);
    assert_string_equal(tree_world_list(&world, "/"), "i//");
}

static void reads_that_fail(void **state)
{
    (void)state;
    kv_memory_fail_after(world.kv, 1, ERR_IO);
    assert_string_equal(tree_world_get(&world, "/f"), "IO");
    kv_memory_fail_after(world.kv, 1, ERR_CORRUPT);
    assert_string_equal(tree_world_get(&world, "/d"), "CORRUPT");
    kv_memory_fail_after(world.kv, 1, ERR_IO);
    assert_string_equal(tree_world_list(&world, "/"), "IO");
    kv_memory_fail_after(world.kv, 2, ERR_IO);
    assert_string_equal(tree_world_list(&world, "/"), "IO");
    kv_memory_fail_after(world.kv, 0, ERR_OK);
    assert_string_equal(tree_world_list(&world, "/"), "d/ f i//");
}

static void an_event_that_cannot_be_read(void **state)
{
    (void)state;
    struct tree_event event;
    struct rev rev;
    bool told = true;
    struct record record;
    tree_world_do(&world, "delete /d recursive");
    record = world.commit->records[world.commit->count - 1];
    kv_memory_fail_after(world.kv, 1, ERR_IO);
    mvcc_read_begin(world.reader);
    assert_int_equal(tree_event(world.reader, &record, world.commit, SLICE("/"),
                                &event, &rev, &told),
                     ERR_IO);
    mvcc_read_end(world.reader);
    assert_false(told);
    tree_world_flush(&world);
    kv_memory_fail_after(world.kv, 1, ERR_IO);
    mvcc_read_begin(world.reader);
    assert_int_equal(tree_event(world.reader, &record, NULL, SLICE("/"), &event,
                                &rev, &told),
                     ERR_IO);
    mvcc_read_end(world.reader);
    assert_false(told);
}

/* A store that was just opened, whose leases nobody asked for yet. */
static void open_anew(void)
{
    struct mvcc_config config = {.kv = world.kv, .seed = 7};
    mvcc_reader_free(world.reader);
    mvcc_close(world.mvcc);
    lease_table_free(world.leases);
    assert_int_equal(mvcc_open(&config, &world.mvcc), ERR_OK);
    assert_int_equal(mvcc_reader_new(world.mvcc, &world.reader), ERR_OK);
    world.leases = lease_table_new();
    world.tree = (struct tree){
        .mvcc = world.mvcc, .reader = world.reader, .leases = world.leases};
}

static void leases_that_cannot_be_restored(void **state)
{
    (void)state;
    for (uint64_t nth = 1; nth < 4; nth++) {
        open_anew();
        kv_memory_fail_after(world.kv, nth, ERR_IO);
        mvcc_read_begin(world.reader);
        assert_int_equal(tree_restore_leases(&world.tree), ERR_IO);
        mvcc_read_end(world.reader);
        kv_memory_fail_after(world.kv, 0, ERR_OK);
    }
    tree_world_reopen(&world);
    assert_int_equal(lease_count(world.leases), 2);
}

#define STORY(name) \
    cmocka_unit_test_setup_teardown(name, open_world, close_world)

int main(void)
{
    const struct CMUnitTest tests[] = {
        STORY(a_write_that_cannot_read),
        STORY(an_expiry_that_cannot_read),
        STORY(reads_that_fail),
        STORY(an_event_that_cannot_be_read),
        STORY(leases_that_cannot_be_restored),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
