/* The proxy between real sockets: members that are small servers of the
 * test's, clients that speak HTTP by hand. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <arpa/inet.h>
#include <poll.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "bootstrap_case.h"
#include "host/proxy_int.h"
#include "stub_http.h"

enum { WAIT_MS = 10000, LARGE_BYTES = 8 * 1024 * 1024, CLUSTER_MAX = 3 };

/* ---- a member ------------------------------------------------------------ */

struct cluster;

/* Its peer port and its client port are one here. */
struct member {
    struct stub_http stub;
    struct cluster *cluster;
    _Atomic int served; /* requests of clients */
    _Atomic int events; /* of a watch that may be sent */
    _Atomic bool left;  /* the proxy has ended the watch's connection */
    struct stub_request last;
    pthread_mutex_t lock;
};

struct cluster {
    struct member members[CLUSTER_MAX];
    int count;
    char listed[1024]; /* what /members says; "": an error */
    pthread_mutex_t lock;
};

static void pause_ms(int ms)
{
    (void)poll(NULL, 0, ms);
}

static void write_text(int fd, const char *text)
{
    (void)!send(fd, text, strlen(text), MSG_NOSIGNAL);
}

/* Sends an event whenever the test allows one; sees when nobody listens any
 * more. */
static void stream_watch(void *context, int fd)
{
    struct member *member = context;
    int sent = 0;
    write_text(fd, "HTTP/1.1 200 OK\r\nX-Etcd-Index: 7\r\n"
                   "Transfer-Encoding: chunked\r\n\r\n");
    for (int i = 0; i < WAIT_MS / 10; i++) {
        char byte;
        if (recv(fd, &byte, 1, MSG_DONTWAIT) == 0) {
            member->left = true;
            return;
        }
        if (sent < member->events) {
            write_text(fd, "6\r\nevent\n\r\n");
            sent++;
        }
        if (member->events == 100) {
            write_text(fd, "0\r\n\r\n");
            return;
        }
        pause_ms(10);
    }
}

static void stream_large(void *context, int fd)
{
    char piece[4096];
    (void)context;
    (void)snprintf(piece, sizeof(piece),
                   "HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n",
                   LARGE_BYTES);
    write_text(fd, piece);
    memset(piece, 'x', sizeof(piece));
    for (size_t i = 0; i < LARGE_BYTES / sizeof(piece); i++) {
        size_t sent = 0;
        while (sent < sizeof(piece)) {
            ssize_t size =
                send(fd, piece + sent, sizeof(piece) - sent, MSG_NOSIGNAL);
            if (size <= 0) {
                return;
            }
            sent += (size_t)size;
        }
    }
}

static void stream_broken(void *context, int fd)
{
    (void)context;
    write_text(fd, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
                   "4\r\nhalf\r\n");
}

static void stream_late(void *context, int fd)
{
    (void)context;
    pause_ms(1000);
    write_text(fd, "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nlate");
}

static void list_members(struct member *member, struct stub_reply *reply)
{
    pthread_mutex_lock(&member->cluster->lock);
    reply->status = member->cluster->listed[0] ? 200 : 500;
    buf_append_str(&reply->body, member->cluster->listed);
    pthread_mutex_unlock(&member->cluster->lock);
}

static void answer(void *context, const struct stub_request *request,
                   struct stub_reply *reply)
{
    struct member *member = context;
    if (strcmp(request->target, "/members") == 0) {
        list_members(member, reply);
        return;
    }
    member->served++;
    pthread_mutex_lock(&member->lock);
    member->last = *request;
    pthread_mutex_unlock(&member->lock);
    if (strstr(request->target, "wait=true")) {
        reply->stream = stream_watch;
    } else if (strstr(request->target, "large")) {
        reply->stream = stream_large;
    } else if (strstr(request->target, "broken")) {
        reply->stream = stream_broken;
    } else if (strstr(request->target, "late")) {
        reply->stream = stream_late;
    } else if (strstr(request->target, "drop")) {
        reply->status = 0;
    } else {
        reply->status = 201;
        (void)snprintf(reply->head, sizeof(reply->head),
                       "Content-Type: text/x\r\nX-Etcd-Index:  5\r\n"
                       "Connection: keep-alive\r\nX-Empty:\r\n");
        buf_printf(&reply->body, "member %d",
                   (int)(member - member->cluster->members));
    }
}

/* All its members, as the cluster lists them. */
static void list_all(struct cluster *cluster, int count)
{
    struct buf list = {0};
    for (int i = 0; i < count; i++) {
        const char *url = cluster->members[i].stub.url;
        buf_printf(&list,
                   "%s{\"id\":%d,\"peerURLs\":[\"%s\"],\"clientURLs\":[\"%s\","
                   "\"unix://a\"]}",
                   i ? "," : "[", i + 1, url, url);
    }
    buf_append_str(&list, count ? "]" : "");
    pthread_mutex_lock(&cluster->lock);
    (void)snprintf(cluster->listed, sizeof(cluster->listed), "%.*s",
                   (int)list.size, list.size ? list.at : "");
    pthread_mutex_unlock(&cluster->lock);
    buf_deinit(&list);
}

/* ---- the world ----------------------------------------------------------- */

struct world {
    struct cluster cluster;
    struct bootstrap_case one;
    struct proxy *proxy;
    pthread_t thread;
    int port;
};

static void *serve(void *context)
{
    struct world *world = context;
    proxy__serve(world->proxy);
    return NULL;
}

static void world_start(struct world *world, int members, const char *flags)
{
    char peers[256] = "";
    memset(world, 0, sizeof(*world));
    pthread_mutex_init(&world->cluster.lock, NULL);
    world->cluster.count = members;
    for (int i = 0; i < members; i++) {
        struct member *member = &world->cluster.members[i];
        size_t size = strlen(peers);
        member->cluster = &world->cluster;
        pthread_mutex_init(&member->lock, NULL);
        stub_http_start(&member->stub, answer, member);
        (void)snprintf(peers + size, sizeof(peers) - size, "%s%s", i ? "," : "",
                       member->stub.url);
    }
    list_all(&world->cluster, members);
    case_load(&world->one, "--listen-client-urls http://127.0.0.1:0 %s", flags);
    assert_int_equal(proxy__open(&world->one.config, peers, &world->proxy),
                     ERR_OK);
    world->port = world->proxy->listeners[0].port;
    assert_int_equal(pthread_create(&world->thread, NULL, serve, world), 0);
}

static void world_stop(struct world *world)
{
    proxy__stop(world->proxy);
    pthread_join(world->thread, NULL);
    proxy__close(world->proxy);
    for (int i = 0; i < world->cluster.count; i++) {
        stub_http_stop(&world->cluster.members[i].stub);
        pthread_mutex_destroy(&world->cluster.members[i].lock);
    }
    pthread_mutex_destroy(&world->cluster.lock);
    case_free(&world->one);
}

/* ---- a client ------------------------------------------------------------ */

static int dial(const struct world *world)
{
    struct sockaddr_in to = {.sin_family = AF_INET,
                             .sin_port = htons((uint16_t)world->port)};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    assert_int_equal(connect(fd, (struct sockaddr *)&to, sizeof(to)), 0);
    return fd;
}

/* Reads until `wanted` has come, or the end. True: it has. */
static bool read_until(int fd, const char *wanted, char *text, size_t text_max)
{
    size_t size = strlen(text);
    while (!strstr(text, wanted)) {
        struct pollfd poll_fd = {.fd = fd, .events = POLLIN};
        if (size + 1 >= text_max || poll(&poll_fd, 1, WAIT_MS) <= 0) {
            return false;
        }
        ssize_t got = recv(fd, text + size, text_max - 1 - size, 0);
        if (got <= 0) {
            return false;
        }
        size += (size_t)got;
        text[size] = '\0';
    }
    return true;
}

/* One request on a connection of its own; the whole answer. */
static const char *talk(const struct world *world, const char *request)
{
    static char text[8192];
    int fd = dial(world);
    text[0] = '\0';
    write_text(fd, request);
    (void)read_until(fd, "\1", text, sizeof(text));
    close(fd);
    return text;
}

#define CLOSE "Host: localhost\r\nConnection: close\r\n\r\n"

/* The proxy asks who is there when it starts: until it knows, it has no
 * endpoint. */
static void wait_for_endpoints(const struct world *world, const char *wanted)
{
    const char *text = "";
    for (int i = 0; i < WAIT_MS / 20; i++) {
        text = talk(world, "GET /v2/config/local/proxy HTTP/1.1\r\n" CLOSE);
        if (strstr(text, wanted)) {
            return;
        }
        pause_ms(20);
    }
    print_error("got %s\nwanted %s\n", text, wanted);
    fail();
}

static void wait_for_members(struct world *world, int count)
{
    for (int i = 0; i < count; i++) {
        wait_for_endpoints(world, world->cluster.members[i].stub.url);
    }
}

static void expect_in(const char *text, const char *wanted)
{
    if (!strstr(text, wanted)) {
        print_error("got %s\nwanted %s\n", text, wanted);
        fail();
    }
}

/* ---- handing on ---------------------------------------------------------- */

static void a_request_and_its_answer_pass(void **state)
{
    struct world world;
    (void)state;
    world_start(&world, 1, "--proxy on");
    wait_for_members(&world, 1);
    const char *text =
        talk(&world, "PUT /v2/keys/a%20b?ttl=5&x HTTP/1.1\r\n"
                     "Content-Type: application/x-www-form-"
                     "urlencoded\r\nX-Forwarded-For: 10.0.0.1\r\n"
                     "X-None:\r\nContent-Length: 7\r\n"
                     "TE: trailers\r\n" CLOSE "value=1");
    expect_in(text, "HTTP/1.1 201 ");
    expect_in(text, "Content-Type: text/x\r\n");
    expect_in(text, "X-Etcd-Index: 5\r\n");
    expect_in(text, "X-Empty: \r\n");
    expect_in(text, "Content-Length: 8\r\n");
    expect_in(text, "\r\n\r\nmember 0");
    const struct stub_request *last = &world.cluster.members[0].last;
    assert_string_equal(last->method, "PUT");
    assert_string_equal(last->target, "/v2/keys/a%20b?ttl=5&x");
    assert_string_equal(last->body, "value=1");
    expect_in(last->head, "\r\nX-Forwarded-For: 10.0.0.1, 127.0.0.1");
    expect_in(last->head, "\r\nX-None:");
    expect_in(last->head, "Content-Type: application/x-www-form-urlencoded");
    assert_null(strstr(last->head, "TE: "));
    assert_null(strstr(last->head, "Expect"));
    assert_null(strstr(last->head, "Accept"));
    world_stop(&world);
}

static void every_method_passes(void **state)
{
    static const char *const methods[] = {"GET",    "HEAD",    "PUT",  "POST",
                                          "DELETE", "OPTIONS", "PATCH"};
    struct world world;
    (void)state;
    world_start(&world, 1, "--proxy on");
    wait_for_members(&world, 1);
    for (size_t i = 0; i < sizeof(methods) / sizeof(methods[0]); i++) {
        char request[128];
        (void)snprintf(request, sizeof(request),
                       "%s /v2/keys HTTP/1.1\r\n" CLOSE, methods[i]);
        const char *text = talk(&world, request);
        expect_in(text, "HTTP/1.1 201 ");
        assert_string_equal(world.cluster.members[0].last.method, methods[i]);
        bool has_body = strstr(text, "member 0") != NULL;
        assert_int_equal(has_body, strcmp(methods[i], "HEAD") != 0);
    }
    world_stop(&world);
}

static void a_connection_serves_many_requests(void **state)
{
    struct world world;
    char text[8192] = "";
    (void)state;
    world_start(&world, 1, "--proxy on");
    wait_for_members(&world, 1);
    int fd = dial(&world);
    /* Pipelined: the second waits for the first one's answer. */
    write_text(
        fd, "GET /1 HTTP/1.1\r\nHost: localhost\r\n\r\n"
            "GET /2 HTTP/1.1\r\nHost: localhost\r\n\r\n"
            "GET /v2/config/local/proxy HTTP/1.1\r\nHost: localhost\r\n\r\n"
            "GET /3 HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
    assert_false(read_until(fd, "\1", text, sizeof(text)));
    close(fd);
    int answers = 0;
    for (const char *at = text; (at = strstr(at, "member 0")) != NULL; at++) {
        answers++;
    }
    assert_int_equal(answers, 3);
    expect_in(text, "{\"endpoints\":[");
    assert_string_equal(world.cluster.members[0].last.target, "/3");
    world_stop(&world);
}

static void a_proxy_for_reading_only_refuses_writes(void **state)
{
    struct world world;
    (void)state;
    world_start(&world, 1, "--proxy readonly");
    wait_for_members(&world, 1);
    expect_in(talk(&world, "GET /a HTTP/1.1\r\n" CLOSE), "member 0");
    expect_in(talk(&world, "HEAD /a HTTP/1.1\r\n" CLOSE), "HTTP/1.1 201 ");
    expect_in(
        talk(&world, "PUT /a HTTP/1.1\r\nContent-Length: 1\r\n" CLOSE "x"),
        "HTTP/1.1 501 ");
    expect_in(talk(&world, "DELETE /a HTTP/1.1\r\n" CLOSE), "HTTP/1.1 501 ");
    assert_int_equal(world.cluster.members[0].served, 2);
    world_stop(&world);
}

/* ---- endpoints ----------------------------------------------------------- */

static void endpoints_are_shown(void **state)
{
    struct world world;
    char wanted[256];
    (void)state;
    world_start(&world, 1, "--proxy on");
    wait_for_members(&world, 1);
    (void)snprintf(wanted, sizeof(wanted), "\r\n\r\n{\"endpoints\":[\"%s\"]}\n",
                   world.cluster.members[0].stub.url);
    wait_for_endpoints(&world, wanted);
    const char *text =
        talk(&world, "POST /v2/config/local/proxy HTTP/1.1\r\n" CLOSE);
    expect_in(text, "HTTP/1.1 405 ");
    expect_in(text, "Allow: GET\r\n");
    world_stop(&world);
}

static void without_endpoints_it_says_so(void **state)
{
    struct world world;
    (void)state;
    world_start(&world, 0, "--proxy on");
    const char *text = talk(&world, "GET /v2/keys HTTP/1.1\r\n" CLOSE);
    expect_in(text, "HTTP/1.1 503 ");
    expect_in(text, "Content-Type: application/json\r\n");
    expect_in(text, "{\"message\":\"proxy: zero endpoints currently "
                    "available\"}");
    world_stop(&world);
}

/* It asks again each second until somebody knows, then as it was told. */
static void endpoints_are_asked_for_again(void **state)
{
    struct world world;
    (void)state;
    world_start(&world, 2, "--proxy on --proxy-refresh-interval 50");
    wait_for_members(&world, 2);
    list_all(&world.cluster, 1);
    char wanted[128];
    (void)snprintf(wanted, sizeof(wanted), "{\"endpoints\":[\"%s\"]}",
                   world.cluster.members[0].stub.url);
    wait_for_endpoints(&world, wanted);
    /* Nobody tells any more: what was known stays. */
    list_all(&world.cluster, 0);
    pause_ms(150);
    wait_for_endpoints(&world, wanted);
    world_stop(&world);
}

static void requests_go_to_all_in_turn(void **state)
{
    struct world world;
    (void)state;
    world_start(&world, 3, "--proxy on");
    wait_for_members(&world, 3);
    for (int i = 0; i < 9; i++) {
        expect_in(talk(&world, "GET /a HTTP/1.1\r\n" CLOSE), "member ");
    }
    for (int i = 0; i < 3; i++) {
        assert_int_equal(world.cluster.members[i].served, 3);
    }
    world_stop(&world);
}

static void one_that_is_gone_is_put_aside(void **state)
{
    struct world world;
    (void)state;
    world_start(&world, 2, "--proxy on --proxy-failure-wait 1000");
    wait_for_members(&world, 2);
    char gone[64];
    memcpy(gone, world.cluster.members[0].stub.url, sizeof(gone));
    stub_http_stop(&world.cluster.members[0].stub);
    /* Writes too: no connection was made, so nothing can have been done. */
    for (int i = 0; i < 4; i++) {
        expect_in(talk(&world, "PUT /a HTTP/1.1\r\nContent-Length: 7\r\n" CLOSE
                               "value=1"),
                  "member 1");
        expect_in(talk(&world, "DELETE /a HTTP/1.1\r\n" CLOSE), "member 1");
    }
    const char *text =
        talk(&world, "GET /v2/config/local/proxy HTTP/1.1\r\n" CLOSE);
    assert_null(strstr(text, gone));
    wait_for_endpoints(&world, gone); /* after a second */
    stub_http_start(&world.cluster.members[0].stub, answer,
                    &world.cluster.members[0]);
    world_stop(&world);
}

static void when_all_are_gone_it_says_so(void **state)
{
    struct world world;
    (void)state;
    world_start(&world, 2, "--proxy on");
    wait_for_members(&world, 2);
    for (int i = 0; i < 2; i++) {
        stub_http_stop(&world.cluster.members[i].stub);
    }
    const char *text = talk(&world, "GET /v2/keys HTTP/1.1\r\n" CLOSE);
    expect_in(text, "HTTP/1.1 502 ");
    expect_in(text, "{\"message\":\"proxy: unable to get response from 2 "
                    "endpoint(s)\"}");
    expect_in(talk(&world, "GET /v2/keys HTTP/1.1\r\n" CLOSE), "HTTP/1.1 503 ");
    for (int i = 0; i < 2; i++) {
        stub_http_start(&world.cluster.members[i].stub, answer,
                        &world.cluster.members[i]);
    }
    world_stop(&world);
}

/* A member that takes a write and dies may have done it. */
static void a_write_is_never_sent_twice(void **state)
{
    static const char *const writes[] = {
        "PUT /drop HTTP/1.1\r\nContent-Length: 7\r\n" CLOSE "value=1",
        "DELETE /drop HTTP/1.1\r\n" CLOSE, "POST /drop HTTP/1.1\r\n" CLOSE};
    struct world world;
    (void)state;
    world_start(&world, 2, "--proxy on --proxy-failure-wait 0");
    wait_for_members(&world, 2);
    for (size_t i = 0; i < 3; i++) {
        /* So that there are connections that were kept. */
        for (int j = 0; j < 4; j++) {
            expect_in(talk(&world, "GET /a HTTP/1.1\r\n" CLOSE), "member ");
        }
        int before =
            world.cluster.members[0].served + world.cluster.members[1].served;
        expect_in(talk(&world, writes[i]), "HTTP/1.1 502 ");
        int after =
            world.cluster.members[0].served + world.cluster.members[1].served;
        assert_int_equal(after - before, 1);
    }
    world_stop(&world);
}

static void a_read_is_tried_at_the_next_one(void **state)
{
    struct world world;
    (void)state;
    world_start(&world, 2, "--proxy on --proxy-failure-wait 0");
    wait_for_members(&world, 2);
    expect_in(talk(&world, "GET /drop HTTP/1.1\r\n" CLOSE), "HTTP/1.1 502 ");
    assert_true(world.cluster.members[0].served > 0);
    assert_true(world.cluster.members[1].served > 0);
    world_stop(&world);
}

/* ---- in pieces ----------------------------------------------------------- */

static void a_watch_passes_as_it_happens(void **state)
{
    struct world world;
    char text[1024] = "";
    (void)state;
    world_start(&world, 1, "--proxy on");
    wait_for_members(&world, 1);
    int fd = dial(&world);
    write_text(fd,
               "GET /v2/keys/a?wait=true HTTP/1.1\r\nHost: localhost\r\n\r\n");
    /* The head comes before there is any event. */
    assert_true(read_until(fd, "\r\n\r\n", text, sizeof(text)));
    expect_in(text, "X-Etcd-Index: 7\r\n");
    assert_null(strstr(text, "event"));
    world.cluster.members[0].events = 1;
    assert_true(read_until(fd, "event\n", text, sizeof(text)));
    world.cluster.members[0].events = 2;
    assert_true(read_until(fd, "event\n\r\n6\r\nevent\n", text, sizeof(text)));
    world.cluster.members[0].events = 100;
    assert_true(read_until(fd, "\r\n0\r\n\r\n", text, sizeof(text)));
    close(fd);
    world_stop(&world);
}

static void a_client_that_leaves_ends_the_watch(void **state)
{
    struct world world;
    char text[1024] = "";
    (void)state;
    world_start(&world, 1, "--proxy on");
    wait_for_members(&world, 1);
    int fd = dial(&world);
    write_text(fd,
               "GET /v2/keys/a?wait=true HTTP/1.1\r\nHost: localhost\r\n\r\n");
    assert_true(read_until(fd, "\r\n\r\n", text, sizeof(text)));
    close(fd);
    for (int i = 0; i < WAIT_MS / 10 && !world.cluster.members[0].left; i++) {
        pause_ms(10);
    }
    assert_true(world.cluster.members[0].left);
    world_stop(&world);
}

/* The proxy stops while a watch runs: nothing is left behind. */
static void a_watch_ends_with_the_proxy(void **state)
{
    struct world world;
    char text[1024] = "";
    (void)state;
    world_start(&world, 1, "--proxy on");
    wait_for_members(&world, 1);
    int fd = dial(&world);
    write_text(fd,
               "GET /v2/keys/a?wait=true HTTP/1.1\r\nHost: localhost\r\n\r\n");
    assert_true(read_until(fd, "\r\n\r\n", text, sizeof(text)));
    world_stop(&world);
    close(fd);
}

static void a_large_answer_waits_for_a_slow_client(void **state)
{
    struct world world;
    char *text = mem_alloc(64 * 1024);
    size_t total = 0;
    size_t head = 0;
    (void)state;
    world_start(&world, 1, "--proxy on");
    wait_for_members(&world, 1);
    int fd = dial(&world);
    write_text(fd, "GET /large HTTP/1.0\r\n\r\n");
    pause_ms(300);
    for (;;) {
        ssize_t got = recv(fd, text, 64 * 1024 - 1, 0);
        if (got <= 0) {
            break;
        }
        if (total == 0) {
            text[got] = '\0';
            char *end = strstr(text, "\r\n\r\n");
            assert_non_null(end);
            head = (size_t)(end + 4 - text);
        }
        total += (size_t)got;
    }
    assert_int_equal(total - head, LARGE_BYTES);
    close(fd);
    mem_free(text);
    world_stop(&world);
}

/* What breaks off in the middle is seen to: there is no proper end. */
static void an_answer_that_breaks_off_is_seen_to(void **state)
{
    struct world world;
    (void)state;
    world_start(&world, 1, "--proxy on");
    wait_for_members(&world, 1);
    const char *text =
        talk(&world, "GET /broken HTTP/1.1\r\nHost: localhost\r\n\r\n");
    expect_in(text, "4\r\nhalf\r\n");
    assert_null(strstr(text, "\r\n0\r\n\r\n"));
    world_stop(&world);
}

/* ---- time ---------------------------------------------------------------- */

static void a_member_that_is_too_late_is_given_up(void **state)
{
    struct world world;
    (void)state;
    world_start(&world, 1, "--proxy on --proxy-read-timeout 200");
    wait_for_members(&world, 1);
    expect_in(
        talk(&world, "POST /late HTTP/1.1\r\nContent-Length: 1\r\n" CLOSE "x"),
        "HTTP/1.1 502 ");
    world_stop(&world);
    world_start(&world, 1, "--proxy on");
    wait_for_members(&world, 1);
    expect_in(talk(&world, "GET /late HTTP/1.1\r\n" CLOSE), "late");
    world_stop(&world);
}

static void a_port_that_is_taken_is_told(void **state)
{
    struct world world;
    struct bootstrap_case other;
    struct proxy *proxy = NULL;
    (void)state;
    world_start(&world, 0, "--proxy on");
    case_load(&other, "--proxy on --listen-client-urls http://127.0.0.1:%d",
              world.port);
    assert_int_equal(proxy__open(&other.config, "", &proxy), ERR_BUSY);
    assert_null(proxy);
    case_free(&other);
    world_stop(&world);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_request_and_its_answer_pass),
        cmocka_unit_test(every_method_passes),
        cmocka_unit_test(a_connection_serves_many_requests),
        cmocka_unit_test(a_proxy_for_reading_only_refuses_writes),
        cmocka_unit_test(endpoints_are_shown),
        cmocka_unit_test(without_endpoints_it_says_so),
        cmocka_unit_test(endpoints_are_asked_for_again),
        cmocka_unit_test(requests_go_to_all_in_turn),
        cmocka_unit_test(one_that_is_gone_is_put_aside),
        cmocka_unit_test(when_all_are_gone_it_says_so),
        cmocka_unit_test(a_write_is_never_sent_twice),
        cmocka_unit_test(a_read_is_tried_at_the_next_one),
        cmocka_unit_test(a_watch_passes_as_it_happens),
        cmocka_unit_test(a_client_that_leaves_ends_the_watch),
        cmocka_unit_test(a_watch_ends_with_the_proxy),
        cmocka_unit_test(a_large_answer_waits_for_a_slow_client),
        cmocka_unit_test(an_answer_that_breaks_off_is_seen_to),
        cmocka_unit_test(a_member_that_is_too_late_is_given_up),
        cmocka_unit_test(a_port_that_is_taken_is_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
