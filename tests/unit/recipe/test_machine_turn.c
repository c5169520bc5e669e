/* Turns: what fits into one, what never does, and that nothing has happened
 * where it didn't. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>

#include "machine_world.h"
#include "recipe/machine_int.h"

static void put_many(struct world *world, int from, int to)
{
    char key[32];
    for (int i = from; i < to; i++) {
        snprintf(key, sizeof key, "/a/%d", i);
        world_put(world, key, "v");
    }
}

static void a_turn_is_full(void **state)
{
    struct world world;
    (void)state;
    world_open(&world, "name: t\nif: [{key: '/a/{x}'}]\n"
                       "then: [{put: {key: '/b/{{x}}', value: 1}}]");
    put_many(&world, 0, 250);
    assert_int_equal(world_feed(&world), TURN_FULL);
    /* 99 effects, and the record of all. */
    assert_int_equal(world.turn.count, TURN_OPERATIONS_MAX);
    assert_int_equal(world.turn.run_count, 99);
    assert_int_equal(machine_position(world.machine, 0).revision, 99);
    assert_int_equal(world_feed(&world), TURN_FULL); /* as it was */
    assert_int_equal(world.turn.count, TURN_OPERATIONS_MAX);
    world_run(&world);
    assert_int_equal(world.turns, 3);
    assert_int_equal(world.fired, 250);
    world_close(&world);
}

static void a_key_is_touched_once(void **state)
{
    struct world world;
    (void)state;
    world_open(&world, "name: t\nif: [{key: '/a/{x}'}]\n"
                       "then: [{put: {key: /same, value: '{{x}}'}}]");
    put_many(&world, 0, 3);
    world_run(&world);
    assert_int_equal(world.turns, 3);
    world_expect(&world, "put /same 0\nput /same 1\nput /same 2\n");
    world_close(&world);
    world_open(&world, "name: t\nif: [{key: '/a/{x}'}]\n"
                       "then: [{delete: {key: '{{value}}', prefix: true}}]");
    world_put(&world, "/a/1", "/x/");
    world_put(&world, "/a/2", "/y/");
    world_put(&world, "/a/3", "/x/1");
    world_put(&world, "/a/4", "/");
    world_run(&world);
    assert_int_equal(world.turns, 2);
    world_close(&world);
}

/* The machine's own memo is written again and again, and once in the turn. */
static void a_memo_is_written_once(void **state)
{
    struct world world;
    (void)state;
    world_open(&world, "name: t\nif: [{key: '/a/{x}'}]\n"
                       "throttle: {count: 100, per: 1h}\n"
                       "then: [{log: '{{x}}'}]");
    put_many(&world, 0, 50);
    world_run(&world);
    assert_int_equal(world.turns, 1);
    assert_int_equal(world_count(&world, "/_recipes/state/t/throttle/"), 1);
    world_close(&world);
}

static void bytes_are_bounded(void **state)
{
    struct world world;
    char *large = mem_alloc(200001);
    (void)state;
    memset(large, 'x', 200000);
    large[200000] = '\0';
    world_open(&world, "name: t\nif: [{key: '/a/{x}'}]\n"
                       "then: [{put: {key: '/b/{{x}}', value: '{{value}}'}}]");
    world_put(&world, "/a/1", large);
    world_put(&world, "/a/2", large);
    world_put(&world, "/a/3", large);
    assert_int_equal(world_feed(&world), TURN_FULL);
    assert_int_equal(world.turn.run_count, 2);
    assert_true(world.turn.bytes <= TURN_BYTES_MAX);
    world_run(&world);
    assert_int_equal(world.turns, 2);
    world_close(&world);
    mem_free(large);
}

/* ---- what never fits ---------------------------------------------------- */

static char *make_large(size_t size)
{
    char *large = mem_alloc(size + 1);
    memset(large, 'x', size);
    large[size] = '\0';
    return large;
}

static void one_that_is_too_large_fails(void **state)
{
    struct world world;
    char *large = make_large(700000);
    (void)state;
    world_open(&world,
               "name: t\nif: [{key: '/a/{x}'}]\n"
               "then:\n"
               "- put: {key: '/b/{{x}}', value: '{{value}}'}\n"
               "- put: {key: '/c/{{x}}', value: '{{value}}'}\n"
               "on_failure: [{put: {key: '/f/{{x}}', value: '{{error}}'}}]");
    world_put(&world, "/a/0", "small");
    world_put(&world, "/a/1", large);
    world_put(&world, "/a/2", "small");
    world_run(&world);
    world_expect(&world, "put /b/0 small\nput /c/0 small\n"
                         "put /f/1 it is larger than one transaction can be\n"
                         "put /b/2 small\nput /c/2 small\n");
    world_expect_runs(&world, "ok /a/0\nfailed /a/1\nok /a/2\n");
    world_close(&world);
    mem_free(large);
}

static void and_its_on_failure_too(void **state)
{
    struct world world;
    char *large = make_large(700000);
    (void)state;
    world_open(&world, "name: t\nif: [{key: '/a/{x}'}]\n"
                       "then: [{put: {key: '/b/1', value: '{{value}}'}}, "
                       "{put: {key: '/b/2', value: '{{value}}'}}]\n"
                       "on_failure: [{put: {key: '/f/1', value: '{{value}}'}}, "
                       "{put: {key: '/f/2', value: '{{value}}'}}]");
    world_put(&world, "/a/1", large);
    world_run(&world);
    world_expect(&world, "");
    world_expect_runs(&world, "failed /a/1\n");
    assert_true(world_has(&world.last, "larger than one transaction"));
    world_close(&world);
    mem_free(large);
}

/* What would have to be remembered is too large: held, queued, quiet. */
static void nor_can_it_be_remembered(void **state)
{
    static const char *const rest[] = {
        "if: [{key: '/a/{x}', for: 1m}]\n",
        "if: [{key: '/a/{x}'}]\ndebounce: 1m\n",
        "if: [{key: '/a/{x}'}]\nmode: queued\n",
    };
    char *large = make_large(3 << 19);
    (void)state;
    for (size_t i = 0; i < 3; i++) {
        struct world world;
        char text[256];
        snprintf(text, sizeof text,
                 "name: t\n%sthen: [{wait: 1s}, {log: '{{size(raw)}}'}]",
                 rest[i]);
        world_open(&world, text);
        world_put(&world, "/a/1", large);
        world_put(&world, "/a/1", "small");
        world_run(&world);
        world_expect_runs(&world, "failed /a/1\n");
        world_advance(&world, WORLD_MINUTE);
        world_advance(&world, WORLD_MINUTE);
        world_expect_runs(&world, "ok /a/1\n");
        assert_true(world_has(&world.said, "info 5\n"));
        world_close(&world);
    }
    mem_free(large);
}

static void an_answer_that_cant_be_worked(void **state)
{
    struct world world;
    (void)state;
    world_open(&world, "name: t\nif: [{key: '/a/{x}'}]\n"
                       "then:\n"
                       "- {id: w, http: {url: 'http://h/'}}\n"
                       "- put: {key: /b, value: '{{raw}}'}\n"
                       "- put: {key: /c, value: '{{raw}}'}\n");
    char *large = make_large(700000);
    world_put(&world, "/a/1", large);
    world_run(&world);
    assert_true(world_send(&world));
    world_answer(&world, 200, "");
    world_expect(&world, "");
    world_expect_runs(&world, "failed /a/1\n");
    assert_true(world_has(&world.last, "larger than one transaction"));
    assert_int_equal(world_count(&world, "/_recipes/active/"), 0);
    world_close(&world);
    mem_free(large);
}

static void too_many_operations(void **state)
{
    struct world world;
    struct buf text = {0};
    (void)state;
    buf_append_str(&text, "name: t\nif: [{key: '/a/{x}'}]\n"
                          "loop: {reentrant: true}\nthen:\n");
    /* A range from which a key is taken becomes two. */
    for (int i = 0; i < 16; i++)
        buf_printf(&text,
                   "- {delete: {key: '/p%d/', prefix: true}}\n"
                   "- {put: {key: '/p%d/k', value: 1}}\n",
                   i, i);
    buf_append_str(&text, "on_failure:\n");
    for (int i = 16; i < 32; i++)
        buf_printf(&text,
                   "- {delete: {key: '/p%d/', prefix: true}}\n"
                   "- {put: {key: '/p%d/k', value: '{{value.n}}'}}\n",
                   i, i);
    buf_append_char(&text, '\0');
    world_open(&world, text.at);
    world_put(&world, "/a/1", "{\"n\":1}");
    world_run(&world);
    world_expect_runs(&world, "ok /a/1\n"); /* 48 of them */
    assert_int_equal(world_count(&world, "/p"), 16);
    buf_deinit(&text);
    world_close(&world);
}

/* ---- memory ------------------------------------------------------------- */

static void memory_is_bounded(void **state)
{
    struct world world;
    char key[64];
    struct turn turn;
    enum turn_end end = TURN_TAKEN;
    (void)state;
    world_open(&world, "name: t\nif: [{absent: '/a/{x}', for: 1h}]\n"
                       "then: [{log: x}]");
    turn_init(&turn);
    int i;
    for (i = 1; end == TURN_TAKEN && i < 2 * MACHINE_MEMOS_MAX; i++) {
        int size = snprintf(key, sizeof key, "/a/%d", i);
        struct recipe_event event = {.id = {.revision = i},
                                     .time_ns = 5,
                                     .type = EVENT_CREATE,
                                     .key = slice_of(key, (size_t)size),
                                     .raw = SLICE("v")};
        end = machine_event(world.machine, 0, &event, NULL, &turn, NULL);
    }
    assert_int_equal(end, TURN_FULL);
    assert_int_equal(i, MACHINE_MEMOS_MAX + 2);
    assert_true(turn.tripped);
    assert_false(turn_is_empty(&turn));
    assert_true(slice_eq(
        turn.stop,
        SLICE("it would remember more than 100000 keys, runs or ids at once")));
    /* The event that was too much hasn't been taken. */
    assert_int_equal(machine_position(world.machine, 0).revision,
                     MACHINE_MEMOS_MAX);
    turn_deinit(&turn);
    world_close(&world);
}

/* ---- loading ------------------------------------------------------------ */

static void load_fails(const char *key, const char *value)
{
    struct world world;
    world_open(&world, "name: t\nif: [{key: '/a/{x}', for: 1h}]\n"
                       "then: [{log: x}]");
    struct machine_config config = {.recipe = world.recipe};
    struct machine *machine = machine_new(&config);
    assert_int_equal(machine_load(machine, slice_str(key), slice_str(value), 5),
                     ERR_CORRUPT);
    machine_free(machine);
    world_close(&world);
}

static void what_cant_be_read(void **state)
{
    (void)state;
    load_fails("/_recipes/active/t/1", "");
    load_fails("/_recipes/active/t/1", "{}");
    load_fails("/_recipes/active/t/1", "{\"id\":\"1\"}");
    load_fails("/_recipes/active/other/1", "{}");
    load_fails("/_recipes/dead/t/1", "{}");
    load_fails("/a", "{}");
    load_fails("/_recipes/state/t/dedupe/=x", "{\"until\":\"1\"}");
    load_fails("/_recipes/state/t/dedupe/=x", "[");
    load_fails("/_recipes/state/t/breaker/all", "{\"count\":1}");
    load_fails("/_recipes/state/t/hold/9c0d10b0//a/1", "{}");
}

static void cursors(void **state)
{
    static const char *const bad[] = {"[", "{}", "{\"triggers\":5}"};
    struct world world;
    (void)state;
    world_open(&world, "name: t\nif: [{key: '/a/{x}'}]\nthen: [{log: x}]");
    for (size_t i = 0; i < 3; i++) {
        struct machine_config config = {.recipe = world.recipe};
        struct machine *machine = machine_new(&config);
        assert_int_equal(machine_load_cursor(machine, slice_str(bad[i]), 5),
                         ERR_CORRUPT);
        machine_free(machine);
    }
    struct machine_config config = {.recipe = world.recipe};
    struct machine *machine = machine_new(&config);
    assert_int_equal(
        machine_load_cursor(machine,
                            SLICE("{\"depth\":0,\"triggers\":[{\"watches\":"
                                  "\"/a/{x}\",\"tag\":\"9c0d10b0\",\"at\":"
                                  "\"77.3\"}]}"),
                            5),
        ERR_OK);
    assert_int_equal(machine_position(machine, 0).revision, 77);
    assert_int_equal(machine_position(machine, 0).place, 3);
    /* One that isn't in it begins where the definition was written. */
    assert_int_equal(machine_position(machine, 1).revision, 5);
    machine_advance(machine, 0, 70);
    assert_int_equal(machine_position(machine, 0).revision, 77);
    machine_advance(machine, 0, 80);
    assert_int_equal(machine_position(machine, 0).revision, 80);
    machine_free(machine);
    world_close(&world);
}

/* Memos of triggers that are no more go, of other kinds stay. */
static void stale_memos(void **state)
{
    struct world world;
    struct turn turn;
    (void)state;
    world_open(&world, "name: t\nif: [{key: '/a/{x}'}]\nthen: [{log: x}]");
    struct machine_config config = {.recipe = world.recipe};
    struct machine *machine = machine_new(&config);
    static const char *const keys[] = {
        "/_recipes/state/t/hold/9c0d10b0//a/1", /* it hasn't `for` any more */
        "/_recipes/state/t/edge/00000000//z",
        "/_recipes/state/t/tick/0",
    };
    for (size_t i = 0; i < 3; i++)
        assert_int_equal(
            machine_load(machine, slice_str(keys[i]), SLICE("{}"), 1), ERR_OK);
    assert_int_equal(machine_load_cursor(machine, SLICE(""), 5), ERR_OK);
    turn_init(&turn);
    assert_true(machine_write_lazy(machine, &turn));
    assert_int_equal(turn.count, 2);
    assert_int_equal(turn.operations[0].kind, TURN_DELETE);
    assert_false(machine_write_lazy(machine, &turn));
    turn_deinit(&turn);
    machine_free(machine);
    world_close(&world);
}

/* ---- values that are written down --------------------------------------- */

static void check_pack(const struct value *value)
{
    struct arena arena;
    struct buf text = {0};
    struct doc_value *doc;
    arena_init(&arena, 0);
    record__pack(&text, value);
    assert_int_equal(record__parse(&arena, buf_slice(&text), &doc), ERR_OK);
    struct value back = record__unpack(&arena, doc);
    assert_int_equal(back.kind, value->kind);
    if (value->kind == VALUE_ERROR)
        assert_true(slice_eq(back.text, value->text));
    else
        assert_true(value_equals(&back, value));
    buf_deinit(&text);
    arena_deinit(&arena);
}

static void values_keep_their_kinds(void **state)
{
    static const char bytes[] = {'\xff', '\0', '\x01', 'a'};
    struct value items[] = {
        {.kind = VALUE_NULL},
        {.kind = VALUE_BOOL, .boolean = true},
        {.kind = VALUE_INT, .integer = INT64_MIN},
        {.kind = VALUE_INT, .integer = INT64_MAX},
        {.kind = VALUE_UINT, .natural = UINT64_MAX},
        {.kind = VALUE_DOUBLE, .number = 1.0},
        {.kind = VALUE_DOUBLE, .number = 0.1},
        {.kind = VALUE_DOUBLE, .number = 1.0 / 0.0},
        {.kind = VALUE_STRING, .text = SLICE("a\0\"b")},
        {.kind = VALUE_BYTES, .text = {bytes, sizeof bytes}},
        {.kind = VALUE_TIMESTAMP, .integer = 5},
        {.kind = VALUE_DURATION, .integer = -5},
    };
    enum { COUNT = sizeof items / sizeof items[0] };
    struct value keys[COUNT];
    (void)state;
    for (size_t i = 0; i < COUNT; i++) {
        check_pack(&items[i]);
        keys[i] = (struct value){.kind = VALUE_INT, .integer = (int64_t)i};
    }
    struct value_list list = {COUNT, items};
    struct value all = {.kind = VALUE_LIST, .list = &list};
    check_pack(&all);
    struct value_map numbers = {COUNT, keys, items};
    struct value map = {.kind = VALUE_MAP, .map = &numbers};
    check_pack(&map);
    struct value names[2] = {value_string(SLICE("$")),
                             value_string(SLICE("v"))};
    struct value_map odd = {2, names, items};
    struct value odd_map = {.kind = VALUE_MAP, .map = &odd};
    check_pack(&odd_map);
    struct value error = {.kind = VALUE_ERROR, .text = SLICE("why")};
    check_pack(&error);
}

static void a_deep_value_is_cut(void **state)
{
    enum { DEPTH = 3000 };
    static struct value_list lists[DEPTH];
    static struct value items[DEPTH + 1];
    struct arena arena;
    struct buf text = {0};
    struct doc_value *doc;
    (void)state;
    items[0] = value_int(1);
    for (int i = 0; i < DEPTH; i++) {
        lists[i] = (struct value_list){1, &items[i]};
        items[i + 1] = (struct value){.kind = VALUE_LIST, .list = &lists[i]};
    }
    arena_init(&arena, 0);
    record__pack(&text, &items[DEPTH]);
    assert_int_equal(record__parse(&arena, buf_slice(&text), &doc), ERR_OK);
    assert_int_equal(record__unpack(&arena, doc).kind, VALUE_LIST);
    buf_deinit(&text);
    arena_deinit(&arena);
}

/* Keys and values that are no text go through memos unharmed. */
static void what_is_no_text(void **state)
{
    static const char bytes[] = {'\xff', '\0', '\x80', 'a'};
    struct world world;
    (void)state;
    world_open(&world, "name: t\nif: [{key: '/a/{x...}', for: 1m}]\n"
                       "then: [{wait: 1s}, {put: {key: /b, value: "
                       "'{{raw}}'}}, {put: {key: /k, value: '{{key}}'}}]");
    world_put_slice(&world, "/a/\xfe/1", slice_of(bytes, sizeof bytes));
    world_run(&world);
    world_crash(&world);
    world_advance(&world, WORLD_MINUTE);
    world_crash(&world);
    world_advance(&world, WORLD_SECOND);
    const struct world_record *record =
        world_find(&world, SLICE("/b"), INT64_MAX);
    assert_non_null(record);
    assert_string_equal(world_get(&world, "/k"), "/a/\xfe/1");
    assert_true(slice_eq(record->value, slice_of(bytes, sizeof bytes)));
    world_close(&world);
}

/* ---- ranges ------------------------------------------------------------- */

static void ranges_overlap(void **state)
{
    static const struct {
        const char *a, *a_end, *b, *b_end;
        bool overlap;
    } cases[] = {
        {"/a", "", "/a", "", true},       {"/a", "", "/b", "", false},
        {"/a/", "/a0", "/a/x", "", true}, {"/a/x", "", "/a/", "/a0", true},
        {"/a/", "/a0", "/a0", "", false}, {"/a/", "/a0", "/a", "", false},
        {"/a", "/c", "/b", "/d", true},   {"/a", "/b", "/b", "/c", false},
        {"/b", "/c", "/a", "/d", true},   {"/a", "/c", "/a", "", true},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct slice a = slice_str(cases[i].a);
        struct slice a_end = slice_str(cases[i].a_end);
        struct slice b = slice_str(cases[i].b);
        struct slice b_end = slice_str(cases[i].b_end);
        assert_int_equal(turn__overlap(a, a_end, b, b_end), cases[i].overlap);
        assert_int_equal(turn__overlap(b, b_end, a, a_end), cases[i].overlap);
    }
    struct slice no_end = slice_of("", 1);
    assert_true(turn__overlap(SLICE("/a"), no_end, SLICE("/z"), SLICE("")));
    assert_false(turn__overlap(SLICE("/b"), no_end, SLICE("/a"), SLICE("")));
}

static void the_end_of_a_prefix(void **state)
{
    struct arena arena;
    (void)state;
    arena_init(&arena, 0);
    assert_true(slice_eq(unit__prefix_end(&arena, SLICE("/a/")), SLICE("/a0")));
    assert_true(
        slice_eq(unit__prefix_end(&arena, SLICE("a\xff\xff")), SLICE("b")));
    assert_true(
        slice_eq(unit__prefix_end(&arena, SLICE("\xff")), slice_of("", 1)));
    assert_true(slice_eq(unit__prefix_end(&arena, SLICE("")), slice_of("", 1)));
    arena_deinit(&arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_turn_is_full),
        cmocka_unit_test(a_key_is_touched_once),
        cmocka_unit_test(a_memo_is_written_once),
        cmocka_unit_test(bytes_are_bounded),
        cmocka_unit_test(one_that_is_too_large_fails),
        cmocka_unit_test(and_its_on_failure_too),
        cmocka_unit_test(nor_can_it_be_remembered),
        cmocka_unit_test(an_answer_that_cant_be_worked),
        cmocka_unit_test(too_many_operations),
        cmocka_unit_test(memory_is_bounded),
        cmocka_unit_test(what_cant_be_read),
        cmocka_unit_test(cursors),
        cmocka_unit_test(stale_memos),
        cmocka_unit_test(values_keep_their_kinds),
        cmocka_unit_test(a_deep_value_is_cut),
        cmocka_unit_test(what_is_no_text),
        cmocka_unit_test(ranges_overlap),
        cmocka_unit_test(the_end_of_a_prefix),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
