/* Actions outside: requests, answers, tries, secrets, the dead. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>

#include "machine_world.h"

static const char page[] =
    "name: p\nif: [{key: '/a/{x}'}]\n"
    "then:\n"
    "- id: page\n"
    "  http: {method: PUT, url: 'https://u:p@pager.example:8/{{x}}', headers: "
    "{x-n: '{{value.n}}'}, json: {text: 'n is {{value.n}}', n: '{{value.n}}'}, "
    "redirects: true}\n"
    "  retry: {max: 2, base: 1s, cap: 4s}\n"
    "- put: {key: '/paged/{{x}}', value: '{{steps.page.status}} "
    "{{steps.page.body.id}} {{steps.page.headers[\"x-a\"]}}'}\n"
    "on_failure:\n"
    "- put: {key: '/bad/{{x}}', value: '{{error}}'}\n";

static void it_goes_out_when_it_is_committed(void **state)
{
    struct world world;
    (void)state;
    world_open(&world, page);
    world_put(&world, "/a/1", "{\"n\":3}");
    assert_int_equal(world_feed(&world), TURN_TAKEN);
    assert_int_equal(world_count(&world, "/_recipes/active/"), 0);
    world_run(&world);
    assert_int_equal(world_count(&world, "/_recipes/active/"), 1);
    assert_int_equal(machine_outside_count(world.machine), 1);
    assert_int_equal(machine_next_outside_at(world.machine), world.now_ns);
    assert_true(world_send(&world));
    assert_string_equal(
        world.outs[0].request,
        "{\"method\":\"PUT\",\"url\":\"https://u:p@pager.example:8/1\","
        "\"headers\":{\"x-n\":3},\"json\":{\"text\":\"n is 3\",\"n\":3},"
        "\"redirects\":true}");
    assert_string_equal(world.outs[0].key, "7/1/page");
    /* Once, until it is answered. */
    assert_int_equal(machine_next_outside_at(world.machine), INT64_MAX);
    world_answer(&world, 201, "{\"id\":9}");
    world_expect(&world, "put /paged/1 201 9 b\n");
    world_expect_runs(&world, "ok /a/1\n");
    assert_true(world_has(
        &world.last,
        "{\"id\":\"page\",\"kind\":\"http\",\"status\":\"ok\",\"host\":"
        "\"pager.example:8\",\"code\":201,\"attempts\":1}"));
    assert_int_equal(world_count(&world, "/_recipes/active/"), 0);
    assert_int_equal(machine_outside_count(world.machine), 0);
    world_close(&world);
}

static void what_was_lost_goes_out_again(void **state)
{
    struct world world;
    (void)state;
    world_open(&world, page);
    world_put(&world, "/a/1", "{\"n\":3}");
    world_run(&world);
    assert_true(world_send(&world));
    char key[64];
    memcpy(key, world.outs[0].key, sizeof key);
    world_crash(&world);
    assert_true(world_send(&world));
    assert_string_equal(world.outs[0].key, key);
    world_answer(&world, 200, "{\"id\":1}");
    world_expect(&world, "put /paged/1 200 1 b\n");
    world_close(&world);
}

static void it_is_tried_again_later(void **state)
{
    struct world world;
    int64_t before_ns;
    (void)state;
    world_open(&world, page);
    world_put(&world, "/a/1", "{\"n\":3}");
    world_run(&world);
    for (unsigned i = 0; i < 2; i++) {
        assert_true(world_send(&world));
        assert_int_equal(world.outs[0].attempt, i);
        before_ns = world.now_ns;
        world_answer(&world, i ? 503 : 429, "");
        int64_t next_ns = machine_next_outside_at(world.machine);
        assert_true(next_ns >= before_ns);
        assert_true(next_ns <= before_ns + (WORLD_SECOND << i));
        assert_false(next_ns > world.now_ns && world_send(&world));
        world_crash(&world);
        world_advance(&world, 2 * WORLD_SECOND);
    }
    assert_true(world_send(&world));
    assert_int_equal(world.outs[0].attempt, 2);
    world_answer(&world, 500, "");
    world_expect(&world, "put /bad/1 step page (http): status 500\n");
    world_expect_runs(&world, "failed /a/1\n");
    assert_true(world_has(&world.last, "\"code\":500,\"attempts\":3,"
                                       "\"error\":\"status 500\""));
    world_close(&world);
}

static void the_pause_grows_up_to_its_cap(void **state)
{
    struct world world;
    int64_t longest_ns = 0;
    (void)state;
    world_open(&world,
               "name: p\nif: [{key: '/a/{x}'}]\nthen:\n"
               "- {id: w, http: {url: 'http://h/'}, retry: {max: 30, base: 1s, "
               "cap: 20s}}\n");
    world_put(&world, "/a/1", "");
    world_run(&world);
    for (unsigned i = 0; i < 30; i++) {
        assert_true(world_send(&world));
        world_answer(&world, 0, "");
        int64_t pause_ns =
            machine_next_outside_at(world.machine) - world.now_ns;
        assert_true(pause_ns >= 0);
        assert_true(i > 4 || pause_ns <= WORLD_SECOND << i);
        assert_true(pause_ns <= 20 * WORLD_SECOND);
        longest_ns = pause_ns > longest_ns ? pause_ns : longest_ns;
        world_advance(&world, 20 * WORLD_SECOND);
    }
    assert_true(longest_ns > 10 * WORLD_SECOND); /* it is by chance, seeded */
    world_close(&world);
}

static void retry_after_is_honoured(void **state)
{
    struct world world;
    const struct outside *outside;
    (void)state;
    world_open(&world, page);
    world_put(&world, "/a/1", "{\"n\":3}");
    world_run(&world);
    assert_true(machine_next_outside(world.machine, world.now_ns, &outside));
    struct outside_answer answer = {.status = 503,
                                    .retry_after_ns = 90 * WORLD_SECOND,
                                    .time_ns = world.now_ns};
    struct turn turn;
    turn_init(&turn);
    assert_int_equal(machine_answer(world.machine, &outside->run, outside->step,
                                    &answer, &world.lookups, &turn),
                     TURN_TAKEN);
    assert_int_equal(machine_next_outside_at(world.machine),
                     world.now_ns + 90 * WORLD_SECOND);
    turn_deinit(&turn);
    world_close(&world);
}

static void what_is_final(void **state)
{
    static const struct {
        int status;
        bool is_final;
    } cases[] = {
        {301, true},  {400, true}, {404, true},  {408, false}, {425, false},
        {429, false}, {499, true}, {500, false}, {503, false}, {0, false},
    };
    struct world world;
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        world_open(&world, page);
        world_put(&world, "/a/1", "{\"n\":3}");
        world_run(&world);
        assert_true(world_send(&world));
        world_answer(&world, cases[i].status, "");
        assert_int_equal(world_count(&world, "/_recipes/dead/"),
                         cases[i].is_final);
        assert_int_equal(world_count(&world, "/_recipes/active/"),
                         !cases[i].is_final);
        world_close(&world);
    }
}

static void an_answer_that_nobody_waits_for(void **state)
{
    struct world world;
    struct turn turn;
    struct outside_answer answer = {.is_ok = true, .status = 200};
    struct run_id id = {.revision = 1};
    (void)state;
    world_open(&world, page);
    world_put(&world, "/a/1", "{\"n\":3}");
    world_run(&world);
    turn_init(&turn);
    /* Not sent, another step, another run. */
    for (int i = 0; i < 3; i++) {
        if (i == 1)
            assert_true(world_send(&world));
        id.revision = i == 2 ? 99 : 1;
        assert_int_equal(machine_answer(world.machine, &id,
                                        i == 1 ? SLICE("other") : SLICE("page"),
                                        &answer, NULL, &turn),
                         TURN_TAKEN);
        assert_true(turn_is_empty(&turn));
    }
    turn_deinit(&turn);
    world_close(&world);
}

static void cancelled_while_it_is_out(void **state)
{
    struct world world;
    const struct outside *outside;
    (void)state;
    world_open(&world, "name: c\nmode: restart\nif: [{key: '/a/{x}'}]\n"
                       "then: [{id: w, http: {url: 'http://h/{{value}}'}}]");
    world_put(&world, "/a/1", "one");
    world_run(&world);
    assert_true(machine_next_outside(world.machine, world.now_ns, &outside));
    struct run_id run = outside->run;
    world_put(&world, "/a/1", "two");
    world_run(&world);
    world_expect_runs(&world, "cancelled /a/1\n");
    /* What was told of it is there until it is answered. */
    assert_true(slice_eq(outside->step, SLICE("w")));
    struct outside_answer answer = {.is_ok = true, .status = 200};
    struct turn turn;
    turn_init(&turn);
    assert_int_equal(machine_answer(world.machine, &run, outside->step, &answer,
                                    NULL, &turn),
                     TURN_TAKEN);
    assert_true(turn_is_empty(&turn));
    turn_deinit(&turn);
    assert_true(world_send(&world));
    assert_int_equal(world.out_count, 1);
    world_answer(&world, 200, "");
    world_expect_runs(&world, "ok /a/1\n");
    world_close(&world);
}

/* ---- secrets ------------------------------------------------------------ */

static void a_secret_is_never_there(void **state)
{
    struct world world;
    (void)state;
    world_open(&world, "name: s\nif: [{key: '/a/{x}'}]\n"
                       "let: {auth: \"Bearer {{secret('token')}}\"}\n"
                       "then:\n"
                       "- {id: w, http: {url: \"{{secret('url')}}\", headers: "
                       "{authorization: '{{auth}}'}, body: '{{value}}'}}\n"
                       "- put: {key: /b, value: '{{steps.w.status}}'}\n");
    /* Somebody would like to have one sent to him. */
    world_put(&world, "/a/1", "give me \x01token\x02 please");
    world_run(&world);
    assert_true(world_send(&world));
    assert_string_equal(world.outs[0].request,
                        "{\"method\":\"POST\",\"url\":\"\\u0001url\\u0002\","
                        "\"headers\":{\"authorization\":\"Bearer "
                        "\\u0001token\\u0002\"},\"body\":\"give me "
                        "token\\u0002 please\"}");
    world_answer(&world, 200, "");
    world_expect(&world, "put /b 200\n");
    assert_false(world_has(&world.last, "host"));
    assert_false(world_has(&world.last, "token"));
    world_close(&world);
}

/* ---- the dead ----------------------------------------------------------- */

static void open_dead(struct world *world, struct slice *key)
{
    world_open(world, page);
    world_put(world, "/a/1", "{\"n\":3}");
    world_run(world);
    assert_true(world_send(world));
    world_answer(world, 404, "");
    world_expect(world, "put /bad/1 step page (http): status 404\n");
    assert_int_equal(world_count(world, "/_recipes/dead/p/"), 1);
    *key = world_key(world, "/_recipes/dead/p/", 0);
    assert_true(slice_eq(
        *key, SLICE("/_recipes/dead/p/0000000000000000001.00000.0000.page")));
}

static enum turn_end revive(struct world *world, struct slice key)
{
    struct slice value = world_find(world, key, INT64_MAX)->value;
    if (!world->has_turn)
        turn_init(&world->turn);
    world->has_turn = true;
    return machine_revive(world->machine, key, value, world->now_ns,
                          &world->turn);
}

static void the_dead_may_come_to_life(void **state)
{
    struct world world;
    struct slice key;
    (void)state;
    open_dead(&world, &key);
    assert_true(
        world_value_has(&world, key, "\"step\":\"page\",\"kind\":\"http\""));
    assert_true(world_value_has(&world, key,
                                "\"attempts\":1,\"error\":\"status 404\""));
    world_crash(&world);
    assert_int_equal(revive(&world, key), TURN_TAKEN);
    world_commit(&world);
    assert_int_equal(world_count(&world, "/_recipes/dead/"), 0);
    world_crash(&world);
    assert_true(world_send(&world));
    assert_string_equal(world.outs[0].key, "7/1/page"); /* the same */
    world_answer(&world, 200, "{\"id\":4}");
    world_expect(&world, "put /paged/1 200 4 b\n"); /* and on from there */
    world_expect_runs(&world, "failed /a/1\nok /a/1\n");
    assert_true(world_has(&world.last, "\"id\":\"1.0.3000\""));
    world_close(&world);
}

static void and_die_again(void **state)
{
    struct world world;
    struct slice key;
    (void)state;
    open_dead(&world, &key);
    assert_int_equal(revive(&world, key), TURN_TAKEN);
    world_commit(&world);
    assert_true(world_send(&world));
    world_answer(&world, 410, "");
    world_expect(&world, "put /bad/1 step page (http): status 410\n");
    assert_true(slice_eq(world_key(&world, "/_recipes/dead/p/", 0), key));
    assert_int_equal(world_count(&world, "/_recipes/dead/p/"), 1);
    world_close(&world);
}

static void nothing_else_is_revived(void **state)
{
    static const char *const values[] = {"", "{}", "[1]", "{\"run\":{}}",
                                         "{\"run\":7}"};
    struct world world;
    struct turn turn;
    (void)state;
    world_open(&world, page);
    turn_init(&turn);
    for (size_t i = 0; i < sizeof values / sizeof values[0]; i++) {
        assert_int_equal(machine_revive(world.machine,
                                        SLICE("/_recipes/dead/p/1.page"),
                                        slice_str(values[i]), 5, &turn),
                         TURN_TAKEN);
        assert_true(turn_is_empty(&turn));
    }
    turn_deinit(&turn);
    world_close(&world);
}

/* ---- the other kinds ---------------------------------------------------- */

static void mail_and_programs(void **state)
{
    struct world world;
    (void)state;
    world_open(&world,
               "name: o\nif: [{key: '/a/{x}'}]\n"
               "then:\n"
               "- {id: m, email: {server: 'smtps://mail.example:465', from: "
               "a@b, to: ['{{x}}@b', c@b], subject: 's {{x}}', text: t}}\n"
               "- {id: e, exec: {args: [/bin/page, '{{x}}'], input: {x: "
               "'{{x}}'}}, timeout: 3s, retry: {max: 0}}\n");
    world_put(&world, "/a/1", "");
    world_run(&world);
    assert_true(world_send(&world));
    assert_string_equal(world.outs[0].request,
                        "{\"server\":\"smtps://mail.example:465\",\"from\":"
                        "\"a@b\",\"to\":[\"1@b\",\"c@b\"],\"subject\":"
                        "\"s 1\",\"text\":\"t\"}");
    world_answer(&world, 250, "");
    assert_true(world_send(&world));
    assert_string_equal(world.outs[0].request,
                        "{\"arguments\":[\"/bin/page\",\"1\"],\"input\":"
                        "\"{\\\"x\\\":\\\"1\\\"}\"}");
    world_answer(&world, 3, "");
    world_expect_runs(&world, "failed /a/1\n");
    assert_true(world_has(&world.last, "\"host\":\"mail.example:465\""));
    assert_true(world_has(&world.last, "\"program\":\"/bin/page\",\"code\":3,"
                                       "\"attempts\":1,\"error\":\"exit 3\""));
    world_close(&world);
}

static void a_request_that_cant_be_made(void **state)
{
    struct world world;
    (void)state;
    world_open(&world, "name: o\nif: [{key: '/a/{x}'}]\n"
                       "then:\n"
                       "- http: {url: 'http://h/{{value.n}}'}\n"
                       "on_failure: [{put: {key: /bad, value: x}}]");
    world_put(&world, "/a/1", "text");
    world_run(&world);
    world_expect(&world, "put /bad x\n");
    world_close(&world);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(it_goes_out_when_it_is_committed),
        cmocka_unit_test(what_was_lost_goes_out_again),
        cmocka_unit_test(it_is_tried_again_later),
        cmocka_unit_test(the_pause_grows_up_to_its_cap),
        cmocka_unit_test(retry_after_is_honoured),
        cmocka_unit_test(what_is_final),
        cmocka_unit_test(an_answer_that_nobody_waits_for),
        cmocka_unit_test(cancelled_while_it_is_out),
        cmocka_unit_test(a_secret_is_never_there),
        cmocka_unit_test(the_dead_may_come_to_life),
        cmocka_unit_test(and_die_again),
        cmocka_unit_test(nothing_else_is_revived),
        cmocka_unit_test(mail_and_programs),
        cmocka_unit_test(a_request_that_cant_be_made),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
