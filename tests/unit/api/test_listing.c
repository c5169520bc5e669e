/* Directories that are larger than a piece. */
#include <stdio.h>

#include "base/limits.h"
#include "story.h"

/* Keys "/big/000000"... with small values, put past HTTP so that it is
 * quick. */
static void fill(struct world *world, const char *dir, int from, int count)
{
    struct client *client = client_new(world);
    for (int i = from; i < from + count; i++) {
        char target[64];
        (void)snprintf(target, sizeof(target), "/v2/keys%s/%06d", dir, i);
        client_ask(client, "PUT", target, NULL, "value=x");
        world_turn(world);
        buf_reset(&client->got);
    }
    client_free(client);
}

static size_t unsent(struct client *client)
{
    struct slice slices[64];
    size_t bytes = 0;
    size_t count = http1_output(client->http1, slices, 64);
    for (size_t i = 0; i < count; i++) {
        bytes += slices[i].size;
    }
    return bytes;
}

static size_t count_of(struct slice text, const char *what)
{
    size_t count = 0;
    const char *at;
    while (text.size > 0 &&
           (at = memmem(text.at, text.size, what, strlen(what))) != NULL) {
        size_t skip = (size_t)(at - text.at) + strlen(what);
        text = slice_of(text.at + skip, text.size - skip);
        count++;
    }
    return count;
}

static void a_small_one_has_its_length(void **state)
{
    struct world *world = *state;
    fill(world, "/d", 0, 100);
    struct reply reply = world_request(world, "GET", "/v2/keys/d", NULL, NULL);
    assert_true(reply_header(&reply, "Content-Length").at != NULL);
    assert_int_equal(count_of(reply.body, "\"value\":\"x\""), 100);
}

static void a_large_one_comes_in_pieces_in_bounded_memory(void **state)
{
    struct world *world = *state;
    enum { COUNT = 100000 };
    fill(world, "/big", 0, COUNT);
    assert_int_equal(world_flush(world), ERR_OK);
    struct client *client = client_new(world);
    client->is_slow = true;
    client_ask(client, "GET", "/v2/keys/big", NULL, NULL);
    size_t most = 0;
    do {
        size_t now = unsent(client);
        most = now > most ? now : most;
    } while (client_take(client, 30000) > 0);
    assert_true(most < 2 * LIMIT_HTTP_OUT_HIGH_BYTES);
    struct reply reply;
    assert_true(client_reply(client, false, &reply));
    assert_true(reply.is_whole);
    assert_true(reply_header(&reply, "Content-Length").at == NULL);
    expect_text(slice_of(reply.body.at, 200),
                "{\"action\":\"get\",\"node\":{\"key\":\"/big\",\"dir\":true,"
                "\"nodes\":[{\"key\":\"/big/000000\",\"value\":\"x\",*");
    expect_text(slice_of(reply.body.at + reply.body.size - 100, 100),
                "*\"modifiedIndex\":100001,\"createdIndex\":100001}],"
                "\"modifiedIndex\":2,\"createdIndex\":2}}\n");
    assert_int_equal(count_of(reply.body, "\"value\":\"x\""), COUNT);
    client_free(client);
}

static void a_tree_is_listed_as_deep_as_it_is(void **state)
{
    struct world *world = *state;
    fill(world, "/t/a", 0, 3000);
    fill(world, "/t/b/c/d", 0, 3000);
    fill(world, "/t/b/e", 0, 10);
    story_status(world, "PUT /v2/keys/t/empty", "dir=true", 201);
    struct reply reply =
        world_request(world, "GET", "/v2/keys/t?recursive=true", NULL, NULL);
    assert_int_equal(count_of(reply.body, "\"value\":\"x\""), 6010);
    assert_int_equal(count_of(reply.body, "\"nodes\":["), 6);
    assert_int_equal(count_of(reply.body, "["), count_of(reply.body, "]"));
    assert_int_equal(count_of(reply.body, "{"), count_of(reply.body, "}"));
    assert_int_equal(count_of(reply.body, "{\"key\":\"/t/empty\",\"dir\":true,"
                                          "\"modifiedIndex\""),
                     1);
}

static void what_changes_meanwhile_is_not_seen(void **state)
{
    struct world *world = *state;
    fill(world, "/big", 0, 10000);
    struct client *client = client_new(world);
    client->is_slow = true;
    client_ask(client, "GET", "/v2/keys/big", NULL, NULL);
    client_take(client, 1000);
    fill(world, "/big", 5000, 8000);
    story_status(world, "DELETE /v2/keys/big?recursive=true", NULL, 200);
    client->is_slow = false;
    world_turn(world);
    struct reply reply;
    assert_true(client_reply(client, false, &reply));
    assert_true(reply.is_whole);
    expect_text(reply_header(&reply, "X-Etcd-Index"), "10001");
    assert_int_equal(count_of(reply.body, "\"value\":\"x\""), 10000);
    client_free(client);
}

static void if_it_is_compacted_meanwhile_it_breaks_off(void **state)
{
    struct world *world = *state;
    fill(world, "/big", 0, 10000);
    struct client *client = client_new(world);
    client->is_slow = true;
    client_ask(client, "GET", "/v2/keys/big", NULL, NULL);
    fill(world, "/other", 0, 10);
    world_compact(world, world_revision(world) - 1);
    client->is_slow = false;
    world_turn(world);
    struct reply reply;
    assert_true(client_reply(client, false, &reply));
    assert_int_equal(reply.status, 200);
    assert_false(reply.is_whole);
    assert_true(http1_is_finished(client->http1));
    client_free(client);
}

static void a_reader_that_goes_away_leaves_nothing(void **state)
{
    struct world *world = *state;
    fill(world, "/big", 0, 10000);
    struct client *client = client_new(world);
    client->is_slow = true;
    client_ask(client, "GET", "/v2/keys/big?recursive=true", NULL, NULL);
    client_take(client, 1000);
    client_free(client);
    story_status(world, "GET /v2/keys/big/000000", NULL, 200);
}

static void head_makes_no_pieces(void **state)
{
    struct world *world = *state;
    fill(world, "/big", 0, 10000);
    struct client *client = client_new(world);
    struct reply reply;
    client_ask(client, "HEAD", "/v2/keys/big", NULL, NULL);
    client_ask(client, "GET", "/v2/keys/big/000001", NULL, NULL);
    world_turn(world);
    assert_true(client_reply(client, true, &reply));
    assert_int_equal(reply.status, 200);
    client_next(client, &reply);
    assert_true(client_reply(client, false, &reply));
    expect_text(reply.body, "{\"action\":\"get\",*");
    client_free(client);
}

static void requests_follow_a_listing_on_its_connection(void **state)
{
    struct world *world = *state;
    fill(world, "/big", 0, 5000);
    struct client *client = client_new(world);
    struct reply reply;
    for (int i = 0; i < 3; i++) {
        client_ask(client, "GET", "/v2/keys/big", NULL, NULL);
        client_ask(client, "PUT", "/v2/keys/a", NULL, "value=1");
    }
    world_turn(world);
    for (int i = 0; i < 3; i++) {
        assert_true(client_reply(client, false, &reply));
        assert_int_equal(count_of(reply.body, "\"value\":\"x\""), 5000);
        client_next(client, &reply);
        assert_true(client_reply(client, false, &reply));
        expect_text(reply.body, "{\"action\":\"set\",*");
        client_next(client, &reply);
    }
    client_free(client);
}

static void keys_of_v3_make_directories_that_are_implied(void **state)
{
    struct world *world = *state;
    struct mvcc *mvcc = node_mvcc(world->node);
    lock_write(&world->lock);
    mvcc_begin(mvcc, WORLD_START_NS);
    struct mvcc_put put = {.table = MVCC_KEYS,
                           .cause = MVCC_PUT,
                           .key = SLICE("/v3/only/this"),
                           .value = SLICE("x")};
    mvcc_put(mvcc, &put);
    mvcc_commit_unref(mvcc_commit(mvcc));
    unlock_write(&world->lock);
    story(world, "GET /v2/keys/?recursive=true", NULL, 200,
          "{\"action\":\"get\",\"node\":{\"dir\":true,\"nodes\":[{\"key\":"
          "\"/v3\",\"dir\":true,\"nodes\":[{\"key\":\"/v3/only\",\"dir\":true,"
          "\"nodes\":[{\"key\":\"/v3/only/this\",\"value\":\"x\","
          "\"modifiedIndex\":2,\"createdIndex\":2}]}]}]}}\n");
    /* Deeper than v2 can go. */
    struct buf deep = {0};
    for (int i = 0; i < LIMIT_PATH_DEPTH_MAX + 50; i++) {
        buf_append_str(&deep, "/d");
    }
    lock_write(&world->lock);
    mvcc_begin(mvcc, WORLD_START_NS);
    put.key = buf_slice(&deep);
    mvcc_put(mvcc, &put);
    mvcc_commit_unref(mvcc_commit(mvcc));
    unlock_write(&world->lock);
    story(world, "GET /v2/keys/?recursive=true", NULL, 200,
          "{\"action\":\"get\",\"node\":{*}]}]}]}}\n");
    buf_deinit(&deep);
}

int main(void)
{
#define STORY(name) \
    cmocka_unit_test_setup_teardown(name, story_begin, story_end)
    const struct CMUnitTest tests[] = {
        STORY(a_small_one_has_its_length),
        STORY(a_large_one_comes_in_pieces_in_bounded_memory),
        STORY(a_tree_is_listed_as_deep_as_it_is),
        STORY(what_changes_meanwhile_is_not_seen),
        STORY(if_it_is_compacted_meanwhile_it_breaks_off),
        STORY(a_reader_that_goes_away_leaves_nothing),
        STORY(head_makes_no_pieces),
        STORY(requests_follow_a_listing_on_its_connection),
        STORY(keys_of_v3_make_directories_that_are_implied),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
