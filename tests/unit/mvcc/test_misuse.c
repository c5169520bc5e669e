/* What a caller must not do stops the program, with the line that says so. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <stdio.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>

#include "unit/mvcc/stories.h"

/* Does it in a process of its own; true when that stopped at a CHECK. */
static bool stops(void (*misuse)(void))
{
    int ends[2];
    assert_int_equal(pipe(ends), 0);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        dup2(ends[1], STDERR_FILENO);
        signal(SIGABRT, SIG_DFL);
        misuse();
        _exit(0);
    }
    close(ends[1]);
    char text[4096];
    size_t size = 0;
    for (ssize_t got;
         (got = read(ends[0], text + size, sizeof text - 1 - size)) > 0;)
        size += (size_t)got;
    text[size] = '\0';
    close(ends[0]);
    int how = 0;
    assert_int_equal(waitpid(child, &how, 0), child);
    return WIFSIGNALED(how) && WTERMSIG(how) == SIGABRT &&
           strstr(text, "check failed") != NULL;
}

/* ---- transactions -------------------------------------------------------- */

static void begin_twice(void)
{
    begin();
    begin();
}

static void commit_none(void)
{
    commit();
}

static void put_outside(void)
{
    add(MVCC_KEYS, "/a", "1");
}

static void delete_outside(void)
{
    enum err err = erase(MVCC_KEYS, "/a");
    (void)err;
}

static void close_inside(void)
{
    begin();
    mvcc_close(store);
}

static void apply_inside(void)
{
    begin();
    mvcc_set_applied(store, 1, 1);
}

static void apply_backwards(void)
{
    mvcc_set_applied(store, 2, 1);
    mvcc_set_applied(store, 1, 1);
}

static void put_an_unknown_flag(void)
{
    struct mvcc_put odd = {.cause = MVCC_PUT, .flags = MVCC_TOMBSTONE};
    begin();
    mvcc_put(store, &odd);
}

static void put_in_an_unknown_table(void)
{
    begin();
    add(MVCC_TABLE_COUNT, "/a", "1");
}

static void test_transactions(void **state)
{
    (void)state;
    assert_true(stops(begin_twice));
    assert_true(stops(commit_none));
    assert_true(stops(put_outside));
    assert_true(stops(delete_outside));
    assert_true(stops(close_inside));
    assert_true(stops(apply_inside));
    assert_true(stops(apply_backwards));
    assert_true(stops(put_an_unknown_flag));
    assert_true(stops(put_in_an_unknown_table));
    /* And here nothing of it happened. */
    assert_int_equal(put("/a", "1"), 2);
}

/* ---- reading ------------------------------------------------------------- */

static void read_outside(void)
{
    struct record record;
    enum err err = mvcc_get(reader, MVCC_KEYS, SLICE("/a"), 0, &record);
    (void)err;
}

static void read_twice(void)
{
    mvcc_read_begin(reader);
    mvcc_read_begin(reader);
}

static void end_none(void)
{
    mvcc_read_end(reader);
}

static void walk_outside(void)
{
    struct mvcc_walk walker;
    struct slice key;
    struct rev rev;
    mvcc_read_begin(reader);
    enum err err = mvcc_walk_init(&walker, reader, MVCC_KEYS, SLICE(""),
                                  slice_of(NULL, 0), 0);
    mvcc_read_end(reader);
    err = mvcc_walk_next(&walker, &key, &rev);
    (void)err;
}

static void free_while_reading(void)
{
    mvcc_read_begin(reader);
    mvcc_reader_free(reader);
}

static void close_with_readers(void)
{
    mvcc_close(store);
}

static void test_reading(void **state)
{
    (void)state;
    put("/a", "1");
    assert_true(stops(read_outside));
    assert_true(stops(read_twice));
    assert_true(stops(end_none));
    assert_true(stops(walk_outside));
    assert_true(stops(free_while_reading));
    assert_true(stops(close_with_readers));
}

/* ---- commits, meta, flush, compaction ------------------------------------ */

static void unref_twice(void)
{
    begin();
    add(MVCC_KEYS, "/b", "1");
    struct mvcc_commit *mine = mvcc_commit(store);
    atomic_store(&mine->refs, 0); /* as if too many had let go of it */
    mvcc_commit_unref(mine);
}

static void meta_without_a_name(void)
{
    meta_put("", "x");
}

static void meta_with_a_long_name(void)
{
    char name[KV_KEY_BYTES_MAX + 2];
    memset(name, 'x', sizeof name - 1);
    name[sizeof name - 1] = '\0';
    meta_put(name, "x");
}

static void put_meta(void *context, struct slice name, struct slice value)
{
    (void)context;
    (void)name;
    (void)value;
    meta_put("other", "x");
}

static void meta_while_walking(void)
{
    meta_put("a", "x");
    mvcc_meta_each(store, SLICE(""), put_meta, NULL);
}

static void flush_inside(void)
{
    begin();
    mvcc_flush_begin(store, 10);
}

static void flush_twice(void)
{
    put("/b", "2");
    mvcc_flush_begin(store, 10);
    mvcc_flush_begin(store, 10);
}

static void flush_none(void)
{
    mvcc_flush_begin(store, 0);
}

static void close_while_flushing(void)
{
    put("/b", "2");
    mvcc_flush_begin(store, 10);
    mvcc_reader_free(reader);
    mvcc_close(store);
}

static void flush_done_twice(void)
{
    put("/b", "2");
    struct mvcc_flush *flushing = mvcc_flush_begin(store, 10);
    mvcc_flush_done(store, flushing, ERR_IO);
    mvcc_flush_done(store, flushing, ERR_IO);
}

static void compact_inside(void)
{
    begin();
    enum err err = mvcc_compact(store, 1);
    (void)err;
}

static void compact_no_slice(void)
{
    mvcc_compact_slice(store, 0);
}

static void test_the_rest(void **state)
{
    (void)state;
    put("/a", "1");
    assert_true(stops(unref_twice));
    assert_true(stops(meta_without_a_name));
    assert_true(stops(meta_with_a_long_name));
    assert_true(stops(meta_while_walking));
    assert_true(stops(flush_inside));
    assert_true(stops(flush_twice));
    assert_true(stops(flush_none));
    assert_true(stops(close_while_flushing));
    assert_true(stops(flush_done_twice));
    assert_true(stops(compact_inside));
    assert_true(stops(compact_no_slice));
}

/* ---- inside -------------------------------------------------------------- */

static void push_backwards(void)
{
    struct slab slab;
    slab_init(&slab);
    struct entry *entry = index__entry_new(&slab, SLICE("k"));
    revs__push(&slab, entry, (struct rev){5, 0}, 5, 1);
    revs__push(&slab, entry, (struct rev){5, 0}, 5, 2);
}

static void push_a_gap(void)
{
    struct tail tail = {.first = 2};
    struct mvcc_commit *commit = mem_alloc_zero(sizeof *commit);
    commit->main = 3;
    tail__push(&tail, commit);
}

static void encode_a_tombstone_with_a_value(void)
{
    struct buf buf = {0};
    struct record record = {
        .cause = MVCC_PUT,
        .flags = MVCC_TOMBSTONE,
        .rev = {2, 0},
        .value = slice_str("x"),
    };
    record__encode(&buf, &record);
}

static void test_inside(void **state)
{
    (void)state;
    assert_true(stops(push_backwards));
    assert_true(stops(push_a_gap));
    assert_true(stops(encode_a_tombstone_with_a_value));
}

/* What is right does not stop. */
static void nothing_wrong(void)
{
    put("/a", "1");
    flush_all();
}

static void test_the_test(void **state)
{
    (void)state;
    assert_false(stops(nothing_wrong));
    assert_false(stops(abort));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        STORY(test_transactions), STORY(test_reading),  STORY(test_the_rest),
        STORY(test_inside),       STORY(test_the_test),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
