/* Stories of meta: the small facts beside the records. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <stdio.h>
#include <cmocka.h>

#include "unit/mvcc/stories.h"

static void test_put_get_remove(void **state)
{
    (void)state;
    IS(meta("member/1"), "(none)");
    meta_put("member/1", "one");
    IS(meta("member/1"), "one");
    meta_put("member/1", "another");
    IS(meta("member/1"), "another");
    meta_put("member/1", NULL);
    IS(meta("member/1"), "(none)");
    meta_put("member/1", NULL); /* twice is once */
    IS(meta("member/1"), "(none)");
    meta_put("member/1", "again");
    IS(meta("member/1"), "again");
}

static void test_empty_is_not_none(void **state)
{
    (void)state;
    meta_put("a", "");
    IS(meta("a"), "");
    IS(meta_all(""), "a=");
    flush_all();
    restart();
    IS(meta("a"), "");
    IS(meta_all(""), "a=");
}

static void test_each_goes_by_prefix_and_in_order(void **state)
{
    (void)state;
    meta_put("member/2", "b");
    meta_put("lease/9", "x");
    meta_put("member/10", "c");
    meta_put("member/1", "a");
    meta_put("member", "d");
    meta_put("memberless", "e");
    IS(meta_all("member/"), "member/1=a member/10=c member/2=b");
    IS(meta_all("member"),
       "member=d member/1=a member/10=c member/2=b memberless=e");
    IS(meta_all("lease/"), "lease/9=x");
    IS(meta_all("none"), "");
    IS(meta_all("z"), "");
    IS(meta_all(""), "lease/9=x member=d member/1=a member/10=c member/2=b "
                     "memberless=e");
}

static void test_names_of_any_bytes_and_length(void **state)
{
    (void)state;
    char name[KV_KEY_BYTES_MAX];
    struct slice value;
    for (size_t i = 0; i < sizeof name; i++)
        name[i] = (char)i;
    mvcc_meta_put(store, slice_of(name, sizeof name), SLICE("long"));
    mvcc_meta_put(store, slice_of(name, 1), SLICE("short"));
    flush_all();
    restart();
    assert_true(mvcc_meta_get(store, slice_of(name, sizeof name), &value));
    assert_true(slice_eq(value, SLICE("long")));
    assert_true(mvcc_meta_get(store, slice_of(name, 1), &value));
    assert_true(slice_eq(value, SLICE("short")));
    assert_false(mvcc_meta_get(store, slice_of(name, 2), &value));
}

static void test_very_many(void **state)
{
    (void)state;
    enum { MANY = 2000 };
    char name[32];
    for (unsigned i = 0; i < MANY; i++) {
        snprintf(name, sizeof name, "lease/%u", i);
        meta_put(name, name);
    }
    flush_all();
    for (unsigned i = 0; i < MANY; i += 2) {
        snprintf(name, sizeof name, "lease/%u", i);
        meta_put(name, NULL);
    }
    flush_all();
    restart();
    assert_int_equal(file_count(MVCC_KV_META), MANY / 2);
    for (unsigned i = 0; i < MANY; i++) {
        snprintf(name, sizeof name, "lease/%u", i);
        IS(meta(name), i % 2 ? name : "(none)");
    }
}

/* ---- and the file -------------------------------------------------------- */

static void test_what_was_flushed_is_there_again(void **state)
{
    (void)state;
    meta_put("a", "1");
    meta_put("b", "2");
    flush_all();
    meta_put("a", "3");
    meta_put("b", NULL);
    meta_put("c", "4");
    IS(meta_all(""), "a=3 c=4");
    restart(); /* not flushed: lost */
    IS(meta_all(""), "a=1 b=2");
    meta_put("a", "3");
    meta_put("b", NULL);
    meta_put("c", "4");
    flush_all();
    restart();
    IS(meta_all(""), "a=3 c=4");
}

static void test_removing_what_was_never_flushed(void **state)
{
    (void)state;
    meta_put("a", "1");
    meta_put("a", NULL);
    meta_put("never", NULL);
    flush_all();
    restart();
    IS(meta_all(""), "");
    assert_int_equal(file_count(MVCC_KV_META), 0);
}

static void test_several_changes_in_one_flush(void **state)
{
    (void)state;
    meta_put("a", "1");
    meta_put("a", "2");
    meta_put("a", NULL);
    meta_put("a", "3");
    meta_put("b", "1");
    meta_put("b", NULL);
    assert_int_equal(flush_all(), 1);
    restart();
    IS(meta_all(""), "a=3");
}

static void test_meta_is_flushed_without_a_revision(void **state)
{
    (void)state;
    meta_put("a", "1");
    assert_true(flush(1));
    assert_false(flush(1));
    restart();
    IS(meta("a"), "1");
    IS(status(), "current 1 compacted 0 keys 0 tail 0 applied 0/0 flushed 0");
}

/* A flush that ends at an older raft entry has the meta of then. */
static void test_meta_belongs_to_its_raft_entry(void **state)
{
    (void)state;
    meta_put("a", "1");
    put("/k", "1");
    mvcc_set_applied(store, 1, 1);
    meta_put("a", "2");
    meta_put("b", "2");
    put("/k", "2");
    mvcc_set_applied(store, 2, 1);
    meta_put("a", "3");
    meta_put("b", NULL);
    put("/k", "3");
    mvcc_set_applied(store, 3, 1);

    assert_true(flush(1));
    stop();
    start();
    IS(status(), "current 2 compacted 0 keys 1 tail 0 applied 1/1 flushed 1");
    IS(meta_all(""), "a=1");
}

static void test_meta_of_the_second_of_three_entries(void **state)
{
    (void)state;
    for (unsigned i = 1; i <= 3; i++) {
        char text[8];
        snprintf(text, sizeof text, "%u", i);
        meta_put("a", text);
        put("/k", text);
        mvcc_set_applied(store, i, 1);
    }
    assert_true(flush(2));
    restart();
    IS(meta("a"), "2");
    IS(get("/k", 0), "2 @3.0 create 2 version 2 prev 2.0");
    IS(status(), "current 3 compacted 0 keys 1 tail 0 applied 2/1 flushed 2");
}

/* What was put after the last raft entry is no part of it. */
static void test_meta_waits_for_its_entry(void **state)
{
    (void)state;
    mvcc_set_applied(store, 1, 1);
    flush_all();
    meta_put("a", "1");
    assert_false(flush(10));
    mvcc_set_applied(store, 2, 1);
    assert_true(flush(10));
    restart();
    IS(meta("a"), "1");
}

static void test_meta_changes_while_a_flush_writes(void **state)
{
    (void)state;
    meta_put("a", "1");
    meta_put("b", "1");
    struct mvcc_flush *flushing = mvcc_flush_begin(store, 10);
    meta_put("a", "2");
    meta_put("b", NULL);
    assert_int_equal(mvcc_flush_write(flushing), ERR_OK);
    meta_put("c", "3");
    mvcc_flush_done(store, flushing, ERR_OK);
    mvcc_flush_free(flushing);
    IS(meta_all(""), "a=2 c=3");
    stop();
    start();
    IS(meta_all(""), "a=1 b=1");
    meta_put("a", "2");
    flushing = mvcc_flush_begin(store, 10);
    meta_put("b", NULL);
    assert_int_equal(mvcc_flush_write(flushing), ERR_OK);
    mvcc_flush_done(store, flushing, ERR_OK);
    mvcc_flush_free(flushing);
    flush_all();
    restart();
    IS(meta_all(""), "a=2");
}

static void test_meta_in_an_open_transaction(void **state)
{
    (void)state;
    begin();
    meta_put("a", "1");
    IS(meta("a"), "1");
    assert_int_equal(commit(), 0);
    assert_true(flush(10));
    begin();
    meta_put("a", "2");
    add(MVCC_KEYS, "/k", "v");
    commit();
    assert_true(flush(10));
    restart();
    IS(meta("a"), "2");
    IS(get("/k", 0), "v @2.0 create 2 version 1");
}

/* ---- a file that is not what it should be -------------------------------- */

static void test_meta_whose_bytes_have_changed(void **state)
{
    (void)state;
    meta_put("a", "value");
    flush_all();
    stop();
    file_put(MVCC_KV_META, SLICE("a"), SLICE("\1\2\3\4value"));
    assert_int_equal(try_start(), ERR_CORRUPT);
    assert_non_null(strstr(err_note(), "meta"));
    file_put(MVCC_KV_META, SLICE("a"), SLICE("abc"));
    assert_int_equal(try_start(), ERR_CORRUPT);
    file_del(MVCC_KV_META, SLICE("a"));
    start();
    IS(meta_all(""), "");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        STORY(test_put_get_remove),
        STORY(test_empty_is_not_none),
        STORY(test_each_goes_by_prefix_and_in_order),
        STORY(test_names_of_any_bytes_and_length),
        STORY(test_very_many),
        STORY(test_what_was_flushed_is_there_again),
        STORY(test_removing_what_was_never_flushed),
        STORY(test_several_changes_in_one_flush),
        STORY(test_meta_is_flushed_without_a_revision),
        STORY(test_meta_belongs_to_its_raft_entry),
        STORY(test_meta_of_the_second_of_three_entries),
        STORY(test_meta_waits_for_its_entry),
        STORY(test_meta_changes_while_a_flush_writes),
        STORY(test_meta_in_an_open_transaction),
        STORY(test_meta_whose_bytes_have_changed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
