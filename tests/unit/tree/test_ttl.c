/* TTLs: leases that a key or a directory has for itself. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "support/tree_world.h"

static struct tree_world world;

static int open_world(void **state)
{
    (void)state;
    tree_world_open(&world);
    return 0;
}

static int close_world(void **state)
{
    (void)state;
    tree_world_close(&world);
    return 0;
}

#define STORY(name) \
    cmocka_unit_test_setup_teardown(name, open_world, close_world)
#define DO(line, answer) \
    assert_string_equal(tree_world_do(&world, line), answer)
#define GET(path, node) assert_string_equal(tree_world_get(&world, path), node)
#define LIST(path, names) \
    assert_string_equal(tree_world_list(&world, path), names)
#define PUT(key) tree_world_put(&world, key, "v")

static void sleep_s(int64_t seconds)
{
    world.now_ns += seconds * TREE_WORLD_SECOND_NS;
}

static void a_key_ends_when_its_time_is_over(void **state)
{
    (void)state;
    DO("set /t =1 ttl=5", "201 set /t=1 [2,2] ttl=5");
    assert_int_equal(lease_count(world.leases), 1);
    sleep_s(4);
    GET("/t", "/t=1 [2,2] ttl=1");
    assert_int_equal(tree_world_expire(&world), 0);
    sleep_s(1);
    assert_int_equal(tree_world_expire(&world), 1);
    assert_int_equal(world.expired, 1);
    GET("/t", "100 /t @3");
    assert_int_equal(lease_count(world.leases), 0);
    assert_string_equal(tree_world_watch(&world, "/t", false, 3),
                        "expire /t= [2,3] was /t=1 [2,2] ttl=0");
}

static void a_ttl_of_zero_ends_at_the_next_expiry(void **state)
{
    (void)state;
    DO("set /t =1 ttl=0", "201 set /t=1 [2,2] ttl=0");
    GET("/t", "/t=1 [2,2] ttl=0");
    assert_int_equal(tree_world_expire(&world), 1);
    GET("/t", "100 /t @3");
}

static void the_lease_is_named_after_the_write(void **state)
{
    (void)state;
    struct record record;
    int64_t expire_ns = 0;
    tree_world_do(&world, "set /t =1 ttl=5");
    mvcc_read_begin(world.reader);
    assert_int_equal(mvcc_get(world.reader, MVCC_KEYS, SLICE("/t"), 0, &record),
                     ERR_OK);
    mvcc_read_end(world.reader);
    assert_true(record.lease == (LEASE_V2 | 2));
    assert_true(lease_get(world.leases, LEASE_V2 | 2, &expire_ns));
    assert_true(expire_ns == TREE_WORLD_START_NS + 5 * TREE_WORLD_SECOND_NS);
    assert_true(record.expire_ns == expire_ns);
}

static void every_change_leaves_the_old_lease(void **state)
{
    (void)state;
    int64_t expire_ns;
    const struct {
        const char *line;
        size_t leases;
    } changes[] = {
        {"set /t =1 ttl=5", 1},
        {"set /t =1", 0},
        {"set /t =1 ttl=5", 1},
        {"set /t =1 ttl=6", 1},
        {"update /t =1", 0},
        {"update /t ttl=7", 1},
        {"update /t ttl=8 refresh", 1},
        {"cas /t =3 prevIndex=8", 0},
        {"cas /t prevIndex=9 ttl=1", 1},
        {"delete /t", 0},
        {"set /t ttl=9", 1},
        {"cad /t prevIndex=12", 0},
        {"set /t ttl=9", 1},
        {"set /t dir", 0},
        {"update /t ttl=4", 1},
        {"set /t/x ttl=4", 2},
        {"set /t/y/z ttl=4", 3},
        {"update /t/y ttl=4", 4},
        {"update /t", 3},
        {"delete /t recursive", 0},
    };
    for (size_t i = 0; i < sizeof changes / sizeof changes[0]; i++) {
        tree_world_do(&world, changes[i].line);
        assert_int_equal(world.result.error, TREE_NONE);
        assert_int_equal(lease_count(world.leases), changes[i].leases);
        assert_false(lease_get(world.leases,
                               LEASE_V2 | (world.commit->main - 1),
                               &expire_ns) &&
                     changes[i].leases == 1);
    }
}

static void a_refreshed_key_lives_on(void **state)
{
    (void)state;
    tree_world_do(&world, "set /t =1 ttl=5");
    sleep_s(4);
    tree_world_do(&world, "update /t refresh ttl=5");
    sleep_s(4);
    assert_int_equal(tree_world_expire(&world), 0);
    GET("/t", "/t=1 [2,3] ttl=1");
    /* A command for the lease that it had comes late. */
    mvcc_read_begin(world.reader);
    assert_int_equal(
        tree_expire(&world.tree, LEASE_V2 | 2, world.now_ns, NULL, NULL),
        ERR_OK);
    /* And one for the right lease, but too soon. */
    assert_int_equal(
        tree_expire(&world.tree, LEASE_V2 | 3, world.now_ns, NULL, NULL),
        ERR_OK);
    mvcc_read_end(world.reader);
    GET("/t", "/t=1 [2,3] ttl=1");
}

static void a_directory_takes_its_tree_along(void **state)
{
    (void)state;
    tree_world_do(&world, "set /d dir ttl=2");
    tree_world_do(&world, "set /d/x =1 ttl=100");
    tree_world_do(&world, "set /d/y/z =1");
    PUT("/d/v3");
    sleep_s(2);
    assert_int_equal(tree_world_expire(&world), 1);
    assert_int_equal(lease_count(world.leases), 0);
    LIST("/", "");
    GET("/d", "100 /d @6");
    const char *event = "expire /d/ [2,6] was /d/ [2,2] ttl=0";
    assert_string_equal(tree_world_watch(&world, "/", true, 6), event);
    assert_string_equal(tree_world_watch(&world, "/d/y/z", false, 6), event);
    assert_string_equal(tree_world_watch(&world, "/d/v3", false, 6), event);
    struct mvcc_status status;
    mvcc_status(world.mvcc, &status);
    assert_int_equal(status.keys + status.dirs, 0);
}

static void a_file_that_ends_leaves_its_directory(void **state)
{
    (void)state;
    tree_world_do(&world, "set /d/a =1 ttl=1");
    sleep_s(3);
    tree_world_expire(&world);
    GET("/d", "/d/ [2,2]");
    LIST("/d", "");
}

static void each_expiry_is_a_revision_soonest_first(void **state)
{
    (void)state;
    tree_world_do(&world, "set /c =1 ttl=3");
    tree_world_do(&world, "set /a =1 ttl=1");
    tree_world_do(&world, "set /b =1 ttl=2");
    tree_world_do(&world, "set /d =1 ttl=9");
    sleep_s(5);
    assert_int_equal(tree_world_expire(&world), 3);
    assert_string_equal(tree_world_watch(&world, "/", true, 6),
                        "expire /a= [3,6] was /a=1 [3,3] ttl=-4; "
                        "expire /b= [4,7] was /b=1 [4,4] ttl=-3; "
                        "expire /c= [2,8] was /c=1 [2,2] ttl=-2");
    LIST("/", "d");
}

/* A nanosecond count of 64 bits wraps around, as etcd's does. */
static void huge_ttls(void **state)
{
    (void)state;
    DO("set /t ttl=9223372036", "201 set /t= [2,2]");
    DO("set /t ttl=9223372037", "200 set /t= [3,3] was /t= [2,2]");
    DO("set /t ttl=12000000000", "200 set /t= [4,4] was /t= [3,3]");
    DO("set /t ttl=8000000000", "200 set /t= [5,5] was /t= [4,4]");
    assert_int_equal(lease_count(world.leases), 0);
    DO("set /t ttl=7000000000",
       "200 set /t= [6,6] ttl=7000000000 was /t= [5,5]");
    DO("update /t ttl=12000000000",
       "200 update /t= [6,7] was /t= [6,6] ttl=7000000000");
    DO("set /t ttl=18446744080", "200 set /t= [8,8] ttl=6 was /t= [6,7]");
    DO("set /t ttl=18446744073709551615",
       "200 set /t= [9,9] ttl=-1 was /t= [8,8] ttl=6");
    assert_int_equal(tree_world_expire(&world), 1);
}

static void a_clock_that_begins_at_zero(void **state)
{
    (void)state;
    world.now_ns = 1000;
    DO("set /t ttl=2", "201 set /t= [2,2] ttl=2");
    DO("set /u ttl=18446744073709551615", "201 set /u= [3,3]");
    sleep_s(2);
    assert_int_equal(tree_world_expire(&world), 1);
    LIST("/", "u");
}

static void leases_are_restored(void **state)
{
    (void)state;
    tree_world_do(&world, "set /a =1 ttl=5");
    tree_world_do(&world, "set /d dir ttl=6");
    tree_world_do(&world, "set /d/x =1");
    tree_world_do(&world, "set /b =1 ttl=7");
    tree_world_do(&world, "set /b =2");
    tree_world_do(&world, "set /c =1 ttl=1");
    tree_world_do(&world, "delete /c");
    tree_world_reopen(&world);
    assert_int_equal(lease_count(world.leases), 2);
    GET("/a", "/a=1 [2,2] ttl=5");
    sleep_s(6);
    assert_int_equal(tree_world_expire(&world), 2);
    assert_string_equal(tree_world_watch(&world, "/", true, 9),
                        "expire /a= [2,9] was /a=1 [2,2] ttl=-1; "
                        "expire /d/ [3,10] was /d/ [3,3] ttl=0");
    LIST("/", "b");
}

/* A snapshot took the store's place: the table is built anew from it. */
static void leases_are_restored_after_a_reload(void **state)
{
    (void)state;
    tree_world_do(&world, "set /a =1 ttl=5");
    tree_world_do(&world, "set /b =1 ttl=7");
    tree_world_flush(&world);
    tree_world_do(&world, "set /a =2");
    tree_world_do(&world, "set /late =1 ttl=9");
    assert_int_equal(lease_count(world.leases), 2);
    /* What was not flushed is thrown away, as with any other state. */
    assert_int_equal(mvcc_reload(world.mvcc), ERR_OK);
    lease_table_clear(world.leases);
    mvcc_read_begin(world.reader);
    assert_int_equal(tree_restore_leases(&world.tree), ERR_OK);
    mvcc_read_end(world.reader);
    assert_int_equal(lease_count(world.leases), 2);
    LIST("/", "a b");
    sleep_s(6);
    assert_int_equal(tree_world_expire(&world), 1);
    LIST("/", "b");
    tree_world_do(&world, "set /b =2");
    assert_int_equal(lease_count(world.leases), 0);
}

/* ---- leases of v3's: several keys ---------------------------------------- */

static void put_with_lease(const char *key, lease_id lease)
{
    struct mvcc_put put = {.table = MVCC_KEYS,
                           .cause = MVCC_PUT,
                           .key = slice_str(key),
                           .lease = lease};
    mvcc_begin(world.mvcc, world.now_ns);
    mvcc_put(world.mvcc, &put);
    mvcc_commit_unref(mvcc_commit(world.mvcc));
    lease_attach(world.leases, lease, MVCC_KEYS, put.key);
}

static void put_with_lease_granted(const char *key, lease_id lease)
{
    lease_grant(world.leases, lease, 100, world.now_ns + 100);
    put_with_lease(key, lease);
}

/* What v2 writes has the time that v2 gives it, or none. */
static void what_v2_writes_leaves_the_lease_of_v3(void **state)
{
    (void)state;
    static const char *const writes[] = {
        "set /x =1",
        "update /x =1",
        "set /x =1 ttl=50",
        "delete /x",
    };
    for (size_t i = 0; i < sizeof writes / sizeof *writes; i++) {
        struct lease_info info;
        struct mvcc_status status;
        lease_id held = 0;
        put_with_lease_granted("/x", 77);
        (void)tree_world_do(&world, writes[i]);
        mvcc_status(world.mvcc, &status);
        assert_true(lease_info(world.leases, 77, &info));
        assert_int_equal(info.keys, 0);
        assert_true(lease_of_key(world.leases, MVCC_KEYS, SLICE("/x"), &held) ==
                    (i == 2));
        assert_true(held == (i == 2 ? (LEASE_V2 | status.current) : 0));
        if (i == 2)
            lease_detach(world.leases, held, MVCC_KEYS, SLICE("/x"));
    }
}

static void a_lease_of_v3_ends_with_all_its_keys(void **state)
{
    (void)state;
    int64_t expire_ns;
    lease_set(world.leases, 77, world.now_ns + 5);
    put_with_lease("/x", 77);
    put_with_lease("plain", 77);
    put_with_lease("/y", 77);
    DO("set /y =1", "200 set /y=1 [5,5] was /y= [4,4]");
    world.now_ns += 5;
    assert_int_equal(tree_world_expire(&world), 1);
    assert_int_equal(world.expired, 2);
    assert_false(lease_get(world.leases, 77, &expire_ns));
    assert_string_equal(tree_world_watch(&world, "/", true, 6),
                        "expire /x= [2,6] was /x= [2,2]");
    LIST("/", "y");
}

static void a_lease_of_v3_without_keys_just_ends(void **state)
{
    (void)state;
    lease_set(world.leases, 77, world.now_ns);
    assert_int_equal(tree_world_expire(&world), 1);
    assert_int_equal(world.expired, 0);
    assert_int_equal(lease_count(world.leases), 0);
    assert_int_equal(tree_world_revision(&world), 1);
}

/* ---- what v3 sees of a v2 TTL -------------------------------------------- */

static void a_lease_tells_what_was_granted(void **state)
{
    (void)state;
    struct lease_info info;
    DO("set /x =1 ttl=30", "201 set /x=1 [2,2] ttl=30");
    assert_true(lease_info(world.leases, LEASE_V2 | 2, &info));
    assert_int_equal(info.granted_s, 30);
    assert_int_equal(info.expire_ns, world.now_ns + 30 * TREE_WORLD_SECOND_NS);
    assert_int_equal(info.keys, 1);
    world.now_ns += 7 * TREE_WORLD_SECOND_NS;
    tree_world_flush(&world);
    lease_table_clear(world.leases);
    assert_int_equal(mvcc_reload(world.mvcc), ERR_OK);
    mvcc_read_begin(world.reader);
    assert_int_equal(tree_restore_leases(&world.tree), ERR_OK);
    mvcc_read_end(world.reader);
    assert_true(lease_info(world.leases, LEASE_V2 | 2, &info));
    assert_int_equal(info.granted_s, 30);
}

static void drop_commit(void *context, struct mvcc_commit *commit)
{
    *(size_t *)context += 1;
    mvcc_commit_unref(commit);
}

static size_t revoke(lease_id id)
{
    size_t commits = 0;
    mvcc_read_begin(world.reader);
    assert_int_equal(
        tree_revoke(&world.tree, id, world.now_ns, drop_commit, &commits),
        ERR_OK);
    mvcc_read_end(world.reader);
    return commits;
}

static void a_revoked_lease_deletes_its_key(void **state)
{
    (void)state;
    DO("set /x =1 ttl=30", "201 set /x=1 [2,2] ttl=30");
    assert_int_equal(revoke(LEASE_V2 | 2), 1);
    assert_int_equal(lease_count(world.leases), 0);
    GET("/x", "100 /x @3");
    assert_string_equal(tree_world_watch(&world, "/", true, 3),
                        "delete /x= [2,3] was /x=1 [2,2] ttl=30");
    assert_int_equal(revoke(LEASE_V2 | 2), 0); /* it is gone */
}

static void a_revoked_directory_goes_with_its_tree(void **state)
{
    (void)state;
    DO("set /d dir ttl=30", "201 set /d/ [2,2] ttl=30");
    DO("set /d/a =1", "201 set /d/a=1 [3,3]");
    put_with_lease_granted("/d/b", 77);
    assert_int_equal(revoke(LEASE_V2 | 2), 1);
    LIST("/", "");
    struct lease_info info;
    assert_true(lease_info(world.leases, 77, &info));
    assert_int_equal(info.keys, 0);
}

/* v3's leases have a life of their own: they are granted again before the
 * keys are given back to them. */
static void keys_go_back_to_leases_that_are_there(void **state)
{
    (void)state;
    lease_set(world.leases, 77, world.now_ns);
    lease_set(world.leases, 78, world.now_ns);
    put_with_lease("/x", 77);
    put_with_lease("/y", 78);
    tree_world_flush(&world);
    mvcc_reader_free(world.reader);
    mvcc_close(world.mvcc);
    lease_table_free(world.leases);
    struct mvcc_config config = {.kv = world.kv, .seed = 7};
    assert_int_equal(mvcc_open(&config, &world.mvcc), ERR_OK);
    assert_int_equal(mvcc_reader_new(world.mvcc, &world.reader), ERR_OK);
    world.leases = lease_table_new();
    world.tree = (struct tree){
        .mvcc = world.mvcc, .reader = world.reader, .leases = world.leases};
    lease_set(world.leases, 77, world.now_ns);
    mvcc_read_begin(world.reader);
    assert_int_equal(tree_restore_leases(&world.tree), ERR_OK);
    mvcc_read_end(world.reader);
    assert_int_equal(lease_count(world.leases), 1);
    assert_int_equal(tree_world_expire(&world), 1);
    GET("/x", "100 /x @4");
    GET("/y", "/y= [3,3]");
}

/* A lease may hold a key whose record has gone another way: it lets go. */
static void a_key_of_another_lease_stays(void **state)
{
    (void)state;
    lease_set(world.leases, 77, world.now_ns);
    lease_attach(world.leases, 77, MVCC_KEYS, SLICE("/other"));
    lease_attach(world.leases, 77, MVCC_KEYS, SLICE("/none"));
    mvcc_begin(world.mvcc, world.now_ns);
    mvcc_put(world.mvcc, &(struct mvcc_put){.cause = MVCC_PUT,
                                            .key = SLICE("/other"),
                                            .lease = 78});
    mvcc_commit_unref(mvcc_commit(world.mvcc));
    assert_int_equal(tree_world_expire(&world), 1);
    assert_int_equal(world.expired, 0);
    GET("/other", "/other= [2,2]");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        STORY(a_key_ends_when_its_time_is_over),
        STORY(a_ttl_of_zero_ends_at_the_next_expiry),
        STORY(the_lease_is_named_after_the_write),
        STORY(every_change_leaves_the_old_lease),
        STORY(a_refreshed_key_lives_on),
        STORY(a_directory_takes_its_tree_along),
        STORY(a_file_that_ends_leaves_its_directory),
        STORY(each_expiry_is_a_revision_soonest_first),
        STORY(huge_ttls),
        STORY(a_clock_that_begins_at_zero),
        STORY(leases_are_restored),
        STORY(leases_are_restored_after_a_reload),
        STORY(a_lease_of_v3_ends_with_all_its_keys),
        STORY(a_lease_of_v3_without_keys_just_ends),
        STORY(what_v2_writes_leaves_the_lease_of_v3),
        STORY(a_lease_tells_what_was_granted),
        STORY(a_revoked_lease_deletes_its_key),
        STORY(a_revoked_directory_goes_with_its_tree),
        STORY(keys_go_back_to_leases_that_are_there),
        STORY(a_key_of_another_lease_stays),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
