/* Actions outside: tried until they succeed or are given up; whoever dies in
 * between, none is lost. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>

#include "runner_world.h"

#define MILLI INT64_C(1000000)
#define SECOND INT64_C(1000000000)

static const char post[] =
    "{name: post, start: beginning, if: [{key: '/from/{id}'}],"
    " then: [{id: page, http: {method: POST, url: 'http://pager/{{id}}',"
    " headers: {X-Token: \"{{secret('token')}}\"},"
    " json: {text: '{{raw}}', pass: \"{{secret('token')}}\"}},"
    " retry: {max: 4, base: 1s, cap: 10s}},"
    " {put: {key: '/done/{{id}}', value: '{{steps.page.status}}'}}]}";

static char headers_seen[512];
static char body_seen[512];
static int times;
static int fail_first;

static bool answer(struct world *world, const struct act *act,
                   struct act_answer *out)
{
    (void)world;
    snprintf(headers_seen, sizeof headers_seen, "%.*s", (int)act->headers.size,
             act->headers.at);
    snprintf(body_seen, sizeof body_seen, "%.*s", (int)act->body.size,
             act->body.at);
    if (times++ < fail_first)
        out->status = 503;
    return true;
}

static void begin(struct world *world, uint64_t seed)
{
    world_init(world, seed);
    world->act = answer;
    world->act_ns = 5 * MILLI;
    times = 0;
    fail_first = 0;
    world_put(world, "/_recipes/secret/token", "token:s\"cret");
    world_define(world, post);
}

static size_t done_wanted;
static bool is_done(struct world *world)
{
    return world_count(world, "/done/") >= done_wanted;
}

static void test_it_goes_out_with_its_secrets(void **state)
{
    (void)state;
    struct world world;
    begin(&world, 1);
    world_put(&world, "/from/a", "hot");
    world_start(&world, 0);
    done_wanted = 1;
    assert_true(world_run_until(&world, is_done, 5 * SECOND));
    assert_int_equal(times, 1);
    assert_memory_equal(world_get(&world, "/done/a").at, "200", 3);
    assert_non_null(strstr(headers_seen, "X-Token: s\"cret\r\n"));
    assert_non_null(strstr(headers_seen, "Idempotency-Key: "));
    assert_non_null(strstr(headers_seen, "Content-Type: application/json"));
    assert_string_equal(body_seen, "{\"text\":\"hot\",\"pass\":\"s\\\"cret\"}");
    /* Nothing of it is left in the store. */
    for (size_t i = 0; i < world.store.event_count; i++) {
        struct slice value = world.store.events[i].kv.value;
        bool is_secret = slice_has_prefix(world.store.events[i].key->key,
                                          SLICE("/_recipes/secret/"));
        assert_true(is_secret || !memmem(value.at, value.size, "s\"cret", 6));
        assert_true(is_secret || !memmem(value.at, value.size, "s\\\"cret", 7));
    }
    assert_int_equal(world_count(&world, "/_recipes/active/"), 0);
    world_deinit(&world);
}

static void test_it_is_tried_again_with_the_same_key(void **state)
{
    (void)state;
    struct world world;
    begin(&world, 2);
    fail_first = 2;
    world_put(&world, "/from/a", "hot");
    world_start(&world, 0);
    world_run(&world, 500 * MILLI);
    char first[512];
    memcpy(first, headers_seen, sizeof first);
    done_wanted = 1;
    assert_true(world_run_until(&world, is_done, 20 * SECOND));
    assert_int_equal(times, 3);
    assert_string_equal(first, headers_seen);
    world_deinit(&world);
}

static void test_given_up_it_is_a_dead_letter_and_may_live_again(void **state)
{
    (void)state;
    struct world world;
    begin(&world, 3);
    fail_first = 1000;
    world_put(&world, "/from/a", "hot");
    world_start(&world, 0);
    world_run(&world, 60 * SECOND);
    assert_int_equal(times, 5);
    assert_int_equal(world_count(&world, "/_recipes/dead/post/"), 1);
    assert_int_equal(world_count(&world, "/done/"), 0);
    /* Somebody wants it again. */
    fail_first = 0;
    char key[256] = "";
    for (size_t i = 0; i < world.store.key_count; i++) {
        struct slice its = world.store.keys[i]->key;
        struct slice prefix = SLICE("/_recipes/dead/post/");
        if (slice_has_prefix(its, prefix))
            snprintf(key, sizeof key, "/_recipes/in/post/retry/%.*s",
                     (int)(its.size - prefix.size), its.at + prefix.size);
    }
    world_put(&world, key, "");
    done_wanted = 1;
    assert_true(world_run_until(&world, is_done, 10 * SECOND));
    assert_int_equal(world_count(&world, "/_recipes/dead/"), 0);
    assert_int_equal(world_count(&world, "/_recipes/in/"), 0);
    assert_int_equal(times, 6);
    world_deinit(&world);
}

static void test_a_secret_that_is_missing_is_final(void **state)
{
    (void)state;
    struct world world;
    begin(&world, 4);
    world_delete(&world, "/_recipes/secret/token");
    world_put(&world, "/from/a", "hot");
    world_start(&world, 0);
    world_run(&world, 3 * SECOND);
    assert_int_equal(times, 0);
    assert_int_equal(world_count(&world, "/_recipes/dead/post/"), 1);
    bool is_named = false;
    for (size_t i = 0; i < world.store.event_count; i++) {
        struct slice value = world.store.events[i].kv.value;
        is_named = is_named || (slice_has_prefix(world.store.events[i].key->key,
                                                 SLICE("/_recipes/dead/")) &&
                                memmem(value.at, value.size, "token", 5));
    }
    assert_true(is_named);
    world_deinit(&world);
}

static void test_a_killed_worker_loses_none(void **state)
{
    (void)state;
    struct world world;
    begin(&world, 5);
    world.act_ns = 300 * MILLI;
    for (int i = 0; i < 30; i++) {
        char key[32];
        snprintf(key, sizeof key, "/from/%d", i);
        world_put(&world, key, "x");
    }
    world_start(&world, 0);
    for (int i = 0; i < 4; i++) {
        world_run(&world, 400 * MILLI);
        world_kill(&world, i);
        world_run(&world, 6 * SECOND);
        world_start(&world, i + 1);
    }
    done_wanted = 30;
    assert_true(world_run_until(&world, is_done, 30 * SECOND));
    assert_true(times >= 30);
    assert_int_equal(world_count(&world, "/_recipes/active/"), 0);
    world_deinit(&world);
}

static int under_way;
static int most_under_way;
static bool hang(struct world *world, const struct act *act,
                 struct act_answer *out)
{
    (void)world;
    (void)act;
    (void)out;
    under_way++;
    if (under_way > most_under_way)
        most_under_way = under_way;
    return false;
}

static void test_not_more_than_sixteen_of_one_recipe(void **state)
{
    (void)state;
    struct world world;
    begin(&world, 6);
    world.act = hang;
    under_way = most_under_way = 0;
    for (int i = 0; i < 40; i++) {
        char key[32];
        snprintf(key, sizeof key, "/from/%d", i);
        world_put(&world, key, "x");
    }
    world_start(&world, 0);
    world_run(&world, 5 * SECOND);
    assert_int_equal(most_under_way, 16);
    world_deinit(&world);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_it_goes_out_with_its_secrets),
        cmocka_unit_test(test_it_is_tried_again_with_the_same_key),
        cmocka_unit_test(test_given_up_it_is_a_dead_letter_and_may_live_again),
        cmocka_unit_test(test_a_secret_that_is_missing_is_final),
        cmocka_unit_test(test_a_killed_worker_loses_none),
        cmocka_unit_test(test_not_more_than_sixteen_of_one_recipe),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
