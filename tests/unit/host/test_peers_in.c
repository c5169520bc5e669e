/* The peer port: members, HTTP clients, and those who are neither. */
#include "tests/unit/host/peers_world.h"

static struct member *start_one(void)
{
    struct member *one = world_make(1);
    world_open(one, 0);
    world_start(one);
    return one;
}

static void put_text(int fd, const char *text)
{
    put_bytes(fd, text, strlen(text));
}

static void put_frame(int fd, const char *text)
{
    char head[PEER_FRAME_HEAD_BYTES];
    peer_frame_head(head, strlen(text));
    put_bytes(fd, head, sizeof(head));
    put_text(fd, text);
}

/* Connects, greets as that member, and is let in. */
static int greet_as(struct member *to, uint64_t id)
{
    struct peer_greeting greeting = greeting_from(id, to->id);
    int fd = dial(to);
    put_greeting(fd, &greeting);
    assert_int_equal(read_answer(fd), PEER_OK);
    return fd;
}

/* ---- HTTP ---------------------------------------------------------------- */

/* What was handed on, with nothing read from it. */
static void assert_handed_on(struct member *member, const char *wanted)
{
    char bytes[256];
    WAIT_UNTIL(member, member->node.http_fd >= 0);
    int fd = member->node.http_fd;
    ssize_t size = recv(fd, bytes, sizeof(bytes), 0);
    assert_int_equal(size, strlen(wanted));
    assert_memory_equal(bytes, wanted, strlen(wanted));
    assert_true((fcntl(fd, F_GETFL) & O_NONBLOCK) != 0);
    close(fd);
    pthread_mutex_lock(&member->node.mutex);
    member->node.http_fd = -1;
    pthread_mutex_unlock(&member->node.mutex);
}

static void test_http_is_handed_on_untouched(void **state)
{
    static const char *const requests[] = {
        "GET /members HTTP/1.1\r\nHost: x\r\n\r\n",
        "G",
        "ETAG",
        "E /",
    };
    struct member *one = start_one();
    (void)state;
    for (size_t i = 0; i < sizeof(requests) / sizeof(requests[0]); i++) {
        int fd = dial(one);
        put_text(fd, requests[i]);
        assert_handed_on(one, requests[i]);
        assert_true(is_closed(fd));
        close(fd);
    }
    assert_int_equal(told(one, &one->node.lost[0]), 0);
}

/* It begins like a member's preface, byte by byte, and goes on otherwise. */
static void test_a_slow_beginning_is_waited_for(void **state)
{
    struct member *one = start_one();
    int fd = dial(one);
    (void)state;
    put_text(fd, "E");
    rest(60);
    put_text(fd, "TCHED");
    rest(60);
    assert_int_equal(one->node.http_fd, -1);
    put_text(fd, " / HTTP/1.1");
    assert_handed_on(one, "ETCHED / HTTP/1.1");
    close(fd);
}

static void test_a_slow_member_gets_in(void **state)
{
    struct member *one = start_one();
    struct peer_greeting greeting = greeting_from(7, 1);
    struct buf out = {0};
    int fd = dial(one);
    (void)state;
    peer_greeting_encode(&greeting, &out);
    for (size_t i = 0; i < out.size; i++) {
        put_bytes(fd, out.at + i, 1);
        rest(2);
    }
    assert_int_equal(read_answer(fd), PEER_OK);
    buf_deinit(&out);
    put_frame(fd, "made it");
    WAIT_UNTIL(one, has_received(&one->node, "7:made it "));
    close(fd);
    WAIT_UNTIL(one, one->node.lost[7] == 1);
}

/* ---- strangers ----------------------------------------------------------- */

static void test_who_says_nothing_is_let_go(void **state)
{
    struct member *one = start_one();
    int64_t begin_ms = now_ms();
    int silent = dial(one);
    int begun = dial(one);
    int half = dial(one);
    (void)state;
    put_text(begun, "ETC");
    put_text(half, PEER_PREFACE "\377\0");
    assert_true(is_closed(silent));
    assert_true(is_closed(begun));
    assert_true(is_closed(half));
    int64_t took_ms = now_ms() - begin_ms;
    assert_true(took_ms >= PEERS_STRANGER_MS - 100);
    assert_true(took_ms < PEERS_STRANGER_MS + 3000);
    close(silent);
    close(begun);
    close(half);
}

/* However many there are, a member gets in. */
static void test_strangers_are_few(void **state)
{
    struct member *one = start_one();
    int fds[PEERS_STRANGERS_MAX + 20];
    size_t count = sizeof(fds) / sizeof(fds[0]);
    (void)state;
    for (size_t i = 0; i < count; i++) {
        fds[i] = dial(one);
    }
    assert_true(is_closed(fds[0])); /* the oldest */
    int member = greet_as(one, 9);
    put_frame(member, "in");
    WAIT_UNTIL(one, has_received(&one->node, "9:in "));
    close(member);
    for (size_t i = 0; i < count; i++) {
        close(fds[i]);
    }
}

static void test_who_makes_no_sense_is_let_go(void **state)
{
    static const struct {
        const char *bytes;
        size_t size;
    } all[] = {
        {PEER_PREFACE "\0\0\0\0", 19},   {PEER_PREFACE "\377\377\377\177", 19},
        {PEER_PREFACE "\1\0\0\0\1", 20}, {PEER_PREFACE "\3\0\0\0abc", 22},
        {"ETCHED-PEER/9\r\n", 15},
    };
    struct member *one = start_one();
    (void)state;
    for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
        int fd = dial(one);
        put_bytes(fd, all[i].bytes, all[i].size);
        assert_true(is_closed(fd));
        close(fd);
    }
    assert_int_equal(one->node.received_count, 0);
}

/* Who doesn't wait for the answer may not be let in at all. */
static void test_who_does_not_wait_is_let_go(void **state)
{
    struct member *one = start_one();
    struct peer_greeting greeting = greeting_from(7, 1);
    struct buf out = {0};
    int fd = dial(one);
    (void)state;
    peer_greeting_encode(&greeting, &out);
    buf_append(&out, "\1\0\0\0x", 5);
    put_bytes(fd, out.at, out.size);
    buf_deinit(&out);
    assert_true(is_closed(fd));
    close(fd);
}

/* ---- who is refused ------------------------------------------------------ */

static void test_greetings_are_judged(void **state)
{
    struct peer_greeting good = greeting_from(7, 1);
    struct peer_greeting other_cluster = good;
    struct peer_greeting other_member = good;
    struct peer_greeting from_itself = good;
    struct peer_greeting from_nobody = good;
    struct peer_greeting removed = good;
    struct member *one = start_one();
    (void)state;
    other_cluster.cluster_id++;
    other_member.to = 5;
    from_itself.from = 1;
    from_nobody.from = 0;
    removed.from = 8;
    set_removed(one, 8);
    const struct {
        const struct peer_greeting *greeting;
        enum peer_verdict verdict;
    } all[] = {
        {&other_cluster, PEER_WRONG_CLUSTER},
        {&other_member, PEER_WRONG_MEMBER},
        {&from_itself, PEER_WRONG_MEMBER},
        {&from_nobody, PEER_WRONG_MEMBER},
        {&removed, PEER_REMOVED},
    };
    for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
        int fd = dial(one);
        put_greeting(fd, all[i].greeting);
        assert_int_equal(read_answer(fd), all[i].verdict);
        assert_true(is_closed(fd));
        close(fd);
    }
    assert_null(peers__find(one->peers, 7));
    close(greet_as(one, 7));
}

static void test_a_member_of_another_cluster_is_told(void **state)
{
    struct member *one = world_make(1);
    struct member *two = world_make(2);
    (void)state;
    world_open(one, 0);
    world_open(two, 0);
    two->cluster++;
    world_know(one, two);
    world_start(two);
    world_start(one);
    WAIT_UNTIL(one, one->node.refused == ERR_WRONG_CLUSTER);
    WAIT_UNTIL(one, one->node.unreachable[2] > 0);
    assert_false(stat_of(one).connected);
    /* Not tried without a pause. */
    rest(500);
    assert_true(told(one, &one->node.refusals) <= 2);
}

static void test_the_wrong_member_is_not_spoken_to(void **state)
{
    struct member *one = world_make(1);
    struct member *three = world_make(3);
    (void)state;
    world_open(one, 0);
    world_open(three, 0);
    struct net_member two = {.id = 2, .peer_urls = slice_str(three->url)};
    net_set_members(one->net, &two, 1);
    send_now(one, 2, "for 2 alone");
    world_start(three);
    world_start(one);
    WAIT_UNTIL(one, one->node.unreachable[2] > 0);
    assert_int_equal(told(three, &three->node.received_count), 0);
    assert_int_equal(told(one, &one->node.refusals), 0);
}

/* ---- one connection a member --------------------------------------------- */

static void test_a_new_connection_takes_the_place_of_the_old(void **state)
{
    struct member *one = start_one();
    int old = greet_as(one, 7);
    (void)state;
    put_frame(old, "old");
    WAIT_UNTIL(one, has_received(&one->node, "7:old "));
    int new = greet_as(one, 7);
    assert_true(is_closed(old));
    put_frame(new, "new");
    WAIT_UNTIL(one, has_received(&one->node, "7:old 7:new "));
    assert_int_equal(told(one, &one->node.lost[7]), 0);
    close(new);
    WAIT_UNTIL(one, one->node.lost[7] == 1);
    close(old);
}

static void test_a_member_that_makes_no_sense_is_lost(void **state)
{
    static const char *const all[] = {"\0\0\0\0", "\377\377\377\177"};
    struct member *one = start_one();
    (void)state;
    for (size_t i = 0; i < 2; i++) {
        int fd = greet_as(one, 7);
        put_frame(fd, "fine");
        put_bytes(fd, all[i], 4);
        assert_true(is_closed(fd));
        WAIT_UNTIL(one, one->node.lost[7] == i + 1);
        assert_int_equal(told(one, &one->node.received_count), i + 1);
        close(fd);
    }
}

/* Bytes that are cut anywhere. */
static void test_frames_in_small_pieces_are_whole(void **state)
{
    struct member *one = start_one();
    int fd = greet_as(one, 7);
    struct buf stream = {0};
    (void)state;
    for (int i = 0; i < 3; i++) {
        peer_frame_head(buf_extend(&stream, PEER_FRAME_HEAD_BYTES), 5);
        buf_append_str(&stream, "frame");
    }
    for (size_t i = 0; i < stream.size; i++) {
        put_bytes(fd, stream.at + i, 1);
        rest(1);
    }
    buf_deinit(&stream);
    WAIT_UNTIL(one, has_received(&one->node, "7:frame 7:frame 7:frame "));
    close(fd);
}

/* A frame that ends in the middle of the connection's life is no message. */
static void test_half_a_frame_is_none(void **state)
{
    struct member *one = start_one();
    int fd = greet_as(one, 7);
    (void)state;
    put_bytes(fd, "\100\0\0\0half", 8);
    close(fd);
    WAIT_UNTIL(one, one->node.lost[7] == 1);
    assert_int_equal(told(one, &one->node.received_count), 0);
}

/* An answer that isn't one, or that more follows: not a member. */
static void test_a_bad_answer_is_no_connection(void **state)
{
    static const struct {
        const char *bytes;
        size_t size;
    } all[] = {
        {"\0\0\0\0", 4},
        {"\3\0\0\0\1\0\0x", 8},
        {"\3\0\0\0\0\0\0", 7},
        {"\377\377\377\177", 4},
        {"HTTP/1.1 400 Bad Request\r\n\r\n", 28},
    };
    struct member *one = world_make(1);
    struct member *two = world_make(2);
    char bytes[1024];
    (void)state;
    world_open(one, 0);
    world_know(one, two);
    world_start(one);
    for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
        int fd = accept(two->listening, NULL, NULL);
        assert_true(fd >= 0);
        assert_true(recv(fd, bytes, sizeof(bytes), 0) > 0);
        put_bytes(fd, all[i].bytes, all[i].size);
        assert_true(is_closed(fd));
        close(fd);
        assert_false(stat_of(one).connected);
    }
    assert_int_equal(told(one, &one->node.lost[2]), 0);
}

/* The other way round nothing is said after the answer. */
static void test_who_talks_where_he_should_listen_is_lost(void **state)
{
    struct member *one = world_make(1);
    struct member *two = world_make(2);
    char bytes[1024];
    (void)state;
    world_open(one, 0);
    world_know(one, two);
    world_start(one);
    int fd = accept(two->listening, NULL, NULL);
    assert_true(recv(fd, bytes, sizeof(bytes), 0) > 0);
    put_bytes(fd, "\3\0\0\0\1\0\0", 7);
    wait_connected(one, true);
    put_text(fd, "blah");
    WAIT_UNTIL(one, one->node.lost[2] == 1);
    close(fd);
}

static int begin(void **state)
{
    (void)state;
    memset(world, 0, sizeof(world));
    return 0;
}

#define STORY(name) cmocka_unit_test_setup_teardown(name, begin, world_end)

int main(void)
{
    const struct CMUnitTest tests[] = {
        STORY(test_http_is_handed_on_untouched),
        STORY(test_a_slow_beginning_is_waited_for),
        STORY(test_a_slow_member_gets_in),
        STORY(test_who_says_nothing_is_let_go),
        STORY(test_strangers_are_few),
        STORY(test_who_makes_no_sense_is_let_go),
        STORY(test_who_does_not_wait_is_let_go),
        STORY(test_greetings_are_judged),
        STORY(test_a_member_of_another_cluster_is_told),
        STORY(test_the_wrong_member_is_not_spoken_to),
        STORY(test_a_new_connection_takes_the_place_of_the_old),
        STORY(test_a_member_that_makes_no_sense_is_lost),
        STORY(test_frames_in_small_pieces_are_whole),
        STORY(test_half_a_frame_is_none),
        STORY(test_a_bad_answer_is_no_connection),
        STORY(test_who_talks_where_he_should_listen_is_lost),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
