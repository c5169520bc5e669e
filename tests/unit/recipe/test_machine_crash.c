/* The promise itself: the same story with crashes anywhere, turns cut
 * anywhere and lookups that come late has the effects and the runs of the one
 * in which nothing goes wrong. Each once, and in the same order. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>

#include "machine_world.h"

enum { STORY_STEPS = 60, STORIES = 6 };

/* What happens from outside, and when. */
struct step {
    enum {
        STEP_PUT,
        STEP_DELETE,
        STEP_EXPIRE,
        STEP_PASS,
        STEP_ANSWER,
        STEP_TICK,
        STEP_CALL
    } kind;
    char key[32];
    char value[64];
    int64_t by_ns;
};
struct story {
    struct step steps[STORY_STEPS];
};

static void write_story(struct story *story, uint64_t seed)
{
    struct prng prng;
    prng_init(&prng, seed);
    for (int i = 0; i < STORY_STEPS; i++) {
        struct step *step = &story->steps[i];
        unsigned dice = (unsigned)prng_below(&prng, 20);
        *step = (struct step){.kind = STEP_PUT};
        snprintf(step->key, sizeof step->key, "/m/%c",
                 "abc"[prng_below(&prng, 3)]);
        snprintf(step->value, sizeof step->value,
                 "{\"n\":%d,\"s\":%d,\"i\":%d}", (int)prng_below(&prng, 100),
                 (int)prng_below(&prng, 2), i);
        if (dice == 0)
            step->kind = STEP_DELETE;
        else if (dice == 1)
            step->kind = STEP_EXPIRE;
        else if (dice <= 7)
            step->kind = STEP_PASS;
        else if (dice <= 9)
            step->kind = STEP_ANSWER;
        else if (dice == 10)
            step->kind = STEP_CALL;
        step->by_ns = (int64_t)prng_below(&prng, 40) * WORLD_SECOND + i;
    }
}

/* Everything that is out is answered: the first try with a 503. */
static void answer_all(struct world *world)
{
    for (int i = 0; i < 200; i++) {
        world_run(world);
        if (!world_send(world)) {
            if (machine_next_outside_at(world->machine) == INT64_MAX)
                return;
            world_advance(world, 10 * WORLD_MINUTE);
            continue;
        }
        unsigned attempt = world->outs[0].attempt;
        world_answer(world, attempt == 0 ? 503 : 200, "{\"id\":5}");
    }
    fail_msg("it is never done");
}

static void do_step(struct world *world, const struct step *step, int i)
{
    char id[16];
    switch (step->kind) {
    case STEP_PUT:
    case STEP_TICK:
        world_put(world, step->key, step->value);
        return;
    case STEP_DELETE:
        if (world_get(world, step->key))
            world_delete(world, step->key);
        return;
    case STEP_EXPIRE:
        if (world_get(world, step->key))
            world_expire(world, step->key);
        return;
    case STEP_PASS:
        world_advance(world, step->by_ns);
        return;
    case STEP_ANSWER:
        answer_all(world);
        return;
    case STEP_CALL:
        snprintf(id, sizeof id, "%d", i);
        world_come_in(world, "call", id, "{\"args\":{\"n\":99,\"s\":1}}");
        return;
    }
}

static void tell(struct world *world, const struct story *story)
{
    for (int i = 0; i < STORY_STEPS; i++)
        do_step(world, &story->steps[i], i);
    for (int i = 0; i < 100; i++) {
        world_advance(world, 60 * WORLD_MINUTE);
        answer_all(world);
    }
}

static void copy_text(const struct buf *from, struct buf *to)
{
    buf_append_slice(to, buf_slice(from));
    buf_append_char(to, '\0');
}

static void compare_worlds(const char *text, uint64_t seed)
{
    struct story story;
    struct world plain;
    struct world rough;
    struct prng prng;
    struct buf logs[2] = {{0}, {0}};
    struct buf runs[2] = {{0}, {0}};
    write_story(&story, seed);
    world_open(&plain, text);
    tell(&plain, &story);
    world_open(&rough, text);
    prng_init(&prng, seed + 1);
    rough.prng = &prng;
    rough.is_shy = true;
    rough.crash_percent = seed % 2 ? 8 : 30;
    tell(&rough, &story);
    copy_text(&plain.log, &logs[0]);
    copy_text(&rough.log, &logs[1]);
    copy_text(&plain.runs, &runs[0]);
    copy_text(&rough.runs, &runs[1]);
    assert_true(plain.log.size > 0);
    assert_true(rough.crashes > 0);
    assert_string_equal(logs[1].at, logs[0].at);
    assert_string_equal(runs[1].at, runs[0].at);
    assert_int_equal(rough.fired, plain.fired);
    assert_int_equal(rough.failed, plain.failed);
    assert_int_equal(world_count(&rough, "/_recipes/active/"), 0);
    assert_int_equal(world_count(&rough, "/_recipes/in/"), 0);
    assert_int_equal(world_count(&rough, "/_recipes/dead/"),
                     world_count(&plain, "/_recipes/dead/"));
    for (int i = 0; i < 2; i++) {
        buf_deinit(&logs[i]);
        buf_deinit(&runs[i]);
    }
    world_close(&plain);
    world_close(&rough);
}

static void compare_all(const char *text)
{
    for (uint64_t seed = 1; seed <= STORIES; seed++)
        compare_worlds(text, seed * 1000 + strlen(text));
}

#define PUTS  \
    "then:\n" \
    "- put: {key: '/out/{{m}}', value: '{{value.i}} {{event.type}}'}\n"

static void puts_alone(void **state)
{
    (void)state;
    compare_all("name: r\nif: [{key: '/m/{m}', events: [put, delete]}]\n"
                "let: {m2: '{{m}}{{m}}'}\n"
                "then:\n"
                "- put: {key: '/out/{{m}}', value: '{{event.type}} {{prev}}'}\n"
                "- put: {key: '/two/{{m2}}', value: x, ttl: 5s}\n");
}

static void changes_and_edges(void **state)
{
    (void)state;
    compare_all("name: r\n"
                "if:\n"
                "- {key: '/m/{m}', crosses: {of: value.n, above: 70, reset: "
                "30}}\n"
                "- {key: '/m/{m}', changed: value.s}\n" PUTS);
}

static void holds(void **state)
{
    (void)state;
    compare_all("name: r\n"
                "if:\n"
                "- {key: '/m/{m}', crosses: {of: value.n, above: 50}, for: "
                "30s}\n"
                "- {key: '/m/{m}', events: [delete, expire], for: 20s}\n"
                "where: [\"key != '/m/c' || count('/m/') > 1\"]\n"
                "then: [{put: {key: '/out/{{m}}', value: "
                "'{{event.revision > 0}} {{event.type}}'}}]");
}

static void absences(void **state)
{
    (void)state;
    compare_all("name: r\n"
                "if: [{absent: '/m/{m}', for: 25s}, {absent: /never, for: "
                "50s}]\n"
                "then: [{put: {key: '/out{{key}}', value: '{{event.time}}'}}]");
}

static void limits(void **state)
{
    (void)state;
    compare_all("name: r\nif: [{key: '/m/{m}'}]\n"
                "dedupe: {key: '{{m}}{{value.s}}', ttl: 20s}\n"
                "throttle: {count: 3, per: 1m}\n" PUTS);
    compare_all("name: r\nif: [{key: '/m/{m}'}]\n"
                "debounce: 15s\n"
                "throttle: {count: 200, per: 1m}\n" PUTS);
    compare_all("name: r\nif: [{key: '/m/{m}'}]\norder: strict\n"
                "debounce: 15s\n" PUTS);
}

#define ACTS                                                              \
    "if: [{key: '/m/{m}'}]\n"                                             \
    "let: {c: \"{{count('/m/')}}\"}\n"                                    \
    "then:\n"                                                             \
    "- put: {key: '/began/{{m}}', value: '{{value.i}}'}\n"                \
    "- {id: web, http: {url: 'http://h/{{m}}', json: {n: '{{value.n}}'}}" \
    ", if: 'value.n > 20'}\n"                                             \
    "- wait: 10s\n"                                                       \
    "- put: {key: '/ended/{{m}}', value: '{{value.i}} {{c}}'}\n"

static void every_mode(void **state)
{
    static const char *const modes[] = {"queued", "single", "restart",
                                        "parallel"};
    static const char *const orders[] = {"per-key", "strict", "none"};
    (void)state;
    for (size_t i = 0; i < 4; i++) {
        for (size_t j = 0; j < 3; j++) {
            char text[1024];
            snprintf(text, sizeof text, "name: r\nmode: %s\norder: %s\n" ACTS,
                     modes[i], orders[j]);
            compare_worlds(text, 10 * i + j);
            compare_worlds(text, 100 + 10 * i + j);
        }
    }
}

/* Each third is refused for good: a dead letter, and on_failure. */
static void failures(void **state)
{
    (void)state;
    compare_all("name: r\nif: [{key: '/m/{m}'}]\norder: strict\n"
                "then:\n"
                "- {id: web, http: {url: 'http://h/'}, retry: {max: 0}, if: "
                "'value.i % 3 == 0'}\n"
                "- put: {key: '/ok/{{m}}', value: '{{value.i / value.s}}'}\n"
                "on_failure:\n"
                "- put: {key: '/bad/{{m}}', value: '{{value.i}}: {{error}}'}\n"
                "- {id: mail, email: {server: 'smtp://m', from: a, to: [b], "
                "subject: s, text: '{{error}}'}}\n");
}

static void calls_and_loops(void **state)
{
    (void)state;
    compare_all("name: r\nif: [{key: '/m/{m}'}, {key: '/n/{x}'}]\n"
                "loop: {max_depth: 3, reentrant: true}\n"
                "then:\n"
                "- {put: {key: '/n/1', value: '{{event.depth}}'}}\n"
                "- {call: r, if: 'event.depth == 0'}\n"
                "- log: 'at {{event.depth}}'\n");
}

static void sets_of_keys(void **state)
{
    (void)state;
    compare_all(
        "name: r\nif: [{key: '/m/{m}'}]\n"
        "then:\n"
        "- {delete: {key: '/set/{{m}}/', prefix: true}}\n"
        "- {put: {key: '/set/{{m}}/{{value.s}}', value: '{{value.i}}'}}\n"
        "- txn:\n"
        "    compare: [{key: '/lock', exists: false}]\n"
        "    then: [{put: {key: /lock, value: '{{m}}'}}]\n"
        "    else: [{delete: /lock}, {put: {key: '/free', value: '{{m}}'}}]\n");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(puts_alone),   cmocka_unit_test(changes_and_edges),
        cmocka_unit_test(holds),        cmocka_unit_test(absences),
        cmocka_unit_test(limits),       cmocka_unit_test(every_mode),
        cmocka_unit_test(failures),     cmocka_unit_test(calls_and_loops),
        cmocka_unit_test(sets_of_keys),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
