#include "base/check.h"
#include "base/plant.h"
#include "raft/log_int.h"
#include "raft/raft_int.h"

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
    log->base_time_ns = 0;
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

/* The time that no later entry may be behind. An empty entry's may be less
 * than that of what is before: its leader didn't know better. */
static int64_t time_up_to(const struct raft_log *log, raft_index index)
{
    int64_t time_ns = 0;
    for (raft_index i = index; i > log->base_index; i--) {
        const struct raft_entry *entry = slot_of(log, i);
        time_ns = entry->time_ns > time_ns ? entry->time_ns : time_ns;
        if (entry->type != RAFT_ENTRY_EMPTY) {
            return time_ns;
        }
    }
    return log->base_time_ns > time_ns ? log->base_time_ns : time_ns;
}

bool raft_log__time_follows(int64_t before_ns, const struct raft_entry *entry)
{
    return before_ns <= entry->time_ns || entry->type == RAFT_ENTRY_EMPTY ||
           PLANTED(TIME_BACKWARDS);
}

void raft_log__append(struct raft_log *log, const struct raft_entry *entry)
{
    CHECK(raft_log__room(log) > 0);
    CHECK_EQ(entry->index, log->last + 1);
    CHECK_LE(raft_log__last_term(log), entry->term);
    CHECK(raft_log__time_follows(raft_log__last_time_ns(log), entry));
    *slot_of(log, entry->index) = *entry;
    log->last = entry->index;
    check_invariants(log);
}

/* Lets go of the data of (from, to]. */
static void release(struct raft_log *log, raft_index from, raft_index to)
{
    CHECK(from >= log->base_index && to <= log->last);
    for (raft_index i = from + 1; i <= to; i++) {
        refbuf_unref(slot_of(log, i)->data);
        slot_of(log, i)->data = NULL;
    }
}

void raft_log__truncate(struct raft_log *log, raft_index from)
{
    CHECK(from > log->base_index);
    if (from <= log->last) {
        release(log, from - 1, log->last);
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
    int64_t time_ns = time_up_to(log, to);
    release(log, log->base_index, to);
    log->base_index = to;
    log->base_term = term;
    log->base_time_ns = time_ns;
    check_invariants(log);
}

void raft_log__reset(struct raft_log *log, raft_index base, raft_term base_term)
{
    CHECK(base > 0 && base_term > 0);
    release(log, log->base_index, log->last);
    log->base_index = log->last = base;
    log->base_term = base_term;
    log->base_time_ns = 0;
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

static size_t entry_bytes(const struct raft_entry *entry)
{
    return RAFT_ENTRY_BYTES + (entry->data != NULL ? entry->data->size : 0);
}

const struct raft_entry *raft_log__run(const struct raft_log *log,
                                       raft_index index, size_t count_max,
                                       size_t bytes_max, size_t *count,
                                       size_t *bytes)
{
    const struct raft_entry *first = slot_of(log, index);
    size_t straight = log->capacity - (size_t)(first - log->ring);
    CHECK(holds(log, index));
    CHECK(count_max > 0);
    if (straight > log->last - index + 1) {
        straight = (size_t)(log->last - index + 1);
    }
    if (straight > count_max) {
        straight = count_max;
    }
    *count = 1;
    *bytes = entry_bytes(first);
    while (*count < straight &&
           *bytes + entry_bytes(&first[*count]) <= bytes_max) {
        *bytes += entry_bytes(&first[*count]);
        (*count)++;
    }
    CHECK_EQ(first->index, index);
    CHECK_EQ(first[*count - 1].index, index + *count - 1);
    return first;
}

raft_term raft_log__term(const struct raft_log *log, raft_index index)
{
    CHECK(index >= log->base_index);
    CHECK_LE(index, log->last);
    return index == log->base_index ? log->base_term
                                    : slot_of(log, index)->term;
}

bool raft_log__matches(const struct raft_log *log, raft_index index,
                       raft_term term)
{
    return index >= log->base_index && index <= log->last &&
           raft_log__term(log, index) == term;
}

/* Terms never fall along the log: halving finds it. */
raft_index raft_log__last_of_term(const struct raft_log *log, raft_index index,
                                  raft_term term)
{
    raft_index low = log->base_index;
    raft_index high = index < log->last ? index : log->last;
    if (index < low || log->base_term > term) {
        raft_index before = low > 0 ? low - 1 : 0;
        return index < before ? index : before;
    }
    while (low < high) {
        raft_index middle = low + (high - low + 1) / 2;
        if (raft_log__term(log, middle) <= term) {
            low = middle;
        } else {
            high = middle - 1;
        }
    }
    CHECK_LE(raft_log__term(log, low), term);
    return low;
}

raft_term raft_log__last_term(const struct raft_log *log)
{
    return raft_log__term(log, log->last);
}

int64_t raft_log__last_time_ns(const struct raft_log *log)
{
    return time_up_to(log, log->last);
}
