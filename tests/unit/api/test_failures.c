/* When the node can't, or the client doesn't wait. */
#include "base/limits.h"
#include "story.h"

static void a_client_that_goes_away_is_still_obeyed(void **state)
{
    struct world *world = *state;
    struct client *client = client_new(world);
    world->idle_core = true;
    client_ask(client, "PUT", "/v2/keys/a", NULL, "value=1");
    world_turn(world);
    assert_int_equal(api_pending(world->api), 1);
    client_free(client);
    world->idle_core = false;
    world_turn(world);
    assert_int_equal(api_pending(world->api), 0);
    story(world, "GET /v2/keys/a", NULL, 200, "*\"value\":\"1\",*");
    /* It counts too. */
    story(world, "GET /v2/stats/store", NULL, 200, "*\"setsSuccess\":1,*");
}

static void too_many_writes_are_refused(void **state)
{
    struct world *world = *state;
    struct client *client;
    world->idle_core = true;
    for (int i = 0; i < LIMIT_PROPOSALS_MAX; i++) {
        client = client_new(world);
        client_ask(client, "PUT", "/v2/keys/a", NULL, "value=1");
    }
    story(world, "PUT /v2/keys/a", "value=2", 503,
          "{\"errorCode\":300,\"message\":\"Raft Internal Error\",\"cause\":"
          "\"etcdserver: too many requests\",\"index\":1}\n");
    /* What needs no write is answered. */
    story_status(world, "GET /v2/keys/a", NULL, 404);
    assert_int_equal(api_pending(world->api), LIMIT_PROPOSALS_MAX);
    world->idle_core = false;
    world_turn(world);
    assert_int_equal(api_pending(world->api), 0);
    story_status(world, "PUT /v2/keys/a", "value=2", 200);
}

static void a_full_store_takes_only_deletions(void **state)
{
    struct world *world = *state;
    world_close(world);
    world->config.quota_bytes = 10000;
    world_open(world);
    struct buf value = {0};
    buf_append_str(&value, "value=");
    memset(buf_extend(&value, 20000), 'x', 20000);
    buf_append_char(&value, '\0');
    story_status(world, "PUT /v2/keys/a", value.at, 201);
    assert_int_equal(world_flush(world), ERR_OK);
    story(world, "PUT /v2/keys/b", "value=1", 500,
          "{\"errorCode\":300,\"message\":\"Raft Internal Error\",\"cause\":"
          "\"etcdserver: mvcc: database space exceeded\",\"index\":2}\n");
    story(world, "GET /health", NULL, 503,
          "{\"health\":\"false\",\"reason\":\"ALARM NOSPACE\"}\n");
    story(world, "GET /health?exclude=NOSPACE", NULL, 200,
          "{\"health\":\"true\"}");
    story(world, "GET /readyz", NULL, 200, "ok\n");
    story(world, "GET /metrics", NULL, 200, "*alarm_type=\"NOSPACE\"} 1\n*");
    story_status(world, "GET /v2/keys/a", NULL, 200);
    story_status(world, "DELETE /v2/keys/a", NULL, 200);
    buf_deinit(&value);
}

static void a_log_that_fails_ends_the_member_without_a_lie(void **state)
{
    struct world *world = *state;
    story_status(world, "PUT /v2/keys/a", "value=1", 201);
    disk_memory_fail_call(world->disk, 1, ERR_IO);
    story(world, "PUT /v2/keys/a", "value=2", 503,
          "{\"errorCode\":300,\"message\":\"Raft Internal Error\",\"cause\":"
          "\"etcdserver: server stopped\",*");
    assert_int_equal(world->core_failed, ERR_IO);
    disk_memory_fail_call(world->disk, 0, ERR_OK);
    story(world, "GET /v2/keys/a", NULL, 200, "*\"value\":\"1\",*");
    world_crash(world);
    world_open(world);
    story_status(world, "GET /v2/keys/a", NULL, 200);
}

static void a_store_that_cant_be_read(void **state)
{
    struct world *world = *state;
    story_status(world, "PUT /v2/keys/a", "value=1", 201);
    story_status(world, "PUT /v2/keys/d/b", "value=1", 201);
    assert_int_equal(world_flush(world), ERR_OK);
    kv_memory_fail_after(world->kv, 1, ERR_IO);
    story(world, "GET /v2/keys/a", NULL, 500,
          "{\"errorCode\":300,\"message\":\"Raft Internal Error\",*");
    kv_memory_fail_after(world->kv, 1, ERR_IO);
    story_status(world, "GET /v2/keys/d", NULL, 500);
    kv_memory_fail_after(world->kv, 0, ERR_OK);
    story_status(world, "GET /v2/keys/a", NULL, 200);
}

static void a_watcher_of_what_cant_be_read_is_not_left_in_the_dark(void **state)
{
    struct world *world = *state;
    story_status(world, "PUT /v2/keys/a", "value=1", 201);
    assert_int_equal(world_flush(world), ERR_OK);
    struct client *client = client_new(world);
    client_ask(client, "GET", "/v2/keys/a?wait=true&stream=true", NULL, NULL);
    world_turn(world);
    /* The write's own answer reads the node before it; then the watcher's. */
    uint64_t calls = kv_memory_calls(world->kv);
    story_status(world, "PUT /v2/keys/a", "value=2", 200);
    calls = kv_memory_calls(world->kv) - calls;
    assert_true(calls > 0);
    story_status(world, "PUT /v2/keys/b", "value=2", 201);
    assert_int_equal(world_flush(world), ERR_OK);
    struct client *writer = client_new(world);
    client_ask(writer, "PUT", "/v2/keys/a", NULL, "value=3");
    kv_memory_fail_after(world->kv, calls, ERR_IO);
    world_turn(world);
    kv_memory_fail_after(world->kv, 0, ERR_OK);
    assert_true(http1_is_finished(client->http1));
    struct reply reply;
    assert_true(client_reply(client, false, &reply));
    assert_false(reply.is_whole);
    client_free(client);
    client_free(writer);
}

static void nothing_is_taken_after_a_stop(void **state)
{
    struct world *world = *state;
    struct client *client = client_new(world);
    world->idle_core = true;
    client_ask(client, "PUT", "/v2/keys/a", NULL, "value=1");
    api_stop(world->api);
    assert_int_equal(api_pending(world->api), 1);
    story(world, "PUT /v2/keys/a", "value=2", 503,
          "{\"message\":\"etcdserver: server stopped\"}");
    world->idle_core = false;
    world_turn(world);
    struct reply reply;
    assert_true(client_reply(client, false, &reply));
    assert_int_equal(reply.status, 201);
    client_free(client);
}

int main(void)
{
#define STORY(name) \
    cmocka_unit_test_setup_teardown(name, story_begin, story_end)
    const struct CMUnitTest tests[] = {
        STORY(a_client_that_goes_away_is_still_obeyed),
        STORY(too_many_writes_are_refused),
        STORY(a_full_store_takes_only_deletions),
        STORY(a_log_that_fails_ends_the_member_without_a_lie),
        STORY(a_store_that_cant_be_read),
        STORY(a_watcher_of_what_cant_be_read_is_not_left_in_the_dark),
        STORY(nothing_is_taken_after_a_stop),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
