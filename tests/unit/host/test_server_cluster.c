/* Three whole servers in this process, over loopback: they become one cluster,
 * say so, serve on every member's ports, and stop together. One signal reaches
 * them all, so who leads hands over to one that stops as well: none of them may
 * wait for ever. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <arpa/inet.h>
#include <pthread.h>
#include <signal.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>
#include <cmocka.h>

#include "base/log.h"
#include "host/config.h"
#include "host/server.h"

enum { SERVERS = 3, WRITES = 60, WAIT_MS = 20000, STOP_MS_MAX = 8000 };

static struct member {
    char folder[40];
    char client_url[64];
    char peer_url[64];
    char name[16];
    uint16_t client_port;
    uint16_t peer_port;
    struct config config;
    pthread_t thread;
    _Atomic int err;
} members[SERVERS];

static char initial_cluster[512];
static _Atomic int started;
static _Atomic int ready;

/* ---- the servers --------------------------------------------------------- */

static int64_t now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static void rest(void)
{
    nanosleep(&(struct timespec){.tv_nsec = 5000000}, NULL);
}

static bool says(struct slice line, const char *text)
{
    return memmem(line.at, line.size, text, strlen(text)) != NULL;
}

static void count(void *context, enum log_level level, struct slice line)
{
    (void)context;
    (void)level;
    if (says(line, "waiting for the cluster to have a leader")) {
        started++;
    } else if (says(line, "ready to serve client requests")) {
        ready++;
    }
}

static void wait_for(_Atomic int *number, int wanted)
{
    int64_t until_ms = now_ms() + WAIT_MS;
    while (*number < wanted) {
        assert_true(now_ms() < until_ms);
        rest();
    }
}

static uint16_t free_port(void)
{
    struct sockaddr_in address = {.sin_family = AF_INET};
    socklen_t size = sizeof(address);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    assert_int_equal(bind(fd, (void *)&address, size), 0);
    assert_int_equal(getsockname(fd, (void *)&address, &size), 0);
    close(fd);
    return ntohs(address.sin_port);
}

static enum err no_file(void *context, const char *path, struct buf *out)
{
    (void)context;
    (void)out;
    return err_set(ERR_NOT_FOUND, "%s: there are no files here", path);
}

static void *serve(void *context)
{
    struct member *member = context;
    struct server_args args = {0};
    bool ended = false;
    enum err err = server_run(&member->config, &args, &ended);
    member->err = err == ERR_OK && ended ? 0 : 1;
    return NULL;
}

static void name_member(struct member *member, int number)
{
    member->client_port = free_port();
    member->peer_port = free_port();
    (void)snprintf(member->name, sizeof(member->name), "m%d", number);
    (void)snprintf(member->folder, sizeof(member->folder),
                   "/tmp/etched-cluster-XXXXXX");
    assert_non_null(mkdtemp(member->folder));
    (void)snprintf(member->client_url, sizeof(member->client_url),
                   "http://127.0.0.1:%d", member->client_port);
    (void)snprintf(member->peer_url, sizeof(member->peer_url),
                   "http://127.0.0.1:%d", member->peer_port);
    size_t size = strlen(initial_cluster);
    (void)snprintf(initial_cluster + size, sizeof(initial_cluster) - size,
                   "%s%s=%s", size > 0 ? "," : "", member->name,
                   member->peer_url);
}

static void start_member(struct member *member)
{
    char *argv[] = {"etched",
                    "--name",
                    member->name,
                    "--data-dir",
                    member->folder,
                    "--listen-client-urls",
                    member->client_url,
                    "--advertise-client-urls",
                    member->client_url,
                    "--listen-peer-urls",
                    member->peer_url,
                    "--initial-advertise-peer-urls",
                    member->peer_url,
                    "--initial-cluster",
                    initial_cluster,
                    "--heartbeat-interval",
                    "50",
                    "--election-timeout",
                    "400",
                    "--io-threads",
                    "1",
                    NULL};
    struct config_input input = {.argc =
                                     (int)(sizeof(argv) / sizeof(argv[0])) - 1,
                                 .argv = argv,
                                 .read = no_file};
    assert_int_equal(config_load(&member->config, &input), ERR_OK);
    member->config.has_seccomp = false; /* the process is the test's */
    member->err = -1;
    assert_int_equal(pthread_create(&member->thread, NULL, serve, member), 0);
}

/* One after the other: some of what a server sets up is the process's. */
static void start_all(void)
{
    started = 0;
    ready = 0;
    for (int i = 0; i < SERVERS; i++) {
        start_member(&members[i]);
        wait_for(&started, i + 1);
    }
    wait_for(&ready, SERVERS);
}

/* All of them with one signal, and soon. */
static void stop_all(void)
{
    int64_t begin_ms = now_ms();
    assert_int_equal(raise(SIGTERM), 0);
    for (int i = 0; i < SERVERS; i++) {
        assert_int_equal(pthread_join(members[i].thread, NULL), 0);
        assert_int_equal(members[i].err, 0);
        config_deinit(&members[i].config);
    }
    assert_true(now_ms() - begin_ms < STOP_MS_MAX);
}

static int begin(void **state)
{
    (void)state;
    log_setup(LOG_TEXT, count, NULL, NULL);
    for (int i = 0; i < SERVERS; i++) {
        name_member(&members[i], i);
    }
    start_all();
    return 0;
}

static int end(void **state)
{
    (void)state;
    stop_all();
    for (int i = 0; i < SERVERS; i++) {
        char command[64];
        (void)snprintf(command, sizeof(command), "rm -r '%.40s'",
                       members[i].folder);
        assert_int_equal(system(command), 0);
    }
    log_setup(LOG_TEXT, NULL, NULL, NULL);
    return 0;
}

/* ---- a client ------------------------------------------------------------ */

static int dial(uint16_t port)
{
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_port = htons(port)};
    struct timeval patience = {.tv_sec = 20};
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    assert_int_equal(connect(fd, (void *)&address, sizeof(address)), 0);
    (void)setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
    return fd;
}

/* One request and the whole of its answer, which has a Content-Length. */
static const char *ask(int fd, const char *request)
{
    static _Thread_local char answer[8192];
    size_t size = 0;
    size_t want = SIZE_MAX;
    assert_int_equal(send(fd, request, strlen(request), MSG_NOSIGNAL),
                     strlen(request));
    while (size < want) {
        ssize_t got = recv(fd, answer + size, sizeof(answer) - 1 - size, 0);
        assert_true(got > 0);
        size += (size_t)got;
        answer[size] = '\0';
        const char *body = strstr(answer, "\r\n\r\n");
        const char *length = strstr(answer, "Content-Length: ");
        if (body != NULL && length != NULL) {
            want = (size_t)(body + 4 - answer) + strtoul(length + 16, NULL, 10);
        }
    }
    return answer;
}

static const char *put(int fd, const char *key, int value)
{
    char request[512];
    (void)snprintf(
        request, sizeof(request),
        "PUT /v2/keys%s HTTP/1.1\r\nHost: localhost\r\nContent-Type: "
        "application/x-www-form-urlencoded\r\n"
        "Content-Length: 10\r\n\r\nvalue=%04d",
        key, value);
    return ask(fd, request);
}

static const char *get(int fd, const char *path)
{
    char request[256];
    (void)snprintf(request, sizeof(request),
                   "GET %s HTTP/1.1\r\nHost: localhost\r\n\r\n", path);
    return ask(fd, request);
}

/* The value there, as soon as this member has it. */
static void await_value(int fd, const char *key, int value)
{
    char wanted[32];
    char path[64];
    int64_t until_ms = now_ms() + WAIT_MS;
    (void)snprintf(wanted, sizeof(wanted), "\"value\":\"%04d\"", value);
    (void)snprintf(path, sizeof(path), "/v2/keys%s", key);
    while (strstr(get(fd, path), wanted) == NULL) {
        assert_true(now_ms() < until_ms);
        rest();
    }
}

/* ---- the stories --------------------------------------------------------- */

static void every_member_takes_writes(void **state)
{
    int fds[SERVERS];
    (void)state;
    for (int i = 0; i < SERVERS; i++) {
        fds[i] = dial(members[i].client_port);
    }
    for (int i = 0; i < WRITES; i++) {
        assert_non_null(strstr(put(fds[i % SERVERS], "/turns", i), " 20"));
    }
    for (int i = 0; i < SERVERS; i++) {
        await_value(fds[i], "/turns", WRITES - 1);
        close(fds[i]);
    }
}

static void *write_many(void *context)
{
    struct member *member = context;
    char key[32];
    int fd = dial(member->client_port);
    (void)snprintf(key, sizeof(key), "/%s", member->name);
    for (int i = 0; i < WRITES; i++) {
        assert_non_null(strstr(put(fd, key, i), " 20"));
    }
    close(fd);
    return NULL;
}

static void members_take_writes_at_once(void **state)
{
    pthread_t threads[SERVERS];
    (void)state;
    for (int i = 0; i < SERVERS; i++) {
        assert_int_equal(
            pthread_create(&threads[i], NULL, write_many, &members[i]), 0);
    }
    for (int i = 0; i < SERVERS; i++) {
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    }
    int fd = dial(members[0].client_port);
    await_value(fd, "/m0", WRITES - 1);
    await_value(fd, "/m1", WRITES - 1);
    await_value(fd, "/m2", WRITES - 1);
    close(fd);
}

/* One port for members and for clients of the peer API. */
static void the_peer_port_speaks_http_too(void **state)
{
    (void)state;
    for (int i = 0; i < SERVERS; i++) {
        int fd = dial(members[i].peer_port);
        assert_non_null(strstr(get(fd, "/members"), " 200 OK"));
        assert_non_null(strstr(get(fd, "/version"), " 200 OK"));
        close(fd);
    }
}

static void a_cluster_that_starts_again_has_its_data(void **state)
{
    (void)state;
    stop_all();
    start_all();
    for (int i = 0; i < SERVERS; i++) {
        int fd = dial(members[i].client_port);
        await_value(fd, "/turns", WRITES - 1);
        assert_non_null(strstr(put(fd, "/again", i), " 20"));
        close(fd);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_member_takes_writes),
        cmocka_unit_test(members_take_writes_at_once),
        cmocka_unit_test(the_peer_port_speaks_http_too),
        cmocka_unit_test(a_cluster_that_starts_again_has_its_data),
    };
    return cmocka_run_group_tests(tests, begin, end);
}
