/* Who runs the node's turn, and what wakes whom.
 *
 * The turn belongs to the core thread, but a thread that has just handed the
 * node something may run it itself: two hand-overs between threads take longer
 * than a single write. Whoever can't run it wakes the core thread, so that
 * nothing that was handed in stays lying.
 */
#include <stdio.h>

#include "base/check.h"
#include "host/clock_posix.h"
#include "host/server_int.h"

enum {
    FLUSH_RETRY_MS = 1000,
    /* What a turn's sync may take on a thread that has clients to serve; and on
     * the peers thread, which could not do much without the turn anyway: what
     * comes meanwhile waits in its socket as it would in the inbox. */
    IO_SYNC_NS_MAX = 300 * 1000,
    PEERS_SYNC_NS_MAX = 5 * 1000 * 1000,
};

/* The server whose turn this thread runs. */
static _Thread_local const struct server *in_turn;

/* ---- the core thread ----------------------------------------------------- */

void server__report_failure(struct server *server, enum err err)
{
    CHECK_NE(err, ERR_OK);
    if (atomic_exchange(&server->failing, true)) {
        return;
    }
    (void)snprintf(server->failure_note, sizeof(server->failure_note), "%s",
                   err_note());
    atomic_store(&server->failure, (int)err);
    uv_async_send(&server->told);
}

/* A mean in which the last dozen syncs count most. */
static void measure_syncs(struct server *server)
{
    struct node_counters *last = &server->counters;
    struct node_counters now;
    node_counters(server->node, &now);
    if (now.wal_syncs > last->wal_syncs) {
        int64_t took_ns = (int64_t)((now.wal_sync_ns - last->wal_sync_ns) /
                                    (now.wal_syncs - last->wal_syncs));
        server->sync_ns += (took_ns - server->sync_ns) / 8;
    }
    *last = now;
}

/* Needs: the turn is held. Returns when the next one is due. */
static int64_t run_turn(struct server *server)
{
    server->turn_again = false;
    in_turn = server;
    enum err err = node_run(server->node);
    in_turn = NULL;
    measure_syncs(server);
    if (err != ERR_OK) {
        server__report_failure(server, err);
        return INT64_MAX;
    }
    return server->turn_again ? 0 : node_deadline_ms(server->node);
}

int64_t server__core_turn(void *context)
{
    struct server *server = context;
    pthread_mutex_lock(&server->turn);
    int64_t deadline_ms = run_turn(server);
    server->turn_deadline_ms = deadline_ms;
    pthread_mutex_unlock(&server->turn);
    return deadline_ms;
}

/* Runs the turn on this thread where nobody else does, and where a sync takes
 * no longer than this thread can wait; else the core thread will. */
static void run_turn_here(struct server *server, int64_t sync_ns_max)
{
    if (pthread_mutex_trylock(&server->turn) != 0) {
        worker_wake(server->core);
        return;
    }
    bool here = server->sync_ns <= sync_ns_max;
    bool sooner = false;
    if (here) {
        sooner = run_turn(server) < server->turn_deadline_ms;
    }
    pthread_mutex_unlock(&server->turn);
    if (!here || sooner) {
        worker_wake(server->core);
    }
}

/* A single write, while the core thread has nothing to do, is done by the I/O
 * thread that it came in on. Several are left to the core thread, which syncs
 * once for all of them while others come in; so is one whose sync would keep
 * this thread's other clients waiting. */
size_t server__on_round_submitted(void *context)
{
    struct server *server = context;
    struct node_progress progress;
    node_progress(server->node, &progress);
    if (progress.pending > 1) {
        worker_wake(server->core);
        return progress.pending;
    }
    run_turn_here(server, IO_SYNC_NS_MAX);
    return 1;
}

/* What the others sent is in the node's inbox: acknowledging it, or committing
 * by it, is what clients wait for. */
void server__on_peers_turn(void *context)
{
    run_turn_here(context, PEERS_SYNC_NS_MAX);
}

void server__on_submitted(void *context)
{
    struct server *server = context;
    if (in_turn == server) {
        server->turn_again = true; /* who runs it sees to that */
        return;
    }
    if (!io_thread_defer_submitted() && !peers_defer_submitted()) {
        worker_wake(server->core);
    }
}

/* ---- the backend thread -------------------------------------------------- */

/* Work for the backend gathers for an interval, or until there is enough of
 * it (flush_due). Returns when to look again, or 0: now. */
static int64_t wait_for_more(struct server *server)
{
    if (atomic_exchange(&server->flush_due, false)) {
        return 0;
    }
    if (!atomic_load(&server->flush_pending)) {
        return INT64_MAX;
    }
    CHECK(server->flush_at_ms > 0);
    if (server->flush_at_ms == INT64_MAX) {
        server->flush_at_ms =
            server__now_ms() + server->config->backend_batch_interval_ms;
    }
    return server__now_ms() >= server->flush_at_ms ? 0 : server->flush_at_ms;
}

int64_t server__backend_turn(void *context)
{
    struct server *server = context;
    bool more = false;
    int64_t at_ms = wait_for_more(server);
    if (at_ms != 0) {
        return at_ms;
    }
    server->flush_at_ms = INT64_MAX;
    atomic_store(&server->flush_pending, false);
    enum err err = node_flush(server->node, &more);
    if (err == ERR_DISK_FULL || err == ERR_NO_SPACE) {
        atomic_store(&server->flush_pending, true);
        server->flush_at_ms = server__now_ms() + FLUSH_RETRY_MS;
        return server->flush_at_ms;
    }
    if (err != ERR_OK) {
        server__report_failure(server, err);
        return INT64_MAX;
    }
    if (more) {
        atomic_store(&server->flush_due, true);
    }
    /* Requests may wait for the tail to become shorter. */
    worker_wake(server->core);
    return more || atomic_load(&server->flush_pending) ? 0 : INT64_MAX;
}

void server__on_flush_due(void *context)
{
    struct server *server = context;
    atomic_store(&server->flush_due, true);
    worker_wake(server->backend);
}

/* ---- to the I/O threads -------------------------------------------------- */

void server__on_answered(void *context)
{
    struct server *server = context;
    for (size_t i = 0; i < server->io_count; i++) {
        io_thread_wake(server->io[i]);
    }
}

void server__on_commits(void *context, struct mvcc_commit *const *commits,
                        size_t count)
{
    struct server *server = context;
    for (size_t i = 0; i < server->io_count; i++) {
        io_thread_post_commits(server->io[i], commits, count);
        io_thread_wake(server->io[i]);
    }
    if (!atomic_exchange(&server->flush_pending, true)) {
        worker_wake(server->backend);
    }
}

void server__on_jump(void *context, revision newest)
{
    struct server *server = context;
    for (size_t i = 0; i < server->io_count; i++) {
        io_thread_post_jump(server->io[i], newest);
        io_thread_wake(server->io[i]);
    }
}
