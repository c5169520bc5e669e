/* A member that is too far behind for the log gets the whole store, and may
 * crash on every step of the way. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>

#include "base/check.h"
#include "base/list.h"
#include "node/node_int.h"
#include "support/node_cluster.h"

static struct node_cluster world;

static void init(uint64_t seed)
{
    cluster_init(&world, 3, 1, seed);
    for (size_t i = 0; i < 4; i++)
        world.members[i].config.catch_up_entries = 0;
}

static int begin(void **state)
{
    (void)state;
    init(1);
    return 0;
}

static int end(void **state)
{
    (void)state;
    cluster_deinit(&world);
    return 0;
}

#define STORY(name) cmocka_unit_test_setup_teardown(name, begin, end)
#define SET(at, key, value) \
    assert_int_equal(cluster_set(&world, at, key, value), ERR_OK)
#define VALUE(at, key, value) \
    assert_string_equal(cluster_get(&world, at, key), value)
#define OPEN(at) assert_int_equal(cluster_open(&world, at), ERR_OK)

static void write_many(size_t at, size_t count)
{
    char key[32];
    for (size_t i = 0; i < count; i++) {
        snprintf(key, sizeof key, "/k/%zu", i % 40);
        SET(at, key, "v");
    }
}

static bool spare_who_is_cut_off;

static void flush_all(void)
{
    for (size_t i = 0; i < world.count; i++)
        if (world.members[i].node != NULL &&
            !(spare_who_is_cut_off && world.cut[i][(i + 1) % 3] &&
              world.cut[i][(i + 2) % 3]))
            assert_int_equal(cluster_flush(&world, i), ERR_OK);
    cluster_run(&world, 100);
}

/* One sleeps, the others go on and forget their logs. Returns who sleeps. */
static size_t leave_one_behind(void)
{
    cluster_open_all(&world);
    size_t leader = cluster_leader(&world);
    size_t behind = cluster_follower(&world);
    SET(leader, "/before", "1");
    cluster_run(&world, 500);
    cluster_isolate(&world, behind, true);
    SET(leader, "/meanwhile", "2");
    write_many(leader, 60);
    assert_int_equal(cluster_set_ttl(&world, leader, "/ttl", "3", 100), ERR_OK);
    cluster_run(&world, 100);
    flush_all();
    SET(leader, "/after", "4");
    return behind;
}

static void check_whole(size_t at)
{
    cluster_settle(&world);
    VALUE(at, "/before", "1");
    VALUE(at, "/meanwhile", "2");
    VALUE(at, "/ttl", "3");
    VALUE(at, "/after", "4");
    assert_int_equal(lease_count(node_leases(world.members[at].node)), 1);
    cluster_check_same(&world);
}

/* ---- as it should be ----------------------------------------------------- */

static void who_is_far_behind_gets_the_store(void **state)
{
    (void)state;
    size_t behind = leave_one_behind();
    size_t told = world.members[behind].told_count;
    cluster_mend(&world);
    check_whole(behind);
    assert_int_equal(world.members[behind].snapshots_taken, 1);
    assert_int_equal(cluster_counters(&world, behind).snapshots_installed, 1);
    /* The watchers were told of the jump, and of what came behind it. */
    assert_int_equal(world.members[behind].jumps, 1);
    assert_true(world.members[behind].told_count <= told + 2);
    assert_int_equal(world.members[behind].told,
                     cluster_progress(&world, behind).revision);
    SET(behind, "/on", "5");
    VALUE(behind, "/on", "5");
}

static void who_is_a_little_behind_gets_the_log(void **state)
{
    (void)state;
    for (size_t i = 0; i < 4; i++)
        world.members[i].config.catch_up_entries = 1000;
    size_t behind = leave_one_behind();
    cluster_mend(&world);
    check_whole(behind);
    assert_int_equal(world.members[behind].snapshots_taken, 0);
}

static void what_is_kept_for_it_is_bounded_in_entries(void **state)
{
    (void)state;
    for (size_t i = 0; i < 4; i++)
        world.members[i].config.catch_up_entries = 30;
    size_t behind = leave_one_behind();
    cluster_mend(&world);
    check_whole(behind);
    assert_int_equal(world.members[behind].snapshots_taken, 1);
}

static void what_is_kept_for_it_is_bounded_in_bytes(void **state)
{
    (void)state;
    for (size_t i = 0; i < 4; i++) {
        world.members[i].config.catch_up_entries = 1000;
        world.members[i].config.catch_up_bytes = 500;
    }
    size_t behind = leave_one_behind();
    cluster_mend(&world);
    check_whole(behind);
    assert_int_equal(world.members[behind].snapshots_taken, 1);
}

static void its_lease_ends_in_time(void **state)
{
    (void)state;
    size_t behind = leave_one_behind();
    cluster_mend(&world);
    check_whole(behind);
    /* Who leads now has it from the snapshot alone. */
    for (int i = 0; i < 20 && cluster_leader(&world) != behind; i++) {
        node_transfer(world.members[cluster_leader(&world)].node,
                      cluster_id(behind));
        cluster_run(&world, 400);
    }
    assert_int_equal(cluster_leader(&world), behind);
    cluster_run(&world, 90 * 1000);
    VALUE(behind, "/ttl", "3");
    cluster_run(&world, 12 * 1000);
    assert_null(cluster_get(&world, behind, "/ttl"));
    cluster_check_same(&world);
}

static void it_stands_a_restart(void **state)
{
    (void)state;
    size_t behind = leave_one_behind();
    cluster_mend(&world);
    check_whole(behind);
    cluster_close(&world, behind);
    OPEN(behind);
    check_whole(behind);
    cluster_crash(&world, behind);
    OPEN(behind);
    check_whole(behind);
    assert_int_equal(world.members[behind].snapshots_taken, 1);
}

/* Nothing of its own came behind it: the log is empty, and belongs to it. */
static void a_crash_right_behind_it(void **state)
{
    (void)state;
    size_t behind = leave_one_behind();
    size_t leader = cluster_leader(&world);
    flush_all();
    cluster_mend(&world);
    while (world.members[behind].snapshots_taken == 0)
        cluster_run(&world, 1);
    cluster_crash(&world, behind);
    cluster_isolate(&world, behind, true);
    OPEN(behind);
    assert_true(cluster_progress(&world, behind).applied >=
                cluster_progress(&world, leader).applied - 1);
    VALUE(behind, "/meanwhile", "2");
    cluster_mend(&world);
    check_whole(behind);
}

static void a_new_member_gets_it(void **state)
{
    (void)state;
    size_t behind = leave_one_behind();
    cluster_mend(&world);
    cluster_settle(&world);
    assert_int_equal(cluster_change(&world, behind, NODE_ADD_LEARNER, 3),
                     ERR_OK);
    flush_all();
    OPEN(3);
    check_whole(3);
    assert_int_equal(world.members[3].snapshots_taken, 1);
    assert_int_equal(world.members[3].others, 3);
    assert_true(cluster_progress(&world, 3).is_learner);
    cluster_crash(&world, 3);
    OPEN(3);
    check_whole(3);
}

/* ---- on the way ---------------------------------------------------------- */

/* What was proposed here, and is cut off by the snapshot. */
static void what_waited_is_told(void **state)
{
    (void)state;
    cluster_open_all(&world);
    size_t leader = cluster_leader(&world);
    SET(leader, "/before", "1");
    cluster_run(&world, 500);
    cluster_isolate(&world, leader, true);
    struct cluster_wait *wait = cluster_set_async(&world, leader, "/x", "lost");
    cluster_run(&world, 500);
    size_t next = cluster_leader(&world);
    write_many(next, 50);
    flush_all();
    assert_false(wait->done);
    cluster_mend(&world);
    cluster_settle(&world);
    assert_true(wait->done);
    assert_int_equal(wait->err, ERR_TIMEOUT);
    assert_int_equal(world.members[leader].snapshots_taken, 1);
    assert_null(cluster_get(&world, leader, "/x"));
    cluster_check_same(&world);
}

struct transfer {
    struct snap_header header;
    struct snap_source *source;
    struct snap_sink *sink;
    struct node_snapshot_arrival arrival;
    bool done;
};

static void on_done(struct node_snapshot_arrival *arrival)
{
    CONTAINER_OF(arrival, struct transfer, arrival)->done = true;
}

static void open_transfer(struct transfer *transfer, size_t leader)
{
    *transfer = (struct transfer){0};
    assert_int_equal(node_snapshot_open(world.members[leader].node,
                                        &transfer->header, &transfer->source),
                     ERR_OK);
}

static bool copy(struct transfer *transfer, size_t chunks)
{
    struct buf chunk = {0};
    bool complete = false;
    for (size_t i = 0; i < chunks && !complete; i++) {
        buf_reset(&chunk);
        assert_int_equal(snap_source_next(transfer->source, &chunk), ERR_OK);
        assert_int_equal(
            snap_sink_write(transfer->sink, buf_slice(&chunk), &complete),
            ERR_OK);
    }
    buf_deinit(&chunk);
    return complete;
}

static void hand_in(struct transfer *transfer, size_t to, bool complete)
{
    transfer->arrival = (struct node_snapshot_arrival){
        .sink = transfer->sink,
        .header = transfer->header,
        .complete = complete,
        .on_done = on_done,
    };
    node_snapshot_arrived(world.members[to].node, &transfer->arrival);
}

static void refusals(void **state)
{
    (void)state;
    struct transfer transfer;
    struct transfer other = {0};
    world.no_snapshots = true;
    size_t behind = leave_one_behind();
    size_t leader = cluster_leader(&world);
    struct node *node = world.members[behind].node;
    assert_int_equal(node_snapshot_open(node, &other.header, &other.source),
                     ERR_NOT_LEADER);
    assert_null(other.source);
    open_transfer(&transfer, leader);
    assert_int_equal(transfer.header.cluster_id, 0xc1);
    assert_int_equal(transfer.header.from, cluster_id(leader));
    assert_int_equal(transfer.header.term,
                     cluster_progress(&world, leader).term);
    assert_true(transfer.header.index <=
                cluster_progress(&world, leader).applied);
    transfer.header.cluster_id = 0xc2;
    assert_int_equal(
        node_snapshot_receive(node, &transfer.header, &transfer.sink),
        ERR_WRONG_CLUSTER);
    transfer.header.cluster_id = 0xc1;
    assert_int_equal(node_snapshot_receive(world.members[leader].node,
                                           &transfer.header, &transfer.sink),
                     ERR_EXISTS);
    assert_int_equal(
        node_snapshot_receive(node, &transfer.header, &transfer.sink), ERR_OK);
    /* One at a time. */
    assert_int_equal(node_snapshot_receive(node, &transfer.header, &other.sink),
                     ERR_BUSY);
    assert_null(other.sink);
    hand_in(&transfer, behind, false);
    assert_int_equal(
        node_snapshot_receive(node, &transfer.header, &transfer.sink), ERR_OK);
    hand_in(&transfer, behind, false);
    assert_false(transfer.done);
    snap_source_close(transfer.source);
    node_snapshot_sent(world.members[leader].node, cluster_id(behind),
                       transfer.header.index, true);
    world.no_snapshots = false;
    cluster_mend(&world);
    check_whole(behind);
}

/* The log has brought it as far meanwhile. */
static void one_that_comes_too_late_is_not_wanted(void **state)
{
    (void)state;
    struct transfer transfer;
    world.no_snapshots = true;
    for (size_t i = 0; i < 4; i++)
        world.members[i].config.catch_up_entries = 1000;
    size_t behind = leave_one_behind();
    open_transfer(&transfer, cluster_leader(&world));
    assert_int_equal(node_snapshot_receive(world.members[behind].node,
                                           &transfer.header, &transfer.sink),
                     ERR_OK);
    assert_true(copy(&transfer, 100));
    cluster_mend(&world);
    cluster_settle(&world);
    hand_in(&transfer, behind, true);
    cluster_run(&world, 10);
    assert_true(transfer.done);
    assert_int_equal(transfer.arrival.err, ERR_EXISTS);
    snap_source_close(transfer.source);
    check_whole(behind);
    assert_int_equal(cluster_counters(&world, behind).snapshots_installed, 0);
    /* What it left behind is cleaned, and the next one finds room. */
    flush_all();
    assert_int_equal(atomic_load(&world.members[behind].node->clean_at_ms),
                     INT64_MAX);
}

static struct node *flushing;
static struct transfer *late;
static size_t late_to;

/* The backend looks at the clock between its cut and its end. */
static int64_t hand_in_when_asked(struct clock *clock)
{
    struct cluster_member *member =
        CONTAINER_OF(clock, struct cluster_member, clock);
    if (late != NULL) {
        struct transfer *transfer = late;
        late = NULL;
        hand_in(transfer, late_to, true);
        assert_int_equal(node_run(flushing), ERR_OK);
        assert_false(transfer->done);
        /* Nor does it spin meanwhile. */
        assert_true(node_deadline_ms(flushing) > world.now_ns / CLUSTER_MS);
    }
    return (int64_t)(member->number + 1) * 7 * CLUSTER_MS +
           member->cluster->now_ns;
}

/* A flush that is under way writes into the set that it began with. */
static void it_waits_for_a_flush(void **state)
{
    (void)state;
    struct transfer transfer;
    bool more;
    world.no_snapshots = true;
    spare_who_is_cut_off = true;
    size_t behind = leave_one_behind();
    spare_who_is_cut_off = false;
    flushing = world.members[behind].node;
    open_transfer(&transfer, cluster_leader(&world));
    assert_int_equal(
        node_snapshot_receive(flushing, &transfer.header, &transfer.sink),
        ERR_OK);
    assert_true(copy(&transfer, 100));
    late = &transfer;
    late_to = behind;
    /* It has applied something that isn't flushed. */
    world.members[behind].clock.monotonic_ns = hand_in_when_asked;
    struct cluster_wait *wait = cluster_set_async(&world, behind, "/x", "1");
    assert_int_equal(node_flush(flushing, &more), ERR_OK);
    assert_null(late);
    assert_false(transfer.done);
    cluster_run(&world, 200);
    assert_true(transfer.done);
    assert_int_equal(transfer.arrival.err, ERR_OK);
    snap_source_close(transfer.source);
    VALUE(behind, "/meanwhile", "2");
    world.no_snapshots = false;
    (void)cluster_wait(&world, wait);
    cluster_mend(&world);
    check_whole(behind);
}

static void while_it_is_put_in_place_nothing_is_flushed(void **state)
{
    (void)state;
    bool more = true;
    size_t behind = leave_one_behind();
    struct node *node = world.members[behind].node;
    atomic_store(&node->flush_owner, NODE_FLUSH_WRITER);
    uint64_t calls = kv_memory_calls(world.members[behind].kv);
    assert_int_equal(node_flush(node, &more), ERR_OK);
    assert_false(more);
    assert_int_equal(kv_memory_calls(world.members[behind].kv), calls);
    atomic_store(&node->flush_owner, NODE_FLUSH_FREE);
}

/* While it is under way the leader keeps what comes behind it. */
static void what_comes_behind_it_is_kept(void **state)
{
    (void)state;
    struct transfer transfer;
    for (size_t i = 0; i < 4; i++)
        world.members[i].config.catch_up_entries = 500;
    world.no_snapshots = true;
    size_t behind = leave_one_behind();
    size_t leader = cluster_leader(&world);
    struct raft_status status;
    open_transfer(&transfer, leader);
    write_many(leader, 100);
    flush_all();
    raft_status(world.members[leader].node->raft, &status);
    assert_true(status.first <= transfer.header.index + 1);
    snap_source_close(transfer.source);
    node_snapshot_sent(world.members[leader].node, cluster_id(behind),
                       transfer.header.index, true);
    /* Not for ever. */
    cluster_crash(&world, behind);
    write_many(leader, 600);
    flush_all();
    raft_status(world.members[leader].node->raft, &status);
    assert_true(status.first > transfer.header.index + 1);
}

static void what_is_damaged_is_not_installed(void **state)
{
    (void)state;
    struct transfer transfer;
    world.no_snapshots = true;
    size_t behind = leave_one_behind();
    open_transfer(&transfer, cluster_leader(&world));
    /* Said to be of another entry than it is. */
    transfer.header.index++;
    assert_int_equal(node_snapshot_receive(world.members[behind].node,
                                           &transfer.header, &transfer.sink),
                     ERR_OK);
    assert_true(copy(&transfer, 100));
    hand_in(&transfer, behind, true);
    cluster_run(&world, 10);
    assert_true(transfer.done);
    assert_int_equal(transfer.arrival.err, ERR_CORRUPT);
    snap_source_close(transfer.source);
    world.no_snapshots = false;
    cluster_mend(&world);
    check_whole(behind);
}

/* ---- crashes ------------------------------------------------------------- */

enum door { DISK, KV };

/* The n-th call of one of its doors fails from when the lines are mended. */
static bool fail_call(enum door door, uint64_t n)
{
    cluster_deinit(&world);
    init(n);
    size_t behind = leave_one_behind();
    struct cluster_member *member = &world.members[behind];
    uint64_t before = kv_memory_calls(member->kv);
    if (door == DISK)
        disk_memory_fail_call(member->disk, n, ERR_IO);
    else
        kv_memory_fail_after(member->kv, n, ERR_IO);
    cluster_mend(&world);
    int64_t end_ns = world.now_ns + 3000 * CLUSTER_MS;
    while (member->failed == ERR_OK && world.now_ns < end_ns &&
           cluster_counters(&world, behind).snapshots_installed == 0)
        cluster_run(&world, 10);
    uint64_t calls = door == DISK ? disk_memory_calls(member->disk)
                                  : kv_memory_calls(member->kv) - before;
    kv_memory_fail_after(member->kv, 0, ERR_OK);
    cluster_crash(&world, behind);
    OPEN(behind);
    check_whole(behind);
    cluster_crash(&world, behind);
    OPEN(behind);
    check_whole(behind);
    return calls >= n;
}

static void any_call_of_the_disk_may_fail(void **state)
{
    (void)state;
    uint64_t n = 1;
    while (fail_call(DISK, n))
        n++;
    assert_true(n > 10);
}

static void any_call_of_the_store_may_fail(void **state)
{
    (void)state;
    uint64_t n = 1;
    while (fail_call(KV, n))
        n++;
    assert_true(n > 10);
}

/* Between the store's turn and the log's: the store is the snapshot's, the log
 * what it was; by hand, since the window is narrow. */
static void the_log_is_started_anew_by_the_next_start(void **state)
{
    (void)state;
    size_t behind = leave_one_behind();
    struct cluster_member *member = &world.members[behind];
    struct disk_memory *before = disk_memory_new(77);
    const char *name;
    for (size_t i = 0; (name = disk_memory_name(member->disk, i)); i++)
        disk_memory_put(before, name, disk_memory_bytes(member->disk, name));
    cluster_mend(&world);
    while (member->snapshots_taken == 0)
        cluster_run(&world, 1);
    raft_index index;
    raft_term term;
    assert_int_equal(
        node__installed_read(disk_memory_door(member->disk), &index, &term),
        ERR_OK);
    assert_true(index > 0 && term > 0);
    cluster_crash(&world, behind);
    struct disk_memory *after = member->disk;
    member->disk = before;
    /* Without the word for it, it is a mix-up. */
    assert_int_equal(cluster_open(&world, behind), ERR_CORRUPT);
    assert_int_equal(
        node__installed_write(disk_memory_door(before), index, term), ERR_OK);
    /* Nor is the word for another one good enough. */
    assert_int_equal(
        node__installed_write(disk_memory_door(before), index + 1, term),
        ERR_OK);
    assert_int_equal(cluster_open(&world, behind), ERR_CORRUPT);
    assert_int_equal(
        node__installed_write(disk_memory_door(before), index, term), ERR_OK);
    disk_memory_free(after);
    OPEN(behind);
    VALUE(behind, "/meanwhile", "2");
    /* What it had told its leader since is lost too: another one asks. */
    node_transfer(world.members[cluster_leader(&world)].node, 0);
    cluster_run(&world, 2 * CLUSTER_ELECTION_MS);
    check_whole(behind);
    cluster_crash(&world, behind);
    OPEN(behind);
    check_whole(behind);
}

static void again_and_again(void **state)
{
    (void)state;
    char value[16];
    cluster_open_all(&world);
    cluster_run(&world, 1000);
    for (size_t round = 0; round < 12; round++) {
        size_t behind = round % 3;
        cluster_isolate(&world, behind, true);
        size_t leader = cluster_leader(&world);
        snprintf(value, sizeof value, "%zu", round);
        SET(leader, "/round", value);
        write_many(leader, 50);
        flush_all();
        cluster_mend(&world);
        cluster_settle(&world);
        VALUE(behind, "/round", value);
        if (round % 4 == 3) {
            cluster_crash(&world, behind);
            OPEN(behind);
        }
        cluster_check_same(&world);
    }
    size_t taken = 0;
    for (size_t i = 0; i < 3; i++)
        taken += world.members[i].snapshots_taken;
    assert_true(taken >= 10);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        STORY(who_is_far_behind_gets_the_store),
        STORY(who_is_a_little_behind_gets_the_log),
        STORY(what_is_kept_for_it_is_bounded_in_entries),
        STORY(what_is_kept_for_it_is_bounded_in_bytes),
        STORY(its_lease_ends_in_time),
        STORY(it_stands_a_restart),
        STORY(a_crash_right_behind_it),
        STORY(a_new_member_gets_it),
        STORY(what_waited_is_told),
        STORY(refusals),
        STORY(one_that_comes_too_late_is_not_wanted),
        STORY(it_waits_for_a_flush),
        STORY(while_it_is_put_in_place_nothing_is_flushed),
        STORY(what_comes_behind_it_is_kept),
        STORY(what_is_damaged_is_not_installed),
        STORY(any_call_of_the_disk_may_fail),
        STORY(any_call_of_the_store_may_fail),
        STORY(the_log_is_started_anew_by_the_next_start),
        STORY(again_and_again),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
