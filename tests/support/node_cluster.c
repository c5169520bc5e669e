#include "support/node_cluster.h"

#include <stdio.h>

#include "base/check.h"
#include "base/list.h"
#include "base/prng.h"

enum { ROUNDS_MAX = 100 * 1000, SEGMENT_BYTES = 64 * 1024 };

/* ---- doors --------------------------------------------------------------- */

static struct cluster_member *of_lock(struct lock *lock)
{
    return CONTAINER_OF(lock, struct cluster_member, lock);
}

static int64_t wall_ns(struct clock *clock)
{
    struct cluster_member *member =
        CONTAINER_OF(clock, struct cluster_member, clock);
    return CLUSTER_START_NS + member->cluster->now_ns + member->wall_shift_ns;
}

static int64_t monotonic_ns(struct clock *clock)
{
    struct cluster_member *member =
        CONTAINER_OF(clock, struct cluster_member, clock);
    return (int64_t)(member->number + 1) * 7 * CLUSTER_MS +
           member->cluster->now_ns;
}

static void check_unlocked(const struct cluster_member *member)
{
    CHECK_EQ(member->readers, 0);
    CHECK(!member->writing);
}

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

static struct cluster_member *of_net(struct net *net)
{
    return CONTAINER_OF(net, struct cluster_member, net);
}

member_id cluster_id(size_t number)
{
    return 0xa1 + number;
}

static size_t number_of(member_id id)
{
    CHECK(id >= 0xa1 && id < 0xa1 + CLUSTER_MAX);
    return (size_t)(id - 0xa1);
}

static void post(struct node_cluster *cluster, member_id from, member_id to,
                 struct refbuf *bytes)
{
    struct cluster_message *message = mem_alloc_zero(sizeof *message);
    struct cluster_message **at = &cluster->messages;
    int64_t late_ms = cluster->delay_ms;
    if (cluster->jitter_ms > 0)
        late_ms += (int64_t)prng_below(&cluster->prng,
                                       (uint64_t)cluster->jitter_ms + 1);
    message->from = from;
    message->to = to;
    message->bytes = bytes;
    message->due_ns = cluster->now_ns + late_ms * CLUSTER_MS;
    while (*at != NULL && (*at)->due_ns <= message->due_ns)
        at = &(*at)->next;
    message->next = *at;
    *at = message;
}

static void net_send_message(struct net *net, uint64_t to, struct refbuf *bytes)
{
    struct cluster_member *member = of_net(net);
    struct node_cluster *cluster = member->cluster;
    member_id from = cluster_id(member->number);
    CHECK(to != from);
    bool lost = (cluster->lost_percent > 0 &&
                 prng_below(&cluster->prng, 100) < cluster->lost_percent) ||
                cluster->cut[member->number][number_of(to)] ||
                (cluster->filter != NULL &&
                 !cluster->filter(cluster, from, to,
                                  slice_of(bytes->bytes, bytes->size)));
    if (lost) {
        refbuf_unref(bytes);
        return;
    }
    if (cluster->doubled_percent > 0 &&
        prng_below(&cluster->prng, 100) < cluster->doubled_percent)
        post(cluster, from, to, refbuf_ref(bytes));
    post(cluster, from, to, bytes);
}

static void net_flush_messages(struct net *net)
{
    (void)net;
}

static void net_know_members(struct net *net, const struct net_member *members,
                             size_t count)
{
    struct cluster_member *member = of_net(net);
    CHECK_LE(count, CLUSTER_MAX);
    member->others = count;
    for (size_t i = 0; i < count; i++) {
        CHECK(members[i].id != cluster_id(member->number));
        CHECK(members[i].peer_urls.size > 0);
        member->known[i] = members[i].id;
    }
}

static void net_want_snapshot(struct net *net, uint64_t to)
{
    of_net(net)->wants_snapshot[number_of(to)] = true;
}

static const struct net_ops net_ops = {
    .send = net_send_message,
    .flush = net_flush_messages,
    .set_members = net_know_members,
    .snapshot = net_want_snapshot,
};

/* ---- callbacks ----------------------------------------------------------- */

static void on_commits(void *context, struct mvcc_commit *const *commits,
                       size_t count)
{
    struct cluster_member *member = context;
    check_unlocked(member);
    for (size_t i = 0; i < count; i++) {
        CHECK(member->told == 0 || commits[i]->main == member->told + 1);
        member->told = commits[i]->main;
        member->told_count++;
    }
}

static void on_jump(void *context, revision newest)
{
    struct cluster_member *member = context;
    check_unlocked(member);
    CHECK(newest >= member->told);
    member->told = newest;
    member->jumps++;
}

static void on_event(void *context)
{
    check_unlocked(context);
}

/* ---- life ---------------------------------------------------------------- */

static void init_member(struct node_cluster *cluster, size_t number)
{
    struct cluster_member *member = &cluster->members[number];
    *member = (struct cluster_member){
        .cluster = cluster,
        .number = number,
        .clock = {.wall_ns = wall_ns, .monotonic_ns = monotonic_ns},
        .lock = {.read_lock = read_lock,
                 .read_unlock = read_unlock,
                 .write_lock = write_lock,
                 .write_unlock = write_unlock},
        .net = {.ops = &net_ops},
        .disk = disk_memory_new(cluster->seed + number),
        .kv = kv_memory_new(),
    };
    snprintf(cluster->urls[number], sizeof cluster->urls[number],
             "http://m%zu:2380", number);
    snprintf(cluster->names[number], sizeof cluster->names[number], "m%zu",
             number);
    cluster->list[number] = (struct node_member){
        .id = cluster_id(number),
        .name = slice_str(cluster->names[number]),
        .peer_urls = slice_str(cluster->urls[number]),
    };
    member->config = (struct node_config){
        .cluster_id = 0xc1,
        .member_id = cluster_id(number),
        .name = cluster->names[number],
        .client_urls = "http://client:2379",
        .peer_urls = cluster->urls[number],
        .strict_reconfig = true,
        .pre_vote = true,
        .request_timeout_ms = 2000,
        .catch_up_entries = 1000,
        .catch_up_bytes = 1024 * 1024,
        .remove_delay_min_s = 0.1,
        .seed = cluster->seed * 31 + number,
        .heartbeat_ms = CLUSTER_HEARTBEAT_MS,
        .election_ms = CLUSTER_ELECTION_MS,
        .wal_segment_bytes = SEGMENT_BYTES,
        .flush_revisions = 1000,
        .on_commits = on_commits,
        .on_jump = on_jump,
        .on_answered = on_event,
        .on_flush_due = on_event,
        .on_submitted = on_event,
        .context = member,
    };
}

void cluster_init(struct node_cluster *cluster, size_t count, size_t more,
                  uint64_t seed)
{
    *cluster = (struct node_cluster){.count = count + more, .seed = seed};
    CHECK_LE(count + more, CLUSTER_MAX);
    prng_init(&cluster->prng, seed);
    for (size_t i = 0; i < count + more; i++)
        init_member(cluster, i);
    for (size_t i = 0; i < count; i++) {
        cluster->members[i].config.members = cluster->list;
        cluster->members[i].config.member_count = count;
    }
}

static void forget_waits(struct node_cluster *cluster)
{
    while (cluster->waits != NULL) {
        struct cluster_wait *wait = cluster->waits;
        cluster->waits = wait->next;
        CHECK(wait->done);
        CHECK(wait->err == ERR_OK || wait->request.answer.body.at == NULL);
        if (wait->err == ERR_OK) {
            tree_result_deinit(&wait->request.tree);
            txn_answer_deinit(&wait->request.answer);
        }
        mem_free(wait);
    }
}

static void drop_message(struct cluster_message **at)
{
    struct cluster_message *message = *at;
    *at = message->next;
    refbuf_unref(message->bytes);
    mem_free(message);
}

void cluster_deinit(struct node_cluster *cluster)
{
    for (size_t i = 0; i < cluster->count; i++) {
        cluster_close(cluster, i);
        disk_memory_free(cluster->members[i].disk);
        kv_memory_free(cluster->members[i].kv);
        buf_deinit(&cluster->members[i].text);
    }
    while (cluster->messages != NULL)
        drop_message(&cluster->messages);
    forget_waits(cluster);
}

enum err cluster_open(struct node_cluster *cluster, size_t number)
{
    struct cluster_member *member = &cluster->members[number];
    CHECK(member->node == NULL);
    member->told = 0;
    member->failed = ERR_OK;
    member->others = 0;
    member->config.ports = (struct node_ports){
        .clock = &member->clock,
        .disk = disk_memory_door(member->disk),
        .kv = member->kv,
        .lock = &member->lock,
        .net = &member->net,
    };
    enum err err = node_open(&member->config, &member->node);
    check_unlocked(member);
    return err;
}

void cluster_open_all(struct node_cluster *cluster)
{
    for (size_t i = 0; i < cluster->count; i++) {
        if (cluster->members[i].config.member_count > 0 &&
            cluster->members[i].node == NULL) {
            enum err err = cluster_open(cluster, i);
            CHECK_EQ(err, ERR_OK);
        }
    }
}

void cluster_close(struct node_cluster *cluster, size_t number)
{
    struct cluster_member *member = &cluster->members[number];
    node_close(member->node);
    member->node = NULL;
    memset(member->wants_snapshot, 0, sizeof member->wants_snapshot);
    for (struct cluster_message **at = &cluster->messages; *at != NULL;) {
        if ((*at)->to == cluster_id(number))
            drop_message(at);
        else
            at = &(*at)->next;
    }
}

void cluster_crash(struct node_cluster *cluster, size_t number)
{
    struct cluster_member *member = &cluster->members[number];
    disk_memory_fail_call(member->disk, 0, ERR_OK);
    disk_memory_crash(member->disk);
    kv_memory_fail_after(member->kv, 1, ERR_IO);
    cluster_close(cluster, number);
    member->kv = kv_memory_reopen(member->kv);
}

void cluster_wipe(struct node_cluster *cluster, size_t number)
{
    struct cluster_member *member = &cluster->members[number];
    cluster_close(cluster, number);
    disk_memory_free(member->disk);
    kv_memory_free(member->kv);
    member->disk = disk_memory_new(cluster->seed + 100 + number);
    member->kv = kv_memory_new();
}

void cluster_isolate(struct node_cluster *cluster, size_t number, bool on)
{
    for (size_t i = 0; i < CLUSTER_MAX; i++)
        cluster->cut[i][number] = cluster->cut[number][i] = on;
}

void cluster_mend(struct node_cluster *cluster)
{
    memset(cluster->cut, 0, sizeof cluster->cut);
}

/* ---- snapshots ----------------------------------------------------------- */

static void on_arrival_done(struct node_snapshot_arrival *arrival)
{
    struct cluster_wait *wait =
        CONTAINER_OF(arrival, struct cluster_wait, arrival);
    CHECK(!wait->done);
    wait->done = true;
    wait->err = arrival->err;
}

static struct cluster_wait *new_wait(struct node_cluster *cluster)
{
    struct cluster_wait *wait = mem_alloc_zero(sizeof *wait);
    wait->next = cluster->waits;
    cluster->waits = wait;
    return wait;
}

static bool copy_chunks(struct snap_source *source, struct snap_sink *sink)
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
    return err == ERR_OK && complete;
}

static void bring_over(struct node_cluster *cluster, size_t from, size_t to)
{
    struct cluster_member *source_member = &cluster->members[from];
    struct cluster_member *sink_member = &cluster->members[to];
    struct snap_header header = {0};
    struct snap_source *source = NULL;
    struct snap_sink *sink = NULL;
    bool good = false;
    enum err err = node_snapshot_open(source_member->node, &header, &source);
    if (err == ERR_OK && sink_member->node != NULL && !cluster->cut[from][to]) {
        err = node_snapshot_receive(sink_member->node, &header, &sink);
        if (err == ERR_OK) {
            struct cluster_wait *wait = new_wait(cluster);
            wait->arrival.sink = sink;
            wait->arrival.header = header;
            wait->arrival.on_done = on_arrival_done;
            wait->arrival.complete = copy_chunks(source, sink);
            bool complete = wait->arrival.complete;
            node_snapshot_arrived(sink_member->node, &wait->arrival);
            if (complete) {
                err = node_run(sink_member->node);
                if (err != ERR_OK)
                    sink_member->failed = err;
            } else {
                wait->done = true;
                wait->err = ERR_IO;
            }
            CHECK(wait->done);
            good = wait->err == ERR_OK || wait->err == ERR_EXISTS;
            sink_member->snapshots_taken += wait->err == ERR_OK;
        } else {
            good = err == ERR_EXISTS; /* it is as far */
        }
    }
    if (source != NULL)
        snap_source_close(source);
    node_snapshot_sent(source_member->node, cluster_id(to), header.index,
                       !good);
}

static void bring_snapshots(struct node_cluster *cluster)
{
    for (size_t i = 0; i < cluster->count && !cluster->no_snapshots; i++) {
        struct cluster_member *member = &cluster->members[i];
        for (size_t j = 0; j < cluster->count; j++) {
            if (member->node != NULL && member->wants_snapshot[j]) {
                member->wants_snapshot[j] = false;
                bring_over(cluster, i, j);
            }
        }
    }
}

/* ---- running ------------------------------------------------------------- */

static void deliver(struct node_cluster *cluster)
{
    while (cluster->messages != NULL &&
           cluster->messages->due_ns <= cluster->now_ns) {
        struct cluster_message *message = cluster->messages;
        struct cluster_member *to = &cluster->members[number_of(message->to)];
        if (to->node != NULL &&
            !cluster->cut[number_of(message->from)][to->number])
            node_receive(to->node, message->from, refbuf_ref(message->bytes));
        drop_message(&cluster->messages);
    }
}

static int64_t deadline_ns(const struct cluster_member *member)
{
    if (member->node == NULL || member->failed || member->paused)
        return INT64_MAX;
    int64_t at_ms = node_deadline_ms(member->node);
    if (at_ms == INT64_MAX)
        return INT64_MAX;
    return at_ms * CLUSTER_MS - (int64_t)(member->number + 1) * 7 * CLUSTER_MS;
}

static bool run_due(struct node_cluster *cluster)
{
    bool any = false;
    for (size_t i = 0; i < cluster->count; i++) {
        struct cluster_member *member = &cluster->members[i];
        if (deadline_ns(member) <= cluster->now_ns) {
            member->failed = node_run(member->node);
            check_unlocked(member);
            any = true;
        }
    }
    return any;
}

/* What a person wants to know when nothing goes on any more. */
static void describe(struct node_cluster *cluster)
{
    for (size_t i = 0; i < cluster->count; i++) {
        struct cluster_member *member = &cluster->members[i];
        struct node_progress progress = {0};
        if (member->node != NULL)
            node_progress(member->node, &progress);
        fprintf(stderr,
                "m%zu %s: role %d leader %llx term %llu committed %llu applied "
                "%llu learner %d removed %d pending %zu failed %d due %lld of "
                "%lld\n",
                i, member->node == NULL ? "down" : "up", progress.role,
                (unsigned long long)progress.leader,
                (unsigned long long)progress.term,
                (unsigned long long)progress.committed,
                (unsigned long long)progress.applied, progress.is_learner,
                progress.is_removed, progress.pending, member->failed,
                (long long)(deadline_ns(member) / CLUSTER_MS),
                (long long)(cluster->now_ns / CLUSTER_MS));
    }
}

static void do_all(struct node_cluster *cluster)
{
    size_t rounds = 0;
    bool more = true;
    while (more) {
        if (rounds == ROUNDS_MAX)
            describe(cluster);
        CHECK_LT(rounds++, ROUNDS_MAX);
        deliver(cluster);
        more = run_due(cluster);
        bring_snapshots(cluster);
        more |= cluster->messages != NULL &&
                cluster->messages->due_ns <= cluster->now_ns;
    }
}

/* To what is due next, or `end_ns`. */
static void go_on(struct node_cluster *cluster, int64_t end_ns)
{
    int64_t next_ns = end_ns;
    if (cluster->messages != NULL && cluster->messages->due_ns < next_ns)
        next_ns = cluster->messages->due_ns;
    for (size_t i = 0; i < cluster->count; i++) {
        int64_t at_ns = deadline_ns(&cluster->members[i]);
        next_ns = at_ns < next_ns ? at_ns : next_ns;
    }
    if (next_ns > cluster->now_ns)
        cluster->now_ns = next_ns;
}

void cluster_run(struct node_cluster *cluster, int64_t ms)
{
    int64_t end_ns = cluster->now_ns + ms * CLUSTER_MS;
    do_all(cluster);
    while (cluster->now_ns < end_ns) {
        go_on(cluster, end_ns);
        do_all(cluster);
    }
}

void cluster_until(struct node_cluster *cluster,
                   bool (*holds)(struct node_cluster *cluster), int64_t ms)
{
    int64_t end_ns = cluster->now_ns + ms * CLUSTER_MS;
    do_all(cluster);
    while (!holds(cluster)) {
        if (cluster->now_ns >= end_ns)
            describe(cluster);
        CHECK_LT(cluster->now_ns, end_ns);
        go_on(cluster, end_ns);
        do_all(cluster);
    }
}

struct node_progress cluster_progress(struct node_cluster *cluster,
                                      size_t number)
{
    struct node_progress progress;
    node_progress(cluster->members[number].node, &progress);
    return progress;
}

struct node_counters cluster_counters(struct node_cluster *cluster,
                                      size_t number)
{
    struct node_counters counters;
    node_counters(cluster->members[number].node, &counters);
    return counters;
}

static bool is_running(const struct cluster_member *member)
{
    return member->node != NULL && !member->failed && !member->paused;
}

static bool find_leader(struct node_cluster *cluster, size_t *out)
{
    for (size_t i = 0; i < cluster->count; i++) {
        if (!is_running(&cluster->members[i]))
            continue;
        struct node_progress progress = cluster_progress(cluster, i);
        size_t up = 0, agree = 0;
        if (progress.role != RAFT_LEADER)
            continue;
        for (size_t j = 0; j < cluster->count; j++) {
            if (!is_running(&cluster->members[j]) ||
                (j != i && cluster->cut[i][j]))
                continue;
            struct node_progress other = cluster_progress(cluster, j);
            up += other.leader != 0;
            agree +=
                other.leader == cluster_id(i) && other.term == progress.term;
        }
        if (agree > up / 2 &&
            (up > 1 || cluster->count == 1 ||
             node_reads_are_current(cluster->members[i].node))) {
            *out = i;
            return true;
        }
    }
    return false;
}

static bool has_leader(struct node_cluster *cluster)
{
    size_t leader;
    return find_leader(cluster, &leader);
}

size_t cluster_leader(struct node_cluster *cluster)
{
    size_t leader = 0;
    cluster_until(cluster, has_leader, 20 * CLUSTER_ELECTION_MS);
    bool found = find_leader(cluster, &leader);
    CHECK(found);
    return leader;
}

size_t cluster_follower(struct node_cluster *cluster)
{
    size_t leader = cluster_leader(cluster);
    for (size_t i = 0; i < cluster->count; i++) {
        if (i != leader && is_running(&cluster->members[i]))
            return i;
    }
    UNREACHABLE();
}

static bool is_settled(struct node_cluster *cluster)
{
    size_t leader;
    if (!find_leader(cluster, &leader))
        return false;
    struct node_progress most = cluster_progress(cluster, leader);
    if (most.applied != most.committed)
        return false;
    for (size_t i = 0; i < cluster->count; i++) {
        if (is_running(&cluster->members[i]) && !cluster->cut[leader][i] &&
            cluster_progress(cluster, i).applied != most.applied)
            return false;
    }
    return true;
}

void cluster_settle(struct node_cluster *cluster)
{
    cluster_run(cluster, 2 * CLUSTER_HEARTBEAT_MS);
    cluster_until(cluster, is_settled, 50 * CLUSTER_ELECTION_MS);
}

/* ---- the same everywhere ------------------------------------------------- */

struct digest {
    uint64_t hash;
    struct mvcc_status status;
};

static void add_meta(void *context, struct slice name, struct slice value)
{
    struct digest *digest = context;
    digest->hash = slice_hash(name, digest->hash);
    digest->hash = slice_hash(value, digest->hash);
}

static void add_keys(struct digest *digest, struct mvcc_reader *reader,
                     enum mvcc_table table)
{
    struct mvcc_walk walk;
    struct slice key;
    struct rev rev;
    struct record record;
    enum err err = mvcc_walk_init(&walk, reader, table, slice_of("", 0),
                                  slice_of(NULL, 0), 0);
    CHECK_EQ(err, ERR_OK);
    while (mvcc_walk_next(&walk, &key, &rev) == ERR_OK) {
        err = mvcc_get_rev(reader, rev, &record);
        CHECK_EQ(err, ERR_OK);
        digest->hash = slice_hash(key, digest->hash);
        digest->hash = slice_hash(record.value, digest->hash);
        digest->hash ^= (uint64_t)rev.main * 31 + (uint64_t)record.expire_ns;
    }
}

struct leases_digest {
    struct lease_table *table;
    struct digest *digest;
};

/* What was granted is said of v3's leases only: a v2 TTL that v3 put over
 * counts from that put after a restart. */
static void add_lease(void *context, lease_id id)
{
    const struct leases_digest *leases = context;
    struct lease_info info;
    bool found = lease_info(leases->table, id, &info);
    CHECK(found);
    int64_t numbers[] = {id, info.expire_ns, (int64_t)info.keys,
                         lease_is_v2(id) ? 0 : info.granted_s};
    leases->digest->hash =
        slice_hash(slice_of(numbers, sizeof numbers), leases->digest->hash);
}

static struct digest digest_of(struct cluster_member *member)
{
    struct digest digest = {.hash = 1};
    struct mvcc_reader *reader;
    struct mvcc *mvcc = node_mvcc(member->node);
    enum err err = mvcc_reader_new(mvcc, &reader);
    CHECK_EQ(err, ERR_OK);
    lock_read(&member->lock);
    mvcc_read_begin(reader);
    mvcc_status(mvcc, &digest.status);
    add_keys(&digest, reader, MVCC_KEYS);
    add_keys(&digest, reader, MVCC_DIRS);
    mvcc_meta_each(mvcc, slice_of("", 0), add_meta, &digest);
    lease_each(node_leases(member->node), add_lease,
               &(struct leases_digest){node_leases(member->node), &digest});
    mvcc_read_end(reader);
    unlock_read(&member->lock);
    mvcc_reader_free(reader);
    return digest;
}

void cluster_check_same(struct node_cluster *cluster)
{
    for (size_t i = 0; i < cluster->count; i++) {
        for (size_t j = 0; j < i; j++) {
            if (cluster->members[i].node == NULL ||
                cluster->members[j].node == NULL)
                continue;
            struct digest a = digest_of(&cluster->members[i]);
            struct digest b = digest_of(&cluster->members[j]);
            if (a.status.applied_index != b.status.applied_index)
                continue;
            CHECK_EQ(a.status.current, b.status.current);
            CHECK_EQ(a.hash, b.hash);
        }
    }
}

/* ---- asking -------------------------------------------------------------- */

static void on_write_done(struct node_request *request)
{
    struct cluster_wait *wait =
        CONTAINER_OF(request, struct cluster_wait, request);
    CHECK(!wait->done);
    CHECK(request->command == NULL);
    wait->done = true;
    wait->err = request->err;
}

static void on_read_done(struct node_read *read)
{
    struct cluster_wait *wait = CONTAINER_OF(read, struct cluster_wait, read);
    CHECK(!wait->done);
    wait->done = true;
    wait->err = read->err;
}

static void on_change_done(struct node_change *change)
{
    struct cluster_wait *wait =
        CONTAINER_OF(change, struct cluster_wait, change);
    CHECK(!wait->done);
    wait->done = true;
    wait->err = change->err;
}

struct cluster_wait *cluster_submit(struct node_cluster *cluster, size_t number,
                                    const struct command *command)
{
    struct cluster_wait *wait = new_wait(cluster);
    wait->request.command = command_encode(command);
    wait->request.on_done = on_write_done;
    enum err err = node_submit(cluster->members[number].node, &wait->request);
    CHECK_EQ(err, ERR_OK);
    return wait;
}

struct cluster_wait *cluster_set_async(struct node_cluster *cluster,
                                       size_t number, const char *key,
                                       const char *value)
{
    struct command command = {.type = COMMAND_TREE,
                              .tree = {.op = TREE_SET,
                                       .path = slice_str(key),
                                       .value = slice_str(value)}};
    return cluster_submit(cluster, number, &command);
}

enum err cluster_wait(struct node_cluster *cluster, struct cluster_wait *wait)
{
    int64_t end_ns = cluster->now_ns + 20000 * CLUSTER_MS;
    do_all(cluster);
    while (!wait->done) {
        if (cluster->now_ns >= end_ns)
            describe(cluster);
        CHECK_LT(cluster->now_ns, end_ns);
        go_on(cluster, end_ns);
        do_all(cluster);
    }
    return wait->err;
}

enum err cluster_set(struct node_cluster *cluster, size_t number,
                     const char *key, const char *value)
{
    return cluster_wait(cluster,
                        cluster_set_async(cluster, number, key, value));
}

enum err cluster_set_ttl(struct node_cluster *cluster, size_t number,
                         const char *key, const char *value, uint64_t ttl_s)
{
    struct command command = {.type = COMMAND_TREE,
                              .tree = {.op = TREE_SET,
                                       .path = slice_str(key),
                                       .value = slice_str(value),
                                       .has_ttl = true,
                                       .ttl_s = ttl_s}};
    return cluster_wait(cluster, cluster_submit(cluster, number, &command));
}

struct cluster_wait *cluster_read_async(struct node_cluster *cluster,
                                        size_t number)
{
    struct cluster_wait *wait = new_wait(cluster);
    wait->read.on_done = on_read_done;
    enum err err = node_read(cluster->members[number].node, &wait->read);
    CHECK_EQ(err, ERR_OK);
    return wait;
}

enum err cluster_read(struct node_cluster *cluster, size_t number)
{
    return cluster_wait(cluster, cluster_read_async(cluster, number));
}

struct cluster_wait *cluster_change_async(struct node_cluster *cluster,
                                          size_t number, enum node_change_op op,
                                          size_t who)
{
    struct cluster_wait *wait = new_wait(cluster);
    wait->change.op = op;
    wait->change.member = cluster->list[who];
    wait->change.member.name = SLICE("");
    wait->change.on_done = on_change_done;
    enum err err = node_change(cluster->members[number].node, &wait->change);
    CHECK_EQ(err, ERR_OK);
    return wait;
}

enum err cluster_change(struct node_cluster *cluster, size_t number,
                        enum node_change_op op, size_t who)
{
    return cluster_wait(cluster,
                        cluster_change_async(cluster, number, op, who));
}

const char *cluster_get(struct node_cluster *cluster, size_t number,
                        const char *key)
{
    struct cluster_member *member = &cluster->members[number];
    struct mvcc_reader *reader;
    struct tree_node node;
    enum tree_error error;
    struct slice cause;
    const char *found = NULL;
    enum err err = mvcc_reader_new(node_mvcc(member->node), &reader);
    CHECK_EQ(err, ERR_OK);
    lock_read(&member->lock);
    mvcc_read_begin(reader);
    err = tree_get(reader, slice_str(key), 0, &node, &error, &cause);
    CHECK_EQ(err, ERR_OK);
    if (error == TREE_NONE && !node.dir) {
        buf_reset(&member->text);
        buf_append_slice(&member->text, node.value);
        buf_append(&member->text, "", 1);
        found = buf_slice(&member->text).at;
    }
    mvcc_read_end(reader);
    unlock_read(&member->lock);
    mvcc_reader_free(reader);
    return found;
}

enum err cluster_flush(struct node_cluster *cluster, size_t number)
{
    bool more = true;
    enum err err = ERR_OK;
    while (more && err == ERR_OK)
        err = node_flush(cluster->members[number].node, &more);
    return err;
}
