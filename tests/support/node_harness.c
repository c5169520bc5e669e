#include "support/node_harness.h"

#include "base/check.h"
#include "base/list.h"

enum { SEGMENT_BYTES = 64 * 1024, RUNS_MAX = 100 * 1000 };

/* ---- doors --------------------------------------------------------------- */

static int64_t wall_ns(struct clock *clock)
{
    return CONTAINER_OF(clock, struct node_harness, clock)->wall_ns;
}

static int64_t monotonic_ns(struct clock *clock)
{
    return CONTAINER_OF(clock, struct node_harness, clock)->monotonic_ns;
}

static struct node_harness *of_lock(struct lock *lock)
{
    return CONTAINER_OF(lock, struct node_harness, lock);
}

static void check_unlocked(const struct node_harness *harness)
{
    CHECK_EQ(harness->readers, 0);
    CHECK(!harness->writing);
}

/* A thread that holds it and asks again waits for itself, should a writer
 * come in between: so even the shared lock is taken once. */
static void read_lock(struct lock *lock)
{
    check_unlocked(of_lock(lock));
    of_lock(lock)->readers++;
}

static void read_unlock(struct lock *lock)
{
    CHECK(of_lock(lock)->readers > 0);
    of_lock(lock)->readers--;
}

static void write_lock(struct lock *lock)
{
    check_unlocked(of_lock(lock));
    of_lock(lock)->writing = true;
}

static void write_unlock(struct lock *lock)
{
    CHECK(of_lock(lock)->writing);
    of_lock(lock)->writing = false;
}

/* ---- the users' lock ----------------------------------------------------- */

static struct node_harness *of_auth_lock(struct lock *lock)
{
    return CONTAINER_OF(lock, struct node_harness, auth_lock);
}

static void check_unchanging(struct lock *lock)
{
    CHECK(!of_auth_lock(lock)->changing);
}

static void begin_change(struct lock *lock)
{
    struct node_harness *harness = of_auth_lock(lock);
    /* Alone before it is open, else those who read the rest wait as well. */
    CHECK(!harness->changing && (harness->writing || harness->node == NULL));
    harness->changing = true;
    harness->changes++;
}

static void end_change(struct lock *lock)
{
    CHECK(of_auth_lock(lock)->changing);
    of_auth_lock(lock)->changing = false;
}

/* ---- callbacks ----------------------------------------------------------- */

/* Revisions come one after the other, each once, whole. */
static void on_commits(void *context, struct mvcc_commit *const *commits,
                       size_t count)
{
    struct node_harness *harness = context;
    check_unlocked(harness);
    CHECK(count > 0);
    for (size_t i = 0; i < count; i++) {
        CHECK(commits[i]->count > 0);
        CHECK(harness->commit_last == 0 ||
              commits[i]->main == harness->commit_last + 1);
        if (harness->commit_first == 0)
            harness->commit_first = commits[i]->main;
        harness->commit_last = commits[i]->main;
        harness->commit_count++;
    }
}

static void on_answered(void *context)
{
    struct node_harness *harness = context;
    check_unlocked(harness);
    harness->answered_calls++;
}

static void on_flush_due(void *context)
{
    struct node_harness *harness = context;
    check_unlocked(harness);
    harness->flush_due_calls++;
}

static void on_submitted(void *context)
{
    struct node_harness *harness = context;
    check_unlocked(harness);
    harness->submitted_calls++;
}

static void on_done(struct node_request *request)
{
    struct harness_write *write =
        CONTAINER_OF(request, struct harness_write, request);
    check_unlocked(write->harness);
    CHECK(!write->done);
    CHECK(request->command == NULL);
    write->done = true;
    write->order = ++write->harness->answers;
}

/* ---- opening and closing ------------------------------------------------- */

void node_harness_init(struct node_harness *harness, uint64_t seed)
{
    *harness = (struct node_harness){
        .clock = {.wall_ns = wall_ns, .monotonic_ns = monotonic_ns},
        .wall_ns = HARNESS_START_NS,
        .monotonic_ns = 5 * HARNESS_SECOND_NS,
        .lock = {.read_lock = read_lock,
                 .read_unlock = read_unlock,
                 .write_lock = write_lock,
                 .write_unlock = write_unlock},
        .auth_lock = {.read_lock = check_unchanging,
                      .read_unlock = check_unchanging,
                      .write_lock = begin_change,
                      .write_unlock = end_change},
        .disk = disk_memory_new(seed),
        .kv = kv_memory_new(),
    };
    harness->config = (struct node_config){
        .cluster_id = 0xc1,
        .member_id = 0xa1,
        .name = "infra1",
        .client_urls = "http://localhost:2379",
        .seed = seed,
        .heartbeat_ms = 100,
        .election_ms = 1000,
        .wal_segment_bytes = SEGMENT_BYTES,
        .flush_revisions = 1000,
        .on_commits = on_commits,
        .on_answered = on_answered,
        .on_flush_due = on_flush_due,
        .on_submitted = on_submitted,
    };
}

void node_harness_deinit(struct node_harness *harness)
{
    node_harness_close(harness);
    node_harness_forget(harness);
    disk_memory_free(harness->disk);
    kv_memory_free(harness->kv);
    buf_deinit(&harness->text);
}

enum err node_harness_open(struct node_harness *harness)
{
    CHECK(harness->node == NULL);
    harness->commit_count = 0;
    harness->commit_first = harness->commit_last = 0;
    harness->answered_calls = 0;
    harness->flush_due_calls = 0;
    harness->submitted_calls = 0;
    harness->config.context = harness;
    harness->config.ports = (struct node_ports){
        .clock = &harness->clock,
        .disk = disk_memory_door(harness->disk),
        .kv = harness->kv,
        .lock = &harness->lock,
        .auth_lock = &harness->auth_lock,
    };
    enum err err = node_open(&harness->config, &harness->node);
    CHECK((err == ERR_OK) == (harness->node != NULL));
    check_unlocked(harness);
    return err;
}

void node_harness_close(struct node_harness *harness)
{
    node_close(harness->node);
    harness->node = NULL;
    check_unlocked(harness);
}

/* The node's memory has to go too, but nothing of it may reach the kv file:
 * the flush of node_close fails with its first call. */
void node_harness_crash(struct node_harness *harness)
{
    disk_memory_fail_call(harness->disk, 0, ERR_OK);
    disk_memory_crash(harness->disk);
    kv_memory_fail_after(harness->kv, 1, ERR_IO);
    node_harness_close(harness);
    harness->kv = kv_memory_reopen(harness->kv);
}

void node_harness_restart(struct node_harness *harness)
{
    node_harness_close(harness);
    enum err err = node_harness_open(harness);
    CHECK_EQ(err, ERR_OK);
}

void node_harness_recover(struct node_harness *harness)
{
    node_harness_crash(harness);
    enum err err = node_harness_open(harness);
    CHECK_EQ(err, ERR_OK);
}

/* ---- writes -------------------------------------------------------------- */

struct harness_write *node_harness_send(struct node_harness *harness,
                                        const struct command *command,
                                        enum err *err)
{
    struct harness_write *write = mem_alloc(sizeof *write);
    /* A submitter owes the answer's fields nothing. */
    memset(write, 0xa5, sizeof *write);
    write->harness = harness;
    write->done = false;
    write->order = 0;
    write->request.command = command_encode(command);
    write->request.on_done = on_done;
    *err = node_submit(harness->node, &write->request);
    if (*err != ERR_OK) {
        refbuf_unref(write->request.command);
        mem_free(write);
        return NULL;
    }
    write->next = harness->writes;
    harness->writes = write;
    return write;
}

struct harness_write *node_harness_submit(struct node_harness *harness,
                                          const struct tree_command *command,
                                          enum err *err)
{
    struct command whole = {.type = COMMAND_TREE, .tree = *command};
    return node_harness_send(harness, &whole, err);
}

struct harness_write *node_harness_write(struct node_harness *harness,
                                         const struct tree_command *command,
                                         enum err *err)
{
    struct harness_write *write = node_harness_submit(harness, command, err);
    if (write == NULL)
        return NULL;
    *err = node_harness_run(harness);
    if (*err == ERR_OK && write->done)
        *err = write->request.err;
    return write;
}

/* An answer without an error is the submitter's to give back. */
void node_harness_forget(struct node_harness *harness)
{
    while (harness->writes != NULL) {
        struct harness_write *write = harness->writes;
        CHECK(write->done);
        harness->writes = write->next;
        CHECK(write->request.err == ERR_OK ||
              write->request.answer.body.at == NULL);
        if (write->request.err == ERR_OK) {
            tree_result_deinit(&write->request.tree);
            txn_answer_deinit(&write->request.answer);
        }
        mem_free(write);
    }
}

struct tree_command harness_set(const char *key, const char *value)
{
    return (struct tree_command){
        .op = TREE_SET, .path = slice_str(key), .value = slice_str(value)};
}

struct tree_command harness_set_ttl(const char *key, const char *value,
                                    uint64_t ttl_s)
{
    struct tree_command command = harness_set(key, value);
    command.has_ttl = true;
    command.ttl_s = ttl_s;
    return command;
}

struct tree_command harness_delete(const char *key)
{
    return (struct tree_command){.op = TREE_DELETE, .path = slice_str(key)};
}

static enum err write_out(struct node_harness *harness,
                          struct tree_command command)
{
    enum err err;
    node_harness_write(harness, &command, &err);
    return err;
}

enum err node_harness_set(struct node_harness *harness, const char *key,
                          const char *value)
{
    return write_out(harness, harness_set(key, value));
}

enum err node_harness_set_ttl(struct node_harness *harness, const char *key,
                              const char *value, uint64_t ttl_s)
{
    return write_out(harness, harness_set_ttl(key, value, ttl_s));
}

enum err node_harness_delete(struct node_harness *harness, const char *key)
{
    return write_out(harness, harness_delete(key));
}

/* ---- looking ------------------------------------------------------------- */

const char *node_harness_get_at(struct node_harness *harness, const char *key,
                                revision at)
{
    struct mvcc_reader *reader;
    struct tree_node node;
    enum tree_error error;
    struct slice cause;
    const char *found = NULL;
    enum err err = mvcc_reader_new(node_mvcc(harness->node), &reader);
    CHECK_EQ(err, ERR_OK);
    lock_read(&harness->lock);
    mvcc_read_begin(reader);
    err = tree_get(reader, slice_str(key), at, &node, &error, &cause);
    CHECK(err == ERR_OK || at != 0);
    if (err == ERR_OK && error == TREE_NONE && !node.dir) {
        buf_reset(&harness->text);
        buf_append_slice(&harness->text, node.value);
        buf_append(&harness->text, "", 1);
        found = buf_slice(&harness->text).at;
    }
    mvcc_read_end(reader);
    unlock_read(&harness->lock);
    mvcc_reader_free(reader);
    return found;
}

const char *node_harness_get(struct node_harness *harness, const char *key)
{
    return node_harness_get_at(harness, key, 0);
}

static struct mvcc_status status_of(struct node_harness *harness)
{
    struct mvcc_status status;
    lock_read(&harness->lock);
    mvcc_status(node_mvcc(harness->node), &status);
    unlock_read(&harness->lock);
    return status;
}

revision node_harness_revision(struct node_harness *harness)
{
    return status_of(harness).current;
}

raft_index node_harness_flushed(struct node_harness *harness)
{
    return status_of(harness).flushed_index;
}

size_t node_harness_segments(const struct node_harness *harness)
{
    size_t count = 0;
    const char *name;
    for (size_t i = 0; (name = disk_memory_name(harness->disk, i)); i++)
        count += strstr(name, ".wal") != NULL && strstr(name, ".tmp") == NULL;
    return count;
}

/* ---- time ---------------------------------------------------------------- */

void node_harness_sleep(struct node_harness *harness, int64_t ns)
{
    CHECK(ns >= 0);
    harness->wall_ns += ns;
    harness->monotonic_ns += ns;
}

void node_harness_jump(struct node_harness *harness, int64_t ns)
{
    harness->wall_ns += ns;
}

bool node_harness_next(struct node_harness *harness, int64_t ns)
{
    int64_t end_ns = harness->monotonic_ns + ns;
    int64_t at_ms = node_deadline_ms(harness->node);
    if (at_ms > end_ns / 1000000) {
        node_harness_sleep(harness, ns);
        return false;
    }
    int64_t left_ns = at_ms * 1000000 - harness->monotonic_ns;
    if (left_ns > 0)
        node_harness_sleep(harness, left_ns);
    enum err err = node_run(harness->node);
    CHECK_EQ(err, ERR_OK);
    return true;
}

enum err node_harness_run(struct node_harness *harness)
{
    enum err err;
    size_t runs = 0;
    do {
        CHECK_LT(runs++, RUNS_MAX);
        err = node_run(harness->node);
        check_unlocked(harness);
    } while (err == ERR_OK && node_deadline_ms(harness->node) <=
                                  harness->monotonic_ns / 1000000);
    return err;
}

enum err node_harness_flush(struct node_harness *harness)
{
    bool more = true;
    enum err err = ERR_OK;
    while (more && err == ERR_OK)
        err = node_flush(harness->node, &more);
    check_unlocked(harness);
    return err;
}
