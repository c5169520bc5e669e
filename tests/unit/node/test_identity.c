/* The store and the log: whether they are of one member, and of one time. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>

#include "base/mem.h"
#include "node/node_int.h"
#include "support/node_harness.h"

/* Two members of two clusters. */
static struct node_harness one;
static struct node_harness other;

static int begin(void **state)
{
    (void)state;
    node_harness_init(&one, 1);
    node_harness_init(&other, 2);
    other.config.cluster_id = 0xc2;
    other.config.member_id = 0xa2;
    return 0;
}

static int end(void **state)
{
    (void)state;
    node_harness_deinit(&one);
    node_harness_deinit(&other);
    return 0;
}

#define STORY(name) cmocka_unit_test_setup_teardown(name, begin, end)
#define OPEN(world) assert_int_equal(node_harness_open(world), ERR_OK)
#define FAILS(world, err) assert_int_equal(node_harness_open(world), err)
#define NOTE(text) assert_non_null(strstr(err_note(), text))
#define SET(world, key, value) \
    assert_int_equal(node_harness_set(world, key, value), ERR_OK)
#define FLUSH(world) assert_int_equal(node_harness_flush(world), ERR_OK)
#define VALUE(world, key, value) \
    assert_string_equal(node_harness_get(world, key), value)

/* ---- copies, as somebody makes them who puts files back ------------------ */

static void copy_table(struct kv *from, struct kv *to, kv_table table)
{
    struct kv_txn *read;
    struct kv_txn *write;
    struct kv_cursor *cursor;
    struct slice key;
    struct slice value;
    assert_int_equal(from->ops->begin_read(from, &read), ERR_OK);
    assert_int_equal(to->ops->begin_write(to, &write), ERR_OK);
    assert_int_equal(from->ops->cursor_open(from, read, table, &cursor),
                     ERR_OK);
    while (from->ops->cursor_next(from, cursor, &key, &value) == ERR_OK)
        assert_int_equal(to->ops->put(to, write, table, key, value), ERR_OK);
    from->ops->cursor_close(from, cursor);
    from->ops->end_read(from, read);
    assert_int_equal(to->ops->commit(to, write), ERR_OK);
}

static struct kv *copy_of_kv(struct kv *from)
{
    struct kv *to = kv_memory_new();
    for (kv_table table = 0; table < KV_TABLES_MAX; table++)
        copy_table(from, to, table);
    return to;
}

static struct disk_memory *copy_of_disk(const struct disk_memory *from)
{
    struct disk_memory *to = disk_memory_new(9);
    const char *name;
    for (size_t i = 0; (name = disk_memory_name(from, i)) != NULL; i++)
        disk_memory_put(to, name, disk_memory_bytes(from, name));
    return to;
}

static void put_back_kv(struct node_harness *world, struct kv *kv)
{
    kv_memory_free(world->kv);
    world->kv = kv;
}

static void put_back_disk(struct node_harness *world, struct disk_memory *disk)
{
    disk_memory_free(world->disk);
    world->disk = disk;
}

static void remove_file(struct node_harness *world, const char *name)
{
    struct disk *disk = disk_memory_door(world->disk);
    assert_int_equal(disk->ops->remove(disk, name), ERR_OK);
    assert_int_equal(disk->ops->sync_names(disk), ERR_OK);
}

static void remove_segments(struct node_harness *world)
{
    for (size_t i = 0; disk_memory_name(world->disk, i) != NULL;) {
        char name[DISK_NAME_BYTES_MAX];
        snprintf(name, sizeof name, "%s", disk_memory_name(world->disk, i));
        if (strstr(name, ".wal") == NULL)
            i++;
        else
            remove_file(world, name);
    }
}

static void fill(struct node_harness *world, int count)
{
    char value[8 * 1024];
    memset(value, 'v', sizeof value);
    value[sizeof value - 1] = 0;
    for (int i = 0; i < count; i++)
        SET(world, "/fill", value);
}

/* ---- whose --------------------------------------------------------------- */

static void data_keeps_the_ids_that_it_has(void **state)
{
    (void)state;
    struct node_progress progress;
    OPEN(&one);
    node_harness_close(&one);
    one.config.cluster_id = 0xc7;
    one.config.member_id = 0xa7;
    OPEN(&one);
    node_progress(one.node, &progress);
    assert_int_equal(progress.cluster_id, 0xc1);
    assert_int_equal(progress.member_id, 0xa1);
    assert_int_equal(progress.leader, 0xa1);
}

static void another_members_store_is_refused(void **state)
{
    (void)state;
    OPEN(&one);
    OPEN(&other);
    SET(&one, "/a", "1");
    SET(&other, "/a", "2");
    node_harness_close(&one);
    node_harness_close(&other);
    struct kv *kv = one.kv;
    one.kv = other.kv;
    other.kv = kv;
    FAILS(&one, ERR_WRONG_CLUSTER);
    NOTE("the store belongs to another cluster or member");
    FAILS(&other, ERR_WRONG_CLUSTER);
    /* Nothing was changed by that. */
    kv = one.kv;
    one.kv = other.kv;
    other.kv = kv;
    OPEN(&one);
    VALUE(&one, "/a", "1");
    OPEN(&other);
    VALUE(&other, "/a", "2");
}

/* A store may have come from another member as a snapshot, so its member is
 * not in it; but whose log goes on elsewhere is told all the same. */
static void
a_store_of_the_cluster_that_is_ahead_of_the_log_is_refused(void **state)
{
    (void)state;
    other.config.cluster_id = 0xc1;
    OPEN(&one);
    OPEN(&other);
    SET(&other, "/a", "1");
    node_harness_close(&one);
    node_harness_close(&other);
    struct kv *kv = one.kv;
    one.kv = other.kv;
    other.kv = kv;
    FAILS(&one, ERR_CORRUPT);
    NOTE("the log ends before entry");
}

static void put_identity(struct node_harness *world, struct slice value)
{
    struct snap_set *set;
    struct mvcc *mvcc;
    assert_int_equal(snap_set_open(world->kv, &set), ERR_OK);
    struct mvcc_config config = {.kv = snap_set_kv(set)};
    assert_int_equal(mvcc_open(&config, &mvcc), ERR_OK);
    mvcc_meta_put(mvcc, SLICE("identity"), value);
    mvcc_meta_put(mvcc, SLICE("membership"), slice_of(NULL, 0));
    mvcc_meta_put(mvcc, SLICE("change"), slice_of(NULL, 0));
    struct mvcc_status status;
    mvcc_status(mvcc, &status);
    mvcc_set_applied(mvcc, status.applied_index, status.applied_term);
    struct mvcc_flush *flush = mvcc_flush_begin(mvcc, 1000);
    enum err err = mvcc_flush_write(flush);
    assert_int_equal(err, ERR_OK);
    mvcc_flush_done(mvcc, flush, err);
    mvcc_flush_free(flush);
    mvcc_close(mvcc);
    snap_set_close(set);
}

/* As a version wrote it that knew of one member only. */
static void an_older_versions_store_is_a_cluster_of_one(void **state)
{
    (void)state;
    struct node_member *members;
    struct arena arena;
    char ids[16];
    put_be64(ids, 0xc1);
    put_be64(ids + 8, 0xa1);
    OPEN(&one);
    SET(&one, "/a", "1");
    node_harness_close(&one);
    put_identity(&one, slice_of(ids, 16));
    one.config.peer_urls = "http://localhost:2380";
    OPEN(&one);
    VALUE(&one, "/a", "1");
    arena_init(&arena, 0);
    assert_int_equal(node_members(one.node, &arena, &members), 1);
    assert_int_equal(members[0].id, 0xa1);
    assert_true(slice_eq(members[0].name, SLICE("infra1")));
    assert_true(slice_eq(members[0].peer_urls, SLICE("http://localhost:2380")));
    arena_deinit(&arena);
    node_harness_recover(&one);
    VALUE(&one, "/a", "1");
    /* The member is in it, and must be this one. */
    node_harness_close(&one);
    put_be64(ids + 8, 0xa2);
    put_identity(&one, slice_of(ids, 16));
    FAILS(&one, ERR_WRONG_CLUSTER);
}

static void another_members_segments_are_refused(void **state)
{
    (void)state;
    OPEN(&one);
    OPEN(&other);
    node_harness_close(&one);
    node_harness_close(&other);
    struct slice identity = disk_memory_bytes(one.disk, "identity");
    disk_memory_put(other.disk, "identity", identity);
    struct disk_memory *disk = one.disk;
    one.disk = other.disk;
    other.disk = disk;
    FAILS(&one, ERR_WRONG_CLUSTER);
    NOTE("open the log");
}

/* ---- missing ------------------------------------------------------------- */

static void a_missing_log_is_not_made_anew(void **state)
{
    (void)state;
    OPEN(&one);
    SET(&one, "/a", "1");
    node_harness_close(&one);
    struct disk_memory *kept = copy_of_disk(one.disk);
    put_back_disk(&one, disk_memory_new(3));
    /* The second time too: the first left nothing that looks like a log. */
    for (int i = 0; i < 2; i++) {
        FAILS(&one, ERR_CORRUPT);
        NOTE("its log is missing; put the log's folder back, or start with "
             "an empty data directory");
        assert_null(disk_memory_name(one.disk, 0));
    }
    put_back_disk(&one, kept);
    OPEN(&one);
    VALUE(&one, "/a", "1");
}

static void missing_segments_are_not_made_anew(void **state)
{
    (void)state;
    OPEN(&one);
    SET(&one, "/a", "1");
    node_harness_close(&one);
    remove_segments(&one);
    FAILS(&one, ERR_CORRUPT);
    NOTE("its log is missing");
    FAILS(&one, ERR_CORRUPT);
}

static void a_missing_store_is_made_of_a_whole_log(void **state)
{
    (void)state;
    OPEN(&one);
    SET(&one, "/a", "1");
    node_harness_close(&one);
    put_back_kv(&one, kv_memory_new());
    OPEN(&one);
    VALUE(&one, "/a", "1");
    node_harness_recover(&one);
    VALUE(&one, "/a", "1");
}

static void a_missing_store_is_told_of_with_a_trimmed_log(void **state)
{
    (void)state;
    OPEN(&one);
    fill(&one, 40);
    FLUSH(&one);
    assert_int_equal(node_harness_run(&one), ERR_OK);
    node_harness_close(&one);
    put_back_kv(&one, kv_memory_new());
    for (int i = 0; i < 2; i++) {
        FAILS(&one, ERR_CORRUPT);
        NOTE("the store is missing or was put back from an older copy");
    }
}

/* All segments but one are gone, and that one is new: it still holds an entry
 * by which the missing store is seen. */
static void a_log_that_was_trimmed_never_looks_new(void **state)
{
    (void)state;
    for (int round = 0; round < 20; round++) {
        node_harness_deinit(&one);
        node_harness_init(&one, (uint64_t)round);
        OPEN(&one);
        fill(&one, 5 + round);
        FLUSH(&one);
        assert_int_equal(node_harness_run(&one), ERR_OK);
        assert_int_equal(node_harness_run(&one), ERR_OK);
        bool trimmed = 5 + round > 8;
        node_harness_crash(&one);
        put_back_kv(&one, kv_memory_new());
        enum err err = node_harness_open(&one);
        assert_true(err == ERR_CORRUPT || !trimmed);
    }
}

static void a_missing_identity_is_told_of(void **state)
{
    (void)state;
    OPEN(&one);
    node_harness_close(&one);
    remove_file(&one, "identity");
    FAILS(&one, ERR_CORRUPT);
    NOTE("put the log's whole folder back");
}

/* ---- of one time --------------------------------------------------------- */

static void an_older_store_is_brought_up_by_the_log(void **state)
{
    (void)state;
    OPEN(&one);
    SET(&one, "/a", "1");
    node_harness_close(&one);
    struct kv *old = copy_of_kv(one.kv);
    OPEN(&one);
    SET(&one, "/a", "2");
    node_harness_close(&one);
    put_back_kv(&one, old);
    OPEN(&one);
    VALUE(&one, "/a", "2");
}

static void a_store_older_than_the_log_goes_back_is_refused(void **state)
{
    (void)state;
    OPEN(&one);
    SET(&one, "/a", "1");
    node_harness_close(&one);
    struct kv *old = copy_of_kv(one.kv);
    OPEN(&one);
    fill(&one, 40);
    FLUSH(&one);
    assert_int_equal(node_harness_run(&one), ERR_OK);
    node_harness_close(&one);
    put_back_kv(&one, old);
    FAILS(&one, ERR_CORRUPT);
    NOTE("was put back from an older copy");
}

static void a_log_older_than_the_store_is_refused(void **state)
{
    (void)state;
    OPEN(&one);
    SET(&one, "/a", "1");
    node_harness_close(&one);
    struct disk_memory *old = copy_of_disk(one.disk);
    OPEN(&one);
    SET(&one, "/a", "2");
    SET(&one, "/a", "3");
    node_harness_close(&one);
    put_back_disk(&one, old);
    for (int i = 0; i < 2; i++) {
        FAILS(&one, ERR_CORRUPT);
        NOTE("the log ends before entry");
        NOTE("put the newest one back");
    }
}

/* Both went on from one copy: the same member, but not the same entries. */
static void a_log_of_another_life_of_the_member_is_refused(void **state)
{
    (void)state;
    OPEN(&one);
    SET(&one, "/a", "1");
    node_harness_close(&one);
    struct disk_memory *disk = copy_of_disk(one.disk);
    struct kv *kv = copy_of_kv(one.kv);
    /* The one life: a start and five writes, all in one term. */
    OPEN(&one);
    for (int i = 0; i < 5; i++)
        SET(&one, "/a", "2");
    node_harness_close(&one);
    /* The other: six starts. */
    struct kv *store = one.kv;
    one.kv = kv;
    put_back_disk(&one, disk);
    for (int i = 0; i < 6; i++) {
        OPEN(&one);
        node_harness_close(&one);
    }
    put_back_kv(&one, store);
    FAILS(&one, ERR_CORRUPT);
    NOTE("they are not of one member");
}

/* ---- the file itself ----------------------------------------------------- */

static const char good[] = "cluster 00000000000000c1\n"
                           "member 00000000000000a1\n";

static void the_file_is_two_lines(void **state)
{
    (void)state;
    struct disk *disk = disk_memory_door(one.disk);
    uint64_t cluster = 0;
    member_id member = 0;
    assert_int_equal(node__identity_write(disk, 0xc1, 0xa1), ERR_OK);
    struct slice bytes = disk_memory_bytes(one.disk, "identity");
    assert_true(slice_eq(bytes, slice_str(good)));
    assert_string_equal(disk_memory_name(one.disk, 0), "identity");
    assert_null(disk_memory_name(one.disk, 1));
    assert_int_equal(node__identity_read(disk, &cluster, &member), ERR_OK);
    assert_int_equal(cluster, 0xc1);
    assert_int_equal(member, 0xa1);
}

static void ids_of_all_sizes_come_back(void **state)
{
    (void)state;
    struct disk *disk = disk_memory_door(one.disk);
    for (int bit = 0; bit < 64; bit++) {
        uint64_t cluster;
        member_id member;
        assert_int_equal(
            node__identity_write(disk, UINT64_C(1) << bit, UINT64_MAX >> bit),
            ERR_OK);
        assert_int_equal(node__identity_read(disk, &cluster, &member), ERR_OK);
        assert_true(cluster == UINT64_C(1) << bit);
        assert_true(member == UINT64_MAX >> bit);
    }
}

static void no_file_is_not_found(void **state)
{
    (void)state;
    uint64_t cluster;
    member_id member;
    assert_int_equal(
        node__identity_read(disk_memory_door(one.disk), &cluster, &member),
        ERR_NOT_FOUND);
}

static enum err read_text(const char *text)
{
    uint64_t cluster;
    member_id member;
    disk_memory_put(one.disk, "identity", slice_str(text));
    return node__identity_read(disk_memory_door(one.disk), &cluster, &member);
}

static void a_damaged_file_is_told_of(void **state)
{
    (void)state;
    char text[64];
    assert_int_equal(read_text(good), ERR_OK);
    for (size_t i = 0; i < sizeof good - 1; i++) {
        memcpy(text, good, sizeof good);
        text[i] = '!';
        assert_int_equal(read_text(text), ERR_CORRUPT);
        NOTE("identity");
        text[i] = 0; /* cut */
        assert_int_equal(read_text(text), ERR_CORRUPT);
    }
    assert_int_equal(read_text("cluster 0000000000000000\n"
                               "member 00000000000000a1\n"),
                     ERR_CORRUPT);
    assert_int_equal(read_text("cluster 00000000000000C1\n"
                               "member 00000000000000a1\n"),
                     ERR_CORRUPT);
    assert_int_equal(read_text("member 00000000000000a1\n"
                               "cluster 00000000000000c1\n"),
                     ERR_CORRUPT);
}

static void a_damaged_file_stops_the_opening(void **state)
{
    (void)state;
    OPEN(&one);
    node_harness_close(&one);
    disk_memory_flip(one.disk, "identity", 3, 0xff);
    FAILS(&one, ERR_CORRUPT);
    NOTE("file identity is damaged");
}

static void what_a_first_start_left_is_written_over(void **state)
{
    (void)state;
    disk_memory_put(one.disk, "identity.new", SLICE("clus"));
    disk_memory_put(one.disk, "identity", slice_str(good));
    one.config.cluster_id = 0xc5;
    OPEN(&one);
    SET(&one, "/a", "1");
    node_harness_recover(&one);
    VALUE(&one, "/a", "1");
    struct node_progress progress;
    node_progress(one.node, &progress);
    assert_int_equal(progress.cluster_id, 0xc5);
}

static void a_first_start_may_crash_at_any_call(void **state)
{
    (void)state;
    for (uint64_t n = 1; n < 100; n++) {
        node_harness_deinit(&one);
        node_harness_init(&one, n);
        disk_memory_fail_call(one.disk, n, ERR_IO);
        enum err err = node_harness_open(&one);
        bool failed = disk_memory_calls(one.disk) >= n;
        assert_true(err == ERR_IO || err == ERR_OK);
        node_harness_crash(&one);
        OPEN(&one);
        SET(&one, "/a", "1");
        if (!failed)
            return;
    }
    fail();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        STORY(data_keeps_the_ids_that_it_has),
        STORY(another_members_store_is_refused),
        STORY(a_store_of_the_cluster_that_is_ahead_of_the_log_is_refused),
        STORY(an_older_versions_store_is_a_cluster_of_one),
        STORY(another_members_segments_are_refused),
        STORY(a_missing_log_is_not_made_anew),
        STORY(missing_segments_are_not_made_anew),
        STORY(a_missing_store_is_made_of_a_whole_log),
        STORY(a_missing_store_is_told_of_with_a_trimmed_log),
        STORY(a_log_that_was_trimmed_never_looks_new),
        STORY(a_missing_identity_is_told_of),
        STORY(an_older_store_is_brought_up_by_the_log),
        STORY(a_store_older_than_the_log_goes_back_is_refused),
        STORY(a_log_older_than_the_store_is_refused),
        STORY(a_log_of_another_life_of_the_member_is_refused),
        STORY(the_file_is_two_lines),
        STORY(ids_of_all_sizes_come_back),
        STORY(no_file_is_not_found),
        STORY(a_damaged_file_is_told_of),
        STORY(a_damaged_file_stops_the_opening),
        STORY(what_a_first_start_left_is_written_over),
        STORY(a_first_start_may_crash_at_any_call),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
