#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/bytes.h"
#include "base/check.h"
#include "base/err.h"
#include "base/heap.h"
#include "base/log.h"
#include "base/map.h"
#include "base/mem.h"
#include "base/prng.h"

static char last_words[8192]; /* what the child wrote on its stderr */

/* Runs `body` in a child; true when SIGABRT ended it. */
static bool aborts(void (*body)(void))
{
    int ends[2];
    assert_int_equal(pipe(ends), 0);
    fflush(NULL);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        struct rlimit no_core = {0, 0};
        setrlimit(RLIMIT_CORE, &no_core);
        signal(SIGABRT, SIG_DFL);
        dup2(ends[1], STDERR_FILENO);
        body();
        _exit(0);
    }
    close(ends[1]);
    size_t size = 0;
    ssize_t got;
    while (size < sizeof last_words - 1 &&
           (got = read(ends[0], last_words + size,
                       sizeof last_words - 1 - size)) > 0)
        size += (size_t)got;
    last_words[size] = '\0';
    close(ends[0]);
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    return WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT;
}

static void assert_said(const char *words)
{
    if (strstr(last_words, words) == NULL)
        fail_msg("\"%s\" is not in: %s", words, last_words);
}

/* ---- the macros --------------------------------------------------------- */

static void hold(void)
{
    int i = 0;
    CHECK(i == 0);
    CHECK(i++ == 0); /* evaluated once */
    CHECK_EQ(i, 1);
    CHECK_NE(i, 0);
    CHECK_LT(i, 2);
    CHECK_LE(i, 1);
    DCHECK(i == 1);
}

static void what_holds_is_silent(void **state)
{
    (void)state;
    assert_false(aborts(hold));
    assert_string_equal(last_words, "");
}

static void break_one(void)
{
    const char *door = "open";
    CHECK(strcmp(door, "shut") == 0);
}

static void break_values(void)
{
    int64_t commit = 7, applied = -9;
    CHECK_LE(commit, applied);
}

static void come_to_the_impossible(void)
{
    UNREACHABLE();
}

static void a_failed_check_says_what_and_where(void **state)
{
    (void)state;
    assert_true(aborts(break_one));
    assert_said("check failed: strcmp(door, \"shut\") == 0\n");
    assert_said("test_check.c:");
    assert_true(aborts(break_values));
    assert_said("check failed: commit <= applied (7, -9)\n");
    assert_true(aborts(come_to_the_impossible));
    assert_said("unreachable");
}

static void log_then_break(void)
{
    log_setup(LOG_TEXT, NULL, NULL, NULL);
    log_info("wal", "opened", LOG_INT("segment", 3));
    log_warn("raft", "stepped down");
    CHECK(0);
}

static void a_failed_check_shows_the_log(void **state)
{
    (void)state;
    assert_true(aborts(log_then_break));
    assert_said("last lines of the log:\n"
                "  1970-01-01T00:00:00.000Z I wal: opened segment=3\n"
                "  1970-01-01T00:00:00.000Z W raft: stepped down\n");
}

static void break_in_sink(void *context, enum log_level level,
                          struct slice line)
{
    (void)context;
    (void)level;
    CHECK_EQ(line.size, 0);
}

static void break_while_logging(void)
{
    log_setup(LOG_TEXT, break_in_sink, NULL, NULL);
    log_info("a", "the line in hand");
}

static void a_check_that_fails_in_the_sink_does_not_hang(void **state)
{
    (void)state;
    assert_true(aborts(break_while_logging));
    assert_said("check failed: line.size == 0");
    assert_said("the line in hand");
}

/* ---- misuse of base is found -------------------------------------------- */

static void consume_too_much(void)
{
    struct buf buf = {0};
    buf_append_str(&buf, "abc");
    buf_consume(&buf, 4);
}

static void push_twice(void)
{
    struct heap heap;
    struct heap_node node = {0};
    heap_init(&heap);
    heap_push(&heap, &node, 1);
    heap_push(&heap, &node, 2);
}

static void remove_from_another_heap(void)
{
    struct heap one, two;
    struct heap_node node = {0}, other = {0};
    heap_init(&one);
    heap_init(&two);
    heap_push(&one, &node, 1);
    heap_push(&two, &other, 1);
    heap_remove(&two, &node);
}

static struct slice no_key(const void *value)
{
    (void)value;
    return slice_of(NULL, 0);
}

static void put_nothing(void)
{
    struct map map;
    map_init(&map, no_key, 0);
    map_put(&map, NULL);
}

static void ask_for_less_than_one(void)
{
    struct prng prng;
    prng_init(&prng, 1);
    prng_below(&prng, 0);
}

static void name_an_unknown_error(void)
{
    err_name(ERR_COUNT);
}

static void ref_what_is_gone(void)
{
    struct refbuf *buf = refbuf_new(1);
    atomic_store(&buf->refs, 0); /* as in memory that was freed */
    refbuf_ref(buf);
}

static void ask_the_arena_for_everything(void)
{
    struct arena arena;
    arena_init(&arena, 0);
    arena_alloc(&arena, SIZE_MAX - 5);
}

static void misuse_stops_the_program(void **state)
{
    (void)state;
    assert_true(aborts(consume_too_much));
    assert_said("size <= buf->size");
    assert_true(aborts(push_twice));
    assert_said("node->place == 0 (1, 0)");
    assert_true(aborts(remove_from_another_heap));
    assert_true(aborts(put_nothing));
    assert_said("value != NULL");
    assert_true(aborts(ask_for_less_than_one));
    assert_said("bound > 0");
    assert_true(aborts(name_an_unknown_error));
    assert_true(aborts(ref_what_is_gone));
    assert_true(aborts(ask_the_arena_for_everything));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_holds_is_silent),
        cmocka_unit_test(a_failed_check_says_what_and_where),
        cmocka_unit_test(a_failed_check_shows_the_log),
        cmocka_unit_test(a_check_that_fails_in_the_sink_does_not_hang),
        cmocka_unit_test(misuse_stops_the_program),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
