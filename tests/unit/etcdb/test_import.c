/* Files that come from etcd, and files that come from anywhere. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>

#include "base/prng.h"
#include "etcdb_world.h"

static struct node_harness world;
static struct hand hand;

static int begin(void **state)
{
    (void)state;
    node_harness_init(&world, 1);
    hand_begin(&hand);
    return 0;
}

static int end(void **state)
{
    (void)state;
    node_harness_deinit(&world);
    hand_free(&hand);
    return 0;
}

#define STORY(name) cmocka_unit_test_setup_teardown(name, begin, end)
#define IS(text, want) assert_string_equal(text, want)
#define FILE_OF(hand) buf_slice(&(hand).file)

static void take(void)
{
    hand_end(&hand);
    import_into(&world, FILE_OF(hand), NULL);
}

static void refuse(enum err err, const char *why)
{
    struct etcdb_imported imported;
    hand_end(&hand);
    assert_int_equal(try_import(&world, FILE_OF(hand), NULL, &imported), err);
    if (strstr(err_note(), why) == NULL)
        fail_msg("\"%s\" isn't in \"%s\"", why, err_note());
}

/* ---- what etcd has ------------------------------------------------------- */

static void a_file_without_buckets_is_an_empty_store(void **state)
{
    (void)state;
    take();
    assert_int_equal(node_harness_revision(&world), 1);
    put_text(&world, "a", "1");
    assert_int_equal(node_harness_revision(&world), 2);
}

static void keys_come_with_their_past(void **state)
{
    (void)state;
    hand_bucket(&hand, "key");
    hand_record(&hand, 2, 0, "a", "1", 2, 1);
    hand_record(&hand, 3, 0, "a", "2", 2, 2);
    hand_record(&hand, 3, 1, "b", "1", 3, 1);
    hand_tombstone(&hand, 4, 0, "a");
    hand_record(&hand, 5, 0, "a", "3", 5, 1);
    take();
    struct mvcc_reader *reader;
    struct record record;
    assert_int_equal(mvcc_reader_new(node_mvcc(world.node), &reader), ERR_OK);
    mvcc_read_begin(reader);
    assert_int_equal(mvcc_get(reader, MVCC_KEYS, SLICE("a"), 3, &record),
                     ERR_OK);
    assert_true(slice_eq(record.value, SLICE("2")));
    assert_int_equal(record.version, 2);
    assert_int_equal(record.create, 2);
    assert_int_equal(record.prev.main, 2);
    assert_int_equal(record.cause, MVCC_PUT);
    assert_int_equal(mvcc_get(reader, MVCC_KEYS, SLICE("a"), 4, &record),
                     ERR_NOT_FOUND);
    assert_int_equal(mvcc_get_rev(reader, (struct rev){4, 0}, &record), ERR_OK);
    assert_int_equal(record.cause, MVCC_DELETE_RANGE);
    assert_int_equal(record.prev.main, 3);
    assert_int_equal(mvcc_get(reader, MVCC_KEYS, SLICE("a"), 0, &record),
                     ERR_OK);
    assert_int_equal(record.prev.main, 0);
    mvcc_read_end(reader);
    mvcc_reader_free(reader);
    /* The second life goes on. */
    put_text(&world, "a", "4");
    assert_int_equal(node_harness_revision(&world), 6);
}

static void a_compaction_that_etcd_did_not_finish_is_finished(void **state)
{
    (void)state;
    hand_bucket(&hand, "key");
    hand_record(&hand, 2, 0, "a", "1", 2, 1);
    hand_record(&hand, 3, 0, "a", "2", 2, 2);
    hand_record(&hand, 4, 0, "gone", "1", 4, 1);
    hand_tombstone(&hand, 5, 0, "gone");
    hand_record(&hand, 6, 0, "a", "3", 2, 3);
    hand_bucket(&hand, "meta");
    hand_rev(&hand, "finishedCompactRev", 1);
    hand_rev(&hand, "scheduledCompactRev", 5);
    take();
    struct mvcc_status status;
    settle(&world);
    assert_int_equal(node_harness_flush(&world), ERR_OK);
    mvcc_status(node_mvcc(world.node), &status);
    assert_int_equal(status.compacted, 5);
    assert_false(status.compacting);
    assert_non_null(strstr(whole(&world),
                           "\n3.0 a=2 create 2 version 2 lease 0\n"
                           "6.0 a=3 create 2 version 3 lease 0\n"));
}

/* etcd 3.6 keeps a tombstone that the compaction fell upon. */
static void what_a_compaction_left_need_not_be_ours(void **state)
{
    (void)state;
    hand_bucket(&hand, "key");
    hand_record(&hand, 3, 0, "a", "2", 2, 2);
    hand_tombstone(&hand, 5, 0, "gone");
    hand_record(&hand, 6, 0, "a", "3", 2, 3);
    hand_bucket(&hand, "meta");
    hand_rev(&hand, "finishedCompactRev", 5);
    hand_rev(&hand, "scheduledCompactRev", 5);
    take();
    assert_non_null(strstr(whole(&world), "revision 6 compacted 5 "));
    assert_null(strstr(whole(&world), "gone"));
}

static void what_bump_revision_made_is_passed_over(void **state)
{
    (void)state;
    char rev[ETCDB_REV_BYTES];
    hand_bucket(&hand, "key");
    hand_record(&hand, 2, 0, "a", "1", 2, 1);
    etcdb__put_rev(rev, 1000002, 0);
    hand_pair(&hand, slice_of(rev, sizeof rev), SLICE(""));
    hand_bucket(&hand, "meta");
    hand_rev(&hand, "scheduledCompactRev", 1000002);
    take();
    put_text(&world, "b", "1");
    assert_int_equal(node_harness_revision(&world), 1000003);
    assert_non_null(strstr(whole(&world), "compacted 1000002 "));
}

static void a_revision_without_records_is_filled(void **state)
{
    (void)state;
    hand_bucket(&hand, "key");
    hand_record(&hand, 2, 0, "a", "1", 2, 1);
    hand_tombstone(&hand, 3, 0, "never");
    hand_record(&hand, 9, 0, "a", "2", 2, 2);
    struct etcdb_import change = {.time_ns = 77};
    hand_end(&hand);
    import_into(&world, FILE_OF(hand), &change);
    struct mvcc_reader *reader;
    revision at;
    assert_int_equal(mvcc_reader_new(node_mvcc(world.node), &reader), ERR_OK);
    mvcc_read_begin(reader);
    /* Looks at any of them. */
    assert_int_equal(mvcc_revision_at(reader, 77, &at), ERR_OK);
    assert_int_equal(at, 9);
    mvcc_read_end(reader);
    mvcc_reader_free(reader);
    assert_null(strstr(whole(&world), "never"));
    node_harness_restart(&world);
    assert_int_equal(node_harness_revision(&world), 9);
}

static void leases_begin_anew(void **state)
{
    (void)state;
    int64_t expire_ns;
    struct lease_info info;
    hand_bucket(&hand, "lease");
    hand_lease(&hand, 7, 100, 5);
    hand_lease(&hand, 8, 0, 0);
    hand_lease(&hand, 9, INT64_MAX, 0);
    take();
    assert_true(lease_get(node_leases(world.node), 7, &expire_ns));
    assert_true(expire_ns > world.wall_ns + 90 * HARNESS_SECOND_NS);
    assert_true(lease_info(node_leases(world.node), 9, &info));
    assert_int_equal(info.granted_s, LEASE_TTL_S_MAX);
}

/* Members that are made at different times have the same leases: they begin
 * when the cluster has a leader. */
static void leases_of_members_are_the_same(void **state)
{
    (void)state;
    struct etcdb_imported imported;
    struct node_harness later;
    hand_bucket(&hand, "lease");
    hand_lease(&hand, 7, 100, 5);
    hand_end(&hand);
    node_harness_init(&later, 9);
    later.wall_ns += 3600 * HARNESS_SECOND_NS;
    struct node_harness *worlds[] = {&world, &later};
    for (size_t i = 0; i < 2; i++) {
        int64_t expire_ns = -1;
        assert_int_equal(try_import(worlds[i], FILE_OF(hand), NULL, &imported),
                         ERR_OK);
        assert_int_equal(imported.leases, 1);
        struct snap_set *set;
        struct mvcc *mvcc;
        struct slice value;
        assert_int_equal(snap_set_open(worlds[i]->kv, &set), ERR_OK);
        struct mvcc_config config = {.kv = snap_set_kv(set)};
        assert_int_equal(mvcc_open(&config, &mvcc), ERR_OK);
        char name[] = "lease/\0\0\0\0\0\0\0\7";
        assert_true(mvcc_meta_get(mvcc, slice_of(name, 14), &value));
        expire_ns = (int64_t)get_le64(value.at + 8);
        mvcc_close(mvcc);
        snap_set_close(set);
        assert_int_equal(expire_ns, 0);
    }
    node_harness_deinit(&later);
}

static void a_lease_that_nobody_has_granted_binds_nothing(void **state)
{
    (void)state;
    char rev[ETCDB_REV_BYTES];
    hand_bucket(&hand, "key");
    etcdb__put_rev(rev, 2, 0);
    /* key a, create 2, mod 2, version 1, lease 99 */
    hand_pair(&hand, slice_of(rev, sizeof rev),
              SLICE("\x0a\x01"
                    "a\x10\x02\x18\x02\x20\x01\x30\x63"));
    take();
    assert_int_equal(lease_count(node_leases(world.node)), 0);
    assert_non_null(strstr(whole(&world), "2.0 a= create 2 version 1 "
                                          "lease 63\n"));
}

static void a_file_whose_auth_is_on(void **state)
{
    (void)state;
    struct etcdb_imported imported;
    hand_bucket(&hand, "auth");
    hand_pair(&hand, SLICE("authEnabled"), SLICE("\1"));
    hand_end(&hand);
    assert_int_equal(try_import(&world, FILE_OF(hand), NULL, &imported),
                     ERR_OK);
    assert_true(imported.has_auth);
}

/* ---- options ------------------------------------------------------------- */

static void the_revision_can_be_raised(void **state)
{
    (void)state;
    struct etcdb_import change = {.bump = 1000, .mark_compacted = true};
    hand_bucket(&hand, "key");
    hand_record(&hand, 2, 0, "a", "1", 2, 1);
    hand_record(&hand, 3, 0, "a", "2", 2, 2);
    hand_end(&hand);
    import_into(&world, FILE_OF(hand), &change);
    settle(&world);
    assert_non_null(strstr(whole(&world), "revision 1003 compacted 1003 "));
    assert_non_null(
        strstr(whole(&world), "\n3.0 a=2 create 2 version 2 lease 0\n"));
    put_text(&world, "a", "3");
    assert_int_equal(node_harness_revision(&world), 1004);
    node_harness_restart(&world);
    assert_int_equal(node_harness_revision(&world), 1004);
}

static void by_too_much_is_refused(void **state)
{
    (void)state;
    struct etcdb_import change = {.bump = INT64_MAX / 2,
                                  .mark_compacted = true};
    struct etcdb_imported imported;
    hand_end(&hand);
    assert_int_equal(try_import(&world, FILE_OF(hand), &change, &imported),
                     ERR_TOO_LARGE);
}

/* The member that comes of it knows itself and its cluster, without flags. */
static void the_member_is_the_new_clusters(void **state)
{
    (void)state;
    struct node_progress progress;
    struct node_member *members;
    struct arena arena;
    take();
    node_progress(world.node, &progress);
    assert_int_equal(progress.cluster_id, WORLD_CLUSTER);
    assert_int_equal(progress.member_id, WORLD_MEMBER);
    assert_int_equal(progress.role, RAFT_LEADER);
    arena_init(&arena, 0);
    assert_int_equal(node_members(world.node, &arena, &members), 1);
    assert_true(slice_eq(members[0].name, slice_str(world.config.name)));
    assert_true(slice_eq(members[0].peer_urls, SLICE("http://new:2380")));
    arena_deinit(&arena);
    assert_int_equal(node_harness_set(&world, "/a", "1"), ERR_OK);
    node_harness_restart(&world);
    settle(&world);
    IS(node_harness_get(&world, "/a"), "1");
    node_harness_crash(&world);
    assert_int_equal(node_harness_open(&world), ERR_OK);
    IS(node_harness_get(&world, "/a"), "1");
}

/* ---- what is refused ----------------------------------------------------- */

static void what_is_no_file_of_bbolt(void **state)
{
    (void)state;
    struct etcdb_imported imported;
    assert_int_equal(try_import(&world, SLICE("hello"), NULL, &imported),
                     ERR_CORRUPT);
    assert_int_equal(try_import(&world, SLICE(""), NULL, &imported),
                     ERR_CORRUPT);
}

static void a_revision_of_another_size(void **state)
{
    (void)state;
    hand_bucket(&hand, "key");
    hand_pair(&hand, SLICE("0123456789abcdef"), SLICE(""));
    refuse(ERR_CORRUPT, "a revision is malformed");
}

static void a_revision_with_another_ending(void **state)
{
    (void)state;
    char rev[ETCDB_TOMBSTONE_BYTES];
    hand_bucket(&hand, "key");
    etcdb__put_rev(rev, 2, 0);
    rev[ETCDB_REV_BYTES] = 'x';
    hand_pair(&hand, slice_of(rev, sizeof rev), SLICE(""));
    refuse(ERR_CORRUPT, "a revision is malformed");
}

static void a_revision_that_is_too_great(void **state)
{
    (void)state;
    hand_bucket(&hand, "key");
    hand_record(&hand, INT64_MAX, 0, "a", "1", 2, 1);
    refuse(ERR_CORRUPT, "a revision is malformed");
}

static void a_sub_revision_that_is_too_great(void **state)
{
    (void)state;
    hand_bucket(&hand, "key");
    hand_record(&hand, 2, UINT32_MAX, "a", "1", 2, 1);
    refuse(ERR_CORRUPT, "a revision is malformed");
}

static void a_revision_that_is_a_put_and_a_delete(void **state)
{
    (void)state;
    hand_bucket(&hand, "key");
    hand_record(&hand, 2, 0, "a", "1", 2, 1);
    hand_tombstone(&hand, 2, 0, "a");
    refuse(ERR_CORRUPT, "revision 2/0: it is there twice");
}

static void a_record_that_is_no_message(void **state)
{
    (void)state;
    char rev[ETCDB_REV_BYTES];
    hand_bucket(&hand, "key");
    etcdb__put_rev(rev, 2, 0);
    hand_pair(&hand, slice_of(rev, sizeof rev), SLICE("\x0a\x7f"));
    refuse(ERR_CORRUPT, "revision 2/0: malformed");
}

static void a_record_of_another_revision(void **state)
{
    (void)state;
    char rev[ETCDB_REV_BYTES];
    hand_bucket(&hand, "key");
    etcdb__put_rev(rev, 2, 0);
    hand_pair(&hand, slice_of(rev, sizeof rev),
              SLICE("\x0a\x01"
                    "a\x10\x02\x18\x03\x20\x01"));
    refuse(ERR_CORRUPT, "revision 2/0: malformed");
}

static void lives_that_cannot_be(void **state)
{
    (void)state;
    static const struct {
        revision create;
        int64_t version;
    } cases[] = {{3, 1}, {0, 1}, {-1, 1}, {2, 0}, {2, -5}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        hand_bucket(&hand, "key");
        hand_record(&hand, 2, 0, "a", "1", cases[i].create, cases[i].version);
        refuse(ERR_CORRUPT, "revision 2/0: its key's life can't be");
        hand_free(&hand);
        hand_begin(&hand);
    }
}

static void too_many_revisions_without_records(void **state)
{
    (void)state;
    hand_bucket(&hand, "key");
    hand_record(&hand, INT64_C(1) << 60, 0, "a", "1", 2, 1);
    refuse(ERR_CORRUPT, "too many revisions are missing");
}

static void a_lease_that_is_malformed(void **state)
{
    (void)state;
    static const struct slice bad[][2] = {
        {{"\0\0\0\0\0\0\0\1", 8}, {"\x08\x02\x10\x05", 4}}, /* another id */
        {{"\0\0\0\0\0\0\0\1", 8}, {"\x08", 1}},
        {{"\0\0\0\0\0\0\0\1", 8}, {"", 0}},
        {{"\0\0\1", 3}, {"\x08\x01\x10\x05", 4}},
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        hand_bucket(&hand, "lease");
        hand_pair(&hand, bad[i][0], bad[i][1]);
        refuse(ERR_CORRUPT, "a lease is malformed");
        hand_free(&hand);
        hand_begin(&hand);
    }
}

static void a_lease_of_etcds_with_an_id_of_ours(void **state)
{
    (void)state;
    hand_bucket(&hand, "lease");
    hand_lease(&hand, LEASE_V2 | 5, 100, 0);
    refuse(ERR_UNSUPPORTED, "lease 4000000000000005 has an id");
}

static void a_compaction_that_is_malformed(void **state)
{
    (void)state;
    hand_bucket(&hand, "meta");
    hand_pair(&hand, SLICE("scheduledCompactRev"), SLICE("123"));
    refuse(ERR_CORRUPT, "its compacted revision is malformed");
}

static void a_store_that_is_there_stays(void **state)
{
    (void)state;
    struct etcdb_imported imported;
    hand_bucket(&hand, "key");
    hand_record(&hand, 2, 0, "a", "1", 2, 1);
    take();
    node_harness_close(&world);
    assert_int_equal(try_import(&world, FILE_OF(hand), NULL, &imported),
                     ERR_EXISTS);
    assert_int_equal(node_harness_open(&world), ERR_OK);
    IS(node_harness_get(&world, "/nothing") ? "" : "none", "none");
}

/* ---- any damage ---------------------------------------------------------- */

static void any_byte_is_another(void **state)
{
    (void)state;
    struct prng prng;
    prng_init(&prng, 4);
    hand_bucket(&hand, "key");
    hand_record(&hand, 2, 0, "a", "1", 2, 1);
    hand_record(&hand, 3, 0, "a", "2", 2, 2);
    hand_tombstone(&hand, 4, 0, "a");
    hand_bucket(&hand, "lease");
    hand_lease(&hand, 7, 100, 5);
    hand_bucket(&hand, "meta");
    hand_rev(&hand, "finishedCompactRev", 2);
    hand_rev(&hand, "scheduledCompactRev", 3);
    hand_end(&hand);
    size_t taken = 0;
    for (int i = 0; i < 3000; i++) {
        struct etcdb_imported imported;
        struct node_harness other;
        /* The pages' beginnings: the rest is empty. */
        size_t at =
            2 * 4096 + prng_below(&prng, 6) * 4096 + prng_below(&prng, 200);
        if (at >= hand.file.size)
            continue;
        char was = hand.file.at[at];
        hand.file.at[at] = (char)prng_below(&prng, 256);
        const struct etcdb_import change = {.missing_max = 1000};
        node_harness_init(&other, 1);
        enum err err = try_import(&other, FILE_OF(hand), &change, &imported);
        assert_true(err == ERR_OK || err == ERR_CORRUPT ||
                    err == ERR_UNSUPPORTED || err == ERR_TOO_LARGE);
        if (err == ERR_OK) {
            assert_int_equal(node_harness_open(&other), ERR_OK);
            put_text(&other, "b", "1");
            taken++;
        }
        node_harness_deinit(&other);
        hand.file.at[at] = was;
    }
    assert_true(taken > 100);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        STORY(a_file_without_buckets_is_an_empty_store),
        STORY(keys_come_with_their_past),
        STORY(a_compaction_that_etcd_did_not_finish_is_finished),
        STORY(what_a_compaction_left_need_not_be_ours),
        STORY(what_bump_revision_made_is_passed_over),
        STORY(a_revision_without_records_is_filled),
        STORY(leases_begin_anew),
        STORY(leases_of_members_are_the_same),
        STORY(a_lease_that_nobody_has_granted_binds_nothing),
        STORY(a_file_whose_auth_is_on),
        STORY(the_revision_can_be_raised),
        STORY(by_too_much_is_refused),
        STORY(the_member_is_the_new_clusters),
        STORY(what_is_no_file_of_bbolt),
        STORY(a_revision_of_another_size),
        STORY(a_revision_with_another_ending),
        STORY(a_revision_that_is_too_great),
        STORY(a_sub_revision_that_is_too_great),
        STORY(a_revision_that_is_a_put_and_a_delete),
        STORY(a_record_that_is_no_message),
        STORY(a_record_of_another_revision),
        STORY(lives_that_cannot_be),
        STORY(too_many_revisions_without_records),
        STORY(a_lease_that_is_malformed),
        STORY(a_lease_of_etcds_with_an_id_of_ours),
        STORY(a_compaction_that_is_malformed),
        STORY(a_store_that_is_there_stays),
        STORY(any_byte_is_another),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
