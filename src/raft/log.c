#include "base/check.h"
#include "raft/log_int.h"

static struct raft_entry *slot_of(const struct raft_log *log, raft_index index)
{
    return &log->ring[index & (log->capacity - 1)];
}

static bool holds(const struct raft_log *log, raft_index index)
{
    return index > log->base_index && index <= log->last;
}

static void check_invariants(const struct raft_log *log)
{
    CHECK_LE(log->base_index, log->last);
    CHECK_LE(log->last - log->base_index, log->capacity);
    DCHECK(log->last == log->base_index ||
           slot_of(log, log->last)->index == log->last);
}

void raft_log__init(struct raft_log *log, size_t capacity, raft_index base,
                    raft_term base_term)
{
    CHECK(capacity > 0 && (capacity & (capacity - 1)) == 0);
    CHECK((base == 0) == (base_term == 0));
    log->ring = mem_alloc_zero(capacity * sizeof(*log->ring));
    log->capacity = capacity;
    log->base_index = base;
    log->base_term = base_term;
    log->last = base;
    check_invariants(log);
}

void raft_log__deinit(struct raft_log *log)
{
    raft_log__truncate(log, log->base_index + 1);
    mem_free(log->ring);
    log->ring = NULL;
}

size_t raft_log__room(const struct raft_log *log)
{
    return log->capacity - (size_t)(log->last - log->base_index);
}

void raft_log__append(struct raft_log *log, const struct raft_entry *entry)
{
    CHECK(raft_log__room(log) > 0);
    CHECK_EQ(entry->index, log->last + 1);
    CHECK_LE(raft_log__last_term(log), entry->term);
    CHECK_LE(raft_log__last_time_ns(log), entry->time_ns);
    *slot_of(log, entry->index) = *entry;
    log->last = entry->index;
    check_invariants(log);
}

void raft_log__truncate(struct raft_log *log, raft_index from)
{
    CHECK(from > log->base_index);
    for (raft_index i = from; i <= log->last; i++) {
        refbuf_unref(slot_of(log, i)->data);
        slot_of(log, i)->data = NULL;
    }
    if (from <= log->last) {
        log->last = from - 1;
    }
    check_invariants(log);
}

void raft_log__compact(struct raft_log *log, raft_index to)
{
    CHECK_LE(to, log->last);
    if (to <= log->base_index) {
        return;
    }
    raft_term term = slot_of(log, to)->term;
    for (raft_index i = log->base_index + 1; i <= to; i++) {
        refbuf_unref(slot_of(log, i)->data);
        slot_of(log, i)->data = NULL;
    }
    log->base_index = to;
    log->base_term = term;
    check_invariants(log);
}

const struct raft_entry *raft_log__at(const struct raft_log *log,
                                      raft_index index)
{
    if (!holds(log, index)) {
        return NULL;
    }
    const struct raft_entry *entry = slot_of(log, index);
    CHECK_EQ(entry->index, index);
    return entry;
}

raft_term raft_log__last_term(const struct raft_log *log)
{
    return holds(log, log->last) ? slot_of(log, log->last)->term
                                 : log->base_term;
}

int64_t raft_log__last_time_ns(const struct raft_log *log)
{
    return holds(log, log->last) ? slot_of(log, log->last)->time_ns : 0;
}
