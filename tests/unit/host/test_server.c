/* A whole server in this process, over loopback: what one client does alone
 * (its writes have their turn on the I/O thread) and what many do at once. */
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

#include "host/config.h"
#include "host/server.h"

enum { CLIENTS = 8, WRITES = 150, ALONE = 400 };

static char folder[] = "/tmp/etched-server-XXXXXX";
static char client_url[64];
static char peer_url[64];
static uint16_t port;
static struct config config;
static pthread_t thread;
static _Atomic bool ended;

/* ---- the server ---------------------------------------------------------- */

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
    struct server_args args = {0};
    bool server_ended = false;
    (void)context;
    enum err err = server_run(&config, &args, &server_ended);
    assert_int_equal(err, ERR_OK);
    assert_true(server_ended);
    ended = true;
    return NULL;
}

static int dial(void)
{
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_port = htons(port)};
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    for (int i = 0; i < 1000; i++) {
        int fd = socket(AF_INET, SOCK_STREAM, 0);
        if (connect(fd, (void *)&address, sizeof(address)) == 0) {
            return fd;
        }
        close(fd);
        nanosleep(&(struct timespec){.tv_nsec = 10000000}, NULL);
    }
    fail_msg("nobody listens on port %d", port);
    return -1;
}

static int start_server(void **state)
{
    (void)state;
    port = free_port();
    assert_non_null(mkdtemp(folder));
    (void)snprintf(client_url, sizeof(client_url), "http://127.0.0.1:%d", port);
    (void)snprintf(peer_url, sizeof(peer_url), "http://127.0.0.1:%d",
                   free_port());
    char *argv[] = {"etched",   "--data-dir",
                    folder,     "--listen-client-urls",
                    client_url, "--advertise-client-urls",
                    client_url, "--listen-peer-urls",
                    peer_url,   NULL};
    struct config_input input = {.argc = 9, .argv = argv, .read = no_file};
    assert_int_equal(config_load(&config, &input), ERR_OK);
    config.has_seccomp = false; /* the process is the test's */
    assert_int_equal(pthread_create(&thread, NULL, serve, NULL), 0);
    close(dial());
    return 0;
}

static int stop_server(void **state)
{
    char command[128];
    (void)state;
    assert_int_equal(raise(SIGTERM), 0);
    assert_int_equal(pthread_join(thread, NULL), 0);
    config_deinit(&config);
    (void)snprintf(command, sizeof(command), "rm -r '%s'", folder);
    return ended ? system(command) : -1;
}

/* ---- a client ------------------------------------------------------------ */

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

static const char *put(int fd, const char *key, const char *fields)
{
    char request[512];
    (void)snprintf(
        request, sizeof(request),
        "PUT /v2/keys%s HTTP/1.1\r\nHost: localhost\r\nContent-Type: "
        "application/x-www-form-urlencoded\r\n"
        "Content-Length: %zu\r\n\r\n%s",
        key, strlen(fields), fields);
    return ask(fd, request);
}

static const char *get(int fd, const char *key)
{
    char request[256];
    (void)snprintf(request, sizeof(request),
                   "GET /v2/keys%s HTTP/1.1\r\nHost: localhost\r\n\r\n", key);
    return ask(fd, request);
}

static long index_of(const char *answer)
{
    const char *at = strstr(answer, "X-Etcd-Index: ");
    assert_non_null(at);
    return strtol(at + 14, NULL, 10);
}

/* ---- the stories --------------------------------------------------------- */

static void one_client_writes_and_reads_what_it_wrote(void **state)
{
    (void)state;
    int fd = dial();
    long last = index_of(get(fd, "/"));
    for (int i = 0; i < ALONE; i++) {
        char field[32];
        (void)snprintf(field, sizeof(field), "value=v%d.", i);
        assert_int_equal(index_of(put(fd, "/alone", field)), last + 1);
        last++;
        assert_non_null(strstr(get(fd, "/alone"), field + 6));
    }
    close(fd);
}

static void *write_many(void *context)
{
    int number = *(int *)context;
    char key[32];
    int fd = dial();
    (void)snprintf(key, sizeof(key), "/many/%d", number);
    for (int i = 0; i < WRITES; i++) {
        assert_non_null(strstr(put(fd, key, "value=x"), " 20"));
    }
    close(fd);
    return NULL;
}

static void many_clients_at_once_lose_nothing(void **state)
{
    (void)state;
    int fd = dial();
    pthread_t threads[CLIENTS];
    int numbers[CLIENTS];
    long before = index_of(get(fd, "/"));
    for (int i = 0; i < CLIENTS; i++) {
        numbers[i] = i;
        assert_int_equal(
            pthread_create(&threads[i], NULL, write_many, &numbers[i]), 0);
    }
    for (int i = 0; i < CLIENTS; i++) {
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    }
    assert_int_equal(index_of(get(fd, "/")), before + CLIENTS * WRITES);
    /* And alone again. */
    assert_non_null(strstr(put(fd, "/many/0", "value=last"), " 200 OK"));
    close(fd);
}

/* The core thread sleeps while the I/O thread makes the key: it must learn
 * that there is an end to watch for. */
static void a_ttl_that_was_set_alone_ends(void **state)
{
    (void)state;
    int fd = dial();
    assert_non_null(strstr(put(fd, "/short", "value=x&ttl=1"), " 201 "));
    assert_non_null(strstr(get(fd, "/short"), " 200 OK"));
    nanosleep(&(struct timespec){.tv_sec = 1, .tv_nsec = 300000000}, NULL);
    assert_non_null(strstr(get(fd, "/short"), " 404 "));
    close(fd);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_client_writes_and_reads_what_it_wrote),
        cmocka_unit_test(many_clients_at_once_lose_nothing),
        cmocka_unit_test(a_ttl_that_was_set_alone_ends),
    };
    return cmocka_run_group_tests(tests, start_server, stop_server);
}
