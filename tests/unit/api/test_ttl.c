/* Keys and directories with a time to live. */
#include "story.h"

static void a_ttl_counts_down_and_ends_the_key(void **state)
{
    struct world *world = *state;
    story(world, "PUT /v2/keys/foo", "value=bar&ttl=5", 201,
          "{\"action\":\"set\",\"node\":{\"key\":\"/foo\",\"value\":\"bar\","
          "\"expiration\":\"2026-01-01T00:00:05Z\",\"ttl\":5,"
          "\"modifiedIndex\":2,\"createdIndex\":2}}\n");
    world_wait(world, SECOND_NS / 2);
    /* Whole seconds, rounded up. */
    story(world, "GET /v2/keys/foo", NULL, 200, "*\"ttl\":5,*");
    world_wait(world, 3 * SECOND_NS);
    story(world, "GET /v2/keys/foo", NULL, 200,
          "*\"expiration\":\"2026-01-01T00:00:05Z\",\"ttl\":2,*");
    world_wait(world, SECOND_NS + SECOND_NS / 2);
    story(world, "GET /v2/keys/foo", NULL, 404,
          "{\"errorCode\":100,\"message\":\"Key not found\",\"cause\":"
          "\"/foo\",\"index\":3}\n");
    story(world, "GET /v2/stats/store", NULL, 200, "*\"expireCount\":1,*");
}

static void a_ttl_is_taken_away_by_an_empty_one(void **state)
{
    struct world *world = *state;
    story_status(world, "PUT /v2/keys/foo", "value=bar&ttl=5", 201);
    story(world, "PUT /v2/keys/foo", "value=bar&ttl=&prevExist=true", 200,
          "{\"action\":\"update\",\"node\":{\"key\":\"/foo\",\"value\":"
          "\"bar\",\"modifiedIndex\":3,\"createdIndex\":2},\"prevNode\":{"
          "\"key\":\"/foo\",\"value\":\"bar\",\"expiration\":"
          "\"2026-01-01T00:00:05Z\",\"ttl\":5,\"modifiedIndex\":2,"
          "\"createdIndex\":2}}\n");
    world_wait(world, 100 * SECOND_NS);
    story_status(world, "GET /v2/keys/foo", NULL, 200);
}

static void a_ttl_of_nothing_ends_at_once(void **state)
{
    struct world *world = *state;
    struct client *watcher = client_new(world);
    client_ask(watcher, "GET", "/v2/keys/foo?wait=true&stream=true", NULL,
               NULL);
    story(world, "PUT /v2/keys/foo", "value=bar&ttl=0", 201,
          "*\"expiration\":\"2026-01-01T00:00:00Z\",\"modifiedIndex\":2,*");
    world_wait(world, 1);
    story_status(world, "GET /v2/keys/foo", NULL, 404);
    story_stream(watcher, "{\"action\":\"set\",*}\n"
                          "{\"action\":\"expire\",\"node\":{\"key\":\"/foo\","
                          "\"modifiedIndex\":3,\"createdIndex\":2},"
                          "\"prevNode\":{\"key\":\"/foo\",\"value\":\"bar\",*");
    client_free(watcher);
}

static void a_refresh_moves_the_end_and_wakes_nobody(void **state)
{
    struct world *world = *state;
    struct client *watcher = client_new(world);
    story_status(world, "PUT /v2/keys/foo", "value=bar&ttl=5", 201);
    client_ask(watcher, "GET", "/v2/keys/foo?wait=true&stream=true", NULL,
               NULL);
    world_wait(world, 3 * SECOND_NS);
    story(world, "PUT /v2/keys/foo", "refresh=true&ttl=10&prevExist=true", 200,
          "{\"action\":\"update\",\"node\":{\"key\":\"/foo\",\"value\":"
          "\"bar\",\"expiration\":\"2026-01-01T00:00:13Z\",\"ttl\":10,*");
    story_stream(watcher, "");
    world_wait(world, 9 * SECOND_NS);
    story_status(world, "GET /v2/keys/foo", NULL, 200);
    world_wait(world, 2 * SECOND_NS);
    story_status(world, "GET /v2/keys/foo", NULL, 404);
    story_stream(watcher, "{\"action\":\"expire\",*}\n");
    client_free(watcher);
    story(world, "PUT /v2/keys/none", "refresh=true&ttl=10", 404,
          "{\"errorCode\":100,*");
}

static void a_directory_takes_all_along(void **state)
{
    struct world *world = *state;
    story(world, "PUT /v2/keys/dir", "dir=true&ttl=30", 201,
          "{\"action\":\"set\",\"node\":{\"key\":\"/dir\",\"dir\":true,"
          "\"expiration\":\"2026-01-01T00:00:30Z\",\"ttl\":30,"
          "\"modifiedIndex\":2,\"createdIndex\":2}}\n");
    story_status(world, "PUT /v2/keys/dir/a", "value=1", 201);
    story(world, "GET /v2/keys/dir", NULL, 200,
          "{\"action\":\"get\",\"node\":{\"key\":\"/dir\",\"dir\":true,"
          "\"expiration\":\"2026-01-01T00:00:30Z\",\"ttl\":30,\"nodes\":[*]*");
    struct client *watcher = client_new(world);
    client_ask(watcher, "GET", "/v2/keys/dir/a?wait=true", NULL, NULL);
    world_wait(world, 31 * SECOND_NS);
    story_status(world, "GET /v2/keys/dir/a", NULL, 404);
    /* Who watched the file is told of the directory's end. */
    story_stream(watcher, "{\"action\":\"expire\",\"node\":{\"key\":\"/dir\","
                          "\"dir\":true,*");
    client_free(watcher);
}

static void ttls_outlive_a_restart(void **state)
{
    struct world *world = *state;
    story_status(world, "PUT /v2/keys/foo", "value=bar&ttl=10", 201);
    story_status(world, "PUT /v2/keys/bar", "value=foo&ttl=100", 201);
    world_close(world);
    world->wall_ns += 20 * SECOND_NS;
    world_open(world);
    world_turn(world);
    story_status(world, "GET /v2/keys/foo", NULL, 404);
    story(world, "GET /v2/keys/bar", NULL, 200, "*\"ttl\":80,*");
}

static void a_ttl_of_many_lifetimes(void **state)
{
    struct world *world = *state;
    story_status(world, "PUT /v2/keys/a", "value=1&ttl=99999999999", 201);
    story_status(world, "PUT /v2/keys/b", "value=1&ttl=9223372036", 201);
    world_wait(world, SECOND_NS);
    story_status(world, "GET /v2/keys/a", NULL, 200);
    story_status(world, "GET /v2/keys/b", NULL, 200);
}

int main(void)
{
#define STORY(name) \
    cmocka_unit_test_setup_teardown(name, story_begin, story_end)
    const struct CMUnitTest tests[] = {
        STORY(a_ttl_counts_down_and_ends_the_key),
        STORY(a_ttl_is_taken_away_by_an_empty_one),
        STORY(a_ttl_of_nothing_ends_at_once),
        STORY(a_refresh_moves_the_end_and_wakes_nobody),
        STORY(a_directory_takes_all_along),
        STORY(ttls_outlive_a_restart),
        STORY(a_ttl_of_many_lifetimes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
