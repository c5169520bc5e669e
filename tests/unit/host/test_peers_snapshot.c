/* Snapshots between members: brought over whole, taken up again where they
 * broke off, bounded in speed and number, and no obstacle to a stop. */
#include "memory/kv_memory.h"
#include "tests/unit/host/peers_world.h"

enum { PAIRS = 300, VALUE_BYTES = 30 * 1000 }; /* 9 MB, nine chunks */

/* ---- stores -------------------------------------------------------------- */

static void open_store(struct member *member)
{
    member->node.kv = kv_memory_new();
    assert_int_equal(snap_set_open(member->node.kv, &member->node.set), ERR_OK);
}

static void close_store(struct member *member)
{
    snap_set_close(member->node.set);
    kv_memory_free(member->node.kv);
}

static void make_pair(int i, char key[8], char *value)
{
    (void)snprintf(key, 8, "%06d", i);
    memset(value, 'a' + i % 26, VALUE_BYTES);
}

static void fill(struct member *member)
{
    struct kv *kv = snap_set_kv(member->node.set);
    char *value = mem_alloc(VALUE_BYTES);
    struct kv_txn *txn;
    char key[8];
    assert_int_equal(kv->ops->begin_write(kv, &txn), ERR_OK);
    for (int i = 0; i < PAIRS; i++) {
        make_pair(i, key, value);
        assert_int_equal(kv->ops->append(kv, txn, 1, slice_str(key),
                                         slice_of(value, VALUE_BYTES)),
                         ERR_OK);
    }
    assert_int_equal(kv->ops->commit(kv, txn), ERR_OK);
    mem_free(value);
    member->node.header = (struct snap_header){.cluster_id = WORLD_CLUSTER,
                                               .from = member->id,
                                               .id = 77,
                                               .term = 3,
                                               .index = 1234,
                                               .log_term = 2};
}

static bool holds_all(struct member *member)
{
    struct kv *kv = snap_set_kv(member->node.set);
    char *value = mem_alloc(VALUE_BYTES);
    struct kv_txn *txn;
    bool all = true;
    char key[8];
    assert_int_equal(kv->ops->begin_read(kv, &txn), ERR_OK);
    for (int i = 0; i < PAIRS; i++) {
        struct slice got;
        make_pair(i, key, value);
        all = all && kv->ops->get(kv, txn, 1, slice_str(key), &got) == ERR_OK &&
              slice_eq(got, slice_of(value, VALUE_BYTES));
    }
    kv->ops->end_read(kv, txn);
    mem_free(value);
    return all;
}

/* Members 1, which has all, and 2, which has nothing. */
static void start_two(uint64_t bytes_per_s)
{
    struct member *one = world_make(1);
    struct member *two = world_make(2);
    world_open(one, bytes_per_s);
    world_open(two, 0);
    open_store(one);
    open_store(two);
    fill(one);
    world_know(one, two);
    world_know(two, one);
    world_start(two);
    world_start(one);
    wait_connected(one, true);
}

/* The stores go when nothing uses them any more. */
static void end_two(void)
{
    struct kv *kv[3];
    struct snap_set *set[3];
    for (int i = 1; i <= 2; i++) {
        kv[i] = world[i].node.kv;
        set[i] = world[i].node.set;
        world_stop(&world[i]);
        world[i].node.kv = kv[i];
        world[i].node.set = set[i];
        close_store(&world[i]);
    }
}

/* ---- the stories --------------------------------------------------------- */

static void test_a_store_is_brought_over(void **state)
{
    struct member *one = &world[1];
    struct member *two = &world[2];
    (void)state;
    start_two(0);
    net_snapshot(one->net, 2);
    WAIT_UNTIL(one, one->node.sent_well == 1);
    assert_int_equal(told(two, &two->node.arrived), 1);
    assert_true(holds_all(two));
    /* Messages went on beside it. */
    send_now(one, 2, "and now the rest");
    WAIT_UNTIL(two, has_received(&two->node, "1:and now the rest "));
    assert_int_equal(told(one, &one->node.lost[2]), 0);
    end_two();
}

static void test_asked_for_twice_it_is_sent_once(void **state)
{
    struct member *one = &world[1];
    struct member *two = &world[2];
    (void)state;
    start_two(0);
    net_snapshot(one->net, 2);
    net_snapshot(one->net, 2);
    net_snapshot(one->net, 2);
    WAIT_UNTIL(one, one->node.sent_well == 1);
    rest(100);
    assert_int_equal(told(one, &one->node.sent_well), 1);
    assert_int_equal(told(two, &two->node.arrived), 1);
    /* But again when it is over. */
    two->node.receive_err = ERR_EXISTS;
    net_snapshot(one->net, 2);
    WAIT_UNTIL(one, one->node.sent_well == 2);
    assert_int_equal(told(two, &two->node.arrived), 1);
    end_two();
}

/* The receiver goes in the middle; the second transfer sends only what was not
 * there yet. With a bound on the speed the time tells. */
static void test_it_goes_on_where_it_broke_off(void **state)
{
    struct member *one = &world[1];
    struct member *two = &world[2];
    (void)state;
    start_two(6 * 1000 * 1000); /* 1.5 s in all */
    net_snapshot(one->net, 2);
    rest(1000);
    struct kv *kv = two->node.kv;
    struct snap_set *set = two->node.set;
    world_stop(two);
    WAIT_UNTIL(one, one->node.sent_badly == 1);
    snap_set_close(set);

    world_open(two, 0);
    two->node.kv = kv;
    assert_int_equal(snap_set_open(kv, &two->node.set), ERR_OK);
    world_know(two, one);
    world_start(two);
    wait_connected(one, true);
    int64_t begin_ms = now_ms();
    net_snapshot(one->net, 2);
    WAIT_UNTIL(one, one->node.sent_well == 1);
    assert_true(now_ms() - begin_ms < 1200);
    assert_true(holds_all(two));
    end_two();
}

static void test_it_is_not_faster_than_its_bound(void **state)
{
    struct member *one = &world[1];
    (void)state;
    start_two(18 * 1000 * 1000);
    int64_t begin_ms = now_ms();
    net_snapshot(one->net, 2);
    WAIT_UNTIL(one, one->node.sent_well == 1);
    assert_true(now_ms() - begin_ms >= 450); /* half a second for 9 MB */
    end_two();
}

/* ---- what goes wrong ----------------------------------------------------- */

static void test_who_cannot_take_it_says_so(void **state)
{
    static const enum err all[] = {ERR_BUSY, ERR_WRONG_CLUSTER, ERR_DISK_FULL};
    struct member *one = &world[1];
    struct member *two = &world[2];
    (void)state;
    start_two(0);
    for (size_t i = 0; i < 3; i++) {
        two->node.receive_err = all[i];
        int64_t begin_ms = now_ms();
        net_snapshot(one->net, 2);
        WAIT_UNTIL(one, one->node.sent_badly == i + 1);
        /* The node will ask again at once: not a hundred times a second. */
        assert_true(now_ms() - begin_ms >= 400);
    }
    assert_int_equal(told(two, &two->node.arrived_early), 0);
    end_two();
}

static void test_what_could_not_be_installed_failed(void **state)
{
    struct member *one = &world[1];
    struct member *two = &world[2];
    (void)state;
    start_two(0);
    two->node.install_err = ERR_STOPPED;
    net_snapshot(one->net, 2);
    WAIT_UNTIL(one, one->node.sent_badly == 1);
    assert_int_equal(told(two, &two->node.arrived), 1);
    assert_false(holds_all(two));
    end_two();
}

static void test_a_full_disk_in_the_middle_ends_it(void **state)
{
    struct member *one = &world[1];
    struct member *two = &world[2];
    (void)state;
    start_two(0);
    kv_memory_fail_after(two->node.kv, 30, ERR_DISK_FULL);
    net_snapshot(one->net, 2);
    WAIT_UNTIL(one, one->node.sent_badly == 1);
    kv_memory_fail_after(two->node.kv, 0, ERR_OK);
    net_snapshot(one->net, 2);
    WAIT_UNTIL(one, one->node.sent_well == 1);
    assert_true(holds_all(two));
    end_two();
}

static void test_without_a_connection_it_fails(void **state)
{
    struct member *one = world_make(1);
    struct member *two = world_make(2);
    (void)state;
    close(two->listening);
    two->listening = -1;
    world_open(one, 0);
    world_know(one, two);
    world_start(one);
    net_snapshot(one->net, 2);
    net_snapshot(one->net, 3); /* whom nobody knows */
    WAIT_UNTIL(one, one->node.sent_badly == 2);
}

/* Nothing that a stranger sends as a snapshot gets far. */
static void test_a_snapshot_that_is_none_is_refused(void **state)
{
    struct member *one = world_make(1);
    struct snap_header header = {.cluster_id = WORLD_CLUSTER,
                                 .from = 7,
                                 .id = 5,
                                 .term = 1,
                                 .index = 9,
                                 .log_term = 1};
    struct buf encoded = {0};
    (void)state;
    world_open(one, 0);
    open_store(one);
    world_start(one);

    struct peer_greeting greeting = greeting_from(7, 1);
    greeting.kind = PEER_SNAPSHOT;
    greeting.snapshot = SLICE("no header");
    int fd = dial(one);
    put_greeting(fd, &greeting);
    assert_int_equal(read_answer(fd), PEER_FAILED);
    close(fd);

    snap_header_encode(&header, &encoded);
    greeting.snapshot = buf_slice(&encoded);
    greeting.from = 8; /* what 7 sent may be on its way out still */
    fd = dial(one);
    put_greeting(fd, &greeting);
    assert_int_equal(read_answer(fd), PEER_OK);
    put_bytes(fd, "\10\0\0\0no chunk", 12);
    assert_int_equal(read_answer(fd), PEER_FAILED);
    close(fd);
    WAIT_UNTIL(one, one->node.arrived_early == 1);
    buf_deinit(&encoded);

    struct kv *kv = one->node.kv;
    struct snap_set *set = one->node.set;
    world_stop(one);
    one->node.kv = kv;
    one->node.set = set;
    close_store(one);
}

/* A transfer whose sender is gone without a word hangs; when he comes again it
 * is ended, and the next try gets in. */
static void test_a_hanging_transfer_makes_room(void **state)
{
    struct member *one = world_make(1);
    struct snap_header header = {.cluster_id = WORLD_CLUSTER,
                                 .from = 7,
                                 .id = 5,
                                 .term = 1,
                                 .index = 9,
                                 .log_term = 1};
    struct buf encoded = {0};
    (void)state;
    world_open(one, 0);
    open_store(one);
    world_start(one);
    snap_header_encode(&header, &encoded);
    struct peer_greeting greeting = greeting_from(7, 1);
    greeting.kind = PEER_SNAPSHOT;
    greeting.snapshot = buf_slice(&encoded);

    int hanging = dial(one);
    put_greeting(hanging, &greeting);
    assert_int_equal(read_answer(hanging), PEER_OK);
    int again = dial(one);
    put_greeting(again, &greeting);
    assert_int_equal(read_answer(again), PEER_BUSY);
    WAIT_UNTIL(one, one->node.arrived_early == 1);
    close(again);
    again = dial(one);
    put_greeting(again, &greeting);
    assert_int_equal(read_answer(again), PEER_OK);
    close(again);
    close(hanging);
    WAIT_UNTIL(one, one->node.arrived_early == 2);
    buf_deinit(&encoded);

    struct kv *kv = one->node.kv;
    struct snap_set *set = one->node.set;
    world_stop(one);
    one->node.kv = kv;
    one->node.set = set;
    close_store(one);
}

/* ---- stopping ------------------------------------------------------------ */

static void test_a_stop_ends_it_soon(void **state)
{
    struct member *one = &world[1];
    (void)state;
    for (int i = 0; i < 2; i++) {
        start_two(1000 * 1000); /* nine seconds */
        net_snapshot(one->net, 2);
        rest(200);
        int64_t begin_ms = now_ms();
        end_two();
        assert_true(now_ms() - begin_ms < 2000);
        world_end(state);
    }
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
        STORY(test_a_store_is_brought_over),
        STORY(test_asked_for_twice_it_is_sent_once),
        STORY(test_it_goes_on_where_it_broke_off),
        STORY(test_it_is_not_faster_than_its_bound),
        STORY(test_who_cannot_take_it_says_so),
        STORY(test_what_could_not_be_installed_failed),
        STORY(test_a_full_disk_in_the_middle_ends_it),
        STORY(test_without_a_connection_it_fails),
        STORY(test_a_snapshot_that_is_none_is_refused),
        STORY(test_a_hanging_transfer_makes_room),
        STORY(test_a_stop_ends_it_soon),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
