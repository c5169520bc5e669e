/* Members that speak to each other: messages, connections that come and go,
 * slow and dead ones, and what it costs to send. */
#include "tests/unit/host/peers_world.h"

/* ---- messages ------------------------------------------------------------ */

static void test_messages_go_both_ways(void **state)
{
    struct member *one = &world[1];
    struct member *two = &world[2];
    (void)state;
    world_start_two();
    send_text(one, 2, "hello");
    send_text(one, 2, "there");
    net_flush(one->net);
    WAIT_UNTIL(two, has_received(&two->node, "1:hello 1:there "));
    send_now(two, 1, "thanks");
    WAIT_UNTIL(one, has_received(&one->node, "2:thanks "));
    WAIT_UNTIL(two, two->node.turns > 0);
    assert_int_equal(told(one, &one->node.lost[2]), 0);
    assert_int_equal(told(two, &two->node.lost[1]), 0);
    assert_int_equal(told(one, &one->node.unreachable[2]), 0);
}

/* What was sent before there was a connection is not lost. */
static void test_messages_wait_for_the_first_connection(void **state)
{
    struct member *one = world_make(1);
    struct member *two = world_make(2);
    (void)state;
    world_open(one, 0);
    world_know(one, two);
    send_now(one, 2, "early");
    world_start(one);
    rest(30);
    world_open(two, 0);
    world_start(two);
    WAIT_UNTIL(two, has_received(&two->node, "1:early "));
}

static void test_many_messages_of_any_size_come_in_order(void **state)
{
    struct member *one = &world[1];
    struct member *two = &world[2];
    static const size_t sizes[] = {64,     100,    1000,    65536,
                                   300000, 524288, 3000000, 70};
    uint64_t total = 0;
    (void)state;
    world_start_two();
    wait_connected(one, true);
    for (uint64_t i = 0; i < 400; i++) {
        size_t size = sizes[i % 8];
        send_number(one, 2, i, size);
        total += size;
        if (i % 3 == 0) {
            net_flush(one->net);
        }
        if (i % 8 == 7) {
            WAIT_UNTIL(two, two->node.received_bytes + 8000000 > total);
        }
    }
    net_flush(one->net);
    WAIT_UNTIL(two, two->node.received_count == 400);
    assert_int_equal(two->node.received_bytes, total);
    assert_false(two->node.out_of_order);
    assert_int_equal(stat_of(one).dropped, 0);
    assert_int_equal(stat_of(one).sent_bytes,
                     total + 400 * PEER_FRAME_HEAD_BYTES);
    assert_int_equal(stat_of(two).received_bytes,
                     total + 400 * PEER_FRAME_HEAD_BYTES);
}

/* Larger than the queue may be: it goes when it is alone. */
static void test_one_message_may_be_larger_than_the_queue(void **state)
{
    struct member *one = &world[1];
    struct member *two = &world[2];
    size_t size = PEERS_QUEUE_BYTES_MAX + 1000;
    (void)state;
    world_start_two();
    wait_connected(one, true);
    send_number(one, 2, 0, size);
    net_flush(one->net);
    WAIT_UNTIL(two, two->node.received_bytes == size);
    assert_false(two->node.out_of_order);
}

/* ---- what it costs ------------------------------------------------------- */

static void test_a_flush_is_one_system_call_and_no_wake_up(void **state)
{
    struct member *one = &world[1];
    struct member *two = &world[2];
    (void)state;
    world_start_two();
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

static void test_a_flush_of_nothing_costs_nothing(void **state)
{
    struct member *one = &world[1];
    (void)state;
    world_start_two();
    wait_connected(one, true);
    uint64_t writes = stat_of(one).writes;
    for (int i = 0; i < 100; i++) {
        net_flush(one->net);
    }
    assert_int_equal(stat_of(one).writes, writes);
}

/* All that came in one go is one turn of the node. */
static void test_a_round_is_one_turn(void **state)
{
    struct member *one = &world[1];
    struct member *two = &world[2];
    (void)state;
    world_start_two();
    wait_connected(one, true);
    wait_connected(two, true);
    rest(20);
    size_t turns = told(two, &two->node.turns);
    for (uint64_t i = 0; i < 60; i++) {
        send_number(one, 2, i, 100);
    }
    net_flush(one->net);
    WAIT_UNTIL(two, two->node.received_count == 60);
    WAIT_UNTIL(two, two->node.turns > turns);
    rest(20);
    assert_true(told(two, &two->node.turns) - turns <= 3);
}

/* ---- connections that end ------------------------------------------------ */

static void test_a_members_end_is_told_at_once(void **state)
{
    struct member *one = &world[1];
    struct member *two = &world[2];
    (void)state;
    world_start_two();
    wait_connected(one, true);
    wait_connected(two, true);
    int64_t begin_ms = now_ms();
    world_stop(two);
    WAIT_UNTIL(one, one->node.lost[2] >= 2); /* both ways */
    assert_true(now_ms() - begin_ms < 1000);
    WAIT_UNTIL(one, one->node.turns > 0);
    wait_connected(one, false);
    assert_int_equal(stat_of(one).send_failures, 1);
}

static void test_a_member_that_comes_back_is_connected_to(void **state)
{
    struct member *one = &world[1];
    struct member *two = &world[2];
    (void)state;
    world_start_two();
    wait_connected(one, true);
    for (int i = 0; i < 3; i++) {
        world_stop(two);
        wait_connected(one, false);
        rest(50);
        world_open(two, 0);
        world_know(two, one);
        world_start(two);
        wait_connected(one, true);
        send_now(one, 2, "again");
        WAIT_UNTIL(two, has_received(&two->node, "1:again "));
        send_now(two, 1, "yes");
        WAIT_UNTIL(one, has_received(&one->node, "2:yes "));
        pthread_mutex_lock(&one->node.mutex);
        buf_reset(&one->node.received);
        pthread_mutex_unlock(&one->node.mutex);
    }
}

/* It tries at growing intervals, up to a second; but who was away and comes
 * back connects by itself, and is connected to at once. */
static void test_who_comes_back_need_not_be_waited_for(void **state)
{
    struct member *one = &world[1];
    struct member *two = &world[2];
    (void)state;
    world_start_two();
    wait_connected(one, true);
    world_stop(two);
    rest(1800); /* the pauses have become long */
    world_open(two, 0);
    world_know(two, one);
    int64_t begin_ms = now_ms();
    world_start(two);
    wait_connected(one, true);
    assert_true(now_ms() - begin_ms < 400);
}

static void test_messages_to_a_dead_member_are_dropped(void **state)
{
    struct member *one = world_make(1);
    struct member *two = world_make(2);
    (void)state;
    close(two->listening);
    two->listening = -1;
    world_open(one, 0);
    world_know(one, two);
    world_start(one);
    WAIT_UNTIL(one, one->node.unreachable[2] > 0);
    size_t before = told(one, &one->node.unreachable[2]);
    for (int i = 0; i < 1000; i++) {
        send_now(one, 2, "nobody hears this");
    }
    assert_int_equal(stat_of(one).dropped, 1000);
    /* Told so, but not a thousand times. */
    WAIT_UNTIL(one, one->node.unreachable[2] > before);
    assert_true(told(one, &one->node.unreachable[2]) < before + 50);
}

/* One that takes the connection and then reads nothing. */
static int be_a_member_that_does_not_read(struct member *member)
{
    struct peer_answer yes = {.verdict = PEER_OK};
    struct buf out = {0};
    char bytes[4096];
    int fd = accept(member->listening, NULL, NULL);
    assert_true(fd >= 0);
    assert_true(recv(fd, bytes, sizeof(bytes), 0) > PEER_PREFACE_BYTES);
    peer_answer_encode(&yes, &out);
    put_bytes(fd, out.at, out.size);
    buf_deinit(&out);
    return fd;
}

static void test_a_slow_member_costs_a_bounded_queue(void **state)
{
    struct member *one = world_make(1);
    struct member *two = world_make(2);
    (void)state;
    world_open(one, 0);
    world_know(one, two);
    world_start(one);
    int fd = be_a_member_that_does_not_read(two);
    wait_connected(one, true);
    for (uint64_t i = 0; i < 100; i++) {
        send_number(one, 2, i, 1000 * 1000);
        net_flush(one->net);
    }
    struct peers_stat stat = stat_of(one);
    assert_true(stat.dropped > 30);
    assert_true(stat.dropped < 70);
    WAIT_UNTIL(one, one->node.unreachable[2] > 0);
    assert_true(stat_of(one).connected);
    close(fd);
    WAIT_UNTIL(one, one->node.lost[2] > 0);
}

static void test_a_member_that_takes_nothing_is_given_up(void **state)
{
    struct member *one = world_make(1);
    struct member *two = world_make(2);
    (void)state;
    world_open(one, 0);
    one->peers->stall_ms = 300;
    world_know(one, two);
    world_start(one);
    int fd = be_a_member_that_does_not_read(two);
    wait_connected(one, true);
    for (uint64_t i = 0; i < 20; i++) {
        send_number(one, 2, i, 1000 * 1000);
    }
    net_flush(one->net);
    WAIT_UNTIL(one, one->node.lost[2] > 0);
    /* And tried anew. */
    int again = be_a_member_that_does_not_read(two);
    wait_connected(one, true);
    close(again);
    close(fd);
}

/* ---- who is a member ----------------------------------------------------- */

static void test_a_removed_member_is_let_go_and_told(void **state)
{
    struct member *one = &world[1];
    struct member *two = &world[2];
    (void)state;
    world_start_two();
    wait_connected(one, true);
    wait_connected(two, true);
    set_removed(one, 2);
    net_set_members(one->net, NULL, 0);
    WAIT_UNTIL(two, two->node.lost[1] >= 2);
    WAIT_UNTIL(two, two->node.refusals > 0);
    assert_int_equal(two->node.refused, ERR_GONE);
    assert_int_equal(peers_stats(one->peers, &(struct peers_stat){0}, 1), 0);
    /* To whom nobody knows nothing is sent, and nothing breaks. */
    send_now(one, 3, "who?");
    set_removed(one, 0);
    world_know(one, two);
    wait_connected(one, true);
    send_now(one, 2, "back");
    WAIT_UNTIL(two, has_received(&two->node, "1:back "));
}

/* A follower that replays an old configuration doesn't know its leader for a
 * while; it goes on answering. */
static void test_who_is_not_listed_but_speaks_is_answered(void **state)
{
    struct member *one = &world[1];
    struct member *two = &world[2];
    (void)state;
    world_start_two();
    wait_connected(one, true);
    wait_connected(two, true);
    send_now(two, 1, "listed");
    WAIT_UNTIL(one, has_received(&one->node, "2:listed "));
    net_set_members(one->net, NULL, 0);
    rest(50);
    send_now(one, 2, "still here");
    WAIT_UNTIL(two, has_received(&two->node, "1:still here "));
    world_know(one, two);
    rest(50);
    assert_int_equal(told(two, &two->node.lost[1]), 0);
    /* Without a connection from there it is forgotten. */
    net_set_members(one->net, NULL, 0);
    world_stop(two);
    WAIT_UNTIL(one, peers__find(one->peers, 2) == NULL);
}

static void test_a_new_url_is_connected_to(void **state)
{
    struct member *one = &world[1];
    struct member *two = &world[2];
    struct member *three = world_make(3);
    (void)state;
    world_start_two();
    wait_connected(one, true);
    /* Member 2 now lives where 3 would. */
    world_open(three, 0);
    three->id = 2;
    world_start(three);
    struct net_member moved = {.id = 2, .peer_urls = slice_str(three->url)};
    net_set_members(one->net, &moved, 1);
    WAIT_UNTIL(two, two->node.lost[1] > 0);
    wait_connected(one, true);
    send_now(one, 2, "here?");
    WAIT_UNTIL(three, has_received(&three->node, "1:here? "));
}

/* A new member knows nobody; it answers who speaks to it, at the URL that was
 * given in the greeting. */
static void test_who_is_not_known_yet_is_answered(void **state)
{
    struct member *one = world_make(1);
    struct member *two = world_make(2);
    (void)state;
    world_open(one, 0);
    world_open(two, 0);
    world_know(one, two);
    world_start(one);
    world_start(two);
    wait_connected(one, true);
    send_now(one, 2, "welcome");
    WAIT_UNTIL(two, has_received(&two->node, "1:welcome "));
    send_now(two, 1, "who are you?");
    WAIT_UNTIL(one, has_received(&one->node, "2:who are you? "));
    assert_int_equal(peers_stats(two->peers, &(struct peers_stat){0}, 1), 0);
    /* When it becomes known nothing is made anew. */
    world_know(two, one);
    assert_int_equal(peers_stats(two->peers, &(struct peers_stat){0}, 1), 1);
    send_now(two, 1, "ah!");
    WAIT_UNTIL(one, has_received(&one->node, "2:who are you? 2:ah! "));
    assert_int_equal(told(one, &one->node.lost[2]), 0);
    assert_int_equal(told(two, &two->node.lost[1]), 0);
}

/* One that says 0.0.0.0 means its own machine. */
static void test_who_names_no_address_is_found_by_its_own(void **state)
{
    struct member *one = world_make(1);
    struct member *two = world_make(2);
    (void)state;
    (void)snprintf(one->url, sizeof(one->url), "http://0.0.0.0:%d", one->port);
    world_open(one, 0);
    world_open(two, 0);
    world_know(one, two);
    world_start(one);
    world_start(two);
    wait_connected(one, true);
    WAIT_UNTIL(two, peers__find(two->peers, 1) != NULL);
    send_now(two, 1, "found");
    WAIT_UNTIL(one, has_received(&one->node, "2:found "));
}

/* A guest that goes leaves its place to others. */
static void test_a_guest_is_forgotten(void **state)
{
    struct member *two = world_make(2);
    (void)state;
    world_open(two, 0);
    world_start(two);
    for (uint64_t id = 100; id < 100 + 2 * PEERS_GUESTS_MAX; id++) {
        int fd = dial(two);
        struct peer_greeting greeting = greeting_from(id, 2);
        put_greeting(fd, &greeting);
        assert_int_equal(read_answer(fd), PEER_OK);
        close(fd);
        WAIT_UNTIL(two, peers__find(two->peers, id) == NULL);
    }
    assert_int_equal(told(two, &two->node.lost[0]), 2 * PEERS_GUESTS_MAX);
}

static void test_guests_are_counted(void **state)
{
    struct member *two = world_make(2);
    int fds[PEERS_GUESTS_MAX];
    (void)state;
    world_open(two, 0);
    world_start(two);
    for (size_t i = 0; i < PEERS_GUESTS_MAX; i++) {
        struct peer_greeting greeting = greeting_from(100 + i, 2);
        fds[i] = dial(two);
        put_greeting(fds[i], &greeting);
        assert_int_equal(read_answer(fds[i]), PEER_OK);
    }
    struct peer_greeting greeting = greeting_from(99, 2);
    int fd = dial(two);
    put_greeting(fd, &greeting);
    assert_int_equal(read_answer(fd), PEER_BUSY);
    close(fd);
    for (size_t i = 0; i < PEERS_GUESTS_MAX; i++) {
        close(fds[i]);
    }
}

/* ---- addresses ----------------------------------------------------------- */

static void know_at(struct member *member, uint64_t id, const char *urls)
{
    struct net_member known = {.id = id, .peer_urls = slice_str(urls)};
    net_set_members(member->net, &known, 1);
}

static void test_urls_are_tried_in_turn(void **state)
{
    struct member *one = world_make(1);
    struct member *two = world_make(2);
    char urls[256];
    (void)state;
    /* Nobody is at the first, the second is no URL, the third needs TLS. */
    (void)snprintf(urls, sizeof(urls),
                   "http://127.0.0.1:1,nonsense,https://127.0.0.1:%d,%s",
                   two->port, two->url);
    world_open(one, 0);
    world_open(two, 0);
    know_at(one, 2, urls);
    world_start(one);
    world_start(two);
    wait_connected(one, true);
    send_now(one, 2, "found");
    WAIT_UNTIL(two, has_received(&two->node, "1:found "));
}

static void test_a_name_is_looked_up(void **state)
{
    struct member *one = world_make(1);
    struct member *two = world_make(2);
    char url[64];
    (void)state;
    (void)snprintf(url, sizeof(url), "http://localhost:%d", two->port);
    world_open(one, 0);
    world_open(two, 0);
    know_at(one, 2, url);
    send_now(one, 2, "by name");
    world_start(one);
    world_start(two);
    WAIT_UNTIL(two, has_received(&two->node, "1:by name "));
}

static void test_any_address_is_this_machine(void **state)
{
    struct member *one = world_make(1);
    struct member *two = world_make(2);
    char url[64];
    (void)state;
    (void)snprintf(url, sizeof(url), "http://0.0.0.0:%d", two->port);
    world_open(one, 0);
    world_open(two, 0);
    know_at(one, 2, url);
    world_start(one);
    world_start(two);
    wait_connected(one, true);
}

/* Whatever is under way, a stop doesn't wait for it. */
static void test_a_stop_waits_for_nothing(void **state)
{
    struct member *one = world_make(1);
    struct member *silent = world_make(2); /* takes connections, says nothing */
    const char *const urls[] = {
        "http://127.0.0.1:1", "http://localhost:1", silent->url, "nonsense", "",
    };
    (void)state;
    for (size_t i = 0; i < sizeof(urls) / sizeof(urls[0]); i++) {
        for (int wait = 0; wait < 2; wait++) {
            world_open(one, 0);
            know_at(one, 2, urls[i]);
            send_now(one, 2, "is anybody there?");
            world_start(one);
            rest(wait * 30);
            int64_t begin_ms = now_ms();
            world_stop(one);
            assert_true(now_ms() - begin_ms < 1000);
        }
    }
}

static void test_peers_that_were_never_started_are_freed(void **state)
{
    struct member *one = world_make(1);
    (void)state;
    world_open(one, 0);
    know_at(one, 2, "http://127.0.0.1:1");
    send_now(one, 2, "kept, then let go");
    net_snapshot(one->net, 2);
    peers_accept(one->peers, dial(one), NULL);
    peers_stop(one->peers);
    peers_free(one->peers);
    pthread_mutex_destroy(&one->node.mutex);
    lock_posix_free(one->node.lock);
}

/* The writer may be in the middle of a turn. */
static void test_after_a_stop_all_is_dropped(void **state)
{
    struct member *one = &world[1];
    (void)state;
    world_start_two();
    wait_connected(one, true);
    peers_stop(one->peers);
    for (int i = 0; i < 100; i++) {
        send_now(one, 2, "too late");
    }
    world_know(one, &world[2]);
    net_snapshot(one->net, 2);
    assert_int_equal(stat_of(one).dropped, 100);
    assert_false(stat_of(one).connected);
}

/* ---- the writer beside the peers thread ---------------------------------- */

static void *send_much(void *context)
{
    struct member *member = context;
    for (uint64_t i = 0; i < 3000; i++) {
        send_number(member, 2, i, 64 + i % 3000);
        if (i % 5 == 0) {
            net_flush(member->net);
        }
        if (i % 500 == 0) {
            world_know(member, &world[2]);
        }
    }
    net_flush(member->net);
    return NULL;
}

/* For the thread sanitizer: a writer that sends while the other side comes and
 * goes. */
static void test_sending_while_connections_break(void **state)
{
    struct member *one = &world[1];
    struct member *two = &world[2];
    pthread_t writer;
    (void)state;
    world_start_two();
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
        STORY(test_messages_go_both_ways),
        STORY(test_messages_wait_for_the_first_connection),
        STORY(test_many_messages_of_any_size_come_in_order),
        STORY(test_one_message_may_be_larger_than_the_queue),
        STORY(test_a_flush_is_one_system_call_and_no_wake_up),
        STORY(test_a_flush_of_nothing_costs_nothing),
        STORY(test_a_round_is_one_turn),
        STORY(test_a_members_end_is_told_at_once),
        STORY(test_a_member_that_comes_back_is_connected_to),
        STORY(test_who_comes_back_need_not_be_waited_for),
        STORY(test_messages_to_a_dead_member_are_dropped),
        STORY(test_a_slow_member_costs_a_bounded_queue),
        STORY(test_a_member_that_takes_nothing_is_given_up),
        STORY(test_a_removed_member_is_let_go_and_told),
        STORY(test_who_is_not_listed_but_speaks_is_answered),
        STORY(test_a_new_url_is_connected_to),
        STORY(test_who_is_not_known_yet_is_answered),
        STORY(test_who_names_no_address_is_found_by_its_own),
        STORY(test_a_guest_is_forgotten),
        STORY(test_guests_are_counted),
        STORY(test_urls_are_tried_in_turn),
        STORY(test_a_name_is_looked_up),
        STORY(test_any_address_is_this_machine),
        STORY(test_a_stop_waits_for_nothing),
        STORY(test_peers_that_were_never_started_are_freed),
        STORY(test_after_a_stop_all_is_dropped),
        STORY(test_sending_while_connections_break),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
