/* SRV records from a small DNS server of the test's, and clusters found by
 * them. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <arpa/inet.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#include "bootstrap_case.h"
#include "host/dns_srv.h"

enum {
    PACKET_MAX = 1024,
    HEADER_BYTES = 12,
    RECORDS_MAX = 8,
    NAME_ERROR = 3,
    REFUSED = 5,
};

struct srv {
    unsigned priority, weight, port;
    const char *target;
};

struct server {
    int fd;
    int stop[2];
    struct sockaddr_in address;
    pthread_t thread;
    pthread_mutex_t lock;
    struct srv records[RECORDS_MAX];
    int count;
    int code;      /* of the answer */
    int cut;       /* so many bytes are missing at its end */
    bool silent;   /* no answer at all */
    bool alias;    /* a CNAME stands before them */
    bool with_tls; /* they are those of members with TLS */
    char asked[256];
};

/* ---- the server ---------------------------------------------------------- */

static size_t put16(unsigned char *to, unsigned value)
{
    to[0] = (unsigned char)(value >> 8);
    to[1] = (unsigned char)value;
    return 2;
}

static size_t put_name(unsigned char *to, const char *name)
{
    size_t size = 0;
    while (*name) {
        size_t part = strcspn(name, ".");
        to[size++] = (unsigned char)part;
        memcpy(to + size, name, part);
        size += part;
        name += part;
        name += *name == '.';
    }
    to[size++] = 0;
    return size;
}

/* Name (that of the question), type, class, time, size. */
static size_t put_record_head(unsigned char *to, unsigned type, size_t size)
{
    size_t at = put16(to, 0xc000 | HEADER_BYTES);
    at += put16(to + at, type);
    at += put16(to + at, 1);
    at += put16(to + at, 0);
    at += put16(to + at, 60);
    return at + put16(to + at, (unsigned)size);
}

static size_t put_record(unsigned char *to, const struct srv *record)
{
    unsigned char data[300];
    size_t size = put16(data, record->priority);
    size += put16(data + size, record->weight);
    size += put16(data + size, record->port);
    size += put_name(data + size, record->target);
    size_t at = put_record_head(to, 33, size);
    memcpy(to + at, data, size);
    return at + size;
}

/* The question's name as text; returns where it ends. */
static size_t read_question(const unsigned char *packet, char *out)
{
    size_t at = HEADER_BYTES;
    while (packet[at]) {
        memcpy(out, packet + at + 1, packet[at]);
        out += packet[at];
        *out++ = '.';
        at += packet[at] + 1U;
    }
    *out = '\0';
    return at + 1 + 4;
}

static size_t make_answer(struct server *server, unsigned char *packet)
{
    size_t size = read_question(packet, server->asked);
    bool is_for_tls = strstr(server->asked, "-ssl") != NULL;
    int count = is_for_tls == server->with_tls ? server->count : 0;
    packet[2] |= 0x84;
    packet[3] = (unsigned char)server->code;
    put16(packet + 6, (unsigned)(count + server->alias));
    put16(packet + 8, 0);
    put16(packet + 10, 0);
    if (server->alias) {
        unsigned char data[64];
        size_t part = put_name(data, "alias.example");
        size += put_record_head(packet + size, 5, part);
        memcpy(packet + size, data, part);
        size += part;
    }
    for (int i = 0; i < count; i++) {
        size += put_record(packet + size, &server->records[i]);
    }
    return size - (size_t)server->cut;
}

static void *serve(void *context)
{
    struct server *server = context;
    for (;;) {
        unsigned char packet[PACKET_MAX];
        struct sockaddr_in from;
        socklen_t length = sizeof(from);
        struct pollfd fds[2] = {{.fd = server->fd, .events = POLLIN},
                                {.fd = server->stop[0], .events = POLLIN}};
        if (poll(fds, 2, 10000) <= 0 || fds[1].revents) {
            return NULL;
        }
        ssize_t got = recvfrom(server->fd, packet, sizeof(packet), 0,
                               (struct sockaddr *)&from, &length);
        pthread_mutex_lock(&server->lock);
        if (got > HEADER_BYTES && !server->silent) {
            size_t size = make_answer(server, packet);
            (void)sendto(server->fd, packet, size, 0, (struct sockaddr *)&from,
                         length);
        }
        pthread_mutex_unlock(&server->lock);
    }
}

static void server_start(struct server *server, const struct srv *records,
                         size_t count)
{
    socklen_t size = sizeof(server->address);
    memset(server, 0, sizeof(*server));
    pthread_mutex_init(&server->lock, NULL);
    assert_true(count <= RECORDS_MAX);
    memcpy(server->records, records, count * sizeof(*records));
    server->count = (int)count;
    server->fd = socket(AF_INET, SOCK_DGRAM, 0);
    server->address.sin_family = AF_INET;
    server->address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    assert_int_equal(
        bind(server->fd, (struct sockaddr *)&server->address, size), 0);
    assert_int_equal(
        getsockname(server->fd, (struct sockaddr *)&server->address, &size), 0);
    assert_int_equal(pipe(server->stop), 0);
    assert_int_equal(pthread_create(&server->thread, NULL, serve, server), 0);
}

static void server_stop(struct server *server)
{
    assert_int_equal(write(server->stop[1], "x", 1), 1);
    pthread_join(server->thread, NULL);
    close(server->fd);
    close(server->stop[0]);
    close(server->stop[1]);
    pthread_mutex_destroy(&server->lock);
}

/* Its thread reads and writes the same. */
#define SET(server, field, value)             \
    do {                                      \
        pthread_mutex_lock(&(server).lock);   \
        (server).field = (value);             \
        pthread_mutex_unlock(&(server).lock); \
    } while (0)

static void expect_asked(struct server *server, const char *wanted)
{
    pthread_mutex_lock(&server->lock);
    assert_string_equal(server->asked, wanted);
    pthread_mutex_unlock(&server->lock);
}

/* ---- records ------------------------------------------------------------- */

static const struct srv three[] = {{10, 1, 2380, "b.example.com"},
                                   {10, 5, 2381, "c.example.com"},
                                   {1, 0, 2382, "a.example.com"}};

static void expect(struct server *server, enum err wanted, const char *note)
{
    struct arena arena;
    struct dns_srv_record *records;
    size_t count;
    arena_init(&arena, 0);
    assert_int_equal(dns_srv_lookup("_x._tcp.example.com", &server->address,
                                    &arena, &records, &count),
                     wanted);
    assert_string_equal(err_note(), note);
    arena_deinit(&arena);
}

static void records_come_in_order(void **state)
{
    struct server server;
    struct arena arena;
    struct dns_srv_record *records;
    size_t count;
    (void)state;
    server_start(&server, three, 3);
    SET(server, alias, true);
    arena_init(&arena, 0);
    assert_int_equal(dns_srv_lookup("_x._tcp.example.com", &server.address,
                                    &arena, &records, &count),
                     ERR_OK);
    expect_asked(&server, "_x._tcp.example.com.");
    assert_int_equal(count, 3);
    assert_string_equal(records[0].target, "a.example.com");
    assert_int_equal(records[0].priority, 1);
    assert_int_equal(records[0].port, 2382);
    assert_string_equal(records[1].target, "c.example.com");
    assert_int_equal(records[1].weight, 5);
    assert_string_equal(records[2].target, "b.example.com");
    arena_deinit(&arena);
    server_stop(&server);
}

static void no_records_are_told(void **state)
{
    struct server server;
    struct srv none = {0, 0, 1, ""}; /* "the service isn't there" */
    (void)state;
    server_start(&server, &none, 1);
    expect(&server, ERR_NOT_FOUND,
           "DNS: _x._tcp.example.com has no SRV records");
    SET(server, count, 0);
    expect(&server, ERR_NOT_FOUND,
           "DNS: _x._tcp.example.com has no SRV records");
    SET(server, code, NAME_ERROR);
    expect(&server, ERR_NOT_FOUND, "DNS: there is no _x._tcp.example.com");
    server_stop(&server);
}

/* Cut anywhere behind the question, it is refused and nothing is read that
 * isn't there. */
static void an_answer_that_is_cut_short_is_refused(void **state)
{
    struct server server;
    (void)state;
    server_start(&server, three, 1);
    for (int cut = 1; cut <= 33; cut++) {
        SET(server, cut, cut);
        expect(&server, ERR_IO,
               "DNS: the answer for _x._tcp.example.com makes no sense");
    }
    server_stop(&server);
}

static void silence_and_refusal_are_told(void **state)
{
    struct server server;
    (void)state;
    server_start(&server, three, 1);
    SET(server, count, 0);
    SET(server, code, REFUSED);
    expect(&server, ERR_TIMEOUT, "DNS: no answer for _x._tcp.example.com");
    SET(server, silent, true);
    expect(&server, ERR_TIMEOUT, "DNS: no answer for _x._tcp.example.com");
    server_stop(&server);
}

/* ---- clusters ------------------------------------------------------------ */

static const char *run_with(struct bootstrap_case *one, struct server *server,
                            const char *args)
{
    struct bootstrap_world world = impatient;
    world.dns = &server->address;
    world.probe_total_ms = 0;
    case_load(one, "%s", args);
    return case_run(one, &world);
}

/* This member is the one whose host and port the URLs say; the others get
 * numbers, since DNS has no names. */
static void a_cluster_is_found(void **state)
{
    static const struct srv records[] = {{0, 0, 21001, "localhost"},
                                         {0, 0, 21002, "localhost"},
                                         {0, 0, 21003, "localhost"}};
    struct server server;
    struct bootstrap_case one;
    struct bootstrap_case other;
    (void)state;
    server_start(&server, records, 3);
    (void)run_with(&one, &server,
                   "--name x --discovery-srv example.com "
                   "--initial-advertise-peer-urls http://127.0.0.1:21002");
    expect_asked(&server, "_etcd-server._tcp.example.com.");
    (void)run_with(&other, &server,
                   "--name y --discovery-srv example.com --discovery-srv-name "
                   "blue --initial-advertise-peer-urls http://localhost:21003");
    expect_asked(&server, "_etcd-server-blue._tcp.example.com.");
    assert_int_equal(one.err, ERR_OK);
    assert_int_equal(other.err, ERR_OK);
    assert_int_equal(one.out.member_count, 3);
    assert_int_equal(one.out.cluster_id, other.out.cluster_id);
    assert_int_not_equal(one.out.member_id, other.out.member_id);
    assert_non_null(strstr(one.result, ":x:http://localhost:21002]"));
    assert_non_null(strstr(one.result, ":0:http://localhost:21001]"));
    assert_non_null(strstr(one.result, ":1:http://localhost:21003]"));
    case_free(&one);
    case_free(&other);
    server_stop(&server);
}

static void a_cluster_without_this_member_is_refused(void **state)
{
    static const struct srv records[] = {{0, 0, 21001, "localhost"}};
    struct server server;
    struct bootstrap_case one;
    (void)state;
    server_start(&server, records, 1);
    assert_string_equal(
        run_with(&one, &server, "--name x --discovery-srv example.com"),
        "INVALID: cannot find local etcd member \"x\" in SRV records: none of "
        "them has the host and port of --initial-advertise-peer-urls");
    case_free(&one);
    SET(server, count, 0);
    assert_string_equal(
        run_with(&one, &server, "--name x --discovery-srv example.com"),
        "NOT_FOUND: --discovery-srv: DNS: _etcd-server._tcp.example.com has no "
        "SRV records");
    case_free(&one);
    server_stop(&server);
}

/* Members with TLS have a service of their own, and URLs of https. */
static void a_cluster_with_tls_is_found(void **state)
{
    static const struct srv records[] = {{0, 0, 21001, "localhost"},
                                         {0, 0, 21002, "localhost"}};
    struct server server;
    struct bootstrap_case one;
    (void)state;
    server_start(&server, records, 2);
    SET(server, with_tls, true);
    (void)run_with(&one, &server,
                   "--name x --discovery-srv example.com "
                   "--peer-trusted-ca-file /dev/null "
                   "--initial-advertise-peer-urls https://127.0.0.1:21002");
    assert_int_equal(one.err, ERR_OK);
    assert_non_null(strstr(one.result, ":x:https://localhost:21002]"));
    assert_non_null(strstr(one.result, ":0:https://localhost:21001]"));
    case_free(&one);
    server_stop(&server);
}

/* TOB-ETCD-004, CVE-2020-15136: what DNS names is looked at like all else; and
 * as DNS can be forged, an authority that gives anybody a certificate is none.
 */
static void dns_alone_is_not_trusted_with_tls(void **state)
{
    static const struct srv records[] = {{0, 0, 21001, "localhost"}};
    struct server server;
    struct bootstrap_case one;
    (void)state;
    server_start(&server, records, 1);
    SET(server, with_tls, true);
    assert_string_equal(
        run_with(&one, &server,
                 "--name x --discovery-srv example.com "
                 "--initial-advertise-peer-urls https://localhost:21001"),
        "INVALID: --discovery-srv: members with TLS (_etcd-server-ssl) need "
        "--peer-trusted-ca-file: anybody may own a host that DNS names");
    case_free(&one);
    server_stop(&server);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(records_come_in_order),
        cmocka_unit_test(no_records_are_told),
        cmocka_unit_test(an_answer_that_is_cut_short_is_refused),
        cmocka_unit_test(silence_and_refusal_are_told),
        cmocka_unit_test(a_cluster_is_found),
        cmocka_unit_test(a_cluster_without_this_member_is_refused),
        cmocka_unit_test(a_cluster_with_tls_is_found),
        cmocka_unit_test(dns_alone_is_not_trusted_with_tls),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
