/* Where v3 wrote: directories that are only implied, files over directories,
 * keys that are not in the tree. */
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

/* ---- implied directories ------------------------------------------------- */

static void keys_imply_the_directories_above_them(void **state)
{
    (void)state;
    PUT("/i/j/k");
    GET("/i", "/i/ implied");
    GET("/i/j", "/i/j/ implied");
    GET("/i/j/k", "/i/j/k=v [2,2]");
    GET("/i/x", "100 /i/x @2");
    GET("/i/j/k/l", "104 /i/j/k @2");
    LIST("/", "i//");
    LIST("/i", "j//");
    assert_true(tree_world_remove(&world, "/i/j/k"));
    GET("/i", "100 /i @3");
    LIST("/", "");
}

static void what_v2_writes_below_makes_them_real(void **state)
{
    (void)state;
    PUT("/i/j/k");
    DO("set /i/j/l =1", "201 set /i/j/l=1 [3,3]");
    GET("/i", "/i/ [3,3]");
    GET("/i/j", "/i/j/ [3,3]");
    assert_true(tree_world_remove(&world, "/i/j/k"));
    DO("delete /i/j/l", "200 delete /i/j/l= [3,5] was /i/j/l=1 [3,3]");
    GET("/i/j", "/i/j/ [3,3]");
}

static void a_set_of_what_v3_wrote_makes_them_real_too(void **state)
{
    (void)state;
    PUT("/i/j/k");
    DO("set /i/j/k =1", "200 set /i/j/k=1 [3,3] was /i/j/k=v [2,2]");
    GET("/i/j", "/i/j/ [3,3]");
    /* These only change what is there. */
    PUT("/p/q");
    DO("update /p/q =1", "200 update /p/q=1 [4,5] was /p/q=v [4,4]");
    DO("cas /p/q =2 prevIndex=5",
       "200 compareAndSwap /p/q=2 [4,6] was /p/q=1 [4,5]");
    GET("/p", "/p/ implied");
}

static void they_are_directories_to_every_verb(void **state)
{
    (void)state;
    PUT("/i/j");
    DO("set /i =1", "102 /i @2");
    DO("set /i dir", "102 /i @2");
    DO("create /i dir", "105 /i @2");
    DO("update /i =1", "102 /i @2");
    DO("cas /i =1 prevValue=x", "102 /i @2");
    DO("cad /i prevIndex=2", "102 /i @2");
    DO("delete /i", "102 /i @2");
    DO("delete /i dir", "108 /i @2");
    DO("post /i =1", "201 create /i/00000000000000000003=1 [3,3]");
}

static void one_that_is_updated_gets_a_record(void **state)
{
    (void)state;
    PUT("/i/j/k");
    DO("update /i/j ttl=9", "200 update /i/j/ [3,3] ttl=9 was /i/j/ implied");
    GET("/i", "/i/ [3,3]");
    GET("/i/j", "/i/j/ [3,3] ttl=9");
    assert_string_equal(tree_world_watch(&world, "/i/j", false, 3),
                        "update /i/j/ [3,3] ttl=9 was /i/j/ implied");
}

static void one_that_is_deleted_is_one_event(void **state)
{
    (void)state;
    PUT("/i/a");
    PUT("/i/j/k");
    DO("delete /i recursive", "200 delete /i/ [0,4] was /i/ implied");
    const char *event = "delete /i/ [0,4] was /i/ implied";
    assert_string_equal(tree_world_watch_live(&world, "/", true), event);
    assert_string_equal(tree_world_watch_live(&world, "/i", false), event);
    assert_string_equal(tree_world_watch_live(&world, "/i/a", false), event);
    assert_string_equal(tree_world_watch_live(&world, "/i/j", true), event);
    assert_string_equal(tree_world_watch(&world, "/", true, 4), event);
    assert_string_equal(tree_world_watch(&world, "/i/j/k", false, 4), event);
    GET("/i", "100 /i @4");
    LIST("/", "");
    struct mvcc_status status;
    mvcc_status(world.mvcc, &status);
    assert_int_equal(status.keys + status.dirs, 0);
}

/* ---- a file and keys below it -------------------------------------------- */

static void a_file_with_keys_below_is_a_file(void **state)
{
    (void)state;
    PUT("/a");
    PUT("/a/b/c");
    GET("/a", "/a=v [2,2]");
    GET("/a/b", "/a/b/ implied");
    GET("/a/b/c", "/a/b/c=v [3,3]");
    LIST("/", "a");
    LIST("/a", "b//");
    GET("/a/x", "104 /a @3");
    DO("set /a/x =1", "104 /a @3");
    DO("update /a/b/c =1", "200 update /a/b/c=1 [3,4] was /a/b/c=v [3,3]");
    DO("delete /a", "200 delete /a= [2,5] was /a=v [2,2]");
    GET("/a", "/a/ implied");
    GET("/a/b/c", "/a/b/c=1 [3,4]");
}

static void below_what_is_there_nothing_is_in_the_way(void **state)
{
    (void)state;
    PUT("/a");
    PUT("/a/b/c");
    DO("set /a/b/d =1", "201 set /a/b/d=1 [4,4]");
    DO("set /a/b/c =1", "200 set /a/b/c=1 [5,5] was /a/b/c=v [3,3]");
    GET("/a", "/a=v [2,2]");
    GET("/a/b/x/y", "100 /a/b/x @5");
    assert_true(tree_world_remove(&world, "/a"));
    GET("/a", "/a/ [4,4]");
}

static void a_file_hides_the_directory_behind_it(void **state)
{
    (void)state;
    DO("set /a/b =1", "201 set /a/b=1 [2,2]");
    DO("update /a ttl=100", "200 update /a/ [2,3] ttl=100 was /a/ [2,2]");
    PUT("/a");
    GET("/a", "/a=v [4,4]");
    LIST("/", "a");
    DO("set /a/c =1", "104 /a @4");
    DO("delete /a recursive", "200 delete /a= [4,5] was /a=v [4,4]");
    GET("/a", "/a/ [2,2] ttl=100");
    PUT("/a");
    /* Now the directory starts anew, and so does its end. */
    DO("set /a dir", "200 set /a/ [7,7] was /a=v [6,6]");
    GET("/a", "/a/ [7,7]");
    assert_int_equal(lease_count(world.leases), 0);
    assert_string_equal(tree_world_watch(&world, "/a", false, 7),
                        "set /a/ [7,7] was /a=v [6,6]");
    GET("/a/b", "/a/b=1 [2,2]");
}

static void a_hidden_directory_ends_behind_its_file(void **state)
{
    (void)state;
    DO("set /a dir ttl=1", "201 set /a/ [2,2] ttl=1");
    DO("set /a/b =1", "201 set /a/b=1 [3,3]");
    PUT("/a");
    world.now_ns += TREE_WORLD_SECOND_NS;
    assert_int_equal(tree_world_expire(&world), 1);
    GET("/a", "/a=v [4,4]");
    GET("/a/b", "104 /a @5");
}

/* ---- not in the tree ----------------------------------------------------- */

static void unclean_keys_are_not_in_the_tree(void **state)
{
    (void)state;
    const char *keys[] = {"a",      "a/b",   "",        "/",
                          "//",     "/u//b", "/u/",     "/./x",
                          "/../x",  "/x/.",  "/x/..",   "/x/../y",
                          "/x/./y", "/u//",  "/y//z/a", "/z/a//"};
    for (size_t i = 0; i < sizeof keys / sizeof keys[0]; i++)
        PUT(keys[i]);
    LIST("/", "");
    GET("/u", "100 /u @17");
    GET("/x", "100 /x @17");
    GET("/", "/");
    DO("set /u =1", "201 set /u=1 [18,18]");
    DO("set /x dir", "201 set /x/ [19,19]");
    DO("delete /x dir", "200 delete /x/ [19,20] was /x/ [19,19]");
    assert_string_equal(tree_world_watch(&world, "/", true, 2),
                        "set /u=1 [18,18]; set /x/ [19,19]; "
                        "delete /x/ [19,20] was /x/ [19,19]");
    for (size_t i = 0; i < sizeof keys / sizeof keys[0]; i++)
        assert_true(tree_world_remove(&world, keys[i]));
}

static void clean_keys_are_found_among_unclean_ones(void **state)
{
    (void)state;
    PUT("/u/");
    PUT("/u//a");
    PUT("/u//b");
    PUT("/u/./c");
    PUT("/u/d/");
    GET("/u", "100 /u @6");
    PUT("/u/e/../f");
    PUT("/u/e/f");
    GET("/u", "/u/ implied");
    LIST("/", "u//");
    LIST("/u", "e//");
    PUT("/u/-");
    LIST("/u", "- e//");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        STORY(keys_imply_the_directories_above_them),
        STORY(what_v2_writes_below_makes_them_real),
        STORY(a_set_of_what_v3_wrote_makes_them_real_too),
        STORY(they_are_directories_to_every_verb),
        STORY(one_that_is_updated_gets_a_record),
        STORY(one_that_is_deleted_is_one_event),
        STORY(a_file_with_keys_below_is_a_file),
        STORY(below_what_is_there_nothing_is_in_the_way),
        STORY(a_file_hides_the_directory_behind_it),
        STORY(a_hidden_directory_ends_behind_its_file),
        STORY(unclean_keys_are_not_in_the_tree),
        STORY(clean_keys_are_found_among_unclean_ones),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
