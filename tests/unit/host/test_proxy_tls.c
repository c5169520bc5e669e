/* The proxy over TLS, with members and with clients; and the holes that the
 * gateways of others had (TOB-ETCD: the audit of 2020). */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <arpa/inet.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "bootstrap_case.h"
#include "certificates.h"
#include "host/proxy_int.h"
#include "stub_http.h"

enum { WAIT_MS = 10000 };

/* ---- members ------------------------------------------------------------- */

struct member {
    struct stub_http stub;
    char listed[512]; /* what it says of the cluster */
    _Atomic int asked;
    _Atomic int served;
    _Atomic bool is_marked; /* the last request: by a proxy */
};

static void answer(void *context, const struct stub_request *request,
                   struct stub_reply *reply)
{
    struct member *member = context;
    if (strcmp(request->target, "/members") == 0) {
        member->asked++;
        buf_append_str(&reply->body, member->listed);
    } else {
        member->served++;
        member->is_marked =
            strstr(request->head, "\r\n" HTTP_PASSED ": ") != NULL;
        buf_append_str(&reply->body, "from the member");
    }
}

static struct tls_context *make_context(const char *name)
{
    struct tls_options options = certificates_of(TLS_SERVER, name, "ca");
    struct tls_context *context;
    assert_int_equal(tls_context_new(&options, &context), ERR_OK);
    return context;
}

/* `name`: of its certificate; NULL: it is plain. It lists itself, and no other.
 */
static void member_start(struct member *member, const char *name)
{
    struct tls_context *context = name != NULL ? make_context(name) : NULL;
    memset(member, 0, sizeof(*member));
    stub_http_start_tls(&member->stub, answer, member, context);
    (void)snprintf(member->listed, sizeof(member->listed),
                   "[{\"id\":1,\"peerURLs\":[\"%s\"],\"clientURLs\":[\"%s\"]}]",
                   member->stub.url, member->stub.url);
    tls_context_unref(context);
}

/* It says that the clients' places are there. */
static void member_lists(struct member *member, const char *urls)
{
    (void)snprintf(member->listed, sizeof(member->listed),
                   "[{\"id\":1,\"peerURLs\":[\"%s\"],\"clientURLs\":[%s]}]",
                   member->stub.url, urls);
}

/* ---- the proxy ----------------------------------------------------------- */

struct world {
    struct bootstrap_case one;
    struct proxy *proxy;
    pthread_t thread;
    int port;
};

static void *serve(void *context)
{
    proxy__serve(((struct world *)context)->proxy);
    return NULL;
}

static void world_open(struct world *world, const char *peers, const char *more)
{
    case_load(&world->one,
              "--proxy on --listen-client-urls http://127.0.0.1:0 "
              "--peer-trusted-ca-file %s --peer-cert-file %s --peer-key-file "
              "%s --proxy-refresh-interval 100 %s",
              certificates_path("ca", ".pem"), certificates_path("m4", ".pem"),
              certificates_path("m4", ".key"), more);
    assert_int_equal(proxy__open(&world->one.config, peers, &world->proxy),
                     ERR_OK);
    world->port = world->proxy->listeners[0].port;
}

static void world_run(struct world *world)
{
    assert_int_equal(pthread_create(&world->thread, NULL, serve, world), 0);
}

static void world_start(struct world *world, const struct member *member)
{
    world_open(world, member->stub.url, "");
    world_run(world);
}

static void world_stop(struct world *world)
{
    proxy__stop(world->proxy);
    pthread_join(world->thread, NULL);
    proxy__close(world->proxy);
    case_free(&world->one);
}

/* ---- a client ------------------------------------------------------------ */

static int dial(int port)
{
    struct sockaddr_in to = {.sin_family = AF_INET,
                             .sin_port = htons((uint16_t)port)};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct timeval patience = {.tv_sec = 10};
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    assert_int_equal(connect(fd, (struct sockaddr *)&to, sizeof(to)), 0);
    (void)setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
    return fd;
}

/* The status of a request of its own; 0: none came. */
static int get(int port, const char *path)
{
    char text[4096];
    size_t size = 0;
    ssize_t got;
    int fd = dial(port);
    int number = snprintf(text, sizeof(text),
                          "GET %s HTTP/1.1\r\nHost: localhost\r\n"
                          "Connection: close\r\n\r\n",
                          path);
    assert_int_equal(send(fd, text, (size_t)number, MSG_NOSIGNAL), number);
    while ((got = recv(fd, text + size, sizeof(text) - 1 - size, 0)) > 0) {
        size += (size_t)got;
    }
    close(fd);
    text[size] = '\0';
    return strncmp(text, "HTTP/1.1 ", 9) == 0 ? (int)strtol(text + 9, NULL, 10)
                                              : 0;
}

static void wait_for_status(const struct world *world, int wanted)
{
    int status = 0;
    for (int i = 0; i < WAIT_MS / 20 && status != wanted; i++) {
        status = get(world->port, "/v2/keys/a");
        (void)poll(NULL, 0, status != wanted ? 20 : 0);
    }
    assert_int_equal(status, wanted);
}

/* ---- with members -------------------------------------------------------- */

static void a_request_goes_on_over_tls(void **state)
{
    struct member member;
    struct world world;
    (void)state;
    member_start(&member, "m1");
    world_start(&world, &member);
    wait_for_status(&world, 200);
    assert_true(member.served > 0);
    world_stop(&world);
    stub_http_stop(&member.stub);
}

/* CVE-2018-16886: a proxy shows a certificate of its own, and behind it is
 * anybody. Its requests are marked, and a member that sees the mark doesn't
 * take the certificate's name for the client's. */
static void a_proxys_certificate_is_not_its_clients(void **state)
{
    struct member member;
    struct world world;
    struct http_header marked = {SLICE("x-etched-proxies"), SLICE("1f")};
    struct http_request request = {.headers = &marked, .header_count = 0};
    (void)state;
    member_start(&member, "m1");
    world_start(&world, &member);
    wait_for_status(&world, 200);
    assert_true(member.is_marked);
    assert_true(
        slice_eq(http_certificate(&request, SLICE("root")), SLICE("root")));
    request.header_count = 1;
    assert_int_equal(http_certificate(&request, SLICE("root")).size, 0);
    world_stop(&world);
    stub_http_stop(&member.stub);
}

/* TOB-ETCD-001, GHSA-j86v-2vjr-fg8f: that somebody answers isn't enough. */
static void a_probe_looks_at_the_identity(void **state)
{
    static const char *const names[] = {"stranger", "self", "elsewhere",
                                        "expired"};
    (void)state;
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        struct member member;
        struct world world;
        member_start(&member, names[i]);
        world_start(&world, &member);
        (void)poll(NULL, 0, 300);
        assert_int_equal(get(world.port, "/v2/keys/a"), 503);
        assert_int_equal(member.asked, 0);
        assert_int_equal(member.served, 0);
        world_stop(&world);
        stub_http_stop(&member.stub);
    }
}

/* TOB-ETCD-004, CVE-2020-15136: an endpoint is held to the same whether it was
 * named by a flag, by DNS, or by a member, here one that is honest itself. */
static void endpoints_of_every_source_are_looked_at(void **state)
{
    struct member member;
    struct member other;
    struct world world;
    char urls[80];
    (void)state;
    member_start(&member, "m1");
    member_start(&other, "stranger");
    (void)snprintf(urls, sizeof(urls), "\"%s\"", other.stub.url);
    member_lists(&member, urls);
    world_start(&world, &member);
    wait_for_status(&world, 502);
    assert_int_equal(other.served, 0);
    assert_int_equal(other.stub.handshakes, 0);
    world_stop(&world);
    stub_http_stop(&member.stub);
    stub_http_stop(&other.stub);
}

/* TOB-ETCD-005, GHSA-h8g9-6gvh-5mrc: it was good when it was asked who is
 * there; what counts is the connection that a request goes on. */
static void identity_is_looked_at_on_the_connection_in_use(void **state)
{
    struct member member;
    struct member port;
    struct world world;
    char urls[80];
    (void)state;
    member_start(&member, "m1");
    member_start(&port, "m2");
    (void)snprintf(urls, sizeof(urls), "\"%s\"", port.stub.url);
    member_lists(&member, urls);
    world_open(&world, member.stub.url, "--proxy-failure-wait 100");
    world_run(&world);
    wait_for_status(&world, 200);
    /* The port changes hands: connections end, the next is with another. */
    struct tls_context *other = make_context("stranger");
    stub_http_change_tls(&port.stub, other);
    tls_context_unref(other);
    for (int i = 0; i < port.stub.count; i++) {
        (void)shutdown(port.stub.fds[i], SHUT_RDWR);
    }
    wait_for_status(&world, 502);
    int served = port.served;
    (void)poll(NULL, 0, 300);
    (void)get(world.port, "/v2/keys/a");
    assert_int_equal(port.served, served);
    world_stop(&world);
    stub_http_stop(&member.stub);
    stub_http_stop(&port.stub);
}

/* ---- itself -------------------------------------------------------------- */

/* TOB-ETCD-002, CVE-2020-15114: a cluster that tells clients the proxy's own
 * address. A request comes round once, and is answered. */
static void it_does_not_take_itself_for_an_endpoint(void **state)
{
    struct member member;
    struct world world;
    char urls[80];
    (void)state;
    member_start(&member, NULL);
    world_open(&world, member.stub.url, "");
    (void)snprintf(urls, sizeof(urls), "\"http://127.0.0.1:%d\"", world.port);
    member_lists(&member, urls);
    world_run(&world);
    wait_for_status(&world, 502);
    /* It is left out now. */
    assert_int_equal(get(world.port, "/v2/keys/a"), 503);
    world_stop(&world);
    stub_http_stop(&member.stub);
}

/* The others serve on. */
static void itself_among_others_costs_nothing(void **state)
{
    struct member member;
    struct world world;
    char urls[160];
    (void)state;
    member_start(&member, NULL);
    world_open(&world, member.stub.url, "");
    (void)snprintf(urls, sizeof(urls), "\"http://127.0.0.1:%d\",\"%s\"",
                   world.port, member.stub.url);
    member_lists(&member, urls);
    world_run(&world);
    wait_for_status(&world, 200);
    for (int i = 0; i < 10; i++) {
        assert_int_equal(get(world.port, "/v2/keys/a"), 200);
    }
    world_stop(&world);
    stub_http_stop(&member.stub);
}

/* Two that name each other. */
static void two_proxies_do_not_go_round(void **state)
{
    struct member members[2];
    struct world worlds[2];
    char urls[80];
    (void)state;
    for (int i = 0; i < 2; i++) {
        member_start(&members[i], NULL);
        world_open(&worlds[i], members[i].stub.url, "");
    }
    for (int i = 0; i < 2; i++) {
        (void)snprintf(urls, sizeof(urls), "\"http://127.0.0.1:%d\"",
                       worlds[1 - i].port);
        member_lists(&members[i], urls);
    }
    world_run(&worlds[0]);
    world_run(&worlds[1]);
    wait_for_status(&worlds[0], 502);
    assert_int_equal(members[0].served + members[1].served, 0);
    for (int i = 0; i < 2; i++) {
        world_stop(&worlds[i]);
        stub_http_stop(&members[i].stub);
    }
}

/* ---- with clients -------------------------------------------------------- */

static struct tls *shake_hands(int fd, const char *name,
                               struct tls_context **context)
{
    struct tls_options options = certificates_of(TLS_CLIENT, name, "ca");
    assert_int_equal(tls_context_new(&options, context), ERR_OK);
    struct tls *tls = tls_new(*context, fd, "127.0.0.1");
    assert_int_equal(tls_handshake(tls), ERR_OK);
    return tls;
}

/* What comes back; "": the connection ended. */
static void ask_over(struct tls *tls, char *text, size_t text_max)
{
    static const char request[] = "GET /v2/config/local/proxy HTTP/1.1\r\n"
                                  "Host: localhost\r\n"
                                  "Connection: close\r\n\r\n";
    struct iovec piece = {.iov_base = (void *)(uintptr_t)request,
                          .iov_len = sizeof(request) - 1};
    ssize_t got;
    size_t size = 0;
    (void)tls_send(tls, &piece, 1);
    while ((got = tls_recv(tls, text + size, text_max - 1 - size)) > 0) {
        size += (size_t)got;
    }
    text[size] = '\0';
}

static void expect_served(const struct world *world, const char *name,
                          bool wanted)
{
    char text[1024];
    struct tls_context *context;
    int fd = dial(world->port);
    struct tls *tls = shake_hands(fd, name, &context);
    ask_over(tls, text, sizeof(text));
    assert_int_equal(strstr(text, "HTTP/1.1 200 OK") != NULL, wanted);
    tls_free(tls);
    tls_context_unref(context);
    close(fd);
}

/* Its port is as any other: https is TLS, and clients need a certificate where
 * an authority is named. */
static void its_own_port_may_have_tls(void **state)
{
    struct member member;
    struct world world;
    (void)state;
    member_start(&member, NULL);
    case_load(&world.one,
              "--proxy on --listen-client-urls https://127.0.0.1:0 "
              "--cert-file %s --key-file %s --trusted-ca-file %s "
              "--client-cert-auth",
              certificates_path("m1", ".pem"), certificates_path("m1", ".key"),
              certificates_path("ca", ".pem"));
    assert_int_equal(
        proxy__open(&world.one.config, member.stub.url, &world.proxy), ERR_OK);
    world.port = world.proxy->listeners[0].port;
    world_run(&world);
    expect_served(&world, "client", true);
    expect_served(&world, "stranger", false);
    assert_int_equal(get(world.port, "/v2/config/local/proxy"), 0);
    world_stop(&world);
    stub_http_stop(&member.stub);
}

static void a_port_with_tls_needs_a_certificate(void **state)
{
    struct bootstrap_case one;
    struct proxy *proxy;
    (void)state;
    case_load(&one, "--proxy on --auto-tls --listen-client-urls "
                    "https://127.0.0.1:0");
    assert_int_equal(proxy__open(&one.config, "http://127.0.0.1:1", &proxy),
                     ERR_UNSUPPORTED);
    case_free(&one);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_request_goes_on_over_tls),
        cmocka_unit_test(a_proxys_certificate_is_not_its_clients),
        cmocka_unit_test(a_probe_looks_at_the_identity),
        cmocka_unit_test(endpoints_of_every_source_are_looked_at),
        cmocka_unit_test(identity_is_looked_at_on_the_connection_in_use),
        cmocka_unit_test(it_does_not_take_itself_for_an_endpoint),
        cmocka_unit_test(itself_among_others_costs_nothing),
        cmocka_unit_test(two_proxies_do_not_go_round),
        cmocka_unit_test(its_own_port_may_have_tls),
        cmocka_unit_test(a_port_with_tls_needs_a_certificate),
    };
    return cmocka_run_group_tests(tests, certificates_make,
                                  certificates_remove);
}
