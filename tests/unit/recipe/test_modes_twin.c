/* Each order with each mode, against a twin that knows when each run begins and
 * ends: a run takes 100 s, and events come now and then. The twin is a table of
 * runs and a loop over moments; the machine has memos, a clock and crashes. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>

#include "machine_world.h"

enum { EVENTS = 40, ROUNDS = 12, KEYS = 3, RUN_SECONDS = 100 };

static const char *const orders[] = {"strict", "per-key", "none"};
static const char *const modes[] = {"single", "restart", "queued", "parallel"};
enum { STRICT, PER_KEY, NONE, ORDERS };
enum { SINGLE, RESTART, QUEUED, PARALLEL, MODES };

struct happening {
    int key;
    int64_t at_ns;
};

static void write_history(struct happening *history, uint64_t seed,
                          int64_t begin_ns)
{
    struct prng prng;
    int64_t now_ns = begin_ns;
    prng_init(&prng, seed);
    for (int i = 0; i < EVENTS; i++) {
        /* Nothing is at the very moment at which a run ends. */
        now_ns += (int64_t)prng_below(&prng, 90) * WORLD_SECOND + 1 + i;
        history[i] = (struct happening){(int)prng_below(&prng, KEYS), now_ns};
    }
}

/* ---- the twin ----------------------------------------------------------- */

enum run_state { WAITS, RUNS, DONE, NEVER };
struct twin_run {
    enum run_state state;
    int64_t ends_ns;
};
struct twin {
    const struct happening *history;
    int order;
    int mode;
    struct twin_run runs[EVENTS];
    int known; /* events so far */
    struct buf log;
    size_t skipped;
    size_t cancelled;
};

static bool is_same_scope(const struct twin *twin, int a, int b)
{
    if (twin->order == NONE)
        return a == b;
    return twin->order == STRICT ||
           twin->history[a].key == twin->history[b].key;
}

/* The one that runs in the scope of `at`; -1: none. */
static int runs_in_scope(const struct twin *twin, int at)
{
    for (int i = 0; i < twin->known; i++)
        if (twin->runs[i].state == RUNS && is_same_scope(twin, i, at))
            return i;
    return -1;
}

static void begin(struct twin *twin, int at, int64_t now_ns)
{
    twin->runs[at].state = RUNS;
    twin->runs[at].ends_ns = now_ns + RUN_SECONDS * WORLD_SECOND;
    buf_printf(&twin->log, "put /begin/%d %d\n", at, twin->history[at].key);
}

/* The one that ends next, not after `until_ns`; -1: none. */
static int next_end(const struct twin *twin, int64_t until_ns)
{
    int best = -1;
    for (int i = 0; i < twin->known; i++) {
        const struct twin_run *run = &twin->runs[i];
        if (run->state == RUNS && run->ends_ns <= until_ns &&
            (best < 0 || run->ends_ns < twin->runs[best].ends_ns))
            best = i;
    }
    return best;
}

static void pass_until(struct twin *twin, int64_t until_ns)
{
    int ended;
    while ((ended = next_end(twin, until_ns)) >= 0) {
        int64_t now_ns = twin->runs[ended].ends_ns;
        twin->runs[ended].state = DONE;
        buf_printf(&twin->log, "put /end/%d %d\n", ended,
                   twin->history[ended].key);
        for (int i = 0; i < twin->known; i++) {
            if (twin->runs[i].state == WAITS && is_same_scope(twin, i, ended)) {
                begin(twin, i, now_ns);
                break;
            }
        }
    }
}

static void come(struct twin *twin, int at)
{
    int64_t now_ns = twin->history[at].at_ns;
    pass_until(twin, now_ns);
    int other = runs_in_scope(twin, at);
    twin->known++;
    if (other < 0 || twin->mode == PARALLEL) {
        begin(twin, at, now_ns);
    } else if (twin->mode == SINGLE) {
        twin->runs[at].state = NEVER;
        twin->skipped++;
    } else if (twin->mode == RESTART) {
        twin->runs[other].state = NEVER;
        twin->cancelled++;
        begin(twin, at, now_ns);
    }
}

static void run_twin(struct twin *twin)
{
    for (int i = 0; i < EVENTS; i++)
        come(twin, i);
    pass_until(twin, INT64_MAX);
    buf_append_char(&twin->log, '\0');
}

/* ---- the machine -------------------------------------------------------- */

/* It is looked after at each moment at which something is due. */
static void live_until(struct world *world, int64_t until_ns, struct prng *prng)
{
    int64_t due_ns;
    while ((due_ns = machine_next_due(world->machine)) <= until_ns &&
           due_ns != INT64_MAX) {
        if (due_ns > world->now_ns)
            world->now_ns = due_ns;
        if (prng_below(prng, 5) == 0)
            world_crash(world);
        world_run(world);
    }
    if (until_ns != INT64_MAX)
        world->now_ns = until_ns;
}

static void tell(struct world *world, const struct happening *history,
                 struct prng *prng)
{
    for (int i = 0; i < EVENTS; i++) {
        char key[16];
        char value[16];
        live_until(world, history[i].at_ns - 1, prng);
        world->now_ns = history[i].at_ns;
        (void)snprintf(key, sizeof key, "/k/%d", history[i].key);
        (void)snprintf(value, sizeof value, "%d", i);
        world_put(world, key, value);
        if (prng_below(prng, 10) == 0)
            world_crash(world);
        world_run(world);
    }
    live_until(world, INT64_MAX, prng);
}

static size_t records_of(const struct world *world, const char *status)
{
    struct buf part = {0};
    size_t count = 0;
    buf_printf(&part, "%s /k/", status);
    buf_append_char(&part, '\0');
    for (size_t at = 0; at + part.size <= world->runs.size; at++)
        count += memcmp(world->runs.at + at, part.at, part.size - 1) == 0;
    buf_deinit(&part);
    return count;
}

static void compare(int order, int mode, uint64_t seed)
{
    char text[512];
    struct happening history[EVENTS];
    struct world world;
    struct prng prng;
    (void)snprintf(text, sizeof text,
                   "name: t\nif: [{key: '/k/{k}'}]\norder: %s\nmode: %s\n"
                   "then:\n"
                   "- put: {key: '/begin/{{value}}', value: '{{k}}'}\n"
                   "- wait: %ds\n"
                   "- put: {key: '/end/{{value}}', value: '{{k}}'}\n",
                   orders[order], modes[mode], RUN_SECONDS);
    world_open(&world, text);
    prng_init(&prng, seed + 77);
    write_history(history, seed, world.now_ns);
    struct twin twin = {.history = history, .order = order, .mode = mode};
    run_twin(&twin);
    tell(&world, history, &prng);
    assert_int_equal(records_of(&world, "skipped"), twin.skipped);
    assert_int_equal(records_of(&world, "cancelled"), twin.cancelled);
    assert_int_equal(records_of(&world, "ok"),
                     EVENTS - twin.skipped - twin.cancelled);
    world_expect(&world, twin.log.at);
    /* Nothing is left behind. */
    assert_int_equal(world_count(&world, "/_recipes/active/"), 0);
    assert_int_equal(machine_next_due(world.machine), INT64_MAX);
    buf_deinit(&twin.log);
    world_close(&world);
}

static void compare_all(int order)
{
    for (int mode = 0; mode < MODES; mode++)
        for (uint64_t seed = 1; seed <= ROUNDS; seed++)
            compare(order, mode, seed);
}

static void strictly(void **state)
{
    (void)state;
    compare_all(STRICT);
}

static void by_key(void **state)
{
    (void)state;
    compare_all(PER_KEY);
}

static void without_order(void **state)
{
    (void)state;
    compare_all(NONE);
}

/* The twins themselves differ: else the stories above would show nothing. */
static void the_words_mean_different_things(void **state)
{
    struct happening history[EVENTS];
    struct twin twins[ORDERS][MODES];
    (void)state;
    write_history(history, 3, 0);
    for (int order = 0; order < ORDERS; order++) {
        for (int mode = 0; mode < MODES; mode++) {
            struct twin *twin = &twins[order][mode];
            *twin =
                (struct twin){.history = history, .order = order, .mode = mode};
            run_twin(twin);
        }
    }
    assert_true(twins[STRICT][SINGLE].skipped > twins[PER_KEY][SINGLE].skipped);
    assert_true(twins[PER_KEY][SINGLE].skipped > 0);
    assert_int_equal(twins[NONE][SINGLE].skipped, 0);
    assert_true(twins[STRICT][RESTART].cancelled >
                twins[PER_KEY][RESTART].cancelled);
    assert_true(twins[PER_KEY][RESTART].cancelled > 0);
    assert_string_not_equal(twins[STRICT][QUEUED].log.at,
                            twins[PER_KEY][QUEUED].log.at);
    assert_string_not_equal(twins[PER_KEY][QUEUED].log.at,
                            twins[PER_KEY][PARALLEL].log.at);
    /* Where nothing is in a scope with another the mode is all the same. */
    for (int mode = 0; mode < MODES; mode++)
        assert_string_equal(twins[NONE][mode].log.at,
                            twins[NONE][PARALLEL].log.at);
    for (int order = 0; order < ORDERS; order++)
        for (int mode = 0; mode < MODES; mode++)
            buf_deinit(&twins[order][mode].log);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(strictly),
        cmocka_unit_test(by_key),
        cmocka_unit_test(without_order),
        cmocka_unit_test(the_words_mean_different_things),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
