/* What goes out: requests, letters and programs, as the door sees them. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>

#include "runner/runner_core.h"
#include "runner_world.h"

#define SECOND INT64_C(1000000000)

/* ---- one request at a time --------------------------------------------- */

static struct arena arena;
static struct value parts;
static struct secrets secrets;
static struct act_maker maker;
static struct act made;

static const char *make(enum action_kind kind, const char *json)
{
    arena_init(&arena, 0);
    parts = value_from_text(&arena, slice_str(json));
    secrets = (struct secrets){0};
    secrets.count = 1;
    secrets.all[0].name = SLICE("pass");
    buf_append_str(&secrets.all[0].text, "open\r\nX-Evil: \"1\"");
    maker = (struct act_maker){.kind = kind,
                               .parts = &parts,
                               .secrets = &secrets,
                               .idempotency_key = SLICE("12/34.5/page"),
                               .timeout_ns = 7 * SECOND,
                               .wall_ns = INT64_C(1790000000) * SECOND};
    return act__make(&maker, &made);
}

static void unmake(void)
{
    act__unmake(&maker);
    buf_deinit(&secrets.all[0].text);
    arena_deinit(&arena);
}

static bool holds(struct slice text, const char *part)
{
    return memmem(text.at, text.size, part, strlen(part)) != NULL;
}

static void test_a_request(void **state)
{
    (void)state;
    assert_null(make(ACTION_HTTP,
                     "{\"method\":\"POST\",\"url\":\"http://x/\",\"headers\":"
                     "{\"A\":\"b\",\"N\":7},\"body\":\"text\"}"));
    assert_int_equal(made.kind, ACT_HTTP);
    assert_true(slice_eq(made.method, SLICE("POST")));
    assert_true(slice_eq(made.body, SLICE("text")));
    assert_false(made.redirects);
    assert_false(made.is_fetch);
    assert_int_equal(made.timeout_ns, 7 * SECOND);
    assert_true(slice_eq(made.headers,
                         SLICE("A: b\r\nN: 7\r\n"
                               "Idempotency-Key: 12/34.5/page\r\n"
                               "Content-Type: text/plain; charset=utf-8\r\n")));
    unmake();
    /* Its own words count. */
    assert_null(make(ACTION_HTTP,
                     "{\"url\":\"http://x/\",\"json\":[1],\"redirects\":true,"
                     "\"headers\":{\"content-TYPE\":\"application/x\","
                     "\"idempotency-key\":\"mine\"}}"));
    assert_true(slice_eq(made.method, SLICE("GET")));
    assert_true(slice_eq(made.body, SLICE("[1]")));
    assert_true(made.redirects);
    assert_true(slice_eq(made.headers, SLICE("content-TYPE: application/x\r\n"
                                             "idempotency-key: mine\r\n")));
    unmake();
    assert_non_null(make(ACTION_HTTP, "{\"method\":\"GET\"}"));
    unmake();
}

static void test_a_secret_can_not_make_a_header(void **state)
{
    (void)state;
    assert_null(make(ACTION_HTTP,
                     "{\"url\":\"http://x/\\u0001pass\\u0002\",\"headers\":"
                     "{\"Token\":\"a\\u0001pass\\u0002b\"},"
                     "\"json\":{\"p\":[\"\\u0001pass\\u0002\"]}}"));
    assert_false(holds(made.headers, "\r\nX-Evil"));
    assert_true(holds(made.headers, "Token: aopen  X-Evil: \"1\"b\r\n"));
    /* Nor end a string of JSON. */
    assert_true(slice_eq(made.body,
                         SLICE("{\"p\":[\"open\\r\\nX-Evil: \\\"1\\\"\"]}")));
    unmake();
    /* One that isn't known leaves nothing behind; a mark without an end is
     * text. */
    assert_null(make(ACTION_HTTP, "{\"url\":\"http://x/\",\"body\":"
                                  "\"a\\u0001other\\u0002b\\u0001c\"}"));
    assert_true(slice_eq(made.body, SLICE("ab\001c")));
    unmake();
}

static void test_a_letter(void **state)
{
    (void)state;
    assert_null(make(ACTION_EMAIL,
                     "{\"server\":\"smtp://m\",\"from\":\"a@x\",\"to\":"
                     "[\"b@x\",\"c@x\\r\\nBcc: d@x\"],\"subject\":"
                     "\"full\\r\\nBcc: e@x\",\"text\":\"one\\ntwo\\r\\n\"}"));
    assert_int_equal(made.kind, ACT_EMAIL);
    assert_int_equal(made.to_count, 2);
    assert_true(slice_eq(made.to[0], SLICE("b@x")));
    assert_true(slice_has_prefix(made.message, SLICE("From: a@x\r\n"
                                                     "To: b@x,\r\n c@x")));
    assert_true(holds(made.message, "\r\nSubject: full  Bcc: e@x\r\n"));
    assert_false(holds(made.message, "\nBcc:"));
    assert_true(
        holds(made.message, "\r\nDate: Mon, 21 Sep 2026 14:13:20 +0000\r\n"));
    assert_true(holds(made.message, "\r\nMessage-ID: <12.34.5.page@etched>"));
    assert_true(holds(made.message, "\r\n\r\none\r\ntwo\r\n\r\n"));
    unmake();
    assert_non_null(make(ACTION_EMAIL, "{\"server\":\"smtp://m\",\"to\":[]}"));
    unmake();
    assert_non_null(make(ACTION_EMAIL, "{\"to\":[\"a@x\"]}"));
    unmake();
}

static void test_a_subject_of_other_letters(void **state)
{
    (void)state;
    assert_null(make(ACTION_EMAIL,
                     "{\"server\":\"smtp://m\",\"from\":\"a@x\",\"to\":"
                     "[\"b@x\"],\"subject\":\"\xc3\xbc"
                     "berf\xc3\xbcllt, sehr, und zwar mehr als es jemals "
                     "h\xc3\xa4tte sein d\xc3\xbcrfen\",\"text\":\"\"}"));
    assert_true(holds(made.message, "\r\nSubject: =?utf-8?B?w7xiZXJmw7xsbHQ"));
    assert_true(holds(made.message, "?=\r\n =?utf-8?B?"));
    /* No line of it is longer than RFC 2047 allows. */
    size_t length = 0;
    for (size_t i = 0; i < made.message.size; i++) {
        length = made.message.at[i] == '\n' ? 0 : length + 1;
        assert_true(length <= 78);
    }
    unmake();
}

static void test_a_program(void **state)
{
    (void)state;
    assert_null(make(ACTION_EXEC,
                     "{\"arguments\":[\"/bin/x\",\"\\u0001pass\\u0002\",3],"
                     "\"input\":\"in\"}"));
    assert_int_equal(made.kind, ACT_EXEC);
    assert_int_equal(made.argument_count, 3);
    assert_true(slice_eq(made.arguments[0], SLICE("/bin/x")));
    assert_true(slice_has_prefix(made.arguments[1], SLICE("open\r\n")));
    assert_true(slice_eq(made.arguments[2], SLICE("3")));
    assert_true(slice_eq(made.input, SLICE("in")));
    unmake();
    assert_non_null(make(ACTION_EXEC, "{\"arguments\":[]}"));
    unmake();
}

/* ---- whole recipes ----------------------------------------------------- */

static int times;
static struct act_answer first_answer;
static enum act_kind kind_seen;
static bool answer_once(struct world *world, const struct act *act,
                        struct act_answer *out)
{
    (void)world;
    kind_seen = act->kind;
    if (times++ == 0)
        *out = first_answer;
    return true;
}

/* How often it was tried, where the first answer is this one. */
static int try(const char *action, const struct act_answer *answer,
               size_t *dead)
{
    struct world world;
    char text[512];
    world_init(&world, 1);
    world.act = answer_once;
    times = 0;
    first_answer = *answer;
    snprintf(text, sizeof text,
             "{name: act, start: beginning, if: [{key: '/from/{id}'}],"
             " then: [{id: it, %s, retry: {max: 2, base: 1s, cap: 2s}}]}",
             action);
    world_define(&world, text);
    world_put(&world, "/from/a", "x");
    world_start(&world, 0);
    world_run(&world, 20 * SECOND);
    *dead = world_count(&world, "/_recipes/dead/");
    assert_int_equal(world_count(&world, "/_recipes/active/"), 0);
    world_deinit(&world);
    return times;
}

static const struct act_answer plain = {
    .was_sent = true, .error = {"", 0}, .headers = {"{}", 2}, .body = {"", 0}};

static void test_which_answers_are_final(void **state)
{
    (void)state;
    static const struct {
        int status;
        int tries;
        size_t dead;
    } table[] = {
        {200, 1, 0}, {204, 1, 0}, {301, 1, 1}, {400, 1, 1}, {404, 1, 1},
        {408, 2, 0}, {425, 2, 0}, {429, 2, 0}, {500, 2, 0}, {503, 2, 0},
    };
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
        struct act_answer answer = plain;
        size_t dead;
        answer.status = table[i].status;
        int tries = try("http: {url: 'http://x/'}", &answer, &dead);
        assert_int_equal(tries, table[i].tries);
        assert_int_equal(dead, table[i].dead);
    }
    struct act_answer answer = plain;
    size_t dead;
    /* No answer at all; and one of our own rules, which won't change. */
    answer.error = SLICE("connection refused");
    answer.was_sent = false;
    assert_int_equal(try("http: {url: 'http://x/'}", &answer, &dead), 2);
    answer.is_refused = true;
    assert_int_equal(try("http: {url: 'http://x/'}", &answer, &dead), 1);
    assert_int_equal(dead, 1);
}

static void test_letters_and_programs_too(void **state)
{
    (void)state;
    const char *letter = "email: {server: 'smtp://m', from: a@x, to: [b@x],"
                         " subject: s, text: t}";
    const char *program = "exec: {args: [/bin/true]}";
    struct act_answer answer = plain;
    size_t dead;
    answer.status = 250;
    assert_int_equal(try(letter, &answer, &dead), 1);
    assert_int_equal(dead, 0);
    assert_int_equal(kind_seen, ACT_EMAIL);
    answer.status = 451;
    answer.error = SLICE("try later");
    assert_int_equal(try(letter, &answer, &dead), 2);
    answer.status = 550;
    assert_int_equal(try(letter, &answer, &dead), 1);
    assert_int_equal(dead, 1);
    answer = plain;
    assert_int_equal(try(program, &answer, &dead), 1);
    assert_int_equal(dead, 0);
    assert_int_equal(kind_seen, ACT_EXEC);
    answer.status = 1;
    assert_int_equal(try(program, &answer, &dead), 2);
}

static void test_later_means_later(void **state)
{
    (void)state;
    struct world world;
    world_init(&world, 2);
    world.act = answer_once;
    times = 0;
    first_answer = plain;
    first_answer.status = 429;
    first_answer.retry_after_ns = 30 * SECOND;
    world_define(&world, "{name: act, start: beginning,"
                         " if: [{key: '/from/{id}'}], then: [{http: {url:"
                         " 'http://x/'}, retry: {max: 2, base: 1s,"
                         " cap: 2s}}]}");
    world_put(&world, "/from/a", "x");
    world_start(&world, 0);
    world_run(&world, 29 * SECOND);
    assert_int_equal(times, 1);
    world_run(&world, 3 * SECOND);
    assert_int_equal(times, 2);
    world_deinit(&world);
}

/* ---- at least once, whatever happens ------------------------------------ */

static bool seen[64];
static bool be_moody(struct world *world, const struct act *act,
                     struct act_answer *out)
{
    int index = -1;
    char url[64];
    snprintf(url, sizeof url, "%.*s", (int)act->url.size, act->url.at);
    assert_true(sizeof "http://x/" <= strlen(url));
    index = (int)strtol(url + sizeof "http://x/" - 1, NULL, 10);
    switch (prng_below(&world->prng, 6)) {
    case 0:
        return false; /* hangs; and may have been done */
    case 1:
        out->status = 503;
        return true;
    case 2:
        out->status = 0;
        out->error = SLICE("connection reset");
        seen[index] = prng_below(&world->prng, 2) || seen[index];
        return true;
    default:
        seen[index] = true;
        return true;
    }
}

static void test_at_least_once(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 8; seed++) {
        struct world world;
        world_init(&world, seed);
        memset(seen, 0, sizeof seen);
        world.act = be_moody;
        world.act_ns = 50 * INT64_C(1000000);
        world.lease_ns = 2 * SECOND;
        world_define(&world, "{name: act, start: beginning,"
                             " if: [{key: '/from/{id}'}], then: [{http: {url:"
                             " 'http://x/{{id}}'}, retry: {max: 50, base: 1s,"
                             " cap: 2s}}, {put: {key: '/done/{{id}}',"
                             " value: x}}]}");
        world.faults = (struct world_faults){
            .delay_ns = 5000000, .lost = 20, .late_ns = SECOND, .broken = 5};
        world_start(&world, 0);
        world_start(&world, 1);
        for (int i = 0; i < 40; i++) {
            char key[32];
            snprintf(key, sizeof key, "/from/%d", i);
            world_put(&world, key, "x");
            world_run(&world, SECOND / 4);
            /* Those that hang end with their worker. */
            if (i % 8 == 7) {
                world_kill(&world, i / 8 % 2);
                world_start(&world, i / 8 % 2);
            }
        }
        for (int i = 0; i < 12; i++) {
            world_run(&world, 10 * SECOND);
            world_kill(&world, i % 2);
            world_start(&world, i % 2);
        }
        assert_int_equal(world_count(&world, "/done/"), 40);
        for (int i = 0; i < 40; i++)
            assert_true(seen[i]);
        assert_int_equal(world_count(&world, "/_recipes/active/"), 0);
        world_deinit(&world);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_request),
        cmocka_unit_test(test_a_secret_can_not_make_a_header),
        cmocka_unit_test(test_a_letter),
        cmocka_unit_test(test_a_subject_of_other_letters),
        cmocka_unit_test(test_a_program),
        cmocka_unit_test(test_which_answers_are_final),
        cmocka_unit_test(test_letters_and_programs_too),
        cmocka_unit_test(test_later_means_later),
        cmocka_unit_test(test_at_least_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
