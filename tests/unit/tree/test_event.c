/* What watchers are told: from the commit as it is made, and out of history. */
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

/* After a write: a watcher of `path` is told this, live and later. */
#define TOLD(path, recursive, events)                                          \
    do {                                                                       \
        revision newest = tree_world_revision(&world);                         \
        assert_string_equal(tree_world_watch_live(&world, path, recursive),    \
                            events);                                           \
        assert_string_equal(tree_world_watch(&world, path, recursive, newest), \
                            events);                                           \
        tree_world_flush(&world);                                              \
        assert_string_equal(tree_world_watch(&world, path, recursive, newest), \
                            events);                                           \
    } while (0)

static void each_verb_has_its_action(void **state)
{
    (void)state;
    tree_world_do(&world, "set /a =1");
    TOLD("/a", false, "set /a=1 [2,2]");
    tree_world_do(&world, "set /a =2");
    TOLD("/a", false, "set /a=2 [3,3] was /a=1 [2,2]");
    tree_world_do(&world, "update /a =3");
    TOLD("/a", false, "update /a=3 [3,4] was /a=2 [3,3]");
    tree_world_do(&world, "cas /a =4 prevValue=3");
    TOLD("/a", false, "compareAndSwap /a=4 [3,5] was /a=3 [3,4]");
    tree_world_do(&world, "cad /a prevValue=4");
    TOLD("/a", false, "compareAndDelete /a= [3,6] was /a=4 [3,5]");
    tree_world_do(&world, "create /a =5");
    TOLD("/a", false, "create /a=5 [7,7]");
    tree_world_do(&world, "delete /a");
    TOLD("/a", false, "delete /a= [7,8] was /a=5 [7,7]");
    tree_world_do(&world, "post /a =6");
    TOLD("/a", true, "create /a/00000000000000000009=6 [9,9]");
    tree_world_do(&world, "create /d dir ttl=10");
    TOLD("/d", false, "create /d/ [10,10] ttl=10");
    tree_world_do(&world, "update /d ttl=20");
    TOLD("/d", false, "update /d/ [10,11] ttl=20 was /d/ [10,10] ttl=10");
}

static void v3s_writes_are_told_in_v2s_words(void **state)
{
    (void)state;
    PUT("/a");
    TOLD("/a", false, "set /a=v [2,2]");
    PUT("/a");
    TOLD("/", true, "set /a=v [2,3] was /a=v [2,2]");
    assert_true(tree_world_remove(&world, "/a"));
    TOLD("/a", false, "delete /a= [2,4] was /a=v [2,3]");
    PUT("/a");
    TOLD("/a", false, "set /a=v [5,5]");
    PUT("/b//c");
    TOLD("/b", true, "");
    PUT("b");
    TOLD("/", true, "");
}

static void causes_without_a_v2_verb(void **state)
{
    (void)state;
    struct mvcc_put put = {.table = MVCC_KEYS,
                           .cause = MVCC_RECIPE,
                           .key = SLICE("/r"),
                           .value = SLICE("1")};
    mvcc_begin(world.mvcc, world.now_ns);
    mvcc_put(world.mvcc, &put);
    mvcc_commit_unref(mvcc_commit(world.mvcc));
    mvcc_begin(world.mvcc, world.now_ns);
    assert_int_equal(
        mvcc_delete(world.mvcc, MVCC_KEYS, put.key, MVCC_RECIPE, 0), ERR_OK);
    mvcc_commit_unref(mvcc_commit(world.mvcc));
    mvcc_begin(world.mvcc, world.now_ns);
    mvcc_put(world.mvcc, &put);
    mvcc_commit_unref(mvcc_commit(world.mvcc));
    mvcc_begin(world.mvcc, world.now_ns);
    assert_int_equal(
        mvcc_delete(world.mvcc, MVCC_KEYS, put.key, MVCC_REVOKE, 0), ERR_OK);
    mvcc_commit_unref(mvcc_commit(world.mvcc));
    assert_string_equal(tree_world_watch(&world, "/r", false, 2),
                        "set /r=1 [2,2]; delete /r= [2,3] was /r=1 [2,2]; "
                        "set /r=1 [4,4]; delete /r= [4,5] was /r=1 [4,4]");
}

/* One transaction of v3's with several keys: each is a change of its own. */
static void v3s_records_are_told_one_by_one(void **state)
{
    (void)state;
    mvcc_begin(world.mvcc, world.now_ns);
    mvcc_put(world.mvcc, &(struct mvcc_put){.cause = MVCC_PUT,
                                            .key = SLICE("/x/a"),
                                            .value = SLICE("1")});
    mvcc_put(world.mvcc, &(struct mvcc_put){.cause = MVCC_PUT,
                                            .key = SLICE("/x/b"),
                                            .value = SLICE("2")});
    mvcc_commit_unref(mvcc_commit(world.mvcc));
    assert_string_equal(tree_world_watch(&world, "/x", true, 2),
                        "set /x/a=1 [2,2]; set /x/b=2 [2,2]");
}

static void directories_made_on_the_way_are_not_told(void **state)
{
    (void)state;
    tree_world_do(&world, "set /a/b/c =1");
    TOLD("/a", false, "");
    TOLD("/a/b", false, "");
    TOLD("/a/b/c", false, "set /a/b/c=1 [2,2]");
    TOLD("/a", true, "set /a/b/c=1 [2,2]");
    TOLD("/", true, "set /a/b/c=1 [2,2]");
    TOLD("/", false, "");
}

static void a_refresh_lets_watchers_sleep(void **state)
{
    (void)state;
    tree_world_do(&world, "set /a =1 ttl=5");
    tree_world_do(&world, "update /a refresh ttl=50");
    TOLD("/a", true, "");
    tree_world_do(&world, "set /a refresh ttl=60");
    TOLD("/a", true, "");
    tree_world_do(&world, "cas /a refresh ttl=70 prevValue=1");
    TOLD("/a", true, "");
    tree_world_do(&world, "set /a refresh dir ttl=70");
    TOLD("/", true, "");
    tree_world_do(&world, "update /a ttl=80");
    TOLD("/a", true, "update /a/ [6,7] ttl=80 was /a/ [6,6] ttl=70");
}

static void a_directory_in_a_files_place_is_one_event(void **state)
{
    (void)state;
    tree_world_do(&world, "set /a/s =1");
    tree_world_do(&world, "set /a/s dir");
    TOLD("/a/s", false, "set /a/s/ [3,3] was /a/s=1 [2,2]");
    TOLD("/a", true, "set /a/s/ [3,3] was /a/s=1 [2,2]");
    assert_int_equal(world.commit->count, 2);
    assert_int_equal(world.commit->records[0].table, MVCC_KEYS);
}

static void a_removed_directory_is_told_to_all_below(void **state)
{
    (void)state;
    tree_world_do(&world, "set /d/x =1");
    tree_world_do(&world, "set /d/y/z =1");
    tree_world_do(&world, "set /e =1");
    tree_world_do(&world, "delete /d recursive");
    const char *event = "delete /d/ [2,5] was /d/ [2,2]";
    TOLD("/d", false, event);
    TOLD("/d", true, event);
    TOLD("/d/x", false, event);
    TOLD("/d/y", false, event);
    TOLD("/d/y", true, event);
    TOLD("/d/y/z", true, event);
    TOLD("/", true, event);
    TOLD("/", false, "");
    TOLD("/d/none", true, "");
    TOLD("/e", true, "");
}

static void hidden_keys_are_told_only_to_who_looks_there(void **state)
{
    (void)state;
    tree_world_do(&world, "set /d/_h/z =1");
    TOLD("/", true, "");
    TOLD("/d", true, "");
    TOLD("/d/_h", true, "set /d/_h/z=1 [2,2]");
    TOLD("/d/_h/z", false, "set /d/_h/z=1 [2,2]");
    /* The head is not hidden, so all hear of it. */
    tree_world_do(&world, "delete /d recursive");
    const char *event = "delete /d/ [2,3] was /d/ [2,2]";
    TOLD("/", true, event);
    TOLD("/d/_h", true, event);
    tree_world_do(&world, "set /_x/y =1");
    tree_world_do(&world, "delete /_x recursive");
    TOLD("/", true, "");
    TOLD("/_x/y", false, "delete /_x/ [4,5] was /_x/ [4,4]");
}

static void hiding(void **state)
{
    (void)state;
    const struct {
        const char *path, *key;
        bool hidden;
    } cases[] = {
        {"/", "/a", false},        {"/", "/_a", true},
        {"/", "/a/_b", true},      {"/", "/a_b/c_", false},
        {"/a", "/a/_b/c", true},   {"/a/_b", "/a/_b/c", false},
        {"/a/_b", "/a/_b", false}, {"/_a", "/_a/b", false},
        {"/_a", "/_a/_b", true},   {"/a/b/c", "/a", false},
        {"/_a/b", "/_a", false},   {"/a", "/a/b/c/d/_", true},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        assert_int_equal(
            tree_is_hidden(slice_str(cases[i].path), slice_str(cases[i].key)),
            cases[i].hidden);
}

static void the_whole_story_out_of_history(void **state)
{
    (void)state;
    tree_world_do(&world, "set /d/a =1");
    tree_world_do(&world, "set /d/b =1");
    tree_world_do(&world, "delete /d recursive");
    tree_world_do(&world, "set /d =file");
    const char *story = "set /d/a=1 [2,2]; set /d/b=1 [3,3]; "
                        "delete /d/ [2,4] was /d/ [2,2]; set /d=file [5,5]";
    assert_string_equal(tree_world_watch(&world, "/d", true, 1), story);
    tree_world_reopen(&world);
    assert_string_equal(tree_world_watch(&world, "/d", true, 1), story);
}

static void compact(revision at)
{
    assert_int_equal(mvcc_compact(world.mvcc, at), ERR_OK);
    while (mvcc_compact_slice(world.mvcc, 1000))
        continue;
    tree_world_flush(&world);
}

static void without_history_there_is_no_previous_node(void **state)
{
    (void)state;
    tree_world_do(&world, "set /a =1");
    tree_world_do(&world, "set /b =1");
    tree_world_do(&world, "set /a =2");
    tree_world_do(&world, "delete /b");
    tree_world_do(&world, "set /c =1");
    tree_world_flush(&world);
    compact(3);
    /* The newest at the compaction is kept, what was before is not. */
    assert_string_equal(tree_world_watch(&world, "/", true, 4),
                        "set /a=2 [4,4] was /a=1 [2,2]; "
                        "delete /b= [3,5] was /b=1 [3,3]; set /c=1 [6,6]");
    compact(4);
    assert_string_equal(tree_world_watch(&world, "/", true, 5),
                        "delete /b= [3,5] was /b=1 [3,3]; set /c=1 [6,6]");
    /* A slow watcher of the live path still holds the commit. */
    tree_world_do(&world, "set /c =2");
    tree_world_do(&world, "delete /c");
    struct mvcc_commit *held = mvcc_commit_ref(world.commit);
    tree_world_do(&world, "set /e =1");
    tree_world_flush(&world);
    compact(9);
    tree_world_do(&world, "set /f =1");
    mvcc_commit_unref(world.commit);
    world.commit = held;
    assert_string_equal(tree_world_watch_live(&world, "/c", false),
                        "delete /c= [0,8]");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        STORY(each_verb_has_its_action),
        STORY(v3s_writes_are_told_in_v2s_words),
        STORY(causes_without_a_v2_verb),
        STORY(v3s_records_are_told_one_by_one),
        STORY(directories_made_on_the_way_are_not_told),
        STORY(a_refresh_lets_watchers_sleep),
        STORY(a_directory_in_a_files_place_is_one_event),
        STORY(a_removed_directory_is_told_to_all_below),
        STORY(hidden_keys_are_told_only_to_who_looks_there),
        STORY(hiding),
        STORY(the_whole_story_out_of_history),
        STORY(without_history_there_is_no_previous_node),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
