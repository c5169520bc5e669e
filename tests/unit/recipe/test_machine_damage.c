/* What the store has of a machine, damaged in all ways: it is refused, or it
 * is read and whatever comes of it is sound. Nothing is assumed of it. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "machine_world.h"

enum { ROUNDS = 1000 };

static const char recipe[] =
    "name: d\n"
    "if:\n"
    "- {key: '/h/{x}', for: 1m}\n"
    "- {key: '/c/{x}', crosses: {of: value.n, above: 1}}\n"
    "- {absent: '/b/{x}', for: 1m}\n"
    "- {key: '/w/{x}'}\n"
    "let: {l: \"{{get('/w/1')}}\"}\n"
    "dedupe: {key: '{{key}} {{event.revision}}', ttl: 1h}\n"
    "throttle: {count: 50, per: 1h}\n"
    "then:\n"
    "- {id: h, http: {url: 'http://h/{{x}}', json: {v: '{{raw}}'}}, if: "
    "\"value == 'act'\"}\n"
    "- wait: 10m\n"
    "- {put: {key: '/out/{{x}}', value: '{{l}} {{prev}} {{steps}}'}}\n"
    "on_failure: [{put: {key: '/bad/{{x}}', value: '{{error}}'}}]\n";

/* One of each: memos, a run that is out, one that waits, one that is queued,
 * one whose first action was answered. */
static void fill(struct world *world)
{
    world_open(world, recipe);
    world_put_deep(world, "/c/1", "{\"n\":5}", 1);
    world_put(world, "/b/1", "beat");
    world_put(world, "/w/1", "act");
    world_put(world, "/w/1", "act too");
    world_put(world, "/w/2", "act");
    world_put(world, "/w/3", "wait");
    world_run(world);
    assert_true(world_send(world));
    world_answer(world, 200, "{\"a\":[1,2.5,null,\"\xc3\xa9\"]}");
    world_put(world, "/h/1", "held");
    world_run(world);
    world_commit(world);
}

/* Bytes changed, taken out, doubled, or what is behind cut off. */
static struct slice damage(struct prng *prng, struct slice text, char *out)
{
    size_t size = 0;
    size_t at = prng_below(prng, text.size);
    unsigned how = (unsigned)prng_below(prng, 4);
    static const char bytes[] = "\"{}[],:0-9e.\\u\x01\xff\0ntf";
    for (size_t i = 0; i < text.size; i++) {
        if (i == at && how == 0)
            out[size++] = bytes[prng_below(prng, sizeof bytes - 1)];
        else if (i == at && how == 1)
            continue;
        else if (i >= at && how == 2)
            break;
        else
            out[size++] = text.at[i];
        if (i == at && how == 3)
            out[size++] = text.at[i];
    }
    return slice_of(out, size);
}

/* Another number, or another kind of value, in a place of one. */
static struct slice exchange(struct prng *prng, struct slice text, char *out)
{
    static const char *const values[] = {
        "-1",    "0",      "9223372036854775807", "\"x\"", "null", "[]", "{}",
        "1e300", "[[[]]]", "\"1.2.3\"",           "true",  "\"\""};
    size_t colons[64];
    size_t count = 0;
    for (size_t i = 0; i < text.size && count < 64; i++) {
        if (text.at[i] == ':')
            colons[count++] = i;
    }
    if (count == 0)
        return text;
    size_t from = colons[prng_below(prng, count)] + 1;
    size_t to = from;
    while (to < text.size && text.at[to] != ',' && text.at[to] != '}')
        to++;
    const char *value = values[prng_below(prng, 12)];
    memcpy(out, text.at, from);
    memcpy(out + from, value, strlen(value));
    memcpy(out + from + strlen(value), text.at + to, text.size - to);
    return slice_of(out, from + strlen(value) + text.size - to);
}

/* All that it may be asked to do. */
static void use(struct world *world, struct machine *machine)
{
    const struct outside *outside;
    struct buf list = {0};
    struct turn turn;
    machine_list_active(machine, &list);
    buf_deinit(&list);
    for (int i = 0; i < 20; i++) {
        struct outside_answer answer = {.status = i % 2 ? 500 : 404,
                                        .time_ns = world->now_ns};
        turn_init(&turn);
        machine_due(machine, world->now_ns + i * 10 * WORLD_MINUTE,
                    &world->lookups, &turn);
        if (machine_next_outside(machine, INT64_MAX - 1, &outside))
            machine_answer(machine, &outside->run, outside->step, &answer,
                           &world->lookups, &turn);
        machine_write_lazy(machine, &turn);
        assert_true(turn.count <= 2 * TURN_OPERATIONS_MAX);
        turn_deinit(&turn);
    }
}

/* Loads all keys, one of which is damaged; true: it was read. */
static bool load(struct world *world, struct prng *prng, bool is_exchange)
{
    static char text[16384];
    struct machine_config config = {
        .recipe = world->recipe, .zones = NULL, .seed = prng_next(prng)};
    struct machine *machine = machine_new(&config);
    size_t count = world_count(world, "/_recipes/state/d/");
    size_t active = world_count(world, "/_recipes/active/d/");
    size_t bad = prng_below(prng, count + active);
    bool is_read = true;
    for (size_t i = 0; i < count + active && is_read; i++) {
        struct slice key =
            i < count ? world_key(world, "/_recipes/state/d/", i)
                      : world_key(world, "/_recipes/active/d/", i - count);
        struct slice value = world_find(world, key, INT64_MAX)->value;
        assert_true(value.size < sizeof text / 2);
        if (i == bad)
            value = is_exchange ? exchange(prng, value, text)
                                : damage(prng, value, text);
        enum err err = machine_load(machine, key, value, 1);
        assert_true(err == ERR_OK || (err == ERR_CORRUPT && i == bad));
        is_read = err == ERR_OK;
    }
    if (is_read) {
        struct slice cursor =
            world_find(world, SLICE("/_recipes/cursor/d"), INT64_MAX)->value;
        assert_int_equal(machine_load_cursor(machine, cursor, 0), ERR_OK);
        use(world, machine);
    }
    machine_free(machine);
    return is_read;
}

static void all_kinds_are_there(void **state)
{
    static const char *const kinds[] = {"edge",   "hold",     "absent",
                                        "dedupe", "throttle", "breaker"};
    struct world world;
    (void)state;
    fill(&world);
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++) {
        struct buf prefix = {0};
        buf_printf(&prefix, "/_recipes/state/d/%s/", kinds[i]);
        buf_append_char(&prefix, '\0');
        assert_true(world_count(&world, prefix.at) > 0);
        buf_deinit(&prefix);
    }
    assert_int_equal(world_count(&world, "/_recipes/active/d/"), 5);
    world_close(&world);
}

static void bytes_are_damaged(void **state)
{
    struct world world;
    struct prng prng;
    size_t read = 0;
    (void)state;
    prng_init(&prng, 3);
    fill(&world);
    for (int i = 0; i < ROUNDS; i++)
        read += load(&world, &prng, false);
    assert_true(read > 0 && read < ROUNDS);
    world_close(&world);
}

static void values_are_exchanged(void **state)
{
    struct world world;
    struct prng prng;
    size_t read = 0;
    (void)state;
    prng_init(&prng, 4);
    fill(&world);
    for (int i = 0; i < ROUNDS; i++)
        read += load(&world, &prng, true);
    assert_true(read > 0 && read < ROUNDS);
    world_close(&world);
}

/* A dead letter may have been damaged, too. */
static void dead_letters(void **state)
{
    static char text[16384];
    struct world world;
    struct prng prng;
    (void)state;
    prng_init(&prng, 5);
    fill(&world);
    assert_true(world.out_count > 0);
    world_answer(&world, 404, "");
    struct slice key = world_key(&world, "/_recipes/dead/d/", 0);
    struct slice value = world_find(&world, key, INT64_MAX)->value;
    for (int i = 0; i < ROUNDS; i++) {
        struct slice bad =
            i % 2 ? damage(&prng, value, text) : exchange(&prng, value, text);
        struct turn turn;
        turn_init(&turn);
        assert_int_equal(
            machine_revive(world.machine, key, bad, world.now_ns, &turn),
            TURN_TAKEN);
        turn_deinit(&turn);
        world_crash(&world);
    }
    world_close(&world);
}

/* Lists of records and calls come from other recipes, or from anybody. */
static void what_comes_in(void **state)
{
    static const char list[] = "[{\"id\":\"5\",\"status\":\"ok\",\"depth\":3,"
                               "\"steps\":[],\"key\":\"/a\"},{\"id\":\"6\","
                               "\"status\":\"failed\",\"depth\":0}]";
    static const char call[] = "{\"args\":{\"a\":1,\"b\":[2]},\"depth\":2,"
                               "\"parent\":\"x/1\"}";
    static char text[1024];
    struct world world;
    struct prng prng;
    (void)state;
    prng_init(&prng, 6);
    world_open(&world, "name: d\nif: [{recipe: {name: o, outcome: any}}, "
                       "{webhook: w}]\nmode: parallel\n"
                       "then: [{log: '{{value}} {{args}}'}]");
    for (int i = 0; i < ROUNDS; i++) {
        bool is_call = i % 2;
        struct slice from = is_call ? slice_str(call) : slice_str(list);
        struct slice bad = prng_below(&prng, 2) ? damage(&prng, from, text)
                                                : exchange(&prng, from, text);
        struct recipe_event event = {.id = {.revision = i + 1},
                                     .time_ns = world.now_ns,
                                     .type = EVENT_CREATE,
                                     .key = is_call
                                                ? SLICE("/_recipes/in/d/call/x")
                                                : SLICE("/_recipes/run/o/x"),
                                     .raw = bad,
                                     .mod_revision = i + 1};
        struct turn turn;
        turn_init(&turn);
        assert_int_equal(machine_event(world.machine, is_call ? 2 : 0, &event,
                                       &world.lookups, &turn, NULL),
                         TURN_TAKEN);
        for (size_t j = 0; j < turn.run_count; j++)
            assert_true(slice_is_utf8(turn.runs[j].record));
        turn_deinit(&turn);
    }
    world_close(&world);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(all_kinds_are_there),
        cmocka_unit_test(bytes_are_damaged),
        cmocka_unit_test(values_are_exchanged),
        cmocka_unit_test(dead_letters),
        cmocka_unit_test(what_comes_in),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
