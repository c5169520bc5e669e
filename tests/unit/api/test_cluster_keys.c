/* /v2/keys of a cluster: every member serves, and what they say fits. */
#include "api_cluster.h"

#include <stdio.h>

enum { SET_VALUE_BYTES = 64 };

static int begin(void **state)
{
    *state = api_cluster_new(3, 0);
    return 0;
}

static int end(void **state)
{
    api_cluster_free(*state);
    return 0;
}

/* ---- writes through a follower ------------------------------------------- */

static const struct step {
    const char *request;
    const char *form;
    int status;
    const char *body;
} steps[] = {
    {"PUT /v2/keys/a", "value=1", 201,
     "{\"action\":\"set\",\"node\":{\"key\":\"/a\",\"value\":\"1\","
     "\"modifiedIndex\":2,\"createdIndex\":2}}\n"},
    {"PUT /v2/keys/a", "value=2", 200,
     "{\"action\":\"set\",\"node\":{*\"modifiedIndex\":3,*},"
     "\"prevNode\":{*\"value\":\"1\",*}}\n"},
    {"PUT /v2/keys/a?prevValue=1", "value=3", 412,
     "{\"errorCode\":101,\"message\":\"Compare failed\",\"cause\":"
     "\"[1 != 2]\",\"index\":3}\n"},
    {"PUT /v2/keys/a?prevIndex=9", "value=3", 412,
     "{\"errorCode\":101,*\"cause\":\"[9 != 3]\",\"index\":3}\n"},
    {"PUT /v2/keys/a?prevIndex=3", "value=3", 200,
     "{\"action\":\"compareAndSwap\",*\"modifiedIndex\":4,*}\n"},
    {"PUT /v2/keys/a?prevExist=false", "value=4", 412,
     "{\"errorCode\":105,*\"cause\":\"/a\",\"index\":4}\n"},
    {"PUT /v2/keys/b?prevExist=true", "value=4", 404,
     "{\"errorCode\":100,*\"cause\":\"/b\",\"index\":4}\n"},
    {"PUT /v2/keys/a/b", "value=4", 400,
     "{\"errorCode\":104,*\"cause\":\"/a\",\"index\":4}\n"},
    {"POST /v2/keys/q", "value=x", 201,
     "{\"action\":\"create\",\"node\":{\"key\":\"/q/00000000000000000005\",*"},
    {"POST /v2/keys/q", "value=y", 201, "*\"/q/00000000000000000006\",*"},
    {"PUT /v2/keys/t", "value=1&ttl=30", 201, "*\"expiration\":*\"ttl\":30,*"},
    {"PUT /v2/keys/t", "refresh=true&ttl=60&prevExist=true", 200,
     "{\"action\":\"update\",*\"value\":\"1\",*\"ttl\":60,*"},
    {"PUT /v2/keys/t?noValueOnSuccess=true", "value=2", 200,
     "{\"action\":\"set\"}\n"},
    {"DELETE /v2/keys/a?prevValue=1", NULL, 412, "{\"errorCode\":101,*"},
    {"DELETE /v2/keys/a?prevValue=3", NULL, 200,
     "{\"action\":\"compareAndDelete\",*"},
    {"DELETE /v2/keys/q", NULL, 403, "{\"errorCode\":102,*"},
    {"DELETE /v2/keys/q?recursive=true", NULL, 200, "{\"action\":\"delete\",*"},
    {"GET /v2/keys/?recursive=true&sorted=true&quorum=true", NULL, 200,
     "{\"action\":\"get\",\"node\":{\"dir\":true,\"nodes\":[{\"key\":\"/t\",*"},
};

enum { STEPS = sizeof(steps) / sizeof(steps[0]) };

/* The answer as a whole, without the parts that only the connection has. */
static void do_step(struct api_cluster *cluster, size_t number,
                    const struct step *step, struct buf *out)
{
    static const char *const names[] = {"Content-Type", "X-Etcd-Cluster-Id",
                                        "X-Etcd-Index", "X-Raft-Index",
                                        "X-Raft-Term"};
    struct reply reply =
        api_cluster_ask(cluster, number, step->request, NULL, step->form);
    expect_text(reply.body, step->body);
    assert_int_equal(reply.status, step->status);
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        struct slice value = reply_header(&reply, names[i]);
        buf_printf(out, "%s: %.*s\n", names[i], (int)value.size,
                   value.size == 0 ? "" : value.at);
    }
    buf_append_slice(out, reply.body);
}

/* Two clusters that are the same to the letter, and have the same history but
 * for who was asked. */
static void a_follower_answers_as_the_leader_would(void **state)
{
    struct api_cluster *one = *state;
    struct api_cluster *other = api_cluster_new(3, 0);
    struct buf by_leader = {0};
    struct buf by_follower = {0};
    size_t leader = api_cluster_leader(one);
    size_t follower = api_cluster_follower(other);
    assert_int_equal(leader, api_cluster_leader(other));
    for (size_t i = 0; i < STEPS; i++) {
        buf_reset(&by_leader);
        buf_reset(&by_follower);
        do_step(one, leader, &steps[i], &by_leader);
        do_step(other, follower, &steps[i], &by_follower);
        buf_append_char(&by_leader, '\0');
        buf_append_char(&by_follower, '\0');
        assert_string_equal(by_leader.at, by_follower.at);
    }
    assert_true(cluster_counters(&other->nodes, follower).forwarded > 10);
    assert_int_equal(cluster_counters(&one->nodes, leader).forwarded, 0);
    /* Each member counts what it was asked for. */
    api_cluster_story(other, follower, "GET /v2/stats/store", NULL, 200,
                      "*\"setsSuccess\":4,*\"compareAndSwapFail\":2,*");
    api_cluster_story(other, leader, "GET /v2/stats/store", NULL, 200,
                      "*\"setsSuccess\":0,*\"compareAndSwapFail\":0,*");
    buf_deinit(&by_leader);
    buf_deinit(&by_follower);
    api_cluster_free(other);
}

static void all_members_have_what_one_was_told(void **state)
{
    struct api_cluster *cluster = *state;
    for (size_t i = 0; i < 30; i++) {
        char target[32];
        (void)snprintf(target, sizeof(target), "PUT /v2/keys/k%zu", i % 10);
        struct reply reply =
            api_cluster_ask(cluster, i % 3, target, NULL, "value=x");
        assert_int_equal(reply.status, i < 10 ? 201 : 200);
    }
    api_cluster_settle(cluster);
    struct buf first = {0};
    for (size_t i = 0; i < 3; i++) {
        struct reply reply = api_cluster_ask(
            cluster, i, "GET /v2/keys/?sorted=true", NULL, NULL);
        expect_text(reply_header(&reply, "X-Etcd-Index"), "31");
        if (i == 0) {
            buf_append_slice(&first, reply.body);
        }
        assert_true(slice_eq(buf_slice(&first), reply.body));
    }
    cluster_check_same(&cluster->nodes);
    buf_deinit(&first);
}

static void what_comes_in_one_after_the_other_is_answered_so(void **state)
{
    struct api_cluster *cluster = *state;
    struct reply reply;
    struct client *client =
        api_cluster_client(cluster, api_cluster_follower(cluster));
    cluster->nodes.delay_ms = 5;
    api_cluster_send(client, "GET /v2/keys/a?quorum=true", NULL);
    api_cluster_send(client, "PUT /v2/keys/a", "value=1");
    api_cluster_send(client, "GET /v2/keys/a", NULL);
    api_cluster_send(client, "PUT /v2/keys/a", "value=2");
    assert_int_equal(api_cluster_status(client), 0);
    api_cluster_run(cluster, 200);
    static const int expected[] = {404, 201, 200, 200};
    for (size_t i = 0; i < 4; i++) {
        assert_true(client_reply(client, false, &reply));
        assert_int_equal(reply.status, expected[i]);
        client_next(client, &reply);
    }
    assert_int_equal(client->got.size, 0);
    client_free(client);
}

static uint64_t number_of(struct client *client, const char *header)
{
    struct reply reply;
    uint64_t number = 0;
    assert_true(client_reply(client, false, &reply));
    assert_true(slice_to_u64(reply_header(&reply, header), &number));
    return number;
}

/* They are applied together, and yet each has its own place. */
static void an_answer_is_about_its_own_write(void **state)
{
    struct api_cluster *cluster = *state;
    size_t follower = api_cluster_follower(cluster);
    struct client *first = api_cluster_client(cluster, follower);
    struct client *second = api_cluster_client(cluster, follower);
    api_cluster_send(first, "PUT /v2/keys/a", "value=1");
    api_cluster_send(second, "PUT /v2/keys/a", "value=2");
    api_cluster_turn(cluster);
    assert_int_equal(api_cluster_status(first), 201);
    assert_int_equal(api_cluster_status(second), 200);
    assert_int_equal(number_of(first, "X-Etcd-Index"), 2);
    assert_int_equal(number_of(second, "X-Etcd-Index"), 3);
    assert_int_equal(number_of(second, "X-Raft-Index"),
                     number_of(first, "X-Raft-Index") + 1);
    assert_int_equal(number_of(second, "X-Raft-Term"),
                     cluster_progress(&cluster->nodes, follower).term);
    client_free(first);
    client_free(second);
}

/* ---- time to live -------------------------------------------------------- */

static void a_key_ends_on_all_members_at_once(void **state)
{
    struct api_cluster *cluster = *state;
    size_t follower = api_cluster_follower(cluster);
    struct client *watchers[3];
    for (size_t i = 0; i < 3; i++) {
        watchers[i] = api_cluster_client(cluster, i);
        api_cluster_send(watchers[i],
                         "GET /v2/keys/d?wait=true&recursive=true&stream=true",
                         NULL);
    }
    api_cluster_story(cluster, follower, "PUT /v2/keys/d/a", "value=1&ttl=1",
                      201, "*\"ttl\":1,*");
    api_cluster_settle(cluster);
    for (size_t i = 0; i < 3; i++) {
        api_cluster_story(cluster, i, "GET /v2/keys/d/a", NULL, 200,
                          "*\"ttl\":1,*");
    }
    api_cluster_run(cluster, 1500);
    for (size_t i = 0; i < 3; i++) {
        api_cluster_story(cluster, i, "GET /v2/keys/d/a", NULL, 404,
                          "*\"index\":3}\n");
        story_stream(watchers[i],
                     "{\"action\":\"set\",*}\n{\"action\":\"expire\",\"node\":"
                     "{\"key\":\"/d/a\",\"modifiedIndex\":3,\"createdIndex\":2"
                     "},\"prevNode\":{*}}\n");
        client_free(watchers[i]);
    }
}

/* ---- reads --------------------------------------------------------------- */

static void a_quorum_read_sees_what_was_answered(void **state)
{
    struct api_cluster *cluster = *state;
    size_t leader = api_cluster_leader(cluster);
    size_t follower = api_cluster_follower(cluster);
    uint64_t before =
        cluster_counters(&cluster->nodes, follower).reads_confirmed;
    cluster->nodes.delay_ms = 5;
    api_cluster_story(cluster, leader, "PUT /v2/keys/a", "value=1", 201, "*");
    /* The follower doesn't know yet that it is committed. */
    api_cluster_story(cluster, follower, "GET /v2/keys/a", NULL, 404,
                      "{\"errorCode\":100,*\"index\":1}\n");
    api_cluster_story(cluster, follower, "GET /v2/keys/a?quorum=true", NULL,
                      200, "{\"action\":\"get\",*\"value\":\"1\",*");
    api_cluster_story(cluster, leader, "PUT /v2/keys/d/b", "value=2", 201, "*");
    api_cluster_story(cluster, follower,
                      "GET /v2/keys/d?quorum=true&recursive=true", NULL, 200,
                      "*\"nodes\":[{\"key\":\"/d/b\",\"value\":\"2\",*");
    api_cluster_story(cluster, leader, "DELETE /v2/keys/a", NULL, 200, "*");
    api_cluster_story(cluster, follower, "GET /v2/keys/a?quorum=true", NULL,
                      404, "{\"errorCode\":100,*\"index\":4}\n");
    api_cluster_story(cluster, leader, "GET /v2/keys/d/b?quorum=true", NULL,
                      200, "*\"value\":\"2\",*");
    assert_int_equal(
        cluster_counters(&cluster->nodes, follower).reads_confirmed,
        before + 3);
    /* A read that waits for a change isn't asked of the others. */
    struct client *client = api_cluster_client(cluster, follower);
    api_cluster_send(client, "GET /v2/keys/d/b?wait=true&quorum=true", NULL);
    api_cluster_turn(cluster);
    assert_int_equal(api_cluster_status(client), 200);
    client_free(client);
}

static void head_and_quorum(void **state)
{
    struct api_cluster *cluster = *state;
    size_t follower = api_cluster_follower(cluster);
    api_cluster_story(cluster, follower, "PUT /v2/keys/a", "value=1", 201, "*");
    struct reply reply = api_cluster_ask(
        cluster, follower, "HEAD /v2/keys/a?quorum=true", NULL, NULL);
    assert_int_equal(reply.status, 200);
    assert_int_equal(reply.body.size, 0);
    expect_text(reply_header(&reply, "X-Etcd-Index"), "2");
}

/* ---- no quorum ----------------------------------------------------------- */

static void without_a_leader_only_local_reads_go_on(void **state)
{
    struct api_cluster *cluster = *state;
    size_t follower = api_cluster_follower(cluster);
    api_cluster_story(cluster, follower, "PUT /v2/keys/a", "value=1", 201, "*");
    api_cluster_isolate(cluster, follower);
    api_cluster_story(cluster, follower, "PUT /v2/keys/a", "value=2", 503,
                      NOT_DONE("etcdserver: no leader"));
    api_cluster_story(cluster, follower, "DELETE /v2/keys/a", NULL, 503,
                      NOT_DONE("etcdserver: no leader"));
    api_cluster_story(cluster, follower, "GET /v2/keys/a?quorum=true", NULL,
                      503, NOT_DONE("etcdserver: no leader"));
    api_cluster_story(cluster, follower, "GET /v2/keys/a", NULL, 200,
                      "*\"value\":\"1\",*");
    /* It counts as a read that failed, and only that. */
    api_cluster_story(cluster, follower, "GET /v2/stats/store", NULL, 200,
                      "{\"getsSuccess\":1,\"getsFail\":1,\"setsSuccess\":1,"
                      "\"setsFail\":0,\"deleteSuccess\":0,\"deleteFail\":0,*");
    /* The others did not notice; and it finds back. */
    api_cluster_story(cluster, api_cluster_leader(cluster), "PUT /v2/keys/a",
                      "value=3", 200, "*");
    cluster_mend(&cluster->nodes);
    api_cluster_settle(cluster);
    api_cluster_story(cluster, follower, "GET /v2/keys/a", NULL, 200,
                      "*\"value\":\"3\",*");
    api_cluster_story(cluster, follower, "PUT /v2/keys/a", "value=4", 200, "*");
}

static void a_leader_that_lost_the_others_times_out(void **state)
{
    struct api_cluster *cluster = *state;
    size_t leader = api_cluster_leader(cluster);
    cluster_isolate(&cluster->nodes, leader, true);
    /* It leads still, and took it into its log: nobody knows. */
    struct client *reader = api_cluster_client(cluster, leader);
    api_cluster_send(reader, "GET /v2/keys/a?quorum=true", NULL);
    api_cluster_story(cluster, leader, "PUT /v2/keys/a", "value=1", 500,
                      NOT_DONE("etcdserver: request timed out"));
    assert_int_equal(api_cluster_status(reader), 503);
    client_free(reader);
    /* By now it knows better, and takes nothing more. */
    api_cluster_story(cluster, leader, "PUT /v2/keys/a", "value=1", 503,
                      NOT_DONE("etcdserver: no leader"));
    api_cluster_story(cluster, leader, "GET /v2/keys/a", NULL, 404, "*");
    cluster_mend(&cluster->nodes);
    api_cluster_settle(cluster);
    api_cluster_story(cluster, leader, "GET /v2/keys/a?quorum=true", NULL, 404,
                      "{\"errorCode\":100,*");
    api_cluster_story(cluster, leader, "PUT /v2/keys/a", "value=1", 201, "*");
}

static void a_write_waits_for_the_next_leader(void **state)
{
    struct api_cluster *cluster = *state;
    size_t leader = api_cluster_leader(cluster);
    size_t follower = api_cluster_follower(cluster);
    struct client *client = api_cluster_client(cluster, follower);
    api_cluster_close(cluster, leader);
    api_cluster_send(client, "PUT /v2/keys/a", "value=1");
    api_cluster_turn(cluster);
    assert_int_equal(api_cluster_status(client), 0);
    assert_true(api_cluster_leader(cluster) != leader);
    api_cluster_run(cluster, 2 * CLUSTER_ELECTION_MS);
    assert_int_equal(api_cluster_status(client), 201);
    client_free(client);
    /* Back again, it has it too. */
    api_cluster_open(cluster, leader);
    api_cluster_settle(cluster);
    api_cluster_story(cluster, leader, "GET /v2/keys/a", NULL, 200,
                      "*\"value\":\"1\",*");
}

/* ---- clients and apis that go -------------------------------------------- */

static void who_went_away_is_obeyed_all_the_same(void **state)
{
    struct api_cluster *cluster = *state;
    size_t follower = api_cluster_follower(cluster);
    struct api *api = cluster->members[follower].world.api;
    cluster->nodes.delay_ms = 5;
    static const char *const requests[][2] = {
        {"PUT /v2/keys/a", "value=1"},
        {"GET /v2/keys/a?quorum=true", NULL},
        {"POST /v2/members", "{\"peerURLs\":[\"http://new:2380\"]}"},
        {"DELETE /v2/members/99", NULL},
    };
    for (size_t i = 0; i < sizeof(requests) / sizeof(requests[0]); i++) {
        struct client *client = api_cluster_client(cluster, follower);
        api_cluster_send(client, requests[i][0], requests[i][1]);
        api_cluster_turn(cluster);
        assert_int_equal(api_pending(api), 1);
        client_free(client);
        api_cluster_run(cluster, 100);
        assert_int_equal(api_pending(api), 0);
    }
    api_cluster_story(cluster, follower, "GET /v2/keys/a", NULL, 200,
                      "*\"value\":\"1\",*");
    api_cluster_story(cluster, follower, "GET /v2/members", NULL, 200,
                      "*http://new:2380*");
    /* A read that nobody was told of isn't counted. */
    api_cluster_story(cluster, follower, "GET /v2/stats/store", NULL, 200,
                      "{\"getsSuccess\":1,\"getsFail\":0,\"setsSuccess\":1,*");
}

/* The same where nothing could be done. */
static void who_went_away_is_forgotten_in_the_end(void **state)
{
    struct api_cluster *cluster = *state;
    size_t follower = api_cluster_follower(cluster);
    struct api *api = cluster->members[follower].world.api;
    api_cluster_isolate(cluster, follower);
    struct client *writer = api_cluster_client(cluster, follower);
    struct client *reader = api_cluster_client(cluster, follower);
    struct client *changer = api_cluster_client(cluster, follower);
    api_cluster_send(writer, "PUT /v2/keys/a", "value=1");
    api_cluster_send(reader, "GET /v2/keys/a?quorum=true", NULL);
    api_cluster_send(changer, "DELETE /v2/members/a1", NULL);
    api_cluster_turn(cluster);
    assert_int_equal(api_pending(api), 3);
    client_free(writer);
    client_free(reader);
    client_free(changer);
    api_cluster_run(cluster, 2 * CLUSTER_ELECTION_MS);
    assert_int_equal(api_pending(api), 0);
    api_cluster_story(cluster, follower, "GET /v2/stats/store", NULL, 200,
                      "{\"getsSuccess\":0,\"getsFail\":0,*");
}

static void one_that_stops_gives_the_answers_it_owes(void **state)
{
    struct api_cluster *cluster = *state;
    size_t follower = api_cluster_follower(cluster);
    struct api *api = cluster->members[follower].world.api;
    struct client *writer = api_cluster_client(cluster, follower);
    struct client *reader = api_cluster_client(cluster, follower);
    struct client *watcher = api_cluster_client(cluster, follower);
    struct client *late = api_cluster_client(cluster, follower);
    cluster->nodes.delay_ms = 5;
    api_cluster_send(writer, "PUT /v2/keys/a", "value=1");
    api_cluster_send(reader, "GET /v2/keys/b?quorum=true", NULL);
    api_cluster_send(watcher, "GET /v2/keys/a?wait=true", NULL);
    api_cluster_turn(cluster);
    assert_int_equal(api_pending(api), 2);
    api_stop(api);
    assert_int_equal(api_pending(api), 2);
    api_cluster_send(late, "PUT /v2/keys/a", "value=2");
    /* And what comes behind the write on its own connection. */
    api_cluster_send(writer, "PUT /v2/keys/a", "value=3");
    api_cluster_run(cluster, 100);
    assert_int_equal(api_pending(api), 0);
    struct reply reply;
    assert_true(client_reply(writer, false, &reply));
    assert_int_equal(reply.status, 201);
    client_next(writer, &reply);
    assert_int_equal(api_cluster_status(writer), 503);
    assert_int_equal(api_cluster_status(reader), 404);
    assert_int_equal(api_cluster_status(late), 503);
    story_stream(late, "{\"message\":\"etcdserver: server stopped\"}");
    story_stream(watcher, "");
    assert_true(client_reply(watcher, false, &reply) && reply.is_whole);
}

/* ---- watches ------------------------------------------------------------- */

static void watchers_of_all_members_are_told_the_same(void **state)
{
    struct api_cluster *cluster = *state;
    struct client *watchers[3];
    struct reply first;
    struct reply reply;
    for (size_t i = 0; i < 3; i++) {
        watchers[i] = api_cluster_client(cluster, i);
        api_cluster_send(watchers[i],
                         "GET /v2/keys/?wait=true&recursive=true&stream=true",
                         NULL);
    }
    api_cluster_turn(cluster);
    for (size_t i = 0; i < STEPS; i++) {
        (void)api_cluster_ask(cluster, i % 3, steps[i].request, NULL,
                              steps[i].form);
    }
    api_cluster_settle(cluster);
    assert_true(client_reply(watchers[0], false, &first));
    expect_text(first.body, "{\"action\":\"set\",\"node\":{\"key\":\"/a\",*\n"
                            "{\"action\":\"set\",*\n"
                            "{\"action\":\"compareAndSwap\",*\n"
                            "{\"action\":\"create\",*\n"
                            "{\"action\":\"delete\",*\n");
    for (size_t i = 1; i < 3; i++) {
        assert_true(client_reply(watchers[i], false, &reply));
        assert_true(slice_eq(first.body, reply.body));
    }
    for (size_t i = 0; i < 3; i++) {
        client_free(watchers[i]);
    }
    /* And what is past is told from the beginning, by whoever is asked. */
    api_cluster_story(cluster, api_cluster_follower(cluster),
                      "GET /v2/keys/q?wait=true&recursive=true&waitIndex=1",
                      NULL, 200, "{\"action\":\"create\",*\"/q/*05\",*");
}

static void set_many(struct api_cluster *cluster, size_t number, size_t from,
                     size_t to)
{
    for (size_t i = from; i < to; i++) {
        char form[SET_VALUE_BYTES];
        (void)snprintf(form, sizeof(form), "value=%zu", i);
        struct reply reply =
            api_cluster_ask(cluster, number, "PUT /v2/keys/a", NULL, form);
        assert_true(reply.status == 200 || reply.status == 201);
    }
}

/* Each event once, in order, of the key that is set to 0, 1, 2 ... */
static void expect_all(struct client *client, size_t count)
{
    struct reply reply;
    assert_true(client_reply(client, false, &reply));
    struct slice rest = reply.body;
    for (size_t i = 0; i < count; i++) {
        char line[SET_VALUE_BYTES + 64];
        (void)snprintf(line, sizeof(line),
                       "{\"action\":\"set\",\"node\":{\"key\":\"/a\","
                       "\"value\":\"%zu\",*",
                       i);
        ptrdiff_t size = slice_find(rest, '\n');
        assert_true(size > 0);
        expect_text(slice_of(rest.at, (size_t)size), line);
        rest = slice_of(rest.at + size + 1, rest.size - (size_t)size - 1);
    }
    assert_int_equal(rest.size, 0);
}

static int begin_forgetful(void **state)
{
    struct api_cluster *cluster = api_cluster_new_asleep(3, 0);
    for (size_t i = 0; i < 3; i++) {
        cluster->nodes.members[i].config.catch_up_entries = 5;
    }
    api_cluster_wake(cluster);
    *state = cluster;
    return 0;
}

/* A member that was away too long gets the leader's store: who watches there
 * misses nothing and is told nothing twice. */
static void watchers_are_told_what_a_snapshot_brought(void **state)
{
    struct api_cluster *cluster = *state;
    size_t leader = api_cluster_leader(cluster);
    size_t behind = api_cluster_follower(cluster);
    struct client *stream = api_cluster_client(cluster, behind);
    struct client *poll = api_cluster_client(cluster, behind);
    struct client *other = api_cluster_client(cluster, behind);
    api_cluster_send(stream, "GET /v2/keys/a?wait=true&stream=true", NULL);
    set_many(cluster, leader, 0, 3);
    api_cluster_settle(cluster);
    expect_all(stream, 3);
    api_cluster_send(poll, "GET /v2/keys/a?wait=true", NULL);
    api_cluster_send(other, "GET /v2/keys/b?wait=true", NULL);
    /* All that it missed is in the snapshot, and nothing comes behind it. */
    api_cluster_isolate(cluster, behind);
    set_many(cluster, leader, 3, 30);
    assert_int_equal(cluster_flush(&cluster->nodes, leader), ERR_OK);
    expect_all(stream, 3);
    cluster_mend(&cluster->nodes);
    api_cluster_settle(cluster);
    assert_int_equal(cluster->nodes.members[behind].jumps, 1);
    expect_all(stream, 30);
    story_stream(poll, "{\"action\":\"set\",*\"value\":\"3\",*}\n");
    /* Once more: a part is in the snapshot, a part in the log. */
    api_cluster_isolate(cluster, behind);
    set_many(cluster, leader, 30, 47);
    assert_int_equal(cluster_flush(&cluster->nodes, leader), ERR_OK);
    set_many(cluster, leader, 47, 50);
    cluster_mend(&cluster->nodes);
    api_cluster_settle(cluster);
    assert_int_equal(cluster->nodes.members[behind].jumps, 2);
    expect_all(stream, 50);
    story_stream(other, "");
    /* Live again. */
    set_many(cluster, behind, 50, 52);
    expect_all(stream, 52);
    api_cluster_story(cluster, behind, "PUT /v2/keys/b", "value=1", 201, "*");
    story_stream(other, "{\"action\":\"set\",\"node\":{\"key\":\"/b\",*}\n");
    api_cluster_story(cluster, behind, "GET /metrics", NULL, 200,
                      "*\netched_snapshots_installed_total 2\n*");
    client_free(stream);
    client_free(poll);
    client_free(other);
}

/* One that waits for what comes only after the snapshot. */
static void who_waits_for_later_isnt_disturbed_by_a_snapshot(void **state)
{
    struct api_cluster *cluster = *state;
    size_t leader = api_cluster_leader(cluster);
    size_t behind = api_cluster_follower(cluster);
    struct client *client = api_cluster_client(cluster, behind);
    api_cluster_send(client, "GET /v2/keys/a?wait=true&waitIndex=60", NULL);
    api_cluster_turn(cluster);
    api_cluster_isolate(cluster, behind);
    set_many(cluster, leader, 0, 40);
    assert_int_equal(cluster_flush(&cluster->nodes, leader), ERR_OK);
    cluster_mend(&cluster->nodes);
    api_cluster_settle(cluster);
    assert_int_equal(cluster->nodes.members[behind].jumps, 1);
    set_many(cluster, leader, 40, 58);
    api_cluster_settle(cluster);
    story_stream(client, "");
    set_many(cluster, leader, 58, 61);
    api_cluster_settle(cluster);
    story_stream(client, "{\"action\":\"set\",*\"value\":\"58\","
                         "\"modifiedIndex\":60,*}\n");
    client_free(client);
}

int main(void)
{
#define STORY(name) cmocka_unit_test_setup_teardown(name, begin, end)
#define STORY_OF_SNAPSHOTS(name) \
    cmocka_unit_test_setup_teardown(name, begin_forgetful, end)
    const struct CMUnitTest tests[] = {
        STORY(a_follower_answers_as_the_leader_would),
        STORY(all_members_have_what_one_was_told),
        STORY(what_comes_in_one_after_the_other_is_answered_so),
        STORY(an_answer_is_about_its_own_write),
        STORY(a_key_ends_on_all_members_at_once),
        STORY(a_quorum_read_sees_what_was_answered),
        STORY(head_and_quorum),
        STORY(without_a_leader_only_local_reads_go_on),
        STORY(a_leader_that_lost_the_others_times_out),
        STORY(a_write_waits_for_the_next_leader),
        STORY(who_went_away_is_obeyed_all_the_same),
        STORY(who_went_away_is_forgotten_in_the_end),
        STORY(one_that_stops_gives_the_answers_it_owes),
        STORY(watchers_of_all_members_are_told_the_same),
        STORY_OF_SNAPSHOTS(watchers_are_told_what_a_snapshot_brought),
        STORY_OF_SNAPSHOTS(who_waits_for_later_isnt_disturbed_by_a_snapshot),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
