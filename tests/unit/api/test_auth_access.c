/* Who asks, and whether he may: keys, watches, and what is for root. */
#include "auth_story.h"

#define STORY(name) cmocka_unit_test_setup_teardown(name, begin, auth_end)

#define K "/v2/keys"
#define NO_KEY                                                             \
    "{\"errorCode\":110,\"message\":\"The request requires user "          \
    "authentication\",\"cause\":\"Insufficient credentials\",\"index\":0}" \
    "\n"
#define NO_RIGHT "{\"message\":\"Insufficient credentials\"}"
#define FORM "Content-Type: application/x-www-form-urlencoded\r\n"

static int begin(void **state)
{
    if (auth_begin(state) != 0) {
        return -1;
    }
    struct world *world = *state;
    story(world, "PUT " K "/a", "value=1", 201, "*");
    story(world, "PUT " K "/ab/c", "value=2", 201, "*");
    story(world, "PUT " K "/w", "value=3", 201, "*");
    users_begin(world);
    (void)audit_text();
    return 0;
}

/* ---- keys ---------------------------------------------------------------- */

static void each_by_his_right(void **state)
{
    static const struct {
        const char *request;
        const char *body;
        int guest, wrong, alice, root;
    } cases[] = {
        {"GET " K "/a", NULL, 401, 401, 200, 200},
        {"HEAD " K "/a", NULL, 401, 401, 200, 200},
        {"GET " K "/a?quorum=true", NULL, 401, 401, 200, 200},
        {"GET " K "/ab/c", NULL, 401, 401, 200, 200},
        {"GET " K "/ab?recursive=true", NULL, 401, 401, 200, 200},
        {"GET " K "/w", NULL, 401, 401, 401, 200},
        {"GET " K "/?recursive=true", NULL, 401, 401, 401, 200},
        {"GET " K "/none", NULL, 401, 401, 401, 404},
        {"PUT " K "/a", "value=5", 401, 401, 401, 200},
        {"PUT " K "/a/w1", "value=5", 401, 401, 104, 104},
        {"POST " K "/a/w", "value=5", 401, 401, 104, 104},
        {"PUT " K "/aw", "value=5", 401, 401, 401, 201},
        {"DELETE " K "/w", NULL, 401, 401, 401, 200},
        {"DELETE " K "/ab?recursive=true", NULL, 401, 401, 401, 200},
    };
    struct world *world = *state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        /* 104 is a 400: it was let in, and "/a" is no directory. */
        int alice = cases[i].alice == 104 ? 400 : cases[i].alice;
        int root = cases[i].root == 104 ? 400 : cases[i].root;
        bool is_head = cases[i].request[0] == 'H';
        const char *refused = is_head ? "" : NO_KEY;
        as(world, NULL, cases[i].request, cases[i].body, cases[i].guest,
           refused);
        as(world, "alice:wrong", cases[i].request, cases[i].body,
           cases[i].wrong, refused);
        as(world, "nobody:secret", cases[i].request, cases[i].body,
           cases[i].wrong, refused);
        as(world, "alice:secret", cases[i].request, cases[i].body, alice,
           alice == 401 ? refused : "*");
        as(world, "root:pw", cases[i].request, cases[i].body, root, "*");
    }
}

static void a_guest_has_the_role_guest(void **state)
{
    struct world *world = *state;
    users(world, "role guest +r /w");
    as(world, NULL, "GET " K "/w", NULL, 200, "*");
    as(world, NULL, "PUT " K "/w", "value=1", 401, NO_KEY);
    /* Who says who he is isn't a guest. */
    as(world, "alice:secret", "GET " K "/w", NULL, 401, NO_KEY);
    as(world, "alice:wrong", "GET " K "/w", NULL, 401, NO_KEY);
    users(world, "-role guest");
    as(world, NULL, "GET " K "/w", NULL, 401, NO_KEY);
}

static void what_is_no_header_is_refused(void **state)
{
    static const char *const headers[] = {
        "Authorization: Basic\r\n",
        "Authorization: Basic !!!!\r\n",
        "Authorization: Basic cm9vdA==\r\n", /* root */
        "Authorization: Basic cm9vdDpwdw=\r\n",
        "Authorization: Basic OnB3\r\n", /* :pw */
        "Authorization: Bearer cm9vdDpwdw==\r\n",
        "Authorization: cm9vdDpwdw==\r\n",
    };
    struct world *world = *state;
    for (size_t i = 0; i < sizeof(headers) / sizeof(headers[0]); i++) {
        struct reply reply =
            world_request(world, "GET", K "/w", headers[i], NULL);
        assert_int_equal(reply.status, 401);
        expect_text(reply.body, NO_KEY);
    }
    struct reply reply = world_request(
        world, "GET", K "/w", "Authorization: basic cm9vdDpwdw==\r\n", NULL);
    assert_int_equal(reply.status, 200);
}

/* A permission for "/a" alone lets nobody see what is in the directory: those
 * are other keys, to v3 too. */
static void a_listing_is_of_all_that_is_in_it(void **state)
{
    struct world *world = *state;
    users(world, "+role one");
    users(world, "role one +r /ab");
    users(world, "+user bob pw");
    users(world, "user bob +one");
    as(world, "bob:pw", "GET " K "/ab", NULL, 401, NO_KEY);
    users(world, "role one +r /ab/*");
    as(world, "bob:pw", "GET " K "/ab", NULL, 200, "*\"/ab/c\"*");
}

static void who_may_only_write_is_told_nothing(void **state)
{
    struct world *world = *state;
    users(world, "+role writer");
    users(world, "role writer +w /w");
    users(world, "+user bob pw");
    users(world, "user bob +writer");
    as(world, "bob:pw", "PUT " K "/w?prevValue=x", "value=1", 412,
       "{\"errorCode\":101,\"message\":\"Compare failed\",\"index\":*}\n");
    as(world, "bob:pw", "PUT " K "/w", "value=4", 200,
       "*\"value\":\"4\"*\"prevNode\":{\"key\":\"/w\",\"value\":\"\",*");
    as(world, "bob:pw", "PUT " K "/w?prevExist=true&refresh=true&ttl=9", "",
       200, "*\"node\":{\"key\":\"/w\",\"value\":\"\"*");
    as(world, "bob:pw", "DELETE " K "/w", NULL, 200,
       "*\"prevNode\":{\"key\":\"/w\",\"value\":\"\",*");
}

/* ---- between the question and the answer --------------------------------- */

static void send(struct world *world, struct client *client, const char *who,
                 const char *method, const char *target, const char *body)
{
    (void)world;
    client_ask(client, method, target, auth_headers(who, body), body);
}

static void expect(struct client *client, int status, const char *body)
{
    struct reply reply;
    assert_true(client_reply(client, false, &reply));
    expect_text(reply.body, body);
    assert_int_equal(reply.status, status);
    client_next(client, &reply);
}

/* A write is decided as of the users and roles where it is applied. */
static void a_write_doesnt_slip_through_behind_a_revocation(void **state)
{
    struct world *world = *state;
    struct client *root = client_new(world);
    struct client *alice = client_new(world);
    const char *revoke = "{\"role\":\"alices\",\"revoke\":{\"kv\":{\"write\":"
                         "[\"/a/w*\"]}}}";
    story_status(world, "GET /health", NULL, 200);
    as(world, "root:pw", "DELETE " K "/a", NULL, 200, "*");
    world->idle_core = true;
    send(world, root, "root:pw", "PUT", "/v2/auth/roles/alices", revoke);
    send(world, alice, "alice:secret", "PUT", K "/a/w", "value=1");
    world->idle_core = false;
    world_turn(world);
    expect(root, 200, "*");
    expect(alice, 401, NO_KEY);
    as(world, "root:pw", "GET " K "/a/w", NULL, 404, "*");
}

/* Where only others have changed the client doesn't hear of it. */
static void a_change_that_doesnt_matter_isnt_seen(void **state)
{
    struct world *world = *state;
    struct client *root = client_new(world);
    struct client *alice = client_new(world);
    const char *other = "{\"role\":\"other\"}";
    as(world, "root:pw", "DELETE " K "/a", NULL, 200, "*");
    world->idle_core = true;
    send(world, root, "root:pw", "PUT", "/v2/auth/roles/other", other);
    send(world, alice, "alice:secret", "PUT", K "/a/w", "value=1");
    world->idle_core = false;
    world_turn(world);
    expect(root, 201, "*");
    expect(alice, 201, "*");
}

/* It was let in while everybody was. */
static void a_write_of_before_it_was_on(void **state)
{
    struct world *world = *state;
    struct client *client = client_new(world);
    users(world, "off");
    world->idle_core = true;
    send(world, client, NULL, "PUT", K "/new", "value=1");
    struct client *switcher = client_new(world);
    send(world, switcher, NULL, "PUT", "/v2/auth/enable", NULL);
    send(world, client_new(world), NULL, "PUT", K "/new2", "value=1");
    world->idle_core = false;
    world_turn(world);
    expect(client, 201, "*");
    expect(switcher, 200, "");
    as(world, "root:pw", "GET " K "/new2", NULL, 404, "*");
}

/* ---- watches ------------------------------------------------------------- */

static void a_watch_ends_when_the_right_is_lost(void **state)
{
    struct world *world = *state;
    struct client *client = client_new(world);
    send(world, client, "alice:secret", "GET", K "/a?wait=true&stream=true",
         NULL);
    as(world, "root:pw", "PUT " K "/a", "value=7", 200, "*");
    struct reply reply;
    (void)client_reply(client, false, &reply);
    expect_text(reply.body, "*\"value\":\"7\"*");
    users(world, "+role other");
    world_turn(world);
    (void)client_reply(client, false, &reply);
    assert_false(reply.is_whole);
    users(world, "role alices -/a*");
    /* What comes after it isn't told any more. */
    as(world, "root:pw", "PUT " K "/a", "value=8", 200, "*");
    assert_true(client_reply(client, false, &reply));
    assert_true(reply.is_whole);
    expect_text(reply.body, "*\"value\":\"7\"*");
    assert_false(text_matches(reply.body, "*\"value\":\"8\"*"));
    client_next(client, &reply);
    send(world, client, "alice:secret", "GET", K "/a?wait=true", NULL);
    world_turn(world);
    expect(client, 401, NO_KEY);
}

static void a_watch_of_before_it_was_on_is_a_guests(void **state)
{
    struct world *world = *state;
    users(world, "off");
    users(world, "role guest +r /w");
    struct client *allowed = client_new(world);
    struct client *not_allowed = client_new(world);
    send(world, allowed, NULL, "GET", K "/w?wait=true", NULL);
    send(world, not_allowed, NULL, "GET", K "/a?wait=true", NULL);
    world_turn(world);
    users(world, "on");
    world_turn(world);
    struct reply reply;
    assert_true(client_reply(not_allowed, false, &reply) && reply.is_whole);
    assert_int_equal(reply.body.size, 0);
    as(world, "root:pw", "PUT " K "/w", "value=9", 200, "*");
    assert_true(client_reply(allowed, false, &reply));
    expect_text(reply.body, "*\"value\":\"9\"*");
}

static void a_recursive_watch_needs_all_below(void **state)
{
    struct world *world = *state;
    as(world, "alice:secret", "GET " K "/?wait=true&recursive=true", NULL, 401,
       NO_KEY);
    as(world, NULL, "GET " K "/a?wait=true", NULL, 401, NO_KEY);
}

/* ---- passwords ----------------------------------------------------------- */

static void a_password_is_checked_on_a_worker(void **state)
{
    struct world *world = *state;
    struct client *client = client_new(world);
    auth_keep_work(world);
    send(world, client, "alice:secret", "GET", K "/a", NULL);
    world_turn(world);
    assert_int_equal(client->got.size, 0);
    assert_int_equal(api_pending(world->api), 1);
    /* Others go on. */
    story_status(world, "GET /version", NULL, 200);
    assert_int_equal(world_do_work(world), 1);
    world_turn(world);
    expect(client, 200, "*\"value\":\"1\"*");
    assert_int_equal(api_pending(world->api), 0);
}

static void who_goes_away_isnt_waited_for(void **state)
{
    struct world *world = *state;
    struct client *client = client_new(world);
    auth_keep_work(world);
    send(world, client, "alice:secret", "PUT", K "/a/w", "value=1");
    client_free(client);
    assert_int_equal(world_do_work(world), 1);
    world_turn(world);
    assert_int_equal(api_pending(world->api), 0);
    struct client *maker = client_new(world);
    send(world, maker, "root:pw", "PUT", "/v2/auth/users/x",
         "{\"user\":\"x\",\"password\":\"p\"}");
    assert_int_equal(world_do_work(world), 1); /* root's password */
    client_free(maker);                        /* x's is being hashed */
    assert_int_equal(world_do_work(world), 1);
    assert_int_equal(api_pending(world->api), 0);
}

static void a_server_that_stops_answers(void **state)
{
    struct world *world = *state;
    struct client *client = client_new(world);
    auth_keep_work(world);
    send(world, client, "alice:secret", "GET", K "/a?wait=true", NULL);
    api_stop(world->api);
    assert_int_equal(world_do_work(world), 1);
    world_turn(world);
    expect(client, 503, "*server stopped*");
}

static void too_many_at_once_are_told_to_come_again(void **state)
{
    enum { MANY = 80 };
    struct world *world = *state;
    struct client *clients[MANY];
    size_t refused = 0;
    struct reply reply;
    auth_keep_work(world);
    for (size_t i = 0; i < MANY; i++) {
        clients[i] = client_new(world);
        send(world, clients[i], "alice:secret", "GET", K "/a", NULL);
    }
    for (size_t i = 0; i < MANY; i++) {
        (void)client_take(clients[i], SIZE_MAX);
        if (clients[i]->got.size > 0) {
            assert_true(client_reply(clients[i], false, &reply));
            assert_int_equal(reply.status, 503);
            refused++;
        }
    }
    assert_int_equal(refused, MANY - 64);
    assert_int_equal(world_do_work(world), 64);
    as(world, NULL, "GET /version", NULL, 200, "*");
}

/* Whether there is such a user can't be told by the time that it takes. */
static void who_is_unknown_takes_as_long(void **state)
{
    struct world *world = *state;
    as(world, "nobody:x", "GET " K "/a", NULL, 401, NO_KEY);
    assert_int_equal(auth_crypto()->compared, 1);
    as(world, "alice:wrong", "GET " K "/a", NULL, 401, NO_KEY);
    assert_int_equal(auth_crypto()->compared, 2);
}

static void without_a_door_nobody_gets_in(void **state)
{
    struct world *world = *state;
    world->shared.crypto = NULL;
    as(world, "root:pw", "GET " K "/a", NULL, 503, "*can't check passwords*");
    as(world, NULL, "GET " K "/a", NULL, 401, NO_KEY);
}

/* ---- certificates -------------------------------------------------------- */

static void a_certificate_names_a_user(void **state)
{
    struct world *world = *state;
    world->certificate = SLICE("alice");
    as(world, NULL, "GET " K "/a", NULL, 200, "*");
    as(world, NULL, "GET " K "/w", NULL, 401, NO_KEY);
    as(world, NULL, "GET /v2/auth/users", NULL, 401, NO_RIGHT);
    /* The header is what counts where there are both. */
    as(world, "root:pw", "GET " K "/w", NULL, 200, "*");
    as(world, "root:wrong", "GET " K "/a", NULL, 401, NO_KEY);
    world->certificate = SLICE("root");
    as(world, NULL, "GET /v2/auth/users", NULL, 200, "*");
    world->certificate = SLICE("somebody");
    users(world, "role guest +r /w");
    as(world, NULL, "GET " K "/w", NULL, 200, "*");
    as(world, NULL, "GET /v2/auth/users", NULL, 401, NO_RIGHT);
}

/* CVE-2018-16886: who asks through the gateway isn't the gateway. */
static void our_own_certificate_is_nobodys(void **state)
{
    struct world *world = *state;
    world->certificate = SLICE("root");
    world->is_own = true;
    as(world, NULL, "GET " K "/a", NULL, 401, NO_KEY);
    as(world, NULL, "GET /v2/auth/users", NULL, 401, NO_RIGHT);
}

static void nobody_is_called_as_the_server_is(void **state)
{
    struct world *world = *state;
    world->certificate = AUTH_SERVER;
    as(world, NULL, "GET " K "/a", NULL, 401, NO_KEY);
    struct reply reply = world_request(
        world, "GET", K "/a", "Authorization: Basic AHNlcnZlcjpw\r\n", NULL);
    assert_int_equal(reply.status, 401);
}

/* ---- what is for root ---------------------------------------------------- */

static void root_alone_changes_members(void **state)
{
    struct world *world = *state;
    const char *json = "{\"peerURLs\":[\"http://127.0.0.1:9\"]}";
    as(world, NULL, "GET /v2/members", NULL, 200, "*");
    as(world, "alice:wrong", "GET /v2/members", NULL, 200, "*");
    as(world, NULL, "POST /v2/members", json, 401, NO_RIGHT);
    as(world, "alice:secret", "POST /v2/members", json, 401, NO_RIGHT);
    as(world, "root:pw", "DELETE /v2/members/99", NULL, 404, "*");
    as(world, "alice:secret", "GET /debug/vars", NULL, 401, NO_RIGHT);
    as(world, "root:pw", "GET /debug/vars", NULL, 200, "*");
    as(world, NULL, "PUT /config/local/log", "{\"Level\":\"INFO\"}", 401,
       NO_RIGHT);
}

static struct reply ask_peer_port(struct world *world, const char *who,
                                  const char *method, const char *target,
                                  const char *body)
{
    static struct buf kept;
    struct client *client = client_new_peer_port(world);
    struct reply reply = {0};
    client_ask(client, method, target, auth_headers(who, body), body);
    world_turn(world);
    assert_true(client_reply(client, false, &reply));
    buf_reset(&kept);
    buf_append_slice(&kept, reply.body);
    reply.body = buf_slice(&kept);
    client_free(client);
    if (who == NULL) {
        buf_deinit(&kept);
        kept = (struct buf){0};
        reply.body = SLICE("");
    }
    return reply;
}

static void root_alone_administers(void **state)
{
    struct world *world = *state;
    const char *json = "{\"activeSize\":5}";
    assert_int_equal(
        ask_peer_port(world, NULL, "GET", "/v2/admin/config", NULL).status,
        200);
    assert_int_equal(
        ask_peer_port(world, NULL, "PUT", "/v2/admin/config", json).status,
        401);
    assert_int_equal(
        ask_peer_port(world, NULL, "DELETE", "/remove/Test01", NULL).status,
        401);
    assert_int_equal(
        ask_peer_port(world, NULL, "DELETE", "/v2/admin/machines/Test01", NULL)
            .status,
        401);
    struct client *client = client_new_peer_port(world);
    client_ask(client, "PUT", "/v2/admin/config", auth_headers("root:pw", json),
               json);
    world_turn(world);
    expect(client, 200, "{\"activeSize\":5,*");
}

/* ---- the audit log ------------------------------------------------------- */

static void each_request_is_noted(void **state)
{
    struct world *world = *state;
    as(world, "alice:secret", "GET " K "/a", NULL, 200, "*");
    as(world, "alice:secret", "PUT " K "/w", "value=very-secret", 401, NO_KEY);
    as(world, NULL, "GET " K "/a", NULL, 401, NO_KEY);
    as(world, "alice:wrong", "GET " K "/a", NULL, 401, NO_KEY);
    as(world, "root:pw", "PUT /v2/auth/users/x",
       "{\"user\":\"x\",\"password\":\"geheim\"}", 201, "*");
    as(world, NULL, "GET /version", NULL, 200, "*");
    assert_string_equal(
        audit_text(),
        "alice password GET /v2/keys/a /a ok\n"
        "alice password PUT /v2/keys/w /w Insufficient credentials\n"
        "- GET /v2/keys/a /a Insufficient credentials\n"
        "- password GET /v2/keys/a /a Insufficient credentials\n"
        "root password PUT /v2/auth/users/x ok\n"
        "- GET /version ok\n");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        STORY(each_by_his_right),
        STORY(a_guest_has_the_role_guest),
        STORY(what_is_no_header_is_refused),
        STORY(a_listing_is_of_all_that_is_in_it),
        STORY(who_may_only_write_is_told_nothing),
        STORY(a_write_doesnt_slip_through_behind_a_revocation),
        STORY(a_change_that_doesnt_matter_isnt_seen),
        STORY(a_write_of_before_it_was_on),
        STORY(a_watch_ends_when_the_right_is_lost),
        STORY(a_watch_of_before_it_was_on_is_a_guests),
        STORY(a_recursive_watch_needs_all_below),
        STORY(a_password_is_checked_on_a_worker),
        STORY(who_goes_away_isnt_waited_for),
        STORY(a_server_that_stops_answers),
        STORY(too_many_at_once_are_told_to_come_again),
        STORY(who_is_unknown_takes_as_long),
        STORY(without_a_door_nobody_gets_in),
        STORY(a_certificate_names_a_user),
        STORY(our_own_certificate_is_nobodys),
        STORY(nobody_is_called_as_the_server_is),
        STORY(root_alone_changes_members),
        STORY(root_alone_administers),
        STORY(each_request_is_noted),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
