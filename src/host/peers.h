/* The members' connections to each other: the tenant of port/net.h.
 *
 *   this member                                        another member
 *   writer --net_send--> queue --> socket we made --->  its peer port
 *   node_receive <------- peers thread <-------------  the socket it made
 *
 * Each member makes ONE long-lived connection to each other one and sends its
 * messages on it; what comes back on it is the answer to the greeting, then
 * nothing but its end. A snapshot has a connection of its own, made for it,
 * and a thread of its own, with a bound on bytes a second.
 *
 * On the peer port a member is told from an HTTP client by its first bytes
 * (peer_wire.h has the format), with TLS by ALPN, where members name
 * PEERS_ALPN. The greeting names the cluster and both members; who belongs to
 * another cluster, isn't meant, or was removed, is told so and let go.
 *
 * The path of a message is short on purpose: net_flush writes to the socket
 * from the writer's thread where the socket takes it; what comes in is handed
 * to the node by the peers thread, which then runs the node's turn itself
 * (on_turn) when it can.
 *
 * A queue to a member holds at most PEERS_QUEUE_BYTES_MAX; beyond it messages
 * are dropped and the node is told (node_unreachable): a slow member never
 * grows this one's memory. A connection that ends is told at once
 * (node_peer_lost) and made again with growing pauses, up to a second.
 *
 * Certificates are looked at once, in the handshake: a connection that is up
 * stays so when files change or a certificate ends, the next one is with the
 * new ones (tls_context_reload is its owner's to call).
 *
 * Threads: peers_new, _start, _stop, _free: the main thread. peers_accept: any.
 *          net's calls: the writer.
 */
#ifndef ETCHED_HOST_PEERS_H
#define ETCHED_HOST_PEERS_H

#include "host/tls.h"
#include "node/node.h"
#include "port/net.h"

/* What members name in the handshake, and a peer port with TLS has to offer
 * before "http/1.1". */
#define PEERS_ALPN "etched-peer/1"

enum {
    PEERS_QUEUE_BYTES_MAX = 32 * 1024 * 1024,
    /* One message; an append holds at least one entry of the largest size. */
    PEERS_MESSAGE_BYTES_MAX = 128 * 1024 * 1024,
};

struct peers;

struct peers_config {
    const char *peer_urls; /* this member's, joined with ',': a new member
                              knows nobody, and answers who speaks to it */
    int64_t heartbeat_ms;  /* a connection that takes nothing for many of these
                             is given up */
    uint64_t snapshot_bytes_per_s; /* 0: no bound */
    /* The peers thread has handed messages to the node: run its turn, or see
     * that somebody does. */
    void (*on_turn)(void *context);
    /* Where peer URLs are https: whom this member trusts, and what it shows
     * them; it names PEERS_ALPN. Kept by reference. NULL: such URLs can't be
     * connected to. */
    struct tls_context *tls;
    /* A connection to the peer port that isn't a member's: the socket (and its
     * TLS, else NULL) pass, nothing was read from it. Called on the peers
     * thread. */
    void (*on_http)(void *context, int fd, struct tls *tls);
    /* Another member says that this one was removed from its cluster
     * (ERR_GONE), or belongs to another one (ERR_WRONG_CLUSTER). */
    void (*on_refused)(void *context, enum err why, const char *text);
    void *context;
};

enum err peers_new(const struct peers_config *config,
                   struct peers **out) MUST_USE;
struct net *peers_net(struct peers *peers);
/* Connects to the others, and from now on messages are taken in for this node.
 * The ids are known only when the node is open. */
void peers_start(struct peers *peers, struct node *node, uint64_t cluster,
                 uint64_t self);
/* Connections that have not said who they are, at most: file descriptors that
 * are wanted elsewhere. Before peers_start. */
void peers_bound_strangers(struct peers *peers, size_t max);
/* A connection was accepted on the peer port; the socket passes. `tls`: its
 * handshake is done (tls_gate.h), and it passes too; NULL: plain. */
void peers_accept(struct peers *peers, int fd, struct tls *tls);
/* Something was handed to the node (its on_submitted). True: by the peers
 * thread, which will call on_turn at the end of its round. */
bool peers_defer_submitted(void);
/* Ends all connections and threads; the node may then be closed. What the
 * writer still sends is dropped. Needs: the node's turns go on meanwhile, for
 * a snapshot that is being installed. */
void peers_stop(struct peers *peers);
/* Needs: stopped, and nobody uses the net any more. */
void peers_free(struct peers *peers);

/* For metrics: of each other member. Any thread. */
struct peers_stat {
    uint64_t member;
    bool connected; /* ours to it */
    uint64_t sent_bytes;
    uint64_t received_bytes;
    uint64_t send_failures; /* connections that broke */
    uint64_t dropped;       /* messages */
    uint64_t writes;        /* system calls that sent */
};
size_t peers_stats(struct peers *peers, struct peers_stat *out, size_t max);
/* How often the peers thread was woken by another one. */
uint64_t peers_wakeups(const struct peers *peers);

#endif
