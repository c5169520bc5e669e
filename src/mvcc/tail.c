/* The tail: a ring of the commits that are not known to be in the file. */
#include "base/check.h"
#include "mvcc/mvcc_int.h"

enum {
    CAPACITY_MIN = 64,
    /* A ring that grew beyond this is given back when it runs empty. */
    CAPACITY_KEPT = 16 * 1024,
};

static void grow(struct tail *tail)
{
    size_t capacity = tail->capacity ? tail->capacity * 2 : CAPACITY_MIN;
    struct tail_slot *slots = mem_alloc(capacity * sizeof *slots);
    for (size_t i = 0; i < tail->count; i++)
        slots[i] = *tail__slot(tail, i);
    mem_free(tail->slots);
    tail->slots = slots;
    tail->capacity = capacity;
    tail->head = 0;
}

void tail__push(struct tail *tail, struct mvcc_commit *commit)
{
    CHECK_EQ(commit->main, tail->first + (revision)tail->count);
    if (tail->count == tail->capacity)
        grow(tail);
    CHECK_LT(tail->count, tail->capacity);
    struct tail_slot *slot = tail__slot(tail, tail->count++);
    slot->commit = commit;
    slot->marked = false;
    tail->bytes += commit->bytes;
}

void tail__take(struct tail *tail, size_t count, uint64_t bytes)
{
    CHECK(count <= tail->count && bytes <= tail->bytes);
    tail->count -= count;
    tail->bytes -= bytes;
    tail->first += (revision)count;
    CHECK(tail->count > 0 || tail->bytes == 0);
    if (tail->capacity > 0)
        tail->head = (tail->head + count) & (tail->capacity - 1);
    if (tail->count == 0 && tail->capacity > CAPACITY_KEPT) {
        mem_free(tail->slots);
        tail->slots = NULL;
        tail->capacity = tail->head = 0;
    }
}

void tail__deinit(struct tail *tail)
{
    for (size_t i = 0; i < tail->count; i++)
        mvcc_commit_unref(tail__slot(tail, i)->commit);
    mem_free(tail->slots);
    *tail = (struct tail){0};
}
