#include "mvcc/revs.h"

#include "base/check.h"

enum {
    CAPACITY_FIRST = 1, /* 40 bytes: what most of the keys that change need */
    SHRINK_SLACK = 2,   /* free places that are not worth moving for */
};

static struct past *past_of(const struct entry *entry)
{
    return entry->more;
}

static size_t past_bytes(uint32_t capacity)
{
    CHECK(capacity >= CAPACITY_FIRST);
    return offsetof(struct past, old) + capacity * sizeof(struct old);
}

static uint64_t old_stamp(const struct old *old)
{
    return (uint64_t)old->stamp_high << 32 | old->stamp_low;
}

static struct rev old_rev(const struct old *old)
{
    return (struct rev){(revision)(old_stamp(old) >> 1), old->sub};
}

revision revs__create(const struct entry *entry)
{
    CHECK(revs__live(entry));
    return entry->more ? past_of(entry)->create : revs__main(entry);
}

int64_t revs__version(const struct entry *entry)
{
    CHECK(revs__live(entry));
    return entry->more ? past_of(entry)->version : 1;
}

static uint32_t past_count(const struct past *past)
{
    return past ? past->end - past->begin : 0;
}

size_t revs__count(const struct entry *entry)
{
    return entry->stamp == 0 ? 0 : 1 + past_count(entry->more);
}

/* Gives room for `capacity` old ones, and moves them to the front of it. */
static struct past *set_capacity(struct slab *slab, struct entry *entry,
                                 uint32_t capacity)
{
    struct past *past = entry->more;
    if (past == NULL) {
        past = slab_alloc(slab, past_bytes(capacity));
        *past = (struct past){.capacity = capacity};
    } else {
        uint32_t count = past_count(past);
        CHECK_LE(count, capacity);
        memmove(past->old, past->old + past->begin, count * sizeof *past->old);
        past->begin = 0;
        past->end = count;
        past = slab_realloc(slab, past, past_bytes(past->capacity),
                            past_bytes(capacity));
        past->capacity = capacity;
    }
    entry->more = past;
    return past;
}

/* The newest becomes the last of the old ones. */
static void push_old(struct slab *slab, struct entry *entry)
{
    struct past *past = entry->more;
    if (past == NULL)
        past = set_capacity(slab, entry, CAPACITY_FIRST);
    else if (past->end == past->capacity)
        past = set_capacity(slab, entry,
                            past_count(past) + past_count(past) / 2 +
                                CAPACITY_FIRST);
    CHECK_LT(past->end, past->capacity);
    past->old[past->end++] = (struct old){
        (uint32_t)entry->stamp, (uint32_t)(entry->stamp >> 32), entry->sub};
}

static bool is_plain(revision main, revision create, int64_t version)
{
    return create == 0 || (create == main && version == 1);
}

void revs__push(struct slab *slab, struct entry *entry, struct rev rev,
                revision create, int64_t version)
{
    CHECK(rev.main > revs__main(entry) ||
          (rev.main == revs__main(entry) && rev.sub > entry->sub));
    CHECK(create <= rev.main && (create == 0) == (version == 0));
    CHECK(create >= 0 && version >= 0);
    if (entry->stamp != 0)
        push_old(slab, entry);
    entry->stamp = (uint64_t)rev.main << 1 | (create == 0);
    entry->sub = rev.sub;
    struct past *past = entry->more;
    if (past == NULL && !is_plain(rev.main, create, version))
        past = set_capacity(slab, entry, CAPACITY_FIRST);
    if (past != NULL) {
        past->create = create;
        past->version = version;
    }
}

/* Where the first of the old ones is that has a stamp of `stamp` or more. */
static uint32_t find_old(const struct past *past, uint64_t stamp)
{
    uint32_t low = past->begin, high = past->end;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (old_stamp(&past->old[middle]) < stamp)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

/* How many of the old ones are at or before main revision `at`. */
static uint32_t count_up_to(const struct past *past, revision at)
{
    CHECK(at >= 0);
    return past ? find_old(past, ((uint64_t)at + 1) << 1) - past->begin : 0;
}

struct rev revs__at(const struct entry *entry, revision at, bool *live)
{
    *live = revs__live(entry);
    if (revs__main(entry) <= at)
        return revs__newest(entry);
    *live = false;
    const struct past *past = entry->more;
    uint32_t count = count_up_to(past, at);
    if (count == 0)
        return (struct rev){0};
    const struct old *old = &past->old[past->begin + count - 1];
    *live = (old->stamp_low & 1) == 0;
    return old_rev(old);
}

struct rev revs__from(const struct entry *entry, revision from)
{
    const struct past *past = entry->more;
    if (past != NULL) {
        uint32_t at = find_old(past, from > 0 ? (uint64_t)from << 1 : 0);
        if (at < past->end)
            return old_rev(&past->old[at]);
    }
    return revs__main(entry) >= from ? revs__newest(entry) : (struct rev){0};
}

void revs__deinit(struct slab *slab, struct entry *entry)
{
    struct past *past = entry->more;
    if (past != NULL)
        slab_free(slab, past, past_bytes(past->capacity));
    entry->more = NULL;
}

/* Takes the first `count` of the old ones out. Memory is given back when half
 * of it is free, so that dropping many costs each its own and no more. */
static void drop_old(struct slab *slab, struct entry *entry, uint32_t count)
{
    struct past *past = entry->more;
    CHECK_LE(count, past_count(past));
    past->begin += count;
    uint32_t rest = past_count(past);
    if (rest == 0 && is_plain(revs__main(entry), past->create, past->version))
        revs__deinit(slab, entry);
    else if (past->capacity > 2 * rest + SHRINK_SLACK)
        set_capacity(slab, entry, rest + CAPACITY_FIRST);
}

enum revs__rest revs__compact(struct slab *slab, struct entry *entry,
                              revision at, size_t *budget,
                              void (*drop)(void *context, struct rev rev),
                              void *context)
{
    const struct past *past = entry->more;
    uint32_t count = count_up_to(past, at);
    bool newest = revs__main(entry) <= at;
    CHECK(entry->stamp != 0);
    CHECK(!newest || count == past_count(past));

    /* The newest at or before `at` stays, unless the key had ended then. */
    if (!newest && count > 0 &&
        (past->old[past->begin + count - 1].stamp_low & 1) == 0)
        count--;
    bool all = newest && !revs__live(entry);
    bool enough = count + all <= *budget;
    if (!enough)
        count = count < *budget ? count : (uint32_t)*budget;
    for (uint32_t i = 0; i < count; i++)
        drop(context, old_rev(&past->old[past->begin + i]));
    *budget -= count;
    if (!enough || !all) {
        if (count > 0)
            drop_old(slab, entry, count);
        return enough ? REVS_SOME : REVS_MORE;
    }
    drop(context, revs__newest(entry));
    --*budget;
    revs__deinit(slab, entry);
    entry->stamp = 0;
    entry->sub = 0;
    return REVS_NONE;
}
