/* Snapshots between members: a connection and a thread for each, so that
 * reading and writing a large store never keeps messages waiting.
 *
 *   who sends                           who receives
 *   node_snapshot_open
 *   greeting with its header      ->    node_snapshot_receive
 *                                 <-    answer: where to go on
 *   chunk, chunk, chunk ...       ->    written durably, one by one
 *                                       node_snapshot_arrived, and waits
 *                                 <-    answer: installed, or not
 *   node_snapshot_sent
 *
 * The threads wait in short slices, so that a stop is seen soon. One that
 * failed says so only after a pause: the node may ask again at once.
 */
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/check.h"
#include "base/log.h"
#include "host/clock_posix.h"
#include "host/peers_int.h"

enum {
    WAIT_SLICE_MS = 50,
    FAILED_PAUSE_MS = 500,
    /* The receiver first removes what another snapshot left half done. */
    ANSWER_MS = 60 * 1000,
    /* A chunk is made durable before the next is read. */
    STALL_MS = 30 * 1000,
    /* The receiver reads its whole store anew. */
    INSTALL_MS = 10 * 60 * 1000,
    ABANDON_MS = 2000, /* waiting for the node, when all is to stop */
    RECEIVE_BYTES = 64 * 1024,
    NS_PER_MS = 1000000,
};

struct job {
    struct list link; /* of peers.snapshots */
    struct peers *peers;
    bool incoming;
    uint64_t member;
    bool running; /* it has a thread */
    pthread_t thread;
    _Atomic bool ended;
    _Atomic bool stop;
    int fd;            /* -1: none */
    struct tls *tls;   /* of it; NULL: plain */
    struct buf header; /* encoded; of an incoming one */
    struct peer_cutter cutter;
    int64_t sent_until_ns; /* when the bound on bytes allows the next */
};

/* ---- waiting ------------------------------------------------------------- */

static int64_t now_ns(void)
{
    return clock_monotonic_ns(clock_posix());
}

static bool stopping(const struct job *job)
{
    return atomic_load(&job->stop) || atomic_load(&job->peers->stopping);
}

static void pause_until(const struct job *job, int64_t until_ns)
{
    int64_t left_ns;
    while (!stopping(job) && (left_ns = until_ns - now_ns()) > 0) {
        int64_t slice_ns = (int64_t)WAIT_SLICE_MS * NS_PER_MS;
        struct timespec slice = {
            .tv_nsec = (long)(left_ns < slice_ns ? left_ns : slice_ns)};
        (void)nanosleep(&slice, NULL);
    }
}

static enum err wait_for(const struct job *job, short events,
                         int64_t deadline_ns)
{
    struct pollfd wanted = {.fd = job->fd, .events = events};
    for (;;) {
        int ready = poll(&wanted, 1, WAIT_SLICE_MS);
        if (ready > 0) {
            return ERR_OK;
        }
        if (ready < 0 && errno != EINTR) {
            return err_set(ERR_IO, "poll: %s", strerror(errno));
        }
        if (stopping(job)) {
            return err_set(ERR_STOPPED, "this member stops");
        }
        if (now_ns() >= deadline_ns) {
            return err_set(ERR_TIMEOUT, "nothing moves any more");
        }
    }
}

static int64_t in_ms(int64_t ms)
{
    return now_ns() + ms * NS_PER_MS;
}

/* ---- bytes --------------------------------------------------------------- */

static enum err send_all(const struct job *job, struct slice bytes)
{
    while (bytes.size > 0) {
        enum err err = wait_for(job, POLLOUT, in_ms(STALL_MS));
        if (err != ERR_OK) {
            return err;
        }
        ssize_t sent =
            peer_socket__send(job->fd, job->tls, bytes.at, bytes.size);
        if (sent < 0 && !peer_socket__is_passing(sent)) {
            return err_set(ERR_CLOSED, "send: %s", strerror(errno));
        }
        if (sent > 0) {
            bytes.at += sent;
            bytes.size -= (size_t)sent;
        }
    }
    return ERR_OK;
}

/* The next whole frame. The room of a begun one is read into directly; what
 * is behind it stays in the socket. */
static enum err receive_frame(struct job *job, int64_t wait_ms,
                              struct refbuf **out)
{
    char small[PEER_FRAME_HEAD_BYTES];
    *out = NULL;
    while (*out == NULL) {
        size_t room = 0;
        enum err err = ERR_OK;
        char *to = peer_cutter_room(&job->cutter, &room);
        size_t size = room > 0 ? room : sizeof(small) - job->cutter.head_size;
        ssize_t got =
            peer_socket__recv(job->fd, job->tls, room > 0 ? to : small, size);
        if (peer_socket__is_passing(got)) {
            err = wait_for(job, POLLIN, in_ms(wait_ms));
            if (err != ERR_OK) {
                return err;
            }
            continue;
        }
        if (got <= 0) {
            return err_set(ERR_CLOSED, "receive: %s", peer_socket__why(got));
        }
        struct slice input = slice_of(small, room > 0 ? 0 : (size_t)got);
        if (room > 0) {
            peer_cutter_filled(&job->cutter, (size_t)got);
        }
        err = peer_cutter_next(&job->cutter, &input, out);
        if (err != ERR_OK) {
            return err;
        }
    }
    return ERR_OK;
}

/* ---- sending ------------------------------------------------------------- */

/* Where its messages go, and in the same way. False: nowhere now. */
static bool find_way(struct job *job, struct peer_address *address, char *host,
                     bool *tls)
{
    struct peer_member *member = peers__find(job->peers, job->member);
    bool found = false;
    if (member != NULL) {
        pthread_mutex_lock(&member->mutex);
        found = member->fd >= 0;
        *address = member->address;
        *tls = member->tls != NULL;
        memcpy(host, member->host, sizeof(member->host));
        pthread_mutex_unlock(&member->mutex);
    }
    return found;
}

static enum err shake_hands(struct job *job, const char *host)
{
    int64_t deadline_ns = in_ms(PEERS_HANDSHAKE_MS);
    enum err err;
    job->tls = tls_new(job->peers->config.tls, job->fd, host);
    CHECK(job->tls != NULL);
    while ((err = tls_handshake(job->tls)) == ERR_BUSY) {
        err = wait_for(job, tls_wants(job->tls), deadline_ns);
        if (err != ERR_OK) {
            break;
        }
    }
    if (err == ERR_OK && !slice_eq(tls_alpn(job->tls), SLICE(PEERS_ALPN))) {
        err = err_set(ERR_INVALID, "it isn't the peer port of a member");
    }
    return err_wrap(err, "TLS with %.128s", host);
}

static enum err connect_to_member(struct job *job)
{
    struct peer_address address = {.size = 0};
    char host[PEERS_HOST_BYTES_MAX] = "";
    bool tls = false;
    if (!find_way(job, &address, host, &tls)) {
        return err_set(ERR_CLOSED, "there is no connection to the member");
    }
    job->fd = socket(address.at.ss_family,
                     SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (job->fd < 0) {
        return err_set(err_from_errno(errno), "make a socket: %s",
                       strerror(errno));
    }
    peers__setup_socket(job->peers, job->fd);
    if (connect(job->fd, (void *)&address.at, address.size) != 0 &&
        errno != EINPROGRESS) {
        return err_set(ERR_CLOSED, "connect: %s", strerror(errno));
    }
    /* A connection that failed shows when it is sent on. */
    enum err err = wait_for(job, POLLOUT, in_ms(PEERS_CONNECT_MS));
    return err == ERR_OK && tls ? shake_hands(job, host) : err;
}

static enum err receive_answer(struct job *job, int64_t wait_ms,
                               struct buf *place, enum peer_verdict *verdict)
{
    struct refbuf *frame = NULL;
    struct peer_answer answer;
    job->cutter.bytes_max = PEER_TALK_BYTES_MAX;
    enum err err = receive_frame(job, wait_ms, &frame);
    if (err != ERR_OK) {
        return err;
    }
    err = peer_answer_decode(slice_of(frame->bytes, frame->size), &answer);
    if (err == ERR_OK) {
        *verdict = answer.verdict;
        buf_append_slice(place, answer.place);
        if (answer.verdict != PEER_OK && answer.verdict != PEER_HAVE_IT) {
            size_t size = answer.text.size < 256 ? answer.text.size : 256;
            err = err_set(ERR_BUSY, "the member says: %.*s", (int)size,
                          answer.text.at);
        }
    }
    refbuf_unref(frame);
    return err;
}

/* So many bytes more: not faster than the bound allows, on average. */
static void keep_to_bound(struct job *job, size_t bytes)
{
    uint64_t bytes_per_s = job->peers->config.snapshot_bytes_per_s;
    if (bytes_per_s == 0) {
        return;
    }
    int64_t now = now_ns();
    if (job->sent_until_ns < now) {
        job->sent_until_ns = now;
    }
    job->sent_until_ns += (int64_t)((double)bytes * 1e9 / (double)bytes_per_s);
    pause_until(job, job->sent_until_ns);
}

static enum err send_chunks(struct job *job, struct snap_source *source)
{
    struct buf chunk = {0};
    enum err err;
    for (;;) {
        buf_reset(&chunk);
        (void)buf_extend(&chunk, PEER_FRAME_HEAD_BYTES);
        err = snap_source_next(source, &chunk);
        if (err != ERR_OK) {
            break;
        }
        CHECK_LT(PEER_FRAME_HEAD_BYTES, chunk.size);
        peer_frame_head(chunk.at, chunk.size - PEER_FRAME_HEAD_BYTES);
        err = send_all(job, buf_slice(&chunk));
        if (err != ERR_OK) {
            break;
        }
        keep_to_bound(job, chunk.size);
    }
    buf_deinit(&chunk);
    return err == ERR_END ? ERR_OK : err;
}

static enum err talk(struct job *job, const struct snap_header *header,
                     struct snap_source *source)
{
    struct buf out = {0};
    struct buf encoded = {0};
    struct buf place = {0};
    enum peer_verdict verdict = PEER_FAILED;
    snap_header_encode(header, &encoded);
    peer_link__greeting(job->peers, job->member, PEER_SNAPSHOT,
                        buf_slice(&encoded), &out);
    enum err err = send_all(job, buf_slice(&out));
    if (err == ERR_OK) {
        err = receive_answer(job, ANSWER_MS, &place, &verdict);
    }
    if (err == ERR_OK && verdict == PEER_OK) {
        err = snap_source_seek(source, buf_slice(&place));
        if (err == ERR_OK) {
            err = send_chunks(job, source);
        }
        if (err == ERR_OK) {
            buf_reset(&place);
            err = receive_answer(job, INSTALL_MS, &place, &verdict);
        }
    }
    buf_deinit(&out);
    buf_deinit(&encoded);
    buf_deinit(&place);
    return err;
}

static enum err send_snapshot(struct job *job, struct snap_header *header)
{
    struct snap_source *source = NULL;
    enum err err = connect_to_member(job);
    if (err != ERR_OK) {
        return err;
    }
    err = node_snapshot_open(atomic_load(&job->peers->node), header, &source);
    if (err != ERR_OK) {
        return err;
    }
    log_info("peers", "sending a snapshot", LOG_HEX("member", job->member),
             LOG_UINT("index", header->index));
    err = talk(job, header, source);
    snap_source_close(source);
    return err;
}

static void *run_outgoing(void *context)
{
    struct job *job = context;
    struct peers *peers = job->peers;
    struct snap_header header = {0};
    enum err err = send_snapshot(job, &header);
    if (err == ERR_OK) {
        log_info("peers", "a snapshot was installed",
                 LOG_HEX("member", job->member),
                 LOG_UINT("index", header.index));
    } else {
        log_warn("peers", "a snapshot was not brought over",
                 LOG_HEX("member", job->member), LOG_STR("why", err_note()));
        pause_until(job, in_ms(FAILED_PAUSE_MS));
    }
    atomic_store(&job->ended, true); /* the node may ask for the next one */
    node_snapshot_sent(atomic_load(&peers->node), job->member, header.index,
                       err != ERR_OK);
    peers__wake(peers);
    return NULL;
}

/* ---- receiving ----------------------------------------------------------- */

/* What the node has while it installs. Two own it: the thread that waits, and
 * the node until on_done; the last one frees it. */
struct arrival {
    struct node_snapshot_arrival node;
    pthread_mutex_t mutex;
    pthread_cond_t changed;
    bool done;
    bool abandoned;
};

static void free_arrival(struct arrival *arrival)
{
    pthread_cond_destroy(&arrival->changed);
    pthread_mutex_destroy(&arrival->mutex);
    mem_free(arrival);
}

static void on_done(struct node_snapshot_arrival *node)
{
    struct arrival *arrival = CONTAINER_OF(node, struct arrival, node);
    pthread_mutex_lock(&arrival->mutex);
    arrival->done = true;
    bool abandoned = arrival->abandoned;
    pthread_cond_signal(&arrival->changed);
    pthread_mutex_unlock(&arrival->mutex);
    if (abandoned) {
        free_arrival(arrival);
    }
}

/* When all is to stop it isn't waited for very long: the node may have come
 * to an end of its own. */
static enum err wait_until_done(struct job *job, struct arrival *arrival)
{
    int64_t give_up_ns = INT64_MAX;
    enum err err = ERR_STOPPED;
    pthread_mutex_lock(&arrival->mutex);
    while (!arrival->done && now_ns() < give_up_ns) {
        struct timespec until;
        clock_gettime(CLOCK_REALTIME, &until);
        until.tv_nsec += (long)WAIT_SLICE_MS * NS_PER_MS;
        until.tv_sec += until.tv_nsec / 1000000000;
        until.tv_nsec %= 1000000000;
        (void)pthread_cond_timedwait(&arrival->changed, &arrival->mutex,
                                     &until);
        if (stopping(job) && give_up_ns == INT64_MAX) {
            give_up_ns = in_ms(ABANDON_MS);
        }
    }
    bool done = arrival->done;
    arrival->abandoned = !done;
    pthread_mutex_unlock(&arrival->mutex);
    if (done) {
        err = arrival->node.err;
        free_arrival(arrival);
    }
    return err;
}

static enum err pass_to_node(struct job *job, const struct snap_header *header,
                             struct snap_sink *sink, bool complete)
{
    struct arrival *arrival = mem_alloc_zero(sizeof(*arrival));
    pthread_mutex_init(&arrival->mutex, NULL);
    pthread_cond_init(&arrival->changed, NULL);
    arrival->node.sink = sink;
    arrival->node.header = *header;
    arrival->node.complete = complete;
    arrival->node.on_done = on_done;
    node_snapshot_arrived(atomic_load(&job->peers->node), &arrival->node);
    if (!complete) {
        free_arrival(arrival);
        return ERR_OK;
    }
    return wait_until_done(job, arrival);
}

static enum err receive_chunks(struct job *job, struct snap_sink *sink)
{
    bool complete = false;
    enum err err = ERR_OK;
    job->cutter.bytes_max = PEERS_MESSAGE_BYTES_MAX;
    while (err == ERR_OK && !complete) {
        struct refbuf *chunk = NULL;
        err = receive_frame(job, STALL_MS, &chunk);
        if (err == ERR_OK) {
            err = snap_sink_write(sink, slice_of(chunk->bytes, chunk->size),
                                  &complete);
            refbuf_unref(chunk);
        }
    }
    return err;
}

static enum peer_verdict verdict_of(enum err err)
{
    switch (err) {
    case ERR_OK:
        return PEER_OK;
    case ERR_EXISTS:
        return PEER_HAVE_IT;
    case ERR_BUSY:
        return PEER_BUSY;
    case ERR_WRONG_CLUSTER:
        return PEER_WRONG_CLUSTER;
    default:
        return PEER_FAILED;
    }
}

static enum err say(struct job *job, enum err how, struct slice place)
{
    struct peer_answer answer = {.verdict = verdict_of(how), .place = place};
    struct buf out = {0};
    if (how != ERR_OK) {
        const char *note = err_note();
        answer.text = slice_str(note[0] != '\0' ? note : err_text(how));
    }
    peer_answer_encode(&answer, &out);
    enum err err = send_all(job, buf_slice(&out));
    buf_deinit(&out);
    return err;
}

static enum err receive_snapshot(struct job *job)
{
    struct snap_header header;
    struct snap_sink *sink = NULL;
    enum err err = snap_header_decode(buf_slice(&job->header), &header);
    if (err == ERR_OK) {
        err = node_snapshot_receive(atomic_load(&job->peers->node), &header,
                                    &sink);
    }
    if (err != ERR_OK) {
        (void)say(job, err, slice_of(NULL, 0));
        return err;
    }
    log_info("peers", "receiving a snapshot", LOG_HEX("member", job->member),
             LOG_UINT("index", header.index));
    err = say(job, ERR_OK, snap_sink_place(sink));
    if (err == ERR_OK) {
        err = receive_chunks(job, sink);
    }
    if (err != ERR_OK) {
        char why[ERR_NOTE_BYTES_MAX];
        (void)snprintf(why, sizeof(why), "%s", err_note());
        (void)pass_to_node(job, &header, sink, false);
        (void)err_set(err, "%s", why);
    } else {
        err_clear();
        err = pass_to_node(job, &header, sink, true);
    }
    (void)say(job, err, slice_of(NULL, 0));
    return err;
}

static void *run_incoming(void *context)
{
    struct job *job = context;
    enum err err = receive_snapshot(job);
    if (err == ERR_OK) {
        log_info("peers", "installed a snapshot",
                 LOG_HEX("member", job->member));
    } else {
        log_warn(
            "peers", "a snapshot was not taken in",
            LOG_HEX("member", job->member),
            LOG_STR("why", err_note()[0] != '\0' ? err_note() : err_text(err)));
    }
    atomic_store(&job->ended, true);
    peers__wake(job->peers);
    return NULL;
}

/* ---- the jobs ------------------------------------------------------------ */

static struct job *new_job(struct peers *peers, bool incoming, uint64_t member)
{
    struct job *job = mem_alloc_zero(sizeof(*job));
    job->peers = peers;
    job->incoming = incoming;
    job->member = member;
    job->fd = -1;
    job->cutter.bytes_max = PEER_TALK_BYTES_MAX;
    return job;
}

static void free_job(struct job *job)
{
    list_remove(&job->link);
    if (job->running) {
        int failed = pthread_join(job->thread, NULL);
        CHECK_EQ(failed, 0);
    }
    if (job->fd >= 0) {
        peer_socket__close(job->fd, job->tls);
    }
    peer_cutter_deinit(&job->cutter);
    buf_deinit(&job->header);
    mem_free(job);
}

/* False: the system has no thread for it. */
static bool start(struct job *job)
{
    job->running =
        pthread_create(&job->thread, NULL,
                       job->incoming ? run_incoming : run_outgoing, job) == 0;
    if (job->running) {
        (void)pthread_setname_np(job->thread, "snapshot");
    }
    return job->running;
}

/* Needs: the table is held. */
static size_t count_running(struct peers *peers, bool incoming)
{
    size_t count = 0;
    LIST_EACH (at, &peers->snapshots) {
        struct job *job = CONTAINER_OF(at, struct job, link);
        count += job->incoming == incoming && job->running &&
                         !atomic_load(&job->ended)
                     ? 1
                     : 0;
    }
    return count;
}

void peer_snapshot__send(struct peers *peers, uint64_t to)
{
    bool known = false;
    pthread_mutex_lock(&peers->table);
    LIST_EACH (at, &peers->snapshots) {
        struct job *job = CONTAINER_OF(at, struct job, link);
        known |=
            !job->incoming && job->member == to && !atomic_load(&job->ended);
    }
    if (!known) {
        list_push_back(&peers->snapshots, &new_job(peers, false, to)->link);
    }
    pthread_mutex_unlock(&peers->table);
    if (!known) {
        peers__wake(peers);
    }
}

/* An old transfer from the same member hangs behind a connection that is gone:
 * it is told to end, and the member comes again. */
static bool may_receive(struct peers *peers, uint64_t from)
{
    bool may = count_running(peers, true) < PEERS_SNAPSHOTS_MAX;
    LIST_EACH (at, &peers->snapshots) {
        struct job *job = CONTAINER_OF(at, struct job, link);
        if (job->incoming && job->member == from && !atomic_load(&job->ended)) {
            atomic_store(&job->stop, true);
            may = false;
        }
    }
    return may;
}

void peer_snapshot__receive(struct peers *peers, int fd, struct tls *tls,
                            uint64_t from, struct slice header)
{
    struct job *job = new_job(peers, true, from);
    job->fd = fd;
    job->tls = tls;
    buf_append_slice(&job->header, header);
    list_init(&job->link);
    pthread_mutex_lock(&peers->table);
    bool started = may_receive(peers, from) && start(job);
    if (started) {
        list_push_back(&peers->snapshots, &job->link);
    }
    pthread_mutex_unlock(&peers->table);
    if (!started) {
        (void)say(job, err_set(ERR_BUSY, "another snapshot is on its way"),
                  slice_of(NULL, 0));
        free_job(job);
    }
}

void peer_snapshot__look(struct peers *peers)
{
    pthread_mutex_lock(&peers->table);
    LIST_EACH (at, &peers->snapshots) {
        struct job *job = CONTAINER_OF(at, struct job, link);
        if (atomic_load(&job->ended)) {
            free_job(job);
        }
    }
    LIST_EACH (at, &peers->snapshots) {
        struct job *job = CONTAINER_OF(at, struct job, link);
        if (!job->running &&
            count_running(peers, false) < PEERS_SNAPSHOTS_MAX) {
            (void)start(job); /* or at the next look */
        }
    }
    pthread_mutex_unlock(&peers->table);
}

void peer_snapshot__stop_all(struct peers *peers)
{
    struct list *at;
    while ((at = list_first(&peers->snapshots)) != NULL) {
        struct job *job = CONTAINER_OF(at, struct job, link);
        atomic_store(&job->stop, true);
        free_job(job);
    }
}
