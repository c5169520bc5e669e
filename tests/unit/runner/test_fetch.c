/* Feeds and polls: each item comes in once. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>

#include "runner_world.h"

#define MILLI INT64_C(1000000)
#define SECOND INT64_C(1000000000)

static char body[4096];
static char headers_seen[512];
static char url_seen[256];
static int times;
static int status;
static const char *etag;

static bool serve(struct world *world, const struct act *act,
                  struct act_answer *out)
{
    static char headers[128];
    (void)world;
    assert_true(act->is_fetch);
    snprintf(headers_seen, sizeof headers_seen, "%.*s", (int)act->headers.size,
             act->headers.at);
    snprintf(url_seen, sizeof url_seen, "%.*s", (int)act->url.size,
             act->url.at);
    times++;
    out->status = status;
    if (etag) {
        snprintf(headers, sizeof headers, "{\"etag\":\"%s\"}", etag);
        out->headers = slice_str(headers);
        if (strstr(headers_seen, etag))
            out->status = 304;
    }
    if (out->status == 200)
        out->body = slice_str(body);
    return true;
}

static const char poll[] =
    "{name: poll, if: [{poll: {url: \"http://list/?key={{secret('key')}}\","
    " every: 30s, items: 'body.items', id: 'item.name'}}],"
    " then: [{put: {key: '/item/{{item.name}}/{{event.revision}}',"
    " value: '{{item.size}}'}}]}";
static const char feed[] =
    "{name: feed, start: beginning, if: [{feed: {url: 'http://news/',"
    " every: 1m}}], then: [{put: {key: '/news/{{item.id}}',"
    " value: '{{item.title}}'}}]}";

static void begin(struct world *world, uint64_t seed, const char *recipe)
{
    world_init(world, seed);
    world->act = serve;
    world->act_ns = 5 * MILLI;
    world->lease_ns = 2 * SECOND;
    times = 0;
    status = 200;
    etag = NULL;
    world_put(world, "/_recipes/secret/key", "key:sesame");
    world_define(world, recipe);
}

static void test_what_is_there_first_is_no_news(void **state)
{
    (void)state;
    struct world world;
    begin(&world, 1, poll);
    snprintf(body, sizeof body,
             "{\"items\":[{\"name\":\"a\",\"size\":1},"
             "{\"name\":\"b\",\"size\":2}]}");
    world_start(&world, 0);
    world_run(&world, 5 * SECOND);
    assert_int_equal(times, 1);
    assert_string_equal(url_seen, "http://list/?key=sesame");
    assert_int_equal(world_count(&world, "/item/"), 0);
    assert_int_equal(world_count(&world, "/_recipes/seen/poll/"), 2);
    snprintf(body, sizeof body,
             "{\"items\":[{\"name\":\"c\",\"size\":3},{\"name\":\"a\","
             "\"size\":1},{\"name\":\"c\",\"size\":3}]}");
    world_run(&world, 35 * SECOND);
    assert_int_equal(times, 2);
    assert_int_equal(world_count(&world, "/item/"), 1);
    assert_int_equal(world_count(&world, "/item/c/"), 1);
    world_run(&world, 100 * SECOND);
    assert_int_equal(world_count(&world, "/item/"), 1);
    world_deinit(&world);
}

static void test_items_of_a_feed_from_the_oldest_on(void **state)
{
    (void)state;
    struct world world;
    begin(&world, 2, feed);
    snprintf(body, sizeof body,
             "[{\"id\":\"3\",\"title\":\"new\"},{\"id\":\"2\",\"title\":"
             "\"old\"},{\"id\":\"1\",\"title\":\"older\"},{\"title\":\"no "
             "id\"}]");
    world_start(&world, 0);
    world_run(&world, 5 * SECOND);
    assert_int_equal(world_count(&world, "/news/"), 3);
    assert_memory_equal(world_get(&world, "/news/1").at, "older", 5);
    /* In one revision, but the older one before the newer one. */
    int64_t last = 0;
    const char *const order[] = {"/news/1", "/news/2", "/news/3"};
    for (size_t i = 0; i < world.store.event_count; i++)
        if (last < 3 &&
            slice_eq(world.store.events[i].key->key, slice_str(order[last])))
            last++;
    assert_int_equal(last, 3);
    world_deinit(&world);
}

static void test_it_asks_whether_it_has_changed(void **state)
{
    (void)state;
    struct world world;
    begin(&world, 3, feed);
    etag = "abc123";
    snprintf(body, sizeof body, "[{\"id\":\"1\",\"title\":\"one\"}]");
    world_start(&world, 0);
    world_run(&world, 5 * SECOND);
    assert_null(strstr(headers_seen, "If-None-Match"));
    world_run(&world, 70 * SECOND);
    assert_int_equal(times, 2);
    assert_non_null(strstr(headers_seen, "If-None-Match: abc123\r\n"));
    /* The next owner knows it too. */
    world_kill(&world, 0);
    world_run(&world, 5 * SECOND);
    world_start(&world, 1);
    world_run(&world, 20 * SECOND);
    assert_int_equal(times, 3);
    assert_non_null(strstr(headers_seen, "If-None-Match: abc123\r\n"));
    assert_int_equal(world_puts(&world, "/news/1"), 1);
    world_deinit(&world);
}

static void test_a_failure_is_tried_again(void **state)
{
    (void)state;
    struct world world;
    begin(&world, 4, feed);
    status = 500;
    snprintf(body, sizeof body, "[{\"id\":\"1\",\"title\":\"one\"}]");
    world_start(&world, 0);
    world_run(&world, 5 * SECOND);
    assert_int_equal(times, 1);
    assert_int_equal(world_count(&world, "/news/"), 0);
    status = 200;
    snprintf(body, sizeof body, "this is no list");
    world_run(&world, 70 * SECOND);
    assert_int_equal(times, 2);
    snprintf(body, sizeof body, "[{\"id\":\"1\",\"title\":\"one\"}]");
    world_run(&world, 70 * SECOND);
    assert_int_equal(world_count(&world, "/news/"), 1);
    world_deinit(&world);
}

static void write_items(int count)
{
    size_t size = 0;
    size += (size_t)snprintf(body, sizeof body, "[");
    for (int i = count; i > 0; i--)
        size += (size_t)snprintf(body + size, sizeof body - size,
                                 "%s{\"id\":\"%d\",\"title\":\"t\"}",
                                 i == count ? "" : ",", i);
    snprintf(body + size, sizeof body - size, "]");
}

static void test_each_item_comes_in_once(void **state)
{
    (void)state;
    for (uint64_t seed = 10; seed < 20; seed++) {
        struct world world;
        begin(&world, seed, feed);
        world.faults = (struct world_faults){
            .delay_ns = 20 * MILLI, .lost = 100, .late_ns = 5 * SECOND};
        world_start(&world, 0);
        world_start(&world, 1);
        for (int i = 0; i < 6; i++) {
            write_items(20 * (i + 1));
            world_run(&world, 60 * SECOND);
            world_kill(&world, i % 2);
            world_run(&world, 3 * SECOND);
            world_start(&world, i % 2);
        }
        world.faults = (struct world_faults){.delay_ns = MILLI};
        world_run(&world, 150 * SECOND);
        assert_int_equal(world_count(&world, "/news/"), 120);
        for (int i = 1; i <= 120; i++) {
            char key[32];
            snprintf(key, sizeof key, "/news/%d", i);
            assert_int_equal(world_puts(&world, key), 1);
        }
        world_deinit(&world);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_what_is_there_first_is_no_news),
        cmocka_unit_test(test_items_of_a_feed_from_the_oldest_on),
        cmocka_unit_test(test_it_asks_whether_it_has_changed),
        cmocka_unit_test(test_a_failure_is_tried_again),
        cmocka_unit_test(test_each_item_comes_in_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
