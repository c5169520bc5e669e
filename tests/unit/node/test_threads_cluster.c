/* Three members, each with a writer, a backend and a reader of its own, and
 * snapshots that come in beside them: for the thread sanitizer. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <time.h>

#include "base/check.h"
#include "base/list.h"
#include "memory/disk_memory.h"
#include "memory/kv_memory.h"
#include "node/node.h"

enum { MEMBERS = 3, WRITES = 300, SECOND_NS = 1000000000 };

struct bell {
    pthread_mutex_t mutex;
    pthread_cond_t cond;
    bool rung;
};

struct member {
    size_t number;
    struct clock clock;
    struct lock lock;
    pthread_rwlock_t rwlock;
    struct net net;
    struct disk_memory *disk;
    struct kv *kv;
    struct node_config config;
    _Atomic(struct node *) node; /* NULL: down; under `door` */
    pthread_rwlock_t door;       /* held by who calls the node from outside */
    struct bell writer_bell;
    struct bell backend_bell;
    atomic_bool stop;
    pthread_t threads[3];
    atomic_bool wanted[MEMBERS]; /* snapshots, as leader */
    atomic_size_t jumps;
};

static struct member members[MEMBERS];
static struct node_member list[MEMBERS];
static struct bell snapshot_bell;
static pthread_mutex_t carrying; /* nobody stops while a snapshot is brought */
static atomic_bool done;
static atomic_size_t installed;

/* ---- bells and clocks ---------------------------------------------------- */

static int64_t now_ns(clockid_t id)
{
    struct timespec now;
    clock_gettime(id, &now);
    return (int64_t)now.tv_sec * SECOND_NS + now.tv_nsec;
}

static int64_t wall_ns(struct clock *clock)
{
    (void)clock;
    return now_ns(CLOCK_REALTIME);
}

static int64_t monotonic_ns(struct clock *clock)
{
    (void)clock;
    return now_ns(CLOCK_MONOTONIC);
}

static void bell_init(struct bell *bell)
{
    *bell = (struct bell){0};
    pthread_mutex_init(&bell->mutex, NULL);
    pthread_cond_init(&bell->cond, NULL);
}

static void ring(struct bell *bell)
{
    pthread_mutex_lock(&bell->mutex);
    bell->rung = true;
    pthread_cond_signal(&bell->cond);
    pthread_mutex_unlock(&bell->mutex);
}

static void await(struct bell *bell, int64_t wait_ns)
{
    int64_t until_ns = now_ns(CLOCK_REALTIME) + wait_ns;
    struct timespec until = {.tv_sec = until_ns / SECOND_NS,
                             .tv_nsec = until_ns % SECOND_NS};
    pthread_mutex_lock(&bell->mutex);
    while (!bell->rung &&
           pthread_cond_timedwait(&bell->cond, &bell->mutex, &until) == 0)
        continue;
    bell->rung = false;
    pthread_mutex_unlock(&bell->mutex);
}

static void nap(long ns)
{
    struct timespec moment = {.tv_nsec = ns};
    nanosleep(&moment, NULL);
}

/* ---- doors --------------------------------------------------------------- */

static void read_lock(struct lock *lock)
{
    int failed =
        pthread_rwlock_rdlock(&CONTAINER_OF(lock, struct member, lock)->rwlock);
    CHECK_EQ(failed, 0);
}

static void write_lock(struct lock *lock)
{
    int failed =
        pthread_rwlock_wrlock(&CONTAINER_OF(lock, struct member, lock)->rwlock);
    CHECK_EQ(failed, 0);
}

static void unlock(struct lock *lock)
{
    int failed =
        pthread_rwlock_unlock(&CONTAINER_OF(lock, struct member, lock)->rwlock);
    CHECK_EQ(failed, 0);
}

/* The member, while it is up; NULL otherwise. release() follows. */
static struct node *hold(struct member *member)
{
    pthread_rwlock_rdlock(&member->door);
    struct node *node = atomic_load(&member->node);
    if (node == NULL)
        pthread_rwlock_unlock(&member->door);
    return node;
}

static void release(struct member *member)
{
    pthread_rwlock_unlock(&member->door);
}

static struct member *of_net(struct net *net)
{
    return CONTAINER_OF(net, struct member, net);
}

static void net_send_message(struct net *net, uint64_t to,
                             struct refbuf *message)
{
    struct member *target = &members[to - 1];
    struct node *node = hold(target);
    if (node == NULL) {
        refbuf_unref(message);
        return;
    }
    node_receive(node, of_net(net)->number + 1, message);
    release(target);
}

static void net_flush_messages(struct net *net)
{
    (void)net;
}

static void net_know_members(struct net *net, const struct net_member *known,
                             size_t count)
{
    (void)net;
    for (size_t i = 0; i < count; i++)
        CHECK(known[i].id >= 1 && known[i].id <= MEMBERS);
}

static void net_want_snapshot(struct net *net, uint64_t to)
{
    atomic_store(&of_net(net)->wanted[to - 1], true);
    ring(&snapshot_bell);
}

static const struct net_ops net_ops = {
    .send = net_send_message,
    .flush = net_flush_messages,
    .set_members = net_know_members,
    .snapshot = net_want_snapshot,
};

static void on_commits(void *context, struct mvcc_commit *const *commits,
                       size_t count)
{
    (void)context;
    CHECK(count > 0 && commits[0]->count > 0);
}

static void on_jump(void *context, revision newest)
{
    struct member *member = context;
    CHECK(newest > 0);
    atomic_fetch_add(&member->jumps, 1);
}

static void on_answered(void *context)
{
    (void)context;
}

static void on_flush_due(void *context)
{
    struct member *member = context;
    ring(&member->backend_bell);
}

static void on_submitted(void *context)
{
    struct member *member = context;
    ring(&member->writer_bell);
}

/* ---- a member's threads -------------------------------------------------- */

static void *writer(void *argument)
{
    struct member *member = argument;
    struct node *node = atomic_load(&member->node);
    while (!atomic_load(&member->stop)) {
        enum err err = node_run(node);
        CHECK_EQ(err, ERR_OK);
        int64_t wait_ns =
            node_deadline_ms(node) * 1000000 - now_ns(CLOCK_MONOTONIC);
        if (wait_ns > 0)
            await(&member->writer_bell,
                  wait_ns < SECOND_NS ? wait_ns : SECOND_NS);
    }
    return NULL;
}

static void *backend(void *argument)
{
    struct member *member = argument;
    struct node *node = atomic_load(&member->node);
    while (!atomic_load(&member->stop)) {
        bool more;
        enum err err = node_flush(node, &more);
        CHECK_EQ(err, ERR_OK);
        ring(&member->writer_bell);
        if (!more)
            await(&member->backend_bell, SECOND_NS / 100);
    }
    return NULL;
}

/* Looks at all that may be looked at from any thread. */
static void *looker(void *argument)
{
    struct member *member = argument;
    struct node *node = atomic_load(&member->node);
    struct mvcc_reader *reader;
    struct arena arena;
    revision last = 0;
    enum err err = mvcc_reader_new(node_mvcc(node), &reader);
    CHECK_EQ(err, ERR_OK);
    arena_init(&arena, 0);
    while (!atomic_load(&member->stop)) {
        struct node_progress progress;
        struct node_counters counters;
        struct node_cluster_config cluster;
        struct node_peer peers[MEMBERS];
        struct node_member *all;
        struct mvcc_status status;
        node_progress(node, &progress);
        node_counters(node, &counters);
        node_cluster_config(node, &cluster);
        CHECK(node_peers(node, peers, MEMBERS) < MEMBERS);
        lock_read(&member->lock);
        mvcc_read_begin(reader);
        mvcc_status(node_mvcc(node), &status);
        CHECK(status.current >= last);
        last = status.current;
        CHECK_EQ(node_members(node, &arena, &all), MEMBERS);
        CHECK(!node_member_removed(node, 99));
        mvcc_read_end(reader);
        unlock_read(&member->lock);
        arena_reset(&arena);
        node_peer_lost(node, 1 + (member->number + 1) % MEMBERS);
        node_unreachable(node, 1 + (member->number + 2) % MEMBERS);
        node_receive(node, 1 + (member->number + 1) % MEMBERS,
                     refbuf_dup("\4 what?", 7));
        nap(2000000);
    }
    arena_deinit(&arena);
    mvcc_reader_free(reader);
    return NULL;
}

static void start(struct member *member)
{
    void *(*const threads[3])(void *) = {writer, backend, looker};
    struct node *node;
    enum err err = node_open(&member->config, &node);
    assert_int_equal(err, ERR_OK);
    atomic_store(&member->stop, false);
    atomic_store(&member->node, node);
    for (size_t i = 0; i < 3; i++)
        assert_int_equal(
            pthread_create(&member->threads[i], NULL, threads[i], member), 0);
}

static void stop(struct member *member)
{
    struct node *node = atomic_load(&member->node);
    pthread_mutex_lock(&carrying);
    atomic_store(&member->stop, true);
    ring(&member->writer_bell);
    ring(&member->backend_bell);
    for (size_t i = 0; i < 3; i++)
        pthread_join(member->threads[i], NULL);
    atomic_store(&member->node, NULL);
    /* Whoever held it has let go by now. */
    pthread_rwlock_wrlock(&member->door);
    pthread_rwlock_unlock(&member->door);
    node_close(node);
    pthread_mutex_unlock(&carrying);
}

/* ---- snapshots ----------------------------------------------------------- */

struct transfer {
    struct node_snapshot_arrival arrival;
    struct bell bell;
};

static void on_arrived(struct node_snapshot_arrival *arrival)
{
    ring(&CONTAINER_OF(arrival, struct transfer, arrival)->bell);
}

static bool copy(struct snap_source *source, struct snap_sink *sink)
{
    struct buf chunk = {0};
    bool complete = false;
    enum err err = snap_source_seek(source, snap_sink_place(sink));
    while (err == ERR_OK && !complete) {
        buf_reset(&chunk);
        err = snap_source_next(source, &chunk);
        if (err == ERR_OK)
            err = snap_sink_write(sink, buf_slice(&chunk), &complete);
    }
    buf_deinit(&chunk);
    return complete;
}

static bool take_in(struct node *to, const struct snap_header *header,
                    struct snap_source *source)
{
    struct transfer transfer = {
        .arrival = {.header = *header, .on_done = on_arrived}};
    enum err err = node_snapshot_receive(to, header, &transfer.arrival.sink);
    if (err != ERR_OK)
        return err == ERR_EXISTS;
    bell_init(&transfer.bell);
    bool complete = copy(source, transfer.arrival.sink);
    transfer.arrival.complete = complete;
    node_snapshot_arrived(to, &transfer.arrival);
    if (complete) {
        await(&transfer.bell, 10LL * SECOND_NS);
        CHECK(transfer.arrival.sink == NULL);
        atomic_fetch_add(&installed, transfer.arrival.err == ERR_OK);
    }
    return complete;
}

static void bring_over(struct member *from, struct member *to)
{
    struct snap_header header = {0};
    struct snap_source *source = NULL;
    bool good = false;
    struct node *sender = hold(from);
    if (sender == NULL)
        return;
    struct node *receiver = hold(to);
    if (receiver != NULL) {
        if (node_snapshot_open(sender, &header, &source) == ERR_OK) {
            good = take_in(receiver, &header, source);
            snap_source_close(source);
        }
        release(to);
    }
    node_snapshot_sent(sender, to->number + 1, header.index, !good);
    release(from);
}

static void *carrier(void *unused)
{
    (void)unused;
    while (!atomic_load(&done)) {
        for (size_t i = 0; i < MEMBERS; i++)
            for (size_t j = 0; j < MEMBERS; j++)
                if (atomic_exchange(&members[i].wanted[j], false)) {
                    pthread_mutex_lock(&carrying);
                    bring_over(&members[i], &members[j]);
                    pthread_mutex_unlock(&carrying);
                }
        await(&snapshot_bell, SECOND_NS / 20);
    }
    return NULL;
}

/* ---- clients ------------------------------------------------------------- */

struct client {
    struct node_request request;
    struct node_read read;
    struct bell bell;
    pthread_t thread;
    size_t at;
    size_t written;
};

static void on_written(struct node_request *request)
{
    ring(&CONTAINER_OF(request, struct client, request)->bell);
}

static void on_read(struct node_read *read)
{
    ring(&CONTAINER_OF(read, struct client, read)->bell);
}

/* What was handed in is answered, by the node's end if by nothing else. */
static bool write_one(struct client *client, int i)
{
    char key[32];
    char value[32];
    struct node *node = hold(&members[client->at]);
    if (node == NULL)
        return false;
    snprintf(key, sizeof key, "/%zu/%d", client->at, i % 20);
    snprintf(value, sizeof value, "%d", i);
    struct command command = {.type = COMMAND_TREE,
                              .tree = {.op = TREE_SET,
                                       .path = slice_str(key),
                                       .value = slice_str(value)}};
    client->request.command = command_encode(&command);
    client->request.on_done = on_written;
    enum err err = node_submit(node, &client->request);
    release(&members[client->at]);
    CHECK_EQ(err, ERR_OK);
    await(&client->bell, 30LL * SECOND_NS);
    CHECK(client->request.command == NULL);
    if (client->request.err == ERR_OK) {
        client->written++;
        tree_result_deinit(&client->request.tree);
    }
    return true;
}

static void read_once(struct client *client)
{
    struct node *node = hold(&members[client->at]);
    if (node == NULL)
        return;
    client->read.on_done = on_read;
    enum err err = node_read(node, &client->read);
    release(&members[client->at]);
    CHECK_EQ(err, ERR_OK);
    await(&client->bell, 30LL * SECOND_NS);
}

static void *run_client(void *argument)
{
    struct client *client = argument;
    for (int i = 0; i < WRITES; i++) {
        if (!write_one(client, i))
            nap(1000000);
        else if (i % 3 == 0)
            read_once(client);
    }
    return NULL;
}

/* ---- the story ----------------------------------------------------------- */

static void init(struct member *member, size_t number)
{
    static const char *const names[MEMBERS] = {"a", "b", "c"};
    static const char *const urls[MEMBERS] = {"http://a:1", "http://b:1",
                                              "http://c:1"};
    *member = (struct member){
        .number = number,
        .clock = {wall_ns, monotonic_ns},
        .lock = {read_lock, unlock, write_lock, unlock},
        .net = {.ops = &net_ops},
        .disk = disk_memory_new(number),
        .kv = kv_memory_new(),
    };
    pthread_rwlock_init(&member->rwlock, NULL);
    pthread_rwlock_init(&member->door, NULL);
    bell_init(&member->writer_bell);
    bell_init(&member->backend_bell);
    list[number] = (struct node_member){.id = number + 1,
                                        .name = slice_str(names[number]),
                                        .peer_urls = slice_str(urls[number])};
    member->config = (struct node_config){
        .ports = {.clock = &member->clock,
                  .disk = disk_memory_door(member->disk),
                  .kv = member->kv,
                  .lock = &member->lock,
                  .net = &member->net},
        .cluster_id = 1,
        .member_id = number + 1,
        .name = names[number],
        .client_urls = "http://client:1",
        .members = list,
        .member_count = MEMBERS,
        .pre_vote = true,
        .request_timeout_ms = 3000,
        .seed = number + 1,
        .heartbeat_ms = 30,
        .election_ms = 300,
        .wal_segment_bytes = 64 * 1024,
        .flush_revisions = 50,
        .on_commits = on_commits,
        .on_jump = on_jump,
        .on_answered = on_answered,
        .on_flush_due = on_flush_due,
        .on_submitted = on_submitted,
        .context = member,
    };
}

static void deinit(struct member *member)
{
    disk_memory_free(member->disk);
    kv_memory_free(member->kv);
    pthread_rwlock_destroy(&member->rwlock);
    pthread_rwlock_destroy(&member->door);
}

static raft_index applied_by(size_t number)
{
    struct node_progress progress;
    node_progress(atomic_load(&members[number].node), &progress);
    return progress.applied;
}

static void wait_until_same(void)
{
    int64_t start_ns = now_ns(CLOCK_MONOTONIC);
    while (applied_by(0) == 0 || applied_by(0) != applied_by(1) ||
           applied_by(0) != applied_by(2)) {
        nap(5000000);
        assert_true(now_ns(CLOCK_MONOTONIC) - start_ns < 30LL * SECOND_NS);
    }
}

static void three_members_and_their_threads(void **state)
{
    (void)state;
    struct client clients[MEMBERS];
    pthread_t carriers;
    bell_init(&snapshot_bell);
    pthread_mutex_init(&carrying, NULL);
    for (size_t i = 0; i < MEMBERS; i++)
        init(&members[i], i);
    for (size_t i = 0; i < MEMBERS; i++)
        start(&members[i]);
    assert_int_equal(pthread_create(&carriers, NULL, carrier, NULL), 0);
    for (size_t i = 0; i < MEMBERS; i++) {
        clients[i] = (struct client){.at = i};
        bell_init(&clients[i].bell);
        assert_int_equal(
            pthread_create(&clients[i].thread, NULL, run_client, &clients[i]),
            0);
    }
    /* One goes for a while: the log moves on without it. */
    nap(300000000);
    stop(&members[2]);
    nap(400000000);
    start(&members[2]);
    size_t written = 0;
    for (size_t i = 0; i < MEMBERS; i++) {
        pthread_join(clients[i].thread, NULL);
        written += clients[i].written;
    }
    wait_until_same();
    atomic_store(&done, true);
    ring(&snapshot_bell);
    pthread_join(carriers, NULL);
    for (size_t i = 0; i < MEMBERS; i++)
        stop(&members[i]);
    assert_true(written > WRITES);
    assert_true(atomic_load(&installed) > 0);
    for (size_t i = 0; i < MEMBERS; i++)
        deinit(&members[i]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(three_members_and_their_threads),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
