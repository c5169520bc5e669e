/* What a caller must not do stops the program, with the line that says so. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>

#include "memory/kv_memory.h"
#include "snap/snap_int.h"
#include "support/snap_world.h"

static struct kv *file;
static struct snap_set *set;

/* Does it in a process of its own; true when that stopped at a CHECK. */
static bool stops(void (*misuse)(void))
{
    int ends[2];
    char text[4096];
    size_t size = 0;
    int how = 0;
    assert_int_equal(pipe(ends), 0);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        dup2(ends[1], STDERR_FILENO);
        signal(SIGABRT, SIG_DFL);
        file = kv_memory_new();
        set = snap_world_set(file);
        misuse();
        _exit(0);
    }
    close(ends[1]);
    for (ssize_t got;
         (got = read(ends[0], text + size, sizeof text - 1 - size)) > 0;)
        size += (size_t)got;
    text[size] = '\0';
    close(ends[0]);
    assert_int_equal(waitpid(child, &how, 0), child);
    return WIFSIGNALED(how) && WTERMSIG(how) == SIGABRT &&
           strstr(text, "check failed") != NULL;
}

static void two_sinks(void)
{
    (void)snap_world_sink(set, &snap_world_header);
    (void)snap_world_sink(set, &snap_world_header);
}

static void close_with_a_sink(void)
{
    (void)snap_world_sink(set, &snap_world_header);
    snap_set_close(set);
}

static void close_with_a_source(void)
{
    (void)snap_world_source(set);
    snap_set_close(set);
}

static void clean_with_a_sink(void)
{
    bool more;
    (void)snap_world_sink(set, &snap_world_header);
    (void)!snap_set_clean(set, &more);
}

static void activate_what_is_not_complete(void)
{
    struct snap_sink *sink = snap_world_sink(set, &snap_world_header);
    (void)!snap_sink_activate(sink);
}

static void read_what_is_not_complete(void)
{
    struct snap_sink *sink = snap_world_sink(set, &snap_world_header);
    (void)snap_sink_kv(sink);
}

static struct snap_sink *complete_sink(void)
{
    struct snap_sink *sink = snap_world_sink(set, &snap_world_header);
    struct snap_source *source = snap_world_source(set);
    assert_true(snap_world_send(source, sink, 1));
    return sink;
}

static void activate_twice(void)
{
    struct snap_sink *sink = complete_sink();
    (void)!snap_sink_activate(sink);
    (void)!snap_sink_activate(sink);
}

static void write_behind_the_turn(void)
{
    bool complete;
    struct snap_sink *sink = complete_sink();
    (void)!snap_sink_activate(sink);
    (void)!snap_sink_write(sink, SLICE(""), &complete);
}

static void use_a_table_of_the_other_set(void)
{
    snap_world_put(snap_set_kv(set), SNAP_SET_TABLES, "k", "v");
}

static void use_the_control_table_by_a_source(void)
{
    struct slice value;
    struct kv_txn *txn;
    struct kv *kv = snap_source_kv(snap_world_source(set));
    (void)!kv->ops->begin_read(kv, &txn);
    (void)!kv->ops->get(kv, txn, SNAP_CONTROL_TABLE, SLICE("k"), &value);
}

static void an_empty_chunk_in_the_middle(void)
{
    struct buf out = {0};
    struct snap__chunk_writer writer;
    snap__chunk_begin(&writer, &out, SLICE(""));
    snap__chunk_end(&writer, false, 0);
}

static void do_nothing(void)
{
}

static void what_must_not_be_stops(void **state)
{
    (void)state;
    assert_false(stops(do_nothing));
    assert_true(stops(two_sinks));
    assert_true(stops(close_with_a_sink));
    assert_true(stops(close_with_a_source));
    assert_true(stops(clean_with_a_sink));
    assert_true(stops(activate_what_is_not_complete));
    assert_true(stops(read_what_is_not_complete));
    assert_true(stops(activate_twice));
    assert_true(stops(write_behind_the_turn));
    assert_true(stops(use_a_table_of_the_other_set));
    assert_true(stops(use_the_control_table_by_a_source));
    assert_true(stops(an_empty_chunk_in_the_middle));
}

static void nothing_may_be_closed(void **state)
{
    (void)state;
    snap_set_close(NULL);
    snap_source_close(NULL);
    snap_sink_close(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_must_not_be_stops),
        cmocka_unit_test(nothing_may_be_closed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
