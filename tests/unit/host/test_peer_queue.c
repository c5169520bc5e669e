/* Frames that wait for a socket: whatever the socket takes at a time, the
 * bytes on the other side are the same. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include <cmocka.h>

#include "base/prng.h"
#include "host/peers_int.h"

static int ours;
static int theirs;
static struct peer_queue queue;
static struct buf wanted; /* all that was pushed, as frames */
static uint64_t bytes;
static uint64_t writes;

static int begin(void **state)
{
    int pair[2];
    (void)state;
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
    ours = pair[0];
    theirs = pair[1];
    queue = (struct peer_queue){0};
    wanted = (struct buf){0};
    bytes = writes = 0;
    return 0;
}

static int end(void **state)
{
    (void)state;
    peer_queue__deinit(&queue);
    buf_deinit(&wanted);
    close(ours);
    close(theirs);
    return 0;
}

static void push(size_t size, char fill)
{
    struct refbuf *frame = refbuf_new(size);
    memset(frame->bytes, fill, size);
    peer_frame_head(buf_extend(&wanted, PEER_FRAME_HEAD_BYTES), size);
    buf_append(&wanted, frame->bytes, size);
    peer_queue__push(&queue, frame);
}

static enum peer_sent send_some(void)
{
    return peer_queue__send(&queue, ours, NULL, &bytes, &writes);
}

/* Up to `max` bytes of what has come must be the next of what is wanted. */
static size_t read_some(size_t max)
{
    char got[4096];
    size_t room = max < sizeof(got) ? max : sizeof(got);
    ssize_t size = recv(theirs, got, room, MSG_DONTWAIT);
    if (size <= 0) {
        return 0;
    }
    assert_true((size_t)size <= wanted.size);
    assert_memory_equal(got, wanted.at, (size_t)size);
    buf_consume(&wanted, (size_t)size);
    return (size_t)size;
}

static void test_what_waits_goes_in_one_call(void **state)
{
    (void)state;
    push(1, 'a');
    push(500, 'b');
    push(3, 'c');
    assert_int_equal(queue.bytes, 504);
    size_t total = wanted.size;
    assert_int_equal(send_some(), PEER_SENT_ALL);
    assert_int_equal(writes, 1);
    assert_int_equal(bytes, total);
    assert_int_equal(queue.count + queue.bytes, 0);
    while (read_some(100) > 0) {
    }
    assert_int_equal(wanted.size, 0);
}

static void test_nothing_is_no_call(void **state)
{
    (void)state;
    assert_int_equal(send_some(), PEER_SENT_ALL);
    assert_int_equal(writes, 0);
}

static void test_more_than_one_call_takes_goes_in_several(void **state)
{
    (void)state;
    for (int i = 0; i < 200; i++) {
        push(5, 'x');
    }
    assert_int_equal(send_some(), PEER_SENT_ALL);
    assert_int_equal(writes, 4); /* of 64 frames each */
    while (read_some(4096) > 0) {
    }
    assert_int_equal(wanted.size, 0);
}

/* A socket that takes little, a reader that takes less, frames of all sizes,
 * and new ones in between. */
static void test_however_little_is_taken_all_comes(void **state)
{
    struct prng prng;
    int small = 4096;
    size_t parts = 0;
    (void)state;
    assert_int_equal(
        setsockopt(ours, SOL_SOCKET, SO_SNDBUF, &small, sizeof(small)), 0);
    prng_init(&prng, 7);
    for (int round = 0; round < 3000; round++) {
        if (queue.count < 40) {
            size_t size = (size_t)prng_between(&prng, 1, 3000);
            push(prng_below(&prng, 20) == 0 ? size * 20 : size,
                 (char)('a' + round % 26));
        }
        enum peer_sent sent = send_some();
        assert_true(sent != PEER_SENT_BROKEN);
        parts += sent == PEER_SENT_PART ? 1 : 0;
        (void)read_some((size_t)prng_between(&prng, 1, 4096));
    }
    assert_true(parts > 100);
    while (wanted.size > 0) {
        assert_true(send_some() != PEER_SENT_BROKEN);
        (void)read_some(4096);
    }
    assert_int_equal(queue.count, 0);
    assert_int_equal(queue.bytes, 0);
}

static void test_a_full_socket_is_no_error(void **state)
{
    (void)state;
    for (int i = 0; i < 100; i++) {
        push(100000, 'x');
    }
    assert_int_equal(send_some(), PEER_SENT_PART);
    uint64_t before = writes;
    assert_int_equal(send_some(), PEER_SENT_PART);
    assert_int_equal(writes, before + 1);
    assert_true(queue.count > 0);
    size_t left = queue.count;
    assert_int_equal(peer_queue__clear(&queue), left);
    assert_int_equal(queue.bytes + queue.sent, 0);
}

static void test_nobody_there_is_told(void **state)
{
    (void)state;
    push(10, 'x');
    close(theirs);
    assert_int_equal(send_some(), PEER_SENT_BROKEN);
    assert_int_equal(queue.count, 1);
    theirs = dup(ours);
}

/* A frame that several members get is one in memory. */
static void test_references_are_let_go(void **state)
{
    struct refbuf *frame = refbuf_dup("shared", 6);
    (void)state;
    for (int i = 0; i < 3; i++) {
        peer_queue__push(&queue, refbuf_ref(frame));
    }
    assert_int_equal(atomic_load(&frame->refs), 4);
    assert_int_equal(send_some(), PEER_SENT_ALL);
    assert_int_equal(atomic_load(&frame->refs), 1);
    peer_queue__push(&queue, refbuf_ref(frame));
    assert_int_equal(peer_queue__clear(&queue), 1);
    assert_int_equal(atomic_load(&frame->refs), 1);
    refbuf_unref(frame);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_what_waits_goes_in_one_call, begin,
                                        end),
        cmocka_unit_test_setup_teardown(test_nothing_is_no_call, begin, end),
        cmocka_unit_test_setup_teardown(
            test_more_than_one_call_takes_goes_in_several, begin, end),
        cmocka_unit_test_setup_teardown(test_however_little_is_taken_all_comes,
                                        begin, end),
        cmocka_unit_test_setup_teardown(test_a_full_socket_is_no_error, begin,
                                        end),
        cmocka_unit_test_setup_teardown(test_nobody_there_is_told, begin, end),
        cmocka_unit_test_setup_teardown(test_references_are_let_go, begin, end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
