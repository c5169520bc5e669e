/* A walk backwards, and what history leaves below a compaction. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <stdio.h>
#include <cmocka.h>

#include "unit/mvcc/stories.h"

static char shown[512];

/* Keys from the last before `end` (NULL: the last of all) down to `from`. */
static const char *back(const char *from, const char *end, revision at)
{
    struct mvcc_walk walk;
    struct slice key;
    struct rev rev;
    struct slice stop = slice_str(end);
    size_t size = 0;
    mvcc_read_begin(reader);
    enum err err =
        mvcc_walk_init(&walk, reader, MVCC_KEYS, slice_str(from), stop, at);
    if (err == ERR_OK)
        mvcc_walk_seek_back(&walk, stop);
    shown[0] = '\0';
    while (err == ERR_OK && (err = mvcc_walk_prev(&walk, &key, &rev)) == ERR_OK)
        size += (size_t)snprintf(shown + size, sizeof shown - size, "%s%.*s@%d",
                                 size > 0 ? " " : "", (int)key.size, key.at,
                                 (int)rev.main);
    if (err == ERR_END) /* and stays there */
        assert_int_equal(mvcc_walk_prev(&walk, &key, &rev), ERR_END);
    mvcc_read_end(reader);
    return err == ERR_END ? shown : err_name(err);
}

static void from_the_last_to_the_first(void **state)
{
    (void)state;
    IS(back("", NULL, 0), "");
    put("a", "1");
    put("b", "1");
    put("c", "1");
    put("b", "2");
    IS(back("", NULL, 0), "c@4 b@5 a@2");
    IS(back("b", NULL, 0), "c@4 b@5");
    IS(back("aa", "c", 0), "b@5");
    IS(back("a", "bb", 0), "b@5 a@2");
    IS(back("a", "a", 0), "");
    IS(back("c", "b", 0), "");
    IS(back("d", NULL, 0), "");
}

static void at_a_revision(void **state)
{
    (void)state;
    put("a", "1");
    put("b", "1");
    del("a");
    put("c", "1");
    IS(back("", NULL, 0), "c@5 b@3");
    IS(back("", NULL, 3), "b@3 a@2");
    IS(back("", NULL, 2), "a@2");
    IS(back("", NULL, 1), "");
    IS(back("", NULL, 6), "FUTURE_REVISION");
    assert_int_equal(mvcc_compact(store, 4), ERR_OK);
    IS(back("", NULL, 3), "COMPACTED");
    IS(back("", NULL, 4), "b@3");
}

/* Through many leaves it gives what the walk forward gives, reversed. */
static void over_many_leaves(void **state)
{
    (void)state;
    enum { MANY = 3000 };
    static struct rev revs[MANY];
    struct mvcc_walk walk;
    struct slice key;
    struct rev rev;
    size_t count = 0;
    put_many("/k/", 0, MANY, "v");
    del("/k/00007");
    mvcc_read_begin(reader);
    assert_int_equal(mvcc_walk_init(&walk, reader, MVCC_KEYS, SLICE("/"),
                                    slice_of(NULL, 0), 0),
                     ERR_OK);
    while (mvcc_walk_next(&walk, &key, &rev) == ERR_OK)
        revs[count++] = rev;
    assert_int_equal(count, MANY - 1);
    mvcc_walk_seek_back(&walk, slice_of(NULL, 0));
    while (mvcc_walk_prev(&walk, &key, &rev) == ERR_OK) {
        assert_true(count > 0);
        count--;
        assert_true(revs[count].main == rev.main && revs[count].sub == rev.sub);
    }
    assert_int_equal(count, 0);
    mvcc_read_end(reader);
}

/* It may be left, and taken up where it was. */
static void left_and_taken_up(void **state)
{
    (void)state;
    struct mvcc_walk walk;
    struct slice key;
    struct rev rev;
    put_many("/k/", 0, 200, "v");
    mvcc_read_begin(reader);
    assert_int_equal(mvcc_walk_init(&walk, reader, MVCC_KEYS, SLICE("/"),
                                    slice_of(NULL, 0), 201),
                     ERR_OK);
    mvcc_walk_seek_back(&walk, SLICE("/k/00100"));
    assert_int_equal(mvcc_walk_prev(&walk, &key, &rev), ERR_OK);
    assert_true(slice_eq(key, SLICE("/k/00099")));
    mvcc_read_end(reader);
    put_many("/k/x", 0, 300, "v");
    del("/k/00099");
    mvcc_read_begin(reader);
    mvcc_walk_seek_back(&walk, SLICE("/k/00099"));
    assert_int_equal(mvcc_walk_prev(&walk, &key, &rev), ERR_OK);
    assert_true(slice_eq(key, SLICE("/k/00098")));
    mvcc_read_end(reader);
}

static void the_revisions_that_a_reader_has(void **state)
{
    (void)state;
    revision current, compacted;
    put("a", "1");
    put("a", "2");
    mvcc_read_begin(reader);
    mvcc_reader_revisions(reader, &current, &compacted);
    assert_true(current == 3 && compacted == 0);
    mvcc_read_end(reader);
    assert_int_equal(mvcc_compact(store, 2), ERR_OK);
    mvcc_read_begin(reader);
    mvcc_reader_revisions(reader, &current, &compacted);
    assert_true(current == 3 && compacted == 2);
    mvcc_read_end(reader);
}

/* The main revisions that are left, from the first on. */
static const char *left(void)
{
    struct record record;
    struct rev next = {1, 0};
    size_t size = 0;
    enum err err;
    shown[0] = '\0';
    mvcc_read_begin(reader);
    while ((err = mvcc_history_left(reader, next, &record)) == ERR_OK) {
        size += (size_t)snprintf(shown + size, sizeof shown - size, "%s%d",
                                 size > 0 ? " " : "", (int)record.rev.main);
        next = (struct rev){record.rev.main, record.rev.sub + 1};
    }
    assert_int_equal(err, ERR_END);
    mvcc_read_end(reader);
    return shown;
}

static void what_a_compaction_leaves(void **state)
{
    (void)state;
    struct record record;
    put("a", "1");
    put("a", "2");
    put("b", "1");
    put("a", "3");
    IS(left(), "2 3 4 5");
    flush_all();
    IS(left(), "2 3 4 5");
    assert_int_equal(mvcc_compact(store, 4), ERR_OK);
    IS(left(), "2 3 4 5"); /* its work isn't done */
    mvcc_read_begin(reader);
    assert_int_equal(mvcc_history(reader, (struct rev){4, 0}, &record),
                     ERR_COMPACTED);
    mvcc_read_end(reader);
    while (mvcc_compact_slice(store, 10))
        ;
    flush_all();
    flush_all();
    IS(left(), "3 4 5");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        STORY(from_the_last_to_the_first),
        STORY(at_a_revision),
        STORY(over_many_leaves),
        STORY(left_and_taken_up),
        STORY(the_revisions_that_a_reader_has),
        STORY(what_a_compaction_leaves),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
