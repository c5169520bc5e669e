/* Snapshots on their way: a stream of chunks beside the packets, that may
 * break off, and goes on where the receiver says.
 *
 *   OPEN --> GREET --> CHUNK, CHUNK ... --> WAIT (installed?) --> gone
 *              ^          |
 *              '----------' broke off: the same snapshot, another connection
 */
#include "base/check.h"
#include "base/mem.h"
#include "sim/sim_int.h"

enum { TRIES_MAX = 6 };

enum transfer_state { OPEN, GREET, CHUNK, WAIT };

struct sim_transfer {
    struct sim_transfer *next;
    struct sim_event event;
    enum transfer_state state;
    struct sim_member *from;
    struct sim_member *to;
    struct snap_header header;
    struct snap_source *source;
    struct snap_sink *sink;
    /* WAIT: the node's. A sender that ends meanwhile leaves an orphan. */
    struct node_snapshot_arrival arrival;
    bool orphan;
    struct buf chunk;
    int tries;
};

/* ---- ends ---------------------------------------------------------------- */

/* The sink of what isn't complete goes back to its node. */
static void give_sink_back(struct sim_transfer *transfer)
{
    struct node_snapshot_arrival arrival = {
        .sink = transfer->sink,
        .header = transfer->header,
    };
    if (transfer->sink)
        node_snapshot_arrived(transfer->to->node, &arrival);
    transfer->sink = NULL;
}

static void close_source(struct sim_transfer *transfer)
{
    if (transfer->source)
        snap_source_close(transfer->source);
    transfer->source = NULL;
}

void sim__transfer_free(struct sim_transfer *transfer)
{
    struct sim *sim = transfer->from->sim;
    struct sim_transfer **at = &sim->transfers;
    while (*at != transfer)
        at = &(*at)->next;
    *at = transfer->next;
    sim__cancel(sim, &transfer->event);
    CHECK(transfer->source == NULL && transfer->sink == NULL);
    buf_deinit(&transfer->chunk);
    mem_free(transfer);
}

static void end(struct sim_transfer *transfer, enum err err)
{
    struct sim_member *from = transfer->from;
    sim__trace(from->sim, from->place, SIM_TRACE_SNAP_END,
               (uint64_t)transfer->to->place, transfer->header.index, err);
    if (err == ERR_OK)
        sim__count(from->sim, SIM_COUNT_SNAPSHOTS, 1);
    give_sink_back(transfer);
    close_source(transfer);
    if (from->node)
        node_snapshot_sent(from->node, transfer->to->id, transfer->header.index,
                           err != ERR_OK);
    sim__transfer_free(transfer);
}

/* Broke off: another try, if this wasn't one too many. */
static void broke(struct sim_transfer *transfer, enum err err)
{
    struct sim *sim = transfer->from->sim;
    if (++transfer->tries > TRIES_MAX) {
        end(transfer, err);
        return;
    }
    give_sink_back(transfer);
    transfer->state = GREET;
    sim__at(sim, &transfer->event,
            sim->now_ns + prng_between(&sim->prng, 10, 500) * SIM_MS);
}

/* ---- steps --------------------------------------------------------------- */

static bool reaches(const struct sim_transfer *transfer)
{
    struct sim *sim = transfer->from->sim;
    int from = transfer->from->place;
    int to = transfer->to->place;
    return !sim__link(sim, from, to)->cut && !sim__link(sim, to, from)->cut &&
           transfer->to->state == SIM_UP &&
           !sim__chance(&sim->prng, sim->weather.loss_ppm);
}

static void next_at(struct sim_transfer *transfer, enum transfer_state state)
{
    struct sim *sim = transfer->from->sim;
    transfer->state = state;
    sim__at(sim, &transfer->event,
            sim->now_ns + sim->weather.delay_ns +
                (int64_t)prng_below(&sim->prng, 1000) * SIM_US);
}

static void open_source(struct sim_transfer *transfer)
{
    struct sim_member *from = transfer->from;
    enum err err =
        node_snapshot_open(from->node, &transfer->header, &transfer->source);
    sim__trace(from->sim, from->place, SIM_TRACE_SNAP_OPEN,
               (uint64_t)transfer->to->place, transfer->header.index, err);
    if (err) {
        end(transfer, err);
        return;
    }
    snap_source_chunk_bytes(transfer->source, from->sim->chunk_bytes);
    next_at(transfer, GREET);
}

static void greet(struct sim_transfer *transfer)
{
    if (!reaches(transfer)) {
        broke(transfer, ERR_CLOSED);
        return;
    }
    enum err err = node_snapshot_receive(transfer->to->node, &transfer->header,
                                         &transfer->sink);
    if (err == ERR_OK)
        err =
            snap_source_seek(transfer->source, snap_sink_place(transfer->sink));
    if (err == ERR_OK)
        next_at(transfer, CHUNK);
    else if (err == ERR_EXISTS)
        end(transfer, ERR_OK);
    else
        broke(transfer, err);
}

static void on_installed(struct node_snapshot_arrival *arrival)
{
    struct sim_transfer *transfer =
        CONTAINER_OF(arrival, struct sim_transfer, arrival);
    if (transfer->orphan)
        sim__transfer_free(transfer);
    else if (transfer->to->dying)
        broke(transfer, ERR_CLOSED);
    else
        next_at(transfer, WAIT);
}

static void send_chunk(struct sim_transfer *transfer)
{
    bool complete = false;
    struct sim_member *to = transfer->to;
    if (!reaches(transfer)) {
        broke(transfer, ERR_CLOSED);
        return;
    }
    buf_reset(&transfer->chunk);
    enum err err = snap_source_next(transfer->source, &transfer->chunk);
    if (err == ERR_OK)
        err = snap_sink_write(transfer->sink, buf_slice(&transfer->chunk),
                              &complete);
    sim__trace(to->sim, to->place, SIM_TRACE_SNAP_CHUNK,
               (uint64_t)transfer->from->place, transfer->chunk.size, err);
    if (err) {
        broke(transfer, err);
        return;
    }
    if (!complete) {
        next_at(transfer, CHUNK);
        return;
    }
    transfer->state = WAIT;
    transfer->arrival = (struct node_snapshot_arrival){
        .sink = transfer->sink,
        .header = transfer->header,
        .complete = true,
        .on_done = on_installed,
    };
    transfer->sink = NULL;
    node_snapshot_arrived(to->node, &transfer->arrival);
}

static void step(struct sim *sim, struct sim_event *event)
{
    struct sim_transfer *transfer =
        CONTAINER_OF(event, struct sim_transfer, event);
    /* Where the sender is paused, its stream stands still. */
    if (transfer->from->state != SIM_UP) {
        sim__at(sim, event, sim->now_ns + 100 * SIM_MS);
        return;
    }
    switch (transfer->state) {
    case OPEN:
        open_source(transfer);
        break;
    case GREET:
        greet(transfer);
        break;
    case CHUNK:
        send_chunk(transfer);
        break;
    case WAIT: /* it was told, and the answer has come */
        end(transfer, transfer->arrival.err);
        break;
    }
}

void sim__transfer_begin(struct sim_member *from, member_id to_id)
{
    struct sim *sim = from->sim;
    struct sim_member *to = sim__member_of(sim, to_id);
    CHECK(to != NULL);
    for (struct sim_transfer *it = sim->transfers; it; it = it->next)
        if (it->from == from && it->to == to && !it->orphan)
            return;
    struct sim_transfer *transfer = mem_alloc_zero(sizeof *transfer);
    transfer->from = from;
    transfer->to = to;
    transfer->event.fire = step;
    transfer->next = sim->transfers;
    sim->transfers = transfer;
    next_at(transfer, OPEN);
}

void sim__transfers_drop(struct sim_member *member)
{
    struct sim_transfer *next;
    for (struct sim_transfer *it = member->sim->transfers; it; it = next) {
        next = it->next;
        bool waits = it->state == WAIT && !sim__is_set(&it->event);
        if (it->from == member) {
            close_source(it);
            give_sink_back(it);
            it->orphan = waits;
            if (!waits)
                sim__transfer_free(it);
        } else if (it->to == member && it->state == CHUNK) {
            broke(it, ERR_CLOSED);
        }
    }
}
