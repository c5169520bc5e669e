#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <arpa/inet.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "host/limits.h"

static const int64_t second_ns = 1000LL * 1000 * 1000;

static struct limits *limits_of(uint64_t connections, uint64_t requests,
                                uint64_t bytes)
{
    const struct limits_config config = {
        .connections_max = connections,
        .requests_per_second = requests,
        .bytes_max = bytes,
        .seed = 1,
    };
    return limits_new(&config);
}

static bool enter(struct limits *limits, const char *address, int64_t now_ns,
                  struct limits_client **out)
{
    struct sockaddr_in ip4 = {.sin_family = AF_INET};
    struct sockaddr_in6 ip6 = {.sin6_family = AF_INET6};
    if (inet_pton(AF_INET, address, &ip4.sin_addr) == 1) {
        return limits_enter(limits, (struct sockaddr *)&ip4, now_ns, out);
    }
    assert_int_equal(inet_pton(AF_INET6, address, &ip6.sin6_addr), 1);
    return limits_enter(limits, (struct sockaddr *)&ip6, now_ns, out);
}

/* How many of `count` requests get in. */
static int ask(struct limits *limits, const char *peer, int count,
               int64_t now_ns)
{
    int in = 0;
    enum limits_kind why;
    uint64_t retry_s;
    for (int i = 0; i < count; i++) {
        in +=
            limits_request(limits, slice_str(peer), 0, now_ns, &why, &retry_s);
    }
    return in;
}

static void without_limits_there_is_nothing(void **state)
{
    struct limits_client *client;
    struct buf out = {0};
    (void)state;
    assert_null(limits_of(0, 0, 0));
    assert_true(enter(NULL, "10.0.0.1", 0, &client));
    assert_null(client);
    limits_hold(client, 100);
    limits_leave(NULL, client, 0);
    limits_metrics(NULL, 3, &out);
    buf_append_char(&out, '\0');
    assert_non_null(strstr(out.at, "{limit=\"watchers\"} 3\n"));
    assert_non_null(strstr(out.at, "{limit=\"connections\"} 0\n"));
    assert_non_null(strstr(out.at, "etched_clients 0\n"));
    buf_deinit(&out);
}

static void one_address_has_so_many_connections(void **state)
{
    struct limits *limits = limits_of(2, 0, 0);
    struct limits_client *first;
    struct limits_client *second;
    struct limits_client *other;
    struct limits_client *more;
    (void)state;
    assert_true(enter(limits, "10.0.0.1", 0, &first));
    assert_true(enter(limits, "10.0.0.1", 0, &second));
    assert_ptr_equal(first, second);
    assert_false(enter(limits, "10.0.0.1", 0, &more));
    assert_null(more);
    assert_int_equal(limits_met(limits, LIMITS_CONNECTIONS), 1);
    assert_true(enter(limits, "10.0.0.2", 0, &other));
    limits_leave(limits, second, 0);
    assert_true(enter(limits, "10.0.0.1", 0, &second));
    limits_leave(limits, first, 0);
    limits_leave(limits, second, 0);
    limits_leave(limits, other, 0);
    limits_free(limits);
}

/* A customer has 2^64 of them. An IPv4 address has one name here. */
static void addresses_of_one_network_are_one_client(void **state)
{
    struct limits *limits = limits_of(1, 0, 0);
    struct limits_client *client;
    struct limits_client *more;
    (void)state;
    assert_true(enter(limits, "2001:db8:1:1::1", 0, &client));
    assert_false(enter(limits, "2001:db8:1:1:ffff::9", 0, &more));
    limits_leave(limits, client, 0);
    assert_true(enter(limits, "2001:db8:1:1::1", 0, &client));
    assert_true(enter(limits, "2001:db8:1:2::1", 0, &more));
    limits_leave(limits, more, 0);
    limits_leave(limits, client, 0);
    assert_true(enter(limits, "10.1.2.3", 0, &client));
    assert_false(enter(limits, "::ffff:10.1.2.3", 0, &more));
    limits_leave(limits, client, 0);
    limits_free(limits);
}

static void a_unix_socket_has_no_limits(void **state)
{
    struct limits *limits = limits_of(1, 1, 1);
    struct sockaddr address = {.sa_family = AF_UNIX};
    struct limits_client *client;
    (void)state;
    for (int i = 0; i < 3; i++) {
        assert_true(limits_enter(limits, &address, 0, &client));
        assert_null(client);
    }
    assert_int_equal(ask(limits, "", 10, 0), 10);
    limits_free(limits);
}

static void requests_come_at_a_rate(void **state)
{
    struct limits *limits = limits_of(0, 10, 0);
    struct limits_client *client;
    enum limits_kind why;
    uint64_t retry_s = 0;
    int64_t now_ns = 5 * second_ns;
    (void)state;
    assert_true(enter(limits, "127.0.0.1", now_ns, &client));
    assert_int_equal(ask(limits, "127.0.0.1:4711", 25, now_ns), 10);
    assert_false(limits_request(limits, SLICE("127.0.0.1:4712"), 0, now_ns,
                                &why, &retry_s));
    assert_int_equal(why, LIMITS_REQUESTS);
    assert_int_equal(retry_s, 1);
    assert_int_equal(limits_met(limits, LIMITS_REQUESTS), 16);
    assert_int_equal(ask(limits, "127.0.0.2:1", 3, now_ns), 3);
    /* A tenth of a second later there is room for one, and so on. */
    assert_int_equal(ask(limits, "127.0.0.1:4711", 5, now_ns + second_ns / 10),
                     1);
    assert_int_equal(ask(limits, "127.0.0.1:4711", 50, now_ns + 9 * second_ns),
                     10);
    limits_leave(limits, client, now_ns);
    limits_free(limits);
}

/* Who comes back under another port finds the bucket as it was left. */
static void coming_back_gains_nothing(void **state)
{
    struct limits *limits = limits_of(0, 10, 0);
    struct limits_client *client;
    (void)state;
    assert_true(enter(limits, "10.0.0.1", second_ns, &client));
    assert_int_equal(ask(limits, "10.0.0.1:1", 20, second_ns), 10);
    limits_leave(limits, client, second_ns);
    assert_true(enter(limits, "10.0.0.1", second_ns, &client));
    assert_int_equal(ask(limits, "10.0.0.1:2", 20, second_ns), 0);
    limits_leave(limits, client, second_ns);
    assert_int_equal(limits_clients(limits), 1);
    /* And is forgotten when it is full again. */
    assert_true(enter(limits, "10.0.0.2", 3 * second_ns, &client));
    assert_int_equal(limits_clients(limits), 1);
    limits_leave(limits, client, 3 * second_ns);
    limits_free(limits);
}

static void bytes_wait_for_answers(void **state)
{
    struct limits *limits = limits_of(0, 0, 1000);
    struct limits_client *client;
    enum limits_kind why = LIMITS_REQUESTS;
    uint64_t retry_s;
    struct slice peer = SLICE("[2001:db8::1]:80");
    (void)state;
    assert_true(enter(limits, "2001:db8::1", 0, &client));
    /* A single one that is larger than all that it may have gets in. */
    assert_true(limits_request(limits, peer, 5000, 0, &why, &retry_s));
    limits_hold(client, 1000);
    assert_true(limits_request(limits, peer, 100, 0, &why, &retry_s));
    limits_hold(client, 1);
    assert_false(limits_request(limits, peer, 100, 0, &why, &retry_s));
    assert_int_equal(why, LIMITS_BYTES);
    assert_int_equal(limits_met(limits, LIMITS_BYTES), 1);
    /* Its own body has come by now, and was counted. */
    assert_true(limits_request(limits, peer, 1001, 0, &why, &retry_s));
    limits_hold(client, -1001);
    assert_true(limits_request(limits, peer, 100, 0, &why, &retry_s));
    limits_leave(limits, client, 0);
    limits_free(limits);
}

static void the_table_is_bounded(void **state)
{
    struct limits *limits = limits_of(0, 1, 0);
    char address[32];
    char peer[40];
    (void)state;
    for (int i = 0; i < LIMITS_IDLE_CLIENTS_MAX + 500; i++) {
        struct limits_client *client;
        snprintf(address, sizeof(address), "10.%d.%d.%d", i >> 16 & 255,
                 i >> 8 & 255, i & 255);
        snprintf(peer, sizeof(peer), "%s:1", address);
        assert_true(enter(limits, address, 0, &client));
        assert_int_equal(ask(limits, peer, 1, 0), 1);
        limits_leave(limits, client, 0);
        assert_true(limits_clients(limits) <= LIMITS_IDLE_CLIENTS_MAX + 1);
    }
    assert_int_equal(limits_clients(limits), LIMITS_IDLE_CLIENTS_MAX);
    limits_free(limits);
}

/* ---- by many threads ----------------------------------------------------- */

static void *come_and_go(void *context)
{
    struct limits *limits = context;
    for (int i = 0; i < 2000; i++) {
        struct limits_client *client;
        char address[32];
        snprintf(address, sizeof(address), "10.0.0.%d", i % 7);
        if (enter(limits, address, i, &client)) {
            limits_hold(client, 10);
            (void)ask(limits, "10.0.0.3:1", 1, i);
            limits_hold(client, -10);
            limits_leave(limits, client, i);
        }
    }
    return NULL;
}

static void threads_share_it(void **state)
{
    struct limits *limits = limits_of(3, 1000, 1000);
    pthread_t threads[4];
    (void)state;
    for (int i = 0; i < 4; i++) {
        assert_int_equal(pthread_create(&threads[i], NULL, come_and_go, limits),
                         0);
    }
    for (int i = 0; i < 4; i++) {
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    }
    struct limits_client *clients[3];
    for (int i = 0; i < 3; i++) {
        assert_true(enter(limits, "10.0.0.3", 0, &clients[i]));
    }
    for (int i = 0; i < 3; i++) {
        limits_leave(limits, clients[i], 0);
    }
    limits_free(limits);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(without_limits_there_is_nothing),
        cmocka_unit_test(one_address_has_so_many_connections),
        cmocka_unit_test(addresses_of_one_network_are_one_client),
        cmocka_unit_test(a_unix_socket_has_no_limits),
        cmocka_unit_test(requests_come_at_a_rate),
        cmocka_unit_test(coming_back_gains_nothing),
        cmocka_unit_test(bytes_wait_for_answers),
        cmocka_unit_test(the_table_is_bounded),
        cmocka_unit_test(threads_share_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
