/* 0.4's --peers: joining a cluster by any of its members, or beginning one. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>

#include "bootstrap_case.h"
#include "stub_http.h"

/* ---- a peer -------------------------------------------------------------- */

struct peer {
    struct stub_http stub;
    pthread_mutex_t lock;
    char listed[512];   /* the member, as /members lists it; "": not */
    char after[512];    /* the same once it has joined */
    char body[512];     /* what POST /join was given */
    int status;         /* of /join */
    const char *reply;  /* of /join; NULL: eight bytes */
    char elsewhere[64]; /* /join is redirected there */
    int drop_answers;   /* so many of /join get lost, though it is done */
    int late;           /* so many lists don't have it yet after the join */
    int silent;         /* so many requests are dropped first */
    int joins;
};

static void give_list(struct peer *peer, struct stub_reply *reply)
{
    bool is_there = peer->listed[0] && peer->late == 0;
    peer->late -= peer->late > 0 && peer->joins > 0;
    (void)snprintf(reply->head, sizeof(reply->head),
                   "X-Etcd-Cluster-ID: abc\r\n");
    buf_printf(&reply->body, "[{\"id\":1,\"name\":\"a\"}%s%s]",
               is_there ? "," : "", is_there ? peer->listed : "");
}

static void take(struct peer *peer, const struct stub_request *request,
                 struct stub_reply *reply)
{
    peer->joins++;
    (void)snprintf(peer->body, sizeof(peer->body), "%.511s", request->body);
    reply->status = peer->status;
    if (peer->elsewhere[0]) {
        reply->status = 307;
        (void)snprintf(reply->head, sizeof(reply->head),
                       "Location: %s/join\r\n", peer->elsewhere);
        return;
    }
    if (peer->status == 200) {
        memcpy(peer->listed, peer->after, sizeof(peer->listed));
    }
    if (peer->drop_answers > 0) {
        peer->drop_answers--;
        reply->status = 0;
    }
    if (peer->reply) {
        buf_append_str(&reply->body, peer->reply);
    } else {
        buf_append(&reply->body, "\5\0\0\0\0\0\0\0", 8);
    }
}

static void answer(void *context, const struct stub_request *request,
                   struct stub_reply *reply)
{
    struct peer *peer = context;
    pthread_mutex_lock(&peer->lock);
    if (peer->silent > 0) {
        peer->silent--;
        reply->status = 0;
    } else if (strcmp(request->target, "/members") == 0) {
        give_list(peer, reply);
    } else if (strcmp(request->target, "/join") == 0 &&
               strcmp(request->method, "POST") == 0) {
        take(peer, request, reply);
    } else {
        reply->status = 404;
    }
    pthread_mutex_unlock(&peer->lock);
}

/* Ids beyond 2^63 come through. */
#define JOINED                                     \
    "{\"id\":17316968661408415944,\"name\":\"x\"," \
    "\"peerURLs\":[\"http://127.0.0.1:5\"],"       \
    "\"clientURLs\":[\"http://127.0.0.1:6\"]}"

static void peer_start(struct peer *peer)
{
    memset(peer, 0, sizeof(*peer));
    pthread_mutex_init(&peer->lock, NULL);
    peer->status = 200;
    (void)snprintf(peer->after, sizeof(peer->after), "%s", JOINED);
    stub_http_start(&peer->stub, answer, peer);
}

static void peer_stop(struct peer *peer)
{
    stub_http_stop(&peer->stub);
    pthread_mutex_destroy(&peer->lock);
}

/* 0.4's flags, as the first document has them. */
static void load(struct bootstrap_case *one, const char *peers,
                 const char *more)
{
    case_load(one,
              "-name x -peer-addr 127.0.0.1:5 -addr 127.0.0.1:6 "
              "-retry-interval 0.01 -peers %s %s",
              peers, more);
}

static void load_one(struct bootstrap_case *one, const struct peer *peer)
{
    char address[32];
    (void)snprintf(address, sizeof(address), "127.0.0.1:%d", peer->stub.port);
    load(one, address, "");
}

static void expect(struct bootstrap_case *one, const char *wanted)
{
    (void)case_run(one, &impatient);
    if (!strstr(one->result, wanted)) {
        print_error("got %s\nwanted %s\n", one->result, wanted);
    }
    assert_non_null(strstr(one->result, wanted));
    case_free(one);
}

#define IDS "cluster=abc member=f0523b3f91d200c8"

/* ---- joining ------------------------------------------------------------- */

static void a_machine_joins(void **state)
{
    struct peer peer;
    struct bootstrap_case one;
    (void)state;
    peer_start(&peer);
    load_one(&one, &peer);
    assert_string_equal(case_run(&one, &impatient), IDS);
    assert_int_equal(one.out.member_count, 0);
    assert_int_equal(peer.joins, 1);
    assert_string_equal(peer.body,
                        "{\"minVersion\":2,\"maxVersion\":2,\"name\":\"x\","
                        "\"raftURL\":\"http://127.0.0.1:5\","
                        "\"etcdURL\":\"http://127.0.0.1:6\"}");
    case_free(&one);
    peer_stop(&peer);
}

static void the_next_peer_is_tried(void **state)
{
    struct peer peer;
    struct bootstrap_case one;
    char peers[96];
    (void)state;
    peer_start(&peer);
    /* The first one is this machine itself, the second one isn't there. */
    (void)snprintf(peers, sizeof(peers),
                   "127.0.0.1:5,127.0.0.1:%d,127.0.0.1:%d", stub_free_port(),
                   peer.stub.port);
    load(&one, peers, "");
    expect(&one, IDS);
    peer_stop(&peer);
}

static void a_follower_sends_it_to_the_leader(void **state)
{
    struct peer leader;
    struct peer follower;
    struct bootstrap_case one;
    (void)state;
    peer_start(&leader);
    peer_start(&follower);
    (void)snprintf(follower.elsewhere, sizeof(follower.elsewhere), "%s",
                   leader.stub.url);
    /* The follower learns of it a little later. */
    (void)snprintf(follower.listed, sizeof(follower.listed), "%s", JOINED);
    follower.late = 2;
    load_one(&one, &follower);
    expect(&one, IDS);
    assert_int_equal(leader.joins, 1);
    assert_string_equal(leader.body, follower.body);
    peer_stop(&follower);
    peer_stop(&leader);
}

static void an_answer_that_got_lost_does_no_harm(void **state)
{
    struct peer peer;
    struct bootstrap_case one;
    (void)state;
    peer_start(&peer);
    peer.drop_answers = 2; /* a lost connection is tried anew at once */
    load_one(&one, &peer);
    expect(&one, IDS);
    assert_int_equal(peer.drop_answers, 0);
    assert_int_equal(peer.joins, 2);
    peer_stop(&peer);
}

static void one_that_was_added_need_not_ask(void **state)
{
    struct peer peer;
    struct bootstrap_case one;
    (void)state;
    peer_start(&peer);
    (void)snprintf(peer.listed, sizeof(peer.listed),
                   "{\"id\":171,\"peerURLs\":[\"http://localhost:5\"]}");
    load_one(&one, &peer);
    expect(&one, "cluster=abc member=ab");
    assert_int_equal(peer.joins, 0);
    peer_stop(&peer);
}

/* ---- refused ------------------------------------------------------------- */

static void one_that_lost_its_data_is_refused(void **state)
{
    struct peer peer;
    struct bootstrap_case one;
    (void)state;
    peer_start(&peer);
    memcpy(peer.listed, peer.after, sizeof(peer.listed));
    load_one(&one, &peer);
    expect(&one, "EXISTS: --peers: member f0523b3f91d200c8 has already been "
                 "bootstrapped, but its data is not in /nowhere/at/all");
    assert_int_equal(peer.joins, 0);
    peer_stop(&peer);
}

static void a_refusal_is_told_in_words(void **state)
{
    static const struct {
        int status;
        const char *reply;
        const char *wanted;
    } cases[] = {
        {400, "{\"errorCode\":103,\"message\":\"x\"}",
         "FULL: --peers: http://127.0.0.1:"},
        {400, "{\"errorCode\":103}",
         "the cluster takes no more machines (error 103)"},
        {400, "{\"errorCode\":109}",
         "another machine of the cluster has this name or this -peer-addr"},
        {410, "gone", "GONE: --peers: http://127.0.0.1:"},
        {400, "a name is needed", "status 400: a name is needed"},
        {404, "", "INVALID: --peers: http://127.0.0.1:"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct peer peer;
        struct bootstrap_case one;
        peer_start(&peer);
        peer.status = cases[i].status;
        peer.reply = cases[i].reply;
        load_one(&one, &peer);
        expect(&one, cases[i].wanted);
        assert_int_equal(peer.joins, 1);
        peer_stop(&peer);
    }
}

static void an_election_is_waited_for(void **state)
{
    struct peer peer;
    struct bootstrap_case one;
    (void)state;
    peer_start(&peer);
    peer.status = 503;
    peer.reply = "{\"errorCode\":300}";
    load_one(&one, &peer);
    expect(&one, "TIMEOUT: --peers: after 4 attempts: ");
    assert_int_equal(peer.joins, 4);
    char address[32];
    (void)snprintf(address, sizeof(address), "127.0.0.1:%d", peer.stub.port);
    load(&one, address, "-max-retry-attempts 1");
    expect(&one, "TIMEOUT: --peers: after 2 attempts: ");
    peer_stop(&peer);
}

static void one_that_never_lists_it_is_told(void **state)
{
    struct bootstrap_world hasty = impatient;
    struct peer peer;
    struct bootstrap_case one;
    (void)state;
    hasty.ask_ms = 200;
    peer_start(&peer);
    peer.after[0] = '\0';
    char address[32];
    (void)snprintf(address, sizeof(address), "127.0.0.1:%d", peer.stub.port);
    load(&one, address, "-max-retry-attempts 0");
    (void)case_run(&one, &hasty);
    assert_int_equal(one.err, ERR_TIMEOUT);
    assert_non_null(strstr(one.result, "said that this member has joined, but "
                                       "doesn't list it"));
    case_free(&one);
    peer_stop(&peer);
}

/* ---- nobody there -------------------------------------------------------- */

static void nobody_answers_and_a_cluster_begins(void **state)
{
    struct bootstrap_case one;
    char peers[64];
    (void)state;
    (void)snprintf(peers, sizeof(peers), "127.0.0.1:%d", stub_free_port());
    load(&one, peers, "-max-retry-attempts 1");
    (void)case_run(&one, &impatient);
    assert_int_equal(one.err, ERR_OK);
    assert_int_equal(one.out.member_count, 1);
    assert_int_equal(one.out.members[0].id, one.out.member_id);
    assert_true(
        slice_eq(one.out.members[0].peer_urls, SLICE("http://127.0.0.1:5")));
    case_free(&one);
    /* A list of itself alone: nobody else is waited for. */
    load(&one, "127.0.0.1:5", "-retry-interval 1000");
    (void)case_run(&one, &impatient);
    assert_int_equal(one.err, ERR_OK);
    assert_int_equal(one.out.member_count, 1);
    case_free(&one);
}

/* Whoever is only slow must not be taken for nobody. */
static void a_peer_that_comes_late_is_joined(void **state)
{
    struct peer peer;
    struct bootstrap_case one;
    (void)state;
    peer_start(&peer);
    peer.silent = 3;
    load_one(&one, &peer);
    expect(&one, IDS);
    peer_stop(&peer);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_machine_joins),
        cmocka_unit_test(the_next_peer_is_tried),
        cmocka_unit_test(a_follower_sends_it_to_the_leader),
        cmocka_unit_test(an_answer_that_got_lost_does_no_harm),
        cmocka_unit_test(one_that_was_added_need_not_ask),
        cmocka_unit_test(one_that_lost_its_data_is_refused),
        cmocka_unit_test(a_refusal_is_told_in_words),
        cmocka_unit_test(an_election_is_waited_for),
        cmocka_unit_test(one_that_never_lists_it_is_told),
        cmocka_unit_test(nobody_answers_and_a_cluster_begins),
        cmocka_unit_test(a_peer_that_comes_late_is_joined),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
