#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "unit/raft/raft_cluster.h"

static void packet_free(struct cluster_packet *packet)
{
    if (packet->entries != NULL) {
        raft_message_release(&packet->message);
        mem_free(packet->entries);
    }
    mem_free(packet->state);
    mem_free(packet);
}

void cluster__net_deinit(struct cluster *cluster)
{
    for (size_t i = 0; i < cluster->packet_count; i++) {
        packet_free(cluster->packets[i]);
    }
    cluster->packet_count = 0;
    if (cluster->aside != NULL) {
        packet_free(cluster->aside);
        cluster->aside = NULL;
    }
}

static bool is_cut(const struct cluster *cluster, member_id from, member_id to)
{
    return from > cluster->member_count || to > cluster->member_count ||
           cluster->cut[from - 1][to - 1];
}

/* Takes it out of the queue; the others keep their order. */
static struct cluster_packet *take(struct cluster *cluster, size_t at)
{
    assert_true(at < cluster->packet_count);
    struct cluster_packet *packet = cluster->packets[at];
    cluster->packet_count--;
    memmove(&cluster->packets[at], &cluster->packets[at + 1],
            (cluster->packet_count - at) * sizeof(struct cluster_packet *));
    return packet;
}

/* What a host notices when a snapshot doesn't come to its end. */
static void snapshot_failed(struct cluster *cluster,
                            const struct raft_message *message)
{
    struct cluster_member *from = cluster_member(cluster, message->from);
    if (from->raft != NULL) {
        (void)cluster_step(cluster, from,
                           (struct raft_event){.type = RAFT_SNAPSHOT_SENT,
                                               .member = message->to,
                                               .index = message->index,
                                               .failed = true});
    }
}

static void lose(struct cluster *cluster, struct cluster_packet *packet)
{
    cluster__say_message(cluster, &packet->message, true);
    if (packet->message.type == RAFT_MESSAGE_SNAPSHOT) {
        snapshot_failed(cluster, &packet->message);
    }
    packet_free(packet);
}

/* A message goes through its bytes: what comes is what a host would get. */
static struct cluster_packet *packet_of(const struct raft_message *message,
                                        const struct cluster_state *state)
{
    struct cluster_packet *packet = mem_alloc_zero(sizeof(*packet));
    if (message->type == RAFT_MESSAGE_SNAPSHOT) {
        packet->message = *message;
        packet->state = mem_dup(state, sizeof(*state));
        packet->message.members = &packet->state->members;
        return packet;
    }
    struct buf bytes = {0};
    size_t count = message->count;
    packet->entries = mem_alloc((count + 1) * sizeof(struct raft_entry));
    raft_message_encode(message, &bytes);
    assert_int_equal(raft_message_decode(buf_slice(&bytes), packet->entries,
                                         count, &packet->message),
                     ERR_OK);
    assert_int_equal(packet->message.count, count);
    buf_deinit(&bytes);
    return packet;
}

void cluster_net_send(struct cluster *cluster,
                      const struct raft_message *message,
                      const struct cluster_state *state)
{
    struct cluster_packet *packet = packet_of(message, state);
    packet->sent_ms = cluster->now_ms;
    if (is_cut(cluster, message->from, message->to) ||
        cluster->packet_count == CLUSTER_PACKETS_MAX) {
        lose(cluster, packet);
        return;
    }
    cluster__say_message(cluster, message, false);
    cluster->packets[cluster->packet_count++] = packet;
}

static void receive(struct cluster *cluster, struct cluster_member *to,
                    const struct raft_message *message)
{
    enum err err = cluster_step(
        cluster, to,
        (struct raft_event){.type = RAFT_RECEIVE, .message = message});
    assert_int_equal(err, ERR_OK);
}

/* The whole of it has come; raft says whether it is wanted. */
static void receive_snapshot(struct cluster *cluster, struct cluster_member *to,
                             struct cluster_packet *packet)
{
    const struct raft_message *message = &packet->message;
    to->incoming = *packet->state;
    to->incoming_from = message->from;
    receive(cluster, to, message);
    if (to->update.install) {
        return;
    }
    to->incoming.index = 0;
    cluster__say(cluster, to->id, "not wanted", "snapshot %d/%d",
                 (int)message->log_term, (int)message->index);
    struct cluster_member *from = cluster_member(cluster, message->from);
    if (from->raft != NULL) {
        (void)cluster_step(
            cluster, from,
            (struct raft_event){.type = RAFT_SNAPSHOT_SENT,
                                .member = to->id,
                                .index = message->index,
                                .failed = to->state.index < message->index});
    }
}

void cluster_net_deliver(struct cluster *cluster, size_t at)
{
    struct cluster_packet *packet = take(cluster, at);
    struct cluster_member *to = cluster_member(cluster, packet->message.to);
    bool is_snapshot = packet->message.type == RAFT_MESSAGE_SNAPSHOT;
    if (to == NULL || to->raft == NULL ||
        is_cut(cluster, packet->message.from, packet->message.to) ||
        (is_snapshot && to->incoming.index != 0)) {
        lose(cluster, packet);
        return;
    }
    if (is_snapshot) {
        receive_snapshot(cluster, to, packet);
    } else {
        receive(cluster, to, &packet->message);
    }
    packet_free(packet);
}

void cluster_net_drop(struct cluster *cluster, size_t at)
{
    struct cluster_packet *packet = take(cluster, at);
    lose(cluster, packet);
}

void cluster_net_duplicate(struct cluster *cluster, size_t at)
{
    const struct cluster_packet *packet = cluster->packets[at];
    assert_true(at < cluster->packet_count);
    if (packet->message.type != RAFT_MESSAGE_SNAPSHOT &&
        cluster->packet_count < CLUSTER_PACKETS_MAX) {
        struct cluster_packet *copy = packet_of(&packet->message, NULL);
        cluster->packets[cluster->packet_count++] = copy;
        cluster_net_deliver(cluster, cluster->packet_count - 1);
    }
}

void cluster_net_set_aside(struct cluster *cluster, size_t at)
{
    assert_null(cluster->aside);
    cluster->aside = take(cluster, at);
}

void cluster_net_bring_back(struct cluster *cluster)
{
    if (cluster->aside != NULL) {
        assert_true(cluster->packet_count < CLUSTER_PACKETS_MAX);
        cluster->packets[cluster->packet_count++] = cluster->aside;
        cluster->aside = NULL;
    }
}

bool cluster_net_find(const struct cluster *cluster, member_id from,
                      member_id to, size_t *at)
{
    for (size_t i = 0; i < cluster->packet_count; i++) {
        const struct raft_message *message = &cluster->packets[i]->message;
        if ((from == 0 || message->from == from) &&
            (to == 0 || message->to == to)) {
            *at = i;
            return true;
        }
    }
    return false;
}

void cluster_net_cut(struct cluster *cluster, member_id from, member_id to,
                     bool cut)
{
    assert_true(from >= 1 && from <= cluster->member_count);
    assert_true(to >= 1 && to <= cluster->member_count);
    cluster->cut[from - 1][to - 1] = cut;
}

void cluster_net_heal(struct cluster *cluster)
{
    memset(cluster->cut, 0, sizeof(cluster->cut));
}
