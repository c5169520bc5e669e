/* A member's database as etcd's file. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>

#include "base/prng.h"
#include "etcdb_world.h"

static struct node_harness one, two;
static struct buf file;

static int begin(void **state)
{
    (void)state;
    node_harness_init(&one, 1);
    node_harness_init(&two, 2);
    if (node_harness_open(&one) != ERR_OK)
        return -1;
    settle(&one);
    return 0;
}

static int end(void **state)
{
    (void)state;
    node_harness_deinit(&one);
    node_harness_deinit(&two);
    buf_deinit(&file);
    file = (struct buf){0};
    return 0;
}

#define STORY(name) cmocka_unit_test_setup_teardown(name, begin, end)
#define IS(text, want) assert_string_equal(text, want)

/* ---- the file ------------------------------------------------------------ */

static void all_buckets_of_etcd_are_there(void **state)
{
    (void)state;
    export_to(&one, &file);
    IS(buckets(buf_slice(&file)),
       "alarm auth authRoles authUsers cluster key lease members "
       "members_removed meta ");
    IS(bucket(buf_slice(&file), "cluster"), "clusterVersion=3.4.0\n");
    IS(bucket(buf_slice(&file), "key"), "");
    IS(bucket(buf_slice(&file), "lease"), "");
    IS(bucket(buf_slice(&file), "alarm"), "");
}

static void records_are_as_etcd_has_them(void **state)
{
    (void)state;
    grant(&one, 0x1234, 100);
    put(&one, "k", SLICE("v"), 0x1234);
    txn(&one, (const char *const[]){"a=1", "b=2", "k!", NULL});
    export_to(&one, &file);
    /* Key, create, mod, version, value, lease. */
    IS(bucket(buf_slice(&file), "key"),
       "00000000000000025f0000000000000000=0a016b1002180220012a017630b424\n"
       "00000000000000035f0000000000000000=0a01611003180320012a0131\n"
       "00000000000000035f0000000000000001=0a01621003180320012a0132\n"
       "00000000000000035f000000000000000274=0a016b\n");
    /* ID, TTL, RemainingTTL. */
    IS(bucket(buf_slice(&file), "lease"), "0000000000001234=08b424106418"
                                          "64\n");
}

static void meta_says_where_it_stands(void **state)
{
    (void)state;
    struct node_position position;
    char want[400];
    put_text(&one, "a", "1");
    put_text(&one, "a", "2");
    compact_at(&one, 2);
    export_to(&one, &file);
    node_position(one.node, &position);
    struct mvcc_status status;
    mvcc_status(node_mvcc(one.node), &status);
    struct node_progress progress;
    node_progress(one.node, &progress);
    snprintf(want, sizeof want,
             "confState={\"voters\":[%llu],\"auto_leave\":false}\n"
             "consistent_index=%016llx\n"
             "etchedTime=%016llx\n"
             "finishedCompactRev=00000000000000025f0000000000000000\n"
             "scheduledCompactRev=00000000000000025f0000000000000000\n"
             "term=%016llx\n",
             (unsigned long long)progress.member_id,
             (unsigned long long)position.applied,
             (unsigned long long)status.time_ns,
             (unsigned long long)position.term);
    IS(bucket(buf_slice(&file), "meta"), want);
    assert_true(position.applied > 2 && position.term > 0);
}

static void members_and_alarms_are_told(void **state)
{
    (void)state;
    struct node_progress progress;
    char want[200];
    node_progress(one.node, &progress);
    raise_alarm(&one, progress.member_id, 1);
    export_to(&one, &file);
    snprintf(want, sizeof want, "%llx={\"id\":%llu,\"peerURLs\":[",
             (unsigned long long)progress.member_id,
             (unsigned long long)progress.member_id);
    assert_true(slice_has_prefix(slice_str(bucket(buf_slice(&file), "members")),
                                 slice_str(want)));
    assert_true(strlen(bucket(buf_slice(&file), "alarm")) > 0);
}

static void what_etcd_has_no_words_for_stays(void **state)
{
    (void)state;
    struct tree_command make = {
        .op = TREE_SET, .path = SLICE("/d"), .dir = true};
    enum err err;
    put_text(&one, "/a", "1");
    node_harness_write(&one, &make, &err);
    assert_int_equal(err, ERR_OK);
    export_to(&one, &file);
    /* The directory's revision is told by a tombstone of nothing. */
    IS(bucket(buf_slice(&file), "key"),
       "00000000000000025f0000000000000000=0a022f611002180220012a0131\n"
       "00000000000000035f000000000000000074=0a0100\n");
    import_into(&two, buf_slice(&file), NULL);
    assert_int_equal(node_harness_revision(&two), 3);
    put_text(&two, "/b", "2");
    assert_int_equal(node_harness_revision(&two), 4);
}

/* ---- out and in again ---------------------------------------------------- */

static void go_round(void)
{
    export_to(&one, &file);
    import_into(&two, buf_slice(&file), NULL);
    IS(whole(&two), whole(&one));
}

static void an_empty_store_goes_round(void **state)
{
    (void)state;
    go_round();
    put_text(&two, "a", "1");
    assert_int_equal(node_harness_revision(&two), 2);
}

static void lives_and_deaths_go_round(void **state)
{
    (void)state;
    put_text(&one, "a", "1");
    put_text(&one, "a", "2");
    delete_key(&one, "a");
    put_text(&one, "a", "3");
    txn(&one, (const char *const[]){"a!", "b=1", "c=1", NULL});
    put_text(&one, "empty", "");
    go_round();
}

static void a_compaction_goes_round(void **state)
{
    (void)state;
    for (int i = 0; i < 30; i++) {
        put_text(&one, "a", "1");
        put_text(&one, i % 2 ? "b" : "c", "1");
        if (i % 5 == 0)
            delete_key(&one, "a");
    }
    compact_at(&one, 40);
    go_round();
    /* Before its work is done, and after. */
    node_harness_close(&two);
    node_harness_deinit(&two);
    node_harness_init(&two, 3);
    settle(&one);
    assert_int_equal(node_harness_flush(&one), ERR_OK);
    go_round();
}

static void large_values_go_round(void **state)
{
    (void)state;
    static char bytes[1500000];
    memset(bytes, 'x', sizeof bytes);
    put(&one, "large", slice_of(bytes, sizeof bytes), 0);
    put(&one, "page", slice_of(bytes, 4096), 0);
    put(&one, "nothing", slice_of("", 0), 0);
    put(&one, "larger than a page", slice_of(bytes, 4097), 0);
    go_round();
}

static void leases_go_round(void **state)
{
    (void)state;
    grant(&one, 1, 100);
    grant(&one, INT64_C(0x7fffffffffffffff), 9000000000);
    grant(&one, 3, 50);
    put(&one, "a", SLICE("1"), 1);
    put(&one, "b", SLICE("1"), 1);
    put(&one, "c", SLICE("1"), 3);
    go_round();
    /* The whole TTL begins anew when somebody leads. */
    int64_t expire_ns;
    assert_true(lease_get(node_leases(two.node), 1, &expire_ns));
    assert_true(expire_ns > two.wall_ns + 90 * HARNESS_SECOND_NS);
    assert_true(expire_ns <= two.wall_ns + 100 * HARNESS_SECOND_NS);
    node_harness_sleep(&two, 60 * HARNESS_SECOND_NS);
    settle(&two);
    assert_false(lease_get(node_leases(two.node), 3, &expire_ns));
    assert_true(lease_get(node_leases(two.node), 1, &expire_ns));
    assert_null(node_harness_get(&two, "/c"));
}

static void a_ttl_of_v2_goes_round(void **state)
{
    (void)state;
    assert_int_equal(node_harness_set_ttl(&one, "/a", "1", 100), ERR_OK);
    assert_int_equal(node_harness_set(&one, "/b", "2"), ERR_OK);
    export_to(&one, &file);
    node_harness_close(&one);
    import_into(&two, buf_slice(&file), NULL);
    IS(node_harness_get(&two, "/a"), "1");
    IS(node_harness_get(&two, "/b"), "2");
    assert_int_equal(lease_count(node_leases(two.node)), 1);
    node_harness_sleep(&two, 90 * HARNESS_SECOND_NS);
    settle(&two);
    IS(node_harness_get(&two, "/a"), "1");
    node_harness_sleep(&two, 20 * HARNESS_SECOND_NS);
    settle(&two);
    assert_null(node_harness_get(&two, "/a"));
    IS(node_harness_get(&two, "/b"), "2");
}

static void many_random_changes_go_round(void **state)
{
    (void)state;
    struct prng prng;
    prng_init(&prng, 17);
    grant(&one, 9, 1000);
    for (int i = 0; i < 3000; i++) {
        char key[16];
        char change[32], other[32];
        snprintf(key, sizeof key, "k%d", (int)prng_below(&prng, 400));
        snprintf(change, sizeof change, "%s=%d", key, i);
        snprintf(other, sizeof other, "x%d!", (int)prng_below(&prng, 50));
        uint64_t kind = prng_below(&prng, 10);
        if (kind < 5)
            put(&one, key, slice_str(change), kind == 0 ? 9 : 0);
        else if (kind < 7)
            delete_key(&one, key);
        else
            txn(&one, (const char *const[]){change, other, "y=1", NULL});
        if (i == 1500)
            compact_at(&one, node_harness_revision(&one) - 100);
        if (i % 500 == 0)
            assert_int_equal(node_harness_flush(&one), ERR_OK);
    }
    go_round();
}

/* ---- while it is going on ------------------------------------------------ */

/* A sink that does something when the records are on their way. */
struct busy {
    struct buf *file;
    void (*once)(void);
    bool done;
};

static enum err take_busy(void *context, uint64_t offset, struct slice bytes)
{
    struct busy *busy = context;
    size_t end_at = (size_t)offset + bytes.size;
    if (end_at > busy->file->size)
        buf_extend(busy->file, end_at - busy->file->size);
    memcpy(busy->file->at + offset, bytes.at, bytes.size);
    /* The sixth bucket is that of the keys. */
    if (!busy->done && offset > (uint64_t)40 * ETCDB_PAGE_BYTES) {
        busy->done = true;
        busy->once();
    }
    return ERR_OK;
}

static enum err export_busy(void (*once)(void))
{
    struct busy busy = {.file = &file, .once = once};
    struct bolt_sink sink = {take_busy, &busy};
    struct mvcc_reader *reader;
    uint64_t bytes;
    buf_reset(&file);
    assert_int_equal(mvcc_reader_new(node_mvcc(one.node), &reader), ERR_OK);
    struct etcdb_export config = {
        .node = one.node, .reader = reader, .sink = &sink};
    enum err err = etcdb_export(&config, &bytes);
    mvcc_reader_free(reader);
    assert_true(busy.done);
    return err;
}

static void fill(void)
{
    for (int i = 0; i < 3000; i++) {
        char key[16];
        snprintf(key, sizeof key, "key%05d", i);
        put(&one, key, SLICE("0123456789012345678901234567890123456789"), 0);
    }
}

static void write_more(void)
{
    put_text(&one, "later", "1");
    put_text(&one, "key00001", "later");
    delete_key(&one, "key02999");
    assert_int_equal(node_harness_flush(&one), ERR_OK);
}

static void writes_meanwhile_are_not_in_it(void **state)
{
    (void)state;
    fill();
    char *before = mem_strdup(whole(&one));
    assert_int_equal(export_busy(write_more), ERR_OK);
    import_into(&two, buf_slice(&file), NULL);
    IS(whole(&two), before);
    mem_free(before);
}

static void compact_now(void)
{
    compact_at(&one, 2000);
}

static void a_compaction_meanwhile_is_an_error(void **state)
{
    (void)state;
    fill();
    assert_int_equal(export_busy(compact_now), ERR_COMPACTED);
    go_round();
}

static void any_write_of_the_sink_may_fail(void **state)
{
    (void)state;
    put_text(&one, "a", "1");
    grant(&one, 1, 100);
    size_t writes = 1;
    while (try_export(&one, &file, writes) == ERR_DISK_FULL)
        writes++;
    assert_int_equal(writes, 1 + file.size / ETCDB_PAGE_BYTES);
    assert_int_equal(one.readers, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        STORY(all_buckets_of_etcd_are_there),
        STORY(records_are_as_etcd_has_them),
        STORY(meta_says_where_it_stands),
        STORY(members_and_alarms_are_told),
        STORY(what_etcd_has_no_words_for_stays),
        STORY(an_empty_store_goes_round),
        STORY(lives_and_deaths_go_round),
        STORY(a_compaction_goes_round),
        STORY(large_values_go_round),
        STORY(leases_go_round),
        STORY(a_ttl_of_v2_goes_round),
        STORY(many_random_changes_go_round),
        STORY(writes_meanwhile_are_not_in_it),
        STORY(a_compaction_meanwhile_is_an_error),
        STORY(any_write_of_the_sink_may_fail),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
