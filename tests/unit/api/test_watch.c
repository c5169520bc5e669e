/* wait=true: one change, all changes, from now, from then. */
#include <stdio.h>

#include "base/limits.h"
#include "story.h"

static struct client *watch(struct world *world, const char *target)
{
    struct client *client = client_new(world);
    client_ask(client, "GET", target, NULL, NULL);
    world_turn(world);
    return client;
}

static bool is_over(struct client *client)
{
    struct reply reply;
    return client_reply(client, false, &reply) && reply.is_whole;
}

static void set(struct world *world, const char *key, const char *value)
{
    struct buf target = {0};
    struct buf form = {0};
    buf_printf(&target, "/v2/keys%s", key);
    buf_printf(&form, "value=%s", value);
    buf_append_char(&target, '\0');
    buf_append_char(&form, '\0');
    struct reply reply = world_request(world, "PUT", target.at, NULL, form.at);
    assert_true(reply.status == 200 || reply.status == 201);
    buf_deinit(&target);
    buf_deinit(&form);
}

/* ---- from now on -------------------------------------------------------- */

static void a_long_poll_waits_for_one_change(void **state)
{
    struct world *world = *state;
    set(world, "/foo", "1");
    struct client *client = watch(world, "/v2/keys/foo?wait=true");
    struct reply reply;
    /* The head comes at once, so that the client knows that it waits. */
    assert_true(client_reply(client, false, &reply));
    assert_int_equal(reply.status, 200);
    assert_false(reply.is_whole);
    expect_text(reply_header(&reply, "X-Etcd-Index"), "2");
    expect_text(reply_header(&reply, "X-Raft-Term"), "1");
    expect_text(reply_header(&reply, "Content-Type"), "application/json");
    expect_text(reply.body, "");
    set(world, "/other", "1");
    assert_false(is_over(client));
    set(world, "/foo", "2");
    story_stream(client,
                 "{\"action\":\"set\",\"node\":{\"key\":\"/foo\",\"value\":"
                 "\"2\",\"modifiedIndex\":4,\"createdIndex\":4},\"prevNode\":"
                 "{\"key\":\"/foo\",\"value\":\"1\",\"modifiedIndex\":2,"
                 "\"createdIndex\":2}}\n");
    assert_true(is_over(client));
    client_free(client);
    story(world, "GET /v2/stats/store", NULL, 200, "*\"watchers\":0}");
    assert_false(world->watching);
}

static void a_stream_goes_on(void **state)
{
    struct world *world = *state;
    struct client *client = watch(world, "/v2/keys/foo?wait=true&stream=true");
    story(world, "GET /v2/stats/store", NULL, 200, "*\"watchers\":1}");
    set(world, "/foo", "1");
    set(world, "/foo", "2");
    story_status(world, "DELETE /v2/keys/foo", NULL, 200);
    story_stream(client,
                 "{\"action\":\"set\",\"node\":{\"key\":\"/foo\",\"value\":"
                 "\"1\",\"modifiedIndex\":2,\"createdIndex\":2}}\n"
                 "{\"action\":\"set\",\"node\":{\"key\":\"/foo\",\"value\":"
                 "\"2\",*},\"prevNode\":{*}}\n"
                 "{\"action\":\"delete\",\"node\":{\"key\":\"/foo\","
                 "\"modifiedIndex\":4,\"createdIndex\":3},\"prevNode\":{*}}\n");
    assert_false(is_over(client));
    client_free(client);
    story(world, "GET /v2/stats/store", NULL, 200, "*\"watchers\":0}");
}

static void every_kind_of_write_is_told_as_what_it_is(void **state)
{
    struct world *world = *state;
    struct client *client =
        watch(world, "/v2/keys/?wait=true&stream=true&recursive=true");
    story_status(world, "PUT /v2/keys/a?prevExist=false", "value=1", 201);
    story_status(world, "PUT /v2/keys/a?prevExist=true", "value=2", 200);
    story_status(world, "PUT /v2/keys/a?prevValue=2", "value=3", 200);
    story_status(world, "DELETE /v2/keys/a?prevValue=3", NULL, 200);
    story_status(world, "PUT /v2/keys/d", "dir=true", 201);
    story_status(world, "POST /v2/keys/d", "value=4", 201);
    /* What failed isn't told. */
    story_status(world, "PUT /v2/keys/a?prevExist=true", "value=2", 404);
    story_stream(
        client,
        "{\"action\":\"create\",\"node\":{\"key\":\"/a\",\"value\":\"1\",*}}\n"
        "{\"action\":\"update\",\"node\":{\"key\":\"/a\",\"value\":\"2\",*}}\n"
        "{\"action\":\"compareAndSwap\",\"node\":{*},\"prevNode\":{*}}\n"
        "{\"action\":\"compareAndDelete\",\"node\":{\"key\":\"/a\","
        "\"modifiedIndex\":5,\"createdIndex\":2},\"prevNode\":{*}}\n"
        "{\"action\":\"set\",\"node\":{\"key\":\"/d\",\"dir\":true,*}}\n"
        "{\"action\":\"create\",\"node\":{\"key\":"
        "\"/d/00000000000000000007\",\"value\":\"4\",*}}\n");
    client_free(client);
}

static void a_directory_is_watched_with_all_below_it(void **state)
{
    struct world *world = *state;
    set(world, "/dir/a", "1");
    struct client *below =
        watch(world, "/v2/keys/dir?wait=true&stream=true&recursive=true");
    struct client *itself = watch(world, "/v2/keys/dir?wait=true&stream=true");
    set(world, "/dir/b/c", "2");
    set(world, "/dir-b", "3"); /* beside it, though between in order */
    set(world, "/dir.b/c", "3");
    set(world, "/dirs", "3");
    story_stream(below, "{\"action\":\"set\",\"node\":{\"key\":\"/dir/b/c\",*");
    story_stream(itself, "");
    buf_reset(&below->got);
    buf_append_str(&below->got, "HTTP/1.1 200 \r\nTransfer-Encoding: chunked"
                                "\r\n\r\n");
    story_status(world, "DELETE /v2/keys/dir?recursive=true", NULL, 200);
    /* Once, however many keys went with it. */
    story_stream(below, "{\"action\":\"delete\",\"node\":{\"key\":\"/dir\","
                        "\"dir\":true,\"modifiedIndex\":7,\"createdIndex\":2},"
                        "\"prevNode\":{\"key\":\"/dir\",\"dir\":true,"
                        "\"modifiedIndex\":2,\"createdIndex\":2}}\n");
    story_stream(itself, "{\"action\":\"delete\",\"node\":{\"key\":\"/dir\",*");
    client_free(below);
    client_free(itself);
}

static void who_watches_a_key_learns_that_its_directory_went(void **state)
{
    struct world *world = *state;
    set(world, "/dir/a", "1");
    set(world, "/dir/_b", "1");
    struct client *file = watch(world, "/v2/keys/dir/a?wait=true");
    struct client *hidden = watch(world, "/v2/keys/dir/_b?wait=true");
    struct client *absent = watch(world, "/v2/keys/dir/c?wait=true");
    story_status(world, "DELETE /v2/keys/dir?recursive=true", NULL, 200);
    story_stream(file, "{\"action\":\"delete\",\"node\":{\"key\":\"/dir\",*");
    story_stream(hidden, "{\"action\":\"delete\",\"node\":{\"key\":\"/dir\",*");
    story_stream(absent, "");
    client_free(file);
    client_free(hidden);
    client_free(absent);
}

static void hidden_keys_are_told_to_who_knows_their_name(void **state)
{
    struct world *world = *state;
    struct client *root =
        watch(world, "/v2/keys/?wait=true&stream=true&recursive=true");
    struct client *dir =
        watch(world, "/v2/keys/_dir?wait=true&stream=true&recursive=true");
    struct client *file = watch(world, "/v2/keys/_dir/a?wait=true");
    set(world, "/_dir/a", "1");
    set(world, "/_dir/_b", "2");
    story_stream(root, "");
    story_stream(dir,
                 "{\"action\":\"set\",\"node\":{\"key\":\"/_dir/a\",*}}\n");
    story_stream(file, "{\"action\":\"set\",\"node\":{\"key\":\"/_dir/a\",*");
    client_free(root);
    client_free(dir);
    client_free(file);
}

static void many_watch_the_same(void **state)
{
    struct world *world = *state;
    enum { COUNT = 200 };
    struct client *clients[COUNT];
    for (size_t i = 0; i < COUNT; i++) {
        const char *targets[] = {
            "/v2/keys/a?wait=true",
            "/v2/keys/a?wait=true&stream=true",
            "/v2/keys/?wait=true&recursive=true",
            "/v2/keys/a?wait=true&recursive=true&stream=true",
        };
        clients[i] = watch(world, targets[i % 4]);
    }
    set(world, "/a", "1");
    for (size_t i = 0; i < COUNT; i++) {
        story_stream(clients[i],
                     "{\"action\":\"set\",\"node\":{\"key\":\"/a\",*");
        assert_int_equal(is_over(clients[i]), i % 2 == 0);
        if (i % 3 == 0) {
            client_free(clients[i]);
        }
    }
    set(world, "/a", "2");
    for (size_t i = 0; i < COUNT; i++) {
        if (i % 3 != 0) {
            story_stream(clients[i], i % 2 == 0 ? "*\"value\":\"1\"*\n"
                                                : "*\"value\":\"1\"*\n*"
                                                  "\"value\":\"2\"*\n");
            client_free(clients[i]);
        }
    }
    assert_false(world->watching);
}

/* ---- from then on ------------------------------------------------------- */

static void a_wait_index_reads_the_past(void **state)
{
    struct world *world = *state;
    set(world, "/a", "1"); /* 2 */
    set(world, "/b", "2"); /* 3 */
    set(world, "/a", "3"); /* 4 */
    for (int flushed = 0; flushed < 2; flushed++) {
        struct client *first = watch(world, "/v2/keys/a?wait=true&waitIndex=1");
        struct client *exact = watch(world, "/v2/keys/a?wait=true&waitIndex=4");
        struct client *next =
            watch(world, "/v2/keys/a?wait=true&waitIndex=3&recursive=true");
        struct client *later = watch(world, "/v2/keys/a?wait=true&waitIndex=5");
        struct client *all = watch(
            world, "/v2/keys/?wait=true&waitIndex=3&recursive=true&stream=1");
        story_stream(first, "*\"value\":\"1\",*");
        story_stream(exact, "*\"value\":\"3\",*\"value\":\"1\",*");
        story_stream(next, "*\"value\":\"3\",*");
        story_stream(later, "");
        story_stream(all, "*\"value\":\"2\",*\n*\"value\":\"3\",*\n");
        client_free(first);
        client_free(exact);
        client_free(next);
        client_free(later);
        client_free(all);
        assert_int_equal(world_flush(world), ERR_OK);
    }
}

static void a_stream_from_the_past_reaches_the_present(void **state)
{
    struct world *world = *state;
    set(world, "/a", "1");
    set(world, "/a", "2");
    struct client *client =
        watch(world, "/v2/keys/a?wait=true&waitIndex=2&stream=true");
    set(world, "/a", "3");
    set(world, "/b", "4");
    set(world, "/a", "5");
    story_stream(client, "*\"value\":\"1\",*\n*\"value\":\"2\",*\n"
                         "*\"value\":\"3\",*\n*\"value\":\"5\",*\n");
    client_free(client);
}

static void a_wait_index_in_the_future_waits(void **state)
{
    struct world *world = *state;
    struct client *client = watch(world, "/v2/keys/a?wait=true&waitIndex=4");
    struct client *never =
        watch(world, "/v2/keys/a?wait=true&waitIndex=18446744073709551615");
    set(world, "/a", "1"); /* 2 */
    set(world, "/a", "2"); /* 3 */
    story_stream(client, "");
    set(world, "/a", "3"); /* 4 */
    story_stream(client, "*\"value\":\"3\",*\"modifiedIndex\":4,*");
    story_stream(never, "");
    client_free(client);
    client_free(never);
}

static void the_past_that_is_gone_is_an_error(void **state)
{
    struct world *world = *state;
    for (int i = 0; i < 5; i++) {
        set(world, "/a", "1");
    }
    world_compact(world, 4);
    story(world, "GET /v2/keys/a?wait=true&waitIndex=3", NULL, 400,
          "{\"errorCode\":401,\"message\":\"The event in requested index is "
          "outdated and cleared\",\"cause\":\"the requested history has been "
          "cleared [5/3]\",\"index\":6}\n");
    story_header(world, "GET /v2/keys/a?wait=true&waitIndex=3", NULL,
                 "X-Etcd-Index", "6");
    assert_false(world->watching);
    struct client *client =
        watch(world, "/v2/keys/a?wait=true&waitIndex=5&stream=true");
    story_stream(client, "*\"modifiedIndex\":5,*\n*\"modifiedIndex\":6,*\n");
    client_free(client);
}

static void history_that_goes_while_it_is_read_ends_the_stream(void **state)
{
    struct world *world = *state;
    struct buf big = {0};
    memset(buf_extend(&big, 300000), 'x', 300000);
    buf_append_char(&big, '\0');
    struct client *client = watch(world, "/v2/keys/a?wait=true&stream=true");
    client->is_slow = true;
    for (int i = 0; i < 10; i++) {
        set(world, "/a", big.at);
    }
    world_compact(world, 11);
    client->is_slow = false;
    world_turn(world);
    struct reply reply;
    assert_true(client_reply(client, false, &reply));
    assert_true(reply.is_whole);
    expect_text(slice_of(reply.body.at + reply.body.size - 150, 150),
                "*{\"errorCode\":401,*[12/*]\",\"index\":11}\n");
    client_free(client);
    buf_deinit(&big);
}

static void a_restart_keeps_the_history(void **state)
{
    struct world *world = *state;
    set(world, "/a", "1");
    set(world, "/dir/b", "2");
    story_status(world, "DELETE /v2/keys/dir?recursive=true", NULL, 200);
    world_crash(world);
    world_open(world);
    struct client *client = watch(
        world, "/v2/keys/?wait=true&waitIndex=2&stream=true&recursive=true");
    story_stream(client, "*\"key\":\"/a\",*\n*\"key\":\"/dir/b\",*\n"
                         "{\"action\":\"delete\",\"node\":{\"key\":\"/dir\",*}"
                         "}\n");
    client_free(client);
}

/* ---- slow ones ---------------------------------------------------------- */

static void a_slow_stream_costs_bounded_memory_and_loses_nothing(void **state)
{
    struct world *world = *state;
    enum { COUNT = 400, VALUE_BYTES = 20000 };
    struct buf value = {0};
    struct client *client = watch(world, "/v2/keys/a?wait=true&stream=true");
    client->is_slow = true;
    for (int i = 0; i < COUNT; i++) {
        buf_reset(&value);
        buf_printf(&value, "%06d", i);
        memset(buf_extend(&value, VALUE_BYTES), 'x', VALUE_BYTES);
        buf_append_char(&value, '\0');
        set(world, "/a", value.at);
    }
    /* What waits for it: at most the bound and one event more. */
    size_t waiting = 0;
    struct slice slices[64];
    size_t count = http1_output(client->http1, slices, 64);
    for (size_t i = 0; i < count; i++) {
        waiting += slices[i].size;
    }
    assert_true(waiting < LIMIT_WATCH_UNSENT_BYTES_MAX + 3 * VALUE_BYTES);
    /* Now it reads, a little at a time. */
    while (client_take(client, 100000) > 0) {
        world_turn(world);
    }
    struct reply reply;
    assert_true(client_reply(client, false, &reply));
    struct slice rest = reply.body;
    for (int i = 0; i < COUNT; i++) {
        char expected[64];
        int size = snprintf(expected, sizeof(expected),
                            "{\"action\":\"set\",\"node\":{\"key\":\"/a\","
                            "\"value\":\"%06d",
                            i);
        assert_true(rest.size > (size_t)size);
        assert_memory_equal(rest.at, expected, (size_t)size);
        ptrdiff_t end = slice_find(rest, '\n');
        assert_true(end > 0);
        rest = slice_of(rest.at + end + 1, rest.size - (size_t)end - 1);
    }
    assert_int_equal(rest.size, 0);
    assert_false(reply.is_whole);
    client_free(client);
    buf_deinit(&value);
}

static void a_slow_one_that_goes_away(void **state)
{
    struct world *world = *state;
    struct buf big = {0};
    memset(buf_extend(&big, 900000), 'x', 900000);
    buf_append_char(&big, '\0');
    struct client *client = watch(world, "/v2/keys/a?wait=true&stream=true");
    client->is_slow = true;
    for (int i = 0; i < 4; i++) {
        set(world, "/a", big.at);
    }
    client_free(client);
    set(world, "/a", "1");
    assert_false(world->watching);
    buf_deinit(&big);
}

/* ---- connections -------------------------------------------------------- */

static void polls_follow_each_other_on_a_connection(void **state)
{
    struct world *world = *state;
    struct client *client = client_new(world);
    struct reply reply;
    /* Sent ahead: each begins when the one before it has ended, from within
     * its end. */
    for (int i = 0; i < 3; i++) {
        client_ask(client, "GET", "/v2/keys/a?wait=true", NULL, NULL);
    }
    client_ask(client, "GET", "/v2/keys/a?wait=true&waitIndex=2", NULL, NULL);
    client_ask(client, "GET", "/v2/keys/a", NULL, NULL);
    for (int i = 1; i <= 3; i++) {
        set(world, "/a", "1");
        assert_true(client_reply(client, false, &reply));
        assert_true(reply.is_whole);
        client_next(client, &reply);
    }
    assert_true(client_reply(client, false, &reply));
    expect_text(reply.body, "*\"modifiedIndex\":2,*");
    client_next(client, &reply);
    assert_true(client_reply(client, false, &reply));
    expect_text(reply.body, "{\"action\":\"get\",*\"modifiedIndex\":4,*");
    client_free(client);
    assert_false(world->watching);
}

static void a_watcher_goes_away_without_a_word(void **state)
{
    struct world *world = *state;
    struct client *a = watch(world, "/v2/keys/a?wait=true");
    struct client *b = watch(world, "/v2/keys/a?wait=true");
    assert_true(world->watching);
    client_free(a);
    assert_true(world->watching);
    set(world, "/a", "1");
    story_stream(b, "*\"value\":\"1\",*");
    client_free(b);
    assert_false(world->watching);
}

static void there_are_only_so_many(void **state)
{
    struct world *world = *state;
    world->shared.watchers_max = 2;
    struct client *a = watch(world, "/v2/keys/a?wait=true");
    struct client *b = watch(world, "/v2/keys/a?wait=true");
    story(world, "GET /v2/keys/a?wait=true", NULL, 503,
          "{\"errorCode\":300,\"message\":\"Raft Internal Error\",\"cause\":"
          "\"etcdserver: too many watchers\",\"index\":1}\n");
    client_free(a);
    a = watch(world, "/v2/keys/a?wait=true");
    set(world, "/a", "1");
    story_stream(a, "*\"value\":\"1\",*");
    story_stream(b, "*\"value\":\"1\",*");
    client_free(a);
    client_free(b);
}

static void a_stop_ends_streams_properly(void **state)
{
    struct world *world = *state;
    struct client *stream = watch(world, "/v2/keys/a?wait=true&stream=true");
    struct client *poll = watch(world, "/v2/keys/a?wait=true");
    set(world, "/a", "1");
    api_stop(world->api);
    world_turn(world);
    assert_true(is_over(stream));
    assert_true(is_over(poll));
    story(world, "GET /v2/keys/a", NULL, 503,
          "{\"message\":\"etcdserver: server stopped\"}");
    assert_false(world->watching);
    client_free(stream);
    client_free(poll);
}

int main(void)
{
#define STORY(name) \
    cmocka_unit_test_setup_teardown(name, story_begin, story_end)
    const struct CMUnitTest tests[] = {
        STORY(a_long_poll_waits_for_one_change),
        STORY(a_stream_goes_on),
        STORY(every_kind_of_write_is_told_as_what_it_is),
        STORY(a_directory_is_watched_with_all_below_it),
        STORY(who_watches_a_key_learns_that_its_directory_went),
        STORY(hidden_keys_are_told_to_who_knows_their_name),
        STORY(many_watch_the_same),
        STORY(a_wait_index_reads_the_past),
        STORY(a_stream_from_the_past_reaches_the_present),
        STORY(a_wait_index_in_the_future_waits),
        STORY(the_past_that_is_gone_is_an_error),
        STORY(history_that_goes_while_it_is_read_ends_the_stream),
        STORY(a_restart_keeps_the_history),
        STORY(a_slow_stream_costs_bounded_memory_and_loses_nothing),
        STORY(a_slow_one_that_goes_away),
        STORY(polls_follow_each_other_on_a_connection),
        STORY(a_watcher_goes_away_without_a_word),
        STORY(there_are_only_so_many),
        STORY(a_stop_ends_streams_properly),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
