#include "host/peers.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/random.h>
#include <unistd.h>

#include "base/check.h"
#include "base/log.h"
#include "host/clock_posix.h"
#include "host/peers_int.h"

enum {
    KEEPALIVE_IDLE_S = 5,
    KEEPALIVE_EVERY_S = 2,
    KEEPALIVE_COUNT = 3,
    IDLE_LOOK_MS = 1000, /* at members with nothing under way */
};

/* An accepted socket on its way to the peers thread. */
struct post {
    struct list link;
    int fd;
    struct tls *tls;
};

/* The thread that runs, if it is a peers thread. */
static _Thread_local struct peers *current;

static struct peers *of(struct net *net)
{
    return CONTAINER_OF(net, struct peers, net);
}

/* ---- small things -------------------------------------------------------- */

int64_t peers__now_ms(const struct peers *peers)
{
    return (int64_t)uv_now(&peers->loop);
}

void peers__wake(struct peers *peers)
{
    if (current != peers) {
        atomic_fetch_add_explicit(&peers->wakeups, 1, memory_order_relaxed);
    }
    int failed = uv_async_send(&peers->wake);
    CHECK_EQ(failed, 0);
}

static void on_timer(uv_timer_t *timer);

void peers__look_at(struct peers *peers, int64_t at_ms)
{
    if (at_ms >= peers->timer_ms) {
        return;
    }
    int64_t in_ms = at_ms - peers__now_ms(peers);
    peers->timer_ms = at_ms;
    uv_timer_start(&peers->timer, on_timer, in_ms > 0 ? (uint64_t)in_ms : 0, 0);
}

static struct node *node_of(struct peers *peers)
{
    return atomic_load(&peers->stopping) ? NULL : atomic_load(&peers->node);
}

void peers__lost(struct peers *peers, uint64_t member)
{
    struct node *node = node_of(peers);
    if (node != NULL) {
        node_peer_lost(node, member);
        peers->handed = true;
    }
}

void peers__unreachable(struct peers *peers, uint64_t member)
{
    struct node *node = node_of(peers);
    if (node != NULL) {
        node_unreachable(node, member);
        if (current == peers) {
            peers->handed = true;
        }
    }
}

void peers__setup_socket(const struct peers *peers, int fd)
{
    int on = 1;
    int idle_s = KEEPALIVE_IDLE_S;
    int every_s = KEEPALIVE_EVERY_S;
    int count = KEEPALIVE_COUNT;
    int timeout_ms = (int)peers->stall_ms;
    /* All but the second fail on a Unix socket, which needs none of them. */
    (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    (void)setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof(on));
    /* Heartbeats are few: behind a cut that heals they are sent again soon,
     * not after pauses that have doubled each time. */
    (void)setsockopt(fd, IPPROTO_TCP, TCP_THIN_LINEAR_TIMEOUTS, &on,
                     sizeof(on));
    (void)setsockopt(fd, IPPROTO_TCP, TCP_KEEPIDLE, &idle_s, sizeof(idle_s));
    (void)setsockopt(fd, IPPROTO_TCP, TCP_KEEPINTVL, &every_s, sizeof(every_s));
    (void)setsockopt(fd, IPPROTO_TCP, TCP_KEEPCNT, &count, sizeof(count));
    (void)setsockopt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &timeout_ms,
                     sizeof(timeout_ms));
}

/* ---- the table ----------------------------------------------------------- */

struct peer_member *peers__find(struct peers *peers, uint64_t id)
{
    CHECK(id != 0);
    PEERS_EACH(peers, member)
    {
        if (atomic_load(&member->id) == id) {
            return member;
        }
    }
    return NULL;
}

static struct peer_member *new_slot(struct peers *peers)
{
    size_t at = atomic_load(&peers->member_count);
    PEERS_EACH(peers, member)
    {
        if (atomic_load(&member->id) == 0) {
            return member;
        }
    }
    if (at == PEERS_MEMBERS_MAX) {
        return NULL;
    }
    struct peer_member *member = mem_alloc_zero(sizeof(*member));
    member->peers = peers;
    member->fd = -1;
    member->try_ms = INT64_MAX;
    member->warned_ms = member->explained_ms = -1;
    pthread_mutex_init(&member->mutex, NULL);
    atomic_store(&peers->members[at], member);
    atomic_store(&peers->member_count, at + 1);
    return member;
}

/* Needs: the table is held. NULL: it is full. */
static struct peer_member *add_member(struct peers *peers, uint64_t id)
{
    struct peer_member *member = new_slot(peers);
    if (member == NULL) {
        log_error("peers", "too many members for connections to all",
                  LOG_HEX("member", id), LOG_INT("max", PEERS_MEMBERS_MAX));
        return NULL;
    }
    pthread_mutex_lock(&member->mutex);
    CHECK(member->fd < 0 && member->tls == NULL && member->queue.count == 0);
    member->hopeful = !atomic_load(&peers->stopping);
    member->waiting = member->broken = member->dropped = false;
    member->told_ms = 0;
    pthread_mutex_unlock(&member->mutex);
    member->listed = false;
    atomic_store(&member->sent_bytes, 0);
    atomic_store(&member->received_bytes, 0);
    atomic_store(&member->send_failures, 0);
    atomic_store(&member->messages_dropped, 0);
    atomic_store(&member->writes, 0);
    atomic_store(&member->id, id);
    return member;
}

/* Needs: the table is held. */
static void set_urls(struct peer_member *member, struct slice urls)
{
    if (member->urls != NULL && slice_eq(slice_str(member->urls), urls)) {
        return;
    }
    mem_free(member->urls);
    member->urls = mem_alloc(urls.size + 1);
    if (urls.size > 0) {
        memcpy(member->urls, urls.at, urls.size);
    }
    member->urls[urls.size] = '\0';
    member->urls_changed = true;
}

/* Needs: the table is held. */
static size_t count_guests(struct peers *peers)
{
    size_t count = 0;
    PEERS_EACH(peers, member)
    {
        count += atomic_load(&member->id) != 0 && !member->listed ? 1 : 0;
    }
    return count;
}

struct peer_member *peers__greeted(struct peers *peers, uint64_t id,
                                   struct slice urls)
{
    pthread_mutex_lock(&peers->table);
    struct peer_member *member = peers__find(peers, id);
    if (member == NULL && count_guests(peers) < PEERS_GUESTS_MAX) {
        member = add_member(peers, id);
    }
    if (member != NULL && !member->listed) {
        set_urls(member, urls);
    }
    pthread_mutex_unlock(&peers->table);
    return member;
}

static void free_slot(struct peer_member *member)
{
    pthread_mutex_lock(&member->mutex);
    CHECK(member->fd < 0);
    (void)peer_queue__clear(&member->queue);
    atomic_store(&member->id, 0);
    pthread_mutex_unlock(&member->mutex);
    mem_free(member->urls);
    member->urls = NULL;
    member->urls_changed = false;
    member->url_next = 0;
    member->try_ms = INT64_MAX;
    member->warned_ms = member->explained_ms = -1;
    member->origin.size = 0;
}

void peers__settle(struct peer_member *member)
{
    struct peers *peers = member->peers;
    pthread_mutex_lock(&peers->table);
    if (atomic_load(&member->id) != 0 && !member->listed &&
        member->in == NULL) {
        peer_link__end(member);
        free_slot(member);
    }
    pthread_mutex_unlock(&peers->table);
}

/* ---- the net: the writer's thread ---------------------------------------- */

/* Needs: the member's mutex. */
static bool has_room(const struct peer_member *member, size_t size)
{
    size_t max = member->fd >= 0 ? PEERS_QUEUE_BYTES_MAX : PEERS_HOPE_BYTES_MAX;
    if (member->fd < 0 && !member->hopeful) {
        return false;
    }
    return member->queue.count == 0 || member->queue.bytes + size <= max;
}

static void net_send_one(struct net *net, uint64_t to, struct refbuf *message)
{
    struct peers *peers = of(net);
    struct peer_member *member = peers__find(peers, to);
    if (member == NULL) {
        refbuf_unref(message);
        return;
    }
    pthread_mutex_lock(&member->mutex);
    bool taken = atomic_load(&member->id) == to &&
                 message->size <= PEERS_MESSAGE_BYTES_MAX &&
                 has_room(member, message->size);
    if (taken) {
        peer_queue__push(&member->queue, message);
    } else {
        member->dropped = true;
    }
    pthread_mutex_unlock(&member->mutex);
    if (!taken) {
        atomic_fetch_add_explicit(&member->messages_dropped, 1,
                                  memory_order_relaxed);
        refbuf_unref(message);
    }
    if (!member->touched) {
        CHECK_LT(peers->touched_count, PEERS_MEMBERS_MAX);
        member->touched = true;
        peers->touched[peers->touched_count++] = member;
    }
}

/* True: messages were dropped, and the node wasn't told within a heartbeat.
 * Needs: the member's mutex. */
static bool must_tell(struct peer_member *member)
{
    if (!member->dropped) {
        return false;
    }
    int64_t now_ms = clock_monotonic_ns(clock_posix()) / 1000000;
    member->dropped = false;
    if (now_ms - member->told_ms < member->peers->config.heartbeat_ms) {
        return false;
    }
    member->told_ms = now_ms;
    return true;
}

/* True: the peers thread has to go on with it.
 * Needs: the member's mutex. */
static bool send_waiting(struct peer_member *member)
{
    uint64_t bytes = 0;
    uint64_t writes = 0;
    if (member->fd < 0 || member->waiting || member->broken) {
        return false;
    }
    enum peer_sent sent = peer_queue__send(&member->queue, member->fd,
                                           member->tls, &bytes, &writes);
    member->waiting = sent == PEER_SENT_PART;
    member->broken = sent == PEER_SENT_BROKEN;
    atomic_fetch_add_explicit(&member->sent_bytes, bytes, memory_order_relaxed);
    atomic_fetch_add_explicit(&member->writes, writes, memory_order_relaxed);
    return sent != PEER_SENT_ALL;
}

static void net_flush_all(struct net *net)
{
    struct peers *peers = of(net);
    bool wake = false;
    for (size_t i = 0; i < peers->touched_count; i++) {
        struct peer_member *member = peers->touched[i];
        member->touched = false;
        pthread_mutex_lock(&member->mutex);
        uint64_t id = atomic_load(&member->id);
        wake |= send_waiting(member);
        bool tell = must_tell(member);
        pthread_mutex_unlock(&member->mutex);
        if (tell && id != 0) {
            peers__unreachable(peers, id);
        }
    }
    peers->touched_count = 0;
    if (wake) {
        peers__wake(peers);
    }
}

static bool is_listed(const struct net_member *members, size_t count,
                      uint64_t id)
{
    for (size_t i = 0; i < count; i++) {
        if (members[i].id == id) {
            return true;
        }
    }
    return false;
}

static void net_set_all(struct net *net, const struct net_member *members,
                        size_t count)
{
    struct peers *peers = of(net);
    pthread_mutex_lock(&peers->table);
    PEERS_EACH(peers, member)
    {
        if (!is_listed(members, count, atomic_load(&member->id))) {
            member->listed = false;
        }
    }
    for (size_t i = 0; i < count; i++) {
        struct peer_member *member = peers__find(peers, members[i].id);
        if (member == NULL) {
            member = add_member(peers, members[i].id);
        }
        if (member != NULL) {
            member->listed = true;
            set_urls(member, members[i].peer_urls);
        }
    }
    pthread_mutex_unlock(&peers->table);
    peers__wake(peers);
}

static void net_send_snapshot(struct net *net, uint64_t to)
{
    peer_snapshot__send(of(net), to);
}

static const struct net_ops net_ops = {
    .send = net_send_one,
    .flush = net_flush_all,
    .set_members = net_set_all,
    .snapshot = net_send_snapshot,
};

/* ---- the peers thread ---------------------------------------------------- */

static void take_posts(struct peers *peers)
{
    struct list *at;
    do {
        pthread_mutex_lock(&peers->table);
        at = list_first(&peers->posts);
        if (at != NULL) {
            list_remove(at);
            peers->post_count--;
        }
        pthread_mutex_unlock(&peers->table);
        if (at != NULL) {
            struct post *post = CONTAINER_OF(at, struct post, link);
            peer_in__open(peers, post->fd, post->tls);
            mem_free(post);
        }
    } while (at != NULL);
}

/* Who was a member and isn't any more may not go on speaking as one. It
 * connects again, and is told. */
static void let_go_removed(struct peer_member *member)
{
    struct node *node = node_of(member->peers);
    if (node == NULL || member->in == NULL) {
        return;
    }
    lock_read(node_lock(node));
    bool removed = node_member_removed(node, atomic_load(&member->id));
    unlock_read(node_lock(node));
    if (removed) {
        peer_in__end(member);
    }
}

/* Returns when to look at it again. */
static int64_t look_at_member(struct peer_member *member, int64_t now_ms)
{
    struct peers *peers = member->peers;
    pthread_mutex_lock(&peers->table);
    bool is_member = atomic_load(&member->id) != 0;
    bool listed = member->listed;
    bool changed = is_member && member->urls_changed;
    member->urls_changed = false;
    pthread_mutex_unlock(&peers->table);
    if (!is_member) {
        return INT64_MAX;
    }
    if (changed) {
        peer_link__end(member);
        member->url_next = 0;
        member->pause_ms = PEERS_PAUSE_MIN_MS;
        peer_link__hurry(member);
    }
    if (!listed) {
        let_go_removed(member);
        peers__settle(member);
    }
    peer_in__go_on(member);
    return atomic_load(&member->id) == 0 ? INT64_MAX
                                         : peer_link__look(member, now_ms);
}

static void look_at_all(struct peers *peers)
{
    int64_t now_ms = peers__now_ms(peers);
    int64_t next_ms = now_ms + IDLE_LOOK_MS;
    PEERS_EACH(peers, member)
    {
        int64_t at_ms = look_at_member(member, now_ms);
        next_ms = at_ms < next_ms ? at_ms : next_ms;
    }
    int64_t at_ms = peer_in__look_at_strangers(peers, now_ms);
    next_ms = at_ms < next_ms ? at_ms : next_ms;
    peer_snapshot__look(peers);
    peers__look_at(peers, next_ms);
}

static void on_timer(uv_timer_t *timer)
{
    struct peers *peers = CONTAINER_OF(timer, struct peers, timer);
    peers->timer_ms = INT64_MAX;
    look_at_all(peers);
}

/* All but `wake`, which the writer may still send: it only doesn't keep the
 * loop any more. */
static void close_handles(struct peers *peers)
{
    uv_unref((uv_handle_t *)&peers->wake);
    uv_close((uv_handle_t *)&peers->prepare, NULL);
    uv_close((uv_handle_t *)&peers->idle, NULL);
    uv_close((uv_handle_t *)&peers->timer, NULL);
}

/* The loop ends when the last handle is closed. */
static void end_all(struct peers *peers)
{
    if (peers->ended) {
        return;
    }
    peers->ended = true;
    PEERS_EACH(peers, member)
    {
        pthread_mutex_lock(&member->mutex);
        member->hopeful = false;
        pthread_mutex_unlock(&member->mutex);
        peer_link__end(member);
        peer_in__end(member);
    }
    peer_in__end_strangers(peers);
    close_handles(peers);
}

static void on_wake(uv_async_t *wake)
{
    struct peers *peers = CONTAINER_OF(wake, struct peers, wake);
    if (atomic_load(&peers->stopping)) {
        end_all(peers);
        return;
    }
    take_posts(peers);
    look_at_all(peers);
}

static void on_idle(uv_idle_t *idle)
{
    (void)idle; /* while it is active the loop does not sleep */
}

/* At the end of a round: the node's turn, with all that came in it. */
static void on_prepare(uv_prepare_t *prepare)
{
    struct peers *peers = CONTAINER_OF(prepare, struct peers, prepare);
    if (peers->handed) {
        peers->handed = false;
        peers->config.on_turn(peers->config.context);
    }
    if (peers->handed) {
        uv_idle_start(&peers->idle, on_idle);
    } else {
        uv_idle_stop(&peers->idle);
    }
}

static void *run(void *context)
{
    struct peers *peers = context;
    current = peers;
    uv_run(&peers->loop, UV_RUN_DEFAULT);
    current = NULL;
    return NULL;
}

bool peers_defer_submitted(void)
{
    if (current == NULL) {
        return false;
    }
    current->handed = true;
    return true;
}

/* ---- life: the main thread ----------------------------------------------- */

static enum err start_loop(struct peers *peers)
{
    int failed = uv_loop_init(&peers->loop);
    if (failed == 0) {
        failed = uv_async_init(&peers->loop, &peers->wake, on_wake);
        if (failed != 0) {
            (void)uv_loop_close(&peers->loop);
        }
    }
    if (failed != 0) {
        return err_set(err_from_errno(-failed), "make an event loop: %s",
                       uv_strerror(failed));
    }
    uv_prepare_init(&peers->loop, &peers->prepare);
    uv_prepare_start(&peers->prepare, on_prepare);
    uv_idle_init(&peers->loop, &peers->idle);
    uv_timer_init(&peers->loop, &peers->timer);
    peers->timer_ms = INT64_MAX;
    return ERR_OK;
}

static int64_t stall_of(int64_t heartbeat_ms)
{
    int64_t stall_ms = heartbeat_ms * PEERS_STALL_HEARTBEATS;
    CHECK(heartbeat_ms > 0);
    if (stall_ms > INT32_MAX) {
        return INT32_MAX;
    }
    return stall_ms > PEERS_STALL_MIN_MS ? stall_ms : PEERS_STALL_MIN_MS;
}

enum err peers_new(const struct peers_config *config, struct peers **out)
{
    struct peers *peers = mem_alloc_zero(sizeof(*peers));
    uint64_t seed = 0;
    *out = NULL;
    peers->net.ops = &net_ops;
    peers->config = *config;
    peers->strangers_max = PEERS_STRANGERS_MAX;
    peers->stall_ms = stall_of(config->heartbeat_ms);
    enum err err = start_loop(peers);
    if (err != ERR_OK) {
        mem_free(peers);
        return err;
    }
    ssize_t size = getrandom(&seed, sizeof(seed), 0);
    CHECK_EQ(size, sizeof(seed));
    prng_init(&peers->prng, seed);
    peers->peer_urls = mem_strdup(config->peer_urls);
    if (config->tls != NULL) {
        (void)tls_context_ref(config->tls);
    }
    pthread_mutex_init(&peers->table, NULL);
    list_init(&peers->posts);
    list_init(&peers->snapshots);
    list_init(&peers->strangers);
    *out = peers;
    return ERR_OK;
}

struct net *peers_net(struct peers *peers)
{
    return &peers->net;
}

void peers_start(struct peers *peers, struct node *node, uint64_t cluster,
                 uint64_t self)
{
    CHECK(!peers->started && self != 0);
    peers->cluster_id = cluster;
    peers->member_id = self;
    atomic_store(&peers->node, node);
    int failed = pthread_create(&peers->thread, NULL, run, peers);
    CHECK_EQ(failed, 0);
    failed = pthread_setname_np(peers->thread, "peers");
    CHECK_EQ(failed, 0);
    peers->started = true;
    peers__wake(peers);
}

void peers_bound_strangers(struct peers *peers, size_t max)
{
    CHECK(!peers->started && max > 0);
    peers->strangers_max =
        max < PEERS_STRANGERS_MAX ? max : PEERS_STRANGERS_MAX;
}

void peers_accept(struct peers *peers, int fd, struct tls *tls)
{
    struct post *post = mem_alloc(sizeof(*post));
    CHECK(fd >= 0);
    post->fd = fd;
    post->tls = tls;
    pthread_mutex_lock(&peers->table);
    bool taken = peers->post_count < peers->strangers_max;
    if (taken) {
        list_push_back(&peers->posts, &post->link);
        peers->post_count++;
    }
    pthread_mutex_unlock(&peers->table);
    if (taken) {
        peers__wake(peers);
    } else {
        peer_socket__close(fd, tls);
        mem_free(post);
    }
}

void peers_stop(struct peers *peers)
{
    if (!peers->started) {
        return;
    }
    atomic_store(&peers->stopping, true);
    peers__wake(peers);
    int failed = pthread_join(peers->thread, NULL);
    CHECK_EQ(failed, 0);
    peer_snapshot__stop_all(peers);
    peers->started = false;
}

static void free_posts(struct peers *peers)
{
    struct list *at;
    while ((at = list_first(&peers->posts)) != NULL) {
        struct post *post = CONTAINER_OF(at, struct post, link);
        list_remove(at);
        peer_socket__close(post->fd, post->tls);
        mem_free(post);
    }
}

void peers_free(struct peers *peers)
{
    if (peers == NULL) {
        return;
    }
    CHECK(!peers->started);
    if (!peers->ended) {
        close_handles(peers); /* it was never started */
    }
    uv_close((uv_handle_t *)&peers->wake, NULL);
    uv_run(&peers->loop, UV_RUN_DEFAULT);
    int failed = uv_loop_close(&peers->loop);
    CHECK_EQ(failed, 0);
    peer_snapshot__stop_all(peers);
    free_posts(peers);
    PEERS_EACH(peers, member)
    {
        peer_queue__deinit(&member->queue);
        pthread_mutex_destroy(&member->mutex);
        mem_free(member->urls);
        mem_free(member);
    }
    pthread_mutex_destroy(&peers->table);
    mem_free(peers->peer_urls);
    tls_context_unref(peers->config.tls);
    mem_free(peers);
}

/* ---- for metrics --------------------------------------------------------- */

size_t peers_stats(struct peers *peers, struct peers_stat *out, size_t max)
{
    size_t count = 0;
    pthread_mutex_lock(&peers->table);
    PEERS_EACH(peers, member)
    {
        uint64_t id = atomic_load(&member->id);
        if (id != 0 && member->listed && count < max) {
            out[count++] = (struct peers_stat){
                .member = id,
                .connected = atomic_load(&member->connected),
                .sent_bytes = atomic_load(&member->sent_bytes),
                .received_bytes = atomic_load(&member->received_bytes),
                .send_failures = atomic_load(&member->send_failures),
                .dropped = atomic_load(&member->messages_dropped),
                .writes = atomic_load(&member->writes),
            };
        }
    }
    pthread_mutex_unlock(&peers->table);
    return count;
}

uint64_t peers_wakeups(const struct peers *peers)
{
    return atomic_load(&peers->wakeups);
}
