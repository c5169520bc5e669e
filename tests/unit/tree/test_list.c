/* Listings: what is in them and in which order. */
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

static void children_come_by_name(void **state)
{
    (void)state;
    LIST("/", "");
    tree_world_do(&world, "set /d/b =1");
    tree_world_do(&world, "set /d/a dir");
    tree_world_do(&world, "set /d/a/x =1");
    tree_world_do(&world, "set /d/c/y/z =1");
    tree_world_do(&world, "set /e =1");
    LIST("/", "d/ e");
    LIST("/d", "a/ b c/");
    LIST("/d/c", "y/");
    LIST("/e", "");
    LIST("/none", "");
}

static void hidden_ones_are_left_out(void **state)
{
    (void)state;
    tree_world_do(&world, "set /_h/x =1");
    tree_world_do(&world, "set /_h/_y/z =1");
    tree_world_do(&world, "set /_ =1");
    tree_world_do(&world, "set /^ =1");
    tree_world_do(&world, "set /` =1");
    PUT("/_i/x");
    PUT("/a_/x");
    LIST("/", "^ ` a_//");
    LIST("/_h", "x");
    LIST("/_h/_y", "z");
}

/* The key "/d/b-c" is before "/d/b/x", the name "b" before "b-c". */
static void a_slash_is_greater_than_a_dash(void **state)
{
    (void)state;
    PUT("/d/b-c");
    PUT("/d/b/x");
    PUT("/d/b/y");
    PUT("/d/b0");
    LIST("/d", "b// b-c b0");
    PUT("/d/b-/x");
    PUT("/d/b--/x");
    PUT("/d/b-.");
    LIST("/d", "b// b-// b--// b-. b-c b0");
    PUT("/d/b");
    LIST("/d", "b b-// b--// b-. b-c b0");
    PUT("/b.c");
    PUT("/b/c");
    PUT("/b c");
    LIST("/", "b// b c b.c d//");
}

static void an_implied_directory_among_those_with_records(void **state)
{
    (void)state;
    PUT("/d/b/x");
    PUT("/d/b-c/x");
    PUT("/d/e/x");
    tree_world_do(&world, "set /d/b-c/y =1");
    tree_world_do(&world, "set /d/a =1");
    tree_world_do(&world, "set /d/c/f =1");
    LIST("/d", "a b// b-c/ c/ e//");
    tree_world_do(&world, "set /d/b/y =1");
    LIST("/d", "a b/ b-c/ c/ e//");
    tree_world_do(&world, "set /d/b-b/y =1");
    LIST("/d", "a b/ b-b/ b-c/ c/ e//");
}

static void many_dashes_and_deep_directories(void **state)
{
    (void)state;
    PUT("/d/a-b-c-d");
    PUT("/d/a-b-c/x");
    PUT("/d/a-b/x/y/z");
    PUT("/d/a/-");
    PUT("/d/a/b/c/d/e");
    LIST("/d", "a// a-b// a-b-c// a-b-c-d");
    LIST("/d/a", "- b//");
}

/* Each beginning of a name of dashes may be a directory. */
static void names_of_dashes(void **state)
{
    (void)state;
    enum { LONG = 5000 };
    char key[LONG + 8];
    memset(key, '-', sizeof key);
    memcpy(key, "/d/", 3);
    size_t sizes[] = {1, 2, 700, LONG};
    struct buf expected = {0};
    for (size_t i = 0; i < 4; i++) {
        memcpy(key + 3 + sizes[i], i == 3 ? "" : "/x", i == 3 ? 1 : 3);
        PUT(key);
        memset(key + 3, '-', LONG);
        buf_append(&expected, key + 3, sizes[i]);
        buf_append_str(&expected, i == 3 ? "" : "// ");
    }
    buf_append_char(&expected, '\0');
    LIST("/d", expected.at);
    tree_world_do(&world, "set /d/-/y =1");
    tree_world_do(&world, "set /d/--- dir");
    buf_reset(&expected);
    buf_append_str(&expected, "-/ --// ---/ ");
    buf_append(&expected, key + 3, 700);
    buf_append_str(&expected, "// ");
    buf_append(&expected, key + 3, LONG);
    buf_append_char(&expected, '\0');
    LIST("/d", expected.at);
    buf_deinit(&expected);
}

static void dots_alone_are_no_names(void **state)
{
    (void)state;
    PUT("/d/.-a");
    PUT("/d/./x");
    PUT("/d/..-a");
    PUT("/d/../x");
    PUT("/d/...");
    PUT("/d/.a");
    PUT("/d/-/x");
    PUT("/d//x");
    LIST("/d", "-// .-a ..-a ... .a");
}

static void any_byte_in_a_name(void **state)
{
    (void)state;
    PUT("/d/\x01");
    PUT("/d/\x01\x01/x");
    PUT("/d/\xff\xff");
    PUT("/d/\xff/x");
    PUT("/d/ /x");
    PUT("/d/  ");
    LIST("/d", "\x01 \x01\x01//  //    \xff// \xff\xff");
}

static void the_past_has_its_own_listing(void **state)
{
    (void)state;
    tree_world_do(&world, "set /d/a =1");
    PUT("/d/b/x");
    tree_world_do(&world, "delete /d/a");
    tree_world_do(&world, "set /d/c dir");
    tree_world_do(&world, "delete /d recursive");
    LIST("/d", "");
    assert_string_equal(tree_world_list_at(&world, "/d", 2), "a");
    assert_string_equal(tree_world_list_at(&world, "/d", 3), "a b//");
    tree_world_flush(&world);
    assert_string_equal(tree_world_list_at(&world, "/d", 4), "b//");
    assert_string_equal(tree_world_list_at(&world, "/d", 5), "b// c/");
    assert_string_equal(tree_world_get_at(&world, "/d/a", 3), "/d/a=1 [2,2]");
    assert_string_equal(tree_world_get_at(&world, "/d/b", 5), "/d/b/ implied");
    assert_string_equal(tree_world_get_at(&world, "/d", 9), "FUTURE_REVISION");
    assert_string_equal(tree_world_get_at(&world, "/", 9), "FUTURE_REVISION");
    assert_string_equal(tree_world_list_at(&world, "/d", 9), "FUTURE_REVISION");
    assert_int_equal(mvcc_compact(world.mvcc, 5), ERR_OK);
    assert_string_equal(tree_world_list_at(&world, "/d", 4), "COMPACTED");
    assert_string_equal(tree_world_get_at(&world, "/", 4), "COMPACTED");
    assert_string_equal(tree_world_list_at(&world, "/d", 5), "b// c/");
}

static void a_listing_stays_at_its_revision(void **state)
{
    (void)state;
    struct tree_list list;
    struct tree_node node;
    tree_world_do(&world, "set /d/a =1");
    tree_world_do(&world, "set /d/c =1");
    tree_list_init(&list, SLICE("/d"), 3);
    mvcc_read_begin(world.reader);
    assert_int_equal(tree_list_next(&list, world.reader, &node), ERR_OK);
    assert_true(slice_eq(node.key, SLICE("/d/a")));
    mvcc_read_end(world.reader);
    tree_world_do(&world, "set /d/b =1");
    tree_world_do(&world, "set /d/c =2");
    mvcc_read_begin(world.reader);
    assert_int_equal(tree_list_next(&list, world.reader, &node), ERR_OK);
    assert_true(slice_eq(node.key, SLICE("/d/c")));
    assert_true(slice_eq(node.value, SLICE("1")));
    assert_int_equal(tree_list_next(&list, world.reader, &node), ERR_END);
    assert_int_equal(tree_list_next(&list, world.reader, &node), ERR_END);
    mvcc_read_end(world.reader);
    tree_list_deinit(&list);
}

static void what_is_over_but_not_removed_is_shown(void **state)
{
    (void)state;
    tree_world_do(&world, "set /d/a =1 ttl=0");
    world.now_ns += 5 * TREE_WORLD_SECOND_NS;
    LIST("/d", "a");
    GET("/d/a", "/d/a=1 [2,2] ttl=-5");
    assert_int_equal(tree_world_expire(&world), 1);
    LIST("/d", "");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        STORY(children_come_by_name),
        STORY(hidden_ones_are_left_out),
        STORY(a_slash_is_greater_than_a_dash),
        STORY(an_implied_directory_among_those_with_records),
        STORY(many_dashes_and_deep_directories),
        STORY(names_of_dashes),
        STORY(dots_alone_are_no_names),
        STORY(any_byte_in_a_name),
        STORY(the_past_has_its_own_listing),
        STORY(a_listing_stays_at_its_revision),
        STORY(what_is_over_but_not_removed_is_shown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
