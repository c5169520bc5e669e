/* What index.c, index_change.c and index_build.c share: heads, separators and
 * nodes. */
#ifndef ETCHED_MVCC_INDEX_INT_H
#define ETCHED_MVCC_INDEX_INT_H

#include "mvcc/index.h"

/* The 8 bytes of a key behind `skip`, with zeros where it is shorter: the
 * order of heads is that of keys, save that equal heads say nothing. */
static inline uint64_t index__head(struct slice key, size_t skip)
{
    if (key.size >= skip + 8)
        return get_be64(key.at + skip);
    char bytes[8] = {0};
    if (key.size > skip)
        memcpy(bytes, key.at + skip, key.size - skip);
    return get_be64(bytes);
}

static inline struct slice index__separator_text(const struct separator *sep)
{
    return slice_of(sep->bytes, sep->size);
}

/* How many bytes two slices begin with alike. */
size_t index__common(struct slice a, struct slice b);
/* What all keys between two fences begin with alike; a fence may be NULL. */
uint32_t index__skip(const struct separator *low, const struct separator *high);

struct leaf *index__leaf_new(struct index *index);
struct inner *index__inner_new(struct index *index);
void index__leaf_free(struct index *index, struct leaf *leaf);
void index__inner_free(struct index *index, struct inner *inner);
/* The shortest that is greater than `left` and not than `right`. */
struct separator *index__separator_new(struct index *index, struct slice left,
                                       struct slice right);
void index__separator_free(struct index *index, struct separator *sep);

/* Set what is skipped, and the heads after it. */
void index__leaf_set_skip(struct leaf *leaf, uint32_t skip);
void index__inner_set_skip(struct inner *inner, uint32_t skip);

/* The fences of the node at `level` on the way to a place (0: the root). */
const struct separator *index__fence_low(const struct place *place,
                                         uint32_t level);
const struct separator *index__fence_high(const struct place *place,
                                          uint32_t level);

static inline uint64_t index__leaf_live(const struct leaf *leaf)
{
    return (uint64_t)__builtin_popcountll(leaf->live);
}
uint64_t index__inner_live(const struct inner *inner);

#endif
