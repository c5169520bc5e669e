/* A listed cluster when some of it runs already: joining one that exists, and
 * starting one that turns out not to be new. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdatomic.h>
#include <stdio.h>

#include "bootstrap_case.h"
#include "stub_http.h"

/* ---- a member that runs -------------------------------------------------- */

struct member {
    struct stub_http stub;
    const char *cluster; /* NULL: it doesn't say */
    char members[1024];  /* the body */
    int status;
    _Atomic int asked;
    _Atomic int silent; /* so many answers fail first */
};

static void answer(void *context, const struct stub_request *request,
                   struct stub_reply *reply)
{
    struct member *member = context;
    member->asked++;
    if (strcmp(request->method, "GET") != 0 ||
        strcmp(request->target, "/members") != 0) {
        reply->status = 404;
        return;
    }
    if (member->silent > 0) {
        member->silent--;
        reply->status = 0;
        return;
    }
    reply->status = member->status;
    if (member->cluster) {
        (void)snprintf(reply->head, sizeof(reply->head),
                       "X-Etcd-Cluster-Id: %s\r\n", member->cluster);
    }
    buf_append_str(&reply->body, member->members);
}

static void member_start(struct member *member, const char *cluster,
                         const char *members)
{
    memset(member, 0, sizeof(*member));
    member->cluster = cluster;
    member->status = 200;
    (void)snprintf(member->members, sizeof(member->members), "%s", members);
    stub_http_start(&member->stub, answer, member);
}

static void expect(struct bootstrap_case *one, const char *wanted)
{
    assert_string_equal(case_run(one, &impatient), wanted);
    case_free(one);
}

/* ---- reading a list ------------------------------------------------------ */

static void read_list(struct arena *arena, const char *json,
                      struct bootstrap_view *view, enum err wanted)
{
    *view = (struct bootstrap_view){0};
    assert_int_equal(bootstrap__parse_members(arena, slice_str(json), view),
                     wanted);
}

/* As etcd 3.4.23 wrote it. The ids are beyond what a double or a signed number
 * holds. */
static void etcds_list_is_read_exactly(void **state)
{
    struct arena arena;
    struct bootstrap_view view;
    (void)state;
    arena_init(&arena, 0);
    read_list(&arena,
              "[{\"id\":17316968661408415944,\"peerURLs\":[\"http://127.0.0.1:"
              "25180\"],\"name\":\"n1\",\"clientURLs\":[\"http://127.0.0.1:"
              "25179\"]},{\"id\":17394473198618983964,\"peerURLs\":[\"http://"
              "127.0.0.1:25280\",\"http://b:1\"],\"isLearner\":true}]\n",
              &view, ERR_OK);
    assert_int_equal(view.count, 2);
    assert_int_equal(view.members[0].id, UINT64_C(17316968661408415944));
    assert_true(slice_eq(view.members[0].name, SLICE("n1")));
    assert_true(
        slice_eq(view.members[0].client_urls, SLICE("http://127.0.0.1:25179")));
    assert_false(view.members[0].is_learner);
    assert_int_equal(view.members[1].id, UINT64_C(17394473198618983964));
    assert_true(slice_eq(view.members[1].peer_urls,
                         SLICE("http://127.0.0.1:25280,http://b:1")));
    assert_int_equal(view.members[1].name.size, 0);
    assert_int_equal(view.members[1].client_urls.size, 0);
    assert_true(view.members[1].is_learner);
    arena_deinit(&arena);
}

static void digits_in_a_name_are_left_alone(void **state)
{
    struct arena arena;
    struct bootstrap_view view;
    (void)state;
    arena_init(&arena, 0);
    read_list(&arena,
              "[{\"id\":7,\"name\":\"a\\\"12345678901234567890\\\\\","
              "\"peerURLs\":null}]",
              &view, ERR_OK);
    assert_int_equal(view.members[0].id, 7);
    assert_true(
        slice_eq(view.members[0].name, SLICE("a\"12345678901234567890\\")));
    arena_deinit(&arena);
}

static void what_is_no_list_is_refused(void **state)
{
    static const char *const texts[] = {
        "",
        "{}",
        "[",
        "[1]",
        "[{}]",
        "[{\"id\":0}]",
        "[{\"id\":-1}]",
        "[{\"id\":\"x\"}]",
        "[{\"id\":1,\"peerURLs\":[1]}]",
        "[{\"id\":1,\"peerURLs\":\"http://a:1\"}]",
        "[{\"id\":99999999999999999999999}]",
        "\"",
        "[{\"id\":1,\"name\":\"\\"};
    struct arena arena;
    struct bootstrap_view view;
    (void)state;
    arena_init(&arena, 0);
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        read_list(&arena, texts[i], &view, ERR_INVALID);
        assert_non_null(strstr(err_note(), "not a list of members"));
    }
    arena_deinit(&arena);
}

/* ---- joining one that exists --------------------------------------------- */

#define OLD                                                     \
    "{\"id\":7,\"name\":\"old\",\"peerURLs\":[\"http://a:1\"]," \
    "\"clientURLs\":[\"http://a:2\"]}"
#define ADDED                                     \
    "{\"id\":17316968661408415944,\"name\":\"\"," \
    "\"peerURLs\":[\"http://127.0.0.1:5\"]}"

static void load_joiner(struct bootstrap_case *one, const struct member *member)
{
    case_load(one,
              "--name new --initial-cluster-state existing --initial-cluster "
              "old=http://127.0.0.1:%d,new=http://127.0.0.1:5",
              member->stub.port);
}

static void a_member_that_was_added_joins(void **state)
{
    struct member member;
    struct bootstrap_case one;
    (void)state;
    member_start(&member, "790b40838140f67a", "[" OLD "," ADDED "]");
    load_joiner(&one, &member);
    expect(&one, "cluster=790b40838140f67a member=f0523b3f91d200c8");
    stub_http_stop(&member.stub);
}

/* Its URLs count, however they are written. */
static void the_urls_may_be_written_in_another_way(void **state)
{
    struct member member;
    struct bootstrap_case one;
    (void)state;
    member_start(&member, "1",
                 "[" OLD ",{\"id\":9,\"name\":\"new\",\"peerURLs\":"
                 "[\"http://localhost:5\"]}]");
    load_joiner(&one, &member);
    expect(&one, "cluster=1 member=9");
    stub_http_stop(&member.stub);
}

static void one_that_was_not_added_is_refused(void **state)
{
    struct member member;
    struct bootstrap_case one;
    (void)state;
    member_start(&member, "1", "[" OLD "]");
    load_joiner(&one, &member);
    expect(&one, "GONE: no member of the cluster has the peer URLs "
                 "http://127.0.0.1:5: was it added with member add? One that "
                 "was removed has to be added again");
    stub_http_stop(&member.stub);
}

/* The first one asked may be behind. */
static void all_are_asked_before_it_is_refused(void **state)
{
    struct member behind;
    struct member leader;
    struct bootstrap_case one;
    (void)state;
    member_start(&behind, "1", "[" OLD "]");
    member_start(&leader, "1", "[" OLD "," ADDED "]");
    case_load(&one,
              "--name new --initial-cluster-state existing --initial-cluster "
              "a=http://127.0.0.1:%d,new=http://127.0.0.1:5,"
              "b=http://127.0.0.1:%d,b=http://127.0.0.1:%d",
              behind.stub.port, stub_free_port(), leader.stub.port);
    expect(&one, "cluster=1 member=f0523b3f91d200c8");
    stub_http_stop(&behind.stub);
    stub_http_stop(&leader.stub);
}

static void another_name_is_refused(void **state)
{
    struct member member;
    struct bootstrap_case one;
    (void)state;
    member_start(&member, "1",
                 "[{\"id\":9,\"name\":\"other\",\"peerURLs\":"
                 "[\"http://127.0.0.1:5\"]}]");
    load_joiner(&one, &member);
    expect(&one, "INVALID: the cluster knows the member with these peer URLs "
                 "as \"other\", but --name is \"new\"");
    stub_http_stop(&member.stub);
}

#define FORGETFUL(id)                                                        \
    "EXISTS: member " id                                                     \
    " has already been bootstrapped, but its data is not "                   \
    "in /nowhere/at/all: a member must not vote anew on what it forgot. If " \
    "the "                                                                   \
    "data is lost, remove the member and add it again (etchctl member "      \
    "remove " id "; etchctl member add)"

static void one_that_lost_its_data_is_refused(void **state)
{
    struct member member;
    struct bootstrap_case one;
    (void)state;
    member_start(&member, "1",
                 "[{\"id\":171,\"name\":\"new\",\"peerURLs\":"
                 "[\"http://127.0.0.1:5\"],\"clientURLs\":[\"http://x:1\"]}]");
    load_joiner(&one, &member);
    expect(&one, FORGETFUL("ab"));
    stub_http_stop(&member.stub);
}

static void nobody_there_is_told_after_a_while(void **state)
{
    struct bootstrap_case one;
    (void)state;
    case_load(&one,
              "--name new --initial-cluster-state existing --initial-cluster "
              "old=http://127.0.0.1:%d,new=http://127.0.0.1:5",
              stub_free_port());
    expect(&one, "TIMEOUT: cannot fetch cluster info from peer urls: no member "
                 "in --initial-cluster answers; are they running, and are "
                 "these their peer URLs?");
    case_load(&one, "--initial-cluster-state existing");
    expect(&one, "INVALID: --initial-cluster-state existing needs the "
                 "cluster's other members in --initial-cluster");
}

static void a_member_that_is_slow_to_come_is_waited_for(void **state)
{
    struct bootstrap_world patient = impatient;
    struct member member;
    struct bootstrap_case one;
    (void)state;
    patient.give_up_ms = 20000;
    member_start(&member, "1", "[" OLD "," ADDED "]");
    member.silent = 3;
    load_joiner(&one, &member);
    assert_string_equal(case_run(&one, &patient),
                        "cluster=1 member=f0523b3f91d200c8");
    assert_int_equal(member.asked, 4);
    case_free(&one);
    stub_http_stop(&member.stub);
}

/* ---- not new at all ------------------------------------------------------ */

static void load_starter(struct bootstrap_case *one,
                         const struct member *member)
{
    case_load(one,
              "--name new --initial-cluster "
              "old=http://127.0.0.1:%d,new=http://127.0.0.1:5",
              member->stub.port);
}

/* The ids that these flags make. */
static void ids_of(const struct member *member, struct bootstrap *out)
{
    struct bootstrap_world alone = impatient;
    struct bootstrap_case one;
    alone.probe_total_ms = 0;
    load_starter(&one, member);
    (void)case_run(&one, &alone);
    assert_int_equal(one.err, ERR_OK);
    *out = one.out;
    out->members = NULL;
    case_free(&one);
}

struct running {
    struct member member;
    struct bootstrap ids;
    char cluster[24];
};

/* A member of the cluster that the flags make, which lists `own` so. */
static void running_start(struct running *running, bool lists_own,
                          const char *client_urls)
{
    member_start(&running->member, NULL, "[]");
    ids_of(&running->member, &running->ids);
    (void)snprintf(running->cluster, sizeof(running->cluster), "%llx",
                   (unsigned long long)running->ids.cluster_id);
    running->member.cluster = running->cluster;
    if (lists_own) {
        (void)snprintf(running->member.members, sizeof(running->member.members),
                       "[" OLD ",{\"id\":%llu,\"clientURLs\":[%s]}]",
                       (unsigned long long)running->ids.member_id, client_urls);
    }
}

static void others_that_began_before_are_fine(void **state)
{
    struct running running;
    struct bootstrap_case one;
    (void)state;
    running_start(&running, true, "");
    load_starter(&one, &running.member);
    (void)case_run(&one, &impatient);
    assert_int_equal(one.err, ERR_OK);
    assert_int_equal(one.out.cluster_id, running.ids.cluster_id);
    assert_int_equal(one.out.member_count, 2);
    assert_int_equal(running.member.asked, 1);
    case_free(&one);
    stub_http_stop(&running.member.stub);
}

static void a_member_of_another_cluster_is_told(void **state)
{
    struct running running;
    struct bootstrap_case one;
    char wanted[512];
    (void)state;
    running_start(&running, true, "");
    running.member.cluster = "123";
    load_starter(&one, &running.member);
    (void)snprintf(wanted, sizeof(wanted),
                   "WRONG_CLUSTER: the member at %s belongs to cluster 123, "
                   "but these flags make cluster %s: give all members the "
                   "same --initial-cluster and --initial-cluster-token, or, "
                   "to join one that exists, add this member to it and give "
                   "--initial-cluster-state existing",
                   running.member.stub.url, running.cluster);
    expect(&one, wanted);
    stub_http_stop(&running.member.stub);
}

static void one_that_ran_before_is_refused(void **state)
{
    struct running running;
    struct bootstrap_case one;
    (void)state;
    running_start(&running, true, "\"http://x:1\"");
    load_starter(&one, &running.member);
    (void)case_run(&one, &impatient);
    assert_int_equal(one.err, ERR_EXISTS);
    assert_non_null(strstr(one.result, "has already been bootstrapped"));
    case_free(&one);
    stub_http_stop(&running.member.stub);
}

/* It is asked again before that is believed. */
static void one_that_was_removed_is_refused(void **state)
{
    struct running running;
    struct bootstrap_case one;
    char wanted[512];
    (void)state;
    running_start(&running, false, "");
    load_starter(&one, &running.member);
    (void)snprintf(wanted, sizeof(wanted),
                   "GONE: member %llx was removed from its cluster, as %s "
                   "says; to bring this machine back, add it as a new member "
                   "(etchctl member add) and give --initial-cluster-state "
                   "existing",
                   (unsigned long long)running.ids.member_id,
                   running.member.stub.url);
    expect(&one, wanted);
    assert_int_equal(running.member.asked, 2);
    stub_http_stop(&running.member.stub);
}

/* Something else listens there, or nobody: the others will come. */
static void who_is_no_member_says_nothing(void **state)
{
    struct member member;
    struct bootstrap_case one;
    (void)state;
    member_start(&member, NULL, "hello");
    load_starter(&one, &member);
    (void)case_run(&one, &impatient);
    assert_int_equal(one.err, ERR_OK);
    case_free(&one);
    member.status = 500;
    load_starter(&one, &member);
    (void)case_run(&one, &impatient);
    assert_int_equal(one.err, ERR_OK);
    case_free(&one);
    stub_http_stop(&member.stub);
    load_starter(&one, &member);
    (void)case_run(&one, &impatient);
    assert_int_equal(one.err, ERR_OK);
    assert_int_equal(one.out.member_count, 2);
    case_free(&one);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(etcds_list_is_read_exactly),
        cmocka_unit_test(digits_in_a_name_are_left_alone),
        cmocka_unit_test(what_is_no_list_is_refused),
        cmocka_unit_test(a_member_that_was_added_joins),
        cmocka_unit_test(the_urls_may_be_written_in_another_way),
        cmocka_unit_test(one_that_was_not_added_is_refused),
        cmocka_unit_test(all_are_asked_before_it_is_refused),
        cmocka_unit_test(another_name_is_refused),
        cmocka_unit_test(one_that_lost_its_data_is_refused),
        cmocka_unit_test(nobody_there_is_told_after_a_while),
        cmocka_unit_test(a_member_that_is_slow_to_come_is_waited_for),
        cmocka_unit_test(others_that_began_before_are_fine),
        cmocka_unit_test(a_member_of_another_cluster_is_told),
        cmocka_unit_test(one_that_ran_before_is_refused),
        cmocka_unit_test(one_that_was_removed_is_refused),
        cmocka_unit_test(who_is_no_member_says_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
