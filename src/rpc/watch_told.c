/* Events as watchers are told them. What a thousand watches are given is made
 * once: the event's bytes are shared by all chains that end in it, and a chain
 * by all watches that were given the same events since the last flush.
 *
 *            first[kind]              A and B watch a range, C one key of it
 *              |
 *   A, B --> event 7/0 <-- event 7/1 <-- told by A and B
 *   C -----> (7/1 alone: another chain, the same bytes)
 */
#include "base/check.h"
#include "base/log.h"
#include "rpc/watch_int.h"
#include "txn/txn.h"

enum { TAG_EVENTS = WATCH_FIELD_EVENTS << 3 | 2 };

static bool is_same(struct rev a, struct rev b)
{
    return a.main == b.main && a.sub == b.sub;
}

/* ---- one event ----------------------------------------------------------- */

/* As etcd has it: what the key was before the whole step, which may have put it
 * and deleted it; and what created a key has nothing before it, though v2's
 * "set" may have ended an older life in the same step. False: there is none, or
 * it was compacted: what has not been cleaned away yet counts as gone. */
static bool read_prev(struct rpc *rpc, const struct record *record,
                      struct record *prev)
{
    CHECK(rpc->reading);
    revision current;
    revision compacted;
    mvcc_reader_revisions(rpc->reader, &current, &compacted);
    bool is_tombstone = (record->flags & MVCC_TOMBSTONE) != 0;
    if (record->rev.main <= compacted ||
        (!is_tombstone && record->create == record->rev.main)) {
        return false;
    }
    struct rev at = record->prev;
    enum err err = ERR_OK;
    do {
        if (at.main == 0)
            return false;
        err = mvcc_get_rev(rpc->reader, at, prev);
        if (err == ERR_OK)
            at = prev->prev;
    } while (err == ERR_OK && prev->rev.main == record->rev.main);
    if (err != ERR_OK && err != ERR_COMPACTED && err != ERR_NOT_FOUND) {
        log_error("watch", "what a key was before can't be read",
                  LOG_STR("error", err_text(err)), LOG_STR("why", err_note()),
                  LOG_INT("revision", at.main));
    }
    return err == ERR_OK && (prev->flags & MVCC_TOMBSTONE) == 0;
}

static struct refbuf *encode(struct rpc *rpc, const struct record *record,
                             unsigned kind)
{
    struct buf *out = &rpc->watches->scratch;
    struct record prev;
    char begin[1 + VARINT_BYTES_MAX];
    bool has_prev = (kind & TOLD_PREV) != 0 && read_prev(rpc, record, &prev);
    buf_reset(out);
    txn_event(out, record, has_prev ? &prev : NULL);
    if ((kind & TOLD_CAUSE) != 0) {
        txn_event_cause(out, record);
    }
    begin[0] = TAG_EVENTS;
    size_t size = 1 + put_varint(begin + 1, out->size);
    struct refbuf *bytes = refbuf_new(size + out->size);
    memcpy(bytes->bytes, begin, size);
    memcpy(bytes->bytes + size, out->at, out->size);
    if (out->capacity > RPC_OUT_BYTES_KEPT) {
        buf_deinit(out);
    }
    rpc->watches->gathered += bytes->size;
    return bytes;
}

/* The event's bytes; the reference is ours. */
static struct refbuf *event_of(struct rpc *rpc, const struct record *record,
                               unsigned kind)
{
    struct told_event *kept = &rpc->watches->event[kind];
    if (kept->bytes == NULL || !is_same(kept->rev, record->rev)) {
        refbuf_unref(kept->bytes);
        kept->bytes = encode(rpc, record, kind);
        kept->rev = record->rev;
    }
    return kept->bytes;
}

size_t told__event_bytes(struct rpc *rpc, const struct record *record,
                         unsigned kind)
{
    return event_of(rpc, record, kind)->size;
}

void told__forget(struct watching *watches)
{
    for (size_t i = 0; i < TOLD_KINDS; i++) {
        refbuf_unref(watches->event[i].bytes);
        watches->event[i].bytes = NULL;
    }
}

/* ---- chains -------------------------------------------------------------- */

/* Where the chain that goes on from `before` is found again. */
static struct told **place_of(struct watching *watches, struct told *before,
                              unsigned kind)
{
    return before != NULL ? &before->next : &watches->first[kind];
}

struct told *told__ref(struct told *told)
{
    CHECK(told->refs > 0 && told->refs < UINT32_MAX);
    told->refs++;
    return told;
}

void told__unref(struct watching *watches, struct told *told)
{
    while (told != NULL && --told->refs == 0) {
        struct told *before = told->before;
        struct told **place = place_of(watches, before, told->kind);
        CHECK(told->next == NULL);
        if (*place == told) {
            *place = NULL;
        }
        refbuf_unref(told->event);
        refbuf_unref(told->events);
        mem_free(told);
        told = before;
    }
}

struct told *told__add(struct rpc *rpc, struct told *before,
                       const struct record *record, unsigned kind)
{
    struct watching *watches = rpc->watches;
    struct told **place = place_of(watches, before, kind);
    CHECK(record->rev.main > 0);
    CHECK(before == NULL || before->kind == kind);
    if (*place != NULL && is_same((*place)->rev, record->rev)) {
        struct told *told = told__ref(*place);
        told__unref(watches, before);
        return told;
    }
    struct told *told = mem_alloc(sizeof(*told));
    *told = (struct told){
        .refs = 1,
        .count = before != NULL ? before->count + 1 : 1,
        .before = before,
        .rev = record->rev,
        .kind = kind,
        .event = refbuf_ref(event_of(rpc, record, kind)),
    };
    told->bytes = told->event->size + (before != NULL ? before->bytes : 0);
    *place = told;
    return told;
}

struct refbuf *told__events(struct told *told)
{
    if (told->events != NULL) {
        return told->events;
    }
    if (told->before == NULL) {
        told->events = refbuf_ref(told->event);
        return told->events;
    }
    struct refbuf *events = refbuf_new(told->bytes);
    char *at = events->bytes + told->bytes;
    for (const struct told *part = told; part != NULL; part = part->before) {
        at -= part->event->size;
        memcpy(at, part->event->bytes, part->event->size);
    }
    CHECK(at == events->bytes);
    told->events = events;
    return events;
}
