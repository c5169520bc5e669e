/* A session of a node in which the Nth call of the disk, of the kv file or of
 * the allocator fails, for every N: an error comes out or the member stops, it
 * never goes on with less than it promised, and whoever opens it again finds
 * every write that was acknowledged. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>

#include "base/check.h"
#include "support/node_harness.h"

enum { KEYS = 8, VALUE_BYTES = 4000, CALLS_MAX = 5000 };

/* What is known of a key. */
struct fact {
    int acknowledged; /* the number of the value; 0: it is not there */
    int unknown;      /* written without an answer; 0: none such */
    bool ends;        /* it has a TTL */
};

struct session {
    struct node_harness harness;
    struct fact facts[KEYS];
    int writes;
    char value[VALUE_BYTES];
    bool stopped; /* by an error: the only way on is to open it again */
};

/* Of different sizes, so that frames end at different places. */
static const char *value_of(struct session *session, int number)
{
    size_t size = (size_t)(number * 977 % (VALUE_BYTES - 40));
    int used = snprintf(session->value, 32, "%d-", number);
    memset(session->value + used, 'v', size);
    session->value[(size_t)used + size] = 0;
    return session->value;
}

static void name_key(int i, char out[16])
{
    snprintf(out, 16, i % 2 == 0 ? "/k%d" : "/dir/k%d", i);
}

/* ---- steps: each leaves a session alone that was stopped ----------------- */

static void stop(struct session *session, enum err err)
{
    assert_int_not_equal(err, ERR_OK);
    assert_true(err_note()[0] != 0);
    session->stopped = true;
}

static void start(struct session *session)
{
    enum err err;
    if (session->stopped)
        return;
    err = node_harness_open(&session->harness);
    if (err != ERR_OK)
        stop(session, err);
}

/* A full disk is an answer, and only one: then there is room again. */
static bool is_full(enum err err)
{
    return err == ERR_DISK_FULL || err == ERR_NO_SPACE;
}

static void put(struct session *session, int key, uint64_t ttl_s)
{
    struct fact *fact = &session->facts[key];
    char name[16];
    if (session->stopped)
        return;
    name_key(key, name);
    fact->unknown = ++session->writes;
    fact->ends |= ttl_s != 0;
    struct tree_command command =
        harness_set(name, value_of(session, session->writes));
    command.has_ttl = ttl_s != 0;
    command.ttl_s = ttl_s;
    for (int i = 0; i < 3; i++) {
        enum err err;
        struct harness_write *write =
            node_harness_write(&session->harness, &command, &err);
        assert_non_null(write);
        if (is_full(err) && write->request.err == err)
            continue;
        if (write->done && write->request.err == ERR_OK) {
            fact->acknowledged = session->writes;
            fact->unknown = 0;
        }
        if (err != ERR_OK)
            stop(session, err);
        return;
    }
    fail_msg("it stays full");
}

static void erase(struct session *session, int key)
{
    struct fact *fact = &session->facts[key];
    char name[16];
    if (session->stopped)
        return;
    name_key(key, name);
    struct tree_command command = harness_delete(name);
    enum err err;
    struct harness_write *write =
        node_harness_write(&session->harness, &command, &err);
    if (is_full(err) && write->request.err == err)
        write = node_harness_write(&session->harness, &command, &err);
    if (write->done && write->request.err == ERR_OK) {
        *fact = (struct fact){0};
    } else {
        fact->ends = true; /* gone or not: the answer didn't come */
    }
    if (err != ERR_OK)
        stop(session, err);
}

static void flush(struct session *session)
{
    if (session->stopped)
        return;
    enum err err = node_harness_flush(&session->harness);
    struct node_progress progress;
    node_progress(session->harness.node, &progress);
    assert_true(progress.no_space || !is_full(err));
    if (is_full(err))
        err = node_harness_flush(&session->harness);
    if (err != ERR_OK)
        stop(session, err);
}

static void run(struct session *session)
{
    if (session->stopped)
        return;
    enum err err = node_harness_run(&session->harness);
    if (err != ERR_OK)
        stop(session, err);
}

static void compact(struct session *session)
{
    struct command command = {.type = COMMAND_COMPACT};
    enum err err;
    if (session->stopped)
        return;
    command.compact = node_harness_revision(&session->harness);
    node_harness_send(&session->harness, &command, &err);
    assert_int_equal(err, ERR_OK);
    run(session);
}

static void expire(struct session *session)
{
    if (session->stopped)
        return;
    node_harness_sleep(&session->harness, 10 * HARNESS_SECOND_NS);
    run(session);
}

static void restart(struct session *session)
{
    if (session->stopped)
        return;
    node_harness_close(&session->harness);
    start(session);
}

static void crash(struct session *session)
{
    if (session->stopped)
        return;
    /* The call that fails may be one of the next opening's: crashing uses
     * both doors' switches, so the harness's own crash is of no use here. */
    disk_memory_crash(session->harness.disk);
    node_close(session->harness.node);
    session->harness.node = NULL;
    start(session);
}

/* ---- the session --------------------------------------------------------- */

static void play(struct session *session)
{
    start(session);
    for (int i = 0; i < KEYS; i++)
        put(session, i, i == 3 ? 5 : 0);
    run(session);
    flush(session);
    put(session, 0, 0);
    erase(session, 1);
    restart(session);
    for (int i = 0; i < KEYS; i++)
        put(session, i, i == 4 ? 5 : 0);
    expire(session);
    flush(session);
    run(session);
    compact(session);
    flush(session);
    crash(session);
    put(session, 2, 0);
    erase(session, 5);
    put(session, 6, 0);
    flush(session);
    run(session);
    restart(session);
    put(session, 7, 0);
}

static void check_key(struct session *session, int i)
{
    const struct fact *fact = &session->facts[i];
    char name[16];
    name_key(i, name);
    const char *found = node_harness_get(&session->harness, name);
    if (found == NULL) {
        assert_true(fact->acknowledged == 0 || fact->ends);
        return;
    }
    int number = 0;
    for (const char *at = found; *at >= '0' && *at <= '9'; at++)
        number = number * 10 + (*at - '0');
    assert_true(number == fact->acknowledged || number == fact->unknown);
    assert_true(number > 0);
    char *copy = mem_strdup(found);
    assert_string_equal(copy, value_of(session, number));
    mem_free(copy);
}

/* Opens it with nothing failing, after what happened to it. */
static void check(struct session *session)
{
    node_harness_crash(&session->harness);
    enum err err = node_harness_open(&session->harness);
    if (err != ERR_OK)
        fail_msg("open: %s: %s", err_text(err), err_note());
    for (int i = 0; i < KEYS; i++)
        check_key(session, i);
    /* And it goes on. */
    assert_int_equal(node_harness_set(&session->harness, "/on", "1"), ERR_OK);
    assert_int_equal(node_harness_flush(&session->harness), ERR_OK);
    node_harness_recover(&session->harness);
    assert_string_equal(node_harness_get(&session->harness, "/on"), "1");
    for (int i = 0; i < KEYS; i++)
        check_key(session, i);
}

static void init(struct session *session, uint64_t seed)
{
    *session = (struct session){0};
    node_harness_init(&session->harness, seed);
    session->harness.config.wal_segment_bytes = 16 * 1024;
    session->harness.config.flush_revisions = 5;
}

/* ---- every call ---------------------------------------------------------- */

static void torture_disk(enum err err, uint64_t seed)
{
    static struct session session;
    size_t stops = 0;
    for (uint64_t n = 1; n < CALLS_MAX; n++) {
        init(&session, seed + n);
        disk_memory_fail_call(session.harness.disk, n, err);
        play(&session);
        bool over = disk_memory_calls(session.harness.disk) < n;
        stops += session.stopped;
        assert_false(over && session.stopped);
        check(&session);
        node_harness_deinit(&session.harness);
        if (over) {
            assert_true(n > 50);
            assert_true(stops > 10 || err == ERR_DISK_FULL);
            return;
        }
    }
    fail_msg("the session has no end");
}

static void torture_kv(enum err err)
{
    static struct session session;
    size_t stops = 0;
    for (uint64_t n = 1; n < CALLS_MAX; n++) {
        init(&session, n);
        kv_memory_fail_after(session.harness.kv, n, err);
        play(&session);
        bool over = kv_memory_calls(session.harness.kv) < n;
        stops += session.stopped;
        assert_false(over && session.stopped);
        check(&session);
        node_harness_deinit(&session.harness);
        if (over) {
            assert_true(n > 50);
            assert_true(stops > 10);
            return;
        }
    }
    fail_msg("the session has no end");
}

static void every_call_of_the_disk_fails(void **state)
{
    (void)state;
    for (uint64_t seed = 0; seed < 3; seed++)
        torture_disk(ERR_IO, 1000 * seed);
}

static void every_call_of_the_disk_finds_it_full(void **state)
{
    (void)state;
    torture_disk(ERR_DISK_FULL, 0);
}

static void every_call_of_the_kv_file_fails(void **state)
{
    (void)state;
    torture_kv(ERR_IO);
}

static void every_call_of_the_kv_file_finds_it_damaged(void **state)
{
    (void)state;
    torture_kv(ERR_CORRUPT);
}

static void every_call_of_the_kv_file_finds_it_full(void **state)
{
    (void)state;
    torture_kv(ERR_NO_SPACE);
}

static void every_allocation_fails(void **state)
{
    static struct session session;
    (void)state;
    for (uint64_t n = 1; n < CALLS_MAX; n++) {
        init(&session, n);
        mem_fail_after(n);
        play(&session);
        uint64_t seen = mem_fail_after(0);
        check(&session);
        node_harness_deinit(&session.harness);
        if (seen < n)
            return;
    }
    fail_msg("the session has no end");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_call_of_the_disk_fails),
        cmocka_unit_test(every_call_of_the_disk_finds_it_full),
        cmocka_unit_test(every_call_of_the_kv_file_fails),
        cmocka_unit_test(every_call_of_the_kv_file_finds_it_damaged),
        cmocka_unit_test(every_call_of_the_kv_file_finds_it_full),
        cmocka_unit_test(every_allocation_fails),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
