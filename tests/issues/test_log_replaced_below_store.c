/* A follower's log was cut below what its store would come to, by entries of
 * a new leader, and the store was flushed before the log had grown beyond the
 * old entries again. The next start found the old ones above the store's last,
 * took them for what is to be applied, and refused ("term or time falls").
 * Found by the simulator.
 *
 *     of the old term   1 ----------------------------- stored + 2
 *     of the new one         from ---------- to
 *     the store         1 ------------- stored
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <stdio.h>
#include <cmocka.h>

#include "support/node_harness.h"
#include "wal/wal.h"

enum { OLD_TERM = 1, VALUES = 10 };

struct story {
    struct node_harness world;
    raft_index stored; /* the last entry that the store has */
    raft_term term;    /* of it */
};

static raft_term term_of(const struct node_harness *world)
{
    struct raft_status status;
    raft_status(node_raft(world->node), &status);
    return status.term;
}

static void remove_log(struct disk_memory *memory)
{
    struct disk *disk = disk_memory_door(memory);
    size_t at = 0;
    for (const char *name; (name = disk_memory_name(memory, at)) != NULL;) {
        char copy[DISK_NAME_BYTES_MAX];
        if (strstr(name, ".wal") == NULL) {
            at++;
            continue;
        }
        snprintf(copy, sizeof copy, "%s", name);
        assert_int_equal(disk->ops->remove(disk, copy), ERR_OK);
    }
    assert_int_equal(disk->ops->sync_names(disk), ERR_OK);
}

/* A store with some values, of a later term than the first, and no log. */
static void story_begin(struct story *story)
{
    struct node_harness *world = &story->world;
    char key[32];
    node_harness_init(world, 1);
    assert_int_equal(node_harness_open(world), ERR_OK);
    assert_int_equal(node_harness_run(world), ERR_OK);
    node_harness_restart(world);
    for (int i = 0; i < VALUES; i++) {
        snprintf(key, sizeof key, "/%d", i);
        assert_int_equal(node_harness_set(world, key, "x"), ERR_OK);
    }
    assert_int_equal(node_harness_flush(world), ERR_OK);
    story->stored = node_harness_flushed(world);
    story->term = term_of(world);
    assert_true(story->stored > VALUES);
    assert_true(story->term > OLD_TERM);
    node_harness_close(world);
    remove_log(world->disk);
}

static void append(struct wal *wal, const struct raft_hard_state *hard,
                   raft_index from, raft_index to, raft_term term)
{
    for (raft_index index = from; index <= to; index++) {
        struct raft_entry entry = {
            .type = RAFT_ENTRY_EMPTY, .term = term, .index = index};
        const struct raft_entry *entries[] = {&entry};
        assert_int_equal(wal_append(wal, hard, entries, 1), ERR_OK);
        assert_int_equal(wal_sync(wal), ERR_OK);
    }
}

static void write_log(struct story *story, raft_index from, raft_index to)
{
    struct raft_hard_state before = {.term = OLD_TERM};
    struct raft_hard_state after = {.term = story->term,
                                    .commit = story->stored};
    struct wal_config config = {
        .disk = disk_memory_door(story->world.disk),
        .cluster_id = story->world.config.cluster_id,
        .member_id = story->world.config.member_id,
        .segment_bytes = story->world.config.wal_segment_bytes,
    };
    struct wal *wal;
    assert_int_equal(wal_create(&config, &wal), ERR_OK);
    append(wal, &before, 1, story->stored + 2, OLD_TERM);
    append(wal, &after, from, to, story->term);
    wal_close(wal);
}

static void assert_goes_on(struct story *story)
{
    struct node_harness *world = &story->world;
    for (int i = 0; i < 3; i++) {
        assert_int_equal(node_harness_open(world), ERR_OK);
        assert_int_equal(node_harness_run(world), ERR_OK);
        assert_string_equal(node_harness_get(world, "/0"), "x");
        assert_string_equal(node_harness_get(world, "/9"), "x");
        assert_int_equal(node_harness_set(world, "/more", "1"), ERR_OK);
        node_harness_crash(world);
    }
    assert_int_equal(node_harness_open(world), ERR_OK);
    assert_string_equal(node_harness_get(world, "/more"), "1");
}

/* Whatever is replaced, up to the store's last entry or beyond it. */
static void a_log_that_was_replaced_below_the_store_starts(void **state)
{
    (void)state;
    for (raft_index below = 0; below < 6; below++) {
        for (raft_index above = 0; above < 5; above++) {
            struct story story;
            story_begin(&story);
            write_log(&story, story.stored - below, story.stored + above);
            assert_goes_on(&story);
            node_harness_deinit(&story.world);
        }
    }
}

/* One that ends below the store is still another's, or an older one. */
static void a_log_that_ends_below_the_store_is_refused(void **state)
{
    (void)state;
    struct story story;
    story_begin(&story);
    write_log(&story, story.stored - 3, story.stored - 1);
    assert_int_equal(node_harness_open(&story.world), ERR_CORRUPT);
    node_harness_deinit(&story.world);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_log_that_was_replaced_below_the_store_starts),
        cmocka_unit_test(a_log_that_ends_below_the_store_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
