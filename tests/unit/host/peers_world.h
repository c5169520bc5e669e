/* Members in one process that speak over loopback: real peers, real sockets,
 * and behind each a node that only writes down what it is told. For tests that
 * include it once: the node's functions are defined here. */
#ifndef ETCHED_TESTS_PEERS_WORLD_H
#define ETCHED_TESTS_PEERS_WORLD_H

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>
#include <cmocka.h>

#include "host/lock_posix.h"
#include "host/peers.h"
#include "host/peers_int.h"
#include "host/tls_gate.h"

enum {
    WORLD_MEMBERS = 3,
    WORLD_CLUSTER = 0xc1,
    WORLD_WAIT_MS = 10000, /* for what must happen: a slow machine */
};

/* ---- the node: it writes down what it is told ---------------------------- */

struct node {
    pthread_mutex_t mutex;
    struct lock *lock;
    struct buf received; /* "from:text " of each small message */
    size_t received_count;
    uint64_t received_bytes;
    bool out_of_order; /* of the messages that world_send_number sends */
    uint64_t next_number;
    size_t lost[16];
    size_t unreachable[16];
    size_t turns;
    uint64_t removed; /* an id */
    enum err refused;
    size_t refusals;
    int http_fd;
    struct tls *http_tls;

    /* Snapshots. */
    struct kv *kv;
    struct snap_set *set;
    struct snap_header header;
    enum err receive_err; /* what node_snapshot_receive says */
    enum err install_err;
    size_t sent_well;
    size_t sent_badly;
    size_t arrived;
    size_t arrived_early; /* and weren't complete */
    struct snap_sink *sink;
};

static inline size_t slot_of(uint64_t member)
{
    return member < 16 ? (size_t)member : 0;
}

void node_receive(struct node *node, member_id from, struct refbuf *message)
{
    pthread_mutex_lock(&node->mutex);
    node->received_count++;
    node->received_bytes += message->size;
    if (message->size < 64) {
        buf_printf(&node->received, "%llu:", (unsigned long long)from);
        buf_append(&node->received, message->bytes, message->size);
        buf_append_char(&node->received, ' ');
    } else {
        node->out_of_order |= get_le64(message->bytes) != node->next_number;
        node->next_number++;
    }
    pthread_mutex_unlock(&node->mutex);
    refbuf_unref(message);
    assert_true(peers_defer_submitted());
}

void node_peer_lost(struct node *node, member_id member)
{
    pthread_mutex_lock(&node->mutex);
    node->lost[slot_of(member)]++;
    pthread_mutex_unlock(&node->mutex);
}

void node_unreachable(struct node *node, member_id member)
{
    pthread_mutex_lock(&node->mutex);
    node->unreachable[slot_of(member)]++;
    pthread_mutex_unlock(&node->mutex);
}

struct lock *node_lock(struct node *node)
{
    return node->lock;
}

bool node_member_removed(struct node *node, member_id id)
{
    pthread_mutex_lock(&node->mutex);
    bool removed = node->removed == id;
    pthread_mutex_unlock(&node->mutex);
    return removed;
}

enum err node_snapshot_open(struct node *node, struct snap_header *header,
                            struct snap_source **out)
{
    *header = node->header;
    return snap_source_open(node->set, out);
}

void node_snapshot_sent(struct node *node, member_id to, raft_index index,
                        bool failed)
{
    (void)to;
    pthread_mutex_lock(&node->mutex);
    assert_true(failed || index == node->header.index);
    node->sent_badly += failed ? 1 : 0;
    node->sent_well += failed ? 0 : 1;
    pthread_mutex_unlock(&node->mutex);
}

enum err node_snapshot_receive(struct node *node,
                               const struct snap_header *header,
                               struct snap_sink **out)
{
    if (node->receive_err != ERR_OK) {
        return err_set(node->receive_err, "not now");
    }
    return snap_sink_open(node->set, header, out);
}

/* Installs at once, as a writer that has nothing else to do. */
void node_snapshot_arrived(struct node *node,
                           struct node_snapshot_arrival *arrival)
{
    enum err err = ERR_OK;
    if (arrival->complete) {
        err = node->install_err != ERR_OK ? node->install_err
                                          : snap_sink_activate(arrival->sink);
    }
    snap_sink_close(arrival->sink);
    pthread_mutex_lock(&node->mutex);
    node->arrived += arrival->complete ? 1 : 0;
    node->arrived_early += arrival->complete ? 0 : 1;
    pthread_mutex_unlock(&node->mutex);
    if (arrival->complete) {
        arrival->err = err;
        arrival->on_done(arrival);
    }
}

/* ---- a member ------------------------------------------------------------ */

struct member {
    uint64_t id;
    uint64_t cluster;
    uint16_t port;
    char url[64];
    int listening;
    pthread_t acceptor;
    bool running;
    _Atomic bool stop;
    struct peers *peers;
    struct net *net;
    struct node node;
    /* NULL: plain. Both are the test's. */
    struct tls_context *tls_in;
    struct tls_context *tls_out;
    struct tls_gate *gate;
};

static struct member world[WORLD_MEMBERS + 1]; /* from 1 */

static inline int64_t now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static inline void rest(int ms)
{
    nanosleep(&(struct timespec){.tv_sec = ms / 1000,
                                 .tv_nsec = (long)(ms % 1000) * 1000000},
              NULL);
}

/* Waits until `condition`, which is looked at with the node's mutex held. */
#define WAIT_UNTIL(member, condition)                          \
    do {                                                       \
        int64_t wait_until_ms = now_ms() + WORLD_WAIT_MS;      \
        bool wait_done = false;                                \
        while (!wait_done) {                                   \
            pthread_mutex_lock(&(member)->node.mutex);         \
            wait_done = (condition);                           \
            pthread_mutex_unlock(&(member)->node.mutex);       \
            if (!wait_done && now_ms() > wait_until_ms) {      \
                fail_msg("waited for " #condition " in vain"); \
            }                                                  \
            if (!wait_done) {                                  \
                rest(1);                                       \
            }                                                  \
        }                                                      \
    } while (false)

/* A number that the node writes down. */
static inline size_t told(struct member *member, const size_t *number)
{
    pthread_mutex_lock(&member->node.mutex);
    size_t value = *number;
    pthread_mutex_unlock(&member->node.mutex);
    return value;
}

static inline void set_removed(struct member *member, uint64_t id)
{
    pthread_mutex_lock(&member->node.mutex);
    member->node.removed = id;
    pthread_mutex_unlock(&member->node.mutex);
}

static inline void on_turn(void *context)
{
    struct member *member = context;
    pthread_mutex_lock(&member->node.mutex);
    member->node.turns++;
    pthread_mutex_unlock(&member->node.mutex);
}

static inline void on_http(void *context, int fd, struct tls *tls)
{
    struct member *member = context;
    pthread_mutex_lock(&member->node.mutex);
    member->node.http_fd = fd;
    member->node.http_tls = tls;
    pthread_mutex_unlock(&member->node.mutex);
}

static inline void on_refused(void *context, enum err why, const char *text)
{
    struct member *member = context;
    assert_true(text[0] != '\0');
    pthread_mutex_lock(&member->node.mutex);
    member->node.refused = why;
    member->node.refusals++;
    pthread_mutex_unlock(&member->node.mutex);
}

static inline int listen_at(uint16_t *port)
{
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_port = htons(*port)};
    socklen_t size = sizeof(address);
    int on = 1;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true(fd >= 0);
    assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)),
                     0);
    assert_int_equal(bind(fd, (void *)&address, size), 0);
    assert_int_equal(listen(fd, 256), 0);
    assert_int_equal(getsockname(fd, (void *)&address, &size), 0);
    *port = ntohs(address.sin_port);
    return fd;
}

static inline void *accept_all(void *context)
{
    struct member *member = context;
    while (!atomic_load(&member->stop)) {
        struct pollfd wanted = {.fd = member->listening, .events = POLLIN};
        if (poll(&wanted, 1, 10) > 0) {
            int fd = accept4(member->listening, NULL, NULL,
                             SOCK_NONBLOCK | SOCK_CLOEXEC);
            assert_true(fd >= 0);
            if (member->tls_in != NULL) {
                tls_gate_take(member->gate, fd, member->tls_in, 0);
            } else {
                peers_accept(member->peers, fd, NULL);
            }
        }
    }
    return NULL;
}

/* On the gate's thread. */
static inline void on_handshake(void *context, int fd, struct tls *tls, int tag)
{
    struct member *member = context;
    assert_int_equal(tag, 0);
    peers_accept(member->peers, fd, tls);
}

/* Its port is known, and somebody listens there; nothing else is there yet. */
static inline struct member *world_make(uint64_t id)
{
    struct member *member = &world[id];
    if (member->port == 0) {
        member->id = id;
        member->cluster = WORLD_CLUSTER;
        member->listening = listen_at(&member->port);
        (void)snprintf(member->url, sizeof(member->url), "http://127.0.0.1:%d",
                       member->port);
    }
    return member;
}

/* The peers are there and may be given members; not started. */
static inline void world_open(struct member *member, uint64_t bytes_per_s)
{
    struct peers_config config = {
        .peer_urls = member->url,
        .heartbeat_ms = 100,
        .snapshot_bytes_per_s = bytes_per_s,
        .tls = member->tls_out,
        .on_turn = on_turn,
        .on_http = on_http,
        .on_refused = on_refused,
        .context = member,
    };
    if (member->listening < 0) {
        member->listening = listen_at(&member->port);
    }
    member->node = (struct node){.http_fd = -1, .lock = lock_posix_new()};
    pthread_mutex_init(&member->node.mutex, NULL);
    assert_int_equal(peers_new(&config, &member->peers), ERR_OK);
    member->net = peers_net(member->peers);
}

static inline void world_start(struct member *member)
{
    const struct tls_gate_config gate = {.on_ready = on_handshake,
                                         .context = member};
    atomic_store(&member->stop, false);
    if (member->tls_in != NULL) {
        assert_int_equal(tls_gate_start(&gate, &member->gate), ERR_OK);
    }
    peers_start(member->peers, &member->node, member->cluster, member->id);
    assert_int_equal(
        pthread_create(&member->acceptor, NULL, accept_all, member), 0);
    member->running = true;
}

/* As when its process has ended: nobody listens any more. */
static inline void world_stop(struct member *member)
{
    if (!member->running) {
        return;
    }
    atomic_store(&member->stop, true);
    pthread_join(member->acceptor, NULL);
    close(member->listening);
    member->listening = -1;
    tls_gate_stop(member->gate);
    member->gate = NULL;
    peers_stop(member->peers);
    peers_free(member->peers);
    member->running = false;
    pthread_mutex_destroy(&member->node.mutex);
    lock_posix_free(member->node.lock);
    buf_deinit(&member->node.received);
    tls_free(member->node.http_tls);
    if (member->node.http_fd >= 0) {
        close(member->node.http_fd);
    }
    member->node.http_fd = -1;
}

static inline void world_know(struct member *member, struct member *other)
{
    struct net_member known = {.id = other->id,
                               .peer_urls = slice_str(other->url)};
    net_set_members(member->net, &known, 1);
}

/* Members 1 and 2, which know each other. */
static inline void world_start_two(void)
{
    struct member *one = world_make(1);
    struct member *two = world_make(2);
    world_open(one, 0);
    world_open(two, 0);
    world_know(one, two);
    world_know(two, one);
    world_start(one);
    world_start(two);
}

static inline int world_end(void **state)
{
    (void)state;
    for (size_t i = 1; i <= WORLD_MEMBERS; i++) {
        world_stop(&world[i]);
        if (world[i].port != 0 && world[i].listening >= 0) {
            close(world[i].listening);
        }
        world[i] = (struct member){0};
    }
    return 0;
}

static inline void send_text(struct member *from, uint64_t to, const char *text)
{
    net_send(from->net, to, refbuf_dup(text, strlen(text)));
}

static inline void send_now(struct member *from, uint64_t to, const char *text)
{
    send_text(from, to, text);
    net_flush(from->net);
}

/* At least 64 bytes, with a number that the other side checks. */
static inline void send_number(struct member *from, uint64_t to,
                               uint64_t number, size_t size)
{
    struct refbuf *message = refbuf_new(size);
    memset(message->bytes, 'x', size);
    put_le64(message->bytes, number);
    net_send(from->net, to, message);
}

static inline bool has_received(const struct node *node, const char *text)
{
    return node->received.size == strlen(text) &&
           memcmp(node->received.at, text, node->received.size) == 0;
}

static inline struct peers_stat stat_of(struct member *member)
{
    struct peers_stat stats[4] = {{0}};
    (void)peers_stats(member->peers, stats, 4);
    return stats[0];
}

static inline void wait_connected(struct member *member, bool connected)
{
    WAIT_UNTIL(member, stat_of(member).connected == connected);
}

/* ---- somebody who isn't one of us ---------------------------------------- */

static inline int dial(const struct member *member)
{
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_port = htons(member->port)};
    struct timeval patience = {.tv_sec = 10};
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true(fd >= 0);
    assert_int_equal(connect(fd, (void *)&address, sizeof(address)), 0);
    (void)setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
    return fd;
}

static inline void put_bytes(int fd, const void *bytes, size_t size)
{
    assert_int_equal(send(fd, bytes, size, MSG_NOSIGNAL), size);
}

static inline void put_greeting(int fd, const struct peer_greeting *greeting)
{
    struct buf out = {0};
    peer_greeting_encode(greeting, &out);
    put_bytes(fd, out.at, out.size);
    buf_deinit(&out);
}

static inline struct peer_greeting greeting_from(uint64_t from, uint64_t to)
{
    return (struct peer_greeting){.kind = PEER_MESSAGES,
                                  .cluster_id = WORLD_CLUSTER,
                                  .from = from,
                                  .to = to,
                                  .version = SLICE("test")};
}

/* 0: the other side closed it without a word. */
static inline enum peer_verdict read_answer(int fd)
{
    char bytes[4096];
    struct peer_answer answer;
    ssize_t size = recv(fd, bytes, sizeof(bytes), 0);
    if (size <= 0) {
        return (enum peer_verdict)0;
    }
    assert_true(size > PEER_FRAME_HEAD_BYTES);
    assert_int_equal(get_le32(bytes), size - PEER_FRAME_HEAD_BYTES);
    assert_int_equal(
        peer_answer_decode(slice_of(bytes + PEER_FRAME_HEAD_BYTES,
                                    (size_t)size - PEER_FRAME_HEAD_BYTES),
                           &answer),
        ERR_OK);
    return answer.verdict;
}

/* Nothing more comes: closed, or reset. */
static inline bool is_closed(int fd)
{
    char byte;
    ssize_t size = recv(fd, &byte, 1, 0);
    return size == 0 || (size < 0 && errno == ECONNRESET);
}

#endif
