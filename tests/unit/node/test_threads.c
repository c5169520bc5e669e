/* The node with threads of its own for all that may have one: submitters, the
 * writer, the backend, a reader and one that asks how things are. Of use under
 * a sanitizer that sees races; and each must see what was promised. */
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
#include "node/node.h"
#include "support/node_requests.h"
#include "memory/disk_memory.h"
#include "memory/kv_memory.h"

enum { SUBMITTERS = 3, WRITES = 2000, KEYS = 50, LEASE_EVERY = 10 };

/* A thread's bell, as an eventfd is one: rung before the sleep, it is heard. */
struct bell {
    pthread_mutex_t mutex;
    pthread_cond_t cond;
    bool rung;
};

static struct clock clock_door;
static struct lock lock_door;
static pthread_rwlock_t rwlock;
static struct node *node;
static struct bell writer_bell;
static struct bell backend_bell;
static atomic_bool done;
static atomic_size_t answered;
static atomic_int_least64_t committed; /* revision told to the watchers */

static int64_t now_ns(clockid_t id)
{
    struct timespec now;
    clock_gettime(id, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
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

static void read_lock(struct lock *lock)
{
    (void)lock;
    int failed = pthread_rwlock_rdlock(&rwlock);
    CHECK_EQ(failed, 0);
}

static void write_lock(struct lock *lock)
{
    (void)lock;
    int failed = pthread_rwlock_wrlock(&rwlock);
    CHECK_EQ(failed, 0);
}

static void unlock(struct lock *lock)
{
    (void)lock;
    int failed = pthread_rwlock_unlock(&rwlock);
    CHECK_EQ(failed, 0);
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
    struct timespec until = {.tv_sec = until_ns / 1000000000,
                             .tv_nsec = until_ns % 1000000000};
    pthread_mutex_lock(&bell->mutex);
    while (!bell->rung &&
           pthread_cond_timedwait(&bell->cond, &bell->mutex, &until) == 0)
        continue;
    bell->rung = false;
    pthread_mutex_unlock(&bell->mutex);
}

static void on_commits(void *context, struct mvcc_commit *const *commits,
                       size_t count)
{
    (void)context;
    for (size_t i = 0; i < count; i++) {
        CHECK_EQ(commits[i]->main, atomic_load(&committed) + 1);
        atomic_store(&committed, commits[i]->main);
    }
}

static void on_answered(void *context)
{
    (void)context;
}

static void on_flush_due(void *context)
{
    (void)context;
    ring(&backend_bell);
}

static void on_submitted(void *context)
{
    (void)context;
    ring(&writer_bell);
}

/* ---- the threads --------------------------------------------------------- */

/* The writer sleeps as long as it may: a wake-up that is lost shows as a test
 * that takes too long. */
static void *writer(void *argument)
{
    (void)argument;
    while (!atomic_load(&done)) {
        enum err err = node_run(node);
        CHECK_EQ(err, ERR_OK);
        int64_t at_ms = node_deadline_ms(node);
        int64_t left_ms = at_ms - now_ns(CLOCK_MONOTONIC) / 1000000;
        if (left_ms > 0)
            await(&writer_bell,
                  (left_ms < 60 * 1000 ? left_ms : 60 * 1000) * 1000000);
    }
    return NULL;
}

static void *backend(void *argument)
{
    (void)argument;
    while (!atomic_load(&done)) {
        bool more;
        enum err err = node_flush(node, &more);
        CHECK_EQ(err, ERR_OK);
        if (!more)
            await(&backend_bell, 2 * 1000000);
    }
    return NULL;
}

static void look_at_lease(void *context, lease_id id)
{
    struct lease_info info;
    bool found = lease_info(node_leases(node), id, &info);
    CHECK(found);
    CHECK(info.expire_ns >= *(int64_t *)context);
    *(int64_t *)context = info.expire_ns;
}

static void look_at_leases(void)
{
    int64_t last_ns = 0;
    struct node_alarm alarms[2];
    struct node_position position;
    lease_each(node_leases(node), look_at_lease, &last_ns);
    CHECK_LE(node_alarms(node, alarms, 2), 1);
    node_position(node, &position);
    CHECK(position.applied > 0);
}

static void *reader(void *argument)
{
    struct mvcc_reader *of_mine;
    revision last = 0;
    (void)argument;
    enum err err = mvcc_reader_new(node_mvcc(node), &of_mine);
    CHECK_EQ(err, ERR_OK);
    while (!atomic_load(&done)) {
        struct tree_node found;
        enum tree_error error;
        struct slice cause;
        struct mvcc_status status;
        lock_read(node_lock(node));
        mvcc_status(node_mvcc(node), &status);
        mvcc_read_begin(of_mine);
        err = tree_get(of_mine, SLICE("/0/1"), 0, &found, &error, &cause);
        CHECK_EQ(err, ERR_OK);
        CHECK(error != TREE_NONE || found.value.size > 0);
        mvcc_read_end(of_mine);
        look_at_leases();
        unlock_read(node_lock(node));
        CHECK_LE(last, status.current);
        last = status.current;
    }
    mvcc_reader_free(of_mine);
    return NULL;
}

static void *looker(void *argument)
{
    struct node_progress last = {0};
    (void)argument;
    while (!atomic_load(&done)) {
        struct node_progress now;
        struct node_counters counters;
        node_progress(node, &now);
        node_counters(node, &counters);
        CHECK_LE(last.applied, now.applied);
        CHECK_LE(last.revision, now.revision);
        CHECK_LE(last.committed, now.committed);
        CHECK_EQ(now.role, RAFT_LEADER);
        last = now;
    }
    return NULL;
}

struct write {
    struct node_request request;
    struct submitter *submitter;
    bool is_v3;
};

struct submitter {
    int number;
    struct bell bell;
    revision last;
    pthread_t thread;
};

static void on_done(struct node_request *request)
{
    struct write *write = CONTAINER_OF(request, struct write, request);
    struct submitter *submitter = write->submitter;
    CHECK_EQ(request->err, ERR_OK);
    revision at = write->is_v3 ? request->answer.revision : request->tree.index;
    CHECK(write->is_v3 ? submitter->last <= at : submitter->last < at);
    CHECK_LE(at, atomic_load(&committed));
    submitter->last = at;
    tree_result_deinit(&request->tree);
    txn_answer_deinit(&request->answer);
    mem_free(write);
    atomic_fetch_add(&answered, 1);
    ring(&submitter->bell);
}

static void submit(struct submitter *submitter, int i)
{
    char key[32];
    char value[32];
    snprintf(key, sizeof key, "/%d/%d", submitter->number, i % KEYS);
    snprintf(value, sizeof value, "%d", i);
    struct command command = {
        .type = COMMAND_TREE,
        .tree = {.op = TREE_SET,
                 .path = slice_str(key),
                 .value = slice_str(value),
                 .has_ttl = i % LEASE_EVERY == 0},
    };
    struct write *write = mem_alloc_zero(sizeof *write);
    write->submitter = submitter;
    write->request.on_done = on_done;
    write->request.command = command_encode(&command);
    enum err err = node_submit(node, &write->request);
    CHECK_EQ(err, ERR_OK);
}

/* What v3's clients do beside it: each lease is granted, given a key, kept
 * alive, and forgotten. */
static void submit_v3(struct submitter *submitter, int i)
{
    char key[32];
    lease_id id = submitter->number * WRITES + i / 4 + 1;
    struct command command;
    snprintf(key, sizeof key, "v3/%d/%d", submitter->number, i);
    switch (i % 4) {
    case 0:
        command = ask_grant(id, 2);
        break;
    case 1:
        command = ask_put(key, "v", id);
        break;
    case 2:
        command = ask_renew(id);
        break;
    default:
        command = i % 8 == 3 ? ask_raise(7, 3) : ask_end(7, 3);
    }
    struct write *write = mem_alloc_zero(sizeof *write);
    write->submitter = submitter;
    write->is_v3 = true;
    write->request.on_done = on_done;
    write->request.command = command_encode(&command);
    enum err err = node_submit(node, &write->request);
    CHECK_EQ(err, ERR_OK);
}

/* Every tenth is waited for, so that the writer has pauses to sleep in. */
static void *submitter(void *argument)
{
    struct submitter *submitter = argument;
    for (int i = 0; i < WRITES; i++) {
        submit(submitter, i);
        submit_v3(submitter, i);
        if (i % 10 == 9)
            await(&submitter->bell, 20 * 1000000);
    }
    return NULL;
}

/* ---- the story ----------------------------------------------------------- */

static void bell_init(struct bell *bell)
{
    *bell = (struct bell){0};
    pthread_mutex_init(&bell->mutex, NULL);
    pthread_cond_init(&bell->cond, NULL);
}

static void bell_deinit(struct bell *bell)
{
    pthread_mutex_destroy(&bell->mutex);
    pthread_cond_destroy(&bell->cond);
}

static struct submitter submitters[SUBMITTERS];

static void run_threads(void)
{
    void *(*const others[])(void *) = {writer, backend, reader, looker};
    pthread_t threads[4];
    for (size_t i = 0; i < 4; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, others[i], NULL), 0);
    for (int i = 0; i < SUBMITTERS; i++) {
        submitters[i].number = i;
        submitters[i].last = 0;
        bell_init(&submitters[i].bell);
        assert_int_equal(pthread_create(&submitters[i].thread, NULL, submitter,
                                        &submitters[i]),
                         0);
    }
    for (int i = 0; i < SUBMITTERS; i++)
        pthread_join(submitters[i].thread, NULL);
    int64_t start_ns = now_ns(CLOCK_MONOTONIC);
    while (atomic_load(&answered) < 2 * SUBMITTERS * WRITES) {
        struct timespec moment = {.tv_nsec = 1000000};
        nanosleep(&moment, NULL);
        assert_true(now_ns(CLOCK_MONOTONIC) - start_ns < 30 * 1000000000LL);
    }
    atomic_store(&done, true);
    ring(&writer_bell);
    ring(&backend_bell);
    for (size_t i = 0; i < 4; i++)
        pthread_join(threads[i], NULL);
    for (int i = 0; i < SUBMITTERS; i++)
        bell_deinit(&submitters[i].bell);
}

static void check_all_there(void)
{
    struct mvcc_reader *of_mine;
    assert_int_equal(mvcc_reader_new(node_mvcc(node), &of_mine), ERR_OK);
    mvcc_read_begin(of_mine);
    for (int i = 0; i < SUBMITTERS * KEYS; i++) {
        struct tree_node found;
        enum tree_error error;
        struct slice cause;
        char key[32];
        char value[32];
        int last = WRITES - KEYS + i % KEYS;
        snprintf(key, sizeof key, "/%d/%d", i / KEYS, i % KEYS);
        snprintf(value, sizeof value, "%d", last);
        assert_int_equal(
            tree_get(of_mine, slice_str(key), 0, &found, &error, &cause),
            ERR_OK);
        if (last % LEASE_EVERY == 0)
            continue; /* its time is over, or will be */
        assert_int_equal(error, TREE_NONE);
        assert_true(slice_eq(found.value, slice_str(value)));
    }
    mvcc_read_end(of_mine);
    mvcc_reader_free(of_mine);
}

static void all_threads_see_what_was_promised(void **state)
{
    (void)state;
    struct disk_memory *disk = disk_memory_new(1);
    struct kv *kv = kv_memory_new();
    clock_door = (struct clock){wall_ns, monotonic_ns};
    lock_door = (struct lock){read_lock, unlock, write_lock, unlock};
    struct node_config config = {
        .ports = {.clock = &clock_door,
                  .disk = disk_memory_door(disk),
                  .kv = kv,
                  .lock = &lock_door},
        .cluster_id = 1,
        .member_id = 2,
        .name = "threads",
        .client_urls = "http://localhost:2379",
        .seed = 3,
        .heartbeat_ms = 100,
        .election_ms = 1000,
        .wal_segment_bytes = 64 * 1024,
        .flush_revisions = 100,
        .compaction = NODE_COMPACTION_REVISION,
        .compaction_keep = 500,
        .on_commits = on_commits,
        .on_answered = on_answered,
        .on_flush_due = on_flush_due,
        .on_submitted = on_submitted,
    };
    pthread_rwlock_init(&rwlock, NULL);
    bell_init(&writer_bell);
    bell_init(&backend_bell);
    atomic_store(&committed, 1);
    assert_int_equal(node_open(&config, &node), ERR_OK);
    run_threads();
    check_all_there();
    node_close(node);
    config.name = "again";
    revision last = atomic_load(&committed);
    assert_int_equal(node_open(&config, &node), ERR_OK);
    check_all_there();
    /* Leases whose time came meanwhile end with the opening. */
    assert_true(atomic_load(&committed) >= last);
    node_close(node);
    bell_deinit(&writer_bell);
    bell_deinit(&backend_bell);
    pthread_rwlock_destroy(&rwlock);
    disk_memory_free(disk);
    kv_memory_free(kv);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(all_threads_see_what_was_promised),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
