/* A member on a full disk ended with the next election: its vote, and the
 * empty entry of the leader that it became, found no room in the log, and
 * nobody can be told that these are not to be. Found by the simulator. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <stdio.h>
#include <cmocka.h>

#include "support/node_harness.h"

/* Small writes, so that what is left in the log is less than any needs. */
static int fill_log(struct node_harness *world)
{
    char key[32];
    disk_memory_limit(world->disk, disk_memory_used(world->disk));
    for (int i = 0; i < 10000; i++) {
        snprintf(key, sizeof key, "/%d", i);
        enum err err = node_harness_set(world, key, "x");
        if (err != ERR_OK) {
            assert_int_equal(err, ERR_DISK_FULL);
            return i;
        }
    }
    fail();
    return 0;
}

static raft_term term_of(const struct node_harness *world)
{
    struct raft_status status;
    raft_status(node_raft(world->node), &status);
    return status.term;
}

static void a_full_disk_survives_elections(void **state)
{
    struct node_harness world;
    (void)state;
    node_harness_init(&world, 1);
    assert_int_equal(node_harness_open(&world), ERR_OK);
    int count = fill_log(&world);
    assert_true(count > 100);
    /* Each start of a member that is alone is an election. */
    for (int i = 0; i < 25; i++) {
        raft_term before = term_of(&world);
        if (i % 2 == 0)
            node_harness_crash(&world);
        else
            node_harness_close(&world);
        assert_int_equal(node_harness_open(&world), ERR_OK);
        assert_int_equal(node_harness_run(&world), ERR_OK);
        assert_true(term_of(&world) > before);
        assert_string_equal(node_harness_get(&world, "/0"), "x");
    }
    disk_memory_limit(world.disk, 0);
    node_harness_sleep(&world, 2 * HARNESS_SECOND_NS);
    assert_int_equal(node_harness_run(&world), ERR_OK);
    assert_int_equal(node_harness_set(&world, "/more", "1"), ERR_OK);
    node_harness_recover(&world);
    assert_string_equal(node_harness_get(&world, "/more"), "1");
    node_harness_deinit(&world);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_full_disk_survives_elections),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
