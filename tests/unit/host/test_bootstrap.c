/* The ids of a new member and its cluster, as etcd computes them. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "host/bootstrap.h"

enum { URLS_MAX = 4 };

static void ids_of(const char *const *texts, size_t count, const char *token,
                   struct bootstrap *out)
{
    struct config_url urls[URLS_MAX] = {{0}};
    struct config config = {.initial_cluster_token = token};
    assert_true(count <= URLS_MAX);
    for (size_t i = 0; i < count; i++) {
        urls[i].text = texts[i];
    }
    config.initial_advertise_peer_urls =
        (struct config_urls){.at = urls, .count = count};
    bootstrap_ids(&config, out);
}

/* What `etcd` says when it is started without any flag, 3.x. */
static void the_default_member_of_3_x(void **state)
{
    const char *const urls[] = {"http://localhost:2380"};
    struct bootstrap ids;
    (void)state;
    ids_of(urls, 1, "etcd-cluster", &ids);
    assert_int_equal(ids.member_id, UINT64_C(0x8e9e05c52164694d));
    assert_int_equal(ids.cluster_id, UINT64_C(0xcdf818194e3a8c32));
}

/* And 2.x, which listens on two ports. */
static void the_default_member_of_2_x(void **state)
{
    const char *const urls[] = {"http://localhost:2380",
                                "http://localhost:7001"};
    struct bootstrap ids;
    (void)state;
    ids_of(urls, 2, "etcd-cluster", &ids);
    assert_int_equal(ids.member_id, UINT64_C(0xce2a822cea30bfca));
    assert_int_equal(ids.cluster_id, UINT64_C(0x7e27652122e8b2ae));
}

static void the_order_of_urls_is_no_matter(void **state)
{
    const char *const one[] = {"http://b:1", "http://a:1", "http://c:1"};
    const char *const other[] = {"http://c:1", "http://b:1", "http://a:1"};
    struct bootstrap first;
    struct bootstrap second;
    (void)state;
    ids_of(one, 3, "t", &first);
    ids_of(other, 3, "t", &second);
    assert_int_equal(first.member_id, second.member_id);
    assert_int_equal(first.cluster_id, second.cluster_id);
}

static void url_and_token_tell_members_apart(void **state)
{
    const char *const here[] = {"http://a:1"};
    const char *const there[] = {"http://a:2"};
    struct bootstrap first;
    struct bootstrap second;
    (void)state;
    ids_of(here, 1, "t", &first);
    ids_of(there, 1, "t", &second);
    assert_int_not_equal(first.member_id, second.member_id);
    assert_int_not_equal(first.cluster_id, second.cluster_id);
    ids_of(here, 1, "u", &second);
    assert_int_not_equal(first.member_id, second.member_id);
    assert_int_not_equal(first.cluster_id, second.cluster_id);
    ids_of(here, 1, "t", &second);
    assert_int_equal(first.member_id, second.member_id);
    assert_int_not_equal(first.member_id, first.cluster_id);
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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_default_member_of_3_x),
        cmocka_unit_test(the_default_member_of_2_x),
        cmocka_unit_test(the_order_of_urls_is_no_matter),
        cmocka_unit_test(url_and_token_tell_members_apart),
        cmocka_unit_test(urls_are_joined),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
