/* The ids of members and clusters as etcd computes them, what is wrong with a
 * list, and a member that has data. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "bootstrap_case.h"

static void expect(const char *wanted, const char *args)
{
    struct bootstrap_case one;
    case_load(&one, "%s", args);
    assert_string_equal(case_run(&one, &impatient), wanted);
    case_free(&one);
}

/* ---- ids ----------------------------------------------------------------- */

/* What `etcd` says when it is started without any flag, 3.x; and 2.x, which
 * listens on two ports. */
static void the_default_members_of_etcd(void **state)
{
    (void)state;
    expect("cluster=cdf818194e3a8c32 member=8e9e05c52164694d "
           "[8e9e05c52164694d:default:http://localhost:2380]",
           "");
    expect("cluster=7e27652122e8b2ae member=ce2a822cea30bfca "
           "[ce2a822cea30bfca:default:http://localhost:2380,"
           "http://localhost:7001]",
           "--initial-advertise-peer-urls "
           "http://localhost:2380,http://localhost:7001");
}

#define SEED                                                 \
    "--initial-cluster infra0=http://0.0.0.0:2380,"          \
    "infra1=http://0.0.0.0:2480,infra2=http://0.0.0.0:2580 " \
    "--initial-cluster-token etcd-cluster-1 "                \
    "--initial-cluster-state new "
#define SEED_MEMBERS                                 \
    " [10b3368d11ee091f:infra2:http://0.0.0.0:2580]" \
    " [2006f2ad47deea09:infra0:http://0.0.0.0:2380]" \
    " [6358626c273a06a8:infra1:http://0.0.0.0:2480]"

/* The seed's three members; the ids are those that etcd 3.4.23 logs. Nobody
 * is asked: who would be there isn't part of this test. */
static void the_seeds_cluster(void **state)
{
    struct bootstrap_world alone = impatient;
    struct bootstrap_case one;
    (void)state;
    alone.probe_total_ms = 0;
    case_load(&one, SEED "--name infra0 --listen-peer-urls "
                         "http://0.0.0.0:2380");
    assert_string_equal(case_run(&one, &alone),
                        "cluster=e14d97732dadbe1e "
                        "member=2006f2ad47deea09" SEED_MEMBERS);
    case_free(&one);
    case_load(&one, SEED "--name infra2 --listen-peer-urls "
                         "http://0.0.0.0:2580");
    assert_string_equal(case_run(&one, &alone),
                        "cluster=e14d97732dadbe1e "
                        "member=10b3368d11ee091f" SEED_MEMBERS);
    case_free(&one);
}

/* Several URLs of one name, in no order; ids of etcd 3.4.23. One id begins
 * with a zero digit. */
static void a_member_with_several_urls(void **state)
{
    struct bootstrap_world alone = impatient;
    struct bootstrap_case one;
    (void)state;
    alone.probe_total_ms = 0;
    case_load(&one, "--name infra0 --initial-cluster-token etcd-cluster-1 "
                    "--initial-cluster infra0=http://localhost:24381,"
                    "infra1=http://127.0.0.1:24480,"
                    "infra2=http://127.0.0.1:24580,"
                    "infra0=http://127.0.0.1:24380 "
                    "--initial-advertise-peer-urls "
                    "http://127.0.0.1:24380,http://localhost:24381");
    assert_string_equal(case_run(&one, &alone),
                        "cluster=f9f0db3ec4b9fbb6 member=4ef46ce4004b83c6"
                        " [1981ea3b828cae8:infra1:http://127.0.0.1:24480]"
                        " [4ef46ce4004b83c6:infra0:http://127.0.0.1:24380,"
                        "http://localhost:24381]"
                        " [e7155fb474f94ed6:infra2:http://127.0.0.1:24580]");
    case_free(&one);
}

static void url_and_token_tell_clusters_apart(void **state)
{
    struct bootstrap_case one;
    struct bootstrap_case other;
    (void)state;
    case_load(&one, "--initial-cluster-token t");
    case_load(&other, "--initial-cluster-token u");
    (void)case_run(&one, &impatient);
    (void)case_run(&other, &impatient);
    assert_int_not_equal(one.out.member_id, other.out.member_id);
    assert_int_not_equal(one.out.cluster_id, other.out.cluster_id);
    assert_int_not_equal(one.out.member_id, one.out.cluster_id);
    case_free(&other);
    case_load(&other, "--initial-cluster-token t "
                      "--initial-advertise-peer-urls http://localhost:1");
    (void)case_run(&other, &impatient);
    assert_int_not_equal(one.out.member_id, other.out.member_id);
    case_free(&other);
    case_free(&one);
}

static void urls_are_joined(void **state)
{
    struct config_url urls[] = {
        {.text = "http://a:1"}, {.text = "unix:///b"}, {.text = "http://c:3"}};
    struct config_urls list = {.at = urls, .count = 3};
    (void)state;
    char *joined = bootstrap_join_urls(&list);
    assert_string_equal(joined, "http://a:1,unix:///b,http://c:3");
    mem_free(joined);
    list.count = 1;
    joined = bootstrap_join_urls(&list);
    assert_string_equal(joined, "http://a:1");
    mem_free(joined);
    list.count = 0;
    joined = bootstrap_join_urls(&list);
    assert_string_equal(joined, "");
    mem_free(joined);
}

/* ---- lists that are wrong ------------------------------------------------ */

static void a_list_without_this_member_is_refused(void **state)
{
    (void)state;
    expect("INVALID: couldn't find local name \"x\" in the initial cluster "
           "configuration; --name has to be one of the names in "
           "--initial-cluster",
           "--name x --initial-cluster y=http://127.0.0.1:1");
}

static void urls_that_differ_are_refused(void **state)
{
    (void)state;
    expect("INVALID: --initial-cluster has x=http://127.0.0.1:2 but missing "
           "from --initial-advertise-peer-urls=http://127.0.0.1:1",
           "--name x --initial-cluster x=http://127.0.0.1:2 "
           "--initial-advertise-peer-urls http://127.0.0.1:1");
    expect("INVALID: --initial-cluster has x=http://127.0.0.1:2 but missing "
           "from --initial-advertise-peer-urls=http://127.0.0.1:1",
           "--name x --initial-cluster "
           "x=http://127.0.0.1:1,x=http://127.0.0.1:2 "
           "--initial-advertise-peer-urls http://127.0.0.1:1");
    expect("INVALID: --initial-advertise-peer-urls has http://127.0.0.1:2 but "
           "missing from --initial-cluster=x=http://127.0.0.1:1",
           "--name x --initial-cluster x=http://127.0.0.1:1 "
           "--initial-advertise-peer-urls "
           "http://127.0.0.1:1,http://127.0.0.1:2");
}

/* As etcd does, hosts are looked up; the list's own words make the id. */
static void the_same_place_may_be_written_in_two_ways(void **state)
{
    struct bootstrap_case one;
    (void)state;
    case_load(&one, "--initial-cluster default=http://localhost:2380 "
                    "--initial-advertise-peer-urls HTTP://127.0.0.1:2380/");
    assert_string_equal(case_run(&one, &impatient),
                        "cluster=cdf818194e3a8c32 member=8e9e05c52164694d "
                        "[8e9e05c52164694d:default:http://localhost:2380]");
    case_free(&one);
}

static void a_url_twice_is_refused(void **state)
{
    (void)state;
    expect("EXISTS: initial cluster has duplicate url http://127.0.0.1:1 (of "
           "x and y); each member has its own",
           "--name x --initial-cluster "
           "x=http://127.0.0.1:1,y=http://127.0.0.1:1");
    expect("EXISTS: initial cluster has duplicate url http://127.0.0.1:1 (of "
           "x and x); each member has its own",
           "--name x --initial-cluster "
           "x=http://127.0.0.1:1,x=http://127.0.0.1:1");
}

/* ---- data that is there -------------------------------------------------- */

struct folder {
    char path[64];
    char wal[80];
    char identity[96];
    char segment[96];
};

static void folder_make(struct folder *folder, const char *identity)
{
    (void)snprintf(folder->path, sizeof(folder->path),
                   "/tmp/etched-bootstrap-XXXXXX");
    assert_non_null(mkdtemp(folder->path));
    (void)snprintf(folder->wal, sizeof(folder->wal), "%s/wal", folder->path);
    (void)snprintf(folder->identity, sizeof(folder->identity), "%s/identity",
                   folder->wal);
    (void)snprintf(folder->segment, sizeof(folder->segment), "%s/1-1.wal",
                   folder->wal);
    assert_int_equal(mkdir(folder->wal, 0700), 0);
    FILE *file = fopen(folder->identity, "w");
    assert_non_null(file);
    (void)fputs(identity, file);
    (void)fclose(file);
    file = fopen(folder->segment, "w");
    assert_non_null(file);
    (void)fclose(file);
}

static void folder_remove(struct folder *folder)
{
    (void)unlink(folder->identity);
    (void)unlink(folder->segment);
    (void)rmdir(folder->wal);
    (void)rmdir(folder->path);
}

#define IDENTITY "cluster 00000000000000ab\nmember ce2a822cea30bfca\n"

/* The list would be refused, and nobody answers: none of it matters. */
static void data_makes_the_flags_idle(void **state)
{
    struct folder folder;
    struct bootstrap_case one;
    (void)state;
    folder_make(&folder, IDENTITY);
    case_load(&one,
              "--data-dir %s --name x --initial-cluster y=http://a.invalid:1 "
              "--initial-cluster-state existing",
              folder.path);
    assert_true(bootstrap_has_data(&one.config));
    assert_string_equal(case_run(&one, &impatient),
                        "cluster=ab member=ce2a822cea30bfca");
    case_free(&one);
    case_load(&one, "--wal-dir %s --discovery http://127.0.0.1:1/x",
              folder.wal);
    assert_string_equal(case_run(&one, &impatient),
                        "cluster=ab member=ce2a822cea30bfca");
    case_free(&one);
    /* -f begins anew. */
    case_load(&one, "--data-dir %s -f", folder.path);
    assert_false(bootstrap_has_data(&one.config));
    assert_string_equal(case_run(&one, &impatient),
                        "cluster=cdf818194e3a8c32 member=8e9e05c52164694d "
                        "[8e9e05c52164694d:default:http://localhost:2380]");
    case_free(&one);
    folder_remove(&folder);
}

/* The members are told again where the flags make the same cluster: the start
 * before may not have come to write them down. */
static void members_are_told_again(void **state)
{
    struct folder folder;
    struct bootstrap_case one;
    (void)state;
    folder_make(&folder, "cluster e14d97732dadbe1e\nmember 2006f2ad47deea09\n");
    case_load(&one, SEED "--name infra0 --data-dir %s", folder.path);
    assert_string_equal(case_run(&one, &impatient),
                        "cluster=e14d97732dadbe1e "
                        "member=2006f2ad47deea09" SEED_MEMBERS);
    case_free(&one);
    folder_remove(&folder);
}

/* A start that ended before the log was made has left nothing that counts. */
static void an_identity_without_a_log_is_no_data(void **state)
{
    struct folder folder;
    struct bootstrap_case one;
    (void)state;
    folder_make(&folder, IDENTITY);
    assert_int_equal(unlink(folder.segment), 0);
    case_load(&one, "--data-dir %s", folder.path);
    assert_false(bootstrap_has_data(&one.config));
    assert_string_equal(case_run(&one, &impatient),
                        "cluster=cdf818194e3a8c32 member=8e9e05c52164694d "
                        "[8e9e05c52164694d:default:http://localhost:2380]");
    case_free(&one);
    folder_remove(&folder);
}

/* Nobody must be asked to take in a member that is one already. */
static void a_log_without_an_identity_is_damaged(void **state)
{
    static const char *const damaged[] = {
        "", "cluster 00000000000000ab\n", "cluster xyz\nmember 1\n",
        "cluster 00000000000000ab\nmember 0000000000000000\n"};
    struct folder folder;
    struct bootstrap_case one;
    (void)state;
    for (size_t i = 0; i < sizeof(damaged) / sizeof(damaged[0]); i++) {
        folder_make(&folder, damaged[i]);
        case_load(&one, "--data-dir %s -peers 127.0.0.1:1", folder.path);
        assert_true(bootstrap_has_data(&one.config));
        (void)case_run(&one, &impatient);
        assert_int_equal(one.err, ERR_CORRUPT);
        assert_non_null(strstr(one.result, folder.wal));
        case_free(&one);
        folder_remove(&folder);
    }
}

/* ---- for a proxy --------------------------------------------------------- */

static void a_proxy_is_told_all_peer_urls(void **state)
{
    struct bootstrap_case one;
    const char *urls = NULL;
    (void)state;
    case_load(&one, "--proxy on --name nobody --initial-cluster "
                    "a=http://a:1,b=http://b:1,a=http://a:2");
    assert_int_equal(bootstrap_proxy_urls(&one.config, &one.arena, &urls),
                     ERR_OK);
    assert_string_equal(urls, "http://a:1,http://b:1,http://a:2");
    case_free(&one);
    case_load(&one, "--proxy on -peers a:1,b:2");
    assert_int_equal(bootstrap_proxy_urls(&one.config, &one.arena, &urls),
                     ERR_OK);
    assert_string_equal(urls, "http://a:1,http://b:2");
    case_free(&one);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_default_members_of_etcd),
        cmocka_unit_test(the_seeds_cluster),
        cmocka_unit_test(a_member_with_several_urls),
        cmocka_unit_test(url_and_token_tell_clusters_apart),
        cmocka_unit_test(urls_are_joined),
        cmocka_unit_test(a_list_without_this_member_is_refused),
        cmocka_unit_test(urls_that_differ_are_refused),
        cmocka_unit_test(the_same_place_may_be_written_in_two_ways),
        cmocka_unit_test(a_url_twice_is_refused),
        cmocka_unit_test(data_makes_the_flags_idle),
        cmocka_unit_test(members_are_told_again),
        cmocka_unit_test(an_identity_without_a_log_is_no_data),
        cmocka_unit_test(a_log_without_an_identity_is_damaged),
        cmocka_unit_test(a_proxy_is_told_all_peer_urls),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
