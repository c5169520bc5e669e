/* Handshakes off the threads that serve: who gets through, who is late, who
 * gives way. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "certificates.h"
#include "host/tls_gate.h"

enum { WAIT_MS = 10 * 1000, CROWD = 300 };

/* ---- who got through ----------------------------------------------------- */

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static int ready_count;
static int ready_tag;
static struct tls *ready_tls;
static int ready_fd;

static void on_ready(void *context, int fd, struct tls *tls, int tag)
{
    (void)context;
    pthread_mutex_lock(&lock);
    ready_count++;
    ready_tag = tag;
    tls_free(ready_tls);
    if (ready_fd > 0) {
        close(ready_fd);
    }
    ready_tls = tls;
    ready_fd = fd;
    pthread_mutex_unlock(&lock);
}

static int told_ready(void)
{
    pthread_mutex_lock(&lock);
    int count = ready_count;
    pthread_mutex_unlock(&lock);
    return count;
}

/* ---- the gate ------------------------------------------------------------ */

static struct tls_gate *gate;
static struct tls_context *inside;
static struct tls_context *outside;

static int64_t now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static void start(size_t handshakes_max, int64_t handshake_ms)
{
    const struct tls_options in = certificates_of(TLS_SERVER, "m1", "ca");
    const struct tls_options out = certificates_of(TLS_CLIENT, "client", "ca");
    const struct tls_gate_config config = {
        .on_ready = on_ready,
        .handshakes_max = handshakes_max,
        .handshake_ms = handshake_ms,
    };
    assert_int_equal(tls_context_new(&in, &inside), ERR_OK);
    assert_int_equal(tls_context_new(&out, &outside), ERR_OK);
    assert_int_equal(tls_gate_start(&config, &gate), ERR_OK);
}

static int stop(void **state)
{
    (void)state;
    tls_gate_stop(gate);
    gate = NULL;
    tls_free(ready_tls);
    if (ready_fd > 0) {
        close(ready_fd);
    }
    ready_tls = NULL;
    ready_fd = ready_count = 0;
    tls_context_unref(inside);
    tls_context_unref(outside);
    inside = outside = NULL;
    return 0;
}

static struct tls_gate_stat stat_now(void)
{
    struct tls_gate_stat stat;
    tls_gate_stat(gate, &stat);
    return stat;
}

#define WAIT_UNTIL(holds)                                                \
    do {                                                                 \
        for (int64_t end_ms = now_ms() + WAIT_MS; !(holds);) {           \
            assert_true(now_ms() < end_ms);                              \
            nanosleep(&(struct timespec){.tv_nsec = 1000 * 1000}, NULL); \
        }                                                                \
    } while (0)

/* Somebody connects; this end of it. */
static int knock(int tag)
{
    int pair[2];
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, pair),
                     0);
    tls_gate_take(gate, pair[0], inside, tag);
    return pair[1];
}

/* Somebody connects and has begun the handshake; it waits for the answer. */
static int knock_and_begin(int tag, struct tls **out)
{
    int pair[2];
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, pair),
                     0);
    struct tls *tls = tls_new(outside, pair[1], "localhost");
    assert_int_equal(tls_handshake(tls), ERR_BUSY);
    tls_gate_take(gate, pair[0], inside, tag);
    struct pollfd answer = {.fd = pair[1], .events = POLLIN};
    assert_int_equal(poll(&answer, 1, WAIT_MS), 1);
    *out = tls;
    return pair[1];
}

static enum err shake_hands(int fd, struct tls **out)
{
    struct tls *tls = tls_new(outside, fd, "localhost");
    enum err err;
    while ((err = tls_handshake(tls)) == ERR_BUSY) {
        struct pollfd wanted = {.fd = fd, .events = tls_wants(tls)};
        assert_int_equal(poll(&wanted, 1, WAIT_MS), 1);
    }
    *out = tls;
    return err;
}

static void get_through(int tag)
{
    struct tls *tls;
    int before = told_ready();
    int fd = knock(tag);
    assert_int_equal(shake_hands(fd, &tls), ERR_OK);
    WAIT_UNTIL(told_ready() == before + 1);
    tls_free(tls);
    close(fd);
}

static bool is_closed(int fd)
{
    char byte;
    return recv(fd, &byte, 1, MSG_PEEK) == 0;
}

/* ---- stories ------------------------------------------------------------- */

static void a_connection_is_handed_on_with_its_tls(void **state)
{
    static const struct iovec piece = {.iov_base = (void *)(uintptr_t) "hello",
                                       .iov_len = 5};
    struct tls *tls;
    char got[16];
    (void)state;
    start(0, 0);
    int fd = knock(7);
    assert_int_equal(shake_hands(fd, &tls), ERR_OK);
    WAIT_UNTIL(told_ready() == 1);
    assert_int_equal(ready_tag, 7);
    assert_true(slice_eq(tls_peer_name(ready_tls), SLICE("client")));
    assert_int_equal(tls_send(tls, &piece, 1), 5);
    assert_int_equal(tls_recv(ready_tls, got, sizeof(got)), 5);
    assert_memory_equal(got, "hello", 5);
    assert_int_equal(stat_now().done, 1);
    assert_int_equal(stat_now().open, 0);
    tls_free(tls);
    close(fd);
}

static void what_is_no_handshake_fails_at_once(void **state)
{
    (void)state;
    start(0, 0);
    int fd = knock(0);
    assert_int_equal(send(fd, "GET / HTTP/1.1\r\n\r\n", 18, 0), 18);
    WAIT_UNTIL(stat_now().failed == 1);
    close(fd);
    fd = knock(0);
    close(fd); /* gone again */
    WAIT_UNTIL(stat_now().failed == 2);
    assert_int_equal(told_ready(), 0);
}

/* CVE-2026-73500 (GHSA-6vch-q96h-7gc3): handshakes had no deadline. */
static void who_is_late_is_let_go(void **state)
{
    (void)state;
    start(0, 100);
    int64_t begin_ms = now_ms();
    int silent = knock(0);
    int slow = knock(0);
    assert_int_equal(send(slow, "\x16\x03\x01", 3, 0), 3);
    WAIT_UNTIL(stat_now().timed_out == 2);
    assert_in_range(now_ms() - begin_ms, 95, 5000);
    WAIT_UNTIL(is_closed(silent));
    assert_int_equal(stat_now().open, 0);
    get_through(1);
    close(silent);
    close(slow);
}

/* A byte now and then doesn't make it longer. */
static void a_trickle_gives_no_more_time(void **state)
{
    (void)state;
    start(0, 200);
    int fd = knock(0);
    /* A record of 512 bytes, of which little comes. */
    (void)send(fd, "\x16\x03\x01\x02\x00", 5, 0);
    int64_t begin_ms = now_ms();
    while (stat_now().timed_out == 0) {
        assert_true(now_ms() < begin_ms + 3000);
        (void)send(fd, "\x01", 1, MSG_NOSIGNAL);
        nanosleep(&(struct timespec){.tv_nsec = 20 * 1000 * 1000}, NULL);
    }
    close(fd);
}

/* CVE-2026-73500: nor was there a bound on how many. */
static void the_oldest_gives_way(void **state)
{
    int crowd[8];
    (void)state;
    start(4, 60 * 1000);
    for (int i = 0; i < 4; i++) {
        crowd[i] = knock(0);
        WAIT_UNTIL(stat_now().open == (size_t)i + 1);
    }
    for (int i = 4; i < 8; i++) {
        crowd[i] = knock(0);
        WAIT_UNTIL(stat_now().displaced == (uint64_t)i - 3);
        WAIT_UNTIL(is_closed(crowd[i - 4]));
        assert_false(is_closed(crowd[i - 3]));
        assert_int_equal(stat_now().open, 4);
    }
    for (int i = 0; i < 8; i++) {
        close(crowd[i]);
    }
}

/* One who has begun can't be displaced by any number who haven't. */
static void who_has_begun_stays(void **state)
{
    int crowd[CROWD];
    (void)state;
    start(16, 60 * 1000);
    struct tls *tls;
    int fd = knock_and_begin(5, &tls);
    for (int i = 0; i < CROWD; i++) {
        crowd[i] = knock(0);
        if (i % 2 == 0) {
            (void)send(crowd[i], "\x16\x03\x01\x02", 4, MSG_NOSIGNAL);
        }
    }
    WAIT_UNTIL(stat_now().displaced >= CROWD - 16);
    assert_int_equal(tls_handshake(tls), ERR_OK);
    WAIT_UNTIL(told_ready() == 1);
    assert_int_equal(ready_tag, 5);
    tls_free(tls);
    close(fd);
    for (int i = 0; i < CROWD; i++) {
        close(crowd[i]);
    }
}

/* Those who have begun and then say no more have a bound of their own. */
static void those_who_begin_and_stall_give_way_too(void **state)
{
    struct tls *stalled[12];
    int fds[12];
    (void)state;
    start(8, 60 * 1000);
    for (int i = 0; i < 12; i++) {
        fds[i] = knock_and_begin(0, &stalled[i]);
    }
    assert_int_equal(stat_now().open, 8);
    assert_int_equal(stat_now().displaced, 4);
    get_through(1);
    for (int i = 0; i < 12; i++) {
        tls_free(stalled[i]);
        close(fds[i]);
    }
}

static void a_crowd_keeps_nobody_out(void **state)
{
    int crowd[CROWD];
    (void)state;
    start(32, 60 * 1000);
    for (int i = 0; i < CROWD; i++) {
        crowd[i] = knock(0);
        if (i % 50 == 49) {
            get_through(i);
        }
    }
    assert_int_equal(stat_now().done, CROWD / 50);
    WAIT_UNTIL(stat_now().displaced >= CROWD - 32);
    assert_true(stat_now().open <= 32);
    for (int i = 0; i < CROWD; i++) {
        close(crowd[i]);
    }
    /* Those that were still open are gone, and are counted once. */
    WAIT_UNTIL(stat_now().open == 0);
    assert_int_equal(stat_now().displaced + stat_now().failed + stat_now().done,
                     CROWD + CROWD / 50);
}

/* on_ready, on the gate's thread, while it is held up. */
static void who_finds_no_room_waits_outside(void **state)
{
    int fds[CROWD];
    struct tls *tls;
    size_t taken = 0;
    (void)state;
    start(4, 60 * 1000);
    pthread_mutex_lock(&lock);
    int first = knock_and_begin(0, &tls);
    assert_int_equal(tls_handshake(tls), ERR_OK);
    WAIT_UNTIL(stat_now().done == 1); /* and there it stands */
    while (taken < CROWD && tls_gate_has_room(gate)) {
        fds[taken++] = knock(0);
    }
    assert_true(taken >= TLS_GATE_WAITING(4));
    assert_true(taken < CROWD);
    for (size_t i = 0; i < taken; i++) {
        assert_false(is_closed(fds[i])); /* none of them is turned away */
    }
    pthread_mutex_unlock(&lock);
    WAIT_UNTIL(tls_gate_has_room(gate));
    for (size_t i = 0; i < taken; i++) {
        close(fds[i]);
    }
    tls_free(tls);
    close(first);
}

static void a_stop_closes_what_is_under_way(void **state)
{
    (void)state;
    start(0, 60 * 1000);
    int first = knock(0);
    int second = knock(0);
    WAIT_UNTIL(stat_now().open == 2);
    tls_gate_stop(gate);
    gate = NULL;
    assert_true(is_closed(first));
    assert_true(is_closed(second));
    close(first);
    close(second);
    tls_gate_stop(NULL);
}

int main(void)
{
#define STORY(name) cmocka_unit_test_teardown(name, stop)
    const struct CMUnitTest tests[] = {
        STORY(a_connection_is_handed_on_with_its_tls),
        STORY(what_is_no_handshake_fails_at_once),
        STORY(who_is_late_is_let_go),
        STORY(a_trickle_gives_no_more_time),
        STORY(the_oldest_gives_way),
        STORY(who_has_begun_stays),
        STORY(those_who_begin_and_stall_give_way_too),
        STORY(a_crowd_keeps_nobody_out),
        STORY(who_finds_no_room_waits_outside),
        STORY(a_stop_closes_what_is_under_way),
    };
    return cmocka_run_group_tests(tests, certificates_make,
                                  certificates_remove);
}
