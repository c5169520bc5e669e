/* Streams whose user may not have what they ask for, or no longer: watches,
 * elections, history. */
#include "auth_world.h"

#include "base/check.h"
#include "proto/election.pb-c.h"
#include "proto/history.pb-c.h"

#define AUTH(method) "/etcdserverpb.Auth/" method
#define KV(method) "/etcdserverpb.KV/" method
#define WATCH "/etcdserverpb.Watch/Watch"

enum { ID = 2, CREATED = 3, CANCELED = 4, REASON = 6, EVENTS = 11 };

static const char reason_denied[] =
    "rpc error: code = PermissionDenied desc = etcdserver: permission denied";
static const char reason_nobody[] =
    "rpc error: code = InvalidArgument desc = etcdserver: user name is empty";
static const char reason_token[] =
    "rpc error: code = Unauthenticated desc = etcdserver: invalid auth token";

static struct auth_world world;

static int begin_off(void **state)
{
    (void)state;
    auth_world_init(&world, 11);
    return 0;
}

static int begin(void **state)
{
    begin_off(state);
    auth_world_enable(&world);
    return 0;
}

static int end(void **state)
{
    (void)state;
    auth_world_deinit(&world);
    return 0;
}

/* The next response; it is taken. */
static struct slice told(struct talk *talk)
{
    static char copy[4096];
    bool compressed;
    struct slice message;
    assert_true(talk_message(talk, &compressed, &message));
    assert_in_range(message.size, 1, sizeof(copy));
    memcpy(copy, message.at, message.size);
    message.at = copy;
    talk_next(talk);
    return message;
}

static void expect_silence(struct talk *talk)
{
    assert_int_equal(talk->got.size, 0);
}

static void expect_reason(struct slice message, const char *reason)
{
    struct slice got = bytes_of(message, REASON);
    assert_int_equal(got.size, strlen(reason));
    assert_memory_equal(got.at, reason, got.size);
    assert_true(number_of(message, CANCELED));
}

static void ask_for(struct talk *talk, int64_t id, struct slice key,
                    struct slice range_end)
{
    talk_send(talk, watch_request(id, key, range_end), false);
    auth_world_turn(&world);
}

/* `reason` NULL: it is created. */
static void expect_watch(struct talk *talk, int64_t id, struct slice key,
                         struct slice range_end, const char *reason)
{
    ask_for(talk, id, key, range_end);
    struct slice message = told(talk);
    assert_true(number_of(message, CREATED));
    if (reason != NULL) {
        expect_reason(message, reason);
        assert_int_equal((int64_t)number_of(message, ID), -1);
    } else {
        assert_false(number_of(message, CANCELED));
        assert_int_equal(number_of(message, ID), id);
    }
    expect_silence(talk);
    assert_false(talk->ended);
}

static void a_watch_is_asked_for_by_who_may_read_all_of_it(void **state)
{
    const struct slice none = SLICE("");
    (void)state;
    const char *with = login(&world, "with", "with");
    struct talk *talk = open_as(&world, with, WATCH);
    expect_watch(talk, 1, SLICE("k/1"), none, NULL);
    expect_watch(talk, 2, SLICE("k/"), SLICE("k0"), NULL);
    expect_watch(talk, 3, SLICE("k/"), SLICE("k1"), reason_denied);
    expect_watch(talk, 4, SLICE("zz"), none, reason_denied);
    expect_watch(talk, 5, none, none, reason_denied);
    /* The stream is as good as before. */
    do_as(&world, with, KV("Put"), put_request("k/1", "1"));
    assert_int_equal(count_of(told(talk), EVENTS), 1);
    assert_int_equal(count_of(told(talk), EVENTS), 1);
    talk_free(talk);
}

/* CVE-2026-73499 GHSA-xg4h-6gfc-h4m8: "from this key on" is not this key. */
static void an_open_end_is_all_that_there_is(void **state)
{
    const struct slice open = slice_of("", 1);
    (void)state;
    struct talk *talk = open_as(&world, login(&world, "with", "with"), WATCH);
    expect_watch(talk, 1, SLICE("k/"), open, reason_denied);
    expect_watch(talk, 2, SLICE("k/1"), open, reason_denied);
    expect_watch(talk, 3, SLICE(""), open, reason_denied);
    talk_free(talk);
    const char *root = login(&world, "root", "root");
    do_as(&world, root, AUTH("RoleGrantPermission"),
          permission_request("keeper", AUTH_READ, "x", ""));
    talk = open_as(&world, login(&world, "with", "with"), WATCH);
    expect_watch(talk, 4, SLICE("x"), SLICE(""), NULL);
    expect_watch(talk, 5, SLICE("x"), open, reason_denied);
    talk_free(talk);
    talk = open_as(&world, root, WATCH);
    expect_watch(talk, 6, SLICE("k/"), open, NULL);
    talk_free(talk);
}

static void who_is_nobody_watches_nothing(void **state)
{
    (void)state;
    struct talk *talk = open_as(&world, NULL, WATCH);
    expect_watch(talk, 1, SLICE("k/1"), SLICE(""), reason_nobody);
    talk_free(talk);
    talk = open_as(&world, "wrong", WATCH);
    expect_watch(talk, 1, SLICE("k/1"), SLICE(""), reason_token);
    talk_free(talk);
    /* The token is looked at with each watch. */
    talk = open_as(&world, login(&world, "with", "with"), WATCH);
    expect_watch(talk, 1, SLICE("k/1"), SLICE(""), NULL);
    auth_world_wait(&world, AUTH_WORLD_TTL_MS + 200);
    const char *root = login(&world, "root", "root");
    expect_watch(talk, 2, SLICE("k/1"), SLICE(""), reason_token);
    do_as(&world, root, KV("Put"), put_request("k/1", "1"));
    assert_int_equal(number_of(told(talk), ID), 1);
    talk_free(talk);
}

/* What is committed behind a revocation isn't told, however close it is. */
static void a_watch_ends_with_the_right_to_it(void **state)
{
    (void)state;
    const char *with = login(&world, "with", "with");
    const char *root = login(&world, "root", "root");
    struct talk *talk = open_as(&world, with, WATCH);
    expect_watch(talk, 1, SLICE("k/"), SLICE("k0"), NULL);
    expect_watch(talk, 2, SLICE("r/"), SLICE("r0"), NULL);
    Etcdserverpb__AuthRoleRevokePermissionRequest request =
        ETCDSERVERPB__AUTH_ROLE_REVOKE_PERMISSION_REQUEST__INIT;
    char role[] = "keeper";
    request.role = role;
    request.key = message_data(SLICE("k/"));
    request.range_end = message_data(SLICE("k0"));
    do_as(&world, root, AUTH("RoleRevokePermission"),
          request_of(&request.base));
    do_as(&world, root, KV("Put"), put_request("k/1", "1"));
    do_as(&world, root, KV("Put"), put_request("r/1", "1"));
    struct slice message = told(talk);
    assert_int_equal(number_of(message, ID), 1);
    assert_false(number_of(message, CREATED));
    expect_reason(message, reason_denied);
    message = told(talk);
    assert_int_equal(number_of(message, ID), 2);
    assert_int_equal(count_of(message, EVENTS), 1);
    expect_silence(talk);
    /* With its user all of them end; that is seen without any commit. */
    do_as(&world, root, AUTH("UserDelete"),
          name_request(&etcdserverpb__auth_user_delete_request__descriptor,
                       "with"));
    auth_world_wait(&world, 1000);
    message = told(talk);
    assert_int_equal(number_of(message, ID), 2);
    expect_reason(message, reason_denied);
    assert_false(talk->ended);
    talk_free(talk);
}

/* Many of them, so that the lock is given up in between. */
static void all_of_many_watches_end(void **state)
{
    enum { MANY = 2500 };
    (void)state;
    world.grpc->world.shared.watchers_max = MANY;
    const char *root = login(&world, "root", "root");
    struct talk *talk = open_as(&world, login(&world, "with", "with"), WATCH);
    for (int64_t i = 1; i <= MANY; i++) {
        expect_watch(talk, i, i % 2 == 0 ? SLICE("k/1") : SLICE("r/1"),
                     SLICE(""), NULL);
    }
    do_as(&world, root, AUTH("UserRevokeRole"),
          revoke_role_request("with", "keeper"));
    auth_world_wait(&world, 1000);
    for (size_t i = 0; i < MANY; i++) {
        expect_reason(told(talk), reason_denied);
    }
    expect_silence(talk);
    do_as(&world, root, KV("Put"), put_request("k/1", "1"));
    expect_silence(talk);
    talk_free(talk);
}

static void watches_of_before_are_looked_at_when_auth_is_enabled(void **state)
{
    (void)state;
    struct line *line = line_open_as(world.grpc, SLICE("with"), false);
    struct talk *nobodys = open_as(&world, NULL, WATCH);
    struct talk *certain = talk_open(line, WATCH, NULL);
    expect_watch(nobodys, 1, SLICE("k/1"), SLICE(""), NULL);
    expect_watch(certain, 2, SLICE("k/1"), SLICE(""), NULL);
    expect_watch(certain, 3, SLICE("zz"), SLICE(""), NULL);
    auth_world_enable(&world);
    auth_world_wait(&world, 1000);
    expect_reason(told(nobodys), reason_nobody);
    struct slice message = told(certain);
    assert_int_equal(number_of(message, ID), 3);
    expect_reason(message, reason_denied);
    expect_silence(certain);
    const char *root = login(&world, "root", "root");
    do_as(&world, root, KV("Put"), put_request("k/1", "1"));
    assert_int_equal(number_of(told(certain), ID), 2);
    expect_silence(nobodys);
    talk_free(nobodys);
    talk_free(certain);
}

/* ---- the others' ------------------------------------------------------ */

static struct slice election_request(const char *name)
{
    V3electionpb__LeaderRequest request = V3ELECTIONPB__LEADER_REQUEST__INIT;
    request.name = message_data(slice_str(name));
    return request_of(&request.base);
}

/* It is told of nothing that comes behind a revocation. */
static void who_observes_an_election_must_go_on_being_allowed_to(void **state)
{
    (void)state;
    const char *root = login(&world, "root", "root");
    const char *with = login(&world, "with", "with");
    struct talk *talk = ask_as(&world, with, "/v3electionpb.Election/Observe",
                               election_request("k/e"));
    do_as(&world, root, KV("Put"), put_request("k/e/1", "one"));
    assert_int_not_equal(talk->got.size, 0);
    assert_true(count_of(told(talk), 2) > 0);
    do_as(&world, root, AUTH("UserRevokeRole"),
          revoke_role_request("with", "keeper"));
    do_as(&world, root, KV("Put"), put_request("k/e/1", "two"));
    expect_silence(talk);
    expect_end(talk, GRPC_UNKNOWN, denied);
    talk_free(talk);
}

static struct slice history_request(const char *key, const char *range_end)
{
    Etched__V1__HistoryRequest request = ETCHED__V1__HISTORY_REQUEST__INIT;
    request.key = message_data(slice_str(key));
    request.range_end = message_data(slice_str(range_end));
    return request_of(&request.base);
}

static void history_is_for_who_may_read_its_range(void **state)
{
    static const char records[] = "/etched.v1.History/Records";
    (void)state;
    const char *with = login(&world, "with", "with");
    do_as(&world, with, KV("Put"), put_request("k/1", "1"));
    do_as(&world, with, records, history_request("k/", "k0"));
    do_as(&world, with, records, history_request("k/1", ""));
    expect_as(&world, with, records, history_request("k/", "k1"),
              GRPC_PERMISSION_DENIED, denied);
    expect_as(&world, with, records, history_request("", ""),
              GRPC_PERMISSION_DENIED, denied);
    const char *root = login(&world, "root", "root");
    do_as(&world, root, records, history_request("", ""));
}

#define ON(test) cmocka_unit_test_setup_teardown(test, begin, end)
#define OFF(test) cmocka_unit_test_setup_teardown(test, begin_off, end)

int main(void)
{
    const struct CMUnitTest tests[] = {
        ON(a_watch_is_asked_for_by_who_may_read_all_of_it),
        ON(an_open_end_is_all_that_there_is),
        ON(who_is_nobody_watches_nothing),
        ON(a_watch_ends_with_the_right_to_it),
        ON(all_of_many_watches_end),
        OFF(watches_of_before_are_looked_at_when_auth_is_enabled),
        ON(who_observes_an_election_must_go_on_being_allowed_to),
        ON(history_is_for_who_may_read_its_range),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
