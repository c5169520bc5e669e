/* Listening sockets: TCP of both families, and socket files. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "host/listener.h"

static struct config_url tcp_url(const char *host, int port)
{
    return (struct config_url){
        .host = host, .port = port, .text = "http://the.url:1"};
}

static void assert_note_has(const char *text)
{
    if (strstr(err_note(), text) == NULL) {
        fail_msg("\"%s\" is not in the note \"%s\"", text, err_note());
    }
}

static int port_of(int fd)
{
    struct sockaddr_storage at;
    socklen_t size = sizeof(at);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&at, &size), 0);
    return at.ss_family == AF_INET6
               ? ntohs(((struct sockaddr_in6 *)(void *)&at)->sin6_port)
               : ntohs(((struct sockaddr_in *)(void *)&at)->sin_port);
}

static int dial_tcp(int port)
{
    struct sockaddr_in at = {
        .sin_family = AF_INET,
        .sin_port = htons((uint16_t)port),
        .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
    };
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    assert_true(fd >= 0);
    assert_int_equal(connect(fd, (struct sockaddr *)&at, sizeof(at)), 0);
    return fd;
}

static int open_tcp(const char *host, int port)
{
    struct config_url url = tcp_url(host, port);
    int fd = -1;
    assert_int_equal(listener_open(&url, false, &fd), ERR_OK);
    assert_true(fd >= 0);
    return fd;
}

static void a_connection_is_accepted_once(void **state)
{
    (void)state;
    bool full = true;
    int listener = open_tcp("127.0.0.1", 0);
    assert_int_equal(listener_accept(listener, &full), -1);
    assert_false(full);
    int client = dial_tcp(port_of(listener));
    int fd = listener_accept(listener, &full);
    assert_true(fd >= 0);
    assert_true((fcntl(fd, F_GETFL) & O_NONBLOCK) != 0);
    assert_true((fcntl(fd, F_GETFD) & FD_CLOEXEC) != 0);
    assert_true((fcntl(listener, F_GETFD) & FD_CLOEXEC) != 0);
    assert_int_equal(listener_accept(listener, &full), -1);
    assert_int_equal(write(client, "x", 1), 1);
    char byte = 0;
    assert_int_equal(read(fd, &byte, 1), 1);
    assert_int_equal(byte, 'x');
    close(fd);
    close(client);
    close(listener);
}

static void localhost_is_the_loopback(void **state)
{
    (void)state;
    bool full;
    int listener = open_tcp("localhost", 0);
    int client = dial_tcp(port_of(listener));
    int fd = listener_accept(listener, &full);
    assert_true(fd >= 0);
    close(fd);
    close(client);
    close(listener);
}

static void an_address_in_use_is_named(void **state)
{
    (void)state;
    int listener = open_tcp("127.0.0.1", 0);
    struct config_url url = tcp_url("127.0.0.1", port_of(listener));
    int fd = -1;
    assert_int_equal(listener_open(&url, false, &fd), ERR_BUSY);
    assert_int_equal(fd, -1);
    assert_note_has("http://the.url:1");
    assert_note_has("in use");
    close(listener);
    /* Free again at once, although a connection was just closed on it. */
    listener = open_tcp("127.0.0.1", url.port);
    close(listener);
}

static void the_port_is_shared_when_asked_for(void **state)
{
    (void)state;
    struct config_url url = tcp_url("127.0.0.1", 0);
    int first = -1;
    int second = -1;
    assert_int_equal(listener_open(&url, true, &first), ERR_OK);
    url.port = port_of(first);
    assert_int_equal(listener_open(&url, true, &second), ERR_OK);
    close(first);
    close(second);
}

static void both_families_share_a_port_number(void **state)
{
    (void)state;
    struct config_url url = tcp_url("::1", 0);
    int six = -1;
    if (listener_open(&url, false, &six) != ERR_OK) {
        skip(); /* no IPv6 here */
    }
    struct config_url any = tcp_url("::", 0);
    int any_six = -1;
    assert_int_equal(listener_open(&any, false, &any_six), ERR_OK);
    int four = open_tcp("0.0.0.0", port_of(any_six));
    close(four);
    close(any_six);
    close(six);
}

static void an_address_of_others_is_an_error(void **state)
{
    (void)state;
    int fd = -1;
    struct config_url far = tcp_url("192.0.2.1", 0);
    assert_int_not_equal(listener_open(&far, false, &fd), ERR_OK);
    assert_note_has("http://the.url:1");
    struct config_url name = tcp_url("no.number", 0);
    assert_int_equal(listener_open(&name, false, &fd), ERR_INVALID);
    assert_note_has("http://the.url:1");
    assert_int_equal(fd, -1);
}

static void no_descriptor_left_is_told(void **state)
{
    (void)state;
    struct rlimit before;
    struct rlimit none;
    bool full = false;
    int listener = open_tcp("127.0.0.1", 0);
    int client = dial_tcp(port_of(listener));
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
    none = before;
    none.rlim_cur = (rlim_t)client + 1;
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
    int fd = listener_accept(listener, &full);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
    assert_int_equal(fd, -1);
    assert_true(full);
    /* The connection was not lost by it. */
    fd = listener_accept(listener, &full);
    assert_true(fd >= 0);
    assert_false(full);
    close(fd);
    close(client);
    close(listener);
}

/* ---- socket files -------------------------------------------------------- */

struct place {
    char folder[64];
    char path[96];
};

static void place_begin(struct place *place)
{
    snprintf(place->folder, sizeof(place->folder), "%s/etched-listen-XXXXXX",
             P_tmpdir);
    assert_non_null(mkdtemp(place->folder));
    snprintf(place->path, sizeof(place->path), "%s/sock", place->folder);
}

static void place_end(const struct place *place)
{
    unlink(place->path);
    assert_int_equal(rmdir(place->folder), 0);
}

static struct config_url unix_url(const char *path)
{
    return (struct config_url){
        .is_unix = true, .host = path, .text = "unix://the.path"};
}

static int dial_unix(const char *path)
{
    struct sockaddr_un at = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);
    assert_true(fd >= 0);
    memcpy(at.sun_path, path, strlen(path));
    if (connect(fd, (struct sockaddr *)&at, sizeof(at)) != 0) {
        close(fd);
        return -1;
    }
    return fd;
}

static void a_socket_file_is_served(void **state)
{
    (void)state;
    struct place place;
    place_begin(&place);
    struct config_url url = unix_url(place.path);
    bool full;
    int listener = -1;
    assert_int_equal(listener_open(&url, false, &listener), ERR_OK);
    int client = dial_unix(place.path);
    assert_true(client >= 0);
    int fd = listener_accept(listener, &full);
    assert_true(fd >= 0);
    close(fd);
    close(client);
    close(listener);
    place_end(&place);
}

static void a_file_left_by_a_crash_is_replaced(void **state)
{
    (void)state;
    struct place place;
    place_begin(&place);
    struct config_url url = unix_url(place.path);
    int listener = -1;
    assert_int_equal(listener_open(&url, false, &listener), ERR_OK);
    close(listener); /* the file stays */
    assert_int_equal(access(place.path, F_OK), 0);
    assert_int_equal(dial_unix(place.path), -1);
    assert_int_equal(listener_open(&url, false, &listener), ERR_OK);
    int client = dial_unix(place.path);
    assert_true(client >= 0);
    close(client);
    close(listener);
    place_end(&place);
}

static void a_file_in_use_is_left_alone(void **state)
{
    (void)state;
    struct place place;
    place_begin(&place);
    struct config_url url = unix_url(place.path);
    int first = -1;
    int second = -1;
    assert_int_equal(listener_open(&url, false, &first), ERR_OK);
    assert_int_equal(listener_open(&url, false, &second), ERR_BUSY);
    assert_note_has("unix://the.path");
    int client = dial_unix(place.path);
    assert_true(client >= 0);
    close(client);
    close(first);
    place_end(&place);
}

static void a_plain_file_is_never_removed(void **state)
{
    (void)state;
    struct place place;
    place_begin(&place);
    struct config_url url = unix_url(place.path);
    int file = open(place.path, O_CREAT | O_WRONLY, 0600);
    int fd = -1;
    assert_int_equal(write(file, "mine", 4), 4);
    close(file);
    assert_int_equal(listener_open(&url, false, &fd), ERR_BUSY);
    struct stat found;
    assert_int_equal(stat(place.path, &found), 0);
    assert_int_equal(found.st_size, 4);
    place_end(&place);
}

static void a_path_too_long_is_refused(void **state)
{
    (void)state;
    char path[200];
    int fd = -1;
    memset(path, 'p', sizeof(path));
    path[sizeof(path) - 1] = '\0';
    struct config_url url = unix_url(path);
    assert_int_equal(listener_open(&url, false, &fd), ERR_INVALID);
    assert_note_has("too long");
    /* The longest that fits. */
    struct config_url no_folder = unix_url("/nonexistent/folder/sock");
    assert_int_equal(listener_open(&no_folder, false, &fd), ERR_NOT_FOUND);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_connection_is_accepted_once),
        cmocka_unit_test(localhost_is_the_loopback),
        cmocka_unit_test(an_address_in_use_is_named),
        cmocka_unit_test(the_port_is_shared_when_asked_for),
        cmocka_unit_test(both_families_share_a_port_number),
        cmocka_unit_test(an_address_of_others_is_an_error),
        cmocka_unit_test(no_descriptor_left_is_told),
        cmocka_unit_test(a_socket_file_is_served),
        cmocka_unit_test(a_file_left_by_a_crash_is_replaced),
        cmocka_unit_test(a_file_in_use_is_left_alone),
        cmocka_unit_test(a_plain_file_is_never_removed),
        cmocka_unit_test(a_path_too_long_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
