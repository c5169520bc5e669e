/* A follower's side of forwarding: what waits here goes to the leader and is
 * answered when this member applies it itself.
 *
 *   FORWARD   u8 kind, varint term, le64 boot,
 *             then for each command: varint number, varint size, bytes
 *   ANSWER    u8 kind, varint term, le64 boot, varint number, varint code
 *
 * `term` is the leader's that the command is meant for: no other proposes it.
 * An ANSWER says that the command was not proposed and why; only of a change
 * of membership it also says that it is done.
 *
 * A command whose message may be lost is sent again, under its number, to the
 * same leader, who knows the numbers that it has seen. It gets a new number
 * only when it is known that nothing was done of it: the leader says so, or an
 * entry of a later term is applied (node_int.h). */
#include <stdlib.h>

#include "base/check.h"
#include "base/list.h"
#include "node/node_int.h"

/* ---- messages ------------------------------------------------------------ */

void node__send(struct node *node, member_id to, struct refbuf *message)
{
    CHECK(to != 0 && to != node->member_id);
    CHECK(message->size > 0);
    if (node->closing || node->config.ports.net == NULL) {
        refbuf_unref(message);
        return;
    }
    net_send(node->config.ports.net, to, message);
    node->sent = true;
}

static void put_number(struct buf *out, uint64_t number)
{
    char bytes[VARINT_BYTES_MAX];
    buf_append(out, bytes, put_varint(bytes, number));
}

static void begin(struct node *node, raft_term term)
{
    char boot[8];
    struct buf *out = &node->wire;
    CHECK(node->boot != 0);
    buf_reset(out);
    buf_append_char(out, NODE_ENVELOPE_FORWARD);
    put_number(out, term);
    put_le64(boot, node->boot);
    buf_append(out, boot, sizeof(boot));
}

static void end(struct node *node, member_id leader, size_t head_bytes)
{
    CHECK_LE(head_bytes, node->wire.size);
    if (node->wire.size > head_bytes) {
        node__send(node, leader, refbuf_dup(node->wire.at, node->wire.size));
    }
}

static void add(struct node *node, struct node_wait *wait)
{
    struct refbuf *command = node__command_of(wait);
    CHECK(wait->number != 0 && wait->is_handed_over);
    put_number(&node->wire, wait->number);
    put_number(&node->wire, command->size);
    buf_append(&node->wire, command->bytes, command->size);
    wait->sent_ms = node->now_ms;
}

/* ---- handing over -------------------------------------------------------- */

static void hand(struct node *node, struct node_wait *wait, raft_term term)
{
    CHECK(!wait->is_handed_over);
    wait->number = ++node->last_number;
    wait->term = term;
    wait->due_ms = node->now_ms + node->config.request_timeout_ms;
    wait->is_handed_over = true;
    void *before = map_u64_put(&node->handed, wait->number, wait);
    CHECK(before == NULL);
    add(node, wait);
    node__count(node, NODE_COUNTER(forwarded), 1);
}

/* The next of the writes, then of the changes; NULL: none. Where this member
 * has no room it takes nothing in that needs some, though others could. */
static struct node_wait *next_wait(struct node *node)
{
    while (node->backlog.count > 0) {
        struct node_request *request = node__take_backlog(node);
        if (!node__is_refused(node, request->command)) {
            return &request->wait;
        }
        node__answer(node, request, ERR_NO_SPACE);
    }
    if (node->changes.count > 0) {
        struct queue_link *link = node__chain_pop(&node->changes);
        return &CONTAINER_OF(link, struct node_change, link)->wait;
    }
    return NULL;
}

/* The leader; 0: none that takes commands. */
static member_id leader_of(const struct node *node, raft_term *term)
{
    member_id leader =
        atomic_load_explicit(&node->leader, memory_order_relaxed);
    *term = atomic_load_explicit(&node->term, memory_order_relaxed);
    if (node->config.ports.net == NULL || leader == node->member_id ||
        node->refused_term == *term) {
        return 0;
    }
    return leader;
}

void node__hand_over(struct node *node)
{
    raft_term term;
    member_id leader = leader_of(node, &term);
    if (leader == 0) {
        return;
    }
    struct node_wait *wait = (void *)1;
    while (wait != NULL) {
        begin(node, term);
        size_t head_bytes = node->wire.size;
        wait = NULL;
        while (node->wire.size < NODE_FORWARD_BYTES &&
               node->handed.count < LIMIT_PROPOSALS_MAX &&
               (wait = next_wait(node)) != NULL) {
            hand(node, wait, term);
        }
        end(node, leader, head_bytes);
    }
}

void node__forward_transfer(struct node *node, member_id to)
{
    raft_term term;
    member_id leader = leader_of(node, &term);
    struct command command = {.type = COMMAND_TRANSFER, .transfer_to = to};
    if (leader == 0) {
        return;
    }
    struct refbuf *encoded = command_encode(&command);
    begin(node, term);
    size_t head_bytes = node->wire.size;
    put_number(&node->wire, ++node->last_number);
    put_number(&node->wire, encoded->size);
    buf_append(&node->wire, encoded->bytes, encoded->size);
    end(node, leader, head_bytes);
    refbuf_unref(encoded);
}

struct node_wait *node__take_handed(struct node *node, uint64_t number)
{
    struct node_wait *wait = map_u64_remove(&node->handed, number);
    if (wait != NULL) {
        CHECK(wait->is_handed_over);
        CHECK_EQ(wait->number, number);
        wait->is_handed_over = false;
    }
    return wait;
}

/* ---- what comes back ----------------------------------------------------- */

/* Nothing was done of it. */
static void take_back(struct node *node, struct node_wait *wait)
{
    CHECK(!wait->is_handed_over);
    CHECK(node__command_of(wait) != NULL);
    wait->due_ms = 0;
    wait->number = 0;
    if (wait->is_change) {
        node__chain_push_front(&node->changes, &node__change_of(wait)->link);
    } else {
        node__put_back(node, node__request_of(wait));
    }
}

/* On the wire: numbers never change. */
static const struct {
    uint64_t code;
    enum err err;
} codes[] = {
    {0, ERR_OK},         {1, ERR_FULL},       {2, ERR_NO_SPACE},
    {3, ERR_DISK_FULL},  {4, ERR_NOT_LEADER}, {5, ERR_EXISTS},
    {6, ERR_NOT_FOUND},  {7, ERR_GONE},       {8, ERR_BUSY},
    {9, ERR_UNHEALTHY},  {10, ERR_NOT_READY}, {11, ERR_INVALID},
    {12, ERR_NO_LEADER}, {13, ERR_TIMEOUT},
};
enum { CODES = sizeof(codes) / sizeof(codes[0]) };

static enum err err_of(uint64_t code)
{
    for (size_t i = 0; i < CODES; i++) {
        if (codes[i].code == code) {
            return codes[i].err;
        }
    }
    return ERR_TIMEOUT; /* a newer version's */
}

static uint64_t code_of(enum err err)
{
    for (size_t i = 0; i < CODES; i++) {
        if (codes[i].err == err) {
            return codes[i].code;
        }
    }
    return 13;
}

void node__answer_guest(struct node *node, const struct node_origin *origin,
                        enum err err)
{
    char boot[8];
    struct buf *out = &node->wire;
    CHECK(origin->number != 0);
    if (origin->from == node->member_id) {
        return;
    }
    buf_reset(out);
    buf_append_char(out, NODE_ENVELOPE_ANSWER);
    put_number(out, origin->term);
    put_le64(boot, origin->boot);
    buf_append(out, boot, sizeof(boot));
    put_number(out, origin->number);
    put_number(out, code_of(err));
    node__send(node, origin->from, refbuf_dup(out->at, out->size));
}

void node__take_answer(struct node *node, struct slice payload)
{
    const char *at = payload.at;
    const char *last = payload.at + payload.size;
    uint64_t term;
    uint64_t number;
    uint64_t code;
    if (!get_varint(&at, last, &term) || last - at < 8 ||
        get_le64(at) != node->boot) {
        return;
    }
    at += 8;
    if (!get_varint(&at, last, &number) || !get_varint(&at, last, &code)) {
        return;
    }
    struct node_wait *wait = map_u64_get(&node->handed, number);
    if (wait == NULL || wait->term != term) {
        return;
    }
    struct node_wait *taken = node__take_handed(node, number);
    CHECK(taken == wait);
    if (err_of(code) == ERR_NOT_LEADER) {
        node->refused_term = term;
        take_back(node, wait);
    } else {
        node__answer_wait(node, wait, err_of(code));
    }
}

/* ---- what doesn't come back ---------------------------------------------- */

static int by_number(const void *a, const void *b)
{
    const struct node_wait *left = *(struct node_wait *const *)a;
    const struct node_wait *right = *(struct node_wait *const *)b;
    return (left->number > right->number) - (left->number < right->number);
}

/* All of those that were handed over which `wants` wants, by number; they are
 * still in the map. The caller's to free. */
static struct node_wait **gather(struct node *node,
                                 bool (*wants)(const struct node *node,
                                               const struct node_wait *wait,
                                               uint64_t argument),
                                 uint64_t argument, size_t *count)
{
    size_t position = 0;
    uint64_t number;
    struct node_wait *wait;
    struct node_wait **out = NULL;
    *count = 0;
    while ((wait = map_u64_next(&node->handed, &position, &number)) != NULL) {
        if (!wants(node, wait, argument)) {
            continue;
        }
        if (out == NULL) {
            out = mem_alloc(node->handed.count * sizeof(*out));
        }
        CHECK_LT(*count, node->handed.count);
        out[(*count)++] = wait;
    }
    if (*count > 1) {
        qsort(out, *count, sizeof(*out), by_number);
    }
    return out;
}

static bool is_of_earlier_term(const struct node *node,
                               const struct node_wait *wait, uint64_t term)
{
    (void)node;
    return wait->term < term;
}

void node__hand_over_again(struct node *node, raft_term term)
{
    size_t count;
    if (node->handed.count == 0) {
        return;
    }
    struct node_wait **waits = gather(node, is_of_earlier_term, term, &count);
    for (size_t i = count; i > 0; i--) {
        struct node_wait *wait = node__take_handed(node, waits[i - 1]->number);
        CHECK(wait == waits[i - 1]);
        take_back(node, wait);
    }
    mem_free(waits);
}

static bool is_over(const struct node *node, const struct node_wait *wait,
                    uint64_t unused)
{
    (void)unused;
    return node->now_ms >= wait->due_ms;
}

static bool is_any(const struct node *node, const struct node_wait *wait,
                   uint64_t unused)
{
    (void)node;
    (void)wait;
    (void)unused;
    return true;
}

static void answer_all(struct node *node, struct node_wait **waits,
                       size_t count, enum err err)
{
    for (size_t i = 0; i < count; i++) {
        struct node_wait *wait = node__take_handed(node, waits[i]->number);
        CHECK(wait == waits[i]);
        node__answer_wait(node, wait, err);
    }
}

void node__fail_handed(struct node *node, enum err err)
{
    size_t count;
    struct node_wait **waits = gather(node, is_any, 0, &count);
    answer_all(node, waits, count, err);
    mem_free(waits);
    CHECK_EQ(node->handed.count, 0);
}

/* The same leader still leads, and has had time to answer. */
static bool is_to_be_sent(const struct node *node, const struct node_wait *wait,
                          uint64_t term)
{
    return wait->term == term &&
           node->now_ms - wait->sent_ms >= node->config.election_ms / 2;
}

void node__sweep_handed(struct node *node)
{
    raft_term term;
    size_t count;
    if (node->handed.count == 0) {
        return;
    }
    struct node_wait **waits = gather(node, is_over, 0, &count);
    answer_all(node, waits, count, ERR_TIMEOUT);
    mem_free(waits);
    member_id leader = leader_of(node, &term);
    if (leader == 0) {
        return;
    }
    waits = gather(node, is_to_be_sent, term, &count);
    for (size_t i = 0; i < count;) {
        begin(node, term);
        size_t head_bytes = node->wire.size;
        while (i < count && node->wire.size < NODE_FORWARD_BYTES) {
            add(node, waits[i++]);
        }
        end(node, leader, head_bytes);
    }
    mem_free(waits);
}
