/* The door to the other members: messages that may be lost, late, twice or out
 * of order, and snapshots beside them. What comes in goes to node_receive.
 *
 * Threads: the writer's.
 */
#ifndef ETCHED_PORT_NET_H
#define ETCHED_PORT_NET_H

#include <stddef.h>
#include <stdint.h>

#include "base/bytes.h"
#include "base/mem.h"

struct net;

struct net_member {
    uint64_t id;
    struct slice peer_urls; /* joined with ',' */
};

struct net_ops {
    /* One encoded message for a member; the reference passes. Never waits: a
     * member that can't be reached, or whose queue is full, loses it, and the
     * node is told (node_unreachable). */
    void (*send)(struct net *net, uint64_t to, struct refbuf *message);
    /* What was sent since the last flush may leave together. */
    void (*flush)(struct net *net);
    /* The other members, all of them: connections to those that are new are
     * made, those to others end. Slices are copied. */
    void (*set_members)(struct net *net, const struct net_member *members,
                        size_t count);
    /* A member needs a snapshot: take one (node_snapshot_open), bring it over,
     * say how it went (node_snapshot_sent). Not again while one is under way
     * to it. */
    void (*snapshot)(struct net *net, uint64_t to);
};

struct net {
    const struct net_ops *ops;
};

static inline void net_send(struct net *net, uint64_t to,
                            struct refbuf *message)
{
    net->ops->send(net, to, message);
}
static inline void net_flush(struct net *net)
{
    net->ops->flush(net);
}
static inline void
net_set_members(struct net *net, const struct net_member *members, size_t count)
{
    net->ops->set_members(net, members, count);
}
static inline void net_snapshot(struct net *net, uint64_t to)
{
    net->ops->snapshot(net, to);
}

#endif
