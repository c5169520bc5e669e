/* Stories of v2's writes, verb by verb. What is expected here is what etcd
 * answers to the same, save where v3 has been at work. */
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

#define DO(line, answer) \
    assert_string_equal(tree_world_do(&world, line), answer)
#define GET(path, node) assert_string_equal(tree_world_get(&world, path), node)
#define LIST(path, names) \
    assert_string_equal(tree_world_list(&world, path), names)

/* ---- set ----------------------------------------------------------------- */

static void set_starts_a_new_life(void **state)
{
    (void)state;
    DO("set /a =1", "201 set /a=1 [2,2]");
    assert_true(world.result.created && !world.result.replaced);
    DO("set /a =2", "200 set /a=2 [3,3] was /a=1 [2,2]");
    assert_true(!world.result.created && world.result.replaced);
    GET("/a", "/a=2 [3,3]");
    DO("set /a", "200 set /a= [4,4] was /a=2 [3,3]");
}

static void set_makes_directories_on_the_way(void **state)
{
    (void)state;
    DO("set /a/b/c =1", "201 set /a/b/c=1 [2,2]");
    GET("/a", "/a/ [2,2]");
    GET("/a/b", "/a/b/ [2,2]");
    DO("set /a/b/d =1", "201 set /a/b/d=1 [3,3]");
    GET("/a/b", "/a/b/ [2,2]");
}

static void set_of_a_directory(void **state)
{
    (void)state;
    DO("set /d dir", "201 set /d/ [2,2]");
    DO("set /d dir", "102 /d @2");
    DO("set /d =x", "102 /d @2");
    DO("set /e dir =ignored", "201 set /e/ [3,3]");
}

static void a_directory_takes_a_files_place(void **state)
{
    (void)state;
    DO("set /s =2", "201 set /s=2 [2,2]");
    DO("set /s dir", "200 set /s/ [3,3] was /s=2 [2,2]");
    assert_true(world.result.replaced);
    GET("/s", "/s/ [3,3]");
    DO("set /s/x =1", "201 set /s/x=1 [4,4]");
}

static void a_file_is_no_directory(void **state)
{
    (void)state;
    DO("set /f =1", "201 set /f=1 [2,2]");
    DO("set /f/a =2", "104 /f @2");
    DO("set /f/a/b =2", "104 /f @2");
    DO("create /f/a =2", "104 /f @2");
    DO("post /f =2", "104 /f @2");
    DO("update /f/a =2", "104 /f @2");
    DO("cas /f/a =2 prevValue=1", "104 /f @2");
    DO("delete /f/a", "104 /f @2");
    DO("cad /f/a prevIndex=2", "104 /f @2");
    GET("/f/a/b", "104 /f @2");
}

static void the_root_is_read_only(void **state)
{
    (void)state;
    DO("set / =x", "107 / @1");
    DO("set / dir", "107 / @1");
    DO("create / =x", "107 / @1");
    DO("update / =x", "107 / @1");
    DO("cas / =x prevValue=y", "107 / @1");
    DO("delete / recursive", "107 / @1");
    DO("cad / prevIndex=3", "102  @1");
    DO("post / =x", "201 create /00000000000000000002=x [2,2]");
    GET("/", "/");
}

static void set_with_refresh_keeps_the_value(void **state)
{
    (void)state;
    DO("set /n refresh ttl=9", "100 /n @1");
    DO("set /n/x refresh ttl=9", "100 /n @1");
    DO("set /s =9", "201 set /s=9 [2,2]");
    DO("set /s refresh ttl=100",
       "200 set (refresh) /s=9 [3,3] ttl=100 was /s=9 [2,2]");
    DO("set /s refresh dir ttl=100",
       "200 set (refresh) /s/ [4,4] ttl=100 was /s=9 [3,3] ttl=100");
    DO("set /s refresh ttl=1", "102 /s @4");
}

/* ---- create -------------------------------------------------------------- */

static void create_needs_that_nothing_is_there(void **state)
{
    (void)state;
    DO("create /a/b =1", "201 create /a/b=1 [2,2]");
    DO("create /a/b =2", "105 /a/b @2");
    DO("create /a dir", "105 /a @2");
    DO("create /d dir =ignored", "201 create /d/ [3,3]");
    DO("create /d =1", "105 /d @3");
    DO("create /r refresh ttl=10", "201 create /r= [4,4] ttl=10");
}

static void posts_are_named_by_their_revision(void **state)
{
    (void)state;
    DO("post /q =1", "201 create /q/00000000000000000002=1 [2,2]");
    DO("post /q =2 ttl=7", "201 create /q/00000000000000000003=2 [3,3] ttl=7");
    DO("post /q dir", "201 create /q/00000000000000000004/ [4,4]");
    DO("post /new/deep =1",
       "201 create /new/deep/00000000000000000005=1 [5,5]");
    GET("/new", "/new/ [5,5]");
    /* v3 was there first. */
    tree_world_put(&world, "/q/00000000000000000007", "mine");
    DO("post /q =x", "105 /q/00000000000000000007 @6");
}

/* ---- update -------------------------------------------------------------- */

static void update_keeps_the_life(void **state)
{
    (void)state;
    DO("update /no/x =1", "100 /no @1");
    DO("set /a =1 ttl=50", "201 set /a=1 [2,2] ttl=50");
    DO("update /a =2", "200 update /a=2 [2,3] was /a=1 [2,2] ttl=50");
    DO("update /a ttl=100", "200 update /a= [2,4] ttl=100 was /a=2 [2,3]");
    DO("update /a dir =4", "200 update /a=4 [2,5] was /a= [2,4] ttl=100");
    DO("update /a refresh ttl=10",
       "200 update (refresh) /a=4 [2,6] ttl=10 was /a=4 [2,5]");
    GET("/a", "/a=4 [2,6] ttl=10");
    assert_false(world.result.created || world.result.replaced);
}

static void update_of_a_directory_moves_its_end_only(void **state)
{
    (void)state;
    DO("set /d dir", "201 set /d/ [2,2]");
    DO("update /d =x", "102 /d @2");
    DO("update /d", "200 update /d/ [2,3] was /d/ [2,2]");
    DO("update /d ttl=100", "200 update /d/ [2,4] ttl=100 was /d/ [2,2]");
    /* A directory stays at the index that made it. */
    GET("/d", "/d/ [2,2] ttl=100");
    DO("update /d dir refresh ttl=300",
       "200 update (refresh) /d/ [2,5] ttl=300 was /d/ [2,2] ttl=100");
    DO("update /d", "200 update /d/ [2,6] was /d/ [2,2] ttl=300");
    GET("/d", "/d/ [2,2]");
}

/* ---- compare ------------------------------------------------------------- */

static void compare_and_swap(void **state)
{
    (void)state;
    DO("cas /q/w =2 prevValue=1", "100 /q @1");
    DO("set /c =1", "201 set /c=1 [2,2]");
    DO("cas /c =3 prevValue=2", "101 [2 != 1] @2");
    DO("cas /c =3 prevIndex=9", "101 [9 != 2] @2");
    DO("cas /c =3 prevValue=2 prevIndex=9", "101 [2 != 1] [9 != 2] @2");
    DO("cas /c =3 prevValue=1 prevIndex=9", "101 [9 != 2] @2");
    DO("cas /c =3 prevValue=1 prevIndex=2",
       "200 compareAndSwap /c=3 [2,3] was /c=1 [2,2]");
    DO("cas /c prevIndex=3 ttl=50",
       "200 compareAndSwap /c= [2,4] ttl=50 was /c=3 [2,3]");
    DO("cas /c =x prevValue=y", "101 [y != ] @4");
    DO("cas /c =8 prevIndex=4 refresh ttl=200",
       "200 compareAndSwap (refresh) /c= [2,5] ttl=200 was /c= [2,4] ttl=50");
    DO("set /d dir", "201 set /d/ [6,6]");
    DO("cas /d =x prevIndex=6", "102 /d @6");
}

static void compare_and_delete(void **state)
{
    (void)state;
    DO("cad /c prevIndex=1", "100 /c @1");
    DO("set /c =s", "201 set /c=s [2,2]");
    DO("cad /c prevValue=x", "101 [x != s] @2");
    DO("cad /c prevIndex=1", "101 [1 != 2] @2");
    DO("cad /c prevIndex=1 prevValue=x", "101 [x != s] [1 != 2] @2");
    DO("cad /c prevIndex=2 prevValue=s",
       "200 compareAndDelete /c= [2,3] was /c=s [2,2]");
    GET("/c", "100 /c @3");
    DO("set /d dir", "201 set /d/ [4,4]");
    DO("cad /d prevIndex=4", "102 /d @4");
}

static void a_value_may_hold_any_byte(void **state)
{
    (void)state;
    struct tree_command command = {
        .op = TREE_SET, .path = SLICE("/z"), .value = slice_of("a\0b", 3)};
    tree_world_answer(&world, &command);
    command.op = TREE_COMPARE_AND_SWAP;
    command.prev_value = slice_of("a\0c", 3);
    tree_world_answer(&world, &command);
    assert_true(slice_eq(tree_result_cause(&world.result),
                         slice_of("[a\0c != a\0b]", 12)));
}

/* ---- delete -------------------------------------------------------------- */

static void delete_of_a_file(void **state)
{
    (void)state;
    DO("delete /no/x", "100 /no @1");
    DO("set /d/a =1", "201 set /d/a=1 [2,2]");
    DO("delete /d/a", "200 delete /d/a= [2,3] was /d/a=1 [2,2]");
    DO("delete /d/a", "100 /d/a @3");
    GET("/d", "/d/ [2,2]");
    DO("set /u =1", "201 set /u=1 [4,4]");
    DO("delete /u dir", "200 delete /u= [4,5] was /u=1 [4,4]");
    DO("set /u =1", "201 set /u=1 [6,6]");
    DO("delete /u recursive", "200 delete /u= [6,7] was /u=1 [6,6]");
}

static void delete_of_a_directory(void **state)
{
    (void)state;
    DO("set /d dir", "201 set /d/ [2,2]");
    DO("delete /d", "102 /d @2");
    DO("delete /d dir", "200 delete /d/ [2,3] was /d/ [2,2]");
    DO("set /d/_hidden =1", "201 set /d/_hidden=1 [4,4]");
    DO("delete /d dir", "108 /d @4");
    DO("delete /d", "102 /d @4");
    DO("delete /d recursive", "200 delete /d/ [4,5] was /d/ [4,4]");
    GET("/d/_hidden", "100 /d @5");
    DO("set /d/e dir", "201 set /d/e/ [6,6]");
    DO("delete /d dir", "108 /d @6");
}

static void delete_takes_all_below_and_nothing_else(void **state)
{
    (void)state;
    tree_world_do(&world, "set /d/a =1");
    tree_world_do(&world, "set /d/b/c/e =1");
    tree_world_do(&world, "set /d-x =1");
    tree_world_do(&world, "set /d0 =1");
    tree_world_put(&world, "/d//v3", "unclean");
    DO("delete /d recursive", "200 delete /d/ [2,7] was /d/ [2,2]");
    assert_int_equal(world.commit->count, 5);
    for (uint32_t i = 0; i < world.commit->count; i++) {
        const struct record *record = &world.commit->records[i];
        assert_int_equal(record->flags & MVCC_TOMBSTONE, MVCC_TOMBSTONE);
        assert_int_equal(record->flags & MVCC_PART, i == 0 ? 0 : MVCC_PART);
        assert_int_equal(record->cause, MVCC_DELETE);
    }
    LIST("/", "d-x d0");
    struct record record;
    mvcc_read_begin(world.reader);
    assert_int_equal(
        mvcc_get(world.reader, MVCC_KEYS, SLICE("/d//v3"), 0, &record), ERR_OK);
    mvcc_read_end(world.reader);
}

/* ---- errors leave nothing behind ----------------------------------------- */

static void a_failure_makes_no_revision(void **state)
{
    (void)state;
    tree_world_do(&world, "set /f =1");
    tree_world_do(&world, "set /d dir");
    struct mvcc_status before, after;
    mvcc_status(world.mvcc, &before);
    tree_world_do(&world, "set /f/x/y =1");
    tree_world_do(&world, "set /d =1");
    tree_world_do(&world, "create /f =1");
    tree_world_do(&world, "update /x/y =1");
    mvcc_status(world.mvcc, &after);
    assert_int_equal(before.current, after.current);
    assert_int_equal(before.keys, after.keys);
    assert_int_equal(before.dirs, after.dirs);
    assert_int_equal(lease_count(world.leases), 0);
}

static void each_error_has_its_text(void **state)
{
    (void)state;
    assert_string_equal(tree_error_text(TREE_NONE), "");
    assert_string_equal(tree_error_text(TREE_KEY_NOT_FOUND), "Key not found");
    assert_string_equal(tree_error_text(TREE_NOT_DIR), "Not a directory");
    assert_string_equal(tree_error_text(TREE_INDEX_CLEARED),
                        "The event in requested index is outdated and cleared");
}

#define STORY(name) \
    cmocka_unit_test_setup_teardown(name, open_world, close_world)

int main(void)
{
    const struct CMUnitTest tests[] = {
        STORY(set_starts_a_new_life),
        STORY(set_makes_directories_on_the_way),
        STORY(set_of_a_directory),
        STORY(a_directory_takes_a_files_place),
        STORY(a_file_is_no_directory),
        STORY(the_root_is_read_only),
        STORY(set_with_refresh_keeps_the_value),
        STORY(create_needs_that_nothing_is_there),
        STORY(posts_are_named_by_their_revision),
        STORY(update_keeps_the_life),
        STORY(update_of_a_directory_moves_its_end_only),
        STORY(compare_and_swap),
        STORY(compare_and_delete),
        STORY(a_value_may_hold_any_byte),
        STORY(delete_of_a_file),
        STORY(delete_of_a_directory),
        STORY(delete_takes_all_below_and_nothing_else),
        STORY(a_failure_makes_no_revision),
        STORY(each_error_has_its_text),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
