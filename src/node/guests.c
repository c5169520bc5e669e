/* The leader's side of forwarding: commands of other members, each proposed
 * once at the most.
 *
 * A message may come twice, be late or out of order. Of each life of each
 * member the numbers that were seen are kept, the last 16,384 of them; what is
 * older counts as seen. They are kept for one term, the one that this member
 * leads or led last, which is enough: a command is meant for one term.
 *
 * "It was not proposed" is only said where that is known: of a number of that
 * term which is seen for the first time. Of other terms nothing is known and
 * nothing is said. */
#include "base/check.h"
#include "base/list.h"
#include "base/plant.h"
#include "node/node_int.h"

/* ---- what was seen ------------------------------------------------------- */

/* The window of this life of a member; the one that was not used for longest
 * becomes a new one's. */
static struct node_window *window_of(struct node *node, member_id from,
                                     uint64_t boot)
{
    size_t oldest = 0;
    for (size_t i = 0; i < NODE_WINDOWS; i++) {
        struct node_window *window = node->windows[i];
        if (window == NULL) {
            node->windows[i] = mem_alloc_zero(sizeof(struct node_window));
            oldest = i;
            break;
        }
        if (window->from == from && window->boot == boot) {
            return window;
        }
        if (window->used < node->windows[oldest]->used) {
            oldest = i;
        }
    }
    struct node_window *window = node->windows[oldest];
    *window = (struct node_window){.from = from, .boot = boot};
    return window;
}

static bool test_bit(const struct node_window *window, uint64_t number)
{
    uint64_t bit = number % NODE_WINDOW_BITS;
    return window->bits[bit / 64] >> (bit % 64) & 1;
}

static void set_bit(struct node_window *window, uint64_t number, bool on)
{
    uint64_t bit = number % NODE_WINDOW_BITS;
    uint64_t mask = UINT64_C(1) << (bit % 64);
    if (on) {
        window->bits[bit / 64] |= mask;
    } else {
        window->bits[bit / 64] &= ~mask;
    }
}

static void rise(struct node_window *window, uint64_t number)
{
    CHECK(number > window->highest);
    if (number - window->highest >= NODE_WINDOW_BITS) {
        memset(window->bits, 0, sizeof(window->bits));
    } else {
        for (uint64_t i = window->highest + 1; i <= number; i++) {
            set_bit(window, i, false);
        }
    }
    window->highest = number;
}

/* True the first time; afterwards the number was seen. */
static bool see(struct node *node, const struct node_origin *origin)
{
    struct node_window *window = window_of(node, origin->from, origin->boot);
    uint64_t number = origin->number;
    CHECK(number != 0);
    CHECK_EQ(origin->term, node->led_term);
    window->used = ++node->window_clock;
    if (number > window->highest) {
        rise(window, number);
    } else if (window->highest - number >= NODE_WINDOW_BITS ||
               test_bit(window, number)) {
        return false;
    }
    set_bit(window, number, true);
    return true;
}

static void forget_windows(struct node *node)
{
    for (size_t i = 0; i < NODE_WINDOWS; i++) {
        mem_free(node->windows[i]);
        node->windows[i] = NULL;
    }
}

void node__guests_of_term(struct node *node, raft_term term)
{
    CHECK_LE(node->led_term, term);
    if (node->led_term != term) {
        CHECK_EQ(node->guests.count, 0);
        forget_windows(node);
        node->led_term = term;
    }
}

/* ---- refusing ------------------------------------------------------------ */

void node__refuse_guest(struct node *node, struct node_guest *guest,
                        enum err err)
{
    CHECK_NE(err, ERR_OK);
    node__answer_guest(node, &guest->origin, err);
    refbuf_unref(guest->command);
    mem_free(guest);
}

void node__refuse_guests(struct node *node, enum err err)
{
    struct queue_link *link;
    while ((link = node__chain_pop(&node->guests)) != NULL) {
        node__refuse_guest(node, CONTAINER_OF(link, struct node_guest, link),
                           err);
    }
}

void node__guests_free(struct node *node)
{
    struct queue_link *link;
    while ((link = node__chain_pop(&node->guests)) != NULL) {
        struct node_guest *guest = CONTAINER_OF(link, struct node_guest, link);
        refbuf_unref(guest->command);
        mem_free(guest);
    }
    forget_windows(node);
}

/* ---- taking in ----------------------------------------------------------- */

static void take_command(struct node *node, const struct node_origin *origin,
                         struct slice command)
{
    char bytes[COMMAND_ORIGIN_BYTES_MAX];
    if (node->guests.count >= NODE_GUESTS_MAX) {
        node__answer_guest(node, origin, ERR_FULL);
        return;
    }
    size_t size = command_origin_encode(origin->from, origin->number, bytes);
    struct node_guest *guest = mem_alloc_zero(sizeof(*guest));
    guest->origin = *origin;
    guest->command = refbuf_new(command.size + size);
    memcpy(guest->command->bytes, command.at, command.size);
    memcpy(guest->command->bytes + command.size, bytes, size);
    node__chain_push(&node->guests, &guest->link);
}

static void on_change_done(struct node_change *change)
{
    struct node_guest_change *guest =
        CONTAINER_OF(change, struct node_guest_change, change);
    CHECK(change->command == NULL);
    node__answer_guest(guest->node, &guest->origin, change->err);
    mem_free(guest);
}

static void take_change(struct node *node, const struct node_origin *origin,
                        struct slice command,
                        const struct member_command *member)
{
    if (member->op > NODE_PROMOTE) {
        node__answer_guest(node, origin, ERR_INVALID);
        return;
    }
    if (node->changes.count >= NODE_CHANGES_MAX) {
        node__answer_guest(node, origin, ERR_FULL);
        return;
    }
    struct node_guest_change *guest = mem_alloc_zero(sizeof(*guest));
    guest->node = node;
    guest->origin = *origin;
    guest->change.op = (enum node_change_op)member->op;
    guest->change.member.id = member->member;
    guest->change.wait = (struct node_wait){
        .is_change = true, .from = origin->from, .number = origin->number};
    guest->change.command = refbuf_dup(command.at, command.size);
    guest->change.on_done = on_change_done;
    node__queue_change(node, &guest->change);
}

static void take_one(struct node *node, const struct node_origin *origin,
                     struct slice bytes)
{
    struct command command;
    arena_reset(&node->arena);
    /* What can't be decoded would stop every member that applies it. */
    if (command_decode(bytes, &node->arena, &command) != ERR_OK ||
        !node__is_well_formed(node, &command) || command.from != 0) {
        node__count(node, NODE_COUNTER(messages_dropped), 1);
        return;
    }
    switch (command.type) {
    case COMMAND_MEMBER:
        take_change(node, origin, bytes, &command.member);
        return;
    case COMMAND_TRANSFER:
        atomic_store(&node->transfer_to, command.transfer_to);
        atomic_store(&node->transfer_wanted, true);
        return;
    case COMMAND_TREE:
    case COMMAND_EXPIRE:
    case COMMAND_COMPACT:
    case COMMAND_PUBLISH:
    case COMMAND_CLUSTER:
    case COMMAND_PUT:
    case COMMAND_DELETE_RANGE:
    case COMMAND_TXN:
    case COMMAND_LEASE_GRANT:
    case COMMAND_LEASE_REVOKE:
    case COMMAND_ALARM:
    case COMMAND_LEASE_RENEW:
    case COMMAND_AUTH:
    case COMMAND_QUOTA:
        take_command(node, origin, bytes);
        return;
    }
    UNREACHABLE();
}

static void consider(struct node *node, const struct node_origin *origin,
                     struct slice command)
{
    if (origin->term != node->led_term) {
        return;
    }
    bool is_new = see(node, origin);
    if (!node->is_leader) {
        if (is_new) {
            node__answer_guest(node, origin, ERR_NOT_LEADER);
        }
    } else if (is_new || PLANTED(FORWARD_TWICE)) {
        take_one(node, origin, command);
    }
}

void node__take_forward(struct node *node, member_id from, struct slice payload)
{
    const char *at = payload.at;
    const char *last = payload.at + payload.size;
    struct node_origin origin = {.from = from};
    uint64_t size;
    CHECK(from != 0);
    CHECK_NE(from, node->member_id);
    if (!get_varint(&at, last, &origin.term) || last - at < 8) {
        node__count(node, NODE_COUNTER(messages_dropped), 1);
        return;
    }
    origin.boot = get_le64(at);
    at += 8;
    while (at < last) {
        if (!get_varint(&at, last, &origin.number) || origin.number == 0 ||
            !get_varint(&at, last, &size) || size > (uint64_t)(last - at)) {
            node__count(node, NODE_COUNTER(messages_dropped), 1);
            return;
        }
        consider(node, &origin, slice_of(at, (size_t)size));
        at += size;
    }
}
