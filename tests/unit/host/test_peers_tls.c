/* Members that speak TLS to each other: the same messages, the same ends; and
 * who isn't let in, from either side. */
#include "memory/kv_memory.h"
#include "tests/unit/host/peers_world.h"

#include "certificates.h"
#include "host/peers_tls.h"

/* ---- members with certificates ------------------------------------------- */

static struct tls_context *made[16];
static size_t made_count;

static struct tls_context *make_context(const struct tls_options *options)
{
    struct tls_context *context;
    enum err err = tls_context_new(options, &context);
    if (err != ERR_OK) {
        fail_msg("%s", err_note());
    }
    made[made_count++] = context;
    return context;
}

/* What the peer port of a member has. */
static struct tls_context *inside(const char *name, const char *ca)
{
    struct tls_options options = certificates_of(TLS_SERVER, name, ca);
    options.alpn = peers_tls_alpn;
    options.alpn_count = 2;
    return make_context(&options);
}

/* What a member shows others, and whom it trusts. */
static struct tls_context *outside(const char *name, const char *ca)
{
    struct tls_options options = certificates_of(TLS_CLIENT, name, ca);
    options.alpn = peers_tls_alpn;
    options.alpn_count = 1;
    return make_context(&options);
}

static struct member *make_secure(uint64_t id, struct tls_context *in,
                                  struct tls_context *out)
{
    struct member *member = world_make(id);
    member->tls_in = in;
    member->tls_out = out;
    (void)snprintf(member->url, sizeof(member->url), "https://127.0.0.1:%d",
                   member->port);
    return member;
}

/* Members 1 and 2, once their TLS is set. */
static void start_both(void)
{
    for (int i = 1; i <= 2; i++) {
        world_open(&world[i], 0);
    }
    world_know(&world[1], &world[2]);
    world_know(&world[2], &world[1]);
    world_start(&world[1]);
    world_start(&world[2]);
}

static void start_two_secure(void)
{
    (void)make_secure(1, inside("m1", "ca"), outside("m1", "ca"));
    (void)make_secure(2, inside("m2", "ca"), outside("m2", "ca"));
    start_both();
}

static int end(void **state)
{
    (void)world_end(state);
    while (made_count > 0) {
        tls_context_unref(made[--made_count]);
    }
    return 0;
}

/* Member 1 doesn't get through to member 2, and is told. */
static void expect_no_way(void)
{
    struct member *one = &world[1];
    struct member *two = &world[2];
    WAIT_UNTIL(one, one->node.unreachable[2] >= 2);
    assert_false(stat_of(one).connected);
    send_now(one, 2, "secret");
    rest(50);
    assert_int_equal(told(two, &two->node.received_count), 0);
}

/* ---- as without ---------------------------------------------------------- */

static void test_messages_go_both_ways(void **state)
{
    struct member *one = &world[1];
    struct member *two = &world[2];
    (void)state;
    start_two_secure();
    send_now(one, 2, "hello");
    WAIT_UNTIL(two, has_received(&two->node, "1:hello "));
    send_now(two, 1, "thanks");
    WAIT_UNTIL(one, has_received(&one->node, "2:thanks "));
    assert_int_equal(told(one, &one->node.lost[2]), 0);
    assert_int_equal(told(two, &two->node.lost[1]), 0);
}

/* Records are 16 KiB: frames that are smaller, larger, and many times that. */
static void test_many_messages_of_any_size_come_in_order(void **state)
{
    struct member *one = &world[1];
    struct member *two = &world[2];
    static const size_t sizes[] = {64,    100,    1000,    16380,  16384,
                                   16390, 300000, 3000000, 524288, 70};
    uint64_t total = 0;
    (void)state;
    start_two_secure();
    wait_connected(one, true);
    for (uint64_t i = 0; i < 300; i++) {
        size_t size = sizes[i % 10];
        send_number(one, 2, i, size);
        total += size;
        if (i % 3 == 0) {
            net_flush(one->net);
        }
        if (i % 10 == 9) {
            net_flush(one->net);
            WAIT_UNTIL(two, two->node.received_bytes + 16000000 > total);
        }
    }
    net_flush(one->net);
    WAIT_UNTIL(two, two->node.received_count == 300);
    assert_int_equal(two->node.received_bytes, total);
    assert_false(two->node.out_of_order);
    assert_int_equal(stat_of(one).dropped, 0);
    assert_int_equal(stat_of(one).sent_bytes,
                     total + 300 * PEER_FRAME_HEAD_BYTES);
    assert_int_equal(stat_of(two).received_bytes,
                     total + 300 * PEER_FRAME_HEAD_BYTES);
}

static void test_a_flush_wakes_nobody(void **state)
{
    struct member *one = &world[1];
    struct member *two = &world[2];
    (void)state;
    start_two_secure();
    wait_connected(one, true);
    wait_connected(two, true);
    uint64_t writes = stat_of(one).writes;
    uint64_t wakeups = peers_wakeups(one->peers);
    for (uint64_t i = 0; i < 500; i++) {
        for (uint64_t j = 0; j < 4; j++) {
            send_number(one, 2, 4 * i + j, 200);
        }
        net_flush(one->net);
        WAIT_UNTIL(two, two->node.received_count == 4 * (i + 1));
    }
    assert_int_equal(stat_of(one).writes - writes, 500);
    assert_int_equal(peers_wakeups(one->peers) - wakeups, 0);
    assert_false(two->node.out_of_order);
}

/* What the fail-over waits for. */
static void test_a_members_end_is_told_at_once(void **state)
{
    struct member *one = &world[1];
    struct member *two = &world[2];
    (void)state;
    start_two_secure();
    wait_connected(one, true);
    wait_connected(two, true);
    send_now(two, 1, "here");
    WAIT_UNTIL(one, has_received(&one->node, "2:here "));
    int64_t begin_ms = now_ms();
    world_stop(two);
    WAIT_UNTIL(one, one->node.lost[2] > 0);
    assert_in_range(now_ms() - begin_ms, 0, 2000);
    world_open(two, 0);
    world_know(two, one);
    world_start(two);
    wait_connected(one, true);
    send_now(one, 2, "back");
    WAIT_UNTIL(two, has_received(&two->node, "1:back "));
}

/* It takes nothing for a while: its queue waits, and all comes in order. */
static void test_a_slow_member_gets_all_of_it(void **state)
{
    struct member *one = &world[1];
    struct member *two = &world[2];
    (void)state;
    start_two_secure();
    wait_connected(one, true);
    pthread_mutex_lock(&two->node.mutex); /* its node takes nothing */
    for (uint64_t i = 0; i < 40; i++) {
        send_number(one, 2, i, 512 * 1024);
        net_flush(one->net);
    }
    rest(200);
    pthread_mutex_unlock(&two->node.mutex);
    WAIT_UNTIL(two, two->node.received_count == 40);
    assert_false(two->node.out_of_order);
    assert_int_equal(stat_of(one).dropped, 0);
}

static void *send_much(void *context)
{
    struct member *one = context;
    for (uint64_t i = 0; i < 2000; i++) {
        struct refbuf *message = refbuf_new(100 + i % 5000);
        memset(message->bytes, 'x', message->size);
        net_send(one->net, 2, message);
        net_flush(one->net);
    }
    return NULL;
}

/* For the thread sanitizer: the writer sends on what the peers thread opens,
 * reads from and closes. */
static void test_sending_while_connections_break(void **state)
{
    struct member *one = &world[1];
    struct member *two = &world[2];
    pthread_t writer;
    (void)state;
    start_two_secure();
    assert_int_equal(pthread_create(&writer, NULL, send_much, one), 0);
    for (int i = 0; i < 5; i++) {
        world_stop(two);
        world_open(two, 0);
        world_know(two, one);
        world_start(two);
        rest(10);
    }
    pthread_join(writer, NULL);
    wait_connected(one, true);
    send_now(one, 2, "whole");
    WAIT_UNTIL(two, two->node.received.size > 0);
    assert_true(has_received(&two->node, "1:whole "));
}

/* ---- whom a member doesn't speak to -------------------------------------- */

static void expect_server_refused(const char *name, const char *crl)
{
    struct tls_options options = certificates_of(TLS_CLIENT, "m1", "ca");
    options.alpn = peers_tls_alpn;
    options.alpn_count = 1;
    options.crl_file = crl;
    (void)make_secure(1, inside("m1", "ca"), make_context(&options));
    (void)make_secure(2, inside(name, "ca"), outside("m2", "ca"));
    start_both();
    expect_no_way();
}

static void test_another_authoritys_member_is_not_spoken_to(void **state)
{
    (void)state;
    expect_server_refused("stranger", NULL);
}

static void test_a_member_by_its_own_word_is_not_spoken_to(void **state)
{
    (void)state;
    expect_server_refused("self", NULL);
}

/* Its authority is right, but it is for another host than the URL's. */
static void test_another_hosts_certificate_is_not_spoken_to(void **state)
{
    (void)state;
    expect_server_refused("elsewhere", NULL);
}

static void test_an_expired_certificate_is_not_spoken_to(void **state)
{
    (void)state;
    expect_server_refused("expired", NULL);
}

static void test_a_revoked_certificate_is_not_spoken_to(void **state)
{
    (void)state;
    expect_server_refused("revoked", certificates_path("crl", ".pem"));
}

/* Nor is the port taken for plain where it is said to have TLS. */
static void test_a_plain_member_is_not_spoken_to(void **state)
{
    (void)state;
    (void)make_secure(1, inside("m1", "ca"), outside("m1", "ca"));
    (void)make_secure(2, NULL, outside("m2", "ca"));
    start_both();
    expect_no_way();
}

static void test_without_a_context_https_is_not_connected_to(void **state)
{
    (void)state;
    (void)make_secure(1, inside("m1", "ca"), NULL);
    (void)make_secure(2, inside("m2", "ca"), outside("m2", "ca"));
    start_both();
    expect_no_way();
}

/* ---- whom a member doesn't let in ---------------------------------------- */

/* Member 1, which shows `name`, doesn't get into member 2. */
static void expect_client_refused(const char *name,
                                  const struct tls_options *of_two)
{
    struct tls_options options = *of_two;
    options.alpn = peers_tls_alpn;
    options.alpn_count = 2;
    (void)make_secure(1, inside("m1", "ca"), outside(name, "ca"));
    (void)make_secure(2, make_context(&options), outside("m2", "ca"));
    start_both();
    expect_no_way();
}

static void test_who_shows_nothing_is_not_let_in(void **state)
{
    struct tls_options options = certificates_of(TLS_SERVER, "m2", "ca");
    (void)state;
    expect_client_refused(NULL, &options);
}

static void test_another_authoritys_member_is_not_let_in(void **state)
{
    struct tls_options options = certificates_of(TLS_SERVER, "m2", "ca");
    (void)state;
    expect_client_refused("stranger", &options);
}

static void test_an_expired_certificate_is_not_let_in(void **state)
{
    struct tls_options options = certificates_of(TLS_SERVER, "m2", "ca");
    (void)state;
    expect_client_refused("expired", &options);
}

static void test_a_revoked_certificate_is_not_let_in(void **state)
{
    struct tls_options options = certificates_of(TLS_SERVER, "m2", "ca");
    (void)state;
    options.crl_file = certificates_path("crl", ".pem");
    expect_client_refused("revoked", &options);
}

static const char *const allowed[] = {"m2", "m3"};

static void test_a_name_that_is_not_allowed_is_not_let_in(void **state)
{
    struct tls_options options = certificates_of(TLS_SERVER, "m2", "ca");
    (void)state;
    options.allowed_cn = allowed;
    options.allowed_cn_count = 2;
    expect_client_refused("m1", &options);
}

static void test_a_name_that_is_allowed_is_let_in(void **state)
{
    struct tls_options options = certificates_of(TLS_SERVER, "m2", "ca");
    struct member *two = &world[2];
    (void)state;
    options.alpn = peers_tls_alpn;
    options.alpn_count = 2;
    options.allowed_cn = allowed;
    options.allowed_cn_count = 2;
    options.crl_file = certificates_path("crl", ".pem");
    (void)make_secure(1, inside("m1", "ca"), outside("m3", "ca"));
    (void)make_secure(2, make_context(&options), outside("m2", "ca"));
    start_both();
    send_now(&world[1], 2, "hello");
    WAIT_UNTIL(two, has_received(&two->node, "1:hello "));
}

/* A member that thinks the other's port is plain. */
static void test_plain_messages_are_not_let_in(void **state)
{
    struct member *two =
        make_secure(2, inside("m2", "ca"), outside("m2", "ca"));
    struct member *one = world_make(1);
    char url[sizeof(two->url)];
    (void)state;
    (void)snprintf(url, sizeof(url), "http://127.0.0.1:%d", two->port);
    world_open(one, 0);
    world_open(two, 0);
    net_set_members(one->net,
                    &(struct net_member){.id = 2, .peer_urls = slice_str(url)},
                    1);
    world_start(one);
    world_start(two);
    expect_no_way();
}

/* ---- clients on the peer port -------------------------------------------- */

/* A handshake from here, which names `alpn` (NULL: nothing). */
static struct tls *shake_hands(int fd, const char *alpn)
{
    struct tls_options options = certificates_of(TLS_CLIENT, "client", "ca");
    options.alpn = &alpn;
    options.alpn_count = alpn != NULL ? 1 : 0;
    struct tls *tls = tls_new(make_context(&options), fd, "127.0.0.1");
    enum err err;
    while ((err = tls_handshake(tls)) == ERR_BUSY) {
        struct pollfd wanted = {.fd = fd, .events = tls_wants(tls)};
        assert_int_equal(poll(&wanted, 1, WORLD_WAIT_MS), 1);
    }
    assert_int_equal(err, ERR_OK);
    return tls;
}

static void put_over(struct tls *tls, const void *bytes, size_t size)
{
    struct iovec piece = {.iov_base = (void *)(uintptr_t)bytes,
                          .iov_len = size};
    assert_int_equal(tls_send(tls, &piece, 1), size);
}

static void expect_handed_on(const char *alpn, const char *request)
{
    struct member *one = &world[1];
    char bytes[128];
    size_t got = 0;
    int fd = dial(one);
    struct tls *tls = shake_hands(fd, alpn);
    put_over(tls, request, strlen(request));
    WAIT_UNTIL(one, one->node.http_tls != NULL);
    while (got < strlen(request)) {
        ssize_t size =
            tls_recv(one->node.http_tls, bytes + got, sizeof(bytes) - got);
        got += size > 0 ? (size_t)size : 0;
    }
    assert_int_equal(got, strlen(request)); /* nothing was read of it */
    assert_memory_equal(bytes, request, got);
    tls_free(tls);
    close(fd);
}

static void start_one_secure(void)
{
    struct member *one =
        make_secure(1, inside("m1", "ca"), outside("m1", "ca"));
    world_open(one, 0);
    world_start(one);
}

static void test_a_client_of_http_is_handed_on(void **state)
{
    (void)state;
    start_one_secure();
    expect_handed_on("http/1.1", "GET /members HTTP/1.1\r\n\r\n");
}

/* It is what it names, not what it then says. */
static void test_who_names_nothing_is_a_client(void **state)
{
    (void)state;
    start_one_secure();
    expect_handed_on(NULL, PEER_PREFACE);
}

/* A greeting in pieces, each in a record of its own, all sent at once: the
 * socket tells of them only once. */
static void test_a_greeting_may_come_in_many_records(void **state)
{
    struct member *one = &world[1];
    struct peer_greeting greeting = greeting_from(7, 1);
    struct buf out = {0};
    (void)state;
    start_one_secure();
    peer_greeting_encode(&greeting, &out);
    int fd = dial(one);
    struct tls *tls = shake_hands(fd, PEERS_ALPN);
    for (size_t i = 0; i < out.size; i++) {
        put_over(tls, out.at + i, 1);
    }
    WAIT_UNTIL(one, peers__find(one->peers, 7) != NULL);
    buf_deinit(&out);
    tls_free(tls);
    close(fd);
    WAIT_UNTIL(one, one->node.lost[7] == 1);
}

static void test_who_names_a_member_must_begin_as_one(void **state)
{
    struct member *one = &world[1];
    char byte;
    (void)state;
    start_one_secure();
    int fd = dial(one);
    struct tls *tls = shake_hands(fd, PEERS_ALPN);
    put_over(tls, "GET /members HTTP/1.1\r\n\r\n", 25);
    ssize_t size;
    do {
        size = tls_recv(tls, &byte, 1);
    } while (size < 0 && errno == EAGAIN);
    assert_true(size <= 0);
    assert_null(one->node.http_tls);
    tls_free(tls);
    close(fd);
}

/* TLS on a port that is plain: let go, not answered as HTTP. */
static void test_tls_on_a_plain_port_is_let_go(void **state)
{
    struct member *one = world_make(1);
    static const char hello[] = {0x16, 3, 1, 0, 100, 1};
    (void)state;
    world_open(one, 0);
    world_start(one);
    int fd = dial(one);
    put_bytes(fd, hello, sizeof(hello));
    assert_true(is_closed(fd));
    assert_int_equal(one->node.http_fd, -1);
    close(fd);
}

/* ---- snapshots ----------------------------------------------------------- */

enum { PAIRS = 100, VALUE_BYTES = 30 * 1000 };

static void open_store(struct member *member)
{
    member->node.kv = kv_memory_new();
    assert_int_equal(snap_set_open(member->node.kv, &member->node.set), ERR_OK);
}

static void fill(struct member *member)
{
    struct kv *kv = snap_set_kv(member->node.set);
    char *value = mem_alloc(VALUE_BYTES);
    struct kv_txn *txn;
    char key[16];
    memset(value, 'v', VALUE_BYTES);
    assert_int_equal(kv->ops->begin_write(kv, &txn), ERR_OK);
    for (int i = 0; i < PAIRS; i++) {
        (void)snprintf(key, sizeof(key), "%06d", i);
        assert_int_equal(kv->ops->append(kv, txn, 1, slice_str(key),
                                         slice_of(value, VALUE_BYTES)),
                         ERR_OK);
    }
    assert_int_equal(kv->ops->commit(kv, txn), ERR_OK);
    mem_free(value);
    member->node.header = (struct snap_header){.cluster_id = WORLD_CLUSTER,
                                               .from = member->id,
                                               .id = 77,
                                               .term = 3,
                                               .index = 1234,
                                               .log_term = 2};
}

static bool holds_last(struct member *member)
{
    struct kv *kv = snap_set_kv(member->node.set);
    struct kv_txn *txn;
    struct slice got = {0};
    char key[16];
    (void)snprintf(key, sizeof(key), "%06d", PAIRS - 1);
    assert_int_equal(kv->ops->begin_read(kv, &txn), ERR_OK);
    bool found = kv->ops->get(kv, txn, 1, slice_str(key), &got) == ERR_OK &&
                 got.size == VALUE_BYTES;
    kv->ops->end_read(kv, txn);
    return found;
}

static void test_a_store_is_brought_over(void **state)
{
    struct member *one =
        make_secure(1, inside("m1", "ca"), outside("m1", "ca"));
    struct member *two =
        make_secure(2, inside("m2", "ca"), outside("m2", "ca"));
    struct snap_set *set[3];
    struct kv *kv[3];
    (void)state;
    world_open(one, 0);
    world_open(two, 0);
    open_store(one);
    open_store(two);
    fill(one);
    world_know(one, two);
    world_know(two, one);
    world_start(one);
    world_start(two);
    wait_connected(one, true);
    net_snapshot(one->net, 2);
    WAIT_UNTIL(one, one->node.sent_well == 1);
    assert_int_equal(told(two, &two->node.arrived), 1);
    assert_true(holds_last(two));
    assert_int_equal(told(one, &one->node.lost[2]), 0);
    for (int i = 1; i <= 2; i++) {
        set[i] = world[i].node.set;
        kv[i] = world[i].node.kv;
        world_stop(&world[i]);
        snap_set_close(set[i]);
        kv_memory_free(kv[i]);
    }
}

static int begin(void **state)
{
    (void)state;
    memset(world, 0, sizeof(world));
    return 0;
}

#define STORY(name) cmocka_unit_test_setup_teardown(name, begin, end)

int main(void)
{
    const struct CMUnitTest tests[] = {
        STORY(test_messages_go_both_ways),
        STORY(test_many_messages_of_any_size_come_in_order),
        STORY(test_a_flush_wakes_nobody),
        STORY(test_a_members_end_is_told_at_once),
        STORY(test_a_slow_member_gets_all_of_it),
        STORY(test_sending_while_connections_break),
        STORY(test_another_authoritys_member_is_not_spoken_to),
        STORY(test_a_member_by_its_own_word_is_not_spoken_to),
        STORY(test_another_hosts_certificate_is_not_spoken_to),
        STORY(test_an_expired_certificate_is_not_spoken_to),
        STORY(test_a_revoked_certificate_is_not_spoken_to),
        STORY(test_a_plain_member_is_not_spoken_to),
        STORY(test_without_a_context_https_is_not_connected_to),
        STORY(test_who_shows_nothing_is_not_let_in),
        STORY(test_another_authoritys_member_is_not_let_in),
        STORY(test_an_expired_certificate_is_not_let_in),
        STORY(test_a_revoked_certificate_is_not_let_in),
        STORY(test_a_name_that_is_not_allowed_is_not_let_in),
        STORY(test_a_name_that_is_allowed_is_let_in),
        STORY(test_plain_messages_are_not_let_in),
        STORY(test_a_client_of_http_is_handed_on),
        STORY(test_who_names_nothing_is_a_client),
        STORY(test_a_greeting_may_come_in_many_records),
        STORY(test_who_names_a_member_must_begin_as_one),
        STORY(test_tls_on_a_plain_port_is_let_go),
        STORY(test_a_store_is_brought_over),
    };
    return cmocka_run_group_tests(tests, certificates_make,
                                  certificates_remove);
}
