/* Who belongs to the cluster: v2's members, and 0.4's machines. One member
 * that runs, and others that are only written down: whoever comes to it is a
 * standby until it has caught up, so the one that runs stays a quorum. */
#include "api_cluster.h"

#include <stdio.h>

static struct reply ask(struct world *world, const char *method,
                        const char *target, const char *json)
{
    return world_request(world, method, target, TYPE_JSON, json);
}

static void expect(struct world *world, const char *method, const char *target,
                   const char *json, int status, const char *body)
{
    struct reply reply = ask(world, method, target, json);
    expect_text(reply.body, body);
    assert_int_equal(reply.status, status);
}

/* As world_request, on the peer port. */
static struct reply ask_peer(struct world *world, const char *method,
                             const char *target, const char *json)
{
    struct buf *kept = &world->reply;
    struct reply reply;
    struct client *client = client_new_peer_port(world);
    client_ask(client, method, target, json == NULL ? NULL : TYPE_JSON, json);
    world_turn(world);
    assert_true(client_reply(client, false, &reply) && reply.is_whole);
    buf_reset(kept);
    buf_append_slice(kept, reply.body);
    reply.body = buf_slice(kept);
    client_free(client);
    return reply;
}

static void expect_peer(struct world *world, const char *method,
                        const char *target, const char *json, int status,
                        const char *body)
{
    struct reply reply = ask_peer(world, method, target, json);
    expect_text(reply.body, body);
    assert_int_equal(reply.status, status);
}

/* A machine joins as 0.4's do: as a standby, which never comes up here. */
static void join(struct world *world, const char *name, int port)
{
    char json[256];
    (void)snprintf(json, sizeof(json),
                   "{\"minVersion\":1,\"maxVersion\":2,\"name\":\"%s\","
                   "\"raftURL\":\"http://127.0.0.1:%d\","
                   "\"etcdURL\":\"http://127.0.0.1:%d\"}",
                   name, port, port + 1);
    struct reply reply = ask_peer(world, "POST", "/join", json);
    assert_int_equal(reply.status, 200);
    assert_int_equal(reply.body.size, 8);
}

static void what_a_request_must_say(void **state)
{
    struct world *world = *state;
    struct {
        const char *json;
        const char *says;
    } bad[] = {
        {"", "{\"message\":\"*\"}"},
        {"{", "{\"message\":\"*line 1*\"}"},
        {"[]", "{\"message\":\"member has no peer URLs\"}"},
        {"{}", "{\"message\":\"member has no peer URLs\"}"},
        {"{\"peerURLs\":[]}", "{\"message\":\"member has no peer URLs\"}"},
        {"{\"peerURLs\":[1]}",
         "{\"message\":\"a peer URL is not a string: \"}"},
        {"{\"peerURLs\":[\"ftp://a:1\"]}",
         "{\"message\":\"URL scheme must be http or https: ftp://a:1\"}"},
        {"{\"peerURLs\":[\"http://a\"]}",
         "{\"message\":\"URL address does not have the form*http://a\"}"},
        {"{\"peerURLs\":[\"http://a:0\"]}", "*host:port*"},
        {"{\"peerURLs\":[\"http://a:1/x\"]}",
         "{\"message\":\"URL must not contain a path: http://a:1/x\"}"},
        {"{\"peerURLs\":[\"http://a,b:1\"]}", "*can't be in one*"},
        {"{\"peerURLs\":[\"http://a b:1\"]}", "*can't be in one*"},
        {"{\"peerURLs\":[\"http://:1\"]}", "*host:port*"},
        {"{\"peerURLs\":[\"http://a:\"]}", "*host:port*"},
        {"{\"peerURLs\":[\"http://a:65536\"]}", "*host:port*"},
        {"{\"peerURLs\":[\"https://a:x\"]}", "*host:port*"},
        {"{\"peerURLs\":[\"\"]}", "*scheme must be http or https: \"}"},
        {"{\"peerURLs\":[\"http://a:1\",\"b:1\"]}", "*https: b:1\"}"},
        {"{\"peerURLs\":\"http://a:1\"}", "*has no peer URLs*"},
        {"{\"peerURLs\":[\"http://a:1\",2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,"
         "17]}",
         "{\"message\":\"member has too many peer URLs\"}"},
    };
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        expect(world, "POST", "/v2/members", bad[i].json, 400, bad[i].says);
        expect(world, "PUT", "/v2/members/3e3", bad[i].json, 400, bad[i].says);
    }
    story(world, "POST /v2/members", "peerURLs=x", 415,
          "{\"message\":\"Bad Content-Type application/x-www-form-urlencoded, "
          "accept application/json\"}");
    story(world, "POST /v2/members", NULL, 415,
          "{\"message\":\"Bad Content-Type , accept application/json\"}");
    story(world, "PUT /v2/members/3e3", "peerURLs=x", 415, "*");
    /* Nothing of it changed anything. */
    story(world, "GET /v2/members", NULL, 200,
          "{\"members\":[{\"id\":\"3e3\",*\"http://127.0.0.1:2380\"],*}]}\n");
}

/* What is said of a long address, or a long name, isn't as long. */
static void long_words_are_cut(void **state)
{
    struct world *world = *state;
    struct buf text = {0};
    struct buf says = {0};
    char word[301];
    memset(word, 'a', sizeof(word) - 1);
    word[sizeof(word) - 1] = '\0';
    buf_printf(&text, "{\"peerURLs\":[\"%s\"]}%c", word, '\0');
    buf_printf(&says,
               "{\"message\":\"URL scheme must be http or https: "
               "%.200s\"}%c",
               word, '\0');
    expect(world, "POST", "/v2/members", text.at, 400, says.at);
    buf_reset(&text);
    buf_reset(&says);
    buf_printf(&text, "/v2/members/%s%c", word, '\0');
    buf_printf(&says, "{\"message\":\"No such member: %.200s\"}%c", word, '\0');
    expect(world, "DELETE", text.at, NULL, 404, says.at);
    buf_reset(&text);
    buf_reset(&says);
    buf_printf(&text, "Content-Type: %s\r\n%c", word, '\0');
    buf_printf(&says,
               "{\"message\":\"Bad Content-Type %.200s, accept "
               "application/json\"}%c",
               word, '\0');
    struct reply reply =
        world_request(world, "POST", "/v2/members", text.at, "{}");
    assert_int_equal(reply.status, 415);
    expect_text(reply.body, says.at);
    buf_deinit(&text);
    buf_deinit(&says);
}

static void which_ids_are_read(void **state)
{
    struct world *world = *state;
    const char *urls = "{\"peerURLs\":[\"http://127.0.0.1:9\"]}";
    expect(world, "PUT", "/v2/members/3E3", urls, 204, "");
    expect(world, "PUT", "/v2/members/0003e3", urls, 204, "");
    expect(world, "PUT", "/v2/members/3e3g", urls, 404,
           "{\"message\":\"No such member: 3e3g\"}");
    expect(world, "PUT", "/v2/members/ffffffffffffffff", urls, 404,
           "{\"message\":\"No such member: ffffffffffffffff\"}");
    expect(world, "PUT", "/v2/members/3e3%00", urls, 404, "*No such member*");
    expect(world, "GET", "/v2/members/3e3", NULL, 404,
           "{\"message\":\"Not found\"}");
}

static void who_is_not_there(void **state)
{
    struct world *world = *state;
    const char *urls = "{\"peerURLs\":[\"http://127.0.0.1:9\"]}";
    expect(world, "DELETE", "/v2/members/99", NULL, 404,
           "{\"message\":\"No such member: 99\"}");
    expect(world, "PUT", "/v2/members/99", urls, 404,
           "{\"message\":\"No such member: 99\"}");
    expect(world, "DELETE", "/v2/members/nonsense", NULL, 404,
           "{\"message\":\"No such member: nonsense\"}");
    expect(world, "DELETE", "/v2/members/0", NULL, 404,
           "{\"message\":\"No such member: 0\"}");
    expect(world, "DELETE", "/v2/members/11112222333344445", NULL, 404,
           "{\"message\":\"No such member: 11112222333344445\"}");
    /* The address of one that is there can't be another's. */
    expect(world, "POST", "/v2/members",
           "{\"peerURLs\":[\"http://127.0.0.1:2380\"]}", 409,
           "{\"message\":\"membership: peerURL exists\"}");
}

static void the_address_changes(void **state)
{
    struct world *world = *state;
    struct reply reply = ask(world, "PUT", "/v2/members/3e3",
                             "{\"peerURLs\":[\"http://b:2\",\"http://a:1\"]}");
    assert_int_equal(reply.status, 204);
    assert_int_equal(reply.body.size, 0);
    story(world, "GET /v2/members", NULL, 200,
          "{\"members\":[{\"id\":\"3e3\",\"name\":\"Test01\",\"peerURLs\":"
          "[\"http://a:1\",\"http://b:2\"],*}]}\n");
}

static void a_machine_joins_and_leaves(void **state)
{
    struct world *world = *state;
    join(world, "node2", 7002);
    expect_peer(world, "GET", "/v2/admin/machines/node2", NULL, 200,
                "{\"name\":\"node2\",\"state\":\"standby\",\"clientURL\":"
                "\"http://127.0.0.1:7003\",\"peerURL\":"
                "\"http://127.0.0.1:7002\"}\n");
    story(world, "GET /v2/members", NULL, 200,
          "{\"members\":[*\"isLearner\":true,\"isStandby\":true*]}\n");
    /* Again, as it was: it is welcome. */
    join(world, "node2", 7002);
    /* The name with another address, the address with another name: no. */
    expect_peer(world, "POST", "/join",
                "{\"name\":\"node2\",\"raftURL\":\"http://127.0.0.1:1\"}", 400,
                "{\"errorCode\":109,\"message\":\"Peer address has existed\","
                "\"cause\":\"node2\",*}\n");
    expect_peer(world, "POST", "/join",
                "{\"name\":\"node3\",\"raftURL\":\"http://127.0.0.1:7002\"}",
                400, "{\"errorCode\":109,*7002*}\n");
    expect_peer(world, "POST", "/join", "{\"name\":\"x\"}", 400,
                "a name and a raftURL are needed to join\n");
    expect_peer(world, "POST", "/join", "nonsense", 400, "*needed to join\n");
    /* It leaves by its name, and is gone for good. */
    struct reply reply =
        ask_peer(world, "DELETE", "/v2/admin/machines/node2", NULL);
    assert_int_equal(reply.status, 200);
    assert_int_equal(reply.body.size, 8);
    expect_peer(world, "GET", "/v2/admin/machines/node2", NULL, 200, "null\n");
    expect_peer(world, "DELETE", "/v2/admin/machines/node2", NULL, 404,
                "{\"errorCode\":100,*no machine is named node2*}\n");
    join(world, "node4", 7004);
    reply = ask_peer(world, "DELETE", "/remove/node4", NULL);
    assert_int_equal(reply.status, 200);
}

static void one_that_was_removed(void **state)
{
    struct world *world = *state;
    char target[64];
    char gone[96];
    struct node_member *members;
    struct arena arena;
    join(world, "node2", 7002);
    arena_init(&arena, 0);
    lock_read(node_lock(world->node));
    assert_int_equal(node_members(world->node, &arena, &members), 2);
    unlock_read(node_lock(world->node));
    member_id id = members[members[0].id == 0x3e3 ? 1 : 0].id;
    snprintf(target, sizeof(target), "/v2/members/%llx",
             (unsigned long long)id);
    snprintf(gone, sizeof(gone),
             "{\"message\":\"Member permanently removed: %llx\"}",
             (unsigned long long)id);
    struct reply reply = ask(world, "DELETE", target, NULL);
    assert_int_equal(reply.status, 204);
    expect(world, "DELETE", target, NULL, 410, gone);
    arena_deinit(&arena);
}

static void the_configuration(void **state)
{
    struct world *world = *state;
    expect_peer(world, "PUT", "/v2/admin/config",
                "{\"activeSize\":5,\"removeDelay\":60.5,\"other\":1}", 200,
                "{\"activeSize\":5,\"removeDelay\":60.5,\"syncInterval\":5}"
                "\n");
    expect_peer(world, "PUT", "/v2/admin/config", "{\"syncInterval\":7}", 200,
                "{\"activeSize\":5,\"removeDelay\":60.5,\"syncInterval\":7}"
                "\n");
    /* What is too small becomes the least that may be. */
    expect_peer(world, "PUT", "/v2/admin/config",
                "{\"activeSize\":1,\"syncInterval\":0}", 200,
                "{\"activeSize\":3,\"removeDelay\":60.5,\"syncInterval\":1}"
                "\n");
    /* What is no number is as if it weren't there. */
    expect_peer(world, "PUT", "/v2/admin/config",
                "{\"activeSize\":\"many\",\"removeDelay\":-1}", 200,
                "{\"activeSize\":3,\"removeDelay\":60.5,*}\n");
    expect_peer(world, "PUT", "/v2/admin/config", "nonsense", 500, "*\n");
    expect_peer(world, "PUT", "/v2/admin/config", "[1]", 500,
                "not a JSON object\n");
    world_close(world);
    world_open(world);
    expect_peer(world, "GET", "/v2/admin/config", NULL, 200,
                "{\"activeSize\":3,\"removeDelay\":60.5,\"syncInterval\":1}"
                "\n");
}

static void a_read_with_a_quorum(void **state)
{
    struct world *world = *state;
    story_status(world, "PUT /v2/keys/a", "value=1", 201);
    story(world, "GET /v2/keys/a?quorum=true", NULL, 200, "*\"value\":\"1\"*");
    story(world, "GET /v2/keys/b?quorum=true", NULL, 404, "*100*");
    story(world, "GET /v2/keys/a?quorum=maybe", NULL, 400, "*quorum*");
}

/* What is answered where the machine's name or address is of no use. */
static void who_may_not_join(void **state)
{
    struct world *world = *state;
    static const struct {
        const char *json;
        const char *says;
    } bad[] = {
        {"{\"raftURL\":\"http://a:1\"}", "*needed to join\n"},
        {"{\"name\":\"\",\"raftURL\":\"http://a:1\"}", "*needed to join\n"},
        {"{\"name\":1,\"raftURL\":\"http://a:1\"}", "*needed to join\n"},
        {"{\"name\":\"a\",\"raftURL\":[]}", "*needed to join\n"},
        {"[]", "*needed to join\n"},
        {"{\"name\":\"a\",\"raftURL\":\"a:1\"}", "URL scheme must be*\n"},
        {"{\"name\":\"a\",\"raftURL\":\"http://a:1/raft\"}",
         "URL must not contain a path\n"},
        {"{\"name\":\"a\",\"raftURL\":\"http://a,b:1\"}", "*can't be in one\n"},
    };
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        expect_peer(world, "POST", "/join", bad[i].json, 400, bad[i].says);
    }
    /* Not as one that is there, whether it joined or began the cluster. */
    expect_peer(world, "POST", "/join",
                "{\"name\":\"Test01\",\"raftURL\":\"http://a:1\"}", 400,
                "{\"errorCode\":109,*\"cause\":\"Test01\",*}\n");
    expect_peer(world, "GET", "/join", NULL, 405, "Method Not Allowed\n");
    expect_peer(world, "PUT", "/remove/Test01", NULL, 405, "*");
    expect_peer(world, "DELETE", "/remove/", NULL, 404,
                "{\"errorCode\":100,*\"cause\":\"no machine is named \",*}\n");
    expect_peer(world, "DELETE", "/remove/a%00b%ff", NULL, 404,
                "{\"errorCode\":100,*\"cause\":\"no machine is named a\",*}\n");
    expect_peer(world, "GET", "/members", NULL, 200,
                "[{\"id\":995,\"peerURLs\":[\"http://127.0.0.1:2380\"],\"name\""
                ":\"Test01\",\"clientURLs\":[\"http://127.0.0.1:2379\","
                "\"http://127.0.0.1:4001\"]}]\n");
}

/* A machine that gave no address for clients has none. */
static void a_machine_without_clients(void **state)
{
    struct world *world = *state;
    struct reply reply = ask_peer(world, "POST", "/join",
                                  "{\"name\":\"quiet\",\"raftURL\":\"http://"
                                  "127.0.0.1:7\",\"etcdURL\":1}");
    assert_int_equal(reply.status, 200);
    /* It is told with what the log has reached: three entries, and its own. */
    assert_memory_equal(reply.body.at, "\4\0\0\0\0\0\0\0", 8);
    expect_peer(world, "GET", "/v2/admin/machines/", NULL, 200,
                "[{\"name\":\"*\",*},{\"name\":\"*\",*}]\n");
    expect_peer(world, "GET", "/v2/admin/machines/quiet", NULL, 200,
                "{\"name\":\"quiet\",\"state\":\"standby\",\"clientURL\":\"\","
                "\"peerURL\":\"http://127.0.0.1:7\"}\n");
    expect_peer(world, "GET", "/members", NULL, 200,
                "[*\"name\":\"quiet\",\"isLearner\":true}*]\n");
    story(world, "GET /v2/members", NULL, 200,
          "*\"name\":\"quiet\",\"peerURLs\":[\"http://127.0.0.1:7\"],"
          "\"clientURLs\":[],\"isLearner\":true,\"isStandby\":true}*");
    /* Where clients go it isn't listed. */
    story(world, "GET /v2/machines", NULL, 200,
          "http://127.0.0.1:2379, http://127.0.0.1:4001");
}

/* By v2's way a member has no name yet; it joins then under its address. */
static void an_announced_member_joins(void **state)
{
    struct world *world = *state;
    const char *urls = "{\"peerURLs\":[\"http://127.0.0.1:7002\"]}";
    expect(world, "POST", "/v2/members", urls, 201,
           "{\"id\":\"*\",\"name\":\"\",\"peerURLs\":["
           "\"http://127.0.0.1:7002\"],\"clientURLs\":[]}\n");
    expect(world, "POST", "/v2/members", urls, 409,
           "{\"message\":\"membership: peerURL exists\"}");
    join(world, "node2", 7002);
    /* One that has no name isn't found by it. */
    expect_peer(world, "DELETE", "/remove/", NULL, 404, "*");
    expect(world, "PUT", "/v2/members/3e3", urls, 409,
           "{\"message\":\"membership: peerURL exists\"}");
}

/* The last voter can't go: nobody would be left to say so. */
static void the_last_one_stays(void **state)
{
    struct world *world = *state;
    expect(world, "DELETE", "/v2/members/3e3", NULL, 400,
           "{\"message\":\"invalid argument\"}");
    expect_peer(world, "DELETE", "/v2/admin/machines/Test01", NULL, 500,
                "{\"errorCode\":300,*\"cause\":\"invalid argument\",*}\n");
    story(world, "GET /v2/members/leader", NULL, 200, "*\"Test01\"*");
}

/* Refused before the node has it. */
static void too_many_changes_wait(void **state)
{
    struct world *world = *state;
    struct client *client = client_new_peer_port(world);
    world->idle_core = true;
    size_t sent = 0;
    for (struct reply reply; !client_reply(client, false, &reply); sent++) {
        struct client *next = client_new(world);
        assert_true(sent < 100000);
        client_ask(next, "DELETE", "/v2/members/77", NULL, NULL);
        world_turn(world);
        if (client_reply(next, false, &reply)) {
            assert_int_equal(reply.status, 503);
            expect_text(reply.body, "*too many requests*");
            client_ask(client, "DELETE", "/remove/Test01", NULL, NULL);
            world_turn(world);
        }
    }
    story_stream(client, "{\"errorCode\":300,*too many requests*}\n");
    assert_int_equal(api_pending(world->api), sent - 1);
    client_free(client);
    world->idle_core = false;
    world_turn(world);
    assert_int_equal(api_pending(world->api), 0);
}

int main(void)
{
#define STORY(name) \
    cmocka_unit_test_setup_teardown(name, story_begin, story_end)
    const struct CMUnitTest tests[] = {
        STORY(what_a_request_must_say),   STORY(long_words_are_cut),
        STORY(which_ids_are_read),        STORY(who_is_not_there),
        STORY(the_address_changes),       STORY(a_machine_joins_and_leaves),
        STORY(one_that_was_removed),      STORY(the_configuration),
        STORY(a_read_with_a_quorum),      STORY(who_may_not_join),
        STORY(a_machine_without_clients), STORY(an_announced_member_joins),
        STORY(the_last_one_stays),        STORY(too_many_changes_wait),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
