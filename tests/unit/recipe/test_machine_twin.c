/* Against naive twins: a few lines that say what a word means, beside the
 * machine, over random events. Each twin sees all of history at once, so it
 * needs no memory, no clock and no cursor. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>

#include "machine_world.h"
#include "recipe/machine_int.h"

enum { EVENTS = 120, ROUNDS = 20, KEYS = 3 };

/* One event of a key; n < 0: it was deleted. */
struct happening {
    int key;
    int n;
    int64_t at_ns;
};

static int64_t write_history(struct happening *history, uint64_t seed,
                             int64_t begin_ns)
{
    struct prng prng;
    int64_t now_ns = begin_ns;
    prng_init(&prng, seed);
    bool there[KEYS] = {false};
    for (int i = 0; i < EVENTS; i++) {
        struct happening *it = &history[i];
        now_ns += (int64_t)prng_below(&prng, 20) * WORLD_SECOND +
                  (int64_t)prng_below(&prng, 3);
        it->at_ns = now_ns;
        it->key = (int)prng_below(&prng, KEYS);
        it->n = (int)prng_below(&prng, 100);
        if (there[it->key] && prng_below(&prng, 10) == 0)
            it->n = -1;
        there[it->key] = it->n >= 0;
    }
    return now_ns;
}

/* Tells it to the world; now and then it is run, or crashes. */
static void tell(struct world *world, const struct happening *history,
                 struct prng *prng)
{
    for (int i = 0; i < EVENTS; i++) {
        char key[16];
        char value[32];
        world->now_ns = history[i].at_ns;
        snprintf(key, sizeof key, "/k/%d", history[i].key);
        snprintf(value, sizeof value, "{\"n\":%d,\"i\":%d}", history[i].n, i);
        if (history[i].n < 0)
            world_delete(world, key);
        else
            world_put(world, key, value);
        if (prng_below(prng, 3) == 0)
            world_run(world);
        if (prng_below(prng, 20) == 0)
            world_crash(world);
    }
    world_advance(world, 1000 * WORLD_SECOND);
}

typedef void (*twin_tells)(const struct happening *history, struct buf *out);

static void compare(const char *text, twin_tells twin)
{
    for (uint64_t seed = 1; seed <= ROUNDS; seed++) {
        struct happening history[EVENTS];
        struct world world;
        struct prng prng;
        struct buf expected = {0};
        prng_init(&prng, seed + 1000);
        world_open(&world, text);
        write_history(history, seed, world.now_ns);
        tell(&world, history, &prng);
        twin(history, &expected);
        buf_append_char(&expected, '\0');
        assert_true(expected.size > 10);
        world_expect(&world, expected.at);
        buf_deinit(&expected);
        world_close(&world);
    }
}

/* The event of the same key before or after; -1: none. */
static int before(const struct happening *history, int at)
{
    for (int i = at - 1; i >= 0; i--) {
        if (history[i].key == history[at].key)
            return i;
    }
    return -1;
}

static int after(const struct happening *history, int at)
{
    for (int i = at + 1; i < EVENTS; i++) {
        if (history[i].key == history[at].key)
            return i;
    }
    return -1;
}

static void say(struct buf *out, const struct happening *history, int at)
{
    buf_printf(out, "put /out/%d %d\n", history[at].key, at);
}

/* ---- changed ------------------------------------------------------------ */

static void changed_twin(const struct happening *history, struct buf *out)
{
    for (int i = 0; i < EVENTS; i++) {
        int last = before(history, i);
        if (history[i].n < 0)
            continue;
        if (last < 0 || history[last].n < 0 ||
            history[last].n / 50 != history[i].n / 50)
            say(out, history, i);
    }
}

static void changed(void **state)
{
    (void)state;
    compare("name: t\nif: [{key: '/k/{k}', changed: value.n / 50}]\n"
            "then: [{put: {key: '/out/{{k}}', value: '{{value.i}}'}}]",
            changed_twin);
}

/* ---- crosses ------------------------------------------------------------ */

/* Was it beyond, as it stood after this event? Back to where that is sure. */
static bool is_over(const struct happening *history, int at)
{
    for (int i = at; i >= 0; i = before(history, i)) {
        if (history[i].n < 0 || history[i].n <= 30)
            return false;
        if (history[i].n > 70)
            return true;
    }
    return false;
}

static void crosses_twin(const struct happening *history, struct buf *out)
{
    for (int i = 0; i < EVENTS; i++) {
        int last = before(history, i);
        bool was = last >= 0 && is_over(history, last);
        if (history[i].n >= 0 && is_over(history, i) && !was)
            say(out, history, i);
    }
}

static void crosses(void **state)
{
    (void)state;
    compare("name: t\nif: [{key: '/k/{k}', crosses: {of: value.n, above: 70, "
            "reset: 30}}]\n"
            "then: [{put: {key: '/out/{{k}}', value: '{{value.i}}'}}]",
            crosses_twin);
}

static void crosses_below_twin(const struct happening *history, struct buf *out)
{
    bool low[KEYS] = {false};
    for (int i = 0; i < EVENTS; i++) {
        bool *is_low = &low[history[i].key];
        bool was = *is_low;
        if (history[i].n < 0 || history[i].n >= 60)
            *is_low = false;
        else if (history[i].n < 40)
            *is_low = true;
        if (*is_low && !was)
            say(out, history, i);
    }
}

static void crosses_below(void **state)
{
    (void)state;
    compare("name: t\nif: [{key: '/k/{k}', crosses: {of: value.n, below: 40, "
            "reset: 60}}]\n"
            "then: [{put: {key: '/out/{{k}}', value: '{{value.i}}'}}]",
            crosses_below_twin);
}

/* ---- for ---------------------------------------------------------------- */

struct firing {
    int64_t due_ns;
    int key;
    int at; /* the latest event then */
};

static int by_time(const void *a, const void *b)
{
    const struct firing *left = a;
    const struct firing *right = b;
    if (left->due_ns != right->due_ns)
        return left->due_ns < right->due_ns ? -1 : 1;
    return left->key - right->key;
}

static void say_all(struct buf *out, const struct happening *history,
                    struct firing *firings, size_t count)
{
    qsort(firings, count, sizeof *firings, by_time);
    for (size_t i = 0; i < count; i++)
        say(out, history, firings[i].at);
}

/* Each stretch in which it is true, from its beginning: does it last? */
static void hold_twin(const struct happening *history, struct buf *out)
{
    struct firing firings[EVENTS];
    size_t count = 0;
    for (int i = 0; i < EVENTS; i++) {
        int last = before(history, i);
        bool is_true = history[i].n >= 40;
        if (!is_true || (last >= 0 && history[last].n >= 40))
            continue;
        int64_t due_ns = history[i].at_ns + 60 * WORLD_SECOND;
        int latest = i;
        int next = after(history, i);
        while (next >= 0 && history[next].at_ns < due_ns &&
               history[next].n >= 40) {
            latest = next;
            next = after(history, next);
        }
        if (next < 0 || history[next].at_ns >= due_ns)
            firings[count++] = (struct firing){due_ns, history[i].key, latest};
    }
    say_all(out, history, firings, count);
}

static void holds(void **state)
{
    (void)state;
    compare("name: t\nif: [{key: '/k/{k}', for: 60s}]\n"
            "where: ['value.n >= 40']\n"
            "then: [{put: {key: '/out/{{k}}', value: '{{value.i}}'}}]",
            hold_twin);
}

/* ---- absent ------------------------------------------------------------- */

static void absent_twin(const struct happening *history, struct buf *out)
{
    struct firing firings[EVENTS];
    size_t count = 0;
    for (int i = 0; i < EVENTS; i++) {
        int64_t due_ns = history[i].at_ns + 45 * WORLD_SECOND;
        int next = after(history, i);
        if (history[i].n < 0)
            continue;
        while (next >= 0 && history[next].n < 0)
            next = after(history, next);
        if (next < 0 || history[next].at_ns >= due_ns)
            firings[count++] = (struct firing){due_ns, history[i].key, i};
    }
    say_all(out, history, firings, count);
}

static void absent(void **state)
{
    (void)state;
    compare("name: t\nif: [{absent: '/k/{k}', for: 45s}]\n"
            "then: [{put: {key: '/out/{{k}}', value: '{{value.i}}'}}]",
            absent_twin);
}

/* ---- limits ------------------------------------------------------------- */

static void debounce_twin(const struct happening *history, struct buf *out)
{
    struct firing firings[EVENTS];
    size_t count = 0;
    for (int i = 0; i < EVENTS; i++) {
        int64_t due_ns = history[i].at_ns + 25 * WORLD_SECOND;
        int next = after(history, i);
        if (history[i].n < 0)
            continue;
        while (next >= 0 && history[next].n < 0)
            next = after(history, next);
        if (next < 0 || history[next].at_ns >= due_ns)
            firings[count++] = (struct firing){due_ns, history[i].key, i};
    }
    say_all(out, history, firings, count);
}

static void debounce(void **state)
{
    (void)state;
    compare("name: t\nif: [{key: '/k/{k}'}]\ndebounce: 25s\n"
            "then: [{put: {key: '/out/{{k}}', value: '{{value.i}}'}}]",
            debounce_twin);
}

static void dedupe_twin(const struct happening *history, struct buf *out)
{
    int64_t until_ns[10] = {0};
    for (int i = 0; i < EVENTS; i++) {
        if (history[i].n < 0)
            continue;
        int id = history[i].n / 10;
        if (history[i].at_ns < until_ns[id])
            continue;
        until_ns[id] = history[i].at_ns + 90 * WORLD_SECOND;
        say(out, history, i);
    }
}

static void dedupe(void **state)
{
    (void)state;
    compare("name: t\nif: [{key: '/k/{k}'}]\n"
            "dedupe: {key: 'id {{value.n / 10}}', ttl: 90s}\n"
            "then: [{put: {key: '/out/{{k}}', value: '{{value.i}}'}}]",
            dedupe_twin);
}

static void throttle_twin(const struct happening *history, struct buf *out)
{
    bool ran[EVENTS] = {false};
    for (int i = 0; i < EVENTS; i++) {
        int count = 0;
        if (history[i].n < 0)
            continue;
        for (int j = 0; j < i; j++)
            count += ran[j] &&
                     history[j].at_ns > history[i].at_ns - 60 * WORLD_SECOND;
        ran[i] = count < 3;
        if (ran[i])
            say(out, history, i);
    }
}

static void throttle(void **state)
{
    (void)state;
    compare("name: t\nif: [{key: '/k/{k}'}]\n"
            "throttle: {count: 3, per: 60s}\n"
            "then: [{put: {key: '/out/{{k}}', value: '{{value.i}}'}}]",
            throttle_twin);
}

/* ---- effects on the same keys ------------------------------------------- */

enum { CELLS = 27 }; /* keys of three letters out of three */

static struct slice cell_key(char *text, int cell)
{
    text[0] = "abc"[cell / 9];
    text[1] = "abc"[cell / 3 % 3];
    text[2] = "abc"[cell % 3];
    return slice_of(text, 3);
}

static bool is_in(struct slice key, const struct turn_operation *operation)
{
    if (operation->end.size == 0)
        return slice_eq(key, operation->key);
    return slice_cmp(key, operation->key) >= 0 &&
           slice_cmp(key, operation->end) < 0;
}

static void do_one(int cells[CELLS], const struct turn_operation *operation)
{
    char text[3];
    for (int i = 0; i < CELLS; i++) {
        if (!is_in(cell_key(text, i), operation))
            continue;
        cells[i] = operation->kind == TURN_PUT ? operation->value.at[0] : 0;
    }
}

static void make_one(struct prng *prng, struct arena *arena,
                     struct turn_operation *out)
{
    char text[3];
    struct slice key = cell_key(text, (int)prng_below(prng, CELLS));
    bool is_put = prng_below(prng, 2);
    *out = (struct turn_operation){.kind = is_put ? TURN_PUT : TURN_DELETE,
                                   .is_effect = true};
    if (is_put) {
        char value = (char)('0' + prng_below(prng, 10));
        out->value = slice_of(arena_dup(arena, &value, 1), 1);
    } else if (prng_below(prng, 2)) {
        key.size = 1 + prng_below(prng, 2);
        out->end = unit__prefix_end(arena, key);
    }
    out->key = slice_of(arena_dup(arena, key.at, key.size), key.size);
}

/* What etcd wouldn't take: a key that is put twice, or put and deleted. */
static bool is_sound(const struct unit *unit)
{
    for (size_t i = 0; i < unit->count; i++) {
        for (size_t j = 0; j < i; j++) {
            const struct turn_operation *a = &unit->operations[i];
            const struct turn_operation *b = &unit->operations[j];
            if (turn__overlap(a->key, a->end, b->key, b->end))
                return false;
        }
    }
    return true;
}

/* A unit's effects, done in any order, are those one after the other. */
static void effects_end_as_in_order(void **state)
{
    struct prng prng;
    size_t refused = 0;
    (void)state;
    prng_init(&prng, 77);
    for (int round = 0; round < 3000; round++) {
        struct arena arena;
        arena_init(&arena, 0);
        struct unit unit = {.arena = &arena};
        int expected[CELLS];
        int cells[CELLS];
        for (int i = 0; i < CELLS; i++)
            expected[i] = cells[i] = '!';
        for (int i = 0; i < 8; i++) {
            struct turn_operation operation;
            const char *why;
            make_one(&prng, &arena, &operation);
            if (unit__add_effect(&unit, &operation, &why))
                do_one(expected, &operation);
            else
                refused++;
        }
        assert_true(is_sound(&unit));
        for (size_t i = unit.count; i > 0; i--)
            do_one(cells, &unit.operations[i - 1]);
        assert_memory_equal(cells, expected, sizeof cells);
        arena_deinit(&arena);
    }
    assert_int_equal(refused, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(changed),
        cmocka_unit_test(crosses),
        cmocka_unit_test(crosses_below),
        cmocka_unit_test(holds),
        cmocka_unit_test(absent),
        cmocka_unit_test(debounce),
        cmocka_unit_test(dedupe),
        cmocka_unit_test(throttle),
        cmocka_unit_test(effects_end_as_in_order),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
